"""Decide from a history alone whether everything happened once, in order, and as it is recorded.

The history is what three witnesses say when all is over: the platforms (what they accepted), the
store (rows, log, snapshots, messages) and every worker (what it claimed, began and settled). A rule
yields what breaks it; nothing else judges a campaign (RELIABILITY 4.5).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import combinations, groupby
from typing import Any

import attrs

from supportflow.events import Announced, Failed, Recorded, Told
from supportflow.machine.evolve import replay
from supportflow.model import Conversation
from supportflow.stores import Conversations, Direction, Messages, Outbox, Row, RowState, Store

FINAL = frozenset({RowState.sent, RowState.failed, RowState.cancelled})


@attrs.frozen
class Post:
    """Hold a post that a platform accepted; every reply has words of its own."""

    text: str
    id: str
    at: datetime


@attrs.frozen
class Op:
    """Hold what a worker says that it did with a row: `claimed`, `begun` or `settled`.

    Args:
        at: When, in seconds: before a claim was asked for, and after anything else was had.
    """

    worker: int
    kind: str
    row: str
    fence: int
    state: str = ""
    at: float = 0.0


@attrs.frozen
class History:
    """Hold what the witnesses say.

    Args:
        posts: What the platform accepted of us, in its order.
        words: The ids of what customers wrote there.
        rows: The outbox.
        recorded: The ids of the customers' messages that the store has.
        conversations: The snapshots.
        log: Every event.
        queued: The replies whose queuing was confirmed to whoever asked for it.
        ops: What the workers did, each worker's in its order.
        blind: Whether nobody may be able to find out: the class B, and E whose echo never came.
        hold_for: How long an unknown reply holds the next one.
    """

    posts: tuple[Post, ...] = ()
    words: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    recorded: tuple[str, ...] = ()
    conversations: tuple[Conversation, ...] = ()
    log: tuple[Recorded, ...] = ()
    queued: frozenset[str] = frozenset()
    ops: tuple[Op, ...] = ()
    blind: bool = False
    hold_for: timedelta = timedelta(minutes=10)

    def text_of(self, row: Row) -> str:
        """Return the words that name a row's post."""
        return row.posting.outgoing.text

    @property
    def accepted(self) -> dict[str, Post]:
        """Return the first post of each reply."""
        return {post.text: post for post in reversed(self.posts)}


# --- the rules ----------------------------------------------------------------------------


def duplicate(history: History) -> Iterator[str]:
    """A reply is on its platform at most once (G5)."""
    for text, count in Counter(post.text for post in history.posts).items():
        if count > 1:
            yield f"{text!r} was posted {count} times"


def stranger(history: History) -> Iterator[str]:
    """What is on the platform was asked for."""
    asked = {history.text_of(row) for row in history.rows}
    yield from (f"{post.text!r} has no row" for post in history.posts if post.text not in asked)


def lost(history: History) -> Iterator[str]:
    """A reply that was confirmed is in the outbox, and comes to an end or to a person (G5, G7)."""
    for reply in history.queued - {row.posting.reply for row in history.rows}:
        yield f"{reply} was confirmed and is not there"
    for row in history.rows:
        if row.state not in FINAL and row.posting.hold is None:
            yield f"{history.text_of(row)!r} is {row.state} for ever"


def wrongly_failed(history: History) -> Iterator[str]:
    """Nobody is told *failed* of a post that is there (G6)."""
    for row in history.rows:
        told = row.state in {RowState.failed, RowState.cancelled}
        if told and history.text_of(row) in history.accepted:
            yield f"{history.text_of(row)!r} is {row.state}, and is there"


def hidden(history: History) -> Iterator[str]:
    """What is there and not known to be there is shown to a person as unknown (G5, G7)."""
    for row in history.rows:
        shown = row.state in FINAL or (row.state is RowState.unknown and row.posting.hold)
        if history.text_of(row) in history.accepted and not shown:
            yield f"{history.text_of(row)!r} is there, and shown as {row.state}"


