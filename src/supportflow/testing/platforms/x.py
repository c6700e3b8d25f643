"""X on loopback: the part of API v2 that an account's customer support talks to, and its webhooks.

It refuses what X refuses: other tokens than the account's own, replies to people who did not summon
the account, posts over 280 in X's weighing, the same words twice beneath one post, messages to who
does not take them, pages and times that make no sense, and more requests than a window holds. People
act through `customer(name)`, staff through `shop`, on the platform's own time::

    with XPlatform(clock=clock) as platform:
        platform.register(receiver)  # proves itself by a crc_token; or poll instead
        platform.customer("ola").post("@shop You charged me twice!")
        ...  # run the desk against platform.url with platform.token
        assert [post.text for post in platform.posts] == [...]

`spelling="post"` writes the fields as version 2.167 of the specification does; `hooks` chooses
between the webhooks of the X Activity API and of the older Account Activity API.

Sources: https://docs.x.com/x-api/posts/timelines/introduction, …/posts/create-post,
…/posts/search/introduction, …/direct-messages/lookup/integrate, …/direct-messages/manage/introduction,
…/webhooks/quickstart, …/activity/event-payloads, …/account-activity/introduction,
https://docs.x.com/fundamentals/counting-characters and …/rate-limits; the wording of refusals:
https://github.com/akrherz/iembot/issues/163 and https://github.com/tweepy/tweepy/issues/2239.
(Long, because it is one table of routes with what checks and refuses them.)
"""

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import attrs

from supportflow.testing.platforms.faults import Fault, Shape
from supportflow.testing.platforms.meta_hooks import Receiver, UnansweredError, over_http
from supportflow.testing.platforms.server import Platform, Reply, Request, Route
from supportflow.testing.platforms.x_network import Direct, Post, User, stamp, weight
from supportflow.testing.platforms.x_shapes import Hooks, Shapes, Spelling

WINDOW = timedelta(minutes=15)
#: https://docs.x.com/x-api/fundamentals/rate-limits, per user and window.
LIMITS: Mapping[str, int] = MappingProxyType(
    {"mentions": 300, "tweets": 900, "search": 300, "dm_events": 15, "post": 100, "message": 15}
)
EDIT_FOR = timedelta(hours=1)
ABOUT = "about:blank"
PROBLEMS = "https://api.twitter.com/2/problems/"
NOT_ENGAGED = (
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise "
    "engaged by the author of the post you are replying to."
)
GONE = "You attempted to reply to a Tweet that is deleted or not visible to you."
TWICE = "You are not allowed to create a Tweet with duplicate content."
NO_MESSAGES = "You do not have permission to DM one or more participants."
INVALID = "One or more parameters to your request was invalid."
FORBIDDEN = "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint."


@attrs.define(eq=False)
class Delivery:
    """One webhook and how each attempt at it was answered."""

    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    statuses: list[int | None] = attrs.field(factory=list)


class Refusal(Exception):
    """What is answered instead of what was asked for."""

    def __init__(self, status: int, detail: str, title: str = "", kind: str = ABOUT) -> None:
        self.status, self.detail, self.kind = status, detail, kind
        self.title = title or {400: "Invalid Request", 403: "Forbidden"}.get(status, "Error")
        super().__init__(detail)


