"""Prove what erasure takes and what it leaves, value by value."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.events import Announced, Event, Failed, Held, Linked, Received, Told
from supportflow.machine import RULES, blank, decide, evolve, replay
from supportflow.model import (
    NATIVE,
    Agent,
    Author,
    Card,
    CustomerRef,
    Declined,
    Edit,
    Inbound,
    Message,
    Outbound,
    PartTold,
    Reading,
    Receipt,
    Removal,
    Reply,
    Visibility,
    conversation_id,
)
from supportflow.stores import Row, RowState
from supportflow.stores.erasure import FINAL, erasure, message_hash
from supportflow.testing.store_samples import CHANNEL, START, at, opened, posting, said
from supportflow.testing.strategies import events

OLA = CustomerRef(CHANNEL, "ola@example.social")
SECRET = b"secret"
PSEUDONYM = "erased-1"


def plan(*conversations, messages=(), customer=OLA):
    """Prepare an erasure with a known pseudonym."""
    return erasure(customer, PSEUDONYM, conversations, messages, SECRET)


def hashed(name, kind="status"):
    """Return what a message of the tests is called after erasure."""
    return message_hash((CHANNEL, kind, name), SECRET)


def test_a_hash_belongs_to_key_and_secret():
    """Neither another key nor another secret gives the same hash, and it tells nothing."""
    keys = [("m", "status", "1"), ("m", "status", "2"), ("m", "direct", "1"), ("ms", "tatus", "1")]
    hashes = {message_hash(key, secret) for key in keys for secret in (b"a", b"b")}
    assert 8 == len(hashes)
    assert all(text.startswith("erased-") for text in hashes)


def test_ids_of_conversations_are_replaced():
    """Customer and number stand for themselves; the thread stays unless it holds the customer."""
    public, private = opened(OLA.id).after, opened(OLA.id, f"dm:{OLA.id}", number=3).after
    done = plan(public, private)
    assert conversation_id(CHANNEL, "109", PSEUDONYM) == done.text(public.id)
    new = done.value(private)
    assert conversation_id(CHANNEL, new.thread, PSEUDONYM, 3) == new.id == done.text(private.id)
    assert OLA.id not in new.thread


@pytest.mark.parametrize(
    ("before", "replaced"),
    [
        ("breach:first_response:{}0:2026", True),
        ("{}12", True),
        ("['{}0']", True),
        ("x{}0", False),
        ("other%2F{}0", False),
    ],
)
def test_ids_are_found_inside_keys(before, replaced):
    """An id is replaced where it stands whole, and left where it is the end of a longer one."""
    ola = opened(OLA.id).after
    head = ola.id[:-1]
    new = conversation_id(CHANNEL, "109", PSEUDONYM)[:-1]
    assert before.format(new if replaced else head) == plan(ola).text(before.format(head))


def test_without_conversations_nothing_is_replaced():
    """A customer who never wrote leaves every text as it is."""
    assert "breach:a/b/c#0" == plan().text("breach:a/b/c#0")


def test_a_message_loses_words_and_names():
    """Of a message stay its time, place, direction and language."""
    ola = opened(OLA.id).after
    stored = said(
        "1",
        ola,
        parent="0",
        language="no",
        tags=("vip",),
        raw="{}",
        permalink="https://example.com/1",
    )
    done = plan(ola, messages=[(CHANNEL, "status", "1"), (CHANNEL, "status", "0")])
    expected = Message(
        CHANNEL,
        "status",
        hashed("1"),
        Author(PSEUDONYM),
        "",
        START,
        "109",
        hashed("0"),
        language="no",
        tags=("vip",),
    )
    new = done.stored(stored)
    assert expected == new.message
    assert (stored.direction, done.text(ola.id)) == (new.direction, new.conversation)


def test_our_own_author_stays():
    """An answer loses its words, and not who wrote it."""
    ola = opened(OLA.id).after
    ours = said("2", ola, author=Author("mia", "Mia"), skeleton="words")
    new = plan(ola, messages=[ours.message.key]).stored(ours)
    assert (Author("mia", "Mia"), "", None) == (new.message.author, new.message.text, new.skeleton)


def test_a_neighbour_is_touched_only_where_it_tells():
    """Another customer's message changes if it answers an erased one or its raw form names them."""
    ola, kari = opened(OLA.id).after, opened("kari").after
    done = plan(ola, messages=[(CHANNEL, "status", "1")])
    same = said("2", kari, text=f"Hello {OLA.id}", raw='{"from": "kari"}')
    assert same is done.beside(same)
    answer = said("2", kari, parent="1")
    assert hashed("1") == done.beside(answer).message.parent
    told = said("2", kari, raw=f'{{"to": "{OLA.id}"}}')
    assert attrs.evolve(told, message=attrs.evolve(told.message, raw=None)) == done.beside(told)


@pytest.mark.parametrize(
    ("raw", "found"),
    [(b'{"id":"4711"}', True), (b"4711", True), (b"14711", False), (b"4711a", False), (b"", False)],
)
def test_items_about_the_customer_are_known(raw, found):
    """An id is found where it stands whole."""
    assert found is plan(customer=CustomerRef(CHANNEL, "4711")).mentioned(raw)


