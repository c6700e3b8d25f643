"""The Mastodon channel reads, answers and looks as the network's API wants it.

First its flows, answered by hand; then the contract of channels; then the local platform over a
real connection, with every fault that it can commit. Long, because the channel is one file too.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

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
    Page,
    Polls,
    RateLimited,
    Refused,
)
from supportflow.channels.mastodon import Mastodon
from supportflow.errors import InvalidValue, PayloadError, TransportError
from supportflow.http import Request, Response
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
    Receipt,
    Secret,
    Visibility,
)
from supportflow.testing import ChannelContract, PageCase, SendCase
from supportflow.testing.channel_cases import drive
from supportflow.testing.platforms.mastodon_text import countable_length

SPEC = Path(__file__).resolve().parents[3] / "shared/specs/mastodon/schema.json"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOST = "https://social.example"
TOKEN = "t0p-s3cret-token"
LEARNED = {"account": "101", "app": "desk", "limit": 500, "url": 23}
OLA = {"id": "102", "username": "ola", "acct": "ola", "display_name": "Ola"}
SHOP = {"id": "101", "username": "shop", "acct": "shop", "display_name": "Shop"}
TO_SHOP = {"id": "101", "username": "shop", "acct": "shop", "url": f"{HOST}/@shop"}
TO_OLA = {"id": "102", "username": "ola", "acct": "ola", "url": f"{HOST}/@ola"}
MENTION = (
    '<span class="h-card" translate="no"><a href="https://social.example/@shop" '
    'class="u-url mention">@<span>shop</span></a></span>'
)


def clock(at: datetime) -> str:
    """Return a time as Mastodon writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status(number: int, words: str = "Hello", **fields) -> dict:
    """Return a post by Ola that mentions the shop, `number` seconds after half past eight."""
    made = {
        "id": f"11{number:04}",
        "created_at": clock(NOW - timedelta(minutes=30) + timedelta(seconds=number)),
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "spoiler_text": "",
        "visibility": "public",
        "language": "en",
        "uri": f"{HOST}/users/ola/statuses/11{number:04}",
        "url": f"{HOST}/@ola/11{number:04}",
        "edited_at": None,
        "content": f"<p>{MENTION} {words}</p>",
        "reblog": None,
        "account": OLA,
        "media_attachments": [],
        "mentions": [TO_SHOP],
    }
    return {**made, **fields}


def told(number: int, of: dict | None = None, kind: str = "mention") -> dict:
    """Return a notification of a post."""
    shown = of or status(number)
    at = shown["created_at"]
    return {"id": f"{number}", "type": kind, "created_at": at, "account": OLA, "status": shown}


def own(number: int, text: str, app: str = "Web", **fields) -> dict:
    """Return a post by the shop that answers post 110001."""
    made = {
        "account": SHOP,
        "application": {"name": app, "website": None},
        "content": f"<p>{text}</p>",
        "in_reply_to_id": "110001",
        "in_reply_to_account_id": "102",
        "mentions": [TO_OLA],
        "url": f"{HOST}/@shop/11{number:04}",
    }
    return status(number, **{**made, **fields})


def answer(content: object, code: int = 200, **headers: str) -> Response:
    """Return an answer in JSON."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(code, headers, body.encode("utf-8", "backslashreplace"), NOW)


def shop(learned: Mapping[str, object] | None = None, **options) -> Mastodon:
    """Return the channel as it is after it learned something, by default everything."""
    found = LEARNED if learned is None else learned
    return Mastodon(HOST, token=TOKEN, **options).using(ChannelState("mastodon", learned=found))


def place(told_after: str = "0", own_after: str | None = "0") -> str:
    """Return a cursor."""
    return json.dumps({"told": told_after, "own": own_after}, separators=(",", ":"))


def outgoing(text: str = "We are sorry.", **fields) -> Outgoing:
    """Return an answer to Ola's first post."""
    made = {
        "id": "row-1",
        "mark": "mark-1",
        "text": text,
        "to": Author("102", "Ola", "ola"),
        "thread": "110001",
        "reply_to": ("status", "110001"),
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": NOW,
        "language": "en",
    }
    return Outgoing(**{**made, **fields})


def asked(request: Request) -> tuple[str, dict[str, list[str]]]:
    """Return a request's method and path, and its query."""
    parts = urlsplit(request.url)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query):
        query.setdefault(name, []).append(value)
    return f"{request.method} {parts.path}", query


def page_of(*items: object, cursor: str | None = None, posts: tuple = (), **options) -> Page:
    """Poll once, with these notifications and posts of our own, newest first."""
    flow = shop(**options).poll(place() if cursor is None else cursor)
    driven = drive(flow, [answer(list(items)), answer(list(posts))])
    assert driven.error is None, driven.error
    return driven.result


def texts(page: Page) -> list[str]:
    """Return the words of a page's facts."""
    return [
        fact.message.text if isinstance(fact, Inbound | Outbound) else fact.text
        for fact in page.facts
    ]


# Making one.


