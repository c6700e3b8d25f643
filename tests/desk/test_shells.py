"""Prove that both desks offer the same operations, and run and stop as they promise."""

import asyncio
import inspect
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading

import attrs
import pytest

from supportflow import AsyncDesk, Desk, InvalidValue, MemoryStore, threaded
from supportflow.channels import PROTOCOL, Page
from supportflow.desk import reply as words
from supportflow.desk import run as serving
from supportflow.desk.shells import Operation, _Operations
from supportflow.errors import Conflict, FlowError, TransportError
from supportflow.flow import Call
from supportflow.model import Inbound

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


# -- serving


@pytest.fixture
def quick(monkeypatch):
    """Let every loop look again at once."""
    for name in ("SEND_EVERY", "READ_EVERY", "ANNOUNCE_EVERY", "_LONGEST"):
        monkeypatch.setattr(serving, name, 0.001)


@attrs.frozen
class Reached:
    """Count down, and let somebody wait for the end."""

    left: list = attrs.field(factory=lambda: [1])
    event: threading.Event = attrs.field(factory=threading.Event)

    def __call__(self):
        self.left[0] -= 1
        if self.left[0] <= 0:
            self.event.set()


def serve(desk, **arguments):
    """Run a desk in a thread of its own, which only the main thread's signals do not reach."""
    thread = threading.Thread(target=desk.run, kwargs=arguments)
    thread.start()
    return thread


def sick_and_well(build):
    """Return a world where one channel cannot be polled, one hangs while sending, one is well."""
    hanging, sent = threading.Event(), Reached()

    class Network(build.Platform):
        def send(self, request):
            if b"hang" in request.body:
                self.hung.set()
                hanging.wait()
                raise TransportError("given up", sent=True)
            answer = super().send(request)
            if request.posts:
                sent()
            return answer

    world = build([build.Net(), build.Net("ill"), build.Net("slow")])
    world.platform.__class__, world.platform.hung = Network, threading.Event()
    world.channels[1].pages.extend([KeyError("adapter")] * 10_000)
    facts = [attrs.evolve(world.said("m1").message, channel=name) for name in ("net", "slow")]
    for message, text in zip(facts, ("We see it.", "hang"), strict=True):
        taken = world.desk.intake(message.channel, [Inbound(message)])
        world.desk.reply(taken.conversations[0], text)
    return world, hanging, sent


def test_one_sick_channel_stops_no_other(build, quick):
    """While one cannot be polled and one hangs, the third serves its customers; and then all
    stop, but for what hangs.
    """
    world, hanging, sent = sick_and_well(build)
    thread = serve(world.desk, deadline=5)
    assert world.platform.hung.wait(20)
    assert sent.event.wait(20)
    world.desk.stop()
    hanging.set()
    thread.join(20)
    assert not thread.is_alive()
    states = {row.posting.channel: row.state for row in world.desk.outbox()}
    assert {"net": "sent", "slow": "unknown"} == states


def test_stopping_does_not_wait_for_ever(build, quick, caplog):
    """What does not end within the deadline is named and left behind."""
    world, hanging, sent = sick_and_well(build)
    thread = serve(world.desk, deadline=0.05)
    assert world.platform.hung.wait(20)
    assert sent.event.wait(20)
    world.desk.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert "stop send slow did not end within 0.05 seconds" in caplog.text
    hanging.set()
    for left in threading.enumerate():
        if left.name.startswith(("send", "poll")):
            left.join()


def test_a_desk_can_be_run_again(build, quick):
    """Stopping before it runs ends the next run; a run that ended leaves nothing behind."""
    world = build()
    world.desk.stop()
    world.desk.run()
    polled = Reached([2])
    world.net.pages.extend([Page(cursor="1", more=True)] * 2)
    read = world.platform.read
    world.platform.read = lambda request: (polled(), read(request))[1]
    thread = serve(world.desk)
    assert polled.event.wait(20)
    world.desk.stop()
    world.desk.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert 0 == world.desk.poll().recorded


def test_an_event_loop_serves_as_well(build, quick):
    """The same loops as tasks: one sick channel stops no other, and stopping waits for all."""
    world, hanging, sent = sick_and_well(build)
    hanging.set()

    async def service():
        desk = AsyncDesk(
            threaded(world.store),
            world.channels,
            transport=world.Later(world.platform),
            clock=world.clock,
        )
        task = asyncio.create_task(desk.run(deadline=5))
        await asyncio.to_thread(sent.event.wait, 20)
        await asyncio.to_thread(world.platform.hung.wait, 20)
        desk.stop()
        await task
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert set() == asyncio.run(service())
    assert "sent" in world.states()


def test_tasks_that_do_not_end_are_cancelled(build, quick, caplog):
    """After the deadline: what was leaving is unknown then, and will be found."""

    class Hanging(build.Later):
        async def send(self, request):
            answer = await super().send(request)
            if request.posts:
                self.hung.set()
                await asyncio.Event().wait()
            return answer

    world = build()
    world.desk.reply(world.open("m1"), "We see it.")

    async def service():
        transport = Hanging(world.platform)
        transport.hung = asyncio.Event()
        desk = AsyncDesk(
            threaded(world.store), world.channels, transport=transport, clock=world.clock
        )
        task = asyncio.create_task(desk.run(deadline=0.01))
        await transport.hung.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(service())
    assert (["unknown"], 1) == (world.states(), len(world.platform.posts))
    assert "stop send net did not end within 0.01 seconds" in caplog.text


SERVICE = """
import asyncio, logging, sys
import attrs
from supportflow import AsyncDesk, Desk, MemoryStore, threaded
from supportflow.channels import Page, Traits
from supportflow.http import Request, Response

logging.basicConfig(level=logging.INFO, format="%(message)s")

@attrs.frozen
class Net:
    name: str = "net"
    traits: Traits = Traits("net", 100, "read")

    def using(self, state):
        return self

    def send(self, message):
        yield Request("POST", "https://net.example", posts=True)

    def poll(self, cursor):
        print("polled", flush=True)
        yield Request("GET", "https://net.example")
        return Page(cursor="1")

class Transport:
    def send(self, request):
        return Response(200)
    def close(self):
        pass

class Later(Transport):
    async def send(self, request):
        return Response(200)
    async def close(self):
        pass

def blocking():
    with Desk(MemoryStore(), [Net()], transport=Transport()) as desk:
        desk.run(deadline=5)

async def looping():
    async with AsyncDesk(threaded(MemoryStore()), [Net()], transport=Later()) as desk:
        await desk.run(deadline=5)

blocking() if sys.argv[1] == "Desk" else asyncio.run(looping())
print("ended", flush=True)
"""


@pytest.mark.parametrize("kind", ["Desk", "AsyncDesk"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly(kind, number):
    """A process that is told to stop ends its work, closes its store, and exits with success."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVICE), kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert "polled\n" == process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (0, "ended\n", "") == (process.returncode, out, err)


def test_the_log_is_readable(world, caplog):
    """A line says what happened to what, in words and names."""
    with caplog.at_level(logging.INFO, "supportflow"):
        world.desk.reply(world.open("m1"), "We see it.")
        world.desk.deliver()
    (row,) = world.desk.outbox()
    line = f"outbox sent row={row.id} channel=net conversation=net/m1/ola#0 attempt=1"
    assert [line] == [record.getMessage() for record in caplog.records]
