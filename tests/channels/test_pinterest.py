"""The Pinterest channel makes pins of announcements, and refuses everything else with the reason.

First the contract of channels, then what is special, then the local platform over a real connection, and
the requests against the published specification.
"""

import json
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from supportflow import Desk, MemoryStore
from supportflow.channels import (
    Ambiguous,
    Channel,
    Checks,
    Finds,
    Found,
    NeedsAuth,
    Polls,
    RateLimited,
    Receives,
    Renews,
)
from supportflow.channels.pinterest import Pinterest
from supportflow.errors import InvalidValue, Unsupported
from supportflow.flow import run
from supportflow.http import Request, Response
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    ChannelState,
    Outgoing,
    Receipt,
    Visibility,
)
from supportflow.testing import ChannelContract, FakeClock, SendCase, drive
from supportflow.testing.platforms.pinterest import PinterestPlatform
from supportflow.transport import Transport

SPEC = Path(__file__).resolve().parents[3] / "shared/specs/pinterest/openapi.json"
AT = ChannelContract.at
API, BOARD = "https://api.pinterest.com/v5", "549755885175"
HEADERS = {"Authorization": "Bearer t0ken-0f-shop", "Accept": "application/json"}
POSTS = {**HEADERS, "Content-Type": "application/json"}
PICTURE = Attachment("image", "https://shop.example/door.jpg", "our new door")
CARD = Card("A lamp", "https://shop.example/lamp", "9.90 EUR", "https://shop.example/lamp.jpg")


def pins(**options: object) -> Pinterest:
    """Return the channel."""
    keys = {"client_id": "1466", "client_secret": "s3cret-0f-app", "refresh_token": "r3fresh-t0ken"}
    return Pinterest(BOARD, **{"token": "t0ken-0f-shop", **keys, **options})


def news(text: str = "We have moved.", **fields: object) -> Outgoing:
    """Return an announcement."""
    made = {
        "id": "row-1",
        "mark": "mark-1",
        "text": text,
        "to": Author(""),
        "thread": "",
        "reply_to": None,
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": AT - timedelta(minutes=5),
        "attachments": (PICTURE,),
    }
    return Outgoing(**{**made, **fields})


def pin(number: int = 1, text: str = "We have moved.", **fields: object) -> dict:
    """Return a pin as the API shows it."""
    made = {"id": f"81{number}", "description": text, "created_at": "2026-03-02T08:59:00"}
    return {**made, **fields}


def answer(content: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(status, body=json.dumps(content).encode(), at=AT)


def listed(*items: dict, bookmark: str | None = None) -> Response:
    """Return a page of pins."""
    return answer({"items": [*items], "bookmark": bookmark})


RECEIPT = Receipt("811", AT - timedelta(minutes=1), "https://www.pinterest.com/pin/811/")
PIN = {
    "board_id": BOARD,
    "description": "We have moved.",
    "alt_text": "our new door",
    "media_source": {"source_type": "image_url", "url": "https://shop.example/door.jpg"},
}
LAMP = {
    "board_id": BOARD,
    "description": "We have moved.",
    "title": "A lamp",
    "link": "https://shop.example/lamp",
    "media_source": {"source_type": "image_url", "url": "https://shop.example/lamp.jpg"},
}


class TestContract(ChannelContract):
    """It keeps every promise of a channel through which nothing comes in."""

    @pytest.fixture
    def channel(self):
        return pins()

    @pytest.fixture
    def inbound_cases(self):
        return []

    @pytest.fixture
    def send_cases(self):
        posted = [
            (Request("POST", f"{API}/pins", POSTS, json.dumps(body).encode(), posts=True),)
            for body in (PIN, LAMP)
        ]
        search = {"found": (listed(pin(2, "Sale!"), pin()),), "absent": (listed(pin(2, "Sale!")),)}
        lamp = news(attachments=(), card=CARD)
        return [
            SendCase("a picture", news(), posted[0], (answer(pin(), 201),), RECEIPT, **search),
            SendCase("a product", lamp, posted[1], (answer(pin(), 201),), RECEIPT),
            SendCase(
                "too often",
                news(),
                posted[0],
                (answer({"code": 8, "message": "Rate limit exceeded."}, 429),),
                RateLimited,
            ),
        ]


# Making one.


def test_it_only_sends():
    """It polls nothing and takes no webhooks, and its traits say so."""
    channel: Channel = pins()
    assert all(isinstance(channel, kind) for kind in (Finds, Checks, Renews))
    assert not isinstance(channel, Polls | Receives)
    assert () == channel.traits.inbound
    assert {"comments", "replies", "private messages"} <= {*channel.traits.unsupported}


@pytest.mark.parametrize(
    "options",
    [
        {"board_id": "news"},
        {"board_id": 549755885175},
        {"token": ""},
        {"name": ""},
        {"base_url": "http://api.pinterest.com"},
    ],
)
def test_what_cannot_work_is_refused(options):
    """A board is a number in text; a token never goes in clear over the network."""
    with pytest.raises(InvalidValue):
        Pinterest(**{"board_id": BOARD, "token": "t", **options})


# Sending.


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"reply_to": ("comment", "1")}, "no comments and no messages"),
        ({"visibility": Visibility.private}, "private"),
        ({"quick_replies": ("Yes",)}, "quick_replies"),
        ({"attachments": ()}, "one picture, and 0"),
        ({"attachments": (PICTURE, PICTURE)}, "one picture, and 2"),
        ({"attachments": (PICTURE, attrs.evolve(PICTURE, kind="video"))}, "one picture"),
        ({"attachments": (attrs.evolve(PICTURE, kind="video"),)}, "one picture, and 0"),
        ({"attachments": (attrs.evolve(PICTURE, url="http://shop.example/1"),)}, "https"),
        ({"card": CARD}, "one picture, and 2"),
        ({"attachments": (), "card": attrs.evolve(CARD, image="http://shop.example/1")}, "https"),
        ({"attachments": (), "card": attrs.evolve(CARD, url="ftp://shop.example")}, "https"),
        ({"attachments": (), "card": attrs.evolve(CARD, title="x" * 101)}, "100 characters"),
    ],
)
def test_what_is_no_pin_is_refused_unasked(fields, what):
    """The reason says what a pin is, and what to do instead."""
    with pytest.raises(Unsupported, match=what):
        next(pins().send(news(**fields)))


