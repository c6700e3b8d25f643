"""Prove that the store in an SQLite file keeps the contract, and what is its own."""

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import settings

from supportflow.errors import Conflict, InvalidValue, StoreUnavailable
from supportflow.stores import Quarantine, RowState, Wanted, Work, WorkKind
from supportflow.stores.sqlite import SQLiteStore
from supportflow.stores.threaded import threaded
from supportflow.testing import (
    Blocking,
    SharedStoreContract,
    StoreContract,
    StoreMachine,
    store_writers,
)
from supportflow.testing.store_samples import (
    CHANNEL,
    batch,
    continued,
    opened,
    posting,
    quarantined,
    said,
)


@pytest.fixture
def path(tmp_path):
    """Return where the file is to be."""
    return tmp_path / "support.db"


class TestSQLiteStore(SharedStoreContract):
    """The contract, kept in a file that processes share."""

    @pytest.fixture
    def reopen(self, path, clock):
        opened = []

        def make():
            opened.append(SQLiteStore(path, clock))
            return opened[-1]

        yield make
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, reopen):
        return reopen()

    @pytest.fixture
    def in_other_process(self, path):
        return SQLiteStore, (path,)


class TestThreadedSQLiteStore(StoreContract):
    """The contract, asked through an event loop; its writers are those of above, and write less."""

    @pytest.fixture(autouse=True)
    def fewer(self, monkeypatch):
        monkeypatch.setattr(store_writers, "EACH", 5)
        notes = {f"{writer}-{n}" for writer in range(store_writers.WRITERS) for n in range(5)}
        monkeypatch.setattr(store_writers, "NOTES", notes)

    @pytest.fixture
    def reopen(self, path, clock):
        opened = []

        def make():
            opened.append(Blocking(threaded(SQLiteStore(path, clock))))
            return opened[-1]

        yield make
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, reopen):
        return reopen()


class SQLiteMachine(StoreMachine):
    def make(self, clock):
        self.folder = tempfile.TemporaryDirectory()
        return SQLiteStore(Path(self.folder.name) / "support.db", clock)

    def reopen(self, store):
        return SQLiteStore(store._path, self.clock)

    def teardown(self):
        super().teardown()
        self.folder.cleanup()


TestSQLiteMachine = SQLiteMachine.TestCase
TestSQLiteMachine.settings = settings(max_examples=10, stateful_step_count=30, deadline=None)


# --- what is its own -----------------------------------------------------------------------


def test_without_a_clock_the_database_tells_the_time(path):
    """Leases run by the database's own clock, in whole milliseconds."""
    store = SQLiteStore(path)
    store.commit(batch(postings=(posting("a"),)))
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    [claimed] = store.claim(Work(WorkKind.send, (CHANNEL,)), store.worker(), 1)
    assert store.begin(claimed)
    row = store.load(Wanted(rows=("a",))).rows["a"]
    after = datetime.now(UTC) + timedelta(milliseconds=1)
    assert before <= row.first_sent_at <= after
    assert before <= row.lease_until - timedelta(seconds=120) <= after
    store.close()


def test_a_store_in_memory_is_a_store_until_closed(tmp_path, monkeypatch):
    """`":memory:"` keeps what it is given, makes no file, and ends with `close`."""
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore(":memory:")
    store.commit(batch(postings=(posting("a"),)))
    dead = attrs.evolve(store.worker(), id=77)
    store.claim(Work(WorkKind.send, (CHANNEL,)), dead, 1)
    [reaped] = store.claim(Work(WorkKind.reap), store.worker(), 1)
    assert RowState.pending is reaped.row.state
    store.close()
    assert [] == [*tmp_path.iterdir()]


def test_a_closed_store_says_so(path):
    """After `close` nothing works, closing again does no harm, and a new store finds everything."""
    store = SQLiteStore(path)
    store.worker()
    store.commit(batch(once={"a": "b"}))
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed: open a new one"):
        store.load(Wanted())
    assert ["support.db"] == [file.name for file in path.parent.iterdir()]
    again = SQLiteStore(str(path))
    assert {"a": "b"} == again.load(Wanted(once=("a",))).once
    again.close()


