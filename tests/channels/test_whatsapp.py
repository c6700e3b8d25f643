"""WhatsApp: every message and status is read or kept alone, and a reply is sent once, as Meta allows it."""

import hashlib
import hmac
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from supportflow.channels import (
    Ambiguous,
    Checks,
    Delivery,
    Finds,
    Health,
    NeedsAuth,
    NotSent,
    RateLimited,
    Receives,
    Reconcile,
    Refused,
)
from supportflow.channels.meta import OutsideWindow
from supportflow.channels.whatsapp import WhatsApp
from supportflow.desk import Desk
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    TransportError,
    Unsupported,
    WebhookRejected,
    WindowClosed,
)
from supportflow.flow import run
from supportflow.http import Request, Response, Webhook
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    Edit,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Removal,
    StatusReport,
    Template,
    Visibility,
)
from supportflow.stores import RowState
from supportflow.stores.memory import MemoryStore
from supportflow.testing import ChannelContract, SendCase, WebhookCase
from supportflow.testing.channel_cases import AT, drive
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.whatsapp import WhatsAppPlatform
from supportflow.transport import Transport

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT.parent / "shared/specs/meta/business-messaging-api_v23.0.yaml"
NUMBER, ACCOUNT, OLA = "77", "88", "48123456789"
HIDDEN = "PL.13491208655302741918"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MARK = "abcdefghijklmnopqrstuv23"
SECRETS = ("t0ken-of-the-user", "s3cret-of-the-app", "v3rify-the-webhook")
PROOF = hmac.new(SECRETS[1].encode(), SECRETS[0].encode(), hashlib.sha256).hexdigest()
GRAPH = "https://graph.facebook.com/v23.0"


def whatsapp(**changes: object) -> WhatsApp:
    """Return the channel of number 77."""
    token, app_secret, verify_token = SECRETS
    given = {"token": token, "app_secret": app_secret, "verify_token": verify_token}
    return WhatsApp(NUMBER, **{"business_account_id": ACCOUNT, **given, **changes})


def sign(body: bytes) -> dict[str, str]:
    """Sign as Meta does, with nothing of the library's own."""
    digest = hmac.new(SECRETS[1].encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def said(text: str | None = "Hi", name: str = "wamid.1", **more: object) -> dict:
    """Return a message as webhooks show it."""
    words = {} if text is None else {"type": "text", "text": {"body": text}}
    base = {"from": OLA, "id": name, "timestamp": str(int(NOON.timestamp()))}
    return {**base, **words, **more}


def of(kind: str, body: object, **more: object) -> dict:
    """Return a message of another type."""
    return {**said(None), "type": kind, kind: body, **more}


def status(given: str = "sent", **more: object) -> dict:
    """Return a status of our own message."""
    base = {"id": "wamid.9", "status": given, "timestamp": str(int(NOON.timestamp()))}
    return {**base, "recipient_id": OLA, **more}


def value(**content: object) -> dict:
    """Return what a change holds, with Ola's name."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": NUMBER}
    contacts = [{"profile": {"name": "Ola"}, "wa_id": OLA}]
    return {"messaging_product": "whatsapp", "metadata": metadata, "contacts": contacts, **content}


def batch(*changes: dict, field: str = "messages", account: str = ACCOUNT) -> bytes:
    """Write a webhook as Meta does: ASCII, slashes escaped."""
    entry = {"id": account, "changes": [{"value": each, "field": field} for each in changes]}
    text = json.dumps({"object": "whatsapp_business_account", "entry": [entry]})
    return text.replace("/", "\\/").encode()


def received(body: bytes, channel: WhatsApp | None = None) -> Delivery:
    """Return what a genuine webhook gives."""
    return (channel or whatsapp()).receive(Webhook("POST", body, NOON, sign(body)))


def only(*messages: dict, field: str = "messages", **content: object) -> object:
    """Return the only fact, and prove that nothing was unreadable."""
    held = {"messages": [*messages]} if messages else {}
    delivery = received(batch(value(**held, **content), field=field))
    assert () == delivery.unreadable
    (fact,) = delivery.facts
    return fact


def unreadable(*messages: dict, field: str = "messages", **content: object) -> str:
    """Return why the only item of a webhook cannot be read."""
    held = {"messages": [*messages]} if messages else {}
    delivery = received(batch({**value(**held), **content}, field=field))
    assert () == delivery.facts
    (item,) = delivery.unreadable
    return item.why


def written(text: str = "Hi", name: str = "wamid.1", **more: object) -> Message:
    """Return a message as the channel reads it."""
    given = {"thread": OLA, "visibility": Visibility.private, **more}
    return Message("whatsapp", "message", name, Author(OLA, "Ola"), text, NOON, **given)


def outgoing(text: str = "Hello", **changes: object) -> Outgoing:
    """Return a part of a reply to Ola, a minute after she wrote."""
    base = Outgoing(
        "row-1",
        MARK,
        text,
        Author(OLA, "Ola"),
        OLA,
        ("message", "wamid.1"),
        Visibility.private,
        AgentKind.person,
        NOON,
        last_inbound_at=NOON - timedelta(minutes=1),
    )
    return attrs.evolve(base, **changes)


def posting(kind: str = "text", body: object = None, **call: object) -> Request:
    """Return the request that must be made, with Ola's message as its context."""
    sent = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": OLA,
        "type": kind,
        kind: {"body": "Hello"} if body is None else body,
        "biz_opaque_callback_data": MARK,
        "context": {"message_id": "wamid.1"},
        **call,
    }
    sent = {key: each for key, each in sent.items() if each is not None}
    headers = {"Authorization": f"Bearer {SECRETS[0]}", "Content-Type": "application/json"}
    url = f"{GRAPH}/{NUMBER}/messages?appsecret_proof={PROOF}"
    return Request("POST", url, headers, json.dumps(sent).encode(), posts=True)


