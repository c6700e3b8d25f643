"""The Bluesky channel reads, answers and looks as the network's lexicons want it.

First the contract of channels; then its flows, answered by hand; then the local platform over a
real connection; last every request and record, judged by the published lexicons. Long, because the
channel is one file too.
"""

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.channels import (
    Ambiguous,
    Channel,
    Checks,
    Finds,
    Found,
    NeedsAuth,
    NotSent,
    Polls,
    RateLimited,
    Refused,
    Renews,
    Searches,
    load,
)
from supportflow.channels.bluesky import Bluesky, _Known, _rkey
from supportflow.errors import InvalidValue, PayloadError, TransportError, Unsupported
from supportflow.flow import run
from supportflow.http import Request, Response
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    ChannelState,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Secret,
    Visibility,
)
from supportflow.testing import ChannelContract, PageCase, SendCase
from supportflow.testing.channel_cases import AT, drive
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.bluesky import BlueskyPlatform
from supportflow.text.limits import bluesky as length
from supportflow.transport import Transport

LEXICONS = Path(__file__).resolve().parents[3] / "shared/specs/bluesky/lexicons"
VECTORS = LEXICONS.parent / "interop-test-files/syntax"
HOST = "https://pds.example"
SHOP, OLA = "did:plc:shopaaaaaaaaaaaaaaaaaaaaa"[:32], "did:plc:olaaaaaaaaaaaaaaaaaaaaaa"[:32]
CID = "bafyreicwooxmcbjjad7a6dewwyymp5vxde7aon4hmnprtduhfqoixn4oim"
POST, LIKE = "app.bsky.feed.post", "app.bsky.feed.like"
ASKED = f"at://{OLA}/{POST}/3n2vhsfaaik2v"
ROOT = f"at://{OLA}/{POST}/3n2vhaaaaik2v"
ANSWER = f"at://{SHOP}/{POST}/3n2vhse4zpxtb"
TALK = "3kgroup2222d2"
TOLD, OWN = '{"notifications":[]}', '{"records":[]}'
NOTHING = Response(200, body=TOLD.encode(), at=AT), Response(200, body=OWN.encode(), at=AT)


def clock(at: datetime) -> str:
    """Return a time as the network writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def said(answer: object, status: int = 200, **headers: str) -> Response:
    """Return an answer."""
    return Response(status, headers, json.dumps(answer).encode(), AT)


def error(name: str, words: str = "", status: int = 400) -> Response:
    """Return a refusal."""
    return said({"error": name, "message": words}, status)


def facet(begin: int, end: int, kind: str, **feature: str) -> dict:
    """Return a facet."""
    index = {"byteStart": begin, "byteEnd": end}
    return {
        "index": index,
        "features": [{"$type": f"app.bsky.richtext.facet#{kind}", **feature}],
    }


def record(words: str, **fields) -> dict:
    """Return a post."""
    return {"$type": POST, "text": words, "createdAt": clock(AT), **fields}


def told(reason: str, found: dict, uri: str = ASKED, minutes: float = -5, **fields) -> dict:
    """Return a notification by Ola."""
    return {
        "uri": uri,
        "cid": CID,
        "author": {"did": OLA, "handle": "ola.social.example", "displayName": "Ola", "labels": []},
        "reason": reason,
        "record": found,
        "isRead": False,
        "indexedAt": clock(AT + timedelta(minutes=minutes)),
        "labels": [],
        **fields,
    }


def reply(root: str = ROOT, parent: str = ANSWER) -> dict:
    """Return what a post answers."""
    return {"root": {"uri": root, "cid": CID}, "parent": {"uri": parent, "cid": CID}}


NAME = "@shop.social.example"
MENTION = told(
    "mention",
    record(
        f"{NAME} You charged me twice! 👍",
        langs=["en"],
        facets=[facet(0, len(NAME), "mention", did=SHOP)],
    ),
)
REPLY = told("reply", record("And now?", reply=reply()), f"at://{OLA}/{POST}/3n2vhsfbbik2v", -4)
LIKED = told(
    "like",
    {"$type": LIKE, "subject": {"uri": ANSWER, "cid": CID}, "createdAt": clock(AT)},
    f"at://{OLA}/{LIKE}/3n2vhsfccik2v",
    -3,
    reasonSubject=ANSWER,
)
ME = Author(OLA, "Ola", "ola.social.example")


def word(text: str, item: dict, minutes: float = -5, **fields) -> Message:
    """Return a message by Ola."""
    return Message(
        "bluesky",
        "post",
        item["uri"],
        ME,
        text,
        AT + timedelta(minutes=minutes),
        permalink=f"https://bsky.app/profile/{OLA}/post/{item['uri'].rpartition('/')[2]}",
        **fields,
    )


READ = Inbound(word("You charged me twice! 👍", MENTION, thread=ASKED, language="en"))
ANSWERED = Inbound(word("And now?", REPLY, -4, thread=ROOT, parent=ANSWER))
LIKES = Reaction("bluesky", "post", ANSWER, ME, "❤️", AT - timedelta(minutes=3))


def raw(fact: Inbound, item: dict) -> Inbound:
    """Return a fact with its item as it came."""
    kept = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    return attrs.evolve(fact, message=attrs.evolve(fact.message, raw=kept))


OURS = {
    "uri": ANSWER,
    "cid": CID,
    "value": record("We see it.", reply=reply(ASKED, ASKED), supportflowMark="mark"),
}
NATIVE = {
    "uri": f"at://{SHOP}/{POST}/3n2vhse5zpxtb",
    "cid": CID,
    "value": record("It is on its way.", reply=reply(ASKED, ASKED)),
}


def ours(item: dict, mark: str | None) -> Outbound:
    """Return an answer of the shop's."""
    uri, kept = item["uri"], json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    message = Message(
        "bluesky",
        "post",
        uri,
        Author(SHOP, "shop.social.example", "shop.social.example"),
        item["value"]["text"],
        AT,
        thread=ASKED,
        parent=ASKED,
        permalink=f"https://bsky.app/profile/{SHOP}/post/{uri.rpartition('/')[2]}",
        raw=kept,
    )
    return Outbound(message, OLA, mark)


def outgoing(**fields) -> Outgoing:
    """Return an answer of ours."""
    given = {
        "id": "0412bfc7-0aca-5e1d-8a04-4aec88ceed43",
        "mark": "mark",
        "text": "We see it.",
        "to": Author(OLA, "Ola", "ola.social.example"),
        "thread": ASKED,
        "reply_to": ("post", ASKED),
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": AT,
    }
    return Outgoing(**given | fields)


def shop(**fields) -> Bluesky:
    """Return the shop's channel with a session that was kept."""
    channel = Bluesky("shop.social.example", password="app-pass-word", service=HOST, **fields)
    tokens = {"access": Secret("t0p-s3cret-access"), "refresh": Secret("t0p-s3cret-refresh")}
    learned = {"of": "shop.social.example", "did": SHOP, "handle": "shop.social.example"}
    return channel.using(ChannelState("bluesky", credentials=tokens, learned=learned))


HEADERS = {"Accept": "application/json", "Authorization": "Bearer t0p-s3cret-access"}
CHAT = {"atproto-proxy": "did:web:api.bsky.chat#bsky_chat"}
THERE = said({"posts": [{"uri": ASKED, "cid": CID, "record": record("You charged me twice!")}]})
WRITTEN = said({"uri": ANSWER, "cid": CID, "commit": {"cid": CID, "rev": "3n2vhsifnmc2v"}})
RKEY = "3mg2v7xr3xkcc"
PUT = {
    "repo": SHOP,
    "collection": POST,
    "rkey": RKEY,
    "record": record("We see it.", reply=reply(ASKED, ASKED), supportflowMark="mark"),
    "swapRecord": None,
}


