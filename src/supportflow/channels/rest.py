"""Say once what channels over HTTP and JSON share: what an answer means, and items one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from supportflow.channels import Ambiguous, NeedsAuth, NotSent, RateLimited, Refused, Unreadable
from supportflow.errors import InvalidValue, PayloadError, TransportError
from supportflow.flow import Flow
from supportflow.http import Request, Response, retry_at
from supportflow.model import Fact, Secret
from supportflow.text.fields import compact, mapping

__all__ = ["ask", "items", "one_by_one"]

T = TypeVar("T")

#: How much of an answer is looked at for a reason, in bytes, and how much is told, in characters.
_LOOKED, _TOLD = 4_096, 300
#: The time of an answer that bears none; the transports' always do.
_UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)


def ask(request: Request, read: Callable[[Any], T], *hide: Secret) -> Flow[T]:
    """Make a request and read the JSON of its answer; raise what every other answer means.

    For platforms whose statuses mean what they say (RELIABILITY 2.3). What is in doubt after a
    request that posts is `Ambiguous`, and may be there; a read has no doubts, and just failed.

    Args:
        request: The request.
        read: Returns what the JSON of a 2xx says, or raises `PayloadError` or `InvalidValue`.
        hide: Secrets that errors must not show, even where the platform repeats them.

    Returns:
        What `read` returned.

    Raises:
        RateLimited: For 429, with the time to go on.
        NeedsAuth: For 401 and 403.
        Refused: For 3xx and every other 4xx but 408.
        Ambiguous: If the request posts: for everything else, and an answer that cannot be read.
        NotSent: If the request posts, and certainly never left.
        TransportError: If the request only reads, and got no answer, 408 or 5xx.
        PayloadError: If the request only reads, and its answer cannot be read; or `InvalidValue`.

    Example:
        >>> flow = ask(Request("POST", "https://example.com/posts", posts=True), dict)
        >>> next(flow)
        <Request POST https://example.com posts>
        >>> flow.send(Response(503))
        Traceback (most recent call last):
        ...
        supportflow.channels.Ambiguous: 503
    """
    try:
        response = yield request
        if 200 <= response.status < 300:
            return read(response.json())
    except TransportError as error:
        if not request.posts:
            raise
        raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
    except (PayloadError, InvalidValue) as error:
        if not request.posts:
            raise
        raise Ambiguous(f"posted, but the answer cannot be read: {error}") from None
    raise _failure(response, request, _said(response, hide))


def _failure(response: Response, request: Request, why: str) -> Exception:
    """Return what an answer means that is no success."""
    status = response.status
    if status == 429:
        return RateLimited(why, retry_at(response, response.at or _UNTIMED))
    if status in (401, 403):
        return NeedsAuth(why)
    if 300 <= status < 500 and status != 408:
        return Refused(why)
    return Ambiguous(why) if request.posts else TransportError(why, sent=True)


def _said(response: Response, hide: Iterable[Secret]) -> str:
    """Return an answer's status and words, shortly and without secrets."""
    text = response.body[:_LOOKED].decode("utf-8", "replace")
    with suppress(PayloadError):
        text = compact(response.json())  # in which every secret is spelt in one way
    for secret in hide:
        text = text.replace(secret.reveal(), "…")
    return f"{response.status} {' '.join(text.split())}"[:_TOLD].strip()


def items(answer: Any, name: str) -> list[Any]:
    """Return a list that must be in an answer: one without it proves no absence of anything.

    Args:
        answer: The JSON of the answer.
        name: The list's name.

    Raises:
        PayloadError: If it is not there.

    Example:
        >>> items({"messages": [7]}, "messages")
        [7]
    """
    found = mapping(answer, "the answer").get(name)
    if not isinstance(found, list):
        raise PayloadError(f"{name} is {type(found).__name__}, not a list")
    return found


def one_by_one(
    found: Iterable[Any], read: Callable[[dict[str, Any]], Iterable[Fact]]
) -> tuple[tuple[Fact, ...], tuple[Unreadable, ...]]:
    """Read each item by itself; one that cannot be read leaves its neighbours as they are.

    Args:
        found: The items as they came.
        read: Returns the facts in an item, or raises `PayloadError` or `InvalidValue`; then
            none of them counts.

    Returns:
        The facts, and the items that go into quarantine, both in order.
    """
    facts: list[Fact] = []
    unreadable: list[Unreadable] = []
    for item in found:
        try:
            facts += tuple(read(mapping(item, "the item")))
        except (PayloadError, InvalidValue) as error:
            raw = compact(item).encode("utf-8", "backslashreplace")
            unreadable.append(Unreadable(raw, str(error)[:_TOLD]))
    return tuple(facts), tuple(unreadable)
