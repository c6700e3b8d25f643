"""The base of every local platform: HTTP, faults on the wire, log, control, clean end.

One file, because all of it is seen through the same small platform over a real connection.
"""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from supportflow.testing.platforms.faults import WIRE_FAULTS
from supportflow.testing.platforms.server import Platform, Reply, Request, Route

START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


class Counter(Platform):
    """A platform that accepts numbers and remembers them."""

    accepted: list[str]

    def __init__(self, **options):
        super().__init__(**options)
        self.accepted = []

    def routes(self):
        return (
            Route("GET", "/numbers/{name}", lambda request: Reply.json(dict(request.params))),
            Route("POST", "/numbers", self._accept),
            Route("POST", "/broken", lambda request: 1 / 0),
        )

    def truth(self):
        return {"accepted": self.accepted}

    def act(self, command):
        self.accepted.append(str(command["number"]))
        return {"done": True}

    def _accept(self, request: Request) -> Reply:
        number = str(request.json()["number"])
        self.accepted.append(number)
        return Reply.json({"id": str(len(self.accepted)), "number": number})


@pytest.fixture
def platform() -> Iterator[Counter]:
    """Give a running platform with a clock that stands still."""
    with Counter(clock=lambda: START, control=True) as running:
        yield running


@pytest.fixture
def client(platform: Counter) -> Iterator[httpx.Client]:
    """Give a client of it."""
    with httpx.Client(base_url=platform.url, timeout=30, verify=False) as made:
        yield made


def post(client: httpx.Client, number: int = 7, **options) -> httpx.Response:
    """Post a number."""
    return client.post("/numbers", json={"number": number}, **options)


def spoken(platform: Platform, raw: bytes) -> bytes:
    """Return all that the platform answers to these bytes until it closes."""
    with socket.create_connection(("127.0.0.1", int(platform.url.rpartition(":")[2]))) as line:
        line.sendall(raw)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))


# HTTP.


def test_it_listens_on_a_free_port_of_loopback_only(platform):
    """The address is 127.0.0.1 with a port of its own, and two platforms do not meet."""
    with Counter() as other:
        assert other.url != platform.url
        assert platform.url.startswith("http://127.0.0.1:")


def test_a_route_gives_its_decoded_parts(client):
    """`{name}` stands for one segment, percent-decoded after the match."""
    assert {"name": "a/b c"} == client.get("/numbers/a%2Fb%20c").json()


def test_an_unknown_path_is_404_and_a_wrong_method_405(client):
    """What no route answers is refused, unless a platform says otherwise."""
    assert [404, 405] == [client.get("/nothing").status_code, client.get("/numbers").status_code]


def test_a_connection_is_kept_alive(platform):
    """Two requests on one connection are both answered: it is HTTP/1.1."""
    line = http.client.HTTPConnection("127.0.0.1", int(platform.url.rpartition(":")[2]))
    try:
        for name in ("one", "two"):
            line.request("GET", f"/numbers/{name}")
            assert name.encode() in line.getresponse().read()
    finally:
        line.close()


def test_a_body_over_the_bound_is_413_and_not_accepted(platform, client):
    """The bound is 1 MiB; the client that sent more is told so before the connection ends."""
    answer = client.post("/numbers", content=b"x" * (3 << 20))
    assert (413, []) == (answer.status_code, platform.accepted)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: seven", b"400"),
        (b"Content-Length: -1", b"400"),
        (b"Transfer-Encoding: chunked", b"411"),
    ],
)
def test_a_body_without_a_usable_length_is_turned_away(platform, head, status):
    """Neither a nonsensical length nor chunks are read."""
    raw = b"POST /numbers HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n"
    assert spoken(platform, raw).startswith(b"HTTP/1.1 " + status)
    assert [] == platform.accepted


def test_half_a_request_is_not_accepted(platform):
    """A client that goes away in the middle of its body has posted nothing, and hears nothing."""
    raw = b'POST /numbers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"number'
    assert (b"", []) == (spoken(platform, raw), platform.accepted)


def test_a_query_of_too_many_fields_is_400(client):
    """The number of fields is bounded as the body is."""
    assert 400 == client.get("/numbers/a?" + "&".join(["a=1"] * 1_001)).status_code


