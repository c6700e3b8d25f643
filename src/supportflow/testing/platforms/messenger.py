"""Messenger on loopback: the part of the Graph API that a page's customer support talks to.

It refuses what Meta refuses (`messenger_rules.py`), delivers signed webhooks (`meta_hooks.py`) and
alone knows what was really sent (`posts`). People act through `customer(name)` and `page_inbox`, on
the platform's own time::

    with MessengerPlatform(clock=clock) as platform:
        platform.deliver_to("http://127.0.0.1:8000/webhooks/messenger")
        platform.customer("ola").write("You charged me twice!")
        ...  # run the desk against platform.url with platform.token
        platform.deliver()  # the echoes of what the desk sent
        assert [post.text for post in platform.posts] == [...]

Nothing deduplicates: two equal calls are two messages, as on the real network; and metadata is shown
by echoes only, never by reads. What Meta does not document is a parameter (the HTTP status of an
error, the app id of the page's inbox) or left out (a webhook for a message that a customer unsends).

Source, beside those of the other modules:
https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversations.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import attrs

from supportflow.testing.platforms.faults import Fault, Shape
from supportflow.testing.platforms.messenger_events import FIELDS, Stage, echoed
from supportflow.testing.platforms.messenger_network import App, Message, Network
from supportflow.testing.platforms.messenger_people import DOES, PageInbox, Person
from supportflow.testing.platforms.messenger_reads import Reads
from supportflow.testing.platforms.messenger_rules import Limits, Send, read_send, refuse_closed
from supportflow.testing.platforms.meta_fields import parse_fields
from supportflow.testing.platforms.meta_graph import GraphError, invalid, parameters
from supportflow.testing.platforms.meta_payloads import Event
from supportflow.testing.platforms.meta_platform import MetaPlatform, asked, page_of
from supportflow.testing.platforms.server import Reply, Request, Route

__all__ = ["App", "MessengerPlatform"]

Echo = Literal["soon", "early", "late", "never"]
ECHO_FAULTS: Mapping[str, Echo] = MappingProxyType(
    {"echo_early": "early", "echo_late": "late", "echo_never": "never"}
)
ECHO_LATE_BY = timedelta(minutes=5)
LIMITS = Limits()


class MessengerPlatform(MetaPlatform):
    """One page on Messenger, with its customers.

    Own faults, for a call that sends: `echo_early` (before the call is answered), `echo_late` (once
    released, or after `lasts`, 5 minutes unless said), `echo_never`, and `lag` (reads do not show the
    message for `reads` reads, or for `lasts`); for a read of threads or messages: `missing_page`
    (nothing is there). `echo` sets the same for all calls, so that it can be had together with a fault
    of the wire.

    Args:
        limits: what Messenger counts.
        readable: how many of a thread's newest messages can be read one by one.
        **base: see `MetaPlatform` and `Platform`.
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType(
        {
            **dict.fromkeys((*ECHO_FAULTS, "lag"), Shape(accepts=True, reads=False)),
            "missing_page": Shape(accepts=True, writes=False),
        }
    )
    fields: ClassVar[frozenset[str]] = FIELDS
    scopes: ClassVar[tuple[str, ...]] = (
        "pages_show_list",
        "pages_messaging",
        "pages_read_engagement",
        "pages_manage_metadata",
    )

    def __init__(self, *, limits: Limits = LIMITS, readable: int = 20, **base: Any) -> None:
        super().__init__(**base)
        app = self.app
        self.limits: Limits = limits
        self.echo: Echo = "soon"
        self.network: Network = Network(app.page_id)
        self.stage: Stage = Stage(self.network, self.hooks, self.subscribed, self.lock, self.now)
        self.page_inbox: PageInbox = PageInbox(self.stage, app.inbox_app_id)
        self._reads = Reads(self.network, app, self.now, readable)
        self._released = threading.Event()
        self._early: list[Event] = []

    # What tests use.

    @property
    def posts(self) -> tuple[Message, ...]:
        """Return what the Send API accepted, oldest first."""
        with self.lock:
            return tuple(each for each in self.network.messages.values() if each.via_api)

    def customer(self, name: str) -> Person:
        """Return the customer of this name, who is made on first sight."""
        with self.lock:
            return Person(self.network.customer(name), self.stage)

    def release_echoes(self) -> None:
        """Let go the echoes that `echo = "late"` held back."""
        with self.lock:
            self._released.set()
            self._released = threading.Event()

    # What the base asks.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        return (
            *super().routes(),
            Route("GET", "/{version}/{node}", self._read_node),
            Route("POST", "/{version}/{node}/messages", self._send),
            Route("GET", "/{version}/{node}/messages", self._read_messages),
            Route("GET", "/{version}/{node}/conversations", self._read_conversations),
        )

    def answer(self, request: Request) -> Reply:
        """Answer, and deliver early echoes in between, when the lock is free again."""
        reply = super().answer(request)
        with self.lock:
            early, self._early = self._early, []
        for event in early:
            try:
                self.hooks.deliver_now(event)
            except Exception as error:  # noqa: BLE001 - raised again when the platform is closed
                self.crashes.append(error)
        return reply

    def truth(self) -> Mapping[str, object]:
        """Return the accepted calls and every thread."""
        with self.lock:
            threads = {
                each.name: [_plain(message) for message in self.network.thread(each.psid)]
                for each in self.network.customers.values()
            }
            return {"posts": [_plain(post) for post in self.posts], "threads": threads}

    def act(self, command: Mapping[str, object]) -> object:
        """Do what a test asks for from another process.

        `{"customer": "ola", "do": "write", "text": …}` and the other names of `DOES`;
        `{"staff": "reply", "to": "ola", "text": …}`; and what `MetaPlatform.act` does.

        Raises:
            ValueError: for anything else.
        """
        match dict(command):
            case {"customer": str(name), "do": str(verb), **more} if verb in DOES:
                done = DOES[verb](self.customer(name), **more)
                return _plain(done) if isinstance(done, Message) else None
            case {"staff": "reply", "to": str(name), "text": str(text)}:
                return _plain(self.page_inbox.reply(self.customer(name), text))
            case _:
                return super().act(command)

    # Answers.

    def _send(self, request: Request) -> Reply:
        self._expect_page(request)
        send = read_send(parameters(request), self.limits)
        customer = self.network.customers.get(send.psid)
        if customer is None or customer.wrote_at is None:
            raise GraphError(100, "(#100) No matching user found", subcode=2018001)
        if customer.blocked:
            text = "(#551) This person isn't available right now."
            raise GraphError(551, text, subcode=1545041)
        refuse_closed(send, customer.wrote_at, customer.ad_at, self.now(), self.limits)
        if send.message is None:
            return Reply.json({"recipient_id": send.psid})
        message = self._accept(send, send.message)
        self._misbehave(message, request.fault)
        return Reply.json({"recipient_id": send.psid, "message_id": message.mid})

    def _accept(self, send: Send, content: Mapping[str, object]) -> Message:
        metadata = content.get("metadata")
        visible = {key: value for key, value in content.items() if key != "metadata"}
        message = attrs.evolve(
            self.network.add(send.psid, self.now(), visible, outbound=True),
            metadata=None if metadata is None else str(metadata),
            app_id=self.app.app_id,
            via_api=True,
            messaging_type=send.messaging_type,
            tag=send.tag,
        )
        self.network.messages[message.mid] = message
        return message

    def _misbehave(self, message: Message, fault: Fault | None) -> None:
        """Echo an accepted message, and hide it from reads, as planned."""
        when, released, lasts = self.echo, self._released, ECHO_LATE_BY
        if fault is not None and fault.kind in ECHO_FAULTS:
            when = ECHO_FAULTS[fault.kind]
            released, lasts = fault.released, fault.lasts or ECHO_LATE_BY
        if fault is not None and fault.kind == "lag":
            self._reads.hide(message, fault)
        event = echoed(self.app.page_id, message)
        if when == "late":
            event = attrs.evolve(event, waits=released, due=message.at + lasts)
        if when == "early" and event.field in self.subscribed:
            self._early.append(event)
        elif when in {"soon", "late"}:
            self.stage.say(event)

    def _read_node(self, request: Request) -> Reply:
        name = request.params["node"]
        fields = parse_fields(request.first("fields") or "")
        found = self.app.page_id if name == "me" else name
        return Reply.json(self._reads.node(found, fields, self._versioned(request)))

    def _read_messages(self, request: Request) -> Reply:
        field = asked("messages", request)
        url = self._versioned(request)
        return page_of(request, self._reads.messages(request.params["node"], field, url))

    def _read_conversations(self, request: Request) -> Reply:
        self._expect_page(request)
        if (request.first("platform") or "messenger") != "messenger":
            raise invalid("Param platform must be one of {messenger}")
        psid, field = request.first("user_id"), asked("conversations", request)
        url = self._versioned(request)
        return page_of(request, self._reads.conversations(psid, field, url))


def _plain(message: Message) -> dict[str, object]:
    """Write a message as JSON for another process."""
    return {**attrs.asdict(message), "at": message.at.isoformat()}
