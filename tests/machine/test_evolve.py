"""The snapshot is the fold of the log: each event changes its few fields, and nothing else."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from supportflow.errors import InvalidValue
from supportflow.events import (
    EVENTS,
    Announced,
    Assigned,
    Cancelled,
    Classified,
    Closed,
    Deleted,
    Edited,
    Failed,
    HandedOff,
    Held,
    Linked,
    Merged,
    Noted,
    Opened,
    Queued,
    Reacted,
    Received,
    Recorded,
    Released,
    Reported,
    Tagged,
    Told,
)
from supportflow.machine import Rules, blank, evolve, merge, replay
from supportflow.machine.evolve import _EVOLVE
from supportflow.model import (
    MAX_MARKS,
    Agent,
    Answered,
    Base,
    Dismissed,
    Mark,
    Marked,
    Pending,
    Progress,
    Reading,
    Refund,
    RemovedBy,
    State,
    Step,
    Unread,
    Visibility,
    replace,
)
from supportflow.playbook import playbook_for
from supportflow.sla.policy import DEFAULT_POLICY
from supportflow.sla.verdict import verdicts

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ANN, NATIVE = Agent("ann"), Agent("native", "native")
QUESTION, COMPLAINT = Reading("question"), Reading("complaint")
A, P, R = Step.acknowledge, Step.apologize, Step.resolve


def at(minute):
    """Return the instant so many minutes after the start."""
    return T0 + timedelta(minutes=minute)


def said(minute, reading=QUESTION, name="", visibility=Visibility.public, **fields):
    """The customer wrote."""
    book = playbook_for(reading)
    return Received(at(minute), "m", name or f"u{minute}", visibility, reading, book, **fields)


def told(minute, *steps, name="", **fields):
    """Somebody answered natively, or a reply's only part was told."""
    fields = {"part": 0, "parts": 1, "by": NATIVE, "covers": None, **fields}
    return Told(at(minute), name or f"n{minute}", steps=steps, **fields)


def queued(minute, name, *steps, **fields):
    """A reply was queued."""
    fields = {"by": ANN, "parts": 1, "covers": at(minute), **fields}
    return Queued(at(minute), name, steps=steps, **fields)


def after(*events, rules=None, start=None):
    """Fold events into a blank conversation."""
    found = start or blank("shop", "t", "u", T0)
    for event in events:
        found = evolve(found, event, rules or Rules())
    return found


def changed(before, event):
    """Return the names of the fields that an event changes, but for the version."""
    after = evolve(before, event)
    assert before.version + 1 == after.version
    fields = [field.name for field in attrs.fields(type(before)) if field.name != "progress"]
    found = {name for name in fields if getattr(before, name) != getattr(after, name)}
    core, now = before.progress, after.progress
    return found | ({"progress"} if (core.state, core.since) != (now.state, now.since) else set())


# -- in general


