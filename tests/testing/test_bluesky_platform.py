"""The local Bluesky refuses what the real one refuses, tells whom it tells, and knows the truth.

Its answers to the channel are judged by the published lexicons in tests/channels/test_bluesky.py,
and side by side with a real server in tests/e2e/test_bluesky.py.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.bluesky import BlueskyPlatform

POST = "app.bsky.feed.post"
KEY = "3jzfcijpj2z2a"
AT = "2026-01-01T00:00:00Z"
PUT, CREATE = "com.atproto.repo.putRecord", "com.atproto.repo.createRecord"
CHAT = {"atproto-proxy": "did:web:api.bsky.chat#bsky_chat"}
Ask = Callable[..., httpx.Response]


@pytest.fixture
def platform():
    """Return a platform."""
    with BlueskyPlatform(clock=FakeClock(), control=True) as platform:
        yield platform


@pytest.fixture
def anybody(platform: BlueskyPlatform):
    """Return a way to ask as anybody."""
    with httpx.Client(base_url=platform.url, trust_env=False, verify=False) as client:

        def ask(method: str, body: Any = None, token: str = "", **query: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            headers |= CHAT if query.pop("chat", False) else {}
            path = f"/xrpc/{method}"
            if body is None:
                return client.get(path, params=query, headers=headers)
            if isinstance(body, bytes):
                return client.post(path, content=body, headers=headers)
            return client.post(path, json=body, headers=headers)

        yield ask


@pytest.fixture
def session(platform: BlueskyPlatform, anybody: Ask):
    """Return a session of the shop's."""
    return anybody("com.atproto.server.createSession", dict(platform.credentials())).json()


@pytest.fixture
def ask(anybody: Ask, session: dict):
    """Return a way to ask as the shop."""
    return lambda method, body=None, **query: anybody(method, body, session["accessJwt"], **query)


def record(**fields: Any) -> dict[str, Any]:
    """Return a post."""
    return {"$type": POST, "text": "Hello", "createdAt": AT, **fields}


def put(session: dict, value: object, rkey: str = KEY, **more: Any) -> dict[str, Any]:
    """Return what writes a post under a key."""
    return {"repo": session["did"], "collection": POST, "rkey": rkey, "record": value, **more}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return a refusal's status and name."""
    return answer.status_code, answer.json()["error"]


# -- sessions


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (
            {"identifier": "shop.social.example", "password": "guess"},
            (401, "AuthenticationRequired"),
        ),
        ({"identifier": "nobody", "password": "guess"}, (401, "AuthenticationRequired")),
        ({"identifier": "shop.social.example"}, (400, "InvalidRequest")),
        ({"identifier": "shop.social.example", "password": 7}, (400, "InvalidRequest")),
        (b"{", (400, "InvalidRequest")),
        (b"", (400, "InvalidRequest")),
    ],
)
def test_a_session_needs_the_password(anybody, body, wanted):
    """Without the right name and password there is no session."""
    assert wanted == refusal(anybody("com.atproto.server.createSession", body))


def test_tokens_end(platform, anybody, session):
    """Access ends after two hours; a refresh token is good once, and for two hours more."""
    told = "app.bsky.notification.listNotifications"
    access, refresh = session["accessJwt"], session["refreshJwt"]
    assert (401, "AuthMissing") == refusal(anybody(told))
    assert (400, "InvalidToken") == refusal(anybody(told, token="a.b.c"))
    assert (400, "InvalidToken") == refusal(anybody(told, token=refresh))
    renews = "com.atproto.server.refreshSession"
    assert (400, "InvalidToken") == refusal(anybody(renews, b"", access))
    platform.advance(timedelta(hours=2))
    assert (400, "ExpiredToken") == refusal(anybody(told, token=access))
    newer = anybody(renews, b"", refresh).json()
    assert 200 == anybody(told, token=newer["accessJwt"]).status_code
    platform.advance(timedelta(hours=1))
    assert 200 == anybody(renews, b"", refresh).status_code
    platform.advance(timedelta(hours=2))
    assert (400, "ExpiredToken") == refusal(anybody(renews, b"", refresh))
    newest = anybody(renews, b"", newer["refreshJwt"]).json()
    platform.sessions.revoke(newest["accessJwt"])
    assert (400, "ExpiredToken") == refusal(anybody(told, token=newest["accessJwt"]))


def test_too_much_is_too_much(platform, anybody, session):
    """Sessions and writes have limits; the headers say when they end, in seconds since 1970."""
    given = dict(platform.credentials())
    answers = [anybody("com.atproto.server.createSession", given) for _ in range(30)]
    last = answers[-1]
    assert (429, "RateLimitExceeded") == refusal(last)
    reset = int((platform.now() + timedelta(minutes=5)).timestamp())
    assert ("30", "0", str(reset), "30;w=300") == tuple(
        last.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset", "Policy")
    )
    assert "Retry-After" not in last.headers
    platform.advance(timedelta(minutes=5))
    assert 200 == anybody("com.atproto.server.createSession", given).status_code