CUP = {"uri": "https://shop.example/cup", "title": "A cup", "description": "12 EUR"}
SHOWN = {"$type": "app.bsky.embed.external", "external": CUP}
NEWS = {**PUT, "record": record("We see it.", embed=SHOWN, supportflowMark="mark")}
RECEIPT = Receipt(
    ANSWER,
    datetime(2026, 11, 22, 11, 4, 28, 477000, UTC),
    f"https://bsky.app/profile/{SHOP}/post/3n2vhse4zpxtb",
)


def get(method: str, query: str = "", **headers: str) -> Request:
    """Return a read."""
    return Request("GET", f"{HOST}/xrpc/{method}{query and '?'}{query}", {**HEADERS, **headers})


def post(method: str, body: dict, **headers: str) -> Request:
    """Return the write that is seen."""
    written = {**HEADERS, "Content-Type": "application/json", **headers}
    return Request("POST", f"{HOST}/xrpc/{method}", written, json.dumps(body).encode(), posts=True)


PARENT = get("app.bsky.feed.getPosts", f"uris={ASKED.replace(':', '%3A').replace('/', '%2F')}")
MESSAGE = {
    "$type": "chat.bsky.convo.defs#messageView",
    "id": "3n2vhsfddik2v",
    "rev": "3n2vhsfddik2v",
    "text": "We see it.",
    "sender": {"did": SHOP},
    "sentAt": clock(AT),
    "replyTo": {"id": "3n2vhsfeeik2v", "text": "Hm?"},
}
WHISPER = outgoing(
    thread=TALK, reply_to=("chat", "3n2vhsfeeik2v"), visibility=Visibility.private, mark="other"
)
WITH_OLA = said({"convo": {"id": TALK, "rev": "2", "members": [{"did": OLA}, {"did": SHOP}]}})
WITH = f"members={OLA.replace(':', '%3A')}"


class TestBluesky(ChannelContract):
    """The contract of channels, with payloads as the lexicons and a real server write them."""

    @pytest.fixture
    def channel(self):
        """Return the shop's channel."""
        return shop(direct=True)

    @pytest.fixture
    def inbound_cases(self):
        """Return a page of notifications, our own answers, and entries of the chat's log."""
        page = {"notifications": [LIKED, REPLY, MENTION], "priority": False}
        silence = said({"logs": [], "cursor": "3"})
        rev = '{"chat":"3"}'
        entry = {
            "$type": "chat.bsky.convo.defs#logCreateMessage",
            "rev": "4",
            "convoId": TALK,
            "message": {**MESSAGE, "sender": {"did": OLA}, "text": "Hm?"},
            "relatedProfiles": [{"did": OLA, "handle": "ola.social.example", "displayName": "Ola"}],
        }
        del entry["message"]["replyTo"]
        whispered = Message(
            "bluesky",
            "chat",
            "3n2vhsfddik2v",
            ME,
            "Hm?",
            AT,
            thread=TALK,
            visibility=Visibility.private,
            permalink=f"https://bsky.app/messages/{TALK}",
            raw=json.dumps(entry, separators=(",", ":")),
        )
        return [
            PageCase(
                "a mention, a reply and a like",
                (said(page), NOTHING[1], silence),
                (raw(READ, MENTION), raw(ANSWERED, REPLY), LIKES),
                rev,
                ("notifications",),
            ),
            PageCase(
                "our own posts, by us and by staff",
                (NOTHING[0], said({"records": [NATIVE, OURS]}), silence),
                (ours(OURS, "mark"), ours(NATIVE, None)),
                rev,
                ("records",),
                1,
            ),
            PageCase(
                "a direct message",
                (*NOTHING, said({"logs": [entry], "cursor": "4"})),
                (Inbound(whispered),),
                rev,
            ),
        ]

    @pytest.fixture
    def send_cases(self):
        """Return an answer in public, one in private, and what the server refuses in its own words."""
        put = post("com.atproto.repo.putRecord", PUT)
        with_ola = get("chat.bsky.convo.getConvoForMembers", WITH, **CHAT)
        whisper = {
            "convoId": TALK,
            "message": {"text": "We see it.", "replyTo": {"messageId": "3n2vhsfeeik2v"}},
        }
        older = {**MESSAGE, "id": "1", "sentAt": clock(AT - timedelta(hours=1))}
        return [
            SendCase(
                "an answer",
                outgoing(),
                (PARENT, put),
                (THERE, WRITTEN),
                RECEIPT,
                found=(said(OURS),),
                absent=(error("RecordNotFound", "Could not locate record: at://…"),),
            ),
            SendCase(
                "a direct message",
                WHISPER,
                (with_ola, post("chat.bsky.convo.sendMessage", whisper, **CHAT)),
                (WITH_OLA, said(MESSAGE)),
                Receipt("3n2vhsfddik2v", AT),
                found=(WITH_OLA, said({"messages": [MESSAGE]})),
                absent=(WITH_OLA, said({"messages": [older]})),
            ),
            SendCase(
                "news with a card",
                outgoing(reply_to=None, card=Card("A cup", "https://shop.example/cup", "12 EUR")),
                (post("com.atproto.repo.putRecord", NEWS),),
                (WRITTEN,),
                RECEIPT,
            ),
            SendCase(
                "a session that ended",
                outgoing(),
                (PARENT, put),
                (THERE, error("ExpiredToken", "Token has expired")),
                NeedsAuth,
            ),
            SendCase(
                "too long",
                outgoing(),
                (PARENT, put),
                (THERE, error("InvalidRequest", "grapheme too big (maximum 300, got 301)")),
                Refused,
            ),
            SendCase(
                "something stands there",
                outgoing(),
                (PARENT, put),
                (THERE, error("InvalidSwap", f"Record was at {CID}")),
                Ambiguous,
            ),
        ]


# -- what it is


def test_it_is_a_channel_with_every_power():
    """It sends, polls, finds, searches, checks and renews, and is found by its name."""
    for power in (Polls, Finds, Searches, Checks, Renews):
        assert isinstance(shop(), power)
    channel: Channel = shop()
    assert load("bluesky") is type(channel)


@pytest.mark.parametrize(
    "wrong",
    [
        {"identifier": " "},
        {"identifier": None},
        {"service": "http://pds.example"},
        {"service": "https://pds.example/path"},
        {"service": "https://user@pds.example"},
        {"name": " "},
        {"password": ""},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001  # naive on purpose
    ],
)
def test_what_cannot_work_is_refused(wrong):
    """Names, addresses and times that make no sense are refused when the channel is made."""
    with pytest.raises(InvalidValue):
        Bluesky(**{"identifier": "shop", "password": "p", "service": HOST, **wrong})


def test_addresses_may_be_short():
    """A handle may have its @, a server no scheme, and this machine http."""
    channel = Bluesky("@shop.example", password="p", service="pds.example")
    assert ("shop.example", HOST) == (channel.identifier, channel.service)
    local = [
        Bluesky("s", password="p", service=url).service
        for url in ("http://localhost:1", "http://[::1]")
    ]
    assert ["http://localhost:1", "http://[::1]"] == local


def test_only_public_where_direct_messages_are_not_wanted():
    """Without direct messages there is no private visibility, and no question to the chat."""
    quiet = shop(direct=False)
    assert ("public",) == quiet.traits.visibilities
    driven = drive(quiet.poll(None), NOTHING)
    assert (2, False) == (len(driven.requests), driven.result.more)
    with pytest.raises(Unsupported, match="private"):
        next(quiet.send(WHISPER))


def test_what_another_account_learned_is_forgotten():
    """A session that was kept for another account is not used for this one."""
    other = shop().using(ChannelState("bluesky", learned={"of": "else.example", "did": OLA}))
    assert shop() == other


# -- the session

SESSION = {"accessJwt": "new-access", "refreshJwt": "new-refresh", "did": SHOP, "handle": "shop"}
FRESH = Bluesky("shop.social.example", password="app-pass-word", service=HOST, direct=False)


