"""Verdicts follow from timestamps alone; timers only announce, each thing once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.machine import blank, decide, evolve
from supportflow.model import (
    Agent,
    AgentKind,
    Announce,
    Author,
    Base,
    Clock,
    Conversation,
    Dismiss,
    Inbound,
    Mark,
    Marked,
    Message,
    Metric,
    Outbound,
    PartTold,
    Progress,
    Reading,
    Receipt,
    Removal,
    Reply,
    State,
    replace,
)
from supportflow.playbook import COMPLAINT, STANDARD, Playbook
from supportflow.sla.calendar import Calendar
from supportflow.sla.policy import DEFAULT_POLICY, Policy, Rule, Target
from supportflow.sla.verdict import Ruling, alarms, next_due, verdicts

T0 = datetime(2026, 1, 1, 9, tzinfo=UTC)  # a Thursday
HOUR = timedelta(hours=1)
FIRST, NEXT, SOLVED = Metric.first_response, Metric.next_response, Metric.resolution
STRICT = Policy(
    [
        Rule(
            {
                FIRST: Target(HOUR, warn_at=[HOUR / 4, HOUR / 2]),
                NEXT: Target(HOUR, warn_at=HOUR / 2),
                SOLVED: Target(4 * HOUR, warn_at=2 * HOUR),
            }
        )
    ]
)


def at(minute):
    """Return the instant so many minutes after the start; None stays None."""
    return None if minute is None else T0 + timedelta(minutes=minute)


def conversation(*marks, **fields):
    """Return a snapshot with marks."""
    core = Progress(State.received, 1, T0)
    one = Conversation("shop/t/u#0", "shop", "t", "u", 0, T0, core, "", marks=marks)
    return replace(one, **fields)


def ask(minute, **fields):
    """The customer asks."""
    return Mark(at(minute), Marked.asked, f"m:{minute}", "standard", **fields)


def tell(minute, due=None, **fields):
    """A person answers."""
    by, due = AgentKind.person, at(due)
    return Mark(at(minute), Marked.told, f"r:{minute}", by=by, due=due, **fields)


def gone(asked, minute):
    """The customer takes a question back."""
    return Mark(at(minute), Marked.withdrawn, f"m:{asked}")


def rulings(snapshot, policy=DEFAULT_POLICY, now=None):
    """Return (metric, ruling, due in minutes)."""
    return [
        (v.metric, v.ruling, (v.due - T0) / timedelta(minutes=1))
        for v in verdicts(snapshot, policy, now=at(now))
    ]


# -- verdicts


@pytest.mark.parametrize(
    ("marks", "now", "ruling"),
    [
        ((ask(0),), None, Ruling.running),
        ((ask(0),), 60, Ruling.running),
        ((ask(0),), 61, Ruling.breached),
        ((ask(0), tell(60)), None, Ruling.met),
        ((ask(0), tell(61)), None, Ruling.breached),
        ((ask(0), tell(61)), 30, Ruling.breached),
        ((ask(0), gone(0, 60)), 99, Ruling.not_applicable),
        ((ask(0), gone(0, 61)), 99, Ruling.breached),
    ],
)
def test_rulings(marks, now, ruling):
    """Met until the last instant; what was late stays late, whenever it is judged."""
    assert [(FIRST, ruling, 60)] == rulings(conversation(*marks), now=now)


def test_a_verdict_says_everything():
    """When it started, was due, warned and met; by which message; in which cycle."""
    (verdict,) = verdicts(conversation(ask(0), tell(75)), DEFAULT_POLICY)
    assert (at(0), at(60), (at(30),), at(75)) == (
        verdict.start,
        verdict.due,
        verdict.warn_at,
        verdict.met_at,
    )
    assert ("m:0", 0, False) == (verdict.key, verdict.cycle, verdict.backfill)
    assert timedelta(minutes=15) == verdict.overshoot
    assert "breach:first_response:2026-01-01T09:00:00+00:00:0" == verdict.alarm_key("breach")


@pytest.mark.parametrize("marks", [(ask(0),), (ask(0), tell(30))])
def test_no_overshoot(marks):
    """In time, or still open, nothing is late yet."""
    (verdict,) = verdicts(conversation(*marks), DEFAULT_POLICY)
    assert timedelta(0) == verdict.overshoot


def test_a_metric_without_a_target_has_no_verdict():
    """The default owes answers; a promise is due when it was promised, under any policy."""
    snapshot = conversation(ask(0), tell(10, due=500))
    assert [FIRST, Metric.follow_up] == [v.metric for v in verdicts(snapshot, DEFAULT_POLICY)]
    (promise,) = verdicts(snapshot, Policy([]))
    assert (Metric.follow_up, at(500), ()) == (promise.metric, promise.due, promise.warn_at)


def test_a_promise_with_a_target_keeps_its_own_time():
    """What was promised counts, not what a policy would have allowed."""
    policy = Policy([Rule({Metric.follow_up: Target(HOUR, warn_at=HOUR / 2)})])
    (promise,) = verdicts(conversation(ask(0), tell(10, due=500)), policy)
    assert (at(500), ()) == (promise.due, promise.warn_at)


def test_what_if():
    """The same history under another policy, which also says who answers."""
    bots = Policy(DEFAULT_POLICY.rules, responders=["person"])
    snapshot = conversation(ask(0), Mark(at(5), Marked.told, "r", by=AgentKind.bot))
    assert [(FIRST, Ruling.met, 60)] == rulings(snapshot)
    assert [(FIRST, Ruling.running, 60)] == rulings(snapshot, bots)


def test_only_open_hours_count():
    """Due times and warnings are the calendar's."""
    desk = Calendar.weekly("UTC", {"mon-fri": "09:00-10:00"})
    policy = Policy([Rule({FIRST: Target(2 * HOUR, desk, HOUR / 2)})])
    (verdict,) = verdicts(conversation(ask(30)), policy)
    friday, monday = T0 + timedelta(days=1), T0 + timedelta(days=4)
    assert (monday + HOUR / 2, (T0 + HOUR,)) == (verdict.due, verdict.warn_at)
    assert friday < verdict.due


