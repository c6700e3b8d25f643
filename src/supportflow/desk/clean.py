"""Bring facts from outside into storable form, and those that fail into quarantine and back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import attrs

from supportflow.errors import InvalidValue, StoreError
from supportflow.model import (
    Author,
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Reaction,
    Reading,
    Removal,
    StatusReport,
)
from supportflow.stores import Quarantined
from supportflow.stores.codec import decode, encode
from supportflow.text import storable

__all__ = ["cleaned", "described", "plain_reading", "quarantined", "restored"]

#: The most characters that are kept of something that is no fact at all.
_SHOWN = 10_000
#: How many reasons of a classifier are kept, and how many characters of each. Ours.
_REASONS, _REASON = 20, 200


def cleaned(fact: object, channel: str) -> Fact:
    """Return a fact with every text in storable form; the common case changes nothing.

    Args:
        fact: What a channel reported, perhaps no fact at all.
        channel: The channel that reported it.

    Raises:
        InvalidValue: If it is no fact, of another channel, or its customer has no id.
        AttributeError: If a field that must be text is none; so does TypeError.
    """
    clean = _CLEAN.get(type(fact))
    if clean is None:
        raise InvalidValue(f"{type(fact).__name__} is not a fact")
    found = clean(fact)
    named = found.message.channel if isinstance(found, Inbound | Outbound) else found.channel
    if named != channel:
        raise InvalidValue(f"it names channel {named!r:.100}, not {channel!r}")
    return found


def _inbound(fact: Inbound) -> Fact:
    message = _message(fact.message)
    if not message.author.id:
        raise InvalidValue(f"the author of message {message.id!r:.100} has no id")
    return fact if message is fact.message else attrs.evolve(fact, message=message)


def _outbound(fact: Outbound) -> Fact:
    message, customer, mark = _message(fact.message), fact.customer, fact.mark
    if message is fact.message and customer is None is mark:
        return fact
    return attrs.evolve(
        fact,
        message=message,
        customer=customer and storable(customer),
        mark=mark and storable(mark),
    )


def _message(message: Message) -> Message:
    author = message.author
    texts = (message.text, message.id, author.id, author.name, author.handle, *message.tags)
    perhaps = (message.thread, message.parent, message.raw, message.permalink, message.language)
    if not message.attachments and _is_plain(texts, perhaps):
        return message
    thread, parent, raw, permalink, language = (text and storable(text) for text in perhaps)
    return attrs.evolve(
        message,
        text=storable(message.text),
        id=storable(message.id),
        author=Author(storable(author.id), storable(author.name), storable(author.handle)),
        thread=thread,
        parent=parent,
        raw=raw,
        permalink=permalink,
        language=language,
        tags=tuple(map(storable, message.tags)),
        attachments=tuple(
            attrs.evolve(a, kind=storable(a.kind), url=storable(a.url), name=storable(a.name))
            for a in message.attachments
        ),
    )


def _is_plain(texts: Iterable[str], perhaps: Iterable[str | None]) -> bool:
    """Return whether every text is storable as it is; mostly one look at all of them will do."""
    every = [*texts, *(text for text in perhaps if text is not None)]
    whole = "".join(every)
    return (whole.isascii() and "\x00" not in whole) or all(storable(t) == t for t in every)


def _plain(fact: Any) -> Any:
    texts = {
        field.name: storable(getattr(fact, field.name))
        for field in attrs.fields(type(fact))
        if type(getattr(fact, field.name)) is str
    }
    return attrs.evolve(fact, **texts)


def _reaction(fact: Reaction) -> Fact:
    author = fact.author
    named = Author(storable(author.id), storable(author.name), storable(author.handle))
    changed: Reaction = attrs.evolve(_plain(fact), author=named)
    return changed


_CLEAN: dict[type, Callable[[Any], Fact]] = {
    Inbound: _inbound,
    Outbound: _outbound,
    Edit: _plain,
    Removal: _plain,
    Reaction: _reaction,
    StatusReport: _plain,
}


def plain_reading(reading: object) -> Reading:
    """Return what a classifier said in storable form, its reasons bounded.

    Args:
        reading: What it returned.

    Raises:
        TypeError: If that is no reading.
    """
    if not isinstance(reading, Reading):
        raise TypeError(f"a classifier returned {type(reading).__name__}, not a Reading")
    return attrs.evolve(
        reading,
        language=reading.language and storable(reading.language),
        reasons=tuple(storable(reason[:_REASON]) for reason in reading.reasons[:_REASONS]),
        by=storable(reading.by),
    )


def quarantined(channel: str, raw: bytes, why: str, at: datetime) -> Quarantined:
    """Return an item for quarantine; the same content gives the same id.

    Args:
        channel: The channel's name.
        raw: The item as it came.
        why: What was wrong with it.
        at: When (aware).
    """
    digest = hashlib.blake2b(channel.encode() + b"\0" + raw, digest_size=16).hexdigest()
    return Quarantined(digest, channel, raw, storable(why)[:500], at)


def described(fact: Any) -> bytes:
    """Return a fact as bytes from which `restored` makes it again, where that can be.

    Args:
        fact: What a channel reported, perhaps no fact at all.
    """
    try:
        text = f"{type(fact).__name__} {encode(fact)}"
    except InvalidValue:
        try:
            text = repr(fact)[:_SHOWN]
        except Exception as error:  # noqa: BLE001  # of an object that we know nothing of
            text = f"{type(fact).__name__}, whose representation raises {type(error).__name__}"
    return text.encode("utf-8", "replace")


def restored(raw: bytes) -> Fact | None:
    """Return the fact that `described` wrote; None if it is something else.

    Args:
        raw: An item from quarantine.
    """
    name, _, text = raw.decode("utf-8", "replace").partition(" ")
    kind = next((kind for kind in _CLEAN if kind.__name__ == name), None)
    if kind is None:
        return None
    try:
        fact: Fact = decode(kind, text)
    except StoreError:
        return None
    return fact
