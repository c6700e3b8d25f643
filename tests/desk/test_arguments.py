"""Prove that what callers pass is checked, and that the error says what would be accepted."""

import pytest

from supportflow import Agent, InvalidValue
from supportflow.desk.arguments import (
    as_agent,
    flag_of,
    id_of,
    key_of,
    limit_of,
    listed,
    message_of,
    perhaps,
    version_of,
    words_of,
)
from supportflow.model import AgentKind


def test_agents():
    """A plain text is a person's id."""
    bot = Agent("robo", AgentKind.bot)
    assert (Agent("anna"), bot) == (as_agent("anna"), as_agent(bot))
    for wrong in ("", " ", None, 5):
        with pytest.raises(InvalidValue, match="agent is"):
            as_agent(wrong)


def test_keys():
    """One is made where none is given, each time another."""
    assert "k1" == key_of("k1")
    assert (32, True) == (len(key_of(None)), key_of(None) != key_of(None))
    for wrong in ("", " ", 5):
        with pytest.raises(InvalidValue, match="key is"):
            key_of(wrong)


def test_words():
    """Texts are normalised, and must be texts."""
    assert ("", "a\ufffd") == (words_of("", "why"), words_of("a\x00", "why"))
    with pytest.raises(InvalidValue, match="why is None; pass a text"):
        words_of(None, "why")


def test_what_may_be_left_out():
    """None stays None; anything else must be what it should."""
    assert (None, "a") == (perhaps(None, "channel"), perhaps("a", "channel"))
    assert [None, True, False] == [flag_of(each, "held") for each in (None, True, False)]
    with pytest.raises(InvalidValue, match="channel is 5; pass a text"):
        perhaps(5, "channel")
    for wrong in (1, "yes"):
        with pytest.raises(InvalidValue, match=r"held is .*; pass True, False, or None"):
            flag_of(wrong, "held")


def test_lists_and_limits():
    """A list of texts is no text and no number; a limit is a whole number from 1."""
    assert (("a", "b"), 7) == (listed(["a", "b"], "states"), limit_of(7))
    with pytest.raises(InvalidValue, match="states is 5; pass a list"):
        listed(5, "states")
    with pytest.raises(InvalidValue, match=r"pass \['sent'\]"):
        listed("sent", "states")
    for wrong in (0, -1, True, 1.5, "7", None):
        with pytest.raises(InvalidValue, match=r"limit is .*; pass a whole number from 1"):
            limit_of(wrong)


def test_messages():
    """A message of a conversation is named by kind and id."""
    assert (None, ("post", "1")) == (message_of(None, "to"), message_of(["post", "1"], "to"))
    for wrong in ("m1", ("post",), ("post", ""), ("post", 1), 5):
        with pytest.raises(InvalidValue, match="to is"):
            message_of(wrong, "to")


def test_conversations(world):
    """By value or by id; only a value says what was seen."""
    conversation = world.desk.get(world.open("m1"))
    assert (conversation.id, "x") == (id_of(conversation), id_of("x"))
    assert (2, None) == (version_of(conversation), version_of(conversation.id))
    with pytest.raises(InvalidValue, match="conversation is 5"):
        id_of(5)
