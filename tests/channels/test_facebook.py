"""Facebook: what people write beneath the page's posts is read, and answered there once."""

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
from supportflow.channels.facebook import FacebookPage
from supportflow.channels.messenger import Messenger
from supportflow.desk import Desk
from supportflow.errors import (
    InvalidValue,
    TransportError,
    Unsupported,
    WebhookRejected,
    WindowClosed,
)
from supportflow.flow import run
from supportflow.http import Request, Response, Webhook
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    Edit,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Removal,
    Visibility,
)
from supportflow.stores.memory import MemoryStore
from supportflow.testing.channel_cases import drive
from supportflow.testing.channel_contract import AT, ChannelContract, SendCase, WebhookCase
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.facebook import FacebookPlatform
from supportflow.transport import Transport

PAGE, OLA, BOB = "1234567890321", "5678901234567890", "5678901234567891"
POST, ASKED, ANSWER = f"{PAGE}_9010978366", "9010978366_9034389930", "9010978366_9034389931"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MARK = "abcdefghijklmnopqrstuv23"
SECRETS = ("t0ken-of-the-page", "s3cret-of-the-app", "v3rify-the-webhook")
PROOF = hmac.new(SECRETS[1].encode(), SECRETS[0].encode(), hashlib.sha256).hexdigest()
GRAPH = "https://graph.facebook.com/v23.0"


def facebook(**changes: object) -> FacebookPage:
    """Return the channel of a page."""
    token, app_secret, verify_token = SECRETS
    given = {"token": token, "app_secret": app_secret, "verify_token": verify_token, **changes}
    return FacebookPage(PAGE, **given)


