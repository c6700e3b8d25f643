"""Let a fleet of workers serve customers, kill and freeze them at any moment, and report what was seen.

This is a program: it prints, as JSON, what the platforms accepted, what was confirmed to agents and
what every worker did (and before that `restart`, whenever it wants the database restarted, until a line tells
it that this was done); `history.py` judges that beside the store. The platforms are processes of their
own, one for each reconcile class, and commit faults on a share of all requests. A worker is a
whole desk on the store in a process of its own: it polls, takes webhooks, answers, delivers and announces.
Some are born with a fault point at which they stop by themselves: there they are killed, or frozen
for longer than their claims last. Source code has no fault points: they are the effects that a program
of the desk yields, and the stages of a post on the wire.

Time runs `SPEED` times faster than on the wall, for everybody: a lease of two minutes ends within a second.
(Over 300 lines, because workers, platforms and the killing explain each other.)
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urldefrag

import attrs
import httpx
from children import Phases, Process, Traced, leave

from supportflow import Desk, MemoryStore
from supportflow.channels import SendError
from supportflow.desk import deliver
from supportflow.errors import (
    Conflict,
    PayloadError,
    StoreError,
    StoreUnavailable,
    SupportflowError,
    TransportError,
)
from supportflow.flow import Call, Effect, Wait
from supportflow.http import Request, Webhook
from supportflow.model import Author, Conversation, Inbound, Message
from supportflow.stores import (
    Changes,
    Conversations,
    Outbox,
    RowState,
    Settlement,
    Store,
    Wanted,
    WorkKind,
)
from supportflow.testing import FakeChannel, FakePlatform
from supportflow.transport import Transport

#: How much faster than on the wall time runs here.
SPEED = 120
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ORIGIN = time.time()
#: How long a worker waits for an answer, in seconds on the wall.
PATIENCE = 0.25
#: How long a post may be hidden from reads, and how long must pass before an absence counts.
LAG, SETTLE = timedelta(seconds=30), timedelta(seconds=60)
TRAITS = {
    "K": {"settle": timedelta(seconds=20)},
    "R": {"settle": SETTLE},
    "E": {"settle": timedelta(seconds=20), "echo_wait": timedelta(minutes=4)},
    "B": {},
}
#: Faults of the wire, on a share of all requests; those that the class has are added.
FAULTS = (
    "response_lost", "error_after", "error_before", "reset_before", "held", "late", "cut",
    "rate_limited", "truncated", "no_id", "html", "error_inside",
)  # fmt: skip
OWN = {
    "K": (),  # a key that the platform forgets is its own doing
    "R": ("lag", "missing_page"),
    "E": ("echo_early", "echo_late", "echo_never", "echo_twice"),
    "B": (),
}
RATE = 0.2
#: How far a post has come.
STAGES = {
    "connection.connect_tcp.complete": "post connected",
    "http11.send_request_headers.complete": "post half written",
    "http11.send_request_body.complete": "post written",
    "http11.receive_response_headers.complete": "post half answered",
}
#: The fault points: the effects of a worker that change something or ask a platform.
POINTS = (
    *(f"{when} {name}" for when in ("before", "after") for name in (
        "reap claim", "reconcile claim", "reconcile read", "reconcile commit sent",
        "reconcile commit pending", "reconcile commit unknown", "send claim", "send begin",
        "send post", "send commit sent", "send commit pending", "send commit unknown",
        "poll claim", "poll read", "poll commit", "receive commit", "reply commit",
    )),
    *STAGES.values(),
)  # fmt: skip
#: How many replies each message of a customer gets, and how many rows may wait for sending.
ANSWERS, BACKLOG = 2, 24
#: What may go wrong in a worker's life, and leaves it alive.
EXPECTED = (StoreError, TransportError, PayloadError, SendError, Conflict, OSError)


def clock() -> datetime:
    """Return the time in this world."""
    return START + timedelta(seconds=(time.time() - ORIGIN) * SPEED)


def wall(span: timedelta) -> float:
    """Return how long a span takes on the wall, in seconds."""
    return span.total_seconds() / SPEED


def open_store(text: str) -> Store:
    """Open the store that a text names: `sqlite:PATH`, or `postgresql://…#SCHEMA`."""
    if text.startswith("sqlite:"):
        from supportflow import SQLiteStore

        store = SQLiteStore(text.removeprefix("sqlite:"), clock=clock)
        # A kill is no power cut: what was written stays (https://www.sqlite.org/pragma.html).
        store._connection.execute("PRAGMA synchronous = OFF")
        return store
    from supportflow import PostgresStore

    dsn, schema = urldefrag(text)
    return PostgresStore(dsn, clock, schema=schema or "supportflow", connections=2)


def reached(text: str) -> Store:
    """Open a store that may be away, as a service that is started again and again does."""
    while True:
        try:
            return open_store(text)
        except StoreUnavailable:
            time.sleep(0.05)


# --- platforms ----------------------------------------------------------------------------


class Platform(Process):
    """Run a fake network of one class."""

    def __init__(self, kind: str) -> None:
        super().__init__(lambda: FakePlatform(kind, clock=clock, control=True))
        self.kind, self.written = kind, Counter[str]()

    def channel(self) -> FakeChannel:
        """Return a channel to it, named after its class."""
        made = FakeChannel.to(self.url, self.credentials, **TRAITS[self.kind])
        return attrs.evolve(made, name=self.kind)


# --- workers ------------------------------------------------------------------------------


class Watched(Phases, Desk):
    """Say of every effect that it comes and that it was had, and stop at a fault point."""

    tell: Callable[..., None]
    step: Callable[[str], None]
    number = 0

    def _answer(self, effect: Effect) -> Any:
        if isinstance(effect, Wait):
            return time.sleep(min(effect.seconds / SPEED, 0.02))
        name, at = self._name(effect), time.time()
        self.step(f"before {name}")
        result = super()._answer(effect)
        if isinstance(effect, Call):
            result = self._noted(effect, result, at)
        self.step(f"after {name}")
        return result

    def _noted(self, effect: Call, result: Any, at: float) -> Any:
        """Write down what was done with rows, once it is certain."""
        if effect.method == "claim":
            for each in result:
                if each.row is not None:
                    kind = "reaped" if effect.args[0].kind is WorkKind.reap else "claimed"
                    self.tell(kind, each.row.id, each.fence, each.row.state.value, at)
        if effect.method == "begin" and result:
            self.tell("begun", effect.args[0].row.id, effect.args[0].fence)
        if effect.method == "commit":
            for end in effect.args[0].settlements:
                self.tell("settled", end.row, end.fence, end.state.value, time.time())
        return result


def serve(desk: Watched, platforms: list[Platform], dice: random.Random) -> None:
    """Do what a worker does, until it is killed."""
    while True:
        platform = dice.choice(platforms)
        try:
            if platform.kind == "E":
                take_hooks(desk, platform)
            if dice.random() < 0.4:
                desk.phase = "poll"
                desk.poll(platform.kind)
                answer(desk)
            done = desk.deliver(channel=platform.kind, limit=6)
            if dice.random() < 0.05:
                desk.announce(limit=20)
            if done == deliver.Delivered():
                time.sleep(0.004)
        except (SupportflowError, OSError) as error:
            desk.tell("failed", type(error).__name__)
            if not isinstance(error, EXPECTED):
                raise
            time.sleep(0.02)


def take_hooks(desk: Watched, platform: Platform) -> None:
    """Take in what a platform hands out, and acknowledge what was answered so."""
    desk.phase, done = "receive", []
    for number, headers, body in platform.ask("POST", "act", do="hooks"):
        answer = desk.receive("E", Webhook("POST", body.encode(), clock(), headers))
        if answer.status == 200:
            done.append(number)
        elif answer.status != 503:
            raise AssertionError(f"a genuine webhook was answered {answer.status}")
    if done:
        platform.ask("POST", "act", do="acknowledge", numbers=done)


def answer(desk: Watched) -> None:
    """Answer whoever waits, in words that no other reply has."""
    desk.phase = "reply"
    for conversation in desk.inbox(unanswered=True, limit=5):
        for key in keys_of(conversation):
            desk.reply(conversation.id, f"Answer {key}.", key=key)
            desk.tell("queued", key)


def keys_of(conversation: Conversation) -> list[str]:
    """Name the replies to what a customer wrote last."""
    about = f"{conversation.channel}/{conversation.thread}/{conversation.last_key[1]}"
    return [f"{about}/{number}" for number in range(ANSWERS)]


class Worker:
    """Start a worker, and hear what it says.

    Args:
        fleet: What it shares with others.
        point: The fault point at which it stops itself; empty for none.
    """

    def __init__(self, fleet: Fleet, number: int, point: str) -> None:
        self.number, self.point, self.frozen_until, self.stopped_at = number, point, 0.0, ""
        self.says, telling = os.pipe()
        os.set_blocking(self.says, False)
        self._text = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.says)
            leave(lambda: fleet.live(number, point, telling))
        os.close(telling)

    def lines(self) -> Iterator[list[Any]]:
        """Yield what it has said since; nothing more once it has ended."""
        with contextlib.suppress(BlockingIOError):
            while said := os.read(self.says, 65_536):
                *lines, self._text = (self._text + said).split(b"\n")
                yield from map(json.loads, lines)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for its end; return what ended it."""
        return os.waitpid(self.pid, 0)[1]


