"""E-mail keeps what every channel promises, threads what belongs together, and answers no machine."""

import base64
import json
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import attrs
import pytest

from supportflow.channels import Ambiguous, Found, NeedsAuth, NotSent, RateLimited, Refused
from supportflow.channels.email import Email
from supportflow.errors import InvalidValue, PayloadError, TransportError, Unsupported
from supportflow.http import Request, Response
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    ChannelState,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    StatusReport,
    Visibility,
)
from supportflow.testing import ChannelContract, PageCase, SendCase
from supportflow.testing.channel_cases import drive

AT = ChannelContract.at
AUTH = {"Authorization": "PLAIN " + base64.b64encode(b"\0support@shop.example\0s3same").decode()}
IMAP = "imaps://imap.shop.example"
MARK = "a" * 24
OURS = f"{MARK}@shop.example"
OLA = Author("ola@example.com", "Ola Nowak", "ola@example.com")

FIRST = b"""Return-Path: <ola@example.com>
From: "Ola Nowak" <Ola@Example.com>
To: support@shop.example
Subject: =?utf-8?q?Zam=C3=B3wienie?= 4711
Date: Mon, 2 Mar 2026 08:59:00 +0000
Message-ID: <first@mail.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain; charset=iso-8859-2
Content-Transfer-Encoding: quoted-printable

Gdzie jest moja paczka? Prosz=EA!
--b
Content-Type: image/jpeg; name="box.jpg"
Content-ID: <box@mail.example>
Content-Transfer-Encoding: base64

/9j/
--b--
"""
AGAIN = f"""From: ola@example.com
To: support@shop.example
Subject: Re: order 4711
Message-ID: <second@mail.example>
In-Reply-To: <{OURS}>
References: <first@mail.example>
 <{OURS}>

Still nothing.

On Mon, 2 Mar 2026 at 10:00, Shop <support@shop.example> wrote:
> It comes tomorrow.
""".encode()
BOUNCE = f"""From: MAILER-DAEMON@mx.example
To: support@shop.example
Message-ID: <bounce@mx.example>
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

It did not arrive.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ola@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: text/rfc822-headers

Message-ID: <{OURS}>
Subject: Re: order 4711

--b--
""".encode()


def item(uid, source, size=None, at=AT):
    """Return a message as `supportflow.mail` answers it."""
    coded = base64.b64encode(source).decode()
    return {"uid": uid, "at": at.isoformat(), "size": size or len(source), "source": coded}


def page(*found, more=False, validity=17, following=9):
    """Return the answer to a FETCH."""
    places = {"uidvalidity": validity, "uidnext": following, "at": AT.isoformat(), "more": more}
    return Response(200, body=json.dumps({**places, "messages": found}).encode(), at=AT)


def place(uid, validity=17):
    """Return where the reading of a mailbox goes on."""
    return {"uidvalidity": validity, "uid": uid, "day": "2026-02-28"}


def cursor(uid, **more):
    """Return the cursor of a mailbox alone."""
    return json.dumps({"INBOX": place(uid), **more}, separators=(",", ":"))


def header(source, *lines):
    """Return a header alone, perhaps with more lines."""
    return source.partition(b"\n\n")[0] + b"\n" + b"".join(lines) + b"\n"


def outgoing(**changes):
    """Return an answer to the first message."""
    usual = {
        "id": "row",
        "mark": MARK,
        "text": "It comes tomorrow, promised: jutro.",
        "to": OLA,
        "thread": "first@mail.example",
        "reply_to": ("mail", "first@mail.example/0123456789ab"),
        "visibility": Visibility.private,
        "by": AgentKind.person,
        "queued_at": AT,
    }
    return Outgoing(**{**usual, **changes})


def shop(**changes):
    """Return the channel; its server files what is handed in unless told otherwise."""
    usual = {
        "password": "s3same",
        "smtp": "smtp.shop.example",
        "imap": "imap.shop.example",
        "sender": "Tea Shop",
        "sent": "Sent",
    }
    return Email("support@shop.example", **{**usual, **changes})


