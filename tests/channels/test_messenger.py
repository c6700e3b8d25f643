"""Messenger: every event of a batch is read or kept, and a reply is sent once, as Meta allows it."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.channels import (
    Ambiguous,
    Checks,
    Delivery,
    Finds,
    Found,
    Health,
    NeedsAuth,
    NotSent,
    RateLimited,
    Receives,
    Refused,
    SendError,
    load,
)
from supportflow.channels.messenger import Messenger
from supportflow.desk import Desk
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    StoreUnavailable,
    TransportError,
    Unsupported,
    WebhookRejected,
    WindowClosed,
)
from supportflow.flow import Flow, run
from supportflow.http import MAX_BODY, Request, Response, Webhook
from supportflow.model import (
    Agent,
    AgentKind,
    Attachment,
    Author,
    Card,
    ChannelState,
    Edit,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Secret,
    StatusReport,
    Visibility,
)
from supportflow.stores import RowState
from supportflow.stores.memory import MemoryStore
from supportflow.testing.channel_contract import AT, ChannelContract, SendCase, WebhookCase
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.messenger import App, MessengerPlatform
from supportflow.transport import Transport

PAGE, OLA = "77", "1234567890123456"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MARK = "abcdefghijklmnopqrstuv23"
SECRETS = ("t0ken-of-the-page", "s3cret-of-the-app", "v3rify-the-webhook")
#: As documented, with nothing of the library's own:
#: https://developers.facebook.com/docs/graph-api/guides/secure-requests
PROOF = hmac.new(SECRETS[1].encode(), SECRETS[0].encode(), hashlib.sha256).hexdigest()
PROVED = f"appsecret_proof={PROOF}"
BOT = Agent("helper", AgentKind.bot)


def messenger(**changes: object) -> Messenger:
    """Return the channel of page 77."""
    token, app_secret, verify_token = SECRETS
    given = {"token": token, "app_secret": app_secret, "verify_token": verify_token, **changes}
    return Messenger(PAGE, **given)


def sign(body: bytes) -> dict[str, str]:
    """Sign as Meta does, with nothing of the library's own."""
    digest = hmac.new(SECRETS[1].encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def milliseconds(at: datetime) -> int:
    """Return a time as Meta's webhooks write it."""
    return round(at.timestamp() * 1000)


def event(*, at: object = None, echo: bool = False, **content: object) -> dict:
    """Return one event between Ola and the page."""
    ends = [{"id": OLA}, {"id": PAGE}]
    sender, recipient = reversed(ends) if echo else ends
    stamp = milliseconds(NOON) if at is None else at
    return {"sender": sender, "recipient": recipient, "timestamp": stamp, **content}


def batch(*events: object, place: str = "messaging", page: str = PAGE) -> bytes:
    """Write events as Meta does: ASCII, slashes escaped."""
    entry = {"id": page, "time": milliseconds(NOON), place: list(events)}
    text = json.dumps({"object": "page", "entry": [entry]}, separators=(",", ":"))
    return text.replace("/", "\\/").encode()


def received(*events: object, channel: Messenger | None = None, **options: str) -> Delivery:
    """Return what a genuine batch gives."""
    body = batch(*events, **options)
    return (channel or messenger()).receive(Webhook("POST", body, NOON, sign(body)))


def only(*events: object, **options: str) -> object:
    """Return the only fact of a batch, and prove that nothing of it was unreadable."""
    delivery = received(*events, **options)
    assert () == delivery.unreadable
    (fact,) = delivery.facts
    return fact


def unreadable(*events: object, **options: str) -> str:
    """Return why the only event of a batch cannot be read."""
    delivery = received(*events, **options)
    assert () == delivery.facts
    (item,) = delivery.unreadable
    return item.why


def written(text: str, mid: str = "m_1", author: str = OLA, **more: object) -> Message:
    """Return a message as the channel reads it."""
    given = {"thread": OLA, "visibility": Visibility.private, **more}
    return Message("messenger", "message", mid, Author(author), text, NOON, **given)


def outgoing(text: str = "Hello", **changes: object) -> Outgoing:
    """Return a part of a reply to Ola, a minute after she wrote."""
    base = Outgoing(
        "row-1",
        MARK,
        text,
        Author(OLA),
        OLA,
        ("message", "m_1"),
        Visibility.private,
        AgentKind.person,
        NOON,
        last_inbound_at=NOON - timedelta(minutes=1),
    )
    return attrs.evolve(base, **changes)


# What is given.


def test_it_is_registered():
    """The entry point finds it by name, and it has the abilities that it says it has."""
    assert Messenger is load("messenger")
    channel = messenger()
    assert isinstance(channel, Receives)
    assert isinstance(channel, Finds)
    assert isinstance(channel, Checks)


@pytest.mark.parametrize("missing", ["token", "app_secret", "verify_token"])
@pytest.mark.parametrize("nothing", [None, "", "left out"])
def test_it_cannot_be_made_without_its_secrets(missing, nothing):
    """A channel that could not prove a webhook, or not send, is refused when it is made."""
    given = dict(zip(("token", "app_secret", "verify_token"), SECRETS, strict=True))
    given[missing] = nothing
    if nothing == "left out":
        del given[missing]
    with pytest.raises(InvalidValue):
        Messenger(PAGE, **given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"page_id": ""},
        {"page_id": 77},
        {"page_id": "77/feed"},
        {"page_id": ".."},
        {"version": "23"},
        {"version": "v23.0/77"},
        {"version": None},
        {"name": " "},
        {"name": None},
        {"base_url": "graph.facebook.com"},
        {"base_url": "ftp://graph.facebook.com"},
        {"base_url": "https://user:word@graph.facebook.com"},
        {"base_url": "https://graph.facebook.com?debug=all"},
    ],
)
def test_what_would_not_make_a_url_is_refused(wrong):
    """Whatever becomes part of an address is checked when the channel is made."""
    given = {"page_id": PAGE, **wrong}
    page = given.pop("page_id")
    token, app_secret, verify_token = SECRETS
    with pytest.raises(InvalidValue):
        Messenger(page, token=token, app_secret=app_secret, verify_token=verify_token, **given)


def test_its_secrets_do_not_print():
    """Neither the token nor the other secrets stand in the representation."""
    assert not any(word in repr(messenger(app_id=42)) for word in SECRETS)


def test_a_renewed_token_is_used():
    """What was persisted for the account takes the place of the configured token."""
    state = ChannelState("messenger", credentials={"token": Secret("renewed")})
    assert Secret("renewed") == messenger().using(state).token
    assert messenger() == messenger().using(ChannelState("messenger"))


# The handshake and the proof.


def test_the_handshake_is_answered():
    """Meta's GET gets its challenge back; one with another word gets nothing."""
    query = {"hub.mode": "subscribe", "hub.verify_token": SECRETS[2], "hub.challenge": "1158201444"}
    response = messenger().receive(Webhook("GET", b"", NOON, query=query)).response
    assert (200, b"1158201444") == (response.status, response.body)
    with pytest.raises(WebhookRejected):
        messenger().receive(Webhook("GET", b"", NOON, query={**query, "hub.verify_token": "no"}))


@pytest.mark.parametrize("method", ["PUT", "HEAD", "post", ""])
def test_another_method_is_refused(method):
    """Only POST delivers, whatever it is signed with."""
    body = batch()
    with pytest.raises(WebhookRejected) as error:
        messenger().receive(Webhook(method, body, NOON, sign(body)))
    assert 405 == error.value.status


def test_two_secrets_are_valid_while_they_change():
    """During a rotation both the old and the new secret prove a webhook."""
    body = batch()
    for several in (["new", SECRETS[1]], [SECRETS[1], "old"]):
        hook = Webhook("POST", body, NOON, sign(body))
        assert 200 == messenger(app_secret=several).receive(hook).response.status


def test_nothing_unproved_is_read():
    """A body that is not signed is refused even if it could not be read anyway."""
    for body in (b"", b"\xff", b"[" * 5000, batch(event(message={"mid": "m_1", "text": "Hi"}))):
        with pytest.raises(WebhookRejected):
            messenger().receive(Webhook("POST", body, NOON))


def test_a_body_over_the_limit_is_refused_with_413():
    """Whoever sends more than a mebibyte is told that it is too much."""
    body = b" " * (MAX_BODY + 1)
    with pytest.raises(WebhookRejected) as error:
        messenger().receive(Webhook("POST", body, NOON, sign(body)))
    assert 413 == error.value.status


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b'{"object": "instagram", "entry": []}', b"\xff\xfe", b"{'a'}"]
)
def test_what_is_genuine_and_no_batch_is_a_payload_error(body):
    """It is Meta's, and no webhook of a page: the desk keeps it whole."""
    with pytest.raises(PayloadError):
        messenger().receive(Webhook("POST", body, NOON, sign(body)))


# What customers write.


def test_a_message_is_read():
    """Customer, thread, time, privacy and words, under the id that Meta gave it."""
    fact = only(event(message={"mid": "m_1", "text": "Mnie obciążono dwa razy 😡"}))
    assert Inbound(written("Mnie obciążono dwa razy 😡")) == fact
    assert NOON == fact.message.at


def test_a_reply_names_its_parent():
    """A customer's answer to a message of the thread keeps that message's id."""
    content = {"mid": "m_1", "text": "Yes", "reply_to": {"mid": "m_0", "is_self_reply": False}}
    assert "m_0" == only(event(message=content)).message.parent


def test_a_tapped_quick_reply_is_its_words():
    """The title arrives as the text; the payload stays in the raw event."""
    content = {"mid": "m_1", "text": "Yes, please", "quick_reply": {"payload": "YES"}}
    message = only(event(message=content)).message
    assert "Yes, please" == message.text
    assert '"payload":"YES"' in message.raw