def test_it_is_what_the_desk_asks_for():
    """It polls, finds and checks; it takes no webhooks, and its class is found by name."""
    channel: Channel = shop()
    assert (True, True, True) == tuple(isinstance(channel, kind) for kind in (Polls, Finds, Checks))
    assert not hasattr(channel, "receive")


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("https://social.example", "https://social.example"),
        ("https://social.example/", "https://social.example"),
        ("social.example", "https://social.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_instance_is_named_by_its_address(given_url, expected):
    """A bare name means https; a slash at the end changes nothing; http is for this machine."""
    assert expected == Mastodon(given_url, token=TOKEN).instance_url


@pytest.mark.parametrize(
    "given_url",
    [
        "http://social.example",
        "ftp://social.example",
        "https://",
        "",
        "https://social.example/api",
        "https://social.example?a=b",
        "https://me:secret@social.example",
        "http://2130706433",
    ],
)
def test_an_address_that_is_no_instance_is_refused(given_url):
    """A token never goes in clear over the network, nor to a path that is not the API's."""
    with pytest.raises(InvalidValue) as refused:
        Mastodon(given_url, token=TOKEN)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"token": ""},
        {"token": TOKEN, "name": " "},
        {"token": TOKEN, "since": NOW.replace(tzinfo=None)},
    ],
)
def test_no_token_no_name_and_a_naive_time_are_refused(options):
    """Nothing is proved with an empty token; times have zones."""
    with pytest.raises(InvalidValue):
        Mastodon(HOST, **options)


def test_a_renewed_token_is_used():
    """`using` takes the token that was persisted, and it is not shown."""
    state = ChannelState("mastodon", credentials={"token": Secret("another")})
    request = next(Mastodon(HOST, token=TOKEN).using(state).send(outgoing(reply_to=None)))
    assert "Bearer another" == request.headers.get("Authorization")
    assert "another" not in repr(request)


# Reading.


def test_a_mention_becomes_an_inbound_message():
    """Every field that the desk uses is taken from where Mastodon puts it."""
    picture = {"id": "7", "type": "image", "url": f"{HOST}/7.png", "description": "a broken cup"}
    moving = {"id": "8", "type": "gifv", "url": None, "remote_url": f"{HOST}/8.mp4"}
    post = status(
        1,
        'Broken &amp; late<br>see <a href="https://example.com/a?b=1&amp;c=2"><span '
        'class="invisible">https://</span><span class="ellipsis">example.com/a</span><span '
        'class="invisible">?b=1&amp;c=2</span></a></p><p>Ola',
        in_reply_to_id="110000",
        spoiler_text="complaint",
        media_attachments=[picture, moving],
    )
    item = told(1, post)
    expected = Message(
        "mastodon",
        "status",
        "110001",
        Author("102", "Ola", "ola"),
        "complaint\n\nBroken & late\nsee https://example.com/a?b=1&c=2\n\nOla",
        NOW - timedelta(minutes=30) + timedelta(seconds=1),
        parent="110000",
        language="en",
        attachments=(
            Attachment("image", f"{HOST}/7.png", "a broken cup"),
            Attachment("video", f"{HOST}/8.mp4"),
        ),
        permalink=f"{HOST}/@ola/110001",
        raw=json.dumps(item, separators=(",", ":")),
    )
    assert (Inbound(expected),) == page_of(item).facts


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        ("public", Visibility.public),
        ("unlisted", Visibility.public),
        ("private", Visibility.private),
        ("direct", Visibility.private),
        ("mutuals_only", Visibility.private),
    ],
)
def test_whoever_may_not_read_everything_wrote_in_private(visibility, expected):
    """What is not known to be open to everybody is never answered in public."""
    page = page_of(told(1, status(1, visibility=visibility)))
    assert [expected] == [fact.message.visibility for fact in page.facts]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"<p>{MENTION} hello</p>", "hello"),
        (f"<p>{MENTION}, hello</p>", "hello"),
        (f"<p>hello {MENTION}</p>", "hello @shop"),
        (f"<p>@courier {MENTION} hello</p>", "@courier hello"),
        (f"<p>{MENTION}</p>", ""),
        ("<p>@Shop hello</p>", "hello"),
        ("<p>@shopping hello</p>", "@shopping hello"),
        ("<p>@shop@elsewhere.example hello</p>", "@shop@elsewhere.example hello"),
    ],
)
def test_only_our_own_name_in_front_is_left_out(content, expected):
    """The words begin where they begin for a reader; other names stay readable."""
    assert [expected] == texts(page_of(told(1, status(1, content=content))))


def test_an_edited_post_is_itself_and_its_edit():
    """Read again after an edit, it gives the same message and a revision named by its time."""
    edited = clock(NOW - timedelta(minutes=5))
    post = status(1, "changed", edited_at=edited)
    inbound, edit = page_of(told(1, post)).facts
    assert "changed" == inbound.message.text
    assert (
        Edit("mastodon", "status", "110001", edited, "changed", NOW - timedelta(minutes=5)) == edit
    )


def test_an_update_is_taken_only_if_it_names_us():
    """Who boosted a post is told of its edits, also of those that are none of a shop's business."""
    ours = told(2, status(2, "changed", edited_at=clock(NOW)), "update")
    alien = told(3, status(3, "chat", edited_at=clock(NOW), mentions=[]), "update")
    assert ["changed", "changed"] == texts(page_of(alien, ours))


