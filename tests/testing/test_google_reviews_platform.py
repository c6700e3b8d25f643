"""The local Google Business Profile refuses what the documentation says that the real one refuses."""

import json
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest

from supportflow.testing import FakeClock
from supportflow.testing.platforms.google_reviews import GoogleReviewsPlatform


@pytest.fixture
def network():
    with GoogleReviewsPlatform(clock=FakeClock()) as platform:
        yield platform


def call(network, method, path, body=None, access=None):
    """Ask the platform as a program does; return the status and the JSON."""
    connection = HTTPConnection(urlsplit(network.url).netloc, timeout=10)
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, raw, {"Authorization": f"Bearer {access}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def token(network, **fields):
    """Ask for an access token."""
    kept = {key: value for key, value in network.credentials().items() if key != "location"}
    form = {**kept, "grant_type": "refresh_token", **fields}
    status, told = call(network, "POST", "/token", urlencode(form).encode())
    return status, told.get("access_token", told.get("error"))


def reviews(network, path=""):
    """Return the path of the location's reviews."""
    return f"/v4/{network.location}/reviews{path}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"client_id": "x"}, (401, "invalid_client")),
        ({"client_secret": "x"}, (401, "invalid_client")),
        ({"refresh_token": "x"}, (400, "invalid_grant")),
        ({"grant_type": "password"}, (400, "invalid_grant")),
    ],
)
def test_tokens_are_proved(network, fields, expected):
    """Only the app with its secret and a refresh token that counts gets access."""
    assert expected == token(network, **fields)


def test_access_is_for_an_hour_and_one_location(network):
    """Nobody else's reviews, and not for ever."""
    _, access = token(network)
    assert (200, {}) == call(network, "GET", reviews(network), access=access)
    other = "/v4/accounts/1/locations/2/reviews"
    assert 403 == call(network, "GET", other, access=access)[0]
    network.advance(timedelta(hours=1))
    status, told = call(network, "GET", reviews(network), access=access)
    assert (401, "UNAUTHENTICATED") == (status, told["error"]["status"])


def test_lists_have_an_order_and_pages(network):
    """Newest change first, fifty at most; what is no page or order is refused."""
    _, access = token(network)
    for name in ("Ola", "Ben", "Cid"):
        network.customer(name).write("Tea.", 3)
        network.advance(timedelta(seconds=1))
    network.customer("Ola").write("Cold tea.", 1)
    _, told = call(network, "GET", reviews(network, "?pageSize=2"), access=access)
    assert ["Ola", "Cid"] == [each["reviewer"]["displayName"] for each in told["reviews"]]
    rest = f"?pageSize=2&pageToken={told['nextPageToken']}"
    _, last = call(network, "GET", reviews(network, rest), access=access)
    assert (1, 3) == (len(last["reviews"]), last["totalReviewCount"])
    for wrong in ("?pageSize=51", "?orderBy=createTime", "?pageToken=x"):
        assert 400 == call(network, "GET", reviews(network, wrong), access=access)[0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no JSON", 400),
        ({"comment": "Sorry.", "updateTime": "now"}, 400),
        ({"comment": ""}, 400),
        ({"comment": "я" * 2049}, 400),
        ({"comment": "я" * 2048}, 200),
    ],
)
def test_a_reply_has_limits(network, body, status):
    """4,096 bytes, not letters; nothing but the comment can be written."""
    _, access = token(network)
    review = network.customer("Ola").write("Cold tea.", 1)
    path = reviews(network, f"/{review.id}/reply")
    assert status == call(network, "PUT", path, body, access=access)[0]
    assert [200].count(status) == len(network.posts)


def test_a_reply_replaces_whatever_is_there(network):
    """That is why it must be read before; it needs a review, a verified location and a quota."""
    _, access = token(network)
    review = network.customer("Ola").write("Cold tea.", 1, photo="https://photos.example/1")
    network.owner.reply(review, "Call me. Anna")
    network.moderates = True
    path = reviews(network, f"/{review.id}/reply")
    _, told = call(network, "PUT", path, {"comment": "Sorry."}, access=access)
    assert ("Sorry.", "PENDING") == (review.reply.text, told["reviewReplyState"])
    network.moderate(review, "REJECTED", "SPAM")
    shown = network.truth()["reviews"][0]
    assert "SPAM" == shown["reviewReply"]["policyViolation"]
    network.verified = False
    assert 403 == call(network, "PUT", path, {"comment": "Sorry."}, access=access)[0]
    network.customer("Ola").delete()
    assert 404 == call(network, "PUT", path, {"comment": "Sorry."}, access=access)[0]
    assert 404 == call(network, "GET", reviews(network, f"/{review.id}"), access=access)[0]
    network.quota = 1
    assert 429 == call(network, "GET", reviews(network), access=access)[0]


def test_commands_act_as_people_do(network):
    """A process of its own is told by JSON who writes what."""
    assert "TWO" == network.act({"as": "Ola", "text": "Cold.", "stars": 2})["starRating"]
    network.customer("Ola").delete()
    network.moderate(network.customer("Ben").write(), "APPROVED")
    with pytest.raises(ValueError, match="cannot act"):
        network.act({"as": "Ola"})
