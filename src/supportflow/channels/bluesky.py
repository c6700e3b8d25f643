"""Answer mentions, replies, quotes and direct messages on Bluesky and servers that speak its API.

In: notifications and our own posts are read from the newest backwards, as far as the reading
before, and ten minutes further. Direct messages come from the log of the chat service. Out: one
record, written under a key that our outbox row alone decides: written twice, it is still one post.

The chat service is closed source. What concerns it is written from its published lexicons and
proved against a strict local double alone; everything else was also run against a real server.

Sources: https://docs.bsky.app/docs/api/, https://docs.bsky.app/docs/advanced-guides/rate-limits,
https://atproto.com/specs/xrpc, https://atproto.com/specs/tid and the lexicons, in
https://github.com/bluesky-social/atproto/tree/main/lexicons. (Over 300 lines, because a network
is one file.)
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import urlencode, urlsplit

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
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import items, one_by_one
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError, Unsupported
from supportflow.flow import Flow
from supportflow.http import Request, Response, read_json, retry_at
from supportflow.model import (
    Attachment,
    Author,
    ChannelState,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Secret,
    Visibility,
    aware,
)
from supportflow.text import storable
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.moments import from_epoch, from_text

__all__ = ["Bluesky"]

T = TypeVar("T")

_POST = "app.bsky.feed.post"
#: The most that one request gives of any list.
_MANY = 100
#: How much is read again: what was written offline, or late, comes out of order. Ours.
_OVERLAP = timedelta(minutes=10)
#: What a first poll takes for news unless `since` is given. Ours.
_FRESH = timedelta(days=1)
#: How far the platform's clock may be behind ours.
_SKEW = timedelta(seconds=5)
#: How many talks a first poll, and how many names or pages a message, is looked up for. Ours.
_TALKS, _LOOKS = 25, 10
#: The field of our records that carries our mark; lexicons let a record have fields of others.
_MARK = "supportflowMark"
_UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)

# Where the app shows posts and talks, and where its network keeps pictures and videos:
# https://github.com/bluesky-social/atproto/blob/main/packages/bsky/src/image/uri.ts
_APP = "https://bsky.app"
_PICTURE = "https://cdn.bsky.app/img/feed_fullsize/plain/{}/{}"
_VIDEO = "https://video.bsky.app/watch/{}/{}/playlist.m3u8"
_CHAT = "did:web:api.bsky.chat#bsky_chat"

_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"  # https://atproto.com/specs/tid
_URI = re.compile(r"at://(did:[a-z]+:[\w.:%-]{1,2000})/([\w.-]{1,317})/([\w.~:-]{1,512})\Z")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z0-9]{1,8}){0,4}\Z")
# What Bluesky's own app makes links of:
# https://github.com/bluesky-social/atproto/blob/main/packages/api/src/rich-text/detection.ts
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_NAME = re.compile(rf"(?<![^\s(])@((?:{_LABEL}\.)+[a-zA-Z](?:[a-zA-Z0-9-]{{0,61}}[a-zA-Z0-9])?)\b")
_LINK = re.compile(r"(?<![^\s(])https?://[^\s/]\S*", re.IGNORECASE)
_TAG = re.compile(r"(?<!\S)[#＃]([^\s\u00ad\u200a-\u200d\u2060\u20e2]+)")

_POWERS = ("announcement", "card")

_TRAITS = Traits(
    "bluesky",
    max_text=300,
    # 1,000 graphemes and 10,000 bytes: lexicons/chat/bsky/convo/defs.json
    max_private=1_000,
    private_counting="bluesky",
    # Written twice under its key a post is one post; direct messages have no key, so that all
    # are looked for before anything is sent again.
    reconcile=Reconcile.read,
    counting="bluesky",
    settle=timedelta(seconds=15),
    visibilities=("public", "private"),
    powers=_POWERS,
    rates={
        "posts": "5,000 points an hour and 35,000 a day, of which a post takes 3",
        "requests": "3,000 in 5 minutes from one address",
        "sessions": "30 in 5 minutes and 300 a day; some servers allow 100 a day",
    },
    unsupported={
        "edits": "the network has none: people delete and write again",
        "deletions": "nobody is told; an answer to a deleted post is refused",
        "attachments": "put a link into the text",
        "quick_replies": "ask in the text",
        "read receipts": "the network has none in public, and tells none of the others",
        "blocked and muted people": "the server leaves their words out; the account can unmute",
    },
)


def _url(value: str) -> str:
    """Return a server's address: https, or http on this machine."""
    text = value if "://" in str(value) else f"https://{value}"
    parts = urlsplit(text)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not local) or not host:
        raise InvalidValue(f"{parts.scheme}://{host} is no server: https, http for loopback only")
    if extra:
        raise InvalidValue(f"give the server alone, as in {parts.scheme}://{host}")
    return f"{parts.scheme}://{parts.netloc}"


def _identifier(value: str) -> str:
    name = value.strip().removeprefix("@") if isinstance(value, str) else ""
    if not name:
        raise InvalidValue(f"identifier is {value!r:.60}; give a handle such as shop.bsky.social")
    return name


def _moment_of(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "since")


# -- what is remembered


@attrs.frozen
class _Known:
    """Hold whose account it is, and why its direct messages were not read; it is persisted."""

    of: str = ""
    did: str = ""
    handle: str = ""
    chat: str = ""

    @classmethod
    def read(cls, learned: Mapping[str, Any]) -> _Known:
        names = attrs.fields_dict(cls)
        return cls(**{n: v for n, v in learned.items() if n in names and isinstance(v, str)})


