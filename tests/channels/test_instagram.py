"""Instagram: comments, mentions and messages are read, and answered once where they stand."""

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supportflow.channels import (
    Ambiguous,
    Delivery,
    Found,
    Health,
    NeedsAuth,
    NotSent,
    RateLimited,
    Refused,
    load,
)
from supportflow.channels.instagram import Instagram
from supportflow.desk import Desk
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    TransportError,
    Unsupported,
    WindowClosed,
)
from supportflow.flow import run
from supportflow.http import Request, Response, Webhook
from supportflow.model import (
    Agent,
    AgentKind,
    Attachment,
    Author,
    Edit,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Removal,
    StatusReport,
    Visibility,
)
from supportflow.stores.memory import MemoryStore
from supportflow.testing.channel_cases import Driven, drive
from supportflow.testing.channel_contract import AT, ChannelContract, SendCase, WebhookCase
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.instagram import InstagramPlatform
from supportflow.transport import Transport

PAGE, US, OLA = "1065123456789012", "17841405726653026", "5678901234567890"
MEDIA, ASKED, ANSWER = "17918195224117851", "17865799348089039", "17865799348089040"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MARK = "abcdefghijklmnopqrstuv23"
SECRETS = ("t0ken-of-the-page", "s3cret-of-the-app", "v3rify-the-webhook")
PROOF = hmac.new(SECRETS[1].encode(), SECRETS[0].encode(), hashlib.sha256).hexdigest()
GRAPH = "https://graph.facebook.com/v23.0"
PRIVATE = {"visibility": Visibility.private}
BOT = Agent("helper", AgentKind.bot)


def instagram(**changes: object) -> Instagram:
    """Return the channel of an account."""
    token, app_secret, verify_token = SECRETS
    given = {"token": token, "app_secret": app_secret, "verify_token": verify_token, **changes}
    return Instagram(PAGE, US, **given)


