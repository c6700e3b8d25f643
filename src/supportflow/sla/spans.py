"""Compute when local hours are open in UTC, and sum the open time up."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from supportflow.errors import InvalidValue
from supportflow.sla.hours import Intervals, since_midnight

__all__ = ["FIRST", "LAST", "OPEN", "UNKNOWN", "Spans", "compute", "find_zone", "widen"]

# A year of room at both ends of what datetime can say, for offsets and hours past midnight.
FIRST = datetime(2, 1, 1, tzinfo=UTC)
"""First instant that can be asked about."""

LAST = datetime(9999, 1, 1, tzinfo=UTC)
"""First instant that no longer can."""

_ZERO = timedelta(0)
_DAY = timedelta(days=1)
_YEARS_AHEAD = 5  # computed at a time: a clock that moves on seldom has to wait
_YEARS_KEPT = 250  # what is known of years further apart than this is dropped


class Spans(NamedTuple):
    """Hold the open spans of a stretch of time, and the open time that lies before each.

    Datetimes and timedeltas instead of numbers: they bisect as fast, and nothing is converted.
    """

    since: datetime
    until: datetime
    starts: list[datetime]  # the first is `since`, open or not: each instant has a start before it
    sums: list[timedelta]  # one more than starts; the last is the open time of the whole stretch


UNKNOWN = Spans(FIRST, FIRST, [FIRST], [_ZERO, _ZERO])
"""No instant lies in it."""

OPEN = Spans(FIRST, LAST, [FIRST], [_ZERO, LAST - FIRST])
"""Every instant lies in it and is open."""


def find_zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name.

    Raises:
        InvalidValue: There is none, or this system has no zone data.
    """
    if name == "UTC":  # needs no zone data
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise InvalidValue(
            f"unknown time zone {name!r}: use an IANA name such as 'Europe/Minsk'; "
            "where the system has no zone data, install the package tzdata"
        ) from error


def widen(known: Spans, first: int, last: int) -> tuple[datetime, datetime]:
    """Widen what is known to more years, unless they are too far away.

    Args:
        known: What is known.
        first: First year asked about.
        last: Last year asked about.

    Returns:
        `since` and `until` of the spans to compute.

    Raises:
        InvalidValue: A year is before that of `FIRST` or not before that of `LAST`.
    """
    if first < FIRST.year or last >= LAST.year:
        raise InvalidValue("calendars know the years 2 to 9998: check the date that was given")
    since, until = min(first - 1, known.since.year), max(last + _YEARS_AHEAD, known.until.year)
    if until - since > _YEARS_KEPT:
        since, until = first - 1, last + _YEARS_AHEAD
    return (
        FIRST.replace(year=max(since, FIRST.year)),
        FIRST.replace(year=min(until, LAST.year)),
    )


def compute(
    since: datetime,
    until: datetime,
    zone: str,
    week: Iterable[tuple[int, Intervals]],
    days: Iterable[tuple[date, Intervals]],
) -> Spans:
    """Compute the open spans of a stretch of time.

    Args:
        since: A midnight in UTC, not before `FIRST`.
        until: A midnight in UTC, not after `LAST`.
        zone: IANA name.
        week: Weekday (0 is Monday) and its intervals.
        days: Dates and the intervals that replace those of their weekday; of equal dates the
            last one counts.

    Returns:
        Spans that neither touch nor overlap, except that the first may be empty.
    """
    starts, sums, reached = [since], [_ZERO, _ZERO], since
    for start, end in _open(find_zone(zone), since, until, dict(week), dict(days)):
        if start > reached:
            starts.append(start)
            sums.append(sums[-1])
            reached = start
        if end > reached:  # else hours past midnight reach over all of this one
            sums[-1] += end - reached
            reached = end
    return Spans(since, until, starts, sums)


def _open(
    zone: tzinfo,
    since: datetime,
    until: datetime,
    week: dict[int, Intervals],
    days: dict[date, Intervals],
) -> Iterator[tuple[datetime, datetime]]:
    """Yield spans in the order of their starts; they may touch or overlap."""
    # Day 1 of the calendar that Python extends into the past, 0001-01-01, is a Monday.
    ordinary = [since_midnight(week.get((day - 1) % 7, ())) for day in range(7)]
    special = {day.toordinal(): since_midnight(hours) for day, hours in days.items()}
    for begin, stop, offset in _offsets(zone, since, until):
        day = (begin + offset).toordinal() - 1  # its hours may go on past midnight
        midnight = datetime.fromordinal(day).replace(tzinfo=UTC) - offset
        while midnight < stop:
            for start, end in special.get(day, ordinary[day % 7]):
                opens, closes = max(midnight + start, begin), min(midnight + end, stop)
                if opens < closes:
                    yield opens, closes
            day += 1
            midnight += _DAY


def _offsets(
    zone: tzinfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Yield (begin, stop, offset from UTC), for as long as the offset stays the same.

    No zone has ever changed its offset twice in a day: the closest pair in the tz database is
    four days apart (Africa/Freetown, September 1939), so that a look at every midnight finds all.
    """
    begin, midnight, offset = since, since, _offset(zone, since)
    while midnight < until:
        later = _offset(zone, midnight + _DAY)
        if later != offset:
            change = _change(zone, midnight, offset)
            yield begin, change, offset
            begin, offset = change, later
        midnight += _DAY
    yield begin, until, offset


def _change(zone: tzinfo, midnight: datetime, old: timedelta) -> datetime:
    """Return the first second of the day after `midnight` without the old offset."""
    second = bisect_left(
        range(86_400),
        True,
        key=lambda second: _offset(zone, midnight + timedelta(0, second)) != old,
    )
    return midnight + timedelta(0, second)


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or _ZERO
