"""Telegram: updates are confirmed by the poll after their commit, and a reply is posted once or left to a person."""

import json
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from supportflow.channels import (
    Ambiguous,
    Checks,
    Delivery,
    Finds,
    NeedsAuth,
    NotSent,
    Page,
    Polls,
    RateLimited,
    Receives,
    Reconcile,
    Refused,
    Searches,
)
from supportflow.channels.telegram import Telegram
from supportflow.desk import Desk
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    TransportError,
    Unsupported,
    WebhookRejected,
)
from supportflow.flow import run
from supportflow.http import MAX_BODY, Request, Response, Webhook
from supportflow.model import (
    AUTOMATIC,
    NATIVE,
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
    RemovedBy,
    Secret,
    Template,
    Visibility,
)
from supportflow.stores import RowState
from supportflow.stores.memory import MemoryStore
from supportflow.testing import ChannelContract, PageCase, SendCase, WebhookCase
from supportflow.testing.channel_cases import AT, drive
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.telegram import TelegramPlatform
from supportflow.transport import Transport

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT.parent / "shared/specs/telegram/api.json"
specified = pytest.mark.skipif(
    not SPEC.exists(), reason=f"the Bot API's reference is not at {SPEC}"
)
TOKEN, WORD = "7777:t0ken-of-the-bot", "s3cret-word-of-the-webhook"
API = f"https://api.telegram.org/bot{TOKEN}"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EPOCH = int(NOON.timestamp())
OLA = {"id": 4711, "is_bot": False, "first_name": "Ola", "last_name": "N", "username": "ola"}
OLAS = Author("4711", "Ola N", "ola")
PRIVATE = {"id": 4711, "type": "private", "first_name": "Ola", "username": "ola"}
GROUP = {"id": -1001234567890, "type": "supergroup", "title": "Customers", "username": "customers"}
KINDS = (
    "message",
    "edited_message",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
)
SIGNED = {"X-Telegram-Bot-Api-Secret-Token": WORD}


def telegram(**changes: object) -> Telegram:
    """Return the bot 7777, which takes webhooks and may be polled."""
    return Telegram(TOKEN, **{"secret_token": WORD, **changes})


def said(text: str | None = "Hi", number: int = 12, **more: object) -> dict:
    """Return a message as the Bot API shows it."""
    words = {} if text is None else {"text": text}
    base = {"message_id": number, "from": OLA, "chat": PRIVATE, "date": EPOCH}
    return {**base, **words, **more}


def update(number: int = 1, **content: object) -> dict:
    """Return one update."""
    return {"update_id": number, **content}


def read(*updates: object, channel: Telegram | None = None) -> Page:
    """Return what a poll gives that brings these updates."""
    body = json.dumps({"ok": True, "result": list(updates)}).encode()
    return drive((channel or telegram()).poll(None), [Response(200, body=body, at=AT)]).result


def only(channel: Telegram | None = None, **content: object) -> object:
    """Return the only fact of an update, and prove that nothing of it was unreadable."""
    page = read(update(**content), channel=channel)
    assert () == page.unreadable
    (fact,) = page.facts
    return fact


def unreadable(**content: object) -> str:
    """Return why an update cannot be read."""
    page = read(update(**content))
    assert () == page.facts
    (item,) = page.unreadable
    return item.why


def written(text: str = "Hi", **more: object) -> Message:
    """Return a message as the channel reads it."""
    given = {"thread": "4711", "visibility": Visibility.private, **more}
    return Message("telegram", "message", "4711:12", OLAS, text, NOON, **given)


def outgoing(text: str = "Hello", **changes: object) -> Outgoing:
    """Return a part of a reply to Ola."""
    base = Outgoing(
        "row-1",
        "mark",
        text,
        OLAS,
        "4711",
        ("message", "4711:12"),
        Visibility.private,
        AgentKind.person,
        NOON,
    )
    return attrs.evolve(base, **changes)


def posting(method: str = "sendMessage", **call: object) -> Request:
    """Return the request that must be made; the answer goes to Ola's message unless it says else."""
    reply = {"message_id": 12, "allow_sending_without_reply": True}
    body = {"chat_id": 4711, "reply_parameters": reply, **call}
    headers = {"Content-Type": "application/json"}
    return Request("POST", f"{API}/{method}", headers, json.dumps(body).encode(), posts=True)


def took(number: int = 13, chat: dict = PRIVATE, at: datetime = NOON) -> Response:
    """Return the answer to a message that was taken."""
    sent = {"message_id": number, "chat": chat, "date": int(at.timestamp()), "text": "Hello"}
    return Response(200, body=json.dumps({"ok": True, "result": sent}).encode(), at=AT)


def refused(code: int, description: str, **parameters: int) -> Response:
    """Return a refusal in the Bot API's form."""
    body = {"ok": False, "error_code": code, "description": description, "parameters": parameters}
    return Response(code, body=json.dumps(body).encode(), at=AT)


def asked_for(message: Outgoing, channel: Telegram | None = None) -> tuple[str, dict]:
    """Return the method and the body of the only request that a message makes."""
    (request,) = drive((channel or telegram()).send(message), [took()]).requests
    return request.url.rpartition("/")[2], json.loads(request.body)


# What is given.


def test_it_is_registered():
    """The entry point leads to it, and it has the abilities that it says it has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    entry = project["entry-points"]["supportflow.channels"]["telegram"]
    assert f"{Telegram.__module__}:{Telegram.__name__}" == entry
    channel = telegram()
    assert all(isinstance(channel, kind) for kind in (Receives, Polls, Checks))


def test_nothing_is_looked_for():
    """A bot reads neither its own messages nor other people's: it cannot find, and cannot search."""
    channel = telegram()
    assert Reconcile.blind is channel.traits.reconcile
    assert not isinstance(channel, Finds)
    assert not isinstance(channel, Searches)
    assert {"looking for lost replies", "listening"} <= channel.traits.unsupported.keys()


