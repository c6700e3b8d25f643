"""Let concurrent callers share a commit: one of them records what all of them brought.

Whoever comes alone begins at once. What others bring meanwhile waits in line, and then goes in
as one page: one load, one commit, one wait for the disk. Each caller goes on only after what it
brought is committed (RELIABILITY G2), or with an error that concerns it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from threading import Event, Lock
from typing import Any

import attrs

from supportflow.channels import Unreadable
from supportflow.desk.core import Core
from supportflow.desk.intake import intake
from supportflow.errors import StoreUnavailable
from supportflow.flow import Call, Program
from supportflow.model import Fact

__all__ = ["record"]

#: How many callers share a commit at most, so that none waits for a long page. Ours.
MOST = 100


@attrs.define(eq=False)
class _Brought:
    """Hold what one caller brought, and what became of it.

    `called` is set when that is known, or when it is this caller's turn to lead.
    """

    facts: tuple[Fact, ...]
    unreadable: tuple[Unreadable, ...]
    called: Any
    done: bool = False
    error: Exception | None = None


class _Line:
    """Keep those who wait in the order in which they came; the first of them leads.

    The lock is only ever held for these few lines, never while somebody waits or commits, so
    that it may be taken on an event loop too.
    """

    def __init__(self, event: Callable[[], Any]) -> None:
        self.event, self.lock = event, Lock()
        self.waiting: deque[_Brought] = deque()
        self.led = False

    def join(self, mine: _Brought) -> bool:
        """Wait in line; return whether to lead at once, because nobody does."""
        with self.lock:
            self.waiting.append(mine)
            leads, self.led = not self.led, True
        return leads

    def together(self) -> list[_Brought]:
        """Return those who share the next commit, their leader first."""
        with self.lock:
            return [self.waiting.popleft() for _ in range(min(len(self.waiting), MOST))]

    def part(self, group: Sequence[_Brought], leader: _Brought) -> None:
        """Let those go on who are done; whoever is not, because its leader was cancelled, waits."""
        with self.lock:
            left = [each for each in group if not each.done and each is not leader]
            self.waiting.extendleft(reversed(left))
            for each in group:
                if each.done:
                    each.called.set()
            self._call_next()

    def leave(self, mine: _Brought) -> None:
        """Wait no longer; whoever should have led calls the next one."""
        with self.lock:
            mine.done = True  # it may be in somebody's group: then it must not wait again
            if mine in self.waiting:
                self.waiting.remove(mine)
                if mine.called.is_set():
                    self._call_next()

    def _call_next(self) -> None:
        self.led = bool(self.waiting)
        if self.led:
            self.waiting[0].called.set()


def record(
    core: Core, channel: str, facts: Iterable[Fact], unreadable: Iterable[Unreadable]
) -> Program[None]:
    """Record facts as `intake` does, in one commit with those that are brought meanwhile.

    Args:
        core: The desk's core.
        channel: The name of the channel that they come from.
        facts: The facts.
        unreadable: Items that the channel could not read.

    Raises:
        StoreError: As `intake`; what is wrong with one caller's facts reaches no other.
    """
    line = core.lines.get(channel) or core.lines.setdefault(channel, _Line(_event(core)))
    mine = _Brought(tuple(facts), tuple(unreadable), line.event())
    if not line.join(mine):
        try:
            yield Call(mine.called, "wait")
        except BaseException:
            line.leave(mine)
            raise
    if not mine.done:
        group = line.together()
        try:
            yield from _record_all(core, channel, group)
        finally:
            line.part(group, mine)
    if mine.error is not None:
        raise mine.error


def _event(core: Core) -> Callable[[], Any]:
    """Return what can be waited for in the way in which the desk's store is called."""
    return asyncio.Event if inspect.iscoroutinefunction(core.store.load) else Event


def _record_all(core: Core, channel: str, group: Sequence[_Brought]) -> Program[None]:
    """Record everything in one commit; where that fails, each alone, to see whose fault it is."""
    if len(group) > 1 and (yield from _record_one(core, channel, group)):
        return
    for each in group:
        yield from _record_one(core, channel, (each,))


def _record_one(core: Core, channel: str, group: Sequence[_Brought]) -> Program[bool]:
    """Record in one commit; return whether everybody of the group can go on."""
    facts = chain.from_iterable(each.facts for each in group)
    unreadable = chain.from_iterable(each.unreadable for each in group)
    failed: Exception | None = None
    try:
        yield from intake(core, channel, facts, unreadable=unreadable)
    except Exception as error:  # noqa: BLE001  # it is raised again, to whom it concerns
        if len(group) > 1 and not isinstance(error, StoreUnavailable):
            return False
        failed = error
    for each in group:
        each.done, each.error = True, failed
    return True
