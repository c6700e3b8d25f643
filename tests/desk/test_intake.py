"""Prove that facts are recorded exactly once, and that a bad one harms no other."""

import logging

import attrs
import pytest

from supportflow import InvalidValue, Reading, Taken, Unread
from supportflow.channels import Unreadable
from supportflow.errors import Conflict, FlowError, StoreUnavailable
from supportflow.events import Opened, Received
from supportflow.machine import Rules
from supportflow.model import Attachment, Author, Inbound, Reaction, StatusReport
from supportflow.playbook import playbook_for
from supportflow.stores import ChannelChange, Wanted


def test_a_message_opens_a_conversation(world):
    """What a customer writes is recorded with the event that it opened, and counted."""
    taken = world.take(world.said("m1"))
    assert (1, 0, 0) == (taken.recorded, taken.duplicates, taken.quarantined)
    (conversation,) = world.desk.inbox(unanswered=True)
    assert taken.conversations == (conversation.id,)
    assert [Opened, Received] == [type(event) for event in world.events(conversation.id)]


def test_a_message_is_recorded_once(world):
    """The same message changes nothing: in one page, in the next, in another form."""
    first = world.take(world.said("m1"), world.said("m1"))
    other = world.said("m1", raw='{"delivered": "by webhook"}', permalink="https://net.example/1")
    again = world.take(other, world.said("m1", backfill=True))
    assert (1, 1) == (first.recorded, first.duplicates)
    assert (0, 2, ()) == (again.recorded, again.duplicates, again.conversations)
    assert 1 == len(world.desk.messages(first.conversations[0]))


def test_pages_add_up():
    """What became of two pages is the sum, each conversation once, and more if either has more."""
    one = Taken(1, 2, 3, ("a", "b"), True, (("net", "down"),))
    assert Taken(2, 4, 6, ("a", "b", "c"), True, (("net", "down"),)) == (
        one + Taken(1, 2, 3, ("b", "c"))
    )


def test_a_channel_needs_a_name(world):
    """An empty or missing name is refused before anything is done."""
    for name in ("", None, 5):
        with pytest.raises(InvalidValue, match="channel is"):
            world.desk.intake(name, [])


class Hostile:
    """Something that is no fact and says nothing about itself."""

    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (lambda w: None, "NoneType is not a fact"),
        (lambda w: {"text": "hi"}, "dict is not a fact"),
        (lambda w: Hostile(), "Hostile is not a fact"),
        (lambda w: w.said("m9", channel="other"), "it names channel 'other', not 'net'"),
        (lambda w: attrs.evolve(w.removal("m9"), channel="other"), "it names channel 'other'"),
        (lambda w: w.said("m9", by=""), "the author of message 'm9' has no id"),
        (lambda w: Inbound(None), "'NoneType' object has no attribute"),
        (lambda w: w.said("m9", raw=5), "expected str instance, int found"),
        (lambda w: w.said("m9", tags=None), "NoneType"),
        (lambda w: w.said("m9", visibility="public"), "cannot be stored"),
        (lambda w: Reaction("net", "post", "m1", "ola", "+1", w.at(0)), "'str' object has no"),
    ],
)
def test_a_bad_fact_harms_no_other(world, caplog, bad, why):
    """Whatever it is, it is quarantined and named, and its neighbours are recorded."""
    with caplog.at_level(logging.WARNING, "supportflow"):
        taken = world.take(world.said("m1"), bad(world), world.said("m2", minutes=1))
    assert (2, 1) == (taken.recorded, taken.quarantined)
    (item,) = world.desk.quarantine()
    assert why in item.why
    assert f"quarantined channel=net item={item.id}" in caplog.text
    assert 1 == world.take(bad(world)).quarantined
    assert 1 == len(world.desk.quarantine())


def test_hostile_text_is_normalised(world):
    """NUL and lone surrogates, which no store can hold, are replaced in every text of a fact."""
    bad, good = "a\x00b\ud800", "a\ufffdb\ufffd"
    author = Author(bad, bad, bad)
    told = {"tags": (bad,), "raw": bad, "permalink": bad, "language": bad}
    message = world.message(
        bad, bad, thread=bad, attachments=(Attachment("image", bad, bad),), **told
    )
    taken = world.take(
        Inbound(attrs.evolve(message, author=author)),
        world.ours("o1", to=bad, thread=bad, mark=bad),
        Reaction("net", "post", bad, author, bad, world.at(1)),
        world.edit(bad, bad, bad, 2),
        world.removal(bad, 3),
        StatusReport("net", bad, "failed", world.at(4), bad, bad),
    )
    assert (5, 1) == (taken.recorded, taken.quarantined)  # we sent nothing to report on
    (conversation,) = world.desk.inbox()
    assert (good, good) == (conversation.thread, conversation.customer)
    assert {good, "We see it."} == {s.message.text for s in world.desk.messages(conversation)}


class Questions:
    """Read every message as a question, but for one that it cannot read."""

    inline = True

    def read(self, message):
        return Unread if message.id == "m2" else Reading("question")


def broken(reading):
    if reading == Unread:
        raise KeyError("nobody thought of this")
    return playbook_for(reading)


