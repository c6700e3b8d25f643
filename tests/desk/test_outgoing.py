"""Prove that a decided answer and its outbox rows are one commit, made once for its key."""

import attrs
import pytest

from supportflow import Stale
from supportflow.errors import Conflict, StoreUnavailable
from supportflow.events import Queued
from supportflow.model import Card
from supportflow.stores import Direction


def test_a_reply_waits_in_the_outbox(world):
    """Event, words and outbox row are committed together; nobody waits unanswered any more."""
    conversation = world.open("m1")
    after = world.desk.reply(conversation, "We see it.", agent="anna", language="en")
    (row,) = world.desk.outbox()
    outgoing = row.posting.outgoing
    assert ("We see it.", ("post", "m1"), "m1", "ola", "en") == (
        outgoing.text,
        outgoing.reply_to,
        outgoing.thread,
        outgoing.to.id,
        outgoing.language,
    )
    assert (True, False) == (world.desk.get(conversation) == after, after.unanswered)
    (queued,) = world.events(conversation, Queued)
    assert ("anna", row.posting.reply) == (queued.by.id, queued.reply)
    directions = [s.direction for s in world.desk.messages(conversation)]
    assert [Direction.inbound, Direction.outbound] == directions
    assert 24 == len(outgoing.mark)


def test_parts_are_rows_in_their_order(world):
    """A list is sent as several messages; card and quick replies come with the last one."""
    world.channels[0] = attrs.evolve(
        world.net, traits=attrs.evolve(world.net.traits, powers={"card", "quick_replies"})
    )
    world.desk = world.again()
    conversation = world.open("m1")
    card = Card("Cup", "https://shop.example/cup")
    world.desk.reply(conversation, ["One.", "Two."], card=card, quick_replies=["yes", "no"])
    rows = world.desk.outbox()
    assert [("One.", 0, 1), ("Two.", 1, 2)] == [
        (row.posting.outgoing.text, row.posting.part, row.seq) for row in rows
    ]
    assert [(None, ()), (card, ("yes", "no"))] == [
        (row.posting.outgoing.card, row.posting.outgoing.quick_replies) for row in rows
    ]
    assert 2 == world.desk.deliver().sent
    assert ["One.", "Two."] == world.platform.texts


def test_a_conversation_that_changed_since_it_was_read_is_stale(world):
    """Passing what was read refuses to answer over somebody; passing the id opts out."""
    conversation = world.desk.get(world.open("m1"))
    world.take(world.said("m2", minutes=1, thread="m1"))
    with pytest.raises(Stale, match="read it again"):
        world.desk.reply(conversation, "Hello.")
    world.desk.reply(conversation.id, "Hello.")
    fresh = world.desk.get(conversation.id)
    world.desk.tag(conversation.id, "vip")  # nobody wrote
    world.desk.reply(fresh, "Hello again.")
    with pytest.raises(Stale):
        world.desk.reply(fresh, "And again.")


def test_a_conversation_that_was_merged_is_stale(world):
    """Its id leads to the one that took it in; what was read before does not."""
    early = world.desk.get(world.open("m3", minutes=3, parent="m2"))
    world.take(world.said("m2", minutes=2, parent="m1"))
    with pytest.raises(Stale, match="became part of net/m1/ola#0"):
        world.desk.reply(early, "Hello.")
    assert "net/m1/ola#0" == world.desk.reply(early.id, "Hello.").id
    with pytest.raises(Stale):
        world.desk.draft(early, "Hello.")


def test_a_repeated_key_changes_nothing(world):
    """The same command again returns the conversation as it is, however it was read."""
    conversation = world.desk.get(world.open("m1"))
    first = world.desk.reply(conversation, "Hello.", key="k1")
    assert first == world.desk.reply(conversation, "Hello.", key="k1")
    assert first == world.desk.reply(conversation.id, "Something else.", key="k1")
    assert 1 == len(world.desk.outbox())


def test_a_lost_answer_to_a_commit_queues_nothing_twice(shaky):
    """The commit happened, unknown to us: the same key finds it."""
    conversation = shaky.open("m1")
    shaky.store.fail("commit", StoreUnavailable("the answer is lost"), after=True)
    with pytest.raises(StoreUnavailable):
        shaky.desk.reply(conversation, "Hello.", key="k1")
    shaky.desk.reply(conversation, "Hello.", key="k1")
    assert 1 == len(shaky.desk.outbox())


def test_a_conflict_is_decided_anew(shaky):
    """Somebody wrote in between: the reply is decided on what is there now."""
    conversation = shaky.open("m1")

    def meanwhile(changes):
        shaky.take(shaky.said("m2", minutes=1, thread="m1"))
        raise Conflict("somebody was first")

    shaky.store.fail("commit", meanwhile)
    shaky.desk.reply(conversation, "Hello.")
    (row,) = shaky.desk.outbox()
    assert ("post", "m2") == row.posting.outgoing.reply_to
