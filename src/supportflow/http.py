"""Our own frozen HTTP values, which cross every boundary between channels and transports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isinf
from typing import Any, TypeVar

import attrs

from supportflow.errors import InvalidValue, PayloadError

T = TypeVar("T")

__all__ = [
    "MAX_BODY",
    "MAX_DEPTH",
    "MAX_RESPONSE",
    "Headers",
    "Request",
    "Response",
    "Webhook",
    "read_items",
    "read_json",
    "retry_at",
]

#: The largest body that is read from outside, in bytes (as nyaruka/courier limits webhooks).
MAX_BODY = 1_048_576
#: The largest response that a transport reads, in bytes. Ours.
MAX_RESPONSE = 8 * MAX_BODY
#: The deepest nesting of JSON that is read from outside.
MAX_DEPTH = 64


@attrs.frozen(init=False, repr=False)
class Headers:
    """Hold header fields in order, found without regard to case.

    Example:
        >>> Headers({"Retry-After": "30"}).get("retry-after")
        '30'
    """

    items: tuple[tuple[str, str], ...]

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self.__attrs_init__(tuple((str(k), str(v)) for k, v in pairs))

    def get(self, name: str) -> str | None:
        """Return the first value of a field, or None."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a field, in order."""
        wanted = name.lower()
        return tuple(v for k, v in self.items if k.lower() == wanted)

    def __repr__(self) -> str:
        return f"Headers({', '.join(k for k, _ in self.items)})"


#: Scheme and host of a URL: without user, password, path and query, and of any text at all.
_ORIGIN = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://(?:[^/?#\\]*@)?([^/?#@\\]*)")


