"""Extending a built-in channel: the script runs, and the subclass keeps the whole contract."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from supportflow.channels.mastodon import Mastodon
from supportflow.http import Request, Response
from supportflow.model import (
    AgentKind,
    Author,
    ChannelState,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    Visibility,
)
from supportflow.testing import ChannelContract, PageCase, SendCase, drive

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "extended_channel.py"
AT, HOST = ChannelContract.at, "https://social.example"
HEADERS = {"Authorization": "Bearer t0ken", "Accept": "application/json"}
OLA = {"id": "102", "acct": "ola", "display_name": "Ola"}
SHOP = {"id": "101", "acct": "shop", "display_name": "Shop"}
CURSOR = '{"told":"1","own":"1"}'


def module():
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("extended_channel", SCRIPT)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


SIGNED = module().SignedMastodon


def signed(**options) -> Mastodon:
    """Return the channel as it is after it learned about its server."""
    learned = {"account": "101", "app": "desk", "limit": 500, "url": 23}
    channel = SIGNED(HOST, token="t0ken", person="— Anna", bot="— a bot", **options)
    return channel.using(ChannelState("mastodon", learned=learned))


def post(number: str, account: dict, words: str, **more) -> dict:
    """Return a post as the server shows it."""
    return {
        "id": number,
        "created_at": AT.isoformat(),
        "visibility": "public",
        "content": f"<p>{words}</p>",
        "account": account,
        "mentions": [],
        "media_attachments": [],
        **more,
    }


def answer(content: object) -> Response:
    """Return an answer in JSON."""
    return Response(200, body=json.dumps(content).encode(), at=AT)


def below(*posts: dict) -> Response:
    """Return a thread."""
    return answer({"ancestors": [], "descendants": [*posts]})


def outgoing(text: str = "Sorry!", by: AgentKind = AgentKind.person) -> Outgoing:
    """Return an answer to Ola's post."""
    to = Author("102", "Ola", "ola")
    public = Visibility.public
    return Outgoing("row", "mark", text, to, "1", ("status", "1"), public, by, AT, language="en")


class TestSignedMastodon(ChannelContract):
    """The subclass keeps what every channel promises, its room for words included."""

    @pytest.fixture
    def channel(self) -> Mastodon:
        """Return the channel."""
        return signed()

    @pytest.fixture
    def inbound_cases(self) -> list[PageCase]:
        """Return a page of two mentions, and one of an answer that staff typed in the app."""
        items = [
            {
                "id": number,
                "type": "mention",
                "created_at": AT.isoformat(),
                "status": post(number, OLA, "Cold tea!"),
            }
            for number in ("3", "2")  # the newest first
        ]
        facts = tuple(
            Inbound(
                Message(
                    "mastodon",
                    "status",
                    item["id"],
                    Author("102", "Ola", "ola"),
                    "Cold tea!",
                    AT,
                    raw=json.dumps(item),
                )
            )
            for item in reversed(items)
        )
        typed = {"in_reply_to_id": "1", "in_reply_to_account_id": "102"}
        native = post("4", SHOP, "Native", application={"name": "Web"}, **typed)
        shop, raw = Author("101", "Shop", "shop"), json.dumps(native)
        said = Message("mastodon", "status", "4", shop, "Native", AT, parent="1", raw=raw)
        return [
            PageCase("mentions", (answer(items), answer([])), facts, CURSOR, items=()),
            PageCase("staff", (answer([]), answer([native])), (Outbound(said, "102"),), CURSOR),
        ]

    @pytest.fixture
    def send_cases(self) -> list[SendCase]:
        """Return a person's answer and a bot's, each found with its own signature, and news."""
        older = answer([post("0", SHOP, "Long ago", created_at="2026-01-01T00:00:00Z")])
        answers = [
            SendCase(
                f"a {by}'s answer",
                outgoing(by=by),
                (Request("GET", f"{HOST}/api/v1/statuses/1", HEADERS), self.posted(signature)),
                (answer(post("1", OLA, "Cold tea!")), answer(post("9", SHOP, "Sorry!"))),
                Receipt("9", AT),
                found=(below(post("9", SHOP, f"@ola Sorry! {signature}", in_reply_to_id="1")),),
                absent=(below(post("8", SHOP, "@ola Sorry!", in_reply_to_id="1")), older),
            )
            for by, signature in ((AgentKind.person, "— Anna"), (AgentKind.bot, "— a bot"))
        ]
        took, sent = (answer(post("9", SHOP, "Sorry!")),), Receipt("9", AT)
        news = attrs.evolve(outgoing(), reply_to=None, to=Author("", "", ""))
        alone = attrs.evolve(outgoing(), reply_to=None, visibility=Visibility.private)
        public = self.posted("— Anna", "Sorry!", "public", to=None)
        direct = self.posted("— Anna", "@ola Sorry!", "direct", to=None)
        return [
            *answers,
            SendCase("news", news, (public,), took, sent),
            SendCase("to Ola alone", alone, (direct,), took, sent),
        ]

    def posted(
        self,
        signature: str,
        words: str = "@ola Sorry!",
        width: str = "public",
        to: str | None = "1",
    ) -> Request:
        """Return the request that posts the signed words."""
        fields = {"status": f"{words}\n\n{signature}", "visibility": width, "language": "en"}
        fields |= {"in_reply_to_id": to} if to else {}
        headers = {**HEADERS, "Content-Type": "application/json", "Idempotency-Key": "mark"}
        body = json.dumps(fields).encode()
        return Request("POST", f"{HOST}/api/v1/statuses", headers, body, posts=True)


def test_the_script_runs(script: Callable[[str], list[str]]) -> None:
    """Two voices, a lost confirmation that is found, a text without room: all as it says."""
    voices, counted, lost, found, refused = script(SCRIPT.name)
    assert r"@ola It comes tomorrow.\n\n— the people at Example Shop" in voices
    assert "counted: [('bot', 1), ('person', 1)]" == counted
    assert "unknown=1" in lost
    assert "sent=1" in found
    assert "over the channel's limit of 438" in refused


def test_the_longest_signature_is_kept_room_for() -> None:
    """Whoever writes, their words and their signature fit together."""
    plain = Mastodon(HOST, token="t0ken").traits.max_text
    assert plain - len("\n\n— a bot") == signed().traits.max_text


def test_only_receipts_are_counted() -> None:
    """What was refused, or may be lost, is not counted as posted."""
    counts: list[str] = []
    parent = answer(post("1", OLA, "Cold tea!"))
    for last in (answer(post("9", SHOP, "Sorry!")), Response(422, at=AT), Response(500, at=AT)):
        drive(signed(posted=counts.append).send(outgoing()), [parent, last])
    assert ["person"] == counts


def test_it_is_still_a_value() -> None:
    """Two that are configured alike are equal; what counts is part of the configuration."""
    assert signed() == signed()
    assert signed() != attrs.evolve(signed(), posted=print)
