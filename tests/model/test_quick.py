"""What is made quickly is the same value as what its class makes."""

import pickle
from datetime import UTC, datetime

import attrs
import pytest

from supportflow.events import Opened, Queued, Received, Told
from supportflow.model import (
    Author,
    Base,
    Clock,
    Inbound,
    Mark,
    Marked,
    Message,
    Outbound,
    Pending,
    Progress,
    State,
)
from supportflow.model.quick import maker
from supportflow.stores import Stored, Written

AT = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = [Base, Clock, Mark, Pending, Progress]
FACTS = [Inbound, Outbound]
EVENTS = [Opened, Queued, Received, Told]


@pytest.mark.parametrize("kind", [*VALUES, *FACTS, *EVENTS, Stored, Written])
def test_the_same_value(kind):
    """Class, equality, hash, representation and frozenness are those of the class."""
    values = [f"value {place}" for place, _ in enumerate(attrs.fields(kind))]
    slow, fast = kind(*values), maker(kind)(*values)
    assert kind is type(fast)
    assert (slow, hash(slow), repr(slow)) == (fast, hash(fast), repr(fast))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(fast, attrs.fields(kind)[0].name, "other")
    assert attrs.evolve(slow) == attrs.evolve(fast)


def test_the_same_message():
    """What is right already needs neither converter nor validator."""
    given = ("archive", "archive", "17/0", Author("17"), "Hello?", AT, "17")
    assert Message(*given, tags=("shoes",)) == maker(Message)(*given, tags=("shoes",))


def test_defaults_are_kept():
    """Fields at the end may be left out, or named."""
    make = maker(Mark)
    assert Mark(AT, Marked.asked, "m:1") == make(AT, Marked.asked, "m:1")
    assert Mark(AT, Marked.asked, "m:1", backfill=True) == make(
        AT, Marked.asked, "m:1", backfill=True
    )


def test_a_missing_field_is_an_error():
    """As it is for the class."""
    with pytest.raises(TypeError, match="missing"):
        maker(Progress)(State.received, 1)


def test_pickling():
    """A value that was made quickly survives the way to another process."""
    fast = maker(Progress)(State.received, 1, AT)
    assert fast == pickle.loads(pickle.dumps(fast))


def test_two_makers_do_not_meet():
    """Fields that have the names of what the maker itself uses are no trouble."""

    @attrs.frozen(weakref_slot=False)
    class Odd:
        kind: int
        twin: int
        made: int = 3

    assert Odd(1, 2) == maker(Odd)(1, 2)
