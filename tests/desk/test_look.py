"""Prove that what is there can be found, replayed, exported and erased."""

import json

import attrs
import pytest

from supportflow import CustomerRef, InvalidValue, NotFound, PayloadError, Taken, Unsupported
from supportflow.channels import Delivery, Unreadable
from supportflow.events import Opened, Reacted, Received
from supportflow.model import Author, Reaction, State

OLA = CustomerRef("net", "ola")


def test_the_inbox_shows_who_waits_longest_first(world):
    """Those who wait, in the order in which they began to; a queued answer ends the wait."""
    for minutes, name in ((3, "cid"), (1, "ben"), (2, "ola")):
        world.open(f"m{name}", by=name, minutes=minutes)
    assert ["ben", "ola", "cid"] == [c.customer for c in world.desk.inbox(unanswered=True)]
    world.desk.reply("net/mben/ben#0", "Hello.")
    assert ["ola", "cid"] == [c.customer for c in world.desk.inbox(unanswered=True)]
    assert ["ben"] == [c.customer for c in world.desk.inbox(unanswered=False)]


def test_the_inbox_can_be_narrowed(world):
    """By state, channel, customer, agent and label."""
    first, _ = world.open("m1"), world.open("m2", by="ben")
    world.desk.assign(first, "anna")
    world.desk.tag(first, "vip")
    for narrow in (
        {"customer": OLA},
        {"assigned": "anna"},
        {"tag": "vip"},
        {"state": "received", "channel": "net", "tag": "vip"},
    ):
        assert [first] == [c.id for c in world.desk.inbox(**narrow)]
    assert () == world.desk.inbox(state=State.resolved) == world.desk.inbox(channel="fax")


def test_pages_follow_each_other(world):
    """Every listing says where its next page begins, and None at the end."""
    conversation = world.open("m1")
    world.take(world.said("m2", minutes=1, thread="m1"), world.said("x1", by="ben"))
    world.desk.reply(conversation, ["One.", "Two."])
    world.take(None, 5)
    for listing in (
        world.desk.inbox,
        lambda **page: world.desk.messages(conversation, **page),
        world.desk.outbox,
        world.desk.quarantine,
    ):
        whole, paged, after = listing(), [], None
        while not paged or after is not None:
            page = listing(limit=1, after=after)
            paged += page
            after = page.after
        assert (list(whole), None) == (paged, whole.after)
        assert 1 < len(whole)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda desk: desk.inbox(state="angry"),
        lambda desk: desk.inbox(limit=0),
        lambda desk: desk.inbox(after="nonsense"),
        lambda desk: desk.outbox(states=["lost"]),
        lambda desk: desk.inbox(unanswered="yes"),
        lambda desk: desk.inbox(channel=5),
        lambda desk: desk.outbox(states="sent"),
        lambda desk: desk.outbox(states=5),
        lambda desk: desk.outbox(states=[5]),
        lambda desk: desk.outbox(channel=["net"]),
        lambda desk: desk.outbox(conversation=5),
        lambda desk: desk.outbox(held="yes"),
        lambda desk: desk.outbox(held=1),
        lambda desk: desk.outbox(limit=0),
        lambda desk: desk.outbox(limit="all"),
        lambda desk: desk.outbox(limit=True),
        lambda desk: desk.outbox(limit=1.5),
        lambda desk: desk.outbox(after=5),
        lambda desk: desk.outbox(after="nonsense"),
        lambda desk: desk.quarantine(limit=None),
        lambda desk: desk.messages("net/m1/ola#0", limit=-1),
        lambda desk: desk.history("net/m1/ola#0", limit=0),
        lambda desk: desk.announce(limit=0),
        lambda desk: desk.history(5),
        lambda desk: desk.messages(None),
        lambda desk: desk.get(5),
        lambda desk: desk.erase("ola"),
        lambda desk: desk.export("ola"),
    ],
)
def test_what_makes_no_sense_is_refused(world, wrong):
    """Each argument is checked, and the error says what would be accepted."""
    with pytest.raises(InvalidValue):
        wrong(world.desk)


def test_a_conversation_and_its_history(world):
    """As it is now, and everything that happened, oldest first, page by page."""
    conversation = world.desk.get(world.open("m1"))
    first, second = world.desk.history(conversation)
    assert (Opened, Received) == (type(first.event), type(second.event))
    assert (second,) == world.desk.history(conversation.id, after=first.position)
    assert (first,) == world.desk.history(conversation, limit=1)
    with pytest.raises(NotFound, match="no conversation 'net/x/y#0'"):
        world.desk.get("net/x/y#0")


def test_the_outbox_can_be_narrowed(world):
    """By state, channel, conversation, and whether a person is waited for."""
    first, second = world.open("m1"), world.open("m2", by="ben")
    world.desk.reply(first, "Hello.")
    world.desk.reply(second, "Hello.")
    world.desk.deliver(limit=1)
    assert [first] == [r.posting.conversation for r in world.desk.outbox(states=["sent"])]
    for given in (second, world.desk.get(second)):
        rows = world.desk.outbox(conversation=given)
        assert [second] == [row.posting.conversation for row in rows]
    assert (2, 0, 0) == (
        len(world.desk.outbox(channel="net", held=False)),
        len(world.desk.outbox(held=True)),
        len(world.desk.outbox(channel="fax")),
    )


