"""What Messenger's webhooks say of what happened, in the documented form of each field.

Source: the pages under
https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events.
There is no field for a message that a customer unsends (Instagram alone has one).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime

import attrs

from supportflow.testing.platforms.messenger_network import Json, Message, Network
from supportflow.testing.platforms.meta_hooks import MetaHooks
from supportflow.testing.platforms.meta_payloads import Event, milliseconds

FIELDS = frozenset(
    {
        "messages",
        "message_echoes",
        "message_edits",
        "message_reactions",
        "messaging_postbacks",
        "message_deliveries",
        "message_reads",
    }
)


def written(page_id: str, message: Message, **more: object) -> Event:
    """Say that a customer wrote (`messages`).

    Args:
        page_id: the page written to.
        message: what was written.
        **more: `reply_to`, `quick_reply` or `referral`.
    """
    return _event("messages", page_id, message, {"mid": message.mid, **message.content, **more})


def echoed(page_id: str, message: Message) -> Event:
    """Say that the page wrote (`message_echoes`), with the app and its metadata where there is one.

    A quick reply is not in the documented echo.
    """
    content = {key: message.content[key] for key in ("text", "template") if key in message.content}
    if "attachment" in message.content:
        content["attachments"] = [message.content["attachment"]]
    about = {"app_id": message.app_id, "metadata": message.metadata}
    said = {key: value for key, value in about.items() if value is not None}
    event = _event(
        "message_echoes", page_id, message, {"mid": message.mid, "is_echo": True, **said, **content}
    )
    ends = {"sender": event.content["recipient"], "recipient": event.content["sender"]}
    return attrs.evolve(event, content={**event.content, **ends})


def done(field: str, page_id: str, psid: str, at: datetime, content: Json) -> Event:
    """Say what else a customer did.

    Args:
        field: the subscription that it belongs to.
        page_id: the page.
        psid: the customer.
        at: when.
        content: the object of that field, such as `{"read": {…}}`.
    """
    ends: dict[str, object] = {"sender": {"id": psid}, "recipient": {"id": page_id}}
    if field != "message_deliveries":  # the only one whose example has no timestamp
        ends["timestamp"] = milliseconds(at)
    return Event(field, psid, at, {**ends, **content})


def _event(field: str, page_id: str, message: Message, content: Mapping[str, object]) -> Event:
    return done(field, page_id, message.psid, message.at, {"message": content})


@attrs.frozen
class Stage:
    """Where people act: what happens is recorded and, to whom subscribed, said.

    Args:
        network: what exists.
        hooks: what is said.
        subscribed: the fields that the app is subscribed to.
        lock: the platform's lock.
        now: the platform's clock.
    """

    network: Network
    hooks: MetaHooks
    subscribed: set[str]
    lock: AbstractContextManager[object] = attrs.field(repr=False)
    now: Callable[[], datetime] = attrs.field(repr=False)

    def say(self, event: Event) -> None:
        """Keep an event for delivery, where its field is subscribed to."""
        if event.field in self.subscribed:
            self.hooks.add(event)
