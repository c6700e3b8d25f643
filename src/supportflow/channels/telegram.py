"""Answer the people who write to a Telegram bot: in private chats, groups and business accounts.

In: long polls, or webhooks; Telegram allows one of the two at a time. Asking for updates from an
offset confirms everything below it, so that the cursor is the last update that was committed, and
the next poll asks for the one after it: what is lost on the way comes again. A cursor from before
a long silence, after which Telegram begins anew with another number, does no harm: an offset in
the future is ignored (`get` of https://github.com/tdlib/td/blob/master/tddb/td/db/TQueue.cpp), and
the cursor follows whatever came.

Out: one call a part. Telegram takes no key, shows a bot no message of its own, and lets it read no
history: what may have been sent is left to a person. The token stands in the path of every URL:
no request shows its path, and no error repeats it.

Messages are known by chat and number, for example `"4711:12"`; those of a business account by its
connection as well. Whoever writes in a group's own name is staff, and so are those that `staff`
names. The language of somebody's app says little of their words, and is left out.

Sources: https://core.telegram.org/bots/api (10.1) and https://core.telegram.org/bots/faq.
(Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlencode, urlsplit

import attrs

from supportflow.channels import (
    Ambiguous,
    Delivery,
    Health,
    NeedsAuth,
    NotSent,
    Page,
    RateLimited,
    Reconcile,
    Refused,
    SendError,
    Traits,
)
from supportflow.channels.arguments import named
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import one_by_one
from supportflow.channels.setup import Need, Setup
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    TransportError,
    Unsupported,
    WebhookRejected,
)
from supportflow.flow import Flow
from supportflow.http import MAX_BODY, Request, Response, Webhook, read_json, retry_at
from supportflow.model import (
    AUTOMATIC,
    NATIVE,
    Attachment,
    Author,
    ChannelState,
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Removal,
    RemovedBy,
    Secret,
    Visibility,
)
from supportflow.signing import usable, verify_telegram
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.limits import utf16
from supportflow.text.moments import from_epoch

__all__ = ["Telegram"]

#: "1-4096 characters after entities parsing" and "0-1024" for captions. What a character is, is
#: not said; offsets count UTF-16 units, which are never fewer than any other reading of it.
_MAX_TEXT, _MAX_CAPTION = 4096, 1024
_MAX_URL = 2048
#: The most updates that one poll may ask for.
_PAGE = 100
#: The most sizes, deleted messages and the like of one update that are read. Ours.
_MAX_LIST = 1000
#: A long poll must end before the transport's patience does (30 seconds).
_LONGEST_WAIT = timedelta(seconds=25)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)
#: No update is older than Telegram; the end is far from any clock that is right.
_FIRST, _LAST = 1_376_000_000, 7_258_118_400
#: Identifiers have "at most 52 significant bits".
_MAX_ID = 2**53
#: The time of an answer that bears none; the transports' always do.
_UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)
_PROOF = "X-Telegram-Bot-Api-Secret-Token"

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,256}")
_CHANNEL = re.compile(r"@[A-Za-z0-9_]{4,32}|-[0-9]{1,19}")
_USERNAME = re.compile(r"[A-Za-z0-9_]{4,32}")
_CURSOR = re.compile(r"[0-9]{1,16}")
_PLACE = re.compile(r"(-?[0-9]{1,19})(?:/([0-9]{1,19}))?(?:@([!-~]{1,256}))?")
_MESSAGE = re.compile(r"-?[0-9]{1,19}:([0-9]{1,19})(?:@[!-~]{1,256})?")

_POWERS = ("attachments", "card", "quick_replies")

_TRAITS = Traits(
    "telegram",
    max_text=_MAX_TEXT,
    counting="utf16",
    reconcile=Reconcile.blind,
    hold_for=timedelta(0),
    visibilities=("private", "public"),
    powers=_POWERS,
    inbound=("webhook", "poll"),
    poll_every=_SHORTEST,
    signature=_PROOF,
    rates={
        "one chat": "about 1 message a second",
        "one group": "20 messages a minute",
        "all chats": "about 30 messages a second",
    },
    cost={"message": "free; only broadcasts above 30 messages a second are sold"},
    unsupported={
        "announcement": "only with announce_in, the channel that announcements go to",
        "template": "send the words: there is no window",
        "looking for lost replies": "a bot cannot read its own messages: a person must look",
        "listening": "a bot sees the chats it is in, and cannot search: add it to your group",
        "deletions": "told of business accounts alone; elsewhere a message stays as first seen",
        "delivery and read receipts": "not told",
        "staff's answers": "in groups those of `staff` and of anonymous admins; in private none",
        "writing first": "somebody must have written to the bot",
        "a channel's direct messages": "they go into quarantine; offer a chat with the bot",
        "several files": "send each with a part of its own",
    },
)

#: What is asked for; reactions come only where they are named, and to admins of a group alone.
_KINDS = (
    "message",
    "edited_message",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
)
_PLAIN = frozenset({"message_id", "from", "chat", "date", "text"})
#: What a message holds beside its words and files; one with nothing else is about the chat
#: itself, such as somebody's joining, and says nothing to us.
_FILES: Mapping[str, str] = {
    "animation": "video",
    "video": "video",
    "video_note": "video",
    "audio": "audio",
    "voice": "audio",
    "document": "file",
    "sticker": "sticker",
}
_LISTED = (
    "venue",
    "location",
    "contact",
    "poll",
    "dice",
    "story",
    "paid_media",
    "checklist",
    "game",
    "invoice",
    "giveaway",
    "rich_message",
)
#: In words: the fields by which they are named, whichever of them there are.
_NAMED = ("title", "address", "first_name", "last_name", "phone_number", "question", "emoji")
#: How a file of each kind is sent, and the field that takes its address.
_METHODS: Mapping[str, tuple[str, str]] = {
    "image": ("sendPhoto", "photo"),
    "video": ("sendVideo", "video"),
    "audio": ("sendAudio", "audio"),
    "file": ("sendDocument", "document"),
}


# -- configuration


def _token(value: Secret | str | None) -> Secret:
    if not value:
        raise InvalidValue("the bot's token is missing; @BotFather shows it")
    found = Secret(value)
    if not _TOKEN.fullmatch(found.reveal()):
        raise InvalidValue("the bot's token is not as in '123456:ABC-DEF'; copy it from @BotFather")
    return found


def _secrets(value: Secret | str | Iterable[Secret | str] | None) -> tuple[Secret, ...]:
    if value is None:
        return ()
    several = (value,) if isinstance(value, Secret | str) else tuple(value)
    found = usable([Secret(each) for each in several])
    if not all(_WORD.fullmatch(each.reveal()) for each in found):
        raise InvalidValue("secret_token may have letters, digits, _ and -, 1 to 256 of them")
    return found


def _staff(value: Iterable[str | int]) -> frozenset[str]:
    if isinstance(value, str):
        raise InvalidValue(f"staff is {value!r:.60}; give the ids of people as a list")
    return frozenset(map(str, value))


def _base(value: str) -> str:
    parts = urlsplit(str(value))
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.username:
        raise InvalidValue(f"base_url leads to {parts.hostname!r}; give it as in 'https://host'")
    return str(value).rstrip("/")


def _announced(_: object, __: object, value: str | None) -> None:
    if value is not None and (not isinstance(value, str) or not _CHANNEL.fullmatch(value)):
        raise InvalidValue(f"announce_in is {value!r:.60}; give a channel as in '@shop_news'")


def _wait(_: object, __: object, value: timedelta) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= _LONGEST_WAIT:
        raise InvalidValue(f"wait is {value!r:.60}; give 0 to {_LONGEST_WAIT.seconds} seconds")


# -- in


def _number(item: Mapping[str, Any], name: str) -> int:
    value = item.get(name)
    if type(value) is not int or not -_MAX_ID < value < _MAX_ID:
        raise PayloadError(f"{name} is {value!r:.60}; it must be a whole number")
    return value


def _moment(item: Mapping[str, Any], name: str) -> datetime:
    if not _FIRST <= (value := _number(item, name)) < _LAST:
        raise PayloadError(f"{name} is {value}, which is no time of an update")
    return from_epoch(value)


def _several(item: Mapping[str, Any], name: str) -> list[Any]:
    found = item.get(name)
    if not isinstance(found, list) or len(found) > _MAX_LIST:
        raise PayloadError(f"{name} is no list of at most {_MAX_LIST}")
    return found


@attrs.frozen
class _Place:
    """Name a chat: perhaps a topic in it, or the connection to a business account."""

    chat: int
    topic: int | None = None
    connection: str = ""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        chat = mapping(content.get("chat"), "chat")
        if chat.get("type") not in ("private", "group", "supergroup"):
            raise PayloadError(f"the chat is {chat.get('type')!r:.60}, where nobody is answered")
        if chat.get("is_direct_messages") is True:
            raise PayloadError("the chat holds a channel's direct messages, which are not answered")
        topic = content.get("is_topic_message") is True and "message_thread_id" in content
        thread = _number(content, "message_thread_id") if topic else None
        connection = perhaps(content, "business_connection_id")
        place = cls(_number(chat, "id"), thread, connection)
        if place.private is not (chat["type"] == "private") or not _PLACE.fullmatch(str(place)):
            raise PayloadError(f"the chat {str(place)!r:.60} is not as documented")
        return place

    @classmethod
    def read(cls, thread: str) -> Self:
        found = _PLACE.fullmatch(thread)
        if found is None:
            raise Unsupported(f"thread {thread!r:.60} is no chat on Telegram")
        return cls(int(found[1]), int(found[2]) if found[2] else None, found[3] or "")

    @property
    def private(self) -> bool:
        """Users have positive ids, groups negative ones."""
        return self.chat > 0

    @property
    def visibility(self) -> Visibility:
        return Visibility.private if self.private else Visibility.public

    def __str__(self) -> str:
        topic = "" if self.topic is None else f"/{self.topic}"
        return f"{self.chat}{topic}{'@' if self.connection else ''}{self.connection}"

    def name(self, number: int) -> str:
        """Return what a message is known by."""
        return f"{self.chat}:{number}{'@' if self.connection else ''}{self.connection}"


def _author(content: Mapping[str, Any]) -> Author:
    """Return who wrote: a person, or a chat in whose name somebody did."""
    shown = content.get("sender_chat") or content.get("from")
    who = mapping(shown, "sender_chat or from")
    names = [perhaps(who, name) for name in ("title", "first_name", "last_name")]
    return Author(str(_number(who, "id")), " ".join(filter(None, names)), perhaps(who, "username"))


def _asked(content: Mapping[str, Any]) -> str | None:
    """Return who wrote what a message answers; None if that was a bot, or is not told."""
    replied = mapping(content.get("reply_to_message") or {}, "reply_to_message")
    sender = mapping(replied.get("from") or {}, "from")
    return None if not sender or sender.get("is_bot") is True else _author(replied).id


def _permalink(chat: Mapping[str, Any], number: int) -> str | None:
    """Return where a message of a group can be seen: https://core.telegram.org/api/links."""
    username, name = perhaps(chat, "username"), str(chat["id"])
    if chat["type"] != "supergroup":
        return None
    if _USERNAME.fullmatch(username):
        return f"https://t.me/{username}/{number}"
    return f"https://t.me/c/{name[4:]}/{number}" if name.startswith("-100") else None


