"""A store does what the `MemoryStore` does, whatever is asked of both, in whatever order."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from supportflow.errors import Conflict, InvalidValue
from supportflow.model import Conversation, RemovedBy
from supportflow.stores import (
    ChannelChange,
    Conversations,
    Direction,
    Messages,
    Quarantine,
    Removed,
    Store,
    Wanted,
    Worker,
)
from supportflow.stores.memory import MemoryStore
from supportflow.testing.clock import FakeClock
from supportflow.testing.store_samples import batch, continued, opened, quarantined, said

__all__ = ["CHANNELS", "StoreMachine", "TwoStores"]

T = TypeVar("T")

CHANNELS = ("mastodon:shop", "other")
CUSTOMERS, THREADS, NAMES = ("ola", "kari"), ("1", "2"), ("1", "2", "3")
KEYS = tuple((CHANNELS[0], "status", name) for name in NAMES)

customers, threads, names = map(st.sampled_from, (CUSTOMERS, THREADS, NAMES))
picks = st.integers(0, 9)


class TwoStores(RuleBasedStateMachine):
    """Ask the same of a store and of a `MemoryStore`; the rules stand in the subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.stores: list[Store] = [self.make(self.clock), MemoryStore(self.clock)]
        self.workers: list[tuple[Worker, ...]] = []

    def make(self, clock: FakeClock) -> Store:
        """Return a fresh, empty store that asks `clock` for the time.

        Args:
            clock: The clock.
        """
        raise NotImplementedError("override `make`: return a fresh store that uses `clock`")

    def reopen(self, store: Store) -> Store:
        """Return the data of a closed store again.

        Args:
            store: The closed store.
        """
        return store

    def teardown(self) -> None:
        """Close both stores."""
        for store in self.stores:
            store.close()

    def restarted(self) -> None:
        """End all workers, and open the data again."""
        for side, store in enumerate(self.stores):
            store.close()
            self.stores[side] = store if side else self.reopen(store)
        self.workers.clear()

    def both(self, ask: Callable[[Store, int], T]) -> tuple[T, ...]:
        """Ask both, and return their answers; none if both refuse for the same reason.

        Args:
            ask: What to do with a store, given its place among the two.
        """
        answers: list[T] = []
        refusals = []
        for side, store in enumerate(self.stores):
            try:
                answers.append(ask(store, side))
            except (Conflict, InvalidValue) as error:
                refusals.append(type(error))
        assert len(answers) in {0, 2}, f"only one refuses ({refusals}), one answers {answers}"
        assert len(set(refusals)) < 2, f"they refuse for different reasons: {refusals}"
        return tuple(answers)

    def commit(self, **changes: Any) -> None:
        """Commit the same to both.

        Args:
            changes: What `Changes` takes.
        """
        self.both(lambda store, _: store.commit(batch(at=self.clock(), **changes)))

    def later(self, minutes: int) -> datetime | None:
        """Return the time in some minutes, None for 0.

        Args:
            minutes: How many.
        """
        return self.clock() + timedelta(minutes=minutes) if minutes else None

    def conversation(self, pick: int) -> Conversation | None:
        """Return one of the conversations that are there, if there is any.

        Args:
            pick: Which one.
        """
        there = self.stores[1].find(Conversations()).conversations
        return there[pick % len(there)] if there else None


