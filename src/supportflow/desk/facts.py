"""Take one fact of a page: one function for each kind, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs

from supportflow.desk.batch import Batch
from supportflow.desk.needs import arrivals_of, key_of, parent_of
from supportflow.flow import Program
from supportflow.model import (
    Agent,
    Author,
    Conversation,
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    PartTold,
    Reaction,
    Receipt,
    Removal,
    StatusReport,
    Visibility,
)
from supportflow.model.quick import maker
from supportflow.stores import (
    Direction,
    Loaded,
    Removed,
    Row,
    RowState,
    Settlement,
    Stored,
    Wanted,
)

__all__ = ["take"]

#: How much a platform's clock may be behind ours where an echo carries no mark (RELIABILITY 2.5).
_SKEW = timedelta(seconds=5)
_stored = maker(Stored)


def take(batch: Batch, fact: Fact) -> Program[None]:
    """Decide what a fact changes; a duplicate changes nothing.

    Args:
        batch: The page's working set.
        fact: A fact in storable form.
    """
    return _TAKE[type(fact)](batch, fact)


def _inbound(batch: Batch, fact: Inbound) -> Program[None]:
    message, key = fact.message, fact.message.key
    if batch.is_duplicate(key):
        batch.duplicates += 1
        return
    batch.recorded += 1
    reading = batch.read(message)
    thread = message.thread
    if not thread:  # named ones need no proof: answers name the same
        thread = yield from batch.thread_of(message)
        yield from batch.unite(message.id, thread, message.author.id)
    conversation = yield from batch.for_message(message, thread, reading)
    conversation = batch.decided(conversation, fact, reading)
    stored = batch.stored[key] = _stored(message, Direction.inbound, conversation.id)
    if batch.core.reader is not None:
        batch.unread.append((conversation.id, message))
    if batch.is_foretold(key):
        yield from _catch_up(batch, stored, conversation, fact.backfill, batch.loaded)


def _outbound(batch: Batch, fact: Outbound) -> Program[None]:
    message, key = fact.message, fact.message.key
    row = batch.by_mark.get(fact.mark or "") or batch.by_remote.get(message.id)
    if row is not None:
        yield from _echo(batch, row, message.id, message.at, message.permalink)
        return
    if batch.is_duplicate(key):
        batch.duplicates += 1
        return
    thread = message.thread
    if not thread:
        thread = yield from batch.thread_of(message)
        yield from batch.unite(message.id, thread)
    conversation = yield from batch.for_answer(fact, thread)
    if conversation is None:
        batch.recorded += 1
        batch.stored[key] = Stored(message, Direction.outbound, None)
        batch.orphans.setdefault(parent_of(message), []).append(fact)
        return
    row = yield from _unmarked_echo(batch, conversation, message)
    if row is not None:
        yield from _echo(batch, row, message.id, message.at, message.permalink)
        return
    batch.recorded += 1
    conversation = batch.decided(conversation, fact, batch.read(message))
    stored = batch.stored[key] = _stored(message, Direction.outbound, conversation.id)
    if batch.is_foretold(key):
        yield from _catch_up(batch, stored, conversation, fact.backfill, batch.loaded)


def _catch_up(
    batch: Batch, stored: Stored, conversation: Conversation, backfill: bool, loaded: Loaded
) -> Program[None]:
    """Apply what was reported of a message before the message itself could be placed."""
    message, key = stored.message, stored.message.key
    here = batch.revisions.get(key, {})
    for name, revision in here.items():
        here[name] = _revised(stored, revision)
    revisions = (*loaded.revisions.get(key, ()), *here.values())
    for revision in sorted(revisions, key=lambda s: (s.message.at, s.revision)):
        edit = Edit(*key, revision.revision, revision.message.text, revision.message.at, backfill)
        reading = batch.read(attrs.evolve(message, text=edit.text))
        batch.adopted[key] = batch.decided(conversation, edit, reading, message).id
    gone = batch.removed.get(key) or loaded.removed.get(key)
    if gone is not None:
        batch.decided(conversation, Removal(*key, gone.at, gone.by, gone.hidden), of=message)
    for answer in batch.orphans.pop(key, ()):
        yield from _adopt(batch, answer, conversation, batch.loaded)
    for orphan in loaded.orphans.get(key, ()):
        if parent_of(orphan.message) == key and not orphan.revision:
            keys = (orphan.message.key,)
            early = yield from batch.fetch(Wanted(messages=keys, orphans=keys))
            yield from _adopt(batch, Outbound(orphan.message), conversation, early)


def _revised(stored: Stored, revision: Stored) -> Stored:
    """Return a revision that came before its message, with what the message says besides."""
    text, at = revision.message.text, revision.message.at
    whole = attrs.evolve(stored.message, text=text, at=at, raw=None)
    return attrs.evolve(revision, message=whole, direction=stored.direction)


def _adopt(batch: Batch, answer: Outbound, asked: Conversation, loaded: Loaded) -> Program[None]:
    """Put an answer of ours that came before its question where that is now."""
    message = answer.message
    conversation = yield from batch.answered(asked.id, message.at)
    conversation = batch.decided(conversation, answer, batch.read(message))
    batch.adopted[message.key] = conversation.id
    yield from batch.unite(message.id, conversation.thread)
    stored = Stored(message, Direction.outbound, conversation.id)
    yield from _catch_up(batch, stored, conversation, answer.backfill, loaded)


def _unmarked_echo(
    batch: Batch, conversation: Conversation, message: Message
) -> Program[Row | None]:
    """Return the row whose words these are, where the platform carries no mark of ours.

    Only while its answer is awaited: same message answered, same words, and not from before
    it was sent (RELIABILITY 2.5). A private message of many networks names none that it answers:
    there the words must do. Otherwise somebody answered in the platform's own app.
    """
    if not conversation.pending:
        return None
    replies = tuple(pending.id for pending in conversation.pending)
    loaded = yield from batch.fetch(Wanted(replies=replies))
    for row in loaded.rows.values():
        outgoing, sent_at = row.posting.outgoing, row.first_sent_at
        awaited = row.state in {RowState.sending, RowState.unknown}
        if awaited and row.id not in batch.settlements and sent_at is not None:
            answered = _answers(message, outgoing)
            same = outgoing.text.split() == message.text.split()
            if answered and same and message.at >= sent_at - _SKEW:
                return row
    return None


def _answers(message: Message, outgoing: Outgoing) -> bool:
    """Say whether a message of ours stands where a reply was sent to.

    Where threads are one level deep, that is beneath the first message of the thread.
    """
    if message.parent is None:
        return message.visibility is Visibility.private
    kind, answered = outgoing.reply_to or ("", "")
    return message.kind == kind and message.parent in (answered, outgoing.thread)


def _echo(
    batch: Batch, row: Row, remote: str, at: datetime, permalink: str | None = None
) -> Program[None]:
    """Take an echo of our own reply: if it comes before the answer, it is the receipt."""
    about = row.posting.conversation
    if about is not None:
        # The row as it is after its conversation was read: whoever settles later changes that.
        yield from batch.conversation(about)
        row = (yield from batch.fetch(Wanted(rows=(row.id,)))).rows.get(row.id, row)
    known = row.state is RowState.sent
    if row.id in batch.settlements or (known and row.remote_id == remote):
        batch.duplicates += 1
        return
    batch.recorded += 1
    receipt = Receipt(remote, at, permalink)
    # Known under another id: the store then reports that the platform has it twice.
    batch.settlements[row.id] = Settlement(row.id, row.fence, RowState.sent, receipt, how="echo")
    posting = row.posting
    if known or posting.conversation is None:
        return
    conversation = yield from batch.conversation(posting.conversation)
    by = Agent("unknown", posting.outgoing.by)
    told = PartTold(posting.reply, posting.part, receipt, by)
    conversation = batch.decided(conversation, told)
    yield from batch.unite(remote, conversation.thread)


def _edit(batch: Batch, fact: Edit) -> Program[None]:
    key, known = fact.key, batch.known(fact.key)
    revisions = batch.revisions.setdefault(key, {})
    loaded = batch.loaded.revisions.get(key, ())
    if (
        fact.revision in revisions
        or key in batch.loaded.erased
        or any(stored.revision == fact.revision for stored in loaded)
    ):
        batch.duplicates += 1
        return
    batch.recorded += 1
    about, of = batch.about(key), known.message if known else None
    shell = of or Message(*key, Author(""), "", fact.at)
    if about is not None:
        conversation = yield from batch.conversation(about)
        about = conversation.id
        reading = batch.read(attrs.evolve(shell, text=fact.text))
        batch.decided(conversation, fact, reading, of)
    revised = attrs.evolve(shell, text=fact.text, at=fact.at, raw=None)
    direction = Direction.inbound if about is None else Direction.outbound
    if known is not None:
        direction = known.direction
    if about is not None and direction is Direction.inbound and batch.core.reader is not None:
        batch.unread.append((about, revised))
    revisions[fact.revision] = Stored(revised, direction, about, fact.revision)


def _removal(batch: Batch, fact: Removal) -> Program[None]:
    key, known = fact.key, batch.known(fact.key)
    before = batch.removed.get(key) or batch.loaded.removed.get(key)
    hidden = None if before is None else before.hidden
    if hidden is None and known is not None and known.removed_at is not None:
        hidden = known.hidden
    # What was hidden may be deleted after all; anything else happens once.
    again = hidden is not None and (fact.hidden or not hidden)
    if again or key in batch.loaded.erased:
        batch.duplicates += 1
        return
    batch.recorded += 1
    batch.removed[key] = Removed(key, fact.at, fact.by, fact.hidden)
    about = batch.about(key)
    if about is not None:
        conversation = yield from batch.conversation(about)
        batch.decided(conversation, fact, of=known.message if known else None)


def _reaction(batch: Batch, fact: Reaction) -> Program[None]:
    key, about = key_of(fact), batch.about(fact.key)
    message = Message(*key, fact.author, fact.emoji, fact.at, parent=fact.id)
    yield from _beside(batch, fact, message, Direction.inbound, about)


def _status(batch: Batch, fact: StatusReport) -> Program[None]:
    row = batch.by_mark.get(fact.mark or "") or batch.by_remote.get(fact.id)
    if row is None and fact.status != "failed":
        # Somebody's answer in the platform's own app arrived: nobody waits for that.
        batch.duplicates += 1
        return
    if fact.status == "failed" and any(map(batch.is_duplicate, arrivals_of(fact))):
        batch.duplicates += 1  # what arrived has arrived (RELIABILITY G12)
        return
    if row is not None and row.state is not RowState.sent and row.id not in batch.settlements:
        yield from _echo(batch, row, fact.id, fact.at)
    message = Message(*key_of(fact), Author(""), fact.reason, fact.at, parent=fact.id)
    about = row.posting.conversation if row else None
    yield from _beside(batch, fact, message, Direction.note, about)


def _beside(
    batch: Batch, fact: Fact, message: Message, direction: Direction, about: str | None
) -> Program[None]:
    """Record a report about another message; one about an unknown message can wait."""
    if batch.is_duplicate(message.key):
        batch.duplicates += 1
    elif about is None:
        batch.reject(fact, f"{type(fact).__name__} is about a message that is not known (yet)")
    else:
        conversation = yield from batch.conversation(about)
        batch.decided(conversation, fact)
        batch.stored[message.key] = Stored(message, direction, conversation.id)
        batch.recorded += 1


_TAKE: dict[type, Callable[[Batch, Any], Program[None]]] = {
    Inbound: _inbound,
    Outbound: _outbound,
    Edit: _edit,
    Removal: _removal,
    Reaction: _reaction,
    StatusReport: _status,
}
