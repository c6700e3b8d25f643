"""Kill senders: a program that starts workers on one file, kills them, and reports what was posted.

Both local platforms are processes of their own: each keeps the truth, and commits faults on a
fifth of all requests. A worker is a desk on one SQLite file in a process of its own; it is born
knowing at which steps of sending too few were killed, says over a pipe that it has come to one,
and goes no further, so that it is killed exactly there; others run freely, say every step, and are
killed at any moment. Nothing sleeps: the time of the platforms and of every worker is set by this
program.

Workers are forked from this process, which has imported everything: it holds no thread and no
store. (Over 300 lines, because workers, platforms and the killing explain each other.)
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import re
import select
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, cycle
from typing import Any, NoReturn

import attrs
import httpx
from children import Phases, Process, Traced, leave

from supportflow import Desk
from supportflow.channels import Ambiguous
from supportflow.channels.mastodon import Mastodon
from supportflow.channels.messenger import Messenger
from supportflow.desk import attempt, outgoing
from supportflow.desk.settle import End
from supportflow.errors import TransportError
from supportflow.flow import Effect, Wait
from supportflow.http import Request, Webhook
from supportflow.model import Author, Inbound, Message, Receipt, Visibility
from supportflow.stores import RowState, Work, WorkKind
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.platforms import messages
from supportflow.testing.platforms.mastodon import MastodonPlatform
from supportflow.testing.platforms.messenger import MessengerPlatform
from supportflow.transport import Transport

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NETWORKS = ("mastodon", "messenger")
#: Faults of the wire, on a fifth of all requests: what is no write meets those that fit a read.
FAULTS = (
    "response_lost",
    "error_after",
    "error_before",
    "late",
    "cut",
    "rate_limited",
    "no_id",
    "truncated",
    "reset_before",
)
#: How an attempt to send, or to find out, can end here.
ENDS = ("sent", "unknown", "pending")
#: Faults that networks have of their own.
OWN_FAULTS = {"mastodon": ("lag",), "messenger": ("lag", "echo_never", "echo_late")}
#: The steps of a worker, at each of which some must be killed before and after it.
STEPS = (
    "start worker",
    "start load",
    "reap claim",
    *(f"reconcile {name}" for name in ("claim", "load", "find", "read")),
    *(f"send {name}" for name in ("claim", "load", "begin", "post")),
    *(f"{phase} commit {end}" for phase in ("reconcile", "send") for end in ENDS),
)
OWN_STEPS = {"mastodon": ("send read",), "messenger": ("receive load", "receive commit sent")}
#: How far a post has come.
STAGES = {
    "http11.send_request_headers.complete": "post half written",
    "http11.send_request_body.complete": "post written",
    "http11.receive_response_headers.complete": "post half answered",
}
POINTS = [
    f"{network}: {point}"
    for network in NETWORKS
    for point in (
        *(f"{when} {step}" for step in STEPS + OWN_STEPS[network] for when in ("before", "after")),
        *STAGES.values(),
    )
]
#: Where the platform may have it and the file does not say so, or is about to.
IN_DOUBT = re.compile("begin|post|commit")
#: How often workers are killed at a point at least; twice as often where there is doubt.
OFTEN = 1
#: As often where a bug is seeded: fewer points, and it must show at them.
OFTEN_SEEDED = 2
#: What makes a step likely.
CAUSES = {"send commit unknown": "error_after", "send commit pending": "rate_limited"}
#: How long a worker waits for an answer, in seconds: only a platform that is told to holds one.
PATIENCE = 0.3

#: Headers and bodies.
Hooks = list[tuple[dict[str, str], str]]

# --- platforms ---------------------------------------------------------------------------


class Watched:
    """Let time pass for another process, once nobody else is connected; hand over webhooks."""

    def command(self, request: messages.Request) -> messages.Reply | None:
        """Do a command of this program, or one of every platform's."""
        if request.path != "/_control/forward":
            return super().command(request)
        server = self._listener._server
        with server._guard:
            others = set(server._open) - {threading.current_thread()}
        for other in others:
            other.join()
        asked = request.json()
        self.advance(timedelta(seconds=asked["seconds"]))
        return messages.Reply.json(self.written()[asked["known"] :])

    def written(self) -> Hooks:
        """Return what the platform tells by webhooks, from the beginning."""
        return []


class WatchedMastodon(Watched, MastodonPlatform):
    """Mastodon as most servers that speak its API are: a key protects nobody there."""


class WatchedMessenger(Watched, MessengerPlatform):
    """Messenger, whose webhooks are fetched by whoever wants them."""

    def written(self) -> Hooks:
        """Return every webhook, from the beginning."""
        self.deliver()
        return [(dict(each.headers), each.body.decode()) for each in self.hooks.deliveries]


