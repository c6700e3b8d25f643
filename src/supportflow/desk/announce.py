"""Announce what clocks and deadlines say, each once, whoever looks and when."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

import attrs

from supportflow.desk.arguments import limit_of
from supportflow.desk.core import Core, commit, find, fold, load, retrying
from supportflow.desk.settle import late_key, tell_alarm
from supportflow.desk.telemetry import tell
from supportflow.errors import Conflict
from supportflow.events import Announced, Event
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import Announce, replace
from supportflow.sla.verdict import alarms, next_due
from supportflow.stores import Changes, Conversations, Outbox, Row, Wanted, Written

__all__ = ["Alarm", "announce"]

#: (conversation id, what was announced); the stream's name for what belongs to no conversation.
Alarm = tuple[str, Announced]


def announce(core: Core, *, limit: int = 1000) -> Program[tuple[Alarm, ...]]:
    """Record every warning and breach that is due, and every reply that should have left.

    Timers only announce: a late look changes no verdict, and history that was backfilled
    is judged and never announced. A conversation that others keep changing is left to the
    next look. The store's clock says what is due, so that no host whose own is ahead alarms
    early (RELIABILITY G9).

    Args:
        limit: How many conversations, and how many late messages of the outbox, to look at.

    Returns:
        What was announced now, as (conversation id, event); of a message that belongs to no
        conversation, such as a broadcast, as (its stream, event).

    Raises:
        InvalidValue: If the limit is under 1.
        StoreUnavailable: If the store cannot do its work now; what was announced before that
            is recorded and logged.
    """
    found = yield from find(core, Conversations(due=True, limit=limit_of(limit)))
    now = found.now
    if now is None:
        raise TypeError(
            f"{type(core.store).__name__}.find(Conversations(due=True)) returned no now"
        )
    announced: list[Alarm] = []
    for conversation in found.conversations:
        announced += yield from _safely(core, now, conversation.id, ())
    late, alone = yield from _late(core, now, limit)
    for id, replies in late.items():  # noqa: A001  # its name
        announced += yield from _safely(core, now, id, replies)
    for row in alone:
        announced += yield from _alone(core, now, row)
    return tuple(announced)


def _late(
    core: Core, now: datetime, limit: int
) -> Program[tuple[dict[str, list[Announce]], list[Row]]]:
    """Return the alarms that nobody raised of replies past their deadline, by conversation.

    And the rows of messages that belong to none.
    """
    found: dict[str, list[Announce]] = {}
    alone: list[Row] = []
    query = Outbox(overdue=now, limit=limit)
    while True:
        page = yield from find(core, query)
        alarms_of = {_once(row.posting.conversation, _lateness(row).key): row for row in page.rows}
        known = (yield from load(core, Wanted(once=tuple(alarms_of)))).once
        for once, row in alarms_of.items():
            if once not in known and row.posting.conversation is not None:
                found.setdefault(row.posting.conversation, []).append(_lateness(row))
            elif once not in known:
                alone.append(row)
        if page.after is None:
            return found, alone
        query = attrs.evolve(query, after=page.after)


def _lateness(row: Row) -> Announce:
    reason = row.posting.hold or row.last_error or "nothing is known to be wrong with it"
    why = f"it should have left by now, and is {row.state}: {reason}"
    return Announce(late_key(row), "reply_late", row.posting.deadline, why)


def _once(id: str | None, key: str) -> str:  # noqa: A002  # its name
    return f"alarm:{id}:{key}"


def _safely(
    core: Core,
    now: datetime,
    id: str,  # noqa: A002  # its name
    late: Iterable[Announce],
) -> Program[list[Alarm]]:
    try:
        made = yield from retrying(lambda: _announce(core, now, id, late))
    except Conflict as error:
        tell(core.count, "announce_later", logging.WARNING, error, conversation=id)
        return []
    for event in made:
        tell_alarm(core, event, id)
    return [(id, event) for event in made]


def _alone(core: Core, now: datetime, row: Row) -> Program[list[Alarm]]:
    """Announce that a message of no conversation is late: its once-key is the record of it."""
    late = _lateness(row)
    once = {_once(None, late.key): row.posting.stream}
    try:
        yield from commit(core, Changes(now, once=once))
    except Conflict:  # somebody else did
        return []
    tell_alarm(core, late, row.posting.stream)
    return [(row.posting.stream, Announced(now, late.key, late.kind, late.due, late.why))]


def _announce(
    core: Core,
    now: datetime,
    id: str,  # noqa: A002  # its name
    late: Iterable[Announce],
) -> Program[list[Announced]]:
    """Announce what is due of one conversation, and which replies of it are late."""
    before = (yield from load(core, Wanted(conversations=(id,)))).conversations.get(id)
    if before is None:  # erased meanwhile
        return []
    due = {_once(id, alarm.key): alarm for alarm in (*alarms(before, core.policy, now), *late)}
    known = (yield from load(core, Wanted(once=tuple(due)))).once
    new = {once: alarm for once, alarm in due.items() if once not in known}
    after, events = before, list[Event]()
    for alarm in new.values():
        decided = decide(after, alarm, now, rules=core.rules)
        after = fold(core, after, decided)
        events += decided
    # A snapshot forgets old alarms; the once-keys do not, and need no second look.
    told = replace(after, announced=(*after.announced, *(due[once].key for once in known)))
    clock = (next_due(told, core.policy), core.policy_version)
    if events:
        written = Written(before.version, after, tuple(events), *clock)
        once_keys = dict.fromkeys(new, id)
        yield from commit(core, Changes(now, conversations=(written,), once=once_keys))
    else:
        yield from commit(core, Changes(now, retimed=((id, before.version, *clock),)))
    return [event for event in events if isinstance(event, Announced)]
