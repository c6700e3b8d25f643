"""Prove that a place which cannot hold a store says so in one clear error, and that migrations are whole."""

import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from supportflow.errors import SchemaTooNew, StoreCorrupt, StoreError, StoreUnavailable
from supportflow.model import CustomerRef
from supportflow.stores import Conversations, Messages, Outbox, Wanted, sqlite_files
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import CHANNEL, batch, opened, posting, said


@pytest.fixture
def path(tmp_path):
    """Return where the file is to be."""
    return tmp_path / "support.db"


@pytest.fixture
def store(path):
    """Return a fresh store."""
    store = SQLiteStore(path)
    yield store
    store.close()


def fill(store, count, size=200):
    """Write one page of conversations with a message, an outbox row and a once-key each."""
    there = len(store.find(Conversations(limit=9999)).conversations)
    written = [opened(f"c{number}", str(number)) for number in range(there, there + count)]
    store.commit(
        batch(
            *written,
            messages=tuple(said(w.after.thread, w.after, text="x" * size) for w in written),
            postings=tuple(posting(f"row-{w.after.thread}", w.after) for w in written),
            once={f"page:{there}": "done"},
        )
    )


def whole(store):
    """Return how many of everything there is, if it is the same of everything."""
    counts = {
        len(store.find(Conversations(limit=9999)).conversations),
        len(store.find(Messages(limit=9999)).messages),
        len(store.find(Outbox(limit=9999)).rows),
    }
    assert 1 == len(counts), "a page was written in part"
    return counts.pop()


def in_process(script, *arguments):
    """Run a script in a process of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert "" == done.stderr
    return done.stdout.split()


# --- places ------------------------------------------------------------------------------


def test_a_directory_is_no_store(tmp_path):
    """The path of a directory is refused, and the error says to name a file."""
    with pytest.raises(StoreUnavailable, match="is a directory: give the path of a file"):
        SQLiteStore(tmp_path)


def test_a_missing_directory_is_named(tmp_path):
    """A file in a directory that is not there is refused; the directory is not made."""
    with pytest.raises(StoreUnavailable, match="missing is not a directory: make it"):
        SQLiteStore(tmp_path / "missing" / "support.db")
    assert [] == [*tmp_path.iterdir()]


def test_a_forbidden_directory_is_named(path, monkeypatch):
    """Where we may not even look, the error says what to make writable."""

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(StoreUnavailable, match="Permission denied: make its directory writable"):
        SQLiteStore(path)


@pytest.mark.parametrize("content", [b"not a database" * 99, b"SQLite format 3\0" + b"\xff" * 4096])
def test_another_file_is_left_alone(path, content):
    """A file that is no database is refused and stays as it is."""
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="give another"):
        SQLiteStore(path)
    assert content == path.read_bytes()


@pytest.mark.parametrize("table", ["meta", "users"])
def test_another_programs_database_is_left_alone(path, table):
    """A database of somebody else is refused, whatever its tables are called."""
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"CREATE TABLE {table} (name, value)")
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="another program's database: give another path"):
        SQLiteStore(path)
    assert before == path.read_bytes()


UNWRITABLE = """
import os, sys
from supportflow.errors import StoreUnavailable
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import batch

def attempt(name):
    if os.geteuid() == 0:  # nothing is read-only for root
        os.setgid(65534)
        os.setuid(65534)
    try:
        SQLiteStore(name).commit(batch(once={"a": "b"}))
    except StoreUnavailable as error:
        if name in str(error) and "writable" in str(error):
            print("refused", flush=True)

for name in sys.argv[1:]:
    if os.fork() == 0:
        attempt(name)
        os._exit(0)
    os.wait()
"""


def test_what_is_read_only_says_so():
    """A read-only directory, new file or existing file gives one clear error that says what to make writable."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in ("readable", "closed"):
            (folder / place).mkdir()
        SQLiteStore(folder / "readable" / "old.db").close()
        SQLiteStore(folder / "file.db").close()
        (folder / "readable" / "old.db").chmod(0o444)
        (folder / "file.db").chmod(0o444)
        (folder / "readable").chmod(0o555)
        (folder / "closed").chmod(0)
        folder.chmod(0o755)
        files = ("readable/new.db", "readable/old.db", "closed/new.db", "file.db")
        said = in_process(UNWRITABLE, *(folder / file for file in files))
        assert ["refused"] * 4 == said


