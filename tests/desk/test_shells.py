"""Prove that both desks offer the same operations, and are made of what they were given."""

import asyncio
import inspect
import logging

import attrs
import pytest

from supportflow import AsyncDesk, Desk, InvalidValue, MemoryStore, threaded
from supportflow.channels import PROTOCOL
from supportflow.desk import reply as words
from supportflow.desk.shells import Operation, _Operations
from supportflow.errors import Conflict, FlowError
from supportflow.flow import Call

OPERATIONS = {
    name: thing for name, thing in vars(_Operations).items() if isinstance(thing, Operation)
}


# -- one list of operations


def test_both_desks_have_the_same_operations():
    """Nothing is written twice: each is one descriptor over one program."""
    assert {"reply", "deliver", "poll", "receive", "resend", "resume"} <= set(OPERATIONS)
    for name, operation in OPERATIONS.items():
        assert operation is getattr(Desk, name) is getattr(AsyncDesk, name)


def test_an_operation_shows_what_its_program_takes():
    """Help, signatures and names are the program's; the core is the desk itself."""
    desk = Desk(MemoryStore())
    assert words.reply.__doc__ == desk.reply.__doc__ == Desk.reply.__doc__
    shown = inspect.signature(desk.reply)
    assert ["conversation", "text", "steps"] == list(shown.parameters)[:3]
    assert "self" == next(iter(inspect.signature(Desk.reply).parameters))
    assert "reply" == desk.reply.__name__
    assert () == Desk.inbox(desk)


def test_an_operation_is_made_once_for_each_desk():
    """Looking it up again costs nothing; another desk has its own."""
    desk, other = Desk(MemoryStore()), Desk(MemoryStore())
    assert desk.reply is desk.reply
    assert desk.reply is not other.reply


# -- what a desk is made of


def test_a_store_of_the_wrong_kind_is_refused_when_the_desk_is_made():
    """The error says which desk, or what to pass."""
    with pytest.raises(TypeError, match="is asynchronous; use AsyncDesk"):
        Desk(threaded(MemoryStore()))
    with pytest.raises(TypeError, match=r"MemoryStore blocks; pass threaded\(store\)"):
        AsyncDesk(MemoryStore())


def test_what_turns_out_to_be_asynchronous_is_refused(world):
    """Also where nobody could see it before: its coroutine is closed, and the error says why."""

    class Hidden:
        def load(self, wanted):
            async def later():
                return None

            return later()

        def future(self):
            return Awaitable()

    class Awaitable:
        def __await__(self):
            yield

    with pytest.raises(FlowError, match=r"Hidden.load is asynchronous; use AsyncDesk"):
        Desk(Hidden()).get("net/m1/ola#0")
    with pytest.raises(FlowError, match=r"Hidden.future is asynchronous"):
        world.desk._answer(Call(Hidden(), "future"))


def test_channels_must_be_told_apart(build):
    """Two of one name, or one made for a newer protocol, are refused."""
    with pytest.raises(InvalidValue, match="two channels are named 'net'"):
        Desk(MemoryStore(), [build.Net(), build.Net()])
    newer = attrs.evolve(build.Net().traits, protocol=PROTOCOL + 1)
    with pytest.raises(InvalidValue, match=f"protocol {PROTOCOL + 1}.*upgrade supportflow"):
        Desk(MemoryStore(), [build.Net(traits=newer)])


def test_a_desk_is_closed_with_its_block():
    """Connections and store are let go of; workers with them."""
    with Desk(MemoryStore()) as desk:
        desk.deliver()
        tables = desk._core.store._tables
    assert {1: False} == dict(tables.alive)

    async def block():
        store = MemoryStore()
        async with AsyncDesk(threaded(store)) as desk:
            await desk.deliver()
        return store

    assert {1: False} == dict(asyncio.run(block())._tables.alive)


def test_the_clock_is_the_computers_by_default(build):
    """Aware, in UTC."""
    now = Desk(MemoryStore())._core.now()
    assert "UTC" == now.tzname()


def test_waits_outside_of_a_run_just_wait(shaky):
    """A conflict pauses a little on either desk; nothing there says to stop."""
    shaky.store.fail("commit", Conflict("busy"))
    assert 1 == shaky.take(shaky.said("m1")).recorded

    async def later():
        store = shaky.store
        store.fail("commit", Conflict("busy"))
        desk = AsyncDesk(threaded(store), shaky.channels, clock=shaky.clock)
        taken = await desk.intake("net", [shaky.said("m2", minutes=1)])
        await desk.close()
        return taken

    assert 1 == asyncio.run(later()).recorded


def test_requests_go_through_the_transport_that_was_given(world):
    """One of the user's own, on either desk."""
    world.desk.poll()

    async def later():
        transport = world.Later(world.platform)
        desk = AsyncDesk(threaded(world.store), [world.Net("web")], transport=transport)
        await desk.poll()

    asyncio.run(later())
    assert 2 == len(world.platform.requests)


def test_the_log_is_readable(world, caplog):
    """A line says what happened to what, in words and names."""
    with caplog.at_level(logging.INFO, "supportflow"):
        world.desk.reply(world.open("m1"), "We see it.")
        world.desk.deliver()
    (row,) = world.desk.outbox()
    line = f"outbox state=sent row={row.id} channel=net conversation=net/m1/ola#0 attempt=1"
    assert ["recorded channel=net", line] == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("kind", [Desk, AsyncDesk])
def test_what_is_no_store_or_channel_is_named(world, kind):
    """A desk says at once which of its parts is wrong, and what to pass."""
    with pytest.raises(TypeError, match=r"None is no store; pass one, such as SQLiteStore"):
        kind(None)
    store = world.store if kind is Desk else threaded(world.store)
    with pytest.raises(InvalidValue, match="'messenger' is no channel; pass an object"):
        kind(store, ["messenger"])
