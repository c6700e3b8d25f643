"""Webhooks as Meta delivers them: in batches, again on demand, after a handshake.

All is sent in the caller's thread, so that a test decides when an event arrives, how often and in which
order: `flush` (after what people do) and `deliver` send what waits, `hold` lets it gather. What a call
to the API causes waits for either. A demonstration asks for `background=True` instead.

Source: https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks.
Meta sends again what was not answered with 2xx, for hours; here `redeliver` does.
"""

import hashlib
import http.client
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlencode, urlsplit

from supportflow.testing.platforms.meta_payloads import Delivery, Event, sign, write_body

# https://developers.facebook.com/docs/graph-api/webhooks/getting-started
BATCH = 1000
ANSWER_SECONDS = 10.0
LOOK_SECONDS = 0.02
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Answer = int | tuple[int, bytes]
Receiver = Callable[[str, Mapping[str, str], Mapping[str, str], bytes], Answer]
"""Takes method, headers, query and raw body; returns the status, for the handshake with the body."""


class UnansweredError(Exception):
    """A webhook over HTTP that gave no answer, or none that can be read."""


def over_http(url: str) -> Receiver:
    """Return a receiver that is asked over HTTP.

    Args:
        url: where the webhook listens, on this machine.

    Raises:
        ValueError: when the address is not plain HTTP on loopback.
    """
    target = urlsplit(url)
    if target.scheme != "http" or target.hostname not in LOOPBACK:
        message = f"webhooks go to http:// on loopback only, not to {url!r}"
        raise ValueError(message)
    host, port = target.hostname, target.port

    def ask(
        method: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> Answer:
        asked = "&".join(part for part in (target.query, urlencode(query)) if part)
        path = f"{target.path or '/'}?{asked}" if asked else target.path or "/"
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, body or None, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(1 << 16)
        except (OSError, http.client.HTTPException) as error:
            raise UnansweredError(url) from error
        finally:
            connection.close()

    return ask


class MetaHooks:
    """Keep what happened until it is delivered, and what was delivered for ever.

    Args:
        kind: the object of the subscription, such as `page`.
        account: the id of that object.
        app_secret: what deliveries are signed with.
        verify_token: what the handshake carries.
        now: the platform's clock.
        crashed: takes what a receiver raised where nobody could catch it.
    """

    def __init__(
        self,
        kind: str,
        account: str,
        *,
        app_secret: str,
        verify_token: str,
        now: Callable[[], datetime],
        crashed: Callable[[Exception], None],
    ) -> None:
        self._kind, self._account = kind, account
        self._app_secret, self._verify_token = app_secret, verify_token
        self._now, self._crashed = now, crashed
        self._receiver: Receiver | None = None
        self._pending: list[Event] = []
        self._deliveries: list[Delivery] = []
        self._changed = threading.Condition()
        self._held = self._sending = 0
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def pending(self) -> tuple[Event, ...]:
        """Return what has not gone out yet, oldest first."""
        with self._changed:
            return tuple(self._pending)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Return every request that was made or tried, oldest first."""
        with self._changed:
            return tuple(self._deliveries)

    def deliver_to(self, receiver: Receiver | str, *, background: bool = False) -> None:
        """Say where events go from now on.

        Args:
            receiver: a callable, or the address of a webhook on loopback.
            background: deliver at once from a thread of its own, until `close`.

        Raises:
            ValueError: for an address that is not on loopback.
        """
        found = over_http(receiver) if isinstance(receiver, str) else receiver
        with self._changed:
            self._receiver = found
            self._closing = False
            self._changed.notify_all()
        if background and self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def handshake(self, mode: str = "subscribe", verify_token: str | None = None) -> bool:
        """Ask the receiver to prove itself, as when the webhook is configured.

        Args:
            mode: `hub.mode`.
            verify_token: another token than the right one.

        Returns:
            Whether it answered 200 and exactly the challenge.
        """
        receiver = self._target()
        challenge = hashlib.sha256(str(len(self.deliveries)).encode()).hexdigest()[:10]
        token = self._verify_token if verify_token is None else verify_token
        query = {"hub.mode": mode, "hub.challenge": challenge, "hub.verify_token": token}
        answer = receiver("GET", {"User-Agent": "facebookplatform/1.0"}, query, b"")
        if isinstance(answer, int):
            message = "a receiver must return (status, body) for the handshake"
            raise TypeError(message)
        return answer == (200, challenge.encode())

    def add(self, event: Event) -> None:
        """Keep an event for delivery."""
        with self._changed:
            self._pending.append(event)
            self._changed.notify_all()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let events gather, and deliver them as one batch at the end."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()
        self.flush()

    def flush(self) -> None:
        """Deliver what is ready, unless there is no receiver, a thread of its own, or a hold."""
        with self._changed:
            idle = self._receiver is None or self._thread is not None or self._held
        if not idle:
            self.deliver()

    def deliver(
        self, *, size: int = BATCH, copies: int = 1, shuffle: int | None = None
    ) -> tuple[Delivery, ...]:
        """Deliver what is ready.

        Args:
            size: most events in one request.
            copies: how often each request is sent.
            shuffle: a seed for another order than that of the events.

        Returns:
            The requests, whatever came of them.
        """
        with self._changed:
            self._target()
            now, ready, later = self._now(), list[Event](), list[Event]()
            for event in self._pending:
                (ready if event.ready(now) else later).append(event)
            self._pending = later
            if shuffle is not None:
                random.Random(shuffle).shuffle(ready)  # noqa: S311 - a repeatable test, no secret
            made = [self._write(ready[at : at + size]) for at in range(0, len(ready), size)]
            self._deliveries += made
        for delivery in made:
            for _ in range(copies):
                self._send(delivery)
        return tuple(made)

    def deliver_now(self, event: Event) -> None:
        """Deliver one event past all others; without a receiver it waits like any other."""
        with self._changed:
            if self._receiver is None:
                self._pending.append(event)
                return
            delivery = self._write([event])
            self._deliveries.append(delivery)
        self._send(delivery)

    def redeliver(self, *, everything: bool = False) -> tuple[Delivery, ...]:
        """Send again, byte for byte, what was not accepted, or everything."""
        again = [each for each in self.deliveries if everything or not each.accepted]
        for delivery in again:
            self._send(delivery)
        return tuple(again)

    def settle(self, timeout: float = ANSWER_SECONDS) -> bool:
        """Wait until the background thread has nothing left that is ready; say if it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._sending and not self._ready(), timeout)

    def close(self) -> None:
        """End the background thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _target(self) -> Receiver:
        if self._receiver is None:
            message = "no receiver: call deliver_to first"
            raise ValueError(message)
        return self._receiver

    def _write(self, events: Sequence[Event]) -> Delivery:
        body = write_body(self._kind, self._account, events, self._now())
        return Delivery(body, sign(self._app_secret, body), len(events))

    def _send(self, delivery: Delivery) -> None:
        receiver = self._target()
        delivery.statuses.append(None)
        attempt = len(delivery.statuses) - 1
        try:
            answer = receiver("POST", delivery.headers, {}, delivery.body)
        except UnansweredError:
            return
        delivery.statuses[attempt] = answer if isinstance(answer, int) else answer[0]

    def _ready(self) -> bool:
        return not self._held and any(event.ready(self._now()) for event in self._pending)

    def _run(self) -> None:
        while self._wait():
            try:
                self.deliver()
            except Exception as error:  # noqa: BLE001 - kept for whoever closes the platform
                self._crashed(error)
            with self._changed:
                self._sending -= 1
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Wait until something is ready, or return False when it is time to end."""
        with self._changed:
            while not (self._closing or self._ready()):
                # An event that waits for a fault or a clock does not say when it is ready.
                self._changed.wait(LOOK_SECONDS if self._pending else None)
            self._sending += not self._closing
            return not self._closing
