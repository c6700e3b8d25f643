"""Perform what channels ask of mail servers: the one place that speaks SMTP and IMAP.

A channel asks for mail as it asks for everything, with a `Request`; its URL says which server.
`smtps:` and `imaps:` are encrypted from the first byte, `smtp+starttls:` before anything is said;
`smtp:` and `imap:` are for loopback alone. `Authorization` holds a SASL mechanism and its initial
response in base64 (`PLAIN …`, `XOAUTH2 …`).

- `SEND smtps://host` hands in one message: the body is RFC 5322, `Mail-From` and `Mail-To` hold one
  address each. `NOOP smtps://host` logs in and asks whether `Mail-From` may send.
- `FETCH imaps://host/MAILBOX?…` reads and changes nothing, not even what counts as seen:
  `uidvalidity` and `after` ask for what has a higher UID; if the mailbox was numbered anew, `since`
  (a date; yesterday by default) counts instead. `message-id` asks for one message, `part=header`
  for no more than the header, `limit` for so many. The answer is JSON: `uidvalidity`, `uidnext`,
  `at` (now), `more`, and `messages` with `uid`, `at`, `size`, and the first 4 MiB of `source` in base64.

What a server says is answered as HTTP would say it; its own `code`, `text` and `stage` are the body:

====== ===========================================================================================
200    SMTP: the message was accepted (2yz after the data). IMAP: here it is.
401    the login was refused (SMTP 530, 534, 535, 538)
403    the account may not send at all: 5yz before a recipient was named
404    there is no such mailbox
422    the message was refused for good (5yz)
429    come back later, all of you (SMTP 421, 454)
503    come back later with this one (SMTP 4yz, IMAP UNAVAILABLE); it was not taken
====== ===========================================================================================

A connection that breaks before the data is a `TransportError` with `sent=False`; afterwards nobody
knows. Sources: RFC 5321 (4.2, 4.5.3.2), RFC 4954, RFC 3501, RFC 5530, RFC 8314. (Over 300 lines,
because no other module may speak to mail servers.)
"""

from __future__ import annotations

import base64
import imaplib
import json
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import attrs

from supportflow.errors import TransportError
from supportflow.http import Request, Response

__all__ = ["MAX_PAGE", "MAX_SOURCE", "SCHEMES", "perform"]

#: What begins the URLs that this module performs, and the ports of the services.
SCHEMES = {"smtps": 465, "smtp+starttls": 587, "smtp": 25, "imaps": 993, "imap": 143}
#: How much of one message is read, and of a page of them but the first, in bytes. Ours.
MAX_SOURCE = MAX_PAGE = 4 * 1_048_576
#: The most messages of one page, and the most UIDs that a search may give. Ours.
_LIMIT, _UIDS = 20, 1_000_000
#: How long one exchange may take as a whole, in seconds, and each wait within it. Ours.
DEADLINE, PATIENCE = 60.0, 30.0
#: When to come back where a server only says that it is later, in seconds. Ours.
_LATER = {"Retry-After": "60"}

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_ATTRIBUTE = re.compile(rb'(UID|RFC822\.SIZE) (\d{1,19})|(INTERNALDATE) "([^"]{1,40})"')
_ODD = re.compile(r"[^\x20-\x25\x27-\x7e]+|&")
_SAFE = re.compile(r"[^\s<>\"\\]{1,998}\Z")


@attrs.frozen
class _Said(Exception):
    """End an exchange with what the server said."""

    stage: str
    code: int
    text: str
    status: int
    headers: dict[str, str] = attrs.field(factory=dict)

    def response(self, at: datetime) -> Response:
        told = {"code": self.code, "text": self.text, "stage": self.stage}
        return Response(self.status, self.headers, json.dumps(told).encode(), at)


def perform(request: Request, clock: Callable[[], datetime]) -> Response:
    """Perform one request at a mail server, on a connection of its own.

    Args:
        request: What to do.
        clock: Returns the time (aware) that the answer bears.

    Raises:
        TransportError: If there is no usable answer; `sent` says what may have left.

    Example:
        >>> perform(Request("SEND", "smtp://mail.example"), datetime.now)
        Traceback (most recent call last):
        ...
        supportflow.errors.TransportError: smtp://mail.example is refused: encrypted only, except for loopback
    """
    try:
        target = urlsplit(request.url)
        port = target.port or SCHEMES[target.scheme]
    except (ValueError, KeyError):
        raise TransportError("the URL names no mail server", sent=False) from None
    host = target.hostname or ""
    plain = target.scheme in ("smtp", "imap")
    if plain and host not in ("127.0.0.1", "::1", "localhost"):
        raise TransportError(
            f"{target.scheme}://{host} is refused: encrypted only, except for loopback", sent=False
        )
    service = "imap" if target.scheme.startswith("imap") else "smtp"
    does = _METHODS.get((service, request.method))
    if does is None:
        raise TransportError(f"{request.method} is nothing that {service} does", sent=False)
    try:
        return does(request, target, port, clock)
    except _Said as said:
        return said.response(clock())


