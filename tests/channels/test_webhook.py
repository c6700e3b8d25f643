"""An app of one's own: signed both ways, read event by event, and answered once for each id."""

import base64
import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from supportflow.channels import Ambiguous, NotSent
from supportflow.channels.webhook import GenericWebhook
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    TransportError,
    Unsupported,
    WebhookRejected,
)
from supportflow.http import Request, Response, Webhook
from supportflow.model import (
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
    Removal,
    Secret,
    StatusReport,
    Template,
    Visibility,
)
from supportflow.signing import sign_standard
from supportflow.testing import ChannelContract, SendCase, WebhookCase
from supportflow.testing.channel_cases import drive

AT = ChannelContract.at
SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes for the test.. ").decode()
URL = "https://chat.example/answers"
OLA = Author("user-7", "Ola")
MESSAGE = {
    "type": "message",
    "id": "m1",
    "conversation": "chat-7",
    "author": {"id": "user-7", "name": "Ola"},
    "text": "You charged me twice!",
    "at": "2026-03-02T09:00:00Z",
    "language": "en",
    "attachments": [{"kind": "image", "url": "https://chat.example/f/1.png", "name": "bill"}],
}
ANSWER = {
    "type": "answer",
    "id": "m2",
    "conversation": "chat-7",
    "reply_to": "m1",
    "author": {"id": "staff"},
    "to": {"id": "user-7"},
    "text": "We are looking.",
    "at": "2026-03-02T09:00:00Z",
    "webhook_id": "mark",
}
BESIDE = [
    {"type": "edit", "id": "m1", "revision": "2", "text": "Twice!", "at": "2026-03-02T09:00:00Z"},
    {"type": "removal", "id": "m1", "at": "2026-03-02T09:00:00Z"},
    {"type": "removal", "id": "m1", "at": "2026-03-02T09:00:00Z", "by": "us", "hidden": True},
    {
        "type": "reaction",
        "id": "m2",
        "author": {"id": "user-7", "name": "Ola"},
        "emoji": "👍",
        "at": "2026-03-02T09:00:00Z",
    },
    {"type": "status", "id": "m2", "status": "read", "at": "2026-03-02T09:00:00Z"},
]
OUTGOING = Outgoing(
    "row",
    "mark",
    "It is paid back.",
    OLA,
    "chat-7",
    ("message", "m1"),
    Visibility.private,
    AgentKind.person,
    AT - timedelta(days=1),
)
HERE = Response(405, at=AT)
POSTED = {
    "type": "answer",
    "format": 1,
    "conversation": "chat-7",
    "reply_to": "m1",
    "to": {"id": "user-7", "name": "Ola", "handle": ""},
    "text": "It is paid back.",
    "by": "person",
    "visibility": "private",
}


def dense(value):
    """Write JSON as we do."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def signed(body, at=AT, secret=SECRET, name="msg_1"):
    """Return the headers of a signed body."""
    return sign_standard(Secret(secret), body, message_id=name, at=at)


def asks(body, name="mark", posts=True):
    """Return what is asked of the app: whether it is there, and then the body."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return (
        Request("GET", URL, {"Accept": "application/json"}),
        Request("POST", URL, {**headers, **signed(body, name=name)}, body, posts=posts),
    )


def chat(**options):
    """Return the channel."""
    return GenericWebhook(URL, secret=options.pop("secret", SECRET), **options)


