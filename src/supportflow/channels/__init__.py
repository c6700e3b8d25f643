"""What a channel is: protocols, `Traits` as data, and loading channels by name.

A channel is frozen and stateless. Its I/O is a flow that yields `Request` and is sent
`Response`; it opens no socket and reads no clock. None has, or may grow, a way to hide or
delete a customer's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Protocol, Self, runtime_checkable

import attrs

from supportflow.errors import InvalidValue, NotFound, SupportflowError
from supportflow.flow import Flow
from supportflow.http import Response, Webhook
from supportflow.model import ChannelState, Fact, Outgoing, Receipt
from supportflow.text.limits import count

__all__ = [
    "PROTOCOL",
    "Ambiguous",
    "Channel",
    "Checks",
    "Delivery",
    "Finds",
    "Found",
    "Health",
    "NeedsAuth",
    "NotSent",
    "Page",
    "Polls",
    "RateLimited",
    "Receives",
    "Reconcile",
    "Refused",
    "Renews",
    "Searches",
    "SendError",
    "Traits",
    "Unreadable",
    "load",
]

#: The version of this protocol. A channel made for an older one keeps working for at least
#: one minor release after the deprecation warning that names it.
PROTOCOL = 1


class Reconcile(StrEnum):
    """Say how an uncertain send is cleared up.

    By sending with the same key again, by reading the thread, by waiting for an echo, or not
    at all.
    """

    key = "key"
    read = "read"
    echo = "echo"
    blind = "blind"


def _frozen(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


def _several(value: Iterable[str]) -> frozenset[str]:
    return frozenset(value)


@attrs.frozen
class Traits:
    """Describe a network as data: what it can do and where its limits are.

    Args:
        network: The network's name, for example `"mastodon"`.
        max_text: The longest text, in the platform's own counting.
        max_private: The longest private text, where that is another length.
        private_counting: How the platform counts a private text, where that is another way.
        reconcile: How an uncertain send is cleared up.
        protocol: The version of the channel protocol that it was made for.
        counting: How the platform counts, by a name of `supportflow.text.limits.count`; a
            channel that counts in a way of its own extends `Traits` and overrides `count`.
        settle: How long after a send its absence from a read means anything.
        key_window: How long the platform remembers an idempotency key; for `Reconcile.key`.
        echo_wait: How long to wait for an echo before a person must look.
        hold_for: How long an unknown reply holds later ones of its conversation.
        window: How long after the customer's last message a private reply is possible;
            None without limit.
        human_window: The same for replies that a person wrote, where it is longer.
        visibilities: Which visibilities it knows.
        receipt: `"id"` where the platform returns an id; `"accepted"` where its
            acceptance is all there is.
        powers: What it can express beyond text: `"card"`, `"quick_replies"`, `"attachments"`,
            `"template"`; and `"announcement"` where it posts what answers nobody.
        inbound: How messages come in: `"webhook"`, `"poll"`.
        poll_every: How long between polls.
        signature: How a webhook proves itself genuine, for example `"X-Hub-Signature-256"`;
            empty where nothing comes by webhook.
        rates: How much it takes at most, by purpose, as text.
        replaces: Whether a later reply takes the place of an earlier one: then `send` is told, in
            `Outgoing.known`, which ones are ours.
        cost: Money per request, by purpose, as text.
        unsupported: What the platform does not offer, and what to do instead.
    """

    network: str
    max_text: int
    reconcile: Reconcile = attrs.field(converter=Reconcile)
    protocol: int = PROTOCOL
    counting: str = "code_points"
    settle: timedelta = timedelta(seconds=15)
    key_window: timedelta = timedelta(0)
    echo_wait: timedelta = timedelta(minutes=10)
    hold_for: timedelta = timedelta(minutes=10)
    window: timedelta | None = None
    human_window: timedelta | None = None
    visibilities: tuple[str, ...] = ("public",)
    receipt: str = "id"
    powers: frozenset[str] = attrs.field(default=frozenset(), converter=_several)
    inbound: tuple[str, ...] = ("poll",)
    max_private: int | None = None
    private_counting: str = ""
    poll_every: timedelta = timedelta(seconds=30)
    signature: str = ""
    replaces: bool = False
    rates: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    cost: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    unsupported: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)

    def count(self, text: str) -> int:
        """Return a text's length as the platform counts it, or a little more.

        Args:
            text: The text.

        Raises:
            InvalidValue: If `counting` names no way to count.
        """
        return count(text, self.counting)

    def count_private(self, text: str) -> int:
        """Return a private text's length as the platform counts it, or a little more.

        Args:
            text: The text.

        Raises:
            InvalidValue: If `private_counting` names no way to count.
        """
        return count(text, self.private_counting) if self.private_counting else self.count(text)


@attrs.frozen
class Unreadable:
    """Hold one genuine item of a batch that could not be read; it goes into quarantine.

    Args:
        raw: The item as it came.
        why: What was wrong with it.
    """

    raw: bytes = attrs.field(repr=False)
    why: str


@attrs.frozen
class Delivery:
    """Hold what a webhook brought.

    Args:
        facts: What it reports.
        unreadable: Items of it that could not be read.
        response: What to answer the platform once everything is committed.
    """

    facts: tuple[Fact, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    response: Response = Response(200)


@attrs.frozen
class Page:
    """Hold what one poll brought.

    Args:
        facts: What it reports.
        cursor: Where the next poll goes on; committed together with the facts.
        unreadable: Items of it that could not be read.
        more: Whether there is more to fetch at once.
        learned: What the channel found out and wants to remember, for example limits; it is
            added to `ChannelState.learned`.
    """

    facts: tuple[Fact, ...] = ()
    cursor: str | None = None
    unreadable: tuple[Unreadable, ...] = ()
    more: bool = False
    learned: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen)


@attrs.frozen
class Found:
    """Hold what a search for our own message gave.

    Args:
        receipt: Its receipt, if it was found.
        looked: False if the read failed or was incomplete: then its absence means nothing.
        why: Why we could not look.
    """

    receipt: Receipt | None = None
    looked: bool = True
    why: str = ""


@attrs.frozen
class Health:
    """Hold how a channel is.

    Args:
        ok: Whether it can do its work.
        problems: What is wrong, and what to do about it.
        notes: What else is worth knowing.
        expires_at: When its credentials end, where known.
        learned: What the channel found out and wants to remember, for example limits; it is
            added to `ChannelState.learned`.
    """

    ok: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    learned: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen)


class SendError(SupportflowError):
    """Be the base of what a channel's flow raises when a message was not posted."""


