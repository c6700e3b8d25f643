"""A strict local LinkedIn: an organization's page, its posts, and the comments below them.

It answers and refuses as the documentation says, under https://learn.microsoft.com/en-us/linkedin/:
marketing/community-management/shares/comments-api and posts-api, marketing/community-management/
organizations/organization-social-action-notifications, shared/api-guide/webhook-validation and
concepts/error-handling, shared/authentication/programmatic-refresh-tokens and token-introspection.

Comments nest one level: an answer to an answer stands below the top-level comment. Nothing
deduplicates: two equal calls are two comments. What LinkedIn does not document is a parameter, or
chosen as the strictest: an answer below an answer is refused, 1,250 characters are code points.
(Over 300 lines: the API, its tokens, its webhooks and the people in the app are one network.)
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from supportflow.testing.platforms.messages import Reply, Request, Route
from supportflow.testing.platforms.server import Platform

__all__ = ["Comment", "LinkedInPlatform", "Member", "Page"]

MAX_TEXT, BATCH, EVENTS = 1_250, 10, "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"
SCOPES = ("r_organization_social", "w_organization_social", "rw_organization_admin")
ALLOWED = {"actor", "object", "message", "parentComment"}
#: What a receiver of webhooks is: method, headers, query and body in, status and body out.
Receiver = Callable[[str, Mapping[str, str], Mapping[str, str], bytes], tuple[int, bytes]]


@attrs.define
class Comment:
    """One comment as LinkedIn knows it.

    Args:
        id: its number.
        post: the activity that it stands below.
        actor: the URN of who wrote it.
        text: the words.
        at: when it was written.
        parent: the top-level comment's URN, for an answer.
        mentions: whom the app put in front of the words.
        changed: when it was changed last.
        deleted: whether it is gone.
        api: whether it came over the API.
    """

    id: str
    post: str
    actor: str
    text: str
    at: datetime
    parent: str | None = None
    mentions: str | None = None
    changed: datetime | None = None
    deleted: bool = False
    api: bool = False

    @property
    def urn(self) -> str:
        """Return the name of it that the API uses."""
        return f"urn:li:comment:({self.post},{self.id})"


@attrs.frozen
class Member:
    """Somebody with a profile, who writes in LinkedIn's own app."""

    urn: str
    platform: "LinkedInPlatform" = attrs.field(repr=False)

    def write(self, text: str, *, in_reply_to: Comment | None = None) -> Comment:
        """Comment on the page's newest post, or answer a comment."""
        return self.platform.add(self.urn, text, in_reply_to, "COMMENT")

    def edit(self, comment: Comment, text: str) -> None:
        """Change what one wrote."""
        self.platform.change(comment, text)

    def delete(self, comment: Comment) -> None:
        """Take back what one wrote, with the answers to it."""
        self.platform.remove(comment)

    def mention(self, text: str) -> str:
        """Publish a post of one's own that mentions the page; return its URN."""
        return self.platform.mention(self.urn, text)


@attrs.frozen
class Page:
    """The organization's page, as its staff use it in LinkedIn's own app."""

    urn: str
    platform: "LinkedInPlatform" = attrs.field(repr=False)

    def publish(self, text: str) -> str:
        """Publish a post; return its URN."""
        return self.platform.publish(text)

    def comment(self, text: str, *, in_reply_to: Comment | None = None) -> Comment:
        """Comment as the organization; an answer mentions whom it answers."""
        return self.platform.add(self.urn, text, in_reply_to, "ADMIN_COMMENT")


