"""Nothing is said that is not checked: single claims, and an audit of everything at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import attrs

__all__ = ["Book", "Check", "Posted", "Sent", "Truth", "audit"]


@attrs.frozen
class Check:
    """Hold one claim of the story.

    Args:
        claim: In words.
        expected: What it says.
        actual: What the store or the platform says.
    """

    claim: str
    expected: object
    actual: object

    @property
    def held(self) -> bool:
        """Return whether it is so."""
        return self.expected == self.actual

    def __str__(self) -> str:
        return f"{self.claim}: expected {self.expected!r}, found {self.actual!r}"


@attrs.define
class Book:
    """Count the checks that held, and keep those that did not.

    Args:
        tell: Is told of each that does not hold.
    """

    tell: Callable[[Check], None]
    held: int = 0
    broken: list[Check] = attrs.field(factory=list)

    def enter(self, *checks: Check) -> None:
        """Enter checks, and tell of those that do not hold.

        Args:
            checks: The checks.
        """
        for check in checks:
            if check.held:
                self.held += 1
            else:
                self.broken.append(check)
                self.tell(check)

    def __str__(self) -> str:
        if self.broken:
            return f"{len(self.broken)} of {self.held + len(self.broken)} checks did not hold"
        return f"{self.held} checks held"


@attrs.frozen
class Posted:
    """Hold what a platform accepted from the shop.

    Args:
        network: The platform.
        customer: Whom it is for, by their name in the story.
        id: The platform's id.
        text: The words.
        at: When, as `09:07`.
        parent: The id of the message that it answers, where the network knows threads.
        public: Whether everybody can read it.
        tag: The message tag that it was sent under.
    """

    network: str
    customer: str
    id: str
    text: str
    at: str
    parent: str | None = None
    public: bool = False
    tag: str | None = None


@attrs.frozen
class Sent:
    """Hold a row of the outbox.

    Args:
        network: The channel.
        customer: Whom it is for.
        text: The words.
        state: Where it stands.
        id: The platform's id of it, as the store knows it.
        public: Whether it was to be public.
    """

    network: str
    customer: str
    text: str
    state: str
    id: str | None
    public: bool


@attrs.frozen
class Truth:
    """Hold what the platforms and the store say when the story ends.

    Args:
        posted: What the platforms accepted from the shop.
        sent: The store's outbox.
        written: (network, id) of what customers wrote, by the platforms.
        recorded: (network, id) of customers' messages, by the store.
        languages: The language of each customer, by name.
        waiting: Who waits for an answer.
        quarantined: How many items nobody can read.
        errors: What the desk logged as an error.
    """

    posted: tuple[Posted, ...]
    sent: tuple[Sent, ...]
    written: tuple[tuple[str, str], ...]
    recorded: tuple[tuple[str, str], ...]
    languages: dict[str, str]
    waiting: tuple[str, ...]
    quarantined: int
    errors: tuple[str, ...]


def audit(truth: Truth, language_of: Callable[[str], str]) -> Iterator[Check]:
    """Compare, at the end and as a whole, what the store says with what the platforms have.

    Args:
        truth: Both.
        language_of: Tells the language of a text.
    """
    yield Check(
        "every customer's message is recorded, once",
        _sorted(truth.written),
        _sorted(truth.recorded),
    )
    rows = [(row.network, row.customer, row.id, row.public) for row in truth.sent]
    posts = [(post.network, post.customer, post.id, post.public) for post in truth.posted]
    yield Check("the outbox and the platforms hold the same replies", _sorted(rows), _sorted(posts))
    yield Check("every reply is sent", {"sent"}, {row.state for row in truth.sent})
    said = Counter((post.network, post.customer, post.text) for post in truth.posted)
    yield Check(
        "nobody was told the same twice", [], [key for key, times in said.items() if times > 1]
    )
    for post in truth.posted:
        spoken = language_of(post.text.removeprefix(f"@{post.customer.lower()} "))
        claim = f"{post.customer} is answered in their language at {post.at}"
        yield Check(claim, truth.languages[post.customer], spoken)
    yield Check("nobody waits for an answer", (), truth.waiting)
    yield Check("nothing is left in quarantine", 0, truth.quarantined)
    yield Check("the desk logged no error", (), truth.errors)


def _sorted(items: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(items, key=repr)
