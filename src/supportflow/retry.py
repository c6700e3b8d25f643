"""Say which single request may be repeated; tenacity does the repeating.

A request that posts is never repeated here, whatever happened: the outbox decides about
those. Reads, and writes that say so (`Request.repeatable`), are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_base, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential

from supportflow.errors import TransportError
from supportflow.http import Request, Response, retry_at

__all__ = ["ATTEMPTS", "arepeating", "repeating"]

#: How often a repeatable request is made, the first time included. Ours.
ATTEMPTS = 3
#: The longest that one request waits for a rate limit, in seconds; longer pauses the account.
_PATIENCE = 5.0
_BUSY = frozenset({429, 502, 503, 504})


class _MayRepeat(retry_base):
    """Repeat reads that failed, or were asked to come back soon."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        request: Request = retry_state.args[0]
        outcome = retry_state.outcome
        if request.posts or not request.repeatable or outcome is None:
            return False
        error = outcome.exception()
        if error is not None:
            return isinstance(error, TransportError)
        response: Response = outcome.result()
        return response.status in _BUSY and _pause(response) <= _PATIENCE


def _pause(response: Response) -> float:
    if response.at is None or response.status != 429:
        return 0.0
    return (retry_at(response, response.at) - response.at).total_seconds()


class _InItsOwnTime(wait_base):
    """Wait as long as the platform asked for, and otherwise a little more each time."""

    _otherwise = wait_random_exponential(multiplier=0.2, max=2)

    def __call__(self, retry_state: RetryCallState) -> float:
        outcome = retry_state.outcome
        if outcome is not None and outcome.exception() is None:
            asked = _pause(outcome.result())
            if asked:
                return asked
        return self._otherwise(retry_state)


def _last(retry_state: RetryCallState) -> Any:
    """Return, or raise, what the last attempt gave."""
    return retry_state.outcome.result() if retry_state.outcome is not None else None


def _rules() -> dict[str, Any]:
    return {
        "retry": _MayRepeat(),
        "wait": _InItsOwnTime(),
        "stop": stop_after_attempt(ATTEMPTS),
        "retry_error_callback": _last,
    }


def repeating(
    once: Callable[[Request], Response], sleep: Callable[[float], None]
) -> Callable[[Request], Response]:
    """Return a function that performs a request, and again where that is safe.

    Args:
        once: Performs it once.
        sleep: Waits, in seconds.
    """
    return Retrying(sleep=sleep, **_rules()).wraps(once)


def arepeating(
    once: Callable[[Request], Awaitable[Response]], sleep: Callable[[float], Awaitable[None]]
) -> Callable[[Request], Awaitable[Response]]:
    """Return a coroutine function that performs a request, and again where that is safe.

    Args:
        once: Performs it once.
        sleep: Waits, in seconds.
    """
    return AsyncRetrying(sleep=sleep, **_rules()).wraps(once)
