"""A local Messenger as a judge: what it accepts, refuses, loses on request and tells afterwards."""

import ast
import json
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import httpx
import pytest

from supportflow.testing import platforms
from supportflow.testing.platforms.messenger import App, MessengerPlatform
from supportflow.testing.platforms.messenger_events import FIELDS
from supportflow.testing.platforms.messenger_people import Person

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
APP = App(page_id="77", page_name="Hat Shop", app_id=42, app_name="Helper")
TOKEN = "a-page-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SEND = "/v25.0/77/messages"


# It loads no certificates, which takes long: every request here is plain HTTP on loopback.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(platform: MessengerPlatform, headers: dict[str, str] | None = None) -> httpx.Client:
    """Return a client of a platform."""
    return httpx.Client(base_url=platform.url, headers=headers, timeout=5, verify=NO_TLS)


@attrs.define
class Stand:
    """A platform with a client and a customer who has written."""

    platform: MessengerPlatform
    api: httpx.Client
    ola: Person

    def send(self, text: str = "Hello", **more: object) -> httpx.Response:
        """Send a text to Ola."""
        return self.api.post(SEND, json=call(self.ola.psid, text, **more), headers=BEARER)

    def code(self, **request: object) -> tuple[int, int, int | None]:
        """Send a request, and return the status, code and subcode of its refusal."""
        answer = self.api.request(**{"method": "POST", "url": SEND, "headers": BEARER, **request})
        error = answer.json()["error"]
        return answer.status_code, error["code"], error.get("error_subcode")


def call(psid: str, text: str = "Hello", metadata: str | None = None, **more: object) -> dict:
    """Return the parameters of a call."""
    message = {"text": text} if metadata is None else {"text": text, "metadata": metadata}
    return {"recipient": {"id": psid}, "messaging_type": "RESPONSE", "message": message, **more}


def made(**options: object) -> MessengerPlatform:
    """Return a platform of page 77 with a fixed clock."""
    return MessengerPlatform(app=APP, token=TOKEN, clock=lambda: START, **options)


@pytest.fixture
def stand() -> Iterator[Stand]:
    """Return a running platform; nothing is delivered unless a test says where to."""
    with made() as platform, client(platform) as api:
        ola = platform.customer("ola")
        ola.write("Where is my hat?")
        yield Stand(platform, api, ola)


def hear(platform: MessengerPlatform, status: int = 200) -> list[dict]:
    """Listen in this process, and return the list of messages and echoes that fills."""
    heard: list[dict] = []

    def receive(method, headers, query, body):
        entries = json.loads(body)["entry"]
        heard.extend(event["message"] for entry in entries for event in entry["messaging"])
        return status

    platform.deliver_to(receive)
    return heard


# Sending.


def test_an_accepted_message_is_a_post(stand):
    """The answer has both ids, and the ground truth has text, metadata, type and time."""
    answer = stand.send("On its way", metadata="row-7")
    (post,) = stand.platform.posts
    assert (200, {"recipient_id": stand.ola.psid, "message_id": post.mid}) == (
        answer.status_code,
        answer.json(),
    )
    assert ("On its way", "row-7", 42, "RESPONSE", None, START) == (
        post.text,
        post.metadata,
        post.app_id,
        post.messaging_type,
        post.tag,
        post.at,
    )


def test_nothing_deduplicates(stand):
    """The same call twice is two messages with two ids."""
    first, second = stand.send(metadata="same"), stand.send(metadata="same")
    assert first.json()["message_id"] != second.json()["message_id"]
    assert ["same", "same"] == [post.metadata for post in stand.platform.posts]


@pytest.mark.parametrize(
    "request_",
    [
        {"url": SEND, "headers": BEARER},
        {"url": f"{SEND}?access_token={TOKEN}"},
        {"url": f"/v19.0/me/messages?access_token={TOKEN}"},
    ],
)
def test_page_and_token_may_be_written_in_several_ways(stand, request_):
    """`me` is the page; the token stands in the query or the header; any version is served."""
    assert 200 == stand.api.post(json=call(stand.ola.psid), **request_).status_code


