"""What stores keep of listening: what people say of us without addressing us, and how often."""

from __future__ import annotations

from datetime import date, datetime

import attrs

from supportflow.errors import InvalidValue
from supportflow.model import CustomerRef, Message

__all__ = ["Mention", "MentionCount", "MentionCounts", "Mentions"]


def _query(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue(f"query is {value!r:.100}; say what was searched for")


@attrs.frozen
class Mention:
    """Hold one message that a search found; nobody answers it by itself.

    Args:
        query: What was searched for, for example the name of the shop.
        message: What somebody wrote.

    Raises:
        InvalidValue: If the query is empty.
    """

    query: str = attrs.field(validator=_query)
    message: Message


@attrs.frozen
class Mentions:
    """Find mentions in the order of their time, without those that were addressed to us.

    What is also a message of a conversation was tagged: it is answered there, and is left out
    here, whichever of the two came first.

    Args:
        query: That this search found.
        channel: On this channel.
        customer: By this person.
        since: Not older than this.
        until: Older than this.
        limit: How many at most.
        after: Where the previous page ended (`Results.after`).
    """

    query: str | None = None
    channel: str | None = None
    customer: CustomerRef | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100
    after: str | None = None


@attrs.frozen
class MentionCounts:
    """Count what `Mentions` finds, by query, channel and day (UTC), in this order.

    Args:
        since: Not older than this.
        until: Older than this.
    """

    since: datetime | None = None
    until: datetime | None = None


@attrs.frozen(order=True)
class MentionCount:
    """Hold how often people spoke of something on one channel on one day.

    Args:
        query: Of what.
        channel: The channel's name.
        day: The day, in UTC.
        count: How many messages, each counted once.
    """

    query: str
    channel: str
    day: date
    count: int