def test_other_notifications_and_our_own_words_are_left_out():
    """A server that ignores `types[]` gives stars and follows too; we are not our customer."""
    follow = {"id": "9", "type": "follow", "created_at": clock(NOW), "account": OLA}
    mine = told(3, status(3, account=SHOP))
    page = page_of(mine, follow, told(2, kind="favourite"), told(1))
    assert (["Hello"], ()) == (texts(page), page.unreadable)


def test_a_bad_item_is_quarantined_and_can_be_read_again():
    """Its neighbours are kept; mended, it gives what it would have given."""
    bad = told(2, status(2, created_at="yesterday"))
    page = page_of(told(3), bad, told(1))
    [unreadable] = page.unreadable
    assert ["110001", "110003"] == [fact.message.id for fact in page.facts]
    assert bad == json.loads(unreadable.raw)
    assert "yesterday" in unreadable.why
    with pytest.raises(PayloadError):
        shop().reread(unreadable.raw)
    mended = unreadable.raw.replace(b"yesterday", status(2)["created_at"].encode())
    assert page_of(told(2)).facts == shop().reread(mended).facts


def test_what_was_read_before_anything_was_learned_is_not_lost_when_read_again():
    """Without our account's id, every notification and post that is given is taken for ours."""
    channel = Mastodon(HOST, token=TOKEN)
    update = told(2, status(2, "changed", edited_at=clock(NOW)), "update")
    kinds = [
        [type(fact) for fact in channel.reread(json.dumps(item).encode()).facts]
        for item in (update, own(3, "Native"))
    ]
    assert [[Inbound, Edit], [Outbound]] == kinds


# Answers typed in the network's own app.


def test_an_answer_in_the_app_is_reported_and_our_own_is_not():
    """What our application posted is in the outbox; what another one posted, somebody typed."""
    page = page_of(told(1), posts=(own(4, "Native"), own(3, "Through the desk", app="desk")))
    inbound, outbound = page.facts
    assert isinstance(inbound, Inbound)
    assert ("Native", "110001", "102", None) == (
        outbound.message.text,
        outbound.message.parent,
        outbound.customer,
        outbound.mark,
    )


@pytest.mark.parametrize(
    ("fields", "customers"),
    [
        ({}, ["102"]),
        ({"in_reply_to_account_id": "101"}, [None]),
        ({"in_reply_to_id": None, "in_reply_to_account_id": None}, ["102"]),
        ({"in_reply_to_id": None, "in_reply_to_account_id": None, "mentions": []}, []),
        ({"reblog": {"id": "5"}}, []),
        ({"account": OLA}, []),
        ({"application": None}, []),
    ],
)
def test_whom_an_answer_in_the_app_is_for(fields, customers):
    """The platform says whom it answers, or the one name in it does; announcements are left out."""
    page = page_of(posts=(own(4, "Native", **fields),))
    assert customers == [fact.customer for fact in page.facts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ola On its way.", "On its way."),
        ("@ola, @courier on its way.", "@courier on its way."),
        ("Ask @ola.", "Ask @ola."),
        ("@olaf On its way.", "@olaf On its way."),
    ],
)
def test_the_customers_name_in_front_is_no_part_of_our_words(text, expected):
    """Regression: `send` puts it there, so that without this no lost answer is known by its words."""
    assert [expected] == texts(page_of(posts=(own(3, text),)))


def test_without_the_application_only_a_first_poll_looks_at_our_posts():
    """Where a server does not say whose token it is, our own answers cannot be told from others."""
    flow = shop({**LEARNED, "app": ""}).poll(place())
    driven = drive(flow, [answer([told(1)])])
    assert ["GET /api/v1/notifications"] == [asked(each)[0] for each in driven.requests]
    assert place("0", "0") != driven.result.cursor


# Going on.


def first_poll(notifications: list, posts: list, *more: Response, **options) -> tuple:
    """Poll for the first time, everything to be learned; return the requests and the page."""
    answers = [
        answer(SHOP),
        answer({"name": "desk"}),
        answer({"configuration": {"statuses": {"max_characters": 5000}}}),
        answer(notifications),
        *more,
        answer(posts),
    ]
    driven = drive(Mastodon(HOST, token=TOKEN, **options).poll(None), answers)
    assert driven.error is None, driven.error
    return [asked(each) for each in driven.requests], driven.result


def test_a_first_poll_learns_who_we_are_and_takes_the_newest_page():
    """It asks for account, application and limits once, and what it learned is handed over."""
    requests, page = first_poll([told(2), told(1)], [own(4, "Hi", app="desk")])
    types = {"types[]": ["mention", "update"], "include_filtered": ["true"], "limit": ["80"]}
    assert [
        ("GET /api/v1/accounts/verify_credentials", {}),
        ("GET /api/v1/apps/verify_credentials", {}),
        ("GET /api/v2/instance", {}),
        ("GET /api/v1/notifications", types),
        ("GET /api/v1/accounts/101/statuses", {"exclude_reblogs": ["true"], "limit": ["40"]}),
    ] == requests
    assert {**LEARNED, "limit": 5000} == page.learned
    assert ["Hello", "Hello", "Hi"] == texts(page)
    assert (place("2", "110004"), False) == (page.cursor, page.more)
    assert 5000 - 32 == shop(page.learned).traits.max_text


