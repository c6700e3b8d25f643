"""Announce what clocks and deadlines say, each once, whoever looks and when."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import attrs

from supportflow.desk.core import Core, commit, find, fold, load, retrying
from supportflow.errors import Conflict
from supportflow.events import Announced, Event
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import Announce, replace
from supportflow.sla.verdict import alarms, next_due
from supportflow.stores import Changes, Conversations, Outbox, Row, Wanted, Written

__all__ = ["Alarm", "announce"]

_log = logging.getLogger("supportflow")

#: (conversation id, what was announced).
Alarm = tuple[str, Announced]


def announce(core: Core, *, limit: int = 1000) -> Program[tuple[Alarm, ...]]:
    """Record every warning and breach that is due, and every reply that should have left.

    Timers only announce: a late look changes no verdict, and history that was backfilled
    is judged and never announced. A conversation that others keep changing is left to the
    next look.

    Args:
        limit: How many conversations, and how many late messages of the outbox, to look at.

    Returns:
        What was announced now, as (conversation id, event).

    Raises:
        StoreUnavailable: If the store cannot do its work now; what was announced before that
            is recorded and logged.
    """
    found = yield from find(core, Conversations(due_before=core.now(), limit=limit))
    announced: list[Alarm] = []
    for conversation in found.conversations:
        announced += yield from _safely(core, conversation.id, ())
    for id, late in (yield from _late(core, limit)).items():  # noqa: A001  # its name
        announced += yield from _safely(core, id, late)
    return tuple(announced)


def _late(core: Core, limit: int) -> Program[dict[str, list[Announce]]]:
    """Return the alarms of replies past their deadline that nobody raised, by conversation."""
    found: dict[str, list[Announce]] = {}
    query = Outbox(overdue=core.now(), limit=limit)
    while True:
        page = yield from find(core, query)
        alarms_of = {_once(row.posting.conversation, _lateness(row).key): row for row in page.rows}
        known = (yield from load(core, Wanted(once=tuple(alarms_of)))).once
        for once, row in alarms_of.items():
            if once not in known and row.posting.conversation is not None:
                found.setdefault(row.posting.conversation, []).append(_lateness(row))
        if page.after is None:
            return found
        query = attrs.evolve(query, after=page.after)


def _lateness(row: Row) -> Announce:
    reason = row.posting.hold or row.last_error or "nothing is known to be wrong with it"
    why = f"it should have left by now, and is {row.state}: {reason}"
    return Announce(f"late:{row.posting.reply}", "reply_late", row.posting.deadline, why)


def _once(id: str | None, key: str) -> str:  # noqa: A002  # its name
    return f"alarm:{id}:{key}"


def _safely(core: Core, id: str, late: Iterable[Announce]) -> Program[list[Alarm]]:  # noqa: A002  # its name
    try:
        made = yield from retrying(lambda: _announce(core, id, late))
    except Conflict as error:
        _log.warning("announce_later conversation=%s: %s", id, error)
        return []
    for event in made:
        _log.warning("alarm %s conversation=%s due=%s %s", event.kind, id, event.due, event.why)
    return [(id, event) for event in made]


def _announce(core: Core, id: str, late: Iterable[Announce]) -> Program[list[Announced]]:  # noqa: A002  # its name
    """Announce what is due of one conversation, and which replies of it are late."""
    before = (yield from load(core, Wanted(conversations=(id,)))).conversations.get(id)
    if before is None:  # erased meanwhile
        return []
    now = core.now()
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
