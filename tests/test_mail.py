"""Mail servers, real and scripted: what each of their replies means, and what is never sent."""

import asyncio
import base64
import importlib.util
import json
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from supportflow import mail
from supportflow.errors import TransportError
from supportflow.http import Request
from supportflow.transport import AsyncTransport, Transport

pytestmark = pytest.mark.xdist_group("mail")  # one process starts the servers

SPEC = importlib.util.spec_from_file_location(
    "mail_host", Path(__file__).parent / "e2e" / "mail_host.py"
)
mail_host = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mail_host)


def proof(password=mail_host.PASSWORD):
    """Return the header that proves who we are."""
    plain = f"\0{mail_host.USER}\0{password}".encode()
    return {"Authorization": f"PLAIN {base64.b64encode(plain).decode()}"}


ENVELOPE = {"Mail-From": mail_host.USER, "Mail-To": "ola@example.com", **proof()}
LETTER = b"Subject: Order\n\n.Hidden dot\rIt comes.\n"


@pytest.fixture(scope="module")
def host():
    """Return a mail provider that all tests of this file share."""
    with mail_host.MailHost() as host:
        yield host


@pytest.fixture
def transport():
    """Return a transport that never waits."""
    transport = Transport(sleep=lambda _: None)
    yield transport
    transport.close()


def send(url, letter=LETTER, **headers):
    """Return a request that hands a message in."""
    return Request("SEND", url, {**ENVELOPE, **headers}, letter, posts=True)


def told(response):
    """Return what a server said."""
    return response.status, json.loads(response.body)


# -- SMTP


def test_a_message_is_handed_in_whole(host, transport):
    """Every line arrives with the end that it must have, and a dot in front stays one."""
    status, said = told(transport.send(send(host.urls["smtp"])))
    assert (200, 250, "2.0.0 OK: queued") == (status, said["code"], said["text"])
    envelope = host.accepted.pop()
    assert b"Subject: Order\r\n\r\n.Hidden dot\r\nIt comes.\r\n" == envelope.original_content
    assert (mail_host.USER, ["ola@example.com"]) == (envelope.mail_from, envelope.rcpt_tos)


def test_an_address_beyond_ascii_needs_what_the_server_offers(host, transport):
    """The domain goes in ASCII, the name as it is, with SMTPUTF8."""
    assert (
        200 == transport.send(send(host.urls["smtp"], **{"Mail-To": "żółw@bücher.example"})).status
    )
    envelope = host.accepted.pop()
    assert ["żółw@xn--bcher-kva.example"] == envelope.rcpt_tos
    assert "SMTPUTF8" in envelope.mail_options


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("code", [421, 451, 550])
def test_what_a_reply_means(host, transport, stage, code):
    """Later, for good, or the account as a whole; nothing was taken."""
    before = len(host.accepted)
    host.refuses = {stage: f"{code} no"}
    status, said = told(transport.send(send(host.urls["smtp"])))
    host.refuses = {}
    wanted = {421: 429, 451: 503, 550: 403 if stage == "MAIL" else 422}[code]
    assert (wanted, code, stage) == (status, said["code"], said["stage"])
    assert before == len(host.accepted)


def test_a_wrong_password_is_401(host, transport):
    """At both servers, whatever the method."""
    wrong = proof("wrong")
    assert 401 == transport.send(send(host.urls["smtp"], **wrong)).status
    asked = Request("FETCH", f"{host.urls['imap']}/INBOX", wrong, repeatable=True)
    assert 401 == transport.send(asked).status
    unknown = send(host.urls["smtp"], Authorization="XOAUTH2 dXNlcg==")
    status, said = told(transport.send(unknown))
    assert (401, 534) == (status, said["code"])


@pytest.mark.parametrize(("drops", "accepted"), [("before", 0), ("after", 1)])
def test_a_connection_lost_after_the_data_is_in_doubt(host, transport, drops, accepted):
    """It may be there or not: nobody says which, so neither do we."""
    before, host.drops = len(host.accepted), drops
    with pytest.raises(TransportError) as lost:
        transport.send(send(host.urls["smtp"]))
    host.drops = ""
    assert None is lost.value.sent
    assert accepted == len(host.accepted) - before


def test_noop_asks_without_sending(host, transport):
    """Login and sender are tried, and no message is made."""
    before = len(host.accepted)
    assert 200 == transport.send(Request("NOOP", host.urls["smtp"], ENVELOPE)).status
    assert before == len(host.accepted)


def test_the_event_loop_goes_on(host):
    """The same requests from an event loop, in threads of their own."""

    async def both():
        transport = AsyncTransport()
        asked = Request("FETCH", f"{host.urls['imap']}/INBOX?limit=0", proof(), repeatable=True)
        try:
            return await asyncio.gather(
                transport.send(send(host.urls["smtp"])), transport.send(asked)
            )
        finally:
            await transport.close()

    assert [200, 200] == [answer.status for answer in asyncio.run(both())]
    host.accepted.clear()


