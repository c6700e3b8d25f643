"""Taking work in a `MemoryStore`: heads of streams, unknown and lost rows, leases to poll."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs

from supportflow.model import ChannelState
from supportflow.stores import ChannelLease, Claimed, Row, RowState, Work, Worker, WorkKind
from supportflow.stores.memory_outbox import keep
from supportflow.stores.memory_tables import Lease, Tables

__all__ = ["begin", "claim"]

#: How long an unknown row holds later ones where no channel says otherwise (RELIABILITY G8).
_HOLD_FOR = timedelta(minutes=10)


def begin(tables: Tables, claimed: Claimed, now: datetime) -> bool:
    """Record that bytes are about to leave, if the claim still stands."""
    row = tables.rows.get(claimed.row.id) if claimed.row else None
    ours = row is not None and (row.fence, row.worker) == (claimed.fence, claimed.worker.id)
    if row is None or not ours or row.state is not RowState.claimed:
        return False
    if _paused(tables, row.posting.channel, now) or not _decided(tables, claimed, row):
        return False
    tables.senders[row.id] = claimed.worker.id
    first = row.first_sent_at or now
    keep(tables, attrs.evolve(row, state=RowState.sending, first_sent_at=first, last_sent_at=now))
    return True


def _decided(tables: Tables, claimed: Claimed, row: Row) -> bool:
    """Return whether a row's conversation still is what was decided on."""
    if claimed.decided_on is None:
        return True
    about, version = claimed.decided_on
    found = tables.conversations.get(about)
    return (
        row.posting.conversation == about
        and found is not None
        and (found.conversation.version == version)
    )


def claim(tables: Tables, work: Work, worker: Worker, limit: int, now: datetime) -> list[Claimed]:
    """Take work that nobody else has."""
    match work.kind:
        case WorkKind.send:
            return _send(tables, work, worker, limit, now)
        case WorkKind.reconcile:
            return _reconcile(tables, work, worker, limit, now)
        case WorkKind.reap:
            return _reap(tables, work, worker, limit, now)
        case WorkKind.poll:
            return _poll(tables, work, worker, limit, now)


def _due(tables: Tables, state: RowState, work: Work, now: datetime) -> list[Row]:
    """Return rows that nobody has, in the order of their turn."""
    rows = [
        row
        for row in map(tables.rows.__getitem__, tables.open)
        if row.state is state
        and row.posting.channel in work.channels
        and row.posting.hold is None
        and row.posting.not_before <= now
        and not _owned(tables, row, now)
    ]
    return sorted(rows, key=lambda row: row.posting.not_before)


def _owned(tables: Tables, row: Row, now: datetime) -> bool:
    """Return whether somebody alive has the row, and still may have it."""
    if row.worker is None or row.lease_until is None or row.lease_until <= now:
        return False
    return tables.alive[row.worker]


def _paused(tables: Tables, channel: str, now: datetime) -> bool:
    state = tables.channels.get(channel)
    if state is None:
        return False
    return bool(state.needs_auth) or (state.paused_until is not None and state.paused_until > now)


def _heads(tables: Tables, work: Work, now: datetime) -> dict[str, int]:
    """Return, for every stream, the first place that has to be settled before later ones."""
    heads: dict[str, int] = defaultdict(int)
    for row in map(tables.rows.__getitem__, tables.open):
        hold_for = work.hold_for.get(row.posting.channel, _HOLD_FOR)
        sent_at = row.first_sent_at
        if row.state is RowState.unknown and (sent_at is None or sent_at + hold_for <= now):
            continue
        stream = row.posting.stream
        heads[stream] = min(heads[stream] or row.seq, row.seq)
    return heads


def _send(tables: Tables, work: Work, worker: Worker, limit: int, now: datetime) -> list[Claimed]:
    heads = _heads(tables, work, now)
    ready = [
        row
        for row in _due(tables, RowState.pending, work, now)
        if heads[row.posting.stream] == row.seq and not _paused(tables, row.posting.channel, now)
    ][:limit]
    if ready and ready[0].attempt:  # tried before: what made it fail may hit its neighbours
        del ready[1:]
    else:
        ready = [row for row in ready if not row.attempt]
    return [
        _claimed(
            tables,
            attrs.evolve(row, state=RowState.claimed, attempt=row.attempt + 1),
            worker,
            now + work.lease,
        )
        for row in ready
    ]


def _claimed(tables: Tables, row: Row, worker: Worker, until: datetime) -> Claimed:
    fence = row.fence + 1
    row = keep(tables, attrs.evolve(row, fence=fence, worker=worker.id, lease_until=until))
    sender = tables.senders.get(row.id)
    dead = sender is None or sender == worker.id or not tables.alive[sender]
    return Claimed(fence, worker, row, sender_dead=dead and row.state is RowState.unknown)


def _reconcile(
    tables: Tables, work: Work, worker: Worker, limit: int, now: datetime
) -> list[Claimed]:
    due = _due(tables, RowState.unknown, work, now)[:limit]
    return [_claimed(tables, row, worker, now + work.lease) for row in due]


def _reap(tables: Tables, work: Work, worker: Worker, limit: int, now: datetime) -> list[Claimed]:
    return [
        Claimed(row.fence, worker, keep(tables, row))
        for row in list(_lost(tables, work, now))[:limit]
    ]


def _lost(tables: Tables, work: Work, now: datetime) -> Iterator[Row]:
    for row in map(tables.rows.__getitem__, tables.open):
        if work.channels and row.posting.channel not in work.channels:
            continue
        if _owned(tables, row, now):
            continue
        if row.state is RowState.claimed:
            yield attrs.evolve(row, state=RowState.pending, lease_until=None)
        elif row.state is RowState.sending:  # bytes may have left: never back to pending
            yield attrs.evolve(row, state=RowState.unknown, lease_until=None)


def _poll(tables: Tables, work: Work, worker: Worker, limit: int, now: datetime) -> list[Claimed]:
    free = [name for name in sorted(set(work.channels)) if _pollable(tables, name, worker, now)]
    free.sort(key=lambda name: name in tables.leases and tables.leases[name].until.timestamp())
    leases = []
    for name in free[:limit]:
        lease = tables.leases.get(name)
        if lease is None or lease.worker != worker.id or lease.until <= now + work.lease / 2:
            lease = Lease(worker.id, now + work.lease, lease.fence + 1 if lease else 1)
            tables.leases[name] = lease
        state = tables.channels.get(name, ChannelState(name))
        leases.append(Claimed(lease.fence, worker, lease=ChannelLease(name, state)))
    return leases


def _pollable(tables: Tables, name: str, worker: Worker, now: datetime) -> bool:
    lease = tables.leases.get(name)
    if lease is None or lease.until <= now:
        return True
    return lease.worker == worker.id or not tables.alive[lease.worker]
