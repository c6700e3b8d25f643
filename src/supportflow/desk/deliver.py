"""Send what the outbox holds: claim, decide again, begin, send, settle; never twice.

`begin` is committed before the first request that a customer will see. An error before it
means *not sent*; after it, *unknown* unless certainly unsent or refused. What is unknown
is cleared up by `supportflow.desk.reconcile`, never by sending again. (Over 300 lines, because
the ways in which one attempt can end explain each other.)
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import attrs

from supportflow.channels import Ambiguous, Channel, NeedsAuth, NotSent, RateLimited, Refused
from supportflow.desk.accounts import needing_auth, paused, prepared, renewed
from supportflow.desk.arguments import limit_of
from supportflow.desk.core import Core, claim, get_conversation, whoami
from supportflow.desk.drafts import window_end
from supportflow.desk.flows import flowing
from supportflow.desk.reconcile import reconcile
from supportflow.desk.settle import backoff, plain_receipt, row_of, said, settle
from supportflow.desk.unread import read_unread
from supportflow.errors import (
    EtiquetteError,
    FlowError,
    InvalidValue,
    TransportError,
    Unsupported,
    WindowClosed,
)
from supportflow.events import Held
from supportflow.flow import Call, Program, Wait
from supportflow.http import Request
from supportflow.machine import recheck
from supportflow.model import (
    Agent,
    Announce,
    Hold,
    PartRefused,
    PartTold,
    Receipt,
)
from supportflow.stores import Claimed, HoldRows, RowState, Settlement, Work, WorkKind
from supportflow.text import storable

__all__ = ["Delivered", "deliver", "send_due"]

#: After so many attempts a row waits for a person: it may be what kills its workers. Ours.
MAX_ATTEMPTS = 20
#: What a channel says of a message that it will never post: to try again would be useless.
_REFUSALS = (EtiquetteError, InvalidValue, Unsupported, WindowClosed)
#: How long a claim is ours; longer than every request, wait and clock step within it.
LEASE = timedelta(seconds=120)


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
    hold_for = {name: core.channels[name].traits.hold_for for name in names}
    total = Delivered()
    for work, perform in (
        (Work(WorkKind.reconcile, names, LEASE), reconcile),
        (Work(WorkKind.send, names, LEASE, hold_for), _send),
    ):
        for _ in range(limit):
            claims = yield from claim(core, work, worker, 1)
            for claimed in claims:
                total += _counted((yield from perform(core, claimed)))
            if not claims or (yield Wait(0)):
                break
    return total


def _counted(settlement: Settlement | None) -> Delivered:
    if settlement is None:
        return Delivered()
    return Delivered(held=1) if settlement.hold else _BY_STATE.get(settlement.state, Delivered())


def _send(core: Core, claimed: Claimed) -> Program[Settlement | None]:
    """Send one claimed row and settle it, whatever happens on the way."""
    attempt = _Attempt(core, claimed)
    try:
        stop = yield from attempt.decide_again()
        if stop is not None:
            return stop
        receipt = yield from attempt.send()
    except GeneratorExit:
        raise
    except BaseException as error:
        settlement = yield from attempt.failed(error)
        if not isinstance(error, Exception):
            raise
        return settlement
    return (yield from attempt.told(receipt))


class _Attempt:
    """Send one row once, so that `begin` comes before what the customer will see."""

    def __init__(self, core: Core, claimed: Claimed) -> None:
        self.core, self.claimed = core, claimed
        self.row = row_of(claimed)
        self.posting, self.outgoing = self.row.posting, self.row.posting.outgoing
        self.channel: Channel = core.channel(self.posting.channel)
        self.began = False

    # -- before anything leaves

    def decide_again(self) -> Program[Settlement | None]:
        """Hold a row that is no longer legal; fail one whose messaging window has closed."""
        core, row = self.core, self.row
        if row.attempt % (MAX_ATTEMPTS + 1) == 0:
            last = row.last_error or "its worker died each time"
            why = f"tried {MAX_ATTEMPTS} times without an end: {last}"
            return (yield from self.hold(why, uncount=False))
        if self.posting.conversation is not None:
            conversation = yield from get_conversation(core, self.posting.conversation)
            events = recheck(conversation, self.posting.reply, core.now(), core.rules)
            for held in (event for event in events if isinstance(event, Held)):
                return (yield from self.hold(held.why, uncount=True))
            self.outgoing = attrs.evolve(self.outgoing, last_inbound_at=conversation.last_at)
        message = self.outgoing
        end = window_end(self.channel, message.visibility, message.by, message.last_inbound_at)
        if end is not None and end <= core.now() and message.template is None:
            why = f"the platform took private replies until {end:%Y-%m-%d %H:%M} UTC"
            return (yield from self.refused(why))
        return None

    def hold(self, why: str, uncount: bool) -> Program[Settlement]:
        settlement = Settlement(
            self.row.id,
            self.claimed.fence,
            RowState.pending,
            error=self.row.last_error,
            hold=why,
            uncount=uncount,
        )
        yield from settle(self.core, self.claimed, settlement, Hold(self.posting.reply, why))
        return settlement

    # -- sending

    def send(self) -> Program[Receipt]:
        """Drive the channel's flow to its receipt."""
        self.channel, _ = yield from prepared(self.core, self.channel.name)
        message = attrs.evolve(
            self.outgoing, attempt=self.row.attempt, first_sent_at=self.row.first_sent_at
        )
        try:
            flow = self.channel.send(message)
            receipt = yield from flowing(flow, f"{self.channel.name}.send()", self.begin)
        except _REFUSALS as error:
            if self.began:  # too late to refuse it: it may be there
                raise
            raise Refused(str(error)) from error
        return self.checked(receipt)

    def begin(self, request: Request) -> Program[None]:
        """Commit that bytes are about to leave, before the first request that posts."""
        if request.posts and not self.began:
            if not (yield Call(self.core.store, "begin", (self.claimed,))):
                raise _LostClaim("somebody else has taken this row over")
            self.began = True

    def checked(self, receipt: object) -> Receipt:
        """Return a receipt that proves something; without one, we know nothing for sure."""
        name = self.channel.name
        if not self.began:
            raise FlowError(
                f"{name}.send() ended without a request that posts; "
                "mark the write with Request(posts=True)"
            )
        if not isinstance(receipt, Receipt):
            raise Ambiguous(f"{name}.send() returned no receipt")
        if not receipt.id and self.channel.traits.receipt != "accepted":
            raise Ambiguous(f"{name}.send() returned a receipt without an id")
        return plain_receipt(receipt)

    # -- afterwards

    def told(self, receipt: Receipt) -> Program[Settlement]:
        """Record a receipt; an interruption gets it a second chance before it goes on."""
        settlement = Settlement(self.row.id, self.claimed.fence, RowState.sent, receipt)
        by = Agent("unknown", self.outgoing.by)
        told = PartTold(self.posting.reply, self.posting.part, receipt, by)
        try:
            yield from settle(self.core, self.claimed, settlement, told)
        except (GeneratorExit, Exception):
            raise
        except BaseException:
            yield from settle(self.core, self.claimed, settlement, told)
            raise
        return settlement

    def failed(self, error: BaseException) -> Program[Settlement | None]:
        """Settle what an error means: certain outcomes as such, every doubt as unknown."""
        if isinstance(error, _LostClaim):
            return None
        if isinstance(error, Refused):
            return (yield from self.refused(storable(str(error))))
        if isinstance(error, RateLimited):
            return (yield from self.pause(error))
        if isinstance(error, NeedsAuth):
            return (yield from self.ask_for_auth(error))
        unsent = isinstance(error, TransportError) and error.sent is False
        if isinstance(error, NotSent) or unsent or not self.began:
            return (yield from self.later(error))
        return (yield from self.unknown(error))

    def settlement(self, state: RowState, error: BaseException, **more: Any) -> Settlement:
        return Settlement(self.row.id, self.claimed.fence, state, error=said(error), **more)

    def refused(self, why: str) -> Program[Settlement]:
        """Fail the row; what is left of its reply waits for a person."""
        reply, part = self.posting.reply, self.posting.part
        settlement = Settlement(self.row.id, self.claimed.fence, RowState.failed, error=why)
        rest = HoldRows(reply, f"part {part + 1} failed: {why}")
        command = PartRefused(reply, part, why)
        yield from settle(self.core, self.claimed, settlement, command, holds=(rest,))
        return settlement

    def later(self, error: BaseException) -> Program[Settlement]:
        """Try again after a pause; an interruption of ours is no failure of the row."""
        ours = not isinstance(error, Exception)
        pause = backoff(self.row.attempt, random.random())  # noqa: S311  # jitter
        until = self.core.now() + (timedelta(0) if ours else pause)
        settlement = self.settlement(RowState.pending, error, not_before=until, uncount=ours)
        yield from settle(self.core, self.claimed, settlement)
        return settlement

    def unknown(self, error: BaseException) -> Program[Settlement]:
        """Leave it to reconciling, which looks once the platform had time to settle."""
        until = self.core.now() + self.channel.traits.settle
        settlement = self.settlement(RowState.unknown, error, not_before=until, negative_reads=0)
        yield from settle(self.core, self.claimed, settlement)
        return settlement

    def pause(self, error: RateLimited) -> Program[Settlement]:
        """Pause the whole account; the platform was asked, but took nothing."""
        change = paused(self.core, self.channel.name, error)
        settlement = self.settlement(
            RowState.pending, error, not_before=change.paused_until, uncount=True
        )
        yield from settle(self.core, self.claimed, settlement, channel=change)
        return settlement

    def ask_for_auth(self, error: NeedsAuth) -> Program[Settlement]:
        """Hold the account's queue and tell a person once, not once a reply."""
        name, why = self.channel.name, storable(str(error))
        _, state = yield from prepared(self.core, name)
        alarm = Announce(f"needs_auth:{name}:{self.row.id}", "needs_auth", None, why)
        alarms = () if state.needs_auth else (alarm,)
        settlement = self.settlement(RowState.pending, error, uncount=True)
        change = needing_auth(self.channel, state, why)
        yield from settle(self.core, self.claimed, settlement, *alarms, channel=change)
        return settlement


class _LostClaim(Exception):
    """Say that `begin` found the claim gone: nothing was sent. It never leaves this module."""
