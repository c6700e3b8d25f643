"""The part of a channel's contract about what comes in: read as recorded, item by item, in time."""
# ruff: noqa: S101, SIM300  a contract is made of asserts, `expected == actual`

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import attrs

from supportflow.channels import Channel, Polls, Receives
from supportflow.errors import PayloadError, SupportflowError, WebhookRejected
from supportflow.http import MAX_BODY, Response
from supportflow.model import Fact, Inbound, Outbound
from supportflow.testing.channel_cases import (
    AT,
    Driven,
    PageCase,
    WebhookCase,
    drive,
    is_encrypted,
)

__all__ = ["HOSTILE", "InboundContract", "Read", "reader", "within"]

Case = WebhookCase | PageCase
Read = Callable[..., Driven]
#: How long one hostile input may take, in seconds: some 20 times what is promised, for slow machines.
PATIENCE = 1.0

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
    "more than is read": b'"' + b"x" * MAX_BODY + b'"',
}
#: Values of every wrong kind, for one field after the other.
_WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1.5,
    "",
    "\x00\ud800",
    "x" * 5_000,
    [],
    [None],
    {},
    {"id": None},
)


def within(seconds: float, began: float, what: str) -> None:
    """Fail where something took too long.

    Args:
        seconds: How long it may take.
        began: When it began, by `time.perf_counter`.
        what: What it was.
    """
    took = time.perf_counter() - began
    assert took < seconds, f"{what} took {took:.1f} s: bound the work before reading"


def reader(channel: Channel, sign: Callable[[bytes], Mapping[str, str]] | None) -> Read:
    """Return a function that reads a recorded case, perhaps with another body in its place.

    Args:
        channel: The channel.
        sign: Makes the headers that prove a body genuine; None for a channel without webhooks.
    """

    def read(case: Case, body: bytes | None = None) -> Driven:
        if isinstance(case, PageCase):
            assert isinstance(channel, Polls), f"{case.name}: the channel has no poll()"
            return drive(channel.poll(case.cursor), _answers(case, body))
        assert isinstance(channel, Receives), f"{case.name}: the channel has no receive()"
        assert sign is not None, f"{case.name}: override the fixture `sign`"
        hook = case.webhook(sign(case.body if body is None else body), body)
        try:
            return Driven(result=channel.receive(hook))
        except Exception as error:  # noqa: BLE001  # the contract judges it
            return Driven(error=error)

    return read


def _answers(case: PageCase, body: bytes | None) -> list[Response]:
    answers = [attrs.evolve(each, at=each.at or AT) for each in case.responses]
    if body is not None:
        answers[case.holds] = attrs.evolve(answers[case.holds], body=body)
    return answers


@attrs.frozen
class _Batch:
    """Hold a recorded case whose items can be exchanged."""

    case: Case
    content: Any

    @classmethod
    def every(cls, cases: Sequence[Case]) -> Iterator[_Batch]:
        for case in cases:
            if case.items is not None:
                batch = cls(case, json.loads(case.content))
                found = len(batch.items)
                assert found > 1, f"{case.name}: `items` leads to {found} item; record two"
                yield batch

    @property
    def items(self) -> list[Any]:
        content = self.content
        for step in self.case.items or ():
            content = content[step]
        assert isinstance(content, list), f"{self.case.name}: `items` does not lead to a list"
        return content

    def body(self, items: Sequence[Any]) -> bytes:
        """Return the case's body with other items."""
        changed = _Batch(self.case, deepcopy(self.content))
        changed.items[:] = items
        return json.dumps(changed.content).encode()