def platform_of(network: str) -> MastodonPlatform | MessengerPlatform:
    """Make a platform whose time stands still unless it is told."""
    if network == "mastodon":
        return WatchedMastodon(
            clock=lambda: START,
            control=True,
            honours_keys=False,
            rate_limit=1_000_000,
            posts_limit=1_000_000,
        )
    made = WatchedMessenger(clock=lambda: START, control=True)
    made.deliver_to(lambda method, headers, query, body: 200)
    return made


# --- workers -----------------------------------------------------------------------------


class Announcing(Phases, Desk):
    """Say of every effect that it comes, and that it was had."""

    step: Callable[[str], None]

    def _answer(self, effect: Effect) -> Any:
        if isinstance(effect, Wait):
            return None
        name = self._name(effect)
        self.step(f"before {name}")
        try:
            return super()._answer(effect)
        finally:
            self.step(f"after {name}")


class World:
    """Hold what workers share: the file, the channels, the time, and a client not yet used."""

    def __init__(self, path: str, channels: tuple[Any, ...]) -> None:
        self.path, self.channels, self.now = path, channels, START
        self._wire = Traced()
        self._wire.stages = STAGES
        self._client = httpx.Client(transport=self._wire, timeout=PATIENCE, trust_env=False)

    def desk(self, step: Callable[[str], None]) -> Announcing:
        """Make a worker's desk."""
        now = self.now
        transport = Transport(self._client, sleep=lambda seconds: None, clock=lambda: now)
        store = SQLiteStore(self.path, clock=lambda: now)
        # A kill is no power cut: what was written stays (https://www.sqlite.org/pragma.html).
        store._connection.execute("PRAGMA synchronous = OFF")
        desk = Announcing(
            store, self.channels, transport=transport, clock=lambda: now, etiquette=()
        )
        desk.step = self._wire.step = step
        return desk


