"""How a conversation ends: typed outcomes instead of a free-text field (mission M7)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

import attrs

from supportflow.errors import InvalidValue
from supportflow.model.values import aware

__all__ = [
    "OUTCOMES",
    "Answered",
    "Coupon",
    "Declined",
    "Discount",
    "Dismissed",
    "Fixed",
    "Outcome",
    "Refund",
    "Repaired",
    "Replacement",
    "Thanked",
]

_CURRENCY = re.compile(r"[A-Z]{3}\Z")  # ISO 4217 alphabetic codes


def _amount(value: Decimal | str | int) -> Decimal:
    if isinstance(value, float | bool):
        raise InvalidValue(f"amount {value!r} is no decimal; pass a Decimal or a string")
    try:
        amount = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise InvalidValue(f"amount {value!r:.100} is not a decimal number") from None
    digits = len(amount.as_tuple().digits)
    if not amount.is_finite() or amount <= 0 or digits > 18 or abs(amount.adjusted()) > 18:
        raise InvalidValue(f"amount {value!r:.100} must be positive, with at most 18 digits")
    return amount


def _currency(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _CURRENCY.match(value):
        raise InvalidValue(f"currency {value!r} is not an ISO 4217 code such as 'EUR'")


def _said(_: object, field: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue(f"{field.name} is {value!r}; say it in words")


def _items(value: Iterable[str]) -> tuple[str, ...]:
    items = (value,) if isinstance(value, str) else tuple(value)
    if not items:
        raise InvalidValue("a replacement names no items; say what was sent")
    return items


def _expires(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "expires")


@attrs.frozen
class Answered:
    """Say that the answer itself was what the customer needed."""


@attrs.frozen
class Fixed:
    """Say that the cause was put right."""


@attrs.frozen
class Refund:
    """Say that money goes back.

    Args:
        amount: A positive decimal number, as `Decimal` or string.
        currency: An ISO 4217 code.

    Raises:
        InvalidValue: If the amount or currency is not one.

    Example:
        >>> Refund("49.90", "EUR")
        Refund(amount=Decimal('49.90'), currency='EUR')
    """

    amount: Decimal = attrs.field(converter=_amount)
    currency: str = attrs.field(validator=_currency)


@attrs.frozen
class Coupon:
    """Say that the customer got a coupon.

    Args:
        code: What they type in.
        value: What it is worth, in words (for example `"10 EUR"`).
        expires: When it ends, or None.
        single_use: Whether it is meant for one purchase.
    """

    code: str = attrs.field(validator=_said)
    value: str = attrs.field(validator=_said)
    expires: datetime | None = attrs.field(default=None, converter=_expires)
    single_use: bool = True


@attrs.frozen
class Replacement:
    """Say that goods were replaced.

    Args:
        items: What was sent; one item may be a plain string.

    Raises:
        InvalidValue: If there is none.
    """

    items: tuple[str, ...] = attrs.field(converter=_items)


@attrs.frozen
class Repaired:
    """Say that something was repaired.

    Args:
        what: What it was.
    """

    what: str = attrs.field(validator=_said)


@attrs.frozen
class Discount:
    """Say that the customer pays less.

    Args:
        percent: More than 0, at most 100.
        on: On what.
    """

    percent: Decimal = attrs.field(converter=_amount)
    on: str = attrs.field(validator=_said)

    def __attrs_post_init__(self) -> None:
        if self.percent > 100:
            raise InvalidValue(f"a discount of {self.percent} percent is over 100")


@attrs.frozen
class Thanked:
    """Say that praise was thanked for."""


@attrs.frozen
class Declined:
    """Say that we will not do what was asked.

    Args:
        reason: Why, in words that the customer was told.
    """

    reason: str = attrs.field(validator=_said)


@attrs.frozen
class Dismissed:
    """Say that nobody engaged: spam, or confirmed by a person, only taking advantage.

    Args:
        reason: Why.
    """

    reason: str = attrs.field(validator=_said)


Outcome: TypeAlias = (
    Answered
    | Fixed
    | Refund
    | Coupon
    | Replacement
    | Repaired
    | Discount
    | Thanked
    | Declined
    | Dismissed
)
#: Every kind of outcome by its name.
OUTCOMES: dict[str, type[Outcome]] = {
    kind.__name__: kind
    for kind in (
        Answered,
        Fixed,
        Refund,
        Coupon,
        Replacement,
        Repaired,
        Discount,
        Thanked,
        Declined,
        Dismissed,
    )
}
