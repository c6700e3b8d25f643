"""Say once what Meta's networks share: handshake, signed batches, Graph errors and their limits.

Channels of the Facebook Page, Messenger, Instagram and WhatsApp build on it; it is no channel.
(Over 300 lines, because what Meta says is read in one place.)
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeAlias

import attrs

from supportflow.channels import (
    Ambiguous,
    Delivery,
    NeedsAuth,
    RateLimited,
    Refused,
    SendError,
    Unreadable,
)
from supportflow.errors import InvalidValue, PayloadError, WebhookRejected
from supportflow.http import MAX_BODY, Headers, Response, Webhook, read_json, retry_at
from supportflow.model import Fact, Receipt, Secret
from supportflow.model.quick import maker
from supportflow.signing import usable, verify_meta
from supportflow.text.fields import compact, mapping
from supportflow.text.moments import from_epoch

__all__ = [
    "Item",
    "OutsideWindow",
    "Repeated",
    "bounded",
    "challenge",
    "field_of",
    "gather",
    "moment",
    "outcome",
    "pause",
    "proof",
    "receipt",
    "secret",
    "secrets",
    "verified",
]

Given: TypeAlias = Secret | str | Iterable[Secret | str] | None

#: The most entries, events and facts of one body that are read: twice the 1,000 updates that Meta
#: sends at most, https://developers.facebook.com/docs/graph-api/webhooks/getting-started
MAX_ITEMS = 2_000
#: The most commas and opening brackets in a body that is read, and so of values in its JSON: a
#: batch of 1,000 messages with a picture each has 14,000. A megabyte of them takes half a second.
MAX_VALUES = 20_000
#: The most attachments and elements of one message, and reports of one event, that are read: each
#: becomes a value, and a megabyte of them took half a second. Far beyond what people send. Ours.
MAX_LIST = 500
#: Where the events of an entry stand; `standby` holds those of threads that another app has:
#: https://developers.facebook.com/docs/messenger-platform/reference/webhook-events/standby
PLACES = ("messaging", "standby", "changes")

_TOKEN = re.compile(r"[!-~]+")
_SIGNATURE = "X-Hub-Signature-256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,256}")
_DIGITS = re.compile(r"[0-9]{1,16}")
# No event of Meta's is older than the company; the end is far from any clock that is right.
_FIRST, _LAST = datetime(2004, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 10**11

#: How long an account pauses that was told to, but not for how long. Ours.
_UNTOLD = timedelta(minutes=1)
#: What `retry_at` returns where no header says more, and the most that anybody waits.
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)
_LONGEST_HEADER = 16_384


# -- configuration


def secret(value: Secret | str | None) -> Secret:
    """Return an access token as a secret.

    Args:
        value: The token.

    Raises:
        InvalidValue: If there is none, or one that no header can carry.
    """
    if not value:
        raise InvalidValue("an access token is missing; copy it from the app's dashboard")
    found = Secret(value)
    if not _TOKEN.fullmatch(found.reveal()):
        raise InvalidValue("an access token has spaces, line ends or the like; copy it alone")
    return found


def secrets(value: Given) -> tuple[Secret, ...]:
    """Return app secrets or verify tokens: one, or several during a rotation.

    Args:
        value: One, or several that are all valid now, the current one first.

    Raises:
        InvalidValue: If there is none, or one is empty.
    """
    if value is None:
        raise InvalidValue(
            "an app secret or a verify token is missing: without it no webhook can be proved "
            "genuine; copy it from the app's dashboard"
        )
    several = (value,) if isinstance(value, Secret | str) else tuple(value)
    return usable([Secret(each) for each in several])


def proof(token: Secret, app_secret: Secret) -> str:
    """Return the `appsecret_proof` of a token, which only its own app's secret makes valid.

    Source: https://developers.facebook.com/docs/graph-api/guides/secure-requests

    Args:
        token: An access token.
        app_secret: The secret of the app that it was made for.
    """
    key, message = app_secret.reveal().encode(), token.reveal().encode()
    return hmac.digest(key, message, "sha256").hex()


# -- webhooks


def _only(fields: Headers, name: str) -> str:
    """Return a field that is there once; two of a name may be read differently by two readers."""
    found = fields.all(name)
    return found[0] if len(found) == 1 else ""


def challenge(hook: Webhook, verify_tokens: tuple[Secret, ...]) -> Response:
    """Answer the handshake by which Meta checks a webhook's address.

    Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started

    Args:
        hook: The GET request.
        verify_tokens: Those that are valid now.

    Raises:
        WebhookRejected: If the token is not one of them, or the challenge is no plain word.
    """
    given = _only(hook.query, "hub.verify_token").encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(given, t.reveal().encode()) for t in verify_tokens]
    if _only(hook.query, "hub.mode") != "subscribe" or not any(matches):
        raise WebhookRejected("hub.mode or hub.verify_token is not the one configured here")
    answer = _only(hook.query, "hub.challenge")
    if not _CHALLENGE.fullmatch(answer):
        raise WebhookRejected("hub.challenge is missing or malformed")
    headers = {"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff"}
    return Response(200, headers, answer.encode(), hook.at)


def verified(hook: Webhook, app_secrets: tuple[Secret, ...]) -> Any:
    """Prove a POST genuine on its raw bytes, and only then read its JSON.

    Meta signs no time, so that a recorded request may be sent again by whoever saw it; that is
    harmless, because every fact in it has a key that is recorded once.

    A body of more than `MAX_VALUES` values is not even parsed: one webhook shall not keep others
    waiting. It is genuine, so that it goes into quarantine whole.

    Args:
        hook: The POST request.
        app_secrets: Those that are valid now.

    Raises:
        WebhookRejected: If it is not proved genuine; 413 is its status for a body over the limit.
        PayloadError: If it is genuine, and no JSON or too much of it.
    """
    if len(hook.body) > MAX_BODY:
        raise WebhookRejected(f"body of {len(hook.body)} bytes is over the limit", status=413)
    signatures = hook.headers.all(_SIGNATURE)
    if len(signatures) > 1:
        raise WebhookRejected(f"{_SIGNATURE} is there {len(signatures)} times")
    verify_meta(app_secrets, hook.body, *(signatures or (None,)))
    # Those in texts count too: there may be fewer values than this, never more.
    values = sum(map(hook.body.count, (b",", b"{", b"[")))
    if values > MAX_VALUES:
        raise PayloadError(f"the body has up to {values} values; at most {MAX_VALUES} are read")
    return read_json(hook.body)


@attrs.frozen(weakref_slot=False)
class Item:
    """Hold one event of a batch.

    Args:
        kind: The batch's `object`, such as `"page"`.
        account: The id of the page or account that its entry is about.
        time: When its entry was written, as it came.
        place: Which of `PLACES` it stood in.
        value: The event as it came; of `changes` with its field around it.
    """

    kind: str
    account: str
    time: Any
    place: str
    value: Any

    def alone(self) -> str:
        """Write the event as a batch of its own, which can be read again."""
        entry = {"id": self.account, "time": self.time, self.place: [self.value]}
        return compact({"object": self.kind, "entry": [entry]})


_item = maker(Item)


def field_of(item: Item) -> str:
    """Return the field of a page or account that changed; `""` for what is no change.

    Args:
        item: One event of a batch.
    """
    value = item.value if item.place == "changes" and isinstance(item.value, dict) else {}
    field = value.get("field")
    return field if isinstance(field, str) else ""


def _size(entries: list[Any]) -> int:
    lists = [entry.get(place) for entry in entries if isinstance(entry, dict) for place in PLACES]
    return len(entries) + sum(len(each) for each in lists if isinstance(each, list))


def _items(kind: str, account: str, entry: Any) -> Iterator[Item]:
    found = mapping(entry, "the entry")
    if found.get("id") != account:
        raise PayloadError(f"the entry is about {found.get('id')!r:.60}, not about {account!r}")
    places = [place for place in PLACES if place in found]
    if not places:
        raise PayloadError(f"the entry has none of {', '.join(PLACES)}")
    time = found.get("time") if isinstance(found.get("time"), int) else None
    for place in places:
        values = found[place]
        if not isinstance(values, list):
            raise PayloadError(f"{place} is {type(values).__name__}, not a list")
        for value in values:
            yield _item(kind, account, time, place, value)


def gather(batch: Any, kind: str, account: str, read: Callable[[Item], Iterable[Fact]]) -> Delivery:
    """Read every event of a batch; one that cannot be read leaves its neighbours as they are.

    Args:
        batch: The JSON of the body.
        kind: The `object` that the channel is for, such as `"page"`.
        account: The page or account that the channel is for. What is about another one is
            unreadable here: an app with several pages has one address for all of them.
        read: Returns the facts in one event, or raises `PayloadError` or `InvalidValue`.

    Raises:
        PayloadError: If it is no batch of that kind, or more than `MAX_ITEMS` entries and events
            stand in it, or facts: reading stops there, so that its time is bounded.
    """
    about = mapping(batch, "the body").get("object")
    entries = batch.get("entry")
    if about != kind or not isinstance(entries, list):
        raise PayloadError(f"the body is about {about!r:.60} and has no entries of {kind!r}")
    if _size(entries) > MAX_ITEMS:
        raise PayloadError(f"the body has more than {MAX_ITEMS} events; Meta sends at most 1,000")
    facts: list[Fact] = []
    unreadable: list[Unreadable] = []
    for entry in entries:
        try:
            items = tuple(_items(kind, account, entry))
        except PayloadError as error:
            unreadable.append(_unreadable(compact({"object": kind, "entry": [entry]}), error))
            continue
        for item in items:
            try:
                facts += tuple(read(item))
            except (PayloadError, InvalidValue) as error:
                unreadable.append(_unreadable(item.alone(), error))
            if len(facts) > MAX_ITEMS:
                raise PayloadError(f"the body reports more than {MAX_ITEMS} facts")
    return Delivery(tuple(facts), tuple(unreadable))


def _unreadable(raw: str, error: Exception) -> Unreadable:
    # Half a surrogate pair becomes the escape that it was.
    return Unreadable(raw.encode("utf-8", "backslashreplace"), str(error)[:300])


def bounded(item: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list of at most `MAX_LIST`; nothing is an empty one.

    Args:
        item: A JSON object.
        name: The field's name.

    Raises:
        PayloadError: If it is something else, or longer.
    """
    found = item.get(name) or []
    if not isinstance(found, list):
        raise PayloadError(f"{name} is {type(found).__name__}, not a list")
    if len(found) > MAX_LIST:
        raise PayloadError(f"{name} has {len(found)} items; at most {MAX_LIST} are read")
    return found


