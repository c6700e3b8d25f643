"""Everything that agents decide besides words: classify, dismiss, assign, tag, note, hand off."""

from __future__ import annotations

from collections.abc import Iterable

from supportflow.desk.arguments import as_agent, key_of, message_of, perhaps, version_of, words_of
from supportflow.desk.clean import plain_reading
from supportflow.desk.core import (
    Core,
    get_conversation,
    load,
)
from supportflow.desk.perform import perform
from supportflow.errors import InvalidValue, NotFound
from supportflow.flow import Program
from supportflow.model import (
    Agent,
    Assign,
    Author,
    Cancel,
    Classify,
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
from supportflow.model.values import member, strings
from supportflow.stores import Direction, Stored, Wanted
from supportflow.text import storable

__all__ = ["assign", "cancel", "classify", "dismiss", "handoff", "note", "tag"]


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
        Stale: If somebody wrote or queued since the conversation was read.
        Conflict: If a reply to it is leaving at this moment.
    """
    why = words_of(reason, "reason")
    command = Dismiss(as_agent(agent), why, confirmed, version_of(conversation))
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
        NotFound: If the conversation, or that message in it, is not known.
    """
    by, of = as_agent(agent), message_of(message, "message")
    if reading is None:
        reading = Reading(
            None if intent is None else member(Intent, intent, "intent"),
            member(Mood, mood, "mood"),
            gratitude,
            by=by.id,
        )
    if of is not None:
        yield from _check_message(core, conversation, of)
    command = Classify(plain_reading(reading), by, of)
    return (yield from perform(core, conversation, command, key=key))


def _check_message(
    core: Core, conversation: Conversation | str, message: tuple[str, str]
) -> Program[None]:
    found = yield from get_conversation(core, conversation)
    key = (found.channel, *message)
    stored = (yield from load(core, Wanted(messages=(key,)))).messages.get(key)
    if stored is None or stored.conversation != found.id:
        raise NotFound(f"no message {message!r} in {found.id}; it may have been erased")


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

    Raises:
        InvalidValue: If `to` is no id.
    """
    return perform(core, conversation, Assign(as_agent(agent), perhaps(to, "to")), key=key)


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
    gone = strings(remove)
    labels = (*add, *gone)
    if not all(isinstance(label, str) and label.strip() for label in labels):
        raise InvalidValue(f"labels are {labels!r}; each must be a non-empty string")
    command = Tag(as_agent(agent), tuple(map(storable, add)), tuple(map(storable, gone)))
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
    by, name, said = as_agent(agent), key_of(key), storable(text)

    def words(found: Conversation) -> Stored:
        author, shown = Author(by.id), Visibility.private
        message = Message(
            found.channel,
            "note",
            name,
            author,
            said,
            core.now(),
            thread=found.thread,
            visibility=shown,
        )
        return Stored(message, Direction.note, found.id)

    return perform(core, conversation, Note(by, name), key=name, words=words)


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

    Raises:
        InvalidValue: If nobody is named.
    """
    team = words_of(to, "to")
    if not team.strip():
        raise InvalidValue(f"to is {to!r}; name the team or system that carries on")
    command = Handoff(as_agent(agent), team, words_of(why, "why"))
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
    """Take back a reply, or those of its parts that have not left yet.

    One that is unknown may be on the platform already: then it stays there.

    Args:
        conversation: The conversation, or its id.
        reply: The reply's id, as in `conversation.pending`, or that of one of its rows.
        why: The reason.
        agent: Who decides.
        key: Your own id for this command.

    Raises:
        NotFound: If no such reply is on its way.
        InvalidValue: If an argument is not what it should be.
        Conflict: If a part of it is leaving at this moment.
    """
    name, by, reason = words_of(reply, "reply"), as_agent(agent), words_of(why, "why")
    row = (yield from load(core, Wanted(rows=(name,)))).rows.get(name)
    command = Cancel(name if row is None else row.posting.reply, by, reason)
    return (yield from perform(core, conversation, command, key=key))
