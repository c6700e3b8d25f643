"""Prove that the outbox sends each message at most once, and says what became of it."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

import attrs
import pytest

from supportflow import AsyncDesk, NotFound, threaded
from supportflow.channels import Ambiguous, NeedsAuth, NotSent, RateLimited, Refused, Traits
from supportflow.desk import Delivered
from supportflow.desk.attempt import MAX_ATTEMPTS
from supportflow.desk.deliver import deliver
from supportflow.errors import (
    EtiquetteError,
    InvalidValue,
    StoreUnavailable,
    TransportError,
    Unsupported,
    WindowClosed,
)
from supportflow.events import Announced, Failed, Held, Queued, Told
from supportflow.flow import Wait, run
from supportflow.http import Request, Response
from supportflow.model import Finding, Receipt, State
from supportflow.stores import Changes, ChannelChange, Wanted


def queued(world, *texts, **more):
    conversation = world.open("m1")
    world.desk.reply(conversation, list(texts) or "We see it.", **more)
    return conversation


def state_of(world, name="net"):
    return world.store.load(Wanted(channels=(name,))).channels.get(name)


def alarms(world, conversation):
    return [event.kind for event in world.events(conversation, Announced)]


def test_a_reply_is_sent_and_told(world, caplog):
    """The platform has it, the row its id, the conversation its step; the log says so."""
    conversation = queued(world, steps=["acknowledge"])
    with caplog.at_level(logging.INFO, "supportflow"):
        assert Delivered(sent=1) == world.desk.deliver()
    (row,) = world.desk.outbox()
    (told,) = world.events(conversation, Told)
    assert ("r1", "r1", "m1") == (row.remote_id, told.remote, row.posting.outgoing.thread)
    assert State.acknowledged is world.desk.get(conversation).state
    assert f"outbox state=sent row={row.id} channel=net conversation={conversation}" in caplog.text
    assert Delivered() == world.desk.deliver()


def test_results_add_up():
    """What became of two runs is the sum."""
    assert Delivered(2, 4, 6, 8, 10) == Delivered(1, 2, 3, 4, 5) + Delivered(1, 2, 3, 4, 5)


def test_channels_are_named(world):
    """One channel may be delivered alone; one that is not there is named."""
    queued(world)
    with pytest.raises(NotFound, match="'fax'"):
        world.desk.deliver(channel="fax")
    assert 1 == world.desk.deliver(channel="net").sent


def test_a_limit_is_kept(world):
    """No more messages than asked for; it must be a whole number from 1."""
    queued(world, "One.", "Two.", "Three.")
    for wrong in (0, -1, True, 1.5, "all", None):
        with pytest.raises(InvalidValue, match="limit is"):
            world.desk.deliver(limit=wrong)
    assert [2, 1] == [world.desk.deliver(limit=2).sent for _ in range(2)]


def test_what_belongs_to_no_conversation_is_sent_and_cleared_up_as_well(world):
    """The same outbox carries broadcasts: they have a row, and no talk to tell it to."""
    queued(world)
    posting = world.desk.outbox()[0].posting
    outgoing = attrs.evolve(posting.outgoing, id="row-2", mark="mark-2", text="To all.")
    lone = attrs.evolve(posting, outgoing=outgoing, stream="incident:1", conversation=None)
    lone = attrs.evolve(lone, reply="broadcast")
    world.store.commit(Changes(world.at(0), postings=(lone,)))
    world.platform.fail(None, taken=True)
    world.platform.fail(503, taken=True)
    assert Delivered(sent=1, unknown=1) == world.desk.deliver()
    world.deliver_all()
    assert ({"We see it.", "To all."}, 2) == (set(world.platform.texts), len(world.platform.posts))
    assert ["sent", "sent"] == world.states()


# -- outcomes

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("fault", "taken", "state", "alarm"),
    [
        (NotSent("busy"), False, "pending", []),
        (TransportError("refused", sent=False), False, "pending", []),
        (429, False, "pending", []),
        (401, False, "pending", ["needs_auth"]),
        (422, False, "failed", ["send_failed"]),
        (Refused("deleted"), False, "failed", ["send_failed"]),
        (500, True, "unknown", []),
        (503, False, "unknown", []),
        (Ambiguous("who knows"), True, "unknown", []),
        (TransportError("timeout", sent=True), True, "unknown", []),
        (TransportError("reset", sent=None), False, "unknown", []),
        (KeyError("adapter"), True, "unknown", []),
        (lambda request: Response(200, body=b"{}"), True, "unknown", []),
        (lambda request: Response(200, body=b"<html>"), True, "unknown", []),
        (lambda request: Response(200, body=b'{"id": ""}'), True, "unknown", []),
        (lambda request: Response(200, body=b'{"id": 5}'), True, "unknown", []),
    ],
)
def test_each_outcome_has_its_state(world, fault, taken, state, alarm):
    """Certain outcomes are settled as such, every doubt as unknown; and all end well, once."""
    conversation = queued(world)
    world.platform.fail(fault, taken)
    world.desk.deliver()
    (row,) = world.desk.outbox()
    assert (state, alarm) == (row.state, alarms(world, conversation))
    assert row.last_error
    world.desk.resume("net")
    world.deliver_all()
    final = ["failed"] if state == "failed" else ["sent"]
    assert (final, int(state != "failed")) == (world.states(), len(world.platform.posts))


@pytest.mark.parametrize(
    "refusal",
    [
        Unsupported("Messenger takes 1 to 20 characters: shorten the button"),
        InvalidValue("the card's url is 'ftp:'; pass an https one"),
        WindowClosed("the window closed an hour ago.", ["template"]),
        EtiquetteError([Finding("brand", "block", (0, 4), "it names another shop")]),
        Refused("the thread was deleted"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_a_refusal_of_ours_fails_the_row_with_its_reason(build, refusal, asked):
    """What a channel says it cannot express is not tried twenty times: a person hears why at
    once, whether the channel asked the platform before or not.
    """

    def refusing(message):
        if asked:
            yield Request("GET", "https://net.example/limits")
        raise refusal
        yield

    world = build([build.Mute(flow=refusing)])
    conversation = queued(world, "One.", "Two.")
    assert Delivered(failed=1) == world.desk.deliver()
    (failed,) = world.events(conversation, Failed)
    assert (str(refusal), ["send_failed"]) == (failed.why, alarms(world, conversation))
    assert (["failed", "pending*"], []) == (world.states(), world.platform.posts)


def test_a_channel_may_refuse_before_it_makes_a_flow(build):
    """One that is written with `return` refuses as well."""

    def refusing(message):
        raise Unsupported("no emoji here")

    world = build([build.Mute(flow=refusing)])
    queued(world)
    assert Delivered(failed=1) == world.desk.deliver()


def test_it_is_too_late_to_refuse_what_may_be_there(build):
    """After the request that posts, a refusal of ours is a doubt like any other error."""

    def late(message):
        yield from posting(message)
        raise Unsupported("the answer names a card")

    world = build([build.Mute(flow=late)])
    queued(world)
    assert Delivered(unknown=1) == world.desk.deliver()
    assert "Unsupported: the answer names a card" == world.desk.outbox()[0].last_error


def test_an_error_before_anything_could_leave_is_not_sent(world):
    """What fails before the request that posts is tried again, and counted."""
    queued(world)
    world.platform.read_faults.append(KeyError("adapter"))
    assert Delivered(waiting=1) == world.desk.deliver()
    (row,) = world.desk.outbox()
    assert ("pending", 1, "KeyError: 'adapter'") == (row.state, row.attempt, row.last_error)
    assert world.clock() < row.posting.not_before <= world.clock() + timedelta(seconds=2)
    world.deliver_all()
    assert ["sent"] == world.states()


def test_a_rate_limit_pauses_the_whole_account(world):
    """No other reply is tried before its time, the attempt is not counted, a restart knows."""
    first = queued(world)
    world.desk.reply(first, "And this.")
    second = world.open("x1", by="ben")
    world.desk.reply(second, "Hello, Ben.")
    world.platform.fail(429)
    assert Delivered(waiting=1) == world.desk.deliver()
    assert [0, 0, 0] == [row.attempt for row in world.desk.outbox()]
    until = state_of(world).paused_until
    assert timedelta(minutes=5) <= until - world.clock() < timedelta(minutes=5, seconds=1)
    assert Delivered() == world.again().deliver()
    world.clock.advance(minutes=6)
    assert 3 == world.desk.deliver().sent


@pytest.mark.parametrize("hours", [-1, 100])
def test_a_platform_cannot_pause_us_for_ever(world, hours):
    """A time in the past is now, and the longest pause is an hour."""
    queued(world)
    world.platform.fail(RateLimited("slowly", world.clock() + hours * HOUR))
    world.desk.deliver()
    assert state_of(world).paused_until <= world.clock() + HOUR + timedelta(seconds=1)


def test_refused_credentials_hold_the_queue_with_one_alarm(world, caplog):
    """Nothing else is tried, and a person is told once, not once a reply."""
    first = queued(world)
    for name in ("ben", "cid"):
        world.desk.reply(world.open(f"x{name}", by=name), f"Hello, {name}.")
    world.platform.fail(401)
    with caplog.at_level(logging.WARNING, "supportflow"):
        assert Delivered(waiting=1) == world.desk.deliver()
        assert Delivered() == world.desk.deliver()
    assert (1, 1) == (
        caplog.text.count("alarm kind=needs_auth"),
        alarms(world, first).count("needs_auth"),
    )
    assert "the token was revoked" == state_of(world).needs_auth
    assert [0, 0, 0] == [row.attempt for row in world.desk.outbox()]
    world.desk.resume("net")
    assert 3 == world.desk.deliver().sent


def test_a_second_refusal_at_the_same_time_is_no_second_alarm(world):
    """Another worker has held the account already: the row waits, nobody is told again."""
    conversation = queued(world)

    def meanwhile(request):
        change = ChannelChange("net", needs_auth="revoked")
        world.store.commit(Changes(world.clock(), channels=(change,)))
        raise NeedsAuth("")

    world.platform.fail(meanwhile)
    world.desk.deliver()
    assert [] == alarms(world, conversation)
    assert "the platform refused the credentials" == state_of(world).needs_auth


def test_a_refusal_fails_the_part_and_holds_what_depends_on_it(world):
    """Later parts wait for a person, and so do replies whose steps it should have prepared."""
    conversation = world.open("m1")
    world.desk.classify(conversation, "complaint", mood="angry")
    world.desk.reply(conversation, ["One.", "Two."], steps=["acknowledge"])
    world.desk.apologize(conversation, "We are sorry.")
    world.platform.fail(422)
    assert Delivered(failed=1) == world.desk.deliver()
    assert ["failed", "pending*", "pending*"] == world.states()
    (failed,) = world.events(conversation, Failed)
    assert "the platform says 422" == failed.why
    assert "part 1 failed: the platform says 422" == world.desk.outbox()[1].posting.hold
    assert ["send_failed"] == alarms(world, conversation)
    assert world.desk.get(conversation).unanswered
    world.deliver_all()
    assert [] == world.platform.posts


def test_what_is_no_longer_legal_is_held(world):
    """The customer got angrier after the reply was queued: a person must look again."""
    conversation = queued(world, steps=["resolve"])
    world.desk.classify(conversation, "complaint", mood="furious")
    assert Delivered(held=1) == world.desk.deliver()
    (row,) = world.desk.outbox()
    assert ("pending", 0) == (row.state, row.attempt)
    assert "no longer legal" in row.posting.hold
    assert ["reply_held"] == alarms(world, conversation)
    assert Delivered() == world.desk.deliver()


def test_a_reply_that_was_held_while_it_was_claimed_is_not_sent(build):
    """A deletion between the claim and the last look still stops it."""
    world = build.shaking()
    conversation = queued(world)

    def meanwhile(work, worker, limit):
        if work.kind == "send":
            world.take(world.removal("m1", 1))

    world.store.fail("claim", *[meanwhile] * 3, after=True)
    assert Delivered(held=1) == world.desk.deliver()
    assert (["pending*"], []) == (world.states(), world.platform.posts)
    assert 1 == len(world.events(conversation, Held))


def test_a_window_that_closes_in_the_queue_fails_the_reply(build, private):
    """Just before sending it is decided again, on when the customer last wrote."""
    traits = Traits("net", 100, "read", visibilities=("private",), window=HOUR)
    world = build([build.Net(traits=traits)])
    conversation = world.open("m1", **private)
    world.desk.reply(conversation, "In time.")
    late = world.open("x1", by="ben", **private)
    world.desk.reply(late, "In time.")
    world.take(world.said("x2", by="ben", minutes=30, thread="x1", **private))
    world.clock.advance(HOUR)
    assert Delivered(sent=1, failed=1) == world.desk.deliver()
    (failed,) = world.events(conversation, Failed)
    assert "the platform took private replies until 2026-03-02 10:00 UTC" == failed.why
    assert 1 == len(world.events(late, Told))


def test_a_row_that_never_ends_waits_for_a_person(world):
    """After twenty attempts it is held: it may be what kills its workers."""
    conversation = queued(world)
    for _ in range(MAX_ATTEMPTS):
        world.platform.fail(NotSent("busy"))
    world.deliver_all(minutes=16, rounds=MAX_ATTEMPTS + 2)
    (row,) = world.desk.outbox()
    assert ("pending*", MAX_ATTEMPTS + 1) == (world.states()[0], row.attempt)
    assert "tried 20 times without an end: NotSent: busy" == row.posting.hold
    assert ["reply_held"] == alarms(world, conversation)
    world.desk.resend(row.id)
    assert 1 == world.desk.deliver().sent


def test_a_row_whose_workers_die_waits_for_a_person_too(build):
    """A crash counts as an attempt, because attempts are counted when they begin."""
    world = build.shaking()
    queued(world)
    for _ in range(MAX_ATTEMPTS):
        world.store.fail("claim", None, None, KeyboardInterrupt(), after=True)
        with pytest.raises(KeyboardInterrupt):
            world.desk.deliver()
        world.clock.advance(minutes=3)
    assert Delivered(held=1) == world.desk.deliver()
    assert "its worker died each time" in world.desk.outbox()[0].posting.hold


# -- several at a time


def many(world, count, **more):
    """Queue a reply to each of some customers."""
    talks = [world.open(f"m{number}", by=f"c{number}", **more) for number in range(count)]
    for number, talk in enumerate(talks):
        world.desk.reply(talk, f"To {number}.")
    return talks


def ends(world):
    """Return how each attempt ended, by transaction."""
    return [
        [end.state.value for end in c.settlements] for c in world.store.commits if c.settlements
    ]


def test_what_is_sent_within_a_moment_is_settled_together(shaky):
    """While the network answers at once more and more are claimed; each is begun by itself."""
    talks = many(shaky, 9)
    assert Delivered(sent=9) == shaky.desk.deliver()
    assert [["sent"], ["sent"] * 2, ["sent"] * 4, ["sent"] * 2] == ends(shaky)
    assert [1] * 9 == [len(shaky.events(talk, Told)) for talk in talks]


def test_a_network_that_takes_its_time_is_sent_one_at_a_time(shaky):
    """A receipt is recorded before the next message leaves."""
    many(shaky, 4)

    def slow(request):
        assert 1 == shaky.states().count("sending")
        shaky.clock.advance(seconds=1)
        return Response(200, body=b'{"id": "r1"}', at=shaky.clock())

    for _ in range(4):
        shaky.platform.fail(slow, taken=True)
    assert Delivered(sent=4) == shaky.desk.deliver()
    assert [["sent"]] * 4 == ends(shaky)


def test_a_network_that_becomes_slow_gets_the_rest_back(shaky):
    """What has not begun is given back for others, uncounted; nothing is told of that."""
    many(shaky, 7)
    posts = shaky.platform.posts

    def slow(request):
        shaky.clock.advance(seconds=30)
        return Response(200, body=b'{"id": "r1"}', at=shaky.clock())

    def send(request, answer=shaky.platform.send):
        if request.posts and len(posts) == 4:
            shaky.platform.fail(slow, taken=True)
        return answer(request)

    shaky.platform.send = send
    assert Delivered(sent=7) == shaky.desk.deliver()
    assert ["sent", "sent", "pending", "pending"] == ends(shaky)[2]
    assert [1] * 7 == [row.attempt for row in shaky.desk.outbox()]


def test_a_blind_network_settles_each_before_the_next(build):
    """Where nothing but the receipt can tell, it is recorded before anything else leaves."""
    world = build.shaking([build.Mute()])
    many(world, 5)
    assert Delivered(sent=5) == world.desk.deliver()
    assert [["sent"]] * 5 == ends(world)


def test_an_account_that_is_held_within_a_batch_stops_it(shaky):
    """After a 429 nothing else is asked for: the rest is given back, uncounted."""
    many(shaky, 7)
    for fault in (200, 200, 200, 200, 429):
        shaky.platform.fail(fault if fault == 429 else None, taken=fault == 200)
    assert Delivered(sent=4, waiting=1) == shaky.desk.deliver()
    assert [1, 1, 1, 1, 0, 0, 0] == [row.attempt for row in shaky.desk.outbox()]
    assert 5 == sum(request.posts for request in shaky.platform.requests)
    shaky.clock.advance(minutes=6)
    assert Delivered(sent=3) == shaky.desk.deliver()


@pytest.mark.parametrize("change", [{"needs_auth": "revoked"}, {"paused_until": timedelta(1)}])
def test_an_account_that_another_worker_holds_is_left_alone(world, change):
    """It is held between the claim and the last moment: nothing leaves, and nothing is counted."""
    many(world, 3)
    change = {name: world.at(0) + v if name != "needs_auth" else v for name, v in change.items()}

    def meanwhile(request):
        world.store.commit(Changes(world.at(0), channels=(ChannelChange("net", **change),)))
        return world.platform.read(request)

    asking(world, meanwhile)
    assert Delivered() == world.desk.deliver()
    assert ([0] * 3, []) == ([row.attempt for row in world.desk.outbox()], world.platform.posts)


def asking(world, once):
    """Let something happen while a channel asks for limits, before it posts."""
    answer, done = world.platform.send, []

    def send(request):
        if request.posts or done:
            return answer(request)
        done.append(request)
        return once(request)

    world.platform.send = send


def test_an_account_that_is_held_when_its_rows_are_read_asks_for_nothing(build):
    """Another worker learned that the credentials are over, just after our claim."""
    world = build.shaking()
    many(world, 1)

    def meanwhile(work, worker, limit):
        change = ChannelChange("net", needs_auth="revoked")
        world.store.commit(Changes(world.at(0), channels=(change,)))

    world.store.fail("claim", None, None, meanwhile, after=True)
    assert Delivered() == world.desk.deliver()
    assert (["pending"], []) == (world.states(), world.platform.requests)


def test_what_a_customer_does_at_the_last_moment_is_decided_on(world):
    """They delete what we answer while the channel prepares: the reply is held, nothing leaves."""
    conversation = queued(world)

    def meanwhile(request):
        world.take(world.removal("m1", 1))
        return world.platform.read(request)

    asking(world, meanwhile)
    assert Delivered(held=1) == world.desk.deliver()
    assert (["pending*"], []) == (world.states(), world.platform.posts)
    assert 1 == len(world.events(conversation, Held))


def test_what_changes_nothing_for_a_reply_does_not_stop_it(world):
    """Somebody writes a note while the channel prepares: it is decided again, and sent."""
    conversation = queued(world)

    def meanwhile(request):
        world.desk.note(conversation, "She called as well.")
        return world.platform.read(request)

    asking(world, meanwhile)
    assert Delivered(sent=1) == world.desk.deliver()
    assert 1 == len(world.events(conversation, Told))


def test_a_talk_that_never_rests_is_left_for_later(world):
    """Whatever was decided is over before it begins, again and again: the row is given back."""
    conversation = queued(world)
    begin = world.store.begin

    def restless(claimed):
        world.desk.note(conversation, "And another thing.")
        return begin(claimed)

    world.store.begin = restless
    assert Delivered() == world.desk.deliver(limit=1)
    assert (["pending"], []) == (world.states(), world.platform.posts)


def test_one_conversation_that_goes_on_meanwhile_delays_no_other(shaky):
    """Its customer writes while the others are sent: all is settled all the same, once."""
    talks = many(shaky, 3)

    def meanwhile(request):
        shaky.take(shaky.said("n1", "Hello?", 1, by="c1", thread="m1"))
        return Response(200, body=b'{"id": "r9"}', at=shaky.clock())

    shaky.platform.fail(None, taken=True)
    shaky.platform.fail(meanwhile, taken=True)
    assert Delivered(sent=3) == shaky.desk.deliver()
    assert [["sent"]] * 3 == ends(shaky)
    assert [1] * 3 == [len(shaky.events(talk, Told)) for talk in talks]


def test_two_rows_of_one_conversation_are_settled_one_after_the_other(shaky):
    """A broadcast to somebody who is also being answered has a stream of its own."""
    talks = many(shaky, 2)
    posting = shaky.desk.outbox()[1].posting
    outgoing = attrs.evolve(posting.outgoing, id="row-2", mark="mark-2", text="To all.")
    lone = attrs.evolve(posting, outgoing=outgoing, stream="incident:1", part=1)
    shaky.store.commit(Changes(shaky.at(0), postings=(lone,)))
    assert Delivered(sent=3) == shaky.desk.deliver()
    assert [["sent"]] * 3 == ends(shaky)
    assert 1 == len(shaky.events(talks[0], Told))


def test_an_end_that_cannot_be_recorded_keeps_no_other_from_it(shaky):
    """Its error is the caller's when the others are done."""
    many(shaky, 3)

    def armed(claimed):
        shaky.store.fail("commit", KeyError("broken"), KeyError("broken"))

    shaky.store.fail("begin", None, armed)
    with pytest.raises(KeyError, match="broken"):
        shaky.desk.deliver()
    assert ["sent", "sending", "sent"] == shaky.states()