class NotSent(SendError):
    """Say that the platform certainly did not take it; it may be tried again later."""


class RateLimited(NotSent):
    """Say that the whole account must pause.

    Args:
        message: What the platform said.
        until: When to go on (aware).
    """

    def __init__(self, message: str, until: datetime) -> None:
        self.until = until
        super().__init__(message)


class NeedsAuth(NotSent):
    """Say that the credentials are no longer accepted: hold the queue, tell a person."""


class Refused(SendError):
    """Say that the platform definitely refuses this message; sending it again is useless."""


class Ambiguous(SendError):
    """Say that the platform may or may not have taken it: reconcile, never just resend."""


class Channel(Protocol):
    """Send to one account on one network; other abilities are protocols of their own."""

    @property
    def name(self) -> str:
        """Return the channel's name, for example `"mastodon"` or `"mastodon:shop"`."""
        ...

    @property
    def traits(self) -> Traits:
        """Return what the network can do."""
        ...

    def using(self, state: ChannelState) -> Self:
        """Return this channel with persisted credentials and learned limits."""
        ...

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post a message.

        Raises:
            SendError: One of its kinds says what became of it.
        """
        ...


@runtime_checkable
class Receives(Protocol):
    """Take webhooks."""

    def receive(self, hook: Webhook) -> Delivery:
        """Prove it genuine on its raw bytes, then read it; or answer a handshake.

        Raises:
            WebhookRejected: If it is not proved genuine.
            PayloadError: If it is genuine and cannot be read as a whole.
        """
        ...


@runtime_checkable
class Polls(Protocol):
    """Ask the platform for news."""

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch one page after a cursor."""
        ...


@runtime_checkable
class Finds(Protocol):
    """Look for our own message on the platform."""

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Say whether it is there, is not, or could not be looked for."""
        ...


@runtime_checkable
class Searches(Protocol):
    """Listen for untagged mentions of the brand; they are counted, never answered."""

    def search(self, query: str, cursor: str | None) -> Flow[Page]:
        """Fetch one page of what people say."""
        ...


@runtime_checkable
class Checks(Protocol):
    """Say how the channel is."""

    def check(self) -> Flow[Health]:
        """Ask the platform about credentials, scopes and subscriptions."""
        ...


@runtime_checkable
class Renews(Protocol):
    """Renew credentials before they end."""

    def renew(self) -> Flow[ChannelState]:
        """Return the state with new credentials; it is committed before they are used."""
        ...


def load(name: str) -> type[Any]:
    """Load a channel class by its name from the entry-point group `supportflow.channels`.

    Args:
        name: The network's name, for example `"archive"`.

    Raises:
        NotFound: If no installed package offers it; it names those that are.
        InvalidValue: If two packages offer it; it names both.

    Example:
        >>> load("archive").__name__
        'Archive'
    """
    offers: dict[str, list[EntryPoint]] = {}
    for offer in entry_points(group="supportflow.channels"):
        offers.setdefault(offer.name, []).append(offer)
    found = offers.get(name, [])
    if not found:
        raise NotFound(
            f"no channel named {name!r} is installed; there are: {', '.join(sorted(offers))}"
        )
    if len({offer.value for offer in found}) > 1:
        owners = " and ".join(
            sorted(f"{o.value} ({o.dist.name if o.dist else '?'})" for o in found)
        )
        raise InvalidValue(f"two packages offer a channel named {name!r}: {owners}; uninstall one")
    loaded: type[Any] = found[0].load()
    return loaded