# --- the commander ------------------------------------------------------------------------


@attrs.frozen
class Plan:
    """Say what a campaign is to do.

    Args:
        store: What `open_store` opens.
        kinds: The reconcile classes.
        workers: How many workers live at a time.
        kills: How many to kill at least.
        freezes: How many to freeze at least.
        restarts: How often to restart the database at least.
        customers: How many customers write on each network.
        seed: What the dice begin with.
        seconds: How long it may take at most, on the wall, before it is drained.
        naive: The algorithm: ours, or `retry` or `fail` on doubt.
    """

    store: str
    kinds: str = "KREB"
    workers: int = 4
    kills: int = 40
    freezes: int = 10
    restarts: int = 0
    customers: int = 4
    seed: int = 1
    seconds: float = 120.0
    naive: str = ""


class Fleet:
    """Keep workers alive, kill and freeze them, and remember what they said."""

    def __init__(self, plan: Plan, restart: Callable[[], None] | None = None) -> None:
        self.plan, self.restart, self.dice = plan, restart, random.Random(plan.seed)
        self.killed, self.frozen = Counter[str](), Counter[str]()
        self.restarts, self.errors = 0, Counter[str]()
        self.ops: list[list[Any]] = []
        self.queued: list[str] = []
        self.settled = set[str]()
        self.born = self.heard = 0
        open_store(plan.store).close()  # the schema, once
        self.platforms = [Platform(kind) for kind in plan.kinds]
        self.channels = [platform.channel() for platform in self.platforms]
        warm(self.channels, self.platforms[0].url)
        self.wire = Traced()  # made once, used by nobody before the fork
        self.client = httpx.Client(transport=self.wire, timeout=PATIENCE, trust_env=False)
        self.slots: list[Worker] = []

    def live(self, number: int, point: str, telling: int) -> None:
        """Live as a worker."""
        armed = {point}

        def tell(*what: object) -> None:
            os.write(telling, f"{json.dumps(what)}\n".encode())

        def step(name: str) -> None:
            if name in armed:
                armed.clear()
                tell("at", name)
                os.kill(os.getpid(), signal.SIGSTOP)

        self.wire.step = step
        self.wire.stages = STAGES
        transport = Transport(self.client, sleep=lambda seconds: time.sleep(0.001), clock=clock)
        desk = NAIVE[self.plan.naive](
            reached(self.plan.store),
            self.channels,
            transport=transport,
            clock=clock,
            etiquette=(),
        )
        desk.tell, desk.step, desk.number = tell, step, number
        serve(desk, self.platforms, random.Random(number))

    # -- life and death

    def hire(self) -> Worker:
        """Start another worker; half of them stop at the point that was met least."""
        point = ""
        if self.dice.random() < 0.6:
            met = self.killed + self.frozen
            least = min(met[point] for point in POINTS)
            point = self.dice.choice([point for point in POINTS if met[point] <= least + 1])
        self.born += 1
        return Worker(self, self.born, point)

    def kill(self, worker: Worker, where: str) -> None:
        """Kill a worker, and put another in its place."""
        worker.signal(signal.SIGKILL)
        self.hear(worker)
        if worker.end() != signal.SIGKILL:
            raise AssertionError("a worker ended by itself")
        self.hear(worker)
        os.close(worker.says)
        self.killed[where] += 1
        self.slots[self.slots.index(worker)] = self.hire()

    def freeze(self, worker: Worker, where: str) -> None:
        """Freeze a worker, mostly for longer than its claims last."""
        worker.signal(signal.SIGSTOP)
        lease = wall(deliver.LEASE)
        worker.frozen_until = time.monotonic() + self.dice.uniform(0.2, 1.6) * lease
        self.frozen[where] += 1

    def hear(self, worker: Worker) -> None:
        """Write down what a worker says."""
        for kind, *what in worker.lines():
            self.heard += 1
            match kind:
                case "at":
                    worker.stopped_at = what[0]
                case "queued":
                    self.queued += what
                case "failed":
                    self.errors[what[0]] += 1
                case _:
                    self.ops.append([worker.number, kind, *what])
                    if kind == "settled" and what[2] in {"sent", "failed"}:
                        self.settled.add(what[0])

    def listen(self, seconds: float, lines: int = 1_000_000) -> None:
        """Hear everybody for a while, or for some lines; decide about who stopped at a point."""
        until, enough = time.monotonic() + seconds, self.heard + lines
        while (left := until - time.monotonic()) > 0 and self.heard < enough:
            says = [worker.says for worker in self.slots]
            ready, _, _ = select.select(says, [], [], min(left, 0.02))
            for worker in list(self.slots):
                if worker.says in ready:
                    self.hear(worker)
                    self.check(worker)
                if worker.frozen_until and worker.frozen_until < time.monotonic():
                    worker.frozen_until = 0.0
                    worker.signal(signal.SIGCONT)

    def check(self, worker: Worker) -> None:
        """Kill or freeze a worker that came to its point; fail if one has ended by itself."""
        if os.waitpid(worker.pid, os.WNOHANG)[0]:
            raise AssertionError("a worker ended by itself")
        if point := worker.stopped_at:
            worker.stopped_at = ""
            if self.dice.random() < 0.7:
                self.kill(worker, point)
            else:
                self.freeze(worker, point)

    # -- the campaign

    def run(self) -> dict[str, Any]:
        """Run the campaign; whatever becomes of it, nobody outlives it."""
        try:
            return self._run()
        finally:
            for worker in self.slots:
                with contextlib.suppress(ProcessLookupError):
                    worker.signal(signal.SIGKILL)

    def _run(self) -> dict[str, Any]:
        """Let them serve, strike them until the plan is met, and let them end in peace."""
        for platform in self.platforms:
            faults = (*FAULTS, *OWN[platform.kind])
            platform.ask("PUT", "faults", rate=RATE, kinds=faults, seed=self.plan.seed)
        self.slots = [self.hire() for _ in range(self.plan.workers)]
        began = restarted = time.monotonic()
        while not self.done() and time.monotonic() < began + self.plan.seconds:
            self.write()
            self.listen(0.25, self.dice.randrange(1, 16))  # strikes follow what they get done
            self.listen(self.dice.uniform(0, 0.005))
            free = [each for each in self.slots if not each.point or self.dice.random() < 0.15]
            worker = self.dice.choice(free or self.slots)
            if not worker.frozen_until:
                kill = self.frozen.total() >= self.plan.freezes or self.dice.random() < 0.7
                (self.kill if kill else self.freeze)(worker, "anywhere")
            due = self.restarts < self.plan.restarts and time.monotonic() > restarted + 1.0
            if self.restart and due:
                self.restart()
                self.restarts, restarted = self.restarts + 1, time.monotonic()
        seconds = time.monotonic() - began
        left = self.drain()
        return {**self.report(), "seconds": round(seconds, 1), "left": left}

    def done(self) -> bool:
        """Say whether the plan is met."""
        return (
            self.killed.total() >= self.plan.kills
            and self.frozen.total() >= self.plan.freezes
            and (self.restart is None or self.restarts >= self.plan.restarts)
        )

    def write(self) -> None:
        """Let a customer write, unless much is on its way."""
        if len(set(self.queued)) < len(self.settled) + BACKLOG:
            platform = self.dice.choice(self.platforms)
            name = f"customer{self.dice.randrange(self.plan.customers)}"
            platform.written[name] += 1
            platform.ask("POST", "act", **{"as": name}, text=f"Help {platform.written[name]}!")

    def drain(self) -> list[str]:
        """Let everybody go on in peace, until nothing is on its way; say what was to the end."""
        for platform in self.platforms:
            platform.ask("DELETE", "faults")
        for worker in list(self.slots):
            self.kill(worker, "drained")
        del self.killed["drained"]
        words = {p.kind: p.ask("GET", "truth")["words"] for p in self.platforms}
        store, until = open_store(self.plan.store), time.monotonic() + 40
        while (left := self.left(store, words)) and time.monotonic() < until:
            self.listen(0.1)
        store.close()
        for worker in self.slots:
            worker.signal(signal.SIGKILL)
            self.hear(worker)
            worker.end()
            self.hear(worker)
        return left

    def left(self, store: Store, words: dict[str, list[dict[str, str]]]) -> list[str]:
        """Say what was not taken in, answered, or brought to an end."""
        left = []
        going = (RowState.pending, RowState.claimed, RowState.sending, RowState.unknown)
        states = store.load(Wanted(channels=tuple(words))).channels
        for kind, found in words.items():
            if found and (kind not in states or states[kind].cursor != found[-1]["id"]):
                left.append(f"{kind} was not polled to the end")
        # Who waits although every answer was written has them left to a person.
        waiting = store.find(Conversations(unanswered=True, limit=1000)).conversations
        replies = tuple(key for conversation in waiting for key in keys_of(conversation))
        rows = store.load(Wanted(replies=replies)).rows if replies else {}
        left += [
            f"{key} was not answered"
            for key in set(replies) - {r.posting.reply for r in rows.values()}
        ]
        open_rows = store.find(Outbox(going, held=False, limit=1000)).rows
        return left + [f"{row.posting.channel}: {row!r:.1500}" for row in open_rows]

    def report(self) -> dict[str, Any]:
        """Return what was seen, and end the platforms."""
        truth = {platform.kind: platform.ask("GET", "truth") for platform in self.platforms}
        faults = {p.kind: p.ask("GET", "faults")["struck"] for p in self.platforms}
        for platform in reversed(self.platforms):
            platform.end()
        return {
            "plan": attrs.asdict(self.plan),
            "truth": truth,
            "faults": faults,
            "killed": self.killed,
            "frozen": self.frozen,
            "restarts": self.restarts,
            "errors": self.errors,
            "queued": sorted(set(self.queued)),
            "ops": self.ops,
            "born": self.born,
        }


