"""Prove that a session's locks tell the dead from the living, and that without them nothing is proved."""

import asyncio
import logging
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from supportflow import AsyncPostgresStore, PostgresStore
from supportflow.errors import StoreUnavailable
from supportflow.stores import RowState, Work, WorkKind, postgres_liveness
from supportflow.testing.store_samples import CHANNEL, batch, posting

SEND, REAP = Work(WorkKind.send, (CHANNEL,)), Work(WorkKind.reap)


@pytest.fixture
def make(postgres):
    """Return a function that opens a store on the same tables."""
    stores = []

    def make(**settings):
        stores.append(PostgresStore(postgres.dsn, schema=postgres.name, **settings))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def session(store):
    """Return the session that holds the locks of a store's workers."""
    return store._core.driver._liveness._session


def test_the_dead_lose_their_rows_at_once(make, postgres):
    """When a worker's session ends, its rows are taken over, whatever their leases say."""
    mine, other = make(), make()
    mine.commit(batch(postings=(posting("a"), posting("b"))))
    first, _ = mine.claim(SEND, mine.worker(), 2)
    assert mine.begin(first)
    heir = other.worker()
    assert [] == other.claim(REAP, heir, 9)
    postgres.ask("SELECT pg_terminate_backend(%s, 10000)", session(mine).info.backend_pid)
    reaped = other.claim(REAP, heir, 9)
    assert {"a": RowState.unknown, "b": RowState.pending} == {
        claimed.row.id: claimed.row.state for claimed in reaped
    }


def test_a_lost_session_is_opened_again(make, postgres):
    """A worker whose session was lost holds its lock again as soon as it asks for work."""
    mine, other = make(), make()
    mine.commit(batch(postings=(posting("a"),)))
    worker, heir = mine.worker(), other.worker()
    postgres.ask("SELECT pg_terminate_backend(%s, 10000)", session(mine).info.backend_pid)
    [claimed] = mine.claim(SEND, worker, 9)
    assert [] == other.claim(REAP, heir, 9)
    assert mine.begin(claimed)


def test_who_was_reaped_does_not_begin(make, postgres):
    """A claim that was taken over while its session was lost does not begin."""
    mine, other = make(), make()
    mine.commit(batch(postings=(posting("a"),)))
    [claimed] = mine.claim(SEND, mine.worker(), 9)
    postgres.ask("SELECT pg_terminate_backend(%s, 10000)", session(mine).info.backend_pid)
    heir = other.worker()
    other.claim(REAP, heir, 9)
    [taken] = other.claim(SEND, heir, 9)
    assert not mine.begin(claimed)
    assert other.begin(taken)


def test_stores_in_one_database_have_locks_of_their_own(make, postgres, bare_postgres):
    """Workers of another schema have the same numbers, and are nobody's proof here."""
    mine = make()
    mine.commit(batch(postings=(posting("a"),)))
    with closing(PostgresStore(bare_postgres.dsn, schema=bare_postgres.name)) as other:
        theirs = [other.worker().id for _ in range(3)]
        postgres.ask("ALTER TABLE worker ALTER id RESTART WITH 1")
        worker = mine.worker()
        assert worker.id in theirs
        mine.claim(SEND, worker, 1)
        session(mine).close()
        with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as heir:
            assert 1 == len(heir.claim(REAP, attrs_worker(heir), 9))


def attrs_worker(store):
    """Return a worker whose number is nobody's."""
    while (worker := store.worker()).id < 10:
        pass
    return worker


def test_an_old_session_that_the_server_still_has_is_waited_for(make, postgres, monkeypatch):
    """If a lost session still holds the lock, nothing is begun, and the error says how long."""
    monkeypatch.setattr(postgres_liveness, "_PAUSE", 0)
    mine = make()
    worker = mine.worker()
    lost = session(mine)
    mine._core.driver._liveness._session = None
    with pytest.raises(StoreUnavailable, match="notices its loss within half a minute"):
        mine.claim(SEND, worker, 1)
    lost.close()
    monkeypatch.undo()
    assert [] == mine.claim(SEND, worker, 1)


