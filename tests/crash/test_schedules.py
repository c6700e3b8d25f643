"""Two workers and one reply, in every order of their steps: one post, one receipt, one history.

What happens at the same time by chance alone is met here by counting: `schedules.py` stops each worker
at every call of its store and of the platform, and runs all orders of the next six steps of
each (RELIABILITY 4.4).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import attrs
import pytest
from history import check
from schedules import STEPS, World, every

from supportflow import MemoryStore, SQLiteStore
from supportflow.desk import settle as settling
from supportflow.desk.deliver import send_due
from supportflow.desk.receive import receive
from supportflow.errors import StoreUnavailable
from supportflow.flow import Wait
from supportflow.http import Webhook
from supportflow.stores import sql_outbox
from supportflow.testing import FakeClock


def in_memory(clock: FakeClock) -> SQLiteStore:
    """Make the file's store without a file."""
    return SQLiteStore(":memory:", clock)


#: By name: what makes the store, and of how many steps all orders are run there.
STORES: dict[str, tuple[Callable[[FakeClock], Any], int]] = {
    "memory": (MemoryStore, 5),
    "sqlite": (in_memory, 3),
}


def delivering(world: World, rounds: int = 1) -> Any:
    """Let another worker deliver; between two rounds some time passes."""
    desk = world.desk()

    def program() -> Any:
        for number in range(rounds):
            if number:
                world.clock.advance(seconds=20)
            yield from send_due(desk._core, ("fake",), 10)
            yield Wait(0)

    actor = world.actor(program())
    actor.desk = desk
    return actor


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Keep thousands of deliveries from the log."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


# --- what two workers can be at -------------------------------------------------------------


def racing(store: Any) -> World:
    """Both begin to deliver at the same moment."""
    world = World(store)
    for _ in range(2):
        delivering(world).until("claim send")
    return world


def frozen_before_begin(store: Any) -> World:
    """One was frozen after its claim, until the claim was over; then it goes on beside another,
    whose answer is lost.
    """
    world = World(store)
    delivering(world).until("claim send").step()
    world.clock.advance(seconds=130)
    world.faults = ["lost"]
    delivering(world)
    return world


def failing_before_begin(store: Any) -> World:
    """As before, and what the frozen one does next is to fail: its end of the attempt is stale."""
    world = frozen_before_begin(store)
    world.actors[0].failing["load"] = StoreUnavailable("away")
    world.actors[1].until("begin")
    return world


def frozen_before_post(store: Any) -> World:
    """One was frozen after `begin`; it posts at any time while another looks for the post."""
    world = World(store)
    delivering(world).until("post")
    world.clock.advance(seconds=130)
    delivering(world, 3).until("claim reconcile")
    return world


def frozen_before_settling(store: Any) -> World:
    """One was frozen with the receipt in its hand; another finds the post on the platform."""
    world = World(store)
    delivering(world).until("post").step()
    world.clock.advance(seconds=130)
    delivering(world, 2).until("claim reconcile")
    return world


def refused_late(store: Any) -> World:
    """One was frozen after `begin`, and its post is not taken: its end of the attempt is stale."""
    world = frozen_before_post(store)
    world.faults = ["not sent"]
    return world


def two_replies(store: Any) -> World:
    """Two workers, two replies of one conversation: the second waits for the first."""
    world = World(store, replies=2)
    for _ in range(2):
        delivering(world).until("claim send")
    return world


def taking_echo(world: World) -> None:
    """Let another worker take in the webhook of a post."""
    _, headers, body = world.platform.act({"do": "hooks"})[-1]
    hook = Webhook("POST", body.encode(), world.clock(), headers)
    world.actor(receive(world.desk()._core, "fake", hook))


def echoed(store: Any) -> World:
    """The echo of a post comes in while its sender has the receipt in its hand."""
    world = World(store, "E")
    delivering(world).until("post").step()
    taking_echo(world)
    return world


def echoed_twice(store: Any) -> World:
    """The sender of a post dies, and its echo comes to two workers at once."""
    world = World(store, "E")
    sender = delivering(world).until("post")
    sender.step()
    world.kill(sender.desk)
    world.actors.clear()
    taking_echo(world)
    taking_echo(world)
    return world


SCENES = (
    racing,
    frozen_before_begin,
    failing_before_begin,
    frozen_before_post,
    frozen_before_settling,
    refused_late,
    two_replies,
    echoed,
    echoed_twice,
)


def broken(make: Callable[[], World], steps: int = STEPS) -> tuple[int, dict[str, Any]]:
    """Return how many orders there are, and what is wrong after which."""
    wrong, count = {}, 0
    for world, order in every(make, steps):
        count += 1
        with closing(world.store):
            if found := check(world.finish()):
                wrong[order] = found
    return count, wrong


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("scene", SCENES)
def test_no_order_of_steps_doubles_or_loses_a_reply(scene: Any, name: str) -> None:
    """After every order the reply is there once, proved, told once and in its place (G3, G5, G6, G8)."""
    store, steps = STORES[name]
    count, wrong = broken(lambda: scene(store), steps)
    assert {} == wrong
    assert count > 5


def test_every_order_of_two_times_six_steps() -> None:
    """A frozen worker and the one that takes over: all orders of the next six steps of each, which
    were 924 if the one that comes too late did not find out earlier.
    """
    count, wrong = broken(lambda: frozen_before_begin(MemoryStore))
    assert {} == wrong
    assert 400 < count <= 924


def test_a_read_before_the_senders_death_proves_nothing() -> None:
    """A frozen worker thaws, posts and dies, and the platform shows the post late: what was read
    while it lived does not count, so that nobody sends it again (RELIABILITY 1.3, 2.4).
    """
    world = World(MemoryStore)
    frozen = delivering(world).until("post")
    world.clock.advance(seconds=130)
    other = world.desk()
    for _ in range(4):
        other.deliver()
        world.clock.advance(seconds=20)
    world.faults = ["lag"]
    frozen.step()
    world.kill(frozen.desk)
    world.actors.clear()
    other.deliver()
    assert {} == check(world.finish())


# --- what would be found --------------------------------------------------------------------


def unfenced_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stale worker settle what another has claimed."""
    from supportflow.stores import memory_outbox

    def settle_anyway(tables: Any, settlement: Any) -> None:
        fence = tables.rows[settlement.row].fence
        settled(tables, attrs.evolve(settlement, fence=fence))

    settled = memory_outbox.settle
    monkeypatch.setattr(memory_outbox, "settle", settle_anyway)


def unfenced_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stale worker settle what another has claimed."""

    def end_anyway(attempt: Any, settlement: Any, at: Any) -> None:
        ended(attempt, attrs.evolve(settlement, fence=attempt.fence), at)

    ended = sql_outbox._Attempt.end
    monkeypatch.setattr(sql_outbox._Attempt, "end", end_anyway)


@pytest.mark.parametrize(
    ("name", "plant"), [("memory", unfenced_memory), ("sqlite", unfenced_sqlite)]
)
def test_a_missing_fence_is_found(monkeypatch: pytest.MonkeyPatch, name: str, plant: Any) -> None:
    """Without fences a stale worker takes back what another may have sent: some order shows the
    reply twice, which no random run had found (RELIABILITY 4.6).
    """
    plant(monkeypatch)
    monkeypatch.setattr(settling, "_ours", lambda row, claimed: row.state not in settling.FINAL)
    store, _ = STORES[name]
    found = (check(world.finish()) for world, _ in every(lambda: failing_before_begin(store), 5))
    assert any("duplicate" in wrong for wrong in found)
