"""Send what the outbox holds: claim, decide again, begin, send, settle; never twice.

What is unknown is cleared up by `supportflow.desk.reconcile`, never by sending again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import attrs

from supportflow.channels import Reconcile
from supportflow.desk.accounts import renewed
from supportflow.desk.arguments import limit_of
from supportflow.desk.attempt import Attempt, given_back, needed
from supportflow.desk.core import Core, claim, load, whoami
from supportflow.desk.reconcile import reconcile
from supportflow.desk.settle import End, row_of, settle
from supportflow.desk.unread import read_unread
from supportflow.errors import StoreError
from supportflow.flow import Program, Wait
from supportflow.stores import Claimed, Loaded, RowState, Settlement, Work, Worker, WorkKind

__all__ = ["Delivered", "deliver", "send_due"]

#: How long a claim is ours; longer than every request, wait and clock step within it.
LEASE = timedelta(seconds=120)
#: What is sent within such a moment is claimed and settled together: with most real platforms, one
#: message. Ours.
MOMENT = timedelta(seconds=0.5)
#: How many messages that are at most. Ours.
TOGETHER = 50


@attrs.frozen
class Delivered:
    """Hold what became of a run over the outbox.

    Args:
        sent: How many messages are on their platform now.
        unknown: How many may or may not be; they are being cleared up.
        failed: How many were refused for good.
        waiting: How many will be tried again later.
        held: How many wait for a person.
    """

    sent: int = 0
    unknown: int = 0
    failed: int = 0
    waiting: int = 0
    held: int = 0

    def __add__(self, other: Delivered) -> Delivered:
        return Delivered(
            self.sent + other.sent,
            self.unknown + other.unknown,
            self.failed + other.failed,
            self.waiting + other.waiting,
            self.held + other.held,
        )


_BY_STATE = {
    RowState.sent: Delivered(sent=1),
    RowState.unknown: Delivered(unknown=1),
    RowState.failed: Delivered(failed=1),
    RowState.pending: Delivered(waiting=1),
}


def deliver(core: Core, *, channel: str | None = None, limit: int = 100) -> Program[Delivered]:
    """Take over what dead workers left, clear up what is unknown, send what is due.

    Before that, a classifier that is not inline reads what intake left to it, so that a
    reply to somebody who turns out to be angry is held and not sent.

    Args:
        channel: Only this channel; all by default.
        limit: How many messages to clear up, and to send, at most.

    Returns:
        What became of them.

    Raises:
        NotFound: If the desk has no channel of that name.
        InvalidValue: If the limit is under 1.
        StoreUnavailable: If the store cannot do its work now; nothing is lost or repeated.
    """
    limit = limit_of(limit)
    names = (core.channel(channel).name,) if channel is not None else tuple(sorted(core.channels))
    yield from read_unread(core, limit)
    return (yield from send_due(core, names, limit))


def send_due(core: Core, names: tuple[str, ...], limit: int) -> Program[Delivered]:
    """Take over, clear up and send on some channels; stop between two messages if told to.

    Args:
        core: The desk's core.
        names: The channels' names.
        limit: How many messages to clear up, and to send, at most.
    """
    worker = yield from whoami(core)
    yield from renewed(core, names)
    yield from claim(core, Work(WorkKind.reap, names), worker, limit)
    total, stopped = yield from _clear_up(core, names, worker, limit)
    hold_for = {name: core.channels[name].traits.hold_for for name in names}
    work = Work(WorkKind.send, names, LEASE, hold_for)
    size = 1
    while limit > 0 and not stopped:
        batch = _Batch(core, (yield from claim(core, work, worker, min(limit, size))))
        stopped = not batch.left or (yield from batch.send())
        limit -= batch.begun
        size = min(2 * batch.begun, TOGETHER) if batch.is_quick() else batch.begun
        total += batch.done
    return total


def _clear_up(
    core: Core, names: tuple[str, ...], worker: Worker, limit: int
) -> Program[tuple[Delivered, bool]]:
    """Reconcile; return what became of it, and whether we were told to stop."""
    total, work = Delivered(), Work(WorkKind.reconcile, names, LEASE)
    for _ in range(limit):
        claims = yield from claim(core, work, worker, 1)
        if not claims:
            break
        for claimed in claims:
            total += _counted((yield from reconcile(core, claimed)))
        if (yield Wait(0)):
            return total, True
    return total, False


def _counted(settlement: Settlement) -> Delivered:
    return Delivered(held=1) if settlement.hold else _BY_STATE.get(settlement.state, Delivered())


class _Batch:
    """Send claimed rows one after another, those of one moment on one look, and with one end.

    A receipt waits for others only while they come as quickly as that, and never where
    nothing else can tell what became of a message.
    """

    def __init__(self, core: Core, claims: Sequence[Claimed]) -> None:
        self.core, self.left = core, list(claims)
        self.claimed_at = core.now()
        self.begun, self.done = 0, Delivered()
        self.ends: list[End] = []

    def is_quick(self) -> bool:
        """Return whether the moment is not over."""
        return self.core.now() - self.claimed_at < MOMENT

    def send(self) -> Program[bool]:
        """Send them, until the moment is over or we are told to stop; return whether we were."""
        try:
            while self.left:
                yield from self._send_some()
                if (yield Wait(0)):
                    self._give_back()
                    yield from self._settle()
                    return True
        except GeneratorExit:
            raise
        except BaseException:
            self._give_back()
            with suppress(StoreError):  # leases end by themselves, and what happened says more
                yield from self._settle()
            raise
        return False

    def _send_some(self) -> Program[None]:
        loaded = yield from load(self.core, needed(*self.left))
        waits = True
        while self.left and waits:
            self.begun += 1
            waits = yield from self._attempted(self.left.pop(0), loaded)
            if not self.is_quick():
                self._give_back()
        yield from self._settle(loaded)

    def _attempted(self, claimed: Claimed, loaded: Loaded) -> Program[bool]:
        """Attempt to send a row; return whether its end may wait for those of others."""
        attempt = Attempt(self.core, claimed)
        try:
            end = yield from attempt.made(loaded)
        except (GeneratorExit, Exception):
            raise
        except BaseException as error:
            self.ends.append((yield from attempt.failed(error)))
            raise
        if end is None:
            return True
        self.ends.append(end)
        if end.silent or end.channel is not None:
            self._give_back(attempt.posting.channel)  # the account is held
        if end.silent:
            return True
        self.done += _counted(end.settlement)
        return end.proved and attempt.channel.traits.reconcile is not Reconcile.blind

    def _give_back(self, channel: str | None = None) -> None:
        """End the claims of what has not begun, on one channel or on all."""
        back = [c for c in self.left if channel in {None, row_of(c).posting.channel}]
        self.left = [claimed for claimed in self.left if claimed not in back]
        self.ends += map(given_back, back)

    def _settle(self, known: Loaded | None = None) -> Program[None]:
        """Settle; receipts get a second chance where they are interrupted."""
        ends, self.ends = self.ends, []
        try:
            if ends:
                yield from settle(self.core, *ends, known=known)
        except Exception:
            raise
        except BaseException:
            self.ends = [end for end in ends if end.proved]
            raise
