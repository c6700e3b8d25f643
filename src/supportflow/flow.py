"""Flows and programs: I/O written once as generators, answered synchronously or on an event loop.

A *flow* yields `Request` and is sent `Response`. A *program* may also yield `Call` (of the
store, or of a user's own object) and `Wait`. Whoever runs it answers each effect; an
exception raised by the answer is thrown into the generator, where it can be handled.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from types import GeneratorType
from typing import Any, TypeAlias, TypeVar

import attrs

from supportflow.errors import FlowError
from supportflow.http import Request, Response

__all__ = ["Call", "Effect", "Flow", "Program", "Wait", "arun", "run"]

T = TypeVar("T")


@attrs.frozen
class Call:
    """Ask for a method of an object outside the program, usually the store.

    Args:
        target: The object; its method may be plain or a coroutine function.
        method: The method's name.
        args: Positional arguments.
    """

    target: object
    method: str
    args: tuple[Any, ...] = ()


@attrs.frozen
class Wait:
    """Ask to be resumed later.

    Args:
        seconds: How long to wait, in seconds.
    """

    seconds: float


Effect: TypeAlias = Request | Call | Wait
Flow: TypeAlias = Generator[Request, Response, T]
Program: TypeAlias = Generator[Effect, Any, T]

_EFFECTS = (Request, Call, Wait)


def _fresh(program: object) -> GeneratorType[Any, Any, Any]:
    if not isinstance(program, GeneratorType):
        raise FlowError(
            f"expected a flow, got {type(program).__name__}; a flow is a generator function's result"
        )
    state = inspect.getgeneratorstate(program)
    if state != inspect.GEN_CREATED:
        done = state == inspect.GEN_CLOSED
        raise FlowError(
            f"{program.__name__} has already {'finished' if done else 'started'}; make a new one"
        )
    return program


def _checked(program: GeneratorType[Any, Any, Any], effect: object) -> Any:
    if isinstance(effect, _EFFECTS):
        return effect
    program.close()
    hint = "; write 'yield from', not 'yield'" if inspect.isgenerator(effect) else ""
    raise FlowError(f"{program.__name__} yielded {type(effect).__name__}, not an effect{hint}")


async def arun(program: Generator[Any, Any, T], answer: Callable[[Any], Awaitable[Any]]) -> T:
    """Run a flow or program to its end on an event loop.

    Args:
        program: A fresh generator.
        answer: A coroutine function that performs one effect; what it raises, a
            cancellation included, is thrown in.

    Returns:
        What the generator returns.

    Raises:
        FlowError: If the generator is not fresh or yields something that is no effect.
    """
    started = _fresh(program)
    resume: Callable[[], Any] = partial(next, started)
    while True:
        try:
            effect = _checked(started, resume())
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the generator's own T
        try:
            resume = partial(program.send, await answer(effect))
        except BaseException as error:  # noqa: BLE001  # the program decides what it means
            resume = partial(program.throw, error)


def run(program: Generator[Any, Any, T], answer: Callable[[Any], Any]) -> T:
    """Run a flow or program to its end on this thread.

    Args:
        program: A fresh generator.
        answer: Performs one effect and returns its result; what it raises is thrown in.

    Returns:
        What the generator returns.

    Raises:
        FlowError: If the generator is not fresh or yields something that is no effect.

    Example:
        >>> def greet():
        ...     response = yield Request("GET", "https://example.org")
        ...     return response.status
        >>> run(greet(), lambda request: Response(200))
        200
    """

    async def at_once(effect: Any) -> Any:
        return answer(effect)

    # A coroutine that never suspends ends at its first step, so no event loop is needed.
    whole = arun(program, at_once)
    while True:
        try:
            whole.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the generator's own T
