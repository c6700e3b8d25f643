"""Prove that a desk outlives a database that is gone for a while, in the middle of everything."""

import logging
import threading
from collections import Counter
from contextlib import suppress

import pytest

from supportflow import PostgresStore
from supportflow.channels import Delivery
from supportflow.desk import run, settle
from supportflow.errors import StoreUnavailable
from supportflow.http import Webhook
from supportflow.stores import postgres_driver

#: When the server goes, when it is back, and when it ends, in webhooks.
GONE, BACK, END = 15, 30, 45


@pytest.fixture
def impatient(monkeypatch):
    """Let loops and tries go on at once: what is a minute elsewhere is a second here."""
    monkeypatch.setattr(run, "SEND_EVERY", 0.005)
    monkeypatch.setattr(run, "_LONGEST", 0.02)
    monkeypatch.setattr(settle, "_PAUSE", 0.001)
    monkeypatch.setattr(postgres_driver, "_PAUSE", 0.001)


def test_nothing_is_lost_while_the_server_is_gone(build, postgres_server, impatient, caplog):
    """Webhooks arrive and the outbox sends while PostgreSQL is killed and, later, started again: what
    was answered 200 is there, all else was answered 503 and is taken when it comes again, every
    reply is posted once, and the same desk goes on (G2, G5).
    """
    world = build(store=lambda clock: PostgresStore(postgres_server.dsn, clock))
    serving = threading.Thread(target=world.desk.run, kwargs={"signals": False})

    def receive(number):
        world.clock.advance(seconds=5)
        said = world.said(f"m{number}", by=f"c{number}")
        world.net.deliveries.append(Delivery((said,)))
        return world.desk.receive("net", Webhook("POST", b"{}", world.clock())).status

    def answer(number):
        talk = f"net/m{number}/c{number}#0"
        world.desk.reply(talk, f"To {number}.", key=f"reply/{number}")

    serving.start()
    statuses = []
    with caplog.at_level(logging.CRITICAL, "supportflow"):
        for number in range(END):
            if number == GONE:
                postgres_server.stop()
            if number == BACK:
                postgres_server.restart()
            statuses.append(receive(number))
            with suppress(StoreUnavailable):
                answer(number)
        world.desk.stop()
        serving.join(30)
    assert not serving.is_alive()
    assert [200] * GONE + [503] * (BACK - GONE) + [200] * (END - BACK) == statuses
    there = {talk.thread for talk in world.desk.inbox(limit=END)}
    assert there >= {f"m{number}" for number, status in enumerate(statuses) if status == 200}
    for number in range(END):
        assert 200 == receive(number)
        answer(number)
    world.deliver_all(minutes=3)
    assert Counter(f"To {number}." for number in range(END)) == Counter(world.platform.texts)
    assert ["sent"] * END == world.states()
    world.store.close()
