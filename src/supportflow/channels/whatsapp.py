"""Answer customers on WhatsApp, through the Cloud API, within the window that Meta allows.

In: signed webhooks, whose messages and statuses are read one by one. Out: one call a part. An
answer of 200 says that a message was accepted; what became of it, statuses tell, and each of them
brings back the mark that the call carried (`biz_opaque_callback_data`): so a reply that may have
been lost is proved. No read of the API shows a message with its words or its mark, so that nothing
is looked for. A day after the customer's last message, only a template that Meta has approved may
be sent.

A customer is known by their phone number, and where they hide it behind a username by Meta's
business-scoped id; whoever hides it later begins a new thread. Answers given in the WhatsApp
Business app are told where the number is used by both (`smb_message_echoes`).

What holds no words is passed over: news of templates, of the account, of numbers and of calls.
Anything else that is not known here goes into quarantine.

Sources: the pages under https://developers.facebook.com/documentation/business-messaging/whatsapp/,
above all webhooks/reference/messages, webhooks/reference/smb_message_echoes,
business-scoped-user-ids and support/error-codes; and Meta's OpenAPI description (v23.0),
https://github.com/facebook/openapi. (Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import attrs

from supportflow.channels import (
    Ambiguous,
    Delivery,
    Health,
    NeedsAuth,
    NotSent,
    RateLimited,
    Reconcile,
    Refused,
    SendError,
    Traits,
)
from supportflow.channels.arguments import named
from supportflow.channels.meta import Item, OutsideWindow, moment, outcome, pause, receipt
from supportflow.channels.meta_account import Account, nodes_of, numbered
from supportflow.channels.powers import check_powers
from supportflow.channels.setup import Need, Setup
from supportflow.errors import PayloadError, TransportError, Unsupported, WindowClosed
from supportflow.flow import Flow
from supportflow.http import Request, Response
from supportflow.model import (
    Attachment,
    Author,
    Card,
    Edit,
    Fact,
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
from supportflow.text.fields import compact, mapping, mappings, perhaps, word

__all__ = ["WhatsApp"]

#: Each as in the reference of messages, "4096", "1024", "20", "3" and "512 characters":
#: https://developers.facebook.com/documentation/business-messaging/whatsapp/reference/whatsapp-business-phone-number/message-api
_MAX_TEXT, _MAX_BODY, _MAX_BUTTON, _MAX_BUTTONS, _MAX_NAME = 4096, 1024, 20, 3, 512
_MAX_URL = 2048
_WINDOW = timedelta(hours=24)
#: The time of an answer that bears none; the transports' always do.
_UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)
#: How long sending pauses that was restricted for the quality of what was sent. Ours.
_RESTRICTED = timedelta(hours=1)

_POWERS = ("attachments", "card", "quick_replies", "template")

_TRAITS = Traits(
    "whatsapp",
    max_text=_MAX_TEXT,
    reconcile=Reconcile.echo,
    settle=timedelta(seconds=60),
    window=_WINDOW,
    visibilities=("private",),
    powers=_POWERS,
    inbound=("webhook",),
    signature="X-Hub-Signature-256",
    rates={
        "one number": "80 messages a second, 20 with the WhatsApp Business app beside it",
        "one customer": "1 message in 6 seconds, 45 in a row at most",
        "templates": "250 to unlimited customers a day, by the account's tier",
    },
    cost={
        "reply": "free within the window",
        "template": "per message delivered, by its category and the customer's country",
    },
    unsupported={
        "public messages": "a chat is private",
        "announcement": "a chat is private; a template goes to one customer at a time",
        "looking for lost replies": "no read shows them; the status of a reply proves it",
        "late replies": "after the window only a template: reply(template=Template(...))",
        "groups": "what is written in one goes into quarantine",
        "several files": "send each with a part of its own",
        "several numbers": "one channel each, with a webhook of its own (webhook_configuration)",
        "edits and deletions": "told only where the number is in the WhatsApp Business app too",
    },
)

#: Changes in which nobody says anything.
_SILENT = frozenset(
    {
        "account_alerts",
        "account_review_update",
        "account_settings_update",
        "account_update",
        "automatic_events",
        "business_capability_update",
        "business_status_update",
        "calls",
        "flows",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
        "message_template_components_update",
        "message_template_quality_update",
        "message_template_status_update",
        "partner_solutions",
        "payment_configuration_update",
        "phone_number_name_update",
        "phone_number_quality_update",
        "security",
        "smb_app_state_sync",
        "template_category_update",
        "template_correct_category_detection",
        "tracking_events",
        "user_id_update",
        "user_preferences",
    }
)
_ECHOES = "smb_message_echoes"
#: The longest name or number that is given to each member of a batch. Ours.
_MAX_SHORT = 256
#: Where the members of a change stand, each of which is read alone.
_LISTS = ("messages", "statuses", "message_echoes", "errors")
_PLAIN = frozenset({"from", "from_user_id", "id", "timestamp", "type", "text"})
_FILES = ("image", "video", "audio", "document", "sticker")
#: Messages that say what changed about the customer or the chat, in the platform's words.
_NOTICES = frozenset({"system", "request_welcome"})
_STATUSES: Mapping[str, str] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}

_MARK = re.compile(r"[a-z2-7]{24}")
_PHONE = re.compile(r"[0-9]{5,20}")
# "US.13491208655302741918", with a parent business "US.ENT.11815799212886844830"
_SCOPED = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_TEMPLATE = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:_[A-Za-z]{2,4})?")


# -- in


def _apart(change: Any) -> Iterator[Any]:
    """Yield a change for each message and status in one, so that a bad one harms no other."""
    value = change.get("value") if isinstance(change, dict) else None
    found = value if isinstance(value, dict) else {}
    members = [each for name in _LISTS if isinstance(each := found.get(name), list)]
    if sum(map(len, members)) == 1:
        yield change
        return
    alone = list(_alone(change, found))
    yield from alone or (change,)


def _alone(change: dict[str, Any], value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each message and status with no more of what stands around it than is read.

    What goes into quarantine must not hold a whole batch many times, and what is kept of a
    message must be the same however it comes. Nothing, if what stands around is not as documented.
    """
    metadata, contacts = value.get("metadata"), value.get("contacts")
    number = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
    if not _short(number) or not _short(change.get("field")):
        return
    known = dict(map(_contact, contacts)) if isinstance(contacts, list) else {}
    for name in _LISTS:
        members = value.get(name)
        for each in members if isinstance(members, list) else ():
            contact = known.get(_name(each))
            beside = {"contacts": [contact]} if contact else {}
            held = {"metadata": {"phone_number_id": number}, name: [each], **beside}
            yield {"field": change["field"], "value": held}