def took(name: str = "wamid.9") -> Response:
    """Return the answer to a message that was accepted."""
    contacts = [{"input": OLA, "wa_id": OLA}]
    body = {"messaging_product": "whatsapp", "contacts": contacts, "messages": [{"id": name}]}
    return Response(200, body=json.dumps(body).encode(), at=AT)


def failed(code: int, details: str = "details", status: int = 400) -> Response:
    """Return an error in the Cloud API's form."""
    data = {"messaging_product": "whatsapp", "details": details}
    error = {"message": f"(#{code}) title", "type": "OAuthException", "code": code}
    return Response(
        status, body=json.dumps({"error": {**error, "error_data": data}}).encode(), at=AT
    )


def asked_for(message: Outgoing) -> dict:
    """Return the body of the only request that a message makes."""
    (request,) = drive(whatsapp().send(message), [took()]).requests
    return json.loads(request.body)


# What is given.


def test_it_is_registered():
    """The entry point leads to it, and it has the abilities that it says it has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    entry = project["entry-points"]["supportflow.channels"]["whatsapp"]
    assert f"{WhatsApp.__module__}:{WhatsApp.__name__}" == entry
    channel = whatsapp()
    assert isinstance(channel, Receives)
    assert isinstance(channel, Checks)


def test_nothing_is_looked_for():
    """No read of the API shows a message with its words or its mark: statuses prove it."""
    assert Reconcile.echo is whatsapp().traits.reconcile
    assert not isinstance(whatsapp(), Finds)


@pytest.mark.parametrize("missing", ["token", "app_secret", "verify_token", "business_account_id"])
def test_it_cannot_be_made_without_what_it_needs(missing):
    """A channel that could not prove a webhook, or not send, is refused when it is made."""
    with pytest.raises(InvalidValue):
        whatsapp(**{missing: None})


@pytest.mark.parametrize(
    "wrong",
    [{"version": "23"}, {"name": " "}, {"base_url": "ftp://x"}, {"business_account_id": "8/8"}],
)
def test_what_would_not_make_a_url_is_refused(wrong):
    """Whatever becomes part of an address is checked when the channel is made."""
    with pytest.raises(InvalidValue):
        whatsapp(**wrong)


def test_its_secrets_do_not_print():
    """Neither the token nor the other secrets stand in the representation."""
    assert not any(word in repr(whatsapp(app_id=42)) for word in SECRETS)


def test_its_setup_names_its_arguments():
    """What set-up asks for is what the class takes."""
    names = {need.name for need in WhatsApp.setup.needs}
    assert names <= attrs.fields_dict(WhatsApp).keys()
    assert whatsapp().setup.webhook


# The proof.


def test_the_handshake_is_answered():
    """Meta's GET gets its challenge back; one with another word gets nothing."""
    query = {"hub.mode": "subscribe", "hub.verify_token": SECRETS[2], "hub.challenge": "1158201444"}
    response = whatsapp().receive(Webhook("GET", b"", NOON, query=query)).response
    assert (200, b"1158201444") == (response.status, response.body)
    with pytest.raises(WebhookRejected):
        whatsapp().receive(Webhook("GET", b"", NOON, query={**query, "hub.verify_token": "no"}))


def test_a_webhook_of_another_object_or_account_is_kept():
    """What is signed by the same app and not about this account is read by nobody here."""
    with pytest.raises(PayloadError):
        received(json.dumps({"object": "page", "entry": []}).encode())
    (item,) = received(batch(value(messages=[said()]), account="99")).unreadable
    assert "not about '88'" in item.why


# What customers write.


def test_a_message_is_read():
    """Customer, name, thread, time, privacy and words, under the id that WhatsApp gave it."""
    assert Inbound(written()) == only(said())


def test_an_answer_names_what_it_answers():
    """The context's id is the parent; a forwarded message has none."""
    context = {"from": "15550783881", "id": "wamid.0"}
    assert "wamid.0" == only(said(context=context)).message.parent
    assert only(said(context={"forwarded": True})).message.parent is None