class Person:
    """Somebody who uses X's own app."""

    def __init__(self, platform: "XPlatform", user: User) -> None:
        self._platform, self.user = platform, user

    @property
    def id(self) -> str:
        """Return the account's id."""
        return self.user.id

    def post(self, text: str, *, answers: Post | None = None, quotes: Post | None = None) -> Post:
        """Post something."""
        with self._platform.lock:
            made = self._platform.add(self.user, text, answers, quotes)
            event = self._platform.shapes.told(made)
        self._platform.tell(event)
        return made

    def edit(self, post: Post, text: str) -> Post:
        """Change a post, which makes a version with an id of its own."""
        with self._platform.lock:
            now = self._platform.now()
            if post.author != self.user or now - post.times[0] > EDIT_FOR:
                message = "a post can be edited by its author for an hour"
                raise ValueError(message)
            post.ids.append(self._platform.next_id())
            post.texts.append(text)
            post.times.append(now)
            event = self._platform.shapes.told(post)
        self._platform.tell(event)
        return post

    def delete(self, post: Post) -> None:
        """Delete a post; only the account's own deletions are told."""
        with self._platform.lock:
            post.deleted = True
            event = (
                self._platform.shapes.gone(post) if self.user == self._platform.account else None
            )
        self._platform.tell(event)

    def like(self, post: Post) -> None:
        """Like a post of the account, which the older webhooks tell."""
        with self._platform.lock:
            event = self._platform.shapes.liked(post, self.user)
        self._platform.tell(event)

    def write(self, text: str, to: User | None = None) -> Direct:
        """Write a direct message, to the account unless another is given."""
        with self._platform.lock:
            made = self._platform.write(self.user, to or self._platform.account, text)
            event = self._platform.shapes.whispered(made)
        self._platform.tell(event)
        return made