class TestGenericWebhook(ChannelContract):
    """The format, as docs/guide/channels/webhook.md specifies it."""

    @pytest.fixture
    def channel(self):
        """Return the channel."""
        return chat()

    @pytest.fixture
    def sign(self):
        """Return what signs a delivery of the app."""
        return signed

    @pytest.fixture
    def inbound_cases(self):
        """Return every kind of event."""
        message = Message(
            "webhook",
            "message",
            "m1",
            OLA,
            "You charged me twice!",
            AT,
            thread="chat-7",
            visibility=Visibility.private,
            language="en",
            attachments=(Attachment("image", "https://chat.example/f/1.png", "bill"),),
            raw=dense(MESSAGE),
        )
        answer = attrs.evolve(
            message,
            id="m2",
            author=Author("staff"),
            text="We are looking.",
            parent="m1",
            language=None,
            attachments=(),
            raw=dense(ANSWER),
        )
        words = Inbound(message), Outbound(answer, "user-7", "mark")
        beside = (
            Edit("webhook", "message", "m1", "2", "Twice!", AT),
            Removal("webhook", "message", "m1", AT),
            Removal("webhook", "message", "m1", AT, "us", hidden=True),
            Reaction("webhook", "message", "m2", OLA, "👍", AT),
            StatusReport("webhook", "m2", "read", AT),
        )
        return [
            WebhookCase("words", dense({"events": [MESSAGE, ANSWER]}).encode(), words, ("events",)),
            WebhookCase("beside", dense({"events": BESIDE}).encode(), beside, ("events",)),
        ]

    @pytest.fixture
    def send_cases(self):
        """Return an answer, one with everything, and the receipts that an app may give."""
        rich = attrs.evolve(
            OUTGOING,
            language="en",
            visibility=Visibility.public,
            quick_replies=("Yes", "No"),
            attachments=(Attachment("file", "https://shop.example/a.pdf", "a.pdf"),),
        )
        more = {
            "visibility": "public",
            "language": "en",
            "quick_replies": ["Yes", "No"],
            "attachments": [{"kind": "file", "url": "https://shop.example/a.pdf", "name": "a.pdf"}],
        }
        made = Response(201, body=b'{"id": "m3", "at": "2026-03-02T09:00:01Z"}', at=AT)
        bare = Response(200, body=b'{"id": "m3", "permalink": "https://chat.example/m3"}', at=AT)
        later = AT + timedelta(seconds=1)
        return [
            SendCase(
                "an answer",
                OUTGOING,
                asks(dense(POSTED).encode()),
                (HERE, made),
                Receipt("m3", later),
            ),
            SendCase(
                "with everything",
                rich,
                asks(dense({**POSTED, **more}).encode()),
                (HERE, bare),
                Receipt("m3", AT, "https://chat.example/m3"),
            ),
        ]


def hook(events, at=AT, **options):
    """Return a delivery."""
    body = dense({"events": events}).encode()
    return Webhook("POST", body, at, signed(body, **options))


def test_what_we_send_is_no_event():
    """Our own answer, sent back to us within five minutes, opens nothing: it is no delivery."""
    post = drive(chat().send(OUTGOING), (HERE, TransportError("lost", sent=True))).requests[-1]
    reflected = Webhook("POST", post.body, AT, post.headers)
    with pytest.raises(PayloadError, match="events"):
        chat().receive(reflected)


def test_a_secret_may_be_rotated():
    """Old and new are accepted, and both sign; the state's own replaces them."""
    old, new = SECRET, "whsec_" + base64.b64encode(b"another, of thirty-two bytes too").decode()
    both = chat(secret=[new, old])
    for secret in (old, new):
        assert 1 == len(both.receive(hook([MESSAGE], secret=secret)).facts)
    post = drive(both.send(OUTGOING), (HERE, TransportError("lost"))).requests[-1]
    assert 2 == len(post.headers.get("webhook-signature").split(" "))
    renewed = chat().using(ChannelState("webhook", credentials={"secret": Secret(new)}))
    with pytest.raises(WebhookRejected):
        renewed.receive(hook([MESSAGE], secret=old))


def test_an_attempt_is_signed_at_its_own_time():
    """An answer that waited a day is not stale: the app's own answer says what time it is."""
    late = Response(200, at=AT + timedelta(hours=3))
    post = drive(chat().send(OUTGOING), (late, TransportError("lost"))).requests[-1]
    assert str(int(late.at.timestamp())) == post.headers.get("webhook-timestamp")
    assert "mark" == post.headers.get("webhook-id")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_app_that_is_away_gets_nothing(status):
    """Then nothing was sent, and it is tried again."""
    assert isinstance(drive(chat().send(OUTGOING), [Response(status, at=AT)]).error, NotSent)


