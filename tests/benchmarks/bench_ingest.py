"""How fast messages come in: JSON to committed rows, beside the bare writes and a peer.

The floor writes, with the standard library alone, exactly the rows that supportflow wrote
for the same messages: same tables, same indexes, same pragmas, one transaction a page.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import Goal, Result, interleave

from supportflow import Desk, SQLiteStore
from supportflow.channels.archive import Archive

PAGE, PAGES = 100, 20
START = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = "My order has not arrived and nobody answers the telephone. Can somebody help me, please?"


def lines(first: int, count: int) -> Iterator[bytes]:
    """Make archive lines of one message each, as new conversations."""
    for number in range(first, first + count):
        at = START + timedelta(seconds=number)
        message = {"role": "customer", "at": at.isoformat(), "text": f"{TEXT} ({number})"}
        line = {"id": f"c{number:08d}", "brand": "shop", "messages": [message]}
        yield json.dumps(line).encode() + b"\n"


class Ours:
    """A desk that polls an archive, page by page, into a fresh file."""

    def __init__(self, directory: Path, name: str = "ours") -> None:
        self.directory, self.path = directory, directory / f"{name}.db"
        self.archive = directory / f"{name}.jsonl"
        self.archive.write_bytes(b"")
        self.first = 0
        page = max(map(len, lines(10_000_000, 1))) * PAGE
        self.desk = Desk(
            SQLiteStore(self.path), [Archive(str(self.archive), name="archive", chunk=page)]
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


TABLES = ("conversation", "message", "event")


class Floor:
    """The rows that `Ours` writes, written by `executemany`."""

    def __init__(self, directory: Path, model: Path) -> None:
        self.path = directory / "floor.db"
        source = sqlite3.connect(model)
        schema = [
            row[0] for row in source.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")
        ]
        self.columns = {
            t: len(source.execute(f"PRAGMA table_info({t})").fetchall()) for t in TABLES
        }
        self.rows = {t: source.execute(f"SELECT * FROM {t} ORDER BY 1").fetchall() for t in TABLES}
        source.close()
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute("PRAGMA cache_size=-65536")
        self.connection.execute("PRAGMA foreign_keys=ON")
        for statement in schema:
            if "sqlite_sequence" not in statement:
                self.connection.execute(statement)
        self.at = dict.fromkeys(TABLES, 0)

    def ingest(self, count: int) -> float:
        """Write the next messages' rows; return seconds a message."""
        start = time.perf_counter()
        for _ in range(count // PAGE):
            self.connection.execute("BEGIN IMMEDIATE")
            for name in TABLES:
                per_message = len(self.rows[name]) // len(self.rows["message"])
                end = self.at[name] + per_message * PAGE
                marks = ", ".join("?" * self.columns[name])
                page = self.rows[name][self.at[name] : end]
                self.connection.executemany(f"INSERT INTO {name} VALUES ({marks})", page)
                self.at[name] = end
            self.connection.execute("COMMIT")
        return (time.perf_counter() - start) / count


class Helpdesk:
    """django-helpdesk's own way from an e-mail to a ticket, on SQLite."""

    def __init__(self, directory: Path) -> None:
        import django
        from django.conf import settings

        settings.configure(
            SECRET_KEY="benchmark",
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": str(directory / "helpdesk.db"),
                }
            },
            INSTALLED_APPS=[
                "django.contrib.auth",
                "django.contrib.contenttypes",
                "django.contrib.sessions",
                "django.contrib.sites",
                "django.contrib.humanize",
                "django.contrib.messages",
                "django.contrib.admin",
                "rest_framework",
                "helpdesk",
            ],
            MIDDLEWARE=[],
            TEMPLATES=[
                {
                    "BACKEND": "django.template.backends.django.DjangoTemplates",
                    "APP_DIRS": True,
                }
            ],
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
            EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
            MEDIA_ROOT=str(directory / "media"),
            SITE_ID=1,
            HELPDESK_TEAMS_MODE_ENABLED=False,
            USE_TZ=True,
        )
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        import logging

        from helpdesk import email as inbound
        from helpdesk.models import Queue

        self.inbound, self.first = inbound, 0
        self.log = logging.getLogger("helpdesk-benchmark")
        self.log.setLevel(logging.CRITICAL)
        self.queue = Queue.objects.create(
            title="shop", slug="shop", email_address="shop@example.com"
        )

    def ingest(self, count: int) -> float:
        """Feed new e-mails; return seconds a message."""
        from helpdesk.models import Ticket

        before = Ticket.objects.count()
        mails = [
            f"From: c{n:08d}@example.com\r\nTo: shop@example.com\r\nMessage-Id: <{n}@example.com>\r\n"
            f"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nSubject: order {n}\r\n\r\n{TEXT} ({n})\r\n"
            for n in range(self.first, self.first + count)
        ]
        self.first += count
        start = time.perf_counter()
        for mail in mails:
            self.inbound.extract_email_metadata(mail, self.queue, self.log)
        taken = (time.perf_counter() - start) / count
        if Ticket.objects.count() - before != count:
            raise RuntimeError("django-helpdesk did not make a ticket of every e-mail")
        return taken