def sign(body: bytes) -> dict[str, str]:
    """Sign as Meta does, with nothing of the library's own."""
    digest = hmac.new(SECRETS[1].encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def comment(**more: object) -> dict:
    """Return a change: a comment beneath a post of the account."""
    value = {
        "from": {"id": OLA, "username": "ola"},
        "id": ASKED,
        "text": "You charged me twice!",
        "media": {"id": MEDIA, "media_product_type": "FEED"},
        **more,
    }
    return {"field": "comments", "value": {k: v for k, v in value.items() if v is not ...}}


OURS = {"from": {"id": US, "username": "shop"}, "id": ANSWER}


def mention(**more: object) -> dict:
    """Return a change: the account was mentioned, in a comment."""
    return {"field": "mentions", "value": {"media_id": MEDIA, "comment_id": ASKED, **more}}


def event(*, echo: bool = False, **content: object) -> dict:
    """Return an event between Ola and the account."""
    ends = [{"id": OLA}, {"id": US}]
    sender, recipient = reversed(ends) if echo else ends
    stamp = int(NOON.timestamp() * 1000)
    return {"sender": sender, "recipient": recipient, "timestamp": stamp, **content}


def batch(*items: object, place: str = "changes", account: str = US) -> bytes:
    """Write what happened as Meta does."""
    entry = {"id": account, "time": int(NOON.timestamp()), place: list(items)}
    return json.dumps({"object": "instagram", "entry": [entry]}).encode()


def received(*items: object, **options: str) -> Delivery:
    """Return what a genuine batch gives."""
    body = batch(*items, **options)
    return instagram().receive(Webhook("POST", body, NOON, sign(body)))


def facts(*items: object, **options: str) -> tuple:
    """Return the facts of a batch, and prove that nothing of it was unreadable."""
    delivery = received(*items, **options)
    assert () == delivery.unreadable
    return delivery.facts


def told(*items: object) -> tuple:
    """Return the facts of events."""
    return facts(*items, place="messaging")


def without_raw(fact: object) -> object:
    """Return a fact without the item that it came as."""
    if isinstance(fact, Inbound | Outbound):
        return attrs.evolve(fact, message=attrs.evolve(fact.message, raw=None))
    return fact


def written(text: str = "You charged me twice!", name: str = ASKED, **more: object) -> Message:
    """Return a comment as the channel reads it."""
    given = {"author": Author(OLA, "ola", "ola"), "at": NOON, "thread": ASKED, **more}
    return Message("instagram", "comment", name, text=text, **given)


def direct(text: str, name: str, author: str = OLA) -> Message:
    """Return a direct message as the channel reads it."""
    private = Visibility.private
    return Message(
        "instagram", "message", name, Author(author), text, NOON, OLA, visibility=private
    )


def outgoing(text: str = "We see it.", **changes: object) -> Outgoing:
    """Return a part of an answer to Ola's comment, a minute after she wrote."""
    base = Outgoing(
        "row-1",
        MARK,
        text,
        Author(OLA, "ola", "ola"),
        ASKED,
        ("comment", ASKED),
        Visibility.public,
        AgentKind.person,
        NOON,
        last_inbound_at=NOON - timedelta(minutes=1),
    )
    return attrs.evolve(base, **changes)


def message(text: str = "We see it.", **changes: object) -> Outgoing:
    """Return an answer to a direct message."""
    return outgoing(text, reply_to=("message", "m_1"), thread=OLA, **PRIVATE, **changes)


def posting(path: str, call: object) -> Request:
    """Return the request that a call is."""
    headers = {"Authorization": f"Bearer {SECRETS[0]}", "Content-Type": "application/json"}
    body = json.dumps(call).encode()
    return Request("POST", f"{GRAPH}/{path}?appsecret_proof={PROOF}", headers, body, posts=True)


def said(value: object, status: int = 200, at: datetime | None = NOON) -> Response:
    """Return an answer of JSON."""
    return Response(status, body=json.dumps(value).encode(), at=at)


def failed(code: int, text: str = "no", status: int = 400, **more: object) -> Response:
    """Return a refusal."""
    return said({"error": {"code": code, "message": text, **more}}, status, AT)


def call_of(driven: Driven) -> tuple[str, dict]:
    """Return where the only request of a flow went, and its parameters."""
    (request,) = driven.requests
    return urlsplit(request.url).path.removeprefix("/v23.0/"), json.loads(request.body)


def look(sought: Outgoing, *answers: object) -> tuple[Found, list[str]]:
    """Look for a message; return what was found, and the paths that were asked."""
    driven = drive(instagram().find_sent(sought), answers)
    assert driven.error is None
    return driven.result, [
        urlsplit(each.url).path.removeprefix("/v23.0/") for each in driven.requests
    ]


def node(name: str = ANSWER, after: float = 1, text: str = "We see it.", **by: object) -> dict:
    """Return a comment as reads show it, so long after the answer was queued; ours unless said."""
    at = (NOON + timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    return {"id": name, "timestamp": at, "text": text, **(by or {"user": {"id": US}})}


def edge(*nodes: object, after: str | None = None) -> Response:
    """Return one page of comments."""
    paging = {"cursors": {"before": "b", "after": after or "a"}}
    if after:
        paging["next"] = "https://elsewhere.example/steal"
    return said({"data": list(nodes), "paging": paging})


# What is given.


def test_it_is_registered():
    """The entry point finds it by name."""
    assert Instagram is load("instagram")


@pytest.mark.parametrize("wrong", ["", "1784/x", 17841405726653026, None])
def test_an_account_has_a_number(wrong):
    """What would not make an address is refused when the channel is made."""
    with pytest.raises(InvalidValue, match="account_id"):
        Instagram(PAGE, wrong, token="t", app_secret="a", verify_token="v")


# What people write.


def test_a_comment_begins_a_thread():
    """Its words, its author's name, and the item as it came."""
    (fact,) = facts(comment())
    assert Inbound(written()) == without_raw(fact)
    assert (fact,) == instagram().reread(fact.message.raw.encode()).facts


def test_an_answer_stands_beneath_what_it_answers():
    """One level deep: what it answers began the thread. Both spellings of the id are read."""
    (fact,) = facts(comment(id=..., comment_id=ANSWER, parent_id=ASKED))
    assert Inbound(written(name=ANSWER, parent=ASKED)) == without_raw(fact)


def test_our_own_comments_are_echoes():
    """Beneath a customer's it answers them; our first comment beneath a post answers nobody."""
    (fact,) = facts(comment(**OURS, parent_id=ASKED), comment(**OURS))
    shop = Author(US, "shop", "shop")
    expected = written(name=ANSWER, author=shop, parent=ASKED, thread=None)
    assert Outbound(expected) == without_raw(fact)


def test_a_comment_on_an_advertisement_is_marked():
    """Its item names the advertisement."""
    live = {**comment(media={"id": MEDIA, "ad_id": "9"}), "field": "live_comments"}
    (fact,) = facts(live)
    assert ("ad",) == fact.message.tags


def test_a_mention_is_known_by_its_ids():
    """Neither words nor author are told: somebody of their own, for every mention."""
    one, other = facts(mention(), mention(comment_id=None))
    assert [f"{MEDIA}:{ASKED}", MEDIA] == [one.message.id, other.message.id]
    assert ["mention"] * 2 == [one.message.kind, other.message.kind]
    assert one.message.author.id != other.message.author.id


def test_messages_are_read_as_on_messenger():
    """Theirs, our echo with its mark, an edit, a reaction and a tapped button."""
    echo = {"mid": "m_2", "text": "Hello", "is_echo": True, "metadata": MARK}
    found = told(
        event(message={"mid": "m_1", "text": "Hi"}),
        event(echo=True, message=echo),
        event(message_edit={"mid": "m_1", "text": "Hey", "num_edit": "1"}),
        event(reaction={"mid": "m_2", "action": "react", "reaction": "love", "emoji": "❤️"}),
        event(postback={"mid": "m_3", "title": "Opening hours", "payload": "HOURS"}),
    )
    expected = (
        Inbound(direct("Hi", "m_1")),
        Outbound(direct("Hello", "m_2", US), OLA, MARK),
        Edit("instagram", "message", "m_1", "1", "Hey", NOON),
        Reaction("instagram", "message", "m_2", Author(OLA), "❤️", NOON),
    )
    assert expected == tuple(map(without_raw, found[:-1]))
    assert "Opening hours" == found[-1].message.text


def test_what_messenger_does_not_tell_is_read():
    """A message taken back, and one that was read, by their ids."""
    found = told(
        event(message={"mid": "m_1", "is_deleted": True}),
        event(read={"mid": "m_2"}),
        event(read={}),
    )
    removal = Removal("instagram", "message", "m_1", NOON, "author")
    assert (removal, StatusReport("instagram", "m_2", "read", NOON)) == found


def test_an_answer_to_a_story_is_a_message():
    """It names no message that it answers."""
    story = {"story": {"url": "https://cdn.example.com/1", "id": "5"}}
    (fact,) = told(event(message={"mid": "m_1", "text": "Nice!", "reply_to": story}))
    assert ("Nice!", None) == (fact.message.text, fact.message.parent)


def test_messages_may_come_as_changes():
    """The event then stands in the value of a field of its own."""
    value = event(message={"mid": "m_1", "text": "Hi"})
    assert (Inbound(direct("Hi", "m_1")),) == tuple(
        map(without_raw, facts({"field": "messages", "value": value}))
    )


def test_insights_hold_no_words():
    """They are passed over."""
    assert () == facts({"field": "story_insights", "value": {"reach": 5}})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (None, "the change is NoneType"),
        ({"field": "comments"}, "the value of comments"),
        ({"field": "poems", "value": {}}, "'poems', which is not known"),
        (comment(**{"from": ...}), "from is NoneType"),
        (comment(id=...), "id is None"),
        (comment(text=7), "text is 7"),
        (mention(media_id=None), "media_id is None"),
    ],
)
def test_what_cannot_be_read_is_kept(change, why):
    """It goes into quarantine alone, and says why."""
    delivery = received(change)
    (item,) = delivery.unreadable
    assert why in item.why
    assert () == delivery.facts
    assert (item,) == instagram().reread(item.raw).unreadable


