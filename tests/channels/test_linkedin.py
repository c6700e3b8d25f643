"""The LinkedIn channel reads, answers and looks as the network's API wants it.

First the contract of channels, on the payloads of LinkedIn's documentation; then what is special;
then the local platform over a real connection.
"""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import attrs
import pytest

from supportflow import Desk, MemoryStore, Webhook
from supportflow.channels import (
    Channel,
    Checks,
    Finds,
    Found,
    Health,
    NeedsAuth,
    NotSent,
    Polls,
    RateLimited,
    Receives,
    Refused,
    Renews,
)
from supportflow.channels.linkedin import LinkedIn
from supportflow.errors import InvalidValue, PayloadError, Unsupported, WebhookRejected
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
    Visibility,
)
from supportflow.testing import ChannelContract, FakeClock, PageCase, SendCase, WebhookCase, drive
from supportflow.testing.platforms.linkedin import LinkedInPlatform
from supportflow.transport import Transport

AT = ChannelContract.at
SECRET, TOKEN = "c1ient-s3cret", "t0ken-0f-a-member"
PAGE, OLA, BEN = "urn:li:organization:2414183", "urn:li:person:o1a", "urn:li:person:b3n"
POST, SHARE = "urn:li:activity:7094637247890620418", "urn:li:share:7094637247487995904"
API = "https://api.linkedin.com/rest"
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "LinkedIn-Version": "202607",
    "X-Restli-Protocol-Version": "2.0.0",
}


def urn(number: int) -> str:
    """Return the name of a comment below the post."""
    return f"urn:li:comment:({POST},{number})"


def moment(minutes: int) -> datetime:
    """Return a time before now."""
    return AT - timedelta(minutes=60 - minutes)


def millis(at: datetime) -> int:
    """Return a time as LinkedIn writes it."""
    return int(at.timestamp() * 1000)


def link(number: int) -> str:
    """Return where a person sees a comment."""
    short = quote(f"urn:li:comment:({POST.removeprefix('urn:li:')},{number})", safe="")
    return f"https://www.linkedin.com/feed/update/{POST}?commentUrn={short}"


def comment(number: int, text: str = "Late!", actor: str = OLA, **fields: object) -> dict:
    """Return a comment as the Comments API shows it."""
    at = millis(moment(number))
    made = {
        "actor": actor,
        "commentUrn": urn(number),
        "created": {"actor": actor, "time": at},
        "id": str(number),
        "lastModified": {"actor": actor, "time": at},
        "message": {"attributes": [], "text": text},
        "object": POST,
    }
    return {**made, **fields}


def told(action: str, number: int, text: str = "Late!", actor: str = OLA, **fields: object) -> dict:
    """Return a notification."""
    made = {"entity": urn(number), "owner": actor, "text": text, "object": POST}
    item = {
        "notificationId": 5603453321,
        "organizationalEntity": PAGE,
        "action": action,
        "sourcePost": POST,
        "lastModifiedAt": millis(moment(number)),
        "generatedActivity": f"urn:li:comment:({POST.removeprefix('urn:li:')},{number})",
        "decoratedGeneratedActivity": {"comment": made},
        "subscriber": "urn:li:person:zLqTygBP8S",
    }
    return {**item, **fields}


def pushed(*items: dict) -> bytes:
    """Return a webhook's body."""
    kind = "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"
    return json.dumps({"type": kind, "notifications": [*items]}).encode()


def sign(body: bytes) -> dict[str, str]:
    """Return the header that proves a body genuine."""
    proof = hmac.new(SECRET.encode(), b"hmacsha256=" + body, hashlib.sha256).hexdigest()
    return {"X-LI-Signature": proof}


def listed(*items: dict, **paging: object) -> Response:
    """Return a page of comments."""
    content = {"elements": [*items], "paging": {"start": 0, "count": 100, "links": [], **paging}}
    return Response(200, body=json.dumps(content).encode(), at=AT)


