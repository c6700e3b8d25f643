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

It is long because it is one table of routes with what checks and refuses them.

Sources, beside those of the other modules:
https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversations,
https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps and
https://developers.facebook.com/docs/graph-api/reference/debug_token.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import attrs

from supportflow.testing.platforms.faults import Fault, Shape
from supportflow.testing.platforms.messenger_events import FIELDS, Stage, echoed
from supportflow.testing.platforms.messenger_network import App, Message, Network, opaque
from supportflow.testing.platforms.messenger_people import DOES, PageInbox, Person
from supportflow.testing.platforms.messenger_reads import Reads
from supportflow.testing.platforms.messenger_rules import Limits, Send, read_send, refuse_closed
from supportflow.testing.platforms.meta_fields import PAGE_SIZE, Field, parse_fields
from supportflow.testing.platforms.meta_graph import (
    RATE_ERRORS,
    REFUSALS,
    SERVER_ERROR,
    GraphError,
    Throttle,
    check_token,
    invalid,
    parameters,
    unknown_object,
    usage_headers,
)
from supportflow.testing.platforms.meta_hooks import (
    ANSWER_SECONDS,
    BATCH,
    MetaHooks,
    Receiver,
)
from supportflow.testing.platforms.meta_payloads import Delivery, Event
from supportflow.testing.platforms.server import Platform, Reply, Request, Route

Echo = Literal["soon", "early", "late", "never"]
ECHO_FAULTS: Mapping[str, Echo] = MappingProxyType(
    {"echo_early": "early", "echo_late": "late", "echo_never": "never"}
)
ECHO_LATE_BY = timedelta(minutes=5)
SCOPES = ["pages_show_list", "pages_messaging", "pages_read_engagement", "pages_manage_metadata"]
SHOP = App()
LIMITS = Limits()
HOOKS_DO: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        "deliver_to": MetaHooks.deliver_to,
        "handshake": MetaHooks.handshake,
        "deliver": MetaHooks.deliver,
        "redeliver": MetaHooks.redeliver,
    }
)


