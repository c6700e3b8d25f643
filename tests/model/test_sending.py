"""What goes out carries aware times and frozen state, and prints no credentials."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from supportflow.errors import InvalidValue
from supportflow.model import (
    AgentKind,
    Author,
    Card,
    ChannelState,
    Outgoing,
    Receipt,
    Secret,
    Visibility,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_receipt_has_the_platforms_time():
    """In UTC; an id where there is one."""
    there = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert (AT, UTC, None) == (
        Receipt(None, there).at,
        Receipt(None, there).at.tzinfo,
        Receipt(None, there).id,
    )
    with pytest.raises(InvalidValue, match="at is"):
        Receipt("1", datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_an_outgoing_part_is_complete():
    """What a channel needs is in it, and nothing is looked up later."""
    part = Outgoing(
        "row",
        "mark",
        "hello",
        Author("u"),
        "t",
        ("status", "109"),
        Visibility.private,
        AgentKind.person,
        AT,
        card=Card("Kettle", "https://example.com/kettle"),
    )
    assert (1, None, frozenset(), "Buy") == (
        part.attempt,
        part.first_sent_at,
        part.known,
        part.card.button,
    )


def test_a_channels_state_is_frozen_and_secret():
    """What was given cannot be changed behind its back, and tokens do not print."""
    credentials, learned = {"token": Secret("s3cret")}, {"limit": 500}
    state = ChannelState("shop", credentials=credentials, learned=learned)
    credentials.clear()
    learned.clear()
    assert ("s3cret", 500) == (state.credentials["token"].reveal(), state.learned["limit"])
    assert "s3cret" not in repr(state)
    with pytest.raises(TypeError):
        state.learned["limit"] = 1
