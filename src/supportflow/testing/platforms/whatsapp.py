"""WhatsApp's Cloud API on loopback: one number of a business, with its customers.

It refuses what Meta refuses, delivers signed webhooks and alone knows what was really sent
(`posts`). People act through `customer(name)`, staff in the WhatsApp Business app through `staff`::

    with WhatsAppPlatform(clock=clock) as platform:
        platform.deliver_to("http://127.0.0.1:8000/webhooks/whatsapp")
        platform.customer("ola").write("You charged me twice!")
        ...  # run the desk against platform.url with platform.credentials()
        platform.deliver()  # the statuses of what the desk sent
        assert [post.text for post in platform.posts] == [...]

Nothing deduplicates, and no read shows what was sent. An answer of 200 means *accepted*: whether it
arrived, statuses tell, with the call's own `biz_opaque_callback_data`. A field that Meta does not
document is refused, which the real API would pass over. It is long because it is one network.

Sources: https://developers.facebook.com/documentation/business-messaging/whatsapp/ (reference of
messages, webhooks/reference, business-scoped-user-ids, support/error-codes) and Meta's OpenAPI
description v23.0, https://github.com/facebook/openapi.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from supportflow.testing.platforms.faults import Fault, Shape
from supportflow.testing.platforms.messages import Reply, Request, Route
from supportflow.testing.platforms.messenger_network import number, opaque
from supportflow.testing.platforms.meta_graph import (
    REFUSALS,
    SERVER_ERROR,
    GraphError,
    check_token,
    invalid,
    parameters,
    unknown_object,
)
from supportflow.testing.platforms.meta_hooks import BATCH, MetaHooks, Receiver
from supportflow.testing.platforms.meta_payloads import Delivery, Event
from supportflow.testing.platforms.server import Platform

WINDOW = timedelta(hours=24)
#: "45 messages in 6 seconds" at once, then one in six seconds: error 131056.
PAIR_BURST, PAIR_EVERY = 45, timedelta(seconds=6)
FIELDS = frozenset({"messages", "smb_message_echoes"})
#: Field of the message by type, with what it may hold.
MEDIA: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "image": frozenset({"link", "id", "caption"}),
        "video": frozenset({"link", "id", "caption"}),
        "audio": frozenset({"link", "id"}),
        "document": frozenset({"link", "id", "caption", "filename"}),
        "sticker": frozenset({"link", "id"}),
    }
)
CALL = frozenset(
    {
        "messaging_product",
        "recipient_type",
        "to",
        "recipient",
        "type",
        "context",
        "biz_opaque_callback_data",
    }
)

Json = dict[str, Any]


@attrs.frozen(kw_only=True)
class Business:
    """The number, its account, the app that serves it, and their secrets."""

    phone_number_id: str = "106540352242922"
    phone: str = "15550783881"
    account_id: str = "102290129340398"
    app_id: str = "1517776481860111"
    app_secret: str = attrs.field(default="app-secret-for-tests", repr=False)
    verify_token: str = attrs.field(default="verify-token-for-tests", repr=False)


class CloudError(GraphError):
    """A refusal of the Cloud API's own: what matters stands in its details."""

    def __init__(self, code: int, title: str, details: str) -> None:
        super().__init__(code, f"(#{code}) {title}")
        self.title, self.details = title, details

    def reply(self, trace: str, statuses: Mapping[int, int]) -> Reply:
        """Word the error as the Cloud API does."""
        data = {"messaging_product": "whatsapp", "details": self.details}
        error = {"message": str(self), "type": self.kind, "code": self.code, "error_data": data}
        return Reply.json({"error": {**error, "fbtrace_id": trace}}, statuses.get(self.code, 400))

    def told(self) -> Json:
        """Word it as the status of a message does."""
        data = {"details": self.details}
        return {"code": self.code, "title": self.title, "message": self.title, "error_data": data}


CLOSED = CloudError(
    131047,
    "Re-engagement message",
    "Message failed to send because more than 24 hours have passed since the customer last replied "
    "to this number.",
)
UNDELIVERABLE = CloudError(131026, "Message undeliverable", "Message Undeliverable.")


@attrs.define
class Sent:
    """A message of the thread with one customer, in its newest form."""

    wamid: str
    customer: str
    text: str
    at: datetime
    ours: bool
    content: Json = attrs.field(repr=False)
    via_api: bool = False
    deleted: bool = False


