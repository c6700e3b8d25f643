"""Prove that a transaction whose connection is lost is done once, or said to be in doubt."""

from contextlib import closing, suppress

import attrs
import psycopg
import pytest

from supportflow import Desk, PostgresStore
from supportflow.errors import Conflict, InvalidValue, StoreUnavailable
from supportflow.model import Author, Inbound, Message
from supportflow.stores import Outbox, RowState, Wanted, Work, Worker, WorkKind, postgres_driver
from supportflow.stores.postgres_connections import Connections
from supportflow.stores.sql import Statement
from supportflow.testing.store_samples import (
    CHANNEL,
    START,
    batch,
    continued,
    opened,
    posting,
    said,
    sent,
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


def cut(postgres):
    """End every session but the test's own, as a restart of the server would."""
    postgres.ask(OTHERS)


@pytest.fixture
def cut_at(monkeypatch, postgres):
    """Return a function that lets the connection be lost just before or after one statement."""

    def prepare(word, *, after):
        execute = psycopg.Connection.execute

        def cutting(connection, sql, *args, **options):
            if not str(sql).startswith(word) or connection is postgres.connection:
                return execute(connection, sql, *args, **options)
            monkeypatch.undo()
            if after:
                done = execute(connection, sql, *args, **options)
                with suppress(psycopg.ProgrammingError):  # it has no rows, but then it is done
                    done.fetchone()
            cut(postgres)
            return execute(connection, "SELECT 1")

        monkeypatch.setattr(psycopg.Connection, "execute", cutting)
        return lambda: psycopg.Connection.execute is execute

    return prepare


def test_lost_connections_are_replaced(store, postgres):
    """After the server ended all sessions, the next calls work as if nothing had been."""
    worker = store.worker()
    store.commit(batch(postings=(posting("a"), posting("b"))))
    cut(postgres)
    store.commit(batch(once={"a": "b"}))
    cut(postgres)
    assert {"a": "b"} == store.load(Wanted(once=("a",))).once
    cut(postgres)
    first, second = store.claim(Work(WorkKind.send, (CHANNEL,)), worker, 2)
    assert store.begin(first)
    cut(postgres)
    assert store.begin(second)
    assert not store.begin(second)


@pytest.mark.parametrize("word", ["BEGIN", "SELECT id, head", "UPDATE", "COMMIT"])
def test_a_commit_whose_connection_is_lost_is_done_once(store, postgres, cut_at, word):
    """Wherever in a commit the connection ends, everything of it is there afterwards, once."""
    first = opened()
    store.commit(batch(first))
    was_cut = cut_at(word, after=False)
    store.commit(batch(continued(first.after), messages=(said("1", first.after),), once={"a": "b"}))
    assert was_cut()
    assert [(2,)] == postgres.ask("SELECT count(*) FROM event")
    assert [(1,)] == postgres.ask("SELECT count(*) FROM message")


def test_a_lost_answer_is_a_conflict_for_whoever_decided(store, postgres, cut_at):
    """A commit that happened, although its answer was lost, is not done again: it is read again."""
    was_cut = cut_at("COMMIT", after=True)
    with pytest.raises(Conflict, match="read again, decide again"):
        store.commit(batch(opened(), messages=(said("1", None),), once={"a": "b"}))
    assert was_cut()
    assert [(1,)] == postgres.ask("SELECT count(*) FROM message")
    assert {"a": "b"} == store.load(Wanted(once=("a",))).once


def test_a_desk_finds_what_it_had_recorded(store, cut_at):
    """Its programs read again: the message is there once, and counts as known."""
    commit, cuts = store.commit, []

    def committed(changes):
        if not cuts:
            cuts.append(cut_at("COMMIT", after=True))
        commit(changes)

    store.commit = committed
    message = Message("net", "post", "1", Author("ola"), "Where is it?", START)
    taken = Desk(store).intake("net", [Inbound(message)])
    assert cuts[0]()
    assert (0, 1) == (taken.recorded, taken.duplicates)


def test_a_look_needs_no_commit(store, cut_at):
    """What was read is told, also if the connection ends before its transaction does."""
    store.commit(batch(once={"a": "b"}))
    was_cut = cut_at("COMMIT", after=False)
    assert {"a": "b"} == store.load(Wanted(once=("a",))).once
    assert was_cut()


def test_a_statement_alone_that_fails_leaves_its_session(store):
    """What the workers' session refuses is explained, and the session goes on."""
    store.worker()
    driver = store._core.driver
    session = driver._liveness._session

    def refused():
        yield Statement("SELECT 1 / 0")

    with pytest.raises(InvalidValue, match="division by zero"):
        store._wire.run(driver.run_alive(store._core._openings.begin, refused))
    assert session is driver._liveness._session
    assert not session.closed


def test_a_begin_whose_answer_is_lost_is_no_leave_to_send(store, cut_at):
    """Whoever does not know whether `begin` was recorded is told not to send."""
    store.commit(batch(postings=(posting("a"),)))
    [claimed] = store.claim(Work(WorkKind.send, (CHANNEL,)), store.worker(), 1)
    was_cut = cut_at("UPDATE outbox", after=True)
    assert not store.begin(claimed)
    assert was_cut()
    assert RowState.sending is store.find(Outbox()).rows[0].state


def test_what_nobody_can_say_is_said(store, cut_at):
    """If the server does not come back, the error says that the end is unknown, and what to do."""
    connect, was_cut = Connections.connect, cut_at("COMMIT", after=True)

    def gone(connections):
        if was_cut():
            raise psycopg.OperationalError("gone")
        return connect(connections)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_driver, "_PAUSE", 0)
        patch.setattr(Connections, "connect", gone)
        with pytest.raises(StoreUnavailable, match=r"did not come back to say how it ended: do"):
            store.commit(batch(once={"a": "b"}))


def test_a_claim_whose_commit_was_lost_begins_nothing(store, postgres):
    """What looks like our claim, and is another worker's with the same fence, is not begun."""
    store.commit(batch(postings=(posting("a"),)))
    [claimed] = store.claim(Work(WorkKind.send, (CHANNEL,)), store.worker(), 1)
    theirs = attrs.evolve(claimed, worker=Worker(claimed.worker.id + 1))
    assert not store.begin(theirs)
    assert store.begin(claimed)


def test_a_restart_in_the_middle(postgres_server):
    """While the server is gone every call says so; when it is back, the same store goes on."""
    with closing(PostgresStore(postgres_server.dsn)) as store:
        worker = store.worker()
        store.commit(batch(postings=(posting("a"), posting("b"))))
        claims = store.claim(Work(WorkKind.send, (CHANNEL,)), worker, 2)
        postgres_server.stop()
        calls = (
            lambda: store.commit(batch(once={"a": "b"})),
            lambda: store.load(Wanted(once=("a",))),
            lambda: store.begin(claims[0]),
            store.worker,
        )
        for call in calls:
            with pytest.raises(StoreUnavailable, match=r"no connection: .*Nothing was changed"):
                call()
        postgres_server.restart()
        assert {} == store.load(Wanted(once=("a",))).once
        assert store.begin(claims[0])
        store.commit(batch(settlements=(sent("a"),)))
        postgres_server.restart()
        assert store.begin(claims[1])
        assert ["sent", "sending"] == [row.state for row in store.find(Outbox()).rows]
