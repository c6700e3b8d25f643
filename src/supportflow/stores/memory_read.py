"""What reads the tables of a `MemoryStore`: loading, finding, and the log."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import attrs

from supportflow.errors import InvalidValue
from supportflow.events import Recorded
from supportflow.model import Conversation, CustomerRef, MessageKey
from supportflow.stores import (
    Conversations,
    Loaded,
    Mention,
    MentionCount,
    MentionCounts,
    Mentions,
    Messages,
    Outbox,
    Paged,
    Position,
    Quarantine,
    Quarantined,
    Query,
    Results,
    Row,
    RowState,
    Stored,
    StoreVitals,
    Vitals,
    Wanted,
)
from supportflow.stores.erasure import message_hash
from supportflow.stores.memory_tables import Entry, Tables

__all__ = ["find", "load", "log"]

K = TypeVar("K")
V = TypeVar("V")


def load(tables: Tables, wanted: Wanted) -> Loaded:
    """Return what a program needs to decide.

    Args:
        tables: Where.
        wanted: What.
    """
    return Loaded(
        conversations=_conversations(tables, ((name, name) for name in wanted.conversations)),
        heads=_conversations(tables, _among(wanted.heads, tables.newest).items()),
        threads=_conversations(
            tables,
            (
                (thread, names[0])
                for thread, names in _among(wanted.threads, tables.threads).items()
                if names
            ),
        ),
        messages={
            key: tables.messages[*key, ""]
            for key in wanted.messages
            if (*key, "") in tables.messages
        },
        erased=frozenset(
            key for key in wanted.messages if message_hash(key, tables.secret) in tables.erased
        ),
        revisions={
            key: tuple(tables.messages[*key, revision] for revision in revisions)
            for key, revisions in _among(wanted.messages, tables.revisions).items()
        },
        removed=_among(wanted.messages, tables.removals),
        orphans={key: found for key in wanted.orphans if (found := _orphans(tables, key))},
        once=_among(wanted.once, tables.once),
        rows={row.id: row for row in _rows(tables, wanted)},
        channels=_among(wanted.channels, tables.channels),
        skeletons=_skeletons(tables, wanted),
    )


def _conversations(tables: Tables, names: Iterable[tuple[K, str]]) -> dict[K, Conversation]:
    return {
        key: tables.conversations[name].conversation
        for key, name in names
        if name in tables.conversations
    }


def _among(keys: Iterable[K], table: Mapping[K, V]) -> dict[K, V]:
    return {key: table[key] for key in keys if key in table}


def _orphans(tables: Tables, parent: MessageKey) -> tuple[Stored, ...]:
    waiting = map(tables.messages.__getitem__, tables.orphans)
    channel, _, name = parent
    found = [s for s in waiting if (s.message.channel, s.message.parent) == (channel, name)]
    return tuple(sorted(found, key=lambda stored: stored.message.at))


def _rows(tables: Tables, wanted: Wanted) -> Iterator[Row]:
    ids = [*wanted.rows, *_among(wanted.marks, tables.marks).values()]
    for rows in _among(wanted.replies, tables.replies).values():
        ids += rows
    yield from _among(ids, tables.rows).values()
    if remotes := set(wanted.remotes):
        for row in tables.rows.values():
            if (row.posting.channel, row.remote_id) in remotes:
                yield row


def _skeletons(tables: Tables, wanted: Wanted) -> dict[str, int]:
    if not wanted.skeletons:
        return {}
    since = wanted.skeletons_since
    went_out = (
        stored.skeleton
        for stored in tables.messages.values()
        if stored.skeleton in wanted.skeletons and (since is None or stored.message.at >= since)
    )
    return dict(Counter(skeleton for skeleton in went_out if skeleton is not None))


def find(tables: Tables, query: Query, now: datetime) -> Results:
    """Return one page of what matches.

    Args:
        tables: Where.
        query: What.
        now: The store's time.

    Raises:
        InvalidValue: If `limit` is under 1 or `after` is not from a page before.
    """
    match query:
        case Conversations(due=True):
            due = attrs.evolve(query, due=False, due_before=now)
            return attrs.evolve(find(tables, due, now), now=now)
        case Conversations():
            matching = (kept for kept in tables.conversations.values() if _matches(kept, query))
            kept, after = _page(query, ((_turn(one, query), one) for one in matching))
            return Results(conversations=tuple(one.conversation for one in kept), after=after)
        case Messages():
            messages, after = _page(query, _messages(tables, query))
            return Results(messages=messages, after=after)
        case Outbox():
            rows, after = _page(query, _outbox(tables, query))
            return Results(rows=rows, after=after)
        case Quarantine():
            items, after = _page(query, _quarantined(tables, query))
            return Results(quarantined=items, after=after)
        case Mentions():
            mentions, after = _page(query, _mentions(tables, query))
            return Results(mentions=mentions, after=after)
        case MentionCounts():
            return Results(counts=_counts(tables, query))
        case Vitals():
            return Results(vitals=_vitals(tables, now))


def _vitals(tables: Tables, now: datetime) -> StoreVitals:
    rows = [tables.rows[name] for name in tables.open]
    pending = [r for r in rows if r.state is RowState.pending and r.posting.hold is None]
    unknown = [r for r in rows if r.state is RowState.unknown]
    kept = tables.conversations.values()
    waiting = [
        k.conversation.waiting_since for k in kept if k.conversation.unanswered and not k.erased
    ]
    due = [k.next_due_at for k in kept]
    return StoreVitals(
        now,
        pending=len(pending),
        pending_since=_first([r.posting.not_before for r in pending], now),
        unknown=len(unknown),
        unknown_since=_first([r.first_sent_at for r in unknown]),
        held=sum(r.posting.hold is not None for r in rows),
        overdue=sum(r.posting.deadline < now for r in rows),
        due_since=_first(due, now),
        unanswered_since=_first(waiting),
        quarantined=sum(item.replayed_at is None for item in tables.quarantine.values()),
    )


def _first(times: Iterable[datetime | None], until: datetime | None = None) -> datetime | None:
    known = (at for at in times if at is not None and (until is None or at <= until))
    return min(known, default=None)


def _page(
    query: Paged, found: Iterable[tuple[tuple[Any, ...], V]]
) -> tuple[tuple[V, ...], str | None]:
    """Return the next values by their sort keys, and the last one's key as text."""
    if query.limit < 1:
        raise InvalidValue(f"limit is {query.limit}; a page holds at least 1")
    try:
        start = None if query.after is None else tuple(json.loads(query.after))
        rest = [pair for pair in found if start is None or pair[0] > start]
    except (TypeError, ValueError):
        raise InvalidValue(
            f"after is {query.after!r}; pass `Results.after` of the page before"
        ) from None
    page = heapq.nsmallest(query.limit + 1, rest, key=lambda pair: pair[0])
    after = json.dumps(page[query.limit - 1][0]) if len(page) > query.limit else None
    return tuple(value for _, value in page[: query.limit]), after