def test_a_customer_who_hides_their_number_is_known_by_the_business_own_id():
    """With a username there is no number; the scoped id takes its place, in and out."""
    message = {k: v for k, v in said(from_user_id=HIDDEN).items() if k != "from"}
    contacts = [{"profile": {"name": "Ola", "username": "ola"}, "user_id": HIDDEN}]
    fact = only(message, contacts=contacts)
    assert (HIDDEN, Author(HIDDEN, "Ola")) == (fact.message.thread, fact.message.author)
    call = asked_for(outgoing(to=Author(HIDDEN)))
    assert HIDDEN == call["recipient"]
    assert "to" not in call


def test_a_number_is_preferred_where_it_is_told():
    """With both, the thread of the number goes on."""
    assert OLA == only(said(from_user_id=HIDDEN)).message.thread


@pytest.mark.parametrize(
    ("message", "text", "attachments"),
    [
        (
            of("image", {"caption": "Broken", "mime_type": "image/jpeg", "id": "100"}),
            "Broken",
            [Attachment("image", f"{GRAPH}/100")],
        ),
        (
            of("document", {"filename": "bill.pdf", "id": "1/2"}),
            "",
            [Attachment("file", f"{GRAPH}/1%2F2", "bill.pdf")],
        ),
        (of("audio", {"id": "1", "voice": True}), "", [Attachment("audio", f"{GRAPH}/1")]),
        (
            of(
                "location",
                {"latitude": 1.5, "longitude": 2, "name": "Shop", "url": "https://x.example"},
            ),
            "",
            [Attachment("location", "https://x.example", "Shop")],
        ),
        (
            of("location", {"latitude": 1.5, "longitude": 2}),
            "",
            [Attachment("location", "", "1.5, 2")],
        ),
        (
            of("contacts", [{"name": {"formatted_name": "Ben B"}}, {}]),
            "",
            [Attachment("contact", "", "Ben B"), Attachment("contact", "")],
        ),
        (of("button", {"payload": "YES", "text": "Yes"}), "Yes", []),
        (
            of("interactive", {"type": "button_reply", "button_reply": {"id": "1", "title": "No"}}),
            "No",
            [],
        ),
        (
            of("interactive", {"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent"}}),
            "Sent",
            [],
        ),
        (
            of(
                "order",
                {
                    "text": "Please",
                    "product_items": [{"product_retailer_id": "lamp", "quantity": 2}],
                },
            ),
            "Please",
            [Attachment("product", "", "2 x lamp")],
        ),
        (
            of(
                "unsupported",
                {"type": "edit"},
                errors=[{"code": 131051, "title": "Message type unknown"}],
            ),
            "",
            [Attachment("unsupported", "", "131051 Message type unknown")],
        ),
    ],
)
def test_whatever_was_said_is_read(message, text, attachments):
    """Words in all their places; files listed by where they can be asked for, and not fetched."""
    found = only(message).message
    assert (text, tuple(attachments)) == (found.text, found.attachments)
    assert found.raw


def test_what_the_platform_says_of_a_customer_is_passed_over():
    """A changed number and an opened chat are nobody's words."""
    for kind in ("system", "request_welcome"):
        assert Delivery(response=Response(200, at=NOON)) == received(
            batch(value(messages=[of(kind, {"body": "User changed"})]))
        )


def test_a_reaction_is_read_and_taken_back():
    """The emoji, or nothing where it was taken back."""
    body = {"message_id": "wamid.9", "emoji": "👍"}
    fact = only(of("reaction", body))
    assert Reaction("whatsapp", "message", "wamid.9", Author(OLA, "Ola"), "👍", NOON) == fact
    assert "" == only(of("reaction", {"message_id": "wamid.9"})).emoji


def test_edits_and_deletions_are_read():
    """As told where the number is in the WhatsApp Business app too: words, captions, and all."""
    inner = {"type": "text", "text": {"body": "Ho"}}
    fact = only(of("edit", {"original_message_id": "wamid.0", "message": inner}))
    assert Edit("whatsapp", "message", "wamid.0", "wamid.1", "Ho", NOON) == fact
    inner = {"type": "image", "image": {"caption": "Ho", "id": "1"}}
    assert "Ho" == only(of("edit", {"original_message_id": "wamid.0", "message": inner})).text
    fact = only(of("revoke", {"original_message_id": "wamid.0"}))
    assert Removal("whatsapp", "message", "wamid.0", NOON) == fact


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (of("poll", {"question": "?"}), "type 'poll'"),
        (of("text", {}), "body is None"),
        (said(group_id="g"), "in a group"),
        (said(timestamp="soon"), "time"),
        (said(type="image"), "image is NoneType"),
        ({k: v for k, v in said().items() if k != "from"}, "from_user_id is None"),
    ],
)
def test_what_is_not_known_is_kept(message, why):
    """Nothing vanishes: what cannot be read goes into quarantine and says why."""
    assert why in unreadable(message)