@pytest.mark.parametrize("token", [None, "", "abc", "7777", "7777:", "7777:a/b", "x:y", " 7777:a"])
def test_a_token_that_makes_no_url_is_refused(token):
    """It becomes part of every address; the error does not repeat it."""
    with pytest.raises(InvalidValue) as error:
        Telegram(token)
    assert not token or len(token) < 5 or token not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_token": ""},
        {"secret_token": "two words"},
        {"secret_token": "x" * 257},
        {"secret_token": ["fine", "wörd"]},
        {"secret_token": []},
        {"announce_in": "shop_news"},
        {"announce_in": ""},
        {"announce_in": 17},
        {"staff": "4711"},
        {"wait": timedelta(seconds=26)},
        {"wait": timedelta(seconds=-1)},
        {"wait": 10},
        {"name": " "},
        {"name": None},
        {"base_url": "api.telegram.org"},
        {"base_url": "ftp://api.telegram.org"},
        {"base_url": "https://user:word@api.telegram.org"},
        {"base_url": "https://api.telegram.org?x=1"},
    ],
)
def test_what_cannot_be_accepted_is_refused(wrong):
    """Every argument is checked when the channel is made."""
    with pytest.raises(InvalidValue):
        telegram(**wrong)


def test_its_secrets_do_not_print():
    """Neither the token nor the word of the webhook stands in the representation."""
    shown = repr(telegram())
    assert not any(word in shown for word in (TOKEN, TOKEN[5:], WORD))


def test_a_renewed_token_is_used():
    """What was persisted for the account takes the place of the configured token."""
    state = ChannelState("telegram", credentials={"token": Secret("8888:renewed")})
    assert Secret("8888:renewed") == telegram().using(state).token
    assert telegram() == telegram().using(ChannelState("telegram"))


def test_traits_follow_what_is_configured():
    """Polls are seldom where webhooks are meant to come, and announcements need a place."""
    assert timedelta(minutes=1) == telegram().traits.poll_every
    assert timedelta(seconds=1) == Telegram(TOKEN).traits.poll_every
    assert "announcement" not in telegram().traits.powers
    assert "announcement" in telegram(announce_in="@shop_news").traits.powers


def test_its_setup_names_its_arguments():
    """What set-up asks for is what the class takes."""
    names = {need.name for need in Telegram.setup.needs}
    assert names <= attrs.fields_dict(Telegram).keys()
    assert {"token"} == {need.name for need in Telegram.setup.needs if need.required}


# Polls.


def test_a_poll_confirms_what_was_committed_and_nothing_else():
    """The cursor is the last update that was committed; only the next poll asks for the one after it."""
    body = json.dumps(
        {"ok": True, "result": [update(41, message=said()), update(43, message=said("Ho", 13))]}
    )
    driven = drive(telegram().poll("40"), [Response(200, body=body.encode(), at=AT)])
    (request,) = driven.requests
    query = parse_qs(urlsplit(request.url).query)
    assert ["41"] == query["offset"]
    assert ["10"] == query["timeout"]
    assert {"message", "message_reaction", "deleted_business_messages"} <= {
        *json.loads(query["allowed_updates"][0])
    }
    assert ("43", False) == (driven.result.cursor, driven.result.more)
    assert not request.posts


def test_the_first_poll_takes_everything_that_waits():
    """Without a cursor no offset is given; one that is not ours is not believed."""
    for cursor in (None, "", "none", "-5", "9" * 17):
        (request,) = drive(telegram().poll(cursor), [Response(503, at=AT)]).requests
        assert "offset" not in request.url


def test_no_news_leave_the_cursor_as_it_is():
    """An empty page moves nothing."""
    answer = Response(200, body=b'{"ok": true, "result": []}', at=AT)
    assert Page(cursor="40") == drive(telegram().poll("40"), [answer]).result


def test_a_full_page_asks_for_more():
    """A hundred updates are a page; the desk goes on at once."""
    page = read(*(update(n, message=said(number=n)) for n in range(1, 101)))
    assert (100, True, "100") == (len(page.facts), page.more, page.cursor)


def test_an_update_that_cannot_be_read_is_confirmed_too():
    """It is kept in quarantine, and does not come back for ever."""
    page = read(update(7, message=said()), update(9, message={}))
    assert ("9", 1, 1) == (page.cursor, len(page.facts), len(page.unreadable))


def test_numbers_that_begin_anew_are_followed():
    """After a week of silence Telegram may number from somewhere else, even from below."""
    assert "3" == read(update(3, message=said())).cursor


def test_a_webhook_that_is_meant_to_be_is_no_trouble():
    """Where webhooks are configured, Telegram's refusal of polls says that all is well."""
    said = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook"
    assert Page(cursor="40") == drive(telegram().poll("40"), [refused(409, said)]).result
    error = drive(Telegram(TOKEN).poll("40"), [refused(409, said)]).error
    assert isinstance(error, Refused)
    assert "deleteWebhook, or pass secret_token" in str(error)


def test_a_second_poller_is_trouble():
    """Whoever else polls takes updates away: that is said, whatever is configured."""
    words = "Conflict: terminated by other getUpdates request; make sure that only one bot"
    for channel in (telegram(), Telegram(TOKEN)):
        error = drive(channel.poll("40"), [refused(409, words)]).error
        assert isinstance(error, Refused)
        assert "terminated by other" in str(error)


def test_a_poll_without_a_list_is_an_error():
    """An answer that proves nothing is no empty page."""
    for body in (b"{}", b'{"ok": true}', b'{"ok": true, "result": {}}', b"[]", b"<html>"):
        error = drive(telegram().poll(None), [Response(200, body=body, at=AT)]).error
        assert isinstance(error, PayloadError | TransportError), body


# Webhooks.


def hook(body: bytes, headers: object = None, method: str = "POST") -> Webhook:
    """Return a webhook that carries the word."""
    return Webhook(method, body, NOON, SIGNED if headers is None else headers)