def moment(value: Any) -> datetime:
    """Return a time that Meta writes in milliseconds, sometimes in seconds or as digits.

    Args:
        value: What it sent.

    Raises:
        PayloadError: If it is no time, or one that cannot be.

    Example:
        >>> moment(1767323045250).isoformat(), moment("1767323045").isoformat()
        ('2026-01-02T03:04:05.250000+00:00', '2026-01-02T03:04:05+00:00')
    """
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    small = isinstance(number, int) and number < _MILLISECONDS_FROM
    at = from_epoch(number, 1 if small else 0.001)
    if not _FIRST <= at < _LAST:
        raise PayloadError(f"{value!r:.60} is no time of an event")
    return at


# -- what an answer of the Graph API means


class OutsideWindow(Refused):
    """Say that the messaging window has closed: the customer must write first."""


class Repeated(Refused):
    """Say that it was there already: the same words, or the one private reply to a comment."""


# https://developers.facebook.com/docs/graph-api/overview/rate-limiting and
# https://developers.facebook.com/docs/graph-api/guides/error-handling
_PAUSES = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
# 1 and 2 were seen although the message had gone out, and 1200 is their elder form:
# https://developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes
_DOUBTS = frozenset({1, 2, 1200})
# 104: no token or proof; 368: the page is blocked for a violation, which a person must clear up.
_AUTH = frozenset({3, 10, 102, 104, 190, 368, *range(200, 300)})
# Their messages may quote the token, changed or whole.
_UNQUOTED = frozenset({102, 104, 190})
_WINDOW = frozenset({(10, 2018278), (10, 2018065), (10, 2534022)})
# (10, 2018108) and (200, 1545041): this person takes no messages from us; (10, 2018300): another
# app has the thread, https://github.com/davidchua/pymessenger/issues/93
_REFUSED = frozenset({(10, 2018108), (10, 2018300), (200, 1545041)})
# 506: "Duplicate Post", https://developers.facebook.com/docs/graph-api/guides/error-handling; 10900
# "Activity already replied to": https://github.com/lianetoolkit/liane-toolkit/issues/29
_REPEATED = frozenset({506, 10900})
#: The object of the call itself is not there for this token: a page, or one comment of many.
_UNSEEN = (100, 33)
#: Wrong or missing, it has the code of any wrong parameter, and is wrong for every message:
#: https://github.com/sns-sdks/python-facebook/issues/101, https://github.com/markbates/goth/issues/96
_PROOF = "appsecret_proof"


