"""Prove that a person can let go on, or send again, what no program dares to."""

import attrs
import pytest

from supportflow import Agent, EtiquetteError, IllegalStep, InvalidValue, NotFound, Refund
from supportflow.channels import Traits
from supportflow.desk import Delivered
from supportflow.errors import Conflict, TransportError, Unsupported
from supportflow.events import Cancelled, Queued, Released, Told
from supportflow.model import State
from supportflow.stores import Changes, Posting


def reply_of(world):
    return world.desk.outbox()[0].posting.reply


def parked(build):
    """Return a blind world with a reply that may or may not have been posted."""
    world = build([build.Mute(traits=Traits("mute", 100, "blind", inbound=()))])
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.", steps=["acknowledge"])
    world.platform.fail(TransportError("lost"))
    world.deliver_all(rounds=2)
    assert ["unknown*"] == world.states()
    return world, conversation


@pytest.mark.parametrize("by_row", [False, True])
def test_a_parked_reply_goes_again_when_a_person_says_so(build, by_row):
    """By its own id or its row's; recorded with who and why; the same row, the same mark."""
    world, conversation = parked(build)
    name = world.desk.outbox()[0].id if by_row else reply_of(world)
    after = world.desk.resend(name, why="it is not there", agent="anna")
    assert (["pending"], False) == (world.states(), after.unanswered)
    (released,) = world.events(conversation, Released)
    assert ("anna", "it is not there") == (released.by.id, released.why)
    assert "sent again by anna: it is not there" == world.desk.outbox()[0].last_error
    assert Delivered(sent=1) == world.desk.deliver()
    assert (1, State.acknowledged) == (
        len(world.platform.posts),
        world.desk.get(conversation).state,
    )


def test_a_repeated_key_changes_nothing(build):
    """A double click releases once."""
    world, conversation = parked(build)
    name = reply_of(world)
    first = world.desk.resend(name, key="k1")
    assert first == world.desk.resend(name, key="k1")
    assert 1 == len(world.events(conversation, Released))


def test_a_held_reply_goes_on_if_it_is_legal_now(world):
    """What the customer's anger stopped goes on when its steps are legal again, not before."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "It is paid back.", steps=["resolve"])
    world.desk.classify(conversation, "complaint", mood="angry")
    world.desk.deliver()
    with pytest.raises(IllegalStep, match="legal now: acknowledge"):
        world.desk.resend(reply_of(world))
    assert ["pending*"] == world.states()
    world.desk.classify(conversation, "question")
    world.desk.resend(reply_of(world))
    assert Delivered(sent=1) == world.desk.deliver()


def test_what_waits_for_nobody_is_refused(world):
    """A reply that is on its way, being cleared up or sent needs no help; unknown names none."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    with pytest.raises(InvalidValue, match=r"waits for nobody .part 1 is pending."):
        world.desk.resend(reply_of(world))
    world.platform.fail(503, taken=True)
    world.desk.deliver()
    with pytest.raises(InvalidValue, match=r"being cleared up .part 1 is unknown."):
        world.desk.resend(reply_of(world))
    world.deliver_all()
    with pytest.raises(InvalidValue, match="part 1 is sent"):
        world.desk.resend(reply_of(world))
    with pytest.raises(NotFound, match="'nothing'"):
        world.desk.resend("nothing")
    for wrong in ({"reply": 5}, {"why": None}, {"agent": 5}, {"key": ""}):
        (name,) = wrong
        with pytest.raises(InvalidValue, match=f"{name} is"):
            world.desk.resend(**{"reply": reply_of(world), **wrong})


