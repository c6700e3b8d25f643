"""Be one account on Meta's Graph API: its secrets, its webhooks and its calls; it is no channel.

Every call carries the proof that it is ours, so that an app can be set to require it, and a token
that was stolen is worth nothing: https://developers.facebook.com/docs/graph-api/guides/secure-requests
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from urllib.parse import urlencode, urlsplit

import attrs

from supportflow.channels import Ambiguous, Delivery, NeedsAuth, NotSent, SendError
from supportflow.channels.meta import (
    Item,
    challenge,
    gather,
    outcome,
    proof,
    receipt,
    secret,
    secrets,
    verified,
)
from supportflow.errors import InvalidValue, PayloadError, TransportError, WebhookRejected
from supportflow.flow import Flow
from supportflow.http import Request, Response, Webhook, read_json
from supportflow.model import ChannelState, Fact, Outgoing, Receipt, Secret
from supportflow.text.fields import compact, mapping, mappings, word

__all__ = ["Account", "cursor_of", "is_node", "nodes_of", "numbered"]

#: A read that is refused only says why, not until when.
_UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)

_NODE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
_CURSOR = re.compile(r"[A-Za-z0-9_=+/-]{1,1000}")


def is_node(value: object) -> bool:
    """Return whether a value can be the name of an object within an address.

    Args:
        value: What came from outside, or from a configuration.
    """
    return isinstance(value, str) and _NODE.fullmatch(value) is not None


def numbered(_: object, field: attrs.Attribute[str], value: str) -> None:
    """Refuse what is no id of a page or an account; a validator of attrs."""
    if not is_node(value):
        raise InvalidValue(f"{field.name} is {value!r:.60}; it is a number, as a string")


def _version(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise InvalidValue(f"version is {value!r:.60}; write it as in 'v23.0'")


def _base(value: str) -> str:
    parts = urlsplit(str(value))
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.username:
        raise InvalidValue(f"base_url leads to {parts.hostname!r}; give it as in 'https://host'")
    return str(value).rstrip("/")


def _app(value: str | int | None) -> str | None:
    return None if value is None else str(value)


# -- what an edge gives


def cursor_of(edge: Mapping[str, Any]) -> str | None:
    """Return the cursor of the next page; its URL is not followed, wherever it leads.

    Args:
        edge: A page of an edge.

    Raises:
        PayloadError: If there is a next page, and no cursor that leads to it.
    """
    paging = mapping(edge.get("paging") or {}, "paging")
    if "next" not in paging:
        return None
    after = word(mapping(paging.get("cursors"), "cursors"), "after")
    if not _CURSOR.fullmatch(after):
        raise PayloadError(f"the cursor is {after!r:.60}")
    return after


def nodes_of(edge: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is on a page of an edge.

    Args:
        edge: A page of an edge.

    Raises:
        PayloadError: If it is none: then it proves no absence of anything.
    """
    if "data" not in edge:
        raise PayloadError("the answer has no data")
    return mappings(edge, "data")