def read(source, **options):
    """Return what one message that arrives gives, after everything before was read."""
    channel = shop(sent="", **options)
    return drive(channel.poll(cursor(1)), [page(item(2, source))]).result


def send(message, *answers, **options):
    """Drive an answer, and return how that ended."""
    return drive(shop(**options).send(message), answers)


LOOK = Request(
    "FETCH",
    f"{IMAP}/INBOX?message-id=first%40mail.example&part=header",
    AUTH,
    repeatable=True,
)
LETTER = (
    f"Message-ID: <{OURS}>\r\n"
    "In-Reply-To: <first@mail.example>\r\n"
    "References: <first@mail.example>\r\n"
    "From: Tea Shop <support@shop.example>\r\n"
    "To: ola@example.com\r\n"
    "Subject: Re: =?utf-8?q?Zam=C3=B3wienie?= 4711\r\n"
    "Date: Mon, 02 Mar 2026 09:00:00 +0000\r\n"
    'Content-Type: text/plain; charset="utf-8"\r\n'
    "Content-Transfer-Encoding: 7bit\r\n"
    "MIME-Version: 1.0\r\n"
    "\r\n"
    "It comes tomorrow, promised: jutro.\r\n"
).encode()
ENVELOPE = {**AUTH, "Mail-From": "support@shop.example", "Mail-To": "ola@example.com"}
HAND_IN = Request("SEND", "smtps://smtp.shop.example", ENVELOPE, LETTER, posts=True)
TAKEN = Response(200, body=b'{"code": 250, "text": "queued as 4711"}', at=AT)
PARENT = page(item(1, header(FIRST)))


class TestEmail(ChannelContract):
    """A server that files what is handed in, as it was seen to do."""

    statuses = {
        **dict.fromkeys((401, 403), NeedsAuth),
        **dict.fromkeys((301, 400, 404, 422), Refused),
        429: RateLimited,
        **dict.fromkeys((408, 500, 503, 529), Ambiguous),  # without the server's own words
    }

    @pytest.fixture
    def channel(self):
        """Return a channel that has seen its server file something."""
        return shop().using(ChannelState("email", learned={"files": True}))

    @pytest.fixture
    def inbound_cases(self):
        """Return a first message with a picture, an answer in its thread, a bounce; and sent mail."""
        first = Message(
            "email",
            "mail",
            "first@mail.example/e8d18b8d2e8f",
            OLA,
            "Zamówienie 4711\n\nGdzie jest moja paczka? Proszę!",
            AT,
            thread="first@mail.example",
            visibility=Visibility.private,
            attachments=(
                Attachment("image", "mid:first%40mail.example/box%40mail.example", "box.jpg"),
            ),
            permalink="mid:first%40mail.example",
            raw='{"subject":"Zamówienie 4711","text":"Gdzie jest moja paczka? Proszę!"}',
        )
        whole = AGAIN.decode().partition("\n\n")[2].strip()
        again = attrs.evolve(
            first,
            id="second@mail.example/c52b32b4fd4c",
            author=Author("ola@example.com", "ola@example.com", "ola@example.com"),
            text="Still nothing.",
            parent=OURS,
            attachments=(),
            permalink="mid:second%40mail.example",
            raw=json.dumps({"subject": "Re: order 4711", "text": whole}, separators=(",", ":")),
        )
        failed = StatusReport("email", OURS, "failed", AT, "smtp; 550 5.1.1 no such user", MARK)
        echo = Message(
            "email",
            "mail",
            OURS,
            Author("support@shop.example", "Tea Shop", "support@shop.example"),
            "It comes tomorrow, promised: jutro.",
            AT,
            parent="first@mail.example",
            visibility=Visibility.private,
            permalink=f"mid:{MARK}%40shop.example",
            raw='{"subject":"Re: Zamówienie 4711","text":"It comes tomorrow, promised: jutro."}',
        )
        arrived = page(item(2, FIRST), item(3, AGAIN), item(5, BOUNCE))
        facts = Inbound(first), Inbound(again), failed
        sent = Outbound(echo, "ola@example.com", MARK)
        return [
            PageCase("mail", (arrived, page()), facts, cursor(1, Sent=place(8)), ("messages",)),
            PageCase("sent", (page(), page(item(7, LETTER))), (sent,), cursor(8), None),
        ]

    @pytest.fixture
    def send_cases(self):
        """Return an answer, and each way in which a server words that it was not taken."""
        message, asked = outgoing(), (LOOK, HAND_IN)
        receipt = Receipt(OURS, AT)
        there, nothing = page(item(4, LETTER)), page()
        cases = [
            SendCase("an answer", message, asked, (PARENT, TAKEN), receipt, (there,), (nothing,))
        ]
        for status, code, kind in (
            (503, 451, NotSent),
            (422, 550, Refused),
            (403, 550, NeedsAuth),
            (429, 421, RateLimited),
        ):
            said = Response(status, body=json.dumps({"code": code, "text": "no"}).encode(), at=AT)
            cases.append(SendCase(f"{status} {code}", message, asked, (PARENT, said), kind))
        return cases

    def test_a_text_at_the_limit_is_sent_whole(self, channel, send_cases):
        """Lines of any length arrive uncut; on the way they are encoded (RFC 2045)."""
        for length in (channel.traits.max_text - 1, channel.traits.max_text):
            text = "a" * length
            driven = drive(channel.send(outgoing(text=text)), (PARENT, TAKEN))
            body = driven.requests[-1].body
            assert text == message_from_bytes(body, policy=default).get_content().strip()
            assert 998 >= max(map(len, body.split(b"\r\n")))