def _integer(value: Any) -> int:
    return value if type(value) is int else 0


@attrs.frozen
class _Fault:
    """Hold the error of an answer: its code tells what happened, its HTTP status does not."""

    code: int = 0
    subcode: int = 0
    said: str = ""
    transient: bool = False

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self | None:
        if "error" not in body:
            return None
        error = body["error"] if isinstance(body["error"], dict) else {}
        code, subcode = _integer(error.get("code")), _integer(error.get("error_subcode"))
        said = error.get("message")
        words = said if isinstance(said, str) else ""
        return cls(code, subcode, words, error.get("is_transient") is True)

    def kind(self, unseen: type[SendError]) -> type[SendError] | None:
        """Return what it means for a message; None where only the status can tell."""
        pair = (self.code, self.subcode)
        if pair == _UNSEEN:
            return unseen
        if pair in _WINDOW:
            return OutsideWindow
        if self.code in _REPEATED:
            return Repeated
        if pair in _REFUSED:
            return Refused
        if self.code in _PAUSES:
            return RateLimited
        if self.code in _DOUBTS or self.transient:
            return Ambiguous
        if self.code in _AUTH or (self.code == 100 and _PROOF in self.said):
            return NeedsAuth
        return Refused if self.code in (100, 551) else None


def _by_status(status: int) -> type[SendError]:
    """Return what a status means where no code says more (RELIABILITY 2.3)."""
    if status in (401, 403):
        return NeedsAuth
    if status == 429:
        return RateLimited
    return Refused if 300 <= status < 500 and status != 408 else Ambiguous