def test_a_read_only_connection_changes_nothing(store):
    """When the file turns read-only under us, the commit fails whole and says so."""
    fill(store, 3)
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="it is read-only"):
        fill(store, 3)
    store._connection.execute("PRAGMA query_only = OFF")
    assert 3 == whole(store)


def test_a_full_disk_leaves_nothing_half_written(store):
    """When the file may not grow, a commit fails whole; when it may again, it is done."""
    fill(store, 5)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StoreUnavailable, match="the disk is full: free some space"):
        fill(store, 50)
    assert 5 == whole(store)
    store._connection.execute("PRAGMA max_page_count = 1000000")
    fill(store, 50)
    assert 55 == whole(store)


FULL = """
import resource, sys
from supportflow.errors import StoreUnavailable
from supportflow.stores.sqlite import SQLiteStore
from tests_of_files import fill, whole

store = SQLiteStore(sys.argv[1])
fill(store, 5)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
expected, refused = 5, 0
for kilobytes in range(0, 900, 12):
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, hard))
    try:
        fill(store, 5, 2000)
        expected += 5
    except StoreUnavailable as error:
        assert "Nothing was changed" in str(error), error
        refused += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert expected == whole(store), kilobytes
assert [("ok",)] == store._connection.execute("PRAGMA integrity_check").fetchall()
store.close()
print(refused > 5, expected > 20)
"""


def test_no_write_that_fails_leaves_half_a_page(path, tmp_path, monkeypatch):
    """The system refuses to write beyond a limit that rises from nothing: a commit is whole or refused."""
    shutil.copy(__file__, tmp_path / "tests_of_files.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert ["True", "True"] == in_process(FULL, path)


def test_a_locked_file_says_so(store, path):
    """While another process writes for longer than we wait, a commit fails whole and says to try again."""
    store._connection.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"another process kept it locked.*try again"):
            fill(store, 3)
        assert 0 == whole(store)  # reading goes on
    fill(store, 3)
    assert 3 == whole(store)


def test_opening_waits_for_who_writes(path, monkeypatch):
    """A file that another process is just making is opened as soon as that is done."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlite_files.time, "sleep", lambda _: other.close())
    SQLiteStore(path).close()


def test_opening_does_not_wait_for_ever(path, monkeypatch):
    """A file that another process never lets go of is refused, and the error says to try again."""
    monkeypatch.setattr(sqlite_files, "BUSY_SECONDS", 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="kept it locked"):
            SQLiteStore(path)


def test_commits_are_on_the_disk(store):
    """What a power cut would show, and no test can: every commit waits for the disk."""
    settings = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    found = {name: store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings}
    assert settings == found


def test_an_old_sqlite_is_refused(path, monkeypatch):
    """A Python with a too old SQLite is told which one is needed."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreUnavailable, match=r"needs 3\.35 or newer"):
        SQLiteStore(path)


# --- damage ------------------------------------------------------------------------------


def test_damage_is_named_or_harmless(path, tmp_path):
    """Random bytes in 150 copies of a file: whatever is asked works, or raises one error of ours."""
    with closing(SQLiteStore(path)) as store:
        fill(store, 20)
    content = path.read_bytes()
    dice = random.Random(20260302)
    found = []
    for number in range(150):
        damaged = bytearray(content)
        for _ in range(dice.choice((1, 3, 20))):
            at = dice.randrange(len(damaged))
            damaged[at : at + 16] = dice.randbytes(16)
        copy = tmp_path / f"{number}.db"
        copy.write_bytes(damaged)
        try:
            ask_everything(copy)
        except StoreError as error:
            found.append(type(error))
    assert 30 < found.count(StoreCorrupt) < 150


