"""The demo: it tells the story, in colour and without, and a falsified truth makes it fail."""

import importlib
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPT = EXAMPLES / "demo.py"
RLI, PDI = "\u2067", "\u2069"
SAMPLE = """
from demo_parts.page import Page
Page().entry("09:00", "Ola", "writes", "yellow")
"""


def quiet_environment(**more: str) -> dict[str, str]:
    """Return the environment without what forces or forbids colour."""
    colour = {"NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"}
    kept = {name: value for name, value in os.environ.items() if name not in colour}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(EXAMPLES), kept.get("PYTHONPATH")))),
        **more,
    }


@pytest.fixture(scope="module")
def told() -> tuple[subprocess.CompletedProcess[str], float]:
    """Run the demo as a reader does, and return what it wrote and how long it took."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=quiet_environment(PYTHONIOENCODING="utf-8"),
        timeout=60,
    )
    return done, time.monotonic() - begun


@pytest.fixture(scope="module")
def parts() -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that imports the demo or one of its parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        yield importlib.import_module


@pytest.fixture(scope="module")
def seen(parts: Callable[[str], ModuleType]) -> Any:
    """Play the story once in this process, and return what was there at its end."""
    book, seen = parts("demo").play(parts("demo_parts.page").Page())
    assert [] == book.broken
    return seen


def test_the_demo_holds_and_is_quick(told: tuple[subprocess.CompletedProcess[str], float]) -> None:
    """It ends with 0 within 15 seconds, says how many checks held, and writes no other noise."""
    done, seconds = told
    assert (0, "") == (done.returncode, done.stderr)
    assert seconds < 15
    assert re.fullmatch(r"[1-9]\d+ checks held", done.stdout.splitlines()[-1])
    assert "NOT SO" not in done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "the reply is unknown",
        "Mastodon was asked to post it once, and no more",
        "IllegalStep: resolve is not legal in state received; legal now: acknowledge.",
        "IllegalStep: dismiss is not legal in state received",
        "nothing but thanks: it stays resolved",
        "Thanked",
        "dismisses Lucky's spam; nothing is posted",
        "promised by 11:00, kept at 10:40: met",
        "breach:first_response: Shirin has had no answer; it was due at 10:05",
        "WindowClosed: messenger took private replies until",
        "in quarantine, as it came",
        "still 7 messages, 1 item in quarantine",
        "is upgraded, and reads the quarantined voice note again",
        "with one digit changed: answers 401",
        "under the tag HUMAN_AGENT",
        "क्षमा चाहते हैं",
        "шчыра дзякуем",
        "اجاق القایی هم کار می‌کند.",
    ],
)
def test_the_story_is_told(line: str, told: tuple[subprocess.CompletedProcess[str], float]) -> None:
    """Each turn of the story is in what the reader sees."""
    whole = " ".join(
        told[0].stdout.replace(f"{PDI}\n", "").replace(RLI, "").replace(PDI, "").split()
    )
    assert line in whole


def test_every_line_fits_and_isolates(
    told: tuple[subprocess.CompletedProcess[str], float], parts: Callable[[str], ModuleType]
) -> None:
    """No line is wider than 100 columns or coloured; right-to-left text is isolated on its line."""
    width = parts("demo_parts.page").width
    for line in told[0].stdout.splitlines():
        assert width(line) <= 100, line
        assert "\x1b" not in line
        assert line.count(RLI) == line.count(PDI)
        assert (RLI in line) == bool(re.search("[\u0600-\u06ff]", line))


def doubled(truth: Any) -> Any:
    """Let a platform have a reply twice."""
    return attrs.evolve(truth, posted=(*truth.posted, truth.posted[0]))


def unposted(truth: Any) -> Any:
    """Let a platform lack a reply that the store calls sent."""
    return attrs.evolve(truth, posted=truth.posted[1:])


def elsewhere(truth: Any) -> Any:
    """Let a reply in private stand in public."""
    first, *others = truth.posted
    return attrs.evolve(truth, posted=(attrs.evolve(first, public=not first.public), *others))


def unsent(truth: Any) -> Any:
    """Let a reply be unknown still."""
    first, *others = truth.sent
    return attrs.evolve(truth, sent=(attrs.evolve(first, state="unknown"), *others))


def foreign(truth: Any) -> Any:
    """Let a customer be answered in a language that is not theirs."""
    first, *others = truth.posted
    return attrs.evolve(truth, posted=(attrs.evolve(first, text="@ola Прабачце!"), *others))


def lost(truth: Any) -> Any:
    """Let the store lack a customer's message."""
    return attrs.evolve(truth, recorded=truth.recorded[1:])