@pytest.mark.parametrize("made", ["2026-03-02T08:59:00", "2026-03-02T08:59:00-00:00"])
def test_a_time_without_a_zone_is_utc(made):
    """The specification wants a zone, the API's examples have none: the same moment."""
    driven = drive(pins().send(news()), [answer(pin(created_at=made), 201)])
    assert RECEIPT == driven.result


def test_a_pin_without_a_time_may_be_there():
    """It was accepted: then it is looked for, and not made again."""
    driven = drive(pins().send(news()), [answer(pin(created_at=None), 201)])
    assert isinstance(driven.error, Ambiguous)


# Looking.


@pytest.mark.parametrize(
    "other",
    [pin(text="We have moved!"), pin(created_at="2026-03-01T08:59:00"), pin(2)],
)
def test_only_ours_is_found(other):
    """Other words, an older pin, and what another announcement is known by, are not it."""
    driven = drive(pins().find_sent(news(known=frozenset({"812"}))), [listed(other)])
    assert Found() == driven.result


def test_a_search_reads_to_the_end():
    """The order of a board is not documented: absence is proved by the last page alone."""
    pages = [listed(pin(2, "Sale!"), bookmark="b2"), listed(pin())]
    driven = drive(pins().find_sent(news()), pages)
    assert Found(RECEIPT) == driven.result
    assert "bookmark=b2" in driven.requests[1].url
    endless = [listed(pin(2, "Sale!"), bookmark="b2")] * 20
    result = drive(pins().find_sent(news()), endless).result
    assert (False, True) == (result.looked, "more than 5000" in result.why)


# On the local platform.


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def network(clock):
    with PinterestPlatform(clock=clock) as platform:
        yield platform


@pytest.fixture
def ask():
    transport = Transport()
    yield lambda flow: run(flow, transport.send)
    transport.close()


def on(network) -> Pinterest:
    """Return the channel as it is set up on a platform."""
    return Pinterest(**network.credentials(), base_url=network.url)


def test_a_pin_is_made_and_found(network, clock, ask):
    """What the platform took is what was sent, and a lost answer is cleared up by reading."""
    message = news(queued_at=clock())
    receipt = ask(on(network).send(message))
    (made,) = network.posts
    assert (receipt.id, "We have moved.") == (made.id, made.fields["description"])
    network.fault_next("response_lost", match="POST *")
    again = attrs.evolve(message, text="Once more.")
    with pytest.raises(Ambiguous):
        ask(on(network).send(again))
    assert network.posts[1].id == ask(on(network).find_sent(again)).receipt.id
    assert Found() == ask(on(network).find_sent(attrs.evolve(message, text="Never.")))


def test_a_desk_shows_what_it_cannot_do(network, clock):
    """Nothing is polled, and nobody is told that something might come."""
    with Desk(MemoryStore(clock), [on(network)], clock=clock) as desk:
        assert 0 == desk.poll().recorded
        with pytest.raises(Unsupported, match="cannot be polled"):
            desk.poll("pinterest")