def test_a_first_poll_takes_what_is_older_than_a_day_for_history():
    """History is judged and never announced; `since` moves the border."""
    old = status(1, created_at=clock(NOW - timedelta(hours=25)))
    _, page = first_poll([told(2), told(1, old)], [])
    assert [True, False] == [fact.backfill for fact in page.facts]
    _, page = first_poll([told(2), told(1, old)], [], since=NOW - timedelta(days=2))
    assert [False, False] == [fact.backfill for fact in page.facts]


def test_a_first_poll_reads_back_as_far_as_since():
    """A full page whose oldest item is newer than `since` is followed by the one before it."""
    newest = [told(200 - n) for n in range(80)]
    requests, page = first_poll(newest, [], answer([told(120), told(119)]))
    assert ["121"] == requests[4][1]["max_id"]
    assert 82 == len(page.facts)


def test_a_first_poll_ends_even_if_the_server_gives_the_same_page_for_ever():
    """Nobody keeps a poll going for ever."""
    same = answer([told(200 - n) for n in range(80)])
    flow = shop().poll(None)
    driven = drive(flow, [*[same] * 25, answer([])])
    assert (26, False) == (len(driven.requests), driven.result.more)


def test_a_poll_goes_on_after_the_cursor_and_reads_ten_minutes_again():
    """The place moves to the newest item that is older than ten minutes, not past it."""
    late = told(3, status(3, created_at=clock(NOW - timedelta(minutes=9))))
    early = told(2, status(2, created_at=clock(NOW - timedelta(minutes=11))))
    flow = shop().poll(place("1", "110000"))
    driven = drive(flow, [answer([late, early]), answer([])])
    queries = [asked(each)[1]["min_id"] for each in driven.requests]
    assert [["1"], ["110000"]] == queries
    assert (place("2", "110000"), False) == (driven.result.cursor, driven.result.more)


def test_a_full_page_is_followed_at_once():
    """A full page moves the place to its newest item, says that there is more, and leaves our
    own posts for later, so that an answer never comes before what it answers.
    """
    full = [told(200 - n, status(200 - n, created_at=clock(NOW))) for n in range(80)]
    driven = drive(shop().poll(place()), [answer(full)])
    assert (place("200", "0"), True) == (driven.result.cursor, driven.result.more)


def test_a_full_page_that_leads_nowhere_is_not_followed():
    """Items without ids or times cannot keep a poll going."""
    driven = drive(shop().poll(place()), [answer([{}] * 80), answer([])])
    assert (80, False) == (len(driven.result.unreadable), driven.result.more)


@pytest.mark.parametrize("cursor", ["", "17", "{", "[]", '{"told":1,"own":""}', "\ud800"])
def test_a_cursor_that_is_not_ours_begins_anew(cursor):
    """A lost or spoilt cursor costs a longer page, never a message."""
    driven = drive(shop().poll(cursor), [answer([told(1)]), answer([])])
    assert ["Hello"] == texts(driven.result)


def test_without_the_scope_for_posts_mentions_still_come():
    """What the token may read is read; once it may read our posts too, they begin anew."""
    refused = answer({"error": "This action is outside the authorized scopes"}, 403)
    page = drive(shop().poll(None), [answer([told(1)]), refused]).result
    assert (["Hello"], '{"told":"1","own":null}') == (texts(page), page.cursor)
    old = own(2, "Long ago", created_at=clock(NOW - timedelta(days=3)))
    page = drive(shop().poll(page.cursor), [answer([]), answer([own(4, "Native"), old])]).result
    assert [True, False] == [fact.backfill for fact in page.facts]


def test_an_account_that_nobody_wrote_to_yet_reads_from_the_beginning():
    """An empty place has no id to go on from; whatever has come since is news."""
    old = status(1, created_at=clock(NOW - timedelta(days=9)))
    driven = drive(shop().poll(place("", "")), [answer([told(1, old)]), answer([])])
    assert "min_id" not in asked(driven.requests[0])[1]
    assert [False] == [fact.backfill for fact in driven.result.facts]


@pytest.mark.parametrize(
    ("given_answer", "error"),
    [
        (answer({"error": "The access token was revoked"}, 401), NeedsAuth),
        (answer({"error": "This action is outside the authorized scopes"}, 403), NeedsAuth),
        (answer({}, 429, **{"Retry-After": "30"}), RateLimited),
        (Response(429, body=b"{}"), TransportError),
        (Response(503, body=b"<html>", at=NOW), TransportError),
        (Response(302, {"Location": "https://example.net"}, at=NOW), TransportError),
        (answer({"error": "something"}), PayloadError),
        (Response(200, body=b"<html>", at=NOW), PayloadError),
    ],
)
def test_a_poll_that_fails_says_why_and_loses_nothing(given_answer, error):
    """No page comes back, so that no cursor moves."""
    assert error is type(drive(shop().poll(place()), [given_answer]).error)


