"""Answer the customers of a page on Messenger, in private, within the window that Meta allows.

In: signed webhooks. A message's own id is its identity, so that a batch may come twice, late and
in any order. Echoes of our own replies carry our mark and are their receipts; other echoes are
somebody's answer in the page's inbox, or another app's. Out: one call of the Send API a part.
A reply that may have been lost is proved by its echo, or looked for in the thread, which shows no
mark: then author, recipient, time and words must agree. Every call carries the proof that it is
ours, so that an app can be set to require it, and a token that was stolen is worth nothing:
https://developers.facebook.com/docs/graph-api/guides/secure-requests.

What Messenger reports and holds no words is passed over: reads (they name no message), deliveries
that name none, opt-ins, referrals, account links, and which app has the thread. Anything else that
is not known here goes into quarantine.

Sources: the pages under
https://developers.facebook.com/documentation/business-messaging/messenger-platform/, above all
webhooks, webhooks/webhook-events, send-messages, conversations, error-codes and policy.
(Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import attrs

from supportflow.channels import (
    Ambiguous,
    Delivery,
    Found,
    Health,
    NeedsAuth,
    NotSent,
    Reconcile,
    SendError,
    Traits,
)
from supportflow.channels.meta import (
    Item,
    OutsideWindow,
    challenge,
    gather,
    moment,
    outcome,
    proof,
    receipt,
    secret,
    secrets,
    verified,
)
from supportflow.errors import (
    InvalidValue,
    PayloadError,
    TransportError,
    Unsupported,
    WebhookRejected,
)
from supportflow.flow import Flow
from supportflow.http import Request, Response, Webhook, read_json
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    ChannelState,
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Secret,
    StatusReport,
    Visibility,
)
from supportflow.text.fields import compact, mapping, mappings, perhaps, word
from supportflow.text.moments import from_text

__all__ = ["Messenger"]

#: "must be UTF-8 and less than 2000 characters", elsewhere "2,000 characters", of which kind is
#: not said: https://developers.facebook.com/docs/messenger-platform/reference/send-api
_MAX_TEXT = 2000
#: https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/quick-replies
_MAX_REPLIES, _MAX_TITLE = 13, 20
#: https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/template/generic
_MAX_ELEMENT = 80
_MAX_URL = 2048

#: The most attachments and elements of one message, and reports of one event, that are read: each
#: becomes a value, and a megabyte of them took half a second. Far beyond what people send. Ours.
_MAX_LIST = 500
#: How far Meta's clock may be behind ours.
_SKEW = timedelta(seconds=5)
#: How many messages a page of a thread holds, and how many pages a search for ours reads. Ours.
_PAGE, _PAGES = 25, 20
_FIELDS = "id,message,created_time,from,to"
#: A read that is refused only says why, not until when.
_UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)

# Any, because the converter of the field hides its type from mypy.
_POWERS: Any = ("card", "quick_replies")

_TRAITS = Traits(
    "messenger",
    max_text=_MAX_TEXT,
    reconcile=Reconcile.echo,
    settle=timedelta(seconds=60),
    window=timedelta(hours=24),
    human_window=timedelta(days=7),
    visibilities=("private",),
    powers=_POWERS,
    inbound=("webhook",),
    unsupported={
        "public replies": "a thread is private; comments belong to the page's own channel",
        "deletions": "no webhook tells that a message was unsent; it stays as it was first seen",
        "read receipts": "they name no message; delivery is the last that is known of one",
        "names": "webhooks give the customer's id alone",
        "automatic responses": "the page's own look like a person's: turn them off in its inbox",
        "several pages": "one channel each; what is about another page goes into quarantine",
    },
)

#: What must be subscribed to, and what is missed otherwise.
_NEEDED: Mapping[str, str] = {
    "messages": "nothing that customers write arrives",
    "messaging_postbacks": "buttons that customers tap stay unseen",
    "message_echoes": "answers given in the page's inbox stay unseen, and lost answers unproved",
    "message_edits": "a customer's edits stay unseen",
}
_USEFUL: Mapping[str, str] = {
    "message_reactions": "reactions stay unseen",
    "message_deliveries": "it stays unknown whether a reply was delivered",
}
_SILENT = frozenset(
    {
        "read",
        "optin",
        "referral",
        "account_linking",
        "app_roles",
        "pass_thread_control",
        "take_thread_control",
        "request_thread_control",
    }
)
_PLAIN_EVENT = frozenset({"sender", "recipient", "timestamp", "message"})
_PLAIN_MESSAGE = frozenset({"mid", "text"})

_MARK = re.compile(r"[a-z2-7]{24}")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
_CURSOR = re.compile(r"[A-Za-z0-9_=+/-]{1,1000}")


def _page(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidValue(f"page_id is {value!r:.60}; it is the page's number, as a string")


def _version(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise InvalidValue(f"version is {value!r:.60}; write it as in 'v23.0'")


def _named(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue(f"name is {value!r:.60}; it must be a string that is not empty")


def _base(value: str) -> str:
    parts = urlsplit(str(value))
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.username:
        raise InvalidValue(f"base_url leads to {parts.hostname!r}; give it as in 'https://host'")
    return str(value).rstrip("/")


def _app(value: str | int | None) -> str | None:
    return None if value is None else str(value)


# -- in


def _ends(event: Mapping[str, Any], page: str) -> tuple[str, str]:
    """Return who sent to whom; one of the two must be the page."""
    sender = word(mapping(event.get("sender"), "sender"), "id")
    recipient = word(mapping(event.get("recipient"), "recipient"), "id")
    if (sender == page) == (recipient == page):
        raise PayloadError(f"from {sender!r:.60} to {recipient!r:.60}: one of them must be {page}")
    return sender, recipient


def _bounded(item: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list of at most `_MAX_LIST`; nothing is an empty one."""
    found = item.get(name) or []
    if not isinstance(found, list):
        raise PayloadError(f"{name} is {type(found).__name__}, not a list")
    if len(found) > _MAX_LIST:
        raise PayloadError(f"{name} has {len(found)} items; at most {_MAX_LIST} are read")
    return found


