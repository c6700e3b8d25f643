"""Read e-mail: who wrote, in answer to what, in which words, and whether a machine did.

Nothing in a message is trusted to be well formed: what cannot be decoded is decoded as well as it
can be, and only `PayloadError` leaves this module. Sources: RFC 5322 (3.6.4), RFC 2045, RFC 2047,
RFC 3464 (bounces), RFC 3834 (answers of machines), RFC 2919 (lists). (Over 300 lines: who reviews
what strangers may send us reads this file and no other.)
"""

from __future__ import annotations

import binascii
import codecs
import hashlib
import quopri
import re
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from email.message import Message
from email.utils import getaddresses

import attrs

from supportflow.errors import PayloadError
from supportflow.text.markup import plain
from supportflow.text.normalise import storable

__all__ = ["Bounce", "Letter", "Part", "read_letter", "unquoted"]

#: How much of a header field is looked at, and how many parts and references, at most. Ours.
_FIELD, _PARTS, _REFERENCES, _DEPTH = 4_096, 200, 50, 20
#: How many lines times how many boundaries a message may have. Ours.
_WORK = 2_000_000
# Possessive or bounded throughout: no input makes a pattern go back far.
_WORD = re.compile(r"=\?([\w.:+-]{1,40}+)(?:\*[\w-]{1,40}+)?\?([bBqQ])\?([^?\s]{0,998}+)\?=")
_BETWEEN = re.compile(r"(?<=\?=)\s++(?==\?)")
_ID = re.compile(r"<([^\s<>@]{1,200}+@[^\s<>@]{1,200}+)>")
_ADDRESS = re.compile(r"[^\s<>@\"(),:;\\\x00-\x1f]{1,64}@[^\s<>@\"(),:;\\\[\]\x00-\x1f]{1,255}\Z")
_ANSWER = re.compile(r"(re|aw|antw|sv|vs|odp|rv|ris|ref)(\[\d{1,3}\])?\s*:", re.IGNORECASE)
#: What ends the line in front of quoted words holds: an address, or a time of day.
_ATTRIBUTION = re.compile(r"@|\d[:.]\d\d")
#: Codecs that are no charsets, or take time that grows with the square of the length.
_NO_CHARSETS = {"idna", "punycode", "raw_unicode_escape", "unicode_escape", "undefined"}
_SUPERSETS = {"ascii": "utf-8", "gb2312": "gb18030", "iso8859-1": "cp1252"}


@attrs.frozen
class Part:
    """Name something that came with a message.

    Args:
        kind: `"image"`, `"audio"`, `"video"`, `"message"` or `"file"`.
        name: Its file name, perhaps empty.
        cid: Its Content-ID without brackets, perhaps empty.
    """

    kind: str
    name: str = ""
    cid: str = ""


@attrs.frozen
class Bounce:
    """Say what became of a message, as a server reports it (RFC 3464).

    Args:
        id: The message's own Message-ID.
        action: `"failed"`, `"delayed"`, `"delivered"`, `"relayed"` or `"expanded"`.
        reason: What the other server said.
    """

    id: str
    action: str
    reason: str = ""


@attrs.frozen
class Letter:
    """Hold what a message says.

    Args:
        id: Its Message-ID without brackets; empty where it has none that can be used.
        name: What its author is called.
        address: Its author's address, in lower case.
        reply_to: Where an answer shall go, if elsewhere.
        to: Whom it is for, in order.
        parents: What it answers, from the root of the thread to the message itself.
        subject: Its subject.
        text: Its words, quotations at the end left out.
        whole: Its words, all of them.
        parts: What came with it.
        machine: Why we take its author for a machine; empty for a person.
        bounces: What it reports of other messages.
        digest: A name for its content: author, date, subject and words.
    """

    id: str
    name: str
    address: str
    reply_to: str
    to: tuple[str, ...]
    parents: tuple[str, ...]
    subject: str
    text: str
    whole: str = attrs.field(repr=False)
    parts: tuple[Part, ...]
    machine: str
    bounces: tuple[Bounce, ...]
    digest: str

    @property
    def answers(self) -> bool:
        """Tell whether the subject says that it is an answer."""
        return bool(_ANSWER.match(self.subject))