def answer(content: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(status, body=json.dumps(content).encode(), at=AT)


def inbound(item: dict, number: int, text: str = "Late!", **fields: object) -> Message:
    """Return the message that a comment of Ola's is."""
    raw = json.dumps(item, separators=(",", ":"), ensure_ascii=False)
    made = {"thread": POST, "permalink": link(number), "raw": raw, **fields}
    return Message("linkedin", "comment", urn(number), Author(OLA), text, moment(number), **made)


def page(**options: object) -> LinkedIn:
    """Return the channel."""
    given = {"token": TOKEN, "client_secret": SECRET, "posts": [SHARE], "since": moment(0)}
    return LinkedIn(PAGE, **{**given, **options})


def reply(text: str = "We are sorry.", **fields: object) -> Outgoing:
    """Return an answer to Ola's comment 1."""
    made = {
        "id": "row-1",
        "mark": "mark-1",
        "text": text,
        "to": Author(OLA),
        "thread": POST,
        "reply_to": ("comment", urn(1)),
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": moment(5),
    }
    return Outgoing(**{**made, **fields})


def got(path: str) -> Request:
    """Return a request that reads."""
    return Request("GET", f"{API}/{path}", HEADERS)


def posted(target: str, body: dict) -> Request:
    """Return the request that posts."""
    url = f"{API}/socialActions/{quote(target, safe='')}/comments"
    headers = {**HEADERS, "Content-Type": "application/json"}
    return Request("POST", url, headers, json.dumps(body).encode(), posts=True)


READ = got(f"socialActions/{quote(POST, safe='')}/comments/1")
OURS = comment(6, "We are sorry.", PAGE, parentComment=urn(1))
BODY = {
    "actor": PAGE,
    "object": POST,
    "message": {"text": "We are sorry."},
    "parentComment": urn(1),
}
RECEIPT = Receipt(urn(6), moment(6), link(6))


class TestContract(ChannelContract):
    """It keeps every promise of channels, on the payloads of LinkedIn's documentation."""

    @pytest.fixture
    def channel(self):
        return page(client_id="86vhj2q7", refresh_token="r3fresh-t0ken")

    @pytest.fixture
    def sign(self):
        return sign

    @pytest.fixture
    def inbound_cases(self):
        first, edited = comment(1), comment(2, "Late, twice!")
        edited["lastModified"]["time"] = millis(moment(3))
        ours = comment(4, "Sorry!", PAGE, parentComment=urn(1))
        picture = comment(5, "", content=[{"type": "IMAGE", "entity": {"image": "urn:li:image:C"}}])
        said = inbound(first, 1)
        answered = attrs.evolve(inbound(ours, 4, "Sorry!", parent=urn(1)), author=Author(PAGE))
        polled = (
            Inbound(said),
            Inbound(inbound(edited, 2, "Late, twice!")),
            Edit("linkedin", "comment", urn(2), moment(3).isoformat(), "Late, twice!", moment(3)),
            Outbound(answered),
            Inbound(inbound(picture, 5, "", attachments=(Attachment("image", "urn:li:image:C"),))),
        )
        asked, mended = told("COMMENT", 1), told("COMMENT_EDIT", 2, "Late, twice!")
        gone = told("COMMENT_DELETE", 3, decoratedGeneratedActivity=None)
        called = (
            Inbound(inbound(asked, 1)),
            Edit("linkedin", "comment", urn(2), moment(2).isoformat(), "Late, twice!", moment(2)),
            Removal("linkedin", "comment", urn(3), moment(3), RemovedBy.unknown),
        )
        body = pushed(asked, mended, gone)
        pages = listed(first, edited, ours, picture)
        return [
            WebhookCase("notifications", body, called, items=("notifications",)),
            PageCase("comments", (pages,), polled, items=("elements",)),
        ]

    @pytest.fixture
    def send_cases(self):
        nested = comment(1, parentComment=urn(0))
        below = {**BODY, "parentComment": urn(0)}
        sent = (posted(urn(1), BODY),)
        throttled = {
            "status": 429,
            "code": "TOO_MANY_REQUESTS",
            "message": "Comment create throttled: creation rate limit exceeded for member",
        }
        share = {"actor": PAGE, "object": SHARE, "message": {"text": "We are sorry."}}
        return [
            SendCase(
                "an answer",
                reply(),
                (READ, *sent),
                (answer(comment(1)), answer(OURS, 201)),
                RECEIPT,
                found=(answer(comment(1)), listed(comment(2), OURS)),
                absent=(answer(comment(1)), listed(comment(2))),
            ),
            SendCase(
                "an answer to an answer",
                reply(),
                (READ, posted(urn(0), below)),
                (answer(nested), answer(OURS, 201)),
                RECEIPT,
            ),
            SendCase(
                "an answer to a post that mentions us",
                reply(reply_to=("share", SHARE)),
                (posted(SHARE, share),),
                (answer(OURS, 201),),
                RECEIPT,
            ),
            SendCase("deleted", reply(), (READ,), (answer({"status": 404}, 404),), Refused),
            SendCase(
                "throttled",
                reply(),
                (READ, *sent),
                (answer(comment(1)), answer(throttled, 429)),
                RateLimited,
            ),
            SendCase(
                "a version that has ended",
                reply(),
                (READ,),
                (answer({"status": 426, "code": "NONEXISTENT_VERSION"}, 426),),
                NotSent,
            ),
        ]


# Making one.


def test_it_is_what_a_desk_asks_for():
    """It takes webhooks, polls, finds, checks and renews; it waits between polls as long as told."""
    channel: Channel = page(poll_every=timedelta(hours=1))
    assert all(isinstance(channel, kind) for kind in (Receives, Polls, Finds, Checks, Renews))
    assert timedelta(hours=1) == channel.traits.poll_every


@pytest.mark.parametrize(
    "options",
    [
        {"token": ""},
        {"client_secret": ""},
        {"client_secret": []},
        {"posts": ["https://www.linkedin.com/feed/update/1"]},
        {"newest": 0},
        {"newest": 101},
        {"version": "2026-07"},
        {"version": 202607},
        {"name": " "},
        {"since": AT.replace(tzinfo=None)},
        {"base_url": "http://api.linkedin.com"},
        {"base_url": "https://api.linkedin.com/rest"},
        {"login_url": "ftp://www.linkedin.com"},
    ],
)
def test_what_cannot_work_is_refused(options):
    """No secret, no proof; a token never goes in clear over the network."""
    with pytest.raises(InvalidValue):
        page(**options)


@pytest.mark.parametrize("given", ["", "acme", "urn:li:person:17", "2414183 "])
def test_an_organization_is_a_number(given):
    """What is no organization is refused at once, not by the first poll."""
    with pytest.raises(InvalidValue, match="give its number"):
        LinkedIn(given, token=TOKEN, client_secret=SECRET)


def test_posts_may_be_given_as_text():
    """The help with setting up gives everything as text."""
    assert (SHARE, POST) == page(posts=f"{SHARE}, {POST}").posts


def test_renewed_tokens_are_used():
    """`using` takes what was persisted; the old secret still proves webhooks during a rotation."""
    state = ChannelState("linkedin", credentials={"token": Secret("n3w")})
    request = next(page(client_secret=["n3w-secret", SECRET]).using(state).poll(None))
    assert "Bearer n3w" == request.headers.get("Authorization")


# Webhooks.


def hook(body: bytes = b"", method: str = "POST", **fields: object) -> Webhook:
    """Return a webhook as it arrives."""
    return Webhook(method, body, AT, **fields)


def test_both_forms_of_the_header_are_accepted():
    """Sources disagree whether the value bears the prefix; either way it proves the same."""
    body = pushed(told("COMMENT", 1))
    plain = sign(body)["X-LI-Signature"]
    for value in (plain, f"hmacsha256={plain}"):
        assert 1 == len(page().receive(hook(body, headers={"X-LI-Signature": value})).facts)


def test_two_signatures_prove_nothing():
    """Two headers of a name may be read differently by two readers."""
    body = pushed(told("COMMENT", 1))
    twice = [*sign(body).items()] * 2
    with pytest.raises(WebhookRejected, match="2 times"):
        page().receive(hook(body, headers=twice))


def test_a_challenge_is_answered():
    """Hex HMAC-SHA256 of the code under the client secret, with the code, as JSON."""
    code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
    response = page().receive(hook(method="GET", query={"challengeCode": code})).response
    proof = hmac.new(SECRET.encode(), code.encode(), hashlib.sha256).hexdigest()
    assert {"challengeCode": code, "challengeResponse": proof} == response.json()
    assert "application/json" == response.headers.get("Content-Type")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"challengeCode": ""},
        {"challengeCode": 'hmacsha256={"type":""}'},
        {"challengeCode": "x"},
    ],
)
def test_nobody_chooses_what_is_signed(query):
    """A challenge that is no UUID could be a body: who may choose it could have it signed."""
    with pytest.raises(WebhookRejected):
        page().receive(hook(method="GET", query=query))


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"type": "LEAD_ACTION", "notifications": []}).encode(),
        json.dumps({"type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"}).encode(),
    ],
)
def test_a_genuine_webhook_of_another_kind_is_unreadable(body):
    """It is kept for a person, and not taken for silence."""
    with pytest.raises(PayloadError):
        page().receive(hook(body, headers=sign(body)))