def ask_everything(path):
    """Read all that there is, write, and erase."""
    with closing(SQLiteStore(path)) as store:
        first = opened("c0", "0").after
        store.load(
            Wanted(
                conversations=(first.id,),
                heads=((CHANNEL, "1", "c1"),),
                messages=((CHANNEL, "status", "0"),),
                replies=("reply-row-0",),
            )
        )
        whole(store)
        store.log()
        fill(store, 2)
        store.erase(CustomerRef(CHANNEL, "c0"))


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM meta WHERE name = 'schema'", "does not say which schema"),
        ("UPDATE meta SET value = 'x' WHERE name = 'schema'", "does not say which schema"),
        ("PRAGMA application_id = 7", "another program's"),
    ],
)
def test_a_file_without_our_marks_is_refused(path, sql, told):
    """What says nothing of its schema is not guessed at."""
    SQLiteStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(sql)
    with pytest.raises(StoreCorrupt, match=told):
        SQLiteStore(path)


# --- migrations --------------------------------------------------------------------------


def test_a_newer_schema_is_refused(path):
    """A file that a newer supportflow wrote is not touched; the error says what to upgrade."""
    SQLiteStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    with pytest.raises(SchemaTooNew, match="has schema 99, and this supportflow knows 2: upgrade"):
        SQLiteStore(path)


def test_migrations_come_after_each_other(path, monkeypatch):
    """A new migration is applied to an old file, which keeps what it holds, and not again."""
    with closing(SQLiteStore(path)) as store:
        fill(store, 3)
    scripts = [
        *sqlite_files._migrations(),
        "CREATE TABLE more (a); -- one; two\nINSERT INTO more VALUES (';');",
    ]
    monkeypatch.setattr(sqlite_files, "_migrations", lambda: scripts)
    for _ in range(2):
        with closing(SQLiteStore(path)) as store:
            assert 3 == whole(store)
            assert [(";",)] == store._connection.execute("SELECT a FROM more").fetchall()


def test_a_migration_that_fails_leaves_the_old_schema(path, monkeypatch):
    """What a migration did before it failed is taken back; old code goes on with the file."""
    with closing(SQLiteStore(path)) as store:
        fill(store, 3)
    broken = [*sqlite_files._migrations(), "DROP TABLE message;\nSELECT nothing;"]
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_files, "_migrations", lambda: broken)
        with pytest.raises(StoreCorrupt, match="nothing"):
            SQLiteStore(path)
    with closing(SQLiteStore(path)) as store:
        assert 3 == whole(store)


OPENING = """
import sys
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import batch

sys.stdin.readline()
store = SQLiteStore(sys.argv[1])
store.commit(batch(once={sys.argv[2]: "done"}))
store.close()
"""


def test_processes_that_open_at_once_migrate_once(path):
    """Six processes open the same new file at the same moment: each finds it ready."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, path, f"process:{number}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    with ThreadPoolExecutor(6) as pool:
        told = [*pool.map(lambda child: child.communicate("go\n", timeout=60)[1], children)]
    assert [""] * 6 == told
    with closing(SQLiteStore(path)) as store:
        keys = tuple(f"process:{number}" for number in range(6))
        assert 6 == len(store.load(Wanted(once=keys)).once)


KILLED = """
import os, signal, sqlite3, sys
from supportflow.stores import sqlite_files
from supportflow.stores.sqlite import SQLiteStore

folder, step, killed = sys.argv[1], 0, True
connect = sqlite3.connect
while killed:
    step += 1
    path = f"{folder}/{step}.db"
    if (child := os.fork()) == 0:
        left = step
        def trace(sql):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        def traced(*args, **kwargs):
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(trace)
            return connection
        sqlite3.connect = traced
        SQLiteStore(path)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL
    store = SQLiteStore(path)
    assert [("ok",)] == store._connection.execute("PRAGMA integrity_check").fetchall()
    assert [(2,)] == store._connection.execute(
        "SELECT value FROM meta WHERE name = 'schema'"
    ).fetchall()
    tables = store._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    store.close()
    print(tables)
"""


def test_a_migration_killed_at_any_statement_is_done_again(tmp_path):
    """Kill -9 before each statement of the migrations in turn: the next open finds a whole schema."""
    tables = in_process(KILLED, tmp_path)
    assert len(tables) > 30  # so many statements were interrupted
    assert 1 == len(set(tables))
