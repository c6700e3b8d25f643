"""Answer mentions, public and private, on Mastodon and the servers that speak its API.

In: mentions are polled with `min_id`; what came in the last ten minutes is read again, which finds
early edits and what arrived out of order. Answers that somebody typed in the network's own app
are found among the account's own posts, by the application that made them. Out: one status, with
the customer's name at its beginning, as visible as the post that it answers or less. A post that
may have been lost is looked for in its thread and among our own posts.

Sources: https://docs.joinmastodon.org/methods/notifications/, /methods/statuses/,
/methods/accounts/, /methods/apps/, /methods/instance/, /api/guidelines/ (ids and paging) and
/api/rate-limits/. (Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
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
    Traits,
)
from supportflow.channels.arguments import named
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import items, one_by_one
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError
from supportflow.flow import Flow
from supportflow.http import MAX_RESPONSE, Request, Response, read_items, read_json, retry_at
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
    Receipt,
    Secret,
    Visibility,
    aware,
)
from supportflow.model.quick import maker
from supportflow.text import storable
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.limits import MASTODON_URL, mentions, without_domains
from supportflow.text.markup import plain
from supportflow.text.moments import from_text

__all__ = ["Mastodon"]

#: The most that one request gives, of notifications and of posts.
_TOLD, _OWN = 80, 40
#: The most items of one answer that are read: a server gives what is asked for. Ours.
_MOST = 1_000
#: How many requests a first poll makes at most for each of the two.
_FIRST = 25
#: How much is read again: notifications were seen to arrive out of order. Ours.
_OVERLAP = timedelta(minutes=10)
#: What a first poll takes for news unless `since` is given. Ours.
_FRESH = timedelta(days=1)
#: How far the platform's clock may be behind ours.
_SKEW = timedelta(seconds=5)
#: How many pages of our own posts a search for one reads.
_LOOKS = 10
#: "@", the longest local name (30) and a space: kept for the customer's name in every answer.
_ROOM = 32

#: When something was, and its id.
_Moment = tuple[datetime, str]

# From the widest to the narrowest: https://docs.joinmastodon.org/entities/Status/#visibility
_WIDTHS = ("public", "unlisted", "private", "direct")
_KINDS = {"gifv": "video", "unknown": "file"}
_LEADING = re.compile(r"(?:@[\w.@-]++[\s,:]*+)++")
# Whoever may not act at all, against who may not do this:
# https://github.com/mastodon/mastodon/blob/main/app/controllers/api/base_controller.rb
_ACCOUNT = re.compile(
    r"authori[sz]ed scopes|your (login|account)|authenticated user", re.IGNORECASE
)

_POWERS = ("announcement",)

_TRAITS = Traits(
    "mastodon",
    max_text=500 - _ROOM,
    reconcile=Reconcile.read,
    counting="mastodon",
    settle=timedelta(seconds=15),
    visibilities=("public", "private"),
    powers=_POWERS,
    # https://docs.joinmastodon.org/api/rate-limits/
    rates={"requests": "300 in 5 minutes", "posts": "300 in 3 hours"},
    unsupported={
        "deletions": "no notification tells of them; an answer to a deleted post is refused",
        "late edits": "only who boosted a post is told; edits within ten minutes are seen",
        "attachments": "put a link into the text",
        "read receipts": "the network has none",
    },
)

_SETUP = Setup(
    "Mentions, public and private, on Mastodon and the servers that speak its API.",
    (
        Need("instance_url", "the address of your server, such as https://example.social"),
        Need("token", "'Your access token' of the application", secret=True),
    ),
    (
        "Log in as the shop on its server, and open Preferences, Development, New application.",
        "Give the application a name that nobody types answers with: ours are told by it.",
        "Choose the permissions below and nothing else, save, open it again, copy the token.",
        "In the settings of notifications, let no kind of sender be ignored: they never arrive.",
    ),
    {
        "read": "mentions, the thread of an answer that may be lost, the server's limits; it "
        "includes read:search, for listening",
        "write:statuses": "answers",
    },
    guide="https://docs.joinmastodon.org/client/token/",
)


def _url(value: str) -> str:
    """Return an instance's address: https, or http on this machine."""
    text = value if "://" in str(value) else f"https://{value}"
    parts = urlsplit(text)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not local) or not host:
        raise InvalidValue(f"{parts.scheme}://{host} is no instance: https, http for loopback only")
    if extra:
        raise InvalidValue(f"give the instance alone, as in {parts.scheme}://{host}")
    return f"{parts.scheme}://{parts.netloc}"


