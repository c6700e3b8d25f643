"""Opening hours are read as people write them, and refused with a reason where they are unclear."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.sla.hours import (
    read_dates,
    read_days,
    read_hours,
    read_week,
    shown,
    since_midnight,
    spread,
    without_gap,
)

NINE_TO_ONE = (time(9), time(13))
TWO_TO_SIX = (time(14), time(18))


@pytest.mark.parametrize(
    "hours",
    [
        "09:00-13:00 14:00-18:00",
        "14:00-18:00, 09:00-13:00",
        ["09:00-13:00", "14:00-18:00"],
        [(time(14), time(18)), (time(9), time(13))],
        iter([NINE_TO_ONE, TWO_TO_SIX]),
        ["09:00:00-13:00:00", (time(14), time(18))],
    ],
)
def test_every_spelling_of_a_day_reads_the_same(hours):
    """Strings, lists of strings and pairs of times mean the same, in any order."""
    assert (NINE_TO_ONE, TWO_TO_SIX) == read_hours(hours)


def test_no_hours_are_a_closed_day():
    """An empty string and an empty list are read as no interval."""
    assert () == read_hours("") == read_hours([])


def test_microseconds_are_kept():
    """Seconds and fractions of them are read, and written back."""
    hours = read_hours("09:00:30-13:00:00.000001")
    assert ((time(9, 0, 30), time(13, 0, 0, 1)),) == hours
    assert "{0: '09:00:30-13:00:00.000001'}" == shown([(0, hours)])


def test_only_the_hour_24_is_midnight():
    """Regression: the minutes 24 of an end with seconds were once read as midnight's hour."""
    assert ((time(9), time(10, 24, 30)),) == read_hours("09:00-10:24:30")
    assert ((time(9), time(0)),) == read_hours("09:00-24:00")


@pytest.mark.parametrize(
    "hours",
    [
        "9:00-13:00",
        "09:00",
        "09:00-25:00",
        "24:00-09:00",
        "09:00-24:01",
        "09:60-13:00",
        "09:00-13:00\n-",
        "۰۹:۰۰-۱۳:۰۰",
        ["09:00-13:00\n"],
        [None],
        [(time(9),)],
        [(time(9), "13:00")],
        [(time(9, tzinfo=UTC), time(13))],
        [(time(9), time(13, tzinfo=UTC))],
        [time(9), time(13)],
        b"09:00-13:00",
    ],
)
def test_what_is_no_interval_is_refused(hours):
    """Anything else is refused with an example of what would be read."""
    with pytest.raises(InvalidValue, match="is not an interval: write '09:00-13:00'"):
        read_hours(hours)


def test_what_is_no_list_is_refused():
    """A number in place of hours is refused."""
    with pytest.raises(InvalidValue, match="9 is no list of intervals"):
        read_hours(9)


@pytest.mark.parametrize(
    ("hours", "one", "other"),
    [
        ("09:00-13:00 12:59-18:00", "09:00-13:00", "12:59-18:00"),
        ("09:00-13:00 09:00-13:00", "09:00-13:00", "09:00-13:00"),
        ("09:00-18:00 10:00-11:00", "09:00-18:00", "10:00-11:00"),
        ("22:00-06:00 23:00-23:30", "22:00-06:00", "23:00-23:30"),
    ],
)
def test_overlap_within_a_day_is_refused(hours, one, other):
    """Overlapping or equal intervals are a mistake, and both are named."""
    with pytest.raises(InvalidValue, match=f"^{one} and {other} overlap"):
        read_hours(hours)


def test_intervals_may_touch():
    """One interval may start where another ends, at midnight and past Sunday too."""
    assert 2 == len(read_hours("09:00-13:00 13:00-18:00"))
    assert 3 == len(read_week({"sun": "20:00-06:00", "mon": "06:00-24:00", "tue": "00:00-01:00"}))


@pytest.mark.parametrize(
    ("week", "message"),
    [
        (
            {"mon": "22:00-06:00", "tue": "05:00-09:00"},
            "monday 22:00-06:00 and tuesday 05:00-09:00 overlap",
        ),
        (
            {"sun": "22:00-06:00", "mon": "05:00-09:00"},
            "sunday 22:00-06:00 and monday 05:00-09:00 overlap",
        ),
        ({"mon": "09:00-10:00", 0: "11:00-12:00"}, "week gives monday twice"),
        ({"mon": "09:00-10:00", "Monday": "11:00-12:00"}, "week gives monday twice"),
        ({"m": "09:00-10:00"}, "'m' is no weekday: use 'mon' to 'sun'"),
        ({"mon-fri": "09:00-10:00"}, "'mon-fri' is no weekday"),
        ({7: "09:00-10:00"}, "7 is no weekday"),
        ({-1: "09:00-10:00"}, "-1 is no weekday"),
        ({None: "09:00-10:00"}, "None is no weekday"),
        (5, "week must map days to their hours, not 5"),
        ("mon", "week must map days to their hours, not 'mon'"),
        ([("mon",)], "week must map days to their hours"),
    ],
)
def test_what_is_no_week_is_refused(week, message):
    """Overlaps past midnight, doubled and unknown weekdays and other shapes are refused."""
    with pytest.raises(InvalidValue, match=message):
        read_week(week)