def test_without_a_session_there_is_no_news():
    """Whoever polls renews the session first, and keeps it: sessions are counted."""
    driven = drive(FRESH.poll(None), [])
    assert ((), NeedsAuth) == (driven.requests, type(driven.error))
    assert "renew() makes one" in str(driven.error)


def test_without_a_session_one_is_made_for_the_flow():
    """What cannot wait makes a session with name and password, for itself alone."""
    driven = drive(FRESH.send(outgoing()), [said(SESSION), THERE, WRITTEN])
    made, read, _ = driven.requests
    given = {"identifier": "shop.social.example", "password": "app-pass-word"}
    assert (given, False) == (json.loads(made.body), made.posts)
    assert "Bearer new-access" == read.headers.get("Authorization")
    assert ANSWER == driven.result.id


def test_a_session_that_ended_between_two_polls_holds_up_no_answer():
    """It is made anew for this flow; a second refusal waits for a person."""
    ended = error("ExpiredToken", "Token has expired")
    driven = drive(shop().send(outgoing()), [ended, said(SESSION), THERE, WRITTEN])
    assert ANSWER == driven.result.id
    assert "Bearer new-access" == driven.requests[-1].headers.get("Authorization")
    refused = error("AuthenticationRequired", "Invalid identifier or password", 401)
    assert isinstance(drive(shop().send(outgoing()), [ended, refused]).error, NeedsAuth)
    assert isinstance(
        drive(shop().send(outgoing()), [ended, said(SESSION), ended]).error, NeedsAuth
    )


def test_a_kept_token_without_an_account_asks_whose_it_is():
    """A session that was kept without its account says whose it is, and is used on."""
    tokens = {"access": Secret("kept")}
    known = FRESH.using(ChannelState("bluesky", credentials=tokens))
    driven = drive(known.poll(None), [said({"did": SHOP, "handle": "shop"}), *NOTHING])
    assert ["getSession", "listNotifications", "listRecords"] == [
        urlsplit(r.url).path.rpartition(".")[2] for r in driven.requests
    ]


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (error("AuthenticationRequired", "Invalid identifier or password", 401), NeedsAuth),
        (error("InvalidRequest", "no"), NeedsAuth),
        (said({**SESSION, "active": False, "status": "takendown"}), NeedsAuth),
        (said({"did": SHOP}), PayloadError),
        (Response(503, at=AT), TransportError),
        (Response(429, {"RateLimit-Reset": str(int(AT.timestamp()) + 60)}, at=AT), RateLimited),
    ],
)
def test_no_session(answer, wanted):
    """What is wrong with name or password waits for a person; everything else for a while."""
    driven = drive(FRESH.renew(), [answer])
    assert isinstance(driven.error, wanted)
    assert "app-pass-word" not in str(driven.error)
    sent = drive(FRESH.send(outgoing()), [answer]).error
    assert isinstance(sent, NotSent if wanted is PayloadError else wanted)


def test_a_pause_ends_when_the_header_says():
    """`RateLimit-Reset` is a number of seconds since 1970."""
    reset = AT + timedelta(minutes=4)
    answer = Response(429, {"RateLimit-Reset": str(int(reset.timestamp()))}, at=AT)
    assert reset == drive(shop().poll(None), [answer]).error.until


def test_a_session_is_renewed_by_its_refresh_token():
    """The refresh token proves it; both new tokens are kept, and the password stays unused."""
    driven = drive(shop().renew(), [said(SESSION)])
    (request,) = driven.requests
    assert ("POST", b"") == (request.method, request.body)
    assert "Bearer t0p-s3cret-refresh" == request.headers.get("Authorization")
    state = driven.result
    assert "bluesky" == state.channel
    assert {"access": Secret("new-access"), "refresh": Secret("new-refresh")} == dict(
        state.credentials
    )
    renewed = shop().using(state)
    assert "Bearer new-access" == next(renewed.poll(None)).headers.get("Authorization")


def test_an_ended_refresh_token_falls_back_to_the_password():
    """After ninety days without a renewal the password makes a new session."""
    driven = drive(shop().renew(), [error("ExpiredToken", "revoked"), said(SESSION)])
    assert b"app-pass-word" in driven.requests[1].body
    assert Secret("new-access") == driven.result.credentials["access"]


def test_a_token_that_ended_is_said_so():
    """A bad token is 400 on this network: the account waits for a renewal, and nothing fails."""
    for name in ("ExpiredToken", "InvalidToken"):
        for flow in (shop().poll(None), shop().search("x", None)):
            assert isinstance(drive(flow, [error(name, "Token")]).error, NeedsAuth)


# -- reading


def page(*notifications: dict, cursor: str | None = None) -> Response:
    """Return a page of notifications."""
    return said({"notifications": [*notifications]} | ({"cursor": cursor} if cursor else {}))


def polled(channel: Bluesky, cursor: str | None, *answers: Response):
    """Return a page and its requests."""
    driven = drive(channel.poll(cursor), answers)
    assert driven.error is None, driven.error
    return driven.result, [dict(parse_qsl(urlsplit(r.url).query)) for r in driven.requests]


def numbered(number: int, minutes: float) -> dict:
    """Return a mention of its own."""
    return told("mention", record(f"Hello {number}"), f"at://{OLA}/{POST}/{number:013}", minutes)


def texts(found) -> list[str]:
    """Return the words that came, in order."""
    return [fact.message.text for fact in found.facts if isinstance(fact, Inbound)]


def test_a_list_is_read_back_to_what_was_read_before():
    """Page by page backwards, each committed; the next reading ends where this one began."""
    quiet = shop(direct=False)
    first, _ = polled(quiet, None, page(numbered(3, -1), cursor="c1"))
    assert (["Hello 3"], True) == (texts(first), first.more)
    second, asked = polled(
        quiet, first.cursor, page(numbered(2, -60 * 25), cursor="c2"), NOTHING[1]
    )
    assert "c1" == asked[0]["cursor"]
    assert (["Hello 2"], False) == (texts(second), second.more)
    assert [True] == [fact.backfill for fact in second.facts]
    third, asked = polled(
        quiet, second.cursor, page(numbered(5, 3), numbered(4, 1), numbered(3, -1), cursor="c3")
    )
    assert "cursor" not in asked[0]
    assert (["Hello 3", "Hello 4", "Hello 5"], True) == (texts(third), third.more)
    fourth, _ = polled(quiet, third.cursor, page(numbered(2, -12), cursor="c4"), NOTHING[1])
    assert (["Hello 2"], False) == (texts(fourth), fourth.more)
    assert [False] == [fact.backfill for fact in fourth.facts]


def test_a_page_that_is_empty_is_not_the_end():
    """What was filtered leaves empty pages: the cursor says how far they reach."""
    quiet = shop(direct=False)
    recent, _ = polled(quiet, None, page(cursor=clock(AT - timedelta(hours=1))))
    assert recent.more
    old, _ = polled(quiet, recent.cursor, page(cursor=clock(AT - timedelta(days=2))), NOTHING[1])
    assert not old.more
    opaque, _ = polled(quiet, None, page(cursor="abc"))
    assert opaque.more
    stuck, _ = polled(quiet, opaque.cursor, page(cursor="abc"), NOTHING[1])
    assert not stuck.more


def test_a_cursor_that_is_not_taken_any_more_loses_nothing():
    """A server that forgets its cursors is asked from the newest again, back to the same place."""
    quiet = shop(direct=False)
    first, _ = polled(quiet, None, page(numbered(3, -1), cursor="c1"))
    gone = error("InvalidRequest", "Malformed cursor")
    again, asked = polled(
        quiet, first.cursor, gone, page(numbered(3, -1), numbered(2, -2)), NOTHING[1]
    )
    assert ["c1", None] == [query.get("cursor") for query in asked[:2]]
    assert (["Hello 2", "Hello 3"], False) == (texts(again), again.more)
    assert isinstance(drive(quiet.poll(first.cursor), [gone, gone]).error, Refused)
    assert isinstance(drive(quiet.poll(None), [gone]).error, Refused)


