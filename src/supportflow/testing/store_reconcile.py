"""Contract of stores: what becomes of work whose owner is gone, or whose end nobody knows."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from supportflow.model import ChannelState
from supportflow.stores import (
    ChannelChange,
    ChannelLease,
    HoldRows,
    RowState,
    Store,
    Wanted,
    WorkKind,
)
from supportflow.testing.clock import FakeClock
from supportflow.testing.store_outbox import LEASE, claim, names, queue, row, sending, settle
from supportflow.testing.store_samples import CHANNEL, at, batch, posting, sent

__all__ = ["ReconcileContract"]

REAP, RECONCILE, POLL = WorkKind.reap, WorkKind.reconcile, WorkKind.poll


class ReconcileContract:
    """Prove what holds for reaping, reconciling and the leases of polls."""

    def test_workers_are_never_the_same(self, store: Store) -> None:
        """Every worker has an id of its own."""
        ids = [store.worker().id for _ in range(5)]
        assert len(set(ids)) == 5

    def test_a_live_owner_keeps_its_rows(self, store: Store, clock: FakeClock) -> None:
        """Before its lease is over, nobody takes a row from a worker that lives."""
        sending(store, store.worker(), "a")
        queue(store, posting("b"))
        claim(store, store.worker())
        clock.advance(LEASE - timedelta(microseconds=1))
        assert claim(store, store.worker(), REAP) == []
        assert (RowState.sending, RowState.claimed) == (
            row(store, "a").state,
            row(store, "b").state,
        )

    def test_what_was_not_begun_waits_again(self, store: Store, clock: FakeClock) -> None:
        """A claimed row past its lease is certainly unsent: pending, with its attempt counted."""
        queue(store, posting("a"))
        claim(store, store.worker())
        clock.advance(LEASE)
        other = store.worker()
        assert names(claim(store, other, REAP)) == ["a"]
        now = row(store, "a")
        assert (RowState.pending, 1, None) == (now.state, now.attempt, now.lease_until)
        assert claim(store, other, REAP) == []
        [again] = claim(store, other)
        assert again.row is not None
        assert again.row.attempt == 2

    def test_what_was_begun_is_unknown(self, store: Store, clock: FakeClock) -> None:
        """A sending row past its lease may have left: unknown, never pending, for anybody."""
        sending(store, store.worker())
        clock.advance(LEASE)
        other = store.worker()
        [reaped] = claim(store, other, REAP)
        assert reaped.row == row(store, "a")
        assert (RowState.unknown, 1) == (row(store, "a").state, row(store, "a").attempt)
        assert claim(store, other) == []
        assert claim(store, other, REAP) == []

    def test_reaping_keeps_to_its_channels_and_limit(self, store: Store, clock: FakeClock) -> None:
        """Only rows of the named channels are moved, of all where none is named."""
        queue(store, posting("a"), posting("b"), posting("c", channel="other"))
        claim(store, store.worker(), channels=(CHANNEL, "other"))
        clock.advance(LEASE)
        reaper = store.worker()
        assert len(claim(store, reaper, REAP, limit=1)) == 1
        assert len(claim(store, reaper, REAP)) == 1
        assert names(claim(store, reaper, REAP, channels=())) == ["c"]

    def test_a_dead_owner_loses_its_rows_at_once(
        self, store: Store, reopen: Callable[[], Store]
    ) -> None:
        """When the store of a worker is closed, its rows are taken over without waiting."""
        dead = store.worker()
        sending(store, dead, "a")
        queue(store, posting("b"))
        claim(store, dead)
        store.close()
        again = reopen()
        heir = again.worker()
        assert heir.id != dead.id
        assert sorted(names(claim(again, heir, REAP))) == ["a", "b"]
        assert (RowState.unknown, RowState.pending) == (
            row(again, "a").state,
            row(again, "b").state,
        )
        [found] = claim(again, heir, RECONCILE)
        assert found.sender_dead
        again.close()

    def test_an_unknown_row_is_leased_to_one(self, store: Store, clock: FakeClock) -> None:
        """Who looks for a post has it alone for a while; state and attempt stay."""
        settle(store, sending(store, store.worker()), RowState.unknown, not_before=at(3))
        reader, other = store.worker(), store.worker()
        assert claim(store, reader, RECONCILE) == []
        clock.set(at(3))
        assert claim(store, reader, RECONCILE, channels=("other",)) == []
        [found] = claim(store, reader, RECONCILE)
        assert found.row == row(store, "a")
        assert (RowState.unknown, 1) == (row(store, "a").state, row(store, "a").attempt)
        assert claim(store, other, RECONCILE) == []
        assert not store.begin(found)
        clock.advance(LEASE)
        [later] = claim(store, other, RECONCILE)
        assert later.fence > found.fence
        settle(store, later, RowState.unknown, negative_reads=1)
        assert names(claim(store, reader, RECONCILE)) == ["a"]

    def test_a_parked_row_is_not_looked_for(self, store: Store) -> None:
        """An unknown row that waits for a person is left to that person."""
        settle(store, sending(store, store.worker()), RowState.unknown, hold="look at it")
        worker = store.worker()
        assert claim(store, worker, RECONCILE) == []
        store.commit(batch(holds=(HoldRows("reply-a"),)))
        assert names(claim(store, worker, RECONCILE)) == ["a"]

    def test_only_a_dead_sender_has_certainly_stopped(self, store: Store, clock: FakeClock) -> None:
        """A lease that ended proves nothing: `sender_dead` is for the sender, or its death."""
        sender, reader = store.worker(), store.worker()
        sending(store, sender)
        clock.advance(LEASE)
        claim(store, reader, REAP)
        [found] = claim(store, reader, RECONCILE)
        assert not found.sender_dead
        clock.advance(LEASE)
        [own] = claim(store, sender, RECONCILE)
        assert own.sender_dead

    def test_an_unknown_row_holds_later_ones_for_a_while(
        self, store: Store, clock: FakeClock
    ) -> None:
        """Later rows of the stream wait `hold_for` after the first send, by default 10 minutes (G8)."""
        queue(store, posting("a", stream="s"), posting("b", stream="s"))
        worker = store.worker()
        clock.set(at(1))
        [first] = claim(store, worker)
        assert store.begin(first)
        settle(store, first, RowState.unknown, not_before=at(99), hold="look at it")
        clock.set(at(11) - timedelta(microseconds=1))
        assert claim(store, worker) == []
        longer = {CHANNEL: timedelta(minutes=20)}
        clock.set(at(11))
        assert claim(store, worker, hold_for=longer) == []
        assert names(claim(store, worker, hold_for={"other": timedelta(minutes=20)})) == ["b"]

    def test_an_unknown_row_may_hold_nobody(self, store: Store) -> None:
        """Where a channel says so, the next row goes at once."""
        queue(store, posting("a", stream="s"), posting("b", stream="s"))
        worker = store.worker()
        [first] = claim(store, worker)
        assert store.begin(first)
        settle(store, first, RowState.unknown, not_before=at(99))
        assert claim(store, worker) == []
        assert names(claim(store, worker, hold_for={CHANNEL: timedelta(0)})) == ["b"]

    def test_a_frozen_worker_comes_back(self, store: Store, clock: FakeClock) -> None:
        """What a worker learns after its row was taken counts if it is a receipt, and only then."""
        frozen, reader = store.worker(), store.worker()
        sending(store, frozen)
        clock.advance(LEASE)
        claim(store, reader, REAP)
        claim(store, reader, RECONCILE)
        store.commit(batch(settlements=(sent("a"),)))
        assert RowState.sent is row(store, "a").state
        assert claim(store, reader, RECONCILE) == []

    def test_a_channel_is_polled_by_one(self, store: Store, clock: FakeClock) -> None:
        """A lease to poll is exclusive until it ends; its owner has it, and renews it in its half."""
        store.commit(batch(channels=(ChannelChange(CHANNEL, cursor="9"),)))
        owner, other = store.worker(), store.worker()
        [lease] = claim(store, owner, POLL)
        assert ChannelLease(CHANNEL, ChannelState(CHANNEL, cursor="9")) == lease.lease
        assert (owner, None) == (lease.worker, lease.row)
        assert claim(store, other, POLL) == []
        assert [lease] == claim(store, owner, POLL)
        clock.advance(LEASE / 2)
        [renewed] = claim(store, owner, POLL)
        assert renewed.fence > lease.fence
        clock.advance(LEASE / 2)
        assert claim(store, other, POLL) == []
        clock.advance(LEASE / 2)
        [taken] = claim(store, other, POLL)
        assert taken.fence > renewed.fence
        assert claim(store, owner, POLL) == []
        assert not store.begin(taken)

    def test_who_has_lost_the_lease_moves_no_cursor(self, store: Store, clock: FakeClock) -> None:
        """What a poll found after its lease was another's changes nothing of the channel."""
        [lost] = claim(store, store.worker(), POLL)
        clock.advance(LEASE)
        [lease] = claim(store, store.worker(), POLL)
        for claimed, cursor in ((lease, "2"), (lost, "1")):
            change = ChannelChange(CHANNEL, cursor=cursor, fence=claimed.fence)
            store.commit(batch(channels=(change,), once={cursor: "taken"}))
        assert (
            ChannelState(CHANNEL, cursor="2")
            == store.load(Wanted(channels=(CHANNEL,))).channels[CHANNEL]
        )
        assert {"1", "2"} == set(store.load(Wanted(once=("1", "2"))).once)

    def test_channels_are_polled_apart(self, store: Store) -> None:
        """Several workers share the channels, and one without a state can be polled."""
        channels = ("a", "b", "c")
        one, two = store.worker(), store.worker()
        first = claim(store, one, POLL, limit=2, channels=channels)
        second = claim(store, two, POLL, limit=2, channels=channels)
        leases = [claimed.lease for claimed in first + second if claimed.lease]
        assert (len(first), len(second)) == (2, 1)
        assert {name: ChannelState(name) for name in channels} == {
            lease.channel: lease.state for lease in leases
        }

    def test_a_dead_poller_is_replaced_at_once(
        self, store: Store, reopen: Callable[[], Store]
    ) -> None:
        """When the store of a poller is closed, another one polls without waiting."""
        claim(store, store.worker(), POLL)
        store.close()
        again = reopen()
        assert len(claim(again, again.worker(), POLL)) == 1
        again.close()