def _fields(item: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every field and list item within an item."""
    inner = item.items() if isinstance(item, dict) else enumerate(item)
    for key, value in inner:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _fields(value, (*path, key))


def _mutated(item: Any, path: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """Yield an item with one field taken away, and with every wrong value in its place."""
    named = ".".join(map(str, path))
    for value in (..., *_WRONG):
        changed = deepcopy(item)
        place = changed
        for step in path[:-1]:
            place = place[step]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        shown = "missing" if value is ... else f"{value!r:.30}"
        yield f"{named} {shown}", changed


def _channel(fact: Fact) -> str:
    return fact.message.channel if isinstance(fact, Inbound | Outbound) else fact.channel


class InboundContract:
    """Prove what holds for webhooks and pages alike."""

    def test_something_is_recorded_for_every_way_in(
        self, channel: Channel, inbound_cases: Sequence[Case]
    ) -> None:
        """Each way in that the channel has is shown by at least one case."""
        kinds = {type(case) for case in inbound_cases}
        wanted = {PageCase: isinstance(channel, Polls), WebhookCase: isinstance(channel, Receives)}
        missing = [kind.__name__ for kind, has in wanted.items() if has and kind not in kinds]
        assert [] == missing, f"`inbound_cases` has no {' and no '.join(missing)}"

    def test_reads_as_recorded(self, read: Read, inbound_cases: Sequence[Case]) -> None:
        """Every recorded case gives the facts that were recorded with it, over https, and no others."""
        for case in inbound_cases:
            driven = read(case)
            assert driven.error is None, f"{case.name}: {driven.error!r}"
            assert case.facts == driven.facts, case.name
            assert () == driven.unreadable, case.name
            assert all(map(is_encrypted, driven.requests)), f"{case.name}: {driven.requests!r}"

    def test_reads_the_same_twice(self, read: Read, inbound_cases: Sequence[Case]) -> None:
        """Reading is pure: a redelivery gives equal facts, so that they can be told apart."""
        for case in inbound_cases:
            assert read(case) == read(case), case.name

    def test_facts_name_the_channel(
        self, channel: Channel, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """A fact of another channel's name would be quarantined."""
        for case in inbound_cases:
            assert {channel.name} >= {_channel(fact) for fact in read(case).facts}, case.name

    def test_a_batch_is_recorded(self, inbound_cases: Sequence[Case]) -> None:
        """One case says where its items stand, so that the next tests have something to break."""
        assert list(_Batch.every(inbound_cases)), "give one of `inbound_cases` its `items`"

    def test_one_bad_item_leaves_its_neighbours(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """An item that cannot be read goes into quarantine alone (RELIABILITY 3, row 15)."""
        for batch in _Batch.every(inbound_cases):
            for index in range(len(batch.items)):
                before, after = batch.items[:index], batch.items[index + 1 :]
                spoilt = read(batch.case, batch.body([*before, {"kit": "no such item"}, *after]))
                rest = read(batch.case, batch.body([*before, *after]))
                where = f"{batch.case.name}, item {index}"
                assert spoilt.error is None, f"{where} broken loses the batch: {spoilt.error!r}"
                assert rest.facts == spoilt.facts, f"{where} broken changes its neighbours"
                assert 1 == len(spoilt.unreadable), f"{where} broken is not in quarantine"
                assert spoilt.unreadable[0].why, f"{where}: say why it cannot be read"

    def test_every_field_may_be_missing_or_wrong(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """Whatever one field holds, the other items are read, and nothing unexpected is raised."""
        for batch in _Batch.every(inbound_cases):
            first, *others = batch.items
            wanted = read(batch.case, batch.body(others)).facts
            for path in _fields(first):
                for what, changed in _mutated(first, path):
                    driven = read(batch.case, batch.body([changed, *others]))
                    where = f"{batch.case.name}, {what}"
                    assert driven.error is None, f"{where}: {driven.error!r}"
                    lost = [fact for fact in wanted if fact not in driven.facts]
                    assert [] == lost, f"{where}: a neighbour is lost"

    def test_hostile_bodies_raise_our_errors_in_time(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """Genuine or not, no body raises anything but our errors or takes long."""
        allowed = (PayloadError, WebhookRejected)
        for case in inbound_cases:
            for what, body in HOSTILE.items():
                began = time.perf_counter()
                driven = read(case, body)
                within(PATIENCE, began, f"{case.name}, {what}")
                error = driven.error
                assert error is None or isinstance(error, allowed), (
                    f"{case.name}, {what}: {type(error).__name__} instead of PayloadError"
                )

    def test_a_refused_poll_is_an_error(
        self, channel: Channel, inbound_cases: Sequence[Case]
    ) -> None:
        """A poll that was refused never looks like a page with nothing on it."""
        for case in inbound_cases:
            if isinstance(case, PageCase) and isinstance(channel, Polls):
                for status in (301, 302, 400, 401, 403, 429, 500, 502, 503, 504, 529):
                    refused = Response(status, body=b"{}", at=AT)
                    driven = drive(channel.poll(case.cursor), [refused] * 9)
                    assert isinstance(driven.error, SupportflowError), (
                        f"{case.name}: {status} gives {driven.error or driven.result!r}"
                    )
