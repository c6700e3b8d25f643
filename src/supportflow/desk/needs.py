"""Say what a page of facts needs from the store, and what names each fact's record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from supportflow.model import (
    Fact,
    Inbound,
    Message,
    MessageKey,
    Outbound,
    Reaction,
    StatusReport,
    Visibility,
    parse_conversation_id,
)
from supportflow.stores import ThreadHead, Wanted

__all__ = ["answers_among", "arrivals_of", "first_needs", "key_of", "later_needs", "parent_of"]

_WORDS = (Inbound, Outbound)


def key_of(fact: Fact) -> MessageKey:
    """Return what makes a fact's record unique.

    Args:
        fact: Any fact.
    """
    if isinstance(fact, _WORDS):
        return fact.message.key
    if isinstance(fact, Reaction):
        moment = fact.at.isoformat()
        return (fact.channel, "reaction", f"{fact.kind}:{fact.id}:{fact.author.id}:{moment}")
    if isinstance(fact, StatusReport):
        return (fact.channel, "report", f"{fact.id}:{fact.status}")
    return fact.key


def arrivals_of(failure: StatusReport) -> tuple[MessageKey, ...]:
    """Return the keys of the reports that contradict a failure: it had arrived before.

    Args:
        failure: A report that a message of ours failed.
    """
    channel, kind = failure.channel, "report"
    return tuple((channel, kind, f"{failure.id}:{status}") for status in ("delivered", "read"))


def parent_of(message: Message) -> MessageKey:
    """Return the key of the message that one answers; ids are of one kind in a thread.

    Args:
        message: An answer.
    """
    return (message.channel, message.kind, message.parent or "")


def answers_among(facts: Iterable[Fact]) -> list[Inbound | Outbound]:
    """Return the words whose thread is only known by what they answer.

    Args:
        facts: Any facts.
    """
    return [f for f in facts if isinstance(f, _WORDS) and f.message.parent and not f.message.thread]


def first_needs(channel: str, facts: Sequence[Fact]) -> Wanted:
    """Return what a page needs, as far as it is known before anything is loaded.

    Args:
        channel: The channel of the page.
        facts: Its facts.
    """
    words = [fact for fact in facts if isinstance(fact, _WORDS)]
    clear = [fact for fact in words if fact.message.thread or not fact.message.parent]
    own = [fact.message.key for fact in words]
    keys = dict.fromkeys(own)
    keys.update(dict.fromkeys(key_of(fact) for fact in facts if not isinstance(fact, _WORDS)))
    failures = (f for f in facts if isinstance(f, StatusReport) and f.status == "failed")
    keys.update(dict.fromkeys(key for failure in failures for key in arrivals_of(failure)))
    keys.update(dict.fromkeys(parent_of(fact.message) for fact in words if fact.message.parent))
    keys.update(dict.fromkeys(fact.key for fact in facts if isinstance(fact, Reaction)))
    marks = (f.mark for f in facts if isinstance(f, Outbound | StatusReport) and f.mark)
    return Wanted(
        heads=_heads(channel, ((f, f.message.thread or f.message.id) for f in clear)),
        threads=tuple(dict.fromkeys(_roots(channel, clear))),
        messages=tuple(keys),
        orphans=tuple(own),
        marks=tuple(dict.fromkeys(marks)),
        remotes=tuple(dict.fromkeys(_remotes(facts))),
    )


def later_needs(
    channel: str,
    answers: Sequence[Inbound | Outbound],
    about: Callable[[MessageKey], str | None],
) -> Wanted:
    """Return what answers need whose thread the platform does not name.

    Args:
        channel: The channel of the page.
        answers: These answers.
        about: Returns the id of the conversation that a known message is in.
    """
    placed: list[tuple[Inbound | Outbound, str]] = []
    conversations: dict[str, None] = {}
    for fact in answers:
        known = about(parent_of(fact.message))
        if known is not None:
            conversations[known] = None
        thread = parse_conversation_id(known)[1] if known else fact.message.parent or ""
        # An answer to it that came early has opened a thread under its own id.
        placed += ((fact, thread), (fact, fact.message.id))
    return Wanted(
        conversations=tuple(conversations),
        heads=_heads(channel, placed),
        threads=tuple(dict.fromkeys((channel, thread) for _, thread in placed)),
    )


def _heads(
    channel: str, placed: Iterable[tuple[Inbound | Outbound, str]]
) -> tuple[ThreadHead, ...]:
    """Return whose conversations words in threads belong to, where that is said."""
    heads: dict[ThreadHead, None] = {}
    for fact, thread in placed:
        customer = fact.message.author.id if isinstance(fact, Inbound) else fact.customer
        if customer:
            heads[channel, thread, customer] = None
    return tuple(heads)


def _roots(channel: str, words: Sequence[Inbound | Outbound]) -> Iterator[tuple[str, str]]:
    """Yield the public threads that may turn out to have begun with somebody's answer."""
    for fact in words:
        message = fact.message
        public = isinstance(fact, Inbound) and message.visibility is Visibility.public
        if public and (message.parent or not message.thread):
            yield channel, message.thread or message.id


def _remotes(facts: Sequence[Fact]) -> Iterator[tuple[str, str]]:
    """Yield platform ids that may be those of replies of ours."""
    for fact in facts:
        if isinstance(fact, _WORDS):
            message = fact.message
            if isinstance(fact, Outbound):
                yield message.channel, message.id
            if message.parent and not message.thread:
                yield message.channel, message.parent
        else:
            yield fact.channel, fact.id
