"""The channel of Google reviews reads, replies and looks as the API wants it, and replaces nobody's words.

First the contract of channels, then what is special, then the local platform over a real connection.
"""

import hashlib
import json
from datetime import timedelta

import attrs
import pytest

from supportflow import Desk, MemoryStore, Reading
from supportflow.channels import (
    Channel,
    Checks,
    Finds,
    Found,
    NeedsAuth,
    Page,
    Polls,
    Refused,
    Renews,
)
from supportflow.channels.google_reviews import GoogleReviews
from supportflow.errors import InvalidValue, PayloadError, TransportError, Unsupported
from supportflow.flow import run
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
    Removal,
    RemovedBy,
    Secret,
    StatusReport,
    Visibility,
)
from supportflow.testing import ChannelContract, FakeClock, PageCase, SendCase, drive
from supportflow.testing.platforms.google_reviews import GoogleReviewsPlatform
from supportflow.transport import Transport

AT = ChannelContract.at
LOCATION = "accounts/1089/locations/4711"
API = f"https://mybusiness.googleapis.com/v4/{LOCATION}/reviews"
LIST = f"{API}?pageSize=50&orderBy=updateTime+desc"
HEADERS = {"Authorization": "Bearer acc3ss-t0ken", "Accept": "application/json"}
KEYS = {"client_id": "1089", "client_secret": "s3cret-of-app", "refresh_token": "r3fresh-t0ken"}


def zulu(minutes: int) -> str:
    """Return a time within the hour before now, as Google writes it."""
    return moment(minutes).isoformat().replace("+00:00", ".123456789Z")


def moment(minutes: int):
    return AT - timedelta(minutes=60 - minutes)


def when(minutes: int):
    """Return the time that is read of one that Google wrote."""
    return moment(minutes) + timedelta(microseconds=123456)


def review(number: int, text: str = "Cold tea.", stars: str = "TWO", **fields: object) -> dict:
    """Return a review as the API shows it."""
    made = {
        "name": f"{LOCATION}/reviews/r{number}",
        "reviewId": f"r{number}",
        "reviewer": {"displayName": "Ola", "isAnonymous": False},
        "starRating": stars,
        "comment": text,
        "createTime": zulu(number),
        "updateTime": zulu(number),
    }
    return {**made, **fields}


def said(text: str, minutes: int = 30, **fields: object) -> dict:
    """Return a reply as the API shows it."""
    return {"comment": text, "updateTime": zulu(minutes), **fields}


def reply_id(number: int, text: str) -> str:
    """Return what names a reply: the review and the words."""
    return f"r{number}#{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def message(item: dict, text: str = "Cold tea.\n\n★★☆☆☆ 2/5", stars: int = 2, **fields) -> Message:
    """Return the message that a review is."""
    name = item["reviewId"]
    made = {
        "thread": name,
        "tags": (f"stars:{stars}",),
        "raw": json.dumps(item, separators=(",", ":"), ensure_ascii=False),
    }
    at = when(int(name[1:]))
    return Message(
        "google_reviews", "review", name, Author(name, "Ola"), text, at, **{**made, **fields}
    )


