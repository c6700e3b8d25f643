"""A webhook in a few lines: any WSGI server can call `app`, here the standard library's does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIRequestHandler, make_server

from supportflow import Desk
from supportflow.http import MAX_BODY, Webhook

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["app", "listening"]


def app(desk: Desk, channel: str, clock: Callable[[], datetime]) -> WSGIApplication:
    """Return a WSGI application that hands every request to the desk, exactly as it came.

    Args:
        desk: The desk.
        channel: The channel whose webhook it is.
        clock: Returns the time (aware).
    """

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        headers = [(k[5:].replace("_", "-"), v) for k, v in environ.items() if k[:5] == "HTTP_"]
        size = min(int(environ.get("CONTENT_LENGTH") or 0), MAX_BODY + 1)
        body = environ["wsgi.input"].read(size)
        query = parse_qsl(environ["QUERY_STRING"])
        hook = Webhook(environ["REQUEST_METHOD"], body, clock(), headers, query)
        response = desk.receive(channel, hook)
        status = HTTPStatus(response.status)
        start(f"{status.value} {status.phrase}", list(response.headers.items))
        return [response.body]

    return answer


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Leave the terminal to the story."""


@contextmanager
def listening(application: WSGIApplication) -> Iterator[str]:
    """Serve an application on a free port of this machine, and yield its address.

    Args:
        application: What answers.
    """
    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/webhooks/messenger"
        finally:
            server.shutdown()
            thread.join()
