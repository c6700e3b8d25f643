"""Commands refuse what could never be done, before anything is decided."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from supportflow.errors import InvalidValue
from supportflow.model import Agent, Reply, Step, Tag

ANN = Agent("ann")


def test_a_reply_takes_steps_in_order():
    """Whatever order they were named in."""
    reply = Reply("r", ANN, steps=["resolve", "acknowledge"])
    assert (Step.acknowledge, Step.resolve) == reply.steps


@pytest.mark.parametrize("steps", ["resolve", ["fix"], [None], [["resolve"]]])
def test_unknown_steps_are_refused(steps):
    """The error is ours, whatever was given."""
    with pytest.raises(InvalidValue):
        Reply("r", ANN, steps=steps)


@pytest.mark.parametrize("parts", [0, -1, None, "2", 1.5])
def test_a_reply_has_a_part(parts):
    """Regression: a reply of no parts was on its way for ever, and silenced the inbox."""
    with pytest.raises(InvalidValue, match="a reply has at least one"):
        Reply("r", ANN, parts)


def test_a_promise_has_an_aware_time():
    """In UTC from then on."""
    due = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert UTC is Reply("r", ANN, promise_by=due).promise_by.tzinfo
    assert Reply("r", ANN).promise_by is None
    with pytest.raises(InvalidValue, match="by is"):
        Reply("r", ANN, promise_by=datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_tags_are_lists():
    """One string would become its letters."""
    assert (("vip",), ()) == (Tag(ANN, ["vip"]).add, Tag(ANN, ["vip"]).remove)
    with pytest.raises(InvalidValue, match="stands where a list belongs"):
        Tag(ANN, "vip")
