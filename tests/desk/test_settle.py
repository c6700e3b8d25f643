"""Prove that the end of an attempt is recorded where it still counts, and receipts always."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow import CustomerRef
from supportflow.desk.settle import End, backoff, plain_receipt, row_of, said, settle
from supportflow.errors import Conflict, StoreUnavailable, TransportError
from supportflow.events import Merged, Told
from supportflow.flow import run
from supportflow.model import PartTold, Receipt
from supportflow.stores import ChannelLease, Claimed, RowState, Settlement, Work, Worker, WorkKind


@given(st.integers(-5, 10_000), st.floats(0, 1))
def test_backoff_grows_to_a_limit(attempt, jitter):
    """At least a second, at most a quarter of an hour, spread over half of it."""
    pause = backoff(attempt, jitter)
    assert timedelta(seconds=1) <= pause <= timedelta(minutes=15)
    assert pause <= backoff(attempt + 1, jitter)
    assert backoff(attempt, 0) * 2 == backoff(attempt, 1)


def test_errors_are_said_in_storable_form():
    """Bounded, named by their kind, and without what no store could hold."""
    assert "ValueError: a\ufffd" == said(ValueError("a\x00"))
    assert 500 == len(said(ValueError("x" * 1000)))


def test_receipts_are_normalised(world):
    """Ids are text; anything else is the channel's mistake."""
    assert Receipt(None, world.at(0)) == plain_receipt(Receipt(None, world.at(0)))
    assert Receipt("a\ufffd", world.at(0), "b") == plain_receipt(Receipt("a\x00", world.at(0), "b"))
    with pytest.raises(TypeError, match="int"):
        plain_receipt(Receipt(5, world.at(0)))


def test_a_claim_of_a_channel_has_no_row():
    """Asking for one is a mistake of ours."""
    with pytest.raises(TypeError, match="of a channel"):
        row_of(Claimed(1, Worker(1), lease=ChannelLease("net", None)))


def sending(world):
    """Queue a reply and claim it."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    worker = world.store.worker()
    (claimed,) = world.store.claim(Work(WorkKind.send, ("net",)), worker, 1)
    world.store.begin(claimed)
    return claimed


def ended(claimed, state=RowState.pending, **more):
    return Settlement(claimed.row.id, claimed.fence, state, **more)


def settled(world, claimed, settlement, *commands):
    end = End(claimed, settlement, commands)
    return run(settle(world.desk._core, end), world.desk._answer)


def test_what_ends_after_somebody_else_proved_it_does_not_count(world):
    """A row that is sent stays sent, whatever the sender thinks."""
    claimed = sending(world)
    (row,) = world.desk.outbox()
    world.take(world.ours("r1", to="ola", thread="m1", mark=row.posting.outgoing.mark))
    assert False is settled(world, claimed, ended(claimed))
    assert ["sent"] == world.states()


def test_what_ends_after_the_claim_was_lost_does_not_count(world):
    """The fence is another's: only a receipt still counts."""
    claimed = sending(world)
    world.clock.advance(minutes=3)
    world.desk.deliver()
    assert ["unknown"] == world.states()
    world.clock.advance(minutes=3)
    world.platform.read_faults.append(503)
    world.desk.deliver()
    assert False is settled(world, claimed, ended(claimed))
    receipt = Receipt("r1", world.clock())
    assert True is settled(world, claimed, ended(claimed, RowState.sent, receipt=receipt))
    assert ["sent"] == world.states()


def test_a_row_that_is_gone_does_not_count(world):
    """Of a row that no store knows nothing can be settled."""
    claimed = sending(world)
    elsewhere = type(world)()
    assert False is settled(elsewhere, claimed, ended(claimed))


def test_a_reply_to_an_erased_customer_ends_quietly(world):
    """They were erased while we sent: the row is final, whatever the platform answered."""

    def meanwhile(request):
        world.desk.erase(CustomerRef("net", "ola"))
        return world.platform.read(request)

    world.desk.reply(world.open("m1"), "We see it.")
    world.platform.fail(meanwhile, taken=True)
    world.desk.deliver()
    world.deliver_all()
    assert (["cancelled"], 1) == (world.states(), len(world.platform.posts))


def test_a_receipt_finds_an_erased_conversation(world):
    """It is told under the names that the conversation has now."""
    claimed = sending(world)
    world.desk.erase(CustomerRef("net", "ola"))
    receipt = Receipt("r1", world.clock())
    told = PartTold(claimed.row.posting.reply, 0, receipt)
    settlement = ended(claimed, RowState.sent, receipt=receipt)
    assert True is settled(world, claimed, settlement, told)
    (conversation,) = world.desk.inbox()
    assert 1 == len(world.events(conversation.id, Told))


def test_a_second_receipt_tells_nothing_twice(world):
    """The echo came first; the answer adds nothing to the conversation."""
    claimed = sending(world)
    receipt = Receipt("r1", world.clock())
    for _ in range(2):
        settled(world, claimed, ended(claimed, RowState.sent, receipt=receipt))
    assert ["sent"] == world.states()


def test_a_conflict_that_stays_is_logged_and_counts_for_nothing(shaky, caplog):
    """Whatever is not a receipt is found again when the lease ends."""
    claimed = sending(shaky)
    shaky.store.fail("commit", *[Conflict("busy")] * 5)
    assert False is settled(shaky, claimed, ended(claimed))
    assert f"settle_conflict row={claimed.row.id}: busy" in caplog.text


@pytest.mark.parametrize("faults", [[Conflict("busy")] * 10, [StoreUnavailable("full")] * 2])
def test_a_receipt_is_offered_again(shaky, monkeypatch, faults):
    """Without it what is known would become unknown; so the store is asked three times."""
    monkeypatch.setattr("supportflow.desk.settle._PAUSE", 0)
    claimed = sending(shaky)
    shaky.store.fail("commit", *faults)
    receipt = Receipt("r1", shaky.clock())
    assert True is settled(shaky, claimed, ended(claimed, RowState.sent, receipt=receipt))
    assert ["sent"] == shaky.states()


def test_a_store_that_stays_away_is_the_callers(shaky, monkeypatch):
    """Nothing is lost: the row's lease ends, and the thread is read."""
    monkeypatch.setattr("supportflow.desk.settle._PAUSE", 0)
    shaky.desk.reply(shaky.open("m1"), "We see it.")

    def down(claimed):
        shaky.store.fail("commit", *[StoreUnavailable("full")] * 4)

    shaky.store.fail("begin", down)
    with pytest.raises(StoreUnavailable):
        shaky.desk.deliver()
    assert ["sending"] == shaky.states()
    shaky.deliver_all(minutes=3)
    assert (["sent"], 1) == (shaky.states(), len(shaky.platform.posts))


def test_an_early_answer_of_somebody_else_is_not_united(world):
    """A third person answers our reply before we know its id: their talk stays their own."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.platform.fail(TransportError("lost"), taken=True)
    world.desk.deliver()
    world.take(world.said("m2", "me too", 1, by="ben", parent="r1"))
    world.deliver_all()
    assert 1 == len(world.events(conversation, Told))
    assert [] == world.events("net/r1/ben#0", Merged)