@pytest.mark.parametrize("state", RowState)
def test_a_row_is_blank_and_never_leaves(state):
    """Words, names, cards and buttons go; what is not final is cancelled."""
    ola = opened(OLA.id).after
    outgoing = attrs.evolve(
        posting("a", ola).outgoing,
        card=Card(f"For {OLA.id}", "https://example.com"),
        quick_replies=("Yes, Ola",),
        reply_to=("status", "1"),
    )
    row = Row(
        attrs.evolve(posting("a", ola, hold="Ola is angry"), outgoing=outgoing),
        7,
        state,
        remote_id="2",
        lease_until=START if state is RowState.claimed else None,
        last_error="Ola blocked us",
    )
    done = plan(ola, messages=[(CHANNEL, "status", "1"), (CHANNEL, "status", "2")])
    new = done.row(row)
    assert OLA.id not in repr(new)
    assert "Ola" not in repr(new)
    out = new.posting.outgoing
    assert ("", ("status", hashed("1")), None, ()) == (
        out.text,
        out.reply_to,
        out.card,
        out.quick_replies,
    )
    assert (state if state in FINAL else RowState.cancelled) is new.state
    assert (hashed("2"), None, None, "erased") == (
        new.remote_id,
        new.lease_until,
        new.posting.hold,
        new.last_error,
    )
    assert (7, row.id, out.mark) == (new.seq, new.id, outgoing.mark)
    assert done.text(ola.id) == new.posting.stream == new.posting.conversation


def test_a_row_of_another_stream_stays_in_it():
    """A broadcast keeps its place; a row without a conversation keeps having none."""
    new = plan(opened(OLA.id).after).row(Row(posting("a", stream="incident"), 1))
    assert ("incident", None) == (new.posting.stream, new.posting.conversation)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Held(START, "r", "Ola is angry"), Held(START, "r", "erased")),
        (Failed(START, "r", 0, ""), Failed(START, "r", 0, "")),
        (
            Announced(START, "deleted:status:1", "message_deleted", None, "Ola deleted it"),
            Announced(START, f"deleted:status:{hashed('1')}", "message_deleted", None, "erased"),
        ),
        (
            Told(START, "status:1", 0, 1, NATIVE, (), None, Declined("Ola wants too much")),
            Told(START, f"status:{hashed('1')}", 0, 1, NATIVE, (), None, Declined("erased")),
        ),
        (
            Received(START, "status", "1", Visibility.public, Reading(reasons=("late",)), "p"),
            Received(START, "status", hashed("1"), Visibility.public, Reading(), "p"),
        ),
        (Linked(START, "a/b/c#0"), Linked(START, "a/b/c#0")),
    ],
)
def test_events_keep_facts_and_lose_words(event, expected):
    """Ids of messages become hashes wherever an event names them; reasons become a blank."""
    assert expected == plan(opened(OLA.id).after, messages=[(CHANNEL, "status", "1")]).value(event)


@given(events)
def test_every_event_survives(event):
    """Whatever happened, its erased form is of the same kind, at the same time."""
    ola = opened(OLA.id).after
    new = plan(ola, messages=[(CHANNEL, "status", "1")]).value(event)
    assert (type(event), event.at) == (type(new), new.at)
    assert event == plan().reference(event)


def history():
    """Return a conversation's events: asked, edited, answered here and there, removed."""
    mia = Agent("mia")
    c = blank(CHANNEL, "109", OLA.id, START)
    first = Message(CHANNEL, "status", "1", Author(OLA.id, "Ola"), "Late!", at(0), "109")
    native = Message(CHANNEL, "status", "2", Author("us"), "Sorry", at(3), "109", "1")
    reply = Reply("r1", mia, parts=2, steps=("acknowledge",))
    asked = [
        (Inbound(first), at(0), Reading("complaint", "angry", reasons=("Late",))),
        (Edit(CHANNEL, "status", "1", "r1", "Late!!", at(1)), at(1), Reading()),
        (reply, at(2), Reading()),
        (PartTold("r1", 0, Receipt("901", at(2))), at(2), Reading()),
        (PartTold("r1", 1, Receipt("902", at(3))), at(3), Reading()),
        (Outbound(native, OLA.id), at(3), Reading(steps=("apologize",))),
        (Inbound(attrs.evolve(first, id="3", at=at(5))), at(5), Reading("complaint")),
        (Removal(CHANNEL, "status", "3", at(6)), at(6), Reading()),
        (Reply("r2", mia, steps=("resolve",), outcome=Declined("Ola is late")), at(7), Reading()),
    ]
    log: list[Event] = []
    for what, now, reading in asked:
        for event in decide(c, what, now, reading, RULES, first):
            c = evolve(c, event)
            log.append(event)
    return c, log


def test_an_erased_log_folds_to_the_erased_snapshot():
    """Ids are replaced alike in both, so that the log stays the truth after an erasure too."""
    conversation, log = history()
    assert conversation == replay(log)
    keys = [(CHANNEL, "status", name) for name in ("1", "2", "3", "901", "902")]
    done = plan(conversation, messages=keys)
    assert len(log) > 8
    assert replay([done.value(event) for event in log]) == done.value(conversation)
    assert "Late" not in repr(done.value(conversation))


@given(st.text(), st.text())
def test_erasure_takes_any_id(customer, thread):
    """Whatever characters an id is made of, nothing of it stays in the conversation's id."""
    ola = opened(customer, thread).after
    new = plan(ola, customer=CustomerRef(CHANNEL, customer)).value(ola)
    assert PSEUDONYM == new.customer
    assert conversation_id(CHANNEL, new.thread, PSEUDONYM) == new.id
