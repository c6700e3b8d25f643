"""The store for several hosts: one PostgreSQL, for any number of processes and threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from supportflow.errors import MissingExtra
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

try:
    from supportflow.stores.postgres_core import Core
    from supportflow.stores.postgres_driver import Driver
    from supportflow.stores.postgres_sql import Openings
    from supportflow.stores.postgres_wire import Loop, Threads, Wire
except ModuleNotFoundError as _error:
    if _error.name and _error.name.split(".")[0] in {"psycopg", "psycopg_binary"}:
        raise MissingExtra("PostgresStore", "postgres") from _error
    raise

__all__ = ["AsyncPostgresStore", "PostgresStore"]

_PATIENCE = timedelta(seconds=10)


def _core(
    wire: Wire,
    dsn: str,
    clock: Callable[[], datetime] | None,
    schema: str,
    connections: int,
    patience: timedelta,
) -> Core:
    driver = Driver(wire, dsn, schema, connections, patience.total_seconds())
    return Core(driver, Openings.of(schema), clock)


class PostgresStore:
    """Keep everything in one schema of a PostgreSQL database (version 13 or newer).

    Threads may share a store; every process opens its own, after it was forked. One more
    connection holds the locks of its workers: connect directly, not through a proxy that lends
    sessions to transactions, so that a dead worker's work is taken over at once.

    Args:
        dsn: Where the database is: `postgresql://user:password@host:5432/database`, or
            key=value pairs; what it leaves out comes from the environment, as in libpq
            (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING).
        clock: Returns the time (aware) for leases and the outbox; None for the database's.
        schema: The schema of its tables, made if it does not exist.
        connections: How many transactions may run at the same time.
        patience: How long one waits for a connection.

    Raises:
        InvalidValue: If an argument cannot be used.
        MissingExtra: If psycopg is not installed.
        StoreUnavailable: If the server cannot be reached, refuses us, or is too old.
        StoreCorrupt: If the schema is another program's.
        SchemaTooNew: If a newer supportflow wrote it.

    Example::

        store = PostgresStore("postgresql://support@db.example.com/support")
    """

    def __init__(
        self,
        dsn: str,
        clock: Callable[[], datetime] | None = None,
        *,
        schema: str = "supportflow",
        connections: int = 10,
        patience: timedelta = _PATIENCE,
    ) -> None:
        self._wire = Threads()
        self._core = _core(self._wire, dsn, clock, schema, connections, patience)
        self._wire.run(self._core.driver.open())

    def __repr__(self) -> str:
        return f"PostgresStore({self._core.driver.shown!r})"

    def load(self, wanted: Wanted) -> Loaded:
        """See `Store.load`."""
        return self._wire.run(self._core.load(wanted))

    def commit(self, changes: Changes) -> None:
        """See `Store.commit`.

        Raises:
            Conflict: If something is not as expected.
            InvalidValue: If something in it cannot be stored.
            StoreUnavailable: If the server cannot do it now. Nothing was changed, unless the
                message says that the end of the commit is not known.
        """
        self._wire.run(self._core.commit(changes))

    def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        """See `Store.claim`."""
        return self._wire.run(self._core.claim(work, worker, limit))

    def begin(self, claimed: Claimed) -> bool:
        """See `Store.begin`."""
        return self._wire.run(self._core.begin(claimed))

    def find(self, query: Query) -> Results:
        """See `Store.find`."""
        return self._wire.run(self._core.find(query))

    def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `Store.log`; nothing that is committed later comes before a position returned."""
        return self._wire.run(self._core.log(after, conversation, limit))

    def worker(self) -> Worker:
        """See `Store.worker`."""
        return self._wire.run(self._core.worker())

    def erase(self, customer: CustomerRef) -> None:
        """Blank every word of a customer, and pseudonymise their ids.

        No query shows them any more. Their bytes stay in dead rows until the tables are
        vacuumed, and in the write-ahead log, its archives and backups until these expire.

        Args:
            customer: Who is erased.
        """
        self._wire.run(self._core.erase(customer))

    def close(self) -> None:
        """Let go of connections and the workers' locks; call it when nothing is being sent."""
        self._wire.run(self._core.driver.close())


class AsyncPostgresStore:
    """Keep everything as `PostgresStore` does, on an event loop.

    It connects when it is first used, and belongs to the loop that uses it first. On Windows,
    that must be a selector loop (https://www.psycopg.org/psycopg3/docs/advanced/async.html).

    Args:
        dsn: As in `PostgresStore`.
        clock: As in `PostgresStore`.
        schema: As in `PostgresStore`.
        connections: As in `PostgresStore`.
        patience: As in `PostgresStore`.

    Raises:
        InvalidValue: If an argument cannot be used.
        MissingExtra: If psycopg is not installed.
    """

    def __init__(
        self,
        dsn: str,
        clock: Callable[[], datetime] | None = None,
        *,
        schema: str = "supportflow",
        connections: int = 10,
        patience: timedelta = _PATIENCE,
    ) -> None:
        self._wire = Loop()
        self._core = _core(self._wire, dsn, clock, schema, connections, patience)

    def __repr__(self) -> str:
        return f"AsyncPostgresStore({self._core.driver.shown!r})"

    async def load(self, wanted: Wanted) -> Loaded:
        """See `Store.load`."""
        return await self._wire.run(self._core.load(wanted))

    async def commit(self, changes: Changes) -> None:
        """See `PostgresStore.commit`."""
        await self._wire.run(self._core.commit(changes))

    async def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        """See `Store.claim`."""
        return await self._wire.run(self._core.claim(work, worker, limit))

    async def begin(self, claimed: Claimed) -> bool:
        """See `Store.begin`."""
        return await self._wire.run(self._core.begin(claimed))

    async def find(self, query: Query) -> Results:
        """See `Store.find`."""
        return await self._wire.run(self._core.find(query))

    async def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `PostgresStore.log`."""
        return await self._wire.run(self._core.log(after, conversation, limit))

    async def worker(self) -> Worker:
        """See `Store.worker`."""
        return await self._wire.run(self._core.worker())

    async def erase(self, customer: CustomerRef) -> None:
        """See `PostgresStore.erase`."""
        await self._wire.run(self._core.erase(customer))

    async def close(self) -> None:
        """See `PostgresStore.close`."""
        await self._wire.run(self._core.driver.close())