def test_a_webhook_and_a_poll_give_the_same_key():
    """An update that comes both ways is one message."""
    content = update(message=said())
    delivery = telegram().receive(hook(json.dumps(content).encode()))
    assert delivery.facts == read(content).facts
    assert (200, ()) == (delivery.response.status, delivery.unreadable)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Telegram-Bot-Api-Secret-Token": "another"},
        [("X-Telegram-Bot-Api-Secret-Token", WORD), ("X-Telegram-Bot-Api-Secret-Token", WORD)],
    ],
)
def test_what_does_not_carry_the_word_once_is_refused(headers):
    """The word is the only proof: none, another one and two of them are refused."""
    with pytest.raises(WebhookRejected):
        telegram().receive(hook(json.dumps(update(message=said())).encode(), headers))


def test_a_bot_that_polls_believes_no_webhook():
    """Without a word of its own nothing proves a webhook genuine, not even an empty one."""
    for headers in ({}, {"X-Telegram-Bot-Api-Secret-Token": ""}, SIGNED):
        with pytest.raises(WebhookRejected):
            Telegram(TOKEN).receive(hook(b"{}", headers))


def test_two_words_are_valid_while_they_change():
    """During a rotation both the old and the new word prove a webhook."""
    body = json.dumps(update(message=said())).encode()
    for several in (["new", WORD], [WORD, "old"]):
        assert 1 == len(telegram(secret_token=several).receive(hook(body)).facts)


def test_another_method_and_too_much_are_refused():
    """Only POST delivers, and a mebibyte at most."""
    for given, status in ((hook(b"{}", method="GET"), 405), (hook(b" " * (MAX_BODY + 1)), 413)):
        with pytest.raises(WebhookRejected) as error:
            telegram().receive(given)
        assert status == error.value.status


def test_no_json_is_a_payload_error():
    """What carries the word and cannot be read at all is kept whole by the desk."""
    with pytest.raises(PayloadError):
        telegram().receive(hook(b"\xff"))


# What people write.


def test_a_private_message_is_read():
    """Chat, author, time, privacy and words."""
    assert Inbound(written()) == only(message=said())


def test_a_message_in_a_group_is_public_and_has_a_link():
    """A group is the thread, what is answered the parent; a link leads there where one exists."""
    before = {"message_id": 7, "chat": GROUP, "date": EPOCH, "from": OLA, "text": "Before"}
    message = only(message=said(chat=GROUP, reply_to_message=before)).message
    assert ("-1001234567890", "-1001234567890:7") == (message.thread, message.parent)
    assert (Visibility.public, "https://t.me/customers/12") == (
        message.visibility,
        message.permalink,
    )
    nameless = {"id": -1001234567890, "type": "supergroup", "title": "Customers"}
    assert "https://t.me/c/1234567890/12" == only(message=said(chat=nameless)).message.permalink
    small = {"id": -77, "type": "group", "title": "Few"}
    assert only(message=said(chat=small)).message.permalink is None


def test_a_topic_is_a_thread_of_its_own():
    """In a forum, and nowhere else, the topic belongs to the thread."""
    topic = only(message=said(chat=GROUP, message_thread_id=5, is_topic_message=True)).message
    assert "-1001234567890/5" == topic.thread
    assert "-1001234567890" == only(message=said(chat=GROUP, message_thread_id=5)).message.thread


def test_a_command_has_a_label():
    """/start, which everybody sends first, can be told from a question."""
    entities = [{"type": "bot_command", "offset": 0, "length": 6}]
    assert ("command",) == only(message=said("/start", entities=entities)).message.tags
    entities[0]["offset"] = 5
    assert () == only(message=said("Type /start", entities=entities)).message.tags


def test_files_are_listed_and_not_fetched():
    """Each by the address where its path can be asked for, which holds no token; the largest photo."""
    sizes = [{"file_id": "small"}, {"file_id": "large"}]
    message = only(message=said(None, caption="Broken", photo=sizes)).message
    address = "https://api.telegram.org/getFile?file_id="
    assert ("Broken", (Attachment("image", f"{address}large"),)) == (
        message.text,
        message.attachments,
    )
    assert message.raw
    assert TOKEN not in message.raw
    document = {"file_id": "d", "file_name": "bill.pdf"}
    moving = only(message=said(None, animation={"file_id": "a"}, document=document)).message
    assert (Attachment("video", f"{address}a"),) == moving.attachments
    bill = only(message=said(None, document=document)).message
    assert (Attachment("file", f"{address}d", "bill.pdf"),) == bill.attachments


def test_what_is_no_file_is_listed_by_its_words():
    """A place, a contact, a sticker and the like are something that the customer said."""
    venue = {"location": {"latitude": 1.5, "longitude": 2}, "title": "Shop", "address": "Main St 1"}
    location = venue["location"]
    shown = only(message=said(None, venue=venue, location=location)).message
    assert (Attachment("venue", "", "Shop Main St 1"),) == shown.attachments
    contact = {"phone_number": "+100", "first_name": "Ben"}
    assert (Attachment("contact", "", "Ben +100"),) == only(
        message=said(None, contact=contact)
    ).message.attachments


@pytest.mark.parametrize(
    "content",
    [
        said(None, new_chat_members=[OLA]),
        said(None, chat=GROUP, migrate_to_chat_id=-1009),
        said("Our news", chat=GROUP, is_automatic_forward=True),
        said("Buy!", chat=GROUP, **{"from": {**OLA, "is_bot": True}}),
    ],
)
def test_what_holds_no_words_of_people_is_passed_over(content):
    """Joining, moving, copies of the shop's own channel and other bots say nothing to us."""
    page = read(update(message=content))
    assert ((), ()) == (page.facts, page.unreadable)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"message": said(None)}, "without words or files"),
        ({"message": said(chat={"id": -100, "type": "channel"})}, "the chat is 'channel'"),
        ({"message": said(chat={**GROUP, "is_direct_messages": True})}, "direct messages"),
        ({"message": said(chat={"id": -5, "type": "private"})}, "not as documented"),
        ({"message": said(date=0)}, "no time of an update"),
        ({"message": said(number=True)}, "message_id is True"),
        ({"message": said(None, photo=[{"file_id": "x"}] * 1001)}, "no list of at most 1000"),
        ({"callback_query": {}}, "a kind that is not asked for: callback_query"),
        ({"message": said(photo="x")}, "photo is no list"),
    ],
)
def test_what_is_not_known_is_kept(content, why):
    """Nothing vanishes: what cannot be read goes into quarantine and says why."""
    assert why in unreadable(**content)


