"""The gate: every rule is asked, what blocks is told from what does not, lengths are the channel's."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from supportflow.channels import Traits
from supportflow.etiquette import RULES, Context, blocking, check
from supportflow.machine import blank
from supportflow.model import Finding, Severity

CONVERSATION = blank("net", "m1", "ola", datetime(2026, 1, 1, tzinfo=UTC))


def context(max_text: int | None = None, counting: str = "code_points") -> Context:
    """Return what a rule is told, on a channel that counts in its own way."""
    count = Traits("net", 10, "blind", counting=counting).count
    return Context(CONVERSATION, max_text=max_text, count=count)


def test_a_text_within_the_limit_passes() -> None:
    """Neither a short text nor a channel without a limit has anything to say."""
    assert () == check("hello", context(5)) == check("hello" * 1000, context())


@pytest.mark.parametrize(
    ("counting", "length"), [("code_points", 3), ("utf16", 4), ("bytes", 7), ("graphemes", 3)]
)
def test_a_text_that_is_too_long_is_blocked(counting: str, length: int) -> None:
    """The channel's own way of counting decides, and the finding says both numbers."""
    (finding,) = check("aў🎉", context(2, counting))
    assert ("too_long", Severity.block, (0, 3)) == (finding.rule, finding.severity, finding.span)
    assert f"{length} is over the channel's limit of 2" == finding.why
    assert finding.suggestion


def test_every_rule_is_asked_in_order() -> None:
    """A user's own rules too; only what blocks stops a text."""

    def polite(text: str, _context: Context) -> Iterator[Finding]:
        if "please" not in text:
            yield Finding("polite", Severity.hint, (0, 0), "say please")

    found = check("x" * 6, context(5), (*RULES, polite))
    assert ["too_long", "polite"] == [finding.rule for finding in found]
    assert ["too_long"] == [finding.rule for finding in blocking(found)]
    assert () == blocking(())
