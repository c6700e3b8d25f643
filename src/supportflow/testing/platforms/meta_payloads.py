"""What Meta's webhooks look like on the wire: events, batches with escapes, and signatures.

Source: https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

import attrs


@attrs.frozen
class Event:
    """One thing that happened, for subscribers of one field.

    Args:
        field: the subscription that it belongs to.
        about: whose event it is; neighbours of one person share an entry.
        at: when it happened.
        content: what stands in `place`.
        waits: what must be set before it goes out, or None.
        due: when it goes out even so.
        place: `messaging`, or `changes` for what is no private message.
    """

    field: str
    about: str
    at: datetime
    content: Mapping[str, object]
    waits: threading.Event | None = None
    due: datetime | None = None
    place: str = "messaging"

    def ready(self, now: datetime) -> bool:
        """Tell whether it may go out."""
        if self.waits is None or self.waits.is_set():
            return True
        return self.due is not None and now >= self.due


@attrs.define(eq=False)
class Delivery:
    """One signed request and how each attempt at it was answered.

    Args:
        body: the raw body, the same in every attempt.
        headers: the headers, with both of Meta's signatures.
        events: how many events it carries.
        statuses: the answers, oldest first; None where there was none.
    """

    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    events: int
    statuses: list[int | None] = attrs.field(factory=list)

    @property
    def accepted(self) -> bool:
        """Tell whether any attempt was answered with 2xx."""
        return any(status is not None and 200 <= status < 300 for status in self.statuses)


def write_body(kind: str, account: str, events: Sequence[Event], now: datetime) -> bytes:
    r"""Write events as Meta does: non-ASCII as `\uXXXX`, slashes as `\/`, no space.

    Args:
        kind: the object, such as `page`.
        account: its id.
        events: what happened; neighbours about one person share an entry.
        now: when it is written.
    """
    entries = [
        {"id": account, "time": _written(place, now), place: [each.content for each in together]}
        for (_, place), together in groupby(events, key=lambda event: (event.about, event.place))
    ]
    text = json.dumps({"object": kind, "entry": entries}, separators=(",", ":"))
    return text.replace("/", "\\/").encode()


def _written(place: str, now: datetime) -> int:
    """Return when an entry is written: in seconds where it is about changes."""
    return int(now.timestamp()) if place == "changes" else milliseconds(now)


def sign(app_secret: str, body: bytes) -> dict[str, str]:
    """Return the headers of a signed delivery; the SHA-1 one is there for old receivers only."""
    key = app_secret.encode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "facebookexternalua",
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }


def milliseconds(at: datetime) -> int:
    """Return an instant as Meta's webhooks write it."""
    return int(at.timestamp() * 1000)


def written_at(at: datetime) -> str:
    """Return an instant as reads of the Graph API write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