def test_every_event_is_folded():
    """None is forgotten when one is added."""
    assert set(EVENTS.values()) == set(_EVOLVE)


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (Reacted(at(1), "m", "u0", "+1"), set()),
        (Reported(at(1), "9", "read"), set()),
        (Noted(at(1), "n", ANN), set()),
        (Assigned(at(1), "bob", ANN), {"assigned"}),
        (Tagged(at(1), ("vip",), (), ANN), {"tags"}),
        (HandedOff(at(1), "billing", ANN, ""), {"handed_to"}),
        (Announced(at(1), "k", "quiet", None, ""), {"announced"}),
        (Linked(at(1), "shop/t/v#0"), {"bystander_of"}),
        (queued(1, "r"), {"pending", "spoken"}),
        (Held(at(1), "gone", "why"), set()),
        (Deleted(at(1), "m", "u0", RemovedBy.us, False, True), set()),
        (Deleted(at(1), "m", "s0", RemovedBy.author, False, False), set()),
        (Edited(at(1), "m", "u0", "r1", False), set()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_events_change_their_few_fields(event, fields):
    """The version always, and what they are about."""
    assert fields == changed(after(said(0)), event)


def test_the_snapshot_before_stays():
    """Folding makes a new value."""
    before = after(said(0))
    copy = replace(before)
    evolve(before, told(1, R))
    assert copy == before


# -- replaying


def test_a_log_gives_its_snapshot():
    """Plain events or recorded ones."""
    log = (Opened(T0, "shop", "t", "u", 2, ("vip",), "shop/t/u#1"), said(0), told(5, R), said(9))
    start = blank("shop", "t", "u", T0, 2, "shop/t/u#1")
    recorded = [Recorded(n, start.id, n, e.at, e.at, e) for n, e in enumerate(log, 1)]
    assert after(*log, start=start) == replay(log) == replay(iter(recorded))


@pytest.mark.parametrize("log", [(), (said(0),), [Recorded(1, "x", 1, T0, T0, said(0))]])
def test_a_log_without_its_beginning_is_refused(log):
    """A page from the middle would give a wrong snapshot."""
    with pytest.raises(InvalidValue, match="begins with Opened"):
        replay(log)


def test_an_unbounded_replay_keeps_every_mark():
    """So that a report sees every clock ever."""
    log = [Opened(T0, "shop", "t", "u", 0)]
    for minute in range(0, 400, 2):
        log += [said(minute), told(minute + 1, R)]
    assert 400 == len(replay(log, bounded=False).marks)
    assert 200 == len(verdicts(replay(log, bounded=False), DEFAULT_POLICY))
    short = replay(log)
    assert len(short.marks) <= MAX_MARKS
    same = {"state", "since", "waiting_since", "cycle", "playbook", "version"}
    long = replay(log, bounded=False)
    assert [getattr(long, name) for name in same] == [getattr(short, name) for name in same]


# -- opening


def test_an_opening():
    """Labels and links."""
    opened = Opened(T0, "shop", "t", "u", 0, ("vip",), bystander_of="shop/t/v#0")
    one = after(opened)
    assert (("vip",), "shop/t/v#0", Base()) == (one.tags, one.bystander_of, one.base)


def test_thanks_at_the_beginning_of_a_continuation():
    """Regression: they were for what was told before, and waited for an answer."""
    thanks = said(1, Reading(gratitude=True))
    continued = after(Opened(T0, "shop", "t", "u", 1, previous="shop/t/u#0"), thanks)
    assert continued.waiting_since is None
    assert at(1) == after(Opened(T0, "shop", "t", "u", 0), thanks).waiting_since


# -- the customer's words


def test_the_last_message_counts():
    """Its time, key and visibility are kept; an older one that comes in late changes none."""
    one = after(said(5, visibility=Visibility.private), said(3))
    assert (at(5), ("m", "u5"), Visibility.private) == (one.last_at, one.last_key, one.visibility)
    assert (at(5), ("m", "u6")) == (
        evolve(one, said(5, name="u6")).last_at,
        evolve(one, said(5, name="u6")).last_key,
    )
    assert ("m", "u5") == evolve(one, said(5, name="u4")).last_key


def test_a_late_message_opens_earlier():
    """And so does a late answer; `since` of a conversation in which nothing moved follows."""
    start = blank("shop", "t", "u", at(9))
    late = after(said(9), said(5), start=start)
    assert (at(5), at(5), at(5)) == (late.opened_at, late.since, late.waiting_since)
    answered = after(said(9), told(4), start=start)
    assert (at(4), at(4)) == (answered.opened_at, answered.since)


def test_since_does_not_depend_on_the_order():
    """Regression: after a late message, `since` was the old opening until the next fold."""
    start = blank("shop", "t", "u", at(9))
    late = after(said(9), said(5), said(12), said(10), start=start)
    assert at(5) == late.since


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (QUESTION, COMPLAINT, COMPLAINT),
        (COMPLAINT, QUESTION, COMPLAINT),
        (Unread, QUESTION, QUESTION),
        (QUESTION, Reading("question", mood="annoyed"), Reading("question", mood="annoyed")),
        (QUESTION, Reading("purchase"), QUESTION),
        (QUESTION, Reading("question", language="fa"), Reading("question", language="fa")),
        (QUESTION, Reading(gratitude=True), QUESTION),
    ],
)
def test_the_reading_that_asks_for_most_is_kept(first, second, kept):
    """Which came first does not matter."""
    assert kept == after(said(0, first), said(1, second)).reading
    if not second.gratitude:
        assert kept == after(said(0, second), said(1, first)).reading


