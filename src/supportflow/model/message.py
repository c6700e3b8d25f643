"""Messages, and the facts about them that channels report."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import attrs

from supportflow.errors import InvalidValue
from supportflow.model.values import NATIVE, Agent, Author, Visibility, aware, member

__all__ = [
    "Attachment",
    "Edit",
    "Fact",
    "Inbound",
    "Message",
    "MessageKey",
    "Outbound",
    "Reaction",
    "Removal",
    "RemovedBy",
    "StatusReport",
]

#: (channel, kind, platform id): unique for ever. The kind is the name space of the id.
MessageKey: TypeAlias = tuple[str, str, str]


def _aware(value: datetime) -> datetime:
    return aware(value, "at")


def _named(_: object, field: attrs.Attribute[str], value: str) -> None:
    if value.__class__ is not str or not value:
        raise InvalidValue(f"{field.name} is {value!r}; it must be a non-empty string")


@attrs.frozen
class Attachment:
    """List something that came with a message; it is never fetched by itself.

    Args:
        kind: For example `"image"`, `"video"`, `"file"`, `"link"`.
        url: Where the platform says that it is.
        name: A file name or description, as given.
    """

    kind: str
    url: str
    name: str = ""


@attrs.frozen(weakref_slot=False)
class Message:
    """Hold one message as its platform gave it.

    Args:
        channel: The channel's name.
        kind: The name space of `id` on that platform, for example `"status"`.
        id: The platform's own id, opaque.
        author: Who wrote it.
        text: Its words as plain text.
        at: The platform's time (aware).
        thread: The platform's own thread or root, where it names one.
        parent: The id of the message that this one answers, where there is one.
        visibility: Who can read it.
        language: The platform's own language tag.
        attachments: What came with it.
        permalink: Where a person can see it.
        tags: Labels that the channel gives, for example a brand.
        raw: The platform's own item as JSON text, where kept.

    Raises:
        InvalidValue: If the time is naive, or an id, channel, kind or text is no string.
    """

    channel: str = attrs.field(validator=_named)
    kind: str = attrs.field(validator=_named)
    id: str = attrs.field(validator=_named)
    author: Author
    text: str
    at: datetime = attrs.field(converter=_aware)
    thread: str | None = None
    parent: str | None = None
    visibility: Visibility = Visibility.public
    language: str | None = None
    attachments: tuple[Attachment, ...] = ()
    permalink: str | None = None
    tags: tuple[str, ...] = ()
    raw: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidValue(f"text of {self.id!r} is {type(self.text).__name__}, not str")

    @property
    def key(self) -> MessageKey:
        """Return what identifies the message for ever."""
        return (self.channel, self.kind, self.id)


@attrs.frozen(weakref_slot=False)
class Inbound:
    """Report words from somebody else.

    Args:
        message: What they wrote.
        backfill: True for history: judged, but never announced.
    """

    message: Message
    backfill: bool = False


@attrs.frozen(weakref_slot=False)
class Outbound:
    """Report words of our own account, as the platform shows them.

    If `mark` or the id is that of a reply of ours, this is its receipt; otherwise
    somebody answered in the platform's own app.

    Args:
        message: What was written.
        customer: Whom it answers, where the platform says so; otherwise the author of
            the parent message.
        mark: The mark that one of our own sends carried, where it came back.
        agent: Who wrote it, where the source knows.
        backfill: True for history.
    """

    message: Message
    customer: str | None = None
    mark: str | None = None
    agent: Agent = NATIVE
    backfill: bool = False


@attrs.frozen
class Edit:
    """Report that a message's words were changed.

    Args:
        channel: The channel's name.
        kind: The message's kind.
        id: The message's id.
        revision: What names this revision among others, for example its time.
        text: The words now.
        at: When (aware).
    """

    channel: str = attrs.field(validator=_named)
    kind: str = attrs.field(validator=_named)
    id: str = attrs.field(validator=_named)
    revision: str = attrs.field(validator=_named)
    text: str
    at: datetime = attrs.field(converter=_aware)
    backfill: bool = False

    @property
    def key(self) -> MessageKey:
        """Return the key of the message that was edited."""
        return (self.channel, self.kind, self.id)


class RemovedBy(StrEnum):
    """Say who took a message away: its author, us in the platform's app, or the platform."""

    author = "author"
    us = "us"
    platform = "platform"
    unknown = "unknown"


def _removed_by(value: str) -> RemovedBy:
    return member(RemovedBy, value, "by")


@attrs.frozen
class Removal:
    """Report that a message was deleted or hidden.

    Args:
        channel: The channel's name.
        kind: The message's kind.
        id: The message's id.
        at: When (aware).
        by: Who did it. Anybody but its author raises an alarm (mission M11).
        hidden: True if it was hidden and still exists.
    """

    channel: str = attrs.field(validator=_named)
    kind: str = attrs.field(validator=_named)
    id: str = attrs.field(validator=_named)
    at: datetime = attrs.field(converter=_aware)
    by: RemovedBy = attrs.field(default=RemovedBy.author, converter=_removed_by)
    hidden: bool = False

    @property
    def key(self) -> MessageKey:
        """Return the key of the message that was taken away."""
        return (self.channel, self.kind, self.id)


@attrs.frozen
class Reaction:
    """Report a mere reaction to a message; it reopens nothing and starts no clock.

    Args:
        channel: The channel's name.
        kind: The kind of the message reacted to.
        id: Its id.
        author: Who reacted.
        emoji: With what; empty when taken back.
        at: When (aware).
    """

    channel: str = attrs.field(validator=_named)
    kind: str = attrs.field(validator=_named)
    id: str = attrs.field(validator=_named)
    author: Author
    emoji: str
    at: datetime = attrs.field(converter=_aware)

    @property
    def key(self) -> MessageKey:
        """Return the key of the message reacted to."""
        return (self.channel, self.kind, self.id)


_STATUSES = ("sent", "delivered", "read", "failed")


def _status(_: object, __: object, value: str) -> None:
    if value not in _STATUSES:
        raise InvalidValue(f"status is {value!r:.100}; it is one of {', '.join(_STATUSES)}")


@attrs.frozen
class StatusReport:
    """Report how far one of our own messages came.

    Args:
        channel: The channel's name.
        id: The platform's id of our message.
        status: `"sent"`, `"delivered"`, `"read"` or `"failed"`.
        at: When (aware).
        reason: Why it failed.
        mark: The mark that our send carried, where it came back.

    Raises:
        InvalidValue: If the status is another, or the time is naive.
    """

    channel: str = attrs.field(validator=_named)
    id: str = attrs.field(validator=_named)
    status: str = attrs.field(validator=_status)
    at: datetime = attrs.field(converter=_aware)
    reason: str = ""
    mark: str | None = None


Fact: TypeAlias = Inbound | Outbound | Edit | Removal | Reaction | StatusReport