def test_an_entry_without_a_time_is_kept():
    """A comment has no time of its own."""
    body = json.dumps({"object": "instagram", "entry": [{"id": US, "changes": [comment()]}]})
    hook = Webhook("POST", body.encode(), NOON, sign(body.encode()))
    assert 1 == len(instagram().receive(hook).unreadable)


def test_a_page_is_another_channels():
    """A webhook of a page is none of an account."""
    body = b'{"object": "page", "entry": []}'
    with pytest.raises(PayloadError):
        instagram().receive(Webhook("POST", body, NOON, sign(body)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["from", "id", "comment_id", "parent_id", "text", "media", "media_id"])


@settings(max_examples=40)
@given(st.sampled_from(["comments", "mentions", "messages"]), st.dictionaries(NAMES, JSON))
def test_any_genuine_change_is_read_or_kept(field, value):
    """Whatever stands in a change, it becomes facts, nothing, or an item in quarantine."""
    author = {"from": {"id": OLA, "username": "ola"}}
    delivery = received({"field": field, "value": {**author, "id": ASKED, **value}})
    assert 1 >= len(delivery.facts) + len(delivery.unreadable)


# What a mention says.


@pytest.mark.parametrize(
    ("name", "edge_name", "asked"),
    [
        (f"{MEDIA}:{ASKED}", "mentioned_comment", f".comment_id({ASKED}){{text,"),
        (MEDIA, "mentioned_media", f".media_id({MEDIA}){{caption,"),
    ],
)
def test_the_words_of_a_mention_are_read(name, edge_name, asked):
    """One request with the ids of its webhook; the author's name comes with them."""
    message = written("", name, author=Author("unknown:1"), thread=name)
    message = attrs.evolve(message, kind="mention")
    words = {"text": "@shop Hi", "caption": "@shop Hi", "username": "ola"}
    answer = said({edge_name: {**words, "timestamp": "2026-01-31T11:59:00+0000"}, "id": US})
    driven = drive(instagram().mentioned(message), [answer])
    expected = attrs.evolve(
        message,
        author=Author("unknown:1", "ola", "ola"),
        text="@shop Hi",
        at=NOON - timedelta(minutes=1),
    )
    assert expected == driven.result
    (fields,) = parse_qs(urlsplit(driven.requests[0].url).query)["fields"]
    assert f"{edge_name}{asked}timestamp,username}}" == fields


def test_only_a_mention_has_words_elsewhere():
    """Another message, an id that leads elsewhere, and what is not there, each with its error."""
    message = attrs.evolve(written("", "../x:1"), kind="mention")
    assert isinstance(drive(instagram().mentioned(written()), []).error, InvalidValue)
    elsewhere = attrs.evolve(message, id="1:../x")
    assert isinstance(drive(instagram().mentioned(elsewhere), []).error, Refused)
    gone = drive(instagram().mentioned(attrs.evolve(message, id="1:2")), [said({"id": US})])
    assert isinstance(gone.error, PayloadError)


# What we write.


def test_an_answer_stands_in_its_thread():
    """Also to an answer of the customer's: beneath the comment that began the thread."""
    driven = drive(instagram().send(outgoing(reply_to=("comment", ANSWER))), [said({"id": "9"})])
    assert Receipt("9", NOON) == driven.result
    assert (f"{ASKED}/replies", {"message": "We see it."}) == call_of(driven)


def test_a_mention_is_answered_where_it_stands():
    """In a comment or in a post: both of its ids go back."""
    for name, ids in (
        (f"{MEDIA}:{ASKED}", {"media_id": MEDIA, "comment_id": ASKED}),
        (MEDIA, {"media_id": MEDIA}),
    ):
        sent = outgoing(reply_to=("mention", name), thread=name)
        driven = drive(instagram().send(sent), [said({"id": "9"})])
        assert (f"{US}/mentions", {"message": "We see it.", **ids}) == call_of(driven)


def test_a_private_answer_names_the_comment():
    """It goes through the page, with our mark for its echo, and needs no tag."""
    took = said({"recipient_id": OLA, "message_id": "m_9"})
    late = NOON - timedelta(days=2)
    driven = drive(instagram().send(outgoing(**PRIVATE, last_inbound_at=late)), [took])
    assert Receipt("m_9", NOON) == driven.result
    content = {"text": "We see it.", "metadata": MARK}
    expected = {"recipient": {"comment_id": ASKED}, "message": content}
    assert (f"{PAGE}/messages", expected) == call_of(driven)


@pytest.mark.parametrize(
    ("by", "hours", "tag"),
    [("person", 1, None), ("person", 25, "HUMAN_AGENT"), ("bot", 25, None)],
)
def test_the_tag_is_for_persons_after_a_day(by, hours, tag):
    """A direct message of a person has seven days, of a bot one."""
    late = NOON - timedelta(hours=hours)
    sent = message(by=AgentKind(by), last_inbound_at=late)
    driven = drive(instagram().send(sent), [said({"message_id": "m_9"})])
    assert tag == call_of(driven)[1].get("tag")


@pytest.mark.parametrize(
    "sent",
    [
        outgoing("x" * 2_201),
        outgoing(" "),
        message("ł" * 501),
        message(" "),
        outgoing(reply_to=None),
        outgoing(reply_to=("mention", MEDIA), **PRIVATE),
        outgoing(attachments=(Attachment("image", "https://example.com/1.png"),)),
        message(quick_replies=("Yes",)),
    ],
)
def test_what_instagram_cannot_express_is_refused_unasked(sent):
    """Nothing is cut, and nothing vanishes; private words are counted in bytes."""
    driven = drive(instagram().send(sent), [])
    assert isinstance(driven.error, Unsupported)
    assert () == driven.requests


def test_as_many_bytes_as_are_taken_are_sent():
    """500 letters of two bytes each are 1,000 bytes."""
    driven = drive(instagram().send(message("ł" * 500)), [said({"message_id": "m_9"})])
    assert driven.result


@pytest.mark.parametrize(
    ("sent", "answer", "kind"),
    [
        (outgoing(thread=".."), None, Refused),
        (outgoing(), failed(100, error_subcode=33), Refused),
        (outgoing(**PRIVATE), failed(10900), Refused),
        (message(by=AgentKind.bot), failed(10, error_subcode=2534022), Refused),
        (message(), failed(190), NeedsAuth),
        (outgoing(), failed(32), RateLimited),
        (outgoing(), TransportError("lost", sent=True), Ambiguous),
        (outgoing(), TransportError("no", sent=False), NotSent),
    ],
)
def test_every_answer_has_its_outcome(sent, answer, kind):
    """A comment that is gone fails alone; a bad token holds the account."""
    assert isinstance(drive(instagram().send(sent), [answer]).error, kind)


# Looking for our own.


def test_the_answers_are_asked_for():
    """What stands beneath the comment, with what tells whose it is."""
    driven = drive(instagram().find_sent(outgoing()), [edge(node())])
    assert Found(Receipt(ANSWER, NOON + timedelta(seconds=1))) == driven.result
    (request,) = driven.requests
    assert f"{GRAPH}/{ASKED}/replies" == request.url.partition("?")[0]
    asked = parse_qs(urlsplit(request.url).query)
    assert ["id,text,timestamp,from,user,username"] == asked["fields"]


def test_ours_are_known_by_either_field():
    """`from` names everybody, `user` us alone; where neither is shown, nobody knows."""
    assert look(outgoing(), edge(node(**{"from": {"id": US}})))[0].receipt
    assert Found() == look(outgoing(), edge(node(**{"from": {"id": OLA}})))[0]
    found, _ = look(outgoing(), edge(node(username="shop")))
    assert (None, False) == (found.receipt, found.looked)


def test_all_answers_are_read():
    """Nothing says which come first: older ones end no search, and twenty pages do."""
    old = node("1", -60, "Old")
    found, paths = look(outgoing(), edge(old, after="a"), edge(node()))
    assert (True, 2) == (found.receipt is not None, len(paths))
    assert Found() == look(outgoing(), edge(old, after="a"), edge())[0]
    found, paths = look(outgoing(), *[edge(old, after="a")] * 20)
    assert (False, 20) == (found.looked, len(paths))


def test_an_answer_to_a_mention_cannot_be_looked_for():
    """Nothing shows it: a person must."""
    found, paths = look(outgoing(reply_to=("mention", MEDIA), thread=MEDIA))
    assert (False, []) == (found.looked, paths)


def private_thread(*nodes: dict) -> Response:
    """Return the private thread with Ola."""
    return said({"data": [{"id": "t_5", "messages": {"data": list(nodes)}}]})


def said_by(us: str, name: str = "m_9", after: float = 1, text: str = "We see it.") -> dict:
    """Return a message of the private thread."""
    ends = [{"id": US}, {"id": OLA}]
    sender, receiver = ends if us == US else reversed(ends)
    at = (NOON + timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    to = {"data": [receiver]}
    return {"id": name, "created_time": at, "message": text, "from": sender, "to": to}


BEFORE = said_by(OLA, "m_1", -60, "Hi")


def test_a_message_is_looked_for_in_its_thread():
    """Through the page, on Instagram; a thread that has nothing older proves no absence."""
    for sought in (message(), outgoing(**PRIVATE)):
        found, paths = look(sought, private_thread(said_by(US), BEFORE))
        assert ("m_9", [f"{PAGE}/conversations"]) == (found.receipt.id, paths)
        assert Found() == look(sought, private_thread(BEFORE))[0]
        assert not look(sought, said({"data": []}))[0].looked


# Health.

ME = said({"id": PAGE, "name": "Shop"})
CONNECTED = said({"instagram_business_account": {"id": US}, "id": PAGE})
APPS = said({"data": [{"id": "42", "subscribed_fields": ["feed"]}]})
NONE = said({"data": []})


def checked(*answers: object) -> Health:
    """Check by plain answers."""
    driven = drive(instagram().check(), answers)
    assert driven.error is None
    return driven.result


def test_all_is_well():
    """The token is the page's, the account is connected to it, and the app to the page."""
    health = checked(ME, CONNECTED, APPS, NONE)
    assert (True, ()) == (health.ok, health.problems)
    assert "comments, live_comments, mentions" in health.notes[0]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((failed(190, status=401),), "token with instagram_manage_comments"),
        ((ME, said({"id": PAGE}), APPS, NONE), f"connected to the account None, not to {US}"),
        ((ME, CONNECTED, NONE, NONE), "subscribed_fields=feed"),
        ((ME, Response(503, at=NOON)), "no usable answer"),
    ],
)
def test_what_is_missing_is_named(answers, why):
    """Each problem says what to do about it."""
    health = checked(*answers)
    assert not health.ok
    assert why in health.problems[0]


