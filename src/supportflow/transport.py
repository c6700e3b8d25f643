"""Perform requests: the one place that opens files and, with httpx, connections; mail has its own.

Redirects are never followed; a response is bounded in size and time and never decompressed;
plain http is for loopback alone. A `file:` URL is read here too, so that an archive on disk is
a channel like any other.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from contextvars import ContextVar
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from supportflow.errors import TransportError
from supportflow.http import MAX_BODY, MAX_RESPONSE, Request, Response
from supportflow.mail import SCHEMES, perform
from supportflow.retry import arepeating, repeating

__all__ = ["AsyncTransport", "Transport"]

#: How long one exchange may take as a whole, in seconds, and each wait within it. Ours.
DEADLINE, PATIENCE = 60.0, 30.0
_TIMEOUT = httpx.Timeout(PATIENCE, connect=10.0, pool=10.0)
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})\Z")

#: Errors before any byte can have left (httpx's own documentation of its exceptions).
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.ProxyError,
    httpx.InvalidURL,
)

# httpx logs whole URLs, and some platforms carry the token in theirs; ours stay unlogged.
_ours: ContextVar[bool] = ContextVar("supportflow_request", default=False)


def _not_ours(_record: logging.LogRecord) -> bool:
    return not _ours.get()


for _name in ("httpx", "httpcore", "httpcore.connection", "httpcore.http11", "httpcore.http2"):
    logging.getLogger(_name).addFilter(_not_ours)


def utc_now() -> datetime:
    """Return the computer's time."""
    return datetime.now(UTC)


def read_file(request: Request, at: datetime) -> Response:
    """Answer a GET of a `file:` URL, in ranges, as a web server would (RFC 9110, 14).

    Args:
        request: A GET, perhaps with a `Range` header; at most `MAX_BODY` bytes are read.
        at: The time that the answer bears.

    Raises:
        TransportError: If the file cannot be read; nothing was changed.
    """
    path = url2pathname(urlsplit(request.url).path)
    asked = _RANGE.match(request.headers.get("Range") or f"bytes=0-{MAX_BODY - 1}")
    if request.method != "GET" or asked is None:
        raise TransportError(f"a file is only read, in one range of bytes: {path}", sent=False)
    first = int(asked[1])
    last = min(int(asked[2]), first + MAX_BODY - 1)
    if last < first:
        raise TransportError(f"a range ends before it begins: {asked[0]}", sent=False)
    try:
        with Path(path).open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            file.seek(first)
            body = file.read(last - first + 1)
    except FileNotFoundError:
        return Response(404, at=at)
    except (OSError, ValueError) as error:
        raise TransportError(f"cannot read {path!r}: {error}", sent=False) from None
    if first >= total:
        return Response(416, {"Content-Range": f"bytes */{total}"}, at=at)
    headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{total}"}
    return Response(206, headers, body, at)


def _is_mail(request: Request) -> bool:
    """Tell whether a mail server is asked; each connection there is for one request alone."""
    return request.url.partition("://")[0] in SCHEMES


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(request: Request) -> None:
    try:
        parts = urlsplit(request.url)
    except ValueError:
        raise TransportError("the URL cannot be read", sent=False) from None
    if _is_mail(request):
        return  # it looks for itself whether the way is encrypted
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return
    raise TransportError(
        f"{parts.scheme}://{parts.hostname} is refused: https only, http for loopback", sent=False
    )


def _failed(error: Exception, request: Request) -> TransportError:
    """Say what happened without the URL, which may hold a secret."""
    sent = False if isinstance(error, _UNSENT) else None
    if isinstance(error, httpx.ReadTimeout | httpx.DecodingError):
        sent = True
    host = urlsplit(request.url).hostname
    return TransportError(f"{request.method} {host}: {type(error).__name__}", sent=sent)


