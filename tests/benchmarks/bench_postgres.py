"""How fast a desk takes messages into PostgreSQL, and looks there for what is due.

Every figure is taken from one server that waits for the disk at every commit. The floor writes
exactly the rows that supportflow wrote for the same messages, into the same tables.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from harness import Goal, Result, interleave

from supportflow import Desk, PostgresStore
from supportflow.channels.archive import Archive
from supportflow.stores import Conversations

sys.path.append(str(Path(__file__).resolve().parents[1]))
from postgres_server import Server

START = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = "My order has not arrived and nobody answers the telephone. Can somebody help me, please?"
TABLES = ("conversation", "message", "event")


def lines(first: int, count: int) -> Iterator[bytes]:
    """Make archive lines of one message each, as new conversations."""
    for number in range(first, first + count):
        at = START + timedelta(seconds=number)
        message = {"role": "customer", "at": at.isoformat(), "text": f"{TEXT} ({number})"}
        yield json.dumps({"id": f"c{number:08d}", "brand": "shop", "messages": [message]}).encode()
        yield b"\n"


# --- intake ------------------------------------------------------------------------------


class Ours:
    """A desk that polls an archive into a schema of its own, pages of one size."""

    def __init__(self, dsn: str, directory: Path, page: int, schema: str) -> None:
        self.archive = directory / f"{schema}.jsonl"
        self.archive.write_bytes(b"")
        self.first = 0
        chunk = len(b"".join(lines(10_000_000, 1))) * page
        self.desk = Desk(
            PostgresStore(dsn, schema=schema),
            [Archive(str(self.archive), name="archive", chunk=chunk)],
        )

    def ingest(self, count: int) -> float:
        """Ingest new messages; return seconds a message."""
        with self.archive.open("ab") as file:
            file.writelines(lines(self.first, count))
        self.first += count
        recorded, start = 0, time.perf_counter()
        while recorded < count:
            taken = self.desk.poll("archive")
            recorded += taken.recorded
            if not taken.recorded:
                raise RuntimeError(f"stuck after {recorded} of {count}: {taken}")
        return (time.perf_counter() - start) / count


class Floor:
    """The rows that `Ours` wrote, written by raw psycopg into a schema of their own."""

    def __init__(self, dsn: str, model: str, schema: str) -> None:
        PostgresStore(dsn, schema=schema).close()
        self.connection = psycopg.connect(dsn, autocommit=True)
        execute = self.connection.execute
        self.rows = {t: execute(f"SELECT * FROM {model}.{t} ORDER BY 1").fetchall() for t in TABLES}
        self.per = {t: len(self.rows[t]) // len(self.rows["message"]) for t in TABLES}
        execute(f"SET search_path = {schema}")
        self.at = 0
        self.inserts = {
            t: f"INSERT INTO {t} VALUES ({', '.join(['%s'] * len(self.rows[t][0]))})"
            for t in TABLES
        }

    def _next(self, count: int) -> dict[str, list[tuple[Any, ...]]]:
        start, self.at = self.at, self.at + count
        return {t: self.rows[t][start * n : self.at * n] for t, n in self.per.items()}

    def one_by_one(self, count: int) -> float:
        """Write each message in a transaction of its own; return seconds a message."""
        start = time.perf_counter()
        for _ in range(count):
            with self.connection.transaction():
                for table, rows in self._next(1).items():
                    for row in rows:
                        self.connection.execute(self.inserts[table], row)
        return (time.perf_counter() - start) / count

    def pages(self, count: int, page: int) -> float:
        """Write pages with psycopg's `executemany`, which is pipelined; return seconds a message."""
        start = time.perf_counter()
        for _ in range(count // page):
            with self.connection.transaction(), self.connection.cursor() as cursor:
                for table, rows in self._next(page).items():
                    cursor.executemany(self.inserts[table], rows)
        return (time.perf_counter() - start) / count

    def copies(self, count: int, page: int) -> float:
        """Write pages with `COPY`, the least that can be done; return seconds a message."""
        start = time.perf_counter()
        for _ in range(count // page):
            with self.connection.transaction(), self.connection.cursor() as cursor:
                for table, rows in self._next(page).items():
                    with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                        for row in rows:
                            copy.write_row(row)
        return (time.perf_counter() - start) / count


def _ingest(dsn: str, directory: Path, page: int, at_most: float) -> Result:
    rounds, turn = 7, max(page, 300)
    model = Ours(dsn, directory, page, f"model{page}")
    model.ingest((2 * turn + 60) * rounds)
    model.desk.close()
    floor = Floor(dsn, f"model{page}", f"floor{page}")
    ours = Ours(dsn, directory, page, f"ours{page}")
    single, raw = "raw psycopg, a transaction a message", f"raw psycopg, pages of {page}"
    us = f"supportflow, JSON to commit, pages of {page}"
    result = interleave(
        f"Ingest into PostgreSQL, pages of {page} (a message)",
        {
            "floor: COPY of the same rows": lambda: floor.copies(turn, page),
            raw: lambda: floor.pages(turn, page),
            single: lambda: floor.one_by_one(60),
            us: lambda: ours.ingest(turn),
        },
        (
            Goal(us, single, at_most, f"pages of {page} / per-message transactions"),
            Goal(us, raw, 2, f"pages of {page} / raw psycopg with executemany"),
        ),
        rounds=rounds,
    )
    ours.desk.close()
    floor.connection.close()
    return result


# --- what is due -------------------------------------------------------------------------


def _grown(dsn: str, schema: str, count: int) -> PostgresStore:
    """Return a store with many open conversations, of which none is due for years."""
    store = PostgresStore(dsn, schema=schema)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO {schema}.conversation (head, number, channel, customer, version, state,"
            " opened_at, unanswered_since, next_due_at, policy_version, tags, snapshot)"
            " SELECT 'archive/' || n || '/c' || n, 0, 'archive', 'c' || n, 1, 'received', n, n,"
            " 4000000000000000 + n, '', '', '{}' FROM generate_series(1, %s) AS n",
            (count,),
        )
        connection.execute(f"VACUUM ANALYZE {schema}.conversation")
    return store


def _idle(dsn: str) -> Result:
    small, large = _grown(dsn, "small", 10_000), _grown(dsn, "large", 1_000_000)
    query = Conversations(due_before=datetime.now(UTC))

    def turn(store: PostgresStore) -> float:
        start = time.perf_counter()
        for _ in range(100):
            if store.find(query).conversations:
                raise RuntimeError("nothing is due")
        return (time.perf_counter() - start) / 100

    result = interleave(
        "Look for what is due on PostgreSQL, where nothing is",
        {"10k open": lambda: turn(small), "1M open": lambda: turn(large)},
        (Goal("1M open", "10k open", 1.15, "1M open / 10k open"),),
        rounds=30,
    )
    small.close()
    large.close()
    return result


def run() -> list[Result]:
    """Measure intake, and how flat a look for due clocks stays."""
    with Server(durable=True) as server, tempfile.TemporaryDirectory() as name:
        dsn = server.dsn
        results = [
            _ingest(dsn, Path(name), page, goal) for page, goal in ((100, 0.2), (1000, 0.12))
        ]
        if not os.environ.get("SUPPORTFLOW_BENCH_QUICK"):
            results.append(_idle(dsn))
        return results
