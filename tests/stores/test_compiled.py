"""Prove how writers and readers are made: once a class, for the types that have a form."""

import pytest

from supportflow.errors import InvalidValue
from supportflow.model import Author, Conversation, Mark, Reading
from supportflow.stores import Quarantined
from supportflow.stores.codec import encode
from supportflow.stores.compiled import reader, writer
from supportflow.testing.store_samples import START, quarantined


@pytest.mark.parametrize("kind", [Author, Conversation, Mark])
def test_a_class_is_compiled_once(kind):
    """The second use of a class costs no compiling."""
    assert writer(kind) is writer(kind)
    assert reader(kind) is reader(kind)


def test_a_writer_says_where_it_comes_from():
    """A traceback through generated code names the class that it was generated for."""
    assert "<codec of Author>" == writer(Author).__code__.co_filename
    assert "<codec of Mark>" == reader(Mark).__code__.co_filename


def test_a_reader_empties_what_it_reads():
    """What is left over after reading would be a field that nobody knows."""
    fields = {"id": "1", "name": "Ola"}
    assert Author("1", "Ola") == reader(Author)(fields)
    assert {} == fields
    with pytest.raises(LookupError, match=r"Author has no field \['age', 'colour'\]"):
        reader(Author)({"id": "1", "colour": "red", "age": 7})


def test_another_field_comes_first():
    """An object without fields gets no stray comma."""
    assert '{"v":1}' == writer(Reading, '{"v":1')(Reading())
    assert '{"v":1,"id":"1"}' == writer(Author, '{"v":1')(Author("1"))
    assert ("{}", '{"id":"1"}') == (writer(Reading)(Reading()), writer(Author)(Author("1")))


def test_a_type_without_a_form_is_refused():
    """Bytes have no place in JSON: a class that holds some is not written."""
    with pytest.raises(InvalidValue, match="Quarantined cannot be stored"):
        encode(quarantined("a", minute=0))
    assert START == Quarantined("a", "b", b"", "c", START).at
