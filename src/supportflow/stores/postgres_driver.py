"""Running programs on PostgreSQL: opened once, tried again where that is safe, errors explained."""

from __future__ import annotations

import os
import random
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg

from supportflow.errors import InvalidValue, StoreUnavailable
from supportflow.stores.postgres_connections import Connections
from supportflow.stores.postgres_errors import explained, parsed, shown, transient
from supportflow.stores.postgres_liveness import Liveness
from supportflow.stores.postgres_schema import check_server, migrate
from supportflow.stores.postgres_sql import ALONE, Opening, key_of
from supportflow.stores.postgres_transaction import CommitLost, ConnectionLost, transaction
from supportflow.stores.postgres_wire import Steps, Wire
from supportflow.stores.sql import Program

__all__ = ["Driver"]

T = TypeVar("T")

#: How often a transaction that met others is tried, and the longest pause before the second
#: try, in seconds; it doubles with each.
_TRIES, _PAUSE = 8, 0.02


class Driver:
    """Run programs on one schema of one database.

    Args:
        wire: How to perform acts.
        dsn: Where the database is.
        schema: The schema of its tables.
        connections: How many transactions may run at the same time.
        patience: How long one waits for a connection, in seconds.

    Raises:
        InvalidValue: If an argument cannot be used.
    """

    def __init__(
        self, wire: Wire, dsn: str, schema: str, connections: int, patience: float
    ) -> None:
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", schema):
            raise InvalidValue(
                f"schema is {schema!r}; use up to 63 lower-case letters, digits and underscores"
            )
        if connections < 1:
            raise InvalidValue(f"connections is {connections}; a store needs at least 1")
        self._wire, self._schema, self._settings = wire, schema, parsed(dsn)
        self.shown = " ".join(filter(None, (shown(self._settings), f"schema={schema}")))
        self._connections = Connections(wire, self._settings, connections, patience)
        self._liveness = Liveness(wire, self._connections, schema)
        self._opening = wire.lock()
        self._ready = self._closed = False
        self._process = os.getpid()

    def open(self) -> Steps[None]:
        """Connect, and bring the schema up to date, unless that is done.

        Raises:
            StoreUnavailable: If that cannot be done now.
            StoreCorrupt: If the tables are not ours.
            SchemaTooNew: If a newer supportflow made them.
        """
        self._check_usable()
        if self._ready:
            return
        yield self._opening.acquire
        try:
            if not self._ready:
                yield from self._guarded(self._prepared())
                self._ready = True
        except BaseException:
            yield from self._connections.renew()  # nobody closes what could not be opened
            raise
        finally:
            self._opening.release()

    def run(self, opening: Opening, make: Callable[[], Program[T]]) -> Steps[T]:
        """Run a program in one transaction.

        It is run again if it met others (deadlocks) or its connection was lost, also where the
        answer to its COMMIT was lost: if that had been done, versions and keys make the second
        try a conflict, and whoever decided reads again. (`pg_xact_status` would say how it ended,
        but after a crash the server may give the same id to another transaction.)

        Args:
            opening: How the transaction begins.
            make: Makes the program.

        Raises:
            StoreUnavailable: If it cannot be done now.
        """
        yield from self.open()
        return (yield from self._guarded(self._tried(opening, make)))

    def run_alive(self, opening: Opening, make: Callable[[], Program[T]]) -> Steps[T]:
        """Run one statement on the session that holds the locks of this store's workers.

        Args:
            opening: How a transaction begins where there is no such session.
            make: Makes the program, of one statement; run twice, it must do no harm.
        """
        yield from self.open()
        if not self._liveness.workers:
            return (yield from self.run(opening, make))

        def work(session: Any) -> Steps[T]:
            return transaction(self._wire, session, ALONE, make())

        return (yield from self._guarded(self._liveness.use(work)))

    def hold(self, worker: int) -> Steps[bool]:
        """Hold a new worker's lock until `close`; False if no lock can be relied on.

        Args:
            worker: Its id, never used before.
        """
        yield from self.open()
        return (yield from self._guarded(self._liveness.hold(worker)))

    def confirm(self) -> Steps[None]:
        """See that this store's workers hold their locks."""
        yield from self.open()
        yield from self._guarded(self._liveness.confirm())

    def close(self) -> Steps[None]:
        """Let go of connections and locks; in a forked process, they are the parent's."""
        if not self._closed and self._process == os.getpid():
            self._closed = True
            yield from self._liveness.release()
            yield from self._connections.close()
        self._closed = True

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the store on {self.shown} was closed: open a new one")
        if self._process != os.getpid():
            raise StoreUnavailable(
                f"the store on {self.shown} was opened in process {self._process} and is used in"
                f" {os.getpid()}: open a store in each process, after the fork"
            )

    def _guarded(self, steps: Steps[T]) -> Steps[T]:
        """Turn psycopg's errors into ours; what constraints refuse, the caller explains."""
        try:
            return (yield from steps)
        except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation):
            raise
        except psycopg.Error as error:
            raise explained(error, self._settings) from None  # whose text may hold a password
        except (UnicodeEncodeError, OverflowError, struct.error) as error:
            raise InvalidValue(f"PostgreSQL cannot store this: {error}") from error

    def _prepared(self) -> Steps[None]:
        connection = yield from self._connections.lend()
        try:
            cursor = yield partial(
                connection.execute, "SELECT pg_backend_pid(), current_setting('server_encoding')"
            )
            pid, encoding = yield partial(cursor.fetchone)
            check_server(connection.info.server_version, encoding, self.shown)
            if pid != connection.info.backend_pid:  # a proxy: no statement stays prepared
                self._connections.prepare = False
                connection.prepare_threshold = None
            yield from migrate(connection, self._schema, self.shown)
            key = key_of(f'"{self._schema}".worker')
            cursor = yield partial(connection.execute, f"SELECT {key}")
            (self._liveness.key,) = yield partial(cursor.fetchone)
        finally:
            yield from self._connections.give_back(connection)

    def _tried(self, opening: Opening, make: Callable[[], Program[T]]) -> Steps[T]:
        number, doubt = 0, False
        while True:
            try:
                return (yield from self._attempt(opening, make()))
            except ConnectionLost as error:
                yield from self._connections.renew()
                doubt, reason = doubt or isinstance(error, CommitLost), error.reason
            except psycopg.Error as error:
                starting = doubt and isinstance(error, psycopg.OperationalError)
                if not (starting or transient(error)):
                    raise
                reason = error
            number += 1
            if number == _TRIES:
                raise self._in_doubt() if doubt else reason
            yield partial(self._wire.sleep, random.uniform(0, _PAUSE * 2**number))  # noqa: S311  jitter

    def _in_doubt(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"PostgreSQL ({self.shown}) was lost at the moment of a commit, and did not come back to"
            " say how it ended: do it again (what has a key, and every message, is kept once)"
        )

    def _attempt(self, opening: Opening, program: Program[T]) -> Steps[T]:
        connection = yield from self._connections.lend()
        try:
            return (
                yield from transaction(self._wire, connection, opening, program, self._liveness.key)
            )
        finally:
            yield from self._connections.give_back(connection)
