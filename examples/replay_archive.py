"""Replay an exported archive of conversations into a store, judge it, and report from the store.

    python examples/replay_archive.py                        # a small archive written for this
    python examples/replay_archive.py export.jsonl --store support.db --until 2026-03-05T12:00:00Z

`supportflow.channels.archive` describes the two formats. Killed at any moment, it goes on where
it was when it is run again with the same --store. It ends with 0; with 1 if its figures do not
agree with a count by hand; with 2 if something cannot be read or written. (Over 300 lines: one
program, to be read from top to bottom.)
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from supportflow import Conversation, Desk, Policy, Rule, SQLiteStore, Taken, Target, verdicts
from supportflow.channels.archive import Archive
from supportflow.errors import InvalidValue, StoreUnavailable, SupportflowError
from supportflow.machine import replay
from supportflow.model import Base, Metric, aware
from supportflow.sla.verdict import Ruling
from supportflow.stores import Store, Wanted

try:
    from rich.console import Console
    from rich.progress import Progress
except ImportError:  # it is optional: without it there is no colour
    Console = Progress = None  # type: ignore[assignment,misc]  # says that it is not there

Figures: TypeAlias = dict[str, Any]

SMALL = Path(__file__).resolve().parent / "data" / "small_archive.jsonl"
SHOWN = 10  # how many reasons for quarantine are printed
HALF_AN_HOUR, AN_HOUR = timedelta(minutes=30), timedelta(minutes=60)
EXPLAINED = """\
   answered    a first answer came; median and p90 are the time to it (nearest rank)
   in 30, 60   within so many minutes, of the conversations in which a customer wrote
   unanswered  the customer's last words have no answer; nobody has read them, so a last
               "thank you" counts too
   breaches    answers that came late, and those that were due at the cut and had not come"""


# -- 1. Into the store


def replay_into(
    store: Store, archive: Archive, policy: Policy, show: Callable[[int], None]
) -> Taken:
    """Poll the archive until there is no more of it; each page is one transaction."""
    desk = Desk(store=store, channels=[archive], policy=policy)
    total = Taken()
    while True:
        taken = desk.poll(archive.name)
        total += taken
        show(position(store, archive))
        if not taken.more:
            return total


def position(store: Store, archive: Archive) -> int:
    """Return how many bytes of the archive are in the store."""
    state = store.load(Wanted(channels=(archive.name,))).channels.get(archive.name)
    return archive.position(state.cursor if state else None)


def within(minutes: float) -> Policy:
    """Return the policy that owes every answer within some minutes, around the clock."""
    try:
        due = timedelta(minutes=minutes)
    except (ValueError, OverflowError):
        raise InvalidValue(f"--policy-minutes {minutes:g} is no number of minutes") from None
    target = Target(due, warn_at=due / 2)
    return Policy((Rule({Metric.first_response: target, Metric.next_response: target}),))


# -- 2. Out of the store, and judged


def conversations(desk: Desk, channel: str) -> list[Conversation]:
    """Read every conversation of a channel back."""
    page = desk.inbox(channel=channel, limit=1000)
    found = [*page]
    while page.after is not None:
        page = desk.inbox(channel=channel, limit=1000, after=page.after)
        found += page
    return [whole(desk, conversation) for conversation in found]


def whole(desk: Desk, conversation: Conversation) -> Conversation:
    """Return a conversation with all its clocks; the snapshot of a long one has the latest only."""
    if conversation.base == Base():
        return conversation
    log = [*desk.history(conversation)]
    while page := desk.history(conversation, after=log[-1].position):
        log += page
    return replay(log, bounded=False)


def figures(found: Sequence[Conversation], policy: Policy, cut: datetime) -> Figures:
    """Judge conversations as they stood at the cut; shares are from 0 to 1."""
    judged = [verdicts(conversation, policy, now=cut) for conversation in found]
    breached = [v for each in judged for v in each if v.ruling is Ruling.breached]
    firsts = [[v for v in each if v.metric is Metric.first_response][:1] for each in judged]
    waits = sorted(v.met_at - v.start for each in firsts for v in each if v.met_at is not None)
    asked = sum(conversation.last_at is not None for conversation in found)
    in_30, in_60 = (sum(wait <= limit for wait in waits) for limit in (HALF_AN_HOUR, AN_HOUR))
    return {
        "conversations": len(found),
        "asked": asked,
        "answered": len(waits),
        "median_seconds": rank(waits, 0.5),
        "p90_seconds": rank(waits, 0.9),
        "within_30": in_30,
        "within_60": in_60,
        "share_within_30": in_30 / asked if asked else None,
        "share_within_60": in_60 / asked if asked else None,
        "unanswered": sum(conversation.unanswered for conversation in found),
        "breaches": len(breached),
        "open_breaches": sum(v.met_at is None for v in breached),
    }


def rank(waits: Sequence[timedelta], share: float) -> float | None:
    """Return the nearest rank: the shortest of sorted waits that covers this share of them."""
    return waits[ceil(share * len(waits)) - 1].total_seconds() if waits else None


def quarantined(desk: Desk, channel: str) -> dict[str, int]:
    """Count what waits in quarantine by its reason, without what names the single item."""
    reasons: Counter[str] = Counter()
    page = desk.quarantine(channel=channel, limit=1000)
    while True:
        reasons.update(re.sub(r"^message \d+ of '.*?': ", "", item.why) for item in page)
        if page.after is None:
            return dict(reasons.most_common())
        page = desk.quarantine(channel=channel, limit=1000, after=page.after)


def report(store: Store, archive: Archive, policy: Policy, taken: Taken) -> dict[str, Any]:
    """Return everything that is to be said, from the store alone."""
    desk = Desk(store=store, channels=[archive], policy=policy)
    found = conversations(desk, archive.name)
    last = max((c.marks[-1].at for c in found if c.marks), default=None)
    cut = archive.until or last or datetime.now(UTC)
    if last is not None and last > cut:
        raise InvalidValue(f"the store has messages of {last}, after --until: use another --store")
    brands: dict[str, list[Conversation]] = {}
    for conversation in found:
        brands.setdefault(next(iter(conversation.tags), "(no brand)"), []).append(conversation)
    return {
        "cut": cut.isoformat(),
        "recorded": taken.recorded,
        "duplicates": taken.duplicates,
        "brands": {name: figures(brands[name], policy, cut) for name in sorted(brands)},
        "all": figures(found, policy, cut),
        "quarantine": quarantined(desk, archive.name),
    }


# -- 3. Once more by hand: the raw file, read with the standard library alone


def spoken(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield (conversation, role, time) of everything in the file that can be read."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        if path.suffix.lower() == ".csv":
            for row in csv.DictReader(file):
                yield row["conversation"], row["role"], row["at"]
            return
        for line in file:
            try:
                talk = json.loads(line)
                yield from [(talk["id"], said["role"], said["at"]) for said in talk["messages"]]
            except (ValueError, TypeError, KeyError):
                continue


def counted_by_hand(path: Path, until: datetime | None) -> tuple[int, int]:
    """Count the conversations with a first answer, and those with one within 60 minutes."""
    times: dict[tuple[str, str], list[datetime]] = {}
    for conversation, role, text in spoken(path):
        try:
            at = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            continue
        if until is None or at <= until:
            times.setdefault((conversation, role), []).append(at)
    waits = []
    for (conversation, role), asked in times.items():
        first = min(asked)
        told = [at for at in times.get((conversation, "agent"), []) if at >= first]
        if role == "customer" and told:
            waits.append(min(told) - first)
    return len(waits), sum(wait <= AN_HOUR for wait in waits)


# -- 4. To the reader


def width(text: str) -> int:
    """Count the columns of a terminal: wide scripts take two a character, marks take none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.category(c) in ("Mn", "Me", "Cf") for c in text)