def test_what_was_merged_after_the_claim_is_sent_where_it_belongs_now(shaky):
    """What they answer arrives late: the reply's conversation became part of another."""
    early = shaky.open("m3", minutes=3, parent="m2")
    shaky.desk.reply(early, "We see it.")

    def meanwhile(work, worker, limit):
        shaky.take(shaky.said("m2", "two", 2, parent="m1"))

    shaky.store.fail("claim", None, None, meanwhile, after=True)
    assert Delivered(sent=1) == shaky.desk.deliver()
    assert (["sent"], 1) == (shaky.states(), len(shaky.events("net/m1/ola#0", Told)))


def test_clearing_up_keeps_to_its_limit(world):
    """No more looks than asked for."""
    queued(world)
    world.platform.fail(503, taken=True)
    world.desk.deliver()
    world.clock.advance(minutes=1)
    assert Delivered(sent=1) == world.desk.deliver(limit=1)


def test_a_store_that_cannot_be_read_gives_claims_back(shaky):
    """Nothing was sent: the rows are anybody's again, and the error is the caller's."""
    many(shaky, 1)

    def armed(work, worker, limit):
        shaky.store.fail("load", StoreUnavailable("away"))

    shaky.store.fail("claim", None, None, armed, after=True)
    with pytest.raises(StoreUnavailable):
        shaky.desk.deliver()
    assert (["pending"], [0]) == (shaky.states(), [row.attempt for row in shaky.desk.outbox()])


