"""Pause an account, hold it until its credentials are new, and let it go on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import attrs

from supportflow.channels import Channel, RateLimited
from supportflow.desk.core import Core, commit, load
from supportflow.desk.settle import said
from supportflow.flow import Program
from supportflow.model import ChannelState, Secret
from supportflow.stores import Changes, ChannelChange, Wanted
from supportflow.text import storable

__all__ = [
    "faulted",
    "fingerprint",
    "needing_auth",
    "paused",
    "prepared",
    "remembered",
    "renewed",
    "resume",
]

#: The longest pause that a platform can ask for (RELIABILITY 2.3).
_LONGEST = timedelta(hours=1)
#: Where `ChannelState.learned` keeps which credentials were refused.
_REFUSED = "refused_credentials"


def resume(core: Core, channel: str) -> Program[None]:
    """Let an account go on that was held for its credentials, or paused.

    Credentials that are new, because the channel was made with others or renewed its own,
    are noticed by themselves.

    Args:
        channel: The channel's name.

    Raises:
        NotFound: If the desk has no channel of that name.
    """
    name = core.channel(channel).name
    change = ChannelChange(name, paused_until=None, needs_auth="", fault="")
    yield from commit(core, Changes(core.now(), channels=(change,)))


def prepared(core: Core, name: str) -> Program[tuple[Channel, ChannelState]]:
    """Return a channel with what it must remember, and that.

    Args:
        core: The desk's core.
        name: The channel's name.
    """
    loaded = yield from load(core, Wanted(channels=(name,)))
    state = loaded.channels.get(name) or ChannelState(name)
    return core.channel(name).using(state), state


def paused(core: Core, name: str, error: RateLimited) -> ChannelChange:
    """Return the change that pauses an account, jittered so that workers do not return at once.

    Args:
        core: The desk's core.
        name: The channel's name.
        error: What its platform said.
    """
    now = core.now()
    until = min(max(error.until, now), now + _LONGEST)
    return ChannelChange(name, paused_until=until + timedelta(seconds=random.random()))  # noqa: S311  # jitter


def faulted(core: Core, name: str, error: Exception) -> ChannelChange:
    """Return the change that shows what was wrong with a channel, and pauses it if it must be.

    Args:
        core: The desk's core.
        name: The channel's name.
        error: What went wrong.
    """
    change = paused(core, name, error) if isinstance(error, RateLimited) else ChannelChange(name)
    return attrs.evolve(change, fault=said(error))


def remembered(
    core: Core, change: ChannelChange, learned: Mapping[str, Any]
) -> Program[ChannelChange]:
    """Return a change with what a channel found out, added to what it knew before.

    Args:
        core: The desk's core.
        change: Another change of the channel.
        learned: What it found out, perhaps nothing.
    """
    if not learned:
        return change
    known = (yield from load(core, Wanted(channels=(change.channel,)))).channels
    state = known.get(change.channel) or ChannelState(change.channel)
    return attrs.evolve(change, learned={**state.learned, **learned})


def needing_auth(channel: Channel, state: ChannelState, why: str) -> ChannelChange:
    """Return the change that holds an account until its credentials are others.

    Args:
        channel: The channel as it was used.
        state: What it remembers.
        why: What its platform said.
    """
    learned = {**state.learned, _REFUSED: fingerprint(channel, state)}
    reason = storable(why) or "the platform refused the credentials"
    return ChannelChange(channel.name, learned=learned, needs_auth=reason)


def renewed(core: Core, names: Iterable[str]) -> Program[None]:
    """Let those accounts go on whose credentials are others than those refused.

    Args:
        core: The desk's core.
        names: The names of channels.
    """
    loaded = yield from load(core, Wanted(channels=tuple(names)))
    for name, state in loaded.channels.items():
        refused = state.learned.get(_REFUSED)
        if state.needs_auth and refused is not None:
            channel = core.channel(name).using(state)
            if refused != fingerprint(channel, state):
                yield from resume(core, name)


def fingerprint(channel: Channel, state: ChannelState) -> str:
    """Return what tells credentials from others: 32 bits, which lead back to nothing.

    Args:
        channel: A channel.
        state: What it remembers.
    """
    digest = hashlib.blake2b(digest_size=4)
    for secret in (*_secrets(channel), *_secrets(state)):
        digest.update(secret.reveal().encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _secrets(value: Any) -> Iterator[Secret]:
    """Yield the secrets within a value, in the order of its fields."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from _secrets(value[key])
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _secrets(getattr(value, field.name))
