"""The X channel reads mentions, answers where it was summoned, looks for its own, and counts costs.

The contract of channels first, with payloads from X's documentation; then what is special to X; then
the local platform over a real connection, polled and told by webhooks.
"""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs
import pytest

from supportflow import Desk, MemoryStore
from supportflow.channels import (
    Ambiguous,
    Checks,
    Finds,
    Found,
    Health,
    NeedsAuth,
    Polls,
    RateLimited,
    Receives,
    Refused,
    Renews,
    Searches,
)
from supportflow.channels.x import X
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    Unsupported,
    WebhookRejected,
)
from supportflow.flow import run
from supportflow.http import Request, Response, Webhook
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    ChannelState,
    Edit,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Removal,
    Secret,
    Visibility,
)
from supportflow.signing import verify_x, x_crc_answer
from supportflow.testing import ChannelContract, FakeClock, PageCase, SendCase, WebhookCase
from supportflow.testing.channel_cases import drive
from supportflow.testing.platforms.x import XPlatform
from supportflow.transport import Transport

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ME, OLA = "1111111111111111111", "2222222222222222222"
HOST = "https://api.x.com"
TOKEN, SECRET = "user-t0ken", "consumer-s3cret"
USERS = [
    {"id": OLA, "name": "Ola", "username": "OtherUser"},
    {"id": ME, "name": "Shop", "username": "ExampleUser"},
]
OLA_WRITES, SHOP_WRITES = (Author(u["id"], u["name"], u["username"]) for u in USERS)


def shop(**options) -> X:
    """Return the channel with webhooks and without direct messages, unless told otherwise."""
    made = {"token": TOKEN, "consumer_secret": SECRET, "messages": False}
    return X(ME, **{**made, **options})


def post(number: int, text: str = "hey @ExampleUser", **fields) -> dict:
    """Return a post by Ola as `post.mention.create` has it, `number` minutes after half past seven."""
    name = f"20807658135781{number:05}"
    made = {
        "id": name,
        "author_id": OLA,
        "created_at": (NOW + timedelta(minutes=number - 90)).isoformat().replace("+00:00", ".000Z"),
        "edit_history_tweet_ids": [name],
        "text": text,
        "lang": "en",
        "entities": {"mentions": [{"start": 4, "end": 16, "username": "ExampleUser", "id": ME}]},
    }
    return {**made, **fields}


def own(number: int, text: str = "@OtherUser We are sorry.", **fields) -> dict:
    """Return a post of ours that answers Ola's first."""
    made = {
        "author_id": ME,
        "in_reply_to_user_id": OLA,
        "referenced_tweets": [{"type": "replied_to", "id": post(1)["id"]}],
        "entities": {"mentions": [{"username": "OtherUser", "id": OLA}]},
    }
    return post(number, text, **{**made, **fields})


def page(*items: dict, token: str | None = None, **includes) -> dict:
    """Return a page of a list as X answers with it."""
    meta = {"result_count": len(items), **({"next_token": token} if token else {})}
    return {"data": [*items], "includes": {"users": USERS, **includes}, "meta": meta}


NOTHING = {"meta": {"result_count": 0}}


def answer(content: object, status: int = 200, **headers: str) -> Response:
    """Return an answer in JSON; names of headers are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, json.dumps(content).encode(), NOW)


def message(number: int, text: str = "hey", kind: str = "post", **fields) -> Message:
    """Return what `post` is as a message, but for its raw form."""
    name = f"20807658135781{number:05}"
    made = {
        "author": OLA_WRITES,
        "at": NOW + timedelta(minutes=number - 90),
        "language": "en",
        "permalink": f"https://x.com/OtherUser/status/{name}",
    }
    return Message("x", kind, name, text=text, **{**made, **fields})


def bare(fact):
    """Return a fact without its raw form."""
    if isinstance(fact, Inbound | Outbound):
        return attrs.evolve(fact, message=attrs.evolve(fact.message, raw=None))
    return fact


def outgoing(text: str = "We are sorry.", **fields) -> Outgoing:
    """Return an answer to Ola's first post."""
    made = {
        "id": "row-1",
        "mark": "mark-1",
        "text": text,
        "to": OLA_WRITES,
        "thread": post(1)["id"],
        "reply_to": ("post", post(1)["id"]),
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": NOW,
    }
    return Outgoing(**{**made, **fields})


def private(text: str = "Hello!", **fields) -> Outgoing:
    """Return a direct message to Ola."""
    made = {"reply_to": ("message", "954491830116155396"), "visibility": Visibility.private}
    return outgoing(text, **{**made, **fields})


def sign(body: bytes) -> dict[str, str]:
    """Return the header that proves a body genuine; the answer to a check is made in the same way."""
    return {"x-twitter-webhooks-signature": _signature(body)}


def _signature(body: bytes) -> str:
    digest = hmac.digest(SECRET.encode(), body, "sha256")
    return f"sha256={base64.b64encode(digest).decode()}"


def hook(content: object) -> Webhook:
    """Return a signed webhook."""
    body = json.dumps(content).encode()
    return Webhook("POST", body, NOW, sign(body))


def facts_of(content: object) -> list:
    """Return what a webhook reports, without raw forms; nothing in it may be unreadable."""
    read = shop().receive(hook(content))
    assert () == read.unreadable
    return [*map(bare, read.facts)]


def older(name: str, *items: dict, **beside) -> dict:
    """Return a webhook of the Account Activity API."""
    return {"for_user_id": ME, name: [*items], **beside}


def newer(kind: str, payload: dict, **beside) -> dict:
    """Return a webhook of the X Activity API."""
    data = {"event_uuid": "1", "filter": {"user_id": ME}, "event_type": kind, "payload": payload}
    return {"data": {**data, **beside}}