@attrs.define(eq=False)
class Customer:
    """A person with WhatsApp.

    Args:
        platform: where they act.
        name: what they call themselves.
        wa_id: their phone number.
        user_id: the business's own id of them.
        wrote_at: when they last wrote; None if never.
        hides: whether they have a username, so that their number is not told.
        blocked: whether they block the business.
    """

    platform: "WhatsAppPlatform" = attrs.field(repr=False)
    name: str
    wa_id: str
    user_id: str
    wrote_at: datetime | None = None
    hides: bool = False
    blocked: bool = False

    @property
    def id(self) -> str:
        """Return by what the business knows them."""
        return self.user_id if self.hides else self.wa_id

    def write(self, text: str, *, reply_to: Sent | None = None) -> Sent:
        """Write to the business, which opens its window."""
        return self.send("text", {"body": text}, text, reply_to)

    def send(self, kind: str, body: object, text: str = "", reply_to: Sent | None = None) -> Sent:
        """Send something else than words, such as an `image`."""
        context = {"from": self.platform.business.phone, "id": reply_to.wamid} if reply_to else {}
        content = {"type": kind, kind: body, **({"context": context} if context else {})}
        with self.platform.lock:
            self.wrote_at = self.platform.now()
            made = self.platform.add(self, text, content, ours=False)
            self.platform.tell("messages", "messages", self, {"id": made.wamid, **content})
        self.platform.hooks.flush()
        return made

    def tap(self, message: Sent, title: str) -> Sent:
        """Tap a button of a message, whose words are then an answer to it."""
        buttons = message.content["interactive"]["action"]["buttons"]
        (reply,) = [each["reply"] for each in buttons if each["reply"]["title"] == title]
        body = {"type": "button_reply", "button_reply": reply}
        return self.send("interactive", body, title, message)

    def react(self, message: Sent, emoji: str) -> None:
        """React to a message; with nothing, take that back."""
        shown = {"message_id": message.wamid, **({"emoji": emoji} if emoji else {})}
        self._note("reaction", shown)

    def edit(self, message: Sent, text: str) -> Sent:
        """Change one's own words."""
        message.text, message.content = text, {**message.content, "text": {"body": text}}
        inner = {"type": "text", "text": {"body": text}}
        self._note("edit", {"original_message_id": message.wamid, "message": inner})
        return message

    def delete(self, message: Sent) -> None:
        """Take a message away."""
        message.deleted = True
        self._note("revoke", {"original_message_id": message.wamid})

    def receive(self, status: str = "delivered") -> None:
        """Have the phone on, or with `read` look: the newest of ours that came is reported."""
        sent = [s for s in self.platform.sent.values() if s.customer == self.wa_id and s.ours]
        with self.platform.lock:
            for each in sent[-1:]:
                self.platform.report(each, status)
        self.platform.hooks.flush()

    def block(self, *, lift: bool = False) -> None:
        """Block the business, or lift that."""
        with self.platform.lock:
            self.blocked = not lift

    def _note(self, kind: str, body: Json) -> None:
        with self.platform.lock:
            name = self.platform.wamid()
            self.platform.tell("messages", "messages", self, {"id": name, "type": kind, kind: body})
        self.platform.hooks.flush()