def test_a_form_is_as_good_as_json(stand):
    """An urlencoded form holds JSON inside its values, and the token."""
    form = {name: json.dumps(value) for name, value in call(stand.ola.psid).items()}
    form |= {"messaging_type": "RESPONSE", "access_token": TOKEN}
    assert 200 == stand.api.post(SEND, data=form).status_code
    assert "Hello" == stand.platform.posts[0].text


def test_an_action_is_no_message(stand):
    """Typing is accepted with the recipient's id alone, and recorded nowhere."""
    action = {"recipient": {"id": stand.ola.psid}, "sender_action": "typing_on"}
    answer = stand.api.post(SEND, json=action, headers=BEARER)
    assert ({"recipient_id": stand.ola.psid}, ()) == (answer.json(), stand.platform.posts)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"headers": {}}, (400, 104, None)),
        ({"headers": {"Authorization": "Bearer other"}}, (401, 190, None)),
        (
            {"headers": BEARER | {"Content-Type": "application/json"}, "content": b"{"},
            (400, 100, None),
        ),
        ({"json": []}, (400, 100, None)),
        ({"json": call("1")}, (400, 100, 2018001)),
        ({"url": "/v25.0/78/messages", "json": call("1")}, (400, 100, 33)),
        ({"url": "/messages"}, (400, 2500, None)),
        ({"url": "/25/77/messages"}, (400, 2500, None)),
        ({"url": "/v25.0/77/nothing"}, (400, 2500, None)),
        ({"method": "DELETE"}, (400, 100, 33)),
        ({"content": b"x" * 1_100_000}, (500, 1, None)),
    ],
)
def test_a_refusal_says_why_in_metas_codes(stand, request_, expected):
    """Token, body, recipient, page, version, path and method each have their code."""
    assert expected == stand.code(**request_)
    assert () == stand.platform.posts


def test_a_text_over_the_limit_is_refused(stand):
    """The rules of the Send API hold over HTTP as well."""
    assert (400, 100, None) == stand.code(json=call(stand.ola.psid, "x" * 2001))


def test_a_customer_who_never_wrote_cannot_be_written_to(stand):
    """The conversation must be begun by the person."""
    stranger = stand.platform.customer("stranger")
    assert (400, 100, 2018001) == stand.code(json=call(stranger.psid))


def test_a_customer_may_block_the_page(stand):
    """Then the person is not available; after that everything is as before."""
    stand.ola.block()
    assert (400, 551, 1545041) == stand.code(json=call(stand.ola.psid))
    stand.ola.block(lift=True)
    assert 200 == stand.send().status_code


def test_a_revoked_token_is_refused_until_there_is_a_new_one(stand):
    """Setting `token` to None revokes it; another value replaces it."""
    stand.platform.token = None
    assert (401, 190, None) == stand.code(json=call(stand.ola.psid))
    stand.platform.token = TOKEN
    assert 200 == stand.send().status_code


# The window.


def test_the_window_is_the_platforms_own(stand):
    """It closes by the platform's clock, opens again with a message, and stays for a human agent."""
    stand.platform.advance(timedelta(hours=24))
    assert 200 == stand.send().status_code
    stand.platform.advance(timedelta(seconds=1))
    assert (400, 10, 2018278) == stand.code(json=call(stand.ola.psid))
    tagged = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
    assert 200 == stand.send(**tagged).status_code
    stand.platform.advance(timedelta(days=6))
    assert (400, 10, 2018278) == stand.code(json=call(stand.ola.psid, **tagged))
    stand.ola.write("Still there?")
    assert 200 == stand.send().status_code


def test_neither_edits_nor_reactions_nor_reading_open_the_window(stand):
    """Only writing, choosing and tapping do."""
    stand.platform.advance(timedelta(hours=25))
    message = stand.ola.messages[0]
    stand.ola.edit(message, "x")
    stand.ola.react(message)
    stand.ola.read()
    assert (400, 10, 2018278) == stand.code(json=call(stand.ola.psid))


