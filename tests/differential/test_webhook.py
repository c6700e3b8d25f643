"""The published library of Standard Webhooks accepts what we sign, and signs what we accept."""

import base64
import os
from datetime import UTC, datetime, timedelta

import pytest

from supportflow.channels.webhook import GenericWebhook
from supportflow.errors import WebhookRejected
from supportflow.http import Response, Webhook
from supportflow.model import AgentKind, Author, Outgoing, Visibility
from supportflow.testing.channel_cases import drive

standardwebhooks = pytest.importorskip(
    "standardwebhooks", reason="the public library is not installed: pip install standardwebhooks"
)

BODY = (
    '{"events": [{"type": "removal", "id": "m1", "at": "2026-03-02T09:00:00Z", "é": "ü"}]}'.encode()
)


@pytest.mark.parametrize("size", [24, 32, 33, 64])
def test_both_sides_agree(size):
    """For keys of every usual length, with and without padding, in both directions."""
    secret = "whsec_" + base64.b64encode(os.urandom(size)).decode()
    theirs, now = standardwebhooks.Webhook(secret), datetime.now(UTC)
    ours = GenericWebhook("https://chat.example/", secret=secret)
    signed = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": theirs.sign("msg_1", now, BODY.decode()),
    }
    assert 1 == len(ours.receive(Webhook("POST", BODY, now, signed)).facts)
    with pytest.raises(WebhookRejected):
        ours.receive(Webhook("POST", BODY, now + timedelta(seconds=301), signed))
    to, by = Author("user-7"), AgentKind.person
    place = "chat-7", ("message", "m1"), Visibility.private
    message = Outgoing("row", "mark", "Grüße 👍", to, *place, by, now)
    post = drive(ours.send(message), [Response(200, at=now), Response(503, at=now)]).requests[-1]
    read = theirs.verify(post.body.decode(), dict(post.headers.items))
    assert "Grüße 👍" == read["text"]