def warm(channels: list[FakeChannel], url: str) -> None:
    """Make what is made at first use, so that no worker has to; nothing of it stays."""
    transport = Transport()
    transport.send(Request("GET", f"{url}/_control/truth"))
    transport.close()
    store = MemoryStore(clock)
    desk = Desk(store, channels, clock=clock, etiquette=())
    for channel in channels:
        message = Message(channel.name, "message", "1", Author("ola"), "Hi", clock(), "t-ola")
        desk.intake(channel.name, [Inbound(message)])
    for conversation in desk.inbox():
        desk.reply(conversation, "Hello.")
    desk.close()
    gc.collect()
    gc.freeze()
    gc.disable()  # lives are short


# --- naive algorithms ---------------------------------------------------------------------


class RetryOnDoubt(Watched):
    """Send again what may have been posted, as job queues do (RELIABILITY 0.2)."""

    instead, because = RowState.pending, "tried again"

    def _noted(self, effect: Call, result: Any, at: float) -> Any:
        """Decide every doubt at once, whoever left it: those of this attempt, and of the dead."""
        result = super()._noted(effect, result, at)
        if effect.method == "claim" and effect.args[0].kind is WorkKind.reap:
            for each in result:
                if each.row.state is RowState.unknown:
                    self._decide(each.row.id, each.row.fence)
        if effect.method == "commit":
            for end in effect.args[0].settlements:
                if end.state is RowState.unknown:
                    self._decide(end.row, end.fence)
        return result

    def _decide(self, row: str, fence: int) -> None:
        decided = Settlement(row, fence, self.instead, error=self.because, not_before=clock())
        with contextlib.suppress(Conflict):
            self._core.store.commit(Changes(clock(), settlements=(decided,)))


class FailOnDoubt(RetryOnDoubt):
    """Call failed what may have been posted: at most once, and often wrong."""

    instead, because = RowState.failed, "it failed"


NAIVE: dict[str, type[Watched]] = {"": Watched, "retry": RetryOnDoubt, "fail": FailOnDoubt}


def asked_for() -> None:
    """Have whoever started this program restart the database."""
    sys.stdout.write("restart\n")
    sys.stdout.flush()
    sys.stdin.readline()


def main(text: str) -> dict[str, Any]:
    """Run a campaign as its plan, in JSON, says."""
    logging.disable()
    deliver.MOMENT *= SPEED  # as many messages as on the wall
    plan = Plan(**json.loads(text))
    return Fleet(plan, asked_for if plan.restarts else None).run()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])) + "\n")
