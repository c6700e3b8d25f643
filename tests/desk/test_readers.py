"""Prove that a user's classifier is asked for so long and no longer, and left behind if it hangs."""

import asyncio
import inspect
import threading

import pytest

from supportflow import Reading
from supportflow.desk.readers import AsyncReader, Reader

READING = Reading("question")


class Classifier:
    """Answer with what a test says: a value, an error, or whatever a function does."""

    def __init__(self, answer):
        self.answer = answer

    def read(self, message):
        return self.answer() if callable(self.answer) else self.answer


class Later:
    """Answer on the event loop."""

    async def read(self, message):
        await asyncio.sleep(0)
        return READING


def fails():
    raise KeyError("model")


def test_a_blocking_classifier_is_asked_in_a_thread():
    """Its answer comes back, and so does its error."""
    threads = []

    def answer():
        threads.append(threading.current_thread())
        return READING

    assert READING == Reader(Classifier(answer)).read("message")
    assert (True, True) == (threads[0].daemon, threads[0] is not threading.current_thread())
    with pytest.raises(KeyError, match="model"):
        Reader(Classifier(fails)).read("message")


def test_a_classifier_that_hangs_is_left_behind():
    """After its time there is an error; after four such, no thread is begun any more."""
    go_on = threading.Event()
    reader = Reader(Classifier(go_on.wait), patience=0.01)
    before = threading.active_count()
    for _ in range(4):
        with pytest.raises(TimeoutError):
            reader.read("message")
    with pytest.raises(TimeoutError, match="4 calls of the classifier hang"):
        reader.read("message")
    assert 4 == threading.active_count() - before
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "classify":
            thread.join()
    assert True is reader.read("message")


def test_an_asynchronous_answer_needs_an_event_loop():
    """Its coroutine is closed, and the error says which desk it takes."""
    with pytest.raises(TypeError, match="AsyncDesk"):
        Reader(Later()).read("message")


def test_an_event_loop_takes_both():
    """A blocking classifier does not block the loop, an asynchronous one is awaited there."""

    async def both():
        assert READING == await AsyncReader(Classifier(READING)).read("message")
        assert READING == await AsyncReader(Later()).read("message")
        with pytest.raises(KeyError, match="model"):
            await AsyncReader(Classifier(fails)).read("message")

    asyncio.run(both())


def test_a_coroutine_that_comes_too_late_is_closed():
    """An asynchronous classifier whose thread was slow to begin leaves nothing that never ran."""
    go_on, made = threading.Event(), []

    class Late:
        def read(self, message):
            go_on.wait()
            made.append(self.reading())
            return made[0]

        async def reading(self):
            raise AssertionError("nobody waits for it")

    async def impatient():
        with pytest.raises(TimeoutError):
            await AsyncReader(Late(), patience=0.01).read("message")

    asyncio.run(impatient())
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "classify":
            thread.join()
    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(made[0])


def test_on_an_event_loop_patience_ends_too():
    """Whether it hangs in its thread or on the loop; an answer that comes late harms nobody."""
    go_on = threading.Event()

    class Hanging:
        async def read(self, message):
            await asyncio.Event().wait()

    async def impatient():
        for classifier in (Classifier(go_on.wait), Hanging()):
            with pytest.raises(TimeoutError):
                await AsyncReader(classifier, patience=0.01).read("message")
        go_on.set()

    asyncio.run(impatient())
    for thread in threading.enumerate():
        if thread.name == "classify":
            thread.join()
