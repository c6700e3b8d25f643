"""Read the times that platforms write, strictly first and leniently only where that fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from dateutil import parser

from supportflow.errors import PayloadError

__all__ = ["from_epoch", "from_text"]

#: The longest text that is tried as a time.
_LONGEST = 64
#: Two days that have nothing in common.
_DAYS = (datetime(2000, 1, 1), datetime(2001, 2, 2))  # noqa: DTZ001  # the text has the zone


def from_text(text: object) -> datetime:
    """Return the time that a text says, in UTC.

    ISO 8601 is read by the standard library; anything else by dateutil, which is some 500
    times slower. Neither the computer's date nor its zone fills in what is missing.

    Args:
        text: What a platform sent.

    Raises:
        PayloadError: If it is no time, or one without a zone.

    Example:
        >>> from_text("Fri, 02 Jan 2026 03:04:05 +0000").isoformat()
        '2026-01-02T03:04:05+00:00'
    """
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise PayloadError(f"{str(text)[:_LONGEST]!r} is not a time")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = _leniently(text)
    if at.tzinfo is None:
        raise PayloadError(f"{text!r} is a time without a zone")
    try:
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PayloadError(f"{text!r} is out of range") from None


def _leniently(text: str) -> datetime:
    """Read what dateutil can, twice, so that a day which is only guessed shows."""
    try:
        one, other = (parser.parse(text, default=day, tzinfos=_zone) for day in _DAYS)
    except (ValueError, OverflowError):
        raise PayloadError(f"{text!r} is not a time") from None
    if one != other:
        raise PayloadError(f"{text!r} is a time without a whole date")
    return one


def _zone(_name: str | None, offset: int | None) -> timezone | None:
    """Return the zone of an offset; a mere name means another one on every machine."""
    return None if offset is None else timezone(timedelta(seconds=offset))


def from_epoch(number: object, unit: float = 1) -> datetime:
    """Return the time that a number says, in UTC.

    Args:
        number: Units since 1970, as a number or its digits.
        unit: How many seconds a unit is, for example 0.001.

    Raises:
        PayloadError: If it is no number, or out of range.

    Example:
        >>> from_epoch(1767323045000, 0.001).isoformat()
        '2026-01-02T03:04:05+00:00'
    """
    if isinstance(number, bool) or not isinstance(number, int | float | str):
        raise PayloadError(f"{str(number)[:_LONGEST]!r} is not a time")
    try:
        return datetime.fromtimestamp(float(number) * unit, UTC)
    except (ValueError, OverflowError, OSError):
        raise PayloadError(f"{str(number)[:_LONGEST]!r} is not a time") from None
