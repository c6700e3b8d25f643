"""Check what an agent asks to say: parts, visibility, powers, window, and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from supportflow.channels import Channel, Traits
from supportflow.desk.core import Core, current, load
from supportflow.errors import EtiquetteError, InvalidValue, NotFound, Unsupported, WindowClosed
from supportflow.etiquette import Context, blocking, check
from supportflow.flow import Program
from supportflow.model import (
    Agent,
    AgentKind,
    Attachment,
    Cancel,
    Card,
    ChannelState,
    Conversation,
    Finding,
    Message,
    Outcome,
    Step,
    Template,
    Visibility,
)
from supportflow.stores import Direction, Loaded, Wanted
from supportflow.text import skeleton, storable

__all__ = ["Draft", "checked", "findings", "texts_of", "window_end"]

#: What `supportflow.stores.erasure` puts before the ids of whom it erased.
_ERASED = "erased-"
#: How far back canned texts are counted. Ours.
_LATELY = timedelta(days=7)


@attrs.frozen
class Draft:
    """Hold what an agent asked to say, before anything is decided.

    Args:
        texts: The words, one text a part.
        key: The command's id.
        agent: Whose words they are.
        steps: The steps that they take.
        outcome: How they resolve the conversation, if they do.
        promise_by: When the promise that they make is due.
        override: The reason for sending what the gate blocks.
        visibility: Who shall read them, if not who could read what they answer.
        to: The (kind, id) of what they answer.
        language: Their language.
        feedback: The feedback item that a suggestion became.
        card: A product to show.
        quick_replies: Answers to offer as buttons.
        attachments: Pictures and files to send.
        template: What the platform has approved and shall send in the place of the words.
        seen: The version of the conversation that the agent looked at.
        instead_of: The reply of which these words are what was not told, and by whom and why
            it is taken back.
    """

    texts: tuple[str, ...]
    key: str
    agent: Agent
    steps: tuple[Step, ...] = ()
    outcome: Outcome | None = None
    promise_by: datetime | None = None
    override: str = ""
    visibility: Visibility | None = None
    to: tuple[str, str] | None = None
    language: str | None = None
    feedback: str | None = None
    card: Card | None = None
    quick_replies: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    template: Template | None = None
    seen: int | None = None
    instead_of: Cancel | None = None


def texts_of(text: str | Sequence[str]) -> tuple[str, ...]:
    """Return the parts of a text in storable form.

    Args:
        text: The words, or a list of parts with words.

    Raises:
        InvalidValue: If there are no words, or what is given is no text.
    """
    parts = (text,) if isinstance(text, str) else text
    if not isinstance(parts, list | tuple) or not parts:
        raise InvalidValue(f"text is {text!r:.100}; a reply needs words, or a list of parts")
    if not all(isinstance(part, str) and part.strip() for part in parts):
        raise InvalidValue(f"text is {text!r:.100}; every part of a reply needs words")
    return tuple(storable(part) for part in parts)


def checked(
    core: Core, conversation: Conversation, draft: Draft
) -> Program[tuple[Message, Visibility]]:
    """Refuse what cannot be sent, or should not; return what is answered, and for whom to read.

    Args:
        core: The desk's core.
        conversation: The conversation.
        draft: What shall be said.

    Raises:
        NotFound: If the channel, or the message to answer, is not known.
        InvalidValue: If there is nothing to answer, or it would be answered too openly.
        Unsupported: If the network cannot express it.
        WindowClosed: If the platform no longer takes private replies here.
        EtiquetteError: If a rule blocks it, and nothing overrides that.
    """
    loaded = yield from load(core, _wanted(core, conversation, draft.texts, draft.to))
    channel = _informed(core, conversation.channel, loaded)
    answered = _answered(conversation, draft, loaded)
    visibility = _visibility(answered, draft, channel)
    _expressible(channel, draft)
    if draft.template is None:
        end = window_end(channel, visibility, draft.agent.kind, conversation.last_at)
        person = window_end(channel, visibility, AgentKind.person, conversation.last_at)
        _in_window(end, person, channel, core.now())
    blocked = blocking(_findings(core, conversation, draft, visibility, loaded, channel.traits))
    if blocked and not draft.override.strip():
        raise EtiquetteError(blocked)
    return answered, visibility


def _wanted(
    core: Core, conversation: Conversation, texts: tuple[str, ...], to: tuple[str, str] | None
) -> Wanted:
    answered = to or conversation.last_key
    return Wanted(
        channels=(conversation.channel,),
        messages=() if answered is None else ((conversation.channel, *answered),),
        skeletons=tuple(dict.fromkeys(map(skeleton, texts))),
        skeletons_since=core.now() - _LATELY,
    )


def _answered(conversation: Conversation, draft: Draft, loaded: Loaded) -> Message:
    """Return the message that is answered."""
    key = draft.to or conversation.last_key
    if key is None:
        raise InvalidValue(f"{conversation.id} has no message of the customer to answer")
    stored = loaded.messages.get((conversation.channel, *key))
    if stored is None or stored.conversation != conversation.id:
        raise NotFound(f"no message {key!r} in {conversation.id}; it may have been erased")
    if stored.message.author.id.startswith(_ERASED):
        raise NotFound(f"the customer of {conversation.id} was erased and cannot be answered")
    if stored.direction is not Direction.inbound:
        raise InvalidValue(f"message {key!r} is our own; answer one of the customer's")
    return stored.message


def _visibility(answered: Message, draft: Draft, channel: Channel) -> Visibility:
    wanted = draft.visibility or answered.visibility
    if wanted is Visibility.public and answered.visibility is Visibility.private:
        raise InvalidValue("a private message is never answered in public; leave out visibility")
    if wanted not in channel.traits.visibilities:
        offered = ", ".join(channel.traits.visibilities)
        raise Unsupported(f"{channel.name} cannot send a {wanted} message; it offers {offered}")
    return wanted


def _expressible(channel: Channel, draft: Draft) -> None:
    for power in ("card", "quick_replies", "attachments", "template"):
        if getattr(draft, power) and power not in channel.traits.powers:
            raise Unsupported(f"{channel.name} has no {power}; say it in the text instead")


def window_end(
    channel: Channel, visibility: Visibility, by: AgentKind, last: datetime | None
) -> datetime | None:
    """Return when the platform stops taking private replies; None if it does not.

    Args:
        channel: Where the reply goes.
        visibility: Who will read it.
        by: What kind of agent wrote it: people may have longer.
        last: When the customer last wrote.
    """
    traits = channel.traits
    window = traits.window
    if by is AgentKind.person and traits.human_window is not None:
        window = traits.human_window
    if window is None or last is None or visibility is Visibility.public:
        return None
    return last + window


def _informed(core: Core, name: str, loaded: Loaded) -> Channel:
    """Return a channel with what it learned, such as the limits of its server."""
    channel = core.channel(name)
    try:
        return channel.using(loaded.channels.get(name) or ChannelState(name))
    except Exception:  # noqa: BLE001  # anybody's code; delivering says what is wrong with it
        return channel


def _in_window(
    end: datetime | None, person: datetime | None, channel: Channel, now: datetime
) -> None:
    """Refuse a private reply that the platform would refuse (MISSION, row 4 of ours)."""
    if end is None or now < end:
        return
    powers = channel.traits.powers
    possible: list[str] = [power for power in ("template", "public_reply") if power in powers]
    if person is not None and now < person:
        possible.insert(0, f"a reply that a person writes, until {person:%Y-%m-%d %H:%M} UTC")
    raise WindowClosed(
        f"{channel.name} took private replies until {end:%Y-%m-%d %H:%M} UTC, counted from the "
        "customer's last message.",
        (*(power.replace("_", " ") for power in possible), "wait for the customer to write again"),
    )


def findings(
    core: Core, conversation: Conversation | str, draft: Draft
) -> Program[tuple[Finding, ...]]:
    """Return what the gate says of a draft, without sending it.

    Args:
        core: The desk's core.
        conversation: The conversation, or its id.
        draft: What might be said.
    """
    found = yield from current(core, conversation)
    loaded = yield from load(core, _wanted(core, found, draft.texts, None))
    shown = draft.visibility or found.visibility
    traits = _informed(core, found.channel, loaded).traits
    return _findings(core, found, draft, shown, loaded, traits)


def _findings(
    core: Core,
    conversation: Conversation,
    draft: Draft,
    visibility: Visibility,
    loaded: Loaded,
    traits: Traits,
) -> tuple[Finding, ...]:
    found: list[Finding] = []
    limit, counter = traits.max_text, traits.count
    if visibility is Visibility.private and traits.max_private is not None:
        limit, counter = traits.max_private, traits.count_private
    for text in draft.texts:
        context = Context(
            conversation,
            visibility,
            draft.steps,
            limit,
            counter,
            draft.language or conversation.reading.language,
            loaded.skeletons.get(skeleton(text), 0),
        )
        found += check(text, context, core.etiquette)
    return tuple(found)
