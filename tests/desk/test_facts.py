"""Prove what each kind of fact changes, whether it comes before, with or after what it is about."""

import itertools

import attrs
import pytest

from supportflow import CustomerRef, Reading
from supportflow.events import (
    Announced,
    Deleted,
    Edited,
    Held,
    Reacted,
    Received,
    Reported,
    Told,
)
from supportflow.model import Author, Reaction, RemovedBy, State, StatusReport, Visibility
from supportflow.stores import Changes


def reaction(world, id="m1", minutes=1, by="ola", emoji="+1"):
    return Reaction("net", "post", id, Author(by), emoji, world.at(minutes))


def report(world, id="r1", status="delivered", minutes=5, **more):
    return StatusReport("net", id, status, world.at(minutes), **more)


class Inline:
    """Understand one word each, before the commit."""

    inline = True

    def read(self, message):
        words = {
            "thanks": Reading("praise", gratitude=True),
            "sorry": Reading(steps=["acknowledge", "apologize"]),
            "furious": Reading("complaint", mood="furious"),
            "boom": None,
        }
        for word, reading in words.items():
            if word in message.text:
                return reading
        return Reading("question")


@pytest.fixture
def reading(build):
    """Return a world with a classifier that reads before the commit."""
    return build(classifier=Inline())


# -- edits


def test_an_edit_is_an_event_and_the_first_text_stays(world):
    """Changed words ask anew; the text as first seen is kept beside the revision."""
    conversation = world.open("m1", text="Where is it?")
    world.take(world.edit("m1", "2", "Where is my parcel?", 3))
    (edited,) = world.events(conversation, Edited)
    assert (True, "2", world.at(3)) == (edited.asks, edited.revision, edited.at)
    texts = [(s.revision, s.message.text) for s in world.desk.messages(conversation)]
    assert [("", "Where is it?"), ("2", "Where is my parcel?")] == texts


def test_a_revision_is_recorded_once(world):
    """The same revision changes nothing, in one page or in the next."""
    world.open("m1")
    taken = world.take(world.edit("m1"), world.edit("m1"), world.edit("m1", "3"))
    assert (2, 1) == (taken.recorded, taken.duplicates)
    assert 1 == world.take(world.edit("m1", "3")).duplicates


@pytest.mark.parametrize("apart", [False, True])
def test_an_edit_may_come_before_its_message(reading, apart):
    """It waits for the message, and is then read and counted as if it had come in order."""
    world = reading
    facts = [
        world.edit("m1", "3", "still furious", 4),
        world.edit("m1", "2", "thanks", 3),
        world.said("m1", "Hello?"),
    ]
    pages = [[fact] for fact in facts] if apart else [facts]
    for page in pages:
        world.take(*page)
    (conversation,) = world.desk.inbox()
    events = world.events(conversation.id, Received, Edited)
    assert [False, True] == [event.asks for event in events[1:]]
    assert "complaint" == conversation.playbook
    assert 3 == len(world.desk.messages(conversation))


def test_an_edit_of_history_is_history(world):
    """An edit that waited for a message that was backfilled is not announced either."""
    world.take(world.edit("m1", text="other words"))
    world.take(world.said("m1", backfill=True))
    (conversation,) = world.desk.inbox()
    assert all(event.backfill for event in world.events(conversation.id, Received, Edited))
    world.clock.advance(minutes=120)
    assert () == world.desk.announce()


# -- removals


