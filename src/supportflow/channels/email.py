"""Answer e-mail: an IMAP mailbox is read, and answers are handed in over SMTP.

In: what arrives in one mailbox, by its UID. Our answers stand in their thread by `References`; a
message is known by its Message-ID and its content, because some senders give all theirs one id. What
machines send (RFC 3834: automatic answers, lists, newsletters) goes into quarantine, from where a
person can replay it; a bounce that names one of our messages is its failure. Where the server files
what we send, that mailbox is read too: it shows what somebody wrote in a mail program.

Out: one message to one address, with a Message-ID that is made of the outbox row, before the send:
it is the receipt once the server has accepted the message. The header of the message that is
answered is read first, for its subject and references, and so that no machine answers a machine.

The requests are those of `supportflow.mail`. (Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlencode, urlsplit

import attrs

from supportflow.channels import (
    Ambiguous,
    Delivery,
    Found,
    Health,
    NeedsAuth,
    NotSent,
    Page,
    RateLimited,
    Reconcile,
    Refused,
    SendError,
    Traits,
    Unreadable,
)
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import ask, items, one_by_one
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError, Unsupported
from supportflow.flow import Flow
from supportflow.http import MAX_RESPONSE, Request, Response, read_json, retry_at
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    ChannelState,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    Secret,
    StatusReport,
    Visibility,
    aware,
)
from supportflow.model.values import strings
from supportflow.text import storable
from supportflow.text.fields import compact, mapping, word
from supportflow.text.mime import Letter, read_letter
from supportflow.text.moments import from_text

__all__ = ["Email"]

#: How many messages one poll reads of a mailbox.
_PAGE = 20
#: What a first poll takes for news unless `since` is given, and how far a mailbox that was numbered
#: anew is read back (a day more than needed: IMAP searches by whole days, in any zone). Ours.
_FRESH, _BACK = timedelta(days=1), timedelta(days=2)
#: How long a References field may become, in characters: a line has 998 (RFC 5322, 2.1.1).
_ROOM = 900
#: The longest subject that is repeated, in characters. Ours.
_SUBJECT = 200

_ADDRESS = re.compile(r"[^\s<>@\"(),:;\\]{1,64}@[^\s<>@\"(),:;\\\[\]]{1,255}\Z")
_ID = re.compile(r"[!-;=?-~]{1,250}\Z")
_MARK = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")
_OURS = re.compile(r"[a-z2-7]{24}\Z")
_DIGEST = re.compile(r"/[0-9a-f]{12}\Z")
_STATUSES = {"failed": "failed", "delivered": "delivered"}
#: How each way in is proved, by its SASL name (RFC 4616, and
#: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).
_PROOFS = {
    "PLAIN": "\0{user}\0{secret}",
    "XOAUTH2": "user={user}\x01auth=Bearer {secret}\x01\x01",
}

_TRAITS = Traits(
    "email",
    max_text=100_000,  # ours: no server refuses that
    reconcile=Reconcile.blind,
    settle=timedelta(seconds=60),
    hold_for=timedelta(0),
    visibilities=("private",),
    poll_every=timedelta(seconds=60),
    rates={"sending": "the provider's own; 421 and 454 pause the account for a minute"},
    unsupported={
        "announcements": "mail that nobody asked for needs consent and a way out: use a newsletter",
        "attachments": "put a link into the text",
        "edits": "a message that was sent stays as it is",
        "deletions": "what a customer sent cannot be taken back",
        "read receipts": "they are asked for by few and sent by fewer",
    },
)


def _server(value: str, *schemes: str) -> str:
    """Return a server's address; the last of the schemes is for loopback only."""
    text = str(value) if "://" in str(value) else f"{schemes[0]}://{value}"
    parts = urlsplit(text)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in schemes or (parts.scheme == schemes[-1] and not local) or not host:
        known = ", ".join(schemes[:-1])
        raise InvalidValue(
            f"{parts.scheme}://{host} is no server: {known}; {schemes[-1]} for loopback only"
        )
    if extra:
        raise InvalidValue(f"give the server alone, as in {parts.scheme}://{host}")
    return f"{parts.scheme}://{parts.netloc}"


