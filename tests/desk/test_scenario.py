"""Prove that one story has one log, on either desk and over either store."""

import asyncio

import pytest

from supportflow import (
    AsyncDesk,
    CustomerRef,
    IllegalStep,
    MemoryStore,
    Reading,
    Refund,
    Stale,
    Webhook,
    threaded,
    verdicts,
)
from supportflow.channels import Delivery, Page, Unreadable
from supportflow.errors import TransportError
from supportflow.events import Announced, Deleted, Edited, Held, Told
from supportflow.model import State, StatusReport
from supportflow.sla.policy import DEFAULT_POLICY


class Words:
    """Understand what the story needs, before the commit."""

    inline = True

    def read(self, message):
        text = message.text
        if text.startswith("thank"):
            return Reading("praise", gratitude="but" not in text)
        if "cheap watches" in text:
            return Reading("spam")
        if message.author.id == "shop":
            return Reading(steps=["acknowledge"] if "see" in text else [])
        return Reading("question")


def told(kind, build, store):
    """Tell the story to one desk over one store; return its log and what is left at the end."""
    world = build(store=store, classifier=Words())
    desk = world.desk
    if kind == "AsyncDesk":
        desk = AsyncDesk(
            threaded(world.store),
            world.channels,
            transport=world.Later(world.platform),
            **world.options,
        )
    try:
        return asyncio.run(story(world, build.Awaited(desk)))
    finally:
        world.store.close()


async def story(world, desk):
    """Serve a customer from the first complaint to the last thanks, with everything between."""
    await complaint(world, desk)
    await solution(world, desk)
    await afterwards(world, desk)
    await others(world, desk)
    await trouble(world, desk)
    return await ending(world, desk)


OLA = "net/m1/ola#0"


async def complaint(world, desk):
    """She writes in public, twice heard and once recorded; a person classifies and promises."""
    first = world.said("m1", "You charged me twice!")
    world.net.pages.append(Page((first,), "1"))
    assert 1 == (await desk.poll()).recorded
    world.net.deliveries.append(Delivery((first,)))
    assert 200 == (await desk.receive("net", Webhook("POST", b"{}", world.clock()))).status
    (waiting,) = await desk.inbox(unanswered=True)
    assert (OLA, State.received) == (waiting.id, waiting.state)
    await desk.classify(waiting, "complaint", mood="furious", agent="anna", key="k1")
    with pytest.raises(IllegalStep, match="legal now: acknowledge"):
        await desk.resolve(OLA, "It is paid back.", key="k2")
    by = world.at(120)
    await desk.promise(OLA, "We look into it, and tell you by noon.", by=by, key="k3")
    assert 1 == (await desk.deliver()).sent
    assert not (await desk.get(OLA)).unanswered


async def solution(world, desk):
    """Acknowledged, apologized, resolved: the second with an answer that is lost."""
    world.clock.advance(minutes=20)
    await desk.acknowledge(OLA, "We can see the double charge.", key="k4")
    await desk.apologize(OLA, ["We are sorry.", "It should not happen."], key="k5")
    world.platform.fail(None, taken=True)
    world.platform.fail(TransportError("lost", sent=True), taken=True)
    delivered = await desk.deliver()
    assert (1, 1) == (delivered.sent, delivered.unknown)
    world.clock.advance(minutes=1)
    assert 2 == (await desk.deliver()).sent
    await desk.resolve(OLA, "Your money is back.", outcome=Refund("49.90", "EUR"), key="k6")
    assert 1 == (await desk.deliver()).sent
    found = await desk.get(OLA)
    assert (State.resolved, Refund("49.90", "EUR"), ()) == (
        found.state,
        found.outcome,
        found.pending,
    )
    assert 5 == len(world.platform.posts) == len(set(world.platform.texts))