def test_an_advertisement_keeps_the_window_open_for_a_week(stand):
    """Up to 7 days after the message that an advertisement led to."""
    stand.ola.write("This hat?", ad="120")
    stand.platform.advance(timedelta(days=7))
    assert 200 == stand.send().status_code


def test_statuses_can_be_others_where_meta_says_nothing():
    """The HTTP status of a code is configuration."""
    with made(statuses={10: 403}) as platform, client(platform) as api:
        ola = platform.customer("ola")
        ola.write("x")
        platform.advance(timedelta(days=2))
        assert 403 == api.post(SEND, json=call(ola.psid), headers=BEARER).status_code


# Rates.


@pytest.mark.parametrize(
    ("options", "code"), [({}, 80006), ({"rate_code": 613}, 613), ({"rate_code": 4}, 4)]
)
def test_too_many_calls_are_throttled_until_the_hour_is_over(options, code):
    """Headers count up; the third call of two is refused with the minutes to wait; then it goes on."""
    with (
        made(calls_an_hour=2, **options) as platform,
        client(platform, BEARER) as api,
    ):
        platform.customer("ola").write("x")
        answers = [api.get("/v25.0/me") for _ in range(3)]
        usages = [json.loads(answer.headers["x-app-usage"])["call_count"] for answer in answers]
        assert ([50, 100, 100], [200, 200, 400]) == (usages, [a.status_code for a in answers])
        assert code == answers[2].json()["error"]["code"]
        business = json.loads(answers[2].headers["x-business-use-case-usage"])["77"][0]
        assert ("messenger", 60) == (business["type"], business["estimated_time_to_regain_access"])
        platform.advance(timedelta(hours=1))
        assert 200 == api.get("/v25.0/me").status_code


# Faults.

ACCEPTED = ["error_after", "response_lost", "cut", "truncated", "no_id", "html"]
NOT_ACCEPTED = ["rate_limited", "unauthorized", "error_before", "reset_before", "error_inside"]


@pytest.mark.parametrize("kind", ACCEPTED + NOT_ACCEPTED + ["redirect"])
def test_a_fault_hides_the_truth_but_does_not_change_it(stand, kind):
    """Whatever the client sees, the ground truth says whether the message was sent, and then once."""
    stand.platform.fault_next(kind, match="POST *", at=20)
    try:
        answer = stand.send()
        clear = answer.status_code == 200 and "message_id" in answer.json()
    except (httpx.TransportError, ValueError):
        clear = False
    assert (False, int(kind in ACCEPTED)) == (clear, len(stand.platform.posts))


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("rate_limited", 400, 80006),
        ("unauthorized", 401, 190),
        ("error_before", 500, 2),
        ("error_inside", 200, 2),
    ],
)
def test_a_fault_speaks_as_the_graph_api_does(stand, kind, status, code):
    """A refusal on request has Meta's form; the status alone tells little."""
    stand.platform.fault_next(kind, match="POST *")
    assert (status, code) == stand.code(json=call(stand.ola.psid))[:2]


def test_an_answer_without_the_id_is_still_a_message(stand):
    """`no_id` leaves the recipient and takes the message's id."""
    stand.platform.fault_next("no_id", match="POST *")
    assert {"recipient_id": stand.ola.psid} == stand.send().json()
    assert 1 == len(stand.platform.posts)


def test_any_status_can_be_asked_for(stand):
    """A fault's own status is kept, in the words of a server error."""
    stand.platform.fault_next("error_before", match="POST *", status=502)
    assert (502, 2, None) == stand.code(json=call(stand.ola.psid))
    stand.platform.fault_next("error_before", match="POST *", status=418)
    assert (418, 100, None) == stand.code(json=call(stand.ola.psid))


# Echoes.