def test_reads_that_are_refused_are_a_note():
    """It works without them, less surely."""
    health = checked(ME, CONNECTED, APPS, failed(10))
    assert health.ok
    assert "lost messages" in health.notes[1]


# On the strict double.


@attrs.define
class Stand:
    """A platform, a desk that serves its account, and their common clock."""

    platform: InstagramPlatform
    desk: Desk
    channel: Instagram
    clock: FakeClock

    def hear(self, method: str, headers: dict, query: dict, body: bytes) -> tuple[int, bytes]:
        """Take a webhook as a web framework would."""
        response = self.desk.receive(
            "instagram", Webhook(method, body, self.clock(), headers, query)
        )
        return response.status, response.body

    @property
    def posts(self) -> list[str]:
        """Return the words that the platform really accepted from us."""
        return [post.text for post in self.platform.posts]

    @property
    def states(self) -> list[str]:
        """Return how far each answer came."""
        return [str(row.state) for row in self.desk.outbox()]

    def reply(self, text: str = "We see it.", **more: object) -> None:
        """Answer whoever waits, a few seconds later."""
        self.clock.advance(seconds=5)
        self.desk.reply(self.desk.inbox(unanswered=True)[0], text, **more)

    def later(self, *minutes: float) -> None:
        """Let the desk deliver after each of these pauses."""
        for pause in minutes:
            self.clock.advance(minutes=pause)
            self.desk.deliver()


