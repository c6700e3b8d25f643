"""Say as data what a person must do and copy before a channel can work."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

__all__ = ["Need", "Setup"]


def _frozen(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(value))


@attrs.frozen
class Need:
    """Name one thing that a channel is built with.

    Args:
        name: The argument of the channel's class that takes it, as text.
        what: What it is, and where the platform shows it.
        secret: Whether nobody else may know it.
        required: Whether the channel cannot be built without it.
    """

    name: str
    what: str
    secret: bool = False
    required: bool = True


@attrs.frozen
class Setup:
    """Describe what setting up a channel takes; `python -m supportflow channel NAME` prints it.

    Args:
        summary: What the channel does, in one sentence.
        needs: What the channel's class is given.
        steps: What a person does at the platform, in order, one sentence or two each.
        scopes: The permissions to ask for, each with what it is for.
        webhook: What to enter as the address of the webhook, and how it is verified; empty
            where the channel takes none.
        guide: The address of the platform's own guide.
    """

    summary: str
    needs: tuple[Need, ...] = ()
    steps: tuple[str, ...] = ()
    scopes: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    webhook: str = ""
    guide: str = ""
