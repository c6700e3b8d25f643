"""What an edge of the Graph API gives, and what may stand in an address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.channels.meta_account import cursor_of, is_node, nodes_of
from supportflow.errors import PayloadError


@given(st.text())
def test_a_node_leads_nowhere_else(name):
    """Whatever passes has no slash, query or dots of its own, and is not too long."""
    if is_node(name):
        assert not {*name} & {*"/?#%&: \n"}
        assert not name.startswith(".")
        assert len(name) <= 128


@pytest.mark.parametrize(
    "name", ["", ".", "..", "1/feed", "1?x=1", "1%2F", "ł", "1\n", "x" * 129, 7]
)
def test_what_is_no_node(name):
    """Each of these would change the address, or is none."""
    assert not is_node(name)


def test_the_next_page_is_named_by_its_cursor():
    """Its address is not looked at; without one there is no next page."""
    cursors = {"cursors": {"after": "QWZ0ZXI="}}
    assert cursor_of({"paging": {**cursors, "next": "https://elsewhere.example/"}}) == "QWZ0ZXI="
    for last in ({}, {"paging": None}, {"paging": cursors}):
        assert cursor_of(last) is None


@pytest.mark.parametrize(
    "paging",
    [7, {"next": "x"}, {"next": "x", "cursors": {}}, {"next": "x", "cursors": {"after": "a b"}}],
)
def test_a_page_without_a_usable_cursor_is_an_error(paging):
    """What stands behind it may be what is looked for."""
    with pytest.raises(PayloadError):
        cursor_of({"paging": paging})


def test_no_data_proves_nothing():
    """An empty page has data; an answer without it is none."""
    assert [] == nodes_of({"data": []})
    for wrong in ({}, {"data": {}}, {"data": [7]}):
        with pytest.raises(PayloadError):
            nodes_of(wrong)
