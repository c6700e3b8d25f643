"""Ask a user's classifier, on a thread of its own, for so long and no longer."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import Future
from threading import Thread
from typing import Any

from supportflow.model import Message
from supportflow.triage import Classifier

__all__ = ["PATIENCE", "AsyncReader", "Reader"]

#: How long one message may take a classifier, in seconds. Ours.
PATIENCE = 30.0
#: How many calls that were given up may still hang; while so many do, no other begins. Ours.
_HANGING = 4


class _Asking:
    """Call a classifier on a daemon thread, which nobody has to wait for."""

    def __init__(self, classifier: Classifier, patience: float = PATIENCE) -> None:
        self._classifier, self._patience = classifier, patience
        self._begun: list[Future[Any]] = []

    def _ask(self, message: Message) -> Future[Any]:
        self._begun = [asked for asked in self._begun if not asked.done()]
        if len(self._begun) >= _HANGING:
            raise TimeoutError(f"{_HANGING} calls of the classifier hang; restart it")
        answer: Future[Any] = Future()
        answer.set_running_or_notify_cancel()  # from now on nobody can cancel it under the thread
        self._begun.append(answer)
        Thread(target=self._call, args=(message, answer), name="classify", daemon=True).start()
        return answer

    def _call(self, message: Message, answer: Future[Any]) -> None:
        try:
            answer.set_result(self._classifier.read(message))
        except BaseException as error:  # noqa: BLE001  # whoever asked is told
            answer.set_exception(error)


class Reader(_Asking):
    """Ask for a desk that blocks.

    Args:
        classifier: The user's.
        patience: How long one message may take, in seconds.
    """

    def read(self, message: Message) -> object:
        """Return what the classifier says.

        Args:
            message: What to read.

        Raises:
            TimeoutError: If it takes too long; it may go on, and nobody will listen.
            TypeError: If the classifier turns out to be asynchronous.
        """
        found = self._ask(message).result(self._patience)
        if inspect.iscoroutine(found):
            found.close()
            raise TypeError("an asynchronous classifier needs an AsyncDesk")
        return found


class AsyncReader(_Asking):
    """Ask for a desk on an event loop; the classifier may block or be asynchronous.

    Args:
        classifier: The user's.
        patience: How long one message may take, in seconds.
    """

    async def read(self, message: Message) -> object:
        """Return what the classifier says.

        Args:
            message: What to read.

        Raises:
            TimeoutError: If it takes too long.
        """
        asked = self._ask(message)
        try:
            async with asyncio.timeout(self._patience):
                found = await asyncio.wrap_future(asked)
                return await found if inspect.isawaitable(found) else found
        except BaseException:
            asked.add_done_callback(_unheard)
            raise


def _unheard(asked: Future[Any]) -> None:
    """Close what an asynchronous classifier began and nobody will await."""
    if asked.exception() is None and inspect.iscoroutine(asked.result()):
        asked.result().close()