def test_what_is_about_another_organization_is_quarantined():
    """Two pages of one app share the webhook: the other's words are not ours."""
    other = told("COMMENT", 1, organizationalEntity="urn:li:organization:7")
    body = pushed(other, told("COMMENT", 2))
    delivery = page().receive(hook(body, headers=sign(body)))
    assert (1, 1) == (len(delivery.facts), len(delivery.unreadable))
    assert "organization:7" in delivery.unreadable[0].why


def test_likes_are_no_messages():
    """What LinkedIn tells besides is neither taken for words nor put into quarantine."""
    body = pushed(told("LIKE", 1), told("SHARE", 2), told("ADMIN_COMMENT", 3, actor=PAGE))
    delivery = page().receive(hook(body, headers=sign(body)))
    assert ((), ()) == (delivery.facts, delivery.unreadable)


def test_our_own_words_are_no_customers():
    """What the organization itself wrote comes back in webhooks, also as an edit or a mention."""
    share = {"share": {"entity": SHARE, "owner": PAGE, "text": "We are here."}}
    items = [
        told("COMMENT", 1, actor=PAGE),
        told("COMMENT_EDIT", 1, actor=PAGE),
        told("SHARE_MENTION", 1, decoratedGeneratedActivity=share),
    ]
    body = pushed(*items)
    assert () == page().receive(hook(body, headers=sign(body))).facts


