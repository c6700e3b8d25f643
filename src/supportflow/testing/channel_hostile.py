"""The part of a channel's contract about hostile input: only our errors leave it, soon and cheaply."""
# ruff: noqa: S101, SIM300  a contract is made of asserts, `expected == actual`

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, given, settings

from supportflow.channels import Channel
from supportflow.errors import InvalidValue, PayloadError, WebhookRejected
from supportflow.http import MAX_BODY
from supportflow.testing.channel_batches import Batch, Case, Path, fields, mutated, spoilt
from supportflow.testing.channel_cases import Driven
from supportflow.testing.channel_inbound import Read

__all__ = ["HOSTILE", "HostileContract", "bounded"]

T = TypeVar("T")
#: What one input may cost (RELIABILITY 4.7): processor time in seconds, and memory in bytes.
_SECONDS, _BYTES = 0.05, 16 * 2**20
#: What 200,000 turns of an empty loop take an idle processor of 2023, in seconds.
_YARDSTICK = 0.005
#: How often a time is taken again before it counts: other work disturbs it upwards only.
_TRIES = 5

#: Bodies that a platform never sends, and somebody else might (RELIABILITY 3, row 51).
HOSTILE: Mapping[str, bytes] = {
    "nothing": b"",
    "a page of HTML": b"<!DOCTYPE html><html><body>We will be right back</body></html>",
    "half of an object": b'{"object": "page", "entry": [{"id": "1',
    "null": b"null",
    "a number": b"17",
    "a string": b'"message"',
    "an empty object": b"{}",
    "an empty list": b"[]",
    "a list of nothing": b"[null, 1, [], {}]",
    "an error": b'{"error": {"message": "no", "code": 1}}',
    "nested deeply": b"[" * 100_000,
    "nested deeply and closed": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "not UTF-8": b'{"text": "\xff\xfe"}',
    "UTF-16": '{"text": "hello"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a number of 5,000 digits": b'{"id": ' + b"9" * 5_000 + b"}",
    "no number": b'{"id": NaN, "at": Infinity, "x": 1e999}',
    "a key twice": b'{"id": "1", "id": "2"}',
    "NUL and half a surrogate pair": b'{"text": "\\u0000\\ud800"}',
    "a text of a megabyte": b'{"text": "' + b"x" * (MAX_BODY - 100) + b'"}',
    "a text of escapes": b'{"text": "' + b"\\u20ac" * (MAX_BODY // 6 - 20) + b'"}',
    "10,000 objects": b"[" + b"{}," * 10_000 + b"{}]",
    "more than is read": b'"' + b"x" * MAX_BODY + b'"',
}
_ALLOWED = (PayloadError, WebhookRejected)


def bounded(work: Callable[[], T], what: str) -> T:
    """Do some work and return what it gave; fail where it takes a processor too long.

    Args:
        work: What is done, several times if it was slow.
        what: What it is, for the failure.
    """
    least, limit = float("inf"), _SECONDS
    for _ in range(_TRIES):
        began = time.thread_time()
        result = work()
        least = min(least, time.thread_time() - began)
        if least <= limit:
            return result
        limit = _SECONDS * max(_slowness(), 1)
    raise AssertionError(f"{what} took {least * 1e3:.0f} ms: bound the work before reading")


def _slowness() -> float:
    """Return how much longer than elsewhere anything takes here and now."""
    began = time.thread_time()
    for _ in range(200_000):
        pass
    return (time.thread_time() - began) / _YARDSTICK


def _only_ours(driven: Driven, where: str) -> None:
    error = driven.error
    assert error is None or isinstance(error, _ALLOWED), (
        f"{where}: {type(error).__name__} instead of PayloadError: {error}"
    )


def _one_wrong(read: Read, batch: Batch, index: int, paths: Sequence[Path]) -> None:
    """Make one field of one item wrong, in turn; fail if those beside it are not read all the same."""
    items = batch.items
    item, before, after = items[index], items[:index][-1:], items[index + 1 :][:1]
    wanted = read(batch.case, batch.body([*before, *after])).facts
    for path in paths:
        for what in mutated(item, path):
            driven = read(batch.case, batch.body([*before, item, *after]))
            where = f"{batch.case.name}, item {index}, {what}"
            assert driven.error is None, f"{where}: {driven.error!r}"
            lost = [fact for fact in wanted if fact not in driven.facts]
            assert [] == lost, f"{where}: a neighbour is lost"


class HostileContract:
    """Prove that no input is more than a channel can bear."""

    def test_every_field_may_be_missing_or_wrong(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """Whatever one field holds, the other items are read, and nothing unexpected is raised."""
        for batch in Batch.every(inbound_cases):
            tried: set[Path] = set()
            for index, item in enumerate(batch.items):
                paths = {path for path in fields(item) if path not in tried}
                tried |= paths
                _one_wrong(read, batch, index, sorted(paths, key=str))

    def test_what_is_around_the_items_may_be_missing_or_wrong(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """Whatever a platform sends in the place of a batch, it is read or a `PayloadError`."""
        for batch in Batch.every(inbound_cases):
            inside = (*(batch.case.items or ()),)
            around = [path for path in fields(batch.content) if path[: len(inside)] != inside]
            around += [inside[:deep] for deep in range(1, len(inside) + 1)]
            for path in around:
                for what in mutated(batch.content, path):
                    body = json.dumps(batch.content).encode()
                    _only_ours(read(batch.case, body), f"{batch.case.name}, {what}")

    def test_whatever_is_changed_raises_our_errors_in_time(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """Fields dropped, repeated, exchanged and filled with nonsense: only our errors leave it."""
        if not inbound_cases:
            return

        @settings(
            max_examples=settings().max_examples // 2,
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=[*HealthCheck],
        )
        @given(spoilt(inbound_cases))
        def reads(changed: tuple[Case, bytes]) -> None:
            case, body = changed
            where = f"{case.name}, changed"
            _only_ours(bounded(lambda: read(case, body), where), where)

        reads()

    def test_hostile_bodies_raise_our_errors_in_time(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """Genuine or not, no body raises anything but our errors or takes long."""
        for case in inbound_cases:
            for what, body in HOSTILE.items():
                where = f"{case.name}, {what}"
                _only_ours(bounded(lambda: read(case, body), where), where)  # noqa: B023  # at once

    def test_hostile_bodies_take_little_memory(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """Whatever one body makes of itself, it is bounded: measured for each way in once."""
        for case in {type(case): case for case in inbound_cases}.values():
            for what, body in HOSTILE.items():
                tracemalloc.start()
                read(case, body)
                taken = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                where = f"{case.name}, {what}"
                assert taken <= _BYTES, f"{where} took {taken / 2**20:.0f} MiB of memory"

    def test_what_is_read_again_raises_our_errors(
        self, channel: Channel, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """What is in quarantine, mended by whomever, is read or refused, and breaks nothing."""
        reread = getattr(channel, "reread", None)
        if not callable(reread):
            return
        raws = [*HOSTILE.values()]
        for batch in Batch.every(inbound_cases):
            broken = read(batch.case, batch.body([{"kit": "no such item"}, *batch.items]))
            raws += [each.raw for each in broken.unreadable]
        for raw in raws:
            try:
                reread(raw)
            except (PayloadError, InvalidValue):
                continue
            except Exception as error:
                raise AssertionError(f"reread({raw[:60]!r}) raises {error!r}") from error