def _smtp(value: str) -> str:
    return _server(value, "smtps", "smtp+starttls", "smtp")


def _imap(value: str) -> str:
    return _server(value, "imaps", "imap")


def _addresses(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_address, strings(values)))


def _address(value: str) -> str:
    found = str(value).strip().lower()
    if not _ADDRESS.match(found):
        raise InvalidValue(f"{value!r:.80} is no address, such as support@shop.example")
    return found


def _name(_: object, field: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidValue(f"{field.name} is {value!r:.60}; it must be printable and not empty")


def _proof(_: object, __: object, value: str) -> None:
    if value not in _PROOFS:
        raise InvalidValue(f"login is {value!r:.40}; it is one of {', '.join(_PROOFS)}")


def _moment_of(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "since")


@attrs.frozen
class _Place:
    """Say how far a mailbox was read."""

    uidvalidity: int = 0
    uid: int = 0
    day: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> dict[str, _Place]:
        """Return the places in a cursor; none of one that is not ours."""
        try:
            found = mapping(read_json((cursor or "").encode("utf-8", "replace")), "the cursor")
            return {name: cls._of(mapping(place, name)) for name, place in found.items()}
        except PayloadError:
            return {}

    @classmethod
    def _of(cls, place: Mapping[str, Any]) -> _Place:
        validity, uid, day = (place.get(f.name) for f in attrs.fields(cls))
        if type(validity) is int and type(uid) is int and isinstance(day, str):
            return cls(validity, uid, from_text(f"{day}T00:00:00Z").date().isoformat())
        raise PayloadError("no place in a mailbox")


def _count(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    if type(value) is not int or value < 0:
        raise PayloadError(f"{name} is {value!r:.40}, not a number")
    return value


def _source(item: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Return what was fetched of a message, and whether that is all of it."""
    size = _count(item, "size")
    if item.get("source") is None:
        raise PayloadError("the server did not give the message; read it in the mailbox")
    try:
        source = base64.b64decode(word(item, "source"), validate=True)
    except (binascii.Error, ValueError):
        raise PayloadError("source is not base64") from None
    return source, len(source) >= size


def _written(address: str) -> str:
    """Return an address as it is written in a message: its domain in ASCII."""
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return address


def _halves(address: str) -> tuple[str, str]:
    local, _, domain = address.rpartition("@")
    return local, domain


def _subject(letter: Letter | None) -> str:
    words = "".join(c for c in letter.subject if c.isprintable())[:_SUBJECT] if letter else ""
    if letter is None or not words:
        return "Re: your message"
    return words if letter.answers else f"Re: {words}"


def _references(chain: Iterable[str]) -> str:
    """Return a References field: the root, and as many of the last as there is room for."""
    root, *others = dict.fromkeys(each for each in chain if _ID.match(each))
    while sum(map(len, (root, *others))) + 4 * len(others) > _ROOM and others:
        del others[0]
    return "\r\n ".join(f"<{each}>" for each in (root, *others))


@attrs.frozen
class Email:
    """Take what customers write to one address, and answer them.

    Args:
        address: The shop's own address, which answers come from.
        password: The account's password, often one for this program alone; an access token for
            `login="XOAUTH2"`.
        smtp: Where answers are handed in: `"smtps://smtp.shop.example"` (or the host alone), or
            `"smtp+starttls://…"`; `smtp:` on loopback only.
        imap: Where mail is read: `"imaps://imap.shop.example"` or the host alone; `imap:` on
            loopback only.
        user: The account's name, if it is not the address.
        sender: What customers see beside the address, for example the shop's name.
        login: `"PLAIN"` for a password, `"XOAUTH2"` for an access token (Gmail, Microsoft 365).
        mailbox: What is read.
        sent: The mailbox in which the server itself files what is handed in, for example
            `"[Gmail]/Sent Mail"`. Then what may have been lost is looked for there, and what
            somebody writes in a mail program is seen. Empty where it files nothing.
        forms: Addresses of contact forms of ours: their customer is in `Reply-To`.
        name: The channel's name; another account needs another one.
        since: What a first poll takes for news (aware); a day before it by default.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> Email("support@shop.example", password="…", smtp="smtp.shop.example",
        ...       imap="imap.shop.example").traits.reconcile.value
        'blind'
    """

    setup: ClassVar[Setup] = Setup(
        "Read a mailbox over IMAP and answer over SMTP.",
        needs=(
            Need("address", "the shop's address, such as support@shop.example"),
            Need(
                "password", "the account's password, best one for this program alone", secret=True
            ),
            Need("smtp", "the server that takes mail, such as smtps://smtp.shop.example"),
            Need("imap", "the server that keeps it, such as imaps://imap.shop.example"),
            Need("user", "the account's name, if it is not the address", required=False),
            Need("login", "XOAUTH2 if the password is an access token", required=False),
            Need("sent", "where the server files what is handed in, if it does", required=False),
        ),
        steps=(
            "Give the shop a mailbox of its own: what arrives there is taken for customers' words.",
            "Switch on IMAP and SMTP for it, and make a password for this program alone.",
            "Publish SPF, DKIM and DMARC for the domain, or answers end up among spam.",
            "Hand in a mail over SMTP: if it appears among sent mail, name that mailbox as `sent`.",
        ),
        guide="https://support.google.com/mail/answer/7126229",
    )

    address: str = attrs.field(converter=_address)
    password: Secret = attrs.field(converter=Secret, kw_only=True)
    smtp: str = attrs.field(converter=_smtp, kw_only=True)
    imap: str = attrs.field(converter=_imap, kw_only=True)
    user: str = attrs.field(default="", kw_only=True)
    sender: str = attrs.field(default="", kw_only=True)
    login: str = attrs.field(default="PLAIN", validator=_proof, kw_only=True)
    mailbox: str = attrs.field(default="INBOX", validator=_name, kw_only=True)
    sent: str = attrs.field(default="", kw_only=True)
    forms: tuple[str, ...] = attrs.field(default=(), converter=_addresses, kw_only=True)
    name: str = attrs.field(default="email", validator=_name, kw_only=True)
    since: datetime | None = attrs.field(default=None, converter=_moment_of, kw_only=True)
    _files: bool = attrs.field(default=False, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        if not (self.sender + self.user + self.sent).isprintable():
            raise InvalidValue("sender, user and sent must be printable")

    @property
    def traits(self) -> Traits:
        """Return what e-mail can do; what may have been lost is read again where it is filed."""
        if not self.sent:
            return _TRAITS
        return attrs.evolve(_TRAITS, reconcile=Reconcile.read, hold_for=timedelta(minutes=10))

    def using(self, state: ChannelState) -> Self:
        """Return this channel with a renewed `"password"`, and what was learned."""
        password = state.credentials.get("password", self.password)
        return attrs.evolve(self, password=password, files=state.learned.get("files") is True)

    # -- in

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch what arrived, and, where it is filed, what was sent.

        Args:
            cursor: The previous page's cursor; None, or one that is not ours, to begin.

        Raises:
            NeedsAuth: If the login is refused.
            TransportError: If there is no usable answer; nothing was lost.
            PayloadError: If the answer as a whole cannot be read.
        """
        places, facts, learned = _Place.read(cursor), list[Fact](), {}
        unreadable, more = list[Unreadable](), False
        for mailbox in self._mailboxes:
            page, goes_on = yield from self._news(mailbox, places.get(mailbox))
            places[mailbox] = goes_on
            facts += page.facts
            unreadable += page.unreadable
            more = more or page.more
        if not self._files and any(isinstance(f, Outbound) and f.mark for f in facts):
            learned = {"files": True}
        following = {name: attrs.asdict(place) for name, place in places.items()}
        return Page(tuple(facts), compact(following), tuple(unreadable), more, learned)

    def _news(self, mailbox: str, place: _Place | None) -> Flow[tuple[Page, _Place]]:
        """Read what follows a place in one mailbox, or what is new in one never read."""
        asked: dict[str, Any] = {"limit": _PAGE}
        if place is not None:
            asked |= {"uidvalidity": place.uidvalidity, "after": place.uid, "since": place.day}
        elif self.since is not None:
            asked["since"] = (self.since - _FRESH).date().isoformat()
        found = yield from ask(self._fetch(mailbox, asked), self._page, *self._hidden)
        at = from_text(found.get("at"))
        since = (self.since or at - _FRESH) if place is None else None
        read = self._filed if mailbox == self.sent else self._arrived
        facts, unreadable = one_by_one(items(found, "messages"), lambda item: read(item, since))
        validity, last = _count(found, "uidvalidity"), _count(found, "uidnext") - 1
        uids = [i.get("uid") for i in found["messages"] if isinstance(i, dict)]
        known, more = [uid for uid in uids if type(uid) is int], found.get("more") is True
        if not known and (more or uids):
            raise PayloadError(f"{mailbox!r} changed while it was read; it is read again")
        same = place is not None and place.uidvalidity == validity
        uid = max(*(known or [last]), place.uid if place is not None and same else 0, 0)
        return (
            Page(facts, None, unreadable, more),
            _Place(validity, uid, (at - _BACK).date().isoformat()),
        )

    @staticmethod
    def _page(answer: Any) -> dict[str, Any]:
        found = mapping(answer, "the answer")
        items(found, "messages")
        from_text(found.get("at"))
        for name in ("uidvalidity", "uidnext"):
            _count(found, name)
        return found

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined message again, one that a machine sent too: somebody wants it.

        Args:
            raw: The item as it was put into quarantine.

        Raises:
            PayloadError: If it still cannot be read.
            InvalidValue: If it still cannot be read.
        """
        item = mapping(read_json(raw, MAX_RESPONSE), "the item")
        return Delivery(tuple(self._arrived(item, None, wanted=True)))

    def _arrived(
        self, item: dict[str, Any], since: datetime | None, *, wanted: bool = False
    ) -> Iterable[Fact]:
        """Read one message of the mailbox."""
        letter = read_letter(*(read := _source(item))[:1], complete=read[1])
        at = from_text(item.get("at"))
        _count(item, "uid")
        reports = [
            StatusReport(self.name, b.id, _STATUSES[b.action], at, b.reason, self._mark(b.id))
            for b in letter.bounces
            if b.action in _STATUSES and b.id.endswith(f"@{self._domain}")
        ]
        backfill = since is not None and at < since
        if reports:
            yield from reports
        elif letter.address == self.address and letter.parents:
            yield from self._own(letter, at, backfill=backfill)
        elif letter.address == self.address and not (letter.reply_to or wanted):
            raise PayloadError("it is from our own address, and answers nothing")
        elif letter.machine and not wanted:
            raise PayloadError(f"a machine sent it: {letter.machine}; nobody waits for an answer")
        else:
            yield Inbound(self._message(letter, at), backfill)

    def _filed(self, item: dict[str, Any], since: datetime | None) -> Iterable[Fact]:
        """Read one message that was sent: ours bears its mark, and else somebody wrote it."""
        source, complete = _source(item)
        letter, at = read_letter(source, complete=complete), from_text(item.get("at"))
        _count(item, "uid")
        if letter.address == self.address and letter.id and letter.parents:
            yield from self._own(letter, at, backfill=since is not None and at < since)

    def _own(self, letter: Letter, at: datetime, *, backfill: bool) -> Iterable[Outbound]:
        message = attrs.evolve(self._message(letter, at), id=letter.id or f"/{letter.digest}")
        customer = next((to for to in letter.to if to != self.address), None)
        mark = self._mark(letter.id)
        yield Outbound(message, customer, mark, backfill=backfill)

    def _message(self, letter: Letter, at: datetime) -> Message:
        """Return a message; its thread is that of the first that it refers to."""
        by_form = letter.reply_to and letter.address in (self.address, *self.forms)
        author = letter.reply_to if by_form else letter.address
        fresh = letter.subject and not (letter.parents and letter.answers)
        rooted = len(letter.parents) != 1
        own = letter.id or f"/{letter.digest}"
        mid = f"mid:{quote(letter.id)}" if letter.id else ""
        return Message(
            self.name,
            "mail",
            f"{letter.id}/{letter.digest}",
            Author(author, letter.name or author, letter.reply_to or author),
            f"{letter.subject}\n\n{letter.text}".strip() if fresh else letter.text,
            at,
            thread=(letter.parents or (own,))[0] if rooted else None,
            parent=letter.parents[-1] if letter.parents else None,
            visibility=Visibility.private,
            attachments=tuple(
                Attachment(p.kind, f"{mid or 'mid:'}{f'/{quote(p.cid)}' if p.cid else ''}", p.name)
                for p in letter.parts
            ),
            permalink=mid or None,
            raw=compact({"subject": letter.subject, "text": letter.whole}),
        )

    @property
    def _domain(self) -> str:
        return _written(self.address).rpartition("@")[2]

    def _mark(self, id: str) -> str | None:  # noqa: A002  # its name
        """Return the mark in a Message-ID of ours."""
        local, _, domain = id.rpartition("@")
        return local if domain == self._domain and _OURS.match(local) else None

    # -- out

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Answer a message, to its author alone.

        Args:
            message: What to send.

        Raises:
            SendError: One of its kinds says what became of it.
            Unsupported: If it answers nothing, or is more than words.
        """
        check_powers(message, self.traits)
        if message.reply_to is None:
            raise Unsupported("e-mail answers what somebody wrote: use a newsletter to announce")
        parent = yield from self._parent(_plain_id(message.reply_to[1]))
        bot = message.by in (AgentKind.bot, AgentKind.automatic)
        if bot and parent is not None and parent.machine:
            raise Refused(f"a machine does not answer a machine (RFC 3834): {parent.machine}")
        request = self._letter(message, parent)
        try:
            response = yield request
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        return self._receipt(response, message)

    def _parent(self, id: str) -> Flow[Letter | None]:  # noqa: A002  # its name
        """Read the header of the message that is answered; None if it is no longer there."""
        if not id:
            return None
        try:
            found = yield from self._header(self.mailbox, id)
        except (TransportError, PayloadError, Refused) as error:
            raise NotSent(f"what it answers cannot be read: {error}") from None
        return found[0] if found else None

    def _header(self, mailbox: str, id: str) -> Flow[tuple[Letter, datetime] | None]:  # noqa: A002  # its name
        """Read the header of a message by its Message-ID; a server may give others too."""
        asked = {"message-id": id, "part": "header"}
        found = yield from ask(self._fetch(mailbox, asked), self._page, *self._hidden)
        for item in map(lambda each: mapping(each, "the message"), found["messages"]):  # noqa: C417  # reads
            letter = read_letter(_source(item)[0])
            if letter.id == id:
                return letter, from_text(item.get("at"))
        return None

    def _letter(self, message: Outgoing, parent: Letter | None) -> Request:
        """Write the message; a second attempt writes the same bytes."""
        to = message.to.handle or message.to.id
        own = _plain_id(message.reply_to[1]) if message.reply_to else ""
        if not _ADDRESS.match(to) or not _MARK.match(message.mark):
            raise Refused(f"{to!r:.80} is no address that can be written to")
        to, sender = _written(to), _written(self.address)
        wide = not (to + sender).isascii()
        letter = EmailMessage(policy=SMTPUTF8 if wide else SMTP)
        letter["From"] = Address(self.sender, *_halves(sender))
        letter["To"] = Address("", *_halves(to))
        letter["Subject"] = storable(_subject(parent))
        letter["Date"] = format_datetime(message.queued_at)
        if message.by in (AgentKind.bot, AgentKind.automatic):
            letter["Auto-Submitted"] = "auto-replied"
        letter.set_content(storable(message.text))
        head = f"Message-ID: <{self._id(message)}>\r\n"
        if own:
            chain = (*parent.parents, own) if parent else (_plain_id(message.thread), own)
            head += f"In-Reply-To: <{own}>\r\nReferences: {_references(chain)}\r\n"
        headers = {**self._headers(), "Mail-From": sender, "Mail-To": to}
        return Request("SEND", self.smtp, headers, head.encode() + letter.as_bytes(), posts=True)

    def _id(self, message: Outgoing) -> str:
        return f"{message.mark}@{self._domain}"

    def _receipt(self, response: Response, message: Outgoing) -> Receipt:
        """Say what the server's answer means (the table of `supportflow.mail`)."""
        try:
            told = mapping(response.json(), "the answer")
        except PayloadError:
            told = {}
        code, at = told.get("code"), response.at or message.queued_at
        status = response.status
        if 200 <= status < 300 and code == 250:
            return Receipt(self._id(message), at)
        why = self._said(response)
        if status == 429:
            raise RateLimited(why, retry_at(response, at))
        if status in (401, 403):
            raise NeedsAuth(why)
        if status == 503 and type(code) is int and 400 <= code < 500:
            raise NotSent(why)
        if 300 <= status < 500 and status != 408:
            raise Refused(why)
        raise Ambiguous(why)

    def _said(self, response: Response) -> str:
        text = " ".join(response.body[:2_000].decode("utf-8", "replace").split())
        for secret in self._hidden:
            text = text.replace(secret.reveal(), "…")
        return f"{response.status} {text}"[:300]

    # -- looking

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look among sent mail, where the server was seen to file what is handed in.

        Args:
            message: What may have been accepted.
        """
        if not self.sent:
            return Found(looked=False, why="the server files nothing that could be read")
        try:
            found = yield from self._header(self.sent, self._id(message))
        except (TransportError, PayloadError, SendError) as error:
            return Found(looked=False, why=str(error))
        if found is not None:
            return Found(Receipt(self._id(message), found[1]))
        if not self._files:
            why = f"nothing that we handed in was ever seen in {self.sent!r}: is it filed there?"
            return Found(looked=False, why=why)
        return Found()

    # -- how it is

    def check(self) -> Flow[Health]:
        """Log in at both servers, and ask about the mailboxes and whether we may send."""
        problems, notes = list[str](), list[str]()
        headers = {**self._headers(), "Mail-From": self.address}
        asks: list[tuple[str, Request, Callable[[Any], object]]] = [
            ("SMTP", Request("NOOP", self.smtp, headers, repeatable=True), _accepted),
            *((box, self._fetch(box, {"limit": 0}), self._page) for box in self._mailboxes),
        ]
        for what, request, read in asks:
            try:
                yield from ask(request, read, *self._hidden)
            except (TransportError, PayloadError, InvalidValue, SendError) as error:
                problems.append(f"{what}: {error}; check the address, the login and the name")
        if self.sent and not self._files:
            notes.append(f"nothing that we handed in was seen in {self.sent!r} so far")
        if not self.sent:
            notes.append("what may have been lost is shown to a person: sent mail is not read")
        return Health(not problems, tuple(problems), tuple(notes))

    # -- requests

    @property
    def _mailboxes(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.mailbox, self.sent)))

    @property
    def _secret(self) -> Secret:
        user = self.user or self.address
        proof = _PROOFS[self.login].format(user=user, secret=self.password.reveal())
        return Secret(base64.b64encode(proof.encode("utf-8", "replace")).decode())

    @property
    def _hidden(self) -> tuple[Secret, Secret]:
        return self._secret, self.password

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"{self.login} {self._secret.reveal()}"}

    def _fetch(self, mailbox: str, asked: Mapping[str, Any]) -> Request:
        url = f"{self.imap}/{quote(mailbox, safe='')}?{urlencode(asked)}"
        return Request("FETCH", url, self._headers(), repeatable=True)


def _accepted(answer: Any) -> None:
    if mapping(answer, "the answer").get("code") != 250:
        raise PayloadError("no reply of a mail server")


def _plain_id(id: str) -> str:  # noqa: A002  # its name
    """Return the Message-ID in one of our ids; empty where there is none that can be written."""
    plain = _DIGEST.sub("", id)
    return plain if _ID.match(plain) and "@" in plain else ""
