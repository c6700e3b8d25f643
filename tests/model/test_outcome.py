"""Outcomes are typed: money is exact, words are said, nothing impossible is promised."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.model import (
    OUTCOMES,
    Coupon,
    Declined,
    Discount,
    Dismissed,
    Refund,
    Repaired,
    Replacement,
)


@pytest.mark.parametrize("amount", ["49.90", Decimal("49.90"), 50, "0.01", "1" * 18, "1E+3"])
def test_amounts_are_exact(amount):
    """Text, whole numbers and decimals are taken as they are."""
    assert Decimal(amount) == Refund(amount, "EUR").amount


@pytest.mark.parametrize(
    "amount",
    [
        49.9,
        True,
        0,
        "-1",
        "",
        "ten",
        None,
        [],
        "NaN",
        "sNaN",
        "Infinity",
        "1" * 19,
        "1E+19",
        "1E+999999",
        "1E-999999",
        "9" * 5000,
    ],
)
def test_other_amounts_are_refused(amount):
    """Floats, nothing, infinity, and numbers too long to write on a screen."""
    with pytest.raises(InvalidValue, match="amount") as caught:
        Refund(amount, "EUR")
    assert len(str(caught.value)) < 200


def test_a_huge_exponent_is_refused():
    """Regression: `1E+999999` has one digit, and filled a megabyte when it was shown."""
    with pytest.raises(InvalidValue, match="at most 18 digits"):
        Refund("1E+999999", "EUR")


@pytest.mark.parametrize("currency", ["eur", "EURO", "E", "", "€", "EUR\n", None, 978])
def test_currencies_are_iso_codes(currency):
    """Three capital letters, and nothing behind them."""
    with pytest.raises(InvalidValue, match="ISO 4217"):
        Refund("1", currency)


@pytest.mark.parametrize(
    "make",
    [
        Repaired,
        Declined,
        Dismissed,
        lambda said: Coupon(said, "10 EUR"),
        lambda said: Coupon("SORRY10", said),
        lambda said: Discount("5", said),
    ],
)
@pytest.mark.parametrize("nothing", ["", "  ", None, 5])
def test_words_are_said(make, nothing):
    """An outcome that says nothing helps nobody who reads the history."""
    with pytest.raises(InvalidValue, match="say it in words"):
        make(nothing)
    assert make("something")


def test_a_coupon_expires_at_an_aware_time():
    """In UTC, or never."""
    expires = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=3)))
    assert UTC is Coupon("A", "10 EUR", expires).expires.tzinfo
    assert Coupon("A", "10 EUR").expires is None
    with pytest.raises(InvalidValue, match="expires"):
        Coupon("A", "10 EUR", datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_a_replacement_names_items():
    """Regression: one item given as a string became its letters."""
    assert ("kettle",) == Replacement("kettle").items
    assert ("kettle", "lid") == Replacement(["kettle", "lid"]).items
    with pytest.raises(InvalidValue, match="no items"):
        Replacement([])


@pytest.mark.parametrize("percent", ["100", "0.5", 10])
def test_discounts(percent):
    """More than nothing, and at most everything."""
    assert Decimal(percent) == Discount(percent, "shoes").percent


@pytest.mark.parametrize("percent", ["100.01", "0", "-5"])
def test_impossible_discounts_are_refused(percent):
    """Nobody pays the customer."""
    with pytest.raises(InvalidValue, match=r"over 100|must be positive"):
        Discount(percent, "shoes")


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.text())
def test_any_amount_is_taken_or_refused(amount):
    """What is accepted is positive and short when written out."""
    try:
        taken = Refund(amount, "EUR").amount
    except InvalidValue:
        return
    assert taken > 0
    assert len(f"{taken:f}") < 50


def test_every_outcome_is_known_by_its_name():
    """The registry that stores read from is complete."""
    assert set(OUTCOMES.values()) == {k for k in OUTCOMES.values() if attrs.has(k)}
    assert {"Answered", "Refund", "Dismissed", "Thanked"} <= set(OUTCOMES)
    assert all(name == kind.__name__ for name, kind in OUTCOMES.items())
