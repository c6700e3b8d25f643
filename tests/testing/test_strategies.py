"""Prove that the strategies draw every kind of value, and only what its class takes."""

from typing import get_args

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from supportflow.events import EVENTS
from supportflow.model import OUTCOMES, ChannelState, Command, Conversation, Fact, Message, Outgoing
from supportflow.testing import strategies


class Complete(Exception):
    """Stop drawing: every kind was seen."""


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
    """No member of a union is out of reach, and nothing else comes."""
    kinds, seen = set(kinds), set()

    @settings(max_examples=10_000, phases=[Phase.generate], database=None)
    @given(strategy)
    def draw(value):
        seen.add(type(value))
        if seen >= kinds:
            raise Complete

    with pytest.raises(Complete):
        draw()
    assert kinds == seen


@given(strategies.texts, strategies.words, strategies.moments)
def test_texts_are_normalised_and_times_aware(text, word, at):
    """Drawn texts are what a store may be given, and drawn times are in UTC."""
    assert "\0" not in text
    assert text == text.encode().decode()
    assert word.strip()
    assert at.utcoffset().total_seconds() == 0


@settings(max_examples=10)
@given(
    st.tuples(
        strategies.conversations,
        strategies.messages,
        strategies.outgoings,
        strategies.channel_states,
    )
)
def test_values_are_of_their_class(drawn):
    """What is drawn for a class is an instance of it."""
    assert [Conversation, Message, Outgoing, ChannelState] == [type(value) for value in drawn]
