"""The embedded store: one SQLite file, for one process or several on one machine."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from threading import RLock
from typing import TypeVar

import attrs

from supportflow.errors import Conflict, StoreUnavailable
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
    sql_claim,
)
from supportflow.stores.liveness import FileLocks
from supportflow.stores.sql import Dead, Dialect, Program, Result, Statement, micros
from supportflow.stores.sql_commit import commit, conflicting
from supportflow.stores.sql_erase import erase
from supportflow.stores.sql_find import find, log
from supportflow.stores.sql_load import load
from supportflow.stores.sqlite_files import MEMORY, connect, explained

__all__ = ["SQLITE", "SQLiteStore"]

T = TypeVar("T")

#: SQLite's words; `BEGIN IMMEDIATE` lets one writer in, so that nothing needs row locks.
SQLITE = Dialect(
    now="CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000",
    each="json_each(?) AS w",
    each_id="json_each(?) AS w",
    array=lambda values: json.dumps(list(values)),
    lock="",
    skip_locked="",
    within="instr",
    fresh_ids=(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " SELECT i + (SELECT coalesce(max(id), 0) FROM conversation) FROM n"
    ),
)


class SQLiteStore:
    """Keep everything in one SQLite file, durably (WAL, `synchronous=FULL`).

    Threads may share a store; every process opens its own, after it was forked. Beside the
    file stand SQLite's `-wal` and `-shm`, and one `.worker-N.lock` for each running worker.
    A network file system cannot hold it (https://www.sqlite.org/wal.html#overview).

    Args:
        path: The file, made if it does not exist; `":memory:"` keeps it in this process.
        clock: Returns the time (aware) for leases and the outbox; None for the database's.

    Raises:
        StoreUnavailable: If the file cannot be opened, read or written.
        StoreCorrupt: If it is damaged, or another program's.
        SchemaTooNew: If a newer supportflow wrote it.

    Example:
        >>> store = SQLiteStore(":memory:")
        >>> store.load(Wanted(once=("greeting",))).once
        {}
        >>> store.close()
    """

    def __init__(
        self, path: str | os.PathLike[str], clock: Callable[[], datetime] | None = None
    ) -> None:
        self._path = os.fspath(path)
        self._clock = clock
        self._lock = RLock()
        self._process = os.getpid()
        self._closed = False
        self._connection = connect(self._path)
        self._locks = FileLocks(None if self._path == MEMORY else self._path)

    def __repr__(self) -> str:
        return f"SQLiteStore({self._path!r})"

    def load(self, wanted: Wanted) -> Loaded:
        """See `Store.load`."""
        return self._run("BEGIN", load(self._dialect(), wanted))

    def commit(self, changes: Changes) -> None:
        """See `Store.commit`.

        Raises:
            Conflict: If something is not as expected.
            InvalidValue: If something in it cannot be stored.
            StoreUnavailable: If the file cannot be written now; nothing was changed.
        """
        try:
            self._run("BEGIN IMMEDIATE", commit(self._dialect(), changes))
        except sqlite3.IntegrityError as error:
            what = self._run("BEGIN", conflicting(self._dialect(), changes))
            raise Conflict(f"{what}: read again, decide again") from error

    def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        """See `Store.claim`."""
        return self._run("BEGIN IMMEDIATE", sql_claim.claim(self._dialect(), work, worker, limit))

    def begin(self, claimed: Claimed) -> bool:
        """See `Store.begin`."""
        return self._run("BEGIN IMMEDIATE", sql_claim.begin(self._dialect(), claimed))

    def find(self, query: Query) -> Results:
        """See `Store.find`."""
        return self._run("BEGIN", find(self._dialect(), query))

    def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `Store.log`."""
        return self._run("BEGIN", log(after, conversation, limit))

    def worker(self) -> Worker:
        """See `Store.worker`."""
        worker = self._run("BEGIN IMMEDIATE", sql_claim.new_worker(self._dialect()))
        try:
            self._locks.hold(worker.id)
        except OSError as error:
            raise StoreUnavailable(
                f"the lock file of worker {worker.id} cannot be made beside {self._path}"
                f" ({error}): make its directory writable"
            ) from error
        return worker

    def erase(self, customer: CustomerRef) -> None:
        """Blank every word of a customer, pseudonymise their ids, and rewrite the file.

        What was overwritten would stay readable in the file's free space and in its log, so
        the file is written anew: this needs up to twice its size of free disk, and takes
        time with its size (https://www.sqlite.org/lang_vacuum.html).

        A thread's id stays where other customers' conversations in it hold it.

        Args:
            customer: Who is erased.

        Raises:
            StoreUnavailable: If it cannot be done now; erase again, also if the message
                says that only the file's free space is left to clean.
        """
        with self._lock:
            self._run("BEGIN IMMEDIATE", erase(self._dialect(), customer))
            try:
                with explained(self._path):
                    self._connection.execute("VACUUM")
                    self._truncate_log()
            except StoreUnavailable as error:
                raise StoreUnavailable(
                    "the customer is erased, but free space of the file may still hold old words:"
                    f" erase again when this is put right: {error}"
                ) from error

    def close(self) -> None:
        """Let go of the file and the workers' locks; call it when nothing is being sent.

        In a forked process it does nothing: the file belongs to the one that opened it.
        """
        with self._lock:
            if not self._closed and self._process == os.getpid():
                self._connection.close()
                self._locks.release()
            self._closed = True

    def _dialect(self) -> Dialect:
        if self._clock is None:
            return SQLITE
        return attrs.evolve(SQLITE, now=str(micros(self._clock())))

    def _run(self, begin: str, program: Program[T]) -> T:
        """Run a program in one transaction, which is taken back whatever goes wrong."""
        with self._lock, explained(self._path):
            self._check_usable()
            self._connection.execute(begin)
            try:
                value = self._answered(program)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # the error that led here says more
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                raise
        return value

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the store on {self._path} was closed: open a new one")
        if self._process != os.getpid():
            raise StoreUnavailable(
                f"the store on {self._path} was opened in process {self._process} and is used in"
                f" {os.getpid()}: open a store in each process, after the fork"
            )

    def _answered(self, program: Program[T]) -> T:
        try:
            asked = next(program)
            while True:
                asked = program.send(self._answer(asked))
        except StopIteration as done:
            value: T = done.value
            return value

    def _answer(self, asked: Statement | Dead) -> Result:
        if isinstance(asked, Dead):
            return Result([(worker,) for worker in self._locks.dead(asked.workers)], 0)
        execute = self._connection.executemany if asked.many else self._connection.execute
        cursor = execute(asked.sql, asked.params)
        return Result(cursor.fetchall(), cursor.rowcount)

    def _truncate_log(self) -> None:
        ((busy, _, _),) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise StoreUnavailable(f"{self._path} is being read by another process")
