"""The part of a channel's contract about what its facts say: who, of which message, and once."""
# ruff: noqa: S101, SIM300  a contract is made of asserts, `expected == actual`

from __future__ import annotations

from collections.abc import Iterator, Sequence

from supportflow.channels import Channel, Polls, Receives, Reconcile
from supportflow.model import (
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Reaction,
    Receipt,
    Removal,
    StatusReport,
)
from supportflow.testing.channel_batches import Case
from supportflow.testing.channel_cases import PageCase, SendCase, WebhookCase
from supportflow.testing.channel_inbound import Read

__all__ = ["FactsContract"]

#: What a platform may tell beside new words: the facts of it, and what a key of
#: `traits.unsupported` has in it where the platform does not tell.
_TELLS: dict[str, tuple[tuple[type, ...], tuple[str, ...]]] = {
    "edits": ((Edit,), ("edit",)),
    "deletions": ((Removal,), ("delet", "remov", "hid")),
    "echoes": ((Outbound, StatusReport), ("echo", "own posts", "native")),
}


def _facts(cases: Sequence[Case], kind: type = object) -> Iterator[Fact]:
    return (fact for case in cases if isinstance(case, kind) for fact in case.facts)


def _messages(facts: Iterator[Fact]) -> list[Message]:
    return [fact.message for fact in facts if isinstance(fact, Inbound | Outbound)]


def _channel(fact: Fact) -> str:
    return fact.message.channel if isinstance(fact, Inbound | Outbound) else fact.channel


class FactsContract:
    """Prove that recorded facts can be told apart, joined and believed."""

    def test_facts_name_the_channel(
        self, channel: Channel, read: Read, inbound_cases: Sequence[Case]
    ) -> None:
        """A fact of another channel's name would be quarantined."""
        for case in inbound_cases:
            assert {channel.name} >= {_channel(fact) for fact in read(case).facts}, case.name

    def test_what_the_platform_tells_is_recorded(
        self, channel: Channel, inbound_cases: Sequence[Case]
    ) -> None:
        """Edits, deletions and our own posts are shown, or declared as what it never tells."""
        traits = channel.traits
        told = {type(fact) for fact in _facts(inbound_cases)}
        for what, (facts, words) in _TELLS.items() if traits.inbound else ():
            declared = any(word in key for key in traits.unsupported for word in words)
            names = " or ".join(fact.__name__ for fact in facts)
            assert declared or told & {*facts}, (
                f"`inbound_cases` shows no {what} ({names}): record one, or say in "
                f"traits.unsupported[{what!r}] that the platform tells of none, and what to do"
            )

    def test_we_are_never_our_own_customer(self, inbound_cases: Sequence[Case]) -> None:
        """What our own account posted is an `Outbound`: as an `Inbound` we would answer ourselves."""
        facts = [*_facts(inbound_cases)]
        ours = {fact.message.author.id for fact in facts if isinstance(fact, Outbound)}
        theirs = {fact.message.author.id for fact in facts if isinstance(fact, Inbound)}
        both = sorted(ours & theirs)
        assert [] == both, f"{both} is the author of an Inbound and of an Outbound"

    def test_an_echo_is_known_for_ours(
        self, channel: Channel, inbound_cases: Sequence[Case], send_cases: Sequence[SendCase]
    ) -> None:
        """Where sends are cleared up by echo, a recorded echo bears the mark or id of a recorded send."""
        if channel.traits.reconcile is not Reconcile.echo:
            return
        marks = {case.message.mark for case in send_cases}
        ids = {case.outcome.id for case in send_cases if isinstance(case.outcome, Receipt)}
        known = [
            fact
            for fact in _facts(inbound_cases)
            if isinstance(fact, Outbound | StatusReport)
            if fact.mark in marks
            or (fact.message.id if isinstance(fact, Outbound) else fact.id) in ids
        ]
        assert known, (
            "reconcile='echo': give `inbound_cases` the echo of one of `send_cases`, with its "
            "mark (or the id of its receipt)"
        )

    def test_facts_are_about_messages_that_there_are(self, inbound_cases: Sequence[Case]) -> None:
        """An edit, a removal or a reaction has the kind of a message: else it finds none."""
        kinds = {message.kind for message in _messages(_facts(inbound_cases))}
        for fact in _facts(inbound_cases):
            if isinstance(fact, Edit | Removal | Reaction) and kinds:
                assert fact.kind in kinds, f"{fact!r:.200}: messages are of kind {sorted(kinds)}"

    def test_a_message_has_one_key_whichever_way_it_comes(
        self, channel: Channel, inbound_cases: Sequence[Case]
    ) -> None:
        """Told by webhook and by poll, a message is recorded once (RELIABILITY 3, row 3)."""
        if not (isinstance(channel, Polls) and isinstance(channel, Receives)):
            return
        polled, called = (
            {message.key: message for message in _messages(_facts(inbound_cases, kind))}
            for kind in (PageCase, WebhookCase)
        )
        both = polled.keys() & called.keys()
        assert both, (
            "record one message as it comes by webhook and by poll; no key is in both: "
            f"{sorted(called)} and {sorted(polled)}"
        )
        for key in both:
            one, other = polled[key], called[key]
            same = one.author.id == other.author.id and one.visibility == other.visibility
            assert same, f"{key}: {one!r} by poll and {other!r} by webhook"
            places = one.thread or one.parent, other.thread or other.parent
            assert places[0] == places[1], f"{key}: in {places[0]!r} by poll, else {places[1]!r}"
