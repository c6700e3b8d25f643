"""What exists on a local Messenger: one page, its app, its customers, and every message in order.

This is the ground truth. It knows no HTTP; `messenger.py` shows it to the page's apps.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime

import attrs

Json = Mapping[str, object]


@attrs.frozen(kw_only=True)
class App:
    """The page, the app that serves it, and their secrets.

    Args:
        page_id: the page.
        page_name: its name.
        app_id: the app.
        app_name: its name.
        app_secret: what webhooks are signed with.
        verify_token: what the handshake carries.
        inbox_app_id: the app id in echoes of what staff wrote in the page's inbox; None for none.
    """

    page_id: str = "1065123456789012"
    page_name: str = "Example Shop"
    app_id: int = 1517776481860111
    app_name: str = "Example Support"
    app_secret: str = attrs.field(default="app-secret-for-tests", repr=False)
    verify_token: str = attrs.field(default="verify-token-for-tests", repr=False)
    # As bottender and others name it, https://www.npmjs.com/package/bottender-handovers
    inbox_app_id: int | None = 263902037430900


@attrs.define
class Customer:
    """A person as the page knows them.

    Args:
        name: the person's name.
        psid: the page-scoped id.
        conversation: the id of the thread with the page.
        wrote_at: when they last wrote or tapped; None if never.
        ad_at: when they last wrote after tapping an advertisement.
        blocked: whether they block the page.
    """

    name: str
    psid: str
    conversation: str
    wrote_at: datetime | None = None
    ad_at: datetime | None = None
    blocked: bool = False


@attrs.frozen
class Message:
    """A message that was accepted; the newest known form of it.

    Args:
        order: 1 for the first accepted, without gaps.
        mid: opaque.
        psid: the customer's id.
        outbound: whether the page sent it.
        text: as written; empty for a template or media.
        at: when it was accepted.
        content: the message as its sender gave it.
        metadata: what the app added for its echo.
        app_id: the app that sent it; for the page's inbox its own id, or None.
        via_api: whether a call to the Send API made it.
        messaging_type: what the call said that it is.
        tag: the message tag that it was sent with.
        texts: all texts it had, oldest first.
    """

    order: int
    mid: str
    psid: str
    outbound: bool
    text: str
    at: datetime
    content: Json
    metadata: str | None = None
    app_id: int | None = None
    via_api: bool = False
    messaging_type: str | None = None
    tag: str | None = None
    texts: tuple[str, ...] = ()


def opaque(*parts: object) -> str:
    """Return an id that means nothing and is the same in every run."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def number(*parts: object) -> str:
    """Return an id of sixteen digits, as pages and people have."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return str(10**15 + int.from_bytes(digest[:8]) % (9 * 10**15))


class Network:
    """The customers and messages of one page.

    Args:
        page_id: the page.
    """

    def __init__(self, page_id: str) -> None:
        self.page_id = page_id
        self.customers: dict[str, Customer] = {}
        self.messages: dict[str, Message] = {}

    def customer(self, name: str) -> Customer:
        """Return the customer of this name, who is made on first sight."""
        psid = number("person", self.page_id, name)
        if psid not in self.customers:
            thread = "t_" + number("thread", self.page_id, name)
            self.customers[psid] = Customer(name, psid, thread)
        return self.customers[psid]

    def add(self, psid: str, at: datetime, content: Json, *, outbound: bool) -> Message:
        """Accept a message, with an id of its own whatever it says."""
        order = len(self.messages) + 1
        mid = "m_" + opaque("message", self.page_id, order)
        text = str(content.get("text", ""))
        message = Message(order, mid, psid, outbound, text, at, dict(content), texts=(text,))
        self.messages[mid] = message
        return message

    def thread(self, psid: str) -> tuple[Message, ...]:
        """Return the messages with one customer, oldest first."""
        return tuple(each for each in self.messages.values() if each.psid == psid)

    def by_conversation(self, conversation: str) -> Customer | None:
        """Return whose thread this is, or None."""
        everybody = self.customers.values()
        return next((each for each in everybody if each.conversation == conversation), None)
