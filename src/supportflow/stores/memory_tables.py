"""The tables of a `MemoryStore`: dicts whose changes can be taken back when one of them fails."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import RLock
from typing import Any, TypeVar

import attrs

from supportflow.events import Recorded
from supportflow.model import ChannelState, Conversation, MessageKey
from supportflow.stores import Mention, Quarantined, Removed, Row, Settlement, Stored, ThreadHead

__all__ = ["Entry", "Lease", "RevisionKey", "Table", "Tables"]

K = TypeVar("K")
V = TypeVar("V")
_ABSENT = object()

#: (channel, kind, platform id, revision); the revision is empty for the message itself.
RevisionKey = tuple[str, str, str, str]


class Table(dict[K, V]):
    """Hold rows by key; note what `[]` and `del` replace. Nothing else may change one.

    Args:
        changed: Where to note (table, key, what stood there).
    """

    def __init__(self, changed: list[tuple[Table[Any, Any], Any, Any]]) -> None:
        super().__init__()
        self._changed = changed

    def __setitem__(self, key: K, value: V) -> None:
        self._changed.append((self, key, self.get(key, _ABSENT)))
        super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        self._changed.append((self, key, self[key]))
        super().__delitem__(key)

    def restore(self, key: K, old: Any) -> None:
        """Take one change back.

        Args:
            key: The key.
            old: What was noted.
        """
        if old is _ABSENT:
            super().__delitem__(key)
        else:
            super().__setitem__(key, old)


@attrs.frozen
class Entry:
    """Hold one conversation with what stands beside its snapshot.

    Args:
        conversation: The snapshot.
        next_due_at: When somebody must look at its clocks again.
        policy_version: Which policy computed that.
        erased: Whether its customer was erased: nobody can answer them any more.
    """

    conversation: Conversation
    next_due_at: datetime | None = None
    policy_version: str = ""
    erased: bool = False


@attrs.frozen
class Lease:
    """Hold who may poll a channel.

    Args:
        worker: The worker's id.
        until: Until when.
        fence: Grows with every lease of the channel.
    """

    worker: int
    until: datetime
    fence: int


class Tables:
    """Hold everything that a `MemoryStore` knows."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._changed: list[tuple[Table[Any, Any], Any, Any]] = []
        changed = self._changed
        self.conversations: Table[str, Entry] = Table(changed)
        self.newest: Table[ThreadHead, str] = Table(changed)
        self.threads: Table[tuple[str, str], tuple[str, ...]] = Table(changed)  # first one first
        self.events: Table[int, Recorded] = Table(changed)  # by position
        self.versions: Table[tuple[str, int], int] = Table(changed)  # position by version
        self.messages: Table[RevisionKey, Stored] = Table(changed)
        self.revisions: Table[MessageKey, tuple[str, ...]] = Table(changed)
        self.orphans: Table[RevisionKey, None] = Table(changed)  # of no conversation yet
        self.removals: Table[MessageKey, Removed] = Table(changed)  # of messages not seen yet
        self.erased: Table[str, None] = Table(changed)  # hashes of messages' keys
        self.once: Table[str, str] = Table(changed)
        self.rows: Table[str, Row] = Table(changed)
        self.open: Table[str, None] = Table(changed)  # rows that are not final
        self.marks: Table[str, str] = Table(changed)
        self.replies: Table[str, tuple[str, ...]] = Table(changed)
        self.places: Table[str, int] = Table(changed)  # the last `seq` of each stream
        self.senders: Table[str, int] = Table(changed)  # who began to send a row last
        self.receipts: Table[int, Settlement] = Table(changed)
        self.channels: Table[str, ChannelState] = Table(changed)
        self.leases: Table[str, Lease] = Table(changed)
        self.quarantine: Table[str, Quarantined] = Table(changed)
        self.mentions: Table[tuple[str, MessageKey], Mention] = Table(changed)  # by query
        self.alive: Table[int, bool] = Table(changed)  # by worker
        self.secret = secrets.token_bytes(32)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let one thread in, and take back everything if it fails."""
        with self._lock:
            try:
                yield
            except BaseException:
                for table, key, old in reversed(self._changed):
                    table.restore(key, old)
                raise
            finally:
                self._changed.clear()