# -- in


def test_a_first_poll_takes_a_day_for_news():
    """Older mail is history; `since` says otherwise, and is asked for with a day to spare."""
    old = page(item(2, FIRST, at=datetime(2026, 2, 28, 9, tzinfo=UTC)), item(3, AGAIN))
    driven = drive(shop(sent="").poll(None), [old])
    assert [True, False] == [fact.backfill for fact in driven.facts]
    assert driven.requests[0].url.endswith("/INBOX?limit=20")
    since = shop(sent="", since=datetime(2026, 2, 27, tzinfo=UTC))
    driven = drive(since.poll("not ours"), [old])
    assert [False, False] == [fact.backfill for fact in driven.facts]
    assert driven.requests[0].url.endswith("since=2026-02-26")


@pytest.mark.parametrize(
    ("before", "answer", "after"),
    [
        (cursor(4), page(), cursor(8)),
        (cursor(4), page(item(5, FIRST), more=True), cursor(5)),
        (cursor(9), page(following=0), cursor(9)),
        (cursor(900), page(item(2, FIRST), validity=17), cursor(900)),
        (None, page(following=1), cursor(0)),
        ('{"INBOX": {"uidvalidity": 17, "uid": 4, "day": "then"}}', page(), cursor(8)),
        ('{"INBOX": {"uidvalidity": "17", "uid": 4, "day": ""}}', page(), cursor(8)),
    ],
)
def test_the_cursor_goes_on(before, answer, after):
    """The last UID read, or the one before the next; a page that is full asks for more."""
    found = drive(shop(sent="").poll(before), [answer]).result
    assert after == found.cursor
    assert found.more is (b'"more": true' in answer.body)


def test_a_mailbox_that_is_numbered_anew_is_read_back():
    """With another UIDVALIDITY the old UIDs mean nothing: the new ones count, however small."""
    driven = drive(shop(sent="").poll(cursor(900)), [page(item(2, FIRST), validity=18)])
    assert "uidvalidity=17&after=900&since=2026-02-28" in driven.requests[0].url
    assert cursor(2).replace("17", "18") == driven.result.cursor
    assert 1 == len(driven.facts)


@pytest.mark.parametrize("answer", [page(more=True), page({**item(2, FIRST), "uid": None})])
def test_a_page_that_names_no_place_is_read_again(answer):
    """What was deleted while we read moves no cursor past what is still there."""
    assert isinstance(drive(shop(sent="").poll(cursor(1)), [answer]).error, PayloadError)


def test_the_same_message_has_the_same_key_and_another_another():
    """A copy is known again; a sender whose messages all bear one id loses none of them."""
    one, copy, other = (
        read(source).facts[0].message.key
        for source in (FIRST, b"Received: by mx\n" + FIRST, FIRST.replace(b"Gdzie", b"Kiedy"))
    )
    assert one == copy
    assert one != other


