"""Webhook bodies and signatures, byte for byte."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.testing.platforms.meta_payloads import (
    Delivery,
    Event,
    milliseconds,
    sign,
    write_body,
)

START = datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)


def event(about: str, **content: object) -> Event:
    """Make an event about somebody."""
    return Event("messages", about, START, content)


def test_a_body_is_escaped_as_meta_escapes_it():
    r"""Non-ASCII is `\uXXXX` in lower case, a slash is `\/`, and there is no space."""
    body = write_body("page", "7", [event("a", text="é/😀")], START)
    expected = (
        rb'{"object":"page","entry":[{"id":"7","time":1772355600250,'
        rb'"messaging":[{"text":"\u00e9\/\ud83d\ude00"}]}]}'
    )
    assert expected == body


def test_neighbours_about_one_person_share_an_entry():
    """A batch is entries times messages, in the order of the events."""
    events = [event("a", n=1), event("a", n=2), event("b", n=3), event("a", n=4)]
    entries = json.loads(write_body("page", "7", events, START))["entry"]
    assert [[1, 2], [3], [4]] == [[each["n"] for each in e["messaging"]] for e in entries]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_arrives_as_it_was_written(text):
    """The escapes are only another way to write the same JSON, in ASCII."""
    body = write_body("page", "7", [event("a", text=text)], START)
    assert body.isascii()
    assert text == json.loads(body)["entry"][0]["messaging"][0]["text"]


def test_both_signatures_are_over_the_raw_body():
    """The published vector of the X-Hub-Signature form comes out, beside the old SHA-1."""
    headers = sign("It's a Secret to Everybody", b"Hello, World!")
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert f"sha256={digest}" == headers["X-Hub-Signature-256"]
    assert "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59" == headers["X-Hub-Signature"]


def test_time_is_in_milliseconds():
    """Webhooks write whole milliseconds."""
    assert 1772355600250 == milliseconds(START)


def test_an_event_waits_for_its_release_or_its_time():
    """What is held back goes out when released, or when it is due."""
    held = threading.Event()
    waiting = Event("f", "a", START, {}, waits=held)
    due = Event("f", "a", START, {}, waits=held, due=START + timedelta(minutes=5))
    assert event("a").ready(START)
    assert not waiting.ready(START + timedelta(days=9))
    assert [False, True] == [due.ready(START), due.ready(START + timedelta(minutes=5))]
    held.set()
    assert waiting.ready(START)


@pytest.mark.parametrize(
    ("statuses", "accepted"),
    [([], False), ([None], False), ([500, 302], False), ([500, 200], True), ([204], True)],
)
def test_a_delivery_is_accepted_by_any_2xx(statuses, accepted):
    """No answer, an error or a redirect is no acceptance."""
    assert accepted == Delivery(b"", {}, 1, statuses).accepted