@attrs.frozen
class _Session:
    """Hold an account and what proves that we may act for it."""

    did: str
    handle: str
    access: Secret
    refresh: Secret | None = None

    @classmethod
    def read(cls, answer: Any, access: Secret | None = None) -> _Session:
        found = mapping(answer, "the session")
        if found.get("active") is False:
            raise NeedsAuth(f"the account is {perhaps(found, 'status') or 'not active'}")
        if access is not None:
            return cls(word(found, "did"), perhaps(found, "handle"), access)
        access, refresh = Secret(word(found, "accessJwt")), Secret(word(found, "refreshJwt"))
        return cls(word(found, "did"), perhaps(found, "handle"), access, refresh)


@attrs.frozen
class _Place:
    """Hold where a list that is read from its newest item backwards goes on.

    Attributes:
        until: What was before this had been read; what a first reading takes for history.
        newest: The newest item of this reading: where the next one ends.
        page: The platform's cursor; empty to begin.
        first: Whether it is the first reading.
    """

    until: datetime | None = None
    newest: datetime | None = None
    page: str = ""
    first: bool = True

    @classmethod
    def read(cls, value: Any) -> _Place:
        try:
            until, newest, page, first = value
            latest = None if newest is None else from_text(newest)
            return cls(from_text(until), latest, str(page), bool(first))
        except (PayloadError, TypeError, ValueError):
            return cls()

    def written(self) -> list[Any]:
        moments = [each and each.isoformat() for each in (self.until, self.newest)]
        return [*moments, self.page, self.first]

    def history(self, at: datetime) -> bool:
        """Say whether something was there before us."""
        return self.first and self.until is not None and at < self.until


@attrs.frozen
class _News:
    """Hold one page of a list, oldest first, how it was read, and where it goes on."""

    found: tuple[Any, ...]
    place: _Place
    goes_on: _Place
    more: bool


def _news(answer: Any, name: str, place: _Place, since: datetime, at: datetime) -> _News:
    """Read a page backwards; it is the last one if it reaches what was read before.

    A page of records that is not full is the last one too; others may have been sifted.
    """
    found, page = items(answer, name), perhaps(answer, "cursor")
    page = "" if name == "records" and len(found) < _MANY else page
    place = attrs.evolve(place, until=place.until or since)
    moments = [*filter(None, map(_moment, found))]
    with suppress(PayloadError):  # this platform's cursors are times, though none must be
        moments.append(from_text(page))
    newest = place.newest or min(max(moments, default=since), max(at, since))
    reached = bool(moments) and min(moments) < (place.until or since) - _OVERLAP
    more = bool(page) and page != place.page and not reached
    goes_on = attrs.evolve(place, newest=newest, page=page) if more else _Place(newest, first=False)
    return _News(tuple(reversed(found)), place, goes_on, more)


def _moment(item: Any) -> datetime | None:
    """Return when something was; None if it does not say."""
    try:
        return from_text(item.get("indexedAt") or item["value"]["createdAt"])
    except (PayloadError, LookupError, TypeError, AttributeError):
        return None


def _places(cursor: str | None) -> tuple[_Place, _Place, str]:
    """Return where notifications, our own posts and the log of direct messages go on."""
    try:
        found = mapping(read_json((cursor or "").encode("utf-8", "replace")), "the cursor")
    except PayloadError:
        found = {}
    chat = found.get("chat")
    rev = chat if isinstance(chat, str) else ""
    return _Place.read(found.get("told")), _Place.read(found.get("own")), rev


# -- reading


def _author(found: Mapping[str, Any]) -> Author:
    handle = perhaps(found, "handle")
    handle = "" if handle == "handle.invalid" else handle
    return Author(word(found, "did"), perhaps(found, "displayName") or handle, handle)


def _permalink(uri: str) -> str | None:
    found = _URI.match(uri)
    public = found is not None and found[2] == _POST
    return f"{_APP}/profile/{found[1]}/post/{found[3]}" if found and public else None


def _did_of(uri: str) -> str:
    found = _URI.match(uri)
    if found is None:
        raise PayloadError(f"{uri!r:.100} is no at:// address of a record")
    return found[1]