class Worker:
    """Start a process that does something with a desk.

    Args:
        world: What it shares with others.
        work: What it does.
        ends_at: The steps at which it stops, to be killed; None if it runs freely.
    """

    def __init__(
        self,
        world: World,
        work: Callable[[Announcing], object],
        *,
        ends_at: frozenset[str] | None = None,
    ) -> None:
        self.steps, telling = os.pipe()
        self._text, self._lines = b"", deque[str]()
        self.result: Any = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.steps)

            def step(name: str) -> None:
                if ends_at is None or name in ends_at:
                    os.write(telling, f"{name}\n".encode())
                while ends_at is not None and name in ends_at:
                    signal.pause()

            def whole() -> None:
                desk = world.desk(step)
                result = work(desk)
                desk.close()
                os.write(telling, f"={json.dumps(result)}\n".encode())

            leave(whole)
        os.close(telling)

    def next(self) -> str | None:
        """Return the next step that it announces; None when its work is done."""
        while not self._lines:
            said = os.read(self.steps, 65_536)
            if not said:
                return None
            *lines, self._text = (self._text + said).split(b"\n")
            self._lines.extend(line.decode() for line in lines)
        line = self._lines.popleft()
        if not line.startswith("="):
            return line
        self.result = json.loads(line[1:])
        return None

    def end(self, *, kill: bool = False) -> bool:
        """Wait for its end, or bring it about; return whether it was killed."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        while self.next() is not None:
            pass
        os.close(self.steps)
        status = os.waitpid(self.pid, 0)[1]
        if status not in (0, signal.SIGKILL):
            raise AssertionError(f"a worker failed by itself: {status}")
        return status == signal.SIGKILL


# --- what workers do ---------------------------------------------------------------------


def taken(desk: Announcing, hooks: Hooks) -> None:
    """Take webhooks in."""
    desk.phase = "receive"
    for headers, body in hooks:
        hook = Webhook("POST", body.encode(), desk._core.now(), headers)
        answer = desk.receive("messenger", hook)
        if answer.status != 200:
            raise AssertionError(f"a genuine webhook was answered {answer.status}")
    desk.phase = "start"


def opened(desk: Announcing, hooks: Hooks) -> None:
    """Take in what customers wrote."""
    desk.poll()
    taken(desk, hooks)


def asked(desk: Announcing, numbers: range) -> list[tuple[str, int]]:
    """Queue answers to every customer; return what must be sent then."""
    rows = []
    for conversation in desk.inbox(limit=1000):
        for number in numbers:
            key = f"{conversation.id} {number}"
            desk.reply(conversation.id, f"Answer {number}.", key=key)
            rows.append((key, 0))
    return rows


def sent(desk: Announcing, hooks: Hooks, channel: str | None, limit: int) -> int:
    """Do what a worker does; return how many rows are still on their way."""
    taken(desk, hooks)
    desk.deliver(channel=channel, limit=limit)
    desk.step = lambda name: None
    going = ("pending", "claimed", "sending", "unknown")
    return len(desk.outbox(states=going, held=False, limit=10_000))


class Off:
    """Be a network that is switched off."""

    def send(self, request: Request) -> NoReturn:
        """Fail."""
        raise TransportError("off", sent=False)

    def close(self) -> None:
        """Do nothing."""


def warm(channels: tuple[Any, ...], url: str) -> None:
    """Make what is made at first use, so that no worker has to; nothing of it stays."""
    transport = Transport()
    transport.send(Request("GET", f"{url}/_control/truth"))
    transport.close()
    store = SQLiteStore(":memory:", clock=lambda: START)
    desk = Announcing(store, channels, transport=Off(), clock=lambda: START, etiquette=())
    desk.step = lambda name: None
    for channel in channels:
        author = Author("1", handle="ola")
        message = Message(channel.name, "status", "1", author, "Hi", START, "1")
        private = attrs.evolve(message, visibility=Visibility.private)
        desk.intake(channel.name, [Inbound(private)])
    asked(desk, range(1))
    if sent(desk, [], None, 10) != len(channels):
        raise AssertionError("this was no rehearsal")
    desk.close()
    gc.collect()
    gc.freeze()
    gc.disable()  # lives are short


# --- killing -----------------------------------------------------------------------------


class Campaign:
    """Let workers send, kill them, and count where.

    Args:
        path: The file.
        customers: How many customers write on each network.
        points: Where to kill.
        often: How often at each.
    """

    def __init__(self, path: str, customers: int, points: Iterable[str], often: int) -> None:
        self.dice = random.Random(20260302)
        self.points, self.often = frozenset(points), often
        self.killed = Counter[str]()
        self.planned = {network: cycle((*FAULTS, *OWN_FAULTS[network])) for network in NETWORKS}
        self.hooks: Hooks = []  # those that nobody has acknowledged
        self.taken = 0
        self.rows: list[tuple[str, int]] = []
        self.queued = 0
        self.platforms = {network: Process(partial(platform_of, network)) for network in NETWORKS}
        self.world = World(path, tuple(self._channels()))
        warm(self.world.channels, self.platforms["mastodon"].url)
        for number in range(customers):
            name, text = f"customer{number}", f"My parcel {number} is lost."
            self._ask("mastodon", "act", **{"as": name, "do": "post", "text": f"@shop {text}"})
            self._ask("messenger", "act", customer=name, do="write", text=text)
        self.forward(1)
        self.run(opened, self.hooks)
        self.taken += len(self.hooks)
        self.queue(4)
        for network, platform in self.platforms.items():
            platform.ask("PUT", "faults", rate=0.2, kinds=FAULTS, seed=len(network))

    def _channels(self) -> Iterable[Any]:
        for network, platform in self.platforms.items():
            known = platform.credentials
            if network == "mastodon":
                yield Mastodon(platform.url, token=known["token"])
            else:
                names = ("page_id", "token", "app_secret", "verify_token")
                yield Messenger(**{n: known[n] for n in names}, base_url=platform.url)

    def _ask(self, network: str, what: str, **fields: object) -> Any:
        return self.platforms[network].ask("POST", what, **fields)

    def forward(self, seconds: float) -> None:
        """Let every request end that has left, and then time pass."""
        self.world.now += timedelta(seconds=seconds)
        self._ask("mastodon", "forward", seconds=seconds, known=0)
        self.hooks = self._ask("messenger", "forward", seconds=seconds, known=self.taken)

    def plan_fault(self, network: str, kind: str = "") -> None:
        """Let the next post on a network meet a fault, of each kind in its turn."""
        kind = kind or next(self.planned[network])
        more = {"lasts": 10} if kind == "lag" else {}
        self._ask(network, "faults", kind=kind, match="POST *", **more)

    def run(self, work: Callable[..., Any], *arguments: object) -> Any:
        """Let a worker live."""
        worker = Worker(self.world, lambda desk: work(desk, *arguments))
        worker.end()
        return worker.result

    def queue(self, count: int) -> None:
        """Write more answers to everybody."""
        self.rows += self.run(asked, range(self.queued, self.queued + count))
        self.queued += count

    def kill_at_a_point(self) -> None:
        """Kill a worker at the first point where too few were killed."""
        network = self.dice.choice(NETWORKS)
        hooks = self._some_hooks() if network == "messenger" else []
        here = f"{network}: "
        lacking = (p for p in self.points if p.startswith(here) and self.lacks(p))
        ends_at = frozenset(point.removeprefix(here) for point in lacking)
        worker = Worker(self.world, lambda desk: sent(desk, hooks, network, 4), ends_at=ends_at)
        step = worker.next()
        if worker.end(kill=step is not None):
            self.killed[f"{network}: {step}"] += 1
        else:
            self._survived(worker, hooks)
            for end, cause in CAUSES.items():
                if self.lacks(f"{network}: before {end}") or self.lacks(f"{network}: after {end}"):
                    self.plan_fault(network, cause)

    def lacks(self, point: str) -> bool:
        """Say whether too few were killed at a point."""
        wanted = self.often * 2 if IN_DOUBT.search(point) else self.often
        return point in self.points and self.killed[point] < wanted

    def kill_anywhere(self) -> None:
        """Kill a worker at any moment."""
        hooks = self._some_hooks()
        worker = Worker(self.world, lambda desk: sent(desk, hooks, None, 5))
        for _ in range(self.dice.randrange(60)):
            if worker.next() is None:
                break
        select.select([worker.steps], [], [], self.dice.uniform(0, 0.003))
        if worker.end(kill=True):
            self.killed["anywhere"] += 1
        else:
            self._survived(worker, hooks)

    def _some_hooks(self) -> Hooks:
        return self.hooks if self.dice.random() < 0.3 else []

    def _survived(self, worker: Worker, hooks: Hooks) -> None:
        self.taken += len(hooks)
        if worker.result < 20:
            self.queue(2)

    def drain(self) -> None:
        """Let workers live until nothing is on its way, or there is no more hope."""
        for _ in range(60):
            self.forward(61)
            self.taken += len(self.hooks)
            if self.run(sent, self.hooks, None, 1000) == 0:
                break

    def end(self) -> dict[str, Any]:
        """End the platforms; return their truth and what was done."""
        report = {
            "rows": self.rows,
            "killed": self.killed,
            "points": sorted(self.points),
            "kinds": sorted({*FAULTS, *chain(*OWN_FAULTS.values())}),
            "truth": {n: p.ask("GET", "truth")["posts"] for n, p in self.platforms.items()},
            "faults": {n: p.ask("GET", "faults")["struck"] for n, p in self.platforms.items()},
        }
        for platform in reversed(self.platforms.values()):
            platform.end()
        return report


def main(path: str, kills: int, bug: str = "") -> dict[str, Any]:
    """Kill workers; return what the platforms took, and what must have become of it."""
    logging.disable()
    # Time leaps here, and who should have looked in between was killed: no deadline is anybody's.
    outgoing.REPLY_DEADLINE = timedelta(days=9)
    BUGS[bug]()
    # A seeded bug needs few kills, there where it shows.
    points = [point for point in POINTS if not bug or re.search("post|send commit sent", point)]
    campaign = Campaign(path, 4 if bug else 8, points, OFTEN_SEEDED if bug else OFTEN)
    for number in range(3 * kills):
        if campaign.killed.total() >= kills and (bug or not any(map(campaign.lacks, points))):
            break
        campaign.forward(campaign.dice.choice((1, 16, 61, 301)))
        if number % 5 == 0:
            campaign.plan_fault(NETWORKS[number % 2])
        if number % 4 and any(map(campaign.lacks, points)):
            campaign.kill_at_a_point()
        else:
            campaign.kill_anywhere()
    campaign.drain()
    return campaign.end()


# --- seeded bugs -------------------------------------------------------------------------


def forget_doubt() -> None:
    """Take what may have been posted for what was not."""
    attempt.Attempt.unknown = attempt.Attempt.later


def retry_the_dead() -> None:
    """Send again what a dead worker was sending."""
    claim = SQLiteStore.claim

    def claim_and_forget(store: SQLiteStore, work: Work, worker: Any, limit: int) -> Any:
        claims = claim(store, work, worker, limit)
        if work.kind is WorkKind.reap:
            dead = [(each.row.id,) for each in claims if each.row.state is RowState.unknown]
            store._connection.executemany("UPDATE outbox SET state = 'pending' WHERE id = ?", dead)
        return claims

    SQLiteStore.claim = claim_and_forget


def hope() -> None:
    """Take what may have been posted for what was."""
    unknown = attempt.Attempt.unknown

    def hoped(made: attempt.Attempt, error: BaseException) -> End:
        if isinstance(error, Ambiguous):
            return made.told(Receipt("surely", made.core.now()))
        return unknown(made, error)

    attempt.Attempt.unknown = hoped


BUGS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "forget_doubt": forget_doubt,
    "retry_the_dead": retry_the_dead,
    "hope": hope,
}

if __name__ == "__main__":
    place, number, *seeded = sys.argv[1:]
    sys.stdout.write(json.dumps(main(place, int(number), *seeded)))
