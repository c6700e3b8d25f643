"""Say once what OAuth 2.0 accounts share: where they are, when they answered, and new access."""

from __future__ import annotations

import base64
import ipaddress
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import attrs

from supportflow.channels import NeedsAuth, Refused
from supportflow.channels.rest import ask
from supportflow.errors import FlowError, InvalidValue
from supportflow.flow import Flow
from supportflow.http import Request
from supportflow.model import Secret
from supportflow.text.fields import mapping, perhaps, word

__all__ = ["Tokens", "address", "refreshed", "timed"]

T = TypeVar("T")


@attrs.frozen
class Tokens:
    """Hold what an authorization server gave.

    Args:
        access: The new access token.
        refresh: The refresh token that counts from now on; None: the same as before.
    """

    access: Secret
    refresh: Secret | None = None


def address(value: str) -> str:
    """Return the address of an API without a slash at its end: https, or http on this machine.

    Args:
        value: Scheme and host.

    Raises:
        InvalidValue: If it is another scheme, or holds more than scheme, host and port.

    Example:
        >>> address("https://api.example.com/")
        'https://api.example.com'
    """
    parts = urlsplit(str(value))
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise InvalidValue(f"{parts.scheme}://{host} is refused: https, http for loopback only")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidValue(f"give the address alone, as in {parts.scheme}://{host}")
    return f"{parts.scheme}://{parts.netloc}"


def refreshed(
    url: str,
    client_id: str,
    client_secret: Secret,
    refresh_token: Secret,
    *hide: Secret,
    basic: bool = False,
) -> Flow[Tokens]:
    """Ask for a new access token (RFC 6749, section 6).

    Args:
        url: The token endpoint.
        client_id: The app's id.
        client_secret: The app's secret.
        refresh_token: The refresh token.
        hide: Other secrets that errors must not show.
        basic: Prove the app in a header (section 2.3.1) instead of in the form.

    Raises:
        NeedsAuth: If the refresh token or the app is not accepted: a person must log in again.
        TransportError: If there is no usable answer.
        PayloadError: If the answer cannot be read.
    """
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    if basic:
        proof = base64.b64encode(f"{client_id}:{client_secret.reveal()}".encode())
        headers["Authorization"] = f"Basic {proof.decode()}"
    else:
        fields |= {"client_id": client_id, "client_secret": client_secret.reveal()}
    request = Request("POST", url, headers, urlencode(fields).encode())
    try:
        return (yield from ask(request, _tokens, client_secret, refresh_token, *hide))
    except (Refused, NeedsAuth) as error:
        raise NeedsAuth(f"the refresh token is not accepted: {error}; authorize again") from None


def timed(flow: Flow[T]) -> Flow[tuple[T, datetime | None]]:
    """Run a flow of one request that only reads; return what it gave, and when it was answered.

    Args:
        flow: What `ask` returned.

    Raises:
        FlowError: If it makes another request.
    """
    response = yield next(flow)
    try:
        flow.send(response)
    except StopIteration as stop:
        return stop.value, response.at
    raise FlowError("a flow of one request makes another one; run it by itself")


def _tokens(answer: Any) -> Tokens:
    found = mapping(answer, "the answer")
    refresh = perhaps(found, "refresh_token")
    return Tokens(Secret(word(found, "access_token")), Secret(refresh) if refresh else None)