def test_writes_are_counted():
    """A write costs points; an account that has none left waits for the next hour."""
    with (
        BlueskyPlatform(points=4) as platform,
        httpx.Client(base_url=platform.url, trust_env=False, verify=False) as client,
    ):
        made = client.post(
            "/xrpc/com.atproto.server.createSession", json=dict(platform.credentials())
        )
        session = made.json()
        headers = {"Authorization": f"Bearer {session['accessJwt']}"}
        statuses = [
            client.post(f"/xrpc/{PUT}", json=put(session, record()), headers=headers).status_code
            for _ in range(3)
        ]
    assert [200, 200, 429] == statuses


# -- records


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("text", "Expected object"),
        ({"createdAt": AT}, 'Missing required key "text"'),
        ({"text": "a"}, 'Missing required key "createdAt"'),
        (record(text=7), "Expected string"),
        (record(text="a" * 301), "grapheme too big (maximum 300, got 301)"),
        (record(text="👨‍👩‍👧‍👦" * 130), "string too big (maximum 3000, got 3250)"),
        (record(createdAt="yesterday"), "Invalid datetime"),
        (record(langs="en"), "Expected array"),
        (record(langs=["a!"]), "Invalid language"),
        (record(langs=["en"] * 4), "array too big (maximum 3, got 4)"),
        (record(facets=[7]), "Expected object"),
        (record(facets=[{"index": {"byteStart": 0}, "features": []}]), "Expected integer"),
        (record(reply={"root": {"uri": "x"}}), "Invalid at-uri"),
        (
            record(reply={"root": {"uri": f"at://did:plc:a/{POST}/{KEY}", "cid": "x"}}),
            "Invalid CID",
        ),
        (record(embed={"external": {}}), 'Missing required key "$type"'),
        (record(embed={"$type": "app.bsky.embed.external", "external": {}}), 'key "uri"'),
    ],
)
def test_records_are_judged(ask, session, value, says):
    """What the lexicon does not allow is refused in the real server's words."""
    answer = ask(PUT, put(session, value))
    assert (400, "InvalidRequest") == refusal(answer)
    assert says in answer.json()["message"]


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ({"$type": "app.bsky.richtext.facet#mention", "did": "ola"}, "Invalid DID"),
        ({"$type": "app.bsky.richtext.facet#link", "uri": "here"}, "Invalid URI"),
        ({"$type": "app.bsky.richtext.facet#tag", "tag": "a" * 65}, "grapheme too big"),
        ({"did": "did:plc:a"}, 'Missing required key "$type"'),
    ],
)
def test_marks_are_judged(ask, session, feature, says):
    """A mark within a text names a DID, an address or a short tag; marks of others may be there."""
    index = {"byteStart": 0, "byteEnd": 5}
    answer = ask(PUT, put(session, record(facets=[{"index": index, "features": [feature]}])))
    assert says in answer.json()["message"]
    other = [{"index": index, "features": [{"$type": "example.other#mark"}]}]
    assert 200 == ask(PUT, put(session, record(facets=other))).status_code


def test_a_key_is_a_time_and_holds_one_record(platform, ask, session):
    """Written twice it is one; `swapRecord` guards it; a second create is an error of the server's."""
    assert "Invalid TID" in ask(PUT, put(session, record(), "not-a-tid")).json()["message"]
    first = ask(PUT, put(session, record(), swapRecord=None)).json()
    assert "commit" in first
    again = ask(PUT, put(session, record(), swapRecord=None)).json()
    assert ("commit" in again, first["uri"]) == (False, again["uri"])
    other = record(text="Other")
    assert (400, "InvalidSwap") == refusal(ask(PUT, put(session, other, swapRecord=None)))
    assert (500, "InternalServerError") == refusal(ask(CREATE, put(session, other)))
    assert 200 == ask(PUT, put(session, other, swapRecord=first["cid"])).status_code
    assert ["Other"] == [post.text for post in platform.posts]
    assert (
        200
        == ask(CREATE, {"repo": session["did"], "collection": POST, "record": other}).status_code
    )


def test_nobody_writes_for_another(platform, ask, session):
    """A token writes into its own account only."""
    ola = platform.customer("ola")
    body = {**put(session, record()), "repo": ola.id}
    assert (401, "AuthenticationRequired") == refusal(ask(PUT, body))
    assert (400, "InvalidRequest") == refusal(ask(PUT, {**body, "repo": "did:plc:nobody"}))


