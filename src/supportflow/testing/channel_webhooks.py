"""The part of a channel's contract about proof: nothing gets in that is not proved genuine."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

import attrs
import pytest

from supportflow.channels import Receives
from supportflow.errors import PayloadError, WebhookRejected
from supportflow.http import Headers, Webhook
from supportflow.testing.channel_batches import Case
from supportflow.testing.channel_cases import AT, WebhookCase
from supportflow.testing.channel_hostile import bounded

__all__ = ["WebhookContract"]

Sign = Callable[[bytes], Mapping[str, str]]
#: How many bytes of a body are tampered with: all of them, if it is no longer.
_PLACES = 4_096
#: A value longer than this, in characters, is a signature and no timestamp.
_LONG = 16
#: What is stale in every scheme that signs a time, early or late.
_STALE = timedelta(hours=1)


def _hooks(cases: Sequence[Case], sign: Sign) -> Iterator[tuple[str, Webhook]]:
    for case in cases:
        if isinstance(case, WebhookCase):
            yield case.name, case.webhook(sign(case.body))


def _tampered(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a body with one bit changed at every place, and with what else is often done to it."""
    for at in range(0, len(body), len(body) // _PLACES + 1):
        yield f"byte {at} changed", body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    yield "a line feed more", body + b"\n"
    yield "a space before", b" " + body
    yield "half of it", body[: len(body) // 2]
    yield "nothing", b""


def _hostile(value: str) -> Iterator[tuple[str, str]]:
    """Yield values that are not the genuine one (RELIABILITY 3, row 49)."""
    flipped = chr(ord(value[-1]) ^ 1)
    yield "empty", ""
    yield "its end cut off", value[:-1]
    yield "its last character changed", value[:-1] + flipped
    yield "its beginning changed", chr(ord(value[0]) ^ 1) + value[1:]
    yield "a zero in front", "0" + value
    yield "not ASCII", value[:-1] + "é"
    yield "full-width", value[:-1] + "０"
    yield "NUL", value[:-1] + "\x00"
    yield "half a surrogate pair", value[:-1] + "\udc80"
    yield "100 kB", "a" * 100_000
    yield "a list of 10,000 wrong ones", ",".join([value[:-1] + flipped] * 10_000)
    yield "none", "none"
    yield "sha1", "sha1=" + "0" * 40


def _tells_time(signed: Mapping[str, str], at: datetime) -> bool:
    """Say whether a header of a signature has its time in it, in one of the usual forms."""
    seconds = int(at.timestamp())
    forms = str(seconds), f"{at:%Y-%m-%dT%H:%M:%S}", f"{at:%d %b %Y %H:%M:%S}"
    return any(form in value for value in signed.values() for form in forms)


def _refused(channel: Receives, hook: Webhook, where: str) -> None:
    """Give a webhook that must be refused; fail if it was not, or not as it should be."""
    try:
        delivery = channel.receive(hook)
    except WebhookRejected:
        return
    except PayloadError as error:
        pytest.fail(f"{where}: read before it was proved genuine: {error}")
    except Exception as error:  # noqa: BLE001  # that is what is tested
        pytest.fail(f"{where}: {type(error).__name__} instead of WebhookRejected: {error}")
    pytest.fail(f"{where}: accepted, with {len(delivery.facts)} facts")


class WebhookContract:
    """Prove what holds for webhooks alone.

    Attributes:
        signs_body: Whether the headers of `sign` prove what the body says. False where the
            platform only proves who calls, by a secret that is the same in every request.
    """

    signs_body: ClassVar[bool] = True

    def test_what_is_not_signed_is_refused(
        self, channel: Receives, inbound_cases: Sequence[Case], sign: Sign
    ) -> None:
        """Without the headers of `sign`, and with each alone missing, nothing gets in."""
        for name, hook in _hooks(inbound_cases, sign):
            signed = sign(hook.body)
            assert signed, "`sign` gives no header, so that nothing proves a webhook genuine"
            for missing in ({*signed}, *({each} for each in signed)):
                kept = [(k, v) for k, v in hook.headers.items if k not in missing]
                without = f"{name}, without {' and '.join(sorted(missing))}"
                _refused(channel, attrs.evolve(hook, headers=Headers(kept)), without)

    def test_what_was_changed_is_refused(
        self, channel: Receives, inbound_cases: Sequence[Case], sign: Sign
    ) -> None:
        """One bit of any byte of the body changed, and it is no longer genuine."""
        if not self.signs_body:
            return
        assert sign(b"one") != sign(b"other"), (
            "`sign` gives the same headers for every body; if the platform signs none, and only "
            "a shared secret proves who calls, say `signs_body = False` in your class"
        )
        for name, hook in _hooks(inbound_cases, sign):
            for what, body in _tampered(hook.body):
                if body != hook.body:
                    _refused(channel, attrs.evolve(hook, body=body), f"{name}, {what}")

    def test_what_is_stale_is_refused_and_a_replay_tells_nothing_new(
        self, channel: Receives, inbound_cases: Sequence[Case], sign: Sign
    ) -> None:
        """Where a time is signed, an hour is too late and too early; elsewhere the facts are equal."""
        for name, hook in _hooks(inbound_cases, sign):
            genuine = channel.receive(hook)
            for away in (_STALE, -_STALE):
                again = attrs.evolve(hook, at=AT + away)
                where = f"{name}, {away} after it was signed"
                if _tells_time(sign(hook.body), AT):
                    _refused(channel, again, where)
                    continue
                try:
                    replayed = channel.receive(again)
                except WebhookRejected:
                    continue
                same = replayed.facts == genuine.facts
                assert same, f"{where}: other facts; take their times and ids from the body"

    def test_hostile_headers_are_refused_in_time(
        self, channel: Receives, inbound_cases: Sequence[Case], sign: Sign
    ) -> None:
        """Whatever stands in a header of the signature, only `WebhookRejected` comes of it."""
        for name, hook in _hooks(inbound_cases, sign):
            for header, value in sign(hook.body).items():
                for what, wrong in _hostile(value):
                    headers = [(k, wrong if k == header else v) for k, v in hook.headers.items]
                    where = f"{name}, {header} with {what}"
                    forged = attrs.evolve(hook, headers=Headers(headers))
                    bounded(lambda: _refused(channel, forged, where), where)  # noqa: B023  # at once

    def test_a_refusal_shows_no_signature(
        self, channel: Receives, inbound_cases: Sequence[Case], sign: Sign
    ) -> None:
        """Who is refused does not learn what would have been right."""
        for name, hook in _hooks(inbound_cases, sign):
            for header, right in sign(hook.body).items():
                wrong = right[:-1] + chr(ord(right[-1]) ^ 1)
                headers = [(k, wrong if k == header else v) for k, v in hook.headers.items]
                with pytest.raises(WebhookRejected) as refused:
                    channel.receive(attrs.evolve(hook, headers=Headers(headers)))
                told = right in f"{refused.value!s} {refused.value!r}" and len(right) > _LONG
                assert not told, f"{name}: the error tells what {header} should be"