def answer(content: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(status, body=json.dumps(content).encode(), at=AT)


def listed(*items: dict, **more: object) -> Response:
    """Return a page of reviews."""
    return answer({"reviews": [*items], "totalReviewCount": len(items), **more})


def shop(access: str | None = "acc3ss-t0ken", **options: object) -> GoogleReviews:
    """Return the channel, with an access token that lives."""
    made = GoogleReviews(LOCATION, **{**KEYS, "since": moment(0), **options})
    kept = {"access_token": Secret(access)} if access else {}
    return made.using(ChannelState("google_reviews", credentials=kept))


def outgoing(text: str = "We are sorry.", **fields: object) -> Outgoing:
    """Return a reply to the first review."""
    made = {
        "id": "row-1",
        "mark": "mark-1",
        "text": text,
        "to": Author("r1", "Ola"),
        "thread": "r1",
        "reply_to": ("review", "r1"),
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": moment(20),
    }
    return Outgoing(**{**made, **fields})


def seen(**reviews: int) -> str:
    """Return a cursor that knows some reviews."""
    times = {name: moment(at).isoformat() for name, at in reviews.items()}
    return json.dumps({"after": moment(50).isoformat(), "page": "", "seen": times})


GET = Request("GET", f"{API}/r1", HEADERS)
PUT = Request(
    "PUT",
    f"{API}/r1/reply",
    {**HEADERS, "Content-Type": "application/json"},
    b'{"comment": "We are sorry."}',
    posts=True,
)
RECEIPT = Receipt(reply_id(1, "We are sorry."), when(30))


class TestContract(ChannelContract):
    """It keeps every promise of channels, on reviews as the reference shows them."""

    @pytest.fixture
    def channel(self):
        return shop()

    @pytest.fixture
    def inbound_cases(self):
        plain = review(1)
        changed = review(2, updateTime=zulu(9), reviewReply=said("Sorry!"))
        silent = review(3, stars="FIVE")
        del silent["comment"]
        photo = {"thumbnailUrl": "https://photos.example/1"}
        shown = review(4, reviewMediaItems=[photo, {"videoUrl": "https://photos.example/2"}])
        revised = ("google_reviews", "review", "r2", zulu(9), "Cold tea.\n\n★★☆☆☆ 2/5", when(9))
        ours = Message(
            "google_reviews",
            "review",
            reply_id(2, "Sorry!"),
            Author(LOCATION),
            "Sorry!",
            when(30),
            thread="r2",
            parent="r2",
            raw=json.dumps(changed["reviewReply"], separators=(",", ":")),
        )
        files = (
            Attachment("image", "https://photos.example/1"),
            Attachment("video", "https://photos.example/2"),
        )
        facts = (
            Inbound(message(plain)),
            Inbound(message(changed)),
            Edit(*revised),
            Outbound(ours, "r2"),
            Inbound(message(silent, "★★★★★ 5/5", 5)),
            Inbound(message(shown, attachments=files)),
        )
        gone = Removal("google_reviews", "review", "r9", AT, RemovedBy.unknown)
        missing = (listed(plain), answer({"error": {"code": 404}}, 404))
        return [
            PageCase(
                "reviews", (listed(plain, changed, silent, shown),), facts, items=("reviews",)
            ),
            PageCase("a review that is gone", missing, (facts[0], gone), cursor=seen(r9=40)),
            PageCase("none at all", (answer({}),), ()),
        ]

    @pytest.fixture
    def send_cases(self):
        replied = review(1, reviewReply=said("We are sorry."))
        rejected = said("We are sorry.", reviewReplyState="REJECTED", policyViolation="SPAM")
        foreign = review(1, reviewReply=said("Call me. Anna"))
        return [
            SendCase(
                "a reply",
                outgoing(),
                (GET, PUT),
                (answer(review(1)), answer(said("We are sorry."))),
                RECEIPT,
                found=(answer(replied),),
                absent=(answer(review(1)),),
            ),
            SendCase("a person's reply is there", outgoing(), (GET,), (answer(foreign),), Refused),
            SendCase("deleted", outgoing(), (GET,), (answer({}, 404),), Refused),
            SendCase(
                "rejected at once",
                outgoing(),
                (GET, PUT),
                (answer(review(1)), answer(rejected)),
                Refused,
            ),
        ]


# Making one.


def test_it_is_what_a_desk_asks_for():
    """It polls, finds, checks and renews; it takes no webhooks, and says why."""
    channel: Channel = shop()
    assert all(isinstance(channel, kind) for kind in (Polls, Finds, Checks, Renews))
    assert not hasattr(channel, "receive")
    assert "RS256" in channel.traits.unsupported["push"]


@pytest.mark.parametrize(
    "options",
    [
        {"location": "locations/4711"},
        {"location": "accounts/1/locations/2/reviews"},
        {"client_id": ""},
        {"client_secret": ""},
        {"refresh_token": ""},
        {"name": " "},
        {"since": AT.replace(tzinfo=None)},
        {"base_url": "http://mybusiness.googleapis.com"},
    ],
)
def test_what_cannot_work_is_refused(options):
    """A location is named whole; nothing goes in clear over the network."""
    with pytest.raises(InvalidValue):
        GoogleReviews(**{"location": LOCATION, **KEYS, **options})


# Reading.


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("(Translated by Google) Cold tea.\n\n(Original)\nТэна халодная.", "Тэна халодная."),
        ("Тэна халодная.\n\n(Translated by Google)\nCold tea.", "Тэна халодная."),
        ("I like (Original) tea.", "I like (Original) tea."),
    ],
)
def test_a_customers_own_words_are_read(written, expected):
    """Google's translation is left out: whoever answers, answers what was said."""
    (fact,) = drive(shop().poll(None), [listed(review(1, written))]).facts
    assert f"{expected}\n\n★★☆☆☆ 2/5" == fact.message.text


