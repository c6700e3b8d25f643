"""Contract of stores: a store says how it is, and how far behind its workers are."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from datetime import timedelta

from supportflow.stores import RowState, Settlement, Store, StoreVitals, Vitals, Work, WorkKind
from supportflow.testing.clock import FakeClock
from supportflow.testing.store_samples import (
    CHANNEL,
    START,
    at,
    batch,
    opened,
    posting,
    quarantined,
)

__all__ = ["VitalsContract"]


def _vitals(store: Store) -> StoreVitals:
    found = store.find(Vitals()).vitals
    assert found is not None
    return found


class VitalsContract:
    """Prove what a store says of itself."""

    def test_an_empty_store_lags_behind_nothing(self, store: Store, clock: FakeClock) -> None:
        """Nothing waits; the time is the store's own, and the schema a whole number."""
        found = _vitals(store)
        assert found == StoreVitals(found.now, found.schema)
        assert abs(found.now - clock()) < timedelta(seconds=1)
        assert found.schema >= 0

    def test_what_lags_is_counted_and_dated(self, store: Store, clock: FakeClock) -> None:
        """Due and later rows, unknown, held and overdue ones, clocks and customers are told apart."""
        clock.set(at(10))
        store.commit(
            batch(
                opened("waits", waiting_since=at(3)),
                opened("longer", minute=1, waiting_since=at(2), next_due_at=at(9)),
                opened("later", minute=2, next_due_at=at(11)),
                opened("idle", minute=3),
                postings=(
                    posting("due", not_before=at(4), deadline=at(9)),
                    posting("due-too", not_before=at(5)),
                    posting("later", not_before=at(11)),
                    posting("held", hold="look at it", not_before=at(1)),
                    posting("gone", deadline=at(1)),
                ),
                quarantine=(quarantined("one"), quarantined("two")),
            )
        )
        store.commit(batch(replayed=("two",), settlements=(_cancelled("gone"),)))
        assert _vitals(store) == StoreVitals(
            at(10),
            _vitals(store).schema,
            pending=3,
            pending_since=at(4),
            held=1,
            overdue=1,
            due_since=at(9),
            unanswered_since=at(2),
            quarantined=1,
        )

    def test_what_may_be_there_is_dated_by_its_sending(
        self, store: Store, clock: FakeClock
    ) -> None:
        """An unknown row counts from its first attempt, whatever became of it since."""
        clock.set(START)
        store.commit(batch(postings=(posting("doubt"),)))
        worker = store.worker()
        (claimed,) = store.claim(Work(WorkKind.send, (CHANNEL,)), worker, 1)
        clock.set(at(1))
        assert store.begin(claimed)
        store.commit(batch(settlements=(Settlement("doubt", claimed.fence, RowState.unknown),)))
        clock.set(at(5))
        found = _vitals(store)
        assert (found.pending, found.unknown, found.unknown_since) == (0, 1, at(1))


def _cancelled(row: str) -> Settlement:
    return Settlement(row, 0, RowState.cancelled)