def test_a_post_that_mentions_us_is_a_message():
    """It is answered below itself: it is its own thread."""
    share = {"share": {"entity": SHARE, "owner": OLA, "text": "@Shop, late again."}}
    body = pushed(told("SHARE_MENTION", 1, decoratedGeneratedActivity=share))
    (fact,) = page().receive(hook(body, headers=sign(body))).facts
    expected = ("share", SHARE, SHARE, "@Shop, late again.")
    said = fact.message
    assert expected == (said.kind, said.id, said.thread, said.text)


def test_a_mention_without_a_post_is_quarantined():
    """Nothing that is no URN goes into the path of a request."""
    share = {"share": {"entity": "../../secrets", "owner": OLA, "text": "x"}}
    body = pushed(told("SHARE_MENTION", 1, decoratedGeneratedActivity=share))
    assert 1 == len(page().receive(hook(body, headers=sign(body))).unreadable)


def test_items_are_read_again():
    """What was quarantined is read by the same rules, a notification or a comment."""
    for item in (told("COMMENT", 1), comment(1)):
        (fact,) = page().reread(json.dumps(item).encode()).facts
        assert urn(1) == fact.message.id


# Polling.


def test_a_round_goes_over_posts_answers_and_pages():
    """Posts are found, each list is a page, and the round ends where everything was read."""
    channel = page(posts=(), since=None)
    posts = answer({"elements": [{"id": SHARE}, {"no": "id"}, {"id": "urn:li:share:2"}]})
    top = comment(1, commentsSummary={"aggregatedTotalComments": 1})
    first = drive(channel.poll(None), [posts, listed(top, links=[{"rel": "next"}])])
    assert f"{API}/posts?author=urn%3Ali%3Aorganization%3A2414183" in first.requests[0].url
    assert first.result.more
    targets, cursor = [first.requests[1].url], first.result.cursor
    for page_of in (listed(comment(2, parentComment=urn(1))), listed(), listed(comment(3))):
        driven = drive(channel.poll(cursor), [page_of])
        targets, cursor = [*targets, driven.requests[0].url], driven.result.cursor
    wanted = [(SHARE, 0), (urn(1), 0), (SHARE, 100), ("urn:li:share:2", 0)]
    lists = [
        f"{API}/socialActions/{quote(u, safe='')}/comments?start={s}&count=100" for u, s in wanted
    ]
    assert lists == targets
    assert not driven.result.more
    again = drive(channel.poll(cursor), [posts, listed()])
    assert 2 == len(again.requests), "a new round begins with the posts"


