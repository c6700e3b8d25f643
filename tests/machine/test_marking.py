"""The quick way to add a mark gives what a fold of all marks gives."""

from datetime import UTC, datetime, timedelta

import pytest

from supportflow.events import Classified, Received, Told
from supportflow.machine import Rules, blank, evolve
from supportflow.machine.marking import ask, refold, reread, tell
from supportflow.model import (
    NATIVE,
    AgentKind,
    Mark,
    Marked,
    Reading,
    State,
    Step,
    Visibility,
)
from supportflow.sla.clock import insert

T0 = datetime(2026, 1, 1, tzinfo=UTC)
RULES = Rules()
A, P, R = Step.acknowledge, Step.apologize, Step.resolve


def at(minute):
    """Return the instant so many minutes after the start."""
    return T0 + timedelta(minutes=minute)


def conversation(*steps):
    """Return a complaint that was answered with steps at minute 5."""
    said = Received(T0, "m", "1", Visibility.public, Reading("complaint"), "complaint")
    told = Told(at(5), "n", 0, 1, NATIVE, steps, None)
    return evolve(evolve(blank("shop", "t", "u", T0), said), told)


def question(minute, book="standard"):
    """Return the mark of a question."""
    return Mark(at(minute), Marked.asked, f"m:{minute}", book)


def answer(minute, *steps, by=AgentKind.person, covers=None):
    """Return the mark of an answer."""
    return Mark(at(minute), Marked.told, f"r:{minute}", "", by, steps, covers)


@pytest.mark.parametrize("steps", [(), (A,), (A, P), (A, P, R)])
@pytest.mark.parametrize(
    ("add", "mark"),
    [
        (ask, question(9)),
        (ask, question(9, "suggestion")),
        (ask, question(9, "")),
        (ask, question(5)),
        (ask, question(3)),
        (ask, question(-3)),
        (tell, answer(9)),
        (tell, answer(9, R)),
        (tell, answer(9, A, P)),
        (tell, answer(9, R, by=AgentKind.automatic)),
        (tell, answer(9, covers=at(-1))),
        (tell, answer(5, P)),
        (tell, answer(3, P)),
        (tell, answer(-3)),
    ],
)
@pytest.mark.parametrize("rules", [RULES, Rules(max_marks=2)])
def test_quick_or_not_is_the_same(steps, add, mark, rules):
    """In order, at the same instant, late, uncovered, beyond the bound: the same fields."""
    before = conversation(*steps)
    quick, slow = before.__dict__.copy(), before.__dict__.copy()
    add(quick, before, mark, rules)
    refold(slow, before, before.base, insert(before.marks, mark), rules)
    core = quick["progress"]
    assert {**slow, "progress": None} == {**quick, "progress": None}
    assert (slow["progress"].state, slow["progress"].since) == (core.state, core.since)


def test_a_mark_that_is_known_changes_nothing():
    """The same question reported twice."""
    before = conversation()
    fields = before.__dict__.copy()
    ask(fields, before, before.marks[0], RULES)
    assert before.marks == fields["marks"]
    assert State.received is fields["progress"].state


def test_rereading_keeps_what_is_not_meant():
    """Only marks of the message change, and none of them is lost."""
    before = evolve(conversation(), Received(at(7), "m", "2", Visibility.public, Reading(), ""))
    event = Classified(at(9), Reading("question"), "standard", ("m", "1"), None)
    marks = reread(before, event, "m:1", RULES)
    assert ["m:1", "n", "m:2"] == [mark.key for mark in marks]
    assert ["standard", "", ""] == [mark.playbook for mark in marks]
    assert before.marks == reread(before, event, "m:other", RULES)
