"""Conversations are known by derived ids, and say whether somebody waits for an answer."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.model import (
    Agent,
    Conversation,
    Pending,
    Progress,
    State,
    conversation_id,
    parse_conversation_id,
    replace,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(minutes=1)


def conversation(**fields):
    """Return a conversation in which the customer wrote at AT."""
    core = Progress(State.received, 3, AT)
    one = Conversation("c/t/u#0", "c", "t", "u", 0, AT, core, "", waiting_since=AT)
    return replace(one, **fields)


def pending(covers=AT, held=""):
    """Return a reply on its way."""
    return Pending("r", 1, 0, (), Agent("ann"), covers, held=held)


# -- ids


@given(st.text(), st.text(), st.text(), st.integers(0, 10**6))
def test_ids_are_derived_and_read_back(channel, thread, customer, number):
    """Whatever a platform calls things, and each id is ASCII without spaces."""
    id_ = conversation_id(channel, thread, customer, number)
    assert id_.isascii()
    assert id_ == "".join(id_.split())
    assert (channel, thread, customer, number) == parse_conversation_id(id_)


def test_ids_of_different_parts_differ():
    """Parts are percent-encoded, so that none reaches into another."""
    assert conversation_id("a/b", "c", "d") != conversation_id("a", "b/c", "d")
    assert conversation_id("a", "b", "c#1", 0) != conversation_id("a", "b", "c", 1)


def test_lone_surrogates_have_an_id():
    """Regression: an id from JSON with half a character raised UnicodeEncodeError."""
    assert ("c", "\ud800", "u", 0) == parse_conversation_id(conversation_id("c", "\ud800", "u"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a/b/c",
        "a/b#0",
        "a/b/c/d#0",
        "a/b/c#",
        "a/b/c#-1",
        "a/b/c#+1",
        "a/b/c#01",
        "a/b/c#1_0",
        "a/b/c# 1",
        "a/b/c#\u0663",
        "a/b/c#" + "9" * 5000,
        "a/b c/d#0",
        "a/%62/c#0",
        "a/%ff/c#0",
        "a/%/c#0",
        None,
        5,
        b"a/b/c#0",
    ],
)
def test_other_texts_are_no_ids(text):
    """Only the one form that is derived is read; the error is short."""
    with pytest.raises(InvalidValue, match="not a conversation id") as caught:
        parse_conversation_id(text)
    assert len(str(caught.value)) < 300


# -- the snapshot


def test_progress_is_at_hand():
    """State, version and since are the core's."""
    core = Progress(State.acknowledged, 7, LATER)
    one = conversation(progress=core)
    assert (State.acknowledged, 7, LATER) == (one.state, one.version, one.since)


def test_replace_copies():
    """It gives what `attrs.evolve` gives, and leaves the original alone."""
    one = conversation()
    other = replace(one, playbook="complaint", cycle=2)
    assert attrs.evolve(one, playbook="complaint", cycle=2) == other
    assert ("", 0) == (one.playbook, one.cycle)


def test_a_conversation_is_frozen():
    """A copy made quickly is as frozen as any."""
    for one in (conversation(), replace(conversation(), cycle=1)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            one.cycle = 5


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"waiting_since": None}, False),
        ({"pending": (pending(),)}, False),
        ({"pending": (pending(LATER),)}, False),
        ({"pending": (pending(AT - timedelta(seconds=1)),)}, True),
        ({"pending": (pending(held="failed"),)}, True),
        ({"pending": (pending(held="failed"), pending())}, False),
        ({"pending": (pending(None),)}, True),
        ({"waiting_since": None, "pending": (pending(held="failed"),)}, False),
    ],
)
def test_unanswered(fields, expected):
    """Somebody waits, and no answer to what they wrote is on its way: held ones, older ones
    and those that answer nobody do not count.
    """
    assert expected is conversation(**fields).unanswered
