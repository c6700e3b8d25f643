"""Run two workers in every order of their steps: a program stops at each call of its store or a platform.

Nothing runs at the same time. An actor is a program of the desk that is answered one effect at a time,
and a schedule says whose turn it is; after its steps everybody goes on to the end, time passes, and
another worker clears up. The platform is a `FakePlatform` that is asked without a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
from history import History, gathered

from supportflow import Desk
from supportflow.errors import StoreUnavailable, TransportError
from supportflow.flow import Call, Wait
from supportflow.http import Request, Response
from supportflow.stores import Outbox, RowState, Store
from supportflow.testing import FakeChannel, FakeClock, FakePlatform
from supportflow.testing.platforms import messages

#: How many steps of each actor are put into every order; the rest follow in one.
STEPS = 6
#: Where a row is that has not come to its end.
GOING = (RowState.pending, RowState.claimed, RowState.sending, RowState.unknown)


class World:
    """Hold a store, a platform and everybody's clock, with one reply on its way.

    Args:
        store: Makes the store for a clock.
        kind: The platform's reconcile class.
        replies: How many replies wait to be sent.
    """

    def __init__(
        self, store: Callable[[FakeClock], Store], kind: str = "R", replies: int = 1
    ) -> None:
        self.clock = FakeClock()
        self.store = store(self.clock)
        self.platform = FakePlatform(kind, clock=self.clock)
        url, credentials = "http://127.0.0.1:9", self.platform.credentials()
        self.channel = FakeChannel.to(url, credentials)
        self.faults: list[str] = []
        self.actors: list[Actor] = []
        self.platform.write("ola", "My parcel is lost.")
        self.platform.act({"do": "hooks"})  # a webhook of its own, so that an echo comes alone
        desk = self.desk()
        desk.poll()
        (self.conversation,) = desk.inbox()
        for number in range(replies):
            desk.reply(self.conversation.id, f"Answer {number}.", key=f"fake/{number}")

    def desk(self) -> Desk:
        """Return a desk of another worker."""
        return Desk(self.store, [self.channel], transport=self, clock=self.clock, etiquette=())

    def send(self, request: Request) -> Response:
        """Let the platform answer; the next fault strikes what posts."""
        parts = urlsplit(request.url)
        headers = tuple((name.lower(), value) for name, value in request.headers.items)
        asked = messages.Request(
            request.method, parts.path, tuple(parse_qsl(parts.query)), headers, request.body
        )
        fault = self.faults.pop(0) if request.posts and self.faults else ""
        if fault == "not sent":
            raise TransportError("refused", sent=False)
        if fault == "busy":
            return Response(429, {"Retry-After": "1"}, b"{}", self.clock())
        if fault == "lag":
            made = self.platform.faults.next("lag", lasts=timedelta(seconds=10))
            asked = attrs.evolve(asked, fault=made)
        reply = self.platform.answer(asked)
        if fault == "lost":
            raise TransportError("the connection broke")
        return Response(reply.status, reply.headers, reply.body, self.clock())

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def actor(self, program: Generator[Any, Any, Any]) -> Actor:
        """Let somebody else take part."""
        self.actors.append(Actor(program, self))
        return self.actors[-1]

    def kill(self, desk: Desk) -> None:
        """Let a worker's locks go, as the kernel does when its process ends."""
        worker = desk._core.identity.worker.id
        if hasattr(self.store, "_tables"):
            self.store._tables.alive[worker] = False
        else:
            del self.store._locks._held[worker]

    def finish(self, rounds: int = 5) -> History:
        """Let everybody go on to the end, and another worker clear up; return the history."""
        for actor in self.actors:
            actor.run()
        desk = self.desk()
        for each in self.actors:
            if each.desk is not None and each.desk._core.identity.worker is not None:
                self.kill(each.desk)
        for _ in range(rounds):
            if not self.store.find(Outbox(GOING, held=False, limit=1)).rows:
                break
            self.clock.advance(minutes=3)
            desk.deliver()
        return gathered(self.store, "fake", self.platform.truth())


class Actor:
    """Answer a program one effect at a time."""

    def __init__(self, program: Generator[Any, Any, Any], world: World) -> None:
        self.program, self.world = program, world
        self.desk: Desk | None = None
        self.effect: Any = None
        self.failing: dict[str, BaseException] = {}
        self._on(lambda: next(program))

    @property
    def done(self) -> bool:
        """Say whether it has ended."""
        return self.effect is None

    @property
    def at(self) -> str:
        """Name what it is about to ask for."""
        if isinstance(self.effect, Request):
            return "post" if self.effect.posts else "read"
        if self.effect is None:
            return "end"
        kind = f" {self.effect.args[0].kind}" if self.effect.method == "claim" else ""
        return f"{self.effect.method}{kind}"

    def step(self) -> None:
        """Let it have what it asks for, and go on to its next question."""
        try:
            if error := self.failing.pop(self.at, None):
                raise error
            result = self._answer(self.effect)
        except Exception as error:  # the program decides what it means
            thrown = error
            self._on(lambda: self.program.throw(thrown))
        else:
            self._on(lambda: self.program.send(result))

    def until(self, at: str) -> Actor:
        """Let it go on until it is about to ask for something."""
        while self.at != at:
            assert not self.done, f"it never asks for {at}"
            self.step()
        return self

    def run(self) -> None:
        """Let it go on to its end."""
        while not self.done:
            self.step()

    def _on(self, resume: Callable[[], Any]) -> None:
        try:
            self.effect = resume()
            while isinstance(self.effect, Wait):
                self.effect = self.program.send(None)
        except (StopIteration, StoreUnavailable):  # a desk that runs would say so, and go on
            self.effect = None

    def _answer(self, effect: Any) -> Any:
        if isinstance(effect, Call):
            return getattr(effect.target, effect.method)(*effect.args)
        return self.world.send(effect)


def every(make: Callable[[], World], steps: int = STEPS) -> Iterator[tuple[World, str]]:
    """Yield a world for each order of its actors' first steps, and that order."""
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        path = list(waiting.pop())
        world = make()
        for who in path:
            world.actors[who].step()
        while turns := [
            who
            for who, actor in enumerate(world.actors)
            if not actor.done and path.count(who) < steps
        ]:
            waiting += [(*path, other) for other in turns[1:]]
            world.actors[turns[0]].step()
            path.append(turns[0])
        yield world, "".join("AB"[who] for who in path)