def test_raw_can_be_read_again():
    """What is kept beside a message gives the same fact, so that it can be replayed."""
    content = {"mid": "m_1", "text": "Hi", "nlp": {"ä": ["\ud800"]}}
    fact = only(event(message=content))
    again = messenger().reread(fact.message.raw.encode("utf-8", "backslashreplace"))
    assert (fact,) == again.facts


def test_attachments_are_listed_and_not_fetched():
    """Kinds, addresses and titles, also of shares without any; a message of them alone is one."""
    attachments = [
        {"type": "image", "payload": {"url": "https://cdn.example.com/1.jpg"}},
        {"type": "fallback", "title": "A page", "url": "https://example.com", "payload": None},
        {"type": "fallback"},
        {"type": "location", "payload": {"coordinates": {"lat": 1.5, "long": 2}}},
        {"type": "template", "payload": {"elements": [{"title": "A lamp"}, {"title": "B"}]}},
    ]
    message = only(event(message={"mid": "m_1", "attachments": attachments})).message
    expected = (
        Attachment("image", "https://cdn.example.com/1.jpg"),
        Attachment("fallback", "https://example.com", "A page"),
        Attachment("fallback", ""),
        Attachment("location", ""),
        Attachment("template", "", "A lamp"),
    )
    assert ("", expected) == (message.text, message.attachments)
    assert message.raw


MANY = [{"type": "image", "payload": {"url": "https://cdn.example.com/1.jpg"}}] * 501


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"message": {"mid": "m_x", "attachments": MANY}}, "attachments has 501 items"),
        (
            {"message": {"mid": "m_x", "attachments": [{"type": "template", "payload": {"elements": MANY}}]}},
            "elements has 501 items",
        ),
        ({"delivery": {"mids": ["m_2"] * 501, "watermark": 1769860800000}}, "mids has 501 items"),
    ],
)  # fmt: skip
def test_an_event_that_is_too_large_is_kept_alone(content, why):
    """Regression: lists of any length took half a second; now their event is kept, and not read."""
    neighbour = event(message={"mid": "m_1", "text": "Hi"})
    delivery = received(event(**content), neighbour)
    assert [why] == [item.why.partition(";")[0] for item in delivery.unreadable]
    assert ["m_1"] == [fact.message.id for fact in delivery.facts]


def test_as_many_attachments_as_are_read():
    """The bound itself is allowed."""
    assert 500 == len(
        only(event(message={"mid": "m_1", "attachments": MANY[1:]})).message.attachments
    )


@pytest.mark.parametrize(
    "heavy",
    [
        {"attachments": [{"type": "a"}] * 60_000},
        {"attachments": [{}] * 300_000},
        {"nlp": [1] * 500_000},
        {"nlp": {str(number): [] for number in range(60_000)}},
    ],
)
def test_a_body_of_too_many_values_is_kept_whole(heavy):
    """Regression: a genuine megabyte of small values took 411 ms; now it is not even parsed."""
    body = batch(event(message={"mid": "m_1", "text": "Hi", **heavy}))
    assert MAX_BODY > len(body)
    with pytest.raises(PayloadError, match="at most 20000 are read"):
        messenger().receive(Webhook("POST", body, NOON, sign(body)))


def test_a_batch_as_large_as_metas_largest_is_read():
    """A thousand messages, each with a picture: nothing that Meta sends comes near the bounds."""
    picture = MANY[:1]
    events = [event(message={"mid": f"m_{n}", "attachments": picture}) for n in range(1000)]
    assert 1000 == len(received(*events).facts)


def test_a_tapped_button_is_its_words():
    """A postback is a message of its own kind, one for each tap, whatever its `mid` means."""
    tap = {"mid": "m_7", "title": "Where is my parcel?", "payload": "PARCEL"}
    first, second, again = (
        only(event(at=at, postback=tap)).message
        for at in (milliseconds(NOON), milliseconds(NOON) + 9000, milliseconds(NOON))
    )
    assert ("postback", "Where is my parcel?") == (first.kind, first.text)
    assert first.key == again.key
    assert first.key != second.key


def test_a_button_without_words_is_its_payload():
    """The Get Started button may come without a title, and a postback without a message's id."""
    message = only(event(postback={"payload": "GET_STARTED"})).message
    assert ("GET_STARTED", f"{OLA}:{milliseconds(NOON)}") == (message.text, message.id)
    silent = only(event(postback={"mid": "m_1"}), place="standby").message
    assert ("", ("standby",)) == (silent.text, silent.tags)


def test_a_message_of_a_thread_that_another_app_has_is_read():
    """What comes on standby is a customer's words too; a tag says who has the thread."""
    fact = only(event(message={"mid": "m_1", "text": "Hi"}), place="standby")
    assert Inbound(written("Hi", tags=("standby",))) == fact


def test_a_change_with_a_message_is_read():
    """The other form in which Meta documents these events, times as digits of seconds included."""
    value = event(at=str(round(NOON.timestamp())), message={"mid": "m_1", "text": "Hi"})
    fact = only({"field": "messages", "value": value}, place="changes")
    assert Inbound(written("Hi")) == fact


# What we wrote.


def test_an_echo_of_ours_has_our_mark():
    """The metadata of a reply that the desk sent comes back as its mark."""
    content = {"mid": "m_2", "text": "Hi", "is_echo": True, "app_id": 42, "metadata": MARK}
    fact = only(event(echo=True, message=content))
    assert (OLA, MARK, "m_2") == (fact.customer, fact.mark, fact.message.id)
    assert (PAGE, OLA) == (fact.message.author.id, fact.message.thread)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"app_id": 263902037430900},
        {"metadata": "campaign-17"},
        {"metadata": MARK.upper()},
        {"metadata": MARK + "\n"},
        {"metadata": 7},
    ],
)
def test_an_echo_of_somebody_else_is_a_native_answer(more):
    """From the page's inbox, another app or another program of ours: somebody answered."""
    content = {"mid": "m_2", "text": "Hi", "is_echo": True, **more}
    fact = only(event(echo=True, message=content))
    assert isinstance(fact, Outbound)
    assert (OLA, None, AgentKind.native) == (fact.customer, fact.mark, fact.agent.kind)


# What else happens.


def test_an_edit_is_read():
    """The words now, under the message's id and the number of the edit, as number or digits."""
    for number in (2, "2"):
        edit = {"mid": "m_1", "text": "You charged me once!", "num_edit": number}
        fact = only(event(message_edit=edit))
        assert Edit("messenger", "message", "m_1", "2", "You charged me once!", NOON) == fact


def test_reactions_are_read():
    """The emoji, or where there is none the word for it; empty when it is taken back."""
    for shown, emoji in (({"emoji": "❤️", "reaction": "love"}, "❤️"), ({"reaction": "like"}, "like")):
        fact = only(event(reaction={"mid": "m_2", "action": "react", **shown}))
        assert Reaction("messenger", "message", "m_2", Author(OLA), emoji, NOON) == fact
    assert "" == only(event(reaction={"mid": "m_2", "action": "unreact"})).emoji


def test_deliveries_are_read_where_they_name_messages():
    """One report a message, at the watermark: a delivery has no time of its own."""
    delivery = {"mids": ["m_2", "m_3"], "watermark": milliseconds(NOON)}
    content = event(delivery=delivery)
    del content["timestamp"]
    reports = tuple(StatusReport("messenger", mid, "delivered", NOON) for mid in ("m_2", "m_3"))
    assert reports == received(content).facts


@pytest.mark.parametrize(
    "content",
    [
        {"read": {"watermark": 1769860800000}},
        {"delivery": {"watermark": 1769860800000}},
        {"delivery": {"watermark": 1769860800000, "mids": []}},
        {"optin": {"type": "notification_messages"}},
        {"referral": {"ref": "summer", "source": "SHORTLINK", "type": "OPEN_THREAD"}},
        {"account_linking": {"status": "unlinked"}},
        {"app_roles": {"42": ["primary_receiver"]}},
        {"pass_thread_control": {"new_owner_app_id": "42"}},
        {"take_thread_control": {"previous_owner_app_id": "42"}},
        {"request_thread_control": {"requested_owner_app_id": "42"}},
    ],
)
def test_events_without_words_are_passed_over(content):
    """What is documented to hold nothing that somebody said is neither recorded nor kept."""
    assert Delivery(response=Response(200, at=NOON)) == received(event(**content))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({}, "not known"),
        ({"policy_enforcement": {"action": "block", "reason": "spam"}}, "policy_enforcement"),
        ({"response_feedback": {"feedback": "Bad response", "mid": "m_2"}}, "response_feedback"),
        ({"message": None}, "message is NoneType"),
        ({"message": {"text": "Hi"}}, "mid"),
        ({"message": {"mid": "", "text": "Hi"}}, "mid"),
        ({"message": {"mid": "m_1", "text": 7}}, "text"),
        ({"message": {"mid": "m_1", "attachments": {}}}, "attachments"),
        ({"message": {"mid": "m_1", "attachments": [{"payload": {}}]}}, "type"),
        ({"message": {"mid": "m_1", "reply_to": "m_0"}}, "reply_to"),
        ({"message": {"mid": "m_1", "text": "Hi", "is_echo": True}}, "echoes"),
        ({"message_edit": {"mid": "m_1", "text": "Hi"}}, "num_edit"),
        ({"message_edit": {"mid": "m_1", "text": "Hi", "num_edit": "-1"}}, "num_edit"),
        ({"message_edit": {"mid": "m_1", "text": "Hi", "num_edit": True}}, "num_edit"),
        ({"reaction": {"mid": "m_2", "action": "react"}}, "reaction"),
        ({"reaction": {"mid": "m_2"}}, "action"),
        ({"delivery": {"mids": {}, "watermark": 1769860800000}}, None),
        ({"delivery": {"mids": "m_2", "watermark": 1769860800000}}, "mids"),
        ({"delivery": {"mids": ["m_2"]}}, "time"),
        ({"delivery": {"mids": [None], "watermark": 1769860800000}}, "mid"),
    ],
)
def test_what_cannot_be_read_is_kept(content, why):
    """Unknown kinds and broken ones go into quarantine, saying why; nothing vanishes."""
    if why is None:
        assert () == received(event(**content)).unreadable
        return
    assert why in unreadable(event(**content))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"timestamp": 0}, "time"),
        ({"timestamp": None}, "time"),
        ({"sender": {"id": PAGE}}, "one of them"),
        ({"recipient": {"id": "78"}}, "one of them"),
        ({"sender": {"user_ref": "u"}}, "id"),
        ({"sender": None}, "sender"),
        ({"sender": {"id": PAGE}, "recipient": {"id": OLA}}, "echoes"),
    ],
)
def test_an_event_of_nobody_is_kept(change, why):
    """One end is the page, the other a customer, and the time can be one."""
    assert why in unreadable({**event(message={"mid": "m_1", "text": "Hi"}), **change})