def sign(body: bytes) -> dict[str, str]:
    """Sign as Meta does, with nothing of the library's own."""
    digest = hmac.new(SECRETS[1].encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def seconds(at: datetime) -> int:
    """Return a time as the feed writes it."""
    return int(at.timestamp())


def comment(verb: str = "add", *, by: str = OLA, **more: object) -> dict:
    """Return a change of the feed: a comment beneath a post of the page."""
    value = {
        "item": "comment",
        "verb": verb,
        "comment_id": ASKED,
        "post_id": POST,
        "parent_id": POST,
        "from": {"id": by, "name": "Shop" if by == PAGE else "Ola"},
        "created_time": seconds(NOON),
        "message": "You charged me twice!",
        **more,
    }
    return {"field": "feed", "value": {k: v for k, v in value.items() if v is not ...}}


def mention(**more: object) -> dict:
    """Return a mention of the page in somebody's post."""
    value = {"item": "post", "verb": "add", "post_id": f"{OLA}_98722536423179", **more}
    value |= {"message": "I love my lamp", "created_time": seconds(NOON)}
    return {"field": "mention", "value": value}


def batch(*changes: object, place: str = "changes", page: str = PAGE) -> bytes:
    """Write changes as Meta does: ASCII, slashes escaped, seconds."""
    entry = {"id": page, "time": seconds(NOON), place: list(changes)}
    text = json.dumps({"object": "page", "entry": [entry]}, separators=(",", ":"))
    return text.replace("/", "\\/").encode()


def received(*changes: object, **options: str) -> Delivery:
    """Return what a genuine batch gives."""
    body = batch(*changes, **options)
    return facebook().receive(Webhook("POST", body, NOON, sign(body)))


def facts(*changes: object, **options: str) -> tuple:
    """Return the facts of a batch, and prove that nothing of it was unreadable."""
    delivery = received(*changes, **options)
    assert () == delivery.unreadable
    return delivery.facts


def unreadable(*changes: object, **options: str) -> str:
    """Return why the only change of a batch cannot be read."""
    delivery = received(*changes, **options)
    assert () == delivery.facts
    (item,) = delivery.unreadable
    assert (item,) == facebook().reread(item.raw).unreadable
    return item.why


def written(text: str = "You charged me twice!", name: str = ASKED, **more: object) -> Message:
    """Return a comment as the channel reads it."""
    given = {"author": Author(OLA, "Ola"), "at": NOON, "thread": name, **more}
    return Message("facebook", "comment", name, text=text, **given)


def outgoing(text: str = "We see it.", **changes: object) -> Outgoing:
    """Return a part of an answer to Ola's comment, a minute after she wrote."""
    base = Outgoing(
        "row-1",
        MARK,
        text,
        Author(OLA, "Ola"),
        ASKED,
        ("comment", ASKED),
        Visibility.public,
        AgentKind.person,
        NOON,
        last_inbound_at=NOON - timedelta(minutes=1),
    )
    return attrs.evolve(base, **changes)


PRIVATE = {"visibility": Visibility.private}


def posting(path: str, call: object) -> Request:
    """Return the request that a call is."""
    headers = {"Authorization": f"Bearer {SECRETS[0]}", "Content-Type": "application/json"}
    body = json.dumps(call).encode()
    return Request("POST", f"{GRAPH}/{path}?appsecret_proof={PROOF}", headers, body, posts=True)


def said(value: object, status: int = 200, at: datetime | None = NOON) -> Response:
    """Return an answer of JSON."""
    return Response(status, body=json.dumps(value).encode(), at=at)


def failed(code: int, message: str = "no", status: int = 400, **more: object) -> Response:
    """Return a refusal."""
    return said({"error": {"code": code, "message": message, **more}}, status, AT)


def sent(message: Outgoing, *answers: object) -> object:
    """Return what came of a message."""
    driven = drive(facebook().send(message), answers)
    return driven.result or driven.error


def look(message: Outgoing, *answers: object) -> tuple[Found, list[str]]:
    """Look for a message; return what was found, and the paths that were asked."""
    driven = drive(facebook().find_sent(message), answers)
    assert driven.error is None
    return driven.result, [
        urlsplit(each.url).path.removeprefix("/v23.0/") for each in driven.requests
    ]


def node(
    name: str = ANSWER, after: float = 1, text: object = "We see it.", author: object = PAGE
) -> dict:
    """Return a comment as reads show it, so long after the answer was queued."""
    at = (NOON + timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    by = {"from": {"id": author, "name": "?"}} if author else {}
    return {"id": name, "created_time": at, "message": text, **by}


def edge(*nodes: object, after: str | None = None) -> Response:
    """Return one page of comments."""
    paging = {"cursors": {"before": "b", "after": after or "a"}}
    if after:
        paging["next"] = "https://elsewhere.example/steal"
    return said({"data": list(nodes), "paging": paging})


ROOT = said({"id": ASKED})


# What is given.


def test_it_is_registered():
    """The entry point finds it by name."""
    assert FacebookPage is load("facebook")


@pytest.mark.parametrize("wrong", [{"token": ""}, {"app_secret": None}, {"name": " "}])
def test_it_cannot_be_made_without_what_it_needs(wrong):
    """What would not prove a webhook, or not send, is refused when it is made."""
    with pytest.raises(InvalidValue):
        facebook(**wrong)


def test_the_handshake_is_answered():
    """Meta's GET gets its challenge back; another method is refused."""
    query = {"hub.mode": "subscribe", "hub.verify_token": SECRETS[2], "hub.challenge": "1158"}
    assert b"1158" == facebook().receive(Webhook("GET", b"", NOON, query=query)).response.body
    with pytest.raises(WebhookRejected):
        facebook().receive(Webhook("PUT", batch(), NOON, sign(batch())))


# What people write.


def test_a_comment_begins_a_thread():
    """Beneath a post of the page, a comment is the beginning of its own thread."""
    assert (Inbound(written()),) == facts(comment())


def test_an_answer_names_what_it_answers():
    """Beneath a comment the thread is that comment's, which the desk knows."""
    change = comment(comment_id=ANSWER, parent_id=ASKED)
    assert (Inbound(written(name=ANSWER, thread=None, parent=ASKED)),) == facts(change)


def test_a_comment_on_a_photo_begins_a_thread():
    """What it stands beneath is no comment of the same post, whatever its id is."""
    (fact,) = facts(comment(parent_id="77777_88888"))
    assert (ASKED, None) == (fact.message.thread, fact.message.parent)


def test_what_comes_with_a_comment_is_listed():
    """Pictures and videos by their addresses, a permalink, and the item as it came."""
    more = {
        "message": ...,
        "photo": "https://cdn.example.com/1.jpg",
        "video": "https://cdn.example.com/2.mp4",
        "photos": ["https://cdn.example.com/3.jpg"],
        "post": {"id": POST, "permalink_url": "https://www.example.com/p"},
    }
    (fact,) = facts(comment(**more))
    kinds = [("image", "1.jpg"), ("video", "2.mp4"), ("image", "3.jpg")]
    expected = tuple(Attachment(kind, f"https://cdn.example.com/{name}") for kind, name in kinds)
    assert ("", expected) == (fact.message.text, fact.message.attachments)
    assert "https://www.example.com/p" == fact.message.permalink
    assert (fact,) == facebook().reread(fact.message.raw.encode()).facts


def test_old_payloads_name_the_sender_otherwise():
    """`sender_id` as a number and `sender_name` are the author too."""
    change = comment(**{"from": ..., "sender_id": int(OLA), "sender_name": "Ola"})
    (fact,) = facts(change)
    assert Author(OLA, "Ola") == fact.message.author


def test_a_time_in_words_is_read():
    """Some payloads write the time as reads do."""
    (fact,) = facts(comment(created_time="2026-01-31T13:00:00+0100"))
    assert NOON == fact.message.at


def test_somebody_unnamed_is_somebody_of_their_own():
    """Without the permission to read who wrote, each thread has an unknown of its own."""
    one, other = facts(comment(**{"from": ...}), comment(comment_id=ANSWER, **{"from": ...}))
    assert one.message.author.id != other.message.author.id
    assert one.message.author.id.startswith("unknown:")


def test_our_own_comments_are_echoes():
    """Whoever wrote it for the page, it is outbound, beneath what it answers."""
    below = facts(comment(by=PAGE, comment_id=ANSWER, parent_id=ASKED))
    message = written(name=ANSWER, author=Author(PAGE, "Shop"), thread=None, parent=ASKED)
    assert (Outbound(message),) == below
    (beneath_a_post,) = facts(comment(by=PAGE))
    assert (None, POST) == (beneath_a_post.message.thread, beneath_a_post.message.parent)


@pytest.mark.parametrize("item", ["post", "status", "photo", "video", "share"])
def test_a_visitors_post_is_words_too(item):
    """It has the id of the post, and its comments answer it; the page's own is passed over."""
    change = comment(item=item, comment_id=..., parent_id=...)
    assert (Inbound(written(name=POST)),) == facts(change)
    assert () == facts(comment(item=item, comment_id=..., by=PAGE))


def test_an_edit_is_named_by_its_time_and_words():
    """Two edits within a second are two, the same one twice is one."""
    first, again, other = facts(
        comment("edited", message="Once"),
        comment("edited", message="Once"),
        comment("edited", message="Twice", edited_time=seconds(NOON) + 9),
    )
    assert Edit("facebook", "comment", ASKED, first.revision, "Once", NOON) == first == again
    assert first.revision != other.revision
    assert NOON + timedelta(seconds=9) == other.at


def test_a_removal_is_somebodys():
    """The page's own is ours; of another the feed does not say whose it was."""
    gone = {"message": ..., "created_time": ...}
    ours, theirs = facts(comment("remove", by=PAGE, **gone), comment("remove", **gone))
    assert Removal("facebook", "comment", ASKED, NOON, "us") == ours
    assert Removal("facebook", "comment", ASKED, NOON, "unknown") == theirs


def test_hiding_is_ours_whoever_is_named():
    """Only the page can hide a comment; that it is shown again holds no words."""
    hidden = Removal("facebook", "comment", ASKED, NOON, "us", hidden=True)
    assert (hidden,) == facts(comment("hide"), comment("unhide"))


@pytest.mark.parametrize(("face", "emoji"), [("love", "❤️"), ("sorry", "😢"), ("party", "party")])
def test_reactions_to_comments_are_read(face, emoji):
    """Given and taken back; those to posts and our own are passed over."""
    given = comment(item="reaction", reaction_type=face)
    back = comment("remove", item="reaction", reaction_type=face)
    passed = comment(item="like", comment_id=...), comment(item="reaction", by=PAGE)
    author = Author(OLA, "Ola")
    expected = [Reaction("facebook", "comment", ASKED, author, e, NOON) for e in (emoji, "")]
    assert expected == [*facts(given, back, *passed)]


def test_a_mention_elsewhere_is_read():
    """Its author is named rarely; on the page itself the feed tells of it."""
    (unknown,) = facts(mention())
    name = f"{OLA}_98722536423179"
    message = written("I love my lamp", name, author=Author(f"unknown:{name}"))
    expected = attrs.evolve(message, kind="mention", tags=("mention",))
    assert Inbound(expected) == unknown
    (known,) = facts(mention(sender_id=OLA, sender_name="Ola"))
    assert Author(OLA, "Ola") == known.message.author
    assert () == facts(mention(post_id=POST, comment_id=ASKED, item="comment"))


def test_private_messages_are_left_to_messenger():
    """They come to the same address, because a page has one, and are read by that channel."""
    event = {"sender": {"id": OLA}, "recipient": {"id": PAGE}, "message": {"mid": "m_1"}}
    for place in ("messaging", "standby"):
        assert () == facts(event, place=place)
    assert () == facts({"field": "messages", "value": event})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (None, "the change is NoneType"),
        ({"field": "feed"}, "the value of 'feed'"),
        ({"field": "ratings", "value": {}}, "'ratings', which is not known"),
        (comment(item="poem"), "the item 'poem'"),
        (comment("sing"), "the verb 'sing'"),
        (comment(comment_id=...), "comment_id"),
        (comment(item="status", comment_id=..., post_id=...), "post_id"),
        (comment(created_time="soon"), "'soon' is not a time"),
        (comment(created_time=10), "no time of an event"),
        (comment(photos=[7]), "photo is 7"),
        (comment(photos=["x"] * 501), "at most 500"),
        (mention(sender_id=PAGE), "not by somebody else"),
    ],
)
def test_what_cannot_be_read_is_kept(change, why):
    """It goes into quarantine alone, and says why."""
    assert why in unreadable(change)


