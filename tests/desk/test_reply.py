"""Prove that an answer is checked, decided and queued in one commit, once, and never too openly."""

from datetime import timedelta

import attrs
import pytest

from supportflow import (
    Agent,
    CustomerRef,
    EtiquetteError,
    IllegalStep,
    InvalidValue,
    NotFound,
    Reading,
    Refund,
    Stale,
    Unsupported,
    WindowClosed,
)
from supportflow.channels import Traits
from supportflow.errors import Conflict, StoreUnavailable
from supportflow.events import Queued
from supportflow.model import Card, State, Step, Visibility
from supportflow.stores import Direction


def angry(world):
    """Open a conversation that calls for all three steps."""
    conversation = world.open("m1")
    world.desk.classify(conversation, "complaint", mood="furious")
    return conversation


def test_a_reply_waits_in_the_outbox(world):
    """Event, words and outbox row are committed together; nobody waits unanswered any more."""
    conversation = world.open("m1")
    after = world.desk.reply(conversation, "We see it.", agent="anna", language="en")
    (row,) = world.desk.outbox()
    outgoing = row.posting.outgoing
    assert ("We see it.", ("post", "m1"), "m1", "ola", "en") == (
        outgoing.text,
        outgoing.reply_to,
        outgoing.thread,
        outgoing.to.id,
        outgoing.language,
    )
    assert (True, False) == (world.desk.get(conversation) == after, after.unanswered)
    (queued,) = world.events(conversation, Queued)
    assert ("anna", row.posting.reply) == (queued.by.id, queued.reply)
    directions = [s.direction for s in world.desk.messages(conversation)]
    assert [Direction.inbound, Direction.outbound] == directions
    assert 24 == len(outgoing.mark)


def test_parts_are_rows_in_their_order(world):
    """A list is sent as several messages; card and quick replies come with the last one."""
    world.channels[0] = attrs.evolve(
        world.net, traits=attrs.evolve(world.net.traits, powers={"card", "quick_replies"})
    )
    world.desk = world.again()
    conversation = world.open("m1")
    card = Card("Cup", "https://shop.example/cup")
    world.desk.reply(conversation, ["One.", "Two."], card=card, quick_replies=["yes", "no"])
    rows = world.desk.outbox()
    assert [("One.", 0, 1), ("Two.", 1, 2)] == [
        (row.posting.outgoing.text, row.posting.part, row.seq) for row in rows
    ]
    assert [(None, ()), (card, ("yes", "no"))] == [
        (row.posting.outgoing.card, row.posting.outgoing.quick_replies) for row in rows
    ]
    assert 2 == world.desk.deliver().sent
    assert ["One.", "Two."] == world.platform.texts


def test_each_step_has_its_name(world):
    """Acknowledge, apologize, resolve: the short ways take their step, in order."""
    conversation = angry(world)
    world.desk.acknowledge(conversation, "We see the double charge.")
    world.desk.apologize(conversation, "We are sorry for the trouble.")
    world.desk.resolve(conversation, "It is paid back.", outcome=Refund("49.90", "EUR"))
    world.desk.deliver()
    found = world.desk.get(conversation)
    assert (State.resolved, Refund("49.90", "EUR")) == (found.state, found.outcome)
    assert list(Step) == [step for e in world.events(conversation, Queued) for step in e.steps]


def test_a_step_that_is_not_legal_names_those_that_are(world):
    """Nothing is queued, and the error says what is legal instead."""
    conversation = angry(world)
    with pytest.raises(IllegalStep, match="legal now: acknowledge"):
        world.desk.resolve(conversation, "It is paid back.")
    assert () == world.desk.outbox()


