"""Write values as JSON text and read them back: events, snapshots and what else a store keeps.

Every text begins with the format's version. Fields that hold their default are left out.
Whoever adds, removes or renames a field, or changes its default, raises `VERSION`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

import attrs

from supportflow.errors import InvalidValue, SchemaTooNew, StoreCorrupt
from supportflow.events import EVENTS, Event
from supportflow.model import Attachment, Message
from supportflow.stores.compiled import reader, writer

__all__ = [
    "VERSION",
    "decode",
    "decode_event",
    "decode_parts",
    "encode",
    "encode_event",
    "encode_parts",
    "storable",
]

#: The format's version, written into every text; newer ones are refused.
VERSION: Final = 2

T = TypeVar("T")

_HEAD = f'{{"v":{VERSION}'
_parse: Callable[[str], tuple[dict[str, Any], int]] = json.JSONDecoder().raw_decode
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@attrs.frozen
class _Parts:
    attachments: tuple[Attachment, ...] = ()
    tags: tuple[str, ...] = ()


def encode(value: attrs.AttrsInstance) -> str:
    """Write a value as JSON text.

    Args:
        value: An instance of one of our attrs classes.

    Raises:
        InvalidValue: If a field holds what its type does not allow, or text that not every
            store could give back (see `storable`).

    Example:
        >>> from supportflow.model import ChannelState
        >>> encode(ChannelState("mastodon", cursor="109"))
        '{"v":2,"channel":"mastodon","cursor":"109"}'
    """
    kind = value.__class__
    try:
        text = writer(kind, _HEAD)(value)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidValue(f"{kind.__name__} cannot be stored: {error}") from error
    # One sign is found much faster than six.
    if "\\" in text and "\\u0000" in text and _NUL.search(text):
        raise _unstorable(kind.__name__, "a NUL")
    return text if text.isascii() else _utf8(text, kind.__name__)


def decode(kind: type[T], text: str, what: str = "") -> T:
    """Read a value back.

    Args:
        kind: The class that was written.
        text: What `encode` made of it.
        what: What it is, for errors; the class's name otherwise.

    Raises:
        SchemaTooNew: If a newer version wrote it.
        StoreCorrupt: If it cannot be read.

    Example:
        >>> from supportflow.model import ChannelState
        >>> decode(ChannelState, '{"v":1,"channel":"mastodon","cursor":"109"}').cursor
        '109'
    """
    name = what or kind.__name__
    fields = _fields(text, name)
    known: type = kind
    try:
        value: T = reader(known)(fields)
    except _UNREADABLE as error:
        raise _corrupt(name, error) from error
    return value


def encode_event(event: Event) -> tuple[str, str]:
    """Write an event as the name of its kind and JSON text.

    Args:
        event: Any event.

    Raises:
        InvalidValue: As `encode`.

    Example:
        >>> from datetime import UTC, datetime
        >>> from supportflow.events import Linked
        >>> encode_event(Linked(datetime(2026, 1, 1, tzinfo=UTC), "a/b/c#0"))
        ('Linked', '{"v":2,"at":1767225600000000,"bystander_of":"a/b/c#0"}')
    """
    return event.__class__.__name__, encode(event)


def decode_event(name: str, text: str, what: str = "") -> Event:
    """Read an event back.

    Args:
        name: The name of its kind.
        text: What `encode_event` made of it.
        what: What it is, for errors.

    Raises:
        SchemaTooNew: If a newer version wrote it.
        StoreCorrupt: If it cannot be read.
    """
    what = what or f"event {name}"
    if kind := EVENTS.get(name):
        return decode(kind, text, what)
    _fields(text, what)  # a newer version may know more events
    raise _corrupt(what, f"no event is called {name!r}")


def encode_parts(message: Message) -> str:
    """Write a message's attachments and tags; empty text where it has none.

    Args:
        message: Any message.

    Raises:
        InvalidValue: As `encode`.
    """
    if not message.attachments:
        return _encode_tags(message.tags)
    return encode(_Parts(message.attachments, message.tags))


@lru_cache(1024)  # what a channel's messages are labelled with repeats itself
def _encode_tags(tags: tuple[str, ...]) -> str:
    return encode(_Parts(tags=tags)) if tags else ""


def decode_parts(text: str, what: str = "") -> tuple[tuple[Attachment, ...], tuple[str, ...]]:
    """Read a message's attachments and tags back.

    Args:
        text: What `encode_parts` made of them.
        what: What they belong to, for errors.

    Raises:
        SchemaTooNew: If a newer version wrote them.
        StoreCorrupt: If they cannot be read.
    """
    if not text:
        return (), ()
    parts = decode(_Parts, text, what or "a message's parts")
    return parts.attachments, parts.tags


def storable(text: str, what: str) -> str:
    """Return a text if every store can keep it as it is.

    PostgreSQL takes no NUL (https://www.postgresql.org/docs/current/datatype-character.html);
    a lone surrogate has no form in UTF-8, and so in no database.

    Args:
        text: Any text that goes into a column of its own.
        what: What it is, for the error.

    Raises:
        InvalidValue: If it is no string, or holds a NUL or a lone surrogate.

    Example:
        >>> storable("Where is my parcel?", "text")
        'Where is my parcel?'
    """
    if not isinstance(text, str):
        raise InvalidValue(f"{what} is {type(text).__name__}, not str")
    if "\0" in text:
        raise _unstorable(what, "a NUL")
    return text if text.isascii() else _utf8(text, what)


def _utf8(text: str, what: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _unstorable(what, "a lone surrogate") from None
    return text


def _unstorable(what: str, found: str) -> InvalidValue:
    return InvalidValue(f"{what} holds {found}; normalise texts before they are stored")


def _corrupt(what: str, why: object) -> StoreCorrupt:
    reason = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else why
    return StoreCorrupt(f"{what} cannot be read ({reason!s:.200}); restore it from a backup")


def _fields(text: str, what: str) -> dict[str, Any]:
    try:
        fields, end = _parse(text)
        version = fields.pop("v")
    except _UNREADABLE as error:
        raise _corrupt(what, error) from error
    if end != len(text):
        raise _corrupt(what, f"it goes on after position {end}")
    if version.__class__ is not int or version < 1:
        raise _corrupt(what, f"its format is {version!r}")
    if version > VERSION:
        raise SchemaTooNew(
            f"{what} has format {version}, and this supportflow knows {VERSION}: "
            "upgrade the package"
        )
    return fields
