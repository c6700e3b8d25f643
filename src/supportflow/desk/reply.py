"""Answer customers: every reply passes the gate, is legal when queued, and waits in the outbox."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import attrs

from supportflow.channels import Channel
from supportflow.desk.core import (
    Core,
    as_agent,
    commit,
    fold,
    get_conversation,
    load,
    retrying,
    written,
)
from supportflow.errors import EtiquetteError, InvalidValue, NotFound, Unsupported, WindowClosed
from supportflow.etiquette import Context, blocking, check
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import (
    Agent,
    AgentKind,
    Author,
    Card,
    Conversation,
    Finding,
    Message,
    Outcome,
    Outgoing,
    Reply,
    Step,
    Visibility,
)
from supportflow.stores import Changes, Direction, Loaded, Posting, Stored, Wanted
from supportflow.text import skeleton, storable

__all__ = ["acknowledge", "apologize", "draft", "promise", "reply", "resolve"]

#: Makes the ids of outbox rows from command ids: uuid5(this, "command:n").
_ROWS = uuid.UUID("6d0c7f3e-5b58-5a0e-9d0a-2f1c4b8e7a11")
#: An alarm is due for a reply that has no final state after this. Ours.
REPLY_DEADLINE = timedelta(hours=1)
#: How far back canned texts are counted. Ours.
_LATELY = timedelta(days=7)


@attrs.frozen
class _Draft:
    """Hold what an agent asked to say, before anything is decided."""

    texts: tuple[str, ...]
    steps: tuple[Step, ...]
    outcome: Outcome | None
    promise_by: datetime | None
    agent: Agent
    key: str
    override: str
    visibility: Visibility | None
    to: tuple[str, str] | None
    language: str | None
    feedback: str | None
    card: Card | None
    quick_replies: tuple[str, ...]
    seen: int | None


def _texts(text: str | Sequence[str]) -> tuple[str, ...]:
    parts = (text,) if isinstance(text, str) else tuple(text)
    if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise InvalidValue(f"text is {text!r}; a reply needs words, or a list of parts with words")
    return tuple(storable(part) for part in parts)


def reply(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    steps: Iterable[str] = (),
    outcome: Outcome | None = None,
    promise_by: datetime | None = None,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
    visibility: str | None = None,
    to: tuple[str, str] | None = None,
    language: str | None = None,
    feedback: str | None = None,
    card: Card | None = None,
    quick_replies: Sequence[str] = (),
) -> Program[Conversation]:
    """Queue an answer to a customer, where they wrote and as visibly as they wrote.

    Args:
        conversation: The conversation as you read it: then nobody may have written or
            queued since. Or its id, which opts out of that check.
        text: The words; a list is sent as several messages in order.
        steps: Which of `"acknowledge"`, `"apologize"`, `"resolve"` the words take.
        outcome: How it resolves the conversation; `Answered()` if it does and none is given.
        promise_by: When the promise that the words make is due (aware).
        agent: Who wrote it: an `Agent`, or the id of a person.
        key: Your own id for this command; the same key again changes nothing.
        override: The reason for sending a text that the gate blocks; it is recorded.
        visibility: `"private"` to answer a public message privately; never wider.
        to: The (kind, id) of the message to answer; the customer's last one by default.
        language: The language of the words (BCP 47).
        feedback: The feedback item that a suggestion was turned into.
        card: A product to show, where the network can.
        quick_replies: Answers to offer as buttons, where the network can.

    Returns:
        The conversation with the reply on its way.

    Raises:
        InvalidValue: If the text is empty or an argument contradicts another.
        IllegalStep: If a step is not legal now; it names those that are.
        Stale: If somebody wrote or queued since the conversation was read.
        EtiquetteError: If a rule blocks the text.
        WindowClosed: If the platform no longer takes private replies here.
        Unsupported: If the network cannot express it.
        NotFound: If the conversation or its channel is not known.
    """
    said = _Draft(
        _texts(text),
        Reply("", Agent("agent"), steps=steps).steps,
        outcome,
        promise_by,
        as_agent(agent),
        key or uuid.uuid4().hex,
        override,
        None if visibility is None else Visibility(visibility),
        to,
        language,
        feedback,
        card,
        tuple(quick_replies),
        conversation.version if isinstance(conversation, Conversation) else None,
    )
    id = conversation.id if isinstance(conversation, Conversation) else conversation  # noqa: A001  # its name
    return (yield from retrying(lambda: _queue(core, id, said)))


def acknowledge(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that acknowledge the problem; see `reply`.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.
    """
    return reply(
        core, conversation, text, steps=["acknowledge"], agent=agent, key=key, override=override
    )


