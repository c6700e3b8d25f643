"""PyPI's `pywa` reads what the local WhatsApp tells, and builds what our channel sends.

Not part of `make test`: `make e2e` installs the library, and runs this.
"""

import hashlib
import hmac
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import attrs
import httpx
import pytest

from supportflow.channels import NotSent, RateLimited, Refused
from supportflow.channels.whatsapp import WhatsApp
from supportflow.flow import run
from supportflow.http import Webhook
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    Edit,
    Inbound,
    Outgoing,
    Reaction,
    Removal,
    StatusReport,
    Template,
    Visibility,
)
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.whatsapp import CloudError, WhatsAppPlatform
from supportflow.transport import Transport

pywa = pytest.importorskip("pywa", reason="`make e2e` installs pywa, to compare with")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MARK = "abcdefghijklmnopqrstuv23"


@pytest.fixture
def platform():
    """Return a number whose webhooks are kept; the library sends no proof with its calls."""
    with WhatsAppPlatform(clock=FakeClock(NOON), proof_required=False) as running:
        running.deliver_to(lambda *_: 200)
        yield running


@pytest.fixture
def channel(platform):
    """Return our channel of the number."""
    return WhatsApp(**platform.credentials(), base_url=platform.url)


@pytest.fixture
def do():
    """Return a way to run flows."""
    with closing(Transport()) as transport:
        yield lambda flow: run(flow, transport.send)


@pytest.fixture
def library(platform):
    """Return the library's client, which asks the local platform in the place of Meta."""

    def elsewhere(request: httpx.Request) -> None:
        here = httpx.URL(platform.url)
        request.url = request.url.copy_with(scheme=here.scheme, host=here.host, port=here.port)
        request.headers["Host"] = f"{here.host}:{here.port}"

    given = platform.credentials()
    with httpx.Client(trust_env=False, event_hooks={"request": [elsewhere]}) as session:
        yield pywa.WhatsApp(
            given["phone_number_id"], given["token"], session=session, api_version=23.0
        )


def told(platform: WhatsAppPlatform, channel: WhatsApp) -> list[tuple[dict, tuple]]:
    """Return what every webhook says, with our facts of it; its signature is the library's too."""
    found = []
    for each in platform.hooks.deliveries:
        delivery = channel.receive(Webhook("POST", each.body, NOON, each.headers))
        assert () == delivery.unreadable
        key = platform.business.app_secret.encode()
        digest = hmac.new(key, each.body, hashlib.sha256).hexdigest()
        assert each.headers[pywa.utils.HUB_SIG] == f"sha256={digest}"
        found.append((json.loads(each.body), delivery.facts))
    return found


def test_it_reads_the_same_webhooks(platform, channel, library):
    """Words, files, answers, reactions, edits and deletions: as our facts say."""
    ola = platform.customer("ola")
    asked = ola.write("Where is it?")
    ola.write("Hello?", reply_to=asked)
    picture = {"caption": "Look", "mime_type": "image/jpeg", "sha256": "x", "id": "100"}
    ola.send("image", {**picture, "url": "https://lookaside.example/100"}, "Look")
    ola.react(asked, "👍")
    ola.edit(asked, "Where is my parcel?")
    ola.delete(asked)
    types = pywa.types
    for raw, (fact,) in told(platform, channel):
        match fact:
            case Inbound(message=message):
                shown = types.Message.from_update(library, raw)
                assert (shown.id, shown.text or shown.caption or "") == (message.id, message.text)
                assert shown.timestamp == message.at
                assert shown.from_user.wa_id == message.author.id == message.thread
                assert shown.from_user.name == message.author.name
                answered = shown.reply_to_message
                assert (answered and answered.id) == message.parent
                files = [a.url.rpartition("/")[2] for a in message.attachments]
                assert ([shown.image.id] if shown.image else []) == files
            case Reaction():
                shown = types.Message.from_update(library, raw)
                assert (shown.reaction.emoji, shown.reaction.message_id) == (fact.emoji, fact.id)
            case Edit():
                shown = types.EditedMessage.from_update(library, raw)
                assert (shown.original_message_id, shown.message.text) == (fact.id, fact.text)
                assert shown.id == fact.revision
            case Removal():
                shown = types.DeletedMessage.from_update(library, raw)
                assert shown.original_message_id == fact.id


