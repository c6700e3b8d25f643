"""Prove that a slow classifier reads after the commit, and that whatever it does loses nothing."""

import asyncio

import attrs
import pytest

from supportflow import AsyncDesk, CustomerRef, Desk, MemoryStore, Reading, Unread, threaded
from supportflow.channels import Delivery
from supportflow.desk import Delivered
from supportflow.desk.core import BACKLOG
from supportflow.errors import Conflict
from supportflow.events import Classified
from supportflow.http import Webhook
from supportflow.model import State


class Slow:
    """Read after the commit; nothing says that it is inline."""

    def __init__(self, **readings):
        self.readings, self.asked = readings, []

    def read(self, message):
        self.asked.append(message.text)
        reading = self.readings.get(message.id, Reading("question"))
        if isinstance(reading, BaseException):
            raise reading
        return reading


@pytest.fixture
def slow(build):
    """Return a world with such a classifier."""
    return build(classifier=Slow())


def classifier_of(world):
    return world.options["classifier"]


def test_intake_never_waits(slow):
    """The message is recorded unread, with nobody asked; delivering reads it."""
    slow.net.deliveries.append(Delivery((slow.said("m1"),)))
    slow.desk.receive("net", Webhook("POST", b"{}", slow.clock()))
    (conversation,) = slow.desk.inbox()
    assert (Unread, []) == (conversation.reading, classifier_of(slow).asked)
    slow.desk.deliver()
    assert "question" == slow.desk.get(conversation.id).reading.intent
    (event,) = slow.events(conversation.id, Classified)
    assert (("post", "m1"), None) == (event.message, event.by)


def test_each_message_is_read_once(slow):
    """A redelivered message is not read again, nor one that was drained."""
    slow.open("m1")
    slow.take(slow.said("m1"))
    for _ in range(2):
        slow.desk.deliver()
    assert 1 == len(classifier_of(slow).asked)


def test_a_late_reading_holds_a_reply_that_is_no_longer_legal(build):
    """Who turns out to be furious is not answered with a bare solution."""
    world = build(classifier=Slow(m1=Reading("complaint", mood="furious")))
    conversation = world.open("m1")
    world.desk.reply(conversation, "It is paid back.", steps=["resolve"])
    assert Delivered(held=1) == world.desk.deliver()


def test_late_thanks_reopen_nothing_after_all(build):
    """Unread words reopen; understood as mere thanks, they leave it resolved."""
    world = build(classifier=Slow(m2=Reading("praise", gratitude=True)))
    conversation = world.open("m1")
    world.desk.deliver()
    world.desk.reply(conversation, "It is paid back.", steps=["resolve"])
    world.desk.deliver()
    world.take(world.said("m2", "thanks!", 5, thread="m1"))
    assert State.received is world.desk.get(conversation).state
    world.desk.deliver()
    assert State.resolved is world.desk.get(conversation).state


def test_an_edit_is_read_too(slow):
    """What a customer changes their words to counts as well; our own edits do not."""
    conversation = slow.open("m1")
    slow.take(slow.ours("o1", to="ola", thread="m1", minutes=1))
    slow.take(slow.edit("m1", text="And my money?", minutes=2), slow.edit("o1", minutes=3))
    slow.desk.deliver()
    assert ["You charged me twice!", "And my money?"] == classifier_of(slow).asked
    assert 2 == len(slow.events(conversation, Classified))


@pytest.mark.parametrize("failure", [KeyError("secret-model-key"), None, "question"])
def test_a_classifier_that_fails_leaves_the_message_unread(build, caplog, failure):
    """It is logged by the kind of its failure only; the others are read."""
    world = build(classifier=Slow(m1=failure))
    first, second = world.open("m1"), world.open("m2", by="ben")
    world.desk.deliver()
    assert (Unread, "question") == (
        world.desk.get(first).reading,
        world.desk.get(second).reading.intent,
    )
    assert f"unread conversation={first}" in caplog.text
    assert "secret-model-key" not in caplog.text


def test_a_reading_that_says_nothing_is_no_event(build):
    """The classifier did not know: the message stays unread without another word."""
    world = build(classifier=Slow(m1=Unread))
    conversation = world.open("m1")
    world.desk.deliver()
    assert [] == world.events(conversation, Classified)


