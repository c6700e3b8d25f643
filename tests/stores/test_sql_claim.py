"""Prove what the contract cannot see of claims: what a damaged file does to them."""

import pytest

from supportflow.errors import StoreCorrupt
from supportflow.model import ChannelState
from supportflow.stores import ChannelLease, Claimed, Work, Worker, WorkKind
from supportflow.stores.sql import Result
from supportflow.stores.sql_claim import begin, claim
from supportflow.stores.sqlite import SQLITE


def test_a_row_that_only_its_index_knows_is_damage():
    """When an index names a row and the table doesn't have it, nothing is claimed."""
    program = claim(SQLITE, Work(WorkKind.send, ("m",)), Worker(1), 10)
    next(program)
    program.send(Result([(1_000_000,)], 0))  # the time
    program.send(Result([(5, 0)], 0))  # the candidates
    program.send(Result([], 1))  # the update
    with pytest.raises(StoreCorrupt, match="an index names outbox rows that are not there"):
        program.send(Result([], 0))


def test_a_lease_has_nothing_to_begin():
    """What is claimed to poll is no row: no statement, and nothing to send."""
    lease = Claimed(1, Worker(1), lease=ChannelLease("m", ChannelState("m")))
    with pytest.raises(StopIteration) as done:
        next(begin(SQLITE, lease))
    assert False is done.value.value
