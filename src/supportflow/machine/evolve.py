"""Fold events into the snapshot; the log is the truth, the snapshot only its bounded fold.

It is over 300 lines because each kind of event has its few lines here, and nowhere else.
"""

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
from supportflow.machine.marking import Fields, ask, refold, reread, tell
from supportflow.machine.rules import RULES, Rules, blank
from supportflow.model import (
    MAX_MARKS,
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
)
from supportflow.model.conversation import made_of
from supportflow.model.quick import maker
from supportflow.sla.clock import insert

__all__ = ["evolve", "replay"]

#: How many announced once-keys a snapshot remembers: those of all clocks that its marks can
#: hold, and their warnings. The store's once-keys never forget. Ours.
_ANNOUNCED = 4 * MAX_MARKS

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
    fields = conversation.__dict__.copy()
    _EVOLVE[event.__class__](fields, conversation, event, rules)
    core = conversation.progress
    if fields["progress"] is core:
        fields["progress"] = _progress(core.state, core.version + 1, core.since)
    return made_of(fields)


_progress, _mark, _pending = maker(Progress), maker(Mark), maker(Pending)
_ASKED, _TOLD = Marked.asked, Marked.told
_RESOLVED = State.resolved


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


# -- one function an event: it changes the fields of the snapshot that is being made ----------


def _opened(f: Fields, _c: Conversation, e: Opened, _rules: Rules) -> None:
    f["tags"], f["previous"], f["bystander_of"] = e.tags, e.previous, e.bystander_of
    if e.previous is not None:  # thanks at its beginning are for what was told before it
        f["base"] = Base(told=True)


def _received(f: Fields, c: Conversation, e: Received, rules: Rules) -> None:
    at, reading, last = e.at, e.reading, c.last_at
    key, book = f"{e.kind}:{e.id}", e.playbook
    if reading.gratitude:
        mark = Mark(at, Marked.thanked, key, book, backfill=e.backfill)
        refold(f, c, c.base, insert(c.marks, mark), rules)
    else:
        ask(f, c, _mark(at, _ASKED, key, book, None, (), None, None, e.backfill), rules)
    name = (e.kind, e.id)
    if last is None or at > last or (at == last and name > (c.last_key or name)):
        f["last_at"], f["last_key"], f["visibility"] = at, name, e.visibility
    if reading is not c.reading and (last is None or not reading.gratitude):
        f["reading"] = _reading(c, reading, f["cycle"] > c.cycle, rules)
    f["spoken"] = c.progress.version + 1


def _reading(c: Conversation, reading: Reading, reopens: bool, rules: Rules) -> Reading:
    """Keep the reading that asks for most: which one came first must not matter."""
    if reopens or c.last_at is None:
        return reading
    return max(c.reading, reading, key=lambda r: _severity(r, rules))


def _severity(reading: Reading, rules: Rules) -> tuple[Any, ...]:
    book = rules.book(rules.playbook_for(reading))
    return (book.strictness, _MOODS[reading.mood], _INTENTS[reading.intent], reading.language or "")


_MOODS = {mood: place for place, mood in enumerate(Mood)}
#: The earlier intent of two counts, and one that nobody has read counts least.
_INTENTS = {intent: place for place, intent in enumerate((None, *reversed(Intent)))}


def _edited(f: Fields, c: Conversation, e: Edited, rules: Rules) -> None:
    if not e.asks:
        return
    mark = Mark(e.at, Marked.asked, f"{e.kind}:{e.id}", e.playbook, backfill=e.backfill)
    refold(f, c, c.base, insert(c.marks, mark), rules)  # the message may be withdrawn by then
    if c.last_at is None or e.at > c.last_at:
        f["last_at"], f["last_key"] = e.at, (e.kind, e.id)
    f["spoken"] = c.version + 1


def _deleted(f: Fields, c: Conversation, e: Deleted, rules: Rules) -> None:
    if e.inbound and e.by is RemovedBy.author:
        mark = Mark(e.at, Marked.withdrawn, f"{e.kind}:{e.id}")
        refold(f, c, c.base, insert(c.marks, mark), rules)


def _classified(f: Fields, c: Conversation, e: Classified, rules: Rules) -> None:
    if e.message is None:
        f["reading"] = e.reading
        mark = Mark(e.at, Marked.classified, f"classified:{c.version}", e.playbook)
        refold(f, c, c.base, insert(c.marks, mark), rules)
        return
    f["reading"] = e.reading if e.message == c.last_key else _reading(c, e.reading, False, rules)
    marks = reread(c, e, f"{e.message[0]}:{e.message[1]}", rules)
    if marks != c.marks:
        refold(f, c, c.base, marks, rules)