def status(number: int, text: str = "hey @ExampleUser", **fields) -> dict:
    """Return a post by Ola as version 1.1 has it."""
    made = {
        "id_str": post(number)["id"],
        "created_at": (NOW + timedelta(minutes=number - 90)).strftime("%a %b %d %H:%M:%S +0000 %Y"),
        "text": text,
        "lang": "en",
        "user": {"id_str": OLA, "name": "Ola", "screen_name": "OtherUser"},
        "entities": {"user_mentions": [{"screen_name": "ExampleUser", "id_str": ME}]},
    }
    return {**made, **fields}


# The example of https://docs.x.com/x-api/account-activity/introduction#direct_message_events, with
# other ids.
DIRECT = {
    "type": "message_create",
    "id": "954491830116155396",
    "created_timestamp": "1772438400557",
    "message_create": {
        "target": {"recipient_id": ME},
        "sender_id": OLA,
        "source_app_id": "13090192",
        "message_data": {
            "text": "Hello World!",
            "entities": {"hashtags": [], "symbols": [], "user_mentions": [], "urls": []},
        },
    },
}
DIRECT_READ = Message(
    "x",
    "message",
    "954491830116155396",
    OLA_WRITES,
    "Hello World!",
    datetime(2026, 3, 2, 8, 0, 0, 557000, UTC),
    OLA,
    visibility=Visibility.private,
)
# The example of …#tweet_delete_events, of a post of ours.
DELETED = {
    "status": {"id": "1045405559317569537", "user_id": ME},
    "timestamp_ms": "1432228155593",
}
DELETED_AT = datetime(2015, 5, 21, 17, 9, 15, 593000, UTC)
V1_USERS = {OLA: {"id": OLA, "name": "Ola", "screen_name": "OtherUser"}}


def raw(fact, item: object):
    """Return a fact with its raw form."""
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    return attrs.evolve(fact, message=attrs.evolve(fact.message, raw=text))


def joined(item: dict) -> dict:
    """Return an item as it is read: with its author beside it."""
    author = next(each for each in USERS if each["id"] == item["author_id"])
    return {**item, "_author": author}


def whole(*pages: object) -> tuple[Response, ...]:
    """Return the answers to a poll: mentions, and our own posts."""
    return tuple(map(answer, pages))


QUERY = (
    "tweet.fields=attachments%2Cauthor_id%2Ccreated_at%2Cedit_history_tweet_ids%2Centities%2C"
    "in_reply_to_user_id%2Clang%2Cnote_tweet%2Creferenced_tweets"
)
JSON = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def posting(path: str, content: object) -> Request:
    """Return the request that posts something."""
    return Request("POST", f"{HOST}/2/{path}", JSON, json.dumps(content).encode(), posts=True)


class TestContract(ChannelContract):
    """X keeps what every channel promises."""

    @pytest.fixture
    def channel(self):
        secrets = {"refresh_token": "refr3sh", "client_id": "app", "client_secret": "cl1ent"}
        return shop(since=NOW - timedelta(days=3), **secrets)

    @pytest.fixture
    def sign(self):
        return sign

    @pytest.fixture
    def inbound_cases(self):
        first, second, edited = post(1), post(2, "@ExampleUser Again"), post(9, "@ExampleUser Oh")
        edited["edit_history_tweet_ids"] = [second["id"], edited["id"]]
        ours = own(5)
        mine = Outbound(
            message(
                5,
                "We are sorry.",
                author=SHOP_WRITES,
                parent=first["id"],
                permalink=f"https://x.com/ExampleUser/status/{ours['id']}",
            ),
            OLA,
        )
        read = Inbound(message(1, "hey @ExampleUser"))
        late = attrs.evolve(
            message(9, "Oh"),
            id=second["id"],
            permalink=f"https://x.com/OtherUser/status/{edited['id']}",
        )
        told = status(1), status(2, "@ExampleUser Again")
        beside = {"users": V1_USERS}
        return [
            PageCase(
                "mentions and our own posts",
                whole(page(edited, first), page(ours)),
                (
                    raw(read, joined(first)),
                    raw(mine, joined(ours)),
                    raw(Inbound(late), joined(edited)),
                    Edit("x", "post", second["id"], edited["id"], "Oh", late.at),
                ),
                items=("data",),
            ),
            WebhookCase(
                "mentions",
                json.dumps(older("tweet_create_events", *told)).encode(),
                (
                    raw(read, told[0]),
                    raw(Inbound(message(2, "Again")), told[1]),
                ),
                items=("tweet_create_events",),
            ),
            WebhookCase(
                "a direct message",
                json.dumps(older("direct_message_events", DIRECT, **beside)).encode(),
                (raw(Inbound(DIRECT_READ), DIRECT),),
            ),
            WebhookCase(
                "a deletion",
                json.dumps(older("tweet_delete_events", DELETED)).encode(),
                (Removal("x", "post", DELETED["status"]["id"], DELETED_AT),),
            ),
        ]

    @pytest.fixture
    def send_cases(self):
        reply = {"text": "We are sorry.", "reply": {"in_reply_to_tweet_id": post(1)["id"]}}
        there = own(90, id="77", edit_history_tweet_ids=["77"])
        said = {
            "id": "88",
            "text": "Hello!",
            "sender_id": ME,
            "created_at": "2026-03-02T09:00:01.000Z",
        }
        where = "dm_conversations/with/2222222222222222222/messages"
        denied = {"detail": "You do not have permission to DM one or more participants."}
        sent = {"data": {"id": "77", "text": "@OtherUser We are sorry."}}
        delivered = {"data": {"dm_event_id": "88", "dm_conversation_id": f"{ME}-{OLA}"}}
        seen = Receipt("77", NOW, "https://x.com/i/status/77")
        return [
            SendCase(
                "a reply",
                outgoing(),
                (posting("tweets", reply),),
                (answer(sent, 201),),
                seen,
                found=(answer(page(there)),),
                absent=(answer(page(own(91, "Else"), token="more")), answer(NOTHING)),
            ),
            SendCase(
                "an announcement",
                outgoing("We moved.", reply_to=None),
                (posting("tweets", {"text": "We moved."}),),
                (answer(sent, 201),),
                seen,
            ),
            SendCase(
                "a direct message",
                private(),
                (posting(where, {"text": "Hello!"}),),
                (answer(delivered, 201),),
                Receipt("88", NOW),
                found=(answer(page(said)),),
                absent=(answer(page(attrs_of(said, text="Else"))),),
            ),
            SendCase(
                "a direct message to who takes none",
                private(),
                (posting(where, {"text": "Hello!"}),),
                (answer(denied, 403),),
                Refused,
            ),
        ]


