"""Flows are plain generators: run synchronously, on an event loop, or by hand without a client."""

import asyncio
import inspect

import pytest

from supportflow.errors import FlowError, TransportError
from supportflow.flow import Call, Wait, arun, run
from supportflow.http import Request, Response

READ = Request("GET", "https://example.com/me")
WRITE = Request("POST", "https://example.com/statuses", posts=True)


def sync(program, answer):
    """Run a program on this thread."""
    return run(program, answer)


def on_a_loop(program, answer):
    """Run a program on an event loop that really suspends at each effect."""

    async def answering(effect):
        await asyncio.sleep(0)
        return answer(effect)

    return asyncio.run(arun(program, answering))


BOTH = pytest.mark.parametrize("run_it", [sync, on_a_loop])


def post(text):
    """Look who we are, then post; give up before the write if we are nobody."""
    who = yield READ
    if who.status == 401:
        return "nobody"
    posted = yield WRITE
    return f"{text} {posted.status}"


def ok(effect):
    """Answer every request well."""
    return Response(200)


def refuse(effect):
    """Fail a test that asks for anything."""
    raise AssertionError(f"asked for {effect}")


# -- by hand


def test_a_flow_needs_no_client():
    """`next` gives its first request, `send` a response, and its end its result."""
    flow = post("sent")
    assert READ == next(flow)
    assert WRITE == flow.send(Response(200))
    with pytest.raises(StopIteration) as end:
        flow.send(Response(202))
    assert "sent 202" == end.value.value


def test_a_flow_may_end_before_its_write():
    """What it does after a 401 is seen without any network."""
    flow = post("sent")
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(Response(401))
    assert "nobody" == end.value.value


# -- both runners


@BOTH
def test_what_a_flow_returns_comes_back(run_it):
    """Each request is answered in turn, and the value is the generator's own."""
    asked = []

    def answer(request):
        asked.append((request.method, request.posts, request.repeatable))
        return Response(200)

    assert "sent 200" == run_it(post("sent"), answer)
    assert [("GET", False, True), ("POST", True, False)] == asked


@BOTH
def test_a_flow_without_requests(run_it):
    """A generator that asks for nothing is a flow all the same."""

    def nothing():
        return 7
        yield READ

    assert 7 == run_it(nothing(), refuse)


@BOTH
def test_flows_nest(run_it):
    """`yield from` passes requests out and results in, however deep."""

    def twice():
        first = yield from post("a")
        second = yield from post("b")
        return [first, second]

    def outer():
        return (yield from twice())

    assert ["a 200", "b 200"] == run_it(outer(), ok)


@BOTH
def test_programs_ask_for_calls_and_waits(run_it):
    """Effects are values; whoever runs the program decides what they mean."""
    store = object()

    def program():
        found = yield Call(store, "load", ("x",))
        yield Wait(2.5)
        return found

    asked = []

    def answer(effect):
        asked.append(effect)
        return "loaded"

    assert "loaded" == run_it(program(), answer)
    assert [Call(store, "load", ("x",)), Wait(2.5)] == asked


@BOTH
@pytest.mark.parametrize("sent", [True, False, None])
def test_transport_errors_are_thrown_into_the_flow(run_it, sent):
    """A flow learns of the error where it asked, and may go on from there."""

    def careful():
        try:
            yield WRITE
        except TransportError as error:
            again = yield READ
            return (error.sent, again.status)

    def answer(request):
        if request.posts:
            raise TransportError("reset", sent)
        return Response(200)

    assert (sent, 200) == run_it(careful(), answer)


@BOTH
def test_errors_that_a_flow_does_not_handle_come_out(run_it):
    """They pass through the flow's own clean-up."""
    cleaned = []

    def tidy():
        try:
            yield READ
        finally:
            cleaned.append("tidy")

    def answer(request):
        raise TransportError("no route", sent=False)

    with pytest.raises(TransportError, match="no route"):
        run_it(tidy(), answer)
    assert ["tidy"] == cleaned


@BOTH
def test_errors_of_the_flow_come_out(run_it):
    """What the generator raises is the caller's to see."""

    def broken():
        yield READ
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        run_it(broken(), ok)


