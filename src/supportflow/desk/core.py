"""What every program of a desk knows, and the typed ways in which programs ask for things."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs

from supportflow.channels import Channel
from supportflow.errors import Conflict, InvalidValue, NotFound
from supportflow.etiquette import Rule
from supportflow.events import Event, Recorded
from supportflow.flow import Call, Program, Wait
from supportflow.machine import Rules, evolve
from supportflow.model import Agent, Conversation, CustomerRef, aware
from supportflow.sla.policy import SLAPolicy
from supportflow.sla.verdict import next_due
from supportflow.stores import Changes, Loaded, Position, Query, Results, Wanted, Written
from supportflow.triage import Classifier

__all__ = [
    "Core",
    "Listing",
    "as_agent",
    "commit",
    "find",
    "fold",
    "get_conversation",
    "load",
    "log",
    "retrying",
    "written",
]

T = TypeVar("T")
#: How often a decision is made anew before its conflict is given to the caller. Ours.
ATTEMPTS = 5


@attrs.frozen
class Core:
    """Hold a desk's configuration; it never changes and holds no connection.

    Args:
        store: A `Store` or an `AsyncStore`, whichever its shell can call.
        channels: By name.
        policy: What is owed to customers.
        policy_version: What tells that policy from others.
        rules: Playbooks and the like.
        etiquette: The rules of the gate.
        classifier: Who reads messages, if anybody does.
        clock: Returns the time (aware).
    """

    store: Any
    channels: Mapping[str, Channel]
    policy: SLAPolicy
    policy_version: str
    rules: Rules
    etiquette: tuple[Rule, ...]
    classifier: Classifier | None
    clock: Callable[[], datetime]

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return aware(self.clock(), "the clock's time")

    def channel(self, name: str) -> Channel:
        """Return a channel by name.

        Args:
            name: The channel's name.

        Raises:
            NotFound: If the desk has none of that name; it names those it has.
        """
        try:
            return self.channels[name]
        except KeyError:
            known = ", ".join(sorted(self.channels)) or "none"
            raise NotFound(f"no channel {name!r} on this desk; it has: {known}") from None


class Listing(tuple[T, ...], Generic[T]):
    """Hold one page of results as a tuple.

    Attributes:
        after: What to pass as `after` to get the next page; None if this is the last.
    """

    after: str | None = None

    @classmethod
    def of(cls, items: Iterable[T], after: str | None) -> Listing[T]:
        """Return a page.

        Args:
            items: What is on it.
            after: Where the next one begins.
        """
        page = cls(items)
        page.after = after
        return page


def as_agent(agent: str | Agent) -> Agent:
    """Return an agent; a plain string is a person's id.

    Args:
        agent: An agent or an id.

    Raises:
        InvalidValue: If it is neither, or empty.
    """
    if isinstance(agent, Agent):
        return agent
    if not isinstance(agent, str) or not agent.strip():
        raise InvalidValue(f"agent is {agent!r}; pass an Agent or a person's id")
    return Agent(agent)


def load(core: Core, wanted: Wanted) -> Program[Loaded]:
    """Load from the store."""
    found: Loaded = yield Call(core.store, "load", (wanted,))
    return found


def commit(core: Core, changes: Changes) -> Program[None]:
    """Commit to the store."""
    yield Call(core.store, "commit", (changes,))


def find(core: Core, query: Query) -> Program[Results]:
    """Find in the store."""
    found: Results = yield Call(core.store, "find", (query,))
    return found


def log(
    core: Core, after: Position, conversation: str | None, limit: int
) -> Program[Sequence[Recorded]]:
    """Read the store's log."""
    found: Sequence[Recorded] = yield Call(core.store, "log", (after, conversation, limit))
    return found


def erase_customer(core: Core, customer: CustomerRef) -> Program[None]:
    """Erase in the store."""
    yield Call(core.store, "erase", (customer,))


def retrying(attempt: Callable[[], Program[T]]) -> Program[T]:
    """Run a program that loads, decides and commits; on a conflict, run it anew.

    The core is pure, so deciding again on what is there now is safe.

    Args:
        attempt: Makes the program afresh.

    Raises:
        Conflict: If every attempt met one.
    """
    for number in range(1, ATTEMPTS):
        try:
            return (yield from attempt())
        except Conflict:
            yield Wait(random.uniform(0, 0.01 * 2**number))  # noqa: S311  # jitter, no secret
    return (yield from attempt())


def get_conversation(core: Core, id: str) -> Program[Conversation]:  # noqa: A002  # its name
    """Load a conversation by id, following merges.

    Args:
        core: The desk's core.
        id: The conversation's id.

    Raises:
        NotFound: If there is none.
    """
    wanted = id
    while True:
        loaded = yield from load(core, Wanted(conversations=(wanted,)))
        found = loaded.conversations.get(wanted)
        if found is None:
            raise NotFound(f"no conversation {wanted!r} in this store")
        if found.merged_into is None:
            return found
        wanted = found.merged_into


def fold(core: Core, conversation: Conversation, events: Iterable[Event]) -> Conversation:
    """Fold events into a snapshot under the desk's rules."""
    for event in events:
        conversation = evolve(conversation, event, core.rules)
    return conversation


def written(core: Core, before: int, after: Conversation, events: tuple[Event, ...]) -> Written:
    """Return the change of one conversation, with its clocks computed.

    Args:
        core: The desk's core.
        before: The version that the store has.
        after: The new snapshot.
        events: What happened.
    """
    return Written(before, after, events, next_due(after, core.policy), core.policy_version)