def test_a_stop_while_clearing_up_sends_nothing_more(world):
    """Who is told to stop between two looks does not begin to send."""
    queued(world)
    world.platform.fail(503, taken=True)
    world.desk.deliver()
    world.clock.advance(minutes=1)
    world.desk.reply(world.open("x1", by="ben"), "Hello.")

    def stopping(effect):
        return True if isinstance(effect, Wait) else world.desk._answer(effect)

    assert Delivered(sent=1) == run(deliver(world.desk._core), stopping)
    assert ["sent", "pending"] == world.states()


def test_a_stop_within_a_batch_gives_the_rest_back(build):
    """What was claimed and has not begun is anybody's again, uncounted."""
    world = build.shaking([build.Mute()])
    many(world, 4)
    waits = []

    def stopping(effect):
        if isinstance(effect, Wait):
            waits.append(effect)
            return len(waits) == 2
        return world.desk._answer(effect)

    assert Delivered(sent=2) == run(deliver(world.desk._core), stopping)
    assert (["sent", "sent", "pending", "pending"], [1, 1, 0, 0]) == (
        world.states(),
        [row.attempt for row in world.desk.outbox()],
    )


# -- flows that are written wrongly


def posting(message):
    yield Request("POST", "https://net.example/posts", body=b'{"text": "x"}', posts=True)