def test_a_wrong_clock_does_not_hide_news():
    """A post whose author's clock is behind counts as new if it is on the newest page."""
    quiet = shop(direct=False)
    first, _ = polled(quiet, None, page(numbered(1, -1)), NOTHING[1])
    late = page(numbered(1, -1), numbered(2, -60 * 24 * 30))
    second, _ = polled(quiet, first.cursor, late, NOTHING[1])
    assert [("Hello 2", False), ("Hello 1", False)] == [
        (fact.message.text, fact.backfill) for fact in second.facts
    ]


def test_a_clock_ahead_does_not_hide_news():
    """A record of the future moves the place where we stop no further than the present."""
    quiet = shop(direct=False)
    odd = {**NATIVE, "value": {**NATIVE["value"], "createdAt": "2040-01-01T00:00:00Z"}}
    first, _ = polled(quiet, None, NOTHING[0], said({"records": [odd]}))
    assert AT.isoformat() == json.loads(first.cursor)["own"][0]


@pytest.mark.parametrize(
    "cursor",
    ["", "lost", "[]", '{"told": 7, "own": [1], "chat": 9}', '{"told":["x",null,"",true]}'],
)
def test_a_cursor_that_is_not_ours_begins_anew(cursor):
    """Any text is a cursor: one that cannot be read begins as None does."""
    quiet = shop(direct=False)
    assert polled(quiet, None, *NOTHING) == polled(quiet, cursor, *NOTHING)


def test_since_says_what_is_history():
    """What was there before the channel is judged, and announced to nobody."""
    quiet = shop(direct=False, since=AT - timedelta(minutes=2))
    found, _ = polled(quiet, None, page(numbered(2, -1), numbered(1, -3)), NOTHING[1])
    assert [True, False] == [fact.backfill for fact in found.facts]


def test_what_is_not_for_us_is_left_out():
    """Follows, reposts, likes of others' posts, our own words, and our announcements say nothing."""
    quiet = shop(direct=False)
    follow = told(
        "follow", {"$type": "app.bsky.graph.follow"}, f"at://{OLA}/app.bsky.graph.follow/a"
    )
    mine = {**MENTION, "author": {"did": SHOP, "handle": "shop"}}
    other = {**LIKED, "reasonSubject": ASKED}
    news = {"uri": f"at://{SHOP}/{POST}/3n2vhse6zpxtb", "cid": CID, "value": record("We moved.")}
    found, _ = polled(quiet, None, page(follow, mine, other), said({"records": [news]}))
    assert ((), ()) == (found.facts, found.unreadable)


def test_an_answer_to_ourselves_names_no_customer():
    """A thread of our own goes on; whom it answers is found by what it answers."""
    quiet = shop(direct=False)
    item = {**NATIVE, "value": record("More.", reply=reply(ASKED, ANSWER))}
    found, _ = polled(quiet, None, NOTHING[0], said({"records": [item]}))
    assert [None] == [fact.customer for fact in found.facts]


def test_our_name_is_left_out_in_front_only():
    """Names of ours in front are an address; one within a sentence is a word of it."""
    text = f"{NAME} {NAME}: is {NAME} Ωpen?"
    ends = len(NAME)
    inner = text.encode().rindex(NAME.encode())
    marks = [
        facet(inner, inner + ends, "mention", did=SHOP),
        facet(ends + 1, 2 * ends + 1, "mention", did=SHOP),
        facet(0, ends, "mention", did=SHOP),
        facet(3, 2, "mention", did=SHOP),
    ]
    found, _ = polled(
        shop(direct=False), None, page(told("mention", record(text, facets=marks))), NOTHING[1]
    )
    assert [f"is {NAME} Ωpen?"] == texts(found)
    whole, _ = polled(shop(direct=False), None, page(told("mention", record(text))), NOTHING[1])
    assert [text] == texts(whole)


def test_a_handle_that_is_invalid_names_nobody():
    """The network's word for a broken handle is not what somebody is called."""
    item = {**MENTION, "author": {"did": OLA, "handle": "handle.invalid"}}
    found, _ = polled(shop(direct=False), None, page(item), NOTHING[1])
    assert Author(OLA) == found.facts[0].message.author


BLOB = {"$type": "blob", "ref": {"$link": "bafkimage"}, "mimeType": "image/png", "size": 7}
QUOTED = {"record": {"uri": ANSWER, "cid": CID}}
PICTURE = f"https://cdn.bsky.app/img/feed_fullsize/plain/{OLA}/bafkimage"
SEEN = f"https://bsky.app/profile/{SHOP}/post/3n2vhse4zpxtb"


@pytest.mark.parametrize(
    ("embed", "wanted"),
    [
        (
            {"$type": "app.bsky.embed.images", "images": [{"image": BLOB, "alt": "A cup"}]},
            [Attachment("image", PICTURE, "A cup")],
        ),
        (
            {"$type": "app.bsky.embed.gallery", "items": [{"image": BLOB, "alt": ""}]},
            [Attachment("image", PICTURE)],
        ),
        (
            {"$type": "app.bsky.embed.video", "video": BLOB},
            [Attachment("video", f"https://video.bsky.app/watch/{OLA}/bafkimage/playlist.m3u8")],
        ),
        (
            {
                "$type": "app.bsky.embed.external",
                "external": {"uri": "https://a.example", "title": "A", "description": ""},
            },
            [Attachment("link", "https://a.example", "A")],
        ),
        ({"$type": "app.bsky.embed.record", **QUOTED}, [Attachment("quote", SEEN)]),
        (
            {
                "$type": "app.bsky.embed.recordWithMedia",
                "record": {"$type": "app.bsky.embed.record", **QUOTED},
                "media": {"$type": "app.bsky.embed.images", "images": [{"image": BLOB, "alt": ""}]},
            },
            [Attachment("image", PICTURE), Attachment("quote", SEEN)],
        ),
        (
            {
                "$type": "app.bsky.embed.record",
                "record": {"uri": f"at://{OLA}/app.bsky.graph.list/a"},
            },
            [Attachment("quote", f"at://{OLA}/app.bsky.graph.list/a")],
        ),
        ({"$type": "app.bsky.embed.later", "what": "ever"}, []),
    ],
)
def test_what_comes_with_a_post_is_listed(embed, wanted):
    """Pictures, videos, links and quotes are listed with an address, and never fetched."""
    item = told("quote", record("Look", embed=embed))
    found, _ = polled(shop(direct=False), None, page(item), NOTHING[1])
    assert ((), [*wanted]) == (found.unreadable, [*found.facts[0].message.attachments])


def test_a_link_that_is_shown_shortened_is_listed_whole():
    """The app shortens links in the text; the whole one stands in the facet."""
    text = "See example.com/long… or https://example.com/all"
    marks = [
        facet(4, 23, "link", uri="https://example.com/long/way"),
        facet(27, 50, "link", uri="https://example.com/all"),
    ]
    item = told("mention", record(text, facets=marks))
    found, _ = polled(shop(direct=False), None, page(item), NOTHING[1])
    assert (Attachment("link", "https://example.com/long/way"),) == found.facts[
        0
    ].message.attachments


def test_quarantined_items_are_read_again():
    """A notification, a post of ours, an entry of the log and a found post, each by its own shape."""
    entry = {"convoId": TALK, "message": {**MESSAGE, "sender": {"did": OLA}}}
    seen = {
        "uri": ASKED,
        "cid": CID,
        "author": MENTION["author"],
        "record": record("Hm"),
        "indexedAt": clock(AT),
    }
    for channel in (shop(), FRESH):
        for item, kind in ((MENTION, Inbound), (OURS, Outbound), (entry, Inbound), (seen, Inbound)):
            (fact,) = channel.reread(json.dumps(item).encode()).facts
            assert isinstance(fact, kind)
    for wrong in (b"{}", b"[]", b'{"reason": "mention"}'):
        with pytest.raises(PayloadError):
            shop().reread(wrong)