def test_quarantine_is_read_again():
    """What was kept gives its facts once it is mended; when a deletion happened is gone."""
    raw = json.dumps(update(message=said())).encode()
    assert (Inbound(written()),) == telegram().reread(raw).facts
    gone = {"business_connection_id": "Bc", "chat": PRIVATE, "message_ids": [1]}
    (item,) = (
        telegram().reread(json.dumps(update(deleted_business_messages=gone)).encode()).unreadable
    )
    assert "not known any more" in item.why


# What changes, and whose words they are.


def test_an_edit_is_a_revision():
    """New words with the time of the change; two in one second are two."""
    content = said("Ho", edit_date=EPOCH + 60)
    fact = only(edited_message=content)
    at = NOON + timedelta(minutes=1)
    assert Edit("telegram", "message", "4711:12", "1", "Ho", at) == fact
    page = read(update(1, edited_message=content), update(2, edited_message=content))
    assert 2 == len({fact.revision for fact in page.facts})


def test_a_place_that_moves_is_no_edit():
    """A live location is edited every few seconds, without words."""
    moving = said(None, location={"latitude": 1, "longitude": 2}, edit_date=EPOCH)
    assert () == read(update(edited_message=moving)).facts


def test_a_reaction_is_read_and_taken_back():
    """All that somebody shows at once; nothing where it was taken back."""
    about = {"chat": GROUP, "message_id": 7, "user": OLA, "date": EPOCH, "old_reaction": []}
    new = [{"type": "emoji", "emoji": "👍"}, {"type": "paid"}]
    fact = only(message_reaction={**about, "new_reaction": new})
    key = ("telegram", "message", "-1001234567890:7")
    assert Reaction(*key, OLAS, "👍:paid:", NOON) == fact
    assert "" == only(message_reaction={**about, "new_reaction": []}).emoji
    unnamed = {**about, "actor_chat": {**GROUP, "id": -1009}, "new_reaction": new}
    assert "-1009" == only(message_reaction=unnamed).author.id


def business(text: str = "Hi", sender: dict = OLA, **more: object) -> dict:
    """Return a message of a business account's chat with Ola."""
    return said(text, business_connection_id="Bc1", **{"from": sender}, **more)


def test_a_business_account_is_a_thread_with_its_connection():
    """The customer's words come in; the owner's are an answer in the app; our id names the account."""
    fact = only(business_message=business())
    assert ("4711@Bc1", "4711:12@Bc1") == (fact.message.thread, fact.message.id)
    owner = {"id": 99, "is_bot": False, "first_name": "Anna"}
    answer = only(business_message=business("Hello", owner))
    assert isinstance(answer, Outbound)
    assert ("4711", None, "99") == (answer.customer, answer.mark, answer.message.author.id)
    assert NATIVE == answer.agent
    away = business("We are closed.", owner, is_from_offline=True)
    assert AUTOMATIC == only(business_message=away).agent
    assert isinstance(only(edited_business_message=business("Ho", edit_date=EPOCH)), Edit)
    assert () == read(update(business_connection={"id": "Bc1"})).facts


def test_a_deletion_in_a_business_account_is_told():
    """By whom is not said: it is somebody's decision to look at."""
    gone = {"business_connection_id": "Bc1", "chat": PRIVATE, "message_ids": [12, 13]}
    facts = read(update(deleted_business_messages=gone)).facts
    first = Removal("telegram", "message", "4711:12@Bc1", AT, RemovedBy.unknown)
    assert (first, attrs.evolve(first, id="4711:13@Bc1")) == facts


def test_whoever_speaks_for_the_group_is_staff():
    """Anonymous admins, and people who are named, answer natively; in private they are customers."""
    asked = said(chat=GROUP)
    admin = {
        "sender_chat": GROUP,
        "from": {"id": 1087968824, "is_bot": True, "first_name": "Group"},
    }
    answer = only(message=said("It comes.", 13, chat=GROUP, reply_to_message=asked, **admin))
    assert isinstance(answer, Outbound)
    assert ("4711", "Customers") == (answer.customer, answer.message.author.name)
    anna = {"id": 99, "is_bot": False, "first_name": "Anna"}
    named = telegram(staff=[99])
    known = only(named, message=said("Hello", 13, chat=GROUP, **{"from": anna}))
    assert (Outbound, None) == (type(known), known.customer)
    to_bot = said(
        "Hello", 13, chat=GROUP, reply_to_message={**asked, "from": {**OLA, "is_bot": True}}
    )
    assert only(named, message={**to_bot, "from": anna}).customer is None
    mine = {"id": 99, "type": "private", "first_name": "Anna"}
    assert isinstance(only(named, message=said(chat=mine, **{"from": anna})), Inbound)


# What goes out.


def test_a_reply_names_what_it_answers():
    """In a group it is refused if its question is gone; in private it goes out even so."""
    group = {
        "thread": "-1001/5",
        "reply_to": ("message", "-1001:7"),
        "visibility": Visibility.public,
    }
    method, call = asked_for(outgoing(**group))
    assert ("sendMessage", -1001, 5) == (method, call["chat_id"], call["message_thread_id"])
    assert {"message_id": 7} == call["reply_parameters"]
    _, call = asked_for(outgoing(thread="4711@Bc1", reply_to=("message", "4711:12@Bc1")))
    assert ("Bc1", 12) == (call["business_connection_id"], call["reply_parameters"]["message_id"])
    _, call = asked_for(outgoing(reply_to=None))
    assert {"chat_id": 4711, "text": "Hello"} == call


def test_a_private_answer_to_somebody_in_a_group_goes_to_their_own_chat():
    """Nothing of the group is named there."""
    _, call = asked_for(outgoing(thread="-1001", reply_to=("message", "-1001:7")))
    assert {"chat_id": 4711, "text": "Hello"} == call


