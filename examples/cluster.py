"""Let four workers share one store, kill two while they send, and count what each customer got.

    python examples/cluster.py                   # on SQLite, in a file that is removed at the end
    python examples/cluster.py --store sqlite:new.db
    python examples/cluster.py --store postgresql://localhost/support    # in its schema `cluster`

A strict local Mastodon, a process as every worker is one, keeps the truth. When some answers are
posted it keeps each worker waiting for the answer to its next post, and two are killed (SIGKILL).
The others see by the locks that died with them that they are dead, and look on the platform for what
they were sending. The script ends with 1 unless every customer was answered exactly once.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urldefrag

import attrs
import httpx
from demo_parts.page import Page

import supportflow
from supportflow.channels import Traits
from supportflow.channels.mastodon import Mastodon
from supportflow.stores import Row, RowState, Store
from supportflow.testing.platforms.mastodon import MastodonPlatform

CUSTOMERS, WORKERS, KILLED, BEFORE = 60, 4, 2, 12
PATIENCE = 60.0  # seconds until the script gives up


class Prompt(Mastodon):
    """A Mastodon that shows posts at once: whoever looks for one need not wait before."""

    @property
    def traits(self) -> Traits:
        """Return what it can do."""
        return attrs.evolve(super().traits, settle=timedelta(seconds=0.5))


def opened(address: str) -> Store:
    """Open `sqlite:PATH`, `postgresql://…` or `postgresql://…#SCHEMA`, once a process."""
    if address.startswith("sqlite:"):
        return supportflow.SQLiteStore(address.removeprefix("sqlite:"))
    dsn, schema = urldefrag(address)
    return supportflow.PostgresStore(dsn, schema=schema or "cluster", connections=3)


def work(address: str, url: str, token: str, start: Any) -> None:
    """Be one of several workers; it does what a single one would do."""
    with supportflow.Desk(opened(address), [Prompt(url, token=token)]) as desk:
        start.wait(PATIENCE)
        desk.run(deadline=10)


# -- the script


def serve(pipe: Any) -> None:
    """Be the platform, until the script ends."""
    with MastodonPlatform(control=True, rate_limit=10**6, posts_limit=10**6) as platform:
        pipe.send((platform.url, platform.shop.token))
        pipe.poll(None)


def until(seen: Callable[[], bool]) -> None:
    """Look again and again, but not for ever."""
    end = time.monotonic() + PATIENCE
    while not seen():
        if time.monotonic() > end:
            raise TimeoutError(f"it was not seen within {PATIENCE:g} seconds")
        time.sleep(0.1)


@attrs.frozen
class Seen:
    """Hold what platform and store have at the end, and who was sending which row at the blow."""

    asked: list[str]
    posts: list[dict[str, Any]]
    rows: list[Row]
    struck: dict[str, int | None]
    ended: list[int | None]

    def left(self) -> list[Row]:
        """Return the rows that another worker brought to their end."""
        return [row for row in self.rows if self.struck.get(row.id, row.worker) != row.worker]

    def killed(self) -> set[int | None]:
        """Return the workers whose rows others ended."""
        return {self.struck[row.id] for row in self.left()}

    def wrong(self) -> list[str]:
        """Return what is not so."""
        answered = Counter(post["in_reply_to"] for post in self.posts)
        receipts = Counter(row.remote_id for row in self.rows)
        claims = {
            "every customer has one answer": answered == Counter(self.asked),
            "every post has its receipt": receipts == Counter(post["id"] for post in self.posts),
            "every reply is sent": {row.state for row in self.rows} == {RowState.sent},
            "others ended what the killed had begun": len(self.killed()) == KILLED,
            "the others stopped when told to": self.ended[KILLED:] == [0] * (WORKERS - KILLED),
        }
        return [claim for claim, holds in claims.items() if not holds]


def play(desk: supportflow.Desk, ask: httpx.Client, workers: list[Any], start: Any) -> Seen:
    """Let customers write, workers answer, and two of these die."""

    def posts() -> list[dict[str, Any]]:
        return [post for post in ask.get("truth").json()["posts"] if post["author"] == "shop"]

    said = {"do": "post", "text": "@shop Where is my parcel?"}
    asked = [ask.post("act", json={"as": f"c{n}", **said}).json()["id"] for n in range(CUSTOMERS)]
    desk.poll()
    for conversation in desk.inbox(unanswered=True):
        desk.reply(conversation, "We have your message, and look into it now.", agent="anna")
    start.wait(PATIENCE)
    until(lambda: len(posts()) >= BEFORE)
    for _ in workers:
        ask.post("faults", json={"kind": "held", "match": "POST *"})
    until(lambda: ask.get("faults").json()["struck"].get("held") == len(workers))
    struck = {row.id: row.worker for row in desk.outbox(states=["sending"])}
    for worker in workers[:KILLED]:
        worker.kill()
    ask.post("release")
    until(lambda: len(desk.outbox(states=["sent"])) == CUSTOMERS)
    for worker in workers:
        worker.terminate()
        worker.join(PATIENCE)
    ended = [worker.exitcode for worker in workers]
    return Seen(asked, posts(), list(desk.outbox()), struck, ended)


def tell(seen: Seen) -> int:
    """Write down who posted what; return the exit status."""
    page, wrong, left = Page(), seen.wrong(), seen.left()
    posted = Counter(seen.struck.get(row.id, row.worker) for row in seen.rows)
    took, killed = Counter(row.worker for row in left), seen.killed()
    lines = [
        (str(who), str(posted[who]), str(took[who]), "killed" if who in killed else "")
        for who in sorted(posted | took, key=lambda who: who or 0)
    ]
    page.table(("worker", "posted", "took over", ""), lines)
    said = f"{len(seen.asked)} customers asked, and each has one answer"
    page.end("; ".join(f"NOT SO: {claim}" for claim in wrong) or said, well=not wrong)
    return 1 if wrong else 0


def main(store: str) -> int:
    """Start everybody; return the exit status."""
    quickest = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    new: Any = multiprocessing.get_context(quickest)
    start, (ours, theirs) = new.Barrier(WORKERS + 1), new.Pipe()
    new.Process(target=serve, args=(theirs,), daemon=True).start()
    url, token = ours.recv()
    given = (store, url, token, start)
    workers = [new.Process(target=work, args=given, daemon=True) for _ in range(WORKERS)]
    for worker in workers:  # before this process has a store: each opens its own
        worker.start()
    ask = httpx.Client(base_url=f"{url}/_control/", trust_env=False)
    with ask, supportflow.Desk(opened(store), [Prompt(url, token=token)]) as desk:
        if desk.outbox():
            raise SystemExit(f"{store} is in use: name a new one")
        return tell(play(desk, ask, workers, start))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Let four workers share a store, and kill two.")
    parser.add_argument("--store", help="a new one: sqlite:PATH or postgresql://…[#SCHEMA]")
    with TemporaryDirectory() as folder:
        sys.exit(main(parser.parse_args().store or f"sqlite:{folder}/support.db"))