def test_an_unknown_outcome_goes_again_under_its_id():
    """The same id and the same bytes: only the time of the attempt is another."""
    first = drive(chat().send(OUTGOING), (HERE, TransportError("lost", sent=True)))
    assert isinstance(first.error, Ambiguous)
    again = attrs.evolve(OUTGOING, attempt=2, first_sent_at=AT)
    second = drive(chat().send(again), (HERE, TransportError("lost")))
    assert first.requests[-1].body == second.requests[-1].body
    assert ("key", timedelta(hours=24)) == (chat().traits.reconcile, chat().traits.key_window)


@pytest.mark.parametrize(
    "changes",
    [
        {"reply_to": None},
        {"card": Card("Tea", "https://shop.example/tea")},
        {"template": Template("hello", "en")},
    ],
)
def test_what_the_format_cannot_say_is_unsupported(changes):
    """It is refused before anything is asked."""
    driven = drive(chat().send(attrs.evolve(OUTGOING, **changes)), [])
    assert isinstance(driven.error, Unsupported)


@pytest.mark.parametrize(
    "changes", [{"type": "parcel"}, {"text": ""}, {"visibility": "secret"}, {"at": "2026-03-02"}]
)
def test_an_event_that_cannot_be_read_is_reread_when_mended(changes):
    """It stays apart with the reason, and its neighbours are read."""
    broken = {name: value for name, value in MESSAGE.items() if name != "attachments"} | changes
    delivery = chat().receive(hook([broken, ANSWER]))
    assert (1, 1) == (len(delivery.facts), len(delivery.unreadable))
    with pytest.raises((PayloadError, InvalidValue)):
        chat().reread(delivery.unreadable[0].raw)
    assert 1 == len(chat().reread(dense(MESSAGE).encode()).facts)


def test_history_is_judged_and_not_announced():
    """`history` marks what an app sends from before."""
    (fact, answer) = (
        chat().receive(hook([{**MESSAGE, "history": True}, {**ANSWER, "history": True}])).facts
    )
    assert fact.backfill
    assert answer.backfill


def test_a_file_may_come_without_words():
    """A picture alone is a message."""
    bare = {**MESSAGE, "text": ""}
    assert "" == chat().receive(hook([bare])).facts[0].message.text


@pytest.mark.parametrize(
    ("answers", "ok", "told"),
    [
        ((HERE, Response(200, at=AT)), True, "accepts our signature"),
        ((HERE, Response(401, at=AT)), False, "is the secret the same"),
        ((HERE, Response(404, at=AT)), False, "with 404"),
        ((TransportError("refused"),), False, "does not answer"),
    ],
)
def test_check_sends_a_signed_ping(answers, ok, told):
    """The app shows whether it is there and whether the secret is the same on both sides."""
    driven = drive(chat().check(), answers)
    health = driven.result
    assert ok is health.ok
    assert told in " ".join((*health.problems, *health.notes))
    assert not any(request.posts for request in driven.requests)
    if len(driven.requests) == 2:
        assert {"type": "ping", "format": 1} == json.loads(driven.requests[1].body)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://chat.example/answers", {}),
        ("https://user:pw@chat.example/", {}),
        ("ftp://chat.example", {}),
        (URL, {"secret": "not base64!"}),
        (URL, {"secret": ()}),
        (URL, {"name": " "}),
        (URL, {"max_text": 0}),
    ],
)
def test_what_makes_no_channel_is_refused(url, options):
    """Plain http beyond this machine, and a secret that proves nothing."""
    with pytest.raises(InvalidValue):
        GenericWebhook(url, **{"secret": SECRET, **options})
    assert "http://localhost:1/" == GenericWebhook("http://localhost:1/", secret=SECRET).url


def test_the_published_vector_of_standard_webhooks_is_ours():
    """What the guide's page prints is the specification's own example.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sign_standard(
        Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=at,
    )
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == headers["webhook-signature"]
