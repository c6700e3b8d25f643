"""Check an outgoing text against rules, purely, with everything that the rules may know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import attrs

from supportflow.model import Conversation, Finding, Severity, Step, Visibility

__all__ = ["RULES", "Context", "Rule", "blocking", "check"]


@attrs.frozen
class Context:
    """Hold what a rule may know about a text besides its words.

    Args:
        conversation: The conversation that it is for.
        visibility: Who will read it.
        steps: The steps that it claims to take.
        max_text: The longest text that the channel takes.
        count: How the channel counts a text's length.
        language: The customer's language, where known.
        repeated: How often the same skeleton went out lately.
        incidents: The holding answers of open incidents.
    """

    conversation: Conversation
    visibility: Visibility = Visibility.public
    steps: tuple[Step, ...] = ()
    max_text: int | None = None
    count: Callable[[str], int] = len
    language: str | None = None
    repeated: int = 0
    incidents: tuple[str, ...] = ()


#: A rule yields what it finds.
Rule: TypeAlias = Callable[[str, Context], Iterable[Finding]]


def too_long(text: str, context: Context) -> Iterator[Finding]:
    """Block a text that its channel would refuse or cut (mission M11).

    Args:
        text: The words.
        context: Where they go.
    """
    if context.max_text is None:
        return
    length = context.count(text)
    if length > context.max_text:
        why = f"{length} is over the channel's limit of {context.max_text}"
        suggestion = "shorten it, or pass a list of parts that each fit"
        yield Finding("too_long", Severity.block, (0, len(text)), why, suggestion)


#: The built-in rules in the order in which they are asked.
RULES: tuple[Rule, ...] = (too_long,)


def check(text: str, context: Context, rules: Iterable[Rule] = RULES) -> tuple[Finding, ...]:
    """Return everything that the rules find in a text.

    Args:
        text: The words that are to go out.
        context: Where they go.
        rules: The rules to ask.
    """
    return tuple(finding for rule in rules for finding in rule(text, context))


def blocking(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that stop a text.

    Args:
        findings: What `check` returned.
    """
    return tuple(finding for finding in findings if finding.severity is Severity.block)