def test_what_is_about_another_page_is_kept():
    """An app has one address for all of its pages."""
    assert "'78', not about" in unreadable(comment(), page="78")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["item", "verb", "comment_id", "post_id", "parent_id", "from", "sender_id", "message", "post",
     "created_time", "edited_time", "photo", "photos", "reaction_type", "permalink_url"]
)  # fmt: skip
WORDS = st.sampled_from(["comment", "status", "reaction", "add", "edited", "remove", "hide", PAGE])


@settings(max_examples=40)
@given(
    st.sampled_from(["feed", "mention"]),
    st.dictionaries(NAMES, WORDS | JSON | st.just(seconds(NOON)), max_size=8),
)
def test_any_genuine_change_is_read_or_kept(field, value):
    """Whatever stands in a change, it becomes facts, nothing, or an item in quarantine."""
    delivery = received({"field": field, "value": {"item": "comment", "verb": "add", **value}})
    assert 1 >= len(delivery.facts) + len(delivery.unreadable)


# What we write.


def test_an_answer_stands_in_its_thread():
    """Also to an answer of the customer's: beneath the comment that began the thread."""
    driven = drive(facebook().send(outgoing(reply_to=("comment", ANSWER))), [said({"id": "1_2"})])
    assert Receipt("1_2", NOON) == driven.result
    (request,) = driven.requests
    assert f"{GRAPH}/{ASKED}/comments?appsecret_proof={PROOF}" == request.url
    assert {"message": "We see it."} == json.loads(request.body)


