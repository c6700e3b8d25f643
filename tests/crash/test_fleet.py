"""Workers are killed and frozen at any moment while they serve; the history alone says what came of it.

`fleet.py` does the killing, in processes of its own; `history.py` judges.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fleet import open_store
from history import History, Op, check, gathered

pytestmark = pytest.mark.xdist_group("crash")


def campaign(store: str, **plan: Any) -> dict[str, Any]:
    """Run a campaign in a process of its own, and return its report."""
    # Processes that are killed measure no coverage: it would only make them slower.
    alone = {name: v for name, v in os.environ.items() if not name.startswith("COVERAGE")}
    program = [sys.executable, Path(__file__).with_name("fleet.py")]
    done = subprocess.run(
        [*program, json.dumps({"store": store, **plan})],
        capture_output=True,
        check=False,
        env=alone,
        text=True,
        timeout=300,
    )
    assert ("", 0) == (done.stderr, done.returncode)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def histories(report: dict[str, Any]) -> dict[str, History]:
    """Return what the witnesses say, by reconcile class."""
    ops = [Op(*op) for op in report["ops"]]
    with closing(open_store(report["plan"]["store"])) as store:
        return {
            kind: gathered(store, kind, truth, queued=report["queued"], ops=ops, kind=kind)
            for kind, truth in report["truth"].items()
        }


def test_no_kill_and_no_freeze_doubles_or_loses_anything(tmp_path: Path) -> None:
    """Four workers on one file are killed 40 times and frozen 8, anywhere and at fault points, on a
    network of each class, with faults on a fifth of all requests: every rule of the history
    holds, and what nobody can find out is shown as unknown (RELIABILITY G1–G9).
    """
    report = campaign(f"sqlite:{tmp_path / 'support.db'}", kills=40, freezes=8)

    assert [] == report["left"]
    judged = {kind: check(history) for kind, history in histories(report).items()}
    assert {"K": {}, "R": {}, "E": {}, "B": {}} == judged
    assert sum(report["killed"].values()) >= 40
    assert sum(report["frozen"].values()) >= 8


@pytest.mark.parametrize(("naive", "shows"), [("retry", "duplicate"), ("fail", "wrongly_failed")])
def test_naive_algorithms_fail_in_the_same_world(tmp_path: Path, naive: str, shows: str) -> None:
    """Who retries on doubt posts twice, who fails on doubt says what is not so: the same
    platforms, faults and kills show it within seconds (RELIABILITY 0.2).
    """
    report = campaign(
        f"sqlite:{tmp_path / 'support.db'}", kinds="R", kills=20, freezes=2, naive=naive
    )

    (history,) = histories(report).values()
    assert shows in check(history)
