"""Count open time: weekly hours, holidays and exceptional days in the local time of one zone.

An instant is open exactly when its local wall clock reads a time inside an interval of its local
date, or inside the part past midnight of an interval of the date before. Everything about clock
changes follows: an interval inside a skipped hour shrinks, a repeated hour counts twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Self

import attrs

from supportflow.errors import InvalidValue
from supportflow.sla.hours import (
    Days,
    Hours,
    Intervals,
    read_dates,
    read_days,
    read_week,
    shown,
    spread,
    without_gap,
)
from supportflow.sla.spans import FIRST, LAST, OPEN, UNKNOWN, Spans, compute, find_zone, widen

__all__ = ["ALWAYS", "HORIZON", "Calendar"]

HORIZON = timedelta(days=36525)
"""How far a question may look from its first instant: 100 years, so that work is bounded."""

_ZERO = timedelta(0)
_YEARS_LOOKED_AT = 101  # all of the horizon, whatever the day of the year


@attrs.frozen
class Calendar:
    """Know when a team works.

    Calendars are values: equal ones compare, hash and pickle alike. What one has computed is kept
    beside it and grows with the years that are asked about; an answer takes O(log n) in the open
    spans known. `Calendar.weekly` says the same more shortly where weekdays share their hours.

    Args:
        zone: IANA name of the zone whose wall clock the hours mean.
        week: Hours of each weekday ("mon" to "sun", or 0 for Monday to 6 for Sunday): strings
            like "09:00-13:00", or pairs of times. An end at or before its start is on the next
            day, and "24:00" is midnight. A day left out is closed.
        holidays: Dates that are closed. An interval of the day before still ends past midnight.
        exceptions: Dates with hours of their own, which replace those of the week and holidays;
            no hours mean closed.

    Raises:
        InvalidValue: The zone is unknown, something cannot be read, intervals overlap, or the
            calendar would never be open.

    Example:
        >>> tehran = Calendar("Asia/Tehran", {"sat": ["09:00-13:00", "14:00-18:00"], "sun": []})
        >>> tehran.is_open(datetime(2026, 1, 10, 6, 0, tzinfo=UTC))
        True
    """

    zone: str
    week: tuple[tuple[int, Intervals], ...] = attrs.field(converter=read_week, repr=shown)
    holidays: tuple[date, ...] = attrs.field(default=(), converter=read_dates)
    exceptions: tuple[tuple[date, Intervals], ...] = attrs.field(
        default=(), converter=read_days, repr=shown
    )
    # Replaced whole and never changed: threads may compute it twice, but none sees half of it.
    _known: Spans = attrs.field(init=False, eq=False, repr=False, default=UNKNOWN)

    def __attrs_post_init__(self) -> None:
        find_zone(self.zone)
        if not self.week and not any(intervals for _, intervals in self.exceptions):
            raise InvalidValue("the calendar is never open: give at least one weekday its hours")
        if without_gap(self.week) and not self.holidays and not self.exceptions:
            object.__setattr__(self, "_known", OPEN)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle the fields alone: another machine may have other zone data."""
        return type(self), (self.zone, self.week, self.holidays, self.exceptions)

    @classmethod
    def weekly(
        cls,
        zone: str,
        week: Mapping[str, Hours],
        *,
        holidays: Iterable[date] = (),
        exceptions: Days = (),
    ) -> Self:
        """Make a calendar whose weekdays share hours.

        Args:
            zone: As for the class, like holidays and exceptions.
            week: Hours by weekdays: "mon-fri", "sat-wed", "mon, wed".
            holidays: Dates that are closed.
            exceptions: Dates with hours of their own.

        Raises:
            InvalidValue: As for the class, or a weekday is named twice.

        Example:
            >>> shop = Calendar.weekly("Europe/Minsk", {"mon-fri": "09:00-13:00 14:00-18:00"})
            >>> friday = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
            >>> shop.add(friday, timedelta(hours=1)).isoformat()
            '2026-03-09T06:30:00+00:00'
        """
        return cls(zone, spread(week), holidays, exceptions)

    def is_open(self, at: datetime) -> bool:
        """Tell whether an instant is open; the start of an interval is, its end is not.

        Args:
            at: An aware datetime.

        Raises:
            InvalidValue: `at` is naive, or outside the years 2 to 9998.

        Example:
            >>> ALWAYS.is_open(datetime(2026, 1, 1, tzinfo=UTC))
            True
        """
        if at.tzinfo is not UTC:
            at = _utc(at)
        since, until, starts, sums = self._known
        if not since <= at < until:
            since, until, starts, sums = self._cover(at.year, at.year)
        i = bisect_right(starts, at)
        return at - starts[i - 1] < sums[i] - sums[i - 1]

    def add(self, at: datetime, duration: timedelta) -> datetime:
        """Return the first instant at which `duration` of open time has passed since `at`.

        Time that is used up at the end of an interval gives that end, not the next start; no
        duration gives `at` itself, be it open or not (`next_open` gives the start). Therefore
        `between(at, add(at, d)) == d` and `add(add(at, c), d) == add(at, c + d)`, always.

        Args:
            at: An aware datetime.
            duration: Open time, zero to `HORIZON`.

        Returns:
            An instant in UTC, exact to the microsecond.

        Raises:
            InvalidValue: As for `is_open`, or `duration` is negative or too long, or it does not
                pass within `HORIZON` after `at`.

        Example:
            >>> desk = Calendar("UTC", {"mon": "09:00-17:00", "tue": "09:00-17:00"})
            >>> desk.add(datetime(2026, 1, 5, 16, tzinfo=UTC), timedelta(hours=2)).isoformat()
            '2026-01-06T10:00:00+00:00'
        """
        if at.tzinfo is not UTC:
            at = _utc(at)
        if not _ZERO <= duration <= HORIZON:
            raise InvalidValue(f"cannot add {duration}: a duration is from zero to 100 years")
        since, until, starts, sums = self._known
        if not since <= at < until:
            since, until, starts, sums = self._cover(at.year, at.year)
        if not duration:
            return at
        while True:
            i = bisect_right(starts, at)
            passed = sums[i - 1] + (at - starts[i - 1])
            wanted = min(passed, sums[i]) + duration
            if wanted <= sums[-1]:
                i = bisect_left(sums, wanted)
                return _within(at, starts[i - 1] + (wanted - sums[i - 1]), "open long enough")
            since, until, starts, sums = self._further(at, until, "open long enough")

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return the open time from one instant to another.

        Args:
            start: An aware datetime.
            end: An aware datetime, not before `start` and at most `HORIZON` after it.

        Returns:
            The open time, exact to the microsecond.

        Raises:
            InvalidValue: As for `is_open`, or `end` is before `start` or too long after it.

        Example:
            >>> desk = Calendar("UTC", {"mon": "09:00-17:00", "tue": "09:00-17:00"})
            >>> desk.between(datetime(2026, 1, 5, 16, tzinfo=UTC), datetime(2026, 1, 6, 10, tzinfo=UTC))
            datetime.timedelta(seconds=7200)
        """
        if start.tzinfo is not UTC:
            start = _utc(start)
        if end.tzinfo is not UTC:
            end = _utc(end)
        if not _ZERO <= end - start <= HORIZON:
            raise InvalidValue(f"{end} is not from zero to 100 years after {start}: swap them?")
        since, until, starts, sums = self._known
        if start < since or until <= end:
            since, until, starts, sums = self._cover(start.year, end.year)
        i = bisect_right(starts, start)
        before = sums[i - 1] + (start - starts[i - 1])
        j = bisect_right(starts, end)
        passed = sums[j - 1] + (end - starts[j - 1])
        return min(passed, sums[j]) - min(before, sums[i])

    def next_open(self, at: datetime) -> datetime:
        """Return the first open instant from `at` on: `at` itself while open.

        Args:
            at: An aware datetime.

        Returns:
            An instant in UTC.

        Raises:
            InvalidValue: As for `is_open`, or nothing opens within `HORIZON` after `at`.

        Example:
            >>> desk = Calendar("UTC", {"mon": "09:00-17:00"})
            >>> desk.next_open(datetime(2026, 1, 6, tzinfo=UTC)).isoformat()
            '2026-01-12T09:00:00+00:00'
        """
        at = _utc(at)
        if self.is_open(at):
            return at
        _, until, starts, _ = self._cover(at.year, at.year)
        while (i := bisect_right(starts, at)) == len(starts):
            _, until, starts, _ = self._further(at, until, "open")
        return _within(at, starts[i], "open")

    def next_close(self, at: datetime) -> datetime:
        """Return the first closed instant from `at` on: `at` itself while closed.

        Args:
            at: An aware datetime.

        Returns:
            An instant in UTC.

        Raises:
            InvalidValue: As for `is_open`, or nothing closes within `HORIZON` after `at`.

        Example:
            >>> desk = Calendar("UTC", {"mon": "09:00-17:00"})
            >>> desk.next_close(datetime(2026, 1, 5, 12, tzinfo=UTC)).isoformat()
            '2026-01-05T17:00:00+00:00'
        """
        at = _utc(at)
        _, until, starts, sums = self._cover(at.year, at.year)
        while True:
            i = bisect_right(starts, at)
            end = starts[i - 1] + (sums[i] - sums[i - 1])
            if end < until:
                return _within(at, max(at, end), "close")
            _, until, starts, sums = self._further(at, until, "close")

    def _further(self, at: datetime, until: datetime, event: str) -> Spans:
        """Look twice as many years ahead of `at` as up to `until`, and no further than allowed."""
        ahead = until.year - at.year
        if ahead > _YEARS_LOOKED_AT or until == LAST:
            raise _never(at, event)
        return self._cover(at.year, min(at.year + min(2 * ahead, _YEARS_LOOKED_AT), LAST.year - 1))

    def _cover(self, first: int, last: int) -> Spans:
        """Return the spans of all of these years, and keep them with what was known before."""
        known = self._known
        if known.since.year <= first and last < known.until.year:
            return known
        closed = [(day, ()) for day in self.holidays]
        since, until = widen(known, first, last)
        found = compute(since, until, self.zone, self.week, [*closed, *self.exceptions])
        object.__setattr__(self, "_known", found)
        return found


def _utc(at: datetime) -> datetime:
    try:
        return FIRST + (at - FIRST)
    except TypeError as error:
        raise InvalidValue(f"{at!r} has no time zone: pass an aware datetime, best UTC") from error
    except OverflowError as error:
        raise InvalidValue(f"{at!r} is outside the years 1 to 9999 in UTC") from error


def _within(at: datetime, found: datetime, event: str) -> datetime:
    # What is known may reach beyond the horizon; an answer must not depend on that.
    if found - at > HORIZON:
        raise _never(at, event)
    return found


def _never(at: datetime, event: str) -> InvalidValue:
    return InvalidValue(f"the calendar does not {event} within 100 years after {at}")


ALWAYS = Calendar.weekly("UTC", {"mon-sun": "00:00-24:00"})
"""Every hour of every day; knows it without computing anything."""
