"""How fast channels read: a page or batch beside `json.loads` and bare attrs of the same fields.

The goal of 1,000 webhook bodies a second is absolute, for one core, from the signature to the
facts: it is judged by the time that a processor spent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
from harness import Goal, Result, interleave, timed

from supportflow.channels import Page
from supportflow.channels.mastodon import Mastodon
from supportflow.channels.messenger import Messenger
from supportflow.flow import Flow
from supportflow.http import Response, Webhook
from supportflow.model import ChannelState

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
STATUSES, ENTRIES, PAGES = 40, 20, 25
#: The goal: 1,000 bodies a second, as the time of one.
PER_BODY = 1 / 1000
WORDS = "My order {} has not arrived, and nobody answers. Дзе яна? Can somebody help me, please?"


@attrs.frozen
class Author:
    """Hold what a message says of its author, unchecked."""

    id: str
    name: str
    handle: str = ""


@attrs.frozen
class Message:
    """Hold the fields of a message as they come, unchecked."""

    channel: str
    kind: str
    id: str
    author: Author
    text: str
    at: object
    thread: str | None
    parent: str | None
    visibility: str
    language: str | None
    attachments: tuple[object, ...]
    permalink: str | None


@attrs.frozen
class Fact:
    """Hold what a platform reports, unchecked."""

    message: Message
    backfill: bool = False


# --- Mastodon -----------------------------------------------------------------------------

HOST = "https://social.example"
SHOP = {"id": "101", "username": "shop", "acct": "shop", "url": f"{HOST}/@shop"}


def account(number: int) -> dict[str, Any]:
    """Return an account with the fields that a server gives."""
    name = f"customer{number}"
    return {
        "id": f"20{number:04}",
        "username": name,
        "acct": f"{name}@elsewhere.example",
        "display_name": f"Customer {number}",
        "locked": False,
        "bot": False,
        "created_at": "2023-11-02T00:00:00.000Z",
        "note": "<p>I like tea.</p>",
        "url": f"https://elsewhere.example/@{name}",
        "avatar": f"{HOST}/cache/avatars/{number}.png",
        "header": f"{HOST}/headers/original/missing.png",
        "followers_count": 12,
        "following_count": 34,
        "statuses_count": 567,
        "last_status_at": "2026-03-01",
        "emojis": [],
        "fields": [],
    }


def notification(number: int) -> dict[str, Any]:
    """Return a mention of the shop, as https://docs.joinmastodon.org/entities/Notification/ has it."""
    at = f"2026-03-02T08:{number % 60:02}:00.000Z"
    mention = f'<span class="h-card"><a href="{HOST}/@shop" class="u-url mention">@<span>shop</span></a></span>'
    status = {
        "id": f"11{number:06}",
        "created_at": at,
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "sensitive": False,
        "spoiler_text": "",
        "visibility": "public",
        "language": "en",
        "uri": f"https://elsewhere.example/users/customer{number}/statuses/11{number:06}",
        "url": f"https://elsewhere.example/@customer{number}/11{number:06}",
        "replies_count": 0,
        "reblogs_count": 0,
        "favourites_count": 0,
        "edited_at": None,
        "favourited": False,
        "reblogged": False,
        "muted": False,
        "bookmarked": False,
        "content": f"<p>{mention} {WORDS.format(number)}</p>",
        "filtered": [],
        "reblog": None,
        "account": account(number),
        "media_attachments": [],
        "mentions": [SHOP],
        "tags": [],
        "emojis": [],
        "card": None,
        "poll": None,
    }
    return {
        "id": f"{number}",
        "type": "mention",
        "created_at": at,
        "group_key": f"ungrouped-{number}",
        "account": account(number),
        "status": status,
    }


PAGE = json.dumps([notification(number) for number in range(STATUSES)], ensure_ascii=False).encode()
MENTIONS, NOTHING = (Response(200, body=body, at=AT) for body in (PAGE, b"[]"))
LEARNED = {"account": "101", "app": "desk", "limit": 500, "url": 23}


def mastodon() -> Callable[[], float]:
    """Return what reads pages through the channel, and says what one took."""
    state = ChannelState("mastodon", learned=LEARNED)
    channel = Mastodon(HOST, token="a token").using(state)

    def turn() -> float:
        flows = [channel.poll('{"told":"1","own":"1"}') for _ in range(PAGES)]
        for flow in flows:
            next(flow)  # what it asks for is no part of reading
        return timed(lambda: _answered(flows.pop()), PAGES)()

    return turn


