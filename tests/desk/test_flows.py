"""Prove that a channel's flow is run to its end, and that its mistakes stay its own."""

import pytest

from supportflow.desk.flows import flowing
from supportflow.errors import FlowError, TransportError
from supportflow.flow import run
from supportflow.http import Request, Response

GET = Request("GET", "https://net.example/")


def test_a_flow_returns_what_it_returns():
    """Requests go out, answers come in, and something is done before each request."""

    def flow():
        first = yield GET
        second = yield GET
        return first.status + second.status

    seen = []

    def before(request):
        seen.append(request)
        yield from ()

    answer = run(flowing(flow(), "net", before), lambda request: Response(200))
    assert (400, [GET, GET]) == (answer, seen)


def test_a_flow_without_requests_just_returns():
    """A channel may know the answer without asking."""

    def flow():
        if False:
            yield GET
        return 5

    assert 5 == run(flowing(flow(), "net"), None)


def test_errors_are_thrown_into_the_flow():
    """It may handle them; what it does not handle comes out."""

    def patient():
        try:
            yield GET
        except TransportError:
            return (yield GET)

    def failing(request, faults=[TransportError("down")]):  # noqa: B006  # used up on purpose
        if faults:
            raise faults.pop()
        return "up"

    def careless():
        yield GET

    assert "up" == run(flowing(patient(), "net"), failing)
    with pytest.raises(TransportError, match="gone"):
        run(flowing(careless(), "net"), _raising(TransportError("gone")))


def _raising(error):
    def answer(request):
        raise error

    return answer


def test_an_interruption_closes_the_flow():
    """It is not the flow's to handle; but its `finally` runs."""
    closed = []

    def flow():
        try:
            yield GET
        except Exception:
            pytest.fail("an interruption was thrown in")
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(flowing(flow(), "net"), _raising(KeyboardInterrupt()))
    assert [True] == closed


def nested():
    yield flow_of_another()


def flow_of_another():
    yield GET


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (None, "net returned NoneType, not a flow; write it with yield"),
        ([GET], "net returned list, not a flow"),
        (nested(), "net yielded generator, not a Request; write 'yield from', not 'yield'"),
        ((thing for thing in [5]), "net yielded int, not a Request"),
    ],
)
def test_what_is_no_flow_is_named(wrong, why):
    """The error says whose mistake it is and what to write."""
    with pytest.raises(FlowError, match=why):
        run(flowing(wrong, "net"), None)
