"""The Mastodon channel over a real connection: the local platform judges what was posted.

Everything runs with the transport for threads and with the one for event loops.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from supportflow.channels import (
    Ambiguous,
    NeedsAuth,
    NotSent,
    Page,
    RateLimited,
    Refused,
    SendError,
)
from supportflow.channels.mastodon import Mastodon
from supportflow.errors import PayloadError, SupportflowError, TransportError
from supportflow.flow import arun, run
from supportflow.model import (
    AgentKind,
    Author,
    ChannelState,
    Edit,
    Inbound,
    Outbound,
    Outgoing,
    Receipt,
    Visibility,
)
from supportflow.testing.platforms.mastodon import MastodonPlatform as Platform
from supportflow.testing.platforms.mastodon import Post
from supportflow.transport import AsyncTransport, Transport

POST, CONTEXT = "POST /api/v1/statuses", "GET /api/v1/statuses/*/context"
Perform = Callable[..., Any]


def on_a_thread(flow, patience: float = 30.0):
    """Run a flow with the transport for threads."""
    client = httpx.Client(timeout=patience, trust_env=False, verify=False)
    transport = Transport(client, sleep=lambda seconds: None)
    try:
        return run(flow, transport.send)
    finally:
        transport.close()


def on_a_loop(flow, patience: float = 30.0):
    """Run a flow with the transport for event loops."""

    async def whole():
        client = httpx.AsyncClient(timeout=patience, trust_env=False, verify=False)
        transport = AsyncTransport(client, sleep=lambda seconds: asyncio.sleep(0))
        try:
            return await arun(flow, transport.send)
        finally:
            await transport.close()

    return asyncio.run(whole())


@pytest.fixture(params=[on_a_thread, on_a_loop])
def perform(request: pytest.FixtureRequest) -> Perform:
    """Give a way to run a flow: first one, then the other."""
    return request.param


@pytest.fixture
def platform() -> Iterator[Platform]:
    """Give a running platform."""
    with Platform() as made:
        yield made


def channel_of(platform: Platform, learned: dict | None = None, **options) -> Mastodon:
    """Return the shop's channel."""
    made = Mastodon(platform.url, token=platform.shop.token, **options)
    return made.using(ChannelState("mastodon", learned=learned or {}))


def answer_to(post: Post, author: Any, text: str = "We are sorry.", **fields) -> Outgoing:
    """Return an answer of the shop."""
    made = {
        "id": "row-1",
        "mark": "mark-1",
        "text": text,
        "to": Author(author.id, "", author.acct),
        "thread": post.id,
        "reply_to": ("status", post.id),
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": datetime.now(UTC),
    }
    return Outgoing(**{**made, **fields})


def answers(platform: Platform) -> list[str]:
    """Return what the shop really posted."""
    return [post.text for post in platform.shop.posts]


def ids(page: Page) -> list[str]:
    """Return the ids of a page's messages."""
    return [fact.message.id for fact in page.facts if isinstance(fact, Inbound | Outbound)]


@pytest.mark.parametrize("acct", ["ola", "ala@other.example"])
@pytest.mark.parametrize(
    ("theirs", "asked", "expected"),
    [
        ("public", Visibility.public, "public"),
        ("unlisted", Visibility.public, "unlisted"),
        ("public", Visibility.private, "direct"),
        ("direct", Visibility.private, "direct"),
    ],
)
@pytest.mark.parametrize("compatible", [False, True])
def test_a_mention_is_read_answered_and_found(perform, compatible, theirs, asked, expected, acct):
    """From the customer's post to ours beneath it, wherever they live, as visible as it may be."""
    with Platform(compatible=compatible) as platform:
        customer = platform.customer(acct)
        post = customer.post("@shop My <parcel> is\nlate!", visibility=theirs, language="en")
        channel = channel_of(platform)
        page = perform(channel.poll(None))
        [fact] = page.facts
        read = fact.message
        assert ("My <parcel> is\nlate!", customer.id, acct) == (
            read.text,
            read.author.id,
            read.author.handle,
        )
        private = theirs == "direct"
        assert (Visibility.private if private else Visibility.public) is read.visibility
        channel = channel_of(platform, dict(page.learned))
        message = answer_to(post, customer, visibility=asked, to=read.author)
        receipt = perform(channel.send(message))
        [sent] = platform.shop.posts
        assert (f"@{acct} We are sorry.", expected, post.id, (acct,)) == (
            sent.text,
            sent.visibility,
            sent.in_reply_to,
            sent.mentions,
        )
        assert sent.id == receipt.id
        assert receipt == perform(channel.find_sent(message)).receipt


