"""Prove that receipts are kept for ever, and that two of one row are a duplicate to report."""

import pytest

from supportflow.stores import Outbox, RowState
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import batch, posting, sent


@pytest.fixture
def store():
    """Return a store with one row to send."""
    store = SQLiteStore(":memory:")
    store.commit(batch(postings=(posting("a"),)))
    yield store
    store.close()


def receipts(store):
    """Return what the table of receipts holds."""
    return store._connection.execute("SELECT remote_id, how FROM receipt").fetchall()


def test_a_second_post_is_kept_and_shown(store):
    """Two receipts with different ids stay in the table, and the row says what happened."""
    store.commit(batch(settlements=(sent("a", "901"),)))
    store.commit(batch(settlements=(sent("a", "902", how="echo"),)))
    [row] = store.find(Outbox()).rows
    assert [("901", "answer"), ("902", "echo")] == receipts(store)
    assert (RowState.sent, "901") == (row.state, row.remote_id)
    assert "the platform has it twice: as 901 and as 902" == row.last_error


def test_the_same_receipt_is_kept_once(store):
    """The answer and its echo are one post."""
    store.commit(batch(settlements=(sent("a", "901"), sent("a", "901", how="echo"))))
    store.commit(batch(settlements=(sent("a", None, how="person"),)))
    [row] = store.find(Outbox()).rows
    assert [("901", "answer")] == receipts(store)
    assert "" == row.last_error


def test_an_id_that_comes_later_is_learned(store):
    """An acceptance without an id is a receipt; the id that an echo brings is added."""
    store.commit(batch(settlements=(sent("a", None),)))
    store.commit(batch(settlements=(sent("a", "901", how="echo"),)))
    [row] = store.find(Outbox()).rows
    assert [(None, "answer"), ("901", "echo")] == receipts(store)
    assert ("901", "") == (row.remote_id, row.last_error)
