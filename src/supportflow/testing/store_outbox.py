"""Contract of stores: what may be claimed and begun, and when (DESIGN §8, RELIABILITY §2)."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from supportflow.errors import Conflict
from supportflow.stores import (
    ChannelChange,
    Claimed,
    HoldRows,
    Outbox,
    Posting,
    Row,
    RowState,
    Settlement,
    Store,
    Wanted,
    Work,
    Worker,
    WorkKind,
)
from supportflow.testing.clock import FakeClock
from supportflow.testing.store_samples import CHANNEL, at, batch, continued, opened, posting, sent

__all__ = ["LEASE", "OutboxContract", "claim", "names", "queue", "row", "sending", "settle"]

#: For how long the tests claim.
LEASE = timedelta(seconds=120)


def queue(store: Store, *postings: Posting) -> None:
    """Queue rows.

    Args:
        store: Where.
        postings: The rows.
    """
    store.commit(batch(postings=postings))


def claim(
    store: Store, worker: Worker, kind: WorkKind = WorkKind.send, limit: int = 10, **work: Any
) -> list[Claimed]:
    """Claim work on the channel of the tests.

    Args:
        store: Where.
        worker: For whom.
        kind: Which kind of work.
        limit: How much at most.
        work: More fields of `Work`.
    """
    channels = work.pop("channels", (CHANNEL,))
    return list(store.claim(Work(kind, channels, LEASE, **work), worker, limit))


def names(claimed: list[Claimed]) -> list[str]:
    """Return the ids of claimed rows.

    Args:
        claimed: What was claimed.
    """
    return [one.row.id for one in claimed if one.row]


def row(store: Store, name: str) -> Row:
    """Return a row as it stands.

    Args:
        store: Where.
        name: Its id.
    """
    return store.load(Wanted(rows=(name,))).rows[name]


def settle(store: Store, claimed: Claimed, state: RowState, **fields: Any) -> None:
    """Settle a claimed row.

    Args:
        store: Where.
        claimed: The claim.
        state: The new state.
        fields: More fields of the settlement.
    """
    assert claimed.row is not None
    settlement = Settlement(claimed.row.id, claimed.fence, state, **fields)
    store.commit(batch(settlements=(settlement,)))


def sending(store: Store, worker: Worker, name: str = "a") -> Claimed:
    """Queue a row, claim it and begin to send it.

    Args:
        store: Where.
        worker: Who.
        name: The row's id.
    """
    queue(store, posting(name))
    [claimed] = claim(store, worker)
    assert store.begin(claimed)
    return claimed


class OutboxContract:
    """Prove what holds for rows that are queued, claimed, held and begun."""

    def test_streams_count_their_rows(self, store: Store) -> None:
        """Rows of a stream have the places 1, 2, 3 … over several commits."""
        queue(store, posting("a", stream="s"), posting("x", stream="t"), posting("b", stream="s"))
        queue(store, posting("c", stream="s"))
        places = [(one.id, one.seq) for one in store.find(Outbox()).rows]
        assert places == [("a", 1), ("x", 1), ("b", 2), ("c", 3)]

    def test_a_new_row_waits(self, store: Store) -> None:
        """A queued row is pending, was never claimed and never sent."""
        queue(store, posting("a"))
        assert Row(posting("a"), 1) == row(store, "a")

    def test_a_claim_takes_the_row(self, store: Store, clock: FakeClock) -> None:
        """A claimed row has an owner, a lease, a fence, and its attempt is counted at once."""
        queue(store, posting("a"))
        worker = store.worker()
        [claimed] = claim(store, worker)
        expected = attrs.evolve(
            Row(posting("a"), 1),
            state=RowState.claimed,
            attempt=1,
            fence=claimed.fence,
            worker=worker.id,
            lease_until=clock() + LEASE,
        )
        assert expected == claimed.row == row(store, "a")
        assert (worker, None) == (claimed.worker, claimed.lease)
        assert claimed.fence > 0
        assert claim(store, store.worker()) == []
        assert claim(store, worker) == []

    def test_only_heads_of_streams_are_claimed(self, store: Store) -> None:
        """The second row of a stream waits until the first is settled, held or not (G8)."""
        queue(
            store,
            posting("a", stream="s"),
            posting("b", stream="s"),
            posting("x", stream="t", hold="look at it"),
            posting("y", stream="t"),
        )
        worker = store.worker()
        [first] = claim(store, worker)
        assert names([first]) == ["a"]
        assert claim(store, worker) == []
        assert store.begin(first)
        assert claim(store, worker) == []
        store.commit(batch(settlements=(sent("a"),)))
        assert names(claim(store, worker)) == ["b"]

    @pytest.mark.parametrize("state", [RowState.failed, RowState.cancelled, RowState.sent])
    def test_a_final_row_holds_nobody(self, store: Store, state: RowState) -> None:
        """Once the head of a stream is final, however, the next one may go."""
        queue(store, posting("a", stream="s"), posting("b", stream="s"))
        worker = store.worker()
        [first] = claim(store, worker)
        settle(store, first, state, receipt=sent("a").receipt)
        assert names(claim(store, worker)) == ["b"]

    def test_rows_are_claimed_in_their_turn(self, store: Store, clock: FakeClock) -> None:
        """Who may go earlier goes earlier; at the same time, who was queued first."""
        queue(
            store,
            posting("z", not_before=at(1)),
            posting("b", not_before=at(0)),
            posting("a", not_before=at(0)),
            posting("later", not_before=at(9)),
            posting("other", channel="other"),
        )
        clock.set(at(5))
        worker = store.worker()
        assert names(claim(store, worker, limit=2)) == ["b", "a"]
        assert names(claim(store, worker)) == ["z"]
        assert claim(store, worker) == []
        clock.set(at(9))
        assert names(claim(store, worker)) == ["later"]
        assert names(claim(store, worker, channels=("nothing", "other"))) == ["other"]

    def test_a_second_attempt_goes_alone(self, store: Store) -> None:
        """What failed once may fail its neighbours: it is claimed by itself."""
        queue(store, posting("a"))
        worker = store.worker()
        [first] = claim(store, worker)
        settle(store, first, RowState.pending)
        queue(store, posting("b"), posting("c"))
        claims = [claim(store, worker) for _ in range(3)]
        assert sorted(name for taken in claims for name in names(taken)) == ["a", "b", "c"]
        assert {("a",), ("b", "c")} == {tuple(sorted(names(t))) for t in claims if t}
        assert row(store, "a").attempt == 2

    def test_held_rows_wait_for_a_person(self, store: Store) -> None:
        """A hold keeps all unsent rows of a reply; its release lets them go on."""
        queue(store, posting("a", reply="r"), posting("b", reply="r"), posting("c"))
        store.commit(batch(holds=(HoldRows("r", "look at it"),)))
        held = store.find(Outbox(held=True)).rows
        assert [(h.id, h.posting.hold) for h in held] == [("a", "look at it"), ("b", "look at it")]
        worker = store.worker()
        assert names(claim(store, worker)) == ["c"]
        store.commit(batch(holds=(HoldRows("r"),)))
        assert sorted(names(claim(store, worker))) == ["a", "b"]

    def test_a_hold_does_not_reach_what_is_leaving(self, store: Store) -> None:
        """Claimed and sending rows are not held: their worker has decided already."""
        claimed = sending(store, store.worker())
        store.commit(batch(holds=(HoldRows("reply-a", "look at it"),)))
        assert row(store, "a").posting.hold is None
        settle(store, claimed, RowState.unknown)
        store.commit(batch(holds=(HoldRows("reply-a", "look at it"),)))
        assert (RowState.unknown, "look at it") == (
            row(store, "a").state,
            row(store, "a").posting.hold,
        )

    def test_a_cancel_takes_back_what_has_not_left(self, store: Store) -> None:
        """Pending, held and unknown rows are cancelled, and never claimed again."""
        queue(store, posting("a", reply="r"), posting("b", reply="r", hold="why"))
        unknown = Settlement("a", 0, RowState.unknown)
        store.commit(batch(settlements=(unknown,)))
        store.commit(batch(holds=(HoldRows("r", cancel=True),)))
        assert {RowState.cancelled} == {row(store, name).state for name in "ab"}
        worker = store.worker()
        assert claim(store, worker) + claim(store, worker, WorkKind.reconcile) == []

    @pytest.mark.parametrize("state", [RowState.claimed, RowState.sending, RowState.sent])
    def test_a_cancel_comes_too_late(self, store: Store, state: RowState) -> None:
        """If any row of the reply has left or is leaving, nothing of it is cancelled."""
        queue(store, posting("a", reply="r", stream="s"), posting("b", reply="r", stream="s"))
        [claimed] = claim(store, store.worker())
        if state is RowState.sending:
            assert store.begin(claimed)
        elif state is RowState.sent:
            store.commit(batch(settlements=(sent("a"),)))
        with pytest.raises(Conflict):
            store.commit(batch(holds=(HoldRows("r", cancel=True),)))
        assert [state, RowState.pending] == [row(store, name).state for name in "ab"]

    def test_a_paused_account_sends_nothing(self, store: Store, clock: FakeClock) -> None:
        """Nothing is claimed on an account that is paused or has lost its rights, for anybody."""
        queue(store, posting("a"), posting("b", channel="other"))
        channels = (CHANNEL, "other")
        store.commit(batch(channels=(ChannelChange(CHANNEL, paused_until=at(5)),)))
        store.commit(batch(channels=(ChannelChange("other", needs_auth="token expired"),)))
        worker = store.worker()
        assert claim(store, worker, channels=channels) == []
        clock.set(at(5))
        assert names(claim(store, worker, channels=channels)) == ["a"]
        store.commit(batch(channels=(ChannelChange("other", needs_auth=""),)))
        assert names(claim(store, worker, channels=channels)) == ["b"]

    def test_begin_is_true_once_and_for_the_owner(self, store: Store, clock: FakeClock) -> None:
        """Only the claim that still stands begins, once; it records when the bytes leave."""
        queue(store, posting("a"))
        old_owner, new_owner = store.worker(), store.worker()
        [old] = claim(store, old_owner)
        clock.advance(LEASE)
        claim(store, new_owner, WorkKind.reap)
        assert not store.begin(old)
        [new] = claim(store, new_owner)
        assert new.fence > old.fence
        assert not store.begin(old)
        assert store.begin(new)
        assert not store.begin(new)
        now = row(store, "a")
        assert (RowState.sending, clock(), clock()) == (
            now.state,
            now.first_sent_at,
            now.last_sent_at,
        )

    @pytest.mark.parametrize(
        "held", [{"paused_until": at(5)}, {"needs_auth": "token expired"}], ids=["paused", "auth"]
    )
    def test_nothing_begins_on_an_account_that_is_held(
        self, store: Store, held: dict[str, Any]
    ) -> None:
        """An account that was held after the claim begins nothing, until it goes on."""
        queue(store, posting("a"))
        [claimed] = claim(store, store.worker())
        store.commit(batch(channels=(ChannelChange(CHANNEL, **held),)))
        assert not store.begin(claimed)
        freed = ChannelChange(CHANNEL, paused_until=None, needs_auth="")
        store.commit(batch(channels=(freed,)))
        assert store.begin(claimed)

    def test_nothing_begins_that_was_decided_on_what_is_over(self, store: Store) -> None:
        """A conversation that went on since the decision is decided on again."""
        first, second = opened(), opened("ben@example.social", "110")
        store.commit(batch(first, second))
        queue(store, posting("a", first.after))
        [claimed] = claim(store, store.worker())
        store.commit(batch(continued(first.after)))
        for about, version in ((first.after.id, 1), (second.after.id, 1), ("nonsense", 2)):
            assert not store.begin(attrs.evolve(claimed, decided_on=(about, version)))
        assert store.begin(attrs.evolve(claimed, decided_on=(first.after.id, 2)))

    def test_begin_comes_too_late(self, store: Store) -> None:
        """What was told or refused after the claim does not begin."""
        queue(store, posting("a"), posting("b"))
        taken = claim(store, store.worker())
        for claimed, state in zip(taken, (RowState.sent, RowState.failed), strict=True):
            settle(store, claimed, state, receipt=sent("").receipt)
            assert not store.begin(claimed)

    def test_the_first_send_is_remembered(self, store: Store, clock: FakeClock) -> None:
        """Later attempts move `last_sent_at` and leave `first_sent_at`."""
        worker = store.worker()
        first = sending(store, worker)
        began = clock()
        settle(store, first, RowState.pending, not_before=at(3), error="429")
        assert claim(store, worker) == []
        clock.set(at(3))
        [second] = claim(store, worker)
        assert store.begin(second)
        now = row(store, "a")
        assert (began, at(3), 2) == (now.first_sent_at, now.last_sent_at, now.attempt)
