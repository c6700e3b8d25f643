"""A chat box on a page of one's own, answered from a desk: `python examples/webchat/app.py`.

Two things in one process, which speak over HTTP as if they were two: a small chat app, with a page for
visitors at `/`, and a desk with the channel `webhook`, with a page for staff at `/staff`. The chat app
signs what visitors write and POSTs it to `/webhooks/webhook`; the desk POSTs answers to `/answers`.
A chat that is to survive a restart keeps its messages and ids in a database of its own; this one
keeps them in memory. (Over 300 lines, because an example is one file to read.)
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hmac
import json
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import attrs
import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from supportflow import AsyncDesk, MemoryStore, Secret, SupportflowError, Webhook, threaded
from supportflow.channels.webhook import GenericWebhook
from supportflow.errors import PayloadError, WebhookRejected
from supportflow.http import MAX_BODY, read_json
from supportflow.model import Agent, Conversation
from supportflow.signing import sign_standard, verify_standard

HERE = Path(__file__).parent
PAGES = {
    "/": "chat.html",
    "/chat.js": "chat.js",
    "/staff": "staff.html",
    "/staff.js": "staff.js",
    "/style.css": "style.css",
}
LONGEST, VISITORS = 2_000, 10_000
GUARD = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Chat:
    """Keep what visitors and the shop write, and tell the desk of it.

    Args:
        desk_url: Where the desk takes webhooks.
        secret: What both sides sign with.
    """

    def __init__(self, desk_url: str, secret: Secret) -> None:
        self.desk_url, self.secret = desk_url, secret
        self.talks: dict[str, list[dict[str, str]]] = {}
        self.answers: dict[str, dict[str, str]] = {}  # by webhook-id: the same one is shown once
        self.waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def write(self, visitor: str, name: str, text: str) -> dict[str, str]:
        """Keep a visitor's message, and let it wait for the desk."""
        kept = self.add(visitor, "visitor", text)
        author = {"id": visitor, "name": name or "Visitor"}
        event = {"type": "message", "conversation": visitor, "author": author, **kept}
        self.waiting.put_nowait({**event, "id": f"{visitor}-{kept['id']}"})
        return kept

    def add(self, visitor: str, by: str, text: str) -> dict[str, str]:
        """Keep a message in a talk."""
        talk = self.talks.setdefault(visitor, [])
        at = datetime.now(UTC).isoformat()
        talk.append({"id": str(len(talk) + 1), "by": by, "text": text, "at": at})
        return talk[-1]

    def take(self, headers: Any, body: bytes) -> dict[str, str]:
        """Show an answer of the desk, once for its `webhook-id`.

        Raises:
            WebhookRejected: If it is not signed as it should be.
            PayloadError: If it is no answer to anybody here.
        """
        key = headers.get("webhook-id")
        verify_standard(
            self.secret,
            body,
            headers.get("webhook-signature"),
            message_id=key,
            timestamp=headers.get("webhook-timestamp"),
            now=datetime.now(UTC),
        )
        said = read_json(body)
        if said.get("type") == "ping":
            return {}
        if said.get("conversation") not in self.talks:
            raise PayloadError("there is no such talk", status=422)
        if key not in self.answers:
            kept = self.add(said["conversation"], "shop", said["text"])
            self.answers[key] = {"id": f"{said['conversation']}-{kept['id']}", "at": kept["at"]}
        return self.answers[key]

    async def tell(self) -> None:
        """POST each message to the desk until it is taken, in order."""
        async with httpx.AsyncClient() as client:
            while True:
                event = await self.waiting.get()
                body = json.dumps({"events": [event]}).encode()
                for pause in chain((1, 2, 5), repeat(10)):
                    if await self._told(client, event["id"], body):
                        break
                    await asyncio.sleep(pause)

    async def _told(self, client: httpx.AsyncClient, name: str, body: bytes) -> bool:
        headers = sign_standard(self.secret, body, message_id=name, at=datetime.now(UTC))
        try:
            answer = await client.post(self.desk_url, content=body, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success


@attrs.frozen
class Staff:
    """Say who may answer: whoever has the key that is printed at the start."""

    key: Secret

    def knows(self, request: Request) -> bool:
        """Tell whether a request bears the key."""
        given = request.headers.get("x-staff-key", "")
        return hmac.compare_digest(given.encode(), self.key.reveal().encode())


async def talk_of(desk: AsyncDesk, found: Conversation) -> dict[str, Any]:
    """Return a conversation as the staff's page shows it."""
    stored = await desk.messages(found.id)
    said = [
        {"by": str(each.direction), "text": each.message.text, "at": each.message.at.isoformat()}
        for each in stored
    ]
    waits = {"state": str(found.state), "unanswered": found.unanswered}
    return {"id": found.id, "customer": found.customer, **waits, "messages": said}


def create_app(desk: AsyncDesk, chat: Chat, staff: Staff) -> FastAPI:
    """Return the application: pages, the visitors' chat, and the desk.

    Args:
        desk: The desk, with a channel named `webhook`; closed when the application ends.
        chat: The chat app.
        staff: Who may answer.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with desk:
            telling = asyncio.create_task(chat.tell())
            yield
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    serve_pages(app)
    serve_visitors(app, chat)
    serve_desk(app, desk, staff)
    return app


def serve_pages(app: FastAPI) -> None:
    """Serve the two pages and what belongs to them; nothing comes from elsewhere."""

    @app.middleware("http")
    async def guarded(request: Request, go_on: Any) -> Response:
        answer: Response = await go_on(request)
        answer.headers.update(GUARD)
        return answer

    for path, name in PAGES.items():
        app.get(path)(lambda name=name: FileResponse(HERE / name))


def serve_visitors(app: FastAPI, chat: Chat) -> None:
    """Serve what the chat box asks for, and what the desk answers."""

    @app.get("/chat/messages")
    async def read(request: Request) -> Response:
        return JSONResponse(chat.talks.get(request.headers.get("x-visitor", ""), []))

    @app.post("/chat/messages")
    async def write(request: Request) -> Response:
        visitor = request.headers.get("x-visitor", "")
        said = await fields(request, "text")
        if said is None or not usable(visitor) or len(chat.talks) >= VISITORS:
            return JSONResponse({"error": f"a message has 1 to {LONGEST} characters"}, 422)
        name = str(said.get("name", ""))[:60]
        return JSONResponse(chat.write(visitor, name, said["text"].strip()), 201)

    @app.get("/answers")
    async def here() -> Response:
        return JSONResponse({})

    @app.post("/answers")
    async def take(request: Request) -> Response:
        try:
            return JSONResponse(chat.take(request.headers, await bounded(request)))
        except (WebhookRejected, PayloadError) as error:
            return JSONResponse({"error": str(error)}, error.status)


def serve_desk(app: FastAPI, desk: AsyncDesk, staff: Staff) -> None:
    """Serve the webhook, and what the staff's page asks for."""

    @app.post("/webhooks/{channel}")
    async def webhook(channel: str, request: Request) -> Response:
        body = await bounded(request)
        hook = Webhook("POST", body, datetime.now(UTC), request.headers.items())
        answer = await desk.receive(channel, hook)
        return Response(answer.body, answer.status, dict(answer.headers.items))

    @app.get("/staff/talks")
    async def talks(request: Request) -> Response:
        if not staff.knows(request):
            return JSONResponse({"error": "the key is missing or wrong"}, 401)
        return JSONResponse([await talk_of(desk, found) for found in await desk.inbox()])

    @app.post("/staff/answers")
    async def answer(request: Request) -> Response:
        if not staff.knows(request):
            return JSONResponse({"error": "the key is missing or wrong"}, 401)
        said = await fields(request, "text", "conversation")
        if said is None:
            return JSONResponse({"error": "an answer needs words and a conversation"}, 422)
        steps = [str(step) for step in said.get("steps", [])][:3]
        try:
            await desk.reply(said["conversation"], said["text"], agent=Agent("staff"), steps=steps)
        except SupportflowError as error:  # a step that is not legal now, words that a rule blocks
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"sent": (await desk.deliver()).sent})