class _Body:
    """Gather a response's body within its limits."""

    def __init__(self, response: httpx.Response) -> None:
        coding = response.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise TransportError(f"answer in {coding}, which was not asked for", sent=True)
        self.response, self.chunks, self.size = response, list[bytes](), 0
        self.until = time.monotonic() + DEADLINE

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.chunks.append(chunk)
        if self.size > MAX_RESPONSE:
            raise TransportError(f"answer of more than {MAX_RESPONSE} bytes", sent=True)
        if time.monotonic() > self.until:
            raise TransportError(f"answer took longer than {DEADLINE:g} seconds", sent=True)

    def whole(self, at: datetime) -> Response:
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in self.response.headers.raw]
        body = b"".join(self.chunks)
        return Response(self.response.status_code, headers, body, at)


def _built(client: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    """Return a request as httpx wants it."""
    try:
        return client.build_request(
            request.method,
            request.url,
            headers=[*request.headers.items, ("Accept-Encoding", "identity")],
            content=request.body,
        )
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        # The error itself may hold what could not be encoded.
        kind = type(error).__name__
        raise TransportError(f"{request.method}: no request can be made ({kind})", False) from None


def _options() -> dict[str, Any]:
    """Return how a client is made: no proxy from the environment, and no cookie is kept.

    Two accounts on one server must not share a session.
    """
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return {"timeout": _TIMEOUT, "limits": _LIMITS, "trust_env": False, "cookies": jar}


class Transport:
    """Perform requests on this thread, over one pool of connections.

    Args:
        client: An `httpx.Client` of your own, for example with a proxy; it must not follow
            redirects.
        sleep: Waits between repetitions, in seconds.
        clock: Returns the time (aware) that answers bear.
    """

    def __init__(
        self,
        client: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._clock = clock
        self._client = client or httpx.Client(**_options())
        self._perform = repeating(self._once, sleep)

    def send(self, request: Request) -> Response:
        """Perform one request; repeat it where that is safe.

        Args:
            request: What to do.

        Raises:
            TransportError: If there is no usable response; `sent` says what may have left.
        """
        if request.url.startswith("file:"):
            return read_file(request, self._clock())
        _check(request)
        return self._perform(request)

    def _once(self, request: Request) -> Response:
        if _is_mail(request):
            return perform(request, self._clock)
        quiet = _ours.set(True)
        try:
            asked = _built(self._client, request)
            response = self._client.send(asked, stream=True, follow_redirects=False)
            with closing(response):
                body = _Body(response)
                for chunk in response.iter_raw():
                    body.add(chunk)
                return body.whole(self._clock())
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise _failed(error, request) from None
        finally:
            _ours.reset(quiet)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


class AsyncTransport:
    """Perform requests on an event loop, over one pool of connections.

    Args:
        client: An `httpx.AsyncClient` of your own, for example with a proxy; it must not
            follow redirects.
        sleep: Waits between repetitions, in seconds.
        clock: Returns the time (aware) that answers bear.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._clock = clock
        self._client = client or httpx.AsyncClient(**_options())
        self._perform = arepeating(self._once, sleep)

    async def send(self, request: Request) -> Response:
        """Perform one request; repeat it where that is safe.

        Args:
            request: What to do.

        Raises:
            TransportError: If there is no usable response; `sent` says what may have left.
        """
        if request.url.startswith("file:"):
            return await asyncio.to_thread(read_file, request, self._clock())
        _check(request)
        return await self._perform(request)

    async def _once(self, request: Request) -> Response:
        if _is_mail(request):
            return await asyncio.to_thread(perform, request, self._clock)
        quiet = _ours.set(True)
        try:
            asked = _built(self._client, request)
            response = await self._client.send(asked, stream=True, follow_redirects=False)
            async with aclosing(response):
                body = _Body(response)
                async for chunk in response.aiter_raw():
                    body.add(chunk)
                return body.whole(self._clock())
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise _failed(error, request) from None
        finally:
            _ours.reset(quiet)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()