def silent(message):
    yield Request("GET", "https://net.example/posts")
    return Receipt("r1", message.queued_at)


def accepting(message):
    yield from posting(message)
    return Receipt(None, message.queued_at)


@pytest.mark.parametrize(
    ("flow", "state", "why"),
    [
        (lambda message: None, "pending", "mute.send() returned NoneType, not a flow"),
        (lambda message: iter([1]), "pending", "not a flow; write it with yield"),
        (lambda message: (n for n in [silent(message)]), "pending", "write 'yield from', not"),
        (lambda message: (n for n in [5]), "pending", "yielded int, not a Request"),
        (silent, "pending", "without a request that posts"),
        (posting, "unknown", "returned no receipt"),
        (accepting, "unknown", "a receipt without an id"),
    ],
)
def test_a_flow_that_is_written_wrongly_says_what_is_wrong(build, flow, state, why):
    """The error names the channel and what to write; nothing is posted twice."""
    world = build([build.Mute(flow=flow)])
    queued(world)
    world.desk.deliver()
    (row,) = world.desk.outbox()
    assert (state, True) == (row.state, why in row.last_error)


def test_acceptance_is_a_receipt_where_the_platform_returns_no_id(build):
    """Where that is all there is (SMTP, incoming webhooks), it counts."""
    traits = Traits("mute", 100, "blind", receipt="accepted", inbound=())
    world = build([build.Mute(traits=traits, flow=accepting)])
    conversation = queued(world)
    assert 1 == world.desk.deliver().sent
    assert [None] == [event.remote for event in world.events(conversation, Told)]