def _moment_of(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "since")


@attrs.frozen
class _Known:
    """Hold what an instance told of itself and of our account; it is persisted."""

    account: str = ""
    app: str = ""
    limit: int = 500
    url: int = MASTODON_URL

    @classmethod
    def read(cls, learned: Mapping[str, Any]) -> _Known:
        found = {f.name: learned.get(f.name) for f in attrs.fields(cls)}
        fits = {f.name for f in attrs.fields(cls) if type(found[f.name]) is type(f.default)}
        return cls(**{name: found[name] for name in fits})  # type: ignore[arg-type]  # checked above


# -- reading

# Every field is checked where it is read.
_new_message, _inbound, _SAYING = maker(Message), maker(Inbound), (Inbound, Outbound)


def _author(status: Mapping[str, Any]) -> Author:
    account = mapping(status.get("account"), "account")
    handle = word(account, "acct")
    return Author(word(account, "id"), perhaps(account, "display_name") or handle, handle)


def _attachment(item: Mapping[str, Any]) -> Attachment:
    kind = word(item, "type")
    url = perhaps(item, "url") or perhaps(item, "remote_url")
    return Attachment(_KINDS.get(kind, kind), url, perhaps(item, "description"))


def _unaddressed(text: str, names: Iterable[str]) -> str:
    """Leave some names out of those that a text begins with."""
    found = _LEADING.match(text)
    if found is None:
        return text
    left_out = [f"@{name}".casefold() for name in names]
    kept = [word for word in found[0].split() if word.rstrip(",:").casefold() not in left_out]
    rest = text[found.end() :].strip()
    return " ".join([*kept, rest]).strip() if kept else rest


def _text(status: Mapping[str, Any], names: Iterable[str]) -> str:
    content = status.get("content")
    if not isinstance(content, str):
        raise PayloadError(f"content is {content!r:.60}; it must be a string")
    words = _unaddressed(plain(content), names)
    warning = perhaps(status, "spoiler_text")
    return f"{warning}\n\n{words}" if warning and words else warning or words


def _message(status: Mapping[str, Any], channel: str, to: str, raw: str) -> Message:
    """Return a post as a message; the name of whom it is for is left out in front of it."""
    named = [each for each in mappings(status, "mentions") if each.get("id") == to]
    names = [word(each, name) for each in named for name in ("acct", "username")]
    public = perhaps(status, "visibility") in ("public", "unlisted")
    return _new_message(
        channel,
        "status",
        word(status, "id"),
        _author(status),
        _text(status, names),
        from_text(status.get("created_at")),
        parent=perhaps(status, "in_reply_to_id") or None,
        visibility=Visibility.public if public else Visibility.private,
        language=perhaps(status, "language") or None,
        attachments=tuple(map(_attachment, mappings(status, "media_attachments"))),
        permalink=perhaps(status, "url") or perhaps(status, "uri") or None,
        raw=raw,
    )


def _named(status: Mapping[str, Any]) -> set[str]:
    return {word(each, "id") for each in mappings(status, "mentions")}


def _at(fact: Fact) -> datetime:
    return fact.message.at if isinstance(fact, _SAYING) else fact.at


def _moment(item: Any) -> _Moment | None:
    """Return when something was, and its id; None if it does not say."""
    try:
        return from_text(item["created_at"]), word(item, "id")
    except (PayloadError, LookupError, TypeError, AttributeError):
        return None


def _latest(moments: Iterable[_Moment | None], until: datetime | None) -> str | None:
    """Return the id of the newest item, leaving out those that are to be read again."""
    known = [each for each in moments if each and (until is None or each[0] <= until)]
    return max(known, default=(None, None))[1]