def test_stars_that_are_not_told_are_not_made_up():
    """Without a rating there is no line of stars and no tag."""
    (fact,) = drive(shop().poll(None), [listed(review(1, stars="STAR_RATING_UNSPECIFIED"))]).facts
    assert ("Cold tea.", ()) == (fact.message.text, fact.message.tags)


def test_changed_stars_change_the_words():
    """An edit from one star to five says more, though no letter changed."""
    before, after = review(1, "", "ONE"), review(1, "", "FIVE", updateTime=zulu(9))
    (first,) = drive(shop().poll(None), [listed(before)]).facts
    _, edit = drive(shop().poll(None), [listed(after)]).facts
    assert ("★☆☆☆☆ 1/5", "★★★★★ 5/5") == (first.message.text, edit.text)


def test_a_rejected_reply_is_told():
    """What Google's moderators hold back did not reach the customer."""
    rejected = said("Sorry!", reviewReplyState="REJECTED", policyViolation="OFF_TOPIC")
    facts = drive(shop().poll(None), [listed(review(1, reviewReply=rejected))]).facts
    why = "Google rejected the reply: OFF_TOPIC"
    expected = StatusReport("google_reviews", reply_id(1, "Sorry!"), "failed", when(30), why)
    assert expected == facts[1]


def test_a_first_poll_takes_a_day_for_news():
    """Older reviews are history, judged and never announced; that line stays where it was."""
    old = review(1, createTime="2026-01-01T00:00:00Z", updateTime="2026-01-01T00:00:00Z")
    first = drive(shop(since=None).poll(None), [listed(review(2), old)])
    assert [False, True] == [fact.backfill for fact in first.facts]
    later = attrs.evolve(listed(review(2), old), at=AT + timedelta(days=30))
    again = drive(shop(since=None).poll(first.result.cursor), [later])
    assert [False, True] == [fact.backfill for fact in again.facts]


def test_pages_are_read_until_what_was_seen():
    """A full page goes on only if its oldest change is news; a round ends with its newest change."""
    first = drive(shop().poll(None), [listed(review(9), review(8), nextPageToken="p2")])
    assert first.result.more
    second = drive(shop().poll(first.result.cursor), [listed(review(7), nextPageToken="p3")])
    assert f"{LIST}&pageToken=p2" == second.requests[0].url
    third = drive(shop().poll(second.result.cursor), [listed(review(6))])
    assert (True, False) == (second.result.more, third.result.more)
    again = drive(shop().poll(third.result.cursor), [listed(review(9), nextPageToken="p2")])
    assert (LIST, False) == (again.requests[0].url, again.result.more)
    assert when(9).isoformat() == json.loads(third.result.cursor)["after"]


def test_a_page_that_has_ended_begins_the_round_again():
    """A page token lives for a while only: nothing is lost, the reviews are read once more."""
    first = drive(shop().poll(None), [listed(review(9), nextPageToken="p2")])
    ended = drive(shop().poll(first.result.cursor), [answer({"error": {"code": 400}}, 400)])
    assert (Page, (), False) == (type(ended.result), ended.facts, ended.result.more)
    again = drive(shop().poll(ended.result.cursor), [listed(review(9))])
    assert LIST == again.requests[0].url


def test_only_what_must_be_listed_is_missed():
    """A review that is older than the page may be on the next one; one that is there is not gone."""
    cursor = seen(r8=40, r7=3)
    there = [listed(review(9), nextPageToken="p2"), answer(review(8))]
    driven = drive(shop().poll(cursor), there)
    assert [f"{API}/r8"] == [request.url for request in driven.requests[1:]]
    assert 1 == len(driven.facts)
    many = seen(**{f"r{number}": 40 for number in range(10, 17)})
    first = drive(shop().poll(many), [listed(review(9)), *[answer({}, 404)] * 5])
    assert 5 == sum(isinstance(fact, Removal) for fact in first.facts)
    rest = drive(shop().poll(first.result.cursor), [listed(review(9)), *[answer({}, 404)] * 2])
    assert 2 == sum(isinstance(fact, Removal) for fact in rest.facts)


@pytest.mark.parametrize("cursor", ["", "[]", '{"seen": {"r1": 1}}', '{"seen": {}, "after": "x"}'])
def test_a_cursor_that_is_not_ours_begins_anew(cursor):
    """Another channel's, a broken or an old one: nothing is lost, everything is read again."""
    assert 1 == len(drive(shop().poll(cursor), [listed(review(1))]).facts)


