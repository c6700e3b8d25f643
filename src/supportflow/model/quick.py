"""Make frozen values as fast as mutable ones: for the few that every event needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import attrs

__all__ = ["maker"]

P = ParamSpec("P")
T = TypeVar("T")


def maker(kind: Callable[P, T]) -> Callable[P, T]:
    """Return what makes values of a frozen class several times as fast as the class.

    attrs sets each field of a frozen class through `object.__setattr__`. A twin without that
    guard is filled by plain assignments, and then becomes what it stands for. It is compiled
    from the fields' names, as attrs compiles `__init__`. No converter or validator runs:
    what is passed must be right already.

    Args:
        kind: A frozen attrs class with slots, but without one for weak references, whose
            place in memory would differ.

    Example:
        >>> @attrs.frozen(weakref_slot=False)
        ... class Point:
        ...     x: int
        ...     y: int = 0
        >>> maker(Point)(1)
        Point(x=1, y=0)
    """
    shape: Any = kind
    fields = attrs.fields(shape)
    names: dict[str, Any] = {f"_{field.name}": field.default for field in fields}
    twin = type("twin", (), {"__slots__": [field.name for field in fields]})
    names |= {"__twin": twin, "__kind": kind}
    given = [
        field.name if field.default is attrs.NOTHING else f"{field.name}=_{field.name}"
        for field in fields
    ]
    filled = [f"__made.{field.name} = {field.name}" for field in fields]
    lines = ["__made = __twin()", *filled, "__made.__class__ = __kind", "return __made"]
    source = "\n    ".join([f"def make({', '.join(given)}):", *lines])
    exec(compile(source, f"<maker of {shape.__name__}>", "exec"), names)  # noqa: S102  our own fields' names
    make: Callable[P, T] = names["make"]
    return make