def test_json_nested_without_end_is_a_value_error():
    """A body of brackets does not exhaust the stack of whoever reads it."""
    with pytest.raises(ValueError, match=r"nested|recursion|depth|Expecting"):
        Request("POST", "/", body=b"[" * 100_000).json()


def test_a_request_gives_its_fields_in_order():
    """Headers are found whatever their case; queries and forms keep repeated names."""
    request = Request(
        "POST", "/", (("t[]", "a"), ("t[]", "b")), (("idempotency-key", "k"),), b"x=1&x=&y=%C3%A9"
    )
    assert ("k", None) == (request.header("Idempotency-Key"), request.header("Other"))
    assert ("a", ("a", "b"), None) == (
        request.first("t[]"),
        request.every("t[]"),
        request.first(""),
    )
    assert (("x", "1"), ("x", ""), ("y", "é")) == request.form()


def test_the_log_tells_no_secret(platform, client):
    """Method, path, status and query are logged; a token in the query, header or body is not."""
    client.post("/numbers?access_token=SECRET&a=1", json={"number": 1}, headers={"X": "SECRET"})
    (line,) = platform.requests
    assert (("access_token", "***"), ("a", "1")) == line.query
    assert ("POST", "/numbers", 200, None, START) == (
        line.method,
        line.path,
        line.status,
        line.fault,
        line.at,
    )
    assert "SECRET" not in repr(platform.requests)


def test_its_time_is_the_injected_clock_and_what_was_added(platform):
    """A test moves a platform's time without sleeping."""
    platform.advance(timedelta(hours=2))
    assert START + timedelta(hours=2) == platform.now()


def test_many_clients_at_once_lose_nothing(platform):
    """Eight threads post at once; every number is accepted once and every id is given once."""

    def posts(first: int) -> list[str]:
        with httpx.Client(base_url=platform.url, timeout=30, verify=False) as own:
            return [post(own, number).json()["id"] for number in range(first, first + 25)]

    with ThreadPoolExecutor(8) as pool:
        ids = [each for given in pool.map(posts, range(0, 200, 25)) for each in given]
    assert sorted(map(str, range(200))) == sorted(platform.accepted)
    assert 200 == len(set(ids))


# Faults.

SEEN = {
    "rate_limited": (False, 429),
    "unauthorized": (False, 401),
    "error_before": (False, 500),
    "error_after": (True, 500),
    "reset_before": (False, httpx.ReadError),
    "response_lost": (True, httpx.RemoteProtocolError),
    "held": (True, httpx.ReadTimeout),
    "late": (True, httpx.ReadTimeout),
    "cut": (True, httpx.RemoteProtocolError),
    "truncated": (True, 200),
    "no_id": (True, 200),
    "html": (True, 200),
    "error_inside": (False, 200),
    "redirect": (False, 302),
}


def patience(kind: str) -> float:
    """Return seconds: only what is never answered is given up soon."""
    return 0.3 if kind in {"held", "late"} else 30


def seen(client: httpx.Client, **options):
    """Return the status that the client sees, or the kind of error."""
    try:
        return post(client, **options).status_code
    except httpx.TransportError as error:
        return type(error)


def test_every_fault_of_the_table_is_tried_here():
    """No kind can be added without saying what it does."""
    assert set(WIRE_FAULTS) == set(SEEN)


@pytest.mark.parametrize("kind", SEEN)
def test_a_fault_accepts_and_shows_what_the_table_says(platform, client, kind):
    """Ground truth and what the client sees are as documented; the next request is untouched."""
    accepts, shown = SEEN[kind]
    fault = platform.fault_next(kind, at=20)
    assert shown == seen(client, timeout=patience(kind))
    assert fault.done.wait(30)
    assert (["7"] if accepts else []) == platform.accepted
    assert [kind] == [line.fault for line in platform.requests]
    assert 200 == post(client, 8).status_code