def test_the_page_taps_no_buttons():
    """A postback with the ends exchanged is nothing that Meta documents."""
    assert "page" in unreadable(event(echo=True, postback={"mid": "m_1", "title": "Hi"}))


@pytest.mark.parametrize(
    "change",
    [
        None,
        {"field": "feedback", "value": {"item": "comment", "comment_id": "1_2", "verb": "add"}},
        {"field": "messages", "value": "Hi"},
        {"field": "messages"},
        {"field": ["feed"]},
    ],
)
def test_a_change_that_is_no_message_is_kept(change):
    """Whatever else of the page changed is nothing that this channel knows."""
    assert unreadable(change, place="changes")


@pytest.mark.parametrize("field", ["feed", "mention"])
def test_comments_are_left_to_the_channel_of_the_page(field):
    """They come to the same address, because a page has one, and are read by that channel."""
    change = {"field": field, "value": {"item": "comment", "comment_id": "1_2", "verb": "add"}}
    assert Delivery(response=Response(200, at=NOON)) == received(change, place="changes")


def test_what_is_about_another_page_is_kept():
    """An app has one address for all of its pages: the others' messages are not this page's."""
    why = unreadable(event(message={"mid": "m_1", "text": "Hi"}), page="78")
    assert "'78', not about '77'" in why


def test_one_bad_event_leaves_its_neighbours():
    """It is kept alone, in a form that can be mended and read again."""
    good = [event(message={"mid": f"m_{n}", "text": "Hi"}) for n in range(4)]
    bad = event(message={"mid": "m_x", "text": ["Hi"]})
    delivery = received(*good[:2], bad, *good[2:])
    assert ["m_0", "m_1", "m_2", "m_3"] == [fact.message.id for fact in delivery.facts]
    (item,) = delivery.unreadable
    assert messenger().reread(item.raw) == Delivery(unreadable=(item,))
    mended = messenger().reread(item.raw.replace(b'["Hi"]', b'"Hi"'))
    assert ["m_x"] == [fact.message.id for fact in mended.facts]


def test_reread_raises_only_our_error():
    """A quarantined body that was no batch still is none."""
    with pytest.raises(PayloadError):
        messenger().reread(b"no batch")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)
KINDS = ("message", "postback", "message_edit", "reaction", "delivery", "read", "other")
WORDS = st.sampled_from(
    ["mid", "text", "title", "payload", "is_echo", "metadata", "attachments", "type", "url",
     "reply_to", "action", "emoji", "num_edit", "mids", "watermark", "elements", "app_id"]
)  # fmt: skip
CONTENT = st.dictionaries(WORDS, JSON | st.just(MARK) | st.just(1769860800000), max_size=6)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "sender": st.just({"id": OLA}) | st.just({"id": PAGE}) | JSON,
        "recipient": st.just({"id": PAGE}) | st.just({"id": OLA}) | JSON,
        "timestamp": st.just(1769860800000) | JSON,
        **dict.fromkeys(KINDS, CONTENT | JSON),
    },
)


@given(st.lists(EVENTS, max_size=2), st.sampled_from(["messaging", "standby", "changes"]))
def test_any_genuine_batch_is_read_or_kept(events, place):
    """Whatever an event holds, it becomes facts or is kept; reading is pure and nothing is raised."""
    good = event(message={"mid": "m_good", "text": "Hi"})
    change = {"field": "messages", "value": good} if place == "changes" else good
    delivery = received(*events, change, place=place)
    assert "m_good" == delivery.facts[-1].message.id
    assert delivery == received(*events, change, place=place)
    for item in delivery.unreadable:
        assert messenger().reread(item.raw).unreadable == (item,)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_genuine_body_is_read_or_a_payload_error(body):
    """Of a body that is signed nothing but `PayloadError` comes."""
    try:
        messenger().receive(Webhook("POST", body, NOON, sign(body)))
    except PayloadError as error:
        assert 400 == error.status  # noqa: PT017  # that it is raised at all is no must


@given(
    st.binary(max_size=300),
    st.lists(
        st.tuples(st.sampled_from(["X-Hub-Signature-256", "X-Hub-Signature"]), st.text()),
        max_size=3,
    ),
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.dictionaries(st.sampled_from(["hub.mode", "hub.verify_token", "hub.challenge"]), st.text()),
)
def test_nothing_forged_gets_in(body, headers, method, query):
    """Whatever stands in headers, query and body, without a secret it is `WebhookRejected`."""
    with pytest.raises(WebhookRejected):
        messenger().receive(Webhook(method, body, NOON, headers, query))


# Sending.

TOOK = Response(200, body=b'{"recipient_id": "1", "message_id": "m_9"}', at=NOON)
SHUT = Response(
    400, body=b'{"error": {"message": "(#10) late", "code": 10, "error_subcode": 2018278}}', at=NOON
)


def played(flow: Flow, answers: Iterable[object]) -> tuple:
    """Play a flow by plain `next`, `send` and `throw`; return its result and its requests."""
    requests: list[Request] = []
    try:
        requests.append(next(flow))
        for answer in answers:
            throws = isinstance(answer, BaseException)
            requests.append(flow.throw(answer) if throws else flow.send(answer))
    except StopIteration as stop:
        return stop.value, requests
    raise AssertionError("it asks for more")


def call(message: Outgoing, *answers: object) -> tuple[Receipt, list[Request]]:
    """Send a message; return its receipt and the requests."""
    return played(messenger().send(message), answers)


def asked(message: Outgoing) -> dict:
    """Return the JSON of the call that a message makes."""
    _, (request,) = call(message, TOOK)
    return json.loads(request.body)


def test_a_text_is_one_call():
    """The exact request: page, version, token in the header, our mark as metadata, and it posts."""
    receipt, (request,) = call(outgoing("Dzień dobry 😀"), TOOK)
    assert ("POST", f"https://graph.facebook.com/v23.0/{PAGE}/messages?{PROVED}") == (
        request.method,
        request.url,
    )
    assert (True, False) == (request.posts, request.repeatable)
    assert f"Bearer {SECRETS[0]}" == request.headers.get("Authorization")
    assert "application/json" == request.headers.get("Content-Type")
    expected = {
        "recipient": {"id": OLA},
        "messaging_type": "RESPONSE",
        "message": {"metadata": MARK, "text": "Dzień dobry 😀"},
    }
    assert expected == json.loads(request.body)
    assert Receipt("m_9", NOON) == receipt


def test_a_retry_sends_the_same_bytes():
    """What is sent depends on the message alone, not on the attempt."""
    later = outgoing(attempt=3, first_sent_at=NOON, known=frozenset({"m_3"}))
    assert call(outgoing(), TOOK)[1][0].body == call(later, TOOK)[1][0].body


def test_a_receipt_without_a_time_has_that_of_the_queue():
    """A transport that gives no time loses no receipt."""
    assert NOON == call(outgoing(), attrs.evolve(TOOK, at=None))[0].at


@pytest.mark.parametrize(
    ("by", "hours", "expected"),
    [
        (AgentKind.person, 0, {"messaging_type": "RESPONSE"}),
        (AgentKind.person, 23.99, {"messaging_type": "RESPONSE"}),
        (AgentKind.person, 24, {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}),
        (AgentKind.person, 100, {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}),
        (AgentKind.bot, 100, {"messaging_type": "RESPONSE"}),
        (AgentKind.automatic, 24, {"messaging_type": "RESPONSE"}),
    ],
)
def test_the_tag_is_for_persons_after_a_day(by, hours, expected):
    """Meta allows HUMAN_AGENT to what a person wrote; a bot's late reply is Meta's to refuse."""
    made = asked(outgoing(by=by, last_inbound_at=NOON - timedelta(hours=hours)))
    del made["recipient"], made["message"]
    assert expected == made


def test_without_a_last_message_it_is_a_response():
    """A thread that a native answer began has no window to count from."""
    assert "RESPONSE" == asked(outgoing(last_inbound_at=None))["messaging_type"]


def test_a_window_that_closed_meanwhile_is_asked_again_with_the_tag():
    """Queued in time by a person, refused for certain: then the same words under the tag."""
    receipt, requests = call(outgoing(), SHUT, TOOK)
    first, second = (json.loads(request.body) for request in requests)
    assert {**first, "messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"} == second
    assert [True, True] == [request.posts for request in requests]
    assert "m_9" == receipt.id


@pytest.mark.parametrize(
    "message", [outgoing(by=AgentKind.bot), outgoing(last_inbound_at=NOON - timedelta(days=2))]
)
def test_a_closed_window_is_a_refusal(message):
    """A bot has no second way, nor has what was sent with the tag."""
    with pytest.raises(Refused, match="window has closed"):
        call(message, SHUT, TOOK)


