"""What tests of channels, stores and desks are made of, for ourselves and for others (extra `testing`).

Everything is loaded when it is first named, so that a platform that runs as a process of its
own loads no test library.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from supportflow.errors import MissingExtra

if TYPE_CHECKING:
    from supportflow.testing.blocking import Blocking as Blocking
    from supportflow.testing.channel_cases import PageCase as PageCase
    from supportflow.testing.channel_cases import SendCase as SendCase
    from supportflow.testing.channel_cases import WebhookCase as WebhookCase
    from supportflow.testing.channel_cases import drive as drive
    from supportflow.testing.channel_contract import ChannelContract as ChannelContract
    from supportflow.testing.clock import FakeClock as FakeClock
    from supportflow.testing.fake_channel import FakeChannel as FakeChannel
    from supportflow.testing.outbox_machine import OutboxMachine as OutboxMachine
    from supportflow.testing.platforms.fake import FakePlatform as FakePlatform
    from supportflow.testing.store_contract import SharedStoreContract as SharedStoreContract
    from supportflow.testing.store_contract import StoreContract as StoreContract
    from supportflow.testing.store_machine import StoreMachine as StoreMachine

__all__ = [
    "Blocking",
    "ChannelContract",
    "FakeChannel",
    "FakeClock",
    "FakePlatform",
    "OutboxMachine",
    "PageCase",
    "SendCase",
    "SharedStoreContract",
    "StoreContract",
    "StoreMachine",
    "WebhookCase",
    "drive",
]

_HOMES = {
    "Blocking": "supportflow.testing.blocking",
    "ChannelContract": "supportflow.testing.channel_contract",
    "FakeChannel": "supportflow.testing.fake_channel",
    "FakeClock": "supportflow.testing.clock",
    "FakePlatform": "supportflow.testing.platforms.fake",
    "OutboxMachine": "supportflow.testing.outbox_machine",
    "PageCase": "supportflow.testing.channel_cases",
    "SendCase": "supportflow.testing.channel_cases",
    "SharedStoreContract": "supportflow.testing.store_contract",
    "StoreContract": "supportflow.testing.store_contract",
    "StoreMachine": "supportflow.testing.store_machine",
    "WebhookCase": "supportflow.testing.channel_cases",
    "drive": "supportflow.testing.channel_cases",
}

#: Modules whose asserts explain themselves; pytest must know before any of them is loaded.
_KIT = (
    "supportflow.testing.channel_batches",
    "supportflow.testing.channel_contract",
    "supportflow.testing.channel_facts",
    "supportflow.testing.channel_finding",
    "supportflow.testing.channel_hostile",
    "supportflow.testing.channel_inbound",
    "supportflow.testing.channel_limits",
    "supportflow.testing.channel_requests",
    "supportflow.testing.channel_sending",
    "supportflow.testing.channel_webhooks",
    "supportflow.testing.outbox_machine",
    "supportflow.testing.store_commits",
    "supportflow.testing.store_contract",
    "supportflow.testing.store_erasure",
    "supportflow.testing.store_machine",
    "supportflow.testing.store_mentions",
    "supportflow.testing.store_messages",
    "supportflow.testing.store_outbox",
    "supportflow.testing.store_pages",
    "supportflow.testing.store_reconcile",
    "supportflow.testing.store_settling",
    "supportflow.testing.store_texts",
    "supportflow.testing.store_vitals",
    "supportflow.testing.store_writers",
)

_pytest = sys.modules.get("pytest")
if _pytest is not None:
    _pytest.register_assert_rewrite(*_KIT)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name in {"pytest", "hypothesis"}:
            raise MissingExtra(f"supportflow.testing.{name}", "testing") from error
        raise


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
