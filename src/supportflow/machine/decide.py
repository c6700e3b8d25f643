"""Decide what facts and commands mean: events, or a refusal that names what is legal.

It is over 300 lines because each kind of fact and command has its few lines here, and
nowhere else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from supportflow.errors import IllegalStep, InvalidValue, NotFound, Stale
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
    Merged,
    Noted,
    Opened,
    Queued,
    Reacted,
    Received,
    Released,
    Reported,
    Tagged,
    Told,
)
from supportflow.machine.evolve import evolve
from supportflow.machine.rules import RULES, Rules
from supportflow.model import (
    Agent,
    AgentKind,
    Announce,
    Answered,
    Assign,
    Cancel,
    Classify,
    Command,
    Conversation,
    Dismiss,
    Dismissed,
    Edit,
    Fact,
    Handoff,
    Hold,
    Inbound,
    Intent,
    Message,
    Note,
    Outbound,
    Outcome,
    PartRefused,
    PartTold,
    Pending,
    Reaction,
    Reading,
    Release,
    Removal,
    RemovedBy,
    Reply,
    State,
    StatusReport,
    Step,
    Tag,
    Thanked,
    Unread,
    aware,
)
from supportflow.model.quick import maker
from supportflow.playbook import PRAISE, Edges, Playbook

__all__ = ["Input", "decide", "legal_steps", "merge", "recheck"]

Input: TypeAlias = Fact | Command


def legal_steps(conversation: Conversation, rules: Rules = RULES) -> tuple[Step, ...]:
    """Return the steps that a reply may take now, after what is already queued.

    Args:
        conversation: A snapshot.
        rules: The rules in force.
    """
    book = rules.book(conversation.playbook)
    return book.legal(_state_after(conversation, conversation.pending, rules))


def decide(
    conversation: Conversation,
    what: Input,
    now: datetime,
    reading: Reading = Unread,
    rules: Rules = RULES,
    of: Message | None = None,
) -> tuple[Event, ...]:
    """Decide what a fact or a command means for a conversation.

    Args:
        conversation: Its snapshot, or a `blank` one.
        what: The fact or command.
        now: The time (aware).
        reading: What was understood of the fact's words.
        rules: The rules in force.
        of: For an edit or a removal: the message as first seen.

    Returns:
        The events, to be folded in order; none if nothing changes. Facts are never refused.

    Raises:
        IllegalStep: If a command takes a step that the playbook forbids now.
        Stale: If a command was made on an outdated view.
        NotFound: If a command names a reply that is not there.
        InvalidValue: If a command contradicts itself, it is neither fact nor command, or
            the time is naive.
    """
    deciding = _DECIDE.get(what.__class__)
    if deciding is None:
        raise InvalidValue(f"{what.__class__.__name__} is neither a fact nor a command")
    if now.tzinfo is not UTC:
        now = aware(now, "now")
    events = deciding(conversation, what, now, reading, rules, of)
    if conversation.progress.version == 0 and events:
        opened = _opened(conversation, what)
        return (opened, *events)
    return events


_RESOLVED = State.resolved
_opening, _received, _queued, _told = maker(Opened), maker(Received), maker(Queued), maker(Told)


def _opened(conversation: Conversation, what: Input) -> Opened:
    return _opening(
        conversation.opened_at,
        conversation.channel,
        conversation.thread,
        conversation.customer,
        conversation.number,
        what.message.tags if isinstance(what, Inbound | Outbound) else (),
        conversation.previous,
        conversation.bystander_of,
    )


def _inbound(
    _c: Conversation, fact: Inbound, _now: datetime, reading: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    message = fact.message
    return (
        _received(
            message.at,
            message.kind,
            message.id,
            message.visibility,
            reading,
            rules.playbook_for(reading),
            fact.backfill,
        ),
    )


def _outbound(
    c: Conversation, fact: Outbound, _now: datetime, reading: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    message = fact.message
    outcome = None
    if reading.steps and c.state is not State.resolved:
        book = rules.book(c.playbook)
        if _after(book.table(False), c.state, reading.steps) is State.resolved:
            outcome = _natural_outcome(book)
    return (
        _told(
            message.at,
            f"{message.kind}:{message.id}",
            0,
            1,
            fact.agent,
            reading.steps,
            None,
            outcome,
            None,
            message.id,
            fact.backfill,
        ),
    )


def _words(text: str) -> str:
    """Return letters with their marks, and digits: what an edit must change to say more.

    Vowel signs of Hindi are marks, and no word characters to regular expressions.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in plain if unicodedata.category(sign)[0] in "LMN")


