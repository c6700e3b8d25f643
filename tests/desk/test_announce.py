"""Prove that what is due is announced once, whoever looks, and that deadlines are kept."""

import logging

import attrs
import pytest

from supportflow import Agent, CustomerRef
from supportflow.errors import Conflict, StoreUnavailable
from supportflow.events import Announced, Assigned
from supportflow.machine import evolve
from supportflow.model import replace
from supportflow.stores import Changes, Conversations, Written


def due(world):
    return [c.id for c in world.store.find(Conversations(due_before=world.clock())).conversations]


def kinds(announced):
    return [event.kind for _, event in announced]


def test_a_warning_and_a_breach_are_announced_once(world, caplog):
    """At 30 minutes and at 60, as events, as a result and in the log; and never again."""
    conversation = world.open("m1")
    assert () == world.desk.announce()
    world.clock.advance(minutes=30)
    with caplog.at_level(logging.WARNING, "supportflow"):
        assert ["warning:first_response"] == kinds(world.desk.announce())
        world.clock.advance(minutes=30)
        assert [conversation] == [id for id, _ in world.desk.announce()]
    assert (
        "alarm kind=breach:first_response about=net/m1/ola#0 due=2026-03-02 10:00:00+00:00"
        in caplog.text
    )
    world.clock.advance(minutes=600)
    assert ((), []) == (world.desk.announce(), due(world))
    assert 2 == len(world.events(conversation, Announced))


def test_a_late_look_announces_the_breach_alone(world):
    """A warning of what has happened already is of no use."""
    world.open("m1")
    world.clock.advance(minutes=90)
    assert ["breach:first_response"] == kinds(world.desk.announce())


def test_history_is_judged_and_not_announced(world):
    """What was late years ago is no alarm today."""
    world.take(world.said("m1", backfill=True))
    world.clock.advance(minutes=90)
    assert ((), []) == (world.desk.announce(), due(world))


def test_two_workers_announce_once(shaky):
    """Whoever commits second finds that it was announced."""
    shaky.open("m1")
    shaky.clock.advance(minutes=90)
    other, found = shaky.again(), []

    def meanwhile(changes):
        found.extend(other.announce())

    shaky.store.fail("commit", meanwhile)
    assert ((), 1) == (shaky.desk.announce(), len(found))


def test_an_alarm_that_the_snapshot_forgot_is_not_repeated(world):
    """Snapshots remember some alarms; the store's once-keys remember all, and end the search."""
    conversation = world.open("m1")
    world.clock.advance(minutes=90)
    ((_, alarm),) = world.desk.announce()
    before = world.desk.get(conversation)
    event = Assigned(world.clock(), "anna", Agent("anna"))
    after = replace(evolve(before, event), announced=())
    written = Written(before.version, after, (event,), world.clock(), "")
    world.store.commit(Changes(world.clock(), conversations=(written,)))
    assert [conversation] == due(world)
    assert ((), []) == (world.desk.announce(), due(world))
    assert [alarm] == world.events(conversation, Announced)


def test_a_conversation_that_others_keep_changing_is_left_to_the_next_look(shaky, caplog):
    """It stops no other; and it is found again."""
    first, second = shaky.open("m1"), shaky.open("m2", by="ben")
    shaky.clock.advance(minutes=90)
    shaky.store.fail("commit", *[Conflict("busy")] * 5)
    assert [second] == [id for id, _ in shaky.desk.announce()]
    assert f"announce_later conversation={first}: busy" in caplog.text
    assert [first] == [id for id, _ in shaky.desk.announce()]


def test_a_store_that_fails_is_the_callers_and_loses_nothing(shaky, caplog):
    """What was announced before is recorded and logged; the rest is found again."""
    shaky.open("m1")
    shaky.open("m2", by="ben")
    shaky.clock.advance(minutes=90)
    shaky.store.fail("commit", None, StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        shaky.desk.announce()
    assert 1 == caplog.text.count("alarm kind=breach")
    assert 1 == len(shaky.desk.announce())


def test_a_conversation_that_was_erased_meanwhile_is_passed_over(shaky):
    """Nobody is alarmed about somebody who is gone."""
    shaky.open("m1")
    shaky.clock.advance(minutes=90)
    shaky.store.fail("find", lambda query: shaky.desk.erase(CustomerRef("net", "ola")), after=True)
    assert () == shaky.desk.announce()


def test_a_limit_is_kept(world):
    """No more conversations than asked for are looked at."""
    for name in ("ola", "ben", "cid"):
        world.open(f"m{name}", by=name)
    world.clock.advance(minutes=90)
    assert [2, 1] == [len(world.desk.announce(limit=2)) for _ in range(2)]


# -- deadlines of the outbox


def late(world, count=1):
    """Queue replies that cannot leave, and let more than an hour pass."""
    for number in range(count):
        world.desk.reply(world.open(f"m{number}", by=f"c{number}"), ["One.", "Two."])
    world.platform.fail(401)
    world.desk.deliver()
    world.clock.advance(minutes=61)


def test_a_reply_past_its_deadline_is_announced_once(world, caplog):
    """Whatever keeps it, a person hears of it: one alarm a reply, with its state (G7)."""
    late(world)
    with caplog.at_level(logging.WARNING, "supportflow"):
        found = [event for _, event in world.desk.announce() if event.kind == "reply_late"]
    assert [world.at(60)] == [event.due for event in found]
    assert "it should have left by now, and is pending: nothing is known" in found[0].why
    assert "alarm kind=reply_late about=net/m0/c0#0" in caplog.text
    assert () == world.desk.announce()
    assert found[0] in world.events("net/m0/c0#0", Announced)


def test_every_late_reply_is_found(world):
    """However many there are, and however few are looked at in one go."""
    late(world, count=5)
    assert 5 == kinds(world.desk.announce(limit=2)).count("reply_late")
    assert 0 == kinds(world.desk.announce(limit=2)).count("reply_late")


def test_what_belongs_to_no_conversation_is_late_as_well(shaky, caplog):
    """A broadcast that cannot leave is announced once, by whichever desk is first (G7)."""
    late(shaky)
    posting = shaky.desk.outbox()[0].posting
    outgoing = attrs.evolve(posting.outgoing, id="row-2", mark="mark-2", text="To all.")
    lone = attrs.evolve(posting, outgoing=outgoing, stream="incident:1", conversation=None)
    lone = attrs.evolve(lone, reply="broadcast")
    shaky.store.commit(Changes(shaky.at(0), postings=(lone,)))
    shaky.desk.announce()
    assert 1 == caplog.text.count("alarm kind=reply_late about=incident:1")
    assert () == shaky.desk.announce()
    other, found = shaky.again(), []
    second = attrs.evolve(lone, outgoing=attrs.evolve(outgoing, id="row-3", mark="mark-3"))
    shaky.store.commit(Changes(shaky.at(0), postings=(attrs.evolve(second, reply="again"),)))
    shaky.store.fail("commit", lambda changes: found.extend(other.announce()))
    assert () == shaky.desk.announce()
    assert [("incident:1", "late:again")] == [(stream, alarm.key) for stream, alarm in found]


def test_what_has_left_is_not_late(world):
    """A final row has no deadline any more."""
    world.desk.reply(world.open("m1"), "We see it.")
    world.desk.deliver()
    world.clock.advance(minutes=600)
    assert () == world.desk.announce()
