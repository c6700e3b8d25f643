"""What of psycopg differs between threads and an event loop; the rest of the driver is written once.

The driver consists of steps: generators that yield acts and are sent what these returned, or
thrown what they raised. An act on a connection is a method of psycopg's `Connection` or of its
`AsyncConnection`, which have the same names. `Threads` calls them, `Loop` awaits them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg.types.numeric import Int8BinaryDumper

__all__ = ["Act", "Loop", "Steps", "Threads", "Wire"]

T = TypeVar("T")

#: Something to call or, on an event loop, to await.
Act: TypeAlias = Callable[[], Any]
#: What the driver does, and its result.
Steps: TypeAlias = Generator[Act, Any, T]


class Wire(Protocol):
    """Give acts to steps. The methods but `lock` and `gate` are called within acts only."""

    def lock(self) -> Any:
        """Return a lock with `acquire` (an act) and `release`."""

    def gate(self, places: int) -> Any:
        """Return a semaphore with `release`; `enter` acquires it."""

    def enter(self, gate: Any, seconds: float) -> Any:
        """Take a place at a gate; False if none was free in time."""

    def connect(self, **settings: Any) -> Any:
        """Return a new connection, without transactions of its own."""

    def copy(self, connection: Any, sql: str, rows: Sequence[Sequence[Any]]) -> Any:
        """Send rows to a `COPY … FROM STDIN`."""

    def enter_pipeline(self, pipeline: Any) -> Any:
        """Begin to send without waiting for answers."""

    def leave_pipeline(self, pipeline: Any) -> Any:
        """Wait for all answers."""

    def sleep(self, seconds: float) -> Any:
        """Wait."""


def _plain(connection: Any) -> Any:
    # One type for all integers: a statement is prepared once, not once for each of their sizes.
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    return connection


class Threads:
    """Perform acts where they are asked for."""

    def run(self, steps: Steps[T]) -> T:
        """Perform all steps, and return their result.

        Args:
            steps: The steps.
        """
        try:
            act = next(steps)
            while True:
                try:
                    value = act()
                except BaseException as error:  # noqa: BLE001  the steps decide what it means
                    act = steps.throw(error)
                else:
                    act = steps.send(value)
        except StopIteration as done:
            result: T = done.value
            return result

    def lock(self) -> threading.Lock:
        """See `Wire.lock`."""
        return threading.Lock()

    def gate(self, places: int) -> threading.Semaphore:
        """See `Wire.gate`."""
        return threading.Semaphore(places)

    def enter(self, gate: threading.Semaphore, seconds: float) -> bool:
        """See `Wire.enter`."""
        return gate.acquire(timeout=seconds)

    def connect(self, **settings: Any) -> Any:
        """See `Wire.connect`."""
        return _plain(psycopg.connect(autocommit=True, **settings))

    def copy(self, connection: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """See `Wire.copy`."""
        with connection.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)

    def enter_pipeline(self, pipeline: Any) -> None:
        """See `Wire.enter_pipeline`."""
        pipeline.__enter__()

    def leave_pipeline(self, pipeline: Any) -> None:
        """See `Wire.leave_pipeline`."""
        pipeline.__exit__(None, None, None)

    def sleep(self, seconds: float) -> None:
        """See `Wire.sleep`."""
        time.sleep(seconds)


class Loop:
    """Await acts on the event loop that asks for them."""

    async def run(self, steps: Steps[T]) -> T:
        """Await all steps, and return their result.

        Args:
            steps: The steps.
        """
        try:
            act = next(steps)
            while True:
                try:
                    value = await act()
                except BaseException as error:  # noqa: BLE001  the steps decide what it means
                    act = steps.throw(error)
                else:
                    act = steps.send(value)
        except StopIteration as done:
            result: T = done.value
            return result

    def lock(self) -> asyncio.Lock:
        """See `Wire.lock`."""
        return asyncio.Lock()

    def gate(self, places: int) -> asyncio.Semaphore:
        """See `Wire.gate`."""
        return asyncio.Semaphore(places)

    async def enter(self, gate: asyncio.Semaphore, seconds: float) -> bool:
        """See `Wire.enter`."""
        try:
            async with asyncio.timeout(seconds):
                return await gate.acquire()
        except TimeoutError:
            return False

    async def connect(self, **settings: Any) -> Any:
        """See `Wire.connect`."""
        return _plain(await psycopg.AsyncConnection.connect(autocommit=True, **settings))

    async def copy(self, connection: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """See `Wire.copy`."""
        async with connection.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                await copy.write_row(row)

    async def enter_pipeline(self, pipeline: Any) -> None:
        """See `Wire.enter_pipeline`."""
        await pipeline.__aenter__()

    async def leave_pipeline(self, pipeline: Any) -> None:
        """See `Wire.leave_pipeline`."""
        await pipeline.__aexit__(None, None, None)

    async def sleep(self, seconds: float) -> None:
        """See `Wire.sleep`."""
        await asyncio.sleep(seconds)
