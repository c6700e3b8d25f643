"""What plays a channel's recorded cases does what it says."""

import attrs
import pytest

from supportflow.http import Request, Response
from supportflow.model import Secret
from supportflow.testing.channel_cases import Driven, drive, is_encrypted
from supportflow.testing.channel_requests import secrets_of

ASK = Request("GET", "https://example.com")


def asking(times: int):
    """Ask so often, and return the statuses."""
    statuses = []
    for _ in range(times):
        response = yield ASK
        statuses.append(response.status)
    return statuses


def test_a_flow_is_answered_to_its_end():
    """Requests and result are kept; more answers than it needs are no matter."""
    answers = [Response(200), Response(404), Response(500)]
    assert Driven((ASK, ASK), [200, 404]) == drive(asking(2), answers)


def test_an_exception_is_thrown_in_and_what_comes_out_is_kept():
    """Whatever leaves the flow is there to be judged."""
    error = OSError("lost")
    driven = drive(asking(2), [Response(200), error])
    assert (2, None, error) == (len(driven.requests), driven.result, driven.error)
    assert ((), ()) == (driven.facts, driven.unreadable)


def test_a_request_without_an_answer_fails_the_test():
    """A recording that is too short is the author's mistake, and no behaviour of the channel."""
    with pytest.raises(AssertionError, match="request 2 has no answer recorded"):
        drive(asking(2), [Response(200)])


def yielding(value: object):
    """Yield something."""
    yield value


@pytest.mark.parametrize(
    ("flow", "why"),
    [
        (7, "int is no flow; write the method with yield"),
        (yielding(7), "yielded int, not a Request$"),
        (yielding(asking(1)), "yielded generator, not a Request; write 'yield from'"),
    ],
)
def test_what_is_no_flow_is_said_plainly(flow, why):
    """The two mistakes that everybody makes once: no yield at all, and yield for yield from."""
    with pytest.raises(AssertionError, match=why):
        drive(flow, [Response(200)])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/", True),
        ("smtps://mail.example.com", True),
        ("smtp+starttls://mail.example.com", True),
        ("smtp://mail.example.com", False),
        ("imap://127.0.0.1:10143", True),
        ("http://example.com/", False),
        ("http://localhost:8000/", True),
        ("http://127.0.0.2/", True),
        ("http://[::1]/", True),
        ("http://127.0.0.1.example.com/", False),
        ("ftp://localhost/", False),
        ("file:///etc/passwd", False),
    ],
)
def test_only_this_machine_is_spoken_to_in_clear(url, expected):
    """A name that looks like the loopback is none."""
    assert expected == is_encrypted(Request("GET", url))


@attrs.frozen
class Nested:
    """Hold secrets in every way a channel may."""

    one: Secret
    several: tuple[Secret, ...]
    named: dict[str, Secret]
    inner: object = None


def test_secrets_are_found_however_deep():
    """In fields, tuples, mappings and values within values."""
    leaf = Nested(Secret("e"), (), {})
    found = Nested(Secret("a"), (Secret("b"), Secret("c")), {"x": Secret("d")}, [leaf, "plain"])
    assert ["a", "b", "c", "d", "e"] == secrets_of(found)
