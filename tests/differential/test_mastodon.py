"""Mastodon.py reads what our local Mastodon serves, and sends what our channel sends."""

import json
from datetime import UTC, datetime

import pytest

from supportflow.channels.mastodon import Mastodon
from supportflow.flow import run
from supportflow.http import Request
from supportflow.model import (
    AgentKind,
    Author,
    ChannelState,
    Inbound,
    Outgoing,
    Visibility,
)
from supportflow.testing import drive
from supportflow.testing.platforms.mastodon import MastodonPlatform
from supportflow.transport import Transport

library = pytest.importorskip("mastodon", reason="Mastodon.py is not installed: run `make e2e`")
pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own


@pytest.fixture
def platform():
    """Return a local Mastodon."""
    with MastodonPlatform() as platform:
        yield platform


@pytest.fixture
def theirs(platform):
    """Return the library, logged in as the shop."""
    return library.Mastodon(
        access_token=platform.shop.token,
        api_base_url=platform.url,
        version_check_mode="none",
        mastodon_version="4.4.0",
        ratelimit_method="throw",
    )


@pytest.fixture
def ours(platform):
    """Return a function that runs a flow of our channel, and the channel."""
    transport = Transport()
    yield Mastodon(platform.url, token=platform.shop.token), lambda flow: run(flow, transport.send)
    transport.close()


def test_both_read_the_same_mentions(platform, theirs, ours):
    """Ids, authors, times, visibility and language agree; ours are plain text."""
    ola = platform.customer("ola")
    ola.post("@shop My <parcel> is\nlate!", language="en")
    ola.post("@shop In private, please.", visibility="direct")
    channel, perform = ours
    read = [f.message for f in perform(channel.poll(None)).facts if isinstance(f, Inbound)]
    told = theirs.notifications(types=["mention"])[::-1]
    assert [str(each["status"]["id"]) for each in told] == [message.id for message in read]
    for message, each in zip(read, told, strict=True):
        status = each["status"]
        public = status["visibility"] in ("public", "unlisted")
        assert (str(status["account"]["id"]), status["account"]["acct"]) == (
            message.author.id,
            message.author.handle,
        )
        assert status["created_at"].astimezone(UTC) == message.at
        assert status["url"] == message.permalink
        assert public is (message.visibility is Visibility.public)
        assert (status["language"] or None) == message.language


def test_both_send_the_same(platform, theirs, ours, monkeypatch):
    """One status, with the same fields and key; ours is JSON, theirs may be a form."""
    ola = platform.customer("ola")
    post = ola.post("@shop Where is it?", language="en")
    sent = {}

    def kept(method, url, **given):
        sent.update(given.get("data") or given.get("json") or {})
        sent["headers"] = dict(given.get("headers") or {})
        return real(method, url, **given)

    real = theirs.session.request
    monkeypatch.setattr(theirs.session, "request", kept)
    theirs.status_post(
        "@ola Soon.",
        in_reply_to_id=post.id,
        visibility="public",
        language="en",
        idempotency_key="mark",
    )
    channel, _ = ours
    known = ChannelState("mastodon", learned={"account": platform.shop.id, "app": "desk"})
    message = Outgoing(
        "row",
        "mark",
        "Soon.",
        Author(ola.id, "Ola", "ola"),
        post.id,
        ("status", post.id),
        Visibility.public,
        AgentKind.person,
        datetime.now(UTC),
        language="en",
    )
    answers = [platform_answer(platform, post.id), platform_answer(platform, post.id)]
    request = drive(channel.using(known).send(message), answers).requests[-1]
    body = json.loads(request.body)
    fields = ("status", "in_reply_to_id", "visibility", "language")
    assert {name: str(sent[name]) for name in fields} == {n: str(body[n]) for n in fields}
    assert sent["headers"]["Idempotency-Key"] == request.headers.get("Idempotency-Key")


def platform_answer(platform, name):
    """Return what the platform says of a post."""
    transport = Transport()
    headers = {"Authorization": f"Bearer {platform.shop.token}"}
    found = transport.send(Request("GET", f"{platform.url}/api/v1/statuses/{name}", headers))
    transport.close()
    return found


def test_both_find_what_people_say(platform, theirs, ours):
    """The same posts are found by both searches."""
    platform.customer("ola").post("My kettle leaks")
    platform.customer("ben").post("This kettle sings")
    channel, perform = ours
    found = {fact.message.id for fact in perform(channel.search("kettle", None)).facts}
    told = theirs.search_v2("kettle", result_type="statuses")["statuses"]
    assert {str(status["id"]) for status in told} == found
