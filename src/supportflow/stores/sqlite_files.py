"""Opening an SQLite file as ours: settings, migrations, and what its errors mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from supportflow.errors import (
    InvalidValue,
    SchemaTooNew,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
)

__all__ = ["BUSY_SECONDS", "MEMORY", "connect", "explained"]

#: The path of a database that lives in memory, for one process.
MEMORY = ":memory:"
#: How long to wait for another process that is writing.
BUSY_SECONDS = 10.0
#: "SFLW": how a database says whose it is (https://www.sqlite.org/pragma.html#pragma_application_id).
_OURS = 0x53464C57
#: RETURNING (https://www.sqlite.org/lang_returning.html).
_OLDEST = (3, 35, 0)

_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a reply that was begun is never begun again: not even after a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -65536",  # KiB
    "PRAGMA trusted_schema = OFF",
)

_MEANINGS = {
    sqlite3.SQLITE_BUSY: "another process kept it locked for over 10 seconds: try again",
    sqlite3.SQLITE_LOCKED: "another connection keeps it locked: try again",
    sqlite3.SQLITE_READONLY: "it is read-only: make the file and its directory writable",
    sqlite3.SQLITE_FULL: "the disk is full: free some space and try again",
    sqlite3.SQLITE_IOERR: "the disk refused to read or write (full, over quota or failing)",
    sqlite3.SQLITE_PERM: "access is denied: make the file and its directory accessible",
    sqlite3.SQLITE_NOMEM: "memory ran out: try again with more of it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: its directory must exist and be writable",
    sqlite3.SQLITE_AUTH: "access is denied",
}
#: `SQLITE_ERROR` among them: our statements are right, so a table or column is missing.
_CORRUPT = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_ERROR,
}


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ours, which say what to do.

    Args:
        path: The database, for the message.

    Raises:
        StoreUnavailable: If it cannot be read or written now.
        StoreCorrupt: If it can never be.
        InvalidValue: If a value cannot be stored.
    """
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # whoever wrote knows what it means
    except UnicodeDecodeError as error:  # SQLite quotes what it found in a damaged schema
        raise _corrupt(path, error) from error
    except (UnicodeEncodeError, OverflowError, sqlite3.ProgrammingError) as error:
        raise InvalidValue(f"SQLite cannot store this: {error}") from error
    except sqlite3.Error as error:
        raise _explanation(path, error) from error


def _explanation(path: str, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT or "Could not decode" in str(error):
        return _corrupt(path, error)
    meaning = _MEANINGS.get(code, "it failed in an unexpected way")
    return StoreUnavailable(f"{path}: {meaning} (SQLite says: {error}). Nothing was changed.")


def _corrupt(path: str, error: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path} is damaged, or no database of ours ({error}): restore a backup, or give another"
        " path"
    )


def connect(path: str) -> sqlite3.Connection:
    """Open a database, and bring its schema up to date.

    Args:
        path: The file, made if it does not exist, or `":memory:"`.

    Raises:
        StoreUnavailable: If it cannot be opened.
        StoreCorrupt: If it is damaged, or somebody else's.
        SchemaTooNew: If a newer supportflow wrote it.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StoreUnavailable(
            f"this Python brings SQLite {sqlite3.sqlite_version}; supportflow needs 3.35 or newer"
        )
    if path != MEMORY:
        _check_place(Path(path))
    with explained(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _set_up(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _check_place(path: Path) -> None:
    try:
        folder, known = path.is_dir(), path.parent.is_dir()
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error}: make its directory writable") from error
    if folder:
        raise StoreUnavailable(f"{path} is a directory: give the path of a file in it")
    if not known:
        raise StoreUnavailable(f"{path.parent} is not a directory: make it, or give another path")


def _set_up(connection: sqlite3.Connection, path: str) -> None:
    version = _version(connection, path)
    known = _migrations()
    if version > len(known):
        raise SchemaTooNew(
            f"{path} has schema {version}, and this supportflow knows {len(known)}: upgrade it"
        )
    for setting in _SETTINGS:
        _patiently(connection, setting)
    if version < len(known):
        _migrate(connection, path, known)


def _patiently(connection: sqlite3.Connection, sql: str) -> None:
    """Execute a setting; switching to WAL does not wait for others by itself."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _version(connection: sqlite3.Connection, path: str) -> int:
    """Return the number of the newest migration that the database has had."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if not tables and not owner:
        return 0
    if owner != _OURS or "meta" not in tables:
        raise StoreCorrupt(f"{path} is another program's database: give another path")
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if row is None or not isinstance(row[0], int):
        raise StoreCorrupt(f"{path} does not say which schema it has: restore a backup")
    return row[0]


def _migrations() -> list[str]:
    folder = files("supportflow.stores") / "schema" / "sqlite"
    scripts = {item.name: item for item in folder.iterdir() if item.name.endswith(".sql")}
    return [scripts[name].read_text(encoding="utf-8") for name in sorted(scripts)]


def _migrate(connection: sqlite3.Connection, path: str, known: list[str]) -> None:
    """Apply what is missing in one transaction: all of it, or nothing."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        for number, script in enumerate(known, 1):
            if number > _version(connection, path):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_OURS}")
                connection.execute(
                    "REPLACE INTO meta (name, value) VALUES ('schema', ?)", (number,)
                )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