def test_an_echo_comes_back_with_our_name(stand):
    """It carries app id and metadata, and goes out with the next delivery."""
    stand.platform.deliver_to(lambda method, headers, query, body: 200)
    stand.platform.deliver()
    heard = hear(stand.platform)
    mid = stand.send("On its way", metadata="row-7").json()["message_id"]
    assert [] == heard
    stand.platform.deliver()
    echo = {"mid": mid, "is_echo": True, "app_id": 42, "metadata": "row-7", "text": "On its way"}
    assert [echo] == heard


def test_an_echo_of_a_card_has_its_template(stand):
    """The attachment comes back as one of `attachments`; quick replies do not come back."""
    payload = {"template_type": "generic", "elements": [{"title": "Hat", "subtitle": "9.90"}]}
    card = {"attachment": {"type": "template", "payload": payload}}
    reply = {"content_type": "text", "title": "Yes", "payload": "Y"}
    content = {**card, "quick_replies": [reply]}
    answer = stand.api.post(SEND, json=call(stand.ola.psid) | {"message": content}, headers=BEARER)
    echo = stand.platform.hooks.pending[-1].content["message"]
    mid = answer.json()["message_id"]
    expected = {"mid": mid, "is_echo": True, "app_id": 42, "attachments": [card["attachment"]]}
    assert expected == echo
    assert ("", content) == (stand.platform.posts[0].text, stand.platform.posts[0].content)


def kinds(heard: list[dict]) -> list[bool]:
    """Tell of each message heard whether it is an echo."""
    return ["is_echo" in message for message in heard]


def test_an_early_echo_comes_before_the_answer(stand):
    """It is delivered alone, past all that waits, while the call is still open."""
    order: list[str] = []
    heard = hear(stand.platform)
    stand.platform.fault_next("echo_early", match="POST *")
    stand.api.event_hooks["response"].append(lambda _: order.append(f"answer after {len(heard)}"))
    stand.send()
    assert (["answer after 1"], [True]) == (order, kinds(heard))


def test_a_late_echo_waits_for_its_release_or_its_time(stand):
    """It goes out when released, or when the platform's clock says so."""
    heard = hear(stand.platform)
    stand.platform.deliver()
    heard.clear()
    fault = stand.platform.fault_next("echo_late", match="POST *")
    stand.send()
    stand.platform.deliver()
    assert [] == heard
    fault.release()
    stand.platform.deliver()
    stand.platform.fault_next("echo_late", match="POST *", lasts=timedelta(hours=1))
    stand.send()
    stand.platform.advance(timedelta(minutes=59))
    stand.platform.deliver()
    assert [True] == kinds(heard)
    stand.platform.advance(timedelta(minutes=1))
    stand.platform.deliver()
    assert [True, True] == kinds(heard)


def test_an_echo_may_never_come(stand):
    """`echo_never` drops it, although the message was sent."""
    heard = hear(stand.platform)
    stand.platform.deliver()
    heard.clear()
    stand.platform.fault_next("echo_never", match="POST *")
    stand.send()
    stand.platform.deliver()
    assert ([], 1) == (heard, len(stand.platform.posts))


@pytest.mark.parametrize(
    ("echo", "at_once", "later"), [("early", 1, 1), ("late", 0, 1), ("never", 0, 0), ("soon", 0, 1)]
)
def test_a_lost_answer_can_have_any_echo(stand, echo, at_once, later):
    """`echo` holds for all calls, so that it goes together with a fault of the wire."""
    heard = hear(stand.platform)
    stand.platform.deliver()
    heard.clear()
    stand.platform.echo = echo
    stand.platform.fault_next("response_lost", match="POST *")
    with pytest.raises(httpx.TransportError):
        stand.send()
    assert at_once == len(heard)
    stand.platform.release_echoes()
    stand.platform.deliver()
    assert (later, 1) == (len(heard), len(stand.platform.posts))


