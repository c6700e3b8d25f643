"""Prove that an asynchronous store can be asked as if it blocked."""

import threading

import pytest

from supportflow.errors import Conflict
from supportflow.stores import Wanted
from supportflow.stores.memory import MemoryStore
from supportflow.stores.threaded import threaded
from supportflow.testing import Blocking
from supportflow.testing.store_samples import batch


@pytest.fixture
def store():
    """Return a store in threads, asked as if it blocked."""
    blocking = Blocking(threaded(MemoryStore()))
    yield blocking
    blocking.close()


def test_errors_come_through(store):
    """What the coroutine raises is raised here."""
    store.commit(batch(once={"a": "1"}))
    with pytest.raises(Conflict, match="once-key 'a'"):
        store.commit(batch(once={"a": "2"}))
    assert {"a": "1"} == store.load(Wanted(once=("a",))).once


def test_closing_ends_the_loop():
    """No thread stays behind, and closing twice is no mistake."""
    before = threading.active_count()
    store = Blocking(threaded(MemoryStore()))
    store.worker()
    store.close()
    store.close()
    assert before == threading.active_count()
