"""Read the events of private messages, which Messenger and Instagram write alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import attrs

from supportflow.channels.meta import Item, bounded, moment
from supportflow.errors import PayloadError, Unsupported
from supportflow.model import (
    Attachment,
    Author,
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Reaction,
    StatusReport,
    Visibility,
)
from supportflow.model.quick import maker
from supportflow.text.fields import mapping, mappings, perhaps, word

__all__ = ["Event", "fits"]

_SILENT = frozenset(
    {
        "read",
        "optin",
        "referral",
        "account_linking",
        "app_roles",
        "pass_thread_control",
        "take_thread_control",
        "request_thread_control",
    }
)
_PLAIN_EVENT = frozenset({"sender", "recipient", "timestamp", "message"})
_PLAIN_MESSAGE = frozenset({"mid", "text"})
_MARK = re.compile(r"[a-z2-7]{24}")
# What they are made of was checked where it was read.
_made, _told = maker(Message), maker(Inbound)


def fits(text: str, most: int, what: str, instead: str, network: str = "Messenger") -> str:
    """Return a text that is neither empty nor too long.

    Args:
        text: The text.
        most: How many characters it may have.
        what: What it is, for the error.
        instead: What to do where it does not fit.
        network: Who takes it.

    Raises:
        Unsupported: If it does not fit.
    """
    if not text.strip() or len(text) > most:
        raise Unsupported(
            f"{what} has {len(text)} characters; {network} takes 1 to {most}: {instead}"
        )
    return text


def _ends(event: Mapping[str, Any], us: str) -> tuple[str, str]:
    """Return who sent to whom; one of the two must be us."""
    sender = word(mapping(event.get("sender"), "sender"), "id")
    recipient = word(mapping(event.get("recipient"), "recipient"), "id")
    if (sender == us) == (recipient == us):
        raise PayloadError(f"from {sender!r:.60} to {recipient!r:.60}: one of them must be {us}")
    return sender, recipient


def _attachment(item: Mapping[str, Any]) -> Attachment:
    payload = mapping(item.get("payload") or {}, "payload")
    url = perhaps(payload, "url") or perhaps(item, "url")
    title = perhaps(item, "title") or perhaps(payload, "title")
    if bounded(payload, "elements"):
        titles = [perhaps(each, "title") for each in mappings(payload, "elements")]
        title = title or next(filter(None, titles), "")
    return Attachment(word(item, "type"), url, title)


def _parent(content: Mapping[str, Any]) -> str | None:
    return perhaps(mapping(content.get("reply_to") or {}, "reply_to"), "mid") or None


@attrs.define
class Event:
    """Hold one event with what all kinds have, and read it as facts of its channel.

    Args:
        channel: The channel's name.
        us: Our own id.
        item: The event as it came.
        event: Its content.
        sender: Who did it.
        recipient: To whom.
    """

    channel: str
    us: str
    item: Item
    event: dict[str, Any]
    sender: str
    recipient: str

    #: What holds no words, and is passed over.
    silent: ClassVar[frozenset[str]] = _SILENT

    @classmethod
    def of(cls, channel: str, us: str, item: Item) -> Self:
        """Take an item of a batch.

        Args:
            channel: The channel's name.
            us: Our own id.
            item: The item.

        Raises:
            PayloadError: If it is no event between us and somebody else.
        """
        event = mapping(item.value, "the event")
        if item.place == "changes":
            event = mapping(event.get("value"), f"the value of {event.get('field')!r:.60}")
        return cls(channel, us, item, event, *_ends(event, us))

    @classmethod
    def kinds(cls) -> Mapping[str, Callable[[Any, dict[str, Any]], Iterable[Fact]]]:
        """Return which field of an event is read by which method."""
        return _READ

    def facts(self) -> Iterable[Fact]:
        """Return what the event reports.

        Raises:
            PayloadError: If it is of no known kind, or a field of it is wrong.
        """
        for kind, read in self.kinds().items():
            if kind in self.event:
                return read(self, mapping(self.event[kind], kind))
        if self.event.keys() & self.silent:
            return ()
        kinds = ", ".join(sorted(self.event.keys() - _PLAIN_EVENT))
        raise PayloadError(f"an event of a kind that is not known here: {kinds:.200}")

    def _message(self, kind: str, name: str, text: str, content: Mapping[str, Any]) -> Message:
        author = Author(self.sender)
        customer = self.recipient if self.sender == self.us else self.sender
        place, private = self.item.place, Visibility.private
        bare = content.keys() <= _PLAIN_MESSAGE and self.event.keys() <= _PLAIN_EVENT
        bounded(content, "attachments")
        if bare and place == "messaging":
            at = moment(self.event.get("timestamp"))
            return _made(self.channel, kind, name, author, text, at, customer, visibility=private)
        return _made(
            self.channel,
            kind,
            name,
            author,
            text,
            moment(self.event.get("timestamp")),
            customer,
            _parent(content),
            private,
            attachments=tuple(map(_attachment, mappings(content, "attachments"))),
            tags=("standby",) if place == "standby" else (),
            raw=None if bare else self.item.alone(),
        )

    def message(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Read a message, ours or theirs.

        Args:
            content: The event's `message`.
        """
        message = self._message("message", word(content, "mid"), perhaps(content, "text"), content)
        echo = content.get("is_echo") is True
        if echo != (self.sender == self.us):
            raise PayloadError("the page speaks in echoes, and customers do not")
        if not echo:
            return (_told(message),)
        metadata = content.get("metadata")
        ours = isinstance(metadata, str) and _MARK.fullmatch(metadata) is not None
        return (Outbound(message, self.recipient, metadata if ours else None),)

    def postback(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Take a tapped button as the words on it.

        Whether `mid` is the tap's own or that of the message with the button is not documented:
        with its time it names one tap either way.

        Args:
            content: The event's `postback`.
        """
        text = perhaps(content, "title") or perhaps(content, "payload")
        name = f"{perhaps(content, 'mid') or self.sender}:{self.event.get('timestamp')}"
        if self.sender == self.us:
            raise PayloadError("a postback of the page itself")
        return (_told(self._message("postback", name, text, content)),)

    def message_edit(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Read a customer's edit.

        Args:
            content: The event's `message_edit`.
        """
        number = content.get("num_edit")
        if not isinstance(number, int | str) or not re.fullmatch(r"[0-9]{1,9}", str(number)):
            raise PayloadError(f"num_edit is {number!r:.60}; it must be a whole number")
        name, text, at = word(content, "mid"), perhaps(content, "text"), self.event.get("timestamp")
        return (Edit(self.channel, "message", name, str(int(number)), text, moment(at)),)

    def reaction(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Read a reaction, or that it was taken back.

        Args:
            content: The event's `reaction`.
        """
        back = word(content, "action") == "unreact"
        emoji = "" if back else perhaps(content, "emoji") or word(content, "reaction")
        name, author, at = word(content, "mid"), Author(self.sender), self.event.get("timestamp")
        return (Reaction(self.channel, "message", name, author, emoji, moment(at)),)

    def delivery(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Report each message that is named; the only time given is the watermark.

        Args:
            content: The event's `delivery`.
        """
        names = bounded(content, "mids")
        if not names:
            return ()
        at, ids = moment(content.get("watermark")), [word({"mid": n}, "mid") for n in names]
        return [StatusReport(self.channel, each, "delivered", at) for each in ids]


_READ: Mapping[str, Callable[[Event, dict[str, Any]], Iterable[Fact]]] = MappingProxyType(
    {
        "message": Event.message,
        "postback": Event.postback,
        "message_edit": Event.message_edit,
        "reaction": Event.reaction,
        "delivery": Event.delivery,
    }
)