class Scripted:
    """Say lines, each when the one before was answered; what follows the last is silence or the end."""

    def __init__(self, *lines, ends=True):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lines, self.ends, self.heard = lines, ends, []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        peer, _ = self.listener.accept()
        with peer, self.listener, suppress(OSError):  # who asked may be gone
            peer.settimeout(5)
            for line in self.lines:
                peer.sendall(line.replace("\n", "\r\n").encode())
                self.heard.append(peer.recv(65536))
            while not self.ends and peer.recv(65536):
                continue

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.thread.join(5)


HELLO = ("220 hi\n", "250-me\n250 AUTH LOGIN\n")
YES = "235 in\n", "250 from\n", "250 to\n", "354 go\n"
LOGIN = "334 VXNlcm5hbWU6\n", "334 UGFzc3dvcmQ6\n"


def test_a_server_that_knows_login_alone_is_given_that(transport):
    """Old servers ask for name and password one by one."""
    with Scripted(*HELLO, *LOGIN, *YES, "250 taken\n") as server:
        answer = transport.send(send(f"smtp://127.0.0.1:{server.port}"))
    assert 200 == answer.status
    assert base64.b64encode(mail_host.PASSWORD.encode()) in server.heard[3]


@pytest.mark.parametrize(
    ("lines", "status", "stage"),
    [
        (["554 no service\n"], 403, "greeting"),
        (["421 busy\n"], 429, "greeting"),
        (["220 hi\n", "550 who?\n"], 403, "EHLO"),
        ([*HELLO, "334 VXNlcm5hbWU6\n", "535 no\n"], 401, "AUTH"),
        ([*HELLO, *LOGIN, "235 in\n", "552 too large\n"], 422, "MAIL"),
    ],
)
def test_a_refusal_before_the_data(transport, lines, status, stage):
    """Whatever stage it comes at, nothing was taken."""
    with Scripted(*lines) as server:
        found, said = told(transport.send(send(f"smtp://127.0.0.1:{server.port}")))
    assert (status, stage) == (found, said["stage"])


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        ([*HELLO], False),
        ([*HELLO, "999 what\n"], False),
        ([*HELLO, *LOGIN, *YES], None),
        ([*HELLO, *LOGIN, *YES, "nonsense\n"], None),
        ([*HELLO, *LOGIN, *YES, "150 well\n"], None),
    ],
)
def test_what_means_nothing_is_no_reply(transport, lines, sent):
    """Before the data nothing was sent; after it, who knows."""
    with Scripted(*lines) as server, pytest.raises(TransportError) as lost:
        transport.send(send(f"smtp://127.0.0.1:{server.port}"))
    assert sent is lost.value.sent


def test_a_refused_token_is_told(transport):
    """XOAUTH2 says what is wrong and waits for an empty line before it refuses."""
    hello = ("220 hi\n", "250-me\n250 AUTH XOAUTH2\n")
    with Scripted(*hello, "334 eyJzdGF0dXMiOiI0MDEifQ==\n", "535 no\n") as server:
        url = f"smtp://127.0.0.1:{server.port}"
        assert 401 == transport.send(send(url, Authorization="XOAUTH2 dXNlcg==")).status
    assert b"\r\n" == server.heard[2]


def test_a_server_without_smtputf8_is_told_no_lie(transport):
    """An address that it cannot take is refused here, before it is named."""
    with Scripted(*HELLO, *LOGIN, "235 in\n") as server:
        url = f"smtp://127.0.0.1:{server.port}"
        found, said = told(transport.send(send(url, **{"Mail-To": "żółw@example.com"})))
    assert (422, 553) == (found, said["code"])


def test_silence_ends_at_the_deadline(transport, monkeypatch):
    """A server that says nothing holds nobody for longer than the whole exchange may take."""
    monkeypatch.setattr(mail, "DEADLINE", 0.05)
    with Scripted(*HELLO, ends=False) as server, pytest.raises(TransportError) as lost:
        transport.send(send(f"smtp://127.0.0.1:{server.port}"))
    assert False is lost.value.sent


