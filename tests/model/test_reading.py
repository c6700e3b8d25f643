"""Readings and findings take what classifiers and models say, and refuse what means nothing."""

import pytest

from supportflow.errors import InvalidValue
from supportflow.model import Finding, Intent, Mood, Reading, Severity, Step, Unread


def test_unread_is_explicit():
    """Nobody has read it: no intent, calm, no gratitude, no steps."""
    assert Reading() == Unread
    assert (None, Mood.calm, False, ()) == (
        Unread.intent,
        Unread.mood,
        Unread.gratitude,
        Unread.steps,
    )


def test_names_become_members():
    """What a model answered as text is typed from here on."""
    reading = Reading("complaint", "furious", steps=["resolve", "acknowledge"], reasons=["broken"])
    assert (Intent.complaint, Mood.furious) == (reading.intent, reading.mood)
    assert (Step.acknowledge, Step.resolve) == reading.steps
    assert ("broken",) == reading.reasons


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"intent": "complain"}, "intent is 'complain'; it is one of"),
        ({"mood": "sad"}, "mood is 'sad'; it is one of"),
        ({"steps": ["fix"]}, "a step is 'fix'; it is one of"),
        ({"steps": "resolve"}, "stands where a list belongs"),
        ({"reasons": "broken"}, "stands where a list belongs"),
        ({"confidence": -0.1}, "confidence is -0.1"),
        ({"confidence": 1.1}, "confidence is 1.1"),
        ({"confidence": float("nan")}, "confidence is nan"),
        ({"confidence": "0.9"}, "confidence is '0.9'"),
        ({"confidence": None}, "confidence is None"),
    ],
)
def test_nonsense_is_refused(fields, why):
    """Regression: words from outside that mean nothing raised whatever came first."""
    with pytest.raises(InvalidValue, match=why):
        Reading(**fields)


def test_findings_have_a_severity():
    """Given as text or member; another is refused."""
    assert Severity.block is Finding("length", "block", (0, 1), "too long").severity
    with pytest.raises(InvalidValue, match="severity is 'fatal'; it is one of block, warn, hint"):
        Finding("length", "fatal", (0, 1), "too long")
