"""Answer the reviews of one location on Google Maps and Search (Google Business Profile).

In: reviews are polled, newest change first; the 50 newest are read each time, so that answers of the
owner, and reviews that are gone, are noticed. A review without words is its stars. Out: a review has
one reply, which a PUT makes or replaces: it is read before, and never replaced if a person wrote it.
The same words twice are the same reply, so that nothing is ever there two times.

Sources: https://developers.google.com/my-business/reference/rest/v4/accounts.locations.reviews (and
/list, /get, /updateReply below it), https://developers.google.com/my-business/content/limits and
https://developers.google.com/identity/protocols/oauth2/web-server#offline. (Over 300 lines, because a
network is one file.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import quote, urlencode

import attrs

from supportflow.channels import (
    Delivery,
    Found,
    Health,
    NeedsAuth,
    Page,
    Reconcile,
    Refused,
    SendError,
    Traits,
)
from supportflow.channels.oauth import address, refreshed, timed
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import ask, one_by_one
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError
from supportflow.flow import Flow
from supportflow.http import Request, read_json
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
    Removal,
    RemovedBy,
    Secret,
    StatusReport,
    aware,
)
from supportflow.text import storable
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.moments import from_text

__all__ = ["GoogleReviews"]

T = TypeVar("T")

#: The most reviews that one request gives.
_PAGE = 50
#: How many missing reviews are looked for in one poll. Ours.
_LOOKS = 5
#: What a first poll takes for news unless `since` is given. Ours.
_FRESH = timedelta(days=1)

_STARS = {"ONE": 1, "TWO": 2, "THREE": 3, "FOUR": 4, "FIVE": 5}
_LOCATION = re.compile(r"accounts/[\w.-]{1,100}/locations/[\w.-]{1,100}")
# Google adds its own translation to what a customer wrote, before or after it.
_BEFORE = re.compile(r"\(Translated by Google\).*?\(Original\)\s*", re.DOTALL)
_AFTER = re.compile(r"\s*\(Translated by Google\).*", re.DOTALL)

_TRAITS = Traits(
    "google_reviews",
    max_text=4_096,
    reconcile=Reconcile.read,
    counting="bytes",
    settle=timedelta(seconds=60),
    inbound=("poll",),
    replaces=True,
    poll_every=timedelta(minutes=5),
    rates={
        "requests": "the quota of your project: 300 a minute by default, 0 until Google grants access",
        "edits": "10 a minute and profile",
    },
    unsupported={
        "push": "Google's notifications go to Pub/Sub and are proved with RS256, for which the core "
        "has no library: reviews are polled, every five minutes",
        "second reply": "a review has one: the next one of ours replaces it, a person's stays",
        "private messages": "reviews are public: ask in the reply for a call or an e-mail",
        "announcement": "publish a post in your Business Profile",
        "attachments": "a reply is text; put a link into it",
        "accounts": "a review names none: each is a customer of its own",
    },
)

_SETUP = Setup(
    "Reviews of one location on Google Maps and Search, answered in public.",
    needs=(
        Need("location", "the location's name, as in accounts/123/locations/456"),
        Need("client_id", "the OAuth client's id, in the Google Cloud console"),
        Need("client_secret", "the OAuth client's secret, beside it", secret=True),
        Need("refresh_token", "a refresh token of an owner or manager", secret=True),
    ),
    steps=(
        "Verify the location in Business Profile: replies to others are refused.",
        (
            "Make a project in the Google Cloud console and apply for access to the Business Profile "
            "APIs at https://support.google.com/business/contact/api_default; its quota is 0 until then."
        ),
        "Switch on the Google My Business API, and make an OAuth client of the type web application.",
        (
            "Let an owner or manager of the location authorize it with access_type=offline, and keep "
            "the refresh token. Publish the OAuth app: in testing, a refresh token ends after 7 days."
        ),
        (
            "Find the location's name: GET https://mybusinessaccountmanagement.googleapis.com/v1/accounts,"
            " then https://mybusinessbusinessinformation.googleapis.com/v1/accounts/…/locations."
        ),
    ),
    scopes={"https://www.googleapis.com/auth/business.manage": "read reviews and reply to them"},
    guide="https://developers.google.com/my-business/content/basic-setup",
)


def _location(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _LOCATION.fullmatch(value):
        raise InvalidValue(f"location is {value!r:.100}; give it as in accounts/123/locations/456")


def _given(_: object, field: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue(f"{field.name} is {value!r:.60}; it must be a string that is not empty")


def _moment(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "since")


# -- reading


def _words(review: Mapping[str, Any], stars: int | None) -> str:
    """Return what a customer said: their words without Google's translation, and the stars.

    The stars stand in the text because an edit has nothing else, and with a digit because signs
    alone change no meaning.
    """
    said = perhaps(review, "comment")
    found = _BEFORE.match(said)
    said = said[found.end() :] if found else _AFTER.sub("", said)
    shown = f"{'★' * stars}{'☆' * (5 - stars)} {stars}/5" if stars else ""
    return "\n\n".join(filter(None, (said.strip(), shown)))


def _attachments(review: Mapping[str, Any]) -> tuple[Attachment, ...]:
    found = []
    for item in mappings(review, "reviewMediaItems"):
        video = perhaps(item, "videoUrl")
        url = video or perhaps(item, "thumbnailUrl")
        found.append(Attachment("video" if video else "image", url))
    return tuple(found)


def _reply_id(review: str, text: str) -> str:
    """Return what names a reply: its review and its words, since Google gives it no id.

    So the same reply has one id however often it was sent, and one that a person changed has
    another.
    """
    words = " ".join(storable(text).split())
    return f"{review}#{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _rejected(reply: Mapping[str, Any]) -> str:
    """Return why Google does not show a reply; empty where it does, or still thinks about it."""
    if perhaps(reply, "reviewReplyState") != "REJECTED":
        return ""
    return f"Google rejected the reply: {perhaps(reply, 'policyViolation') or 'no reason given'}"


@attrs.frozen
class _Place:
    """Hold where polling goes on.

    Args:
        since: What news began with.
        after: The newest change that was seen before this round.
        top: The newest change of this round, while it lasts.
        page: The next page of this round.
        seen: The newest reviews with their changes, to notice which are gone.
    """

    since: datetime | None = None
    after: datetime | None = None
    top: datetime | None = None
    page: str = ""
    seen: Mapping[str, datetime] = attrs.field(factory=dict)

    @classmethod
    def read(cls, cursor: str | None) -> _Place:
        """Return what a cursor says; the beginning where it is none of ours."""
        try:
            found = mapping(read_json((cursor or "").encode("utf-8", "replace")), "the cursor")
            since, after, top = (_at(found, name) for name in ("since", "after", "top"))
            seen = mapping(found.get("seen"), "seen")
            moments = {name: from_text(at) for name, at in seen.items()}
            return cls(since, after, top, perhaps(found, "page"), moments)
        except PayloadError:
            return cls()

    def write(self) -> str:
        times = {n: getattr(self, n) for n in ("since", "after", "top")}
        told = {name: at.isoformat() for name, at in times.items() if at}
        seen = {name: at.isoformat() for name, at in self.seen.items()}
        return compact({**told, "page": self.page, "seen": seen})


def _at(item: Mapping[str, Any], name: str) -> datetime | None:
    return from_text(item[name]) if item.get(name) else None


def _changes(reviews: Iterable[Any]) -> dict[str, datetime]:
    """Return when each review that can be read changed last."""
    found = {}
    for review in reviews:
        try:
            item = mapping(review, "the review")
            found[word(item, "reviewId")] = from_text(item.get("updateTime"))
        except PayloadError:
            continue
    return found


@attrs.frozen
class _Listed:
    """Hold one page of reviews, and where the next one is."""

    reviews: list[Any]
    next: str

    @classmethod
    def read(cls, answer: Any) -> _Listed:
        """Read an answer; a location without reviews answers with an empty object."""
        found = mapping(answer, "the answer")
        reviews = found.get("reviews", [])
        if not isinstance(reviews, list) or "error" in found:
            raise PayloadError("the answer is no list of reviews")
        return cls(reviews, perhaps(found, "nextPageToken"))


class _Gone(Refused):
    """Say that a review is no longer there."""


@attrs.frozen
class GoogleReviews:
    """Take the reviews of one location, and reply to them as its owner.

    A review is a conversation. Its words are the message's text, and below them stand the stars, as
    in `"★★☆☆☆ 2/5"`, which are also a tag of the message, as in `"stars:2"`, for a `Classifier` to
    read. A changed review is an `Edit`, with its stars in the text alone.

    Args:
        location: The location's name, as in `"accounts/123/locations/456"`.
        client_id: The OAuth client's id.
        client_secret: The OAuth client's secret.
        refresh_token: A refresh token of an owner or manager. Access tokens live for an hour and
            are made from it when they are needed.
        since: What a first poll takes for news (aware); older reviews are history: judged, never
            announced. A day before the first poll by default.
        name: The channel's name; another location needs another one.
        base_url: The API; another only in tests.
        login_url: The authorization server; another only in tests.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> shop = GoogleReviews(
        ...     "accounts/123/locations/456",
        ...     client_id="id",
        ...     client_secret="secret",
        ...     refresh_token="from OAuth",
        ... )
        >>> shop.traits.count("Дзякуй!")
        13
    """

    setup: ClassVar[Setup] = _SETUP

    location: str = attrs.field(validator=_location)
    client_id: str = attrs.field(validator=_given, kw_only=True)
    client_secret: Secret = attrs.field(converter=Secret, kw_only=True)
    refresh_token: Secret = attrs.field(converter=Secret, kw_only=True)
    since: datetime | None = attrs.field(default=None, converter=_moment, kw_only=True)
    name: str = attrs.field(default="google_reviews", validator=_given, kw_only=True)
    base_url: str = attrs.field(
        default="https://mybusiness.googleapis.com", converter=address, kw_only=True
    )
    login_url: str = attrs.field(
        default="https://oauth2.googleapis.com", converter=address, kw_only=True
    )
    _access: Secret | None = attrs.field(default=None, kw_only=True)

    @property
    def traits(self) -> Traits:
        """Return what reviews can do."""
        return _TRAITS

    def using(self, state: ChannelState) -> Self:
        """Return this channel with persisted tokens (`"access_token"`, `"refresh_token"`)."""
        refresh = state.credentials.get("refresh_token", self.refresh_token)
        access = state.credentials.get("access_token", self._access)
        return attrs.evolve(self, refresh_token=refresh, access=access)

    # -- in

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch one page of reviews, newest change first; `more` until what was seen before.

        Args:
            cursor: The previous page's cursor; None, or one that is not ours, to begin.

        Raises:
            NeedsAuth: If there is no access token, or it has ended: `renew` makes one.
            RateLimited: If the project must pause.
            TransportError: If there is no usable answer; nothing was lost.
            PayloadError: If the answer as a whole cannot be read.
        """
        place = _Place.read(cursor)
        query = {"pageSize": str(_PAGE), "orderBy": "updateTime desc"}
        query |= {"pageToken": place.page} if place.page else {}
        access = self._access
        if access is None:  # whoever runs the channel renews, and keeps the token for an hour
            raise NeedsAuth("there is no access token yet: renew() makes one")
        try:
            listed, at = yield from self._get(f"?{urlencode(query)}", _Listed.read, access)
        except Refused:
            if not place.page:
                raise
            # A page token that has ended: the next poll begins the round again.
            return Page(cursor=attrs.evolve(place, page="", top=None).write())
        changes = _changes(listed.reviews)
        since = self.since or place.since or (at and at - _FRESH)
        facts, unreadable = one_by_one(listed.reviews, lambda item: self._read(item, since))
        place = attrs.evolve(place, since=since)
        gone: tuple[Fact, ...] = ()
        if at is not None and not place.page:
            place = attrs.evolve(place, top=max(changes.values(), default=place.after))
            place, gone = yield from self._missing(place, listed, changes, access, at)
        until, oldest = place.after or since, min(changes.values(), default=None)
        more = bool(listed.next and oldest and (until is None or oldest > until))
        ends = {"page": "", "after": place.top or place.after, "top": None}
        place = attrs.evolve(place, **({"page": listed.next} if more else ends))
        return Page((*facts, *gone), place.write(), unreadable, more)

    def _missing(
        self,
        place: _Place,
        listed: _Listed,
        changes: Mapping[str, datetime],
        access: Secret,
        at: datetime,
    ) -> Flow[tuple[_Place, tuple[Fact, ...]]]:
        """Return the reviews that were among the newest and are no longer listed, nor there.

        Google tells of no deletion, and not who took a review away.
        """
        oldest = min(changes.values(), default=None)
        due = [
            name
            for name, changed in place.seen.items()
            if name not in changes and (not listed.next or (oldest and changed > oldest))
        ]
        gone: list[Fact] = []
        for name in due[:_LOOKS]:
            request = self._request("GET", f"/{quote(name, safe='')}", access)
            try:
                yield from self._ask(request, lambda found: mapping(found, "the review"))
            except _Gone:
                gone.append(Removal(self.name, "review", name, at, RemovedBy.unknown))
        later = {name: place.seen[name] for name in due[_LOOKS:]}
        return attrs.evolve(place, seen={**dict([*changes.items()][:_PAGE]), **later}), (*gone,)

    def _read(self, review: dict[str, Any], since: datetime | None) -> Iterator[Fact]:
        """Read a review, its last change, and the reply to it."""
        name, stars = word(review, "reviewId"), _STARS.get(perhaps(review, "starRating"))
        who = mapping(review.get("reviewer") or {}, "reviewer")
        made, changed = from_text(review.get("createTime")), from_text(review.get("updateTime"))
        message = Message(
            self.name,
            "review",
            name,
            Author(name, perhaps(who, "displayName")),
            _words(review, stars),
            made,
            thread=name,
            attachments=_attachments(review),
            permalink=perhaps(review, "reviewReplyUrl") or None,
            tags=(f"stars:{stars}",) if stars else (),
            raw=compact(review),
        )
        reply = self._reply(review, name, since)
        yield Inbound(message, _before(made, since))
        if changed > made:
            revision, backfill = word(review, "updateTime"), _before(changed, since)
            yield Edit(self.name, "review", name, revision, message.text, changed, backfill)
        yield from reply

    def _reply(
        self, review: Mapping[str, Any], name: str, since: datetime | None
    ) -> tuple[Fact, ...]:
        """Read the reply to a review: the desk knows ours by its words, and takes others' in."""
        if review.get("reviewReply") is None:
            return ()
        reply = mapping(review["reviewReply"], "reviewReply")
        text, at = word(reply, "comment"), from_text(reply.get("updateTime"))
        id_ = _reply_id(name, text)
        why = _rejected(reply)
        if why:
            return (StatusReport(self.name, id_, "failed", at, why),)
        message = Message(
            self.name,
            "review",
            id_,
            Author(self.location),
            text,
            at,
            thread=name,
            parent=name,
            raw=compact(reply),
        )
        return (Outbound(message, name, backfill=_before(at, since)),)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined review again.

        Args:
            raw: The review as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it still cannot be read.
            InvalidValue: If it still cannot be read.
        """
        return Delivery(tuple(self._read(mapping(read_json(raw), "the review"), None)))

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Reply to a review, unless a person has; a reply of ours is replaced.

        Ours are those in `message.known`, and one that says the same.

        Args:
            message: What to reply.

        Raises:
            SendError: One of its kinds says what became of it.
            Unsupported: If a reply cannot express it; nothing was asked then.
        """
        check_powers(message, _TRAITS)
        name = self._answered(message)
        access, reply, _at = yield from self._standing(name)
        if reply is not None:
            standing = _reply_id(name, word(reply, "comment"))
            if standing not in {*message.known, _reply_id(name, message.text)}:
                raise Refused(
                    "the review has a reply that was not sent from here, and it is never replaced: "
                    "change it in Business Profile, or leave it"
                )
        body = compact({"comment": message.text}).encode("utf-8", "replace")
        request = self._request("PUT", f"/{quote(name, safe='')}/reply", access, body)
        return (yield from self._ask(request, lambda made: _receipt(name, made)))

    def _answered(self, message: Outgoing) -> str:
        """Return the review that a message answers; the reply to it names it too."""
        return (message.reply_to or ("", message.thread))[1].partition("#")[0]

    def _standing(self, name: str) -> Flow[tuple[Secret, dict[str, Any] | None, datetime | None]]:
        """Return the reply that a review has."""

        def read(found: Any) -> dict[str, Any] | None:
            review = mapping(found, "the review")
            if word(review, "reviewId") != name:
                raise PayloadError(f"Google answered with another review than {name!r:.100}")
            reply = review.get("reviewReply")
            return None if reply is None else mapping(reply, "reviewReply")

        return (yield from self._first(f"/{quote(name, safe='')}", read))

    # -- looking

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look whether the review has our reply.

        Args:
            message: What may have been posted.
        """
        name = self._answered(message)
        try:
            _, reply, _at = yield from self._standing(name)
            if reply is None or _rejected(reply):
                return Found()
            receipt = _receipt(name, reply)
        except _Gone:
            return Found()
        except (SendError, TransportError, PayloadError) as error:
            return Found(looked=False, why=str(error))
        return Found(receipt if receipt.id == _reply_id(name, message.text) else None)

    # -- how it is

    def check(self) -> Flow[Health]:
        """Ask whether the tokens are accepted, and the location's reviews can be read.

        Raises:
            TransportError: If there is no usable answer.
            RateLimited: If the project must pause.
        """
        try:
            _, answer, _at = yield from self._first(
                "?pageSize=1", lambda found: mapping(found, "the answer")
            )
            _Listed.read(answer)
        except NeedsAuth as error:
            hint = "let an owner or manager of the location authorize the app again, with the scope"
            return Health(False, (f"{error}; {hint} {next(iter(_SETUP.scopes))}",))
        except _Gone as error:
            return Health(False, (f"there is no {self.location}, or it is not yours: {error}",))
        except (Refused, PayloadError) as error:
            return Health(False, (f"the reviews cannot be read: {error}",))
        count, mean = answer.get("totalReviewCount", 0), answer.get("averageRating", "no")
        notes = (
            f"{count} reviews, {mean} stars on average",
            "replies are accepted for a verified location only; Google does not tell here",
        )
        return Health(True, notes=notes)

    def renew(self) -> Flow[ChannelState]:
        """Return the state with a new access token, which lives for an hour.

        Polling needs it; sending whose token has ended makes itself another one.

        Raises:
            NeedsAuth: If the refresh token is no longer accepted: a person must authorize again.
            TransportError: If there is no usable answer.
        """
        access = yield from self._refresh()
        kept = {"access_token": access, "refresh_token": self.refresh_token}
        return ChannelState(self.name, credentials=kept)

    # -- requests

    def _refresh(self) -> Flow[Secret]:
        url = f"{self.login_url}/token"
        secrets = self.client_secret, self.refresh_token, *filter(None, (self._access,))
        return (yield from refreshed(url, self.client_id, *secrets)).access

    def _first(
        self, path: str, read: Callable[[Any], T]
    ) -> Flow[tuple[Secret, T, datetime | None]]:
        """Make a flow's first request, a read, if need be with a token of its own; return that too.

        A reply shall not wait, nor a person be called, because an hour is over.
        """
        if self._access is not None:
            try:
                found, at = yield from self._get(path, read, self._access)
            except NeedsAuth as error:
                if not str(error).startswith("401"):
                    raise
            else:
                return self._access, found, at
        access = yield from self._refresh()
        found, at = yield from self._get(path, read, access)
        return access, found, at

    def _get(
        self, path: str, read: Callable[[Any], T], access: Secret
    ) -> Flow[tuple[T, datetime | None]]:
        """Make a request that only reads; return what it gave, and when."""
        return (yield from timed(self._ask(self._request("GET", path, access), read)))

    def _request(self, method: str, path: str, access: Secret, body: bytes = b"") -> Request:
        headers = {"Authorization": f"Bearer {access.reveal()}", "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        url = f"{self.base_url}/v4/{self.location}/reviews{path}"
        return Request(method, url, headers, body, posts=bool(body))

    def _ask(self, request: Request, read: Callable[[Any], T]) -> Flow[T]:
        secrets = [self.client_secret, self.refresh_token]
        bearer = (request.headers.get("Authorization") or "").partition(" ")[2]
        try:
            return (yield from ask(request, read, *secrets, Secret(bearer)))
        except Refused as error:
            if str(error)[:3] in ("404", "410"):
                raise _Gone(f"it is deleted, or never was: {error}") from None
            raise


def _before(at: datetime, since: datetime | None) -> bool:
    return since is not None and at < since


def _receipt(name: str, answer: Any) -> Receipt:
    reply = mapping(answer, "the reply")
    why = _rejected(reply)
    if why:
        raise Refused(why)
    id_ = _reply_id(name, word(reply, "comment"))
    return Receipt(id_, from_text(reply.get("updateTime")))