def test_a_bad_message_leaves_its_neighbours():
    """Messages and statuses of one change are read one by one, and kept alone if they cannot be."""
    bad = of("poll", {"question": "?"}, id="wamid.bad")
    bad["id"] = "wamid.bad"
    ben = said("Ho", "wamid.2", **{"from": "48999"})
    contacts = [
        {"profile": {"name": "Ola"}, "wa_id": OLA},
        {"profile": {"name": "Ben"}, "wa_id": "48999"},
    ]
    body = batch(value(contacts=contacts, messages=[said(), bad, ben], statuses=[status()]))
    delivery = received(body)
    names = [f.message.author.name for f in delivery.facts if isinstance(f, Inbound)]
    assert (["Ola", "Ben"], 3) == (names, len(delivery.facts))
    (item,) = delivery.unreadable
    assert b"wamid.bad" in item.raw
    assert b"wamid.2" not in item.raw
    mended = item.raw.replace(
        b'"type":"poll","poll":{"question":"?"}', b'"type":"text","text":{"body":"?"}'
    )
    (fact,) = whatsapp().reread(mended).facts
    assert ("?", "Ola") == (fact.message.text, fact.message.author.name)


def test_what_is_kept_does_not_hold_the_whole_batch_many_times():
    """A genuine megabyte of bad messages and a long list of contacts stay near a megabyte."""
    contacts = [{"profile": {"name": "x" * 200}, "wa_id": str(n)} for n in range(1500)]
    bad = [{"id": str(n), "type": "poll", "from": "1"} for n in range(1500)]
    around = {**value(contacts=contacts, messages=bad), "padding": "x" * 300_000}
    delivery = received(batch(around))
    assert 1500 == len(delivery.unreadable)
    assert 2_000_000 > sum(len(item.raw) for item in delivery.unreadable)


@pytest.mark.parametrize("long", [{"field": "x" * 300}, {"number": "7" * 300}, {"number": None}])
def test_a_change_that_is_not_as_documented_is_kept_whole(long):
    """Whatever would be repeated for each of its members is short, or nothing is taken apart."""
    about = value(messages=[said(), said("Ho", "wamid.2")])
    if "number" in long:
        about["metadata"]["phone_number_id"] = long["number"]
    delivery = received(batch(about, field=long.get("field", "messages")))
    assert ((), 1) == (delivery.facts, len(delivery.unreadable))


def test_a_name_that_is_too_long_is_left_out_of_a_large_batch():
    """The message itself is read."""
    contacts = [{"profile": {"name": "x" * 300}, "wa_id": OLA}]
    body = batch(value(contacts=contacts, messages=[said(), said("Ho", "wamid.2")]))
    assert ["", ""] == [fact.message.author.name for fact in received(body).facts]


def test_another_number_is_another_channel():
    """What is about another number of the account goes into quarantine."""
    assert "about number 78" in unreadable(said(), metadata={"phone_number_id": "78"})


def test_changes_without_words_are_passed_over_and_others_kept():
    """News of templates and of the account say nothing to a customer's conversation."""
    news = {"event": "APPROVED", "message_template_name": "hello"}
    for field in ("message_template_status_update", "account_update", "user_preferences"):
        assert ((), ()) == attrs.astuple(received(batch(news, field=field)), recurse=False)[:2]
    assert "nothing is known here" in unreadable(said(), field="history")
    assert "nothing is known here" in unreadable(field="messages")


def test_an_error_that_whatsapp_reports_is_shown():
    """It is about no message; a person must see it."""
    errors = [{"code": 130429, "title": "Rate limit hit", "error_data": {"details": "Too many"}}]
    assert "130429 Rate limit hit: Too many" in unreadable(errors=errors)


# What became of our own.


def test_a_status_brings_back_the_mark():
    """So a reply whose answer was lost is proved, whichever status comes first."""
    fact = only(statuses=[status(biz_opaque_callback_data=MARK)])
    assert StatusReport("whatsapp", "wamid.9", "sent", NOON, "", MARK) == fact
    assert only(statuses=[status(biz_opaque_callback_data="another app's")]).mark is None
    assert only(statuses=[status()]).mark is None


@pytest.mark.parametrize(
    ("given", "told"), [("delivered", "delivered"), ("read", "read"), ("played", "read")]
)
def test_how_far_a_message_came(given, told):
    """A voice message that was played has been read."""
    assert told == only(statuses=[status(given)]).status


def test_why_a_message_did_not_arrive():
    """Code, title and details, in Meta's words."""
    error = {
        "code": 131047,
        "title": "Re-engagement message",
        "error_data": {"details": "24 hours"},
    }
    fact = only(statuses=[status("failed", errors=[error])])
    assert ("failed", "131047 Re-engagement message: 24 hours") == (fact.status, fact.reason)


def test_a_status_that_is_not_known_is_kept():
    """A new one is somebody's to look at."""
    assert "'warning'" in unreadable(statuses=[status("warning")])


def test_an_answer_in_the_business_app_is_native():
    """Words, edits and deletions of staff; their reactions say nothing."""

    def echo(content: dict) -> Delivery:
        told = {**content, "from": "15550783881", "to": f"+{OLA}"}
        return received(batch(value(message_echoes=[told]), field="smb_message_echoes"))

    (fact,) = echo(said("Hello")).facts
    assert isinstance(fact, Outbound)
    assert (OLA, None, OLA) == (fact.customer, fact.mark, fact.message.thread)
    (edit,) = echo(
        of(
            "edit",
            {"original_message_id": "wamid.0", "message": {"type": "text", "text": {"body": "Ho"}}},
        )
    ).facts
    assert isinstance(edit, Edit)
    assert () == echo(of("reaction", {"message_id": "wamid.9", "emoji": "👍"})).facts


