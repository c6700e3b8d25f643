"""What a store is: nine methods, and the plain values that cross its boundary.

A store decides nothing. Programs load what they need in one round trip, decide purely, and
commit everything that follows in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Protocol, TypeAlias

import attrs

from supportflow.events import Event, Recorded
from supportflow.model import (
    ChannelState,
    Conversation,
    CustomerRef,
    Message,
    MessageKey,
    Outgoing,
    Receipt,
    RemovedBy,
    Secret,
)
from supportflow.stores.mentions import Mention, MentionCount, MentionCounts, Mentions

__all__ = [
    "KEPT",
    "AsyncStore",
    "Changes",
    "ChannelChange",
    "ChannelLease",
    "Claimed",
    "Conversations",
    "Direction",
    "HoldRows",
    "Kept",
    "Loaded",
    "Mention",
    "MentionCount",
    "MentionCounts",
    "Mentions",
    "Messages",
    "Outbox",
    "Paged",
    "Position",
    "Posting",
    "Quarantine",
    "Quarantined",
    "Query",
    "Removed",
    "Results",
    "Row",
    "RowState",
    "Settlement",
    "Store",
    "StoreVitals",
    "Stored",
    "ThreadHead",
    "Vitals",
    "Wanted",
    "Work",
    "WorkKind",
    "Worker",
    "Written",
]

#: A place in the store's log; 0 is before the first event.
Position: TypeAlias = int
#: (channel, thread, customer).
ThreadHead: TypeAlias = tuple[str, str, str]


class Kept(Enum):
    """Say that a field of a change is not given."""

    kept = "kept"


KEPT = Kept.kept


class Direction(StrEnum):
    """Say which way a stored message went; a note stays inside."""

    inbound = "inbound"
    outbound = "outbound"
    note = "note"


@attrs.frozen(weakref_slot=False)
class Stored:
    """Hold a message, or one revision of it, as the store keeps it.

    Unique for ever by (channel, kind, id, revision).

    Args:
        message: The message; for a revision, with the revised text and time.
        direction: Which way it went.
        conversation: The conversation's id; None for an answer whose question has not
            arrived yet.
        revision: Empty for the message as first seen.
        skeleton: For outbound texts: the text with names, numbers and links masked.
        removed_at: When it was deleted or hidden, if it was.
        removed_by: Who did it.
        hidden: True if it was hidden and not deleted.
    """

    message: Message
    direction: Direction
    conversation: str | None
    revision: str = ""
    skeleton: str | None = None
    removed_at: datetime | None = None
    removed_by: RemovedBy | None = None
    hidden: bool = False


@attrs.frozen
class Removed:
    """Ask a commit to mark a message as removed.

    If the message is unknown, the removal is remembered: one that arrives after its own
    deletion is stored as removed.

    Args:
        key: The message's key.
        at: When.
        by: Who did it.
        hidden: True if it was hidden and not deleted.
    """

    key: MessageKey
    at: datetime
    by: RemovedBy
    hidden: bool = False


class RowState(StrEnum):
    """Name where an outbox row stands. Holds are a reason beside it, not a state."""

    pending = "pending"
    claimed = "claimed"
    sending = "sending"
    unknown = "unknown"
    sent = "sent"
    failed = "failed"
    cancelled = "cancelled"


@attrs.frozen
class Posting:
    """Ask a commit for one new outbox row; the store gives it the next `seq` of its stream.

    Args:
        outgoing: The frozen message; its id is the row's id and its mark is unique.
        channel: The channel that sends it.
        stream: What keeps its order: a conversation's id, an incident, a notifier.
        conversation: The conversation's id, if there is one.
        reply: The command's id.
        part: Which part of the reply, from 0.
        not_before: When it may be sent.
        deadline: When an alarm is due if it is not final by then.
        hold: Why it waits for a person; None if it doesn't.
    """

    outgoing: Outgoing
    channel: str
    stream: str
    conversation: str | None
    reply: str
    part: int
    not_before: datetime
    deadline: datetime
    hold: str | None = None


@attrs.frozen
class Row:
    """Hold one outbox row.

    Args:
        posting: What was asked for.
        seq: Its place in its stream, from 1.
        state: Where it stands.
        attempt: How often it was claimed.
        fence: Grows with every claim; settlements carry it.
        worker: Who claimed it last.
        lease_until: Until when that worker has it.
        first_sent_at: When the first attempt to send began.
        last_sent_at: When the latest attempt to send began.
        negative_reads: How often the thread was read without finding it.
        remote_id: The platform's id of it.
        last_error: Why the last attempt did not end well, without secrets.
    """

    posting: Posting
    seq: int
    state: RowState = RowState.pending
    attempt: int = 0
    fence: int = 0
    worker: int | None = None
    lease_until: datetime | None = None
    first_sent_at: datetime | None = None
    last_sent_at: datetime | None = None
    negative_reads: int = 0
    remote_id: str | None = None
    last_error: str = ""

    @property
    def id(self) -> str:
        """Return the row's id."""
        return self.posting.outgoing.id


