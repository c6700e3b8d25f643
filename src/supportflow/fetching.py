"""Fetch a picture or file that came with a message: from hosts on a list, and only so much of it.

Nothing is fetched by itself: an address that a stranger sends may lead into your own network
(https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpcore

from supportflow.errors import InvalidValue, PayloadError, TransportError
from supportflow.model import Attachment

__all__ = ["Fetched", "fetch"]

#: The most that is fetched of one attachment, in bytes, and how long that may take. Ours.
MAX_BYTES, PATIENCE = 25 * 1024 * 1024, timedelta(seconds=30)
_HOST = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*")
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


@attrs.frozen
class Fetched:
    """Hold what an attachment is.

    Args:
        kind: The media type that its server names, for example `"image/png"`. It proves nothing:
            whoever shows the content decides by the content.
        content: The bytes.
    """

    kind: str
    content: bytes = attrs.field(repr=False)


def fetch(
    attachment: Attachment,
    hosts: Iterable[str],
    *,
    headers: Mapping[str, str] | None = None,
    max_bytes: int = MAX_BYTES,
    patience: timedelta = PATIENCE,
    public_only: bool = True,
) -> Fetched:
    """Fetch an attachment over https from a host on a list; on an event loop, in a thread.

    The name is looked up once, and the connection goes to that address and no other, so that a
    name which changes its mind leads nowhere. Redirects are not followed.

    Args:
        attachment: What came with a message.
        hosts: Which hosts may be asked, such as `"files.example.social"`, or `"*.fbcdn.net"` for
            a domain and all beneath it.
        headers: What the platform wants to see, for example a token of your own.
        max_bytes: The most that is read.
        patience: How long it may take as a whole.
        public_only: False lets an address be private, for a file server of your own; http is
            then allowed on loopback.

    Returns:
        What it is.

    Raises:
        InvalidValue: If its address is no https URL of a host on the list, or that host's address
            is not public.
        TransportError: If it cannot be fetched in time.
        PayloadError: If the server answers anything but the file, or more than `max_bytes`.

    Example:
        >>> fetch(Attachment("image", "https://evil.example/a.png"), ["*.example.social"])
        Traceback (most recent call last):
        ...
        supportflow.errors.InvalidValue: evil.example is on no list of hosts to fetch from
    """
    _check(attachment.url, hosts, public_only=public_only)
    until = time.monotonic() + patience.total_seconds()
    backend = _Checked(public_only)
    seconds = patience.total_seconds()
    waits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}
    asked: list[tuple[bytes | str, bytes | str]] = [("Accept-Encoding", "identity")]
    asked += (headers or {}).items()
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=ssl.create_default_context(), network_backend=backend
            ) as pool,
            pool.stream("GET", attachment.url, headers=asked, extensions=waits) as response,
        ):
            return _read(response, max_bytes, until)
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        host = urlsplit(attachment.url).hostname
        raise TransportError(f"GET {host}: {type(error).__name__}", sent=None) from None


def _check(url: str, hosts: Iterable[str], *, public_only: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise InvalidValue("the attachment's address is no URL") from None
    local = not public_only and _is_loopback(host)
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise InvalidValue(f"{parts.scheme}://{host} is not fetched: https only")
    if "@" in parts.netloc:
        raise InvalidValue(f"the address at {host} names a user: it is not fetched")
    listed = [hosts] if isinstance(hosts, str) else [*hosts]
    for each in listed:
        if not _HOST.fullmatch(each):
            raise InvalidValue(
                f"{each!r:.100} is no host: write files.example.com, or *.example.com"
            )
    if not any(_matches(host, each) for each in listed):
        raise InvalidValue(f"{host} is on no list of hosts to fetch from")


def _matches(host: str, listed: str) -> bool:
    if listed.startswith("*."):
        return host == listed[2:] or host.endswith(listed[1:])
    return host == listed


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Checked(httpcore.SyncBackend):
    """Connect to the address that was checked, not to the name: it may change in between."""

    def __init__(self, public_only: bool) -> None:
        super().__init__()
        self.public_only = public_only

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise httpcore.ConnectError(f"{host} has no address") from None
        addresses = [str(entry[4][0]) for entry in found]
        if self.public_only and not all(map(_is_public, addresses)):
            raise InvalidValue(f"{host} leads to an address that is not public: it is not fetched")
        return super().connect_tcp(addresses[0], port, *args, **kwargs)


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return found.is_global and not found.is_multicast and (inner is None or inner.is_global)


def _read(response: httpcore.Response, max_bytes: int, until: float) -> Fetched:
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status != 200:
        raise PayloadError(f"the file's server answered {response.status}")
    if headers.get(b"content-encoding", "identity") != "identity":
        raise PayloadError("the file came compressed, which was not asked for")
    chunks, size = list[bytes](), 0
    for chunk in response.iter_stream():
        size += len(chunk)
        chunks.append(chunk)
        if size > max_bytes:
            raise PayloadError(f"the file has more than {max_bytes} bytes")
        if time.monotonic() > until:
            raise TransportError("the file took too long", sent=None)
    kind = _TYPE.match(headers.get(b"content-type", ""))
    return Fetched(kind[0].lower() if kind else "application/octet-stream", b"".join(chunks))
