"""Contract of stores: messages, in whatever order they, their edits and their removals arrive."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

import attrs
import pytest

from supportflow.errors import Conflict
from supportflow.model import RemovedBy
from supportflow.stores import Direction, Messages, Outbox, Removed, Store, Wanted
from supportflow.testing.store_samples import (
    CHANNEL,
    START,
    at,
    batch,
    continued,
    opened,
    posting,
    said,
    sent,
)

__all__ = ["MessageContract"]

KEY = (CHANNEL, "status", "1")


class MessageContract:
    """Prove what holds for messages and for what programs read before they decide."""

    def test_what_is_not_there_is_absent(self, store: Store) -> None:
        """A load of what nobody wrote finds nothing, and makes nothing."""
        wanted = Wanted(
            conversations=("a/b/c#0", "nonsense"),
            heads=(("a", "b", "c"),),
            threads=(("a", "b"),),
            messages=(KEY,),
            orphans=(KEY,),
            once=("a",),
            rows=("a",),
            replies=("a",),
            marks=("a",),
            remotes=((CHANNEL, "a"),),
            channels=("a",),
            skeletons=("a",),
        )
        loaded = store.load(wanted)
        assert [frozenset() if f == "erased" else {} for f in attrs.asdict(loaded)] == [
            *attrs.asdict(loaded, recurse=False).values()
        ]

    def test_heads_are_the_newest(self, store: Store) -> None:
        """Of one customer's conversations in one thread, the highest number is found."""
        numbers = [opened(number=number, minute=number) for number in (0, 1, 2, 9, 10)]
        for written in numbers:
            store.commit(batch(written))
        other = opened("kari")
        store.commit(batch(other))
        head = (CHANNEL, "109", "ola@example.social")
        kari = (CHANNEL, "109", "kari")
        assert {head: numbers[-1].after, kari: other.after} == store.load(
            Wanted(heads=(head, kari, (CHANNEL, "109", "nobody")))
        ).heads

    def test_a_thread_begins_with_its_first_conversation(self, store: Store) -> None:
        """Whoever wrote there later, a thread is known by the conversation written first."""
        first, second = opened("ola", minute=9), opened("kari", minute=1)
        near = opened("per", thread="1090"), opened("per", thread="10")
        store.commit(batch(first))
        store.commit(batch(second, *near))
        store.commit(batch(continued(first.after), opened("ola", number=1)))
        loaded = store.load(Wanted(threads=((CHANNEL, "109"), (CHANNEL, "1"))))
        assert {(CHANNEL, "109"): first.after.id} == {k: c.id for k, c in loaded.threads.items()}

    def test_ids_may_hold_any_character(self, store: Store) -> None:
        """Percent-encoding keeps apart what separators in ids would mix up."""
        written = [
            opened(c, t) for c, t in (("a/b", "c"), ("b", "c/a"), ("a%2Fb", "c"), ("a#1", "c"))
        ]
        store.commit(batch(*written))
        for one in written:
            c = one.after
            loaded = store.load(
                Wanted(conversations=(c.id,), heads=((c.channel, c.thread, c.customer),))
            )
            assert {c.id: c} == loaded.conversations
            assert [c] == [*loaded.heads.values()]

    def test_revisions_come_with_their_message(self, store: Store) -> None:
        """All revisions are loaded in the order in which they came, also before the message."""
        first = opened()
        early = said("1", first.after, text="Where is it??", revision="r1", minute=1)
        store.commit(batch(first, messages=(early,)))
        loaded = store.load(Wanted(messages=(KEY,)))
        assert ({}, {KEY: (early,)}) == (loaded.messages, loaded.revisions)
        message = said("1", first.after)
        late = said("1", first.after, text="Where is it???", revision="r0", minute=2)
        store.commit(batch(messages=(message, late)))
        loaded = store.load(Wanted(messages=(KEY,)))
        assert {KEY: message} == loaded.messages
        assert {KEY: (early, late)} == loaded.revisions

    def test_a_removal_marks_the_message(self, store: Store) -> None:
        """A removed message stays readable, with who removed it and when."""
        first = opened()
        message, edit = said("1", first.after), said("1", first.after, revision="r1")
        store.commit(batch(first, messages=(message, edit)))
        store.commit(batch(removed=(Removed(KEY, at(3), RemovedBy.platform, hidden=True),)))
        expected = attrs.evolve(
            message, removed_at=at(3), removed_by=RemovedBy.platform, hidden=True
        )
        loaded = store.load(Wanted(messages=(KEY,)))
        assert {KEY: expected} == loaded.messages
        assert loaded.removed == {}
        store.commit(batch(removed=(Removed(KEY, at(4), RemovedBy.author),)))
        expected = attrs.evolve(message, removed_at=at(4), removed_by=RemovedBy.author)
        assert {KEY: expected} == store.load(Wanted(messages=(KEY,))).messages

    def test_a_removal_may_come_first(self, store: Store) -> None:
        """The removal of an unknown message is remembered, and applied when the message comes."""
        removed = Removed(KEY, at(3), RemovedBy.author)
        store.commit(batch(removed=(removed,)))
        loaded = store.load(Wanted(messages=(KEY,)))
        assert ({}, {KEY: removed}) == (loaded.messages, loaded.removed)
        first = opened()
        message = said("1", first.after)
        store.commit(batch(first, messages=(said("1", first.after, revision="r1"),)))
        assert {KEY: removed} == store.load(Wanted(messages=(KEY,))).removed
        store.commit(batch(messages=(message,)))
        loaded = store.load(Wanted(messages=(KEY,)))
        expected = attrs.evolve(message, removed_at=at(3), removed_by=RemovedBy.author)
        assert ({KEY: expected}, {}) == (loaded.messages, loaded.removed)

    def test_answers_wait_for_their_question(self, store: Store) -> None:
        """An answer without a conversation is found by what it answers, until it is adopted."""
        first = opened()
        late = said("3", None, parent="1", direction=Direction.outbound, minute=3)
        early = said("2", None, parent="1", direction=Direction.outbound, minute=2)
        elsewhere = said("4", None, parent="1", direction=Direction.outbound, channel="archive")
        edit = said("2", None, parent="9", direction=Direction.outbound, revision="r1")
        store.commit(batch(first, messages=(late, early, elsewhere, edit)))
        assert {KEY: (early, late)} == store.load(Wanted(orphans=(KEY,))).orphans
        adopted = (
            (early.message.key, first.after.id),
            ((CHANNEL, "status", "none"), first.after.id),
        )
        store.commit(batch(adopted=adopted))
        assert {KEY: (late,)} == store.load(Wanted(orphans=(KEY,))).orphans
        theirs = store.find(Messages(conversation=first.after.id)).messages
        homed = [attrs.evolve(s, conversation=first.after.id) for s in (edit, early)]
        assert homed == [*theirs]
        with pytest.raises(Conflict):
            store.commit(batch(adopted=((late.message.key, "no/such/one#0"),)))

    def test_a_merge_takes_messages_and_open_rows_along(self, store: Store) -> None:
        """What was said and what is not yet sent belongs to the conversation that carries on."""
        one, two = opened("ola", "1"), opened("ola", "2")
        store.commit(
            batch(
                one,
                two,
                messages=(said("1", one.after), said("2", two.after)),
                postings=(
                    posting("a", one.after),
                    posting("b", two.after),
                    posting("c", two.after),
                    posting("d", two.after, stream="incident"),
                ),
                settlements=(),
            )
        )
        store.commit(batch(merged=((two.after.id, one.after.id),)))
        said_there = store.find(Messages(conversation=one.after.id)).messages
        assert [stored.message.id for stored in said_there] == ["1", "2"]
        rows = {row.id: row for row in store.find(Outbox(conversation=one.after.id)).rows}
        places = {name: (row.posting.stream, row.seq) for name, row in rows.items()}
        home = one.after.id
        assert {"a": (home, 1), "b": (home, 2), "c": (home, 3), "d": ("incident", 1)} == places
        assert store.find(Messages(conversation=two.after.id)).messages == ()
        assert store.find(Outbox(conversation=two.after.id)).rows == ()
        store.commit(batch(postings=(posting("e", one.after),)))
        assert store.load(Wanted(rows=("e",))).rows["e"].seq == 4

    def test_skeletons_are_counted(self, store: Store) -> None:
        """How often the same words went out is counted from a moment on, over all customers."""
        one, two = opened("ola"), opened("kari")
        messages = [
            said(f"{i}", written.after, minute=i, direction=Direction.outbound, skeleton=skeleton)
            for i, (written, skeleton) in enumerate(
                [(one, "thank you"), (two, "thank you"), (one, "sorry"), (two, "thank you")]
            )
        ]
        store.commit(batch(one, two, messages=(*messages, said("in", one.after))))
        words = ("thank you", "sorry", "never")
        assert store.load(Wanted(skeletons=words)).skeletons == {"thank you": 3, "sorry": 1}
        since = Wanted(skeletons=words, skeletons_since=at(1))
        assert store.load(since).skeletons == {"thank you": 2, "sorry": 1}
        since = Wanted(skeletons=words, skeletons_since=at(3) + (at(1) - START))
        assert store.load(since).skeletons == {}

    def test_rows_are_found_by_all_their_names(self, store: Store) -> None:
        """A row is loaded by its id, its reply, its mark, or the platform's id on its channel."""
        rows = (
            posting("a", reply="r", part=0, stream="s"),
            posting("b", reply="r", part=1, stream="s"),
            posting("c"),
            posting("d", channel="other"),
        )
        store.commit(batch(postings=rows))
        store.commit(batch(settlements=(sent("c", "7"), sent("d", "7"))))
        found = {
            "rows": store.load(Wanted(rows=("a", "x"))),
            "replies": store.load(Wanted(replies=("r", "x"))),
            "marks": store.load(Wanted(marks=("mark-b", "x"))),
            "remotes": store.load(Wanted(remotes=((CHANNEL, "7"), (CHANNEL, "8")))),
            "all": store.load(Wanted(rows=("a",), replies=("r",), remotes=(("other", "7"),))),
        }
        expected = {
            "rows": {"a"},
            "replies": {"a", "b"},
            "marks": {"b"},
            "remotes": {"c"},
            "all": {"a", "b", "d"},
        }
        assert expected == {name: set(loaded.rows) for name, loaded in found.items()}
