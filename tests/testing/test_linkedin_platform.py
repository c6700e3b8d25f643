"""The local LinkedIn refuses what the documentation says that the real one refuses."""

import json
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

import pytest

from supportflow.testing import FakeClock
from supportflow.testing.platforms.linkedin import LinkedInPlatform

HEADERS = {"LinkedIn-Version": "202607", "X-Restli-Protocol-Version": "2.0.0"}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def network(clock):
    with LinkedInPlatform(clock=clock) as platform:
        yield platform


def call(network, method, path, body=None, **headers):
    """Ask the platform as a program does; return the status and the JSON."""
    connection = HTTPConnection(urlsplit(network.url).netloc, timeout=10)
    given = {"Authorization": f"Bearer {network.token}", **HEADERS, **headers}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    if raw is not None:
        given.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, raw, {k: v for k, v in given.items() if v})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def comments(target):
    """Return the path of the comments below something."""
    return f"/rest/socialActions/{quote(target, safe='')}/comments"


def said(network, first, **fields):
    """Return the body of a comment below another one."""
    made = {"actor": network.page.urn, "object": first.post, "message": {"text": "Sorry."}}
    return {**made, "parentComment": first.urn, **fields}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": "Bearer wrong"}, (401, "INVALID_ACCESS_TOKEN")),
        ({"LinkedIn-Version": ""}, (400, "VERSION_MISSING")),
        ({"LinkedIn-Version": "202301"}, (426, "NONEXISTENT_VERSION")),
        ({"X-Restli-Protocol-Version": ""}, (400, "ILLEGAL_ARGUMENT")),
    ],
)
def test_a_request_without_its_headers_is_refused(network, headers, expected):
    """Token, version and protocol are asked for in every call."""
    status, error = call(network, "GET", "/rest/posts", **headers)
    assert expected == (status, error["code"])


def test_a_name_must_be_encoded(network):
    """Rest.li 2.0 takes no bare colon or bracket in a path."""
    first = network.customer("ola").write("Late!")
    assert 400 == call(network, "GET", f"/rest/socialActions/{first.urn}/comments")[0]
    assert 200 == call(network, "GET", comments(first.urn))[0]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"content": [{"entity": {}}]}, 403),
        ({"actor": "urn:li:organization:1"}, 403),
        ({"message": {"text": ""}}, 400),
        ({"message": {"text": "x" * 1251}}, 400),
        ({"message": "text"}, 400),
        ({"object": "urn:li:activity:1"}, 404),
        ({"parentComment": "urn:li:comment:(urn:li:activity:1,2)"}, 404),
    ],
)
def test_a_wrong_comment_is_refused(network, fields, status):
    """Each rule of the Comments API by itself; nothing is posted."""
    first = network.customer("ola").write("Late!")
    assert status == call(network, "POST", comments(first.urn), said(network, first, **fields))[0]
    assert () == network.posts


def test_answers_nest_one_level(network):
    """Below an answer nothing goes; below a comment and the post it does."""
    first = network.customer("ola").write("Late!")
    second = network.customer("ola").write("Hello?", in_reply_to=first)
    nested = said(network, first, parentComment=second.urn)
    assert 400 == call(network, "POST", comments(second.urn), nested)[0]
    assert 201 == call(network, "POST", comments(first.urn), said(network, first))[0]
    top = {"actor": network.page.urn, "object": first.post, "message": {"text": "News."}}
    assert 201 == call(network, "POST", comments(first.post), top)[0]
    assert [first.urn, None] == [post.parent for post in network.posts]
    assert 400 == call(network, "POST", comments(first.urn), b"no JSON")[0]


def test_lists_have_pages(network):
    """A list says whether it goes on; deleted comments are gone with their answers."""
    first = network.customer("ola").write("Late!")
    answer = network.customer("ben").write("Mine too.", in_reply_to=first)
    network.customer("ben").write("Hello?")
    _, listed = call(network, "GET", f"{comments(first.post)}?start=0&count=1")
    assert (1, "next") == (len(listed["elements"]), listed["paging"]["links"][0]["rel"])
    assert 1 == listed["elements"][0]["commentsSummary"]["totalFirstLevelComments"]
    assert 400 == call(network, "GET", f"{comments(first.post)}?count=101")[0]
    network.customer("ola").delete(first)
    for target in (first.urn, answer.urn):
        assert 404 == call(network, "GET", comments(target))[0]
    assert 404 == call(network, "GET", f"{comments(first.post)}/{first.id}")[0]


def test_posts_are_listed_newest_first(network):
    """Only the organization's own; a member's post that mentions it is nobody's to list."""
    news = network.page.publish("News.")
    network.customer("ola").mention("@Shop, hello?")
    author = quote(network.page.urn, safe="")
    _, listed = call(network, "GET", f"/rest/posts?q=author&author={author}&count=1")
    assert [(news, "News.")] == [(each["id"], each["commentary"]) for each in listed["elements"]]


def test_scopes_limits_and_the_end_of_a_token(network, clock):
    """A token does what it was granted, for sixty days, as often as the tier allows."""
    first = network.customer("ola").write("Late!")
    network.scopes[:] = ["r_organization_social"]
    denied = call(network, "POST", comments(first.urn), said(network, first))
    assert (403, "ACCESS_DENIED") == (denied[0], denied[1]["code"])
    assert 400 == call(network, "GET", "/rest/posts?q=criteria")[0]
    network.daily_limit = 0
    assert 429 == call(network, "GET", "/rest/posts")[0]
    network.advance(timedelta(days=60))
    assert "EXPIRED_ACCESS_TOKEN" == call(network, "GET", "/rest/posts")[1]["code"]


def test_tokens_are_proved(network):
    """Only the app with its secret gets a new token, or is told of one."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"client_id={network.client_id}&client_secret=wrong&token={network.token}".encode()
    assert 401 == call(network, "POST", "/oauth/v2/introspectToken", body, **form)[0]
    assert 400 == call(network, "POST", "/oauth/v2/accessToken", body, **form)[0]
    assert 405 == call(network, "GET", "/oauth/v2/accessToken")[0]


def test_webhooks_wait_until_they_are_taken(network):
    """Ten a request, sent again while nobody takes them; commands act as people do."""
    for number in range(11):
        network.act({"as": "ola", "text": f"{number}"})
    assert 11 == network.deliver()
    sizes = []

    def receive(method, headers, query, body):
        sizes.append(len(json.loads(body)["notifications"]))
        return (200 if len(sizes) > 1 else 503), b""

    network.deliver_to(receive)
    assert 10 == network.deliver()
    assert 0 == network.deliver()
    assert [10, 1, 10] == sizes
    assert 11 == len(network.truth()["comments"])
    with pytest.raises(ValueError, match="cannot act"):
        network.act({"as": "ola"})
    assert timedelta(0) < network.token_ends - network.now()