def _broken(request: Request, error: Exception, *, sent: bool | None) -> TransportError:
    host = urlsplit(request.url).hostname
    return TransportError(f"{request.method} {host}: {type(error).__name__}", sent=sent)


@contextmanager
def _in_time(current: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Break a connection off that takes longer than the deadline as a whole."""

    def cut() -> None:
        with suppress(OSError, AttributeError):
            current().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # suppressed above

    timer = threading.Timer(DEADLINE, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# -- SMTP


def _refused(stage: str, code: int, text: bytes | str) -> _Said:
    """Return what a reply means that is no success (RFC 5321, 4.2; RFC 4954, 6)."""
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    if code in (530, 534, 535, 538):
        return _Said(stage, code, said, 401)
    if code in (421, 454):
        return _Said(stage, code, said, 429, _LATER)
    if code < 500:
        return _Said(stage, code, said, 503)
    account = stage not in ("RCPT", "DATA") and code != 552  # 552: this message is too large
    return _Said(stage, code, said, 403 if account else 422)


class _Session:
    """Hold one SMTP connection, and whether the server may have taken a message."""

    def __init__(self, scheme: str, host: str, port: int, local: str) -> None:
        self.began, self.context = False, None if scheme == "smtp" else ssl.create_default_context()
        self.encrypts = scheme == "smtp+starttls"
        try:
            if scheme == "smtps":
                self.smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                    host, port, local, timeout=PATIENCE, context=self.context
                )
            else:
                self.smtp = smtplib.SMTP(host, port, local, timeout=PATIENCE)
        except smtplib.SMTPConnectError as error:
            raise _refused("greeting", error.smtp_code, error.smtp_error) from None

    def greet(self) -> None:
        """Say hello, and where that is not so yet, make the connection private."""
        self.ask("EHLO", self.smtp.ehlo())
        if not self.encrypts:
            return
        if not self.smtp.has_extn("starttls"):
            raise _refused("STARTTLS", 502, "the server offers no encryption: use smtps")
        try:
            self.smtp.starttls(context=self.context)
        except smtplib.SMTPResponseException as error:
            raise _refused("STARTTLS", error.smtp_code, error.smtp_error) from None
        self.ask("EHLO", self.smtp.ehlo())

    def ask(self, stage: str, reply: tuple[int, bytes], wanted: int = 2) -> None:
        """Go on if a reply is of the wanted hundred; otherwise end the exchange with it."""
        code, text = reply
        if code // 100 == wanted:
            return
        if not 400 <= code < 600:
            raise smtplib.SMTPServerDisconnected("no reply that means anything")
        raise _refused(stage, code, text)

    def login(self, authorization: str) -> None:
        """Prove who we are; a server that knows `LOGIN` alone is given that for `PLAIN`."""
        mechanism, _, initial = authorization.partition(" ")
        offered = self.smtp.esmtp_features.get("auth", "").upper().split()
        if mechanism in offered:
            reply = self.smtp.docmd("AUTH", f"{mechanism} {initial}")
            if reply[0] == 334:  # XOAUTH2 says so what is wrong, and waits for an empty line
                reply = self.smtp.docmd("")
        elif mechanism == "PLAIN" and "LOGIN" in offered:
            reply = self.smtp.docmd("AUTH", "LOGIN")
            for part in base64.b64decode(initial).split(b"\0")[1:]:
                if reply[0] == 334:
                    reply = self.smtp.docmd(base64.b64encode(part).decode())
        else:
            raise _refused("AUTH", 534, f"no {mechanism}; offered: {' '.join(offered) or 'none'}")
        self.ask("AUTH", reply)

    def mail(self, sender: str, *others: str) -> None:
        """Name the sender, with the extension that addresses beyond ASCII need (RFC 6531)."""
        options: tuple[str, ...] = ()
        if not all(address.isascii() for address in (sender, *others)):
            if not self.smtp.has_extn("smtputf8"):
                raise _refused("RCPT", 553, "the server takes no addresses beyond ASCII (SMTPUTF8)")
            self.smtp.command_encoding, options = "utf-8", ("BODY=8BITMIME", "SMTPUTF8")
        self.ask("MAIL", self.smtp.mail(sender, options))

    def data(self, body: bytes) -> str:
        """Hand the message in: from the first byte of it on, only a reply tells."""
        self.ask("DATA", self.smtp.docmd("DATA"), 3)
        self.began = True
        lines = _LINE_END.sub(b"\r\n", body).removesuffix(b"\r\n")
        self.smtp.send(re.sub(rb"(?m)^\.", b"..", lines) + b"\r\n.\r\n")
        code, text = self.smtp.getreply()
        self.ask("DATA", (code, text))
        return text.decode("utf-8", "replace")


def _address(request: Request, name: str) -> str:
    """Return an address of the envelope: nothing in it can end the command."""
    found = request.headers.get(name) or ""
    if not _SAFE.match(found):
        raise TransportError(f"{name} is no address", sent=False)
    local, _, domain = found.rpartition("@")
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode()
    return f"{local}@{domain}"


def _smtp(
    request: Request, target: SplitResult, port: int, clock: Callable[[], datetime]
) -> Response:
    """Hand a message in, or (NOOP) go as far as is possible without one."""
    sender, session = _address(request, "Mail-From"), None
    to = _address(request, "Mail-To") if request.method == "SEND" else ""
    local = sender.rpartition("@")[2]
    try:
        session = _Session(target.scheme, target.hostname or "", port, local)
        with _in_time(lambda: session.smtp.sock):
            session.greet()
            session.login(request.headers.get("Authorization") or "")
            session.mail(sender, *filter(None, [to]))
            told = "may send"
            if to:
                session.ask("RCPT", session.smtp.rcpt(to))
                told = session.data(request.body)
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        sent = None if session is not None and session.began else False
        raise _broken(request, error, sent=sent) from None
    finally:
        if session is not None:
            session.smtp.close()  # what the server said stands; QUIT could only hang
    return Response(200, body=json.dumps({"code": 250, "text": told}).encode(), at=clock())


# -- IMAP


class _Bounded:
    """Refuse a literal that is larger than anything that was asked for."""

    def read(self, size: int) -> bytes:
        if size > MAX_SOURCE + 65_536:
            raise imaplib.IMAP4.abort(f"a literal of {size} bytes")
        data: bytes = super().read(size)  # type: ignore[misc]  # of IMAP4
        return data


class _Plain(_Bounded, imaplib.IMAP4):
    """Speak IMAP on loopback."""


class _Encrypted(_Bounded, imaplib.IMAP4_SSL):
    """Speak IMAP over TLS."""


def _mailbox(name: str) -> str:
    """Write a mailbox's name as IMAP does: quoted, in modified UTF-7 (RFC 3501, 5.1.3)."""

    def shifted(found: re.Match[str]) -> str:
        if found[0] == "&":
            return "&-"
        coded = base64.b64encode(found[0].encode("utf-16-be", "replace"), b"+,")
        return f"&{coded.decode().rstrip('=')}-"

    plain = _ODD.sub(shifted, name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def _imap(
    request: Request, target: SplitResult, port: int, clock: Callable[[], datetime]
) -> Response:
    """Read from a mailbox."""
    imap: imaplib.IMAP4 | None = None
    host, wait = target.hostname or "", PATIENCE
    try:
        if target.scheme == "imaps":
            context = ssl.create_default_context()
            imap = _Encrypted(host, port, ssl_context=context, timeout=wait)
        else:
            imap = _Plain(host, port, timeout=wait)
        with _in_time(lambda: imap.sock):
            _authenticate(imap, request.headers.get("Authorization") or "")
            found = _read(imap, unquote(target.path[1:]), parse_qs(target.query), clock())
    except imaplib.IMAP4.abort as error:
        raise _broken(request, error, sent=True) from None
    except imaplib.IMAP4.error as error:
        raise _Said("IMAP", 0, str(error)[:200], 400) from None
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise _broken(request, error, sent=imap is not None) from None
    finally:
        if imap is not None:
            with suppress(OSError):
                imap.shutdown()
    return Response(200, body=json.dumps(found).encode(), at=clock())


def _authenticate(imap: imaplib.IMAP4, authorization: str) -> None:
    mechanism, _, initial = authorization.partition(" ")
    try:
        imap.authenticate(mechanism, lambda _: base64.b64decode(initial))
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        away = "[UNAVAILABLE]" in str(error)  # RFC 5530: the login itself may be right
        raise _Said("AUTHENTICATE", 0, str(error)[:200], 503 if away else 401) from None


def _read(
    imap: imaplib.IMAP4, mailbox: str, query: dict[str, list[str]], now: datetime
) -> dict[str, Any]:
    """Search, and fetch what is asked for of what was found, oldest first."""
    done, told = imap.select(_mailbox(mailbox or "INBOX"), readonly=True)
    if done != "OK":
        raise _Said("EXAMINE", 0, _words(told), 404)
    validity, following = (int(imap.response(n)[1][0] or 0) for n in ("UIDVALIDITY", "UIDNEXT"))
    asked = {name: values[0] for name, values in query.items()}
    limit = min(int(asked.get("limit", _LIMIT)), _LIMIT)
    uids = _search(imap, asked, validity, now) if limit else []
    header = asked.get("part") == "header"
    messages = list(_messages(imap, uids[:limit], "HEADER" if header else ""))
    more = len(uids) > limit or (bool(messages) and messages[-1]["uid"] != uids[: limit or 1][-1])
    places = {"uidvalidity": validity, "uidnext": following, "at": now.isoformat()}
    return {**places, "more": more, "messages": messages}


def _search(imap: imaplib.IMAP4, asked: dict[str, str], validity: int, now: datetime) -> list[int]:
    """Return the UIDs of what is asked for; `n:*` always gives the last one, even below n."""
    after, wanted = 0, tuple[str, ...]()
    if "message-id" in asked:
        if not _SAFE.match(asked["message-id"]) or not asked["message-id"].isascii():
            return []
        wanted = ("HEADER", "Message-ID", f'"<{asked["message-id"]}>"')
    elif asked.get("uidvalidity") == str(validity) and "after" in asked:
        after = int(asked["after"])
        wanted = ("UID", f"{after + 1}:*")
    else:
        since = asked.get("since")
        day = date.fromisoformat(since) if since else now.date() - timedelta(days=1)
        wanted = ("SINCE", f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04}")
    done, found = imap.uid("SEARCH", *wanted)
    if done != "OK":
        raise _Said("SEARCH", 0, _words(found), 503)
    uids = sorted({int(uid) for line in found if line for uid in line.split()[:_UIDS]})
    return [uid for uid in uids if uid > after]


def _messages(imap: imaplib.IMAP4, uids: list[int], part: str) -> Iterator[dict[str, Any]]:
    """Yield messages until a page is full; one that cannot be had is yielded without its source."""
    known = dict(_sizes(imap, uids)) if uids else {}
    room = MAX_PAGE
    for uid in (uid for uid in uids if uid in known):
        size, at = known[uid]
        if room < MAX_PAGE and min(size, MAX_SOURCE) > room:
            return
        done, found = imap.uid("FETCH", str(uid), f"(BODY.PEEK[{part}]<0.{MAX_SOURCE}>)")
        literals = [each[1] for each in found if isinstance(each, tuple)]
        source = literals[0] if done == "OK" and literals else None
        room -= len(source or b"")
        coded = None if source is None else base64.b64encode(source).decode()
        yield {"uid": uid, "at": at, "size": size, "source": coded}


def _sizes(imap: imaplib.IMAP4, uids: list[int]) -> Iterator[tuple[int, tuple[int, str]]]:
    """Yield the UID, size and time of arrival of what is still there."""
    wanted = ",".join(map(str, uids))
    _, lines = imap.uid("FETCH", wanted, "(UID RFC822.SIZE INTERNALDATE)")
    for line in lines:
        if isinstance(line, bytes):
            said = {(n or m): (v or w) for n, v, m, w in _ATTRIBUTE.findall(line)}
            if {b"UID", b"RFC822.SIZE", b"INTERNALDATE"} <= said.keys():
                when = said[b"INTERNALDATE"].decode("ascii", "replace").replace("-", " ", 2)
                at = parsedate_to_datetime(when.strip()).isoformat()
                yield int(said[b"UID"]), (int(said[b"RFC822.SIZE"]), at)


def _words(told: list[Any]) -> str:
    return b" ".join(each for each in told if isinstance(each, bytes)).decode("utf-8", "replace")


_METHODS: dict[tuple[str, str], Callable[..., Response]] = {
    ("smtp", "SEND"): _smtp,
    ("smtp", "NOOP"): _smtp,
    ("imap", "FETCH"): _imap,
}
