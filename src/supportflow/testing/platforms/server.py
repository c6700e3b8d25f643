"""The base of every local platform: a real HTTP/1.1 server on loopback with faults and a log.

A platform is a subclass of `Platform` that says three things:

- `routes()`: which method and path is answered by which of its methods (`Request -> Reply`);
- `refuse(status, request)`: how this network words a refusal (401, 404, 405, 413, 429, 5xx …);
- `truth()`: what it really accepted, as JSON. Nothing else may judge a test.

Everything else stands here: `handle(request)` looks the route up (override it to check tokens and
rate limits first, then call `super().handle(request)`), `self.lock` is held around it, `self.now()`
is the injected clock plus what `advance` added, `self.faults` strikes before and after it, and
`self.requests` logs what was asked and answered, without secrets. Faults that only the platform can
commit are declared in `own_faults` and arrive as `request.fault`; those of `faults.WIRE_FAULTS` never
reach `handle`. `handle` runs exactly when the request is *accepted* into the platform.

It listens on 127.0.0.1 only, bounds every body, answers from threads of its own and leaves no
thread or socket behind when closed. An exception inside a platform answers 500 and is raised again
when the `with` block ends: a judge that stumbles must not look like a fault on request.
"""

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.client import responses
from types import MappingProxyType, TracebackType
from typing import ClassVar, Self, Unpack

import attrs

from supportflow.testing.platforms.control import command
from supportflow.testing.platforms.faults import Details, Fault, Shape
from supportflow.testing.platforms.messages import Logged, Reply, Request, Route
from supportflow.testing.platforms.plan import FaultPlan, Match
from supportflow.testing.platforms.wire import Listener

__all__ = ["Fault", "FaultPlan", "Logged", "Platform", "Reply", "Request", "Route", "Shape"]

MAX_LOG = 100_000
SECRET = re.compile(r"token|secret|proof|password|signature|authorization", re.IGNORECASE)


class Platform:
    """A network on loopback that refuses what the real one refuses, and knows what it accepted.

    Args:
        clock: aware UTC time; None is the machine's own. Tests inject one.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too (see `control.py`), to loopback only.

    Example:
        >>> class Echo(Platform):
        ...     def routes(self):
        ...         return (Route("GET", "/ping", lambda request: Reply.json("pong")),)
        >>> with Echo() as platform:
        ...     platform.url.startswith("http://127.0.0.1:")
        True
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType({})
    id_fields: ClassVar[frozenset[str]] = frozenset({"id"})

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
    ) -> None:
        self.faults: FaultPlan = FaultPlan(self.own_faults)
        self.lock: threading.RLock = threading.RLock()
        self.control = control
        self.crashes: list[Exception] = []
        self._clock = clock or _machine_clock
        self._advanced = timedelta()
        self._log: deque[Logged] = deque(maxlen=MAX_LOG)
        self._port = port
        self._listener: Listener | None = None
        self._routes = tuple(self.routes())

    # What a platform says of itself.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        return ()

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as this network does."""
        del request
        return Reply.json({"error": responses.get(status, str(status))}, status)

    def truth(self) -> Mapping[str, object]:
        """Return what was really accepted, as JSON."""
        return {}

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL; `python -m` prints it as its second line."""
        return {}

    def act(self, command: Mapping[str, object]) -> object:
        """Do what a customer or the staff would do in the network's own app, and return JSON.

        Raises:
            ValueError: for a command that this platform does not know.
        """
        message = f"this platform cannot act on {sorted(command)}"
        raise ValueError(message)

    def is_write(self, request: Request) -> bool:
        """Tell whether a request would change something: a seeded rate draws other faults then."""
        return request.method not in {"GET", "HEAD", "OPTIONS"}

    def handle(self, request: Request) -> Reply:
        """Answer an accepted request; called with the lock held."""
        same_path = [
            (route, params)
            for route in self._routes
            if (params := route.match(request.path)) is not None
        ]
        for route, params in same_path:
            if route.method == request.method:
                return route.answer(attrs.evolve(request, params=params))
        return self.refuse(405 if same_path else 404, request)

    # What tests use.

    @property
    def url(self) -> str:
        """Return the address to give to a client, without a slash at its end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> tuple[Logged, ...]:
        """Return the newest requests (at most 100,000), oldest first, without secrets."""
        with self.lock:
            return tuple(self._log)

    def now(self) -> datetime:
        """Return the platform's own time."""
        return self._clock() + self._advanced

    def advance(self, by: timedelta) -> None:
        """Move the platform's own time, without moving the injected clock."""
        with self.lock:
            self._advanced += by

    def fault_next(
        self,
        kind: str,
        *,
        match: Match = "*",
        times: int = 1,
        accept: bool | None = None,
        **details: Unpack[Details],
    ) -> Fault:
        """Queue a fault for the next request that matches; see `FaultPlan.next`."""
        return self.faults.next(kind, match=match, times=times, accept=accept, **details)

    # What the server calls.

    def command(self, request: Request) -> Reply | None:
        """Do what a test asks under `/_control/`; None where `control` is off."""
        return command(self, request) if self.control else None

    def without_ids(self, reply: Reply) -> Reply:
        """Take the ids of what was made out of an answer; see `id_fields`."""
        try:
            made: object = json.loads(reply.body)
        except ValueError:
            return reply
        if not isinstance(made, dict):
            return reply
        kept = {name: value for name, value in made.items() if name not in self.id_fields}
        return attrs.evolve(reply, body=json.dumps(kept).encode())

    def answer(self, request: Request) -> Reply:
        """Answer an accepted request, and keep an exception of the platform's own for later."""
        with self.lock:
            try:
                return self.handle(request)
            except Exception as error:  # noqa: BLE001 - raised again when the platform is closed
                self.crashes.append(error)
                return Reply.json({"error": f"the local platform failed: {error!r}"}, 500)

    def log(self, request: Request, status: int | None, fault: Fault | None) -> None:
        """Write one line of the request log."""
        query = tuple((name, "***" if SECRET.search(name) else v) for name, v in request.query)
        kind = fault.kind if fault else None
        with self.lock:
            line = Logged(self.now(), request.method, request.path, query, status, kind)
            self._log.append(line)

    def start(self) -> Self:
        """Begin to listen; after `close`, again on the same port, with everything remembered."""
        if self._listener is None:
            self._listener = Listener(self, self._port)
            self._port = self._listener.port
            self._listener.start()
        return self

    def close(self) -> None:
        """Stop listening, let go what is held, and wait for every thread to end."""
        self.faults.release()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def __enter__(self) -> Self:
        """Start listening."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, and raise what went wrong inside the platform itself."""
        self.close()
        if error is None and self.crashes:
            message = "the local platform itself failed while answering"
            raise ExceptionGroup(message, self.crashes)


def _machine_clock() -> datetime:
    return datetime.now(UTC)
