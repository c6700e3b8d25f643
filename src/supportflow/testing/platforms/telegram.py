"""Telegram's Bot API on loopback: one bot, the chats it is in, and the updates it is told of.

It refuses what the Bot API refuses, in its words, and what its reference does not name, which the
real one would pass over. It alone knows what was really sent (`posts`). People act on the
platform's own time::

    with TelegramPlatform(clock=clock) as platform:
        platform.customer("ola").write("You charged me twice!")
        ...  # run the desk against platform.url with platform.token
        assert [post.text for post in platform.posts] == [...]

Updates wait until an offset above them is asked for, or a webhook took them, and for 24 hours at
most. A long poll is answered at once, whatever its timeout. Nothing deduplicates, and no read shows
what the bot sent. The token never stands in the log. It is long because it is one network.

Sources: https://core.telegram.org/bots/api (10.1), the wording of refusals beside it from
https://github.com/tdlib/telegram-bot-api/blob/master/telegram-bot-api/Client.cpp.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import attrs

from supportflow.testing.platforms.faults import Fault, Shape
from supportflow.testing.platforms.meta_hooks import Receiver, UnansweredError, over_http
from supportflow.testing.platforms.server import Platform, Reply, Request, Route

#: What is told without being asked for: "all update types except" these.
UNASKED = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
KEPT = timedelta(hours=24)
TEXT, CAPTION, PAGE = 4096, 1024, 100
REACTIONS = frozenset({"❤", "👍", "👎", "🔥", "🎉", "😢", "🙏", "👌"})
#: The method by which each file is sent, with the field for it.
FILES: Mapping[str, str] = MappingProxyType(
    {"sendPhoto": "photo", "sendVideo": "video", "sendAudio": "audio", "sendDocument": "document"}
)
COMMON = frozenset(
    {
        "business_connection_id",
        "chat_id",
        "message_thread_id",
        "disable_notification",
        "protect_content",
        "reply_parameters",
        "reply_markup",
    }
)
#: "In sendDocument, sending by URL will currently only work for GIF, PDF and ZIP files."
DOCUMENTS = (".gif", ".pdf", ".zip")

Json = dict[str, Any]
T = TypeVar("T")


class BotError(Exception):
    """A refusal, with its code and parameters."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code, self.parameters = code, parameters

    def reply(self) -> Reply:
        """Word the refusal as the Bot API does."""
        said: Json = {"ok": False, "error_code": self.code, "description": str(self)}
        return Reply.json(
            {**said, **({"parameters": self.parameters} if self.parameters else {})}, self.code
        )


def bad(words: str, **parameters: int) -> BotError:
    """Make a refusal of what was asked."""
    return BotError(400, f"Bad Request: {words}", **parameters)


@attrs.define
class Said:
    """A message in a chat, in its newest form.

    Args:
        chat: where it is.
        number: the message's id in it.
        text: the words, or a file's caption.
        at: when it was accepted.
        content: the message as it is told.
        by_bot: whether the bot sent it.
        call: what the bot asked for, with the method's name as `method`.
        deleted: whether it is gone.
    """

    chat: "Chat" = attrs.field(repr=False)
    number: int
    text: str
    at: datetime
    content: Json = attrs.field(repr=False)
    by_bot: bool = False
    call: Json = attrs.field(factory=dict, repr=False)
    deleted: bool = False


