"""Send one claimed message once, and say how that ended; nothing is settled here.

`begin` is committed before the first request that a customer will see. An error before it
means *not sent*; after it, *unknown* unless certainly unsent or refused.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import attrs

from supportflow.channels import Ambiguous, Channel, NeedsAuth, NotSent, RateLimited, Refused
from supportflow.desk.accounts import needing_auth, paused, prepared
from supportflow.desk.core import ATTEMPTS, Core, get_conversation, load
from supportflow.desk.drafts import window_end
from supportflow.desk.flows import flowing
from supportflow.desk.reconcile import known_ids
from supportflow.desk.renew import renewed_since
from supportflow.desk.settle import End, backoff, plain_receipt, row_of, said
from supportflow.errors import (
    EtiquetteError,
    FlowError,
    InvalidValue,
    TransportError,
    Unsupported,
    WindowClosed,
)
from supportflow.events import Held
from supportflow.flow import Call, Program
from supportflow.http import Request
from supportflow.machine import recheck
from supportflow.model import (
    Agent,
    Announce,
    ChannelState,
    Command,
    Hold,
    PartRefused,
    PartTold,
    Receipt,
)
from supportflow.stores import Claimed, HoldRows, Loaded, RowState, Settlement, Wanted
from supportflow.text import storable

__all__ = ["MAX_ATTEMPTS", "Attempt", "given_back", "needed"]

#: After so many attempts a row waits for a person: it may be what kills its workers. Ours.
MAX_ATTEMPTS = 20
#: What a channel says of a message that it will never post: to try again would be useless.
_REFUSALS = (EtiquetteError, InvalidValue, Unsupported, WindowClosed)


def given_back(claimed: Claimed) -> End:
    """Return the end of a claim with which nothing was done.

    Args:
        claimed: The claim.
    """
    row = row_of(claimed)
    settlement = Settlement(
        row.id, claimed.fence, RowState.pending, error=row.last_error, uncount=True
    )
    return End(claimed, settlement, silent=True)


def needed(*claims: Claimed) -> Wanted:
    """Return what must be known to decide about sending rows.

    Args:
        claims: Claims of them.
    """
    postings = [row_of(claimed).posting for claimed in claims]
    return Wanted(
        conversations=tuple(dict.fromkeys(p.conversation for p in postings if p.conversation)),
        channels=tuple(dict.fromkeys(posting.channel for posting in postings)),
    )


class Attempt:
    """Send one row once, so that `begin` comes before what the customer will see.

    Args:
        core: The desk's core.
        claimed: The claim.
    """

    def __init__(self, core: Core, claimed: Claimed) -> None:
        self.core, self.claimed = core, claimed
        self.row = row_of(claimed)
        self.posting, self.outgoing = self.row.posting, self.row.posting.outgoing
        self.channel: Channel = core.channel(self.posting.channel)
        self.last_inbound_at = self.outgoing.last_inbound_at
        self.decided_on: tuple[str, int] | None = None
        self.began = False

    def made(self, loaded: Loaded) -> Program[End | None]:
        """Return how it ended; None if the row is somebody else's by now.

        Args:
            loaded: What is known of what it `needed`, at most a moment old.
        """
        try:
            end = yield from self.decided(loaded)
            if end is not None:
                return end
            return self.told((yield from self.send()))
        except _Ended as ended:
            return ended.end
        except Exception as error:  # noqa: BLE001  # a channel may be anybody's code
            return (yield from self.failed(error))

    # -- before anything leaves

    def decided(self, loaded: Loaded) -> Program[End | None]:
        """Hold a row that is no longer legal; fail one whose messaging window has closed."""
        core, row = self.core, self.row
        if row.attempt % (MAX_ATTEMPTS + 1) == 0:
            last = row.last_error or "its worker died each time"
            return self.hold(f"tried {MAX_ATTEMPTS} times without an end: {last}", uncount=False)
        name = self.posting.channel
        state = loaded.channels.get(name) or ChannelState(name)
        if state.needs_auth:
            return given_back(self.claimed)
        self.channel = core.channel(name).using(state)
        if self.posting.conversation is not None:
            conversation = loaded.conversations.get(self.posting.conversation)
            if conversation is None or conversation.merged_into is not None:
                conversation = yield from get_conversation(core, self.posting.conversation)
            events = recheck(conversation, self.posting.reply, core.now(), core.rules)
            for held in (event for event in events if isinstance(event, Held)):
                return self.hold(held.why, uncount=True)
            self.last_inbound_at = conversation.last_at
            self.decided_on = (conversation.id, conversation.version)
        message = self.outgoing
        end = window_end(self.channel, message.visibility, message.by, self.last_inbound_at)
        if end is not None and end <= core.now() and message.template is None:
            return self.refused(f"the platform took private replies until {end:%Y-%m-%d %H:%M} UTC")
        return None

    def hold(self, why: str, uncount: bool) -> End:
        """Leave the row to a person."""
        settlement = Settlement(
            self.row.id,
            self.claimed.fence,
            RowState.pending,
            error=self.row.last_error,
            hold=why,
            uncount=uncount,
        )
        return End(self.claimed, settlement, (Hold(self.posting.reply, why),))

    # -- sending

    def send(self) -> Program[Receipt]:
        """Drive the channel's flow to its receipt."""
        message = attrs.evolve(
            self.outgoing,
            attempt=self.row.attempt,
            first_sent_at=self.row.first_sent_at,
            last_inbound_at=self.last_inbound_at,
        )
        if self.channel.traits.replaces:
            known = yield from known_ids(self.core, self.posting)
            message = attrs.evolve(message, known=known)
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
        if not request.posts or self.began:
            return
        for _ in range(ATTEMPTS):
            decided_on, claimed = self.decided_on, self.claimed
            asked = Claimed(claimed.fence, claimed.worker, self.row, decided_on=decided_on)
            self.began = yield Call(self.core.store, "begin", (asked,))
            if self.began:
                return
            yield from self.decide_again()
            if self.decided_on == decided_on:  # nothing is new: it is the account that is held
                break
        raise _Ended(given_back(self.claimed))

    def decide_again(self) -> Program[None]:
        """Go on if the claim still stands, and a fresh look says the same of it."""
        wanted = attrs.evolve(needed(self.claimed), rows=(self.row.id,))
        loaded = yield from load(self.core, wanted)
        row = loaded.rows.get(self.row.id)
        ours = (self.claimed.fence, self.claimed.worker.id, RowState.claimed)
        if row is None or (row.fence, row.worker, row.state) != ours:
            raise _Ended(None)
        if (end := (yield from self.decided(loaded))) is not None:
            raise _Ended(end)

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

    def told(self, receipt: Receipt) -> End:
        """Say that the platform took it."""
        settlement = Settlement(self.row.id, self.claimed.fence, RowState.sent, receipt)
        by = Agent("unknown", self.outgoing.by)
        told = PartTold(self.posting.reply, self.posting.part, receipt, by)
        return End(self.claimed, settlement, (told,))

    def failed(self, error: BaseException) -> Program[End]:
        """Say what an error means: certain outcomes as such, every doubt as unknown."""
        if isinstance(error, Refused):
            return self.refused(storable(str(error)))
        if isinstance(error, RateLimited):
            return self.pause(error)
        if isinstance(error, NeedsAuth):
            return (yield from self.ask_for_auth(error))
        unsent = isinstance(error, TransportError) and error.sent is False
        if isinstance(error, NotSent) or unsent or not self.began:
            return self.later(error)
        return self.unknown(error)

    def ended(self, state: RowState, error: BaseException, *commands: Command, **more: Any) -> End:
        """Return an end of this attempt that an error explains."""
        settlement = Settlement(self.row.id, self.claimed.fence, state, error=said(error), **more)
        return End(self.claimed, settlement, commands)

    def refused(self, why: str) -> End:
        """Fail the row; what is left of its reply waits for a person."""
        reply, part = self.posting.reply, self.posting.part
        settlement = Settlement(self.row.id, self.claimed.fence, RowState.failed, error=why)
        rest = HoldRows(reply, f"part {part + 1} failed: {why}")
        return End(self.claimed, settlement, (PartRefused(reply, part, why),), holds=(rest,))

    def later(self, error: BaseException) -> End:
        """Try again after a pause; an interruption of ours is no failure of the row."""
        ours = not isinstance(error, Exception)
        pause = backoff(self.row.attempt, random.random())  # noqa: S311  # jitter
        until = self.core.now() + (timedelta(0) if ours else pause)
        return self.ended(RowState.pending, error, not_before=until, uncount=ours)

    def unknown(self, error: BaseException) -> End:
        """Leave it to reconciling, which looks once the platform had time to settle."""
        until = self.core.now() + self.channel.traits.settle
        return self.ended(RowState.unknown, error, not_before=until, negative_reads=0)

    def pause(self, error: RateLimited) -> End:
        """Pause the whole account; the platform was asked, but took nothing."""
        change = paused(self.core, self.channel.name, error)
        end = self.ended(RowState.pending, error, not_before=change.paused_until, uncount=True)
        return attrs.evolve(end, channel=change)

    def ask_for_auth(self, error: NeedsAuth) -> Program[End]:
        """Try again if credentials could be renewed; else hold the queue, and tell a person once."""
        name, why = self.channel.name, storable(str(error))
        if (yield from renewed_since(self.core, self.channel)):
            return self.ended(RowState.pending, error, uncount=True)
        _, state = yield from prepared(self.core, name)
        alarm = Announce(f"needs_auth:{name}:{self.row.id}", "needs_auth", None, why)
        alarms = () if state.needs_auth else (alarm,)
        end = self.ended(RowState.pending, error, *alarms, uncount=True)
        return attrs.evolve(end, channel=needing_auth(self.channel, state, why))


class _Ended(Exception):
    """Say that nothing leaves: how it ended, or that somebody else has the row.

    It never leaves this module.
    """

    def __init__(self, end: End | None) -> None:
        self.end = end
