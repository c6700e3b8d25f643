"""Webhook delivery: when, in which order, how often, and to whom."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from supportflow.testing.platforms.meta_hooks import MetaHooks, over_http
from supportflow.testing.platforms.meta_payloads import Event

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Receiver:
    """A webhook in this process that answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], dict[str, str], bytes]] = []
        self.answers: list[int] = []

    def __call__(self, method, headers, query, body):
        self.got.append((method, dict(headers), dict(query), body))
        if method == "GET":
            return 200, query["hub.challenge"].encode()
        return self.answers.pop(0) if self.answers else 200

    @property
    def numbers(self) -> list[list[int]]:
        """The numbers of the events in each request."""
        bodies = [json.loads(body) for method, _, _, body in self.got if method == "POST"]
        return [[m["n"] for e in body["entry"] for m in e["messaging"]] for body in bodies]


@pytest.fixture
def receiver() -> Receiver:
    """Return a webhook that accepts everything."""
    return Receiver()


@pytest.fixture
def crashes() -> list[Exception]:
    """Return where the platform keeps what went wrong."""
    return []


@pytest.fixture
def hooks(crashes) -> Iterator[MetaHooks]:
    """Return the webhooks of page 7, at a fixed time."""
    made = MetaHooks(
        "page",
        "7",
        app_secret="secret",
        verify_token="verify",
        now=lambda: START,
        crashed=crashes.append,
    )
    yield made
    made.close()


def happen(hooks: MetaHooks, *numbers: int, **more: object) -> None:
    """Let things happen."""
    for number in numbers:
        hooks.add(Event("messages", str(number % 2), START, {"n": number}, **more))


def test_events_wait_until_they_are_delivered(hooks, receiver):
    """Nothing is sent by itself; `deliver` sends all in one batch, once."""
    hooks.deliver_to(receiver)
    happen(hooks, 1, 2, 3)
    assert ([], 3) == (receiver.got, len(hooks.pending))
    hooks.deliver()
    assert ([[1, 2, 3]], ()) == (receiver.numbers, hooks.pending)
    hooks.deliver()
    assert [[1, 2, 3]] == receiver.numbers


def test_a_delivery_is_signed_over_what_arrives(hooks, receiver):
    """The signature fits the raw body that the receiver is given."""
    hooks.deliver_to(receiver)
    happen(hooks, 1)
    hooks.deliver()
    method, headers, query, body = receiver.got[0]
    expected = "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert ("POST", {}, expected) == (method, query, headers["X-Hub-Signature-256"])


def test_batches_copies_and_order_are_the_tests_choice(hooks, receiver):
    """One event a request, each twice; and another order, the same in every run."""
    hooks.deliver_to(receiver)
    happen(hooks, 1, 2)
    hooks.deliver(size=1, copies=2)
    assert [[1], [1], [2], [2]] == receiver.numbers
    orders = []
    for _ in range(2):
        receiver.got.clear()
        happen(hooks, 1, 2, 3, 4, 5)
        hooks.deliver(shuffle=4)
        orders.append(receiver.numbers[0])
    assert orders[0] == orders[1] != [1, 2, 3, 4, 5]
    assert [1, 2, 3, 4, 5] == sorted(orders[0])


def test_what_was_refused_is_delivered_again_byte_for_byte(hooks, receiver):
    """Non-2xx is tried again on demand, until it is accepted; accepted ones only when asked."""
    hooks.deliver_to(receiver)
    receiver.answers = [500, 200, 503]
    happen(hooks, 1, 2)
    hooks.deliver(size=1)
    assert [[500], [200]] == [each.statuses for each in hooks.deliveries]
    hooks.redeliver()
    hooks.redeliver()
    assert (hooks.redeliver(), [500, 503, 200]) == ((), hooks.deliveries[0].statuses)
    assert 1 == len({body for *_, body in receiver.got if b'"n":1' in body})
    hooks.redeliver(everything=True)
    assert [[1], [2], [1], [1], [1], [2]] == receiver.numbers


def test_a_hold_gathers_a_batch(hooks, receiver):
    """Inside a hold nothing goes out; at its end everything does, at once."""
    hooks.deliver_to(receiver)
    with hooks.hold():
        happen(hooks, 1)
        hooks.flush()
        with hooks.hold():
            happen(hooks, 2)
        assert [] == receiver.numbers
    assert [[1, 2]] == receiver.numbers


def test_flush_without_a_receiver_keeps_everything(hooks, receiver):
    """Before `deliver_to` events gather; to deliver them by name is a mistake that is told."""
    happen(hooks, 1)
    hooks.flush()
    assert 1 == len(hooks.pending)
    with pytest.raises(ValueError, match="deliver_to"):
        hooks.deliver()
    hooks.deliver_to(receiver)
    hooks.flush()
    assert [[1]] == receiver.numbers


def test_an_event_held_back_lets_others_pass(hooks, receiver):
    """What waits stays; it goes out with the first delivery after its release."""
    gate = threading.Event()
    hooks.deliver_to(receiver)
    happen(hooks, 1, waits=gate)
    happen(hooks, 2)
    hooks.deliver()
    gate.set()
    hooks.deliver()
    assert [[2], [1]] == receiver.numbers


def test_an_event_can_go_past_all_others(hooks, receiver):
    """`deliver_now` sends one alone, or keeps it where nobody listens."""
    early = Event("messages", "1", START, {"n": 9})
    hooks.deliver_now(early)
    assert (early,) == hooks.pending
    hooks.deliver_to(receiver)
    hooks.deliver_now(early)
    assert [[9]] == receiver.numbers