# -- direct messages


def log(*entries: dict, cursor: str = "9") -> Response:
    """Return a page of the chat's log."""
    return said({"logs": [*entries], "cursor": cursor})


def logged(kind: str, **fields) -> dict:
    """Return an entry of it."""
    return {"$type": f"chat.bsky.convo.defs#{kind}", "rev": "5", "convoId": TALK, **fields}


def test_what_we_wrote_ourselves_is_known_by_the_talk():
    """A message of staff names the customer by the talk's other member; a group has none."""
    mine = logged("logCreateMessage", message=MESSAGE)
    group = said(
        {"convo": {"id": TALK, "members": [{"did": OLA}, {"did": SHOP}, {"did": "did:plc:c"}]}}
    )
    for talk, customer in ((WITH_OLA, OLA), (group, None)):
        found = drive(shop().poll('{"chat":"3"}'), [*NOTHING, log(mine), talk]).result
        (fact,) = found.facts
        assert (Outbound, customer, "3n2vhsfeeik2v") == (
            type(fact),
            fact.customer,
            fact.message.parent,
        )
        assert found.more


def test_reactions_come_and_go():
    """A reaction to a message is reported, and so is its end; our own is not."""
    by = {"value": "👍", "sender": {"did": OLA}, "createdAt": clock(AT)}
    entries = [
        logged("logAddReaction", message=MESSAGE, reaction=by),
        logged("logRemoveReaction", message=MESSAGE, reaction=by),
        logged("logAddReaction", message=MESSAGE, reaction={**by, "sender": {"did": SHOP}}),
        logged("logDeleteMessage", message=MESSAGE),
        logged("logCreateMessage", message={"id": "1", "rev": "1", "sender": {"did": OLA}}),
        logged("logBeginConvo"),
    ]
    found = drive(shop().poll('{"chat":"3"}'), [*NOTHING, log(*entries), WITH_OLA]).result
    assert (["👍", ""], ()) == ([fact.emoji for fact in found.facts], found.unreadable)


def test_a_first_poll_takes_what_waits_unread():
    """Unread talks are read from the beginning; what is older than `since` is history."""
    talk = {
        "id": TALK,
        "rev": "1",
        "members": [{"did": OLA, "handle": "ola"}, {"did": SHOP}],
        "unreadCount": 2,
    }
    old = {**MESSAGE, "id": "0", "sender": {"did": OLA}, "sentAt": clock(AT - timedelta(days=3))}
    new = {**MESSAGE, "sender": {"did": OLA}}
    quoted = {"$type": "app.bsky.embed.record#view", "record": {"uri": ANSWER, "cid": CID}}
    answers = [
        *NOTHING,
        log(cursor="7"),
        said({"convos": [talk, {**talk, "unreadCount": 0}]}),
        said({"messages": [{**new, "embed": quoted}, old]}),
    ]
    found = drive(shop().poll(None), answers).result
    assert [("0", True), ("3n2vhsfddik2v", False)] == [
        (f.message.id, f.backfill) for f in found.facts
    ]
    assert (Attachment("quote", SEEN),) == found.facts[1].message.attachments
    assert ("7", False) == (json.loads(found.cursor)["chat"], found.more)


@pytest.mark.parametrize(
    "trouble",
    [
        error("InvalidToken", "Bad token method"),
        error("XRPCNotSupported", "XRPC Not Supported", 404),
        Response(503, at=AT),
        said({"cursor": "9"}),
    ],
)
def test_trouble_with_direct_messages_holds_up_nobody_else(trouble):
    """Public words come all the same; why the others do not is remembered, and its place kept."""
    found = drive(shop().poll('{"chat":"3"}'), [page(MENTION), NOTHING[1], trouble]).result
    assert (1, "3") == (len(found.facts), json.loads(found.cursor)["chat"])
    assert found.learned["chat"]
    again = shop().using(ChannelState("bluesky", learned={**found.learned}))
    assert drive(again.poll(found.cursor), [*NOTHING, log()]).result.learned["chat"] == ""


# -- writing


def written(channel: Bluesky, message: Outgoing, *answers: Response) -> dict:
    """Return the body of the request that posts."""
    driven = drive(channel.send(message), answers)
    assert driven.error is None, driven.error
    return json.loads(driven.requests[-1].body)


def test_a_thread_is_named_by_its_root():
    """What answers an answer has that one's root; what answers a beginning has it twice."""
    inner = {"uri": ASKED, "cid": CID, "record": record("And?", reply=reply())}
    body = written(shop(), outgoing(), said({"posts": [inner]}), WRITTEN)
    assert {"root": {"uri": ROOT, "cid": CID}, "parent": {"uri": ASKED, "cid": CID}} == body[
        "record"
    ]["reply"]


@pytest.mark.parametrize(
    ("answer", "wanted", "says"),
    [
        (said({"posts": []}), Refused, "deleted or hidden"),
        (
            said(
                {
                    "posts": [
                        {"uri": ASKED, "cid": CID, "record": {}, "viewer": {"replyDisabled": True}}
                    ]
                }
            ),
            Refused,
            "not answer there",
        ),
        (said({"posts": [{"uri": ASKED, "record": {}}]}), NotSent, "cannot be read"),
        (said({}), NotSent, "cannot be read"),
    ],
)
def test_what_cannot_be_answered(answer, wanted, says):
    """A post that is gone, or closed to us, is refused before anything is written."""
    driven = drive(shop().send(outgoing()), [answer])
    assert isinstance(driven.error, wanted)
    assert re.search(says, str(driven.error))


def test_an_announcement_answers_nobody():
    """What answers nobody is a post of its own, with a card as the network shows links."""
    card = Card("A cup", "https://shop.example/cup", "12 EUR")
    body = written(shop(), outgoing(reply_to=None, card=card), WRITTEN)["record"]
    assert "reply" not in body
    assert {"uri": card.url, "title": "A cup", "description": "12 EUR"} == body["embed"]["external"]


@pytest.mark.parametrize(
    "fields",
    [
        {"quick_replies": ("Yes", "No")},
        {"attachments": (Attachment("image", "https://example.com/a.png"),)},
        {"card": Card("A cup", "https://shop.example/cup", image="https://shop.example/cup.png")},
        {"card": Card("A cup", "https://shop.example/cup"), "visibility": Visibility.private},
    ],
)
def test_what_cannot_be_said_is_refused(fields):
    """Nothing vanishes: what the network cannot express is refused, and nothing is asked."""
    with pytest.raises(Unsupported):
        next(shop().send(outgoing(**fields)))


def test_links_tags_and_names_are_marked_in_bytes():
    """Places are counted in UTF-8; the customer is known, others are looked up, nobody stays plain."""
    text = (
        "Ω @ola.social.example @ben.example (@nobody.example) https://a.example/x_(y). #tea! #42 #é"
    )
    answers = [
        THERE,
        said({"did": "did:plc:ben"}),
        error("InvalidRequest", "Unable to resolve handle"),
        WRITTEN,
    ]
    driven = drive(shop().send(outgoing(text=text)), answers)
    facets = json.loads(driven.requests[-1].body)["record"]["facets"]
    content = text.encode()
    marked = [
        (content[f["index"]["byteStart"] : f["index"]["byteEnd"]].decode(), f["features"][0])
        for f in facets
    ]
    kind = "app.bsky.richtext.facet"
    assert [
        ("@ola.social.example", {"$type": f"{kind}#mention", "did": OLA}),
        ("@ben.example", {"$type": f"{kind}#mention", "did": "did:plc:ben"}),
        ("https://a.example/x_(y)", {"$type": f"{kind}#link", "uri": "https://a.example/x_(y)"}),
        ("#tea", {"$type": f"{kind}#tag", "tag": "tea"}),
        ("#é", {"$type": f"{kind}#tag", "tag": "é"}),
    ] == marked
    assert ["ben.example", "nobody.example"] == [
        dict(parse_qsl(urlsplit(r.url).query)).get("handle") for r in driven.requests[1:-1]
    ]
    bracketed = written(shop(), outgoing(text="(https://a.example/y)"), THERE, WRITTEN)
    assert "https://a.example/y" == bracketed["record"]["facets"][0]["features"][0]["uri"]


