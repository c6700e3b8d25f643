"""Prove that a webhook is genuine: HMAC-SHA256 over the raw bytes, compared in constant time.

Long for one purpose, because every platform's rule stands here with its source, over one small core at
the end: who reviews the security of intake reads this file and no other.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from supportflow.errors import InvalidValue, WebhookRejected
from supportflow.model import Secret

__all__ = [
    "MAX_HEADER",
    "MAX_SECRETS",
    "MAX_SIGNATURES",
    "TOLERANCE",
    "hmac_sha256",
    "sign_standard",
    "usable",
    "verify_base64",
    "verify_hex",
    "verify_line",
    "verify_meta",
    "verify_shopify",
    "verify_slack",
    "verify_standard",
    "verify_telegram",
    "verify_x",
    "verify_zendesk",
    "x_crc_answer",
]

MAX_HEADER = 4096
"""Longest header value that is looked at, in characters; a longer one is refused unread."""

MAX_SIGNATURES = 16
"""Most signatures that one header may list; a longer list is refused whole."""

MAX_SECRETS = 16
"""Most secrets that may be valid at a time: the work for one webhook stays bounded."""

TOLERANCE = timedelta(seconds=300)
"""How far a signed timestamp may lie from our clock, into the past or the future.

Slack and Standard Webhooks both say five minutes:
https://docs.slack.dev/authentication/verifying-requests-from-slack and
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

_EPOCH = re.compile(r"[0-9]{1,12}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
# No "." although the specification allows it: it would shift the border between id and timestamp.
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_:-]{1,255}")
_CRC_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")

Secrets = Secret | Sequence[Secret]


def usable(secrets: Secrets) -> tuple[Secret, ...]:
    """Return the secrets as a tuple, refusing none, an empty one and too many.

    Meant as the converter of a channel's field, so that a channel without its secret cannot be built.

    Args:
        secrets: One secret, or several that are all valid now (old and new during a rotation).

    Raises:
        InvalidValue: There is no secret, one is empty or no text, or there are over `MAX_SECRETS`.

    Example:
        >>> len(usable([Secret("old"), Secret("new")]))
        2
    """
    found = (secrets,) if isinstance(secrets, Secret) else tuple(secrets)
    if not 0 < len(found) <= MAX_SECRETS:
        raise InvalidValue(f"{len(found)} signing secrets given; give 1 to {MAX_SECRETS}")
    for secret in found:
        _text_key(secret)
    return found


def hmac_sha256(secret: Secret, *parts: bytes) -> bytes:
    """Return the HMAC-SHA256 of the joined parts under the secret's UTF-8 bytes.

    Source: RFC 2104, with the test vectors of RFC 4231.

    Args:
        secret: The key.
        parts: What is signed, in order, with nothing in between.

    Returns:
        32 bytes.

    Raises:
        InvalidValue: The secret is empty or no text.

    Example:
        >>> hmac_sha256(Secret("Jefe"), b"what do ya want ", b"for nothing?").hex()[:16]
        '5bdcc146bf60754e'
    """
    return hmac.digest(_text_key(secret), b"".join(parts), "sha256")


def verify_hex(secrets: Secrets, body: bytes, header: str | None, prefix: str = "sha256=") -> None:
    """Accept `prefix` + lowercase hex HMAC-SHA256 of the raw body, else raise.

    Args:
        secrets: One secret, or several during a rotation.
        body: The request's body, byte for byte as it was received.
        header: The signature header's value; None where it is missing.
        prefix: What stands before the digits.

    Raises:
        WebhookRejected: The header is missing, malformed or not the body's signature.
        InvalidValue: A secret is unusable.

    Example:
        >>> verify_hex(
        ...     Secret("It's a Secret to Everybody"),
        ...     b"Hello, World!",
        ...     "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ... )
    """
    _Scheme("the signature header", binascii.hexlify, prefix).verify(secrets, header, body)


