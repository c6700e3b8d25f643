"""Fold marks, by platform time, into where a conversation stands and what its clocks say.

This is the one place that knows how words on either side start, stop and end clocks. It
depends on the marks alone, never on the order in which they arrived.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs

from supportflow.model import MAX_MARKS, AgentKind, Base, Mark, Marked, Metric, State
from supportflow.playbook import PLAYBOOKS, STANDARD, Playbook

__all__ = ["RESPONDERS", "Clock", "Standing", "fold", "insert", "settle", "stricter"]

#: Whose words answer a customer. An automatic acknowledgement stops no clock.
RESPONDERS = frozenset({AgentKind.person, AgentKind.bot, AgentKind.native})

_RANK = {what: place for place, what in enumerate(Marked)}


@attrs.frozen
class Clock:
    """Hold one span that is measured.

    Args:
        metric: What it measures.
        start: When it started.
        key: The message or reply that started it.
        cycle: In which cycle of the conversation.
        stopped_at: When what was waited for happened; None while it runs.
        ended_at: When there was nothing to wait for any more (withdrawn, dismissed).
        due: When it is due, for a promise.
        backfill: True for history.
    """

    metric: Metric
    start: datetime
    key: str
    cycle: int
    stopped_at: datetime | None = None
    ended_at: datetime | None = None
    due: datetime | None = None
    backfill: bool = False


@attrs.frozen
class Standing:
    """Hold what a fold of marks says.

    Args:
        base: State, cycle, playbook and the like after the last mark.
        waiting_since: Since when the customer waits; None if they don't.
        clocks: Every span in sight, in the order in which they ended; open ones last.
    """

    base: Base
    waiting_since: datetime | None
    clocks: tuple[Clock, ...]


def _place(mark: Mark) -> tuple[datetime, int, str]:
    return (mark.at, _RANK[mark.what], mark.key)


def insert(marks: tuple[Mark, ...], mark: Mark) -> tuple[Mark, ...]:
    """Put a mark where its time belongs; one that is there already changes nothing.

    Args:
        marks: Sorted marks.
        mark: Another one.
    """
    if not marks or _place(marks[-1]) < _place(mark):
        return (*marks, mark)
    index = bisect_right(marks, _place(mark), key=_place)
    if index and _place(marks[index - 1]) == _place(mark):
        return marks
    return (*marks[:index], mark, *marks[index:])


def stricter(one: str, other: str, playbooks: Mapping[str, Playbook] = PLAYBOOKS) -> str:
    """Return the stricter of two playbooks' names; an empty name gives way.

    Args:
        one: A playbook's name, or empty.
        other: Another.
        playbooks: Where the names are defined.
    """
    if one == other or not other:
        return one
    if not one:
        return other
    return max(one, other, key=lambda name: (playbooks[name].strictness, name))


class _Fold:
    """Carry what is true while marks are read in order."""

    def __init__(
        self, base: Base, playbooks: Mapping[str, Playbook], responders: frozenset[AgentKind]
    ) -> None:
        self.state, self.since = base.state, base.since
        self.cycle, self.playbook = base.cycle, base.playbook
        self.told, self.responded = base.told, base.responded
        self.began, self.began_key, self.backfill = base.began, base.began_key, base.backfill
        self.playbooks, self.responders = playbooks, responders
        self.asks: list[Mark] = []
        self.promises: list[Clock] = []
        self.gone: set[str] = set()
        self.clocks: list[Clock] = []

    def ask(self, mark: Mark) -> None:
        if mark.key in self.gone:
            return
        if self.state is State.resolved:
            self.cycle += 1
            self.state, self.since = State.received, mark.at
            self.playbook, self.responded, self.began = "", False, None
        if self.began is None:
            self.began, self.began_key, self.backfill = mark.at, mark.key, mark.backfill
        self.playbook = stricter(self.playbook, mark.playbook, self.playbooks)
        self.asks.append(mark)

    def thank(self, mark: Mark) -> None:
        """Thanks close a talk; where nobody has answered yet they open one."""
        if not self.told:
            self.ask(mark)

    def classify(self, mark: Mark) -> None:
        self.playbook = mark.playbook

    def tell(self, mark: Mark) -> None:
        if mark.by not in self.responders:
            return
        answered, later = self.known_to(mark)
        if answered:
            self.clocks.append(attrs.evolve(self.waiting(), stopped_at=mark.at))
            self.responded = True
        self.asks, self.told = later, True
        kept = [p for p in self.promises if p.start < mark.at]
        self.clocks += [attrs.evolve(p, stopped_at=mark.at) for p in kept]
        self.promises = [p for p in self.promises if p.start >= mark.at]
        if mark.due is not None:
            promise = Clock(Metric.follow_up, mark.at, mark.key, self.cycle, due=mark.due)
            self.promises.append(attrs.evolve(promise, backfill=mark.backfill))
        self.take(mark)

    def known_to(self, mark: Mark) -> tuple[list[Mark], list[Mark]]:
        """Split what was asked into what the author of a mark can have known, and not."""
        covers = mark.covers or mark.at
        known = [ask for ask in self.asks if ask.at <= covers]
        return known, [ask for ask in self.asks if ask.at > covers]

    def take(self, mark: Mark) -> None:
        for step in mark.steps:
            to = self.playbooks[self.playbook or STANDARD.name].edges[self.state].get(step)
            if to is not None and to is not self.state:
                self.state, self.since = to, mark.at
        if self.state is State.resolved:
            self.end(mark)

    def close(self, mark: Mark) -> None:
        known, later = self.known_to(mark)
        if known:
            self.clocks.append(attrs.evolve(self.waiting(), ended_at=mark.at))
        self.clocks += [attrs.evolve(p, ended_at=mark.at) for p in self.promises]
        self.asks, self.promises = later, []
        self.state, self.since = State.resolved, mark.at
        self.end(mark)

    def end(self, mark: Mark) -> None:
        """End the cycle; what its author cannot have known begins the next one."""
        if self.began is not None:
            self.clocks.append(attrs.evolve(self.resolution(self.began), stopped_at=mark.at))
            self.began = None
        later, self.asks = self.asks, []
        for ask in later:
            self.ask(ask)

    def withdraw(self, mark: Mark) -> None:
        self.gone.add(mark.key)
        left = [ask for ask in self.asks if ask.key != mark.key]
        if self.asks and not left:
            self.clocks.append(attrs.evolve(self.waiting(), ended_at=mark.at))
        self.asks = left

    def waiting(self) -> Clock:
        ask = self.asks[0]
        metric = Metric.next_response if self.responded else Metric.first_response
        return Clock(metric, ask.at, ask.key, self.cycle, backfill=ask.backfill)

    def resolution(self, began: datetime) -> Clock:
        key, backfill = self.began_key, self.backfill
        return Clock(Metric.resolution, began, key, self.cycle, backfill=backfill)

    def base(self) -> Base:
        return Base(
            self.state,
            self.since,
            self.cycle,
            self.playbook,
            self.told,
            self.responded,
            self.began,
            self.began_key,
            self.backfill,
        )

    def standing(self) -> Standing:
        running = [self.waiting()] if self.asks else []
        if self.began is not None:
            running.append(self.resolution(self.began))
        since = self.asks[0].at if self.asks else None
        return Standing(self.base(), since, (*self.clocks, *running, *self.promises))


_READ = {
    Marked.asked: _Fold.ask,
    Marked.thanked: _Fold.thank,
    Marked.told: _Fold.tell,
    Marked.classified: _Fold.classify,
    Marked.closed: _Fold.close,
    Marked.withdrawn: _Fold.withdraw,
}


def fold(
    base: Base,
    marks: Iterable[Mark],
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
    responders: frozenset[AgentKind] = RESPONDERS,
) -> Standing:
    """Read sorted marks and say where that leaves the conversation and its clocks.

    Args:
        base: What older marks left behind.
        marks: Sorted marks.
        playbooks: The playbooks that the marks name.
        responders: Whose words count as an answer.
    """
    reader = _Fold(base, playbooks, responders)
    for mark in marks:
        _READ[mark.what](reader, mark)
    return reader.standing()


def settle(
    base: Base,
    marks: tuple[Mark, ...],
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
    responders: frozenset[AgentKind] = RESPONDERS,
) -> tuple[Base, tuple[Mark, ...]]:
    """Keep marks bounded: fold the older half into the base up to its last quiet moment.

    Where nothing is quiet (a customer writes on and on, nobody answers) the first mark,
    from which the clock counts, and the newer half are kept.

    Args:
        base: What older marks left behind.
        marks: Sorted marks, more than `MAX_MARKS`.
        playbooks: The playbooks that the marks name.
        responders: Whose words count as an answer.
    """
    reader, quiet, kept = _Fold(base, playbooks, responders), base, 0
    for place, mark in enumerate(marks[: MAX_MARKS // 2], start=1):
        _READ[mark.what](reader, mark)
        if not reader.asks and not reader.promises:
            quiet, kept = reader.base(), place
    if kept:
        return quiet, marks[kept:]
    return base, (marks[0], *marks[MAX_MARKS // 2 :])
