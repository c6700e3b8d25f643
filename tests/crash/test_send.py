"""Senders are killed, cancelled and lied to: every reply is posted at most once, and none is lost.

`sender.py` does the killing, in processes of its own. The judge here asks only two witnesses when
all is over: what the platforms know that they accepted, and what the file says of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from supportflow import AsyncDesk
from supportflow.channels.mastodon import Mastodon
from supportflow.channels.messenger import Messenger
from supportflow.events import Told
from supportflow.flow import Effect
from supportflow.http import Request
from supportflow.model import Author, Inbound, Message, Visibility
from supportflow.stores import Outbox, Row, RowState, Store, Wanted
from supportflow.stores.sqlite import SQLiteStore
from supportflow.stores.threaded import threaded
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.mastodon import MastodonPlatform
from supportflow.testing.platforms.messenger import MessengerPlatform
from supportflow.testing.platforms.server import Fault
from supportflow.transport import AsyncTransport

pytestmark = pytest.mark.xdist_group("crash")

#: How long a reply that may be there holds the next one (RELIABILITY G8).
HOLD_FOR = timedelta(minutes=10)

# --- the judge ---------------------------------------------------------------------------


@attrs.frozen
class Post:
    """Hold one post of ours as its platform knows it."""

    mark: str
    id: str
    at: datetime


def posts_in(truth: Iterable[dict[str, Any]]) -> list[Post]:
    """Return what our own application posted, in the platform's order."""
    ours = [post for post in truth if post.get("via") == "client" or post.get("via_api")]
    return [
        Post(
            post.get("key") or post["metadata"],
            post.get("id") or post["mid"],
            datetime.fromisoformat(post["at"]),
        )
        for post in ours
    ]


@attrs.frozen
class Verdict:
    """Say what is not as it should be; all zero if everything is.

    Args:
        duplicates: Posts beyond a reply's first.
        strangers: Posts that no reply asked for.
        lost: Replies that are not there, and not shown to a person either.
        shown: Replies that are uncertain or wait for a person, and are shown as such.
        unproved: Replies that are called sent without the receipt of their own post.
        unsaid: Replies that are sent, of which the log does not say so exactly once.
        disordered: Replies that came before an earlier one that should have held them.
        gaps: Conversations whose log is not whole.
    """

    duplicates: int = 0
    strangers: int = 0
    lost: int = 0
    shown: int = 0
    unproved: int = 0
    unsaid: int = 0
    disordered: int = 0
    gaps: int = 0


def is_shown(row: Row) -> bool:
    """Say whether a person sees that this is not known, or waits for them."""
    return row.state is RowState.unknown or row.posting.hold is not None


def judged(store: Store, posts: list[Post], asked: Iterable[tuple[str, int]]) -> Verdict:
    """Compare what was asked for, what the platforms took, and what the store says."""
    rows = {(r.posting.reply, r.posting.part): r for r in store.find(Outbox(limit=10_000)).rows}
    took = Counter(post.mark for post in posts)
    proofs = {(post.mark, post.id) for post in posts}
    sent = {key: row for key, row in rows.items() if row.state is RowState.sent}
    there = {key for key, row in sent.items() if row.posting.outgoing.mark in took}
    shown = {key for key, row in rows.items() if is_shown(row)}
    streams = {row.posting.stream for row in rows.values()}
    return Verdict(
        duplicates=sum(count - 1 for count in took.values()),
        strangers=len(took.keys() - {row.posting.outgoing.mark for row in rows.values()}),
        lost=len(set(asked) - there - shown),
        shown=len(shown),
        unproved=sum((r.posting.outgoing.mark, r.remote_id) not in proofs for r in sent.values()),
        unsaid=len(sent.keys() - told(store, streams)),
        disordered=sum(disorder(posts, rows.values())),
        gaps=sum(not is_whole(store, stream) for stream in streams),
    )


def told(store: Store, streams: Iterable[str]) -> set[tuple[str, int]]:
    """Return of which parts the logs say exactly once that they are there."""
    events = [recorded.event for stream in streams for recorded in store.log(0, stream, 10_000)]
    said = Counter((event.reply, event.part) for event in events if isinstance(event, Told))
    return {key for key, count in said.items() if count == 1}