def test_records_are_read(platform, ask, anybody, session):
    """Anybody reads a record or a list, the newest first; what is not there is said by its name."""
    keys = [platform.shop.post(f"{number}").rkey for number in range(3)]
    query = {"repo": session["did"], "collection": POST}
    listed = anybody("com.atproto.repo.listRecords", **query, limit=2).json()
    assert [keys[2], keys[1]] == [each["uri"].rpartition("/")[2] for each in listed["records"]]
    rest = anybody("com.atproto.repo.listRecords", **query, cursor=listed["cursor"]).json()
    assert (1, keys[0]) == (len(rest["records"]), rest["cursor"])
    assert (
        "cursor"
        not in anybody(
            "com.atproto.repo.listRecords", repo=session["did"], collection="x.y.z"
        ).json()
    )
    missing = anybody("com.atproto.repo.getRecord", **query, rkey=KEY)
    assert (400, "RecordNotFound") == refusal(missing)
    assert (400, "InvalidRequest") == refusal(anybody("com.atproto.repo.getRecord", **query))
    assert (400, "InvalidRequest") == refusal(
        anybody("com.atproto.repo.listRecords", **{**query, "repo": "x"})
    )


# -- what the AppView shows


def test_people_are_told_once_and_in_order(platform, ask):
    """Who is mentioned, quoted or answered is told, once a post; nobody of what is deleted."""
    ola, ben = platform.customer("ola"), platform.customer("ben")
    news = platform.shop.post("We moved.")
    asked = ola.post("@shop.social.example Where to?", in_reply_to=news)
    platform.advance(timedelta(seconds=1))
    ben.post("Me too", in_reply_to=asked)
    platform.advance(timedelta(seconds=1))
    ben.post("Look", quote=news)
    ben.like(news)
    ben.repost(news)
    ben.follow(platform.shop.id)
    gone = ola.post("@shop.social.example never mind")
    ola.delete(gone)
    told = ask("app.bsky.notification.listNotifications").json()["notifications"]
    assert ["quote", "like", "repost", "follow", "reply", "mention"] == [n["reason"] for n in told]
    some = ask("app.bsky.notification.listNotifications", limit=4, reasons="like").json()
    assert (["like"], told[3]["indexedAt"]) == (
        [each["reason"] for each in some["notifications"]],
        some["cursor"],
    )
    older = ask("app.bsky.notification.listNotifications", cursor=some["cursor"]).json()
    assert ["reply", "mention"] == [each["reason"] for each in older["notifications"]]
    with pytest.raises(ValueError, match="is not ben"):
        ben.delete(asked)


@pytest.mark.parametrize(
    ("method", "query", "wanted"),
    [
        ("app.bsky.notification.listNotifications", {"limit": 101}, (400, "InvalidRequest")),
        ("app.bsky.notification.listNotifications", {"limit": "x"}, (400, "InvalidRequest")),
        ("app.bsky.notification.listNotifications", {"priority": "yes"}, (400, "InvalidRequest")),
        ("app.bsky.feed.getPosts", {}, (400, "InvalidRequest")),
        ("app.bsky.feed.getPosts", {"uris": "x"}, (400, "InvalidRequest")),
        ("app.bsky.feed.getPosts", {"uris": ["x"] * 26}, (400, "InvalidRequest")),
        ("app.bsky.feed.searchPosts", {}, (400, "InvalidRequest")),
        ("com.atproto.identity.resolveHandle", {"handle": "ola"}, (400, "InvalidRequest")),
        ("com.atproto.identity.resolveHandle", {"handle": "ola.example"}, (400, "InvalidRequest")),
        ("app.bsky.actor.getProfile", {"actor": "nobody"}, (400, "InvalidRequest")),
        ("app.bsky.nothing.here", {}, (501, "MethodNotImplemented")),
        (PUT, {}, (400, "InvalidRequest")),
        ("chat.bsky.convo.getLog", {}, (404, "XRPCNotSupported")),
        ("chat.bsky.convo.getConvo", {"convoId": "x", "chat": True}, (400, "InvalidConvo")),
        (
            "chat.bsky.convo.getConvoForMembers",
            {"members": "did:plc:x", "chat": True},
            (400, "RecipientNotFound"),
        ),
    ],
)
def test_questions_are_judged(ask, method, query, wanted):
    """Parameters that the lexicon does not allow, and methods that nobody has, are refused."""
    assert wanted == refusal(ask(method, **query))


