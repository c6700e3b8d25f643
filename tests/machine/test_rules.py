"""What a user may change, the bare step, and where a customer's message belongs."""

import sys
from datetime import UTC, datetime, timedelta

import pytest

from supportflow.errors import IllegalStep, InvalidValue
from supportflow.machine import RULES, Rules, belongs, blank, step
from supportflow.model import (
    Base,
    Conversation,
    Mark,
    Marked,
    Progress,
    Reading,
    State,
    Step,
    Unread,
    replace,
)
from supportflow.playbook import COMPLAINT, PLAYBOOKS, STANDARD

AT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


# -- rules


def test_what_is_ours_by_default():
    """Seven days to reopen, and playbooks for every kind of message."""
    assert (timedelta(days=7), PLAYBOOKS) == (RULES.reopen_within, RULES.playbooks)
    assert (STANDARD, COMPLAINT) == (RULES.book(""), RULES.book("complaint"))


def test_unread_messages_need_the_standard_playbook():
    """Rules without it are refused when they are made, not when somebody writes."""
    with pytest.raises(InvalidValue, match="lack 'standard'"):
        Rules({"complaint": COMPLAINT})


@pytest.mark.parametrize("most", [0, -1])
def test_a_snapshot_keeps_a_mark(most):
    """Regression: with none the snapshot was never bounded at all."""
    with pytest.raises(InvalidValue, match="keep at least one"):
        Rules(max_marks=most)


def test_unknown_playbooks_are_named():
    """As a log that is older than the rules may say."""
    with pytest.raises(InvalidValue, match="no playbook is called 'vip'"):
        RULES.book("vip")


# -- the bare step


def test_a_step():
    """State, version and since; the value before stays as it was."""
    start = Progress(State.received, 1, AT)
    after = step(start, Step.acknowledge, AT + DAY, COMPLAINT)
    assert Progress(State.acknowledged, 2, AT + DAY) == after
    assert Progress(State.received, 1, AT) == start


def test_repeating_a_step_keeps_since():
    """It happened, and changed nothing."""
    start = Progress(State.acknowledged, 2, AT)
    assert Progress(State.acknowledged, 3, AT) == step(start, Step.acknowledge, AT + DAY, COMPLAINT)


def test_an_illegal_step_is_refused():
    """The legal ones are named."""
    with pytest.raises(IllegalStep, match="resolve is not legal in state received") as caught:
        step(Progress(State.received, 1, AT), Step.resolve, AT, COMPLAINT)
    assert (Step.acknowledge,) == caught.value.legal


def test_a_step_is_small():
    """What every event makes anew fits into 150 bytes."""
    assert sys.getsizeof(step(Progress(State.received, 1, AT), Step.acknowledge, AT)) <= 150


# -- where messages belong


def test_a_blank_conversation():
    """Nothing has happened: version 0, and an id that is derived."""
    new = blank("shop", "109", "u", AT, 2, "shop/109/u#1", "shop/109/v#0")
    assert ("shop/109/u#2", 0, State.received, "") == (new.id, new.version, new.state, new.playbook)
    assert ("shop/109/u#1", "shop/109/v#0") == (new.previous, new.bystander_of)


def test_a_blank_conversation_is_what_its_class_makes():
    """Made another way, it has the same fields with the same defaults, and none in common."""
    start = Progress(State.received, 0, AT)
    same = Conversation("c/t/u#0", "c", "t", "u", 0, AT, start, "")
    assert (same, hash(same)) == (blank("c", "t", "u", AT), hash(blank("c", "t", "u", AT)))
    one, other = blank("c", "t", "u", AT), blank("c", "t", "v", AT)
    assert one.__dict__ is not other.__dict__


def resolved(**fields):
    """Return a conversation that was resolved at AT."""
    return replace(blank("c", "t", "u", AT), progress=Progress(State.resolved, 5, AT), **fields)


@pytest.mark.parametrize(
    ("conversation", "at", "reading", "expected"),
    [
        (blank("c", "t", "u", AT), AT + 99 * DAY, Unread, True),
        (resolved(), AT + 7 * DAY, Unread, True),
        (resolved(), AT + 7 * DAY + timedelta.resolution, Unread, False),
        (resolved(), AT + 99 * DAY, Reading(gratitude=True), True),
        (resolved(), AT - DAY, Unread, True),
    ],
)
def test_where_a_message_belongs(conversation, at, reading, expected):
    """Into the newest conversation, unless that was resolved longer ago than the window."""
    assert expected is belongs(conversation, at, reading)


def test_a_conversation_begins_only_behind_what_is_known():
    """Regression: a message older than an answer that is known already began a conversation
    of its own, in which the answer could not be seen.
    """
    answered = resolved(marks=(Mark(AT + 20 * DAY, Marked.told, "r"),))
    assert belongs(answered, AT + 10 * DAY, Unread)
    assert not belongs(answered, AT + 21 * DAY, Unread)
    assert not belongs(resolved(base=Base(told=True)), AT + 10 * DAY, Unread)


@pytest.mark.parametrize(("window", "expected"), [(timedelta.max, True), (timedelta(0), False)])
def test_the_window_is_the_users(window, expected):
    """From never to always."""
    rules = Rules(reopen_within=window)
    assert expected is belongs(resolved(), AT + DAY, Unread, rules)