class Refusal(Exception):
    """A request that is refused, with LinkedIn's words for it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


class LinkedInPlatform(Platform):
    """A local LinkedIn with one organization and any number of members.

    Args:
        versions: the versions that are served.
        scopes: what the access token may do.
        daily_limit: requests a day of the app; None without limit.
        clock: aware UTC time; None is the machine's own.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too.

    Example:
        >>> with LinkedInPlatform() as platform:
        ...     platform.customer("ola").write("Where is my parcel?").text
        'Where is my parcel?'
    """

    id_fields = frozenset({"id", "commentUrn"})

    def __init__(
        self,
        *,
        versions: Sequence[str] = ("202511", "202607", "202610"),
        scopes: Sequence[str] = SCOPES,
        daily_limit: int | None = None,
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
    ) -> None:
        super().__init__(clock=clock, port=port, control=control)
        self.versions, self.scopes, self.daily_limit = (*versions,), [*scopes], daily_limit
        self.page = Page("urn:li:organization:2414183", self)
        self.client_id, self.client_secret = "86vhj2q7", secrets.token_hex(16)
        self.refresh_token, self.token = secrets.token_urlsafe(20), secrets.token_urlsafe(20)
        self.token_ends = self.now() + timedelta(days=60)
        self.comments: dict[str, Comment] = {}
        self.published: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.notified: list[dict[str, Any]] = []
        self._waiting: list[dict[str, Any]] = []
        self._receiver: Receiver | None = None
        self._count, self._used = 0, 0
        self.publish("We have moved.")

    # What tests use.

    @property
    def posts(self) -> tuple[Comment, ...]:
        """Return the comments that came over the API, in order."""
        with self.lock:
            return tuple(each for each in self.comments.values() if each.api)

    def customer(self, name: str) -> Member:
        """Return a member by name."""
        return Member(f"urn:li:person:{hashlib.sha1(name.encode()).hexdigest()[:10]}", self)  # noqa: S324 - a made-up id

    def truth(self) -> Mapping[str, object]:
        """Return every comment."""
        with self.lock:
            return {"comments": [_plain(each) for each in self.comments.values()]}

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {
            "organization": self.page.urn,
            "token": self.token,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }

    def act(self, command: Mapping[str, object]) -> object:
        """Do `{"as": "ola", "text": …}`: comment as a member on the newest post."""
        match dict(command):
            case {"as": str(name), "text": str(text)}:
                return _plain(self.customer(name).write(text))
            case _:
                return super().act(command)

    # What people do.

    def publish(self, text: str) -> str:
        """Publish a post of the organization."""
        with self.lock:
            number = self._next()
            share = f"urn:li:share:{number}"
            self.published[share] = f"urn:li:activity:{int(number) + 1}"
            self.texts[share] = text
            return share

    def add(self, actor: str, text: str, above: Comment | None, action: str) -> Comment:
        """Add a comment that somebody wrote in the app."""
        with self.lock:
            post = above.post if above else [*self.published.values()][-1]
            parent = (above.parent or above.urn) if above else None
            comment = Comment(self._next(), post, actor, text, self.now(), parent)
            comment.mentions = above.actor if above else None
            self.comments[comment.urn] = comment
            self._tell(action, comment)
            return comment

    def change(self, comment: Comment, text: str) -> None:
        """Change a comment's words."""
        with self.lock:
            comment.text, comment.changed = text, self.now()
            self._tell("COMMENT_EDIT", comment)

    def remove(self, comment: Comment) -> None:
        """Delete a comment, and the answers to it."""
        with self.lock:
            for each in self.comments.values():
                each.deleted = each.deleted or comment.urn in (each.urn, each.parent)
            self._tell("COMMENT_DELETE", comment)

    def mention(self, owner: str, text: str) -> str:
        """Publish a member's post that mentions the organization."""
        with self.lock:
            number = self._next()
            share = f"urn:li:share:{number}"
            self.published[share] = f"urn:li:activity:{int(number) + 1}"
            made = {"share": {"entity": share, "owner": owner, "text": text}}
            self._notify("SHARE_MENTION", share, share, made)
            return share

    # Webhooks.

    def deliver_to(self, receiver: Receiver) -> None:
        """Send webhooks to a receiver from now on."""
        self._receiver = receiver

    def handshake(self, secret: str | None = None) -> bool:
        """Send a challenge as LinkedIn does every two hours; return whether it was met."""
        code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
        status, body = self._sent("GET", {}, {"challengeCode": code}, b"")
        key = (secret or self.client_secret).encode()
        proof = hmac.new(key, code.encode(), hashlib.sha256).hexdigest()
        wanted = {"challengeCode": code, "challengeResponse": proof}
        return status == 200 and json.loads(body) == wanted

    def deliver(self) -> int:
        """Send what waits, ten notifications a request; return how many were not taken."""
        with self.lock:
            waiting, self._waiting = self._waiting, []
        left = []
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            if not self._taken(batch):
                left += batch
        with self.lock:
            self._waiting = left + self._waiting
        return len(left)

    def redeliver(self) -> None:
        """Send everything once more: LinkedIn says that this happens."""
        for start in range(0, len(self.notified), BATCH):
            self._taken(self.notified[start : start + BATCH])

    def signed(self, notifications: Sequence[Mapping[str, Any]]) -> tuple[bytes, dict[str, str]]:
        """Return a webhook's body and headers."""
        body = json.dumps({"type": EVENTS, "notifications": [*notifications]}).encode()
        key = self.client_secret.encode()
        proof = hmac.new(key, b"hmacsha256=" + body, hashlib.sha256).hexdigest()
        return body, {"Content-Type": "application/json", "X-LI-Signature": proof}

    def _taken(self, batch: Sequence[Mapping[str, Any]]) -> bool:
        body, headers = self.signed(batch)
        return 200 <= self._sent("POST", headers, {}, body)[0] < 300

    def _sent(
        self, method: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        return (
            (503, b"") if self._receiver is None else self._receiver(method, headers, query, body)
        )

    def _tell(self, action: str, comment: Comment) -> None:
        said = {"entity": comment.urn, "owner": comment.actor, "text": comment.text}
        made = {"comment": {**said, "object": comment.post}}
        short = comment.urn.replace("(urn:li:", "(")
        self._notify(action, comment.post, short, {} if action == "COMMENT_DELETE" else made)

    def _notify(self, action: str, post: str, made: str, decorated: Mapping[str, Any]) -> None:
        item: dict[str, Any] = {
            "notificationId": len(self.notified) + 5_603_453_321,
            "organizationalEntity": self.page.urn,
            "action": action,
            "sourcePost": post,
            "lastModifiedAt": _milliseconds(self.now()),
            "generatedActivity": made,
            "subscriber": "urn:li:person:zLqTygBP8S",
        }
        if decorated:
            item["decoratedGeneratedActivity"] = decorated
        self.notified.append(item)
        self._waiting.append(item)

    # What the API answers.

    def routes(self) -> Sequence[Route]:
        """Return the paths answered."""
        comments = "/rest/socialActions/{target}/comments"
        return (
            Route("POST", "/oauth/v2/accessToken", self._renew),
            Route("POST", "/oauth/v2/introspectToken", self._introspect),
            Route("GET", "/rest/posts", self._list_posts),
            Route("GET", comments, self._list),
            Route("GET", comments + "/{id}", self._get),
            Route("POST", comments, self._create),
        )

    def handle(self, request: Request) -> Reply:
        """Answer whoever has the token, asks for a version that is served, and not too often."""
        try:
            if request.path.startswith("/rest/"):
                self._admit(request)
            return super().handle(request)
        except Refusal as refusal:
            return _refused(refusal.status, refusal.code, refusal.message)

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as LinkedIn does."""
        del request
        codes = {
            401: ("INVALID_ACCESS_TOKEN", "Invalid access token"),
            404: ("NOT_FOUND", "Not Found"),
            405: ("METHOD_NOT_ALLOWED", "Method Not Allowed"),
            429: ("TOO_MANY_REQUESTS", "Resource level throttle limit for calls to this resource"),
        }
        return _refused(status, *codes.get(status, ("INTERNAL_SERVER_ERROR", "Internal Error")))

    def _admit(self, request: Request) -> None:
        bearer = request.header("Authorization")
        if bearer != f"Bearer {self.token}":
            raise Refusal(401, "INVALID_ACCESS_TOKEN", "Invalid access token")
        if self.now() >= self.token_ends:
            raise Refusal(401, "EXPIRED_ACCESS_TOKEN", "The token used in the request has expired")
        version = request.header("LinkedIn-Version")
        if version is None:
            raise Refusal(400, "VERSION_MISSING", "A version must be present")
        if version not in self.versions:
            raise Refusal(426, "NONEXISTENT_VERSION", f"Requested version {version} is not active")
        if request.header("X-Restli-Protocol-Version") != "2.0.0":
            raise Refusal(400, "ILLEGAL_ARGUMENT", "Invalid protocol version")
        if re.search(r"[(),:]", request.path):
            raise Refusal(400, "ILLEGAL_ARGUMENT", "Syntax exception in path variables")
        self._used += 1
        if self.daily_limit is not None and self._used > self.daily_limit:
            raise Refusal(429, "TOO_MANY_REQUESTS", "APPLICATION DAY limit reached")
        scope = f"{'w' if request.method == 'POST' else 'r'}_organization_social"
        if not {scope, f"{scope}_feed"} & {*self.scopes}:
            message = f"Not enough permissions to access: {request.method} {request.path}"
            raise Refusal(403, "ACCESS_DENIED", message)

    def _list_posts(self, request: Request) -> Reply:
        if (request.first("q"), request.first("author")) != ("author", self.page.urn):
            raise Refusal(400, "PARAM_INVALID", "Invalid param. Please see errorDetails")
        count = int(request.first("count") or "10")
        newest = [*reversed(self.texts.items())][:count]
        found = [{"id": urn, "author": self.page.urn, "commentary": text} for urn, text in newest]
        return Reply.json({"elements": found, "paging": {"start": 0, "count": count, "links": []}})

    def _list(self, request: Request) -> Reply:
        """Return comments below a post, or the answers to a comment, oldest first."""
        target = request.params["target"]
        start, count = int(request.first("start") or "0"), int(request.first("count") or "10")
        if not 1 <= count <= 100:
            raise Refusal(400, "PARAM_INVALID", "count must be from 1 to 100")
        post = self.published.get(target, target)
        self._target(target, post)
        below = [
            each
            for each in self.comments.values()
            if not each.deleted
            and (each.parent == target or (each.post == post and each.parent is None))
        ]
        page = below[start : start + count]
        further = [{"rel": "next", "type": "application/json"}] if below[start + count :] else []
        paging = {"start": start, "count": count, "links": further, "total": len(below)}
        return Reply.json({"elements": [self._shown(each) for each in page], "paging": paging})

    def _target(self, target: str, post: str) -> None:
        comment = self.comments.get(target)
        if (comment is None or comment.deleted) and post not in self.published.values():
            raise Refusal(404, "NOT_FOUND", f"Could not find entity {target}")

    def _get(self, request: Request) -> Reply:
        post = self.published.get(request.params["target"], request.params["target"])
        found = self.comments.get(f"urn:li:comment:({post},{request.params['id']})")
        if found is None or found.deleted:
            raise Refusal(404, "NOT_FOUND", "Comment not found")
        return Reply.json(self._shown(found))

    def _create(self, request: Request) -> Reply:
        try:
            body = request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or request.header("Content-Type") != "application/json":
            raise Refusal(400, "ILLEGAL_ARGUMENT", "Cannot parse the request")
        if extra := sorted(body.keys() - ALLOWED):
            message = "Unpermitted fields present in REQUEST_BODY: Data Processing Exception while "
            fields = ", ".join(f"/{name}" for name in extra)
            raise Refusal(403, "ACCESS_DENIED", f"{message}processing fields [{fields}]")
        if body.get("actor") != self.page.urn:
            raise Refusal(403, "ACCESS_DENIED", "Actor is not the authorized organization")
        text = body["message"].get("text") if isinstance(body.get("message"), dict) else None
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
            raise Refusal(400, "FIELD_INVALID", f"message/text has 1 to {MAX_TEXT} characters")
        return self._made(self._below(request.params["target"], body), text)

    def _below(self, target: str, body: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the post and the comment that a new one goes below."""
        given, parent = body.get("object"), body.get("parentComment")
        post = self.published.get(str(given), str(given))
        if post not in self.published.values():
            raise Refusal(404, "NOT_FOUND", f"Could not find entity {given}")
        if parent is None:
            return post, None
        above = self.comments.get(str(parent))
        if above is None or above.deleted:
            raise Refusal(404, "NOT_FOUND", f"Could not find entity {parent}")
        if above.parent is not None or above.post != post or target not in (above.urn, post):
            raise Refusal(400, "FIELD_INVALID", "parentComment must be a top-level comment")
        return post, above.urn

    def _made(self, place: tuple[str, str | None], text: str) -> Reply:
        post, parent = place
        comment = Comment(self._next(), post, self.page.urn, text, self.now(), parent, api=True)
        self.comments[comment.urn] = comment
        self._tell("ADMIN_COMMENT", comment)
        return Reply.json(self._shown(comment), 201, {"x-restli-id": comment.id})

    def _shown(self, comment: Comment) -> dict[str, Any]:
        answers = [e for e in self.comments.values() if e.parent == comment.urn and not e.deleted]
        person = {"person": {"person": comment.mentions}}
        attributes = [{"start": 0, "length": 0, "value": person}] if comment.mentions else []
        shown: dict[str, Any] = {
            "actor": comment.actor,
            "commentUrn": comment.urn,
            "created": {"actor": comment.actor, "time": _milliseconds(comment.at)},
            "id": comment.id,
            "lastModified": {
                "actor": comment.actor,
                "time": _milliseconds(comment.changed or comment.at),
            },
            "message": {"attributes": attributes, "text": comment.text},
            "object": comment.post,
        }
        if comment.parent:
            return {**shown, "parentComment": comment.parent}
        total = {"aggregatedTotalComments": len(answers), "totalFirstLevelComments": len(answers)}
        return {**shown, "commentsSummary": total} if answers else shown

    # Tokens.

    def _renew(self, request: Request) -> Reply:
        form = dict(request.form())
        ours = (self.client_id, self.client_secret, self.refresh_token, "refresh_token")
        names = ("client_id", "client_secret", "refresh_token", "grant_type")
        if tuple(map(form.get, names)) != ours:
            error = "invalid_grant" if form.get("client_id") == self.client_id else "invalid_client"
            return Reply.json({"error": error, "error_description": "The token is invalid"}, 400)
        self.token, self.token_ends = secrets.token_urlsafe(20), self.now() + timedelta(days=60)
        lives = {"expires_in": 5_184_000, "refresh_token_expires_in": 31_536_000}
        tokens = {"access_token": self.token, "refresh_token": self.refresh_token}
        return Reply.json({**tokens, **lives})

    def _introspect(self, request: Request) -> Reply:
        form = dict(request.form())
        if (form.get("client_id"), form.get("client_secret")) != (
            self.client_id,
            self.client_secret,
        ):
            return Reply.json({"error": "invalid_client"}, 401)
        active = form.get("token") == self.token and self.now() < self.token_ends
        if not active:
            return Reply.json({"active": False, "status": "expired"})
        ends = int(self.token_ends.timestamp())
        told = {"active": True, "status": "active", "scope": ",".join(self.scopes)}
        return Reply.json({**told, "expires_at": ends, "client_id": self.client_id})

    def _next(self) -> str:
        self._count += 2
        return str(7_094_637_247_890_620_000 + self._count)


def _refused(status: int, code: str, message: str) -> Reply:
    return Reply.json({"status": status, "code": code, "message": message}, status)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _plain(comment: Comment) -> dict[str, Any]:
    changed = comment.changed and comment.changed.isoformat()
    return {**attrs.asdict(comment), "at": comment.at.isoformat(), "changed": changed}
