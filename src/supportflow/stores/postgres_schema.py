"""Making a server ours: what it must be, and the migrations, one after another under a lock."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import Any

from supportflow.errors import SchemaTooNew, StoreCorrupt, StoreUnavailable
from supportflow.stores.postgres_wire import Steps

__all__ = ["check_server", "migrate"]

#: `pg_current_xact_id` and `gen_random_uuid` (https://www.postgresql.org/docs/13/release-13.html).
_OLDEST = 130_000
#: "supportf" in ASCII: who migrates holds this lock.
_MIGRATING = 0x737570706F727466
#: How long to wait for another migration, or for readers of a table to change, in milliseconds.
_PATIENCE = 5_000


def check_server(version: int, encoding: str, where: str) -> None:
    """Refuse a server that cannot hold a store.

    Args:
        version: As in `server_version_num`.
        encoding: The database's.
        where: Which server it is, for the message.

    Raises:
        StoreUnavailable: If it is too old, or its encoding cannot hold every text.
    """
    if version < _OLDEST:
        raise StoreUnavailable(
            f"PostgreSQL ({where}) is version {version // 10_000}; supportflow needs 13 or newer"
        )
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"PostgreSQL ({where}): the database's encoding is {encoding}: create one with UTF8"
        )


def migrate(connection: Any, schema: str, where: str) -> Steps[None]:
    """Bring the schema up to date; all of a migration is done, or nothing.

    Args:
        connection: A connection without a transaction.
        schema: Where the tables stand.
        where: Which server it is, for the message.

    Raises:
        SchemaTooNew: If a newer supportflow wrote it.
        StoreCorrupt: If it is another program's.
    """
    known = _migrations()
    if (yield from _version(connection, schema, where, known)) == len(known):
        return
    yield partial(connection.execute, "BEGIN")
    try:
        yield partial(connection.execute, f"SET LOCAL lock_timeout = {_PATIENCE}")
        yield partial(connection.execute, f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        version = yield from _version(connection, schema, where, known)
        cursor = yield partial(
            connection.execute, "SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)
        )
        if not (yield partial(cursor.fetchall)):  # IF NOT EXISTS would need the right all the same
            yield partial(connection.execute, f'CREATE SCHEMA "{schema}"')
        yield partial(connection.execute, f'SET LOCAL search_path = "{schema}"')
        for script in known[version or 0 :]:
            yield partial(connection.execute, script)
        yield partial(
            connection.execute,
            "INSERT INTO meta (name, value) VALUES ('schema', %s)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(len(known)),),
        )
        yield partial(connection.execute, "COMMIT")
    except BaseException:
        yield partial(connection.close)
        raise


def _version(connection: Any, schema: str, where: str, known: list[str]) -> Steps[int | None]:
    """Return the number of the newest migration; None if there are no tables."""
    cursor = yield partial(
        connection.execute,
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind = 'r'",
        (schema,),
    )
    tables = {name for (name,) in (yield partial(cursor.fetchall))}
    if not tables:
        return None
    if not {"meta", "outbox", "once"} <= tables:
        raise StoreCorrupt(
            f"PostgreSQL ({where}): the schema {schema} holds another program's tables: give"
            " another name"
        )
    cursor = yield partial(
        connection.execute,
        f"SELECT value FROM \"{schema}\".meta WHERE name = 'schema'",  # noqa: S608  a name that was checked
    )
    row = yield partial(cursor.fetchone)
    if row is None or not row[0].isdecimal():
        raise StoreCorrupt(
            f"PostgreSQL ({where}): {schema}.meta does not say which schema it has: restore a backup"
        )
    version = int(row[0])
    if version > len(known):
        raise SchemaTooNew(
            f"PostgreSQL ({where}): {schema} has schema {version}, and this supportflow knows"
            f" {len(known)}: upgrade it"
        )
    return version


def _migrations() -> list[str]:
    folder = files("supportflow.stores") / "schema" / "postgres"
    scripts = {item.name: item for item in folder.iterdir() if item.name.endswith(".sql")}
    return [scripts[name].read_text(encoding="utf-8") for name in sorted(scripts)]