@attrs.define(eq=False)
class Chat:
    """A chat with the bot, a group, or a chat of a business account that the bot serves."""

    platform: "TelegramPlatform" = attrs.field(repr=False)
    about: Json
    said: list[Said] = attrs.field(factory=list)
    connection: str = ""
    moved_to: int | None = None
    removed: bool = False

    def add(self, sender: Json, content: Json, kind: str = "message", **more: Any) -> Said:
        """Accept a message, and tell the bot unless it is its own."""
        number = 1 + len(self.said) if self.about["type"] == "private" else 10 + 2 * len(self.said)
        now = self.platform.now()
        message = {
            "message_id": number,
            **sender,
            "chat": self.about,
            "date": _epoch(now),
            **content,
        }
        if self.connection:
            message["business_connection_id"] = self.connection
        text = content.get("text") or content.get("caption") or ""
        made = Said(self, number, text, now, message, **more)
        self.said.append(made)
        if not made.by_bot:
            self.platform.tell(f"business_{kind}" if self.connection else kind, message)
        return made

    def find(self, number: object) -> Said | None:
        """Return a message that is there."""
        return next((m for m in self.said if m.number == number and not m.deleted), None)


@attrs.frozen
class Person:
    """Somebody with the app."""

    platform: "TelegramPlatform" = attrs.field(repr=False)
    about: Json

    @property
    def id(self) -> int:
        """Return the person's id, which is that of their chat with the bot."""
        return int(self.about["id"])

    def write(
        self,
        text: str = "",
        *,
        chat: Chat | None = None,
        reply_to: Said | None = None,
        **content: Any,
    ) -> Said:
        """Write to the bot, in a group or to a business account.

        Args:
            text: the words; of a file its caption.
            chat: where, unless to the bot.
            reply_to: what is answered.
            **content: other fields of the message, such as `photo`.
        """
        place = chat or self.platform.private(self)
        said = {"caption" if content else "text": text} if text else {}
        answered = {} if reply_to is None else {"reply_to_message": reply_to.content}
        return self.platform.doing(
            lambda: place.add({"from": self.about}, {**answered, **said, **content})
        )

    def edit(self, message: Said, text: str) -> Said:
        """Change one's own words."""
        chat = message.chat
        field = "text" if "text" in message.content else "caption"

        def change() -> Said:
            edited = {"edit_date": _epoch(self.platform.now()), field: text}
            message.text, message.content = text, {**message.content, **edited}
            kind = "edited_business_message" if chat.connection else "edited_message"
            self.platform.tell(kind, message.content)
            return message

        return self.platform.doing(change)

    def react(self, message: Said, *emoji: str) -> None:
        """React to a message, or take that back."""
        chat = message.chat
        new = [{"type": "emoji", "emoji": each} for each in emoji if each in REACTIONS]
        about = {"chat": chat.about, "message_id": message.number, "user": self.about}
        told = {
            **about,
            "date": _epoch(self.platform.now()),
            "old_reaction": [],
            "new_reaction": new,
        }
        self.platform.doing(lambda: self.platform.tell("message_reaction", told))

    def delete(self, message: Said) -> None:
        """Take a message away, of which only a business account's bot is told."""
        chat = message.chat
        message.deleted = True
        about = {
            "business_connection_id": chat.connection,
            "chat": chat.about,
            "message_ids": [message.number],
        }
        if chat.connection:
            self.platform.doing(lambda: self.platform.tell("deleted_business_messages", about))

    def block(self, *, lift: bool = False) -> None:
        """Block the bot, or lift that."""
        with self.platform.lock:
            self.platform.private(self).removed = not lift