@pytest.mark.parametrize(
    ("second", "kind"),
    [(SHUT, Refused), (Response(500, at=NOON), Ambiguous), (Response(429, at=NOON), RateLimited)],
)
def test_the_second_way_fails_as_the_first(second, kind):
    """What comes of the call with the tag is told like any other."""
    with pytest.raises(kind):
        call(outgoing(), SHUT, second)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Response(200, body=b'{"recipient_id": "1"}', at=NOON), Ambiguous),
        (Response(200, body=b"<!DOCTYPE html>", at=NOON), Ambiguous),
        (Response(200, body=b'{"recipient_id": "1", "mess', at=NOON), Ambiguous),
        (Response(200, body=b'{"error": {"message": "x", "code": 2}}', at=NOON), Ambiguous),
        (Response(200, body=b'{"error": {"message": "x", "code": 100}}', at=NOON), Refused),
        (Response(403, body=b'{"error": {"message": "x", "code": 190}}', at=NOON), NeedsAuth),
        (Response(302, {"Location": "https://example.net/"}, at=NOON), Refused),
        (Response(503, body=b"<!DOCTYPE html>", at=NOON), Ambiguous),
        (TransportError("refused", sent=False), NotSent),
        (TransportError("reset", sent=None), Ambiguous),
        (TransportError("timeout", sent=True), Ambiguous),
    ],
)
def test_every_answer_has_its_outcome(answer, kind):
    """Certain outcomes as such, every doubt as one; `NotSent` only where no byte can have left."""
    with pytest.raises(SendError) as error:
        call(outgoing(), answer)
    assert kind is type(error.value)


def test_every_call_carries_the_proof():
    """A token alone, stolen, is then worth nothing where the app requires the proof."""
    answers = {
        "send": (messenger().send(outgoing()), [TOOK]),
        "find_sent": (
            messenger().find_sent(outgoing()),
            [thread(node(text="Other"), after="a"), page(ASKED)],
        ),
        "check": (messenger().check(), [ME, APPS, NONE]),
    }
    for name, (flow, told) in answers.items():
        for request in played(flow, told)[1]:
            assert [PROOF] == parse_qs(urlsplit(request.url).query)["appsecret_proof"], name


def test_the_current_secret_proves_a_call():
    """During a rotation the first one, and with a renewed token that token."""
    both = messenger(app_secret=[SECRETS[1], "old"])
    state = ChannelState("messenger", credentials={"token": Secret("renewed")})
    renewed = hmac.new(SECRETS[1].encode(), b"renewed", hashlib.sha256).hexdigest()
    for channel, expected in ((both, PROOF), (both.using(state), renewed)):
        assert next(channel.send(outgoing())).url.endswith(f"appsecret_proof={expected}")


@pytest.mark.parametrize(
    "words",
    [
        "Invalid appsecret_proof provided in the API argument",
        "API calls from the server require an appsecret_proof argument",
    ],
)
def test_a_wrong_proof_is_no_refusal_of_this_message(words):
    """It is wrong for all: the queue waits for a person, and no reply fails for good."""
    with pytest.raises(NeedsAuth):
        call(outgoing(), failed(100, words))


# Cards and quick replies.

CARD = Card("Lamp", "https://example.com/lamp", "EUR 49.90", "https://example.com/lamp.jpg")


def test_a_card_carries_the_words_of_its_part():
    """A generic template: the part's words and the card's own beneath its title, and a button."""
    made = asked(outgoing("It fits yours.", card=CARD))["message"]
    element = {
        "title": "Lamp",
        "subtitle": "It fits yours.\nEUR 49.90",
        "image_url": "https://example.com/lamp.jpg",
        "buttons": [{"type": "web_url", "title": "Buy", "url": "https://example.com/lamp"}],
    }
    payload = {"template_type": "generic", "elements": [element]}
    assert {
        "metadata": MARK,
        "attachment": {"type": "template", "payload": payload},
    } == made


def test_a_card_needs_no_more_than_title_and_address():
    """Without picture and subtitle the words stand alone beneath the title."""
    card = Card("Lamp", "http://example.com/lamp")
    (element,) = asked(outgoing("It fits.", card=card))["message"]["attachment"]["payload"][
        "elements"
    ]
    assert {"title", "subtitle", "buttons"} == element.keys()
    assert "It fits." == element["subtitle"]


def test_quick_replies_are_offered():
    """Each title is its own payload, so that what comes back says the same."""
    made = asked(outgoing(quick_replies=("Yes", "No")))["message"]["quick_replies"]
    assert [
        {"content_type": "text", "title": "Yes", "payload": "Yes"},
        {"content_type": "text", "title": "No", "payload": "No"},
    ] == made


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (outgoing("x" * 2001), "the text has 2001 characters"),
        (outgoing(" "), "the text has 1 characters"),
        (outgoing(visibility=Visibility.public), "private"),
        (outgoing(quick_replies=("x",) * 14), "14 quick replies"),
        (outgoing(quick_replies=("x" * 21,)), "a quick reply has 21"),
        (outgoing(quick_replies=("",)), "a quick reply has 0"),
        (outgoing("x" * 71, card=CARD), "text with the card's subtitle has 81"),
        (outgoing(card=attrs.evolve(CARD, title="x" * 81)), "title has 81"),
        (outgoing(card=attrs.evolve(CARD, title="")), "title has 0"),
        (outgoing(card=attrs.evolve(CARD, button="x" * 21)), "button has 21"),
        (outgoing(card=attrs.evolve(CARD, url="javascript:alert(1)")), "url"),
        (outgoing(card=attrs.evolve(CARD, url="https://example.com/" + "x" * 2048)), "url"),
        (outgoing(card=attrs.evolve(CARD, image="lamp.jpg")), "image"),
    ],
)
def test_what_cannot_be_expressed_is_refused_before_anything_is_asked(message, why):
    """`Unsupported` says what does not fit, how much would, and no request is made."""
    with pytest.raises(Unsupported, match=why):
        next(messenger().send(message))


@pytest.mark.parametrize(
    "message",
    [
        outgoing("x" * 2000),
        outgoing("😀" * 2000),
        outgoing("x" * 70, card=CARD),
        outgoing(card=attrs.evolve(CARD, title="x" * 80, button="x" * 20)),
        outgoing(quick_replies=("x" * 20,) * 13),
    ],
)
def test_what_just_fits_is_sent(message):
    """The limits themselves are allowed."""
    assert asked(message)


# Looking for our own.

READ = "https://graph.facebook.com/v23.0"


