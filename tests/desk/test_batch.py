"""Prove that each message finds its conversation, whatever came first."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow import Reading, verdicts
from supportflow.events import Absorbed, Linked, Merged, Opened, Reacted, Received, Told
from supportflow.model import Author, Reaction
from supportflow.sla.policy import DEFAULT_POLICY


def ids(world):
    return [conversation.id for conversation in world.desk.inbox()]


def alive(world):
    return [c for c in world.desk.inbox() if c.merged_into is None]


# -- threads


def test_an_answer_joins_the_thread_of_what_it_answers(world):
    """Without a thread named by the platform, the known parent's thread is meant."""
    world.take(world.said("m1"), world.said("m2", minutes=1, parent="m1"))
    world.take(world.said("m3", minutes=2, parent="m2"))
    assert ["net/m1/ola#0"] == ids(world)


def test_a_thread_named_by_the_platform_is_believed(world):
    """Where the platform names the root, nothing has to be derived."""
    world.take(world.said("m2", thread="t1", parent="m1"), world.said("m3", minutes=1, thread="t1"))
    assert ["net/t1/ola#0"] == ids(world)


def test_an_answer_to_our_reply_joins_its_conversation(world):
    """The platform knows our reply by its own id; a customer's answer to that finds us."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.desk.deliver()
    world.take(world.said("m2", "thanks", 9, parent="r1"))
    assert [conversation] == ids(world)
    assert 2 == len(world.events(conversation, Received))


@pytest.mark.parametrize("apart", [False, True])
def test_answers_before_their_parent_are_united_with_it(world, apart):
    """When a parent's thread becomes known, what was opened under its id becomes part of it."""
    facts = [
        world.said("m3", "three", 3, parent="m2"),
        world.said("m2", "two", 2, parent="m1"),
        world.said("m1", "one", 1),
    ]
    for page in [[fact] for fact in facts] if apart else [facts]:
        world.take(*page)
    assert ["net/m1/ola#0"] == [c.id for c in alive(world)]
    assert 3 == len(world.desk.messages("net/m1/ola#0"))
    assert 1 == len(world.events("net/m1/ola#0", Absorbed))
    assert ["net/m1/ola#0"] == [e.into for e in world.events("net/m2/ola#0", Merged)]
    assert "net/m1/ola#0" == world.desk.get("net/m2/ola#0").id


def test_a_third_person_under_an_unknown_parent_stays_whole(world):
    """Of several people under an unknown parent the first moves; the other's talk is one still."""
    world.take(world.said("m3", minutes=3, parent="m2"))
    world.take(world.said("m4", minutes=4, by="ben", parent="m2"))
    world.take(world.said("m2", minutes=2, parent="m1"))
    world.take(world.said("m5", minutes=5, by="ben", parent="m4"))
    assert {"net/m1/ola#0", "net/m2/ben#0"} == {c.id for c in alive(world)}
    assert 2 == len(world.desk.messages("net/m2/ben#0"))


def test_later_messages_follow_a_merge(world):
    """Whoever answers in the old thread is put where it went, also as a third person."""
    world.take(world.said("m3", "three", 3, parent="m2"))
    world.take(world.said("m2", "two", 2, parent="m1"))
    world.take(world.said("m5", "five", 5, parent="m3"), world.said("m6", "six", 6, thread="m2"))
    world.take(world.said("m7", "seven", 7, by="ben", parent="m3"))
    assert {"net/m1/ola#0", "net/m1/ben#0"} == {c.id for c in alive(world)}
    assert 4 == len(world.desk.messages("net/m1/ola#0"))


def test_replies_on_their_way_go_with_a_merge(world):
    """What was queued for a conversation is sent for the one that took it in."""
    early = world.open("m3", minutes=3, parent="m2")
    world.desk.reply(early, "We see it.")
    world.take(world.said("m2", "two", 2, parent="m1"))
    (row,) = world.desk.outbox()
    assert "net/m1/ola#0" == row.posting.conversation
    assert 1 == world.desk.deliver().sent
    assert 1 == len(world.events("net/m1/ola#0", Told))


def test_what_is_about_an_old_reply_follows_a_merge(world):
    """A reaction to what was told before the merge counts where the talk went."""
    early = world.open("m3", minutes=3, parent="m2")
    world.desk.reply(early, "We see it.")
    world.desk.deliver()
    world.take(world.said("m2", "two", 2, parent="m1"))
    world.take(Reaction("net", "post", "r1", Author("ola"), "+1", world.at(9)))
    assert 1 == len(world.events("net/m1/ola#0", Reacted))


def test_a_native_answer_unites_as_well(world):
    """A customer answers words of ours that we hear of later: both belong together."""
    world.take(world.said("m1"), world.said("m2", "thanks", 5, parent="o1"))
    world.take(world.ours("o1", minutes=2, parent="m1"))
    assert ["net/m1/ola#0"] == [c.id for c in alive(world)]