def test_every_mention_is_read_once_however_many_there_are(perform, platform):
    """Page by page with `min_id`, none is lost and none comes twice."""
    platform.advance(timedelta(hours=-1))  # old enough not to be read again
    ola = platform.customer("ola")
    first = ola.post("@shop 0")
    page = perform(channel_of(platform).poll(None))
    seen, channel = ids(page), channel_of(platform, dict(page.learned))
    written = [first.id, *(ola.post(f"@shop {n}").id for n in range(1, 200))]
    cursor, polls = page.cursor, 0
    while True:
        page = perform(channel.poll(cursor))
        seen, cursor, polls = seen + ids(page), page.cursor, polls + 1
        if not page.more:
            break
    assert (written, 3) == (seen, polls)
    assert () == perform(channel.poll(cursor)).facts


@pytest.mark.parametrize("kind", ["duplicated", "reordered", "missing_page"])
def test_a_disturbed_page_loses_nothing(perform, platform, kind):
    """Twice the same, the wrong way round, or half of it missing: the next poll reads it again."""
    ola = platform.customer("ola")
    channel = channel_of(platform)
    page = perform(channel.poll(None))
    channel = channel_of(platform, dict(page.learned))
    written = [ola.post(f"@shop {n}").id for n in range(10)]
    platform.fault_next(kind, match="GET /api/v1/notifications")
    disturbed = perform(channel.poll(page.cursor))
    again = perform(channel.poll(disturbed.cursor))
    assert set(written) == {*ids(disturbed), *ids(again)}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unauthorized", NeedsAuth),
        ("error_before", TransportError),
        ("reset_before", TransportError),
        ("response_lost", TransportError),
        ("truncated", PayloadError),
        ("html", PayloadError),
        ("error_inside", PayloadError),
        ("redirect", TransportError),
        ("rate_limited", RateLimited),
    ],
)
def test_a_poll_that_fails_loses_nothing(perform, platform, kind, error):
    """However the answer goes wrong, no cursor comes back, and the next poll has everything."""
    platform.customer("ola").post("@shop Hello")
    channel = channel_of(platform, {"account": platform.shop.id, "app": "client"})
    platform.fault_next(kind, match="GET /api/v1/notifications", times=3)
    with pytest.raises(SupportflowError) as failed:
        perform(channel.poll(None))
    assert error is type(failed.value)
    platform.faults.clear()
    assert 1 == len(perform(channel.poll(None)).facts)


#: What each fault of the platform must come to, and whether the post was accepted.
OUTCOMES: list[tuple[str, dict, type[SendError], int]] = [
    ("rate_limited", {}, RateLimited, 0),
    ("rate_limited", {"headers": {"Retry-After": "120"}}, RateLimited, 0),
    ("unauthorized", {}, NeedsAuth, 0),
    ("error_before", {"status": 500}, Ambiguous, 0),
    ("error_before", {"status": 503}, Ambiguous, 0),
    ("error_before", {"status": 408}, Ambiguous, 0),
    ("error_after", {"status": 500}, Ambiguous, 1),
    ("error_after", {"status": 502}, Ambiguous, 1),
    ("error_after", {"status": 504}, Ambiguous, 1),
    ("reset_before", {}, Ambiguous, 0),
    ("response_lost", {}, Ambiguous, 1),
    ("cut", {"at": 0}, Ambiguous, 1),
    ("cut", {"at": 10}, Ambiguous, 1),
    ("cut", {"at": 300, "reset": True}, Ambiguous, 1),
    ("cut", {"at": 900}, Ambiguous, 1),
    ("truncated", {}, Ambiguous, 1),
    ("no_id", {}, Ambiguous, 1),
    ("html", {}, Ambiguous, 1),
    ("error_inside", {}, Ambiguous, 0),
    ("redirect", {"status": 302}, Refused, 0),
    ("redirect", {"status": 307}, Refused, 0),
    ("redirect", {"status": 308}, Refused, 0),
]


@pytest.mark.parametrize(("kind", "details", "error", "accepted"), OUTCOMES)
def test_what_became_of_a_post_is_told_truly(perform, platform, kind, details, error, accepted):
    """Every row of the table of outcomes; and whatever is in doubt, looking clears up."""
    ola = platform.customer("ola")
    post = ola.post("@shop My parcel is late!")
    platform.fault_next(kind, match=POST, **details)
    channel = channel_of(platform)
    message = answer_to(post, ola, first_sent_at=platform.now())
    with pytest.raises(SendError) as failed:
        perform(channel.send(message))
    assert (error, accepted) == (type(failed.value), len(platform.shop.posts))
    found = perform(channel.find_sent(message))
    assert (True, bool(accepted)) == (found.looked, found.receipt is not None)
    found_ids = [found.receipt.id] if found.receipt else []
    assert [post.id for post in platform.shop.posts] == found_ids


