"""Run a channel's flow within a program, so that what is wrong with it stays its own affair."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any, TypeVar

from supportflow.errors import FlowError
from supportflow.flow import Program
from supportflow.http import Request

__all__ = ["flowing"]

T = TypeVar("T")


def flowing(
    flow: Generator[Request, Any, T],
    name: str,
    before: Callable[[Request], Program[None]] | None = None,
) -> Program[T]:
    """Run a flow to its end; errors of its requests are thrown into it.

    Args:
        flow: What a method of a channel returned.
        name: Whose flow it is, for errors.
        before: What to do before each request.

    Returns:
        What the flow returns.

    Raises:
        FlowError: If it is no flow, or yields what is no request.
    """
    if not isinstance(flow, GeneratorType):
        raise FlowError(f"{name} returned {type(flow).__name__}, not a flow; write it with yield")
    try:
        request = _checked(next(flow), name)
        while True:
            if before is not None:
                yield from before(request)
            try:
                response = yield request
            except Exception as error:  # noqa: BLE001  # the flow decides what it means
                request = _checked(flow.throw(error), name)
            else:
                request = _checked(flow.send(response), name)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


def _checked(request: object, name: str) -> Request:
    if isinstance(request, Request):
        return request
    hint = "; write 'yield from', not 'yield'" if isinstance(request, GeneratorType) else ""
    raise FlowError(f"{name} yielded {type(request).__name__}, not a Request{hint}")