def verify_base64(secrets: Secrets, body: bytes, header: str | None, prefix: str = "") -> None:
    """Accept `prefix` + padded standard base64 HMAC-SHA256 of the raw body, else raise.

    Takes and raises the same as `verify_hex`.

    Example:
        >>> verify_base64(
        ...     Secret("channel_secret"),
        ...     b"bodybodybodybody",
        ...     "/gg9a+LvFevTH1sd7XCQycD7tsWclCsInj7MhBHxN7k=",
        ... )
    """
    _Scheme("the signature header", base64.b64encode, prefix).verify(secrets, header, body)


def verify_meta(secrets: Secrets, body: bytes, header: str | None) -> None:
    """Accept `X-Hub-Signature-256` of Facebook, Messenger, Instagram and WhatsApp, else raise.

    Meta signs the body with non-ASCII already escaped, so only the received bytes can be checked. The
    older SHA-1 header is never accepted. Takes and raises the same as `verify_hex`; the secrets are
    the app's. Source:
    https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
    """
    _META.verify(secrets, header, body)


def verify_line(secrets: Secrets, body: bytes, header: str | None) -> None:
    """Accept LINE's `X-Line-Signature`, else raise; takes and raises the same as `verify_hex`.

    Source: https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/
    """
    _LINE.verify(secrets, header, body)


def verify_shopify(secrets: Secrets, body: bytes, header: str | None) -> None:
    """Accept `X-Shopify-Hmac-SHA256` (or `shopify-hmac-sha256`), else raise.

    Takes and raises the same as `verify_hex`; the secrets are the app's client secrets. Source:
    https://shopify.dev/docs/apps/build/webhooks/verify-deliveries
    """
    _SHOPIFY.verify(secrets, header, body)


def verify_x(secrets: Secrets, body: bytes, header: str | None) -> None:
    """Accept X's `x-twitter-webhooks-signature`, else raise.

    Takes and raises the same as `verify_hex`; the secrets are the app's consumer secrets. Source:
    https://docs.x.com/x-api/webhooks/quickstart
    """
    _X.verify(secrets, header, body)


def x_crc_answer(secret: Secret, crc_token: str | None) -> str:
    """Return the `response_token` that answers X's challenge-response check.

    The answer is made like a body's signature, so whoever may choose the token could have a forged
    body signed: a token that could be a JSON object is refused.

    Source: https://docs.x.com/x-api/webhooks/quickstart

    Args:
        secret: The app's current consumer secret.
        crc_token: The query parameter of that name; None where it is missing.

    Raises:
        WebhookRejected: The token is missing, over 512 characters or holds other characters than
            letters, digits and `._~+/=-`.
        InvalidValue: The secret is unusable.

    Example:
        >>> x_crc_answer(Secret("consumer secret"), "foo")[:12]
        'sha256=Zfyi9'
    """
    if crc_token is None or not _CRC_TOKEN.fullmatch(crc_token):
        raise WebhookRejected("crc_token is missing or malformed; X sends it as a query parameter")
    return _X.signature(secret, crc_token.encode()).decode()


