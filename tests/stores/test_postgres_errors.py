"""Prove that every refusal of the server says what to do, and that no password passes through."""

import random
import traceback
from contextlib import closing

import attrs
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from supportflow import PostgresStore
from supportflow.errors import InvalidValue, StoreCorrupt, StoreUnavailable
from supportflow.stores import Conversations, Wanted
from supportflow.stores.postgres_errors import explained, transient
from supportflow.testing.store_samples import batch, opened, said

SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"port": 1}, r"no connection: check the DSN .* refused"),
        ({"dbname": "nowhere"}, r'no connection: .*database "nowhere" does not exist'),
        ({"user": "nobody"}, r'no connection: .*role "nobody" does not exist'),
    ],
)
def test_a_wrong_dsn_is_explained(postgres, change, told):
    """What cannot be reached or is refused says so at once, with the reason and without the password."""
    dsn = make_conninfo(postgres.dsn, password=SECRET, connect_timeout=5, **change)
    with pytest.raises(StoreUnavailable, match=told) as refused:
        PostgresStore(dsn)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://user:{SECRET}@host/db?nonsense=1",
        f"host=db password={SECRET} nonsense",
        f"{SECRET}",
        f"postgresql://user:{SECRET}@[::1/db",
    ],
)
def test_an_unreadable_dsn_is_not_shown(dsn):
    """A DSN with a mistake in it is not quoted, by no part of the error: it may hold a password."""
    with pytest.raises(InvalidValue, match="percent-encoded") as refused:
        PostgresStore(dsn)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_its_repr_names_the_database_without_the_password(postgres):
    """A log line shows which database and schema it is, and no secret."""
    dsn = make_conninfo(postgres.dsn, password=SECRET)
    with closing(PostgresStore(dsn, schema=postgres.name)) as store:
        shown = repr(store)
    assert f"port={conninfo_to_dict(dsn)['port']} schema={postgres.name}')" in shown
    assert SECRET not in shown


def test_missing_rights_are_named(postgres, bare_postgres):
    """A role without CREATE, and one without rights on the tables, learn what to grant; a schema is enough."""
    postgres.ask(f'DROP ROLE IF EXISTS "{bare_postgres.name}"')
    postgres.ask(f'CREATE ROLE "{bare_postgres.name}" LOGIN')
    dsn = make_conninfo(postgres.dsn, user=bare_postgres.name)
    try:
        with pytest.raises(StoreUnavailable, match=r"lacks rights: GRANT .* CREATE on the data"):
            PostgresStore(dsn, schema=bare_postgres.name)
        postgres.ask(f'CREATE SCHEMA {bare_postgres.name} AUTHORIZATION "{bare_postgres.name}"')
        PostgresStore(dsn, schema=bare_postgres.name).close()
        postgres.ask(f'GRANT USAGE ON SCHEMA {postgres.name} TO "{bare_postgres.name}"')
        with pytest.raises(StoreUnavailable, match=r"permission denied for table meta"):
            PostgresStore(dsn, schema=postgres.name)
    finally:
        postgres.ask(f'DROP OWNED BY "{bare_postgres.name}"')
        postgres.ask(f'DROP ROLE "{bare_postgres.name}"')


def test_a_standby_is_named(postgres):
    """Where nothing can be written, the error says to name the primary server."""
    dsn = make_conninfo(postgres.dsn, options="-c default_transaction_read_only=on")
    with (
        closing(PostgresStore(dsn, schema=postgres.name)) as store,
        pytest.raises(StoreUnavailable, match="name the primary server"),
    ):
        store.commit(batch(once={"a": "b"}))


def test_a_missing_table_is_damage(bare_postgres):
    """What is not as we made it is damage, and the error says to restore a backup."""
    with closing(PostgresStore(bare_postgres.dsn, schema=bare_postgres.name)) as store:
        bare_postgres.ask("DROP TABLE quarantine")
        bare_postgres.ask("ALTER TABLE once RENAME COLUMN result TO other")
        with pytest.raises(StoreCorrupt, match="restore a backup"):
            store.load(Wanted(once=("a",)))


@pytest.mark.parametrize("value", [2**70, object(), "\ud800", "a\0b", {"a": 1}])
def test_a_value_that_no_table_takes_is_refused(postgres, value):
    """What PostgreSQL cannot keep is one error of ours, and nothing is written."""
    with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as store:
        with pytest.raises(InvalidValue):
            store.commit(
                batch(once={"a": "b"}, messages=(attrs.evolve(said("1", None), skeleton=value),))
            )
        assert {} == store.load(Wanted(once=("a",))).once


def test_an_id_that_no_index_takes_is_refused(postgres):
    """An id of a megabyte is refused as a value, and nothing of its page is written."""
    long = random.Random(1).randbytes(50_000).hex()
    with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as store:
        with pytest.raises(InvalidValue, match="PostgreSQL cannot store this"):
            store.commit(batch(opened(), once={long: "done"}))
        assert () == store.find(Conversations()).conversations


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("53300", "no connection left"),
        ("53100", "disk is full"),
        ("53200", "lacks resources"),
        ("57P03", "stopping or starting"),
        ("57014", "was cancelled"),
        ("XX000", "failed in an unexpected way"),
        ("08006", "no connection"),
    ],
)
def test_what_a_test_cannot_bring_about_is_explained_too(state, told):
    """Each class of refusal has words of its own that say what to do."""
    error = psycopg.errors.lookup(state)(f"said with {SECRET}")
    meant = explained(error, {"host": "db.example.com", "password": SECRET})
    assert isinstance(meant, StoreUnavailable)
    assert told in str(meant)
    assert "host=db.example.com" in str(meant)
    assert SECRET not in str(meant)


def test_only_databases_errors_are_transient():
    """What is no error of the database is never tried again."""
    assert not transient(ValueError("40001"))
    assert transient(psycopg.errors.DeadlockDetected())
