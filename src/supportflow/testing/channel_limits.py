"""The part of a channel's contract about limits: length, powers, visibility and window."""
# ruff: noqa: S101, SIM300  a contract is made of asserts, `expected == actual`

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from unicodedata import normalize
from urllib.parse import parse_qsl

import attrs

from supportflow.channels import Channel, Refused
from supportflow.errors import Unsupported
from supportflow.http import Request, Response
from supportflow.model import Attachment, Card, Outgoing, Receipt, Template, Visibility
from supportflow.testing.channel_cases import AT, Driven, SendCase, drive

__all__ = ["LimitsContract"]

#: What a long text is made of: each counts differently on some platform.
_UNITS: Mapping[str, str] = {
    "letters": "a",
    "Cyrillic letters": "я",
    "kana": "あ",
    "letters with combining marks": "n\u0308\u0323",
    "emoji": "👍",
    "families of emoji": "👨‍👩‍👧‍👦",
}
_PICTURE = Attachment("image", "https://files.example/lamp.png", "a lamp")
#: What goes beyond words, by the name of the power that it needs.
_EXTRAS: Mapping[str, dict[str, Any]] = {
    "card": {"card": Card("Lamp", "https://shop.example/lamp")},
    "quick_replies": {"quick_replies": ("Yes", "No")},
    "attachments": {"attachments": (_PICTURE,)},
    "template": {"template": Template("hello", "en", ("Ola",))},
    "announcement": {"reply_to": None, "visibility": Visibility.public},
}


def _has(message: Outgoing, power: str) -> bool:
    """Say whether a message needs a power."""
    if power == "announcement":
        return message.reply_to is None and message.visibility is Visibility.public
    return bool(getattr(message, power))


def _plain(cases: Sequence[SendCase]) -> Iterator[SendCase]:
    """Yield the cases of mere words that are posted."""
    for case in cases:
        extra = any(_has(case.message, power) for power in (*_EXTRAS,)[:-1])
        if isinstance(case.outcome, Receipt) and case.message.text and not extra:
            yield case


def _filled(count: Callable[[str], int], unit: str, length: int) -> str:
    """Return a unit as often as it fits into a length, filled up with letters."""
    text = unit * (length // max(count(unit), 1))
    while text and count(text) > length:
        text = text[: -len(unit)]
    for _ in range(99):  # where letters count less than one beside what is there
        if count(text) >= length:
            break
        text += "a" * (length - count(text))
    return text


def _said(body: bytes) -> Iterator[str]:
    """Yield every text in the body of a request, whichever way it is written."""
    text = body.decode("utf-8", "replace")
    yield text
    try:
        yield from _strings(json.loads(text))
    except ValueError:
        for _, value in parse_qsl(text):
            yield value
            with suppress(ValueError):
                yield from _strings(json.loads(value))
        for part in email.message_from_bytes(body, policy=email.policy.default).walk():
            if part.get_content_maintype() == "text":
                yield str(part.get_content())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else ():
        yield from _strings(each)
    for each in value if isinstance(value, list) else ():
        yield from _strings(each)


def _whole(text: str, request: Request) -> bool:
    """Say whether a request says a text, in any form that Unicode takes for the same."""
    wanted = normalize("NFC", text)
    return any(wanted in normalize("NFC", each) for each in _said(request.body))


def _unasked(channel: Channel, message: Outgoing, what: str) -> None:
    """Fail unless a message is refused as `Unsupported` before anything was asked."""
    driven: Driven = drive(channel.send(message), [Response(500, at=AT)] * 9)
    how = "call channels.powers.check_powers(message, self.traits) first in send()"
    error = driven.error
    assert isinstance(error, Unsupported), f"{what} is not refused: {error!r}; {how}"
    assert () == driven.requests, f"{what} is refused after {driven.requests!r}; {how}"


class LimitsContract:
    """Prove that what a platform does not take is not cut, changed or lost on the way."""

    def test_a_text_at_the_limit_is_sent_whole(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """The longest text goes out uncut; a longer one is refused or uncut, never shortened."""
        traits = channel.traits
        for case in [*_plain(send_cases)][:1]:
            for name, unit in _UNITS.items():
                for length in (traits.max_text - 1, traits.max_text, traits.max_text + 1):
                    text = _filled(traits.count, unit, length)
                    counted, where = traits.count(text), f"{name} that count {length}"
                    assert unit != "a" or length == counted, f"`traits.count` says {counted}"
                    message = attrs.evolve(case.message, text=text)
                    driven = drive(channel.send(message), case.responses)
                    if driven.error is None or counted <= traits.max_text:
                        assert driven.error is None, f"{where}: {driven.error!r}"
                        assert _whole(text, driven.requests[-1]), f"{where}: cut"

    def test_what_it_cannot_express_is_refused_unasked(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Without the power for it, a card or a file is refused; nothing vanishes on the way."""
        traits = channel.traits
        for case in [*_plain(send_cases)][:1]:
            for power, extra in _EXTRAS.items():
                if power not in traits.powers:
                    what = f"a message with {power}, which traits.powers does not name,"
                    _unasked(channel, attrs.evolve(case.message, **extra), what)
            for each in Visibility:
                if each not in traits.visibilities:
                    what = f"a {each} message, which traits.visibilities does not name,"
                    _unasked(channel, attrs.evolve(case.message, visibility=each), what)
            if "attachments" in traits.powers:
                for url in ("http://files.example/lamp.png", "file:///etc/passwd", ""):
                    files = (attrs.evolve(_PICTURE, url=url),)
                    message = attrs.evolve(case.message, attachments=files)
                    _unasked(channel, message, f"a file at {url!r}, which is not https,")

    def test_what_it_can_express_is_recorded(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Every power and visibility that a channel claims is shown by a message that was posted."""
        posted = [case.message for case in send_cases if isinstance(case.outcome, Receipt)]
        powers = channel.traits.powers & _EXTRAS.keys()
        unshown = {power for power in powers if not any(_has(each, power) for each in posted)}
        unshown |= {*channel.traits.visibilities} - {str(each.visibility) for each in posted}
        assert not unshown, f"`send_cases` shows nothing posted with {', '.join(sorted(unshown))}"

    def test_a_closed_window_is_recorded(
        self, channel: Channel, send_cases: Sequence[SendCase]
    ) -> None:
        """Where private replies have a window, its end is shown by what the platform answers then."""
        traits = channel.traits
        if traits.window is None:
            return
        assert "private" in traits.visibilities, "a window is for private replies; there are none"
        longer = traits.human_window is None or traits.human_window >= traits.window
        assert longer, "`human_window` is for people and longer than `window`"
        refused = [c for c in send_cases if isinstance(c.outcome, type)]
        assert any(issubclass(case.outcome, Refused) for case in refused), (  # type: ignore[arg-type]
            "`traits.window`: give `send_cases` what the platform refuses after it, with Refused"
        )
