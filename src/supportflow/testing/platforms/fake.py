"""A made-up network in each reconcile class: a key, a thread that can be read, echoes, or nothing at all.

Customers write in threads of their own, and the shop answers there. Everything else follows from
how a lost answer can be cleared up (RELIABILITY 2.4):

===== ======================================================================================
class what the network offers
===== ======================================================================================
`K`   an `Idempotency-Key` that it remembers for `key_window`: the same key, the same answer
`R`   the shop's own posts of a thread can be read, page by page, with the tag each carried
`E`   every post comes back in a signed webhook, with the tag it carried
`B`   nothing: a post carries no name, and no post of the shop's can be read
===== ======================================================================================

Beside the faults of the wire it commits these of its own:

============== ===== =====================================================================
kind           class what happens
============== ===== =====================================================================
`lag`          R     accepted, and seen by no read until `lasts` (10 s) are over
`missing_page` R     a read breaks off: its next page is gone
`key_expired`  K     accepted, but the key is forgotten at once
`echo_early`   E     the webhook goes out before the answer
`echo_late`    E     the webhook goes out only after `lasts` (60 s)
`echo_never`   E     no webhook at all
`echo_twice`   E     the webhook comes two times
============== ===== =====================================================================
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import attrs

from supportflow.testing.platforms.faults import Fault, Shape
from supportflow.testing.platforms.messages import Reply, Request, Route
from supportflow.testing.platforms.meta_hooks import MetaHooks
from supportflow.testing.platforms.meta_payloads import Delivery, Event
from supportflow.testing.platforms.plan import FaultPlan
from supportflow.testing.platforms.server import Platform

__all__ = ["KINDS", "FakePlatform", "FakePost", "FakeWords"]

#: The network's own faults by class.
KINDS: Mapping[str, Mapping[str, Shape]] = MappingProxyType(
    {
        "K": {"key_expired": Shape(accepts=True, reads=False)},
        "R": {
            "lag": Shape(accepts=True, reads=False),
            "missing_page": Shape(accepts=True, writes=False),
        },
        "E": {
            name: Shape(accepts=True, reads=False)
            for name in ("echo_early", "echo_late", "echo_never", "echo_twice")
        },
        "B": {},
    }
)
MAX_TEXT = 500
PAGE = 20
LAG, LATE = timedelta(seconds=10), timedelta(seconds=60)
TOKEN, SECRET = "fake-token", "fake-secret"


@attrs.frozen
class FakeWords:
    """Hold what a customer wrote.

    Args:
        id: the network's id, growing.
        thread: where it stands.
        by: who wrote it.
        text: the words.
        at: when, by the platform's clock.
    """

    id: str
    thread: str
    by: str
    text: str
    at: datetime


@attrs.define
class FakePost:
    """Hold what the shop posted, as the network knows it.

    Args:
        id: the network's id, growing.
        thread: where it stands.
        text: the words.
        at: when it was accepted, by the platform's clock.
        tag: what it carried, in the classes R and E.
        key: its idempotency key, in the class K.
        shown_from: before then no read shows it.
    """

    id: str
    thread: str
    text: str
    at: datetime
    tag: str | None = None
    key: str | None = None
    shown_from: datetime | None = None


class FakePlatform(Platform):
    """A network on loopback that can do exactly what its class can, and knows what it accepted.

    Args:
        kind: its class, `K`, `R`, `E` or `B`.
        key_window: how long a key is remembered.
        clock: aware UTC time; None is the machine's own.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too.

    Raises:
        ValueError: for a class that there is not.

    Example:
        >>> with FakePlatform("R") as platform:
        ...     platform.write("ola", "My parcel is lost.").thread
        't-ola'
    """

    def __init__(
        self,
        kind: str,
        *,
        key_window: timedelta = timedelta(hours=24),
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
    ) -> None:
        if kind not in KINDS:
            message = f"no class {kind!r}; there are {', '.join(KINDS)}"
            raise ValueError(message)
        self.kind, self.key_window = kind, key_window
        self.words: list[FakeWords] = []
        self.posts: list[FakePost] = []
        self._keys: dict[str, FakePost] = {}
        self._count = 0
        super().__init__(clock=clock, port=port, control=control)
        self.faults = FaultPlan(KINDS[kind])
        self.hooks = MetaHooks(
            "fake",
            "shop",
            app_secret=SECRET,
            verify_token=TOKEN,
            now=self.now,
            crashed=self.crashes.append,
        )
        self.hooks.deliver_to(lambda *_: 503)
        self._acknowledged: set[int] = set()

    # What a platform says of itself.

    def routes(self) -> Sequence[Route]:
        """Return what is answered; only the class R lets the shop's own posts be read."""
        found = (
            Route("POST", "/v1/messages", self._post),
            Route("GET", "/v1/messages", self._news),
        )
        reads = (Route("GET", "/v1/threads/{thread}/posts", self._read),)
        return found + reads if self.kind == "R" else found

    def handle(self, request: Request) -> Reply:
        """Answer whoever has the token."""
        if request.header("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, request)
        return super().handle(request)

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal; who asks too often may come back in a second."""
        refused = super().refuse(status, request)
        again = (("Retry-After", "1"),) if status == 429 else ()
        return attrs.evolve(refused, headers=(*refused.headers, *again))

    def credentials(self) -> Mapping[str, str]:
        """Return the class, the token, and the secret that webhooks are signed with."""
        return {"kind": self.kind, "token": TOKEN, "secret": SECRET}

    def truth(self) -> Mapping[str, object]:
        """Return what customers wrote and what the shop posted, in the order of acceptance."""
        shown = attrs.filters.exclude("shown_from")
        return {
            "words": [_plain(attrs.asdict(each)) for each in self.words],
            "posts": [_plain(attrs.asdict(each, filter=shown)) for each in self.posts],
        }

    def act(self, command: Mapping[str, object]) -> object:
        """Write as a customer, or hand out webhooks to whoever asks for them.

        `{"as": "ola", "text": …}` writes; `{"do": "hooks"}` returns every webhook that was not
        acknowledged, as `[number, headers, body]`; `{"do": "acknowledge", "numbers": […]}` ends
        that for some. A webhook that nobody acknowledges is handed out again and again.
        """
        match dict(command):
            case {"as": str(name), "text": str(text)}:
                return _plain(attrs.asdict(self.write(name, text)))
            case {"do": "hooks"}:
                return self._handed_out()
            case {"do": "acknowledge", "numbers": list(numbers)}:
                self._acknowledged.update(numbers)
                return None
            case _:
                return super().act(command)

    # What people do.

    def write(self, name: str, text: str) -> FakeWords:
        """Let a customer write in their thread; in the class E, a webhook says so too."""
        with self.lock:
            words = FakeWords(self._next_id(), f"t-{name}", name, text, self.now())
            self.words.append(words)
            if self.kind == "E":
                self._tell("written", words.thread, words.at, _plain(attrs.asdict(words)))
            return words

    # What the shop asks.

    def _post(self, request: Request) -> Reply:
        refusal, asked = self._refusal(request)
        if refusal:
            return self._refused(422, refusal)
        key = request.header("Idempotency-Key") if self.kind == "K" else None
        before = self._keys.get(key or "")
        if before is not None and self.now() < before.at + self.key_window:
            same = (before.thread, before.text) == (asked["thread"], asked["text"])
            return _made(before) if same else self._refused(409, "this key has another message")
        made = FakePost(
            self._next_id(), asked["thread"], asked["text"], self.now(), asked.get("tag"), key
        )
        self.posts.append(made)
        if key is not None and not _is(request.fault, "key_expired"):
            self._keys[key] = made
        self._lag(made, request.fault)
        if self.kind == "E":
            self._echo(made, request.fault)
        return _made(made)

    def _refusal(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Return why a post is not taken, or nothing, and what it asks for."""
        try:
            asked = request.json()
        except ValueError:
            return "this is not JSON", {}
        if not isinstance(asked, dict):
            return "this is no object", {}
        allowed = {"thread", "text", *(("tag",) if self.kind in "RE" else ())}
        if unknown := asked.keys() - allowed:
            return f"there is no field {', '.join(sorted(unknown))}", asked
        if not all(isinstance(value, str) and value for value in asked.values()):
            return "every field is a text with something in it", asked
        if asked.keys() < {"thread", "text"} or len(asked["text"]) > MAX_TEXT:
            return f"thread and text are needed, the text with at most {MAX_TEXT} letters", asked
        if all(words.thread != asked["thread"] for words in self.words):
            return "there is no such thread", asked
        return "", asked

    def _refused(self, status: int, why: str) -> Reply:
        return Reply.json({"error": why}, status)

    def _news(self, request: Request) -> Reply:
        """Return what customers wrote after a cursor."""
        after = int(request.first("after") or "0")
        found = [words for words in self.words if int(words.id) > after]
        page = [_plain(attrs.asdict(words)) for words in found[:PAGE]]
        last = page[-1]["id"] if page else str(after)
        more = len(found) > PAGE
        return Reply.json({"messages": page, "cursor": last, "more": more})

    def _read(self, request: Request) -> Reply:
        """Return the shop's posts in a thread, newest first, one page after the other."""
        if request.first("before") == "gone":
            return self._refused(410, "this page is gone")
        if _is(request.fault, "missing_page"):
            return Reply.json({"posts": [], "next": "gone"})
        before = int(request.first("before") or self._count + 1)
        now, thread = self.now(), request.params["thread"]
        found = [
            post
            for post in reversed(self.posts)
            if post.thread == thread
            and int(post.id) < before
            and (post.shown_from is None or post.shown_from <= now)
        ]
        page = [
            {"id": post.id, "text": post.text, "tag": post.tag, "at": post.at.isoformat()}
            for post in found[:PAGE]
        ]
        more = page[-1]["id"] if len(found) > PAGE else None
        return Reply.json({"posts": page, "next": more})

    # What comes of it.

    def _next_id(self) -> str:
        self._count += 1
        return str(self._count)

    def _lag(self, made: FakePost, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "lag":
            made.shown_from = self.now() + (fault.lasts or LAG)

    def _echo(self, made: FakePost, fault: Fault | None) -> None:
        if _is(fault, "echo_never"):
            return
        words = {"id": made.id, "thread": made.thread, "text": made.text, "tag": made.tag}
        wait = (fault.lasts or LATE) if fault and fault.kind == "echo_late" else None
        due = None if wait is None else self.now() + wait
        for _ in range(2 if _is(fault, "echo_twice") else 1):
            at = made.at.isoformat()
            self._tell("echo", made.thread, made.at, {**words, "at": at}, due)
        if _is(fault, "echo_early"):
            self.hooks.deliver(size=1)

    def _tell(
        self,
        field: str,
        about: str,
        at: datetime,
        content: Mapping[str, object],
        due: datetime | None = None,
    ) -> None:
        waits = None if due is None else threading.Event()
        self.hooks.add(Event(field, about, at, {"kind": field, **content}, waits, due))

    def _handed_out(self) -> list[tuple[int, dict[str, str], str]]:
        self.hooks.deliver(size=PAGE)
        waiting: list[tuple[int, Delivery]] = [
            (number, each)
            for number, each in enumerate(self.hooks.deliveries)
            if number not in self._acknowledged
        ]
        return [(number, dict(each.headers), each.body.decode()) for number, each in waiting]

    def close(self) -> None:
        """Stop listening, and end every thread."""
        super().close()
        self.hooks.close()


def _is(fault: Fault | None, kind: str) -> bool:
    return fault is not None and fault.kind == kind


def _made(post: FakePost) -> Reply:
    return Reply.json({"id": post.id, "at": post.at.isoformat()}, 201)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with their time as text."""
    return {**fields, "at": fields["at"].isoformat()}
