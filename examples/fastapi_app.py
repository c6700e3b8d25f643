"""Take a platform's webhooks into a desk with FastAPI: raw bytes in, the desk's own answer out.

    python examples/fastapi_app.py                             # offline, against a strict local Messenger
    uvicorn --factory --app-dir examples fastapi_app:from_environment

The web process only takes in: what it answers 200 to is committed. Sending is the work of a process
of its own, which shares the store (worker.py). The script ends with 1 if something is not as it says.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response

from supportflow import AsyncDesk, NotFound, SQLiteStore, Unsupported, Webhook, threaded
from supportflow.channels.messenger import Messenger
from supportflow.http import MAX_BODY
from supportflow.testing.platforms.messenger import MessengerPlatform

WORDS = "Thank you for writing. We can see the double charge."


# -- the application


def create_app(desk: AsyncDesk) -> FastAPI:
    """Return an application that gives every channel of a desk its webhook, by the channel's name.

    Args:
        desk: The desk; closed when the application ends.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with desk:
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.api_route("/webhooks/{channel}", methods=["GET", "POST"])
    async def webhook(channel: str, request: Request) -> Response:
        """Give a request to its channel exactly as it came: signatures are over raw bytes."""
        body = await bounded(request)
        if body is None:
            return Response(status_code=413)
        headers, query = request.headers.items(), request.query_params.multi_items()
        hook = Webhook(request.method, body, datetime.now(UTC), headers, query)
        try:
            answer = await desk.receive(channel, hook)
        except (NotFound, Unsupported):
            return Response(status_code=404)
        # 401: not genuine. 503: not committed, the platform tries again. 200: committed.
        return Response(answer.body, answer.status, dict(answer.headers.items))

    return app


async def bounded(request: Request) -> bytes | None:
    """Read a body; None if it is too large, and what is over the limit stays unread."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def from_environment() -> FastAPI:
    """Return the application for a real page; `uvicorn --factory` calls it."""
    page = Messenger(
        os.environ["MESSENGER_PAGE_ID"],
        token=os.environ["MESSENGER_TOKEN"],
        app_secret=os.environ["MESSENGER_APP_SECRET"],
        verify_token=os.environ["MESSENGER_VERIFY_TOKEN"],
    )
    return create_app(AsyncDesk(threaded(SQLiteStore("support.db")), [page]))


# -- the script


def check(what: str, *, holds: bool) -> None:
    """Say something, and end with 1 if it does not hold."""
    print(what)
    if not holds:
        sys.exit(f"that does not hold: {what}")


def status(url: str, size: int, headers: dict[str, str]) -> int:
    """Post a body of the size that is announced, but only what fits; return the status."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    connection.putrequest("POST", target.path)
    for name, value in {**headers, "Content-Length": str(size)}.items():
        connection.putheader(name, value)
    connection.endheaders(b"x" * min(size, MAX_BODY + 1))
    try:
        return connection.getresponse().status
    finally:
        connection.close()


async def story(platform: MessengerPlatform, path: str) -> None:
    """Serve the application on loopback, and let the platform and a customer use it."""
    keys = platform.credentials()
    page = Messenger(
        keys["page_id"],
        token=keys["token"],
        app_secret=keys["app_secret"],
        verify_token=keys["verify_token"],
        base_url=platform.url,
    )
    desk = AsyncDesk(threaded(SQLiteStore(path)), [page])
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks/messenger"
    server = uvicorn.Server(uvicorn.Config(create_app(desk), log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.to_thread(platform.deliver_to, url)
        await customer_is_answered(platform, desk)
        await strangers_are_not(url)
    finally:
        server.should_exit = True
        await serving


async def customer_is_answered(platform: MessengerPlatform, desk: AsyncDesk) -> None:
    """Handshake, a customer's words, our answer, and its echo."""
    proved = await asyncio.to_thread(platform.handshake)
    check("the platform asked for proof of the address, and got it", holds=proved)
    ola = platform.customer("ola")
    await asyncio.to_thread(ola.write, "You charged me twice!")
    (talk,) = await desk.inbox(unanswered=True)
    check(f"{talk.id} waits for an answer", holds=talk.customer == ola.psid)
    await desk.acknowledge(talk, WORDS)
    done = await desk.deliver()
    shown = [message.text for message in ola.messages]
    check(f"the customer sees: {shown}", holds=shown == ["You charged me twice!", WORDS])
    await asyncio.to_thread(platform.deliver)
    stored = [each.message.text for each in await desk.messages(talk)]
    check(f"the echo of it is our own answer, not another: {stored}", holds=stored == shown)
    after = await desk.get(talk.id)
    check(f"{done}; it is {after.state.name}", holds=after.state.name == "acknowledged")


async def strangers_are_not(url: str) -> None:
    """A forged body, one that is too large, and a channel that is not there."""
    forged = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
    for what, wanted, place, size in (
        ("a forged body", 401, url, 100),
        ("a body of 50 MB", 413, url, 50_000_000),
        ("a channel that the desk does not have", 404, f"{url}-2", 100),
    ):
        given = await asyncio.to_thread(status, place, size, forged)
        check(f"{what} is answered {given}", holds=given == wanted)


def main() -> None:
    """Run the story in a temporary store."""
    with TemporaryDirectory() as folder, MessengerPlatform() as platform:
        asyncio.run(story(platform, f"{folder}/support.db"))


if __name__ == "__main__":
    main()
