"""A strict local Mastodon: the part of its client API that customer support touches.

It answers and refuses as the documentation and the server's source say, in the same words:

- https://docs.joinmastodon.org/methods/statuses/, /methods/notifications/, /methods/search/,
  /methods/instance/, /methods/accounts/ and https://docs.joinmastodon.org/api/oauth-scopes/;
- https://docs.joinmastodon.org/api/rate-limits/ and, for its fixed windows, ISO times and the
  missing Retry-After, https://github.com/mastodon/mastodon/blob/main/config/initializers/rack_attack.rb;
  300 posts in 3 hours: https://github.com/mastodon/mastodon/blob/main/app/lib/rate_limiter.rb;
- in_reply_to_id, Idempotency-Key (one hour), validations:
  https://github.com/mastodon/mastodon/blob/main/app/controllers/api/v1/statuses_controller.rb and
  https://github.com/mastodon/mastodon/blob/main/app/services/post_status_service.rb.

Three things surprise. An unknown path *and* a wrong method are 404, in HTML unless JSON is asked for:
https://github.com/mastodon/mastodon/blob/main/app/controllers/application_controller.rb. An edit is
announced (`update`) only to those who boosted the post. A token that nobody knows reads public
posts as anybody does; a revoked one does not.

The routes, their parameters and their refusals are one table, so this file is longer than most.
Media, polls, quotes and schedules are 501.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import urlencode

import attrs

from supportflow.testing.platforms import mastodon_entities as entities
from supportflow.testing.platforms.faults import Fault, Shape
from supportflow.testing.platforms.mastodon_access import Grant, Standing, Tokens, Windows
from supportflow.testing.platforms.mastodon_entities import Limits
from supportflow.testing.platforms.mastodon_network import (
    VISIBILITIES,
    Network,
    Notification,
    Post,
    Visibility,
)
from supportflow.testing.platforms.mastodon_people import Person, Staff, act, posts_as_json
from supportflow.testing.platforms.mastodon_requests import (
    WORDS,
    Refusal,
    disturbed,
    fields_of,
    html_page,
    is_true,
    page_of,
    prepared,
    worded,
)
from supportflow.testing.platforms.mastodon_text import countable_length
from supportflow.testing.platforms.server import Platform, Reply, Request, Route

__all__ = ["Limits", "MastodonPlatform", "Person", "Post", "Staff"]

KEY_KEPT = timedelta(hours=1)
NO_REPLY_TARGET = "The post you are trying to reply to does not appear to exist."
Answers = Callable[[Request, str], Reply]
AnswersAnybody = Callable[[Request, str | None], Reply]


@attrs.define
class Lag:
    """How long a post that was accepted is not yet shown.

    Args:
        reads: how many more reads miss it.
        until: when it appears, whatever the reads.
    """

    reads: int
    until: datetime | None


class MastodonPlatform(Platform):
    """A local Mastodon server with one shop and any number of customers.

    Args:
        clock: aware UTC time; None is the machine's own.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too.
        shop: the shop's `acct`.
        domain: the domain of local accounts.
        compatible: behave as the measured compatible servers: ULIDs, Idempotency-Key ignored, 429
            without any header, 5,000 characters of which a URL takes 25.
        honours_keys: whether Idempotency-Key is honoured; None: unless `compatible`.
        edits_notify: whether everybody mentioned is told of edits, as some compatible servers do.
        rate_limit: requests of one token in `rate_period`.
        rate_period: a rate window's length.
        posts_limit: posts of one account in three hours.

    Example:
        >>> with MastodonPlatform() as platform:
        ...     complaint = platform.customer("ola").post("@shop Where is my parcel?")
        ...     [(post.author, post.text) for post in platform.posts]
        [('ola', '@shop Where is my parcel?')]
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType(
        {
            "lag": Shape(accepts=True, reads=False),
            "key_expired": Shape(accepts=True, reads=False),
            "missing_page": Shape(accepts=True, writes=False),
            "duplicated": Shape(accepts=True, writes=False),
            "reordered": Shape(accepts=True, writes=False),
        }
    )

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
        shop: str = "shop",
        domain: str = "social.example",
        compatible: bool = False,
        honours_keys: bool | None = None,
        edits_notify: bool = False,
        rate_limit: int = 300,
        rate_period: timedelta = timedelta(minutes=5),
        posts_limit: int = 300,
    ) -> None:
        super().__init__(clock=clock, port=port, control=control)
        self.compatible = compatible
        self.honours_keys: bool = not compatible if honours_keys is None else honours_keys
        self.limits: Limits = Limits(5000, 25) if compatible else Limits()
        self.network: Network = Network(
            domain, self.now, ulids=compatible, edits_notify=edits_notify
        )
        self.network.account(shop)
        tokens = Tokens()
        token = tokens.issue(shop, ("read", "write"))
        self.shop: Staff = Staff(shop, self.network, self.lock, tokens, token)
        self._windows = Windows(rate_limit, rate_period, self.now)
        self._post_windows = Windows(posts_limit, timedelta(hours=3), self.now)
        self._keys: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._hidden: dict[str, Lag] = {}
        self._missed: set[str] = set()

    # What tests use.

    @property
    def posts(self) -> tuple[Post, ...]:
        """Return every status that was accepted, in order, deleted ones too."""
        with self.lock:
            return tuple(self.network.posts.values())

    def customer(self, acct: str) -> Person:
        """Return somebody who writes to the shop: `name`, or `name@domain` of another server."""
        with self.lock:
            self.network.account(acct)
        return Person(acct, self.network, self.lock)

    def truth(self) -> Mapping[str, object]:
        """Return every accepted status as JSON."""
        return {"posts": posts_as_json(self.posts)}

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {"token": self.shop.token, "acct": self.shop.acct}

    def act(self, command: Mapping[str, object]) -> object:
        """Do `{"as": acct, "do": "post", "text": …}`; see `mastodon_people.act`."""
        acct = command.get("as")
        if not isinstance(acct, str):
            raise ValueError('say who acts: {"as": "ola", "do": "post", "text": "…"}')  # noqa: TRY004 - as all complaints about a command
        return act(self.shop if acct == self.shop.acct else self.customer(acct), command)

    # Who may, and how often.

    def routes(self) -> Sequence[Route]:
        """Return the paths answered, with the scope that each needs."""
        return (
            Route("GET", "/api/v1/instance", self._instance_v1),
            Route("GET", "/api/v2/instance", self._instance_v2),
            Route(
                "GET",
                "/api/v1/accounts/verify_credentials",
                self._with(("read:accounts", "profile"), self._verify),
            ),
            Route("GET", "/api/v1/apps/verify_credentials", self._application),
            Route("GET", "/api/v1/notifications", self._with(("read:notifications",), self._told)),
            Route("POST", "/api/v1/statuses", self._with(("write:statuses",), self._create)),
            Route("PUT", "/api/v1/statuses/{id}", self._with(("write:statuses",), self._edit)),
            Route("DELETE", "/api/v1/statuses/{id}", self._with(("write:statuses",), self._delete)),
            Route("GET", "/api/v1/statuses/{id}", self._if_got("read:statuses", self._status)),
            Route(
                "GET",
                "/api/v1/statuses/{id}/context",
                self._if_got("read:statuses", self._context),
            ),
            Route(
                "GET",
                "/api/v1/accounts/{id}/statuses",
                self._if_got("read:statuses", self._statuses_of),
            ),
            Route("GET", "/api/v2/search", self._with(("read:search",), self._search)),
        )

    def handle(self, request: Request) -> Reply:
        """Count, answer, and put the rate headers on the answer."""
        if not request.path.startswith("/api/"):
            return super().handle(request)
        standing = self._windows.standing(self._client(request), more=1)
        self._missed.clear()
        try:
            reply = worded(429) if standing.exceeded else super().handle(request)
        except Refusal as refusal:
            reply = worded(refusal.status, refusal.error)
        self._count_missed()
        return self._with_rates(reply, self._nearest(request, standing))

    def _client(self, request: Request) -> str:
        grant = self.shop.tokens.find(request.header("Authorization"))
        return grant.name if grant else "anybody"

    def _nearest(self, request: Request, standing: Standing) -> Standing:
        """Return the limit that is nearest: for writes, posts have one of their own."""
        grant = self.shop.tokens.find(request.header("Authorization"))
        if grant is None or request.method not in {"POST", "PUT"}:
            return standing
        posts = self._post_windows.standing(grant.acct)
        return min(standing, posts, key=lambda each: each.remaining)

    def _with_rates(self, reply: Reply, standing: Standing) -> Reply:
        named = {name for name, _ in reply.headers}
        if self.compatible or "X-RateLimit-Limit" in named:
            return reply
        return attrs.evolve(reply, headers=(*reply.headers, *standing.headers().items()))

    def _with(self, scopes: Iterable[str], answer: Answers) -> Callable[[Request], Reply]:
        """Need a token with one of these scopes, as `doorkeeper_authorize!` does."""

        def answered(request: Request) -> Reply:
            grant = self.shop.tokens.find(request.header("Authorization"))
            if grant is None:
                raise Refusal(401)
            return answer(request, self._authorized(grant, scopes))

        return answered

    def _if_got(self, scope: str, answer: AnswersAnybody) -> Callable[[Request], Reply]:
        """Check a token only if it is known, as `authorize_if_got_token!` does."""

        def answered(request: Request) -> Reply:
            grant = self.shop.tokens.find(request.header("Authorization"))
            return answer(request, self._authorized(grant, (scope,)) if grant else None)

        return answered

    def _authorized(self, grant: Grant, scopes: Iterable[str]) -> str:
        if grant.state == "revoked":
            raise Refusal(401, "The access token was revoked")
        if grant.state == "expired":
            raise Refusal(401, "The access token expired")
        if not any(grant.allows(scope) for scope in scopes):
            raise Refusal(403)
        return grant.acct

    # How it refuses.

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal; paths, methods and gateways speak HTML unless JSON is asked for."""
        if status in {404, 405}:
            wants_json = "application/json" in (request.header("Accept") or "")
            return worded(404, "Not Found") if wants_json else html_page(404)
        if status == 429:
            return self._throttled()
        return worded(status) if status in WORDS else html_page(status)

    def _throttled(self) -> Reply:
        """Refuse for the rate; a compatible server says nothing of when to come back."""
        window = self._windows.standing("nobody")
        used_up = attrs.evolve(window, used=window.limit)
        return self._with_rates(worded(429), used_up)

    # What it says of itself and of the caller.

    @property
    def _version(self) -> str:
        return "0.20.0 (compatible; 4.5.0)" if self.compatible else "4.5.0"

    def _instance_v1(self, request: Request) -> Reply:
        del request
        return Reply.json(entities.instance_v1(self.network, self._version, self.limits))

    def _instance_v2(self, request: Request) -> Reply:
        del request
        return Reply.json(entities.instance_v2(self.network, self._version, self.limits))

    def _verify(self, request: Request, me: str) -> Reply:
        del request
        return Reply.json(entities.credentials(self.network.account(me), self.network))

    def _application(self, request: Request) -> Reply:
        """Name the application of a token of any scope (docs.joinmastodon.org/methods/apps)."""
        grant = self.shop.tokens.find(request.header("Authorization"))
        if grant is None:
            raise Refusal(401)
        self._authorized(grant, grant.scopes)
        return Reply.json({"name": "client", "website": None, "scopes": ["read", "write"]})

    # Reading.

    def _told(self, request: Request, me: str) -> Reply:
        """Answer with one page of notifications; `types` without brackets is not a filter."""
        types, excluded = request.every("types[]"), request.every("exclude_types[]")
        by = self.network.by_id(request.first("account_id") or "")

        def wanted(told: Notification) -> bool:
            return (
                told.to == me
                and (not types or told.kind in types)
                and told.kind not in excluded
                and (by is None or told.by == by.acct)
                and (told.post is None or self._shows(me, self.network.posts[told.post]))
            )

        everything = tuple(self.network.notifications.values())
        page = self.network.page(everything, page_of(request, 40), wanted)
        shown = disturbed(page, request.fault)
        return Reply.json(
            [entities.notification(told, self.network) for told in shown],
            headers=self._links(request, [told.id for told in page], more=bool(page)),
        )

    def _status(self, request: Request, me: str | None) -> Reply:
        return self._shown(self._found(request, me), me)

    def _context(self, request: Request, me: str | None) -> Reply:
        post = self._found(request, me)
        above = [each for each in self.network.ancestors(post) if self._shows(me, each)]
        below = [each for each in self.network.descendants(post) if self._shows(me, each)]
        if request.fault is not None and request.fault.kind == "missing_page":
            below = below[: len(below) // 2]
        return Reply.json(
            {
                "ancestors": [entities.status(each, self.network, me) for each in above],
                "descendants": [entities.status(each, self.network, me) for each in below],
            }
        )

    def _statuses_of(self, request: Request, me: str | None) -> Reply:
        account = self.network.by_id(request.params["id"])
        if account is None:
            raise Refusal(404)
        own_only = is_true(request.first("exclude_replies"))
        asked = page_of(request, 20)
        page = self.network.page(
            self.network.by_author(account.acct),
            asked,
            lambda post: (
                self._shows(me, post)
                and not (
                    own_only and entities.answered(post, self.network) not in {None, account.id}
                )
            ),
        )
        shown = disturbed(page, request.fault)
        return Reply.json(
            [entities.status(post, self.network, me) for post in shown],
            headers=self._links(request, [post.id for post in page], more=len(page) == asked.limit),
        )

    def _search(self, request: Request, me: str) -> Reply:
        """Find posts and accounts by a part of their text; which posts a server finds varies."""
        query = (request.first("q") or "").strip().lower()
        if not query:
            raise Refusal(400, "param is missing or the value is empty: q")
        kind = request.first("type")
        page = page_of(request, 20)
        found = self.network.page(
            self.posts if kind in {None, "statuses"} else (),
            page,
            lambda post: query in post.text.lower() and self._shows(me, post),
        )
        named = [a for a in self.network.accounts.values() if query in a.acct.lower()]
        known = named[: page.limit] if kind in {None, "accounts"} else []
        return Reply.json(
            {
                "accounts": [entities.account(each, self.network) for each in known],
                "statuses": [entities.status(post, self.network, me) for post in found],
                "hashtags": [],
            }
        )

    def _found(self, request: Request, me: str | None) -> Post:
        post = self.network.posts.get(request.params["id"])
        if post is None or not self._shows(me, post):
            raise Refusal(404)
        return post

    def _shown(self, post: Post, me: str | None) -> Reply:
        return Reply.json(entities.status(post, self.network, me))

    def _shows(self, me: str | None, post: Post) -> bool:
        """Tell whether a read shows a post: it may be seen, and does not lag."""
        lag = self._hidden.get(post.id)
        if lag is not None and (lag.reads < 1 or (lag.until and lag.until <= self.now())):
            del self._hidden[post.id]
            lag = None
        if lag is not None:
            self._missed.add(post.id)
        return lag is None and self.network.may_see(me, post)

    def _count_missed(self) -> None:
        """Count one read off the lag of every post that this request did not show."""
        for post_id in self._missed:
            self._hidden[post_id].reads -= 1

    def _links(self, request: Request, ids: Sequence[str], *, more: bool) -> dict[str, str]:
        if not ids:
            return {}
        cursors = {"max_id", "since_id", "min_id"}
        kept = [(name, value) for name, value in request.query if name not in cursors]
        base = f"{self.url}{request.path}"
        older = urlencode([*kept, ("max_id", ids[-1])])
        newer = urlencode([*kept, ("min_id", ids[0])])
        links = [f'<{base}?{older}>; rel="next"'] if more else []
        return {"Link": ", ".join([*links, f'<{base}?{newer}>; rel="prev"'])}

    # Writing.

    def _create(self, request: Request, me: str) -> Reply:
        fields = fields_of(request)
        parent = self._parent(fields, me)
        key = request.header("Idempotency-Key") or None
        earlier = self._earlier(me, key, request.fault)
        if earlier is not None:
            return self._shown(earlier, me)
        text, warning = prepared(fields)
        visibility = self._checked(text, warning, fields.get("visibility") or "public")
        standing = self._post_windows.standing(me, more=1)
        if standing.exceeded:
            raise Refusal(429)
        post = self.network.add(
            me,
            text,
            visibility,
            in_reply_to=parent.id if parent else None,
            warning=warning,
            via="client",
            key=key,
            language=fields.get("language") or None,
        )
        if key is not None:
            self._keys[me, key] = (post.id, self.now())
        if request.fault is not None and request.fault.kind == "lag":
            lasts = request.fault.lasts
            self._hidden[post.id] = Lag(
                request.fault.reads if lasts is None else 1_000_000,
                None if lasts is None else self.now() + lasts,
            )
        return self._shown(post, me)

    def _parent(self, fields: Mapping[str, str], me: str) -> Post | None:
        given = fields.get("in_reply_to_id", "").strip()
        if not given:
            return None
        parent = self.network.posts.get(given)
        if parent is None or not self.network.may_see(me, parent):
            raise Refusal(404, NO_REPLY_TARGET)
        return parent

    def _earlier(self, me: str, key: str | None, fault: Fault | None) -> Post | None:
        """Return what the same key posted within the hour, whatever is asked for now."""
        forgotten = fault is not None and fault.kind == "key_expired"
        if key is None or not self.honours_keys or forgotten or (me, key) not in self._keys:
            return None
        post_id, at = self._keys[me, key]
        if self.now() >= at + KEY_KEPT:
            return None
        post = self.network.posts[post_id]
        if post.deleted_at is not None:
            raise Refusal(404)
        return post

    def _checked(self, text: str, warning: str, given: str) -> Visibility:
        visibility = next((each for each in VISIBILITIES if each == given), None)
        most = self.limits.max_characters
        url_length = self.limits.characters_reserved_per_url
        wrong = []
        if not text:
            wrong.append("Text can't be blank")
        if countable_length(text, warning, url_length=url_length) > most:
            wrong.append(f"Text character limit of {most} exceeded")
        if visibility is None:
            raise Refusal(422, "Validation failed: Visibility is not included in the list")
        if wrong:
            raise Refusal(422, f"Validation failed: {', '.join(wrong)}")
        return visibility

    def _edit(self, request: Request, me: str) -> Reply:
        post = self._own(request, me)
        fields = fields_of(request)
        text, warning = prepared(fields)
        self._checked(text, warning, post.visibility)
        if (text, warning) != (post.text, post.warning):
            post = self.network.edit(post, text, warning)
        return self._shown(post, me)

    def _delete(self, request: Request, me: str) -> Reply:
        post = self._own(request, me)
        entity = entities.status(post, self.network, me)
        self.network.delete(post)
        return Reply.json({**entity, "text": post.text})

    def _own(self, request: Request, me: str) -> Post:
        post = self.network.posts.get(request.params["id"])
        if post is None or post.author != me or post.deleted_at is not None:
            raise Refusal(404)
        return post
