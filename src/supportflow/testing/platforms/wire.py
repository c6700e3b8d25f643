"""The sockets of a local platform: bounded requests in, answers and planned accidents out."""

import contextlib
import ipaddress
import json
import select
import socket
import socketserver
import struct
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import attrs

from supportflow.testing.platforms.faults import WIRE_FAULTS, Fault
from supportflow.testing.platforms.messages import Reply, Request
from supportflow.testing.platforms.plan import FaultPlan

MAX_BODY = 1 << 20
MAX_DRAINED = 16 << 20
MAX_FIELDS = 1_000
IDLE_SECONDS = 30.0
LOOK_SECONDS = 0.01
PAGE = b"<!DOCTYPE html><html><body><h1>We will be right back</h1></body></html>"


class Serves(Protocol):
    """What the sockets need of a platform."""

    faults: FaultPlan

    def answer(self, request: Request) -> Reply:
        """Answer a request that is accepted."""
        ...

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal."""
        ...

    def without_ids(self, reply: Reply) -> Reply:
        """Take the ids of what was made out of an answer."""
        ...

    def is_write(self, request: Request) -> bool:
        """Tell whether a request would change something."""
        ...

    def log(self, request: Request, status: int | None, fault: Fault | None) -> None:
        """Write one line of the request log."""
        ...

    def command(self, request: Request) -> Reply | None:
        """Do what a test asks under `/_control/`, or return None where that is closed."""
        ...


class Listener:
    """Listen on 127.0.0.1, with a thread for each connection.

    Args:
        platform: what answers.
        port: the port; 0 takes a free one.
    """

    def __init__(self, platform: Serves, port: int) -> None:
        self._server = _Server(platform, port)
        self.port: int = int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection, and wait for their threads."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()


class _Server(socketserver.TCPServer):
    """Accept connections, and remember them so that they can be ended."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, platform: Serves, port: int) -> None:
        self.platform = platform
        self.ending = threading.Event()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self._converse, args=(request, client_address), daemon=True
        )
        with self._guard:
            self._open[thread] = request
        thread.start()

    def _converse(self, request: Any, client_address: Any) -> None:
        try:
            # An OSError is a client that went away, which is its right.
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        finally:
            self.shutdown_request(request)
            with self._guard:
                del self._open[threading.current_thread()]

    def end_connections(self) -> None:
        self.ending.set()
        with self._guard:
            still_open = tuple(self._open.items())
        for thread, connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()