def test_a_server_of_before_4_0_tells_its_limits_in_the_older_form():
    """`/api/v2/instance` came with 4.0; what an instance does not say stays as it is."""
    answers = [answer(SHOP), answer({}, 404), answer({}, 404), answer({"max_toot_chars": 700})]
    driven = drive(Mastodon(HOST, token=TOKEN).poll(None), [*answers, answer([]), answer([])])
    assert "GET /api/v1/instance" == asked(driven.requests[3])[0]
    assert {**LEARNED, "app": ""} == driven.result.learned


@pytest.mark.parametrize(
    "learned", [{}, {"limit": "many", "url": None, "account": 5}, {"limit": True, "x": 1}]
)
def test_what_is_remembered_wrongly_is_learned_again(learned):
    """What an older or newer version stored never breaks the channel."""
    channel = shop(learned)
    assert 500 - 32 == channel.traits.max_text
    assert "GET /api/v1/accounts/verify_credentials" == asked(next(channel.poll(place())))[0]


@pytest.mark.parametrize("status_code", [429, 500, 503])
def test_what_cannot_be_learned_now_is_learned_later(status_code):
    """Trouble of a moment is not remembered as *the server does not tell*."""
    driven = drive(Mastodon(HOST, token=TOKEN).poll(None), [answer(SHOP), answer({}, status_code)])
    assert isinstance(driven.error, TransportError | RateLimited)


# Answering.


def posted(message: Outgoing, parent: dict | None = None) -> tuple[dict, Request]:
    """Send a message; return what was posted and the request."""
    answers = [answer(parent or status(1))] if message.reply_to else []
    driven = drive(shop().send(message), [*answers, answer(own(9, "x"))])
    assert driven.error is None, driven.error
    return json.loads(driven.requests[-1].body), driven.requests[-1]


@pytest.mark.parametrize(
    ("theirs", "wanted", "expected"),
    [
        ("public", Visibility.public, "public"),
        ("unlisted", Visibility.public, "unlisted"),
        ("private", Visibility.public, "private"),
        ("direct", Visibility.public, "direct"),
        ("unheard-of", Visibility.public, "direct"),
        ("public", Visibility.private, "direct"),
        ("unlisted", Visibility.private, "direct"),
        ("private", Visibility.private, "direct"),
        ("direct", Visibility.private, "direct"),
    ],
)
def test_an_answer_is_never_more_visible_than_what_it_answers(theirs, wanted, expected):
    """The post itself is asked, since two of its four visibilities are the same to the desk."""
    body, _ = posted(outgoing(visibility=wanted), status(1, visibility=theirs))
    assert expected == body["visibility"]


def test_a_message_that_answers_nothing_is_as_visible_as_asked():
    """Nothing is read before it, and nothing is answered by it."""
    body, _ = posted(outgoing(reply_to=None, language=None))
    assert {"status": "@ola We are sorry.", "visibility": "public"} == body


@pytest.mark.parametrize(
    ("text", "handle", "expected"),
    [
        ("Sorry.", "ola", "@ola Sorry."),
        ("Sorry @ola!", "ola", "Sorry @ola!"),
        ("Sorry @OLA", "ola", "Sorry @OLA"),
        ("@ola@other.example hi", "ola@other.example", "@ola@other.example hi"),
        ("@olaf hi", "ola", "@ola @olaf hi"),
        ("hi", "", "@ola hi"),
    ],
)
def test_the_customer_is_named_once(text, handle, expected):
    """Nobody is told of an answer that does not name them; the parent knows the name too."""
    body, _ = posted(outgoing(text, to=Author("102", "Ola", handle)))
    assert expected == body["status"]


def test_the_key_goes_along_and_only_the_post_posts():
    """Servers that honour the key for an hour are given one; the request is never repeated."""
    _, request = posted(outgoing())
    assert ("mark-1", True, False) == (
        request.headers.get("Idempotency-Key"),
        request.posts,
        request.repeatable,
    )


@pytest.mark.parametrize(
    ("given_answer", "error"),
    [
        (answer({"error": "Record not found"}, 404), Refused),
        (Response(410, at=NOW), Refused),
        (answer({"error": "The access token is invalid"}, 401), NeedsAuth),
        (answer({}, 429), RateLimited),
        (Response(500, at=NOW), NotSent),
        (Response(200, body=b"<html>", at=NOW), NotSent),
        (answer({"id": "110001"}), NotSent),
        (TransportError("lost", sent=True), NotSent),
    ],
)
def test_what_goes_wrong_before_the_post_is_certainly_unsent(given_answer, error):
    """The post that is answered is read first; one that is gone refuses the answer."""
    driven = drive(shop().send(outgoing()), [given_answer])
    assert (1, error) == (len(driven.requests), type(driven.error))


@pytest.mark.parametrize(
    ("given_answer", "error"),
    [
        (
            answer({"error": "Validation failed: Text character limit of 500 exceeded"}, 422),
            Refused,
        ),
        (answer({"error": "This action is not allowed"}, 403), Refused),
        (answer({"error": "Your login is currently disabled"}, 403), NeedsAuth),
        (answer({"error": "This action is outside the authorized scopes"}, 403), NeedsAuth),
        (answer({"error": "This method requires an authenticated user"}, 422), NeedsAuth),
        (answer({"id": 17, "created_at": clock(NOW)}), Ambiguous),
        (answer({"id": "17", "created_at": "yesterday"}), Ambiguous),
        (Response(200, body=b'{"id": "17"}'), Ambiguous),
        (answer({"id": "17", "created_at": clock(NOW), "url": []}), Ambiguous),
    ],
)
def test_what_mastodon_words_in_its_own_way(given_answer, error):
    """Beyond the statuses that the contract tries: who may not act at all must get a new token."""
    driven = drive(shop().send(outgoing()), [answer(status(1)), given_answer])
    assert error is type(driven.error), driven.error


