"""The local X refuses what X refuses, and knows what it accepted."""

import base64
import hmac
import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from supportflow.http import Request
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.meta_hooks import UnansweredError
from supportflow.testing.platforms.x import NOT_ENGAGED, XPlatform
from supportflow.testing.platforms.x_network import weight
from supportflow.transport import Transport


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def platform(clock):
    """Return X on this machine."""
    with XPlatform(clock=clock) as made:
        yield made


@pytest.fixture
def ask(platform):
    """Return a function that makes a request with the account's token."""
    transport = Transport(sleep=lambda _: None)

    def asked(method, path, content=None, token=None, **query):
        given = platform.token if token is None else token
        url = f"{platform.url}/2/{path}{'?' if query else ''}{urlencode(query)}"
        body = b"" if content is None else json.dumps(content).encode()
        response = transport.send(Request(method, url, {"Authorization": f"Bearer {given}"}, body))
        return response.status, response.json(), response

    yield asked
    transport.close()


def answering(post, text="Hello") -> dict:
    """Return the body that answers a post."""
    return {"text": text, "reply": {"in_reply_to_tweet_id": post.id}}


def test_only_the_accounts_own_token_is_accepted(platform, ask):
    """Another token is 401; the app's own may not act for the account."""
    assert 401 == ask("GET", "users/me", token="another")[0]
    status, body, _ = ask("GET", "users/me", token=platform.app_token)
    assert (403, "Unsupported Authentication") == (status, body["title"])
    platform.token = None
    assert 401 == ask("GET", "users/me", token="None")[0]


def test_without_credits_nothing_is_answered(platform, ask):
    """X asks for money first."""
    platform.credits = False
    status, body, _ = ask("GET", "users/me")
    assert (402, "CreditsDepleted") == (status, body["title"])


def test_only_who_summoned_the_account_is_answered(platform, ask):
    """A mention, a reply and a quote summon; the account may go on beneath its own posts."""
    ola = platform.customer("ola")
    news = platform.shop.post("We moved.")
    for number, post in enumerate(
        (ola.post("@shop Hi"), ola.post("Oh", answers=news), ola.post("See", quotes=news), news)
    ):
        assert 201 == ask("POST", "tweets", answering(post, f"Hello {number}"))[0]
    status, body, _ = ask("POST", "tweets", answering(ola.post("Nobody in particular")))
    assert (403, NOT_ENGAGED) == (status, body["detail"])


def test_the_same_words_twice_and_too_many_are_refused(platform, ask):
    """Beneath the same post; and 280 in X's weighing."""
    asked = platform.customer("ola").post("@shop Hi")
    assert 201 == ask("POST", "tweets", answering(asked))[0]
    status, body, _ = ask("POST", "tweets", answering(asked))
    assert (403, True) == (status, "duplicate" in body["detail"])
    assert 201 == ask("POST", "tweets", {"text": "あ" * 140})[0]
    status, body, _ = ask("POST", "tweets", {"text": "あ" * 141})
    assert (400, True) == (status, "too long" in body["errors"][0]["message"])
    assert 280 == weight("a" * 256 + " https://example.com/" + "b" * 99)


@pytest.mark.parametrize(
    "content",
    [None, [], {}, {"text": " "}, {"text": "a", "surprise": 1}, {"text": "a", "reply": {}}],
)
def test_a_post_that_makes_no_sense_is_refused(ask, content):
    """Unknown fields are refused as the schema says, not passed over."""
    assert 400 == ask("POST", "tweets", content)[0]


def test_a_deleted_post_cannot_be_answered(platform, ask):
    """X says that it is deleted or not visible."""
    ola = platform.customer("ola")
    asked = ola.post("@shop Hi")
    ola.delete(asked)
    status, body, _ = ask("POST", "tweets", answering(asked))
    assert (403, True) == (status, "deleted" in body["detail"])


def test_messages_go_to_who_takes_them(platform, ask):
    """Who does not, must write first."""
    ala = platform.customer("ala", takes_messages=False)
    path = f"dm_conversations/with/{ala.id}/messages"
    assert 403 == ask("POST", path, {"text": "Hello"})[0]
    assert 400 == ask("POST", path, {"text": ""})[0]
    ala.write("Hello")
    assert 201 == ask("POST", path, {"text": "Hello"})[0]
    assert [("Hello", ala.user)] == [(m.text, m.recipient) for m in platform.messages]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("users/2244994945/mentions", {"max_results": "4"}),
        ("users/2244994945/mentions", {"since_id": "yesterday"}),
        ("users/2244994945/tweets", {"start_time": "2026-03-02"}),
        ("users/2244994945/tweets", {"pagination_token": "gone"}),
        ("tweets/search/recent", {"query": "kettle"}),
        ("tweets/search/recent", {"query": "(kettle) -is:retweet -from:1", "max_results": "9"}),
        ("dm_events", {"max_results": "101"}),
    ],
)
def test_a_read_that_makes_no_sense_is_refused(ask, path, query):
    """Sizes, times, tokens and queries are checked as X checks them."""
    assert 400 == ask("GET", path, **query)[0]