def _places(cursor: str | None) -> tuple[str | None, str | None]:
    """Return where each list goes on: None if it was never read, "" if it had nothing in it."""
    try:
        found = mapping(read_json((cursor or "").encode("utf-8", "replace")), "the cursor")
    except PayloadError:
        found = {}
    told, own = found.get("told"), found.get("own")
    valid = isinstance(told, str) and isinstance(own, str | None)
    return (told, own) if valid else (None, None)


@attrs.frozen
class _News:
    """Hold what one list gave, oldest first, each with its own text, and where it goes on."""

    items: tuple[tuple[Any, str], ...] = ()
    after: str | None = None
    more: bool = False
    since: datetime | None = None


# -- what an answer means


def _said(response: Response, secret: Secret) -> str:
    """Return what the platform says is wrong, shortly and never with our own token in it."""
    try:
        body = response.json()
    except PayloadError:
        body = None
    said = body.get("error") if isinstance(body, dict) else None
    words = f": {said}" if isinstance(said, str) and said else ""
    return f"{response.status}{words}".replace(secret.reveal(), "…")[:300]


def _canonical(text: str) -> str:
    """Return what remains of a text whichever way the server renders it (RELIABILITY 2.5)."""
    words = " ".join(without_domains(storable(text)).split())
    found = _LEADING.match(words)
    return (words[found.end() :] if found else words).casefold()


