"""The base of every local platform of Meta's: one app and its page, calls checked, webhooks signed.

It refuses calls without the page's token, with a wrong proof or too many of them, and delivers what
happens as signed webhooks (`meta_hooks.py`). Each platform adds what exists on it, and its routes.

Sources, beside those of the other modules:
https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps and
https://developers.facebook.com/docs/graph-api/reference/debug_token.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from supportflow.testing.platforms.messenger_network import App, opaque
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
from supportflow.testing.platforms.meta_hooks import ANSWER_SECONDS, BATCH, MetaHooks, Receiver
from supportflow.testing.platforms.meta_payloads import Delivery
from supportflow.testing.platforms.server import Platform, Reply, Request, Route

SHOP = App()
HOOKS_DO: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        "deliver_to": MetaHooks.deliver_to,
        "handshake": MetaHooks.handshake,
        "deliver": MetaHooks.deliver,
        "redeliver": MetaHooks.redeliver,
    }
)


class MetaPlatform(Platform):
    """One app on Meta's Graph API, with one page.

    Args:
        app: the page and the app.
        token: the page's access token; set `token` to another one, or to None to revoke it.
        calls_an_hour: calls before the page is throttled; None for any number.
        rate_code: the error of throttling: 80006, 613 or 4.
        statuses: HTTP status by error code, where 400, 401 for 190 or 5xx for 1 and 2 will not do.
        proof_required: whether a call without `appsecret_proof` is refused.
        **base: see `Platform`.
    """

    id_fields: ClassVar[frozenset[str]] = frozenset({"id", "message_id"})
    kind: ClassVar[str] = "page"
    fields: ClassVar[frozenset[str]] = frozenset()
    scopes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        app: App = SHOP,
        token: str = "page-token-for-tests",  # noqa: S107 - of no page
        calls_an_hour: int | None = None,
        rate_code: int = 80006,
        statuses: Mapping[int, int] = MappingProxyType({}),
        proof_required: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.app: App = app
        self.rate_code: int = rate_code
        self.statuses: Mapping[int, int] = statuses
        self.token: str | None = token
        self.proof_required: bool = proof_required
        self.hooks: MetaHooks = MetaHooks(
            self.kind,
            self.account,
            app_secret=app.app_secret,
            verify_token=app.verify_token,
            now=self.now,
            crashed=self.crashes.append,
        )
        self.subscribed: set[str] = set(self.fields)
        self._throttle = Throttle(calls_an_hour, self.now)
        self._traces = 0

    @property
    def account(self) -> str:
        """Return the id of what webhooks are about."""
        return self.app.page_id

    # What tests use.

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
        """Return what every app may ask of its page."""
        return (
            Route("GET", "/{version}/debug_token", self._debug_token),
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
        """Deliver webhooks as a test in another process asks.

        `{"hooks": "deliver_to", "receiver": url}`, and so on for `handshake`, `deliver` and
        `redeliver`.

        Raises:
            ValueError: for anything else.
        """
        match dict(command):
            case {"hooks": str(verb), **more} if verb in HOOKS_DO:
                done = HOOKS_DO[verb](self.hooks, **more)
                return [each.statuses for each in done] if isinstance(done, tuple) else done
        return super().act(command)

    def close(self) -> None:
        """Stop delivering, then as `Platform.close`."""
        self.hooks.close()
        super().close()

    # Answers.

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
        if not wanted <= self.fields:
            known = ", ".join(sorted(self.fields))
            raise invalid(f"Param subscribed_fields must be of {{{known}}}")
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
            "scopes": list(self.scopes),
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


def asked(name: str, request: Request) -> Field:
    """Return what a read asks of an edge.

    Args:
        name: the edge.
        request: the call.

    Raises:
        GraphError: for a limit that is no number, or fields that cannot be read.
    """
    limit = request.first("limit") or str(PAGE_SIZE)
    if not re.fullmatch(r"[0-9]{1,3}", limit):
        raise invalid("Param limit must be an integer")
    fields = parse_fields(request.first("fields") or "")
    return Field(name, int(limit), request.first("after"), fields)


def page_of(request: Request, found: Mapping[str, object]) -> Reply:
    """Answer with a page of an edge, or with nothing where that is the fault.

    Args:
        request: the call.
        found: the page.
    """
    missing = request.fault is not None and request.fault.kind == "missing_page"
    return Reply.json({"data": []} if missing else found)
