"""Prove that a blocking store serves an event loop, by the same contract."""

import asyncio
import threading

import pytest

from supportflow.stores import Wanted
from supportflow.stores.memory import MemoryStore
from supportflow.stores.threaded import threaded
from supportflow.testing import Blocking, StoreContract


class TestThreadedStore(StoreContract):
    """The contract, asked through an event loop."""

    @pytest.fixture
    def kept(self, clock):
        return MemoryStore(clock)

    @pytest.fixture
    def reopen(self, kept):
        opened = []

        def make():
            opened.append(Blocking(threaded(kept)))
            return opened[-1]

        yield make
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, reopen):
        return reopen()


def test_the_loop_goes_on_while_the_store_blocks():
    """While one call waits for the database, other coroutines run."""
    entered, leave = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def load(self, wanted):
            entered.set()
            assert leave.wait(10)
            return super().load(wanted)

    async def main():
        loading = asyncio.create_task(threaded(Slow()).load(Wanted()))
        assert await asyncio.to_thread(entered.wait, 10)
        assert not loading.done()
        leave.set()
        return await loading

    assert {} == asyncio.run(main()).once


def test_an_asynchronous_store_is_refused():
    """Wrapping twice is a mistake that is named at once."""
    with pytest.raises(TypeError, match="asynchronous already"):
        threaded(threaded(MemoryStore()))


def test_it_says_what_it_wraps():
    """A log line shows the store behind the threads."""
    store = MemoryStore()
    assert f"threaded({store!r})" == repr(threaded(store))
