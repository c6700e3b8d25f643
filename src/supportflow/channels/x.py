"""Answer mentions and direct messages on X, where X lets an app answer, and count what it costs.

In: mentions, our own posts and direct messages are polled, newest first, page by page back to where
the last round ended; the last ten minutes are read again, which X does not charge twice a day. Or
signed webhooks, of the X Activity API and of the older Account Activity API. Out: a reply beneath a
post, an announcement, or a direct message. X takes no key, so that a post which may have been lost
is looked for among our own.

**Summoned.** Since 2026-02-23 X lets an app of a self-serve tier reply only where the author
mentioned us, replied to us or quoted us. Such posts have the kind `post`, others that reach us
`overheard`; a public answer to these is `Unsupported` before anything is asked. Links are kept out
of public posts unless `links=True`: X charges $0.20 for each post with one.

**Edits** get an id of their own on X; here a post keeps its first one, and each later version is an
`Edit`. The words of 2.166 of X's specification (`tweet`) and of 2.167 (`post`) are both read.

Sources: the pages under https://docs.x.com/, above all x-api/posts/timelines, x-api/activity,
x-api/account-activity, x-api/webhooks, x-api/direct-messages, x-api/getting-started/pricing,
fundamentals/rate-limits and changelog. (Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlencode, urlsplit

import attrs

from supportflow.channels import (
    Ambiguous,
    Delivery,
    Found,
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
from supportflow.channels.oauth import address
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
    Secret,
    Visibility,
    aware,
)
from supportflow.signing import usable, verify_x, x_crc_answer
from supportflow.text import storable
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.moments import from_epoch, from_text
from supportflow.text.x_length import x_urls

__all__ = ["X"]

#: The most that one request gives; of direct messages fewer, because each costs $0.01 a day.
_PAGE, _MESSAGES, _FEWEST = 100, 20, 5
#: The most items of one answer or webhook, and values of its JSON, that are read. Ours.
_MOST, _MAX_VALUES = 1_000, 20_000
#: How much is read again: X promises no order beyond that of seconds. Ours.
_OVERLAP = timedelta(minutes=10)
#: What a first poll takes for news unless `since` is given. Ours.
_FRESH = timedelta(days=1)
#: How far X's clock may be behind ours.
_SKEW = timedelta(seconds=5)
#: How many pages of our own posts or messages a search for one reads. Ours.
_LOOKS = 10
#: How long an account pauses that was told to, but not for how long. Ours.
_SHORTEST, _UNTOLD = timedelta(seconds=1), timedelta(minutes=1)
#: https://developer.x.com/en/docs/x-api/direct-messages/manage/api-reference/post-dm_conversations-with-participant_id-messages
_MAX_MESSAGE = 10_000
#: How much of what X says is told, in characters.
_TOLD = 300
_UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)

#: What X charges by purpose, in US dollars; reads for each thing that they return.
#: https://docs.x.com/x-api/getting-started/pricing as of 2026-04-20. Mentions and our own posts
#: are "owned reads", where the account is that of the app's owner.
_PRICES: Mapping[str, str] = {
    "reply": "0.01",
    "announcement": "0.015",
    "post with a link": "0.20",
    "message": "0.015",
    "mentions": "0.001",
    "own posts": "0.001",
    "messages read": "0.010",
    "search": "0.005",
    "account": "0.010",
}
_POSTS = (
    "attachments,author_id,created_at,edit_history_tweet_ids,entities,in_reply_to_user_id,lang,"
    "note_tweet,referenced_tweets"
)
_ASKED = {
    "tweet.fields": _POSTS,
    "expansions": "author_id,attachments.media_keys",
    "user.fields": "name,username",
    "media.fields": "alt_text,preview_image_url,type,url",
}
_ASKED_MESSAGES = {
    "dm_event.fields": "attachments,created_at,dm_conversation_id,event_type,sender_id,text",
    "event_types": "MessageCreate",
    "expansions": "sender_id,attachments.media_keys",
    "user.fields": "name,username",
    "media.fields": "alt_text,preview_image_url,type,url",
}

#: What to subscribe to: https://docs.x.com/x-api/activity/event-payloads
_EVENTS = (
    "post.mention.create",
    "post.reply.create",
    "post.quote.create",
    "post.create",
    "post.delete",
    "dm.received",
    "dm.sent",
)

_POWERS = ("announcement",)
_ELSEWHERE = (
    "X lets an app reply only where the author mentioned, quoted or replied to the account; answer "
    "in X's own app, or write to them privately, which they must allow"
)
_TRAITS = Traits(
    "x",
    max_text=280,
    max_private=_MAX_MESSAGE,
    private_counting="code_points",
    reconcile=Reconcile.read,
    counting="x",
    settle=timedelta(seconds=120),
    visibilities=("public", "private"),
    powers=_POWERS,
    inbound=("poll", "webhook"),
    poll_every=timedelta(seconds=90),
    signature="x-twitter-webhooks-signature",
    rates={
        "mentions": "300 in 15 minutes",
        "own posts": "900 in 15 minutes",
        "messages read": "15 in 15 minutes",
        "post": "100 in 15 minutes",
        "message": "15 in 15 minutes, 1,440 in 24 hours",
        "search": "300 in 15 minutes",
    },
    cost={purpose: f"{price} USD" for purpose, price in _PRICES.items()},
    unsupported={
        "answers to others": _ELSEWHERE,
        "links": "a public post with one costs $0.20: say it without, or pass links=True",
        "attachments": "X takes uploads only: write privately, or attach them in X's own app",
        "deletions": "X tells of our own posts alone; an answer to a deleted post is refused",
        "encrypted chats": "no API reads them: they go into quarantine",
        "group conversations": "they go into quarantine; people in one are answered one by one",
        "read receipts": "they are not read",
        "quotes": "polling does not find them, webhooks do",
    },
)
_SETUP = Setup(
    "Takes mentions and direct messages on X, and answers those who addressed the account.",
    (
        Need("user_id", "the account's id, a number: GET /2/users/me shows it"),
        Need("token", "the account's OAuth 2.0 access token, for two hours", secret=True),
        Need("refresh_token", "what a new token is made with", secret=True, required=False),
        Need("client_id", "the app's OAuth 2.0 client id", required=False),
        Need("client_secret", "its secret", secret=True, required=False),
        Need(
            "consumer_secret",
            "the app's API key secret, for webhooks alone",
            secret=True,
            required=False,
        ),
    ),
    (
        "Create an app at console.x.com with the account itself, and buy credits.",
        "Under User authentication settings choose read, write and direct messages.",
        "Let the account authorize it with the scopes below; copy both tokens.",
        "For webhooks register the address with POST /2/webhooks.",
        f"Subscribe the account with POST /2/activity/subscriptions to {', '.join(_EVENTS)}.",
        "Allow messages from everybody in the account's settings, or nobody can write privately.",
    ),
    {
        "tweet.read": "mentions and our own posts",
        "users.read": "who wrote them",
        "tweet.write": "to answer in public",
        "dm.read": "direct messages",
        "dm.write": "to answer them",
        "offline.access": "a refresh token: without it all ends after two hours",
    },
    "the address of your web application for this channel; X proves it by a crc_token",
    "https://docs.x.com/x-api/getting-started/getting-access",
)

_LEADING = re.compile(r"(?:@\w++\s*+)++", re.ASCII)
_MARKUP = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_KINDS = {"photo": "image", "animated_gif": "video"}
_ID = re.compile(r"[0-9]{1,19}")
_TOKEN = re.compile(r"[!-~]+")
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
#: What belongs to one message; every other 403 is about the account or the app. The wordings:
#: https://github.com/akrherz/iembot/issues/163 (duplicates), and of 2026 "Reply to this
#: conversation is not allowed because you have not been mentioned or otherwise engaged by …".
_MESSAGE = re.compile(
    r"repl(y|ies)|deleted|not visible|too long|participant|send messages|conversation|quot|blocked",
    re.IGNORECASE,
)
_TWICE = re.compile(r"duplicate|already said", re.IGNORECASE)
_NOT_ENGAGED = re.compile(r"not been mentioned|otherwise engaged|mentioned or are the author")


def _user(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidValue(f"user_id is {value!r:.60}; it is the account's number, as a string")


def _token(value: Secret | str) -> Secret:
    found = Secret(value)
    if not _TOKEN.fullmatch(found.reveal()):
        raise InvalidValue("a token has spaces, line ends or the like; copy it alone")
    return found


def _perhaps_token(value: Secret | str | None) -> Secret | None:
    return None if value is None else _token(value)


def _secrets(value: Secret | str | Iterable[Secret | str]) -> tuple[Secret, ...]:
    several = (value,) if isinstance(value, Secret | str) else tuple(value)
    return usable([Secret(each) for each in several]) if several else ()


def _moment(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "since")


def _longest(_: object, __: object, value: int) -> None:
    if type(value) is not int or not 280 <= value <= 25_000:
        raise InvalidValue(f"max_text is {value!r:.60}; it is 280, or for a premium account more")


# -- reading posts, of version 2 and of 1.1


def _either(item: Mapping[str, Any], name: str) -> Any:
    """Return a field under the name with `tweet` in it, or under that with `post`."""
    found = item.get(name)
    return item.get(name.replace("tweet", "post")) if found is None else found


def _listed(item: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return mappings({name: _either(item, name)}, name)


def _unwrapped(text: str, links: Iterable[Mapping[str, Any]]) -> str:
    """Put the links back that X shortened, and leave out those to what is attached."""
    for escaped, sign in _MARKUP:
        text = text.replace(escaped, sign)
    for link in links:
        short, whole = perhaps(link, "url"), perhaps(link, "expanded_url")
        if short.startswith(("https://t.co/", "http://t.co/")):
            attached = link.get("media_key") or link.get("media_url_https")
            text = text.replace(short, "" if attached else whole or short)
    return text.strip()


def _unaddressed(text: str, names: Iterable[str] | None) -> str:
    """Leave some names out of those that a text begins with; all of them for None."""
    found = _LEADING.match(text)
    if found is None:
        return text
    left_out = None if names is None else {f"@{name}".casefold() for name in names}
    kept = [w for w in found[0].split() if left_out is not None and w.casefold() not in left_out]
    return " ".join([*kept, text[found.end() :]]).strip()


def _media_of(item: Mapping[str, Any]) -> Attachment:
    """Return what is attached; in version 1.1 `url` is the short link in the text."""
    kind, name = word(item, "type"), perhaps(item, "alt_text") or perhaps(item, "ext_alt_text")
    where = "media_url_https" if "media_url_https" in item else "url"
    url = perhaps(item, where) or perhaps(item, "preview_image_url")
    return Attachment(_KINDS.get(kind, kind), url, name)


def _person(item: Any, name: str) -> Author:
    """Return an author from a user object of either version, or with an id alone."""
    found = mapping(item or {}, "the user")
    found = mapping(found.get("data") or found, "the user")
    handle = perhaps(found, "username") or perhaps(found, "screen_name")
    return Author(name, perhaps(found, "name") or handle, handle)


@attrs.frozen
class _Post:
    """Hold a post in the one form that both versions of the API are brought into."""

    id: str
    versions: tuple[str, ...]
    author: Author
    text: str
    at: datetime
    parent: str
    answers: str
    named: Mapping[str, str]
    quoted: tuple[str, ...]
    repost: bool
    language: str
    attachments: tuple[Attachment, ...]

    @property
    def first(self) -> str:
        """Return the id of its first version, by which it is known for ever."""
        return self.versions[0] if self.versions else self.id

    @classmethod
    def read(cls, item: dict[str, Any]) -> Self:
        """Read a post of version 2, or of 1.1 as the older webhooks have it."""
        return cls._v1(item) if "user" in item or "id_str" in item else cls._v2(item)

    @classmethod
    def _v2(cls, item: dict[str, Any]) -> Self:
        long = mapping(item.get("note_tweet") or item.get("note_post") or {}, "note_tweet")
        entities = mapping(long.get("entities") or item.get("entities") or {}, "entities")
        text = perhaps(long, "text") or item.get("text")
        if not isinstance(text, str):
            raise PayloadError(f"text is {text!r:.60}; it must be a string")
        referenced = {perhaps(r, "type"): r for r in _listed(item, "referenced_tweets")}
        parent = perhaps(referenced.get("replied_to", {}), "id")
        versions = _either(item, "edit_history_tweet_ids") or []
        return cls(
            word(item, "id"),
            tuple(word({"id": each}, "id") for each in _sequence(versions, "edit_history")),
            _person(item.get("_author"), word(item, "author_id")),
            _unwrapped(text, mappings(entities, "urls")),
            from_text(item.get("created_at")),
            parent or perhaps({"id": _either(item, "in_reply_to_tweet_id")}, "id"),
            perhaps(item, "in_reply_to_user_id"),
            {perhaps(m, "id"): perhaps(m, "username") for m in mappings(entities, "mentions")},
            tuple(map(str, item.get("_quoted") or ())) if "quoted" in referenced else (),
            repost="retweeted" in referenced or "reposted" in referenced,
            language=perhaps(item, "lang"),
            attachments=tuple(map(_media_of, mappings(item, "_media"))),
        )

    @classmethod
    def _v1(cls, item: dict[str, Any]) -> Self:
        long = mapping(item.get("extended_tweet") or {}, "extended_tweet")
        entities = mapping(long.get("entities") or item.get("entities") or {}, "entities")
        more = mapping(
            long.get("extended_entities") or item.get("extended_entities") or {},
            "extended_entities",
        )
        media = mappings(more, "media") or mappings(entities, "media")
        text = perhaps(long, "full_text") or perhaps(item, "full_text") or item.get("text")
        if not isinstance(text, str):
            raise PayloadError(f"text is {text!r:.60}; it must be a string")
        user = mapping(item.get("user"), "user")
        quoted = mapping(item.get("quoted_status") or {}, "quoted_status")
        quoted_by = perhaps(mapping(quoted.get("user") or {}, "user"), "id_str")
        history = mapping(item.get("edit_history") or {}, "edit_history")
        versions = _either(history, "edit_tweet_ids") or []
        stamp = item.get("timestamp_ms")
        return cls(
            word(item, "id_str"),
            tuple(word({"id": each}, "id") for each in _sequence(versions, "edit_history")),
            _person(user, word(user, "id_str")),
            _unwrapped(text, [*mappings(entities, "urls"), *media]),
            from_epoch(stamp, 0.001) if stamp else from_text(item.get("created_at")),
            perhaps(item, "in_reply_to_status_id_str"),
            perhaps(item, "in_reply_to_user_id_str"),
            {
                perhaps(m, "id_str"): perhaps(m, "screen_name")
                for m in mappings(entities, "user_mentions")
            },
            (quoted_by,) if quoted_by else (),
            repost=bool(item.get("retweeted_status")),
            language=perhaps(item, "lang"),
            attachments=tuple(map(_media_of, media)),
        )

    def message(self, channel: str, me: str, *, summoned: bool, raw: str) -> Message:
        """Return it as a message; names that X or its author put in front are left out."""
        own = self.author.id == me
        names = None if own and self.parent else [self.named.get(me, "")]
        return Message(
            channel,
            "post" if own or summoned or self.summons(me) else "overheard",
            self.first,
            self.author,
            _unaddressed(self.text, names),
            self.at,
            parent=self.parent or None,
            language=None if self.language in ("", "und", "zxx", "qme") else self.language,
            attachments=self.attachments,
            permalink=f"https://x.com/{self.author.handle or 'i'}/status/{self.id}",
            raw=raw,
        )

    def summons(self, me: str) -> bool:
        """Say whether its author addressed us, so that X lets an app answer."""
        return me in self.named or me in self.quoted or self.answers == me


def _sequence(value: Any, what: str) -> list[Any]:
    """Return a list that is short enough to be read.

    Raises:
        PayloadError: If it is none, or has more than 1,000 items.
    """
    if not isinstance(value, list):
        raise PayloadError(f"{what} is {type(value).__name__}, not a list")
    if len(value) > _MOST:
        raise PayloadError(f"{what} has {len(value)} items; at most {_MOST} are read")
    return value


def _joined(items: Iterable[Any], included: Any) -> list[Any]:
    """Put with each item what the answer has beside it: its author, what is attached, quoted."""
    includes = mapping(included or {}, "includes")
    users = {perhaps(each, "id"): each for each in _people(includes)}
    media = {perhaps(each, "media_key"): each for each in mappings(includes, "media")}
    posts = {perhaps(each, "id"): each for each in _listed(includes, "tweets")}
    return [_with(each, users, media, posts) for each in items]


def _people(includes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [mapping(each.get("data") or each, "a user") for each in mappings(includes, "users")]


def _with(
    item: Any, users: Mapping[str, Any], media: Mapping[str, Any], posts: Mapping[str, Any]
) -> Any:
    if not isinstance(item, dict):
        return item
    more: dict[str, Any] = {}
    author, attached = item.get("author_id") or item.get("sender_id"), item.get("attachments")
    if isinstance(author, str) and author in users:
        more["_author"] = users[author]
    keys = attached.get("media_keys") if isinstance(attached, dict) else None
    if isinstance(keys, list):
        found = [media[key] for key in keys if isinstance(key, str) and key in media]
        more["_media"] = found
    referenced = _either(item, "referenced_tweets")
    if posts and isinstance(referenced, list):
        ids = [r.get("id") for r in referenced if isinstance(r, dict) and r.get("type") == "quoted"]
        quoted = [posts[each] for each in ids if isinstance(each, str) and each in posts]
        more["_quoted"] = [each.get("author_id") for each in quoted]
    return {**item, **more} if more else item


# -- where a list goes on


@attrs.frozen
class _Place:
    """Hold how far a list was read that comes newest first.

    Args:
        since: What is not newer has been read.
        token: The next page of the round that has begun.
        newest: Where the next round ends, once this one has.
    """

    since: str = ""
    token: str = ""
    newest: str = ""

    @classmethod
    def read(cls, value: Any) -> Self:
        found = value if isinstance(value, dict) else {}
        names = [field.name for field in attrs.fields(cls)]
        return cls(**{n: found[n] for n in names if isinstance(found.get(n), str)})

    def after(self, items: Iterable[tuple[str, datetime]], token: str, until: datetime) -> Self:
        """Return where to go on after a page of (id, time), newest first."""
        newest = self.newest or next((name for name, at in items if at <= until), "")
        if token:
            return attrs.evolve(self, token=token, newest=newest)
        return type(self)(newest or self.since)


@attrs.frozen
class _News:
    """Hold what one request gave of a list."""

    items: tuple[Any, ...]
    place: _Place
    fresh: datetime | None = None


def _when(item: Any) -> tuple[str, datetime] | None:
    try:
        return word(item, "id"), from_text(item.get("created_at"))
    except (PayloadError, AttributeError):
        return None


def _places(cursor: str | None) -> dict[str, _Place]:
    try:
        found = mapping(read_json((cursor or "").encode("utf-8", "replace")), "the cursor")
    except PayloadError:
        found = {}
    return {name: _Place.read(found.get(name)) for name in ("mentions", "own", "messages")}


def _at(fact: Fact) -> datetime:
    return fact.message.at if isinstance(fact, Inbound | Outbound) else fact.at


# -- what an answer means


def _pause(response: Response, now: datetime) -> datetime:
    """Return until when to pause; X names the end of the window, and of the day if that is used up.

    Source: https://docs.x.com/fundamentals/rate-limits
    """
    told = [retry_at(response, now)]
    for window in ("x-rate-limit", "x-user-limit-24hour", "x-app-limit-24hour"):
        reset, left = (response.headers.get(f"{window}-{each}") for each in ("reset", "remaining"))
        if reset and (window == "x-rate-limit" or left == "0"):
            told.append(retry_at(Response(429, {"X-RateLimit-Reset": reset}), now))
    latest = max(told)
    return latest if latest > now + _SHORTEST else now + _UNTOLD


def _said(body: Mapping[str, Any], status: int, hide: Iterable[Secret]) -> str:
    """Return what X says is wrong, shortly and without our secrets."""
    problems = body.get("errors")
    inner = problems if isinstance(problems, list) else []
    said = [body.get("detail"), *(e.get("message") for e in inner if isinstance(e, dict))]
    said += [body.get("error_description"), body.get("type")]
    words = " ".join(dict.fromkeys(each for each in said if isinstance(each, str)))
    for secret in hide:
        words = words.replace(secret.reveal(), "…")
    return f"{status} {' '.join(words.split())}"[:_TOLD].strip()


def _body(response: Response) -> dict[str, Any]:
    try:
        found = response.json()
    except PayloadError:
        found = None
    return found if isinstance(found, dict) else {}


def _account(status: int, said: str) -> NeedsAuth | None:
    """Return what is wrong with the account or the app, if that is why we are refused."""
    if status == 402:
        return NeedsAuth(f"no credits are left at X, buy some at console.x.com: {said}")
    if status == 401:
        return NeedsAuth(f"the token is not accepted: {said}")
    if status == 403 and not _MESSAGE.search(said) and not _TWICE.search(said):
        return NeedsAuth(f"X does not let the app or the account do this: {said}")
    return None


def _canonical(text: str) -> str:
    """Return what remains of a text whichever way X shows it (RELIABILITY 2.5)."""
    words = _SCHEME.sub("", storable(_unaddressed(" ".join(text.split()), None))).split()
    return " ".join(each.rstrip("/") for each in words)


@attrs.frozen
class X:
    """Serve one account on X.

    Args:
        user_id: The account's id.
        token: Its OAuth 2.0 user token, with `tweet.read users.read tweet.write dm.read dm.write`.
        refresh_token: What `renew` makes a new token with (scope `offline.access`); X gives a new
            one each time, which the desk keeps.
        client_id: The app's OAuth 2.0 client id; needed to renew.
        client_secret: Its secret; the app must be a confidential client.
        consumer_secret: The app's API key secret, by which webhooks are proved; several during a
            rotation, the current one first; none where the account is only polled.
        links: Whether public posts may have links, which cost $0.20 each.
        messages: Whether direct messages are polled.
        max_text: The longest post, in X's counting; more than 280 for premium accounts.
        since: What a first poll takes for news (aware); older mentions are history: judged, never
            announced. A day before the poll by default.
        base_url: Where the API is.
        name: The channel's name; another account needs another one.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> shop = X("2244994945", token="from-the-app")
        >>> shop.traits.count("See example.com/returns/how-to-send-it-back")
        27
    """

    user_id: str = attrs.field(validator=_user)
    token: Secret = attrs.field(converter=_token, kw_only=True)
    refresh_token: Secret | None = attrs.field(default=None, converter=_perhaps_token, kw_only=True)
    client_id: str | None = attrs.field(default=None, kw_only=True)
    client_secret: Secret | None = attrs.field(default=None, converter=_perhaps_token, kw_only=True)
    consumer_secret: tuple[Secret, ...] = attrs.field(default=(), converter=_secrets, kw_only=True)
    links: bool = attrs.field(default=False, kw_only=True)
    messages: bool = attrs.field(default=True, kw_only=True)
    max_text: int = attrs.field(default=280, validator=_longest, kw_only=True)
    since: datetime | None = attrs.field(default=None, converter=_moment, kw_only=True)
    base_url: str = attrs.field(default="https://api.x.com", converter=address, kw_only=True)
    name: str = attrs.field(default="x", validator=named, kw_only=True)

    setup: ClassVar[Setup] = _SETUP

    @property
    def traits(self) -> Traits:
        """Return what X can do."""
        long = self.max_text
        return _TRAITS if long == _TRAITS.max_text else attrs.evolve(_TRAITS, max_text=long)

    def using(self, state: ChannelState) -> Self:
        """Return this channel with renewed tokens."""
        known = state.credentials
        refresh = known.get("refresh_token", self.refresh_token)
        return attrs.evolve(self, token=known.get("token", self.token), refresh_token=refresh)

    # -- polled

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch a page of mentions, and where that is the last one, of our posts and messages.

        A first poll reads back as far as `since`, its first page in any case. Our own posts and
        messages wait for the next poll where X refuses to show them, which `check` explains.

        Args:
            cursor: The previous page's cursor; None, or one that is not ours, to begin.

        Raises:
            NeedsAuth: If the token is not accepted, or no credits are left.
            RateLimited: If the account must pause.
            Refused: If X refuses for another reason.
            TransportError: If there is no usable answer; nothing was lost.
            PayloadError: If the answer as a whole cannot be read.
        """
        places = _places(cursor)
        told = yield from self._posts(f"users/{self.user_id}/mentions", places["mentions"])
        facts, unreadable = one_by_one(told.items, lambda item: self._mention(item, told.fresh))
        places["mentions"] = told.place
        if not told.place.token:
            for read in (self._own, self._private):
                try:
                    more, bad = yield from read(places)
                except SendError:
                    continue  # the scope is missing, or its window is used up
                facts, unreadable = (*facts, *more), (*unreadable, *bad)
        return Page(
            tuple(sorted(facts, key=_at)),
            compact({name: attrs.asdict(place) for name, place in places.items()}),
            unreadable,
            any(place.token for place in places.values()),
        )

    def _posts(self, path: str, place: _Place, **more: str) -> Flow[_News]:
        """Fetch a page of posts, newest first; begin the round again if X forgot the page."""
        query = {**_ASKED, **more, "max_results": str(_PAGE)}
        query |= {"since_id": place.since} if place.since else {}
        turned = {**query, "pagination_token": place.token} if place.token else query
        response = yield self._get(path, **turned)
        if response.status == 400 and turned is not query:
            place = _Place(place.since)
            response = yield self._get(path, **query)
        return self._turned(response, place)

    def _turned(self, response: Response, place: _Place) -> _News:
        body = self._content(response)
        items = _joined(_data(body), body.get("includes"))
        token = _next(body)
        moments = [*filter(None, map(_when, items))]
        now = response.at or (moments[0][1] if moments else _UNTIMED)
        fresh = None if place.since else self.since or now - _FRESH
        if fresh is not None and moments and moments[-1][1] < fresh:
            token = ""  # what comes is older than anybody asked for
        return _News(tuple(items), place.after(moments, token, now - _OVERLAP), fresh)

    def _mention(self, item: dict[str, Any], fresh: datetime | None) -> Iterable[Fact]:
        post = _Post.read(item)
        if post.author.id == self.user_id or post.repost:
            return ()
        return self._inbound(post, item, fresh, summoned=True)

    def _inbound(
        self, post: _Post, item: Any, fresh: datetime | None = None, *, summoned: bool = False
    ) -> Iterator[Fact]:
        """Read another's post; an edited one is itself and its edit."""
        message = post.message(self.name, self.user_id, summoned=summoned, raw=compact(item))
        backfill = fresh is not None and message.at < fresh
        yield Inbound(message, backfill)
        if post.id != post.first:
            yield Edit(*message.key, post.id, message.text, message.at, backfill)

    def _own(self, places: dict[str, _Place]) -> Flow[Any]:
        path = f"users/{self.user_id}/tweets"
        news = yield from self._posts(path, places["own"], exclude="retweets")
        read = one_by_one(
            news.items, lambda item: self._outbound(_Post.read(item), item, news.fresh)
        )
        places["own"] = news.place
        return read

    def _outbound(
        self, post: _Post, item: Any, fresh: datetime | None = None
    ) -> Iterator[Outbound]:
        """Read a post of ours: an answer that X's app, or this channel, made."""
        to = "" if post.answers == self.user_id else post.answers
        if not post.repost and post.author.id == self.user_id and (post.parent or to):
            message = post.message(self.name, self.user_id, summoned=True, raw=compact(item))
            backfill = fresh is not None and message.at < fresh
            yield Outbound(message, to or None, backfill=backfill)

    def _private(self, places: dict[str, _Place]) -> Flow[Any]:
        """Fetch a page of direct messages; its place is a time, because X takes no id."""
        if not self.messages:
            return (), ()
        place = places["messages"]
        query = {**_ASKED_MESSAGES, "max_results": str(_MESSAGES)}
        turned = {**query, "pagination_token": place.token} if place.token else query
        response = yield self._get("dm_events", **turned)
        if response.status == 400 and turned is not query:
            place = _Place(place.since)
            response = yield self._get("dm_events", **query)
        body = self._content(response)
        items, token = _joined(_data(body), body.get("includes")), _next(body)
        moments = [*filter(None, map(_when, items))]
        now = response.at or (moments[0][1] if moments else _UNTIMED)
        known = from_text(place.since) if place.since else None
        fresh = None if known else self.since or now - _FRESH
        end = known or fresh
        if end is not None and moments and moments[-1][1] <= end:
            token = ""
        times = [(at.isoformat(), at) for _, at in moments]
        places["messages"] = place.after(times, token, now - _OVERLAP)
        return one_by_one(items, lambda item: self._message(item, known, fresh))

    def _message(
        self, item: dict[str, Any], known: datetime | None, fresh: datetime | None
    ) -> Iterator[Fact]:
        """Read a direct message of version 2, between two."""
        if perhaps(item, "event_type") not in ("", "MessageCreate"):
            return
        at = from_text(item.get("created_at"))
        if known is not None and at <= known:
            return
        ends = word(item, "dm_conversation_id").split("-")
        others = [each for each in ends if each != self.user_id]
        if len(ends) != 2 or len(others) != 1:
            raise PayloadError("a message of a group conversation, which is not read")
        entities = mapping(item.get("entities") or {}, "entities")
        text = _unwrapped(perhaps(item, "text"), mappings(entities, "urls"))
        author = _person(item.get("_author"), word(item, "sender_id"))
        media = tuple(map(_media_of, mappings(item, "_media")))
        backfill = fresh is not None and at < fresh
        yield self._spoken(word(item, "id"), author, others[0], text, at, media, item, backfill)

    def _spoken(
        self,
        name: str,
        author: Author,
        customer: str,
        text: str,
        at: datetime,
        media: tuple[Attachment, ...],
        item: Any,
        backfill: bool = False,
    ) -> Fact:
        message = Message(
            self.name,
            "message",
            name,
            author,
            text,
            at,
            customer,
            visibility=Visibility.private,
            attachments=media,
            raw=compact(item),
        )
        if author.id == self.user_id:
            return Outbound(message, customer, backfill=backfill)
        return Inbound(message, backfill)

    # -- told by webhooks

    def receive(self, hook: Webhook) -> Delivery:
        """Answer the check of a `crc_token`, or read a webhook that is proved genuine.

        X signs no time: a body that is sent again is genuine, and changes nothing, because what
        it reports is known by X's own ids. A body of more than 20,000 values goes into
        quarantine unread.

        Args:
            hook: The request as it arrived.

        Raises:
            WebhookRejected: If it is not proved genuine, or there is no `consumer_secret`.
            PayloadError: If it is genuine and cannot be read as a whole.
        """
        if not self.consumer_secret:
            raise WebhookRejected("no consumer_secret: nothing proves a webhook of X genuine")
        if hook.method == "GET":
            return Delivery(response=self._crc(hook))
        if hook.method != "POST":
            raise WebhookRejected(f"{hook.method:.10} is no way to deliver a webhook", status=405)
        if len(hook.body) > MAX_BODY:
            raise WebhookRejected(f"body of {len(hook.body)} bytes is over the limit", status=413)
        given = hook.headers.all(_TRAITS.signature)
        if len(given) > 1:
            raise WebhookRejected(f"{_TRAITS.signature} is there {len(given)} times")
        verify_x(self.consumer_secret, hook.body, *(given or (None,)))
        if sum(map(hook.body.count, (b",", b"{", b"["))) > _MAX_VALUES:
            raise PayloadError(f"the body may have more than {_MAX_VALUES} values")
        read = self._gather(mapping(read_json(hook.body), "the body"), hook.at)
        return attrs.evolve(read, response=Response(200, at=hook.at))

    def _crc(self, hook: Webhook) -> Response:
        tokens = hook.query.all("crc_token")
        token = tokens[0] if len(tokens) == 1 else None
        answer = compact({"response_token": x_crc_answer(self.consumer_secret[0], token)})
        return Response(200, {"Content-Type": "application/json"}, answer.encode(), hook.at)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined item again: a webhook, a post or a direct message.

        Args:
            raw: The item as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it still cannot be read.
            InvalidValue: If it still cannot be read.
        """
        item = mapping(read_json(raw), "the item")
        if "for_user_id" in item or "data" in item:
            return self._gather(item, _UNTIMED)
        if "dm_conversation_id" in item:
            return Delivery(tuple(self._message(item, None, None)))
        return Delivery(tuple(self._either_way(item)))

    def _either_way(self, item: dict[str, Any]) -> Iterator[Fact]:
        """Read a post whose author may be us."""
        post = _Post.read(item)
        if post.author.id == self.user_id:
            yield from self._outbound(post, item)
        elif not post.repost:
            yield from self._inbound(post, item)

    def _gather(self, body: dict[str, Any], at: datetime) -> Delivery:
        """Read every event; one that cannot be read goes into quarantine alone."""
        events = [body] if "data" in body else [*_alone(body)]
        return Delivery(*one_by_one(events, lambda event: self._event(event, at)))

    def _event(self, event: dict[str, Any], at: datetime) -> Iterable[Fact]:
        if "data" in event:
            return self._activity(mapping(event["data"], "data"), at)
        about = event.get("for_user_id")
        if about != self.user_id:
            raise PayloadError(f"the event is about {about!r:.60}, not about {self.user_id}")
        name = next(each for each in event if each not in _BESIDE)
        if not name.endswith("_events"):
            raise PayloadError(f"an event of a kind that is not known here: {name:.60}")
        item = mapping(event[name][0], name)
        match name:
            case "tweet_create_events" | "post_create_events":
                return self._either_way(item)
            case "tweet_delete_events" | "post_delete_events":
                status = mapping(item.get("status"), "status")
                return self._gone(word(status, "id"), from_epoch(item.get("timestamp_ms"), 0.001))
            case "direct_message_events":
                return self._direct(item, mapping(event.get("users") or {}, "users"))
            case "favorite_events":
                return self._liked(item)
            case _:
                return ()  # follows, blocks, typing and the like: nobody said anything

    def _activity(self, data: dict[str, Any], at: datetime) -> Iterable[Fact]:
        """Read an event of the X Activity API.

        Source: https://docs.x.com/x-api/activity/event-payloads
        """
        kind, payload = word(data, "event_type"), mapping(data.get("payload"), "payload")
        about = mapping(data.get("filter") or {}, "filter").get("user_id")
        if about != self.user_id:
            raise PayloadError(f"the event is about {about!r:.60}, not about {self.user_id}")
        if kind.startswith("chat."):
            raise PayloadError("an encrypted chat, which no API can read: answer it in X's own app")
        if kind in ("dm.received", "dm.sent"):
            users = mapping(payload.get("users") or {}, "users")
            events = _sequence(payload.get("direct_message_events"), "direct_message_events")
            several = [self._direct(mapping(each, "the message"), users) for each in events]
            return [fact for facts in several for fact in facts]
        if kind == "post.delete":  # the event has no time: when it came is the nearest
            return self._gone(word(payload, "id"), at)
        if kind.startswith("post.") and kind.endswith("create"):
            (item,) = _joined([payload], data.get("includes"))
            return self._either_way(item)
        return ()

    def _gone(self, name: str, at: datetime) -> Iterable[Fact]:
        """Report that a post of ours is gone; X tells of no others."""
        return (Removal(self.name, "post", name, at),)

    def _direct(self, item: dict[str, Any], users: Mapping[str, Any]) -> Iterator[Fact]:
        """Read a direct message of the webhooks."""
        if perhaps(item, "type") != "message_create":
            raise PayloadError(f"a message of the type {item.get('type')!r:.60}")
        content = mapping(item.get("message_create"), "message_create")
        sender = word(content, "sender_id")
        target = word(mapping(content.get("target"), "target"), "recipient_id")
        if self.user_id not in (sender, target) or sender == target:
            raise PayloadError(f"from {sender!r:.60} to {target!r:.60}, neither or both are us")
        data = mapping(content.get("message_data"), "message_data")
        entities = mapping(data.get("entities") or {}, "entities")
        media = mapping(
            mapping(data.get("attachment") or {}, "attachment").get("media") or {}, "media"
        )
        links = [*mappings(entities, "urls"), *([media] if media else [])]
        text = _unwrapped(perhaps(data, "text"), links)
        author = _person(users.get(sender), sender)
        at = from_epoch(item.get("created_timestamp"), 0.001)
        listed = (_media_of(media),) if media else ()
        customer = target if sender == self.user_id else sender
        yield self._spoken(word(item, "id"), author, customer, text, at, listed, item)

    def _liked(self, item: dict[str, Any]) -> Iterator[Fact]:
        """Report that somebody likes a post of ours."""
        liked, user = mapping(item.get("favorited_status"), "favorited_status"), item.get("user")
        author = _person(user, word(mapping(user, "user"), "id_str"))
        if _Post.read(liked).author.id == self.user_id != author.id:
            at = from_epoch(item.get("timestamp_ms"), 0.001)
            yield Reaction(self.name, "post", _Post.read(liked).first, author, "❤", at)

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post a reply or an announcement, or send a direct message.

        X itself puts the customer's name in front of a reply; it takes nothing of the 280. A
        refusal for words that were sent before is `Ambiguous` once there was an earlier attempt:
        those words may be its own.

        Args:
            message: What to send.

        Raises:
            Unsupported: If X cannot express it, has not summoned us, or would charge for a link;
                nothing was asked then.
            SendError: One of its kinds says what became of it.
        """
        request = self._request(message)
        try:
            response = yield request
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        return self._receipt(response, message)

    def _request(self, message: Outgoing) -> Request:
        check_powers(message, self.traits)
        kind, parent = message.reply_to or ("", "")
        if message.visibility is Visibility.private:
            self._fits(message.text, len(message.text), _MAX_MESSAGE)
            to = quote(message.to.id, safe="")
            return self._post(f"dm_conversations/with/{to}/messages", {"text": message.text})
        if kind == "overheard":
            raise Unsupported(f"the author of {parent} has not summoned us: {_ELSEWHERE}")
        if kind not in ("", "post"):
            raise Unsupported(f"a public answer to a {kind}: it would show what was private")
        self._fits(message.text, self.traits.count(message.text), self.max_text)
        if not self.links and _has_link(message.text):
            raise Unsupported(f"a link in a public post: {_TRAITS.unsupported['links']}")
        reply = {"reply": {"in_reply_to_tweet_id": parent}} if parent else {}
        return self._post("tweets", {"text": message.text, **reply})

    def _fits(self, text: str, length: int, most: int) -> None:
        if not text.strip() or length > most:
            raise Unsupported(f"the text counts {length}; X takes 1 to {most}: send several parts")

    def _receipt(self, response: Response, message: Outgoing) -> Receipt:
        """Say what the answer to a post means (RELIABILITY 2.3)."""
        status, body = response.status, _body(response)
        said = _said(body, status, self._hidden())
        if 200 <= status < 300:
            return self._posted(body, message, said, response.at or message.queued_at)
        if status == 429:
            until = _pause(response, response.at or message.queued_at)
            raise RateLimited(f"the account must pause: {said}", until)
        if status == 408 or not 300 <= status < 500:
            raise Ambiguous(f"X answered {said}")
        if _TWICE.search(said) and message.first_sent_at is not None:
            raise Ambiguous(f"X says that these words are there already, perhaps by us: {said}")
        if (held := _account(status, said)) is not None:
            raise held
        instead = f"; {_ELSEWHERE}" if _NOT_ENGAGED.search(said) else ""
        raise Refused(f"X refused it: {said}{instead}")

    def _posted(
        self, body: Mapping[str, Any], message: Outgoing, said: str, at: datetime
    ) -> Receipt:
        private = message.visibility is Visibility.private
        try:
            data = mapping(body.get("data"), "data")
            name = word(data, "dm_event_id" if private else "id")
        except PayloadError as error:
            raise Ambiguous(f"accepted, but as what? {error} ({said})") from None
        return Receipt(name, at, None if private else f"https://x.com/i/status/{name}")

    # -- looking

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for our own post, or direct message, among all since the first attempt.

        A match needs the same words, the post that it answers, a time not before the attempt, and
        an id that no other reply of ours has (RELIABILITY 2.5).

        Args:
            message: What may have been sent.
        """
        begun = (message.first_sent_at or message.queued_at) - _SKEW
        path, query = self._where(message, begun)
        token = ""
        try:
            for _ in range(_LOOKS):
                turned = {**query, "pagination_token": token} if token else query
                response = yield self._get(path, **turned)
                body = self._content(response)
                items, token = _data(body), _next(body)
                found, passed = self._match(items, message, begun)
                if found is not None or passed or not token:
                    return Found(found)
        except (TransportError, PayloadError, InvalidValue, SendError) as error:
            return Found(looked=False, why=str(error))
        return Found(looked=False, why=f"more than {_LOOKS} pages since the first attempt")

    def _where(self, message: Outgoing, begun: datetime) -> tuple[str, dict[str, str]]:
        """Return where a message of ours would be: X lists both newest first."""
        most = {"max_results": str(_PAGE)}
        if message.visibility is Visibility.private:
            with_them = f"dm_conversations/with/{quote(message.to.id, safe='')}/dm_events"
            return with_them, {**_ASKED_MESSAGES, **most}
        start = begun.strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = {"tweet.fields": _POSTS, "exclude": "retweets", "start_time": start}
        return f"users/{self.user_id}/tweets", {**fields, **most}

    def _match(
        self, items: Iterable[Any], message: Outgoing, begun: datetime
    ) -> tuple[Receipt | None, bool]:
        """Return the oldest item that is this message, and whether all was read back to it."""
        found, passed, wanted = None, False, _canonical(message.text)
        for each in items:
            item = mapping(each, "the item")
            at = from_text(item.get("created_at"))
            passed = passed or at < begun
            read = self._theirs if message.visibility is Visibility.private else self._ours
            name, text = read(item, message)
            if at >= begun and name not in ("", *message.known) and _canonical(text) == wanted:
                private = message.visibility is Visibility.private
                found = Receipt(name, at, None if private else f"https://x.com/i/status/{name}")
        return found, passed

    def _ours(self, item: dict[str, Any], message: Outgoing) -> tuple[str, str]:
        """Return the id and words of a post of ours, if it answers what this message answers."""
        post = _Post.read(item)
        parent = message.reply_to[1] if message.reply_to else ""
        answers = post.parent == parent and not post.repost
        return (post.first if answers else ""), post.text

    def _theirs(self, item: dict[str, Any], _: Outgoing) -> tuple[str, str]:
        """Return the id and words of a direct message, if we wrote it."""
        if perhaps(item, "sender_id") != self.user_id:
            return "", ""
        entities = mapping(item.get("entities") or {}, "entities")
        text = _unwrapped(perhaps(item, "text"), mappings(entities, "urls"))
        return word(item, "id"), text

    # -- listening

    def search(self, query: str, cursor: str | None) -> Flow[Page]:
        """Fetch a page of what people said in the last seven days; each post costs $0.005.

        Reposts and our own posts are left out. The first page is the newest; what is older than
        that is not fetched, because it would cost as much.

        Args:
            query: As X's own search takes it.
            cursor: The previous page's cursor; None, or one that is not ours, to begin.

        Raises:
            SendError: If X refuses.
            TransportError: If there is no usable answer.
            PayloadError: If the answer as a whole cannot be read.
        """
        asked = f"({query}) -is:retweet -from:{self.user_id}"
        path, place = "tweets/search/recent", _places(cursor)["mentions"]
        try:
            news = yield from self._posts(path, place, query=asked)
        except Refused:
            if not place.since:
                raise
            place = _Place()  # where we stood is older than what X searches
            news = yield from self._posts(path, place, query=asked)
        facts, unreadable = one_by_one(news.items, self._overheard)
        after = news.place if place.since else _Place(news.place.newest or news.place.since)
        cursor = compact({"mentions": attrs.asdict(after)})
        return Page(tuple(sorted(facts, key=_at)), cursor, unreadable, bool(after.token))

    def _overheard(self, item: dict[str, Any]) -> Iterable[Fact]:
        post = _Post.read(item)
        own = post.author.id == self.user_id
        return () if own or post.repost else self._inbound(post, item)

    # -- how it is

    def check(self) -> Flow[Health]:
        """Ask whose token it is, and whether it may read mentions and direct messages.

        What it may write cannot be tried.
        """
        problems: list[str] = []
        notes: list[str] = []
        try:
            yield from self._check_account(problems)
            yield from self._check_reads(problems)
        except NeedsAuth as error:
            problems.append(f"{error}; let the account authorize the app again, with all scopes")
        except (SendError, PayloadError, TransportError) as error:
            problems.append(f"X gave no usable answer: {error}")
        if not (self.refresh_token and self.client_id and self.client_secret):
            notes.append(
                "the token ends two hours after it was made: give refresh_token, client_id and "
                "client_secret"
            )
        if not self.consumer_secret:
            notes.append("no webhooks are taken: they need consumer_secret")
        return Health(not problems, tuple(problems), tuple(notes))

    def _check_account(self, problems: list[str]) -> Flow[None]:
        response = yield self._get("users/me")
        me = mapping(self._content(response).get("data"), "data")
        if word(me, "id") != self.user_id:
            problems.append(
                f"the token is that of @{perhaps(me, 'username'):.60} ({me['id']:.60}), not of "
                f"account {self.user_id}: authorize the app as that account"
            )

    def _check_reads(self, problems: list[str]) -> Flow[None]:
        reads = {f"users/{self.user_id}/mentions": ("tweet.read and users.read", _FEWEST)}
        if self.messages:
            reads["dm_events"] = ("dm.read (or pass messages=False)", 1)
        for path, (scope, least) in reads.items():
            response = yield self._get(path, max_results=str(least))
            if response.status == 403:
                said = _said(_body(response), 403, self._hidden())
                problems.append(f"the token lacks {scope}: {said}")
            else:
                _data(self._content(response))

    def renew(self) -> Flow[ChannelState]:
        """Make a new token with the refresh token, and take the new one of that.

        X takes a refresh token once: if the answer is lost, the account must authorize again.

        Raises:
            NeedsAuth: If what it takes is missing, or X no longer takes it.
            RateLimited: If X takes no more requests now.
            TransportError: If there is no usable answer.
            PayloadError: If the answer cannot be read.
        """
        refresh, secret, client_id = self.refresh_token, self.client_secret, self.client_id
        if refresh is None or secret is None or not client_id:
            raise NeedsAuth(
                "refresh_token, client_id and client_secret are needed for a new token: give all "
                "three, or authorize the app again"
            )
        try:
            body = self._content((yield self._refresh(refresh, secret, client_id)))
        except (Refused, NeedsAuth) as error:
            raise NeedsAuth(f"no new token, authorize the app again: {error}") from None
        following = perhaps(body, "refresh_token") or refresh
        credentials = {"token": _token(word(body, "access_token")), "refresh_token": following}
        return ChannelState(self.name, credentials={n: Secret(v) for n, v in credentials.items()})

    def _refresh(self, token: Secret, secret: Secret, client_id: str) -> Request:
        form = {"grant_type": "refresh_token", "refresh_token": token.reveal()}
        pair = base64.b64encode(f"{client_id}:{secret.reveal()}".encode()).decode()
        headers = {
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url = f"{self.base_url}/2/oauth2/token"
        return Request("POST", url, headers, urlencode(form).encode())

    # -- what it costs

    def cost_of(self, request: Request, response: Response | None = None) -> tuple[str, Decimal]:
        """Return what X charges for a request of this channel, to be added up by purpose.

        A write is charged as such, whatever came of it; a read for each thing in its answer,
        and without one for as many as it asked for. A thing that was read twice on one UTC day is
        charged once, which is not known here: the sum is never too small for posts and messages.
        Whether X charges for the authors it adds to posts is not documented: they are left out.

        Args:
            request: The request.
            response: Its answer, if there was one.

        Returns:
            The purpose, a key of `traits.cost`, and US dollars; `""` and 0 for what is free.

        Example:
            >>> shop = X("2244994945", token="from-the-app")
            >>> shop.cost_of(Request("POST", "https://api.x.com/2/tweets", body=b'{"text":"Hi"}'))
            ('announcement', Decimal('0.015'))
        """
        parts = urlsplit(request.url)
        path = parts.path.removeprefix(urlsplit(self.base_url).path)
        purpose = _purpose(request.method, path, request.body)
        if not purpose:
            return "", Decimal(0)
        price = Decimal(_PRICES[purpose])
        if request.method == "POST" or purpose == "account":
            return purpose, price
        asked = re.search(r"(?:^|&)max_results=([0-9]{1,3})", parts.query)
        count = int(asked[1]) if asked else _PAGE
        if response is not None:
            data = _body(response).get("data")
            count = len(data) if isinstance(data, list) else 0
        return purpose, price * count

    # -- requests

    def _hidden(self) -> tuple[Secret, ...]:
        several = (self.token, self.refresh_token, self.client_secret, *self.consumer_secret)
        return tuple(each for each in several if each is not None)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.reveal()}"}

    def _get(self, path: str, **query: str) -> Request:
        asked = f"?{urlencode(query)}" if query else ""
        return Request("GET", f"{self.base_url}/2/{path}{asked}", self._headers())

    def _post(self, path: str, content: Mapping[str, Any]) -> Request:
        headers = {**self._headers(), "Content-Type": "application/json"}
        body = compact(content).encode("utf-8", "replace")
        return Request("POST", f"{self.base_url}/2/{path}", headers, body, posts=True)

    def _content(self, response: Response) -> dict[str, Any]:
        """Return what a read gave, or raise what it means that it gave nothing."""
        status = response.status
        if status == 200:
            return mapping(response.json(), "the answer")
        said = _said(_body(response), status, self._hidden())
        if status == 429:
            until = _pause(response, response.at or _UNTIMED)
            raise RateLimited(f"the account must pause: {said}", until)
        if (held := _account(status, said)) is not None:
            raise held
        if 300 <= status < 500 and status != 408:
            raise Refused(f"X refused to tell: {said}")
        raise TransportError(f"X answered {said}", sent=True)


#: What stands beside the events of a webhook of the Account Activity API.
_BESIDE = frozenset({"for_user_id", "users", "apps", "user_has_blocked", "is_blocked_by"})
_PURPOSES: tuple[tuple[str, str], ...] = (
    (r"GET /2/users/me", "account"),
    (r"GET /2/users/[0-9]+/mentions", "mentions"),
    (r"GET /2/users/[0-9]+/tweets", "own posts"),
    (r"GET /2/tweets/search/recent", "search"),
    (r"GET /2/dm_(events|conversations/.*)", "messages read"),
    (r"POST /2/dm_conversations/.*", "message"),
    (r"POST /2/tweets", "announcement"),
)


def _alone(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Write each event as a webhook of its own, which can be read again."""
    names = [name for name in body if name not in _BESIDE]
    if not names:
        raise PayloadError("the body has no events")
    users = mapping(body.get("users") or {}, "users")
    several = {name: body[name] for name in names if isinstance(body[name], list)}
    if sum(map(len, several.values())) > _MOST:
        raise PayloadError(f"the body has more than {_MOST} events")
    for name in names:
        for item in several.get(name, [body[name]]):
            about = {each: users[each] for each in _ends(item) if each in users}
            known = {"users": about} if about else {}
            yield {"for_user_id": body.get("for_user_id"), name: [item], **known}


