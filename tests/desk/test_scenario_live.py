"""Prove that one story on a real network has one log, on either desk and over every store.

The networks are the strict local platforms: real HTTP, polls, signed webhooks and echoes.
"""

import asyncio

import pytest

from supportflow import (
    AsyncDesk,
    CustomerRef,
    Desk,
    IllegalStep,
    MemoryStore,
    Reading,
    Refund,
    threaded,
)
from supportflow.events import Announced, Failed, Queued, Told
from supportflow.model import State
from supportflow.testing.clock import FakeClock


class Words:
    """Understand what the story needs, before the commit."""

    inline = True

    def read(self, message):
        thanks = message.text.startswith("Thank")
        return Reading("praise" if thanks else "question", gratitude=thanks)


# -- the story


async def story(network, desk, clock):
    """Serve four customers: a furious one, one who is gone, one whom staff answers, one who waits."""
    network.begin(desk)
    for name, text in CUSTOMERS.items():
        await network.writes(name, text)
        clock.advance(seconds=1)
    await network.news()
    assert 4 == len(await desk.inbox(unanswered=True))
    ola, ben, cid, dan = [await talk(network, desk, name) for name in CUSTOMERS]
    await steps(network, desk, clock, ola)
    await refusal(network, desk, ben)
    await network.staff("cid", "It comes tomorrow.")
    await network.news()
    assert not (await desk.get(cid)).unanswered
    clock.advance(minutes=61)
    alarms = [(id, alarm.kind) for id, alarm in await desk.announce()]
    assert (dan, "breach:first_response") in alarms
    assert [dan] == [c.id for c in await desk.inbox(unanswered=True) if c.id != ben]


CUSTOMERS = {
    "ola": "You charged me twice!",
    "ben": "Do you sell tea?",
    "cid": "Where is my parcel?",
    "dan": "Is anybody there?",
}


async def talk(network, desk, name):
    """Return the id of a customer's conversation."""
    customer = CustomerRef(network.channel.name, network.id_of(name))
    (found,) = await desk.inbox(customer=customer)
    return found.id


async def steps(network, desk, clock, ola):
    """Acknowledge with a promise, apologize in two parts of which one answer is lost, resolve."""
    await desk.classify(ola, "complaint", mood="furious", agent="anna")
    with pytest.raises(IllegalStep, match="legal now: acknowledge"):
        await desk.resolve(ola, "It is paid back.")
    by = clock.advance(minutes=5).replace(hour=12)
    text = "We can see the double charge, and come back by noon."
    await desk.promise(ola, text, by=by, steps=["acknowledge"], key="k1")
    assert 1 == (await desk.deliver()).sent
    await desk.apologize(ola, ["We are sorry.", "It should not happen."], key="k2")
    assert 1 == (await desk.deliver(limit=1)).sent
    network.platform.fault_next("response_lost", match="POST *")
    assert 1 == (await desk.deliver()).unknown
    assert State.acknowledged is (await desk.get(ola)).state
    clock.advance(minutes=2)
    await network.news()
    await desk.deliver()
    await desk.resolve(ola, "Your money is back.", outcome=Refund("49.90", "EUR"), key="k3")
    assert 1 == (await desk.deliver()).sent
    await network.news()
    await network.writes("ola", "Thank you!")
    found = await desk.get(ola)
    assert (State.resolved, Refund("49.90", "EUR"), ()) == (
        found.state,
        found.outcome,
        found.pending,
    )
    said = [text, "We are sorry.", "It should not happen.", "Your money is back."]
    assert said == network.ours()


async def refusal(network, desk, ben):
    """What the platform refuses fails with its words, and a person is told."""
    await desk.reply(ben, "Yes, green tea.", key="k4")
    await network.leaves("ben")
    assert 1 == (await desk.deliver()).failed
    log = [recorded.event for recorded in await desk.history(ben)]
    (failed,) = [event for event in log if isinstance(event, Failed)]
    assert failed.why
    assert ["send_failed"] == [event.kind for event in log if isinstance(event, Announced)]
    assert 4 == len(network.ours())


def told(kind, network_kind, kept, build):
    """Tell the story to one desk over one store on one network; return its log and its rows."""
    clock = FakeClock()
    store = kept(clock)

    async def telling(network):
        options = {"clock": clock, "classifier": Words()}
        desk = (
            Desk(store, [network.channel], **options)
            if kind == "Desk"
            else AsyncDesk(threaded(store), [network.channel], **options)
        )
        heard = build.Awaited(desk)
        try:
            await story(network, heard, clock)
            rows = await heard.outbox()
            return build.numbered(store.log()), [
                (row.state, row.remote_id, row.attempt) for row in rows
            ]
        finally:
            await heard.close()

    with network_kind.open(clock) as platform:
        return asyncio.run(telling(network_kind(platform)))


@pytest.fixture(scope="module", params=["mastodon", "messenger"])
def network_and_oracle(request, build, network_of):
    """Return a network and what the plainest desk and store make of the story there."""
    network = network_of(request.param)
    return network, told("Desk", network, MemoryStore, build)


@pytest.mark.parametrize("kind", ["Desk", "AsyncDesk"])
def test_one_story_on_a_network_has_one_log(network_and_oracle, kind, kept, build):
    """Polled or told by webhooks, lost and found, refused and announced: the same events, at the
    same times, in the same order, and the same rows (RELIABILITY G1, G3, G5).
    """
    network, oracle = network_and_oracle
    for expected, actual in zip(oracle, told(kind, network, kept, build), strict=True):
        assert expected == actual


def test_the_story_says_everything_once(network_and_oracle):
    """It has every part told once and the refusal; else it would prove little."""
    _, (log, rows) = network_and_oracle
    events = [recorded.event for recorded in log]
    parts = [(e.reply, e.part) for e in events if isinstance(e, Told) and e.reply.startswith("k")]
    assert [("k1", 0), ("k2", 0), ("k2", 1), ("k3", 0)] == parts
    assert ["k1", "k2", "k3", "k4"] == [e.reply for e in events if isinstance(e, Queued)]
    assert ["sent"] * 4 + ["failed"] == [state for state, _, _ in rows]
