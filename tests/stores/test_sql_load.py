"""Prove that programs of statements need no database to be tested, and name what is damaged."""

import pytest

from supportflow.errors import StoreCorrupt
from supportflow.stores import Loaded, Wanted
from supportflow.stores.sql import Result
from supportflow.stores.sql_load import by_kind, load
from supportflow.stores.sqlite import SQLITE


def test_nothing_wanted_costs_no_statement():
    """A program that is asked for nothing ends before its first statement."""
    with pytest.raises(StopIteration) as done:
        next(load(SQLITE, Wanted()))
    assert Loaded() == done.value.value


def test_a_row_that_only_its_index_knows_is_damage():
    """When an index names a row and the table doesn't have it, the file is damaged."""
    program = load(SQLITE, Wanted(conversations=("a/b/c#0",)))
    assert ('["a/b/c"]',) == next(program).params
    assert ("[5]",) == program.send(Result([("a/b/c", 0, 5)], 0)).params
    with pytest.raises(StoreCorrupt, match="an index names conversations that are not there"):
        program.send(Result([], 0))


def test_keys_are_asked_for_by_kind():
    """Each (channel, kind) costs one statement, each id is asked for once, in the order given."""
    keys = [("m", "status", "2"), ("m", "dm", "1"), ("m", "status", "1"), ("m", "status", "2")]
    assert {("m", "status"): ["2", "1"], ("m", "dm"): ["1"]} == by_kind(keys)
