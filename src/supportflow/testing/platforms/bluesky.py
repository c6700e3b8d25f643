"""A strict local Bluesky: the part of PDS, AppView and chat service that customer support touches.

It answers and refuses as the lexicons and the servers' source say, in the same words:

- https://github.com/bluesky-social/atproto/tree/main/lexicons and https://docs.bsky.app/docs/api/;
- https://github.com/bluesky-social/atproto/tree/main/packages/pds and packages/bsky, of which a
  real one was asked the same (`tests/e2e`);
- https://docs.bsky.app/docs/advanced-guides/rate-limits.

Four things surprise. A token that is no good is 400, not 401. Notifications come newest first, their
cursor is a time, and there is one as long as the page has anything on it. What is deleted takes its
notifications with it. A method that nobody has is 501; one of the chat service without the header
`atproto-proxy` is 404. The chat service is closed source: what its answers say beyond the lexicons
(an empty log where no cursor is given, a talk's unread count) is a guess, kept small.

The methods, their parameters and their refusals are one table, so this file is longer than most.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from http.client import responses
from typing import Any, ClassVar

import attrs

from supportflow.testing.platforms.bluesky_access import (
    LIMITED,
    PRIVILEGED,
    WHOLE,
    Budget,
    Limited,
    Refusal,
    Sessions,
)
from supportflow.testing.platforms.bluesky_network import Account, Network, Person, Post, Said
from supportflow.testing.platforms.bluesky_rules import (
    AT_URI,
    HANDLE,
    POST,
    Invalid,
    check_key,
    check_post,
    check_words,
    cid_of,
    tid_of,
)
from supportflow.testing.platforms.server import Platform, Reply, Request, Route

__all__ = ["BlueskyPlatform", "Person", "Post"]

CHAT = "did:web:api.bsky.chat#bsky_chat"
ERRORS = {
    404: "XRPCNotSupported",
    413: "PayloadTooLarge",
    429: "RateLimitExceeded",
    500: "InternalServerError",
    502: "UpstreamFailure",
    503: "NotEnoughResources",
    504: "UpstreamTimeout",
}
FROM_WHOM = (
    "mention",
    "reply",
    "quote",
    "like",
    "likeViaRepost",
    "repost",
    "repostViaRepost",
    "follow",
)
YES_OR_NO = ("starterpackJoined", "subscribedPost", "verified", "unverified")
Answers = Callable[[Request, str], object]


class BlueskyPlatform(Platform):
    """A local Bluesky with one shop and any number of customers.

    Args:
        clock: aware UTC time; None is the machine's own.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too.
        domain: what every handle ends in.
        sessions: how many sessions an account may make in five minutes.
        points: how many points an account may write in an hour.

    Example:
        >>> with BlueskyPlatform() as platform:
        ...     _ = platform.customer("ola").post("@shop.social.example Where is my parcel?")
        ...     [post.text for post in platform.posts]
        ['@shop.social.example Where is my parcel?']
    """

    id_fields: ClassVar[frozenset[str]] = frozenset({"id", "uri", "cid"})

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
        domain: str = "social.example",
        sessions: int = 30,
        points: int = 5_000,
    ) -> None:
        super().__init__(clock=clock, port=port, control=control)
        self.network: Network = Network(self.now, domain)
        self.sessions: Sessions = Sessions(self.now)
        self.preferences: dict[str, dict[str, object]] = {
            **{name: {"include": "all", "list": True, "push": True} for name in FROM_WHOM},
            **{name: {"list": True, "push": True} for name in YES_OR_NO},
            "chat": {"include": "all", "push": True},
        }
        account = self.network.account("shop")
        self.shop: Person = Person(account, self.network, self.lock, account)
        self._all = Budget(3_000, timedelta(minutes=5), self.now)
        self._logins = Budget(sessions, timedelta(minutes=5), self.now)
        self._daily = Budget(10 * sessions, timedelta(days=1), self.now)
        self._writes = Budget(points, timedelta(hours=1), self.now)

    # What tests use.

    def customer(self, name: str) -> Person:
        """Return somebody by a name; whoever is not there yet is from now on."""
        with self.lock:
            return Person(self.network.account(name), self.network, self.lock, self.shop.account)

    def app_password(self, *, messages: bool = True) -> str:
        """Return a new app password of the shop's.

        Args:
            messages: whether it may read and write direct messages.
        """
        with self.lock:
            return self.sessions.password(self.shop.id, PRIVILEGED if messages else LIMITED)

    @property
    def posts(self) -> tuple[Post, ...]:
        """Return everybody's posts that are there, the oldest first."""
        with self.lock:
            posts = [post for post in self.network.posts.values() if not post.deleted]
            return tuple(sorted(posts, key=lambda post: post.at))

    @property
    def messages(self) -> tuple[Said, ...]:
        """Return everybody's direct messages, the oldest first."""
        with self.lock:
            return tuple(e.said for e in self.network.log if e.kind == "logCreateMessage")

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {"identifier": self.shop.account.handle, "password": self.app_password()}

    def truth(self) -> Mapping[str, object]:
        """Return what was accepted, as JSON."""
        posts = [
            {"uri": p.uri, "author": p.author, "text": p.text, "via": p.via, "at": _clock(p.at)}
            | {"parent": p.record.get("reply", {}).get("parent", {}).get("uri")}
            for p in self.posts
        ]
        said = [
            {"id": s.id, "talk": s.talk, "author": s.sender, "text": s.text, "via": s.via}
            for s in self.messages
        ]
        return {"posts": posts, "messages": said}

    def act(self, command: Mapping[str, object]) -> object:
        """Post, or write directly, as somebody: `{"as": "ola", "do": "post", "text": …}`.

        Raises:
            ValueError: for a command that does not exist.
        """
        who, do, text = (str(command.get(name, "")) for name in ("as", "do", "text"))
        person = self.shop if who == "shop" else self.customer(who)
        if do == "post":
            parent = self.network.shown(str(command.get("in_reply_to")))
            return {"uri": person.post(text, in_reply_to=parent).uri}
        if do == "write":
            return {"id": person.write(text).id}
        raise ValueError(f"no such thing to do: {do!r}; known: post, write")

    # How it answers.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        server, repo, chat = "com.atproto.server", "com.atproto.repo", "chat.bsky.convo"
        return (
            self._route("POST", f"{server}.createSession", self._create_session),
            self._route("POST", f"{server}.refreshSession", self._refresh_session),
            self._route("GET", f"{server}.getSession", self._known(self._get_session)),
            self._route("POST", f"{repo}.putRecord", self._known(self._put)),
            self._route("POST", f"{repo}.createRecord", self._known(self._create)),
            self._route("GET", f"{repo}.getRecord", self._get_record),
            self._route("GET", f"{repo}.listRecords", self._list_records),
            self._route("GET", "com.atproto.identity.resolveHandle", self._resolve),
            self._route("GET", "app.bsky.actor.getProfile", self._known(self._profile)),
            self._route("GET", "app.bsky.feed.getPosts", self._known(self._get_posts)),
            self._route("GET", "app.bsky.feed.searchPosts", self._known(self._search)),
            self._route("GET", "app.bsky.notification.listNotifications", self._known(self._told)),
            self._route(
                "GET",
                "app.bsky.notification.getPreferences",
                self._known(lambda *_: {"preferences": self.preferences}),
            ),
            self._route("GET", f"{chat}.getLog", self._proxied(self._news)),
            self._route("GET", f"{chat}.listConvos", self._proxied(self._list_talks)),
            self._route("GET", f"{chat}.getConvo", self._proxied(self._get_talk)),
            self._route("GET", f"{chat}.getConvoForMembers", self._proxied(self._talk_with)),
            self._route("GET", f"{chat}.getMessages", self._proxied(self._messages)),
            self._route("POST", f"{chat}.sendMessage", self._proxied(self._send)),
        )

    def _route(self, method: str, nsid: str, answer: Callable[[Request], object]) -> Route:
        def answered(request: Request) -> Reply:
            rates: Mapping[str, str] = {}
            try:
                rates = self._all.spend("127.0.0.1")
                found = answer(request)
                return found if isinstance(found, Reply) else Reply.json(found, headers=rates)
            except Limited as refusal:
                return _worded(429, refusal.error, refusal.message, refusal.headers)
            except Refusal as refusal:
                return _worded(refusal.status, refusal.error, refusal.message, rates)
            except Invalid as wrong:
                return _worded(400, "InvalidRequest", str(wrong), rates)

        return Route(method, f"/xrpc/{nsid}", answered)

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal: of a token 400, of a method that nobody has 501."""
        if status == 401:
            return _worded(400, "ExpiredToken", "Token has been revoked")
        if status == 405:
            return _worded(400, "InvalidRequest", f"Incorrect HTTP method ({request.method})")
        if status == 404:
            return _worded(501, "MethodNotImplemented", "Method Not Implemented")
        headers = self._all.headers(self.now(), 0) if status == 429 else {}
        message = "Rate Limit Exceeded" if status == 429 else responses.get(status, "")
        return _worded(status, ERRORS.get(status, "InvalidRequest"), message, headers)

    def _known(self, answer: Answers) -> Callable[[Request], object]:
        def answered(request: Request) -> object:
            return answer(request, self.sessions.find(request.header("Authorization")).did)

        return answered

    def _proxied(self, answer: Answers) -> Callable[[Request], object]:
        def answered(request: Request) -> object:
            if request.header("atproto-proxy") != CHAT:
                raise Refusal("XRPCNotSupported", "XRPC Not Supported", 404)
            grant = self.sessions.find(request.header("Authorization"))
            if grant.scope not in (WHOLE, PRIVILEGED):
                raise Refusal("InvalidToken", "Bad token method")
            return answer(request, grant.did)

        return answered

    # Sessions.

    def _create_session(self, request: Request) -> object:
        given = _body(request, "identifier", "password")
        self._daily.spend(given["identifier"])
        self._logins.spend(given["identifier"])
        account = self.network.find(given["identifier"])
        did = account.did if account else ""
        return self._session(did, self.sessions.log_in(did, given["password"]))

    def _refresh_session(self, request: Request) -> object:
        return self._session(*self.sessions.refresh(request.header("Authorization")))

    def _get_session(self, request: Request, me: str) -> object:
        del request
        return self._session(me, {})

    def _session(self, did: str, tokens: Mapping[str, str]) -> object:
        account = self.network.accounts[did]
        return {**tokens, "did": did, "handle": account.handle, "active": True}

    # Records.

    def _put(self, request: Request, me: str) -> object:
        given = _body(request, "repo", "collection", "rkey", "record")
        self._writes.spend(me, 2)
        self._own(given["repo"], me)
        check_key(given["collection"], given["rkey"])
        check_post(given["record"])
        before = self.network.shown(f"at://{me}/{POST}/{given['rkey']}")
        if before is not None and before.record == given["record"]:
            return before.ref | {"validationStatus": "valid"}  # no commit: nothing was changed
        if "swapRecord" in given and given["swapRecord"] != (before and before.cid):
            raise Refusal("InvalidSwap", f"Record was at {before.cid if before else 'null'}")
        return self._written(me, given["rkey"], given["record"])

    def _create(self, request: Request, me: str) -> object:
        given = _body(request, "repo", "collection", "record")
        self._writes.spend(me, 3)
        self._own(given["repo"], me)
        rkey = given.get("rkey") or self.network.key()
        check_key(given["collection"], rkey)
        check_post(given["record"])
        if self.network.shown(f"at://{me}/{POST}/{rkey}"):
            raise Refusal("InternalServerError", "Internal Server Error", 500)
        return self._written(me, rkey, given["record"])

    def _own(self, repo: str, me: str) -> None:
        account = self.network.find(repo)
        if account is None:
            raise Refusal("InvalidRequest", f"Could not find repo: {repo}")
        if account.did != me:
            raise Refusal("AuthenticationRequired", "Authentication Required", 401)

    def _written(self, me: str, rkey: str, record: Mapping[str, Any]) -> object:
        post = self.network.write(me, rkey, record, "api")
        commit = {"cid": cid_of([post.uri, post.cid]), "rev": tid_of(self.now())}
        return post.ref | {"commit": commit, "validationStatus": "valid"}

    def _get_record(self, request: Request) -> object:
        repo, collection, rkey = (_asked(request, n) for n in ("repo", "collection", "rkey"))
        account = self.network.find(repo)
        uri = f"at://{account.did if account else repo}/{collection}/{rkey}"
        post = self.network.shown(uri)
        if post is None:
            raise Refusal("RecordNotFound", f"Could not locate record: {uri}")
        return post.ref | {"value": post.record}

    def _list_records(self, request: Request) -> object:
        account = self.network.find(_asked(request, "repo"))
        if account is None:
            raise Refusal("InvalidRequest", f"Could not find repo: {_asked(request, 'repo')}")
        posts = self.network.of(account.did) if _asked(request, "collection") == POST else []
        cursor = request.first("cursor")
        later = [post for post in posts if cursor is None or post.rkey < cursor]
        page = later[: _limit(request)]
        found = {"records": [post.ref | {"value": post.record} for post in page]}
        return found | ({"cursor": page[-1].rkey} if page else {})

    def _resolve(self, request: Request) -> object:
        handle = _asked(request, "handle")
        if not HANDLE.fullmatch(handle):
            raise Refusal("InvalidRequest", "Error: handle must be a valid handle")
        account = self.network.find(handle)
        if account is None:
            raise Refusal("InvalidRequest", "Unable to resolve handle")
        return {"did": account.did}

    # What the AppView shows.

    def _profile(self, request: Request, me: str) -> object:
        del me
        account = self.network.find(_asked(request, "actor"))
        if account is None:
            raise Refusal("InvalidRequest", "Profile not found")
        return _person(account)

    def _get_posts(self, request: Request, me: str) -> object:
        uris = request.every("uris") or (_asked(request, "uris"),)
        if len(uris) > 25:
            raise Refusal("InvalidRequest", "Error: uris must not have more than 25 elements")
        for uri in uris:
            if not AT_URI.fullmatch(uri):
                raise Refusal("InvalidRequest", "Error: uris/0 must be a valid at-uri")
        found = filter(None, map(self.network.shown, uris))
        return {"posts": [self._shown(post, me) for post in found]}

    def _shown(self, post: Post, me: str) -> dict[str, Any]:
        root = post.record.get("reply", {}).get("root", {}).get("uri", post.uri)
        closed = root in self.network.gated and not root.startswith(f"at://{me}/")
        return post.ref | {
            "author": _person(self.network.accounts[post.author]),
            "record": post.record,
            "replyCount": 0,
            "repostCount": 0,
            "likeCount": 0,
            "quoteCount": 0,
            "indexedAt": _clock(post.at),
            "viewer": {"threadMuted": False} | ({"replyDisabled": True} if closed else {}),
            "labels": [],
        }

    def _search(self, request: Request, me: str) -> object:
        words, first = _asked(request, "q").lower(), int(request.first("cursor") or 0)
        found = [post for post in reversed(self.posts) if words in post.text.lower()]
        last = first + _limit(request)
        more = {"cursor": str(last)} if last < len(found) else {}
        return {"posts": [self._shown(post, me) for post in found[first:last]]} | more

    def _told(self, request: Request, me: str) -> object:
        if request.first("priority") not in (None, "true", "false"):
            raise Refusal("InvalidRequest", "Error: priority must be a boolean")
        reasons, cursor = request.every("reasons"), request.first("cursor")
        told = [n for n in self.network.told(me) if cursor is None or _clock(n.at) < cursor]
        page = told[: _limit(request)]
        shown = [
            {
                "uri": notice.uri,
                "cid": cid_of(notice.record),
                "author": _person(self.network.accounts[notice.by]),
                "reason": notice.reason,
                "record": notice.record,
                "isRead": False,
                "indexedAt": _clock(notice.at),
                "labels": [],
            }
            | ({"reasonSubject": notice.subject} if notice.subject else {})
            for notice in page
            if not reasons or notice.reason in reasons
        ]
        more = {"cursor": _clock(page[-1].at)} if page else {}
        return {"notifications": shown, "priority": False} | more

    # Direct messages.

    def _news(self, request: Request, me: str) -> object:
        cursor = request.first("cursor")
        mine = [e for e in self.network.log if me in (self.network.people(e.said.talk) or ())]
        page = [e for e in mine if cursor is not None and e.rev > cursor][:100]
        entries = []
        for entry in page:
            logged: dict[str, Any] = {
                "rev": entry.rev,
                "convoId": entry.said.talk,
                "message": self._said(entry.said),
            }
            logged["$type"] = f"chat.bsky.convo.defs#{entry.kind}"
            sender = self.network.accounts[entry.said.sender]
            logged["relatedProfiles"] = [_person(sender)]
            entries.append(logged | ({"reaction": entry.reaction} if entry.reaction else {}))
        newest = mine[-1].rev if mine else tid_of(datetime.fromtimestamp(0, self.now().tzinfo))
        after = newest if cursor is None else page[-1].rev if page else cursor
        return {"logs": entries, "cursor": after}

    def _said(self, said: Said) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "$type": "chat.bsky.convo.defs#messageView",
            "id": said.id,
            "rev": said.id,
            "text": said.text,
            "sender": {"did": said.sender},
            "sentAt": _clock(said.at),
        }
        parent = next((s for s in self.network.said(said.talk) if s.id == said.reply_to), None)
        if parent is not None:
            shown["replyTo"] = self._said(_alone(parent))
        if said.deleted:
            kept = {name: shown[name] for name in ("id", "rev", "sender", "sentAt")}
            return kept | {"$type": "chat.bsky.convo.defs#deletedMessageView"}
        return shown

    def _talk(self, talk: str, me: str) -> dict[str, Any]:
        people = self.network.people(talk)
        if people is None or me not in people:
            raise Refusal("InvalidConvo", "Invalid convo")
        said = self.network.said(talk)
        unread = next((n for n, each in enumerate(said) if each.sender == me), len(said))
        members = [_person(self.network.accounts[did]) for did in sorted(people)]
        found = {"id": talk, "rev": said[0].id if said else talk, "members": members}
        return found | {"muted": False, "unreadCount": unread, "status": "accepted"}

    def _list_talks(self, request: Request, me: str) -> object:
        mine = [talk for people, talk in self.network.talks.items() if me in people]
        return {"convos": [self._talk(talk, me) for talk in mine[: _limit(request)]]}

    def _get_talk(self, request: Request, me: str) -> object:
        return {"convo": self._talk(_asked(request, "convoId"), me)}

    def _talk_with(self, request: Request, me: str) -> object:
        asked = request.every("members") or (_asked(request, "members"),)
        account = self.network.accounts.get(asked[0])
        if account is None:
            raise Refusal("RecipientNotFound", "recipient not found")
        if not account.takes_messages:
            raise Refusal("MessagesDisabled", "recipient has disabled incoming messages")
        return {"convo": self._talk(self.network.talk(me, account.did), me)}

    def _messages(self, request: Request, me: str) -> object:
        talk, cursor = self._talk(_asked(request, "convoId"), me), request.first("cursor")
        said = [s for s in self.network.said(talk["id"]) if cursor is None or s.id < cursor]
        page = said[: _limit(request)]
        more = {"cursor": page[-1].id} if len(page) < len(said) else {}
        return {"messages": [self._said(each) for each in page]} | more

    def _send(self, request: Request, me: str) -> object:
        given = _body(request, "convoId", "message")
        talk, message = self._talk(given["convoId"], me), check_words(given["message"])
        replied = message.get("replyTo")
        parent = replied.get("messageId") if isinstance(replied, dict) else None
        if parent is not None and parent not in {s.id for s in self.network.said(talk["id"])}:
            raise Refusal("ReplyTargetNotFound", "Reply target not found")
        said = self.network.say(talk["id"], me, str(message["text"]), parent, via="api")
        return self._said(said)


def _alone(said: Said) -> Said:
    """Return a message as an answer to it shows it: a single level deep."""
    return attrs.evolve(said, reply_to=None)


def _worded(
    status: int, error: str, message: str, headers: Mapping[str, str] | None = None
) -> Reply:
    return Reply.json({"error": error, "message": message}, status, headers or {})


def _body(request: Request, *needed: str) -> dict[str, Any]:
    try:
        found = request.json()
    except (ValueError, json.JSONDecodeError):
        raise Refusal("InvalidRequest", "Unable to parse the body as JSON") from None
    if not isinstance(found, dict) or "json" not in (request.header("Content-Type") or ""):
        raise Refusal("InvalidRequest", "A request body is expected but none was provided")
    for name in needed:
        if name not in found:
            raise Refusal("InvalidRequest", f'Error: Input must have the property "{name}"')
        if name not in ("record", "message") and not isinstance(found[name], str):
            raise Refusal("InvalidRequest", f"Error: Input/{name} must be a string")
    return found


def _asked(request: Request, name: str) -> str:
    found = request.first(name)
    if not found:
        raise Refusal("InvalidRequest", f'Error: Params must have the property "{name}"')
    return found


def _limit(request: Request) -> int:
    given = request.first("limit") or "50"
    if not given.isdecimal() or int(given) < 1:
        raise Refusal("InvalidRequest", "Error: limit can not be less than 1")
    if int(given) > 100:
        raise Refusal("InvalidRequest", "Error: limit can not be greater than 100")
    return int(given)


def _person(account: Account) -> dict[str, Any]:
    found = {"did": account.did, "handle": account.handle, "displayName": account.name}
    return found | {"labels": []}


def _clock(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