async def afterwards(world, desk):
    """Mere thanks change nothing; "thanks, but" reopens; words are edited and deleted."""
    await desk.intake("net", [world.said("m2", "thank you!", 30, parent="r5")])
    assert State.resolved is (await desk.get(OLA)).state
    await desk.intake("net", [world.said("m3", "thanks, but only half of it", 40, parent="m1")])
    reopened = await desk.get(OLA)
    assert (State.received, 1, True) == (reopened.state, reopened.cycle, reopened.unanswered)
    await desk.reply(OLA, "Which half?", key="k7")
    facts = [
        world.edit("m3", text="thanks, but not all of it", minutes=41),
        world.removal("m3", 42),
    ]
    await desk.intake("net", facts)
    assert 0 == (await desk.deliver()).sent
    log = [recorded.event for recorded in await desk.history(OLA)]
    assert [1, 1, 1] == [sum(isinstance(e, kind) for e in log) for kind in (Edited, Deleted, Held)]
    await desk.cancel(OLA, "k7", why="she took it back", key="k8")
    with pytest.raises(Stale):
        await desk.reply(reopened, "Hello?")


async def others(world, desk):
    """Somebody is answered natively, somebody speaks beside, and somebody sells watches."""
    world.clock.advance(minutes=30)
    await desk.intake("net", [world.said("n1", "Where is my parcel?", 50, by="ben")])
    await desk.intake("net", [world.ours("o1", "We see it is late.", 52, parent="n1")])
    ben = await desk.get("net/n1/ben#0")
    assert (False, State.acknowledged) == (ben.unanswered, ben.state)
    await desk.intake("net", [world.said("n2", "Mine too.", 53, by="cid", parent="n1")])
    assert "net/n1/ben#0" == (await desk.get("net/n1/cid#0")).bystander_of
    await desk.intake("net", [world.said("s1", "cheap watches", 54, by="spam")])
    closed = await desk.dismiss("net/s1/spam#0", "an advertisement", key="k9")
    assert State.resolved is closed.state
    await desk.tag("net/n1/cid#0", "parcel", key="k10")
    await desk.note("net/n1/cid#0", "The van broke down.", key="k11")


async def trouble(world, desk):
    """A breach is announced once; what cannot be read or placed is kept, and replayed."""
    world.clock.set(world.at(120))
    alarms = await desk.announce()
    assert ["breach:first_response"] == [e.kind for id, e in alarms if id == "net/n1/cid#0"]
    assert () == await desk.announce()
    early = StatusReport("net", "r6", "failed", world.at(121))
    bad = Unreadable(b"{", "no JSON")
    assert 2 == (await desk.intake("net", [early], unreadable=[bad])).quarantined
    await desk.reply("net/n1/cid#0", "It comes tomorrow.", key="k12")
    assert 1 == (await desk.deliver()).sent
    items = [item for item in await desk.quarantine() if item.raw != b"{"]
    assert 1 == (await desk.replay(items[0].id)).recorded
    assert 1 == len(await desk.quarantine())


async def ending(world, desk):
    """Everything of hers is exported; then she is erased; the log is what is compared."""
    ola = CustomerRef("net", "ola")
    log = world.numbered(world.store.log())
    exported = await desk.export(ola)
    assert ([OLA], 10) == ([c.id for c in exported.conversations], len(exported.messages))
    judged = verdicts(exported.conversations[0], DEFAULT_POLICY, now=world.clock())
    await desk.erase(ola)
    assert () == (await desk.export(ola)).messages
    left = [s.message.text for c in await desk.inbox() for s in await desk.messages(c)]
    rows = [(row.state, row.remote_id, row.attempt) for row in await desk.outbox()]
    return log, judged, sorted(left), rows


@pytest.fixture(scope="module")
def oracle(build):
    """Return what the plainest desk and store make of the story."""
    return told("Desk", build, MemoryStore)


@pytest.mark.parametrize("kind", ["Desk", "AsyncDesk"])
def test_one_story_has_one_log(build, oracle, kind, kept):
    """Same events in the same order, same verdicts, same rows, same words left at the end."""
    for expected, actual in zip(oracle, told(kind, build, kept), strict=True):
        assert expected == actual


def test_the_story_is_a_long_one(oracle):
    """It has alarms, native answers, parts and promises; else it would prove little."""
    log, judged, left, rows = oracle
    kinds = {type(recorded.event) for recorded in log}
    assert {Announced, Deleted, Edited, Held, Told} <= kinds
    assert 14 <= len(kinds) <= len(log)
    assert len(judged) >= 3
    assert len(left) >= 6
    assert {"sent", "cancelled"} == {row[0] for row in rows}
