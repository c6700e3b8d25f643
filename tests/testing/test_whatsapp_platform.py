"""The local WhatsApp refuses what the Cloud API refuses, and tells by statuses what became of a call."""

import hashlib
import hmac
import json
from collections.abc import Iterator

import httpx
import pytest

from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.whatsapp import WhatsAppPlatform


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def platform(clock) -> Iterator[WhatsAppPlatform]:
    """Return a number whose customer Ola has just written."""
    with WhatsAppPlatform(clock=clock) as running:
        running.customer("ola").write("Hi")
        yield running


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """Return a client."""
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def call(platform, http):
    """Return a function that sends, and returns the code of the error, or the message's id."""
    business, token = platform.business, platform.token
    key = business.app_secret.encode()
    proof = hmac.new(key, token.encode(), hashlib.sha256).hexdigest()

    def send(query: str = f"?appsecret_proof={proof}", token: str = token, **given: object):
        body = {"messaging_product": "whatsapp", "to": platform.customer("ola").wa_id}
        body |= {"type": "text", "text": {"body": "Hello"}, **given}
        url = f"{platform.url}/v23.0/{business.phone_number_id}/messages{query}"
        content = json.dumps({k: v for k, v in body.items() if v is not None})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = http.post(url, content=content, headers=headers).json()
        return answer["error"]["code"] if "error" in answer else answer["messages"][0]["id"]

    return send


def told(platform: WhatsAppPlatform) -> list[dict]:
    """Return every status that was delivered."""
    bodies = [json.loads(each.body) for each in platform.hooks.deliveries]
    values = [c["value"] for b in bodies for e in b["entry"] for c in e["changes"]]
    return [status for value in values for status in value.get("statuses", [])]


def test_only_the_business_may_send(platform, call):
    """Another token, none, and a missing or wrong proof."""
    assert 190 == call(token="another")
    assert 100 == call(query="")
    assert 100 == call(query="?appsecret_proof=wrong")
    platform.proof_required = False
    assert str(call(query="")).startswith("wamid.")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"messaging_product": "sms"}, 100),
        ({"recipient_type": "group"}, 100),
        ({"to": None}, 100),
        ({"to": "PL.123"}, 131009),
        ({"to": "48000000000"}, 131030),
        ({"text": {"body": ""}}, 100),
        ({"text": {"body": "a" * 4097}}, 100),
        ({"text": {"body": "\ud800"}}, 100),
        ({"text": {"words": "Hi"}}, 100),
        ({"text": "Hi"}, 100),
        ({"mark": "x"}, 100),
        ({"type": "poll", "text": None, "poll": {}}, 100),
        ({"biz_opaque_callback_data": "a" * 513}, 100),
        ({"context": {"message_id": "wamid.none"}}, 131009),
        ({"type": "image", "text": None, "image": {"link": "a.jpg"}}, 100),
        ({"type": "image", "text": None, "image": {"link": "https://x", "id": "1"}}, 100),
        ({"type": "audio", "text": None, "audio": {"link": "https://x", "caption": "x"}}, 100),
        (
            {"type": "image", "text": None, "image": {"link": "https://x", "caption": "a" * 1025}},
            100,
        ),
        (
            {
                "type": "template",
                "text": None,
                "template": {"name": "no", "language": {"code": "en"}},
            },
            132001,
        ),
        (
            {
                "type": "template",
                "text": None,
                "template": {"name": "hello_again", "language": {"code": "en_US"}},
            },
            132000,
        ),
    ],
)
def test_what_the_cloud_api_does_not_take_is_refused(platform, call, given, code):
    """Each with its own code, and nothing is sent."""
    assert code == call(**given)
    assert () == platform.posts


def interactive(kind: str, action: object, **more: object) -> dict:
    """Return a call with buttons."""
    shown = {"type": kind, "body": {"text": "Which?"}, "action": action, **more}
    return {"type": "interactive", "text": None, "interactive": shown}


def test_buttons_are_as_documented(platform, call):
    """One to three, no two the same; a link has words and an address; a picture may stand above."""
    reply = [
        {"type": "reply", "reply": {"id": t, "title": t}} for t in ("Yes", "No", "Later", "Never")
    ]
    for wrong in (
        [],
        reply,
        [reply[0]] * 2,
        [{"type": "reply", "reply": {"id": "1", "title": "a" * 21}}],
    ):
        assert 100 == call(**interactive("button", {"buttons": wrong}))
    assert 100 == call(**interactive("list", {"buttons": reply[:1]}))
    link = {"display_text": "Buy", "url": "https://shop.example"}
    assert 100 == call(**interactive("cta_url", {"name": "cta", "parameters": link}))
    header = {"header": {"type": "image", "image": {"link": "https://shop.example/a.jpg"}}}
    assert call(**interactive("cta_url", {"name": "cta_url", "parameters": link}, **header))
    sent = call(**interactive("button", {"buttons": reply[:2]}))
    tapped = platform.customer("ola").tap(platform.sent[sent], "No")
    assert ("No", sent) == (tapped.text, tapped.content["context"]["id"])