# What goes out.


def test_a_reply_carries_its_mark_and_its_context():
    """The exact call, with the proof that it is ours, and nothing in the URL that is secret."""
    driven = drive(whatsapp().send(outgoing()), [took()])
    expected = posting()
    (request,) = driven.requests
    assert (expected.url, True) == (request.url, request.posts)
    assert json.loads(expected.body) == json.loads(request.body)
    assert Receipt("wamid.9", AT) == driven.result


CARD = Card("Lamp", "https://shop.example/lamp", "EUR 49.90", "https://shop.example/lamp.jpg")
FILE = Attachment("image", "https://shop.example/a.jpg")


def test_a_card_is_a_picture_with_a_button():
    """Title and price follow the words; the button leads to the shop."""
    shown = asked_for(outgoing("This:", card=CARD))["interactive"]
    assert {"type": "image", "image": {"link": CARD.image}} == shown["header"]
    assert "This:\nLamp\nEUR 49.90" == shown["body"]["text"]
    assert {"display_text": "Buy", "url": CARD.url} == shown["action"]["parameters"]
    assert (
        "header"
        not in asked_for(outgoing("This:", card=attrs.evolve(CARD, image="")))["interactive"]
    )


def test_quick_replies_are_buttons():
    """Three at most, which come back by their words."""
    shown = asked_for(outgoing(quick_replies=("Yes", "No")))["interactive"]
    buttons = [{"type": "reply", "reply": {"id": t, "title": t}} for t in ("Yes", "No")]
    assert ("button", {"buttons": buttons}) == (shown["type"], shown["action"])


def test_files_are_sent_by_their_address():
    """WhatsApp fetches them; a document keeps its name."""
    call = asked_for(outgoing(attachments=(FILE,)))
    assert {"link": FILE.url, "caption": "Hello"} == call["image"]
    file = Attachment("file", "https://shop.example/a.pdf", "bill.pdf")
    call = asked_for(outgoing(attachments=(file,)))
    assert {"link": file.url, "caption": "Hello", "filename": "bill.pdf"} == call["document"]


def test_a_template_is_sent_in_the_place_of_words():
    """Whenever: it needs no window, and answers no message."""
    template = Template("hello_again", "en_US", ("Ola",))
    call = asked_for(outgoing(template=template, last_inbound_at=NOON - timedelta(days=9)))
    values = [{"type": "text", "text": "Ola"}]
    components = [{"type": "body", "parameters": values}]
    expected = {"name": "hello_again", "language": {"code": "en_US"}, "components": components}
    assert (expected, False) == (call["template"], "context" in call)
    assert (
        "components"
        not in asked_for(outgoing(template=attrs.evolve(template, values=())))["template"]
    )


def test_after_the_window_there_is_only_a_template():
    """Nothing is asked; the error says what is still possible."""
    late = outgoing(last_inbound_at=NOON - timedelta(hours=24))
    with pytest.raises(WindowClosed, match="a template") as error:
        next(whatsapp().send(late))
    assert "a template" in error.value.possible
    assert next(whatsapp().send(outgoing(last_inbound_at=None))).posts


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "a" * 4097},
        {"text": " "},
        {"visibility": Visibility.public},
        {"to": Author("ola@example.social")},
        {"text": "a" * 1025, "quick_replies": ("Yes",)},
        {"quick_replies": ("Yes", "No", "Perhaps", "Later")},
        {"quick_replies": ("a" * 21,)},
        {"quick_replies": ("Yes", "Yes")},
        {"quick_replies": ("Yes",), "card": CARD},
        {"card": attrs.evolve(CARD, button="a" * 21)},
        {"card": attrs.evolve(CARD, url="javascript:1")},
        {"card": CARD, "text": "a" * 1020},
        {"attachments": (FILE, FILE)},
        {"attachments": (attrs.evolve(FILE, kind="audio"),)},
        {"attachments": (attrs.evolve(FILE, url="http://shop.example/a.jpg"),)},
        {"attachments": (attrs.evolve(FILE, url="https://x.example/" + "a" * 2048),)},
        {"attachments": (FILE,), "text": "a" * 1025},
        {"template": Template("Hello!", "en_US")},
        {"template": Template("hello", "english")},
        {"template": Template("hello", "en", ("",))},
        {"template": Template("hello", "en"), "card": CARD},
    ],
)
def test_what_whatsapp_cannot_express_is_refused_at_once(changes):
    """Nothing is asked, and nothing is left out in silence."""
    with pytest.raises(Unsupported):
        next(whatsapp().send(outgoing(**changes)))


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (failed(131047), OutsideWindow),
        (failed(131026), Refused),
        (failed(131056), NotSent),
        (failed(131057, status=500), NotSent),
        (failed(130429, status=429), RateLimited),
        (failed(131048), RateLimited),
        (failed(132001), Refused),
        (failed(132015), Refused),
        (failed(131000, status=500), Ambiguous),
        (failed(131016, status=400), Ambiguous),
        (failed(135000), Ambiguous),
        (failed(0, status=401), NeedsAuth),
        (failed(190, status=401), NeedsAuth),
        (failed(131031), NeedsAuth),
        (failed(133010), NeedsAuth),
        (failed(999999), Refused),
        (failed(999999, status=500), Ambiguous),
        (Response(200, body=b'{"messages": []}', at=AT), Ambiguous),
        (Response(200, body=b'{"messages": [7]}', at=AT), Ambiguous),
        (TransportError("lost", sent=None), Ambiguous),
        (TransportError("no", sent=False), NotSent),
    ],
)
def test_every_code_means_what_it_means(response, kind):
    """The code tells, not the status; what only says that something went wrong is in doubt."""
    error = drive(whatsapp().send(outgoing()), [response]).error
    assert kind is type(error), repr(error)


