"""What the author of a channel records for its contract, and how the contract plays it."""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import attrs

from supportflow.channels import SendError, Unreadable
from supportflow.http import Request, Response, Webhook
from supportflow.model import Fact, Outgoing, Receipt

__all__ = [
    "AT",
    "Driven",
    "PageCase",
    "SendCase",
    "WebhookCase",
    "drive",
    "is_encrypted",
    "is_http",
]

#: When recorded webhooks arrive and recorded answers are given: sign for this time.
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
#: What begins the address of what is encrypted, and of what is not.
_ENCRYPTED, _CLEAR = ("https", "smtps", "smtp+starttls", "imaps"), ("http", "smtp", "imap")
#: Where the items of a batch stand in its JSON: keys and indexes, `()` for the whole.
Path = tuple[str | int, ...]


@attrs.frozen
class WebhookCase:
    """Record one webhook and what it reports.

    Args:
        name: What tells it from the others.
        body: The raw body; `sign` makes its headers.
        facts: The facts that it must give, in order.
        items: The path to a list of at least two items that can be read one by one; None
            where the platform sends single ones.
        headers: Headers beside those of `sign`.
        query: Query parameters.
        method: The HTTP method.
    """

    name: str
    body: bytes
    facts: tuple[Fact, ...]
    items: Path | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    query: Mapping[str, str] = attrs.field(factory=dict)
    method: str = "POST"

    @property
    def content(self) -> bytes:
        """Return the body that holds the items."""
        return self.body

    def webhook(self, signed: Mapping[str, str], body: bytes | None = None) -> Webhook:
        """Return the webhook with the headers of a signature.

        Args:
            signed: What `sign` gave.
            body: Another body in its place.
        """
        headers = {**self.headers, **signed}
        raw = self.body if body is None else body
        return Webhook(self.method, raw, AT, headers, self.query)


@attrs.frozen
class PageCase:
    """Record one poll and what it reports.

    Args:
        name: What tells it from the others.
        responses: The answers to the poll's requests, in order.
        facts: The facts that it must give, in order.
        cursor: Where the poll goes on.
        items: The path, within the body of `responses[holds]`, to a list of at least two
            items that can be read one by one; None where there is none.
        holds: Which answer holds the items.
    """

    name: str
    responses: tuple[Response, ...]
    facts: tuple[Fact, ...]
    cursor: str | None = None
    items: Path | None = None
    holds: int = 0

    @property
    def content(self) -> bytes:
        """Return the body that holds the items."""
        return self.responses[self.holds].body


@attrs.frozen
class SendCase:
    """Record one message, the requests that must be made of it, and what came of it.

    A channel with `find_sent` records for one message at least what its search is answered,
    once with the message there, and once without.

    Args:
        name: What tells it from the others.
        message: What is sent.
        requests: The requests, exactly; one has `posts=True`.
        responses: The answers to them.
        outcome: The receipt, or the kind of `SendError`.
        found: The answers to the requests of `find_sent` where the message is there.
        absent: The answers to them where it is not, each of them needed to know that.
    """

    name: str
    message: Outgoing
    requests: tuple[Request, ...]
    responses: tuple[Response, ...]
    outcome: Receipt | type[SendError]
    found: tuple[Response, ...] = ()
    absent: tuple[Response, ...] = ()

    @property
    def posting(self) -> int:
        """Return which request is the one that the customer sees."""
        return [request.posts for request in self.requests].index(True)


@attrs.frozen
class Driven:
    """Hold what a flow asked for and how it ended.

    Args:
        requests: What it asked for, in order.
        result: What it returned.
        error: What it raised instead.
    """

    requests: tuple[Request, ...] = ()
    result: Any = None
    error: BaseException | None = None

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Return what a delivery or a page could not read."""
        return () if self.result is None else self.result.unreadable

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Return what a delivery or a page reports."""
        return () if self.result is None else self.result.facts


def drive(flow: Generator[Request, Response, Any], answers: Iterable[object]) -> Driven:
    """Run a flow on answers instead of a network.

    Args:
        flow: A fresh flow.
        answers: A `Response` for each request, or an exception to throw in.

    Raises:
        AssertionError: If it is no flow, or asks for more than there are answers.

    Example:
        >>> def ping():
        ...     response = yield Request("GET", "https://example.com/ping")
        ...     return response.status
        >>> driven = drive(ping(), [Response(204)])
        >>> driven.result, driven.requests
        (204, (<Request GET https://example.com>,))
    """
    _expect(flow, Generator, f"{type(flow).__name__} is no flow; write the method with yield")
    requests: list[Request] = []
    given = iter(answers)
    try:
        request = next(flow)
        while True:
            hint = "; write 'yield from'" if isinstance(request, Generator) else ""
            got = type(request).__name__
            _expect(request, Request, f"the flow yielded {got}, not a Request{hint}")
            requests.append(request)
            answer = next(given, None)
            if answer is None:
                flow.close()
                raise AssertionError(f"request {len(requests)} has no answer recorded: {request!r}")
            go_on: Any = flow.throw if isinstance(answer, BaseException) else flow.send
            request = go_on(answer)
    except StopIteration as stop:
        return Driven(tuple(requests), stop.value)
    except AssertionError:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever it is, the contract judges it
        return Driven(tuple(requests), error=error)


def _expect(value: object, kind: type, otherwise: str) -> None:
    if not isinstance(value, kind):
        raise AssertionError(otherwise)  # noqa: TRY004  # what fails is the author's test


def is_encrypted(request: Request) -> bool:
    """Say whether nobody on the way can read a request; one to this machine has no way.

    Args:
        request: The request.

    Example:
        >>> is_encrypted(Request("GET", "http://127.0.0.1:8000/"))
        True
        >>> is_encrypted(Request("GET", "http://example.com/"))
        False
    """
    parts = urlsplit(request.url)
    try:
        local = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        local = parts.hostname == "localhost"
    return parts.scheme in _ENCRYPTED or (local and parts.scheme in _CLEAR)


def is_http(request: Request) -> bool:
    """Say whether a request is one of HTTP, whose statuses mean what they mean everywhere.

    Args:
        request: The request.

    Example:
        >>> is_http(Request("SEND", "smtps://mail.example.com"))
        False
    """
    return urlsplit(request.url).scheme in ("https", "http")