def test_a_message_without_an_id_is_known_by_its_content():
    """Nothing refers to it, so that it is a thread of its own."""
    source = FIRST.replace(b"Message-ID: <first@mail.example>\n", b"")
    (fact,) = read(source).facts
    assert ("/", fact.message.thread) == (fact.message.id[0], fact.message.id)
    assert fact.message.permalink is None


def test_only_what_it_answers_may_be_named():
    """Without References the parent places it: our own id is known, whatever came before."""
    source = AGAIN.replace(b"References: <first@mail.example>\n <%s>\n" % OURS.encode(), b"")
    (fact,) = read(source).facts
    assert (None, OURS) == (fact.message.thread, fact.message.parent)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"Auto-Submitted: auto-replied (vacation)", "Auto-Submitted: auto-replied"),
        (b"Precedence: Bulk", "Precedence: bulk"),
        (b"List-Id: <tea.example>", "it has a field List-Id"),
        (b"Return-Path: < >", "its return path is empty"),
    ],
)
def test_what_a_machine_sent_waits_for_a_person(line, why):
    """It is kept apart with the reason, and read when somebody replays it."""
    source = line + b"\n" + FIRST.partition(b"\n")[2]
    found = read(source)
    assert () == found.facts
    (kept,) = found.unreadable
    assert why in kept.why
    (fact,) = shop().reread(kept.raw).facts
    assert "Ola Nowak" == fact.message.author.name


def test_a_person_may_say_that_they_are_no_machine():
    """`Auto-Submitted: no` is a person's (RFC 3834, 5)."""
    assert 1 == len(read(b"Auto-Submitted: no\n" + FIRST).facts)


@pytest.mark.parametrize(
    ("old", "new"),
    [(OURS, "other@shop.test"), ("Action: failed", "Action: delayed")],
)
def test_a_report_of_something_else_is_no_failure(old, new):
    """Only a failure that names a message of our own is one; the rest waits for a person."""
    found = read(BOUNCE.decode().replace(old, new).encode())
    assert () == found.facts
    assert "a machine sent it" in found.unreadable[0].why


def test_an_answer_from_our_own_address_is_ours():
    """A person of ours who sends a copy to the mailbox answered; who answers nothing did not."""
    source = AGAIN.replace(b"From: ola@", b"From: support@shop.example\nX-Was: ola@").replace(
        b"To: support@shop.example\n", b"To: support@shop.example, ola@example.com\n"
    )
    (fact,) = read(source).facts
    assert isinstance(fact, Outbound)
    assert ("ola@example.com", None, "second@mail.example") == (
        fact.customer,
        fact.mark,
        fact.message.id,
    )
    alone = b"From: support@shop.example\nTo: ola@example.com\nSubject: x\n\nHi"
    assert "from our own address" in read(alone).unreadable[0].why


def test_a_contact_form_gives_the_customer_in_reply_to():
    """What a form sends is from whom it names; anybody else is answered where they ask."""
    form = b"From: forms@shop.example\nReply-To: ola@example.com\nSubject: Hi\n\nCold tea!\n"
    (fact,) = read(form, forms=["forms@shop.example"]).facts
    assert ("ola@example.com", "ola@example.com") == (
        fact.message.author.id,
        fact.message.author.handle,
    )
    (fact,) = read(form).facts
    assert ("forms@shop.example", "ola@example.com") == (
        fact.message.author.id,
        fact.message.author.handle,
    )


@pytest.mark.parametrize("broken", [{"source": None}, {"source": "%"}, {"size": -1}])
def test_what_the_server_did_not_give_is_told(broken):
    """A message that cannot be had is in quarantine, and the next ones are read."""
    given = page({**item(2, FIRST), **broken}, item(3, AGAIN))
    found = drive(shop(sent="").poll(cursor(1)), [given]).result
    assert (1, 1, cursor(3)) == (len(found.facts), len(found.unreadable), found.cursor)


