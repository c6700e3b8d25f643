"""Prove that what cannot be sent, or should not, is refused before anything is decided."""

from datetime import timedelta

import pytest

from supportflow import (
    Agent,
    CustomerRef,
    EtiquetteError,
    InvalidValue,
    NotFound,
    Reading,
    Unsupported,
    WindowClosed,
)
from supportflow.channels import Traits
from supportflow.events import Queued
from supportflow.model import Attachment, Card, Step, Template, Visibility

HOUR = timedelta(hours=1)


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


def test_a_private_text_has_a_limit_of_its_own(build):
    """Where the network has one: shorter or longer, and counted in another way."""
    both = ("public", "private")
    more = {"max_private": 30, "private_counting": "bytes", "visibilities": both}
    world = build([build.Net(traits=Traits("net", 20, "read", **more))])
    public = world.open("m1")
    private = world.open("m2", visibility=Visibility.private)
    world.desk.reply(private, "x" * 30)
    for conversation, text in ((public, "x" * 21), (private, "x" * 31), (private, "я" * 16)):
        with pytest.raises(EtiquetteError):
            world.desk.reply(conversation, text)
    plain = Traits("net", 20, "read", counting="utf16")
    assert 2 == plain.count_private("👍")


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


def test_files_and_templates_go_where_the_network_can(build, world):
    """They travel with the last part; what is no file, or not over https, is refused."""
    picture = Attachment("image", "https://shop.example/cup.png", "a cup")
    approved = Template("parcel_sent", "en_US", ("4711",))
    plain = world.open("m1")
    with pytest.raises(Unsupported, match="has no attachments"):
        world.desk.reply(plain, "Look.", attachments=[picture])
    with pytest.raises(Unsupported, match="has no template"):
        world.desk.reply(plain, "Look.", template=approved)
    able = windowed(build, ["attachments", "template"])
    conversation = able.open("m1")
    for wrong in ("cup.png", Attachment("image", "http://shop.example/cup.png")):
        with pytest.raises(InvalidValue, match="pass an Attachment with an https url"):
            able.desk.reply(conversation, "Look.", attachments=[wrong])
    words = ["Look.", "Here."]
    able.desk.reply(conversation, words, attachments=[picture], template=approved)
    sent = [row.posting.outgoing for row in able.desk.outbox()]
    assert [((), None), ((picture,), approved)] == [(o.attachments, o.template) for o in sent]
    assert 2 == able.desk.deliver().sent


def test_a_template_is_sent_after_the_window_has_closed(build, private):
    """It is what the platform approved for that; plain words are refused."""
    world = windowed(build, ["template"])
    conversation = world.open("m1", **private)
    world.clock.advance(2 * HOUR)
    with pytest.raises(WindowClosed, match="template"):
        world.desk.reply(conversation, "It is sent.")
    world.desk.reply(conversation, "It is sent.", template=Template("parcel_sent", "en_US"))
    assert 1 == world.desk.deliver().sent