def test_what_a_receiver_raises_during_a_call_is_told_at_the_end():
    """An early echo that breaks its receiver does not break the answer, and is not forgotten."""

    def broken(method, headers, query, body):
        raise LookupError("in the receiver")

    platform = made().start()
    ola = platform.customer("ola")
    ola.write("x")
    platform.deliver_to(broken)
    platform.echo = "early"
    with client(platform, BEARER) as api:
        assert 200 == api.post(SEND, json=call(ola.psid)).status_code
    with pytest.raises(ExceptionGroup) as raised:
        platform.__exit__(None, None, None)
    assert raised.group_contains(LookupError, match="in the receiver")


def test_echoes_need_their_subscription(stand):
    """Without `message_echoes` neither early nor later ones exist."""
    stand.platform.subscribed.discard("message_echoes")
    heard = hear(stand.platform)
    for stand.platform.echo in ("soon", "early", "late"):
        stand.send()
    stand.platform.release_echoes()
    stand.platform.deliver()
    assert [False] == kinds(heard)


# Health.


def test_me_is_the_page(stand):
    """A page token's `me` is the page; only its fields can be asked for."""
    found = stand.api.get("/v25.0/me", headers=BEARER)
    assert {"id": "77", "name": "Hat Shop"} == found.json()
    assert {"id": "77"} == stand.api.get("/v25.0/77?fields=id", headers=BEARER).json()
    refused = stand.api.get("/v25.0/77?fields=secret", headers=BEARER)
    assert 100 == refused.json()["error"]["code"]


def test_subscriptions_can_be_read_and_changed(stand):
    """The app and its fields are listed; a subscription replaces the fields; unknown ones are refused."""
    url = "/v25.0/77/subscribed_apps"
    (app,) = stand.api.get(url, headers=BEARER).json()["data"]
    assert ("Helper", "42", sorted(FIELDS)) == (app["name"], app["id"], app["subscribed_fields"])
    wanted = {"subscribed_fields": "messages,message_echoes"}
    assert {"success": True} == stand.api.post(url, data=wanted, headers=BEARER).json()
    assert {"messages", "message_echoes"} == stand.platform.subscribed
    assert (400, 100, None) == stand.code(url=url, json={"subscribed_fields": "feed"})
    stand.platform.subscribed.clear()
    assert {"data": []} == stand.api.get(url, headers=BEARER).json()


def test_a_token_can_be_debugged(stand):
    """`debug_token` tells whose it is, asked with the page's or the app's own token."""
    app_token = f"42|{APP.app_secret}"
    for token in (TOKEN, app_token):
        params = {"input_token": TOKEN, "access_token": token}
        data = stand.api.get("/v25.0/debug_token", params=params).json()["data"]
        assert (True, "77", "42") == (data["is_valid"], data["profile_id"], data["app_id"])
    params = {"input_token": "stale", "access_token": app_token}
    data = stand.api.get("/v25.0/debug_token", params=params).json()["data"]
    assert (False, 190) == (data["is_valid"], data["error"]["code"])
    stand.platform.token = None
    params["input_token"] = TOKEN
    assert not stand.api.get("/v25.0/debug_token", params=params).json()["data"]["is_valid"]


def test_the_apps_token_is_good_for_nothing_else(stand):
    """It debugs tokens; it does not send."""
    assert (401, 190, None) == stand.code(
        headers={"Authorization": f"Bearer 42|{APP.app_secret}"}, json=call(stand.ola.psid)
    )


# As a test tool.


def test_a_platform_in_another_process_is_commanded_over_http():
    """People, webhooks and truth are all within reach of `/_control/`."""
    with made(control=True) as platform, client(platform) as api:

        def act(**command: object) -> object:
            return api.post("/_control/act", json=command).raise_for_status().json()

        message = act(customer="ola", do="write", text="Where is my hat?")
        act(customer="ola", do="edit", message=message["mid"], text="Where is it?")
        assert None is act(customer="ola", do="react", message=message["mid"], reaction="sad")
        act(staff="reply", to="ola", text="I will look")
        nowhere = "http://127.0.0.1:9/"
        assert None is act(hooks="deliver_to", receiver=nowhere)
        assert [[None]] == act(hooks="deliver")
        truth = api.get("/_control/truth").json()
        assert ["Where is it?", "I will look"] == [m["text"] for m in truth["threads"]["ola"]]
        assert [] == truth["posts"]
        assert 400 == api.post("/_control/act", json={"customer": "ola", "do": "sue"}).status_code