@pytest.mark.parametrize("kind", ["html", "error_inside", "redirect", "held", "truncated", "cut"])
def test_what_a_kind_accepts_can_be_turned_round(platform, client, kind):
    """Each may be wanted with the other truth: an HTML page of a gateway that passed nothing on."""
    accepts, _ = SEEN[kind]
    platform.fault_next(kind, accept=not accepts)
    seen(client, timeout=patience(kind))
    assert ([] if accepts else ["7"]) == platform.accepted


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Retry-After": "120"},
        {"Retry-After": "Mon, 02 Nov 2026 10:00:00 GMT"},
        {"Retry-After": "99999999999999999999"},
        {"X-RateLimit-Reset": "soon"},
    ],
)
def test_429_carries_the_headers_that_the_test_asks_for(platform, client, headers):
    """Seconds, a date, nonsense or nothing at all."""
    platform.fault_next("rate_limited", headers=headers, body={"error": "Slow down"})
    answer = post(client)
    kept = {name: value for name, value in answer.headers.items() if name not in FRAMING}
    assert {name.lower(): value for name, value in headers.items()} == kept
    assert {"error": "Slow down"} == answer.json()


FRAMING = {"content-type", "content-length"}


def test_an_error_has_the_status_that_is_asked_for(platform, client):
    """503 on a read, 502 on a write: `status` decides."""
    platform.fault_next("error_before", match="GET *", status=503)
    platform.fault_next("error_after", match="POST *", status=502)
    assert [503, 502] == [client.get("/numbers/a").status_code, post(client).status_code]


def test_a_redirect_points_where_it_is_told(platform, client):
    """The target is the test's, so that a trap can wait there."""
    platform.fault_next("redirect", status=307, location="https://trap.example/x")
    answer = post(client)
    assert (307, "https://trap.example/x") == (answer.status_code, answer.headers["Location"])


@pytest.mark.parametrize("reset", [False, True])
def test_cut_at_every_byte_no_answer_is_whole_and_every_post_is_accepted(platform, client, reset):
    """Wherever the response breaks off, by FIN or RST, the request had been accepted."""
    whole = len(Reply.json({"id": "1", "number": "7"}).raw(close=False))
    for at in range(whole):
        platform.fault_next("cut", at=at, reset=reset)
        assert seen(client) in {httpx.RemoteProtocolError, httpx.ReadError}
    assert whole == len(platform.accepted)


def test_a_held_answer_comes_when_it_is_released(platform, client):
    """The test sees that the request is accepted, then lets the answer go: nobody sleeps."""
    fault = platform.fault_next("held")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, client)
        assert fault.reached.wait(30)
        assert (["7"], False) == (platform.accepted, waiting.done())
        fault.release()
        assert 200 == waiting.result(30).status_code


def test_a_late_request_is_accepted_after_the_client_gave_up(platform, client):
    """The cruel case: a read right after the timeout finds nothing, and then the post appears."""
    fault = platform.fault_next("late", match="POST *")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(seen, client, timeout=30)
        assert fault.reached.wait(30)
        assert [] == platform.accepted
        fault.release()
        assert 200 == waiting.result(30)
    assert ["7"] == platform.accepted


def test_a_truncated_answer_is_well_framed_and_no_json(platform, client):
    """HTTP is content, only the JSON stops half-way."""
    platform.fault_next("truncated")
    with pytest.raises(ValueError, match="line 1"):
        post(client).json()


def test_an_answer_without_ids_keeps_the_rest(platform, client):
    """2xx without a usable id, as some gateways answer."""
    platform.fault_next("no_id")
    assert {"number": "7"} == post(client).json()


def test_ids_are_left_where_there_is_no_object(platform):
    """A page of HTML or a list has no id to take out."""
    for body in (b"<html>", b"[1]"):
        assert Reply(200, body) == platform.without_ids(Reply(200, body))


# Beginning and end.


def test_closing_lets_go_what_is_held_and_leaves_no_thread():
    """A client that waits for a held answer sees the connection end, and no thread is left."""
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool, Counter() as platform:
        fault = platform.fault_next("held")
        with httpx.Client(base_url=platform.url, timeout=30, verify=False) as client:
            waiting = pool.submit(seen, client)
            assert fault.reached.wait(30)
            platform.close()
            assert waiting.result(30) in {200, httpx.RemoteProtocolError, httpx.ReadError}
    assert before == set(threading.enumerate())


