"""The part of a channel's contract about looking for its own message: there, not there, or not known."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from supportflow.channels import Channel, Finds, Found, Reconcile
from supportflow.errors import TransportError
from supportflow.http import Response
from supportflow.model import Receipt
from supportflow.testing.channel_cases import AT, Driven, SendCase, drive, is_encrypted

__all__ = ["FindingContract"]

Answers = tuple[Response, ...]
_HTML = b"<!DOCTYPE html><html><body>We will be right back</body></html>"
_ERROR = b'{"error": {"message": "no", "code": 1}}'


def _troubles() -> Iterator[object]:
    """Yield what comes instead of an answer that tells anything."""
    for status in (301, 401, 403, 429, 500, 503):
        yield Response(status, body=b"{}", at=AT)
    for body in (b"", b"null", b"{", b"{}", _ERROR, _HTML):
        yield Response(200, body=body, at=AT)
    yield TransportError("lost", sent=True)
    yield TransportError("no", sent=False)


def _dated(answers: Answers) -> list[Response]:
    return [attrs.evolve(each, at=each.at or AT) for each in answers]


def _recorded(channel: Channel, cases: Sequence[SendCase]) -> Iterator[tuple[Finds, SendCase]]:
    """Yield the cases whose search is recorded, for a channel that can look."""
    if isinstance(channel, Finds):
        for case in cases:
            if case.found and case.absent:
                yield channel, case


def _looked(driven: Driven) -> bool:
    return isinstance(driven.result, Found) and driven.result.looked


class FindingContract:
    """Prove that a search finds what is there, and takes nothing else for its absence."""

    def test_a_search_is_recorded(self, channel: Channel, send_cases: Sequence[SendCase]) -> None:
        """What can look is shown something to find; what clears up by reading can look."""
        by_reading = channel.traits.reconcile is Reconcile.read
        assert isinstance(channel, Finds) or not by_reading, "reconcile='read' needs find_sent()"
        if isinstance(channel, Finds):
            assert list(_recorded(channel, send_cases)), (
                "give one of `send_cases` its `found` and `absent`: what find_sent() is answered "
                "where the message is there, and where it is not"
            )
            posted = [
                isinstance(case.outcome, Receipt) for _, case in _recorded(channel, send_cases)
            ]
            assert all(posted), "only a case whose outcome is a Receipt can be found"

    def test_what_was_sent_is_found(self, channel: Channel, send_cases: Sequence[SendCase]) -> None:
        """A message that is there is found under its own id, so that it is never sent again."""
        for finds, case in _recorded(channel, send_cases):
            driven = drive(finds.find_sent(case.message), _dated(case.found))
            assert driven.error is None, f"{case.name}: {driven.error!r}"
            assert isinstance(driven.result, Found), f"{case.name}: {driven.result!r}"
            receipt, sent = driven.result.receipt, case.outcome
            assert receipt is not None, f"{case.name} is there, and was not found"
            assert isinstance(sent, Receipt)
            assert sent.id == receipt.id, case.name

    def test_what_was_not_sent_is_absent(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """A message that is not there is absent for certain: otherwise nobody could send it again."""
        for finds, case in _recorded(channel, send_cases):
            driven = drive(finds.find_sent(case.message), _dated(case.absent))
            assert driven.error is None, f"{case.name}: {driven.error!r}"
            assert Found() == driven.result, case.name

    def test_a_search_only_reads(self, channel: Channel, send_cases: Sequence[SendCase]) -> None:
        """Looking changes nothing on the platform, and is encrypted like everything else."""
        for finds, case in _recorded(channel, send_cases):
            for answers in (case.found, case.absent):
                requests = drive(finds.find_sent(case.message), _dated(answers)).requests
                assert requests, f"{case.name}: find_sent() asked nothing"
                for request in requests:
                    assert not request.posts, f"{case.name}: {request!r}"
                    assert is_encrypted(request), f"{case.name}: {request!r}"

    def test_a_failed_look_is_not_absence(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Where sends are cleared up by reading, a read that failed proves nothing (RELIABILITY 0.7)."""
        if isinstance(channel, Finds):
            for case in send_cases:
                if isinstance(case.outcome, Receipt):
                    for trouble in _troubles():
                        driven = drive(channel.find_sent(case.message), [trouble] * 9)
                        where = f"{case.name}: {trouble!r}"
                        assert not _looked(driven), f"{where} is taken for {driven.result!r}"

    def test_a_search_that_breaks_off_is_not_absence(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Whichever request of a search fails, what was not seen may be there."""
        for finds, case in _recorded(channel, send_cases):
            for index in range(len(case.absent)):
                for trouble in _troubles():
                    answers = [*_dated(case.absent[:index]), *[trouble] * 9]
                    driven = drive(finds.find_sent(case.message), answers)
                    where = f"{case.name}: {trouble!r} to request {index + 1}"
                    assert not _looked(driven), f"{where} is taken for {driven.result!r}"
