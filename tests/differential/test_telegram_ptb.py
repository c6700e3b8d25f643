"""PyPI's `python-telegram-bot` reads what the local Telegram tells, and builds what our channel sends.

Not part of `make test`: `make e2e` installs the library, and runs this.
"""

import asyncio
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from supportflow.channels.telegram import Telegram
from supportflow.flow import run
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    Edit,
    Inbound,
    Outgoing,
    Reaction,
    Removal,
    Visibility,
)
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.telegram import TelegramPlatform
from supportflow.transport import Transport

ptb = pytest.importorskip(
    "telegram", reason="`make e2e` installs python-telegram-bot, to compare with"
)
ALL = (
    "message",
    "edited_message",
    "message_reaction",
    "business_message",
    "deleted_business_messages",
)


@pytest.fixture
def platform():
    """Return a bot that may see everything."""
    with TelegramPlatform(clock=FakeClock(), sees_everything=True) as running:
        running.allowed = frozenset(ALL)
        yield running


@pytest.fixture
def do():
    """Return a way to run flows."""
    with closing(Transport()) as transport:
        yield lambda flow: run(flow, transport.send)


@pytest.fixture
def channel(platform):
    """Return our channel of the bot."""
    return Telegram(platform.token, base_url=platform.url, wait=timedelta(0))


def theirs(platform: TelegramPlatform, ask) -> object:
    """Let the library's bot do something."""

    async def whole():
        async with ptb.Bot(platform.token, base_url=f"{platform.url}/bot") as bot:
            return await ask(bot)

    return asyncio.run(whole())


def test_it_reads_the_same_updates(platform, do, channel):
    """Ids, words, people, times, chats, reactions and deletions: as our facts say."""
    ola, group = platform.customer("ola"), platform.group("Customers", username="customers")
    asked = ola.write("Where is it?")
    ola.edit(asked, "Where is my parcel?")
    ola.react(
        ola.write(
            "Look",
            chat=group,
            photo=[{"file_id": "x", "file_unique_id": "y", "width": 9, "height": 9}],
        ),
        "👍",
    )
    ola.delete(ola.write("Hi", chat=platform.business("anna", ola)))
    facts = do(channel.poll(None)).facts
    updates = theirs(platform, lambda bot: bot.get_updates(allowed_updates=ALL))
    assert len(facts) == len(updates) == 6
    seen = [ptb.Update.de_json(json.loads(json.dumps(u[2])), None) for u in platform.waiting]
    assert [u.update_id for u in seen] == [u.update_id for u in updates]
    for fact, update in zip(facts, updates, strict=True):
        match fact:
            case Inbound(message=message):
                shown = update.effective_message
                chat = f"{shown.chat.id}:{shown.message_id}"
                if shown.business_connection_id:
                    chat += f"@{shown.business_connection_id}"
                assert (chat, shown.text or shown.caption) == (message.id, message.text)
                assert (shown.date, str(shown.from_user.id)) == (message.at, message.author.id)
                assert shown.link == message.permalink
                assert [p.file_id for p in shown.photo[-1:]] == [
                    a.url.rpartition("=")[2] for a in message.attachments
                ]
            case Edit():
                shown = update.edited_message
                assert (shown.text, shown.edit_date) == (fact.text, fact.at)
            case Reaction():
                shown = update.message_reaction
                assert "".join(r.emoji for r in shown.new_reaction) == fact.emoji
                assert (shown.date, str(shown.user.id)) == (fact.at, fact.author.id)
            case Removal():
                shown = update.deleted_business_messages
                assert (
                    f"{shown.chat.id}:{shown.message_ids[0]}@{shown.business_connection_id}"
                    == fact.id
                )


def outgoing(chat: int, number: int, **fields) -> Outgoing:
    """Return an answer to a message in a chat."""
    base = Outgoing(
        "1",
        "mark",
        "We see it.",
        Author(str(chat)),
        str(chat),
        ("message", f"{chat}:{number}"),
        Visibility.private,
        AgentKind.person,
        datetime(2026, 1, 5, tzinfo=UTC),
    )
    return attrs.evolve(base, **fields)


def called(platform: TelegramPlatform) -> list[dict]:
    """Return what was asked for, whether it came as JSON or as a form."""

    def plain(value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return value

    return [
        {key: plain(value) for key, value in post.call.items() if key != "order"}
        for post in platform.posts
    ]


CARD = Card("Lamp", "https://shop.example/lamp", "EUR 49.90", "https://shop.example/lamp.jpg")


def test_it_builds_the_same_calls(platform, do, channel):
    """A text, a choice, a file and a card: every field of ours is the library's."""
    asked = platform.customer("ola").write("Hi")
    chat, number = platform.customer("ola").id, asked.number
    file = Attachment("file", "https://shop.example/bill.pdf")
    do(channel.send(outgoing(chat, number)))
    do(channel.send(outgoing(chat, number, quick_replies=("Yes", "No"))))
    do(channel.send(outgoing(chat, number, attachments=(file,))))
    do(channel.send(outgoing(chat, number, card=CARD)))
    ours = called(platform)

    async def send(bot):
        reply = ptb.ReplyParameters(number, allow_sending_without_reply=True)
        keys = [["Yes"], ["No"]]
        keyboard = ptb.ReplyKeyboardMarkup(keys, one_time_keyboard=True, resize_keyboard=True)
        button = ptb.InlineKeyboardMarkup([[ptb.InlineKeyboardButton("Buy", url=CARD.url)]])
        words, same = "We see it.\nLamp\nEUR 49.90", {"reply_parameters": reply}
        await bot.send_message(chat, "We see it.", **same)
        await bot.send_message(chat, "We see it.", reply_markup=keyboard, **same)
        await bot.send_document(chat, file.url, caption="We see it.", **same)
        await bot.send_photo(chat, CARD.image, caption=words, reply_markup=button, **same)

    theirs(platform, send)
    assert ours == called(platform)[4:]


def test_it_takes_refusals_for_the_same(platform, do, channel, monkeypatch):
    """Blocked, moved, too fast, and a token that is not known: its errors match ours."""
    from telegram import error

    asked = platform.customer("ola").write("Hi")
    chat = platform.customer("ola").id
    platform.customer("ola").block()
    with pytest.raises(error.Forbidden):
        theirs(platform, lambda bot: bot.send_message(chat, "x"))
    platform.customer("ola").block(lift=True)
    group = platform.group("Few", kind="group")
    moved = platform.upgrade(group)
    with pytest.raises(error.ChatMigrated) as told:
        theirs(platform, lambda bot: bot.send_message(group.about["id"], "x"))
    assert moved.about["id"] == told.value.new_chat_id
    platform.a_minute = 1
    do(channel.send(outgoing(chat, asked.number)))
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    with pytest.raises(error.RetryAfter) as wait:
        theirs(platform, lambda bot: bot.send_message(chat, "x"))
    assert timedelta(seconds=61) == wait.value.retry_after
    platform.webhook = "https://shop.example/"
    with pytest.raises(error.Conflict):
        theirs(platform, lambda bot: bot.get_updates())
    platform.token = "7777:another"

    async def known():
        async with ptb.Bot("7777:token-for-tests", base_url=f"{platform.url}/bot"):
            raise AssertionError("the token is not known any more")

    with pytest.raises(error.InvalidToken):
        asyncio.run(known())
