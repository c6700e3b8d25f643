"""Prove that the strategies draw every kind of value, and only what its class takes."""

from typing import get_args

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from supportflow.events import EVENTS
from supportflow.model import OUTCOMES, Command, Conversation, Fact
from supportflow.testing import strategies


@pytest.mark.parametrize(
    ("strategy", "kinds"),
    [
        (strategies.events, EVENTS.values()),
        (strategies.outcomes, OUTCOMES.values()),
        (strategies.facts, get_args(Fact)),
        (strategies.commands, get_args(Command)),
    ],
    ids=["events", "outcomes", "facts", "commands"],
)
def test_every_kind_is_drawn(strategy, kinds):
    """No member of a union is out of reach."""
    for kind in kinds:
        assert kind is type(find(strategy, lambda value, kind=kind: type(value) is kind))


@given(strategies.texts, strategies.words, strategies.moments)
def test_texts_are_normalised_and_times_aware(text, word, at):
    """Drawn texts are what a store may be given, and drawn times are in UTC."""
    assert "\0" not in text
    assert text == text.encode().decode()
    assert word.strip()
    assert at.utcoffset().total_seconds() == 0


@settings(max_examples=20)
@given(st.data())
def test_values_differ(data):
    """A drawn value is an instance of its class, and two of them need not be equal."""
    drawn = data.draw(st.lists(strategies.conversations, min_size=2, max_size=2))
    assert {Conversation} == {type(value) for value in drawn}
    assert find(strategies.readings, lambda reading: reading.gratitude).gratitude
