"""Answer comments below an organization's posts on LinkedIn, in public.

In: comments of the newest posts are polled, one list a page; a webhook, where LinkedIn has granted
one, tells of new ones, of edits and deletions within seconds, and of posts that mention the
organization. Out: a comment below the top-level comment of the thread, because LinkedIn nests one
level only. There is no idempotency key: a comment that may have been lost is looked for among the
answers to what it answers. Private messages of organizations have no API.

Sources, under https://learn.microsoft.com/en-us/linkedin/: marketing/community-management/shares/
comments-api and posts-api, marketing/community-management/organizations/
organization-social-action-notifications, shared/api-guide/webhook-validation, marketing/versioning,
shared/authentication/programmatic-refresh-tokens and token-introspection. (Over 300 lines, because a
network is one file.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import quote, urlencode

import attrs

from supportflow.channels import (
    Delivery,
    Found,
    Health,
    NeedsAuth,
    NotSent,
    Page,
    Reconcile,
    Refused,
    SendError,
    Traits,
    Unreadable,
)
from supportflow.channels.arguments import named
from supportflow.channels.oauth import address, refreshed, timed
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import ask, items, one_by_one
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError, WebhookRejected
from supportflow.flow import Flow
from supportflow.http import Request, Response, Webhook, read_json
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
    aware,
)
from supportflow.signing import hmac_sha256, usable, verify_hex
from supportflow.text import storable
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.moments import from_epoch, from_text

__all__ = ["LinkedIn"]

T = TypeVar("T")

#: The most comments that one request gives, and how many requests a search for ours makes.
_COUNT, _LOOKS = 100, 50
#: The most lists that wait to be read; a page adds at most its own comments'. Ours.
_QUEUE = 1_000
#: What a first poll takes for news unless `since` is given. Ours.
_FRESH = timedelta(days=1)
#: How far the platform's clock may be behind ours.
_SKEW = timedelta(seconds=5)
_MILLISECOND = 0.001

_EVENTS = "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"
_PREFIX = "hmacsha256="
# "Randomly generated type-4 UUID string": nothing else, or whoever may choose the code could have
# a forged body signed by us.
_CODE = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Notifications and links of the web name the post in a shorter form than the API does.
_COMMENT = re.compile(
    r"urn:li:comment:\((?:urn:li:)?([A-Za-z]{1,40}):([\w-]{1,80}),([\w-]{1,80})\)"
)
_ORGANIZATION = re.compile(r"(?:urn:li:organization:)?([0-9]{1,20})")
_PERSON = re.compile(r"urn:li:person:[\w-]+")
_POST = re.compile(r"urn:li:(?:share|ugcPost|activity):[0-9]{1,20}")
_VERSION = re.compile(r"20[0-9]{4}")
_LISTS, _WRITES = ("r_organization_social",), ("w_organization_social",)

_TRAITS = Traits(
    "linkedin",
    max_text=1_250,
    reconcile=Reconcile.read,
    counting="utf16",  # LinkedIn does not say what it counts: these are never too few
    settle=timedelta(seconds=120),
    inbound=("webhook", "poll"),
    poll_every=timedelta(minutes=15),
    signature="X-LI-Signature",
    rates={
        "requests": "500 a day and app, 100 a day and member in the Development Tier; later, see the "
        "app's page in the developer portal",
        "comments": "an unpublished number a minute and member",
    },
    unsupported={
        "private messages": "the API has none for organizations: ask for an e-mail address or offer "
        "the chat on your own site",
        "announcement": "publish a post in LinkedIn's own app",
        "attachments": "LinkedIn refuses pictures in answers; put a link into the text",
        "names": "comments name their authors by an id alone",
        "deletions while polling": "only webhooks tell of them; an answer to a deleted comment is "
        "refused",
        "reactions": "LinkedIn tells of those to posts, not of those to comments",
    },
)

_SETUP = Setup(
    "Comments below an organization's posts on LinkedIn, answered in public.",
    needs=(
        Need("organization", "the organization's number, from the address of its admin page"),
        Need("token", "a member's access token with these permissions", secret=True),
        Need("client_secret", "the app's primary client secret, on its page Auth", secret=True),
        Need("client_id", "the app's client id, on its page Auth", required=False),
        Need("refresh_token", "the refresh token that came with it", secret=True, required=False),
        Need("posts", "the URNs of the posts to read; the newest by themselves", required=False),
        Need("version", "LinkedIn-Version as YYYYMM; each lives about a year", required=False),
    ),
    steps=(
        (
            "Create an app at https://www.linkedin.com/developers/apps and let a super admin of "
            "the organization's page verify it."
        ),
        (
            "Ask for the product Community Management API: registered organizations only, with a "
            "business e-mail address. The Development Tier comes first, the Standard Tier after a "
            "review with a screen recording."
        ),
        (
            "Let a member with the page's role ADMINISTRATOR authorize the app with the scopes "
            "(three-legged OAuth); keep the access token (60 days) and the refresh token (365 days)."
        ),
        (
            "With the Standard Tier: enter the webhook's address on the app's page Webhooks, then "
            f"subscribe the organization: PUT /rest/eventSubscriptions/(…,eventType:{_EVENTS})."
        ),
    ),
    scopes={
        "r_organization_social": "read the organization's posts and comments (newer apps: "
        "r_organization_social_feed)",
        "w_organization_social": "comment as the organization (newer apps: "
        "w_organization_social_feed)",
        "rw_organization_admin": "subscribe to webhooks",
    },
    webhook="https://your.example/webhooks/linkedin; LinkedIn sends a challenge at once and every "
    "two hours, which the channel answers",
    guide="https://learn.microsoft.com/en-us/linkedin/marketing/community-management/"
    "community-management-overview",
)


# -- configuration


def _organization(value: str | int) -> str:
    found = _ORGANIZATION.fullmatch(str(value))
    if found is None:
        raise InvalidValue(f"organization is {value!r:.60}; give its number, as in '2414183'")
    return f"urn:li:organization:{found[1]}"


def _posts(value: str | Iterable[str]) -> tuple[str, ...]:
    given = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    found = tuple(each for each in given if each)
    for each in found:
        if not _POST.fullmatch(each):
            raise InvalidValue(f"{each!r:.60} is no post; give URNs, as in 'urn:li:share:123'")
    return found


def _version(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise InvalidValue(f"version is {value!r:.60}; give year and month, as in '202607'")


def _secrets(value: Secret | str | Sequence[Secret | str]) -> tuple[Secret, ...]:
    several = (value,) if isinstance(value, Secret | str) else tuple(value)
    return usable([Secret(each) for each in several])


def _number(_: object, __: object, value: int) -> None:
    if not 1 <= value <= _COUNT:
        raise InvalidValue(f"newest is {value!r:.60}; it must be from 1 to {_COUNT}")


def _moment(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "since")


# -- reading


@attrs.frozen
class _Comment:
    """Name a comment as LinkedIn does: by the post that it stands below, and its id there."""

    post: str
    id: str

    @classmethod
    def of(cls, urn: str) -> _Comment:
        found = _COMMENT.fullmatch(urn)
        if found is None:
            raise PayloadError(f"{urn!r:.100} is no comment's URN")
        return cls(f"urn:li:{found[1]}:{found[2]}", found[3])

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> _Comment:
        """Return whose name stands in a comment: versions of the API write it differently."""
        return cls.of(perhaps(item, "commentUrn") or word(item, "$URN"))

    @property
    def urn(self) -> str:
        return f"urn:li:comment:({self.post},{self.id})"

    @property
    def permalink(self) -> str:
        short = f"urn:li:comment:({self.post.removeprefix('urn:li:')},{self.id})"
        return (
            f"https://www.linkedin.com/feed/update/{self.post}?commentUrn={quote(short, safe='')}"
        )


def _time(item: Mapping[str, Any], name: str) -> datetime:
    return from_epoch(mapping(item.get(name), name).get("time"), _MILLISECOND)


def _parent(item: Mapping[str, Any]) -> str | None:
    parent = perhaps(item, "parentComment")
    return _Comment.of(parent).urn if parent else None


def _attachments(item: Mapping[str, Any]) -> tuple[Attachment, ...]:
    found = []
    for each in mappings(item, "content"):
        entity = mapping(each.get("entity") or {}, "entity")
        url = perhaps(each, "url") or perhaps(entity, "image")
        found.append(Attachment((perhaps(each, "type") or "image").lower(), url))
    return tuple(found)


def _addressed(words: Mapping[str, Any]) -> str | None:
    """Return whom a text begins with: LinkedIn's app puts there whom an answer is for."""
    first = [each for each in mappings(words, "attributes") if each.get("start") == 0]
    people = set(_PERSON.findall(compact(first)))
    return people.pop() if len(people) == 1 else None


