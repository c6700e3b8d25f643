"""Prove that the store on PostgreSQL keeps the contract, in threads, processes and on a loop, and what is its own."""

import time

import pytest
from hypothesis import settings

from supportflow import AsyncPostgresStore, PostgresStore
from supportflow.testing import (
    Blocking,
    OutboxMachine,
    SharedStoreContract,
    StoreContract,
    StoreMachine,
    store_writers,
)


def opening(schema, clock=None):
    """Open a store in a process of its own."""
    return PostgresStore(schema[0], clock, schema=schema[1])


def fewer(monkeypatch, each):
    """Let every writer of the contract write less: a server takes its time over each commit."""
    monkeypatch.setattr(store_writers, "EACH", each)
    notes = {f"{writer}-{n}" for writer in range(store_writers.WRITERS) for n in range(each)}
    monkeypatch.setattr(store_writers, "NOTES", notes)


@pytest.fixture(autouse=True)
def patient_kill(monkeypatch, postgres):
    """Let the server notice that a process was killed, which it does a moment later."""
    kill = store_writers._Child.kill

    def killed(child):
        before = postgres.sessions()
        kill(child)
        until = time.monotonic() + 30
        while postgres.sessions() >= before:
            assert time.monotonic() < until, "the server keeps the sessions of a dead process"

    monkeypatch.setattr(store_writers._Child, "kill", killed)


class TestPostgresStore(SharedStoreContract):
    """The contract, kept in tables that processes share."""

    @pytest.fixture(autouse=True)
    def fewer_writes(self, monkeypatch):
        fewer(monkeypatch, 12)

    @pytest.fixture
    def reopen(self, postgres, clock):
        opened = []

        def make():
            opened.append(PostgresStore(postgres.dsn, clock, schema=postgres.name))
            return opened[-1]

        yield make
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, reopen):
        return reopen()

    @pytest.fixture
    def in_other_process(self, postgres):
        return opening, ((postgres.dsn, postgres.name),)


class TestAsyncPostgresStore(StoreContract):
    """The contract, asked on an event loop; the database is that of above, so it writes less."""

    @pytest.fixture(autouse=True)
    def fewer_writes(self, monkeypatch):
        fewer(monkeypatch, 4)

    @pytest.fixture
    def reopen(self, postgres, clock):
        opened = []

        def make():
            opened.append(Blocking(AsyncPostgresStore(postgres.dsn, clock, schema=postgres.name)))
            return opened[-1]

        yield make
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, reopen):
        return reopen()


class Placed:
    """Make a machine's stores in the schema that a fixture gives it."""

    def make(self, clock):
        self.place.empty()
        return PostgresStore(self.place.dsn, clock, schema=self.place.name)

    def reopen(self, store):
        return PostgresStore(self.place.dsn, self.clock, schema=self.place.name)


class PostgresMachine(Placed, StoreMachine):
    pass


class PostgresOutboxMachine(Placed, OutboxMachine):
    pass


class TestPostgresMachine(PostgresMachine.TestCase):
    settings = settings(max_examples=5, stateful_step_count=25, deadline=None)

    @pytest.fixture(autouse=True)
    def place(self, postgres):
        PostgresMachine.place = postgres


class TestPostgresOutboxMachine(PostgresOutboxMachine.TestCase):
    settings = settings(max_examples=5, stateful_step_count=25, deadline=None)

    @pytest.fixture(autouse=True)
    def place(self, postgres):
        PostgresOutboxMachine.place = postgres