def node(
    mid: str = "m_9",
    seconds: float = 1,
    text: object = "Hello",
    author: str = PAGE,
    to: str = OLA,
) -> dict:
    """Return a message as the Conversations API shows it, so long after it was queued."""
    at = (NOON + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    ends = {"from": {"id": author, "name": "Shop"}, "to": {"data": [{"id": to}]}}
    return {"id": mid, "created_time": at, "message": text, **ends}


#: What Ola wrote before, so that the thread is read back to before the send.
ASKED = node("m_1", -60, "Where is my hat?", OLA, PAGE)


def edge(*nodes: object, after: str | None = None) -> dict:
    """Return one page of messages."""
    paging = {"cursors": {"before": "b", "after": after or "a"}}
    if after:
        paging["next"] = "https://elsewhere.example/steal"
    return {"data": list(nodes), "paging": paging}


def thread(*nodes: object, after: str | None = None) -> Response:
    """Return the thread with Ola."""
    found = {"data": [{"id": "t_5", "messages": edge(*nodes, after=after)}]}
    return Response(200, body=json.dumps(found).encode(), at=NOON)


def page(*nodes: object, after: str | None = None) -> Response:
    """Return a further page of its messages."""
    return Response(200, body=json.dumps(edge(*nodes, after=after)).encode(), at=NOON)


def look(message: Outgoing, *answers: object) -> tuple[Found, list[Request]]:
    """Look for a message by plain `next` and `send`."""
    return played(messenger().find_sent(message), answers)


def found(*nodes: object, **changes: object) -> Found:
    """Return what a search among these messages gives, newest first."""
    return look(outgoing(**changes), thread(*nodes))[0]


def test_the_thread_is_asked_for():
    """The exact request: the customer's thread with its newest messages, the token in the header."""
    _, (request,) = look(outgoing(), thread(ASKED))
    parts = urlsplit(request.url)
    assert f"{READ}/{PAGE}/conversations" == request.url.partition("?")[0]
    assert {
        "platform": ["messenger"],
        "user_id": [OLA],
        "fields": ["id,messages.limit(25){id,message,created_time,from,to}"],
        "appsecret_proof": [PROOF],
    } == parse_qs(parts.query)
    assert ("GET", False) == (request.method, request.posts)
    assert f"Bearer {SECRETS[0]}" == request.headers.get("Authorization")


def test_our_message_is_found():
    """Page, customer, time and words agree: it was sent, at Meta's time."""
    expected = Receipt("m_9", NOON + timedelta(seconds=1))
    assert Found(expected) == found(node(), ASKED)


def test_words_are_compared_as_they_are_read():
    """Neither another normal form nor other white space makes them different words."""
    shown = node(text="Café  is\n open ")
    assert "m_9" == found(shown, ASKED, text="Cafe\u0301 is open").receipt.id


@pytest.mark.parametrize(
    "other",
    [
        node(text="Hello!"),
        node(text=""),
        node(text=None),
        node(author=OLA, to=PAGE),
        node(to="999"),
        node(seconds=-6),
        node("m_3"),
    ],
)
def test_what_does_not_agree_is_not_ours(other):
    """Another text, author, recipient, an earlier time, or another reply's id: absent."""
    known = frozenset({"m_3"})
    assert Found() == found(other, ASKED, known=known)


def test_metas_clock_may_be_behind():
    """Five seconds before the send is still the send, counted from its first attempt."""
    first = NOON + timedelta(seconds=60)
    assert found(node(seconds=55), ASKED, first_sent_at=first).receipt
    assert Found() == found(node(seconds=54), ASKED, first_sent_at=first)


def test_of_two_that_agree_the_older_is_ours():
    """The one nearest to the send; the other is somebody's who wrote the same later."""
    assert "m_8" == found(node("m_9", 30), node("m_8", 2), ASKED).receipt.id


def test_pages_are_read_back_to_the_send():
    """Further pages are asked for at our own address, never at the one in the answer."""
    first = thread(node("m_7", 9, "Other"), after="QWZ0ZXI=")
    result, (_, second) = look(outgoing(), first, page(node(), ASKED))
    assert "m_9" == result.receipt.id
    assert f"{READ}/t_5/messages" == second.url.partition("?")[0]
    expected = {
        "limit": ["25"],
        "after": ["QWZ0ZXI="],
        "fields": ["id,message,created_time,from,to"],
        "appsecret_proof": [PROOF],
    }
    assert expected == parse_qs(urlsplit(second.url).query)


def test_the_message_that_is_answered_is_far_enough():
    """It was there before the send, however little: a first message is answered at once."""
    answered = node("m_1", -1, "Where is my hat?", OLA, PAGE)
    assert Found() == found(answered)
    assert not found(answered, reply_to=None).looked
    assert not found(answered, reply_to=("message", "m_0")).looked


def test_a_thread_that_was_not_read_back_to_the_send_proves_nothing():
    """No thread, no messages, or only newer ones: absent is more than not seen."""
    empty = Response(200, body=b'{"data": []}', at=NOON)
    for first in (empty, thread(), thread(node(text="Other"))):
        result, _ = look(outgoing(), first)
        assert (None, False) == (result.receipt, result.looked)
        assert "read back" in result.why


def test_a_search_is_bounded():
    """After twenty pages it gives up, and says that it could not look."""
    more = [page(node(text="Other"), after="a")] * 19
    result, requests = look(outgoing(), thread(node(text="Other"), after="a"), *more)
    assert (20, False) == (len(requests), result.looked)


def test_a_card_is_left_to_its_echo():
    """No read shows a template's words: whatever of ours has none might be it."""
    assert Found() == found(node(text="Hello"), ASKED, card=CARD)
    maybe = found(node(text=""), ASKED, card=CARD)
    assert (None, False) == (maybe.receipt, maybe.looked)
    assert Found() == found(node("m_3", text=""), ASKED, card=CARD, known=frozenset({"m_3"}))


@pytest.mark.parametrize(
    "answer",
    [
        Response(500, at=NOON),
        Response(429, at=NOON),
        Response(401, at=NOON),
        Response(302, at=NOON),
        Response(200, body=b"<!DOCTYPE html>", at=NOON),
        Response(200, body=b"{}", at=NOON),
        Response(200, body=b'{"data": {}}', at=NOON),
        Response(200, body=b'{"data": [7]}', at=NOON),
        Response(200, body=b'{"data": [{"id": "t_5"}]}', at=NOON),
        Response(200, body=b'{"data": [{"id": "t_5", "messages": {}}]}', at=NOON),
        Response(200, body=b'{"data": [{"id": "..", "messages": {"data": []}}]}', at=NOON),
        Response(200, body=b'{"error": {"code": 10, "message": "no"}}', at=NOON),
        thread({"id": "m_9"}),
        thread({**node(), "created_time": "soon"}),
        thread({**node(), "from": None}),
        thread({**node(), "to": {"data": [{}]}}),
        thread(after="no cursor"),
        thread(after="x" * 2000),
    ],
)
def test_a_read_that_failed_is_no_absence(answer):
    """Refused, cut off or of another shape: we could not look, and say why."""
    result, _ = look(outgoing(), answer)
    assert (None, False) == (result.receipt, result.looked)
    assert result.why


def test_a_later_page_that_failed_takes_nothing_back():
    """What was found is found; what was not found may be on the page that failed."""
    broken = Response(500, at=NOON)
    assert look(outgoing(), thread(node(), after="a"), broken)[0].receipt
    assert not look(outgoing(), thread(node(text="Other"), after="a"), broken)[0].looked


# Health.


def checked(*answers: object, **changes: object) -> tuple[Health, list[Request]]:
    """Check by plain `next` and `send`."""
    return played(messenger(**changes).check(), answers)


def said(value: object, status: int = 200) -> Response:
    """Return an answer of JSON."""
    return Response(status, body=json.dumps(value).encode(), at=NOON)


def failed(code: int, message: str = "no", status: int = 400) -> Response:
    """Return a refusal."""
    return said({"error": {"code": code, "message": message}}, status)


FIELDS = ["messages", "messaging_postbacks", "message_echoes", "message_edits",
          "message_reactions", "message_deliveries"]  # fmt: skip
ME = said({"id": PAGE, "name": "Shop"})
APPS = said({"data": [{"id": "42", "name": "Helper", "subscribed_fields": FIELDS}]})
NONE = said({"data": []})


def test_all_is_well():
    """Token, secret, subscriptions and reads: nothing to say, and no secret in any address."""
    health, requests = checked(ME, APPS, NONE, app_id=42)
    assert Health(True) == health
    assert ["GET"] * 3 == [request.method for request in requests]
    assert not any(word in request.url for request in requests for word in SECRETS)
    paths = [urlsplit(request.url).path for request in requests]
    assert ["/v23.0/me", f"/v23.0/{PAGE}/subscribed_apps", f"/v23.0/{PAGE}/conversations"] == paths


def test_a_token_that_is_not_accepted_is_named():
    """It says what to make anew."""
    health, _ = checked(failed(190, "Malformed access token t0ken", 401))
    (problem,) = health.problems
    assert not health.ok
    assert "page access token with pages_messaging" in problem
    assert "t0ken" not in problem


def test_a_secret_of_another_app_is_named():
    """A wrong app secret would refuse every webhook: it is found before the first one comes."""
    health, _ = checked(failed(100, "Invalid appsecret_proof provided"))
    (problem,) = health.problems
    assert "app_secret is not that of the token's app" in problem


def test_a_token_of_something_else_is_named():
    """A user's token, or another page's, sends nothing for this page."""
    health, _ = checked(said({"id": "5", "name": "Ola"}), APPS, NONE)
    assert "'Ola' (5), not of page 77" in health.problems[0]


def test_an_app_that_is_not_subscribed_is_named():
    """No app, or another than ours: it says what to call."""
    for answers, changes in (((ME, NONE, NONE), {}), ((ME, APPS, NONE), {"app_id": "43"})):
        health, _ = checked(*answers, **changes)
        (problem,) = health.problems
        assert "/77/subscribed_apps with subscribed_fields=messages," in problem


@pytest.mark.parametrize("fields", [FIELDS[1:], FIELDS[:3], FIELDS[:5], [], None, "messages", [{}]])
def test_a_field_that_is_not_subscribed_is_named(fields):
    """What is needed is a problem, what is useful a note; each says what stays unseen."""
    apps = said({"data": [{"id": "42", "subscribed_fields": fields}]})
    health, _ = checked(ME, apps, NONE)
    missing = [name for name in FIELDS if not isinstance(fields, list) or name not in fields]
    told = [line.split(":")[0].split()[-1] for line in (*health.problems, *health.notes)]
    assert missing == told
    assert health.ok is (set(missing) <= set(FIELDS[4:]))


def test_reads_that_are_refused_are_a_note():
    """It can work without them, less surely."""
    health, _ = checked(ME, APPS, failed(10, "needs pages_read_engagement", 403))
    (note,) = health.notes
    assert health.ok
    assert "pages_read_engagement" in note


@pytest.mark.parametrize(
    "answer",
    [
        TransportError("no route", sent=False),
        Response(503, at=NOON),
        failed(4),
        failed(100, "Unsupported get request"),
        Response(200, body=b"<!DOCTYPE html>", at=NOON),
    ],
)
def test_a_platform_that_is_down_is_a_problem_not_an_error(answer):
    """Whatever Meta answers, the check has a result."""
    for before in ((), (ME,)):
        health, _ = checked(*before, answer)
        assert not health.ok
        assert "no usable answer" in health.problems[0]


# With the desk, against a real server on loopback.


@attrs.define
class Stand:
    """A platform, a desk that serves its page, and their common clock."""

    platform: MessengerPlatform
    desk: Desk
    channel: Messenger
    clock: FakeClock

    def hear(self, method: str, headers: dict, query: dict, body: bytes) -> tuple[int, bytes]:
        """Take a webhook as a web framework would."""
        hook = Webhook(method, body, self.clock(), headers, query)
        response = self.desk.receive("messenger", hook)
        return response.status, response.body

    @property
    def posts(self) -> list[str]:
        """Return the words that the platform really accepted from us."""
        return [post.text for post in self.platform.posts]

    @property
    def states(self) -> list[str]:
        """Return how far each reply came."""
        return [str(row.state) for row in self.desk.outbox()]

    def acknowledge(self, text: str = "We see it.", **more: object) -> None:
        """Queue an answer to the only conversation, a few seconds later."""
        (conversation,) = self.desk.inbox()
        self.clock.advance(seconds=5)
        self.desk.reply(conversation, text, steps=["acknowledge"], **more)

    def later(self, *minutes: float) -> None:
        """Let the desk deliver after each of these pauses."""
        for pause in minutes:
            self.clock.advance(minutes=pause)
            self.desk.deliver()

    def checked(self) -> Health:
        """Ask the platform how the channel is, over a real connection."""
        transport = Transport()
        try:
            return run(self.channel.check(), transport.send)
        finally:
            transport.close()

    def told(self) -> list[tuple[str, str]]:
        """Return what the desk recorded of our answers: who spoke and what is on the platform."""
        (conversation,) = self.desk.inbox()
        events = [recorded.event for recorded in self.desk.history(conversation)]
        return [(e.by.kind, e.remote) for e in events if type(e).__name__ == "Told"]


def standing(store: type[MemoryStore] = MemoryStore, **options: object) -> Iterator[Stand]:
    """Yield a desk with one page; webhooks reach it as Meta delivers them."""
    clock = FakeClock()
    with MessengerPlatform(clock=clock, **options) as platform:
        given = platform.credentials()
        channel = Messenger(
            given["page_id"],
            token=given["token"],
            app_secret=given["app_secret"],
            verify_token=given["verify_token"],
            app_id=given["app_id"],
            base_url=platform.url,
        )
        with Desk(store(clock), [channel], clock=clock) as desk:
            stand = Stand(platform, desk, channel, clock)
            platform.deliver_to(stand.hear)
            yield stand


@pytest.fixture
def stand() -> Iterator[Stand]:
    """Return a desk that serves a page, to which nobody has written yet."""
    yield from standing()


def test_the_platform_shakes_hands(stand):
    """The right word is answered with the challenge, another one is not."""
    assert stand.platform.handshake()
    assert not stand.platform.handshake(verify_token="wrong")
    assert not stand.platform.handshake(mode="unsubscribe")


def test_from_a_complaint_to_its_end(stand):
    """Acknowledged, apologized and resolved; each part once on the platform, each echo no news."""
    stand.platform.customer("ola").write("Zapłaciłam dwa razy! 😡")
    for step, text in (
        ("acknowledge", "Thank you for telling us."),
        ("apologize", "We are sorry for the trouble."),
        ("resolve", "The money is on its way back."),
    ):
        stand.clock.advance(minutes=1)
        (conversation,) = stand.desk.inbox()
        stand.desk.reply(conversation, text, steps=[step])
        stand.desk.deliver()
        stand.platform.deliver()
    (conversation,) = stand.desk.inbox()
    assert "resolved" == conversation.state
    assert [
        "Thank you for telling us.",
        "We are sorry for the trouble.",
        "The money is on its way back.",
    ] == stand.posts
    assert [post.mid for post in stand.platform.posts] == [mid for _, mid in stand.told()]
    assert () == stand.desk.quarantine()


def test_no_secret_is_in_an_address(stand):
    """The token goes in a header: whoever logs addresses on the way logs no secret."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.desk.deliver()
    stand.checked()
    names = {name for line in stand.platform.requests for name, _ in line.query}
    assert "access_token" not in names


def test_an_app_that_requires_the_proof_is_served():
    """Sending, looking and checking go through, with the app's setting on and a lost answer."""
    for stand in standing(proof_required=True):
        stand.platform.customer("ola").write("Hi")
        stand.acknowledge()
        stand.platform.echo = "never"
        stand.platform.fault_next("response_lost", match="POST *")
        stand.desk.deliver()
        stand.later(2)
        assert (["sent"], ["We see it."]) == (stand.states, stand.posts)
        assert stand.checked().ok


def test_a_secret_of_another_app_holds_the_queue():
    """Regression: the platform refuses every call, so that no reply may fail for good over it."""
    for stand in standing():
        stand.platform.customer("ola").write("Hi")
        stand.acknowledge()
        right = stand.platform.app
        stand.platform.app = attrs.evolve(right, app_secret="another-one")
        stand.desk.deliver()
        assert (["pending"], []) == (stand.states, stand.posts)
        assert not stand.checked().ok
        stand.platform.app = right
        stand.desk.resume("messenger")
        stand.later(1)
        assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_a_native_answer_is_recorded_once(stand):
    """Somebody answered in the page's inbox: the customer is not unanswered any more."""
    ola = stand.platform.customer("ola")
    ola.write("Where is my hat?")
    answer = stand.platform.page_inbox.reply(ola, "On its way.")
    stand.platform.redeliver(everything=True)
    assert [(AgentKind.native, answer.mid)] == stand.told()
    assert () == stand.desk.inbox(unanswered=True)


def test_deliveries_of_native_answers_fill_no_quarantine(stand):
    """Regression: Meta reports them of every message of the page, also of those that are not ours."""
    ola = stand.platform.customer("ola")
    ola.write("Where is my hat?")
    stand.platform.page_inbox.reply(ola, "On its way.")
    ola.receive()
    ola.read()
    stand.platform.redeliver(everything=True)
    assert () == stand.desk.quarantine()
    assert 1 == len(stand.told())


def test_an_echo_before_the_answer_is_the_receipt(stand):
    """The webhook outruns the answer of the call: told once, and by us."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.echo = "early"
    stand.desk.deliver()
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)
    (post,) = stand.platform.posts
    assert [(AgentKind.person, post.mid)] == stand.told()


def test_an_early_echo_saves_a_lost_answer(stand):
    """The echo came, the answer never does: sent, and nothing to clear up."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.echo = "early"
    stand.platform.fault_next("response_lost", match="POST *")
    stand.desk.deliver()
    stand.later(2, 2, 2)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


@pytest.mark.parametrize("fault", ["response_lost", "truncated", "no_id", "html", "error_after"])
def test_a_late_echo_clears_up_a_lost_answer(stand, fault):
    """Unknown until the echo comes; then sent, and never posted twice."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.fault_next(fault, match="POST *")
    stand.desk.deliver()
    assert ["unknown"] == stand.states
    stand.platform.deliver()
    assert ["sent"] == stand.states
    stand.later(2, 2, 2)
    assert ["We see it."] == stand.posts


def test_without_an_echo_the_thread_is_read(stand):
    """The echo never comes: our words are found in the thread, and not sent again."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.echo = "never"
    stand.platform.fault_next("response_lost", match="POST *")
    stand.desk.deliver()
    stand.later(2)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)
    stand.later(2, 2)
    assert ["We see it."] == stand.posts


