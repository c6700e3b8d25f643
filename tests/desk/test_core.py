"""Prove what every program relies on: channels by name, retries, merges, and the caller's words."""

from datetime import datetime, timedelta

import pytest

from supportflow import InvalidValue, NotFound, Stale
from supportflow.desk.core import ATTEMPTS, Listing, current, get_conversation, retrying
from supportflow.errors import Conflict
from supportflow.flow import Wait, run


def test_a_channel_is_found_by_name(world):
    """One that is not there is named, with those that are."""
    core = world.desk._core
    assert world.net is core.channel("net")
    with pytest.raises(NotFound, match="no channel 'fax' on this desk; it has: net"):
        core.channel("fax")
    with pytest.raises(NotFound, match="it has: none"):
        world.again([])._core.channel("net")


def test_a_clock_without_a_zone_is_refused(world):
    """Nothing is recorded at a time that nobody can place."""
    core = world.again(clock=lambda: datetime(2026, 1, 1))._core  # noqa: DTZ001  # on purpose
    with pytest.raises(InvalidValue, match="the clock's time"):
        core.now()
    offset = world.clock().astimezone().tzinfo
    assert (
        timedelta(0)
        == world.again(clock=lambda: world.clock().astimezone(offset))._core.now().utcoffset()
    )


def test_a_listing_is_a_tuple_that_knows_its_next_page():
    """It compares as what is on it."""
    assert ((1, 2), "next") == (Listing.of([1, 2], "next"), Listing.of([1, 2], "next").after)


def waiting(waits):
    def answer(effect):
        assert isinstance(effect, Wait)
        waits.append(effect.seconds)

    return answer


def conflicting(times):
    def attempt():
        yield from ()
        if times:
            times.pop()
            raise Conflict("busy")
        return "done"

    return attempt


def test_a_conflict_is_retried_with_jitter():
    """Up to five attempts, each after a little while that differs."""
    waits = []
    assert "done" == run(retrying(conflicting([1] * (ATTEMPTS - 1))), waiting(waits))
    assert ATTEMPTS - 1 == len(waits)
    assert all(0 <= wait <= 0.01 * 2**number for number, wait in enumerate(waits, 1))
    with pytest.raises(Conflict):
        run(retrying(conflicting([1] * ATTEMPTS)), waiting(waits))


def test_conversations_are_found_through_merges(world):
    """By id, to the one that carries on; a value that was read before is stale."""
    early = world.desk.get(world.open("m3", minutes=3, parent="m2"))
    world.take(world.said("m2", minutes=2, parent="m1"))
    core, answer = world.desk._core, world.desk._answer
    for given in (early, early.id):
        assert "net/m1/ola#0" == run(get_conversation(core, given), answer).id
    assert "net/m1/ola#0" == run(current(core, early.id), answer).id
    with pytest.raises(Stale, match="became part of net/m1/ola#0 since it was read"):
        run(current(core, early), answer)
