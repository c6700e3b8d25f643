"""The WSGI application: the script runs, 503 means not committed, and too much is not read."""

import io
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from wsgiref.util import setup_testing_defaults

import pytest

from supportflow import Desk, SQLiteStore
from supportflow.channels.messenger import Messenger
from supportflow.errors import StoreUnavailable
from supportflow.http import MAX_BODY
from supportflow.stores import Changes
from supportflow.testing.platforms.messenger import MessengerPlatform


class Full(SQLiteStore):
    """A store whose disk is full."""

    full = True

    def commit(self, changes: Changes) -> None:
        """Refuse, as long as it is full."""
        if self.full:
            raise StoreUnavailable("database or disk is full")
        super().commit(changes)


class Untouchable(io.RawIOBase):
    """A body that must not be read."""

    def read(self, size: int = -1) -> bytes:
        """Fail."""
        raise AssertionError(f"{size} bytes were asked for")


@pytest.fixture
def example(load: Callable[[str], ModuleType]) -> ModuleType:
    """Load the script as a module."""
    return load("wsgi_app.py")


def ask(app, method: str = "POST", path: str = "/webhooks/messenger", body=b"", **more) -> dict:
    """Call a WSGI application, and return the status, headers and body of its answer."""
    given: dict = {}
    size = {"CONTENT_LENGTH": str(len(body))} if isinstance(body, bytes) else {}
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "wsgi.input": io.BytesIO(body) if isinstance(body, bytes) else body,
        **size,
        **more,
    }
    setup_testing_defaults(environ)
    parts = app(environ, lambda status, headers: given.update(status=status, **dict(headers)))
    return {**given, "body": b"".join(parts)}


def test_the_script_serves_a_customer(script: Callable[[str], list[str]]) -> None:
    """Handshake, a customer's words, the answer and its echo; strangers are turned away."""
    lines = script("wsgi_app.py")
    assert "the platform asked for proof of the address, and got it" == lines[0]
    assert "'You charged me twice!', 'Thank you for writing." in lines[2]
    assert lines[4].endswith("it is acknowledged")
    assert ["401", "413", "404"] == [line.rpartition(" ")[2] for line in lines[5:]]


def test_what_is_not_committed_is_not_acknowledged(example: ModuleType, tmp_path: Path) -> None:
    """503 while the store is full; the platform's next attempt is recorded, a further one is not."""
    store = Full(tmp_path / "support.db")
    calls: list[tuple] = []
    with MessengerPlatform() as platform:
        keys = {**platform.credentials()}
        page_id, _ = keys.pop("page_id"), keys.pop("app_id")
        page = Messenger(page_id, base_url=platform.url, **keys)
        platform.deliver_to(lambda *call: calls.append(call) or 500)
        platform.customer("ola").write("You charged me twice!")
    [(_, headers, _, body)] = calls
    fields = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    seen = []
    with Desk(store, [page]) as desk:
        app = example.create_app(desk)
        for full in (True, False, False):
            store.full = full
            answer = ask(app, body=body, **fields)
            seen.append((answer["status"], answer.get("Retry-After"), len(desk.inbox())))
    unavailable, ok = ("503 Service Unavailable", "5", 0), ("200 OK", None, 1)
    assert [unavailable, ok, ok] == seen


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"CONTENT_LENGTH": str(MAX_BODY + 1)}, 413),
        ({"CONTENT_LENGTH": "9" * 5000}, 413),
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"CONTENT_LENGTH": "٣"}, 400),
        ({"path": "/elsewhere/messenger"}, 404),
        ({"method": "DELETE"}, 404),
    ],
)
def test_what_is_refused_is_not_read(
    asked: dict, expected: int, example: ModuleType, tmp_path: Path
) -> None:
    """Too large, of no size, at another place: not one byte of the body is taken."""
    with Desk(SQLiteStore(tmp_path / "support.db")) as desk:
        app = example.create_app(desk)
        assert expected == int(ask(app, body=Untouchable(), **asked)["status"].split()[0])