def test_a_session_that_is_lost_twice_is_an_error(make, postgres):
    """What is lost again when it was just opened is not opened for ever."""
    mine = make()
    worker, driver, ended = mine.worker(), mine._core.driver, []

    def suicidal(connection):
        ended.append(connection.info.backend_pid)
        yield lambda: connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(StoreUnavailable, match="stopping or starting"):
        mine._wire.run(driver._guarded(driver._liveness.use(suicidal)))
    assert 2 == len(set(ended))
    assert [] == mine.claim(SEND, worker, 1)


def test_a_refusal_is_no_loss(make):
    """What the session refuses, while it is well, is told at once and not tried again."""
    mine = make()
    mine.worker()
    before, driver, asked = session(mine), mine._core.driver, []

    def slow(connection):
        asked.append(connection)
        yield lambda: connection.execute("SET statement_timeout = 1; SELECT pg_sleep(10)")

    with pytest.raises(StoreUnavailable, match="was cancelled"):
        mine._wire.run(driver._guarded(driver._liveness.use(slow)))
    assert [before] == asked
    assert session(mine) is before


def test_a_begin_that_is_lost_twice_is_an_error(make, postgres, monkeypatch):
    """If `begin` cannot be recorded, nobody is told that it was."""
    mine = make()
    mine.commit(batch(postings=(posting("a"),)))
    [claimed] = mine.claim(SEND, mine.worker(), 1)
    execute = psycopg.Connection.execute

    def cutting(connection, sql, *args, **options):
        if str(sql).startswith("UPDATE outbox") and connection is not postgres.connection:
            execute(connection, "SELECT pg_terminate_backend(pg_backend_pid())")
        return execute(connection, sql, *args, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", cutting)
    with pytest.raises(StoreUnavailable, match="stopping or starting"):
        mine.begin(claimed)
    monkeypatch.undo()
    assert mine.begin(claimed)


class Proxied(psycopg.Connection):
    """A connection whose statements go to one of two sessions in turn, as behind a proxy."""

    @property
    def info(self):
        """Return what a proxy tells: a process of its own."""
        real = super().info

        class Info:
            backend_pid = -1

            def __getattr__(self, name):
                return getattr(real, name)

        return Info()


def test_behind_a_proxy_leases_decide(make, monkeypatch, caplog):
    """Where sessions are lent to transactions, no worker is ever proved dead, and a log line says so."""
    mine = make()
    mine.commit(batch(postings=(posting("a"), posting("b"))))
    monkeypatch.setattr(psycopg, "connect", Proxied.connect)
    proxied = make()
    with caplog.at_level(logging.WARNING, "supportflow.stores"):
        worker = proxied.worker()
    assert f"lease_only worker={worker.id}: " in caplog.text
    assert proxied._core.driver._connections.prepare is False
    monkeypatch.undo()
    [claimed] = proxied.claim(SEND, worker, 1)
    assert proxied.begin(claimed)
    assert not proxied.begin(claimed)
    proxied.close()
    assert [] == mine.claim(REAP, mine.worker(), 9)
    [brief] = make().claim(Work(WorkKind.send, (CHANNEL,), timedelta(0)), mine.worker(), 1)
    assert [brief.row.id] == [claimed.row.id for claimed in mine.claim(REAP, mine.worker(), 9)]


def test_another_session_that_answers_is_noticed(make, monkeypatch, caplog):
    """If the lock that was taken is not there in the next statement, it is not relied on."""
    mine = make()
    taken = postgres_liveness._TAKE.replace("pg_try_advisory_lock", "pg_try_advisory_xact_lock")
    monkeypatch.setattr(postgres_liveness, "_TAKE", taken)
    mine.worker()
    assert "lease_only" in caplog.text
    assert session(mine) is None


def test_a_loop_has_its_locks_too(postgres, make):
    """What is proved of threads is proved of an event loop."""
    mine = make()
    mine.commit(batch(postings=(posting("a"),)))

    async def main():
        other = AsyncPostgresStore(postgres.dsn, schema=postgres.name)
        worker = await other.worker()
        [claimed] = await other.claim(SEND, worker, 9)
        assert await other.begin(claimed)
        heir = mine.worker()
        assert [] == mine.claim(REAP, heir, 9)
        await other.close()
        assert 1 == len(mine.claim(REAP, heir, 9))

    asyncio.run(main())