def test_a_refusal_says_what_the_server_said():
    """Staff read the platform's own reason, shortened."""
    said = {"error": "Validation failed: " + "x" * 900}
    driven = drive(shop().send(outgoing()), [answer(status(1)), answer(said, 422)])
    assert str(driven.error).startswith("the server refused it: 422: Validation failed: xxx")
    assert 400 > len(str(driven.error))


def test_an_answer_without_a_time_takes_ours():
    """An id is what counts; the time of the answer stands in for the platform's."""
    driven = drive(shop().send(outgoing()), [answer(status(1)), answer({"id": "17"})])
    assert Receipt("17", NOW) == driven.result


# Looking for what may have been posted.


def look(context: object, posts: object, message: Outgoing | None = None, **learned) -> Found:
    """Look for a message; what is given is answered in order."""
    sent = message or outgoing(first_sent_at=NOW - timedelta(minutes=29))
    answers = [answer(context) if isinstance(context, dict) else context]
    answers += [answer(posts) if isinstance(posts, list) else posts]
    driven = drive(shop({**LEARNED, **learned}).find_sent(sent), answers)
    assert driven.error is None, driven.error
    return driven.result


def below(*statuses: dict) -> dict:
    """Return a thread."""
    return {"ancestors": [], "descendants": list(statuses)}


SENT = own(
    70, f'<span class="h-card"><a href="{HOST}/@ola">@<span>ola</span></a></span> We are sorry.'
)
FOUND = Receipt("110070", NOW - timedelta(minutes=28, seconds=50), f"{HOST}/@shop/110070")


def test_what_stands_in_the_thread_is_found():
    """One request is enough."""
    assert Found(FOUND) == look(below(status(2), SENT), None)


def test_what_the_thread_does_not_show_is_looked_for_among_our_own_posts():
    """A thread may lag or lack a part; two sources are rarely wrong at once."""
    assert Found(FOUND) == look(below(), [SENT])


def test_nothing_in_either_is_an_absence():
    """Both reads were complete: it is not there."""
    older = own(1, "long ago", created_at=clock(NOW - timedelta(days=1)))
    assert Found() == look(below(status(2)), [older])


@pytest.mark.parametrize(
    "changed",
    [
        {"account": OLA},
        {"in_reply_to_id": "110009"},
        {"in_reply_to_id": None},
        {"content": "<p>@ola We are very sorry.</p>"},
        {"created_at": clock(NOW - timedelta(minutes=29, seconds=6))},
        {"id": "known"},
    ],
)
def test_one_thing_that_differs_and_it_is_another_post(changed):
    """Author, parent, time and words must all be right, and no other reply may have it."""
    message = outgoing(first_sent_at=NOW - timedelta(minutes=29), known=frozenset({"known"}))
    older = own(1, "long ago", created_at=clock(NOW - timedelta(days=1)))
    assert Found() == look(below({**SENT, **changed}), [older], message)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("We  are\nsorry.", "<p>@ola We are<br />sorry.</p>"),
        ("@ola We are sorry.", "<p>@<span>ola</span> We are sorry.</p>"),
        ("a < b & c", "<p>@ola a &lt; b &amp; c</p>"),
        ("cafe\u0301", "<p>@ola caf\u00e9</p>"),
        ("ask @courier@other.example", "<p>@ola ask @courier</p>"),
        (
            "see https://example.com/very/long",
            """<p>@ola see <a href="https://example.com/very/long"><span class="invisible">https://\
</span><span class="ellipsis">example.com/very</span><span class="invisible">/long</span></a>""",
        ),
    ],
)
def test_the_same_words_are_known_again_however_they_are_rendered(text, content):
    """White space, entities, composition, the domains of names and shortened links do not count."""
    message = outgoing(text, first_sent_at=NOW - timedelta(minutes=29))
    assert Found(FOUND) == look(below({**SENT, "content": content}), None, message)


def test_an_answer_whose_parent_was_deleted_is_found_by_whom_it_answers():
    """Mastodon forgets the parent then, but not its author."""
    orphan = {**SENT, "in_reply_to_id": None}
    assert Found(FOUND) == look(answer({"error": "Record not found"}, 404), [orphan])
    stranger = {**orphan, "in_reply_to_account_id": "103"}
    older = own(1, "long ago", created_at=clock(NOW - timedelta(days=1)))
    assert Found() == look(answer({}, 404), [stranger, older])


@pytest.mark.parametrize(
    ("context", "posts"),
    [
        (Response(503, at=NOW), None),
        (TransportError("lost"), None),
        (answer({}), None),
        (below(), Response(503, at=NOW)),
        (below(), answer({"error": "no"})),
        (below(), [{}]),
        (below(), [{"id": "17", "in_reply_to_id": "18"}]),
        (below({"id": ["17"]}), None),
        (below(), TransportError("lost")),
    ],
)
def test_a_read_that_failed_is_no_absence(context, posts):
    """Then nothing is known, and it stays unknown."""
    found = look(context, posts)
    assert (None, False) == (found.receipt, found.looked)
    assert found.why