def disorder(posts: list[Post], rows: Iterable[Row]) -> Iterable[bool]:
    """Say of each two replies of a conversation whether the later one came too early."""
    first = {post.mark: (place, post) for place, post in reversed(list(enumerate(posts)))}
    streams = defaultdict[str, list[Row]](list)
    for row in sorted(rows, key=lambda row: row.seq):
        if row.posting.outgoing.mark in first:
            streams[row.posting.stream].append(row)
    for stream in streams.values():
        for earlier, later in combinations(stream, 2):
            place, _ = first[earlier.posting.outgoing.mark]
            after, post = first[later.posting.outgoing.mark]
            yield after < place and post.at < earlier.first_sent_at + HOLD_FOR


def is_whole(store: Store, conversation: str) -> bool:
    """Say whether a log has every version up to its conversation's, each once."""
    head = store.load(Wanted(conversations=(conversation,))).conversations[conversation]
    versions = [recorded.version for recorded in store.log(0, conversation, 10_000)]
    return versions == list(range(1, head.version + 1))


# --- killed ------------------------------------------------------------------------------


def campaign(path: Path, kills: int, bug: str = "") -> tuple[Verdict, dict[str, Any]]:
    """Let `sender.py` kill workers, and judge what has become of the replies."""
    # Processes that are killed measure no coverage: it would only make them slower.
    alone = {name: v for name, v in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("sender.py"), path, str(kills), bug],
        capture_output=True,
        check=False,
        env=alone,
        text=True,
        timeout=600,
    )
    assert ("", 0) == (done.stderr, done.returncode)
    report = json.loads(done.stdout)
    posts = [post for truth in report["truth"].values() for post in posts_in(truth)]
    with closing(SQLiteStore(path)) as store:
        return judged(store, posts, [(reply, part) for reply, part in report["rows"]]), report


def test_no_kill_doubles_or_loses_a_reply(tmp_path: Path) -> None:
    """Workers are killed at least 150 times, at every point of sending on both networks and at
    any moment, while a fifth of all requests meets a fault of every kind: each reply is on its
    platform once and proved, in order, and no log has a gap (RELIABILITY G3, G5, G6, G8).
    (`make prove` kills 2,000 in a fleet, on made-up networks of every class.)
    """
    verdict, report = campaign(tmp_path / "support.db", 150)

    assert Verdict() == verdict
    killed = report["killed"]
    assert sum(killed.values()) >= 150
    assert [] == [point for point in report["points"] if not killed.get(point)]
    assert killed["anywhere"] >= 30
    assert [] == [kind for kind in report["kinds"] if not sum_of(report["faults"], kind)]


def sum_of(struck: dict[str, dict[str, int]], kind: str) -> int:
    """Return how often a fault struck, whichever the network."""
    return sum(faults.get(kind, 0) for faults in struck.values())


@pytest.mark.parametrize(
    ("bug", "shows"),
    [("forget_doubt", "duplicates"), ("retry_the_dead", "duplicates"), ("hope", "lost")],
)
def test_the_judge_sees_what_a_bug_does(tmp_path: Path, bug: str, shows: str) -> None:
    """Sending again what may be there, or what a dead worker was sending, and taking for sent
    what may not be there: the same kills make each of them show (RELIABILITY 4.6).
    """
    verdict, _ = campaign(tmp_path / "support.db", 24, bug)

    assert getattr(verdict, shows) > 0


# --- cancelled and timed out --------------------------------------------------------------

Platform = MastodonPlatform | MessengerPlatform


class Interrupted(AsyncDesk):
    """Be cancelled at one effect: before it begins, within it, or when it is done."""

    place, how, count = 0, "", 0
    held: Callable[[], Fault]

    async def _answer(self, effect: Effect) -> Any:
        self.count += 1
        if self.count != self.place:
            return await super()._answer(effect)
        task = asyncio.current_task()
        if self.how == "within" and isinstance(effect, Request) and effect.posts:
            taken = asyncio.create_task(asyncio.to_thread(self.held().reached.wait, 10))
            taken.add_done_callback(lambda _: task.cancel())
            return await super()._answer(effect)
        if self.how == "after":
            await super()._answer(effect)
        task.cancel()
        return await (super()._answer(effect) if self.how == "within" else asyncio.sleep(0))


