"""LinkedIn's own client reads what our double serves, and builds the same requests as our channel.

Install `linkedin-api-client` to run these. It writes the header of the protocol's version as
`X-RestLi-Protocol_Version`, against the documentation; our double wants it as
documented, so that the tests add it.
"""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from supportflow.channels.linkedin import LinkedIn
from supportflow.http import Response
from supportflow.model import AgentKind, Author, Outgoing, Visibility
from supportflow.testing import FakeClock, drive
from supportflow.testing.platforms.linkedin import LinkedInPlatform

pytest.importorskip("linkedin_api", reason="LinkedIn's client is not installed")
from linkedin_api.clients.restli.client import RestliClient
from requests.adapters import HTTPAdapter

COMMENTS = "/socialActions/{target}/comments"
VERSION = {"version_string": "202607"}


class Here(HTTPAdapter):
    """Send what is meant for LinkedIn to the local platform, and keep it."""

    def __init__(self, url):
        super().__init__()
        self.url, self.sent = url, []

    def send(self, request, **options):
        self.sent.append(request)
        request.headers["X-Restli-Protocol-Version"] = "2.0.0"
        request.url = request.url.replace("https://api.linkedin.com", self.url)
        return super().send(request, **options)


@pytest.fixture
def network():
    with LinkedInPlatform(clock=FakeClock()) as platform:
        yield platform


@pytest.fixture
def theirs(network):
    """Return LinkedIn's client, on the local platform."""
    client = RestliClient()
    client.session.mount("https://", Here(network.url))
    yield client
    client.session.close()


def ours(network):
    """Return our channel, as it would speak to LinkedIn."""
    keys = network.credentials()
    return LinkedIn(
        keys["organization"],
        token=keys["token"],
        client_secret=keys["client_secret"],
        posts=[*network.published][:1],
    )


def parts(url):
    """Return what must be the same in two addresses."""
    split = urlsplit(url)
    return split.path, sorted(parse_qsl(split.query))


def test_a_list_is_asked_for_in_the_same_words(network, theirs):
    """The name of a post is encoded alike, and the comments are read as they were written."""
    network.customer("ola").write("Late!")
    (post,) = ours(network).posts
    listed = theirs.get_all(
        resource_path=COMMENTS,
        path_keys={"target": post},
        query_params={"start": 0, "count": 100},
        access_token=network.token,
        **VERSION,
    )
    assert ["Late!"] == [each["message"]["text"] for each in listed.elements]
    assert (0, 100) == (listed.paging.start, listed.paging.count)
    (sent,) = theirs.session.get_adapter("https://").sent
    asked = next(ours(network).poll(None))
    assert parts(asked.url) == parts(sent.url)
    for name in ("Authorization", "LinkedIn-Version"):
        assert asked.headers.get(name) == sent.headers[name]


def test_a_comment_is_made_in_the_same_words(network, theirs):
    """The composite name of a comment is encoded alike; the answer has the id in its header."""
    first = network.customer("ola").write("Late!")
    shown = Response(200, body=json.dumps(network._shown(first)).encode(), at=network.now())
    message = Outgoing(
        "row-1",
        "mark-1",
        "We are sorry.",
        Author(first.actor),
        first.post,
        ("comment", first.urn),
        Visibility.public,
        AgentKind.person,
        network.now(),
    )
    read, posted = drive(ours(network).send(message), [shown, Response(400)]).requests
    body = json.loads(posted.body)
    made = theirs.create(
        resource_path=COMMENTS,
        path_keys={"target": first.urn},
        entity=body,
        access_token=network.token,
        **VERSION,
    )
    assert (201, network.posts[0].id) == (made.status_code, made.entity_id)
    (sent,) = theirs.session.get_adapter("https://").sent
    assert (parts(posted.url), body) == (parts(sent.url), json.loads(sent.body))
    found = theirs.get(
        resource_path=f"{COMMENTS}/{{id}}",
        path_keys={"target": first.post, "id": first.id},
        access_token=network.token,
        **VERSION,
    )
    assert first.urn == found.entity["commentUrn"]
    assert parts(read.url) == parts(theirs.session.get_adapter("https://").sent[1].url)


def test_posts_are_found_in_the_same_words(network, theirs):
    """The finder `author`, with the organization's name encoded alike."""
    listed = theirs.finder(
        resource_path="/posts",
        finder_name="author",
        query_params={"author": network.page.urn, "count": 10, "sortBy": "LAST_MODIFIED"},
        access_token=network.token,
        **VERSION,
    )
    assert [*network.published] == [each["id"] for each in listed.elements]
    keys = network.credentials()
    channel = LinkedIn(
        keys["organization"], token=keys["token"], client_secret=keys["client_secret"]
    )
    (sent,) = theirs.session.get_adapter("https://").sent
    assert parts(next(channel.poll(None)).url) == parts(sent.url)
