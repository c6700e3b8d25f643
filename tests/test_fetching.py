"""Prove that files are fetched from listed hosts at public addresses alone, and only so much of them."""

import socket
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from supportflow.errors import InvalidValue, PayloadError, TransportError
from supportflow.fetching import Fetched, fetch
from supportflow.model import Attachment

PICTURE = b"\x89PNG picture"
SHORT = timedelta(milliseconds=300)


class Files(BaseHTTPRequestHandler):
    """Answer as a path asks for."""

    def do_GET(self):
        name = self.path.strip("/")
        self.server.seen.append((name, self.headers.get("Authorization")))
        if name == "hangs":
            self.server.release.wait(10)
            return
        self.send_response({"gone": 404, "moved": 302}.get(name, 200))
        if name == "moved":
            self.send_header("Location", "/a.png")
        if name == "zipped":
            self.send_header("Content-Encoding", "gzip")
        if name != "untyped":
            self.send_header("Content-Type", "image/PNG; charset=x")
        self.end_headers()
        self.wfile.write(PICTURE)
        if name == "drips":
            for _ in range(50):
                time.sleep(0.02)
                self.wfile.write(b".")
                self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture
def files():
    """Serve files on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.seen, server.release, server.daemon_threads = [], threading.Event(), True
    server.handle_error = lambda *_: None  # a client that has gone
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def got(files, name, **options):
    """Fetch a file from our own server."""
    url = f"http://127.0.0.1:{files.server_port}/{name}"
    return fetch(Attachment("image", url), ["127.0.0.1"], public_only=False, **options)


def test_a_file_is_fetched(files):
    """With its kind, as its server names it, and what the platform wants to see."""
    assert Fetched("image/png", PICTURE) == got(files, "a.png")
    assert "application/octet-stream" == got(files, "untyped").kind
    got(files, "b.png", headers={"Authorization": "Bearer t0ken"})
    assert ("b.png", "Bearer t0ken") == files.seen[-1]
    assert "picture" not in repr(got(files, "a.png"))


@pytest.mark.parametrize(
    ("name", "why"),
    [("gone", "answered 404"), ("moved", "answered 302"), ("zipped", "came compressed")],
)
def test_what_is_no_file_is_refused(files, name, why):
    """No redirect is followed, and nothing is unpacked."""
    with pytest.raises(PayloadError, match=why):
        got(files, name)
    assert 1 == len(files.seen)


def test_size_and_time_are_bounded(files):
    """Whatever the server claims."""
    with pytest.raises(PayloadError, match="more than 5 bytes"):
        got(files, "a.png", max_bytes=5)
    for name in ("hangs", "drips"):
        with pytest.raises(TransportError):
            got(files, name, patience=SHORT)


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/a.png",
        "ftp://files.example/a.png",
        "file:///etc/passwd",
        "https://files.example@evil.example/a.png",
        "https://evil.example/files.example",
        "https://notfiles.example/a.png",
        "https://files.example.evil.example/a.png",
        "https://[::1/a.png",
        "https://files.example:port/a.png",
        "//files.example/a.png",
        "",
    ],
)
def test_only_listed_hosts_over_https(url):
    """Before anything is asked or looked up."""
    with pytest.raises(InvalidValue):
        fetch(Attachment("image", url), ["files.example"])


def test_a_list_names_hosts():
    """A mistake in it is no way in."""
    for wrong in (["*"], ["https://files.example"], [""], "*.*"):
        with pytest.raises(InvalidValue, match="is no host"):
            fetch(Attachment("image", "https://files.example/a.png"), wrong)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
    ],
)
@pytest.mark.parametrize("before", [[], ["93.184.216.34"]])
def test_a_name_that_leads_inside_is_not_followed(monkeypatch, address, before):
    """Not even as one of several addresses."""
    entries = [(socket.AF_INET, 1, 6, "", (each, 443)) for each in [*before, address]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    with pytest.raises(InvalidValue, match="an address that is not public"):
        fetch(Attachment("image", "https://cdn.files.example/a.png"), ["*.files.example"])


def test_the_address_that_was_checked_is_the_one_that_is_used(files, monkeypatch):
    """A name that is looked up once cannot change its mind; one without an address is said."""
    calls = []

    def looked_up(host, port, *_, **__):
        calls.append(host)
        if host != "files.example":
            return [(socket.AF_INET, 1, 6, "", (host, port))]
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", files.server_port))]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    url = f"https://files.example:{files.server_port}/a.png"
    with pytest.raises(TransportError, match="ConnectError"):  # our server speaks no TLS
        fetch(Attachment("image", url), ["files.example"], public_only=False)
    assert 1 == calls.count("files.example")

    def nowhere(*_, **__):
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(TransportError, match="ConnectError"):
        fetch(Attachment("image", "https://files.example/a.png"), ["*.files.example"])
