"""Perform requests: the one place that opens files and, with httpx, connections.

A `file:` URL is read here too, so that an archive on disk is a channel like any other.
"""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit
from urllib.request import url2pathname

from supportflow.errors import TransportError
from supportflow.http import MAX_BODY, Request, Response

__all__ = ["AsyncTransport", "Transport"]

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})\Z")


def read_file(request: Request) -> Response:
    """Answer a GET of a `file:` URL, in ranges, as a web server would (RFC 9110, 14).

    Args:
        request: A GET with a `Range` header of at most `MAX_BODY` bytes.

    Raises:
        TransportError: If the file cannot be read; nothing was changed.
    """
    path = url2pathname(urlsplit(request.url).path)
    asked = _RANGE.match(request.headers.get("Range") or f"bytes=0-{MAX_BODY - 1}")
    if request.method != "GET" or asked is None:
        raise TransportError(f"a file is only read, in one range of bytes: {path}", sent=False)
    first = int(asked[1])
    last = min(int(asked[2]), first + MAX_BODY - 1)
    try:
        with open(path, "rb") as file:
            total = os.fstat(file.fileno()).st_size
            file.seek(first)
            body = file.read(last - first + 1)
    except FileNotFoundError:
        return Response(404, at=datetime.now(UTC))
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}", sent=False) from None
    if first >= total:
        headers = {"Content-Range": f"bytes */{total}"}
        return Response(416, headers, at=datetime.now(UTC))
    headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{total}"}
    return Response(206, headers, body, datetime.now(UTC))


class Transport:
    """Perform requests on this thread."""

    def send(self, request: Request) -> Response:
        """Perform one request.

        Args:
            request: What to do.

        Raises:
            TransportError: If there is no usable response; `sent` says what may have left.
        """
        if request.url.startswith("file:"):
            return read_file(request)
        raise TransportError("only file: URLs can be read in this version", sent=False)

    def close(self) -> None:
        """Let go of connections."""


class AsyncTransport:
    """Perform requests on an event loop."""

    async def send(self, request: Request) -> Response:
        """Perform one request.

        Args:
            request: What to do.

        Raises:
            TransportError: If there is no usable response; `sent` says what may have left.
        """
        if request.url.startswith("file:"):
            return await asyncio.to_thread(read_file, request)
        raise TransportError("only file: URLs can be read in this version", sent=False)

    async def close(self) -> None:
        """Let go of connections."""