class XPlatform(Platform):
    """One account on X, with its app and its customers.

    Own fault, for a post or a message that is sent: `lag` (reads do not show it for `reads` reads).

    Args:
        token: the account's user token; set `token` to another one, or to None to revoke it.
        spelling: `tweet` or `post`: how fields are spelt.
        hooks: which webhooks are sent.
        limits: how many requests a window of 15 minutes takes, by purpose.
        credits: whether any are left; without, everything is 402.
        **base: see `Platform`.
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType(
        {"lag": Shape(accepts=True, reads=False)}
    )
    id_fields: ClassVar[frozenset[str]] = frozenset({"data"})

    def __init__(
        self,
        *,
        token: str = "user-token-for-tests",  # noqa: S107 - of nobody
        spelling: Spelling = "tweet",
        hooks: Hooks = "activity",
        limits: Mapping[str, int] = LIMITS,
        credits: bool = True,  # noqa: A002 - X's word for it
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.token: str | None = token
        self.app_token, self.refresh_token = "app-token-for-tests", "refresh-0"
        self.client = ("client-for-tests", "client-secret-for-tests")
        self.consumer_secret = "consumer-secret-for-tests"  # noqa: S105 - of no app
        self.spelling, self.hooks, self.limits, self.credits = spelling, hooks, limits, credits
        self.account = User("2244994945", "shop")
        self.users = {"shop": self.account}
        self.shapes = Shapes(self)
        self._posts: list[Post] = []
        self._directs: list[Direct] = []
        self._hidden: dict[str, Fault] = {}
        self._used: dict[str, tuple[datetime, int]] = {}
        self._ids = 1_800_000_000_000_000_000
        self._receiver: Receiver | None = None
        self._later: list[Mapping[str, Any] | None] = []
        self.deliveries: list[Delivery] = []

    # What tests use.

    @property
    def posts(self) -> tuple[Post, ...]:
        """Return what the API posted in public, oldest first."""
        with self.lock:
            return tuple(each for each in self._posts if each.via_api)

    @property
    def messages(self) -> tuple[Direct, ...]:
        """Return what the API sent in private, oldest first."""
        with self.lock:
            return tuple(each for each in self._directs if each.via_api)

    def customer(self, name: str, *, takes_messages: bool = True) -> Person:
        """Return the customer of this name, who is made on first sight."""
        with self.lock:
            if name not in self.users:
                self.users[name] = User(self.next_id(), name, takes_messages)
            return Person(self, self.users[name])

    @property
    def shop(self) -> Person:
        """Return the account as its staff use it in X's own app."""
        return Person(self, self.account)

    def register(self, receiver: Receiver | str) -> bool:
        """Register a webhook; say whether it answered the check of a `crc_token`."""
        found = over_http(receiver) if isinstance(receiver, str) else receiver
        token = hashlib.sha256(str(self.now()).encode()).hexdigest()
        answer = found("GET", {"User-Agent": "Twitterbot/1.0"}, {"crc_token": token}, b"")
        wanted = {"response_token": self._sign(token.encode())}
        try:
            right = (
                isinstance(answer, tuple) and answer[0] == 200 and json.loads(answer[1]) == wanted
            )
        except ValueError:
            right = False
        self._receiver = found if right else self._receiver
        return right

    def redeliver(self) -> None:
        """Send every webhook again, byte for byte."""
        for delivery in self.deliveries:
            self._deliver(delivery)

    # What people's doing makes; called with the lock held but for `tell`.

    def next_id(self) -> str:
        """Return an id that is greater than all before it."""
        with self.lock:
            self._ids += 4_194_304
            return str(self._ids)

    def add(
        self,
        author: User,
        text: str,
        answers: Post | None,
        quotes: Post | None,
        *,
        api: bool = False,
    ) -> Post:
        """Take a post."""
        made = Post([self.next_id()], author, [text], [self.now()], answers, quotes, api)
        self._posts.append(made)
        return made

    def write(self, sender: User, recipient: User, text: str, *, api: bool = False) -> Direct:
        """Take a direct message."""
        made = Direct(self.next_id(), sender, recipient, text, self.now(), api)
        self._directs.append(made)
        return made

    def tell(self, event: Mapping[str, Any] | None) -> None:
        """Deliver an event, signed, where a webhook is registered."""
        if event is None or self._receiver is None:
            return
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        kind = {"Content-Type": "application/json"}
        delivery = Delivery(body, {**kind, "x-twitter-webhooks-signature": self._sign(body)})
        self.deliveries.append(delivery)
        self._deliver(delivery)

    def _deliver(self, delivery: Delivery) -> None:
        if self._receiver is not None:
            try:
                answer = self._receiver("POST", delivery.headers, {}, delivery.body)
            except UnansweredError:
                delivery.statuses.append(None)
            else:
                delivery.statuses.append(answer if isinstance(answer, int) else answer[0])

    def _sign(self, body: bytes) -> str:
        digest = hmac.new(self.consumer_secret.encode(), body, hashlib.sha256).digest()
        return f"sha256={base64.b64encode(digest).decode()}"

    # What the base asks.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        return (
            Route(
                "GET", "/2/users/me", lambda _: Reply.json({"data": self.shapes.user(self.account)})
            ),
            Route("GET", "/2/users/{id}/mentions", self._mentions),
            Route("GET", "/2/users/{id}/tweets", self._timeline),
            Route("GET", "/2/tweets/search/recent", self._search),
            Route("GET", "/2/dm_events", self._read_all),
            Route("GET", "/2/dm_conversations/with/{id}/dm_events", self._read_with),
            Route("POST", "/2/tweets", self._create),
            Route("POST", "/2/dm_conversations/with/{id}/messages", self._send),
            Route("POST", "/2/oauth2/token", self._token),
        )

    def handle(self, request: Request) -> Reply:
        """Check the token, the credits and the window, then answer."""
        try:
            if request.path == "/2/oauth2/token":
                return super().handle(request)
            given = request.header("authorization") or ""
            if self.token is None or given not in (
                f"Bearer {self.token}",
                f"Bearer {self.app_token}",
            ):
                return self.refuse(401, request)
            if given == f"Bearer {self.app_token}":
                kind = f"{PROBLEMS}unsupported-authentication"
                raise Refusal(403, FORBIDDEN, "Unsupported Authentication", kind)
            if not self.credits:
                detail = "Your enrolled account does not have any credits to fulfill this request."
                raise Refusal(402, detail, "CreditsDepleted", f"{PROBLEMS}credits")
            return self._counted(request)
        except Refusal as refusal:
            return self._problem(refusal)

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as X does."""
        del request
        titles = {401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}
        if status == 429:
            reset = int((self.now() + WINDOW).timestamp())
            content = {"title": "Too Many Requests", "detail": "Too Many Requests", "type": ABOUT}
            headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(reset)}
            return Reply.json({**content, "status": 429}, 429, headers)
        title = titles.get(status, "Service Unavailable")
        return Reply.json(
            {"title": title, "type": ABOUT, "status": status, "detail": title}, status
        )

    def truth(self) -> Mapping[str, object]:
        """Return what was really posted and sent."""
        with self.lock:
            posts = [
                {"id": p.id, "text": p.text, "answers": p.parent and p.parent.ids[0]}
                for p in self.posts
            ]
            sent = [{"id": m.id, "text": m.text, "to": m.recipient.name} for m in self.messages]
            return {"posts": posts, "messages": sent}

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {
            "user_id": self.account.id,
            "token": self.token or "",
            "refresh_token": self.refresh_token,
            "client_id": self.client[0],
            "client_secret": self.client[1],
            "consumer_secret": self.consumer_secret,
        }

    def act(self, command: Mapping[str, object]) -> object:
        """Do `{"customer": "ola", "do": "post" or "write", "text": …}`, or register a `webhook`.

        Raises:
            ValueError: for anything else.
        """
        match dict(command):
            case {"customer": str(name), "do": "post", "text": str(text)}:
                return self.customer(name).post(text).id
            case {"customer": str(name), "do": "write", "text": str(text)}:
                return self.customer(name).write(text).id
            case {"webhook": str(url)}:
                return self.register(url)
            case _:
                return super().act(command)

    # Answers.

    def _counted(self, request: Request) -> Reply:
        """Count a request in its window, and say how many are left."""
        purpose = _purpose(request)
        began, used = self._used.get(purpose, (self.now(), 0))
        if self.now() - began >= WINDOW:
            began, used = self.now(), 0
        most, reset = self.limits.get(purpose, 900), int((began + WINDOW).timestamp())
        headers = {"x-rate-limit-limit": str(most), "x-rate-limit-reset": str(reset)}
        left = {"x-rate-limit-remaining": str(max(most - used - 1, 0))}
        if used >= most:
            reply = self.refuse(429, request)
            kept = [each for each in reply.headers if not each[0].startswith("x-rate")]
        else:
            self._used[purpose] = began, used + 1
            try:
                reply = super().handle(request)
            except Refusal as refusal:
                reply = self._problem(refusal)
            kept = list(reply.headers)
        return attrs.evolve(reply, headers=(*kept, *headers.items(), *left.items()))

    def _problem(self, refusal: Refusal) -> Reply:
        content: dict[str, object] = {
            "title": refusal.title,
            "detail": refusal.detail,
            "type": refusal.kind,
            "status": refusal.status,
        }
        if refusal.status == 400:
            content = {
                "errors": [{"message": refusal.detail}],
                "detail": INVALID,
                "title": refusal.title,
                "type": f"{PROBLEMS}invalid-request",
            }
        return Reply.json(content, refusal.status)

    def _mentions(self, request: Request) -> Reply:
        self._expect_account(request)
        name = self.account.name
        found = [p for p in self._visible() if name in p.names()]
        return self._list(request, found, 5)

    def _timeline(self, request: Request) -> Reply:
        self._expect_account(request)
        return self._list(request, [p for p in self._visible() if p.author == self.account], 5)

    def _search(self, request: Request) -> Reply:
        asked = re.fullmatch(r"\((.+)\) -is:retweet -from:(\d+)", request.first("query") or "")
        if asked is None:
            raise Refusal(400, "this double knows one form of query: (words) -is:retweet -from:id")
        words, since = asked[1].casefold(), self.now() - timedelta(days=7)
        found = [p for p in self._visible() if words in p.text.casefold() and p.at > since]
        if (last := request.first("since_id")) and int(last) < 0:
            raise Refusal(400, "'since_id' must be a tweet id created after a week ago")
        return self._list(request, [p for p in found if p.author.id != asked[2]], 10)

    def _visible(self) -> list[Post]:
        shown = [p for p in self._posts if not p.deleted and not self._hides(p.ids[0])]
        return sorted(shown, key=lambda p: int(p.id), reverse=True)

    def _hides(self, name: str) -> bool:
        fault = self._hidden.get(name)
        if fault is None or fault.reads <= 0:
            return False
        fault.reads -= 1
        return True

    def _list(self, request: Request, posts: list[Post], least: int) -> Reply:
        """Answer with a page of posts, newest first."""
        size, start = _page(request, least)
        if since := request.first("since_id"):
            if not since.isdigit():
                raise Refusal(400, f"The `since_id` query parameter value [{since}] is not valid")
            posts = [p for p in posts if int(p.id) > int(since)]
        elif begun := request.first("start_time"):
            if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", begun):
                raise Refusal(400, f"The `start_time` query parameter value [{begun}] is not valid")
            posts = [p for p in posts if p.at >= datetime.fromisoformat(begun)]
        page = posts[start : start + size]
        users = {p.author.id: self.shapes.user(p.author) for p in page}
        includes = {"users": [*users.values()], f"{self.spelling}s": self.shapes.quoted(page)}
        return _answer([self.shapes.v2(p) for p in page], includes, start + size, len(posts))

    def _read_all(self, request: Request) -> Reply:
        return self._directs_page(request, self._directs)

    def _read_with(self, request: Request) -> Reply:
        other = request.params["id"]
        found = [d for d in self._directs if other in (d.sender.id, d.recipient.id)]
        return self._directs_page(request, found)

    def _directs_page(self, request: Request, directs: list[Direct]) -> Reply:
        size, start = _page(request, 1)
        found = [d for d in reversed(directs) if self.account in (d.sender, d.recipient)]
        found = [d for d in found if not self._hides(d.id)]
        page = found[start : start + size]
        events: list[dict[str, object]] = [
            {
                "id": d.id,
                "event_type": "MessageCreate",
                "text": html.escape(d.text, quote=False),
                "sender_id": d.sender.id,
                "dm_conversation_id": "-".join(sorted((d.sender.id, d.recipient.id), key=int)),
                "created_at": stamp(d.at),
            }
            for d in page
        ]
        users = {d.sender.id: self.shapes.user(d.sender) for d in page}
        return _answer(events, {"users": [*users.values()]}, start + size, len(found))

    def _create(self, request: Request) -> Reply:
        content = _content(request, {"text", "reply"})
        text = content.get("text")
        if not isinstance(text, str) or not text.strip():
            raise Refusal(400, "$.text: is missing")
        parent = self._answered(content.get("reply"))
        if weight(text) > 280:
            raise Refusal(400, "Your Tweet text is too long. For more information, see …")
        mine = [p for p in self._posts if p.author == self.account and not p.deleted]
        if any(p.text == text and p.parent is parent for p in mine):
            raise Refusal(403, TWICE)
        made = self.add(self.account, text, parent, None, api=True)
        if request.fault is not None:
            self._hidden[made.id] = request.fault
        self._later.append(self.shapes.told(made))
        data = {"id": made.id, "text": self.shapes.links(made.shown())[0]}
        history = f"edit_history_{self.spelling}_ids"
        return Reply.json({"data": {**data, history: made.ids}}, 201)

    def _answered(self, reply: object) -> Post | None:
        if reply is None:
            return None
        name = reply.get("in_reply_to_tweet_id") if isinstance(reply, dict) else None
        if not isinstance(name, str):
            raise Refusal(400, "$.reply.in_reply_to_tweet_id: is missing")
        found = next((p for p in self._posts if name in p.ids and not p.deleted), None)
        if found is None:
            raise Refusal(403, GONE)
        quoted = found.quotes is not None and found.quotes.author == self.account
        own = found.author == self.account
        if not (own or quoted or self.account.name in found.names()):
            raise Refusal(403, NOT_ENGAGED)
        return found

    def _send(self, request: Request) -> Reply:
        content = _content(request, {"text"})
        text, to = content.get("text"), request.params["id"]
        if not isinstance(text, str) or not 0 < len(text) <= 10_000:
            raise Refusal(400, "$.text: is missing or too long")
        user = next((each for each in self.users.values() if each.id == to), None)
        wrote = any(d.sender.id == to and d.recipient == self.account for d in self._directs)
        if user is None or not (user.takes_messages or wrote):
            raise Refusal(403, NO_MESSAGES)
        made = self.write(self.account, user, text, api=True)
        if request.fault is not None:
            self._hidden[made.id] = request.fault
        self._later.append(self.shapes.whispered(made))
        conversation = "-".join(sorted((to, self.account.id), key=int))
        data = {"dm_conversation_id": conversation, "dm_event_id": made.id}
        return Reply.json({"data": data}, 201)

    def answer(self, request: Request) -> Reply:
        """Answer, and then, when the lock is free again, tell what was posted."""
        reply = super().answer(request)
        with self.lock:
            later, self._later = self._later, []
        for event in later:
            try:
                self.tell(event)
            except Exception as error:  # noqa: BLE001 - raised again when the platform is closed
                self.crashes.append(error)
        return reply

    def _token(self, request: Request) -> Reply:
        """Exchange a refresh token for new ones: each is good once."""
        pair = base64.b64encode(":".join(self.client).encode()).decode()
        if request.header("authorization") != f"Basic {pair}":
            wrong = {"error": "unauthorized_client", "error_description": "Missing valid auth"}
            return Reply.json(wrong, 401)
        form = dict(parse_qsl(request.body.decode()))
        good = form.get("refresh_token") == self.refresh_token
        if form.get("grant_type") != "refresh_token" or not good:
            said = "Value passed for the token was invalid."
            return Reply.json({"error": "invalid_request", "error_description": said}, 400)
        number = int(self.refresh_token.rsplit("-", 1)[1]) + 1
        self.refresh_token, self.token = f"refresh-{number}", f"user-token-{number}"
        made = {"token_type": "bearer", "expires_in": 7200, "access_token": self.token}
        return Reply.json({**made, "refresh_token": self.refresh_token, "scope": "tweet.read"})

    def _expect_account(self, request: Request) -> None:
        if request.params["id"] != self.account.id:
            raise Refusal(404, f"Could not find user with id: [{request.params['id']}].")


def _purpose(request: Request) -> str:
    last = request.path.rsplit("/", 1)[-1]
    if request.method == "POST":
        return "post" if last == "tweets" else "message"
    return {"recent": "search"}.get(last, last)


def _page(request: Request, least: int) -> tuple[int, int]:
    """Return how many are asked for, and from which place on."""
    size = request.first("max_results") or "10"
    if not size.isdigit() or not least <= int(size) <= 100:
        said = f"The `max_results` query parameter value [{size}] is not between {least} and 100"
        raise Refusal(400, said)
    token = request.first("pagination_token") or request.first("next_token") or "page0"
    if not re.fullmatch(r"page\d{1,6}", token):
        raise Refusal(400, f"The `pagination_token` query parameter value [{token}] is not valid")
    return int(size), int(token[4:])


def _content(request: Request, fields: set[str]) -> dict[str, Any]:
    try:
        content = request.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refusal(400, "the body is not JSON")
    if unknown := content.keys() - fields:
        raise Refusal(400, f"$.{min(unknown)}: is not defined in the schema")
    return content


def _answer(
    data: list[dict[str, object]], includes: Mapping[str, Any], after: int, of: int
) -> Reply:
    """Answer with a page; one with nothing on it has no data at all, as on X."""
    meta: dict[str, object] = {"result_count": len(data)}
    if after < of:
        meta["next_token"] = f"page{after}"
    shown = {name: found for name, found in includes.items() if found}
    return Reply.json({"data": data, "includes": shown, "meta": meta} if data else {"meta": meta})
