"""The part of a channel's contract about proof: nothing gets in that is not proved genuine."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import pytest

from supportflow.channels import Receives
from supportflow.errors import PayloadError, WebhookRejected
from supportflow.http import Headers, Webhook
from supportflow.testing.channel_cases import PageCase, WebhookCase
from supportflow.testing.channel_inbound import PATIENCE, within

__all__ = ["WebhookContract"]

Case = WebhookCase | PageCase
Sign = Callable[[bytes], Mapping[str, str]]
#: How many places of a body are tampered with; longer ones are sampled evenly.
_PLACES = 200
#: A value longer than this, in characters, is a signature and no timestamp.
_LONG = 16


def _hooks(cases: Sequence[Case], sign: Sign) -> Iterator[tuple[str, Webhook]]:
    for case in cases:
        if isinstance(case, WebhookCase):
            yield case.name, case.webhook(sign(case.body))


def _tampered(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a body with one bit changed at many places, and with what else is often done to it."""
    for at in range(0, len(body), max(1, len(body) // _PLACES)):
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
    """Prove what holds for webhooks alone."""

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
        """One bit of the body changed anywhere, and it is no longer genuine."""
        for name, hook in _hooks(inbound_cases, sign):
            for what, body in _tampered(hook.body):
                if body != hook.body:
                    _refused(channel, attrs.evolve(hook, body=body), f"{name}, {what}")

    def test_hostile_headers_are_refused_in_time(
        self, channel: Receives, inbound_cases: Sequence[Case], sign: Sign
    ) -> None:
        """Whatever stands in a header of the signature, only `WebhookRejected` comes of it."""
        for name, hook in _hooks(inbound_cases, sign):
            for header, value in sign(hook.body).items():
                for what, wrong in _hostile(value):
                    headers = [(k, wrong if k == header else v) for k, v in hook.headers.items]
                    where = f"{name}, {header} with {what}"
                    began = time.perf_counter()
                    _refused(channel, attrs.evolve(hook, headers=Headers(headers)), where)
                    within(PATIENCE, began, where)

    def test_a_refusal_shows_no_signature(
        self, channel: Receives, inbound_cases: Sequence[Case], sign: Sign
    ) -> None:
        """Who is refused does not learn what would have been right."""
        for name, hook in _hooks(inbound_cases, sign):
            forged = attrs.evolve(hook, body=hook.body + b" ")
            right = {value for value in sign(forged.body).values() if len(value) > _LONG}
            with pytest.raises(WebhookRejected) as refused:
                channel.receive(forged)
            told = f"{refused.value!s} {refused.value!r}"
            assert not any(value in told for value in right), f"{name}: the error tells the answer"
