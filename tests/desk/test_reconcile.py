"""Prove that what is unknown is cleared up by looking, and never by simply sending again."""

from datetime import timedelta

import attrs
import pytest

from supportflow.channels import Found, Traits
from supportflow.desk import Delivered
from supportflow.errors import StoreUnavailable, TransportError
from supportflow.events import Announced, Held, Told
from supportflow.http import Request
from supportflow.model import Receipt

SETTLE = timedelta(seconds=15)


def unknown(world, taken=True, text="We see it."):
    """Send a reply whose answer is lost."""
    conversation = world.open("m1")
    world.desk.reply(conversation, text)
    world.platform.fail(TransportError("the answer is lost", sent=True), taken)
    assert Delivered(unknown=1) == world.desk.deliver()
    return conversation


def row_of(world):
    (row,) = world.desk.outbox()
    return row


def with_traits(build, **changes):
    traits = attrs.evolve(build.Net().traits, **changes)
    return build([build.Net(traits=traits)])


def test_found_means_sent(world):
    """The thread shows our mark: the row has the platform's id, and is told once."""
    conversation = unknown(world)
    world.clock.advance(SETTLE)
    assert Delivered(sent=1) == world.desk.deliver()
    assert ("sent", "r1") == (row_of(world).state, row_of(world).remote_id)
    assert 1 == len(world.events(conversation, Told))


def test_nobody_looks_before_the_platform_had_time_to_settle(world):
    """An early absence would mean nothing."""
    unknown(world)
    world.clock.advance(SETTLE - timedelta(seconds=1))
    asked = len(world.platform.requests)
    assert Delivered() == world.desk.deliver()
    assert asked == len(world.platform.requests)


def test_a_row_of_a_dead_worker_waits_for_the_settling_too(build):
    """A crash leaves no time to look at: it counts from when sending began."""
    world = build.shaking()
    world.desk.reply(world.open("m1"), "We see it.")

    def dies(*args):
        raise KeyboardInterrupt

    world.platform.fail(dies, taken=True)
    world.store.fail("begin", lambda claimed: world.store.fail("load", dies), after=True)
    with pytest.raises(KeyboardInterrupt):
        world.desk.deliver()
    world.store.store.close()  # the worker is dead
    other = world.again()
    assert (1, "unknown") == (other.deliver().unknown, row_of(world).state)
    world.clock.advance(SETTLE)
    assert 1 == other.deliver().sent


def test_absent_twice_means_that_it_goes_again(world):
    """Two reads, each with time to settle before it, prove that it is not there."""
    unknown(world, taken=False)
    world.clock.advance(SETTLE)
    assert Delivered(unknown=1) == world.desk.deliver()
    assert ("unknown", 1) == (row_of(world).state, row_of(world).negative_reads)
    world.clock.advance(SETTLE)
    assert Delivered(waiting=1, sent=1) == world.desk.deliver()
    assert (2, ["We see it."]) == (row_of(world).attempt, world.platform.texts)


def test_reads_are_apart(world):
    """A second read at once would be the same read."""
    unknown(world, taken=False)
    world.clock.advance(SETTLE)
    world.desk.deliver()
    for _ in range(3):
        assert Delivered() == world.desk.deliver()
    assert 1 == row_of(world).negative_reads


@pytest.mark.parametrize("fault", [503, TransportError("timeout"), KeyError("adapter")])
def test_a_read_that_failed_is_no_news(world, fault):
    """Nothing is concluded from it, however often; and it is found in the end."""
    conversation = unknown(world, taken=False)
    world.platform.read_faults.extend([fault] * 5)
    for _ in range(5):
        world.clock.advance(minutes=2)
        world.desk.deliver()
        assert ("unknown", 0) == (row_of(world).state, row_of(world).negative_reads)
        assert "could not look" in row_of(world).last_error
    world.deliver_all()
    assert (["sent"], 1) == (world.states(), len(world.platform.posts))
    assert 1 == len(world.events(conversation, Told))


