"""Fuzz what reads from outside, guided by coverage, beginning with what the channels' tests recorded.

Usage: python tools/fuzz.py [NAME ...] [--seconds 30] [--jobs 2]

Each channel that is proved by `ChannelContract` is fuzzed in a process of its own: bodies of
webhooks and pages, as bytes and as JSON that is taken apart and put together wrongly; the headers
of signatures; and items read again. Only our errors may leave it, and no input may take a second.
Needs atheris, which is in the dependency group `prove`.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "channels"
#: A test of the contract that is given all that is needed here.
_PROOF = "test_what_is_read_again_raises_our_errors"
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
_FOUND = re.compile(r"^ === Uncaught Python exception: ===\n(.*)$", re.MULTILINE)
_LONGEST, _SLOWEST = 16_384, 1


@attrs.frozen
class Fuzzed:
    """Hold what came of fuzzing one channel.

    Args:
        name: The channel's name.
        inputs: How many inputs were tried.
        seconds: How long that took.
        found: What was raised that must not be; empty if nothing was.
    """

    name: str
    inputs: int
    seconds: int
    found: str = ""


@attrs.define
class Recorded:
    """Take a channel, its reader, its cases and its signature from a test that is about to run."""

    items: list[dict[str, Any]] = attrs.field(factory=list)

    def pytest_runtest_call(self, item: Any) -> None:
        """Keep the arguments of the test, and how it signs where it does."""
        known = dict(item.funcargs)
        if "sign" in item.fixturenames or getattr(known["channel"], "receive", None):
            known["sign"] = item._request.getfixturevalue("sign")  # noqa: SLF001  # as the kit does
        self.items.append(known)


def recorded(path: Path) -> list[dict[str, Any]]:
    """Return what the subclasses of the contract in a file of tests give it.

    Args:
        path: The file.
    """
    import pytest  # noqa: PLC0415  # loaded where the packages are being instrumented

    seen = Recorded()
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-k", _PROOF, str(path)]
    said = StringIO()
    with redirect_stdout(said):
        status = pytest.main(options, plugins=[seen])
    if status != 0 or not seen.items:
        raise SystemExit(f"the tests that are fuzzed with fail:\n{said.getvalue()}")
    return seen.items


# --- what is tried ------------------------------------------------------------------------


def _inputs(known: dict[str, Any]) -> Iterator[Callable[[bytes], object]]:
    """Yield ways to feed bytes to a channel."""
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415  # as above

    from supportflow.errors import InvalidValue, PayloadError  # noqa: PLC0415
    from supportflow.testing.channel_batches import spoilt  # noqa: PLC0415

    channel, read, cases = known["channel"], known["read"], list(known["inbound_cases"])
    checks = [*HealthCheck]

    def whole(data: bytes) -> None:
        _judge(read(cases[data[0] % len(cases)], data[1:]).error) if data else None

    @settings(database=None, deadline=None, suppress_health_check=checks)
    @given(spoilt(cases))
    def shaped(changed: tuple[Any, bytes]) -> None:
        _judge(read(*changed).error)

    def again(data: bytes) -> None:
        try:
            channel.reread(data)
        except (PayloadError, InvalidValue):
            return

    if cases:
        yield whole
        yield shaped.hypothesis.fuzz_one_input  # type: ignore[attr-defined]  # Hypothesis adds it
    if hasattr(channel, "reread"):
        yield again
    if "sign" in known:
        yield _headers(channel, cases, known["sign"])


def _headers(channel: Any, cases: Sequence[Any], sign: Any) -> Callable[[bytes], object]:
    """Return a way to put bytes into the headers of a signature."""
    from supportflow.errors import WebhookRejected  # noqa: PLC0415  # as above
    from supportflow.testing import WebhookCase  # noqa: PLC0415

    hooks = [case for case in cases if isinstance(case, WebhookCase)]
    signed = [(case, sign(case.body)) for case in hooks]

    def forged(data: bytes) -> None:
        case, right = signed[0]
        values = data.decode("utf-8", "surrogateescape").split("\n")
        headers = {**right, **dict(zip(right, values, strict=False))}
        if headers != right:
            try:
                channel.receive(case.webhook(headers))
            except WebhookRejected:
                return
            if not set(headers.values()) <= {value.strip() for value in right.values()}:
                raise AssertionError(f"accepted: {headers!r}")

    return forged


def _judge(error: BaseException | None) -> None:
    from supportflow.errors import PayloadError, WebhookRejected  # noqa: PLC0415  # as above

    if error is not None and not isinstance(error, PayloadError | WebhookRejected):
        raise error


def _archive() -> dict[str, Any]:
    """Return the parts of the one channel that sends nothing and is not in the contract."""
    from supportflow.channels.archive import Archive  # noqa: PLC0415  # as above
    from supportflow.http import Response  # noqa: PLC0415
    from supportflow.testing import PageCase, drive  # noqa: PLC0415

    line = (
        b'{"id": "c1", "messages": [{"role": "agent", "at": "2026-03-02T09:00Z", "text": "Hi"}]}\n'
    )
    rows = b"conversation,index,role,at,text\nc1,0,customer,2026-03-02T09:00Z,Hi\n"
    cases = [PageCase(name, (Response(200, body=body),), ()) for name, body in (
        ("/export.jsonl", line), ("/export.csv", rows)
    )]  # fmt: skip

    def read(case: Any, body: bytes) -> Any:
        return drive(Archive(case.name).poll(None), [Response(200, body=body)] * 99)

    return {"channel": Archive("/export.jsonl"), "read": read, "inbound_cases": cases}


# --- one process --------------------------------------------------------------------------


def child(path: str, number: int, seconds: int, place: str) -> None:
    """Fuzz one channel until the time is over; atheris ends the process.

    Args:
        path: The file of its tests, or `archive`.
        number: Which of the contract's subclasses in it.
        seconds: How long.
        place: A folder for what is found.
    """
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # may be missing

    with atheris.instrument_imports(include=["supportflow"]):
        known = _archive() if path == "archive" else recorded(Path(path))[number]
        ways = [*_inputs(known)]
    corpus = Path(place, "corpus")
    corpus.mkdir()
    for index, case in enumerate(known["inbound_cases"]):
        (corpus / str(index)).write_bytes(bytes([0, index]) + case.content)

    def one(data: bytes) -> None:
        if data:
            ways[data[0] % len(ways)](data[1:])

    options = f"-max_total_time={seconds} -max_len={_LONGEST} -timeout={_SLOWEST} -verbosity=1"
    atheris.Setup([sys.argv[0], *options.split(), f"-artifact_prefix={place}/", str(corpus)], one)
    atheris.Fuzz()


def fuzzed(name: str, path: str, number: int, seconds: int) -> Fuzzed:
    """Fuzz one channel in a process of its own; return what came of it.

    Args:
        name: What it is called in the report.
        path: The file of its tests, or `archive`.
        number: Which of the contract's subclasses in it.
        seconds: How long.
    """
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, __file__, "--child", path, str(number), str(seconds), place]
        done = subprocess.run(  # noqa: S603  # ourselves
            command, capture_output=True, check=False, encoding="utf-8", errors="replace"
        )
    said = done.stdout + done.stderr
    runs = _DONE.search(said)
    if done.returncode == 0 and runs:
        return Fuzzed(name, int(runs[1]), int(runs[2]))
    found = _FOUND.search(said)
    return Fuzzed(name, 0, 0, found[1] if found else said.strip()[-2_000:] or "it ended at once")


def main() -> int:
    """Fuzz everything that is named; return 1 if something was found."""
    parser = argparse.ArgumentParser(prog="tools/fuzz.py", description=__doc__)
    parser.add_argument("names", nargs="*", help="channels; all by default")
    parser.add_argument("--seconds", type=int, default=30, help="for each; 30 by default")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time; 2 by default")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        path, number, seconds, place = chosen.child
        child(path, int(number), int(seconds), place)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing: pip install --group prove", file=sys.stderr)
        return 2
    wanted = [*_targets(chosen.names)]
    print(f"Fuzzing {len(wanted)} readers for {chosen.seconds} s each ...", flush=True)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        results = pool.map(partial(fuzzed, seconds=chosen.seconds), *zip(*wanted, strict=True))
        bad = False
        for result in results:
            told = result.found or f"{result.inputs:,} inputs in {result.seconds} s, nothing found"
            print(f"  {result.name:<24} {told}", flush=True)
            bad |= bool(result.found)
    return int(bad)


def _targets(names: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Yield what can be fuzzed: the network's name, the file of its tests, and which class there."""
    if not names or "archive" in names:
        yield "archive", "archive", 0
    for path in sorted(TESTS.glob("test_*.py")):
        if "ChannelContract)" in path.read_text("utf-8"):
            for number, known in enumerate(recorded(path)):
                network = known["channel"].traits.network
                if known["inbound_cases"] and (not names or network in names):
                    yield f"{network} {number or ''}".strip(), str(path), number


if __name__ == "__main__":
    sys.exit(main())
