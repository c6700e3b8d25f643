"""The contract of every store: subclass it, give it a store, and run it with pytest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from supportflow.stores import Store
from supportflow.testing.clock import FakeClock
from supportflow.testing.store_commits import CommitContract
from supportflow.testing.store_erasure import ErasureContract
from supportflow.testing.store_mentions import MentionContract
from supportflow.testing.store_messages import MessageContract
from supportflow.testing.store_outbox import OutboxContract
from supportflow.testing.store_pages import PageContract
from supportflow.testing.store_reconcile import ReconcileContract
from supportflow.testing.store_settling import SettlingContract
from supportflow.testing.store_texts import TextContract
from supportflow.testing.store_vitals import VitalsContract
from supportflow.testing.store_writers import Factory, ProcessContract, WriterContract

__all__ = ["SharedStoreContract", "StoreContract"]


class StoreContract(
    CommitContract,
    TextContract,
    MessageContract,
    PageContract,
    OutboxContract,
    SettlingContract,
    ReconcileContract,
    ErasureContract,
    MentionContract,
    VitalsContract,
    WriterContract,
):
    """Prove that a store keeps its promises; name your subclass `Test…` and override `store`.

    An asynchronous store runs the same tests: wrap it in `supportflow.testing.Blocking`.

    Example::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self, clock):
                return MyStore(clock=clock)
    """

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Return the clock that the store is to use."""
        return FakeClock()

    @pytest.fixture
    def store(self, clock: FakeClock) -> Store:
        """Return a fresh, empty store that asks `clock` for the time."""
        raise NotImplementedError("override the fixture `store`: a fresh store that uses `clock`")

    @pytest.fixture
    def reopen(self, store: Store) -> Callable[[], Store]:
        """Return a function that opens the data of `store` again after `close`.

        Override it where data outlive the object; otherwise the object itself must go on.
        """
        return lambda: store


class SharedStoreContract(ProcessContract, StoreContract):
    """Prove the same of a store that several processes share; override `in_other_process` too."""

    @pytest.fixture
    def in_other_process(self, store: Store) -> Factory:
        """Return a module's function and its arguments, to open the data of `store` elsewhere.

        They are called in another process, and may use the real clock.
        """
        raise NotImplementedError(
            "override the fixture `in_other_process`: (a module's function, its arguments) that "
            "opens the data of `store` in another process"
        )
