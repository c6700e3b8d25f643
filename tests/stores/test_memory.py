"""Prove that the store in memory keeps the contract, and what is its own."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings

from supportflow.errors import Conflict, InvalidValue
from supportflow.stores import Conversations, Outbox, Wanted, Work, WorkKind
from supportflow.stores.memory import MemoryStore
from supportflow.testing import OutboxMachine, StoreContract, StoreMachine
from supportflow.testing.store_samples import CHANNEL, batch, continued, opened, posting


class TestMemoryStore(StoreContract):
    """The contract, kept in this process."""

    @pytest.fixture
    def store(self, clock):
        return MemoryStore(clock)


@pytest.mark.parametrize("kind", [StoreMachine, OutboxMachine])
def test_two_stores_in_memory_are_alike(kind):
    """The oracle agrees with itself: nothing in it depends on anything but what it is asked."""

    class Machine(kind):
        def make(self, clock):
            return MemoryStore(clock)

    Machine.TestCase.settings = settings(max_examples=15, stateful_step_count=30)
    Machine.TestCase().runTest()


def test_the_real_clock_is_the_default():
    """Without a clock, leases end in real time."""
    store = MemoryStore()
    store.commit(batch(postings=(posting("a"),)))
    before = datetime.now(UTC)
    [claimed] = store.claim(Work(WorkKind.send, (CHANNEL,)), store.worker(), 1)
    lease = claimed.row.lease_until - timedelta(seconds=120)
    assert before <= lease <= datetime.now(UTC)


def test_what_was_read_does_not_change():
    """A value that was loaded is the same after others have written."""
    store, first = MemoryStore(), opened()
    store.commit(batch(first, postings=(posting("a"),)))
    rows, page = store.find(Outbox()).rows, store.find(Conversations())
    store.commit(batch(continued(first.after), postings=(posting("b"),)))
    assert ((first.after,), 1) == (page.conversations, len(rows))


def test_a_failed_change_is_taken_back_step_by_step():
    """What one commit changed twice is again as it was before."""
    store, first = MemoryStore(), opened()
    store.commit(batch(first, once={"a": "1"}))
    second = continued(first.after)
    with pytest.raises(Conflict):
        store.commit(batch(second, continued(second.after), once={"b": "2", "a": "3"}))
    with pytest.raises(InvalidValue):
        store.commit(batch(second, once={"c": "\0"}))
    assert (
        first.after
        == store.load(Wanted(conversations=(first.after.id,))).conversations[first.after.id]
    )
    assert {"a": "1"} == store.load(Wanted(once=("a", "b", "c"))).once
    store.commit(batch(second, once={"b": "2"}))


def test_a_foreign_claim_does_not_begin():
    """A claim of another store's row is no reason to send."""
    store, other = MemoryStore(), MemoryStore()
    other.commit(batch(postings=(posting("a"),)))
    [claimed] = other.claim(Work(WorkKind.send, (CHANNEL,)), other.worker(), 1)
    assert not store.begin(claimed)