class WhatsAppPlatform(Platform):
    """One number on WhatsApp, with its customers.

    Own faults, for a call that sends: `status_never`, `status_late` (once released, or after
    `lasts`, 5 minutes unless said) and `status_early` (before the call is answered).

    Args:
        business: the number and its app.
        token: the access token; set `token` to another one, or to None to revoke it.
        templates: approved texts by name and language, with how many places each has.
        tells_late: whether a closed window is told by a status, after a call that was accepted.
        statuses: HTTP status by error code.
        proof_required: whether a call without `appsecret_proof` is refused.
        **base: see `Platform`.
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType(
        dict.fromkeys(
            ("status_never", "status_late", "status_early"), Shape(accepts=True, reads=False)
        )
    )

    def __init__(
        self,
        *,
        business: Business | None = None,
        token: str = "system-user-token-for-tests",  # noqa: S107 - of nobody
        templates: Mapping[tuple[str, str], int] = MappingProxyType({("hello_again", "en_US"): 1}),
        tells_late: bool = False,
        statuses: Mapping[int, int] = MappingProxyType({130429: 429, 131000: 500, 131016: 500}),
        proof_required: bool = True,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.business = business or Business()
        self.token: str | None = token
        self.templates, self.tells_late, self.statuses = templates, tells_late, statuses
        self.proof_required = proof_required
        self.quality, self.state = "GREEN", "CONNECTED"
        self.people: dict[str, Customer] = {}
        self.sent: dict[str, Sent] = {}
        self.subscribed: set[str] = set(FIELDS)
        self.app_subscribed = True
        self.refuse_next: list[GraphError] = []
        self.hooks = MetaHooks(
            "whatsapp_business_account",
            self.business.account_id,
            app_secret=self.business.app_secret,
            verify_token=self.business.verify_token,
            now=self.now,
            crashed=self.crashes.append,
        )
        self._early: list[Event] = []
        self._count = 0

    # What tests use.

    @property
    def posts(self) -> tuple[Sent, ...]:
        """Return what calls of the API sent, oldest first."""
        with self.lock:
            return tuple(each for each in self.sent.values() if each.via_api)

    def customer(self, name: str) -> Customer:
        """Return the customer of this name, who is made on first sight."""
        with self.lock:
            digits = number("person", self.business.phone_number_id, name)
            made = Customer(self, name.title(), f"48{digits[:9]}", f"PL.{digits}")
            return self.people.setdefault(name, made)

    def staff(self, customer: Customer, text: str) -> Sent:
        """Answer a customer in the WhatsApp Business app."""
        with self.lock:
            content = {"type": "text", "text": {"body": text}}
            made = self.add(customer, text, content, ours=True)
            self.tell(
                "smb_message_echoes", "message_echoes", customer, {"id": made.wamid, **content}
            )
        self.hooks.flush()
        return made

    def deliver_to(self, receiver: Receiver | str, *, background: bool = False) -> None:
        """Say where events go from now on; see `MetaHooks.deliver_to`."""
        self.hooks.deliver_to(receiver, background=background)

    def handshake(self, verify_token: str | None = None) -> bool:
        """Ask the receiver to prove itself; say whether it did."""
        return self.hooks.handshake(verify_token=verify_token)

    def hold(self) -> AbstractContextManager[None]:
        """Let events gather, and deliver them as one batch at the end."""
        return self.hooks.hold()

    def deliver(self, *, size: int = BATCH, copies: int = 1) -> tuple[Delivery, ...]:
        """Deliver what is ready; see `MetaHooks.deliver`."""
        return self.hooks.deliver(size=size, copies=copies)

    def redeliver(self) -> tuple[Delivery, ...]:
        """Send everything again, byte for byte."""
        return self.hooks.redeliver(everything=True)

    # What happens.

    def wamid(self) -> str:
        """Return a name for a message that nothing else has."""
        self._count += 1
        return f"wamid.{opaque('message', self.business.phone_number_id, self._count)}"

    def add(self, customer: Customer, text: str, content: Json, *, ours: bool) -> Sent:
        """Accept a message."""
        made = Sent(self.wamid(), customer.wa_id, text, self.now(), ours, content)
        self.sent[made.wamid] = made
        return made

    def tell(self, field: str, place: str, customer: Customer, content: Json) -> None:
        """Keep what was written for delivery, where its field is subscribed to."""
        self._say(
            self._event(field, {place: [{**self._ends(field, customer), **content}]}, customer)
        )

    def report(self, sent: Sent, status: str, error: CloudError | None = None) -> None:
        """Keep a status for delivery."""
        self._say(self._status(sent, status, error))

    def _say(self, event: Event) -> None:
        if event.field in self.subscribed:
            self.hooks.add(event)

    def _ends(self, field: str, customer: Customer) -> Json:
        stamp = {"timestamp": str(int(self.now().timestamp()))}
        if field == "smb_message_echoes":
            return {"from": self.business.phone, "to": customer.wa_id, **stamp}
        shown = {} if customer.hides else {"from": customer.wa_id}
        return {**shown, "from_user_id": customer.user_id, **stamp}

    def _event(self, field: str, content: Json, customer: Customer | None) -> Event:
        metadata = {
            "display_phone_number": self.business.phone,
            "phone_number_id": self.business.phone_number_id,
        }
        value: Json = {"messaging_product": "whatsapp", "metadata": metadata}
        if customer is not None and field == "messages":
            shown = {} if customer.hides else {"wa_id": customer.wa_id}
            profile = {"profile": {"name": customer.name}, "user_id": customer.user_id}
            value["contacts"] = [{**profile, **shown}]
        change = {"value": {**value, **content}, "field": field}
        about = customer.wa_id if customer else ""
        return Event(field, about, self.now(), change, place="changes")

    def _status(self, sent: Sent, status: str, error: CloudError | None = None) -> Event:
        customer = next(each for each in self.people.values() if each.wa_id == sent.customer)
        told: Json = {
            "id": sent.wamid,
            "status": status,
            "timestamp": str(int(self.now().timestamp())),
            "recipient_id": customer.wa_id,
        }
        if "biz_opaque_callback_data" in sent.content:
            told["biz_opaque_callback_data"] = sent.content["biz_opaque_callback_data"]
        if error is not None:
            told["errors"] = [error.told()]
        return self._event("messages", {"statuses": [told]}, None if error else customer)

    # What the base asks.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        return (
            Route("POST", "/{version}/{node}/messages", self._send),
            Route("GET", "/{version}/{node}/phone_numbers", self._numbers),
            Route("GET", "/{version}/{node}/subscribed_apps", self._apps),
            Route("GET", "/{version}/{node}/subscriptions", self._subscriptions),
        )

    def handle(self, request: Request) -> Reply:
        """Check version and token, and answer."""
        try:
            if not re.match(r"/v\d{1,2}\.\d/", request.path):
                raise GraphError(2500, "Unknown path components")
            if not request.path.endswith("/subscriptions"):
                proof = self.proof_required
                given = parameters(request)
                check_token(
                    request, given, self.token, self.business.app_secret, proof_required=proof
                )
            return super().handle(request)
        except GraphError as error:
            return error.reply(self._trace(), self.statuses)

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as the Graph API does."""
        del request
        if status == 429:
            hit = CloudError(
                130429, "Rate limit hit", "Cloud API message throughput has been reached."
            )
            return hit.reply(self._trace(), self.statuses)
        if status in REFUSALS:
            return REFUSALS[status].reply(self._trace(), self.statuses)
        error = SERVER_ERROR if status >= 500 or status == 408 else REFUSALS[400]
        return attrs.evolve(error.reply(self._trace(), self.statuses), status=status)

    def answer(self, request: Request) -> Reply:
        """Answer, and deliver early statuses in between, when the lock is free again."""
        reply = super().answer(request)
        with self.lock:
            early, self._early = self._early, []
        for event in early:
            self.hooks.deliver_now(event)
        return reply

    def without_ids(self, reply: Reply) -> Reply:
        """Take the message out of an answer."""
        del reply
        return Reply.json({"messaging_product": "whatsapp", "messages": []})

    def truth(self) -> Mapping[str, object]:
        """Return every thread."""
        with self.lock:
            return {
                name: [
                    {"wamid": s.wamid, "text": s.text, "ours": s.ours, "via_api": s.via_api}
                    for s in self.sent.values()
                    if s.customer == customer.wa_id
                ]
                for name, customer in self.people.items()
            }

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {
            "phone_number_id": self.business.phone_number_id,
            "business_account_id": self.business.account_id,
            "token": self.token or "",
            "app_id": self.business.app_id,
            "app_secret": self.business.app_secret,
            "verify_token": self.business.verify_token,
        }

    def act(self, command: Mapping[str, object]) -> object:
        """Do what a test asks for from another process.

        `{"customer": "ola", "do": "write", "text": …}`, `{"hooks": "deliver_to", "receiver": url}`
        and `{"hooks": "deliver"}`.
        """
        match dict(command):
            case {"customer": str(name), "do": "write", "text": str(text)}:
                return self.customer(name).write(text).wamid
            case {"hooks": "deliver_to", "receiver": str(receiver)}:
                self.deliver_to(receiver)
                return None
            case {"hooks": "deliver"}:
                return [each.statuses for each in self.deliver()]
            case _:
                return super().act(command)

    def close(self) -> None:
        """Stop delivering, then as `Platform.close`."""
        self.hooks.close()
        super().close()

    # Answers.

    def _send(self, request: Request) -> Reply:
        if request.params["node"] != self.business.phone_number_id:
            raise unknown_object(request.params["node"])
        if self.refuse_next:
            raise self.refuse_next.pop(0)
        given = {k: v for k, v in parameters(request).items() if k != "appsecret_proof"}
        kind = _checked(given, self.templates)
        customer, asked = self._recipient(given)
        self._answered(given.get("context"), customer)
        self._pace(customer)
        late = customer.wrote_at is None or self.now() > customer.wrote_at + WINDOW
        if late and kind != "template" and not self.tells_late:
            raise CLOSED
        sent = self.add(customer, _text(given, kind), dict(given), ours=True)
        sent.via_api = True
        failed = (
            CLOSED if late and kind != "template" else UNDELIVERABLE if customer.blocked else None
        )
        self._report(self._status(sent, "failed" if failed else "sent", failed), request.fault)
        contact = {"input": asked, **({} if customer.hides else {"wa_id": customer.wa_id})}
        made = {"id": sent.wamid, "message_status": "accepted"}
        return Reply.json(
            {"messaging_product": "whatsapp", "contacts": [contact], "messages": [made]}
        )

    def _report(self, event: Event, fault: Fault | None) -> None:
        kind = fault.kind if fault is not None else ""
        if kind == "status_late" and fault is not None:
            due = self.now() + (fault.lasts or timedelta(minutes=5))
            event = attrs.evolve(event, waits=fault.released, due=due)
        if kind == "status_early" and event.field in self.subscribed:
            self._early.append(event)
        elif kind != "status_never":
            self._say(event)

    def _recipient(self, given: Json) -> tuple[Customer, str]:
        """Return whom a call is for: by number, or by the business's own id."""
        asked = str(given.get("to") or given.get("recipient") or "")
        digits = re.sub(r"[+() -]", "", str(given.get("to", "")))
        for each in self.people.values():
            if digits == each.wa_id or (not digits and asked == each.user_id):
                return each, asked
        if "to" in given and not re.fullmatch(r"[0-9]{5,20}", digits):
            raise CloudError(131009, "Parameter value is not valid", "to is no phone number")
        raise CloudError(131030, "Recipient phone number not in allowed list", "add it to the list")

    def _answered(self, value: object, customer: Customer) -> None:
        if value is None:
            return
        context = _object(value, "context", {"message_id"})
        found = self.sent.get(str(context.get("message_id")))
        if found is None or found.customer != customer.wa_id:
            raise CloudError(131009, "Parameter value is not valid", "Message ID is invalid")

    def _pace(self, customer: Customer) -> None:
        since = self.now() - PAIR_BURST * PAIR_EVERY
        lately = [s for s in self.posts if s.customer == customer.wa_id and s.at > since]
        if len(lately) >= PAIR_BURST:
            raise CloudError(
                131056,
                "(Business Account, Consumer Account) pair rate limit hit",
                "Too many messages",
            )

    def _numbers(self, request: Request) -> Reply:
        self._expect_account(request)
        about = {
            "id": self.business.phone_number_id,
            "display_phone_number": f"+{self.business.phone}",
            "verified_name": "Example Shop",
            "quality_rating": self.quality,
            "status": self.state,
        }
        return Reply.json({"data": [about]})

    def _apps(self, request: Request) -> Reply:
        self._expect_account(request)
        app = {"id": self.business.app_id, "name": "Support", "link": "https://www.example.com/"}
        found = [{"whatsapp_business_api_data": app}] if self.app_subscribed else []
        return Reply.json({"data": found})

    def _subscriptions(self, request: Request) -> Reply:
        """Tell what the app is subscribed to, to the app alone."""
        token = f"{self.business.app_id}|{self.business.app_secret}"
        if request.header("authorization") != f"Bearer {token}":
            raise GraphError(15, "(#15) This method must be called with an app access_token.")
        fields = [{"name": name, "version": "v23.0"} for name in sorted(self.subscribed)]
        about = {"object": "whatsapp_business_account", "active": True, "fields": fields}
        return Reply.json({"data": [{**about, "callback_url": "https://shop.example/whatsapp"}]})

    def _expect_account(self, request: Request) -> None:
        if request.params["node"] != self.business.account_id:
            raise unknown_object(request.params["node"])

    def _trace(self) -> str:
        with self.lock:
            self._count += 1
            return opaque("trace", self._count)[:23]


