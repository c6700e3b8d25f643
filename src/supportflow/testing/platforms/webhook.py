"""An app of one's own with a chat, as docs/guide/channels/webhook.md asks for: strict, and on loopback.

It signs what it sends and checks what it gets with code of its own (Standard Webhooks,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): a wrong
signature is 401, a stale one too, a body that is not of the format 400, an unknown parent 422, a text
that is too long 422. It remembers every `webhook-id` for 24 hours and answers the same for the same one.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from supportflow.testing.platforms.messages import Reply, Request, Route
from supportflow.testing.platforms.meta_hooks import Receiver, over_http
from supportflow.testing.platforms.server import Platform

SECRET = "whsec_" + base64.b64encode(b"a secret of 32 bytes for a chat.").decode()
TOLERANCE, REMEMBERED = timedelta(minutes=5), timedelta(hours=24)
FIELDS = {
    "answer": {"conversation", "reply_to", "to", "text", "by", "visibility"},
    "ping": set[str](),
}


def sign(secret: str, name: str, at: datetime, body: bytes) -> str:
    """Return the `webhook-signature` of a body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((name.encode(), str(int(at.timestamp())).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@attrs.frozen
class Post:
    """One message in the chat.

    Args:
        id: its id.
        conversation: where it stands.
        author: who wrote it: a customer, `desk` (through the library) or `staff` (in the app).
        text: its words.
        key: the `webhook-id` that brought it, if one did.
    """

    id: str
    conversation: str
    author: str
    text: str
    key: str = ""


class Customer:
    """Somebody who chats; each has one conversation."""

    def __init__(self, app: "WebhookPlatform", name: str) -> None:
        self.app, self.name, self.id = app, name, f"user-{name}"
        self.conversation = f"chat-{name}"

    @property
    def messages(self) -> list[str]:
        """Return what the customer sees, in order."""
        return [post.text for post in self.app.posts if post.conversation == self.conversation]

    def write(self, text: str) -> str:
        """Write to the shop, and return the message's id."""
        post = self.app.add(self.conversation, self.id, text)
        self.app.tell(self.app.event("message", post, author=self.described))
        return post.id

    def edit(self, name: str, text: str) -> None:
        """Change a message."""
        with self.app.lock:
            index = next(i for i, post in enumerate(self.app.posts) if post.id == name)
            self.app.posts[index] = attrs.evolve(self.app.posts[index], text=text)
            revision = f"r{self.app.next_number()}"
        at = self.app.now().isoformat()
        changed = {"type": "edit", "id": name, "revision": revision, "text": text, "at": at}
        self.app.tell(changed)

    def delete(self, name: str) -> None:
        """Take a message back."""
        with self.app.lock:
            self.app.posts[:] = [post for post in self.app.posts if post.id != name]
        self.app.tell({"type": "removal", "id": name, "at": self.app.now().isoformat()})

    @property
    def described(self) -> dict[str, str]:
        """Return the customer as events name them."""
        return {"id": self.id, "name": self.name.title()}


class WebhookPlatform(Platform):
    """Chat with customers, and let a desk answer them.

    Args:
        secret: what both sides sign with.
        max_text: the longest answer taken, in characters.
        clock: aware UTC time; None is the machine's own.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too, to loopback only.
    """

    def __init__(
        self,
        *,
        secret: str = SECRET,
        max_text: int = 4_000,
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
    ) -> None:
        super().__init__(clock=clock, port=port, control=control)
        self.secret, self.max_text = secret, max_text
        self.posts: list[Post] = []
        self.pending: list[Mapping[str, object]] = []
        self.delivered: list[tuple[dict[str, str], bytes]] = []
        self._answers: dict[str, tuple[datetime, Reply]] = {}
        self._customers: dict[str, Customer] = {}
        self._receiver: Receiver | None = None
        self._number = 0

    # What tests use.

    def credentials(self) -> Mapping[str, str]:
        """Return what a channel needs beside the URL."""
        return {"secret": self.secret}

    def truth(self) -> Mapping[str, object]:
        """Return every message that there is, with what brought it."""
        return {"posts": [attrs.asdict(post) for post in self.posts]}

    def customer(self, name: str) -> Customer:
        """Return a customer, who is made when first named."""
        return self._customers.setdefault(name, Customer(self, name))

    def staff(self, name: str, text: str) -> Post:
        """Let somebody of the shop answer in the app itself."""
        customer = self.customer(name)
        post = self.add(customer.conversation, "staff", text)
        author = {"id": "staff", "name": "Staff"}
        self.tell(self.event("answer", post, author=author, to=customer.described))
        return post

    def deliver_to(self, receiver: Receiver | str) -> None:
        """Say where events go: a callable, or the address of a webhook on loopback."""
        self._receiver = over_http(receiver) if isinstance(receiver, str) else receiver
        self.deliver()

    def tell(self, event: Mapping[str, object]) -> None:
        """Keep an event, and deliver it if there is somebody to deliver to."""
        self.pending.append(event)
        if self._receiver is not None:
            self.deliver()

    def deliver(self) -> int | None:
        """Deliver what waits as one batch; what is not answered with 2xx waits on."""
        if self._receiver is None or not self.pending:
            return None
        events = tuple(self.pending)
        body = json.dumps({"events": events}, ensure_ascii=False).encode()
        name, at = f"msg_{self.next_number()}", self.now()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": sign(self.secret, name, at, body),
        }
        answer = self._receiver("POST", headers, {}, body)
        status = answer if isinstance(answer, int) else answer[0]
        if 200 <= status < 300:
            del self.pending[: len(events)]
            self.delivered.append((headers, body))
        return status

    def act(self, command: Mapping[str, object]) -> object:
        """Let a customer write: `{"customer": "ola", "text": "…"}`.

        Raises:
            ValueError: for anything else.
        """
        name, text = command.get("customer"), command.get("text")
        if not isinstance(name, str) or not isinstance(text, str):
            message = 'a command is {"customer": name, "text": words}'
            raise ValueError(message)  # noqa: TRY004 - one kind of complaint about a command
        return self.customer(name).write(text)

    # What it is made of.

    def next_number(self) -> int:
        """Return a number that was not given before."""
        with self.lock:
            self._number += 1
            return self._number

    def add(self, conversation: str, author: str, text: str, key: str = "") -> Post:
        """Keep a message."""
        with self.lock:
            post = Post(f"m{self.next_number()}", conversation, author, text, key)
            self.posts.append(post)
            return post

    def event(self, kind: str, post: Post, **more: object) -> dict[str, object]:
        """Return what tells of a message."""
        before = [each.id for each in self.posts if each.conversation == post.conversation]
        parent = before[before.index(post.id) - 1] if before.index(post.id) else None
        said = {"id": post.id, "conversation": post.conversation, "text": post.text}
        placed = {"reply_to": parent} if parent else {}
        return {"type": kind, **said, **placed, "at": self.now().isoformat(), **more}

    def routes(self) -> Sequence[Route]:
        """Take answers, and say that we are here."""
        return (
            Route("POST", "/answers", self._take),
            Route("GET", "/answers", lambda _: Reply.json({"format": 1})),
        )

    def _take(self, request: Request) -> Reply:
        name = request.header("webhook-id") or ""
        if not self._is_genuine(request, name):
            return self.refuse(401, request)
        known = self._answers.get(name)
        if known is not None and self.now() - known[0] < REMEMBERED:
            return known[1]
        try:
            said = request.json()
        except ValueError:
            return self.refuse(400, request)
        if not isinstance(said, dict) or said.get("format") != 1:
            return self.refuse(400, request)
        wanted = FIELDS.get(str(said.get("type")))
        if wanted is None or not wanted <= said.keys():
            return self.refuse(400, request)
        if said["type"] == "ping":
            return Reply.json({})
        return self._show(said, name)

    def _show(self, said: Mapping[str, object], name: str) -> Reply:
        there = {post.id: post.conversation for post in self.posts}
        if there.get(str(said["reply_to"])) != said["conversation"]:
            return Reply.json({"error": "there is no such message to answer"}, 422)
        text = str(said["text"])
        if not 0 < len(text) <= self.max_text:
            return Reply.json({"error": f"a text has 1 to {self.max_text} characters"}, 422)
        post = self.add(str(said["conversation"]), "desk", text, name)
        reply = Reply.json({"id": post.id, "at": self.now().isoformat()}, 201)
        self._answers[name] = (self.now(), reply)
        return reply

    def _is_genuine(self, request: Request, name: str) -> bool:
        sent, signature = request.header("webhook-timestamp"), request.header("webhook-signature")
        if not name or not sent or not signature or not sent.isdigit():
            return False
        at = datetime.fromtimestamp(int(sent), self.now().tzinfo)
        if abs(self.now() - at) > TOLERANCE:
            return False
        right = sign(self.secret, name, at, request.body)
        return any(
            hmac.compare_digest(each.encode(), right.encode()) for each in signature.split(" ")
        )