def _place_in(cursor: str | None) -> tuple[list[tuple[str, int]], datetime | None]:
    """Return the lists that a round still has to read, and what news began with."""
    try:
        found = mapping(read_json((cursor or "").encode("utf-8", "replace")), "the cursor")
        left = [(str(urn), int(start)) for urn, start in items(found, "left")]
        begun = perhaps(found, "since")
        return left[:_QUEUE], from_text(begun) if begun else None
    except (PayloadError, TypeError, ValueError):
        return [], None


def _listed(answer: Any) -> tuple[list[Any], bool]:
    """Return the elements of a list, and whether it goes on."""
    found = items(answer, "elements")
    paging = answer.get("paging")
    links = paging.get("links") if isinstance(paging, dict) else None
    further = isinstance(links, list) and any(
        isinstance(link, dict) and link.get("rel") == "next" for link in links
    )
    return found, bool(found) and (further or len(found) >= _COUNT)


def _answered(item: Any) -> str | None:
    """Return a comment's URN if it has answers, which are a list of their own."""
    try:
        summary = mapping(mapping(item, "it").get("commentsSummary"), "commentsSummary")
        urn = _Comment.read(item).urn
    except PayloadError:
        return None
    counts = (summary.get(name) for name in ("aggregatedTotalComments", "totalFirstLevelComments"))
    return urn if any(isinstance(count, int) and count > 0 for count in counts) else None