class TelegramPlatform(Platform):
    """One bot, with the people and groups that it knows.

    Own faults: `conflict`, for a poll: another one has begun (409).

    Args:
        token: the bot's token; set `token` to another one to revoke it.
        username: its name.
        sees_everything: whether privacy mode is off.
        a_minute: messages that one chat takes in a minute before 429; None for any number.
        **base: see `Platform`.
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType(
        {"conflict": Shape(accepts=True, writes=False)}
    )

    def __init__(
        self,
        *,
        token: str = "7777:token-for-tests",  # noqa: S107 - of no bot
        username: str = "shop_bot",
        sees_everything: bool = False,
        a_minute: int | None = None,
        **base: Any,
    ) -> None:
        self.token = token
        self.me: Json = {"id": 7777, "is_bot": True, "first_name": "Shop", "username": username}
        self.sees_everything, self.a_minute = sees_everything, a_minute
        self.people: dict[str, Person] = {}
        self.chats: dict[tuple[str, int], Chat] = {}
        self.waiting: list[tuple[int, datetime, Json]] = []
        self.hooked: list[tuple[Mapping[str, str], bytes, int | None]] = []
        self.allowed: frozenset[str] | None = None
        self.webhook, self.secret, self.last_error = "", "", ""
        self._receiver: Receiver | None = None
        self._next, self._sends = 123_456_789, list[tuple[int, datetime]]()
        super().__init__(**base)

    # What tests use.

    @property
    def posts(self) -> tuple[Said, ...]:
        """Return what the bot sent, oldest first."""
        with self.lock:
            sent = [said for chat in self.chats.values() for said in chat.said if said.by_bot]
            return tuple(sorted(sent, key=lambda said: said.call["order"]))

    def customer(self, name: str) -> Person:
        """Return the person of this name, who is made on first sight."""
        with self.lock:
            about = {"id": 4711 + len(self.people), "is_bot": False, "first_name": name.title()}
            about |= {"username": f"{name}_{about['id']}", "language_code": "en"}
            return self.people.setdefault(name, Person(self, about))

    def private(self, person: Person) -> Chat:
        """Return somebody's chat with the bot, which they open."""
        return self._chat_of(person, "")

    def business(self, owner: str, customer: Person) -> Chat:
        """Return a customer's chat with a business account that the bot serves."""
        return self._chat_of(customer, f"Bc-{owner}_1")

    def _chat_of(self, person: Person, connection: str) -> Chat:
        shown = {key: person.about[key] for key in ("id", "first_name", "username")}
        chat = Chat(self, {**shown, "type": "private"}, connection=connection)
        return self.chats.setdefault((connection, person.id), chat)

    def group(self, title: str, *, kind: str = "supergroup", **more: Any) -> Chat:
        """Return a new group, or channel, with the bot in it."""
        number = len(self.chats) + 1
        name = -number if kind == "group" else -1_000_000_000_000 - number
        about = {"id": name, "type": kind, "title": title, **more}
        return self.chats.setdefault(("", name), Chat(self, about))

    def upgrade(self, group: Chat) -> Chat:
        """Make a supergroup of a group: everything in it has another id from then on."""
        found = self.group(group.about["title"])
        group.moved_to = found.about["id"]
        return found

    def deliver_to(self, receiver: Receiver | str, *, secret: str = "") -> None:
        """Set a webhook past the API: a callable, or an address on loopback."""
        with self.lock:
            self._receiver = over_http(receiver) if isinstance(receiver, str) else receiver
            self.webhook, self.secret = (
                self.webhook or "https://shop.example/webhooks/telegram",
                secret,
            )

    def deliver(self, *, copies: int = 1) -> tuple[int | None, ...]:
        """Deliver what waits, one by one; what is not taken with 2xx waits on."""
        statuses: list[int | None] = []
        for update in [each for each in self.waiting if self._receiver]:
            body = json.dumps(update[2]).encode()
            statuses += [self._hook(body) for _ in range(copies)]
            if 200 <= (statuses[-1] or 0) < 300:
                with self.lock:
                    self.waiting.remove(update)
        return tuple(statuses)

    def redeliver(self) -> tuple[int | None, ...]:
        """Deliver everything once more that ever was."""
        return tuple(self._hook(body) for _, body, _ in tuple(self.hooked))

    def _hook(self, body: bytes) -> int | None:
        headers = {"Content-Type": "application/json"}
        if self.secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = self.secret
        try:
            answer = self._receiver("POST", headers, {}, body) if self._receiver else None
        except UnansweredError:
            answer = None
        status = answer if answer is None or isinstance(answer, int) else answer[0]
        self.hooked.append((headers, body, status))
        if not 200 <= (status or 0) < 300:
            self.last_error = f"Wrong response from the webhook: {status}"
        return status

    # What people do.

    def doing(self, act: Callable[[], T]) -> T:
        """Let something happen, and tell a webhook at once."""
        with self.lock:
            done = act()
        self.deliver()
        return done

    def tell(self, kind: str, content: Json) -> None:
        """Keep an update for the bot, if it asked for its kind and may see it."""
        asked = kind in self.allowed if self.allowed is not None else kind not in UNASKED
        if asked and self._is_shown(content):
            self.waiting.append((self._next, self.now(), {"update_id": self._next, kind: content}))
            self._next += 1

    def _is_shown(self, content: Json) -> bool:
        """Tell whether privacy mode lets the bot see what was written in a group."""
        text = str(content.get("text", ""))
        answered = content.get("reply_to_message", {}).get("from", {})
        addressed = text.startswith("/") or f"@{self.me['username']}" in text
        private = content["chat"]["type"] == "private" or "new_reaction" in content
        return private or self.sees_everything or addressed or answered.get("id") == self.me["id"]

    # What the base asks.

    def routes(self) -> Sequence[Route]:
        """Return what is answered: every method may be asked by GET and by POST."""
        return tuple(Route(way, "/bot{token}/{method}", self._call) for way in ("GET", "POST"))

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as the Bot API does."""
        del request
        words = {401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests: retry after 3"}
        more = {"retry_after": 3} if status == 429 else {}
        return attrs.evolve(
            BotError(status, words.get(status, "Internal Server Error"), **more).reply(),
            status=status,
        )

    def is_write(self, request: Request) -> bool:
        """Tell whether a request sends something, whatever its method."""
        return "/send" in request.path

    def log(self, request: Request, status: int | None, fault: Fault | None) -> None:
        """Write one line of the log, without the token."""
        path = re.sub(r"^/bot[^/]*", "/bot***", request.path)
        super().log(attrs.evolve(request, path=path), status, fault)

    def without_ids(self, reply: Reply) -> Reply:
        """Take a message's number out of an answer."""
        made = json.loads(reply.body)
        if isinstance(made.get("result"), dict):
            made["result"].pop("message_id", None)
        return attrs.evolve(reply, body=json.dumps(made).encode())

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {"token": self.token}

    def truth(self) -> Mapping[str, object]:
        """Return every chat."""
        with self.lock:
            return {
                "@".join(filter(None, (str(name), connection))): [
                    {"number": m.number, "text": m.text, "by_bot": m.by_bot, "at": m.at.isoformat()}
                    for m in chat.said
                ]
                for (connection, name), chat in self.chats.items()
            }

    def act(self, command: Mapping[str, object]) -> object:
        """Do what a test asks for from another process.

        `{"customer": "ola", "do": "write", "text": …}`, `{"customer": "ola", "do": "block"}`.
        """
        match dict(command):
            case {"customer": str(name), "do": "write", "text": str(text)}:
                return self.customer(name).write(text).number
            case {"customer": str(name), "do": "block"}:
                self.customer(name).block()
                return None
            case _:
                return super().act(command)

    # Answers.

    def _call(self, request: Request) -> Reply:
        method = request.params["method"]
        try:
            if not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", request.params["token"]):
                raise BotError(404, "Not Found")
            if request.params["token"] != self.token:
                raise BotError(401, "Unauthorized")
            given = _parameters(request)
            match method:
                case "getMe":
                    result: object = {
                        **self.me,
                        "can_read_all_group_messages": self.sees_everything,
                    }
                case "getUpdates":
                    result = self._updates(given, request.fault)
                case "getWebhookInfo":
                    result = self._webhook_info()
                case "setWebhook" | "deleteWebhook":
                    result = self._set_webhook(given if method == "setWebhook" else {"url": ""})
                case "sendMessage" | "sendPhoto" | "sendVideo" | "sendAudio" | "sendDocument":
                    result = self._send(method, given).content
                case _:
                    raise BotError(404, "Not Found")
        except BotError as error:
            return error.reply()
        return Reply.json({"ok": True, "result": result})

    def _updates(self, given: Json, fault: Fault | None) -> list[Json]:
        if self.webhook:
            raise BotError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to "
                "delete the webhook first",
            )
        if fault is not None and fault.kind == "conflict":
            raise BotError(
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot "
                "instance is running",
            )
        _known(given, {"offset", "limit", "timeout", "allowed_updates"})
        offset, limit = _integer(given.get("offset", 0)), _integer(given.get("limit", PAGE))
        _integer(given.get("timeout", 0))
        if "allowed_updates" in given:
            self.allowed = _kinds(given["allowed_updates"])
        tail = self._next
        if offset <= tail + 10:  # an offset in the future is that of another, older numbering
            self.waiting = [each for each in self.waiting if each[0] >= offset]
        self.waiting = [each for each in self.waiting if each[1] + KEPT > self.now()]
        return [update for _, _, update in self.waiting[: min(max(limit, 1), PAGE)]]

    def _webhook_info(self) -> Json:
        info: Json = {"url": self.webhook, "has_custom_certificate": False}
        info["pending_update_count"] = len(self.waiting)
        if self.last_error:
            info |= {"last_error_date": _epoch(self.now()), "last_error_message": self.last_error}
        if self.allowed is not None:
            info["allowed_updates"] = sorted(self.allowed)
        return info

    def _set_webhook(self, given: Json) -> bool:
        _known(given, {"url", "secret_token", "allowed_updates", "max_connections"})
        url, secret = str(given.get("url", "")), str(given.get("secret_token", ""))
        if url and not url.startswith("https://"):
            raise bad("bad webhook: An HTTPS URL must be provided for webhook")
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", secret):
            raise bad("secret token contains unallowed characters")
        self.webhook, self.secret, self.last_error = url, secret, ""
        if "allowed_updates" in given:
            self.allowed = _kinds(given["allowed_updates"])
        return True

    def _send(self, method: str, given: Json) -> Said:
        field = FILES.get(method)
        _known(given, COMMON | ({field, "caption"} if field else {"text", "link_preview_options"}))
        content = (
            _file(field, given)
            if field
            else {"text": _text(given.get("text"), "message text", TEXT)}
        )
        chat = self._chat(given)
        reply = self._answered(chat, given.get("reply_parameters"))
        _markup(
            given.get("reply_markup"),
            allowed=not chat.connection and chat.about["type"] != "channel",
        )
        self._throttle(chat)
        call = {**given, "method": method, "order": len(self._sends)}
        sender = {"from": self.me}
        return chat.add(sender, {**reply, **content}, by_bot=True, call=call)

    def _chat(self, given: Json) -> Chat:
        name, connection = given.get("chat_id"), str(given.get("business_connection_id", ""))
        if isinstance(name, str) and name.startswith("@"):
            named = {str(c.about.get("username")): c for c in self.chats.values()}
            chat = named.get(name[1:])
        else:
            chat = self.chats.get((connection, _integer(name)))
        if chat is None:
            if any(person.id == name for person in self.people.values()) and not connection:
                raise BotError(403, "Forbidden: bot can't initiate conversation with a user")
            raise bad("chat not found" if not connection else "business connection not found")
        if chat.moved_to is not None:
            words = "group chat was upgraded to a supergroup chat"
            raise bad(words, migrate_to_chat_id=chat.moved_to)
        if chat.removed:
            private = chat.about["type"] == "private"
            words = "blocked by the user" if private else "kicked from the supergroup chat"
            raise BotError(403, f"Forbidden: bot was {words}")
        return chat

    def _answered(self, chat: Chat, value: object) -> Json:
        if value is None:
            return {}
        asked = _object(value, "reply parameters")
        _known(asked, {"message_id", "allow_sending_without_reply", "chat_id", "quote"})
        found = chat.find(_integer(asked.get("message_id")))
        if found is None and asked.get("allow_sending_without_reply") is not True:
            raise bad("message to be replied not found")
        return {} if found is None else {"reply_to_message": found.content}

    def _throttle(self, chat: Chat) -> None:
        now, name = self.now(), chat.about["id"]
        lately = [
            at for chat_id, at in self._sends if chat_id == name and at > now - timedelta(minutes=1)
        ]
        if self.a_minute is not None and len(lately) >= self.a_minute:
            wait = int((lately[0] + timedelta(minutes=1) - now).total_seconds()) + 1
            raise BotError(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        self._sends.append((name, now))


def _epoch(at: datetime) -> int:
    return int(at.timestamp())


def _parameters(request: Request) -> Json:
    """Return what is asked for: of the query, a form, or JSON."""
    found: Json = dict(request.query)
    kind = (request.header("content-type") or "").partition(";")[0]
    try:
        if request.body:
            body = request.json() if kind == "application/json" else dict(request.form())
            found |= body if isinstance(body, dict) else {}
    except ValueError:
        raise bad("can't parse JSON object") from None
    return found


def _known(given: Json, names: set[str] | frozenset[str]) -> None:
    if strange := sorted(given.keys() - names):
        raise bad(f"the reference names no {', '.join(strange)}")


def _integer(value: object) -> int:
    """Return a number, which a form and a query write as text."""
    if not isinstance(value, bool) and re.fullmatch(r"-?[0-9]{1,19}", str(value)):
        return int(str(value))
    raise bad(
        f"can't parse {str(value)[:40]!r} as a number" if value is not None else "chat_id is empty"
    )


def _object(value: object, name: str) -> Json:
    """Return an object, which a form and a query write as JSON in a text."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise bad(f"object expected as {name}")
    return found


def _kinds(value: object) -> frozenset[str] | None:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise bad("can't parse allowed updates")
    return frozenset(found) or None


def _text(value: object, name: str, most: int) -> str:
    """Return a text within its limit, in UTF-16 units as offsets of entities count."""
    if not isinstance(value, str) or not value.strip():
        raise bad(f"{name} is empty")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise bad("strings must be encoded in UTF-8")
    if sum(2 if letter > "\uffff" else 1 for letter in value) > most:
        raise bad("message is too long" if most == TEXT else "message caption is too long")
    return value.strip()


def _file(field: str, given: Json) -> Json:
    url = str(given.get(field, ""))
    if not re.match(r"https?://[^/]+/", url):
        raise bad(f"wrong remote file identifier specified: {url[:40]!r}")
    path = url.partition("?")[0].lower()
    if field == "document" and not path.endswith(DOCUMENTS):
        raise bad("wrong type of the web page content")
    file = {"file_id": f"id-of-{path[-20:]}", "file_unique_id": path[-20:]}
    shown: Json = {field: [{**file, "width": 90, "height": 60}] if field == "photo" else file}
    if "caption" in given:
        shown["caption"] = _text(given["caption"], "message caption", CAPTION)
    return shown


def _markup(value: object, *, allowed: bool) -> None:
    """Refuse buttons that are not as documented, or where a chat has none."""
    if value is None:
        return
    markup = _object(value, "reply markup")
    inline = "inline_keyboard" in markup
    _known(
        markup,
        {"inline_keyboard"}
        if inline
        else {"keyboard", "one_time_keyboard", "resize_keyboard", "selective"},
    )
    rows = markup.get("inline_keyboard" if inline else "keyboard")
    if not isinstance(rows, list) or not rows:
        raise bad('field "keyboard" must be an Array of Arrays')
    if not inline and not allowed:
        raise bad("reply markup is not supported here")
    for button in (_object(each, "a button") for row in rows for each in row):
        _known(button, {"text", "url"} if inline else {"text"})
        _text(button.get("text"), "button text", TEXT)
        if inline and not re.match(r"(https?|tg)://", str(button.get("url", ""))):
            raise bad("BUTTON_URL_INVALID")