def _attachment(item: Mapping[str, Any]) -> Attachment:
    payload = mapping(item.get("payload") or {}, "payload")
    url = perhaps(payload, "url") or perhaps(item, "url")
    title = perhaps(item, "title") or perhaps(payload, "title")
    if _bounded(payload, "elements"):
        titles = [perhaps(each, "title") for each in mappings(payload, "elements")]
        title = title or next(filter(None, titles), "")
    return Attachment(word(item, "type"), url, title)


def _parent(content: Mapping[str, Any]) -> str | None:
    return perhaps(mapping(content.get("reply_to") or {}, "reply_to"), "mid") or None


@attrs.define
class _Event:
    """Hold one event with what all kinds have, and read it as facts of its channel."""

    channel: str
    page: str
    item: Item
    event: dict[str, Any]
    sender: str
    recipient: str

    @classmethod
    def of(cls, channel: str, page: str, item: Item) -> Self:
        event = mapping(item.value, "the event")
        if item.place == "changes":
            event = mapping(event.get("value"), f"the value of {event.get('field')!r:.60}")
        return cls(channel, page, item, event, *_ends(event, page))

    def facts(self) -> Iterable[Fact]:
        for kind, read in _READ.items():
            if kind in self.event:
                return read(self, mapping(self.event[kind], kind))
        if self.event.keys() & _SILENT:
            return ()
        kinds = ", ".join(sorted(self.event.keys() - _PLAIN_EVENT))
        raise PayloadError(f"an event of a kind that is not known here: {kinds:.200}")

    def at(self) -> datetime:
        return moment(self.event.get("timestamp"))

    def _message(self, kind: str, name: str, text: str, content: Mapping[str, Any]) -> Message:
        author = Author(self.sender)
        customer = self.recipient if self.sender == self.page else self.sender
        place, private = self.item.place, Visibility.private
        bare = content.keys() <= _PLAIN_MESSAGE and self.event.keys() <= _PLAIN_EVENT
        _bounded(content, "attachments")
        if bare and place == "messaging":
            at = self.at()
            return Message(self.channel, kind, name, author, text, at, customer, visibility=private)
        return Message(
            self.channel,
            kind,
            name,
            author,
            text,
            self.at(),
            customer,
            _parent(content),
            private,
            attachments=tuple(map(_attachment, mappings(content, "attachments"))),
            tags=("standby",) if place == "standby" else (),
            raw=None if bare else self.item.alone(),
        )

    def message(self, content: dict[str, Any]) -> Iterable[Fact]:
        message = self._message("message", word(content, "mid"), perhaps(content, "text"), content)
        echo = content.get("is_echo") is True
        if echo != (self.sender == self.page):
            raise PayloadError("the page speaks in echoes, and customers do not")
        if not echo:
            return (Inbound(message),)
        metadata = content.get("metadata")
        ours = isinstance(metadata, str) and _MARK.fullmatch(metadata) is not None
        return (Outbound(message, self.recipient, metadata if ours else None),)

    def postback(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Take a tapped button as the words on it.

        Whether `mid` is the tap's own or that of the message with the button is not documented:
        with its time it names one tap either way.
        """
        text = perhaps(content, "title") or perhaps(content, "payload")
        name = f"{perhaps(content, 'mid') or self.sender}:{self.event.get('timestamp')}"
        if self.sender == self.page:
            raise PayloadError("a postback of the page itself")
        return (Inbound(self._message("postback", name, text, content)),)

    def message_edit(self, content: dict[str, Any]) -> Iterable[Fact]:
        number = content.get("num_edit")
        if not isinstance(number, int | str) or not re.fullmatch(r"[0-9]{1,9}", str(number)):
            raise PayloadError(f"num_edit is {number!r:.60}; it must be a whole number")
        name, text = word(content, "mid"), perhaps(content, "text")
        return (Edit(self.channel, "message", name, str(int(number)), text, self.at()),)

    def reaction(self, content: dict[str, Any]) -> Iterable[Fact]:
        back = word(content, "action") == "unreact"
        emoji = "" if back else perhaps(content, "emoji") or word(content, "reaction")
        name = word(content, "mid")
        return (Reaction(self.channel, "message", name, Author(self.sender), emoji, self.at()),)

    def delivery(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Report each message that is named; the only time given is the watermark."""
        names = _bounded(content, "mids")
        if not names:
            return ()
        at, ids = moment(content.get("watermark")), [word({"mid": n}, "mid") for n in names]
        return [StatusReport(self.channel, each, "delivered", at) for each in ids]


_READ: Mapping[str, Callable[[_Event, dict[str, Any]], Iterable[Fact]]] = {
    "message": _Event.message,
    "postback": _Event.postback,
    "message_edit": _Event.message_edit,
    "reaction": _Event.reaction,
    "delivery": _Event.delivery,
}


# -- out


def _fits(text: str, most: int, what: str, instead: str) -> str:
    if not text.strip() or len(text) > most:
        raise Unsupported(
            f"{what} has {len(text)} characters; Messenger takes 1 to {most}: {instead}"
        )
    return text


def _link(url: str, what: str) -> str:
    if not url.startswith(("https://", "http://")) or len(url) > _MAX_URL:
        raise Unsupported(f"{what} is {url!r:.60}; Messenger takes an http or https URL")
    return url


def _element(card: Card, text: str) -> dict[str, Any]:
    """Show a card with the words of its part beneath its title: there is no other place."""
    subtitle = "\n".join(filter(None, (text, card.subtitle)))
    hint = "give the card a short last part of its own, as in [text, 'EUR 49.90']"
    found: dict[str, Any] = {
        "title": _fits(card.title, _MAX_ELEMENT, "the card's title", "shorten it"),
        "subtitle": _fits(subtitle, _MAX_ELEMENT, "the text with the card's subtitle", hint),
    }
    if card.image:
        found["image_url"] = _link(card.image, "the card's image")
    button = _fits(card.button, _MAX_TITLE, "the card's button", "shorten it")
    url = _link(card.url, "the card's url")
    return {**found, "buttons": [{"type": "web_url", "title": button, "url": url}]}


def _content(message: Outgoing) -> dict[str, Any]:
    """Return the `message` of a call; what Messenger cannot express is refused."""
    if message.visibility is not Visibility.private:
        raise Unsupported("Messenger is private; a public answer belongs beneath a comment")
    content: dict[str, Any] = {"metadata": message.mark}
    if message.card is None:
        hint = "send it as several parts"
        content["text"] = _fits(message.text, _MAX_TEXT, "the text", hint)
    else:
        elements = [_element(message.card, message.text)]
        payload = {"template_type": "generic", "elements": elements}
        content["attachment"] = {"type": "template", "payload": payload}
    if len(message.quick_replies) > _MAX_REPLIES:
        given = len(message.quick_replies)
        raise Unsupported(f"{given} quick replies; Messenger shows at most {_MAX_REPLIES}")
    titles = [_fits(t, _MAX_TITLE, "a quick reply", "shorten it") for t in message.quick_replies]
    if titles:
        content["quick_replies"] = [
            {"content_type": "text", "title": title, "payload": title} for title in titles
        ]
    return content


# -- looking for our own


def _canonical(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


@attrs.define
class _Search:
    """Look through a thread, newest first, for a message of ours (RELIABILITY 2.5, rule 2)."""

    message: Outgoing
    page: str
    since: datetime
    found: Receipt | None = None
    hidden: bool = False
    back: bool = False

    def see(self, nodes: Iterable[dict[str, Any]]) -> None:
        """Take note of a page of messages; keep the oldest that fits, the nearest to the send."""
        for node in nodes:
            name, at = word(node, "id"), from_text(node.get("created_time"))
            # All was read if we came back to before the send, or to the message that it answers.
            answered = self.message.reply_to is not None and self.message.reply_to[1] == name
            self.back = self.back or at < self.since or answered
            if at < self.since or name in self.message.known or not self._is_ours(node):
                continue
            text = perhaps(node, "message")
            if self.message.card is not None:
                # No read shows what a template says.
                self.hidden = self.hidden or not text
            elif _canonical(text) == _canonical(self.message.text):
                self.found = Receipt(name, at)

    def _is_ours(self, node: Mapping[str, Any]) -> bool:
        author = word(mapping(node.get("from"), "from"), "id")
        to = mappings(mapping(node.get("to"), "to"), "data")
        return author == self.page and [word(each, "id") for each in to] == [self.message.to.id]

    def result(self) -> Found:
        if self.found is not None:
            return Found(self.found)
        if not self.back:
            return Found(looked=False, why="the thread could not be read back to the send")
        if self.hidden:
            return Found(looked=False, why="a card shows no words in the thread; its echo decides")
        return Found()


def _after(edge: Mapping[str, Any]) -> str | None:
    """Return the cursor of the next page; its URL is not followed, wherever it leads."""
    paging = mapping(edge.get("paging") or {}, "paging")
    if "next" not in paging:
        return None
    after = word(mapping(paging.get("cursors"), "cursors"), "after")
    if not _CURSOR.fullmatch(after):
        raise PayloadError(f"the cursor is {after!r:.60}")
    return after


def _nodes(edge: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "data" not in edge:
        raise PayloadError("the answer has no data")
    return mappings(edge, "data")


@attrs.frozen
class Messenger:
    """Serve one page on Messenger.

    Args:
        page_id: The page's id.
        token: A page access token, with `pages_messaging`, and to look for lost replies
            `pages_read_engagement` and `pages_manage_metadata`.
        app_secret: The app's secret, with which webhooks are signed and every call is proved
            (`appsecret_proof`); several during a rotation, the current one first.
        verify_token: The word that you chose for the handshake; several while it changes.
        app_id: The app's id; only `check` uses it.
        version: The version of the Graph API.
        base_url: Where the Graph API is.
        name: The channel's name.

    Raises:
        InvalidValue: If a secret is missing, or another argument cannot be accepted.

    Example:
        >>> Messenger("77", token="EAAG", app_secret="5ec", verify_token="a word")
        ... # doctest: +ELLIPSIS
        Messenger(page_id='77', token=Secret('…'), app_secret=(Secret('…'),), ...)
    """

    page_id: str = attrs.field(validator=_page)
    token: Secret = attrs.field(default=None, converter=secret, kw_only=True)
    app_secret: tuple[Secret, ...] = attrs.field(default=None, converter=secrets, kw_only=True)
    verify_token: tuple[Secret, ...] = attrs.field(default=None, converter=secrets, kw_only=True)
    app_id: str | None = attrs.field(default=None, converter=_app, kw_only=True)
    version: str = attrs.field(default="v23.0", validator=_version, kw_only=True)
    base_url: str = attrs.field(default="https://graph.facebook.com", converter=_base, kw_only=True)
    name: str = attrs.field(default="messenger", validator=_named, kw_only=True)

    @property
    def traits(self) -> Traits:
        """Return what Messenger can do."""
        return _TRAITS

    def using(self, state: ChannelState) -> Self:
        """Return this channel with the token that was persisted, if there is one."""
        renewed = state.credentials.get("token")
        return self if renewed is None else attrs.evolve(self, token=renewed)

    # -- in

    def receive(self, hook: Webhook) -> Delivery:
        """Answer the handshake, or read a batch that is proved genuine.

        Meta signs no time: a body that is sent again is genuine, and changes nothing, because
        what it reports is known by Meta's own ids.

        The work is bounded: 20,000 values of JSON, 2,000 events and 2,000 facts a body, and 500
        attachments a message or messages a report of delivery. A body of more goes into
        quarantine whole, an event of more alone: nothing that people or Meta send comes near,
        and whatever is as large shall not keep other customers waiting.

        Args:
            hook: The request as it arrived.

        Raises:
            WebhookRejected: If it is not proved genuine.
            PayloadError: If it is genuine and no batch of a page, or too much at once.
        """
        if hook.method == "GET":
            return Delivery(response=challenge(hook, self.verify_token))
        if hook.method != "POST":
            raise WebhookRejected(f"{hook.method:.10} is no way to deliver a webhook", status=405)
        read = self._gather(verified(hook, self.app_secret))
        return attrs.evolve(read, response=Response(200, at=hook.at))

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined event again.

        Args:
            raw: A batch as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it is no batch of a page.
        """
        return self._gather(read_json(raw))

    def _gather(self, batch: Any) -> Delivery:
        return gather(
            batch,
            "page",
            self.page_id,
            lambda item: _Event.of(self.name, self.page_id, item).facts(),
        )

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Send one part of a reply.

        A person's reply that comes after the 24 hours goes out under the tag `HUMAN_AGENT`,
        which Meta allows to persons alone; one that was queued within them and refused
        because they have ended since, a second time with it.

        With a card, the part's text stands beneath the card's title, before its subtitle:
        Messenger has no place for more, and 80 characters for both.

        Args:
            message: What to send.

        Raises:
            Unsupported: If Messenger cannot express it; nothing was asked then.
            SendError: One of its kinds says what became of it.
        """
        content, person = _content(message), message.by is AgentKind.person
        last, window = message.last_inbound_at, _TRAITS.window
        late = last is not None and window is not None and message.queued_at - last >= window
        try:
            return (yield from self._attempt(message, content, tagged=person and late))
        except OutsideWindow:
            if late or not person:
                raise
        return (yield from self._attempt(message, content, tagged=True))

    def _attempt(
        self, message: Outgoing, content: dict[str, Any], *, tagged: bool
    ) -> Flow[Receipt]:
        try:
            response = yield self._post(message, content, tagged=tagged)
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        body = outcome(response, message.queued_at, self._secrets())
        return receipt(body, "message_id", response.at or message.queued_at)

    def _post(self, message: Outgoing, content: dict[str, Any], *, tagged: bool) -> Request:
        kind = {"messaging_type": "RESPONSE"}
        if tagged:
            kind = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
        call = {"recipient": {"id": message.to.id}, **kind, "message": content}
        headers = {**self._headers(), "Content-Type": "application/json"}
        body = compact(call).encode("utf-8", "backslashreplace")
        return Request("POST", self._url(f"{self.page_id}/messages"), headers, body, posts=True)

    def _secrets(self) -> tuple[Secret, ...]:
        return (self.token, *self.app_secret, *self.verify_token)

    def _headers(self) -> dict[str, str]:
        # In a header, not in the URL as in Meta's examples: URLs are logged on the way.
        return {"Authorization": f"Bearer {self.token.reveal()}"}

    def _url(self, path: str, **query: str) -> str:
        # The proof may be logged: it proves nothing without the token, and the token nothing
        # without it where the app requires it. In a body of JSON it might not be looked for.
        asked = urlencode({**query, "appsecret_proof": proof(self.token, self.app_secret[0])})
        return f"{self.base_url}/{self.version}/{path}?{asked}"

    def _get(self, path: str, **query: str) -> Flow[dict[str, Any]]:
        response = yield Request("GET", self._url(path, **query), self._headers())
        return outcome(response, _UNTIMED, self._secrets())

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for a message of ours in its thread.

        Reads show no metadata, so that a match needs our page as the author, the customer as
        the recipient, a time not before the send, the same words, and an id that no other
        reply of ours has. Absent means something only if the thread was read back to the send.

        Args:
            message: What was perhaps sent.
        """
        since = (message.first_sent_at or message.queued_at) - _SKEW
        search = _Search(message, self.page_id, since)
        try:
            yield from self._look(search)
        except (SendError, PayloadError) as error:
            return Found(search.found, search.found is not None, str(error))
        return search.result()

    def _look(self, search: _Search) -> Flow[None]:
        threads = yield from self._get(
            f"{self.page_id}/conversations",
            platform="messenger",
            user_id=search.message.to.id,
            fields=f"id,messages.limit({_PAGE}){{{_FIELDS}}}",
        )
        found = _nodes(threads)
        if found:
            yield from self._read_back(search, found[0])

    def _read_back(self, search: _Search, thread: Mapping[str, Any]) -> Flow[None]:
        """Read a thread page by page, as far as is needed and allowed."""
        name = word(thread, "id")
        if not _NAME.fullmatch(name):
            raise PayloadError(f"the thread's id is {name!r:.60}")
        edge = mapping(thread.get("messages"), "messages")
        search.see(_nodes(edge))
        for _ in range(_PAGES - 1):
            after = _after(edge)
            if search.back or after is None:
                return
            edge = yield from self._get(
                f"{name}/messages", fields=_FIELDS, limit=str(_PAGE), after=after
            )
            search.see(_nodes(edge))

    # -- health

    def check(self) -> Flow[Health]:
        """Ask whether the token, the app's secret and the subscriptions are as they must be."""
        problems: list[str] = []
        notes: list[str] = []
        try:
            yield from self._check_page(problems)
            yield from self._check_subscriptions(problems, notes)
            yield from self._check_reads(notes)
        except NeedsAuth as error:
            hint = "make a page access token with pages_messaging and pass it as token"
            if "appsecret_proof" in str(error):
                hint = "app_secret is not that of the token's app: copy it, the current one first"
            problems.append(f"{error}; {hint}")
        except (SendError, PayloadError, TransportError) as error:
            problems.append(f"the Graph API gave no usable answer: {error}")
        return Health(not problems, tuple(problems), tuple(notes))

    def _check_page(self, problems: list[str]) -> Flow[None]:
        """Prove the token to be the page's; the proof in every call is checked before that."""
        me = yield from self._get("me", fields="id,name")
        name = word(me, "id")
        if name != self.page_id:
            problems.append(
                f"the token is that of {perhaps(me, 'name')!r:.60} ({name:.60}), not of page "
                f"{self.page_id}: make a page access token for it"
            )

    def _check_subscriptions(self, problems: list[str], notes: list[str]) -> Flow[None]:
        apps = _nodes((yield from self._get(f"{self.page_id}/subscribed_apps")))
        ours = [app for app in apps if self.app_id in (None, app.get("id"))]
        if not ours:
            problems.append(
                f"the app {self.app_id or ''} is not subscribed to the page: POST "
                f"/{self.page_id}/subscribed_apps with subscribed_fields={','.join(_NEEDED)}"
            )
            return
        lists = [app.get("subscribed_fields") for app in ours]
        fields = [field for each in lists if isinstance(each, list) for field in each]
        for wanted, said in ((_NEEDED, problems), (_USEFUL, notes)):
            said += [
                f"the app is not subscribed to {name}: {why}"
                for name, why in wanted.items()
                if name not in fields
            ]

    def _check_reads(self, notes: list[str]) -> Flow[None]:
        path = f"{self.page_id}/conversations"
        try:
            yield from self._get(path, platform="messenger", fields="id", limit="1")
        except SendError as error:
            notes.append(
                f"lost replies cannot be looked for, their echoes alone prove them: {error}"
            )
