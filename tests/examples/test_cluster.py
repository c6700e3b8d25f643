"""Several workers: two are killed while they send, and every customer still gets one answer."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from supportflow.stores import Row, RowState
from supportflow.testing.store_samples import posting

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def told(folder: Path, *arguments: str) -> list[str]:
    """Run the script in an empty directory; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "cluster.py"), *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", "TMPDIR": str(folder)},
        cwd=folder,
        timeout=100,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def check(lines: list[str]) -> None:
    """Check the table: everybody's answer is in it once, and two workers did not live to its end."""
    *table, _, last = lines
    rows = [re.fullmatch(r"\d+ +(\d+) +(\d+)( +killed)?", line) for line in table[1:]]
    assert "60 customers asked, and each has one answer" == last
    posted, took = (sum(int(row[column]) for row in rows) for column in (1, 2))
    assert 60 == posted
    assert took >= 2
    assert ["0", "0"] == [row[2] for row in rows if row[3]]


def test_two_of_four_workers_on_one_file_are_killed(tmp_path: Path) -> None:
    """On SQLite the locks of files show it: others take over at once, and nothing stays behind."""
    check(told(tmp_path))
    assert [] == list(tmp_path.iterdir())


def test_two_of_four_workers_on_one_server_are_killed(tmp_path: Path, bare_postgres: Any) -> None:
    """On PostgreSQL the sessions that ended show it."""
    check(told(tmp_path, "--store", f"{bare_postgres.dsn}#{bare_postgres.name}"))


# -- what the script would not miss


@pytest.fixture
def seen(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a truth that holds: two customers, two workers, one of them killed while it sent."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    cluster = load("cluster.py")
    monkeypatch.setattr(cluster, "KILLED", 1)
    monkeypatch.setattr(cluster, "WORKERS", 2)
    rows = [
        Row(posting(f"row{number}"), 1, RowState.sent, worker=2, remote_id=f"post{number}")
        for number in (1, 2)
    ]
    posts = [{"id": f"post{number}", "in_reply_to": f"asked{number}"} for number in (1, 2)]
    return cluster.Seen(["asked1", "asked2"], posts, rows, {"row1": 1, "row2": 2}, [-9, 0])


def test_the_truth_holds(seen: Any) -> None:
    """What it is given to judge below is right but for the one thing that is falsified."""
    assert [] == seen.wrong()


@pytest.mark.parametrize(
    ("claim", "falsified"),
    [
        ("one answer", lambda seen: {"posts": [*seen.posts, {**seen.posts[0], "id": "post3"}]}),
        ("one answer", lambda seen: {"posts": seen.posts[1:]}),
        ("receipt", lambda seen: {"rows": [*seen.rows, seen.rows[0]]}),
        ("sent", lambda seen: {"rows": [attrs.evolve(r, state="unknown") for r in seen.rows]}),
        ("had begun", lambda seen: {"struck": {}}),
        ("stopped", lambda seen: {"ended": [-9, 1]}),
        ("stopped", lambda seen: {"ended": [-9, None]}),
    ],
)
def test_a_falsified_truth_fails(
    claim: str, falsified: Callable[[Any], dict[str, Any]], seen: Any
) -> None:
    """A second post, a lost one, a receipt too many, a doubt, nothing taken over: it says so."""
    assert any(claim in wrong for wrong in attrs.evolve(seen, **falsified(seen)).wrong())
