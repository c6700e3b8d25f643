"""Add marks to a snapshot: quickly at the end, by a new fold of all of them elsewhere."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from supportflow.events import Classified
from supportflow.machine.rules import Rules
from supportflow.model import Base, Conversation, Mark, Marked, Progress, State
from supportflow.model.quick import maker
from supportflow.sla.clock import fold, insert, settle, stricter

__all__ = ["Fields", "ask", "refold", "reread", "tell"]

#: The fields of the snapshot that is being made, by name.
Fields: TypeAlias = dict[str, Any]

_progress = maker(Progress)
_RECEIVED, _RESOLVED = State.received, State.resolved  # a name costs less than an attribute


def ask(f: Fields, c: Conversation, mark: Mark, rules: Rules) -> None:
    """Add a question of the customer's, of any time.

    Args:
        f: The fields of the snapshot that is being made.
        c: The snapshot before.
        mark: The mark; one that is there already changes nothing.
        rules: The rules in force.
    """
    marks, at = c.marks, mark.at
    marks = (*marks, mark) if marks and marks[-1].at < at else insert(marks, mark)
    if marks[-1] is not mark or at < c.opened_at or len(marks) > rules.max_marks:
        refold(f, c, c.base, marks, rules)
        return
    f["marks"] = marks
    core, book = c.progress, mark.playbook
    if core.state is _RESOLVED:
        f["progress"] = _progress(_RECEIVED, core.version + 1, at)
        f["cycle"] = c.cycle + 1
        f["playbook"], f["waiting_since"] = book, at
        return
    if c.playbook != book:
        f["playbook"] = stricter(c.playbook, book, rules.playbooks) if c.playbook else book
    if c.waiting_since is None:
        f["waiting_since"] = at


def tell(f: Fields, c: Conversation, mark: Mark, rules: Rules) -> None:
    """Add words of ours, of any time.

    Args:
        f: The fields of the snapshot that is being made.
        c: The snapshot before.
        mark: The mark; one that is there already changes nothing.
        rules: The rules in force.
    """
    marks, at, last = c.marks, mark.at, c.last_at
    marks = (*marks, mark) if marks and marks[-1].at < at else insert(marks, mark)
    unaware = last is not None and (mark.covers or at) < last
    if unaware or marks[-1] is not mark or at < c.opened_at or len(marks) > rules.max_marks:
        refold(f, c, c.base, marks, rules)
        return
    f["marks"] = marks
    if mark.by not in rules.responders:
        return
    f["waiting_since"] = None
    if mark.steps:
        core = c.progress
        book = rules.playbooks.get(c.playbook) or rules.book(c.playbook)
        state, edges = core.state, book.table(mark.feedback)
        for taken in mark.steps:
            state = edges[state].get(taken, state)
        since = core.since if state is core.state else at
        f["progress"] = _progress(state, core.version + 1, since)


def refold(f: Fields, c: Conversation, base: Base, marks: tuple[Mark, ...], rules: Rules) -> None:
    """Read all marks anew.

    Args:
        f: The fields of the snapshot that is being made.
        c: The snapshot before.
        base: What older marks left behind.
        marks: Sorted marks, at least one.
        rules: The rules in force.
    """
    standing = fold(base, marks, rules.playbooks, rules.responders)
    after = standing.base
    f["opened_at"] = min(f["opened_at"], marks[0].at)
    f["progress"] = _progress(after.state, c.version + 1, after.since or f["opened_at"])
    f["cycle"], f["playbook"] = after.cycle, after.playbook
    f["waiting_since"] = standing.waiting_since
    while len(marks) > rules.max_marks:
        base, marks = settle(base, marks, rules.playbooks, rules.responders)
    f["base"], f["marks"] = base, marks


def reread(c: Conversation, e: Classified, key: str, rules: Rules) -> tuple[Mark, ...]:
    """Return the marks as a new reading of one message leaves them.

    A milder reading counts from the beginning; a stricter one from now on, because it
    changes the steps that remain and takes back none that was taken.

    Args:
        c: The snapshot before.
        e: The reading.
        key: The message's key among the marks.
        rules: The rules in force.
    """
    what = Marked.thanked if e.reading.gratitude else Marked.asked
    marks: tuple[Mark, ...] = ()
    raised: Mark | None = None
    for mark in c.marks:
        if mark.key != key or mark.what not in _READ:
            marks = insert(marks, mark)
        elif mark.what is not Marked.classified:  # what an earlier reading of it left goes
            milder = stricter(mark.playbook, e.playbook, rules.playbooks) == mark.playbook
            raised = raised if milder else mark
            book = e.playbook if milder else mark.playbook
            marks = insert(marks, attrs.evolve(mark, what=what, playbook=book))
    after = fold(c.base, marks, rules.playbooks, rules.responders).base
    if raised is not None and after.began is not None and after.began <= raised.at:
        book = stricter(after.playbook, e.playbook, rules.playbooks)
        marks = insert(marks, Mark(e.at, Marked.classified, key, book))
    return marks


_READ = (Marked.asked, Marked.thanked, Marked.classified)