def test_a_name_that_cannot_be_looked_up_is_no_reason_to_fail():
    """A server that is away makes the post wait; nothing has left."""
    driven = drive(shop().send(outgoing(text="@ben.example")), [THERE, Response(503, at=AT)])
    assert isinstance(driven.error, TransportError)


@pytest.mark.parametrize(
    ("language", "wanted"), [("be", ["be"]), ("pt-BR", ["pt-BR"]), ("?", None), (None, None)]
)
def test_a_language_is_told_if_it_is_one(language, wanted):
    """A tag that the server would refuse is left out."""
    assert wanted == written(shop(), outgoing(language=language), THERE, WRITTEN)["record"].get(
        "langs"
    )


def test_a_private_answer_to_a_public_post_is_a_direct_message():
    """It goes into the talk with the customer, and refers to no post."""
    message = outgoing(visibility=Visibility.private, text="See https://a.example")
    driven = drive(shop().send(message), [WITH_OLA, said(MESSAGE)])
    body = json.loads(driven.requests[-1].body)
    assert (TALK, {"text", "facets"}) == (body["convoId"], {*body["message"]})
    closed = drive(shop().send(message), [error("MessagesDisabled", "recipient has disabled")])
    assert isinstance(closed.error, Refused)


def test_a_password_without_direct_messages_refuses_one_message_only():
    """What a token may not do fails that message, and holds up no public answer."""
    driven = drive(shop().send(WHISPER), [error("InvalidToken", "Bad token method")])
    assert isinstance(driven.error, Refused)


def test_a_receipt_without_a_commit_is_dated_by_what_we_know():
    """A post that was there already brings no time; ours of the first attempt is nearest."""
    first = AT + timedelta(minutes=1)
    again = drive(
        shop().send(outgoing(first_sent_at=first)), [THERE, said({"uri": ANSWER, "cid": CID})]
    ).result
    assert first == again.at
    odd = said({"uri": ANSWER, "cid": CID, "commit": {"rev": "what?"}})
    assert AT == drive(shop().send(outgoing()), [THERE, odd]).result.at


# -- the key


TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")


@given(
    st.text(min_size=1, max_size=30),
    st.integers(1_577_836_800, 7_258_118_400).map(
        lambda number: datetime.fromtimestamp(number, UTC)
    ),
)
def test_the_key_is_the_rows_own(mark, at):
    """The same row has the same key, whatever else changes; it is a TID of the second before."""
    message = outgoing(mark=mark, queued_at=at, reply_to=None)
    again = attrs.evolve(message, attempt=3, text="Other", first_sent_at=at)
    assert _rkey(message) == _rkey(again)
    assert TID.fullmatch(_rkey(message))
    number = 0
    for digit in _rkey(message):
        number = number << 5 | "234567abcdefghijklmnopqrstuvwxyz".index(digit)
    assert -68 <= (number >> 10) / 1_000_000 - int(at.timestamp()) < 0


def test_rows_of_one_moment_have_keys_of_their_own():
    """Ten thousand parts that are queued at once have as many keys."""
    keys = {_rkey(outgoing(mark=str(number))) for number in range(10_000)}
    assert 10_000 == len(keys)


def test_the_post_of_another_is_not_ours():
    """What stands under our key with another mark proves nothing about our message."""
    other = {**OURS, "value": record("Mine")}
    found = drive(shop().find_sent(outgoing()), [said(other)]).result
    assert (None, False) == (found.receipt, found.looked)


# -- looking for direct messages


def looked(message: Outgoing, *pages: Response) -> Found:
    """Return what a search in the talk gives."""
    return drive(shop().find_sent(message), [WITH_OLA, *pages]).result


def test_a_direct_message_is_found_by_what_it_says_and_answers():
    """Author, words, what it answers and its time must fit; no id that another reply has."""
    sent = attrs.evolve(WHISPER, first_sent_at=AT)
    plain = {name: value for name, value in MESSAGE.items() if name != "replyTo"}
    for same in (MESSAGE, plain, {**MESSAGE, "text": " We  see it. "}):
        assert "3n2vhsfddik2v" == looked(sent, said({"messages": [same]})).receipt.id
    for other in (
        {**MESSAGE, "sender": {"did": OLA}},
        {**MESSAGE, "text": "We see."},
        {**MESSAGE, "replyTo": {"id": "7"}},
        {**MESSAGE, "sentAt": clock(AT - timedelta(seconds=6))},
        {"id": "1", "rev": "1", "sender": {"did": SHOP}, "sentAt": clock(AT)},
    ):
        assert Found() == looked(sent, said({"messages": [other]}))
    known = attrs.evolve(sent, known=frozenset({"3n2vhsfddik2v"}))
    assert Found() == looked(known, said({"messages": [MESSAGE]}))


def test_a_long_talk_is_read_back_to_the_first_attempt():
    """A search goes on until what is older; one that is cut short says so."""
    other = {**MESSAGE, "text": "Something else"}
    more = said({"messages": [other], "cursor": "c"})
    assert "3n2vhsfddik2v" == looked(WHISPER, more, said({"messages": [MESSAGE]})).receipt.id
    assert not looked(WHISPER, *[more] * 10).looked


# -- listening


def test_a_search_leaves_out_what_we_are_told_anyway():
    """What mentions or answers us, or is ours, is left out: it is not counted twice."""

    def seen(words: str, number: int, **fields) -> dict:
        uri = f"at://{OLA}/{POST}/{number:013}"
        return {
            "uri": uri,
            "cid": CID,
            "author": MENTION["author"],
            "record": record(words, **fields),
            "indexedAt": clock(AT),
        }

    posts = [
        seen("shop is slow", 1),
        seen("shop", 2, facets=[facet(0, 4, "mention", did=SHOP)]),
        seen("shop", 3, reply=reply()),
        {**seen("shop", 4), "author": {"did": SHOP}},
    ]
    found = drive(shop().search("shop", None), [said({"posts": posts, "cursor": "25"})])
    assert ["shop is slow"] == texts(found.result)
    assert {"q": "shop", "sort": "latest", "limit": "100"} == dict(
        parse_qsl(urlsplit(found.requests[0].url).query)
    )
    again = drive(shop().search("shop", found.result.cursor), [said({"posts": []})])
    assert "25" == dict(parse_qsl(urlsplit(again.requests[0].url).query))["cursor"]
    assert isinstance(
        drive(shop().search("x", None), [error("AuthMissing", "", 401)]).error, NeedsAuth
    )


# -- how it is


def test_a_check_says_what_is_missing():
    """It names the password, the settings and the direct messages, and what to do about each."""
    settings = {name: {"include": "all", "list": True} for name in ("mention", "reply", "quote")}
    well = [NOTHING[0], said({"preferences": settings}), said({"convos": []})]
    health = drive(shop().check(), well).result
    assert (True, ()) == (health.ok, health.problems)
    settings["mention"]["include"], settings["quote"]["list"] = "follows", False
    odd = [NOTHING[0], said({"preferences": settings}), error("InvalidToken", "Bad token method")]
    problems = drive(shop().check(), odd).result.problems
    assert ["mention", "quote", "direct messages"] == [
        next(w for w in ("mention", "quote", "direct messages") if w in p) for p in problems
    ]
    older = [NOTHING[0], error("MethodNotImplemented", "", 501)]
    assert drive(shop(direct=False).check(), older).result.ok
    bad = drive(shop().check(), [error("ExpiredToken", "revoked")]).result
    assert "new app password" in bad.problems[0]