@pytest.fixture
def stand() -> Iterable[Stand]:
    """Return a desk that serves an account, to which nobody has written yet."""
    clock = FakeClock()
    with InstagramPlatform(clock=clock) as platform:
        channel = Instagram(**platform.credentials(), base_url=platform.url)
        with Desk(MemoryStore(clock), [channel], clock=clock) as desk:
            stand = Stand(platform, desk, channel, clock)
            platform.deliver_to(stand.hear)
            yield stand


def test_the_platform_agrees_with_the_health(stand):
    """Over real connections, all that is asked is answered as the check wants it."""
    transport = Transport()
    assert run(stand.channel.check(), transport.send).ok
    transport.close()
    assert stand.platform.handshake()


def test_a_public_answer_and_its_echo(stand):
    """It stands beneath the comment once, and its own webhook is no news."""
    asked = stand.platform.customer("ola").comment("You charged me twice!")
    stand.reply()
    stand.later(1)
    stand.platform.deliver()
    (post,) = stand.platform.posts
    assert (asked.id, "We see it.") == (post.parent, post.text)
    (conversation,) = stand.desk.inbox()
    assert 2 == len(stand.desk.messages(conversation))
    assert () == stand.desk.quarantine()


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("fault", ["response_lost", "no_id", "html"])
def test_a_lost_answer_is_cleared_up(stand, fault, private):
    """By its own webhook: a comment's words, a message's mark."""
    ola = stand.platform.customer("ola")
    (ola.write if private else ola.comment)("You charged me twice!")
    stand.reply()
    stand.platform.fault_next(fault, match="POST *")
    stand.later(1)
    assert ["unknown"] == stand.states
    stand.platform.deliver()
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("fault", ["response_lost", "reset_before"])
def test_a_lost_answer_is_looked_for(stand, fault, private):
    """Without its webhook the comments or the thread are read, and it is posted once."""
    ola = stand.platform.customer("ola")
    (ola.write if private else ola.comment)("You charged me twice!")
    stand.platform.hooks.deliver_to(lambda *_: 503)
    stand.reply()
    stand.platform.fault_next(fault, match="POST *")
    stand.later(1, 2, 2, 2)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_a_private_answer_to_a_comment(stand):
    """Once for each comment; the second fails with the reason."""
    stand.platform.customer("ola").comment("You charged me twice!")
    stand.reply("What is your number?", visibility="private")
    stand.later(1)
    stand.platform.deliver()
    stand.desk.reply(stand.desk.inbox()[0], "Hello?", visibility="private")
    stand.later(1)
    assert ["sent", "failed"] == stand.states
    assert "Activity already replied to" in stand.desk.outbox()[1].last_error


