"""Record how attempts to send ended: row, conversation and account in one transaction.

(Over 300 lines, because what an end means, and when it counts, explain each other.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial

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
    Loaded,
    Row,
    RowState,
    Settlement,
    Wanted,
    Written,
)
from supportflow.text import storable

__all__ = [
    "FINAL",
    "End",
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
    name, link = receipt.id, receipt.permalink
    return Receipt(name and storable(name), receipt.at, link and storable(link))


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


@attrs.frozen
class End:
    """Hold how an attempt ended, and what follows from that.

    Args:
        claimed: The claim.
        settlement: How it ended.
        commands: What that means for the conversation.
        channel: What it means for the account.
        holds: Further rows that wait for a person now.
        silent: True if nothing happened that anybody need hear of.
    """

    claimed: Claimed
    settlement: Settlement
    commands: tuple[Command, ...] = ()
    channel: ChannelChange | None = None
    holds: tuple[HoldRows, ...] = ()
    silent: bool = False

    @property
    def proved(self) -> bool:
        """Return whether a receipt says so."""
        return self.settlement.state is RowState.sent


def settle(core: Core, *ends: End, known: Loaded | None = None) -> Program[bool]:
    """Commit the ends of attempts, with everything that follows from them.

    A receipt always counts. Anything else counts only while the claim is still ours and
    the row is not final. Whoever was told that a reply is late is not told again when, after
    its deadline, it is left to them; nor the other way round. Several ends are one transaction;
    if that cannot be, each is one of its own.

    Args:
        core: The desk's core.
        ends: How they ended.
        known: The rows' conversations as they were before; if they are others by now, that
            is found out. Not for rows that are left to a person after their deadline.

    Returns:
        Whether any of them counted.

    Raises:
        StoreUnavailable: If the store could not take it; the rows' leases will end.
    """
    if len(ends) > 1 or known is not None:
        try:
            return (yield from _committed(core, ends, known))
        except Exception:  # noqa: BLE001, S110  # whatever one of them met, the others still count
            pass
    return (yield from _each(core, ends))


def _each(core: Core, ends: Sequence[End]) -> Program[bool]:
    counted, failed = False, list[Exception]()
    for end in ends:
        try:
            counted |= yield from _alone(core, end)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # raised when all had their turn
            failed.append(error)
    if failed:
        raise failed[0]
    return counted


def _alone(core: Core, end: End) -> Program[bool]:
    for left in reversed(range(_INSIST if end.proved else 1)):
        try:
            return (yield from retrying(partial(_committed, core, (end,), None)))
        except Conflict as error:
            tell(core.count, "settle_conflict", logging.WARNING, error, row=end.settlement.row)
        except StoreUnavailable:
            if not left:
                raise
            yield Wait(_PAUSE)
    return False


def _committed(core: Core, ends: Sequence[End], known: Loaded | None) -> Program[bool]:
    """Commit ends, as things are now or as they were known; return whether any of them counts."""
    if known is None or not _suffices(known, ends):
        loaded = yield from _now(core, ends)
    else:
        loaded = yield from _as_known(core, ends, known)
    what = [_Follows(core, end, row, loaded) for end, row in _counting(ends, loaded)]
    written = tuple(written for each in what for written in each.written)
    if len({change.after.id for change in written}) < len(written):
        raise Conflict("two of these ends change the same conversation")
    if what:
        changes = Changes(
            core.now(),
            conversations=written,
            merged=tuple(pair for each in what for pair in each.merged),
            settlements=tuple(each.end.settlement for each in what),
            holds=tuple(hold for each in what for hold in each.holds()),
            channels=tuple(each.end.channel for each in what if each.end.channel is not None),
            once={key: "" for each in what for key in each.once()},
        )
        yield from commit(core, changes)
        for each in what:
            each.tell()
    return bool(what)


def _suffices(known: Loaded, ends: Sequence[End]) -> bool:
    """Return whether all is known that ends depend on, but for what answers opened early."""
    rows = [row_of(end.claimed) for end in ends]
    abouts = {row.posting.conversation for row in rows if row.posting.conversation is not None}
    found = [known.conversations.get(about) for about in abouts]
    return all(each is not None and each.merged_into is None for each in found)


def _as_known(core: Core, ends: Sequence[End], known: Loaded) -> Program[Loaded]:
    """Return rows and conversations as they were, and what early answers opened."""
    rows = {end.settlement.row: row_of(end.claimed) for end in ends}
    places = _places(ends, rows)
    opened = (yield from load(core, Wanted(threads=places))) if places else Loaded()
    return attrs.evolve(opened, rows=rows, conversations=known.conversations)


def _now(core: Core, ends: Sequence[End]) -> Program[Loaded]:
    """Return the rows and their conversations as they are now, and what early answers opened.

    And, of those that are left to a person after their deadline, whether they know that it is
    late. Row and conversation are of one moment: whoever settled between two looks would be told
    twice.
    """
    rows = {end.settlement.row: row_of(end.claimed) for end in ends}
    while True:
        abouts = (row.posting.conversation for row in rows.values())
        late = (
            _alarm(row, late_key(row))
            for row, end in zip(rows.values(), ends, strict=True)
            if _parks(core, row, end.settlement)
        )
        wanted = Wanted(
            rows=tuple(rows),
            conversations=tuple(dict.fromkeys(about for about in abouts if about)),
            threads=_places(ends, rows),
            once=tuple(late),
        )
        loaded = yield from load(core, wanted)
        moved = {
            name: found
            for name, found in loaded.rows.items()
            if found.posting.conversation != rows[name].posting.conversation
        }
        if not moved:
            return loaded
        rows |= moved  # to another conversation, by a merge or an erasure


def _places(ends: Sequence[End], rows: Mapping[str, Row]) -> tuple[tuple[str, str], ...]:
    """Return the threads that answers to what was sent may have opened, before its id was known."""
    return tuple(
        (rows[end.settlement.row].posting.channel, end.settlement.receipt.id)
        for end in ends
        if end.settlement.receipt is not None and end.settlement.receipt.id
    )


def _counting(ends: Sequence[End], loaded: Loaded) -> Iterator[tuple[End, Row]]:
    for end in ends:
        row = loaded.rows.get(end.settlement.row)
        if row is not None and (end.proved or _ours(row, end.claimed)):
            yield end, row


def _parks(core: Core, row: Row, settlement: Settlement) -> bool:
    parked = settlement.state is RowState.unknown and bool(settlement.hold)
    return parked and core.now() >= row.posting.deadline


def _ours(row: Row, claimed: Claimed) -> bool:
    return row.fence == claimed.fence and row.state not in FINAL


class _Follows:
    """Find what one end means for the row's conversation and for those who look at it."""

    def __init__(self, core: Core, end: End, row: Row, loaded: Loaded) -> None:
        self.core, self.end, self.row = core, end, row
        self.events = list[Event]()
        self.written: tuple[Written, ...] = ()
        self.merged: tuple[tuple[str, str], ...] = ()
        before = loaded.conversations.get(row.posting.conversation or "")
        if before is not None and end.commands and row.state is not RowState.sent:
            after = self._decided(before, loaded)
            receipt = end.settlement.receipt
            place = (row.posting.channel, (receipt and receipt.id) or "")
            if self.events:
                self._write(before, after, loaded.threads.get(place))

    def _decided(self, before: Conversation, loaded: Loaded) -> Conversation:
        core, after = self.core, before
        told = _alarm(self.row, late_key(self.row)) in loaded.once
        for command in self.end.commands:
            decided = decide(after, command, core.now(), rules=core.rules)
            if told:
                decided = tuple(e for e in decided if not isinstance(e, Announced))
            after = fold(core, after, decided)
            self.events += decided
        return after

    def _write(self, before: Conversation, after: Conversation, stray: Conversation | None) -> None:
        """Write the conversation, and what an answer to words of unknown id opened into it."""
        core, events = self.core, tuple(self.events)
        if stray is None or stray.merged_into is not None or stray.customer != before.customer:
            self.written = (written(core, before.version, after, events),)
            return
        ended, absorbed = merge(stray, after, core.now())
        after = fold(core, after, absorbed)
        self.written = (
            written(core, stray.version, fold(core, stray, ended), ended),
            written(core, before.version, after, (*events, *absorbed)),
        )
        self.merged = ((stray.id, before.id),)

    def holds(self) -> Iterator[HoldRows]:
        """Yield the rows that wait for a person from now on."""
        yield from self.end.holds
        yield from (HoldRows(e.reply, e.why) for e in self.events if isinstance(e, Held))

    def once(self) -> Iterator[str]:
        """Yield what names the alarms that are raised."""
        keys = [_alarm(self.row, e.key) for e in self.events if isinstance(e, Announced)]
        yield from keys
        if keys and _parks(self.core, self.row, self.end.settlement):
            yield _alarm(self.row, late_key(self.row))

    def tell(self) -> None:
        """Tell operators what became of the row."""
        core, settlement, posting = self.core, self.end.settlement, self.row.posting
        if self.end.silent:
            return
        tell(
            core.count,
            "outbox",
            logging.INFO if self.end.proved else logging.WARNING,
            settlement.error,
            state=settlement.state,
            row=self.row.id,
            channel=posting.channel,
            conversation=posting.conversation,
            attempt=self.row.attempt,
        )
        for event in self.events:
            if isinstance(event, Announced):
                tell_alarm(core, event, posting.conversation)


def _alarm(row: Row, key: str) -> str:
    return f"alarm:{row.posting.conversation}:{key}"


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
