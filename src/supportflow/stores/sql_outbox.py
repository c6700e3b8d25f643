"""What a commit does to the outbox: new rows, the ends of attempts, holds and merges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from supportflow.errors import Conflict, InvalidValue
from supportflow.stores import HoldRows, Posting, RowState, Settlement
from supportflow.stores.erasure import FINAL
from supportflow.stores.sql import Dialect, Program, Statement, micros
from supportflow.stores.sql_ids import known
from supportflow.stores.sql_rows import (
    outbox_columns,
)

__all__ = ["hold", "merge_rows", "queue", "settle"]

_UNSENT = (RowState.pending, RowState.unknown)
_GONE = (RowState.claimed, RowState.sending, RowState.sent)


def queue(dialect: Dialect, postings: Sequence[Posting], ids: Mapping[str, int]) -> Program[None]:
    """Write new rows, each with the next place in its stream.

    Args:
        dialect: The engine's.
        postings: The new rows.
        ids: The integer behind every conversation's id in use.
    """
    if not postings:
        return
    last = yield from _last_places(dialect, {posting.stream for posting in postings})
    rows = []
    for posting in postings:
        last[posting.stream] += 1
        about = None if posting.conversation is None else known(ids, posting.conversation)
        rows.append(outbox_columns(posting, last[posting.stream], about))
    sql = (
        "INSERT INTO outbox (id, mark, channel, stream, seq, conversation, reply, part, state,"
        " hold, not_before, deadline, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    yield Statement(sql, rows, many=True)


def _last_places(dialect: Dialect, streams: Iterable[str]) -> Program[defaultdict[str, int]]:
    found = yield Statement(
        "SELECT stream, max(seq) FROM outbox"
        f" WHERE stream IN (SELECT value FROM {dialect.each}) GROUP BY stream",
        (dialect.array(sorted(streams)),),
    )
    return defaultdict(int, dict(found.rows))


def settle(dialect: Dialect, settlements: Sequence[Settlement], at: datetime) -> Program[None]:
    """Write how attempts ended: receipts always, the rest where the fence still stands.

    Args:
        dialect: The engine's.
        settlements: The ends.
        at: When they were decided.

    Raises:
        Conflict: If one of them does not apply any more.
        InvalidValue: If one says `sent` without a receipt.
    """
    if not settlements:
        return
    found = yield Statement(
        "SELECT id, number, state, fence, hold, attempt, not_before, negative_reads, remote_id,"
        f" last_error FROM outbox WHERE id IN (SELECT value FROM {dialect.each})"
        f" ORDER BY number{dialect.lock}",
        (dialect.array([settlement.row for settlement in settlements]),),
    )
    rows = {row[0]: _Attempt(*row[1:]) for row in found.rows}
    receipts = []
    for settlement in settlements:
        if (row := rows.get(settlement.row)) is None:
            raise Conflict(f"there is no outbox row {settlement.row}")
        if settlement.state is RowState.sent:
            receipts += row.tell(settlement, at)
        else:
            row.end(settlement, at)
    if receipts:
        sql = (
            "INSERT INTO receipt (outbox, fence, remote_id, permalink, how, at)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        yield Statement(sql, receipts, many=True)
    sql = (
        "UPDATE outbox SET state = ?, hold = ?, attempt = ?, not_before = ?, negative_reads = ?,"
        " remote_id = ?, last_error = ?, lease_until = NULL,"
        " settled_at = coalesce(settled_at, ?) WHERE number = ?"
    )
    yield Statement(sql, [row.columns() for row in rows.values()], many=True)


@attrs.define
class _Attempt:
    """Hold one row while settlements are applied to it, in their order."""

    number: int
    state: str
    fence: int
    hold: str | None
    attempt: int
    not_before: int
    negative_reads: int
    remote_id: str | None
    last_error: str
    settled_at: int | None = None

    def tell(self, settlement: Settlement, at: datetime) -> list[tuple[Any, ...]]:
        """Take a receipt, whoever brings it; return it unless it is known."""
        if (receipt := settlement.receipt) is None:
            raise InvalidValue(f"outbox row {settlement.row} cannot be sent without a receipt")
        remote = receipt.id
        again = self.state == RowState.sent
        if again and remote in {None, self.remote_id}:
            return []
        if again and self.remote_id is not None:
            self.last_error = f"the platform has it twice: as {self.remote_id} and as {remote}"
        elif not again:
            self.state, self.hold = RowState.sent.value, None
            self.last_error, self.settled_at = settlement.error, micros(at)
        self.remote_id = self.remote_id or remote
        told = (remote, receipt.permalink, settlement.how, micros(receipt.at))
        return [(self.number, settlement.fence, *told)]

    def end(self, settlement: Settlement, at: datetime) -> None:
        """Take any other end, if the fence still stands."""
        if self.state in FINAL or self.fence != settlement.fence:
            raise Conflict(
                f"attempt {settlement.fence} of outbox row {settlement.row} is over"
                f" (it is {self.state}, at {self.fence}): read it again, decide again"
            )
        self.state, self.last_error = settlement.state.value, settlement.error
        if settlement.state in FINAL:
            self.settled_at = micros(at)
        if settlement.hold is not None:
            self.hold = settlement.hold or None
        if settlement.not_before is not None:
            self.not_before = micros(settlement.not_before)
        if settlement.negative_reads is not None:
            self.negative_reads = settlement.negative_reads
        self.attempt -= settlement.uncount and self.attempt > 0

    def columns(self) -> tuple[Any, ...]:
        """Return what settling changes, and the row's number."""
        return (
            self.state,
            self.hold,
            self.attempt,
            self.not_before,
            self.negative_reads,
            self.remote_id,
            self.last_error,
            self.settled_at,
            self.number,
        )