def test_no_word_is_said_before_the_way_is_private(transport):
    """Without TLS neither a name nor a password leaves: neither at once nor by STARTTLS."""
    with Scripted("220 hi\n", "250 me\n") as server:
        answer = transport.send(send(f"smtp+starttls://127.0.0.1:{server.port}"))
        assert (403, "STARTTLS") == (answer.status, json.loads(answer.body)["stage"])
    offers = ("220 hi\n", "250-me\n250 STARTTLS\n")
    with Scripted(*offers, "454 not now\n") as server:
        assert 429 == transport.send(send(f"smtp+starttls://127.0.0.1:{server.port}")).status
    with Scripted(*offers, "220 go\n") as server, pytest.raises(TransportError) as lost:
        transport.send(send(f"smtp+starttls://127.0.0.1:{server.port}"))
    assert False is lost.value.sent
    assert not any(b"AUTH" in each for each in server.heard)
    for scheme, method in (("smtps", "SEND"), ("imaps", "FETCH")):
        with Scripted("220 hi\n") as server, pytest.raises(TransportError) as lost:
            transport.send(Request(method, f"{scheme}://127.0.0.1:{server.port}", ENVELOPE))
        assert False is lost.value.sent


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("SEND", "smtp://mail.example", {}),
        ("FETCH", "imap://mail.example/INBOX", {}),
        ("SEND", "smtps://mail.example:port", {}),
        ("FETCH", "smtp://127.0.0.1", {}),
        ("DELETE", "imap://127.0.0.1/INBOX", {}),
        ("SEND", "smtp://127.0.0.1:9", {"Mail-To": "ola@example.com>\r\nRCPT TO:<eve@example.com"}),
        ("SEND", "smtp://127.0.0.1:9", {"Mail-From": ""}),
        ("SEND", "smtp://127.0.0.1:9", {}),
        ("FETCH", "imap://127.0.0.1:9", {}),
    ],
)
def test_what_cannot_be_asked_leaves_nothing(transport, method, url, headers):
    """No encryption, no such method, no address, nobody there: certainly not sent."""
    with pytest.raises(TransportError) as refused:
        transport.send(
            Request(method, url, {**ENVELOPE, **headers}, LETTER, posts=method == "SEND")
        )
    assert False is refused.value.sent


# -- IMAP


def fetch(host, query="", mailbox="INBOX"):
    """Return a request that reads."""
    url = f"{host.urls['imap']}/{mailbox}?{query}"
    return Request("FETCH", url, proof(), repeatable=True)


def read(transport, request):
    """Return what was read."""
    answer = transport.send(request)
    assert 200 == answer.status, answer.body
    return json.loads(answer.body)


def test_a_mailbox_is_read_from_a_place_on(host, transport):
    """`n:*` gives the last message even below n; we do not, and a mailbox numbered anew is read again."""
    before = read(transport, fetch(host, "limit=0"))
    start = f"uidvalidity={before['uidvalidity']}&after={before['uidnext'] - 1}"
    for number in range(3):
        host.put(b"From: ola@example.com\nMessage-ID: <n%d@mail.example>\n\nHello\n" % number)
    first = read(transport, fetch(host, f"{start}&limit=2"))
    uids = [each["uid"] for each in first["messages"]]
    assert (True, sorted(uids)) == (first["more"], uids)
    place = f"uidvalidity={first['uidvalidity']}&after={uids[-1]}"
    rest = read(transport, fetch(host, place))
    assert (1, False) == (len(rest["messages"]), rest["more"])
    last = rest["messages"][-1]
    assert (
        []
        == read(transport, fetch(host, place.replace(str(uids[-1]), str(last["uid"]))))["messages"]
    )
    anew = read(transport, fetch(host, "uidvalidity=1&after=999999&since=2020-01-01"))
    assert {*uids, last["uid"]} <= {each["uid"] for each in anew["messages"]}
    later = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    assert [] == read(transport, fetch(host, f"since={later}"))["messages"]
    source = base64.b64decode(last["source"])
    assert (len(source), b"Hello") == (last["size"], source.strip()[-5:])


def test_one_message_is_found_by_its_id(host, transport):
    """The header alone, where no more is asked for; what cannot be an id finds nothing."""
    host.put(b"From: ola@example.com\nMessage-ID: <lone@mail.example>\n\nHello\n")
    found = read(transport, fetch(host, "message-id=lone@mail.example&part=header"))
    (message,) = found["messages"]
    assert b"Hello" not in base64.b64decode(message["source"])
    for odd in ("nobody@mail.example", "a%22%20b", "%C5%BC@mail.example"):
        assert [] == read(transport, fetch(host, f"message-id={odd}"))["messages"]


def test_reading_changes_nothing(host, transport):
    """What we read still counts as unseen, for whoever reads in a mail program."""
    read(transport, fetch(host))
    with host.login() as imap:
        imap.select("INBOX")
        assert [b""] == imap.uid("SEARCH", "SEEN")[1]


