"""Who is alive on this machine, proved by locks that the kernel drops when a process dies."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["FileLocks"]


class FileLocks:
    """Hold one locked file for each worker of this process.

    A frozen process keeps its locks, a dead one does not: what `dead` returns is proved.
    Where the system has no `flock` (Windows) nothing is, and leases alone decide.

    Args:
        base: What the files' names begin with: the database they stand beside. None
            if no other process can know of these workers.
    """

    def __init__(self, base: str | None) -> None:
        # one database has one set of locks, under whatever name it was opened
        self._base = base and os.path.realpath(base)
        self._held: dict[int, int | None] = {}
        _HOLDERS.add(self)

    def _file(self, worker: int) -> Path:
        return Path(f"{self._base}.worker-{worker}.lock")

    def hold(self, worker: int) -> None:
        """Lock a worker's file for as long as this process lives, or until `release`.

        Args:
            worker: The worker's id, never used before.

        Raises:
            OSError: If the file cannot be made.
        """
        descriptor = None
        if sys.platform != "win32" and self._base:
            descriptor = os.open(self._file(worker), os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._held[worker] = descriptor

    def dead(self, workers: Iterable[int]) -> list[int]:
        """Return those that are proved dead; what they left is removed.

        A worker without a file was closed, or its file was removed after such a proof.

        Args:
            workers: The ids of workers.
        """
        return [worker for worker in workers if worker not in self._held and self._free(worker)]

    def _free(self, worker: int) -> bool:
        if self._base is None:
            return True
        if sys.platform == "win32":
            return False
        try:
            descriptor = os.open(self._file(worker), os.O_RDONLY)
        except FileNotFoundError:
            return True
        except OSError:  # what cannot be looked at is not proved
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file(worker).unlink(missing_ok=True)  # another may prove it at the same time
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Let go of all of them."""
        for worker, descriptor in self._held.items():
            if descriptor is not None:
                self._file(worker).unlink(missing_ok=True)
                os.close(descriptor)
        self._held.clear()

    def leave(self) -> None:
        """Forget the locks in a forked process, where they are still the parent's."""
        for descriptor in self._held.values():
            if descriptor is not None:
                os.close(descriptor)
        self._held.clear()


_HOLDERS: weakref.WeakSet[FileLocks] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """A child that kept a copy would keep its dead parent's locks alive."""
    for locks in _HOLDERS:
        locks.leave()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)