def test_a_page_without_posts_is_empty():
    """An organization that has published nothing yet is no error."""
    driven = drive(page(posts=()).poll(None), [answer({"elements": []})])
    assert ((), None, False) == (driven.facts, driven.result.cursor, driven.result.more)


def test_what_is_deleted_meanwhile_is_left_out():
    """A list that is gone stops no other: the round goes on with the next one."""
    driven = drive(page(posts=(SHARE, POST)).poll(None), [answer({"status": 404}, 404)])
    assert ((), True) == (driven.facts, driven.result.more)
    assert POST in driven.result.cursor


def test_a_list_that_is_refused_blocks_no_other():
    """It goes into quarantine, for a person; only a round's first refusal means that all are refused."""
    cursor = json.dumps({"left": [[SHARE, 0], [POST, 0]], "since": ""})
    driven = drive(page().poll(cursor), [answer({"message": "odd"}, 400)])
    assert (1, True) == (len(driven.unreadable), driven.result.more)
    assert (SHARE, "odd") == (
        json.loads(driven.unreadable[0].raw)["target"],
        json.loads(driven.unreadable[0].why.partition(" ")[2])["message"],
    )
    assert isinstance(drive(page().poll(None), [answer({}, 400)]).error, Refused)


def test_history_is_never_announced():
    """A day before the first poll is news; that line stays where it was, however late a post is read."""
    channel = page(since=None)
    old = comment(1, created={"time": millis(AT - timedelta(days=2))}, lastModified=None)
    first = drive(channel.poll(None), [listed(old, comment(2))])
    assert [True, False] == [fact.backfill for fact in first.facts]
    later = attrs.evolve(listed(old, comment(2)), at=AT + timedelta(days=30))
    again = drive(channel.poll(first.result.cursor), [later])
    assert [True, False] == [fact.backfill for fact in again.facts]


@pytest.mark.parametrize("cursor", ["", "{}", "[]", '{"left":[[1]]}', '{"left":[],"since":"x"}'])
def test_a_cursor_that_is_not_ours_begins_anew(cursor):
    """Another channel's, a broken or an old one: nothing is lost, everything is read again."""
    assert 1 == len(drive(page().poll(cursor), [listed(comment(1))]).facts)


def test_an_answer_of_staff_names_whom_it_mentions():
    """Below one comment several people talk; LinkedIn's app puts the name in front."""
    names = {"person": {"person": BEN}}
    words = {"text": "Ben, sorry.", "attributes": [{"start": 0, "length": 3, "value": names}]}
    aside = {"text": "Ask Ben.", "attributes": [{"start": 4, "length": 3, "value": names}]}
    ours = comment(2, actor=PAGE, parentComment=urn(1), message=words)
    others = comment(3, actor=PAGE, parentComment=urn(1), message=aside)
    alone = comment(4, "News!", actor=PAGE)
    facts = drive(page().poll(None), [listed(ours, others, alone)]).facts
    assert [BEN, None] == [fact.customer for fact in facts]


def test_the_older_spelling_is_read():
    """Versions before the current one name a comment by `$URN`."""
    item = comment(1)
    item["$URN"] = item.pop("commentUrn")
    (fact,) = drive(page().poll(None), [listed(item)]).facts
    assert urn(1) == fact.message.id


# Sending and looking.