def _model(directory: Path, count: int) -> Path:
    """Return a file as supportflow writes it, for the floor to copy the rows of."""
    ours = Ours(directory, "model")
    ours.ingest(count)
    ours.desk.close()
    return ours.path


def _beside_peers(directory: Path) -> Result:
    rounds, turn = 8, PAGE * PAGES
    floor = Floor(directory, _model(directory, turn * rounds))
    ours, helpdesk = Ours(directory), Helpdesk(directory)
    result = interleave(
        "Ingest into SQLite, pages of 100 (a message)",
        {
            "floor: raw sqlite3, the same rows": lambda: floor.ingest(turn),
            "supportflow, JSON to commit": lambda: ours.ingest(turn),
            "django-helpdesk, e-mail to ticket": lambda: helpdesk.ingest(10),
        },
        (
            Goal(
                "supportflow, JSON to commit",
                "floor: raw sqlite3, the same rows",
                3,
                "JSON to commit / raw sqlite3",
            ),
            Goal(
                "supportflow, JSON to commit",
                "django-helpdesk, e-mail to ticket",
                1 / 100,
                "JSON to commit / django-helpdesk",
            ),
        ),
        rounds=rounds,
    )
    ours.desk.close()
    floor.connection.close()
    return result


def resident() -> float:
    """Return the memory that this process holds now, in MiB; its peak where only that is known."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def grow(ours: Ours, to: int) -> None:
    """Bring a file to a number of conversations through the same path."""
    while ours.first < to:
        ours.ingest(min(20_000, to - ours.first))


def _flat(directory: Path) -> tuple[Result, Ours, Ours]:
    small, large = Ours(directory, "small"), Ours(directory, "large")
    grow(small, 10_000)
    grow(large, 100_000)
    before = resident()
    grow(large, 1_000_000)
    print(f"memory grew by {resident() - before:.1f} MiB from 100k to 1M messages", flush=True)
    result = interleave(
        "Ingest with 10k and with 1M conversations stored (a message)",
        {"10k stored": lambda: small.ingest(PAGE), "1M stored": lambda: large.ingest(PAGE)},
        (Goal("1M stored", "10k stored", 1.5, "1M stored / 10k stored"),),
        rounds=40,
    )
    return result, small, large


def _idle(small: Ours, large: Ours) -> Result:
    """Look for due clocks where none is: archived conversations are never announced."""

    def turn(desk: Desk) -> float:
        start = time.perf_counter()
        for _ in range(50):
            if desk.announce():
                raise RuntimeError("history was announced")
        return (time.perf_counter() - start) / 50

    return interleave(
        "Announce with nothing due",
        {"10k open": lambda: turn(small.desk), "1M open": lambda: turn(large.desk)},
        (Goal("1M open", "10k open", 1.15, "1M open / 10k open"),),
        rounds=60,
    )


def run() -> list[Result]:
    """Measure beside the floor and the peer, then how flat it stays."""
    directory = Path(tempfile.mkdtemp(prefix="supportflow-bench-"))
    try:
        results = [_beside_peers(directory)]
        if os.environ.get("SUPPORTFLOW_BENCH_QUICK"):
            return results
        flat, small, large = _flat(directory)
        results += [flat, _idle(small, large)]
        small.desk.close()
        large.desk.close()
        return results
    finally:
        shutil.rmtree(directory)
