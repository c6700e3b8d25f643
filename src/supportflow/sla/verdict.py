"""Judge clocks against a policy: pure, replayable, whenever and however often it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

import attrs

from supportflow.model import AgentKind, Announce, Clock, Conversation, Metric
from supportflow.playbook import PLAYBOOKS, Playbook
from supportflow.sla.clock import RESPONDERS, fold
from supportflow.sla.policy import SLAPolicy, Target

__all__ = ["Ruling", "Verdict", "alarms", "next_due", "verdicts"]


class Ruling(StrEnum):
    """Say how a clock stands against its target."""

    met = "met"
    breached = "breached"
    running = "running"
    paused = "paused"
    not_applicable = "not_applicable"


@attrs.frozen
class Verdict:
    """Hold the judgement of one clock.

    Args:
        metric: What was measured.
        ruling: How it stands. A clock that still runs is `running` until `now` is past due.
        start: When the clock started.
        due: When it was due.
        met_at: When it was met, if it was, in time or late.
        warn_at: When to warn.
        key: The message or reply that started it.
        cycle: In which cycle of the conversation.
        backfill: True for history, which is never announced.
    """

    metric: Metric
    ruling: Ruling
    start: datetime
    due: datetime
    met_at: datetime | None = None
    warn_at: tuple[datetime, ...] = ()
    key: str = ""
    cycle: int = 0
    backfill: bool = False

    @property
    def overshoot(self) -> timedelta:
        """Return by how much it was met late; zero if it was not."""
        late = self.met_at - self.due if self.met_at is not None else timedelta(0)
        return max(late, timedelta(0))

    def alarm_key(self, kind: str, place: int = 0) -> str:
        """Return what names an alarm about this clock, whoever raises it.

        Args:
            kind: `"warning"` or `"breach"`.
            place: Which of several warnings.
        """
        return _alarm_key(kind, self, place)


def _alarm_key(kind: str, clock: Clock | Verdict, place: int) -> str:
    return f"{kind}:{clock.metric}:{clock.start.isoformat()}:{place}"


def _ruling(clock: Clock, due: datetime, now: datetime | None) -> Ruling:
    if clock.stopped_at is not None:
        return Ruling.met if clock.stopped_at <= due else Ruling.breached
    if clock.ended_at is not None:
        return Ruling.breached if due < clock.ended_at else Ruling.not_applicable
    return Ruling.breached if now is not None and due < now else Ruling.running


def verdicts(
    conversation: Conversation,
    policy: SLAPolicy,
    *,
    now: datetime | None = None,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> tuple[Verdict, ...]:
    """Judge every clock in sight of a conversation.

    The same history gives the same verdicts whenever it is judged. A snapshot keeps the
    clocks of its last `MAX_MARKS` marks; for a longer history, pass what
    `supportflow.machine.replay(log, bounded=False)` returns.

    Args:
        conversation: A snapshot, or a replayed log.
        policy: What is owed.
        now: The time to judge open clocks at; without it they are `running`.
        playbooks: The playbooks in use.

    Returns:
        Verdicts in the order in which the clocks ended; open ones last. A metric without
        a target has none.
    """
    targets = policy.targets(conversation)
    found = []
    for clock in _clocks(conversation, policy, playbooks):
        due = _due(clock, targets)
        if due is not None:
            found.append(
                Verdict(
                    clock.metric,
                    _ruling(clock, due, now),
                    clock.start,
                    due,
                    clock.stopped_at,
                    _warnings(clock, targets),
                    clock.key,
                    clock.cycle,
                    clock.backfill,
                )
            )
    return tuple(found)


def _clocks(
    conversation: Conversation, policy: SLAPolicy, playbooks: Mapping[str, Playbook]
) -> tuple[Clock, ...]:
    responders: frozenset[AgentKind] = getattr(policy, "responders", RESPONDERS)
    return fold(conversation.base, conversation.marks, playbooks, responders).clocks


def _due(clock: Clock, targets: Mapping[Metric, Target]) -> datetime | None:
    if clock.due is not None:
        return clock.due
    target = targets.get(clock.metric)
    return None if target is None else target.after(clock.start, target.duration)


def _warnings(clock: Clock, targets: Mapping[Metric, Target]) -> tuple[datetime, ...]:
    target = targets.get(clock.metric)
    if clock.due is not None or target is None:
        return ()
    return tuple(target.after(clock.start, early) for early in target.warn_at)


#: When, whether a breach or a warning, of which clock, which is due when, which of several.
_Moment: TypeAlias = tuple[datetime, str, Clock, datetime, int]


def _moments(
    conversation: Conversation, policy: SLAPolicy, playbooks: Mapping[str, Playbook]
) -> Iterator[_Moment]:
    """Yield what is still to be announced and from when on.

    A breach that was answered before anybody looked is still a breach and is announced;
    a warning whose clock has stopped, or is breached already, is of no use any more.
    """
    if conversation.merged_into is not None or _is_history(conversation):
        return
    targets, announced = policy.targets(conversation), conversation.announced
    for clock in _clocks(conversation, policy, playbooks):
        due = None if clock.backfill else _due(clock, targets)
        end = clock.stopped_at or clock.ended_at
        if due is None or (end is not None and end <= due):
            continue
        if announced and _alarm_key("breach", clock, 0) in announced:
            continue
        yield due, "breach", clock, due, 0
        for place, moment in enumerate(() if end else _warnings(clock, targets)):
            if not announced or _alarm_key("warning", clock, place) not in announced:
                yield moment, "warning", clock, due, place


def _is_history(conversation: Conversation) -> bool:
    """Return whether everything is backfill, which importers need to know quickly."""
    base = conversation.base
    if base.began is not None and not base.backfill:
        return False
    for source in (conversation.marks, base.asks, base.promises):
        for each in source:  # type: Mark | Clock
            if not each.backfill:
                return False
    return True


def next_due(
    conversation: Conversation,
    policy: SLAPolicy,
    *,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> datetime | None:
    """Return when somebody must look at the conversation's clocks next, or None.

    Args:
        conversation: A snapshot.
        policy: What is owed.
        playbooks: The playbooks in use.
    """
    return min([moment[0] for moment in _moments(conversation, policy, playbooks)], default=None)


def alarms(
    conversation: Conversation,
    policy: SLAPolicy,
    now: datetime,
    *,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> tuple[Announce, ...]:
    """Return what has to be announced now; a breach silences the warnings before it.

    Args:
        conversation: A snapshot.
        policy: What is owed.
        now: The time (aware).
        playbooks: The playbooks in use.
    """
    ripe = [moment for moment in _moments(conversation, policy, playbooks) if moment[0] <= now]
    breached = {due for _, kind, _, due, _ in ripe if kind == "breach"}
    return tuple(
        Announce(_alarm_key(kind, clock, place), f"{kind}:{clock.metric}", due)
        for _, kind, clock, due, place in ripe
        if kind == "breach" or due not in breached
    )
