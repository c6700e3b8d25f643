"""Start platforms and workers as processes of their own, and say how far each has come.

What both campaigns need, `sender.py` of one worker at a time and `fleet.py` of several.
"""

from __future__ import annotations

import http.client
import json
import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from typing import Any, NoReturn

import httpx

from supportflow.flow import Call
from supportflow.http import Request


class Process:
    """Run a platform in a process of its own, until it is told to end.

    Args:
        make: Makes the platform, there.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        alive, self._life = os.pipe()
        told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._life)
            leave(lambda: self._serve(make, alive, tell))
        os.close(alive)
        os.close(tell)
        with open(told, encoding="utf-8") as lines:  # noqa: PTH123  # a descriptor has no path
            self.url, credentials = lines.read().split("\n")
        self.credentials: dict[str, str] = json.loads(credentials)

    @staticmethod
    def _serve(make: Callable[[], AbstractContextManager[Any]], alive: int, tell: int) -> None:
        with make() as platform:
            os.write(tell, f"{platform.url}\n{json.dumps(dict(platform.credentials()))}".encode())
            os.close(tell)
            os.read(alive, 1)

    def ask(self, method: str, what: str, **fields: object) -> Any:
        """Give a command, over a connection of its own: those before it are known by then."""
        host = self.url.removeprefix("http://")
        with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
            connection.request(method, f"/_control/{what}", json.dumps(fields))
            answer = connection.getresponse()
            body = json.loads(answer.read())
        if answer.status != 200:
            raise AssertionError(f"{method} {what}: {body}")
        return body

    def end(self) -> None:
        """Let it end; it fails if it failed while it answered."""
        os.close(self._life)
        if os.waitpid(self.pid, 0)[1] != 0:
            raise AssertionError("a platform failed")


def leave(work: Callable[[], None]) -> NoReturn:
    """Do the work of a forked process, and end it without any clearing up."""
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # it is the end of the process
        traceback.print_exc()
    finally:
        os._exit(status)


class Phases:
    """Name the effects of a desk by what it is at."""

    phase = "start"

    def _name(self, effect: Request | Call) -> str:
        if isinstance(effect, Request):
            return f"{self.phase} {'post' if effect.posts else 'read'}"
        if effect.method == "claim":
            self.phase = effect.args[0].kind.value
        ends = effect.args[0].settlements if effect.method == "commit" else ()
        states = dict.fromkeys(each.state.value for each in ends)
        return " ".join([self.phase, effect.method, *states])


class Traced(httpx.HTTPTransport):
    """Say how far a request that posts has come."""

    step: Callable[[str], None]
    stages: Mapping[str, str]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Perform a request."""
        if request.method == "POST":
            request.extensions = {**request.extensions, "trace": self._trace}
        return super().handle_request(request)

    def _trace(self, event: str, info: object) -> None:
        if event in self.stages:
            self.step(self.stages[event])