def test_it_reads_the_same_statuses(platform, channel, library, do):
    """How far a message came, with the mark that it carried.

    Not of those that failed: Meta's of them have no `contacts` (business-scoped-user-ids), and the
    library 4.5.0 stumbles over that.
    """
    ola = platform.customer("ola")
    ola.write("Hi")
    do(channel.send(outgoing(ola.wa_id)))
    platform.deliver()
    ola.receive()
    ola.receive("read")
    reports = [(raw, f[0]) for raw, f in told(platform, channel) if isinstance(f[0], StatusReport)]
    assert ["sent", "delivered", "read"] == [fact.status for _, fact in reports]
    for raw, fact in reports:
        shown = pywa.types.MessageStatus.from_update(library, raw)
        assert (shown.id, shown.status.value, shown.tracker) == (fact.id, fact.status, fact.mark)
        assert (shown.timestamp, MARK) == (fact.at, fact.mark)


def outgoing(to: str, **fields) -> Outgoing:
    """Return an answer to a customer."""
    base = Outgoing(
        "1", MARK, "We see it.", Author(to), to, None, Visibility.private, AgentKind.person, NOON
    )
    return attrs.evolve(base, last_inbound_at=NOON - timedelta(minutes=1), **fields)


CARD = Card("Lamp", "https://shop.example/lamp", "EUR 49.90", "https://shop.example/lamp.jpg")


def test_it_builds_the_same_calls(platform, channel, library, do):
    """A text that answers, a choice, a file, a card and a template, field by field."""
    ola = platform.customer("ola")
    asked = ola.write("Hi")
    file = Attachment("file", "https://shop.example/bill.pdf", "bill.pdf")
    template = Template("hello_again", "en_US", ("Ola",))
    for fields in (
        {"reply_to": ("message", asked.wamid)},
        {"quick_replies": ("Yes", "No")},
        {"attachments": (file,)},
        {"card": CARD},
        {"template": template},
    ):
        do(channel.send(outgoing(ola.wa_id, **fields)))
    ours = [post.content for post in platform.posts]
    types, to, words = pywa.types, ola.wa_id, "We see it."
    buttons = [types.Button(title, callback_data=title) for title in ("Yes", "No")]
    link = types.URLButton("Buy", CARD.url)
    library.send_text(to, words, reply_to_message_id=asked.wamid, tracker=MARK)
    library.send_text(to, words, buttons=buttons, tracker=MARK)
    library.send_document(to, file.url, filename=file.name, caption=words, tracker=MARK)
    library.send_image(
        to, CARD.image, caption=f"{words}\nLamp\nEUR 49.90", buttons=link, tracker=MARK
    )
    params = [types.templates.BodyText.params("Ola")]
    language = types.templates.TemplateLanguage.ENGLISH_US
    library.send_template(to, "hello_again", language, params, tracker=MARK)
    found = [post.content for post in platform.posts][len(ours) :]
    assert [*map(plain, ours)] == [*map(plain, found)]


def plain(call: dict) -> dict:
    """Return a call without the two things in which the library differs, to no effect.

    It says `preview_url` where that is what Meta assumes anyway, and writes the type of a template's
    component in capitals; Meta's own examples have it small.
    """
    kept = {key: value for key, value in call.items() if value is not None}
    if "text" in kept:
        kept["text"] = {key: v for key, v in kept["text"].items() if key != "preview_url"}
    if "template" in kept:
        components = [{**c, "type": c["type"].lower()} for c in kept["template"]["components"]]
        kept["template"] = {**kept["template"], "components": components}
    return kept


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        (131047, Refused, "ReEngagementMessage"),
        (131026, Refused, "MessageUndeliverable"),
        (131048, RateLimited, "SpamRateLimitHit"),
        (131056, NotSent, "TooManyMessages"),
        (130429, RateLimited, "RateLimitHit"),
        (132001, Refused, "TemplateNotExists"),
    ],
)
def test_it_takes_codes_for_the_same(platform, channel, library, do, code, kind, name):
    """What a code is called there is what it means here."""
    ola = platform.customer("ola")
    ola.write("Hi")
    platform.refuse_next += [CloudError(code, "title", "details")] * 2
    with pytest.raises(getattr(pywa.errors, name)):
        library.send_text(ola.wa_id, "Hi")
    with pytest.raises(kind):
        do(channel.send(outgoing(ola.wa_id)))