@pytest.mark.parametrize(
    ("fields", "what"),
    [({"reply_to": None}, "announcement"), ({"visibility": Visibility.private}, "private")],
)
def test_what_linkedin_cannot_do_is_refused_unasked(fields, what):
    """The reason says what to do instead."""
    with pytest.raises(Unsupported, match=what):
        next(page().send(reply(**fields)))


def test_what_is_no_comment_is_not_answered():
    """Nothing that is no URN goes into the path of a request, however often it is tried."""
    strange = reply(reply_to=("comment", "../../me"))
    assert isinstance(drive(page().send(strange), []).error, Refused)
    assert not drive(page().find_sent(strange), []).result.looked


def test_another_comment_proves_nothing():
    """An answer about another comment than asked for is no answer: try again later."""
    assert isinstance(drive(page().send(reply()), [answer(comment(2))]).error, PayloadError)


def test_a_search_reads_to_the_end():
    """Ours may be on a later page; a deleted comment has no answers; too many prove nothing."""
    found = [listed(comment(2), links=[{"rel": "next"}]), listed(OURS)]
    assert Found(RECEIPT) == drive(page().find_sent(reply()), [answer(comment(1)), *found]).result
    gone = drive(page().find_sent(reply()), [answer({"status": 404}, 404)])
    assert Found() == gone.result
    endless = [answer(comment(1)), *[listed(comment(2), links=[{"rel": "next"}])] * 50]
    result = drive(page().find_sent(reply()), endless).result
    assert (False, True) == (result.looked, "more than 5000" in result.why)


@pytest.mark.parametrize(
    "other",
    [
        comment(6, "We are sorry.", OLA),
        comment(6, "We are sorry!", PAGE),
        comment(4, "We are sorry.", PAGE),
    ],
)
def test_only_ours_is_found(other):
    """Somebody else's words, other words and older ones are not what was sent (RELIABILITY 2.5)."""
    driven = drive(page().find_sent(reply()), [answer(comment(1)), listed(other)])
    assert Found() == driven.result


def test_what_another_reply_is_known_by_is_not_ours():
    """Two equal answers are two comments: one found is not taken for both."""
    again = reply(known=frozenset({urn(6)}))
    driven = drive(page().find_sent(again), [answer(comment(1)), listed(OURS)])
    assert Found() == driven.result


# On the local platform.


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def network(clock):
    with LinkedInPlatform(clock=clock) as platform:
        yield platform


@pytest.fixture
def ask():
    transport = Transport()
    yield lambda flow: run(flow, transport.send)
    transport.close()


def on(network, **options) -> LinkedIn:
    """Return the channel as it is set up on a platform."""
    given = {**network.credentials(), **options}
    urls = {"base_url": network.url, "login_url": network.url}
    return LinkedIn(given.pop("organization"), **{**urls, **given})


def served(network, desk, clock):
    """Give a desk every webhook of a platform from now on."""

    def receive(method, headers, query, body):
        response = desk.receive("linkedin", Webhook(method, body, clock(), headers, query))
        return response.status, response.body

    network.deliver_to(receive)


def polled(desk):
    """Poll a whole round."""
    while desk.poll().more:
        pass