# -- the local platform


def transport_of() -> Transport:
    """Return a transport without certificates, which take long to load: nothing here needs any."""
    return Transport(httpx.Client(trust_env=False, verify=False), sleep=lambda seconds: None)


@attrs.frozen
class Stand:
    """A platform, a channel, and a way to run flows."""

    platform: BlueskyPlatform
    channel: Bluesky
    transport: Transport

    def do(self, flow):
        return run(flow, self.transport.send)


@pytest.fixture
def stand():
    """Return a platform and a channel whose session was renewed."""
    with BlueskyPlatform(clock=FakeClock()) as platform, closing(transport_of()) as transport:
        since = platform.now() - timedelta(hours=1)
        channel = Bluesky(**platform.credentials(), service=platform.url, since=since)
        yield Stand(platform, channel.using(run(channel.renew(), transport.send)), transport)


def ask(stand: Stand, words: str = "Hello"):
    """Let Ola write, and return her post and an answer to it."""
    post = stand.platform.customer("ola").post(f"@shop.social.example {words}")
    to = Author(post.author, "Ola", "ola.social.example")
    return post, outgoing(
        to=to, thread=post.uri, reply_to=("post", post.uri), queued_at=stand.platform.now()
    )


@pytest.mark.parametrize("fault", ["response_lost", "error_after", "truncated", "no_id", "html"])
def test_a_lost_answer_is_found_and_never_doubled(stand, fault):
    """Whatever became of the answer, the post is found under its key; sent again it stays one."""
    _, message = ask(stand)
    stand.platform.fault_next(fault, match="POST *putRecord")
    with pytest.raises(Ambiguous):
        stand.do(stand.channel.send(message))
    found = stand.do(stand.channel.find_sent(message)).receipt
    assert found.id == stand.do(stand.channel.send(message)).id
    assert 1 == len(stand.platform.shop.posts)


def test_another_text_under_the_key_does_not_replace_a_post(stand):
    """The key must not exist: what stands there is never overwritten."""
    _, message = ask(stand)
    stand.do(stand.channel.send(message))
    with pytest.raises(Ambiguous, match="InvalidSwap"):
        stand.do(stand.channel.send(attrs.evolve(message, text="Something else")))
    assert ["We see it."] == [post.text for post in stand.platform.shop.posts]


@pytest.mark.parametrize("text", ["a" * 300, "👨‍👩‍👧‍👦" * 42, "é" * 300, "क्षि" * 75])
def test_what_counts_as_short_enough_is_taken(stand, text):
    """What passes our counting is not refused by the platform's."""
    _, message = ask(stand)
    assert length(text) <= stand.channel.traits.max_text
    assert stand.do(stand.channel.send(attrs.evolve(message, text=text))).id


@pytest.mark.parametrize("text", ["a" * 301, "👨‍👩‍👧‍👦" * 121])
def test_what_is_too_long_is_refused(stand, text):
    """301 graphemes, and 3,025 bytes in 121: each limit refuses alone."""
    _, message = ask(stand)
    assert length(text) > stand.channel.traits.max_text
    with pytest.raises(Refused, match="too big"):
        stand.do(stand.channel.send(attrs.evolve(message, text=text)))


def test_what_is_deleted_takes_its_notification_with_it(stand):
    """A deleted post is not told any more, and cannot be answered."""
    post, message = ask(stand)
    stand.platform.customer("ola").delete(post)
    assert () == stand.do(stand.channel.poll(None)).facts
    with pytest.raises(Refused, match="deleted"):
        stand.do(stand.channel.send(message))
    closed, message = ask(stand)
    stand.platform.customer("ola").gate(closed)
    with pytest.raises(Refused, match="not answer there"):
        stand.do(stand.channel.send(message))


def test_more_than_a_page_is_read_to_its_end(stand):
    """Two hundred and fifty mentions, with likes between them, all come, each once."""
    ola = stand.platform.customer("ola")
    clock = stand.platform
    for number in range(250):
        ola.post(f"@shop.social.example {number}")
        clock.advance(timedelta(seconds=20))
    heard, cursor, more = [], None, True
    while more:
        found = stand.do(stand.channel.poll(cursor))
        heard += texts(found)
        cursor, more = found.cursor, found.more
    assert sorted(map(str, range(250))) == sorted(heard)
    ola.post("@shop.social.example last")
    assert "last" in texts(stand.do(stand.channel.poll(cursor)))


def test_a_talk_in_private(stand):
    """Direct messages come from the log, are answered in the talk, and found in it."""
    ola, shop_ = stand.platform.customer("ola"), stand.platform.shop
    first = ola.write("Are you there?")
    found = stand.do(stand.channel.poll(None))
    (asked,) = found.facts
    assert (first.talk, Visibility.private) == (asked.message.thread, asked.message.visibility)
    message = outgoing(
        to=asked.message.author,
        thread=first.talk,
        reply_to=("chat", first.id),
        visibility=Visibility.private,
        queued_at=stand.platform.now(),
    )
    assert Found() == stand.do(stand.channel.find_sent(message))
    receipt = stand.do(stand.channel.send(message))
    assert receipt.id == stand.do(stand.channel.find_sent(message)).receipt.id
    ola.react(stand.platform.messages[-1], "❤️")
    shop_.write("By staff.", stand.platform.customer("ola").account)
    shop_.forget(first)
    news = stand.do(stand.channel.poll(found.cursor))
    kinds = [type(fact).__name__ for fact in news.facts]
    assert ["Outbound", "Reaction", "Outbound"] == kinds
    assert {ola.id} == {fact.customer for fact in news.facts if isinstance(fact, Outbound)}
    assert () == stand.do(stand.channel.poll(news.cursor)).facts


def test_who_takes_no_messages_is_not_written_to(stand):
    """A customer who takes none is not reached in private: that is refused, and said."""
    _, message = ask(stand)
    stand.platform.customer("ola").account.takes_messages = False
    with pytest.raises(Refused, match="MessagesDisabled"):
        stand.do(stand.channel.send(attrs.evolve(message, visibility=Visibility.private)))


def test_a_session_ends_and_is_renewed(stand):
    """After two hours the token is no good; renewed, the channel goes on."""
    stand.platform.advance(timedelta(hours=2))
    with pytest.raises(NeedsAuth, match="ExpiredToken"):
        stand.do(stand.channel.poll(None))
    renewed = stand.channel.using(stand.do(stand.channel.renew()))
    assert stand.do(renewed.poll(None)).facts == ()
    stand.platform.advance(timedelta(days=91))
    late = renewed.using(stand.do(renewed.renew()))
    assert stand.do(late.check()).ok


def test_too_many_sessions_pause():
    """The eleventh session in five minutes is one too many, and says when to go on."""
    with BlueskyPlatform(sessions=10) as platform, closing(transport_of()) as transport:
        channel = Bluesky(**platform.credentials(), service=platform.url)
        for _ in range(10):
            run(channel.renew(), transport.send)
        with pytest.raises(RateLimited) as caught:
            run(channel.renew(), transport.send)
        waits = caught.value.until - platform.now()
    assert timedelta(minutes=4) < waits <= timedelta(minutes=5)


