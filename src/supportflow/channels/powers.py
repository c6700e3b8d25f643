"""Refuse what a channel's traits do not name, before anything is asked of its platform."""

from __future__ import annotations

from supportflow.channels import Traits
from supportflow.errors import Unsupported
from supportflow.model import Outgoing, Visibility

__all__ = ["check_powers"]

#: What a message may need beyond words, by the field that it stands in.
_POWERS = ("card", "quick_replies", "attachments", "template", "announcement")
_INSTEAD = "say it in the words of a reply"


def check_powers(message: Outgoing, traits: Traits) -> None:
    """Let a message pass that a network can express as a whole; call it first in `send()`.

    A desk refuses the same earlier, when a reply is queued; a channel is used without one too.

    Args:
        message: What shall be sent.
        traits: What the network can do.

    Raises:
        Unsupported: If it needs a power or a visibility that is not there, or brings a file whose
            address is not https. It says what to do instead, by `traits.unsupported` where that
            has the power's name (or, for example, `"private messages"`).

    Example:
        >>> from datetime import UTC, datetime
        >>> from supportflow.model import AgentKind, Author
        >>> news = Outgoing("1", "mark", "We moved.", Author("all"), "t", None, Visibility.public,
        ...     AgentKind.person, datetime(2026, 3, 2, tzinfo=UTC))
        >>> check_powers(news, Traits("pub", 500, "read", powers=["announcement"]))
        >>> check_powers(news, Traits("club", 500, "read"))
        Traceback (most recent call last):
        ...
        supportflow.errors.Unsupported: club has no announcement: say it in the words of a reply
    """
    network, instead = traits.network, traits.unsupported
    for power in _POWERS:
        if power not in traits.powers and _needs(message, power):
            why = instead.get(power) or instead.get(power.replace("_", " ")) or _INSTEAD
            raise Unsupported(f"{network} has no {power}: {why}")
    if message.visibility not in traits.visibilities:
        offered = f"it offers {', '.join(traits.visibilities)}"
        why = instead.get(f"{message.visibility} messages") or offered
        raise Unsupported(f"{network} has no {message.visibility} messages: {why}")
    for each in message.attachments:
        if not each.url.startswith("https://"):
            raise Unsupported(f"a file at {each.url!r:.60}: its address must begin with https://")


def _needs(message: Outgoing, power: str) -> bool:
    if power == "announcement":
        return message.reply_to is None and message.visibility is Visibility.public
    return bool(getattr(message, power))