def test_a_private_answer_names_the_comment_or_the_post():
    """Facebook takes it for either, with our mark for its echo."""
    took = said({"recipient_id": OLA, "message_id": "m_9"})
    for name, what in ((ASKED, "comment_id"), (POST, "post_id")):
        driven = drive(facebook().send(outgoing(reply_to=("comment", name), **PRIVATE)), [took])
        assert Receipt("m_9", NOON) == driven.result
        assert {what: name} == json.loads(driven.requests[0].body)["recipient"]


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "x" * 8_001},
        {"text": " "},
        {"text": "x" * 2_001, **PRIVATE},
        {"reply_to": None, **PRIVATE},
        {"reply_to": ("mention", "1_2"), **PRIVATE},
        {"card": Card("Lamp", "https://example.com")},
        {"quick_replies": ("Yes",)},
        {"attachments": (Attachment("image", "https://example.com/1.png"),) * 2},
        {"attachments": (Attachment("file", "https://example.com/1.pdf"),)},
        {"attachments": (Attachment("image", "https://example.com/1.png"),), "reply_to": None},
        {"attachments": (Attachment("image", "https://example.com/1.png"),), **PRIVATE},
    ],
)
def test_what_facebook_cannot_express_is_refused_unasked(changes):
    """Nothing is cut, and nothing vanishes."""
    driven = drive(facebook().send(outgoing(**changes)), [])
    assert isinstance(driven.error, Unsupported)
    assert () == driven.requests


@pytest.mark.parametrize("thread", ["..", "1/feed", "1?x", ""])
def test_no_id_leads_elsewhere(thread):
    """What would change the address of the call is refused before it is made."""
    driven = drive(facebook().send(outgoing(thread=thread)), [])
    assert (Refused, ()) == (type(driven.error), driven.requests)


@pytest.mark.parametrize(
    ("message", "answer", "kind"),
    [
        (outgoing(), failed(100, error_subcode=33), Refused),
        (outgoing(reply_to=None), failed(100, error_subcode=33), NeedsAuth),
        (outgoing(**PRIVATE), failed(100, error_subcode=33), NeedsAuth),
        (outgoing(**PRIVATE), failed(100, error_subcode=2018292), Refused),
        (outgoing(**PRIVATE), failed(10900), Refused),
        (outgoing(first_sent_at=NOON, **PRIVATE), failed(10900), Ambiguous),
        (outgoing(), failed(506), Refused),
        (outgoing(first_sent_at=NOON, attempt=2), failed(506), Ambiguous),
        (outgoing(first_sent_at=NOON, attempt=3), failed(506), Refused),
        (outgoing(), failed(200), NeedsAuth),
        (outgoing(), failed(32), RateLimited),
        (outgoing(), failed(2, status=500), Ambiguous),
        (outgoing(), TransportError("no", sent=False), NotSent),
    ],
)
def test_every_answer_has_its_outcome(message, answer, kind):
    """A comment that is gone fails alone; what may have been posted before is looked for."""
    assert isinstance(sent(message, answer), kind)