def read_letter(source: bytes, *, complete: bool = True) -> Letter:
    r"""Read a message.

    Args:
        source: The message, or as much of it as was fetched.
        complete: Whether that is all of it; what is cut off may then be listed, never read.

    Raises:
        PayloadError: If it has no author, is nested too deeply, or its words were cut off.

    Example:
        >>> letter = read_letter(b"From: Ola <ola@example.com>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\nHi!")
        >>> letter.address, letter.subject, letter.text
        ('ola@example.com', 'Grüße', 'Hi!')
    """
    # The parser holds every line against every open boundary: bound what that can cost.
    if source.lower().count(b"boundary=") * source.count(b"\n") > _WORK:
        raise PayloadError("the message has too many lines in too many parts")
    try:
        return _read(message_from_bytes(source), complete)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise PayloadError(f"the message cannot be read: {type(error).__name__}") from None


def _read(message: Message, complete: bool) -> Letter:
    found = _Gathered()
    found.gather(message, 0)
    if not complete:
        found.cut()
    whole = "\n\n".join(filter(None, found.texts))
    head = _Head(message)
    name, address = next(head.addresses("From"), ("", ""))
    if not address:
        raise PayloadError("From holds no address")
    subject = head.text("Subject")
    content = "\0".join((address, head.text("Date"), subject, whole))
    return Letter(
        next(iter(_ids(head.text("Message-ID"))), ""),
        name,
        address,
        next((each for _, each in head.addresses("Reply-To") if each != address), ""),
        tuple(each for _, each in head.addresses("To")),
        _parents(head),
        subject,
        unquoted(whole),
        whole,
        tuple(found.parts),
        _machine(head, address),
        tuple(_bounces(message)),
        hashlib.blake2b(content.encode(), digest_size=6).hexdigest(),
    )


def unquoted(text: str) -> str:
    r"""Leave out quoted lines at the end of a text, and the line that announces them.

    Only what stands below all other words goes; an answer between quoted lines keeps them all.

    Args:
        text: A text with `>` in front of what it quotes.

    Example:
        >>> unquoted("Still broken.\n\nOn Mon, 2 Mar 2026 at 10:00, Shop wrote:\n> Try again.")
        'Still broken.'
    """
    lines = text.rstrip().split("\n")
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith(">")):
        end -= 1
    if end in (0, len(lines)):
        return text.strip()
    for above in (1, 2):  # it may be wrapped
        announced = " ".join(lines[max(end - above, 0) : end])
        if lines[end - 1].rstrip().endswith(":") and _ATTRIBUTION.search(announced):
            end -= above
            break
    return "\n".join(lines[: max(end, 0)]).strip() or text.strip()


# -- header


