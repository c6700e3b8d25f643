"""Contract of stores: what searches found is kept once, counted by day, and apart from the rest."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from datetime import date

import attrs
import pytest

from supportflow.errors import InvalidValue
from supportflow.model import Author, CustomerRef, Message
from supportflow.stores import Mention, MentionCount, MentionCounts, Mentions, Store, Wanted
from supportflow.testing.store_samples import CHANNEL, at, batch, said

__all__ = ["MentionContract"]

_DAY = 24 * 60


def _mention(
    name: str, minute: float = 0, query: str = "kettle", who: str = "ola", channel: str = CHANNEL
) -> Mention:
    message = Message(channel, "status", name, Author(who), f"My kettle {name}", at(minute))
    return Mention(query, attrs.evolve(message, language="en", permalink="https://example.com/1"))


def _ids(store: Store, query: Mentions) -> list[str]:
    return [mention.message.id for mention in store.find(query).mentions]


class MentionContract:
    """Prove what a store does with what people say of us elsewhere."""

    def test_a_mention_is_kept_once(self, store: Store) -> None:
        """A search brings the same again and again; what is there stays as it is, without raw."""
        first = _mention("1")
        seen = attrs.evolve(first, message=attrs.evolve(first.message, raw="{}"))
        again = attrs.evolve(first, message=attrs.evolve(first.message, text="changed"))
        store.commit(batch(mentions=(seen, _mention("2", 1))))
        store.commit(batch(mentions=(again, _mention("1", query="teapot"))))
        assert (first, _mention("2", 1)) == store.find(Mentions("kettle")).mentions
        assert _ids(store, Mentions("teapot")) == ["1"]

    def test_what_was_addressed_to_us_is_no_mention(self, store: Store) -> None:
        """It is answered in its conversation, whichever of the two was recorded first."""
        store.commit(batch(mentions=(_mention("1"), _mention("2"))))
        tagged = [said(name, None) for name in ("1", "3")]
        store.commit(batch(messages=tuple(tagged)))
        store.commit(batch(mentions=(_mention("3"),)))
        kinds = {stored.message.kind for stored in tagged}
        assert {_mention("1").message.kind} == kinds, "the samples' kinds have drifted apart"
        assert _ids(store, Mentions()) == ["2"]
        assert sum(count.count for count in store.find(MentionCounts()).counts) == 1

    def test_mentions_are_found_by_what_where_who_and_when(self, store: Store) -> None:
        """Oldest first, and page by page."""
        store.commit(
            batch(
                mentions=(
                    _mention("3", 30),
                    _mention("1", 10, who="ben"),
                    _mention("2", 20, channel="other"),
                )
            )
        )
        assert _ids(store, Mentions()) == ["1", "2", "3"]
        assert _ids(store, Mentions(channel=CHANNEL)) == ["1", "3"]
        assert _ids(store, Mentions(customer=CustomerRef(CHANNEL, "ben"))) == ["1"]
        assert _ids(store, Mentions(customer=CustomerRef("other", "ben"))) == []
        assert _ids(store, Mentions(since=at(20))) == ["2", "3"]
        assert _ids(store, Mentions(until=at(20))) == ["1"]
        page = store.find(Mentions(limit=2))
        assert _ids(store, Mentions(limit=2, after=page.after)) == ["3"]
        with pytest.raises(InvalidValue):
            store.find(Mentions(limit=0))

    def test_mentions_are_counted_by_day(self, store: Store) -> None:
        """By query, channel and day in UTC, in this order."""
        store.commit(
            batch(
                mentions=(
                    *(_mention(str(number), number) for number in range(3)),
                    _mention("4", _DAY),
                    _mention("5", 0, "anvil", channel="other"),
                )
            )
        )
        first, second = date(2026, 3, 2), date(2026, 3, 3)
        expected = (
            MentionCount("anvil", "other", first, 1),
            MentionCount("kettle", CHANNEL, first, 3),
            MentionCount("kettle", CHANNEL, second, 1),
        )
        assert expected == store.find(MentionCounts()).counts
        assert expected[2:] == store.find(MentionCounts(since=at(_DAY))).counts
        assert expected[:2] == store.find(MentionCounts(until=at(_DAY))).counts

    def test_an_erased_persons_mentions_are_gone_for_ever(self, store: Store) -> None:
        """Others' stay; whoever finds them again is told that they were erased."""
        store.commit(batch(mentions=(_mention("1"), _mention("2", who="ben"))))
        store.erase(CustomerRef(CHANNEL, "ola"))
        assert _ids(store, Mentions()) == ["2"]
        key = _mention("1").message.key
        assert {key} == store.load(Wanted(messages=(key,))).erased