def test_a_quarantined_review_is_read_again():
    """By the same rules as on its page."""
    (fact,) = shop().reread(json.dumps(review(1)).encode()).facts
    assert "r1" == fact.message.id


def test_a_poll_without_a_token_asks_for_one():
    """A desk renews then, and keeps what it got; a poll that made its own would do so each time."""
    with pytest.raises(NeedsAuth, match="renew"):
        next(shop(access=None).poll(None))


# Replying.


@pytest.mark.parametrize(
    ("standing", "known", "replaced"),
    [
        ("We are sorry.", frozenset(), True),
        ("We  are sorry. ", frozenset(), True),
        ("We see it.", frozenset({reply_id(1, "We see it.")}), True),
        ("We see it, Anna.", frozenset({reply_id(1, "We see it.")}), False),
        ("We see it.", frozenset(), False),
    ],
)
def test_only_our_own_reply_is_replaced(standing, known, replaced):
    """What another reply of ours is known by, or the same words; a person's change makes it theirs."""
    answers = [answer(review(1, reviewReply=said(standing))), answer(said("We are sorry."))]
    driven = drive(shop().send(outgoing(known=known)), answers)
    if replaced:
        assert RECEIPT == driven.result
    else:
        assert isinstance(driven.error, Refused)
        assert "never replaced" in str(driven.error)
        assert 1 == len(driven.requests)


def test_an_answer_to_a_reply_goes_to_its_review():
    """Whatever of a review is answered, it has one reply."""
    message = outgoing(reply_to=("review", reply_id(1, "Sorry!")))
    assert GET == next(shop().send(message))


@pytest.mark.parametrize(
    ("fields", "what"),
    [({"reply_to": None}, "announcement"), ({"visibility": Visibility.private}, "private")],
)
def test_what_a_reply_cannot_be_is_refused_unasked(fields, what):
    """The reason says what to do instead."""
    with pytest.raises(Unsupported, match=what):
        next(shop().send(outgoing(**fields)))


def test_another_review_proves_nothing():
    """An answer about another review than asked for is no answer."""
    assert isinstance(drive(shop().send(outgoing()), [answer(review(2))]).error, PayloadError)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (said("Call me. Anna"), Found()),
        (said("We are sorry.", reviewReplyState="REJECTED"), Found()),
        (said("We are sorry.", reviewReplyState="PENDING"), Found(RECEIPT)),
    ],
)
def test_a_search_tells_ours_from_others(reply, expected):
    """Another's words are not ours, and rejected ones are not there."""
    found = drive(shop().find_sent(outgoing()), [answer(review(1, reviewReply=reply))]).result
    assert expected == found


def test_a_search_below_a_deleted_review_is_done():
    """With the review its reply is gone."""
    assert Found() == drive(shop().find_sent(outgoing()), [answer({}, 404)]).result


def test_a_token_that_ended_stops_no_reply():
    """The first request makes itself another token; the one that posts goes with that."""
    new = answer({"access_token": "n3w", "expires_in": 3599})
    answers = [answer({}, 401), new, answer(review(1)), answer(said("We are sorry."))]
    driven = drive(shop().send(outgoing()), answers)
    assert RECEIPT == driven.result
    bearers = [request.headers.get("Authorization") for request in driven.requests]
    assert ["Bearer acc3ss-t0ken", None, "Bearer n3w", "Bearer n3w"] == bearers
    assert "n3w" not in repr(driven.requests)
    assert isinstance(drive(shop().send(outgoing()), [answer({}, 403)]).error, NeedsAuth)


# On the local platform.


class Words:
    """Read stars, as a classifier can."""

    inline = True

    def read(self, message):
        thanks = message.text.startswith("Thank")
        bad = {"stars:1", "stars:2"} & {*message.tags} and not thanks
        return Reading("complaint" if bad else "praise", gratitude=thanks)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def network(clock):
    with GoogleReviewsPlatform(clock=clock) as platform:
        yield platform


@pytest.fixture
def ask():
    transport = Transport()
    yield lambda flow: run(flow, transport.send)
    transport.close()


def on(network) -> GoogleReviews:
    """Return the channel as it is set up on a platform."""
    urls = {"base_url": network.url, "login_url": network.url}
    return GoogleReviews(**network.credentials(), **urls)


def polled(desk):
    """Poll a whole round, and let the desk make its tokens."""
    while desk.poll().more:
        pass


