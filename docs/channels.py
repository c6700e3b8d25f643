"""Write the table of channels from their traits and from the tests that prove each cell of it."""

import tomllib
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from supportflow.channels import Channel, Checks, Searches, Traits, load

EVIDENCE = Path(__file__).with_name("channels.toml")

# What a channel can do, by the name of its column; a cell is true with a test alone.
ABILITIES = (
    "public in",
    "private in",
    "reply in thread",
    "private reply",
    "edits, deletions",
    "echo",
    "search",
    "health",
)
COLUMNS = ("channel", *ABILITIES, "signature", "limit", "window", "lost answers", "proved against")
LOST = {
    "key": "sent again with its key",
    "read": "looked for in the thread",
    "echo": "proved by its echo",
    "blind": "a person looks",
}


@cache
def evidence() -> dict[str, dict[str, Any]]:
    """Read what is claimed of each channel, and by which tests."""
    found: dict[str, dict[str, Any]] = tomllib.loads(EVIDENCE.read_text("utf-8"))
    return found


def sample(name: str) -> Channel:
    """Return a channel made of example values, whose traits can be looked at."""
    made: Channel = load(name)(**evidence()[name]["sample"])
    return made


def proofs(name: str) -> Iterator[tuple[str, str]]:
    """Yield each ability that is claimed of a channel, with each test that proves it."""
    for ability, tests in evidence()[name]["proofs"].items():
        yield from ((ability, test) for test in ([tests] if isinstance(tests, str) else tests))


def claims(name: str) -> list[str]:
    """Return what is wrong with what is claimed of a channel, by the channel itself."""
    channel, given = sample(name), set(evidence()[name]["proofs"])
    traits, sends = channel.traits, "proved against" in given
    must = {
        "search": isinstance(channel, Searches),
        "health": isinstance(channel, Checks),
        "signature": bool(traits.signature),
        "window": traits.window is not None,
        "limit": sends,
        "lost answers": sends,
    }
    unknown = [f"{name}: no column {ability!r}" for ability in given - set(COLUMNS)]
    return unknown + [
        f"{name}: {'no test is named for' if needed else 'it cannot do'} {ability!r}"
        for ability, needed in must.items()
        if needed != (ability in given)
    ]


def table() -> str:
    """Return the whole table in Markdown, and beneath it the test behind every cell."""
    rows = [_row(_cells(name)) for name in evidence()]
    lines = [_row(COLUMNS), "|---" * len(COLUMNS) + "|", *rows, "", "<!-- tests -->", ""]
    for name in evidence():
        lines += [f"**{name}**", ""]
        lines += [f"- {ability}: `{test}`" for ability, test in proofs(name)]
        lines.append("")
    return "\n".join(lines)


def short() -> str:
    """Return the table of the README."""
    lines = [
        "| Channel | In | Out | If an answer gets lost | Proved against |",
        "|---|---|---|---|---|",
    ]
    for name in evidence():
        cells = dict(zip(COLUMNS, _cells(name), strict=True))
        traits = sample(name).traits
        ways_out = {"public": cells["reply in thread"], "private": cells["private reply"]}
        out = ", ".join(way for way, can in ways_out.items() if can == "yes") or "–"
        if "announcement" in traits.powers and out == "–":
            out = "announcements"
        ways = ", ".join(traits.inbound) or "–"
        lines.append(_row((name, ways, out, cells["lost answers"], cells["proved against"])))
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str) -> tuple[str, ...]:
    given, traits = evidence()[name]["proofs"], sample(name).traits
    able = ("yes" if ability in given else "–" for ability in ABILITIES)
    sends = "lost answers" in given
    return (
        f"`{name}`",
        *able,
        traits.signature or "–",
        f"{traits.max_text:,} {traits.counting.replace('_', ' ')}" if sends else "–",
        _window(traits),
        LOST[traits.reconcile] if sends else "–",
        evidence()[name]["against"],
    )


def _window(traits: Traits) -> str:
    if traits.window is None:
        return "–"
    people = traits.human_window
    return _span(traits.window) + (f", {_span(people)} for people" if people else "")


def _span(span: timedelta) -> str:
    hours = span // timedelta(hours=1)
    return f"{hours // 24} days" if hours > 48 else f"{hours} h"
