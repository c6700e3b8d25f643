"""Prove the promises under kill -9 at length, and write what was measured into `docs/guide/scoreboard.md`.

It runs the campaigns of `tests/crash/fleet.py` over every reconcile class and every store that can be
had, judges them by `tests/crash/history.py`, runs the same on two naive algorithms, plants the seeded
bugs, and writes a page that holds nothing but the numbers of this run. It fails if a rule was broken.

    python tools/prove.py [--kills 2000] [--freezes 500] [--restarts 50]
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).resolve().parent.parent
CRASH = ROOT / "tests" / "crash"
PAGE = ROOT / "docs" / "guide" / "scoreboard.md"
KINDS = {"K": "takes a key", "R": "can be read", "E": "sends echoes", "B": "blind"}
#: How many kills one campaign has at most: a campaign that ends tells more than one that goes on.
BATCH = 250


@attrs.define
class Score:
    """Hold what was counted for one store and algorithm.

    Args:
        kills: Workers killed with SIGKILL.
        freezes: Workers frozen with SIGSTOP.
        restarts: Restarts of the database.
        seconds: How long workers were struck.
        posts: Posts on each class's platform.
        doubled: Replies that are there more than once.
        lost: Replies that nobody knows of any more.
        wrong: Replies called failed that are there.
        unposted: Replies called failed that are not there.
        doubts: Rows that were unknown at some time.
        shown: Of these, those that a person sees as unknown at the end.
        broken: What broke a rule, shortly.
        points: How often a worker was struck at each named point.
        known: Every point that has a name.
    """

    kills: int = 0
    freezes: int = 0
    restarts: int = 0
    seconds: float = 0.0
    posts: Counter[str] = attrs.field(factory=Counter)
    doubled: Counter[str] = attrs.field(factory=Counter)
    lost: Counter[str] = attrs.field(factory=Counter)
    wrong: Counter[str] = attrs.field(factory=Counter)
    unposted: Counter[str] = attrs.field(factory=Counter)
    doubts: Counter[str] = attrs.field(factory=Counter)
    shown: Counter[str] = attrs.field(factory=Counter)
    broken: list[str] = attrs.field(factory=list)
    points: Counter[str] = attrs.field(factory=Counter)
    known: frozenset[str] = frozenset()


@contextmanager
def postgres() -> Iterator[Any]:
    """Start a PostgreSQL of our own, as the tests do; yield None where there is none."""
    sys.path.append(str(ROOT / "tests"))
    try:
        # its driver may be missing
        from postgres_server import Server  # type: ignore[import-not-found]  # noqa: PLC0415
    except ImportError:
        yield None
        return
    with Server() as server:
        yield server


def campaign(server: Any, plan: dict[str, Any]) -> dict[str, Any]:
    """Run one campaign in a process of its own, and restart the database meanwhile if asked."""
    program = [sys.executable, str(CRASH / "fleet.py"), json.dumps(plan)]
    with subprocess.Popen(  # noqa: S603  # our own program
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101  # for the type checker
        assert process.stdout is not None  # noqa: S101
        for line in process.stdout:
            if line.strip() != "restart":
                report: dict[str, Any] = json.loads(line)
                break
            server.restart()
            process.stdin.write("done\n")
            process.stdin.flush()
        else:
            raise SystemExit("a campaign failed; its reason stands above")
    return report


def judged(score: Score, report: dict[str, Any]) -> None:
    """Count what a campaign shows."""
    from fleet import POINTS, open_store  # type: ignore[import-not-found]  # noqa: PLC0415
    from history import Op, check, gathered  # type: ignore[import-not-found]  # noqa: PLC0415

    score.kills += sum(report["killed"].values())
    score.freezes += sum(report["frozen"].values())
    score.restarts += report["restarts"]
    score.points += Counter(report["killed"]) + Counter(report["frozen"])
    score.known = frozenset(POINTS)
    score.seconds += report["seconds"]
    ops = [Op(*op) for op in report["ops"]]
    doubts = {op.row for op in ops if op.state == "unknown"}
    score.broken += [f"on its way for ever: {what}" for what in report["left"]]
    with closing(open_store(report["plan"]["store"])) as store:
        for kind, truth in report["truth"].items():
            history = gathered(store, kind, truth, queued=report["queued"], ops=ops, kind=kind)
            found = check(history)
            failed = [row for row in history.rows if row.state == "failed"]
            score.posts[kind] += len(history.posts)
            score.doubled[kind] += len(found.get("duplicate", ()))
            score.lost[kind] += len(found.get("lost", ()))
            score.wrong[kind] += len(found.get("wrongly_failed", ()))
            score.unposted[kind] += len(failed) - len(found.get("wrongly_failed", ()))
            score.doubts[kind] += sum(row.id in doubts for row in history.rows)
            score.shown[kind] += sum(row.state == "unknown" for row in history.rows)
            score.broken += [f"{kind} {rule}: {what[0]}" for rule, what in found.items()]


def proved(server: Any, goal: dict[str, int], naive: str = "") -> Score:
    """Run campaigns until the goal is met."""
    score, seed = Score(), 0
    while any(getattr(score, name) < number for name, number in goal.items()):
        seed += 1
        left = {name: max(number - getattr(score, name), 0) for name, number in goal.items()}
        share = max(1, -(-left["kills"] // BATCH), -(-left["freezes"] // BATCH))
        part = {name: -(-number // share) for name, number in left.items()}
        with tempfile.TemporaryDirectory() as place:
            store = f"sqlite:{place}/support.db"
            if server is not None:
                store = f"{server.dsn}#prove_{naive or 'ours'}_{seed}"
            seconds = 5.0 + part["kills"] + part["freezes"] + 3 * part.get("restarts", 0)
            plan = {"store": store, "seed": seed, "naive": naive, "seconds": seconds, **part}
            judged(score, campaign(server, plan))
        print(
            f"  {score.kills} kills, {score.freezes} freezes, {score.restarts} restarts", flush=True
        )
        if score.broken and not naive:
            print("  broken: " + "; ".join(score.broken[-3:]), flush=True)
    return score


def seeded() -> tuple[int, int]:
    """Run the seeded bugs; return how many were found, of how many."""
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603  # our own tests
        [*program, CRASH / "test_seeded_bugs.py"],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
    )
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    return counts.get("passed", 0), sum(counts.values())


# --- the page -----------------------------------------------------------------------------


def page(ours: dict[str, Score], naive: dict[str, Score], bugs: tuple[int, int]) -> str:
    """Write the scoreboard."""
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    parts = [
        "# Scoreboard\n",
        (f"Measured by `make prove` on {when} with CPython {platform.python_version()}: four worker"
        " processes serve customers on a made-up network of each reconcile class, whose platforms"
        " commit faults on 20 % of all requests, while workers are killed with SIGKILL and frozen"
        " with SIGSTOP, at any moment and at named points. The platforms' own lists, the store"
        " and the workers' logs are compared by `tests/crash/history.py`.\n"),
        "## What was done\n",
        _table(
            ("Store", "Kills", "Freezes", "Database restarts", "Points struck", "Replies posted",
             "Rules broken"),
            [
                (name, s.kills, s.freezes, s.restarts,
                 f"{len(s.known & s.points.keys())} of {len(s.known)}", s.posts.total(),
                 len(s.broken))
                for name, s in ours.items()
            ],
        ),
        "## What came of it\n",
        _table(
            ("Store", "Class", "Posted", "Duplicates", "Lost", "Wrongly failed", "Ever unknown",
             "Cleared up", "Shown as unknown"),
            [row for name, s in ours.items() for row in _classes(name, s)],
        ),
        "## The same with naive algorithms\n",
        _table(
            ("Algorithm", "Kills", "Posted", "Duplicates", "Wrongly failed", "Failed, never posted"),
            [
                (name, s.kills, s.posts.total(), s.doubled.total(), s.wrong.total(), s.unposted.total())
                for name, s in naive.items()
            ],
        ),
        "## Whether the tests can fail\n",
        (f"{bugs[0]} of {bugs[1]} planted bugs turned the named check red"
        " (`tests/crash/test_seeded_bugs.py`).\n"),
    ]  # fmt: skip
    return "\n".join(parts)


def _classes(name: str, score: Score) -> Iterator[tuple[object, ...]]:
    for kind, words in KINDS.items():
        doubts, shown = score.doubts[kind], score.shown[kind]
        cleared = f"{(doubts - shown) / doubts:.0%}" if doubts else "–"
        yield (
            name, f"{kind} ({words})", score.posts[kind], score.doubled[kind], score.lost[kind],
            score.wrong[kind], doubts, cleared, shown,
        )  # fmt: skip


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def main() -> int:
    """Run everything; return 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="tools/prove.py")
    parser.add_argument("--kills", type=int, default=2000, help="in all, over the stores")
    parser.add_argument("--freezes", type=int, default=500, help="in all, over the stores")
    parser.add_argument("--restarts", type=int, default=50, help="of PostgreSQL")
    parser.add_argument("--page", type=Path, default=PAGE)
    chosen = parser.parse_args()
    sys.path.append(str(CRASH))
    with postgres() as server:
        stores = {"SQLite": None} if server is None else {"SQLite": None, "PostgreSQL": server}
        ours = {}
        for name, where in stores.items():
            print(f"{name} ...", flush=True)
            goal = {
                "kills": -(-chosen.kills // len(stores)),
                "freezes": -(-chosen.freezes // len(stores)),
                **({"restarts": chosen.restarts} if where else {}),
            }
            ours[name] = proved(where, goal)
        few = {"kills": max(20, chosen.kills // 20), "freezes": max(4, chosen.freezes // 50)}
        print("The naive algorithms ...", flush=True)
        naive = {
            "retry on doubt": proved(None, few, "retry"),
            "fail on doubt": proved(None, few, "fail"),
        }
    print("The seeded bugs ...", flush=True)
    bugs = seeded()
    chosen.page.write_text(page(ours, naive, bugs), "utf-8")
    broken = [what for score in ours.values() for what in score.broken]
    for name, score in ours.items():
        if missed := sorted(score.known - score.points.keys()):
            print(f"{name}: no worker was struck {', '.join(missed)}")
    print("\n".join(broken) or f"No rule was broken: {chosen.page}")
    return int(bool(broken) or bugs[0] != bugs[1])


if __name__ == "__main__":
    sys.exit(main())
