"""The contract of every channel: subclass it, give it recorded cases, and run it with pytest."""
# ruff: noqa: S101, SIM300  a contract is made of asserts, `expected == actual`

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from supportflow.channels import PROTOCOL, Channel, Polls, Receives, Reconcile
from supportflow.model import ChannelState, Visibility
from supportflow.testing.channel_cases import AT, PageCase, SendCase, WebhookCase
from supportflow.testing.channel_facts import FactsContract
from supportflow.testing.channel_finding import FindingContract
from supportflow.testing.channel_hostile import HostileContract
from supportflow.testing.channel_inbound import InboundContract, Read, reader
from supportflow.testing.channel_limits import LimitsContract
from supportflow.testing.channel_requests import RequestsContract, secrets_of
from supportflow.testing.channel_sending import SendingContract
from supportflow.testing.channel_webhooks import WebhookContract

__all__ = ["ChannelContract"]


class ChannelContract(
    InboundContract,
    FactsContract,
    HostileContract,
    SendingContract,
    LimitsContract,
    FindingContract,
    RequestsContract,
    WebhookContract,
):
    """Prove that a channel keeps its promises; name your subclass `Test…` and give it fixtures.

    `channel`, `inbound_cases` and `send_cases` are needed always, `sign` where the channel takes
    webhooks: without it, the tests of webhooks are not there, and one that remains says so. A
    subclass of your subclass that adds `sign` has them.

    Example::

        class TestMyChannel(ChannelContract):
            @pytest.fixture
            def channel(self):
                return MyChannel(secret="s3cret", token="t0ken")

            @pytest.fixture
            def sign(self):
                return lambda body: {"X-Signature": my_signature("s3cret", body)}

            @pytest.fixture
            def inbound_cases(self):
                return [WebhookCase("a batch", BODY, facts=(...), items=("messages",))]

            @pytest.fixture
            def send_cases(self):
                sent = (REQUEST,), (RESPONSE,), RECEIPT
                return [SendCase("a reply", OUTGOING, *sent, found=(PAGE,), absent=(NOTHING,))]

    Attributes:
        at: When recorded webhooks arrive and recorded answers are given; sign for this time.
    """

    at = AT

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Leave out the tests of webhooks where nothing signs them; pytest collects no None."""
        super().__init_subclass__(**kwargs)
        mine = inspect.getattr_static(cls, "sign")
        signs = mine is not inspect.getattr_static(ChannelContract, "sign")
        for name, test in vars(WebhookContract).items():
            left_out = getattr(cls, name) is None
            if name.startswith("test_") and name not in vars(cls) and left_out is signs:
                setattr(cls, name, test if signs else None)

    @pytest.fixture
    def channel(self) -> Channel:
        """Return the channel, with secrets of its own and whatever it would have learned."""
        raise NotImplementedError("override the fixture `channel`: your channel, with secrets")

    @pytest.fixture
    def sign(self) -> Callable[[bytes], Mapping[str, str]]:
        """Return a function from a body to the headers that prove it genuine at the time `at`."""
        raise NotImplementedError(
            "override the fixture `sign`: a function from a body to the headers of its signature"
        )

    @pytest.fixture
    def inbound_cases(self) -> Sequence[WebhookCase | PageCase]:
        """Return recorded webhooks and pages, with the facts that they must give."""
        raise NotImplementedError(
            "override the fixture `inbound_cases`: a WebhookCase or PageCase for each thing that "
            "the platform sends, one of them with `items`"
        )

    @pytest.fixture
    def send_cases(self) -> Sequence[SendCase]:
        """Return messages, the requests that they must make, and what must come of them."""
        raise NotImplementedError(
            "override the fixture `send_cases`: a SendCase that is posted, with its `found` and "
            "`absent` where the channel can look for it, and one for each refusal that the "
            "platform words in its own way"
        )

    @pytest.fixture
    def read(self, channel: Channel, request: pytest.FixtureRequest) -> Read:
        """Return a function that reads a recorded case; not to be overridden."""
        signs = isinstance(channel, Receives)
        return reader(channel, request.getfixturevalue("sign") if signs else None)

    def test_webhooks_are_tested(self, channel: Channel, request: pytest.FixtureRequest) -> None:
        """A channel that takes webhooks is given `sign`, so that their tests are there."""
        if isinstance(channel, Receives):
            assert callable(request.getfixturevalue("sign"))

    def test_it_is_frozen(self, channel: Channel) -> None:
        """A channel is a value: hashable, equal to itself, and never changed."""
        assert isinstance(hash(channel), int)
        with pytest.raises(AttributeError):
            channel.name = "another"  # type: ignore[misc]  # that it cannot be set is tested

    def test_it_has_secrets(self, channel: Channel) -> None:
        """What must not be shown is held as a `Secret`; a channel without any proves nothing."""
        assert secrets_of(channel), "hold the token or signing secret as supportflow.model.Secret"

    def test_it_takes_its_state(self, channel: Channel) -> None:
        """`using` gives the same channel back, also with what an older version had learned."""
        for learned in ({}, {"kit": "unknown", "limit": "many", "account": None}):
            again = channel.using(ChannelState(channel.name, learned=learned))
            assert type(channel) is type(again)
            assert channel.name == again.name

    def test_traits_are_sane(self, channel: Channel) -> None:
        """What a channel says of its network makes sense, and fits what it can do."""
        traits = channel.traits
        assert channel.name, "name is empty"
        assert traits.network, "traits.network is empty"
        assert PROTOCOL == traits.protocol
        assert traits.max_text > 0
        assert 0 == traits.count("")
        assert {*map(str, Visibility)} >= {*traits.visibilities} != set()
        assert traits.receipt in ("id", "accepted")
        ways = {"webhook": isinstance(channel, Receives), "poll": isinstance(channel, Polls)}
        assert {way for way, has in ways.items() if has} == {*traits.inbound}
        proved = bool(traits.signature), "webhook" in traits.inbound
        assert proved[0] == proved[1], "traits.signature: the header that proves a webhook, if any"
        spans = (traits.settle, traits.key_window, traits.echo_wait, traits.hold_for)
        assert min(spans) >= timedelta(0)
        if traits.reconcile is Reconcile.key:
            assert traits.key_window > timedelta(0), "reconcile='key' needs `key_window`"
        if traits.reconcile is not Reconcile.blind:
            assert traits.settle > timedelta(0), "an absence means nothing before `settle`"
