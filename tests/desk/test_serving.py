"""Prove that desks serve until they are told to stop, and stop as they promise."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from supportflow import AsyncDesk, Desk, SQLiteStore, threaded
from supportflow.channels import Page
from supportflow.channels.mastodon import Mastodon
from supportflow.desk import run as serving
from supportflow.desk import shells
from supportflow.errors import TransportError
from supportflow.model import Inbound
from supportflow.stores import Outbox
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.mastodon import MastodonPlatform


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
    assert "stop_late loop=send slow: it did not end within 0.05 seconds" in caplog.text
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
    assert "stop_late loop=send net: it did not end within 0.01 seconds" in caplog.text


# -- signals


class Interruption(Exception):
    """Be what another handler raises."""


@contextmanager
def handled(number):
    """Let a signal raise, as a web server's handler would do something of its own."""

    def interrupt(*_):
        raise Interruption

    before = signal.signal(number, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(number, before)


def interrupting(build, number=signal.SIGTERM):
    """Return a world whose first poll sends a signal to this process."""
    world = build()
    read = world.platform.read

    def signalling(request):
        world.platform.read = read
        os.kill(os.getpid(), number)
        return read(request)

    world.platform.read = signalling
    return world


def looping(world):
    """Return a desk for an event loop on a world of its own."""
    transport = world.Later(world.platform)
    return AsyncDesk(threaded(world.store), world.channels, transport=transport)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_taken_while_it_runs_and_given_back(build, quick, number):
    """Both desks stop; whoever had the signal before has it again."""
    with handled(number) as before:
        interrupting(build, number).desk.run(deadline=5)
        assert before is signal.getsignal(number)
        asyncio.run(looping(interrupting(build, number)).run(deadline=5))
        assert before is signal.getsignal(number)


def test_signals_that_belong_to_somebody_else_are_left_alone(build, quick):
    """A web server's handler acts as ever; the desk ends what it is at, whatever that raises."""
    world = interrupting(build)
    with handled(signal.SIGTERM), pytest.raises(Interruption):
        world.desk.run(deadline=5, signals=False)
    assert [] == [t for t in threading.enumerate() if t.name.startswith(("send", "poll"))]
    assert not world.desk._stopping.is_set()


def test_an_event_loop_leaves_signals_alone_as_well(build, quick):
    """The server's handler is called, and the desk runs until the server stops it."""
    desk, called = looping(interrupting(build)), []

    async def server():
        loop, down = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, lambda: (called.append("server"), down.set()))
        beside = asyncio.create_task(desk.run(deadline=5, signals=False))
        await down.wait()
        assert not beside.done()
        desk.stop()
        await beside
        loop.remove_signal_handler(signal.SIGTERM)

    asyncio.run(server())
    assert ["server"] == called


def test_a_desk_runs_in_any_thread(build, quick):
    """Where no signal can be taken, `stop` ends it; handlers stay as they are."""
    before = signal.getsignal(signal.SIGTERM)
    world = build()
    thread = serve(world.desk, deadline=5, signals=True)
    world.desk.stop()
    thread.join(20)
    assert (False, before) == (thread.is_alive(), signal.getsignal(signal.SIGTERM))


def test_a_handler_that_is_not_pythons_cannot_be_put_back(monkeypatch):
    """Python knows none then: the default takes its place, instead of an error at the end."""
    put = {signal.SIGINT: None, signal.SIGTERM: None}

    def exchange(number, handler):
        before, put[number] = put[number], handler
        return before

    monkeypatch.setattr(shells.signal, "signal", exchange)
    with shells._signals(lambda: None, wanted=True):
        assert all(callable(handler) for handler in put.values())
    assert {signal.SIG_DFL} == set(put.values())


# -- a process that is told to stop while a reply is leaving

SERVICE = """
import asyncio, logging, sys
from supportflow import AsyncDesk, Desk, SQLiteStore, threaded
from supportflow.channels.mastodon import Mastodon

kind, path, url, token, deadline = sys.argv[1:]
logging.basicConfig(level=logging.WARNING, format="%(message)s")
store, channels = SQLiteStore(path), [Mastodon(url, token=token)]

def blocking():
    with Desk(store, channels) as desk:
        desk.run(deadline=float(deadline))
        print("ended", flush=True)

async def looping():
    async with AsyncDesk(threaded(store), channels) as desk:
        await desk.run(deadline=float(deadline))
        print("ended", flush=True)

blocking() if kind == "Desk" else asyncio.run(looping())
"""


@contextmanager
def leaving(folder, kind, deadline):
    """Start a process whose reply the platform has, and whose answer it holds back."""
    with MastodonPlatform() as platform:
        path, channel = (
            str(folder / "support.db"),
            Mastodon(platform.url, token=platform.shop.token),
        )
        platform.customer("ola").post("@shop You charged me twice!")
        with Desk(SQLiteStore(path), [channel]) as desk:
            desk.poll()
            desk.acknowledge(desk.inbox()[0], "We can see the double charge.")
        held = platform.fault_next("held", match="POST *")
        command = [sys.executable, "-c", SERVICE, kind, path, platform.url, platform.shop.token]
        process = subprocess.Popen(
            [*command, str(deadline)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert held.reached.wait(30)
            yield platform, process, held, path
        finally:
            process.kill()
            process.communicate()


def rows_in(path):
    with closing(SQLiteStore(path)) as store:
        return [row.state for row in store.find(Outbox()).rows]


def ours(platform):
    return [post.text for post in platform.posts if post.via == "client"]


@pytest.mark.parametrize("kind", ["Desk", "AsyncDesk"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_reply_that_is_leaving_end(tmp_path, kind, number):
    """The process waits for the platform's answer, records it, and exits with success."""
    with leaving(tmp_path, kind, 20) as (platform, process, held, path):
        process.send_signal(number)
        held.release()
        out, err = process.communicate(timeout=30)
        assert (0, "ended\n", "") == (process.returncode, out, err)
        assert (["sent"], 1) == (rows_in(path), len(ours(platform)))


@pytest.mark.parametrize("kind", ["Desk", "AsyncDesk"])
def test_a_signal_does_not_wait_for_ever_for_a_reply_that_is_leaving(tmp_path, kind):
    """After the deadline the process ends; the next one finds the reply, and posts nothing."""
    with leaving(tmp_path, kind, 0.1) as (platform, process, held, path):
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (0, "ended\n") == (process.returncode, out)
        assert "stop_late loop=send mastodon: it did not end within 0.1 seconds" in err
        assert rows_in(path) in (["sending"], ["unknown"])
        held.release()
        clock = FakeClock(datetime.now(UTC) + timedelta(minutes=3))
        channel = Mastodon(platform.url, token=platform.shop.token)
        with Desk(SQLiteStore(path, clock), [channel], clock=clock) as desk:
            for _ in range(3):
                desk.deliver()
                clock.advance(minutes=1)
        assert (["sent"], 1) == (rows_in(path), len(ours(platform)))
