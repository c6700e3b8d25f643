"""What a program needs to decide, read in about one set-based statement a kind of thing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from supportflow.errors import StoreCorrupt
from supportflow.model import ChannelState, Conversation, MessageKey
from supportflow.stores import Loaded, Removed, Row, Stored, ThreadHead, Wanted
from supportflow.stores.codec import decode
from supportflow.stores.erasure import message_hash
from supportflow.stores.sql import Dialect, Program, Statement, optional_micros
from supportflow.stores.sql_ids import head_of, split_id
from supportflow.stores.sql_rows import (
    MESSAGE_COLUMNS,
    MESSAGE_TABLES,
    OUTBOX_COLUMNS,
    OUTBOX_TABLES,
    REMOVAL_COLUMNS,
    removed_of,
    row_of,
    stored_of,
)

__all__ = ["by_kind", "erased_among", "foretold", "load"]


def load(dialect: Dialect, wanted: Wanted) -> Program[Loaded]:
    """Load what is wanted; what is not asked for costs no statement.

    Args:
        dialect: The engine's.
        wanted: What to look for.
    """
    by_id, heads, threads = yield from _conversations(dialect, wanted)
    messages, revisions = yield from _messages(dialect, wanted.messages)
    unseen = [key for key in wanted.messages if key not in messages]
    removed = yield from foretold(dialect, unseen)
    return Loaded(
        conversations=by_id,
        heads=heads,
        threads=threads,
        messages=messages,
        erased=frozenset((yield from erased_among(dialect, unseen))),
        revisions=revisions,
        removed={removal.key: removal for removal in removed},
        orphans=(yield from _orphans(dialect, wanted.orphans)),
        once=(yield from _once(dialect, wanted.once)),
        rows=(yield from _rows(dialect, wanted)),
        channels=(yield from _channels(dialect, wanted.channels)),
        skeletons=(yield from _skeletons(dialect, wanted)),
    )


def _conversations(
    dialect: Dialect, wanted: Wanted
) -> Program[
    tuple[
        dict[str, Conversation],
        dict[ThreadHead, Conversation],
        dict[tuple[str, str], Conversation],
    ]
]:
    ids = {text: split_id(text) for text in wanted.conversations}
    heads = {head: head_of(*head) for head in wanted.heads}
    places = yield from _places(dialect, {*(head for head, _ in ids.values()), *heads.values()})
    newest = {head: places[head, number] for head, number in sorted(places)}
    firsts = yield from _firsts(dialect, wanted.threads)
    by_id = {text: places[place] for text, place in ids.items() if place in places}
    by_head = {head: newest[text] for head, text in heads.items() if text in newest}
    read = yield from _snapshots(dialect, {*by_id.values(), *by_head.values(), *firsts.values()})
    return (
        {text: read[surrogate] for text, surrogate in by_id.items()},
        {head: read[surrogate] for head, surrogate in by_head.items()},
        {thread: read[surrogate] for thread, surrogate in firsts.items()},
    )


def _places(dialect: Dialect, heads: Collection[str]) -> Program[dict[tuple[str, int], int]]:
    """Return the integers behind all conversations of these heads, by head and number."""
    if not heads:
        return {}
    sql = (
        "SELECT head, number, id FROM conversation"
        f" WHERE head IN (SELECT value FROM {dialect.each})"
    )
    found = yield Statement(sql, (dialect.array(sorted(heads)),))
    return {(head, number): surrogate for head, number, surrogate in found.rows}


def _firsts(
    dialect: Dialect, threads: Collection[tuple[str, str]]
) -> Program[dict[tuple[str, str], int]]:
    """Return the integer behind the first conversation written in each thread."""
    if not threads:
        return {}
    prefixes = {head_of(*thread, "")[:-1]: thread for thread in threads}
    sql = (  # whatever begins with "channel/thread/" sorts before "channel/thread0"
        f"SELECT w.value, min(c.id) FROM {dialect.each} JOIN conversation AS c"
        " ON c.head >= w.value || '/' AND c.head < w.value || '0' GROUP BY w.value"
    )
    found = yield Statement(sql, (dialect.array(sorted(prefixes)),))
    return {prefixes[prefix]: surrogate for prefix, surrogate in found.rows}


def _snapshots(dialect: Dialect, surrogates: Iterable[int]) -> Program[dict[int, Conversation]]:
    if not (wanted := sorted(surrogates)):
        return {}
    sql = f"SELECT id, snapshot FROM conversation WHERE id IN (SELECT value FROM {dialect.each_id})"
    found = yield Statement(sql, (dialect.array(wanted),))
    if len(found.rows) < len(wanted):
        raise StoreCorrupt("an index names conversations that are not there: restore a backup")
    return {surrogate: decode(Conversation, text) for surrogate, text in found.rows}


def by_kind(keys: Iterable[MessageKey]) -> Mapping[tuple[str, str], list[str]]:
    """Return messages' ids by (channel, kind): one statement each, mostly one in all.

    Args:
        keys: The keys of messages.

    Example:
        >>> dict(by_kind([("mastodon", "status", "1"), ("mastodon", "status", "2")]))
        {('mastodon', 'status'): ['1', '2']}
    """
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    for channel, kind, external in dict.fromkeys(keys):
        ids[channel, kind].append(external)
    return ids


def _messages(
    dialect: Dialect, keys: Iterable[MessageKey]
) -> Program[tuple[dict[MessageKey, Stored], dict[MessageKey, tuple[Stored, ...]]]]:
    messages: dict[MessageKey, Stored] = {}
    revisions: dict[MessageKey, tuple[Stored, ...]] = {}
    sql = (
        f"SELECT {MESSAGE_COLUMNS} FROM {MESSAGE_TABLES} WHERE m.channel = ? AND m.kind = ?"
        f" AND m.external_id IN (SELECT value FROM {dialect.each}) ORDER BY m.id"
    )
    for (channel, kind), ids in by_kind(keys).items():
        found = yield Statement(sql, (channel, kind, dialect.array(ids)))
        for stored in map(stored_of, found.rows):
            key = stored.message.key
            if stored.revision:
                revisions[key] = (*revisions.get(key, ()), stored)
            else:
                messages[key] = stored
    return messages, revisions


def foretold(dialect: Dialect, keys: Iterable[MessageKey]) -> Program[list[Removed]]:
    """Find the removals that came before their messages.

    Args:
        dialect: The engine's.
        keys: The keys of messages.
    """
    removed: list[Removed] = []
    sql = (
        f"SELECT {REMOVAL_COLUMNS} FROM removal WHERE channel = ? AND kind = ?"
        f" AND external_id IN (SELECT value FROM {dialect.each})"
        " AND EXISTS (SELECT 1 FROM removal)"  # mostly there is none, and no id is looked up
    )
    for (channel, kind), ids in by_kind(keys).items():
        found = yield Statement(sql, (channel, kind, dialect.array(ids)))
        removed += map(removed_of, found.rows)
    return removed


def erased_among(dialect: Dialect, keys: Iterable[MessageKey]) -> Program[list[MessageKey]]:
    """Find which messages were erased.

    Args:
        dialect: The engine's.
        keys: The keys of messages.
    """
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return []
    salt = yield Statement(
        "SELECT value FROM meta WHERE name = 'salt' AND EXISTS (SELECT 1 FROM erased)"
    )
    if not salt.rows:
        return []
    secret = bytes.fromhex(salt.rows[0][0])
    hashes = {message_hash(key, secret): key for key in wanted}
    sql = f"SELECT hash FROM erased WHERE hash IN (SELECT value FROM {dialect.each})"
    found = yield Statement(sql, (dialect.array(list(hashes)),))
    return [hashes[text] for (text,) in found.rows]


def _orphans(
    dialect: Dialect, parents: Iterable[MessageKey]
) -> Program[dict[MessageKey, tuple[Stored, ...]]]:
    orphans: dict[MessageKey, tuple[Stored, ...]] = {}
    sql = (
        f"SELECT {MESSAGE_COLUMNS} FROM {MESSAGE_TABLES} WHERE m.conversation IS NULL"
        f" AND m.channel = ? AND m.parent IN (SELECT value FROM {dialect.each})"
        " ORDER BY m.at, m.id"
    )
    for (channel, kind), ids in by_kind(parents).items():
        found = yield Statement(sql, (channel, dialect.array(ids)))
        for row in found.rows:
            key = (channel, kind, row[12])
            orphans[key] = (*orphans.get(key, ()), stored_of(row))
    return orphans


def _once(dialect: Dialect, keys: Iterable[str]) -> Program[dict[str, str]]:
    if not (wanted := list(dict.fromkeys(keys))):
        return {}
    sql = f"SELECT key, result FROM once WHERE key IN (SELECT value FROM {dialect.each})"
    found = yield Statement(sql, (dialect.array(wanted),))
    return dict(found.rows)


def _rows(dialect: Dialect, wanted: Wanted) -> Program[dict[str, Row]]:
    rows: dict[str, Row] = {}
    sql = f"SELECT {OUTBOX_COLUMNS} FROM {OUTBOX_TABLES} WHERE "
    among = f"IN (SELECT value FROM {dialect.each}) ORDER BY o.number"
    for column, names in (
        ("o.id", wanted.rows),
        ("o.reply", wanted.replies),
        ("o.mark", wanted.marks),
    ):
        if names:
            found = yield Statement(f"{sql}{column} {among}", (dialect.array(names),))
            rows |= {row.id: row for row in map(row_of, found.rows)}
    remotes: dict[str, list[str]] = defaultdict(list)
    for channel, remote in wanted.remotes:
        remotes[channel].append(remote)
    for channel, ids in remotes.items():
        found = yield Statement(
            f"{sql}o.channel = ? AND o.remote_id {among}", (channel, dialect.array(ids))
        )
        rows |= {row.id: row for row in map(row_of, found.rows)}
    return rows


def _channels(dialect: Dialect, names: Iterable[str]) -> Program[dict[str, ChannelState]]:
    if not (wanted := list(dict.fromkeys(names))):
        return {}
    sql = (
        "SELECT name, state FROM channel WHERE state IS NOT NULL"
        f" AND name IN (SELECT value FROM {dialect.each})"
    )
    found = yield Statement(sql, (dialect.array(wanted),))
    return {name: decode(ChannelState, text) for name, text in found.rows}


def _skeletons(dialect: Dialect, wanted: Wanted) -> Program[dict[str, int]]:
    if not wanted.skeletons:
        return {}
    sql = (
        f"SELECT skeleton, count(*) FROM message WHERE at >= ?"
        f" AND skeleton IN (SELECT value FROM {dialect.each}) GROUP BY skeleton"
    )
    since = optional_micros(wanted.skeletons_since)
    found = yield Statement(
        sql, (-(2**62) if since is None else since, dialect.array(wanted.skeletons))
    )
    return dict(found.rows)