def test_people_and_posts_are_found(platform, ask):
    """A profile, and a search page by page, the newest first."""
    ola = platform.customer("ola")
    for number in range(3):
        ola.post(f"Tea {number}")
        platform.advance(timedelta(seconds=1))
    assert (
        "Ola" == ask("app.bsky.actor.getProfile", actor="ola.social.example").json()["displayName"]
    )
    first = ask("app.bsky.feed.searchPosts", q="tea", limit=2).json()
    rest = ask("app.bsky.feed.searchPosts", q="tea", cursor=first["cursor"]).json()
    words = [post["record"]["text"] for post in (*first["posts"], *rest["posts"])]
    assert (["Tea 2", "Tea 1", "Tea 0"], False) == (words, "cursor" in rest)
    assert 3 == len(ola.posts)


# -- direct messages


def test_a_talk(platform, ask):
    """Words go into a talk of two, with an answer to what was said in it, and into its log."""
    chat = "chat.bsky.convo"
    ola = platform.customer("ola")
    said = ola.write("Hello?")
    begins = ask(f"{chat}.getLog", chat=True).json()
    assert [] == begins["logs"]
    (talk,) = ask(f"{chat}.listConvos", chat=True).json()["convos"]
    assert (said.talk, 1) == (talk["id"], talk["unreadCount"])
    body = {"convoId": talk["id"], "message": {"text": "Yes", "replyTo": {"messageId": said.id}}}
    answer = ask(f"{chat}.sendMessage", body, chat=True).json()
    assert "Hello?" == answer["replyTo"]["text"]
    wrong = {**body, "message": {"text": "Yes", "replyTo": {"messageId": "x"}}}
    assert (400, "ReplyTargetNotFound") == refusal(ask(f"{chat}.sendMessage", wrong, chat=True))
    for text in ("a" * 1_001, "👨‍👩‍👧‍👦" * 401):
        long = {**body, "message": {"text": text}}
        assert (400, "InvalidRequest") == refusal(ask(f"{chat}.sendMessage", long, chat=True))
    ola.react(said, "👍")
    log = ask(f"{chat}.getLog", cursor=begins["cursor"], chat=True).json()
    assert ["logCreateMessage", "logAddReaction"] == [
        e["$type"].rpartition("#")[2] for e in log["logs"]
    ]
    page = ask(f"{chat}.getMessages", convoId=talk["id"], limit=1, chat=True).json()
    assert ("Yes", answer["id"]) == (page["messages"][0]["text"], page["cursor"])
    ola.forget(said)
    rest = ask(f"{chat}.getMessages", convoId=talk["id"], cursor=page["cursor"], chat=True).json()
    assert "text" not in rest["messages"][0]
    assert [("Hello?", "app"), ("Yes", "api")] == [(m.text, m.via) for m in platform.messages]


def test_a_limited_password_reads_no_talks(platform, anybody):
    """An app password without the right to direct messages may do everything else."""
    given = {"identifier": platform.shop.id, "password": platform.app_password(messages=False)}
    token = anybody("com.atproto.server.createSession", given).json()["accessJwt"]
    answer = anybody("chat.bsky.convo.getLog", token=token, chat=True)
    assert ("Bad token method", 400) == (answer.json()["message"], answer.status_code)
    assert 200 == anybody("app.bsky.notification.listNotifications", token=token).status_code


# -- the truth, and another process


def test_another_process_acts_and_asks(platform):
    """Over the control paths somebody posts, answers and writes; the truth holds all of it."""
    with httpx.Client(base_url=platform.url, trust_env=False, verify=False) as client:

        def act(**command: str) -> httpx.Response:
            return client.post("/_control/act", json=command)

        made = act(**{"as": "ola", "do": "post", "text": "Hello"}).json()
        act(**{"as": "shop", "do": "post", "text": "Yes?", "in_reply_to": made["uri"]})
        act(**{"as": "ola", "do": "write", "text": "In private"})
        assert 400 == act(**{"as": "ola", "do": "dance"}).status_code
        truth = client.get("/_control/truth").json()
    assert [("Hello", None), ("Yes?", made["uri"])] == [
        (p["text"], p["parent"]) for p in truth["posts"]
    ]
    assert ["In private"] == [m["text"] for m in truth["messages"]]


@pytest.mark.parametrize(
    ("kind", "details", "wanted"),
    [
        ("unauthorized", {}, (400, "ExpiredToken")),
        ("rate_limited", {}, (429, "RateLimitExceeded")),
        ("error_before", {}, (500, "InternalServerError")),
        ("error_before", {"status": 502}, (502, "UpstreamFailure")),
        ("error_before", {"status": 418}, (418, "InvalidRequest")),
    ],
)
def test_faults_are_worded(platform, ask, session, kind, details, wanted):
    """Faults on request speak as the real server does."""
    platform.fault_next(kind, match="POST *", **details)
    assert wanted == refusal(ask(PUT, put(session, record())))