def test_credentials_are_all_that_a_client_needs(stand):
    """Page, token, app and both secrets; without a token, an empty one."""
    given = stand.platform.credentials()
    secrets = (APP.app_secret, APP.verify_token)
    assert ("77", TOKEN, "42") == (given["page_id"], given["token"], given["app_id"])
    assert secrets == (given["app_secret"], given["verify_token"])
    stand.platform.token = None
    assert "" == stand.platform.credentials()["token"]


def test_no_token_is_kept_in_the_log(stand):
    """Neither the token nor the app's secret appears in requests, truth or representations."""
    stand.api.post(SEND, params={"access_token": TOKEN}, json=call(stand.ola.psid))
    stand.api.get("/v25.0/debug_token", params={"input_token": TOKEN, "access_token": TOKEN})
    shown = repr((stand.platform.requests, stand.platform.truth(), stand.platform.app))
    assert 2 == len(stand.platform.requests)
    for secret in (TOKEN, APP.app_secret, APP.verify_token):
        assert secret not in shown


def test_threads_of_a_client_never_share_an_id(stand):
    """160 calls from 8 threads are 160 messages with orders 1 to n and as many echoes."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: stand.send(str(n)), range(160)))
    assert 160 == len({answer.json()["message_id"] for answer in answers})
    assert list(range(2, 162)) == [post.order for post in stand.platform.posts]
    assert 160 == sum(each.field == "message_echoes" for each in stand.platform.hooks.pending)


def story() -> tuple[object, list[bytes]]:
    """Tell the same story on a new platform; return its truth and what its webhook got."""
    bodies: list[bytes] = []
    with made() as platform, client(platform, BEARER) as api:

        def receive(method, headers, query, body):
            bodies.append(body)
            return 200

        platform.deliver_to(receive)
        # Not those that hold an answer until the client's patience ends: no test waits.
        kinds = sorted(set(platform.faults.shapes) - {"held", "late"})
        platform.faults.at_random(0.5, kinds, seed=7, match="POST *")
        for number in range(20):
            ola = platform.customer("ola")
            ola.write(str(number))
            try:
                api.post(SEND, json=call(ola.psid, str(number)))
            except httpx.TransportError:
                continue
        platform.faults.clear()
        platform.deliver(shuffle=3)
        return platform.truth(), bodies


def test_the_same_story_is_the_same_truth():
    """Ids, faults and bodies depend on nothing but the order of what happens."""
    assert story() == story()


def test_no_thread_outlives_the_platform():
    """Neither the server's nor the delivering thread remains."""
    before = set(threading.enumerate())
    with made() as platform, client(platform, BEARER) as api:
        platform.deliver_to(lambda method, headers, query, body: 200, background=True)
        platform.customer("ola").write("x")
        assert platform.settle()  # or both may go out in one batch
        api.post(SEND, json=call(platform.customer("ola").psid))
        assert platform.settle()
        assert [200, 200] == [s for each in platform.hooks.deliveries for s in each.statuses]
    assert before == set(threading.enumerate())


def test_the_judge_shares_nothing_with_the_judged():
    """The modules of this platform import the library's testing part and nothing else of it."""
    folder = Path(platforms.__file__).parent
    files = [*folder.glob("messenger*.py"), *folder.glob("meta_*.py")]
    assert len(files) >= 9
    imported = {
        node.module
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("supportflow")
    }
    assert set() == {name for name in imported if not name.startswith("supportflow.testing.")}