def test_a_reopening_message_is_read_anew():
    """The old complaint is over; thanks leave the reading."""
    ended = after(said(0, COMPLAINT), told(1, A, P, R))
    assert QUESTION == evolve(ended, said(2)).reading
    assert COMPLAINT == evolve(ended, said(2, Reading(gratitude=True))).reading


def test_an_edit_that_asks():
    """Waits from its own time, and is the last message then."""
    answered = after(said(0), said(1), told(2))
    edited = evolve(answered, Edited(at(5), "m", "u0", "r1", True, "complaint"))
    assert (at(5), at(5), ("m", "u0"), "complaint") == (
        edited.waiting_since,
        edited.last_at,
        edited.last_key,
        edited.playbook,
    )
    earlier = evolve(edited, Edited(at(4), "m", "u1", "r2", True, "standard"))
    assert (at(5), ("m", "u0")) == (earlier.last_at, earlier.last_key)


def test_a_deletion_by_its_author_is_withdrawn():
    """Nobody waits any more."""
    gone = evolve(after(said(0)), Deleted(at(1), "m", "u0", RemovedBy.author, False, True))
    assert gone.waiting_since is None


# -- readings after the fact


def test_a_person_reads_the_conversation():
    """The reading and the playbook are what they say."""
    read = evolve(after(said(0, COMPLAINT)), Classified(at(1), QUESTION, "standard", None, ANN))
    assert (QUESTION, "standard") == (read.reading, read.playbook)


def test_a_milder_reading_counts_from_the_beginning():
    """An answer that was no step for a complaint is one for a question."""
    answered = after(said(0, COMPLAINT), told(1, R))
    assert State.received is answered.state
    read = evolve(answered, Classified(at(2), QUESTION, "standard", ("m", "u0"), ANN))
    assert (State.resolved, QUESTION) == (read.state, read.reading)


def test_a_stricter_reading_changes_the_steps_that_remain():
    """Regression: a classifier that was slow took back steps that were taken."""
    answered = after(said(0, Unread), told(1, P))
    read = evolve(answered, Classified(at(2), COMPLAINT, "complaint", ("m", "u0"), None))
    assert (State.apologized, "complaint") == (read.state, read.playbook)
    ended = after(said(0, Unread), told(1, R))
    late = evolve(ended, Classified(at(2), COMPLAINT, "complaint", ("m", "u0"), None))
    assert (State.resolved, COMPLAINT) == (late.state, late.reading)


def test_readings_of_one_message_replace_each_other():
    """A person corrects a classifier, and is corrected."""
    one = after(said(0, Unread))
    for minute, book in enumerate(["complaint", "suggestion", "standard", "complaint"], 1):
        one = evolve(one, Classified(at(minute), Unread, book, ("m", "u0"), None))
        assert book == one.playbook


def test_a_message_of_an_earlier_cycle_does_not_count_now():
    """What is asked now is not stricter for it."""
    reopened = after(said(0), told(1, R), said(2))
    read = evolve(reopened, Classified(at(3), COMPLAINT, "complaint", ("m", "u0"), ANN))
    assert ("standard", COMPLAINT) == (read.playbook, read.reading)


def test_thanks_that_were_no_thanks():
    """And the other way round: the clock follows the reading."""
    thanks = after(said(0), told(1), said(2, Reading(gratitude=True)))
    asked = evolve(thanks, Classified(at(3), QUESTION, "standard", ("m", "u2"), ANN))
    assert at(2) == asked.waiting_since
    again = Classified(at(4), Reading(gratitude=True), "standard", ("m", "u2"), ANN)
    assert evolve(asked, again).waiting_since is None


def test_a_message_that_is_not_in_sight():
    """Its reading may still be the one that asks for most; no mark changes."""
    one = after(said(0))
    read = evolve(one, Classified(at(1), COMPLAINT, "complaint", ("m", "old"), None))
    assert (COMPLAINT, one.marks, "standard") == (read.reading, read.marks, read.playbook)
    merged = evolve(one, Merged(at(1), "other"))
    assert () == evolve(merged, Classified(at(2), COMPLAINT, "complaint", ("m", "u0"), ANN)).marks