def test_what_was_never_taken_is_sent_once(stand):
    """The connection broke before the platform had it: absent twice, then sent."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.fault_next("reset_before", match="POST *")
    stand.desk.deliver()
    assert (["unknown"], []) == (stand.states, stand.posts)
    stand.later(2, 2, 2)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_a_read_that_shows_nothing_is_no_absence(stand):
    """An empty page where the customer's words must be: nothing is sent on such a proof."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.echo = "never"
    stand.platform.fault_next("response_lost", match="POST *")
    stand.platform.fault_next("missing_page", match="GET *", times=4)
    stand.desk.deliver()
    stand.later(2, 2, 2, 2)
    assert (["unknown"], ["We see it."]) == (stand.states, stand.posts)
    stand.later(5)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_the_same_words_twice_are_two_replies(stand):
    """Of two equal replies the lost one is not taken for the other (RELIABILITY 3, row 32)."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.desk.deliver()
    stand.acknowledge()
    stand.platform.fault_next("reset_before", match="POST *")
    stand.desk.deliver()
    stand.later(2, 2, 2)
    assert (["sent", "sent"], ["We see it.", "We see it."]) == (stand.states, stand.posts)


def test_a_long_thread_is_read_page_by_page(stand):
    """Thirty messages came after ours: it is found on the second page."""
    ola = stand.platform.customer("ola")
    ola.write("Hi")
    stand.acknowledge()
    stand.platform.echo = "never"
    stand.platform.fault_next("response_lost", match="POST *")
    stand.desk.deliver()
    with stand.platform.hold():
        for number in range(30):
            stand.clock.advance(seconds=1)
            ola.write(f"And {number}?")
    stand.later(2)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)
    reads = [line.path for line in stand.platform.requests if line.method == "GET"]
    assert [f"/v23.0/{stand.channel.page_id}/conversations", "messages"] == [
        reads[0],
        reads[1].rpartition("/")[2],
    ]


@pytest.mark.parametrize("seed", range(6))
def test_order_and_copies_of_batches_change_nothing(seed):
    """A whole history in any order, in batches of any size, thrice: the same messages and state."""

    def history(**delivery: object) -> tuple:
        for stand in standing():
            with stand.platform.hold():
                ola = stand.platform.customer("ola")
                first = ola.write("Where is my hat?")
                stand.clock.advance(minutes=1)
                stand.platform.page_inbox.reply(ola, "On its way.")
                stand.clock.advance(minutes=1)
                ola.write("It is not here!", reply_to=first)
                stand.clock.advance(minutes=1)
                ola.edit(first, "Where is my red hat?")
                stand.clock.advance(minutes=1)
                stand.platform.customer("jan").write("Hello")
                stand.platform.deliver(**delivery)
            talks = sorted(stand.desk.inbox(), key=lambda c: c.id)
            stored = [m for talk in talks for m in stand.desk.messages(talk)]
            known = {(m.message.key, m.revision): (m.message.text, m.direction) for m in stored}
            return known, [(talk.id, talk.state, talk.last_at) for talk in talks]
        raise AssertionError

    assert history() == history(size=1 + seed % 3, copies=3, shuffle=seed)


def test_what_is_forged_is_refused_and_changes_nothing(stand):
    """Tampered, re-encoded, unsigned, oversized: the platform's answer says so, nothing is kept."""
    with stand.platform.hold():
        stand.platform.customer("ola").write("Zażółć gęślą jaźń")
        (delivery,) = stand.platform.deliver(copies=0)
    headers, body = dict(delivery.headers), delivery.body
    again = json.dumps(json.loads(body), ensure_ascii=False).encode()
    old = {"X-Hub-Signature": headers["X-Hub-Signature"]}
    for status, wrong, sent in (
        (401, body.replace(b"Za", b"Ba"), headers),
        (401, again, headers),
        (401, body + b"\n", headers),
        (401, body, {}),
        (401, body, old),
        (401, b"", headers),
        (413, b" " * (MAX_BODY + 1), headers),
    ):
        assert status == stand.hear("POST", sent, {}, wrong)[0]
    assert ((), ()) == (stand.desk.inbox(), stand.desk.quarantine())
    assert 200 == stand.hear("POST", headers, {}, body)[0]
    assert 1 == len(stand.desk.inbox())