@attrs.frozen
class _Reader:
    """Read updates as facts of a channel.

    Args:
        channel: Its name.
        base_url: Where files are asked for.
        staff: Whose words in groups are ours.
        now: When the update came; None if that is not known any more.
    """

    channel: str
    base_url: str
    staff: frozenset[str]
    now: datetime | None

    def facts(self, update: dict[str, Any]) -> Iterable[Fact]:
        _number(update, "update_id")
        for kind, read in _READ.items():
            if kind in update:
                return read(self, update, mapping(update[kind], kind))
        kinds = ", ".join(sorted(update.keys() - {"update_id"}))
        raise PayloadError(f"an update of a kind that is not asked for: {kinds:.200}")

    def nothing(self, _update: dict[str, Any], _content: dict[str, Any]) -> Iterable[Fact]:
        return ()

    def message(self, update: dict[str, Any], content: dict[str, Any]) -> Iterable[Fact]:
        message = self._message(update, content)
        if message is None:
            return ()
        if not self._is_ours(message, content):
            return (Inbound(message),)
        if content.get("business_connection_id"):
            # Greetings and away messages, but also what was only scheduled: clocks go on.
            agent = AUTOMATIC if content.get("is_from_offline") is True else NATIVE
            return (Outbound(message, str(content["chat"]["id"]), agent=agent),)
        return (Outbound(message, _asked(content)),)

    def edited(self, update: dict[str, Any], content: dict[str, Any]) -> Iterable[Fact]:
        """Report new words; a place that moves has none."""
        message = self._message(update, content)
        if message is None or not message.text:
            return ()
        at = _moment(content, "edit_date")
        return (Edit(*message.key, str(update["update_id"]), message.text, at),)

    def reaction(self, _update: dict[str, Any], content: dict[str, Any]) -> Iterable[Fact]:
        place, number = _Place.of(content), _number(content, "message_id")
        who = {"sender_chat": content.get("actor_chat"), "from": content.get("user")}
        shown = [mapping(each, "a reaction") for each in _several(content, "new_reaction")]
        emoji = "".join(perhaps(each, "emoji") or f":{word(each, 'type')}:" for each in shown)
        at = _moment(content, "date")
        return (Reaction(self.channel, "message", place.name(number), _author(who), emoji, at),)

    def deleted(self, _update: dict[str, Any], content: dict[str, Any]) -> Iterable[Fact]:
        """Report what is gone; neither by whom nor when is told."""
        place, at = _Place.of(content), self.now
        if at is None:
            raise PayloadError("when these messages were deleted is not known any more")
        numbers = [_number({"id": each}, "id") for each in _several(content, "message_ids")]
        by = RemovedBy.unknown
        return [Removal(self.channel, "message", place.name(n), at, by) for n in numbers]

    def _is_ours(self, message: Message, content: Mapping[str, Any]) -> bool:
        """Say whether the shop itself speaks: from its account, or in its group."""
        chat = str(content["chat"]["id"])
        if content.get("business_connection_id"):
            return message.author.id != chat
        in_group = message.visibility is Visibility.public
        return in_group and (message.author.id == chat or message.author.id in self.staff)

    def _message(self, update: dict[str, Any], content: dict[str, Any]) -> Message | None:
        """Return a message; None if it has no words, or they are a bot's or the channel's own."""
        place, number = _Place.of(content), _number(content, "message_id")
        sender = mapping(content.get("from") or {}, "from")
        copied = content.get("is_automatic_forward") is True
        if copied or ("sender_chat" not in content and sender.get("is_bot") is True):
            return None
        text = perhaps(content, "text") or perhaps(content, "caption")
        attachments = tuple(self._attachments(content))
        at, author = _moment(content, "date"), _author(content)
        if not text and not attachments:
            if content.keys() <= _ABOUT:
                raise PayloadError(f"a message without words or files: {sorted(content)}"[:200])
            return None
        replied = mapping(content.get("reply_to_message") or {}, "reply_to_message")
        parent = place.name(_number(replied, "message_id")) if replied else None
        entities = mappings(content, "entities")[:1]
        command = any(e.get("type") == "bot_command" and e.get("offset") == 0 for e in entities)
        return Message(
            self.channel,
            "message",
            place.name(number),
            author,
            text,
            at,
            str(place),
            parent,
            place.visibility,
            attachments=attachments,
            permalink=_permalink(content["chat"], number),
            tags=("command",) if command else (),
            raw=None if content.keys() <= _PLAIN else compact(update),
        )

    def _attachments(self, content: Mapping[str, Any]) -> Iterator[Attachment]:
        """List files and the like. A file's address is where its path can be asked for."""
        if "photo" in content:
            sizes = [mapping(each, "a photo") for each in _several(content, "photo")]
            yield from (self._file("image", each) for each in sizes[-1:])  # the largest is last
        for name, kind in _FILES.items():
            # "For backward compatibility", an animation is there as a document too.
            if name in content and not (name == "document" and "animation" in content):
                yield self._file(kind, mapping(content[name], name))
        for name in _LISTED:
            if name in content and not (name == "location" and "venue" in content):
                item = mapping(content[name], name)
                yield Attachment(
                    name, "", " ".join(filter(None, (perhaps(item, n) for n in _NAMED)))
                )

    def _file(self, kind: str, item: Mapping[str, Any]) -> Attachment:
        url = f"{self.base_url}/getFile?{urlencode({'file_id': word(item, 'file_id')}, errors='backslashreplace')}"
        return Attachment(kind, url, perhaps(item, "file_name") or perhaps(item, "emoji"))


