"""How a conversation's id stands in the tables: as a head, which sorts by thread, and a number."""

from __future__ import annotations

from collections.abc import Mapping

from supportflow.errors import Conflict
from supportflow.model import conversation_id

__all__ = ["head_of", "known", "split_id", "tag_text"]


def head_of(channel: str, thread: str, customer: str) -> str:
    """Return what all conversations of one customer in one thread have in common.

    Args:
        channel: The channel's name.
        thread: The platform's thread.
        customer: The customer's id.

    Example:
        >>> head_of("mastodon", "109", "ola@example.social")
        'mastodon/109/ola%40example.social'
    """
    return conversation_id(channel, thread, customer)[:-2]


def split_id(text: str) -> tuple[str, int]:
    """Return head and number of a conversation's id; a number of -1 is nobody's.

    Args:
        text: What may be a conversation's id.

    Example:
        >>> split_id("mastodon/109/ola#2"), split_id("nonsense")
        (('mastodon/109/ola', 2), ('nonsense', -1))
    """
    head, mark, number = text.rpartition("#")
    canonical = number.isascii() and number.isdigit() and len(number) <= 18
    if not mark or not canonical or (number[0] == "0" and number != "0"):
        return text, -1
    return head, int(number)


def known(ids: Mapping[str, int], text: str) -> int:
    """Return the integer behind a conversation's id.

    Args:
        ids: Those that are there.
        text: The conversation's id.

    Raises:
        Conflict: If it is not there (any more): it may have been erased meanwhile.
    """
    try:
        return ids[text]
    except KeyError:
        raise Conflict(f"there is no conversation {text} (any more): read again") from None


def tag_text(tag: str) -> str:
    """Return a tag as it stands in a conversation's `tags` column, for exact search."""
    return f"\x1f{tag}\x1f"
