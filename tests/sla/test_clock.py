"""Marks fold into clocks and states by platform time, whatever the order of their arrival."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.model import MAX_MARKS, AgentKind, Base, Mark, Marked, Metric, State, Step
from supportflow.sla.clock import fold, insert, settle, stricter

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, NEXT = Metric.first_response, Metric.next_response
KEPT, SOLVED = Metric.follow_up, Metric.resolution
A, P, R = Step.acknowledge, Step.apologize, Step.resolve


def at(minute):
    """Return the instant so many minutes after the start; None stays None."""
    return None if minute is None else T0 + timedelta(minutes=minute)


def mark(minute, what, key="", **fields):
    """Return a mark; times are minutes."""
    times = {name: at(fields[name]) for name in ("covers", "due") if name in fields}
    return Mark(at(minute), Marked(what), key or f"{what}:{minute}", **{**fields, **times})


def ask(minute, key="", playbook="standard", **fields):
    """The customer asks."""
    return mark(minute, "asked", key, playbook=playbook, **fields)


def tell(minute, *steps, by="person", **fields):
    """Somebody answers."""
    return mark(minute, "told", by=AgentKind(by), steps=steps, **fields)


def minutes(instant):
    """Return an instant as minutes."""
    return None if instant is None else (instant - T0) / timedelta(minutes=1)


def clocks(standing):
    """Return clocks as (metric, start, stopped, ended) in minutes."""
    return [
        (c.metric, minutes(c.start), minutes(c.stopped_at), minutes(c.ended_at))
        for c in standing.clocks
    ]


def folded(*marks, base=None):
    """Fold marks that may stand in any order."""
    found = ()
    for one in marks:
        found = insert(found, one)
    return fold(base or Base(), found)


# -- inserting


def test_marks_stand_by_time():
    """Wherever one arrives, it goes where its time belongs."""
    early, middle, late = ask(0), tell(1), ask(2)
    assert (early, middle, late) == insert((early, late), middle)
    assert (early, middle) == insert((middle,), early)
    assert (early,) == insert((), early)


def test_marks_of_one_instant_stand_by_meaning():
    """The question before the answer, then by key."""
    marks = (tell(1), ask(1, "b"), ask(1, "a"))
    found = ()
    for one in marks:
        found = insert(found, one)
    assert ["a", "b", "told:1"] == [one.key for one in found]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_steps_of_one_instant_are_taken_in_their_order(order):
    """Whatever the replies are called and came in: platforms tell times in whole seconds."""
    told = [tell(1, step, key=key) for step, key in ((A, "c"), (P, "b"), (R, "a"))]
    standing = folded(ask(0, playbook="complaint"), *(told[place] for place in order))
    assert State.resolved is standing.base.state


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_mark_counts_once(place):
    """One that is there already changes nothing, and the same tuple comes back."""
    marks = (ask(0), tell(1), ask(2))
    assert marks is insert(marks, attrs.evolve(marks[place]))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("", "", ""),
        ("standard", "", "standard"),
        ("", "praise", "praise"),
        ("praise", "standard", "standard"),
        ("suggestion", "standard", "suggestion"),
        ("suggestion", "complaint", "complaint"),
        ("complaint", "complaint", "complaint"),
    ],
)
def test_the_strictest_playbook_wins(one, other, expected):
    """Which came first does not matter."""
    assert (expected, expected) == (stricter(one, other), stricter(other, one))


def test_a_playbook_that_is_gone_is_named():
    """Regression: a log that names a playbook which the rules lack raised KeyError."""
    with pytest.raises(InvalidValue, match="no playbook is called 'vip'"):
        folded(ask(0), ask(1, playbook="vip"))
    with pytest.raises(InvalidValue, match="no playbook is called 'vip'"):
        folded(ask(0, playbook="vip"), tell(1, A))


# -- questions and answers


def test_an_open_question():
    """It waits for a first response, and the cycle for a resolution."""
    standing = folded(ask(0), ask(3))
    assert at(0) == standing.waiting_since
    assert [(FIRST, 0, None, None), (SOLVED, 0, None, None)] == clocks(standing)


def test_the_clock_counts_from_the_first_unanswered_question():
    """One answer stops it; the next question starts another."""
    standing = folded(ask(0), ask(1), tell(5), ask(7), ask(8))
    assert at(7) == standing.waiting_since
    assert [
        (FIRST, 0, 5, None),
        (NEXT, 7, None, None),
        (SOLVED, 0, None, None),
    ] == clocks(standing)


def test_a_question_that_the_author_cannot_have_known_stays():
    """An answer that was written before it covers only what was there."""
    standing = folded(ask(0), ask(4), tell(5, covers=0))
    assert at(4) == standing.waiting_since
    assert [(FIRST, 0, 5, None), (NEXT, 4, None, None)] == clocks(standing)[:2]


def test_an_answer_to_nothing():
    """It stops no clock and responds to nobody."""
    standing = folded(tell(0), ask(1))
    assert [(FIRST, 1, None, None), (SOLVED, 1, None, None)] == clocks(standing)


def test_an_automatic_acknowledgement_stops_no_clock():
    """And takes no step, unless the policy says so."""
    marks = (ask(0), tell(1, A, by="automatic"))
    assert (at(0), State.received) == (
        folded(*marks).waiting_since,
        folded(*marks).base.state,
    )
    counted = fold(Base(), marks, responders=frozenset(AgentKind))
    assert (None, State.acknowledged) == (counted.waiting_since, counted.base.state)


def test_an_automatic_promise_is_a_promise():
    """Regression: "we answer within an hour" by an automatic message started no clock."""
    standing = folded(ask(0), tell(1, by="automatic", due=61))
    assert (KEPT, 1, None, None) == clocks(standing)[-1]
    assert (KEPT, 1, 30, None) in clocks(folded(*standing_marks(), tell(30)))


def standing_marks():
    """A question with an automatic promise."""
    return (ask(0), tell(1, by="automatic", due=61))


def test_thanks():
    """They open a talk that nobody has answered, and close one that somebody has."""
    assert at(0) == folded(mark(0, "thanked")).waiting_since
    assert folded(ask(0), tell(1), mark(2, "thanked")).waiting_since is None
    assert State.resolved is folded(ask(0), tell(1, R), mark(2, "thanked")).base.state


def test_thanks_after_a_dismissal():
    """Regression: thanks reopened a conversation that was dismissed without an answer."""
    standing = folded(ask(0), mark(1, "closed", covers=0), mark(2, "thanked"))
    assert (State.resolved, None) == (standing.base.state, standing.waiting_since)


# -- promises


def test_the_next_answer_keeps_a_promise():
    """The answer that makes it does not, nor does an automatic message."""
    standing = folded(ask(0), tell(1, due=60), tell(2, by="automatic"), tell(9))
    assert [(FIRST, 0, 1, None), (KEPT, 1, 9, None), (SOLVED, 0, None, None)] == clocks(standing)
    assert at(60) == standing.clocks[1].due


def test_a_promise_of_the_same_instant_is_not_kept_by_it():
    """Two parts told in one second: the later one does not keep what the other promised."""
    standing = folded(ask(0), tell(1, due=60), attrs.evolve(tell(1), key="told:1#1"))
    assert (KEPT, 1, None, None) == clocks(standing)[-1]


# -- steps


def test_steps_move_the_state():
    """And `since` says when."""
    standing = folded(ask(0, playbook="complaint"), tell(1, A), tell(2, P), tell(3, R))
    assert (State.resolved, at(3)) == (standing.base.state, standing.base.since)
    assert (SOLVED, 0, 3, None) == clocks(standing)[-1]


def test_a_step_that_is_not_legal_counts_for_nothing():
    """A receipt is never refused; what it may not do it does not do."""
    standing = folded(ask(0, playbook="complaint"), tell(1, R), tell(2, A, A))
    assert (State.acknowledged, at(2)) == (standing.base.state, standing.base.since)


def test_repeating_a_step_changes_nothing():
    """Not even since when."""
    assert at(1) == folded(ask(0), tell(1, A), tell(2, A)).base.since


def test_a_suggestion_resolves_with_a_feedback_item_only():
    """Regression: words in a native answer resolved it without one."""
    marks = (ask(0, playbook="suggestion"), tell(1, A, R))
    assert State.acknowledged is folded(*marks).base.state
    linked = tell(2, R, feedback=True)
    assert State.resolved is folded(*marks, linked).base.state


def test_a_stricter_message_changes_what_remains():
    """Steps taken stay taken."""
    standing = folded(ask(0), tell(1, A), ask(2, playbook="complaint"), tell(3, R))
    assert (State.acknowledged, "complaint") == (standing.base.state, standing.base.playbook)


def test_a_person_sets_the_playbook():
    """From then on; later messages may call for a stricter one."""
    marks = (ask(0, playbook="complaint"), mark(1, "classified", playbook="standard"))
    assert State.resolved is folded(*marks, tell(2, R)).base.state
    assert State.received is folded(*marks, ask(2, playbook="complaint"), tell(3, R)).base.state


# -- cycles


def test_reopening_begins_a_new_cycle():
    """At received, with the playbook of what is asked now, and a first response again."""
    standing = folded(ask(0, playbook="complaint"), tell(1, A, P, R), ask(5))
    assert (State.received, 1, "standard", at(5)) == (
        standing.base.state,
        standing.base.cycle,
        standing.base.playbook,
        standing.base.since,
    )
    assert [(FIRST, 5, None, None), (SOLVED, 5, None, None)] == clocks(standing)[-2:]
    assert [0, 0, 1, 1] == [clock.cycle for clock in standing.clocks]


def test_what_was_asked_before_the_resolution_was_told_reopens():
    """Its author cannot have known the answer, nor we the question."""
    standing = folded(ask(0), ask(4), tell(5, R, covers=0))
    assert (State.received, 1, at(4)) == (
        standing.base.state,
        standing.base.cycle,
        standing.waiting_since,
    )


def test_words_after_the_resolution():
    """An answer to a resolved conversation changes nothing."""
    before, after = folded(ask(0), tell(1, R)), folded(ask(0), tell(1, R), tell(2, R))
    assert clocks(before) == clocks(after)
    assert before.base.since == after.base.since


# -- dismissals


def test_a_dismissal_ends_every_clock():
    """Nothing is waited for any more: neither answer, nor promise, nor resolution."""
    standing = folded(ask(0), tell(1, due=60), ask(2), mark(3, "closed", covers=2))
    assert [
        (FIRST, 0, 1, None),
        (NEXT, 2, None, 3),
        (KEPT, 1, None, 3),
        (SOLVED, 0, None, 3),
    ] == clocks(standing)
    assert (State.resolved, None) == (standing.base.state, standing.waiting_since)


def test_a_dismissal_is_no_resolution_in_time():
    """Regression: dismissing met the resolution target."""
    standing = folded(ask(0), mark(3, "closed", covers=0))
    assert [(FIRST, 0, None, 3), (SOLVED, 0, None, 3)] == clocks(standing)


def test_a_message_that_the_dismissal_did_not_know_reopens():
    """It was written before, and seen after."""
    standing = folded(ask(0), ask(2), mark(3, "closed", covers=0))
    assert (State.received, at(2), 1) == (
        standing.base.state,
        standing.waiting_since,
        standing.base.cycle,
    )


def test_dismissing_twice():
    """The second finds nothing to end."""
    standing = folded(ask(0), mark(1, "closed", covers=0), mark(2, "closed", covers=0))
    assert 2 == len(standing.clocks)


# -- withdrawals


def test_a_withdrawn_question_ends_its_clocks():
    """Nothing was answered and nothing is left: no alarm for what nobody asks."""
    standing = folded(ask(0, "m"), mark(5, "withdrawn", "m"))
    assert [(FIRST, 0, None, 5), (SOLVED, 0, None, 5)] == clocks(standing)
    assert standing.waiting_since is None


def test_a_talk_goes_on_after_a_withdrawal():
    """Where somebody has answered already, there is still something to resolve."""
    standing = folded(ask(0), tell(1), ask(2, "m"), mark(5, "withdrawn", "m"))
    assert [(FIRST, 0, 1, None), (NEXT, 2, None, 5), (SOLVED, 0, None, None)] == clocks(standing)


def test_a_new_question_after_a_withdrawal_begins_again():
    """In the same cycle, from its own time."""
    standing = folded(ask(0, "m"), mark(5, "withdrawn", "m"), ask(7))
    assert [(FIRST, 7, None, None), (SOLVED, 7, None, None)] == clocks(standing)[2:]
    assert 0 == standing.base.cycle


def test_the_next_question_gets_a_clock_of_its_own():
    """Regression: the clock of a withdrawn question vanished, and with it its breach."""
    standing = folded(ask(0, "m"), ask(90), mark(100, "withdrawn", "m"))
    assert [
        (FIRST, 0, None, 100),
        (FIRST, 90, None, None),
        (SOLVED, 0, None, None),
    ] == clocks(standing)
    assert at(90) == standing.waiting_since


def test_withdrawing_what_is_not_first_changes_no_clock():
    """The wait counts from the first question, which is still there."""
    standing = folded(ask(0), ask(1, "m"), mark(5, "withdrawn", "m"))
    assert [(FIRST, 0, None, None), (SOLVED, 0, None, None)] == clocks(standing)


def test_withdrawing_what_was_answered():
    """It was answered: that stays."""
    marks = (ask(0, "m"), tell(1, R))
    assert clocks(folded(*marks)) == clocks(folded(*marks, mark(5, "withdrawn", "m")))


def test_an_edit_of_a_withdrawn_message_asks_nothing():
    """Nobody can read it."""
    assert folded(ask(0, "m"), mark(1, "withdrawn", "m"), ask(2, "m")).waiting_since is None


# -- history


def test_history_and_a_new_question():
    """Regression: behind an unanswered message of history a new one was never announced."""
    standing = folded(ask(0, backfill=True), ask(500))
    assert [(FIRST, 0, None, None), (NEXT, 500, None, None)] == clocks(standing)[:2]
    assert [True, False] == [clock.backfill for clock in standing.clocks[:2]]
    answered = folded(ask(0, backfill=True), ask(500), tell(501))
    assert [(FIRST, 0, 501, None), (NEXT, 500, 501, None)] == clocks(answered)[:2]


def test_history_stays_history():
    """Clocks and promises that began in it say so."""
    standing = folded(ask(0, backfill=True), tell(1, due=9, backfill=True), ask(2, backfill=True))
    assert {True} == {clock.backfill for clock in standing.clocks}


# -- bounded marks


@st.composite
def histories(draw, least=0, most=40):
    """Marks in their order: questions, answers of all kinds, thanks, decisions, withdrawals."""
    found, keys, minute = (), [], 0
    for number in range(draw(st.integers(least, most))):
        minute += draw(st.integers(0, 3))
        what = draw(st.sampled_from(["asked", "asked", "told", "told", "told", "rest"]))
        if what == "asked":
            key = draw(st.sampled_from([*keys[-2:], f"m{number}"]))
            keys.append(key)
            book = draw(st.sampled_from(["standard", "complaint", "suggestion", "praise"]))
            one = ask(minute, key, book, backfill=draw(st.booleans()))
        elif what == "told":
            one = tell(
                minute,
                *draw(st.sampled_from([(), (), (A,), (P,), (R,), (A, P, R)])),
                by=draw(st.sampled_from(["person", "bot", "native", "automatic"])),
                covers=max(0, minute - draw(st.integers(0, 4))),
                due=draw(st.sampled_from([None, None, minute + 9])),
                feedback=draw(st.booleans()),
            )
            one = attrs.evolve(one, key=f"r{number}")
        else:
            rest = draw(st.sampled_from(["thanked", "classified", "closed", "withdrawn"]))
            gone = rest == "withdrawn" and keys
            key = keys.pop(draw(st.integers(0, len(keys) - 1))) if gone else f"x{number}"
            keys = [kept for kept in keys if kept != key]
            book = draw(st.sampled_from(["standard", "complaint"]))
            one = mark(minute, rest, key, playbook=book, covers=minute)
        found = insert(found, one)
    return found


def running(standing):
    """Return the clocks that are open."""
    return {c for c in standing.clocks if c.stopped_at is None and c.ended_at is None}


def without_rest(base):
    """Return what a base says about where the conversation stands."""
    return (base.state, base.since, base.cycle, base.playbook, base.told, base.responded)


def bounded(marks, most):
    """Fold marks as they come in, never keeping more than so many."""
    base, kept = Base(), ()
    for one in marks:
        kept = insert(kept, one)
        if len(kept) > most:
            base, kept = settle(base, kept)
        assert len(kept) <= most
    return base, kept


def agree(marks, most):
    """Check that a bounded fold stands where the whole history stands."""
    whole, (base, kept) = fold(Base(), marks), bounded(marks, most)
    part = fold(base, kept)
    assert whole.waiting_since == part.waiting_since
    assert running(whole) == running(part)
    assert without_rest(whole.base) == without_rest(part.base)
    ended = [clock for clock in part.clocks if clock not in running(part)]
    assert (
        ended == [c for c in whole.clocks if c not in running(whole)][-len(ended) :][: len(ended)]
    )


@given(histories(), st.integers(1, 9))
def test_settling_keeps_where_the_conversation_stands(marks, most):
    """Waiting, state and running clocks are those of the whole history, however few are kept."""
    agree(marks, most)


@settings(max_examples=15)
@given(histories(least=MAX_MARKS + 1, most=3 * MAX_MARKS))
def test_a_long_history_keeps_where_the_conversation_stands(marks):
    """The same with as many marks as a snapshot really keeps."""
    agree(marks, MAX_MARKS)


def test_settling_forgets_no_step_behind_open_promises():
    """Regression: where a promise was always open, steps and answers of old were dropped,
    and the first question, answered long ago, got a bogus breach.
    """
    marks = [ask(0, playbook="complaint"), tell(1, A, due=99)]
    for minute in range(2, 90, 2):
        marks += [ask(minute, playbook="complaint"), tell(minute + 1, due=minute + 99)]
    base, kept = bounded(marks, 8)
    assert State.acknowledged is fold(base, kept).base.state
    assert {NEXT, KEPT, SOLVED} == {clock.metric for clock in fold(base, kept).clocks}


def test_a_flood_of_questions_stays_bounded():
    """Of very many only the first ones and the last are carried on, and the wait counts from
    the first.
    """
    base, kept = bounded([ask(minute) for minute in range(1000)], MAX_MARKS)
    assert len(base.asks) <= MAX_MARKS // 2
    assert at(0) == fold(base, kept).waiting_since
    assert kept[0].at > base.asks[-1].at


def test_late_marks_of_settled_times_are_history():
    """Behind an answer that was folded away, an older question, answer or promise that
    arrives late neither waits nor takes steps.
    """
    base, kept = bounded([ask(0), tell(10, R), ask(20), tell(30)], 2)
    assert (at(20), at(10)) == (kept[0].at, base.until)
    before = fold(base, kept)
    for late in (ask(5), ask(10), tell(6, R), tell(7, due=99)):
        after = fold(base, insert(kept, late))
        assert (before.waiting_since, before.clocks) == (after.waiting_since, after.clocks)
        assert without_rest(before.base) == without_rest(after.base)


def test_a_late_question_among_settled_ones_waits():
    """Where nobody had answered, one that arrives late is open, and may be the first."""
    base, kept = bounded([ask(10), ask(20), ask(30)], 2)
    standing = fold(base, insert(kept, ask(5)))
    assert at(5) == standing.waiting_since
    assert {(FIRST, 5, None, None), (SOLVED, 5, None, None)} == set(clocks(standing))
