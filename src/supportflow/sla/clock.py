"""Fold marks, by platform time, into where a conversation stands and what its clocks say.

This is the one place that knows how words on either side start, stop and end clocks. It
depends on the marks alone, never on the order in which they arrived.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs

from supportflow.model import MAX_MARKS, AgentKind, Base, Clock, Mark, Marked, Metric, State, Step
from supportflow.model.quick import maker
from supportflow.playbook import PLAYBOOKS, Playbook, find_playbook

__all__ = ["RESPONDERS", "Clock", "Standing", "fold", "insert", "settle", "stricter"]

#: Whose words answer a customer. An automatic acknowledgement stops no clock.
RESPONDERS = frozenset({AgentKind.person, AgentKind.bot, AgentKind.native})

_RANK = {what: place for place, what in enumerate(Marked)}


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


def _place(mark: Mark) -> tuple[datetime, int, tuple[Step, ...], str]:
    """Return what marks are sorted by: of one instant, in the order in which steps are taken.

    Many platforms tell times in whole seconds, and two replies may be told within one. (The
    steps' names happen to be in their order.)
    """
    return (mark.at, _RANK[mark.what], mark.steps, mark.key)


def insert(marks: tuple[Mark, ...], mark: Mark) -> tuple[Mark, ...]:
    """Put a mark where its time belongs; one that is there already changes nothing.

    Args:
        marks: Sorted marks.
        mark: Another one.
    """
    if not marks or marks[-1].at < mark.at or _place(marks[-1]) < _place(mark):
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
    return max(one, other, key=lambda name: (find_playbook(playbooks, name).strictness, name))


class _Fold:
    """Carry what is true while marks are read in order."""

    def __init__(
        self, base: Base, playbooks: Mapping[str, Playbook], responders: frozenset[AgentKind]
    ) -> None:
        self.state, self.since = base.state, base.since
        self.cycle, self.playbook = base.cycle, base.playbook
        self.told, self.until, self.history = base.told, base.until, base.until
        self.responded = base.responded
        self.began, self.began_key, self.backfill = base.began, base.began_key, base.backfill
        self.playbooks, self.responders = playbooks, responders
        self.asks = list(base.asks)
        self.promises = list(base.promises)
        self.gone: set[str] = set()
        self.clocks: list[Clock] = []

    def ask(self, mark: Mark) -> None:
        at = mark.at
        if mark.key in self.gone or (self.history is not None and at <= self.history):
            return
        if self.state is _RESOLVED:
            self.cycle += 1
            self.state, self.since = State.received, at
            self.playbook, self.responded, self.began = "", False, None
        if self.began is None or at < self.began:
            self.began, self.began_key, self.backfill = at, mark.key, mark.backfill
        if self.playbook != mark.playbook:
            self.playbook = stricter(self.playbook, mark.playbook, self.playbooks)
        self.asks.append(mark)
        if len(self.asks) > 1 and at < self.asks[-2].at:
            self.asks.sort(key=_place)

    def thank(self, mark: Mark) -> None:
        """Thanks close a talk; where nobody has answered yet they open one."""
        if not self.told:
            self.ask(mark)

    def classify(self, mark: Mark) -> None:
        self.playbook = mark.playbook

    def tell(self, mark: Mark) -> None:
        at = mark.at
        if self.history is not None and at < self.history:
            return
        answers = mark.by in self.responders
        if answers:
            self.answer(mark)
        if mark.due is not None:
            key, due, backfill = mark.key, mark.due, mark.backfill
            promise = _clock(Metric.follow_up, at, key, self.cycle, None, None, due, backfill)
            self.promises.append(promise)
        if answers and (mark.steps or self.state is _RESOLVED):
            self.take(mark)

    def answer(self, mark: Mark) -> None:
        known = self.known_to(mark)
        if known:
            self.clocks += self.waits(known, mark.at)
            self.responded = True
        self.told = True
        if self.promises:
            kept = [promise for promise in self.promises if promise.start < mark.at]
            self.clocks += [attrs.evolve(promise, stopped_at=mark.at) for promise in kept]
            self.promises = [promise for promise in self.promises if promise.start >= mark.at]

    def known_to(self, mark: Mark) -> list[Mark]:
        """Take out of what was asked what the author of a mark can have known."""
        covers = mark.covers or mark.at
        if self.until is None or covers > self.until:
            self.until = covers
        asks = self.asks
        if not asks or asks[-1].at <= covers:
            self.asks = []
            return asks
        self.asks = [ask for ask in asks if ask.at > covers]
        return [ask for ask in asks if ask.at <= covers]

    def take(self, mark: Mark) -> None:
        if mark.steps:
            state, edges = (
                self.state,
                find_playbook(self.playbooks, self.playbook).table(mark.feedback),
            )
            for step in mark.steps:
                state = edges[state].get(step, state)
            if state is not self.state:
                self.state, self.since = state, mark.at
        if self.state is _RESOLVED:
            self.end(mark)

    def close(self, mark: Mark) -> None:
        ended = self.waits(self.known_to(mark), None, mark.at)
        ended += [attrs.evolve(promise, ended_at=mark.at) for promise in self.promises]
        if self.began is not None:
            ended.append(self.resolution(self.began, None, mark.at))
        self.clocks += ended
        self.promises, self.told, self.began = [], True, None
        self.state, self.since = _RESOLVED, mark.at
        self.end(mark)

    def end(self, mark: Mark) -> None:
        """End the cycle; what its author cannot have known begins the next one."""
        if self.began is not None:
            self.clocks.append(self.resolution(self.began, mark.at))
            self.began = None
        later, self.asks = self.asks, []
        for ask in later:
            self.ask(ask)

    def withdraw(self, mark: Mark) -> None:
        """Take a question back; where it was all that was asked, nothing is left to resolve."""
        self.gone.add(mark.key)
        before = self.waits(self.asks)
        self.asks = [ask for ask in self.asks if ask.key != mark.key]
        after = self.waits(self.asks)
        self.clocks += [attrs.evolve(c, ended_at=mark.at) for c in before if c not in after]
        if before and not after and not self.responded and self.began is not None:
            self.clocks.append(self.resolution(self.began, None, mark.at))
            self.began = None

    def waits(
        self,
        asks: list[Mark],
        stopped_at: datetime | None = None,
        ended_at: datetime | None = None,
    ) -> list[Clock]:
        """Return the clock of questions, which counts from the first.

        Behind history there is another, from the first question that is not: old neglect
        silences no new alarm.
        """
        if not asks:
            return []
        metric = Metric.next_response if self.responded else Metric.first_response
        at, key, backfill = asks[0].at, asks[0].key, asks[0].backfill
        clocks = [_clock(metric, at, key, self.cycle, stopped_at, ended_at, None, backfill)]
        live = next((ask for ask in asks if not ask.backfill), None) if backfill else None
        if live is not None:
            metric, at, key = Metric.next_response, live.at, live.key
            clocks.append(_clock(metric, at, key, self.cycle, stopped_at, ended_at))
        return clocks

    def resolution(
        self, began: datetime, stopped_at: datetime | None = None, ended_at: datetime | None = None
    ) -> Clock:
        key, cycle, backfill = self.began_key, self.cycle, self.backfill
        return _clock(Metric.resolution, began, key, cycle, stopped_at, ended_at, None, backfill)

    def base(self) -> Base:
        """Return what is carried on; of very many questions only the first ones and the last."""
        few, asks = MAX_MARKS // 2, self.asks
        return _base(
            self.state,
            self.since,
            self.cycle,
            self.playbook,
            self.told,
            self.until,
            self.responded,
            self.began,
            self.began_key,
            self.backfill,
            tuple(asks if len(asks) <= few else (*asks[: few - 1], asks[-1])),
            tuple(self.promises),
        )

    def standing(self) -> Standing:
        running = self.waits(self.asks)
        since = running[0].start if running else None
        if self.began is not None:
            running.append(self.resolution(self.began))
        return Standing(self.base(), since, (*self.clocks, *running, *self.promises))


_clock, _base = maker(Clock), maker(Base)
_RESOLVED = State.resolved

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
    """Keep marks bounded: fold the older half into the base.

    Clocks that ended there go out of sight; what still runs is carried on.

    Args:
        base: What older marks left behind.
        marks: Sorted marks, more than are to be kept.
        playbooks: The playbooks that the marks name.
        responders: Whose words count as an answer.
    """
    half = len(marks) // 2
    return fold(base, marks[:half], playbooks, responders).base, marks[half:]
