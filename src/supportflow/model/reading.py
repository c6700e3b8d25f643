"""What was understood of a text: a `Reading` of a customer's words, a `Finding` on ours."""

from __future__ import annotations

from enum import StrEnum

import attrs

from supportflow.errors import InvalidValue
from supportflow.model.values import Intent, Mood, Step, member, steps_of, strings

__all__ = ["Finding", "Reading", "Severity", "Unread"]


def _intent(value: str | None) -> Intent | None:
    return None if value is None else member(Intent, value, "intent")


def _mood(value: str) -> Mood:
    return member(Mood, value, "mood")


def _confidence(_: object, __: object, value: float) -> None:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidValue(f"confidence is {value!r}; it must lie between 0 and 1")


@attrs.frozen
class Reading:
    """Hold what triage, or a person, said of one message.

    Args:
        intent: What the message is; None where nobody has read it.
        mood: How its author feels.
        gratitude: True only if it is surely nothing but thanks; such a message neither
            reopens a conversation nor starts a clock.
        advantage: True if it looks as if somebody only wants to take advantage: a hint
            that only a person may confirm.
        language: A BCP 47 tag, where known.
        steps: The steps that a native answer shows in its words.
        confidence: From 0 to 1.
        reasons: Which words led here, for people to agree or disagree with.
        by: Who read it: a classifier's name or an agent's id.

    Raises:
        InvalidValue: If the confidence is out of range, an intent, mood or step unknown,
            or a string stands where a list belongs.

    Example:
        >>> Reading("complaint", mood="furious").intent
        <Intent.complaint: 'complaint'>
    """

    intent: Intent | None = attrs.field(default=None, converter=_intent)
    mood: Mood = attrs.field(default=Mood.calm, converter=_mood)
    gratitude: bool = False
    advantage: bool = False
    language: str | None = None
    steps: tuple[Step, ...] = attrs.field(default=(), converter=steps_of)
    confidence: float = attrs.field(default=1.0, validator=_confidence)
    reasons: tuple[str, ...] = attrs.field(default=(), converter=strings)
    by: str = ""


#: Nobody has read the message: the explicit default.
Unread: Reading = Reading()


class Severity(StrEnum):
    """Say what a finding does to the text: stops it, warns, or only hints."""

    block = "block"
    warn = "warn"
    hint = "hint"


def _severity(value: str) -> Severity:
    return member(Severity, value, "severity")


@attrs.frozen
class Finding:
    """Hold what an etiquette rule says of an outgoing text.

    Args:
        rule: The rule's name.
        severity: What it does to the text.
        span: Where in the text, as (start, end) in code points.
        why: The reason, for a person to agree with.
        suggestion: What to do instead.
    """

    rule: str
    severity: Severity = attrs.field(converter=_severity)
    span: tuple[int, int]
    why: str
    suggestion: str = ""