def _checked(given: Json, templates: Mapping[tuple[str, str], int]) -> str:
    """Return what type of message a call sends, which must be as documented.

    Raises:
        GraphError: for whatever WhatsApp does not take.
    """
    kind = str(given.get("type", "text"))
    _object(given, "the message", CALL | {kind})
    if given.get("messaging_product") != "whatsapp":
        raise invalid("The parameter messaging_product is required.")
    if (
        given.get("recipient_type", "individual") != "individual"
        or not {"to", "recipient"} & given.keys()
    ):
        raise invalid("The parameter to is required.")
    if len(str(given.get("biz_opaque_callback_data", ""))) > 512:
        raise invalid("Param biz_opaque_callback_data must be at most 512 characters long.")
    check = _TYPES.get(kind)
    if check is None:
        raise invalid(f"Param type must be one of {{{', '.join(_TYPES)}}}")
    body = given.get(kind)
    if kind == "template":
        _template(body, templates)
    else:
        check(body)
    return kind


def _object(value: object, name: str, keys: set[str] | frozenset[str]) -> Json:
    if not isinstance(value, dict):
        raise invalid(f"Param {name} must be a JSON object.")
    if strange := sorted(value.keys() - keys):
        raise invalid(f'Unexpected key "{", ".join(strange)}" on param "{name}".')
    return value