def test_a_fact_that_cannot_be_decided_can_be_replayed(build):
    """A user's broken rule quarantines one message; once it is mended, replaying records it."""
    world = build(rules=Rules(playbook_for=broken), classifier=Questions())
    taken = world.take(*(world.said(f"m{n}", minutes=n) for n in range(4)))
    assert (3, 1) == (taken.recorded, taken.quarantined)
    (item,) = world.desk.quarantine()
    assert "KeyError: 'nobody thought of this'" == item.why
    assert 1 == world.desk.replay(item.id).quarantined
    assert (item,) == world.desk.quarantine()
    mended = world.again(rules=Rules())
    assert 1 == mended.replay(item.id).recorded
    assert () == mended.quarantine()
    assert 0 == mended.replay(item.id).recorded


def test_unreadable_items_are_kept_with_the_page(world):
    """What the channel could not read is quarantined raw, in the same commit as its neighbours."""
    taken = world.take(world.said("m1"), unreadable=[Unreadable(b"\xff{", "not UTF-8")])
    assert (1, 1) == (taken.recorded, taken.quarantined)
    (item,) = world.desk.quarantine()
    assert (b"\xff{", "not UTF-8") == (item.raw, item.why)


def test_a_replayed_item_stays_if_it_fails_again(world):
    """An item whose facts go back to quarantine is not counted as read."""
    world.take(Reaction("net", "post", "m9", Author("ola"), "+1", world.at(0)))
    (item,) = world.desk.quarantine()
    assert 1 == world.desk.replay(item.id).quarantined
    assert (item,) == world.desk.quarantine()
    world.open("m9")
    assert 1 == world.desk.replay(item.id).recorded
    assert () == world.desk.quarantine()


def test_the_cursor_goes_with_its_page(shaky):
    """A page that could not be committed moves no cursor; the one that was moves it."""
    moved = ChannelChange("net", cursor="7")
    shaky.store.fail("commit", StoreUnavailable("the disk is full"))
    with pytest.raises(StoreUnavailable, match="disk is full"):
        shaky.take(shaky.said("m1"), state=moved)
    assert {} == shaky.store.load(Wanted(channels=("net",))).channels
    shaky.take(shaky.said("m1"), state=moved)
    assert "7" == shaky.store.load(Wanted(channels=("net",))).channels["net"].cursor


def test_a_lost_answer_to_a_commit_records_nothing_twice(shaky):
    """A page whose commit happened, unknown to us, is known when it comes again."""
    shaky.store.fail("commit", StoreUnavailable("the answer is lost"), after=True)
    with pytest.raises(StoreUnavailable):
        shaky.take(shaky.said("m1"))
    again = shaky.take(shaky.said("m1"))
    assert (0, 1) == (again.recorded, again.duplicates)


def test_conflicts_are_decided_anew(shaky):
    """When somebody else was first, the page is read and decided again."""
    shaky.store.fail("commit", *[Conflict("somebody was first")] * 4)
    assert 1 == shaky.take(shaky.said("m1")).recorded


def test_a_page_in_conflict_is_halved_and_the_cursor_comes_last(shaky):
    """After five conflicts halves are committed on their own; the cursor with the last one."""
    shaky.store.fail("commit", *[Conflict("somebody was first")] * 5)
    facts = [shaky.said(f"m{n}", minutes=n, thread=f"t{n}") for n in range(3)]
    moved = ChannelChange("net", cursor="7")
    taken = shaky.take(*facts, state=moved, unreadable=[Unreadable(b"x", "no")])
    assert (3, 1, 3) == (taken.recorded, taken.quarantined, len(taken.conversations))
    assert [(1, 1, ()), (2, 0, (moved,))] == [
        (len(c.conversations), len(c.quarantine), c.channels) for c in shaky.store.commits
    ]


def test_a_conflict_that_stays_is_the_callers(shaky):
    """A single fact that conflicts again and again is not given up silently."""
    shaky.store.fail("commit", *[Conflict("somebody was first")] * 5)
    with pytest.raises(Conflict):
        shaky.take(shaky.said("m1"))
    shaky.store.fail("commit", *[Conflict("somebody was first")] * 5)
    with pytest.raises(Conflict):
        shaky.take(state=ChannelChange("net", cursor="7"))


def test_a_state_that_cannot_be_stored_is_the_callers(world):
    """Where no fact is to blame, nothing is quarantined."""
    with pytest.raises(InvalidValue, match="cannot be stored"):
        world.take(state=ChannelChange("net", learned={"a": object()}))
    with pytest.raises(InvalidValue, match="cannot be stored"):
        world.take(world.said("m1"), state=ChannelChange("net", learned={"a": object()}))


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), FlowError("wrong desk")])
def test_a_store_that_fails_while_deciding_quarantines_nothing(shaky, error):
    """Only a fact's own fault puts it into quarantine, never the store's."""
    shaky.open("m1")
    shaky.store.fail("load", lambda wanted: None, error)  # the page's load goes well
    with pytest.raises(type(error)):
        shaky.take(shaky.removal("m1"))
    assert () == shaky.desk.quarantine()
    assert 1 == shaky.take(shaky.removal("m1")).recorded


def test_an_empty_page_changes_nothing(world):
    """Nothing in, nothing out."""
    assert Taken() == world.take()
    assert () == world.desk.inbox()


def test_what_is_no_list_of_facts_is_named(world):
    """One fact alone is a slip that is easily made."""
    with pytest.raises(InvalidValue, match="facts are 5; pass a list of facts"):
        world.desk.intake("net", 5)