# Looking for our own.


def test_the_answers_are_asked_for():
    """First what the comment answers itself, then what stands there, the newest first."""
    driven = drive(facebook().find_sent(outgoing()), [ROOT, edge(node())])
    assert Found(Receipt(ANSWER, NOON + timedelta(seconds=1))) == driven.result
    first, second = driven.requests
    assert f"{GRAPH}/{ASKED}" == first.url.partition("?")[0]
    assert f"{GRAPH}/{ASKED}/comments" == second.url.partition("?")[0]
    asked = parse_qs(urlsplit(second.url).query)
    assert (["reverse_chronological"], ["25"]) == (asked["order"], asked["limit"])


def test_an_answer_to_an_answer_is_looked_for_above():
    """Facebook may have put it beneath the comment that both stand beneath."""
    moved = said({"id": ASKED, "parent": {"id": "9010978366_1"}})
    found, paths = look(outgoing(), moved, edge(node()))
    assert found.receipt
    assert "9010978366_1/comments" == paths[1]


@pytest.mark.parametrize(
    "other", [node(text="No."), node(author=OLA), node(after=-6), node("1_3"), node(text=None)]
)
def test_what_does_not_agree_is_not_ours(other):
    """Other words, another author, an earlier time, or another answer's id: absent."""
    assert Found() == look(outgoing(known=frozenset({"1_3"})), ROOT, edge(other))[0]


def test_words_of_nobody_prove_nothing():
    """Where the read does not say who wrote our words, we could not look."""
    found, _ = look(outgoing(), ROOT, edge(node(author=None)))
    assert (None, False) == (found.receipt, found.looked)


def test_further_pages_are_read():
    """As far as the send, at our own address; more than twenty are given up."""
    later = node("1_5", 9, "Other")
    first = edge(later, after="QWZ0ZXI=")
    found, paths = look(outgoing(), ROOT, first, edge(node(after=-60, text="Old")))
    assert (Found(), 3) == (found, len(paths))
    many = [edge(later, after="a")] * 20
    found, paths = look(outgoing(), ROOT, *many)
    assert (False, 21) == (found.looked, len(paths))


def test_an_announcement_is_looked_for_among_the_pages_posts():
    """It answers nobody: the page's own feed shows it."""
    found, paths = look(outgoing(reply_to=None), edge(node(POST)))
    assert (POST, [f"{PAGE}/feed"]) == (found.receipt.id, paths)


def test_a_visitors_post_has_nothing_above():
    """What answers it stands beneath it, with no question before."""
    found, paths = look(outgoing(thread=POST, reply_to=("comment", POST)), edge())
    assert (Found(), [f"{PAGE.replace('x', '')}_9010978366/comments"]) == (found, paths)


def test_an_answer_to_a_mention_is_left_to_a_person():
    """Where it was put is not certain: found is found, and absent proves nothing."""
    message = outgoing(thread="1_2", reply_to=("mention", "1_2"))
    assert look(message, edge(node()))[0].receipt
    assert not look(message, edge())[0].looked


def private_thread(*nodes: dict) -> Response:
    """Return the private thread with Ola."""
    return said({"data": [{"id": "t_5", "messages": {"data": list(nodes)}}]})


SAID = {**node("m_9"), "to": {"data": [{"id": OLA}]}}


def test_a_private_answer_is_looked_for_in_the_thread():
    """It stands there; or Facebook still offers to take one; or nobody knows."""
    message, empty = outgoing(**PRIVATE), said({"data": []})
    assert "m_9" == look(message, private_thread(SAID))[0].receipt.id
    offered = said({"id": ASKED, "can_reply_privately": True})
    found, paths = look(message, empty, offered)
    assert (Found(), [f"{PAGE}/conversations", ASKED]) == (found, paths)
    for refused in (said({"id": ASKED, "can_reply_privately": False}), said({"id": ASKED})):
        assert not look(message, empty, refused)[0].looked


@pytest.mark.parametrize(
    "answers",
    [
        (said({}),),
        (said({"id": ASKED, "parent": {"id": ".."}}),),
        (failed(100, error_subcode=33),),
        (ROOT, said({"data": [{"id": "1"}]})),
        (ROOT, said({"error": {}})),
    ],
)
def test_a_read_that_failed_is_no_absence(answers):
    """Refused, or of another shape: we could not look, and say why."""
    found, _ = look(outgoing(), *answers)
    assert (None, False) == (found.receipt, found.looked)
    assert found.why


def test_a_thread_without_an_address_cannot_be_looked_in():
    """What would change the address of the read is not asked for."""
    found, paths = look(outgoing(thread=".."))
    assert (False, []) == (found.looked, paths)


# Health.

