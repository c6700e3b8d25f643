"""Fold events into the snapshot; the log is the truth, the snapshot only its bounded fold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from supportflow.errors import InvalidValue
from supportflow.events import (
    Absorbed,
    Announced,
    Assigned,
    Cancelled,
    Classified,
    Closed,
    Deleted,
    Edited,
    Event,
    Failed,
    HandedOff,
    Held,
    Linked,
    Merged,
    Noted,
    Opened,
    Queued,
    Reacted,
    Received,
    Recorded,
    Released,
    Reported,
    Tagged,
    Told,
)
from supportflow.machine.rules import RULES, Rules, blank
from supportflow.model import (
    Base,
    Conversation,
    Intent,
    Mark,
    Marked,
    Mood,
    Pending,
    Progress,
    Reading,
    RemovedBy,
    State,
    replace,
)
from supportflow.sla.clock import fold, insert, settle, stricter

__all__ = ["evolve", "replay"]

#: How many announced once-keys a snapshot remembers; the store's once-keys never forget. Ours.
_ANNOUNCED = 32

#: More marks than any log has.
_UNBOUNDED = 1 << 62


def evolve(conversation: Conversation, event: Event, rules: Rules = RULES) -> Conversation:
    """Fold one event into a snapshot.

    Args:
        conversation: The snapshot before.
        event: What happened.
        rules: The rules in force.

    Returns:
        The snapshot after; its version is one higher.
    """
    changes = _EVOLVE[event.__class__](conversation, event, rules)
    if "progress" not in changes:
        core = conversation.progress
        changes["progress"] = Progress(core.state, core.version + 1, core.since)
    return replace(conversation, **changes)


def replay(
    log: Iterable[Recorded | Event], rules: Rules = RULES, *, bounded: bool = True
) -> Conversation:
    """Fold a whole log of one conversation.

    Args:
        log: Its events from the first on.
        rules: The rules in force.
        bounded: False keeps every mark, so that `verdicts` sees every clock ever.

    Raises:
        InvalidValue: If the log is empty or does not begin with `Opened`.
    """
    events = iter(log)
    first = next(events, None)
    opened = first.event if isinstance(first, Recorded) else first
    if not isinstance(opened, Opened):
        raise InvalidValue("a log begins with Opened; pass all events of one conversation in order")
    conversation = blank(opened.channel, opened.thread, opened.customer, opened.at, opened.number)
    if not bounded:
        rules = attrs.evolve(rules, max_marks=_UNBOUNDED)
    conversation = evolve(conversation, opened, rules)
    for item in events:
        event = item.event if isinstance(item, Recorded) else item
        conversation = evolve(conversation, event, rules)
    return conversation


# -- marks: states and clocks by platform time -------------------------------------------------


def _marked(c: Conversation, mark: Mark, rules: Rules, **changes: Any) -> dict[str, Any]:
    """Add a mark; the common case, at the end, needs no new fold."""
    marks = insert(c.marks, mark)
    if marks is c.marks:
        return changes
    quick = _QUICK.get(mark.what) if marks[-1] is mark else None
    derived = quick(c, mark, rules) if quick else None
    if derived is None:
        derived = _derive(c, c.base, marks, rules)
    if len(marks) > rules.max_marks:
        derived["base"], marks = settle(c.base, marks, rules.playbooks, rules.responders)
    return {**changes, **derived, "marks": marks}


def _derive(c: Conversation, base: Base, marks: tuple[Mark, ...], rules: Rules) -> dict[str, Any]:
    standing = fold(base, marks, rules.playbooks, rules.responders)
    after = standing.base
    return {
        "progress": Progress(after.state, c.version + 1, after.since or c.opened_at),
        "cycle": after.cycle,
        "playbook": after.playbook,
        "waiting_since": standing.waiting_since,
    }


def _quick_asked(c: Conversation, mark: Mark, rules: Rules) -> dict[str, Any] | None:
    for other in c.marks:
        if other.what is Marked.withdrawn:
            return None
    core = c.progress
    if core.state is State.resolved:
        return {
            "progress": Progress(State.received, core.version + 1, mark.at),
            "cycle": c.cycle + 1,
            "playbook": mark.playbook,
            "waiting_since": mark.at,
        }
    return {
        "playbook": stricter(c.playbook, mark.playbook, rules.playbooks),
        "waiting_since": c.waiting_since or mark.at,
    }


def _quick_told(c: Conversation, mark: Mark, rules: Rules) -> dict[str, Any] | None:
    if mark.by not in rules.responders:
        return {}
    if c.last_at is not None and (mark.covers or mark.at) < c.last_at:
        return None
    core = c.progress
    state, since = core.state, core.since
    edges = rules.book(c.playbook).edges
    for taken in mark.steps:
        to = edges[state].get(taken, state)
        if to is not state:
            state, since = to, mark.at
    return {"progress": Progress(state, core.version + 1, since), "waiting_since": None}


_QUICK: dict[Marked, Callable[[Conversation, Mark, Rules], dict[str, Any] | None]] = {
    Marked.asked: _quick_asked,
    Marked.told: _quick_told,
}


# -- one function an event ------------------------------------------------------------------


def _opened(c: Conversation, e: Opened, _rules: Rules) -> dict[str, Any]:
    return {"tags": e.tags, "previous": e.previous, "bystander_of": e.bystander_of}


def _severity(reading: Reading, rules: Rules) -> tuple[Any, ...]:
    book = rules.book(rules.playbook_for(reading))
    intents = list(Intent)
    intent = -1 if reading.intent is None else len(intents) - intents.index(reading.intent)
    return (book.strictness, list(Mood).index(reading.mood), intent, reading.language or "")


def _reading(c: Conversation, reading: Reading, reopens: bool, rules: Rules) -> Reading:
    """Keep the reading that asks for most: which one came first must not matter."""
    if reopens or reading == c.reading:
        return reading
    return max(c.reading, reading, key=lambda r: _severity(r, rules)) if c.last_at else reading


def _received(c: Conversation, e: Received, rules: Rules) -> dict[str, Any]:
    what = Marked.thanked if e.reading.gratitude else Marked.asked
    key = f"{e.kind}:{e.id}"
    mark = Mark(e.at, what, key, e.playbook, backfill=e.backfill)
    changes = _marked(c, mark, rules)
    if c.last_at is None or (e.at, (e.kind, e.id)) > (c.last_at, c.last_key):
        changes["last_at"], changes["last_key"] = e.at, (e.kind, e.id)
        changes["visibility"] = e.visibility
    if e.at < c.opened_at:
        changes["opened_at"] = e.at
    if not e.reading.gratitude or c.last_at is None:
        reopens = changes.get("cycle", c.cycle) > c.cycle
        changes["reading"] = _reading(c, e.reading, reopens, rules)
    changes["spoken"] = c.version + 1
    return changes


def _edited(c: Conversation, e: Edited, rules: Rules) -> dict[str, Any]:
    if not e.asks:
        return {}
    mark = Mark(e.at, Marked.asked, f"{e.kind}:{e.id}", e.playbook, backfill=e.backfill)
    changes = _marked(c, mark, rules, spoken=c.version + 1)
    if c.last_at is None or e.at > c.last_at:
        changes["last_at"] = e.at
    return changes


def _deleted(c: Conversation, e: Deleted, rules: Rules) -> dict[str, Any]:
    if not e.inbound or e.by is not RemovedBy.author:
        return {}
    return _marked(c, Mark(e.at, Marked.withdrawn, f"{e.kind}:{e.id}"), rules)


def _classified(c: Conversation, e: Classified, rules: Rules) -> dict[str, Any]:
    if e.message is None:
        mark = Mark(e.at, Marked.classified, f"classified:{c.version}", e.playbook)
        return _marked(c, mark, rules, reading=e.reading)
    key = f"{e.message[0]}:{e.message[1]}"
    what = Marked.thanked if e.reading.gratitude else Marked.asked
    asked = (Marked.asked, Marked.thanked)
    marks: tuple[Mark, ...] = ()
    for mark in c.marks:
        hit = mark.key == key and mark.what in asked
        marks = insert(marks, attrs.evolve(mark, what=what, playbook=e.playbook) if hit else mark)
    reading = e.reading if e.message == c.last_key else _reading(c, e.reading, False, rules)
    return {**_derive(c, c.base, marks, rules), "marks": marks, "reading": reading}


def _queued(c: Conversation, e: Queued, _rules: Rules) -> dict[str, Any]:
    pending = Pending(e.reply, e.parts, 0, e.steps, e.by, e.covers, e.outcome, e.due)
    return {"pending": (*c.pending, pending), "spoken": c.version + 1}


def _told(c: Conversation, e: Told, rules: Rules) -> dict[str, Any]:
    key = f"{e.reply}#{e.part}" if e.part else e.reply
    mark = Mark(e.at, Marked.told, key, "", e.by.kind, e.steps, e.covers, e.due, e.backfill)
    changes = _marked(c, mark, rules)
    if c.pending:
        changes["pending"] = tuple(_after_part(c.pending, e))
    else:
        changes["spoken"] = c.version + 1
    if e.outcome is not None:
        changes["outcome"] = e.outcome
    if e.at < c.opened_at:
        changes["opened_at"] = e.at
    return changes


def _after_part(pending: Iterable[Pending], e: Told) -> Iterable[Pending]:
    for reply in pending:
        if reply.id != e.reply:
            yield reply
        elif e.part + 1 < e.parts:
            yield attrs.evolve(reply, told=e.part + 1, held="")


def _with_hold(c: Conversation, reply: str, why: str) -> dict[str, Any]:
    changed = (attrs.evolve(p, held=why) if p.id == reply else p for p in c.pending)
    return {"pending": tuple(changed)}


def _failed(c: Conversation, e: Failed, _rules: Rules) -> dict[str, Any]:
    return _with_hold(c, e.reply, f"failed: {e.why}")


def _held(c: Conversation, e: Held, _rules: Rules) -> dict[str, Any]:
    return _with_hold(c, e.reply, e.why)


def _released(c: Conversation, e: Released, _rules: Rules) -> dict[str, Any]:
    return _with_hold(c, e.reply, "")


def _cancelled(c: Conversation, e: Cancelled, _rules: Rules) -> dict[str, Any]:
    return {"pending": tuple(p for p in c.pending if p.id != e.reply), "spoken": c.version + 1}


def _closed(c: Conversation, e: Closed, rules: Rules) -> dict[str, Any]:
    mark = Mark(e.at, Marked.closed, f"closed:{c.version}", by=e.by.kind, covers=e.covers)
    return _marked(c, mark, rules, outcome=e.outcome)


def _assigned(_c: Conversation, e: Assigned, _rules: Rules) -> dict[str, Any]:
    return {"assigned": e.to}


def _tagged(c: Conversation, e: Tagged, _rules: Rules) -> dict[str, Any]:
    return {"tags": (*(tag for tag in c.tags if tag not in e.remove), *e.add)}


def _handed_off(_c: Conversation, e: HandedOff, _rules: Rules) -> dict[str, Any]:
    return {"handed_to": e.to}


def _announced(c: Conversation, e: Announced, _rules: Rules) -> dict[str, Any]:
    return {"announced": (*c.announced, e.key)[-_ANNOUNCED:]}


def _linked(_c: Conversation, e: Linked, _rules: Rules) -> dict[str, Any]:
    return {"bystander_of": e.bystander_of}


def _merged(_c: Conversation, e: Merged, _rules: Rules) -> dict[str, Any]:
    return {"merged_into": e.into, "waiting_since": None, "pending": ()}


def _absorbed(c: Conversation, e: Absorbed, rules: Rules) -> dict[str, Any]:
    marks = c.marks
    for mark in e.marks:
        marks = insert(marks, mark)
    base = e.base if c.base == Base() else c.base
    changes: dict[str, Any] = {"base": base, "opened_at": min(c.opened_at, e.opened_at)}
    if e.last_at is not None and (c.last_at is None or e.last_at > c.last_at):
        changes["last_at"], changes["last_key"] = e.last_at, e.last_key
    changes["reading"] = _reading(c, e.reading, False, rules)
    changes["tags"] = tuple(dict.fromkeys((*c.tags, *e.tags)))
    changes["announced"] = (*c.announced, *e.announced)[-_ANNOUNCED:]
    changes["spoken"] = c.version + 1
    before = replace(c, opened_at=changes["opened_at"])
    return {**changes, **_derive(before, base, marks, rules), "marks": marks}


def _unchanged(_c: Conversation, _e: object, _rules: Rules) -> dict[str, Any]:
    return {}


_EVOLVE: dict[type, Callable[..., dict[str, Any]]] = {
    Opened: _opened,
    Received: _received,
    Edited: _edited,
    Deleted: _deleted,
    Reacted: _unchanged,
    Classified: _classified,
    Queued: _queued,
    Told: _told,
    Failed: _failed,
    Held: _held,
    Released: _released,
    Cancelled: _cancelled,
    Closed: _closed,
    Reported: _unchanged,
    Assigned: _assigned,
    Tagged: _tagged,
    Noted: _unchanged,
    HandedOff: _handed_off,
    Announced: _announced,
    Linked: _linked,
    Merged: _merged,
    Absorbed: _absorbed,
}