def hold(dialect: Dialect, asked: HoldRows, at: datetime) -> Program[None]:
    """Hold, release or cancel the rows of a reply that have not left.

    Args:
        dialect: The engine's.
        asked: Which, and what.
        at: When it was decided.

    Raises:
        Conflict: If rows to cancel have left, or are leaving.
    """
    found = yield Statement(
        f"SELECT number, state FROM outbox WHERE reply = ? ORDER BY number{dialect.lock}",
        (asked.reply,),
    )
    gone = [state for _, state in found.rows if state in _GONE]
    if asked.cancel and gone:
        raise Conflict(f"the reply {asked.reply} cannot be cancelled: a part of it is {gone[0]}")
    numbers = [number for number, state in found.rows if state in _UNSENT]
    if asked.cancel:
        sql = (
            "UPDATE outbox SET state = 'cancelled', hold = NULL, lease_until = NULL,"
            " settled_at = ? WHERE number = ?"
        )
        yield Statement(sql, [(micros(at), number) for number in numbers], many=True)
    else:
        sql = "UPDATE outbox SET hold = ? WHERE number = ?"
        yield Statement(sql, [(asked.hold, number) for number in numbers], many=True)


def merge_rows(
    dialect: Dialect, merged: Iterable[tuple[str, str]], ids: Mapping[str, int]
) -> Program[None]:
    """Move the open rows of merged conversations behind those of the ones that carry on.

    Args:
        dialect: The engine's.
        merged: (source id, target id).
        ids: The integer behind every conversation's id in use.
    """
    for source, target in merged:
        found = yield Statement(
            "SELECT number, stream, seq FROM outbox WHERE conversation = ?"
            f" AND settled_at IS NULL ORDER BY seq{dialect.lock}",
            (known(ids, source),),
        )
        last = yield from _last_places(dialect, {target})
        rows = []
        for number, stream, seq in found.rows:
            place = (stream, seq)
            if stream == source:
                last[target] += 1
                place = (target, last[target])
            rows.append((known(ids, target), *place, number))
        sql = "UPDATE outbox SET conversation = ?, stream = ?, seq = ? WHERE number = ?"
        yield Statement(sql, rows, many=True)
