"""Ask polled channels for news, and commit each page together with its cursor."""

from __future__ import annotations

import logging
from datetime import timedelta

import attrs

from supportflow.channels import NeedsAuth, Page, Polls, Receives
from supportflow.desk.accounts import faulted, remembered
from supportflow.desk.core import Core, claim, commit, whoami
from supportflow.desk.flows import flowing
from supportflow.desk.intake import Taken, intake
from supportflow.desk.renew import renewed_since
from supportflow.desk.settle import said
from supportflow.desk.telemetry import tell
from supportflow.errors import StoreError, Unsupported
from supportflow.flow import Program
from supportflow.stores import Changes, ChannelChange, ChannelLease, Work, WorkKind

__all__ = ["poll"]

#: How long a channel is ours to poll; longer than a page can take.
LEASE = timedelta(seconds=120)


def poll(core: Core, channel: str | None = None) -> Program[Taken]:
    """Fetch one page from each polled channel, or from one, and record it.

    A channel that another worker polls at this moment is left to it, and one that is paused
    to its platform's rate limit. What goes wrong with a channel is recorded as its `fault`;
    where all are polled, a sick one stops no other: it is logged and named in `faults`.

    Args:
        channel: The channel's name; all that can be polled by default.

    Returns:
        What became of the facts; `more` says whether to poll again at once.

    Raises:
        NotFound: If the desk has no channel of that name.
        Unsupported: If that channel cannot be polled.
        TransportError: If that channel's platform cannot be reached; nothing was lost.
        PayloadError: If that channel's platform answers what cannot be read.
    """
    if channel is not None:
        if not isinstance(core.channel(channel), Polls):
            taken = isinstance(core.channel(channel), Receives)
            how = "it takes webhooks" if taken else "nothing comes in by it"
            raise Unsupported(f"{channel} cannot be polled; {how}")
        return (yield from _poll_one(core, channel))
    total = Taken()
    for name in sorted(core.channels):
        if isinstance(core.channels[name], Polls):
            total += yield from _poll_safely(core, name)
    return total


def _poll_safely(core: Core, name: str) -> Program[Taken]:
    try:
        return (yield from _poll_one(core, name))
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  # a channel may be anybody's code
        why = said(error)
    tell(core.count, "poll_failed", logging.WARNING, why, channel=name)
    return Taken(faults=((name, why),))


def _poll_one(core: Core, name: str) -> Program[Taken]:
    worker = yield from whoami(core)
    claims = yield from claim(core, Work(WorkKind.poll, (name,), LEASE), worker, 1)
    for claimed in claims:
        if claimed.lease is not None and not _paused(core, claimed.lease):
            return (yield from _poll_leased(core, claimed.lease, claimed.fence))
    return Taken()


def _paused(core: Core, lease: ChannelLease) -> bool:
    until = lease.state.paused_until
    return until is not None and core.now() < until


def _poll_leased(core: Core, lease: ChannelLease, fence: int) -> Program[Taken]:
    name = lease.channel
    try:
        page = yield from _page(core, lease)
    except Exception as error:
        used = core.channel(name).using(lease.state)
        if isinstance(error, NeedsAuth) and (yield from renewed_since(core, used)):
            return Taken(more=True)
        yield from commit(core, Changes(core.now(), channels=(faulted(core, name, error),)))
        raise
    # Who comes too late adds what is new, and does not move the cursor back.
    moved = ChannelChange(name, page.cursor, checked_at=core.now(), fault="", fence=fence)
    moved = yield from remembered(core, moved, page.learned)
    taken = yield from intake(core, name, page.facts, unreadable=page.unreadable, state=moved)
    return attrs.evolve(taken, more=page.more)


def _page(core: Core, lease: ChannelLease) -> Program[Page]:
    channel = core.channel(lease.channel).using(lease.state)
    if not isinstance(channel, Polls):
        raise Unsupported(
            f"{lease.channel} cannot be polled once it knows its state; using() changed it"
        )
    asked = channel.poll(lease.state.cursor)
    page: object = yield from flowing(asked, f"{lease.channel}.poll()")
    if not isinstance(page, Page):
        raise TypeError(f"{lease.channel}.poll() returned {type(page).__name__}, not a Page")
    return page