def test_a_webhook_is_shaken_hands_with(network, clock):
    """LinkedIn checks an address at once, and every two hours; a wrong proof fails."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock) as desk:
        served(network, desk, clock)
        assert (True, False) == (network.handshake(), network.handshake("a guess"))


def test_a_desk_answers_below_the_top_level_comment(network, clock):
    """Told by webhook and by poll, an answer to an answer is one message, and answered in its thread.

    The answer to our comment gets lost: it is found by reading, and not posted again.
    """
    with Desk(MemoryStore(clock), [on(network)], clock=clock) as desk:
        served(network, desk, clock)
        ola, ben = network.customer("ola"), network.customer("ben")
        first = ola.write("Late!")
        staff = network.page.comment("Which order?", in_reply_to=first)
        second = ola.write("4711", in_reply_to=staff)
        ben.write("Mine too.", in_reply_to=first)
        network.page.comment("Ola, thank you.", in_reply_to=second)
        assert 0 == network.deliver()
        polled(desk)
        talks = {talk.customer: talk.id for talk in desk.inbox()}
        assert {ola.urn, ben.urn} == {*talks}
        desk.reply(talks[ola.urn], "It comes tomorrow.", agent="anna")
        network.fault_next("response_lost", match="POST *")
        assert 1 == desk.deliver().unknown
        for _ in range(3):
            clock.advance(minutes=3)
            desk.deliver()
        ((row,), (sent,)) = desk.outbox(), network.posts
        assert ("sent", sent.urn, first.urn) == (row.state, row.remote_id, sent.parent)
        network.redeliver()
        polled(desk)
        said = [stored.message.text for stored in desk.messages(talks[ola.urn])]
        assert 1 == said.count("It comes tomorrow.")
        assert () == tuple(desk.quarantine())


def test_an_answer_to_a_deleted_comment_fails(network, clock):
    """It fails with the reason, and a person is told; nothing is tried again."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock) as desk:
        served(network, desk, clock)
        first = network.customer("ola").write("Late!")
        network.deliver()
        (talk,) = desk.inbox()
        desk.reply(talk, "It comes tomorrow.", agent="anna")
        network.customer("ola").delete(first)
        assert 1 == desk.deliver().failed
        assert "deleted" in desk.outbox()[0].last_error


def test_a_mention_is_answered_below_its_post(network, clock):
    """A post of somebody's own that names us is a message too, and is answered below itself."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock) as desk:
        served(network, desk, clock)
        share = network.customer("ola").mention("@Shop, where is my parcel?")
        network.deliver()
        (talk,) = desk.inbox(unanswered=True)
        desk.reply(talk, "It comes tomorrow.", agent="anna")
        assert 1 == desk.deliver().sent
        assert [network.published[share]] == [post.post for post in network.posts]


def test_a_check_tells_what_is_missing(network, ask):
    """Scopes, the role, the token's end and the version are each named, with what to do."""
    good = ask(on(network).check())
    assert (True, network.token_ends) == (good.ok, good.expires_at.replace(microsecond=0))
    network.scopes.remove("w_organization_social")
    assert "lacks w_organization_social" in ask(on(network).check()).problems[0]
    network.scopes[:] = ["w_organization_social_feed"]
    without = ask(on(network).check())
    assert "lacks r_organization_social" in without.problems[0]
    assert "ACCESS_DENIED" in without.problems[1]
    old = ask(on(network, version="202301").check())
    assert "no longer serves version 202301" in " ".join(old.problems)
    plain = LinkedIn(network.page.urn, token=network.token, client_secret="x", base_url=network.url)
    assert "without refresh_token" in " ".join(ask(plain.check()).notes)


def test_an_ended_token_is_renewed(network, clock, ask):
    """Sixty days on, the refresh token gives a new one; a revoked one needs a person."""
    channel = on(network)
    network.advance(timedelta(days=61))
    with pytest.raises(NeedsAuth, match="EXPIRED"):
        ask(channel.poll(None))
    assert "not active" in ask(channel.check()).problems[0]
    renewed = channel.using(ask(channel.renew()))
    assert ask(renewed.check()).ok
    network.refresh_token = "another"
    with pytest.raises(NeedsAuth, match="not accepted"):
        ask(renewed.renew())
    with pytest.raises(NeedsAuth, match="give client_id"):
        ask(page().renew())


def test_an_unreadable_token_report_is_no_good_health():
    """Where LinkedIn answers nonsense, nobody is told that all is well."""
    driven = drive(page(client_id="id").check(), [answer([])])
    assert isinstance(driven.result, Health)
    assert not driven.result.ok
    ends = {"active": True, "scope": "r_organization_social,w_organization_social"}
    driven = drive(page(client_id="id").check(), [answer(ends), answer({"elements": []})])
    assert (True, None) == (driven.result.ok, driven.result.expires_at)


def test_times_are_aware():
    """What LinkedIn counts in milliseconds is a time in UTC."""
    (fact,) = drive(page().poll(None), [listed(comment(1))]).facts
    assert UTC is fact.message.at.tzinfo
