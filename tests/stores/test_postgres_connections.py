"""Prove that connections are bounded, made when needed, and given back whole."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from supportflow import AsyncPostgresStore, PostgresStore
from supportflow.errors import InvalidValue, StoreUnavailable
from supportflow.stores import Conversations, Wanted
from supportflow.testing.store_samples import batch

IMPATIENT = timedelta(milliseconds=50)


def test_busy_connections_are_said(postgres):
    """When all connections are lent, one waits, and is then told what to change."""
    with closing(
        PostgresStore(postgres.dsn, schema=postgres.name, connections=1, patience=IMPATIENT)
    ) as store:
        connections = store._core.driver._connections
        lent = store._wire.run(connections.lend())
        with pytest.raises(StoreUnavailable, match=r"all 1 connections were busy for 0\.05 sec"):
            store.load(Wanted(once=("a",)))
        store._wire.run(connections.give_back(lent))
        assert {} == store.load(Wanted(once=("a",))).once


def test_busy_connections_are_said_on_a_loop(postgres):
    """Of many tasks, those that wait too long for a connection are told what to change."""

    async def main():
        store = AsyncPostgresStore(
            postgres.dsn, schema=postgres.name, connections=1, patience=IMPATIENT
        )
        await store.load(Wanted())
        connections = store._core.driver._connections
        lent = await store._wire.run(connections.lend())
        with pytest.raises(StoreUnavailable, match="give the store more `connections`"):
            await store.load(Wanted(once=("a",)))
        await store._wire.run(connections.give_back(lent))
        assert {} == (await store.load(Wanted(once=("a",)))).once
        await store.close()

    asyncio.run(main())


def test_no_more_are_made_than_asked_for(postgres):
    """Sixteen threads share two connections, and every commit happens."""
    with closing(PostgresStore(postgres.dsn, schema=postgres.name, connections=2)) as store:
        before = postgres.sessions()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: store.commit(batch(once={f"k{n}": "v"})), range(64)))
        assert [(64,)] == postgres.ask("SELECT count(*) FROM once")
        assert before + 1 >= postgres.sessions()


def test_errors_leak_no_connection(postgres):
    """After more refusals than there are connections, all of them are there."""
    with closing(
        PostgresStore(postgres.dsn, schema=postgres.name, connections=2, patience=IMPATIENT)
    ) as store:
        for _ in range(5):
            with pytest.raises(InvalidValue):
                store.find(Conversations(limit=0))
        store.commit(batch(once={"a": "b"}))


def test_what_is_given_back_late_is_closed(postgres):
    """A connection that is still lent when the store closes ends when it comes back."""
    store = PostgresStore(postgres.dsn, schema=postgres.name)
    lent = store._wire.run(store._core.driver._connections.lend())
    store.close()
    store._wire.run(store._core.driver._connections.give_back(lent))
    assert lent.closed