def test_a_window_closes_after_a_day(platform, call, clock):
    """Words are refused at once, or by a status where Meta tells it late; a template goes out."""
    clock.advance(minutes=24 * 60 + 1)
    assert 131047 == call()
    platform.tells_late = True
    platform.deliver_to(lambda *_: 200)
    name = call()
    platform.deliver()
    assert [(name, "failed", 131047)] == [
        (s["id"], s["status"], s["errors"][0]["code"]) for s in told(platform)
    ]
    values = [{"type": "text", "text": "Ola"}]
    template = {"name": "hello_again", "language": {"code": "en_US"}}
    template["components"] = [{"type": "body", "parameters": values}]
    assert str(call(type="template", text=None, template=template)).startswith("wamid.")


def test_statuses_bring_back_what_the_call_carried(platform, call):
    """Sent, delivered, read; failed where somebody blocks the number, after a call that was fine."""
    platform.deliver_to(lambda *_: 200)
    ola = platform.customer("ola")
    call(biz_opaque_callback_data="mark")
    platform.deliver()
    ola.receive()
    ola.receive("read")
    ola.block()
    call()
    platform.deliver()
    found = [(s["status"], s.get("biz_opaque_callback_data")) for s in told(platform)]
    assert [("sent", "mark"), ("delivered", "mark"), ("read", "mark"), ("failed", None)] == found
    ola.block(lift=True)


def test_statuses_come_early_late_and_never_on_request(platform, call):
    """As faults, so that every order of answer and status can be had."""
    platform.deliver_to(lambda *_: 200)
    platform.deliver()
    platform.fault_next("status_early", match="POST *")
    call()
    assert 1 == len(told(platform))
    platform.fault_next("status_never", match="POST *")
    call()
    fault = platform.fault_next("status_late", match="POST *")
    call()
    platform.deliver()
    assert 1 == len(told(platform))
    fault.release()
    platform.deliver()
    assert 2 == len(told(platform))


def test_one_customer_is_not_flooded(platform, call):
    """Beyond 45 in a row, one in six seconds: 131056; and whatever else a test asks for."""
    for _ in range(45):
        assert str(call()).startswith("wamid.")
    assert 131056 == call()


def test_who_hides_their_number_is_reached_by_the_business_own_id(platform, call):
    """Webhooks name no number then, and `recipient` takes the place of `to`."""
    bodies = []
    platform.deliver_to(lambda *given: bodies.append(json.loads(given[3])) or 200)
    platform.deliver()
    ola = platform.customer("ola")
    ola.hides = True
    ola.write("Hi again")
    change = bodies[-1]["entry"][0]["changes"][0]["value"]
    assert {"from", "wa_id"}.isdisjoint({*change["messages"][0], *change["contacts"][0]})
    assert ola.user_id == ola.id == change["messages"][0]["from_user_id"]
    assert str(call(to=None, recipient=ola.user_id)).startswith("wamid.")


def test_webhooks_are_signed_and_proved(platform):
    """The handshake, and a signature over the bytes; what is not subscribed to is not told."""
    got = []

    def receive(method, headers, query, body):
        got.append((headers, body))
        return 200, query.get("hub.challenge", "").encode()

    platform.deliver_to(receive)
    assert platform.handshake()
    with platform.hold():
        platform.customer("ola").react(next(iter(platform.sent.values())), "👍")
    headers, body = got[-1]
    key = platform.business.app_secret.encode()
    digest = hmac.new(key, body, hashlib.sha256).hexdigest()
    assert f"sha256={digest}" == headers["X-Hub-Signature-256"]
    platform.subscribed.clear()
    before = len(got)
    platform.customer("ola").write("Not told")
    assert before == len(got)


def test_reads_and_faults(platform, call, http):
    """Only the app may ask for its subscriptions; unknown objects and versions; faults in words."""
    base, auth = f"{platform.url}/v23.0", {"Authorization": f"Bearer {platform.token}"}
    assert 15 == http.get(f"{base}/1/subscriptions", headers=auth).json()["error"]["code"]
    assert 2500 == http.get(f"{platform.url}/x/1/phone_numbers").json()["error"]["code"]
    platform.proof_required = False
    for path in ("1/phone_numbers", "1/subscribed_apps"):
        assert 33 == http.get(f"{base}/{path}", headers=auth).json()["error"]["error_subcode"]
    assert 33 == http.post(f"{base}/1/messages", headers=auth).json()["error"]["error_subcode"]
    assert 404 != http.get(f"{base}/nothing", headers=auth).status_code
    for fault, code in (("rate_limited", 130429), ("unauthorized", 190), ("error_before", 2)):
        platform.fault_next(fault)
        assert code == call()
    platform.fault_next("no_id")
    with pytest.raises(IndexError):
        call()


def test_another_process_can_let_people_act(platform):
    """By the commands that `python -m supportflow.testing.platforms whatsapp` takes."""
    assert platform.act({"customer": "ola", "do": "write", "text": "Ho"}).startswith("wamid.")
    with pytest.raises(ValueError, match="loopback"):
        platform.act({"hooks": "deliver_to", "receiver": "https://shop.example"})
    platform.act({"hooks": "deliver_to", "receiver": "http://127.0.0.1:1/nobody"})
    assert [[None]] == platform.act({"hooks": "deliver"})
    assert ["Hi", "Ho"] == [m["text"] for m in platform.truth()["ola"]]
    with pytest.raises(ValueError, match="cannot act"):
        platform.act({"customer": "ola", "do": "sing"})
    ola = platform.customer("ola")
    ola.delete(ola.edit(ola.write("Hm"), "Hmm"))
