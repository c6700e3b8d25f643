"""Build small worlds for the desk's tests: a clock, a network that can be told to fail, a desk."""

import inspect
import json
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from supportflow import Desk, MemoryStore, PostgresStore, SQLiteStore
from supportflow.channels import (
    Ambiguous,
    Delivery,
    Found,
    NeedsAuth,
    NotSent,
    Page,
    RateLimited,
    Refused,
    Traits,
)
from supportflow.errors import TransportError
from supportflow.events import Recorded
from supportflow.http import Request, Response, Webhook
from supportflow.model import (
    Author,
    ChannelState,
    Edit,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    Removal,
    Secret,
    Visibility,
)
from supportflow.testing.clock import FakeClock

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Platform:
    """Keep the truth about what was posted, and fail as it is told.

    `faults` are used up by requests that post, `read_faults` by those that read. A fault is an
    exception to raise, a status to answer with, or a function of the request; `taken` says
    whether the post happened all the same.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.posts: list[dict[str, str]] = []
        self.requests: list[Request] = []
        self.faults: deque[tuple[Any, bool]] = deque()
        self.read_faults: deque[Any] = deque()
        self.hidden = False

    def fail(self, fault: Any, taken: bool = False) -> None:
        self.faults.append((fault, taken))

    def send(self, request: Request) -> Response:
        self.requests.append(request)
        if not request.posts:
            return self.read(request)
        fault, taken = self.faults.popleft() if self.faults else (None, True)
        if taken:
            self.posts.append(json.loads(request.body))
        if isinstance(fault, BaseException):
            raise fault
        if callable(fault):
            return fault(request)
        body = json.dumps({"id": f"r{len(self.posts)}"}).encode()
        return Response(fault or 200, body=body, at=self.clock())

    def read(self, request: Request) -> Response:
        fault = self.read_faults.popleft() if self.read_faults else None
        if isinstance(fault, BaseException):
            raise fault
        posts = [] if self.hidden else self.posts
        return Response(fault or 200, body=json.dumps(posts).encode(), at=self.clock())

    def close(self) -> None:
        pass

    @property
    def texts(self) -> list[str]:
        return [post["text"] for post in self.posts]


class Later:
    """Answer as a platform does, on an event loop."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    async def send(self, request: Request) -> Response:
        return self.platform.send(request)

    async def close(self) -> None:
        pass