class StoreMachine(TwoStores):
    """Compare a store with a `MemoryStore` in all that concerns conversations and messages.

    Override `make`, and `reopen` where data outlive the object. Run it through its `TestCase`::

        class MyMachine(StoreMachine):
            def make(self, clock):
                return MyStore(clock=clock)


        TestMyMachine = MyMachine.TestCase
    """

    @rule(customer=customers, thread=threads, number=st.integers(0, 1))
    def open(self, customer: str, thread: str, number: int) -> None:
        """Begin a conversation, or try to begin it again."""
        self.commit(conversations=(opened(customer, thread, number=number),))

    @rule(pick=picks, stale=st.booleans(), waits=st.booleans(), due=st.integers(0, 3))
    def go_on(self, pick: int, stale: bool, waits: bool, due: int) -> None:
        """Write a conversation's next version, or one that is over already."""
        if before := self.conversation(pick):
            since = self.clock() if waits else None
            written = continued(before, waiting_since=since, next_due_at=self.later(due))
            self.commit(conversations=(written,))
            if stale:
                self.commit(conversations=(written,))

    @rule(name=names, revision=st.sampled_from(("", "", "r1", "r2")), pick=picks)
    def say(self, name: str, revision: str, pick: int) -> None:
        """Write a message or a revision; of nobody, if there is no conversation."""
        home = self.conversation(pick) if pick else None
        direction = Direction.inbound if home else Direction.outbound
        skeleton = None if home else f"skeleton {name}"
        message = said(
            name, home, revision=revision, direction=direction, skeleton=skeleton, parent="1"
        )
        self.commit(messages=(message,))

    @rule(customer=customers, name=names, key=names, item=names)
    def together(self, customer: str, name: str, key: str, item: str) -> None:
        """Write several things at once, of which some may be there already."""
        new = opened(customer)
        self.commit(
            conversations=(new,),
            messages=(said(name, new.after),),
            once={key: "done"},
            quarantine=(quarantined(item),),
        )

    @rule(name=names, by=st.sampled_from(RemovedBy), hidden=st.booleans())
    def remove(self, name: str, by: RemovedBy, hidden: bool) -> None:
        """Remove a message, before or after it came."""
        key = (CHANNELS[0], "status", name)
        self.commit(removed=(Removed(key, self.clock(), by, hidden=hidden),))

    @rule(key=st.sampled_from(KEYS), pick=picks)
    def adopt(self, key: tuple[str, str, str], pick: int) -> None:
        """Give a message to a conversation."""
        if home := self.conversation(pick):
            self.commit(adopted=((key, home.id),))

    @rule(one=picks, two=picks)
    def merge(self, one: int, two: int) -> None:
        """Let one conversation take over what another has."""
        source, target = self.conversation(one), self.conversation(two)
        if source and target and source != target:
            self.commit(merged=((source.id, target.id),))

    @rule(keys=st.lists(names, min_size=1, max_size=2, unique=True))
    def once(self, keys: list[str]) -> None:
        """Use once-keys."""
        self.commit(once=dict.fromkeys(keys, "done"))

    @rule(channel=st.sampled_from(CHANNELS), cursor=names, fault=st.booleans())
    def learn(self, channel: str, cursor: str, fault: bool) -> None:
        """Change some of what a channel remembers."""
        change = ChannelChange(channel, cursor=cursor)
        self.commit(channels=(attrs.evolve(change, fault="down") if fault else change,))

    @rule(name=names, replay=st.booleans())
    def quarantine(self, name: str, replay: bool) -> None:
        """Quarantine an item, or find that it can be read."""
        items = () if replay else (quarantined(name),)
        self.commit(quarantine=items, replayed=(name,) if replay else ())

    @rule(pick=picks, version=st.integers(1, 3), due=st.integers(0, 3))
    def retime(self, pick: int, version: int, due: int) -> None:
        """Set a clock, for a version that may be over."""
        if home := self.conversation(pick):
            self.commit(retimed=((home.id, version, self.later(due), f"policy {due}"),))

    @rule(minutes=st.sampled_from((1, 2, 5)))
    def tick(self, minutes: float) -> None:
        """Let time go on."""
        self.clock.advance(minutes=minutes)

    @rule()
    def restart(self) -> None:
        """Close both, and open the data again."""
        self.restarted()

    @invariant()
    def look_alike(self) -> None:
        """Whatever can be found or loaded is the same in both."""
        found, expected = (self._seen(store) for store in self.stores)
        for name, value in expected.items():
            assert value == found[name], name

    def _seen(self, store: Store) -> dict[str, Any]:
        loaded = store.load(
            Wanted(
                heads=tuple((CHANNELS[0], t, c) for t in THREADS for c in CUSTOMERS),
                threads=tuple((CHANNELS[0], thread) for thread in THREADS),
                messages=KEYS,
                orphans=KEYS,
                once=NAMES,
                channels=CHANNELS,
                skeletons=tuple(f"skeleton {name}" for name in NAMES),
            )
        )
        now = self.clock()
        queries = {
            "conversations found": Conversations(),
            "unanswered": Conversations(unanswered=True),
            "due": Conversations(due_before=now),
            "judged otherwise": Conversations(policy_not="policy 1"),
        }
        conversations = {
            name: {c.id: c for c in store.find(query).conversations}
            for name, query in queries.items()
        }
        messages = store.find(Messages()).messages
        items = store.find(Quarantine(replayed=True)).quarantined
        return {
            **attrs.asdict(loaded, recurse=False),
            **conversations,
            "messages found": {(*s.message.key, s.revision): s for s in messages},
            "quarantine": {item.id: item for item in items},
            "log": [attrs.evolve(recorded, position=0) for recorded in store.log()],
        }
