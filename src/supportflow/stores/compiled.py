"""Compile, for each class, one function that writes it as JSON and one that reads it back.

They are compiled once, at first use, from the types of the class's fields, as attrs compiles
`__init__`: every commit pays for a snapshot and its events, and this is several times faster
than filling dicts for `json.dumps`. Reading looks at names and types and trusts what writing
checked: no converter or validator runs again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from json.encoder import encode_basestring
from types import MappingProxyType, NoneType, UnionType
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

import attrs

from supportflow.model import Secret

__all__ = ["reader", "writer"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# --- single values: how they are written, and how they are read --------------------------


@lru_cache(4096)  # the same instant stands several times in a snapshot and its events
def _micros(at: datetime) -> str:
    since = at - _EPOCH
    return str((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


@lru_cache(4096)
def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(0, 0, micros)


def _document(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _revealed(value: Mapping[str, Secret]) -> str:
    return _document({name: secret.reveal() for name, secret in value.items()})


def _hidden(value: dict[str, str]) -> Mapping[str, Secret]:
    return MappingProxyType({name: Secret(text) for name, text in value.items()})


def _array(value: Any) -> list[Any]:
    if value.__class__ is not list:
        raise TypeError(f"{type(value).__name__} where a list belongs")
    return value


def _fits(value: Any, length: int) -> bool:
    if len(_array(value)) != length:
        raise ValueError(f"{len(value)} items where {length} belong")
    return True


def _wrong(value: object, field: str) -> NoReturn:
    raise TypeError(f"{field} is {type(value).__name__}")


def _unknown(fields: dict[str, Any], kind: type) -> NoReturn:
    raise LookupError(f"{kind.__name__} has no field {sorted(fields)}")


def _exact(kind: str) -> str:
    return f"({{0}} if {{0}}.__class__ is {kind} else wrong({{0}}, {{1}}))"


#: Source that writes a value and source that reads it: `{0}` is its name, `{1}` its field's.
_Form = tuple[str, str]

_SIMPLE: dict[Any, _Form] = {
    str: ("quote({0})", _exact("str")),
    int: ("whole({0})", _exact("int")),
    bool: ('("true" if {0} else "false")', _exact("bool")),
    float: ("repr(float({0}))", "float({0})"),
    datetime: ("micros({0})", "moment({0})"),
    Decimal: ("quote(str({0}))", "Decimal({0})"),
    frozenset[str]: (
        '"[" + ",".join([quote(item) for item in sorted({0})]) + "]"',
        f"frozenset([{_exact('str').format('item', '{1}')} for item in array({{0}})])",
    ),
    Mapping[str, Any]: ("document({0})", "frozen(dict({0}))"),
    Mapping[str, Secret]: ("revealed({0})", "hidden({0})"),
}

_NAMES: dict[str, Any] = {
    "absent": object(),
    "array": _array,
    "Decimal": Decimal,
    "document": _document,
    "fits": _fits,
    "frozen": MappingProxyType,
    "hidden": _hidden,
    "micros": _micros,
    "moment": _moment,
    "new": object.__new__,
    "putter": object.__setattr__.__get__,
    "quote": encode_basestring,
    "revealed": _revealed,
    "unknown": _unknown,
    "whole": int.__repr__,
    "wrong": _wrong,
}


# --- compiling ---------------------------------------------------------------------------


def _bind(names: dict[str, Any], thing: Any) -> str:
    name = f"_{len(names)}"
    names[name] = thing
    return name


def _form(hint: Any, names: dict[str, Any]) -> _Form:
    """Return the source for one type; what it refers to is added to `names`."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    args = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return _choice(args, names)
    if get_origin(hint) is tuple:
        return _sequence(args, names)
    if issubclass(hint, Enum):
        members = _bind(names, {member.value: member for member in hint})
        return """'"' + {0}._value_ + '"'""", f"{members}[{{0}}]"
    return f"{_bind(names, writer(hint))}({{0}})", f"{_bind(names, reader(hint))}({{0}})"


def _choice(kinds: tuple[Any, ...], names: dict[str, Any]) -> _Form:
    some = tuple(kind for kind in kinds if kind is not NoneType)
    write, read = _form(some[0], names) if len(some) == 1 else _union(some, names)
    if some == kinds:
        return write, read
    return f'("null" if {{0}} is None else {write})', f"(None if {{0}} is None else {read})"


