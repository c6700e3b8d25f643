"""Contract of stores: many writers at once, in threads and in processes, lose and double nothing."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from supportflow.errors import Conflict
from supportflow.events import Noted
from supportflow.model import Agent
from supportflow.stores import Messages, Outbox, RowState, Store, Wanted, WorkKind
from supportflow.testing.store_outbox import claim, names
from supportflow.testing.store_samples import START, batch, continued, opened, posting, said, sent

__all__ = ["Factory", "ProcessContract", "WriterContract"]

#: A function of a module, and its arguments: other processes open the same data with them.
Factory: TypeAlias = tuple[Callable[..., Store], tuple[Any, ...]]

WRITERS, EACH, ROWS = 8, 25, 60
NOTES = {f"{writer}-{number}" for writer in range(WRITERS) for number in range(EACH)}


def _append(store: Store, names: Sequence[str], writer: int, number: int) -> None:
    """Add one event to each conversation, deciding again as long as somebody else is first."""
    note = f"{writer}-{number}"
    event = Noted(START, note, Agent("mia"))
    for _ in range(1000):
        there = store.load(Wanted(conversations=tuple(names))).conversations
        written = [continued(there[n], event, tags=(*there[n].tags, note)) for n in names]
        message = said(note, there[names[0]], text=note)
        with contextlib.suppress(Conflict):
            return store.commit(batch(*written, messages=(message,), once={note: "done"}))
    raise AssertionError("a thousand times, somebody else was first: nobody gets on")


def _append_all(store: Store, names: Sequence[str], writer: int) -> None:
    for number in range(EACH):
        _append(store, names, writer, number)


def _first(store: Store, keys: Iterable[str]) -> list[str]:
    """Return the once-keys for which this writer came first."""
    won = []
    for key in keys:
        with contextlib.suppress(Conflict):
            store.commit(batch(once={key: "mine"}))
            won.append(key)
    return won


def _send_all(store: Store) -> list[str]:
    """Claim, begin and settle until nothing is left; return what was sent."""
    worker, done = store.worker(), []
    for _ in range(10 * ROWS):
        for claimed in (taken := claim(store, worker, limit=3)):
            if claimed.row and store.begin(claimed):
                done.append(claimed.row.id)
                store.commit(batch(settlements=(sent(claimed.row.id, f"r-{claimed.row.id}"),)))
        if not taken:
            return done
    raise AssertionError("what is claimed is never done")


def _in_threads(work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(work, range(WRITERS)))


def _assert_whole(store: Store, conversation: str, notes: set[str]) -> None:
    """Check that every note was recorded once: in the snapshot, the log, the messages."""
    found = store.load(Wanted(conversations=(conversation,), once=tuple(notes)))
    snapshot = found.conversations[conversation]
    log = store.log(conversation=conversation, limit=10_000)
    assert [*range(1, snapshot.version + 1)] == [recorded.version for recorded in log]
    logged = [recorded.event.id for recorded in log if isinstance(recorded.event, Noted)]
    assert sorted(notes) == sorted(logged)
    assert tuple(logged) == snapshot.tags
    assert notes == set(found.once)
    messages = store.find(Messages(conversation=conversation, limit=10_000)).messages
    assert sorted(notes) == sorted(stored.message.id for stored in messages)


class WriterContract:
    """Prove what holds when threads share a store."""

    def test_no_update_is_lost(self, store: Store) -> None:
        """Eight threads write one conversation 25 times each: 200 events, each once, without a gap."""
        first = opened()
        store.commit(batch(first))
        _in_threads(lambda writer: _append_all(store, [first.after.id], writer))
        _assert_whole(store, first.after.id, NOTES)

    def test_crossing_pages_get_on(self, store: Store) -> None:
        """Threads that write the same two conversations in opposite order do not lock each other."""
        one, two = opened("ola"), opened("kari")
        store.commit(batch(one, two))
        names = [one.after.id, two.after.id]
        _in_threads(lambda writer: _append_all(store, names[:: 1 if writer % 2 else -1], writer))
        found = store.load(Wanted(conversations=tuple(names))).conversations
        assert [1 + len(NOTES)] * 2 == [found[name].version for name in names]
        assert [set(found[name].tags) for name in names] == [NOTES] * 2

    def test_one_writer_comes_first(self, store: Store) -> None:
        """Of eight threads that use the same once-keys, exactly one wins each."""
        keys = [f"announce:{number}" for number in range(20)]
        won = _in_threads(lambda _: _first(store, keys))
        assert keys == sorted((key for own in won for key in own), key=keys.index)

    def test_every_row_is_sent_once(self, store: Store) -> None:
        """Eight threads claim and send what is queued: each row has one sender."""
        _queue_many(store)
        done: list[str] = []
        while len(done) < ROWS:
            sent_now = _in_threads(lambda _: _send_all(store))
            assert any(sent_now)
            done += (name for own in sent_now for name in own)
        _assert_sent_once(store, done)


def _queue_many(store: Store) -> None:
    rows = [posting(f"row-{number}", stream=f"s{number % 20}") for number in range(ROWS)]
    store.commit(batch(postings=tuple(rows)))


def _assert_sent_once(store: Store, done: list[str]) -> None:
    rows = store.find(Outbox(limit=10 * ROWS)).rows
    assert sorted(row.id for row in rows) == sorted(done)
    assert {(RowState.sent, 1)} == {(row.state, row.attempt) for row in rows}
    assert {f"r-{row.id}" for row in rows} == {row.remote_id for row in rows}


# --- processes ---------------------------------------------------------------------------


def _appending(factory: Factory, pipe: Connection, conversation: str, writer: int) -> None:
    """Write in a process of its own, and say after each commit that it is done."""
    store = factory[0](*factory[1])
    for number in range(1_000_000):
        _append(store, [conversation], writer, number)
        pipe.send(f"{writer}-{number}")
        if pipe.poll():
            pipe.recv()
            break
    store.close()
    pipe.send(None)


def _sending(factory: Factory, pipe: Connection) -> None:
    """Send all that is there in a process of its own, and say what it was."""
    store = factory[0](*factory[1])
    pipe.send(_send_all(store))
    store.close()


def _beginning(factory: Factory, pipe: Connection) -> None:
    """Claim two rows, begin to send one, and wait for the end."""
    store = factory[0](*factory[1])
    first, _ = claim(store, store.worker())
    store.begin(first)
    pipe.send(names([first])[0])
    pipe.recv()


class _Child:
    """Run a function of this module in a fresh process, with a pipe to it."""

    def __init__(self, work: Callable[..., None], factory: Factory, *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(factory, theirs, *args), daemon=True)
        self.process.start()
        theirs.close()

    def next(self) -> Any:
        """Return what it says next; a child that says nothing for a minute is a failure."""
        assert self.pipe.poll(60), "the other process said nothing for a minute"
        return self.pipe.recv()

    def end(self) -> None:
        """Wait until it has ended well."""
        self.process.join(60)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.join(60)


class ProcessContract:
    """Prove what holds when processes share the data of a store."""

    def test_processes_lose_no_update(self, store: Store, in_other_process: Factory) -> None:
        """Four processes write one conversation: every event is there once, without a gap."""
        first = opened()
        store.commit(batch(first))
        children = [
            _Child(_appending, in_other_process, first.after.id, writer) for writer in range(4)
        ]
        notes: set[str] = {child.next() for child in children for _ in range(8)}
        for child in children:
            child.pipe.send("enough")
        for child in children:
            while (note := child.next()) is not None:
                notes.add(note)
            child.end()
        _assert_whole(store, first.after.id, notes)

    def test_processes_send_every_row_once(self, store: Store, in_other_process: Factory) -> None:
        """Three processes share the outbox: each row has one sender."""
        _queue_many(store)
        done: list[str] = []
        children = [_Child(_sending, in_other_process) for _ in range(3)]
        for child in children:
            done += child.next()
            child.end()
        done += _send_all(store)
        _assert_sent_once(store, done)

    def test_a_killed_writer_leaves_whole_commits(
        self, store: Store, in_other_process: Factory
    ) -> None:
        """After kill -9 amid commits, what was acknowledged is there, and nothing is there in part."""
        first = opened()
        store.commit(batch(first))
        acknowledged: set[str] = set()
        for writer in range(4):
            child = _Child(_appending, in_other_process, first.after.id, writer)
            acknowledged |= {child.next() for _ in range(3 + 2 * writer)}
            child.kill()
            with contextlib.suppress(EOFError, ConnectionError):
                while child.pipe.poll(0):
                    acknowledged.add(child.pipe.recv())
        found = store.load(Wanted(conversations=(first.after.id,))).conversations
        there = set(found[first.after.id].tags)
        assert acknowledged <= there
        assert len(there - acknowledged) <= 4
        _assert_whole(store, first.after.id, there)

    def test_a_killed_worker_is_proved_dead(self, store: Store, in_other_process: Factory) -> None:
        """The rows of a killed process are taken over at once, whatever its leases say."""
        store.commit(batch(postings=(posting("a"), posting("b"))))
        child = _Child(_beginning, in_other_process)
        begun = child.next()
        heir = store.worker()
        assert claim(store, heir, WorkKind.reap) == []
        child.kill()
        assert sorted(names(claim(store, heir, WorkKind.reap))) == ["a", "b"]
        states = {row.id: row.state for row in store.find(Outbox()).rows}
        assert RowState.unknown is states.pop(begun)
        assert [RowState.pending] == [*states.values()]
        [found] = claim(store, heir, WorkKind.reconcile)
        assert found.sender_dead