def uncertain(history: History) -> Iterator[str]:
    """Only where nobody can find out does anything stay uncertain."""
    for row in history.rows:
        if row.state is RowState.unknown and not history.blind:
            yield f"{history.text_of(row)!r} is still unknown: {row.last_error}"


def unproved(history: History) -> Iterator[str]:
    """`sent` means that we hold the platform's own id of it (G6)."""
    for row in history.rows:
        post = history.accepted.get(history.text_of(row))
        if row.state is RowState.sent and (post is None or post.id != row.remote_id):
            yield f"{history.text_of(row)!r} is sent as {row.remote_id}; it is {post}"


def unsaid(history: History) -> Iterator[str]:
    """The log says once of every part that it was told, and never that it failed then (G3, G12)."""
    told, failed = Counter[tuple[str, int]](), set[tuple[str, int]]()
    for each in history.log:
        if isinstance(each.event, Told):
            told[each.event.reply, each.event.part] += 1
        if isinstance(each.event, Failed):
            failed.add((each.event.reply, each.event.part))
    for row in history.rows:
        part = row.posting.reply, row.posting.part
        if row.posting.conversation is not None and (row.state is RowState.sent) != (
            told[part] == 1
        ):
            yield f"{history.text_of(row)!r} is {row.state}, and told {told[part]} times"
    yield from (f"{part} was told, and failed" for part in failed & told.keys())


def disorder(history: History) -> Iterator[str]:
    """Replies of a stream come in their order, unless the earlier was unknown too long (G8)."""
    place = {post.text: number for number, post in reversed(list(enumerate(history.posts)))}
    streams = defaultdict[str, list[Row]](list)
    for row in sorted(history.rows, key=lambda row: row.seq):
        if history.text_of(row) in place:
            streams[row.posting.stream].append(row)
    for earlier, later in (pair for rows in streams.values() for pair in combinations(rows, 2)):
        first, then = history.text_of(earlier), history.text_of(later)
        began = earlier.first_sent_at
        early = began is None or history.accepted[then].at < began + history.hold_for
        if place[then] < place[first] and early:
            yield f"{then!r} came before {first!r}"


def unrecorded(history: History) -> Iterator[str]:
    """What customers wrote is recorded, each once, and nothing else (G1, G2)."""
    have, wrote = Counter(history.recorded), set(history.words)
    yield from (f"message {id} is recorded {n} times" for id, n in have.items() if n > 1)
    yield from (f"message {id} is not recorded" for id in sorted(wrote - have.keys()))
    yield from (f"message {id} was never written" for id in sorted(have.keys() - wrote))


def gap(history: History) -> Iterator[str]:
    """A conversation's versions are 1, 2, 3 … up to that of its snapshot (G3)."""
    logs = _logs(history)
    for conversation in history.conversations:
        versions = [each.version for each in logs.get(conversation.id, ())]
        if versions != list(range(1, conversation.version + 1)):
            yield f"{conversation.id} is at {conversation.version}, its log has {versions}"
    known = {conversation.id for conversation in history.conversations}
    yield from (f"{id} has a log and no snapshot" for id in logs.keys() - known)


def unlike(history: History) -> Iterator[str]:
    """A snapshot is the fold of its log (G3)."""
    logs = _logs(history)
    for conversation in history.conversations:
        if conversation.id in logs and replay(logs[conversation.id]) != conversation:
            yield f"{conversation.id} is not what its log says"


def alarm(history: History) -> Iterator[str]:
    """An alarm is raised once, and none before the moment that it says was missed (G9)."""
    raised = Counter[tuple[str, str]]()
    for each in history.log:
        event = each.event
        if isinstance(event, Announced):
            raised[each.conversation, event.key] += 1
            missed = not event.kind.startswith("warning")
            if missed and event.due is not None and each.recorded_at < event.due:
                yield f"{event.key} is due at {event.due}, and was raised at {each.recorded_at}"
    yield from (f"{key} was raised {count} times" for key, count in raised.items() if count > 1)