def test_the_window_is_for_messages_alone(stand):
    """A bot has a day and a person seven; beneath a comment there is no end."""
    ola = stand.platform.customer("ola")
    ola.write("You charged me twice!")
    stand.clock.advance(minutes=25 * 60)
    with pytest.raises(WindowClosed):
        stand.reply(agent=BOT)
    stand.reply()
    stand.later(1)
    assert (["sent"], "HUMAN_AGENT") == (stand.states, stand.platform.posts[0].tag)
    ola.comment("Hello?")
    stand.clock.advance(minutes=30 * 24 * 60)
    stand.reply("Hello!", agent=BOT)
    stand.later(1)
    assert ["sent", "sent"] == stand.states


def test_a_comment_that_is_gone_fails_alone(stand):
    """Its answer is refused with the reason; the account goes on."""
    ola = stand.platform.customer("ola")
    gone = ola.comment("You charged me twice!")
    stand.reply()
    ola.delete(gone)
    stand.clock.advance(seconds=5)
    stand.platform.customer("ala").comment("Where is my lamp?")
    stand.reply("On its way.")
    stand.later(1)
    assert {"failed", "sent"} == {*stand.states}
    assert ["On its way."] == stand.posts


@pytest.mark.parametrize("caption", [False, True])
def test_a_mention_is_read_and_answered(stand, caption):
    """Its ids arrive, its words are asked for, and the answer stands where it is."""
    made = stand.platform.customer("ola").mention("I love my lamp, @shop!", caption=caption)
    (conversation,) = stand.desk.inbox()
    (stored,) = stand.desk.messages(conversation)
    transport = Transport()
    read = run(stand.channel.mentioned(stored.message), transport.send)
    transport.close()
    assert ("I love my lamp, @shop!", "ola") == (read.text, read.author.handle)
    stand.reply("Thank you!")
    stand.later(1)
    (post,) = stand.platform.posts
    assert made.id == (post.post if caption else post.parent)


