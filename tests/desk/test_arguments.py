"""Prove that what callers pass is checked, and that the error says what would be accepted."""

import pytest

from supportflow import Agent, InvalidValue
from supportflow.desk.arguments import as_agent, id_of, key_of, message_of, version_of, words_of
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
