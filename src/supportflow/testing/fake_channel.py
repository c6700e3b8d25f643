"""Serve the made-up network of `FakePlatform` in every reconcile class: whole channels in few lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote

import attrs

from supportflow.channels import Delivery, Found, Page, Reconcile, Traits
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import ask, items, one_by_one
from supportflow.errors import PayloadError
from supportflow.flow import Flow
from supportflow.http import Request, Webhook, read_json
from supportflow.model import (
    Author,
    ChannelState,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    Secret,
)
from supportflow.signing import verify_meta
from supportflow.text.fields import mapping, mappings, perhaps, word
from supportflow.text.moments import from_text

__all__ = ["FakeChannel"]

_MINUTES = timedelta(minutes=10)
_SOON = timedelta(seconds=5)
_BLIND = Traits(
    "fake",
    500,
    Reconcile.blind,
    settle=timedelta(0),
    hold_for=timedelta(0),
    unsupported={
        "edits": "a message stays as it is",
        "deletions": "a message stays where it is",
        "echoes": "the class E alone tells of our own posts",
    },
)
_KEY = attrs.evolve(
    _BLIND,
    reconcile=Reconcile.key,
    settle=_SOON,
    key_window=timedelta(hours=24),
    hold_for=_MINUTES,
)
_READ = attrs.evolve(
    _BLIND, reconcile=Reconcile.read, settle=timedelta(seconds=15), hold_for=_MINUTES
)
_ECHO = attrs.evolve(
    _BLIND,
    reconcile=Reconcile.echo,
    settle=_SOON,
    hold_for=_MINUTES,
    inbound=("poll", "webhook"),
    signature="X-Hub-Signature-256",
)


@attrs.frozen
class FakeChannel:
    """Serve a `FakePlatform`; this one is of the class B, and `to` makes the one that fits.

    Args:
        url: The platform's address.
        token: What every request carries.
        name: The channel's name.
        traits: What the network can do.

    Example:
        >>> from supportflow.testing import FakePlatform
        >>> with FakePlatform("K") as platform:
        ...     FakeChannel.to(platform.url, platform.credentials()).traits.reconcile.value
        'key'
    """

    url: str
    token: Secret = attrs.field(converter=Secret)
    name: str = "fake"
    traits: Traits = attrs.field(default=_BLIND, hash=False)  # a mapping is in it

    @staticmethod
    def to(url: str, credentials: Mapping[str, str], **traits: Any) -> FakeChannel:
        """Return the channel of a platform's class.

        Args:
            url: The platform's address.
            credentials: What `FakePlatform.credentials` says.
            **traits: What is to be otherwise in the channel's traits, such as `settle`.
        """
        kind, token = credentials["kind"], credentials["token"]
        made: FakeChannel
        if kind == "E":
            made = _Echoing(url, token, secret=credentials["secret"])
        else:
            made = {"K": _Keyed, "R": _Readable, "B": FakeChannel}[kind](url, token)
        return attrs.evolve(made, traits=attrs.evolve(made.traits, **traits))

    def using(self, state: ChannelState) -> Self:
        """Return this channel with the token that it has now."""
        return attrs.evolve(self, token=state.credentials.get("token", self.token))

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Fetch what customers wrote."""
        request = self._request("GET", f"/v1/messages?after={quote(cursor or '')}")
        return (yield from ask(request, self._page, *self._secrets()))

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post a message, with whatever name its class lets it carry."""
        check_powers(message, self.traits)
        return (yield from ask(self._post(message), _receipt, *self._secrets()))

    def _secrets(self) -> tuple[Secret, ...]:
        return (self.token,)

    def _post(self, message: Outgoing, **more: str) -> Request:
        said = {"thread": message.thread, "text": message.text, **more}
        return self._request("POST", "/v1/messages", json.dumps(said).encode())

    def _request(self, method: str, path: str, body: bytes = b"") -> Request:
        headers = {
            "Authorization": f"Bearer {self.token.reveal()}",
            "Content-Type": "application/json",
        }
        return Request(method, f"{self.url}{path}", headers, body, posts=method == "POST")

    def _page(self, answer: Any) -> Page:
        facts, unreadable = one_by_one(items(answer, "messages"), self._written)
        cursor, more = word(answer, "cursor"), mapping(answer, "the answer").get("more") is True
        return Page(facts, cursor, unreadable, more)

    def _written(self, item: dict[str, Any]) -> Iterator[Fact]:
        by = word(item, "by")
        yield Inbound(self._message(item, Author(by, by)))

    def _message(self, item: dict[str, Any], author: Author) -> Message:
        said = perhaps(item, "text"), from_text(item.get("at")), word(item, "thread")
        return Message(self.name, "message", word(item, "id"), author, *said)


@attrs.frozen
class _Keyed(FakeChannel):
    """Serve the class K: the same key, sent again, makes no second post."""

    traits: Traits = attrs.field(default=_KEY, hash=False)

    def _post(self, message: Outgoing, **more: str) -> Request:
        request = super()._post(message, **more)
        keyed = (*request.headers.items, ("Idempotency-Key", message.mark))
        return attrs.evolve(request, headers=keyed)


@attrs.frozen
class _Readable(FakeChannel):
    """Serve the class R: the thread is read, to its end, for the tag that the post carried."""

    traits: Traits = attrs.field(default=_READ, hash=False)

    def _post(self, message: Outgoing, **more: str) -> Request:
        return super()._post(message, tag=message.mark, **more)

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Read the thread, newest posts first; a page that is missing proves nothing."""
        place, before = f"/v1/threads/{quote(message.thread, safe='')}/posts", ""
        while True:
            request = self._request("GET", f"{place}?before={quote(before)}" if before else place)
            posts, following = yield from ask(request, _posts, *self._secrets())
            for post in posts:
                if post.get("tag") == message.mark:
                    return Found(_receipt(post))
            if following is None:
                return Found()
            before = following


@attrs.frozen
class _Echoing(FakeChannel):
    """Serve the class E: every post comes back in a signed webhook, with its tag."""

    secret: Secret = attrs.field(converter=Secret, kw_only=True)
    traits: Traits = attrs.field(default=_ECHO, hash=False)

    def _post(self, message: Outgoing, **more: str) -> Request:
        return super()._post(message, tag=message.mark, **more)

    def _secrets(self) -> tuple[Secret, ...]:
        return (self.token, self.secret)

    def receive(self, hook: Webhook) -> Delivery:
        """Prove a webhook genuine and read its events one by one."""
        verify_meta(self.secret, hook.body, hook.headers.get("X-Hub-Signature-256"))
        entries = mappings(mapping(read_json(hook.body), "the webhook"), "entry")
        events = [event for entry in entries for event in items(entry, "messaging")]
        return Delivery(*one_by_one(events, self._event))

    def _event(self, item: dict[str, Any]) -> Iterator[Fact]:
        if (kind := word(item, "kind")) == "written":
            yield from self._written(item)
        elif kind == "echo":
            message = self._message(item, Author("shop"))
            yield Outbound(message, mark=perhaps(item, "tag") or None)
        else:
            raise PayloadError(f"kind is {kind!r:.50}; it is written or echo")


def _receipt(answer: Any) -> Receipt:
    found = mapping(answer, "the post")
    return Receipt(word(found, "id"), from_text(found.get("at")))


def _posts(answer: Any) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of posts and where the next begins; without that, it may not be the last."""
    posts = [mapping(post, "a post") for post in items(answer, "posts")]
    if "next" not in answer:
        raise PayloadError("the page does not say whether it is the last")
    return posts, None if answer["next"] is None else word(answer, "next")