_MEANS: Mapping[type[SendError], str] = {
    OutsideWindow: "the messaging window has closed, the customer must write first",
    Repeated: "the platform has it already",
    Refused: "it was refused",
    RateLimited: "the account must pause",
    NeedsAuth: "the token is not accepted or lacks a permission, or the account is blocked",
    Ambiguous: "it may or may not have been done",
}


def outcome(
    response: Response,
    now: datetime,
    hide: Iterable[Secret],
    unseen: type[SendError] = NeedsAuth,
) -> dict[str, Any]:
    """Return the object of an answer that reports no error; raise what any other means.

    Args:
        response: The answer.
        now: The time where the response has none (aware).
        hide: What is kept out of what is raised, should the platform repeat it.
        unseen: What it means that there is no such object for this token: nothing can be sent
            where that is the account, and this one message where it is what it answers.

    Returns:
        The JSON object; empty if a success has none.

    Raises:
        SendError: One of its kinds says what became of the request.
    """
    try:
        found = response.json()
    except PayloadError:
        found = None
    body: dict[str, Any] = found if isinstance(found, dict) else {}
    fault = _Fault.read(body)
    if fault is None and 200 <= response.status < 300:
        return body
    kind = (fault and fault.kind(unseen)) or _by_status(response.status)
    text = _described(kind, response, fault or _Fault(), hide)
    if kind is RateLimited:
        raise RateLimited(text, pause(response, response.at or now))
    raise kind(text)


def _described(
    kind: type[SendError], response: Response, fault: _Fault, hide: Iterable[Secret]
) -> str:
    codes = [f"status {response.status}"]
    codes += [f"code {fault.code}"] if fault.code else []
    codes += [f"subcode {fault.subcode}"] if fault.subcode else []
    said = "" if fault.code in _UNQUOTED else fault.said
    for each in hide:
        said = said.replace(each.reveal(), "…")
    words = " ".join(said.split())[:300]
    return f"{_MEANS[kind]}: {words}{' ' if words else ''}({', '.join(codes)})"


def pause(response: Response, now: datetime) -> datetime:
    """Return until when an account must pause, at most an hour.

    Source: https://developers.facebook.com/docs/graph-api/overview/rate-limiting
    (`X-Business-Use-Case-Usage`, `estimated_time_to_regain_access` in minutes)

    Args:
        response: The answer that told it to.
        now: The time (aware).
    """
    told = retry_at(response, now)
    minutes = _minutes(response.headers.get("X-Business-Use-Case-Usage") or "")
    if not minutes and told <= now + _SHORTEST:
        return now + _UNTOLD
    return min(max(told, now + timedelta(minutes=minutes)), now + _LONGEST)


def _minutes(header: str) -> int:
    """Return how long the longest of an app's throttles lasts; 0 if none says so."""
    try:
        usage = read_json(header.encode("utf-8", "replace"), _LONGEST_HEADER) if header else {}
    except PayloadError:
        return 0
    accounts = usage.values() if isinstance(usage, dict) else ()
    limits = [each for account in accounts if isinstance(account, list) for each in account]
    waits = [
        _integer(each.get("estimated_time_to_regain_access"))
        for each in limits
        if isinstance(each, dict)
    ]
    return min(max([0, *waits]), 60)


def receipt(body: Mapping[str, Any], name: str, at: datetime) -> Receipt:
    """Return the proof that a message was taken.

    Args:
        body: What `outcome` returned.
        name: The field that holds its id.
        at: When it was answered (aware): Meta gives no time of its own.

    Raises:
        Ambiguous: If there is no usable id: it was taken, as what is not known.
    """
    found = body.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= 512:
        raise Ambiguous(f"the answer reports no error, and no {name} either")
    return Receipt(found, at)