def test_a_promise_starts_its_clock(world):
    """It is queued with its time; a time that is past or naive is refused."""
    conversation = world.open("m1")
    due = world.at(180)
    world.desk.promise(conversation, "We will come back by noon.", by=due, steps=["acknowledge"])
    (queued,) = world.events(conversation, Queued)
    assert (due, (Step.acknowledge,)) == (queued.due, queued.steps)
    for wrong in (world.at(0), due.replace(tzinfo=None), "noon"):
        with pytest.raises(InvalidValue, match="by is"):
            world.desk.promise(conversation, "Soon.", by=wrong)
    with pytest.raises(InvalidValue, match="aware"):
        world.desk.reply(conversation, "Soon.", promise_by=due.replace(tzinfo=None))


# -- refusals


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": ""},
        {"text": "  "},
        {"text": []},
        {"text": ["One.", " "]},
        {"text": ["One.", 2]},
        {"text": None},
        {"text": b"bytes"},
        {"steps": ["forgive"]},
        {"steps": "acknowledge"},
        {"agent": ""},
        {"agent": None},
        {"key": ""},
        {"key": 7},
        {"override": None},
        {"visibility": "everybody"},
        {"to": "m1"},
        {"to": ("post",)},
        {"to": ("post", 1)},
        {"language": 5},
        {"feedback": 5},
        {"quick_replies": "yes"},
        {"quick_replies": [1]},
        {"card": Card("Cup", None)},
        {"conversation": 5},
        {"conversation": None},
        {"outcome": Refund("1", "EUR")},
    ],
)
def test_what_makes_no_sense_is_refused(world, arguments):
    """Every argument is checked, and nothing is queued."""
    given = {"conversation": world.open("m1"), "text": "Hello.", **arguments}
    with pytest.raises(InvalidValue):
        world.desk.reply(**given)
    assert () == world.desk.outbox()


