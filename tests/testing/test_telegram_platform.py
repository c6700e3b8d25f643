"""The local Telegram refuses what the Bot API refuses, and tells no more than it does."""

import json
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.telegram import TelegramPlatform

TOKEN = "7777:token-for-tests"


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def platform(clock) -> Iterator[TelegramPlatform]:
    """Return a bot that sees everything in its groups."""
    with TelegramPlatform(clock=clock, sees_everything=True) as running:
        yield running


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """Return a client."""
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def call(platform, http):
    """Return a function that makes a call, and returns code and description, or the result."""

    def ask(method: str, token: str = TOKEN, **given: object) -> object:
        url, headers = f"{platform.url}/bot{token}/{method}", {"Content-Type": "application/json"}
        answer = http.post(url, content=json.dumps(given), headers=headers).json()
        if answer["ok"]:
            return answer["result"]
        return answer["error_code"], answer["description"]

    return ask


def test_only_the_bot_may_ask(call):
    """A token that is not known, one that is none, and a method that is not there."""
    assert (401, "Unauthorized") == call("getMe", token="7777:another")
    assert (404, "Not Found") == call("getMe", token="nonsense")
    assert (404, "Not Found") == call("getHistory")
    assert "shop_bot" == call("getMe")["username"]


def test_updates_wait_until_they_are_confirmed(platform, call, clock):
    """Asking above an update forgets it; asking again below tells it again; a day is the most."""
    ola = platform.customer("ola")
    first = ola.write("One")
    ola.write("Two")
    one, two = call("getUpdates")
    assert (first.number, "One") == (one["message"]["message_id"], one["message"]["text"])
    assert [one, two] == call("getUpdates", offset=one["update_id"])
    assert [one] == call("getUpdates", offset=one["update_id"], limit=1)
    assert [two] == call("getUpdates", offset=two["update_id"])
    assert [two] == call("getUpdates", offset=two["update_id"] + 1_000), "another numbering"
    clock.advance(timedelta(hours=25))
    assert [] == call("getUpdates")


def test_only_what_was_asked_for_is_told(platform, call):
    """Reactions must be named; what is named stays so until something else is."""
    ola = platform.customer("ola")
    message = ola.write("Hi")
    ola.react(message, "👍")
    assert 1 == len(call("getUpdates", allowed_updates=json.dumps(["message_reaction"])))
    ola.react(message, "👍", "nonsense")
    ola.write("Not told")
    (_, told) = call("getUpdates")
    assert [{"type": "emoji", "emoji": "👍"}] == told["message_reaction"]["new_reaction"]
    assert 400 == call("getUpdates", allowed_updates="all")[0]


def test_privacy_mode_hides_what_is_not_for_the_bot(platform, call):
    """In groups, only commands, mentions and answers to the bot are told."""
    platform.sees_everything = False
    ola, group = platform.customer("ola"), platform.group("Customers")
    for text in ("Hello all", "/help", "@shop_bot where is it?"):
        ola.write(text, chat=group)
    sent = call("sendMessage", chat_id=group.about["id"], text="Here.")
    answered = group.find(sent["message_id"])
    ola.write("Thanks", chat=group, reply_to=answered)
    told = [update["message"]["text"] for update in call("getUpdates")]
    assert ["/help", "@shop_bot where is it?", "Thanks"] == told


def test_a_webhook_and_polls_exclude_each_other(platform, call):
    """409 for polls while a webhook is set; only https may be given."""
    assert "HTTPS URL" in call("setWebhook", url="http://shop.example/")[1]
    assert 400 == call("setWebhook", url="https://shop.example/", secret_token="two words")[0]
    assert call("setWebhook", url="https://shop.example/", allowed_updates=["message"])
    code, words = call("getUpdates")
    assert (409, True) == (code, "webhook is active" in words)
    info = call("getWebhookInfo")
    assert ("https://shop.example/", ["message"]) == (info["url"], info["allowed_updates"])
    assert call("deleteWebhook")
    platform.fault_next("conflict")
    assert "terminated by other" in call("getUpdates")[1]
    assert [] == call("getUpdates")


