"""How many signed webhook bodies a second are verified, read, decided and committed."""

from __future__ import annotations

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

from supportflow import Desk, SQLiteStore, Webhook
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
    """A desk that takes webhooks from several web threads into one file."""

    def __init__(self, directory: Path) -> None:
        channel = Messenger(
            "100", token="page-token", app_secret="app-secret", verify_token="verify"
        )
        self.desk = Desk(SQLiteStore(directory / "ours.db"), [channel])
        self.first = 0

    def hooks(self) -> list[Webhook]:
        """Return new webhooks."""
        self.first += TURN
        return [signed(body(number)) for number in range(self.first - TURN, self.first)]

    def one_by_one(self) -> float:
        """Take them from one thread."""
        hooks = self.hooks()
        start = time.perf_counter()
        answers = [self.desk.receive("messenger", hook).status for hook in hooks]
        return self.checked(answers, start)

    def together(self) -> float:
        """Take them from several threads, as a web server does."""
        hooks = self.hooks()
        with ThreadPoolExecutor(SENDERS) as pool:
            start = time.perf_counter()
            answers = list(pool.map(lambda h: self.desk.receive("messenger", h).status, hooks))
        return self.checked(answers, start)

    def checked(self, answers: list[int], start: float) -> float:
        """Return the seconds a body; every one must have been taken."""
        taken = time.perf_counter() - start
        if set(answers) != {200}:
            raise RuntimeError(f"not every body was taken: {set(answers)}")
        return taken / TURN


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
                    "1,000 a second": lambda: PER_BODY,
                },
                (
                    Goal(
                        f"supportflow, {SENDERS} threads",
                        "1,000 a second",
                        1,
                        "a body / a thousandth of a second",
                    ),
                ),
                rounds=8,
            )
        ]
    finally:
        ours.desk.close()
        floor.connection.close()
        shutil.rmtree(directory)