# -- our words


def test_a_reply_waits_and_is_told():
    """It leaves the list with its last part; an unknown part in between does not matter."""
    waiting = after(said(0), queued(1, "q"), queued(1, "r", R, parts=2), queued(1, "s"))
    assert ["q", "r", "s"] == [reply.id for reply in waiting.pending]
    half = evolve(waiting, told(2, name="r", parts=2))
    assert [("q", 0), ("r", 1), ("s", 0)] == [(reply.id, reply.told) for reply in half.pending]
    assert (None, State.received) == (half.waiting_since, half.state)
    whole = evolve(half, told(3, R, name="r", part=1, parts=2))
    assert ["q", "s"] == [reply.id for reply in whole.pending]
    assert ["s"] == [reply.id for reply in evolve(whole, told(4, name="q")).pending]
    assert State.resolved is whole.state


def test_a_receipt_is_nothing_that_somebody_else_said():
    """A native answer is, also while replies wait."""
    waiting = after(said(0), queued(1, "r"))
    assert waiting.spoken == evolve(waiting, told(2, name="r")).spoken
    assert waiting.version + 1 == evolve(waiting, told(2)).spoken


def test_an_outcome_counts_if_its_step_did():
    """Regression: a step that was no longer legal left the outcome of a conversation
    that was not resolved.
    """
    angry = after(said(0), queued(1, "r", R), said(2, COMPLAINT))
    late = evolve(angry, told(3, R, name="r", covers=at(0), outcome=Answered()))
    assert (State.received, None) == (late.state, late.outcome)
    again = after(said(0), said(2))
    ended = evolve(again, told(3, R, covers=at(0), outcome=Answered()))
    assert (State.received, 1, Answered()) == (ended.state, ended.cycle, ended.outcome)


def test_holding_failing_releasing_cancelling():
    """A reply waits for a person with a reason, goes on, or goes."""
    waiting = after(said(0), queued(1, "q"), queued(1, "r"))
    held = evolve(waiting, Held(at(2), "r", "why"))
    assert ["", "why"] == [reply.held for reply in held.pending]
    assert waiting.pending == evolve(held, Released(at(3), "r", ANN, "")).pending
    failed = evolve(waiting, Failed(at(2), "r", 0, "too long"))
    assert "failed: too long" == failed.pending[1].held
    assert ["q"] == [r.id for r in evolve(held, Cancelled(at(3), "r", ANN, "")).pending]


def test_a_dismissal():
    """Resolved, with its outcome; nobody waits."""
    closed = Closed(at(2), Dismissed("spam"), ANN, covers=at(0))
    ended = evolve(after(said(0)), closed)
    assert (State.resolved, Dismissed("spam"), None) == (
        ended.state,
        ended.outcome,
        ended.waiting_since,
    )


# -- bounded


def test_alarms_are_remembered_for_all_clocks_in_sight():
    """Regression: only 32 were, so that breaches of one long talk were announced again."""
    log = [Opened(T0, "shop", "t", "u", 0)]
    for hour in range(32):
        log += [said(200 * hour), told(200 * hour + 100)]
    one = replay(log)
    owed = [v.alarm_key("breach") for v in verdicts(one, DEFAULT_POLICY)]
    assert 32 == len(owed)
    for key in [*owed, *(f"held:{number}" for number in range(100))]:
        one = evolve(one, Announced(at(9999), key, "breach", None, ""))
    assert set(owed) <= set(one.announced)
    for number in range(1000):
        one = evolve(one, Announced(at(9999), f"k{number}", "quiet", None, ""))
    assert 4 * MAX_MARKS == len(one.announced)


@pytest.mark.parametrize("most", [1, 2, 3, 64])
def test_marks_are_bounded(most):
    """By the user's own number, in order and out of order."""
    rules = Rules(max_marks=most)
    one = blank("shop", "t", "u", T0)
    for minute in range(0, 300, 3):
        for event in (said(minute), told(minute + 2), said(minute + 1)):
            one = evolve(one, event, rules)
            assert len(one.marks) <= most


