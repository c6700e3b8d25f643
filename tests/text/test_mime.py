"""E-mail is read whatever is in it: words kept, machines told from people, nothing unexpected raised."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import PayloadError
from supportflow.text.mime import Bounce, Part, read_letter, unquoted

FROM = b"From: Ola <ola@example.com>\n"


def text(source, **options):
    """Return the words of a message."""
    return read_letter(FROM + source, **options).text


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (b"text/plain; charset=iso-8859-2", "Zażółć".encode("iso-8859-2"), "Zażółć"),
        (b"text/plain; charset=windows-1251", "Пакунак".encode("cp1251"), "Пакунак"),
        (b"text/plain; charset=koi8-r", "Пакет".encode("koi8-r"), "Пакет"),
        (b"text/plain; charset=gb2312", "退款镕".encode("gb18030"), "退款镕"),
        (b"text/plain; charset=us-ascii", "Grüße".encode(), "Grüße"),
        (b"text/plain; charset=iso-8859-1", "€5".encode("cp1252"), "€5"),
        (b"text/plain; charset=nonsense", "Grüße".encode(), "Grüße"),
        (b"text/plain; charset=punycode", b"abc", "abc"),
        (b"text/plain; charset=utf-8", "Grüße".encode("cp1252"), "Grüße"),
        (b"text/plain; charset=hex", b"\x81\x8d", "\x81\x8d"),
        (b"text/html", b"<style>p{}</style><p>Hi<br>you</p><!-- a - b -->", "Hi\nyou"),
        (
            b"text/html",
            b"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
            "a b\nc",
        ),
    ],
)
def test_words_are_decoded(kind, body, words):
    """By their charset where that is one, and otherwise as well as can be."""
    assert words == text(b"Content-Type: " + kind + b"\nContent-Transfer-Encoding: 8bit\n\n" + body)


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?w6Row6Q=?=", "Grüßeähä"),
        (b"=?iso-8859-2?Q?Za=BF=F3=B3=E6_ges?= x", "Zażółć ges x"),
        (b"=?utf-8?b?!?= ok", "=?utf-8?b?!?= ok"),
        (b"=?utf-8?b?abcde?= ok", "=?utf-8?b?abcde?= ok"),
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("cp1252"), "Grüße"),
        (b"=?utf-8*de?q?Hallo?=", "Hallo"),
        (b"folded\n  subject", "folded subject"),
    ],
)
def test_a_subject_is_decoded(raw, subject):
    """Encoded words (RFC 2047), and what never was encoded."""
    assert subject == read_letter(FROM + b"Subject: " + raw + b"\n\n").subject


def multipart(kind, *parts):
    """Return a body of parts."""
    body = b"".join(b"--b\n" + part + b"\n" for part in parts)
    return b"Content-Type: multipart/" + kind + b'; boundary="b"\n\n' + body + b"--b--\n"


PLAIN, HTML = b"Content-Type: text/plain\n\nplain", b"Content-Type: text/html\n\n<b>rich</b>"
EMPTY = b"Content-Type: text/plain\n\n \n"
PICTURE = b'Content-Type: image/png; name="=?utf-8?q?=C3=BC.png?="\nContent-ID: <p@x.example>\n\nx'
FILE = b"Content-Type: text/plain; name=notes.txt\nContent-Disposition: attachment\n\nnotes"


@pytest.mark.parametrize(
    ("body", "words", "parts"),
    [
        (multipart(b"alternative", PLAIN, HTML), "plain", ()),
        (multipart(b"alternative", HTML, PLAIN), "plain", ()),
        (multipart(b"alternative", EMPTY, HTML), "rich", ()),
        (multipart(b"alternative", EMPTY), "", ()),
        (
            multipart(b"mixed", PLAIN, PICTURE, HTML),
            "plain\n\nrich",
            (Part("image", "ü.png", "p@x.example"),),
        ),
        (multipart(b"mixed", PLAIN, FILE), "plain", (Part("file", "notes.txt"),)),
        (b"Content-Type: application/pdf\n\nx", "", (Part("file"),)),
        (b"Content-Type: multipart/mixed\n\nno boundary", "", (Part("file"),)),
    ],
)
def test_parts_are_read_or_listed(body, words, parts):
    """Words of every part that has some; of alternatives the plain one; the rest by name alone."""
    letter = read_letter(FROM + body)
    assert (words, parts) == (letter.text, letter.parts)


def test_what_is_cut_off_is_never_taken_for_all():
    """Words that may go on are refused; a file that was cut off is listed, and so is the rest."""
    whole = multipart(b"mixed", PLAIN, PICTURE)
    letter = read_letter(FROM + whole, complete=False)
    assert ("plain", "(the rest") == (letter.text, letter.parts[-1].name[:9])
    for cut in (multipart(b"mixed", PICTURE, PLAIN), PLAIN, multipart(b"mixed", PICTURE)):
        with pytest.raises(PayloadError):
            read_letter(FROM + cut, complete=False)
    both = read_letter(FROM + multipart(b"alternative", PLAIN, HTML), complete=False)
    assert "plain" == both.text


@pytest.mark.parametrize(
    ("quoted", "kept"),
    [
        ("New.\n\nOn Mon, 2 Mar 2026 at 10:00, Shop wrote:\n> Old.", "New."),
        ("New.\n\nOn Mon, Shop <s@shop.example>\nwrote:\n> Old.\n>\n> Older.\n", "New."),
        ("New.\n> Old.\nNewer.", "New.\n> Old.\nNewer."),
        ("> Old.\nNewer.", "> Old.\nNewer."),
        ("> Only old.", "> Only old."),
        ("My list:\n> a", "My list:"),
        (
            "Am 02.03.26 um 10:00 schrieb Shop:\n> Alt.",
            "Am 02.03.26 um 10:00 schrieb Shop:\n> Alt.",
        ),
        ("New. -- \nOla", "New. -- \nOla"),
        ("", ""),
    ],
)
def test_quotations_at_the_end_are_left_out(quoted, kept):
    """Only what stands below all other words; never everything, and never between words."""
    assert kept == unquoted(quoted)


@given(
    st.lists(st.sampled_from(["> old", "new", "", "On 1 Jan at 10:00, S wrote:", ">"]), max_size=8)
)
def test_no_words_of_the_author_are_lost(lines):
    """Whatever stands between quotations, every line that is none of them or of theirs is kept."""
    kept = unquoted("\n".join(lines))
    assert lines.count("new") == kept.split("\n").count("new")


@pytest.mark.parametrize(
    ("lines", "machine"),
    [
        (b"", ""),
        (b"Auto-Submitted: No; x\n", ""),
        (b"Auto-Submitted: auto-generated\n", "Auto-Submitted: auto-generated"),
        (b"Precedence: first-class\n", ""),
        (b"Precedence: junk\n", "Precedence: junk"),
        (b"X-Autoreply: yes\n", "it has a field X-Autoreply"),
        (b"Return-Path: <ola@example.com>\n", ""),
        (b"Return-Path: <>\n", "its return path is empty"),
    ],
)
def test_machines_are_told_from_people(lines, machine):
    """By what they say of themselves (RFC 3834, 2)."""
    assert machine == read_letter(FROM + lines + b"\nHi").machine
    server = read_letter(b"From: MAILER-DAEMON@mx.example\n\nHi")
    assert "it is from a mail server" == server.machine


def test_a_subject_may_say_that_it_answers():
    """In the words of many mail programs."""
    for subject in (b"Re: x", b"AW: x", b"odp[2]: x"):
        assert read_letter(FROM + b"Subject: " + subject + b"\n\n").answers
    assert not read_letter(FROM + b"Subject: Return: x\n\n").answers


def test_a_thread_is_named_from_its_root():
    """References first, then what is answered; each once, and not too many."""
    lines = b"References: <a@x> <b@x>\n <a@x>\nIn-Reply-To: (comment) <b@x> <c@x>\n"
    assert ("a@x", "b@x") == read_letter(FROM + lines + b"\n").parents
    many = b"References: " + b" ".join(b"<%d@x>" % n for n in range(200)) + b"\n\n"
    parents = read_letter(FROM + many).parents
    assert (50, "0@x", "199@x") == (len(parents), parents[0], parents[-1])


def report(about):
    """Return a delivery report with what came back."""
    status = b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nAction: %s\nStatus: 5.1.1\n"
    kind = b'Content-Type: multipart/report; boundary="b"\n\n'
    return FROM + kind + b"--b\n" + status % b"failed" + b"--b\n" + about + b"\n--b--\n"


def test_a_report_names_a_message():
    """Whole or as a header alone; without either it names none."""
    header = b"Content-Type: text/rfc822-headers\n\nMessage-ID: <m@shop.example>\n"
    whole = b"Content-Type: message/rfc822\n\nMessage-ID: <m@shop.example>\n\nHi\n"
    for about in (header, whole):
        assert (Bounce("m@shop.example", "failed", "5.1.1"),) == read_letter(report(about)).bounces
    assert () == read_letter(report(b"Content-Type: text/plain\n\nHi")).bounces
    assert () == read_letter(FROM + b"Content-Type: multipart/report\n\nHi").bounces


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"From: nobody\n\nHi",
        FROM
        + b"".join(
            b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3_000)
        ),
        FROM + multipart(b"mixed", *[PICTURE] * 300),
    ],
)
def test_what_is_no_letter_is_refused(source):
    """Nobody wrote it, or it is made to hurt."""
    began = time.perf_counter()
    with pytest.raises(PayloadError):
        read_letter(source)
    assert 5 > time.perf_counter() - began


@pytest.mark.parametrize(
    "evil",
    [
        b"Subject: " + b"=?utf-8?q?" * 50_000,
        b"From: " + b"<" * 100_000,
        b"From: " + b"(" * 100_000,
        b"References: " + b"<a" * 50_000,
        b"Content-Type: text/html\n\n" + b"<style>" * 50_000,
        b"Content-Type: text/html\n\n" + b"<!--" * 50_000,
        b"Content-Type: text/html\n\n" + b"<a " * 50_000,
        b"Content-Type: text/plain; " + b"x" * 100_000,
        b"\n" + b">" * 200_000,
        b"\n" + b"> a\n" * 50_000,
    ],
)
def test_hostile_messages_take_little_time(evil):
    """No field and no body makes reading slow."""
    began = time.perf_counter()
    with suppress(PayloadError):
        read_letter(FROM + evil + b"\n\nHi")
    assert 2 > time.perf_counter() - began


@given(st.binary(max_size=300), st.binary(max_size=300), st.booleans())
def test_only_our_error_leaves(head, body, complete):
    """Whatever bytes come, a letter or `PayloadError`."""
    for source in (head + b"\n\n" + body, FROM + head + b"\n\n" + body):
        try:
            letter = read_letter(source, complete=complete)
        except PayloadError:
            continue
        assert letter.address