FIELDS = said({"data": [{"id": "42", "subscribed_fields": ["feed", "mention"]}]})
ME, NONE = said({"id": PAGE, "name": "Shop"}), said({"data": []})


def checked(*answers: object) -> Health:
    """Check by plain answers."""
    driven = drive(facebook().check(), answers)
    assert driven.error is None
    return driven.result


def test_all_is_well():
    """The token is the page's, the fields are subscribed to, and all can be read."""
    assert Health(True) == checked(ME, FIELDS, NONE, NONE)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((failed(190, status=401),), "make a page access token with pages_manage_engagement"),
        ((said({"id": "5", "name": "Ola"}), FIELDS, NONE, NONE), "not of page"),
        ((ME, NONE, NONE, NONE), "subscribed_fields=feed"),
        ((ME, said({"data": [{"id": "4"}]}), NONE, NONE), "not subscribed to feed: comments"),
        ((ME, Response(503, at=NOON)), "no usable answer"),
    ],
)
def test_what_is_missing_is_named(answers, why):
    """Each problem says what to do about it."""
    health = checked(*answers)
    assert not health.ok
    assert why in health.problems[0]


def test_what_is_only_less_sure_is_a_note():
    """It works without mentions, and without reading."""
    feed_alone = said({"data": [{"id": "42", "subscribed_fields": ["feed"]}]})
    health = checked(ME, feed_alone, failed(10), failed(10))
    assert health.ok
    assert ["mention", "lost answers", "lost private"] == [
        each for each, note in zip(("mention", "lost answers", "lost private"), health.notes,
                                   strict=True) if each in note
    ]  # fmt: skip


# On the strict double.


@attrs.define
class Stand:
    """A platform, a desk that serves its page in public and in private, and their clock."""

    platform: FacebookPlatform
    desk: Desk
    channel: FacebookPage
    clock: FakeClock

    def hear(self, method: str, headers: dict, query: dict, body: bytes) -> tuple[int, bytes]:
        """Give each webhook to both channels, as one address for a page must."""
        hook = Webhook(method, body, self.clock(), headers, query)
        answers = [self.desk.receive(name, hook) for name in ("facebook", "messenger")]
        worst = max(answers, key=lambda answer: answer.status)
        return worst.status, worst.body

    @property
    def posts(self) -> list[str]:
        """Return the words that the platform really accepted from us."""
        return [post.text for post in self.platform.posts]

    @property
    def states(self) -> list[str]:
        """Return how far each answer came."""
        return [str(row.state) for row in self.desk.outbox()]

    def reply(self, text: str = "We see it.", **more: object) -> None:
        """Answer the oldest conversation, a few seconds later."""
        self.clock.advance(seconds=5)
        self.desk.reply(self.desk.inbox()[-1], text, **more)

    def later(self, *minutes: float) -> None:
        """Let the desk deliver after each of these pauses, and webhooks go out."""
        for pause in minutes:
            self.clock.advance(minutes=pause)
            self.desk.deliver()


@pytest.fixture
def stand() -> Iterable[Stand]:
    """Return a desk that serves a page, where nobody has written yet."""
    clock = FakeClock()
    with FacebookPlatform(clock=clock) as platform:
        keys = platform.credentials()
        channels = [kind(**keys, base_url=platform.url) for kind in (FacebookPage, Messenger)]
        with Desk(MemoryStore(clock), channels, clock=clock) as desk:
            stand = Stand(platform, desk, channels[0], clock)
            platform.deliver_to(stand.hear)
            yield stand


def test_the_platform_agrees_with_the_health(stand):
    """Over real connections, all that is asked is answered as the check wants it."""
    transport = Transport()
    health = run(stand.channel.check(), transport.send)
    transport.close()
    assert Health(True) == health
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


def test_an_echo_before_the_answer_is_the_receipt(stand):
    """A lost answer whose words come back beneath the comment was posted."""
    stand.platform.customer("ola").comment("You charged me twice!")
    stand.reply()
    stand.platform.fault_next("response_lost", match="POST *")
    stand.later(1)
    assert ["unknown"] == stand.states
    stand.platform.deliver()
    assert ["sent"] == stand.states
    stand.later(2, 2, 2)
    assert ["We see it."] == stand.posts


def test_a_native_answer_is_recorded_once(stand):
    """Somebody answers in Facebook's own app: that is an answer, and no customer's."""
    asked = stand.platform.customer("ola").comment("Where is my lamp?")
    stand.clock.advance(seconds=5)
    stand.platform.staff.reply(asked, "It comes tomorrow.")
    stand.platform.redeliver(everything=True)
    (conversation,) = stand.desk.inbox()
    assert not conversation.unanswered
    assert 2 == len(stand.desk.messages(conversation))