def verify_slack(
    secrets: Secrets,
    body: bytes,
    header: str | None,
    *,
    timestamp: str | None,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Accept Slack's `X-Slack-Signature` (version 0), else raise.

    Source: https://docs.slack.dev/authentication/verifying-requests-from-slack

    Args:
        secrets: One signing secret, or several during a rotation.
        body: The request's body, byte for byte as it was received.
        header: The value of `X-Slack-Signature`; None where it is missing.
        timestamp: The value of `X-Slack-Request-Timestamp`, seconds since 1970.
        now: The present, aware.
        tolerance: Greatest distance between the two, in either direction.

    Raises:
        WebhookRejected: A header is missing or malformed, the request is stale, or the signature
            is not that of timestamp and body.
        InvalidValue: A secret is unusable, or `now` is naive.
    """
    sent = _matching(_EPOCH, timestamp, "X-Slack-Request-Timestamp")
    _refuse_stale(float(sent), now, tolerance)
    _SLACK.verify(secrets, header, b"v0:", sent.encode(), b":", body)


def verify_zendesk(
    secrets: Secrets,
    body: bytes,
    header: str | None,
    *,
    timestamp: str | None,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Accept `X-Zendesk-Webhook-Signature`, else raise.

    Signed is the timestamp, then the body (which may be empty), with nothing between:
    https://developer.zendesk.com/documentation/webhooks/verifying/. Zendesk names no tolerance and does
    not say whether a retry is signed anew: widen it if genuine retries are refused as stale.

    Takes and raises the same as `verify_slack`, but `timestamp` is the ISO 8601 value of
    `X-Zendesk-Webhook-Signature-Timestamp`, such as `2021-07-25T10:00:00Z`.
    """
    name = "X-Zendesk-Webhook-Signature-Timestamp"
    sent = _matching(_INSTANT, timestamp, name)
    try:
        instant = datetime.strptime(sent, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise WebhookRejected(f"{name} is no date and time") from None
    _refuse_stale(instant.timestamp(), now, tolerance)
    _ZENDESK.verify(secrets, header, sent.encode(), body)


def verify_standard(
    secrets: Secrets,
    body: bytes,
    header: str | None,
    *,
    message_id: str | None,
    timestamp: str | None,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Accept a Standard Webhooks `webhook-signature` that lists a valid `v1`, else raise.

    Entries of other versions are passed over; only symmetric `v1` proves anything here. Source:
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

    Args:
        secrets: One secret or several, base64, with or without `whsec_` and padding.
        body: The request's body, byte for byte as it was received.
        header: The value of `webhook-signature`: signatures separated by a space.
        message_id: The value of `webhook-id`; without ".", at most 255 characters.
        timestamp: The value of `webhook-timestamp`, seconds since 1970.
        now: The present, aware.
        tolerance: Greatest distance between the two, in either direction.

    Raises:
        WebhookRejected: A header is missing or malformed, the request is stale, or no `v1` entry
            is the signature of id, timestamp and body.
        InvalidValue: A secret is unusable or no base64, or `now` is naive.
    """
    name = _matching(_MESSAGE_ID, message_id, "webhook-id")
    sent = _matching(_EPOCH, timestamp, "webhook-timestamp")
    _refuse_stale(float(sent), now, tolerance)
    _STANDARD.verify(secrets, header, f"{name}.{sent}.".encode(), body)


def sign_standard(
    secrets: Secrets, body: bytes, *, message_id: str, at: datetime
) -> dict[str, str]:
    """Return the three headers that sign a body of ours as Standard Webhooks `v1`.

    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

    Args:
        secrets: One secret, or several: each signs, so that the receiver may rotate.
        body: Exactly the bytes that will be sent.
        message_id: The message's id, the same for every attempt to deliver it.
        at: The time of this attempt, aware.

    Raises:
        InvalidValue: A secret is unusable or no base64, the id has other characters than letters,
            digits and `_:-`, or `at` is naive.

    Example:
        >>> from datetime import UTC, datetime
        >>> key = Secret("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        >>> sign_standard(key, b"{}", message_id="msg_1", at=datetime(2026, 1, 1, tzinfo=UTC))
        ... # doctest: +ELLIPSIS
        {'webhook-id': 'msg_1', 'webhook-timestamp': '1767225600', 'webhook-signature': 'v1,...='}
    """
    if not _MESSAGE_ID.fullmatch(message_id):
        raise InvalidValue("message_id must be 1 to 255 letters, digits, '_', ':' or '-'")
    sent = str(int(_seconds(at)))
    signed = f"{message_id}.{sent}.".encode()
    signatures = [_STANDARD.signature(each, signed, body) for each in usable(secrets)]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": sent,
        "webhook-signature": b" ".join(signatures).decode(),
    }


def verify_telegram(secrets: Secrets, header: str | None) -> None:
    """Accept the secret itself in `X-Telegram-Bot-Api-Secret-Token`, else raise.

    Telegram signs no body; whoever knows the token is believed. Raises the same as `verify_hex`.
    Source: https://core.telegram.org/bots/api#setwebhook
    """
    expected = [_text_key(secret) for secret in usable(secrets)]
    name = "X-Telegram-Bot-Api-Secret-Token"
    _refuse_unequal([_ascii(header, name)], expected, name)


def _text_key(secret: Secret) -> bytes:
    try:
        key = secret.reveal().encode()
    except UnicodeEncodeError:
        raise InvalidValue("a signing secret is no valid text") from None
    if not key:
        raise InvalidValue("a signing secret is empty; copy it from the platform's settings")
    return key


def _base64_key(secret: Secret) -> bytes:
    encoded = _text_key(secret).removeprefix(b"whsec_").rstrip(b"=")
    try:
        key = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise InvalidValue("a Standard Webhooks secret is no base64; copy it whole") from None
    if not key:
        raise InvalidValue("a Standard Webhooks secret holds no key; copy it whole")
    return key


def _ascii(header: str | None, name: str) -> bytes:
    if not header:
        raise WebhookRejected(f"{name} is missing")
    if len(header) > MAX_HEADER or not header.isascii():
        raise WebhookRejected(f"{name} is malformed")
    return header.encode()


def _matching(pattern: re.Pattern[str], header: str | None, name: str) -> str:
    if header is None or not pattern.fullmatch(header):
        raise WebhookRejected(f"{name} is missing or malformed")
    return header


def _seconds(at: datetime) -> float:
    if at.utcoffset() is None:
        raise InvalidValue(f"{at.isoformat()} has no time zone; pass an aware datetime")
    return at.timestamp()


def _refuse_stale(sent: float, now: datetime, tolerance: timedelta) -> None:
    if abs(_seconds(now) - sent) > tolerance.total_seconds():
        raise WebhookRejected(
            f"signed more than {tolerance.total_seconds():.0f} s away from our clock; "
            "it is a replay, or one of the two clocks is wrong"
        )


def _refuse_unequal(given: Sequence[bytes], expected: Sequence[bytes], name: str) -> None:
    # All pairs are compared before any is looked at: time tells nothing about which one matched.
    matches = [hmac.compare_digest(left, right) for left in given for right in expected]
    if not any(matches):
        raise WebhookRejected(f"{name} does not match; check the secret configured for the channel")


@attrs.frozen
class _Scheme:
    """How one platform writes HMAC-SHA256 into a header."""

    header: str
    encode: Callable[[bytes], bytes]
    prefix: str = ""
    lists: bool = False
    key: Callable[[Secret], bytes] = _text_key

    def signature(self, secret: Secret, *parts: bytes) -> bytes:
        digest = hmac.digest(self.key(secret), b"".join(parts), "sha256")
        return self.prefix.encode() + self.encode(digest)

    def verify(self, secrets: Secrets, header: str | None, *parts: bytes) -> None:
        trusted = usable(secrets)
        value = _ascii(header, self.header)
        given = value.split(b" ") if self.lists else [value]
        if len(given) > MAX_SIGNATURES:
            raise WebhookRejected(f"{self.header} lists over {MAX_SIGNATURES} signatures")
        _refuse_unequal(given, [self.signature(each, *parts) for each in trusted], self.header)


_META = _Scheme("X-Hub-Signature-256", binascii.hexlify, "sha256=")
_SLACK = _Scheme("X-Slack-Signature", binascii.hexlify, "v0=")
_LINE = _Scheme("X-Line-Signature", base64.b64encode)
_SHOPIFY = _Scheme("X-Shopify-Hmac-SHA256", base64.b64encode)
_ZENDESK = _Scheme("X-Zendesk-Webhook-Signature", base64.b64encode)
_X = _Scheme("x-twitter-webhooks-signature", base64.b64encode, "sha256=")
_STANDARD = _Scheme("webhook-signature", base64.b64encode, "v1,", lists=True, key=_base64_key)