@pytest.mark.parametrize(
    "given",
    [
        {"X-Hub-Signature-256": "sha256=" + "é" * 64},
        {"X-Hub-Signature-256": "sha256=" + "\x00" * 64},
        {"X-Hub-Signature-256": "sha256=" + "０" * 64},
        {"X-Hub-Signature-256": "\udc80"},
        {"X-Hub-Signature-256": "a" * 100_000},
        {"X-Hub-Signature-256": ",".join(["sha256=" + "0" * 64] * 10_000)},
        {f"X-Filler-{number}": "x" for number in range(10_000)},
    ],
    ids=["not ASCII", "NUL", "full-width", "surrogate", "100 kB", "a list", "10,000 fields"],
)
def test_hostile_headers_are_refused(stand, given):
    """401 whatever stands in them, one after the other; nothing is kept."""
    body = batch(event(message={"mid": "m_1", "text": "Hi"}))
    assert 401 == stand.hear("POST", given, {}, body)[0]
    assert ((), ()) == (stand.desk.inbox(), stand.desk.quarantine())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 15_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"object": "page", "entry": [{"id": "\xff\xfe"}]}',
        '{"object": "page"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"object": "page"}',
        b'{"object": "page", "object": "page"}',
        b'{"object": "page", "entry": NaN}',
        b'{"object": "page", "entry": ' + b"9" * 5_000 + b"}",
        b"<!DOCTYPE html>",
        b'{"object": "page", "entry": [{"id": "1',
        b"[" + b",".join([b"{}"] * 300_000) + b"]",
    ],
    ids=["deep", "deep objects", "no UTF-8", "UTF-16", "BOM", "a key twice", "NaN", "digits",
         "HTML", "truncated", "a megabyte of values"],
)  # fmt: skip
def test_a_hostile_body_that_is_genuine_is_kept_as_it_came(stand, body):
    """Signed with our secret, so that Meta need not send it again: 200, and a person may look."""
    digest = hmac.new(stand.platform.app.app_secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}"}
    assert 200 == stand.hear("POST", headers, {}, body)[0]
    (kept,) = stand.desk.quarantine()
    assert (body, ()) == (kept.raw, stand.desk.inbox())
    assert kept.why


def test_what_is_replayed_changes_nothing_however_stale(stand):
    """Meta signs no time: a recorded request is genuine for ever, and known by its messages' ids."""
    ola = stand.platform.customer("ola")
    first = ola.write("Where is my hat?")
    ola.edit(first, "Where is my red hat?")
    stand.platform.page_inbox.reply(ola, "On its way.")
    (talk,) = stand.desk.inbox()
    before = stand.desk.history(talk), stand.desk.messages(talk)
    stand.clock.advance(timedelta(days=365))
    stand.platform.redeliver(everything=True)
    stand.platform.redeliver(everything=True)
    assert before == (stand.desk.history(talk), stand.desk.messages(talk))
    assert ((talk,), ()) == (stand.desk.inbox(), stand.desk.quarantine())


class Away(MemoryStore):
    """Be a store that can be away."""

    away = False

    def commit(self, changes: object) -> None:
        """Commit, unless the store is away."""
        if self.away:
            raise StoreUnavailable("the disk is full")
        super().commit(changes)


def test_what_could_not_be_stored_is_sent_again():
    """503 while the store is away, so that nothing is lost: Meta sends it again, and it is taken."""
    for stand in standing(store=Away):
        stand.desk._core.store.away = True
        stand.platform.customer("ola").write("Where is my hat?")
        assert [(503,)] == [tuple(each.statuses) for each in stand.platform.hooks.deliveries]
        stand.desk._core.store.away = False
        stand.platform.redeliver()
        stand.platform.redeliver()
        assert [(503, 200)] == [tuple(each.statuses) for each in stand.platform.hooks.deliveries]
        (talk,) = stand.desk.inbox()
        assert 1 == len(stand.desk.messages(talk))


def test_a_wrong_verify_token_is_401(stand):
    """Whoever guesses the handshake learns no more than that."""
    query = {"hub.mode": "subscribe", "hub.verify_token": "a guess", "hub.challenge": "7"}
    assert (401, b"") == stand.hear("GET", {}, query, b"")


@pytest.mark.parametrize(
    ("fault", "details", "state", "accepted"),
    [
        ("html", {}, "unknown", 1),
        ("truncated", {}, "unknown", 1),
        ("no_id", {}, "unknown", 1),
        ("error_inside", {}, "unknown", 0),
        ("error_before", {"status": 500}, "unknown", 0),
        ("error_before", {"status": 408}, "unknown", 0),
        ("error_after", {"status": 502}, "unknown", 1),
        ("reset_before", {}, "unknown", 0),
        ("response_lost", {}, "unknown", 1),
        ("cut", {"at": 20, "reset": True}, "unknown", 1),
        ("redirect", {"status": 302}, "failed", 0),
        ("redirect", {"status": 308}, "failed", 0),
        ("rate_limited", {}, "pending", 0),
        ("unauthorized", {}, "pending", 0),
    ],
)
def test_what_became_of_a_reply_is_told_truly(stand, fault, details, state, accepted):
    """Every row of the table of outcomes (RELIABILITY 2.3), over a real connection."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.echo = "never"
    stand.platform.fault_next(fault, match="POST *", **details)
    stand.desk.deliver()
    assert ([state], accepted) == (stand.states, len(stand.posts))
    stand.later(2, 2, 2)
    if state == "unknown":
        assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_a_platform_that_is_not_there_got_nothing(stand):
    """A refused connection carried nothing: the reply waits, and goes out once."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge()
    stand.platform.close()
    stand.desk.deliver()
    assert (["pending"], []) == (stand.states, stand.posts)
    stand.platform.start()
    stand.later(5)
    assert (["sent"], ["We see it."]) == (stand.states, stand.posts)


def test_what_cannot_be_read_waits_in_quarantine(stand):
    """A batch with one strange event: its neighbour is answered, it can be read again when mended."""
    page = stand.channel.page_id
    secret = stand.channel.app_secret[0].reveal().encode()
    ends = {"sender": {"id": OLA}, "recipient": {"id": page}, "timestamp": milliseconds(NOON)}
    events = [
        {**ends, "message": {"mid": "m_1", "text": "Hi"}},
        {**ends, "message": {"mid": "m_2", "text": 7}},
    ]
    body = batch(*events, page=page)
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    for _ in range(2):
        signed = {"X-Hub-Signature-256": f"sha256={digest}"}
        assert 200 == stand.hear("POST", signed, {}, body)[0]
    (item,) = stand.desk.quarantine()
    (conversation,) = stand.desk.inbox()
    assert ["Hi"] == [stored.message.text for stored in stand.desk.messages(conversation)]
    assert "text is 7" in item.why
    assert 1 == stand.desk.replay(item.id).quarantined


def test_a_closed_window_refuses_a_bot_and_not_a_person(stand):
    """After a day the desk refuses a bot; a person's words go out under HUMAN_AGENT."""
    stand.platform.customer("ola").write("Hi")
    stand.clock.advance(timedelta(hours=25))
    with pytest.raises(WindowClosed):
        stand.acknowledge(agent=BOT)
    stand.acknowledge("We are back.")
    stand.desk.deliver()
    (post,) = stand.platform.posts
    assert ("We are back.", "MESSAGE_TAG", "HUMAN_AGENT") == (
        post.text,
        post.messaging_type,
        post.tag,
    )


@pytest.mark.parametrize(
    ("later", "possible"),
    [
        (timedelta(hours=25), ("a reply that a person writes, until 2026-03-09 09:00 UTC",)),
        (timedelta(days=8), ()),
    ],
)
def test_a_closed_window_says_what_a_person_may_still_do(stand, later, possible):
    """A bot's reply is refused after a day, a person's after seven: the error says so meanwhile."""
    stand.platform.customer("ola").write("Hi")
    (conversation,) = stand.desk.inbox()
    stand.clock.advance(later)
    with pytest.raises(WindowClosed) as refused:
        stand.desk.reply(conversation.id, "Hello", agent=BOT)
    assert (*possible, "wait for the customer to write again") == refused.value.possible


def test_a_window_that_closes_on_the_way(stand):
    """Queued in time and sent too late: Meta refuses first, and takes a person's under the tag."""
    stand.platform.customer("ola").write("Hi")
    stand.clock.advance(timedelta(hours=23, minutes=50))
    stand.acknowledge("In time.")
    stand.platform.advance(timedelta(minutes=20))
    stand.desk.deliver()
    assert ["sent"] == stand.states
    (post,) = stand.platform.posts
    assert "HUMAN_AGENT" == post.tag


def test_a_bot_whose_window_closes_on_the_way_is_refused(stand):
    """The platform's clock decides: failed for good, with the reason, and never sent."""
    stand.platform.customer("ola").write("Hi")
    stand.clock.advance(timedelta(hours=23, minutes=50))
    stand.acknowledge("In time.", agent=BOT)
    stand.platform.advance(timedelta(minutes=20))
    stand.desk.deliver()
    (row,) = stand.desk.outbox()
    assert (RowState.failed, []) == (row.state, stand.posts)
    assert "window has closed" in row.last_error