class MessengerPlatform(Platform):
    """One page on Messenger, with its customers.

    Own faults, for a call that sends: `echo_early` (before the call is answered), `echo_late` (once
    released, or after `lasts`, 5 minutes unless said), `echo_never`, and `lag` (reads do not show the
    message for `reads` reads, or for `lasts`); for a read of threads or messages: `missing_page`
    (nothing is there). `echo` sets the same for all calls, so that it can be had together with a fault
    of the wire.

    Args:
        app: the page and the app.
        limits: what Messenger counts.
        token: the page's access token; set `token` to another one, or to None to revoke it.
        calls_an_hour: calls before the page is throttled; None for any number.
        rate_code: the error of throttling: 80006, 613 or 4.
        statuses: HTTP status by error code, where 400, 401 for 190 or 5xx for 1 and 2 will not do.
        readable: how many of a thread's newest messages can be read one by one.
        proof_required: whether a call without `appsecret_proof` is refused.
        **base: see `Platform`.
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType(
        {
            **dict.fromkeys((*ECHO_FAULTS, "lag"), Shape(accepts=True, reads=False)),
            "missing_page": Shape(accepts=True, writes=False),
        }
    )
    id_fields: ClassVar[frozenset[str]] = frozenset({"id", "message_id"})

    def __init__(
        self,
        *,
        app: App = SHOP,
        limits: Limits = LIMITS,
        token: str = "page-token-for-tests",  # noqa: S107 - of no page
        calls_an_hour: int | None = None,
        rate_code: int = 80006,
        statuses: Mapping[int, int] = MappingProxyType({}),
        readable: int = 20,
        proof_required: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.app: App = app
        self.limits: Limits = limits
        self.rate_code: int = rate_code
        self.statuses: Mapping[int, int] = statuses
        self.token: str | None = token
        self.proof_required: bool = proof_required
        self.echo: Echo = "soon"
        self.network: Network = Network(app.page_id)
        self.hooks: MetaHooks = MetaHooks(
            "page",
            app.page_id,
            app_secret=app.app_secret,
            verify_token=app.verify_token,
            now=self.now,
            crashed=self.crashes.append,
        )
        self.subscribed: set[str] = set(FIELDS)
        self.stage: Stage = Stage(self.network, self.hooks, self.subscribed, self.lock, self.now)
        self.page_inbox: PageInbox = PageInbox(self.stage, app.inbox_app_id)
        self._throttle = Throttle(calls_an_hour, self.now)
        self._reads = Reads(self.network, app, self.now, readable)
        self._released = threading.Event()
        self._early: list[Event] = []
        self._traces = 0

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

    def deliver_to(self, receiver: Receiver | str, *, background: bool = False) -> None:
        """Say where events go from now on; see `MetaHooks.deliver_to`."""
        self.hooks.deliver_to(receiver, background=background)

    def handshake(self, mode: str = "subscribe", verify_token: str | None = None) -> bool:
        """Ask the receiver to prove itself; say whether it did."""
        return self.hooks.handshake(mode, verify_token)

    def hold(self) -> AbstractContextManager[None]:
        """Let events gather, and deliver them as one batch at the end."""
        return self.hooks.hold()

    def deliver(
        self, *, size: int = BATCH, copies: int = 1, shuffle: int | None = None
    ) -> tuple[Delivery, ...]:
        """Deliver what is ready; see `MetaHooks.deliver`."""
        return self.hooks.deliver(size=size, copies=copies, shuffle=shuffle)

    def redeliver(self, *, everything: bool = False) -> tuple[Delivery, ...]:
        """Send again, byte for byte, what was not accepted, or everything."""
        return self.hooks.redeliver(everything=everything)

    def settle(self, timeout: float = ANSWER_SECONDS) -> bool:
        """Wait until the background thread has nothing left that is ready."""
        return self.hooks.settle(timeout)

    # What the base asks.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        return (
            Route("GET", "/{version}/debug_token", self._debug_token),
            Route("GET", "/{version}/{node}", self._read_node),
            Route("POST", "/{version}/{node}/messages", self._send),
            Route("GET", "/{version}/{node}/messages", self._read_messages),
            Route("GET", "/{version}/{node}/conversations", self._read_conversations),
            Route("GET", "/{version}/{node}/subscribed_apps", self._subscriptions),
            Route("POST", "/{version}/{node}/subscribed_apps", self._subscribe),
        )

    def handle(self, request: Request) -> Reply:
        """Check version, token and rate, answer, and say how much of the rate is used."""
        try:
            self._check_call(request)
            if minutes := self._throttle.minutes():
                return self._refuse_rate(minutes)
            used = self._throttle.count()
            reply = super().handle(request)
        except GraphError as error:
            used = 0
            reply = error.reply(self._trace(), self.statuses)
        return self._with_usage(reply, used)

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as the Graph API does; its codes tell more than the status."""
        del request
        if status == 429:
            return self._refuse_rate(1)
        if status in REFUSALS:
            return REFUSALS[status].reply(self._trace(), self.statuses)
        error = SERVER_ERROR if status >= 500 or status == 408 else REFUSALS[400]
        return attrs.evolve(error.reply(self._trace(), self.statuses), status=status)

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

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {
            "page_id": self.app.page_id,
            "token": self.token or "",
            "app_id": str(self.app.app_id),
            "app_secret": self.app.app_secret,
            "verify_token": self.app.verify_token,
        }

    def act(self, command: Mapping[str, object]) -> object:
        """Do what a test asks for from another process.

        `{"customer": "ola", "do": "write", "text": …}` and the other names of `DOES`;
        `{"staff": "reply", "to": "ola", "text": …}`; `{"hooks": "deliver_to", "receiver": url}`,
        and so on for `handshake`, `deliver` and `redeliver`.

        Raises:
            ValueError: for anything else.
        """
        match dict(command):
            case {"customer": str(name), "do": str(verb), **more} if verb in DOES:
                done = DOES[verb](self.customer(name), **more)
                return _plain(done) if isinstance(done, Message) else None
            case {"staff": "reply", "to": str(name), "text": str(text)}:
                return _plain(self.page_inbox.reply(self.customer(name), text))
            case {"hooks": str(verb), **more} if verb in HOOKS_DO:
                done = HOOKS_DO[verb](self.hooks, **more)
                return [each.statuses for each in done] if isinstance(done, tuple) else done
        return super().act(command)

    def close(self) -> None:
        """Stop delivering, then as `Platform.close`."""
        self.hooks.close()
        super().close()

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
        field = _asked("messages", request)
        url = self._versioned(request)
        return _page(request, self._reads.messages(request.params["node"], field, url))

    def _read_conversations(self, request: Request) -> Reply:
        self._expect_page(request)
        if (request.first("platform") or "messenger") != "messenger":
            raise invalid("Param platform must be one of {messenger}")
        psid, field = request.first("user_id"), _asked("conversations", request)
        url = self._versioned(request)
        return _page(request, self._reads.conversations(psid, field, url))

    def _subscriptions(self, request: Request) -> Reply:
        self._expect_page(request)
        app = {
            "link": "https://www.example.com/",
            "name": self.app.app_name,
            "id": str(self.app.app_id),
            "subscribed_fields": sorted(self.subscribed),
        }
        return Reply.json({"data": [app] if self.subscribed else []})

    def _subscribe(self, request: Request) -> Reply:
        self._expect_page(request)
        wanted = set(str(parameters(request).get("subscribed_fields", "")).split(","))
        if not wanted <= FIELDS:
            raise invalid(f"Param subscribed_fields must be of {{{', '.join(sorted(FIELDS))}}}")
        self.subscribed.clear()
        self.subscribed.update(wanted)
        return Reply.json({"success": True})

    def _debug_token(self, request: Request) -> Reply:
        if self.token is None or request.first("input_token") != self.token:
            error = {"code": 190, "message": "The access token could not be decrypted"}
            return Reply.json({"data": {"error": error, "is_valid": False, "scopes": []}})
        data = {
            "app_id": str(self.app.app_id),
            "type": "PAGE",
            "application": self.app.app_name,
            "expires_at": 0,
            "is_valid": True,
            "profile_id": self.app.page_id,
            "scopes": SCOPES,
        }
        return Reply.json({"data": data})

    # What the answers are made of.

    def _check_call(self, request: Request) -> None:
        if not re.match(r"/v\d{1,2}\.\d/", request.path):
            raise GraphError(2500, "Unknown path components")
        given = parameters(request)
        app_token = f"{self.app.app_id}|{self.app.app_secret}"
        # Either token may ask about a token; the app's own, and nothing else, with the app's.
        if request.path.endswith("/debug_token") and given.get("access_token") == app_token:
            return
        secret, required = self.app.app_secret, self.proof_required
        check_token(request, given, self.token, secret, proof_required=required)

    def _expect_page(self, request: Request) -> None:
        if request.params["node"] not in {"me", self.app.page_id}:
            raise unknown_object(request.params["node"])

    def _refuse_rate(self, minutes: int) -> Reply:
        error = GraphError(self.rate_code, RATE_ERRORS[self.rate_code])
        return self._with_usage(error.reply(self._trace(), self.statuses), 100, minutes)

    def _with_usage(self, reply: Reply, used: int, minutes: int = 0) -> Reply:
        headers = usage_headers(self.app.page_id, used, minutes)
        return attrs.evolve(reply, headers=(*reply.headers, *headers.items()))

    def _versioned(self, request: Request) -> str:
        return f"{self.url}/{request.params['version']}"

    def _trace(self) -> str:
        with self.lock:
            self._traces += 1
            return opaque("trace", self._traces)[:23]


def _asked(name: str, request: Request) -> Field:
    """Return what a read asks of an edge."""
    limit = request.first("limit") or str(PAGE_SIZE)
    if not re.fullmatch(r"[0-9]{1,3}", limit):
        raise invalid("Param limit must be an integer")
    fields = parse_fields(request.first("fields") or "")
    return Field(name, int(limit), request.first("after"), fields)


def _page(request: Request, found: Mapping[str, object]) -> Reply:
    """Answer with a page of an edge, or with nothing where that is the fault."""
    missing = request.fault is not None and request.fault.kind == "missing_page"
    return Reply.json({"data": []} if missing else found)


def _plain(message: Message) -> dict[str, object]:
    """Write a message as JSON for another process."""
    return {**attrs.asdict(message), "at": message.at.isoformat()}