def test_sent_mail_that_answers_nothing_is_left_out():
    """A new message of ours opens no conversation; one with our mark teaches that mail is filed."""
    lone = b"From: support@shop.example\nTo: ola@example.com\nMessage-ID: <n@shop.example>\n\nHi"
    found = drive(shop().poll(None), [page(), page(item(7, lone))]).result
    assert ((), {}) == (found.facts, dict(found.learned))
    found = drive(shop().poll(None), [page(), page(item(7, LETTER))]).result
    assert {"files": True} == found.learned


# -- out


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (outgoing(reply_to=None), Unsupported),
        (outgoing(visibility=Visibility.public), Unsupported),
        (outgoing(card=Card("Tea", "https://shop.example/tea")), Unsupported),
        (outgoing(to=Author("a b")), Refused),
        (outgoing(to=Author("ola@example.com>\r\nRCPT TO:<eve@example.com")), Refused),
        (outgoing(mark="a\r\nBcc: eve@example.com"), Refused),
    ],
)
def test_what_cannot_be_sent_is_refused_before(message, error):
    """Announcements, cards, and addresses that would add commands or fields."""
    driven = send(message, PARENT)
    assert isinstance(driven.error, error)
    assert not any(request.posts for request in driven.requests)


def test_a_subject_adds_no_field():
    """What a customer's subject holds stays in the subject."""
    evil = b"=?utf-8?q?Hi=0D=0ABcc:_eve@example.com=00?="
    driven = send(
        outgoing(),
        page(
            item(
                1,
                header(
                    b"From: ola@example.com\nMessage-ID: <first@mail.example>\nSubject: " + evil
                ),
            )
        ),
        TAKEN,
    )
    letter = message_from_bytes(driven.requests[-1].body, policy=default)
    assert ("Re: Hi Bcc: eve@example.com\ufffd", None) == (letter["Subject"], letter["Bcc"])


def test_a_bot_says_so_and_answers_no_machine():
    """`Auto-Submitted` is on what no person wrote, and no loop begins (RFC 3834)."""
    bot = outgoing(by=AgentKind.bot)
    body = send(bot, PARENT, TAKEN).requests[-1].body
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in body
    assert b"Auto-Submitted" not in send(outgoing(), PARENT, TAKEN).requests[-1].body
    machine = page(item(1, header(FIRST, b"Auto-Submitted: auto-generated\n")))
    assert isinstance(send(bot, machine).error, Refused)
    assert send(outgoing(), machine, TAKEN).error is None


def test_what_it_answers_may_be_gone_or_have_no_id():
    """Then the thread is the reference, and the subject one that fits all."""
    other = page(item(1, FIRST.replace(b"<first@", b"<xfirst@")))
    letter = message_from_bytes(send(outgoing(), other, TAKEN).requests[-1].body, policy=default)
    assert ("Re: your message", "<first@mail.example>") == (letter["Subject"], letter["References"])
    driven = send(outgoing(reply_to=("mail", "/0123456789ab"), thread="/0123456789ab"), TAKEN)
    letter = message_from_bytes(driven.requests[-1].body, policy=default)
    assert (1, None) == (len(driven.requests), letter["In-Reply-To"])


def test_references_keep_the_root_and_stay_short():
    """A long thread keeps its first id and its last; no line is too long (RFC 5322, 2.1.1)."""
    many = b"References: " + b" ".join(b"<%d-%s@mail.example>" % (n, b"x" * 50) for n in range(60))
    driven = send(outgoing(), page(item(1, header(FIRST, many + b"\n"))), TAKEN)
    body = driven.requests[-1].body
    found = message_from_bytes(body, policy=default)["References"].split()
    assert "<0-" == found[0][:3]
    assert "<first@mail.example>" == found[-1]
    assert 998 > max(map(len, body.split(b"\r\n")))


def test_an_address_beyond_ascii_is_written_as_it_must_be():
    """The domain in ASCII (IDNA); what stands before it as it is (RFC 6531)."""
    driven = send(outgoing(to=Author("żółw@bücher.example")), PARENT, TAKEN)
    request = driven.requests[-1]
    assert "żółw@xn--bcher-kva.example" == request.headers.get("Mail-To")
    assert "To: żółw@xn--bcher-kva.example\r\n".encode() in request.body