def shared(history: History) -> Iterator[str]:
    """A claim has one owner, who alone begins, once (G5)."""
    owners, begun = defaultdict[Any, set[int]](set), Counter[tuple[str, int]]()
    for op in history.ops:
        if op.kind in {"claimed", "begun"}:  # an echo settles whose claim it is not
            owners[op.row, op.fence].add(op.worker)
        begun[op.row, op.fence] += op.kind == "begun"
    yield from (
        f"claim {key} has owners {sorted(who)}" for key, who in owners.items() if len(who) > 1
    )
    yield from (f"claim {key} was begun {count} times" for key, count in begun.items() if count > 1)


def revived(history: History) -> Iterator[str]:
    """What was sent is never claimed again: `sent` is absorbing (G6)."""
    sent = {op.row: op.at for op in history.ops if op.kind == "settled" and op.state == "sent"}
    for op in history.ops:
        if op.kind == "claimed" and op.at > sent.get(op.row, op.at):
            yield f"{op.row} was claimed as {op.fence} after it was sent"


def unannounced(history: History) -> Iterator[str]:
    """`begin` is committed before anything can be seen on the platform (G5)."""
    for row in history.rows:
        post = history.accepted.get(history.text_of(row))
        if post is not None and (row.first_sent_at is None or post.at < row.first_sent_at):
            yield f"{post.text!r} was there at {post.at}, and begun at {row.first_sent_at}"


RULES: Mapping[str, Callable[[History], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        duplicate, stranger, lost, wrongly_failed, hidden, uncertain, unproved, unsaid, disorder,
        unrecorded, gap, unlike, alarm, shared, revived, unannounced,
    )
}  # fmt: skip


def check(history: History) -> dict[str, list[str]]:
    """Return what breaks each rule; nothing, if all is well."""
    found = {name: list(rule(history)) for name, rule in RULES.items()}
    return {name: broken for name, broken in found.items() if broken}


def _logs(history: History) -> dict[str, list[Recorded]]:
    def home(each: Recorded) -> str:
        return each.conversation

    ordered = sorted(history.log, key=lambda each: (each.conversation, each.position))
    return {name: list(log) for name, log in groupby(ordered, key=home)}


# --- asking the witnesses -----------------------------------------------------------------


def paged(store: Store, query: Any, field: str) -> Iterator[Any]:
    """Yield everything that a query finds, page by page."""
    while True:
        page = store.find(query)
        yield from getattr(page, field)
        if page.after is None:
            return
        query = attrs.evolve(query, after=page.after)


def gathered(
    store: Store,
    channel: str,
    truth: Mapping[str, list[dict[str, str]]],
    *,
    queued: Iterable[str] = (),
    ops: Iterable[Op] = (),
    kind: str = "R",
) -> History:
    """Return the history of one channel, whose network is of a reconcile class."""
    conversations = tuple(paged(store, Conversations(channel=channel), "conversations"))
    ours = {conversation.id for conversation in conversations}
    rows = tuple(paged(store, Outbox(channel=channel), "rows"))
    names = {row.id for row in rows}
    messages = [
        stored
        for conversation in conversations
        for stored in paged(store, Messages(conversation=conversation.id), "messages")
    ]
    inbound = [each.message.id for each in messages if each.direction is Direction.inbound]
    return History(
        tuple(_post(post) for post in truth["posts"]),
        tuple(words["id"] for words in truth["words"]),
        rows,
        tuple(inbound),
        conversations,
        tuple(each for id in sorted(ours) for each in whole_log(store, id)),
        frozenset(reply for reply in queued if reply.startswith(f"{channel}/")),
        tuple(op for op in ops if op.row in names),
        blind=kind in {"B", "E"},
        # Where nobody can find out what became of a reply, it holds none after it (G8).
        hold_for=timedelta(0) if kind == "B" else timedelta(minutes=10),
    )


def whole_log(store: Store, conversation: str) -> Iterator[Recorded]:
    """Yield a conversation's log."""
    after = 0
    while page := store.log(after, conversation, 1000):
        yield from page
        after = page[-1].position


def _post(post: Mapping[str, str]) -> Post:
    return Post(post["text"], post["id"], datetime.fromisoformat(post["at"]))
