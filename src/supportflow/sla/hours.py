"""Read opening hours as people write them: intervals, weekdays, holidays, exceptional days."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from supportflow.errors import InvalidValue

__all__ = [
    "DAY",
    "Days",
    "Hours",
    "Interval",
    "Intervals",
    "Week",
    "read_dates",
    "read_days",
    "read_hours",
    "read_week",
    "shown",
    "since_midnight",
    "spread",
    "without_gap",
]

Interval = str | tuple[time, time]
"""Start and end: "09:00-13:00" or two times; an end at or before the start is the next day's."""

Hours = str | Iterable[Interval]
"""The intervals of one day; in a string they are separated by spaces or commas."""

Week = Mapping[str, Hours] | Mapping[int, Hours] | Iterable[tuple[str | int, Hours]]
"""Weekday ("mon" to "sun", or 0 for Monday to 6) to its hours; a day left out is closed."""

Days = Mapping[date, Hours] | Iterable[tuple[date, Hours]]
"""Date to its hours; no hours: closed."""

Intervals = tuple[tuple[time, time], ...]
"""What hours are read into: sorted, without overlap."""

DAY = timedelta(days=1)
"""A day of the wall clock."""

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_INTERVAL = re.compile(rf"({_CLOCK})-(24:00|{_CLOCK})")


def read_hours(hours: object) -> Intervals:
    """Read the intervals of one day.

    Args:
        hours: "09:00-13:00 14:00-18:00", or an iterable of such strings and pairs of times.

    Returns:
        Pairs of times, sorted; midnight as an end is `time(0)`.

    Raises:
        InvalidValue: Something is not an interval, or two overlap.

    Example:
        >>> read_hours("14:00-24:00, 09:00-13:30")
        ((datetime.time(9, 0), datetime.time(13, 30)), (datetime.time(14, 0), datetime.time(0, 0)))
    """
    if not isinstance(hours, Iterable):
        raise InvalidValue(f"{hours!r} is no list of intervals: write '09:00-13:00 14:00-18:00'")
    parts = hours.replace(",", " ").split() if isinstance(hours, str) else hours
    found = tuple(sorted(map(_interval, parts)))
    _refuse_overlap([(0, "", found)])
    return found


def read_week(week: Week) -> tuple[tuple[int, Intervals], ...]:
    """Read the hours of a week.

    Returns:
        Weekday (0 is Monday) and intervals, sorted, without the days that are closed.

    Raises:
        InvalidValue: A weekday is unknown or given twice, or two intervals overlap, be it that
            one goes on past midnight.

    Example:
        >>> [day for day, hours in read_week({"tue": "09:00-13:00", "Monday": "22:00-06:00"})]
        [0, 1]
    """
    found: dict[int, Intervals] = {}
    for name, hours in _items("week", week):
        if (day := _weekday(name)) in found:
            raise InvalidValue(f"week gives {_WEEKDAYS[day]} twice: join its hours")
        found[day] = read_hours(hours)
    days = [(day, f"{_WEEKDAYS[day]} ", found[day]) for day in sorted(found) if found[day]]
    _refuse_overlap([*days, *((day + 7, name, pairs) for day, name, pairs in days[:1])])
    return tuple((day, pairs) for day, _, pairs in days)


def read_days(days: Days) -> tuple[tuple[date, Intervals], ...]:
    """Read the hours of exceptional days.

    Returns:
        Date and intervals, sorted; a closed day has no intervals.

    Raises:
        InvalidValue: Something is no date or given twice, or intervals of a day overlap.
    """
    found: dict[date, Intervals] = {}
    for given, hours in _items("exceptions", days):
        if (day := _date(given)) in found:
            raise InvalidValue(f"exceptions give {day} twice: join its hours")
        found[day] = read_hours(hours)
    return tuple(sorted(found.items()))


def read_dates(dates: Iterable[date]) -> tuple[date, ...]:
    """Read holidays.

    Returns:
        The dates, sorted, each once.

    Raises:
        InvalidValue: Something is no date; a `datetime` is none.
    """
    if not isinstance(dates, Iterable):
        raise InvalidValue(f"holidays must be a list of dates, not {dates!r}")
    return tuple(sorted({_date(day) for day in dates}))