@pytest.mark.parametrize("message", [None, ("post", "m1")])
def test_a_person_who_was_faster_is_believed(slow, message):
    """What somebody said of the message, or of the conversation, since it came, stays."""
    conversation = slow.open("m1")
    slow.desk.classify(conversation, "complaint", message=message)
    slow.desk.deliver()
    assert "complaint" == slow.desk.get(conversation).reading.intent
    assert 1 == len(slow.events(conversation, Classified))


def test_what_a_person_said_before_it_came_does_not_count(slow):
    """A later message is read for itself."""
    conversation = slow.open("m1")
    slow.desk.classify(conversation, "question")
    slow.take(slow.said("m2", minutes=1, thread="m1"))
    slow.desk.deliver()
    readings = slow.events(conversation, Classified)
    assert [None, ("post", "m2")] == [event.message for event in readings]


def test_a_log_that_does_not_name_the_message_says_nothing_against_it(build):
    """Nobody is known to have read it, so the classifier is believed."""
    world = build.shaking(classifier=Slow())
    conversation = world.open("m1")
    world.store.log = lambda after, conversation, limit: []
    world.desk.deliver()
    del world.store.log
    assert 1 == len(world.events(conversation, Classified))


def test_readings_of_erased_customers_go_nowhere(slow):
    """What waits is forgotten; what was being read finds nobody."""
    slow.open("m1")
    slow.open("x1", by="ben")
    slow.desk.erase(CustomerRef("net", "ola"))
    assert 1 == len(slow.desk._core.backlog)

    def meanwhile(message):
        slow.desk.erase(CustomerRef("net", "ben"))
        return Reading("question")

    classifier_of(slow).read = meanwhile
    assert Delivered() == slow.desk.deliver()


def test_a_reading_follows_a_merge(slow):
    """The conversation was taken in by another meanwhile: the reading counts there."""
    slow.take(slow.said("m3", minutes=3, parent="m2"))
    slow.take(slow.said("m2", minutes=2, parent="m1"))
    slow.desk.deliver()
    assert 2 == len(slow.events("net/m1/ola#0", Classified))


def test_a_conflict_is_decided_anew(build):
    """Somebody wrote in between: the reading is added to what is there now."""
    world = build.shaking(classifier=Slow())
    conversation = world.open("m1")
    world.store.fail("commit", Conflict("busy"))
    world.desk.deliver()
    assert 1 == len(world.events(conversation, Classified))


def test_the_backlog_is_bounded(slow):
    """Of more than fit, the oldest stay unread."""
    facts = [slow.said(f"m{n}", minutes=n, thread="t") for n in range(BACKLOG + 5)]
    slow.take(*facts)
    assert (BACKLOG, "m5") == (
        len(slow.desk._core.backlog),
        slow.desk._core.backlog[0][1].id,
    )
    slow.desk.deliver(limit=3)
    assert 3 == len(classifier_of(slow).asked)


def test_an_interruption_puts_the_message_back(slow):
    """Who was stopped in the middle reads it the next time."""
    conversation = slow.open("m1")

    class Interrupted:
        def read(self, message):
            raise KeyboardInterrupt

    core = attrs.evolve(slow.desk._core, reader=Interrupted())
    slow.desk._core, before = core, slow.desk._core
    with pytest.raises(KeyboardInterrupt):
        slow.desk.deliver()
    slow.desk._core = before
    slow.desk.deliver()
    assert 1 == len(slow.events(conversation, Classified))


def test_an_event_loop_reads_with_either_kind(build):
    """On an `AsyncDesk` a classifier may block or be asynchronous."""

    class Awaited:
        async def read(self, message):
            return Reading("praise")

    async def work(classifier):
        world = build(classifier=classifier, desk=_async, store=MemoryStore)
        (conversation,) = (await world.take(world.said("m1"))).conversations
        await world.desk.deliver()
        return (await world.desk.get(conversation)).reading.intent

    assert "question" == asyncio.run(work(Slow()))
    assert "praise" == asyncio.run(work(Awaited()))


def _async(store, channels, *, transport, **options):
    return AsyncDesk(threaded(store), channels, transport=transport, **options)


def test_a_blocking_desk_refuses_an_asynchronous_classifier():
    """When it is made, not when the first message comes."""

    class Awaited:
        async def read(self, message):
            return Reading("praise")

    with pytest.raises(TypeError, match="Awaited is asynchronous; use AsyncDesk"):
        Desk(MemoryStore(), classifier=Awaited())
