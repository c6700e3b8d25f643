"""Serve a shop's guests on Teahouse, an invented public chat: a table a talk, JSON, one token."""

import json
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import quote

import attrs

from supportflow import channels, http, model
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import ask, items, one_by_one
from supportflow.flow import Flow
from supportflow.text.fields import mapping, perhaps, word
from supportflow.text.moments import from_text

MISSING = {"edits": "guests cannot change their words", "deletions": "nor take them back"}


@attrs.frozen
class Teahouse:
    """Take what guests write, and answer them at their tables."""

    url: str
    token: model.Secret = attrs.field(converter=model.Secret)
    name: str = "teahouse"
    traits = channels.Traits("teahouse", 1000, channels.Reconcile.read, unsupported=MISSING)

    def using(self, state: model.ChannelState) -> Self:
        return attrs.evolve(self, token=state.credentials.get("token", self.token))

    def poll(self, cursor: str | None) -> Flow[channels.Page]:
        request = self._request("GET", f"?after={quote(cursor or '')}")
        return (yield from ask(request, self._page, self.token))

    def _page(self, answer: Any) -> channels.Page:
        facts, unreadable = one_by_one(items(answer, "messages"), self._facts)
        return channels.Page(facts, word(answer, "next"), unreadable, more=bool(facts))

    def _facts(self, item: dict[str, Any]) -> Iterator[model.Fact]:
        guest = model.Author(word(item, "guest"), perhaps(item, "name"))
        author = model.Author("shop") if word(item, "by") == "shop" else guest
        said = perhaps(item, "text"), from_text(item.get("at")), word(item, "table")
        message = model.Message(self.name, "message", word(item, "id"), author, *said)
        tag = perhaps(item, "tag") or None
        yield model.Inbound(message) if author is guest else model.Outbound(message, guest.id, tag)

    def send(self, message: model.Outgoing) -> Flow[model.Receipt]:
        check_powers(message, self.traits)
        said = {"table": message.thread, "text": message.text, "tag": message.mark}
        request = self._request("POST", body=json.dumps(said).encode())
        return (yield from ask(request, _receipt, self.token))

    def find_sent(self, message: model.Outgoing) -> Flow[channels.Found]:
        request = self._request("GET", f"?tag={quote(message.mark)}")
        return (yield from ask(request, _found, self.token))

    def _request(self, method: str, query: str = "", body: bytes = b"") -> http.Request:
        bearer = f"Bearer {self.token.reveal()}"
        headers = {"Authorization": bearer, "Content-Type": "application/json"}
        url = f"{self.url}/v1/messages{query}"
        return http.Request(method, url, headers, body, posts=method == "POST")


def _receipt(item: Any) -> model.Receipt:
    found = mapping(item, "the message")
    return model.Receipt(word(found, "id"), from_text(found.get("at")))


def _found(answer: Any) -> channels.Found:
    sent = items(answer, "messages")
    return channels.Found(_receipt(sent[0]) if sent else None)
