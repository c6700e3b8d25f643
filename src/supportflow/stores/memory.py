"""Keep everything in memory: for tests and trials, and as the oracle of other stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from supportflow.events import Recorded
from supportflow.model import CustomerRef
from supportflow.stores import (
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
from supportflow.stores.memory_claim import begin, claim
from supportflow.stores.memory_commit import commit, erase
from supportflow.stores.memory_read import find, load, log
from supportflow.stores.memory_tables import Tables

__all__ = ["MemoryStore"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """Keep everything in this process, for as long as it lives.

    Threads may share it. What other stores could not keep is refused here too.

    Args:
        clock: Returns the time (aware) for leases and the outbox; None for the real one.

    Example:
        >>> from supportflow.stores import Changes, Wanted
        >>> store = MemoryStore()
        >>> store.commit(Changes(datetime.now(UTC), once={"reply:7": "done"}))
        >>> store.load(Wanted(once=("reply:7", "reply:8"))).once
        {'reply:7': 'done'}
    """

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self._now = clock or _utc_now
        self._tables = Tables()

    def load(self, wanted: Wanted) -> Loaded:
        """See `Store.load`."""
        with self._tables.transaction():
            return load(self._tables, wanted)

    def commit(self, changes: Changes) -> None:
        """See `Store.commit`."""
        with self._tables.transaction():
            commit(self._tables, changes)

    def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        """See `Store.claim`."""
        with self._tables.transaction():
            return claim(self._tables, work, worker, limit, self._now())

    def begin(self, claimed: Claimed) -> bool:
        """See `Store.begin`."""
        with self._tables.transaction():
            return begin(self._tables, claimed, self._now())

    def find(self, query: Query) -> Results:
        """See `Store.find`."""
        with self._tables.transaction():
            return find(self._tables, query, self._now())

    def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `Store.log`."""
        with self._tables.transaction():
            return log(self._tables, after, conversation, limit)

    def worker(self) -> Worker:
        """See `Store.worker`."""
        with self._tables.transaction():
            worker = Worker(len(self._tables.alive) + 1)
            self._tables.alive[worker.id] = True
            return worker

    def erase(self, customer: CustomerRef) -> None:
        """See `Store.erase`."""
        with self._tables.transaction():
            erase(self._tables, customer, self._now())

    def close(self) -> None:
        """Let its workers go, as if their process had ended; what is kept stays."""
        with self._tables.transaction():
            for worker in list(self._tables.alive):
                self._tables.alive[worker] = False
