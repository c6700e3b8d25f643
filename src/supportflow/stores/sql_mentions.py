"""Keeping, finding, counting and erasing what searches found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from supportflow.model import CustomerRef, Message, MessageKey
from supportflow.stores.codec import decode, encode, storable
from supportflow.stores.mentions import Mention, MentionCount, MentionCounts, Mentions
from supportflow.stores.sql import Program, Statement, micros

__all__ = [
    "MENTION_COLUMNS",
    "MENTION_TABLES",
    "conditions",
    "count_mentions",
    "erase_mentions",
    "keep_mentions",
    "mention_of",
    "mentioned_keys",
]

MENTION_TABLES = "mention AS n"
MENTION_COLUMNS = "n.query, n.body"
#: What was addressed to us is no mention: it stands in a conversation.
_UNTAGGED = (
    "NOT EXISTS (SELECT 1 FROM message AS m WHERE m.channel = n.channel AND m.kind = n.kind"
    " AND m.external_id = n.external_id AND m.revision = '')"
)
_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def keep_mentions(mentions: Sequence[Mention]) -> Program[None]:
    """Record mentions; one that a search has found before stays as it is.

    Args:
        mentions: What searches found.
    """
    if mentions:
        sql = (
            "INSERT INTO mention (query, channel, kind, external_id, author, at, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (channel, query, kind, external_id)"
            " DO NOTHING"
        )
        yield Statement(sql, list(map(_row, mentions)), many=True)


def _row(mention: Mention) -> tuple[Any, ...]:
    message = attrs.evolve(mention.message, raw=None)
    query = storable(mention.query, "the query of a mention")
    return (query, *message.key, message.author.id, micros(message.at), encode(message))


def conditions(query: Mentions | MentionCounts) -> Iterable[tuple[str, tuple[Any, ...]]]:
    """Yield what a mention must fulfil, each with its parameters.

    Args:
        query: What is looked for.
    """
    yield _UNTAGGED, ()
    if query.since is not None:
        yield "n.at >= ?", (micros(query.since),)
    if query.until is not None:
        yield "n.at < ?", (micros(query.until),)
    if isinstance(query, Mentions):
        for column, value in (("query", query.query), ("channel", query.channel)):
            if value is not None:
                yield f"n.{column} = ?", (value,)
        if query.customer is not None:
            yield "n.author = ? AND n.channel = ?", (query.customer.id, query.customer.channel)


def mention_of(row: Sequence[Any]) -> Mention:
    """Return the mention in a row of `MENTION_COLUMNS`."""
    query, body = row
    return Mention(query, decode(Message, body, "a mention"))


def count_mentions(query: MentionCounts) -> Program[tuple[MentionCount, ...]]:
    """Return how many there are by query, channel and day.

    Args:
        query: What is counted.
    """
    found = list(conditions(query))
    day = f"n.at / {_DAY}"
    counted = yield Statement(
        f"SELECT n.query, n.channel, {day}, count(*) FROM {MENTION_TABLES}"
        f" WHERE {' AND '.join(text for text, _ in found)}"
        f" GROUP BY n.query, n.channel, {day} ORDER BY n.query, n.channel, {day}",
        tuple(value for _, values in found for value in values),
    )
    return tuple(
        MentionCount(name, channel, (_EPOCH + timedelta(days=int(days))).date(), int(count))
        for name, channel, days, count in counted.rows
    )


def mentioned_keys(customer: CustomerRef) -> Program[set[MessageKey]]:
    """Return the keys of what a customer wrote of us elsewhere.

    Args:
        customer: Who.
    """
    found = yield Statement(
        "SELECT channel, kind, external_id FROM mention WHERE author = ? AND channel = ?",
        (customer.id, customer.channel),
    )
    return {(channel, kind, name) for channel, kind, name in found.rows}


def erase_mentions(customer: CustomerRef) -> Statement:
    """Delete what a customer wrote of us: nothing else hangs on it.

    Args:
        customer: Who.
    """
    return Statement(
        "DELETE FROM mention WHERE author = ? AND channel = ?", (customer.id, customer.channel)
    )