def _edit(
    c: Conversation, fact: Edit, _now: datetime, reading: Reading, rules: Rules, of: Message | None
) -> tuple[Event, ...]:
    inbound = of is not None and of.author.id == c.customer
    asks = inbound and not reading.gratitude and _words(fact.text) != _words(of.text if of else "")
    return (
        Edited(
            max(fact.at, of.at) if of else fact.at,
            fact.kind,
            fact.id,
            fact.revision,
            asks,
            rules.playbook_for(reading) if asks else "",
            fact.backfill,
        ),
    )


def _removal(
    c: Conversation, fact: Removal, now: datetime, _r: Reading, _rules: Rules, of: Message | None
) -> tuple[Event, ...]:
    inbound = of is not None and of.author.id == c.customer
    at = max(fact.at, of.at) if of else fact.at
    events: list[Event] = [Deleted(at, fact.kind, fact.id, fact.by, fact.hidden, inbound)]
    if of is not None and inbound and fact.by is RemovedBy.author:
        for pending in c.pending:
            if not pending.held and _answers(c, pending, of):
                events += _held(now, pending.id, "the customer deleted the message that it answers")
    elif inbound:
        done = "hidden" if fact.hidden else "removed"
        why = f"a customer's message was {done} by {fact.by} in the platform's app"
        events.append(Announced(now, f"{done}:{fact.kind}:{fact.id}", f"message_{done}", None, why))
    return tuple(events)


def _answers(c: Conversation, reply: Pending, message: Message) -> bool:
    """Return whether a message was the customer's last one when a reply was queued."""
    if reply.covers is None or reply.covers < message.at:
        return False
    return reply.covers == message.at or (message.kind, message.id) == c.last_key


