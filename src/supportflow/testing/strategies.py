"""Hypothesis strategies for our values, made from the types of their fields.

What they draw is valid for its class and wild otherwise: a drawn conversation need not be one
that any history leads to.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st

from supportflow.events import Event
from supportflow.model import (
    ChannelState,
    Command,
    Conversation,
    Discount,
    Fact,
    Message,
    Outcome,
    Outgoing,
    Reading,
    Refund,
    Replacement,
    Secret,
    StatusReport,
)

__all__ = [
    "amounts",
    "channel_states",
    "commands",
    "conversations",
    "documents",
    "events",
    "facts",
    "messages",
    "moments",
    "outcomes",
    "outgoings",
    "readings",
    "texts",
    "values",
    "words",
]

T = TypeVar("T")

#: Normalised texts: anything but NUL and lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
#: Texts that say something: ids, names, codes.
words = texts.filter(str.strip)
#: Aware instants in UTC.
moments = st.datetimes(timezones=st.just(UTC))
#: Positive amounts of at most 18 digits.
amounts = st.decimals("0.01", "9999999999999999", places=2)
#: What JSON can say.
documents: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)

_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(0, 2**53),
    bool: st.booleans(),
    float: st.floats(0, 1),
    bytes: st.binary(max_size=40),
    datetime: moments,
    Decimal: amounts,
    frozenset[str]: st.frozensets(texts, max_size=3),
    Mapping[str, Any]: st.dictionaries(texts, documents, max_size=3),
    Mapping[str, Secret]: st.dictionaries(texts, words.map(Secret), max_size=3),
}

#: Fields that a validator looks at: texts must say something, numbers count from 1.
_CHECKED: dict[Any, st.SearchStrategy[Any]] = {str: words, int: st.integers(1, 2**53)}

#: Fields whose class allows less than their type does.
_NARROWER: dict[tuple[type, str], st.SearchStrategy[Any]] = {
    (Discount, "percent"): st.decimals("0.01", 100, places=2),
    (Replacement, "items"): st.lists(words, min_size=1, max_size=3).map(tuple),
    (Refund, "currency"): st.text(string.ascii_uppercase, min_size=3, max_size=3),
    (StatusReport, "status"): st.sampled_from(("sent", "delivered", "read", "failed")),
}


@cache
def values(kind: type[T]) -> st.SearchStrategy[T]:
    """Return a strategy for the instances of a class.

    Args:
        kind: One of our attrs classes.

    Example:
        >>> from hypothesis import find
        >>> find(values(Refund), lambda refund: refund.amount > 5).currency
        'AAA'
    """
    known: Any = kind
    hints = get_type_hints(known)
    return st.builds(kind, **{f.name: _field(kind, f, hints) for f in attrs.fields(known)})


def _field(kind: type, field: attrs.Attribute[Any], hints: Mapping[str, Any]) -> Any:
    hint = hints[field.name]
    if (kind, field.name) in _NARROWER:
        return _NARROWER[kind, field.name]
    return _CHECKED[hint] if field.validator and hint in _CHECKED else _of(hint)


def _of(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for one type."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    args, origin = get_args(hint), get_origin(hint)
    if origin in {Union, UnionType}:
        return st.one_of(*map(_of, args))
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(_of(args[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(_of, args))
    if hint is NoneType:
        return st.none()
    return st.sampled_from(hint) if issubclass(hint, Enum) else values(hint)


conversations = values(Conversation)
messages = values(Message)
readings = values(Reading)
outgoings = values(Outgoing)
channel_states = values(ChannelState)
events: st.SearchStrategy[Event] = _of(Event)
facts: st.SearchStrategy[Fact] = _of(Fact)
commands: st.SearchStrategy[Command] = _of(Command)
outcomes: st.SearchStrategy[Outcome] = _of(Outcome)