def test_a_platform_that_is_down_is_asked_less_and_less(build):
    """The pause grows with the time that has passed, and has an end."""
    world = with_traits(build, echo_wait=timedelta(days=9))
    unknown(world)
    pauses = []
    for hours in (0.01, 0.5, 100):
        world.clock.advance(timedelta(hours=hours))
        world.platform.read_faults.append(503)
        world.desk.deliver()
        pauses.append((row_of(world).posting.not_before - world.clock()).total_seconds())
    assert pauses == sorted(pauses)
    assert (True, True) == (4 <= pauses[0] <= 15, 700 < pauses[-1] < 1100)


def looks_in_vain(build, reconcile):
    """Return a world in which a reply may have been posted, and no read succeeds."""
    world = with_traits(build, reconcile=reconcile)
    conversation = unknown(world)
    world.platform.read_faults.extend([503] * 1000)
    return world, conversation


def alarms_of(world, conversation):
    """Return what alarmed about the reply itself, whatever the customer's clocks said."""
    kinds = [event.kind for event in world.events(conversation, Announced)]
    return [kind for kind in kinds if kind.startswith("reply")]


@pytest.mark.parametrize("reconcile", ["read", "echo"])
def test_whoever_cannot_look_until_the_deadline_gets_a_person_to_look(build, reconcile):
    """Neither read nor echo tells: after an hour it is parked with one alarm, and is shown (G7)."""
    world, conversation = looks_in_vain(build, reconcile)
    world.deliver_all(minutes=1, rounds=59)
    assert (["unknown"], []) == (world.states(), alarms_of(world, conversation))
    world.deliver_all(minutes=1, rounds=20)
    assert (["unknown*"], 1) == (world.states(), len(world.platform.posts))
    hold = row_of(world).posting.hold
    assert "resend or cancel (could not look: the platform says 503)" in hold
    assert world.desk.get(conversation).unanswered
    asked = len(world.platform.requests)
    world.deliver_all(minutes=60)
    world.desk.announce()
    assert (["reply_held"], asked) == (
        alarms_of(world, conversation),
        len(world.platform.requests),
    )


@pytest.mark.parametrize("reconcile", ["read", "echo"])
def test_whoever_knows_that_it_is_late_is_not_told_again_that_it_is_parked(build, reconcile):
    """Announced first and parked then: still one alarm, and the log says that it is held (G7)."""
    world, conversation = looks_in_vain(build, reconcile)
    world.deliver_all(minutes=1, rounds=59)
    world.clock.advance(minutes=2)
    world.desk.announce()
    assert (["unknown"], ["reply_late"]) == (world.states(), alarms_of(world, conversation))
    world.deliver_all(minutes=1, rounds=20)
    world.desk.announce()
    assert (["unknown*"], ["reply_late"]) == (world.states(), alarms_of(world, conversation))
    assert 1 == len(world.events(conversation, Held))


def test_what_was_parked_at_once_is_recalled_at_its_deadline(build):
    """A person who has not looked for an hour hears of it once more, and so does one who sent it
    again and whose platform takes nothing (G7).
    """
    world = blind(build, reconcile="blind")
    conversation = unknown(world)
    world.deliver_all(rounds=2)
    assert ["reply_held"] == alarms_of(world, conversation)
    world.desk.resend(row_of(world).id)
    world.platform.fail(429)
    world.desk.deliver()
    world.clock.advance(minutes=60)
    for _ in range(2):
        world.desk.announce()
        assert ["reply_held", "reply_late"] == alarms_of(world, conversation)


def test_what_a_key_will_clear_up_is_not_parked(build):
    """While the platform remembers the key, only a sender that may be alive is waited for; the
    announcer alone tells that it is late.
    """
    traits = {"reconcile": "key", "key_window": timedelta(days=1)}
    world = with_traits(build, **traits)
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    other = world.again()
    world.platform.read_faults.extend([None, *[503] * 100])

    def frozen(request):
        for _ in range(30):
            world.clock.advance(minutes=5)
            other.deliver()
            assert ["unknown"] == world.states()
        raise TransportError("timeout")

    world.platform.fail(frozen, taken=True)
    world.desk.deliver()
    assert [] == alarms_of(world, conversation)


def test_what_is_parked_is_sent_when_its_echo_comes_after_all(build):
    """Knowledge wins, however late it comes (G6)."""
    world, conversation = looks_in_vain(build, "echo")
    world.deliver_all(minutes=1, rounds=80)
    mark = world.platform.posts[0]["mark"]
    world.take(world.ours("r1", minutes=80, to="ola", thread="m1", mark=mark))
    assert (["sent"], "r1") == ([row_of(world).state], row_of(world).remote_id)
    assert 1 == len(world.events(conversation, Told))


