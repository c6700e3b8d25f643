"""Measure candidates interleaved in one run, and say how they compare to a named floor.

Absolute times are noise on shared machines: every figure that counts is a ratio between
things that were measured in turns, within the same seconds.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs


@attrs.frozen
class Goal:
    """Hold what a ratio should be.

    Args:
        of: The candidate that is judged.
        against: The candidate that it is compared to.
        at_most: The largest ratio of their times that is good.
        what: The goal in words.
    """

    of: str
    against: str
    at_most: float
    what: str


@attrs.frozen
class Result:
    """Hold what a benchmark measured.

    Args:
        name: The benchmark.
        floor: The candidate that the others are compared to.
        seconds: The median time of one unit of work, by candidate.
        goals: (goal, measured ratio, whether it was reached).
    """

    name: str
    floor: str
    seconds: Mapping[str, float]
    goals: tuple[tuple[Goal, float, bool], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "benchmark": self.name,
            "floor": self.floor,
            "seconds": dict(self.seconds),
            "ratios": {k: v / self.seconds[self.floor] for k, v in self.seconds.items()},
            "goals": [
                {"goal": goal.what, "at_most": goal.at_most, "measured": ratio, "reached": ok}
                for goal, ratio, ok in self.goals
            ],
        }


def interleave(
    name: str,
    candidates: Mapping[str, Callable[[], float]],
    goals: tuple[Goal, ...] = (),
    *,
    rounds: int = 15,
    floor: str | None = None,
) -> Result:
    """Let candidates take turns and return the median of each.

    Args:
        name: The benchmark's name.
        candidates: By name, each does some work and returns the seconds per unit of it.
        goals: What the ratios should be. A ratio is the median of the ratios within each
            round, so that a slow second counts for both.
        rounds: How often everyone has a turn.
        floor: Who the others are compared to; the first by default.
    """
    times: dict[str, list[float]] = {candidate: [] for candidate in candidates}
    gc.collect()
    for _ in range(rounds):
        for candidate, work in candidates.items():
            times[candidate].append(work())
    judged = []
    for goal in goals:
        pairs = zip(times[goal.of], times[goal.against], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        judged.append((goal, ratio, ratio <= goal.at_most))
    medians = {candidate: statistics.median(taken) for candidate, taken in times.items()}
    return Result(name, floor or next(iter(candidates)), medians, tuple(judged))


def timed(work: Callable[[], object], number: int) -> Callable[[], float]:
    """Return a candidate that does work a number of times.

    Args:
        work: One unit.
        number: How many units a turn is.
    """

    def turn() -> float:
        gc.disable()
        start = time.perf_counter()
        for _ in range(number):
            work()
        taken = time.perf_counter() - start
        gc.enable()
        return taken / number

    return turn


def table(results: list[Result]) -> str:
    """Return results as text for a terminal.

    Args:
        results: What was measured.
    """
    lines = []
    for result in results:
        lines += ["", result.name]
        base = result.seconds[result.floor]
        for candidate, seconds in result.seconds.items():
            lines.append(f"  {candidate:<44} {seconds * 1e6:>12.2f} us {seconds / base:>9.2f} x")
        for goal, ratio, reached in result.goals:
            verdict = "reached" if reached else "MISSED"
            lines.append(f"  goal: {goal.what}: {ratio:.3g} (at most {goal.at_most:.3g}) {verdict}")
    return "\n".join(lines)
