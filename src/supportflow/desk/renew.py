"""Let a channel renew its credentials: one worker at a time, and committed before they are used."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from supportflow.channels import Channel, Renews
from supportflow.desk.accounts import fingerprint
from supportflow.desk.core import Core, claim, commit, whoami
from supportflow.desk.flows import flowing
from supportflow.desk.settle import said
from supportflow.desk.telemetry import tell
from supportflow.errors import StoreError, Unsupported
from supportflow.flow import Program
from supportflow.model import ChannelState
from supportflow.stores import Changes, ChannelChange, ChannelLease, Work, WorkKind

__all__ = ["renew", "renewed_since"]

#: How long a channel is ours to renew; longer than its requests can take.
LEASE = timedelta(seconds=120)
#: Credentials that are refused so soon after they were renewed are not renewed again: something
#: else is wrong, and a person must look. Ours.
_SOON = timedelta(minutes=5)
#: Where `ChannelState.learned` keeps when that was.
_AT = "renewed_at"


def renew(core: Core, channel: str) -> Program[bool]:
    """Renew a channel's credentials now; a desk does so by itself when they are refused.

    Args:
        channel: The channel's name.

    Returns:
        Whether they are new; False while another worker is at it.

    Raises:
        NotFound: If the desk has no channel of that name.
        Unsupported: If that channel cannot renew anything.
        SendError: If the platform refuses, for example because somebody must log in again.
        TransportError: If the platform cannot be reached.
    """
    name = core.channel(channel).name
    if not isinstance(core.channel(name), Renews):
        raise Unsupported(f"{name} cannot renew its credentials; make new ones at the platform")
    lease = yield from _leased(core, name)
    return lease is not None and (yield from _renew(core, lease))


def renewed_since(core: Core, used: Channel) -> Program[bool]:
    """Say whether credentials that were just refused are others by now, or could be renewed.

    Args:
        core: The desk's core.
        used: The channel with the credentials that were refused.
    """
    if not isinstance(used, Renews):
        return False
    lease = yield from _leased(core, used.name)
    if lease is None:
        return False
    fresh = core.channel(used.name).using(lease.state)
    if fingerprint(fresh, lease.state) != fingerprint(used, lease.state):
        return True  # somebody was faster
    if _just_now(core, lease.state):
        return False
    try:
        return (yield from _renew(core, lease))
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  # a channel may be anybody's code
        tell(core.count, "renew_failed", logging.WARNING, said(error), channel=used.name)
        return False


def _just_now(core: Core, state: ChannelState) -> bool:
    at = state.learned.get(_AT)
    return isinstance(at, str) and core.now() < datetime.fromisoformat(at) + _SOON


def _leased(core: Core, name: str) -> Program[ChannelLease | None]:
    worker = yield from whoami(core)
    claims = yield from claim(core, Work(WorkKind.poll, (name,), LEASE), worker, 1)
    return claims[0].lease if claims else None


def _renew(core: Core, lease: ChannelLease) -> Program[bool]:
    """Renew, unless another thread of this worker, whose lease is the same, is at it."""
    mine = object()
    if core.renewing.setdefault(lease.channel, mine) is not mine:
        return False
    try:
        yield from _exchange(core, lease)
    finally:
        del core.renewing[lease.channel]
    return True


def _exchange(core: Core, lease: ChannelLease) -> Program[None]:
    name = lease.channel
    channel = core.channel(name).using(lease.state)
    if not isinstance(channel, Renews):
        raise Unsupported(f"{name} cannot renew once it knows its state; using() changed it")
    state: object = yield from flowing(channel.renew(), f"{name}.renew()")
    if not isinstance(state, ChannelState):
        raise TypeError(f"{name}.renew() returned {type(state).__name__}, not a ChannelState")
    change = ChannelChange(
        name,
        credentials={**lease.state.credentials, **state.credentials},
        learned={**lease.state.learned, **state.learned, _AT: core.now().isoformat()},
        needs_auth="",
        fault="",
    )
    yield from commit(core, Changes(core.now(), channels=(change,)))
    tell(core.count, "renewed", channel=name)
