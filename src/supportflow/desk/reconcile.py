"""Clear up what is unknown: prove that a message was posted, or prove that it was not."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import attrs

from supportflow.channels import Finds, Found, Reconcile
from supportflow.desk.accounts import prepared
from supportflow.desk.core import Core, find
from supportflow.desk.flows import flowing
from supportflow.desk.settle import End, plain_receipt, row_of, said, settle
from supportflow.errors import StoreError
from supportflow.flow import Program
from supportflow.model import Agent, Hold, Outgoing, PartTold, Receipt
from supportflow.stores import Claimed, Outbox, Posting, Row, RowState, Settlement
from supportflow.text import storable

__all__ = ["known_ids", "reconcile"]

#: How many reads must find nothing, each at least `Traits.settle` after the one before.
_READS = 2
#: How much of a key's life on its platform is used (RELIABILITY 1.3).
_KEY_LIFE = 0.8
#: How often an echo is looked for.
_ECHO = timedelta(seconds=30)
#: The shortest and longest pause after a read that failed; between, a fifth of the time that
#: has passed since the message was sent. Ours.
_SOON, _SELDOM = timedelta(seconds=5), timedelta(minutes=15)
#: What the error of a row begins with whose last read failed.
_FAILED = "could not look: "
#: How many other replies of a conversation are told to whoever looks.
_OTHERS = 1000


def reconcile(core: Core, claimed: Claimed) -> Program[Settlement]:
    """Clear up one unknown row, as far as its platform allows.

    Found means sent. Absent twice, with time to settle before each read, and with the last
    sender dead, means that it may be sent again. A read that failed means nothing at all; if
    they still fail after the row's deadline, a person must look (RELIABILITY G7).

    Args:
        core: The desk's core.
        claimed: A claim of reconciling.
    """
    row = row_of(claimed)
    traits, now = core.channel(row.posting.channel).traits, core.now()
    began, ended = row.first_sent_at or now, row.last_sent_at or now
    if now < ended + traits.settle:
        return (yield from _look_later(core, claimed, ended + traits.settle - now, row.last_error))
    by_key = traits.reconcile is Reconcile.key and now < began + traits.key_window * _KEY_LIFE
    if by_key and claimed.sender_dead:
        return (yield from _send_again(core, claimed, "the same key goes again"))
    found = yield from _look(core, row)
    if found is not None and found.receipt is not None:
        return (yield from _found(core, claimed, found.receipt))
    if found is not None:
        return (yield from _not_found(core, claimed, found, by_key=by_key))
    if by_key or (traits.reconcile is Reconcile.echo and now < ended + traits.echo_wait):
        return (yield from _look_later(core, claimed, _ECHO, "waits for its echo or its sender"))
    return (yield from _park(core, claimed))


def _look(core: Core, row: Row) -> Program[Found | None]:
    """Ask the channel; None where it has no way to look."""
    name = row.posting.channel
    try:
        channel, _ = yield from prepared(core, name)
        if not isinstance(channel, Finds) or channel.traits.reconcile is Reconcile.blind:
            return None
        message = yield from _message(core, row)
        found: object = yield from flowing(channel.find_sent(message), f"{name}.find_sent()")
        if not isinstance(found, Found):
            raise TypeError(f"{name}.find_sent() returned {type(found).__name__}, not Found")
        receipt = found.receipt and plain_receipt(found.receipt)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  # a failed read is no news, whatever failed
        return Found(looked=False, why=said(error))
    return attrs.evolve(found, receipt=receipt)


def _message(core: Core, row: Row) -> Program[Outgoing]:
    """Return what is looked for, with the ids that other replies in the talk already have."""
    known = yield from known_ids(core, row.posting)
    return attrs.evolve(
        row.posting.outgoing, attempt=row.attempt, first_sent_at=row.first_sent_at, known=known
    )


def known_ids(core: Core, posting: Posting) -> Program[frozenset[str]]:
    """Return the platform's ids that other replies of ours in a conversation already have.

    Args:
        core: The desk's core.
        posting: A reply in that conversation.
    """
    if posting.conversation is None:
        return frozenset()
    query = Outbox((RowState.sent,), conversation=posting.conversation, limit=_OTHERS)
    others = yield from find(core, query)
    return frozenset(other.remote_id for other in others.rows if other.remote_id)


def _found(core: Core, claimed: Claimed, receipt: Receipt) -> Program[Settlement]:
    row = row_of(claimed)
    posting = row.posting
    settlement = Settlement(row.id, claimed.fence, RowState.sent, receipt, how="read")
    told = PartTold(posting.reply, posting.part, receipt, Agent("unknown", posting.outgoing.by))
    yield from settle(core, End(claimed, settlement, (told,)))
    return settlement


def _not_found(core: Core, claimed: Claimed, found: Found, *, by_key: bool) -> Program[Settlement]:
    row = row_of(claimed)
    if not found.looked:
        why = f"{_FAILED}{found.why}"
        again = row.last_error.startswith(_FAILED)
        if again and not by_key and core.now() >= _looked_for_until(core, row):
            return (yield from _park(core, claimed, why))
        passed = core.now() - (row.last_sent_at or core.now())
        pause = min(max(passed / 5, _SOON), _SELDOM) * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
        return (yield from _look_later(core, claimed, pause, why))
    reads = row.negative_reads + 1 if claimed.sender_dead else 0  # it may post until it is dead
    if reads >= _READS:
        return (yield from _send_again(core, claimed, "it is not on the platform"))
    settle_time = core.channel(row.posting.channel).traits.settle
    return (yield from _look_later(core, claimed, settle_time, "not found so far", reads))


def _looked_for_until(core: Core, row: Row) -> datetime:
    """Return when failing reads are enough: at the deadline, or as long after a late send."""
    posting, traits = row.posting, core.channel(row.posting.channel).traits
    patience = max(posting.deadline - posting.outgoing.queued_at, traits.echo_wait)
    return max(posting.deadline, (row.last_sent_at or core.now()) + patience)


def _look_later(
    core: Core, claimed: Claimed, pause: timedelta, why: str, reads: int | None = None
) -> Program[Settlement]:
    settlement = Settlement(
        row_of(claimed).id,
        claimed.fence,
        RowState.unknown,
        error=storable(why),
        not_before=core.now() + pause,
        negative_reads=reads,
    )
    yield from settle(core, End(claimed, settlement))
    return settlement


def _send_again(core: Core, claimed: Claimed, why: str) -> Program[Settlement]:
    settlement = Settlement(
        row_of(claimed).id,
        claimed.fence,
        RowState.pending,
        error=why,
        not_before=core.now(),
        negative_reads=0,
    )
    yield from settle(core, End(claimed, settlement))
    return settlement


def _park(core: Core, claimed: Claimed, reason: str = "") -> Program[Settlement]:
    """Show a person what nobody can find out."""
    row = row_of(claimed)
    why = "the platform may or may not have posted it: look there, then resend or cancel"
    if reason:
        why = storable(f"{why} ({reason})"[:500])
    settlement = Settlement(row.id, claimed.fence, RowState.unknown, error=why, hold=why)
    yield from settle(core, End(claimed, settlement, (Hold(row.posting.reply, why),)))
    return settlement
