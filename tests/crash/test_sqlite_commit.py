"""A process that commits pages is killed at many moments: every page is there, or is not at all.

The killing is done by this file, run as a program of its own: it forks, so it must hold no
thread and no store while it does.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from supportflow.errors import Conflict
from supportflow.stores import Wanted
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import batch, continued, opened, posting, said

#: How many conversations, messages and outbox rows a page has.
PAGE = 8


def run(*arguments: object) -> dict[str, int]:
    """Run this file as a program, and return what it says of what it saw."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert "" == done.stderr
    report: dict[str, int] = json.loads(done.stdout)
    return report


def test_no_kill_leaves_half_a_page(tmp_path: Path) -> None:
    """After each of 60 kills at any moment the file is sound, no page is there in part, no
    version is missing, and what was acknowledged is there (RELIABILITY, faults 10 and 38).
    """
    report = run("kill", tmp_path / "support.db", 60)

    assert {"kills": 60, "damage": 0, "torn": 0, "lost": 0} == {
        name: report[name] for name in ("kills", "damage", "torn", "lost")
    }
    assert report["pages"] > 60  # the processes did commit, before and after each other


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    """Four processes write the same conversations at once, and read again on each conflict:
    every page is there once, in a log without a gap.
    """
    report = run("write", tmp_path / "support.db", 4, 12)

    assert {"pages": 48, "damage": 0, "torn": 0, "failed": 0} == {
        name: report[name] for name in ("pages", "damage", "torn", "failed")
    }


# --- the program -------------------------------------------------------------------------


def commit_page(store: SQLiteStore, name: str) -> None:
    """Commit one page: the same conversations as every page, one version later."""
    first = [opened(f"customer-{number}") for number in range(PAGE)]
    loaded = store.load(Wanted(conversations=tuple(w.after.id for w in first))).conversations
    written = [continued(loaded[w.after.id]) if loaded else w for w in first]
    store.commit(
        batch(
            *written,
            messages=tuple(said(f"{name}-{w.after.number}-{w.after.id}", w.after) for w in written),
            postings=tuple(posting(f"{name}-{w.after.id}", w.after) for w in written),
            once={f"page:{name}": "done"},
        )
    )


def seen(path: str) -> dict[str, int]:
    """Open the file again; return what is wrong with it, and how many whole pages it has."""
    with closing(SQLiteStore(path)) as store:
        store.load(Wanted(conversations=(opened("customer-0").after.id,)))
        ask = store._connection.execute
        sound = ask("PRAGMA integrity_check").fetchall() == [("ok",)]
        tied = ask("PRAGMA foreign_key_check").fetchall() == []
        pages = ask("SELECT count(*) FROM once").fetchone()[0]
        whole = [
            PAGE * pages == ask(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("message", "outbox", "event")
        ]
        logs = ask(
            "SELECT c.version, min(e.version), max(e.version), count(*)"
            " FROM conversation AS c JOIN event AS e ON e.conversation = c.id GROUP BY c.id"
        ).fetchall()
    whole.append([(pages, 1, pages, pages)] * (PAGE if pages else 0) == logs)
    return {"damage": int(not (sound and tied)), "torn": int(not all(whole)), "pages": pages}


def forked(work: Callable[[], None]) -> int:
    """Run something in a child that ends without any clearing up."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def kill(path: str, kills: int) -> dict[str, int]:
    """Start a writer, kill it while it is at it, and look; again and again."""
    dice = random.Random(20260302)
    report = {"kills": 0, "damage": 0, "torn": 0, "lost": 0, "pages": 0}
    acknowledged = 0
    for _ in range(kills):
        acknowledged += interrupted(path, dice.randrange(1, 150))
        now = seen(path)
        report["kills"] += 1
        report["damage"] += now["damage"]
        report["torn"] += now["torn"]
        report["lost"] += now["pages"] < acknowledged
        acknowledged = report["pages"] = now["pages"]
    return report


def interrupted(path: str, statements: int) -> int:
    """Kill a writer at about its n-th statement; return how many pages it had reported."""
    reading, writing = os.pipe()

    def write() -> None:
        with closing(SQLiteStore(path)) as store:
            store._connection.set_trace_callback(lambda _: os.write(writing, b"s"))
            for name in pages():
                commit_page(store, name)
                os.write(writing, b"p")

    child = forked(write)
    os.close(writing)
    reports = b""
    while reports.count(b"s") < statements and (report := os.read(reading, 16)):
        reports += report
    os.kill(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        raise AssertionError("a writer ended before it was killed")
    while select.select([reading], [], [], 0)[0] and (rest := os.read(reading, 65_536)):
        reports += rest
    os.close(reading)
    return reports.count(b"p")


def pages() -> Iterator[str]:
    """Name pages after who writes them."""
    number = 0
    while True:
        yield f"{os.getpid()}-{number}"
        number += 1


def write(path: str, writers: int, count: int) -> dict[str, int]:
    """Let several processes write at once."""

    def work() -> None:
        with closing(SQLiteStore(path)) as store:
            for name, _ in zip(pages(), range(count), strict=False):
                while True:
                    try:
                        commit_page(store, name)
                        break
                    except Conflict:
                        continue

    children = [forked(work) for _ in range(writers)]
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    return {**seen(path), "failed": failed}


if __name__ == "__main__":
    what, place, *numbers = sys.argv[1:]
    program = {"kill": kill, "write": write}[what]
    sys.stdout.write(json.dumps(program(place, *map(int, numbers))))
