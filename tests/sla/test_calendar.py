"""Open time is counted exactly, whatever clocks do: proved against a look at every minute."""

import copy
import pickle
import threading
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.sla.calendar import ALWAYS, HORIZON, Calendar
from supportflow.sla.spans import OPEN

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
MICROSECOND, ZERO = timedelta(microseconds=1), timedelta(0)
OFFICE = Calendar.weekly("UTC", {"mon-fri": "09:00-13:00 14:00-18:00"})
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
# One for each thing that clocks do: a change on a working day, by half an hour, at midnight, over
# a whole day, by the other sign, by political decision, in half-hour offsets, or none at all.
TELLING_ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Gaza",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Europe/Minsk",
    "Pacific/Apia",
]
ALL_ZONES = sorted(available_timezones())


def part_of_the_examples(divisor):
    """Run fewer examples than the profile says, where each one is long."""
    return settings(max_examples=max(1, settings().max_examples // divisor))


# The oracle: one instant at a time, by the wall clock.


@attrs.frozen
class Sketch:
    """Hold a calendar as the oracle reads it: (start, length) in minutes, by weekday and date."""

    zone: str
    week: dict
    holidays: set
    exceptions: dict

    def intervals(self, day):
        """Return what the local date says."""
        if day in self.exceptions:
            return self.exceptions[day]
        return [] if day in self.holidays else self.week.get(day.weekday(), [])

    def is_open(self, at):
        """Read the local clock and look it up."""
        local = at.astimezone(ZoneInfo(self.zone))
        minute, today = local.hour * 60 + local.minute, local.date()
        return any(
            start <= minute + late < start + length
            for day, late in ((today, 0), (today - DAY, 1440))
            for start, length in self.intervals(day)
        )

    def calendar(self):
        """Return the calendar that is to agree."""
        return Calendar(
            self.zone,
            {day: [as_text(i) for i in intervals] for day, intervals in self.week.items()},
            self.holidays,
            {day: [as_text(i) for i in intervals] for day, intervals in self.exceptions.items()},
        )


def as_text(interval):
    """Write (start, length) in minutes as an interval."""
    start, length = interval
    ends = start, (start + length) % 1440
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in ends)


def count_by_minute(sketch, since, minutes):
    """Compare every minute of a window, and the sum of those that are open."""
    calendar, total = sketch.calendar(), ZERO
    for at in (since + n * MINUTE for n in range(minutes)):
        expected = sketch.is_open(at)
        assert expected is calendar.is_open(at), at
        total += expected * MINUTE
        assert total == calendar.between(since, at + MINUTE), at


@cache
def clock_changes(zone, year):
    """Return the days of a year, as midnights in UTC, in which the offset from UTC changed."""
    tz, start = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    days = [start + n * DAY for n in range(366)]
    return [
        day
        for day in days
        if day.astimezone(tz).utcoffset() != (day + DAY).astimezone(tz).utcoffset()
    ]


@st.composite
def weeks(draw):
    """Draw intervals that don't overlap: some over midnight, over Sunday, or touching."""
    quarter = st.integers(0, 7 * 96 - 1)
    cuts = sorted(draw(st.lists(quarter, min_size=2, max_size=16, unique=True)))
    shift, week = draw(quarter), {}
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        day, begin = divmod((start + shift) % (7 * 96), 96)
        week.setdefault(day, []).append((begin * 15, min(end - start, 96) * 15))
    return week


@st.composite
def sketches(draw, years):
    """Draw a zone, a day on which its clocks change, and a calendar special around that day."""
    zone = draw(st.sampled_from(TELLING_ZONES) | st.sampled_from(ALL_ZONES))
    year = draw(years)
    day = draw(st.sampled_from(clock_changes(zone, year) or [datetime(year, 3, 1, tzinfo=UTC)]))
    near = st.integers(-3, 3).map(lambda n: day.date() + n * DAY)
    hours = st.sampled_from(
        [
            [],
            [(0, 1440)],
            [(120, 60)],
            [(1320, 420)],
            [(75, 90), (1410, 60)],
            [(0, 15), (600, 1440)],
        ]
    )
    holidays = draw(st.sets(near, max_size=2))
    exceptions = draw(st.dictionaries(near, hours, max_size=3))
    return day, Sketch(zone, draw(weeks()), holidays, exceptions)


@part_of_the_examples(8)
@given(sketches(st.integers(2000, 2037)))
def test_every_minute_around_clock_changes(drawn):
    """Around changes of any zone's clocks, each minute and each sum is as the wall clock says."""
    day, sketch = drawn
    count_by_minute(sketch, day - 12 * HOUR, 2 * 1440)


@pytest.mark.parametrize("zone", TELLING_ZONES)
def test_every_minute_of_nights_and_days_around_a_change(zone):
    """Nights, lunch breaks and short intervals are right when telling zones changed last."""
    week = {day: [(0, 135), (150, 60), (540, 240), (840, 240), (1320, 120)] for day in range(7)}
    years = (clock_changes(zone, year) for year in range(2037, 1999, -1))
    day = next((days[0] for days in years if days), MONDAY)
    count_by_minute(Sketch(zone, week, set(), {}), day - 6 * HOUR, 36 * 60)


@pytest.mark.parametrize(
    ("zone", "day", "hours", "expected"),
    [
        ("Europe/Berlin", date(2026, 3, 28), "22:00-06:00", 7 * HOUR),
        ("Europe/Berlin", date(2026, 10, 24), "22:00-06:00", 9 * HOUR),
        ("Europe/Berlin", date(2026, 3, 29), "02:15-02:45", ZERO),
        ("Europe/Berlin", date(2026, 3, 29), "02:30-04:00", HOUR),
        ("Europe/Berlin", date(2026, 3, 29), "01:00-02:30", HOUR),
        ("Europe/Berlin", date(2026, 3, 29), "00:00-24:00", 23 * HOUR),
        ("Europe/Berlin", date(2026, 10, 25), "00:00-24:00", 25 * HOUR),
        ("Europe/Berlin", date(2026, 10, 25), "02:15-02:45", HOUR),
        ("Europe/Berlin", date(2026, 10, 25), "01:00-02:30", 2 * HOUR),
        ("Europe/Berlin", date(2026, 10, 25), "02:30-04:00", 2 * HOUR),
        ("Africa/Cairo", date(2023, 4, 28), "00:00-08:00", 7 * HOUR),
        ("Africa/Cairo", date(2023, 4, 27), "20:00-04:00", 7 * HOUR),
        ("America/Sao_Paulo", date(2018, 11, 4), "00:00-02:00", HOUR),
        ("Asia/Tehran", date(2022, 3, 22), "00:00-00:30", ZERO),
        ("Asia/Kolkata", date(2026, 3, 29), "09:00-18:00", 9 * HOUR),
        ("Australia/Lord_Howe", date(2026, 4, 5), "01:00-03:00", 2.5 * HOUR),
        ("Australia/Lord_Howe", date(2026, 10, 4), "01:00-03:00", 1.5 * HOUR),
        ("Pacific/Apia", date(2011, 12, 30), "09:00-17:00", ZERO),
        ("Pacific/Apia", date(2011, 12, 29), "22:00-06:00", 2 * HOUR),
        ("Pacific/Apia", date(2011, 12, 30), "22:00-06:00", 6 * HOUR),
    ],
)
def test_known_days(zone, day, hours, expected):
    """Skipped time is not open, repeated time is open twice, a skipped date's night has an end."""
    calendar = Calendar(zone, {}, exceptions={day: hours})
    noon = datetime.combine(day, time(12), UTC)
    assert expected == calendar.between(noon - 3 * DAY, noon + 3 * DAY)


def test_an_interval_within_a_repeated_hour_is_open_twice():
    """At 02:15 to 02:45 the clocks of Berlin pass twice on 25 October 2026."""
    calendar = Calendar("Europe/Berlin", {"sun": "02:15-02:45"})
    first = datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    assert first + 30 * MINUTE == calendar.next_close(first)
    assert first + HOUR == calendar.next_open(first + 30 * MINUTE)
    assert first + HOUR + 10 * MINUTE == calendar.add(first, 40 * MINUTE)


# What always holds.

instants = st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
durations = st.timedeltas(ZERO, 20 * DAY)
calendars = sketches(st.just(2026)).map(lambda drawn: drawn[1].calendar())


@part_of_the_examples(4)
@given(calendars, instants, durations, durations)
def test_adding(calendar, at, one, other):
    """What is added is found between; adding twice is adding once; more never ends earlier."""
    first = calendar.add(at, one)
    assert one == calendar.between(at, first)
    assert calendar.add(first, other) == calendar.add(at, one + other)
    assert first <= calendar.add(at, one + other)
    assert first <= calendar.add(at + other, one)
    assert UTC is first.tzinfo


@part_of_the_examples(4)
@given(calendars, instants, durations)
def test_the_first_instant_is_found(calendar, at, duration):
    """A microsecond before what `add` returns, a microsecond is missing."""
    found = calendar.add(at, duration)
    if duration:
        assert duration - MICROSECOND == calendar.between(at, found - MICROSECOND)
    else:
        assert at == found


@part_of_the_examples(4)
@given(calendars, instants, durations, durations)
def test_open_time_adds_up(calendar, at, one, other):
    """The open time of two spans that follow each other is that of both; never more than time."""
    middle, end = at + one, at + one + other
    total = calendar.between(at, end)
    assert total == calendar.between(at, middle) + calendar.between(middle, end)
    assert ZERO <= total <= end - at
    assert ZERO == calendar.between(at, at)


@part_of_the_examples(4)
@given(calendars, instants)
def test_opening_and_closing(calendar, at):
    """Until it opens it is closed, until it closes it is open, to the microsecond."""
    opens, closes = calendar.next_open(at), calendar.next_close(at)
    assert calendar.is_open(opens)
    assert not calendar.is_open(closes)
    assert ZERO == calendar.between(at, opens)
    assert closes - at == calendar.between(at, closes)
    assert at == (opens if calendar.is_open(at) else closes)


@pytest.mark.parametrize("years", [[2030], [2031, 2015], [1700], [2023, 2300]])
def test_answers_do_not_depend_on_what_was_asked_before(years):
    """What is known is kept, dropped and computed again, and nobody can tell."""
    fresh, used = (Calendar.weekly("Africa/Cairo", {"sun-thu": "22:00-06:00"}) for _ in range(2))
    for year in years:
        used.is_open(datetime(year, 6, 1, tzinfo=UTC))
    at = datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert fresh.add(at, 300 * HOUR) == used.add(at, 300 * HOUR)
    assert fresh.between(at, at + 9999 * DAY) == used.between(at, at + 9999 * DAY)
    assert fresh.next_open(at) == used.next_open(at)
    assert fresh.next_close(at) == used.next_close(at)


def test_a_night_over_the_end_of_what_is_known():
    """Where a stretch of known years ends within an interval, nothing opens or closes."""
    calendar = Calendar.weekly("UTC", {"mon-sun": "22:00-06:00"})
    calendar.is_open(MONDAY)
    until = calendar._known.until
    assert calendar.is_open(until - MICROSECOND)
    assert until + 6 * HOUR == calendar.next_close(until - HOUR)
    assert until + 6 * HOUR == copy.copy(calendar).add(until - 2 * HOUR, 8 * HOUR)
    fresh = copy.copy(calendar)
    fresh.is_open(MONDAY)
    assert fresh.is_open(until)


# The working day.


def test_lunch_weekend_and_holiday_are_closed():
    """Twelve hours from Friday noon end on Tuesday, when Monday is a holiday."""
    hours = {"mon-fri": "09:00-13:00 14:00-18:00"}
    calendar = Calendar.weekly("Europe/Minsk", hours, holidays=[date(2026, 3, 9)])
    friday = datetime(2026, 3, 6, 12, tzinfo=ZoneInfo("Europe/Minsk"))
    assert datetime(2026, 3, 10, 17, tzinfo=ZoneInfo("Europe/Minsk")) == calendar.add(
        friday, 12 * HOUR
    )


def test_exceptional_days_replace_the_week_and_holidays():
    """A Saturday opens, a Monday closes, and a holiday opens for an hour."""
    saturday, monday, holiday = (MONDAY + n * DAY for n in (-2, 0, 1))
    exceptions = {saturday.date(): "10:00-12:00", monday.date(): [], holiday.date(): "10:00-11:00"}
    calendar = attrs.evolve(OFFICE, holidays=[holiday.date()], exceptions=exceptions)
    opened = [calendar.between(day, day + DAY) for day in (saturday, monday, holiday)]
    assert [2 * HOUR, ZERO, HOUR] == opened


def test_a_night_before_a_holiday_ends_in_it():
    """A holiday closes what starts on its date, not the hours past midnight of the day before."""
    calendar = Calendar.weekly("UTC", {"mon-sun": "22:00-06:00"}, holidays=[date(2026, 1, 6)])
    assert 8 * HOUR == calendar.between(MONDAY + 12 * HOUR, MONDAY + 46 * HOUR)


def test_starts_are_open_and_ends_are_not():
    """Intervals are half-open; those that touch don't close in between."""
    calendar = Calendar("UTC", {"mon": "09:00-13:00 13:00-18:00"})
    start, end = MONDAY + 9 * HOUR, MONDAY + 18 * HOUR
    assert [False, True] == [calendar.is_open(at) for at in (start - MICROSECOND, start)]
    assert [True, False] == [calendar.is_open(at) for at in (end - MICROSECOND, end)]
    assert end == calendar.next_close(start)


def test_used_up_time_ends_with_the_interval():
    """Eight hours from the start of a day are its end; nothing added moves nothing, even at night."""
    assert MONDAY + 18 * HOUR == OFFICE.add(MONDAY, 8 * HOUR)
    assert MONDAY + DAY + 9 * HOUR + MICROSECOND == OFFICE.add(MONDAY, 8 * HOUR + MICROSECOND)
    assert MONDAY == OFFICE.add(MONDAY, ZERO)
    assert MONDAY + 9 * HOUR == OFFICE.next_open(MONDAY)


def test_any_aware_datetime_is_understood():
    """Local times are read with their fold, and answers are in UTC."""
    berlin = ZoneInfo("Europe/Berlin")
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    again = twice.replace(fold=1)
    assert HOUR == ALWAYS.between(twice, again)
    assert (HOUR, UTC) == (
        ALWAYS.add(twice, HOUR) - twice.astimezone(UTC),
        ALWAYS.add(again, HOUR).tzinfo,
    )
    assert [UTC, UTC] == [ALWAYS.next_open(twice).tzinfo, OFFICE.next_close(twice).tzinfo]
    assert not OFFICE.is_open(twice)


# Values.


def test_always_computes_nothing():
    """Around the clock is one span, in any zone, and never closes."""
    everywhere = Calendar.weekly("Asia/Tehran", {"mon-sun": "00:00-12:00 12:00-24:00"})
    for calendar in (ALWAYS, everywhere):
        assert OPEN is calendar._known
        assert calendar.is_open(MONDAY)
        assert MONDAY + 36500 * DAY == calendar.add(MONDAY, 36500 * DAY)
        assert 36500 * DAY == calendar.between(MONDAY, MONDAY + 36500 * DAY)
        assert MONDAY == calendar.next_open(MONDAY)
        with pytest.raises(InvalidValue, match="does not close within 100 years after 2026-01-05"):
            calendar.next_close(MONDAY)


@pytest.mark.parametrize(
    "special", [{"holidays": [MONDAY.date()]}, {"exceptions": {MONDAY.date(): "09:00-10:00"}}]
)
def test_around_the_clock_but_for_a_day(special):
    """A holiday or an exceptional day closes a calendar that is open around the clock."""
    calendar = attrs.evolve(ALWAYS, **special)
    assert not calendar.is_open(MONDAY)
    assert calendar.is_open(MONDAY + DAY)


def test_equal_calendars_are_equal_values():
    """Spelling, order and what was asked before don't matter; the zone does."""
    one = Calendar("UTC", {"tue": "", 0: "14:00-18:00 09:00-13:00"}, [date(2026, 5, 1)] * 2)
    other = Calendar.weekly(
        "UTC", {"monday": [(time(9), time(13)), "14:00-18:00"]}, holidays={date(2026, 5, 1)}
    )
    other.is_open(MONDAY)
    assert one == other
    assert 1 == len({one, other})
    assert one != attrs.evolve(one, zone="Europe/Minsk")


def test_calendars_are_frozen():
    """Fields cannot be set."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        OFFICE.zone = "Europe/Minsk"


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_copies_are_equal_and_know_nothing(again):
    """Pickling moves the hours and none of what was computed with this machine's zone data."""
    calendar = attrs.evolve(OFFICE, exceptions={date(2026, 5, 1): "09:00-10:00"})
    calendar.is_open(MONDAY)
    copied = again(calendar)
    assert calendar == copied
    assert len(pickle.dumps(calendar)) < 1500
    assert calendar._known != copied._known
    assert calendar.next_open(MONDAY) == copied.next_open(MONDAY)


def test_a_calendar_shows_what_makes_it():
    """The representation is source code for an equal calendar."""
    calendar = Calendar(
        "Europe/Minsk",
        {"fri": "22:00-06:00"},
        [date(2026, 1, 7)],
        {date(2026, 1, 8): "18:00-24:00"},
    )
    names = {"Calendar": Calendar, "datetime": __import__("datetime")}
    assert calendar == eval(repr(calendar), names)
    assert "week={4: '22:00-06:00'}" in repr(calendar)


def test_threads_share_a_calendar():
    """Threads that ask a fresh calendar about different years at once all get the right answer."""
    shared = Calendar.weekly("Africa/Cairo", {"sun-thu": "09:00-17:00"})
    starts = [datetime(year, 4, 20, tzinfo=UTC) for year in (1950, 1975, 2000, 2023, 2040, 2300)]
    gate, answers = threading.Barrier(len(starts)), {}

    def ask(start):
        gate.wait()
        answers[start] = [shared.add(start + n * DAY, 100 * HOUR) for n in range(40)]

    threads = [threading.Thread(target=ask, args=(start,)) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {
        start: [copy.copy(shared).add(start + n * DAY, 100 * HOUR) for n in (0, 39)]
        for start in starts
    }
    assert expected == {start: [found[0], found[39]] for start, found in answers.items()}


# What is refused.


@pytest.mark.parametrize("week", [{}, {"mon": []}, {"mon": "", "tue": ""}])
def test_a_calendar_that_never_opens_is_refused(week):
    """Without an hour in week and exceptional days there is nothing to count."""
    for exceptions in ({}, {date(2026, 1, 1): ""}):
        with pytest.raises(InvalidValue, match="never open: give at least one weekday its hours"):
            Calendar("UTC", week, exceptions=exceptions)


def test_bad_fields_are_refused():
    """What cannot be read is refused when the calendar is made."""
    for arguments in [
        ("Europe/Mensk", {"mon": "09:00-13:00"}),
        ("UTC", {"mon": "09:00-13:00 12:00-14:00"}),
        ("UTC", {"mon": "09:00-13:00"}, ["2026-01-01"]),
        ("UTC", {"mon": "09:00-13:00"}, [], {date(2026, 1, 1): "nine"}),
    ]:
        with pytest.raises(InvalidValue):
            Calendar(*arguments)
    with pytest.raises(InvalidValue, match="week gives friday twice"):
        Calendar.weekly("UTC", {"mon-fri": "09:00-18:00", "fri": "09:00-16:00"})


QUESTIONS = {
    "is_open": lambda calendar, at: calendar.is_open(at),
    "next_open": lambda calendar, at: calendar.next_open(at),
    "next_close": lambda calendar, at: calendar.next_close(at),
    "add": lambda calendar, at: calendar.add(at, HOUR),
    "add nothing": lambda calendar, at: calendar.add(at, ZERO),
    "between": lambda calendar, at: calendar.between(at, at),
}


@pytest.mark.parametrize("calendar", [OFFICE, ALWAYS], ids=["office", "always"])
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_instants_that_cannot_be_used_are_refused(ask, calendar):
    """Naive datetimes, and those too close to the ends of datetime, are refused by each method."""
    with pytest.raises(InvalidValue, match="has no time zone: pass an aware datetime"):
        ask(calendar, MONDAY.replace(tzinfo=None))
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)
    for at in (first, last):
        with pytest.raises(InvalidValue, match="know the years 2 to 9998"):
            ask(calendar, at)
    for at, zone in ((first, "Asia/Tokyo"), (last, "America/New_York")):
        with pytest.raises(InvalidValue, match="outside the years 1 to 9999 in UTC"):
            ask(calendar, at.replace(tzinfo=ZoneInfo(zone)))


def test_both_ends_must_be_aware():
    """`between` looks at its end too."""
    with pytest.raises(InvalidValue, match="has no time zone"):
        OFFICE.between(MONDAY, MONDAY.replace(tzinfo=None))


@pytest.mark.parametrize("calendar", [OFFICE, ALWAYS], ids=["office", "always"])
@pytest.mark.parametrize(
    "duration", [-MICROSECOND, timedelta.min, HORIZON + MICROSECOND, timedelta.max]
)
def test_durations_out_of_bounds_are_refused(calendar, duration):
    """A negative duration, and one of more than 100 years, is no duration to add."""
    with pytest.raises(InvalidValue, match="a duration is from zero to 100 years"):
        calendar.add(MONDAY, duration)


@pytest.mark.parametrize("calendar", [OFFICE, ALWAYS], ids=["office", "always"])
@pytest.mark.parametrize("end", [MONDAY - MICROSECOND, MONDAY + HORIZON + MICROSECOND])
def test_spans_out_of_bounds_are_refused(calendar, end):
    """An end before the start, or more than 100 years after it, is refused."""
    with pytest.raises(InvalidValue, match="is not from zero to 100 years after 2026-01-05"):
        calendar.between(MONDAY, end)


def test_a_century_is_counted():
    """The longest span and sum work: an instant of the year 1970 by mistake is no fault."""
    end = MONDAY + HORIZON
    total = OFFICE.between(MONDAY, end)
    assert (5217 * 5 + 5) * 8 * HOUR == total  # 36,525 days are 5,217 weeks, and Monday to Saturday
    assert end - 30 * HOUR == OFFICE.add(MONDAY, total)


def test_open_time_that_never_comes_is_refused():
    """Days that are past, or open for too short, end in an error and no endless search."""
    past = Calendar("UTC", {}, exceptions={date(2020, 1, 1): "09:00-17:00"})
    for ask in (past.next_open, lambda at: past.add(at, HOUR)):
        with pytest.raises(InvalidValue, match=r"not open.* within 100 years after 2026-01-05"):
            ask(MONDAY)
    seldom = Calendar("UTC", {"mon": "09:00-09:01"})
    with pytest.raises(InvalidValue, match="does not open long enough within 100 years"):
        seldom.add(MONDAY, 5220 * MINUTE)
    assert MONDAY == past.next_close(MONDAY)


def test_the_end_of_time_is_refused():
    """In the last year that calendars know nothing is looked for after it."""
    past = Calendar("UTC", {}, exceptions={date(2020, 1, 1): "09:00-17:00"})
    with pytest.raises(InvalidValue, match="does not open within"):
        past.next_open(datetime(9950, 1, 1, tzinfo=UTC))


def test_the_horizon_holds_for_what_is_known_by_chance():
    """An opening 104 years ahead is too far, also when an earlier question has computed it."""
    calendar = Calendar(
        "UTC", {}, exceptions={date(2020, 1, 1): "09:00-17:00", date(2130, 1, 1): "09:00-17:00"}
    )
    assert calendar.is_open(datetime(2130, 1, 1, 9, tzinfo=UTC))
    assert not calendar.is_open(datetime(2020, 1, 1, tzinfo=UTC))
    for ask in (calendar.next_open, lambda at: calendar.add(at, HOUR)):
        with pytest.raises(InvalidValue, match="within 100 years"):
            ask(MONDAY)
