"""Prove that an answer is checked, decided and queued in one commit, once, and never too openly."""

import pytest

from supportflow import (
    IllegalStep,
    InvalidValue,
    NotFound,
    Refund,
)
from supportflow.events import Queued
from supportflow.model import Card, State, Step


def angry(world):
    """Open a conversation that calls for all three steps."""
    conversation = world.open("m1")
    world.desk.classify(conversation, "complaint", mood="furious")
    return conversation


def test_each_step_has_its_name(world):
    """Acknowledge, apologize, resolve: the short ways take their step, in order."""
    conversation = angry(world)
    world.desk.acknowledge(conversation, "We see the double charge.")
    world.desk.apologize(conversation, "We are sorry for the trouble.")
    world.desk.resolve(conversation, "It is paid back.", outcome=Refund("49.90", "EUR"))
    world.desk.deliver()
    found = world.desk.get(conversation)
    assert (State.resolved, Refund("49.90", "EUR")) == (found.state, found.outcome)
    assert list(Step) == [step for e in world.events(conversation, Queued) for step in e.steps]


def test_a_step_that_is_not_legal_names_those_that_are(world):
    """Nothing is queued, and the error says what is legal instead."""
    conversation = angry(world)
    with pytest.raises(IllegalStep, match="legal now: acknowledge"):
        world.desk.resolve(conversation, "It is paid back.")
    assert () == world.desk.outbox()


def test_a_promise_starts_its_clock(world):
    """It is queued with its time; a time that is past or naive is refused."""
    conversation = world.open("m1")
    due = world.at(180)
    world.desk.promise(conversation, "We will come back by noon.", by=due, steps=["acknowledge"])
    (queued,) = world.events(conversation, Queued)
    assert (due, (Step.acknowledge,)) == (queued.due, queued.steps)
    for wrong in (world.at(0), due.replace(tzinfo=None), "noon"):
        with pytest.raises(InvalidValue, match="by is"):
            world.desk.promise(conversation, "Soon.", by=wrong)
    with pytest.raises(InvalidValue, match="aware"):
        world.desk.reply(conversation, "Soon.", promise_by=due.replace(tzinfo=None))


# -- refusals


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": ""},
        {"text": "  "},
        {"text": []},
        {"text": ["One.", " "]},
        {"text": ["One.", 2]},
        {"text": None},
        {"text": b"bytes"},
        {"steps": ["forgive"]},
        {"steps": "acknowledge"},
        {"agent": ""},
        {"agent": None},
        {"key": ""},
        {"key": 7},
        {"override": None},
        {"visibility": "everybody"},
        {"to": "m1"},
        {"to": ("post",)},
        {"to": ("post", 1)},
        {"language": 5},
        {"feedback": 5},
        {"quick_replies": "yes"},
        {"quick_replies": [1]},
        {"card": Card("Cup", None)},
        {"conversation": 5},
        {"conversation": None},
        {"outcome": Refund("1", "EUR")},
    ],
)
def test_what_makes_no_sense_is_refused(world, arguments):
    """Every argument is checked, and nothing is queued."""
    given = {"conversation": world.open("m1"), "text": "Hello.", **arguments}
    with pytest.raises(InvalidValue):
        world.desk.reply(**given)
    assert () == world.desk.outbox()


def test_words_of_an_agent_are_normalised(world):
    """NUL and lone surrogates leave neither in the text nor in what is recorded beside it."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "a\x00b", override="why\ud800")
    (row,) = world.desk.outbox()
    assert "a\ufffdb" == row.posting.outgoing.text
    assert "why\ufffd" == world.events(conversation, Queued)[0].why


def test_unknown_conversations_and_channels_are_named(world):
    """Whatever is missing is named, with what there is."""
    with pytest.raises(NotFound, match="no conversation 'net/x/y#0'"):
        world.desk.reply("net/x/y#0", "Hello.")
    conversation = world.open("m1")
    with pytest.raises(NotFound, match="no channel 'net' on this desk; it has: mute"):
        world.again([world.Mute()]).reply(conversation, "Hello.")