@pytest.mark.parametrize("fault", ["response_lost", "no_id", "html", "error_after"])
def test_a_lost_answer_is_found_by_reading(stand, fault):
    """Nothing comes back; the comments are read, and it is posted once."""
    stand.platform.customer("ola").comment("You charged me twice!")
    stand.platform.subscribed.discard("feed")
    stand.reply()
    stand.platform.fault_next(fault, match="POST *")
    stand.later(1, 2)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_what_was_never_taken_is_posted_once(stand):
    """Two reads that show nothing, and it goes out again."""
    stand.platform.customer("ola").comment("You charged me twice!")
    stand.reply()
    stand.platform.fault_next("reset_before", match="POST *")
    stand.later(1, 2, 2, 2)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_a_private_answer_is_proved_by_messengers_echo(stand):
    """The mark comes back on the other channel of the page, and settles the answer of this one."""
    stand.platform.customer("ola").comment("You charged me twice!")
    stand.reply("What is your number?", visibility="private")
    stand.platform.fault_next("response_lost", match="POST *")
    stand.later(1)
    assert ["unknown"] == stand.states
    stand.platform.deliver()
    assert (["sent"], ["What is your number?"]) == (stand.states, stand.posts)


def test_a_lost_private_answer_is_found_or_sent_again(stand):
    """Without an echo its thread shows it; one that was never taken is still offered."""
    stand.platform.subscribed.discard("message_echoes")
    stand.platform.customer("ola").comment("You charged me twice!")
    stand.reply("What is your number?", visibility="private")
    stand.platform.fault_next("response_lost", match="POST *")
    stand.later(1, 2)
    assert (["sent"], 1) == (stand.states, len(stand.posts))
    stand.platform.customer("ola").comment("And again!")
    stand.clock.advance(seconds=5)
    (asked,) = stand.desk.inbox(unanswered=True)
    stand.desk.reply(asked, "Your number?", visibility="private")
    stand.platform.fault_next("reset_before", match="POST *")
    stand.later(1, 2, 2, 2)
    assert (["sent", "sent"], 2) == (stand.states, len(stand.posts))


def test_one_private_answer_to_a_comment(stand):
    """The second fails with the reason; beneath the comment more can be said."""
    stand.platform.customer("ola").comment("You charged me twice!")
    for text in ("What is your number?", "Hello?"):
        stand.reply(text, visibility="private")
        stand.later(1)
    assert ["sent", "failed"] == stand.states
    assert "Activity already replied to" in stand.desk.outbox()[1].last_error


def test_the_window_is_for_private_answers_alone(stand):
    """After seven days nobody can be written to privately, and the thread is still open."""
    stand.platform.customer("ola").comment("You charged me twice!")
    stand.clock.advance(minutes=8 * 24 * 60)
    with pytest.raises(WindowClosed):
        stand.reply("Are you there?", visibility="private")
    stand.reply("Are you there?")
    stand.later(1)
    assert ["sent"] == stand.states


def test_a_comment_that_is_gone_fails_alone(stand):
    """Its answer is refused with the reason; the account goes on."""
    ola, ala = stand.platform.customer("ola"), stand.platform.customer("ala")
    gone = ola.comment("You charged me twice!")
    stand.reply()
    gone.removed = True
    stand.clock.advance(seconds=5)
    ala.comment("Where is my lamp?")
    stand.desk.reply(stand.desk.inbox(unanswered=True)[0], "On its way.")
    stand.later(1)
    assert {"failed", "sent"} == {*stand.states}
    assert ["On its way."] == stand.posts


@pytest.mark.parametrize("act", ["hide", "delete"])
def test_what_our_people_do_to_a_comment_is_alarmed(stand, act):
    """Hidden or removed by us, a customer's words reach a person (mission M11)."""
    asked = stand.platform.customer("ola").comment("You are thieves!")
    getattr(stand.platform.staff, act)(asked)
    stand.platform.redeliver(everything=True)
    (conversation,) = stand.desk.inbox()
    alarms = [
        each.event for each in stand.desk.history(conversation)
        if type(each.event).__name__ == "Announced"
    ]  # fmt: skip
    assert ["message_hidden" if act == "hide" else "message_removed"] == [e.kind for e in alarms]
    assert "by us" in alarms[0].why


def test_edits_reactions_posts_and_mentions_reach_the_desk(stand):
    """Each where it belongs; a third person's answer is their own conversation."""
    ola, bob = stand.platform.customer("ola"), stand.platform.customer("bob")
    asked = ola.comment("You charged me twice!")
    ola.edit(asked, "You charged me twice! (In March.)")
    bob.react(asked, "sorry")
    bob.react(stand.platform.first)
    bob.comment("Me too!", asked)
    bob.post("Are you open on Sunday?")
    bob.mention("I love their lamps.")
    stand.platform.redeliver(everything=True)
    found = stand.desk.inbox()
    assert 4 == len(found)
    (beside,) = [each for each in found if each.bystander_of]
    assert bob.id == beside.customer
    assert () == stand.desk.quarantine()