def attrs_of(item: dict, **fields) -> dict:
    """Return an item with other fields."""
    return {**item, **fields}


def test_it_is_what_the_desk_asks_for():
    """It polls, takes webhooks, finds, searches, checks and renews."""
    kinds = (Polls, Receives, Finds, Searches, Checks, Renews)
    assert [True] * 6 == [isinstance(shop(), kind) for kind in kinds]


# Making one.


@pytest.mark.parametrize(
    "options",
    [
        {"token": "two words"},
        {"token": ""},
        {"name": " "},
        {"base_url": "http://api.example"},
        {"base_url": "https://api.x.com/?a=b"},
        {"max_text": 279},
        {"max_text": True},
        {"consumer_secret": [""]},
        {"since": NOW.replace(tzinfo=None)},
    ],
)
def test_what_cannot_work_is_refused(options):
    """A channel that could not send, or prove a webhook, is never built."""
    with pytest.raises(InvalidValue):
        shop(**options)


@pytest.mark.parametrize("user_id", ["shop", "", 17, None, "1" * 20])
def test_the_account_is_a_number_as_text(user_id):
    """The handle is not enough: webhooks and paths name the account by its id."""
    with pytest.raises(InvalidValue, match="user_id"):
        X(user_id, token=TOKEN)


def test_a_premium_account_writes_more():
    """Long posts are for who pays for them: `max_text` says so."""
    traits = shop(max_text=4_000).traits
    assert (4_000, 280) == (traits.max_text, shop().traits.max_text)


def test_renewed_tokens_are_used():
    """What the desk kept of a renewal counts, and not what the channel was made with."""
    kept = {"token": Secret("t2"), "refresh_token": Secret("r2")}
    again = shop().using(ChannelState("x", credentials=kept))
    assert ("t2", "r2") == (again.token.reveal(), again.refresh_token.reveal())
    assert shop() == shop().using(ChannelState("x"))


# Out.


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (outgoing(reply_to=("overheard", "5")), "not summoned us"),
        (outgoing(reply_to=("message", "5")), "what was private"),
        (outgoing("See https://example.com"), r"\$0\.20"),
        (outgoing("See example.com"), r"\$0\.20"),
        (outgoing("See http://intranet/page"), r"\$0\.20"),
        (outgoing("あ" * 141), "282"),
        (outgoing(" "), "send several"),
        (private("a" * 10_001), "10001"),
        (outgoing(attachments=(Attachment("image", "https://files.example/a.png"),)), "upload"),
    ],
)
def test_what_x_cannot_express_is_refused_before_anything_is_asked(wanted, why):
    """No request is made, so that nothing is paid and nothing is in doubt."""
    driven = drive(shop().send(wanted), [])
    assert isinstance(driven.error, Unsupported)
    assert () == driven.requests
    with pytest.raises(Unsupported, match=why):
        raise driven.error


@pytest.mark.parametrize(
    "wanted", [private("See https://example.com"), outgoing("See https://example.com")]
)
def test_links_go_out_where_they_cost_nothing_or_are_wanted(wanted):
    """In private a link costs nothing; in public `links=True` says that it may cost $0.20."""
    sent = answer({"data": {"id": "9", "dm_event_id": "9"}}, 201)
    driven = drive(shop(links=wanted.visibility is Visibility.public).send(wanted), [sent])
    assert "9" == driven.result.id


def test_a_public_post_may_be_answered_in_private():
    """Whoever mentioned us can be written to, if they allow it."""
    wanted = outgoing(visibility=Visibility.private)
    driven = drive(shop().send(wanted), [answer({"data": {"dm_event_id": "9"}}, 201)])
    assert f"{HOST}/2/dm_conversations/with/{OLA}/messages" == driven.requests[0].url


TWICE = {"detail": "You are not allowed to create a Tweet with duplicate content.", "status": 403}
LONE = (
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise "
    "engaged by the author of the post you are replying to."
)


@pytest.mark.parametrize(
    ("content", "status", "fields", "kind", "words"),
    [
        (TWICE, 403, {}, Refused, "duplicate"),
        (TWICE, 403, {"first_sent_at": NOW, "attempt": 2}, Ambiguous, "perhaps by us"),
        ({"detail": LONE}, 403, {}, Refused, "only where the author mentioned"),
        ({"detail": "You attempted to reply to a Tweet that is deleted"}, 403, {}, Refused, "dele"),
        ({"errors": [{"message": "Your Tweet text is too long"}]}, 400, {}, Refused, "too long"),
        ({"detail": "Your account is suspended"}, 403, {}, NeedsAuth, "suspended"),
        ({"type": "https://api.twitter.com/2/problems/client-forbidden"}, 403, {}, NeedsAuth, "c"),
        ({"title": "CreditsDepleted"}, 402, {}, NeedsAuth, "buy some"),
        ({"title": "Unauthorized"}, 401, {}, NeedsAuth, "token"),
        ({"errors": [{"message": "nobody"}]}, 200, {}, Ambiguous, "nobody"),
        ({}, 503, {}, Ambiguous, "503"),
    ],
)
def test_a_refusal_is_the_accounts_the_messages_or_in_doubt(content, status, fields, kind, words):
    """What X says decides whether all wait, one fails, or nobody knows."""
    driven = drive(shop().send(outgoing(**fields)), [answer(content, status)])
    assert kind is type(driven.error)
    assert words in str(driven.error)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"x_rate_limit_reset": str(int(NOW.timestamp()) + 300)}, timedelta(minutes=5)),
        ({"x_rate_limit_reset": "soon"}, timedelta(minutes=1)),
        ({}, timedelta(minutes=1)),
        (
            {
                "x_rate_limit_reset": str(int(NOW.timestamp()) + 300),
                "x_user_limit_24hour_remaining": "0",
                "x_user_limit_24hour_reset": str(int(NOW.timestamp()) + 900),
                "x_app_limit_24hour_remaining": "7",
                "x_app_limit_24hour_reset": str(int(NOW.timestamp()) + 1_800),
            },
            timedelta(minutes=15),
        ),
    ],
)
def test_the_account_pauses_until_the_window_ends(headers, waits):
    """X names an instant for its 15 minutes, and another for the day where that is used up."""
    driven = drive(shop().send(outgoing()), [answer({}, 429, **headers)])
    assert isinstance(driven.error, RateLimited)
    assert NOW + waits == driven.error.until


