"""The end: a table of how everybody fared, an audit of it all, and one last line."""

from __future__ import annotations

from datetime import timedelta

import attrs

from demo_parts.cast import CAST, Customer
from demo_parts.checks import Book, Check, Truth, audit
from demo_parts.page import Page
from demo_parts.reading import language_of
from demo_parts.stage import Stage
from demo_parts.telling import spoken
from supportflow.model import Metric
from supportflow.sla.policy import DEFAULT_POLICY
from supportflow.sla.verdict import Ruling, verdicts

__all__ = ["EXPECTED", "Seen", "conclude", "look"]

HEAD = (
    "conversation",
    "network",
    "customer",
    "lang",
    "state",
    "outcome",
    "answer in",
    "SLA verdict",
    "posts",
)
#: How the story ends for everybody, a row each.
EXPECTED = (
    ("paid twice", "mastodon", "Ola", "en", "resolved", "Refund 49.90 EUR", "0:07", "met", "3"),
    ("bent box", "mastodon", "Rahul", "hi", "resolved", "Coupon 10 EUR", "0:14", "met", "2"),
    ("praise", "mastodon", "Alesia", "be", "resolved", "Thanked", "0:16", "met", "1"),
    ("which hob", "mastodon", "Nasrin", "fa", "resolved", "Answered", "0:16", "met", "1"),
    ("spam", "mastodon", "Lucky", "en", "resolved", "Dismissed", "-", "not owed", "0"),
    ("where is it", "messenger", "Yanka", "be", "resolved", "Answered", "0:18",
     "met + promise", "2"),
    ("gift wrap", "messenger", "Meera", "hi", "resolved", "Answered", "0:22", "met", "1"),
    ("too small", "messenger", "Shirin", "fa", "resolved", "Replacement", "24:05", "breached", "1"),
)  # fmt: skip


@attrs.frozen
class Seen:
    """Hold what was there when the story ended.

    Args:
        rows: The table.
        truth: What the platforms and the store say.
    """

    rows: tuple[tuple[str, ...], ...]
    truth: Truth


def look(stage: Stage) -> Seen:
    """Read everything back.

    Args:
        stage: Where it happened.
    """
    return Seen(tuple(_row(stage, each) for each in CAST), stage.truth())


def _row(stage: Stage, customer: Customer) -> tuple[str, ...]:
    found = stage.conversation(customer)
    judged = {v.metric: v for v in verdicts(found, DEFAULT_POLICY, now=stage.clock())}
    first, promise = judged[Metric.first_response], judged.get(Metric.follow_up)
    sla = "not owed" if first.ruling is Ruling.not_applicable else str(first.ruling)
    if promise is not None:
        sla += " + promise" if promise.ruling is Ruling.met else ", promise broken"
    return (
        " ".join(found.tags),
        found.channel,
        customer.name,
        found.reading.language or "-",
        found.state,
        spoken(found.outcome),
        "-" if first.met_at is None else _short(first.met_at - first.start),
        sla,
        str(len(stage.posted(customer))),
    )


def _short(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes // 60}:{minutes % 60:02d}"


def conclude(page: Page, book: Book, seen: Seen) -> int:
    """Write the table and the last line, and return the exit status.

    Args:
        page: Where it is written.
        book: Where it is checked.
        seen: What was there.
    """
    page.heading("How it ended, read back from the store and the platforms")
    page.table(HEAD, seen.rows)
    for wanted, row in zip(EXPECTED, seen.rows, strict=True):
        book.enter(Check(f"it ended as told for {wanted[2]}", wanted, row))
    book.enter(*audit(seen.truth, language_of))
    page.end(str(book), well=not book.broken)
    return 1 if book.broken else 0
