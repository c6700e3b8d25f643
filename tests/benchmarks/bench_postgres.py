"""How fast the store on PostgreSQL is, beside raw psycopg and a queue that is made for it.

Every figure is taken from one server that waits for the disk at every commit. The floor writes
exactly the rows that supportflow wrote for the same messages, into the same tables. (Over 300
lines, because one server serves intake, outbox and look, and workers are this file once more.)
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from harness import Goal, Result, interleave

from supportflow import Desk, PostgresStore
from supportflow.channels.archive import Archive
from supportflow.stores import Claimed, Conversations, Outbox, Store, Work, Worker, WorkKind
from supportflow.testing.store_samples import CHANNEL, batch, posting, sent

sys.path.append(str(Path(__file__).resolve().parents[1]))
from postgres_server import Server

START = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = "My order has not arrived and nobody answers the telephone. Can somebody help me, please?"
TABLES = ("conversation", "message", "event")
JOBS = 300


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


# --- outbox ------------------------------------------------------------------------------

SEND = Work(WorkKind.send, (CHANNEL,))


def _queue(store: Store, first: int, count: int) -> None:
    rows = (posting(f"row-{number}") for number in range(first, first + count))
    store.commit(batch(postings=tuple(rows)))


def _settle(store: Store, claims: list[Claimed]) -> None:
    ids = [claimed.row.id for claimed in claims if claimed.row]
    store.commit(batch(settlements=tuple(sent(name, f"r-{name}") for name in ids)))


def send_all(store: Store, limit: int, *, safe: bool, together: bool = True) -> int:
    """Claim, begin (if it shall be safe) and settle until nothing is left; return how many."""
    worker: Worker = store.worker()
    done = 0
    while claims := list(store.claim(SEND, worker, limit)):
        for claimed in claims if safe else ():
            if not store.begin(claimed):
                raise RuntimeError("nobody else sends")
            if not together:
                _settle(store, [claimed])
        if together:
            _settle(store, claims)
        done += len(claims)
    return done


def _batches(dsn: str) -> Result:
    store = PostgresStore(dsn, schema="outbox")
    queued = 0

    def turn(count: int, limit: int) -> float:
        nonlocal queued
        _queue(store, queued, count)
        queued += count
        start = time.perf_counter()
        if send_all(store, limit, safe=False) != count:
            raise RuntimeError("rows are missing")
        return (time.perf_counter() - start) / count

    result = interleave(
        "Outbox on PostgreSQL, claim and settle (a row)",
        {"one by one": lambda: turn(60, 1), "in batches of 100": lambda: turn(600, 100)},
        (Goal("in batches of 100", "one by one", 1 / 15, "batches of 100 / one by one"),),
        rounds=7,
    )
    store.close()
    return result


def _together(command: list[str], workers: int) -> float:
    """Start workers, let them all go at once, and return how long they took."""
    started = [
        subprocess.Popen(
            [sys.executable, __file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(workers)
    ]
    for child in started:
        child.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
    start = time.perf_counter()
    for child in started:
        child.stdin.write("go\n")  # type: ignore[union-attr]  # it is a pipe
        child.stdin.flush()  # type: ignore[union-attr]  # it is a pipe
    done = sum(int(child.stdout.readline()) for child in started)  # type: ignore[union-attr]
    taken = time.perf_counter() - start
    for child in started:
        child.communicate()
    if done != JOBS:
        raise RuntimeError(f"{done} of {JOBS} were done")
    return taken / JOBS


@contextmanager
def _told() -> Iterator[Callable[[int], None]]:
    """Say that all is ready, and wait for the word; then say how much was done."""
    print("ready", flush=True)
    sys.stdin.readline()
    yield lambda done: print(done, flush=True)


def _our_worker(dsn: str, together: str) -> None:
    store = PostgresStore(dsn, schema="safe")
    with _told() as tell:
        tell(send_all(store, 10, safe=True, together=together == "together"))
    store.close()


def _app(dsn: str) -> Any:
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
    count = [0]

    @app.task(name="job")
    async def job(number: int) -> None:
        count[0] += 1

    return app, job, count


def _their_worker(dsn: str) -> None:
    async def work() -> None:
        app, _, count = _app(dsn)
        async with app.open_async():
            with _told() as tell:
                await app.run_worker_async(
                    wait=False, concurrency=1, install_signal_handlers=False, listen_notify=False
                )
                tell(count[0])

    asyncio.run(work())


async def _prepare(dsn: str, jobs: int) -> None:
    app, job, _ = _app(dsn)
    async with app.open_async():
        if not jobs:
            await app.schema_manager.apply_schema_async()
        else:
            await job.batch_defer_async(*({"number": number} for number in range(jobs)))


def _safe(dsn: str, workers: int) -> Result:
    store = PostgresStore(dsn, schema="safe")
    queued = len(store.find(Outbox(limit=100_000)).rows)

    def ours(settled: str) -> float:
        nonlocal queued
        _queue(store, queued, JOBS)
        queued += JOBS
        return _together(["ours", dsn, settled], workers)

    def theirs() -> float:
        asyncio.run(_prepare(dsn, JOBS))
        return _together(["theirs", dsn], workers)

    us, them = "supportflow: claims of 10, begin, settle", "procrastinate: fetch, run, finish"
    result = interleave(
        f"Safe sends on PostgreSQL, {workers} worker processes (a message)",
        {
            them: theirs,
            us: lambda: ours("together"),
            f"{us} one by one": lambda: ours("alone"),
        },
        (Goal(us, them, 1 / 2, f"safe sends / procrastinate's jobs, {workers} workers"),),
        rounds=5,
    )
    store.close()
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
    """Measure intake, the outbox, and how flat a look for due clocks stays."""
    with Server(durable=True) as server, tempfile.TemporaryDirectory() as name:
        dsn = server.dsn
        results = [
            _ingest(dsn, Path(name), page, goal) for page, goal in ((100, 0.2), (1000, 0.12))
        ]
        results.append(_batches(dsn))
        asyncio.run(_prepare(dsn, 0))
        results += [_safe(dsn, workers) for workers in (1, 2, 4)]
        if not os.environ.get("SUPPORTFLOW_BENCH_QUICK"):
            results.append(_idle(dsn))
        return results


if __name__ == "__main__":
    {"ours": _our_worker, "theirs": _their_worker}[sys.argv[1]](*sys.argv[2:])