@attrs.frozen
class Shop:
    """Hold a platform, our account there, everybody's clock and one transport."""

    platform: Platform
    channel: Mastodon | Messenger
    transport: AsyncTransport
    clock: FakeClock

    @contextmanager
    def store(self) -> Iterator[SQLiteStore]:
        """Open a store of one case."""
        with closing(SQLiteStore(":memory:", clock=self.clock)) as store:
            yield store

    async def desk(self, store: SQLiteStore, name: str) -> Interrupted:
        """Make a desk with one answer to a new customer on its way."""
        desk = Interrupted(
            threaded(store), [self.channel], transport=self.transport, clock=self.clock
        )
        desk.held = partial(self.platform.fault_next, "held", match="POST *")
        customer = self.platform.customer(name)
        if isinstance(self.platform, MastodonPlatform):
            kind, written = "status", customer.post("@shop My parcel is lost.").id
            author, thread, shown = Author(customer.id, handle=name), None, Visibility.public
        else:
            kind, written = "message", customer.write("My parcel is lost.").mid
            author, thread, shown = Author(customer.psid), customer.psid, Visibility.private
        message = Message(
            self.channel.name,
            kind,
            written,
            author,
            "My parcel is lost.",
            self.clock(),
            thread,
            visibility=shown,
        )
        await desk.intake(self.channel.name, [Inbound(message)])
        (conversation,) = await desk.inbox()
        await desk.reply(conversation, "We have found it.", key=name)
        return desk

    async def finish(self, desk: Interrupted, store: SQLiteStore) -> Verdict:
        """Deliver past every lease and wait, and once more, and judge."""
        settled = False
        for _ in range(8):
            self.clock.advance(seconds=130)
            await desk.deliver()
            (row,) = store.find(Outbox()).rows
            if settled:
                break
            settled = row.state is RowState.sent
        mark, truth = row.posting.outgoing.mark, self.platform.truth()["posts"]
        posts = [post for post in posts_in(truth) if post.mark == mark]
        return judged(store, posts, [(row.posting.reply, 0)])


@asynccontextmanager
async def shop(network: str, patience: float = 30.0) -> AsyncIterator[Shop]:
    """Open a platform and an account on it."""
    clock = FakeClock()
    client = httpx.AsyncClient(timeout=patience, trust_env=False, verify=False)
    transport = AsyncTransport(client, sleep=lambda seconds: asyncio.sleep(0), clock=clock)
    if network == "mastodon":
        platform: Platform = MastodonPlatform(
            clock=clock, honours_keys=False, rate_limit=1_000_000, posts_limit=1_000_000
        )
    else:
        platform = MessengerPlatform(clock=clock)
    with platform:
        try:
            yield Shop(platform, channel_of(platform), transport, clock)
        finally:
            await transport.close()


def channel_of(platform: Platform) -> Mastodon | Messenger:
    """Return our account on a platform."""
    if isinstance(platform, MastodonPlatform):
        return Mastodon(platform.url, token=platform.shop.token)
    names = ("page_id", "token", "app_secret", "verify_token")
    known = {name: platform.credentials()[name] for name in names}
    return Messenger(**known, base_url=platform.url)


@pytest.mark.parametrize("fault", ["", "response_lost"])
@pytest.mark.parametrize("how", ["before", "within", "after"])
@pytest.mark.parametrize("network", ["mastodon", "messenger"])
def test_no_cancellation_doubles_or_loses_a_reply(network: str, how: str, fault: str) -> None:
    """A delivery is cancelled at its n-th effect, for every n there is, when it sends and when
    it looks for what it may have sent: afterwards the reply is on its platform once, and proved.
    """

    async def cancelled_at(place: int, shop: Shop) -> bool:
        with shop.store() as store:
            desk = await shop.desk(store, f"customer{place}")
            if fault:
                shop.platform.fault_next(fault, match="POST *")
                await desk.deliver()
                shop.clock.advance(seconds=130)
            desk.count, desk.place, desk.how = 0, place, how
            delivery = asyncio.create_task(desk.deliver())
            await asyncio.wait([delivery])
            desk.place = 0
            assert Verdict() == await shop.finish(desk, store)
            return delivery.cancelled()

    async def everywhere() -> int:
        async with shop(network) as opened:
            place = 1
            while await cancelled_at(place, opened):
                place += 1
        return place - 1

    assert asyncio.run(everywhere()) > 8


@pytest.mark.parametrize(
    ("network", "match"), [("mastodon", "GET *"), ("mastodon", "POST *"), ("messenger", "POST *")]
)
def test_no_timeout_doubles_or_loses_a_reply(network: str, match: str) -> None:
    """A request of a send is accepted and not answered in time, whichever: the reply is on its
    platform once, and proved.
    """

    async def timed_out() -> Verdict:
        async with shop(network, patience=0.3) as opened:
            fault = opened.platform.fault_next("held", match=match)
            with opened.store() as store:
                desk = await opened.desk(store, "customer")
                await desk.deliver()
                assert fault.reached.is_set()
                return await opened.finish(desk, store)

    assert Verdict() == asyncio.run(timed_out())
