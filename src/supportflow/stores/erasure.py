"""What stays of an erased customer: no word, no name, and no id that leads back to them.

Ids are replaced alike in snapshots, events, messages and outbox rows, so that a log still
folds to its snapshot.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs

from supportflow.model import Author, Conversation, CustomerRef, MessageKey, conversation_id
from supportflow.stores import Row, RowState, Stored

__all__ = ["FINAL", "Erasure", "erasure", "message_hash"]

#: States that nothing but knowledge changes any more.
FINAL = frozenset({RowState.sent, RowState.failed, RowState.cancelled})

#: What was said in words, by the customer or about them; the rest of a value are facts.
_WORDS = frozenset({"why", "reason", "reasons", "held"})
_BLANK = "erased"
T = TypeVar("T")


def message_hash(key: MessageKey, secret: bytes) -> str:
    """Return what stays of the key of an erased message, so that it stays refused.

    Args:
        key: The message's key.
        secret: The store's own, at most 64 bytes: without it nobody can try out keys.

    Example:
        >>> message_hash(("mastodon", "status", "109"), b"secret")
        'erased-e6e9c0d9623d3f837670214deaa6814d'
    """
    text = "\0".join(key).encode(errors="surrogatepass")
    return f"{_BLANK}-{hashlib.blake2b(text, digest_size=16, key=secret).hexdigest()}"


def erasure(
    customer: CustomerRef,
    pseudonym: str,
    conversations: Iterable[Conversation],
    messages: Iterable[MessageKey],
    secret: bytes,
) -> Erasure:
    """Prepare the erasure of one customer.

    Args:
        customer: Who is erased.
        pseudonym: What stands for them from now on; made anew each time.
        conversations: All of theirs.
        messages: The keys of all messages in these.
        secret: The store's own, as in `message_hash`.
    """
    channel, known = customer.channel, {customer.id: pseudonym}
    for key in messages:
        hashed = message_hash(key, secret)
        known[key[2]] = hashed
        known[f"{key[1]}:{key[2]}"] = f"{key[1]}:{hashed}"
    heads = {}
    for thread in sorted({c.thread for c in conversations}):
        if customer.id in thread:
            known.setdefault(thread, f"{pseudonym}-{len(known)}")
        old = conversation_id(channel, thread, customer.id)[:-1]
        heads[old] = conversation_id(channel, known.get(thread, thread), pseudonym)[:-1]
    return Erasure(customer, known, heads, secret)


@attrs.frozen
class Erasure:
    """Rewrite what a store holds of, or around, one erased customer.

    Args:
        customer: Who is erased.
        known: Ids of theirs and what stands for them now.
        heads: Beginnings (`channel/thread/customer#`) of their conversations' ids, and what
            stands for them now.
        secret: As in `message_hash`.
    """

    customer: CustomerRef
    known: Mapping[str, str] = attrs.field(repr=False)
    heads: Mapping[str, str] = attrs.field(repr=False)
    secret: bytes = attrs.field(repr=False)

    def text(self, text: str) -> str:
        """Return a text in which the ids of erased conversations are replaced.

        Args:
            text: An id, a once-key, a result.
        """
        if not self.heads:
            return text
        # A head is whole where nothing that could belong to an id stands before it.
        any_head = "|".join(map(re.escape, self.heads))
        return re.sub(rf"(?<![\w.~%-])(?:{any_head})", lambda found: self.heads[found[0]], text)

    def name(self, text: str) -> str:
        """Return what stands for an id of the customer's, alone or after a colon.

        Args:
            text: An id, or a key that ends with one.
        """
        for start in (0, *(found.end() for found in re.finditer(":", text))):
            if new := self.known.get(text[start:]):
                return text[:start] + new
        return self.text(text)

    def value(self, value: T) -> T:
        """Return a snapshot or event of an erased conversation, without words and ids.

        Args:
            value: The snapshot or event.
        """
        new: T = _rewritten(value, self.name, _WORDS)
        return new

    def reference(self, value: T) -> T:
        """Return a snapshot or event of somebody else's, which may name an erased one.

        Args:
            value: The snapshot or event.
        """
        new: T = _rewritten(value, self.text, frozenset())
        return new

    def stored(self, stored: Stored) -> Stored:
        """Return what stays of a message in an erased conversation.

        Args:
            stored: The message, or a revision of it.
        """
        message = stored.message
        ours = message.author.id != self.customer.id
        blank = attrs.evolve(
            message,
            id=message_hash(message.key, self.secret),
            author=message.author if ours else Author(self.name(message.author.id)),
            text="",
            thread=message.thread and self.name(message.thread),
            parent=message.parent and self.name(message.parent),
            attachments=(),
            permalink=None,
            raw=None,
        )
        conversation = stored.conversation and self.text(stored.conversation)
        return attrs.evolve(stored, message=blank, conversation=conversation, skeleton=None)

    def beside(self, stored: Stored) -> Stored:
        """Return somebody else's message without what it tells of the erased customer.

        Args:
            stored: A message on the same channel.
        """
        message = stored.message
        parent = message.parent and self.known.get(message.parent, message.parent)
        raw = message.raw
        if raw is not None and self.mentioned(raw.encode()):
            raw = None
        if (parent, raw) == (message.parent, message.raw):
            return stored
        return attrs.evolve(stored, message=attrs.evolve(message, parent=parent, raw=raw))

    def row(self, row: Row) -> Row:
        """Return what stays of an outbox row; one that has not left never will.

        Args:
            row: The row of an erased conversation.
        """
        posting = row.posting
        outgoing = posting.outgoing
        blank = attrs.evolve(
            outgoing,
            text="",
            to=Author(self.name(outgoing.to.id)),
            thread=self.name(outgoing.thread),
            reply_to=_rewritten(outgoing.reply_to, self.name, _WORDS),
            card=None,
            quick_replies=(),
            attachments=(),
            template=None,
        )
        posting = attrs.evolve(
            posting,
            outgoing=blank,
            stream=self.text(posting.stream),
            conversation=posting.conversation and self.text(posting.conversation),
            hold=None,
        )
        row = attrs.evolve(
            row,
            posting=posting,
            remote_id=row.remote_id and self.name(row.remote_id),
            last_error=row.last_error and _BLANK,
        )
        if row.state in FINAL:
            return row
        return attrs.evolve(row, state=RowState.cancelled, lease_until=None, last_error=_BLANK)

    def mentioned(self, raw: bytes) -> bool:
        """Return whether a quarantined item is about the customer.

        Args:
            raw: The item.
        """
        needle = re.escape(self.customer.id.encode())
        return re.search(rb"(?<![0-9A-Za-z])" + needle + rb"(?![0-9A-Za-z])", raw) is not None


def _rewritten(value: Any, rename: Any, words: frozenset[str]) -> Any:
    if value.__class__ is str:
        return rename(value)
    if isinstance(value, tuple):
        return tuple(_rewritten(item, rename, words) for item in value)
    if not attrs.has(value.__class__):
        return value
    return attrs.evolve(
        value,
        **{
            field.name: _without_words(old)
            if field.name in words
            else _rewritten(old, rename, words)
            for field in attrs.fields(value.__class__)
            if (old := getattr(value, field.name)) is not None
        },
    )


def _without_words(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(value, tuple):
        return ()
    return value and _BLANK
