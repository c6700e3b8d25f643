"""Announce what clocks say: warnings and breaches, each once, whoever looks and when."""

from __future__ import annotations

import logging

from supportflow.desk.core import Core, commit, find, fold, load, retrying, written
from supportflow.events import Announced, Event
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import Conversation
from supportflow.sla.verdict import alarms, next_due
from supportflow.stores import Changes, Conversations, Wanted

__all__ = ["Alarm", "announce"]

_log = logging.getLogger("supportflow")

#: (conversation id, what was announced).
Alarm = tuple[str, Announced]


def announce(core: Core, *, limit: int = 1000) -> Program[tuple[Alarm, ...]]:
    """Record every warning and breach that is due, and return them.

    Timers only announce: a late look changes no verdict, and history that was backfilled
    is judged and never announced.

    Args:
        limit: How many conversations to look at, at most.

    Returns:
        What was announced now, as (conversation id, event).
    """
    now = core.now()
    found = yield from find(core, Conversations(due_before=now, limit=limit))
    announced: list[Alarm] = []
    for conversation in found.conversations:
        announced += yield from _announce_one(core, conversation.id)
    for id, event in announced:  # noqa: A001  # its name
        _log.warning("alarm %s conversation=%s due=%s", event.kind, id, event.due)
    return tuple(announced)


def _announce_one(core: Core, id: str) -> Program[list[Alarm]]:  # noqa: A002  # its name
    def attempt() -> Program[list[Alarm]]:
        loaded = yield from load(core, Wanted(conversations=(id,)))
        before = loaded.conversations.get(id)
        if before is None:
            return []
        return (yield from _announce_now(core, before))

    return (yield from retrying(attempt))


def _announce_now(core: Core, before: Conversation) -> Program[list[Alarm]]:
    now, after = core.now(), before
    events: list[Event] = []
    for command in alarms(before, core.policy, now):
        decided = decide(after, command, now, rules=core.rules)
        after = fold(core, after, decided)
        events += decided
    if not events:
        due = next_due(before, core.policy)
        retimed = ((before.id, before.version, due, core.policy_version),)
        yield from commit(core, Changes(now, retimed=retimed))
        return []
    made = [event for event in events if isinstance(event, Announced)]
    once = {f"alarm:{before.id}:{event.key}": before.id for event in made}
    change = written(core, before.version, after, tuple(events))
    yield from commit(core, Changes(now, conversations=(change,), once=once))
    return [(before.id, event) for event in made]