def test_a_desk_replies_to_a_review(network, clock):
    """Stars without a word are a complaint; a lost answer is found; changed, the review comes back."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock, classifier=Words()) as desk:
        review = network.customer("Ola").write(stars=1)
        polled(desk)
        (talk,) = desk.inbox(unanswered=True)
        assert ("complaint", ("stars:1",)) == (talk.playbook, talk.tags)
        desk.acknowledge(talk, "We are sorry to see this.", agent="anna")
        network.fault_next("response_lost", match="PUT *")
        assert 1 == desk.deliver().unknown
        for _ in range(3):
            clock.advance(minutes=2)
            desk.deliver()
        assert ["sent"] == [row.state for row in desk.outbox()]
        polled(desk)
        assert ["We are sorry to see this.", "★☆☆☆☆ 1/5"] == [
            stored.message.text for stored in desk.messages(talk.id)
        ]
        clock.advance(minutes=1)
        network.customer("Ola").write("Thank you!", 5)
        polled(desk)
        assert () == tuple(desk.inbox(unanswered=True))
        assert ["We are sorry to see this."] == [post.text for post in network.posts]
        assert review.id == talk.customer


def test_the_owners_own_reply_is_taken_in_and_stays(network, clock):
    """It stops the clock as an answer in the app does, and no reply of ours ever replaces it."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock, classifier=Words()) as desk:
        review = network.customer("Ola").write("Cold tea.", 2)
        polled(desk)
        (talk,) = desk.inbox(unanswered=True)
        clock.advance(minutes=1)
        network.owner.reply(review, "Call me. Anna")
        desk.acknowledge(talk, "We are sorry.", agent="ben")
        assert 1 == desk.deliver().failed
        assert "never replaced" in desk.outbox()[0].last_error
        polled(desk)
        assert () == tuple(desk.inbox(unanswered=True))
        assert ("Call me. Anna", []) == (review.reply.text, network.posts)


def test_a_deleted_review_is_noticed(network, clock):
    """Nobody tells: it is missed among the newest, looked for, and recorded; with an alarm."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock, classifier=Words()) as desk:
        for name in ("Ola", "Ben"):
            network.customer(name).write("Cold tea.", 2)
        polled(desk)
        network.customer("Ola").delete()
        clock.advance(minutes=5)
        polled(desk)
        ola = network.id_of("Ola")
        (talk,) = [each for each in desk.inbox() if each.customer == ola]
        (stored,) = desk.messages(talk.id)
        assert clock() == stored.removed_at
        desk.acknowledge(talk.id, "We are sorry.", agent="anna")
        assert 1 == desk.deliver().failed


def test_tokens_last_an_hour_and_the_desk_makes_new_ones(network, clock):
    """Polling goes on over hours; a revoked refresh token is told to a person."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock) as desk:
        for _ in range(3):
            polled(desk)
            network.advance(timedelta(minutes=61))
            clock.advance(minutes=61)
        network.revoked = True
        with pytest.raises(NeedsAuth):
            desk.poll("google_reviews")


def test_a_check_tells_what_is_wrong(network, ask):
    """Tokens, the location and the answer are each named, with what to do."""
    network.customer("Ola").write("Cold tea.", 2)
    good = ask(on(network).check())
    assert (True, "1 reviews, 2.0 stars on average") == (good.ok, good.notes[0])
    elsewhere = attrs.evolve(on(network), location="accounts/1/locations/2")
    assert "authorize the app again" in ask(elsewhere.check()).problems[0]
    network.revoked = True
    assert "not accepted" in ask(on(network).check()).problems[0]
    gone, odd = ([answer({}, 404)], "there is no"), ([answer([])], "cannot be read")
    for answers, expected in (gone, odd):
        assert expected in drive(shop().check(), answers).result.problems[0]
    with pytest.raises(TransportError):
        ask(attrs.evolve(on(network), login_url="http://127.0.0.1:9").renew())


def test_the_next_reply_of_ours_replaces_the_last(network, clock):
    """A review has one reply: the steps of a complaint are told in it, one after the other."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock, classifier=Words()) as desk:
        review = network.customer("Ola").write("Cold tea.", 2)
        polled(desk)
        (talk,) = desk.inbox(unanswered=True)
        for say, text in ((desk.acknowledge, "We see it."), (desk.apologize, "We are sorry.")):
            say(talk.id, text, agent="anna")
            assert 1 == desk.deliver().sent
            polled(desk)
            clock.advance(minutes=1)
        assert "We are sorry." == review.reply.text
        network.owner.reply(review, "We are sorry. Anna")
        desk.resolve(talk.id, "The tea is warm now.", agent="ben")
        assert 1 == desk.deliver().failed
        assert "We are sorry. Anna" == review.reply.text