def _reaction(
    _c: Conversation, fact: Reaction, _now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    return (Reacted(fact.at, fact.kind, fact.id, fact.emoji),)


def _status(
    _c: Conversation, fact: StatusReport, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    reported = Reported(fact.at, fact.id, fact.status, fact.reason)
    if fact.status != "failed":
        return (reported,)
    why = f"the platform could not deliver our message: {fact.reason or 'no reason given'}"
    return (reported, Announced(now, f"undelivered:{fact.id}", "undelivered", None, why))


def _check_seen(conversation: Conversation, seen: int | None) -> None:
    if conversation.merged_into is not None:
        raise Stale(f"{conversation.id} became part of {conversation.merged_into}; answer there")
    if seen is not None and seen < conversation.spoken:
        raise Stale(
            f"{conversation.id} was read at version {seen}, and somebody wrote or queued at "
            f"{conversation.spoken}; read it again, or pass its id to answer anyway"
        )


def _after(edges: Edges, state: State, steps: Iterable[Step]) -> State:
    """Return where steps lead of which those that are not legal count for nothing."""
    for taken in steps:
        state = edges[state].get(taken, state)
    return state


def _state_after(c: Conversation, replies: Iterable[Pending], rules: Rules) -> State:
    state, book = c.state, rules.book(c.playbook)
    for reply in replies:
        if not reply.held:
            state = _after(book.table(reply.feedback is not None), state, reply.steps)
    return state


def _walk(book: Playbook, state: State, steps: Iterable[Step], feedback: bool) -> State:
    edges = book.table(feedback)
    for taken in steps:
        to = edges[state].get(taken)
        if to is None:
            why = "Link the feedback item that it became: feedback=ID."
            lacks = taken in book.edges[state]
            raise IllegalStep(taken, state, book.legal(state), why if lacks else "")
        state = to
    return state


def _natural_outcome(book: Playbook) -> Outcome:
    return Thanked() if book.name == PRAISE.name else Answered()


def _outcome(reply: Reply, before: State, after: State, book: Playbook) -> Outcome | None:
    """Return the outcome of a reply that ends a conversation, or tells more of how it ended."""
    ends = after is _RESOLVED is not before
    if reply.outcome is None:
        return _natural_outcome(book) if ends else None
    if isinstance(reply.outcome, Dismissed):
        raise InvalidValue("Dismissed means that nobody engages; use dismiss() instead of a reply")
    if not ends and not (before is _RESOLVED and Step.resolve in reply.steps):
        raise InvalidValue("an outcome was given, but the reply does not resolve; add 'resolve'")
    return reply.outcome


def _reply(
    c: Conversation, reply: Reply, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    if any(pending.id == reply.id for pending in c.pending):
        return ()
    _check_seen(c, reply.seen)
    book = rules.book(c.playbook)
    counts = reply.agent.kind in rules.responders
    steps = reply.steps if counts else ()
    before = _state_after(c, c.pending, rules) if c.pending else c.progress.state
    after = _walk(book, before, steps, bool(reply.feedback)) if steps else before
    return (
        _queued(
            now,
            reply.id,
            reply.agent,
            reply.parts,
            steps,
            c.last_at if counts else None,
            _outcome(reply, before, after, book),
            reply.promise_by,
            reply.feedback,
            reply.why,
        ),
    )


def recheck(
    conversation: Conversation, reply: str, now: datetime, rules: Rules = RULES
) -> tuple[Event, ...]:
    """Decide again, just before it leaves, whether a queued reply is still legal.

    Args:
        conversation: The snapshot as it is now.
        reply: The command id of the reply.
        now: The time (aware).
        rules: The rules in force.

    Returns:
        Nothing if it may go; otherwise the events that hold it for a person.
    """
    place = next((n for n, p in enumerate(conversation.pending) if p.id == reply), None)
    if place is None:
        return (Held(now, reply, "it is no longer on its way: cancelled, or told already"),)
    pending = conversation.pending[place]
    if pending.held:
        return (Held(now, reply, pending.held),)
    before = _state_after(conversation, conversation.pending[:place], rules)
    book = rules.book(conversation.playbook)
    try:
        _walk(book, before, pending.steps, pending.feedback is not None)
    except IllegalStep as error:
        return _held(now, reply, f"no longer legal: {error}")
    return ()


def _held(now: datetime, reply: str, why: str) -> tuple[Event, ...]:
    key = f"held:{reply}:{now.isoformat()}"
    return (Held(now, reply, why), Announced(now, key, "reply_held", None, why))


def _find(c: Conversation, reply: str) -> Pending:
    for pending in c.pending:
        if pending.id == reply:
            return pending
    raise NotFound(
        f"no reply {reply!r} is on its way in {c.id}; it was sent, cancelled or never queued"
    )


def _part_told(
    c: Conversation, done: PartTold, _now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    """Record a receipt; never refuse one, whatever became of the reply meanwhile."""
    receipt, reply, part = done.receipt, done.reply, done.part
    for pending in c.pending:
        if pending.id == reply:
            break
    else:
        return (_told(receipt.at, reply, part, 1, done.by, (), None, None, None, receipt.id),)
    if part < pending.told:
        return ()
    at, covers, parts = receipt.at, pending.covers, pending.parts
    if covers is not None and at < covers:
        at = covers
    if part + 1 < parts:
        return (_told(at, reply, part, parts, pending.by, (), covers, None, None, receipt.id),)
    return (
        _told(
            at,
            reply,
            part,
            parts,
            pending.by,
            pending.steps,
            covers,
            pending.outcome,
            pending.due,
            receipt.id,
            False,
            pending.feedback,
        ),
    )


def _part_refused(
    c: Conversation, done: PartRefused, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    failed = Failed(now, done.reply, done.part, done.why)
    key = f"failed:{done.reply}:{done.part}:{now.isoformat()}"
    alarm = Announced(now, key, "send_failed", None, done.why)
    after = evolve(c, failed, rules) if c.version else c
    held: list[Event] = []
    for pending in after.pending:
        if not pending.held:
            held += [e for e in recheck(after, pending.id, now, rules) if isinstance(e, Held)]
    return (failed, *held, alarm)


def _dismiss(
    c: Conversation, command: Dismiss, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    _check_seen(c, command.seen)
    by_person = command.confirmed and command.agent.kind is AgentKind.person
    if c.reading.intent is not Intent.spam and not by_person:
        why = (
            "Only spam is dismissed without a reply, or, confirmed by a person "
            "(confirmed=True), somebody who clearly only wants to take advantage."
        )
        raise IllegalStep("dismiss", c.state, legal_steps(c, rules), why)
    if c.state is State.resolved:
        raise IllegalStep("dismiss", c.state, legal_steps(c, rules), "It is resolved already.")
    why = "the conversation was dismissed"
    cancelled = (Cancelled(now, reply.id, command.agent, why) for reply in c.pending)
    return (
        Closed(_not_before(c, now), Dismissed(command.reason), command.agent, c.last_at),
        *cancelled,
    )


def _not_before(c: Conversation, now: datetime) -> datetime:
    """Return our time, or the platform's where that is ahead: a decision follows what it is on."""
    return max(now, c.last_at or c.opened_at)


def _classify(
    c: Conversation, command: Classify, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    at, book = _not_before(c, now), rules.playbook_for(command.reading)
    return (Classified(at, command.reading, book, command.message, command.agent),)


def _assign(
    c: Conversation, command: Assign, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    return () if c.assigned == command.to else (Assigned(now, command.to, command.agent),)


def _tag(
    c: Conversation, command: Tag, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    add = tuple(dict.fromkeys(tag for tag in command.add if tag not in c.tags))
    remove = tuple(dict.fromkeys(tag for tag in command.remove if tag in c.tags))
    return (Tagged(now, add, remove, command.agent),) if add or remove else ()


def _note(
    _c: Conversation, command: Note, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    return (Noted(now, command.id, command.agent),)


def _handoff(
    _c: Conversation, command: Handoff, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    return (HandedOff(now, command.to, command.agent, command.why),)


def _cancel(
    c: Conversation, command: Cancel, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    _find(c, command.reply)
    return (Cancelled(now, command.reply, command.agent, command.why),)


def _hold(
    c: Conversation, command: Hold, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    """Hold what is on its way; what no longer is needs no hold."""
    waiting = any(p.id == command.reply and not p.held for p in c.pending)
    return _held(now, command.reply, command.why) if waiting else ()


def _release(
    c: Conversation, command: Release, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    pending = _find(c, command.reply)
    if not pending.held:
        return ()
    before = _state_after(c, c.pending[: c.pending.index(pending)], rules)
    _walk(rules.book(c.playbook), before, pending.steps, pending.feedback is not None)
    return (Released(now, command.reply, command.agent, command.why),)


def _announce(
    c: Conversation, command: Announce, now: datetime, _r: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    if command.key in c.announced:
        return ()
    return (Announced(now, command.key, command.kind, command.due, command.why),)


_DECIDE: dict[type, Callable[..., tuple[Event, ...]]] = {
    Inbound: _inbound,
    Outbound: _outbound,
    Edit: _edit,
    Removal: _removal,
    Reaction: _reaction,
    StatusReport: _status,
    Reply: _reply,
    Dismiss: _dismiss,
    Classify: _classify,
    Assign: _assign,
    Tag: _tag,
    Note: _note,
    Handoff: _handoff,
    Cancel: _cancel,
    Hold: _hold,
    Release: _release,
    PartTold: _part_told,
    PartRefused: _part_refused,
    Announce: _announce,
}


def merge(
    source: Conversation, target: Conversation, now: datetime
) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Decide that one conversation turned out to be part of another.

    Args:
        source: The one that ends.
        target: The one that carries on.
        now: The time (aware).

    Returns:
        The events of the source and those of the target.
    """
    absorbed = Absorbed(
        now,
        source.id,
        source.opened_at,
        source.marks,
        source.base,
        source.last_at,
        source.last_key,
        source.reading,
        source.tags,
        source.announced,
        source.pending,
    )
    opened = () if target.version else (_opened(target, Note(Agent("supportflow"), "")),)
    return (Merged(now, target.id),), (*opened, absorbed)
