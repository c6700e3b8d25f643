"""What goes out: the message handed to a channel, its receipt, and the channel's own state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import attrs

from supportflow.model.message import Attachment
from supportflow.model.values import AgentKind, Author, Secret, Visibility, aware

__all__ = ["Card", "ChannelState", "Outgoing", "Receipt", "Template"]


def _aware(value: datetime) -> datetime:
    return aware(value, "at")


def _frozen(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


@attrs.frozen
class Receipt:
    """Hold the platform's own proof that it took a message.

    Args:
        id: The platform's id; None where it returns none and acceptance is the receipt.
        at: The platform's time, or the answer's where it gives none (aware).
        permalink: Where a person can see it.
    """

    id: str | None
    at: datetime = attrs.field(converter=_aware)
    permalink: str | None = None


@attrs.frozen
class Card:
    """Show a product in the chat, with a link to check out (mission M17).

    Args:
        title: The product's name.
        url: Where to buy it.
        subtitle: A line about it, such as its price.
        image: The URL of a picture.
        button: The words on the button.
    """

    title: str
    url: str
    subtitle: str = ""
    image: str = ""
    button: str = "Buy"


@attrs.frozen
class Template:
    """Name a text that the platform has approved, to write first or after its window has closed.

    Args:
        name: Its name there.
        language: Its language there, for example `"en_US"`.
        values: What stands in its places, in order.
    """

    name: str
    language: str
    values: tuple[str, ...] = ()


@attrs.frozen
class Outgoing:
    """Hold one part of a reply, complete, as its channel is to send it.

    Args:
        id: The outbox row's id.
        mark: The short name that travels with the post where the platform allows.
        text: The words.
        to: Whom it is for.
        thread: The platform's thread.
        reply_to: The (kind, id) of the message that it answers; None for an announcement.
        visibility: Never wider than that of the message it answers.
        by: The kind of agent who wrote it.
        queued_at: When it was queued (aware): constant over retries.
        attempt: How often it was claimed, this time included.
        first_sent_at: When the first attempt to send began, if there was one.
        language: A BCP 47 tag, where known.
        last_inbound_at: When the customer last wrote: the messaging window counts from it.
        card: A product to show.
        quick_replies: Answers to offer as buttons.
        attachments: Pictures and files that the platform fetches from their https addresses.
        template: What is sent in the place of `text`, which then says the same in words.
        known: Platform ids that other replies of ours already have, for reconciling.
    """

    id: str
    mark: str
    text: str
    to: Author
    thread: str
    reply_to: tuple[str, str] | None
    visibility: Visibility
    by: AgentKind
    queued_at: datetime = attrs.field(converter=_aware)
    attempt: int = 1
    first_sent_at: datetime | None = None
    language: str | None = None
    last_inbound_at: datetime | None = None
    card: Card | None = None
    quick_replies: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    template: Template | None = None
    known: frozenset[str] = frozenset()


@attrs.frozen
class ChannelState:
    """Hold what a channel must remember between runs.

    Args:
        channel: The channel's name.
        cursor: Where polling goes on; None to begin.
        credentials: Renewed tokens; they never print.
        learned: Limits and the like that the platform told us.
        paused_until: No sending on this account before then.
        needs_auth: Why sending is held until somebody renews the credentials.
        checked_at: When it last answered.
        fault: What was wrong the last time, if anything.
    """

    channel: str
    cursor: str | None = None
    credentials: Mapping[str, Secret] = attrs.field(factory=dict, converter=_frozen)
    learned: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen)
    paused_until: datetime | None = None
    needs_auth: str = ""
    checked_at: datetime | None = None
    fault: str = ""
