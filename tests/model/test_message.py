"""Messages and facts refuse what cannot be kept, and know what identifies them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from supportflow.errors import InvalidValue
from supportflow.model import (
    NATIVE,
    Author,
    Edit,
    Inbound,
    Message,
    Outbound,
    Reaction,
    Removal,
    RemovedBy,
    StatusReport,
    Visibility,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Author("ann")


def test_a_message_is_known_by_channel_kind_and_id():
    """For ever, and whatever else about it changes."""
    message = Message("shop", "status", "109", ANN, "hello", AT)
    assert ("shop", "status", "109") == message.key
    assert Visibility.public is message.visibility


def test_times_become_utc():
    """Platforms write in many zones."""
    there = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    message = Message("shop", "status", "109", ANN, "hello", there)
    assert (UTC, there) == (message.at.tzinfo, message.at)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"channel": ""}, "channel is ''"),
        ({"channel": None}, "channel is None"),
        ({"kind": ""}, "kind is ''"),
        ({"id": ""}, "id is ''"),
        ({"id": 109}, "id is 109"),
        ({"id": None}, "id is None"),
        ({"text": None}, "text of '109' is NoneType"),
        ({"text": b"hello"}, "text of '109' is bytes"),
        ({"at": datetime(2026, 1, 1)}, "pass an aware datetime"),  # noqa: DTZ001
        ({"at": None}, "pass an aware datetime"),
        ({"at": "2026-01-01"}, "pass an aware datetime"),
    ],
)
def test_what_cannot_be_kept_is_refused(change, why):
    """Wrong types and missing names are one clear error, before anything is stored."""
    fields = {"channel": "shop", "kind": "status", "id": "109", "author": ANN}
    with pytest.raises(InvalidValue, match=why):
        Message(**{**fields, "text": "hello", "at": AT, **change})


def test_the_raw_item_is_kept_and_not_shown():
    """It may hold more about a person than a log should."""
    message = Message("shop", "status", "109", ANN, "hello", AT, raw='{"phone": "123"}')
    assert '{"phone": "123"}' == message.raw
    assert "phone" not in repr(message)


@pytest.mark.parametrize(
    "fact",
    [
        Edit("shop", "status", "109", "r1", "hello!", AT),
        Removal("shop", "status", "109", AT),
        Reaction("shop", "status", "109", ANN, "+1", AT),
    ],
)
def test_facts_name_the_message_they_are_about(fact):
    """By the key that the message itself has."""
    assert ("shop", "status", "109") == fact.key


def test_facts_have_quiet_defaults():
    """Not history, answered natively, removed by its author."""
    message = Message("shop", "status", "109", ANN, "hello", AT)
    assert not Inbound(message).backfill
    assert (NATIVE, None) == (Outbound(message).agent, Outbound(message).customer)
    assert (RemovedBy.author, False) == (
        Removal("shop", "status", "109", AT).by,
        Removal("shop", "status", "109", AT).hidden,
    )


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Edit("shop", "status", "109", "", "x", AT), "revision is ''"),
        (lambda: Edit("shop", "status", "", "r", "x", AT), "id is ''"),
        (lambda: Removal("shop", "status", "109", AT, "bot"), "by is 'bot'; it is one of author"),
        (lambda: Removal("shop", "status", "109", None), "at is None"),
        (lambda: Reaction("", "status", "109", ANN, "+1", AT), "channel is ''"),
        (lambda: StatusReport("shop", "9", "lost", AT), "status is 'lost'; it is one of sent"),
        (lambda: StatusReport("shop", "9", ["sent"], AT), "status is "),
        (lambda: StatusReport("shop", "9", "sent", None), "at is None"),
    ],
)
def test_facts_that_say_nothing_are_refused(make, why):
    """The error names the field and what it may be."""
    with pytest.raises(InvalidValue, match=why):
        make()


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed"])
def test_status_reports(status):
    """The four that there are."""
    assert status == StatusReport("shop", "9", status, AT).status
