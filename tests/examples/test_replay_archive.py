"""The replay example: its figures are right, a second run changes nothing, a kill loses nothing."""

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median_low
from types import ModuleType
from typing import Any

import attrs
import pytest

from supportflow import AsyncDesk, Desk, SQLiteStore, threaded, verdicts
from supportflow.channels.archive import Archive
from supportflow.sla.policy import DEFAULT_POLICY
from supportflow.stores import Messages, Wanted, Work, WorkKind

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "replay_archive.py"
SMALL = ROOT / "examples" / "data" / "small_archive.jsonl"
SMALL_CSV = SMALL.with_suffix(".csv")
REAL = ROOT.parent / "shared" / "data" / "ibm_twitter_support_1025.jsonl"
HOUR = timedelta(minutes=60)

needs_real = pytest.mark.skipif(
    not REAL.exists(), reason=f"the shared archive is not at {REAL}: it is no part of the project"
)
ARCHIVES = [
    pytest.param(SMALL, id="small"),
    pytest.param(REAL, id="real", marks=needs_real),
]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("replay_archive", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def figures(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Return a function that runs the example in this process and reads its JSON."""

    def run(*arguments: object) -> dict[str, Any]:
        assert 0 == example.main([*map(str, arguments), "--json"])
        return json.loads(capsys.readouterr().out)

    return run


# -- an independent computation


def raw_conversations(path: Path) -> list[tuple[str, list[tuple[datetime, bool]]]]:
    """Return (brand, [(time, from the agent)]) of every conversation, by time, from raw JSON."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            talk = json.loads(line)
        except ValueError:
            continue
        said = sorted(
            (datetime.fromisoformat(m["at"]), m["role"] == "agent")
            for m in talk["messages"]
            if m["at"]
        )
        found.append((talk["brand"], said))
    return found


def judged(said: list[tuple[datetime, bool]], cut: datetime, due: timedelta) -> dict[str, Any]:
    """Judge one conversation with a stopwatch: started by the customer, stopped by the agent."""
    started, waits = None, []
    for at, from_agent in said:
        if not from_agent:
            started = started or at
        elif started:
            waits.append(at - started)
            started = None
    overdue = started is not None and started + due < cut
    return {
        "first": waits[0] if waits else None,
        "unanswered": started is not None,
        "breaches": sum(wait > due for wait in waits) + overdue,
        "open_breaches": overdue,
    }


def expected(
    path: Path, until: datetime | None = None, due: timedelta = HOUR
) -> dict[str, dict[str, Any]]:
    """Compute the whole report from the raw file alone, with nothing of ours."""
    talks = [
        (brand, kept)
        for brand, said in raw_conversations(path)
        if (kept := [(at, agent) for at, agent in said if until is None or at <= until])
    ]
    cut = until or max(at for _, said in talks for at, _ in said)
    groups: dict[str, list[list[tuple[datetime, bool]]]] = {"all": [said for _, said in talks]}
    for brand, said in talks:
        groups.setdefault(f"={brand}", []).append(said)
    return {name.lstrip("="): summed(group, cut, due) for name, group in groups.items()}


def summed(group: list[list[tuple[datetime, bool]]], cut: datetime, due: timedelta) -> dict:
    """Sum up the conversations of one brand."""
    all_judged = [judged(said, cut, due) for said in group]
    asked = sum(any(not agent for _, agent in said) for said in group)
    firsts = sorted(j["first"].total_seconds() for j in all_judged if j["first"] is not None)
    in_30, in_60 = (sum(first <= limit for first in firsts) for limit in (1800, 3600))
    return {
        "conversations": len(group),
        "asked": asked,
        "answered": len(firsts),
        "median_seconds": median_low(firsts) if firsts else None,
        "p90_seconds": firsts[-(-9 * len(firsts) // 10) - 1] if firsts else None,
        "within_30": in_30,
        "within_60": in_60,
        "share_within_30": in_30 / asked if asked else None,
        "share_within_60": in_60 / asked if asked else None,
        **{
            name: sum(j[name] for j in all_judged)
            for name in ("unanswered", "breaches", "open_breaches")
        },
    }


# -- the figures


@pytest.mark.parametrize("path", ARCHIVES)
def test_figures_agree_with_the_raw_file(path: Path, figures: Callable[..., dict]) -> None:
    """Every figure of every brand is what a stopwatch on the raw file gives."""
    said = figures(path)
    assert expected(path) == {**said["brands"], "all": said["all"]}
    assert said["recorded"] == sum(len(times) for _, times in raw_conversations(path))


@pytest.mark.parametrize("path", ARCHIVES)
def test_a_cut_makes_breaches_of_what_was_unanswered_then(
    path: Path, figures: Callable[..., dict]
) -> None:
    """Cut at any of its moments, the archive is judged as it stood then, under any policy."""
    moments = sorted(at for _, said in raw_conversations(path) for at, _ in said)
    for part in (5, 10, 19):
        until = moments[len(moments) * part // 20] + timedelta(seconds=1)
        said = figures(path, "--until", until.isoformat(), "--policy-minutes", 3 * part)
        agreed = expected(path, until, timedelta(minutes=3 * part))
        assert agreed == {**said["brands"], "all": said["all"]}
    assert 0 < said["all"]["open_breaches"]


@needs_real
def test_the_known_figures_of_the_real_archive(figures: Callable[..., dict]) -> None:
    """The archive's own description: 1,025 conversations, 25 brands, 39 without a last time."""
    said = figures(REAL)
    assert (1025, 25) == (said["all"]["conversations"], len(said["brands"]))
    assert (2311, 0) == (said["recorded"], said["duplicates"])
    assert [39] == list(said["quarantine"].values())


def test_a_long_conversation_keeps_its_first_answer(
    tmp_path: Path, figures: Callable[..., dict]
) -> None:
    """A snapshot folds old clocks away; the report reads the log where it did."""
    start = datetime(2026, 3, 2, 8, tzinfo=UTC)
    messages = [
        {"role": ("customer", "agent")[n % 2], "at": (start + n * HOUR).isoformat(), "text": "-"}
        for n in range(2500)
    ]
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"id": "1", "messages": messages}) + "\n", "utf-8")
    said = figures(path, "--policy-minutes", 59)
    assert ["(no brand)"] == list(said["brands"])
    assert (1, 3600, 1250) == tuple(
        said["all"][name] for name in ("answered", "median_seconds", "breaches")
    )


def test_both_formats_give_the_same_figures(tmp_path: Path, figures: Callable[..., dict]) -> None:
    """The CSV says what its conversations as JSON lines say."""
    archive, rows = Archive(SMALL_CSV), tmp_path / "rows.db"
    said = figures(SMALL_CSV, "--store", rows)
    with Desk(SQLiteStore(rows), [archive]) as desk:
        talks = [
            {
                "id": c.thread,
                "brand": c.tags[0],
                "messages": [
                    {
                        "role": "customer" if s.message.author.id == c.thread else "agent",
                        "at": s.message.at.isoformat(),
                        "text": s.message.text,
                    }
                    for s in desk.messages(c)
                ],
            }
            for c in desk.inbox()
        ]
    lines = tmp_path / "same.jsonl"
    lines.write_text("".join(json.dumps(talk) + "\n" for talk in talks), "utf-8")
    assert said["all"] == figures(lines)["all"]


# -- twice, and killed


def state(path: Path) -> dict[str, Any]:
    """Return all that a store of a replay says, without when and in which order we recorded it."""
    store = SQLiteStore(path)
    with Desk(store) as desk:
        found = desk.inbox(limit=100_000)
        return {
            "conversations": {c.id: c for c in found},
            "verdicts": {c.id: verdicts(c, DEFAULT_POLICY) for c in found},
            "messages": {s.message.key: s for s in store.find(Messages(limit=100_000)).messages},
            "events": {(e.conversation, e.version): (e.at, e.event) for e in log(path)},
            "quarantine": Counter((q.raw, q.why) for q in desk.quarantine(limit=1000)),
            "cursor": store.load(Wanted(channels=("archive",))).channels["archive"].cursor,
        }


def log(path: Path) -> list[Any]:
    """Return the whole log of a store, positions and times of recording included."""
    store = SQLiteStore(path)
    try:
        return list(store.log(limit=100_000))
    finally:
        store.close()


@pytest.mark.parametrize("path", ARCHIVES)
def test_a_second_run_changes_nothing(
    path: Path, tmp_path: Path, figures: Callable[..., dict]
) -> None:
    """Run again, or read again from its first byte, an archive adds not one event."""
    file = tmp_path / "support.db"
    first = figures(path, "--store", file)
    before, events = state(file), log(file)
    second = figures(path, "--store", file)
    late = figures(path, "--store", file, "--until", "2199-01-01T00:00:00Z")
    assert (0, 0) == (second["recorded"], second["duplicates"])
    assert (0, first["recorded"]) == (late["recorded"], late["duplicates"])
    assert events == log(file)
    assert {**before, "cursor": None} == {**state(file), "cursor": None}
    assert first["all"] == second["all"]


def test_an_event_loop_replays_the_same(tmp_path: Path, figures: Callable[..., dict]) -> None:
    """The channel's flow does not know who runs it."""
    at_once, awaited = tmp_path / "sync.db", tmp_path / "async.db"

    async def replay() -> None:
        async with AsyncDesk(threaded(SQLiteStore(awaited)), [Archive(SMALL, chunk=999)]) as desk:
            while (await desk.poll()).more:
                pass

    asyncio.run(replay())
    figures(SMALL, "--store", at_once)
    assert state(at_once) == state(awaited)


@pytest.mark.parametrize("name", ["a b.jsonl", "архіў ٪ #1.jsonl", "100%41?.jsonl"])
def test_a_file_may_have_any_name(name: str, tmp_path: Path, figures: Callable[..., dict]) -> None:
    """What a URL would read differently in a path is still that path."""
    shutil.copy(SMALL, tmp_path / name)
    assert 105 == figures(tmp_path / name)["recorded"]


CHILD = """
import sys
from supportflow import Desk, SQLiteStore
from supportflow.channels.archive import Archive

desk = Desk(SQLiteStore(sys.argv[1]), [Archive(sys.argv[2], chunk=int(sys.argv[3]))])
while desk.poll("archive").more:
    print("a page is committed", flush=True)
    sys.stdin.readline()
"""


def killed(file: Path, archive: Path, chunk: int, after: int) -> None:
    """Replay some pages in another process, and kill it somewhere in the next one."""
    command = [sys.executable, "-c", CHILD, str(file), str(archive), str(chunk)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        for _ in range(after):
            assert "a page is committed\n" == child.stdout.readline()
            child.stdin.write("go on\n")
        child.kill()


@pytest.mark.parametrize(("path", "chunk"), [
    pytest.param(SMALL, 1500, id="small"),
    pytest.param(REAL, 30_000, id="real", marks=needs_real),
])  # fmt: skip
def test_a_killed_replay_ends_as_if_nothing_had_been(
    path: Path, chunk: int, tmp_path: Path, figures: Callable[..., dict]
) -> None:
    """Killed with SIGKILL again and again, then run to the end, the store holds what an
    uninterrupted run leaves: conversations, snapshots, messages, events, verdicts, quarantine.
    """
    calm, stormy = tmp_path / "calm.db", tmp_path / "stormy.db"
    said = figures(path, "--store", calm)
    whole = state(calm)
    for after in (1, 2, 3):
        killed(stormy, path, chunk, after)
        with Desk(SQLiteStore(stormy)) as desk:
            assert 0 < len(desk.inbox(limit=100_000)) < len(whole["conversations"])
    rest = figures(path, "--store", stormy)
    assert 0 < rest["recorded"] < said["recorded"]
    assert whole == state(stormy)
    assert said["all"] == rest["all"]


# -- what it says


def run_script(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the example as a user does."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        check=False,
    )


def test_the_demonstration_explains_itself() -> None:
    """Without arguments it replays the archive beside it, says each step, and checks itself."""
    done = run_script()
    assert (0, "") == (done.returncode, done.stderr)
    steps = [line[0] for line in done.stdout.splitlines() if line[1:3] == ". "]
    assert list("123456") == steps
    assert "That agrees." in done.stdout
    for brand in ("ExampleBooks", "ExampleParcels", "ExamplePhones", "ExampleShoes"):
        assert f"\n   {brand} " in done.stdout
    assert "1 x at is None" in done.stdout
    assert "1 x body is not JSON" in done.stdout


def test_colours_are_for_terminals() -> None:
    """Told that it has a terminal, it uses colours; otherwise the text is the same without."""
    coloured = run_script(FORCE_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[1m   brand" in coloured
    assert "\x1b[" not in run_script().stdout


def test_nothing_is_left_of_the_temporary_store(tmp_path: Path) -> None:
    """The store of a run without --store is gone afterwards."""
    assert 0 == run_script(TMPDIR=str(tmp_path), TEMP=str(tmp_path), TMP=str(tmp_path)).returncode
    assert [] == list(tmp_path.iterdir())


def test_a_figure_that_does_not_hold_is_a_failure(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the count by hand differs, the exit status says so: the demonstration cannot just look well."""
    monkeypatch.setattr(example, "counted_by_hand", lambda path, until: (33, 24))
    assert 1 == example.main([])
    assert "by hand it is (33, 24)" in capsys.readouterr().err


def test_it_works_without_rich(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rich is an extra: without it the same words come, and a bar of plain characters."""
    with_rich = run_script(SMALL).stdout.splitlines()
    monkeypatch.setattr(example, "Console", None)
    monkeypatch.setattr(example, "Progress", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert 0 == example.main([str(SMALL)])
    said = capsys.readouterr()
    assert [line for line in with_rich if "replay.db" not in line] == [
        line for line in said.out.splitlines() if "replay.db" not in line
    ]
    assert f"[{'#' * 40}] 100%\n" in said.err


def test_a_bar_is_drawn_on_a_terminal(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where stderr is a terminal, rich draws the bar there and leaves the figures alone."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    assert 0 == example.main([str(SMALL), "--json"])
    said = capsys.readouterr()
    assert "replaying" in said.err
    assert 105 == json.loads(said.out)["recorded"]


def test_wide_scripts_are_aligned(example: ModuleType) -> None:
    """Columns stand beneath each other whatever script a brand is written in."""
    assert (2, 4, 2, 3) == tuple(map(example.width, ("अब", "商店", "кў", "ب\u200cت\u064eث")))
    zero = example.figures([], DEFAULT_POLICY, datetime(2026, 1, 1, tzinfo=UTC))
    brands = {"商店": zero, "किताबें": zero, "Shop": zero, "کتاب\u200cها": zero}
    lines = list(example.table({"brands": brands, "all": zero}))
    assert 1 == len(set(map(example.width, lines)))


def test_many_reasons_are_cut_short(tmp_path: Path, example: ModuleType, capsys) -> None:
    """A file that is no archive does not flood the terminal."""
    path = tmp_path / "noise.txt"
    path.write_text("".join(" " * n + "noise\n" for n in range(30)), "utf-8")
    assert 0 == example.main([str(path)])
    said = capsys.readouterr().out
    assert "Items that could not be read: 30" in said
    assert "and 20 other reasons" in said


# -- what goes wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl"], "cannot read missing.jsonl: No such file"),
        ([ROOT / "examples"], "Is a directory"),
        (["--until", "noon"], "--until 'noon' is no time"),
        (["--until", "2026-03-05"], "--until '2026-03-05' is no time with its offset"),
        (["--policy-minutes", "0"], "positive"),
        (["--policy-minutes", "nan"], "no number of minutes"),
        (["--policy-minutes", "inf"], "no number of minutes"),
        (["--store", ROOT / "none" / "a.db"], "none is not a directory"),
        (["--store", SCRIPT], "no database of ours"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(
    arguments: list[object],
    message: str,
    example: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No traceback: one line that names the value, and exit status 2."""
    before = SCRIPT.read_bytes()
    assert 2 == example.main([*map(str, arguments), "--json"])
    said = capsys.readouterr()
    assert ("", 1) == (said.out, said.err.count("\n"))
    assert said.err.startswith("replay_archive: ")
    assert message in said.err
    assert before == SCRIPT.read_bytes()


def test_a_csv_without_columns_is_said_in_one_line(tmp_path: Path) -> None:
    """The error of the channel reaches the user as it is."""
    path = tmp_path / "export.csv"
    path.write_text("id;text\n1;Hello\n", "utf-8")
    done = run_script(path, "--json")
    assert (2, "") == (done.returncode, done.stdout)
    assert "needs a first row that names" in done.stderr


def test_a_cut_before_what_the_store_holds_is_refused(
    tmp_path: Path, example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that went further cannot say how it stood: nothing is reported that is not so."""
    file = str(tmp_path / "support.db")
    assert 0 == example.main([str(SMALL), "--store", file])
    cut = ["--until", "2026-03-04T00:00:00Z"]
    assert 2 == example.main([str(SMALL), "--store", file, *cut])
    assert "use another --store" in capsys.readouterr().err


def test_later_messages_are_added_to_a_cut_store(
    tmp_path: Path, figures: Callable[..., dict]
) -> None:
    """Replayed up to a moment and then whole, a store holds the whole archive."""
    file = tmp_path / "support.db"
    part = figures(SMALL, "--store", file, "--until", "2026-03-04T00:00:00Z")
    rest = figures(SMALL, "--store", file)
    whole = figures(SMALL)
    assert whole["recorded"] == part["recorded"] + rest["recorded"]
    assert whole["all"] == rest["all"]


def test_another_process_at_the_same_archive_is_named(
    tmp_path: Path, example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """While somebody else has the lease, a replay does not pretend to be done."""
    file = str(tmp_path / "support.db")
    other = SQLiteStore(file)
    other.claim(Work(WorkKind.poll, ("archive",)), other.worker(), 1)
    try:
        assert 2 == example.main([str(SMALL), "--store", file])
    finally:
        other.close()
    assert "another process replays" in capsys.readouterr().err
    assert 0 == example.main([str(SMALL), "--store", file])


def test_an_interruption_says_how_to_go_on(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends with a line, not with a traceback."""

    def interrupted(chosen: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(example, "run", interrupted)
    assert 130 == example.main([])
    assert "it goes on here" in capsys.readouterr().err


# -- the archives that are shipped


def test_the_small_archive_shows_what_happens() -> None:
    """It has several brands and scripts, what is late, unanswered, out of order and unreadable."""
    lines = SMALL.read_text("utf-8").splitlines()
    talks = [json.loads(line) for line in lines if not line.endswith("2026-03-0")]
    texts = "".join(m["text"] for talk in talks for m in talk["messages"])
    times = [[m["at"] for m in talk["messages"]] for talk in talks]
    assert (41, 40) == (len(lines), len(talks))
    assert 4 == len({talk["brand"] for talk in talks})
    for letter in "कўک":
        assert letter in texts
    assert 1 == sum(at is None for each in times for at in each)
    assert 1 == sum(None not in each and each != sorted(each) for each in times)
    assert 2 == texts.count("https://"), "spam, from names that are reserved for examples"
    assert 2 == texts.count(".example.net")


def test_a_mended_item_can_be_replayed(tmp_path: Path, figures: Callable[..., dict]) -> None:
    """What waits in quarantine stays there until it can be read, and nothing is made up."""
    file = tmp_path / "support.db"
    shutil.copy(SMALL, tmp_path / "copy.jsonl")
    archive = Archive(tmp_path / "copy.jsonl")
    figures(tmp_path / "copy.jsonl", "--store", file)
    with Desk(SQLiteStore(file), [archive]) as desk:
        items = desk.quarantine()
        again = desk.replay(*(item.id for item in items))
        assert (0, 2) == (again.recorded, again.quarantined)
        assert [attrs.astuple(item) for item in items] == [
            attrs.astuple(item) for item in desk.quarantine()
        ]