def test_one_failed_read_parks_nothing(world):
    """Nobody looked for hours, because nothing ran: the first read that fails is no proof that
    all do.
    """
    unknown(world)
    world.clock.advance(minutes=300)
    world.platform.read_faults.append(503)
    world.desk.deliver()
    assert ["unknown"] == world.states()
    world.deliver_all(minutes=20)
    assert (["sent"], 1) == (world.states(), len(world.platform.posts))


def test_a_late_reply_has_time_to_be_looked_for(build):
    """Sent long after it was queued, some failed reads do not park it."""
    world = with_traits(build)
    world.desk.reply(world.open("m1"), "We see it.")
    world.clock.advance(minutes=90)
    world.platform.fail(TransportError("the answer is lost", sent=True), taken=True)
    world.desk.deliver()
    world.platform.read_faults.extend([503] * 3)
    world.deliver_all(minutes=1, rounds=4)
    assert ["unknown"] == world.states()
    world.deliver_all()
    assert (["sent"], 1) == (world.states(), len(world.platform.posts))


def test_a_reply_that_is_known_already_is_no_proof(world):
    """Identical words that have their own row are not taken for this one's."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.desk.deliver()
    mark = world.platform.posts[0]["mark"]
    world.desk.reply(conversation, "We see it.")
    world.platform.fail(503)
    world.desk.deliver()
    second = world.desk.outbox()[1]
    world.platform.posts[0]["mark"] = second.posting.outgoing.mark  # as if found by its words
    world.deliver_all()
    assert mark != second.posting.outgoing.mark
    assert (2, ["r1", "r2"]) == (
        len(world.platform.posts),
        [row.remote_id for row in world.desk.outbox()],
    )


# -- what else a channel may return


def test_a_channel_that_does_not_keep_to_the_protocol_proves_nothing(build):
    """What it returns is no news, and its mistake is named."""

    @attrs.frozen
    class Odd(build.Net):
        def find_sent(self, message):
            yield Request("GET", "https://net.example/thread")

    world = build([Odd()])
    unknown(world)
    world.clock.advance(minutes=1)
    world.desk.deliver()
    why = "TypeError: net.find_sent() returned NoneType, not Found"
    assert ("unknown", f"could not look: {why}") == (row_of(world).state, row_of(world).last_error)


def test_a_receipt_whose_id_is_no_text_proves_nothing(build):
    """A number would not be found again by the platform's own text."""

    @attrs.frozen
    class Odd(build.Net):
        def find_sent(self, message):
            yield Request("GET", "https://net.example/thread")
            return Found(Receipt(5, message.queued_at))

    world = build([Odd()])
    unknown(world)
    world.clock.advance(minutes=1)
    world.desk.deliver()
    assert "the id of a receipt is int" in row_of(world).last_error


def test_a_store_that_fails_while_looking_is_the_callers(build):
    """That is not the platform's doing."""
    world = build.shaking()
    unknown(world)
    world.clock.advance(minutes=1)
    world.store.fail("find", StoreUnavailable("gone"))
    with pytest.raises(StoreUnavailable):
        world.desk.deliver()


# -- by key, by echo, not at all


def test_the_same_key_goes_again_while_the_platform_remembers_it(build):
    """A second post with the key is the first one; nothing has to be looked for."""
    world = with_traits(build, reconcile="key", key_window=timedelta(hours=1))
    unknown(world, taken=False)
    world.clock.advance(SETTLE)
    world.platform.read_faults.append(503)
    assert Delivered(waiting=1, sent=1) == world.desk.deliver()
    assert ["We see it."] == world.platform.texts


def test_an_old_key_is_not_used_again(build):
    """At 80 % of its life the thread is read instead."""
    world = with_traits(build, reconcile="key", key_window=timedelta(hours=1))
    unknown(world, taken=True)
    world.clock.advance(minutes=48)
    assert Delivered(sent=1) == world.desk.deliver()
    assert 1 == len(world.platform.posts)


def blind(build, **traits):
    return build([build.Mute(traits=Traits("mute", 100, inbound=(), **traits))])


