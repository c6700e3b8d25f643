"""Fields of JSON from outside are what they should be, or an error that names them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import PayloadError
from supportflow.text.fields import compact, mapping, mappings, perhaps, word

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.none()) | st.just({})


@given(VALUES)
def test_a_field_is_read_or_named(value):
    """Each reader gives the right kind of value, or raises with the field's name in it."""
    found = []
    for read in (word, perhaps, mappings):
        try:
            found.append(type(read({"field": value}, "field")))
        except PayloadError as error:
            found.append("field" in str(error))
    assert [found[0] in (str, True), found[1] in (str, True), found[2] in (list, True)] == [
        True
    ] * 3


@pytest.mark.parametrize("item", [{}, {"field": None}])
def test_what_may_be_missing_is_empty(item):
    """Null and nothing are the same."""
    assert ("", []) == (perhaps(item, "field"), mappings(item, "field"))


@pytest.mark.parametrize("value", [None, "", 17, True, [], {}])
def test_what_must_be_there_is_asked_for(value):
    """An id that is a number, or empty, is none."""
    with pytest.raises(PayloadError, match="field"):
        word({"field": value}, "field")


@pytest.mark.parametrize("value", ["x", 1, {"a": 1}, [1], [{}, None]])
def test_a_list_of_objects_is_nothing_else(value):
    """One thing in it that is no object spoils it."""
    with pytest.raises(PayloadError, match="field"):
        mappings({"field": value}, "field")


@pytest.mark.parametrize("value", [None, "x", 1, []])
def test_an_object_is_nothing_else(value):
    """The error says what it is instead."""
    with pytest.raises(PayloadError, match=f"thing is {type(value).__name__}"):
        mapping(value, "thing")


def test_an_error_shows_no_more_than_a_little():
    """A field of a megabyte, or a whole object in its place, does not fill the log."""
    for value in (-(10**400), ["x" * 9_000]):
        with pytest.raises(PayloadError) as error:
            word({"field": value}, "field")
        assert 200 > len(str(error.value))


@given(st.dictionaries(st.text(), VALUES))
def test_what_is_written_short_reads_the_same(item):
    """Nothing but white space is left out."""
    assert item == json.loads(compact(item))
