"""The FastAPI application: the script runs, 503 means not committed, and too much is not read."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from supportflow import AsyncDesk, SQLiteStore, threaded
from supportflow.channels.messenger import Messenger
from supportflow.errors import StoreUnavailable
from supportflow.http import MAX_BODY
from supportflow.stores import Changes
from supportflow.testing.platforms.messenger import MessengerPlatform

PLACE = "http://shop.example/webhooks/messenger"

pytestmark = pytest.mark.xdist_group("fastapi")  # one process loads it, not each


class Full(SQLiteStore):
    """A store whose disk is full."""

    full = True

    def commit(self, changes: Changes) -> None:
        """Refuse, as long as it is full."""
        if self.full:
            raise StoreUnavailable("database or disk is full")
        super().commit(changes)


def page_of(platform: MessengerPlatform) -> Messenger:
    """Return the channel of a local platform."""
    keys = {**platform.credentials()}
    page_id, _ = keys.pop("page_id"), keys.pop("app_id")
    return Messenger(page_id, base_url=platform.url, **keys)


@pytest.fixture
def example(load: Callable[[str], ModuleType]) -> ModuleType:
    """Load the script as a module."""
    return load("fastapi_app.py")


def test_the_script_serves_a_customer(script: Callable[[str], list[str]]) -> None:
    """Handshake, a customer's words, the answer and its echo; strangers are turned away."""
    lines = script("fastapi_app.py")
    assert "the platform asked for proof of the address, and got it" == lines[0]
    assert "'You charged me twice!', 'Thank you for writing." in lines[2]
    assert lines[4].endswith("it is acknowledged")
    assert ["401", "413", "404"] == [line.rpartition(" ")[2] for line in lines[5:]]


def test_what_is_not_committed_is_not_acknowledged(example: ModuleType, tmp_path: Path) -> None:
    """503 while the store is full; the platform's next attempt is recorded, a further one is not."""
    store = Full(tmp_path / "support.db")
    calls: list[tuple] = []
    with MessengerPlatform() as platform:
        platform.deliver_to(lambda *call: calls.append(call) or 500)
        platform.customer("ola").write("You charged me twice!")
        desk = AsyncDesk(threaded(store), [page_of(platform)])
    [(_, headers, _, body)] = calls

    async def attempts() -> list[tuple[int, str | None, int]]:
        seen = []
        transport = httpx.ASGITransport(example.create_app(desk))
        async with desk, httpx.AsyncClient(transport=transport) as client:
            for full in (True, False, False):
                store.full = full
                answer = await client.post(PLACE, content=body, headers=headers)
                waits = answer.headers.get("retry-after")
                seen.append((answer.status_code, waits, len(await desk.inbox())))
        return seen

    assert [(503, "5", 0), (200, None, 1), (200, None, 1)] == asyncio.run(attempts())


def test_too_large_a_body_is_not_read_to_its_end(example: ModuleType, tmp_path: Path) -> None:
    """Of an endless body no more is taken than the limit and one piece."""
    taken = 0

    async def endless():
        nonlocal taken
        while True:
            taken += 65_536
            yield b"x" * 65_536

    async def post() -> int:
        desk = AsyncDesk(threaded(SQLiteStore(tmp_path / "support.db")))
        transport = httpx.ASGITransport(example.create_app(desk))
        async with desk, httpx.AsyncClient(transport=transport) as client:
            return (await client.post(PLACE, content=endless())).status_code

    assert 413 == asyncio.run(post())
    assert MAX_BODY < taken <= MAX_BODY + 2 * 65_536
