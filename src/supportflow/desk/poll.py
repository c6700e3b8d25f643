"""Ask polled channels for news, and commit each page together with its cursor."""

from __future__ import annotations

import attrs

from supportflow.channels import Page, Polls
from supportflow.desk.core import Core, load
from supportflow.desk.intake import Taken, intake
from supportflow.errors import Unsupported
from supportflow.flow import Program
from supportflow.model import ChannelState
from supportflow.stores import Wanted

__all__ = ["poll"]


def poll(core: Core, channel: str | None = None) -> Program[Taken]:
    """Fetch one page from each polled channel, or from one, and record it.

    Args:
        channel: The channel's name; all that can be polled by default.

    Returns:
        What became of the facts; `more` says whether to poll again at once.

    Raises:
        NotFound: If the desk has no channel of that name.
        Unsupported: If that channel cannot be polled.
        TransportError: If the platform cannot be reached; nothing was lost.
    """
    if channel is not None and not isinstance(core.channel(channel), Polls):
        raise Unsupported(f"{channel} cannot be polled; it takes webhooks")
    names = [channel] if channel is not None else sorted(core.channels)
    total = Taken()
    for name in names:
        if isinstance(core.channels[name], Polls):
            total += yield from _poll_one(core, name)
    return total


def _poll_one(core: Core, name: str) -> Program[Taken]:
    loaded = yield from load(core, Wanted(channels=(name,)))
    state = loaded.channels.get(name) or ChannelState(name)
    channel = core.channel(name).using(state)
    if not isinstance(channel, Polls):
        raise Unsupported(f"{name} cannot be polled once it knows its state; using() changed it")
    page: Page = yield from channel.poll(state.cursor)
    moved = attrs.evolve(state, cursor=page.cursor, checked_at=core.now(), fault="")
    taken = yield from intake(core, name, page.facts, unreadable=page.unreadable, state=moved)
    return attrs.evolve(taken, more=page.more)
