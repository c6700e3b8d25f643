"""Record how an attempt to send ended: row, conversation and account in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

import attrs

from supportflow.desk.core import Core, commit, fold, load, retrying, written
from supportflow.desk.telemetry import tell
from supportflow.errors import Conflict, StoreUnavailable
from supportflow.events import Announced, Event, Held
from supportflow.flow import Program, Wait
from supportflow.machine import decide, merge
from supportflow.model import Announce, Command, Conversation, Receipt
from supportflow.stores import (
    Changes,
    ChannelChange,
    Claimed,
    HoldRows,
    Row,
    RowState,
    Settlement,
    Wanted,
    Written,
)
from supportflow.text import storable

__all__ = [
    "FINAL",
    "backoff",
    "late_key",
    "plain_receipt",
    "row_of",
    "said",
    "settle",
    "tell_alarm",
]

#: States of a row that nothing but a receipt changes any more.
FINAL = frozenset({RowState.sent, RowState.failed, RowState.cancelled})
#: The shortest and longest pause before a send that certainly failed is tried again. Ours.
_FIRST, _LONGEST = timedelta(seconds=2), timedelta(minutes=15)
#: How often a receipt is offered to a store that cannot take it, and the pause between, in
#: seconds: without it, what is known becomes unknown. Ours.
_INSIST, _PAUSE = 3, 0.5


def backoff(attempt: int, jitter: float) -> timedelta:
    """Return how long to wait before the next attempt: doubling, jittered, bounded.

    Args:
        attempt: How often it was tried, from 1.
        jitter: From 0 to 1; spreads workers over half the pause.
    """
    pause = min(_FIRST * (1 << min(max(attempt - 1, 0), 20)), _LONGEST)
    return pause * (0.5 + jitter / 2)


def said(error: BaseException) -> str:
    """Return what an error says, in storable form and bounded.

    Args:
        error: Any error.
    """
    return storable(f"{type(error).__name__}: {error}"[:500])


def plain_receipt(receipt: Receipt) -> Receipt:
    """Return a platform's receipt in storable form.

    Args:
        receipt: What a channel returned.

    Raises:
        TypeError: If its id is no text.
    """
    if receipt.id is not None and not isinstance(receipt.id, str):
        raise TypeError(f"the id of a receipt is {type(receipt.id).__name__}, not str")
    return attrs.evolve(
        receipt,
        id=receipt.id and storable(receipt.id),
        permalink=receipt.permalink and storable(receipt.permalink),
    )


def row_of(claimed: Claimed) -> Row:
    """Return the outbox row of a claim of sending or reconciling."""
    if claimed.row is None:
        raise TypeError("this claim is of a channel, not of an outbox row")
    return claimed.row


def late_key(row: Row) -> str:
    """Return what names the one alarm about a reply that is not final at its deadline.

    Args:
        row: A row of the reply.
    """
    return f"late:{row.posting.reply}"


def settle(
    core: Core,
    claimed: Claimed,
    settlement: Settlement,
    *commands: Command,
    channel: ChannelChange | None = None,
    holds: tuple[HoldRows, ...] = (),
) -> Program[bool]:
    """Commit the end of an attempt with everything that follows from it.

    A receipt always counts. Anything else counts only while the claim is still ours and
    the row is not final. Whoever was told that a reply is late is not told again when, after
    its deadline, it is left to them; nor the other way round.

    Args:
        core: The desk's core.
        claimed: The claim.
        settlement: How it ended.
        commands: What that means for the conversation.
        channel: What it means for the account.
        holds: Further rows that wait for a person now.

    Returns:
        Whether it counted.

    Raises:
        StoreUnavailable: If the store could not take it; the row's lease will end.
    """
    proved = settlement.state is RowState.sent

    def attempt() -> Program[bool]:
        row, before, stray, told = yield from _now(core, row_of(claimed), settlement)
        known = row is not None and row.state is RowState.sent
        if row is None or not (proved or _ours(row, claimed)):
            return False
        follow = _Followed()
        if before is not None and commands and not known:
            follow = _follow(core, before, commands, stray, told)
        changes = Changes(
            core.now(),
            conversations=follow.conversations,
            merged=follow.merged,
            settlements=(settlement,),
            holds=(*holds, *(HoldRows(e.reply, e.why) for e in follow.events if type(e) is Held)),
            channels=() if channel is None else (channel,),
            once=_once(row, follow.events, parked=_parks(core, row, settlement)),
        )
        yield from commit(core, changes)
        _tell(core, row, settlement, follow.events)
        return True

    for left in reversed(range(_INSIST if proved else 1)):
        try:
            return (yield from retrying(attempt))
        except Conflict as error:
            tell(core.count, "settle_conflict", logging.WARNING, error, row=settlement.row)
        except StoreUnavailable:
            if not left:
                raise
            yield Wait(_PAUSE)
    return False


def _now(
    core: Core, row: Row, settlement: Settlement
) -> Program[tuple[Row | None, Conversation | None, Conversation | None, bool]]:
    """Return the row and its conversation as they are now, and what an early answer has opened.

    And, of one that is left to a person after its deadline, whether they know that it is late.
    Row and conversation are of one moment: whoever settled between two looks would be told twice.
    """
    remote = settlement.receipt.id if settlement.receipt else None
    place = (row.posting.channel, remote or "")
    late = (_alarm(row, late_key(row)),) if _parks(core, row, settlement) else ()
    while True:
        about = row.posting.conversation or ""
        wanted = Wanted(
            rows=(row.id,),
            conversations=(about,) if about else (),
            threads=(place,) if remote else (),
            once=late,
        )
        loaded = yield from load(core, wanted)
        found = loaded.rows.get(row.id)
        if found is None or (found.posting.conversation or "") == about:
            stray = loaded.threads.get(place)
            return found, loaded.conversations.get(about), stray, bool(loaded.once)
        row = found  # it moved to another conversation, by a merge or an erasure


def _parks(core: Core, row: Row, settlement: Settlement) -> bool:
    parked = settlement.state is RowState.unknown and bool(settlement.hold)
    return parked and core.now() >= row.posting.deadline


def _ours(row: Row, claimed: Claimed) -> bool:
    return row.fence == claimed.fence and row.state not in FINAL


@attrs.frozen
class _Followed:
    """Hold what the end of an attempt means for conversations."""

    conversations: tuple[Written, ...] = ()
    events: tuple[Event, ...] = ()
    merged: tuple[tuple[str, str], ...] = ()


def _follow(
    core: Core,
    before: Conversation,
    commands: tuple[Command, ...],
    stray: Conversation | None,
    told: bool,
) -> _Followed:
    after, events, now = before, list[Event](), core.now()
    for command in commands:
        decided = decide(after, command, now, rules=core.rules)
        if told:
            decided = tuple(e for e in decided if not isinstance(e, Announced))
        after = fold(core, after, decided)
        events += decided
    if not events:
        return _Followed()
    if stray is None or stray.merged_into is not None or stray.customer != before.customer:
        return _Followed((_change(core, before, after, events),), tuple(events))
    ended, absorbed = merge(stray, after, now)
    after = fold(core, after, absorbed)
    return _Followed(
        (
            _change(core, stray, fold(core, stray, ended), ended),
            _change(core, before, after, (*events, *absorbed)),
        ),
        tuple(events),
        ((stray.id, before.id),),
    )


def _change(
    core: Core, before: Conversation, after: Conversation, events: list[Event] | tuple[Event, ...]
) -> Written:
    return written(core, before.version, after, tuple(events))


def _once(row: Row, events: tuple[Event, ...], *, parked: bool) -> Mapping[str, str]:
    keys = [_alarm(row, e.key) for e in events if isinstance(e, Announced)]
    if keys and parked:
        keys.append(_alarm(row, late_key(row)))
    return dict.fromkeys(keys, "")


def _alarm(row: Row, key: str) -> str:
    return f"alarm:{row.posting.conversation}:{key}"


def _tell(core: Core, row: Row, settlement: Settlement, events: tuple[Event, ...]) -> None:
    level = logging.INFO if settlement.state is RowState.sent else logging.WARNING
    posting = row.posting
    tell(
        core.count,
        "outbox",
        level,
        settlement.error,
        state=settlement.state,
        row=row.id,
        channel=posting.channel,
        conversation=posting.conversation,
        attempt=row.attempt,
    )
    for event in events:
        if isinstance(event, Announced):
            tell_alarm(core, event, posting.conversation)


def tell_alarm(core: Core, announced: Announced | Announce, about: str | None) -> None:
    """Tell operators that something must reach a person.

    Args:
        core: The desk's core.
        announced: What.
        about: The id of the conversation, or the stream.
    """
    tell(
        core.count,
        "alarm",
        logging.WARNING,
        announced.why,
        kind=announced.kind,
        about=about,
        due=announced.due,
    )
