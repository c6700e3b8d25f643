"""What plain channels over HTTP and JSON share: each answer has its class, each item its own fate."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from supportflow.channels import (
    Ambiguous,
    NeedsAuth,
    NotSent,
    RateLimited,
    Refused,
    Unreadable,
)
from supportflow.channels.rest import ask, items, one_by_one
from supportflow.errors import InvalidValue, PayloadError, TransportError
from supportflow.http import Request, Response
from supportflow.model import Author, Inbound, Message, Receipt, Secret
from supportflow.testing import drive
from supportflow.text.fields import word

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
POST = Request("POST", "https://example.com/posts", posts=True)
GET = Request("GET", "https://example.com/posts")
TOKEN = Secret("to/ken+of=the-shop")


def asked(request: Request, answer: object, *hide: Secret):
    """Ask, and read the id in the answer."""
    return drive(ask(request, lambda found: word(found, "id"), *hide), [answer])


@pytest.mark.parametrize("request_made", [POST, GET])
@pytest.mark.parametrize("status", [200, 201, 299])
def test_a_success_is_read(request_made, status):
    """The reader is given the JSON, and what it returns is returned."""
    driven = asked(request_made, Response(status, body=b'{"id": "17"}', at=NOON))
    assert ("17", (request_made,)) == (driven.result, driven.requests)


@pytest.mark.parametrize(
    ("answer", "posting", "reading"),
    [
        (TransportError("refused", sent=False), NotSent, TransportError),
        (TransportError("reset", sent=None), Ambiguous, TransportError),
        (TransportError("timeout", sent=True), Ambiguous, TransportError),
        (Response(429, at=NOON), RateLimited, RateLimited),
        (Response(401, at=NOON), NeedsAuth, NeedsAuth),
        (Response(403, at=NOON), NeedsAuth, NeedsAuth),
        (Response(302, at=NOON), Refused, Refused),
        (Response(400, at=NOON), Refused, Refused),
        (Response(404, at=NOON), Refused, Refused),
        (Response(409, at=NOON), Refused, Refused),
        (Response(422, at=NOON), Refused, Refused),
        (Response(408, at=NOON), Ambiguous, TransportError),
        (Response(500, at=NOON), Ambiguous, TransportError),
        (Response(503, body=b"<html>", at=NOON), Ambiguous, TransportError),
        (Response(529, at=NOON), Ambiguous, TransportError),
        (Response(199, at=NOON), Ambiguous, TransportError),
        (Response(200, body=b"<html>", at=NOON), Ambiguous, PayloadError),
        (Response(200, body=b'{"id": "1', at=NOON), Ambiguous, PayloadError),
        (Response(200, body=b'{"error": "no"}', at=NOON), Ambiguous, PayloadError),
    ],
)
def test_every_other_answer_has_its_class(answer, posting, reading):
    """Every row of RELIABILITY 2.3: only a request that posts leaves a doubt behind."""
    assert posting is type(asked(POST, answer).error)
    assert reading is type(asked(GET, answer).error)


@pytest.mark.parametrize(("request_made", "error"), [(POST, Ambiguous), (GET, InvalidValue)])
def test_a_value_of_ours_that_cannot_be_made_is_no_answer(request_made, error):
    """What the platform answered has no place in our values: posted, perhaps, and as what?"""
    receipt = ask(request_made, lambda found: Receipt("1", datetime.fromisoformat(found["at"])))
    driven = drive(receipt, [Response(200, body=b'{"at": "2026-03-02"}', at=NOON)])
    assert error is type(driven.error)


def test_a_pause_has_its_end():
    """The platform's own, from the time of the answer; an answer without one ends in the past."""
    headers = {"Retry-After": "30"}
    driven = asked(POST, Response(429, headers, at=NOON))
    assert NOON + timedelta(seconds=30) == driven.error.until
    assert NOON > asked(POST, Response(429, headers)).error.until


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": f"{TOKEN.reveal()} is wrong"}),
        json.dumps({"error": f"{TOKEN.reveal()} is wrong"}).replace("/", "\\/"),
        f"<p>{TOKEN.reveal()} is wrong",
    ],
)
def test_no_secret_is_repeated(body):
    """Whatever the platform writes back, and however JSON spells it."""
    driven = asked(POST, Response(400, body=body.encode()), TOKEN)
    assert "of-the-shop" not in str(driven.error)
    assert "is wrong" in str(driven.error)


def test_a_refusal_is_short():
    """Staff read the platform's words, not its whole page."""
    said = str(asked(POST, Response(404, body=b"<p>\n" + b"x" * 5_000_000)).error)
    assert said.startswith("404 <p> xxx")
    assert 300 == len(said)


@pytest.mark.parametrize("answer", [{}, [], None, {"messages": None}, {"messages": {}}])
def test_a_list_that_is_not_there_is_no_empty_one(answer):
    """Nobody may conclude an absence from an answer of another shape."""
    with pytest.raises(PayloadError):
        items(answer, "messages")


def read(item: dict) -> list[Inbound]:
    """Return a fact for each word of an item's text."""
    words = word(item, "text").split()
    author = Author(word(item, "by"))
    return [Inbound(Message("chat", "message", each, author, each, NOON)) for each in words]


def test_one_bad_item_leaves_its_neighbours():
    """Facts in order, several of an item or none; the bad ones as they came, with the reason."""
    good, bad = {"text": "a b", "by": "ola"}, {"text": "c", "ä": "\ud800"}
    facts, unreadable = one_by_one([good, bad, 7, {"text": "d", "by": "ola"}], read)
    assert ["a", "b", "d"] == [fact.message.text for fact in facts]
    assert (
        Unreadable(
            '{"text":"c","ä":"\\ud800"}'.encode(),
            "by is None; it must be a string that is not empty",
        ),
        Unreadable(b"7", "the item is int, not an object"),
    ) == unreadable


def test_an_item_is_read_whole_or_not_at_all():
    """A reader that stops half-way gives nothing, so that a replay finds no half of it."""

    def half(item):
        yield from read(item)
        raise InvalidValue("the rest is bad")

    assert ((), ["the rest is bad"]) == (
        one_by_one([{"text": "a", "by": "ola"}], half)[0],
        [each.why for each in one_by_one([{"text": "a", "by": "ola"}], half)[1]],
    )
