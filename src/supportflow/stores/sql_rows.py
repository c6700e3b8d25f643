"""How the rows of the tables become values, and values rows: the same on every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from supportflow.errors import StoreCorrupt
from supportflow.events import Recorded
from supportflow.model import (
    Author,
    Message,
    Outgoing,
    RemovedBy,
    Visibility,
)
from supportflow.stores import (
    Direction,
    Posting,
    Quarantined,
    Removed,
    Row,
    RowState,
    Stored,
    Written,
)
from supportflow.stores.codec import (
    decode,
    decode_event,
    decode_parts,
    encode,
    encode_parts,
    storable,
)
from supportflow.stores.sql import from_micros, micros, optional_from_micros, optional_micros
from supportflow.stores.sql_ids import tag_text

__all__ = [
    "EVENT_COLUMNS",
    "EVENT_TABLES",
    "MESSAGE_COLUMNS",
    "MESSAGE_TABLES",
    "OUTBOX_COLUMNS",
    "OUTBOX_TABLES",
    "QUARANTINE_COLUMNS",
    "REMOVAL_COLUMNS",
    "conversation_columns",
    "message_columns",
    "outbox_columns",
    "quarantined_of",
    "recorded_of",
    "removed_of",
    "row_of",
    "stored_of",
]

T = TypeVar("T")

MESSAGE_TABLES = "message AS m LEFT JOIN conversation AS c ON c.id = m.conversation"
MESSAGE_COLUMNS = (
    "m.channel, m.kind, m.external_id, m.revision, c.head, c.number, m.direction, m.at, m.author,"
    " m.author_name, m.author_handle, m.thread, m.parent, m.visibility, m.language, m.permalink,"
    " m.skeleton, m.removed_at, m.removed_by, m.hidden, m.parts, m.body, m.raw"
)
OUTBOX_TABLES = "outbox AS o LEFT JOIN conversation AS c ON c.id = o.conversation"
OUTBOX_COLUMNS = (
    "o.body, o.channel, o.stream, c.head, c.number, o.reply, o.part, o.not_before, o.deadline,"
    " o.hold, o.seq, o.state, o.attempt, o.fence, o.worker, o.lease_until, o.first_sent_at,"
    " o.last_sent_at, o.negative_reads, o.remote_id, o.last_error"
)
EVENT_TABLES = "event AS e JOIN conversation AS c ON c.id = e.conversation"
EVENT_COLUMNS = "e.position, c.head, c.number, e.version, e.recorded_at, e.kind, e.body"
REMOVAL_COLUMNS = "channel, kind, external_id, at, by, hidden"
QUARANTINE_COLUMNS = "q.id, q.channel, q.raw, q.why, q.at, q.replayed_at"


def conversation_columns(written: Written) -> tuple[Any, ...]:
    """Return what changes in a conversation's row with every version."""
    after = written.after
    return (
        after.progress.version,
        after.progress.state._value_,  # `value` is a property, and slow
        micros(after.opened_at),
        optional_micros(after.waiting_since) if after.unanswered else None,
        optional_micros(written.next_due_at),
        written.policy_version,
        after.assigned,
        "".join(map(tag_text, after.tags)),
        encode(after),
    )


def message_columns(stored: Stored, conversation: int | None) -> tuple[Any, ...]:
    """Return a message's row, in the order of `sql_messages`' insert.

    Raises:
        InvalidValue: If a text in it could not be given back.
    """
    message = stored.message
    author = message.author
    row = (
        message.channel,
        message.kind,
        message.id,
        stored.revision,
        conversation,
        stored.direction._value_,
        micros(message.at),
        author.id,
        author.name,
        author.handle,
        message.thread,
        message.parent,
        message.visibility._value_,
        message.language,
        message.permalink,
        stored.skeleton,
        optional_micros(stored.removed_at),
        stored.removed_by and stored.removed_by.value,
        int(stored.hidden),
        encode_parts(message),
        message.text,
        message.raw,
    )
    storable(
        f"{author.id}{author.name}{author.handle}{message.text}{message.id}{stored.revision}"
        f"{message.channel}{message.kind}{message.thread}{message.parent}{message.language}"
        f"{message.permalink}{stored.skeleton}{message.raw}",
        "a message",
    )
    return row


