"""Check what channels are built with, where the rule is the same for all of them."""

from __future__ import annotations

import attrs

from supportflow.errors import InvalidValue

__all__ = ["named"]


def named(_: object, field: attrs.Attribute[str], value: str) -> None:
    """Refuse what is no name of a channel; a validator of attrs.

    Raises:
        InvalidValue: If it is no text, or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue(f"{field.name} is {value!r:.60}; it must be a string that is not empty")
