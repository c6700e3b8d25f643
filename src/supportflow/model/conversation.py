"""The conversation's snapshot: the bounded fold of its log, which never holds messages."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

import attrs

from supportflow.errors import InvalidValue
from supportflow.model.outcome import Outcome
from supportflow.model.reading import Reading, Unread
from supportflow.model.values import Agent, AgentKind, State, Step, Visibility

__all__ = [
    "MAX_MARKS",
    "Base",
    "Conversation",
    "Mark",
    "Marked",
    "Pending",
    "Progress",
    "conversation_id",
    "parse_conversation_id",
    "replace",
]

#: How many marks a snapshot keeps; older settled ones are folded into its `Base`. Ours.
MAX_MARKS = 64


@attrs.frozen
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


class Marked(StrEnum):
    """Say what a mark on the clock means. At the same instant, earlier members come first."""

    asked = "asked"
    thanked = "thanked"
    told = "told"
    classified = "classified"
    closed = "closed"
    withdrawn = "withdrawn"


@attrs.frozen
class Mark:
    """Hold one moment that clocks and states are derived from, by platform time.

    Args:
        at: When it happened.
        what: What it means.
        key: Which message or reply it comes from; unique together with `what` and `at`.
        playbook: For `asked` and `classified`: the playbook that its reading calls for.
        by: For `told`: the kind of agent.
        steps: For `told`: the steps that count.
        covers: For `told` and `closed`: the time of the last customer message that its author can
            have known; later ones stay unanswered.
        due: For `told`: when the promise that it made is due.
        backfill: True for history, which is judged and never announced.
    """

    at: datetime
    what: Marked
    key: str
    playbook: str = ""
    by: AgentKind | None = None
    steps: tuple[Step, ...] = ()
    covers: datetime | None = None
    due: datetime | None = None
    backfill: bool = False


@attrs.frozen
class Base:
    """Hold what the marks that were folded away left behind.

    Args:
        state: The state at that point.
        since: When it was reached.
        cycle: How often the conversation had been reopened.
        playbook: The playbook in force.
        told: Whether anything had been answered at all.
        responded: Whether the current cycle had been answered.
        began: When the current cycle began, if it had.
        began_key: The message that began it.
        backfill: Whether that message was history.
    """

    state: State = State.received
    since: datetime | None = None
    cycle: int = 0
    playbook: str = ""
    told: bool = False
    responded: bool = False
    began: datetime | None = None
    began_key: str = ""
    backfill: bool = False


@attrs.frozen
class Pending:
    """Hold one reply that was queued and whose end is not known yet.

    Args:
        id: The command's id.
        parts: How many messages it is.
        told: How many of them were told.
        steps: The steps that it takes when its last part is told.
        by: Who wrote it.
        covers: The time of the last customer message known when it was queued.
        outcome: How it resolves the conversation, if it does.
        due: When the promise that it makes is due, if it makes one.
        held: Why it waits for a person; empty if it doesn't.
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
    base: Base = Base()
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
        if since is None:
            return False
        return not any(
            not p.held and p.by.kind is not AgentKind.automatic and p.covers and p.covers >= since
            for p in self.pending
        )


def replace(conversation: Conversation, **changes: Any) -> Conversation:
    """Return a copy with some fields changed, an order faster than `attrs.evolve`.

    Args:
        conversation: Any conversation.
        changes: Fields by name, already valid.
    """
    copy = object.__new__(Conversation)
    fields = copy.__dict__
    fields.update(conversation.__dict__)
    fields.update(changes)
    return copy


def _part(text: str) -> str:
    return text if text.isalnum() and text.isascii() else quote(text, safe="")


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
    return f"{_part(channel)}/{_part(thread)}/{_part(customer)}#{number}"


def parse_conversation_id(text: str) -> tuple[str, str, str, int]:
    """Read channel, thread, customer and number back from an id.

    Args:
        text: A conversation's id.

    Raises:
        InvalidValue: If it is not one.

    Example:
        >>> parse_conversation_id("mastodon%3Ashop/109/ola%40example.social#0")
        ('mastodon:shop', '109', 'ola@example.social', 0)
    """
    path, _, number = text.rpartition("#")
    parts = path.split("/")
    if len(parts) != 3 or not number.isascii() or not number.isdigit():
        raise InvalidValue(f"{text!r} is not a conversation id (channel/thread/customer#n)")
    channel, thread, customer = map(unquote, parts)
    return channel, thread, customer, int(number)