# Polled.


def polled(*answers: object, cursor: object = None, **options):
    """Poll once; return the page and the queries."""
    place = None if cursor is None else json.dumps(cursor)
    driven = drive(shop(**options).poll(place), [*map(as_response, answers)])
    assert driven.error is None, driven.error
    asked = [
        (urlsplit(r.url).path, dict(parse_qsl(urlsplit(r.url).query))) for r in driven.requests
    ]
    return driven.result, asked


def as_response(content: object) -> Response:
    """Return a response as it is, and anything else as the JSON of one."""
    return content if isinstance(content, Response) else answer(content)


def test_a_round_reads_back_to_where_the_last_one_ended():
    """Pages go backwards; only the last one moves the place, to what is older than ten minutes."""
    begin = {"mentions": {"since": "1"}}
    newest, older_one = post(85), post(40)
    first, asked = polled(page(newest, older_one, token="t1"), cursor=begin)
    assert first.more
    assert ("1", "100") == (asked[0][1]["since_id"], asked[0][1]["max_results"])
    second, asked = polled(page(post(30)), NOTHING, cursor=json.loads(first.cursor))
    assert "t1" == asked[0][1]["pagination_token"]
    assert not second.more
    places = json.loads(second.cursor)
    assert {"since": older_one["id"], "token": "", "newest": ""} == places["mentions"]


def test_a_page_that_x_forgot_begins_the_round_again():
    """A token that no longer counts loses nothing: what was read is known by its id."""
    begin = {"mentions": {"since": "1", "token": "gone", "newest": "5"}}
    read, asked = polled(answer({}, 400), page(post(1)), NOTHING, cursor=begin)
    assert ["gone", None] == [query.get("pagination_token") for _, query in asked[:2]]
    assert 1 == len(read.facts)


def test_a_first_poll_takes_the_last_day_for_news():
    """What is older is history, and pages that are older than that are not paid for."""
    old = post(1, created_at="2026-02-28T00:00:00.000Z")
    read, asked = polled(page(post(2), old, token="more"), NOTHING)
    assert [True, False] == [fact.backfill for fact in read.facts]
    assert (2, False) == (len(asked), read.more)


@pytest.mark.parametrize("refused", [403, 429])
def test_what_x_does_not_show_waits(refused):
    """Without a scope, or in a window that is used up, mentions still come in."""
    read, _ = polled(page(post(1)), answer({}, refused), answer({}, refused), messages=True)
    assert 1 == len(read.facts)


def test_either_spelling_is_read():
    """What 2.167 calls posts are the tweets of 2.166."""
    item = own(7)
    item["edit_history_post_ids"] = item.pop("edit_history_tweet_ids")
    item["referenced_posts"] = item.pop("referenced_tweets")
    (answered,) = polled(NOTHING, page(item))[0].facts
    assert (post(1)["id"], OLA, "We are sorry.") == (
        answered.message.parent,
        answered.customer,
        answered.message.text,
    )


def test_a_long_post_is_read_whole_with_its_links_and_pictures():
    """`note_tweet` has what `text` cuts off; links are what was written, pictures are listed."""
    link = {"url": "https://t.co/abc", "expanded_url": "https://shop.example/4711"}
    shown = {
        "url": "https://t.co/pic",
        "expanded_url": "https://x.com/i/photo/1",
        "media_key": "3_1",
    }
    odd = {"url": "https://else.example", "expanded_url": "https://odd.example"}
    long = {"text": "@ExampleUser 1 &lt; 2 &amp; https://t.co/abc https://t.co/pic"}
    urls = {"urls": [odd, link, shown]}
    item = post(1, "@ExampleUser 1", note_tweet={**long, "entities": urls})
    item["attachments"] = {"media_keys": ["3_1", "3_2"]}
    item["entities"] = None
    media = {
        "media_key": "3_1",
        "type": "photo",
        "url": "https://pbs.example/1.jpg",
        "alt_text": "A",
    }
    video = {
        "media_key": "3_2",
        "type": "animated_gif",
        "preview_image_url": "https://pbs.example/2",
    }
    (read,) = polled(page(item, media=[media, video]), NOTHING)[0].facts
    pictures = (
        Attachment("image", "https://pbs.example/1.jpg", "A"),
        Attachment("video", "https://pbs.example/2"),
    )
    assert "@ExampleUser 1 < 2 & https://shop.example/4711" == read.message.text
    assert pictures == read.message.attachments


def test_reposts_and_our_own_mentions_are_no_questions():
    """Nobody is answered who only passed something on, and never ourselves."""
    repost = post(1, referenced_tweets=[{"type": "retweeted", "id": "5"}])
    assert (
        ()
        == polled(
            page(repost, own(2)), page(own(3, referenced_tweets=None, in_reply_to_user_id=None))
        )[0].facts
    )


def direct(number: int, text: str = "Hello", **fields) -> dict:
    """Return a direct message by Ola as `GET /2/dm_events` has it."""
    made = {
        "id": f"15828384999835{number:05}",
        "event_type": "MessageCreate",
        "text": text,
        "sender_id": OLA,
        "dm_conversation_id": f"{ME}-{OLA}",
        "created_at": (NOW + timedelta(minutes=number - 90)).isoformat().replace("+00:00", ".000Z"),
    }
    return {**made, **fields}