def spread(week: Mapping[str, Hours]) -> list[tuple[str | int, Hours]]:
    """Give each weekday of a list or range its hours; a range may go on past Sunday.

    Args:
        week: "mon-fri", "sat-wed" or "mon, fri" to hours.

    Returns:
        What `read_week` reads.

    Raises:
        InvalidValue: A name is no weekday, or something is not an interval.

    Example:
        >>> [day for day, hours in spread({"sat-mon": "09:00-13:00", "wed": "14:00-18:00"})]
        [5, 6, 0, 2]
    """
    read = [(names, read_hours(hours)) for names, hours in _items("week", week)]
    return [(day, hours) for names, hours in read for day in _weekdays(names)]


def since_midnight(intervals: Intervals) -> list[tuple[timedelta, timedelta]]:
    """Return starts and ends as wall-clock time after midnight; past the next, over 24 hours.

    Example:
        >>> [(str(start), str(end)) for start, end in since_midnight(read_hours("22:00-06:00"))]
        [('22:00:00', '1 day, 6:00:00')]
    """
    clocks = [(_since_midnight(start), _since_midnight(end)) for start, end in intervals]
    return [(start, end if start < end else end + DAY) for start, end in clocks]


def without_gap(week: Iterable[tuple[int, Intervals]]) -> bool:
    """Tell whether the hours of a week leave nothing out.

    Example:
        >>> without_gap(read_week([(day, "07:00-07:00") for day in range(7)]))
        True
    """
    found = [span for _, intervals in week for span in since_midnight(intervals)]
    return sum((end - start for start, end in found), timedelta(0)) == 7 * DAY


def shown(days: Iterable[tuple[object, Intervals]]) -> str:
    """Write days and hours as source code that reads them.

    Example:
        >>> shown(read_week({"mon": "09:00-13:00 18:00-24:00"}))
        "{0: '09:00-13:00 18:00-00:00'}"
    """
    return repr({day: _text(intervals) for day, intervals in days})


def _text(intervals: Intervals) -> str:
    return " ".join("-".join(t.isoformat().removesuffix(":00") for t in pair) for pair in intervals)


def _items(what: str, value: Any) -> list[tuple[Any, Any]]:
    try:
        return [(k, v) for k, v in (value.items() if isinstance(value, Mapping) else value)]
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"{what} must map days to their hours, not {value!r}") from error


def _interval(value: object) -> tuple[time, time]:
    match value:
        case str() if found := _INTERVAL.fullmatch(value):
            start, end = found.groups()
            return time.fromisoformat(start), time.fromisoformat("00:00" if end == "24:00" else end)
        case (time() as start, time() as end) if start.tzinfo is None and end.tzinfo is None:
            return start, end
    raise InvalidValue(
        f"{value!r} is not an interval: write '09:00-13:00', or two times without a zone; "
        "'22:00-06:00' ends on the next day, '18:00-24:00' at midnight"
    )


def _weekday(name: object) -> int:
    if isinstance(name, int) and 0 <= name < 7:
        return name
    if isinstance(name, str):
        for day, known in enumerate(_WEEKDAYS):
            if name.lower() in {known, known[:3]}:
                return day
    raise InvalidValue(f"{name!r} is no weekday: use 'mon' to 'sun', or 0 (Monday) to 6 (Sunday)")


def _weekdays(names: object) -> Iterator[int]:
    for part in str(names).split(","):
        first, dash, last = (name.strip() for name in part.partition("-"))
        start = _weekday(first)
        end = _weekday(last) if dash else start
        yield from ((start + day) % 7 for day in range((end - start) % 7 + 1))


def _date(value: object) -> date:
    # A datetime is a date to Python, but which day it means depends on a zone.
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise InvalidValue(f"{value!r} is no date: pass datetime.date(year, month, day)")


def _since_midnight(clock: time) -> timedelta:
    return timedelta(
        hours=clock.hour,
        minutes=clock.minute,
        seconds=clock.second,
        microseconds=clock.microsecond,
    )


def _refuse_overlap(days: Iterable[tuple[int, str, Intervals]]) -> None:
    found = sorted(
        (day * DAY + start, day * DAY + end, f"{name}{_text((pair,))}")
        for day, name, intervals in days
        for pair, (start, end) in zip(intervals, since_midnight(intervals), strict=True)
    )
    for (_, end, one), (start, _, other) in pairwise(found):
        if start < end:
            raise InvalidValue(f"{one} and {other} overlap: join them, or move one")
