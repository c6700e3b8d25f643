"""Times as platforms write them: read strictly, or refused; nothing is filled in from here."""

import warnings
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import PayloadError
from supportflow.text.moments import from_epoch, from_text

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T04:04:05+01:00",
        "20260102T030405Z",
        "Fri, 02 Jan 2026 03:04:05 +0000",
        "Fri, 02 Jan 2026 03:04:05 GMT",
        "Fri Jan 02 05:04:05 +0200 2026",
        "January 2, 2026 3:04:05 UTC",
    ],
)
def test_a_time_with_a_zone_is_read_into_utc(text: str) -> None:
    """Whichever of the usual forms it has."""
    assert MOMENT == from_text(text)
    assert UTC is from_text(text).tzinfo


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a time"),
        (None, "is not a time"),
        (5, "is not a time"),
        ("x" * 65, "is not a time"),
        ("soon", "is not a time"),
        ("1:2:3:4", "is not a time"),
        ("99999999999999999999", "is not a time"),
        ("2026-01-02 03:04:05", "without a zone"),
        ("2 Jan 2026 03:04", "without a zone"),
        ("2 Jan 2026 03:04 EST", "without a zone"),  # five hours here, eleven elsewhere
        ("03:04 +00:00", "without a whole date"),
        ("Friday 03:04 UTC", "without a whole date"),
        ("2 Jan 03:04 UTC", "without a whole date"),
        ("9999-12-31T23:59:59-10:00", "out of range"),
        ("2026-01-02 03:04:05 +9999", "not a time"),
    ],
)
def test_what_is_no_whole_time_is_refused(text: object, why: str) -> None:
    """Neither the computer's date nor its zone fills in what the platform left out."""
    with pytest.raises(PayloadError, match=why):
        from_text(text)


@given(st.datetimes(timezones=st.timezones()))
def test_what_iso_writes_is_read_back(at: datetime) -> None:
    """Every time with its zone, if it has a place in UTC."""
    try:
        expected = at.astimezone(UTC)
    except OverflowError:
        with pytest.raises(PayloadError, match="out of range"):
            from_text(at.isoformat())
    else:
        assert expected == from_text(at.isoformat())


@given(st.text(alphabet="0123456789-:+/., TZUCGMadefjnrsoAPMJFS\x00\ud800٣", max_size=70))
def test_any_text_is_read_or_refused(text: str) -> None:
    """One kind of error and no warning, whatever a platform sends."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert UTC is from_text(text).tzinfo
        except PayloadError:
            return


@pytest.mark.parametrize(
    ("number", "unit"),
    [(1767323045, 1), (1767323045000, 0.001), ("1767323045", 1), (1767323045.0, 1)],
)
def test_an_epoch_is_read(number: object, unit: float) -> None:
    """As a number, or as its digits, in seconds or parts of them."""
    assert timedelta(0) == from_epoch(number, unit) - MOMENT


@pytest.mark.parametrize("number", [None, True, "", "soon", "nan", "inf", 1e300, [], 10**400])
def test_what_is_no_epoch_is_refused(number: object) -> None:
    """Out of range, not a number, or not even that."""
    with pytest.raises(PayloadError, match="is not a time"):
        from_epoch(number)
