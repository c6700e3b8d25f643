"""Prove what agents may decide besides words, and that each decision is recorded once."""

import re

import pytest

from supportflow import Agent, IllegalStep, InvalidValue, NotFound, Reading, Stale
from supportflow.channels import Traits
from supportflow.events import (
    Assigned,
    Cancelled,
    Classified,
    Closed,
    HandedOff,
    Noted,
    Tagged,
    Told,
)
from supportflow.model import AgentKind, State
from supportflow.stores import Direction


def test_spam_is_dismissed_without_a_reply(world):
    """It is closed with the reason, and nobody waits."""
    conversation = world.open("m1")
    world.desk.classify(conversation, "spam")
    after = world.desk.dismiss(conversation, "an advertisement", agent="anna")
    (closed,) = world.events(conversation, Closed)
    assert (State.resolved, False) == (after.state, after.unanswered)
    assert ("an advertisement", "anna") == (closed.outcome.reason, closed.by.id)


def test_only_a_person_dismisses_whoever_wants_advantage(world):
    """Mood alone never does, nor a bot; it takes a person who confirms it."""
    conversation = world.open("m1")
    world.desk.classify(conversation, "complaint", mood="furious")
    for given in ({}, {"confirmed": True, "agent": Agent("robo", AgentKind.bot)}):
        with pytest.raises(IllegalStep, match="confirmed=True"):
            world.desk.dismiss(conversation, "wants a free phone", **given)
    world.desk.dismiss(conversation, "wants a free phone", confirmed=True)
    with pytest.raises(IllegalStep, match="resolved already"):
        world.desk.dismiss(conversation, "again", confirmed=True)


def test_dismissing_needs_a_fresh_look_and_a_reason(world):
    """Who dismisses what they read must have read everything; and must say why."""
    read = world.desk.get(world.open("m1"))
    world.take(world.said("m2", minutes=1, thread="m1"))
    with pytest.raises(Stale):
        world.desk.dismiss(read, "spam", confirmed=True)
    for reason in ("", " ", None):
        with pytest.raises(InvalidValue, match="reason"):
            world.desk.dismiss(read.id, reason, confirmed=True)


def test_a_person_says_what_it_is(world):
    """Of the whole conversation, or of one message, with a complete reading or in short."""
    conversation = world.open("m1")
    world.desk.classify(conversation, "complaint", mood="angry", agent="anna")
    after = world.desk.classify(
        conversation, message=("post", "m1"), reading=Reading("question", reasons=["a\x00"])
    )
    first, second = world.events(conversation, Classified)
    assert ("anna", None, "anna") == (first.reading.by, first.message, first.by.id)
    assert (("post", "m1"), ("a\ufffd",)) == (second.message, second.reading.reasons)
    assert after == world.desk.get(conversation)


def test_what_cannot_be_classified_is_refused(world):
    """Unknown words are refused with those that are known; unknown messages are named."""
    conversation = world.open("m1")
    world.open("x1", by="ben")
    with pytest.raises(InvalidValue, match="intent is 'rant'; it is one of complaint"):
        world.desk.classify(conversation, "rant")
    with pytest.raises(InvalidValue, match="mood is 'hungry'"):
        world.desk.classify(conversation, "question", mood="hungry")
    with pytest.raises(InvalidValue, match="message is 'm1'"):
        world.desk.classify(conversation, "question", message="m1")
    for message in (("post", "m9"), ("post", "x1")):
        with pytest.raises(NotFound, match="no message"):
            world.desk.classify(conversation, "question", message=message)


def test_assigning(world):
    """To somebody, to nobody; the same again is no event."""
    conversation = world.open("m1")
    for to in ("anna", "anna", None):
        world.desk.assign(conversation, to)
    assert ["anna", None] == [event.to for event in world.events(conversation, Assigned)]


def test_tagging(world):
    """Labels are added and removed; what changes nothing is no event; each must be a word."""
    conversation = world.open("m1")
    world.desk.tag(conversation, "vip", "b2b", agent="anna")
    after = world.desk.tag(conversation, "vip", "new\x00", remove=["b2b"])
    world.desk.tag(conversation, "vip")
    assert (("vip", "new\ufffd"), 2) == (after.tags, len(world.events(conversation, Tagged)))
    for wrong in (("",), (5,)):
        with pytest.raises(InvalidValue, match="labels"):
            world.desk.tag(conversation, *wrong)
    with pytest.raises(InvalidValue, match="list"):
        world.desk.tag(conversation, remove="vip")


def test_a_note_stays_inside(world):
    """Its words are a message that never leaves the store, once for its key."""
    conversation = world.open("m1")
    for _ in range(2):
        world.desk.note(conversation, "Called her.\x00", agent="anna", key="k1")
    (note,) = [s for s in world.desk.messages(conversation) if s.direction is Direction.note]
    assert ("Called her.\ufffd", "anna", "private") == (
        note.message.text,
        note.message.author.id,
        note.message.visibility,
    )
    assert 1 == len(world.events(conversation, Noted))
    assert () == world.desk.outbox()
    for wrong in ("", " ", None):
        with pytest.raises(InvalidValue, match="a note needs words"):
            world.desk.note(conversation, wrong)


