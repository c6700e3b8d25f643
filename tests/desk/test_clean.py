"""Prove that facts are brought into storable form, and come back from quarantine as they were."""

import unicodedata

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow import Reading
from supportflow.desk.clean import cleaned, described, plain_reading, quarantined, restored
from supportflow.model import Attachment, Author, Reaction, StatusReport

TEXT = st.text(max_size=8).filter(bool)


def facts_of(world, text="words"):
    return [
        world.said("m1", text, tags=(text,), raw=text, attachments=(Attachment("image", text),)),
        world.ours("o1", text, to="ola", mark=text),
        world.edit("m1", text=text),
        world.removal("m1"),
        Reaction("net", "post", "m1", Author("ola", text), text, world.at(1)),
        StatusReport("net", "r1", "failed", world.at(1), text, text),
    ]


def test_what_is_plain_stays_the_same(world):
    """Plain text of any language is not copied."""
    fact = world.said("m1", "чаму ў мяне")
    assert fact is cleaned(fact, "net")


@given(text=TEXT)
def test_every_text_is_storable_and_cleaning_twice_is_cleaning_once(build, text):
    """No surrogate, no NUL, NFC, in every kind of fact; and it is idempotent."""
    for fact in facts_of(build(), text):
        clean = cleaned(fact, "net")
        shown = repr(attrs.asdict(clean)) + str(clean)
        shown.encode()
        assert clean == cleaned(clean, "net")
        words = list(_texts(clean))
        assert all(unicodedata.is_normalized("NFC", word) and "\0" not in word for word in words)


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _texts(getattr(value, field.name))


@given(text=TEXT)
def test_a_fact_comes_back_from_quarantine_as_it_was(build, text):
    """What was described can be restored, of every kind."""
    for fact in facts_of(build(), text):
        clean = cleaned(fact, "net")
        assert clean == restored(described(clean))


@pytest.mark.parametrize("raw", [b"", b"Inbound", b"Inbound {}", b"{}", b"\xff\xfe", b"Nothing {}"])
def test_what_is_no_description_restores_nothing(raw):
    """A platform's own item is left to its channel."""
    assert None is restored(raw)


@given(st.binary(max_size=50))
def test_nothing_else_is_taken_for_a_description(raw):
    """Whatever bytes a platform sent."""
    restored(b"Inbound " + raw)


def test_anything_can_be_described():
    """Bounded, and whatever it does when it is asked what it is."""

    class Hostile:
        def __repr__(self):
            raise RuntimeError("no")

    assert b"Hostile, whose representation raises RuntimeError" == described(Hostile())
    assert 10_000 == len(described("x" * 20_000))


def test_an_item_in_quarantine_is_named_by_its_content(world):
    """The same content of the same channel is the same item."""
    one = quarantined("net", b"x", "a\x00" + "y" * 1000, world.at(0))
    assert one.id == quarantined("net", b"x", "other", world.at(5)).id
    assert one.id != quarantined("web", b"x", "other", world.at(5)).id
    assert ("a\ufffd", 500) == (one.why[:2], len(one.why))


def test_readings_are_bounded_and_storable():
    """A classifier's words are kept, within limits."""
    reading = Reading("question", language="e\x00", reasons=["x" * 1000] * 100, by="b\ud800")
    plain = plain_reading(reading)
    assert ("e\ufffd", "b\ufffd", 20, 200) == (
        plain.language,
        plain.by,
        len(plain.reasons),
        len(plain.reasons[0]),
    )
    with pytest.raises(TypeError, match="returned str, not a Reading"):
        plain_reading("question")
