"""Read, after the commit, what intake left to a classifier that is not inline.

What waits for it waits in memory: if the process ends first, a message stays `Unread`, as it
was recorded, visible to everybody, and a person can classify it.
"""

from __future__ import annotations

import logging

from supportflow.desk.clean import plain_reading
from supportflow.desk.core import (
    Core,
    commit,
    fold,
    get_conversation,
    retrying,
    whole_log,
    written,
)
from supportflow.desk.telemetry import tell
from supportflow.errors import NotFound
from supportflow.events import Classified, Edited, Received, Recorded
from supportflow.flow import Call, Program
from supportflow.machine import decide
from supportflow.model import Classify, Message, Reading, Unread
from supportflow.stores import Changes

__all__ = ["read_unread"]


def read_unread(core: Core, limit: int) -> Program[int]:
    """Let the classifier read what waits for it; one message that fails stays unread.

    Args:
        core: The desk's core.
        limit: How many messages at most.

    Returns:
        How many were classified.
    """
    classified = 0
    for _ in range(limit):
        try:
            waiting = core.backlog.popleft()
        except IndexError:
            break
        conversation, message = waiting
        try:
            reading = plain_reading((yield Call(core.reader, "read", (message,))))
        except Exception as error:  # noqa: BLE001  # a user's code must not stop the desk
            why = type(error).__name__
            tell(core.count, "unread", logging.WARNING, why, conversation=conversation)
            continue
        except BaseException:
            core.backlog.appendleft(waiting)
            raise
        if reading != Unread:
            classified += yield from _record(core, conversation, message, reading)
    return classified


def _record(core: Core, conversation: str, message: Message, reading: Reading) -> Program[bool]:
    def attempt() -> Program[bool]:
        before = yield from get_conversation(core, conversation)
        if _by_person((yield from whole_log(core, before.id)), (message.kind, message.id)):
            return False
        now = core.now()
        command = Classify(reading, None, (message.kind, message.id))
        events = decide(before, command, now, rules=core.rules)
        after = fold(core, before, events)
        change = written(core, before.version, after, events)
        yield from commit(core, Changes(now, conversations=(change,)))
        return True

    try:
        return (yield from retrying(attempt))
    except NotFound:  # erased meanwhile
        return False


def _by_person(events: list[Recorded], message: tuple[str, str]) -> bool:
    """Return whether a person has classified a message, or its conversation since it came."""
    for recorded in reversed(events):
        event = recorded.event
        if isinstance(event, Classified) and event.by and event.message in {None, message}:
            return True
        if isinstance(event, Received | Edited) and (event.kind, event.id) == message:
            return False
    return False