class _Head:
    """Read header fields, whatever is in them."""

    def __init__(self, message: Message) -> None:
        self.fields: dict[str, list[str]] = {}
        for name, value in message.raw_items():
            self.fields.setdefault(name.lower(), []).append(str(value)[:_FIELD])

    def text(self, name: str) -> str:
        """Return the first field of a name, decoded, on one line."""
        return _decoded(next(iter(self.fields.get(name.lower(), ())), ""))

    def addresses(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield names and addresses of a field; what is no address is left out."""
        raw = [
            _octets(each).decode("utf-8", "replace") for each in self.fields.get(name.lower(), ())
        ]
        for shown, address in getaddresses([" ".join(each.split()) for each in raw]):
            if _ADDRESS.match(address):
                yield _decoded(shown)[:200], storable(address).lower()


def _octets(raw: str) -> bytes:
    return raw.encode("utf-8", "surrogateescape")


def _decoded(raw: str) -> str:
    """Return the words of a header field, encoded ones (RFC 2047) decoded."""

    def word(found: re.Match[str]) -> str:
        charset, how, data = found.groups()
        try:
            if how in "bB":
                octets = binascii.a2b_base64(data + "==")
            else:
                octets = quopri.decodestring(data.encode("ascii", "replace"), header=True)
        except ValueError:
            return found[0]
        return _text(octets, charset) if octets else found[0]

    joined = _BETWEEN.sub("", _text(_octets(raw), "utf-8"))
    return storable(" ".join(_WORD.sub(word, joined).split()))


def _text(octets: bytes, charset: str) -> str:
    """Decode octets in their charset if that is one, and otherwise as well as can be."""
    for name in (charset, "utf-8", "cp1252"):
        try:
            known = codecs.lookup(name).name
            if known not in _NO_CHARSETS:
                return octets.decode(_SUPERSETS.get(known, known))
        except (LookupError, ValueError):
            continue
    return octets.decode("latin-1")


def _ids(text: str) -> tuple[str, ...]:
    return tuple(found for found in _ID.findall(text) if found.isascii())


def _parents(head: _Head) -> tuple[str, ...]:
    """Return what a message answers, the root first, its direct parent last."""
    chain, direct = _ids(head.text("References")), _ids(head.text("In-Reply-To"))[:1]
    kept = chain if len(chain) <= _REFERENCES else (chain[0], *chain[1 - _REFERENCES :])
    return tuple(dict.fromkeys((*(each for each in kept if each not in direct), *direct)))


def _machine(head: _Head, address: str) -> str:
    """Say what shows that nobody waits for an answer (RFC 3834, 2; RFC 2919)."""
    submitted = head.text("Auto-Submitted").split(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return f"Auto-Submitted: {submitted[:40]}"
    precedence = head.text("Precedence").lower()
    if precedence in ("bulk", "junk", "list", "auto_reply"):
        return f"Precedence: {precedence}"
    for name in ("List-Id", "List-Unsubscribe", "X-Autoreply", "X-Autorespond"):
        if name.lower() in head.fields:
            return f"it has a field {name}"
    if "".join(head.text("Return-Path").split()) == "<>":
        return "its return path is empty"
    return "it is from a mail server" if address.startswith("mailer-daemon@") else ""


# -- body


class _Gathered:
    """Gather the words of a message and what came with it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.parts: list[Part] = []
        self.last = ""  # what the last leaf was: the one that a cut goes through

    def gather(self, part: Message, depth: int) -> None:
        """Take a part, and what is in it."""
        if depth > _DEPTH or len(self.parts) + len(self.texts) > _PARTS:
            raise PayloadError(f"more than {_PARTS} parts, or {_DEPTH} within each other")
        kind, inner = part.get_content_type(), _inner(part)
        if kind == "multipart/alternative" and inner:
            self._choose(inner, depth)
        elif part.get_content_maintype() == "multipart" and inner:
            for each in inner:
                self.gather(each, depth + 1)
        elif kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment":
            self._take(part, kind)
        else:
            self.parts.append(_part(part))
            self.last = "part"

    def _choose(self, forms: Iterable[Message], depth: int) -> None:
        """Take of several forms the plain one, or the first that has words; list what is in all."""
        told: list[tuple[bool, list[str]]] = []
        for form in forms:
            each = _Gathered()
            each.gather(form, depth + 1)
            self.parts += each.parts
            self.last = each.last
            told.append((form.get_content_type() != "text/plain", each.texts))
        spoken = [form for form in told if any(form[1])]
        if spoken:
            self.texts += min(spoken, key=lambda form: form[0])[1]
            self.last = self.last if spoken[-1] is min(spoken, key=lambda form: form[0]) else "part"

    def _take(self, part: Message, kind: str) -> None:
        octets = part.get_payload(decode=True)
        charset = part.get_content_charset("utf-8")
        text = _text(octets if isinstance(octets, bytes) else b"", charset)
        words = plain(text) if kind == "text/html" else text
        self.texts.append(storable(words.replace("\r\n", "\n")).strip())
        self.last = "text"

    def cut(self) -> None:
        """Take the end of the message for missing, and say so."""
        if self.last == "text":
            raise PayloadError("its words are longer than what is read of a message")
        if not any(self.texts):
            raise PayloadError("there are no words in what is read of a message")
        self.parts.append(Part("file", "(the rest of the message, which is too large to be read)"))


def _inner(part: Message) -> list[Message]:
    """Return the parts of a part; none where it has none, whatever it claims."""
    payload = part.get_payload()
    return [e for e in payload if isinstance(e, Message)] if isinstance(payload, list) else []


def _part(part: Message) -> Part:
    main = part.get_content_maintype()
    kind = main if main in ("image", "audio", "video", "message") else "file"
    cid = next(iter(_ids(str(part.get("Content-ID", "")))), "")
    return Part(kind, _decoded(str(part.get_filename("")))[:200], cid)


def _bounces(message: Message) -> Iterator[Bounce]:
    """Yield what a delivery report says of the message that it names (RFC 3464)."""
    if message.get_content_type() != "multipart/report" or not message.is_multipart():
        return
    told: list[_Head] = []
    about = ""
    for part in list(message.walk())[:_PARTS]:
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            told += map(_Head, _inner(part))
        elif kind in ("message/rfc822", "text/rfc822-headers") and not about:
            about = _about(part)
    for status in told:
        action = status.text("Action").lower()
        if about and action:
            reason = status.text("Diagnostic-Code") or status.text("Status")
            yield Bounce(about, action, reason[:300])


def _about(part: Message) -> str:
    """Return the Message-ID of the message that came back, whole or as a header alone."""
    for inner in _inner(part):
        return next(iter(_ids(_Head(inner).text("Message-ID"))), "")
    octets = part.get_payload(decode=True)
    lone = message_from_bytes(octets if isinstance(octets, bytes) else b"")
    return next(iter(_ids(_Head(lone).text("Message-ID"))), "")
