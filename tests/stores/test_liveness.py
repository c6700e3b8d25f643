"""Prove that a lock file tells the dead from the living, and the frozen from the dead."""

import os
import signal
import subprocess
import sys

import pytest

from supportflow.stores.liveness import FileLocks

HOLDING = """
import sys
from supportflow.stores.liveness import FileLocks

locks = FileLocks(sys.argv[1])
locks.hold(7)
print("held", flush=True)
sys.stdin.readline()
"""

#: The child lives on, without its parent's locks, until its input ends.
FORKING = """
import os, sys
from supportflow.stores.liveness import FileLocks

locks = FileLocks(sys.argv[1])
locks.hold(7)
if os.fork() == 0:
    print("held", flush=True)
    sys.stdin.readline()
    os._exit(0)
os.wait()
"""


@pytest.fixture
def base(tmp_path):
    """Return the path of a database that need not be there."""
    return str(tmp_path / "support.db")


@pytest.fixture
def start(base):
    """Return a function that runs a script until it holds the lock of worker 7."""
    started = []

    def run(script):
        child = subprocess.Popen(
            [sys.executable, "-c", script, base], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(child)
        assert b"held\n" == child.stdout.readline()
        return child

    yield run
    for child in started:
        child.kill()
        child.communicate()


def test_the_living_are_not_dead(base, start):
    """While its process lives, nobody proves a worker dead, itself included."""
    start(HOLDING)
    mine = FileLocks(base)
    mine.hold(8)
    assert [] == mine.dead([7, 8])
    assert [] == FileLocks(base).dead([7, 8])
    mine.release()


def test_the_frozen_are_not_dead(base, start):
    """A stopped process keeps its lock: it may wake up and send."""
    child = start(HOLDING)
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert [] == FileLocks(base).dead([7])


def test_the_killed_are_dead_at_once(base, start, tmp_path):
    """After kill -9 the next look proves it, and what it left is removed."""
    child = start(HOLDING)
    child.kill()
    child.wait()
    assert [7] == FileLocks(base).dead([7])
    assert [7] == FileLocks(base).dead([7])
    assert [] == [*tmp_path.iterdir()]


def test_a_child_does_not_keep_its_parent_alive(base, start):
    """A forked process that lives on does not hold the locks of its dead parent."""
    child = start(FORKING)
    child.kill()
    child.wait()
    assert [7] == FileLocks(base).dead([7])


def test_the_released_are_dead(base, tmp_path):
    """A worker that was closed in good order is as dead as any, and leaves no file."""
    locks = FileLocks(base)
    locks.hold(1)
    assert ["support.db.worker-1.lock"] == [file.name for file in tmp_path.iterdir()]
    locks.release()
    assert [1] == FileLocks(base).dead([1])
    assert [] == [*tmp_path.iterdir()]


def test_a_removed_file_is_no_trouble(base, tmp_path):
    """If somebody tidied up the lock files, releasing them goes on."""
    locks = FileLocks(base)
    locks.hold(1)
    (tmp_path / "support.db.worker-1.lock").unlink()
    locks.release()
    assert [1] == locks.dead([1])


def test_one_database_has_one_set_of_locks(base, tmp_path):
    """Under another name of the same file the same workers are alive."""
    (tmp_path / "other").symlink_to(tmp_path)
    locks = FileLocks(base)
    locks.hold(1)
    assert [] == FileLocks(str(tmp_path / "other" / "support.db")).dead([1])
    locks.release()


def test_no_file_where_nobody_else_can_look(tmp_path, monkeypatch):
    """Without a database file, all workers but one's own are dead, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    locks = FileLocks(None)
    locks.hold(1)
    assert [2] == locks.dead([1, 2])
    locks.release()
    assert [1] == locks.dead([1])
    assert [] == [*tmp_path.iterdir()]


def test_a_child_leaves_the_locks_to_its_parent(base, tmp_path):
    """What a forked process does at once: it closes its copies, and removes no file."""
    locks = FileLocks(base)
    locks.hold(1)
    locks.leave()
    assert ["support.db.worker-1.lock"] == [file.name for file in tmp_path.iterdir()]
    assert [1] == locks.dead([1])


def test_what_cannot_be_looked_at_is_not_proved(base, monkeypatch):
    """A lock file that we may not open proves nothing."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert [] == FileLocks(base).dead([1])
