"""Prove that only a server that can hold a store is used, and that migrations are whole."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from supportflow import PostgresStore
from supportflow.errors import SchemaTooNew, StoreCorrupt, StoreUnavailable
from supportflow.stores import Wanted, postgres_schema
from supportflow.testing.store_samples import batch


@pytest.fixture
def make(bare_postgres):
    """Return a function that opens the store."""
    return lambda: PostgresStore(bare_postgres.dsn, schema=bare_postgres.name)


@pytest.mark.parametrize(
    ("server", "told"),
    [((120_022, "UTF8"), "is version 12; supportflow needs 13"), ((160_004, "LATIN1"), "LATIN1")],
)
def test_a_server_that_cannot_hold_a_store_is_refused(server, told):
    """A too old server, and a database that cannot hold every text, are refused by name."""
    with pytest.raises(StoreUnavailable, match=told):
        postgres_schema.check_server(*server, "host=db")


def test_an_old_server_is_refused(make, monkeypatch):
    """The server's own word is what counts."""
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 120_022)
    with pytest.raises(StoreUnavailable, match="needs 13 or newer"):
        make()


def test_a_newer_schema_is_refused(make, bare_postgres):
    """Tables that a newer supportflow made are not touched; the error says what to upgrade."""
    make().close()
    bare_postgres.ask("UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(SchemaTooNew, match="has schema 99, and this supportflow knows 2: upgrade"):
        make()


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM meta WHERE name = 'schema'", "does not say which schema"),
        ("UPDATE meta SET value = 'x' WHERE name = 'schema'", "does not say which schema"),
        ("DROP TABLE once", "another program's tables: give another name"),
    ],
)
def test_tables_without_our_marks_are_refused(make, bare_postgres, sql, told):
    """What says nothing of its schema is not guessed at."""
    make().close()
    bare_postgres.ask(sql)
    with pytest.raises(StoreCorrupt, match=told):
        make()


def test_another_programs_tables_are_left_alone(make, bare_postgres):
    """A schema that holds somebody else's tables is refused, and stays as it is."""
    bare_postgres.ask(f"CREATE SCHEMA {bare_postgres.name}; CREATE TABLE message (id int)")
    with pytest.raises(StoreCorrupt, match="another program's tables"):
        make()
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace"
    assert [("message",)] == bare_postgres.ask(tables, bare_postgres.name)


def test_a_schema_that_is_there_is_used(make, bare_postgres):
    """Whoever may not create schemas is given an empty one."""
    bare_postgres.ask(f"CREATE SCHEMA {bare_postgres.name}")
    with closing(make()) as store:
        store.commit(batch(once={"a": "b"}))


def test_migrations_come_after_each_other(make, bare_postgres, monkeypatch):
    """A new migration is applied to old tables, which keep what they hold, and not again."""
    with closing(make()) as store:
        store.commit(batch(once={"a": "b"}))
    more = "CREATE TABLE more (a text); INSERT INTO more VALUES (';');"
    scripts = [*postgres_schema._migrations(), more]
    monkeypatch.setattr(postgres_schema, "_migrations", lambda: scripts)
    for _ in range(2):
        with closing(make()) as store:
            assert {"a": "b"} == store.load(Wanted(once=("a",))).once
        assert [(";",)] == bare_postgres.ask("SELECT a FROM more")


def test_a_migration_that_fails_leaves_the_old_schema(make, bare_postgres, monkeypatch):
    """What a migration did before it failed is taken back; old code goes on with the tables."""
    make().close()
    broken = [*postgres_schema._migrations(), "DROP TABLE message; SELECT nothing"]
    with monkeypatch.context() as patched:
        patched.setattr(postgres_schema, "_migrations", lambda: broken)
        with pytest.raises(StoreCorrupt, match="nothing"):
            make()
    make().close()
    assert [(0,)] == bare_postgres.ask("SELECT count(*) FROM message")


def test_a_migration_does_not_wait_for_ever(make, bare_postgres, monkeypatch):
    """While somebody else migrates for too long, the error says to try again."""
    monkeypatch.setattr(postgres_schema, "_PATIENCE", 50)
    with bare_postgres.connect() as other:
        other.execute(f"SELECT pg_advisory_lock({postgres_schema._MIGRATING})")
        with pytest.raises(StoreUnavailable, match="locked for too long: try again"):
            make()
    make().close()


def test_many_that_open_at_once_migrate_once(make, bare_postgres):
    """Eight threads open the same new schema at the same moment: each finds it ready."""
    with ThreadPoolExecutor(8) as pool:
        for store in pool.map(lambda _: make(), range(8)):
            store.close()
    assert [("2",)] == bare_postgres.ask("SELECT value FROM meta WHERE name = 'schema'")


def test_a_missing_extra_is_named():
    """Without psycopg, the error says what to install."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from supportflow.errors import MissingExtra\n"
        "try:\n    from supportflow import PostgresStore\n"
        "except MissingExtra as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'supportflow[postgres]'" in done.stdout


def test_another_missing_module_is_no_missing_extra():
    """If it is our own module that cannot be found, nobody is sent to install an extra."""
    code = (
        "import sys; sys.modules['supportflow.stores.postgres_core'] = None\n"
        "try:\n    from supportflow import PostgresStore\n"
        "except ModuleNotFoundError as error:\n    print(type(error).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ModuleNotFoundError\n" == done.stdout
