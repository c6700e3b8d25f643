"""One commit: everything of `Changes` in a handful of statements, whatever its size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from supportflow.errors import Conflict, InvalidValue
from supportflow.model import ChannelState
from supportflow.stores import Changes, ChannelChange, Quarantined, Written
from supportflow.stores.codec import decode, encode, encode_event, storable
from supportflow.stores.sql import Dialect, Program, Statement, micros, optional_micros
from supportflow.stores.sql_load import by_kind
from supportflow.stores.sql_mentions import keep_mentions
from supportflow.stores.sql_messages import keep_messages
from supportflow.stores.sql_outbox import hold, merge_rows, queue, settle
from supportflow.stores.sql_rows import conversation_columns

__all__ = ["commit", "conflicting"]


def commit(dialect: Dialect, changes: Changes) -> Program[None]:
    """Apply everything; the driver's transaction makes it all or nothing.

    Args:
        dialect: The engine's.
        changes: What to write.

    Raises:
        Conflict: If something is not as expected; duplicates that a constraint finds are
            the driver's to turn into one (see `conflicting`).
        InvalidValue: If events and versions don't fit together.
    """
    ids = yield from _conversations(dialect, changes)
    yield from keep_messages(dialect, changes, ids)
    yield from merge_rows(dialect, changes.merged, ids)
    if changes.once:
        sql = "INSERT INTO once (key, result) VALUES (?, ?)"
        rows = [
            (storable(key, "a once-key"), storable(result, f"the result of {key!r}"))
            for key, result in changes.once.items()
        ]
        yield Statement(sql, rows, many=True)
    yield from queue(dialect, changes.postings, ids)
    yield from settle(dialect, changes.settlements, changes.at)
    for asked in changes.holds:
        yield from hold(dialect, asked, changes.at)
    yield from _quarantine(changes)
    yield from keep_mentions(changes.mentions)
    yield from _channels(dialect, changes.channels)


def _named(changes: Changes) -> Iterable[str]:
    yield from (written.after.id for written in changes.conversations)
    yield from (stored.conversation for stored in changes.messages if stored.conversation)
    yield from (target for _, target in changes.adopted)
    yield from (conversation for pair in changes.merged for conversation in pair)
    yield from (p.conversation for p in changes.postings if p.conversation)
    yield from (retimed[0] for retimed in changes.retimed)


def _conversations(dialect: Dialect, changes: Changes) -> Program[Mapping[str, int]]:
    """Write snapshots, events and clocks; return the integer behind every id in use."""
    new = [written for written in changes.conversations if written.before == 0]
    old = [written for written in changes.conversations if written.before]
    names = set(_named(changes)).difference(written.after.id for written in new)
    ids, versions = yield from _locked(dialect, names)
    for written in changes.conversations:
        _check(written, versions.get(written.after.id, 0))
    if new:
        fresh = yield Statement(dialect.fresh_ids, (len(new),))
        ids |= {w.after.id: row[0] for w, row in zip(new, fresh.rows, strict=True)}
        yield _inserted(new, ids)
    if old:
        yield _updated(old, ids)  # as they were locked
    if events := list(_events(changes, ids)):
        sql = (
            "INSERT INTO event (conversation, version, recorded_at, kind, body)"
            " VALUES (?, ?, ?, ?, ?)"
        )
        yield Statement(sql, events, many=True)
    yield from _retimed(changes, ids)
    return ids


def _locked(
    dialect: Dialect, names: Collection[str]
) -> Program[tuple[dict[str, int], dict[str, int]]]:
    """Lock conversations, in one order everywhere, so that two pages never do it crosswise."""
    if not names:
        return {}, {}
    heads = sorted({name.rpartition("#")[0] for name in names})
    found = yield Statement(
        "SELECT id, head, number, version FROM conversation"
        f" WHERE head IN (SELECT value FROM {dialect.each}) ORDER BY id{dialect.lock}",
        (dialect.array(heads),),
    )
    rows = [(f"{head}#{number}", key, version) for key, head, number, version in found.rows]
    return {name: key for name, key, _ in rows}, {name: version for name, _, version in rows}


def _check(written: Written, version: int) -> None:
    after = written.after
    if version != written.before:
        raise Conflict(
            f"conversation {after.id} is at version {version}, not {written.before}:"
            " read it again, decide again"
        )
    if len(written.events) != after.version - written.before:
        raise InvalidValue(
            f"{len(written.events)} events cannot lead {after.id} from version"
            f" {written.before} to {after.version}"
        )


def _inserted(new: Sequence[Written], ids: Mapping[str, int]) -> Statement:
    sql = (
        "INSERT INTO conversation (version, state, opened_at, unanswered_since, next_due_at,"
        " policy_version, assigned, tags, snapshot, id, head, number, channel, customer)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    rows = [
        (
            *conversation_columns(written),
            ids[after.id],
            after.id.rpartition("#")[0],
            after.number,
            after.channel,
            after.customer,
        )
        for written in new
        for after in (written.after,)
    ]
    return Statement(sql, rows, many=True)


def _updated(old: Sequence[Written], ids: Mapping[str, int]) -> Statement:
    sql = (
        "UPDATE conversation SET version = ?, state = ?, opened_at = ?, unanswered_since = ?,"
        " next_due_at = ?, policy_version = ?, assigned = ?, tags = ?, snapshot = ?"
        " WHERE id = ?"
    )
    rows = [(*conversation_columns(w), ids[w.after.id]) for w in old]
    return Statement(sql, rows, many=True)


def _events(changes: Changes, ids: Mapping[str, int]) -> Iterable[tuple[Any, ...]]:
    recorded_at = micros(changes.at)
    for written in changes.conversations:
        surrogate = ids[written.after.id]
        for version, event in enumerate(written.events, written.before + 1):
            yield (surrogate, version, recorded_at, *encode_event(event))


def _retimed(changes: Changes, ids: Mapping[str, int]) -> Program[None]:
    rows = [
        (optional_micros(due), policy, ids[text], version)
        for text, version, due, policy in changes.retimed
        if text in ids
    ]
    if rows:
        sql = (
            "UPDATE conversation SET next_due_at = ?, policy_version = ?"
            " WHERE id = ? AND version = ?"
        )
        yield Statement(sql, rows, many=True)


def _quarantine(changes: Changes) -> Program[None]:
    if changes.quarantine:
        sql = (
            "INSERT INTO quarantine (id, channel, raw, why, at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO NOTHING"
        )
        yield Statement(sql, [_quarantine_columns(item) for item in changes.quarantine], many=True)
    if changes.replayed:
        sql = "UPDATE quarantine SET replayed_at = ? WHERE id = ? AND replayed_at IS NULL"
        at = micros(changes.at)
        yield Statement(sql, [(at, item) for item in changes.replayed], many=True)


def _quarantine_columns(item: Quarantined) -> tuple[Any, ...]:
    why = storable(item.why, "why of a quarantined item")
    return item.id, item.channel, item.raw, why, micros(item.at)


def _channels(dialect: Dialect, changes: Sequence[ChannelChange]) -> Program[None]:
    if not changes:
        return
    names = sorted({change.channel for change in changes})
    array = dialect.array(names)
    if dialect.lock:  # what is not there cannot be locked, and two would write it at once
        yield Statement(
            f"INSERT INTO channel (name) SELECT value FROM {dialect.each} WHERE true"
            " ORDER BY value ON CONFLICT (name) DO NOTHING",
            [(array,)],
            many=True,
        )
    found = yield Statement(
        "SELECT name, state, fence FROM channel"
        f" WHERE name IN (SELECT value FROM {dialect.each}) ORDER BY name{dialect.lock}",
        (array,),
    )
    states = {name: ChannelState(name) for name in names}
    states |= {name: decode(ChannelState, text) for name, text, _ in found.rows if text}
    fences = {name: fence for name, _, fence in found.rows}
    for change in changes:
        if change.fence is None or change.fence == fences.get(change.channel):
            states[change.channel] = change.applied_to(states[change.channel])
    yield Statement(
        "INSERT INTO channel (name, paused_until, needs_auth, state) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET paused_until = excluded.paused_until,"
        " needs_auth = excluded.needs_auth, state = excluded.state",
        [
            (name, optional_micros(state.paused_until), state.needs_auth, encode(state))
            for name, state in states.items()
        ],
        many=True,
    )


def conflicting(dialect: Dialect, changes: Changes) -> Program[str]:
    """Say what of `changes` a constraint refused, in a new transaction after the refusal.

    Args:
        dialect: The engine's.
        changes: What could not be written.
    """
    new = {written.after.id for written in changes.conversations if written.before == 0}
    ids, _ = yield from _locked(dialect, new)
    if new & ids.keys():
        return f"the conversation {min(new & ids.keys())} is already there"
    keys = {(*stored.message.key, stored.revision) for stored in changes.messages}
    for (channel, kind), external in by_kind(key[:3] for key in keys).items():
        found = yield Statement(
            "SELECT external_id, revision FROM message WHERE channel = ? AND kind = ?"
            f" AND external_id IN (SELECT value FROM {dialect.each})",
            (channel, kind, dialect.array(external)),
        )
        for row in found.rows:
            if (channel, kind, *row) in keys:
                return f"the message {(channel, kind, *row)} is already there"
    for table, column, what, names in (
        ("once", "key", "once-key", list(changes.once)),
        ("outbox", "id", "outbox row", [p.outgoing.id for p in changes.postings]),
        ("outbox", "mark", "mark", [p.outgoing.mark for p in changes.postings]),
    ):
        found = yield Statement(
            f"SELECT {column} FROM {table} WHERE {column} IN (SELECT value FROM {dialect.each})",
            (dialect.array(names),),
        )
        if found.rows:
            return f"the {what} {found.rows[0][0]!r} is already there"
    return "something in it was written meanwhile, or stands in it twice"
