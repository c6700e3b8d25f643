"""What changes the tables of a `MemoryStore`: commits, and the erasure of a customer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

import attrs

from supportflow.errors import Conflict, InvalidValue
from supportflow.events import Absorbed, Event, Linked, Merged, Opened, Recorded
from supportflow.model import ChannelState, Conversation, CustomerRef, MessageKey
from supportflow.stores import (
    Changes,
    ChannelChange,
    Mention,
    Quarantined,
    Removed,
    Row,
    Stored,
    Written,
)
from supportflow.stores import memory_outbox as outbox
from supportflow.stores.codec import encode, storable
from supportflow.stores.erasure import Erasure, erasure, message_hash
from supportflow.stores.memory_tables import Entry, Tables

__all__ = ["commit", "erase"]


def commit(tables: Tables, changes: Changes) -> None:
    """Apply everything, in the order of `Changes`; the caller's transaction makes it one.

    Args:
        tables: Where.
        changes: What.

    Raises:
        Conflict: If something is not as expected.
        InvalidValue: If something cannot be stored, or does not fit together.
    """
    for written in changes.conversations:
        _write(tables, written, changes.at)
    _messages(tables, changes)
    _once(tables, changes.once)
    _outbox(tables, changes)
    for item in changes.quarantine:
        _quarantine(tables, item)
    for replayed in changes.replayed:
        _replayed(tables, replayed, changes.at)
    for mention in changes.mentions:
        _mention(tables, mention)
    for change in changes.channels:
        _change_channel(tables, change)
    for retimed in changes.retimed:
        _retime(tables, *retimed)


def _messages(tables: Tables, changes: Changes) -> None:
    for stored in changes.messages:
        _store(tables, stored)
    for removed in changes.removed:
        _remove(tables, removed)
    for key, conversation in changes.adopted:
        _known(tables, conversation)
        for revision in ("", *tables.revisions.get(key, ())):
            _move(tables, (*key, revision), conversation)
    for source, target in changes.merged:
        _merge(tables, _known(tables, source), _known(tables, target))


def _outbox(tables: Tables, changes: Changes) -> None:
    for posting in changes.postings:
        if posting.conversation is not None:
            _known(tables, posting.conversation)
        outbox.queue(tables, posting)
    for settlement in changes.settlements:
        outbox.settle(tables, settlement)
    for asked in changes.holds:
        outbox.hold(tables, asked)


def _known(tables: Tables, conversation: str) -> str:
    if conversation not in tables.conversations:
        raise Conflict(f"there is no conversation {conversation!r}: read again, decide again")
    return conversation


def _write(tables: Tables, written: Written, at: datetime) -> None:
    after = written.after
    kept = tables.conversations.get(after.id)
    version = kept.conversation.version if kept else 0
    if version != written.before or (kept is None) != (written.before == 0):
        raise Conflict(
            f"conversation {after.id} is at version {version}, not {written.before}:"
            " read it again, decide again"
        )
    if len(written.events) != after.version - written.before:
        raise InvalidValue(
            f"{len(written.events)} events cannot lead {after.id} from version"
            f" {written.before} to {after.version}"
        )
    encode(after)
    tables.conversations[after.id] = Entry(
        after, written.next_due_at, written.policy_version, kept is not None and kept.erased
    )
    if kept is None:
        _enter(tables, after)
    for number, event in enumerate(written.events, written.before + 1):
        encode(event)
        position = len(tables.events) + 1
        tables.events[position] = Recorded(position, after.id, number, event.at, at, event)
        tables.versions[after.id, number] = position


def _enter(tables: Tables, conversation: Conversation) -> None:
    """Make a new conversation findable by its thread and its customer."""
    thread = (conversation.channel, conversation.thread)
    tables.threads[thread] = (*tables.threads.get(thread, ()), conversation.id)
    head = (*thread, conversation.customer)
    newest = tables.newest.get(head)
    if newest is None or tables.conversations[newest].conversation.number < conversation.number:
        tables.newest[head] = conversation.id


def _store(tables: Tables, stored: Stored) -> None:
    key, revision = stored.message.key, stored.revision
    if (*key, revision) in tables.messages:
        raise Conflict(f"the message {(*key, revision)} is already there")
    if message_hash(key, tables.secret) in tables.erased:
        raise Conflict(f"the message {key} was erased, and is refused for ever")
    if stored.conversation is not None:
        _known(tables, stored.conversation)
    else:
        tables.orphans[*key, revision] = None
    encode(stored)
    tables.messages[*key, revision] = stored
    if revision:
        tables.revisions[key] = (*tables.revisions.get(key, ()), revision)
    elif removed := tables.removals.get(key):
        del tables.removals[key]
        _remove(tables, removed)


def _remove(tables: Tables, removed: Removed) -> None:
    key = removed.key
    if stored := tables.messages.get((*key, "")):
        tables.messages[*key, ""] = attrs.evolve(
            stored, removed_at=removed.at, removed_by=removed.by, hidden=removed.hidden
        )
    elif message_hash(key, tables.secret) not in tables.erased:
        tables.removals[key] = removed


def _move(tables: Tables, key: tuple[str, str, str, str], conversation: str) -> None:
    if stored := tables.messages.get(key):
        tables.messages[key] = attrs.evolve(stored, conversation=conversation)
        if key in tables.orphans:
            del tables.orphans[key]


def _merge(tables: Tables, source: str, target: str) -> None:
    for key in [key for key, stored in tables.messages.items() if stored.conversation == source]:
        _move(tables, key, target)
    outbox.merge_rows(tables, source, target)


def _once(tables: Tables, once: Mapping[str, str]) -> None:
    for key, result in once.items():
        if key in tables.once:
            raise Conflict(f"the once-key {key!r} is already there")
        tables.once[storable(key, "a once-key")] = storable(result, f"the result of {key!r}")


def _change_channel(tables: Tables, change: ChannelChange) -> None:
    lease = tables.leases.get(change.channel)
    if change.fence is not None and (lease is None or lease.fence != change.fence):
        return
    state = change.applied_to(tables.channels.get(change.channel, ChannelState(change.channel)))
    encode(state)
    tables.channels[change.channel] = state


def _retime(
    tables: Tables, conversation: str, version: int, due: datetime | None, policy: str
) -> None:
    kept = tables.conversations.get(conversation)
    if kept and kept.conversation.version == version:
        tables.conversations[conversation] = attrs.evolve(
            kept, next_due_at=due, policy_version=policy
        )


def _quarantine(tables: Tables, item: Quarantined) -> None:
    storable(item.why, "why of a quarantined item")
    if item.id not in tables.quarantine:
        tables.quarantine[item.id] = item


def _replayed(tables: Tables, name: str, at: datetime) -> None:
    item = tables.quarantine.get(name)
    if item and item.replayed_at is None:
        tables.quarantine[name] = attrs.evolve(item, replayed_at=at)


def _mention(tables: Tables, mention: Mention) -> None:
    message = attrs.evolve(mention.message, raw=None)
    storable(mention.query, "the query of a mention")
    encode(message)  # what no store could give back is refused here too
    if (place := (mention.query, message.key)) not in tables.mentions:
        tables.mentions[place] = Mention(mention.query, message)


# --- erasure -----------------------------------------------------------------------------


def erase(tables: Tables, customer: CustomerRef, now: datetime) -> None:
    """Blank what a customer said, and give everything of theirs other ids.

    Args:
        tables: Where.
        customer: Whose.
        now: When.
    """
    theirs = [
        kept.conversation
        for kept in tables.conversations.values()
        if (kept.conversation.channel, kept.conversation.customer)
        == (customer.channel, customer.id)
    ]
    ids = {conversation.id for conversation in theirs}
    said = {key for key, stored in tables.messages.items() if stored.conversation in ids}
    keys: set[MessageKey] = {(channel, kind, name) for channel, kind, name, _ in said}
    keys |= _unmention(tables, customer)
    pseudonym = f"erased-{secrets.token_hex(8)}"
    blank = erasure(customer, pseudonym, theirs, keys, tables.secret)
    for conversation in theirs:
        _blank_conversation(tables, conversation, blank)
    for key in keys:
        _blank_message(tables, key, blank)
    for row in [row for row in tables.rows.values() if _to(row, customer, ids)]:
        _blank_row(tables, row, blank)
    _blank_references(tables, blank)
    _blank_neighbours(tables, blank)
    for item in list(tables.quarantine.values()):
        if item.channel == customer.channel and blank.mentioned(item.raw):
            tables.quarantine[item.id] = attrs.evolve(
                item, raw=b"", why="erased", replayed_at=item.replayed_at or now
            )


def _unmention(tables: Tables, customer: CustomerRef) -> set[MessageKey]:
    """Forget what a customer wrote of us elsewhere, and return its keys."""
    theirs = [
        place
        for place, mention in tables.mentions.items()
        if (mention.message.channel, mention.message.author.id) == (customer.channel, customer.id)
    ]
    for place in theirs:
        del tables.mentions[place]
    return {key for _, key in theirs}


def _to(row: Row, customer: CustomerRef, ids: set[str]) -> bool:
    posting = row.posting
    direct = posting.channel == customer.channel and posting.outgoing.to.id == customer.id
    return direct or posting.conversation in ids


def _blank_conversation(tables: Tables, old: Conversation, blank: Erasure) -> None:
    new = blank.value(old)
    policy = tables.conversations[old.id].policy_version
    del tables.conversations[old.id]
    tables.conversations[new.id] = Entry(new, None, policy, erased=True)
    thread, head = (old.channel, old.thread), (old.channel, old.thread, old.customer)
    if head in tables.newest:
        del tables.newest[head]
    tables.threads[thread] = tuple(name for name in tables.threads[thread] if name != old.id)
    _enter(tables, new)
    for version in range(1, old.version + 1):
        position = tables.versions[old.id, version]
        del tables.versions[old.id, version]
        tables.versions[new.id, version] = position
        recorded = tables.events[position]
        event = blank.value(recorded.event)
        tables.events[position] = attrs.evolve(recorded, conversation=new.id, event=event)


def _blank_message(tables: Tables, key: MessageKey, blank: Erasure) -> None:
    hashed = message_hash(key, tables.secret)
    tables.erased[hashed] = None
    for revision in ("", *tables.revisions.get(key, ())):
        if stored := tables.messages.get((*key, revision)):
            del tables.messages[*key, revision]
            tables.messages[key[0], key[1], hashed, revision] = blank.stored(stored)
    if revisions := tables.revisions.get(key):
        del tables.revisions[key]
        tables.revisions[key[0], key[1], hashed] = revisions


def _blank_row(tables: Tables, row: Row, blank: Erasure) -> None:
    new = blank.row(row)
    stream = new.posting.stream
    tables.places[stream] = max(tables.places.get(stream, 0), row.seq)
    outbox.keep(tables, new)


def _blank_references(tables: Tables, blank: Erasure) -> None:
    """Replace erased ids where others' conversations and the once-keys name them."""
    for name, kept in list(tables.conversations.items()):
        renamed = blank.reference(kept.conversation)
        if renamed != kept.conversation:
            tables.conversations[name] = attrs.evolve(kept, conversation=renamed)
    linking: tuple[type[Event], ...] = (Opened, Linked, Merged, Absorbed)
    for position, recorded in list(tables.events.items()):
        if isinstance(recorded.event, linking):
            event = blank.reference(recorded.event)
            tables.events[position] = attrs.evolve(recorded, event=event)
    for once, result in list(tables.once.items()):
        if (blank.text(once), blank.text(result)) != (once, result):
            del tables.once[once]
            tables.once[blank.text(once)] = blank.text(result)


def _blank_neighbours(tables: Tables, blank: Erasure) -> None:
    """Replace erased ids where others' messages name them as what they answer."""
    for key, stored in list(tables.messages.items()):
        if stored.message.channel == blank.customer.channel:
            tables.messages[key] = blank.beside(stored)