def test_direct_messages_are_polled_by_their_time():
    """X takes no id here: what is not newer than the last round is known, and nothing else."""
    begin = {"messages": {"since": (NOW - timedelta(minutes=80)).isoformat()}}
    ours = direct(85, "We are here.", sender_id=ME)
    joins = direct(70, event_type="ParticipantsJoin")
    items = page(ours, joins, direct(20, "Hi &amp; hello"), direct(10), token="more")
    read, asked = polled(NOTHING, NOTHING, items, cursor=begin, messages=True)
    question, answered = (bare(fact) for fact in read.facts)
    assert ("Hi & hello", OLA, "private") == (
        question.message.text,
        question.message.thread,
        question.message.visibility,
    )
    assert (OLA, "We are here.") == (answered.customer, answered.message.text)
    assert ("MessageCreate", False) == (asked[2][1]["event_types"], read.more)
    assert (NOW - timedelta(minutes=20)).isoformat() == json.loads(read.cursor)["messages"]["since"]


def test_direct_messages_have_pages_too():
    """One page at a time; a page that X forgot begins the round again."""
    read, _ = polled(NOTHING, NOTHING, page(direct(80), token="t2"), messages=True)
    assert read.more
    read, asked = polled(
        NOTHING, NOTHING, answer({}, 400), NOTHING, cursor=json.loads(read.cursor), messages=True
    )
    assert ["t2", None] == [query.get("pagination_token") for _, query in asked[2:]]


def test_a_group_goes_into_quarantine():
    """An answer to one of a group would reach another place: a person must look."""
    group = direct(1, dm_conversation_id="1578398451921985538")
    (item,) = polled(NOTHING, NOTHING, page(group), messages=True)[0].unreadable
    assert "group" in item.why
    with pytest.raises(PayloadError, match="group"):
        shop().reread(item.raw)


@pytest.mark.parametrize(
    "content", [{}, {"errors": [{"message": "no"}]}, {"data": {}}, {"data": [0] * 1001}]
)
def test_an_answer_without_a_list_is_no_news(content):
    """Only X's own word that there is nothing counts as nothing."""
    assert isinstance(drive(shop().poll(None), [answer(content)]).error, PayloadError)


# Told by webhooks.


def test_x_proves_the_address_by_a_token():
    """The answer is made with the consumer secret; without a token nothing is signed."""
    asked = Webhook("GET", b"", NOW, query={"crc_token": "abc"})
    response = shop().receive(asked).response
    assert {"response_token": x_crc_answer(Secret(SECRET), "abc")} == response.json()
    for query in ((), (("crc_token", "a"), ("crc_token", "b"))):
        with pytest.raises(WebhookRejected, match="crc_token"):
            shop().receive(attrs.evolve(asked, query=query))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"method": "PUT"}, 405),
        ({"body": b" " * 1_048_577}, 413),
        ({"headers": [*sign(b"{}").items()] * 2}, 401),
    ],
)
def test_what_is_no_delivery_is_rejected(change, code):
    """Before anything is read, and with the status that fits."""
    with pytest.raises(WebhookRejected) as rejected:
        shop().receive(attrs.evolve(Webhook("POST", b"{}", NOW, sign(b"{}")), **change))
    assert code == rejected.value.status


def test_without_its_secret_no_webhook_is_taken():
    """An account that is only polled believes nobody."""
    with pytest.raises(WebhookRejected, match="consumer_secret"):
        shop(consumer_secret=()).receive(hook({}))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({}, "no events"),
        ({"for_user_id": ME}, "no events"),
        (older("tweet_create_events", *[{}] * 1_001), "1000 events"),
        ({"data": [0] * 20_001}, "values"),
        ([], "body"),
    ],
)
def test_what_cannot_be_read_as_a_whole_is_kept_whole(content, why):
    """Genuine, and too much or nothing: the desk keeps it and tells somebody."""
    with pytest.raises(PayloadError, match=why):
        shop().receive(hook(content))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (older("tweet_create_events", status(1)) | {"for_user_id": "7"}, "not about"),
        (newer("post.mention.create", post(1)) | {}, ""),
        (newer("chat.received", {"encoded_event": "CwAB"}), "encrypted"),
        ({"user_event": {"revoke": {"source": {"user_id": ME}}}}, "not about"),
        ({"for_user_id": ME, "surprise": {"a": 1}}, "not known here"),
        (older("direct_message_events", {"type": "welcome"}), "type"),
        (
            older(
                "direct_message_events",
                attrs_of(DIRECT, message_create={**DIRECT["message_create"], "sender_id": ME}),
            ),
            "neither or both",
        ),
        (older("tweet_create_events", status(1, None)), "text"),
        (newer("post.mention.create", post(1, None)), "text"),
        (newer("post.mention.create", post(1, edit_history_tweet_ids="5")), "edit_history"),
    ],
)
def test_an_event_that_cannot_be_read_is_kept(content, why):
    """It is quarantined alone, with the reason, and is still unreadable when it is read again."""
    if "data" in content and not why:
        content["data"]["filter"] = {"user_id": "7"}
        why = "not about"
    (item,) = shop().receive(hook(content)).unreadable
    assert why in item.why
    assert 1 == len(shop().reread(item.raw).unreadable)