def test_an_announcement_goes_to_its_channel():
    """Where one is configured; otherwise that is what is missing."""
    news = outgoing("News!", reply_to=None, visibility=Visibility.public, thread="")
    _, call = asked_for(news, telegram(announce_in="@shop_news"))
    assert {"chat_id": "@shop_news", "text": "News!"} == call
    with pytest.raises(Unsupported, match="announce_in"):
        next(telegram().send(news))


def test_files_are_sent_by_their_address():
    """Telegram fetches them; the words stand beneath."""
    for kind, method, field in (
        ("image", "sendPhoto", "photo"),
        ("video", "sendVideo", "video"),
        ("audio", "sendAudio", "audio"),
        ("file", "sendDocument", "document"),
    ):
        file = Attachment(kind, "https://shop.example/a.pdf")
        asked, call = asked_for(outgoing(attachments=(file,)))
        assert method == asked
        assert ("https://shop.example/a.pdf", "Hello") == (call[field], call["caption"])


CARD = Card("Lamp", "https://shop.example/lamp", "EUR 49.90", "https://shop.example/lamp.jpg")


def test_a_card_is_a_picture_with_a_button():
    """Title and price follow the words; without a picture it is a text with a button."""
    method, call = asked_for(outgoing("This:", card=CARD))
    assert ("sendPhoto", "This:\nLamp\nEUR 49.90") == (method, call["caption"])
    button = {"text": "Buy", "url": CARD.url}
    assert {"inline_keyboard": [[button]]} == call["reply_markup"]
    method, call = asked_for(outgoing("This:", card=attrs.evolve(CARD, image="")))
    assert ("sendMessage", "This:\nLamp\nEUR 49.90") == (method, call["text"])


def test_quick_replies_are_a_keyboard():
    """Each tap sends its words; in a group only to whom it answers."""
    markup = asked_for(outgoing(quick_replies=("Yes", "No")))[1]["reply_markup"]
    keyboard = {"keyboard": [[{"text": "Yes"}], [{"text": "No"}]], "resize_keyboard": True}
    assert {**keyboard, "one_time_keyboard": True} == markup
    group = {"thread": "-1001", "visibility": Visibility.public}
    assert asked_for(outgoing(quick_replies=("Yes",), **group))[1]["reply_markup"]["selective"]


FILE = Attachment("image", "https://shop.example/a.jpg")


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "a" * 4097},
        {"text": "👍" * 2049},
        {"text": " "},
        {"text": "a" * 1025, "attachments": (FILE,)},
        {"attachments": (FILE, FILE)},
        {"attachments": (FILE,), "card": CARD},
        {"attachments": (attrs.evolve(FILE, kind="story"),)},
        {"attachments": (attrs.evolve(FILE, url="http://shop.example/a.jpg"),)},
        {"card": attrs.evolve(CARD, url="javascript:1")},
        {"card": CARD, "quick_replies": ("Yes",)},
        {"quick_replies": ("",)},
        {"quick_replies": ("Yes",), "thread": "4711@Bc1"},
        {"template": Template("hello", "en")},
        {"visibility": Visibility.public},
        {"thread": "t_1"},
        {"thread": "-1001", "to": Author("ola@example.social")},
    ],
)
def test_what_telegram_cannot_express_is_refused_at_once(changes):
    """Nothing is asked, and nothing is left out in silence."""
    flow = telegram().send(outgoing(**changes))
    with pytest.raises(Unsupported):
        next(flow)


def test_a_group_that_moved_is_written_to_where_it_is_now():
    """The refusal is certain and names the new id; no message of the old group is known there."""
    moved = refused(
        400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-1009
    )
    group = {"thread": "-77", "reply_to": ("message", "-77:7"), "visibility": Visibility.public}
    there = {"id": -1009, "type": "group", "title": "Customers"}
    driven = drive(telegram().send(outgoing(**group)), [moved, took(3, there)])
    assert [-77, -1009] == [json.loads(each.body)["chat_id"] for each in driven.requests]
    assert {"chat_id": -1009, "text": "Hello"} == json.loads(driven.requests[1].body)
    assert Receipt("-1009:3", NOON) == driven.result


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (refused(401, "Unauthorized"), NeedsAuth),
        (refused(404, "Not Found"), NeedsAuth),
        (refused(403, "Forbidden: bot was blocked by the user"), Refused),
        (refused(403, "Forbidden: bot was kicked from the supergroup chat"), Refused),
        (refused(400, "Bad Request: chat not found"), Refused),
        (refused(400, "Bad Request: message to be replied not found"), Refused),
        (refused(409, "Conflict: something else"), Refused),
        (refused(500, "Internal Server Error"), Ambiguous),
        (
            Response(200, body=b'{"ok": false, "error_code": 403, "description": "no"}', at=AT),
            Refused,
        ),
        (Response(200, body=b'{"ok": true, "result": {"message_id": 3}}', at=AT), Ambiguous),
        (Response(200, body=b'{"ok": true, "result": true}', at=AT), Ambiguous),
        (TransportError("lost", sent=None), Ambiguous),
        (TransportError("no", sent=False), NotSent),
    ],
)
def test_every_refusal_is_told_from_doubt(response, kind):
    """Blocked by one person is no matter of the token; what may be there is never called unsent."""
    error = drive(telegram().send(outgoing()), [response]).error
    assert kind is type(error), repr(error)


def test_a_pause_is_as_long_as_the_body_says():
    """`retry_after` stands in the body, up to an hour; a header is believed where it does not."""
    for seconds, pause in ((7, 7), (100_000, 3600), (0, 1), ("x", 1)):
        response = refused(429, "Too Many Requests: retry after", retry_after=seconds)
        error = drive(telegram().send(outgoing()), [response]).error
        assert isinstance(error, RateLimited)
        assert timedelta(seconds=pause) == error.until - AT


def test_no_error_shows_the_token():
    """Not where Telegram repeats it, nor the URL that it stands in."""
    words = f"Not Found: /bot{TOKEN}/sendMessage, {WORD}"
    driven = drive(telegram().send(outgoing()), [refused(400, words)])
    shown = f"{driven.error} {driven.error!r} {driven.requests!r}"
    assert not any(secret in shown for secret in (TOKEN, WORD))
    assert "Not Found: /bot…/sendMessage" in shown