@BOTH
def test_a_flow_may_turn_one_error_into_another(run_it):
    """The answer's error is the cause that stays readable."""

    def renamed():
        try:
            yield READ
        except TransportError as error:
            raise LookupError("no such page") from error

    def answer(request):
        raise TransportError("gone")

    with pytest.raises(LookupError) as caught:
        run_it(renamed(), answer)
    assert isinstance(caught.value.__cause__, TransportError)


# -- cancellation


def test_cancellation_is_thrown_into_the_flow():
    """A cancelled task lets its flow clean up, and stays cancelled."""
    events = []

    def slow():
        try:
            yield WRITE
        except BaseException as error:
            events.append(type(error))
            raise

    async def main():
        started = asyncio.Event()

        async def answer(request):
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(arun(slow(), answer))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [asyncio.CancelledError] == events


def test_a_cancelled_flow_may_finish_what_it_must():
    """A program that has to record the doubt may still do so before it ends."""

    def deliver():
        try:
            yield WRITE
        except asyncio.CancelledError:
            yield Call("store", "settle", ("unknown",))
            raise

    settled = []

    async def main():
        started = asyncio.Event()

        async def answer(effect):
            if isinstance(effect, Call):
                settled.append(effect.args)
                return None
            started.set()
            return await asyncio.Event().wait()

        task = asyncio.create_task(arun(deliver(), answer))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [("unknown",)] == settled


def test_an_interrupt_is_thrown_in_too():
    """Ctrl-C during a request reaches the flow where it waits."""
    seen = []

    def waiting():
        try:
            yield READ
        except KeyboardInterrupt:
            seen.append("stopped")
            raise

    def answer(request):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(waiting(), answer)
    assert ["stopped"] == seen


# -- guards


@BOTH
@pytest.mark.parametrize("thing", [None, READ, post, [READ], iter([READ])])
def test_only_generators_run(run_it, thing):
    """A function that was not called, or any other iterable, is named for what it is."""
    with pytest.raises(FlowError, match=f"expected a flow, got {type(thing).__name__}"):
        run_it(thing, ok)


@BOTH
def test_a_finished_flow_does_not_run_again(run_it):
    """Otherwise it would return None as if that were its result."""
    flow = post("once")
    run_it(flow, ok)
    with pytest.raises(FlowError, match="post has already finished; make a new one"):
        run_it(flow, refuse)


@BOTH
def test_a_started_flow_does_not_run(run_it):
    """Its first request would be lost."""
    flow = post("once")
    next(flow)
    with pytest.raises(FlowError, match="post has already started; make a new one"):
        run_it(flow, refuse)
    flow.close()


@BOTH
def test_a_running_flow_does_not_run_itself(run_it):
    """A flow that hands itself to a runner gets a clear error."""

    def selfish():
        yield READ
        return run(flow, refuse)

    flow = selfish()
    with pytest.raises(FlowError, match="selfish has already started"):
        run_it(flow, ok)


@BOTH
def test_yield_for_yield_from(run_it):
    """The commonest slip is named, and the generator is closed."""

    def slip():
        yield post("never")

    flow = slip()
    with pytest.raises(FlowError, match=r"slip yielded generator, .*write 'yield from', not"):
        run_it(flow, refuse)
    assert inspect.GEN_CLOSED == inspect.getgeneratorstate(flow)


@BOTH
@pytest.mark.parametrize("thing", [None, "GET /", Response(200), Request])
def test_only_effects_are_yielded(run_it, thing):
    """Anything else is an error of the flow's author, who is told which flow."""

    def odd():
        yield thing

    with pytest.raises(FlowError, match=f"odd yielded {type(thing).__name__}, not an effect$"):
        run_it(odd(), refuse)


@BOTH
def test_later_effects_are_checked_too(run_it):
    """Also what is yielded after an answer, or after an error was thrown in."""

    def late():
        try:
            yield READ
        except TransportError:
            yield 7

    def answer(request):
        raise TransportError("reset")

    with pytest.raises(FlowError, match="late yielded int"):
        run_it(late(), answer)