#: What any message may say of itself. With nothing else it is one of a kind that is not known.
_ABOUT = _PLAIN | {
    "author_signature",
    "business_connection_id",
    "caption",
    "edit_date",
    "entities",
    "forward_origin",
    "is_topic_message",
    "media_group_id",
    "message_thread_id",
    "reply_to_message",
    "sender_chat",
    "via_bot",
}
_READ: Mapping[str, Callable[[_Reader, dict[str, Any], dict[str, Any]], Iterable[Fact]]] = {
    "message": _Reader.message,
    "edited_message": _Reader.edited,
    "business_message": _Reader.message,
    "edited_business_message": _Reader.edited,
    "message_reaction": _Reader.reaction,
    "deleted_business_messages": _Reader.deleted,
    "business_connection": _Reader.nothing,
}


# -- out


class _Moved(Refused):
    """Say that a group has become a supergroup, which has another id."""

    def __init__(self, message: str, chat: int) -> None:
        self.chat = chat
        super().__init__(message)


def _fits(text: str, most: int, instead: str) -> str:
    if not text.strip() or utf16(text) > most:
        raise Unsupported(f"{utf16(text)} characters; Telegram takes 1 to {most}: {instead}")
    return text


def _https(url: str, what: str) -> str:
    if not url.startswith("https://") or len(url) > _MAX_URL:
        raise Unsupported(f"{what} is {url!r:.60}; Telegram is given an https URL")
    return url