def test_a_visitors_post_is_answered_beneath_it(stand):
    """The page's comment there is its answer."""
    post = stand.platform.customer("bob").post("Are you open on Sunday?")
    stand.reply("From ten to six.")
    stand.later(1)
    stand.platform.deliver()
    (answer,) = stand.platform.posts
    assert post.id == answer.post
    assert not stand.desk.inbox()[0].unanswered


class TestFacebook(ChannelContract):
    """Prove the contract of every channel."""

    @pytest.fixture
    def channel(self):
        """Return the channel of a page."""
        return facebook()

    @pytest.fixture
    def sign(self):
        """Return Meta's signature of a body."""
        return sign

    @pytest.fixture
    def inbound_cases(self):
        """Return one batch of every kind of change, and one of entries."""
        changes = [
            comment(),
            comment("edited", message="You charged me twice! (In March.)"),
            comment("hide"),
            comment("remove", message=..., created_time=...),
            comment(item="reaction", reaction_type="anger"),
            comment(by=PAGE, comment_id=ANSWER, parent_id=ASKED, message="We see it."),
            mention(),
        ]
        edited = "You charged me twice! (In March.)"
        digest = hashlib.sha256(edited.encode()).hexdigest()[:16]
        ours = written("We see it.", ANSWER, author=Author(PAGE, "Shop"), thread=None, parent=ASKED)
        name = f"{OLA}_98722536423179"
        elsewhere = written("I love my lamp", name, author=Author(f"unknown:{name}"))
        told = (
            Inbound(written()),
            Edit("facebook", "comment", ASKED, f"{seconds(NOON)}:{digest}", edited, NOON),
            Removal("facebook", "comment", ASKED, NOON, "us", hidden=True),
            Removal("facebook", "comment", ASKED, NOON, "unknown"),
            Reaction("facebook", "comment", ASKED, Author(OLA, "Ola"), "😡", NOON),
            Outbound(ours),
            Inbound(attrs.evolve(elsewhere, kind="mention", tags=("mention",))),
        )
        entries = json.loads(batch(changes[0]))
        entries["entry"] *= 2
        return [
            WebhookCase("every kind", batch(*changes), told, ("entry", 0, "changes")),
            WebhookCase("entries", json.dumps(entries).encode(), (told[0],) * 2, ("entry",)),
        ]

    @pytest.fixture
    def send_cases(self):
        """Return answers, an announcement, and what Facebook refuses in its own way."""
        took, taken = (said({"id": ANSWER}, at=AT),), Receipt(ANSWER, AT)
        answer = posting(f"{ASKED}/comments", {"message": "We see it."})
        picture = {"message": "We see it.", "attachment_url": "https://example.com/1.png"}
        call = {
            "recipient": {"comment_id": ASKED},
            "messaging_type": "RESPONSE",
            "message": {"text": "We see it.", "metadata": MARK},
        }
        private = posting(f"{PAGE}/messages", call)
        news = posting(f"{PAGE}/feed", {"message": "We see it."})
        sent = (said({"recipient_id": OLA, "message_id": "m_9"}, at=AT),)
        files = (Attachment("image", "https://example.com/1.png"),)
        other = node("1_5", 9, "Other")
        return [
            SendCase(
                "an answer",
                outgoing(),
                (answer,),
                took,
                taken,
                found=(ROOT, edge(other, after="a"), edge(node())),
                absent=(ROOT, edge(other, after="a"), edge()),
            ),
            SendCase(
                "a private answer",
                outgoing(**PRIVATE),
                (private,),
                sent,
                Receipt("m_9", AT),
                found=(private_thread(SAID),),
                absent=(said({"data": []}), said({"id": ASKED, "can_reply_privately": True})),
            ),
            SendCase(
                "a picture",
                outgoing(attachments=files),
                (posting(f"{ASKED}/comments", picture),),
                took,
                taken,
            ),
            SendCase("an announcement", outgoing(reply_to=None), (news,), took, taken),
            SendCase("too late", outgoing(**PRIVATE), (private,), (failed(10903),), Refused),
            SendCase("a deleted comment", outgoing(), (answer,), (failed(100),), Refused),
            SendCase("a bad token", outgoing(), (answer,), (failed(190),), NeedsAuth),
            SendCase("a throttle", outgoing(), (answer,), (failed(32),), RateLimited),
            SendCase("a doubt", outgoing(), (answer,), (failed(2, status=500),), Ambiguous),
        ]
