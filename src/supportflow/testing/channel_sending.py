"""The part of a channel's contract about what goes out: the exact requests, and what came of them."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

import attrs

from supportflow.channels import (
    Ambiguous,
    Channel,
    NeedsAuth,
    NotSent,
    RateLimited,
    Reconcile,
    Refused,
)
from supportflow.errors import TransportError
from supportflow.http import Request, Response
from supportflow.model import Receipt
from supportflow.testing.channel_cases import (
    AT,
    Driven,
    SendCase,
    drive,
    is_encrypted,
    is_http,
)

__all__ = ["SendingContract"]

Kinds = type[Exception] | tuple[type[Exception], ...]
_HTML = b"<!DOCTYPE html><html><body>We will be right back</body></html>"

#: What a status means of a message that was posted (RELIABILITY 2.3).
STATUSES: dict[int, Kinds] = {
    **dict.fromkeys((300, 301, 302, 303, 304, 307, 308), Refused),
    **dict.fromkeys((400, 404, 405, 410, 413, 414, 415, 422, 451), Refused),
    401: NeedsAuth,
    403: (NeedsAuth, Refused),
    408: Ambiguous,
    409: (Refused, Ambiguous),
    429: RateLimited,
    **dict.fromkeys((500, 501, 502, 503, 504, 507, 520, 521, 522, 524, 525, 529), Ambiguous),
}
#: Answers with status 200 that prove nothing.
EMPTY = (b"", b"null", b"[]", b"{}", b'"ok"', b'{"id": null}', b'{"id": ""}', b'{"id"', _HTML)
#: When to come back, as platforms say it, and how long that is; None: they say nothing of use.
PAUSES: tuple[tuple[dict[str, str], timedelta | None], ...] = (
    ({"Retry-After": "30"}, timedelta(seconds=30)),
    ({"retry-after": format_datetime(AT + timedelta(seconds=90), usegmt=True)}, timedelta(0, 90)),
    ({"X-RateLimit-Reset": str(int(AT.timestamp()) + 60)}, timedelta(seconds=60)),
    ({"X-RateLimit-Reset": (AT + timedelta(minutes=5)).isoformat()}, timedelta(minutes=5)),
    ({}, None),
    ({"Retry-After": ""}, None),
    ({"Retry-After": "soon"}, None),
    ({"Retry-After": "-5"}, None),
    ({"Retry-After": "0"}, None),
    ({"Retry-After": "9" * 40}, None),
    ({"Retry-After": "999999999"}, None),
    ({"Retry-After": "٣٠"}, None),
)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)


def _play(channel: Channel, case: SendCase, last: object) -> Driven:
    """Send a case's message; the request that posts is answered with something else."""
    before = [attrs.evolve(each, at=each.at or AT) for each in case.responses[: case.posting]]
    return drive(channel.send(case.message), [*before, last])


def _posted(cases: Sequence[SendCase]) -> Iterator[SendCase]:
    return (case for case in cases if isinstance(case.outcome, Receipt))


def _posted_by_http(cases: Sequence[SendCase]) -> Iterator[SendCase]:
    return (case for case in _posted(cases) if is_http(case.requests[case.posting]))


def _described(request: Request) -> dict[str, Any]:
    """Return what must be the same in two requests; the order of headers and keys may differ."""
    try:
        body = json.loads(request.body)
    except ValueError:
        body = request.body
    return {
        "method": request.method,
        "url": request.url,
        "headers": sorted((name.lower(), value) for name, value in request.headers.items),
        "body": body,
        "posts": request.posts,
        "repeatable": request.repeatable,
    }


def _error(where: str, driven: Driven, wanted: Kinds) -> BaseException:
    """Return how a flow ended; fail if it was not with the right kind of error."""
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    names = " or ".join(kind.__name__ for kind in kinds)
    error = driven.error
    assert error is not None, f"{where}: {driven.result!r} instead of {names}"
    got = type(error).__name__
    assert isinstance(error, kinds), f"{where}: {got} instead of {names}: {error}"
    return error