def test_an_answer_that_never_comes_is_ambiguous(perform, platform):
    """A client that gives up knows nothing; the post is there."""
    ola = platform.customer("ola")
    post = ola.post("@shop My parcel is late!")
    platform.fault_next("held", match=POST)
    with pytest.raises(Ambiguous):
        perform(channel_of(platform).send(answer_to(post, ola)), patience=0.3)
    platform.faults.release()
    assert ["@ola We are sorry."] == answers(platform)


def test_a_server_that_is_not_there_got_nothing(perform):
    """A connection that is refused certainly sent nothing, before the post and at it."""
    with Platform() as platform:
        ola = platform.customer("ola")
        post = ola.post("@shop Hello")
        channel, message = channel_of(platform), answer_to(post, ola)
    for each in (message, answer_to(post, ola, reply_to=None)):
        with pytest.raises(NotSent):
            perform(channel.send(each))
    found = perform(channel.find_sent(message))
    assert (None, False) == (found.receipt, found.looked)


@pytest.mark.parametrize("kind", ["error_before", "truncated", "html", "rate_limited"])
def test_a_post_that_cannot_be_read_is_not_answered(perform, platform, kind):
    """Nothing was posted, whatever went wrong with the read before it."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    platform.fault_next(kind, match="GET /api/v1/statuses/*", times=3)
    with pytest.raises(NotSent):
        perform(channel_of(platform).send(answer_to(post, ola)))
    assert [] == answers(platform)


def test_an_answer_to_a_deleted_post_is_refused(perform, platform):
    """The one way in which a deletion shows itself."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    ola.delete(post)
    with pytest.raises(Refused, match="deleted or hidden"):
        perform(channel_of(platform).send(answer_to(post, ola)))


def test_what_lags_is_absent_until_it_is_shown(perform, platform):
    """Two reads that find nothing, at some distance, are needed for a reason."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    platform.fault_next("lag", match=POST, lasts=timedelta(seconds=10))
    channel, message = channel_of(platform), answer_to(post, ola)
    receipt = perform(channel.send(message))
    assert None is perform(channel.find_sent(message)).receipt
    platform.advance(timedelta(seconds=11))
    assert receipt == perform(channel.find_sent(message)).receipt


def test_half_a_thread_is_made_up_for_by_our_own_posts(perform, platform):
    """A thread of which a part is missing looks complete; the account's posts do not lack it."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    channel, message = channel_of(platform), answer_to(post, ola)
    receipt = perform(channel.send(message))
    platform.fault_next("missing_page", match=CONTEXT)
    assert receipt == perform(channel.find_sent(message)).receipt


def test_an_answer_survives_the_deletion_of_what_it_answers(perform, platform):
    """It is found by whom it answers, since the network has forgotten what."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    channel, message = channel_of(platform), answer_to(post, ola)
    receipt = perform(channel.send(message))
    ola.delete(post)
    assert receipt == perform(channel.find_sent(message)).receipt


def test_two_equal_answers_are_two_posts(perform, platform):
    """The id that another reply of ours has already is left out."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    channel = channel_of(platform)
    first = perform(channel.send(answer_to(post, ola)))
    second = answer_to(post, ola, mark="mark-2", known=frozenset({first.id}))
    assert None is perform(channel.find_sent(second)).receipt
    receipt = perform(channel.send(second))
    assert receipt == perform(channel.find_sent(second)).receipt


@pytest.mark.parametrize(("compatible", "posts"), [(False, 1), (True, 2)])
def test_the_key_is_an_extra(perform, compatible, posts):
    """Mastodon honours it for an hour; compatible servers ignore it, so nothing relies on it."""
    with Platform(compatible=compatible) as platform:
        ola = platform.customer("ola")
        message = answer_to(ola.post("@shop Hello"), ola)
        for _ in range(2):
            perform(channel_of(platform).send(message))
        assert posts == len(platform.shop.posts)


@pytest.mark.parametrize(("compatible", "limit"), [(False, 500), (True, 5000)])
def test_a_text_at_the_limit_is_accepted(perform, compatible, limit):
    """Each instance's own limit is learned; a text one over it can be too long, and is refused."""
    with Platform(compatible=compatible) as platform:
        customer = platform.customer(f"{'o' * 30}@other.example")
        post = customer.post("@shop Hello")
        channel = channel_of(platform, dict(perform(channel_of(platform).check()).learned))
        assert limit - 32 == channel.traits.max_text
        longest = "https://example.com/" + "y" * 99 + " "
        longest += "x" * (channel.traits.max_text - channel.traits.count(longest))
        receipt = perform(channel.send(answer_to(post, customer, longest)))
        assert isinstance(receipt, Receipt)
        with pytest.raises(Refused, match=f"character limit of {limit} exceeded"):
            perform(channel.send(answer_to(post, customer, longest + "x", mark="mark-2")))