def test_a_receiver_that_raises_is_the_tests_own_trouble(hooks, receiver):
    """The exception comes out of `deliver`, and nothing is lost: all can be delivered again."""

    def broken(method, headers, query, body):
        raise LookupError(method)

    hooks.deliver_to(broken)
    happen(hooks, 1, 2)
    with pytest.raises(LookupError):
        hooks.deliver(size=1)
    hooks.deliver_to(receiver)
    hooks.redeliver()
    assert [[1], [2]] == receiver.numbers


# The handshake.


def test_the_handshake_asks_for_the_challenge(hooks, receiver):
    """Mode, token and challenge are in the query, and only the exact challenge proves anything."""
    hooks.deliver_to(receiver)
    assert hooks.handshake()
    method, _, query, body = receiver.got[0]
    assert ("GET", b"", "subscribe", "verify") == (
        method,
        body,
        query["hub.mode"],
        query["hub.verify_token"],
    )
    hooks.handshake("unsubscribe", "stolen")
    assert ("unsubscribe", "stolen") == tuple(
        receiver.got[1][2][f"hub.{name}"] for name in ("mode", "verify_token")
    )


@pytest.mark.parametrize("answer", [(403, b""), (200, b""), (200, b'"x"'), (204, b"")])
def test_any_other_answer_fails_the_handshake(hooks, answer):
    """A status other than 200, or another body, is no proof."""
    hooks.deliver_to(lambda method, headers, query, body: answer)
    assert not hooks.handshake()


def test_the_handshake_needs_a_body(hooks):
    """A receiver that returns a status alone cannot be judged."""
    hooks.deliver_to(lambda method, headers, query, body: 200)
    with pytest.raises(TypeError, match="body"):
        hooks.handshake()


# Over HTTP.


class Shop(BaseHTTPRequestHandler):
    """A webhook behind a socket."""

    def do_GET(self) -> None:
        query = dict(parse_qsl(urlsplit(self.path).query))
        self.reply(query.get("hub.challenge", "").encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["X-Hub-Signature-256"], body))
        self.reply(b"EVENT_RECEIVED")

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[HTTPServer]:
    """Return a server that accepts every delivery and answers every challenge."""
    with HTTPServer(("127.0.0.1", 0), Shop) as server:
        server.got = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(shop: HTTPServer) -> str:
    """Return where a webhook listens."""
    return f"http://127.0.0.1:{shop.server_port}/hooks/messenger?shop=7"


def test_a_webhook_on_loopback_is_asked_over_http(hooks, shop):
    """Handshake and delivery reach a real server, with its own query kept."""
    hooks.deliver_to(address(shop))
    assert hooks.handshake()
    happen(hooks, 1)
    assert [[200]] == [each.statuses for each in hooks.deliver()]
    path, signature, body = shop.got[0]
    expected = "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert ("/hooks/messenger?shop=7", expected) == (path, signature)


def test_a_webhook_that_is_down_gets_it_later(hooks, shop):
    """A refused connection is no answer, and is delivered again on demand."""
    with HTTPServer(("127.0.0.1", 0), Shop) as gone:
        nowhere = f"http://127.0.0.1:{gone.server_port}"
    hooks.deliver_to(nowhere)
    happen(hooks, 1)
    assert [[None]] == [each.statuses for each in hooks.deliver()]
    hooks.deliver_to(address(shop))
    assert [[None, 200]] == [each.statuses for each in hooks.redeliver()]


ELSEWHERE = """https://127.0.0.1/ http://example.com/ http://10.0.0.1/ ftp://localhost/ x
http://127.0.0.1.example.com/ http://localhost@example.com/ http://[::2]/"""


@pytest.mark.parametrize("url", ["", *ELSEWHERE.split()])
def test_nothing_leaves_the_machine(url):
    """Webhooks go to plain HTTP on loopback and nowhere else."""
    with pytest.raises(ValueError, match="loopback"):
        over_http(url)


# In the background.


def test_the_background_delivers_by_itself(hooks, receiver):
    """A thread of its own delivers what happens; `settle` waits for it and `close` ends it."""
    before = threading.active_count()
    hooks.deliver_to(receiver, background=True)
    happen(hooks, 1)
    assert hooks.settle()
    with hooks.hold():
        happen(hooks, 2, 3)
    assert hooks.settle()
    assert [1, 2, 3] == [number for batch in receiver.numbers for number in batch]
    hooks.close()
    assert before == threading.active_count()


def test_the_background_looks_again_for_what_waits(hooks, receiver):
    """An event that is released from outside goes out although nothing else happens."""
    arrived = threading.Event()

    def heard(method, headers, query, body):
        arrived.set()
        return receiver(method, headers, query, body)

    gate = threading.Event()
    hooks.deliver_to(heard, background=True)
    happen(hooks, 1, waits=gate, due=START + timedelta(days=1))
    gate.set()
    assert arrived.wait(5)
    assert hooks.settle()
    assert [[1]] == receiver.numbers


def test_what_a_receiver_raises_in_the_background_is_kept(hooks, crashes):
    """No exception is lost with the thread: whoever closes the platform is told."""

    def broken(method, headers, query, body):
        raise LookupError("nobody sees this")

    hooks.deliver_to(broken, background=True)
    happen(hooks, 1)
    assert hooks.settle()
    assert ["nobody sees this"] == [str(error.args[0]) for error in crashes]