def test_a_limited_password_reads_what_is_public(stand):
    """Without the right to direct messages, mentions come, and the check says what is missing."""
    password = stand.platform.app_password(messages=False)
    channel = Bluesky("shop.social.example", password=password, service=stand.platform.url)
    channel = channel.using(stand.do(channel.renew()))
    ask(stand)
    found = stand.do(channel.poll(None))
    while found.more:
        found = stand.do(channel.poll(found.cursor))
    assert "Bad token method" in found.learned["chat"]
    assert "direct messages cannot be read" in stand.do(channel.check()).problems[0]
    stand.platform.preferences["reply"]["include"] = "follows"
    assert 2 == len(stand.do(channel.check()).problems)


def test_untagged_words_are_found(stand):
    """A search finds what nobody told us, and leaves out what somebody did."""
    ask(stand, "shop")
    stand.platform.customer("ben").post("That shop is slow")
    assert ["That shop is slow"] == texts(stand.do(stand.channel.search("shop", None)))


# -- the published lexicons

published = pytest.mark.skipif(
    not LEXICONS.exists(),
    reason=f"the lexicons are not at {LEXICONS}: they are no part of the project",
)
FORMATS = {
    "tid": TID,
    "did": re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]"),
    "at-uri": re.compile(r"at://did:[a-z]+:[\w.:%-]+(/[a-zA-Z0-9.-]+(/[\w.~:-]+)?)?"),
    "cid": re.compile(r"b[a-z2-7]{50,}"),
    "datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "language": re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*"),
    "handle": re.compile(r"([a-z0-9-]+\.)+[a-z][a-z0-9-]*"),
    "uri": re.compile(r"[a-z][a-z0-9+.-]*:\S+"),
    "nsid": re.compile(r"[a-z]+(\.[a-zA-Z0-9-]+){2,}"),
    "at-identifier": re.compile(r"(did:|[a-z0-9-]+\.).+"),
    "record-key": re.compile(r"[\w.~:-]{1,512}"),
}


@cache
def lexicon(name: str) -> dict:
    """Return the definitions of a published lexicon."""
    path = LEXICONS.joinpath(*name.split(".")).with_suffix(".json")
    return json.loads(path.read_text("utf-8"))["defs"] if path.exists() else {}


def definition(ref: str, home: str) -> tuple[dict, str]:
    """Return what a reference means, and where its own references are from."""
    name, _, part = ref.partition("#")
    name = name or home
    return lexicon(name).get(part or "main", {}), name


def judge(value: object, schema: dict, home: str, at: str = "$") -> None:
    """Fail where a value is not what a lexicon says. Fields that it does not name may be there."""
    kind = schema.get("type")
    if kind == "ref":
        judge(value, *definition(schema["ref"], home), at)
    elif kind == "union":
        known = {ref.removeprefix("#"): ref for ref in schema["refs"]}
        given = value["$type"].removeprefix(f"{home}#")
        if given in known:
            judge(value, *definition(known[given], home), at)
    elif kind == "record":
        judge(value, schema["record"], home, at)
    elif kind in JUDGES:
        JUDGES[kind](value, schema, home, at)


def judge_fields(value: object, schema: dict, home: str, at: str) -> None:
    """Judge an object, or parameters."""
    assert isinstance(value, dict), at
    missing = {*schema.get("required", ())} - {*value}
    assert not missing, f"{at} lacks {missing}"
    for name, inner in schema.get("properties", {}).items():
        if name in value and not (value[name] is None and name in schema.get("nullable", ())):
            judge(value[name], inner, home, f"{at}.{name}")


def judge_list(value: object, schema: dict, home: str, at: str) -> None:
    """Judge a list, and each in it."""
    assert isinstance(value, list), at
    assert len(value) <= schema.get("maxLength", len(value)), at
    for index, each in enumerate(value):
        judge(each, schema["items"], home, f"{at}[{index}]")


def judge_text(value: object, schema: dict, home: str, at: str) -> None:
    """Judge a string, by its length in bytes and by its format."""
    assert isinstance(value, str), f"{at} is {value!r}"
    assert len(value.encode()) <= schema.get("maxLength", len(value.encode())), at
    assert "format" not in schema or FORMATS[schema["format"]].fullmatch(value), f"{at} {value}"


def judge_number(value: object, schema: dict, home: str, at: str) -> None:
    """Judge a number."""
    assert type(value) is int, at
    assert schema.get("minimum", value) <= value <= schema.get("maximum", value), at


JUDGES = {
    "object": judge_fields,
    "params": judge_fields,
    "array": judge_list,
    "string": judge_text,
    "integer": judge_number,
}


def params(request: Request, schema: dict) -> dict:
    """Return the parameters of a request as a lexicon names them; unknown ones fail."""
    told: dict = {}
    for name, value in parse_qsl(urlsplit(request.url).query):
        kind = schema["properties"][name]["type"]
        reads = {"integer": int, "boolean": json.loads, "array": lambda text: [text]}
        told[name] = reads.get(kind, str)(value)
    return told


class Watched:
    """Run flows, and judge every request and every answer by the lexicons."""

    def __init__(self, transport: Transport) -> None:
        self.transport, self.judged = transport, set()

    def send(self, request: Request) -> Response:
        name = urlsplit(request.url).path.rpartition("/")[2]
        main = lexicon(name)["main"]
        self.judged.add(name)
        assert {"query": "GET", "procedure": "POST"}[main["type"]] == request.method
        if "parameters" in main:
            judge(params(request, main["parameters"]), main["parameters"], name)
        if "input" in main:
            body = json.loads(request.body)
            judge(body, main["input"]["schema"], name)
            if "record" in body:
                judge(body["record"], lexicon(body["collection"])["main"], body["collection"])
        else:
            assert b"" == request.body
        response = self.transport.send(request)
        if response.status == 200 and "output" in main:
            judge(response.json(), main["output"]["schema"], name)
        return response


@published
def test_every_request_and_answer_is_as_published():
    """All that the channel asks, and all that the local platform answers, fits the lexicons."""
    with BlueskyPlatform(clock=FakeClock()) as platform, closing(transport_of()) as transport:
        watched = Watched(transport)

        def do(flow):
            return run(flow, watched.send)

        fresh = Bluesky(**platform.credentials(), service=platform.url)
        fresh = fresh.using(do(fresh.renew()))
        channel = fresh.using(do(fresh.renew()))
        alone = attrs.evolve(channel, known=_Known())
        stand = Stand(platform, channel, transport)
        ola = platform.customer("ola")
        post, message = ask(stand)
        ola.write("In private")
        news = do(alone.poll(None))
        while news.more:
            news = do(alone.poll(news.cursor))
        rich = attrs.evolve(
            message, text="@ben.example @ola.social.example https://a.example #tea", language="en"
        )
        platform.customer("ben")
        do(channel.send(rich))
        do(
            channel.send(
                outgoing(reply_to=None, mark="2", card=Card("A", "https://a.example"), queued_at=AT)
            )
        )
        whisper = attrs.evolve(message, visibility=Visibility.private, text="https://a.example")
        do(channel.send(whisper))
        said_ = ola.write("More")
        do(channel.send(attrs.evolve(whisper, reply_to=("chat", said_.id), thread=said_.talk)))
        platform.shop.post("By staff", in_reply_to=post)
        for found in (do(channel.find_sent(rich)), do(channel.find_sent(whisper))):
            assert found.receipt
        ola.like(platform.shop.posts[0])
        news = do(channel.poll(news.cursor))
        while news.more:
            news = do(channel.poll(news.cursor))
        do(channel.search("hello", None))
        assert do(channel.check()).ok
    assert 17 == len(watched.judged), " ".join(sorted(watched.judged))


@published
@pytest.mark.parametrize("name", ["tid", "did", "handle", "language"])
def test_formats_are_judged_as_published(name):
    """What the published vectors call right passes the patterns that judge our requests."""
    lines = (VECTORS / f"{name}_syntax_valid.txt").read_text("utf-8").splitlines()
    right = [line for line in lines if line and not line.startswith("#") and line.islower()]
    assert [] == [
        each for each in right if name != "language" and not FORMATS[name].fullmatch(each)
    ]
