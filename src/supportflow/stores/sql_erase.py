"""Erasing one customer from every table, in one transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from supportflow.model import Conversation, CustomerRef
from supportflow.stores import Row, Stored
from supportflow.stores.codec import decode, decode_event, encode, encode_event, encode_parts
from supportflow.stores.erasure import Erasure, erasure, message_hash
from supportflow.stores.sql import Dialect, Program, Statement
from supportflow.stores.sql_ids import split_id
from supportflow.stores.sql_mentions import erase_mentions, mentioned_keys
from supportflow.stores.sql_rows import (
    MESSAGE_COLUMNS,
    MESSAGE_TABLES,
    OUTBOX_COLUMNS,
    OUTBOX_TABLES,
    row_of,
    stored_of,
)

__all__ = ["erase"]


def erase(dialect: Dialect, customer: CustomerRef) -> Program[None]:
    """Blank a customer's words and replace their ids, wherever they stand.

    Args:
        dialect: The engine's.
        customer: Who is erased.
    """
    found = yield Statement(
        "SELECT id, snapshot FROM conversation WHERE customer = ? AND channel = ?"
        f" ORDER BY id{dialect.lock}",
        (customer.id, customer.channel),
    )
    theirs = {surrogate: decode(Conversation, text) for surrogate, text in found.rows}
    found = yield Statement(
        f"SELECT m.id, {MESSAGE_COLUMNS} FROM {MESSAGE_TABLES}"
        f" WHERE m.conversation IN (SELECT value FROM {dialect.each_id})",
        (dialect.array(list(theirs)),),
    )
    messages = {row[0]: stored_of(row[1:]) for row in found.rows}
    keys = {stored.message.key for stored in messages.values()}
    keys |= yield from mentioned_keys(customer)
    salt = yield Statement("SELECT value FROM meta WHERE name = 'salt'")
    secret = bytes.fromhex(salt.rows[0][0])
    pseudonym = f"erased-{secrets.token_hex(8)}"
    plan = erasure(customer, pseudonym, theirs.values(), keys, secret)
    yield from _outbox(dialect, plan, theirs)
    yield _conversations(plan, theirs)
    yield from _events(dialect, plan, theirs)
    yield _messages(plan, messages)
    yield Statement(
        "INSERT INTO erased (hash) VALUES (?) ON CONFLICT (hash) DO NOTHING",
        [(message_hash(key, secret),) for key in sorted(keys)],
        many=True,
    )
    yield erase_mentions(customer)
    yield from _references(dialect, plan)
    yield from _neighbours(dialect, plan)
    yield from _quarantine(dialect, plan)


def _outbox(dialect: Dialect, plan: Erasure, theirs: Mapping[int, Conversation]) -> Program[None]:
    customer = plan.customer
    lock = dialect.lock and f"{dialect.lock} OF o"  # not what is joined, which may be nothing
    found = yield Statement(
        f"SELECT o.number, o.conversation, {OUTBOX_COLUMNS} FROM {OUTBOX_TABLES}"
        f" WHERE o.conversation IN (SELECT value FROM {dialect.each_id})"
        f" OR (o.channel = ? AND {dialect.within}(o.body, ?) > 0) ORDER BY o.number{lock}",
        (
            dialect.array(list(theirs)),
            customer.channel,
            json.dumps(customer.id, ensure_ascii=False),
        ),
    )
    rows = [(number, row_of(rest), surrogate) for number, surrogate, *rest in found.rows]
    blank = [
        (number, plan.row(row))
        for number, row, surrogate in rows
        if surrogate in theirs or row.posting.outgoing.to.id == customer.id
    ]
    yield Statement(
        "UPDATE outbox SET stream = ?, state = ?, hold = NULL, lease_until = NULL, last_error = ?,"
        f" remote_id = ?, body = ?, settled_at = coalesce(settled_at, {dialect.now})"
        " WHERE number = ?",
        [(*_unsent(row), number) for number, row in blank],
        many=True,
    )
    yield Statement(
        "UPDATE receipt SET permalink = NULL, remote_id ="
        " (SELECT o.remote_id FROM outbox AS o WHERE o.number = receipt.outbox) WHERE outbox = ?",
        [(number,) for number, _ in blank],
        many=True,
    )


def _unsent(row: Row) -> tuple[Any, ...]:
    body = encode(row.posting.outgoing)
    return row.posting.stream, row.state.value, row.last_error, row.remote_id, body


def _conversations(plan: Erasure, theirs: Mapping[int, Conversation]) -> Statement:
    """Nobody can answer them any more: they wait for nothing, and no clock runs."""
    blank = [(plan.value(conversation), surrogate) for surrogate, conversation in theirs.items()]
    return Statement(
        "UPDATE conversation SET head = ?, number = ?, customer = ?, snapshot = ?,"
        " unanswered_since = NULL, next_due_at = NULL WHERE id = ?",
        [(*split_id(c.id), c.customer, encode(c), surrogate) for c, surrogate in blank],
        many=True,
    )


def _events(dialect: Dialect, plan: Erasure, theirs: Iterable[int]) -> Program[None]:
    found = yield Statement(
        "SELECT position, kind, body FROM event"
        f" WHERE conversation IN (SELECT value FROM {dialect.each_id})",
        (dialect.array(list(theirs)),),
    )
    yield Statement(
        "UPDATE event SET body = ? WHERE position = ?",
        [
            (encode_event(plan.value(decode_event(kind, body)))[1], position)
            for position, kind, body in found.rows
        ],
        many=True,
    )


def _messages(plan: Erasure, messages: Mapping[int, Stored]) -> Statement:
    return Statement(
        "UPDATE message SET external_id = ?, author = ?, author_name = ?, author_handle = ?,"
        " thread = ?, parent = ?, permalink = ?, skeleton = ?, parts = ?, body = ?, raw = ?"
        " WHERE id = ?",
        [(*_wordless(plan.stored(stored)), number) for number, stored in messages.items()],
        many=True,
    )


def _wordless(stored: Stored) -> tuple[Any, ...]:
    message = stored.message
    return (
        message.id,
        message.author.id,
        message.author.name,
        message.author.handle,
        message.thread,
        message.parent,
        message.permalink,
        stored.skeleton,
        encode_parts(message),
        message.text,
        message.raw,
    )


def _references(dialect: Dialect, plan: Erasure) -> Program[None]:
    """Replace the ids of their conversations where others', and once-keys, name them."""
    if not plan.heads:
        return
    head = next(iter(plan.heads))
    ending = head[head.rindex("/") :]  # "/customer#": common to all of them
    for table, column, key in (
        ("conversation", "snapshot", "id"),
        ("event", "body", "position"),
        ("once", "result", "key"),
        ("once", "key", "key"),
    ):
        found = yield Statement(
            f"SELECT {column}, {key} FROM {table} WHERE {dialect.within}({column}, ?) > 0",
            (ending,),
        )
        yield Statement(  # ids are the same characters in JSON
            f"UPDATE {table} SET {column} = ? WHERE {key} = ?",
            [(plan.text(text), which) for text, which in found.rows],
            many=True,
        )


