"""Prove that ids split and sort as the tables need it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import Conflict
from supportflow.model import conversation_id
from supportflow.stores.sql_ids import head_of, known, split_id, tag_text

names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


@given(names, names, names, st.integers(0, 10**9))
def test_ids_split(channel, thread, customer, number):
    """Head and number are what an id was made of."""
    text = conversation_id(channel, thread, customer, number)
    assert (head_of(channel, thread, customer), number) == split_id(text)


@given(names, names, names, names, names)
def test_a_thread_is_one_range(channel, thread, customer, other_thread, other_customer):
    """All heads of a thread, and no others, lie between `prefix/` and `prefix0`."""
    prefix = head_of(channel, thread, "")[:-1]
    inside = head_of(channel, thread, customer)
    outside = head_of(channel, other_thread, other_customer)
    assert f"{prefix}/" <= inside < f"{prefix}0"
    assert (other_thread == thread) == (f"{prefix}/" <= outside < f"{prefix}0")


@pytest.mark.parametrize(
    "text", ["", "a", "#", "a#", "a#x", "a#-1", "a#00", "a#٣", "a#1.0", "a# 1", f"a#{10**18}"]
)
def test_what_is_no_id_is_nobodys(text):
    """No row has such a number, so that a lookup finds nothing."""
    assert -1 == split_id(text)[1]


def test_an_unknown_conversation_is_a_conflict():
    """It may have been erased meanwhile: whoever asked reads again."""
    assert 7 == known({"a/b/c#0": 7}, "a/b/c#0")
    with pytest.raises(Conflict, match="no conversation a/b/c#1"):
        known({}, "a/b/c#1")


@given(names, st.lists(names))
def test_a_tag_is_found_whole(tag, tags):
    """A tag is part of the column's text exactly if it is one of the tags."""
    plain = [name.replace("\x1f", "") for name in (tag, *tags)]
    column = "".join(map(tag_text, plain[1:]))
    assert (plain[0] in plain[1:]) == (tag_text(plain[0]) in column)