class _Connection(BaseHTTPRequestHandler):
    """Read requests from one connection and answer them, or do not, as planned."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep quiet: the platform has a log of its own."""

    def _serve(self) -> None:
        request = self._read()
        if request is None:
            return
        if request.path.startswith("/_control/") and self._is_local():
            reply = self.server.platform.command(request)
            self._send(reply or self.server.platform.refuse(404, request))
            return
        self._meet(request)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the names that http.server looks for

    # In.

    def _read(self) -> Request | None:
        """Read one whole request; answer here what cannot be read, and return None."""
        try:
            request, length = self._head()
        except ValueError:
            request, length = Request(self.command, ""), -1
        if "Transfer-Encoding" in self.headers:
            self._turn_away(411, request)
        elif length < 0:
            self._turn_away(400, request)
        elif length > MAX_BODY:
            self._drain(length)
            self._turn_away(413, request)
        else:
            body = self.rfile.read(length)
            if len(body) == length:
                return attrs.evolve(request, body=body)
            self.close_connection = True  # the client went away in the middle
        return None

    def _head(self) -> tuple[Request, int]:
        target = urlsplit(self.path)
        query = parse_qsl(target.query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
        headers = tuple((name.lower(), value) for name, value in self.headers.items())
        request = Request(self.command, target.path, tuple(query), headers)
        return request, int(self.headers.get("Content-Length", "0"))

    def _drain(self, length: int) -> None:
        """Read on, within bounds, so that the client is there to see why it is turned away."""
        left = min(length, MAX_DRAINED)
        while left > 0 and (piece := self.rfile.read(min(left, 1 << 16))):
            left -= len(piece)

    def _turn_away(self, status: int, request: Request) -> None:
        self.close_connection = True
        self.server.platform.log(request, status, None)
        self._send(self.server.platform.refuse(status, request))

    def _is_local(self) -> bool:
        """Tell whether both the peer and the name it called are loopback (DNS rebinding)."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        peer = ipaddress.ip_address(self.client_address[0])
        return peer.is_loopback and host in {"127.0.0.1", "localhost"}

    # Out.

    def _meet(self, request: Request) -> None:
        """Accept and answer a request, with the fault that is planned for it."""
        platform = self.server.platform
        fault = platform.faults.draw(request, write=platform.is_write(request))
        if fault is None or fault.kind not in WIRE_FAULTS:
            reply = platform.answer(attrs.evolve(request, fault=fault))
            platform.log(request, reply.status, fault)
            if fault is not None:
                fault.reached.set()
                fault.done.set()
            self._send(reply)
            return
        try:
            self._commit(request, fault)
        finally:
            platform.faults.settle(fault)
            fault.done.set()

    def _commit(self, request: Request, fault: Fault) -> None:
        platform = self.server.platform
        if fault.kind == "late":
            fault.reached.set()
            self._hold(fault)
        made = platform.answer(request) if fault.accept else None
        shown = _shown(platform, request, fault, made)
        platform.log(request, shown.status if shown else None, fault)
        fault.reached.set()
        if fault.kind == "held":
            self._hold(fault)
        if shown is None:
            self._hang_up(reset=fault.kind == "reset_before")
        elif fault.kind == "cut":
            self.connection.sendall(shown.raw(close=False)[: fault.at])
            self._hang_up(reset=fault.reset)
        else:
            self._send(shown)

    def _send(self, reply: Reply) -> None:
        self.connection.sendall(reply.raw(close=self.close_connection))

    def _hold(self, fault: Fault) -> None:
        """Wait until the test lets go, the client gives up or the platform closes."""
        while not fault.released.wait(LOOK_SECONDS):
            if self.server.ending.is_set() or self._gone():
                return

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            # Zero linger makes close send RST; the reader's hold on the socket must go first.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.rfile.close()
            self.connection.close()


def _shown(platform: Serves, request: Request, fault: Fault, made: Reply | None) -> Reply | None:
    """Return what the client is shown instead of what was made; None is not a byte."""
    match fault.kind:
        case "rate_limited":
            return _told(platform.refuse(fault.status or 429, request), fault)
        case "unauthorized":
            return _told(platform.refuse(fault.status or 401, request), fault)
        case "error_before" | "error_after":
            return _told(platform.refuse(fault.status or 500, request), fault)
        case "error_inside":
            return attrs.evolve(_told(platform.refuse(500, request), fault), status=200)
        case "html":
            kind = ("Content-Type", "text/html; charset=utf-8")
            return Reply(fault.status or 200, PAGE, (kind,))
        case "redirect":
            return Reply(fault.status or 302, b"", (("Location", fault.location),))
        case "truncated" if made:
            return attrs.evolve(made, body=made.body[: len(made.body) // 2])
        case "no_id" if made:
            return platform.without_ids(made)
        case "held" | "late" | "cut":
            return made
        case _:
            return None


def _told(reply: Reply, fault: Fault) -> Reply:
    """Put in the body and headers that the test asked for."""
    if fault.body is not None:
        reply = attrs.evolve(reply, body=json.dumps(fault.body).encode())
    if fault.headers is not None:
        kind = tuple(pair for pair in reply.headers if pair[0] == "Content-Type")
        reply = attrs.evolve(reply, headers=(*kind, *fault.headers.items()))
    return reply