def _union(kinds: tuple[type, ...], names: dict[str, Any]) -> _Form:
    """Write the class's name among the fields, as `is`, which is no field's name."""
    writers = {kind: writer(kind, f'{{"is":"{kind.__name__}"') for kind in kinds}
    readers = {kind.__name__: reader(kind) for kind in kinds}

    def write(value: object) -> str:
        return writers[value.__class__](value)

    def read(fields: dict[str, Any]) -> object:
        return readers[fields.pop("is")](fields)

    return f"{_bind(names, write)}({{0}})", f"{_bind(names, read)}({{0}})"


def _sequence(kinds: tuple[Any, ...], names: dict[str, Any]) -> _Form:
    if kinds[-1] is Ellipsis:
        write, read = (form.format("item", "{1}") for form in _form(kinds[0], names))
        each = f"[{write} for item in {{0}}]"
        return f'"[" + ",".join({each}) + "]"', f"tuple([{read} for item in array({{0}})])"
    forms = [_form(kind, names) for kind in kinds]
    writes = [form[0].format(f"{{0}}[{i}]") for i, form in enumerate(forms)]
    reads = [form[1].format(f"{{0}}[{i}]", "{1}") for i, form in enumerate(forms)]
    listed = f"""'[' + {" + ',' + ".join(writes)} + ']'"""
    return f"({listed})", f"(({', '.join(reads)}) if fits({{0}}, {len(kinds)}) else None)"


def _default(field: attrs.Attribute[Any]) -> Any:
    made = getattr(field.default, "factory", None)  # of attrs.Factory
    value = made() if made else field.default
    return field.converter(value) if callable(field.converter) else value


def _compiled(lines: list[str], kind: type, names: dict[str, Any]) -> Any:
    source = "\n    ".join(lines)
    exec(compile(source, f"<codec of {kind.__name__}>", "exec"), names)  # noqa: S102  our own text: names of fields
    return names["code"]


def _unless_default(default: object, names: dict[str, Any]) -> str:
    if default is None:
        return "x is not None"
    same = _bind(names, default)
    return f"x is not {same} and x != {same}" if default else "x"


@cache
def writer(kind: type, head: str = "") -> Callable[[Any], str]:
    """Return a function that writes instances of a class as JSON objects.

    Fields that hold their default are left out; instants are whole microseconds since 1970.

    Args:
        kind: An attrs class whose fields have types that have a form here.
        head: Another field in front, as the object goes without its closing brace.

    Example:
        >>> from supportflow.model import ChannelState
        >>> writer(ChannelState, '{"v":1')(ChannelState("mastodon"))
        '{"v":1,"channel":"mastodon"}'
    """
    names, hints = dict(_NAMES) | {"head": head}, get_type_hints(kind)
    always, sometimes, fields = [], [], ""
    for place, field in enumerate(attrs.fields(kind)):
        write, _ = _form(hints[field.name], names)
        if field.default is attrs.NOTHING:
            always += [f"x = value.{field.name}", f"t{place} = {write.format('x')}"]
            fields += f',"{field.name}":{{t{place}}}'
        else:
            there = _unless_default(_default(field), names)
            line = f"""if {there}: text += ',"{field.name}":' + {write.format("x")}"""
            sometimes += [f"x = value.{field.name}", line]
    lines = ["def code(value):", *always, f"text = f'{{head}}{fields}'", *sometimes]
    end = "return text + '}'" if head else "return '{' + text[1:] + '}'"
    return _compiled([*lines, end], kind, names)  # type: ignore[no-any-return]


@cache
def reader(kind: type) -> Callable[[Any], Any]:
    """Return a function that makes an instance of a class from a parsed JSON object.

    The function empties the dict that it is given, and raises LookupError, TypeError,
    ValueError, AttributeError or ArithmeticError if the dict is none of `writer`'s.

    Args:
        kind: An attrs class whose fields have types that have a form here.
    """
    names, hints = dict(_NAMES), get_type_hints(kind)
    names["kind"] = kind
    lines = ["def code(fields):", "self = new(kind)", "put = putter(self)", "pop = fields.pop"]
    for field in attrs.fields(kind):
        _, read = _form(hints[field.name], names)
        value = read.format("x", repr(f"{kind.__name__}.{field.name}"))
        if field.default is attrs.NOTHING:
            lines += [f"x = pop('{field.name}')", f"put('{field.name}', {value})"]
        else:
            default = _bind(names, _default(field))
            lines.append(f"x = pop('{field.name}', absent)")
            lines.append(f"put('{field.name}', {default} if x is absent else {value})")
    lines += ["if fields: unknown(fields, kind)", "return self"]
    return _compiled(lines, kind, names)  # type: ignore[no-any-return]
