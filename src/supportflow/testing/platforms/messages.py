"""What goes into and comes out of a local platform: requests, replies, routes and log lines."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import responses
from types import MappingProxyType
from typing import Self
from urllib.parse import parse_qsl, unquote

import attrs

from supportflow.testing.platforms.faults import Fault


@attrs.frozen
class Request:
    """One request as the platform received it.

    Args:
        method: the HTTP method, in capitals.
        path: the path, still percent-encoded, without the query.
        query: the query's names and values, decoded, in order.
        headers: names in lower case and values, in order.
        body: the raw body.
        params: what the route's `{name}` parts matched, decoded.
        fault: a fault of `Platform.own_faults` that strikes this request.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    params: Mapping[str, str] = MappingProxyType({})
    fault: Fault | None = None

    def header(self, name: str) -> str | None:
        """Return the first header of this name, whatever its case, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    def first(self, name: str) -> str | None:
        """Return the first query value of this name, or None."""
        return next((value for key, value in self.query if key == name), None)

    def every(self, name: str) -> tuple[str, ...]:
        """Return all query values of this name, in order."""
        return tuple(value for key, value in self.query if key == name)

    def json(self) -> object:
        """Return the body as JSON.

        Raises:
            ValueError: when it is not JSON in UTF-8, or is nested too deeply to read.
        """
        try:
            return json.loads(self.body)
        except RecursionError as error:
            message = "the JSON body is nested too deeply"
            raise ValueError(message) from error

    def form(self) -> tuple[tuple[str, str], ...]:
        """Return the body as the names and values of an urlencoded form, in order.

        Raises:
            ValueError: when it is not UTF-8 or has more than 1,000 fields.
        """
        return tuple(
            parse_qsl(self.body.decode("utf-8"), keep_blank_values=True, max_num_fields=1_000)
        )


@attrs.frozen
class Reply:
    """One answer of the platform.

    Args:
        status: the HTTP status.
        body: the raw body.
        headers: names and values; Content-Length and Connection are added when sent.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def json(
        cls, content: object, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Self:
        """Make an answer of JSON.

        Example:
            >>> Reply.json({"id": "1"}).body
            b'{"id": "1"}'
        """
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, json.dumps(content).encode(), tuple({**kind, **headers}.items()))

    def raw(self, *, close: bool) -> bytes:
        """Return the bytes of the whole response, as they go over the wire."""
        framing = (("Content-Length", str(len(self.body))),) if self.status != 204 else ()
        ending = (("Connection", "close"),) if close else ()
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *framing, *ending)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


Answerer = Callable[[Request], Reply]


@attrs.frozen
class Route:
    """A method and a path that a platform answers.

    Args:
        method: the HTTP method, in capitals.
        template: the path, with `{name}` for a part that may be anything but a slash.
        answer: what answers it.

    Example:
        >>> route = Route("GET", "/api/v1/statuses/{id}", lambda request: Reply(204))
        >>> route.match("/api/v1/statuses/42")
        {'id': '42'}
        >>> route.match("/api/v1/statuses/42/context") is None
        True
    """

    method: str
    template: str
    answer: Answerer
    _pattern: re.Pattern[str] = attrs.field(init=False, repr=False)

    @_pattern.default
    def _compile(self) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", self.template)
        return re.compile(
            "".join(
                f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part)
                for index, part in enumerate(parts)
            )
        )

    def match(self, path: str) -> dict[str, str] | None:
        """Return what the `{name}` parts stand for in a path, or None if it is another path."""
        found = self._pattern.fullmatch(path)
        return found and {name: unquote(value) for name, value in found.groupdict().items()}


@attrs.frozen
class Logged:
    """One line of a platform's request log.

    Args:
        at: when it was answered, by the platform's clock.
        method: the HTTP method.
        path: the path without the query.
        query: names and values; the values of secrets are `***`.
        status: what was answered; None if no answer was made.
        fault: the kind of fault that struck, or None.
    """

    at: datetime
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int | None
    fault: str | None
