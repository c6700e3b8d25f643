"""Real exchanges over loopback: limits, refusals, and what an error says about bytes sent."""

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from supportflow import transport
from supportflow.errors import TransportError
from supportflow.http import MAX_BODY, Request, Response
from supportflow.transport import AsyncTransport, Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

#: What a server does with one connection, once it has read the request's head.
Script = Callable[[socket.socket], None]


class Server:
    """Answer each connection by a script, and keep what was asked."""

    def __init__(self) -> None:
        self.script: Script = lambda peer: peer.sendall(OK)
        self.heads: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(5)
                try:
                    self._answer(peer)
                except OSError:
                    continue

    def _answer(self, peer: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = peer.recv(65536)
            if not more:
                return
            head += more
        self.heads.append(head)
        self.script(peer)

    def close(self) -> None:
        """Stop listening; a blocked accept is woken by a last connection."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def server() -> Iterator[Server]:
    """A scripted server on loopback."""
    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Callable[..., Response]:
    """Send one request through either transport, without waiting between repetitions."""

    async def no_sleep(_seconds: float) -> None:
        return

    async def through_async(what: Request, client: httpx.AsyncClient | None) -> Response:
        carrier = AsyncTransport(client, sleep=no_sleep)
        try:
            return await carrier.send(what)
        finally:
            await carrier.close()

    def perform(what: Request, timeout: float | None = None) -> Response:
        if request.param == "async":
            client = None if timeout is None else httpx.AsyncClient(timeout=timeout)
            return asyncio.run(through_async(what, client))
        carrier = Transport(
            None if timeout is None else httpx.Client(timeout=timeout), sleep=lambda _: None
        )
        try:
            return carrier.send(what)
        finally:
            carrier.close()

    return perform


def post(url: str) -> Request:
    """Return a request that a customer would see."""
    return Request("POST", url, {"Content-Type": "text/plain"}, b"words", posts=True)


def test_an_exchange_carries_method_headers_and_body(
    send: Callable[..., Response], server: Server
) -> None:
    """What a channel builds is what arrives, and what is answered comes back with a time."""
    answer = send(post(f"{server.url}/path?query=1"))
    assert (200, b"hi", "2") == (answer.status, answer.body, answer.headers.get("content-length"))
    assert answer.at is not None
    assert answer.at.tzinfo is not None
    assert server.heads[0].startswith(b"POST /path?query=1 HTTP/1.1\r\n")
    assert b"Content-Type: text/plain\r\n" in server.heads[0]
    assert b"Accept-Encoding: identity\r\n" in server.heads[0]


def test_a_redirect_is_never_followed(send: Callable[..., Response], server: Server) -> None:
    """Neither words nor credentials go where a redirect points."""
    moved = f"HTTP/1.1 302 Found\r\nLocation: {server.url}/other\r\nContent-Length: 0\r\n\r\n"
    server.script = lambda peer: peer.sendall(moved.encode())
    assert 302 == send(Request("GET", server.url)).status
    assert 1 == len(server.heads)


@pytest.mark.parametrize(
    "url", ["http://example.org/", "http://127.0.0.1.example.org/", "ftp://127.0.0.1/", "http://"]
)
def test_plain_http_is_for_loopback_alone(send: Callable[..., Response], url: str) -> None:
    """A credential never travels in the clear: refused before a name is even looked up."""
    with pytest.raises(TransportError, match="https only") as caught:
        send(Request("GET", url))
    assert caught.value.sent is False


def test_nobody_listening_means_not_sent(send: Callable[..., Response]) -> None:
    """A refused connection carried nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TransportError) as caught:
        send(post(f"http://127.0.0.1:{port}/"))
    assert caught.value.sent is False


