"""Check what callers of a desk pass, and bring it into the form that programs use."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from supportflow.errors import InvalidValue
from supportflow.model import Agent, Conversation
from supportflow.model.values import strings
from supportflow.text import storable

__all__ = [
    "as_agent",
    "flag_of",
    "id_of",
    "key_of",
    "limit_of",
    "listed",
    "message_of",
    "perhaps",
    "version_of",
    "words_of",
]


def as_agent(agent: str | Agent) -> Agent:
    """Return an agent; a plain string is a person's id.

    Args:
        agent: An agent or an id.

    Raises:
        InvalidValue: If it is neither, or empty.
    """
    if isinstance(agent, Agent):
        return agent
    if not isinstance(agent, str) or not agent.strip():
        raise InvalidValue(f"agent is {agent!r}; pass an Agent or a person's id")
    return Agent(agent)


def key_of(key: str | None) -> str:
    """Return a command's id: the caller's own, or one made here.

    Args:
        key: The caller's, if they gave one.

    Raises:
        InvalidValue: If it is no text, or empty.
    """
    if key is None:
        return uuid.uuid4().hex
    if not isinstance(key, str) or not key.strip():
        raise InvalidValue(f"key is {key!r:.100}; pass a text of your own, or leave it out")
    return key


def words_of(text: str, what: str) -> str:
    """Return a text in storable form.

    Args:
        text: The text; it may be empty.
        what: What it is, for the error.

    Raises:
        InvalidValue: If it is no text.
    """
    if not isinstance(text, str):
        raise InvalidValue(f"{what} is {text!r:.100}; pass a text")
    return storable(text)


def perhaps(text: str | None, what: str) -> str | None:
    """Return a text, or None where none is given.

    Args:
        text: The text, or None.
        what: What it is, for the error.

    Raises:
        InvalidValue: If it is something else.
    """
    return None if text is None else words_of(text, what)


def listed(value: Iterable[str], what: str) -> tuple[str, ...]:
    """Return a tuple of what should be texts.

    Args:
        value: A list of texts.
        what: What they are, for the error.

    Raises:
        InvalidValue: If it is one text, or no list.
    """
    try:
        return strings(value)
    except TypeError:
        raise InvalidValue(f"{what} is {value!r:.100}; pass a list") from None


def flag_of(value: bool | None, what: str) -> bool | None:
    """Return a choice of two, or None for either.

    Args:
        value: True, False or None.
        what: What it is, for the error.

    Raises:
        InvalidValue: If it is something else.
    """
    if value is None or isinstance(value, bool):
        return value
    raise InvalidValue(f"{what} is {value!r:.100}; pass True, False, or None for either")


def limit_of(limit: int) -> int:
    """Return how many are asked for.

    Args:
        limit: How many.

    Raises:
        InvalidValue: If it is no whole number from 1.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidValue(f"limit is {limit!r:.100}; pass a whole number from 1")
    return limit


def message_of(message: tuple[str, str] | None, what: str) -> tuple[str, str] | None:
    """Return what names a message of a conversation.

    Args:
        message: Its (kind, id), or None.
        what: What it is for, for the error.

    Raises:
        InvalidValue: If it is something else.
    """
    if message is None:
        return None
    parts = tuple(message) if isinstance(message, tuple | list) else ()
    if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
        raise InvalidValue(f"{what} is {message!r:.100}; pass the (kind, id) of a message")
    return parts


def id_of(conversation: Conversation | str) -> str:
    """Return a conversation's id.

    Args:
        conversation: The conversation, or its id.

    Raises:
        InvalidValue: If it is neither.
    """
    if isinstance(conversation, Conversation):
        return conversation.id
    if not isinstance(conversation, str):
        raise InvalidValue(f"conversation is {conversation!r:.100}; pass a Conversation or its id")
    return conversation


def version_of(conversation: Conversation | str) -> int | None:
    """Return the version that the caller looked at; None if they passed an id.

    Args:
        conversation: The conversation, or its id.
    """
    return conversation.version if isinstance(conversation, Conversation) else None
