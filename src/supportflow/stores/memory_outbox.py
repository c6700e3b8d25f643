"""The outbox of a `MemoryStore`: rows are queued, settled, held and moved (DESIGN §8)."""

from __future__ import annotations

import attrs

from supportflow.errors import Conflict, InvalidValue
from supportflow.stores import (
    HoldRows,
    Posting,
    Row,
    RowState,
    Settlement,
)
from supportflow.stores.codec import encode
from supportflow.stores.erasure import FINAL
from supportflow.stores.memory_tables import Tables

__all__ = ["hold", "keep", "merge_rows", "queue", "settle"]

_UNSENT = frozenset({RowState.pending, RowState.unknown})
_GONE = frozenset({RowState.claimed, RowState.sending, RowState.sent})


def queue(tables: Tables, posting: Posting) -> None:
    """Give a new row the next place in its stream.

    Raises:
        Conflict: If its id or mark is taken.
        InvalidValue: If it cannot be stored.
    """
    encode(posting)
    row, mark = posting.outgoing.id, posting.outgoing.mark
    if row in tables.rows or mark in tables.marks:
        raise Conflict(f"the outbox row {row!r} with the mark {mark!r} is already there")
    tables.marks[mark] = row
    tables.replies[posting.reply] = (*tables.replies.get(posting.reply, ()), row)
    keep(tables, Row(posting, _next_place(tables, posting.stream)))


def _next_place(tables: Tables, stream: str) -> int:
    tables.places[stream] = tables.places.get(stream, 0) + 1
    return tables.places[stream]


def keep(tables: Tables, row: Row) -> Row:
    """Keep a row as it is now.

    Args:
        tables: Where.
        row: The row.
    """
    tables.rows[row.id] = row
    if row.state not in FINAL:
        tables.open[row.id] = None
    elif row.id in tables.open:
        del tables.open[row.id]
    return row


def settle(tables: Tables, settlement: Settlement) -> None:
    """Write how an attempt ended: receipts always, the rest where the fence still stands.

    Raises:
        Conflict: If it does not apply any more.
        InvalidValue: If it says `sent` without a receipt.
    """
    row = tables.rows.get(settlement.row)
    if row is None:
        raise Conflict(f"there is no outbox row {settlement.row!r}")
    if settlement.state is RowState.sent:
        keep(tables, _told(tables, row, settlement))
    elif row.state in FINAL or row.fence != settlement.fence:
        raise Conflict(
            f"attempt {settlement.fence} of outbox row {row.id!r} is over (it is {row.state},"
            f" at attempt {row.fence}): read it again, decide again"
        )
    else:
        keep(tables, _ended(row, settlement))


def _told(tables: Tables, row: Row, settlement: Settlement) -> Row:
    receipt = settlement.receipt
    if receipt is None:
        raise InvalidValue(f"outbox row {row.id!r} cannot be sent without a receipt")
    tables.receipts[len(tables.receipts)] = settlement
    if row.state is not RowState.sent:
        hold_lifted = attrs.evolve(row.posting, hold=None)
        row = attrs.evolve(
            row,
            posting=hold_lifted,
            state=RowState.sent,
            lease_until=None,
            last_error=settlement.error,
        )
    elif receipt.id and row.remote_id and receipt.id != row.remote_id:
        twice = f"the platform has it twice: as {row.remote_id} and as {receipt.id}"
        return attrs.evolve(row, last_error=twice)
    return attrs.evolve(row, remote_id=row.remote_id or receipt.id)


def _ended(row: Row, settlement: Settlement) -> Row:
    posting = row.posting
    if settlement.hold is not None:
        posting = attrs.evolve(posting, hold=settlement.hold or None)
    if settlement.not_before is not None:
        posting = attrs.evolve(posting, not_before=settlement.not_before)
    reads = settlement.negative_reads
    return attrs.evolve(
        row,
        posting=posting,
        state=settlement.state,
        lease_until=None,
        last_error=settlement.error,
        negative_reads=row.negative_reads if reads is None else reads,
        attempt=max(row.attempt - settlement.uncount, 0),
    )


def hold(tables: Tables, asked: HoldRows) -> None:
    """Hold, release or cancel the rows of a reply that have not left.

    Raises:
        Conflict: If rows to cancel have left, or are leaving.
    """
    rows = [tables.rows[row] for row in tables.replies.get(asked.reply, ())]
    gone = [row.state for row in rows if row.state in _GONE]
    if asked.cancel and gone:
        raise Conflict(f"reply {asked.reply!r} cannot be cancelled: a part of it is {gone[0]}")
    for row in rows:
        if row.state in _UNSENT:
            posting = attrs.evolve(row.posting, hold=None if asked.cancel else asked.hold)
            state = RowState.cancelled if asked.cancel else row.state
            lease = None if asked.cancel else row.lease_until
            keep(tables, attrs.evolve(row, posting=posting, state=state, lease_until=lease))


def merge_rows(tables: Tables, source: str, target: str) -> None:
    """Put the open rows of one conversation behind those of another."""
    rows = (tables.rows[row] for row in tables.open)
    for row in sorted(
        (row for row in rows if row.posting.conversation == source), key=lambda row: row.seq
    ):
        posting = attrs.evolve(row.posting, conversation=target)
        if posting.stream == source:
            posting = attrs.evolve(posting, stream=target)
            row = attrs.evolve(row, seq=_next_place(tables, target))  # noqa: PLW2901  the same row
        keep(tables, attrs.evolve(row, posting=posting))
    left = (row.seq for row in tables.rows.values() if row.posting.stream == source)
    tables.places[source] = max(left, default=0)