class Awaited:
    """Let one story be told to both desks: every method is awaited, whether it blocks or not."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.desk, name)

        async def perform(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return perform


@attrs.frozen
class Net:
    """A network with every ability, which keeps to its documentation."""

    name: str = "net"
    traits: Traits = Traits(
        "net", 100, "read", visibilities=("public", "private"), inbound=("poll", "webhook")
    )
    token: Secret = Secret("t0ken")
    pages: Any = attrs.field(factory=deque, eq=False)
    deliveries: Any = attrs.field(factory=deque, eq=False)
    state: ChannelState | None = None

    def using(self, state: ChannelState) -> "Net":
        return attrs.evolve(self, state=state)

    def send(self, message: Outgoing) -> Any:
        body = json.dumps({"mark": message.mark, "text": message.text, "to": message.to.id})
        yield Request("GET", "https://net.example/limits")
        try:
            answer = yield Request(
                "POST", "https://net.example/posts", body=body.encode(), posts=True
            )
        except TransportError as error:
            if error.sent is False:
                raise NotSent(str(error)) from None
            raise Ambiguous(str(error)) from None
        if answer.status == 429:
            raise RateLimited("slowly", answer.at + timedelta(minutes=5))
        if answer.status == 401:
            raise NeedsAuth("the token was revoked")
        if 400 <= answer.status < 500:
            raise Refused(f"the platform says {answer.status}")
        if answer.status >= 500:
            raise Ambiguous(f"the platform says {answer.status}")
        return Receipt(answer.json()["id"], answer.at)

    def find_sent(self, message: Outgoing) -> Any:
        try:
            answer = yield Request("GET", "https://net.example/thread")
        except TransportError as error:
            return Found(looked=False, why=str(error))
        if answer.status != 200:
            return Found(looked=False, why=f"the platform says {answer.status}")
        for number, post in enumerate(answer.json(), 1):
            if post["mark"] == message.mark and f"r{number}" not in message.known:
                return Found(Receipt(f"r{number}", answer.at))
        return Found()

    def poll(self, cursor: str | None) -> Any:
        yield Request("GET", f"https://net.example/news?after={cursor or ''}")
        page = self.pages.popleft() if self.pages else Page(cursor=cursor)
        if isinstance(page, BaseException):
            raise page
        return page

    def receive(self, hook: Webhook) -> Delivery:
        delivery = self.deliveries.popleft()
        if isinstance(delivery, BaseException):
            raise delivery
        return delivery


@attrs.frozen
class Mute:
    """The smallest channel: it sends, and can do nothing else."""

    name: str = "mute"
    traits: Traits = Traits("mute", 100, "blind", hold_for=timedelta(0), inbound=())
    flow: Any = None

    def using(self, state: ChannelState) -> "Mute":
        return self

    def send(self, message: Outgoing) -> Any:
        if self.flow is not None:
            return self.flow(message)
        return Net.send(self, message)  # the same flow; nothing in it is about the rest


class Shaky:
    """Wrap a store, and fail or interfere where a test asks for it.

    `before` and `after` hold, by method, exceptions to raise (or functions to call) instead of
    the next calls, and after they were done: a lost answer.
    """

    def __init__(self, store: Any) -> None:
        self.store = store
        self.before: dict[str, deque[Any]] = {}
        self.after: dict[str, deque[Any]] = {}
        self.commits: list[Any] = []

    def fail(self, method: str, *faults: Any, after: bool = False) -> None:
        where = self.after if after else self.before
        where.setdefault(method, deque()).extend(faults)

    def perform(self, method: str, *args: Any) -> Any:
        self.strike(self.before, method, args)
        found = getattr(self.store, method)(*args)
        if method == "commit":
            self.commits.append(args[0])
        self.strike(self.after, method, args)
        return found

    def strike(self, faults: dict[str, deque[Any]], method: str, args: Any) -> None:
        fault = faults[method].popleft() if faults.get(method) else None
        if isinstance(fault, BaseException):
            raise fault
        if fault is not None:
            fault(*args)

    def load(self, wanted: Any) -> Any:
        return self.perform("load", wanted)

    def commit(self, changes: Any) -> None:
        self.perform("commit", changes)

    def claim(self, work: Any, worker: Any, limit: int) -> Any:
        return self.perform("claim", work, worker, limit)

    def begin(self, claimed: Any) -> bool:
        return self.perform("begin", claimed)

    def find(self, query: Any) -> Any:
        return self.perform("find", query)

    def log(self, after: int = 0, conversation: str | None = None, limit: int = 1000) -> Any:
        return self.perform("log", after, conversation, limit)

    def worker(self) -> Any:
        return self.perform("worker")

    def erase(self, customer: Any) -> None:
        self.perform("erase", customer)

    def close(self) -> None:
        self.perform("close")


class World:
    """A desk on a network, and short ways to say what happens there."""

    Net, Mute, Platform, Later, Shaky = Net, Mute, Platform, Later, Shaky
    Awaited = Awaited

    def __init__(
        self,
        channels: Iterable[Any] | None = None,
        store: Any = None,
        desk: Callable[..., Any] = Desk,
        **options: Any,
    ) -> None:
        self.clock = FakeClock(START)
        self.channels = [Net()] if channels is None else list(channels)
        self.store = store(self.clock) if callable(store) else store or MemoryStore(self.clock)
        self.platform = Platform(self.clock)
        self.options = {"clock": self.clock, **options}
        self.desk = desk(self.store, self.channels, transport=self.platform, **self.options)

    @classmethod
    def shaking(cls, channels: Iterable[Any] | None = None, **options: Any) -> "World":
        """Return a world whose store can be told to fail."""
        return cls(channels, lambda clock: Shaky(MemoryStore(clock)), **options)

    @property
    def net(self) -> Any:
        return self.channels[0]

    def again(self, channels: Iterable[Any] | None = None, **options: Any) -> Any:
        """Return another desk on the same store and platform, as after a restart."""
        if channels is not None:
            self.channels = list(channels)
        given = {**self.options, **options}
        return Desk(self.store, self.channels, transport=self.platform, **given)

    def at(self, minutes: float) -> datetime:
        return START + timedelta(minutes=minutes)

    def message(
        self, id: str, text: str = "hello", minutes: float = 0, by: str = "ola", **more: Any
    ) -> Message:
        channel = more.pop("channel", self.net.name)
        return Message(
            channel, "post", id, Author(by, by.title(), by), text, self.at(minutes), **more
        )

    def said(
        self, id: str, text: str = "You charged me twice!", *args: Any, **more: Any
    ) -> Inbound:
        """Report words of a customer."""
        backfill = more.pop("backfill", False)
        return Inbound(self.message(id, text, *args, **more), backfill)

    def ours(
        self,
        id: str,
        text: str = "We see it.",
        minutes: float = 0,
        *,
        to: str | None = None,
        **more: Any,
    ) -> Outbound:
        """Report words of our own account."""
        facts = {name: more.pop(name) for name in ("mark", "agent", "backfill") if name in more}
        return Outbound(self.message(id, text, minutes, "shop", **more), to, **facts)

    def edit(self, id: str, revision: str = "2", text: str = "edited", minutes: float = 0) -> Edit:
        return Edit(self.net.name, "post", id, revision, text, self.at(minutes))

    def removal(self, id: str, minutes: float = 0, **more: Any) -> Removal:
        return Removal(self.net.name, "post", id, self.at(minutes), **more)

    def take(self, *facts: Any, **more: Any) -> Any:
        """Take facts in, as a page of the first channel."""
        return self.desk.intake(self.net.name, facts, **more)

    def open(self, id: str = "m1", **more: Any) -> str:
        """Let a customer write, and return the conversation's id."""
        (found,) = self.take(self.said(id, **more)).conversations
        return found

    def events(self, conversation: str, *kinds: type) -> list[Any]:
        log = [recorded.event for recorded in self.desk.history(conversation)]
        return [event for event in log if not kinds or type(event) in kinds]

    @staticmethod
    def numbered(log: Iterable[Recorded]) -> list[Recorded]:
        """Return a log with positions from 1: where a store begins is its own affair."""
        return [attrs.evolve(each, position=place) for place, each in enumerate(log, 1)]

    def states(self) -> list[str]:
        """Return the states of all outbox rows, held ones marked with a star."""
        return [row.state + "*" * (row.posting.hold is not None) for row in self.desk.outbox()]

    def deliver_all(self, minutes: float = 1, rounds: int = 12) -> None:
        """Deliver again and again, with time between, as a running desk does."""
        for _ in range(rounds):
            self.desk.deliver()
            self.clock.advance(minutes=minutes)