class _Gone(Refused):
    """Say that a comment or a post is no longer there."""


def _canonical(text: str) -> str:
    return " ".join(storable(text).split())


@attrs.frozen
class LinkedIn:
    """Take comments on one organization's posts, and answer them as the organization.

    A customer's comments below one post are one conversation. Posts that mention the organization
    come by webhook (kind `"share"`), and are answered below them.

    Args:
        organization: The organization's number, or its URN.
        token: A member's access token.
        client_secret: The app's client secret, which signs webhooks: one, or several during a
            rotation, the current one first.
        client_id: The app's client id: to renew the token, and to check its scopes.
        refresh_token: To renew the token.
        posts: The URNs of the posts whose comments are read; the newest ones where none is given.
        newest: How many of them, from 1 to 100.
        version: `LinkedIn-Version`, as YYYYMM.
        since: What a first poll takes for news (aware); older comments are history: judged, never
            announced. A day before the first poll by default.
        poll_every: How long between polls: each round takes a request for the posts, one for each
            of them, and one for each comment with answers.
        name: The channel's name; another account needs another one.
        base_url: The API; another only in tests.
        login_url: The authorization server; another only in tests.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> page = LinkedIn("2414183", token="from OAuth", client_secret="from the app")
        >>> page.organization
        'urn:li:organization:2414183'
    """

    setup: ClassVar[Setup] = _SETUP

    organization: str = attrs.field(converter=_organization)
    token: Secret = attrs.field(converter=Secret, kw_only=True)
    client_secret: tuple[Secret, ...] = attrs.field(converter=_secrets, kw_only=True)
    client_id: str = attrs.field(default="", kw_only=True)
    refresh_token: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(Secret), kw_only=True
    )
    posts: tuple[str, ...] = attrs.field(default=(), converter=_posts, kw_only=True)
    newest: int = attrs.field(default=10, validator=_number, kw_only=True)
    version: str = attrs.field(default="202607", validator=_version, kw_only=True)
    since: datetime | None = attrs.field(default=None, converter=_moment, kw_only=True)
    poll_every: timedelta = attrs.field(default=_TRAITS.poll_every, kw_only=True)
    name: str = attrs.field(default="linkedin", validator=named, kw_only=True)
    base_url: str = attrs.field(default="https://api.linkedin.com", converter=address, kw_only=True)
    login_url: str = attrs.field(
        default="https://www.linkedin.com", converter=address, kw_only=True
    )

    @property
    def traits(self) -> Traits:
        """Return what LinkedIn can do."""
        return attrs.evolve(_TRAITS, poll_every=self.poll_every)

    def using(self, state: ChannelState) -> Self:
        """Return this channel with renewed tokens (`"token"`, `"refresh_token"`)."""
        token = state.credentials.get("token", self.token)
        refresh = state.credentials.get("refresh_token", self.refresh_token)
        return attrs.evolve(self, token=token, refresh_token=refresh)

    # -- in, by webhook

    def receive(self, hook: Webhook) -> Delivery:
        """Answer LinkedIn's challenge, or read notifications that are proved genuine.

        LinkedIn signs no time: a body that is sent again is genuine, and changes nothing.

        Args:
            hook: The request as it came.

        Raises:
            WebhookRejected: If it is not proved genuine.
            PayloadError: If it is genuine and cannot be read as a whole.
        """
        if hook.method == "GET":
            return Delivery(response=self._challenged(hook))
        given = hook.headers.all("X-LI-Signature")
        if len(given) != 1:
            raise WebhookRejected(f"X-LI-Signature is there {len(given)} times, not once")
        # The value is documented without the prefix, and seen with it.
        prefix = _PREFIX if given[0].startswith(_PREFIX) else ""
        verify_hex(self.client_secret, _PREFIX.encode() + hook.body, given[0], prefix)
        batch = mapping(read_json(hook.body), "the notification")
        if word(batch, "type") != _EVENTS:
            raise PayloadError(f"type is {batch['type']!r:.60}, not {_EVENTS}")
        return Delivery(*one_by_one(items(batch, "notifications"), self._notified))

    def _challenged(self, hook: Webhook) -> Response:
        """Prove that we know the secret: within three seconds, and again every two hours."""
        given = hook.query.all("challengeCode")
        if len(given) != 1 or not _CODE.fullmatch(given[0]):
            raise WebhookRejected("challengeCode is missing or no UUID; LinkedIn sends one")
        proof = hmac_sha256(self.client_secret[0], given[0].encode()).hex()
        body = compact({"challengeCode": given[0], "challengeResponse": proof}).encode()
        return Response(200, {"Content-Type": "application/json"}, body)

    def _notified(self, item: dict[str, Any]) -> Iterable[Fact]:
        """Read one notification; what LinkedIn tells besides (likes, shares) is no message.

        Answers of our own (`ADMIN_COMMENT`) are left to the poll: here, nothing says whom they
        answer.
        """
        action = word(item, "action")
        if word(item, "organizationalEntity") != self.organization:
            raise PayloadError(f"it is about {item['organizationalEntity']!r:.60}")
        at = from_epoch(item.get("lastModifiedAt"), _MILLISECOND)
        if action == "COMMENT_DELETE":
            urn = _Comment.of(word(item, "generatedActivity")).urn
            return (Removal(self.name, "comment", urn, at, RemovedBy.unknown),)
        reads = {
            "COMMENT": self._told_comment,
            "COMMENT_EDIT": self._told_edit,
            "SHARE_MENTION": self._told_mention,
        }
        if action not in reads:
            return ()
        made = mapping(item.get("decoratedGeneratedActivity"), "decoratedGeneratedActivity")
        kind = "share" if action == "SHARE_MENTION" else "comment"
        return reads[action](item, mapping(made.get(kind), kind), at)

    def _told_comment(
        self, item: dict[str, Any], made: dict[str, Any], at: datetime
    ) -> Iterator[Fact]:
        comment, owner = _Comment.of(word(made, "entity")), word(made, "owner")
        message = Message(
            self.name,
            "comment",
            comment.urn,
            Author(owner),
            perhaps(made, "text"),
            at,
            thread=comment.post,
            parent=_parent(made),
            permalink=comment.permalink,
            raw=compact(item),
        )
        if owner != self.organization:
            yield Inbound(message)

    def _told_edit(self, _: object, made: dict[str, Any], at: datetime) -> Iterator[Fact]:
        urn, owner = _Comment.of(word(made, "entity")).urn, word(made, "owner")
        if owner != self.organization:
            text = perhaps(made, "text")
            yield Edit(self.name, "comment", urn, at.isoformat(), text, at)

    def _told_mention(
        self, item: dict[str, Any], made: dict[str, Any], at: datetime
    ) -> Iterator[Fact]:
        urn, owner = word(made, "entity"), word(made, "owner")
        if not _POST.fullmatch(urn):
            raise PayloadError(f"{urn!r:.100} is no post's URN")
        link = f"https://www.linkedin.com/feed/update/{urn}"
        said = perhaps(made, "text"), at, urn
        message = Message(
            self.name, "share", urn, Author(owner), *said, permalink=link, raw=compact(item)
        )
        if owner != self.organization:
            yield Inbound(message)

    # -- in, by polling

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch one list of comments: of a post, or of the answers to a comment.

        A round goes over all posts; `more` says whether it is over.

        Args:
            cursor: The previous page's cursor; None, or one that is not ours, to begin.

        Raises:
            NeedsAuth: If the token is not accepted, or the member's role is gone.
            RateLimited: If the account must pause.
            TransportError: If there is no usable answer; nothing was lost.
            PayloadError: If the answer as a whole cannot be read.
        """
        left, since = _place_in(cursor)
        begins = not left
        if begins:
            left = [(urn, 0) for urn in self.posts or (yield from self._newest())]
        if not left:
            return Page(cursor=cursor)
        (target, start), *left = left
        facts: tuple[Fact, ...] = ()
        unreadable: tuple[Unreadable, ...] = ()
        try:
            (found, further), at = yield from self._read(self._comments(target, start), _listed)
            since = self.since or since or (at and at - _FRESH)
            facts, unreadable = one_by_one(found, lambda item: self._said(item, since))
            more = [(target, start + _COUNT)] if further else []
            left = [*((urn, 0) for urn in map(_answered, found) if urn), *more, *left]
        except _Gone:
            pass  # deleted since it was listed: the others go on
        except Refused as error:
            if begins:  # everything may be refused
                raise
            unreadable = (Unreadable(compact({"target": target}).encode(), str(error)),)
        kept = {"left": left, "since": since.isoformat() if since else ""}
        return Page(facts, compact(kept), unreadable, more=bool(left))

    def _newest(self) -> Flow[tuple[str, ...]]:
        """Return the posts that were last published or changed."""
        query = {
            "author": self.organization,
            "q": "author",
            "count": str(self.newest),
            "sortBy": "LAST_MODIFIED",
        }
        request = self._request("GET", f"posts?{urlencode(query)}")
        (found, _), _ = yield from self._read(request, _listed)
        ids = (each.get("id") for each in found if isinstance(each, dict))
        return tuple(each for each in ids if isinstance(each, str) and each)

    def _said(self, item: dict[str, Any], since: datetime | None) -> Iterator[Fact]:
        """Read a comment; one that was edited is itself and its edit."""
        comment, actor = _Comment.read(item), word(item, "actor")
        words, at = mapping(item.get("message"), "message"), _time(item, "created")
        message = Message(
            self.name,
            "comment",
            comment.urn,
            Author(actor),
            perhaps(words, "text"),
            at,
            thread=comment.post,
            parent=_parent(item),
            attachments=_attachments(item),
            permalink=comment.permalink,
            raw=compact(item),
        )
        backfill = since is not None and at < since
        if actor == self.organization:
            if message.parent:
                yield Outbound(message, _addressed(words), backfill=backfill)
            return
        yield Inbound(message, backfill)
        changed = _time(item, "lastModified") if item.get("lastModified") else at
        if changed > at:
            key = (self.name, "comment", comment.urn)
            yield Edit(*key, changed.isoformat(), message.text, changed, backfill)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined item again: a notification, or a comment.

        Args:
            raw: The item as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it still cannot be read.
            InvalidValue: If it still cannot be read.
        """
        item = mapping(read_json(raw), "the item")
        told = "action" in item
        return Delivery(tuple(self._notified(item) if told else self._said(item, None)))

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Comment as the organization, below the top-level comment of what it answers.

        What it answers is read first: that tells the top-level comment, and whether it exists.

        Args:
            message: What to post.

        Raises:
            SendError: One of its kinds says what became of it.
            Unsupported: If LinkedIn cannot express it; nothing was asked then.
        """
        check_powers(message, _TRAITS)
        post, top = yield from self._place(message)
        said = {
            "actor": self.organization,
            "object": post,
            "message": {"text": message.text},
            "parentComment": top,
        }
        body = compact({name: value for name, value in said.items() if value is not None})
        path = f"socialActions/{quote(top or post, safe='')}/comments"
        request = self._request("POST", path, body.encode("utf-8", "replace"))
        return (yield from self._ask(request, _receipt))

    def _place(self, message: Outgoing) -> Flow[tuple[str, str | None]]:
        """Return the post, and the top-level comment that an answer goes below.

        Raises:
            Refused: If what it answers is not there.
        """
        kind, urn = message.reply_to or ("", "")
        if kind == "share":
            return urn, None
        try:
            comment = _Comment.of(urn)
        except PayloadError as error:
            raise Refused(f"what it answers is no comment on LinkedIn: {error}") from None
        path = f"socialActions/{quote(comment.post, safe='')}/comments/{quote(comment.id, safe='')}"
        top, _ = yield from self._read(
            self._request("GET", path), lambda found: _parent(_itself(found, comment))
        )
        return comment.post, top or comment.urn

    # -- looking

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for our own comment among the answers where it was posted.

        Args:
            message: What may have been posted.
        """
        try:
            post, top = yield from self._place(message)
            return Found((yield from self._look(message, top or post)))
        except _Gone:
            return Found()  # with a comment, LinkedIn deletes the answers to it
        except (SendError, TransportError, PayloadError) as error:
            return Found(looked=False, why=str(error))

    def _look(self, message: Outgoing, target: str) -> Flow[Receipt | None]:
        for page in range(_LOOKS):
            request = self._comments(target, page * _COUNT)
            (found, further), _ = yield from self._read(request, _listed)
            for item in found:
                receipt = self._match(mapping(item, "the comment"), message)
                if receipt is not None:
                    return receipt
            if not further:
                return None
        raise PayloadError(f"more than {_LOOKS * _COUNT} comments below {target}")

    def _match(self, item: dict[str, Any], message: Outgoing) -> Receipt | None:
        """Return a comment's receipt if it is this message, by the rule of RELIABILITY 2.5."""
        begun = (message.first_sent_at or message.queued_at) - _SKEW
        text = perhaps(mapping(item.get("message"), "message"), "text")
        receipt = _receipt(item)
        same = _canonical(text) == _canonical(message.text) and receipt.id not in message.known
        ours = word(item, "actor") == self.organization and receipt.at >= begun
        return receipt if same and ours else None

    # -- how it is

    def check(self) -> Flow[Health]:
        """Ask about the token, its scopes and its end, and whether the posts can be read.

        Raises:
            TransportError: If there is no usable answer.
            RateLimited: If the account must pause.
        """
        notes = ["LinkedIn checks the webhook by itself, every two hours: see the app's page"]
        problems: list[str] = []
        ends = None
        try:
            if self.client_id:
                problems, ends = yield from self._introspected()
            else:
                notes.append("give client_id too: without it, the token's scopes are not checked")
            yield from self._newest()
        except NeedsAuth as error:
            problems.append(
                f"{error}; authorize the app again as an ADMINISTRATOR of the page, with the "
                f"scopes {', '.join(_SETUP.scopes)}"
            )
        except (NotSent, Refused, PayloadError) as error:
            problems.append(f"the posts cannot be read: {error}")
        if self.refresh_token is None:
            notes.append("without refresh_token, a person must authorize again every 60 days")
        return Health(not problems, tuple(problems), tuple(notes), ends)

    def _introspected(self) -> Flow[tuple[list[str], datetime | None]]:
        """Return what the token lacks, and when it ends."""
        fields = {
            "client_id": self.client_id,
            "client_secret": self.client_secret[0].reveal(),
            "token": self.token.reveal(),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.login_url}/oauth/v2/introspectToken"
        request = Request("POST", url, headers, urlencode(fields).encode())
        found, _ = yield from self._read(request, lambda answer: mapping(answer, "the answer"))
        if found.get("active") is not True:
            said = perhaps(found, "status") or "unknown"
            return [f"the token is {said}, not active: authorize the app again"], None
        granted = set(re.split(r"[\s,]+", perhaps(found, "scope")))
        problems = [
            f"the token lacks {scope}: authorize the app again with {', '.join(_SETUP.scopes)}"
            for scope in (*_LISTS, *_WRITES)
            if not granted & {scope, f"{scope}_feed"}
        ]
        ends = found.get("expires_at")
        return problems, None if ends is None else from_epoch(ends)

    def renew(self) -> Flow[ChannelState]:
        """Return the state with a new access token; the refresh token lives on, to its own end.

        Raises:
            NeedsAuth: If there is nothing to renew it with, or it is no longer accepted.
            TransportError: If there is no usable answer.
        """
        if self.refresh_token is None or not self.client_id:
            raise NeedsAuth("give client_id and refresh_token, or authorize the app again")
        tokens = yield from refreshed(
            f"{self.login_url}/oauth/v2/accessToken",
            self.client_id,
            self.client_secret[0],
            self.refresh_token,
            self.token,
            *self.client_secret,
        )
        refresh = tokens.refresh or self.refresh_token
        kept = {"token": tokens.access, "refresh_token": refresh}
        return ChannelState(self.name, credentials=kept)

    # -- requests

    def _comments(self, target: str, start: int) -> Request:
        query = urlencode({"start": start, "count": _COUNT})
        return self._request("GET", f"socialActions/{quote(target, safe='')}/comments?{query}")

    def _request(self, method: str, path: str, body: bytes = b"") -> Request:
        headers = {
            "Authorization": f"Bearer {self.token.reveal()}",
            "LinkedIn-Version": self.version,
            "X-Restli-Protocol-Version": "2.0.0",
        }
        if body:
            headers["Content-Type"] = "application/json"
        return Request(method, f"{self.base_url}/rest/{path}", headers, body, posts=bool(body))

    def _read(self, request: Request, read: Callable[[Any], T]) -> Flow[tuple[T, datetime | None]]:
        """Make a request that only reads; return what it gave, and when."""
        return (yield from timed(self._ask(request, read)))

    def _ask(self, request: Request, read: Callable[[Any], T]) -> Flow[T]:
        """Make a request; a version that has ended refuses nothing for good."""
        try:
            secrets = filter(None, (self.token, self.refresh_token, *self.client_secret))
            return (yield from ask(request, read, *secrets))
        except Refused as error:
            status = str(error)[:3]
            if status == "426":
                raise NotSent(
                    f"LinkedIn no longer serves version {self.version}; make the channel with a "
                    f"newer one, as in LinkedIn(…, version='202607'): {error}"
                ) from None
            if status in ("404", "410"):
                raise _Gone(f"it is deleted, or hidden from the organization: {error}") from None
            raise


def _itself(answer: Any, comment: _Comment) -> dict[str, Any]:
    """Return a comment that was asked for; another one in its place proves nothing."""
    found = mapping(answer, "the comment")
    if _Comment.read(found).id != comment.id:
        raise PayloadError(f"LinkedIn answered with another comment than {comment.urn}")
    return found


def _receipt(item: Any) -> Receipt:
    found = mapping(item, "the comment")
    comment = _Comment.read(found)
    return Receipt(comment.urn, _time(found, "created"), comment.permalink)