def test_an_adopted_answer_unites_as_well(world):
    """The same, when those words of ours had to wait for their own question."""
    world.take(world.said("m2", "thanks", 5, parent="o1"))
    world.take(world.ours("o1", minutes=2, parent="m1"))
    world.take(world.said("m1"))
    assert ["net/m1/ola#0"] == [c.id for c in alive(world)]
    assert 2 == len(world.events("net/m1/ola#0", Absorbed, Told))


def test_an_answer_to_a_reply_whose_receipt_comes_later(world):
    """The customer answers before the platform answers us: settling unites the two."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.platform.fail(TimeoutError(), taken=True)
    world.desk.deliver()
    world.take(world.said("m2", "at last", 1, parent="r1"))
    assert 2 == len(alive(world))
    world.deliver_all()
    assert [conversation] == [c.id for c in alive(world)]
    assert world.desk.get(conversation).unanswered


def test_an_echo_unites_as_well(world):
    """The same, when the echo is the receipt."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.platform.fail(TimeoutError(), taken=True)
    world.desk.deliver()
    world.take(world.said("m2", "at last", 1, parent="r1"))
    (row,) = world.desk.outbox()
    mark = row.posting.outgoing.mark
    world.take(world.ours("r1", minutes=1, to="ola", thread="m1", mark=mark))
    assert [conversation] == [c.id for c in alive(world)]


def test_messages_that_answer_each_other_end_somewhere(world):
    """A platform that reports a circle of parents is taken as it is, without end or error."""
    world.take(world.said("m1", parent="m2"), world.said("m2", minutes=1, parent="m1"))
    world.take(world.said("m3", minutes=2, parent="m3"))
    assert 3 == sum(len(world.desk.messages(id)) for id in ids(world))


# -- third persons


def test_a_third_person_is_linked_as_a_bystander(world):
    """Somebody else in a public thread has their own conversation, beside the first one."""
    world.take(world.said("m1"))
    world.take(world.said("m2", minutes=1, by="ben", parent="m1"))
    world.take(world.said("m3", minutes=2, by="cid", parent="m2"))
    beside = {c.customer: c.bystander_of for c in world.desk.inbox()}
    assert {"ola": None, "ben": "net/m1/ola#0", "cid": "net/m1/ola#0"} == beside


@pytest.mark.parametrize("apart", [False, True])
def test_a_third_person_may_come_first(world, apart):
    """When the root of the thread arrives, its author is the first, and the other is linked."""
    facts = [world.said("m2", minutes=1, by="ben", parent="m1"), world.said("m1")]
    for page in [[fact] for fact in facts] if apart else [facts]:
        world.take(*page)
    beside = {c.customer: c.bystander_of for c in world.desk.inbox()}
    assert {"ola": None, "ben": "net/m1/ola#0"} == beside
    assert 1 == len(world.events("net/m1/ben#0", Linked))


def test_a_third_person_in_a_private_talk_is_no_bystander(world, private):
    """What nobody else can read has no bystanders."""
    world.take(world.said("m1", **private))
    world.take(world.said("m2", minutes=1, by="ben", parent="m1", **private))
    assert [None, None] == [c.bystander_of for c in world.desk.inbox()]


# -- one conversation after the other

DAY = 24 * 60


class Solved:
    """Read every answer of ours as the solution."""

    inline = True

    def read(self, message):
        return Reading("question", steps=["resolve"] if message.author.id == "shop" else [])


def resolved(world):
    """Open a conversation and resolve it natively, a minute later."""

    class Sorry:
        inline = True

        def read(self, message):
            from supportflow import Reading

            return (
                Reading(steps=["resolve"]) if message.author.id == "shop" else Reading("question")
            )

    world.desk = world.again(classifier=Sorry())
    world.take(world.said("m1"), world.ours("o1", minutes=1, parent="m1"))
    return "net/m1/ola#0"


def test_a_message_within_the_window_reopens(world):
    """Within seven days the same conversation goes on."""
    assert (resolved(world),) == world.take(
        world.said("m2", minutes=6 * DAY, parent="m1")
    ).conversations


def test_a_message_beyond_the_window_begins_a_new_conversation(world):
    """Later a new one begins, linked to the old one."""
    first = resolved(world)
    (second,) = world.take(world.said("m2", minutes=8 * DAY, parent="m1")).conversations
    (opened,) = world.events(second, Opened)
    assert ("net/m1/ola#1", first) == (second, opened.previous)


