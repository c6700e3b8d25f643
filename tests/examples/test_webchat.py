"""The web chat: a visitor writes on the page, staff answer from the desk, over real HTTP."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import httpx
import pytest
import uvicorn

pytestmark = pytest.mark.xdist_group("fastapi")  # one process loads it, not each
VISITOR = {"X-Visitor": "0123456789abcdef0123456789abcdef"}


class Served:
    """The application on a port of its own, and clients of it."""

    def __init__(self, example: ModuleType) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app, staff = example.assembled(self.url)
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self.thread.start()
        self.client = httpx.Client(base_url=self.url, timeout=10)
        self.staff = {"X-Staff-Key": staff.key.reveal()}

    def close(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join(10)

    def writes(self, text: str, visitor: dict[str, str] = VISITOR) -> httpx.Response:
        return self.client.post("/chat/messages", json={"text": text}, headers=visitor)

    def sees(self) -> list[tuple[str, str]]:
        found = self.client.get("/chat/messages", headers=VISITOR).json()
        return [(each["by"], each["text"]) for each in found]

    def talks(self, count: int) -> list[dict]:
        """Return the desk's conversations once the last has so many messages."""
        until = time.monotonic() + 10
        while True:
            found = self.client.get("/staff/talks", headers=self.staff).json()
            if found and len(found[-1]["messages"]) >= count:
                return found
            assert time.monotonic() < until, found

    def answers(self, conversation: str, text: str, *steps: str) -> httpx.Response:
        said = {"conversation": conversation, "text": text, "steps": steps}
        return self.client.post("/staff/answers", json=said, headers=self.staff)


@pytest.fixture
def served(load: Callable[[str], ModuleType]) -> Iterator[Served]:
    """Serve the application."""
    found = Served(load("webchat/app.py"))
    yield found
    found.close()


def test_a_visitor_is_answered(served: Served) -> None:
    """What is written on the page reaches the desk signed, and the answer comes back so."""
    assert 201 == served.writes("Die Kanne ist kaputt 😕 <b>!</b>").status_code
    (talk,) = served.talks(1)
    assert "Die Kanne ist kaputt 😕 <b>!</b>" == talk["messages"][0]["text"]
    assert talk["unanswered"]
    told = served.answers(talk["id"], "We are sorry. A new one is on its way.")
    assert (200, {"sent": 1}) == (told.status_code, told.json())
    assert ("shop", "We are sorry. A new one is on its way.") == served.sees()[-1]
    served.writes("Thank you!")
    (talk,) = served.talks(3)
    assert ["inbound", "outbound", "inbound"] == [each["by"] for each in talk["messages"]]


def test_strangers_are_turned_away(served: Served) -> None:
    """Without the key nobody reads or answers; without a signature nothing is shown or taken."""
    served.writes("Hello")
    served.talks(1)
    wrong = {"X-Staff-Key": "wrong"}
    body = json.dumps({"events": []})
    statuses = [
        served.client.get("/staff/talks", headers=wrong).status_code,
        served.client.post("/staff/answers", json={}, headers=wrong).status_code,
        served.client.post("/answers", content=body).status_code,
        served.client.post("/webhooks/webhook", content=body).status_code,
        served.writes("Hello", {"X-Visitor": "me"}).status_code,
        served.writes(" ").status_code,
        served.client.post("/chat/messages", content=b"{", headers=VISITOR).status_code,
        served.client.post("/staff/answers", json={"text": 1}, headers=served.staff).status_code,
    ]
    assert [401, 401, 401, 401, 422, 422, 422, 422] == statuses


def test_what_the_desk_refuses_is_said(served: Served) -> None:
    """An unknown step, or one that is not legal, changes nothing and is explained."""
    served.writes("You charged me twice!")
    (talk,) = served.talks(1)
    refused = served.answers(talk["id"], "Done.", "celebrate")
    assert 409 == refused.status_code
    assert "celebrate" in refused.json()["error"]


def test_an_answer_is_shown_once(load: Callable[[str], ModuleType]) -> None:
    """The same webhook-id is the same answer; a ping shows nothing; a stranger's talk is refused."""
    example = load("webchat/app.py")
    secret = example.Secret("whsec_" + "MfKQ" * 8)
    chat = example.Chat("http://127.0.0.1:9/", secret)
    chat.add("ola", "visitor", "Hello")

    def take(key: str, said: dict) -> dict:
        body = json.dumps(said).encode()
        at = example.datetime.now(example.UTC)
        headers = example.sign_standard(secret, body, message_id=key, at=at)
        return chat.take(headers, body)

    answer = {"type": "answer", "conversation": "ola", "text": "Hello to you"}
    assert take("a", answer) == take("a", answer)
    assert {} == take("ping", {"type": "ping"})
    assert ["Hello", "Hello to you"] == [each["text"] for each in chat.talks["ola"]]
    with pytest.raises(example.PayloadError):
        take("b", {**answer, "conversation": "nobody"})


def test_the_pages_load_nothing_from_elsewhere(served: Served) -> None:
    """Each page is whole, guarded by a policy, and names no other host."""
    for path in ("/", "/staff", "/chat.js", "/staff.js", "/style.css"):
        page = served.client.get(path)
        assert 200 == page.status_code
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "http://" not in page.text
        assert "https://" not in page.text
    for path in ("/", "/staff"):
        assert '<html lang="en">' in served.client.get(path).text