def test_a_pause_for_quality_is_longer():
    """Throughput is over in a minute; a restriction is not, and asking on makes it worse."""
    waits = {}
    for code in (130429, 131048, 131064):
        error = drive(whatsapp().send(outgoing()), [failed(code)]).error
        waits[code] = error.until - AT
    assert {130429: 1, 131048: 60, 131064: 60} == {
        c: w // timedelta(minutes=1) for c, w in waits.items()
    }


def test_no_error_shows_a_secret():
    """Not where Meta repeats it."""
    for code in (131026, 999999):
        driven = drive(whatsapp().send(outgoing()), [failed(code, " ".join(SECRETS))])
        shown = f"{driven.error} {driven.error!r} {driven.requests!r}"
        assert not any(secret in shown for secret in SECRETS)


# On a desk.


@pytest.fixture
def platform() -> Iterator[WhatsAppPlatform]:
    """Return a number on loopback."""
    with WhatsAppPlatform(clock=FakeClock()) as running:
        yield running


def connected(platform: WhatsAppPlatform, **changes: object) -> WhatsApp:
    """Return the channel of a platform's number."""
    return WhatsApp(**{**platform.credentials(), **changes}, base_url=platform.url)


def desk_for(platform: WhatsAppPlatform, clock: FakeClock) -> Desk:
    """Return a desk that takes the platform's webhooks."""
    desk = Desk(MemoryStore(clock), [connected(platform)], clock=clock)

    def take(method, headers, query, body):
        answer = desk.receive("whatsapp", Webhook(method, body, platform.now(), headers, query))
        return answer.status, answer.body

    platform.deliver_to(take)
    return desk


def test_a_lost_answer_is_proved_by_its_status():
    """The status comes with our mark: it is the receipt, and nothing is sent twice."""
    clock = FakeClock()
    with WhatsAppPlatform(clock=clock) as platform, desk_for(platform, clock) as desk:
        assert platform.handshake()
        platform.customer("ola").write("Where is it?")
        (asked,) = desk.inbox(unanswered=True)
        platform.fault_next("response_lost", match="POST *")
        desk.reply(asked.id, "It comes tomorrow.", agent="anna")
        assert 1 == desk.deliver().unknown
        platform.deliver()
        assert [RowState.sent] == [row.state for row in desk.outbox()]
        assert platform.posts[0].wamid == desk.outbox()[0].remote_id
        desk.deliver()
        assert 1 == len(platform.posts)


def test_a_reply_that_never_tells_is_left_to_a_person():
    """Without a status nobody knows; it is not sent again."""
    clock = FakeClock()
    with WhatsAppPlatform(clock=clock) as platform, desk_for(platform, clock) as desk:
        platform.customer("ola").write("Where is it?")
        (asked,) = desk.inbox(unanswered=True)
        platform.fault_next("status_never", match="POST *")
        platform.fault_next("error_after", match="POST *")
        desk.reply(asked.id, "It comes tomorrow.", agent="anna")
        desk.deliver()
        for _ in range(30):
            clock.advance(minutes=1)
            desk.deliver()
        assert len(platform.posts) <= 1


def test_a_closed_window_needs_a_template():
    """The desk refuses words after a day, and sends what Meta has approved."""
    clock = FakeClock()
    with WhatsAppPlatform(clock=clock) as platform, desk_for(platform, clock) as desk:
        platform.customer("ola").write("Where is it?")
        (asked,) = desk.inbox(unanswered=True)
        clock.advance(minutes=25 * 60)
        with pytest.raises(WindowClosed):
            desk.reply(asked.id, "It is here.", agent="anna")
        template = Template("hello_again", "en_US", ("Ola",))
        desk.reply(asked.id, "Hello again, Ola.", agent="anna", template=template)
        assert 1 == desk.deliver().sent
        assert ["hello_again"] == [post.text for post in platform.posts]


def test_an_answer_in_the_app_is_taken_for_one():
    """Staff who answer in the WhatsApp Business app stop the clock."""
    clock = FakeClock()
    with WhatsAppPlatform(clock=clock) as platform, desk_for(platform, clock) as desk:
        ola = platform.customer("ola")
        ola.write("Where is it?")
        platform.staff(ola, "It comes tomorrow.")
        assert () == tuple(desk.inbox(unanswered=True))