def duration(seconds: float | None) -> str:
    """Write seconds as h:mm:ss."""
    return "-" if seconds is None else str(timedelta(seconds=round(seconds)))


def percent(share: float | None) -> str:
    """Write a share."""
    return "-" if share is None else f"{share:.0%}"


def table(said: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the table, aligned: the names to the left, figures to the right."""
    head = "brand,conversations,answered,median,p90,in 30,in 60,unanswered,breaches,still open"
    rows = [tuple(head.split(","))]
    for name, of in [*said["brands"].items(), ("all", said["all"])]:
        times = (duration(of["median_seconds"]), duration(of["p90_seconds"]))
        shares = (percent(of["share_within_30"]), percent(of["share_within_60"]))
        counts = (of["unanswered"], of["breaches"], of["open_breaches"])
        rows.append((name, *map(str, (of["conversations"], of["answered"])), *times, *shares,
                     *map(str, counts)))  # fmt: skip
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        left = name + " " * (widths[0] - width(name))
        right = (cell.rjust(wide) for cell, wide in zip(cells, widths[1:], strict=True))
        yield "   " + "  ".join([left, *right])


def say(text: str, style: str = "") -> None:
    """Print, in colour where there is a terminal and rich."""
    if Console is None:
        print(text)
    else:
        Console(highlight=False, soft_wrap=True).print(text, style=style, markup=False)


@contextmanager
def progress(size: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
    elif Progress is None:
        yield lambda done: print(
            f"\rreplaying [{'#' * (40 * done // size):<40}] {done / size:4.0%}",
            end="\n" if done >= size else "",
            file=sys.stderr,
        )
    else:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("replaying", total=size)
            yield lambda done: bar.update(task, completed=done)


def introduce(file: Path, size: int, store: str, kept: bool) -> None:
    """Say what is going to happen."""
    say(f"1. The archive is {file}")
    say(f"   ({size:,} bytes of conversations between customers and shops).")
    say(f"2. Its messages go, as if a network brought them now, into the store {store}")
    say("   (it is kept)." if kept else "   (a temporary file; --store PATH keeps one).")


def tell(said: dict[str, Any], minutes: float) -> None:
    """Say what came of it."""
    say(f"3. {said['recorded']} messages were new to the store, {said['duplicates']} were known.")
    say("   Each page of the file was one transaction, together with the place in the file: killed")
    say(
        "   at any moment and run again with the same store, it goes on and nothing is there twice."
    )
    cut = datetime.fromisoformat(said["cut"])
    say(
        f"4. Read back from the store and judged as it stood at {cut:%Y-%m-%d %H:%M} UTC, with every"
    )
    say(f"   answer due after {minutes:g} minutes, around the clock:")
    first, *lines, last = table(said)
    for line, style in [(first, "bold"), *((line, "") for line in lines), (last, "bold cyan")]:
        say(line, style)
    say(EXPLAINED, "dim")
    reasons = [*said["quarantine"].items()]
    say(f"5. Items that could not be read: {sum(said['quarantine'].values())}. They wait in")
    say("   quarantine as they came, to be replayed; the messages beside them were kept.")
    for why, times in reasons[:SHOWN]:
        say(f"   {times} x {why}", "yellow")
    if reasons[SHOWN:]:
        say(f"   and {len(reasons[SHOWN:])} other reasons", "yellow")


# -- The program


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Replay an archive of conversations into a store, judge it, and report on it."
    )
    add = parser.add_argument
    add("file", nargs="?", type=Path, default=SMALL, metavar="FILE",
        help="JSON lines, or .csv; a small archive of invented shops by default")  # fmt: skip
    add("--store", metavar="PATH", help="an SQLite file to keep; a temporary one by default")
    add("--json", action="store_true", help="print the figures as JSON and nothing else")
    add("--until", metavar="TIME", help="cut the archive then, such as 2026-03-05T12:00:00Z")
    add("--policy-minutes", type=float, default=60.0, metavar="N",
        help="an answer is due after so many minutes (60)")  # fmt: skip
    return parser.parse_args(arguments)


def moment(text: str | None) -> datetime | None:
    """Read a time from the command line."""
    try:
        return None if text is None else aware(datetime.fromisoformat(text), "--until")
    except ValueError:
        why = "is no time with its offset; 2026-03-05T12:00:00Z is one"
        raise InvalidValue(f"--until {text!r} {why}") from None


def run(chosen: argparse.Namespace) -> int:
    """Do what was asked for, and return the exit status."""
    size = chosen.file.stat().st_size
    archive = Archive(chosen.file, until=moment(chosen.until))
    policy = within(chosen.policy_minutes)
    with ExitStack() as stack:
        path = chosen.store or f"{stack.enter_context(TemporaryDirectory())}/replay.db"
        if not chosen.json:
            introduce(chosen.file, size, path, chosen.store is not None)
        store = SQLiteStore(path)
        stack.callback(store.close)
        with progress(max(size, 1)) as show:
            taken = replay_into(store, archive, policy, show)
        if position(store, archive) < size:
            raise StoreUnavailable(f"another process replays into {path}: wait until it has ended")
        said = report(store, archive, policy, taken)
    if chosen.json:
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        tell(said, chosen.policy_minutes)
    return 0 if chosen.store else check(said["all"], chosen, archive.until)


def check(said: Figures, chosen: argparse.Namespace, until: datetime | None) -> int:
    """Compare with a count by hand; only a store of this archive alone can agree with it."""
    by_hand = counted_by_hand(chosen.file, until)
    ours = (said["answered"], said["within_60"])
    if by_hand != ours:
        why = (
            f"the report says {ours} were answered, and within 60 minutes; by hand it is {by_hand}"
        )
        print(f"replay_archive: {why}", file=sys.stderr)
        return 1
    if not chosen.json:
        say("6. Counted once more in the file itself, without the library:")
        say(f"   {ours[0]} answered, {ours[1]} of them within 60 minutes. That agrees.", "green")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and say in one line what went wrong if something did."""
    # What was quarantined stands in the report; the desk need not log each item besides.
    logging.getLogger("supportflow").setLevel(logging.ERROR)
    try:
        return run(options(arguments))
    except KeyboardInterrupt:
        print("replay_archive: stopped; with the same --store it goes on here", file=sys.stderr)
        return 130
    except OSError as error:
        why = f"cannot read {error.filename}: {error.strerror}"
    except SupportflowError as error:
        why = str(error)
    print(f"replay_archive: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