def test_everything_else_reaches_the_desk(stand):
    """Messages, edits, reactions, what was taken back, and answers in Instagram's own app."""
    ola = stand.platform.customer("ola")
    asked = ola.write("You charged me twice!")
    ola.edit(asked, "You charged me twice! (In March.)")
    stand.reply()
    stand.later(1)
    stand.platform.deliver()
    (ours,) = stand.platform.posts
    ola.react(ours, "love")
    ola.see(ours)
    stand.platform.staff.message(ola, "It is paid back.")
    ola.unsend(asked)
    beneath = ola.comment("Thank you!")
    stand.platform.staff.reply(beneath, "You are welcome.")
    stand.platform.redeliver(everything=True)
    assert () == stand.desk.quarantine()
    kinds = {
        type(each.event).__name__
        for conversation in stand.desk.inbox()
        for each in stand.desk.history(conversation)
    }
    assert {"Edited", "Reacted", "Reported", "Deleted", "Told"} <= kinds


class TestInstagram(ChannelContract):
    """Prove the contract of every channel."""

    @pytest.fixture
    def channel(self):
        """Return the channel of an account."""
        return instagram()

    @pytest.fixture
    def sign(self):
        """Return Meta's signature of a body."""
        return sign

    @pytest.fixture
    def inbound_cases(self):
        """Return one batch of every kind of change, one of events, and one of entries."""
        changes = [comment(), comment(**OURS, parent_id=ASKED), mention()]
        echo = {"mid": "m_2", "text": "Hello", "is_echo": True, "metadata": MARK}
        events = [
            event(message={"mid": "m_1", "text": "Hi"}),
            event(message_edit={"mid": "m_1", "text": "Hey", "num_edit": 1}),
            event(message={"mid": "m_1", "is_deleted": True}),
            event(reaction={"mid": "m_2", "action": "react", "reaction": "love", "emoji": "❤️"}),
            event(read={"mid": "m_2"}),
            event(echo=True, message=echo),
        ]
        asked, ours, mentioned = (fact.message for fact in facts(*changes))
        shown = told(events[-1])[0].message
        shop, name = Author(US, "shop", "shop"), f"{MEDIA}:{ASKED}"
        stranger = Author(f"unknown:{name}")
        elsewhere = written("", name, author=stranger, thread=name, tags=("mention",))
        answer = written(name=ANSWER, author=shop, parent=ASKED, thread=None, raw=ours.raw)
        public = (
            Inbound(written(raw=asked.raw)),
            Outbound(answer),
            Inbound(attrs.evolve(elsewhere, kind="mention", raw=mentioned.raw)),
        )
        private = (
            Inbound(direct("Hi", "m_1")),
            Edit("instagram", "message", "m_1", "1", "Hey", NOON),
            Removal("instagram", "message", "m_1", NOON, "author"),
            Reaction("instagram", "message", "m_2", Author(OLA), "❤️", NOON),
            StatusReport("instagram", "m_2", "read", NOON),
            Outbound(attrs.evolve(direct("Hello", "m_2", US), raw=shown.raw), OLA, MARK),
        )
        entries = json.loads(batch(changes[0]))
        entries["entry"] *= 2
        events_batch = batch(*events, place="messaging")
        return [
            WebhookCase("every change", batch(*changes), public, ("entry", 0, "changes")),
            WebhookCase("every event", events_batch, private, ("entry", 0, "messaging")),
            WebhookCase("entries", json.dumps(entries).encode(), (public[0],) * 2, ("entry",)),
        ]

    @pytest.fixture
    def send_cases(self):
        """Return answers, messages, and what Instagram refuses in its own way."""
        took, taken = (said({"id": ANSWER}, at=AT),), Receipt(ANSWER, AT)
        answer = posting(f"{ASKED}/replies", {"message": "We see it."})
        content = {"text": "We see it.", "metadata": MARK}
        ids = {"media_id": MEDIA, "comment_id": ASKED}
        name = f"{MEDIA}:{ASKED}"
        mentioning = posting(f"{US}/mentions", {"message": "We see it.", **ids})
        call = {"recipient": {"id": OLA}, "messaging_type": "RESPONSE", "message": content}
        private = posting(f"{PAGE}/messages", call)
        because = {"recipient": {"comment_id": ASKED}, "message": content}
        sent, receipt = (said({"message_id": "m_9"}, at=AT),), Receipt("m_9", AT)
        other, shut = node("1", 9, "Other"), failed(10, error_subcode=2534022)
        return [
            SendCase(
                "an answer",
                outgoing(),
                (answer,),
                took,
                taken,
                found=(edge(other, after="a"), edge(node())),
                absent=(edge(other, after="a"), edge()),
            ),
            SendCase(
                "a message",
                message(),
                (private,),
                sent,
                receipt,
                found=(private_thread(said_by(US), BEFORE),),
                absent=(private_thread(BEFORE),),
            ),
            SendCase(
                "a private answer",
                outgoing(**PRIVATE),
                (posting(f"{PAGE}/messages", because),),
                sent,
                receipt,
            ),
            SendCase(
                "where we were mentioned",
                outgoing(reply_to=("mention", name), thread=name),
                (mentioning,),
                took,
                taken,
            ),
            SendCase("too late", message(by=AgentKind.bot), (private,), (shut,), Refused),
            SendCase("a deleted comment", outgoing(), (answer,), (failed(100),), Refused),
            SendCase("a bad token", outgoing(), (answer,), (failed(190),), NeedsAuth),
            SendCase("a throttle", outgoing(), (answer,), (failed(80002),), RateLimited),
            SendCase("a doubt", outgoing(), (answer,), (failed(2, status=500),), Ambiguous),
        ]