@attrs.frozen
class Settlement:
    """Ask a commit to say how an attempt ended.

    `sent` is never fenced: knowledge wins, whoever has it. Everything else applies only
    where the fence is still the row's and the row is not final; a settlement that no
    longer applies makes the whole commit raise `Conflict`.

    Args:
        row: The row's id.
        fence: The fence of the claim (ignored for `sent`).
        state: The new state.
        receipt: The receipt, for `sent`.
        how: How it is known: `"answer"`, `"echo"`, `"read"`, `"person"`.
        error: Why, without secrets.
        not_before: When to look at it again.
        negative_reads: The new count; None leaves it.
        hold: A reason to wait for a person, None to leave it, empty to lift it.
        uncount: True to give the attempt back (the platform was never asked).
    """

    row: str
    fence: int
    state: RowState
    receipt: Receipt | None = None
    how: str = "answer"
    error: str = ""
    not_before: datetime | None = None
    negative_reads: int | None = None
    hold: str | None = None
    uncount: bool = False


@attrs.frozen
class HoldRows:
    """Ask a commit to hold, release or cancel the unsent rows of a reply.

    Only `pending` and `unknown` rows change; a `cancel` of rows that have left, or are
    leaving, makes the commit raise `Conflict`.

    Args:
        reply: The command id of the reply.
        hold: The reason, or None to release.
        cancel: True to cancel instead.
    """

    reply: str
    hold: str | None = None
    cancel: bool = False


@attrs.frozen
class Quarantined:
    """Hold one genuine item that could not be read, so that it can be replayed.

    Args:
        id: Derived from channel and content, so that a redelivery adds nothing.
        channel: The channel's name.
        raw: The item as it came, in bytes.
        why: What was wrong with it.
        at: When it was put here.
        replayed_at: When a replay read it, if one did.
    """

    id: str
    channel: str
    raw: bytes = attrs.field(repr=False)
    why: str
    at: datetime
    replayed_at: datetime | None = None


@attrs.frozen(weakref_slot=False)
class Written:
    """Ask a commit to write one conversation.

    Args:
        before: The version that the store must have; 0 inserts.
        after: The new snapshot.
        events: What happened: `after.version - before` of them.
        next_due_at: When somebody must look at its clocks again.
        policy_version: Which policy computed that.
    """

    before: int
    after: Conversation
    events: tuple[Event, ...]
    next_due_at: datetime | None = None
    policy_version: str = ""


@attrs.frozen
class ChannelChange:
    """Ask a commit to change some of what a channel remembers; what is not given stays.

    Args:
        channel: The channel's name.
        cursor: Where polling goes on.
        credentials: Renewed tokens.
        learned: Limits and the like that the platform told us.
        paused_until: No sending on this account before then; None ends a pause.
        needs_auth: Why sending is held; empty ends it.
        checked_at: When it last answered.
        fault: What was wrong the last time; empty for nothing.
        fence: The fence of the lease under which this was found out; where another has the
            lease by now, the change has no effect. None where no lease is needed.
    """

    channel: str
    cursor: str | Kept | None = KEPT
    credentials: Mapping[str, Secret] | Kept = KEPT
    learned: Mapping[str, Any] | Kept = KEPT
    paused_until: datetime | Kept | None = KEPT
    needs_auth: str | Kept = KEPT
    checked_at: datetime | Kept | None = KEPT
    fault: str | Kept = KEPT
    fence: int | None = None

    def applied_to(self, state: ChannelState) -> ChannelState:
        """Return the state with the change applied.

        Args:
            state: What the channel remembers now.
        """
        given = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(ChannelChange)
            if field.name != "fence" and getattr(self, field.name) is not KEPT
        }
        return attrs.evolve(state, **given)


