"""Take a platform's webhooks into a desk under WSGI (Django, Flask, gunicorn …), with nothing but Python.

    python examples/wsgi_app.py                    # offline, against a strict local Messenger
    gunicorn --chdir examples 'wsgi_app:from_environment()'

The web process only takes in: what it answers 200 to is committed. Sending is the work of a process
of its own, which shares the store (worker.py). The script ends with 1 if something is not as it says.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

from supportflow import Desk, NotFound, SQLiteStore, Unsupported, Webhook
from supportflow.channels.messenger import Messenger
from supportflow.http import MAX_BODY, Response
from supportflow.testing.platforms.messenger import MessengerPlatform

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

WORDS = "Thank you for writing. We can see the double charge."


# -- the application


def create_app(desk: Desk) -> WSGIApplication:
    """Return an application that gives every channel of a desk its webhook, by the channel's name.

    Args:
        desk: The desk; threads may share it.
    """

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = answered(desk, environ)
        phrase = HTTPStatus(answer.status).phrase
        start_response(f"{answer.status} {phrase}", [*answer.headers.items])
        return [answer.body]

    return app


def answered(desk: Desk, environ: WSGIEnvironment) -> Response:
    """Give a request to its channel exactly as it came: signatures are over raw bytes."""
    folder, _, channel = environ.get("PATH_INFO", "").rpartition("/")
    size = environ.get("CONTENT_LENGTH") or "0"
    if folder != "/webhooks" or environ["REQUEST_METHOD"] not in ("GET", "POST"):
        return Response(404)
    if not size.isascii() or not size.isdecimal():
        return Response(400)
    if len(size) > len(str(MAX_BODY)) or int(size) > MAX_BODY:
        return Response(413)  # and the body stays unread
    hook = Webhook(
        environ["REQUEST_METHOD"],
        environ["wsgi.input"].read(int(size)),
        datetime.now(UTC),
        {name[5:].replace("_", "-"): environ[name] for name in environ if name.startswith("HTTP_")},
        parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True),
    )
    try:
        # 401: not genuine. 503: not committed, the platform tries again. 200: committed.
        return desk.receive(channel, hook)
    except (NotFound, Unsupported):
        return Response(404)


def from_environment() -> WSGIApplication:
    """Return the application for a real page."""
    page = Messenger(
        os.environ["MESSENGER_PAGE_ID"],
        token=os.environ["MESSENGER_TOKEN"],
        app_secret=os.environ["MESSENGER_APP_SECRET"],
        verify_token=os.environ["MESSENGER_VERIFY_TOKEN"],
    )
    return create_app(Desk(SQLiteStore("support.db"), [page]))


# -- the script


def check(what: str, *, holds: bool) -> None:
    """Say something, and end with 1 if it does not hold."""
    print(what)
    if not holds:
        sys.exit(f"that does not hold: {what}")


class Quiet(WSGIRequestHandler):
    """Serve without a line for each request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""


def status(url: str, size: int, headers: dict[str, str]) -> int:
    """Announce a body of a size, send 100 bytes of it, and return the status."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    connection.putrequest("POST", target.path)
    for name, value in {**headers, "Content-Length": str(size)}.items():
        connection.putheader(name, value)
    connection.endheaders(b"x" * 100)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def customer_is_answered(platform: MessengerPlatform, desk: Desk) -> None:
    """Handshake, a customer's words, our answer, and its echo."""
    check("the platform asked for proof of the address, and got it", holds=platform.handshake())
    ola = platform.customer("ola")
    ola.write("You charged me twice!")
    (talk,) = desk.inbox(unanswered=True)
    check(f"{talk.id} waits for an answer", holds=talk.customer == ola.psid)
    desk.acknowledge(talk, WORDS)
    done = desk.deliver()
    shown = [message.text for message in ola.messages]
    check(f"the customer sees: {shown}", holds=shown == ["You charged me twice!", WORDS])
    platform.deliver()
    stored = [each.message.text for each in desk.messages(talk)]
    check(f"the echo of it is our own answer, not another: {stored}", holds=stored == shown)
    after = desk.get(talk.id)
    check(f"{done}; it is {after.state.name}", holds=after.state.name == "acknowledged")


def strangers_are_not(url: str) -> None:
    """A forged body, one that is too large, and a channel that is not there."""
    forged = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
    for what, wanted, place, size in (
        ("a forged body", 401, url, 100),
        ("a body of 50 MB, of which nothing is read", 413, url, 50_000_000),
        ("a channel that the desk does not have", 404, f"{url}-2", 100),
    ):
        given = status(place, size, forged)
        check(f"{what} is answered {given}", holds=given == wanted)


def main() -> None:
    """Serve the application on loopback, and let the platform and a customer use it."""
    with TemporaryDirectory() as folder, MessengerPlatform() as platform:
        keys = platform.credentials()
        page = Messenger(
            keys["page_id"],
            token=keys["token"],
            app_secret=keys["app_secret"],
            verify_token=keys["verify_token"],
            base_url=platform.url,
        )
        with Desk(SQLiteStore(f"{folder}/support.db"), [page]) as desk:
            server = make_server("127.0.0.1", 0, create_app(desk), handler_class=Quiet)
            with server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                url = f"http://127.0.0.1:{server.server_port}/webhooks/messenger"
                platform.deliver_to(url)
                customer_is_answered(platform, desk)
                strangers_are_not(url)
                server.shutdown()


if __name__ == "__main__":
    main()
