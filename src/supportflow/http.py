"""Our own frozen HTTP values, which cross every boundary between channels and transports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import accumulate, chain
from math import isinf
from typing import Any
from urllib.parse import urlsplit

import attrs

from supportflow.errors import InvalidValue, PayloadError

__all__ = ["Headers", "Request", "Response", "Webhook", "read_json"]

#: The largest body that is read from outside, in bytes (as nyaruka/courier limits webhooks).
MAX_BODY = 1_048_576
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
        parts = urlsplit(self.url)
        posts = " posts" if self.posts else ""
        return f"<Request {self.method} {parts.scheme}://{parts.hostname or ''}{posts}>"


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
        return read_json(self.body)

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


_BRACKETS = bytes({91: 1, 123: 1, 93: 255, 125: 255}.get(byte, 0) for byte in range(256))
_NESTS = (dict, list)
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _may_be_deep(body: bytes) -> bool:
    """Over-estimate the nesting from the brackets alone; those in strings count too."""
    brackets = body.translate(_BRACKETS, _OTHERS)
    steps = memoryview(brackets).cast("b")
    return len(steps) > MAX_DEPTH and max(accumulate(steps)) > MAX_DEPTH


def _is_deep(value: Any) -> bool:
    layer = [value]
    for _ in range(MAX_DEPTH):
        inner = (v.values() if isinstance(v, dict) else v for v in layer if isinstance(v, _NESTS))
        layer = list(chain.from_iterable(inner))
    return any(isinstance(v, _NESTS) for v in layer)


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
    if len(body) > limit:
        raise PayloadError(f"body of {len(body)} bytes is over the limit of {limit}", status=413)
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise PayloadError(f"body is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise PayloadError(f"JSON is nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise PayloadError(f"body is not JSON: {error}"[:200]) from None
    if _may_be_deep(body) and _is_deep(value):
        raise PayloadError(f"JSON is nested deeper than {MAX_DEPTH}")
    return value
