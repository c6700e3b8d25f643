"""Say how a desk is: its store, its workers' lag, and its channels, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import attrs

from supportflow.channels import Checks, Health
from supportflow.desk.check import check
from supportflow.desk.core import Core, find, load
from supportflow.desk.settle import said
from supportflow.errors import StoreError
from supportflow.flow import Program
from supportflow.model import ChannelState
from supportflow.stores import StoreVitals, Vitals, Wanted

__all__ = ["ChannelHealth", "DeskHealth", "health"]

#: How long anything may be due before somebody should look why nobody has done it. Ours: a
#: running desk looks at its outbox every second and at its clocks every five.
LATE = timedelta(minutes=2)
#: How far the store's clock and ours may be apart: leases and windows are minutes long. Ours.
SKEW = timedelta(seconds=5)


@attrs.frozen
class ChannelHealth:
    """Hold how one channel is.

    Args:
        state: What is remembered of it.
        checked: What it said of itself just now; None if it was not asked or cannot say.
        problems: What is wrong, and what to do about it.
    """

    state: ChannelState
    checked: Health | None = None
    problems: tuple[str, ...] = ()


@attrs.frozen
class DeskHealth:
    """Hold how a desk is.

    Args:
        problems: What is wrong with the store and the workers, and what to do about it.
        store: What the store says of itself; None if it could not be reached.
        skew: How far the store's clock is ahead of ours; zero if it could not be reached.
        took: How long the store took to answer; zero if it did not.
        channels: By name.
    """

    problems: tuple[str, ...] = ()
    store: StoreVitals | None = None
    skew: timedelta = timedelta(0)
    took: timedelta = timedelta(0)
    channels: Mapping[str, ChannelHealth] = attrs.field(factory=dict)

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong anywhere."""
        return not self.problems and not any(one.problems for one in self.channels.values())


def health(core: Core, *, check_channels: bool = False) -> Program[DeskHealth]:
    """Say how the store, the workers and the channels are.

    It needs no worker to run and takes no longer the more is stored: a monitor may call it
    every few seconds. It never raises for what it finds; it says it.

    Args:
        check_channels: Whether to ask every platform as well, which takes requests.

    Returns:
        How everything is; `ok` is False if anybody should look.

    Example:
        >>> from supportflow import Desk, MemoryStore
        >>> with Desk(MemoryStore()) as desk:
        ...     desk.health().ok
        True
    """
    asked = core.now()
    try:
        vitals = (yield from find(core, Vitals())).vitals
        names = tuple(sorted(core.channels))
        known = (yield from load(core, Wanted(channels=names))).channels
    except StoreError as error:
        return DeskHealth((f"the store cannot be used: {error}",))
    took = core.now() - asked
    if vitals is None:
        raise TypeError(f"{type(core.store).__name__}.find(Vitals()) returned no vitals")
    skew = vitals.now - asked
    channels = {}
    for name in names:
        state = known.get(name) or ChannelState(name)
        channels[name] = yield from _channel(core, state, check_channels)
    problems = (*_lags(vitals), *_skewed(skew, took))
    return DeskHealth(problems, vitals, skew, took, channels)


def _lags(vitals: StoreVitals) -> Iterator[str]:
    """Yield what has been due for too long."""
    late = vitals.now - LATE
    if vitals.pending_since is not None and vitals.pending_since < late:
        yield (
            f"{vitals.pending} replies wait to be sent, the first since "
            f"{_shown(vitals.pending_since)}: is desk.run() running, and is its channel well?"
        )
    if vitals.unknown_since is not None and vitals.unknown_since < late:
        yield (
            f"{vitals.unknown} replies may or may not be there, the first since "
            f"{_shown(vitals.unknown_since)}: desk.outbox(states=['unknown']) shows them"
        )
    if vitals.overdue:
        yield (
            f"{vitals.overdue} replies are over their deadline: desk.outbox() shows why; "
            "resend or cancel them"
        )
    if vitals.due_since is not None and vitals.due_since < late:
        yield (
            f"nobody has looked at a clock that was due at {_shown(vitals.due_since)}: "
            "is desk.run() or desk.announce() running?"
        )


def _skewed(skew: timedelta, took: timedelta) -> Iterator[str]:
    if abs(skew) > SKEW + took:
        ahead = "ahead of" if skew > timedelta(0) else "behind"
        yield (
            f"the store's clock is {abs(skew).total_seconds():.0f} s {ahead} this computer's: "
            "set both by the same time server"
        )


def _shown(at: datetime) -> str:
    return at.isoformat(" ", "seconds")


def _channel(core: Core, state: ChannelState, ask: bool) -> Program[ChannelHealth]:
    name, problems = state.channel, []
    if state.needs_auth:
        problems.append(f"needs new credentials, then desk.resume({name!r}): {state.needs_auth}")
    if state.fault:
        problems.append(state.fault)
    checked = None
    if ask and isinstance(core.channels[name], Checks):
        try:
            checked = yield from check(core, name)
            problems += checked.problems
        except Exception as error:  # noqa: BLE001  # a channel may be anybody's code
            problems.append(said(error))
    return ChannelHealth(state, checked, tuple(dict.fromkeys(problems)))
