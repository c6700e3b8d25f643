"""Read fields of JSON that others sent: one of the wrong kind is a `PayloadError` that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from supportflow.errors import PayloadError

__all__ = ["compact", "mapping", "mappings", "perhaps", "word"]


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a JSON object.

    Args:
        value: What should be one.
        what: What it is, for the error.

    Raises:
        PayloadError: If it is none.

    Example:
        >>> mapping({"id": "17"}, "status")
        {'id': '17'}
    """
    if not isinstance(value, dict):
        raise PayloadError(f"{what} is {type(value).__name__}, not an object")
    return value


def mappings(item: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a field that is a list of JSON objects; nothing or null is an empty one.

    Args:
        item: A JSON object.
        name: The field's name.

    Raises:
        PayloadError: If it is something else, or one in it is.

    Example:
        >>> mappings({"mentions": None}, "mentions")
        []
    """
    value = item.get(name)
    if value is not None and not isinstance(value, list):
        raise PayloadError(f"{name} is {type(value).__name__}, not a list")
    return [mapping(each, f"one of {name}") for each in value or ()]


def word(item: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a string with something in it, such as an id.

    Args:
        item: A JSON object.
        name: The field's name.

    Raises:
        PayloadError: If it is missing, empty or something else.

    Example:
        >>> word({"id": "17"}, "id")
        '17'
    """
    value = item.get(name)
    if value.__class__ is str and value:  # of JSON, there is no other kind of string
        found: str = value
        return found
    raise PayloadError(f"{name} is {_shown(value)}; it must be a string that is not empty")


def perhaps(item: Mapping[str, Any], name: str) -> str:
    """Return a field that is a string, or `""` where it is missing or null.

    Args:
        item: A JSON object.
        name: The field's name.

    Raises:
        PayloadError: If it is something else.

    Example:
        >>> perhaps({"language": None}, "language")
        ''
    """
    value = item.get(name)
    if value is None:
        return ""
    if value.__class__ is str:
        found: str = value
        return found
    raise PayloadError(f"{name} is {_shown(value)}; it must be a string")


def compact(item: Any) -> str:
    """Write JSON as short as it can be.

    Args:
        item: What `read_json` returned.

    Example:
        >>> compact({"id": "17", "tags": []})
        '{"id":"17","tags":[]}'
    """
    return _WRITER.encode(item)


# Nothing that was read can hold itself; not looking for that halves the time.
_WRITER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def _shown(value: Any) -> str:
    return f"{value!r:.60}" if not isinstance(value, dict | list) else type(value).__name__