@attrs.frozen
class Changes:
    """Ask for one transaction: everything in it happens, or nothing does.

    Args:
        at: When it was decided; the events' `recorded_at`.
        conversations: Snapshots and events.
        messages: New messages and revisions.
        removed: Messages that were deleted or hidden.
        adopted: Messages (by key) that now belong to a conversation (by id).
        merged: Conversations (by id) whose messages and open outbox rows go to another.
        once: Once-keys and their results; an existing one raises `Conflict`.
        postings: New outbox rows.
        settlements: How attempts ended.
        holds: Rows to hold, release or cancel.
        quarantine: Items that could not be read.
        replayed: Ids of quarantined items that were read after all.
        mentions: What searches found; what is known stays as it is.
        channels: What channels remember from now on, their cursors among it.
        retimed: (conversation id, version, next_due_at, policy_version): clocks only,
            applied only where the version still stands.
    """

    at: datetime
    conversations: tuple[Written, ...] = ()
    messages: tuple[Stored, ...] = ()
    removed: tuple[Removed, ...] = ()
    adopted: tuple[tuple[MessageKey, str], ...] = ()
    merged: tuple[tuple[str, str], ...] = ()
    once: Mapping[str, str] = attrs.field(factory=dict)
    postings: tuple[Posting, ...] = ()
    settlements: tuple[Settlement, ...] = ()
    holds: tuple[HoldRows, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()
    replayed: tuple[str, ...] = ()
    mentions: tuple[Mention, ...] = ()
    channels: tuple[ChannelChange, ...] = ()
    retimed: tuple[tuple[str, int, datetime | None, str], ...] = ()


@attrs.frozen
class Wanted:
    """Say what a program needs to decide; all of it comes in one round trip.

    Args:
        conversations: By id.
        heads: The newest conversation of each (channel, thread, customer).
        threads: The first conversation of each (channel, thread), whoever's it is.
        messages: By key, as first seen, with their revisions and removals.
        orphans: Stored answers without a conversation whose parent is this key's id on
            the same channel.
        once: By once-key.
        rows: Outbox rows by id.
        replies: Outbox rows by command id.
        marks: Outbox rows by mark.
        remotes: Outbox rows by (channel, platform id).
        channels: States by channel name.
        skeletons: Skeletons to count.
        skeletons_since: Since when to count them.
    """

    conversations: tuple[str, ...] = ()
    heads: tuple[ThreadHead, ...] = ()
    threads: tuple[tuple[str, str], ...] = ()
    messages: tuple[MessageKey, ...] = ()
    orphans: tuple[MessageKey, ...] = ()
    once: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    remotes: tuple[tuple[str, str], ...] = ()
    channels: tuple[str, ...] = ()
    skeletons: tuple[str, ...] = ()
    skeletons_since: datetime | None = None


@attrs.frozen
class Loaded:
    """Hold what was found; what was not is absent from the mappings.

    Args:
        conversations: By id.
        heads: By (channel, thread, customer).
        threads: By (channel, thread): the first conversation that was written there.
        messages: By key; the message as first seen, with its removal.
        erased: Wanted keys of messages that were erased: they exist, and say nothing.
        revisions: By key: its revisions, also of a message that has not arrived yet.
        removed: By key: the removal of a message that has not arrived yet.
        orphans: By the parent's key.
        once: By once-key.
        rows: By row id: every row found through `rows`, `replies`, `marks` or `remotes`.
        channels: By name.
        skeletons: How often each went out.
    """

    conversations: Mapping[str, Conversation] = attrs.field(factory=dict)
    heads: Mapping[ThreadHead, Conversation] = attrs.field(factory=dict)
    threads: Mapping[tuple[str, str], Conversation] = attrs.field(factory=dict)
    messages: Mapping[MessageKey, Stored] = attrs.field(factory=dict)
    erased: frozenset[MessageKey] = frozenset()
    revisions: Mapping[MessageKey, tuple[Stored, ...]] = attrs.field(factory=dict)
    removed: Mapping[MessageKey, Removed] = attrs.field(factory=dict)
    orphans: Mapping[MessageKey, tuple[Stored, ...]] = attrs.field(factory=dict)
    once: Mapping[str, str] = attrs.field(factory=dict)
    rows: Mapping[str, Row] = attrs.field(factory=dict)
    channels: Mapping[str, ChannelState] = attrs.field(factory=dict)
    skeletons: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Worker:
    """Name one running worker: a fresh identity, alive while its store keeps it.

    Args:
        id: Never used twice in one store.
    """

    id: int


class WorkKind(StrEnum):
    """Say what a worker wants to do."""

    send = "send"
    reconcile = "reconcile"
    reap = "reap"
    poll = "poll"


@attrs.frozen
class Work:
    """Say what may be claimed, and for how long.

    `send` claims the heads of streams that are pending, due, not held and not on a paused
    account; a row that was tried before is claimed alone. `reconcile` takes a lease on
    unknown rows that are due, without changing their state or attempt. `reap` moves the
    rows of dead owners, and those past their lease: claimed to pending, sending to unknown,
    never sending to pending. `poll` takes a lease on channels; a worker's own is renewed, with
    a new fence, when half of it is over.

    Args:
        kind: What to do.
        channels: On which channels; empty for `reap` means all.
        lease: How long until others may take it over.
        hold_for: How long an unknown row holds later rows of its stream, by channel
            name; 10 minutes where none is given (RELIABILITY G8).
    """

    kind: WorkKind
    channels: tuple[str, ...] = ()
    lease: timedelta = timedelta(seconds=120)
    hold_for: Mapping[str, timedelta] = attrs.field(factory=dict)


@attrs.frozen
class ChannelLease:
    """Hold the right to poll one channel.

    Args:
        channel: The channel's name.
        state: What it remembers.
    """

    channel: str
    state: ChannelState


@attrs.frozen
class Claimed:
    """Hold one piece of claimed work.

    Args:
        fence: The fence of this claim.
        worker: Who has it.
        row: The outbox row, as it is after the claim.
        lease: The channel's lease, for `poll`.
        sender_dead: For `reconcile`: whether the row's last sender is proved dead, or is
            this worker; only then may the row go back to pending.
        decided_on: The id and version of the row's conversation on which it was decided to
            send it; `begin` says False once it is another.
    """

    fence: int
    worker: Worker
    row: Row | None = None
    lease: ChannelLease | None = None
    sender_dead: bool = False
    decided_on: tuple[str, int] | None = None


@attrs.frozen
class Conversations:
    """Find conversations; those who wait longest come first, otherwise the oldest.

    Args:
        unanswered: True for those that wait and have no answer on its way.
        state: In this state.
        channel: On this channel.
        customer: Of this customer.
        assigned: Of this agent; empty for nobody's.
        tag: With this label.
        due: Whose clocks need somebody now, by the store's own clock; ordered by that time.
        due_before: Whose clocks need somebody by then; ordered by that time.
        policy_not: Judged by another policy version than this.
        limit: How many at most.
        after: Where the previous page ended (`Results.after`).
    """

    unanswered: bool | None = None
    state: str | None = None
    channel: str | None = None
    customer: CustomerRef | None = None
    assigned: str | None = None
    tag: str | None = None
    due: bool = False
    due_before: datetime | None = None
    policy_not: str | None = None
    limit: int = 100
    after: str | None = None


@attrs.frozen
class Messages:
    """Find messages in the order of their time.

    Args:
        conversation: Of this conversation.
        customer: Of this customer's conversations.
        limit: How many at most.
        after: Where the previous page ended.
    """

    conversation: str | None = None
    customer: CustomerRef | None = None
    limit: int = 100
    after: str | None = None


@attrs.frozen
class Outbox:
    """Find outbox rows in the order in which they were queued.

    Args:
        states: In these states; empty for all.
        channel: On this channel.
        conversation: Of this conversation.
        held: True for held ones, False for others.
        overdue: Not final although their deadline is before this.
        limit: How many at most.
        after: Where the previous page ended.
    """

    states: tuple[RowState, ...] = ()
    channel: str | None = None
    conversation: str | None = None
    held: bool | None = None
    overdue: datetime | None = None
    limit: int = 100
    after: str | None = None


@attrs.frozen
class Quarantine:
    """Find quarantined items, oldest first.

    Args:
        channel: Of this channel.
        ids: With these ids; empty for all.
        replayed: Whether to show those already read by a replay.
        limit: How many at most.
        after: Where the previous page ended.
    """

    channel: str | None = None
    ids: tuple[str, ...] = ()
    replayed: bool = False
    limit: int = 100
    after: str | None = None


@attrs.frozen
class Vitals:
    """Ask a store how it is: nothing in the answer takes longer the more is stored."""


#: What is found page by page.
Paged: TypeAlias = Conversations | Messages | Outbox | Quarantine | Mentions
Query: TypeAlias = Paged | Vitals | MentionCounts


@attrs.frozen
class StoreVitals:
    """Hold how a store is, and how far behind its workers are.

    Args:
        now: The store's own time.
        schema: The number of its newest migration; 0 for a store that needs none.
        pending: How many outbox rows wait to be sent and are not held.
        pending_since: Since when the first of them has been due.
        unknown: How many rows may or may not have been posted.
        unknown_since: When the first of them was sent.
        held: How many rows wait for a person.
        overdue: How many rows are not final although their deadline is over.
        due_since: Since when a clock has needed somebody and nobody looked.
        unanswered_since: Since when the customer who has waited longest has waited.
        quarantined: How many items could not be read, and were not replayed.
    """

    now: datetime
    schema: int = 0
    pending: int = 0
    pending_since: datetime | None = None
    unknown: int = 0
    unknown_since: datetime | None = None
    held: int = 0
    overdue: int = 0
    due_since: datetime | None = None
    unanswered_since: datetime | None = None
    quarantined: int = 0


@attrs.frozen
class Results:
    """Hold one page of what was found.

    Args:
        conversations: For `Conversations`.
        messages: For `Messages`.
        rows: For `Outbox`.
        quarantined: For `Quarantine`.
        after: What to pass to get the next page; None if this was the last.
        vitals: For `Vitals`.
        now: For `Conversations(due=True)`: the store's time.
        mentions: For `Mentions`.
        counts: For `MentionCounts`.
    """

    conversations: tuple[Conversation, ...] = ()
    messages: tuple[Stored, ...] = ()
    rows: tuple[Row, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    after: str | None = None
    vitals: StoreVitals | None = None
    now: datetime | None = None
    mentions: tuple[Mention, ...] = ()
    counts: tuple[MentionCount, ...] = ()


class Store(Protocol):
    """Keep everything; every method blocks until it is done."""

    def load(self, wanted: Wanted) -> Loaded:
        """Return what a program needs to decide, in one round trip."""
        ...

    def commit(self, changes: Changes) -> None:
        """Apply everything or nothing.

        Raises:
            Conflict: If a version, a message key, a once-key or a fence is not as expected.
            StoreUnavailable: If the store cannot do it now; nothing was applied.
        """
        ...

    def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        """Take work that nobody else has."""
        ...

    def begin(self, claimed: Claimed) -> bool:
        """Commit that bytes are about to leave; on False, do not send.

        False: the claim is over, or the account is paused or needs credentials, or the row's
        conversation is not (any more) what was `decided_on`.
        """
        ...

    def find(self, query: Query) -> Results:
        """Return one page of what matches."""
        ...

    def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        """Return events after a position, of one conversation or of all."""
        ...

    def worker(self) -> Worker:
        """Return a fresh identity and hold its liveness lock until `close`."""
        ...

    def erase(self, customer: CustomerRef) -> None:
        """Blank every word of a customer and pseudonymise their ids, for ever."""
        ...

    def close(self) -> None:
        """Let go of files, connections and locks."""
        ...


class AsyncStore(Protocol):
    """Keep everything, like `Store`, without blocking the event loop."""

    async def load(self, wanted: Wanted) -> Loaded:
        """See `Store.load`."""
        ...

    async def commit(self, changes: Changes) -> None:
        """See `Store.commit`."""
        ...

    async def claim(self, work: Work, worker: Worker, limit: int) -> Sequence[Claimed]:
        """See `Store.claim`."""
        ...

    async def begin(self, claimed: Claimed) -> bool:
        """See `Store.begin`."""
        ...

    async def find(self, query: Query) -> Results:
        """See `Store.find`."""
        ...

    async def log(
        self, after: Position = 0, conversation: str | None = None, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `Store.log`."""
        ...

    async def worker(self) -> Worker:
        """See `Store.worker`."""
        ...

    async def erase(self, customer: CustomerRef) -> None:
        """See `Store.erase`."""
        ...

    async def close(self) -> None:
        """See `Store.close`."""
        ...
