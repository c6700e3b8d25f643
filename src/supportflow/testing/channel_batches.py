"""Take what a channel's author recorded apart, and put it together wrongly."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import attrs
from hypothesis import strategies as st

from supportflow.testing.channel_cases import PageCase, WebhookCase

__all__ = ["Batch", "Case", "Path", "fields", "mutated", "spoilt"]

Case = WebhookCase | PageCase
#: Where something stands within JSON: keys and indexes, from the outside in.
Path = tuple[str | int, ...]

#: Values of every wrong kind, for one field after the other.
_WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1.5,
    "",
    "\x00\ud800",
    "x" * 5_000,
    "9999-12-31T23:59:59-14:00",
    10**30,
    [],
    [None],
    {},
    {"id": None},
)
#: Texts and numbers that break what was not written for them (RELIABILITY 3, rows 51 and 52).
_HOSTILE: tuple[Any, ...] = (
    "\ud800",
    "\udc00\ud83d",
    "\u202e\u2066\u200b\ufeff",
    "e" + "\u0301" * 500,
    "👨‍👩‍👧‍👦" * 20,
    "\ufdfa" * 50,
    "９９９",
    "٣٠",
    "../../etc/passwd",
    "javascript:alert(1)",
    "<a href='x'><a href=" * 50,
    "&#99999999999;&#xD800;&" * 20,
    "2026-13-45T99:99:99Z",
    "0000-00-00",
    "-9" * 200,
    "1e999",
    "NaN",
    -1,
    2**31,
    2**63,
    -(10**18),
    1e308,
    253402300800,
    [[[[[[[[]]]]]]]],
    [{}] * 50,
    {"": {"": {"": ""}}},
    {"id": "1", "type": "kit", "value": {"id": 1}},
)
_VALUES = st.one_of(st.sampled_from((*_WRONG, *_HOSTILE)), st.text(max_size=12), st.integers())
_HOW = st.sampled_from(("replace", "rename", "exchange", "repeat", "drop", "replace"))


@attrs.frozen
class Batch:
    """Hold a recorded case whose items can be exchanged.

    Args:
        case: The case.
        content: The JSON that holds the items.
    """

    case: Case
    content: Any

    @classmethod
    def every(cls, cases: Sequence[Case]) -> Iterator[Batch]:
        """Yield the cases that say where their items stand.

        Args:
            cases: What was recorded.
        """
        for case in cases:
            if case.items is not None:
                batch = cls(case, json.loads(case.content))
                found = len(batch.items)
                assert found > 1, f"{case.name}: `items` leads to {found} item; record two"
                yield batch

    @property
    def items(self) -> list[Any]:
        """Return the items."""
        content = self.content
        for step in self.case.items or ():
            content = content[step]
        assert isinstance(content, list), f"{self.case.name}: `items` does not lead to a list"
        return content

    def body(self, items: Sequence[Any]) -> bytes:
        """Return the case's body with other items.

        Args:
            items: What stands in their place.
        """
        place = self.items
        kept = [*place]
        place[:] = items
        try:
            return json.dumps(self.content).encode()
        finally:
            place[:] = kept


def fields(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every field and list item within a JSON value.

    Args:
        value: The value.
        path: Where it stands itself.
    """
    if not isinstance(value, dict | list):
        return
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inner:
        yield (*path, key)
        yield from fields(each, (*path, key))


def _place(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def mutated(item: Any, path: Path) -> Iterator[str]:
    """Take one field of an item away, and put every wrong value in its place, in turn.

    The item itself is changed, and is as it was in the end.

    Args:
        item: A JSON value.
        path: The path of the field.

    Yields:
        What is wrong with it now.
    """
    named = ".".join(map(str, path))
    place, last = _place(item, path[:-1]), path[-1]
    kept = place.copy()
    for value in (..., *_WRONG):
        if value is ...:
            del place[last]
        else:
            place[last] = value
        yield f"{named} {'missing' if value is ... else f'{value!r:.30}'}"
        place.clear()
        place.update(kept) if isinstance(place, dict) else place.extend(kept)


@st.composite
def spoilt(draw: st.DrawFn, cases: Sequence[Case]) -> tuple[Case, bytes]:
    """Draw a recorded case and its body with some things wrong: fields, bytes, keys twice.

    Args:
        draw: Draws from a strategy.
        cases: What was recorded.
    """
    case = draw(st.sampled_from([*cases]))
    body = case.content
    try:
        value = json.loads(body)
    except ValueError:
        return case, draw(_bytes(body))
    for _ in range(draw(st.integers(1, 3))):
        places = [*fields(value)][::-1]  # what Hypothesis takes for simple comes first
        if places:
            _change(draw, value, draw(st.sampled_from(places)), places)
    body = json.dumps(value).encode()
    if draw(st.integers(0, 15)) == 11:
        body = body.replace(b"{", b'{"id": 7, "id": "7", ', 1)
    return case, draw(_bytes(body)) if draw(st.integers(0, 15)) == 12 else body


def _change(draw: st.DrawFn, value: Any, path: Path, places: Sequence[Path]) -> None:
    """Change one place of a JSON value in a way that is drawn."""
    place, last, how = _place(value, path[:-1]), path[-1], draw(_HOW)
    if how == "drop":
        del place[last]
    elif how == "repeat":
        place[last] = [deepcopy(place[last]) for _ in range(2)]
    elif how == "exchange":
        place[last] = deepcopy(_place(value, draw(st.sampled_from([*places]))))
    elif how == "rename" and isinstance(place, dict):
        place[draw(st.text(max_size=8))] = place.pop(last)
    else:
        place[last] = deepcopy(draw(_VALUES))


@st.composite
def _bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw a body with some bytes cut out, put in or changed."""
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(start + 8, len(body))))
    return body[:start] + draw(st.binary(max_size=4)) + body[end:]