def _content(message: Outgoing) -> tuple[str, dict[str, Any]]:
    """Return the method that sends a message, and what it shows."""
    text, file = message.text, None
    if message.card is not None:
        text = "\n".join(filter(None, (text, message.card.title, message.card.subtitle)))
        file = Attachment("image", message.card.image) if message.card.image else None
    if len(message.attachments) + (file is not None) > 1:
        raise Unsupported("Telegram shows one file beside a text: give each a part of its own")
    file = next(iter(message.attachments), file)
    if file is None:
        return "sendMessage", {"text": _fits(text, _MAX_TEXT, "send it as several parts")}
    if file.kind not in _METHODS:
        raise Unsupported(f"a file of kind {file.kind!r:.60}; Telegram takes {', '.join(_METHODS)}")
    method, field = _METHODS[file.kind]
    caption = _fits(text, _MAX_CAPTION, "give the file a short part of its own")
    return method, {field: _https(file.url, "the file's address"), "caption": caption}


def _markup(message: Outgoing, place: _Place | None) -> dict[str, Any]:
    """Return the buttons beneath a message: of a card, or of a keyboard whose words are sent."""
    if message.card is not None and message.quick_replies:
        raise Unsupported("Telegram shows a card's button or quick replies: send two parts")
    if message.card is not None:
        button = {"text": message.card.button, "url": _https(message.card.url, "the card's url")}
        return {"reply_markup": {"inline_keyboard": [[button]]}}
    if not message.quick_replies:
        return {}
    if place is None or place.connection:
        raise Unsupported("channels and business accounts show no keyboards: ask in words")
    rows = [[{"text": _fits(each, _MAX_TEXT, "shorten it")}] for each in message.quick_replies]
    keyboard = {"keyboard": rows, "one_time_keyboard": True, "resize_keyboard": True}
    return {"reply_markup": keyboard if place.private else {**keyboard, "selective": True}}


