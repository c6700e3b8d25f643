"""Prove that a store on PostgreSQL gets on with others, survives interrupts, and says what it refuses."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import attrs
import psycopg
import pytest

from supportflow import AsyncPostgresStore, PostgresStore
from supportflow.errors import Conflict, InvalidValue, StoreUnavailable
from supportflow.stores import Outbox, Quarantine, Wanted, Work, WorkKind, postgres_driver
from supportflow.testing.store_samples import (
    batch,
    continued,
    opened,
    posting,
    quarantined,
    said,
)

OTHERS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def store(postgres):
    """Return a store with the database's own clock."""
    with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as store:
        yield store


# --- others --------------------------------------------------------------------------------


def test_deadlocks_are_resolved(store, postgres):
    """Two commits that take the same once-keys crosswise both end: one first, one in conflict."""

    def write(keys):
        try:
            store.commit(batch(once=dict.fromkeys(keys, "mine")))
        except Conflict:
            return 0
        return 1

    postgres.ask("ALTER DATABASE postgres SET deadlock_timeout = '20ms'")
    postgres.ask(OTHERS)
    try:
        for number in range(10):
            keys = [f"{number}-{name}" for name in range(200)]
            with ThreadPoolExecutor(2) as pool:
                assert 1 == sum(pool.map(write, (keys, keys[::-1])))
    finally:
        postgres.ask("ALTER DATABASE postgres RESET deadlock_timeout")


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_always_meets_others_gives_up(store, monkeypatch, state):
    """A transaction that is undone again and again is tried eight times, then refused with advice."""
    tries = []

    def met(*_, **__):
        tries.append(1)
        raise psycopg.errors.lookup(state)("met others")
        yield

    monkeypatch.setattr(postgres_driver, "transaction", met)
    monkeypatch.setattr(postgres_driver, "_PAUSE", 0)
    with pytest.raises(StoreUnavailable, match=r"deadlocks.*: try again"):
        store.load(Wanted())
    assert 8 == len(tries)


def test_a_loop_tries_again_too(postgres, monkeypatch):
    """On an event loop, what met others once is tried again after a pause."""
    real, tries = postgres_driver.transaction, []

    def met_once(*args):
        tries.append(1)
        if len(tries) == 1:
            raise psycopg.errors.DeadlockDetected("met others")
        return (yield from real(*args))

    async def main():
        store = AsyncPostgresStore(postgres.dsn, schema=postgres.name)
        assert f"AsyncPostgresStore({store._core.driver.shown!r})" == repr(store)
        monkeypatch.setattr(postgres_driver, "transaction", met_once)
        assert {} == (await store.load(Wanted(once=("a",)))).once
        await store.close()

    asyncio.run(main())
    assert 2 == len(tries)


def test_a_transaction_that_cannot_be_taken_back_ends_its_connection(store, monkeypatch):
    """If not even ROLLBACK is answered, the connection is closed, and the first error is told."""
    execute = psycopg.Connection.execute

    def refusing(connection, sql, *args, **options):
        if sql == "ROLLBACK":
            raise psycopg.OperationalError("gone")
        return execute(connection, sql, *args, **options)

    store.commit(batch(once={"a": "b"}))
    monkeypatch.setattr(psycopg.Connection, "execute", refusing)
    with pytest.raises(Conflict, match="the once-key 'a' is already there"):
        store.commit(batch(once={"a": "c"}))
    monkeypatch.undo()
    assert {"a": "b"} == store.load(Wanted(once=("a",))).once


def test_streams_that_are_no_conversations_take_turns(store):
    """Eight threads queue notices in one stream: nobody is refused, and each has its place."""

    def queue(number):
        for part in range(5):
            store.commit(batch(postings=(posting(f"{number}-{part}", stream="incident"),)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(queue, range(4)))
    assert [*range(1, 21)] == sorted(row.seq for row in store.find(Outbox(limit=99)).rows)


def test_a_lock_is_not_waited_for_for_ever(store, postgres, monkeypatch):
    """What somebody keeps locked is refused with advice, and nothing of the commit stays."""
    first = opened()
    store.commit(batch(first))
    monkeypatch.setattr(store._core, "_openings", store._core._openings.of(postgres.name))
    opening = store._core._openings.commit.text.replace("10000", "20")
    commit = attrs.evolve(store._core._openings.commit, statements=tuple(opening.split("; ")))
    quick = attrs.evolve(store._core._openings, commit=commit)
    monkeypatch.setattr(store._core, "_openings", quick)
    with postgres.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM conversation FOR UPDATE")
        with pytest.raises(StoreUnavailable, match=r"locked for too long: try again"):
            store.commit(batch(continued(first.after), quarantine=(quarantined("q"),)))
    assert () == store.find(Quarantine()).quarantined
    store.commit(batch(continued(first.after)))


# --- interrupts ----------------------------------------------------------------------------


def test_an_interrupt_takes_everything_back(store):
    """Ctrl-C in the middle of a commit leaves nothing of it, and the store goes on."""

    class Interrupting(dict):
        def items(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.commit(
            attrs.evolve(batch(opened(), messages=(said("1", None),)), once=Interrupting(a="b"))
        )
    store.commit(batch(opened(), messages=(said("1", None),)))


def test_a_cancelled_commit_is_taken_back(postgres):
    """A task that is cancelled while it waits for a lock leaves nothing, and the store goes on."""

    async def main():
        store = AsyncPostgresStore(postgres.dsn, schema=postgres.name, connections=1)
        first = opened()
        await store.commit(batch(first))
        with postgres.connect() as other, other.transaction():
            other.execute("SELECT 1 FROM conversation FOR UPDATE")
            writing = asyncio.create_task(store.commit(batch(continued(first.after))))
            while not postgres.ask("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  no event
                await asyncio.sleep(0)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
        await store.commit(batch(continued(first.after)))
        await store.close()

    asyncio.run(main())


# --- what it refuses -----------------------------------------------------------------------


def test_a_closed_store_says_so(postgres):
    """After `close` nothing works, closing again does no harm, and a new store finds everything."""
    store = PostgresStore(postgres.dsn, schema=postgres.name)
    store.worker()
    store.commit(batch(once={"a": "b"}))
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed: open a new one"):
        store.load(Wanted())
    with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as again:
        assert {"a": "b"} == again.load(Wanted(once=("a",))).once


def test_a_store_belongs_to_its_process(store, monkeypatch):
    """In a forked process everything is refused, and `close` leaves the sessions to the parent."""
    worker = store.worker()
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: -1)
        with pytest.raises(StoreUnavailable, match="and is used in -1: open a store in each"):
            store.claim(Work(WorkKind.reap), worker, 1)
        store.close()
    assert not store._core.driver._liveness._session.closed
    store._core.driver._closed = False


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"schema": "a b"}, "schema is 'a b'; use up to 63 lower-case letters"),
        ({"schema": ""}, "schema is ''"),
        ({"connections": 0}, "connections is 0; a store needs at least 1"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(wrong, told):
    """What could never work is refused before anything is connected."""
    with pytest.raises(InvalidValue, match=told):
        PostgresStore("postgresql://nobody@127.0.0.1:1/x", **wrong)


def test_it_connects_once(postgres):
    """Many tasks that use a new store at once wait for the one that opens it."""

    async def main():
        store = AsyncPostgresStore(
            postgres.dsn, schema=postgres.name, patience=timedelta(seconds=30)
        )
        await asyncio.gather(*(store.load(Wanted(once=("a",))) for _ in range(20)))
        await store.close()

    asyncio.run(main())
