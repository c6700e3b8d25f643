"""Contract of stores: an erased customer leaves no word, no name, and no way back."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from typing import Any

import attrs
import pytest

from supportflow.errors import Conflict
from supportflow.events import Announced, Held, Linked, Received
from supportflow.model import (
    Attachment,
    Author,
    Conversation,
    CustomerRef,
    Declined,
    Mark,
    Marked,
    Reading,
    Visibility,
)
from supportflow.stores import (
    Conversations,
    Direction,
    Messages,
    Outbox,
    Quarantine,
    RowState,
    Store,
    Stored,
    Wanted,
)
from supportflow.testing.store_outbox import claim, settle
from supportflow.testing.store_samples import (
    CHANNEL,
    START,
    at,
    batch,
    continued,
    opened,
    posting,
    quarantined,
    said,
    sent,
)

__all__ = ["ErasureContract", "everything"]

#: Every one of these leads back to the customer, and must not be found anywhere.
ID, NAME, HANDLE = "c-4711@example.social", "Olaug Nordmann", "olaug_n"
THREAD, OTHER_THREAD = f"dm-{ID}", "post-8864220"
WORDS = ("My parcel never came, I am Olaug", "Dear Olaug, we are sorry", "never came")
MESSAGES = ("msg-551100", "msg-551101", "msg-551102")
URL = "https://example.social/files/77aa"
SECRETS = (ID, NAME, HANDLE, *WORDS, *MESSAGES, URL, "c-4711", "Olaug")
CUSTOMER = CustomerRef(CHANNEL, ID)


def everything(store: Store) -> str:
    """Return all that can be read of a store, as one text.

    Args:
        store: Any store.
    """
    found: list[attrs.AttrsInstance] = [
        *store.find(Conversations(limit=999)).conversations,
        *store.find(Messages(limit=999)).messages,
        *store.find(Outbox(limit=999)).rows,
        *store.find(Quarantine(limit=999, replayed=True)).quarantined,
        *store.log(),
    ]
    raws = [attrs.asdict(value) for value in found]
    ids = tuple(c.id for c in store.find(Conversations(limit=999)).conversations)
    return repr((raws, store.load(Wanted(conversations=ids))))


def _theirs(thread: str, number: int = 0) -> tuple[Conversation, dict[str, Any]]:
    """Return a conversation of the customer that names them everywhere, and its commit."""
    reading = Reading("complaint", reasons=("never came",), by="rules")
    name = MESSAGES[number]
    first = opened(
        ID,
        thread,
        number=number,
        waiting_since=START,
        next_due_at=START,
        reading=reading,
        last_key=("status", name),
        last_at=START,
        marks=(Mark(START, Marked.asked, f"status:{name}"),),
        outcome=Declined("Olaug asked for too much"),
        announced=(f"breach:{opened(ID, thread, number=number).after.id}",),
    )
    received = Received(START, "status", name, Visibility.public, reading, "complaint")
    held = Held(START, "reply-1", "Olaug wrote again")
    announced = Announced(START, f"breach:{first.after.id}", "breach", None, f"for {NAME}")
    second = continued(first.after, received, held, announced, next_due_at=START)
    messages = (
        said(
            name,
            first.after,
            text=WORDS[0],
            author=Author(ID, NAME, HANDLE),
            attachments=(Attachment("image", URL, NAME),),
            permalink=f"{URL}/{ID}",
            raw=f'{{"text": "{WORDS[0]}", "account": "{ID}"}}',
        ),
        said(name, first.after, text=f"{WORDS[0]}!", revision="r1", author=Author(ID, NAME)),
        said(
            f"ours-{number}",
            first.after,
            text=WORDS[1],
            direction=Direction.outbound,
            skeleton="Dear Olaug, we are sorry",
            parent=name,
        ),
    )
    return second.after, {
        "conversations": (first,),
        "messages": messages,
        "once": {f"breach:{first.after.id}": first.after.id},
        "second": second,
    }


def _written(store: Store) -> list[Conversation]:
    """Write three conversations of the customer in two threads."""
    conversations = []
    for thread, number in ((THREAD, 0), (OTHER_THREAD, 1), (OTHER_THREAD, 2)):
        conversation, parts = _theirs(thread, number)
        second = parts.pop("second")
        first = parts.pop("conversations")
        store.commit(batch(*first, **parts))
        store.commit(batch(second))
        conversations.append(conversation)
    return conversations


class ErasureContract:
    """Prove what holds after a customer was erased."""

    def test_nothing_leads_back(self, store: Store) -> None:
        """No word, name, id or link of the customer is in anything that can be read."""
        first, *_ = _written(store)
        store.commit(
            batch(
                postings=(posting("a", first, text=WORDS[1]), posting("b", first, text=WORDS[1])),
                quarantine=(quarantined("q", raw=f'{{"from": "{ID}"}}'.encode()),),
            )
        )
        assert all(secret in everything(store) for secret in SECRETS)
        store.erase(CUSTOMER)
        left = everything(store)
        assert [secret for secret in SECRETS if secret in left] == []

    def test_the_history_keeps_its_shape(self, store: Store) -> None:
        """What happened stays countable: versions, times, directions and outcomes, without words."""
        before = _written(store)
        log = store.log()
        store.erase(CUSTOMER)
        after = store.find(Conversations()).conversations
        assert [c.version for c in before] == [c.version for c in after]
        assert [c.opened_at for c in before] == [c.opened_at for c in after]
        assert len({c.customer for c in after}) == 1
        assert [(r.position, r.version, r.at, type(r.event)) for r in log] == [
            (r.position, r.version, r.at, type(r.event)) for r in store.log()
        ]
        messages = store.find(Messages()).messages
        assert len(messages) == 9
        assert {""} == {stored.message.text for stored in messages}
        for c in after:
            own = store.log(conversation=c.id)
            assert [*range(1, c.version + 1)] == [recorded.version for recorded in own]
            assert len(store.find(Messages(conversation=c.id)).messages) == 3

    def test_ids_are_replaced_alike(self, store: Store) -> None:
        """A message has the same new name in its row, in events, in marks and as the last one."""
        _written(store)
        store.erase(CUSTOMER)
        for c in store.find(Conversations()).conversations:
            assert c.last_key is not None
            received = next(
                recorded.event
                for recorded in store.log(conversation=c.id)
                if isinstance(recorded.event, Received)
            )
            assert c.last_key == (received.kind, received.id)
            messages = store.find(Messages(conversation=c.id)).messages
            assert [c.last_key] * 2 == [
                s.message.key[1:] for s in messages if s.direction is Direction.inbound
            ]
            assert [c.last_key[1]] == [s.message.parent for s in messages if s.message.parent]
            assert f"status:{c.last_key[1]}" == c.marks[0].key
            assert (f"breach:{c.id}",) == c.announced
            assert f"breach:{c.id}" in store.load(Wanted(once=c.announced)).once

    def test_a_redelivery_is_refused(self, store: Store) -> None:
        """An erased message is known by nothing but a hash, and never comes back, nor its edits."""
        _written(store)
        store.erase(CUSTOMER)
        key = (CHANNEL, "status", MESSAGES[0])
        new = (CHANNEL, "status", "msg-9")
        loaded = store.load(Wanted(messages=(key, new)))
        assert ({}, {}, frozenset({key})) == (loaded.messages, loaded.revisions, loaded.erased)
        back = opened(ID, THREAD)
        again = said(MESSAGES[0], back.after, text=WORDS[0])
        for stored in (again, attrs.evolve(again, revision="r9")):
            with pytest.raises(Conflict):
                store.commit(batch(back, messages=(stored,)))
        assert WORDS[0] not in everything(store)

    def test_the_customer_may_come_back(self, store: Store) -> None:
        """Whoever writes again after their erasure begins anew, and can be erased again."""
        _written(store)
        store.erase(CUSTOMER)
        head = (CHANNEL, THREAD, ID)
        assert store.load(Wanted(heads=(head,))).heads == {}
        back = opened(ID, THREAD)
        store.commit(batch(back, messages=(said("msg-9", back.after, text=WORDS[0]),)))
        assert {head: back.after} == store.load(Wanted(heads=(head,))).heads
        store.erase(CUSTOMER)
        assert ID not in everything(store)
        assert len(store.find(Conversations()).conversations) == 4

    def test_nobody_waits_any_more(self, store: Store) -> None:
        """An erased conversation is neither unanswered nor due: nobody could answer."""
        _written(store)
        assert len(store.find(Conversations(unanswered=True)).conversations) == 3
        store.erase(CUSTOMER)
        assert store.find(Conversations(unanswered=True)).conversations == ()
        assert store.find(Conversations(due_before=at(9999))).conversations == ()

    def test_what_was_queued_is_never_sent(self, store: Store) -> None:
        """Rows that have not left are cancelled; what is leaving can only still be told."""
        first, *_ = _written(store)
        names = ("pending", "claimed", "sending", "unknown")
        store.commit(batch(postings=tuple(posting(n, first, stream=n) for n in names)))
        worker = store.worker()
        claimed = {one.row.id: one for one in claim(store, worker) if one.row}
        settle(store, claimed["pending"], RowState.pending)
        assert store.begin(claimed["sending"])
        settle(store, claimed["unknown"], RowState.unknown)
        store.erase(CUSTOMER)
        rows = store.load(Wanted(rows=names)).rows
        assert {RowState.cancelled} == {row.state for row in rows.values()}
        assert not store.begin(claimed["claimed"])
        assert claim(store, worker) == []
        with pytest.raises(Conflict):
            settle(store, claimed["sending"], RowState.unknown)
        store.commit(batch(settlements=(sent("sending"),)))
        assert RowState.sent is store.load(Wanted(rows=("sending",))).rows["sending"].state

    def test_neighbours_stay(self, store: Store) -> None:
        """Other customers keep every word; only what named the erased one is replaced."""
        theirs = _written(store)
        neighbour = opened("kari", OTHER_THREAD, bystander_of=theirs[1].id)
        linked = continued(neighbour.after, Linked(START, theirs[1].id))
        same_id = opened(ID, "other", channel="archive")
        similar = opened(f"{ID}.au", OTHER_THREAD)
        messages = (
            said("k1", neighbour.after, text="Mine neither", parent=MESSAGES[1]),
            said("k2", same_id.after),
            said("k3", similar.after),
        )
        store.commit(batch(neighbour, same_id, similar, messages=messages))
        store.commit(batch(linked, postings=(posting("row", linked.after),)))
        store.commit(batch(quarantine=(quarantined("q", raw=b'{"from": "kari"}'),)))
        store.erase(CUSTOMER)
        self._untouched(store, same_id.after, messages[1])
        self._untouched(store, similar.after, messages[2])
        erased = store.find(Conversations(unanswered=False)).conversations
        kari = store.load(Wanted(conversations=(linked.after.id,))).conversations[linked.after.id]
        assert kari.bystander_of in {c.id for c in erased} - {theirs[1].id}
        assert attrs.evolve(linked.after, bystander_of=kari.bystander_of) == kari
        log = store.log(conversation=kari.id)
        assert Linked(START, str(kari.bystander_of)) == log[1].event
        [message] = store.find(Messages(conversation=kari.id)).messages
        assert message.message.text == "Mine neither"
        assert posting("row", linked.after) == store.load(Wanted(rows=("row",))).rows["row"].posting
        assert store.find(Quarantine()).quarantined[0].raw == b'{"from": "kari"}'

    def _untouched(self, store: Store, conversation: Conversation, stored: Stored) -> None:
        loaded = store.load(
            Wanted(conversations=(conversation.id,), messages=(stored.message.key,))
        )
        assert {conversation.id: conversation} == loaded.conversations
        assert {stored.message.key: stored} == loaded.messages

    def test_a_stranger_can_be_erased(self, store: Store) -> None:
        """Erasing somebody who never wrote changes nothing, and may be repeated."""
        _written(store)
        before = everything(store)
        for _ in range(2):
            store.erase(CustomerRef(CHANNEL, "nobody"))
            store.erase(CustomerRef("archive", ID))
        assert before == everything(store)