def test_edits_deletions_and_statuses_reach_the_conversation():
    """What the customer changes and takes back, and how far our answer came."""
    clock = FakeClock()
    with WhatsAppPlatform(clock=clock) as platform, desk_for(platform, clock) as desk:
        ola = platform.customer("ola")
        question = ola.write("Where is it?")
        (asked,) = desk.inbox(unanswered=True)
        desk.reply(asked.id, "It comes tomorrow.", agent="anna")
        desk.deliver()
        platform.deliver()
        ola.receive("read")
        ola.edit(question, "Where is my parcel?")
        ola.delete(question)
        kinds = {type(recorded.event).__name__ for recorded in desk.history(asked.id)}
        assert {"Edited", "Told", "Deleted", "Reported"} <= kinds
        assert () == tuple(desk.quarantine())


def test_the_longest_text_is_taken_by_both(platform):
    """What just fits is sent whole; one more is refused before anything is asked."""
    ola = platform.customer("ola")
    ola.write("Hi")
    transport, to = Transport(), {"to": Author(ola.wa_id), "reply_to": None}
    run(connected(platform).send(outgoing("a" * 4096, **to)), transport.send)
    with pytest.raises(Unsupported, match="4097 characters"):
        run(connected(platform).send(outgoing("a" * 4097, **to)), transport.send)
    transport.close()
    assert ["a" * 4096] == [post.text for post in platform.posts]


# Health.


@pytest.fixture(scope="module")
def checked():
    """Return a function that says how a channel is."""
    transport = Transport()
    yield lambda channel: run(channel.check(), transport.send)
    transport.close()


def test_health(platform, checked):
    """All is well; without the app's id the fields of the webhook stay unknown."""
    assert Health(ok=True) == checked(connected(platform))
    health = checked(connected(platform, app_id=None))
    assert health.ok
    assert "without app_id" in health.notes[0]


def test_health_says_what_is_missing(platform, checked):
    """A wrong id, a number that is not connected, subscriptions, quality, and the token."""
    assert "has no number 55" in checked(connected(platform, phone_number_id="55")).problems[0]
    platform.state, platform.quality = "RESTRICTED", "RED"
    health = checked(connected(platform))
    assert "is RESTRICTED" in health.problems[0]
    assert "is RED" in health.notes[0]
    platform.state, platform.quality = "CONNECTED", "GREEN"
    platform.app_subscribed = False
    assert "POST /102290129340398/subscribed_apps" in checked(connected(platform)).problems[0]
    platform.app_subscribed = True
    platform.subscribed.discard("smb_message_echoes")
    assert "answers in the app" in checked(connected(platform)).notes[0]
    platform.subscribed.clear()
    assert "not subscribed to messages" in checked(connected(platform)).problems[0]
    wrong = checked(connected(platform, app_secret="another"))
    assert "app_secret is not that of the token's app" in wrong.problems[0]
    platform.token = None
    assert "make a system user's token" in checked(connected(platform, token="gone")).problems[0]


def test_health_of_a_platform_that_is_away():
    """What cannot be asked is no good health."""
    driven = drive(whatsapp().check(), [TransportError("away", sent=False)])
    assert "no usable answer" in driven.result.problems[0]


# Meta's own examples.


def examples(path: str) -> dict:
    """Return Meta's examples of what is sent to a path, by their names."""
    yaml = pytest.importorskip("yaml", reason="Meta's description is YAML")
    if not SPEC.exists():
        pytest.skip(f"Meta's description is not at {SPEC}")
    part = re.compile(rf"^  {re.escape(path)}:\n(?:    .*\n|\n)*", re.MULTILINE)
    (text,) = part.findall(SPEC.read_text("utf-8"))
    post = yaml.safe_load(text)[path]["post"]
    shown = post["requestBody"]["content"]["application/json"]["examples"]
    return {name: each["value"] for name, each in shown.items()}


def test_metas_examples_of_webhooks_are_read():
    """Each of the 16 is read, or passed over because it is about a group; none is unreadable."""
    webhooks = examples("/whatsapp/webhooks")
    assert 16 == len(webhooks)
    facts = {}
    for name, content in webhooks.items():
        (entry,) = content["entry"]
        number = entry["changes"][0]["value"]["metadata"]["phone_number_id"]
        channel = attrs.evolve(whatsapp(), phone_number_id=number, business_account_id=entry["id"])
        delivery = received(json.dumps(content).encode(), channel)
        assert () == delivery.unreadable, name
        facts[name] = delivery.facts
    silent = {name for name, found in facts.items() if not found}
    assert {name for name in facts if name.startswith("Group")} | {"System Message"} == silent
    assert isinstance(facts["Reaction Message"][0], Reaction)
    text = facts["Text Message"][0].message
    assert ("Does it come in another color?", "Sheena Nelson") == (text.text, text.author.name)
    first = {name: found[0] for name, found in facts.items() if found}
    words = {n: fact.message.text for n, fact in first.items() if isinstance(fact, Inbound)}
    assert "Unsubscribe" == words["Button Message"]
    assert "Cancel" == words["Interactive Button Reply Message"]
    assert "Taj Mahal" == words["Image Message"]


