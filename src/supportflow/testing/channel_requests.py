"""The part of a channel's contract about every flow that it has: where it goes, and what it shows."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs

from supportflow.channels import Channel, Checks, Finds, Health, Polls, Receives, Renews, Searches
from supportflow.errors import SupportflowError
from supportflow.http import Response
from supportflow.model import Receipt, Secret
from supportflow.testing.channel_batches import Case
from supportflow.testing.channel_cases import (
    AT,
    Driven,
    PageCase,
    SendCase,
    WebhookCase,
    drive,
    is_encrypted,
)

__all__ = ["RequestsContract", "secrets_of"]

_ELSEWHERE = "elsewhere.example"


@attrs.frozen
class _Flow:
    """Hold one thing that a channel can be asked to do.

    Args:
        name: What it is.
        start: Begins it.
        before: The answers that it is given before anything goes wrong.
        only_asks: Whether it changes nothing that customers see.
    """

    name: str
    start: Callable[[], Any]
    before: tuple[Response, ...] = ()
    only_asks: bool = True

    def go(self, *last: object) -> Driven:
        """Run it until the platform gives other answers than the recorded ones.

        Args:
            last: What comes instead, in turn.
        """
        before = [attrs.evolve(each, at=each.at or AT) for each in self.before]
        return drive(self.start(), [*before, *last])


def _flows(
    channel: Channel, inbound_cases: Sequence[Case], send_cases: Sequence[SendCase]
) -> Iterator[_Flow]:
    """Yield everything that a channel does over the network, as far as it is recorded."""
    for case in inbound_cases:
        if isinstance(case, PageCase) and isinstance(channel, Polls):
            start = _begin(channel.poll, case.cursor)
            for at in range(len(case.responses)):
                yield _Flow(f"poll of {case.name!r}", start, case.responses[:at])
    for sent in send_cases:
        if isinstance(sent.outcome, Receipt):
            yield from _sending(channel, sent)
    if isinstance(channel, Checks):
        yield _Flow("check", channel.check)
    if isinstance(channel, Renews):
        yield _Flow("renew", channel.renew)
    if isinstance(channel, Searches):
        yield _Flow("search", _begin(channel.search, "lamp", None))


def _sending(channel: Channel, case: SendCase) -> Iterator[_Flow]:
    start = _begin(channel.send, case.message)
    for at in range(case.posting + 1):
        yield _Flow(f"send of {case.name!r}", start, case.responses[:at], only_asks=False)
    if isinstance(channel, Finds):
        yield _Flow(f"find_sent of {case.name!r}", _begin(channel.find_sent, case.message))


def _begin(method: Callable[..., Any], *given: object) -> Callable[[], Any]:
    return lambda: method(*given)


def secrets_of(value: Any) -> list[str]:
    """Return every secret in a channel, however deep.

    Args:
        value: The channel, or a part of it.
    """
    if isinstance(value, Secret):
        return [value.reveal()]
    inner: list[object] = []
    if isinstance(value, Mapping):
        inner = [*value.values()]
    elif isinstance(value, tuple | list | set | frozenset):
        inner = [*value]
    elif attrs.has(type(value)):
        inner = [getattr(value, name) for name in attrs.fields_dict(type(value))]
    return [secret for each in inner for secret in secrets_of(each)]


def _shown(driven: Driven) -> str:
    """Return everything that a person or a log may see of what a flow did."""
    error = driven.error
    told = (
        "" if error is None else f"{error!s}{error!r}{''.join(traceback.format_exception(error))}"
    )
    return f"{told}{driven.result!r}{driven.requests!r}"


class RequestsContract:
    """Prove what holds for every request that a channel makes, whatever it is for."""

    def test_no_redirect_is_followed(
        self, channel: Channel, inbound_cases: Sequence[Case], send_cases: Sequence[SendCase]
    ) -> None:
        """Credentials go where they belong, and nowhere that an answer names."""
        for flow in _flows(channel, inbound_cases, send_cases):
            for status in (301, 302, 307, 308):
                moved = Response(status, {"Location": f"https://{_ELSEWHERE}/v1"}, b"{}", AT)
                for request in flow.go(*[moved] * 9).requests:
                    followed = urlsplit(request.url).hostname == _ELSEWHERE
                    assert not followed, f"{flow.name} follows {status} to another host"

    def test_every_request_is_encrypted(
        self, channel: Channel, inbound_cases: Sequence[Case], send_cases: Sequence[SendCase]
    ) -> None:
        """Polls, searches, checks and renewals go over https too; http stays on this machine."""
        for flow in _flows(channel, inbound_cases, send_cases):
            for request in flow.go(*[Response(500, at=AT)] * 9).requests:
                assert is_encrypted(request), f"{flow.name}: {request!r}"

    def test_what_only_asks_posts_nothing(
        self, channel: Channel, inbound_cases: Sequence[Case], send_cases: Sequence[SendCase]
    ) -> None:
        """Nothing but `send` makes a request that a customer sees."""
        for flow in _flows(channel, inbound_cases, send_cases):
            if flow.only_asks:
                for body in (b"{}", b"[]"):
                    for request in flow.go(*[Response(200, body=body, at=AT)] * 99).requests:
                        assert not request.posts, f"{flow.name}: {request!r}"

    def test_no_secret_is_shown(
        self, channel: Channel, inbound_cases: Sequence[Case], send_cases: Sequence[SendCase]
    ) -> None:
        """No secret is in any text of ours, not even where the platform repeats it to us."""
        secrets = secrets_of(channel)
        shown = [repr(channel), str(channel), repr(channel.traits)]
        echoes = {"error": {"message": secrets, "code": 1}}, {"error": " ".join(secrets)}
        for flow in _flows(channel, inbound_cases, send_cases):
            for status in (200, 302, 400, 401, 403, 422, 429, 500):
                for echo in echoes:
                    answer = Response(status, body=json.dumps(echo).encode(), at=AT)
                    shown.append(_shown(flow.go(*[answer] * 99)))
        shown += _refusals(channel, inbound_cases, secrets)
        leaks = [text for text in shown if any(secret in text for secret in secrets)]
        assert not leaks, (
            f"{len(leaks)} texts show a secret, for example {_around(leaks[0], secrets)}"
        )

    def test_a_check_that_fails_is_no_good_health(self, channel: Channel) -> None:
        """Where the platform refuses or is away, nobody is told that all is well, but what to do."""
        if isinstance(channel, Checks):
            for status in (401, 403, 500, 503):
                driven = drive(channel.check(), [Response(status, body=b"{}", at=AT)] * 9)
                health, error = driven.result, driven.error
                well = isinstance(health, Health) and health.ok
                assert not well, f"{status} is taken for {health!r}"
                assert error is None or isinstance(error, SupportflowError), f"{error!r}"
                told = error is not None or any(each.strip() for each in health.problems)
                assert told, f"{status}: say in Health.problems what is wrong, and what to do"

    def test_its_setup_fits_its_class(self, channel: Channel) -> None:
        """What a person is asked for is what the class takes; what must be given is asked for."""
        setup = getattr(type(channel), "setup", None)
        if setup is None:
            return
        takes = inspect.signature(type(channel)).parameters
        asked = {need.name for need in setup.needs}
        assert asked <= {*takes}, f"setup.needs asks for {sorted(asked - {*takes})}"
        empty = inspect.Parameter.empty
        must = {name for name, each in takes.items() if each.default is empty}
        required = {need.name for need in setup.needs if need.required}
        assert must <= required, f"setup.needs does not require {sorted(must - required)}"
        assert setup.summary.strip(), "setup.summary is empty"
        assert setup.steps, "setup.steps is empty: say what a person does at the platform"


def _refusals(channel: Channel, cases: Sequence[Case], secrets: Sequence[str]) -> Iterator[str]:
    """Yield what is said of webhooks that are not genuine, some with a secret in the wrong place."""
    for case in cases:
        if isinstance(channel, Receives) and isinstance(case, WebhookCase):
            for header in ({}, *({"Authorization": secret} for secret in secrets)):
                try:
                    channel.receive(case.webhook(header))
                except SupportflowError as error:
                    yield _shown(Driven(error=error))


def _around(text: str, secrets: Sequence[str]) -> str:
    """Return what stands before the first secret in a text."""
    at = min(text.index(secret) for secret in secrets if secret in text)
    return f"…{text[max(at - 150, 0) : at]}<here>"