def test_a_platforms_receipt_is_normalised(build):
    """An id that no store could hold does not make a sent message unknown."""

    def strange(message):
        yield from posting(message)
        return Receipt("r\x001", message.queued_at, "https://net.example/\ud800")

    world = build([build.Mute(flow=strange)])
    queued(world)
    assert 1 == world.desk.deliver().sent
    assert "r\ufffd1" == world.desk.outbox()[0].remote_id


def test_a_channel_that_fails_to_take_its_state_is_not_sent(build):
    """Even that is the row's attempt, and nothing else's."""

    @attrs.frozen
    class Broken(build.Mute):
        def using(self, state):
            raise KeyError("credentials")

    world = build([Broken()])
    queued(world)
    assert Delivered(waiting=1) == world.desk.deliver()
    assert "KeyError: 'credentials'" == world.desk.outbox()[0].last_error


# -- who has the row


def test_a_claim_that_is_lost_at_the_last_moment_sends_nothing(build):
    """Somebody else took the row over: `begin` says no, and nothing leaves."""
    world = build.shaking()
    queued(world)
    other = world.again()

    def meanwhile(claimed):
        world.clock.advance(minutes=3)
        other.deliver()

    world.store.fail("begin", meanwhile)
    assert Delivered() == world.desk.deliver()
    assert (["sent"], 1) == (world.states(), len(world.platform.posts))