def test_what_is_settled_still_runs():
    """Questions and promises of marks that were folded away have verdicts."""
    promise = Clock(Metric.follow_up, at(1), "r", 0, due=at(50))
    base = Base(asks=(ask(3),), promises=(promise,), told=True, responded=True)
    assert [(NEXT, Ruling.running, 63), (Metric.follow_up, Ruling.running, 50)] == rulings(
        conversation(base=base)
    )


# -- announcing


def announced(snapshot, policy, minute, **more):
    """Return kinds of what is announced at a minute, and the snapshot afterwards."""
    found = alarms(snapshot, policy, at(minute), **more)
    for command in found:
        for event in decide(snapshot, command, at(minute)):
            snapshot = evolve(snapshot, event)
    return [command.kind for command in found], snapshot


def test_a_warning_then_a_breach():
    """Each once, whoever looks and how often."""
    snapshot = conversation(ask(0))
    heard = []
    for minute in (0, 29, 30, 31, 59, 60, 61, 500):
        kinds, snapshot = announced(snapshot, DEFAULT_POLICY, minute)
        heard += [(minute, kind) for kind in kinds]
    assert [(30, "warning:first_response"), (60, "breach:first_response")] == heard
    assert next_due(snapshot, DEFAULT_POLICY) is None


def test_next_due_is_the_first_moment_left():
    """Warnings, then the breach, then nothing."""
    snapshot, moments = conversation(ask(0)), []
    while (due := next_due(snapshot, STRICT)) is not None:
        moments.append((due - T0) / timedelta(minutes=1))
        _, snapshot = announced(snapshot, STRICT, moments[-1])
    assert [15, 30, 60, 120, 240] == moments


def test_a_late_look_announces_the_breach_alone():
    """The warnings before it are of no use any more; those of other clocks are."""
    kinds, snapshot = announced(conversation(ask(0)), STRICT, 130)
    assert ["breach:first_response", "warning:resolution"] == kinds
    assert at(240) == next_due(snapshot, STRICT)


def test_a_breach_that_was_answered_between_two_looks_is_a_breach():
    """And is announced; a late answer's warning is not."""
    kinds, snapshot = announced(conversation(ask(0), tell(75)), DEFAULT_POLICY, 500)
    assert ["breach:first_response"] == kinds
    assert ([], None) == (
        announced(snapshot, DEFAULT_POLICY, 501)[0],
        next_due(snapshot, DEFAULT_POLICY),
    )


def test_an_answer_in_time_announces_nothing():
    """There is nothing to look at again."""
    snapshot = conversation(ask(0), tell(60))
    assert ([], None) == (
        announced(snapshot, DEFAULT_POLICY, 500)[0],
        next_due(snapshot, DEFAULT_POLICY),
    )


def test_a_question_taken_back_announces_what_was_missed():
    """In time nothing; after it was due, the breach."""
    early, late = conversation(ask(0), gone(0, 60)), conversation(ask(0), gone(0, 61))
    assert [] == announced(early, STRICT, 999)[0]
    assert ["breach:first_response"] == announced(late, STRICT, 999)[0]


def test_history_is_judged_and_never_announced():
    """A live message behind it is."""
    old, live = ask(0, backfill=True), ask(600)
    assert [(FIRST, Ruling.breached, 60)] == rulings(conversation(old), now=999)
    assert ([], None) == (
        announced(conversation(old), STRICT, 999)[0],
        next_due(conversation(old), STRICT),
    )
    snapshot = conversation(old, live)
    assert at(630) == next_due(snapshot, STRICT)
    assert ["breach:next_response"] == announced(snapshot, STRICT, 999)[0]