def test_our_own_posts_are_read_back_to_the_first_attempt():
    """Page by page; if they are too many, it could not be looked."""
    first = [own(n, "x") for n in range(140, 100, -1)]
    answers = [answer(below()), answer(first), answer([SENT])]
    message = outgoing(first_sent_at=NOW - timedelta(minutes=29))
    driven = drive(shop().find_sent(message), answers)
    assert ["110101"] == asked(driven.requests[2])[1]["max_id"]
    assert Found(FOUND) == driven.result
    endless = drive(shop().find_sent(message), [answer(below()), *[answer(first)] * 10])
    assert (False, 11) == (endless.result.looked, len(endless.requests))


def test_who_we_are_is_asked_if_it_was_not_learned():
    """A row may be unknown before the first poll."""
    answers = [answer(SHOP), answer(below(SENT))]
    driven = drive(shop({}).find_sent(outgoing(first_sent_at=NOW - timedelta(minutes=29))), answers)
    assert Found(FOUND) == driven.result


def test_a_message_that_answers_nothing_is_looked_for_among_our_own_posts_alone():
    """There is no thread to read."""
    opener = {**SENT, "in_reply_to_id": None, "in_reply_to_account_id": None}
    message = outgoing(reply_to=None, first_sent_at=NOW - timedelta(minutes=29))
    driven = drive(shop().find_sent(message), [answer([opener]), answer([])])
    assert Found(FOUND) == driven.result


# How it is.


def checked(*answers: Response):
    """Check the channel's health."""
    driven = drive(Mastodon(HOST, token=TOKEN).check(), answers)
    assert driven.error is None, driven.error
    return driven.result


WELL = (answer(SHOP), answer({"name": "desk"}), answer({}), answer([]), answer([]), answer({}, 404))


def test_a_healthy_account_has_no_problems():
    """What was learned is handed over, to be remembered."""
    health = checked(*WELL)
    assert (True, (), LEARNED) == (health.ok, health.problems, health.learned)


def test_a_token_that_is_not_accepted_is_a_problem():
    """It says what to do."""
    health = checked(answer({"error": "The access token was revoked"}, 401))
    assert not health.ok
    assert "revoked; make a new token" in health.problems[0]


def test_a_missing_scope_is_a_problem():
    """It names the scope."""
    refused = answer({"error": "This action is outside the authorized scopes"}, 403)
    health = checked(*WELL[:3], refused, *WELL[4:])
    assert ["the token lacks read:notifications: make one with read and write:statuses"] == list(
        health.problems
    )


def test_a_filter_that_drops_mentions_is_a_problem():
    """Private mentions by strangers would never arrive."""
    policy = {"for_private_mentions": "drop", "for_new_accounts": "filter", "summary": {}}
    health = checked(*WELL[:5], answer(policy))
    assert ["for_private_mentions"] == [
        word for word in " ".join(health.problems).split() if word.startswith("for_")
    ]


def test_a_server_that_does_not_tell_the_application_is_noted():
    """Native answers are not seen then, and somebody should know."""
    health = checked(WELL[0], answer({}, 403), *WELL[2:])
    assert (True, True) == (health.ok, "application" in health.notes[-1])


# Counting.


def test_a_limit_leaves_room_for_the_customers_name():
    """A text at the limit is accepted with the longest local name in front of it."""
    traits = shop({**LEARNED, "url": 25}).traits
    text = "https://example.com/" + "y" * 300 + " " + "x" * (traits.max_text - 26)
    assert traits.max_text == traits.count(text)
    assert 500 == countable_length(f"@{'o' * 30}@other.example {text}", url_length=25)


@given(
    st.lists(
        st.sampled_from(
            [
                "word",
                "слова",
                "क्षमा",
                "👩‍👩‍👧",
                "e\u0301",
                "\r\n",
                "@ola",
                "@ola@other.example",
                "https://example.com/a?b=(c)#d",
                "http://a.de",
                "(https://пример.рф/путь).",
                "é@ola@other.example",
                "https://example.com",
                "me@example.com",
            ]
        ),
        max_size=8,
    ),
    st.sampled_from([" ", "\n", ", "]),
)
def test_never_counts_too_few(words, between):
    """Whatever is put together, the platform counts as much or less."""
    text = between.join(words)
    assert shop().traits.count(text) >= countable_length(text)


# The published specification.


def described(schema: dict, spec: dict) -> dict:
    """Return the properties of a schema with all that it is put together from."""
    if "$ref" in schema:
        return described(spec["components"]["schemas"][schema["$ref"].split("/")[-1]], spec)
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= described(part, spec)
    return found


def operation(request: Request, spec: dict) -> dict:
    """Return what a specification says of a request's path and method."""
    path = urlsplit(request.url).path
    templates = {re.sub(r"\{\w+\}", "[^/]+", each): found for each, found in spec["paths"].items()}
    exact = [found for each, found in templates.items() if each == path]
    matching = [found for each, found in templates.items() if re.fullmatch(each, path)]
    return [*exact, *matching][0][request.method.lower()]