def _short(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _MAX_SHORT


def _contact(item: Any) -> tuple[str | None, Any]:
    """Return whom a contact is of, and as much of it as is read; nothing where it is too long."""
    name, profile = _name(item), item.get("profile") if isinstance(item, dict) else None
    shown = profile.get("name") if isinstance(profile, dict) else None
    fits = _short(shown) and _short(name)
    return name, {"wa_id": name, "profile": {"name": shown}} if fits else None


def _name(item: Any) -> str | None:
    """Return by what a contact, or the sender of a message, is known; None if by nothing."""
    found = item if isinstance(item, dict) else {}
    for name in ("from", "wa_id", "from_user_id", "user_id"):
        if isinstance(found.get(name), str):
            return str(found[name])
    return None


def _spread(batch: Any) -> Any:
    """Return a batch whose changes hold one message or status each."""
    entries = batch.get("entry") if isinstance(batch, dict) else None
    if not isinstance(entries, list):
        return batch
    spread = [
        {**entry, "changes": [one for change in entry["changes"] for one in _apart(change)]}
        if isinstance(entry, dict) and isinstance(entry.get("changes"), list)
        else entry
        for entry in entries
    ]
    return {**batch, "entry": spread}


def _error(errors: Iterable[Mapping[str, Any]]) -> str:
    """Return what went wrong, in Meta's words: the code, the title and the details."""
    found = []
    for each in errors:
        details = perhaps(mapping(each.get("error_data") or {}, "error_data"), "details")
        found.append(f"{each.get('code')!s:.20} {perhaps(each, 'title')}: {details}".rstrip(": "))
    return "; ".join(found)[:500]


@attrs.frozen
class _Reader:
    """Read one message or status as facts of a channel.

    Args:
        channel: Its name.
        files: Where a file can be asked for, by its id.
        item: The change that it stands in.
        names: What customers call themselves, by their id.
    """

    channel: str
    files: str
    item: Item
    names: Mapping[str | None, str]

    def message(self, content: dict[str, Any]) -> Iterable[Fact]:
        who = perhaps(content, "from") or word(content, "from_user_id")
        return self._written(content, Author(who, self.names.get(who, "")), None)

    def echo(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Take what somebody wrote in the WhatsApp Business app."""
        to = (perhaps(content, "to") or word(content, "to_user_id")).removeprefix("+")
        return self._written(content, Author(word(content, "from")), to)

    def _written(self, content: dict[str, Any], author: Author, to: str | None) -> Iterable[Fact]:
        kind, name = word(content, "type"), word(content, "id")
        if content.get("group_id"):
            raise PayloadError("it was written in a group, where nobody is answered")
        if kind in _NOTICES:
            return ()
        at = moment(content.get("timestamp"))
        if kind in ("reaction", "revoke", "edit"):
            return self._changed(kind, mapping(content.get(kind), kind), name, author, at, to)
        text, attachments = self._words(content)
        context = mapping(content.get("context") or {}, "context")
        message = Message(
            self.channel,
            "message",
            name,
            author,
            text,
            at,
            author.id if to is None else to,
            perhaps(context, "id") or None,
            Visibility.private,
            attachments=attachments,
            raw=None if content.keys() <= _PLAIN else self._raw(),
        )
        return (Inbound(message) if to is None else Outbound(message, to),)

    def _raw(self) -> str:
        """Return the message as it came, with what is read beside it."""
        change = self.item.value
        value = next(_alone(change, change["value"]), change)
        return attrs.evolve(self.item, value=value).alone()

    def _changed(
        self,
        kind: str,
        body: dict[str, Any],
        name: str,
        author: Author,
        at: datetime,
        to: str | None,
    ) -> Iterable[Fact]:
        """Report what was done with a message that is there."""
        if kind == "reaction" and to is not None:
            return ()  # staff's own
        key = self.channel, "message"
        if kind == "reaction":
            emoji = perhaps(body, "emoji")
            return (Reaction(*key, word(body, "message_id"), author, emoji, at),)
        target = word(body, "original_message_id")
        if kind == "revoke":
            return (Removal(*key, target, at),)
        text, _ = self._words(mapping(body.get("message"), "the edited message"))
        return (Edit(*key, target, name, text, at),)

    def _words(self, content: Mapping[str, Any]) -> tuple[str, tuple[Attachment, ...]]:
        """Return what was said, and what came with it."""
        kind = word(content, "type")
        if kind == "contacts":
            shared = mappings(content, "contacts")
            names = [mapping(each.get("name") or {}, "name") for each in shared]
            return "", tuple(Attachment("contact", "", perhaps(n, "formatted_name")) for n in names)
        if kind in ("unsupported", "unknown"):
            return "", (Attachment("unsupported", "", _error(mappings(content, "errors"))),)
        body = mapping(content.get(kind), kind)
        if kind in _FILES:
            url = f"{self.files}/{quote(word(body, 'id'), safe='', errors='backslashreplace')}"
            file = Attachment(
                "file" if kind == "document" else kind, url, perhaps(body, "filename")
            )
            return perhaps(body, "caption"), (file,)
        if kind == "location":
            place = " ".join(filter(None, (perhaps(body, "name"), perhaps(body, "address"))))
            where = place or f"{body.get('latitude')!s:.20}, {body.get('longitude')!s:.20}"
            return "", (Attachment("location", perhaps(body, "url"), where),)
        if kind == "order":
            items = mappings(body, "product_items")
            wares = [f"{i.get('quantity')!s:.20} x {word(i, 'product_retailer_id')}" for i in items]
            return perhaps(body, "text"), tuple(Attachment("product", "", each) for each in wares)
        if kind == "interactive":
            tapped = mapping(body.get(word(body, "type")), "interactive")
            return perhaps(tapped, "title") or perhaps(tapped, "body"), ()
        if kind not in ("text", "button"):
            raise PayloadError(f"a message of type {kind!r:.60}, which is not known here")
        return word(body, "body" if kind == "text" else "text"), ()

    def status(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Report how far a message of ours came, with the mark that it carried."""
        given, name = word(content, "status"), word(content, "id")
        if given not in _STATUSES:
            raise PayloadError(f"status is {given!r:.60}, which is not known here")
        mark = content.get("biz_opaque_callback_data")
        ours = mark if isinstance(mark, str) and _MARK.fullmatch(mark) else None
        why = _error(mappings(content, "errors"))
        at = moment(content.get("timestamp"))
        return (StatusReport(self.channel, name, _STATUSES[given], at, why, ours),)

    def error(self, content: dict[str, Any]) -> Iterable[Fact]:
        raise PayloadError(f"WhatsApp reports an error: {_error([content])}")


_READ: Mapping[str, Callable[[_Reader, dict[str, Any]], Iterable[Fact]]] = {
    "messages": _Reader.message,
    "statuses": _Reader.status,
    "message_echoes": _Reader.echo,
    "errors": _Reader.error,
}


# -- out


def _fits(text: str, most: int, what: str, instead: str) -> str:
    if not text.strip() or len(text) > most:
        raise Unsupported(
            f"{what} has {len(text)} characters; WhatsApp takes 1 to {most}: {instead}"
        )
    return text


def _link(url: str, what: str) -> str:
    if not url.startswith("https://") or len(url) > _MAX_URL:
        raise Unsupported(f"{what} is {url!r:.60}; WhatsApp is given an https URL")
    return url


def _template(template: Template) -> dict[str, Any]:
    if not _TEMPLATE.fullmatch(template.name) or not _LANGUAGE.fullmatch(template.language):
        raise Unsupported(
            f"template {template.name!r:.60} in {template.language!r:.20}: name one as WhatsApp "
            "Manager does, such as 'order_update' in 'en_US'"
        )
    found: dict[str, Any] = {"name": template.name, "language": {"code": template.language}}
    if template.values:
        hint = "shorten it"
        texts = [_fits(each, _MAX_BODY, "a template's value", hint) for each in template.values]
        values = [{"type": "text", "text": each} for each in texts]
        found["components"] = [{"type": "body", "parameters": values}]
    return found


def _card(card: Card, text: str) -> dict[str, Any]:
    """Show a card as words with a button that leads to its page, beneath its picture."""
    words = "\n".join(filter(None, (text, card.title, card.subtitle)))
    shown = {
        "display_text": _fits(card.button, _MAX_BUTTON, "the card's button", "shorten it"),
        "url": _link(card.url, "the card's url"),
    }
    picture = (
        {"type": "image", "image": {"link": _link(card.image, "the card's image")}}
        if card.image
        else None
    )
    return {
        "type": "cta_url",
        **({"header": picture} if picture else {}),
        "body": {"text": _fits(words, _MAX_BODY, "the text with the card", "shorten it")},
        "action": {"name": "cta_url", "parameters": shown},
    }


def _choice(message: Outgoing) -> dict[str, Any]:
    if len(message.quick_replies) > _MAX_BUTTONS:
        given = len(message.quick_replies)
        raise Unsupported(f"{given} quick replies; WhatsApp shows at most {_MAX_BUTTONS}")
    if len({*message.quick_replies}) < len(message.quick_replies):
        raise Unsupported("two quick replies are the same; WhatsApp takes each once")
    titles = [_fits(t, _MAX_BUTTON, "a quick reply", "shorten it") for t in message.quick_replies]
    return {
        "type": "button",
        "body": {"text": _fits(message.text, _MAX_BODY, "the text", "ask in a short last part")},
        "action": {"buttons": [{"type": "reply", "reply": {"id": t, "title": t}} for t in titles]},
    }


def _file(message: Outgoing) -> dict[str, Any]:
    """Return the message of one file, with the words beneath it where it has room for them."""
    (file, *more), kinds = message.attachments, ("image", "video", "file")
    if more or file.kind not in kinds:
        raise Unsupported(
            f"{1 + len(more)} files, the first of kind {file.kind!r:.60}; WhatsApp takes one of "
            f"{', '.join(kinds)} with a text: give each a part of its own"
        )
    kind = "document" if file.kind == "file" else file.kind
    shown = {"link": _link(file.url, "the file's address")}
    shown["caption"] = _fits(message.text, _MAX_BODY, "the caption", "give the file a short part")
    if kind == "document" and file.name:
        shown["filename"] = file.name[:_MAX_NAME]
    return {"type": kind, kind: shown}


def _content(message: Outgoing) -> dict[str, Any]:
    """Return what a call sends; more than one thing beside the words cannot be expressed."""
    beside = (message.template, message.attachments, message.card, message.quick_replies)
    if sum(map(bool, beside)) > 1:
        raise Unsupported("WhatsApp shows a template, a file, a card or quick replies: one a part")
    if message.template is not None:
        return {"type": "template", "template": _template(message.template)}
    if message.attachments:
        return _file(message)
    if message.card is not None:
        return {"type": "interactive", "interactive": _card(message.card, message.text)}
    if message.quick_replies:
        return {"type": "interactive", "interactive": _choice(message)}
    text = _fits(message.text, _MAX_TEXT, "the text", "send it as several parts")
    return {"type": "text", "text": {"body": text}}


def _recipient(name: str) -> dict[str, str]:
    if _PHONE.fullmatch(name):
        return {"to": name}
    if _SCOPED.fullmatch(name):
        return {"recipient": name}
    raise Unsupported(f"{name!r:.60} is neither a phone number nor a business-scoped id")


#: What a code means for a message, where it is not one of every Graph API (support/error-codes).
#: What says only that something went wrong, may have gone out.
_KINDS: Mapping[int, type[SendError]] = {
    131047: OutsideWindow,
    **dict.fromkeys((130429, 131048, 131064), RateLimited),
    **dict.fromkeys((131056, 131057), NotSent),
    **dict.fromkeys((131000, 131016, 135000), Ambiguous),
    **dict.fromkeys((0, 33, 131005, 131031, 131037, 131045, 133010), NeedsAuth),
    **dict.fromkeys((130472, 130497, 131008, 131009, 131021, 131026, 131030, 131042), Refused),
    **dict.fromkeys((*range(131049, 131054), 131062, 131063, 137000), Refused),
    **dict.fromkeys(range(132000, 132100), Refused),
}
_HINTS: Mapping[int, str] = {
    131047: "the window has closed, only a template may be sent",
    131056: "too many messages to this customer, it goes on in a moment",
    131048: "too many messages were blocked or reported: look at the quality in WhatsApp Manager",
    131026: "this person cannot be reached on WhatsApp",
    131042: "the account's payment must be put in order",
    133010: "the number is not registered",
}


@attrs.frozen
class WhatsApp(Account):
    """Serve one phone number on WhatsApp.

    Args:
        phone_number_id: The number's id, not the number itself.
        business_account_id: The id of the WhatsApp Business Account that has the number.
        token: A system user's access token, with `whatsapp_business_messaging` and, for `check`,
            `whatsapp_business_management`.
        app_secret: The app's secret, with which webhooks are signed and every call is proved;
            several during a rotation, the current one first.
        verify_token: The word that you chose for the handshake; several while it changes.
        app_id: The app's id; with it `check` can tell which webhooks are subscribed.
        version: The version of the Graph API.
        base_url: Where the Graph API is.
        name: The channel's name.

    Raises:
        InvalidValue: If a secret is missing, or another argument cannot be accepted.

    Example:
        >>> WhatsApp("77", business_account_id="88", token="EAAG", app_secret="5ec",
        ...     verify_token="a word")  # doctest: +ELLIPSIS
        WhatsApp(token=Secret('…'), app_secret=(Secret('…'),), ...)
    """

    phone_number_id: str = attrs.field(validator=numbered)
    business_account_id: str = attrs.field(kw_only=True, validator=numbered)
    name: str = attrs.field(default="whatsapp", validator=named, kw_only=True)

    about: ClassVar[str] = "whatsapp_business_account"
    setup: ClassVar[Setup] = Setup(
        "Takes what customers write to a business's number on WhatsApp, and answers them there.",
        (
            Need("phone_number_id", "the number's id, under WhatsApp, API Setup"),
            Need("business_account_id", "the WhatsApp Business Account's id, beside it"),
            Need("token", "a system user's access token of your app", secret=True),
            Need("app_secret", "the app's secret, under Settings, Basic", secret=True),
            Need("verify_token", "a long word that you invent for the webhook", secret=True),
            Need("app_id", "the app's id, for the check of subscriptions", required=False),
        ),
        (
            "Create an app in Meta's dashboard, add WhatsApp to it, and add the shop's number.",
            "Make a system user with the app and the account, and generate its token.",
            "Enter the webhook's address with the verify token, and subscribe to `messages`.",
            "Where people answer in the WhatsApp Business app too, add `smb_message_echoes`.",
            "Subscribe the app to the account: POST /{business_account_id}/subscribed_apps.",
            "Have templates approved in WhatsApp Manager, for answers after the window.",
        ),
        {
            "whatsapp_business_messaging": "to send and to receive",
            "whatsapp_business_management": "to check the number and its subscriptions",
        },
        "the address of your web application for this channel, with the verify token",
        "https://developers.facebook.com/documentation/business-messaging/whatsapp/get-started",
    )

    @property
    def traits(self) -> Traits:
        """Return what WhatsApp can do."""
        return _TRAITS

    @property
    def account(self) -> str:
        """Return the id of the business account: what webhooks are about."""
        return self.business_account_id

    # -- in

    def _gather(self, batch: Any) -> Delivery:
        return super()._gather(_spread(batch))

    def facts(self, item: Item) -> Iterable[Fact]:
        """Return what one message or status reports.

        Args:
            item: The change that holds it alone.

        Raises:
            PayloadError: If it cannot be read, or is about another number.
        """
        change = mapping(item.value, "the change")
        field = word(change, "field")
        if field in _SILENT:
            return ()
        value = mapping(change.get("value"), f"the value of {field:.60}")
        number = word(mapping(value.get("metadata"), "metadata"), "phone_number_id")
        if number != self.phone_number_id:
            raise PayloadError(f"it is about number {number:.60}, not {self.phone_number_id}")
        kinds = [kind for kind in _READ if kind in value and field in ("messages", _ECHOES)]
        if not kinds:
            raise PayloadError(f"a change of {field:.60}, in which nothing is known here")
        contacts = mappings(value, "contacts")
        profiles = [(each, mapping(each.get("profile") or {}, "profile")) for each in contacts]
        names = {_name(each): perhaps(profile, "name") for each, profile in profiles}
        reader = _Reader(self.name, f"{self.base_url}/{self.version}", item, names)
        return [
            fact
            for kind in kinds
            for each in mappings(value, kind)
            for fact in _READ[kind](reader, each)
        ]

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Send one part of a reply; a template in the place of its words, where there is one.

        Args:
            message: What to send.

        Raises:
            Unsupported: If WhatsApp cannot express it; nothing was asked then.
            WindowClosed: If it was queued after the window, and is no template.
            SendError: One of its kinds says what became of it.
        """
        check_powers(message, _TRAITS)
        content, last = _content(message), message.last_inbound_at
        if message.template is None and last is not None and message.queued_at - last >= _WINDOW:
            raise WindowClosed(
                f"the customer wrote last at {last:%Y-%m-%d %H:%M} UTC, over 24 hours before.",
                ("a template", "wait for the customer to write again"),
            )
        call: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual"}
        call |= {**_recipient(message.to.id), **content, "biz_opaque_callback_data": message.mark}
        if message.reply_to is not None and message.template is None:
            call["context"] = {"message_id": message.reply_to[1]}
        headers = {**self._headers(), "Content-Type": "application/json"}
        body = compact(call).encode("utf-8", "backslashreplace")
        url = self.url(f"{self.phone_number_id}/messages")
        try:
            response = yield Request("POST", url, headers, body, posts=True)
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        found = self._outcome(response, message.queued_at).get("messages")
        sent = found[0] if isinstance(found, list) and found else None
        at = response.at or message.queued_at
        return receipt(sent if isinstance(sent, dict) else {}, "id", at)

    def _outcome(self, response: Response, now: datetime) -> dict[str, Any]:
        """Return the object of an answer; raise what an error of WhatsApp's own means."""
        try:
            found = response.json()
        except PayloadError:
            found = None
        fault = found.get("error") if isinstance(found, dict) else None
        error: dict[str, Any] = fault if isinstance(fault, dict) else {}
        code: int = error["code"] if type(error.get("code")) is int else -1
        kind = _KINDS.get(code)
        if kind is None:
            return outcome(response, now, self._hidden())
        data = error.get("error_data")
        details = data.get("details") if isinstance(data, dict) else None
        said = " ".join(str(details or error.get("message") or "").split())
        for each in self._hidden():
            said = said.replace(each.reveal(), "…")
        why = f"{_HINTS.get(code, 'WhatsApp says')}: {said[:300]} (code {code})"
        if kind is RateLimited:
            at = response.at or now
            until = pause(response, at)
            raise RateLimited(why, until if code == 130429 else max(until, at + _RESTRICTED))
        raise kind(why)

    # -- health

    def check(self) -> Flow[Health]:
        """Ask whether token, number and account belong together, and whether webhooks come."""
        problems: list[str] = []
        notes: list[str] = []
        try:
            yield from self._check_number(problems, notes)
            yield from self._check_apps(problems)
            yield from self._check_fields(problems, notes)
        except NeedsAuth as error:
            hint = (
                "make a system user's token with whatsapp_business_messaging and "
                "whatsapp_business_management, and pass it as token"
            )
            if "appsecret_proof" in str(error):
                hint = "app_secret is not that of the token's app: copy it, the current one first"
            problems.append(f"{error}; {hint}")
        except (SendError, PayloadError, TransportError) as error:
            problems.append(f"the Graph API gave no usable answer: {error}")
        return Health(not problems, tuple(problems), tuple(notes))

    def _check_number(self, problems: list[str], notes: list[str]) -> Flow[None]:
        fields = "id,display_phone_number,verified_name,quality_rating,status"
        path = f"{self.business_account_id}/phone_numbers"
        numbers = nodes_of((yield from self.get(path, fields=fields, limit="100")))
        ours = next((each for each in numbers if each.get("id") == self.phone_number_id), None)
        if ours is None:
            problems.append(
                f"account {self.business_account_id} has no number {self.phone_number_id}: both "
                "ids stand under WhatsApp, API Setup"
            )
            return
        shown, status = perhaps(ours, "display_phone_number"), perhaps(ours, "status")
        if status not in ("CONNECTED", "LINKED", ""):
            problems.append(f"{shown} is {status:.40}: look at it in WhatsApp Manager")
        quality = perhaps(ours, "quality_rating")
        if quality in ("RED", "YELLOW"):
            notes.append(f"the quality of {shown} is {quality}: customers block or report it")

    def _check_apps(self, problems: list[str]) -> Flow[None]:
        path = f"{self.business_account_id}/subscribed_apps"
        apps = nodes_of((yield from self.get(path)))
        about = [mapping(each.get("whatsapp_business_api_data"), "the app") for each in apps]
        if not [each for each in about if self.app_id in (None, each.get("id"))]:
            problems.append(
                f"the app {self.app_id or ''} is not subscribed to the account: POST /{path}"
            )

    def _check_fields(self, problems: list[str], notes: list[str]) -> Flow[None]:
        """Ask with the app's own token which webhooks it gets; nobody else may know that."""
        if self.app_id is None:
            notes.append("without app_id, the fields of the webhook are not checked")
            return
        token = f"{self.app_id}|{self.app_secret[0].reveal()}"
        url = f"{self.base_url}/{self.version}/{self.app_id}/subscriptions"
        response = yield Request("GET", url, {"Authorization": f"Bearer {token}"})
        found = nodes_of(outcome(response, response.at or _UNTIMED, self._hidden()))
        mine = [each for each in found if each.get("object") == self.about]
        fields = {perhaps(f, "name") for each in mine for f in mappings(each, "fields")}
        if "messages" not in fields:
            problems.append("the webhook is not subscribed to messages: nothing arrives")
        elif _ECHOES not in fields:
            notes.append(f"not subscribed to {_ECHOES}: answers in the app stay unseen")
