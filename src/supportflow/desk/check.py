"""Ask a channel how it is, and remember what it found out."""

from __future__ import annotations

from supportflow.channels import Checks, Health
from supportflow.desk.accounts import faulted, prepared, remembered
from supportflow.desk.core import Core, commit
from supportflow.desk.flows import flowing
from supportflow.errors import StoreError, Unsupported
from supportflow.flow import Program
from supportflow.stores import Changes, ChannelChange
from supportflow.text import storable

__all__ = ["check"]

#: How many characters of a channel's problems are kept as its fault. Ours.
_SHOWN = 500


def check(core: Core, channel: str) -> Program[Health]:
    """Ask a channel about its credentials, scopes and subscriptions.

    What it found out of its platform's limits is remembered, and what is wrong is its `fault`
    until it works again.

    Args:
        channel: The channel's name.

    Returns:
        How it is.

    Raises:
        NotFound: If the desk has no channel of that name.
        Unsupported: If that channel cannot say how it is.
        TransportError: If its platform cannot be reached.
    """
    name = core.channel(channel).name
    if not isinstance(core.channel(name), Checks):
        raise Unsupported(f"{name} cannot say how it is; it has no check()")
    try:
        health = yield from _health(core, name)
    except StoreError:
        raise
    except Exception as error:
        yield from commit(core, Changes(core.now(), channels=(faulted(core, name, error),)))
        raise
    fault = storable("; ".join(health.problems)[:_SHOWN])
    change = ChannelChange(name, checked_at=core.now(), fault="" if health.ok else fault)
    change = yield from remembered(core, change, health.learned)
    yield from commit(core, Changes(core.now(), channels=(change,)))
    return health


def _health(core: Core, name: str) -> Program[Health]:
    channel, _ = yield from prepared(core, name)
    if not isinstance(channel, Checks):
        raise Unsupported(
            f"{name} cannot say how it is once it knows its state; using() changed it"
        )
    found: object = yield from flowing(channel.check(), f"{name}.check()")
    if not isinstance(found, Health):
        raise TypeError(f"{name}.check() returned {type(found).__name__}, not a Health")
    return found