def _slices(record: Mapping[str, Any], kind: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield where marked parts of a text begin and end, in bytes of UTF-8, and what they are."""
    for facet in mappings(record, "facets"):
        index = mapping(facet.get("index"), "index")
        begins, ends = index.get("byteStart"), index.get("byteEnd")
        if isinstance(begins, int) and isinstance(ends, int) and 0 <= begins < ends:
            for feature in mappings(facet, "features"):
                if feature.get("$type") == f"app.bsky.richtext.facet#{kind}":
                    yield begins, ends, feature


def _text(record: Mapping[str, Any], me: str) -> str:
    """Return a record's words without our name in front of them."""
    text = record.get("text")
    if not isinstance(text, str):
        raise PayloadError(f"text is {text!r:.60}; it must be a string")
    raw, begin = text.encode("utf-8", "surrogatepass"), 0
    for begins, ends, feature in sorted(_slices(record, "mention"), key=lambda each: each[:2]):
        if me and feature.get("did") == me and not raw[begin:begins].strip():
            begin = ends
    return raw[begin:].decode("utf-8", "replace").lstrip(" ,:\n") if begin else text


def _attachments(record: Mapping[str, Any], did: str) -> Iterator[Attachment]:
    """List what comes with a record: pictures, a video, a link, what is quoted, longer links."""
    embed = mapping(record.get("embed") or {}, "embed")
    media = mapping(embed.get("media") or embed, "media")
    for item in (*mappings(media, "images"), *mappings(media, "items")):
        yield Attachment("image", _PICTURE.format(did, _blob(item, "image")), perhaps(item, "alt"))
    if "video" in media:
        yield Attachment("video", _VIDEO.format(did, _blob(media, "video")), perhaps(media, "alt"))
    if "external" in media:
        link = mapping(media["external"], "external")
        yield Attachment("link", word(link, "uri"), perhaps(link, "title"))
    if "record" in embed:
        quoted = mapping(embed["record"], "record")
        uri = word(mapping(quoted.get("record") or quoted, "record"), "uri")
        yield Attachment("quote", _permalink(uri) or uri)
    text = perhaps(record, "text")
    for _, _, feature in _slices(record, "link"):
        if word(feature, "uri") not in text:
            yield Attachment("link", word(feature, "uri"))


def _blob(item: Mapping[str, Any], name: str) -> str:
    blob = mapping(item.get(name), name)
    return word(mapping(blob.get("ref"), "ref"), "$link")


def _message(
    channel: str,
    uri: str,
    author: Author,
    record: Mapping[str, Any],
    at: datetime,
    me: str,
    raw: str,
) -> Message:
    """Return a post as a message; its thread is named by the post at its root."""
    reply = mapping(record.get("reply") or {}, "reply")
    root, parent = (
        word(mapping(reply.get(name), name), "uri") if reply else "" for name in ("root", "parent")
    )
    languages = record.get("langs")
    return Message(
        channel,
        "post",
        uri,
        author,
        _text(record, me),
        at,
        thread=root or uri,
        parent=parent or None,
        language=languages[0] if isinstance(languages, list) and _tagged(languages) else None,
        attachments=tuple(_attachments(record, _did_of(uri))),
        permalink=_permalink(uri),
        raw=raw,
    )


def _tagged(languages: list[Any]) -> bool:
    return bool(languages) and isinstance(languages[0], str) and bool(languages[0])


# -- writing


def _rkey(message: Outgoing) -> str:
    """Return the record key of a message: a TID that nothing but its outbox row decides.

    Its time is at most 68 seconds before it was queued; the last 36 bits come from the mark, so
    that rows of one moment have keys of their own. Source: https://atproto.com/specs/tid.
    """
    digest = hashlib.blake2b(message.mark.encode(), digest_size=5).digest()
    spread = int.from_bytes(digest, "big") >> 4
    moment = (int(message.queued_at.timestamp()) - 68) * 1_000_000 + (spread >> 10)
    number = moment << 10 | spread & 0x3FF
    return "".join(_DIGITS[number >> shift & 31] for shift in range(60, -1, -5))


def _moment_in(tid: str) -> datetime | None:
    """Return the time in a TID, or None if it is none."""
    if len(tid) != 13 or not set(tid) <= set(_DIGITS) or tid[0] > "j":
        return None
    number = 0
    for digit in tid:
        number = number << 5 | _DIGITS.index(digit)
    return from_epoch(number >> 10, 0.000_001)


def _clock(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _marked(text: str, begin: int, end: int, feature: Mapping[str, Any]) -> dict[str, Any]:
    """Return a facet; its place is counted in bytes of UTF-8."""
    begins = len(text[:begin].encode("utf-8", "replace"))
    ends = begins + len(text[begin:end].encode("utf-8", "replace"))
    return {"index": {"byteStart": begins, "byteEnd": ends}, "features": [dict(feature)]}


def _links(text: str) -> Iterator[dict[str, Any]]:
    """Yield the links of a text; what only ends its sentence is no part of one."""
    for found in _LINK.finditer(text):
        uri = found[0].rstrip(".,;:!?")
        uri = uri if "(" in uri else uri.rstrip(")")
        feature = {"$type": "app.bsky.richtext.facet#link", "uri": uri}
        yield _marked(text, found.start(), found.start() + len(uri), feature)


def _tags(text: str) -> Iterator[dict[str, Any]]:
    """Yield the tags of a text: of at most 64 characters, and not of digits alone."""
    for found in _TAG.finditer(text):
        tag = found[1]
        while tag and unicodedata.category(tag[-1]).startswith("P"):
            tag = tag[:-1]
        if 0 < len(tag) <= 64 and not all(c.isdigit() or not c.isalnum() for c in tag):
            feature = {"$type": "app.bsky.richtext.facet#tag", "tag": tag}
            yield _marked(text, found.start(), found.start() + 1 + len(tag), feature)


def _embedded(message: Outgoing) -> dict[str, Any] | None:
    """Return a product's card as the platform shows links; it takes no picture by address."""
    card = message.card
    if card is None:
        return None
    if message.visibility is Visibility.private:
        raise Unsupported("Bluesky has no card in direct messages: put its link into the text")
    if card.image:
        raise Unsupported("Bluesky takes no picture by its address: leave out the card's image")
    told = {"uri": card.url, "title": card.title, "description": card.subtitle}
    return {"$type": "app.bsky.embed.external", "external": told}


def _canonical(text: str) -> str:
    return " ".join(storable(text).split())


class _Missing(Refused):
    """Say that there is no such record."""


@attrs.frozen
class Bluesky:
    """Take mentions, replies, quotes and direct messages of one account, and answer them.

    Posts of ours that answer nobody are announcements and are left out. Likes of our posts are
    reactions. A private answer to a public post is a direct message, if the customer takes any.

    Args:
        identifier: The account's handle (or DID, or address), for example `"shop.bsky.social"`.
        password: An app password, made under *Settings → Privacy and security*; for direct
            messages one that may read them.
        service: The account's server; http on loopback only.
        name: The channel's name; another account needs another one.
        direct: Whether to take and send direct messages.
        since: What a first poll takes for news (aware); older ones on its pages are history:
            judged, never announced. A day before the poll by default.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> shop = Bluesky("shop.bsky.social", password="from your settings")
        >>> shop.traits.count("क्या हुआ? 👨‍👩‍👧‍👦") <= shop.traits.max_text
        True
    """

    setup: ClassVar[Setup] = Setup(
        "Answers mentions, replies, quotes and direct messages of one Bluesky account.",
        needs=(
            Need("identifier", "the account's handle, for example shop.bsky.social"),
            Need("password", "an app password of that account, never its own", secret=True),
            Need("service", "the account's server, if it is not https://bsky.social", False, False),
        ),
        steps=(
            "In the app, open Settings, Privacy and security, App passwords, and add one.",
            "Tick 'Allow access to your direct messages', or pass direct=False.",
            "Copy it at once: it is shown a single time.",
            "Under Settings, Notifications, leave mentions, replies and quotes on, from everyone.",
        ),
        scopes={"direct messages": "to read and answer them; posts need no scope"},
        guide="https://docs.bsky.app/docs/get-started",
    )

    identifier: str = attrs.field(converter=_identifier)
    password: Secret = attrs.field(converter=Secret, kw_only=True)
    service: str = attrs.field(default="https://bsky.social", converter=_url, kw_only=True)
    name: str = attrs.field(default="bluesky", validator=named, kw_only=True)
    direct: bool = attrs.field(default=True, kw_only=True)
    since: datetime | None = attrs.field(default=None, converter=_moment_of, kw_only=True)
    _known: _Known = attrs.field(factory=_Known, kw_only=True, repr=False)
    _access: Secret | None = attrs.field(default=None, kw_only=True, repr=False)
    _refresh: Secret | None = attrs.field(default=None, kw_only=True, repr=False)

    @property
    def traits(self) -> Traits:
        """Return what the network can do; in private only where direct messages are wanted."""
        return _TRAITS if self.direct else attrs.evolve(_TRAITS, visibilities=("public",))

    def using(self, state: ChannelState) -> Self:
        """Return this channel with a renewed session, and with what was learned.

        What belongs to another account than `identifier` is left out.
        """
        known, tokens = _Known.read(state.learned), state.credentials
        known = known if known.of else self._known
        if known.of not in ("", self.identifier):
            return self
        access, refresh = tokens.get("access", self._access), tokens.get("refresh", self._refresh)
        return attrs.evolve(self, known=known, access=access, refresh=refresh)

    # -- the session

    def _session(self) -> Flow[_Session]:
        """Return the session that was kept.

        Raises:
            NeedsAuth: If there is none: whoever runs the channel renews it, and keeps it.
        """
        known, access = self._known, self._access
        if access is None:
            raise NeedsAuth(f"{self.identifier} has no session yet: renew() makes one")
        if known.did:
            return _Session(known.did, known.handle, access, self._refresh)
        request = self._request("com.atproto.server.getSession", access)
        return (yield from self._ask(request, lambda answer, _: _Session.read(answer, access)))

    def _session_or_another(self) -> Flow[_Session]:
        """Return the session that was kept; without one, make one for this flow alone."""
        if self._access is None:
            return (yield from self._log_in())
        return (yield from self._session())

    def _log_in(self) -> Flow[_Session]:
        """Make a session.

        Raises:
            NeedsAuth: If the password is not accepted.
        """
        said = {"identifier": self.identifier, "password": self.password.reveal()}
        request = self._request("com.atproto.server.createSession", None, said)
        try:
            return (yield from self._ask(request, lambda answer, _: _Session.read(answer)))
        except Refused as error:
            raise NeedsAuth(f"no session for {self.identifier}: {error}") from None

    def renew(self) -> Flow[ChannelState]:
        """Return the state with a new session: refreshed where it can be, made anew otherwise.

        A session is good for some two hours, and sessions made with a password are counted
        (30 in 5 minutes): keep it.

        Raises:
            NeedsAuth: If the password is not accepted either.
            RateLimited: If there were too many sessions.
            TransportError: If there is no usable answer.
        """
        session = None
        if self._refresh is not None:
            request = self._request("com.atproto.server.refreshSession", self._refresh, {})
            with suppress(NeedsAuth, Refused):
                session = yield from self._ask(request, lambda answer, _: _Session.read(answer))
        if session is None:
            session = yield from self._log_in()
        tokens = {"access": session.access, "refresh": session.refresh or session.access}
        return ChannelState(self.name, credentials=tokens, learned=self._learned(session))

    def _learned(self, session: _Session, chat: str = "") -> dict[str, Any]:
        return attrs.asdict(_Known(self.identifier, session.did, session.handle, chat))

    # -- in

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch a page of notifications; after the last one, our own posts and direct messages.

        Lists are read backwards from their newest item until what was read before; a first poll
        reads as far as `since`. Direct messages that cannot be read hold up nobody else's words:
        `check` says why.

        Args:
            cursor: The previous page's cursor; None, or one that is not ours, to begin.

        Raises:
            NeedsAuth: If the session or the password is not accepted.
            RateLimited: If the account must pause.
            TransportError: If there is no usable answer; nothing was lost.
            PayloadError: If the answer as a whole cannot be read.
        """
        session = yield from self._session()
        told_from, own_from, rev = _places(cursor)
        told = yield from self._told(session, told_from)
        facts, unreadable = one_by_one(
            told.found, lambda item: self._notified(item, session.did, told.place)
        )
        goes_on, more, why = own_from, told.more, self._known.chat
        if not told.more:
            own = yield from self._own(session, own_from)
            answers, others = one_by_one(
                own.found, lambda item: self._answer(item, session, own.place)
            )
            log, rest, rev, goes, why = yield from self._logged(session, rev, told.place)
            facts, unreadable = (*facts, *answers, *log), (*unreadable, *others, *rest)
            goes_on, more = own.goes_on, own.more or goes
        learned = self._learned(session, why)
        return Page(
            tuple(sorted(facts, key=_at)),
            compact({"told": told.goes_on.written(), "own": goes_on.written(), "chat": rev}),
            unreadable,
            more,
            {} if learned == attrs.asdict(self._known) else learned,
        )

    def _told(self, session: _Session, place: _Place) -> Flow[_News]:
        # Without `priority` the account's own setting may leave out strangers; `reasons` is not
        # asked for, because a list of everything says best how far it was read.
        method = "app.bsky.notification.listNotifications"
        return (yield from self._page(method, session, "notifications", place, priority="false"))

    def _own(self, session: _Session, place: _Place) -> Flow[_News]:
        query = {"repo": session.did, "collection": _POST}
        method = "com.atproto.repo.listRecords"
        return (yield from self._page(method, session, "records", place, **query))

    def _page(
        self, method: str, session: _Session, name: str, place: _Place, **query: str
    ) -> Flow[_News]:
        """Read a page; where its cursor is not taken any more, begin with the newest again."""

        def read(answer: Any, at: datetime) -> _News:
            return _news(answer, name, place, self.since or at - _FRESH, at)

        def request(page: str) -> Request:
            return self._get(method, session, {**query, "limit": _MANY, "cursor": page})

        try:
            return (yield from self._ask(request(place.page), read))
        except Refused:
            if not place.page:
                raise
        return (yield from self._ask(request(""), read))

    def _notified(self, told: dict[str, Any], me: str, place: _Place | None) -> Iterator[Fact]:
        """Read a notification: words for us, or a like of our own words."""
        reason, uri = word(told, "reason"), word(told, "uri")
        author, at = (
            _author(mapping(told.get("author"), "author")),
            from_text(told.get("indexedAt")),
        )
        if author.id == me:
            return
        if reason == "like":
            subject = word(told, "reasonSubject")
            if not me or _did_of(subject) == me:
                yield Reaction(self.name, "post", subject, author, "❤️", at)
        elif reason in ("mention", "reply", "quote"):
            record = mapping(told.get("record"), "record")
            message = _message(self.name, uri, author, record, at, me, compact(told))
            yield Inbound(message, place is not None and place.history(at))

    def _answer(
        self, item: dict[str, Any], session: _Session, place: _Place | None
    ) -> Iterator[Fact]:
        """Read a record of our own: an answer of ours, by whatever way it was written."""
        record, uri = mapping(item.get("value"), "value"), word(item, "uri")
        if not record.get("reply"):
            return
        at = from_text(record.get("createdAt"))
        us = Author(session.did, session.handle, session.handle)
        message = _message(self.name, uri, us, record, at, "", compact(item))
        to = _did_of(message.parent or "")
        history = place is not None and place.history(at)
        mark = perhaps(record, _MARK) or None
        yield Outbound(message, None if to == session.did else to, mark, backfill=history)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined item again: a notification, a post, or an entry of the chat's log.

        Args:
            raw: The item as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it still cannot be read.
            InvalidValue: If it still cannot be read.
        """
        item = mapping(read_json(raw), "the item")
        known = self._known
        if "reason" in item:
            return Delivery(tuple(self._notified(item, known.did, None)))
        if "value" in item:
            session = _Session(known.did or _did_of(word(item, "uri")), known.handle, self.password)
            return Delivery(tuple(self._answer(item, session, None)))
        if "convoId" in item:
            return Delivery(tuple(self._entry(item, known.did, {}, None)))
        return Delivery(tuple(self._said(item, known.did, None)))

    # -- direct messages

    def _logged(
        self, session: _Session, rev: str, place: _Place
    ) -> Flow[tuple[tuple[Fact, ...], tuple[Any, ...], str, bool, str]]:
        """Read what followed in the chat's log; what goes wrong with it is returned as words."""
        if not self.direct:
            return (), (), rev, False, ""
        try:
            request = self._chat("getLog", session, {"cursor": rev})
            log = yield from self._ask(request, lambda answer, _: mapping(answer, "the log"))
            entries = items(log, "logs")
            last = entries[-1] if entries and isinstance(entries[-1], dict) else {}
            after = perhaps(log, "cursor") or perhaps(last, "rev") or rev
            if not rev:
                entries = [*(yield from self._unread(session)), *entries]
            partners = yield from self._partners(session, entries)
        except (SendError, TransportError, PayloadError) as error:
            return (), (), rev, False, str(error)
        facts, unreadable = one_by_one(
            entries, lambda entry: self._entry(entry, session.did, partners, place)
        )
        return facts, unreadable, after, bool(rev and entries) and after != rev, ""

    def _unread(self, session: _Session) -> Flow[list[Any]]:
        """Return what waits unread when we begin, as if the log had told it."""
        request = self._chat("listConvos", session, {"limit": _MANY})
        talks = yield from self._ask(request, lambda answer, _: items(answer, "convos"))
        entries: list[Any] = []
        waiting = (mapping(talk, "a talk") for talk in talks)
        for talk in islice((talk for talk in waiting if talk.get("unreadCount")), _TALKS):
            query = {"convoId": word(talk, "id"), "limit": _MANY}
            request = self._chat("getMessages", session, query)
            said = yield from self._ask(request, lambda answer, _: items(answer, "messages"))
            people = mappings(talk, "members")
            entries += [
                {"convoId": talk["id"], "message": each, "relatedProfiles": people}
                for each in reversed(said)
            ]
        return entries

    def _partners(self, session: _Session, entries: Iterable[Any]) -> Flow[dict[str, str]]:
        """Return whom each talk is with in which we spoke ourselves; a group is with nobody."""
        spoken = (each for each in entries if isinstance(each, dict) and _sender(each))
        talks = {str(each.get("convoId")): "" for each in spoken if _sender(each) == session.did}
        for name in islice(talks, _TALKS):
            request = self._chat("getConvo", session, {"convoId": name})
            talk = yield from self._ask(request, lambda answer, _: _talk(answer))
            others = [each for each in mappings(talk, "members") if each.get("did") != session.did]
            talks[name] = word(others[0], "did") if len(others) == 1 else ""
        return talks

    def _entry(
        self,
        entry: dict[str, Any],
        me: str,
        partners: Mapping[str, str],
        place: _Place | None,
    ) -> Iterator[Fact]:
        """Read an entry of the log: a message, or a reaction to one."""
        kind = perhaps(entry, "$type").rpartition("#")[2] or "logCreateMessage"
        if kind not in ("logCreateMessage", "logAddReaction", "logRemoveReaction"):
            return
        talk, said = word(entry, "convoId"), mapping(entry.get("message"), "message")
        if "text" not in said:
            return  # it is deleted, or the service's own
        people = {word(each, "did"): each for each in mappings(entry, "relatedProfiles")}
        if kind != "logCreateMessage":
            reaction = mapping(entry.get("reaction"), "reaction")
            by = _person(reaction, people)
            emoji = word(reaction, "value") if kind == "logAddReaction" else ""
            at = from_text(reaction.get("createdAt"))
            if by.id != me:
                yield Reaction(self.name, "chat", word(said, "id"), by, emoji, at)
            return
        message = self._written(talk, said, people, compact(entry))
        history = place is not None and place.history(message.at)
        if message.author.id == me:
            yield Outbound(message, partners.get(talk) or None, backfill=history)
        else:
            yield Inbound(message, history)

    def _written(
        self, talk: str, said: Mapping[str, Any], people: Mapping[str, Any], raw: str
    ) -> Message:
        replied = mapping(said.get("replyTo") or {}, "replyTo")
        embed = mapping(said.get("embed") or {}, "embed")
        quoted = mapping(embed.get("record") or {}, "record")
        uri = perhaps(quoted, "uri")
        return Message(
            self.name,
            "chat",
            word(said, "id"),
            _person(said, people),
            _text(said, ""),
            from_text(said.get("sentAt")),
            thread=talk,
            parent=perhaps(replied, "id") or None,
            visibility=Visibility.private,
            attachments=(Attachment("quote", _permalink(uri) or uri),) if uri else (),
            permalink=f"{_APP}/messages/{talk}",
            raw=raw,
        )

    # -- listening

    def search(self, query: str, cursor: str | None) -> Flow[Page]:
        """Fetch what people write of something without telling us, newest first.

        Posts of our own, and those that mention or answer us, are left out: `poll` has them.

        Args:
            query: Words, in the platform's own syntax.
            cursor: The previous page's cursor; None to begin.

        Raises:
            NeedsAuth: If the session or the password is not accepted.
            RateLimited: If the account must pause.
            TransportError: If there is no usable answer.
            PayloadError: If the answer as a whole cannot be read.
        """
        session = yield from self._session()
        place = _places(cursor)[0]
        asked = {"q": query, "sort": "latest"}
        method = "app.bsky.feed.searchPosts"
        news = yield from self._page(method, session, "posts", place, **asked)
        facts, unreadable = one_by_one(
            news.found, lambda item: self._said(item, session.did, news.place)
        )
        goes_on = compact({"told": news.goes_on.written()})
        return Page(tuple(sorted(facts, key=_at)), goes_on, unreadable, news.more)

    def _said(self, item: dict[str, Any], me: str, place: _Place | None) -> Iterator[Fact]:
        """Read a post that a search found."""
        record, author = (
            mapping(item.get("record"), "record"),
            mapping(item.get("author"), "author"),
        )
        by, uri, at = _author(author), word(item, "uri"), from_text(item.get("indexedAt"))
        message = _message(self.name, uri, by, record, at, "", compact(item))
        named = {feature.get("did") for _, _, feature in _slices(record, "mention")}
        answers_us = bool(message.parent) and _did_of(message.parent or "") == me
        if me not in (by.id, *named) and not answers_us:
            yield Inbound(message, place is not None and place.history(at))

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post an answer or an announcement, or write a direct message.

        What a post answers is read first: whether it is still there, and takes our answer.

        Args:
            message: What to post.

        Raises:
            SendError: One of its kinds says what became of it.
            Unsupported: If the network cannot express it.
        """
        check_powers(message, self.traits)
        embed = _embedded(message)
        private = message.visibility is Visibility.private
        write = self._direct_message if private else self._record
        try:
            session = yield from self._session_or_another()
            try:
                request = yield from write(message, session, embed)
            except NeedsAuth:  # it ended since the last poll, which will renew it
                request = yield from write(message, (yield from self._log_in()), embed)
        except PayloadError as error:
            raise NotSent(f"what must be known before it is sent cannot be read: {error}") from None
        return (yield from self._ask(request, lambda answer, _: self._receipt(answer, message)))

    def _record(
        self, message: Outgoing, session: _Session, embed: dict[str, Any] | None
    ) -> Flow[Request]:
        """Return the request that writes a post, under a key that must not exist."""
        reply = None
        if message.reply_to is not None:
            reply = yield from self._parent(message.reply_to[1], session)
        language = message.language or ""
        fields = {
            "$type": _POST,
            "text": message.text,
            "createdAt": _clock(message.queued_at),
            "langs": [language] if _LANGUAGE.match(language) else None,
            "facets": (yield from self._facets(message, session)) or None,
            "reply": reply,
            "embed": embed,
            _MARK: message.mark,
        }
        body = {
            "repo": session.did,
            "collection": _POST,
            "rkey": _rkey(message),
            "record": {name: value for name, value in fields.items() if value is not None},
            "swapRecord": None,
        }
        return self._request("com.atproto.repo.putRecord", session.access, body, posts=True)

    def _parent(self, uri: str, session: _Session) -> Flow[dict[str, Any]]:
        """Return what an answer refers to: the post that it answers, and the root of its thread."""
        request = self._get("app.bsky.feed.getPosts", session, {"uris": uri})
        posts = yield from self._ask(request, lambda answer, _: items(answer, "posts"))
        if not posts:
            raise Refused(f"the post {uri!r:.200} that it answers is deleted or hidden from us")
        post = mapping(posts[0], "the post")
        if mapping(post.get("viewer") or {}, "viewer").get("replyDisabled"):
            raise Refused("the thread's author lets us not answer there; a private answer may do")
        parent = {"uri": word(post, "uri"), "cid": word(post, "cid")}
        above = mapping(mapping(post.get("record"), "record").get("reply") or {}, "reply")
        root = mapping(above.get("root") or parent, "root")
        return {"root": {"uri": word(root, "uri"), "cid": word(root, "cid")}, "parent": parent}

    def _facets(self, message: Outgoing, session: _Session) -> Flow[list[dict[str, Any]]]:
        """Mark links, tags and names; a name that nobody has stays plain."""
        text, known = message.text, {message.to.handle.casefold(): message.to.id}
        marked = [*_links(text), *_tags(text)]
        for found in islice(_NAME.finditer(text), _LOOKS):
            handle = found[1].casefold()
            if handle not in known:
                known[handle] = yield from self._did(handle, session)
            feature = {"$type": "app.bsky.richtext.facet#mention", "did": known[handle]}
            if known[handle].startswith("did:"):
                marked.append(_marked(text, found.start(), found.end(), feature))
        return sorted(marked, key=lambda facet: int(facet["index"]["byteStart"]))

    def _did(self, handle: str, session: _Session) -> Flow[str]:
        request = self._get("com.atproto.identity.resolveHandle", session, {"handle": handle})
        try:
            return (yield from self._ask(request, lambda answer, _: word(answer, "did")))
        except Refused:
            return ""

    def _direct_message(
        self, message: Outgoing, session: _Session, _embed: dict[str, Any] | None
    ) -> Flow[Request]:
        """Return the request that writes into our talk with the customer, and with nobody else."""
        talk = yield from self._talk_with(message.to.id, session)
        facets = yield from self._facets(message, session)
        said: dict[str, Any] = {"text": message.text}
        if facets:
            said["facets"] = facets
        if message.reply_to and message.reply_to[0] == "chat" and message.thread == talk:
            said["replyTo"] = {"messageId": message.reply_to[1]}
        body = {"convoId": talk, "message": said}
        method = "chat.bsky.convo.sendMessage"
        return self._request(method, session.access, body, posts=True, chat=True)

    def _talk_with(self, did: str, session: _Session) -> Flow[str]:
        request = self._chat("getConvoForMembers", session, {"members": did})
        return (yield from self._ask(request, lambda answer, _: word(_talk(answer), "id")))

    def _receipt(self, answer: Any, message: Outgoing) -> Receipt:
        """Read the receipt of a post or of a direct message."""
        found = mapping(answer, "the answer")
        if message.visibility is Visibility.private:
            return Receipt(word(found, "id"), from_text(found.get("sentAt")))
        commit = mapping(found.get("commit") or {}, "commit")
        uri, at = word(found, "uri"), _moment_in(perhaps(commit, "rev"))
        return Receipt(uri, at or message.first_sent_at or message.queued_at, _permalink(uri))

    # -- looking

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for our own post under its key, or for our words in the talk with the customer.

        Args:
            message: What may have been posted.
        """
        try:
            session = yield from self._session_or_another()
            if message.visibility is Visibility.private:
                return Found((yield from self._in_talk(message, session)))
            where = {"repo": session.did, "collection": _POST, "rkey": _rkey(message)}
            request = self._get("com.atproto.repo.getRecord", session, where)
            receipt = yield from self._ask(request, lambda answer, _: self._kept(answer, message))
        except _Missing:
            return Found()
        except (SendError, TransportError, PayloadError) as error:
            return Found(looked=False, why=str(error))
        return Found(receipt)

    def _kept(self, answer: Any, message: Outgoing) -> Receipt:
        found = mapping(answer, "the record")
        uri, record = word(found, "uri"), mapping(found.get("value"), "value")
        if record.get(_MARK) != message.mark:
            raise PayloadError(f"{uri} is a post of another, under the key of this one")
        return Receipt(uri, message.first_sent_at or message.queued_at, _permalink(uri))

    def _in_talk(self, message: Outgoing, session: _Session) -> Flow[Receipt | None]:
        """Look through the talk back to the first attempt (RELIABILITY 2.5).

        Raises:
            PayloadError: If there is too much to read.
        """
        talk, page = (yield from self._talk_with(message.to.id, session)), ""
        begun = (message.first_sent_at or message.queued_at) - _SKEW
        for _ in range(_LOOKS):
            query = {"convoId": talk, "limit": _MANY, "cursor": page}
            request = self._chat("getMessages", session, query)
            answer = yield from self._ask(request, lambda answer, _: mapping(answer, "the talk"))
            said = [mapping(each, "a message") for each in items(answer, "messages")]
            page = perhaps(answer, "cursor")
            times = [from_text(each.get("sentAt")) for each in said]
            for each, at in zip(said, times, strict=True):
                if at >= begun and self._is_ours(each, message, session.did):
                    return Receipt(word(each, "id"), at)
            if not page or (times and min(times) < begun):
                return None
        raise PayloadError(f"more than {_LOOKS * _MANY} messages since the first attempt")

    def _is_ours(self, said: Mapping[str, Any], message: Outgoing, me: str) -> bool:
        """Say whether this is our message; one that no longer tells what it answers may be."""
        if "text" not in said or _sender({"message": said}) != me:
            return False
        answered = perhaps(mapping(said.get("replyTo") or {}, "replyTo"), "id")
        wanted = message.reply_to[1] if message.reply_to else ""
        same = _canonical(perhaps(said, "text")) == _canonical(message.text)
        return same and answered in (wanted, "") and word(said, "id") not in message.known

    # -- how it is

    def check(self) -> Flow[Health]:
        """Ask about the password, what it may do, and which notifications are turned off.

        Raises:
            TransportError: If there is no usable answer.
            RateLimited: If the account must pause.
        """
        try:
            session = yield from self._session_or_another()
            yield from self._told(session, _Place())
            problems = yield from self._dropped(session)
        except (NeedsAuth, Refused, PayloadError) as error:
            hint = "make a new app password in the account's settings, or renew the session"
            return Health(False, (f"{error}; {hint}",))
        why = ""
        if self.direct:
            try:
                request = self._chat("listConvos", session, {"limit": 1})
                yield from self._ask(request, lambda answer, _: items(answer, "convos"))
            except (NeedsAuth, Refused, PayloadError, TransportError) as error:
                why = str(error)
                problems.append(
                    f"direct messages cannot be read ({why}): make an app password that may read "
                    "them, or pass direct=False"
                )
        notes = (f"{session.handle or session.did} on {self.service}",)
        return Health(not problems, tuple(problems), notes, learned=self._learned(session, why))

    def _dropped(self, session: _Session) -> Flow[list[str]]:
        """Return which notifications the account leaves out; older servers do not tell."""
        request = self._get("app.bsky.notification.getPreferences", session, {})
        try:
            told = yield from self._ask(request, lambda answer, _: mapping(answer, "settings"))
        except (Refused, TransportError):
            return []
        settings = mapping(told.get("preferences") or {}, "preferences")
        problems = []
        for name in ("mention", "reply", "quote"):
            setting = mapping(settings.get(name) or {}, name)
            if setting.get("list") is False or setting.get("include") == "follows":
                problems.append(
                    f"the account is not told of every {name}: turn it on, from everyone, "
                    "under Settings, Notifications"
                )
        return problems

    # -- requests

    def _request(
        self,
        method: str,
        token: Secret | None,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        posts: bool = False,
        chat: bool = False,
    ) -> Request:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.reveal()}"
        if chat:
            headers["atproto-proxy"] = _CHAT
        given = urlencode([(name, value) for name, value in (query or {}).items() if value != ""])
        url = f"{self.service}/xrpc/{method}{'?' if given else ''}{given}"
        if body is None:
            return Request("GET", url, headers)
        if body:
            headers["Content-Type"] = "application/json"
        content = compact(body).encode("utf-8", "replace") if body else b""
        return Request("POST", url, headers, content, posts=posts)

    def _get(self, method: str, session: _Session, query: Mapping[str, Any]) -> Request:
        return self._request(method, session.access, query=query)

    def _chat(self, method: str, session: _Session, query: Mapping[str, Any]) -> Request:
        name = f"chat.bsky.convo.{method}"
        return self._request(name, session.access, query=query, chat=True)

    def _ask(self, request: Request, read: Callable[[Any, datetime], T]) -> Flow[T]:
        """Make a request and read its answer; raise what every other answer means.

        As `rest.ask`, for a protocol that calls refused tokens 400 and says when it answered.
        """
        try:
            response = yield request
            if 200 <= response.status < 300:
                return read(response.json(), response.at or _UNTIMED)
        except TransportError as error:
            if not request.posts:
                raise
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        except (PayloadError, InvalidValue) as error:
            why = self._hidden(str(error), request)
            if not request.posts:
                raise PayloadError(why) from None
            raise Ambiguous(f"posted, but the answer cannot be read: {why}") from None
        raise self._failure(response, request)

    def _failure(self, response: Response, request: Request) -> Exception:
        """Return what an answer means that is no success (RELIABILITY 2.3)."""
        status, (error, words) = response.status, _error(response)
        said = self._hidden(f"{status} {error} {words}".strip(), request)
        if status == 429:
            return RateLimited(said, retry_at(response, response.at or _UNTIMED))
        # "Bad token method" is about what a token may do: the account goes on.
        ended = error in ("ExpiredToken", "InvalidToken") and "method" not in words
        if status in (401, 403) or (status == 400 and ended):
            return NeedsAuth(said)
        if status == 400 and (error == "RecordNotFound" or words.startswith("Could not locate")):
            return _Missing(said)
        if status == 400 and error == "InvalidSwap":
            return Ambiguous(f"something stands under its key already: {said}")
        if 300 <= status < 500 and status != 408:
            return Refused(said)
        return Ambiguous(said) if request.posts else TransportError(said, sent=True)

    def _hidden(self, text: str, request: Request) -> str:
        """Return a text without what proved the request, or could prove another one."""
        kept = filter(None, (self.password, self._access, self._refresh))
        used = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        for secret in filter(None, (*(each.reveal() for each in kept), used)):
            text = text.replace(secret, "…")
        return text[:300]


def _error(response: Response) -> tuple[str, str]:
    """Return the name and the words of an error; https://atproto.com/specs/xrpc#error-responses."""
    try:
        found = response.json()
    except PayloadError:
        return "", ""
    found = found if isinstance(found, dict) else {}
    said = (found.get(name) for name in ("error", "message"))
    error, words = (
        " ".join(each.split())[:1_000] if isinstance(each, str) else "" for each in said
    )
    return error, words


def _at(fact: Fact) -> datetime:
    return fact.message.at if isinstance(fact, Inbound | Outbound) else fact.at


def _talk(answer: Any) -> dict[str, Any]:
    return mapping(mapping(answer, "the answer").get("convo"), "convo")


def _sender(entry: Mapping[str, Any]) -> str:
    """Return who wrote the message of an entry; "" if it does not say."""
    said = entry.get("message")
    sender = said.get("sender") if isinstance(said, dict) else None
    did = sender.get("did") if isinstance(sender, dict) else None
    return did if isinstance(did, str) else ""


def _person(said: Mapping[str, Any], people: Mapping[str, Any]) -> Author:
    did = word(mapping(said.get("sender"), "sender"), "did")
    return _author(people.get(did) or {"did": did})
