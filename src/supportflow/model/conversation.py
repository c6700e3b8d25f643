"""The conversation's snapshot: the bounded fold of its log, which never holds messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

import attrs

from supportflow.errors import InvalidValue
from supportflow.model.marks import Base, Mark
from supportflow.model.outcome import Outcome
from supportflow.model.reading import Reading, Unread
from supportflow.model.values import Agent, State, Step, Visibility

__all__ = [
    "Conversation",
    "Pending",
    "Progress",
    "conversation_id",
    "made_of",
    "parse_conversation_id",
    "replace",
]


_START = Base()


@attrs.frozen(weakref_slot=False)
class Progress:
    """Hold where a conversation stands: the small core that every event replaces.

    Args:
        state: The state.
        version: The number of events so far.
        since: When the state was reached (platform time).
    """

    state: State
    version: int
    since: datetime


@attrs.frozen(weakref_slot=False)
class Pending:
    """Hold one reply that was queued and whose end is not known yet.

    Args:
        id: The command's id.
        parts: How many messages it is.
        told: How many of them were told.
        steps: The steps that it takes when its last part is told.
        by: Who wrote it.
        covers: The time of the last customer message known when it was queued; None if its
            author's words answer nobody.
        outcome: How it resolves the conversation, if it does.
        due: When the promise that it makes is due, if it makes one.
        held: Why it waits for a person; empty if it doesn't.
        feedback: The feedback item that a suggestion was turned into.
    """

    id: str
    parts: int
    told: int
    steps: tuple[Step, ...]
    by: Agent
    covers: datetime | None
    outcome: Outcome | None = None
    due: datetime | None = None
    held: str = ""
    feedback: str | None = None


@attrs.frozen(slots=False)
class Conversation:
    """Hold one customer in one thread, as the fold of its log.

    Args:
        id: `channel/thread/customer#n`, percent-encoded; derived, never random.
        channel: The channel's name.
        thread: The platform's thread.
        customer: The customer's id on that channel.
        number: Which conversation of this customer in this thread it is.
        opened_at: The platform time of its first message.
        progress: State, version and since.
        playbook: Which steps are legal.
        cycle: How often it was reopened.
        reading: The reading that decides the playbook.
        visibility: Of the customer's last message.
        last_at: The platform time of the customer's last message.
        last_key: Its (kind, id): what a reply answers by default.
        spoken: The version at which somebody last wrote or queued.
        waiting_since: Since when the customer waits for an answer; None if they don't.
        marks: What the clocks are derived from, sorted by time.
        base: What older marks left behind.
        pending: Replies on their way.
        announced: The once-keys of alarms already announced for clocks still in sight.
        outcome: How it ended last.
        assigned: The agent who has it.
        tags: Labels.
        previous: The conversation that this one continues.
        bystander_of: The conversation of the thread's first customer, for a third person.
        merged_into: The conversation that took this one in, if any.
        handed_to: The system or team that it was handed to.
    """

    id: str
    channel: str
    thread: str
    customer: str
    number: int
    opened_at: datetime
    progress: Progress
    playbook: str
    cycle: int = 0
    reading: Reading = Unread
    visibility: Visibility = Visibility.public
    last_at: datetime | None = None
    last_key: tuple[str, str] | None = None
    spoken: int = 0
    waiting_since: datetime | None = None
    marks: tuple[Mark, ...] = ()
    base: Base = _START
    pending: tuple[Pending, ...] = ()
    announced: tuple[str, ...] = ()
    outcome: Outcome | None = None
    assigned: str | None = None
    tags: tuple[str, ...] = ()
    previous: str | None = None
    bystander_of: str | None = None
    merged_into: str | None = None
    handed_to: str | None = None

    @property
    def state(self) -> State:
        """Return where the conversation stands."""
        return self.progress.state

    @property
    def version(self) -> int:
        """Return the number of events so far."""
        return self.progress.version

    @property
    def since(self) -> datetime:
        """Return when the state was reached."""
        return self.progress.since

    @property
    def unanswered(self) -> bool:
        """Return whether the customer waits and no answer is on its way.

        Replies that are queued, sending or unknown count as on their way, so that nobody
        answers twice; held ones do not.
        """
        since = self.waiting_since
        if since is None or not self.pending:
            return since is not None
        return not any(not p.held and p.covers and p.covers >= since for p in self.pending)


class _Open:
    """Become a conversation once its fields are there: see `maker`, which does it with slots."""


def made_of(fields: dict[str, Any]) -> Conversation:
    """Return a conversation that has these fields, and takes the dict for its own.

    Args:
        fields: All fields by name, already valid.
    """
    made: Any = _Open()
    made.__dict__ = fields
    made.__class__ = Conversation
    return made  # type: ignore[no-any-return]  # it is one by now


def replace(conversation: Conversation, **changes: Any) -> Conversation:
    """Return a copy with some fields changed, an order faster than `attrs.evolve`.

    Args:
        conversation: Any conversation.
        changes: Fields by name, already valid.
    """
    return made_of(conversation.__dict__ | changes)


def _part(text: str) -> str:
    if text.isalnum() and text.isascii():
        return text
    return quote(text, safe="", errors="surrogatepass")


def conversation_id(channel: str, thread: str, customer: str, number: int = 0) -> str:
    """Derive a conversation's id.

    Args:
        channel: The channel's name.
        thread: The platform's thread.
        customer: The customer's id there.
        number: Which conversation of theirs in that thread.

    Example:
        >>> conversation_id("mastodon:shop", "109", "ola@example.social")
        'mastodon%3Ashop/109/ola%40example.social#0'
    """
    plain = f"{channel}{thread}{customer}"
    if plain.isalnum() and plain.isascii():  # mostly: one look instead of three
        return f"{channel}/{thread}/{customer}#{number}"
    return f"{_part(channel)}/{_part(thread)}/{_part(customer)}#{number}"


def parse_conversation_id(text: str) -> tuple[str, str, str, int]:
    """Read channel, thread, customer and number back from an id.

    Args:
        text: A conversation's id.

    Raises:
        InvalidValue: If it is not one, exactly as `conversation_id` writes it.

    Example:
        >>> parse_conversation_id("mastodon%3Ashop/109/ola%40example.social#0")
        ('mastodon:shop', '109', 'ola@example.social', 0)
    """
    try:
        path, _, number = text.rpartition("#")
        channel, thread, customer = (unquote(p, errors="surrogatepass") for p in path.split("/"))
        found = (channel, thread, customer, int(number))
    except (AttributeError, TypeError, ValueError):
        found = None
    if found is None or found[-1] < 0 or conversation_id(*found) != text:
        raise InvalidValue(f"{text!r:.200} is not a conversation id (channel/thread/customer#n)")
    return found