def test_a_note_follows_a_merge(world):
    """It is kept with the conversation that carries on."""
    early = world.open("m3", minutes=3, parent="m2")
    world.take(world.said("m2", minutes=2, parent="m1"))
    world.desk.note(early, "Called her.")
    assert 3 == len(world.desk.messages("net/m1/ola#0"))


def test_handing_off(world):
    """Another team carries on: recorded, with the reason; it must be named."""
    conversation = world.open("m1")
    after = world.desk.handoff(conversation, "billing", why="a refund", agent="anna")
    (event,) = world.events(conversation, HandedOff)
    assert ("billing", "a refund", "billing") == (event.to, event.why, after.handed_to)
    for wrong in ("", None):
        with pytest.raises(InvalidValue, match="to is"):
            world.desk.handoff(conversation, wrong)


def test_cancelling_a_reply(world):
    """What has not left is taken back: the row is final, and the customer waits again."""
    conversation = world.open("m1")
    (pending,) = world.desk.reply(conversation, "Hello.").pending
    after = world.desk.cancel(conversation, pending.id, why="a typing error", agent="anna")
    assert (["cancelled"], True) == (world.states(), after.unanswered)
    (event,) = world.events(conversation, Cancelled)
    assert ("a typing error", "anna") == (event.why, event.by.id)
    with pytest.raises(NotFound, match="no reply"):
        world.desk.cancel(conversation, pending.id)


def test_a_reply_is_cancelled_by_one_of_its_rows_as_well(world):
    """As the outbox shows it; once for its key, also when its answer was lost."""
    conversation = world.open("m1")
    world.desk.reply(conversation, ["One.", "Two."], key="k1")
    row = world.desk.outbox()[1]
    for _ in range(2):
        world.desk.cancel(conversation, row.id, key="c1")
    assert (["cancelled", "cancelled"], 1) == (
        world.states(),
        len(world.events(conversation, Cancelled)),
    )


PARTLY_TOLD = {
    "refused": (422, ["sent", "failed", "pending*"], ["sent", "failed", "cancelled"]),
    "in doubt": (503, ["sent", "unknown*", "pending*"], ["sent", "cancelled", "cancelled"]),
    "not sent": (429, ["sent", "pending", "pending"], ["sent", "cancelled", "cancelled"]),
}


@pytest.mark.parametrize("case", PARTLY_TOLD)
def test_the_rest_of_a_partly_told_reply_is_cancelled(build, kept, case):
    """What was told stays told; what was refused, or may be there, and what is held behind it
    is taken back, and the log says so.
    """
    fault, before, after = PARTLY_TOLD[case]
    blind = Traits("mute", 100, "blind", inbound=())
    world = build([build.Mute(traits=blind)], store=kept)
    conversation = world.open("m1")
    world.desk.reply(conversation, ["One.", "Two.", "Three."], steps=["acknowledge"], key="k1")
    world.platform.fail(None, taken=True)
    for _ in range(2):
        world.platform.fail(fault)
    world.desk.deliver()
    world.clock.advance(minutes=11)  # blind, and the third part has waited for long enough
    world.desk.deliver()
    assert before == world.states()
    found = world.desk.cancel(conversation, "k1", why="it is settled by phone", agent="anna")
    assert after == world.states()
    (event,) = world.events(conversation, Cancelled)
    assert ("k1", "anna", "it is settled by phone") == (event.reply, event.by.id, event.why)
    told = world.events(conversation, Told)
    assert ((), State.received, 1) == (found.pending, found.state, len(told))
    world.deliver_all(minutes=60)
    assert ["One."] == world.platform.texts
    world.store.close()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"conversation": 5}, "conversation is 5; pass a Conversation or its id"),
        ({"reply": None}, "reply is None; pass a text"),
        ({"why": b"x"}, "why is b'x'; pass a text"),
        ({"agent": ""}, "agent is ''; pass an Agent or a person's id"),
        ({"key": " "}, "key is ' '; pass a text of your own"),
    ],
)
def test_what_cannot_be_cancelled_is_refused(world, given, why):
    """Each argument is checked, and the error says what would be accepted; nothing changes."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "Hello.", key="k1")
    arguments = {"conversation": conversation, "reply": "k1", **given}
    with pytest.raises(InvalidValue, match=re.escape(why)):
        world.desk.cancel(**arguments)
    with pytest.raises(NotFound, match="no reply 'k2' is on its way"):
        world.desk.cancel(conversation, "k2")
    with pytest.raises(NotFound, match="no conversation 'net/x/y#0'"):
        world.desk.cancel("net/x/y#0", "k1")
    assert ["pending"] == world.states()


def test_who_gets_it_must_be_an_id(world):
    """An agent is named by a text; None takes it from everybody."""
    with pytest.raises(InvalidValue, match="to is 5"):
        world.desk.assign(world.open("m1"), 5)