def test_a_mended_event_can_be_read_again():
    """What was quarantined is a webhook of its own, names included; so is a post."""
    broken = attrs_of(DIRECT, id=None)
    (item,) = (
        shop().receive(hook(older("direct_message_events", broken, users=V1_USERS))).unreadable
    )
    mended = item.raw.replace(b'"id":null', b'"id":"954491830116155396"', 1)
    assert [Inbound(DIRECT_READ)] == [*map(bare, shop().reread(mended).facts)]
    assert (
        "overheard"
        == shop().reread(json.dumps(post(1, entities=None)).encode()).facts[0].message.kind
    )


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (
            newer("post.mention.create", post(1), includes={"users": USERS}),
            "post",
            "hey @ExampleUser",
        ),
        (
            newer(
                "post.reply.create",
                post(1, "Oh", entities={}, in_reply_to_user_id=ME, in_reply_to_tweet_id="5"),
            ),
            "post",
            "Oh",
        ),
        (
            newer("post.reply.create", post(1, "Oh", entities={}, in_reply_to_user_id="7")),
            "overheard",
            "Oh",
        ),
        (
            newer(
                "post.quote.create",
                post(1, "This!", entities={}, referenced_tweets=[{"type": "quoted", "id": "5"}]),
                includes={"tweets": [{"id": "5", "author_id": ME}]},
            ),
            "post",
            "This!",
        ),
        (
            older(
                "tweet_create_events",
                status(1, "This!", entities={}, quoted_status={"user": {"id_str": ME}}),
            ),
            "post",
            "This!",
        ),
        (older("tweet_create_events", status(1, "Hm", entities={})), "overheard", "Hm"),
        (
            older(
                "tweet_create_events",
                status(
                    1,
                    "hey… https://t.co/x",
                    truncated=True,
                    extended_tweet={
                        "full_text": "hey, long",
                        "entities": {
                            "user_mentions": [{"screen_name": "ExampleUser", "id_str": ME}]
                        },
                    },
                ),
            ),
            "post",
            "hey, long",
        ),
    ],
)
def test_who_addressed_us_can_be_answered(content, kind, text):
    """A mention, a reply and a quote summon us, in either version; anything else is overheard."""
    (read,) = facts_of(content)
    assert (kind, text) == (read.message.kind, read.message.text)


def test_our_own_posts_and_messages_come_back():
    """An answer that staff gave in X's app, or ours, is an echo in either form of webhook."""
    name = post(1)["id"]
    ours = status(
        2,
        "@OtherUser Soon.",
        user={"id_str": ME, "screen_name": "ExampleUser"},
        in_reply_to_status_id_str=name,
        in_reply_to_user_id_str=OLA,
        timestamp_ms="1772438400557",
    )
    sent = attrs_of(
        DIRECT,
        message_create={
            **DIRECT["message_create"],
            "sender_id": ME,
            "target": {"recipient_id": OLA},
        },
    )
    for content, text, parent in (
        (older("tweet_create_events", ours), "Soon.", name),
        (newer("post.create", own(5)), "We are sorry.", name),
        (
            newer("dm.sent", {"direct_message_events": [sent], "users": {ME: {"data": USERS[1]}}}),
            "Hello World!",
            None,
        ),
    ):
        (read,) = facts_of(content)
        assert isinstance(read, Outbound)
        assert (OLA, text, parent) == (read.customer, read.message.text, read.message.parent)


def test_an_edit_by_webhook_is_known_by_its_first_id():
    """Every version has an id; the first one stays the message's own."""
    history = {"initial_tweet_id": "5", "edit_tweet_ids": ["5", status(1)["id_str"]]}
    first, edit = facts_of(older("tweet_create_events", status(1, edit_history=history)))
    assert ("5", ("x", "post", "5"), status(1)["id_str"]) == (
        first.message.id,
        edit.key,
        edit.revision,
    )


def test_a_picture_in_a_direct_message_is_listed():
    """Its link is left out of the words."""
    media = {
        "type": "photo",
        "media_url_https": "https://ton.example/1.jpg",
        "url": "https://t.co/p",
    }
    data = {"text": "Look https://t.co/p", "attachment": {"type": "media", "media": media}}
    item = attrs_of(DIRECT, message_create={**DIRECT["message_create"], "message_data": data})
    (read,) = facts_of(newer("dm.received", {"direct_message_events": [item], "users": {}}))
    assert ("Look", (Attachment("image", "https://ton.example/1.jpg"),)) == (
        read.message.text,
        read.message.attachments,
    )


def test_likes_of_our_posts_are_reactions_and_follows_are_nothing():
    """A like reopens nothing; who likes another's post says nothing to us."""
    ours = status(1, user={"id_str": ME, "screen_name": "ExampleUser"})
    like = {"favorited_status": ours, "user": {"id_str": OLA}, "timestamp_ms": 1772438400557}
    (read,) = facts_of(older("favorite_events", like))
    assert Reaction("x", "post", post(1)["id"], Author(OLA), "❤", DIRECT_READ.at) == read
    assert [] == facts_of(older("favorite_events", {**like, "favorited_status": status(1)}))
    assert [] == facts_of(older("follow_events", {"type": "follow"}))
    assert [] == facts_of(newer("follow.follow", {}))
    assert [Removal("x", "post", "7", NOW)] == facts_of(newer("post.delete", {"id": "7"}))
    assert [] == facts_of(older("tweet_create_events", status(1, retweeted_status=ours)))


# Looking.


@pytest.mark.parametrize(
    "item",
    [
        own(95, "@OtherUser @Third We  are\nsorry."),
        own(95, edit_history_tweet_ids=["5", "6"]),
    ],
)
def test_our_post_is_known_by_its_words_and_what_it_answers(item):
    """However X shows it: names in front, spaces, or edited by staff."""
    found = drive(shop().find_sent(outgoing()), [answer(page(item))]).result.receipt
    assert item["edit_history_tweet_ids"][0] == found.id


def test_links_are_known_again_although_x_shortens_them():
    """What is shown is t.co; what was meant stands beside it, with a scheme of X's choice."""
    link = {"url": "https://t.co/abc", "expanded_url": "http://example.com"}
    item = own(95, "@OtherUser See https://t.co/abc &amp; more", entities={"urls": [link]})
    wanted = outgoing("See example.com/ & more")
    assert item["id"] == drive(shop().find_sent(wanted), [answer(page(item))]).result.receipt.id


@pytest.mark.parametrize(
    "item",
    [
        own(60),
        own(95, "Else"),
        own(95, referenced_tweets=[{"type": "replied_to", "id": "5"}]),
        own(95, edit_history_tweet_ids=["known"]),
    ],
)
def test_another_post_is_not_ours(item):
    """Older, other words, another parent, or the receipt of another reply."""
    wanted = outgoing(known=frozenset({"known"}), first_sent_at=NOW)
    assert Found() == drive(shop().find_sent(wanted), [answer(page(item))]).result