@attrs.frozen
class Mastodon:
    """Take mentions from one Mastodon account, and answer them.

    A private mention (`direct`) or a post for followers is private; the rest is public. An
    answer names the customer first, because nobody is told otherwise; room for that is kept in
    `traits.max_text`. Posts of ours that answer nobody are announcements and are left out.

    Args:
        instance_url: The server, for example `"https://example.social"`; http on loopback only.
        token: A user's access token with the scopes `read` and `write:statuses`.
        name: The channel's name; another account needs another one.
        since: What a first poll takes for news (aware); older mentions on its page are history:
            judged, never announced. A day before the poll by default.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> shop = Mastodon("https://example.social", token="from your settings")
        >>> shop.traits.count("See https://example.com/returns/how-to-send-it-back")
        27
    """

    setup: ClassVar[Setup] = _SETUP

    instance_url: str = attrs.field(converter=_url)
    token: Secret = attrs.field(converter=Secret, kw_only=True)
    name: str = attrs.field(default="mastodon", validator=named, kw_only=True)
    since: datetime | None = attrs.field(default=None, converter=_moment_of, kw_only=True)
    _known: _Known = attrs.field(factory=_Known, kw_only=True, repr=False)

    @property
    def traits(self) -> Traits:
        """Return what the network can do, with the instance's own limits once they are known."""
        known = self._known
        if (known.limit, known.url) == (500, MASTODON_URL):
            return _TRAITS
        counting = f"mastodon:{known.url}"
        return attrs.evolve(_TRAITS, max_text=max(known.limit - _ROOM, 1), counting=counting)

    def using(self, state: ChannelState) -> Self:
        """Return this channel with a renewed token (`"token"`) and what was learned."""
        token = state.credentials.get("token", self.token)
        return attrs.evolve(self, token=token, known=_Known.read(state.learned))

    # -- in

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch mentions after a cursor, and then our own posts.

        A first poll reads back as far as `since`, its first page in any case.

        Args:
            cursor: The previous page's cursor; None, or one that is not ours, to begin.

        Raises:
            NeedsAuth: If the token is not accepted.
            RateLimited: If the account must pause.
            TransportError: If there is no usable answer; nothing was lost.
            PayloadError: If the answer as a whole cannot be read.
        """
        known, learned = self._known, {}
        if not known.account:
            known = yield from self._learn()
            learned = attrs.asdict(known)
        after_told, after_own = _places(cursor)
        types = [("types[]", "mention"), ("types[]", "update"), ("include_filtered", "true")]
        told = yield from self._news("notifications", types, _TOLD, after_told)
        own = _News(after=after_own)
        if not told.more and (after_own is None or known.app):
            with suppress(NeedsAuth):  # the scope is missing; `check` says so
                own = yield from self._news(
                    _posts_of(known.account), [("exclude_reblogs", "true")], _OWN, after_own
                )
        raws = {id(item): raw for item, raw in (*told.items, *own.items)}
        facts, unreadable = one_by_one(
            (item for item, _ in told.items),
            lambda item: self._mention(item, known, told.since, raws[id(item)]),
        )
        every = after_own is None
        answers, others = one_by_one(
            (item for item, _ in own.items),
            lambda item: self._answer(item, known, own.since, raws[id(item)], every=every),
        )
        return Page(
            tuple(sorted((*facts, *answers), key=_at)),
            compact({"told": told.after, "own": own.after}),
            (*unreadable, *others),
            told.more or own.more,
            learned,
        )

    def search(self, query: str, cursor: str | None) -> Flow[Page]:
        """Fetch what people say of something without naming us, with the scope `read:search`.

        A server finds posts only if it has full-text search, and of those alone whose authors
        allow that: https://docs.joinmastodon.org/methods/search/#query-parameters and
        https://docs.joinmastodon.org/admin/elasticsearch/

        Args:
            query: What to search for, as the server's own search takes it.
            cursor: The previous page's cursor; None begins with the newest posts.

        Raises:
            NeedsAuth: If the token is not accepted, or lacks the scope.
            RateLimited: If the account must pause.
            TransportError: If there is no usable answer; nothing was lost.
            PayloadError: If the answer as a whole cannot be read.
        """
        known, learned = self._known, {}
        if not known.account:
            known = yield from self._learn()
            learned = attrs.asdict(known)
        asked = [("q", query), ("type", "statuses"), ("limit", str(_OWN)), ("min_id", cursor or "")]
        answer = self._read((yield self._get("search", *asked, version=2)), dict)
        found = items(answer, "statuses")
        facts, unreadable = one_by_one(found, lambda item: self._heard(item, known))
        newest = _latest(map(_moment, found), None) or cursor
        more = bool(cursor) and len(found) >= _OWN and newest != cursor
        oldest_first = tuple(sorted(facts, key=_at, reverse=True)[::-1])  # of one time as well
        return Page(oldest_first, newest, unreadable, more, learned)

    def _heard(self, status: dict[str, Any], known: _Known) -> Iterable[Inbound]:
        message = _message(status, self.name, known.account, compact(status))
        if message.author.id != known.account:
            yield Inbound(message, backfill=True)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined item again: a notification, or a post of our own.

        Args:
            raw: The item as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it still cannot be read.
            InvalidValue: If it still cannot be read.
        """
        item = mapping(read_json(raw), "the item")
        if "status" in item:
            return Delivery(tuple(self._mention(item, self._known, None)))
        return Delivery(tuple(self._answer(item, self._known, None, every=True)))

    def _mention(
        self, told: dict[str, Any], known: _Known, since: datetime | None, raw: str = ""
    ) -> Iterable[Inbound | Edit]:
        """Read a notification; an edited post is itself and its edit."""
        if word(told, "type") not in ("mention", "update"):
            return
        status = mapping(told.get("status"), "status")
        message = _message(status, self.name, known.account, raw or compact(told))
        if message.author.id == known.account:
            return
        if told["type"] == "update" and known.account not in ("", *_named(status)):
            return
        backfill = since is not None and message.at < since
        yield _inbound(message, backfill)
        edited = perhaps(status, "edited_at")
        if edited:
            at = from_text(edited)
            yield Edit(self.name, "status", message.id, edited, message.text, at, backfill)

    def _answer(
        self,
        status: dict[str, Any],
        known: _Known,
        since: datetime | None,
        raw: str = "",
        *,
        every: bool,
    ) -> Iterable[Outbound]:
        """Read a post of ours: what our own application posted is in the outbox already.

        The customer's name in front is left out as `send` put it there: an answer that got lost
        is known by its words alone.
        """
        to, named = perhaps(status, "in_reply_to_account_id"), _named(status)
        named -= {_author(status).id}
        if not perhaps(status, "in_reply_to_id") and not to and len(named) == 1:
            (to,) = named
        message = _message(status, self.name, to, raw or compact(status))
        app = perhaps(mapping(status.get("application") or {}, "application"), "name")
        foreign = bool(known.account) and message.author.id != known.account
        if foreign or status.get("reblog") or (not every and app in ("", known.app)):
            return
        if message.parent or to:
            customer = None if to in ("", message.author.id) else to
            backfill = since is not None and message.at < since
            yield Outbound(message, customer, backfill=backfill)

    def _news(
        self, path: str, query: Sequence[tuple[str, str]], size: int, after: str | None
    ) -> Flow[_News]:
        """Read what follows a place; without one, read back to `since`, or to the beginning."""
        items: list[tuple[Any, str]] = []
        moments: list[_Moment | None] = []
        since, at, before = self.since, None, ""
        for _ in range(1 if after else _FIRST):
            place = ("min_id", after) if after else ("max_id", before)
            response = yield self._get(path, *query, ("limit", str(size)), place)
            page = self._listed(response)
            times = [_moment(item) for item, _ in page]
            items, moments, at = items + page, moments + times, response.at
            since = self._since(at) if after is None else None
            oldest = min(filter(None, times), default=None)
            if len(page) < size or oldest is None or (since and oldest[0] < since):
                break
            before = oldest[1]
        full = bool(after) and len(items) >= size
        goes_on = _latest(moments, None if full or at is None else at - _OVERLAP) or after or ""
        return _News(tuple(reversed(items)), goes_on, full and goes_on != after, since)

    def _since(self, at: datetime | None) -> datetime | None:
        return self.since if self.since or at is None else at - _FRESH

    def _learn(self) -> Flow[_Known]:
        """Ask who we are, which application our token belongs to, and what is allowed."""
        account = self._read((yield self._get("accounts/verify_credentials")), dict)
        app = yield self._get("apps/verify_credentials")
        name = ""
        if app.status == 200:
            name = perhaps(self._read(app, dict), "name")
        elif not 400 <= app.status < 500 or app.status == 429:
            self._read(app, dict)
        limits = yield from self._limits()
        return attrs.evolve(limits, account=word(account, "id"), app=name)

    def _limits(self) -> Flow[_Known]:
        """Read the instance's limits; servers older than 4.0 know the first version alone."""
        response = yield self._get("instance", version=2)
        if response.status == 404:
            response = yield self._get("instance")
        found = self._read(response, dict)
        for name in ("configuration", "statuses"):
            found = found.get(name) if isinstance(found.get(name), dict) else {}
        said = {
            "limit": found.get("max_characters"),
            "url": found.get("characters_reserved_per_url"),
        }
        return _Known.read({n: v for n, v in said.items() if isinstance(v, int) and 0 < v < 10**6})

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post an answer, as visible as asked for and never more than what it answers.

        What it answers is read first: that tells its visibility, and whether it still exists.

        Args:
            message: What to post.

        Raises:
            SendError: One of its kinds says what became of it.
            Unsupported: If Mastodon cannot express it; nothing was asked then.
        """
        check_powers(message, self.traits)
        public = message.visibility is Visibility.public
        width, handle = _WIDTHS[0 if public else -1], message.to.handle
        if message.reply_to is not None:
            theirs, author = yield from self._parent(message)
            width, handle = max(width, theirs, key=_WIDTHS.index), handle or author.handle
        request = self._post(message, width, _addressed(message.text, handle))
        try:
            response = yield request
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        return self._receipt(response, message)

    def _parent(self, message: Outgoing) -> Flow[tuple[str, Author]]:
        """Return how visible the post is that it answers, and who wrote it."""
        kind, name = message.reply_to or ("", "")
        try:
            response = yield self._get(f"statuses/{quote(name, safe='')}")
            if response.status in (404, 410):
                raise Refused(f"the {kind} {name!r} that it answers is deleted or hidden from us")
            status = self._read(response, dict, message.queued_at)
            width = word(status, "visibility")
            return width if width in _WIDTHS else _WIDTHS[-1], _author(status)
        except (TransportError, PayloadError) as error:
            raise NotSent(f"what it answers cannot be read: {error}") from None

    def _post(self, message: Outgoing, width: str, text: str) -> Request:
        fields = {
            "status": text,
            "in_reply_to_id": message.reply_to[1] if message.reply_to else None,
            "visibility": width,
            "language": message.language,
        }
        body = compact({name: value for name, value in fields.items() if value is not None})
        headers = {
            **self._headers(),
            "Content-Type": "application/json",
            "Idempotency-Key": message.mark,  # for an hour, and only where the server honours it
        }
        url = f"{self.instance_url}/api/v1/statuses"
        return Request("POST", url, headers, body.encode("utf-8", "replace"), posts=True)

    def _receipt(self, response: Response, message: Outgoing) -> Receipt:
        """Say what the answer to a post means (RELIABILITY 2.3)."""
        status = response.status
        if 200 <= status < 300:
            return _posted(response)
        said = _said(response, self.token)
        if status == 429:
            now = response.at or message.queued_at
            raise RateLimited(f"the account must pause: {said}", retry_at(response, now))
        if status == 401 or (status in (403, 422) and _ACCOUNT.search(said)):
            raise NeedsAuth(f"the token is not accepted: {said}")
        if status == 408 or not 300 <= status < 500:
            raise Ambiguous(f"the server answered {said}")
        raise Refused(f"the server refused it: {said}")

    # -- looking

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for our own answer: in its thread, and then among our own posts.

        Args:
            message: What may have been posted.
        """
        try:
            me = self._known.account
            if not me:
                account = yield self._get("accounts/verify_credentials")
                me = word(self._read(account, dict, message.queued_at), "id")
            thread, gone = yield from self._thread(message)
            found = _match(thread, message, me, gone=gone)
            if found is None:
                found = yield from self._among_ours(message, me, gone=gone)
        except (TransportError, PayloadError, NotSent) as error:
            return Found(looked=False, why=str(error))
        return Found(found)

    def _thread(self, message: Outgoing) -> Flow[tuple[list[Any], bool]]:
        """Return what stands below the post that it answers, and whether that post is gone."""
        if message.reply_to is None:
            return [], False
        response = yield self._get(f"statuses/{quote(message.reply_to[1], safe='')}/context")
        if response.status in (404, 410):
            return [], True
        context = self._read(response, dict, message.queued_at)
        if "descendants" not in context:
            raise PayloadError("a thread without descendants")
        return mappings(context, "descendants"), False

    def _among_ours(self, message: Outgoing, me: str, *, gone: bool) -> Flow[Receipt | None]:
        """Look through all our posts since the first attempt.

        Raises:
            PayloadError: If they are too many to read.
        """
        before = ""
        for _ in range(_LOOKS):
            places = ("limit", str(_OWN)), ("max_id", before)
            response = yield self._get(_posts_of(me), *places)
            page = self._read(response, list, message.queued_at)
            found = _match(page, message, me, gone=gone)
            oldest = min(filter(None, map(_moment, page)), default=None)
            if page and oldest is None:
                raise PayloadError("our own posts have neither times nor ids")
            if found or oldest is None or oldest[0] < _begun(message):
                return found
            before = oldest[1]
        raise PayloadError(f"more than {_LOOKS * _OWN} posts of ours since the first attempt")

    # -- how it is

    def check(self) -> Flow[Health]:
        """Ask about the token, what it may do, and the instance's limits.

        Raises:
            TransportError: If there is no usable answer.
            RateLimited: If the account must pause.
        """
        try:
            known = yield from self._learn()
        except (NeedsAuth, PayloadError) as error:
            return Health(False, (f"{error}; make a new token in the account's settings",))
        problems = [*(yield from self._lacking(known)), *(yield from self._dropping())]
        notes = [f"{known.limit} characters, of which a link takes {known.url}"]
        if not known.app:
            notes.append(
                "the server does not tell which application a token is for: answers typed in "
                "the network's own app are not seen after the first poll"
            )
        return Health(not problems, tuple(problems), tuple(notes), learned=attrs.asdict(known))

    def _lacking(self, known: _Known) -> Flow[list[str]]:
        """Return the scopes that the token lacks; that of writing cannot be tried."""
        problems = []
        own = _posts_of(known.account)
        for path, scope in (("notifications", "read:notifications"), (own, "read:statuses")):
            response = yield self._get(path, ("limit", "1"))
            if response.status in (401, 403):
                problems.append(f"the token lacks {scope}: make one with read and write:statuses")
        return problems

    def _dropping(self) -> Flow[list[str]]:
        """Return which mentions the account throws away unseen; servers since 4.3 can.

        Source: https://docs.joinmastodon.org/methods/notifications/#get-policy
        """
        response = yield self._get("notifications/policy", version=2)
        policy = self._read(response, dict) if response.status == 200 else {}
        return [
            f"the account's filter {name} is on drop: such mentions never arrive; set it to accept"
            for name, choice in policy.items()
            if choice == "drop"
        ]

    # -- requests

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.reveal()}", "Accept": "application/json"}

    def _get(self, path: str, *query: tuple[str, str], version: int = 1) -> Request:
        given = urlencode([(name, value) for name, value in query if value])
        url = f"{self.instance_url}/api/v{version}/{path}{'?' if given else ''}{given}"
        return Request("GET", url, self._headers())

    def _listed(self, response: Response) -> list[tuple[Any, str]]:
        """Return the items that a read gave, each with its own text."""
        if response.status != 200 or not response.body.lstrip().startswith(b"["):
            self._read(response, list)
        found = read_items(response.body, MAX_RESPONSE)
        if len(found) > _MOST:
            raise PayloadError(f"a list of {len(found)} items; at most {_MOST} are read")
        return found

    def _read(self, response: Response, kind: type[Any], now: datetime | None = None) -> Any:
        """Return what a read gave, or raise what it means that it gave nothing."""
        if response.status == 200:
            body = response.json()
            if isinstance(body, kind) and "error" not in body:
                return body
            raise PayloadError(f"not the {kind.__name__} asked for: {_said(response, self.token)}")
        said = _said(response, self.token)
        at = response.at or now
        if response.status in (401, 403):
            raise NeedsAuth(f"the token is not accepted: {said}")
        if response.status == 429 and at is not None:
            raise RateLimited(f"the account must pause: {said}", retry_at(response, at))
        raise TransportError(f"the server answered {said}", sent=True)