def _optional_id(head: str | None, number: int | None) -> str | None:
    return None if head is None else f"{head}#{number}"


def _readable(what: str) -> Callable[[Callable[[Sequence[Any]], T]], Callable[[Sequence[Any]], T]]:
    """Make a reader of rows say what it cannot read."""

    def wrapped(read: Callable[[Sequence[Any]], T]) -> Callable[[Sequence[Any]], T]:
        @wraps(read)
        def reader(row: Sequence[Any]) -> T:
            try:
                return read(row)
            except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
                raise StoreCorrupt(f"{what} cannot be read ({error}): restore a backup") from error

        return reader

    return wrapped


@_readable("a message")
def stored_of(row: Sequence[Any]) -> Stored:
    """Return the message in a row of `MESSAGE_COLUMNS`."""
    return Stored(
        _message(row),
        Direction(row[6]),
        _optional_id(row[4], row[5]),
        row[3],
        row[16],
        optional_from_micros(row[17]),
        row[18] and RemovedBy(row[18]),
        bool(row[19]),
    )


def _message(row: Sequence[Any]) -> Message:
    attachments, tags = decode_parts(row[20])
    return Message(
        row[0],
        row[1],
        row[2],
        Author(row[8], row[9], row[10]),
        row[21],
        from_micros(row[7]),
        row[11],
        row[12],
        Visibility(row[13]),
        row[14],
        attachments,
        row[15],
        tags,
        row[22],
    )


def outbox_columns(posting: Posting, seq: int, conversation: int | None) -> tuple[Any, ...]:
    """Return a new outbox row, in the order of `sql_outbox`' insert.

    Raises:
        InvalidValue: If a text in it could not be given back.
    """
    row = (
        posting.outgoing.id,
        posting.outgoing.mark,
        posting.channel,
        posting.stream,
        seq,
        conversation,
        posting.reply,
        posting.part,
        RowState.pending.value,
        posting.hold,
        micros(posting.not_before),
        micros(posting.deadline),
        encode(posting.outgoing),
    )
    storable(f"{posting.channel}{posting.stream}{posting.reply}{posting.hold}", "an outbox row")
    return row


@_readable("an outbox row")
def row_of(row: Sequence[Any]) -> Row:
    """Return the outbox row in a row of `OUTBOX_COLUMNS`."""
    outgoing = decode(Outgoing, row[0], "an outbox row")
    return Row(
        Posting(
            outgoing,
            row[1],
            row[2],
            _optional_id(row[3], row[4]),
            row[5],
            row[6],
            from_micros(row[7]),
            from_micros(row[8]),
            row[9],
        ),
        row[10],
        RowState(row[11]),
        row[12],
        row[13],
        row[14],
        optional_from_micros(row[15]),
        optional_from_micros(row[16]),
        optional_from_micros(row[17]),
        *row[18:],
    )


@_readable("a quarantined item")
def quarantined_of(row: Sequence[Any]) -> Quarantined:
    """Return the quarantined item in a row of `QUARANTINE_COLUMNS`."""
    item, channel, raw, why, at, replayed_at = row
    return Quarantined(
        item, channel, bytes(raw), why, from_micros(at), optional_from_micros(replayed_at)
    )


@_readable("a removal")
def removed_of(row: Sequence[Any]) -> Removed:
    """Return the removal in a row of `REMOVAL_COLUMNS`."""
    channel, kind, external, at, by, hidden = row
    return Removed((channel, kind, external), from_micros(at), RemovedBy(by), bool(hidden))


@_readable("an event")
def recorded_of(row: Sequence[Any]) -> Recorded:
    """Return the event in a row of `EVENT_COLUMNS`."""
    position, head, number, version, recorded_at, kind, body = row
    event = decode_event(kind, body, f"event {version} of {head}#{number}")
    return Recorded(
        position, f"{head}#{number}", version, event.at, from_micros(recorded_at), event
    )
