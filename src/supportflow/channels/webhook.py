"""Serve an app of one's own, both ways in signed JSON: a web chat, an SMS gateway, anything.

In: the app POSTs events; each is a message, an edit, a removal, a reaction, a status, or an answer
that somebody gave in the app itself. Out: one POST for each answer, whose `webhook-id` is the same
for every attempt: an app that remembers it never shows an answer twice. Both directions are signed as
Standard Webhooks say (https://www.standardwebhooks.com/); the format is in
docs/guide/channels/webhook.md. A GET is made before each POST: whoever answers it is there, and its
answer tells the time that the signature needs. (Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import attrs

from supportflow.channels import (
    Delivery,
    Health,
    NotSent,
    Reconcile,
    SendError,
    Traits,
)
from supportflow.channels.arguments import named
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import ask, items, one_by_one
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError, Unsupported
from supportflow.flow import Flow
from supportflow.http import Request, Response, Webhook, read_json
from supportflow.model import (
    Attachment,
    Author,
    ChannelState,
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Removal,
    Secret,
    StatusReport,
    Visibility,
)
from supportflow.model.values import member
from supportflow.signing import sign_standard, usable, verify_standard
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.moments import from_text

__all__ = ["GenericWebhook"]

#: The version of the format, in every body of ours.
_FORMAT = 1
#: How long an app must remember a `webhook-id`. Ours.
_KEY_WINDOW = timedelta(hours=24)
_POWERS = ("attachments", "quick_replies")
_TRAITS = Traits(
    "webhook",
    max_text=4_000,
    reconcile=Reconcile.key,
    key_window=_KEY_WINDOW,
    visibilities=("private", "public"),
    powers=_POWERS,
    inbound=("webhook",),
    signature="webhook-signature",
    unsupported={
        "card": "put a link into the text",
        "template": "say it in words",
        "announcement": "it answers nobody: let your app show it itself",
    },
)


def _url(value: str) -> str:
    parts = urlsplit(str(value))
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and local)
    if not encrypted or not host or parts.fragment or "@" in parts.netloc:
        raise InvalidValue(f"{parts.scheme}://{host} is no address: https, http for loopback only")
    return str(value)


def _secrets(value: str | Secret | Sequence[str | Secret]) -> tuple[Secret, ...]:
    given = (value,) if isinstance(value, str | Secret) else tuple(value)
    found = usable(tuple(map(Secret, given)))
    sign_standard(found, b"", message_id="usable", at=_SOME_TIME)  # says so if one is no base64
    return found


_SOME_TIME = datetime.fromisoformat("2026-01-01T00:00:00Z")


def _length(_: object, __: object, value: int) -> None:
    if type(value) is not int or not 0 < value <= 100_000:
        raise InvalidValue(f"max_text is {value!r:.60}; it is 1 to 100,000 characters")


def _author(item: Mapping[str, Any], name: str = "author") -> Author:
    found = mapping(item.get(name), name)
    return Author(word(found, "id"), perhaps(found, "name"), perhaps(found, "handle"))


def _attachment(item: Mapping[str, Any]) -> Attachment:
    return Attachment(word(item, "kind"), word(item, "url"), perhaps(item, "name"))


@attrs.frozen
class GenericWebhook:
    """Take what people write in an app of your own, and answer them there.

    Args:
        url: Where the app takes answers; https, or http on loopback.
        secret: What both sides sign with, `whsec_` and base64 of at least 24 random bytes; during
            a rotation several, the new one first.
        name: The channel's name; another app needs another one.
        max_text: The longest answer that the app takes, in characters.
        network: What the app is, for reports: `"web chat"`, `"sms"`.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> chat = GenericWebhook("https://chat.example/answers", secret="whsec_" + "MfKQ" * 8)
        >>> chat.traits.reconcile.value
        'key'
    """

    setup: ClassVar[Setup] = Setup(
        "Serve an app of your own in signed JSON: a web chat, an SMS gateway.",
        needs=(
            Need("url", "where your app takes answers"),
            Need("secret", "whsec_ and base64 of 24 or more random bytes", secret=True),
        ),
        steps=(
            "Make a secret: whsec_ and 32 random bytes in base64; give it to your app too.",
            "Let your app POST events to the webhook, and take answers at `url`.",
            "Let your app remember each webhook-id for 24 hours: the same one is the same answer.",
        ),
        webhook="…/webhooks/webhook, proved by the header webhook-signature (Standard Webhooks)",
        guide="https://www.standardwebhooks.com/",
    )

    url: str = attrs.field(converter=_url)
    secret: tuple[Secret, ...] = attrs.field(converter=_secrets, kw_only=True)
    name: str = attrs.field(default="webhook", validator=named, kw_only=True)
    max_text: int = attrs.field(default=4_000, validator=_length, kw_only=True)
    network: str = attrs.field(default="webhook", validator=named, kw_only=True)

    @property
    def traits(self) -> Traits:
        """Return what the format can say; an answer that may be lost goes again, under its id."""
        return attrs.evolve(_TRAITS, network=self.network, max_text=self.max_text)

    def using(self, state: ChannelState) -> Self:
        """Return this channel with a renewed `"secret"`."""
        renewed = state.credentials.get("secret")
        return self if renewed is None else attrs.evolve(self, secret=renewed)

    # -- in

    def receive(self, hook: Webhook) -> Delivery:
        """Prove a delivery genuine, then read its events one by one.

        Args:
            hook: The request as it arrived.

        Raises:
            WebhookRejected: If it is not signed with one of the secrets within five minutes.
            PayloadError: If it is genuine, and no delivery of this format.
        """
        verify_standard(
            self.secret,
            hook.body,
            hook.headers.get("webhook-signature"),
            message_id=hook.headers.get("webhook-id"),
            timestamp=hook.headers.get("webhook-timestamp"),
            now=hook.at,
        )
        found = mapping(read_json(hook.body), "the body")
        facts, unreadable = one_by_one(items(found, "events"), self._facts)
        return Delivery(facts, unreadable)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined event again.

        Args:
            raw: The event as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it still cannot be read.
            InvalidValue: If it still cannot be read.
        """
        return Delivery(tuple(self._facts(mapping(read_json(raw), "the event"))))

    def _facts(self, event: dict[str, Any]) -> Iterable[Fact]:
        kind = word(event, "type")
        read = _READS.get(kind)
        if read is None:
            raise PayloadError(f"type is {kind!r:.40}; it is one of {', '.join(_READS)}")
        yield read(self, event)

    def _message(self, event: Mapping[str, Any]) -> Message:
        return Message(
            self.name,
            "message",
            word(event, "id"),
            _author(event),
            word(event, "text") if not event.get("attachments") else perhaps(event, "text"),
            from_text(event.get("at")),
            thread=perhaps(event, "conversation") or None,
            parent=perhaps(event, "reply_to") or None,
            visibility=member(Visibility, perhaps(event, "visibility") or "private", "visibility"),
            language=perhaps(event, "language") or None,
            attachments=tuple(map(_attachment, mappings(event, "attachments"))),
            permalink=perhaps(event, "permalink") or None,
            raw=compact(event),
        )

    def _inbound(self, event: Mapping[str, Any]) -> Inbound:
        return Inbound(self._message(event), event.get("history") is True)

    def _answer(self, event: Mapping[str, Any]) -> Outbound:
        to = _author(event, "to").id if event.get("to") is not None else None
        mark, history = perhaps(event, "webhook_id") or None, event.get("history") is True
        return Outbound(self._message(event), to, mark, backfill=history)

    def _key(self, event: Mapping[str, Any]) -> tuple[str, str, str]:
        return self.name, "message", word(event, "id")

    def _edit(self, event: Mapping[str, Any]) -> Edit:
        words = word(event, "revision"), word(event, "text")
        return Edit(*self._key(event), *words, from_text(event.get("at")))

    def _removal(self, event: Mapping[str, Any]) -> Removal:
        by = perhaps(event, "by") or "author"
        at, hidden = from_text(event.get("at")), event.get("hidden") is True
        return Removal(*self._key(event), at, by, hidden)

    def _reaction(self, event: Mapping[str, Any]) -> Reaction:
        emoji, at = perhaps(event, "emoji"), from_text(event.get("at"))
        return Reaction(*self._key(event), _author(event), emoji, at)

    def _status(self, event: Mapping[str, Any]) -> StatusReport:
        said = word(event, "status"), from_text(event.get("at")), perhaps(event, "reason")
        return StatusReport(
            self.name, word(event, "id"), *said, perhaps(event, "webhook_id") or None
        )

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """POST an answer to the app; what may have been lost goes again under the same id.

        Args:
            message: What to send.

        Raises:
            SendError: One of its kinds says what became of it.
            Unsupported: If it answers nothing, or holds what the format cannot say.
        """
        check_powers(message, self.traits)
        if message.reply_to is None:
            raise Unsupported("the format answers messages: let your app show announcements itself")
        said = {
            "type": "answer",
            "format": _FORMAT,
            "conversation": message.thread,
            "reply_to": message.reply_to[1],
            "to": attrs.asdict(message.to),
            "text": message.text,
            "by": str(message.by),
            "visibility": str(message.visibility),
            "language": message.language,
            "quick_replies": list(message.quick_replies),
            "attachments": [attrs.asdict(each) for each in message.attachments],
        }
        try:
            at = yield from self._time()
        except TransportError as error:
            raise NotSent(f"the app does not answer: {error}") from None
        request = self._post(said, message.mark, at, posts=True)
        return (yield from ask(request, lambda made: _receipt(made, at), *self.secret))

    def _time(self) -> Flow[datetime]:
        """Ask whether the app is there; whatever it answers under 500 bears the time."""
        answer: Response = yield Request("GET", self.url, {"Accept": "application/json"})
        if answer.status >= 500 or answer.status == 429 or answer.at is None:
            raise TransportError(f"GET gives {answer.status}", sent=True)
        return answer.at

    def _post(self, said: Mapping[str, Any], key: str, at: datetime, *, posts: bool) -> Request:
        kept = {name: value for name, value in said.items() if value not in (None, [], ())}
        body = compact(kept).encode("utf-8", "replace")
        signed = sign_standard(self.secret, body, message_id=key, at=at)
        headers = {"Content-Type": "application/json", "Accept": "application/json", **signed}
        return Request("POST", self.url, headers, body, posts=posts, repeatable=False)

    # -- how it is

    def check(self) -> Flow[Health]:
        """Send the app a signed `ping`, which nobody sees and any 2xx answers.

        Raises:
            RateLimited: If the app wants us to pause.
        """
        try:
            at = yield from self._time()
            ping = self._post({"type": "ping", "format": _FORMAT}, "ping", at, posts=False)
            answer: Response = yield ping
        except (TransportError, SendError) as error:
            return Health(False, (f"the app does not answer at its address: {error}",))
        if 200 <= answer.status < 300:
            return Health(True, notes=("the app accepts our signature",))
        signature = "; is the secret the same on both sides?" if answer.status in (401, 403) else ""
        return Health(False, (f"the app answers a signed ping with {answer.status}{signature}",))


def _receipt(made: Any, at: datetime) -> Receipt:
    found = mapping(made, "the answer")
    when = from_text(found["at"]) if found.get("at") is not None else at
    return Receipt(word(found, "id"), when, perhaps(found, "permalink") or None)


_READS: Mapping[str, Callable[[GenericWebhook, Mapping[str, Any]], Fact]] = {
    "message": GenericWebhook._inbound,  # noqa: SLF001  # of this file
    "answer": GenericWebhook._answer,  # noqa: SLF001
    "edit": GenericWebhook._edit,  # noqa: SLF001
    "removal": GenericWebhook._removal,  # noqa: SLF001
    "reaction": GenericWebhook._reaction,  # noqa: SLF001
    "status": GenericWebhook._status,  # noqa: SLF001
}