def test_its_repr_names_the_file(path):
    """A log line shows which file it is."""
    store = SQLiteStore(path)
    assert f"SQLiteStore({str(path)!r})" == repr(store)
    store.close()


FORKED = """
import os, sys
from supportflow.errors import StoreUnavailable
from supportflow.stores import Wanted
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import batch

store = SQLiteStore(sys.argv[1])
worker = store.worker()
if os.fork() == 0:
    try:
        store.commit(batch(once={"child": "wrote"}))
    except StoreUnavailable as error:
        store.close()
        print(error, flush=True)
    os._exit(0)
os.wait()
assert store.load(Wanted(once=("child",))).once == {}
store.commit(batch(once={"parent": "wrote"}))
assert os.path.exists(f"{sys.argv[1]}.worker-{worker.id}.lock")
store.close()
"""


def test_a_forked_process_is_told_to_open_its_own(path):
    """A store that was opened before a fork refuses the child, and goes on in the parent."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED, path],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert "" == done.stderr
    assert "open a store in each process, after the fork" in done.stdout


def test_a_store_belongs_to_its_process(path, monkeypatch):
    """In another process everything is refused, and `close` leaves the file to its owner."""
    store = SQLiteStore(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: -1)
        with pytest.raises(StoreUnavailable, match="and is used in -1: open a store in each"):
            store.load(Wanted())
        store.close()
    store._connection.close()


def test_a_worker_needs_its_lock_file(path, monkeypatch):
    """Where the lock file cannot be made, the error says what to make writable."""
    store = SQLiteStore(path)
    monkeypatch.setattr(os, "open", _refuse)
    with pytest.raises(StoreUnavailable, match=r"lock file of worker 1.*directory writable"):
        store.worker()
    monkeypatch.undo()
    assert 2 == store.worker().id
    store.close()


def _refuse(*_):
    raise PermissionError(13, "Permission denied")


CONFLICTS = {
    "conversation": ({"conversations": (opened(),)}, "the conversation .*#0 is already there"),
    "message": (
        {"messages": (said("1", None),)},
        r"the message \('mastodon:shop', 'status', '1', ''\) is already there",
    ),
    "once-key": ({"once": {"a": "b"}}, "the once-key 'a' is already there"),
    "row": (
        {"postings": (attrs.evolve(posting("a"), outgoing=posting("b").outgoing),)},
        "the outbox row 'b' is already there",
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict_names_what_was_there(path, name):
    """Whoever reads the log learns which of the many things in a page was written twice."""
    changes, told = CONFLICTS[name]
    store = SQLiteStore(path)
    store.commit(batch(**changes))
    with pytest.raises(Conflict, match=told):
        store.commit(batch(**changes, quarantine=(quarantined("q"),)))
    assert () == store.find(Quarantine()).quarantined
    store.close()


def test_what_stands_twice_in_a_page_is_a_conflict(path):
    """A page that contradicts itself is refused, although nothing of it is there yet."""
    store = SQLiteStore(path)
    first = opened()
    store.commit(batch(first))
    with pytest.raises(Conflict, match="or stands in it twice"):
        store.commit(batch(messages=(said("1", None), said("1", None))))
    with pytest.raises(Conflict, match="was written meanwhile"):
        store.commit(batch(continued(first.after), continued(first.after)))
    store.close()


@pytest.mark.parametrize("value", [2**70, object(), "\ud800"])
def test_a_value_that_no_table_takes_is_refused(path, value):
    """What SQLite cannot keep is one error of ours, and nothing is written."""
    store = SQLiteStore(path)
    with pytest.raises(InvalidValue):
        store.commit(
            batch(once={"a": "b"}, messages=(attrs.evolve(said("1", None), skeleton=value),))
        )
    assert {} == store.load(Wanted(once=("a",))).once
    store.close()


def test_an_interrupt_takes_everything_back(path):
    """Ctrl-C in the middle of a commit leaves nothing of it, and the store goes on."""
    store = SQLiteStore(path)

    class Interrupting(dict):
        def items(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.commit(
            attrs.evolve(batch(opened(), messages=(said("1", None),)), once=Interrupting(a="b"))
        )
    store.commit(batch(opened(), messages=(said("1", None),)))
    store.close()