def test_what_a_webhook_does_not_take_waits(platform, call):
    """It is delivered again, and the last error is told."""
    answers = iter([500, 200])
    taken = []

    def receive(method, headers, query, body):
        taken.append((headers["X-Telegram-Bot-Api-Secret-Token"], json.loads(body)["update_id"]))
        return next(answers)

    platform.deliver_to(receive, secret="word")
    platform.customer("ola").write("Hi")
    assert 1 == call("getWebhookInfo")["pending_update_count"]
    assert "500" in call("getWebhookInfo")["last_error_message"]
    assert (200,) == platform.deliver()
    assert [taken[0]] * 2 == taken
    platform.deliver_to("http://127.0.0.1:1/nobody")
    platform.customer("ola").write("Ho")
    assert 1 == len(platform.waiting)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"chat_id": 1}, "chat not found"),
        ({"chat_id": "@nobody"}, "chat not found"),
        ({"chat_id": "x"}, "can't parse 'x'"),
        ({"chat_id": None}, "chat_id is empty"),
        ({"text": ""}, "message text is empty"),
        ({"text": "a" * 4097}, "message is too long"),
        ({"text": "👍" * 2049}, "message is too long"),
        ({"text": "\ud800"}, "UTF-8"),
        ({"body": "Hi"}, "names no body"),
        ({"reply_parameters": {"message_id": 99}}, "message to be replied not found"),
        ({"reply_parameters": {"message_id": 1, "id": 1}}, "names no id"),
        ({"reply_parameters": 1}, "object expected"),
        ({"business_connection_id": "Bc"}, "business connection not found"),
        ({"reply_markup": {"keyboard": []}}, "Array of Arrays"),
        ({"reply_markup": {"inline_keyboard": [[{"text": "x", "url": "x"}]]}}, "BUTTON_URL"),
        ({"reply_markup": {"keyboard": [[{"text": "x", "tap": 1}]]}}, "names no tap"),
    ],
)
def test_what_the_bot_api_does_not_take_is_refused(platform, call, given, why):
    """Each in its own words, and nothing is posted."""
    platform.customer("ola").write("Hi")
    ola = platform.customer("ola").id
    code, words = call("sendMessage", **{"chat_id": ola, "text": "Hello", **given})
    assert (400, True) == (code, why in words), words
    assert () == platform.posts


def test_files_are_taken_by_their_address(platform, call):
    """Pictures, and documents of three kinds; captions are shorter."""
    platform.customer("ola").write("Hi")
    to = {"chat_id": platform.customer("ola").id}
    assert call("sendPhoto", photo="https://x.example/a.jpg", caption="Look", **to)["photo"]
    assert call("sendDocument", document="https://x.example/a.pdf", **to)["document"]
    assert "web page content" in call("sendDocument", document="https://x.example/a.exe", **to)[1]
    assert "wrong remote file" in call("sendPhoto", photo="a.jpg", **to)[1]
    long = {"photo": "https://x.example/a.jpg", "caption": "a" * 1025}
    assert "caption is too long" in call("sendPhoto", **long, **to)[1]


def test_whom_the_bot_cannot_reach(platform, call):
    """Somebody who never wrote, who blocks it, a group that removed it, and one that moved."""
    ola, ben = platform.customer("ola"), platform.customer("ben")
    assert (403, True) == (
        (answer := call("sendMessage", chat_id=ben.id, text="Hi"))[0],
        "can't initiate" in answer[1],
    )
    ola.write("Hi")
    ola.block()
    assert "blocked by the user" in call("sendMessage", chat_id=ola.id, text="Hi")[1]
    ola.block(lift=True)
    assert "Hi" == call("sendMessage", chat_id=ola.id, text="Hi")["text"]
    group = platform.group("Few", kind="group")
    moved = platform.upgrade(group)
    assert "upgraded" in call("sendMessage", chat_id=group.about["id"], text="Hi")[1]
    moved.removed = True
    assert "kicked" in call("sendMessage", chat_id=moved.about["id"], text="Hi")[1]
    news = platform.group("News", kind="channel", username="shop_news")
    assert call("sendMessage", chat_id="@shop_news", text="News")["chat"] == news.about
    keyboard = {"keyboard": [[{"text": "Yes"}]]}
    refused = call("sendMessage", chat_id="@shop_news", text="?", reply_markup=keyboard)
    assert "not supported" in refused[1]


