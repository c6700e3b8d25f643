"""The small words that everything else is said with: secrets, parties, enumerations."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn, TypeVar

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
    "member",
    "steps_of",
    "strings",
]

E = TypeVar("E", bound=StrEnum)


def member(kind: type[E], value: str, what: str) -> E:
    """Return the member of an enumeration that a text names.

    Args:
        kind: The enumeration.
        value: The text, or a member.
        what: What it is, for the error.

    Raises:
        InvalidValue: If it names none; the error lists them.
    """
    if value.__class__ is kind:
        return value
    try:
        return kind(value)
    except ValueError:
        raise InvalidValue(f"{what} is {value!r:.100}; it is one of {', '.join(kind)}") from None


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


def strings(value: Iterable[str]) -> tuple[str, ...]:
    """Return a tuple of strings.

    Args:
        value: Strings; not one string, whose letters would be taken for them.

    Raises:
        InvalidValue: If it is one string.
    """
    if isinstance(value, str):
        raise InvalidValue(f"{value!r:.100} stands where a list belongs; pass [{value!r:.100}]")
    return tuple(value)


def steps_of(value: Iterable[str]) -> tuple[Step, ...]:
    """Return steps once each, in the order in which they are taken.

    Args:
        value: Steps, or their names.

    Raises:
        InvalidValue: If one is unknown, or a string stands where a list belongs.
    """
    taken = {member(Step, v, "a step") for v in strings(value)}
    return tuple(step for step in Step if step in taken)


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
    """Say what kind of agent spoke.

    A person or a bot through us, somebody in the platform's own app (native), or an
    automatic acknowledgement.
    """

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
        mine, theirs = (s.reveal().encode("utf-8", "surrogatepass") for s in (self, other))
        return hmac.compare_digest(mine, theirs)

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


def _agent_kind(value: str) -> AgentKind:
    return member(AgentKind, value, "kind")


@attrs.frozen
class Agent:
    """Name who answers for the shop.

    Args:
        id: The agent's name in your own system.
        kind: What kind of agent it is.

    Raises:
        InvalidValue: If the kind is unknown.
    """

    id: str
    kind: AgentKind = attrs.field(default=AgentKind.person, converter=_agent_kind)


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
