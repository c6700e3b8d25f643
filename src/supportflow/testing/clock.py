"""A clock that tests set: it stands still until it is told to go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from supportflow.model import aware

__all__ = ["FakeClock"]


class FakeClock:
    """Return a time that stands still until it is set.

    Args:
        at: The first time (aware).

    Raises:
        InvalidValue: If the time is naive.

    Example:
        >>> clock = FakeClock()
        >>> clock.advance(minutes=30)
        datetime.datetime(2026, 3, 2, 9, 30, tzinfo=datetime.timezone.utc)
        >>> clock() - clock.set(datetime(2026, 3, 2, 9, tzinfo=UTC))
        datetime.timedelta(seconds=1800)
    """

    def __init__(self, at: datetime = datetime(2026, 3, 2, 9, tzinfo=UTC)) -> None:
        self._at = aware(at, "at")

    def __call__(self) -> datetime:
        """Return the time."""
        return self._at

    def __repr__(self) -> str:
        return f"FakeClock({self._at.isoformat()})"

    def set(self, at: datetime) -> datetime:
        """Go to a time, also to an earlier one, and return it.

        Args:
            at: The time (aware).

        Raises:
            InvalidValue: If it is naive.
        """
        self._at = aware(at, "at")
        return self._at

    def advance(
        self, span: timedelta = timedelta(0), *, seconds: float = 0, minutes: float = 0
    ) -> datetime:
        """Go on by a span, and return the new time.

        Args:
            span: How far.
            seconds: How many seconds more.
            minutes: How many minutes more.
        """
        self._at += span + timedelta(seconds=seconds, minutes=minutes)
        return self._at
