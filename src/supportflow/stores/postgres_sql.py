"""PostgreSQL's words: its dialect, its parameters, and the statements that no other engine has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import chain, zip_longest
from typing import Any

import attrs

from supportflow.stores import Position
from supportflow.stores.sql import Dialect, Program, Statement

__all__ = [
    "ALONE",
    "DEAD",
    "POSTGRES",
    "Opening",
    "Openings",
    "copied",
    "horizon",
    "joined",
    "key_of",
    "translated",
]

#: PostgreSQL's words; rows are locked in one order everywhere, by their numbers.
POSTGRES = Dialect(
    now="CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
    each="unnest(CAST(? AS text[])) AS w(value)",
    each_id="unnest(CAST(? AS bigint[])) AS w(value)",
    array=list,
    lock=" FOR NO KEY UPDATE",
    skip_locked=" FOR NO KEY UPDATE SKIP LOCKED",
    within="strpos",
    fresh_ids="SELECT nextval('conversation_id_seq') FROM generate_series(1, CAST(? AS bigint))",
)

#: Which of these workers are proved dead: their sessions' locks are free. One that never held a
#: lock (behind a proxy) proves nothing.
DEAD = (
    "SELECT id FROM worker WHERE id = ANY(CAST(%s AS bigint[])) AND locked"
    " AND pg_try_advisory_xact_lock(CAST(%s AS integer), CAST(id AS integer))"
)

_KINDS = {int: "bigint", bytes: "bytea"}

#: How long a transaction waits for a lock, in milliseconds, before it says so.
_LOCK_MILLISECONDS = 10_000


@cache
def translated(sql: str) -> str:
    """Return a statement with psycopg's parameters.

    Args:
        sql: Its text, with `?` for every parameter and no other question mark.

    Example:
        >>> translated("SELECT value FROM meta WHERE name = ?")
        'SELECT value FROM meta WHERE name = %s'
    """
    return sql.replace("%", "%%").replace("?", "%s")


@cache
def copied(sql: str) -> str | None:
    """Return the COPY that does what an INSERT of new rows does; None for any other statement.

    Args:
        sql: The statement.

    Example:
        >>> copied("INSERT INTO once (key, result) VALUES (?, ?)")
        'COPY once (key, result) FROM STDIN'
    """
    plain = re.fullmatch(r"INSERT INTO (\w+ \([\w, ]+\)) VALUES \([?, ]+\)", sql)
    return plain and f"COPY {plain[1]} FROM STDIN"


def joined(sql: str, rows: Sequence[Sequence[Any]]) -> tuple[str, list[list[Any]]] | None:
    """Return the one statement that does what one for each of some rows does, and its parameters.

    An INSERT of new rows, or an UPDATE; None for any other statement, and where two of the rows are
    for the same: they have an order.

    Args:
        sql: The statement.
        rows: The parameters, one row for each time.

    Example:
        >>> joined("UPDATE once SET result = ? WHERE key = ?", [("a", "b"), ("c", "d")])[1]
        [['a', 'c'], ['b', 'd']]
    """
    if not copied(sql):
        what, _, where = sql.rpartition(" WHERE ")
        keys = where.count("?")
        if not what.startswith("UPDATE ") or len({tuple(row[-keys:]) for row in rows}) < len(rows):
            return None
    columns = [list(column) for column in zip(*rows, strict=True)]
    kinds = tuple(map(_kind, columns))
    return _joined(sql, kinds), [c for c, kind in zip(columns, kinds, strict=True) if kind]


def _kind(column: Sequence[Any]) -> str | None:
    """Return the type of values; None for a column of nothing else, which fits every type."""
    value = next((value for value in column if value is not None), None)
    return None if value is None else _KINDS.get(type(value), "text")


@cache
def _joined(sql: str, kinds: tuple[str | None, ...]) -> str:
    names = [kind and f"w.p{place}" for place, kind in enumerate(kinds)]
    arrays = ", ".join(f"%b::{kind}[]" for kind in kinds if kind)
    given = ", ".join(name[2:] for name in names if name)
    source = f" FROM unnest({arrays}) AS w({given})"
    if copied(sql):
        what, _, _ = sql.partition(" VALUES ")
        return f"{what} SELECT {', '.join(name or 'NULL' for name in names)}{source}"
    what, _, where = sql.rpartition(" WHERE ")
    texts = f"{what}{source} WHERE {where}".split("?")
    filled = (name or "NULL" for name in names)
    return "".join(chain.from_iterable(zip_longest(texts, filled, fillvalue="")))


@attrs.frozen
class Opening:
    """Hold what begins a transaction.

    Args:
        statements: What opens it, and sets for it what it needs, so that it needs no session of
            its own (as behind a proxy). Empty for a statement that is a transaction by itself.
    """

    statements: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return all of them at once."""
        return "; ".join(self.statements)


