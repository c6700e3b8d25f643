"""Prove that what has not left can be taken back, and what is leaving cannot."""

import pytest

from supportflow import NotFound
from supportflow.desk.rows import check_still, rows_of, taken_back
from supportflow.errors import Conflict
from supportflow.events import Cancelled
from supportflow.flow import run


def test_dismissing_takes_back_replies_that_have_not_left(world):
    """What was queued for somebody whom nobody answers any more is cancelled with it."""
    conversation = world.open("m1")
    world.desk.reply(conversation, "Hello.")
    world.desk.dismiss(conversation, "wants a free phone", confirmed=True)
    assert (["cancelled"], 0) == (world.states(), world.desk.deliver().sent)
    assert 1 == len(world.events(conversation, Cancelled))


def test_cancelling_what_was_told_in_part_takes_back_the_rest(world):
    """The first part stays told; the others are taken back."""
    conversation = world.open("m1")
    (pending,) = world.desk.reply(conversation, ["One.", "Two."]).pending
    world.platform.fail(None, taken=True)
    world.platform.fail(503)
    world.desk.deliver(limit=1)
    world.desk.cancel(conversation, pending.id)
    assert (["sent", "cancelled"], ["One."]) == (world.states(), world.platform.texts)


def test_what_is_leaving_cannot_be_cancelled(world):
    """While bytes may be on their way, nobody can say that it did not leave."""
    conversation = world.open("m1")
    (pending,) = world.desk.reply(conversation, "Hello.").pending
    caught = []

    def meanwhile(request):
        for attempt in (
            lambda: world.desk.cancel(conversation, pending.id),
            lambda: world.desk.dismiss(conversation, "no", confirmed=True),
        ):
            with pytest.raises(Conflict, match="leaving") as refused:
                attempt()
            caught.append(refused.value)
        raise TimeoutError

    world.platform.fail(meanwhile)
    world.desk.deliver()
    assert (2, ["unknown"]) == (len(caught), world.states())
    world.desk.cancel(conversation, pending.id)
    assert ["cancelled"] == world.states()


def test_rows_are_found_by_reply_and_by_their_own_id(world):
    """All rows of the reply, in their order, whichever is named; unknown names are errors."""
    conversation = world.open("m1")
    world.desk.reply(conversation, ["One.", "Two."], key="k1")
    rows = world.desk.outbox()
    core, answer = world.desk._core, world.desk._answer
    for name in ("k1", rows[1].id):
        assert rows == run(rows_of(core, name), answer)
    with pytest.raises(NotFound, match="'nothing, else'"):
        run(rows_of(core, "nothing", "else"), answer)


def test_only_open_rows_are_taken_back(world):
    """Final rows stay as they are, and nothing of them is refused."""
    world.desk.reply(world.open("m1"), ["One.", "Two."])
    world.desk.deliver(limit=1)
    rows = world.desk.outbox()
    (settlement,) = taken_back(rows, "a\x00")
    assert (rows[1].id, "cancelled", "a\ufffd") == (
        settlement.row,
        settlement.state,
        settlement.error,
    )
    assert None is check_still(rows)
