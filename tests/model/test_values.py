"""Words of the model: secrets that never print, enumerations that name what they expect."""

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.model import (
    AUTOMATIC,
    NATIVE,
    Agent,
    AgentKind,
    Intent,
    Secret,
    State,
    Step,
    aware,
)
from supportflow.model.values import member, steps_of, strings


@given(st.text(min_size=1))
def test_a_secret_shows_only_when_asked(text):
    """Printing, formatting and comparing in containers show nothing; `reveal` gives it back."""
    secret = Secret(text)
    assert text == secret.reveal()
    assert {"Secret('…')"} == {repr(secret), str(secret), f"{secret}", f"{secret:}"}
    assert "[Secret('…')]" == str([secret])


def test_secrets_compare_by_value():
    """Equal secrets are equal and hash alike; nothing else is equal to one."""
    assert Secret("a") == Secret(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert 1 == len({Secret("a"), Secret("a")})


def test_a_secret_with_a_lone_surrogate_compares():
    """Regression: text that has no UTF-8 form raised UnicodeEncodeError when compared."""
    assert Secret("\ud800") == Secret("\ud800")
    assert Secret("\ud800") != Secret("\udc00")


@pytest.mark.parametrize("nothing", ["", None, 5, b"bytes"])
def test_an_empty_secret_proves_nothing(nothing):
    """It is refused when it is made, not when a webhook comes."""
    with pytest.raises(InvalidValue, match="non-empty string"):
        Secret(nothing)


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secrets_are_not_pickled(leak):
    """They would lie in a queue or a cache in the clear."""
    with pytest.raises(TypeError, match="not pickled"):
        leak(Secret("a"))


def test_members_are_found_by_name():
    """A text from outside becomes a member; a member stays what it is."""
    assert Intent.spam is member(Intent, "spam", "intent")
    assert Intent.spam is member(Intent, Intent.spam, "intent")


@pytest.mark.parametrize("name", ["sapm", "", None, 3, "x" * 5000, ["spam"]])
def test_unknown_members_are_refused(name):
    """The error is ours, short, and lists what there is."""
    with pytest.raises(InvalidValue, match=r"intent is .*; it is one of complaint, question") as e:
        member(Intent, name, "intent")
    assert len(str(e.value)) < 250


def test_steps_stand_in_their_order_once():
    """However they were given."""
    assert (Step.acknowledge, Step.resolve) == steps_of(["resolve", "acknowledge", Step.resolve])
    assert () == steps_of([])


def test_a_string_is_no_list():
    """Its letters would be taken one by one."""
    with pytest.raises(InvalidValue, match=r"'resolve' stands where a list belongs; pass \['res"):
        steps_of("resolve")
    with pytest.raises(InvalidValue, match="stands where a list belongs"):
        strings("tag")
    assert ("a", "b") == strings(word for word in ("a", "b"))


def test_agents_say_what_they_are():
    """A person by default; the library's own are there."""
    assert AgentKind.person is Agent("ann").kind
    assert AgentKind.bot is Agent("hal", "bot").kind
    assert [AgentKind.native, AgentKind.automatic] == [NATIVE.kind, AUTOMATIC.kind]
    with pytest.raises(InvalidValue, match="kind is 'robot'; it is one of person, bot"):
        Agent("hal", "robot")


def test_enumerations_are_their_names():
    """What is stored and shown is the plain word."""
    assert ["received", "acknowledged", "apologized", "resolved"] == list(State)
    assert "acknowledge" == f"{Step.acknowledge}"


def test_aware_times_become_utc():
    """Any zone is accepted, the instant stays."""
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert (noon, UTC) == (aware(noon, "at"), aware(noon, "at").tzinfo)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert at is aware(at, "at")


@pytest.mark.parametrize("time", [datetime(2026, 1, 1), None, "2026-01-01", 0])  # noqa: DTZ001
def test_naive_times_are_refused(time):
    """The error names the argument and what it was."""
    with pytest.raises(InvalidValue, match=r"promised is .*; pass an aware datetime"):
        aware(time, "promised")