def _words(value: object, name: str, most: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"The parameter {name} is required.")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise invalid(f"Param {name} must be a UTF-8 encoded string")
    if len(value) > most:
        raise invalid(f"Param {name} must be at most {most} characters long.")
    return value


def _url(value: object, name: str) -> None:
    if not re.match(r"https?://[^/]+", str(value)):
        raise invalid(f"Param {name} is not a valid URI.")


def _text_type(body: object) -> None:
    _words(_object(body, "text", {"body", "preview_url"}).get("body"), "text['body']", 4096)


def _media(kind: str) -> Callable[[object], None]:
    def check(body: object) -> None:
        media = _object(body, kind, MEDIA[kind])
        if len({"link", "id"} & media.keys()) != 1:
            raise invalid(f"Param {kind} must have one of link and id")
        if "link" in media:
            _url(media["link"], f"{kind}['link']")
        if "caption" in media:
            _words(media["caption"], f"{kind}['caption']", 1024)

    return check


def _interactive(body: object) -> None:
    keys = {"type", "header", "body", "footer", "action"}
    shown = _object(body, "interactive", keys)
    _words(
        _object(shown.get("body"), "interactive['body']", {"text"}).get("text"),
        "body['text']",
        1024,
    )
    if "header" in shown:
        header = _object(shown["header"], "header", {"type", "image", "text"})
        if header.get("type") == "image":
            _url(_object(header.get("image"), "image", {"link", "id"}).get("link"), "image['link']")
    if shown.get("type") == "button":
        _buttons(_object(shown.get("action"), "action", {"buttons"}).get("buttons"))
    elif shown.get("type") == "cta_url":
        action = _object(shown.get("action"), "action", {"name", "parameters"})
        asked = _object(action.get("parameters"), "parameters", {"display_text", "url"})
        if action.get("name") != "cta_url":
            raise invalid("Param action['name'] must be cta_url")
        _words(asked.get("display_text"), "display_text", 20)
        _url(asked.get("url"), "url")
    else:
        raise invalid("Param interactive['type'] must be one of {button, cta_url}")