def test_what_is_leaving_is_left_alone(world):
    """While somebody sends it nobody can send it again."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    caught = []

    def meanwhile(request):
        with pytest.raises(Conflict, match="leaving") as refused:
            world.desk.resend(reply_of(world))
        caught.append(refused)
        return world.platform.read(request)

    world.platform.fail(meanwhile, taken=True)
    world.desk.deliver()
    assert 1 == len(caught)


def failed(world, *texts, **more):
    """Queue a reply of which the first part is told and the second refused."""
    conversation = world.open("m1")
    world.desk.reply(conversation, list(texts), **more)
    world.platform.fail(None, taken=True)
    world.platform.fail(422)
    world.desk.deliver()
    return conversation


def test_what_failed_is_queued_again_as_a_new_reply(world):
    """The rest of it, by the same author, with its steps; the old one is over."""
    conversation = failed(
        world,
        "One.",
        "Two.",
        "Three.",
        steps=["resolve"],
        outcome=Refund("1", "EUR"),
        agent=Agent("robo", "bot"),
    )
    assert ["sent", "failed", "pending*"] == world.states()
    old = reply_of(world)
    after = world.desk.resend(old, why="the account works again", agent="anna")
    assert ["sent", "failed", "cancelled", "pending", "pending"] == world.states()
    (pending,) = after.pending
    (cancelled,) = world.events(conversation, Cancelled)
    assert (True, 2, "robo") == (pending.id != old, pending.parts, pending.by.id)
    assert (old, "anna", "the account works again") == (
        cancelled.reply,
        cancelled.by.id,
        cancelled.why,
    )
    assert Delivered(sent=2) == world.desk.deliver()
    assert ["One.", "Two.", "Three."] == world.platform.texts
    found = world.desk.get(conversation)
    assert (State.resolved, Refund("1", "EUR"), ()) == (found.state, found.outcome, found.pending)


def test_what_failed_is_queued_again_once(world):
    """A second time is refused, naming the new reply; the same key changes nothing."""
    failed(world, "One.", "Two.")
    old = reply_of(world)
    (pending,) = world.desk.resend(old, key="k1").pending
    assert (pending,) == world.desk.resend(old, key="k1").pending
    with pytest.raises(InvalidValue, match=f"queued again already, as reply '{pending.id}'"):
        world.desk.resend(old)


def test_a_cancelled_reply_can_be_queued_again(world):
    """What it was to do is read from the log."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.", steps=["acknowledge"], key="k1")
    world.desk.cancel(conversation, "k1")
    after = world.desk.resend("k1", key="k2")
    assert [("k2", ("acknowledge",))] == [(p.id, p.steps) for p in after.pending]
    assert Delivered(sent=1) == world.desk.deliver()
    assert ["k1", "k2"] == [event.reply for event in world.events(conversation, Queued)]
    assert 1 == len(world.events(conversation, Told))


def test_a_cancelled_reply_of_a_merged_conversation_is_found_in_its_own_log(world):
    """The log that knows it is that of the conversation in which it was queued."""
    early = world.open("m3", minutes=3, parent="m2")
    world.desk.reply(early, "We see it.", key="k1")
    world.desk.cancel(early, "k1")
    world.take(world.said("m2", minutes=2, parent="m1"))
    assert "net/m1/ola#0" == world.desk.resend("k1").id
    assert Delivered(sent=1) == world.desk.deliver()


def test_what_is_queued_again_passes_the_gate_and_the_table(build):
    """A text that is blocked by now, or a step that is not legal by now, is refused."""
    world = build()
    conversation = world.open("m1")
    world.desk.reply(conversation, "It is paid back.", steps=["resolve"], key="k1")
    world.platform.fail(422)
    world.desk.deliver()
    world.desk.classify(conversation, "complaint", mood="furious")
    with pytest.raises(IllegalStep, match="legal now: acknowledge"):
        world.desk.resend("k1")
    strict = build.Net(traits=Traits("net", 5, "read", inbound=()))
    with pytest.raises(EtiquetteError, match="over the channel's limit of 5"):
        world.again([strict]).resend("k1")
    assert ["failed"] == world.states()


def test_a_reply_of_no_conversation_is_not_ours_to_send_again(world):
    """Broadcasts and notifications have their own ways."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    (row,) = world.desk.outbox()
    outgoing = row.posting.outgoing
    lone = Posting(
        attrs.evolve(outgoing, id="row-2", mark="mark-2"),
        "net",
        "incident:1",
        None,
        "broadcast",
        0,
        world.at(0),
        world.at(60),
    )
    world.store.commit(Changes(world.at(0), postings=(lone,)))
    with pytest.raises(Unsupported, match="belongs to no conversation"):
        world.desk.resend("broadcast")


def test_what_is_no_longer_known_cannot_be_queued_again(build):
    """Without its log nobody knows what a cancelled reply was to do."""
    world = build.shaking()
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.", key="k1")
    world.desk.cancel(conversation, "k1")
    world.store.log = lambda after, conversation, limit: []
    with pytest.raises(NotFound, match="no longer known"):
        world.desk.resend("k1")