def _answered(flow: Flow[Page]) -> None:
    """Give a poll a page of mentions, and no posts of our own."""
    try:
        flow.send(MENTIONS)
        flow.send(NOTHING)
    except StopIteration as stop:
        if len(stop.value.facts) != STATUSES:
            raise RuntimeError(f"not all were read: {stop.value.unreadable[:1]}") from None


def mastodon_floor() -> list[Fact]:
    """Take the same fields as they come."""
    facts = []
    for item in json.loads(PAGE):
        status = item["status"]
        told = status["account"]
        author = Author(told["id"], told["display_name"], told["acct"])
        message = Message(
            "mastodon",
            "status",
            status["id"],
            author,
            status["content"],
            status["created_at"],
            None,
            status["in_reply_to_id"],
            status["visibility"],
            status["language"],
            tuple(status["media_attachments"]),
            status["url"],
        )
        facts.append(Fact(message))
    return facts


# --- Meta ---------------------------------------------------------------------------------


def entry(number: int) -> dict[str, Any]:
    """Return one entry of a batch, as Meta sends messages of a page."""
    event = {
        "sender": {"id": f"{number:016}"},
        "recipient": {"id": "100"},
        "timestamp": 1772442000000 + number,
        "message": {"mid": f"m_{number:060}", "text": WORDS.format(number)},
    }
    return {"id": "100", "time": 1772442000000 + number, "messaging": [event]}


def signed(entries: int, first: int = 0) -> Webhook:
    """Return a webhook as Meta signs it: beyond ASCII in escapes."""
    content = {"object": "page", "entry": [entry(first + n) for n in range(entries)]}
    body = json.dumps(content).encode()
    digest = hmac.new(b"app-secret", body, hashlib.sha256).hexdigest()
    return Webhook("POST", body, AT, {"X-Hub-Signature-256": f"sha256={digest}"})


BATCH = signed(ENTRIES)
CHANNEL = Messenger("100", token="token", app_secret="app-secret", verify_token="verify")


def messenger() -> None:
    """Read a batch through the channel."""
    facts = CHANNEL.reread(BATCH.body).facts
    if len(facts) != ENTRIES:
        raise RuntimeError(f"{len(facts)} of {ENTRIES} were read")


def messenger_floor() -> list[Fact]:
    """Take the same fields as they come."""
    facts = []
    for each in json.loads(BATCH.body)["entry"]:
        for event in each["messaging"]:
            told, sender = event["message"], event["sender"]["id"]
            message = Message(
                "messenger",
                "message",
                told["mid"],
                Author(sender, ""),
                told["text"],
                event["timestamp"],
                sender,
                None,
                "private",
                None,
                (),
                None,
            )
            facts.append(Fact(message))
    return facts


def bodies(count: int = 1_000) -> Callable[[], float]:
    """Return what proves and reads single bodies, and says what one cost a processor."""
    hooks = [signed(1, number) for number in range(count)]

    def turn() -> float:
        start = time.process_time()
        for hook in hooks:
            CHANNEL.receive(hook)
        return (time.process_time() - start) / count

    return turn


def run() -> list[Result]:
    """Measure a page, a batch, and single bodies."""
    floor = "floor: json.loads, bare attrs"
    page, batch = f"{STATUSES} mentions, a Mastodon page", f"{ENTRIES} entries, a Meta batch"
    return [
        interleave(
            page,
            {floor: timed(mastodon_floor, PAGES), "supportflow": mastodon()},
            (Goal("supportflow", floor, 3, f"{page} / json.loads, bare attrs"),),
            rounds=40,
        ),
        interleave(
            batch,
            {
                floor: timed(messenger_floor, PAGES),
                "supportflow": timed(messenger, PAGES),
                "supportflow, its signature too": timed(lambda: CHANNEL.receive(BATCH), PAGES),
            },
            (Goal("supportflow", floor, 3, f"{batch} / json.loads, bare attrs"),),
            rounds=40,
        ),
        interleave(
            "A webhook body, verified and read",
            {"1,000 a second": lambda: PER_BODY, "supportflow, processor": bodies()},
            (
                Goal(
                    "supportflow, processor",
                    "1,000 a second",
                    1,
                    "a body / a thousandth of a second",
                ),
            ),
            rounds=8,
        ),
    ]
