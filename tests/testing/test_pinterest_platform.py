"""The local Pinterest refuses what the documentation says that the real one refuses."""

import json
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from supportflow.testing import FakeClock
from supportflow.testing.platforms.pinterest import PinterestPlatform


@pytest.fixture
def network():
    with PinterestPlatform(clock=FakeClock()) as platform:
        yield platform


def call(network, method, path, body=None, **headers):
    """Ask the platform as a program does; return the status, the JSON and the headers."""
    connection = HTTPConnection(urlsplit(network.url).netloc, timeout=10)
    given = {"Authorization": f"Bearer {network.token}", "Content-Type": "application/json"}
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(method, f"/v5/{path}", raw, {**given, **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers
    finally:
        connection.close()


def made(network, **fields):
    """Return the body of a pin."""
    source = {"source_type": "image_url", "url": "https://shop.example/1.jpg"}
    return {"board_id": network.board_id, "media_source": source, **fields}


@pytest.mark.parametrize(
    "fields",
    [
        {"description": "x" * 801},
        {"title": "x" * 101},
        {"alt_text": 7},
        {"link": "x" * 2049},
        {"note": "private"},
        {"board_id": "1"},
        {"media_source": None},
        {"media_source": {"source_type": "video_id"}},
        {"media_source": {"source_type": "image_url", "url": "door.jpg"}},
    ],
)
def test_a_wrong_pin_is_refused(network, fields):
    """Each limit of the specification by itself; nothing is made."""
    assert 400 == call(network, "POST", "pins", made(network, **fields))[0]
    assert () == network.posts


def test_a_body_that_is_no_json_is_refused(network):
    """Nothing is guessed."""
    assert 400 == call(network, "POST", "pins", b"title=x")[0]


def test_a_token_does_what_it_was_granted(network):
    """Wrong, too weak or too old, it is refused; trial access has its day's end."""
    assert 401 == call(network, "GET", "user_account", Authorization="Bearer x")[0]
    network.scopes = ("boards:read",)
    assert 403 == call(network, "POST", "pins", made(network))[0]
    network.daily_limit = 0
    status, _, headers = call(network, "GET", f"boards/{network.board_id}")
    assert (429, "3600") == (status, headers["X-RateLimit-Reset"])
    network.advance(timedelta(days=30))
    assert 401 == call(network, "GET", f"boards/{network.board_id}")[0]


def test_boards_have_pages(network):
    """Newest first, with a bookmark while there are more; another's board is not there."""
    for number in range(3):
        assert 201 == call(network, "POST", "pins", made(network, description=f"{number}"))[0]
    path = f"boards/{network.board_id}/pins"
    _, first, _ = call(network, "GET", f"{path}?page_size=2")
    _, last, _ = call(network, "GET", f"{path}?page_size=2&bookmark={first['bookmark']}")
    said = [pin["description"] for pin in (*first["items"], *last["items"])]
    assert (["2", "1", "0"], None) == (said, last["bookmark"])
    assert 400 == call(network, "GET", f"{path}?page_size=251")[0]
    assert 404 == call(network, "GET", "boards/1")[0]
    assert 3 == len(network.truth()["posts"])


def test_there_are_no_comments_and_no_messages(network):
    """As on the real network: no path of either kind is there."""
    for path in ("pins/1/comments", "conversations", "messages", "notifications"):
        assert 404 == call(network, "GET", path)[0]
        assert 404 == call(network, "POST", path, {"text": "Hello"})[0]


def test_a_refresh_token_counts_once(network):
    """Only the app with its secret gets new tokens, and the old ones end."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic eDp5"}
    assert 401 == call(network, "POST", "oauth/token", b"grant_type=refresh_token", **form)[0]
