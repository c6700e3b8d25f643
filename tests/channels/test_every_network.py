"""The same story on every network, real or a strict double of it: each in `tests/networks/`.

A customer complains, is acknowledged, apologized to and helped, mends what they wrote, and thanks.
"""

import asyncio
from pathlib import Path

import pytest

from supportflow import AsyncDesk, MemoryStore, Reading, threaded
from supportflow.events import Edited
from supportflow.model import State
from supportflow.stores import Direction
from supportflow.testing.clock import FakeClock

NETWORKS = sorted(path.stem for path in (Path(__file__).parents[1] / "networks").glob("*.py"))


class Words:
    """Understand what the story needs, before the commit."""

    inline = True

    def read(self, message):
        thanks = message.text.startswith("Thank")
        return Reading("praise" if thanks else "complaint", gratitude=thanks)


async def story(network, desk, clock):
    """Tell it to one desk on one network, and return whose words it knows by what name."""
    network.begin(desk)
    await network.writes("ola", "You charged me twice!")
    (asked,) = await desk.inbox(unanswered=True)
    ola = asked.id
    assert network.id_of("ola") == asked.customer
    clock.advance(minutes=5)
    said = ["We can see the double charge.", "We are sorry for it.", "It is paid back."]
    for say, text in zip((desk.acknowledge, desk.apologize, desk.resolve), said, strict=True):
        await say(ola, text)
        assert 1 == (await desk.deliver()).sent
        await network.news()
        clock.advance(minutes=1)
    assert said == network.ours()
    found = await desk.get(ola)
    assert (State.resolved, False, ()) == (found.state, found.unanswered, found.pending)
    if getattr(network, "tells_edits", True):
        await network.edits("ola", "You charged me twice! (In March.)")
        history = [recorded.event for recorded in await desk.history(ola)]
        assert 1 == sum(isinstance(event, Edited) for event in history)
        if (await desk.get(ola)).unanswered:
            again = "In March, we see. We are sorry. It is paid back."
            await desk.reply(ola, again, steps=["acknowledge", "apologize", "resolve"])
            assert 1 == (await desk.deliver()).sent
            await network.news()
    clock.advance(minutes=1)
    await network.writes("ola", "Thank you!")
    found = await desk.get(ola)
    assert (State.resolved, False) == (found.state, found.unanswered)
    assert () == tuple(await desk.inbox(unanswered=True))
    assert () == tuple(await desk.quarantine())
    # (An edit is one more revision of its message.)
    return {(stored.direction, stored.message.key) for stored in await desk.messages(ola)}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_customer_is_helped(name, network_of):
    """Every word arrives once, in its thread; thanks reopen nothing, and nothing stays behind."""

    async def whole(network, clock):
        async with AsyncDesk(
            threaded(MemoryStore(clock)), [network.channel], clock=clock, classifier=Words()
        ) as desk:
            return await story(network, desk, clock)

    kind, clock = network_of(name), FakeClock()
    with kind.open(clock) as platform:
        network = kind(platform)
        told, ours = asyncio.run(whole(network, clock)), network.ours()
    directions = [direction for direction, _ in told]
    # A reviewer has one review: who writes again changes it.
    written = 1 if getattr(kind, "writes_once", False) else 2
    assert written == directions.count(Direction.inbound)
    assert len(ours) == directions.count(Direction.outbound)