def test_closing_ends_idle_connections(platform):
    """A kept-alive connection that nobody uses does not hold the platform up."""
    with socket.create_connection(("127.0.0.1", int(platform.url.rpartition(":")[2]))) as line:
        line.sendall(b"GET /numbers/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(12) == b"HTTP/1.1 200"
        platform.close()
        assert line.recv(65536).endswith(b'{"name": "a"}')
        assert b"" == line.recv(1)


def test_it_comes_back_on_the_same_port_with_its_memory(platform, client):
    """While it is closed connections are refused; then everything is as it was."""
    post(client, 1)
    platform.close()
    assert seen(client) in {httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError}
    platform.start().start()
    post(client, 2)
    assert ["1", "2"] == platform.accepted


def test_a_platform_that_stumbles_says_so_at_the_end():
    """Its own exception answers 500 and is raised by the `with` block: never a fault on request."""
    with pytest.raises(ExceptionGroup, match="platform itself") as raised, Counter() as platform:
        assert 500 == httpx.post(f"{platform.url}/broken", verify=False).status_code
    assert raised.group_contains(ZeroDivisionError)


# Control.


def test_control_is_closed_unless_asked_for():
    """Without `control=True` the paths are unknown ones."""
    with Counter() as platform:
        assert 404 == httpx.get(f"{platform.url}/_control/truth", verify=False).status_code


def test_control_answers_to_the_names_of_loopback_only(client):
    """A page that resolves its own name to 127.0.0.1 (DNS rebinding) commands nothing."""
    assert 404 == client.get("/_control/truth", headers={"Host": "shop.example"}).status_code
    assert 200 == client.get("/_control/truth", headers={"Host": "localhost:80"}).status_code


def test_control_shows_truth_log_and_faults(platform, client):
    """Another process sees all that a test in this one sees."""
    client.post("/_control/faults", json={"kind": "response_lost", "match": "POST *", "times": 2})
    assert httpx.RemoteProtocolError == seen(client)
    assert {"accepted": ["7"]} == client.get("/_control/truth").json()
    assert {"struck": {"response_lost": 1}, "waiting": ["response_lost"]} == client.get(
        "/_control/faults"
    ).json()
    (line,) = client.get("/_control/requests").json()
    assert ("/numbers", "response_lost", START.isoformat()) == (
        line["path"],
        line["fault"],
        line["at"],
    )


def test_control_acts_draws_advances_and_clears(platform, client):
    """Customers, a seeded rate, the clock: each by one command."""
    assert {"done": True} == client.post("/_control/act", json={"number": 5}).json()
    client.post("/_control/clock", json={"advance": 60})
    assert START + timedelta(minutes=1) == platform.now()
    client.put("/_control/faults", json={"rate": 1.0, "kinds": ["error_before"], "seed": 3})
    assert 500 == post(client).status_code
    client.delete("/_control/faults")
    assert 200 == post(client).status_code
    assert ["5", "7"] == platform.accepted


def test_control_releases_what_is_held(platform, client):
    """A process under test waits until another one lets it go."""
    fault = platform.fault_next("held", match="/numbers")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, client)
        assert fault.reached.wait(30)
        client.post("/_control/release")
        assert 200 == waiting.result(30).status_code


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "faults", b'{"kind": "nonsense"}', 400),
        ("POST", "faults", b'{"kind": "lag", "wrong": 1}', 400),
        ("POST", "faults", b"{}", 400),
        ("PUT", "faults", b'{"rate": 2}', 400),
        ("POST", "clock", b'{"advance": 1e300}', 400),
        ("POST", "act", b"[]", 400),
        ("POST", "act", b"not json", 400),
        ("GET", "nothing", b"", 404),
    ],
)
def test_a_wrong_command_is_told_why(client, method, path, body, status):
    """Nothing that a test writes wrongly passes in silence."""
    answer = client.request(method, f"/_control/{path}", content=body)
    assert status == answer.status_code
    assert answer.json()["error"]


def test_commands_are_neither_logged_nor_struck(platform, client):
    """Only what the client under test does is seen and disturbed."""
    platform.faults.at_random(1.0, ["error_before"])
    assert {"accepted": []} == client.get("/_control/truth").json()
    assert () == platform.requests


def test_a_bare_platform_cannot_act():
    """The base knows no customers, and says so."""
    with pytest.raises(ValueError, match=r"cannot act on \['do'\]"):
        Platform().act({"do": "post"})
    assert ({}, {}) == (dict(Platform().truth()), dict(Platform().credentials()))


def test_json_of_a_reply_is_what_was_given():
    """The helper that platforms answer with loses nothing."""
    content = {"id": "1", "text": "سلام"}
    assert content == json.loads(Reply.json(content).body)