def apologize(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that apologize for the trouble; see `reply`.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.
    """
    return reply(
        core, conversation, text, steps=["apologize"], agent=agent, key=key, override=override
    )


def resolve(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    outcome: Outcome | None = None,
    feedback: str | None = None,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that put the problem right; see `reply`.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        outcome: How it ends; `Answered()` by default.
        feedback: The feedback item that a suggestion was turned into.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.
    """
    return reply(
        core,
        conversation,
        text,
        steps=["resolve"],
        outcome=outcome,
        feedback=feedback,
        agent=agent,
        key=key,
        override=override,
    )


def promise(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    by: datetime,
    steps: Iterable[str] = (),
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that promise to come back, and start the clock for it (mission M9).

    Args:
        conversation: The conversation, or its id.
        text: The words.
        by: When you will have come back (aware, in the future).
        steps: The steps that the words take besides.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.

    Raises:
        InvalidValue: If `by` is naive or not in the future.
    """
    if not isinstance(by, datetime) or by.tzinfo is None or by <= core.now():
        raise InvalidValue(f"by is {by!r}; a promise needs an aware time in the future")
    return reply(
        core,
        conversation,
        text,
        steps=steps,
        promise_by=by,
        agent=agent,
        key=key,
        override=override,
    )


def draft(
    core: Core,
    conversation: Conversation | str,
    text: str,
    *,
    steps: Iterable[str] = (),
    visibility: str | None = None,
) -> Program[tuple[Finding, ...]]:
    """Return what the gate says of a text, without sending it.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        steps: The steps that the words take.
        visibility: Who would read it; as the customer's last message by default.
    """
    (words,) = _texts(text)
    id = conversation.id if isinstance(conversation, Conversation) else conversation  # noqa: A001  # its name
    found = yield from get_conversation(core, id)
    taken = Reply("", Agent("agent"), steps=steps).steps
    seen = yield from load(core, _wanted(core, found, (words,), None))
    shown = Visibility(visibility) if visibility else found.visibility
    return check(words, _context(core, found, words, taken, shown, None, seen), core.etiquette)


def _wanted(
    core: Core, conversation: Conversation, texts: tuple[str, ...], to: tuple[str, str] | None
) -> Wanted:
    answered = to or conversation.last_key
    return Wanted(
        messages=() if answered is None else ((conversation.channel, *answered),),
        skeletons=tuple(map(skeleton, texts)),
        skeletons_since=core.now() - _LATELY,
    )


def _context(
    core: Core,
    conversation: Conversation,
    text: str,
    steps: tuple[Step, ...],
    visibility: Visibility,
    language: str | None,
    loaded: Loaded,
) -> Context:
    traits = core.channel(conversation.channel).traits
    return Context(
        conversation,
        visibility,
        steps,
        traits.max_text,
        traits.count,
        language or conversation.reading.language,
        loaded.skeletons.get(skeleton(text), 0),
    )


def _queue(core: Core, id: str, said: _Draft) -> Program[Conversation]:  # noqa: A002  # its name
    once = f"command:{said.key}"
    found = yield from get_conversation(core, id)
    loaded = yield from load(
        core, attrs.evolve(_wanted(core, found, said.texts, said.to), once=(once,))
    )
    if once in loaded.once:
        return found
    channel, now = core.channel(found.channel), core.now()
    answered = _answered(found, said, loaded)
    visibility = _visibility(answered.message, said, channel)
    _expressible(channel, said)
    _in_window(found, channel, visibility, said.agent, now)
    _pass_gate(core, found, said, visibility, loaded)
    command = Reply(
        said.key,
        said.agent,
        len(said.texts),
        said.steps,
        said.outcome,
        said.promise_by,
        said.seen,
        said.feedback,
        said.override,
    )
    events = decide(found, command, now, rules=core.rules)
    after = fold(core, found, events)
    postings = tuple(_postings(found, answered.message, said, visibility, now))
    changes = Changes(
        now,
        conversations=(written(core, found.version, after, events),),
        messages=tuple(_stored(found, posting, said, now) for posting in postings),
        once={once: after.id},
        postings=postings,
    )
    yield from commit(core, changes)
    return after


def _answered(conversation: Conversation, said: _Draft, loaded: Loaded) -> Stored:
    """Return the message that is answered."""
    key = said.to or conversation.last_key
    if key is None:
        raise InvalidValue(f"{conversation.id} has no message of the customer to answer")
    stored = loaded.messages.get((conversation.channel, *key))
    if stored is None:
        raise NotFound(f"no message {key!r} in {conversation.id}; it may have been erased")
    return stored


def _visibility(answered: Message, said: _Draft, channel: Channel) -> Visibility:
    wanted = said.visibility or answered.visibility
    if wanted is Visibility.public and answered.visibility is Visibility.private:
        raise InvalidValue("a private message is never answered in public; leave out visibility")
    if wanted not in channel.traits.visibilities:
        offered = ", ".join(channel.traits.visibilities)
        raise Unsupported(f"{channel.name} cannot send a {wanted} message; it offers {offered}")
    return wanted


def _expressible(channel: Channel, said: _Draft) -> None:
    for power, asked in (("card", said.card), ("quick_replies", said.quick_replies)):
        if asked and power not in channel.traits.powers:
            raise Unsupported(f"{channel.name} has no {power}; say it in the text instead")


def _in_window(
    conversation: Conversation,
    channel: Channel,
    visibility: Visibility,
    agent: Agent,
    now: datetime,
) -> None:
    """Refuse a private reply that the platform would refuse (MISSION, row 4 of ours)."""
    traits, last = channel.traits, conversation.last_at
    window = traits.window
    if agent.kind is AgentKind.person and traits.human_window is not None:
        window = traits.human_window
    if window is None or visibility is Visibility.public or last is None or now < last + window:
        return
    possible = [
        power for power in ("template", "public reply") if power.replace(" ", "_") in traits.powers
    ]
    raise WindowClosed(
        f"{channel.name} took private replies until {last + window:%Y-%m-%d %H:%M} UTC, "
        f"{window} after the customer's last message.",
        (*possible, "wait for the customer to write again"),
    )


def _pass_gate(
    core: Core, conversation: Conversation, said: _Draft, visibility: Visibility, loaded: Loaded
) -> None:
    findings: list[Finding] = []
    for text in said.texts:
        context = _context(core, conversation, text, said.steps, visibility, said.language, loaded)
        findings += check(text, context, core.etiquette)
    blocked = blocking(findings)
    if blocked and not said.override.strip():
        raise EtiquetteError(blocked)


def _mark(row: uuid.UUID) -> str:
    """Return a row's mark: 24 characters, short enough for Discord's nonce of 25."""
    return base64.b32encode(row.bytes[:15]).decode().lower()


def _postings(
    conversation: Conversation,
    answered: Message,
    said: _Draft,
    visibility: Visibility,
    now: datetime,
) -> Iterable[Posting]:
    last = len(said.texts) - 1
    for part, text in enumerate(said.texts):
        row = uuid.uuid5(_ROWS, f"{said.key}:{part}")
        outgoing = Outgoing(
            str(row),
            _mark(row),
            text,
            Author(answered.author.id, answered.author.name, answered.author.handle),
            conversation.thread,
            (answered.kind, answered.id),
            visibility,
            said.agent.kind,
            now,
            language=said.language or conversation.reading.language,
            last_inbound_at=conversation.last_at,
            card=said.card if part == last else None,
            quick_replies=said.quick_replies if part == last else (),
        )
        yield Posting(
            outgoing,
            conversation.channel,
            conversation.id,
            conversation.id,
            said.key,
            part,
            now,
            now + REPLY_DEADLINE,
        )


def _stored(conversation: Conversation, posting: Posting, said: _Draft, now: datetime) -> Stored:
    outgoing = posting.outgoing
    message = Message(
        conversation.channel,
        "reply",
        outgoing.id,
        Author(said.agent.id),
        outgoing.text,
        now,
        thread=conversation.thread,
        parent=outgoing.reply_to[1] if outgoing.reply_to else None,
        visibility=outgoing.visibility,
        language=outgoing.language,
    )
    return Stored(message, Direction.outbound, conversation.id, skeleton=skeleton(outgoing.text))
