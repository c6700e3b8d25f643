"""Every exception that supportflow raises, so that its type says whose fault it is.

`InvalidValue` and its kin: the caller's. `WebhookRejected` and `PayloadError`: the
outside world's. `TransportError`: the network's. `StoreError` and its kin: the database's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "Conflict",
    "EtiquetteError",
    "FlowError",
    "IllegalStep",
    "InvalidValue",
    "MissingExtra",
    "NotFound",
    "PayloadError",
    "SchemaTooNew",
    "Stale",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "SupportflowError",
    "TransportError",
    "Unsupported",
    "WebhookRejected",
    "WindowClosed",
]


class SupportflowError(Exception):
    """Be the base of every error that this library raises on purpose."""


class InvalidValue(SupportflowError, ValueError):
    """Say that an argument cannot be accepted, which one, and what would be."""


class IllegalStep(InvalidValue):
    """Refuse a step that the conversation's playbook does not allow now.

    Args:
        step: The step or command that was asked for.
        state: The state in which the conversation is (after what is already queued).
        legal: The steps that are legal instead.
        why: What else is needed, if a step alone would not do.
    """

    def __init__(self, step: str, state: str, legal: Iterable[str], why: str = "") -> None:
        self.step: str = step
        self.state: str = state
        self.legal: tuple[str, ...] = tuple(legal)
        allowed = ", ".join(self.legal) or "none"
        note = f" {why}" if why else ""
        super().__init__(f"{step} is not legal in state {state}; legal now: {allowed}.{note}")


class NotFound(SupportflowError, LookupError):
    """Say that a conversation, channel, reply or quarantined item is not known."""


class Stale(SupportflowError):
    """Refuse a command that was made on an outdated view of its conversation.

    Read the conversation again, or pass its id instead of the value to act anyway.
    """


class WindowClosed(SupportflowError):
    """Refuse a private reply after the platform's messaging window.

    Args:
        message: What was refused, and when the window closed.
        possible: What can still be done instead.
    """

    def __init__(self, message: str, possible: Iterable[str] = ()) -> None:
        self.possible: tuple[str, ...] = tuple(possible)
        hint = f" Still possible: {', '.join(self.possible)}." if self.possible else ""
        super().__init__(f"{message}{hint}")


class Unsupported(SupportflowError):
    """Say that a network cannot express what was asked, instead of dropping it."""


class EtiquetteError(SupportflowError):
    """Refuse an outgoing text that a rule blocks.

    Args:
        findings: The blocking findings; each says why and suggests something better.
    """

    def __init__(self, findings: Iterable[Any]) -> None:
        self.findings: tuple[Any, ...] = tuple(findings)
        reasons = "; ".join(f"{f.rule}: {f.why}" for f in self.findings)
        super().__init__(f'{reasons}. Change the text, or pass override="reason".')


class WebhookRejected(SupportflowError):
    """Refuse a webhook that is not proved genuine.

    Args:
        message: What was wrong; never holds a secret or a computed signature.
        status: The HTTP status to answer with.
    """

    def __init__(self, message: str, status: int = 401) -> None:
        self.status: int = status
        super().__init__(message)


class PayloadError(SupportflowError):
    """Say that outside data is genuine, as far as we can tell, but cannot be read.

    Args:
        message: What was wrong with it and where.
        status: The HTTP status to answer with, where a platform waits for one.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        self.status: int = status
        super().__init__(message)


class TransportError(SupportflowError):
    """Say that a request got no usable response.

    Args:
        message: What happened, without secrets.
        sent: False if no byte can have left, True if all of them did, None if unknown.
    """

    def __init__(self, message: str, sent: bool | None = None) -> None:
        self.sent: bool | None = sent
        super().__init__(message)


class FlowError(SupportflowError, RuntimeError):
    """Say that a flow or program was written or run in a way that cannot work."""


class StoreError(SupportflowError):
    """Be the base of errors that come from storage."""


class Conflict(StoreError):
    """Say that somebody else changed the same conversation first: read again, decide again."""


class StoreUnavailable(StoreError):
    """Say that the store could not do its work now (full, read-only, locked, gone)."""


class StoreCorrupt(StoreError):
    """Say that the store's content cannot be read as ours."""


class SchemaTooNew(StoreError):
    """Say that a newer supportflow wrote this store: upgrade the package, not the data."""


class MissingExtra(SupportflowError, ImportError):
    """Say which optional dependency a feature needs and how to install it.

    Args:
        feature: What was asked for.
        extra: The name of the extra that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        self.extra: str = extra
        super().__init__(f"{feature} needs an extra: pip install 'supportflow[{extra}]'")
