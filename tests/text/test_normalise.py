"""Texts in the form that every store takes, and in the form in which they are compared."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.text import skeleton, storable
from supportflow.text.normalise import MAX_SKELETON

ANY = st.text(alphabet=st.characters(), max_size=40)


@given(ANY)
def test_every_text_becomes_storable(text: str) -> None:
    """UTF-8 takes it, no NUL is left, it is NFC; and a second time changes nothing."""
    plain = storable(text)
    plain.encode()
    assert "\0" not in plain
    assert unicodedata.is_normalized("NFC", plain)
    assert plain == storable(plain)


def test_nothing_vanishes_unseen() -> None:
    """What cannot be kept leaves a mark; what can stays as it is."""
    assert "a\ufffdb\ufffd" == storable("a\0b\ud800")
    assert "\u00e9" == storable("e\u0301")
    assert "чаму ў 🎉" == storable("чаму ў 🎉")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi @ola, order 4711 is paid.", "hi @ben.social@example.com  order 99,5 is paid."),
        ("See https://shop.example/a?b=1 please", "SEE http://other.example  please"),
        ("Call 12-34/56 at 10:30", "Call 7 at 1"),
    ],
)
def test_names_numbers_and_links_do_not_tell_texts_apart(one: str, other: str) -> None:
    """Two answers with the same skeleton are the same canned text."""
    assert skeleton(one) == skeleton(other)


def test_words_do_tell_texts_apart() -> None:
    """Another word is another text."""
    assert skeleton("We are sorry.") != skeleton("We are glad.")


@given(ANY)
def test_a_skeleton_is_bounded(text: str) -> None:
    """However long the text, and whatever is in it."""
    assert len(skeleton(text * 50)) <= MAX_SKELETON
