"""Teahouse keeps what every channel promises, and knows its own answer by the tag it carried."""

import json

import pytest
from supportflow_teahouse import Teahouse

from supportflow import http, model
from supportflow.testing import ChannelContract, PageCase, SendCase

URL, AT = "https://teahouse.example", ChannelContract.at
HEADERS = {"Authorization": "Bearer of-tea", "Content-Type": "application/json"}
ASKED = {"id": "1", "by": "guest", "guest": "g7", "name": "Ola", "table": "t1", "text": "Cold tea!"}
TOLD = {"id": "2", "by": "shop", "guest": "g7", "table": "t1", "text": "Sorry!", "tag": "mark"}
GUEST, SHOP, RECEIPT = model.Author("g7", "Ola"), model.Author("shop"), model.Receipt("2", AT)
EVERYBODY, ANNA = model.Visibility.public, model.AgentKind.person
ANSWERED = ("message", "1")
SORRY = model.Outgoing("row", "mark", "Sorry!", GUEST, "t1", ANSWERED, EVERYBODY, ANNA, AT)
FIRST = model.Message("teahouse", "message", "1", GUEST, "Cold tea!", AT, "t1")
SECOND = model.Message("teahouse", "message", "2", SHOP, "Sorry!", AT, "t1")
FACTS = model.Inbound(FIRST), model.Outbound(SECOND, "g7", "mark")


def answer(status: int, **body: object) -> http.Response:
    return http.Response(status, body=json.dumps(body).encode(), at=AT)


def page(*items: dict[str, str]) -> http.Response:
    return answer(200, messages=[{**item, "at": AT.isoformat()} for item in items], next="2")


class TestTeahouse(ChannelContract):
    @pytest.fixture
    def channel(self) -> Teahouse:
        return Teahouse(URL, "of-tea")

    @pytest.fixture
    def inbound_cases(self) -> list[PageCase]:
        return [PageCase("a page", (page(ASKED, TOLD),), FACTS, items=("messages",))]

    @pytest.fixture
    def send_cases(self) -> list[SendCase]:
        said = json.dumps({"table": "t1", "text": "Sorry!", "tag": "mark"}).encode()
        post = http.Request("POST", f"{URL}/v1/messages", HEADERS, said, posts=True)
        sent = (post,), (answer(201, id="2", at=AT.isoformat()),), RECEIPT
        return [SendCase("a reply", SORRY, *sent, found=(page(TOLD),), absent=(page(),))]