def test_too_many_posts_prove_no_absence():
    """What was not read to its end may be there."""
    pages = [answer(page(own(95, "Else"), token="more"))] * 10
    assert not drive(shop().find_sent(outgoing()), pages).result.looked


def test_a_message_of_theirs_is_not_ours():
    """The same words from the customer are no receipt."""
    said = direct(95, "Hello!")
    assert Found() == drive(shop().find_sent(private()), [answer(page(said))]).result


# Listening.


def test_listening_finds_what_does_not_address_us():
    """Tagged ones have the key that they come in with; reposts and our own are left out."""
    items = page(post(3), post(2, "ExampleShop is slow", entities={}), own(1))
    driven = drive(shop().search("ExampleShop", None), [answer(items)])
    kinds = {fact.message.id[-5:]: fact.message.kind for fact in driven.result.facts}
    assert {"00003": "post", "00002": "overheard"} == kinds
    query = parse_qs(urlsplit(driven.requests[0].url).query)
    assert [f"(ExampleShop) -is:retweet -from:{ME}"] == query["query"]


def test_a_first_search_reads_one_page_and_later_ones_go_on():
    """Each post costs: history is not fetched, and nothing new is missed."""
    first = drive(shop().search("a", None), [answer(page(post(3), token="more"))]).result
    assert not first.more
    later = drive(shop().search("a", first.cursor), [answer(page(post(9), token="more"))])
    assert later.result.more
    assert f"since_id={post(3)['id']}" in later.requests[0].url


def test_a_search_that_stood_still_for_a_week_begins_anew():
    """X searches seven days; an older place is refused, and so is a query that is wrong."""
    place = json.dumps({"mentions": {"since": "5"}})
    driven = drive(shop().search("a", place), [answer({}, 400), answer(NOTHING)])
    assert [True, False] == ["since_id" in request.url for request in driven.requests]
    assert isinstance(drive(shop().search("(", None), [answer({}, 400)]).error, Refused)


# How it is.


def checked(*answers: Response, **options) -> Health:
    """Return what `check` says of these answers."""
    driven = drive(shop(**options).check(), answers)
    assert driven.error is None
    return driven.result


def test_a_healthy_account_is_one():
    """Its own token, and both reads."""
    renews = {"refresh_token": "r", "client_id": "c", "client_secret": "s"}
    me = answer({"data": {"id": ME, "username": "ExampleUser"}})
    assert Health(True) == checked(me, answer(NOTHING), answer(NOTHING), messages=True, **renews)


def test_what_is_missing_is_named():
    """Another account's token, a scope, what renews it, and what proves webhooks."""
    me = answer({"data": {"id": "7", "username": "other"}})
    health = checked(me, answer({}, 403), consumer_secret=())
    assert not health.ok
    assert ["@other" in health.problems[0], "tweet.read" in health.problems[1]] == [True, True]
    assert ["two hours" in health.notes[0], "consumer_secret" in health.notes[1]] == [True, True]


def test_new_tokens_are_asked_for_with_the_apps_proof():
    """The refresh token that comes back counts from then on."""
    renews = shop(refresh_token="r1", client_id="app", client_secret="s")
    made = answer({"access_token": "t2", "refresh_token": "r2", "expires_in": 7200})
    driven = drive(renews.renew(), [made])
    kept = {name: secret.reveal() for name, secret in driven.result.credentials.items()}
    assert {"token": "t2", "refresh_token": "r2"} == kept
    assert "Basic YXBwOnM=" == driven.requests[0].headers.get("Authorization")
    assert b"grant_type=refresh_token&refresh_token=r1" == driven.requests[0].body


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        ({}, []),
        (
            {"refresh_token": "r", "client_id": "a", "client_secret": "s"},
            [answer({"error": "invalid_request"}, 400)],
        ),
    ],
)
def test_who_cannot_renew_says_so(options, answers):
    """A person must authorize the app again."""
    assert isinstance(drive(shop(**options).renew(), answers).error, NeedsAuth)


# What it costs.


@pytest.mark.parametrize(
    ("request_", "response", "expected"),
    [
        (
            posting("tweets", {"text": "a", "reply": {"in_reply_to_tweet_id": "5"}}),
            None,
            ("reply", "0.01"),
        ),
        (posting("tweets", {"text": "a"}), None, ("announcement", "0.015")),
        (posting("tweets", {"text": "a.com", "reply": {}}), None, ("post with a link", "0.20")),
        (Request("POST", f"{HOST}/2/tweets", body=b"?"), None, ("announcement", "0.015")),
        (posting("dm_conversations/with/5/messages", {"text": "a"}), None, ("message", "0.015")),
        (Request("GET", f"{HOST}/2/users/5/mentions?max_results=100"), None, ("mentions", "0.100")),
        (
            Request("GET", f"{HOST}/2/users/5/mentions"),
            answer(page(post(1), post(2))),
            ("mentions", "0.002"),
        ),
        (Request("GET", f"{HOST}/2/users/5/tweets"), answer({}, 429), ("own posts", "0.000")),
        (Request("GET", f"{HOST}/2/dm_events?max_results=20"), None, ("messages read", "0.200")),
        (
            Request("GET", f"{HOST}/2/dm_conversations/with/5/dm_events"),
            answer(NOTHING),
            ("messages read", "0.000"),
        ),
        (
            Request("GET", f"{HOST}/2/tweets/search/recent"),
            answer(page(post(1))),
            ("search", "0.005"),
        ),
        (Request("GET", f"{HOST}/2/users/me"), None, ("account", "0.010")),
        (Request("POST", f"{HOST}/2/oauth2/token"), None, ("", "0")),
    ],
)
def test_every_request_has_its_price(request_, response, expected):
    """By purpose, so that they can be added up; reads by what came of them."""
    assert (expected[0], Decimal(expected[1])) == shop().cost_of(request_, response)