class SendingContract:
    """Prove what holds for everything that is sent.

    Attributes:
        statuses: For a network that is not HTTP, such as mail: what each answer to a post means,
            by its status. What those of HTTP mean is the same everywhere.
    """

    statuses: ClassVar[Mapping[int, Kinds]] = {}

    def test_sends_as_recorded(self, channel: Channel, send_cases: Sequence[SendCase]) -> None:
        """Every recorded message makes exactly the recorded requests, and ends as recorded."""
        for case in send_cases:
            answers = [attrs.evolve(each, at=each.at or AT) for each in case.responses]
            driven = drive(channel.send(case.message), answers)
            wanted = [*map(_described, case.requests)]
            assert wanted == [*map(_described, driven.requests)], case.name
            if isinstance(case.outcome, Receipt):
                assert driven.error is None, f"{case.name}: {driven.error!r}"
                assert case.outcome == driven.result, case.name
            else:
                _error(case.name, driven, case.outcome)

    def test_a_posted_message_is_recorded(self, send_cases: Sequence[SendCase]) -> None:
        """One case at least is posted, so that the next tests have something to break."""
        assert list(_posted(send_cases)), "give `send_cases` one whose outcome is a Receipt"

    def test_one_request_posts_and_it_is_the_last(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """`begin` is committed before the request that posts: there is one, and none after it."""
        for case in _posted(send_cases):
            driven = drive(channel.send(case.message), case.responses)
            posts = [request.posts for request in driven.requests]
            assert [*[False] * (len(posts) - 1), True] == posts, (
                f"{case.name}: mark the write that the customer sees with Request(posts=True)"
            )
            assert not driven.requests[-1].repeatable or channel.traits.reconcile is Reconcile.key

    def test_requests_are_encrypted(self, channel: Channel, send_cases: Sequence[SendCase]) -> None:
        """Every request goes over https; http stays on this machine."""
        for case in send_cases:
            for request in drive(channel.send(case.message), case.responses).requests:
                assert is_encrypted(request), f"{case.name}: {request!r}"

    def test_each_status_means_what_it_means(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Each status of the answer to a post is mapped to its class, whatever the body."""
        for case in _posted(send_cases):
            table = STATUSES if is_http(case.requests[case.posting]) else self.statuses
            assert table, f"{case.name} is no HTTP: say in `statuses` what each answer means"
            for status, wanted in table.items():
                for body in (b"", b"{}", _HTML):
                    answer = Response(status, {"Location": "https://example.net/"}, body, AT)
                    where = f"{case.name}: {status} with {len(body)} bytes"
                    _error(where, _play(channel, case, answer), wanted)

    def test_an_answer_without_an_id_is_ambiguous(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Accepted, but as what? Then we look for it, and neither fail nor send it again."""
        for case in _posted(send_cases):
            for body in EMPTY if channel.traits.receipt == "id" else ():
                driven = _play(channel, case, Response(200, body=body, at=AT))
                _error(f"{case.name}: 200 with {body[:20]!r}", driven, Ambiguous)

    def test_an_error_with_status_200_is_no_receipt(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Some platforms answer 200 with an error inside: it is no receipt, and proves no *unsent*."""
        for case in _posted_by_http(send_cases):
            answer = Response(200, body=b'{"error": {"message": "no", "code": 1}}', at=AT)
            _error(f"{case.name}: 200", _play(channel, case, answer), (Ambiguous, Refused))

    def test_a_lost_answer_is_ambiguous(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Only an error before any byte left means *not sent*."""
        for case in _posted(send_cases):
            for sent, wanted in ((False, NotSent), (True, Ambiguous), (None, Ambiguous)):
                lost = TransportError("the connection broke", sent=sent)
                driven = _play(channel, case, lost)
                _error(f"{case.name}: TransportError(sent={sent})", driven, wanted)

    def test_trouble_before_the_post_is_not_sent(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """What fails before the request that posts can be tried again."""
        for case in _posted(send_cases):
            for index in range(case.posting):
                before = case.responses[:index]
                for trouble in (TransportError("lost", sent=True), Response(503, at=AT)):
                    driven = drive(channel.send(case.message), [*before, trouble])
                    _error(f"{case.name}, request {index}", driven, (NotSent, TransportError))

    def test_being_cancelled_is_no_answer(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """A cancellation, or the end of the process, is never taken for an answer."""
        for case in _posted(send_cases):
            for error in (asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()):
                driven = _play(channel, case, error)
                assert driven.error is error, f"{case.name}: {error!r} became {driven!r}"

    def test_a_rate_limit_says_when_to_go_on(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Every form of 429 gives a time that makes sense (RELIABILITY 3, row 21)."""
        for case in _posted_by_http(send_cases):
            for headers, pause in PAUSES:
                answer = Response(429, headers, b"{}", AT)
                where = f"{case.name}: 429 with {headers}"
                error = _error(where, _play(channel, case, answer), RateLimited)
                assert isinstance(error, RateLimited)
                waits = error.until - AT
                assert _SHORTEST <= waits <= _LONGEST, f"{where}: waits {waits}"
                assert pause in (None, waits), f"{where}: waits {waits}"
