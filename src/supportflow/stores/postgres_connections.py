"""A bounded number of connections, made when they are needed and lent to one transaction at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from supportflow.errors import StoreUnavailable
from supportflow.stores.postgres_errors import shown
from supportflow.stores.postgres_wire import Steps, Wire

__all__ = ["Connections", "close_quietly"]

#: A server or network that is gone is noticed within half a minute (libpq's parameters,
#: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
_DEFAULTS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "client_encoding": "utf8",
    "fallback_application_name": "supportflow",
}


def close_quietly(connection: Any) -> Steps[None]:
    """Close a connection, whatever state it is in.

    Args:
        connection: The connection.
    """
    with suppress(psycopg.Error):
        yield partial(connection.close)


class Connections:
    """Lend connections to one server.

    psycopg's own pool is not used: it would answer a wrong password after its whole timeout,
    with less of a reason, and wait for its background threads to notice that a server is back.

    Args:
        wire: How to perform acts.
        settings: The parts of the DSN.
        places: How many connections may be lent at the same time.
        patience: How long to wait for one, in seconds.
    """

    def __init__(
        self, wire: Wire, settings: Mapping[str, Any], places: int, patience: float
    ) -> None:
        self._wire, self._settings = wire, settings
        self._places, self._patience = places, patience
        self._gate = wire.gate(places)
        self._idle: list[Any] = []
        self._closed = False
        #: False behind a proxy, where the next statement may go to another session.
        self.prepare = True

    def connect(self) -> Steps[Any]:
        """Return a new connection that is not counted."""
        settings = {**_DEFAULTS, **self._settings}
        connection = yield partial(self._wire.connect, **settings)
        if not self.prepare:
            connection.prepare_threshold = None
        return connection

    def lend(self) -> Steps[Any]:
        """Return a connection, which must be given back.

        Raises:
            StoreUnavailable: If all of them are busy for too long.
        """
        if not (yield partial(self._wire.enter, self._gate, self._patience)):
            raise StoreUnavailable(
                f"PostgreSQL ({shown(self._settings)}): all {self._places} connections were busy"
                f" for {self._patience:g} seconds: give the store more `connections`, or ask less"
                " of it at once"
            )
        try:
            return self._taken() or (yield from self.connect())
        except BaseException:
            self._gate.release()
            raise

    def _taken(self) -> Any:
        """Return an idle connection, if another thread was not quicker."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def give_back(self, connection: Any) -> Steps[None]:
        """Take a connection back.

        Args:
            connection: One that was lent.
        """
        try:
            at_rest = connection.info.transaction_status == TransactionStatus.IDLE
            if at_rest and not self._closed:
                self._idle.append(connection)
            else:
                yield from close_quietly(connection)
        finally:
            self._gate.release()

    def renew(self) -> Steps[None]:
        """Close the idle connections: where one was lost, they probably are too."""
        while connection := self._taken():
            yield from close_quietly(connection)

    def close(self) -> Steps[None]:
        """Close the idle connections now, and the others when they are given back."""
        self._closed = True
        yield from self.renew()
