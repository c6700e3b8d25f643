"""Decide which request a fault strikes: the next that matches, or a seeded share of all."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Protocol, Unpack

import attrs

from supportflow.testing.platforms.faults import HOLDING, WIRE_FAULTS, Details, Fault, Shape


class Matchable(Protocol):
    """What a fault looks at to know whether a request is meant."""

    @property
    def method(self) -> str:
        """Return the HTTP method."""
        ...

    @property
    def path(self) -> str:
        """Return the path without the query."""
        ...


Match = str | Callable[[Matchable], bool]


@attrs.define(eq=False)
class _Queued:
    """A fault that waits for the request it is meant for."""

    fault: Fault
    match: Match
    times: int


@attrs.frozen
class _AtRandom:
    """A seeded rate of faults over all requests."""

    rate: float
    kinds: tuple[str, ...]
    dice: random.Random
    match: Match


def meant(match: Match, request: Matchable) -> bool:
    """Tell whether a request is the one that a match describes.

    Args:
        match: a predicate, or shell-style text against `"METHOD /path"`; text with no space is
            held against the path alone.
        request: the request.

    Example:
        >>> post = Asked("POST", "/api/v1/statuses")
        >>> meant("POST /api/*", post), meant("GET *", post), meant("*/statuses", post)
        (True, False, True)
    """
    if callable(match):
        return match(request)
    target = f"{request.method} {request.path}" if " " in match else request.path
    return fnmatchcase(target, match)


@attrs.frozen
class Asked:
    """The method and path of a request, where no more is needed."""

    method: str
    path: str


class FaultPlan:
    """Decide, request by request, whether a fault strikes: queued ones first, then the rate.

    The same seed and the same order of requests give the same faults. Safe to use from any thread.

    Args:
        own: the platform's own kinds beside `WIRE_FAULTS`.

    Example:
        >>> plan = FaultPlan()
        >>> lost = plan.next("response_lost", match="POST *")
        >>> plan.draw(Asked("GET", "/"), write=False)
        >>> plan.draw(Asked("POST", "/"), write=True) is lost
        True
        >>> plan.struck["response_lost"]
        1
    """

    def __init__(self, own: Mapping[str, Shape] = MappingProxyType({})) -> None:
        self.shapes: Mapping[str, Shape] = MappingProxyType({**WIRE_FAULTS, **own})
        self.struck: Counter[str] = Counter()
        self._queue: list[_Queued] = []
        self._random: _AtRandom | None = None
        self._held: set[Fault] = set()
        self._lock = threading.Lock()

    def next(
        self,
        kind: str,
        *,
        match: Match = "*",
        times: int = 1,
        accept: bool | None = None,
        **details: Unpack[Details],
    ) -> Fault:
        """Queue a fault for the next request that matches.

        Args:
            kind: a key of `shapes`.
            match: the request it waits for, see `meant`.
            times: how many requests it strikes.
            accept: overrides what the kind does with the request.
            **details: what the kind needs, see `Fault`.

        Returns:
            The fault, whose `reached` can be waited for and which `release` lets go.

        Raises:
            ValueError: for a kind that this platform does not know.
        """
        accepts = self._shape(kind).accepts if accept is None else accept
        fault = Fault(kind=kind, accept=accepts, **details)
        with self._lock:
            self._queue.append(_Queued(fault, match, times))
        return fault

    def at_random(
        self,
        rate: float,
        kinds: Sequence[str] | None = None,
        *,
        seed: int = 0,
        match: Match = "*",
    ) -> None:
        """Strike a share of all requests from now on.

        Args:
            rate: the share, 0 to 1; 0 ends it.
            kinds: which kinds to draw from; None takes all that the platform knows.
            seed: the dice's seed.
            match: the requests meant, see `meant`.

        Raises:
            ValueError: for a kind that this platform does not know, or a rate outside 0 to 1.
        """
        if not 0 <= rate <= 1:
            message = f"rate must lie between 0 and 1, not {rate!r}"
            raise ValueError(message)
        chosen = tuple(self.shapes if kinds is None else kinds)
        for kind in chosen:
            self._shape(kind)
        dice = random.Random(seed)  # noqa: S311 - a repeatable test, no secret
        with self._lock:
            self._random = _AtRandom(rate, chosen, dice, match) if rate else None

    def draw(self, request: Matchable, *, write: bool) -> Fault | None:
        """Take the fault that strikes this request, if one does."""
        with self._lock:
            fault = self._from_queue(request) or self._from_dice(request, write=write)
            if fault is not None:
                self.struck[fault.kind] += 1
                if fault.kind in HOLDING:
                    self._held.add(fault)
            return fault

    def settle(self, fault: Fault) -> None:
        """Forget a fault that has been committed."""
        with self._lock:
            self._held.discard(fault)

    def clear(self) -> None:
        """Forget all that is queued, end the random rate and let go all that is held."""
        with self._lock:
            self._queue.clear()
            self._random = None
        self.release()

    def release(self) -> None:
        """Let go every answer that is held."""
        with self._lock:
            held = tuple(self._held)
        for fault in held:
            fault.release()

    def waiting(self) -> tuple[str, ...]:
        """Return the kinds that still wait for their request, oldest first."""
        with self._lock:
            return tuple(each.fault.kind for each in self._queue for _ in range(each.times))

    def _shape(self, kind: str) -> Shape:
        if kind not in self.shapes:
            message = f"no fault {kind!r} here; known: {', '.join(sorted(self.shapes))}"
            raise ValueError(message)
        return self.shapes[kind]

    def _from_queue(self, request: Matchable) -> Fault | None:
        for queued in self._queue:
            if meant(queued.match, request):
                queued.times -= 1
                if queued.times < 1:
                    self._queue.remove(queued)
                return queued.fault
        return None

    def _from_dice(self, request: Matchable, *, write: bool) -> Fault | None:
        plan = self._random
        if plan is None or not meant(plan.match, request) or plan.dice.random() >= plan.rate:
            return None
        shapes = ((kind, self.shapes[kind]) for kind in plan.kinds)
        fitting = [kind for kind, shape in shapes if (shape.writes if write else shape.reads)]
        if not fitting:
            return None
        kind = plan.dice.choice(fitting)
        return Fault(kind=kind, accept=self.shapes[kind].accepts, at=plan.dice.randrange(400))
