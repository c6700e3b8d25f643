"""Let a store that blocks serve an event loop: every call runs in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence

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
    Store,
    Wanted,
    Work,
    Worker,
)

__all__ = ["threaded"]


def threaded(store: Store) -> AsyncStore:
    """Return a store whose methods are awaited and run in threads.

    Cancelling an await does not stop its thread: what it commits may still happen, as with
    any commit whose answer is lost.

    Args:
        store: A store that blocks and may be used from several threads.

    Raises:
        TypeError: If it is asynchronous already.

    Example:
        >>> from supportflow.stores.memory import MemoryStore
        >>> store = threaded(MemoryStore())
        >>> asyncio.run(store.load(Wanted(once=("reply:7",)))).once
        {}
    """
    if inspect.iscoroutinefunction(store.load):
        raise TypeError(f"{type(store).__name__} is asynchronous already: pass it as it is")
    return _Threaded(store)


class _Threaded:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"threaded({self._store!r})"

    async def load(self, wanted: Wanted) -> Loaded:
        return await asyncio.to_thread(self._store.load, wanted)

    async def commit(self, changes: Changes) -> None:
        await asyncio.to_thread(self._store.commit, changes)

    async def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        return await asyncio.to_thread(self._store.claim, work, worker, limit)

    async def begin(self, claimed: Claimed) -> bool:
        return await asyncio.to_thread(self._store.begin, claimed)

    async def find(self, query: Query) -> Results:
        return await asyncio.to_thread(self._store.find, query)

    async def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        return await asyncio.to_thread(self._store.log, after, conversation, limit)

    async def worker(self) -> Worker:
        return await asyncio.to_thread(self._store.worker)

    async def erase(self, customer: CustomerRef) -> None:
        await asyncio.to_thread(self._store.erase, customer)

    async def close(self) -> None:
        await asyncio.to_thread(self._store.close)