def test_words_of_an_agent_are_normalised(world):
    """NUL and lone surrogates leave neither in the text nor in what is recorded beside it."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "a\x00b", override="why\ud800")
    (row,) = world.desk.outbox()
    assert "a\ufffdb" == row.posting.outgoing.text
    assert "why\ufffd" == world.events(conversation, Queued)[0].why


def test_unknown_conversations_and_channels_are_named(world):
    """Whatever is missing is named, with what there is."""
    with pytest.raises(NotFound, match="no conversation 'net/x/y#0'"):
        world.desk.reply("net/x/y#0", "Hello.")
    conversation = world.open("m1")
    with pytest.raises(NotFound, match="no channel 'net' on this desk; it has: mute"):
        world.again([world.Mute()]).reply(conversation, "Hello.")


def test_only_a_customers_message_in_this_conversation_is_answered(world):
    """A message of another customer, our own, or one that is gone cannot be answered here."""
    conversation = world.open("m1")
    world.open("x1", by="ben")
    world.take(world.ours("o1", to="ola", thread="m1", minutes=1))
    with pytest.raises(NotFound, match="no message"):
        world.desk.reply(conversation, "Hello.", to=("post", "x1"))
    with pytest.raises(InvalidValue, match="our own"):
        world.desk.reply(conversation, "Hello.", to=("post", "o1"))
    with pytest.raises(NotFound, match="erased"):
        world.desk.reply(conversation, "Hello.", to=("post", "m9"))
    world.take(world.said("m2", minutes=2, thread="m1"))
    world.desk.reply(conversation, "Hello.", to=("post", "m1"))
    assert ("post", "m1") == world.desk.outbox()[0].posting.outgoing.reply_to


def test_there_must_be_something_to_answer(world):
    """In a conversation that only we wrote in, there is nothing to answer yet."""
    (conversation,) = world.take(world.ours("o1", to="ola")).conversations
    with pytest.raises(InvalidValue, match="no message of the customer"):
        world.desk.reply(conversation, "Hello.")


def test_an_erased_customer_cannot_be_answered(world):
    """Nothing is left to answer, and the error says why."""
    world.open("m1")
    world.desk.erase(CustomerRef("net", "ola"))
    (conversation,) = world.desk.inbox()
    with pytest.raises(NotFound, match="erased"):
        world.desk.reply(conversation.id, "Hello.")


def test_a_private_message_is_never_answered_in_public(world, private):
    """Visibility is that of what is answered, narrower if asked, never wider."""
    public = world.open("m1")
    hidden = world.open("m2", by="ben", **private)
    world.desk.reply(public, "Hello.")
    world.desk.reply(public, "Hello.", visibility="private")
    world.desk.reply(hidden, "Hello.")
    with pytest.raises(InvalidValue, match="never answered in public"):
        world.desk.reply(hidden, "Hello.", visibility="public")
    shown = [row.posting.outgoing.visibility for row in world.desk.outbox()]
    assert [Visibility.public, Visibility.private, Visibility.private] == shown


def test_what_the_network_cannot_express_is_refused(build):
    """Neither a visibility nor a power that it lacks is dropped silently."""
    world = build([build.Mute()])
    conversation = world.open("m1")
    with pytest.raises(Unsupported, match="cannot send a private message; it offers public"):
        world.desk.reply(conversation, "Hello.", visibility="private")
    with pytest.raises(Unsupported, match="has no card"):
        world.desk.reply(conversation, "Hello.", card=Card("Cup", "https://shop.example/cup"))
    with pytest.raises(Unsupported, match="has no quick_replies"):
        world.desk.reply(conversation, "Hello.", quick_replies=["yes"])


# -- the gate


def test_a_text_that_is_too_long_is_blocked_or_overridden(world):
    """The gate says why and what instead; a reason to send it all the same is recorded."""
    conversation = world.open("m1")
    with pytest.raises(EtiquetteError, match="101 is over the channel's limit of 100") as caught:
        world.desk.reply(conversation, ["short", "x" * 101])
    assert ["too_long"] == [finding.rule for finding in caught.value.findings]
    with pytest.raises(EtiquetteError):
        world.desk.reply(conversation, "x" * 101, override=" ")
    world.desk.reply(conversation, "x" * 101, override="the platform takes more by now")
    (queued,) = world.events(conversation, Queued)
    assert "the platform takes more by now" == queued.why


def test_a_draft_is_only_looked_at(world):
    """What the gate says can be asked without sending anything."""
    conversation = world.open("m1")
    assert () == world.desk.draft(conversation, "Hello.", steps=["acknowledge"])
    (finding,) = world.desk.draft(world.desk.get(conversation), "x" * 101, visibility="private")
    assert "too_long" == finding.rule
    assert 2 == len(world.desk.draft(conversation, ["x" * 101, "y" * 101]))
    assert () == world.desk.outbox()
    with pytest.raises(InvalidValue, match="visibility is 'all'"):
        world.desk.draft(conversation, "Hello.", visibility="all")


def test_the_gate_knows_what_went_out_lately(build):
    """A rule is told how often the same canned text went out, and for whom the text is."""
    seen = []

    def watching(text, context):
        seen.append((context.repeated, context.language, context.visibility, context.steps))
        return ()

    world = build(etiquette=[watching])
    conversation = world.open("m1")
    world.desk.classify(conversation, reading=Reading("question", language="fa"))
    for number in range(2):
        world.desk.reply(conversation, f"Hi @ola, order {number}.", steps=["acknowledge"])
    steps = (Step.acknowledge,)
    assert [(0, "fa", "public", steps), (1, "fa", "public", steps)] == seen


# -- the window

HOUR = timedelta(hours=1)


def windowed(build, powers=(), **more):
    traits = Traits(
        "net", 100, "read", visibilities=("public", "private"), window=HOUR, powers=powers, **more
    )
    return build([build.Net(traits=traits)])


def test_a_private_reply_after_the_window_is_refused(build, private):
    """It names when the window closed, and what is still possible."""
    world = windowed(build, ["template", "public_reply"])
    conversation = world.open("m1", **private)
    world.desk.reply(conversation, "In time.")
    world.clock.advance(HOUR)
    with pytest.raises(WindowClosed, match="until 2026-03-02 10:00 UTC") as caught:
        world.desk.reply(conversation, "Too late.")
    assert ("template", "public reply", "wait for the customer to write again") == (
        caught.value.possible
    )
    assert 1 == len(world.desk.outbox())


def test_a_public_reply_has_no_window(build):
    """The window is one of private messages."""
    world = windowed(build)
    conversation = world.open("m1")
    world.clock.advance(HOUR)
    world.desk.reply(conversation, "Hello.")
    with pytest.raises(WindowClosed):
        world.desk.reply(conversation, "Hello.", visibility="private")


def test_people_may_have_longer(build, private):
    """Where the platform gives people more time than bots, both have their own."""
    world = windowed(build, human_window=2 * HOUR)
    conversation = world.open("m1", **private)
    world.clock.advance(HOUR)
    world.desk.reply(conversation, "Hello.", agent=Agent("anna"))
    with pytest.raises(WindowClosed):
        world.desk.reply(conversation, "Hello.", agent=Agent("robo", "bot"))


# -- who looked at what, and how often


def test_a_conversation_that_changed_since_it_was_read_is_stale(world):
    """Passing what was read refuses to answer over somebody; passing the id opts out."""
    conversation = world.desk.get(world.open("m1"))
    world.take(world.said("m2", minutes=1, thread="m1"))
    with pytest.raises(Stale, match="read it again"):
        world.desk.reply(conversation, "Hello.")
    world.desk.reply(conversation.id, "Hello.")
    fresh = world.desk.get(conversation.id)
    world.desk.tag(conversation.id, "vip")  # nobody wrote
    world.desk.reply(fresh, "Hello again.")
    with pytest.raises(Stale):
        world.desk.reply(fresh, "And again.")


def test_a_conversation_that_was_merged_is_stale(world):
    """Its id leads to the one that took it in; what was read before does not."""
    early = world.desk.get(world.open("m3", minutes=3, parent="m2"))
    world.take(world.said("m2", minutes=2, parent="m1"))
    with pytest.raises(Stale, match="became part of net/m1/ola#0"):
        world.desk.reply(early, "Hello.")
    assert "net/m1/ola#0" == world.desk.reply(early.id, "Hello.").id
    with pytest.raises(Stale):
        world.desk.draft(early, "Hello.")


def test_a_repeated_key_changes_nothing(world):
    """The same command again returns the conversation as it is, however it was read."""
    conversation = world.desk.get(world.open("m1"))
    first = world.desk.reply(conversation, "Hello.", key="k1")
    assert first == world.desk.reply(conversation, "Hello.", key="k1")
    assert first == world.desk.reply(conversation.id, "Something else.", key="k1")
    assert 1 == len(world.desk.outbox())


def test_a_lost_answer_to_a_commit_queues_nothing_twice(shaky):
    """The commit happened, unknown to us: the same key finds it."""
    conversation = shaky.open("m1")
    shaky.store.fail("commit", StoreUnavailable("the answer is lost"), after=True)
    with pytest.raises(StoreUnavailable):
        shaky.desk.reply(conversation, "Hello.", key="k1")
    shaky.desk.reply(conversation, "Hello.", key="k1")
    assert 1 == len(shaky.desk.outbox())


def test_a_conflict_is_decided_anew(shaky):
    """Somebody wrote in between: the reply is decided on what is there now."""
    conversation = shaky.open("m1")

    def meanwhile(changes):
        shaky.take(shaky.said("m2", minutes=1, thread="m1"))
        raise Conflict("somebody was first")

    shaky.store.fail("commit", meanwhile)
    shaky.desk.reply(conversation, "Hello.")
    (row,) = shaky.desk.outbox()
    assert ("post", "m2") == row.posting.outgoing.reply_to