def test_a_week_reads_its_own_output():
    """What was read can be read again, so that values copy and pickle."""
    week = read_week({"Fri": "22:00-06:00", 0: [NINE_TO_ONE], "sunday": ""})
    assert ((0, (NINE_TO_ONE,)), (4, ((time(22), time(6)),))) == week == read_week(week)


@pytest.mark.parametrize(
    ("names", "days"),
    [
        ("mon-fri", [0, 1, 2, 3, 4]),
        ("sat-wed", [5, 6, 0, 1, 2]),
        ("Mon, wed,FRIDAY", [0, 2, 4]),
        ("mon-tue, fri - sat", [0, 1, 4, 5]),
        ("tue-tue", [1]),
        ("sun", [6]),
    ],
)
def test_lists_and_ranges_of_weekdays(names, days):
    """A range may wrap around the week, as that of Iran does."""
    assert [(day, (NINE_TO_ONE,)) for day in days] == spread({names: "09:00-13:00"})


@pytest.mark.parametrize("names", ["", "mon-", "-fri", "mon-fri-sun", "mon,,tue", 0])
def test_what_is_no_list_of_weekdays_is_refused(names):
    """Half a range, a hole in a list and a number are refused."""
    with pytest.raises(InvalidValue, match="is no weekday"):
        spread({names: "09:00-13:00"})


def test_a_week_that_is_no_mapping_is_refused():
    """`spread` refuses other shapes as `read_week` does."""
    with pytest.raises(InvalidValue, match="week must map days"):
        spread("mon")


def test_exceptional_days_are_sorted_and_keep_closed_ones():
    """A day without hours stays: it closes what the week would open."""
    first, second = date(2026, 1, 1), date(2026, 5, 1)
    days = read_days({second: "09:00-13:00", first: []})
    assert ((first, ()), (second, (NINE_TO_ONE,))) == days == read_days(days)


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ([(date(2026, 1, 1), ""), (date(2026, 1, 1), "")], "exceptions give 2026-01-01 twice"),
        ({"2026-01-01": ""}, "'2026-01-01' is no date"),
        ([([], "")], "is no date"),
        ({datetime(2026, 1, 1, tzinfo=UTC): ""}, "is no date: pass datetime.date"),
        (None, "exceptions must map days to their hours, not None"),
        ({date(2026, 1, 1): "09:00-13:00 12:00-14:00"}, "overlap"),
    ],
)
def test_what_is_no_exceptional_day_is_refused(days, message):
    """Doubled days, texts and datetimes in place of dates are refused."""
    with pytest.raises(InvalidValue, match=message):
        read_days(days)


def test_holidays_are_sorted_and_each_stands_once():
    """The order in which holidays are given, and doubles, mean nothing."""
    first, second = date(2026, 1, 1), date(2026, 5, 1)
    assert (first, second) == read_dates([second, first, second])


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (["2026-01-01"], "'2026-01-01' is no date"),
        ([datetime(2026, 1, 1, tzinfo=UTC)], "is no date"),
        (date(2026, 1, 1), "holidays must be a list of dates"),
    ],
)
def test_what_is_no_holiday_is_refused(dates, message):
    """Texts, datetimes and a lone date are refused."""
    with pytest.raises(InvalidValue, match=message):
        read_dates(dates)


def test_an_end_at_or_before_the_start_is_on_the_next_day():
    """Nights end after 24 hours; equal times are a whole day."""
    hours = timedelta(hours=1)
    night, day = since_midnight(((time(22), time(6)), (time(9), time(9))))
    assert (22 * hours, 30 * hours) == night
    assert (9 * hours, 33 * hours) == day


@pytest.mark.parametrize(
    ("expected", "week"),
    [
        (True, spread({"mon-sun": "00:00-24:00"})),
        (True, spread({"mon-sun": "00:00-12:00 12:00-00:00"})),
        (False, spread({"mon-sat": "00:00-24:00"})),
        (False, spread({"mon-sun": "00:00-23:59"})),
    ],
)
def test_a_week_without_gap(expected, week):
    """Only a week whose hours add up to seven days has no gap."""
    assert expected is without_gap(read_week(week))


@given(st.lists(st.tuples(st.times(), st.times()), max_size=1))
def test_what_is_shown_reads_back(pairs):
    """`shown` writes source code that gives the same hours, whatever the times."""
    week = read_week([(3, pairs)])
    assert week == read_week(eval(shown(week)))
