"""What a user may write about flows: checked by mypy and pyright, never run."""

from typing import Any, assert_type

from supportflow.flow import Effect, Flow, Program, Wait, arun, run
from supportflow.http import Request, Response


def whoami() -> Flow[str]:
    """Ask a platform who we are."""
    response = yield Request("GET", "https://example.social/api/v1/accounts/verify_credentials")
    assert_type(response, Response)
    return str(response.json()["acct"])


def patient() -> Program[int]:
    """Wait, ask, and hand the work on to a flow."""
    yield Wait(1.5)
    name = yield from whoami()
    assert_type(name, str)
    return len(name)


def answer(effect: Effect) -> Any:
    """Answer every effect with an empty response."""
    return Response(200) if isinstance(effect, Request) else None


async def answer_later(effect: Effect) -> Any:
    """Answer every effect on an event loop."""
    return answer(effect)


async def use() -> None:
    """See that both runners return what the generator returns."""
    assert_type(run(whoami(), answer), str)
    assert_type(run(patient(), answer), int)
    assert_type(await arun(patient(), answer_later), int)
