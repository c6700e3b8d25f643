"""Open spans are computed in UTC, zone by zone, and never for more years than is bounded."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest

from supportflow.errors import InvalidValue
from supportflow.sla.spans import FIRST, LAST, OPEN, UNKNOWN, Spans, compute, find_zone, widen

NIGHTS = [(day, ((time(22), time(6)),)) for day in range(7)]


def year(number):
    """Return the first instant of a year."""
    return datetime(number, 1, 1, tzinfo=UTC)


def known(since, until):
    """Return spans that claim to know some years."""
    return Spans(year(since), year(until), [], [])


def listed(spans):
    """Return the open spans that are not empty as pairs of instants."""
    lengths = [after - before for before, after in pairwise(spans.sums)]
    return [
        (start, start + length)
        for start, length in zip(spans.starts, lengths, strict=True)
        if length
    ]


def test_utc_needs_no_zone_data():
    """UTC is the one name that is not looked up in a file."""
    assert UTC is find_zone("UTC")


@pytest.mark.parametrize(
    "name",
    [
        "Nowhere/Land",
        "",
        ".",
        "America",
        "../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "x" * 5000,
        3,
        None,
    ],
)
def test_unknown_zones_are_refused(name):
    """Names of nothing, of folders and of paths, and what is no name, give our error."""
    with pytest.raises(InvalidValue, match=r"unknown time zone .*use an IANA name"):
        find_zone(name)


def test_spans_keep_to_the_stretch():
    """Hours that reach over an end of the stretch are cut there."""
    spans = compute(year(2026), year(2026) + timedelta(days=1), "UTC", NIGHTS, [])
    hours = timedelta(hours=1)
    assert [
        (year(2026), year(2026) + 6 * hours),
        (year(2026) + 22 * hours, year(2026) + 24 * hours),
    ] == listed(spans)


def test_overlapping_and_touching_spans_are_one():
    """An exceptional day that meets the hours past midnight adds only what was not open."""
    days = [
        (date(2026, 1, 2), ((time(5), time(8)), (time(8), time(9)))),
        (date(2026, 1, 3), ((time(1), time(2)),)),
    ]
    week = [(3, ((time(22), time(6)),)), (4, ())]  # 1 January 2026 is a Thursday
    spans = compute(year(2026), year(2026) + timedelta(days=4), "UTC", week, days)
    hours = timedelta(hours=1)
    assert [
        (year(2026) + 22 * hours, year(2026) + 33 * hours),
        (year(2026) + 49 * hours, year(2026) + 50 * hours),
    ] == listed(spans)


def test_a_shorter_day_within_a_night_adds_nothing():
    """Hours that lie within those past midnight change nothing."""
    days = [(date(2026, 1, 2), ((time(1), time(2)),))]
    week = [(3, ((time(22), time(6)),))]
    spans = compute(year(2026), year(2026) + timedelta(days=4), "UTC", week, days)
    assert [timedelta(hours=8)] == [end - start for start, end in listed(spans)]


def test_of_equal_dates_the_last_counts():
    """An exceptional day behind a holiday of the same date replaces it."""
    days = [(date(2026, 1, 1), ()), (date(2026, 1, 1), ((time(9), time(10)),))]
    spans = compute(year(2026), year(2026) + timedelta(days=2), "UTC", [], days)
    assert timedelta(hours=1) == spans.sums[-1]


def test_a_change_at_midnight_in_utc_is_found():
    """Asia/Baku went from 04:00 to 05:00 on 29 March 2015, at 00:00 in UTC: half an hour is left."""
    change, minutes = datetime(2015, 3, 29, tzinfo=UTC), timedelta(minutes=1)
    days = [(date(2015, 3, 29), ((time(4, 30), time(5, 30)),))]
    for since, until in [(-1, 1), (0, 1), (-1, 2)]:
        stretch = change + since * timedelta(days=1), change + until * timedelta(days=1)
        found = listed(compute(*stretch, "Asia/Baku", [], days))
        assert [(change, change + 30 * minutes)] == found


def test_a_change_on_the_last_day_is_found():
    """Europe/Berlin skips 02:00 to 03:00 on 29 March 2026: no such hour, though it is the last day."""
    days = [(date(2026, 3, 29), ((time(2), time(3)),))]
    last = datetime(2026, 3, 29, tzinfo=UTC)
    assert [] == listed(compute(last, last + timedelta(days=1), "Europe/Berlin", [], days))


@pytest.mark.parametrize(
    ("expected", "before", "first", "last"),
    [
        ((2025, 2031), UNKNOWN, 2026, 2026),
        ((2025, 2036), UNKNOWN, 2026, 2031),
        ((2016, 2031), known(2025, 2031), 2017, 2017),
        ((2025, 2036), known(2025, 2031), 2031, 2031),
        ((1899, 1905), known(2145, 2151), 1900, 1900),
        ((1901, 2151), known(2145, 2151), 1902, 1902),
        ((2, 8), UNKNOWN, 3, 3),
        ((2, 7), UNKNOWN, 2, 2),
        ((9997, 9999), UNKNOWN, 9998, 9998),
    ],
)
def test_what_is_known_grows_while_it_stays_small(expected, before, first, last):
    """Years are computed a few at a time and kept together; what is far away is dropped."""
    since, until = widen(before, first, last)
    assert expected == (since.year, until.year)


@pytest.mark.parametrize(("first", "last"), [(1, 1), (9999, 9999), (2026, 9999)])
def test_years_without_room_are_refused(first, last):
    """The first and the last year of datetime leave no room for offsets from UTC."""
    with pytest.raises(InvalidValue, match="know the years 2 to 9998"):
        widen(UNKNOWN, first, last)


def test_the_ends():
    """Every usable instant is in `OPEN`, none in `UNKNOWN`."""
    assert (FIRST, LAST) == OPEN[:2]
    assert (FIRST, FIRST) == UNKNOWN[:2]
    assert LAST - FIRST == OPEN.sums[-1]
