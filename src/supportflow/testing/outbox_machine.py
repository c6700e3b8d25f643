"""An outbox does what that of the `MemoryStore` does, whatever workers do, in whatever order."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from supportflow.model import Receipt
from supportflow.stores import (
    Changes,
    ChannelChange,
    Claimed,
    HoldRows,
    Outbox,
    Row,
    RowState,
    Settlement,
    Store,
    Wanted,
    Work,
    WorkKind,
)
from supportflow.testing.store_machine import CHANNELS, TwoStores
from supportflow.testing.store_samples import opened, posting

__all__ = ["OutboxMachine"]

LEASE = timedelta(seconds=120)
REMOTES = (None, "901", "902")
picks = st.integers(0, 3)
replies = st.sampled_from(("reply-0", "reply-1"))


def seldom(value: Any, other: Any) -> st.SearchStrategy[Any]:
    """Draw one value now and then, and mostly the other."""
    return st.sampled_from((other, other, other, value))


class OutboxMachine(TwoStores):
    """Compare a store with a `MemoryStore` in all that concerns the outbox and its workers.

    Override `make`, and `reopen` where data outlive the object, as in `StoreMachine`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queued = 0
        self.claims: list[tuple[Claimed, ...]] = []
        self.homes = opened("ola").after, opened("kari").after
        self.commit(conversations=(opened("ola"), opened("kari")))
        self.hire()

    # --- what is asked -------------------------------------------------------------------

    @rule(
        home=st.booleans(),
        reply=replies,
        again=seldom(1, 0),
        channel=seldom(CHANNELS[1], CHANNELS[0]),
        delay=seldom(1, 0),
        hold=seldom("look at it", None),
    )
    def post(
        self, home: bool, reply: str, again: int, channel: str, delay: int, hold: str | None
    ) -> None:
        """Queue a row in one of two streams, or one that is there already."""
        made = posting(
            f"row-{self.queued - again}",
            self.homes[home],
            reply=reply,
            channel=channel,
            not_before=self.clock() + timedelta(minutes=delay),
            deadline=self.clock() + timedelta(minutes=5),
            hold=hold,
        )
        self.queued += not again
        self.commit(postings=(made,))

    @rule()
    def hire(self) -> None:
        """Let another worker begin."""
        self.workers.append(tuple(store.worker() for store in self.stores))

    @rule(kind=st.sampled_from(WorkKind), limit=st.integers(1, 3), pick=picks, wait=picks)
    def claim(self, kind: WorkKind, limit: int, pick: int, wait: int) -> None:
        """Claim work."""
        self._claimed(kind, limit, pick, {CHANNELS[0]: timedelta(minutes=wait * 4)})

    @rule(home=st.booleans(), pick=picks, end=st.sampled_from((None, *RowState)))
    def attempt(self, home: bool, pick: int, end: RowState | None) -> None:
        """Queue a row, claim what is to be sent, begin, and perhaps say how it ended."""
        before = len(self.claims)
        self.post(home, "reply-1", 0, CHANNELS[0], 0, None)
        self._claimed(WorkKind.send, 1, pick, {CHANNELS[0]: timedelta(0)})
        for claims in self.claims[before:]:
            if end is not RowState.claimed:
                self._begun(claims)
            if end not in {None, RowState.claimed, RowState.sending}:
                self._settled(claims, Settlement("", 0, RowState(end)))

    @rule(
        pick=picks,
        kind=st.sampled_from((WorkKind.send, WorkKind.reconcile)),
        late=st.sampled_from((RowState.failed, RowState.pending, RowState.sent)),
    )
    def take_over(self, pick: int, kind: WorkKind, late: RowState) -> None:
        """Let all leases end and take what is there; then its old owner wakes up and speaks."""
        self.clock.advance(LEASE)
        self._claimed(WorkKind.reap, 3, pick, {})
        before = len(self.claims)
        self._claimed(kind, 1, pick + 1, {})
        for claims in self.claims[before:]:
            name = claims[0].row and claims[0].row.id
            old = next(pair for pair in self.claims if pair[0].row and pair[0].row.id == name)
            self._settled(old, Settlement("", 0, late))

    def _claimed(self, kind: WorkKind, limit: int, pick: int, hold_for: Any) -> None:
        who = self.workers[pick % len(self.workers)]
        work = Work(kind, CHANNELS, LEASE, hold_for)
        taken = self.both(lambda store, side: store.claim(work, who[side], limit))
        both = [tuple(pair) for pair in zip(*taken, strict=True)]
        for pair in both:
            expected, found = (self._seen_claim(one, side) for side, one in enumerate(pair))
            assert expected == found
        if kind is not WorkKind.poll:
            self.claims += both

    def _begun(self, claims: tuple[Claimed, ...]) -> None:
        found, expected = self.both(lambda store, side: store.begin(claims[side]))
        assert expected == found

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def begin(self, pick: int) -> None:
        """Begin to send, also with a claim that is over."""
        self._begun(self.claims[-1 - pick % len(self.claims)])

    @precondition(lambda self: self.claims)
    @rule(
        pick=picks,
        state=st.sampled_from([state for state in RowState if state is not RowState.claimed]),
        delay=seldom(1, 0),
        hold=seldom("look at it", None) | st.just(""),
        remote=st.sampled_from(REMOTES),
        uncount=st.booleans(),
    )
    def settle(
        self,
        pick: int,
        state: RowState,
        delay: int,
        hold: str | None,
        remote: str | None,
        uncount: bool,
    ) -> None:
        """Say how an attempt ended, also one that is over."""
        settlement = Settlement(
            "",
            0,
            state,
            Receipt(remote, self.clock()),
            error="it failed",
            not_before=self.later(delay),
            negative_reads=pick,
            hold=hold,
            uncount=uncount,
        )
        self._settled(self.claims[-1 - pick % len(self.claims)], settlement)

    def _settled(self, claims: tuple[Claimed, ...], end: Settlement) -> None:
        receipt = (end.receipt or Receipt("901", self.clock())) if end.state == "sent" else None

        def settle(store: Store, side: int) -> None:
            row = claims[side].row
            assert row is not None
            ended = attrs.evolve(end, row=row.id, fence=claims[side].fence, receipt=receipt)
            store.commit(Changes(self.clock(), settlements=(ended,)))

        self.both(settle)

    @rule(reply=replies, what=st.sampled_from(("hold", "release", "release", "cancel")))
    def hold(self, reply: str, what: str) -> None:
        """Hold, release or cancel a reply."""
        reason = "look at it" if what == "hold" else None
        self.commit(holds=(HoldRows(reply, reason, cancel=what == "cancel"),))

    @rule(minutes=seldom(3, 0), auth=seldom("expired", ""))
    def pause(self, minutes: int, auth: str) -> None:
        """Pause an account, or end its pause."""
        change = ChannelChange(CHANNELS[0], paused_until=self.later(minutes), needs_auth=auth)
        self.commit(channels=(change,))

    @rule(one=st.booleans())
    def merge(self, one: bool) -> None:
        """Let one conversation take over the other's rows."""
        self.commit(merged=((self.homes[one].id, self.homes[not one].id),))

    @rule(minutes=st.sampled_from((0.5, 2, 2, 10)))
    def tick(self, minutes: float) -> None:
        """Let time go on."""
        self.clock.advance(minutes=minutes)

    @rule()
    def restart(self) -> None:
        """End all workers, and open the data again."""
        self.restarted()
        self.hire()

    # --- what is compared ----------------------------------------------------------------

    def _seen_row(self, row: Row, side: int) -> Row:
        """Return a row without what each store counts in its own way."""
        places = {pair[side].id: place for place, pair in enumerate(self.workers)}
        owner = None if row.worker is None else places.get(row.worker, -1)
        return attrs.evolve(row, fence=0, worker=owner)

    def _seen_claim(self, claimed: Claimed, side: int) -> Any:
        row = claimed.row and self._seen_row(claimed.row, side)
        return row, claimed.lease, claimed.sender_dead

    @invariant()
    def look_alike(self) -> None:
        """All rows stand in both as they do in the other, however they are looked for."""
        found, expected = (self._seen(store, side) for side, store in enumerate(self.stores))
        assert expected == found

    def _seen(self, store: Store, side: int) -> Any:
        remotes = tuple((channel, remote) for channel in CHANNELS for remote in REMOTES if remote)
        loaded = store.load(Wanted(replies=("reply-0",), remotes=remotes, channels=CHANNELS))
        return (
            [self._seen_row(row, side) for row in store.find(Outbox()).rows],
            sorted(loaded.rows),
            loaded.channels,
            [row.id for row in store.find(Outbox(overdue=self.clock())).rows],
            [row.id for row in store.find(Outbox(conversation=self.homes[0].id)).rows],
        )