def test_the_purposes_are_those_of_the_traits():
    """What a person reads before is what is counted after; a priced search is never run unasked."""
    assert "0.005 USD" == shop().traits.cost["search"]


# Over a real connection.


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def platform(clock):
    """Return X on this machine."""
    with XPlatform(clock=clock) as made:
        yield made


def channel_for(platform: XPlatform, **options) -> X:
    """Return the channel of a local platform's account."""
    return X(**platform.credentials(), base_url=platform.url, **options)


@pytest.fixture
def desk(platform, clock):
    """Return a desk that serves the local platform's account."""
    with Desk(MemoryStore(clock), [channel_for(platform)], clock=clock) as made:
        yield made


def taken_by(desk: Desk, platform: XPlatform):
    """Return what takes webhooks for a desk."""

    def receive(method, headers, query, body):
        done = desk.receive("x", Webhook(method, body, platform.now(), headers, query))
        return done.status, done.body

    return receive


@pytest.mark.parametrize(
    ("hooks", "spelling"),
    [("activity", "post"), ("account_activity", "tweet"), (None, "tweet"), (None, "post")],
)
def test_a_customer_is_helped_in_public_and_in_private(platform, desk, clock, spelling, hooks):
    """Polled or told by either webhook, in either spelling: each word once, each answer in place."""
    platform.spelling = spelling
    if hooks:
        platform.hooks = hooks
        assert platform.register(taken_by(desk, platform))
    ola = platform.customer("ola")
    asked = ola.post("@shop Where is it? " + "Really. " * 20)
    ola.write("My number is 4711 & more.")
    desk.poll()
    public, in_private = sorted(desk.inbox(unanswered=True), key=lambda c: c.thread == ola.id)
    desk.reply(public, "It comes today.")
    desk.reply(in_private, "Thank you.")
    assert 2 == desk.deliver().sent
    ola.edit(asked, "@shop Where is it? Please.")
    clock.advance(minutes=1)
    platform.redeliver()
    desk.poll()
    assert [("It comes today.", asked)] == [(p.text, p.parent) for p in platform.posts]
    assert ["Thank you."] == [m.text for m in platform.messages]
    assert (2, ()) == (len(desk.inbox()), tuple(desk.quarantine()))
    assert 3 == len(desk.messages(public))  # the question, as it was changed, and the answer
    said = {stored.message.text for stored in desk.messages(in_private)}
    assert {"My number is 4711 & more.", "Thank you."} == said


@pytest.mark.parametrize("fault", ["response_lost", "error_after", "no_id", "error_before", "late"])
@pytest.mark.parametrize("private_too", [False, True])
def test_whatever_goes_wrong_each_answer_is_posted_once(platform, desk, clock, fault, private_too):
    """A lost answer is looked for, and only what is not there is sent again."""
    ola = platform.customer("ola")
    (ola.write if private_too else ola.post)("@shop Where is it?")
    desk.poll()
    (asked,) = desk.inbox()
    desk.reply(asked, "It comes today.")
    if fault == "late":
        platform.fault_next("lag", match="POST *", reads=1)
        platform.fault_next("response_lost", match="POST *")
    else:
        platform.fault_next(fault, match="POST *")
    for _ in range(8):
        desk.deliver()
        clock.advance(minutes=5)
    assert 1 == len(platform.posts) + len(platform.messages)
    assert ["sent"] == [row.state for row in desk.outbox()]


def test_an_echo_that_comes_first_is_the_receipt(platform, desk, clock):
    """X's webhook may be faster than its answer, which then is lost: still nothing is sent twice."""
    assert platform.register(taken_by(desk, platform))
    platform.customer("ola").post("@shop Where is it?")
    (asked,) = desk.inbox()
    desk.reply(asked, "It comes today.")
    platform.fault_next("response_lost", match="POST *")
    desk.deliver()
    (row,) = desk.outbox()
    assert ("sent", platform.posts[0].id) == (row.state, row.remote_id)


def test_what_did_not_address_us_cannot_be_answered_in_public(platform, desk):
    """A quote summons us; X would refuse anything else, and is not asked."""
    assert platform.register(taken_by(desk, platform))
    news = platform.shop.post("We moved.")
    quoting = platform.customer("ola").post("Finally!", quotes=news)
    (asked,) = desk.inbox()
    desk.reply(asked, "Yes!")
    assert 1 == desk.deliver().sent
    assert quoting is platform.posts[0].parent


def test_an_expired_token_is_renewed_and_nothing_is_lost(platform, desk):
    """The desk asks for a new token, keeps it, and goes on."""
    platform.customer("ola").post("@shop Where is it?")
    platform.token = "another"
    desk.poll()
    desk.poll()
    assert ["Where is it?"] == [
        stored.message.text for c in desk.inbox() for stored in desk.messages(c)
    ]
    assert "refresh-1" == platform.refresh_token


def test_search_and_check_work_over_the_wire(platform):
    """What is heard is no question, and the account's health is known."""
    platform.customer("ola").post("The kettle of shop is slow")
    x, transport = channel_for(platform), Transport()
    (heard,) = run(x.search("kettle", None), transport.send).facts
    health = run(x.check(), transport.send)
    transport.close()
    assert ("overheard", True) == (heard.message.kind, health.ok)


def test_the_platforms_signature_is_xs(platform):
    """What the local platform signs, the library's own verifier accepts."""
    taken = []
    assert not platform.register(lambda *asked: taken.append(asked) or (200, b"{}"))
    platform.register(
        lambda m, h, q, b: (
            (
                200,
                json.dumps(
                    {
                        "response_token": x_crc_answer(
                            Secret(platform.consumer_secret), q["crc_token"]
                        )
                    }
                ).encode(),
            )
            if m == "GET"
            else taken.append((h, b)) or 200
        )
    )
    platform.customer("ola").post("@shop Hello")
    headers, body = taken[-1]
    verify_x(Secret(platform.consumer_secret), body, headers["x-twitter-webhooks-signature"])