# Health.


@pytest.fixture(scope="module")
def transport() -> Iterator[Transport]:
    """Return what performs requests."""
    found = Transport()
    yield found
    found.close()


@pytest.fixture
def checked(platform, transport):
    """Return a function that says what a check on the local platform says."""

    def check(**given: object) -> object:
        bot = Telegram(**{"token": platform.token, **given}, base_url=platform.url)
        return run(bot.check(), transport.send)

    return check


@pytest.fixture
def platform() -> Iterator[TelegramPlatform]:
    """Return a bot on loopback."""
    with TelegramPlatform(clock=FakeClock()) as running:
        yield running


def test_health_of_a_bot_that_polls(platform, checked):
    """All is well; privacy mode is worth knowing. A webhook would be in the way."""
    health = checked()
    assert (True, ()) == (health.ok, health.problems)
    assert "privacy mode" in health.notes[0]
    platform.sees_everything = True
    assert () == checked().notes
    platform.webhook = "https://other.example/hook-with-a-word-in-it"
    (problem,) = checked().problems
    assert "a webhook is set at other.example" in problem
    assert "hook-with" not in problem


def test_health_of_a_bot_with_a_webhook(platform, checked):
    """It says what to call where none is set, what fails, and what is not told."""
    (problem,) = checked(secret_token=WORD).problems
    assert "call setWebhook" in problem
    platform.deliver_to(lambda *_: 500, secret=WORD)
    platform.customer("ola").write("Hi")
    (problem,) = checked(secret_token=WORD).problems
    assert problem.startswith("1 updates wait; shop.example last failed with")
    platform.waiting.clear()
    health = checked(secret_token=WORD)
    assert health.ok
    assert any("not told of message_reaction" in note for note in health.notes)
    platform.last_error, platform.allowed = "", frozenset(KINDS)
    everything = checked(secret_token=WORD)
    assert (True, 1) == (everything.ok, len(everything.notes)), "privacy mode alone is noted"
    platform.allowed = frozenset({"edited_message"})
    assert "not told of messages" in checked(secret_token=WORD).problems[0]


def test_health_of_a_token_that_is_not_known(platform, checked):
    """The problem says where to get another one."""
    health = checked(token="7777:another")
    assert not health.ok
    assert "@BotFather" in health.problems[0]


# On a desk.


def test_a_lost_answer_is_left_to_a_person(platform):
    """Posted or not, nobody can look: it is parked, later replies go out, and nothing is sent twice."""
    clock = FakeClock()
    channel = Telegram(platform.token, base_url=platform.url, wait=timedelta(0))
    with Desk(MemoryStore(clock), [channel], clock=clock) as desk:
        platform.customer("ola").write("Where is it?")
        desk.poll()
        (asked,) = desk.inbox(unanswered=True)
        platform.fault_next("response_lost", match="POST *")
        desk.reply(asked.id, "It comes tomorrow.", agent="anna")
        assert 1 == desk.deliver().unknown
        clock.advance(minutes=1)
        desk.deliver()
        desk.reply(asked.id, "By noon.", agent="anna")
        assert 1 == desk.deliver().sent
        states = [(row.state, bool(row.posting.hold)) for row in desk.outbox()]
    assert sorted([(RowState.unknown, True), (RowState.sent, False)]) == sorted(states)
    assert ["It comes tomorrow.", "By noon."] == [post.text for post in platform.posts]


def test_what_is_lost_before_the_commit_comes_again(platform):
    """An answer that never arrived confirms nothing; what arrived twice is one message."""
    channel = Telegram(platform.token, base_url=platform.url, wait=timedelta(0))
    clock = FakeClock()
    with Desk(MemoryStore(clock), [channel], clock=clock) as desk:
        platform.customer("ola").write("Hi")
        platform.fault_next("truncated", match="GET *")
        assert desk.poll().faults
        assert 1 == desk.poll().recorded
        assert 1 == len(platform.waiting), "the poll after the commit confirms"
        assert 0 == desk.poll().recorded
        assert [] == platform.waiting


def test_a_webhook_takes_over_from_polls(platform):
    """With a webhook set, updates come by it, and the seldom polls are quiet."""
    clock = FakeClock()
    channel = Telegram(platform.token, base_url=platform.url, secret_token=WORD, wait=timedelta(0))
    with Desk(MemoryStore(clock), [channel], clock=clock) as desk:
        platform.customer("ola").write("One")
        assert 1 == desk.poll().recorded

        def take(method, headers, query, body):
            return desk.receive("telegram", Webhook(method, body, clock(), headers, query)).status

        platform.deliver_to(take, secret=WORD)
        platform.customer("ola").write("Two")
        platform.deliver(copies=2)
        platform.redeliver()
        assert ((), 0) == (desk.poll().faults, desk.poll().recorded)
        (asked,) = desk.inbox(unanswered=True)
        texts = [stored.message.text for stored in desk.messages(asked.id)]
    assert ["One", "Two"] == texts


def test_a_group_is_answered_in_its_thread_and_a_person_in_private(platform):
    """In public the answer is tied to its question; in private it goes to the person's own chat."""
    platform.sees_everything, clock = True, FakeClock()
    channel = Telegram(platform.token, base_url=platform.url, wait=timedelta(0))
    with Desk(MemoryStore(clock), [channel], clock=clock) as desk:
        ola, group = platform.customer("ola"), platform.group("Customers", username="customers")
        question = ola.write("Where is it?", chat=group)
        desk.poll()
        (asked,) = desk.inbox(unanswered=True)
        assert Visibility.public is asked.visibility
        desk.reply(asked.id, "It comes tomorrow.", agent="anna")
        assert 1 == desk.deliver().sent
        desk.reply(asked.id, "To Main Street 1.", agent="anna", visibility="private")
        assert 1 == desk.deliver().failed, "she has never written to the bot"
        platform.private(ola)
        desk.reply(asked.id, "To your address.", agent="anna", visibility="private")
        assert 1 == desk.deliver().sent
    public, private = platform.posts
    assert (group, question.number) == (public.chat, public.call["reply_parameters"]["message_id"])
    assert (platform.private(ola), "To your address.") == (private.chat, private.text)


