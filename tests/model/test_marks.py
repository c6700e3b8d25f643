"""Marks and clocks are small frozen values with an order of their own."""

from datetime import UTC, datetime

import attrs
import pytest

from supportflow.model import MAX_MARKS, Base, Clock, Mark, Marked, Metric, State

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_marks_of_one_instant_have_an_order():
    """Who wrote and who answered in the same second: the question came first."""
    assert ["asked", "thanked", "told", "classified", "closed", "withdrawn"] == list(Marked)


def test_a_snapshot_is_small():
    """The number of marks that it keeps is a promise to whoever stores it."""
    assert 64 == MAX_MARKS


@pytest.mark.parametrize(
    "value", [Mark(AT, Marked.asked, "m:1"), Clock(Metric.resolution, AT, "m:1", 0), Base()]
)
def test_values_are_frozen_and_hashable(value):
    """They can be compared, kept in sets, and not be changed."""
    assert {value} == {attrs.evolve(value)}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.backfill = True


def test_nothing_is_carried_on_at_first():
    """A base without marks stands at the beginning."""
    assert (State.received, None, 0, False) == (
        Base().state,
        Base().since,
        Base().cycle,
        Base().told,
    )
