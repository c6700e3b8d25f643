"""Events are frozen, carry no words, and are all known by name."""

import typing
from datetime import UTC, datetime

import attrs
import pytest

from supportflow import events
from supportflow.events import EVENTS, Event, Recorded, Tagged

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_event_is_known_by_its_name():
    """The registry, the union and the public names agree."""
    kinds = set(typing.get_args(Event))
    assert kinds == set(EVENTS.values())
    assert {"EVENTS", "Event", "Recorded", *EVENTS} == set(events.__all__)
    assert all(name == kind.__name__ for name, kind in EVENTS.items())


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_events_have_a_time_and_are_frozen(kind):
    """`at` comes first, whatever happened."""
    fields = attrs.fields(kind)
    assert "at" == fields[0].name
    event = kind(*([AT] * len(fields)))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.at = AT


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_no_event_holds_words(kind):
    """Texts live in messages, where erasure can blank them."""
    assert not {"text", "words", "body"} & {field.name for field in attrs.fields(kind)}


def test_the_log_wraps_events():
    """With their place in the store and in the conversation."""
    tagged = Tagged(AT, ("vip",), (), None)
    recorded = Recorded(9, "c/t/u#0", 2, AT, AT, tagged)
    assert (tagged, 2) == (recorded.event, recorded.version)