def test_edits_deletions_and_answers_of_a_business_reach_the_conversation(platform):
    """What the customer changes and takes back, and what the owner answers in the app."""
    clock = FakeClock()
    channel = Telegram(platform.token, base_url=platform.url, wait=timedelta(0))
    with Desk(MemoryStore(clock), [channel], clock=clock) as desk:
        ola, owner = platform.customer("ola"), platform.customer("anna")
        chat = platform.business("anna", ola)
        question = ola.write("Where is it?", chat=chat)
        desk.poll()
        (asked,) = desk.inbox(unanswered=True)
        ola.edit(question, "Where is my parcel?")
        clock.advance(minutes=1)
        owner.write("It comes tomorrow.", chat=chat)
        ola.delete(question)
        desk.poll()
        kinds = {type(recorded.event).__name__ for recorded in desk.history(asked.id)}
        assert {"Edited", "Told", "Deleted"} <= kinds
        assert () == tuple(desk.inbox(unanswered=True))


def test_the_longest_text_is_taken_by_both(platform, transport):
    """What just fits is sent whole, emoji and all; one more is refused before anything is asked."""
    channel = Telegram(platform.token, base_url=platform.url)
    platform.customer("ola").write("Hi")
    for text in ("a" * 4096, "👍" * 2048):
        run(channel.send(outgoing(text, reply_to=None)), transport.send)
        assert text == platform.posts[-1].text
    with pytest.raises(Unsupported, match="4098 characters"):
        run(channel.send(outgoing("👍" * 2049, reply_to=None)), transport.send)


# The reference of the Bot API.


class Reference:
    """Judge values by the published types, and make the smallest values of them."""

    def __init__(self):
        self.types = json.loads(SPEC.read_bytes())["types"]
        self.methods = json.loads(SPEC.read_bytes())["methods"]

    def faults(self, value: object, names: list[str], where: str) -> Iterator[str]:
        """Yield what is wrong with a value that must be of one of these types."""
        if not any(not [*self._faults(value, name, where)] for name in names):
            yield from self._faults(value, names[0], where)

    def _faults(self, value: object, name: str, where: str) -> Iterator[str]:
        plain = {"Integer": int, "String": str, "Boolean": bool, "Float": float | int}
        if name.startswith("Array of "):
            if not isinstance(value, list):
                yield f"{where} is no list"
                return
            for index, each in enumerate(value):
                yield from self._faults(each, name.removeprefix("Array of "), f"{where}.{index}")
        elif name in plain:
            if not isinstance(value, plain[name]) or (name == "Integer" and value is True):
                yield f"{where} is {value!r}, no {name}"
        elif subtypes := self.types[name].get("subtypes"):
            if all([*self._faults(value, each, where)] for each in subtypes):
                yield f"{where} is no {name}"
        elif not isinstance(value, dict):
            yield f"{where} is no {name}"
        else:
            yield from self.fields(value, self.types[name].get("fields", []), where)

    def fields(self, value: dict, fields: list[dict], where: str) -> Iterator[str]:
        """Yield what is wrong with the fields of an object, or with the parameters of a method."""
        known = {field["name"]: field for field in fields}
        yield from (
            f"{where} lacks {n}" for n, f in known.items() if f["required"] and n not in value
        )
        yield from (f"{where} has {name}, which is not there" for name in value.keys() - known)
        for name in value.keys() & known:
            yield from self.faults(value[name], known[name]["types"], f"{where}.{name}")

    def smallest(self, name: str, depth: int = 0) -> object:
        """Return the smallest value of a type."""
        if name.startswith("Array of "):
            inner = name.removeprefix("Array of ")
            return [] if depth > 3 else [self.smallest(inner, depth + 1)]
        plain = {"Integer": EPOCH, "String": "x", "Boolean": True, "Float": 1.5}
        if name in plain:
            return plain[name]
        if name == "Chat":
            return dict(PRIVATE)
        kind = self.types[name]
        if "subtypes" in kind:
            return self.smallest(kind["subtypes"][0], depth + 1)
        required = [field for field in kind.get("fields", []) if field["required"]]
        return {field["name"]: self.smallest(field["types"][0], depth + 1) for field in required}


@specified
def test_every_field_of_a_message_is_known():
    """A message with any one field of the reference is read, or passed over: none is unreadable."""
    reference = Reference()
    facts = set()
    for field in reference.types["Message"]["fields"]:
        value = reference.smallest(field["types"][0])
        for text in ("Hi", None):
            content = said(text)
            content.setdefault(field["name"], value)
            page = read(update(message=content))
            if text or field["name"] not in {*said(), *ABOUT_ITSELF}:
                assert () == page.unreadable, (field["name"], page.unreadable)
            if page.facts and text is None:
                facts.add(field["name"])
    listed = {
        "photo",
        "video",
        "voice",
        "document",
        "sticker",
        "location",
        "contact",
        "text",
        "story",
    }
    assert listed <= facts
    assert not facts & {"new_chat_members", "pinned_message", "migrate_to_chat_id"}


#: What says nothing by itself: the reference shows it beside words or files.
ABOUT_ITSELF = {
    "author_signature",
    "business_connection_id",
    "caption",
    "edit_date",
    "entities",
    "forward_origin",
    "is_automatic_forward",
    "is_topic_message",
    "media_group_id",
    "message_thread_id",
    "reply_to_message",
    "sender_chat",
    "via_bot",
}


@specified
def test_every_kind_of_update_is_read_or_kept():
    """What is asked for is read; what is not is kept. None raises anything else."""
    reference = Reference()
    for field in reference.types["Update"]["fields"][1:]:
        page = read(update(**{field["name"]: reference.smallest(field["types"][0])}))
        assert 1 >= len(page.facts) + len(page.unreadable), field["name"]


