"""What agents, bots and programs ask of a conversation; channels report facts instead."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from supportflow.errors import InvalidValue
from supportflow.model.outcome import Outcome
from supportflow.model.reading import Reading
from supportflow.model.sending import Receipt
from supportflow.model.values import Agent, Step, aware, steps_of, strings

__all__ = [
    "Announce",
    "Assign",
    "Cancel",
    "Classify",
    "Command",
    "Dismiss",
    "Handoff",
    "Hold",
    "Note",
    "PartRefused",
    "PartTold",
    "Release",
    "Reply",
    "Tag",
]


def _optional_aware(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "by")


def _some(_: object, __: object, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise InvalidValue(f"parts is {value!r}; a reply has at least one")


@attrs.frozen
class Reply:
    """Queue an answer.

    Args:
        id: The command's id, made once before any retry.
        agent: Who wrote it.
        parts: How many messages it is split into.
        steps: The steps that its words take.
        outcome: How it resolves the conversation, if it does.
        promise_by: When the promise that it makes is due, if it makes one.
        seen: The version of the conversation that its author looked at; None opts out.
        feedback: The feedback item that a suggestion was turned into.
        why: The recorded reason for overriding a finding.

    Raises:
        InvalidValue: If it has no part, a step is unknown, or the promise's time is naive.
    """

    id: str
    agent: Agent
    parts: int = attrs.field(default=1, validator=_some)
    steps: tuple[Step, ...] = attrs.field(default=(), converter=steps_of)
    outcome: Outcome | None = None
    promise_by: datetime | None = attrs.field(default=None, converter=_optional_aware)
    seen: int | None = None
    feedback: str | None = None
    why: str = ""


@attrs.frozen
class Dismiss:
    """End a conversation without engaging: spam, or confirmed to only want advantage.

    Args:
        agent: Who decides.
        reason: Why.
        confirmed: True if a person confirms that the customer only wants advantage.
        seen: As in `Reply`.
    """

    agent: Agent
    reason: str
    confirmed: bool = False
    seen: int | None = None


@attrs.frozen
class Classify:
    """Say what a message, or the conversation, really is.

    Args:
        reading: The reading to use from now on.
        agent: The person who read it; None for a classifier's late reading.
        message: The (kind, id) of the message it is of; None for the conversation.
    """

    reading: Reading
    agent: Agent | None = None
    message: tuple[str, str] | None = None


@attrs.frozen
class Assign:
    """Give the conversation to somebody, or to nobody.

    Args:
        agent: Who decides.
        to: The agent's id, or None.
    """

    agent: Agent
    to: str | None


@attrs.frozen
class Tag:
    """Add and remove labels.

    Args:
        agent: Who decides.
        add: Labels to add.
        remove: Labels to remove.
    """

    agent: Agent
    add: tuple[str, ...] = attrs.field(default=(), converter=strings)
    remove: tuple[str, ...] = attrs.field(default=(), converter=strings)


@attrs.frozen
class Note:
    """Record that an internal note was written; its text is a message of its own.

    Args:
        agent: Who wrote it.
        id: The note's id.
    """

    agent: Agent
    id: str


@attrs.frozen
class Handoff:
    """Record that another team or system carries on.

    Args:
        agent: Who decides.
        to: The team or system.
        why: The reason.
    """

    agent: Agent
    to: str
    why: str = ""


@attrs.frozen
class Cancel:
    """Take back a reply that has not left.

    Args:
        reply: The command id of the reply.
        agent: Who decides.
        why: The reason.
    """

    reply: str
    agent: Agent
    why: str = ""


@attrs.frozen
class Hold:
    """Let a queued reply wait for a person.

    Args:
        reply: The command id of the reply.
        why: The reason.
    """

    reply: str
    why: str


@attrs.frozen
class Release:
    """Let a held reply go on.

    Args:
        reply: The command id of the reply.
        agent: Who decides.
        why: The reason.
    """

    reply: str
    agent: Agent
    why: str = ""


@attrs.frozen
class PartTold:
    """Report that one part of a reply is on the platform; never refused.

    Args:
        reply: The command id of the reply.
        part: Which part, from 0.
        receipt: The platform's receipt.
        by: Who wrote it, for a receipt that comes after the reply was given up.
    """

    reply: str
    part: int
    receipt: Receipt
    by: Agent = Agent("unknown")


@attrs.frozen
class PartRefused:
    """Report that the platform definitely refused one part of a reply.

    Args:
        reply: The command id of the reply.
        part: Which part, from 0.
        why: The platform's reason.
    """

    reply: str
    part: int
    why: str


@attrs.frozen
class Announce:
    """Record an alarm that must reach a person, once.

    Args:
        key: The once-key.
        kind: What it is about, for example `"breach:first_response"`.
        due: The moment that was warned about or missed, if there is one.
        why: In words.
    """

    key: str
    kind: str
    due: datetime | None = None
    why: str = ""


Command: TypeAlias = (
    Reply
    | Dismiss
    | Classify
    | Assign
    | Tag
    | Note
    | Handoff
    | Cancel
    | Hold
    | Release
    | PartTold
    | PartRefused
    | Announce
)
