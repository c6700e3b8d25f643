"""tweepy reads what our double of X serves, and builds the requests that our channel makes.

Install `tweepy` to run these.
"""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from supportflow.channels.x import X
from supportflow.model import AgentKind, Author, Outgoing, Visibility
from supportflow.testing.channel_cases import drive
from supportflow.testing.platforms.x import XPlatform

tweepy = pytest.importorskip("tweepy", reason="tweepy is not installed")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def platform():
    """Return X on this machine."""
    with XPlatform(clock=lambda: NOON) as made:
        yield made


@pytest.fixture
def sent():
    """Return what tweepy sent: method, path, query and body."""
    return []


@pytest.fixture
def client(platform, sent):
    """Return tweepy's client, which asks our double instead of X."""
    made = tweepy.Client(bearer_token=platform.token)
    ask = made.session.request

    def request(method, url, params=None, json=None, **rest):
        path = urlsplit(url).path
        query = {name: str(value) for name, value in (params or {}).items()}
        sent.append((method, path, query, json))
        return ask(method, platform.url + path, params=params, json=json, **rest)

    made.session.request = request
    return made


def channel_for(platform: XPlatform) -> X:
    """Return our channel for the same account."""
    return X(platform.account.id, token=platform.token, base_url=platform.url)


def test_tweepy_reads_mentions(platform, client):
    """The same posts, with their authors, versions and what they answer."""
    news = platform.shop.post("We moved.")
    ola = platform.customer("ola")
    asked = ola.edit(ola.post("@shop Where?", answers=news), "@shop Where to?")
    fields = ["author_id", "edit_history_tweet_ids", "referenced_tweets", "entities"]
    read = client.get_users_mentions(
        platform.account.id, tweet_fields=fields, expansions=["author_id"]
    )
    (post,) = read.data
    assert (asked.id, ola.id, "@shop Where to?") == (str(post.id), str(post.author_id), post.text)
    assert asked.ids == [*map(str, post.edit_history_tweet_ids)]
    assert news.id == str(post.referenced_tweets[0].id)
    assert ["ola"] == [user.username for user in read.includes["users"]]


def test_tweepy_reads_direct_messages_and_refusals(platform, client):
    """The same messages; and 403 with its reason is what it takes for one."""
    made = platform.customer("ola").write("Hello & welcome")
    fields = ["created_at", "sender_id", "dm_conversation_id"]
    (event,) = client.get_direct_message_events(dm_event_fields=fields, user_auth=False).data
    assert (made.id, made.sender.id) == (str(event.id), str(event.sender_id))
    alone = platform.customer("ala").post("Nobody is mentioned here")
    with pytest.raises(tweepy.Forbidden, match="not been mentioned"):
        client.create_tweet(text="Hi", in_reply_to_tweet_id=alone.id, user_auth=False)


@pytest.mark.parametrize("private", [False, True])
def test_both_send_the_same(platform, client, sent, private):
    """A reply and a direct message, as tweepy makes them, field by field."""
    asked = platform.customer("ola").post("@shop Where?")
    if private:
        client.create_direct_message(participant_id=asked.author.id, text="Here.", user_auth=False)
    else:
        client.create_tweet(text="Here.", in_reply_to_tweet_id=asked.id, user_auth=False)
    message = Outgoing(
        "1",
        "m",
        "Here.",
        Author(asked.author.id),
        "t",
        ("post", asked.id),
        Visibility.private if private else Visibility.public,
        AgentKind.person,
        NOON,
    )
    request = next(channel_for(platform).send(message))
    ours = request.method, urlsplit(request.url).path, json.loads(request.body)
    method, path, query, body = sent[-1]
    assert (method, path, body) == ours
    assert {} == query


def test_both_ask_for_the_same_parameters(platform, client, sent):
    """Every parameter of a poll is one that tweepy knows for that endpoint."""
    client.get_users_mentions(
        platform.account.id,
        max_results=100,
        since_id="5",
        pagination_token="page0",
        expansions=["author_id"],
        tweet_fields=["lang"],
        user_fields=["name"],
        media_fields=["url"],
    )
    place = json.dumps({"mentions": {"since": "5", "token": "page0"}})
    request = drive(channel_for(platform).poll(place), [RuntimeError()]).requests[0]
    ours = dict(parse_qsl(urlsplit(request.url).query))
    assert sent[-1][2].keys() == ours.keys()
    assert sent[-1][1] == urlsplit(request.url).path
