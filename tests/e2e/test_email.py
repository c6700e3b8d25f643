"""E-mail on real servers: lost answers are cleared up, bounces and machines are told from people."""

import importlib.util
from datetime import timedelta
from pathlib import Path

import pytest

from supportflow import Desk, MemoryStore
from supportflow.channels.email import Email
from supportflow.flow import run
from supportflow.testing.clock import FakeClock
from supportflow.transport import Transport

pytestmark = pytest.mark.xdist_group("mail")  # one process starts the servers

SPEC = importlib.util.spec_from_file_location("mail_host", Path(__file__).with_name("mail_host.py"))
mail_host = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mail_host)

QUESTION = (
    b"From: Ola <ola@example.com>\nMessage-ID: <%d@mail.example>\nSubject: Order\n\nWhere is it?\n"
)


@pytest.fixture
def clock():
    """Return a clock that stands."""
    return FakeClock()


@pytest.fixture
def host(clock):
    """Return a mail provider."""
    with mail_host.MailHost(clock) as host:
        yield host


def channel(host, **options):
    """Return the shop's channel."""
    keys = {"password": mail_host.PASSWORD, "since": host.clock() - timedelta(hours=1)}
    return Email(mail_host.USER, **{**keys, **host.urls, "sent": "Sent", **options})


@pytest.fixture
def desk(host, clock):
    """Return a desk that took one question, answered it, and saw the answer filed."""
    with Desk(MemoryStore(clock), [channel(host)], clock=clock) as desk:
        host.put(QUESTION % 1)
        desk.poll()
        desk.reply(desk.inbox()[0], "It comes tomorrow.", agent="anna")
        desk.deliver()
        desk.poll()
        yield desk


@pytest.mark.parametrize(("drops", "posts"), [("after", 2), ("before", 2)])
def test_a_lost_answer_is_cleared_up(desk, host, clock, drops, posts):
    """Found among sent mail it was sent; certainly absent it is sent again; never twice."""
    (talk,) = desk.inbox()
    desk.reply(talk, "It is on its way.", agent="anna")
    host.drops = drops
    assert 1 == desk.deliver().unknown
    host.drops = ""
    for _ in range(4):
        clock.advance(minutes=2)
        desk.deliver()
    assert posts == len(host.accepted)
    assert len({envelope.original_content.split(b"\r\n")[0] for envelope in host.accepted}) == posts
    assert "sent" == desk.outbox(conversation=talk.id)[-1].state


def test_a_bounce_is_told(desk, host):
    """The message that did not arrive is named, and no conversation is opened."""
    name = host.accepted[0].original_content.split(b"\r\n")[0]
    host.put(
        b"From: MAILER-DAEMON@mx.example\nMessage-ID: <b@mx.example>\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n"
        b"Action: failed\nStatus: 5.1.1\n\n--b\nContent-Type: text/rfc822-headers\n\n"
        + name
        + b"\n\n--b--\n"
    )
    assert 1 == desk.poll().recorded
    assert 1 == len(desk.inbox())
    assert [] == [*desk.quarantine()]


def test_a_machine_waits_for_a_person(desk, host):
    """It opens nothing, and can be replayed."""
    host.put(b"Auto-Submitted: auto-replied\n" + QUESTION % 2)
    assert 1 == desk.poll().quarantined
    (kept,) = desk.quarantine()
    assert "a machine sent it" in kept.why
    desk.replay(kept.id)
    assert [] == [*desk.quarantine()]
    assert 2 == len(desk.inbox())


def test_health_says_what_is_wrong(host):
    """Both logins, the mailbox and the sender are tried."""
    transport = Transport(sleep=lambda _: None)
    well = run(channel(host).check(), transport.send)
    assert (True, ()) == (well.ok, well.problems)
    ill = run(channel(host, password="wrong", sent="Nope").check(), transport.send)
    assert 3 == len(ill.problems)
    lost = run(channel(host, sent="Nope").check(), transport.send)
    assert "Nope: 404" in lost.problems[0]
    transport.close()