def test_what_is_not_there_is_not_there(ask):
    """Only the account's own lists are served, and nothing that is none of the API."""
    assert [404, 404, 405] == [
        ask("GET", "users/5/mentions")[0],
        ask("GET", "lists")[0],
        ask("POST", "users/me", {})[0],
    ]


def test_a_window_is_used_up_and_begins_again(platform, ask, clock):
    """The headers say how many are left and when; then it is 429 until that time."""
    platform.limits = {**platform.limits, "dm_events": 2}
    _, _, first = ask("GET", "dm_events")
    ask("GET", "dm_events")
    status, _, last = ask("GET", "dm_events")
    assert ("1", "0") == tuple(r.headers.get("x-rate-limit-remaining") for r in (first, last))
    assert (429, str(int((clock() + timedelta(minutes=15)).timestamp()))) == (
        status,
        last.headers.get("x-rate-limit-reset"),
    )
    assert 200 == ask("GET", "users/me")[0]
    clock.advance(minutes=15)
    assert 200 == ask("GET", "dm_events")[0]


def test_pages_go_backwards(platform, ask):
    """Newest first, from one page to the next; nothing is an answer without data."""
    assert {"meta": {"result_count": 0}} == ask("GET", "users/2244994945/mentions")[1]
    posts = [platform.customer("ola").post(f"@shop {n}") for n in range(7)]
    page = ask("GET", "users/2244994945/mentions", max_results=5)[1]
    more = page["meta"]["next_token"]
    rest = ask("GET", "users/2244994945/mentions", max_results=5, pagination_token=more)[1]
    assert [p.id for p in reversed(posts)] == [p["id"] for p in (*page["data"], *rest["data"])]


def test_a_post_can_be_edited_for_an_hour_by_its_author(platform, ask, clock):
    """Each version has an id; the mention of it is the newest."""
    ola = platform.customer("ola")
    made = ola.edit(ola.post("@shop Hi"), "@shop Hello")
    (shown,) = ask("GET", "users/2244994945/mentions")[1]["data"]
    assert (made.ids, "@shop Hello") == (shown["edit_history_tweet_ids"], shown["text"])
    with pytest.raises(ValueError, match="its author"):
        platform.customer("ala").edit(made, "Mine")
    clock.advance(minutes=61)
    with pytest.raises(ValueError, match="an hour"):
        ola.edit(made, "Too late")


def test_a_refresh_token_is_good_once(platform, ask):
    """The new one counts from then on; without the app's proof there is none."""
    transport = Transport(sleep=lambda _: None)

    def refresh(token, client):
        proof = base64.b64encode(client.encode()).decode()
        headers = {"Authorization": f"Basic {proof}"}
        form = urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
        url = f"{platform.url}/2/oauth2/token"
        return transport.send(Request("POST", url, headers, form)).status

    client = ":".join(platform.client)
    wanted = [401, 200, 400, 200]
    given = [
        ("refresh-0", "else:where"),
        ("refresh-0", client),
        ("refresh-0", client),
        ("refresh-1", client),
    ]
    assert wanted == [refresh(*each) for each in given]
    transport.close()


def test_a_webhook_must_prove_itself(platform):
    """Before, nothing is delivered; and a receiver may be away."""
    wrong = (200, b"{}"), (200, b"?"), (500, b""), 200
    assert [False] * 4 == [platform.register(lambda *_, each=each: each) for each in wrong]
    platform.customer("ola").post("@shop Hi")
    assert [] == platform.deliveries


def test_what_a_process_of_its_own_is_told(platform):
    """Commands do what people do, and the truth is what was posted."""
    assert platform.act({"customer": "ola", "do": "post", "text": "@shop Hi"})
    assert platform.act({"customer": "ola", "do": "write", "text": "Hi"})
    assert {"posts": [], "messages": []} == platform.truth()
    assert {"user_id", "token", "consumer_secret"} <= platform.credentials().keys()
    with pytest.raises(ValueError, match="cannot act"):
        platform.act({"dance": 1})


def test_webhooks_tell_what_concerns_the_account(platform):
    """Its own deletions and, in the older form, likes; nothing that is between others."""
    taken = []

    def receive(method, headers, query, body):
        if method == "POST":
            taken.append(json.loads(body))
            raise UnansweredError
        digest = hmac.digest(
            platform.consumer_secret.encode(), query["crc_token"].encode(), "sha256"
        )
        token = f"sha256={base64.b64encode(digest).decode()}"
        return 200, json.dumps({"response_token": token}).encode()

    assert platform.register(receive)
    platform.hooks = "account_activity"
    ola, ala, mine = platform.customer("ola"), platform.customer("ala"), platform.shop.post("News")
    ola.like(mine)
    ola.delete(ola.post("Nothing"))
    ola.write("Hi", to=ala.user)
    platform.shop.delete(mine)
    platform.hooks = "activity"
    ola.like(mine)
    platform.shop.delete(mine)
    kinds = [next(iter(each.keys() - {"for_user_id"})) for each in taken]
    assert ["tweet_create_events", "favorite_events", "tweet_delete_events", "data"] == kinds
    assert [[None]] * 4 == [delivery.statuses for delivery in platform.deliveries]
