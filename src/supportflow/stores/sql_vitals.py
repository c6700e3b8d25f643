"""How a store is: a few looks at the ends of indexes, whatever is stored."""

from __future__ import annotations

from supportflow.stores import StoreVitals
from supportflow.stores.sql import Dialect, Program, Statement, from_micros, optional_from_micros

__all__ = ["vitals"]


def vitals(dialect: Dialect) -> Program[StoreVitals]:
    """Return how the store is.

    Args:
        dialect: The engine's.
    """
    now = (yield Statement(f"SELECT {dialect.now}")).rows[0][0]
    rows = "FROM outbox WHERE settled_at IS NULL"
    ((schema, *counts),) = (
        yield Statement(
            "SELECT (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'schema'),"
            f" (SELECT count(*) {rows} AND state = 'pending' AND hold IS NULL),"
            f" (SELECT count(*) {rows} AND state = 'unknown'),"
            f" (SELECT count(*) {rows} AND hold IS NOT NULL),"
            f" (SELECT count(*) {rows} AND deadline < ?),"
            " (SELECT count(*) FROM quarantine WHERE replayed_at IS NULL)",
            (now,),
        )
    ).rows
    ((pending, unknown, due, unanswered),) = (
        yield Statement(
            f"SELECT (SELECT min(not_before) {rows} AND state = 'pending' AND hold IS NULL"
            " AND not_before <= ?),"
            f" (SELECT min(first_sent_at) {rows} AND state = 'unknown'),"
            " (SELECT min(next_due_at) FROM conversation WHERE next_due_at <= ?),"
            " (SELECT min(unanswered_since) FROM conversation WHERE unanswered_since IS NOT NULL)",
            (now, now),
        )
    ).rows
    return StoreVitals(
        from_micros(now),
        schema,
        pending=counts[0],
        pending_since=optional_from_micros(pending),
        unknown=counts[1],
        unknown_since=optional_from_micros(unknown),
        held=counts[2],
        overdue=counts[3],
        due_since=optional_from_micros(due),
        unanswered_since=optional_from_micros(unanswered),
        quarantined=counts[4],
    )
