"""What a store on PostgreSQL does, written once for threads and for an event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import attrs
import psycopg

from supportflow.errors import Conflict
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
from supportflow.stores.postgres_driver import Driver
from supportflow.stores.postgres_sql import POSTGRES, Openings, horizon
from supportflow.stores.postgres_wire import Steps
from supportflow.stores.sql import Dialect, Program, Statement, micros
from supportflow.stores.sql_commit import commit, conflicting
from supportflow.stores.sql_erase import erase
from supportflow.stores.sql_find import find, log
from supportflow.stores.sql_load import load

__all__ = ["Core"]

_log = logging.getLogger("supportflow.stores")


class Core:
    """Do what a store does, in steps; see `Store` for what each of them means.

    Args:
        driver: Runs programs.
        openings: How their transactions begin.
        clock: Returns the time (aware); None for the database's.
    """

    def __init__(
        self, driver: Driver, openings: Openings, clock: Callable[[], datetime] | None
    ) -> None:
        self.driver, self._openings, self._clock = driver, openings, clock

    def _dialect(self) -> Dialect:
        if self._clock is None:
            return POSTGRES
        return attrs.evolve(POSTGRES, now=f"CAST({micros(self._clock())} AS bigint)")

    def load(self, wanted: Wanted) -> Steps[Loaded]:
        """See `Store.load`."""
        return self.driver.run(self._openings.read, lambda: load(self._dialect(), wanted))

    def commit(self, changes: Changes) -> Steps[None]:
        """See `Store.commit`."""
        opening = self._openings.commit
        try:
            yield from self.driver.run(opening, lambda: commit(self._dialect(), changes))
        except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation) as error:
            make = partial(conflicting, self._dialect(), changes)
            what = yield from self.driver.run(opening, make)
            raise Conflict(f"{what}: read again, decide again") from error

    def claim(self, work: Work, worker: Worker, limit: int) -> Steps[Sequence[Claimed]]:
        """See `Store.claim`."""
        yield from self.driver.confirm()
        return (
            yield from self.driver.run(
                self._openings.write,
                lambda: sql_claim.claim(self._dialect(), work, worker, limit),
            )
        )

    def begin(self, claimed: Claimed) -> Steps[bool]:
        """See `Store.begin`; done twice, the second says False."""
        return self.driver.run_alive(
            self._openings.begin, lambda: sql_claim.begin(self._dialect(), claimed)
        )

    def find(self, query: Query) -> Steps[Results]:
        """See `Store.find`."""
        return self.driver.run(self._openings.read, lambda: find(self._dialect(), query))

    def log(
        self, after: Position, conversation: str | None, limit: int
    ) -> Steps[Sequence[Recorded]]:
        """See `Store.log`."""

        def followed() -> Program[list[Recorded]]:
            until = (yield from horizon()) if conversation is None else None
            return (yield from log(after, conversation, limit, until))

        return self.driver.run(self._openings.follow, followed)

    def worker(self) -> Steps[Worker]:
        """See `Store.worker`."""
        write = self._openings.write
        worker = yield from self.driver.run(write, lambda: sql_claim.new_worker(self._dialect()))
        if (yield from self.driver.hold(worker.id)):
            yield from self.driver.run(self._openings.begin, lambda: _told(worker))
        else:
            _log.warning(
                "lease_only worker=%s: something between us and PostgreSQL (%s) lends its sessions"
                " to transactions, so no lock proves this worker alive: leases alone decide;"
                " connect without it to have a dead worker's rows taken over at once",
                worker.id,
                self.driver.shown,
                extra={"event": "lease_only"},
            )
        return worker

    def erase(self, customer: CustomerRef) -> Steps[None]:
        """See `Store.erase`."""
        return self.driver.run(self._openings.erase, lambda: erase(self._dialect(), customer))


def _told(worker: Worker) -> Program[None]:
    """Record that a free lock of this worker's proves something from now on."""
    yield Statement(
        "INSERT INTO worker (id, started_at, locked) VALUES (?, 0, true)"
        " ON CONFLICT (id) DO UPDATE SET locked = true",
        (worker.id,),
    )