def shape(value: object, path: str = "") -> set[str]:
    """Return the path of every field of a call, without the indexes of lists."""
    if isinstance(value, dict):
        return {
            p
            for key, each in value.items()
            for p in {f"{path}.{key}", *shape(each, f"{path}.{key}")}
        }
    if isinstance(value, list):
        return {p for each in value for p in shape(each, path)}
    return set()


def test_calls_have_the_shape_of_metas_examples():
    """Every field that is sent stands in one of the 50 examples of its type, beside the mark."""
    calls = examples("/{Version}/{Phone-Number-ID}/messages")
    assert 50 == len(calls)
    known = set().union(*map(shape, calls.values()))
    template = Template("hello_again", "en_US", ("Ola",))
    document = Attachment("file", "https://shop.example/a.pdf", "bill.pdf")
    sent = [
        outgoing(),
        outgoing(quick_replies=("Yes", "No")),
        outgoing(attachments=(document,)),
        outgoing(template=template),
    ]
    for message in sent:
        extra = shape(asked_for(message)) - known
        assert {".biz_opaque_callback_data"} == extra, message


# The contract.


class TestWhatsApp(ChannelContract):
    """Prove the contract of every channel."""

    @pytest.fixture
    def channel(self):
        """Return the channel of number 77."""
        return whatsapp()

    @pytest.fixture
    def sign(self):
        """Return Meta's signature of a body."""
        return sign

    @pytest.fixture
    def inbound_cases(self):
        """Return one change of every kind of message, one of statuses, and one of echoes."""
        inner = {"type": "text", "text": {"body": "Ho"}}
        messages = [
            said(),
            of("image", {"caption": "Broken", "id": "100"}, context={"id": "wamid.0"}),
            of("reaction", {"message_id": "wamid.9", "emoji": "👍"}),
            of("edit", {"original_message_id": "wamid.1", "message": inner}),
            of("revoke", {"original_message_id": "wamid.1"}),
            of("order", {"text": "Please", "product_items": [{"product_retailer_id": "lamp"}]}),
            of("contacts", [{"name": {"formatted_name": "Ben"}}]),
        ]
        errors = [{"code": 131026, "title": "Undeliverable", "error_data": {"details": "No."}}]
        statuses = [
            status(biz_opaque_callback_data=MARK),
            status("delivered"),
            status("failed", errors=errors),
        ]
        echoes = [
            {**said("Hello", "wamid.7"), "from": "15550783881", "to": OLA},
            {**of("revoke", {"original_message_id": "wamid.7"}), "from": "15550783881", "to": OLA},
        ]
        cases = []
        for name, content, field in (
            ("messages", messages, "messages"),
            ("statuses", statuses, "messages"),
            ("message_echoes", echoes, "smb_message_echoes"),
        ):
            body = batch(value(**{name: content}), field=field)
            facts = received(body).facts
            assert len(content) == len(facts)
            path = ("entry", 0, "changes", 0, "value", name)
            cases.append(WebhookCase(name, body, facts, path))
        assert Inbound(written()) == cases[0].facts[0]
        return cases

    @pytest.fixture
    def send_cases(self):
        """Return one of everything that can be sent, and what Meta refuses in its own way."""
        taken = (took(),), Receipt("wamid.9", AT)
        template = Template("hello_again", "en_US")
        named = {"name": "hello_again", "language": {"code": "en_US"}}
        buttons = [{"type": "reply", "reply": {"id": "Yes", "title": "Yes"}}]
        choice = {"type": "button", "body": {"text": "Hello"}, "action": {"buttons": buttons}}
        card = {
            "type": "cta_url",
            "header": {"type": "image", "image": {"link": CARD.image}},
            "body": {"text": "This:\nLamp\nEUR 49.90"},
            "action": {"name": "cta_url", "parameters": {"display_text": "Buy", "url": CARD.url}},
        }
        file = posting("image", {"link": FILE.url, "caption": "Hello"})
        return [
            SendCase("a text", outgoing(), (posting(),), *taken),
            SendCase(
                "a template",
                outgoing(template=template),
                (posting("template", named, context=None),),
                *taken,
            ),
            SendCase("a file", outgoing(attachments=(FILE,)), (file,), *taken),
            SendCase(
                "a choice",
                outgoing(quick_replies=("Yes",)),
                (posting("interactive", choice),),
                *taken,
            ),
            SendCase(
                "a card", outgoing("This:", card=CARD), (posting("interactive", card),), *taken
            ),
            SendCase("a closed window", outgoing(), (posting(),), (failed(131047),), Refused),
            SendCase(
                "a bad token", outgoing(), (posting(),), (failed(190, status=401),), NeedsAuth
            ),
            SendCase("too fast", outgoing(), (posting(),), (failed(130429),), RateLimited),
        ]
