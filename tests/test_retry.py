"""Which single request may be repeated, and how long to wait before."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from supportflow.errors import TransportError
from supportflow.http import Request, Response
from supportflow.retry import ATTEMPTS, arepeating, repeating

AT = datetime(2026, 1, 1, tzinfo=UTC)
READ = Request("GET", "https://example.org/")
POST = Request("POST", "https://example.org/", posts=True)
WRITE = Request("POST", "https://example.org/")
KEYED = Request("POST", "https://example.org/", repeatable=True)
KEYED_POST = Request("POST", "https://example.org/", posts=True, repeatable=True)

Answers = list[Response | Exception]


def perform(kind: str, request: Request, answers: Answers) -> tuple[object, int, list[float]]:
    """Perform a request against scripted answers; return result, tries and pauses."""
    left, pauses = list(answers), list[float]()

    def once(_request: Request) -> Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aonce(request: Request) -> Response:
        return once(request)

    async def asleep(seconds: float) -> None:
        pauses.append(seconds)

    try:
        if kind == "sync":
            result: object = repeating(once, pauses.append)(request)
        else:
            result = asyncio.run(_await(lambda: arepeating(aonce, asleep)(request)))
    except TransportError as error:
        result = error
    return result, len(answers) - len(left), pauses


async def _await(make: Callable[[], object]) -> object:
    return await make()  # type: ignore[misc]  # made by the caller


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both shells follow the same rules."""
    return str(request.param)


@pytest.mark.parametrize("request_", [READ, KEYED])
@pytest.mark.parametrize("sent", [True, False, None])
def test_a_repeatable_request_is_repeated_after_any_transport_error(
    kind: str, request_: Request, sent: bool | None
) -> None:
    """Reading, or writing under a key, twice has no second effect."""
    answers: Answers = [TransportError("gone", sent), Response(200)]
    result, tries, _ = perform(kind, request_, answers)
    assert (Response(200), 2) == (result, tries)


@pytest.mark.parametrize("request_", [POST, KEYED_POST, WRITE])
@pytest.mark.parametrize("sent", [True, False, None])
def test_what_a_customer_sees_is_never_repeated(
    kind: str, request_: Request, sent: bool | None
) -> None:
    """A request that posts is made once, whatever happened and whatever it says of itself."""
    error = TransportError("gone", sent)
    result, tries, pauses = perform(kind, request_, [error, Response(200)])
    assert (error, 1, []) == (result, tries, pauses)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_busy_server_is_asked_again_with_growing_patience(kind: str, status: int) -> None:
    """A read that a gateway could not answer is repeated a few times, then given as it is."""
    result, tries, pauses = perform(kind, READ, [Response(status, at=AT)] * 5)
    assert (Response(status, at=AT), ATTEMPTS) == (result, tries)
    assert ATTEMPTS - 1 == len(pauses)
    assert all(0 <= pause <= 2 for pause in pauses)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 500])
def test_an_answer_is_an_answer(kind: str, status: int) -> None:
    """Other statuses are for the channel to read, at once."""
    result, tries, _ = perform(kind, READ, [Response(status), Response(200)])
    assert (Response(status), 1) == (result, tries)


def test_a_short_rate_limit_is_waited_for_in_its_own_time(kind: str) -> None:
    """The platform says how long, so that is how long."""
    limited = Response(429, {"Retry-After": "3"}, at=AT)
    result, tries, pauses = perform(kind, READ, [limited, Response(200)])
    assert (Response(200), 2, [3.0]) == (result, tries, pauses)


def test_a_long_rate_limit_is_the_accounts_affair(kind: str) -> None:
    """A request never sleeps for minutes: the answer goes to the channel, which pauses."""
    limited = Response(429, {"Retry-After": "60"}, at=AT)
    assert (limited, 1, []) == perform(kind, READ, [limited, Response(200)])


def test_the_last_error_is_raised(kind: str) -> None:
    """When every attempt fails, the caller sees the last error itself, not tenacity's."""
    errors = [TransportError(str(number)) for number in range(ATTEMPTS)]
    result, tries, _ = perform(kind, READ, list(errors))
    assert (errors[-1], ATTEMPTS) == (result, tries)