async def bounded(request: Request) -> bytes:
    """Read a body; one that is too large is refused before it is read to its end."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise PayloadError("the body is too large", status=413)
    return bytes(body)


async def fields(request: Request, *needed: str) -> dict[str, Any] | None:
    """Read JSON with some texts that must not be empty; None if it is anything else."""
    try:
        said = read_json(await bounded(request))
    except PayloadError:
        return None
    texts = [said.get(name) for name in needed] if isinstance(said, dict) else [None]
    if all(isinstance(text, str) and 0 < len(text.strip()) <= LONGEST for text in texts):
        found: dict[str, Any] = said
        return found
    return None


def usable(visitor: str) -> bool:
    """Tell whether a visitor's name for themselves is one that our page makes."""
    return 20 <= len(visitor) <= 64 and visitor.isascii() and visitor.replace("-", "").isalnum()


def assembled(url: str) -> tuple[FastAPI, Staff]:
    """Return the application for an address, with fresh secrets, and who may answer."""
    secret = Secret("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    channel = GenericWebhook(f"{url}/answers", secret=secret, network="web chat", max_text=LONGEST)
    desk = AsyncDesk(threaded(MemoryStore()), [channel])
    staff = Staff(Secret(secrets.token_urlsafe(16)))
    return create_app(desk, Chat(f"{url}/webhooks/webhook", secret), staff), staff


def main() -> None:
    """Serve on loopback until interrupted."""
    parser = argparse.ArgumentParser(description="A chat box on a page, answered from a desk.")
    parser.add_argument("--port", type=int, default=8000)
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app, staff = assembled(url)
    print(f"visitors: {url}/\nstaff:    {url}/staff#{staff.key.reveal()}")
    sys.stdout.flush()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
