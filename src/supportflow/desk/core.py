"""What every program of a desk knows, and the typed ways in which programs ask for things."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs

from supportflow.channels import Channel
from supportflow.desk.arguments import id_of, version_of
from supportflow.desk.telemetry import Count
from supportflow.errors import Conflict, NotFound, Stale
from supportflow.etiquette import Rule
from supportflow.events import Event, Recorded
from supportflow.flow import Call, Program, Wait
from supportflow.machine import Rules, evolve
from supportflow.model import Conversation, CustomerRef, Message, aware
from supportflow.model.quick import maker
from supportflow.sla.policy import SLAPolicy
from supportflow.sla.verdict import next_due
from supportflow.stores import (
    Changes,
    Claimed,
    Loaded,
    Position,
    Query,
    Results,
    Wanted,
    Work,
    Worker,
    Written,
)
from supportflow.triage import Classifier

__all__ = [
    "Core",
    "Listing",
    "claim",
    "commit",
    "current",
    "erase_customer",
    "find",
    "fold",
    "get_conversation",
    "load",
    "log",
    "retrying",
    "whoami",
    "whole_log",
    "written",
]

T = TypeVar("T")
_written = maker(Written)
#: How often a decision is made anew before its conflict is given to the caller. Ours.
ATTEMPTS = 5
#: How many messages wait for a slow classifier at most; of more, the oldest stay unread. Ours.
BACKLOG = 1000
#: How many events are read at a time.
_PAGE = 1000


@attrs.frozen
class Identity:
    """Remember which worker a desk is, once its store has said so.

    Loops that start together may each ask; the first answer is everybody's, others are nobody's:
    a desk that was two workers would wait for itself to die.
    """

    named: list[Worker] = attrs.field(factory=list)

    @property
    def worker(self) -> Worker | None:
        """Return the worker; None before the store was asked."""
        return self.named[0] if self.named else None


def _backlog() -> deque[tuple[str, Message]]:
    return deque(maxlen=BACKLOG)


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
        reader: Asks a classifier that is not inline, for so long and no longer.
        identity: Which worker this desk is.
        backlog: What that reader has not read yet, as (conversation id, message).
        count: Who counts what is told to operators, if anybody does.
        lines: Who waits to record what webhooks brought, by channel.
        searches: What to listen for.
        renewing: Whose credentials this worker is renewing at this moment.
    """

    store: Any
    channels: Mapping[str, Channel]
    policy: SLAPolicy
    policy_version: str
    rules: Rules
    etiquette: tuple[Rule, ...]
    classifier: Classifier | None
    clock: Callable[[], datetime]
    reader: Any = None
    count: Count | None = None
    identity: Identity = attrs.field(factory=Identity)
    backlog: deque[tuple[str, Message]] = attrs.field(factory=_backlog, repr=False)
    lines: dict[str, Any] = attrs.field(factory=dict, repr=False)
    searches: tuple[Any, ...] = ()
    renewing: dict[str, object] = attrs.field(factory=dict, repr=False)

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


class Listing(tuple[T, ...], Generic[T]):  # noqa: SLOT001  # a tuple cannot have a slot
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


def whole_log(core: Core, conversation: str) -> Program[list[Recorded]]:
    """Read everything that happened in a conversation, oldest first."""
    events: list[Recorded] = []
    while True:
        after = events[-1].position if events else 0
        page = yield from log(core, after, conversation, _PAGE)
        events += page
        if len(page) < _PAGE:
            return events


def erase_customer(core: Core, customer: CustomerRef) -> Program[None]:
    """Erase in the store."""
    yield Call(core.store, "erase", (customer,))


def claim(core: Core, work: Work, worker: Worker, limit: int) -> Program[Sequence[Claimed]]:
    """Claim work in the store."""
    claimed: Sequence[Claimed] = yield Call(core.store, "claim", (work, worker, limit))
    return claimed


def whoami(core: Core) -> Program[Worker]:
    """Return this desk's worker, made when it is first needed."""
    if core.identity.worker is None:
        core.identity.named.append((yield Call(core.store, "worker")))
    return core.identity.named[0]


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


def get_conversation(core: Core, conversation: Conversation | str) -> Program[Conversation]:
    """Load a conversation as it is now, following merges.

    Args:
        core: The desk's core.
        conversation: The conversation, or its id.

    Raises:
        InvalidValue: If it is neither.
        NotFound: If there is none.
    """
    wanted = id_of(conversation)
    while True:
        loaded = yield from load(core, Wanted(conversations=(wanted,)))
        found = loaded.conversations.get(wanted)
        if found is None:
            raise NotFound(f"no conversation {wanted!r} in this store")
        if found.merged_into is None:
            return found
        wanted = found.merged_into


def current(core: Core, conversation: Conversation | str) -> Program[Conversation]:
    """Load the conversation that a command is about.

    Args:
        core: The desk's core.
        conversation: The conversation as the caller read it, or its id.

    Raises:
        InvalidValue: If it is neither.
        NotFound: If there is none.
        Stale: If what the caller read became part of another conversation since.
    """
    found = yield from get_conversation(core, conversation)
    if version_of(conversation) is not None and found.id != id_of(conversation):
        raise Stale(
            f"{id_of(conversation)} became part of {found.id} since it was read; read that one, "
            "or pass the id to answer anyway"
        )
    return found


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
    return _written(before, after, events, next_due(after, core.policy), core.policy_version)