def _buttons(value: object) -> None:
    if not isinstance(value, list) or not 1 <= len(value) <= 3:
        raise invalid("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
    replies = [
        _object(_object(b, "button", {"type", "reply"}).get("reply"), "reply", {"id", "title"})
        for b in value
    ]
    for each in replies:
        _words(each.get("title"), "Button label", 20)
        _words(each.get("id"), "Button id", 256)
    if len({each["title"] for each in replies}) < len(replies):
        raise invalid("Duplicate button titles")


def _template(body: object, templates: Mapping[tuple[str, str], int]) -> None:
    asked = _object(body, "template", {"name", "language", "components"})
    language = _object(asked.get("language"), "language", {"code"}).get("code")
    places = templates.get((str(asked.get("name")), str(language)))
    if places is None:
        details = f"template name ({asked.get('name')}) does not exist in {language}"
        raise CloudError(132001, "Template name does not exist in the translation", details)
    values = 0
    for each in asked.get("components", []):
        component = _object(each, "component", {"type", "parameters"})
        if str(component.get("type")).lower() != "body":
            raise invalid("Param template['components'] has a type that these templates have not")
        for value in component.get("parameters", []):
            _words(_object(value, "parameter", {"type", "text"}).get("text"), "text", 1024)
            values += 1
    if values != places:
        details = f"body: number of localizable_params ({values}) does not match ({places})"
        raise CloudError(132000, "Number of parameters does not match", details)


def _text(given: Json, kind: str) -> str:
    """Return what a customer reads of a call."""
    body = given[kind]
    if kind == "interactive":
        return str(body["body"]["text"])
    return str(body.get("body") or body.get("caption") or body.get("name", ""))


_TYPES: Mapping[str, Callable[[object], None]] = MappingProxyType(
    {
        "text": _text_type,
        "interactive": _interactive,
        "template": lambda _: None,
        **{kind: _media(kind) for kind in MEDIA},
    }
)