def _headers(value: Headers | Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    return value if isinstance(value, Headers) else Headers(value)


@attrs.frozen(repr=False)
class Request:
    """Ask the transport for one HTTP exchange.

    The representation shows neither path, headers nor body: each may carry a secret.

    Args:
        method: The HTTP method.
        url: An absolute URL.
        headers: Header fields.
        body: The raw body.
        posts: True for the write that the customer will see. An error before it means
            *not sent*; after it, *ambiguous* unless certainly unsent or refused.
        repeatable: True if sending it again cannot have a second effect (reads, or a
            write that carries the platform's idempotency key).

    Example:
        >>> Request("GET", "https://example.social/api/v1/notifications")
        <Request GET https://example.social>
    """

    method: str
    url: str
    headers: Headers = attrs.field(default=Headers(), converter=_headers)
    body: bytes = b""
    posts: bool = False
    repeatable: bool = attrs.field(
        default=attrs.Factory(lambda self: self.method in ("GET", "HEAD"), takes_self=True)
    )

    def __repr__(self) -> str:
        origin = _ORIGIN.match(self.url)
        where = f"{origin[1]}://{origin[2]}" if origin else "(no absolute URL)"
        posts = " posts" if self.posts else ""
        return f"<Request {self.method} {where}{posts}>"


@attrs.frozen(repr=False)
class Response:
    """Hold what a server answered.

    Args:
        status: The HTTP status.
        headers: Header fields.
        body: The raw body, already bounded by the transport.
        at: When it was received (aware).
    """

    status: int
    headers: Headers = attrs.field(default=Headers(), converter=_headers)
    body: bytes = b""
    at: datetime | None = None

    def json(self) -> Any:
        """Read the body as strict JSON.

        Raises:
            PayloadError: If it is not JSON within our limits.

        Example:
            >>> Response(200, body=b'{"id": "1"}').json()
            {'id': '1'}
        """
        return read_json(self.body, MAX_RESPONSE)

    def __repr__(self) -> str:
        return f"<Response {self.status} ({len(self.body)} bytes)>"


@attrs.frozen(repr=False)
class Webhook:
    """Hold one request that a platform made to us, exactly as it arrived.

    Args:
        method: The HTTP method.
        headers: Header fields as received.
        query: Query parameters, decoded, in order.
        body: The raw body, never re-encoded: signatures are over these bytes.
        at: When it was received (aware).

    Raises:
        InvalidValue: If `at` is naive.
    """

    method: str
    body: bytes
    at: datetime
    headers: Headers = attrs.field(default=Headers(), converter=_headers)
    query: Headers = attrs.field(default=Headers(), converter=_headers)

    def __attrs_post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise InvalidValue("Webhook.at is a naive datetime; pass an aware one (UTC)")

    def __repr__(self) -> str:
        return f"<Webhook {self.method} ({len(self.body)} bytes)>"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PayloadError("JSON object with a key twice")
    return found


def _no_constant(name: str) -> Any:
    raise PayloadError(f"JSON with {name}, which is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise PayloadError("JSON with a number too large to hold")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
)
_NESTS = (dict, list)
_BEGUN = re.compile(r"[ \t\n\r]*+\[[ \t\n\r]*+(\][ \t\n\r]*+)?")
_AFTER = re.compile(r"[ \t\n\r]*+([,\]])[ \t\n\r]*+")


def _is_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    layer = [value] if value.__class__ in _NESTS else []
    for _ in range(limit):
        layer = [
            item
            for nest in layer
            for item in (nest.values() if nest.__class__ is dict else nest)
            if item.__class__ is dict or item.__class__ is list
        ]
        if not layer:
            return False
    return True


def read_json(body: bytes, limit: int = MAX_BODY) -> Any:
    """Read strict JSON from outside: UTF-8, bounded size and depth, no NaN, no key twice.

    Args:
        body: The raw bytes.
        limit: The largest size accepted, in bytes.

    Raises:
        PayloadError: If anything is wrong; 413 is its status for a body over the limit.

    Example:
        >>> read_json(b'[1, 2]')
        [1, 2]
    """
    value = _decoded(body, limit, _DECODER.decode)
    # Brackets in strings count too: there may be fewer nests than this, never more.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise PayloadError(f"JSON is nested deeper than {MAX_DEPTH}")
    return value


def read_items(body: bytes, limit: int = MAX_BODY) -> list[tuple[Any, str]]:
    """Read a strict JSON list from outside, each item with its own text.

    Args:
        body: The raw bytes.
        limit: The largest size accepted, in bytes.

    Raises:
        PayloadError: If it is no list, or anything else is wrong.

    Example:
        >>> read_items(b'[{"id": "1"}, 2]')
        [({'id': '1'}, '{"id": "1"}'), (2, '2')]
    """
    return _decoded(body, limit, _items)


def _decoded(body: bytes, limit: int, decode: Callable[[str], T]) -> T:
    """Decode a text, and say in our own words why it cannot be."""
    if len(body) > limit:
        raise PayloadError(f"body of {len(body)} bytes is over the limit of {limit}", status=413)
    try:
        return decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PayloadError(f"body is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise PayloadError(f"JSON is nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise PayloadError(f"body is not JSON: {error}"[:200]) from None


def _items(text: str) -> list[tuple[Any, str]]:
    """Cut a JSON list into its items."""
    begun = _BEGUN.match(text)
    if begun is None:
        raise PayloadError("body is no JSON list")
    found, at, goes_on = [], begun.end(), begun[1] is None
    while goes_on:
        value, end = _DECODER.raw_decode(text, at)
        nests = text.count("[", at, end) + text.count("{", at, end)
        if nests >= MAX_DEPTH and _is_deep(value, MAX_DEPTH - 1):
            raise PayloadError(f"JSON is nested deeper than {MAX_DEPTH}")
        found.append((value, text[at:end]))
        after = _AFTER.match(text, end)
        if after is None:
            raise PayloadError(f"body is not JSON: no , or ] at character {end}")
        at, goes_on = after.end(), after[1] == ","
    if at != len(text):
        raise PayloadError(f"body is not JSON: it goes on after its end at character {at}")
    return found


def _pause(text: str) -> timedelta | None:
    """Read a number of seconds; a number that long since is an instant is none."""
    if not _DECIMAL.match(text) or len(text) >= _EPOCH_DIGITS:
        return None
    return timedelta(seconds=float(text))


def _instant(text: str) -> datetime | None:
    reads = (_epoch,) if _DECIMAL.match(text) else (datetime.fromisoformat, parsedate_to_datetime)
    for read in reads:
        try:
            at = read(text)
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError):
            continue
    return None


def _epoch(text: str) -> datetime:
    return datetime.fromtimestamp(float(text), UTC)


def retry_at(response: Response, now: datetime) -> datetime:
    """Return when a platform that answered 429 may be asked again.

    `Retry-After` counts as seconds or an HTTP date (RFC 9110, 10.2.3); without it the
    reset headers count, as an instant or as seconds. A header that makes no sense counts
    for nothing; the pause is at least a second and at most an hour.

    Args:
        response: What it answered.
        now: The time (aware).

    Example:
        >>> now = datetime(2026, 1, 1, tzinfo=UTC)
        >>> retry_at(Response(429, {"Retry-After": "30"}), now).second
        30
    """
    for name in _RESETS:
        text = (response.headers.get(name) or "").strip()
        pause = _pause(text)
        at = _instant(text) if pause is None else now + min(pause, _LONGEST)
        if at is not None:
            return min(max(at, now + _SHORTEST), now + _LONGEST)
    return now + _SHORTEST


_RESETS = (
    "Retry-After",
    "X-RateLimit-Reset",
    "RateLimit-Reset",
    "X-RateLimit-Reset-After",
)
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")
_EPOCH_DIGITS = 10
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)