@attrs.frozen(kw_only=True)
class Account(ABC):
    """Hold an account's secrets; take its webhooks, and make its calls.

    Args:
        token: An access token.
        app_secret: The app's secret, with which webhooks are signed and every call is proved
            (`appsecret_proof`); several during a rotation, the current one first.
        verify_token: The word that you chose for the handshake; several while it changes.
        app_id: The app's id; only `check` uses it.
        version: The version of the Graph API.
        base_url: Where the Graph API is.
    """

    token: Secret = attrs.field(default=None, converter=secret)
    app_secret: tuple[Secret, ...] = attrs.field(default=None, converter=secrets)
    verify_token: tuple[Secret, ...] = attrs.field(default=None, converter=secrets)
    app_id: str | None = attrs.field(default=None, converter=_app)
    version: str = attrs.field(default="v23.0", validator=_version)
    base_url: str = attrs.field(default="https://graph.facebook.com", converter=_base)

    #: What webhooks are about: the `object` of their batches.
    about: ClassVar[str] = "page"

    @property
    @abstractmethod
    def account(self) -> str:
        """Return the id of what webhooks are about."""

    @abstractmethod
    def facts(self, item: Item) -> Iterable[Fact]:
        """Return what one event of a batch reports.

        Args:
            item: The event.

        Raises:
            PayloadError: If it cannot be read; it goes into quarantine alone.
        """

    def using(self, state: ChannelState) -> Self:
        """Return this channel with the token that was persisted, if there is one."""
        renewed = state.credentials.get("token")
        return self if renewed is None else attrs.evolve(self, token=renewed)

    # -- in

    def receive(self, hook: Webhook) -> Delivery:
        """Answer the handshake, or read a batch that is proved genuine.

        Meta signs no time: a body that is sent again is genuine, and changes nothing, because
        what it reports is known by Meta's own ids.

        The work is bounded: 20,000 values of JSON, 2,000 events and 2,000 facts a body, and 500
        attachments a message or messages a report of delivery. A body of more goes into
        quarantine whole, an event of more alone: nothing that people or Meta send comes near,
        and whatever is as large shall not keep other customers waiting.

        Args:
            hook: The request as it arrived.

        Raises:
            WebhookRejected: If it is not proved genuine.
            PayloadError: If it is genuine and no batch of this account, or too much at once.
        """
        if hook.method == "GET":
            return Delivery(response=challenge(hook, self.verify_token))
        if hook.method != "POST":
            raise WebhookRejected(f"{hook.method:.10} is no way to deliver a webhook", status=405)
        read = self._gather(verified(hook, self.app_secret))
        return attrs.evolve(read, response=Response(200, at=hook.at))

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined event again.

        Args:
            raw: A batch as it was put into quarantine, or mended since.

        Raises:
            PayloadError: If it is no batch of this account.
        """
        return self._gather(read_json(raw))

    def _gather(self, batch: Any) -> Delivery:
        return gather(batch, self.about, self.account, self.facts)

    # -- calls

    def url(self, path: str, **query: str) -> str:
        """Return the address of a call, with its proof.

        Args:
            path: The object and its edge.
            **query: Parameters; none is a secret.
        """
        # The proof may be logged: it proves nothing without the token, and the token nothing
        # without it where the app requires it. In a body of JSON it might not be looked for.
        asked = urlencode({**query, "appsecret_proof": proof(self.token, self.app_secret[0])})
        return f"{self.base_url}/{self.version}/{path}?{asked}"

    def _headers(self) -> dict[str, str]:
        # In a header, not in the URL as in Meta's examples: URLs are logged on the way.
        return {"Authorization": f"Bearer {self.token.reveal()}"}

    def _hidden(self) -> tuple[Secret, ...]:
        return (self.token, *self.app_secret, *self.verify_token)

    def get(self, path: str, **query: str) -> Flow[dict[str, Any]]:
        """Read an object or an edge.

        Args:
            path: The object and its edge.
            **query: What is asked of it.

        Raises:
            SendError: If the platform refuses it, or may have.
        """
        response = yield Request("GET", self.url(path, **query), self._headers())
        return outcome(response, _UNTIMED, self._hidden())

    def posted(
        self,
        message: Outgoing,
        path: str,
        call: Mapping[str, Any],
        name: str = "id",
        unseen: type[SendError] = NeedsAuth,
    ) -> Flow[Receipt]:
        """Make the call that the customer sees.

        Args:
            message: What is sent.
            path: The object and its edge.
            call: Its parameters.
            name: The field of the answer that holds the id of what was made.
            unseen: What it means that there is no such object for this token.

        Raises:
            SendError: One of its kinds says what became of it.
        """
        headers = {**self._headers(), "Content-Type": "application/json"}
        body = compact(call).encode("utf-8", "backslashreplace")
        try:
            response = yield Request("POST", self.url(path), headers, body, posts=True)
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        found = outcome(response, message.queued_at, self._hidden(), unseen)
        return receipt(found, name, response.at or message.queued_at)