def test_a_key_waits_for_a_sender_that_lives(build):
    """While the worker that sent it may still be at it, it does not go a second time."""
    world = blind(build, reconcile="key", key_window=timedelta(hours=1))
    world.desk.reply(world.open("m1"), "We see it.")
    other = world.again()
    seen = []

    def frozen(request):
        world.clock.advance(minutes=3)  # past the lease, and the sender lives
        seen.append((other.deliver(), row_of(world).state))
        raise TransportError("timeout")

    world.platform.fail(frozen, taken=True)
    world.desk.deliver()
    assert [(Delivered(unknown=1), "unknown")] == seen
    assert 1 == len(world.platform.posts)


def test_absence_does_not_count_while_the_sender_lives(build):
    """A frozen sender may thaw and post: only a dead one's row goes back (RELIABILITY 0.3)."""
    world = build()
    world.desk.reply(world.open("m1"), "We see it.")
    other = world.again()
    world.platform.hidden = True

    def frozen(request):
        world.clock.advance(minutes=3)
        for _ in range(5):
            other.deliver()
            world.clock.advance(minutes=1)
            assert "unknown" == row_of(world).state
        raise TransportError("timeout")

    world.platform.fail(frozen, taken=True)
    world.desk.deliver()
    world.platform.hidden = False
    world.deliver_all()
    assert (["sent"], 1) == (world.states(), len(world.platform.posts))


def test_an_echo_is_waited_for_and_then_a_person_looks(build):
    """Where only an echo can tell, it has its time; after that nobody can find out."""
    world = blind(build, reconcile="echo", echo_wait=timedelta(minutes=5))
    conversation = unknown(world)
    for _ in range(4):
        world.clock.advance(minutes=1)
        assert Delivered(unknown=1) == world.desk.deliver()
    world.clock.advance(minutes=2)
    assert Delivered(held=1) == world.desk.deliver()
    assert ["unknown*"] == world.states()
    assert ["reply_held"] == [event.kind for event in world.events(conversation, Announced)]


def test_a_blind_platforms_row_is_parked_and_shown(build):
    """Nobody can find out: the reply is held with what to do, and never sent again by itself."""
    world = blind(build, reconcile="blind")
    conversation = unknown(world, taken=True)
    world.clock.advance(SETTLE)
    assert Delivered(held=1) == world.desk.deliver()
    world.deliver_all(minutes=60)
    assert (["unknown*"], 1) == (world.states(), len(world.platform.posts))
    (held,) = world.events(conversation, Held)
    assert "look there, then resend or cancel" in held.why
    assert world.desk.get(conversation).unanswered


def test_a_channel_may_lose_its_way_to_look(build):
    """One that cannot look once it knows its state is blind."""

    @attrs.frozen
    class Changing(build.Net):
        def using(self, state):
            return build.Mute(self.name, self.traits)

    world = build([Changing()])
    unknown(world)
    world.clock.advance(minutes=1)
    assert Delivered(held=1) == world.desk.deliver()


# -- liveness


def test_an_unknown_reply_holds_later_ones_for_a_while_only(build):
    """Order matters, but not for ever: after `hold_for` the next reply leaves (G8)."""
    world = with_traits(build, hold_for=timedelta(minutes=10))
    conversation = unknown(world, taken=False)
    world.desk.reply(conversation, "And this.")
    world.platform.read_faults.extend([503] * 100)
    world.deliver_all(minutes=1, rounds=9)
    assert [] == world.platform.texts
    world.deliver_all(minutes=1, rounds=3)
    assert ["And this."] == world.platform.texts
    world.platform.read_faults.clear()
    world.deliver_all(minutes=10)
    assert ["And this.", "We see it."] == world.platform.texts


def test_an_uncertain_claim_is_not_counted_twice(world):
    """A row that somebody else proved sent while we looked stays sent."""
    conversation = unknown(world)
    mark = world.platform.posts[0]["mark"]

    def meanwhile(*args):
        world.take(world.ours("r1", minutes=1, to="ola", thread="m1", mark=mark))

    shown = world.platform.read
    world.platform.read = lambda request: (meanwhile(), shown(request))[1]
    world.clock.advance(SETTLE)
    world.desk.deliver()
    assert (["sent"], 1) == (world.states(), len(world.events(conversation, Told)))
