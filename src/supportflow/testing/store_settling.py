"""Contract of stores: how attempts to send end, and who may say so (RELIABILITY §2.3, G6)."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

import pytest

from supportflow.errors import Conflict, InvalidValue
from supportflow.stores import HoldRows, RowState, Store, Wanted, WorkKind
from supportflow.testing.clock import FakeClock
from supportflow.testing.store_outbox import LEASE, claim, queue, row, sending, settle
from supportflow.testing.store_samples import CHANNEL, at, batch, posting, sent

__all__ = ["SettlingContract"]


class SettlingContract:
    """Prove what holds for settlements and receipts."""

    def test_a_settlement_says_how_it_ended(self, store: Store) -> None:
        """State, error, next look, reads, hold and the attempt are as the settlement says."""
        claimed = sending(store, store.worker())
        settle(
            store,
            claimed,
            RowState.unknown,
            error="the answer was lost",
            not_before=at(2),
            negative_reads=1,
            hold="look at it",
            uncount=True,
        )
        now = row(store, "a")
        assert (RowState.unknown, "the answer was lost", at(2), 1, "look at it", 0, None) == (
            now.state,
            now.last_error,
            now.posting.not_before,
            now.negative_reads,
            now.posting.hold,
            now.attempt,
            now.lease_until,
        )
        settle(store, claimed, RowState.unknown)
        left = row(store, "a")
        assert (at(2), 1, "look at it") == (
            left.posting.not_before,
            left.negative_reads,
            left.posting.hold,
        )
        settle(store, claimed, RowState.pending, hold="")
        assert row(store, "a").posting.hold is None

    def test_a_stale_worker_settles_nothing(self, store: Store, clock: FakeClock) -> None:
        """A worker that lost its row cannot say how it ended, and changes nothing (fence)."""
        queue(store, posting("a"))
        [old] = claim(store, store.worker())
        clock.advance(LEASE)
        other = store.worker()
        claim(store, other, WorkKind.reap)
        [new] = claim(store, other)
        for state in (RowState.failed, RowState.pending, RowState.unknown, RowState.cancelled):
            with pytest.raises(Conflict):
                settle(store, old, state)
        assert new.row == row(store, "a")

    @pytest.mark.parametrize("state", [RowState.failed, RowState.cancelled, RowState.pending])
    def test_knowledge_wins(self, store: Store, state: RowState) -> None:
        """Whoever knows that a row is on the platform says so without a fence, whatever its state."""
        claimed = sending(store, store.worker())
        settle(store, claimed, state, hold="look at it")
        store.commit(batch(settlements=(sent("a", "901", fence=99, how="echo"),)))
        now = row(store, "a")
        assert (RowState.sent, "901", None) == (now.state, now.remote_id, now.posting.hold)
        assert {"a"} == set(store.load(Wanted(remotes=((CHANNEL, "901"),))).rows)

    def test_sent_is_for_ever(self, store: Store) -> None:
        """Nothing but another receipt changes a sent row (G6), and the same receipt changes nothing."""
        claimed = sending(store, store.worker())
        store.commit(batch(settlements=(sent("a"),)))
        told = row(store, "a")
        for state in (RowState.failed, RowState.pending, RowState.unknown, RowState.cancelled):
            with pytest.raises(Conflict):
                settle(store, claimed, state)
        for again in (sent("a"), sent("a", None, how="echo")):
            store.commit(batch(settlements=(again,)))
        store.commit(batch(holds=(HoldRows("reply-a", "look at it"),)))
        assert told == row(store, "a")

    def test_sent_needs_a_receipt(self, store: Store) -> None:
        """No row is sent without the platform's word for it, and nothing else is applied (G6)."""
        claimed = sending(store, store.worker())
        with pytest.raises(InvalidValue):
            settle(store, claimed, RowState.sent)
        assert RowState.sending is row(store, "a").state

    def test_a_receipt_may_have_no_id(self, store: Store) -> None:
        """Where a platform returns no id its acceptance counts, and a later id is learned."""
        sending(store, store.worker())
        store.commit(batch(settlements=(sent("a", None),)))
        assert (RowState.sent, None) == (row(store, "a").state, row(store, "a").remote_id)
        store.commit(batch(settlements=(sent("a", "901", how="echo"),)))
        assert (row(store, "a").remote_id, row(store, "a").last_error) == ("901", "")

    def test_a_duplicate_post_is_reported(self, store: Store) -> None:
        """Two platform ids of one row keep the first and name both where people look."""
        sending(store, store.worker())
        store.commit(batch(settlements=(sent("a", "901"),)))
        store.commit(batch(settlements=(sent("a", "902", how="echo"),)))
        now = row(store, "a")
        assert (RowState.sent, "901") == (now.state, now.remote_id)
        assert "901" in now.last_error
        assert "902" in now.last_error
