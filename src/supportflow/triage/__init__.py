"""Understanding what customers write: the protocol that every classifier follows."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from supportflow.model import Message, Reading

__all__ = ["Classifier"]


class Classifier(Protocol):
    """Read one message.

    A classifier that is fast and pure may set `inline = True`: it then reads before the
    commit, in one transaction with the message. Any other runs after the commit, so that
    intake never waits for it; what it says is recorded as `Classified`. One that fails
    leaves the message `Unread`, recorded and visible.
    """

    def read(self, message: Message) -> Reading | Awaitable[Reading]:
        """Return what was understood of a message.

        Args:
            message: A customer's message, or a native answer of ours.
        """
        ...