def every_request() -> list[Request]:
    """Return each kind of request that the channel makes."""
    nobody = Mastodon(HOST, token=TOKEN)
    full = answer([told(200 - n) for n in range(80)])
    flows = [
        (nobody.poll(None), [answer(SHOP), answer({}, 404), answer({}, 404), answer({}), full]),
        (shop().poll(place()), [answer([])]),
        (shop().send(outgoing()), [answer(status(1)), answer(SENT)]),
        (shop().find_sent(outgoing()), [answer(below()), answer([own(80, "x")]), answer([])]),
        (nobody.check(), list(WELL)),
    ]
    return [
        each for flow, given in flows for each in drive(flow, [*given, *[answer([])] * 3]).requests
    ]


@pytest.mark.skipif(not SPEC.exists(), reason=f"the published specification is not at {SPEC}")
def test_requests_are_as_the_specification_wants_them():
    """Paths, methods, parameters and the fields of a post are those that are published."""
    spec = json.loads(SPEC.read_bytes())
    requests = every_request()
    for request in requests:
        wanted = operation(request, spec)
        names = {each["name"] for each in wanted.get("parameters", [])}
        assert {name.removesuffix("[]") for name in asked(request)[1]} <= names, request.url
    [body] = [json.loads(request.body) for request in requests if request.posts]
    fields = described({"$ref": "#/components/schemas/TextStatus"}, spec)
    assert set() == set(body) - set(fields)
    assert body["visibility"] in spec["components"]["schemas"]["StatusVisibilityEnum"]["enum"]


@pytest.mark.skipif(not SPEC.exists(), reason=f"the published specification is not at {SPEC}")
def test_the_published_example_is_read():
    """Its mention is a message; its star is none."""
    spec = json.loads(SPEC.read_bytes())
    example = spec["components"]["examples"]["Notification200Example"]["value"]
    page = page_of(*example)
    assert ([("103186126728896492", "@trwnh sup!", "zsc")], ()) == (
        [(f.message.id, f.message.text, f.message.author.handle) for f in page.facts],
        page.unreadable,
    )


# The contract.


class TestContract(ChannelContract):
    """The contract of every channel."""

    @pytest.fixture
    def channel(self):
        return shop()

    @pytest.fixture
    def inbound_cases(self):
        items = [told(2, status(2, "Second", visibility="direct")), told(1)]
        mentions = tuple(fact for item in items[::-1] for fact in page_of(item).facts)
        native = page_of(posts=(own(4, "Native"),)).facts
        responses = (answer(items), answer([own(4, "Native"), own(3, "Ours", app="desk")]))
        return [
            PageCase("mentions", responses, (*mentions, *native), place(), items=()),
            PageCase(
                "our own posts",
                (answer([]), answer([own(5, "A"), own(4, "Native")])),
                page_of(posts=(own(4, "Native"), own(5, "A"))).facts,
                place(),
                (),
                1,
            ),
            PageCase("nothing", (answer([]), answer([])), (), place()),
        ]

    @pytest.fixture
    def send_cases(self):
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
        write = {**headers, "Content-Type": "application/json", "Idempotency-Key": "mark-1"}
        body = {
            "status": "@ola We are sorry.",
            "in_reply_to_id": "110001",
            "visibility": "public",
            "language": "en",
        }
        read = Request("GET", f"{HOST}/api/v1/statuses/110001", headers)
        post = Request(
            "POST", f"{HOST}/api/v1/statuses", write, json.dumps(body).encode(), posts=True
        )
        gone = answer({"error": "Record not found"}, 404)
        sent = Receipt("110070", FOUND.at, FOUND.permalink)
        message = outgoing(first_sent_at=NOW - timedelta(minutes=29))
        older = own(1, "long ago", created_at=clock(NOW - timedelta(days=1)))
        return [
            SendCase(
                "reply",
                message,
                (read, post),
                (answer(status(1)), answer(SENT)),
                sent,
                found=(answer(below()), answer([SENT])),
                absent=(answer(below(status(2))), answer([older])),
            ),
            SendCase("a private reply", *self.unanswered(private=True)),
            SendCase("news", *self.unanswered(private=False)),
            SendCase("to nothing", outgoing(), (read,), (gone,), Refused),
            SendCase("gone", outgoing(), (read, post), (answer(status(1)), gone), Refused),
        ]

    def unanswered(self, *, private: bool) -> tuple:
        """Return a post that answers nothing: one for Ola alone, or an announcement."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
        write = {**headers, "Content-Type": "application/json", "Idempotency-Key": "mark-1"}
        to = Author("102", "Ola", "ola") if private else Author("", "", "")
        visibility = Visibility.private if private else Visibility.public
        words = "@ola We are sorry." if private else "We are sorry."
        width = "direct" if private else "public"
        body = {"status": words, "visibility": width, "language": "en"}
        post = Request(
            "POST", f"{HOST}/api/v1/statuses", write, json.dumps(body).encode(), posts=True
        )
        message = outgoing(reply_to=None, to=to, visibility=visibility)
        return message, (post,), (answer(SENT),), Receipt("110070", FOUND.at, FOUND.permalink)