@attrs.frozen
class Openings:
    """Hold how the transactions of a store begin.

    Args:
        read: One that reads one state of everything.
        follow: One whose statements each read the newest state.
        write: One that may write, and may be lost in a power cut: what was claimed is claimed
            only if it can be begun.
        begin: One whose end counts.
        commit: One that writes events and messages.
        erase: One that erases them.
    """

    read: Opening
    follow: Opening
    write: Opening
    begin: Opening
    commit: Opening
    erase: Opening

    @classmethod
    def of(cls, schema: str) -> Openings:
        """Return them for the tables of a schema.

        Args:
            schema: Its name, without quotes in it.
        """
        own = (
            f"set_config('search_path', '\"{schema}\"', true),"
            f" set_config('lock_timeout', '{_LOCK_MILLISECONDS}', true)"
        )
        erased, event = key_of(f'"{schema}".erased'), key_of(f'"{schema}".event')
        # Erasing waits for all commits, and they for it: what is erased while a redelivery of it
        # is written would come back. For the second lock, see `horizon`.
        shared = (
            f"pg_advisory_xact_lock_shared({erased}, 0), pg_advisory_xact_lock_shared({event},"
            f" CAST(CAST(({_last(schema)}) AS bit(32)) AS integer))"
        )
        # What was told to be committed is on the disk, whatever the server's default is.
        sync = (
            "CASE current_setting('synchronous_commit') WHEN 'off'"
            " THEN set_config('synchronous_commit', 'on', true) END"
        )
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
        return cls(
            read=Opening(("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", f"SELECT {own}")),
            follow=Opening((f"{begin} READ ONLY", f"SELECT {own}")),
            write=Opening((begin, f"SELECT {own}")),
            begin=Opening((begin, f"SELECT {own}, {sync}")),
            commit=Opening((begin, f"SELECT {own}, {shared}, {sync}")),
            erase=Opening((begin, f"SELECT {own}, pg_advisory_xact_lock({erased}, 0), {sync}")),
        )


#: A statement that needs no more than a session which finds the tables.
ALONE = Opening()


def key_of(table: str) -> str:
    """Return the expression of a table's own integer, which no other store's locks have.

    Args:
        table: Its name, and its schema's where it would not be found.
    """
    return f"CAST(CAST(CAST('{table}'::regclass AS oid) AS bigint)::bit(32) AS integer)"


def _last(schema: str = "") -> str:
    """Return the query for the greatest position that was given so far."""
    sequence = f'"{schema}".event_position_seq' if schema else "event_position_seq"
    last = "CASE WHEN is_called THEN last_value ELSE 0 END"
    return f"SELECT {last} FROM {sequence}"  # noqa: S608  a name that was checked


def horizon() -> Program[Position]:
    """Return a position up to which nothing can be written any more.

    Positions are given when events are written and seen when they are committed, in whatever
    order: who follows the log by positions alone loses what is committed late (RELIABILITY 0.5).
    So every commit holds, until its end, a lock whose key is the last position that was given
    before it began: all of its own are greater. A commit that is not seen here gives its
    positions after this look, so they are greater than the last one given before it.

    `pg_snapshot_xmin` would wait for every old transaction in the server, others' included, and
    yet be wrong: an older transaction may get a greater position than a younger one that is
    still running.
    """
    last = (yield Statement(_last())).rows[0][0]
    found = yield Statement(
        "SELECT coalesce(max(ago), 0) FROM ("
        "SELECT (? - CAST(objid AS bigint)) & 4294967295 AS ago FROM pg_locks"
        " WHERE locktype = 'advisory' AND objsubid = 2 AND classid = 'event'::regclass::oid"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ") AS writers WHERE ago < 2147483648",  # more: it began after the first statement
        (last,),
    )
    position: int = last - found.rows[0][0]
    return position