# -- merging


def pair(*events, others=(), tags=()):
    """Return a source and a target in which this happened."""
    source = after(Opened(T0, "shop", "a", "u", 0, tags), *events)
    target = blank("shop", "b", "u", at(5))
    return source, after(Opened(at(5), "shop", "b", "u", 0), *others, start=target)


def merged(source, target, minute=50):
    """Return both after the one became part of the other."""
    ended, carried = merge(source, target, at(minute))
    for event in ended:
        source = evolve(source, event)
    for event in carried:
        target = evolve(target, event)
    return source, target


def test_a_merged_conversation_is_over():
    """Nobody waits there, nothing is on its way, and nothing is measured twice."""
    source, target = merged(*pair(said(0), queued(1, "r"), others=[said(6)]))
    assert ("shop/b/u#0", None, (), ()) == (
        source.merged_into,
        source.waiting_since,
        source.pending,
        verdicts(source, DEFAULT_POLICY),
    )
    assert ["r"] == [reply.id for reply in target.pending]
    assert 1 == len(verdicts(target, DEFAULT_POLICY))


def test_a_merged_conversation_keeps_its_state():
    """A receipt that comes late finds it as it was; a message that went astray still waits."""
    source, _ = merged(*pair(said(0), told(1, A), others=[said(6)]))
    late = evolve(source, told(60))
    assert (State.acknowledged, None) == (late.state, late.waiting_since)
    assert at(61) == evolve(late, said(61)).waiting_since


def test_the_other_carries_on_from_the_beginning():
    """Its opening, clocks, last message, labels and alarms are those of both."""
    key = "breach:first_response:2026-01-01T00:00:00+00:00:0"
    breach = Announced(at(3), key, "breach", None, "")
    events = [said(0, COMPLAINT), breach]
    _, target = merged(*pair(*events, others=[said(6)], tags=("vip",)))
    assert (T0, T0, at(6), ("m", "u6"), ("vip",), COMPLAINT, (breach.key,)) == (
        target.opened_at,
        target.waiting_since,
        target.last_at,
        target.last_key,
        target.tags,
        target.reading,
        target.announced,
    )
    _, earlier = merged(*pair(said(0), said(9), others=[said(6)]))
    assert (at(9), ("m", "u9")) == (earlier.last_at, earlier.last_key)


def test_nothing_merged_into_nothing():
    """A conversation in which nobody wrote gives what it has."""
    _, target = merged(*pair(tags=("vip",)))
    assert (("vip",), (), T0) == (target.tags, target.marks, target.opened_at)


@pytest.mark.parametrize("lengths", [(80, 1), (1, 80), (80, 80)])
def test_long_conversations_merge_within_bounds(lengths):
    """Regression: a merged snapshot kept twice the marks, and lost questions that were open
    among those that it had folded away.
    """
    first, second = (
        [said(2 * n, name=f"{who}{n}") for n in range(length)]
        for who, length in zip("ab", lengths, strict=True)
    )
    _, target = merged(*pair(*first, others=second))
    assert len(target.marks) <= MAX_MARKS
    assert T0 == target.waiting_since


def test_pending_values_are_whole():
    """A queued reply's snapshot holds every field of its event."""
    one = evolve(after(said(0)), queued(1, "r", A, outcome=Refund("5", "EUR"), due=at(9)))
    expected = Pending("r", 1, 0, (A,), ANN, at(1), Refund("5", "EUR"), at(9))
    assert (expected,) == one.pending
    told_mark = evolve(one, told(2, A, name="r", part=1, parts=3, feedback="F")).marks[-1]
    assert Mark(at(2), Marked.told, "r#1", by=NATIVE.kind, steps=(A,), feedback=True) == told_mark


def test_the_core_is_replaced_by_every_event():
    """With the next version; since only when the state moves."""
    one = after(said(0))
    assert Progress(State.received, 2, T0) == evolve(one, Noted(at(9), "n", ANN)).progress
    assert Progress(State.acknowledged, 2, at(9)) == evolve(one, told(9, A)).progress