def test_a_customer_who_blocks_the_page_is_a_refusal(stand):
    """Code 551: it fails, says why, and the account goes on."""
    ola = stand.platform.customer("ola")
    ola.write("Hi")
    ola.block()
    stand.acknowledge()
    stand.desk.deliver()
    (row,) = stand.desk.outbox()
    assert (RowState.failed, []) == (row.state, stand.posts)
    assert "isn't available" in row.last_error


@pytest.mark.parametrize("status", [400, 403, 429])
def test_a_throttled_account_pauses(status):
    """Whatever the status, the code pauses the account for as long as the header says."""
    for stand in standing(calls_an_hour=1, statuses={80006: status}):
        stand.platform.customer("ola").write("Hi")
        stand.acknowledge("One.")
        stand.desk.deliver()
        stand.acknowledge("Two.")
        stand.desk.deliver()
        asked = len(stand.platform.requests)
        stand.later(10, 10, 10)
        assert (["sent", "pending"], ["One."]) == (stand.states, stand.posts)
        assert asked == len(stand.platform.requests)
        stand.later(31)
        assert (["sent", "sent"], ["One.", "Two."]) == (stand.states, stand.posts)


def test_a_revoked_token_holds_the_queue(stand):
    """Two replies, one question to the platform, and nothing lost when the token is renewed."""
    stand.platform.customer("ola").write("Hi")
    stand.acknowledge("One.")
    stand.acknowledge("Two.")
    stand.platform.token = None
    stand.desk.deliver()
    stand.later(1, 1)
    posts = [line for line in stand.platform.requests if line.method == "POST"]
    assert (["pending", "pending"], 1) == (stand.states, len(posts))
    health = stand.checked()
    assert "make a page access token" in health.problems[0]


def test_a_card_and_quick_replies_come_back_as_words(stand):
    """What the customer taps is the next message of the conversation."""
    ola = stand.platform.customer("ola")
    ola.write("Do you have a lamp?")
    card = Card("Lamp", "https://example.com/lamp", "EUR 49.90")
    stand.acknowledge(["We do.", "This one:"], card=card, quick_replies=["Yes", "No"])
    stand.desk.deliver()
    words, shown = stand.platform.posts
    (element,) = shown.content["attachment"]["payload"]["elements"]
    assert ("We do.", "This one:\nEUR 49.90") == (words.text, element["subtitle"])
    stand.clock.advance(seconds=9)
    ola.choose(shown, "Yes")
    (conversation,) = stand.desk.inbox(unanswered=True)
    texts = [stored.message.text for stored in stand.desk.messages(conversation)]
    assert texts[-1] == "Yes"


def test_a_lost_card_waits_for_its_echo(stand):
    """A thread shows no template's words: it is neither taken for sent nor sent again."""
    stand.platform.customer("ola").write("A lamp?")
    stand.acknowledge("This:", card=Card("Lamp", "https://example.com/lamp"))
    stand.platform.fault_next("response_lost", match="POST *")
    stand.desk.deliver()
    stand.later(2, 2, 2)
    assert (["unknown"], 1) == (stand.states, len(stand.posts))
    stand.platform.deliver()
    assert ["sent"] == stand.states


def test_edits_reactions_and_deliveries_reach_the_conversation(stand):
    """Everything that the platform tells of a conversation is in its history."""
    ola = stand.platform.customer("ola")
    first = ola.write("Where is my hat?")
    stand.acknowledge()
    stand.desk.deliver()
    stand.platform.deliver()
    stand.clock.advance(seconds=9)
    ola.edit(first, "Where is my red hat?")
    ola.receive()
    ola.read()
    ola.react(stand.platform.posts[0], "love")
    (conversation,) = stand.desk.inbox()
    kinds = {type(recorded.event).__name__ for recorded in stand.desk.history(conversation)}
    assert {"Received", "Told", "Edited", "Reported", "Reacted"} <= kinds
    assert () == stand.desk.quarantine()


def test_a_tapped_button_reaches_the_conversation(stand):
    """A postback opens, or goes on with, the customer's conversation."""
    ola = stand.platform.customer("ola")
    first = ola.write("Hi")
    button = {"type": "postback", "title": "Track it", "payload": "TRACK"}
    template = {"template_type": "generic", "elements": [{"title": "Hat", "buttons": [button]}]}
    content = {"attachment": {"type": "template", "payload": template}}
    shown = attrs.evolve(first, outbound=True, content=content, mid="m_button", text="")
    stand.platform.network.messages[shown.mid] = shown
    stand.clock.advance(seconds=3)
    ola.tap(shown, "Track it")
    stand.platform.redeliver(everything=True)
    (conversation,) = stand.desk.inbox()
    texts = [stored.message.text for stored in stand.desk.messages(conversation)]
    assert ["Hi", "Track it"] == texts


def test_the_platform_agrees_with_the_health(stand):
    """A real exchange: all is well; without a subscription it says which one."""
    assert Health(True) == stand.checked()
    stand.platform.subscribed.discard("message_echoes")
    (problem,) = stand.checked().problems
    assert "not subscribed to message_echoes" in problem
    stand.channel = attrs.evolve(stand.channel, app_secret="another")
    assert "app_secret is not" in stand.checked().problems[0]


def test_another_page_of_the_app_is_kept_apart():
    """A batch of another page that reached this channel is in quarantine, whole."""
    for stand in standing(app=App(page_id="99")):
        other = attrs.evolve(stand.channel, page_id="100", name="messenger")
        desk = Desk(MemoryStore(stand.clock), [other], clock=stand.clock)
        stand.desk = desk
        stand.platform.customer("ola").write("Hi")
        assert (1, ()) == (len(desk.quarantine()), desk.inbox())
        desk.close()


# The contract of every channel.


def posting(message: dict, **kind: str) -> Request:
    """Return the request that a call is."""
    body = {"recipient": {"id": OLA}, **(kind or {"messaging_type": "RESPONSE"})}
    headers = {"Authorization": f"Bearer {SECRETS[0]}", "Content-Type": "application/json"}
    content = json.dumps({**body, "message": {"metadata": MARK, **message}}).encode()
    return Request("POST", f"{READ}/{PAGE}/messages?{PROVED}", headers, content, posts=True)


class TestMessenger(ChannelContract):
    """Prove the contract of every channel."""

    @pytest.fixture
    def channel(self):
        """Return the channel of page 77."""
        return messenger()

    @pytest.fixture
    def sign(self):
        """Return Meta's signature of a body."""
        return sign

    @pytest.fixture
    def inbound_cases(self):
        """Return one batch of every kind of event, and one of entries."""
        edit = {"mid": "m_1", "text": "Hey", "num_edit": 1}
        reaction = {"mid": "m_2", "action": "react", "reaction": "love", "emoji": "❤️"}
        delivery = {"mids": ["m_2"], "watermark": milliseconds(NOON)}
        echo = {"mid": "m_2", "text": "Hello", "is_echo": True, "metadata": MARK}
        events = [
            event(message={"mid": "m_1", "text": "Hi"}),
            event(message_edit=edit),
            event(reaction=reaction),
            event(delivery=delivery),
            event(read={"watermark": milliseconds(NOON)}),
            event(echo=True, message=echo),
        ]
        shown = only(events[-1])
        facts = (
            Inbound(written("Hi")),
            Edit("messenger", "message", "m_1", "1", "Hey", NOON),
            Reaction("messenger", "message", "m_2", Author(OLA), "❤️", NOON),
            StatusReport("messenger", "m_2", "delivered", NOON),
            Outbound(written("Hello", "m_2", PAGE, raw=shown.message.raw), OLA, MARK),
        )
        entries = json.loads(batch(events[0]))
        entries["entry"] *= 2
        return [
            WebhookCase("every kind", batch(*events), facts, ("entry", 0, "messaging")),
            WebhookCase("entries", json.dumps(entries).encode(), (facts[0],) * 2, ("entry",)),
        ]

    @pytest.fixture
    def send_cases(self):
        """Return a text, a card, and what Meta refuses in its own way."""
        title = {"title": "Lamp", "subtitle": "This:\nEUR 49.90"}
        button = {"type": "web_url", "title": "Buy", "url": CARD.url}
        element = {**title, "image_url": CARD.image, "buttons": [button]}
        template = {"template_type": "generic", "elements": [element]}
        card = {"attachment": {"type": "template", "payload": template}}
        bot = outgoing(by=AgentKind.bot)
        late = outgoing(last_inbound_at=NOON - timedelta(days=2))
        took, taken = (attrs.evolve(TOOK, at=AT),), Receipt("m_9", AT)
        text = posting({"text": "Hello"})
        choice = {"content_type": "text", "title": "Yes", "payload": "Yes"}
        asking = posting({"text": "Hello", "quick_replies": [choice]})
        tagged = posting({"text": "Hello"}, messaging_type="MESSAGE_TAG", tag="HUMAN_AGENT")
        return [
            SendCase(
                "a text",
                outgoing(),
                (text,),
                took,
                taken,
                found=(thread(node("m_7", 9, "Other"), after="a"), page(node(), ASKED)),
                absent=(thread(node("m_7", 9, "Other"), after="a"), page(ASKED)),
            ),
            SendCase("a late text", late, (tagged,), took, taken),
            SendCase("a card", outgoing("This:", card=CARD), (posting(card),), took, taken),
            SendCase("quick replies", outgoing(quick_replies=("Yes",)), (asking,), took, taken),
            SendCase("a closed window", bot, (text,), (SHUT,), Refused),
            SendCase("a bad token", outgoing(), (text,), (failed(190, "no"),), NeedsAuth),
            SendCase("a blocked page", outgoing(), (text,), (failed(551),), Refused),
            SendCase("a throttle", outgoing(), (text,), (failed(80006),), RateLimited),
            SendCase("a doubt", outgoing(), (text,), (failed(2, status=500),), Ambiguous),
        ]
