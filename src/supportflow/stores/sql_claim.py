"""Taking work: the heads of streams, unknown rows, dead owners' rows, and leases to poll."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from supportflow.errors import StoreCorrupt
from supportflow.model import ChannelState
from supportflow.stores import ChannelLease, Claimed, Row, Work, Worker, WorkKind
from supportflow.stores.codec import decode
from supportflow.stores.sql import Dead, Dialect, Program, Statement
from supportflow.stores.sql_ids import split_id
from supportflow.stores.sql_rows import OUTBOX_COLUMNS, OUTBOX_TABLES, row_of

__all__ = ["begin", "claim", "new_worker"]

#: How long an unknown row holds later rows of its stream, unless the work says otherwise
#: (RELIABILITY G8).
_HOLD_FOR = timedelta(minutes=10)


def claim(dialect: Dialect, work: Work, worker: Worker, limit: int) -> Program[list[Claimed]]:
    """Take work that nobody else has.

    Args:
        dialect: The engine's.
        work: What may be claimed.
        worker: For whom.
        limit: How many pieces at most.
    """
    now = (yield Statement(f"SELECT {dialect.now}")).rows[0][0]
    take = {
        WorkKind.send: _send,
        WorkKind.reconcile: _reconcile,
        WorkKind.reap: _reap,
        WorkKind.poll: _poll,
    }[work.kind]
    return (yield from take(dialect, work, worker, limit, now))


def new_worker(dialect: Dialect) -> Program[Worker]:
    """Return a worker that never was.

    Args:
        dialect: The engine's.
    """
    sql = f"INSERT INTO worker (started_at) VALUES ({dialect.now}) RETURNING id"
    return Worker((yield Statement(sql)).rows[0][0])


def begin(dialect: Dialect, claimed: Claimed) -> Program[bool]:
    """Record that bytes are about to leave, if the claim still stands.

    Args:
        dialect: The engine's.
        claimed: A claim of an outbox row.
    """
    if claimed.row is None:
        return False
    sql = (
        f"UPDATE outbox SET state = 'sending', sender = worker, last_sent_at = {dialect.now},"
        f" first_sent_at = coalesce(first_sent_at, {dialect.now})"
        # The worker as well: a claim whose commit was lost leaves its fence to somebody else's.
        " WHERE id = ? AND fence = ? AND worker = ? AND state = 'claimed'"
        " AND NOT EXISTS (SELECT 1 FROM channel AS a WHERE a.name = outbox.channel"
        f" AND (a.needs_auth <> '' OR a.paused_until > {dialect.now}))"
    )
    given: list[Any] = [claimed.row.id, claimed.fence, claimed.worker.id]
    if claimed.decided_on is not None:
        sql += (
            " AND EXISTS (SELECT 1 FROM conversation AS c WHERE c.id = outbox.conversation"
            " AND c.head = ? AND c.number = ? AND c.version = ?)"
        )
        about, version = claimed.decided_on
        given += (*split_id(about), version)
    return (yield Statement(sql, given)).changed == 1


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _send(
    dialect: Dialect, work: Work, worker: Worker, limit: int, now: int
) -> Program[list[Claimed]]:
    spans = {name: _micros(span) for name, span in work.hold_for.items()}
    cases = "CASE e.channel" + " WHEN ? THEN ?" * len(spans) + " ELSE ? END" if spans else "?"
    found = yield Statement(
        "SELECT o.number, o.attempt FROM outbox AS o"
        " WHERE o.settled_at IS NULL AND o.state = 'pending' AND o.not_before <= ?"
        f" AND o.hold IS NULL AND o.channel IN (SELECT value FROM {dialect.each})"
        " AND NOT EXISTS (SELECT 1 FROM channel AS a WHERE a.name = o.channel"
        " AND (a.needs_auth <> '' OR a.paused_until > ?))"
        " AND NOT EXISTS (SELECT 1 FROM outbox AS e"
        " WHERE e.settled_at IS NULL AND e.stream = o.stream AND e.seq < o.seq"
        f" AND (e.state <> 'unknown' OR e.first_sent_at > ? - {cases}))"
        f" ORDER BY o.not_before, o.number LIMIT ?{dialect.skip_locked}",
        (
            now,
            dialect.array(work.channels),
            now,
            now,
            *(value for pair in spans.items() for value in pair),
            _micros(_HOLD_FOR),
            limit,
        ),
    )
    if found.rows and found.rows[0][1]:  # tried before: what made it fail may hit its neighbours
        numbers = [found.rows[0][0]]
    else:
        numbers = [number for number, attempt in found.rows if not attempt]
    yield Statement(
        "UPDATE outbox SET state = 'claimed', attempt = attempt + 1, fence = fence + 1,"
        " worker = ?, lease_until = ? WHERE number = ? AND state = 'pending'",
        [(worker.id, now + _micros(work.lease), number) for number in numbers],
        many=True,
    )
    rows = yield from _rows(dialect, numbers)
    return [Claimed(row.fence, worker, row) for row in rows.values()]


def _rows(dialect: Dialect, numbers: Sequence[int]) -> Program[dict[int, Row]]:
    if not numbers:
        return {}
    found = yield Statement(
        f"SELECT o.number, {OUTBOX_COLUMNS} FROM {OUTBOX_TABLES}"
        f" WHERE o.number IN (SELECT value FROM {dialect.each_id})",
        (dialect.array(numbers),),
    )
    rows = {row[0]: row_of(row[1:]) for row in found.rows}
    if len(rows) < len(numbers):
        raise StoreCorrupt("an index names outbox rows that are not there: restore a backup")
    return {number: rows[number] for number in numbers}


def _dead(workers: Iterable[int | None], me: Worker) -> Program[set[int]]:
    others = sorted({worker for worker in workers if worker is not None} - {me.id})
    if not others:
        return set()
    return {worker for (worker,) in (yield Dead(others)).rows}


def _reconcile(
    dialect: Dialect, work: Work, worker: Worker, limit: int, now: int
) -> Program[list[Claimed]]:
    found = yield Statement(
        "SELECT o.number, o.sender, o.worker, coalesce(o.lease_until, 0) FROM outbox AS o"
        " WHERE o.settled_at IS NULL AND o.state = 'unknown' AND o.not_before <= ?"
        f" AND o.hold IS NULL AND o.channel IN (SELECT value FROM {dialect.each})"
        f" ORDER BY o.not_before, o.number{dialect.skip_locked}",
        (now, dialect.array(work.channels)),
    )
    dead = yield from _dead((other for row in found.rows for other in row[1:3]), worker)
    free = [row for row in found.rows if row[2] in dead or row[3] <= now][:limit]
    yield Statement(
        "UPDATE outbox SET fence = fence + 1, worker = ?, lease_until = ? WHERE number = ?",
        [(worker.id, now + _micros(work.lease), row[0]) for row in free],
        many=True,
    )
    rows = yield from _rows(dialect, [row[0] for row in free])
    return [
        Claimed(row.fence, worker, row, sender_dead=sender in {None, worker.id, *dead})
        for row, (_, sender, _, _) in zip(rows.values(), free, strict=True)
    ]


def _reap(
    dialect: Dialect, work: Work, worker: Worker, limit: int, now: int
) -> Program[list[Claimed]]:
    mine = f" AND o.channel IN (SELECT value FROM {dialect.each})" if work.channels else ""
    found = yield Statement(
        "SELECT o.number, o.worker, coalesce(o.lease_until, 0) FROM outbox AS o"
        " WHERE o.settled_at IS NULL AND o.state IN ('claimed', 'sending')"
        f"{mine}{dialect.skip_locked}",
        (dialect.array(work.channels),) if work.channels else (),
    )
    dead = yield from _dead((row[1] for row in found.rows), worker)
    over = sorted(row for row in found.rows if row[1] in dead or row[2] <= now)[:limit]
    yield Statement(  # bytes may have left from `sending`: never back to pending
        "UPDATE outbox SET lease_until = NULL, state = CASE state"
        " WHEN 'claimed' THEN 'pending' ELSE 'unknown' END WHERE number = ?",
        [(row[0],) for row in over],
        many=True,
    )
    rows = yield from _rows(dialect, [row[0] for row in over])
    return [Claimed(row.fence, worker, row) for row in rows.values()]


def _poll(
    dialect: Dialect, work: Work, worker: Worker, limit: int, now: int
) -> Program[list[Claimed]]:
    names = dialect.array(work.channels)
    yield Statement(
        f"INSERT INTO channel (name) SELECT value FROM {dialect.each} WHERE true"
        " ORDER BY value ON CONFLICT (name) DO NOTHING",
        (names,),
    )
    found = yield Statement(
        "SELECT a.name, a.fence, a.worker, coalesce(a.lease_until, 0), a.state"
        f" FROM channel AS a WHERE a.name IN (SELECT value FROM {dialect.each})"
        f" ORDER BY coalesce(a.lease_until, 0), a.name{dialect.skip_locked}",
        (names,),
    )
    dead = yield from _dead((row[2] for row in found.rows), worker)
    free = [row for row in found.rows if row[2] in {worker.id, *dead} or row[3] <= now][:limit]
    lease = _micros(work.lease)
    new = {row[0] for row in free if row[2] != worker.id or row[3] <= now + lease // 2}
    yield Statement(
        "UPDATE channel SET worker = ?, lease_until = ?, fence = fence + 1 WHERE name = ?",
        [(worker.id, now + lease, name) for name in sorted(new)],
        many=True,
    )
    return [Claimed(row[1] + (row[0] in new), worker, lease=_lease(row)) for row in free]


def _lease(row: Sequence[Any]) -> ChannelLease:
    name, state = row[0], row[4]
    return ChannelLease(name, decode(ChannelState, state) if state else ChannelState(name))
