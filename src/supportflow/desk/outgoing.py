"""Decide an answer, and put it into the outbox in the same commit."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from supportflow.desk.core import Core, commit, current, fold, load, retrying, written
from supportflow.desk.drafts import Draft, checked
from supportflow.desk.rows import rows_of, taken_back
from supportflow.errors import InvalidValue
from supportflow.events import Event
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import (
    Author,
    Conversation,
    Message,
    Outgoing,
    Reply,
    Visibility,
)
from supportflow.stores import Changes, Direction, Posting, Settlement, Stored, Wanted
from supportflow.text import skeleton

__all__ = ["queue"]

#: Makes the ids of outbox rows from command ids: uuid5(this, "command:n").
_ROWS = uuid.UUID("6d0c7f3e-5b58-5a0e-9d0a-2f1c4b8e7a11")
#: An alarm is due for a reply that has no final state after this. Ours.
REPLY_DEADLINE = timedelta(hours=1)


def queue(core: Core, conversation: Conversation | str, draft: Draft) -> Program[Conversation]:
    """Decide an answer and queue it, once for its key.

    Args:
        core: The desk's core.
        conversation: The conversation, or its id.
        draft: What shall be said.

    Returns:
        The conversation afterwards; as it is now, if the key was used before.
    """
    once = f"command:{draft.key}"
    before = draft.instead_of
    again = () if before is None else (f"resent:{before.reply}",)

    def attempt() -> Program[Conversation]:
        loaded = yield from load(core, Wanted(once=(once, *again)))
        if once in loaded.once:
            return (yield from current(core, loaded.once[once]))
        for other in loaded.once.values():
            raise InvalidValue(f"it was queued again already, as reply {other!r}")
        found = yield from current(core, conversation)
        return (yield from _queue(core, found, draft))

    return (yield from retrying(attempt))


def _queue(core: Core, found: Conversation, draft: Draft) -> Program[Conversation]:
    answered, visibility = yield from checked(core, found, draft)
    now = core.now()
    events, taken = yield from _taking_back(core, found, draft, now)
    events += decide(fold(core, found, events), _command(draft), now, rules=core.rules)
    after = fold(core, found, events)
    postings = tuple(_postings(found, answered, draft, visibility, now))
    changes = Changes(
        now,
        conversations=(written(core, found.version, after, events),),
        messages=tuple(_stored(found, posting, draft, now) for posting in postings),
        once=_once(draft, after),
        postings=postings,
        settlements=taken,
    )
    yield from commit(core, changes)
    return after


def _once(draft: Draft, after: Conversation) -> dict[str, str]:
    once = {f"command:{draft.key}": after.id}
    if draft.instead_of is not None:
        once[f"resent:{draft.instead_of.reply}"] = draft.key
    return once


def _taking_back(
    core: Core, found: Conversation, draft: Draft, now: datetime
) -> Program[tuple[tuple[Event, ...], tuple[Settlement, ...]]]:
    """Return what ends the reply that this one stands for, if it is one."""
    before = draft.instead_of
    if before is None:
        return (), ()
    rows = yield from rows_of(core, before.reply)
    on_its_way = any(pending.id == before.reply for pending in found.pending)
    events = decide(found, before, now, rules=core.rules) if on_its_way else ()
    return events, taken_back(rows, before.why)


def _command(draft: Draft) -> Reply:
    return Reply(
        draft.key,
        draft.agent,
        len(draft.texts),
        draft.steps,
        draft.outcome,
        draft.promise_by,
        draft.seen,
        draft.feedback,
        draft.override,
    )


def _mark(row: uuid.UUID) -> str:
    """Return a row's mark: 24 characters, short enough for Discord's nonce of 25."""
    return base64.b32encode(row.bytes[:15]).decode().lower()


def _postings(
    conversation: Conversation,
    answered: Message,
    draft: Draft,
    visibility: Visibility,
    now: datetime,
) -> Iterable[Posting]:
    last = len(draft.texts) - 1
    for part, text in enumerate(draft.texts):
        row = uuid.uuid5(_ROWS, f"{draft.key}:{part}")
        outgoing = Outgoing(
            str(row),
            _mark(row),
            text,
            Author(answered.author.id, answered.author.name, answered.author.handle),
            conversation.thread,
            (answered.kind, answered.id),
            visibility,
            draft.agent.kind,
            now,
            language=draft.language or conversation.reading.language,
            last_inbound_at=conversation.last_at,
            card=draft.card if part == last else None,
            quick_replies=draft.quick_replies if part == last else (),
            attachments=draft.attachments if part == last else (),
            template=draft.template if part == last else None,
        )
        yield Posting(
            outgoing,
            conversation.channel,
            conversation.id,
            conversation.id,
            draft.key,
            part,
            now,
            now + REPLY_DEADLINE,
        )


def _stored(conversation: Conversation, posting: Posting, draft: Draft, now: datetime) -> Stored:
    outgoing = posting.outgoing
    message = Message(
        conversation.channel,
        "reply",
        outgoing.id,
        Author(draft.agent.id),
        outgoing.text,
        now,
        thread=conversation.thread,
        parent=outgoing.reply_to[1] if outgoing.reply_to else None,
        visibility=outgoing.visibility,
        language=outgoing.language,
    )
    return Stored(message, Direction.outbound, conversation.id, skeleton=skeleton(outgoing.text))
