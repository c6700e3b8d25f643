"""Let tests call an asynchronous store as if it blocked, so that one contract proves both."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from threading import Thread
from typing import Any, TypeVar

from supportflow.events import Recorded
from supportflow.model import CustomerRef
from supportflow.stores import (
    AsyncStore,
    Changes,
    Claimed,
    Loaded,
    Position,
    Query,
    Results,
    Wanted,
    Work,
    Worker,
)

__all__ = ["Blocking"]

T = TypeVar("T")


class Blocking:
    """Run the coroutines of an asynchronous store on an event loop in a thread.

    Args:
        store: The store; it is used on that one loop only, from any thread.

    Example:
        >>> from supportflow.stores.memory import MemoryStore
        >>> from supportflow.stores.threaded import threaded
        >>> store = Blocking(threaded(MemoryStore()))
        >>> store.worker()
        Worker(id=1)
        >>> store.close()
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def load(self, wanted: Wanted) -> Loaded:
        """See `Store.load`."""
        return self._wait(self._store.load(wanted))

    def commit(self, changes: Changes) -> None:
        """See `Store.commit`."""
        self._wait(self._store.commit(changes))

    def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        """See `Store.claim`."""
        return self._wait(self._store.claim(work, worker, limit))

    def begin(self, claimed: Claimed) -> bool:
        """See `Store.begin`."""
        return self._wait(self._store.begin(claimed))

    def find(self, query: Query) -> Results:
        """See `Store.find`."""
        return self._wait(self._store.find(query))

    def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `Store.log`."""
        return self._wait(self._store.log(after, conversation, limit))

    def worker(self) -> Worker:
        """See `Store.worker`."""
        return self._wait(self._store.worker())

    def erase(self, customer: CustomerRef) -> None:
        """See `Store.erase`."""
        self._wait(self._store.erase(customer))

    def close(self) -> None:
        """Close the store; its loop ends with it."""
        if self._thread.is_alive():
            self._wait(self._store.close())
            self._wait(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
