"""The part of a channel's contract about what comes in: read as recorded, item by item."""
# ruff: noqa: S101, SIM300  a contract is made of asserts, `expected == actual`

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from supportflow.channels import Channel, NeedsAuth, Polls, RateLimited, Receives
from supportflow.errors import SupportflowError
from supportflow.http import Response
from supportflow.testing.channel_batches import Batch, Case
from supportflow.testing.channel_cases import (
    AT,
    Driven,
    PageCase,
    WebhookCase,
    drive,
    is_encrypted,
    is_http,
)

__all__ = ["InboundContract", "Read", "reader"]

Read = Callable[..., Driven]

#: What a status means of a poll: an error always, and some of a kind that the desk acts on.
_POLLED: dict[int, type[Exception]] = {
    **dict.fromkeys((301, 302, 400, 403, 500, 502, 503, 504, 529), SupportflowError),
    401: NeedsAuth,
    429: RateLimited,
}


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

    def test_a_batch_is_recorded(self, channel: Channel, inbound_cases: Sequence[Case]) -> None:
        """One case says where its items stand, so that the next tests have something to break."""
        if channel.traits.inbound:
            assert list(Batch.every(inbound_cases)), "give one of `inbound_cases` its `items`"

    def test_one_bad_item_leaves_its_neighbours(
        self, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """An item that cannot be read goes into quarantine alone (RELIABILITY 3, row 15)."""
        for batch in Batch.every(inbound_cases):
            for index in range(len(batch.items)):
                before, after = batch.items[:index], batch.items[index + 1 :]
                spoilt = read(batch.case, batch.body([*before, {"kit": "no such item"}, *after]))
                rest = read(batch.case, batch.body([*before, *after]))
                where = f"{batch.case.name}, item {index}"
                assert spoilt.error is None, f"{where} broken loses the batch: {spoilt.error!r}"
                assert rest.facts == spoilt.facts, f"{where} broken changes its neighbours"
                assert 1 == len(spoilt.unreadable), f"{where} broken is not in quarantine"
                assert spoilt.unreadable[0].why, f"{where}: say why it cannot be read"

    def test_a_refused_poll_is_an_error(
        self, channel: Channel, inbound_cases: Sequence[Case]
    ) -> None:
        """A poll that was refused never looks like a page with nothing on it; its kind says why."""
        for case in inbound_cases:
            if isinstance(case, PageCase) and isinstance(channel, Polls):
                for status, wanted in _POLLED.items():
                    refused = Response(status, body=b"{}", at=AT)
                    driven = drive(channel.poll(case.cursor), [refused] * 9)
                    kind = wanted if all(map(is_http, driven.requests)) else SupportflowError
                    assert isinstance(driven.error, kind), (
                        f"{case.name}: {status} gives {driven.error or driven.result!r}, "
                        f"not {kind.__name__}"
                    )
