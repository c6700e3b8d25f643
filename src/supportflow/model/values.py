"""The small words that everything else is said with: secrets, parties, enumerations."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn

import attrs

from supportflow.errors import InvalidValue

__all__ = [
    "AUTOMATIC",
    "NATIVE",
    "Agent",
    "AgentKind",
    "Author",
    "CustomerRef",
    "Intent",
    "Metric",
    "Mood",
    "Secret",
    "State",
    "Step",
    "Visibility",
    "aware",
]


class State(StrEnum):
    """Name where a conversation stands."""

    received = "received"
    acknowledged = "acknowledged"
    apologized = "apologized"
    resolved = "resolved"


class Step(StrEnum):
    """Name what a reply does for its conversation, in the order in which steps are taken."""

    acknowledge = "acknowledge"
    apologize = "apologize"
    resolve = "resolve"


class Visibility(StrEnum):
    """Say who can read a message."""

    public = "public"
    private = "private"


class Intent(StrEnum):
    """Say what a customer's message is."""

    complaint = "complaint"
    question = "question"
    praise = "praise"
    suggestion = "suggestion"
    purchase = "purchase"
    spam = "spam"
    abuse = "abuse"
    other = "other"


class Mood(StrEnum):
    """Say how a customer feels, from calm to furious."""

    calm = "calm"
    uneasy = "uneasy"
    annoyed = "annoyed"
    angry = "angry"
    furious = "furious"


class Metric(StrEnum):
    """Name what an SLA clock measures."""

    first_response = "first_response"
    next_response = "next_response"
    follow_up = "follow_up"
    update = "update"
    resolution = "resolution"
    window = "window"


class AgentKind(StrEnum):
    """Say what kind of agent spoke: a person or a bot through us, somebody in the
    platform's own app (native), or an automatic acknowledgement."""

    person = "person"
    bot = "bot"
    native = "native"
    automatic = "automatic"


class Secret:
    """Hold a secret that never prints, formats, compares early or pickles.

    Args:
        value: The secret text; empty is refused, because nothing can be proved with it.

    Raises:
        InvalidValue: If the value is empty or no string.

    Example:
        >>> Secret("s3cret")
        Secret('…')
        >>> Secret("s3cret").reveal()
        's3cret'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret) -> None:
        plain = value.reveal() if isinstance(value, Secret) else value
        if not isinstance(plain, str) or not plain:
            raise InvalidValue("a secret must be a non-empty string")
        self._value = plain

    def reveal(self) -> str:
        """Return the secret itself; the only way to it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("supportflow.Secret", self._value))

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; make it anew from its source in each process")


@attrs.frozen
class Author:
    """Name who wrote a message.

    Args:
        id: The platform's own id, opaque; never parsed or compared as a number.
        name: What the platform shows.
        handle: How to address them in a text (for example an `acct`), without `@`.
    """

    id: str
    name: str = ""
    handle: str = ""


@attrs.frozen
class CustomerRef:
    """Point at one customer on one channel.

    Args:
        channel: The channel's name.
        id: The customer's id there.
    """

    channel: str
    id: str


@attrs.frozen
class Agent:
    """Name who answers for the shop.

    Args:
        id: The agent's name in your own system.
        kind: What kind of agent it is.
    """

    id: str
    kind: AgentKind = attrs.field(default=AgentKind.person, converter=AgentKind)


#: Somebody who answered in the platform's own app.
NATIVE = Agent("native", AgentKind.native)
#: The library itself, for acknowledgements that nobody wrote.
AUTOMATIC = Agent("automatic", AgentKind.automatic)


def aware(at: datetime, what: str) -> datetime:
    """Return an aware datetime in UTC.

    Args:
        at: Any aware datetime.
        what: What it is, for the error.

    Raises:
        InvalidValue: If it is naive or no datetime.
    """
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidValue(f"{what} is {at!r}; pass an aware datetime, for example in UTC")
    return at if at.tzinfo is UTC else at.astimezone(UTC)
