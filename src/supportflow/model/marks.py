"""What clocks and states are derived from: marks by platform time, and what older ones left."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import attrs

from supportflow.model.values import AgentKind, Metric, State, Step

__all__ = ["MAX_MARKS", "Base", "Clock", "Mark", "Marked"]

#: How many marks a snapshot keeps; the older half of more is folded into its `Base`. Ours.
MAX_MARKS = 64


class Marked(StrEnum):
    """Say what a mark on the clock means. At the same instant, earlier members come first."""

    asked = "asked"
    thanked = "thanked"
    told = "told"
    classified = "classified"
    closed = "closed"
    withdrawn = "withdrawn"


@attrs.frozen(weakref_slot=False)
class Mark:
    """Hold one moment that clocks and states are derived from, by platform time.

    Args:
        at: When it happened.
        what: What it means.
        key: Which message or reply it comes from; unique together with `what` and `at`.
        playbook: For `asked` and `classified`: the playbook that its reading calls for.
        by: For `told`: the kind of agent.
        steps: For `told`: the steps that count.
        covers: For `told` and `closed`: the time of the last customer message that its author can
            have known; later ones stay unanswered.
        due: For `told`: when the promise that it made is due.
        backfill: True for history, which is judged and never announced.
        feedback: For `told`: whether a feedback item is linked (mission M13).
    """

    at: datetime
    what: Marked
    key: str
    playbook: str = ""
    by: AgentKind | None = None
    steps: tuple[Step, ...] = ()
    covers: datetime | None = None
    due: datetime | None = None
    backfill: bool = False
    feedback: bool = False


@attrs.frozen(weakref_slot=False)
class Clock:
    """Hold one span that is measured.

    Args:
        metric: What it measures.
        start: When it started.
        key: The message or reply that started it.
        cycle: In which cycle of the conversation.
        stopped_at: When what was waited for happened; None while it runs.
        ended_at: When there was nothing to wait for any more (withdrawn, dismissed).
        due: When it is due, for a promise.
        backfill: True for history.
    """

    metric: Metric
    start: datetime
    key: str
    cycle: int
    stopped_at: datetime | None = None
    ended_at: datetime | None = None
    due: datetime | None = None
    backfill: bool = False


@attrs.frozen(weakref_slot=False)
class Base:
    """Hold what the marks that were folded away left behind.

    Args:
        state: The state at that point.
        since: When it was reached.
        cycle: How often the conversation had been reopened.
        playbook: The playbook in force.
        told: Whether anything had been answered at all, or dismissed.
        until: Up to when everything that was asked had been answered: a question or an
            answer from before it that arrives late is history.
        responded: Whether the current cycle had been answered.
        began: When the current cycle began, if it had.
        began_key: The message that began it.
        backfill: Whether that message was history.
        asks: What waited for an answer.
        promises: What had been promised and not been kept.
    """

    state: State = State.received
    since: datetime | None = None
    cycle: int = 0
    playbook: str = ""
    told: bool = False
    until: datetime | None = None
    responded: bool = False
    began: datetime | None = None
    began_key: str = ""
    backfill: bool = False
    asks: tuple[Mark, ...] = ()
    promises: tuple[Clock, ...] = ()
