"""Pages of what matches a query, and of the log: always by keyset, never by offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from supportflow.errors import InvalidValue
from supportflow.events import Recorded
from supportflow.model import Conversation, CustomerRef
from supportflow.stores import (
    Conversations,
    MentionCounts,
    Mentions,
    Messages,
    Outbox,
    Paged,
    Position,
    Quarantine,
    Query,
    Results,
    Vitals,
)
from supportflow.stores.codec import decode
from supportflow.stores.erasure import FINAL
from supportflow.stores.sql import Dialect, Program, Statement, from_micros, micros
from supportflow.stores.sql_ids import split_id, tag_text
from supportflow.stores.sql_mentions import (
    MENTION_COLUMNS,
    MENTION_TABLES,
    conditions,
    count_mentions,
    mention_of,
)
from supportflow.stores.sql_rows import (
    EVENT_COLUMNS,
    EVENT_TABLES,
    MESSAGE_COLUMNS,
    MESSAGE_TABLES,
    OUTBOX_COLUMNS,
    OUTBOX_TABLES,
    QUARANTINE_COLUMNS,
    quarantined_of,
    recorded_of,
    row_of,
    stored_of,
)
from supportflow.stores.sql_vitals import vitals

__all__ = ["find", "log"]


@attrs.define
class _Select:
    """Collect conditions and their parameters, in the order of the text."""

    what: str
    order: tuple[str, str]
    conditions: list[str] = attrs.field(factory=list)
    params: list[Any] = attrs.field(factory=list)

    def where(self, condition: str, *params: Any) -> None:
        self.conditions.append(condition)
        self.params += params

    def page(self, limit: int, after: str | None) -> Statement:
        first, second = self.order
        if after is not None:
            value, number = _place(after)
            self.where(f"({first}, {second}) > (?, ?)", value, number)
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        return Statement(
            f"SELECT {first}, {second}, {self.what}{where} ORDER BY {first}, {second} LIMIT ?",
            (*self.params, limit + 1),
        )


def _place(after: str) -> tuple[int, int]:
    try:
        value, number = map(int, after.split(":"))
    except ValueError:
        raise InvalidValue(f"after is {after!r}; pass `Results.after` of the page before") from None
    return value, number


def find(dialect: Dialect, query: Query) -> Program[Results]:
    """Return one page.

    Args:
        dialect: The engine's.
        query: What to look for.

    Raises:
        InvalidValue: If `limit` is under 1 or `after` is not from a page before.
    """
    if isinstance(query, Vitals):
        return Results(vitals=(yield from vitals(dialect)))
    if isinstance(query, MentionCounts):
        return Results(counts=(yield from count_mentions(query)))
    if query.limit < 1:
        raise InvalidValue(f"limit is {query.limit}; a page holds at least 1")
    if isinstance(query, Conversations) and query.due:
        now = from_micros((yield Statement(f"SELECT {dialect.now}")).rows[0][0])
        due = attrs.evolve(query, due=False, due_before=now)
        return attrs.evolve((yield from find(dialect, due)), now=now)
    select = _select(dialect, query)
    found = yield select.page(query.limit, query.after)
    page = found.rows[: query.limit]
    after = f"{page[-1][0]}:{page[-1][1]}" if len(found.rows) > query.limit else None
    return _results(query, [row[2:] for row in page], after)


def _select(dialect: Dialect, query: Paged) -> _Select:
    match query:
        case Conversations():
            return _conversations(dialect, query)
        case Messages():
            return _messages(query)
        case Outbox():
            return _outbox(dialect, query)
        case Quarantine():
            return _quarantine(dialect, query)
        case Mentions():
            return _mentions(query)


def _results(query: Paged, rows: Sequence[Sequence[Any]], after: str | None) -> Results:
    match query:
        case Conversations():
            found = tuple(decode(Conversation, snapshot) for (snapshot,) in rows)
            return Results(conversations=found, after=after)
        case Messages():
            return Results(messages=tuple(map(stored_of, rows)), after=after)
        case Outbox():
            return Results(rows=tuple(map(row_of, rows)), after=after)
        case Quarantine():
            return Results(quarantined=tuple(map(quarantined_of, rows)), after=after)
        case Mentions():
            return Results(mentions=tuple(map(mention_of, rows)), after=after)


def _conversations(dialect: Dialect, query: Conversations) -> _Select:
    select = _Select("c.snapshot FROM conversation AS c", ("c.opened_at", "c.id"))
    if query.unanswered is True:
        select.order = ("c.unanswered_since", "c.id")
        select.where("c.unanswered_since IS NOT NULL")
    elif query.unanswered is False:
        select.where("c.unanswered_since IS NULL")
    if query.due_before is not None:
        select.order = ("c.next_due_at", "c.id")
        select.where("c.next_due_at <= ?", micros(query.due_before))
    for column, value in (("state", query.state), ("channel", query.channel)):
        if value is not None:
            select.where(f"c.{column} = ?", str(value))
    if query.customer is not None:
        select.where(*_of_customer(query.customer))
    if query.assigned is not None:
        select.where("coalesce(c.assigned, '') = ?", query.assigned)
    if query.tag is not None:
        select.where(f"{dialect.within}(c.tags, ?) > 0", tag_text(query.tag))
    if query.policy_not is not None:
        select.where("c.policy_version <> ?", query.policy_not)
    return select


def _of_customer(customer: CustomerRef) -> tuple[str, str, str]:
    return "c.customer = ? AND c.channel = ?", customer.id, customer.channel


def _messages(query: Messages) -> _Select:
    select = _Select(f"{MESSAGE_COLUMNS} FROM {MESSAGE_TABLES}", ("m.at", "m.id"))
    if query.conversation is not None:
        select.where("c.head = ? AND c.number = ?", *split_id(query.conversation))
    if query.customer is not None:
        select.where(*_of_customer(query.customer))
    return select


def _outbox(dialect: Dialect, query: Outbox) -> _Select:
    select = _Select(f"{OUTBOX_COLUMNS} FROM {OUTBOX_TABLES}", ("o.number", "o.number"))
    if query.overdue is not None or (query.states and FINAL.isdisjoint(query.states)):
        select.where("o.settled_at IS NULL")  # few rows, which have an index of their own
    if query.states:
        among = f"o.state IN (SELECT value FROM {dialect.each})"
        select.where(among, dialect.array([state.value for state in query.states]))
    if query.channel is not None:
        select.where("o.channel = ?", query.channel)
    if query.conversation is not None:
        select.where("c.head = ? AND c.number = ?", *split_id(query.conversation))
    if query.held is not None:
        select.where(f"o.hold IS {'NOT ' if query.held else ''}NULL")
    if query.overdue is not None:
        select.where("o.deadline < ?", micros(query.overdue))
    return select


def _quarantine(dialect: Dialect, query: Quarantine) -> _Select:
    select = _Select(f"{QUARANTINE_COLUMNS} FROM quarantine AS q", ("q.at", "q.number"))
    if query.channel is not None:
        select.where("q.channel = ?", query.channel)
    if query.ids:
        select.where(f"q.id IN (SELECT value FROM {dialect.each})", dialect.array(query.ids))
    if not query.replayed:
        select.where("q.replayed_at IS NULL")
    return select


def _mentions(query: Mentions) -> _Select:
    select = _Select(f"{MENTION_COLUMNS} FROM {MENTION_TABLES}", ("n.at", "n.number"))
    for condition, params in conditions(query):
        select.where(condition, *params)
    return select


def log(
    after: Position, conversation: str | None, limit: int, until: Position | None = None
) -> Program[list[Recorded]]:
    """Return events after a position.

    Args:
        after: The position.
        conversation: Of this conversation only.
        limit: How many at most.
        until: Up to this position only; None for all.
    """
    of_one = "" if conversation is None else " AND c.head = ? AND c.number = ?"
    upto = "" if until is None else " AND e.position <= ?"
    found = yield Statement(
        f"SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES}"
        f" WHERE e.position > ?{of_one}{upto} ORDER BY e.position LIMIT ?",
        (
            after,
            *(() if conversation is None else split_id(conversation)),
            *(() if until is None else (until,)),
            limit,
        ),
    )
    return list(map(recorded_of, found.rows))
