"""Prove that the clock of tests stands still until it is set."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from supportflow.errors import InvalidValue
from supportflow.testing import FakeClock

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_time_stands_still():
    """Asking takes no time."""
    clock = FakeClock(AT)
    assert [AT] * 3 == [clock() for _ in range(3)]
    assert "FakeClock(2026-01-01T00:00:00+00:00)" == repr(clock)


def test_time_goes_on_as_told():
    """Spans add up, and the new time is returned; time may go back too."""
    clock = FakeClock(AT)
    assert AT + timedelta(minutes=1.5) == clock.advance(minutes=1, seconds=30)
    assert AT + timedelta(days=1, minutes=1.5) == clock.advance(timedelta(days=1))
    assert AT == clock.set(AT) == clock()


def test_every_zone_becomes_utc():
    """The clock is in UTC whatever it is set to, and takes no naive time."""
    clock = FakeClock(AT.astimezone(timezone(timedelta(hours=2))))
    assert (AT, UTC) == (clock(), clock().tzinfo)
    for naive in (clock.set, FakeClock):
        with pytest.raises(InvalidValue, match="aware"):
            naive(AT.replace(tzinfo=None))
