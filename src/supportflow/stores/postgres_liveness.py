"""Who is alive, proved by locks that the server drops with a worker's session.

All workers of a store share one session, which does nothing but hold their locks and commit
what they `begin`: whoever begins to send holds its lock at that moment (RELIABILITY 2.3).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import psycopg

from supportflow.errors import StoreUnavailable
from supportflow.stores.postgres_connections import Connections, close_quietly
from supportflow.stores.postgres_transaction import ConnectionLost
from supportflow.stores.postgres_wire import Steps, Wire

__all__ = ["Liveness"]

T = TypeVar("T")

#: The server, too, notices within half a minute that a worker's host is gone, and never ends an
#: idle session by itself; settings that it doesn't know are left out.
_SETTINGS = (
    "SELECT set_config(s.name, w.value, false) FROM pg_settings AS s JOIN (VALUES"
    " ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'),"
    " ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '25000'),"
    " ('idle_session_timeout', '0'), ('search_path', %s), ('synchronous_commit', 'on'))"
    " AS w (name, value) ON w.name = s.name"
    " WHERE s.name <> 'synchronous_commit' OR s.setting = 'off'"
)
_TAKE = "SELECT pg_try_advisory_lock(%s::integer, %s::integer), pg_backend_pid()"
_HELD = (
    "SELECT pg_backend_pid(), count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
    " AND pid = pg_backend_pid() AND classid = (%s::integer)::oid AND objid = (%s::integer)::oid"
)
#: Who proves a worker dead holds its lock for a moment, also that of one who lives again.
_TRIES, _PAUSE = 10, 0.02


class Liveness:
    """Hold the locks of one store's workers.

    Args:
        wire: How to perform acts.
        connections: Where the session comes from.
        schema: The schema of its tables.
    """

    def __init__(self, wire: Wire, connections: Connections, schema: str) -> None:
        self._wire, self._connections, self._schema = wire, connections, schema
        self._guard = wire.lock()
        self._session: Any = None
        #: The workers whose locks are held.
        self.workers: list[int] = []
        #: The first key of all locks of this store's workers.
        self.key = 0

    def hold(self, worker: int) -> Steps[bool]:
        """Lock a new worker's key; say whether the lock can be relied on.

        It cannot where another session answers the next statement: behind a proxy that lends
        sessions to transactions (https://www.pgbouncer.org/features.html).

        Args:
            worker: Its id, never used before.
        """
        yield self._guard.acquire
        try:
            session = yield from self._opened()
            yield from self._take(session, worker)
            if not (yield from self._is_held(session, worker)):
                yield from self._leave()
                return False
            self.workers.append(worker)
        finally:
            self._guard.release()
        return True

    def use(self, work: Callable[[Any], Steps[T]]) -> Steps[T]:
        """Do something in the session, while it holds all its locks.

        If the session turns out to be lost, it is opened again, and the work done again.

        Args:
            work: What to do with the connection; done a second time, it must do no harm.
        """
        yield self._guard.acquire
        try:
            session = yield from self._opened()
            try:
                return (yield from work(session))
            except (ConnectionLost, psycopg.Error):
                if not session.closed:
                    raise
                yield from self._leave()
            try:
                return (yield from work((yield from self._opened())))
            except ConnectionLost as error:
                raise error.reason from error
        finally:
            self._guard.release()

    def confirm(self) -> Steps[None]:
        """See that the session is there, before its workers take something."""
        if self.workers:
            yield from self.use(_asked)

    def _opened(self) -> Steps[Any]:
        if self._session is not None and not self._session.closed:
            return self._session
        session = yield from self._connections.connect()
        try:
            yield partial(session.execute, _SETTINGS, (self._schema,))
            for worker in self.workers:
                yield from self._take(session, worker)
        except BaseException:
            yield from close_quietly(session)
            raise
        self._session = session
        return session

    def _take(self, session: Any, worker: int) -> Steps[None]:
        for _ in range(_TRIES):
            cursor = yield partial(session.execute, _TAKE, (self.key, worker))
            if (yield partial(cursor.fetchone))[0]:
                return
            yield partial(self._wire.sleep, _PAUSE)
        raise StoreUnavailable(
            f"PostgreSQL still holds the lost session of worker {worker}, and notices its loss"
            " within half a minute: try again then"
        )

    def _is_held(self, session: Any, worker: int) -> Steps[bool]:
        cursor = yield partial(session.execute, _HELD, (self.key, worker))
        pid, held = yield partial(cursor.fetchone)
        return bool(held == 1 and pid == session.info.backend_pid)

    def _leave(self) -> Steps[None]:
        session, self._session = self._session, None
        yield from close_quietly(session)

    def release(self) -> Steps[None]:
        """Let go of all locks, at once and for ever."""
        yield self._guard.acquire
        try:
            self.workers.clear()
            if self._session is not None:
                with suppress(psycopg.Error):  # one that is merely closed ends a moment later
                    yield partial(self._session.execute, "SELECT pg_advisory_unlock_all()")
                yield from self._leave()
        finally:
            self._guard.release()


def _asked(session: Any) -> Steps[None]:
    yield partial(session.execute, "SELECT 1")