def test_a_customers_deletion_holds_pending_replies(world):
    """Who deletes what we are about to answer is not answered unseen: row and reply are held."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.take(world.removal("m1", 1))
    (held,) = world.events(conversation, Held)
    (row,) = world.desk.outbox(held=True)
    assert (held.why, held.reply) == (row.posting.hold, row.posting.reply)
    assert 0 == world.desk.deliver().sent
    assert [] == world.platform.posts


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_deletion_before_its_message(world, order):
    """Whichever comes first, the message is stored as removed, and nobody waits."""
    facts = [world.said("m1"), world.removal("m1", 1)]
    for place in order:
        world.take(facts[place])
    (conversation,) = world.desk.inbox()
    (stored,) = world.desk.messages(conversation)
    assert (world.at(1), RemovedBy.author) == (stored.removed_at, stored.removed_by)
    assert not conversation.unanswered


def test_a_deletion_before_its_message_in_one_page(world):
    """The same, when both are on one page in the wrong order."""
    taken = world.take(world.removal("m1", 1), world.said("m1"))
    (conversation,) = world.desk.inbox()
    assert (2, False) == (taken.recorded, conversation.unanswered)
    assert 1 == len(world.events(conversation.id, Deleted))


def test_a_removal_is_recorded_once(world):
    """Repeated removals change nothing: of a known message, and of one not seen yet."""
    world.open("m1")
    taken = world.take(*[world.removal(id) for id in ("m1", "m1", "m9", "m9")])
    assert (2, 2) == (taken.recorded, taken.duplicates)
    assert 2 == world.take(world.removal("m1"), world.removal("m9")).duplicates


def test_what_was_hidden_may_be_deleted_after_all(world):
    """A deletion after a hiding is news; hiding what is deleted is not."""
    conversation = world.open("m1")
    world.take(world.removal("m1", 1, by="us", hidden=True))
    assert 1 == world.take(world.removal("m1", 2)).recorded
    assert 1 == world.take(world.removal("m1", 3, hidden=True)).duplicates
    assert [True, False] == [event.hidden for event in world.events(conversation, Deleted)]
    (alarm,) = world.events(conversation, Announced)
    assert "message_hidden" == alarm.kind


# -- reactions and reports


def test_a_reaction_reopens_nothing(world):
    """It is an event and a message of its own kind, once; it starts no clock."""
    conversation = world.open("m1")
    world.take(world.ours("o1", to="ola", thread="m1", minutes=2))
    taken = world.take(reaction(world, "o1", 3), reaction(world, "o1", 3))
    assert (1, 1) == (taken.recorded, taken.duplicates)
    assert ["+1"] == [event.emoji for event in world.events(conversation, Reacted)]
    assert not world.desk.get(conversation).unanswered


def test_a_reaction_to_our_own_reply(world):
    """The platform knows our reply by its own id, and so do we."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.desk.deliver()
    assert 1 == world.take(reaction(world, "r1", 5)).recorded
    assert 1 == len(world.events(conversation, Reacted))


def test_what_is_about_an_unknown_message_can_be_replayed(world):
    """A reaction or failure about nothing that we know is kept, and recorded when we do."""
    taken = world.take(reaction(world), report(world, status="failed", reason="blocked"))
    assert (0, 2) == (taken.recorded, taken.quarantined)
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.desk.deliver()
    ids = [item.id for item in world.desk.quarantine()]
    assert 2 == world.desk.replay(*ids).recorded
    assert () == world.desk.quarantine()


def test_the_delivery_of_what_is_not_ours_is_no_news(world):
    """Answers given in the platform's own app arrive too: nobody waits for that, nothing is kept."""
    taken = world.take(report(world), report(world, status="read"), report(world, status="sent"))
    assert (0, 3, 0) == (taken.recorded, taken.duplicates, taken.quarantined)
    assert () == world.desk.quarantine()


def test_reports_are_recorded_once_and_a_failure_is_an_alarm(world):
    """The platform says how far our words came; that they did not come is told to a person."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.desk.deliver()
    sent, failed = report(world, status="sent"), report(world, status="failed", reason="blocked")
    taken = world.take(sent, sent, failed)
    assert (2, 1) == (taken.recorded, taken.duplicates)
    assert ["sent", "failed"] == [e.status for e in world.events(conversation, Reported)]
    (alarm,) = world.events(conversation, Announced)
    assert ("undelivered", True) == (alarm.kind, "blocked" in alarm.why)


def test_a_report_with_our_mark_is_a_receipt(world):
    """If it comes before the answer, the platform has it: nothing is left unknown."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.platform.fail(TimeoutError(), taken=True)
    world.desk.deliver()
    assert ["unknown"] == world.states()
    mark = world.platform.posts[0]["mark"]
    assert 2 == world.take(report(world, "r1", "sent", mark=mark)).recorded
    assert ["sent"] == world.states()
    assert ["r1"] == [event.remote for event in world.events(conversation, Told)]


# -- words of our own account


def test_an_answer_in_the_platforms_own_app_stops_the_clock(reading):
    """Somebody answered natively: recorded, nobody waits, its evident steps are taken."""
    world = reading
    conversation = world.open("m1", text="furious")
    taken = world.take(world.ours("o1", "we are sorry", 2, to="ola", thread="m1"))
    found = world.desk.get(conversation)
    assert (1, False, State.apologized) == (taken.recorded, found.unanswered, found.state)
    assert 1 == world.take(world.ours("o1", "we are sorry", 2, to="ola", thread="m1")).duplicates


def test_an_answer_finds_its_customer_by_what_it_answers(world):
    """Where the platform names no customer, the author of the parent message is meant."""
    conversation = world.open("m1")
    world.take(world.ours("o1", minutes=2, parent="m1"))
    assert 1 == len(world.events(conversation, Told))


