"""The table of legal steps: built in for every kind of message, and checked for one's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.model import Intent, Mood, Reading, State, Step, Unread
from supportflow.playbook import (
    COMPLAINT,
    PLAYBOOKS,
    PRAISE,
    STANDARD,
    SUGGESTION,
    Playbook,
    find_playbook,
    playbook_for,
)

BOOKS = pytest.mark.parametrize("book", PLAYBOOKS.values(), ids=PLAYBOOKS)
A, P, R = Step.acknowledge, Step.apologize, Step.resolve


def reachable(edges, start):
    """Return every state that steps lead to: an oracle of its own, step by step."""
    seen = [start]
    for state in seen:
        seen += [to for to in edges[state].values() if to not in seen]
    return set(seen)


# -- the built-in ones


@BOOKS
@pytest.mark.parametrize("state", State)
def test_every_state_of_every_playbook_reaches_resolved(book, state):
    """No conversation can be stuck, whatever its messages called for on the way."""
    assert State.resolved in reachable(book.edges, state)


@BOOKS
def test_repeating_changes_nothing(book):
    """A step up to the current state was taken: it is legal and stays there."""
    order = list(State)
    for state in State:
        for step, reached in zip(Step, order[1:], strict=True):
            if order.index(reached) <= order.index(state):
                assert state is book.edges[state][step]


def test_a_complaint_skips_nothing():
    """Acknowledge, apologize, resolve, in this order and no other (mission M6)."""
    ahead = {s: [t for t, to in COMPLAINT.edges[s].items() if to is not s] for s in State}
    assert {
        State.received: [A],
        State.acknowledged: [P],
        State.apologized: [R],
        State.resolved: [],
    } == ahead


@pytest.mark.parametrize("book", [STANDARD, SUGGESTION])
def test_an_apology_is_legal_and_not_needed(book):
    """A question is answered at once, or after an apology."""
    assert (A, P, R) == book.legal(State.received)
    assert State.resolved is book.edges[State.received][R]
    assert State.apologized is book.edges[State.received][P]


def test_praise_is_resolved_by_thanking():
    """Thanked is resolved (mission M15)."""
    assert State.resolved is PRAISE.edges[State.received][A]


def test_a_suggestion_needs_a_feedback_item():
    """Without one no edge leads to resolved; once resolved, it stays (mission M13)."""
    without = SUGGESTION.table(feedback=False)
    assert State.acknowledged is without[State.received][A]
    assert not [s for s in State if s is not State.resolved and R in without[s]]
    assert State.resolved is without[State.resolved][R]
    assert SUGGESTION.edges is SUGGESTION.table(feedback=True)
    assert COMPLAINT.edges is COMPLAINT.table(feedback=False)


def test_legal_steps_stand_in_their_order():
    """As the reader of an error will take them."""
    assert ((A,), (A, P), (A, P, R)) == tuple(map(COMPLAINT.legal, list(State)[:3]))


# -- which one a message calls for


@pytest.mark.parametrize(
    ("reading", "name"),
    [
        (Unread, "standard"),
        (Reading("question"), "standard"),
        (Reading("purchase"), "standard"),
        (Reading("spam"), "standard"),
        (Reading("other"), "standard"),
        (Reading("complaint"), "complaint"),
        (Reading("abuse"), "complaint"),
        (Reading("suggestion"), "suggestion"),
        (Reading("praise"), "praise"),
        (Reading("question", mood="annoyed"), "standard"),
        (Reading("question", mood="angry"), "complaint"),
        (Reading("praise", mood="furious"), "complaint"),
        (Reading(mood="furious"), "complaint"),
    ],
)
def test_readings_call_for_playbooks(reading, name):
    """By intent; anger of any kind, justified or not, calls for the three steps (M6, M11)."""
    assert name == playbook_for(reading)


@given(st.sampled_from([None, *Intent]), st.sampled_from(Mood))
def test_every_reading_calls_for_one_that_there_is(intent, mood):
    """No message is left without a playbook."""
    assert playbook_for(Reading(intent, mood)) in PLAYBOOKS


def test_playbooks_are_found_by_name():
    """Nothing decided yet means the standard one; an unknown name is named, with the others."""
    assert (COMPLAINT, STANDARD) == (
        find_playbook(PLAYBOOKS, "complaint"),
        find_playbook(PLAYBOOKS, ""),
    )
    with pytest.raises(InvalidValue, match="no playbook is called 'vip'; there are complaint, pr"):
        find_playbook(PLAYBOOKS, "vip")


# -- one's own


def test_names_may_be_plain_text():
    """Playbooks are data: they may come from a file."""
    edges = {
        "received": {"resolve": "resolved"},
        "acknowledged": {"resolve": "resolved"},
        "apologized": {"resolve": "resolved"},
    }
    book = Playbook("short", edges)
    assert State.resolved is book.edges[State.received][R]
    assert (R,) == book.legal(State.received)


def test_an_edge_may_lead_back():
    """What is listed counts more than what is true unless told otherwise."""
    edges = {**STANDARD.edges, State.apologized: {A: State.received, R: State.resolved}}
    assert State.received is Playbook("strict", edges).edges[State.apologized][A]


@pytest.mark.parametrize(
    ("edges", "why"),
    [
        ({}, "received never reaches resolved"),
        ({"received": {"resolve": "resolved"}}, "acknowledged never reaches resolved"),
        (
            {**COMPLAINT.edges, "apologized": {"acknowledge": "acknowledged"}},
            "received never reaches resolved",
        ),
        ({"recieved": {"resolve": "resolved"}}, "a state is 'recieved'; it is one of"),
        ({"received": {"fix": "resolved"}}, "a step is 'fix'; it is one of"),
        ({"received": {"resolve": "done"}}, "a state is 'done'; it is one of"),
    ],
)
def test_playbooks_that_cannot_end_are_refused(edges, why):
    """Each state has a way to resolved, and each name means something."""
    with pytest.raises(InvalidValue, match=why):
        Playbook("own", edges)


STEPS = st.dictionaries(st.sampled_from(Step), st.sampled_from(State))


@given(st.dictionaries(st.sampled_from(State), STEPS))
def test_any_table_is_refused_or_can_end(edges):
    """Exactly the tables in which some state cannot reach resolved are refused."""
    order = list(State)
    full = {
        state: {
            **{
                step: state
                for step, to in zip(Step, order[1:], strict=True)
                if order.index(to) <= order.index(state)
            },
            **edges.get(state, {}),
        }
        for state in State
    }
    stuck = [state for state in State if State.resolved not in reachable(full, state)]
    if stuck:
        with pytest.raises(InvalidValue, match=f"{stuck[0]} never reaches resolved"):
            Playbook("own", edges)
    else:
        made = Playbook("own", edges).edges
        assert full == {state: dict(leads) for state, leads in made.items()}
