"""The local chat app refuses what the guide says it must, and shows each answer once."""

import json
from datetime import timedelta

import httpx
import pytest

from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.webhook import SECRET, WebhookPlatform, sign


@pytest.fixture
def clock():
    """Return a clock that stands."""
    return FakeClock()


@pytest.fixture
def app(clock):
    """Return an app with one message in it."""
    with WebhookPlatform(clock=clock, max_text=20) as app:
        app.customer("ola").write("Hello")
        yield app


def answer(**changes):
    """Return an answer to that message."""
    to = {"id": "user-ola"}
    said = {"type": "answer", "format": 1, "conversation": "chat-ola", "reply_to": "m1", "to": to}
    return {**said, "text": "Hello to you", "by": "person", "visibility": "private", **changes}


def post(app, said, name="key", at=None, secret=SECRET, **headers):
    """Post something signed, and return the answer."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    at = at or app.now()
    signed = {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sign(secret, name, at, body),
        **headers,
    }
    return httpx.post(f"{app.url}/answers", content=body, headers=signed)


def test_an_answer_is_shown_once_for_its_id(app, clock):
    """The same id is answered the same for a day, and forgotten then."""
    first, second = post(app, answer()), post(app, answer())
    assert (201, first.json()) == (first.status_code, second.json())
    assert ["Hello", "Hello to you"] == app.customer("ola").messages
    assert [None, "key"] == [post["key"] or None for post in app.truth()["posts"]]
    clock.advance(minutes=25 * 60)
    assert first.json() != post(app, answer()).json()


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
        {"webhook-id": "other"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "1"},
    ],
)
def test_what_is_not_signed_is_refused(app, headers):
    """Another signature, id or time, and nothing is shown."""
    assert 401 == post(app, answer(), **headers).status_code
    assert ["Hello"] == app.customer("ola").messages


def test_what_is_stale_or_signed_by_others_is_refused(app):
    """Six minutes are too long, and another secret is none."""
    late = app.now() - timedelta(minutes=6)
    other = "whsec_" + "MfKQ" * 8
    assert [401, 401] == [
        post(app, answer(), at=late).status_code,
        post(app, answer(), secret=other).status_code,
    ]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"{", 400),
        ([], 400),
        ({"type": "answer"}, 400),
        ({"type": "answer", "format": 1}, 400),
        ({"type": "news", "format": 1}, 400),
        ({"type": "ping", "format": 1}, 200),
        (answer(text=""), 422),
        (answer(text="x" * 21), 422),
        (answer(reply_to="m9"), 422),
        (answer(conversation="chat-ala"), 422),
    ],
)
def test_the_format_is_kept(app, said, status):
    """What is no answer, is empty or too long, or answers nothing, is refused."""
    assert status == post(app, said).status_code
    assert ["Hello"] == app.customer("ola").messages


def test_events_wait_until_they_are_taken(app):
    """What is not answered with 2xx comes again, with what happened since."""
    statuses, bodies = [500, 200], []

    def receive(method, headers, query, body):
        bodies.append([event["type"] for event in json.loads(body)["events"]])
        return statuses.pop(0)

    assert None is app.deliver()
    app.deliver_to(receive)
    app.act({"customer": "ola", "text": "Are you there?"})
    assert [["message"], ["message", "message"]] == bodies
    assert 1 == len(app.delivered)
    with pytest.raises(ValueError, match="customer"):
        app.act({})


def test_people_edit_delete_and_are_answered_by_staff(app):
    """Each of it is an event that names what it is about."""
    ola = app.customer("ola")
    ola.edit("m1", "Hello!")
    app.staff("ola", "Good morning")
    assert ["Hello!", "Good morning"] == ola.messages
    ola.delete("m1")
    told = [(event["type"], event["id"]) for event in app.pending]
    assert [("message", "m1"), ("edit", "m1"), ("answer", "m3"), ("removal", "m1")] == told
    assert "m1" == app.pending[2]["reply_to"]
    assert {"secret": SECRET} == app.credentials()
    assert 200 == httpx.get(f"{app.url}/answers").status_code