def test_late_messages_join_the_conversation_of_their_time(world):
    """A late message goes where its time is covered; ordinals never change."""
    first = resolved(world)
    (second,) = world.take(world.said("m9", minutes=20 * DAY, parent="m1")).conversations
    late = [
        world.said("m2", minutes=5 * DAY, parent="m1"),  # would have reopened the first
        world.said("m8", minutes=19 * DAY, parent="m1"),
        world.ours("o3", minutes=6 * DAY, parent="m2"),
        world.ours("o9", minutes=21 * DAY, parent="m9"),
    ]
    found = [world.take(fact).conversations for fact in late]
    assert [(first,), (first,), (first,), (second,)] == found


def test_a_late_message_may_have_begun_the_next_conversation(world):
    """After the window of the first, and before what we know of the second: it began that."""
    resolved(world)
    (second,) = world.take(world.said("m9", minutes=20 * DAY, parent="m1")).conversations
    assert (second,) == world.take(world.said("m8", minutes=19 * DAY, parent="m1")).conversations
    assert world.at(19 * DAY) == world.desk.get(second).opened_at


def test_early_conversations_of_one_customer_are_all_united(world):
    """Two conversations under one unknown parent both become part of where that belongs."""
    world.desk = world.again(classifier=Solved())
    world.take(world.said("m3", minutes=1, parent="m2"), world.ours("o3", minutes=2, parent="m3"))
    world.take(world.said("m9", minutes=20 * DAY, parent="m2"))
    assert ["net/m2/ola#0", "net/m2/ola#1"] == ids(world)
    world.take(world.said("m2", parent="m1"))
    assert ["net/m1/ola#0"] == [c.id for c in alive(world)]
    assert 4 == len(world.desk.messages("net/m1/ola#0"))


def test_a_new_conversation_after_a_merge_gets_the_next_number(world):
    """Who writes in a thread that was merged, after the window, gets the next one there."""
    world.desk = world.again(classifier=Solved())
    world.take(world.said("m3", minutes=1, parent="m2"), world.ours("o3", minutes=2, parent="m3"))
    world.take(world.said("m2", parent="m1"))
    (new,) = world.take(world.said("m9", minutes=20 * DAY, thread="m2")).conversations
    assert "net/m1/ola#1" == new


# -- any order

MINUTES = st.integers(0, 300)


@st.composite
def histories(draw):
    """Return facts of one public thread, in the order in which they happened.

    A third person speaks there as well, answering the root, which is enough to be found (see
    `test_a_third_person_under_an_unknown_parent_stays_whole`).
    """
    facts = [("said", "m0", "ola", None)]
    people = {"said": "ola", "ours": "shop", "beside": "ben"}
    for number in range(1, draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["said", "said", "ours", "beside", "edit", "removal"]))
        about = draw(st.sampled_from([fact for fact in facts if fact[0] in people]))
        if kind == "beside":
            facts.append((kind, f"m{number}", "ben", "m0"))
        elif kind in people:
            facts.append((kind, f"m{number}", people[kind], about[1]))
        elif (kind, about[1]) not in {(fact[0], fact[1]) for fact in facts}:
            facts.append((kind, about[1], None, None))
    return facts


def fact_of(world, place, told):
    kind, id, by, parent = told
    minutes = 7 * place
    if kind in {"said", "beside"}:
        return world.said(id, f"words of {id}", minutes, by, parent=parent)
    if kind == "ours":
        return world.ours(id, f"words of {id}", minutes, parent=parent)
    if kind == "edit":
        return world.edit(id, text=f"other words of {id}", minutes=minutes)
    return world.removal(id, minutes)


def summary(world):
    """Return what must not depend on the order: messages, who waits, and every verdict."""
    messages, waiting, judged = set(), set(), []
    for conversation in alive(world):
        for s in world.desk.messages(conversation):
            message = s.message
            messages.add((message.id, s.revision, message.text, s.removed_at))
        if conversation.unanswered:
            waiting.add(conversation.customer)
        for verdict in verdicts(conversation, DEFAULT_POLICY):
            judged.append((conversation.customer, attrs.astuple(verdict)[:-2]))
    return messages, waiting, sorted(judged, key=repr)


@given(st.data())
def test_any_order_gives_the_same(build, data):
    """Same facts, in any order and on any pages: the same messages in conversations, the same
    people waiting, the same verdicts; and nothing in quarantine.
    """
    history = data.draw(histories())
    worlds = build(), build()
    facts = [fact_of(worlds[0], place, told) for place, told in enumerate(history)]
    worlds[0].take(*facts)
    shuffled = [facts[n] for n in data.draw(st.permutations(range(len(facts))))]
    cuts = data.draw(st.sets(st.integers(1, len(facts))))
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(facts)], strict=True):
        worlds[1].take(*shuffled[start:end])
    assert summary(worlds[0]) == summary(worlds[1])
    assert () == worlds[0].desk.quarantine() == worlds[1].desk.quarantine()