def test_a_flow_may_post_twice_and_begin_once(build):
    """A second request that posts belongs to the same attempt."""

    def twice(message):
        yield Request("POST", "https://net.example/posts", body=b'{"text": "1"}', posts=True)
        yield Request("POST", "https://net.example/posts", body=b'{"text": "2"}', posts=True)
        return Receipt("r1", message.queued_at)

    world = build([build.Mute(flow=twice)])
    queued(world)
    assert (1, 2) == (world.desk.deliver().sent, len(world.platform.posts))


def test_a_store_that_fails_at_begin_sends_nothing(build):
    """Whether or not its commit happened, no byte has left, and the row is tried again."""
    for after in (False, True):
        world = build.shaking()
        queued(world)
        world.store.fail("begin", StoreUnavailable("gone"), after=after)
        assert Delivered(waiting=1) == world.desk.deliver()
        world.deliver_all()
        assert (["sent"], 1) == (world.states(), len(world.platform.posts))


# -- interruptions, at every effect


class Interrupting:
    """Answer a desk's effects until the n-th, and raise there, before or after it was done."""

    def __init__(self, desk, place, after, error):
        self.desk, self.place, self.after, self.error = desk, place, after, error

    def __call__(self, effect):
        self.place -= 1
        if self.place == 0 and not self.after:
            raise self.error
        answer = self.desk._answer(effect)
        if self.place == 0:
            raise self.error
        return answer


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_an_interruption_at_any_effect_posts_once_and_loses_nothing(build, error, after, lost):
    """Stopped before or after every single effect of sending, later runs make it right.

    The same where a lost answer is being cleared up: every part is posted exactly once.
    """
    place, interrupting = 0, None
    while interrupting is None or interrupting.place <= 0:
        place += 1
        world = build()
        conversation = queued(world, "One.", "Two.", steps=["acknowledge"])
        if lost:
            world.platform.fail(TransportError("lost", sent=True), taken=True)
            world.desk.deliver()
            world.clock.advance(minutes=1)
        for name in ("ben", "cid"):  # sent together with the second part
            world.desk.reply(world.open(f"x{name}", by=name), f"To {name}.")
        interrupting = Interrupting(world.desk, place, after, error("stop"))
        with suppress(error):
            run(deliver(world.desk._core), interrupting)
        open_states = {"pending", "claimed", "sending", "unknown", "sent"}
        assert {row.state for row in world.desk.outbox()} <= open_states
        world.deliver_all(minutes=3)
        assert ["One.", "To ben.", "To cid.", "Two."] == sorted(world.platform.texts)
        assert ["sent"] * 4 == world.states()
        assert [0, 1] == [event.part for event in world.events(conversation, Told)]
        assert State.acknowledged is world.desk.get(conversation).state
    assert 30 < place < 80


