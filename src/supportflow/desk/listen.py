"""Listen to what people say of us, or of others, without addressing us; nobody is answered by it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from supportflow.channels import Page, Searches
from supportflow.desk.accounts import faulted, remembered
from supportflow.desk.arguments import limit_of, perhaps
from supportflow.desk.clean import cleaned, described, quarantined
from supportflow.desk.core import Core, Listing, claim, commit, find, load, whoami
from supportflow.desk.flows import flowing
from supportflow.desk.settle import said
from supportflow.desk.telemetry import tell
from supportflow.errors import InvalidValue, StoreError, Unsupported
from supportflow.flow import Program
from supportflow.model import Fact, Inbound, aware
from supportflow.stores import (
    Changes,
    ChannelChange,
    ChannelLease,
    Mention,
    MentionCount,
    MentionCounts,
    Mentions,
    Quarantined,
    Wanted,
    Work,
    WorkKind,
)

__all__ = ["Heard", "Search", "listen", "mention_counts", "mentions", "searched", "searches_of"]

#: How long a channel is ours to search; longer than a page can take.
LEASE = timedelta(seconds=120)
#: Where `ChannelState.learned` keeps how far a search has come.
_PLACE = "search:"


def _named(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise InvalidValue(f"channels is {value!r}; pass a list of names")
    return tuple(value)


@attrs.frozen
class Search:
    """Ask for what people say of something: a brand, a product, a competitor.

    Args:
        query: What to search for, as the networks' own search takes it.
        channels: The names of the channels to search on; by default all that can, but for
            those whose network charges for it (`Traits.cost["search"]`): name these.
        every: How long between two looks, at least a minute.

    Raises:
        InvalidValue: If the query is empty, or the pause too short.

    Example:
        >>> Search("Kettle & Co").channels
        ()
    """

    query: str
    channels: tuple[str, ...] = attrs.field(default=(), converter=_named)
    every: timedelta = timedelta(minutes=15)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.query, str) or not self.query.strip():
            raise InvalidValue(f"query is {self.query!r:.100}; say what to search for")
        if self.every < timedelta(minutes=1):
            raise InvalidValue(f"every is {self.every}; networks are asked once a minute at most")


def searches_of(given: Iterable[Search | str]) -> tuple[Search, ...]:
    """Return searches; a plain text is a query on every channel that searches for nothing.

    Args:
        given: Searches, or queries.

    Raises:
        InvalidValue: If two have the same query, or something is neither.
    """
    if isinstance(given, str):
        raise InvalidValue(f"searches is {given!r:.100}; pass a list")
    found = tuple(each if isinstance(each, Search) else Search(each) for each in given)
    if len({search.query for search in found}) < len(found):
        raise InvalidValue("two searches have the same query; name all channels in one of them")
    return found


def searched(core: Core, name: str) -> tuple[Search, ...]:
    """Return what is searched for on a channel.

    Args:
        core: The desk's core.
        name: The channel's name.
    """
    channel = core.channel(name)
    if not isinstance(channel, Searches):
        return ()
    free = "search" not in channel.traits.cost
    return tuple(s for s in core.searches if name in s.channels or (free and not s.channels))


@attrs.frozen
class Heard:
    """Hold what a round of listening brought.

    Args:
        found: How many mentions it brought, known ones among them.
        quarantined: How many could not be read.
        more: Whether there is more to fetch at once.
        faults: Channels that could not be searched, and why.
    """

    found: int = 0
    quarantined: int = 0
    more: bool = False
    faults: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Heard) -> Heard:
        return Heard(
            self.found + other.found,
            self.quarantined + other.quarantined,
            self.more or other.more,
            self.faults + other.faults,
        )


def listen(core: Core, channel: str | None = None, query: str | None = None) -> Program[Heard]:
    """Fetch one page of what people say, for every search on every channel, and keep it.

    What is found is kept apart from conversations: it starts no clock, and nothing answers it.
    What was addressed to us as well is answered where it came in, and is not shown as a mention.

    Args:
        channel: Only on this channel; on all by default.
        query: Only this search.

    Returns:
        How much was found. A channel that failed is named in `faults`, and stops no other.

    Raises:
        NotFound: If the desk has no channel of that name.
        Unsupported: If that channel cannot search.
    """
    if channel is not None and not isinstance(core.channel(channel), Searches):
        raise Unsupported(f"{channel} cannot search; see `traits.unsupported` for what to do")
    total = Heard()
    for name in sorted(core.channels) if channel is None else (channel,):
        for search in searched(core, name):
            if query in (None, search.query):
                total += yield from _search_safely(core, name, search.query)
    return total


def _search_safely(core: Core, name: str, query: str) -> Program[Heard]:
    worker = yield from whoami(core)
    for claimed in (yield from claim(core, Work(WorkKind.poll, (name,), LEASE), worker, 1)):
        lease = claimed.lease
        if lease is None or (lease.state.paused_until or core.now()) > core.now():
            continue
        try:
            return (yield from _search(core, lease, query))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # a channel may be anybody's code
            why = said(error)
            yield from commit(core, Changes(core.now(), channels=(faulted(core, name, error),)))
        tell(core.count, "search_failed", logging.WARNING, why, channel=name, query=query)
        return Heard(faults=((name, why),))
    return Heard()


def _search(core: Core, lease: ChannelLease, query: str) -> Program[Heard]:
    name, place = lease.channel, _PLACE + query
    channel = core.channel(name).using(lease.state)
    if not isinstance(channel, Searches):
        raise Unsupported(f"{name} cannot search once it knows its state; using() changed it")
    flow = channel.search(query, lease.state.learned.get(place))
    page: object = yield from flowing(flow, f"{name}.search()")
    if not isinstance(page, Page):
        raise TypeError(f"{name}.search() returned {type(page).__name__}, not a Page")
    now = core.now()
    bad = {
        item.id: item for item in (quarantined(name, u.raw, u.why, now) for u in page.unreadable)
    }
    said_of_us = _readable(core, name, query, page.facts, bad)
    known = yield from load(core, Wanted(messages=tuple(m.message.key for m in said_of_us)))
    fresh = tuple(m for m in said_of_us if m.message.key not in known.erased)
    change = yield from remembered(core, ChannelChange(name), {**page.learned, place: page.cursor})
    changes = Changes(now, quarantine=tuple(bad.values()), mentions=fresh, channels=(change,))
    yield from commit(core, changes)
    for item in bad.values():
        tell(core.count, "quarantined", logging.WARNING, item.why, channel=name, item=item.id)
    if fresh:
        tell(core.count, "mentions", amount=len(fresh), channel=name)
    return Heard(len(fresh), len(bad), page.more)


def _readable(
    core: Core, name: str, query: str, facts: Iterable[Fact], bad: dict[str, Quarantined]
) -> list[Mention]:
    """Return what others wrote; what cannot be stored is put beside `bad`, our own words aside."""
    found: list[Mention] = []
    for fact in facts:
        try:
            clean = cleaned(fact, name)
        except (InvalidValue, AttributeError, TypeError) as error:
            item = quarantined(name, described(fact), str(error), core.now())
            bad[item.id] = item
            continue
        if isinstance(clean, Inbound):
            found.append(Mention(query, clean.message))
    return found


def mentions(
    core: Core,
    *,
    query: str | None = None,
    channel: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
    after: str | None = None,
) -> Program[Listing[Mention]]:
    """Return what people said of us without addressing us, oldest first.

    Args:
        query: That this search found.
        channel: On this channel.
        since: Not older than this (aware).
        until: Older than this (aware).
        limit: How many at most.
        after: The `after` of the previous page.

    Raises:
        InvalidValue: If a time is naive, the limit under 1, or `after` not of a page.
    """
    wanted = Mentions(
        perhaps(query, "query"),
        perhaps(channel, "channel"),
        since=None if since is None else aware(since, "since"),
        until=None if until is None else aware(until, "until"),
        limit=limit_of(limit),
        after=perhaps(after, "after"),
    )
    found = yield from find(core, wanted)
    return Listing.of(found.mentions, found.after)


def mention_counts(
    core: Core, *, since: datetime | None = None, until: datetime | None = None
) -> Program[tuple[MentionCount, ...]]:
    """Return how often people spoke of what is searched for, by query, channel and day (UTC).

    Args:
        since: Not older than this (aware).
        until: Older than this (aware).

    Raises:
        InvalidValue: If a time is naive.
    """
    counted = MentionCounts(
        None if since is None else aware(since, "since"),
        None if until is None else aware(until, "until"),
    )
    return (yield from find(core, counted)).counts