def _ends(item: Any) -> list[str]:
    """Return who wrote to whom, as far as that can be told."""
    content = item.get("message_create") if isinstance(item, dict) else None
    found = content if isinstance(content, dict) else {}
    target = found.get("target")
    ends = (found.get("sender_id"), target.get("recipient_id") if isinstance(target, dict) else "")
    return [each for each in ends if isinstance(each, str)]


def _data(body: Mapping[str, Any]) -> list[Any]:
    """Return the things in an answer; one that does not say that there are none proves nothing."""
    found, meta = body.get("data"), body.get("meta")
    if found is None and isinstance(meta, dict) and meta.get("result_count") == 0:
        return []
    if found is None:
        raise PayloadError(f"an answer without data: {_said(body, 200, ())}")
    return _sequence(found, "data")


def _next(body: Mapping[str, Any]) -> str:
    return perhaps(mapping(body.get("meta") or {}, "meta"), "next_token")


def _has_link(text: str) -> bool:
    return "://" in text or bool(x_urls(text))


def _purpose(method: str, path: str, body: bytes) -> str:
    asked = f"{method} {path}"
    purpose = next((name for shape, name in _PURPOSES if re.fullmatch(shape, asked)), "")
    if purpose != "announcement":
        return purpose
    try:
        content = mapping(read_json(body), "the post")
    except PayloadError:
        return purpose
    if _has_link(perhaps(content, "text")):
        return "post with a link"
    return "reply" if content.get("reply") else purpose
