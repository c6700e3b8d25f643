"""One transaction: a program's statements on one connection, all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from supportflow.stores.postgres_connections import close_quietly
from supportflow.stores.postgres_sql import DEAD, Opening, copied, joined, translated
from supportflow.stores.postgres_wire import Steps, Wire
from supportflow.stores.sql import Dead, Program, Result, Statement

__all__ = ["CommitLost", "ConnectionLost", "transaction"]

T = TypeVar("T")

#: From how many rows on COPY, with its two round trips, is quicker than arrays.
_COPIED = 40


class ConnectionLost(Exception):
    """Say that the connection ended, and the transaction with it.

    Args:
        reason: What psycopg said.
    """

    def __init__(self, reason: psycopg.Error) -> None:
        self.reason = reason
        super().__init__(reason)


class CommitLost(ConnectionLost):
    """Say that the connection ended before the answer to COMMIT came."""


def transaction(
    wire: Wire, connection: Any, opening: Opening, program: Program[T], key: int = 0
) -> Steps[T]:
    """Run a program in one transaction, which is taken back whatever goes wrong.

    Args:
        wire: How to perform acts.
        connection: A connection without a transaction.
        opening: How it begins.
        program: What it does.
        key: The first key of the workers' locks.

    Raises:
        ConnectionLost: If the connection ended; `CommitLost` if nobody knows how the
            transaction did.
    """
    ended = False
    try:
        statements = _Statements(wire, connection, key, opening)
        value = yield from statements.of(program)
        if opening.statements:
            yield from statements.arrive()
            ended = True
            yield from statements.execute("COMMIT")
    except psycopg.Error as error:
        if not connection.closed:
            yield from _taken_back(connection)
            raise
        raise (CommitLost if ended else ConnectionLost)(error) from error
    except Exception:
        yield from _taken_back(connection)
        raise
    except BaseException:  # interrupted or cancelled: what is on its way is not waited for
        yield from close_quietly(connection)
        raise
    return value


def _taken_back(connection: Any) -> Steps[None]:
    if connection.closed or connection.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        # Prepared, it lets psycopg forget what it takes for prepared: what comes after a statement
        # that fails in a pipeline is not.
        yield partial(connection.execute, "ROLLBACK", prepare=True)
    except psycopg.Error:  # the error that led here says more
        yield from close_quietly(connection)


class _Statements:
    """Execute statements in their order, those that nobody waits for together with the next."""

    def __init__(self, wire: Wire, connection: Any, key: int, opening: Opening) -> None:
        self._wire, self._connection, self._key = wire, connection, key
        self._waiting: list[Sequence[Any]] = [(text,) for text in opening.statements]
        self._arrived = False

    def of(self, program: Program[T]) -> Steps[T]:
        """Answer what a program asks, and return its result."""
        try:
            asked = next(program)
            while True:
                asked = program.send((yield from self._answer(asked)))
        except StopIteration as done:
            value: T = done.value
            return value

    def execute(self, *asked: Any) -> Steps[Any]:
        """Execute one statement after those that wait, and return its cursor."""
        self._arrived = True
        if not self._waiting:
            return (yield partial(self._connection.execute, *asked))
        batch, self._waiting = [*self._waiting, asked], []
        return (yield from self._together(batch))

    def arrive(self) -> Steps[None]:
        """Reach the server: whose connection was lost before learns it here, and not at its COMMIT."""
        if not self._arrived:
            yield from self.execute(*self._waiting.pop())

    def _together(self, batch: Sequence[Sequence[Any]]) -> Steps[Any]:
        """Execute statements in one round trip; return the cursor of the last."""
        pipeline, failed, cursor = self._connection.pipeline(), None, None
        yield partial(self._wire.enter_pipeline, pipeline)
        try:
            for asked in batch:
                cursor = yield partial(self._connection.execute, *asked)
        except psycopg.Error as error:
            failed = error
        try:
            yield partial(self._wire.leave_pipeline, pipeline)
        except psycopg.Error as error:
            failed = failed or error
        if failed is not None:
            raise failed
        return cursor

    def _answer(self, asked: Statement | Dead) -> Steps[Result]:
        if isinstance(asked, Dead):
            cursor = yield from self.execute(DEAD, (list(asked.workers), self._key))
        elif asked.many:
            return (yield from self._many(asked))
        else:
            cursor = yield from self.execute(translated(asked.sql), asked.params)
        rows = (yield partial(cursor.fetchall)) if cursor.description else []
        return Result(rows, cursor.rowcount)

    def _many(self, asked: Statement) -> Steps[Result]:
        """Write many new rows by COPY, fewer and changes joined to arrays, others one by one."""
        rows = asked.params
        if len(rows) >= _COPIED and (copy := copied(asked.sql)):
            if self._waiting:
                yield from self.execute(*self._waiting.pop())
            yield partial(self._wire.copy, self._connection, copy, rows)
        elif len(rows) > 1 and (once := joined(asked.sql, rows)):
            self._waiting.append(once)
        else:
            self._waiting += [(translated(asked.sql), row) for row in rows]
        return Result([], 0)
