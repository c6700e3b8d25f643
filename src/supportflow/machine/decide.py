"""Decide what facts and commands mean: events, or a refusal that names what is legal.

It is over 300 lines because each kind of fact and command has its few lines here, and
nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
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
)
from supportflow.playbook import PRAISE

__all__ = ["Input", "decide", "legal_steps", "merge", "recheck"]

Input: TypeAlias = Fact | Command


def legal_steps(conversation: Conversation, rules: Rules = RULES) -> tuple[Step, ...]:
    """Return the steps that a reply may take now, after what is already queued.

    Args:
        conversation: A snapshot.
        rules: The rules in force.
    """
    state = _state_after(conversation, conversation.pending, rules)
    return rules.book(conversation.playbook).legal(state)


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
        InvalidValue: If a command contradicts itself.
    """
    events = _DECIDE[what.__class__](conversation, what, now, reading, rules, of)
    if conversation.version == 0 and events:
        opened = _opened(conversation, what)
        return (opened, *events)
    return events


def _opened(conversation: Conversation, what: Input) -> Opened:
    return Opened(
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
        Received(
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
    _c: Conversation, fact: Outbound, _now: datetime, reading: Reading, _rules: Rules, _of: Any
) -> tuple[Event, ...]:
    message = fact.message
    return (
        Told(
            message.at,
            f"{message.kind}:{message.id}",
            0,
            1,
            fact.agent,
            reading.steps,
            None,
            Answered() if Step.resolve in reading.steps else None,
            remote=message.id,
            backfill=fact.backfill,
        ),
    )


_WORD = re.compile(r"\w+")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


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
    if inbound and fact.by is RemovedBy.author and (fact.kind, fact.id) == c.last_key:
        why = "the customer deleted the message that it answers"
        events += [Held(now, p.id, why) for p in c.pending if not p.held]
    if inbound and fact.by is not RemovedBy.author:
        done = "hidden" if fact.hidden else "removed"
        why = f"a customer's message was {done} by {fact.by} in the platform's app"
        events.append(Announced(now, f"{done}:{fact.kind}:{fact.id}", f"message_{done}", None, why))
    return tuple(events)


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
    if seen is not None and seen < conversation.spoken:
        raise Stale(
            f"{conversation.id} was read at version {seen}, and somebody wrote or queued at "
            f"{conversation.spoken}; read it again, or pass its id to answer anyway"
        )


def _state_after(c: Conversation, replies: Iterable[Pending], rules: Rules) -> State:
    state, edges = c.state, rules.book(c.playbook).edges
    for reply in replies:
        for taken in () if reply.held else reply.steps:
            state = edges[state].get(taken, state)
    return state


def _walk(c: Conversation, state: State, steps: Iterable[Step], rules: Rules) -> State:
    book = rules.book(c.playbook)
    for taken in steps:
        to = book.edges[state].get(taken)
        if to is None:
            raise IllegalStep(taken, state, book.legal(state))
        state = to
    return state


def _outcome(c: Conversation, reply: Reply, resolves: bool, rules: Rules) -> Outcome | None:
    book = rules.book(c.playbook)
    if reply.outcome is not None and not resolves:
        raise InvalidValue("an outcome was given, but the reply does not resolve; add 'resolve'")
    if isinstance(reply.outcome, Dismissed):
        raise InvalidValue("Dismissed means that nobody engages; use dismiss() instead of a reply")
    if not resolves:
        return None
    if book.needs_feedback and not reply.feedback:
        why = "Link the feedback item that the suggestion became: feedback=ID."
        raise IllegalStep(Step.resolve, c.state, book.legal(c.state), why)
    return reply.outcome or (Thanked() if book.name == PRAISE.name else Answered())


def _reply(
    c: Conversation, reply: Reply, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    _check_seen(c, reply.seen)
    steps = reply.steps if reply.agent.kind in rules.responders else ()
    before = _state_after(c, c.pending, rules)
    after = _walk(c, before, steps, rules)
    resolves = after is State.resolved and bool(steps)
    return (
        Queued(
            now,
            reply.id,
            reply.agent,
            reply.parts,
            steps,
            c.last_at,
            _outcome(c, reply, resolves, rules),
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
        return ()
    before = _state_after(conversation, conversation.pending[:place], rules)
    try:
        _walk(conversation, before, conversation.pending[place].steps, rules)
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
    receipt = done.receipt
    pending = next((p for p in c.pending if p.id == done.reply), None)
    if pending is None:
        return (Told(receipt.at, done.reply, done.part, 1, done.by, (), None, remote=receipt.id),)
    if done.part < pending.told:
        return ()
    last = pending.told + 1 == pending.parts
    return (
        Told(
            max(receipt.at, pending.covers) if pending.covers else receipt.at,
            done.reply,
            done.part,
            pending.parts,
            pending.by,
            pending.steps if last else (),
            pending.covers,
            pending.outcome if last else None,
            pending.due if last else None,
            receipt.id,
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
    return (Closed(now, Dismissed(command.reason), command.agent, c.last_at),)


def _classify(
    _c: Conversation, command: Classify, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    book = rules.playbook_for(command.reading)
    return (Classified(now, command.reading, book, command.message, command.agent),)


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
    return () if _find(c, command.reply).held else _held(now, command.reply, command.why)


def _release(
    c: Conversation, command: Release, now: datetime, _r: Reading, rules: Rules, _of: Any
) -> tuple[Event, ...]:
    pending = _find(c, command.reply)
    if not pending.held:
        return ()
    ahead = c.pending[: c.pending.index(pending)]
    _walk(c, _state_after(c, ahead, rules), pending.steps, rules)
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
    )
    opened = () if target.version else (_opened(target, Note(Agent("supportflow"), "")),)
    return (Merged(now, target.id),), (*opened, absorbed)