def _neighbours(dialect: Dialect, plan: Erasure) -> Program[None]:
    """Take out of others' messages what they tell of the customer."""
    found = yield Statement(
        f"SELECT m.id, {MESSAGE_COLUMNS} FROM {MESSAGE_TABLES} WHERE m.channel = ?"
        f" AND (m.parent IN (SELECT value FROM {dialect.each})"
        f" OR {dialect.within}(m.raw, ?) > 0)",
        (plan.customer.channel, dialect.array(list(plan.known)), plan.customer.id),
    )
    beside = [(plan.beside(stored_of(row[1:])).message, row[0]) for row in found.rows]
    yield Statement(
        "UPDATE message SET parent = ?, raw = ? WHERE id = ?",
        [(message.parent, message.raw, number) for message, number in beside],
        many=True,
    )


def _quarantine(dialect: Dialect, plan: Erasure) -> Program[None]:
    found = yield Statement(
        "SELECT number, raw FROM quarantine WHERE channel = ?", (plan.customer.channel,)
    )
    yield Statement(
        "UPDATE quarantine SET raw = ?, why = 'erased',"
        f" replayed_at = coalesce(replayed_at, {dialect.now}) WHERE number = ?",
        [(b"", number) for number, raw in found.rows if plan.mentioned(bytes(raw))],
        many=True,
    )