def test_a_check_tells_what_is_wrong(network, ask):
    """The token, its scopes, the board and who can see it are each named, with what to do."""
    good = ask(on(network).check())
    assert (True, "pins go to 'News' of shop") == (good.ok, good.notes[0])
    network.privacy = "SECRET"
    assert "nobody sees its pins" in ask(on(network).check()).problems[0]
    elsewhere = attrs.evolve(on(network), board_id="1")
    assert "the board 1 cannot be read" in ask(elsewhere.check()).problems[0]
    network.scopes = ("boards:read",)
    assert "pins:write" in ask(on(network).check()).problems[0]


def test_tokens_are_renewed_together(network, ask):
    """After thirty days both tokens are new, and the old refresh token is worth nothing."""
    old = on(network)
    network.advance(timedelta(days=30))
    with pytest.raises(NeedsAuth):
        ask(old.send(news()))
    state = ask(old.renew())
    assert ask(old.using(state).check()).ok
    assert network.refresh_token == state.credentials["refresh_token"].reveal()
    with pytest.raises(NeedsAuth, match="authorize again"):
        ask(old.renew())
    with pytest.raises(NeedsAuth, match="give client_id"):
        ask(Pinterest(BOARD, token="t").renew())
    assert ChannelState("pinterest", credentials=state.credentials) == state


# The specification.


def described(schema: dict, spec: dict) -> dict:
    """Return a schema, looked up where it only names another."""
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return spec["components"]["schemas"][name] if name else schema


def fits(value: object, schema: dict, spec: dict, where: str) -> None:
    """Fail where a value is not what a schema describes."""
    found = described(schema, spec)
    if "discriminator" in found:
        kind = value[found["discriminator"]["propertyName"]]
        fits(value, {"$ref": found["discriminator"]["mapping"][kind]}, spec, where)
        return
    if found["type"] == "object":
        assert {*found.get("required", ())} <= {*value} <= {*found["properties"]}, where
        for name, each in value.items():
            fits(each, found["properties"][name], spec, f"{where}.{name}")
        return
    assert "string" == found["type"] and isinstance(value, str), where  # noqa: PT018  # one fact
    assert len(value) <= found.get("maxLength", len(value)), where
    assert re.search(found.get("pattern", ""), value), where
    assert value in found.get("enum", [value]), where


@pytest.mark.skipif(not SPEC.exists(), reason=f"the published specification is not at {SPEC}")
@pytest.mark.parametrize("message", [news("x" * 800), news(attachments=(), card=CARD)])
def test_a_pin_is_as_the_specification_wants_it(message):
    """Its fields, their lengths and patterns are those that are published."""
    spec = json.loads(SPEC.read_bytes())
    request = next(pins().send(message))
    operation = spec["paths"]["/pins"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    fits(json.loads(request.body), schema, spec, "PinCreate")
    scopes = operation["security"][0]["pinterest_oauth2"]
    assert {*scopes} <= {*Pinterest.setup.scopes}
    assert spec["servers"][0]["url"] == API


@pytest.mark.skipif(not SPEC.exists(), reason=f"the published specification is not at {SPEC}")
def test_reads_are_as_the_specification_wants_them():
    """Every path and parameter that is asked for is published, and so is every scope."""
    spec = json.loads(SPEC.read_bytes())
    checked = drive(pins().check(), [answer({"username": "shop"}), answer({"id": BOARD})])
    pages = [listed(bookmark="b2"), listed()]
    looked = drive(pins().find_sent(news()), pages)
    for request in (*checked.requests, *looked.requests):
        parts = urlsplit(request.url)
        path = parts.path.removeprefix("/v5").replace(BOARD, "{board_id}")
        operation = spec["paths"][path]["get"]
        names = {
            spec["components"]["parameters"][each["$ref"].rsplit("/", 1)[1]]["name"]
            for each in operation["parameters"]
        }
        assert {name for name, _ in parse_qsl(parts.query)} <= names, request.url
        assert {*operation["security"][0]["pinterest_oauth2"]} <= {*Pinterest.setup.scopes}


@pytest.mark.skipif(not SPEC.exists(), reason=f"the published specification is not at {SPEC}")
def test_there_is_still_nothing_to_answer():
    """If Pinterest ever offers comments or messages, this fails, and a channel can be more."""
    paths = json.loads(SPEC.read_bytes())["paths"]
    wanted = re.compile(r"comment|message|conversation|inbox|webhook|repl(y|ies)")
    assert [] == [path for path in paths if wanted.search(path)]