@specified
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"thread": "-1001/5", "reply_to": ("message", "-1001:7"), "visibility": Visibility.public},
        {"thread": "4711@Bc1", "reply_to": ("message", "4711:12@Bc1")},
        {"card": CARD},
        {"quick_replies": ("Yes", "No")},
        *(
            {"attachments": (attrs.evolve(FILE, kind=kind),)}
            for kind in ("image", "video", "audio", "file")
        ),
    ],
)
def test_requests_are_as_in_the_reference(changes):
    """Every method and every field of what is sent is one of the Bot API's, of the right type."""
    reference = Reference()
    method, call = asked_for(outgoing(**changes))
    fields = reference.methods[method]["fields"]
    assert [] == [*reference.fields(call, fields, method)]


@specified
def test_polls_are_as_in_the_reference():
    """Every kind that is asked for exists, and every parameter is one of `getUpdates`."""
    reference = Reference()
    (request,) = drive(telegram().poll("4"), [Response(503, at=AT)]).requests
    query = parse_qs(urlsplit(request.url).query)
    known = {field["name"] for field in reference.methods["getUpdates"]["fields"]}
    assert query.keys() <= known
    kinds = {field["name"] for field in reference.types["Update"]["fields"]}
    assert {*json.loads(query["allowed_updates"][0])} <= kinds


@specified
def test_the_local_platform_speaks_as_in_the_reference(platform):
    """What the double tells the bot has the published form too."""
    reference = Reference()
    platform.allowed = frozenset(
        {
            "message",
            "edited_message",
            "message_reaction",
            "business_message",
            "deleted_business_messages",
        }
    )
    ola, group = platform.customer("ola"), platform.group("Customers", username="customers")
    ola.edit(ola.write("Hi"), "Ho")
    ola.react(ola.write("@shop_bot Hi", chat=group), "👍")
    ola.delete(ola.write("Hi", chat=platform.business("anna", ola)))
    told = [each for _, _, each in platform.waiting]
    assert 6 == len(told)
    fields = reference.types["Update"]["fields"]
    assert [] == [fault for each in told for fault in reference.fields(each, fields, "update")]


# The contract.


class TestTelegram(ChannelContract):
    """Prove the contract of every channel."""

    signs_body = False

    @pytest.fixture
    def channel(self):
        """Return the bot, which takes webhooks and may be polled."""
        return telegram()

    @pytest.fixture
    def sign(self):
        """Return the word that every webhook carries: Telegram signs no body."""
        return lambda _: SIGNED

    @pytest.fixture
    def inbound_cases(self):
        """Return a webhook, and a page of every kind of update."""
        gone = {"business_connection_id": "Bc1", "chat": PRIVATE, "message_ids": [12]}
        reaction = {"chat": PRIVATE, "message_id": 13, "user": OLA, "date": EPOCH}
        reaction |= {"old_reaction": [], "new_reaction": [{"type": "emoji", "emoji": "👍"}]}
        photo = said(
            None, 14, caption="Broken", photo=[{"file_id": "AgAC"}], reply_to_message=said()
        )
        shown = only(message=photo)
        updates = [
            update(1, message=said()),
            update(1, message=photo),
            update(2, edited_message=said("Ho", edit_date=EPOCH)),
            update(3, message_reaction=reaction),
            update(
                4,
                business_message=business("Hello", {"id": 99, "is_bot": False, "first_name": "A"}),
            ),
            update(5, deleted_business_messages=gone),
        ]
        answer = only(business_message=updates[4]["business_message"])
        raw = json.dumps(updates[4], separators=(",", ":"))
        facts = (
            Inbound(written()),
            shown,
            Edit("telegram", "message", "4711:12", "2", "Ho", NOON),
            Reaction("telegram", "message", "4711:13", OLAS, "👍", NOON),
            attrs.evolve(answer, message=attrs.evolve(answer.message, raw=raw)),
            Removal("telegram", "message", "4711:12@Bc1", AT, RemovedBy.unknown),
        )
        body = json.dumps({"ok": True, "result": updates}).encode()
        return [
            WebhookCase("a message", json.dumps(updates[0]).encode(), facts[:1]),
            PageCase("every kind", (Response(200, body=body),), facts, items=("result",)),
        ]

    @pytest.fixture
    def send_cases(self):
        """Return a text, a card, and what Telegram refuses in its own way."""
        taken = (took(),), Receipt("4711:13", NOON)
        text = posting(text="Hello")
        markup = {"inline_keyboard": [[{"text": "Buy", "url": CARD.url}]]}
        card = posting(
            "sendPhoto", photo=CARD.image, caption="This:\nLamp\nEUR 49.90", reply_markup=markup
        )
        file = posting("sendPhoto", photo=FILE.url, caption="Hello")
        keyboard = {"keyboard": [[{"text": "Yes"}]], "one_time_keyboard": True}
        choice = posting(text="Hello", reply_markup={**keyboard, "resize_keyboard": True})
        group = {"thread": "-1001", "reply_to": ("message", "-1001:7")}
        public = posting(text="Hello", chat_id=-1001, reply_parameters={"message_id": 7})
        there = {"id": -1001, "type": "supergroup", "title": "Customers", "username": "customers"}
        seen = Receipt("-1001:13", NOON, "https://t.me/customers/13")
        blocked = refused(403, "Forbidden: bot was blocked by the user")
        group["visibility"] = Visibility.public
        return [
            SendCase("a text", outgoing(), (text,), *taken),
            SendCase("a card", outgoing("This:", card=CARD), (card,), *taken),
            SendCase("a file", outgoing(attachments=(FILE,)), (file,), *taken),
            SendCase("a choice", outgoing(quick_replies=("Yes",)), (choice,), *taken),
            SendCase("in a group", outgoing(**group), (public,), (took(13, there),), seen),
            SendCase("blocked", outgoing(), (text,), (blocked,), Refused),
            SendCase(
                "a bad token", outgoing(), (text,), (refused(401, "Unauthorized"),), NeedsAuth
            ),
            SendCase("no such bot", outgoing(), (text,), (refused(404, "Not Found"),), NeedsAuth),
        ]


def test_a_delivery_has_an_answer():
    """The platform is answered once everything is committed."""
    found = telegram().receive(hook(json.dumps(update(message=said())).encode()))
    assert isinstance(found, Delivery)
    assert NOON == found.response.at