# -- quarantine


class Nothing:
    """Be what a channel must not be asked to read: a description of our own."""

    def reread(self, raw):
        raise AssertionError("this is the desk's own")


def test_a_fact_that_never_was_raw_is_replayed_by_the_desk(build):
    """A channel keeps no raw form of what it read: the desk replays the fact as it was."""

    @attrs.frozen
    class Strict(build.Net, Nothing):
        pass

    world = build([Strict()])
    early = Reaction("net", "post", "m1", Author("ola"), "+1", world.at(1))
    assert 1 == world.take(early).quarantined
    (item,) = world.desk.quarantine()
    assert 1 == world.desk.replay(item.id).quarantined
    conversation = world.open("m1")
    assert Taken(recorded=1, conversations=(conversation,)) == world.desk.replay(item.id)
    assert ["+1"] == [event.emoji for event in world.events(conversation, Reacted)]


@pytest.fixture
def rereading(build):
    """Return a world whose channel can read single items again, once it was mended."""

    @attrs.frozen
    class Mended(build.Net):
        def reread(self, raw):
            if raw == b"broken":
                raise PayloadError("still no JSON")
            if raw == b"odd":
                return Delivery((), (Unreadable(raw, "still odd"),))
            return Delivery((world.said(json.loads(raw)["id"]),))

    world = build([Mended()])
    return world


def test_what_can_be_read_now_is_recorded(rereading):
    """An item that the channel understands by now is taken in; the others stay."""
    world = rereading
    raws = (b'{"id": "m1"}', b"broken", b"odd")
    world.take(unreadable=[Unreadable(raw, "no") for raw in raws])
    items = {item.raw: item.id for item in world.desk.quarantine(channel="net")}
    taken = world.desk.replay(*items.values())
    assert (1, 2) == (taken.recorded, taken.quarantined)
    assert {b"broken", b"odd"} == {item.raw for item in world.desk.quarantine()}
    assert Taken() == world.desk.replay(items[raws[0]])


def test_replaying_needs_items_and_a_channel_that_reads_them(world):
    """Unknown items and channels are named; a channel without `reread` is an error, not a loss."""
    assert Taken() == world.desk.replay()
    with pytest.raises(NotFound, match="no item 'nothing' in quarantine"):
        world.desk.replay("nothing")
    world.take(unreadable=[Unreadable(b"x", "no")])
    (item,) = world.desk.quarantine()
    with pytest.raises(Unsupported, match="net cannot read a single item again"):
        world.desk.replay(item.id)
    with pytest.raises(NotFound, match="no channel 'net'"):
        world.again([]).replay(item.id)
    assert (item,) == world.desk.quarantine()


# -- a customer's rights


def test_everything_of_a_customer_is_exported(world):
    """Conversations, messages both ways with notes, and every event; of nobody else."""
    conversation = world.open("m1")
    world.open("x1", by="ben")
    world.desk.note(conversation, "Called her.")
    world.desk.reply(conversation, "Hello.")
    found = world.desk.export(OLA)
    assert (OLA, [conversation]) == (found.customer, [c.id for c in found.conversations])
    assert {"You charged me twice!", "Called her.", "Hello."} == {
        s.message.text for s in found.messages
    }
    assert list(world.desk.history(conversation)) == list(found.events)


def test_a_long_history_is_exported_whole(world, monkeypatch):
    """Page by page, however much there is."""
    monkeypatch.setattr("supportflow.desk.core._PAGE", 10)
    facts = [world.said(f"m{n}", minutes=n, thread="t") for n in range(120)]
    world.take(*facts)
    world.take(*(world.said(f"x{n}", thread=f"x{n}") for n in range(120)))
    found = world.desk.export(OLA)
    assert (121, 240) == (len(found.conversations), len(found.messages))
    assert 361 == len(found.events)


def test_an_erased_customer_leaves_no_words(world):
    """Texts and ids are gone; what happened stays, under other names."""
    conversation = world.open("m1", text="my secret")
    world.desk.erase(OLA)
    assert ((), ()) == (world.desk.export(OLA).conversations, world.desk.export(OLA).messages)
    (left,) = world.desk.inbox()
    assert left.id != conversation
    assert 2 == len(world.desk.history(left))
    assert [""] == [s.message.text for s in world.desk.messages(left)]


@pytest.mark.parametrize("look", ["history", "messages"])
def test_what_is_not_there_is_said(world, look):
    """An id with a slip in it is no conversation without a history; at the end of one there is
    nothing more.
    """
    with pytest.raises(NotFound, match="net/m1/ola#7"):
        getattr(world.desk, look)("net/m1/ola#7")
    conversation = world.open("m1")
    last = world.desk.history(conversation)[-1].position
    assert () == world.desk.history(conversation, after=last)
