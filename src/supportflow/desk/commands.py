"""Everything that agents decide besides words: classify, dismiss, assign, tag, note, hand off."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

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
from supportflow.errors import InvalidValue
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import (
    Agent,
    Assign,
    Author,
    Cancel,
    Classify,
    Command,
    Conversation,
    Dismiss,
    Handoff,
    Intent,
    Message,
    Mood,
    Note,
    Reading,
    Tag,
    Visibility,
)
from supportflow.stores import Changes, Direction, HoldRows, Stored, Wanted
from supportflow.text import storable

__all__ = ["assign", "cancel", "classify", "dismiss", "handoff", "note", "perform", "tag"]


def perform(
    core: Core,
    conversation: Conversation | str,
    command: Command,
    *,
    key: str | None = None,
    messages: tuple[Stored, ...] = (),
    holds: tuple[HoldRows, ...] = (),
) -> Program[Conversation]:
    """Decide a command and commit what follows, once for its key.

    Args:
        conversation: The conversation, or its id.
        command: The command.
        key: The caller's own id for it; made here if there is none.
        messages: Texts that belong to it.
        holds: Outbox rows that it concerns.

    Returns:
        The conversation afterwards.
    """
    id = conversation.id if isinstance(conversation, Conversation) else conversation  # noqa: A001  # its name
    once = f"command:{key or uuid.uuid4().hex}"

    def attempt() -> Program[Conversation]:
        found = yield from get_conversation(core, id)
        if key is not None:
            loaded = yield from load(core, Wanted(once=(once,)))
            if once in loaded.once:
                return found
        now = core.now()
        events = decide(found, command, now, rules=core.rules)
        if not events:
            return found
        after = fold(core, found, events)
        changes = Changes(
            now,
            conversations=(written(core, found.version, after, events),),
            messages=messages,
            once={once: after.id} if key is not None else {},
            holds=holds,
        )
        yield from commit(core, changes)
        return after

    return (yield from retrying(attempt))


def _seen(conversation: Conversation | str) -> int | None:
    return conversation.version if isinstance(conversation, Conversation) else None


def dismiss(
    core: Core,
    conversation: Conversation | str,
    reason: str,
    *,
    confirmed: bool = False,
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """End a conversation without engaging: spam, or confirmed to only want advantage.

    Args:
        conversation: The conversation as you read it, or its id.
        reason: Why.
        confirmed: True if you, a person, confirm that the customer clearly only wants to
            take advantage (mission M11). Mood alone never dismisses.
        agent: Who decides.
        key: Your own id for this command.

    Raises:
        IllegalStep: If it is neither spam nor confirmed, or resolved already.
        InvalidValue: If there is no reason.
    """
    command = Dismiss(as_agent(agent), storable(reason), confirmed, _seen(conversation))
    return perform(core, conversation, command, key=key)


def classify(
    core: Core,
    conversation: Conversation | str,
    intent: str | None = None,
    *,
    mood: str = Mood.calm,
    gratitude: bool = False,
    message: tuple[str, str] | None = None,
    reading: Reading | None = None,
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """Say, as a person, what a conversation or one of its messages really is.

    Args:
        conversation: The conversation, or its id.
        intent: What it is, for example `"complaint"`.
        mood: How the customer feels.
        gratitude: True if it is nothing but thanks.
        message: The (kind, id) of one message; the whole conversation by default.
        reading: A complete reading, instead of the three above.
        agent: Who says so.
        key: Your own id for this command.

    Raises:
        InvalidValue: If the intent or mood is unknown.
    """
    by = as_agent(agent)
    if reading is None:
        try:
            reading = Reading(intent and Intent(intent), Mood(mood), gratitude, by=by.id)
        except ValueError as error:
            known = f"intents are {', '.join(Intent)}; moods are {', '.join(Mood)}"
            raise InvalidValue(f"{error}; {known}") from None
    return perform(core, conversation, Classify(reading, by, message), key=key)


def assign(
    core: Core,
    conversation: Conversation | str,
    to: str | None,
    *,
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """Give the conversation to somebody, or to nobody.

    Args:
        conversation: The conversation, or its id.
        to: The agent's id, or None.
        agent: Who decides.
        key: Your own id for this command.
    """
    return perform(core, conversation, Assign(as_agent(agent), to), key=key)


def tag(
    core: Core,
    conversation: Conversation | str,
    *add: str,
    remove: Iterable[str] = (),
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """Add and remove labels.

    Args:
        conversation: The conversation, or its id.
        add: Labels to add.
        remove: Labels to remove.
        agent: Who decides.
        key: Your own id for this command.

    Raises:
        InvalidValue: If a label is empty or no string.
    """
    labels = (*add, *remove)
    if not all(isinstance(label, str) and label.strip() for label in labels):
        raise InvalidValue(f"labels are {labels!r}; each must be a non-empty string")
    command = Tag(as_agent(agent), tuple(map(storable, add)), tuple(remove))
    return perform(core, conversation, command, key=key)


def note(
    core: Core,
    conversation: Conversation | str,
    text: str,
    *,
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """Write an internal note; it never leaves the store.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        agent: Who writes.
        key: Your own id for this command.

    Raises:
        InvalidValue: If the text is empty.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue(f"text is {text!r}; a note needs words")
    by, key = as_agent(agent), key or uuid.uuid4().hex
    found = yield from get_conversation(
        core, conversation.id if isinstance(conversation, Conversation) else conversation
    )
    message = Message(
        found.channel,
        "note",
        key,
        Author(by.id),
        storable(text),
        core.now(),
        thread=found.thread,
        visibility=Visibility.private,
    )
    stored = Stored(message, Direction.note, found.id)
    return (yield from perform(core, found.id, Note(by, key), key=key, messages=(stored,)))


def handoff(
    core: Core,
    conversation: Conversation | str,
    to: str,
    *,
    why: str = "",
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """Record that another team or system carries on.

    Args:
        conversation: The conversation, or its id.
        to: The team or system.
        why: The reason.
        agent: Who decides.
        key: Your own id for this command.
    """
    command = Handoff(as_agent(agent), storable(to), storable(why))
    return perform(core, conversation, command, key=key)


def cancel(
    core: Core,
    conversation: Conversation | str,
    reply: str,
    *,
    why: str = "",
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """Take back a reply that has not left yet.

    Args:
        conversation: The conversation, or its id.
        reply: The reply's id, as in `conversation.pending`.
        why: The reason.
        agent: Who decides.
        key: Your own id for this command.

    Raises:
        NotFound: If no such reply is on its way.
        Conflict: If it is leaving, or has left, at this moment.
    """
    command = Cancel(reply, as_agent(agent), storable(why))
    return perform(core, conversation, command, key=key, holds=(HoldRows(reply, cancel=True),))
