"""How fast the outbox on PostgreSQL sends, beside a queue that is made for it.

A reply is sent by a desk, as users do it: claimed, decided again, begun in a commit of its own, sent
to a network that answers at once, and settled with the conversation that it belongs to. The queue's
job does nothing. Every figure is taken from one server that waits for the disk at every commit, and
workers are processes: this file once more.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from harness import Goal, Result, interleave

from supportflow import Desk, MemoryStore, PostgresStore
from supportflow.channels import Traits
from supportflow.flow import Flow
from supportflow.http import Request, Response
from supportflow.model import Author, ChannelState, Inbound, Message, Outgoing, Receipt
from supportflow.stores import Changes, Claimed, Store, Work, WorkKind, Written
from supportflow.testing.store_samples import CHANNEL, batch, posting, sent

sys.path.append(str(Path(__file__).resolve().parents[1]))
from postgres_server import Server

#: How many jobs are measured, and how many each worker does before that, to be at its work.
JOBS, WARM = 300, 25
SEND = Work(WorkKind.send, (CHANNEL,))

# --- claim and settle --------------------------------------------------------------------


def _queue(store: Store, first: int, count: int) -> None:
    rows = (posting(f"row-{number}") for number in range(first, first + count))
    store.commit(batch(postings=tuple(rows)))


def _settle(store: Store, claims: list[Claimed]) -> None:
    ids = [claimed.row.id for claimed in claims if claimed.row]
    store.commit(batch(settlements=tuple(sent(name, f"r-{name}") for name in ids)))


def _send_all(store: Store, limit: int) -> int:
    """Claim and settle until nothing is left; return how many."""
    worker, done = store.worker(), 0
    while claims := list(store.claim(SEND, worker, limit)):
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
        if _send_all(store, limit) != count:
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


# --- safe sends --------------------------------------------------------------------------


class Instant:
    """Be a network that takes no time."""

    def send(self, request: Request) -> Response:
        """Accept everything."""
        return Response(200, body=b'{"id": "r1"}', at=datetime.now(UTC))

    def close(self) -> None:
        """Do nothing."""


@attrs.frozen
class Net:
    """The smallest channel to it."""

    name: str = "net"
    traits: Traits = Traits("net", 1000, "read", inbound=())

    def using(self, state: ChannelState) -> Net:
        """Remember nothing."""
        return self

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post once."""
        body = message.text.encode()
        answer = yield Request("POST", "https://net.example/posts", body=body, posts=True)
        return Receipt(answer.json()["id"], answer.at)


class Recorder(MemoryStore):
    """Remember what was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Changes] = []

    def commit(self, changes: Changes) -> None:
        """See `Store.commit`."""
        super().commit(changes)
        self.commits.append(changes)

    def whole(self) -> Changes:
        """Return everything as one commit."""
        last: dict[str, Written] = {}
        for each in (written for changes in self.commits for written in changes.conversations):
            before = last.get(each.after.id)
            events = (*before.events, *each.events) if before else each.events
            last[each.after.id] = attrs.evolve(each, before=0, events=events)
        return Changes(
            self.commits[-1].at,
            conversations=tuple(last.values()),
            messages=tuple(stored for each in self.commits for stored in each.messages),
            once={key: value for each in self.commits for key, value in each.once.items()},
            postings=tuple(row for each in self.commits for row in each.postings),
        )


def replies(first: int, count: int) -> Changes:
    """Return what makes a store hold replies to as many customers, all due."""
    recorder, now = Recorder(), datetime.now(UTC)
    with Desk(recorder, [Net()], etiquette=()) as desk:
        said = (
            Inbound(Message("net", "post", f"m{n}", Author(f"c{n}"), "Where is it?", now, f"t{n}"))
            for n in range(first, first + count)
        )
        for conversation in desk.intake("net", said).conversations:
            desk.reply(conversation, "We have found it: it is on its way to you.")
    return recorder.whole()


def _our_worker(dsn: str) -> None:
    with Desk(PostgresStore(dsn, schema="safe"), [Net()], transport=Instant()) as desk:
        desk.deliver(limit=JOBS)
        with _told() as tell:
            tell(desk.deliver(limit=JOBS).sent)


# --- the queue ---------------------------------------------------------------------------


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
        async def run() -> int:
            before = count[0]
            await app.run_worker_async(
                wait=False, concurrency=1, install_signal_handlers=False, listen_notify=False
            )
            return count[0] - before

        app, _, count = _app(dsn)
        async with app.open_async():
            await run()
            with _told() as tell:
                tell(await run())

    asyncio.run(work())


async def _prepare(dsn: str, jobs: int) -> None:
    app, job, _ = _app(dsn)
    async with app.open_async():
        if not jobs:
            await app.schema_manager.apply_schema_async()
        else:
            await job.batch_defer_async(*({"number": number} for number in range(jobs)))


# --- both --------------------------------------------------------------------------------


@contextmanager
def _told() -> Iterator[Callable[[int], None]]:
    """Say that all is ready, and wait for the word; then say how much was done."""
    print("ready", flush=True)
    sys.stdin.readline()
    yield lambda done: print(done, flush=True)


def _together(command: list[str], workers: int, queue: Callable[[int], None]) -> float:
    """Start workers, let them all go at once when they are warm; return how long they took."""
    queue(WARM * workers)
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
    queue(JOBS)
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


def _safe(dsn: str, workers: int) -> Result:
    store = PostgresStore(dsn, schema="safe")
    queued = workers * 1_000_000

    def ours(count: int) -> None:
        nonlocal queued
        store.commit(replies(queued, count))
        queued += count

    def theirs(count: int) -> None:
        asyncio.run(_prepare(dsn, count))

    us, them = "supportflow: desk.deliver()", "procrastinate: fetch, run, finish"
    result = interleave(
        f"Safe sends on PostgreSQL, {workers} worker processes (a message)",
        {
            them: lambda: _together(["theirs", dsn], workers, theirs),
            us: lambda: _together(["ours", dsn], workers, ours),
        },
        (Goal(us, them, 1 / 2, f"safe sends / procrastinate's jobs, {workers} workers"),),
        rounds=7,
    )
    store.close()
    return result


def run() -> list[Result]:
    """Measure the outbox alone, and desks that send."""
    with Server(durable=True) as server:
        dsn = server.dsn
        results = [_batches(dsn)]
        asyncio.run(_prepare(dsn, 0))
        return results + [_safe(dsn, workers) for workers in (1, 2, 4)]


if __name__ == "__main__":
    {"ours": _our_worker, "theirs": _their_worker}[sys.argv[1]](*sys.argv[2:])