def _queued(f: Fields, c: Conversation, e: Queued, _rules: Rules) -> None:
    pending = _pending(
        e.reply, e.parts, 0, e.steps, e.by, e.covers, e.outcome, e.due, "", e.feedback
    )
    f["pending"] = (*c.pending, pending)
    f["spoken"] = c.progress.version + 1


def _told(f: Fields, c: Conversation, e: Told, rules: Rules) -> None:
    part, linked = e.part, e.feedback is not None
    key = f"{e.reply}#{part}" if part else e.reply
    mark = _mark(e.at, _TOLD, key, "", e.by.kind, e.steps, e.covers, e.due, e.backfill, linked)
    tell(f, c, mark, rules)
    pending = c.pending
    if pending and pending[0].id == e.reply and part + 1 >= e.parts:  # replies go in order
        f["pending"] = pending[1:]
    elif any(reply.id == e.reply for reply in pending):
        f["pending"] = tuple(_after_part(pending, e))
    else:
        f["spoken"] = c.progress.version + 1
    # A step may have been legal no longer when it was told: then the outcome is none.
    if e.outcome is not None and (f["progress"].state is _RESOLVED or f["cycle"] > c.cycle):
        f["outcome"] = e.outcome


def _after_part(pending: Iterable[Pending], e: Told) -> Iterable[Pending]:
    for reply in pending:
        if reply.id != e.reply:
            yield reply
        elif e.part + 1 < e.parts:
            yield attrs.evolve(reply, told=e.part + 1, held="")


def _hold(f: Fields, c: Conversation, reply: str, why: str) -> None:
    f["pending"] = tuple([attrs.evolve(p, held=why) if p.id == reply else p for p in c.pending])


def _failed(f: Fields, c: Conversation, e: Failed, _rules: Rules) -> None:
    _hold(f, c, e.reply, f"failed: {e.why}")


def _held(f: Fields, c: Conversation, e: Held, _rules: Rules) -> None:
    _hold(f, c, e.reply, e.why)


def _released(f: Fields, c: Conversation, e: Released, _rules: Rules) -> None:
    _hold(f, c, e.reply, "")


def _cancelled(f: Fields, c: Conversation, e: Cancelled, _rules: Rules) -> None:
    f["pending"] = tuple([p for p in c.pending if p.id != e.reply])
    f["spoken"] = c.version + 1


def _closed(f: Fields, c: Conversation, e: Closed, rules: Rules) -> None:
    f["outcome"] = e.outcome
    mark = Mark(e.at, Marked.closed, f"closed:{c.version}", by=e.by.kind, covers=e.covers)
    refold(f, c, c.base, insert(c.marks, mark), rules)


def _assigned(f: Fields, _c: Conversation, e: Assigned, _rules: Rules) -> None:
    f["assigned"] = e.to


def _tagged(f: Fields, c: Conversation, e: Tagged, _rules: Rules) -> None:
    f["tags"] = (*(tag for tag in c.tags if tag not in e.remove), *e.add)


def _handed_off(f: Fields, _c: Conversation, e: HandedOff, _rules: Rules) -> None:
    f["handed_to"] = e.to


def _announced(f: Fields, c: Conversation, e: Announced, _rules: Rules) -> None:
    f["announced"] = (*c.announced, e.key)[-_ANNOUNCED:]


def _linked(f: Fields, _c: Conversation, e: Linked, _rules: Rules) -> None:
    f["bystander_of"] = e.bystander_of


def _merged(f: Fields, c: Conversation, e: Merged, _rules: Rules) -> None:
    """Give marks and replies away: what is measured twice would be wrong twice."""
    core = c.progress
    f["merged_into"], f["waiting_since"] = e.into, None
    f["pending"], f["marks"] = (), ()
    f["base"] = Base(core.state, core.since, c.cycle, c.playbook)


def _absorbed(f: Fields, c: Conversation, e: Absorbed, rules: Rules) -> None:
    f["opened_at"] = min(c.opened_at, e.opened_at)
    fresh = c.base == Base(told=c.base.told)
    base, marks = (e.base if fresh else c.base), c.marks
    for mark in e.marks if fresh else (*e.base.asks, *e.marks):
        marks = insert(marks, mark)
    if marks:
        refold(f, c, base, marks, rules)
    if e.last_at is not None and (c.last_at is None or e.last_at > c.last_at):
        f["last_at"], f["last_key"] = e.last_at, e.last_key
    f["reading"] = _reading(c, e.reading, False, rules)
    f["tags"] = tuple(dict.fromkeys((*c.tags, *e.tags)))
    f["announced"] = (*c.announced, *e.announced)[-_ANNOUNCED:]
    f["pending"] = (*c.pending, *e.pending)
    f["spoken"] = c.version + 1


def _unchanged(_f: Fields, _c: Conversation, _e: object, _rules: Rules) -> None:
    """Leave everything as it was; the event stands in the log."""


_EVOLVE: dict[type, Callable[..., None]] = {
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