def test_we_may_write_first(world):
    """Words of ours to somebody who never wrote open a conversation, in which nobody waits."""
    world.take(world.ours("o1", to="ola"))
    (conversation,) = world.desk.inbox()
    assert ("o1", "ola", False) == (
        conversation.thread,
        conversation.customer,
        conversation.unanswered,
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("apart", [False, True])
def test_answers_may_come_before_what_they_answer(reading, order, apart):
    """A chain of native answers waits for its question, in any order and on any pages."""
    world = reading
    facts = [
        world.said("m1", "hello?"),
        world.ours("o1", "one", 1, parent="m1"),
        world.ours("o2", "two sorry", 2, parent="o1"),
        world.edit("o2", "2", "two, sorry!", 3),
    ]
    pages = [[facts[n]] for n in order] if apart else [[facts[n] for n in order]]
    for page in pages:
        world.take(*page)
    (conversation,) = world.desk.inbox()
    assert (False, State.apologized) == (conversation.unanswered, conversation.state)
    assert 2 == len(world.events(conversation.id, Told))
    assert 1 == len(world.events(conversation.id, Edited))
    stored = world.desk.messages(conversation)
    assert ["m1", "o1", "o2", "o2"] == [s.message.id for s in stored]


# -- echoes


def queued(world, *texts):
    conversation = world.open("m1")
    world.desk.reply(conversation, list(texts) or "We see it.", steps=["acknowledge"])
    return conversation


def mark_of(world, part=0):
    return world.desk.outbox()[part].posting.outgoing.mark


def test_an_echo_before_the_answer_is_the_receipt(world):
    """The platform shows our words before it answers us: they are told, and once."""
    conversation = queued(world)
    echo = world.ours("r1", minutes=1, to="ola", thread="m1", mark=mark_of(world))

    def meanwhile(request):
        world.take(echo)
        return world.platform.read(request)  # the answer is a list: nothing usable

    world.platform.fail(meanwhile, taken=True)
    world.desk.deliver()
    assert ["sent"] == world.states()
    assert State.acknowledged is world.desk.get(conversation).state
    assert 1 == len(world.events(conversation, Told))
    assert (0, 1) == (world.take(echo).recorded, world.take(echo).duplicates)


def test_an_echo_after_the_receipt_is_nothing_new(world):
    """By our mark or by the platform's id, a told reply is known."""
    conversation = queued(world)
    world.desk.deliver()
    marked = world.ours("r1", minutes=1, to="ola", thread="m1", mark=mark_of(world))
    plain = world.ours("r1", minutes=1, parent="m1")
    assert 2 == world.take(marked, plain).duplicates
    assert 1 == len(world.events(conversation, Told))


def test_an_echo_under_another_id_is_a_duplicate_on_the_platform(world):
    """The platform has it twice: nothing is told twice, and the row says so."""
    conversation = queued(world)
    world.desk.deliver()
    world.take(world.ours("r99", minutes=1, to="ola", thread="m1", mark=mark_of(world)))
    (row,) = world.desk.outbox()
    assert "twice" in row.last_error
    assert 1 == len(world.events(conversation, Told))


def test_an_echo_without_a_mark_is_known_by_its_words(world):
    """While an answer is awaited, the same words under the same message are ours (2.5)."""
    conversation = queued(world, "We  see it.")
    world.platform.fail(TimeoutError(), taken=True)
    world.desk.deliver()
    world.desk.reply(conversation, "And this.")  # waits behind it: nothing to be echoed yet
    facts = [
        world.ours("x0", "And this.", 1, parent="m1"),
        world.ours("x1", "We see something else.", 1, parent="m1"),
        world.ours("x2", "We see it.", -1, parent="m1"),  # from before it was sent
        world.ours("r1", "We see it.", 1, parent="m1"),
        world.ours("x3", "We see it.", 2, parent="m1"),  # said twice, natively
    ]
    world.take(*facts)
    assert ["sent", "pending"] == world.states()
    assert "r1" == world.desk.outbox()[0].remote_id
    assert 5 == len(world.events(conversation, Told))


@pytest.mark.parametrize(
    ("parent", "expected"), [("m1", "sent"), ("m2", "sent"), ("m3", "unknown")]
)
def test_an_echo_stands_beneath_what_it_answers_or_its_thread(world, parent, expected):
    """Where threads are one level deep, an answer to an answer is told beneath the first message."""
    conversation = world.open("m1")
    world.take(world.said("m2", minutes=1, thread="m1", parent="m1"))
    world.desk.reply(conversation, "We see it.")
    world.platform.fail(TimeoutError(), taken=True)
    world.desk.deliver()
    world.take(world.ours("r1", "We see it.", 1, to="ola", thread="m1", parent=parent))
    assert [expected] == [state.rstrip("*") for state in world.states()]


@pytest.mark.parametrize(("visibility", "expected"), [("private", "sent"), ("public", "unknown")])
def test_a_private_echo_names_no_message_that_it_answers(world, visibility, expected):
    """Its words alone tell it; in public, where answers name what they answer, they must too."""
    shown = Visibility(visibility)
    conversation = world.open("m1", visibility=shown)
    world.desk.reply(conversation, "We see it.")
    world.platform.fail(TimeoutError(), taken=True)
    world.desk.deliver()
    echo = world.ours("r1", "We see it.", 1, to="ola", thread="m1", visibility=shown)
    world.take(echo)
    assert [expected] == [state.rstrip("*") for state in world.states()]
    assert 1 == len(world.events(conversation, Told))


def test_an_echo_of_an_early_part_tells_nothing_anew(world):
    """Later parts were told already: the row is settled, and no step is taken twice."""
    conversation = queued(world, "One.", "Two.", "Three.")
    world.platform.fail(TimeoutError(), taken=True)
    world.platform.fail(None, taken=True)
    world.platform.fail(422)
    world.platform.read_faults.extend([None] + [503] * 50)
    world.deliver_all(minutes=2, rounds=8)
    assert ["unknown*", "sent", "failed"] == world.states()
    told = world.events(conversation, Told)
    world.take(world.ours("r1", minutes=1, to="ola", thread="m1", mark=mark_of(world)))
    assert (["sent", "sent", "failed"], told) == (world.states(), world.events(conversation, Told))


def test_an_echo_of_a_cancelled_reply_still_counts(world):
    """Positive knowledge wins: what we gave up and the customer reads was told."""
    conversation = queued(world)
    world.platform.fail(TimeoutError(), taken=True)
    world.desk.deliver()
    (pending,) = world.desk.get(conversation).pending
    world.desk.cancel(conversation, pending.id, why="too late")
    world.take(world.ours("r1", minutes=1, to="ola", thread="m1", mark=mark_of(world)))
    assert ["sent"] == world.states()
    (told,) = world.events(conversation, Told)
    assert ("r1", "person") == (told.remote, told.by.kind)


def test_an_edit_and_a_removal_of_our_own_reply_are_recorded(world):
    """What happens to our words in the platform's app is in the log, as ours."""
    conversation = queued(world)
    world.desk.deliver()
    world.take(world.edit("r1", text="We saw it.", minutes=2), world.removal("r1", 3, by="us"))
    (edited,) = world.events(conversation, Edited)
    (deleted,) = world.events(conversation, Deleted)
    assert (False, False) == (edited.asks, deleted.inbound)
    directions = {s.message.text: s.direction for s in world.desk.messages(conversation)}
    assert "outbound" == directions["We saw it."]


def test_facts_about_an_erased_message_change_nothing(world):
    """What was erased stays erased, whatever the platform still reports of it."""
    world.open("m1")
    world.desk.erase(CustomerRef("net", "ola"))
    facts = [world.said("m1"), world.edit("m1"), world.removal("m1")]
    assert (0, 3) == (world.take(*facts).recorded, world.take(*facts).duplicates)


# -- inline classifiers


def test_an_inline_classifier_that_fails_loses_no_message(reading):
    """It returned nothing: the message is recorded, unread, and says why."""
    conversation = reading.open("m1", text="boom")
    found = reading.desk.get(conversation).reading
    assert (None, ("classifier failed: TypeError",)) == (found.intent, found.reasons)


def test_an_inline_classifier_must_not_be_asynchronous(build):
    """Its coroutine is closed, not forgotten; the message stays unread."""

    class Slow:
        inline = True

        def read(self, message):
            async def later():
                return Reading("question")

            return later()

    world = build(classifier=Slow())
    assert None is world.desk.get(world.open("m1")).reading.intent


def test_a_private_answer_finds_its_thread_too(world):
    """A private talk has no third persons to look for."""
    first = world.open("m1", visibility=Visibility.private)
    again = world.open("m2", minutes=1, parent="m1", visibility=Visibility.private)
    assert first == again


def test_the_echo_of_what_belongs_to_no_conversation_is_its_receipt(world):
    """A broadcast is in no conversation: its echo settles it, and tells nobody's log."""
    world.desk.reply(world.open("m1"), "We see it.", key="k1")
    posting = world.desk.outbox()[0].posting
    outgoing = attrs.evolve(posting.outgoing, id="row-2", mark="mark-2", text="To all.")
    lone = attrs.evolve(posting, outgoing=outgoing, stream="incident:1", conversation=None)
    lone = attrs.evolve(lone, reply="broadcast")
    world.store.commit(Changes(world.clock(), postings=(lone,)))
    taken = world.take(world.ours("r7", "To all.", mark="mark-2"))
    assert (1, ()) == (taken.recorded, taken.conversations)
    assert [("pending", None), ("sent", "r7")] == [
        (row.state, row.remote_id) for row in world.desk.outbox()
    ]
