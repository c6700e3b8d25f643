"""What a commit does to messages: new ones, removals, and moves between conversations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from supportflow.errors import Conflict
from supportflow.model import MessageKey
from supportflow.stores import Changes, Removed
from supportflow.stores.sql import Dialect, Program, Statement, micros
from supportflow.stores.sql_ids import known
from supportflow.stores.sql_load import by_kind, erased_among, foretold
from supportflow.stores.sql_rows import (
    message_columns,
)

__all__ = ["keep_messages"]


def keep_messages(dialect: Dialect, changes: Changes, ids: Mapping[str, int]) -> Program[None]:
    """Write new messages and revisions, then what became of these and of older ones.

    Args:
        dialect: The engine's.
        changes: What to write.
        ids: The integer behind every conversation's id in use.

    Raises:
        Conflict: If a message was erased, or its conversation is not there.
    """
    if changes.messages:
        yield from _inserted(dialect, changes, ids)
        yield from _catch_up(dialect, [s.message.key for s in changes.messages if not s.revision])
    if changes.removed:
        yield from _remove(dialect, changes.removed)
    if changes.adopted:
        sql = (
            "UPDATE message SET conversation = ? WHERE channel = ? AND kind = ? AND external_id = ?"
        )
        yield Statement(sql, [(known(ids, to), *key) for key, to in changes.adopted], many=True)
    if changes.merged:
        sql = "UPDATE message SET conversation = ? WHERE conversation = ?"
        moved = [(known(ids, target), known(ids, source)) for source, target in changes.merged]
        yield Statement(sql, moved, many=True)


def _inserted(dialect: Dialect, changes: Changes, ids: Mapping[str, int]) -> Program[None]:
    keys = [stored.message.key for stored in changes.messages]
    if erased := (yield from erased_among(dialect, keys)):
        raise Conflict(f"the message {erased[0]} was erased, and is refused for ever")
    sql = (
        "INSERT INTO message (channel, kind, external_id, revision, conversation, direction, at,"
        " author, author_name, author_handle, thread, parent, visibility, language, permalink,"
        " skeleton, removed_at, removed_by, hidden, parts, body, raw)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    rows = [
        message_columns(s, None if s.conversation is None else known(ids, s.conversation))
        for s in changes.messages
    ]
    yield Statement(sql, rows, many=True)


def _catch_up(dialect: Dialect, keys: Iterable[MessageKey]) -> Program[None]:
    """Apply the removals that came before their messages."""
    if removed := (yield from foretold(dialect, keys)):
        yield from _remove(dialect, removed)
        sql = "DELETE FROM removal WHERE channel = ? AND kind = ? AND external_id = ?"
        yield Statement(sql, [removal.key for removal in removed], many=True)


def _remove(dialect: Dialect, removed: Sequence[Removed]) -> Program[None]:
    keys = [removal.key for removal in removed]
    here: set[MessageKey] = set((yield from erased_among(dialect, keys)))
    for (channel, kind), ids in by_kind(keys).items():
        found = yield Statement(
            "SELECT external_id FROM message WHERE channel = ? AND kind = ?"
            f" AND external_id IN (SELECT value FROM {dialect.each}) AND revision = ''",
            (channel, kind, dialect.array(ids)),
        )
        here |= {(channel, kind, external) for (external,) in found.rows}
    rows = [(micros(r.at), r.by.value, int(r.hidden), *r.key) for r in removed]
    yield Statement(
        "UPDATE message SET removed_at = ?, removed_by = ?, hidden = ?"
        " WHERE channel = ? AND kind = ? AND external_id = ? AND revision = ''",
        rows,
        many=True,
    )
    if unseen := [row for row in rows if row[3:] not in here]:
        yield Statement(
            "INSERT INTO removal (at, by, hidden, channel, kind, external_id)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, kind, external_id) DO UPDATE SET"
            " at = excluded.at, by = excluded.by, hidden = excluded.hidden",
            unseen,
            many=True,
        )
