"""Let a reply that waits for a person go on, or what failed of it go again."""

from __future__ import annotations

from datetime import datetime

from supportflow.desk.arguments import as_agent, key_of, words_of
from supportflow.desk.core import (
    Core,
    commit,
    current,
    fold,
    get_conversation,
    load,
    retrying,
    whole_log,
    written,
)
from supportflow.desk.drafts import Draft
from supportflow.desk.outgoing import queue
from supportflow.desk.rows import check_still, rows_of
from supportflow.errors import InvalidValue, NotFound, Unsupported
from supportflow.events import Queued
from supportflow.flow import Program
from supportflow.machine import decide
from supportflow.model import Agent, Cancel, Conversation, Pending, Release
from supportflow.stores import Changes, HoldRows, Row, RowState, Settlement, Wanted

__all__ = ["resend"]

_DEAD = frozenset({RowState.failed, RowState.cancelled})


def resend(
    core: Core,
    reply: str,
    *,
    why: str = "",
    agent: str | Agent = "agent",
    key: str | None = None,
) -> Program[Conversation]:
    """Send a reply that waits for a person, or those of its parts that failed, after all.

    A held reply goes on as it is. One that failed or was cancelled is queued again, as a new
    reply with what was not told of it: it passes the gate and must be legal now. One whose
    fate is unknown may be on the platform already: look there first, because the customer
    then reads it twice. That is why no program does this by itself.

    Args:
        reply: The reply's id, as in `conversation.pending`, or that of one of its rows.
        why: The reason; it is recorded.
        agent: Who decides.
        key: Your own id for this command; the same key again changes nothing.

    Returns:
        The conversation with the reply on its way.

    Raises:
        NotFound: If there is no such reply.
        InvalidValue: If it was sent, waits for nobody, is still being cleared up, or was queued
            again already.
        Conflict: If a part of it is leaving at this moment.
        IllegalStep: If a step that it takes is not legal now; it names those that are.
        EtiquetteError: If a rule blocks the text of one that is queued again.
        WindowClosed: If the platform no longer takes private replies here.
    """
    by, reason, name = as_agent(agent), words_of(why, "why"), key_of(key)
    rows = yield from rows_of(core, words_of(reply, "reply"))
    posting = rows[0].posting
    if posting.conversation is None:
        raise Unsupported(f"{posting.reply!r} belongs to no conversation")
    if any(row.state in _DEAD for row in rows):
        _check_clear(rows)
        draft = yield from _again(core, rows, Cancel(posting.reply, by, reason), name)
        return (yield from queue(core, posting.conversation, draft))
    release = Release(posting.reply, by, reason)
    return (yield from retrying(lambda: _go_on(core, release, f"command:{name}")))


def _go_on(core: Core, release: Release, once: str) -> Program[Conversation]:
    """Let everything that is held of a reply go on."""
    loaded = yield from load(core, Wanted(once=(once,)))
    if once in loaded.once:
        return (yield from current(core, loaded.once[once]))
    rows = yield from rows_of(core, release.reply)
    check_still(rows)
    _check_clear(rows)
    if not any(row.posting.hold for row in rows):
        raise InvalidValue(f"it waits for nobody ({_states(rows)}); there is nothing to send again")
    before = yield from get_conversation(core, rows[0].posting.conversation or "")
    now = core.now()
    on_its_way = any(pending.id == release.reply for pending in before.pending)
    events = decide(before, release, now, rules=core.rules) if on_its_way else ()
    after = fold(core, before, events)
    changes = Changes(
        now,
        conversations=(written(core, before.version, after, events),) if events else (),
        once={once: after.id},
        settlements=tuple(
            _resent(row, release, now) for row in rows if row.state is RowState.unknown
        ),
        holds=(HoldRows(release.reply, None),),
    )
    yield from commit(core, changes)
    return after


def _check_clear(rows: tuple[Row, ...]) -> None:
    """Refuse what somebody is still finding out."""
    if any(row.state is RowState.unknown and row.posting.hold is None for row in rows):
        raise InvalidValue(f"it is still being cleared up ({_states(rows)}); wait until it is held")


def _states(rows: tuple[Row, ...]) -> str:
    return ", ".join(f"part {row.posting.part + 1} is {row.state}" for row in rows)


def _resent(row: Row, release: Release, now: datetime) -> Settlement:
    why = f"sent again by {release.agent.id}: {release.why}"
    return Settlement(
        row.id, row.fence, RowState.pending, error=why, not_before=now, negative_reads=0, hold=""
    )


def _again(core: Core, rows: tuple[Row, ...], instead_of: Cancel, key: str) -> Program[Draft]:
    """Return what was not told of a reply, as a new one."""
    untold = [row.posting.outgoing for row in rows if row.state is not RowState.sent]
    last = untold[-1]
    asked = yield from _asked(core, rows[0], instead_of.reply)
    return Draft(
        tuple(outgoing.text for outgoing in untold),
        key,
        asked.by,
        asked.steps,
        asked.outcome,
        asked.due,
        visibility=last.visibility,
        to=last.reply_to,
        language=last.language,
        feedback=asked.feedback,
        card=last.card,
        quick_replies=last.quick_replies,
        attachments=last.attachments,
        template=last.template,
        instead_of=instead_of,
    )


def _asked(core: Core, row: Row, reply: str) -> Program[Pending | Queued]:
    """Return what a reply was to do: from its conversation, or from the log if it is over."""
    conversation = yield from get_conversation(core, row.posting.conversation or "")
    for pending in conversation.pending:
        if pending.id == reply:
            return pending
    for recorded in (yield from whole_log(core, row.posting.conversation or "")):
        if isinstance(recorded.event, Queued) and recorded.event.reply == reply:
            return recorded.event
    raise NotFound(f"what reply {reply!r} was to do is no longer known")
