"""Take facts in: recorded exactly once, whichever way, order and number they arrive in.

One page is one load, pure decisions, one commit. A fact that cannot be decided is
quarantined with its content, and its neighbours go on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import attrs

from supportflow.channels import Unreadable
from supportflow.desk.batch import Batch
from supportflow.desk.clean import cleaned, quarantined
from supportflow.desk.core import Core, commit, retrying
from supportflow.desk.facts import take
from supportflow.desk.telemetry import tell
from supportflow.errors import Conflict, FlowError, InvalidValue, StoreError
from supportflow.flow import Program
from supportflow.model import Fact
from supportflow.stores import ChannelChange, Quarantined

__all__ = ["Taken", "intake"]


@attrs.frozen
class Taken:
    """Hold what became of a page of facts.

    Args:
        recorded: How many were new.
        duplicates: How many were known already; they changed nothing.
        quarantined: How many could not be read.
        conversations: The ids of the conversations that changed.
        more: Whether the channel has more to fetch at once.
        faults: Channels that could not be asked, and why.
    """

    recorded: int = 0
    duplicates: int = 0
    quarantined: int = 0
    conversations: tuple[str, ...] = ()
    more: bool = False
    faults: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Taken) -> Taken:
        return Taken(
            self.recorded + other.recorded,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
            tuple(dict.fromkeys((*self.conversations, *other.conversations))),
            self.more or other.more,
            self.faults + other.faults,
        )


@attrs.frozen
class _Page:
    """Hold what is committed together."""

    channel: str
    facts: tuple[Fact, ...]
    bad: tuple[Quarantined, ...] = ()
    state: ChannelChange | None = None
    replayed: tuple[str, ...] = ()


class _Undecidable(Exception):
    """Say which fact of a page could not be decided, and why; it never leaves this module."""

    def __init__(self, place: int, why: str) -> None:
        self.place, self.why = place, why


def intake(
    core: Core,
    channel: str,
    facts: Iterable[Fact],
    *,
    unreadable: Iterable[Unreadable] = (),
    state: ChannelChange | None = None,
    replayed: tuple[str, ...] = (),
) -> Program[Taken]:
    """Record facts, and everything that follows from them, exactly once.

    Args:
        channel: The name of the channel that they come from.
        facts: The facts, in any order, known ones among them.
        unreadable: Items that the channel could not read; they are quarantined.
        state: The channel's state to commit with the page, its cursor above all.
        replayed: Quarantined items that these facts came from; they stay in quarantine if one
            of the facts goes there.

    Returns:
        What became of them.

    Raises:
        InvalidValue: If the channel has no name, or the facts are no list.
        StoreUnavailable: If nothing could be committed: then nothing was acknowledged.
        Conflict: If others kept changing the same conversation; the facts before it are in.
    """
    if not isinstance(channel, str) or not channel:
        raise InvalidValue(f"channel is {channel!r:.100}; pass a channel's name")
    if not isinstance(facts, Iterable):
        raise InvalidValue(f"facts are {facts!r:.100}; pass a list of facts")
    bad = tuple(quarantined(channel, item.raw, item.why, core.now()) for item in unreadable)
    return (yield from _commit(core, _Page(channel, tuple(facts), bad, state, replayed)))


def _commit(core: Core, page: _Page) -> Program[Taken]:
    """Commit a page; after conflict on conflict halve it, the cursor with the last half."""
    try:
        return (yield from retrying(lambda: _attempt(core, page)))
    except (Conflict, InvalidValue) as error:
        alone = {0: str(error)} if isinstance(error, InvalidValue) else {}
        if not page.facts or (len(page.facts) == 1 and not alone):
            raise
    if len(page.facts) == 1:  # the store cannot hold this one
        return (yield from retrying(lambda: _attempt(core, page, alone)))
    half = len(page.facts) // 2
    first = attrs.evolve(page, facts=page.facts[:half], state=None, replayed=())
    last = attrs.evolve(page, facts=page.facts[half:], bad=())
    return (yield from _commit(core, first)) + (yield from _commit(core, last))


def _attempt(core: Core, page: _Page, refused: dict[int, str] | None = None) -> Program[Taken]:
    """Decide a page anew until every fact is either decided or refused; then commit it."""
    refused = dict(refused or {})
    while True:
        batch = Batch(core, page.channel, core.now())
        try:
            yield from _decide(batch, page.facts, refused)
            break
        except _Undecidable as error:
            refused[error.place] = error.why
    batch.quarantine.update((item.id, item) for item in page.bad)
    replayed = () if batch.quarantine else page.replayed
    yield from commit(core, batch.changes(page.state, replayed))
    if core.reader is not None:
        core.backlog.extend(batch.unread)
    for item in batch.quarantine.values():
        _tell(core, item)
    if batch.recorded:
        tell(core.count, "recorded", amount=batch.recorded, channel=page.channel)
    changed = tuple(batch.events)
    return Taken(batch.recorded, batch.duplicates, len(batch.quarantine), changed)


def _tell(core: Core, item: Quarantined) -> None:
    level = logging.WARNING
    tell(core.count, "quarantined", level, item.why, channel=item.channel, item=item.id)


def _decide(batch: Batch, facts: tuple[Fact, ...], refused: dict[int, str]) -> Program[None]:
    clean: dict[int, Fact] = {}
    for place, fact in enumerate(facts):
        try:
            if place in refused:
                batch.reject(fact, refused[place])
            else:
                clean[place] = cleaned(fact, batch.channel)
        except (InvalidValue, AttributeError, TypeError) as error:
            batch.reject(fact, str(error))
    yield from batch.prepare(tuple(clean.values()))
    for place, fact in clean.items():
        try:
            yield from take(batch, fact)
        except (StoreError, FlowError):
            raise
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise _Undecidable(place, why) from error
