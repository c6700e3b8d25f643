"""A strict local Google Business Profile: the reviews of one location, and its owner's replies.

It answers and refuses as the documentation says:
https://developers.google.com/my-business/reference/rest/v4/accounts.locations.reviews (and /list, /get,
/updateReply), https://developers.google.com/identity/protocols/oauth2/web-server#offline and, for the
form of errors, https://cloud.google.com/apis/design/errors.

A review has one reply, and a PUT replaces whatever stands there, also a person's. A customer has one
review, which they change or delete; nobody is told of that. What is not documented is chosen: a reply
does not count as a change of its review, an over-long or empty reply is INVALID_ARGUMENT, and replies
are shown at once unless `moderates` holds them. (Over 300 lines: the API, its tokens and the people in
the app are one network.)
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from supportflow.testing.platforms.messages import Reply, Request, Route
from supportflow.testing.platforms.server import Platform

__all__ = ["GoogleReviewsPlatform", "Posted", "Review", "Reviewer"]

MAX_REPLY, PAGE = 4_096, 50
STARS = ("ONE", "TWO", "THREE", "FOUR", "FIVE")
ORDERS = ("rating", "rating desc", "updateTime desc")
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}


@attrs.define
class Posted:
    """A reply to a review.

    Args:
        review: the review's id.
        text: the words.
        at: when it was written, or changed last.
        api: whether it came over the API.
        state: what the moderators say of it.
        why: the policy that it violates.
    """

    review: str
    text: str
    at: datetime
    api: bool
    state: str = "APPROVED"
    why: str = ""


@attrs.define
class Review:
    """What a customer said of the location.

    Args:
        id: Google's id.
        name: what it shows of its author.
        stars: one to five.
        text: the words; there may be none.
        made: when it was written.
        changed: when it was changed last.
        reply: the owner's reply.
        deleted: whether it is gone.
        photo: the address of a picture.
    """

    id: str
    name: str
    stars: int
    text: str
    made: datetime
    changed: datetime
    reply: Posted | None = None
    deleted: bool = False
    photo: str = ""


@attrs.frozen
class Reviewer:
    """Somebody who was at the location."""

    name: str
    platform: "GoogleReviewsPlatform" = attrs.field(repr=False)

    def write(self, text: str = "", stars: int = 1, *, photo: str = "") -> Review:
        """Write a review; one's own is changed if it is there."""
        return self.platform.write(self.name, text, stars, photo)

    def delete(self) -> None:
        """Take the review back."""
        self.platform.reviews[self.platform.id_of(self.name)].deleted = True


@attrs.frozen
class Owner:
    """The owner, who replies in Google's own app."""

    platform: "GoogleReviewsPlatform" = attrs.field(repr=False)

    def reply(self, review: Review, text: str) -> Posted:
        """Reply, or change the reply that is there."""
        return self.platform.replied(review, text, api=False)


