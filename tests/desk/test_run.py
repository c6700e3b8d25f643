"""Prove what runs beside what, how long it pauses, and that a sick channel stops no other."""

import logging
from datetime import timedelta

import pytest

from supportflow import Reading
from supportflow.channels import Page, Traits
from supportflow.desk.run import ANNOUNCE_EVERY, READ_EVERY, SEND_EVERY, loops
from supportflow.errors import StoreUnavailable, TransportError
from supportflow.flow import Wait, run
from supportflow.stores import Wanted


class Slow:
    """Read after the commit."""

    def read(self, message):
        return Reading("question")


def rounds(world, name, count):
    """Run one loop for some rounds, and return how long it paused after each."""
    waits = []

    def answer(effect):
        if not isinstance(effect, Wait):
            return world.desk._answer(effect)
        waits.append(effect.seconds)
        return len(waits) >= count

    run(loops(world.desk._core)[name](), answer)
    return waits


def test_every_channel_has_its_own_poller_and_sender(build):
    """One that cannot be polled has none; a classifier that is not inline has its own loop."""
    world = build([build.Net(), build.Mute()])
    assert {"poll net", "send net", "send mute", "announce"} == set(loops(world.desk._core))
    slow = build(classifier=Slow())
    assert {"poll net", "send net", "read", "announce"} == set(loops(slow.desk._core))


def test_polling_goes_on_at_once_while_there_is_more(world, caplog):
    """Then it pauses for as long as the channel wants; the log says what came."""
    world.net.pages.extend([Page((world.said("m1"),), "1", more=True), Page(cursor="2")])
    with caplog.at_level(logging.INFO, "supportflow"):
        assert [0.0, 30.0] == rounds(world, "poll net", 2)
    assert "recorded channel=net" in caplog.text
    assert 1 == caplog.text.count("recorded")


def test_a_failure_is_logged_and_the_pause_grows(world, caplog):
    """A platform that is down is asked less and less often, and normally again when it is up."""
    world.net.pages.extend([TransportError("down")] * 2 + [KeyError("adapter")])
    assert [60.0, 60.0, 60.0, 30.0] == rounds(world, "poll net", 4)
    assert "loop_failed loop=poll net: TransportError: down" in caplog.text
    assert 1 == caplog.text.count("Traceback")  # what is not ours shows where it happened


def test_the_pause_has_an_end(build):
    """However often it failed, and where a channel pauses longer by itself, that long."""
    for every, last in ((1, 60.0), (300, 300.0)):
        traits = Traits("net", 100, "read", poll_every=timedelta(seconds=every))
        world = build([build.Net(traits=traits)])
        world.net.pages.extend([TransportError("down")] * 2000)
        waits = rounds(world, "poll net", 1100)
        assert (min(2.0 * every, last), last) == (waits[0], waits[-1])


def test_sending_goes_on_at_once_while_something_leaves(world):
    """Then the outbox is looked at every second."""
    world.desk.reply(world.open("m1"), "We see it.")
    assert 0.0 in rounds(world, "send net", 3)
    assert ["sent"] == world.states()
    assert SEND_EVERY == rounds(world, "send net", 1)[-1]


def test_announcing_and_reading_have_their_own_pace(build, caplog):
    """Each does its work and pauses; a store that is away is only logged."""
    world = build.shaking(classifier=Slow())
    conversation = world.open("m1")
    world.clock.advance(minutes=90)
    world.store.fail("find", StoreUnavailable("away"))
    assert [2 * ANNOUNCE_EVERY, 0.0, ANNOUNCE_EVERY] == rounds(world, "announce", 3)
    assert "loop_failed loop=announce: StoreUnavailable: away" in caplog.text
    assert [0.0, READ_EVERY] == rounds(world, "read", 2)
    assert "question" == world.desk.get(conversation).reading.intent


def test_a_sick_channels_fault_is_there_to_be_seen(world):
    """The loop records it where a person looks."""
    world.net.pages.append(TransportError("down"))
    rounds(world, "poll net", 1)
    assert (
        "TransportError: down" == world.store.load(Wanted(channels=("net",))).channels["net"].fault
    )


@pytest.mark.parametrize("seconds", [SEND_EVERY, READ_EVERY, ANNOUNCE_EVERY])
def test_pauses_are_short_enough_to_stop_soon(seconds):
    """Nobody waits long for a reply, and a stop is noticed at once anyway."""
    assert 0 < seconds <= 5
