"""Bring texts into the one form that every store accepts, and into the form that is compared."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["MAX_SKELETON", "skeleton", "storable"]

#: The longest skeleton, in characters; longer texts are compared by their beginning. Ours.
MAX_SKELETON = 512

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LINK = re.compile(r"https?://\S+")
_MENTION = re.compile(r"@[\w.@-]+")
_NUMBER = re.compile(r"\d[\d.,:/-]*")
_SPACE = re.compile(r"\s+")


def storable(text: str) -> str:
    """Return a text as it is stored: NFC, without what databases and encodings refuse.

    U+0000 is accepted by SQLite and refused by PostgreSQL; a lone surrogate is refused by
    UTF-8 itself (RELIABILITY 0.9). Each becomes U+FFFD, so that nothing vanishes unseen.

    Args:
        text: Any text.

    Example:
        >>> storable("a" + chr(0) + "b")
        'a�b'
    """
    if text.isascii() and "\x00" not in text:
        return text
    return unicodedata.normalize("NFC", _UNSTORABLE.sub("�", text))


def skeleton(text: str) -> str:
    """Return what remains of a text when names, numbers and links are masked.

    Two answers with the same skeleton are the same canned text.

    Args:
        text: An outgoing text.

    Example:
        >>> skeleton("Hi @ola, order 4711 is on its way: https://example.com/4711")
        'hi @ order 0 is on its way: /'
    """
    masked = _NUMBER.sub("0", _MENTION.sub("@", _LINK.sub("/", text)))
    return _SPACE.sub(" ", masked.replace("@,", "@")).strip().casefold()[:MAX_SKELETON]