def test_a_page_is_bounded(host, transport, monkeypatch):
    """A message is cut off at its limit, and a page ends before it grows too large."""
    for _ in range(3):
        host.put(b"From: ola@example.com\n\n" + b"x" * 500 + b"\n")
    everything = read(transport, fetch(host))["messages"]
    monkeypatch.setattr(mail, "MAX_SOURCE", 300)
    monkeypatch.setattr(mail, "MAX_PAGE", 400)
    place = read(transport, fetch(host, "limit=0"))
    after = f"uidvalidity={place['uidvalidity']}&after={everything[-3]['uid']}"
    cut = read(transport, fetch(host, after))
    assert (1, 300, True) == (
        len(cut["messages"]),
        len(base64.b64decode(cut["messages"][0]["source"])),
        cut["more"],
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("INBOX", '"INBOX"'),
        ("[Gmail]/Sent Mail", '"[Gmail]/Sent Mail"'),
        ("Entwürfe & mehr", '"Entw&APw-rfe &- mehr"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
    ],
)
def test_a_mailbox_is_named_as_imap_does(name, written):
    """Quoted, and beyond ASCII in modified UTF-7 (RFC 3501, 5.1.3)."""
    assert written == mail._mailbox(name)


def test_a_mailbox_that_is_not_there_is_404(host, transport):
    """What is misspelt is said."""
    assert 404 == transport.send(fetch(host, mailbox="Nope")).status


GREETING = "* OK hi\n", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\n{} OK x\n"


class ImapScripted(Scripted):
    """Answer each command by its own tag; `{}` in a line stands for it."""

    def _serve(self):
        peer, _ = self.listener.accept()
        with (
            peer,
            self.listener,
            peer.makefile("rb") as heard,
            suppress(OSError),
        ):  # who asked may be gone
            peer.settimeout(5)
            peer.sendall(self.lines[0].replace("\n", "\r\n").encode())
            for line in self.lines[1:]:
                self.heard.append(heard.readline())
                if b" " in self.heard[-1][:12]:
                    tag = self.heard[-1].split()[0].decode()
                peer.sendall(line.replace("{}", tag).replace("\n", "\r\n").encode())


IN = (*GREETING, "+ \n", "{} OK in\n")
OPEN = (*IN, "* OK [UIDVALIDITY 7] x\n* OK [UIDNEXT 3] x\n* 2 EXISTS\n{} OK [READ-ONLY] x\n")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((*GREETING, "+ \n", "{} NO [UNAVAILABLE] later\n"), 503),
        ((*IN, "{} BAD what\n"), 400),
        ((*OPEN, "{} NO not now\n"), 503),
    ],
)
def test_what_an_imap_server_refuses(transport, lines, status):
    """A backend that is away is no wrong password; a search that fails is no empty mailbox."""
    with ImapScripted(*lines) as server:
        request = Request("FETCH", f"imap://127.0.0.1:{server.port}/INBOX?limit=2", proof())
        assert status == transport.send(request).status


@pytest.mark.parametrize(
    "lines",
    [
        (*GREETING, "+ \n", "* BYE\n"),
        (*GREETING, "+ \n"),
        (*IN, "* OK [UIDVALIDITY x] x\n{} OK x\n"),
        (
            *OPEN,
            "* SEARCH 1\n{} OK x\n",
            '* 1 FETCH (UID 1 RFC822.SIZE 9 INTERNALDATE "x")\n{} OK x\n',
        ),
        (
            *OPEN,
            "* SEARCH 1\n{} OK x\n",
            '* 1 FETCH (UID 1 RFC822.SIZE 9 INTERNALDATE " 2-Mar-2026 09:00:00 +0000")\n{} OK x\n',
            "* 1 FETCH (BODY[] {99999999999}\n",
        ),
    ],
)
def test_an_answer_that_makes_no_sense_is_none(transport, lines):
    """A connection that ends, a number that is none, a literal larger than what was asked for."""
    with ImapScripted(*lines) as server:
        request = Request("FETCH", f"imap://127.0.0.1:{server.port}/INBOX?limit=2", proof())
        with pytest.raises(TransportError):
            transport.send(request)


def test_a_message_that_cannot_be_had_is_named(transport):
    """It is gone, or the server stumbles over it: the others are read all the same."""
    size = '* {n} FETCH (UID {n} RFC822.SIZE 9 INTERNALDATE " 2-Mar-2026 09:00:00 +0000")\n'
    sizes = size.replace("{n}", "1") + size.replace("{n}", "2") + "{} OK x\n"
    there = "* 2 FETCH (UID 2 BODY[]<0> {9}\n\nhello\n)\n{} OK x\n"
    lines = (*OPEN, "* SEARCH 1 2 3\n{} OK x\n", sizes, "{} NO broken\n", there)
    with ImapScripted(*lines) as server:
        request = Request("FETCH", f"imap://127.0.0.1:{server.port}/INBOX?limit=3", proof())
        found = json.loads(transport.send(request).body)["messages"]
    assert [(1, False), (2, True)] == [(each["uid"], bool(each["source"])) for each in found]
    assert "2026-03-02T09:00:00+00:00" == found[0]["at"]
