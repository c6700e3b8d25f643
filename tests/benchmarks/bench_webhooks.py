"""How many signed webhook bodies a second are verified, read, decided and committed.

The goal is absolute, for one core: it is judged by the time that a processor spent, of all
threads together, which other work on the machine does not change much.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from harness import Goal, Result, interleave

from supportflow import AsyncDesk, Desk, SQLiteStore, Webhook, threaded
from supportflow.channels.messenger import Messenger

TURN, SENDERS = 500, 16
AT = datetime(2026, 1, 1, tzinfo=UTC)
#: The goal: 1,000 bodies a second, as the time of one.
PER_BODY = 1 / 1000


def body(number: int) -> bytes:
    """Return one webhook body with one message, as the platform escapes it."""
    message = {"mid": f"m_{number:09d}", "text": f"My order {number} has not arrived: дзе яна?"}
    event = {
        "sender": {"id": f"{number % 5000:09d}"},
        "recipient": {"id": "100"},
        "timestamp": 1767225600000 + number,
        "message": message,
    }
    content = {"object": "page", "entry": [{"id": "100", "time": 1, "messaging": [event]}]}
    return json.dumps(content).encode()


def signed(raw: bytes) -> Webhook:
    """Return a webhook as the platform signs it."""
    digest = hmac.new(b"app-secret", raw, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}
    return Webhook("POST", raw, AT, headers)


class Ours:
    """Desks that take webhooks from web threads, or tasks, into files of their own."""

    def __init__(self, directory: Path) -> None:
        channel = Messenger(
            "100", token="page-token", app_secret="app-secret", verify_token="verify"
        )
        self.desk = Desk(SQLiteStore(directory / "ours.db"), [channel])
        self.loop = asyncio.new_event_loop()
        self.later = AsyncDesk(threaded(SQLiteStore(directory / "async.db")), [channel])
        self.first, self.processor = 0, 0.0

    def hooks(self) -> list[Webhook]:
        """Return new webhooks."""
        self.first += TURN
        return [signed(body(number)) for number in range(self.first - TURN, self.first)]

    def one_by_one(self) -> float:
        """Take them from one thread."""
        hooks, start = self.hooks(), _now()
        answers = [self.desk.receive("messenger", hook).status for hook in hooks]
        return self.checked(answers, start)

    def together(self) -> float:
        """Take them from several threads, as a web server does."""
        hooks = self.hooks()
        with ThreadPoolExecutor(SENDERS) as pool:
            start = _now()
            answers = list(pool.map(lambda h: self.desk.receive("messenger", h).status, hooks))
        return self.checked(answers, start)

    def as_tasks(self) -> float:
        """Take them in as many tasks of one event loop."""

        async def receive(hooks: list[Webhook]) -> list[int]:
            waiting, answers = iter(hooks), []

            async def sender() -> None:
                for hook in waiting:
                    answers.append((await self.later.receive("messenger", hook)).status)

            await asyncio.gather(*(sender() for _ in range(SENDERS)))
            return answers

        hooks, start = self.hooks(), _now()
        return self.checked(self.loop.run_until_complete(receive(hooks)), start)

    def close(self) -> None:
        """Let go of both desks."""
        self.desk.close()
        self.loop.run_until_complete(self.later.close())
        self.loop.close()

    def checked(self, answers: list[int], start: tuple[float, float]) -> float:
        """Return the seconds a body, and keep those of the processor; all must have been taken."""
        taken, spent = (end - begun for end, begun in zip(_now(), start, strict=True))
        if set(answers) != {200}:
            raise RuntimeError(f"not every body was taken: {set(answers)}")
        self.processor = spent / TURN
        return taken / TURN


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


class Floor:
    """One durable row a body: what a commit costs by itself."""

    def __init__(self, directory: Path) -> None:
        self.connection = sqlite3.connect(directory / "floor.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute("CREATE TABLE body (id INTEGER PRIMARY KEY, raw BLOB)")
        self.first = 0

    def take(self) -> float:
        """Verify, parse and keep each body in a transaction of its own."""
        self.first += TURN
        raws = [body(number) for number in range(self.first - TURN, self.first)]
        start = time.perf_counter()
        for raw in raws:
            hmac.new(b"app-secret", raw, hashlib.sha256).hexdigest()
            json.loads(raw)
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.execute("INSERT INTO body (raw) VALUES (?)", (raw,))
            self.connection.execute("COMMIT")
        return (time.perf_counter() - start) / TURN


def run() -> list[Result]:
    """Measure from one thread and from several."""
    directory = Path(tempfile.mkdtemp(prefix="supportflow-bench-"))
    ours, floor = Ours(directory), Floor(directory)
    try:
        return [
            interleave(
                "A webhook body, verified and recorded",
                {
                    "floor: verify, parse, one row": floor.take,
                    "supportflow, one thread": ours.one_by_one,
                    f"supportflow, {SENDERS} threads": ours.together,
                    f"supportflow, {SENDERS} threads, processor": lambda: ours.processor,
                    f"supportflow, {SENDERS} tasks": ours.as_tasks,
                    f"supportflow, {SENDERS} tasks, processor": lambda: ours.processor,
                    "1,000 a second": lambda: PER_BODY,
                },
                tuple(
                    Goal(
                        f"supportflow, {SENDERS} {senders}, processor",
                        "1,000 a second",
                        1,
                        f"a body, {SENDERS} {senders}, one core / a thousandth of a second",
                    )
                    for senders in ("threads", "tasks")
                ),
                rounds=8,
            )
        ]
    finally:
        ours.close()
        floor.connection.close()
        shutil.rmtree(directory)