@attrs.frozen
class Telegram:
    """Serve one bot on Telegram.

    Args:
        token: The bot's token, from @BotFather.
        secret_token: The word that webhooks carry (`setWebhook`); several while it changes.
            Without it no webhook is believed, and the bot polls.
        announce_in: The channel or group that announcements go to, for example `"@shop_news"`;
            the bot must be allowed to post there.
        staff: The ids of people whose words in groups are the shop's own.
        wait: How long a poll waits for news, at most 25 seconds.
        base_url: Where the Bot API is; your own server of it may be on loopback.
        name: The channel's name.

    Raises:
        InvalidValue: If the token is missing, or another argument cannot be accepted.

    Example:
        >>> Telegram("123456:ABC-DEF")  # doctest: +ELLIPSIS
        Telegram(token=Secret('…'), secret_token=(), announce_in=None, ...)
    """

    setup: ClassVar[Setup] = Setup(
        "Private chats with a bot, groups that it is in, and business accounts that it serves.",
        needs=(
            Need("token", "the bot's token, which @BotFather shows", secret=True),
            Need(
                "secret_token",
                "for webhooks alone: a long word of your own (letters, digits, _ and -)",
                secret=True,
                required=False,
            ),
            Need(
                "announce_in",
                "for announcements alone: your channel, as in @shop_news",
                required=False,
            ),
        ),
        steps=(
            "Write /newbot to @BotFather in Telegram, choose a name, and copy the token.",
            "To be polled, nothing else is needed.",
            "For webhooks call setWebhook with url, secret_token and all kinds of allowed_updates.",
            "For groups: add the bot; /setprivacy or an admin's rights show it every message.",
            "For a business account: switch on Business Mode, then add the bot in its settings.",
        ),
        webhook="…/webhooks/telegram, given to setWebhook; proved by the header " + _PROOF,
        guide="https://core.telegram.org/bots/features#creating-a-new-bot",
    )

    token: Secret = attrs.field(converter=_token)
    secret_token: tuple[Secret, ...] = attrs.field(default=None, converter=_secrets, kw_only=True)
    announce_in: str | None = attrs.field(default=None, validator=_announced, kw_only=True)
    staff: frozenset[str] = attrs.field(default=frozenset(), converter=_staff, kw_only=True)
    wait: timedelta = attrs.field(default=timedelta(seconds=10), validator=_wait, kw_only=True)
    base_url: str = attrs.field(default="https://api.telegram.org", converter=_base, kw_only=True)
    name: str = attrs.field(default="telegram", validator=named, kw_only=True)

    @property
    def traits(self) -> Traits:
        """Return what Telegram can do; where webhooks are meant to come, polls are seldom."""
        powers = (*_POWERS, "announcement") if self.announce_in else _POWERS
        every = timedelta(minutes=1) if self.secret_token else _TRAITS.poll_every
        return attrs.evolve(_TRAITS, powers=powers, poll_every=every)

    def using(self, state: ChannelState) -> Self:
        """Return this channel with the token that was persisted, if there is one."""
        renewed = state.credentials.get("token")
        return self if renewed is None else attrs.evolve(self, token=renewed)

    # -- in

    def receive(self, hook: Webhook) -> Delivery:
        """Read an update that carries the secret token.

        Telegram signs no body and no time: whoever knows the word is believed, so that it must
        go over https alone. An update that is sent again changes nothing.

        Args:
            hook: The request as it arrived.

        Raises:
            WebhookRejected: If it does not carry the word, or none is configured.
            PayloadError: If it does, and is no JSON.
        """
        if hook.method != "POST":
            raise WebhookRejected(f"{hook.method:.10} is no way to deliver a webhook", status=405)
        if not self.secret_token:
            raise WebhookRejected("this bot polls; pass secret_token to take webhooks")
        given = hook.headers.all(_PROOF)
        if len(given) > 1:
            raise WebhookRejected(f"{_PROOF} is there {len(given)} times")
        verify_telegram(self.secret_token, *(given or (None,)))
        if len(hook.body) > MAX_BODY:
            raise WebhookRejected(f"body of {len(hook.body)} bytes is over the limit", status=413)
        read = self._read([read_json(hook.body)], hook.at)
        return attrs.evolve(read, response=Response(200, at=hook.at))

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch the updates after the last that was committed, and so confirm all before them.

        Where Telegram says that a webhook is set, there is nothing to fetch if webhooks are
        meant to come here, and otherwise something to mend.

        Args:
            cursor: The number of the last update that was committed.

        Raises:
            SendError: If Telegram refuses.
            TransportError: If it gives no answer.
        """
        query = {"limit": str(_PAGE), "timeout": str(self.wait.seconds)}
        if cursor is not None and _CURSOR.fullmatch(cursor):
            query["offset"] = str(int(cursor) + 1)
        request = self._get("getUpdates", allowed_updates=json.dumps(_KINDS), **query)
        response = yield request
        try:
            updates = self._result(response, request, list)
        except _WebhookSet:
            if not self.secret_token:
                raise
            return Page(cursor=cursor)
        read = self._read(updates, response.at)
        numbers = [each.get("update_id") for each in updates if isinstance(each, dict)]
        known = [n for n in numbers if type(n) is int and 0 <= n < _MAX_ID]
        last = str(max(known)) if known else cursor
        return Page(read.facts, last, read.unreadable, more=len(updates) >= _PAGE)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined update again.

        Args:
            raw: An update as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it is no JSON.
        """
        return self._read([read_json(raw)], None)

    def _read(self, updates: list[Any], now: datetime | None) -> Delivery:
        reader = _Reader(self.name, self.base_url, self.staff, now)
        return Delivery(*one_by_one(updates, reader.facts))

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Send one part of a reply to the chat that it answers, or an announcement.

        In a group the answer is tied to its question, and refused if that was deleted; in
        private it goes out even so. A private answer to somebody in a group goes to their own
        chat with the bot, if they ever opened it. A group that has become a supergroup is
        written to under its new id.

        Args:
            message: What to send.

        Raises:
            Unsupported: If Telegram cannot express it; nothing was asked then.
            SendError: One of its kinds says what became of it.
        """
        check_powers(message, self.traits)
        method, content = _content(message)
        target = self._target(message)
        try:
            return (yield from self._post(method, {**target, **content}))
        except _Moved as moved:  # certainly not sent: no message of the old group is known there
            call = {"chat_id": moved.chat, **content}
        return (yield from self._post(method, call))

    def _target(self, message: Outgoing) -> dict[str, Any]:
        """Return where a message goes, what it answers, and the buttons beneath it."""
        public = message.visibility is Visibility.public
        if message.reply_to is None and public:
            return {"chat_id": self.announce_in, **_markup(message, None)}
        place = _Place.read(message.thread)
        if public and place.private:
            raise Unsupported(f"chat {place.chat} is private; answer it in private")
        if place.private is public:
            place = _Place.read(message.to.id)
            return {"chat_id": place.chat, **_markup(message, place)}
        target: dict[str, Any] = {"chat_id": place.chat}
        if place.connection:
            target["business_connection_id"] = place.connection
        if place.topic is not None:
            target["message_thread_id"] = place.topic
        found = message.reply_to and _MESSAGE.fullmatch(message.reply_to[1])
        if found:
            lenient = {"allow_sending_without_reply": True} if place.private else {}
            target["reply_parameters"] = {"message_id": int(found[1]), **lenient}
        return {**target, **_markup(message, place)}

    def _post(self, method: str, call: dict[str, Any]) -> Flow[Receipt]:
        body = compact(call).encode("utf-8", "backslashreplace")
        headers = {"Content-Type": "application/json"}
        request = Request("POST", self._url(method), headers, body, posts=True)
        try:
            response = yield request
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        try:
            sent = self._result(response, request, dict)
            chat, number = mapping(sent.get("chat"), "chat"), _number(sent, "message_id")
            place = _Place(_number(chat, "id"), None, call.get("business_connection_id", ""))
            at = _moment(sent, "date")
            link = _permalink({"type": "", **chat}, number)
        except PayloadError as error:
            raise Ambiguous(f"posted, but the answer cannot be read: {error}") from None
        return Receipt(place.name(number), at, link)

    def _url(self, method: str) -> str:
        return f"{self.base_url}/bot{self.token.reveal()}/{method}"

    def _get(self, method: str, **query: str) -> Request:
        asked = f"?{urlencode(query)}" if query else ""
        return Request("GET", self._url(method) + asked)

    def _result(self, response: Response, request: Request, kind: type[Any]) -> Any:
        """Return the result of a call; raise what any other answer means."""
        try:
            found = response.json()
        except PayloadError:
            found = None
        body: dict[str, Any] = found if isinstance(found, dict) else {}
        code: Any = response.status
        if 200 <= response.status < 300:
            code = body.get("error_code")
            if body.get("ok") is True and isinstance(body.get("result"), kind):
                return body["result"]
            if body.get("ok") is not False or type(code) is not int:
                raise PayloadError(f"the answer has no result of kind {kind.__name__}")
        raise self._failure(code, response, body, request.posts)

    def _failure(
        self, code: int, response: Response, body: Mapping[str, Any], posts: bool
    ) -> Exception:
        """Return what a refusal means (RELIABILITY 2.3).

        403 is about one person or chat: the bot was blocked, or removed. A token that is not
        known at all is 404, with these words alone.
        """
        description = body.get("description")
        said = " ".join(description.split()) if isinstance(description, str) else ""
        for secret in (self.token, *self.secret_token):
            said = said.replace(secret.reveal(), "…")
        why = f"{code} {said}"[:300].strip()
        given = body.get("parameters")
        told = given if isinstance(given, dict) else {}
        if code == 429:
            return RateLimited(why, _pause(response, told.get("retry_after")))
        if code == 401 or (code == 404 and said == "Not Found"):
            return NeedsAuth(f"{why}: the token is not known; copy it anew from @BotFather")
        if code == 409 and "webhook" in said.lower():
            return _WebhookSet(f"{why}: call deleteWebhook, or pass secret_token for webhooks")
        moved = told.get("migrate_to_chat_id")
        if code == 400 and type(moved) is int and moved < 0:
            return _Moved(why, moved)
        if 300 <= code < 500 and code != 408:
            return Refused(why)
        return Ambiguous(why) if posts else TransportError(why, sent=True)

    # -- health

    def check(self) -> Flow[Health]:
        """Ask whether the token is known, and whether updates come as they are meant to."""
        problems: list[str] = []
        notes: list[str] = []
        try:
            me = yield from self._ask("getMe")
            if me.get("can_read_all_group_messages") is not True:
                notes.append(
                    "privacy mode: in groups the bot sees commands, mentions and answers to itself"
                )
            self._check_webhook((yield from self._ask("getWebhookInfo")), problems, notes)
        except (SendError, PayloadError, TransportError) as error:
            problems.append(f"the Bot API gave no usable answer: {error}")
        return Health(not problems, tuple(problems), tuple(notes))

    def _ask(self, method: str) -> Flow[dict[str, Any]]:
        request = self._get(method)
        response = yield request
        return mapping(self._result(response, request, dict), method)

    def _check_webhook(
        self, info: Mapping[str, Any], problems: list[str], notes: list[str]
    ) -> None:
        host = urlsplit(perhaps(info, "url")).hostname
        if not perhaps(info, "url"):
            if self.secret_token:
                kinds = compact(_KINDS)
                problems.append(
                    "no webhook is set, the bot polls once a minute: call setWebhook with url, "
                    f"secret_token and allowed_updates={kinds}, or leave out secret_token"
                )
            return
        if not self.secret_token:
            problems.append(
                f"a webhook is set at {host}, so that polls are refused: call deleteWebhook, or "
                "pass secret_token to take webhooks"
            )
            return
        waiting, error = info.get("pending_update_count"), perhaps(info, "last_error_message")
        if error:
            said = problems if waiting else notes
            said.append(f"{waiting or 0} updates wait; {host} last failed with: {error:.200}")
        allowed = info.get("allowed_updates")
        subscribed = allowed if isinstance(allowed, list) else list(_KINDS[:-1])
        missing = [kind for kind in _KINDS if kind not in subscribed]
        if "message" in missing:
            problems.append("the webhook is not told of messages: setWebhook with allowed_updates")
        elif missing:
            notes.append(f"the webhook is not told of {', '.join(missing)} (allowed_updates)")


class _WebhookSet(Refused):
    """Say that a poll was refused because a webhook is set."""


def _pause(response: Response, seconds: object) -> datetime:
    """Return when to go on: `retry_after` says it in the body, in seconds."""
    now = response.at or _UNTIMED
    if type(seconds) is not int or seconds < 1:
        return retry_at(response, now)
    return now + min(timedelta(seconds=min(seconds, 86_400)), _LONGEST)