def test_an_unknown_name_means_not_sent(
    send: Callable[..., Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no address is found, there was nobody to send anything to (RELIABILITY 2.3, row 1)."""

    def unknown(*_args: object, **_options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TransportError, match="ConnectError") as caught:
        send(post("https://nobody.example.com/"))
    assert caught.value.sent is False


class NoTls(Server):
    """Answer whoever wants to encrypt in the clear."""

    def _answer(self, peer: socket.socket) -> None:
        self.heads.append(peer.recv(65536))
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_failed_handshake_means_not_sent(send: Callable[..., Response]) -> None:
    """Before TLS stands, no byte of a request has left (RELIABILITY 2.3, row 1)."""
    server = NoTls()
    try:
        with pytest.raises(TransportError, match="ConnectError") as caught:
            send(post(server.url.replace("http:", "https:")))
    finally:
        server.close()
    assert caught.value.sent is False
    assert 0 < len(server.heads)
    assert not [head for head in server.heads if b"words" in head]


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.PoolTimeout, False),
        (httpx.ProxyError, False),
        (httpx.LocalProtocolError, False),
        (httpx.UnsupportedProtocol, False),
        (httpx.WriteTimeout, None),
        (httpx.WriteError, None),
        (httpx.ReadError, None),
        (httpx.CloseError, None),
        (httpx.RemoteProtocolError, None),
        (httpx.ReadTimeout, True),
    ],
)
def test_every_error_says_whether_bytes_may_have_left(
    error: type[httpx.HTTPError], sent: bool | None
) -> None:
    """Certain only where httpx is; every doubt is one of ours (RELIABILITY 2.3, rows 1 and 6)."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error("no", request=request)

    carrier = Transport(httpx.Client(transport=httpx.MockTransport(fail)), sleep=lambda _: None)
    with pytest.raises(TransportError, match=error.__name__) as caught:
        carrier.send(post("https://example.com/"))
    carrier.close()
    assert sent is caught.value.sent


def test_an_unusable_url_means_not_sent(send: Callable[..., Response]) -> None:
    """What cannot be a request is ours to know before any byte leaves."""
    with pytest.raises(TransportError) as caught:
        send(post("https://exa mple.org:port/"))
    assert caught.value.sent is False


def _reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def _drop(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_RDWR)


def _cut(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    peer.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("script", [_reset, _drop, _cut])
def test_a_lost_answer_leaves_open_whether_it_was_sent(
    send: Callable[..., Response], server: Server, script: Script
) -> None:
    """A connection that breaks after the request is not a proof of anything."""
    server.script = script
    with pytest.raises(TransportError) as caught:
        send(post(server.url))
    assert caught.value.sent is not False
    assert 1 == len(server.heads)


def test_a_silent_server_had_the_whole_request(
    send: Callable[..., Response], server: Server
) -> None:
    """A timeout while reading means that every byte has left."""
    released = threading.Event()
    server.script = lambda _peer: released.wait(5) and None
    with pytest.raises(TransportError, match="ReadTimeout") as caught:
        send(post(server.url), timeout=0.05)
    released.set()
    assert caught.value.sent is True


def test_a_slow_drip_is_bounded_as_a_whole(
    send: Callable[..., Response], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that trickle in forever do not hold a worker forever."""
    monkeypatch.setattr(transport, "DEADLINE", 0.0)
    with pytest.raises(TransportError, match="longer than") as caught:
        send(post(server.url))
    assert caught.value.sent is True


def test_an_endless_answer_is_cut_off(
    send: Callable[..., Response], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is read up to a limit and no further."""
    monkeypatch.setattr(transport, "MAX_RESPONSE", 1)
    with pytest.raises(TransportError, match="more than 1 bytes"):
        send(post(server.url))


def test_a_compressed_answer_is_refused(send: Callable[..., Response], server: Server) -> None:
    """A small body that unpacks to gigabytes is never unpacked."""
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi"
    server.script = lambda peer: peer.sendall(packed)
    with pytest.raises(TransportError, match="answer in gzip"):
        send(post(server.url))


def test_a_read_is_repeated_and_a_post_is_not(
    send: Callable[..., Response], server: Server
) -> None:
    """The first answer is lost: the read comes through, the post is made exactly once."""
    scripts: list[Script] = [_drop, lambda peer: peer.sendall(OK)]

    def in_turn(peer: socket.socket) -> None:
        scripts.pop(0)(peer)

    server.script = in_turn
    assert 200 == send(Request("GET", server.url)).status
    assert 2 == len(server.heads)
    server.script = _drop
    with pytest.raises(TransportError):
        send(post(server.url))
    assert 3 == len(server.heads)


def test_no_secret_is_logged_or_raised(
    send: Callable[..., Response], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A token in a URL or header shows in no log line at any level, and in no error."""
    caplog.set_level(logging.DEBUG)
    send(Request("GET", f"{server.url}/bot-canary/", {"Authorization": "canary"}))
    server.script = _drop
    with pytest.raises(TransportError) as caught:
        send(post(f"{server.url}/bot-canary/"))
    assert "canary" not in caplog.text
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_others_keep_their_httpx_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Only our own requests are kept out of httpx's log."""
    caplog.set_level(logging.INFO, "httpx")
    with httpx.Client() as client:
        client.get(server.url)
    assert server.url in caplog.text


@pytest.mark.parametrize(
    "what",
    [
        Request("GET", "https://[::1"),
        Request("GET", "https://example.org:port/"),
        Request("GET", "https://example.org/", {"Authorization": "\u2603-canary"}),
        Request("GET", "https://" + "a" * 70_000 + ".example.org/canary"),
    ],
)
def test_what_cannot_be_a_request_never_leaves(
    send: Callable[..., Response], what: Request
) -> None:
    """It is not sent, and the error shows nothing of what could not be encoded."""
    with pytest.raises(TransportError) as caught:
        send(what)
    assert caught.value.sent is False
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_header_that_would_break_the_request_never_leaves(
    send: Callable[..., Response], server: Server
) -> None:
    """A line end in a value cannot add a header of its own."""
    with pytest.raises(TransportError) as caught:
        send(Request("POST", server.url, {"X-Key": "a\nX-Other: canary"}, posts=True))
    assert caught.value.sent is False
    assert "canary" not in str(caught.value)
    assert [] == server.heads


def test_cookies_are_not_kept(server: Server) -> None:
    """Two accounts on one server share no session through our pool."""
    baked = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=ola; Path=/\r\nContent-Length: 0\r\n\r\n"
    server.script = lambda peer: peer.sendall(baked)
    carrier = Transport()
    for _ in range(2):
        carrier.send(Request("GET", server.url))
    carrier.close()
    assert 2 == len(server.heads)
    assert b"Cookie" not in server.heads[1]


def test_one_pool_serves_many_requests(server: Server) -> None:
    """A connection that the server keeps open is used again."""

    def twice(peer: socket.socket) -> None:
        peer.sendall(OK)
        if peer.recv(65536):
            peer.sendall(OK)

    server.script = twice
    carrier = Transport()
    assert [200, 200] == [carrier.send(Request("GET", server.url)).status for _ in range(2)]
    carrier.close()
    assert 1 == len(server.heads)


def read(send: Callable[..., Response], path: Path, asked: str | None = None) -> Response:
    """Read a file through the transport."""
    return send(Request("GET", path.as_uri(), {} if asked is None else {"Range": asked}))


def test_a_file_is_read_in_ranges(send: Callable[..., Response], tmp_path: Path) -> None:
    """A file URL is answered as a web server would answer it."""
    path = tmp_path / "an archive.jsonl"
    path.write_bytes(b"0123456789")
    answer = read(send, path, "bytes=2-4")
    assert (206, b"234") == (answer.status, answer.body)
    assert "bytes 2-4/10" == answer.headers.get("Content-Range")
    assert b"89" == read(send, path, "bytes=8-99").body
    assert b"0123456789" == read(send, path).body
    past = read(send, path, "bytes=10-20")
    assert (416, "bytes */10") == (past.status, past.headers.get("Content-Range"))


def test_a_missing_file_is_not_found(send: Callable[..., Response], tmp_path: Path) -> None:
    """What is not there is 404; what is no file is an error that says so."""
    assert 404 == read(send, tmp_path / "nowhere").status
    with pytest.raises(TransportError, match="cannot read") as caught:
        read(send, tmp_path)
    assert caught.value.sent is False


def test_a_path_that_no_system_takes_is_an_error(send: Callable[..., Response]) -> None:
    """A NUL in a path is refused with the reason, not with a crash."""
    with pytest.raises(TransportError, match="cannot read") as caught:
        send(Request("GET", "file:///tmp/a%00b"))
    assert caught.value.sent is False


def test_a_range_that_ends_before_it_begins_reads_nothing(
    send: Callable[..., Response], tmp_path: Path
) -> None:
    """A negative length would read the whole file."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with pytest.raises(TransportError, match="ends before it begins"):
        read(send, path, "bytes=5-3")


@pytest.mark.parametrize("asked", ["bytes=-5", "bytes=1-2,4-5", "lines=1-2", "bytes=1-"])
def test_only_one_plain_range_is_read(
    send: Callable[..., Response], tmp_path: Path, asked: str
) -> None:
    """Other ranges are refused, and so is writing."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with pytest.raises(TransportError, match="only read"):
        read(send, path, asked)
    with pytest.raises(TransportError, match="only read"):
        send(Request("PUT", path.as_uri(), body=b"x"))


def test_a_file_is_read_in_bounded_pieces(send: Callable[..., Response], tmp_path: Path) -> None:
    """One request never brings more than the limit into memory."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * (MAX_BODY + 10))
    assert MAX_BODY == len(read(send, path, f"bytes=0-{MAX_BODY * 2}").body)


def test_answers_bear_the_time_of_the_given_clock(server: Server, tmp_path: Path) -> None:
    """A desk with a clock of its own sees one time, not two."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    carrier = Transport(clock=lambda: at)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    urls = (server.url, path.as_uri())
    assert [at, at] == [carrier.send(Request("GET", url)).at for url in urls]
    carrier.close()