#: Every kind of store that a story is told over; a new one is one line. Each gives what makes an
#: empty store for a clock.
STORES: dict[str, Callable[[pytest.FixtureRequest], Callable[[FakeClock], Any]]] = {
    "memory": lambda request: MemoryStore,
    "sqlite": lambda request: partial(SQLiteStore, request.getfixturevalue("tmp_path") / "s.db"),
    "postgres": lambda request: emptied(request.getfixturevalue("postgres")),
}


def emptied(server: Any) -> Callable[[FakeClock], PostgresStore]:
    """Return what opens the one schema of a server, empty again for each store."""
    return lambda clock: PostgresStore(server.dsn, clock, schema=server.name)


@pytest.fixture(params=STORES)
def kept(request: pytest.FixtureRequest) -> Callable[[FakeClock], Any]:
    """Return what makes an empty store for a clock, of every kind in turn."""
    return STORES[request.param](request)


@pytest.fixture(scope="session")
def build() -> type[World]:
    """Return what builds worlds."""
    return World


@pytest.fixture
def world() -> World:
    """Return a world of one network, in memory."""
    return World()


@pytest.fixture
def shaky() -> World:
    """Return a world whose store can be told to fail."""
    return World.shaking()


@pytest.fixture
def private() -> dict[str, Any]:
    """Return what makes a message private."""
    return {"visibility": Visibility.private}