def _posts_of(account: str) -> str:
    return f"accounts/{quote(account, safe='')}/statuses"


def _addressed(text: str, handle: str) -> str:
    """Return a text that names whom it is for: nobody is told of it otherwise."""
    named = {name.casefold() for name in mentions(text)}
    return text if not handle or handle.casefold() in named else f"@{handle} {text}"


def _posted(response: Response) -> Receipt:
    """Return the receipt in an answer; without a usable id it may be anything."""
    try:
        status = mapping(response.json(), "the answer")
        made = status.get("created_at")
        at = from_text(made) if made is not None or response.at is None else response.at
        return Receipt(word(status, "id"), at, perhaps(status, "url") or None)
    except PayloadError as error:
        raise Ambiguous(f"accepted, but the answer cannot be read: {error}") from None


def _begun(message: Outgoing) -> datetime:
    return (message.first_sent_at or message.queued_at) - _SKEW


def _match(statuses: Iterable[Any], message: Outgoing, me: str, *, gone: bool) -> Receipt | None:
    """Return the post that is this message, by the rule of RELIABILITY 2.5.

    A server forgets the parent of an answer whose parent was deleted, but not its author.
    """
    wanted = _canonical(message.text)
    parent = message.reply_to[1] if message.reply_to else ""
    for item in statuses:
        status = mapping(item, "the post")
        name, answered = word(status, "id"), perhaps(status, "in_reply_to_id")
        orphan = gone and not answered and status.get("in_reply_to_account_id") == message.to.id
        if name in message.known or not (answered == parent or orphan):
            continue
        author, at = _author(status).id, from_text(status.get("created_at"))
        if author == me and at >= _begun(message) and _canonical(_text(status, ())) == wanted:
            return Receipt(name, at, perhaps(status, "url") or None)
    return None