def test_too_much_in_a_minute_is_told_to_wait(platform, http, clock):
    """429, with the seconds in the body alone."""
    platform.a_minute = 1
    ola = platform.customer("ola")
    ola.write("Hi")
    send = {
        "url": f"{platform.url}/bot{TOKEN}/sendMessage",
        "data": {"chat_id": ola.id, "text": "x"},
    }
    assert 200 == http.post(**send).status_code
    answer = http.post(**send)
    assert (429, 61) == (answer.status_code, answer.json()["parameters"]["retry_after"])
    assert "Retry-After" not in answer.headers
    clock.advance(seconds=61)
    assert 200 == http.post(**send).status_code


def test_nothing_shows_what_the_bot_sent(platform, call):
    """No update tells of it: whoever lost the answer cannot know."""
    platform.customer("ola").write("Hi")
    (update,) = call("getUpdates")
    call("sendMessage", chat_id=platform.customer("ola").id, text="Hello")
    assert [] == call("getUpdates", offset=update["update_id"] + 1)
    assert ["Hello"] == [post.text for post in platform.posts]
    assert ["Hi", "Hello"] == [m["text"] for m in platform.truth()["4711"]]


def test_a_business_account_tells_edits_and_deletions(platform, call):
    """The bot is told of its chats, by their connection."""
    ola = platform.customer("ola")
    chat = platform.business("anna", ola)
    message = ola.write("Hi", chat=chat)
    ola.edit(message, "Ho")
    ola.delete(message)
    kinds = [[*update][1] for update in call("getUpdates")]
    assert ["business_message", "edited_business_message", "deleted_business_messages"] == kinds
    answer = {"chat_id": ola.id, "text": "Hello", "business_connection_id": chat.connection}
    assert chat.connection == call("sendMessage", **answer)["business_connection_id"]
    picture = ola.write("Look", photo=[{"file_id": "x"}])
    assert "There" == ola.edit(picture, "There").content["caption"]
    ola.delete(picture)


def test_the_log_shows_no_token(platform, call):
    """It stands in the path of every request, and not in the log."""
    call("getMe")
    assert ["/bot***/getMe"] == [line.path for line in platform.requests]


def test_faults_are_worded_as_the_bot_api_words_them(platform, http):
    """A refusal on request looks like one of its own."""
    url = f"{platform.url}/bot{TOKEN}/getMe"
    for fault, code in (("rate_limited", 429), ("unauthorized", 401), ("error_before", 500)):
        platform.fault_next(fault)
        answer = http.get(url)
        assert (code, code) == (answer.status_code, answer.json()["error_code"])
    platform.customer("ola").write("Hi")
    platform.fault_next("no_id")
    send = {"chat_id": platform.customer("ola").id, "text": "x"}
    answer = http.post(f"{platform.url}/bot{TOKEN}/sendMessage", json=send).json()
    assert "message_id" not in answer["result"]
    bad = http.post(
        f"{platform.url}/bot{TOKEN}/getMe",
        content=b"{",
        headers={"Content-Type": "application/json"},
    )
    assert "can't parse JSON" in bad.json()["description"]


def test_another_process_can_let_people_act(platform):
    """By the commands that `python -m supportflow.testing.platforms telegram` takes."""
    assert 1 == platform.act({"customer": "ola", "do": "write", "text": "Hi"})
    assert platform.act({"customer": "ola", "do": "block"}) is None
    assert {"token": TOKEN} == platform.credentials()
    with pytest.raises(ValueError, match="cannot act"):
        platform.act({"customer": "ola", "do": "sing"})
