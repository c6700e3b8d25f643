"""What PostgreSQL's errors mean, and what to do about them; no password passes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from supportflow.errors import InvalidValue, StoreCorrupt, StoreUnavailable, SupportflowError

__all__ = ["explained", "parsed", "shown", "transient"]

#: By SQLSTATE, or by its class (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_MEANINGS = {
    "42501": "the role lacks rights: GRANT it the schema and its tables, or CREATE on the database",
    "25006": "it is read-only, a standby perhaps: name the primary server in the DSN",
    "55P03": "somebody kept it locked for too long: try again",
    "57014": "the statement was cancelled, or took longer than the server allows: try again",
    "53300": "the server has no connection left: raise max_connections, or lower `connections`",
    "53100": "the server's disk is full: free some space and try again",
    "53": "the server lacks resources: try again with more of them",
    "40": "it met others again and again (deadlocks): try again",
    "57P": "the server is stopping or starting: try again",
    "58": "the server's disk failed",
}
#: libpq gives no SQLSTATE for a connection that was refused; the server's words say why.
_UNREACHABLE = (
    "no connection: check the DSN (host, port, user, password, database), the network, and that"
    " the server runs and takes us in"
)
#: Values that no column takes, and rows that no index takes.
_INVALID = ("22", "23", "54")
#: Damaged pages, and tables or columns that are not there.
_CORRUPT = ("XX001", "XX002", "42P01", "42703", "3F000")
#: Everything of the transaction was undone because of others: it may be done again.
_TRANSIENT = ("40001", "40P01")
#: Two commits took the same place in a stream that is no conversation's; the second takes the next.
_NEXT_PLACE = "outbox_stream_seq_key"
#: What of a DSN is never shown.
_SECRETS = ("password", "sslpassword")


def parsed(dsn: str) -> dict[str, Any]:
    """Return the parts of a DSN.

    Args:
        dsn: A URL or key=value pairs, as libpq takes them
            (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING).

    Raises:
        InvalidValue: If it is none. The message does not show it: it may hold a password.
    """
    try:
        return conninfo_to_dict(dsn)
    except psycopg.Error:
        raise InvalidValue(
            "the DSN of PostgreSQL cannot be read (it is not shown, as it may hold a password):"
            " write postgresql://user:password@host:5432/database, with special characters"
            " percent-encoded"
        ) from None


def shown(settings: Mapping[str, Any]) -> str:
    """Return what may be shown of a DSN.

    Args:
        settings: Its parts.

    Example:
        >>> shown(parsed("postgresql://ola:secret@db.example.com/support"))
        'user=ola dbname=support host=db.example.com'
    """
    names = ("user", "dbname", "host", "hostaddr", "port", "service")
    return " ".join(f"{name}={settings[name]}" for name in names if settings.get(name))


def transient(error: BaseException) -> bool:
    """Say whether a transaction failed only because of others, and was undone.

    Args:
        error: What was raised.
    """
    if not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate in _TRANSIENT or error.diag.constraint_name == _NEXT_PLACE


def explained(error: psycopg.Error, settings: Mapping[str, Any]) -> SupportflowError:
    """Return our error, which says what to do.

    Args:
        error: What psycopg raised.
        settings: The parts of the DSN.
    """
    where, said = shown(settings), _without_secrets(str(error), settings)
    state = error.sqlstate or ""
    unsendable = not state and isinstance(error, (psycopg.DataError, psycopg.ProgrammingError))
    if unsendable or state.startswith(_INVALID):
        return InvalidValue(f"PostgreSQL cannot store this: {said}")
    if state in _CORRUPT:
        return StoreCorrupt(
            f"PostgreSQL ({where}): a table is damaged, or not as we made it ({said}): restore a"
            " backup, or give another schema"
        )
    meaning = _meaning(state)
    return StoreUnavailable(
        f"PostgreSQL ({where}): {meaning} (it says: {said}). Nothing was changed."
    )


def _meaning(state: str) -> str:
    if not state or state.startswith("08"):
        return _UNREACHABLE
    known = (_MEANINGS.get(state[:length]) for length in (5, 3, 2))
    return next(filter(None, known), "it failed in an unexpected way")


def _without_secrets(text: str, settings: Mapping[str, Any]) -> str:
    for name in _SECRETS:
        if secret := settings.get(name):
            text = text.replace(secret, "***")
    return " ".join(text.split())
