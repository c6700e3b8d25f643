"""The `fields` parameter of Meta's Graph API: what a reader asks of a node and of its edges.

Source: https://developers.facebook.com/docs/graph-api/guides/field-expansion and
https://developers.facebook.com/docs/graph-api/results.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

import attrs

from supportflow.testing.platforms.meta_graph import GraphError, invalid

MAX_DEPTH = 6
PAGE_SIZE = 25


@attrs.frozen
class Field:
    """One field that a reader asks for, with what it asks of an edge."""

    name: str
    limit: int = PAGE_SIZE
    after: str | None = None
    fields: tuple["Field", ...] = ()

    def __str__(self) -> str:
        nested = f"{{{','.join(map(str, self.fields))}}}" if self.fields else ""
        limit = f".limit({self.limit})" if self.limit != PAGE_SIZE else ""
        after = f".after({self.after})" if self.after else ""
        return f"{self.name}{limit}{after}{nested}"


_LEXEME = re.compile(r"([A-Za-z_]\w*)|(\.limit\([0-9]{1,3}\))|(\.after\([\w=-]{1,200}\))|([{},])")


def parse_fields(text: str) -> tuple[Field, ...]:
    """Read the `fields` parameter, with `{nested}` fields and `.limit(n)` and `.after(cursor)`.

    Args:
        text: the parameter; empty asks for what a node shows by default.

    Raises:
        GraphError: for anything else.

    Example:
        >>> messages = parse_fields("id,messages.limit(5){id,message}")[1]
        >>> messages.limit, [field.name for field in messages.fields]
        (5, ['id', 'message'])
    """
    if not text:
        return ()
    lexemes = [match[0] for match in _LEXEME.finditer(text)]
    if "".join(lexemes) != re.sub(r"\s", "", text):
        raise _syntax(text)
    try:
        fields, end = _read_list(iter([*lexemes, ""]), 0)
    except ValueError:
        raise _syntax(text) from None
    if end:
        raise _syntax(text)
    return fields


def _read_list(rest: Iterator[str], depth: int) -> tuple[tuple[Field, ...], str]:
    """Read fields up to a closing brace or the end, and return which of the two it was."""
    if depth > MAX_DEPTH:
        raise ValueError(depth)
    found: list[Field] = []
    end = ","
    while end == ",":
        field, end = _read_field(rest, depth)
        found.append(field)
    if end not in {"", "}"}:
        raise ValueError(end)
    return tuple(found), end


def _read_field(rest: Iterator[str], depth: int) -> tuple[Field, str]:
    """Read one field, and return what comes after it."""
    name = next(rest)
    if not name.isidentifier():
        raise ValueError(name)
    limit, after = PAGE_SIZE, None
    nested: tuple[Field, ...] = ()
    following = next(rest)
    while following.startswith("."):
        modifier, value = following[1:-1].split("(")
        limit, after = (int(value), after) if modifier == "limit" else (limit, value)
        following = next(rest)
    if following == "{":
        nested, brace = _read_list(rest, depth + 1)
        if not brace:
            raise ValueError(brace)
        following = next(rest)
    return Field(name, limit, after, nested), following


def _syntax(text: str) -> GraphError:
    return GraphError(2500, f"Syntax error in the field list: {text[:80]!r}")


Node = Mapping[str, object]


@attrs.frozen
class NodeType:
    """A type of node: its name in errors, and the fields it shows when none are asked for."""

    name: str
    shown: tuple[str, ...]

    def select(self, node: Node, fields: Sequence[Field]) -> dict[str, object]:
        """Return the fields asked for of one node; `id` always, as the Graph API does.

        Args:
            node: its values by name; an edge is a function of the field, None is not shown.
            fields: what is asked for.

        Raises:
            GraphError: for a field that the node does not have.
        """
        found: dict[str, object] = {}
        for field in fields or [Field(name) for name in self.shown]:
            if field.name not in node:
                raise invalid(
                    f"Tried accessing nonexisting field ({field.name}) on node type ({self.name})"
                )
            value = node[field.name]
            found[field.name] = value(field) if callable(value) else value
        shown = {name: value for name, value in found.items() if value is not None}
        return {**shown, "id": node["id"]}

    def page(self, nodes: Sequence[Node], field: Field, url: str) -> dict[str, object]:
        """Return one page of an edge of such nodes.

        Args:
            nodes: all that the edge holds, in its order.
            field: what is asked for: nested fields, `limit` and `after`.
            url: the edge's own address, for `next`; that carries no token, unlike Meta's.

        Raises:
            GraphError: for a cursor that is none of this edge, or a limit of 0.
        """
        start = 0
        if field.after is not None:
            cursors = [_cursor(node) for node in nodes]
            if field.after not in cursors:
                raise invalid("Invalid cursor")
            start = cursors.index(field.after) + 1
        if not field.limit:
            raise invalid("Param limit must be at least 1")
        shown = nodes[start : start + field.limit]
        found: dict[str, object] = {"data": [self.select(node, field.fields) for node in shown]}
        if shown:
            after = _cursor(shown[-1])
            paging: dict[str, object] = {"cursors": {"before": _cursor(shown[0]), "after": after}}
            if start + len(shown) < len(nodes):
                asked: dict[str, object] = {"limit": field.limit, "after": after}
                if field.fields:
                    asked["fields"] = ",".join(map(str, field.fields))
                paging["next"] = f"{url}?{urlencode(asked)}"
            found["paging"] = paging
        return found


def _cursor(node: Node) -> str:
    return base64.urlsafe_b64encode(str(node["id"]).encode()).decode()