def _matches(kept: Entry, query: Conversations) -> bool:
    c, due = kept.conversation, query.due_before
    waits = c.unanswered and not kept.erased
    return (
        query.unanswered in {None, waits}
        and query.state in {None, c.state}
        and query.channel in {None, c.channel}
        and query.customer in {None, CustomerRef(c.channel, c.customer)}
        and query.assigned in {None, c.assigned or ""}
        and (query.tag is None or query.tag in c.tags)
        and (due is None or (kept.next_due_at is not None and kept.next_due_at <= due))
        and (query.policy_not is None or query.policy_not != kept.policy_version)
    )


def _turn(kept: Entry, query: Conversations) -> tuple[str, str]:
    """Return the sort key: who is due first, or waits longest, or is oldest."""
    c = kept.conversation
    at = c.waiting_since if query.unanswered else c.opened_at
    if query.due_before is not None:
        at = kept.next_due_at
    return "" if at is None else _sortable(at), c.id


def _sortable(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _messages(tables: Tables, query: Messages) -> Iterator[tuple[tuple[str, ...], Stored]]:
    for key, stored in tables.messages.items():
        if query.conversation not in {None, stored.conversation}:
            continue
        if query.customer is not None and not _of(tables, stored, query.customer):
            continue
        yield (_sortable(stored.message.at), *key), stored


def _of(tables: Tables, stored: Stored, customer: CustomerRef) -> bool:
    if stored.conversation is None:
        return False
    c = tables.conversations[stored.conversation].conversation
    return (c.channel, c.customer) == (customer.channel, customer.id)


def _outbox(tables: Tables, query: Outbox) -> Iterator[tuple[tuple[int], Row]]:
    for number, row in enumerate(tables.rows.values()):
        posting = row.posting
        overdue = query.overdue
        if (
            (not query.states or row.state in query.states)
            and query.channel in {None, posting.channel}
            and query.conversation in {None, posting.conversation}
            and query.held in {None, posting.hold is not None}
            and (overdue is None or (row.id in tables.open and posting.deadline < overdue))
        ):
            yield (number,), row


def _quarantined(
    tables: Tables, query: Quarantine
) -> Iterator[tuple[tuple[str, str], Quarantined]]:
    for item in tables.quarantine.values():
        if (
            query.channel in {None, item.channel}
            and (not query.ids or item.id in query.ids)
            and (query.replayed or item.replayed_at is None)
        ):
            yield (_sortable(item.at), item.id), item


def _mentions(
    tables: Tables, query: Mentions | MentionCounts
) -> Iterator[tuple[tuple[str, str, str, str], Mention]]:
    for mention in tables.mentions.values():
        message = mention.message
        if (*message.key, "") in tables.messages or not _within(message.at, query):
            continue
        if isinstance(query, MentionCounts) or (
            query.query in {None, mention.query}
            and query.channel in {None, message.channel}
            and query.customer in {None, CustomerRef(message.channel, message.author.id)}
        ):
            yield (_sortable(message.at), mention.query, *message.key[1:]), mention


def _within(at: datetime, query: Mentions | MentionCounts) -> bool:
    since, until = query.since, query.until
    return (since is None or since <= at) and (until is None or at < until)


def _counts(tables: Tables, query: MentionCounts) -> tuple[MentionCount, ...]:
    counted = Counter(
        (mention.query, mention.message.channel, mention.message.at.date())
        for _, mention in _mentions(tables, query)
    )
    return tuple(sorted(MentionCount(*place, count) for place, count in counted.items()))


def log(
    tables: Tables, after: Position, conversation: str | None, limit: int
) -> Sequence[Recorded]:
    """Return events after a position.

    Args:
        tables: Where.
        after: The position.
        conversation: Of this conversation only.
        limit: How many at most.
    """
    if conversation is None:
        positions: Iterable[int] = range(max(after, 0) + 1, len(tables.events) + 1)
    else:
        kept = tables.conversations.get(conversation)
        versions = range(1, (kept.conversation.version if kept else 0) + 1)
        places = (tables.versions[conversation, version] for version in versions)
        positions = (place for place in places if place > after)
    return [tables.events[position] for position in islice(positions, limit)]
