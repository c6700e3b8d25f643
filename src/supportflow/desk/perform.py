"""Decide one command on a conversation, and commit what follows, once for its key."""

from __future__ import annotations

from collections.abc import Callable

from supportflow.desk.arguments import key_of
from supportflow.desk.core import (
    Core,
    commit,
    current,
    fold,
    get_conversation,
    load,
    retrying,
    written,
)
from supportflow.desk.rows import rows_of, taken_back
from supportflow.events import Cancelled, Event
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import Command, Conversation, Dismiss
from supportflow.stores import Changes, Settlement, Stored, Wanted

__all__ = ["perform"]


def perform(
    core: Core,
    conversation: Conversation | str,
    command: Command,
    *,
    key: str | None = None,
    words: Callable[[Conversation], Stored] | None = None,
) -> Program[Conversation]:
    """Decide a command and commit what follows, once for its key.

    Args:
        conversation: The conversation, or its id.
        command: The command.
        key: The caller's own id for it, if they gave one.
        words: Makes the text that belongs to it, once its conversation is known.

    Returns:
        The conversation afterwards; as it is now, if the key was used before.
    """
    once = None if key is None else f"command:{key_of(key)}"
    strict = isinstance(command, Dismiss)

    def attempt() -> Program[Conversation]:
        if once is not None:
            loaded = yield from load(core, Wanted(once=(once,)))
            if once in loaded.once:
                return (yield from current(core, loaded.once[once]))
        find = current if strict else get_conversation
        found = yield from find(core, conversation)
        now = core.now()
        events = decide(found, command, now, rules=core.rules)
        if not events:
            return found
        after = fold(core, found, events)
        changes = Changes(
            now,
            conversations=(written(core, found.version, after, events),),
            messages=() if words is None else (words(found),),
            once={} if once is None else {once: after.id},
            settlements=(yield from _taken_back(core, events)),
        )
        yield from commit(core, changes)
        return after

    return (yield from retrying(attempt))


def _taken_back(core: Core, events: tuple[Event, ...]) -> Program[tuple[Settlement, ...]]:
    """Return what cancels the outbox rows of replies that are cancelled."""
    cancelled = {event.reply: event.why for event in events if isinstance(event, Cancelled)}
    if not cancelled:
        return ()
    rows = yield from rows_of(core, *cancelled)
    return tuple(
        settlement for row in rows for settlement in taken_back([row], cancelled[row.posting.reply])
    )