def test_an_own_domain_that_cannot_be_written_stays_as_it_is():
    """A label that is too long has no form in ASCII; nothing is raised."""
    long = f"a@{'ü' * 70}.example"
    driven = send(outgoing(to=Author(long)), PARENT, TAKEN)
    assert long == driven.requests[-1].headers.get("Mail-To")


@pytest.mark.parametrize("trouble", [TransportError("lost"), Response(404, body=b"{}", at=AT)])
def test_trouble_with_the_mailbox_is_not_sent(trouble):
    """What cannot be read before can be tried again; nothing was handed in."""
    assert isinstance(send(outgoing(), trouble).error, NotSent)


def test_an_access_token_is_another_proof():
    """`XOAUTH2` carries the token as Gmail and Microsoft want it."""
    driven = send(outgoing(), PARENT, TAKEN, login="XOAUTH2", user="me")
    mechanism, _, proof = driven.requests[0].headers.get("Authorization").partition(" ")
    assert ("XOAUTH2", b"user=me\x01auth=Bearer s3same\x01\x01") == (
        mechanism,
        base64.b64decode(proof),
    )


# -- looking, and how it is


def test_absence_means_nothing_unless_mail_is_filed():
    """A mailbox in which nothing of ours was ever seen proves no absence."""
    assert not drive(shop().find_sent(outgoing()), [page()]).result.looked
    assert not drive(shop(sent="").find_sent(outgoing()), []).result.looked
    seen = shop().using(ChannelState("email", learned={"files": True}))
    assert Found() == drive(seen.find_sent(outgoing()), [page()]).result


def test_traits_say_whether_a_loss_can_be_cleared_up():
    """Without sent mail nobody can know; and a person is asked at once."""
    assert ("read", "blind") == (shop().traits.reconcile, shop(sent="").traits.reconcile)


def test_check_asks_both_servers():
    """All is well only if both logins, the mailboxes and the sender are accepted."""
    well = drive(shop().check(), [TAKEN, page(), page()]).result
    assert (True, 1) == (well.ok, len(well.notes))
    denied = Response(401, body=b'{"code": 535, "text": "bad"}', at=AT)
    ill = drive(shop(sent="").check(), [denied, page()]).result
    assert (False, 1) == (ill.ok, len(ill.problems))
    assert "SMTP: 401" in ill.problems[0]
    odd = drive(shop(sent="").check(), [Response(200, body=b"{}", at=AT), page()]).result
    assert not odd.ok


def test_a_renewed_password_is_used():
    """What the state holds replaces what the channel was built with."""
    renewed = shop().using(
        ChannelState("email", credentials={"password": shop(password="n3w").password})
    )
    assert "n3w" == renewed.password.reveal()


@pytest.mark.parametrize(
    "wrong",
    [
        {"smtp": "smtp://smtp.shop.example"},
        {"imap": "imap://imap.shop.example"},
        {"imap": "smtps://imap.shop.example"},
        {"smtp": "smtps://user:pw@smtp.shop.example"},
        {"smtp": "smtps://"},
        {"imap": "imaps://imap.shop.example/INBOX"},
        {"login": "CRAM-MD5"},
        {"password": ""},
        {"sender": "Tea\r\nBcc: eve@example.com"},
        {"mailbox": ""},
        {"forms": ["no address"]},
    ],
)
def test_what_makes_no_channel_is_refused(wrong):
    """A server that is not encrypted, a secret that is missing, a name that would add a field."""
    with pytest.raises(InvalidValue):
        shop(**wrong)


def test_an_item_that_is_none_is_not_reread():
    """What was never a message stays in quarantine."""
    with pytest.raises(PayloadError):
        shop().reread(b"{}")


def test_uncertain_answers_of_a_server_are_ambiguous():
    """A 503 without the server's own reply proves nothing."""
    for answer in (Response(503, body=b"{}", at=AT), Response(200, body=b'{"code": 354}', at=AT)):
        assert isinstance(send(outgoing(), PARENT, answer).error, Ambiguous)
