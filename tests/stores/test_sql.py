"""Prove that times keep every microsecond on their way through a table."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from supportflow.stores.sql import (
    from_micros,
    micros,
    optional_from_micros,
    optional_micros,
)

moments = st.datetimes(
    timezones=st.sampled_from((UTC, timezone(timedelta(hours=-11, minutes=-30))))
)


@given(moments)
def test_times_come_back(at):
    """Any aware time comes back to the microsecond, in UTC."""
    try:
        expected = at.astimezone(UTC)
    except OverflowError:  # beyond year 1 or 9999 in UTC
        return
    assert expected == from_micros(micros(at))
    assert UTC is from_micros(micros(expected)).tzinfo


@given(moments, moments)
def test_times_keep_their_order(first, second):
    """What is earlier is the smaller number: tables sort by it."""
    assert (first < second) == (micros(first) < micros(second))


def test_nothing_stays_nothing():
    """No time is no number, and a time is one."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    assert (None, None) == (optional_micros(None), optional_from_micros(None))
    assert at == optional_from_micros(optional_micros(at))
