"""Errors, tokens and rates in the Graph API's own form."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from supportflow.testing.platforms.messages import Request
from supportflow.testing.platforms.meta_graph import (
    REFUSALS,
    GraphError,
    Throttle,
    check_token,
    invalid,
    parameters,
    unknown_object,
    usage_headers,
)

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
JSON = (("content-type", "application/json; charset=utf-8"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)


def test_an_error_has_metas_form():
    """Message, type, code, subcode and trace stand where the documentation shows them."""
    reply = GraphError(190, "Invalid OAuth access token.", subcode=463).reply("BLBz", {})
    expected = {
        "error": {
            "message": "Invalid OAuth access token.",
            "type": "OAuthException",
            "code": 190,
            "error_subcode": 463,
            "fbtrace_id": "BLBz",
        }
    }
    assert (401, expected) == (reply.status, json.loads(reply.body))


@pytest.mark.parametrize(
    ("error", "status", "transient"),
    [
        (invalid("x"), 400, False),
        (unknown_object("1"), 400, False),
        (GraphError(1, "x"), 500, True),
        (GraphError(2, "x"), 503, True),
        (GraphError(10, "x"), 400, False),
    ],
)
def test_http_statuses_are_ours_unless_said(error, status, transient):
    """Each code has one status; a mapping replaces it; only codes 1 and 2 are transient."""
    reply = error.reply("t", {})
    assert (status, transient) == (reply.status, "is_transient" in json.loads(reply.body)["error"])
    assert 418 == error.reply("t", {error.code: 418}).status


def test_parameters_come_from_query_form_and_json():
    """The Graph API takes them from anywhere; what stands in the body wins."""
    query = (("a", "1"), ("b", "2"))
    assert {"a": "1", "b": "2"} == parameters(Request("GET", "/", query))
    assert {"a": "9", "b": "2"} == parameters(Request("POST", "/", query, FORM, b"a=9"))
    assert {"a": [3], "b": "2"} == parameters(Request("POST", "/", query, JSON, b'{"a": [3]}'))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b'"x"'),
        (JSON, b"\xff"),
        (JSON, b"[" * 100_000),
        (FORM, b"\xff\xfe"),
        (FORM, b"&".join([b"a=1"] * 1_001)),
    ],
)
def test_an_unreadable_body_is_refused(headers, body):
    """What is neither an object nor a form is code 100."""
    with pytest.raises(GraphError, match="#100"):
        parameters(Request("POST", "/", (), headers, body))


def ask(
    *,
    bearer: str | None = None,
    given: dict[str, object] | None = None,
    token="t0ken",
    **options: bool,
) -> None:
    """Check a call's token."""
    headers = () if bearer is None else (("authorization", bearer),)
    check_token(Request("GET", "/", (), headers), given or {}, token, "secret", **options)


def test_the_token_may_stand_in_header_or_parameters():
    """`Bearer`, `OAuth` and `access_token` are the same to the Graph API."""
    ask(bearer="Bearer t0ken")
    ask(bearer="OAuth t0ken")
    ask(given={"access_token": "t0ken"})


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({}, 104),
        ({"given": {"access_token": ""}}, 104),
        ({"given": {"access_token": 7}}, 104),
        ({"bearer": "Basic t0ken"}, 104),
        ({"bearer": "Bearer wrong"}, 190),
        ({"given": {"access_token": "t0ken "}}, 190),
        ({"given": {"access_token": "\ud800"}}, 190),
        ({"given": {"access_token": "t0ken"}, "token": None}, 190),
        ({"given": {"access_token": "t0ken", "appsecret_proof": "00"}}, 100),
        ({"given": {"access_token": "t0ken", "appsecret_proof": "\ud800"}}, 100),
    ],
)
def test_no_other_token_will_do(call, code):
    """Missing is 104, wrong or revoked is 190, a wrong proof is 100."""
    with pytest.raises(GraphError) as raised:
        ask(**call)
    assert code == raised.value.code


def test_a_right_proof_is_accepted():
    """`appsecret_proof` is the token signed with the app's secret."""
    proof = hmac.new(b"secret", b"t0ken", hashlib.sha256).hexdigest()
    ask(given={"access_token": "t0ken", "appsecret_proof": proof})
    ask(given={"access_token": "t0ken", "appsecret_proof": proof}, proof_required=True)


def test_an_app_may_require_the_proof():
    """Its setting refuses a call with the token alone, in the network's own words."""
    with pytest.raises(GraphError, match="require an appsecret_proof argument") as raised:
        ask(given={"access_token": "t0ken"}, proof_required=True)
    assert (100, "GraphMethodException") == (raised.value.code, raised.value.kind)


def test_usage_headers_are_json_that_names_the_account():
    """Both headers can be read, and the second one says when the account may call again."""
    headers = usage_headers("42", 87, 5)
    assert 87 == json.loads(headers["X-App-Usage"])["call_count"]
    business = json.loads(headers["X-Business-Use-Case-Usage"])["42"][0]
    assert ("messenger", 5) == (business["type"], business["estimated_time_to_regain_access"])


def test_the_throttle_counts_a_rolling_hour():
    """The third call of two must wait until the first one is an hour old, rounded up to minutes."""
    now = [START]
    throttle = Throttle(2, lambda: now[0])
    assert (0, 50) == (throttle.minutes(), throttle.count())
    now[0] += timedelta(minutes=30)
    assert (0, 100) == (throttle.minutes(), throttle.count())
    now[0] += timedelta(seconds=30)
    assert 30 == throttle.minutes()
    now[0] = START + timedelta(hours=1)
    assert (0, 100) == (throttle.minutes(), throttle.count())


def test_without_a_limit_nothing_is_throttled():
    """A platform that was given no number takes any."""
    throttle = Throttle(None, lambda: START)
    assert [(0, 0)] * 50 == [(throttle.minutes(), throttle.count()) for _ in range(50)]


def test_every_refusal_has_a_code():
    """Whatever the wire refuses is worded as a Graph error."""
    bodies = [json.loads(error.reply("t", {}).body)["error"] for error in REFUSALS.values()]
    assert all(isinstance(body["code"], int) and body["message"] for body in bodies)