class GoogleReviewsPlatform(Platform):
    """A local location with any number of reviewers.

    Args:
        verified: whether the location is: replies are taken only then.
        moderates: whether replies wait until a moderator decides.
        quota: requests a minute; None without limit.
        clock: aware UTC time; None is the machine's own.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too.

    Example:
        >>> with GoogleReviewsPlatform() as platform:
        ...     platform.customer("Ola").write("Cold tea.", 2).stars
        2
    """

    id_fields = frozenset({"comment"})

    def __init__(
        self,
        *,
        verified: bool = True,
        moderates: bool = False,
        quota: int | None = None,
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
    ) -> None:
        super().__init__(clock=clock, port=port, control=control)
        self.verified, self.moderates, self.quota = verified, moderates, quota
        self.location = "accounts/1089/locations/4711"
        self.client_id = "1089.apps.example.com"
        self.client_secret, self.refresh_token = secrets.token_hex(12), secrets.token_urlsafe(20)
        self.revoked = False
        self.reviews: dict[str, Review] = {}
        self.posts: list[Posted] = []
        self.owner = Owner(self)
        self._tokens: dict[str, datetime] = {}
        self._asked: list[datetime] = []

    # What tests use.

    def customer(self, name: str) -> Reviewer:
        """Return a reviewer by name."""
        return Reviewer(name, self)

    def id_of(self, name: str) -> str:
        """Return the id of a reviewer's review."""
        return f"AbFvOq{name.encode().hex()}"

    def truth(self) -> Mapping[str, object]:
        """Return every review, and every reply that came over the API."""
        with self.lock:
            reviews = [self._shown(each) for each in self.reviews.values() if not each.deleted]
            return {"reviews": reviews, "posts": [each.text for each in self.posts]}

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {
            "location": self.location,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }

    def act(self, command: Mapping[str, object]) -> object:
        """Do `{"as": "Ola", "text": …, "stars": 2}`: write a review, or change it."""
        match dict(command):
            case {"as": str(name), "text": str(text), **more}:
                stars = more.get("stars")
                return self._shown(self.write(name, text, stars if isinstance(stars, int) else 1))
            case _:
                return super().act(command)

    # What people do.

    def write(self, name: str, text: str, stars: int, photo: str = "") -> Review:
        """Write a review, or change it."""
        with self.lock:
            id_, now = self.id_of(name), self.now()
            before = self.reviews.get(id_)
            made = before.made if before and not before.deleted else now
            reply = before.reply if before and not before.deleted else None
            self.reviews[id_] = Review(id_, name, stars, text, made, now, reply, photo=photo)
            return self.reviews[id_]

    def replied(self, review: Review, text: str, *, api: bool) -> Posted:
        """Put a reply beneath a review, in the place of the one that is there."""
        with self.lock:
            state = "PENDING" if self.moderates and api else "APPROVED"
            review.reply = Posted(review.id, text, self.now(), api, state)
            return review.reply

    def moderate(self, review: Review, state: str, why: str = "") -> None:
        """Decide on a reply: APPROVED or REJECTED."""
        if review.reply is not None:
            review.reply.state, review.reply.why = state, why

    # What the API answers.

    def routes(self) -> Sequence[Route]:
        """Return the paths answered."""
        reviews = "/v4/accounts/{account}/locations/{location}/reviews"
        return (
            Route("POST", "/token", self._token),
            Route("GET", reviews, self._list),
            Route("GET", reviews + "/{id}", self._get),
            Route("PUT", reviews + "/{id}/reply", self._reply),
        )

    def handle(self, request: Request) -> Reply:
        """Answer whoever has a token that lives, about the location that it is for."""
        if request.path == "/token":
            return super().handle(request)
        now, bearer = self.now(), (request.header("Authorization") or "").partition(" ")[2]
        if self._tokens.get(bearer, now) <= now or self.revoked:
            return self.refuse(401, request)
        self._asked = [at for at in self._asked if at > now - timedelta(minutes=1)]
        if self.quota is not None and len(self._asked) >= self.quota:
            return self.refuse(429, request)
        self._asked.append(now)
        if not request.path.startswith(f"/v4/{self.location}/reviews"):
            return self.refuse(403, request)
        return super().handle(request)

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as Google does."""
        del request
        return _error(status, STATUSES.get(status, "INTERNAL"))

    def _token(self, request: Request) -> Reply:
        form = dict(request.form())
        if form.get("client_id") != self.client_id:
            return Reply.json({"error": "invalid_client"}, 401)
        if form.get("client_secret") != self.client_secret:
            return Reply.json({"error": "invalid_client"}, 401)
        known = form.get("refresh_token") == self.refresh_token and not self.revoked
        if form.get("grant_type") != "refresh_token" or not known:
            said = "Token has been expired or revoked."
            return Reply.json({"error": "invalid_grant", "error_description": said}, 400)
        access = secrets.token_urlsafe(20)
        self._tokens[access] = self.now() + timedelta(hours=1)
        scope = "https://www.googleapis.com/auth/business.manage"
        told = {"access_token": access, "expires_in": 3599, "token_type": "Bearer"}
        return Reply.json({**told, "scope": scope})

    def _list(self, request: Request) -> Reply:
        size = request.first("pageSize") or str(PAGE)
        order = request.first("orderBy") or "updateTime desc"
        start = request.first("pageToken") or "p0"
        if not size.isdigit() or not 1 <= int(size) <= PAGE:
            return _error(400, "pageSize must be from 1 to 50")
        if order not in ORDERS or not start.startswith("p") or not start[1:].isdigit():
            return _error(400, "Request contains an invalid argument.")
        there = [each for each in self.reviews.values() if not each.deleted]
        there.sort(key=lambda e: e.changed if "update" in order else e.stars, reverse="d" in order)
        first = int(start[1:])
        page = there[first : first + int(size)]
        if not there:
            return Reply.json({})
        told: dict[str, Any] = {
            "reviews": [self._shown(each) for each in page],
            "averageRating": sum(each.stars for each in there) / len(there),
            "totalReviewCount": len(there),
        }
        more = there[first + int(size) :]
        return Reply.json({**told, "nextPageToken": f"p{first + int(size)}"} if more else told)

    def _found(self, request: Request) -> Review | None:
        found = self.reviews.get(request.params["id"])
        return None if found is None or found.deleted else found

    def _get(self, request: Request) -> Reply:
        found = self._found(request)
        return self.refuse(404, request) if found is None else Reply.json(self._shown(found))

    def _reply(self, request: Request) -> Reply:
        found = self._found(request)
        if found is None:
            return self.refuse(404, request)
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict) or body.keys() != {"comment"}:
            return _error(400, "Invalid JSON payload received.")
        text = body["comment"]
        if not isinstance(text, str) or not 0 < len(text.encode()) <= MAX_REPLY:
            return _error(400, f"The comment has 1 to {MAX_REPLY} bytes.")
        if not self.verified:
            return _error(403, "The location is not verified.")
        posted = self.replied(found, text, api=True)
        self.posts.append(posted)
        return Reply.json(_reply(posted))

    def _shown(self, review: Review) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "name": f"{self.location}/reviews/{review.id}",
            "reviewId": review.id,
            "reviewer": {"displayName": review.name, "isAnonymous": False},
            "starRating": STARS[review.stars - 1],
            "createTime": _zulu(review.made),
            "updateTime": _zulu(review.changed),
            "reviewReplyUrl": f"https://business.example/reviews/{review.id}",
        }
        shown |= {"comment": review.text} if review.text else {}
        shown |= {"reviewMediaItems": [{"thumbnailUrl": review.photo}]} if review.photo else {}
        return {**shown, "reviewReply": _reply(review.reply)} if review.reply else shown


def _reply(posted: Posted) -> dict[str, Any]:
    shown = {"comment": posted.text, "updateTime": _zulu(posted.at)}
    shown |= {"policyViolation": posted.why} if posted.why else {}
    return {**shown, "reviewReplyState": posted.state}


def _error(status: int, message: str) -> Reply:
    kind = STATUSES.get(status, "INTERNAL")
    return Reply.json({"error": {"code": status, "message": message, "status": kind}}, status)


def _zulu(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
