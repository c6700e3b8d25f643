"""The `fields` parameter: what may be asked, and pages that show everything once."""

from string import ascii_letters, ascii_lowercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.testing.platforms.meta_fields import Field, NodeType, parse_fields
from supportflow.testing.platforms.meta_graph import GraphError

LETTER = NodeType("Letter", ("id",))
names = st.text(ascii_lowercase + "_", min_size=1, max_size=8)
cursors = st.none() | st.text(ascii_letters + digits + "_=-", min_size=1, max_size=20)


def nested(depth: int) -> st.SearchStrategy[Field]:
    """Return fields within fields, so deep at most."""
    inner = st.lists(nested(depth - 1), max_size=2).map(tuple) if depth else st.just(())
    return st.builds(Field, names, st.integers(0, 999), cursors, inner)


asked_fields = nested(2)


@given(st.lists(asked_fields, min_size=1, max_size=2).map(tuple))
def test_what_is_written_is_read_again(fields):
    """Any list of fields, nested and paged, reads back as it was written."""
    assert fields == parse_fields(",".join(map(str, fields)))


def test_an_empty_list_asks_for_nothing():
    """Without the parameter a node shows its default fields."""
    assert () == parse_fields("")


def test_space_between_fields_means_nothing():
    """People write a space or a line after the comma."""
    assert parse_fields("id,name{id,to}") == parse_fields("id, name {\n id, to }")


BROKEN = """, id, ,id id,,name {id} id} id{ id{} id{name id{name}} id{name}to id.limit(5 id.limit()
id.limit(-1) id.limit(1000) id.order(x) 1 id;name id.after() \x00 é a{b{c{d{e{f{g{h}}}}}}}"""


@pytest.mark.parametrize("text", [*BROKEN.split(), "id name{", "\ud800", "{" * 5_000])
def test_anything_else_is_a_syntax_error(text):
    """Malformed, too deep or unknown: code 2500, as for any path that cannot be read."""
    with pytest.raises(GraphError, match="Syntax error") as raised:
        parse_fields(text)
    assert raised.value.code == 2500


@given(st.text(max_size=60) | st.text("id,.{}()limt5", max_size=30))
def test_no_text_breaks_the_reader(text):
    """Whatever is asked for, it is read or refused."""
    try:
        fields = parse_fields(text)
    except GraphError:
        return
    assert all(field.name.isidentifier() for field in fields)


def test_a_node_shows_its_defaults_and_always_its_id():
    """Asked for nothing it shows its defaults; asked for one field, that and the id."""
    node = {"id": "a", "name": "Ada", "mood": None}
    kind = NodeType("Person", ("id", "name"))
    assert {"id": "a", "name": "Ada"} == kind.select(node, ())
    assert {"id": "a"} == kind.select(node, parse_fields("mood"))
    assert {"name", "id"} == set(kind.select(node, parse_fields("name")))


def test_an_unknown_field_is_refused_by_name():
    """A field that the node does not have is an error, not a silent gap."""
    with pytest.raises(GraphError, match=r"nonexisting field \(metadata\).*\(Letter\)"):
        LETTER.select({"id": "a"}, parse_fields("metadata"))


def walk(nodes: list[dict[str, object]], limit: int) -> list[object]:
    """Read an edge page by page, as a client would."""
    found: list[object] = []
    after = None
    while True:
        page = LETTER.page(nodes, Field("letters", limit, after), "https://graph.example/x")
        found += [node["id"] for node in page["data"]]
        if "next" not in page.get("paging", {}):
            return found
        after = page["paging"]["cursors"]["after"]


@given(st.integers(0, 30), st.integers(1, 12))
def test_pages_show_every_node_once_and_in_order(count, limit):
    """However long the pages, following `after` shows all, none twice."""
    nodes = [{"id": f"n{number}"} for number in range(count)]
    assert [node["id"] for node in nodes] == walk(nodes, limit)


def test_the_next_address_repeats_what_was_asked():
    """`next` carries limit, cursor and fields, and no token."""
    field = parse_fields("letters.limit(1){id}")[0]
    page = LETTER.page([{"id": "a"}, {"id": "b"}], field, "https://graph.example/x")
    assert "https://graph.example/x?limit=1&after=YQ%3D%3D&fields=id" == page["paging"]["next"]


@pytest.mark.parametrize("field", [Field("x", 0), Field("x", 5, "bm9uZQ=="), Field("x", 5, "???")])
def test_a_page_needs_a_limit_and_a_cursor_of_its_own(field):
    """A limit of nothing and a cursor from elsewhere are refused."""
    with pytest.raises(GraphError):
        LETTER.page([{"id": "a"}], field, "https://graph.example/x")
