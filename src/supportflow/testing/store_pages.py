"""Contract of stores: queries find what matches, in order, page by page, while others write."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from supportflow.errors import InvalidValue
from supportflow.events import Recorded
from supportflow.model import Agent, CustomerRef, Pending, State
from supportflow.stores import (
    Conversations,
    Direction,
    Messages,
    Outbox,
    Paged,
    Quarantine,
    Results,
    RowState,
    Settlement,
    Store,
    Written,
)
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

__all__ = ["PageContract"]


def _pages(store: Store, query: Paged) -> Iterator[Results]:
    """Yield page after page of a query, to a bound: a store that never ends is found out."""
    for _ in range(100):
        page = store.find(query)
        yield page
        if page.after is None:
            return
        query = attrs.evolve(query, after=page.after)
    raise AssertionError("after 100 pages there is still another one")


def _ids(page: Results) -> list[str]:
    """Name everything on a page."""
    return [
        *(c.id for c in page.conversations),
        *(stored.message.id for stored in page.messages),
        *(row.id for row in page.rows),
        *(item.id for item in page.quarantined),
    ]


def _customers(store: Store, query: Conversations) -> list[str]:
    return [c.customer for c in store.find(query).conversations]


def _conversation(name: str, minute: float) -> dict[str, Any]:
    return {"conversations": (opened(name, minute=minute, waiting_since=at(minute)),)}


def _due(name: str, minute: float) -> dict[str, Any]:
    return {"conversations": (opened(name, minute=-minute, next_due_at=at(minute)),)}


def _message(name: str, minute: float) -> dict[str, Any]:
    return {"messages": (said(name, None, direction=Direction.outbound, minute=minute),)}


def _posting(name: str, minute: float) -> dict[str, Any]:
    return {"postings": (posting(name, deadline=at(minute)),)}


def _quarantined(name: str, minute: float) -> dict[str, Any]:
    return {"quarantine": (quarantined(name, minute=minute),)}


#: Queries that are paged, and how to write something that they find.
PAGED: dict[str, tuple[Paged, Callable[[str, float], dict[str, Any]]]] = {
    "all conversations": (Conversations(limit=3), _conversation),
    "the unanswered": (Conversations(unanswered=True, limit=3), _conversation),
    "the due": (Conversations(due_before=at(999), limit=3), _due),
    "messages": (Messages(limit=3), _message),
    "rows": (Outbox(limit=3), _posting),
    "overdue rows": (Outbox(overdue=at(999), limit=3), _posting),
    "quarantine": (Quarantine(limit=3), _quarantined),
}


class PageContract:
    """Prove what holds for queries and for the log."""

    @pytest.mark.parametrize("name", PAGED)
    def test_pages_lose_and_repeat_nothing(self, store: Store, name: str) -> None:
        """While others write before, at and after the place, what was there comes exactly once."""
        query, write = PAGED[name]
        there = [f"old-{number}" for number in range(10)]
        for number, one in enumerate(there):
            minute = 10 * (number // 2)  # two at the same moment
            store.commit(batch(**write(one, minute)))
        seen: list[str] = []
        for number, page in enumerate(_pages(store, query)):
            assert len(_ids(page)) <= 3
            seen += _ids(page)
            for minute in (0, 20, 500) if number < 5 else ():
                store.commit(batch(**write(f"new-{number}-{minute}", minute)))
        assert len(seen) == len(set(seen))
        assert there == [one for one in there if any(one in name for name in seen)]

    @pytest.mark.parametrize("query", [Conversations(), Messages(), Outbox(), Quarantine()])
    def test_bad_pages_are_refused(self, store: Store, query: Paged) -> None:
        """A limit under 1 and a cursor that is none say so instead of finding nothing."""
        store.commit(batch(opened()))
        for wrong in ({"limit": 0}, {"limit": -1}, {"after": "nonsense"}, {"after": ""}):
            with pytest.raises(InvalidValue):
                store.find(attrs.evolve(query, **wrong))

    def test_the_last_page_says_so(self, store: Store) -> None:
        """`after` is None exactly when nothing is left."""
        for number in range(4):
            store.commit(batch(opened(f"c{number}")))
        assert store.find(Conversations(limit=3)).after is not None
        assert store.find(Conversations(limit=4)).after is None

    def test_conversations_are_found_by_what_they_are(self, store: Store) -> None:
        """Every filter finds its conversations, and filters together find what matches all."""
        a = opened("a", tags=("vip", "x y"), assigned="mia", policy_version="1")
        b = opened("b", minute=1, channel="archive", tags=("vi",), policy_version="2")
        c = opened("c", minute=2, assigned="per", policy_version="2")
        store.commit(batch(a, b, c))
        store.commit(batch(continued(c.after, state=State.resolved, policy_version="2")))
        expected: dict[Conversations, list[str]] = {
            Conversations(): ["a", "b", "c"],
            Conversations(state="resolved"): ["c"],
            Conversations(state=State.received): ["a", "b"],
            Conversations(channel="archive"): ["b"],
            Conversations(customer=CustomerRef(CHANNEL, "c")): ["c"],
            Conversations(customer=CustomerRef("archive", "c")): [],
            Conversations(assigned="mia"): ["a"],
            Conversations(assigned=""): ["b"],
            Conversations(tag="vip"): ["a"],
            Conversations(tag="x y"): ["a"],
            Conversations(tag="i"): [],
            Conversations(policy_not="1"): ["b", "c"],
            Conversations(policy_not="2", channel=CHANNEL): ["a"],
            Conversations(tag="vip", assigned="per"): [],
        }
        assert expected == {query: _customers(store, query) for query in expected}

    def test_the_unanswered_come_by_their_waiting(self, store: Store) -> None:
        """Who waits longest comes first; a reply on its way answers, a held one does not."""
        mia = Agent("mia")
        on_its_way = Pending("r", 1, 0, (), mia, at(9))
        waits: list[Written] = [
            opened("short", waiting_since=at(8)),
            opened("long", waiting_since=at(1)),
            opened("answered"),
            opened("pending", waiting_since=at(2), pending=(on_its_way,)),
            opened("held", waiting_since=at(3), pending=(attrs.evolve(on_its_way, held="why"),)),
        ]
        store.commit(batch(*waits))
        assert _customers(store, Conversations(unanswered=True)) == ["long", "held", "short"]
        others = _customers(store, Conversations(unanswered=False))
        assert sorted(others) == ["answered", "pending"]
        released = continued(waits[1].after, waiting_since=None)
        store.commit(batch(released))
        assert _customers(store, Conversations(unanswered=True)) == ["held", "short"]

    def test_the_due_come_by_their_time(self, store: Store) -> None:
        """Who is due by a time, that time included, is found, the earliest first."""
        store.commit(
            batch(
                opened("late", minute=1, next_due_at=at(30)),
                opened("early", minute=2, next_due_at=at(10)),
                opened("never", minute=3),
            )
        )
        assert _customers(store, Conversations(due_before=at(9))) == []
        assert _customers(store, Conversations(due_before=at(10))) == ["early"]
        assert _customers(store, Conversations(due_before=at(99))) == ["early", "late"]

    def test_messages_come_by_their_time(self, store: Store) -> None:
        """A history is in the order of platform time, whatever arrived first, edits included."""
        one, two = opened("ola"), opened("kari", "110")
        messages = (
            said("3", one.after, minute=3),
            said("1", one.after, minute=1),
            said("1", one.after, minute=2, revision="r1"),
            said("9", two.after, minute=0),
        )
        store.commit(batch(one, two, messages=messages))
        history = store.find(Messages(conversation=one.after.id)).messages
        assert [(s.message.id, s.revision) for s in history] == [("1", ""), ("1", "r1"), ("3", "")]
        theirs = store.find(Messages(customer=CustomerRef(CHANNEL, "kari"))).messages
        assert [stored.message.id for stored in theirs] == ["9"]
        assert store.find(Messages(conversation="no/such/one#0")).messages == ()

    def test_rows_are_found_by_how_they_stand(self, store: Store) -> None:
        """Rows come in the order in which they were queued, filtered by state, hold and deadline."""
        first = opened()
        store.commit(
            batch(
                first,
                postings=(
                    posting("b", first.after, deadline=at(1)),
                    posting("a", hold="look at it", deadline=at(2)),
                    posting("d", channel="other", deadline=at(1)),
                    posting("c", deadline=at(1)),
                ),
            )
        )
        store.commit(batch(settlements=(sent("c"), Settlement("d", 0, RowState.unknown))))
        expected = {
            Outbox(): ["b", "a", "d", "c"],
            Outbox(states=(RowState.sent, RowState.unknown)): ["d", "c"],
            Outbox(channel="other"): ["d"],
            Outbox(conversation=first.after.id): ["b"],
            Outbox(held=True): ["a"],
            Outbox(held=False): ["b", "d", "c"],
            Outbox(overdue=at(2)): ["b", "d"],
            Outbox(overdue=at(1)): [],
        }
        assert expected == {query: _ids(store.find(query)) for query in expected}

    def test_quarantine_is_found_by_channel_and_id(self, store: Store) -> None:
        """The oldest items come first, of one channel or with given ids."""
        items = (
            quarantined("late", minute=2),
            quarantined("early", minute=1),
            quarantined("other", minute=3, channel="other"),
        )
        store.commit(batch(quarantine=items))
        assert _ids(store.find(Quarantine())) == ["early", "late", "other"]
        assert _ids(store.find(Quarantine(channel=CHANNEL))) == ["early", "late"]
        assert _ids(store.find(Quarantine(ids=("other", "late", "none")))) == ["late", "other"]

    def test_the_log_is_a_feed(self, store: Store) -> None:
        """Following positions, globally or of one conversation, meets every event once, in order."""
        one, two = opened("ola"), opened("kari")
        store.commit(batch(one, two))
        for _ in range(3):
            one, two = continued(one.after), continued(two.after)
            store.commit(batch(one, two))
        followed: list[Recorded] = []
        after = 0
        while page := store.log(after, limit=3):
            assert page[-1].position > after
            followed += page
            after = page[-1].position
        positions = [recorded.position for recorded in followed]
        assert sorted(set(positions)) == positions
        assert min(positions) > 0
        assert list(store.log()) == followed
        for written in (one, two):
            own = [recorded for recorded in followed if recorded.conversation == written.after.id]
            assert own == list(store.log(conversation=written.after.id))
            assert [recorded.version for recorded in own] == [1, 2, 3, 4]
            assert own[2:] == list(store.log(own[1].position, written.after.id))
            assert own[1:2] == list(store.log(own[0].position, written.after.id, limit=1))
        assert list(store.log(conversation="no/such/one#0")) == []
        assert [recorded.recorded_at for recorded in followed] == [START] * 8