def test_an_answer_typed_in_the_app_is_seen(perform, platform):
    """What staff typed is reported; what we posted is not taken for theirs."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    page = perform(channel_of(platform).poll(None))
    channel = channel_of(platform, dict(page.learned))
    perform(channel.send(answer_to(post, ola, "From the desk")))
    native = platform.shop.post_natively("@ola From the app", in_reply_to=post)
    platform.shop.post_natively("We are closed on Monday.")
    page = perform(channel.poll(page.cursor))
    outbound = [fact for fact in page.facts if isinstance(fact, Outbound)]
    assert [(native.id, post.id, ola.id)] == [
        (fact.message.id, fact.message.parent, fact.customer) for fact in outbound
    ]


def test_an_edit_within_ten_minutes_is_seen(perform, platform):
    """Nobody is told of it, but it is read again."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    page = perform(channel_of(platform).poll(None))
    channel = channel_of(platform, dict(page.learned))
    ola.edit(post, "@shop Hello, order 4711")
    edits = [fact for fact in perform(channel.poll(page.cursor)).facts if isinstance(fact, Edit)]
    assert [("Hello, order 4711", post.id)] == [(edit.text, edit.id) for edit in edits]


@pytest.mark.parametrize("state", ["revoked", "expired"])
def test_a_token_that_ended_needs_a_new_one(perform, platform, state):
    """Reading, answering and checking say so, each in its way."""
    ola = platform.customer("ola")
    post = ola.post("@shop Hello")
    channel = channel_of(platform)
    platform.shop.mark_token(state)
    for flow in (channel.poll(None), channel.send(answer_to(post, ola))):
        with pytest.raises(NeedsAuth, match=state):
            perform(flow)
    health = perform(channel.check())
    assert (False, True) == (health.ok, state in health.problems[0])


@pytest.mark.parametrize(
    ("scopes", "ok"),
    [
        (("read", "write:statuses"), True),
        (("read:accounts", "read:notifications", "read:statuses"), True),
        (("read:accounts", "read:statuses"), False),
        (("read:accounts", "read:notifications"), False),
        (("write",), False),
    ],
)
def test_health_names_the_scopes_that_are_missing(perform, platform, scopes, ok):
    """All that can be tried without posting is tried."""
    token = platform.shop.new_token(*scopes)
    health = perform(Mastodon(platform.url, token=token).check())
    assert (ok, not ok) == (health.ok, bool(health.problems))


def test_a_token_that_may_not_write_is_needs_auth(perform, platform):
    """One cannot see it before; then the queue is held, not lost."""
    ola = platform.customer("ola")
    message = answer_to(ola.post("@shop Hello"), ola)
    token = platform.shop.new_token("read")
    with pytest.raises(NeedsAuth, match="scopes"):
        perform(Mastodon(platform.url, token=token).send(message))
    assert [] == answers(platform)


def test_the_secret_is_in_no_request_log_and_no_error(perform, platform, caplog):
    """Neither the URL nor a log line nor an error carries the token."""
    caplog.set_level("DEBUG")
    ola = platform.customer("ola")
    channel, token = channel_of(platform), platform.shop.token
    perform(channel.poll(None))
    platform.fault_next("error_before", match=POST, body={"error": f"bad {token}"})
    with pytest.raises(Ambiguous) as failed:
        perform(channel.send(answer_to(ola.post("@shop Hello"), ola)))
    shown = f"{failed.value!r}{channel!r}{caplog.text}{platform.requests!r}"
    assert token not in shown


def test_what_people_say_is_found_and_counted_once(perform, platform):
    """A search finds whoever names us not; our own posts, and what it found before, are left out."""
    ola, ben = platform.customer("ola"), platform.customer("ben")
    said = [ola.post("My kettle leaks").id, ben.post("This kettle sings").id]
    platform.shop.post_natively("Our kettle is new")
    channel = channel_of(platform)
    page = perform(channel.search("kettle", None))
    assert (said, False) == (ids(page), page.more)
    assert all(fact.backfill for fact in page.facts)
    later = ola.post("Again: the kettle!").id
    channel = channel_of(platform, dict(page.learned))
    again = perform(channel.search("kettle", page.cursor))
    assert [later] == ids(again)
    assert again.cursor == perform(channel.search("kettle", again.cursor)).cursor
    platform.fault_next("error_inside", match="GET /api/v2/search")
    with pytest.raises(PayloadError):
        perform(channel.search("kettle", None))