def twice(truth: Any) -> Any:
    """Let the store have a customer's message twice."""
    return attrs.evolve(truth, recorded=(*truth.recorded, truth.recorded[0]))


def waiting(truth: Any) -> Any:
    """Let somebody wait for an answer."""
    return attrs.evolve(truth, waiting=("mastodon/1/2#0",))


def unreadable(truth: Any) -> Any:
    """Leave an item in quarantine."""
    return attrs.evolve(truth, quarantined=1)


def failing(truth: Any) -> Any:
    """Let the desk log an error."""
    return attrs.evolve(truth, errors=("webhook_failed",))


@pytest.mark.parametrize(
    "falsified",
    [
        doubled,
        unposted,
        elsewhere,
        unsent,
        foreign,
        lost,
        twice,
        waiting,
        unreadable,
        failing,
    ],
)
def test_a_falsified_truth_fails(
    falsified: Callable[[Any], Any], seen: Any, parts: Callable[[str], ModuleType]
) -> None:
    """Whatever is not as the story says makes it end with 1, and is named."""
    status, broken = concluded(attrs.evolve(seen, truth=falsified(seen.truth)), parts)
    assert 1 == status
    assert broken


@pytest.mark.parametrize("column", range(9))
def test_a_falsified_table_fails(
    column: int, seen: Any, parts: Callable[[str], ModuleType]
) -> None:
    """A row that is not as told in any one column makes it end with 1, and only that."""
    first, *others = seen.rows
    row = (*first[:column], "something else", *first[column + 1 :])
    status, broken = concluded(attrs.evolve(seen, rows=(row, *others)), parts)
    assert (1, ["it ended as told for Ola"]) == (status, broken)


def test_the_truth_holds(
    seen: Any, parts: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    """What was there passes, so that it is the falsification that fails above."""
    assert (0, []) == concluded(seen, parts)
    assert re.search(r"^\d+ checks held$", capsys.readouterr().out, re.MULTILINE)


def concluded(seen: Any, parts: Callable[[str], ModuleType]) -> tuple[int, list[str]]:
    """Return the exit status that the demo ends with, and the claims that did not hold."""
    named: list[str] = []
    book = parts("demo_parts.checks").Book(lambda check: named.append(check.claim))
    status = parts("demo_parts.ending").conclude(parts("demo_parts.page").Page(), book, seen)
    return status, named


def test_a_broken_claim_is_told_at_once(
    parts: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    """One that does not hold in the middle of the story is named with both values, and counted."""
    checks, page = parts("demo_parts.checks"), parts("demo_parts.page").Page()
    book = checks.Book(lambda check: page.aside(f"NOT SO: {check}"))
    book.enter(checks.Check("one and one", 2, 3), checks.Check("one", 1, 1))
    assert "NOT SO: one and one: expected 2, found 3" in capsys.readouterr().out
    assert "1 of 2 checks did not hold" == str(book)


def on_terminal(program: str, **environment: str) -> str:
    """Run a program on a terminal, and return what it writes there."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            stdout=theirs,
            env=quiet_environment(TERM="xterm-256color", **environment),
            timeout=60,
        )
        return os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_shows_colour() -> None:
    """With rich on a terminal there is colour; the words are the same."""
    shown = on_terminal(SAMPLE)
    assert "\x1b[" in shown
    assert "  09:00  Ola      writes" == re.sub(r"\x1b\[[0-9;]*m", "", shown).rstrip()


@pytest.mark.parametrize(
    ("program", "environment"),
    [
        (SAMPLE, {"NO_COLOR": "1"}),
        ("import sys; sys.modules['rich.console'] = None" + SAMPLE, {}),
    ],
    ids=["NO_COLOR", "without rich"],
)
def test_colour_can_be_done_without(program: str, environment: dict[str, str]) -> None:
    """Where nobody wants colour, or rich is not there, the text is plain."""
    assert "  09:00  Ola      writes" == on_terminal(program, **environment).rstrip()


def test_words_of_others_cannot_disturb_the_terminal(parts: Callable[[str], ModuleType]) -> None:
    """Control characters and foreign direction marks are left out; Persian's joiners stay."""
    isolated = parts("demo_parts.page").isolated
    assert "red [31m" == isolated("red \x1b[31m\u202e")
    assert f"{RLI}می‌کند{PDI}" == isolated("می‌کند")


def test_wrapping_counts_columns(parts: Callable[[str], ModuleType]) -> None:
    """Lines break between words by the columns they take, and no word is lost."""
    page = parts("demo_parts.page")
    text = "आपको जो परेशानी हुई, उसके लिए हम आपसे क्षमा चाहते हैं"
    lines = list(page.wrapped(text, 20))
    assert text == " ".join(lines)
    assert max(map(page.width, lines)) <= 20
