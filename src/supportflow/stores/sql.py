"""The language in which the SQL of all stores is written once: programs of statements.

A program is a generator that yields `Statement`s and is sent their `Result`s, always inside
one transaction that its driver opened. What differs between engines is a `Dialect`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

import attrs

__all__ = [
    "Dead",
    "Dialect",
    "Program",
    "Result",
    "Statement",
    "from_micros",
    "micros",
    "optional_from_micros",
    "optional_micros",
]

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@attrs.frozen
class Statement:
    """Ask the driver to execute one statement.

    Args:
        sql: Its text, with `?` for every parameter.
        params: The parameters; for `many` a sequence of them.
        many: True to execute it once for each of `params`; it has no result, and a driver may
            send it together with what follows.
    """

    sql: str
    params: Sequence[Any] = ()
    many: bool = False


@attrs.frozen
class Dead:
    """Ask the driver which of these workers are proved dead.

    The answer's rows hold their ids; where nothing can be proved, it has none.

    Args:
        workers: The ids of workers.
    """

    workers: Sequence[int]


class Result(NamedTuple):
    """Hold what a statement gave.

    Args:
        rows: What it returned.
        changed: How many rows it changed.
    """

    rows: list[tuple[Any, ...]]
    changed: int


Program: TypeAlias = Generator[Statement | Dead, Result, T]


@attrs.frozen
class Dialect:
    """Hold what differs between engines.

    Args:
        now: The expression for the time, in microseconds since 1970.
        each: A `FROM` item `w` with one column `value` of texts, made of one parameter.
        each_id: The same of integers.
        array: Makes that parameter of a sequence.
        lock: What a `SELECT` ends with to lock its rows.
        skip_locked: The same, passing over rows that somebody else has.
        within: A function of two texts, over zero where the first holds the second.
        fresh_ids: Returns as many unused ids of conversations as its parameter says.
    """

    now: str
    each: str
    each_id: str
    array: Callable[[Sequence[Any]], Any]
    lock: str
    skip_locked: str
    within: str
    fresh_ids: str


@lru_cache(4096)  # the same instant stands in several columns
def micros(at: datetime) -> int:
    """Return whole microseconds since 1970.

    Args:
        at: An aware datetime.

    Example:
        >>> micros(datetime(2024, 5, 1, tzinfo=UTC))
        1714521600000000
    """
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(value: int) -> datetime:
    """Return the aware datetime in UTC.

    Args:
        value: Microseconds since 1970.

    Example:
        >>> from_micros(1714521600000000)
        datetime.datetime(2024, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return _EPOCH + value * _MICROSECOND


def optional_micros(at: datetime | None) -> int | None:
    """Return `micros`, or None for None."""
    return None if at is None else micros(at)


def optional_from_micros(value: int | None) -> datetime | None:
    """Return `from_micros`, or None for None."""
    return None if value is None else from_micros(value)
