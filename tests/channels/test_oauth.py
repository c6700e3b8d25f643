"""Accounts over OAuth 2.0 are reached by https alone, and renewed as RFC 6749 says."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from supportflow.channels import NeedsAuth, RateLimited
from supportflow.channels.oauth import Tokens, address, refreshed, timed
from supportflow.channels.rest import ask
from supportflow.errors import FlowError, InvalidValue, PayloadError, TransportError
from supportflow.http import Request, Response
from supportflow.model import Secret
from supportflow.testing import drive

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET, REFRESH = Secret("s3cret-of-app"), Secret("r3fresh-t0ken")


def asked(*answers: object, **options: object):
    """Renew, with these answers."""
    url = "https://login.example/token"
    return drive(refreshed(url, "id", SECRET, REFRESH, Secret("acc3ss"), **options), answers)


def answer(content: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(status, body=json.dumps(content).encode(), at=AT)


@pytest.mark.parametrize("given", ["https://api.example", "http://localhost:80", "http://[::1]:8"])
def test_an_address_is_https_or_of_this_machine(given):
    """A slash at its end changes nothing."""
    assert given == address(f"{given}/")


@pytest.mark.parametrize(
    "given",
    ["http://api.example", "ftp://api.example", "api.example", "", "https://a.example/v1?x=1"],
)
def test_another_address_is_refused(given):
    """No token goes in clear, nor to a path that is not the API's."""
    with pytest.raises(InvalidValue):
        address(given)


def test_an_app_proves_itself_in_the_form_or_in_a_header():
    """RFC 6749, 2.3.1 and 6: the same grant, proved in either way."""
    (formed,) = asked(answer({"access_token": "n3w"})).requests
    (basic,) = asked(answer({"access_token": "n3w"}), basic=True).requests
    form, other = (parse_qs(request.body.decode()) for request in (formed, basic))
    grant = {"grant_type": ["refresh_token"], "refresh_token": ["r3fresh-t0ken"]}
    assert {**grant, "client_id": ["id"], "client_secret": ["s3cret-of-app"]} == form
    assert grant == other
    assert "Basic aWQ6czNjcmV0LW9mLWFwcA==" == basic.headers.get("Authorization")
    assert not formed.posts


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"access_token": "n3w"}, Tokens(Secret("n3w"))),
        ({"access_token": "n3w", "refresh_token": "r2"}, Tokens(Secret("n3w"), Secret("r2"))),
    ],
)
def test_new_tokens_are_read(told, expected):
    """Some servers give a new refresh token each time, others never."""
    assert expected == asked(answer(told)).result


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (answer({"error": "invalid_grant"}, 400), NeedsAuth),
        (answer({"error": "invalid_client"}, 401), NeedsAuth),
        (answer({}, 429), RateLimited),
        (answer({}, 503), TransportError),
        (answer({"access_token": ""}), PayloadError),
        (TransportError("gone", sent=None), TransportError),
    ],
)
def test_what_gives_no_token_is_an_error(given, kind):
    """A refusal needs a person; everything else can be tried again."""
    assert isinstance(asked(given).error, kind)


def test_no_secret_is_shown():
    """Not even where the server repeats all of them."""
    echo = answer({"error": "s3cret-of-app r3fresh-t0ken acc3ss"}, 400)
    assert "… … …" in str(asked(echo).error)


def test_an_answer_has_its_time():
    """A flow that makes a second request is no read of one answer."""
    request = Request("GET", "https://api.example/")
    assert ({}, AT) == drive(timed(ask(request, dict)), [answer({})]).result

    def two():
        yield request
        yield request

    assert isinstance(drive(timed(two()), [answer({})]).error, FlowError)
