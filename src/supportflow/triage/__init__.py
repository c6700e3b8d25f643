"""Understanding what customers write: the protocol that every classifier follows."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from supportflow.model import Message, Reading

__all__ = ["Classifier"]


class Classifier(Protocol):
    """Read one message.

    A classifier that is fast and pure may set `inline = True`: it then reads before the
    commit, in one transaction with the message. Any other runs after the commit, within a
    time limit, so that intake never waits for it; what it says is recorded as `Classified`,
    unless a person was faster. What it has not read yet waits in memory, for `deliver` or
    `run`. A message whose reading failed, took too long, or was lost in a crash stays
    `Unread`: recorded, visible, and for a person to classify.
    """

    def read(self, message: Message) -> Reading | Awaitable[Reading]:
        """Return what was understood of a message.

        Args:
            message: A customer's message, with its words as they are now. An inline
                classifier is also given native answers of ours, whose steps it may name.
        """
        ...
