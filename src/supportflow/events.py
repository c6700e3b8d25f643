"""What happened: every change of a conversation, as one immutable event in its log.

`at` is platform time where a platform reported it. No event holds words of a customer or
an agent: texts live in messages, so that erasure can blank them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from supportflow.model import (
    Agent,
    Base,
    Mark,
    Outcome,
    Pending,
    Reading,
    RemovedBy,
    Step,
    Unread,
    Visibility,
)

__all__ = [
    "EVENTS",
    "Absorbed",
    "Announced",
    "Assigned",
    "Cancelled",
    "Classified",
    "Closed",
    "Deleted",
    "Edited",
    "Event",
    "Failed",
    "HandedOff",
    "Held",
    "Linked",
    "Merged",
    "Noted",
    "Opened",
    "Queued",
    "Reacted",
    "Received",
    "Recorded",
    "Released",
    "Reported",
    "Tagged",
    "Told",
]


@attrs.frozen(weakref_slot=False)
class Opened:
    """A conversation began.

    Args:
        at: The platform time of its first message.
        channel: The channel's name.
        thread: The platform's thread.
        customer: The customer's id.
        number: Which conversation of theirs in that thread.
        tags: Labels that came with its first message.
        previous: The conversation that it continues.
        bystander_of: The conversation of the thread's first customer, for a third person.
    """

    at: datetime
    channel: str
    thread: str
    customer: str
    number: int
    tags: tuple[str, ...] = ()
    previous: str | None = None
    bystander_of: str | None = None


@attrs.frozen(weakref_slot=False)
class Received:
    """The customer wrote.

    Args:
        at: The platform's time.
        kind: The message's kind.
        id: The message's id.
        visibility: Who can read it.
        reading: What triage said of it.
        playbook: The playbook that the reading calls for.
        backfill: True for history.
    """

    at: datetime
    kind: str
    id: str
    visibility: Visibility
    reading: Reading
    playbook: str
    backfill: bool = False


@attrs.frozen
class Edited:
    """A message's words were changed.

    Args:
        at: The platform's time.
        kind: The message's kind.
        id: The message's id.
        revision: The revision's name.
        asks: Whether the customer says something new that wants an answer.
        playbook: The playbook that its reading calls for.
        backfill: True for history.
    """

    at: datetime
    kind: str
    id: str
    revision: str
    asks: bool
    playbook: str = ""
    backfill: bool = False


@attrs.frozen
class Deleted:
    """A message was deleted or hidden.

    Args:
        at: The platform's time.
        kind: The message's kind.
        id: The message's id.
        by: Who did it.
        hidden: True if it was hidden and still exists.
        inbound: Whether it was the customer's.
    """

    at: datetime
    kind: str
    id: str
    by: RemovedBy
    hidden: bool
    inbound: bool


@attrs.frozen
class Reacted:
    """Somebody reacted to a message without words.

    Args:
        at: The platform's time.
        kind: The message's kind.
        id: The message's id.
        emoji: With what; empty when taken back.
    """

    at: datetime
    kind: str
    id: str
    emoji: str


@attrs.frozen
class Classified:
    """A person, or a classifier after the fact, said what it really is.

    Args:
        at: When.
        reading: The reading.
        playbook: The playbook that it calls for.
        message: The (kind, id) of the message it is of; None for the conversation.
        by: The person; None for a classifier.
    """

    at: datetime
    reading: Reading
    playbook: str
    message: tuple[str, str] | None
    by: Agent | None


@attrs.frozen(weakref_slot=False)
class Queued:
    """An answer was written and waits in the outbox.

    Args:
        at: When.
        reply: The command's id.
        by: Who wrote it.
        parts: How many messages it is.
        steps: The steps that it takes when its last part is told.
        covers: The time of the last customer message known to its author; None if their
            words answer nobody.
        outcome: How it resolves the conversation, if it does.
        due: When the promise that it makes is due, if it makes one.
        feedback: The feedback item that a suggestion was turned into.
        why: The reason for an override.
    """

    at: datetime
    reply: str
    by: Agent
    parts: int
    steps: tuple[Step, ...]
    covers: datetime | None
    outcome: Outcome | None = None
    due: datetime | None = None
    feedback: str | None = None
    why: str = ""


@attrs.frozen(weakref_slot=False)
class Told:
    """An answer, or a part of one, is on the platform.

    Args:
        at: The platform's time.
        reply: The command's id; for a native answer its (kind, id) as one text.
        part: Which part, from 0.
        parts: How many there are.
        by: Who wrote it.
        steps: The steps that count now.
        covers: The time of the last customer message that its author can have known.
        outcome: How it resolves the conversation, if it does.
        due: When the promise that it makes is due, if it makes one.
        remote: The platform's id of it.
        backfill: True for history.
        feedback: The feedback item that a suggestion was turned into.
    """

    at: datetime
    reply: str
    part: int
    parts: int
    by: Agent
    steps: tuple[Step, ...]
    covers: datetime | None
    outcome: Outcome | None = None
    due: datetime | None = None
    remote: str | None = None
    backfill: bool = False
    feedback: str | None = None


@attrs.frozen
class Failed:
    """The platform definitely refused an answer, or a part of one.

    Args:
        at: When.
        reply: The command's id.
        part: Which part, from 0.
        why: The platform's reason.
    """

    at: datetime
    reply: str
    part: int
    why: str


@attrs.frozen
class Held:
    """A queued answer waits for a person.

    Args:
        at: When.
        reply: The command's id.
        why: The reason.
    """

    at: datetime
    reply: str
    why: str


@attrs.frozen
class Released:
    """A held answer goes on.

    Args:
        at: When.
        reply: The command's id.
        by: Who decided.
        why: The reason.
    """

    at: datetime
    reply: str
    by: Agent
    why: str


@attrs.frozen
class Cancelled:
    """An answer was taken back before it left.

    Args:
        at: When.
        reply: The command's id.
        by: Who decided.
        why: The reason.
    """

    at: datetime
    reply: str
    by: Agent
    why: str


@attrs.frozen
class Closed:
    """A conversation was ended without a reply.

    Args:
        at: When.
        outcome: How.
        by: Who decided.
        covers: The time of the last customer message known then.
    """

    at: datetime
    outcome: Outcome
    by: Agent
    covers: datetime | None = None


@attrs.frozen
class Reported:
    """The platform said how far one of our messages came.

    Args:
        at: The platform's time.
        remote: The platform's id of it.
        status: `"sent"`, `"delivered"`, `"read"` or `"failed"`.
        why: Why it failed.
    """

    at: datetime
    remote: str
    status: str
    why: str = ""


@attrs.frozen
class Assigned:
    """The conversation was given to somebody, or to nobody.

    Args:
        at: When.
        to: The agent's id, or None.
        by: Who decided.
    """

    at: datetime
    to: str | None
    by: Agent


@attrs.frozen
class Tagged:
    """Labels were changed.

    Args:
        at: When.
        add: Added labels.
        remove: Removed labels.
        by: Who decided; None for the channel.
    """

    at: datetime
    add: tuple[str, ...]
    remove: tuple[str, ...]
    by: Agent | None


@attrs.frozen
class Noted:
    """An internal note was written.

    Args:
        at: When.
        id: The note's id among the messages.
        by: Who wrote it.
    """

    at: datetime
    id: str
    by: Agent


@attrs.frozen
class HandedOff:
    """Another team or system carries on.

    Args:
        at: When.
        to: The team or system.
        by: Who decided.
        why: The reason.
    """

    at: datetime
    to: str
    by: Agent
    why: str


@attrs.frozen
class Announced:
    """An alarm was raised that must reach a person.

    Args:
        at: When.
        key: Its once-key.
        kind: What it is about.
        due: The moment that was warned about or missed, if there is one.
        why: In words.
    """

    at: datetime
    key: str
    kind: str
    due: datetime | None
    why: str


@attrs.frozen
class Linked:
    """A third person's conversation was tied to the one it happens beside.

    Args:
        at: When.
        bystander_of: The conversation of the thread's first customer.
    """

    at: datetime
    bystander_of: str


@attrs.frozen
class Merged:
    """The conversation turned out to be part of another, which carries on with its clocks.

    Args:
        at: When.
        into: The id of the other.
    """

    at: datetime
    into: str


@attrs.frozen
class Absorbed:
    """Another conversation turned out to be part of this one.

    Args:
        at: When.
        source: The id of the other.
        opened_at: When it began.
        marks: Its marks.
        base: What its older marks left behind.
        last_at: The time of its last customer message.
        last_key: That message's (kind, id).
        reading: Its reading.
        tags: Its labels.
        announced: The alarms that it announced already.
        pending: Its replies on their way.
    """

    at: datetime
    source: str
    opened_at: datetime
    marks: tuple[Mark, ...]
    base: Base
    last_at: datetime | None = None
    last_key: tuple[str, str] | None = None
    reading: Reading = Unread
    tags: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()


Event: TypeAlias = (
    Opened
    | Received
    | Edited
    | Deleted
    | Reacted
    | Classified
    | Queued
    | Told
    | Failed
    | Held
    | Released
    | Cancelled
    | Closed
    | Reported
    | Assigned
    | Tagged
    | Noted
    | HandedOff
    | Announced
    | Linked
    | Merged
    | Absorbed
)
_KINDS: tuple[type[Event], ...] = (
    Opened,
    Received,
    Edited,
    Deleted,
    Reacted,
    Classified,
    Queued,
    Told,
    Failed,
    Held,
    Released,
    Cancelled,
    Closed,
    Reported,
    Assigned,
    Tagged,
    Noted,
    HandedOff,
    Announced,
    Linked,
    Merged,
    Absorbed,
)
#: Every kind of event by its name.
EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in _KINDS}


@attrs.frozen
class Recorded:
    """Hold one event as its log keeps it.

    Args:
        position: Its place in the log of the whole store.
        conversation: The conversation's id.
        version: Its place in the conversation's log, from 1 without a gap.
        at: The event's own time.
        recorded_at: When we recorded it.
        event: What happened.
    """

    position: int
    conversation: str
    version: int
    at: datetime
    recorded_at: datetime
    event: Event