def test_a_receipt_in_hand_survives_an_interruption(build):
    """It gets a second chance to be recorded, so that nothing becomes unknown."""
    world = build.shaking([build.Mute()])
    queued(world)

    def armed(claimed):
        world.store.fail("commit", KeyboardInterrupt())

    world.store.fail("begin", armed)
    with pytest.raises(KeyboardInterrupt):
        world.desk.deliver()
    assert ["sent"] == world.states()


def test_a_closed_program_leaves_a_row_to_its_lease(world):
    """A generator that is thrown away settles nothing; the row is unknown when its lease ends."""
    queued(world)
    program = deliver(world.desk._core)
    effect, answer = next(program), None
    while not (isinstance(effect, Request) and effect.posts):
        answer = world.desk._answer(effect)
        effect = program.send(answer)
    program.close()
    assert ["sending"] == world.states()
    world.clock.advance(minutes=3)
    world.deliver_all()
    assert ["sent"] == world.states()


def test_tasks_that_are_cancelled_settle_first(build):
    """On an event loop, a cancelled send becomes unknown, not lost, and is found later."""

    class Hanging(build.Later):
        async def send(self, request):
            answer = await super().send(request)
            if request.posts:
                self.reached.set()
                await asyncio.Event().wait()
            return answer

    world = build()
    queued(world)

    async def cancelled():
        transport = Hanging(world.platform)
        transport.reached = asyncio.Event()
        desk = AsyncDesk(
            threaded(world.store), world.channels, transport=transport, clock=world.clock
        )
        task = asyncio.create_task(desk.deliver())
        await transport.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert (["unknown"], 1) == (world.states(), len(world.platform.posts))
    world.deliver_all()
    assert (["sent"], 1) == (world.states(), len(world.platform.posts))


def test_a_wait_that_says_stop_ends_a_run_between_two_messages(world):
    """A desk that is told to stop ends the message that it is at, and begins no other."""
    queued(world, "One.", "Two.")

    def stopping(effect):
        return True if isinstance(effect, Wait) else world.desk._answer(effect)

    assert Delivered(sent=1) == run(deliver(world.desk._core), stopping)


def test_words_are_recorded_with_their_agent(world):
    """The kind of agent who wrote it travels to the channel."""
    conversation = queued(world)
    (event,) = world.events(conversation, Queued)
    assert (event.by.kind, "person") == (world.desk.outbox()[0].posting.outgoing.by, "person")