@pytest.mark.parametrize(
    "base",
    [
        Base(asks=(ask(0),)),
        Base(promises=(Clock(Metric.follow_up, at(0), "r", 0, due=at(9)),)),
        Base(began=at(0), began_key="m:0"),
    ],
)
def test_settled_clocks_are_announced(base):
    """Also where all marks in sight are history."""
    old = Mark(at(5), Marked.thanked, "m:5", backfill=True)
    assert next_due(conversation(old, base=base), STRICT) is not None


def test_a_conversation_that_became_part_of_another_announces_nothing():
    """The other one does."""
    snapshot = conversation(ask(0), merged_into="shop/t/u#1")
    assert ((), None) == (
        alarms(snapshot, DEFAULT_POLICY, at(999)),
        next_due(snapshot, DEFAULT_POLICY),
    )


def test_playbooks_of_ones_own_are_passed_on():
    """Regression: marks that name a user's own playbook raised KeyError in the timers."""
    own = {"standard": STANDARD, "vip": Playbook("vip", COMPLAINT.edges, strictness=50)}
    snapshot = conversation(ask(0), Mark(at(1), Marked.asked, "m:1", "vip"))
    assert at(30) == next_due(snapshot, DEFAULT_POLICY, playbooks=own)
    assert 1 == len(alarms(snapshot, DEFAULT_POLICY, at(60), playbooks=own))
    assert 1 == len(verdicts(snapshot, DEFAULT_POLICY, playbooks=own))


# -- any schedule


@st.composite
def days(draw):
    """What happens in one conversation, as (minute, fact or command, reading), in order."""
    found, minute, asked = [], 0, []
    for number in range(draw(st.integers(1, 8))):
        minute += draw(st.integers(1, 200))
        kind = draw(st.sampled_from(["in", "in", "out", "gone", "dismiss", "promise"]))
        backfill = draw(st.integers(0, 3)) == 0
        message = Message("shop", "m", str(number), Author("u"), "hello", at(minute), thread="t")
        reading, of = Reading("question"), None
        if kind == "in":
            what = Inbound(message, backfill)
            asked += [] if backfill else [message]
        elif kind == "out":
            what = Outbound(message, backfill=backfill)
            reading = Reading(steps=draw(st.sampled_from([(), ("resolve",)])))
        elif kind == "gone" and asked:
            of = asked.pop()
            what = Removal("shop", "m", of.id, at(minute))
        elif kind == "promise":
            due = at(minute + draw(st.integers(1, 300)))
            found.append((minute, Reply(f"r{number}", Agent("ann"), promise_by=due), reading, of))
            what = PartTold(f"r{number}", 0, Receipt("9", at(minute)))
        elif kind == "dismiss":
            what = Dismiss(Agent("ann"), "only wants advantage", confirmed=True)
        else:
            continue
        found.append((minute, what, reading, of))
    return found


def lived(day, looks):
    """Live through a day, looking at the clocks at some minutes; return what was announced."""
    moments = [(minute, 0, event) for minute, *event in day]
    moments += [(minute + 0.5, 1, None) for minute in looks]
    snapshot, heard = blank("shop", "t", "u", T0), []
    for minute, _, event in sorted(moments, key=lambda moment: moment[:2]):
        if event is None:
            assert bool(alarms(snapshot, STRICT, at(minute))) == (
                (next_due(snapshot, STRICT) or at(10**6)) <= at(minute)
            )
            found = alarms(snapshot, STRICT, at(minute))
        else:
            found = [event[0]]
        for what in found:
            reading, of = event[1:] if event else (Reading(), None)
            if isinstance(what, Dismiss) and snapshot.state is State.resolved:
                continue
            heard += [what.key] if isinstance(what, Announce) else []
            for one in decide(snapshot, what, at(minute), reading, of=of):
                snapshot = evolve(snapshot, one)
    return heard, snapshot


END = 10**5


@given(days(), st.lists(st.integers(0, 2000)), st.lists(st.integers(0, 2000)))
def test_any_schedule_announces_the_same_breaches(day, some, others):
    """Early, late, often or once at the end: the same breaches, each once, and at the end
    nothing is left. Warnings depend on when somebody looks; breaches do not.
    """
    first, snapshot = lived(day, [*some, END])
    second, _ = lived(day, [*others, END])
    assert len(first) == len(set(first))
    assert {key for key in first if key.startswith("breach")} == {
        key for key in second if key.startswith("breach")
    }
    assert next_due(snapshot, STRICT) is None
    judged = verdicts(snapshot, STRICT, now=at(END))
    owed = {v.alarm_key("breach") for v in judged if v.ruling is Ruling.breached and not v.backfill}
    assert owed == {key for key in first if key.startswith("breach")}


@given(days())
def test_without_a_look_nothing_is_announced_and_nothing_lost(day):
    """Timers change no verdict."""
    silent, snapshot = lived(day, [])
    heard, watched = lived(day, range(0, 2000, 61))
    assert [] == silent
    assert verdicts(snapshot, STRICT) == verdicts(watched, STRICT)
    assert set(heard) <= set(watched.announced)
