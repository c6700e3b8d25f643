"""Contract of stores: a commit happens entirely or not at all, and keeps what it was given."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from supportflow.errors import Conflict, InvalidValue
from supportflow.events import Noted
from supportflow.model import Agent, ChannelState, Conversation, RemovedBy, Secret
from supportflow.stores import (
    ChannelChange,
    Conversations,
    HoldRows,
    Messages,
    Outbox,
    Posting,
    Quarantine,
    Removed,
    RowState,
    Settlement,
    Store,
    Wanted,
)
from supportflow.testing.store_samples import (
    CHANNEL,
    START,
    at,
    batch,
    continued,
    opened,
    posting,
    quarantined,
    said,
    sent,
)

__all__ = ["CommitContract"]


def _marked(name: str, mark: str) -> Posting:
    made = posting(name)
    return attrs.evolve(made, outgoing=attrs.evolve(made.outgoing, mark=mark))


#: Parts that a commit must refuse after `_prepared`, each made of the conversation there.
BAD: dict[str, Callable[[Conversation], dict[str, Any]]] = {
    "a second beginning": lambda _: {"conversations": (opened(),)},
    "a version that is over": lambda c: {"conversations": (continued(replaced(c, version=1)),)},
    "a version that is not yet": lambda c: {"conversations": (continued(replaced(c, version=9)),)},
    "a known message": lambda c: {"messages": (said("1", c, text="again"),)},
    "a message twice": lambda c: {"messages": (said("2", c), said("2", c, text="again"))},
    "a known revision": lambda c: {"messages": (said("1", c, revision="r1", text="again"),)},
    "a message of nobody": lambda _: {"messages": (said("2", opened("nobody").after),)},
    "a known once-key": lambda _: {"once": {"reply:2": "mine", "reply:1": "other"}},
    "a known row": lambda _: {"postings": (_marked("row", "new"),)},
    "a known mark": lambda _: {"postings": (_marked("new", "mark-row"),)},
    "a mark twice": lambda _: {"postings": (_marked("a", "m"), _marked("b", "m"))},
    "a stale fence": lambda _: {"settlements": (Settlement("row", 77, RowState.failed),)},
    "a final row": lambda _: {"settlements": (Settlement("gone", 0, RowState.failed),)},
    "an unknown row": lambda _: {"settlements": (Settlement("nowhere", 0, RowState.failed),)},
    "a cancel of what left": lambda _: {"holds": (HoldRows("reply-gone", cancel=True),)},
}


def replaced(conversation: Conversation, *, version: int) -> Conversation:
    """Return a conversation that pretends to be of another version.

    Args:
        conversation: The conversation.
        version: The version.
    """
    progress = attrs.evolve(conversation.progress, version=version)
    return attrs.evolve(conversation, progress=progress)


def _prepared(store: Store) -> Conversation:
    """Write one of everything, at version 2, and return the conversation."""
    first = opened()
    messages = (said("1", first.after), said("1", first.after, revision="r1"))
    rows = (posting("row"), posting("gone"))
    store.commit(batch(first, messages=messages, once={"reply:1": "done"}, postings=rows))
    second = continued(first.after)
    store.commit(batch(second, settlements=(sent("gone"),)))
    return second.after


def _everything(store: Store) -> tuple[object, ...]:
    """Return all that can be seen of a store."""
    return (
        store.find(Conversations()),
        store.find(Messages()),
        store.find(Outbox()),
        store.find(Quarantine(replayed=True)),
        list(store.log()),
        store.load(Wanted(once=("reply:1", "reply:2"), channels=(CHANNEL,))),
        store.load(Wanted(skeletons=("thank you",))).skeletons,
    )


def _good(conversation: Conversation) -> dict[str, Any]:
    """Return parts that a commit can make after `_prepared`, one of every kind."""
    third = opened("third")
    return {
        "conversations": (third,),
        "messages": (said("3", third.after, skeleton="thank you"),),
        "removed": (Removed((CHANNEL, "status", "1"), START, RemovedBy.author),),
        "once": {"reply:3": "done"},
        "postings": (posting("third"),),
        "settlements": (sent("row"),),
        "quarantine": (quarantined("third"),),
        "channels": (ChannelChange(CHANNEL, cursor="900"),),
        "retimed": ((conversation.id, conversation.version, START, "other"),),
    }


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = dict(first)
    for name, value in second.items():
        old = both.get(name, ())
        both[name] = {**old, **value} if isinstance(value, dict) else (*old, *value)
    return both


class CommitContract:
    """Prove what holds for every commit."""

    def test_a_commit_keeps_everything(self, store: Store) -> None:
        """Each part of one commit is there afterwards, exactly as it was given."""
        base = _prepared(store)
        store.commit(batch(**_good(base)))
        third = opened("third").after
        key = (CHANNEL, "status", "3")
        loaded = store.load(
            Wanted(
                conversations=(third.id,),
                messages=(key,),
                once=("reply:3",),
                rows=("third", "row"),
                channels=(CHANNEL,),
            )
        )
        assert {third.id: third} == loaded.conversations
        assert {key: said("3", third, skeleton="thank you")} == loaded.messages
        assert loaded.once == {"reply:3": "done"}
        assert posting("third") == loaded.rows["third"].posting
        assert (RowState.sent, "901") == (loaded.rows["row"].state, loaded.rows["row"].remote_id)
        assert {CHANNEL: ChannelState(CHANNEL, cursor="900")} == loaded.channels
        assert (quarantined("third"),) == store.find(Quarantine()).quarantined
        due = store.find(Conversations(due_before=START)).conversations
        assert (base.id,) == tuple(c.id for c in due)

    @pytest.mark.parametrize("bad", BAD)
    def test_a_bad_part_applies_nothing(self, store: Store, bad: str) -> None:
        """Whatever one part conflicts with, none of the good parts beside it is applied."""
        base = _prepared(store)
        before = _everything(store)
        with pytest.raises(Conflict):
            store.commit(batch(**_joined(_good(base), BAD[bad](base))))
        assert before == _everything(store)
        store.commit(batch(**_good(base)))

    def test_events_lead_from_version_to_version(self, store: Store) -> None:
        """A commit whose events do not add up to its version is refused, and applies nothing."""
        wrong = attrs.evolve(opened(), events=())
        with pytest.raises(InvalidValue):
            store.commit(batch(wrong, once={"reply:1": "done"}))
        assert store.load(Wanted(once=("reply:1",))).once == {}
        assert store.find(Conversations()).conversations == ()

    def test_versions_have_no_gap(self, store: Store) -> None:
        """The log of a conversation counts 1, 2, 3 …, and its last version is the snapshot's (G3)."""
        base = opened()
        store.commit(batch(base))
        conversation = base.after
        notes = [Noted(START, f"n{i}", Agent("mia")) for i in range(6)]
        for happened in (notes[:1], notes[1:3], notes[3:]):
            written = continued(conversation, *happened)
            store.commit(batch(written, at=at(5)))
            conversation = written.after
        log = store.log(conversation=conversation.id)
        assert [*range(1, 8)] == [recorded.version for recorded in log]
        assert [*base.events, *notes] == [recorded.event for recorded in log]
        assert [START] + [at(5)] * 6 == [recorded.recorded_at for recorded in log]
        found = store.load(Wanted(conversations=(conversation.id,))).conversations
        assert conversation == found[conversation.id]

    def test_same_id_elsewhere_is_another_message(self, store: Store) -> None:
        """A message is the same only if channel, kind, id and revision are."""
        first = opened()
        other = opened(channel="archive")
        messages = (
            said("1", first.after),
            said("1", first.after, kind="direct"),
            said("1", first.after, revision="r1"),
            said("1", other.after),
        )
        store.commit(batch(first, other, messages=messages))
        assert len(store.find(Messages()).messages) == 4

    def test_a_quarantined_item_is_kept_once(self, store: Store) -> None:
        """A redelivery adds nothing and changes nothing; a replay takes it out of the list."""
        item = quarantined("a", raw=b"\x00\xff{")
        store.commit(batch(quarantine=(item,)))
        again = attrs.evolve(item, why="for another reason", at=at(9))
        store.commit(batch(quarantine=(again, quarantined("b", minute=1))))
        assert (item, quarantined("b", minute=1)) == store.find(Quarantine()).quarantined
        store.commit(batch(replayed=("a",), at=at(10)))
        assert (quarantined("b", minute=1),) == store.find(Quarantine()).quarantined
        shown = store.find(Quarantine(ids=("a",), replayed=True)).quarantined
        assert (attrs.evolve(item, replayed_at=at(10)),) == shown
        store.commit(batch(quarantine=(item,)))
        assert (quarantined("b", minute=1),) == store.find(Quarantine()).quarantined

    def test_a_channel_keeps_what_is_not_changed(self, store: Store) -> None:
        """A change of the cursor leaves the credentials, and a change can take things away."""
        token = {"token": Secret("s3cret")}
        learned = {"max_length": 500, "languages": ["no", "en"]}
        store.commit(
            batch(
                channels=(
                    ChannelChange(CHANNEL, cursor="1", credentials=token, learned=learned),
                    ChannelChange("other", needs_auth="expired", paused_until=at(5)),
                )
            )
        )
        changed = (ChannelChange(CHANNEL, cursor="2"), ChannelChange("other", paused_until=None))
        store.commit(batch(channels=changed))
        expected = {
            CHANNEL: ChannelState(CHANNEL, cursor="2", credentials=token, learned=learned),
            "other": ChannelState("other", needs_auth="expired"),
        }
        assert expected == store.load(Wanted(channels=(CHANNEL, "other", "none"))).channels

    def test_clocks_are_set_for_one_version_only(self, store: Store) -> None:
        """A `retimed` of a version that is over changes nothing, and is no conflict."""
        first = opened(next_due_at=at(60), policy_version="a")
        store.commit(batch(first))
        second = continued(first.after, next_due_at=at(90), policy_version="a")
        store.commit(batch(second))
        store.commit(batch(retimed=((first.after.id, 1, at(10), "b"),)))
        assert store.find(Conversations(due_before=at(80))).conversations == ()
        store.commit(batch(retimed=((first.after.id, 2, at(10), "b"),)))
        assert (second.after,) == store.find(Conversations(due_before=at(10))).conversations
        assert store.find(Conversations(policy_not="b")).conversations == ()
        store.commit(
            batch(retimed=((first.after.id, 2, None, "b"), ("no/such/one#0", 1, None, "b")))
        )
        assert store.find(Conversations(due_before=at(999))).conversations == ()
