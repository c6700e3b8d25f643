"""Serve a shop's guests on Teahouse, an invented public chat: a table a talk, JSON, one token."""

import json
from typing import Any, Self
from urllib.parse import quote

import attrs

from supportflow import channels, errors, http, model
from supportflow.channels import Ambiguous, NeedsAuth, NotSent, RateLimited, Refused, Unreadable
from supportflow.flow import Flow
from supportflow.text.fields import mapping, perhaps, word
from supportflow.text.moments import from_text


@attrs.frozen
class Teahouse:
    """Take what guests write, and answer them at their tables."""

    url: str
    token: model.Secret = attrs.field(converter=model.Secret)
    name: str = "teahouse"
    traits = channels.Traits("teahouse", 1000, channels.Reconcile.read)

    def using(self, state: model.ChannelState) -> Self:
        return attrs.evolve(self, token=state.credentials.get("token", self.token))

    def poll(self, cursor: str | None) -> Flow[channels.Page]:
        answer = yield from self._ask("GET", f"?after={quote(cursor or '')}")
        facts, unreadable = self._read(answer["messages"])
        return channels.Page(facts, word(answer, "next"), unreadable, more=bool(facts))

    def _read(self, items: list[Any]) -> tuple[tuple[model.Fact, ...], tuple[Unreadable, ...]]:
        facts, unreadable = list[model.Fact](), list[Unreadable]()
        for item in items:
            try:
                facts.append(self._fact(mapping(item, "the message")))
            except errors.PayloadError as error:
                unreadable.append(Unreadable(json.dumps(item).encode(), str(error)))
        return tuple(facts), tuple(unreadable)

    def _fact(self, item: dict[str, Any]) -> model.Fact:
        guest = model.Author(word(item, "guest"), perhaps(item, "name"))
        author = model.Author("shop") if word(item, "by") == "shop" else guest
        said = perhaps(item, "text"), from_text(item.get("at")), word(item, "table")
        message = model.Message(self.name, "message", word(item, "id"), author, *said)
        if author is guest:
            return model.Inbound(message)
        return model.Outbound(message, guest.id, perhaps(item, "tag") or None)

    def send(self, message: model.Outgoing) -> Flow[model.Receipt]:
        said = {"table": message.thread, "text": message.text, "tag": message.mark}
        try:
            answer = yield from self._ask("POST", "", json.dumps(said).encode())
            return model.Receipt(word(answer, "id"), from_text(answer.get("at")))
        except errors.TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        except errors.PayloadError as error:
            raise Ambiguous(f"posted, but {error}") from None

    def find_sent(self, message: model.Outgoing) -> Flow[channels.Found]:
        answer = yield from self._ask("GET", f"?tag={quote(message.mark)}")
        sent = [mapping(item, "the message") for item in answer["messages"]]
        receipts = [model.Receipt(word(each, "id"), from_text(each.get("at"))) for each in sent]
        return channels.Found(receipts[0] if receipts else None)

    def _ask(self, method: str, query: str, body: bytes = b"") -> Flow[dict[str, Any]]:
        token, url = self.token.reveal(), f"{self.url}/v1/messages{query}"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = yield http.Request(method, url, headers, body, posts=method == "POST")
        if not 200 <= answer.status < 300:
            said = f"{answer.status} {answer.body.decode(errors='replace')}".replace(token, "…")
            if answer.status == 429 and answer.at is not None:
                raise RateLimited(said[:200], http.retry_at(answer, answer.at))
            sure = 300 <= answer.status < 500 and answer.status != 408
            auth = answer.status in (401, 403)
            raise (NeedsAuth if auth else Refused if sure else Ambiguous)(said[:200])
        found = mapping(answer.json(), "the answer")
        if method == "GET" and not isinstance(found.get("messages"), list):
            raise errors.PayloadError("the answer has no list of messages")
        return found
