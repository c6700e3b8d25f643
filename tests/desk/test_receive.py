"""Prove that a webhook is acknowledged only after what it brought is committed."""

import logging

import pytest

from supportflow import NotFound, PayloadError, Unsupported, Webhook, WebhookRejected
from supportflow.channels import Delivery, Unreadable
from supportflow.errors import Conflict, InvalidValue, StoreUnavailable
from supportflow.http import MAX_BODY, Response


def hook(world, body=b"{}"):
    return Webhook("POST", body, world.clock())


def received(world, delivery, body=b"{}"):
    world.net.deliveries.append(delivery)
    return world.desk.receive("net", hook(world, body))


def test_what_it_brought_is_recorded_and_then_answered(world, caplog):
    """Facts and unreadable items are committed; the channel's own answer is given."""
    answer = Response(202, body=b"EVENT_RECEIVED")
    delivery = Delivery((world.said("m1"),), (Unreadable(b"x", "no"),), answer)
    with caplog.at_level(logging.INFO, "supportflow"):
        assert answer == received(world, delivery)
    assert (1, 1) == (len(world.desk.inbox()), len(world.desk.quarantine()))
    assert "recorded channel=net" in caplog.text


def test_a_handshake_is_answered_without_the_store(shaky):
    """Where nothing was brought, nothing is asked of the store."""
    shaky.store.fail("load", StoreUnavailable("gone"))
    answer = Response(200, body=b"challenge")
    assert answer == received(shaky, Delivery(response=answer))


def test_channels_are_named(world):
    """One that is not there, or is only polled, is refused by name."""
    with pytest.raises(NotFound, match="'fax'"):
        world.desk.receive("fax", hook(world))
    with pytest.raises(Unsupported, match="mute takes no webhooks"):
        world.again([world.Mute()]).receive("mute", hook(world))


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_not_genuine_changes_nothing(world, status):
    """It is refused with the channel's status, and logged without its body."""
    assert status == received(world, WebhookRejected("bad signature", status)).status
    assert ((), ()) == (world.desk.inbox(), world.desk.quarantine())


def test_what_is_genuine_and_unreadable_is_kept(world):
    """Nobody can mend it by sending it again: it is quarantined whole, and acknowledged."""
    assert 200 == received(world, PayloadError("no JSON"), b"<html>").status
    (item,) = world.desk.quarantine()
    assert (b"<html>", "no JSON") == (item.raw, item.why)


def test_what_is_too_large_is_not_even_looked_at(world):
    """Before any signature is computed; the channel may have a smaller limit of its own."""
    assert 413 == world.desk.receive("net", hook(world, b"x" * (MAX_BODY + 1))).status
    assert 413 == received(world, PayloadError("too large", 413)).status
    assert () == world.desk.quarantine()


def test_a_channel_that_fails_on_it_asks_for_it_again(world, caplog):
    """Its mistake is logged, the platform is told to come back, and nothing else happens."""
    assert 500 == received(world, KeyError("entry")).status
    assert 500 == received(world, None).status
    assert "webhook_failed channel=net: KeyError" in caplog.text


@pytest.mark.parametrize("error", [StoreUnavailable("full"), Conflict("busy")])
def test_what_could_not_be_committed_is_not_acknowledged(build, error):
    """503, so that the platform tries again; then it is recorded once."""
    world = build.shaking()
    world.store.fail("commit", *[error] * 5)
    delivery = Delivery((world.said("m1"),))
    answer = received(world, delivery)
    assert (503, "5") == (answer.status, answer.headers.get("Retry-After"))
    world.store.before.clear()
    assert 200 == received(world, delivery).status
    assert 200 == received(world, delivery).status
    assert 1 == len(world.desk.inbox())


def test_what_is_no_webhook_is_named(world):
    """A framework's own request has to be made one first."""
    with pytest.raises(InvalidValue, match="webhook is bytes; pass a Webhook"):
        world.desk.receive("net", b"{}")
