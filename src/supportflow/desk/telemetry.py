"""What a desk tells its operators: log lines with stable names, and a count of each.

`NAMES` is the list: the runbook in the documentation is made of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

__all__ = ["LABELS", "NAMES", "Count", "tell"]

_log = logging.getLogger("supportflow")

#: Takes a name of `NAMES`, how many, and what of `LABELS` is known of them.
Count: TypeAlias = Callable[[str, int, Mapping[str, str]], None]

#: The fields of a line that are few enough to be the attributes of a counter.
LABELS = frozenset({"channel", "kind", "loop", "state", "status"})

#: Every name of a line and of a count: what it means, and what to do about it.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "recorded": "Facts of a channel were committed, as many as `amount` says. Nothing is to be done.",
        "quarantined": "An item could not be read; it is kept. Look at `desk.quarantine()`, and "
        "`desk.replay()` it when the cause is gone.",
        "webhook_refused": "A request was not genuine, or too large (`status`). If it was the "
        "platform's, compare the secrets on both sides.",
        "webhook_failed": "A channel's `receive` raised: its mistake. The platform was told 500, "
        "and sends it again.",
        "webhook_not_committed": "The store could not take a webhook. The platform was told 503, "
        "and sends it again: put the store right.",
        "poll_failed": "A channel could not be asked for news; it is asked again. If it goes on, "
        "look at `desk.health(check_channels=True)`.",
        "mentions": "A search found what people say without addressing us, as many as `amount` says.",
        "search_failed": "A channel could not be searched; it is searched again.",
        "renewed": "A channel's credentials were renewed. Nothing is to be done.",
        "renew_failed": "A channel's credentials could not be renewed: somebody must log in again, "
        "and give the channel new ones.",
        "outbox": "A row of the outbox came to a `state`. `unknown` is looked for by itself; "
        "`failed` and held rows wait for a person: `desk.outbox()`.",
        "settle_conflict": "Somebody else settled a row first; what is there is read again.",
        "alarm": "Something must reach a person (`kind`): a warning or breach of a clock, a reply "
        "that failed or is held, credentials that ended.",
        "announce_later": "A clock could not be announced now; the next look does it.",
        "unread": "A classifier failed on a message; it stays unread, and a person can classify.",
        "loop_failed": "A part of `desk.run()` failed; it goes on after a pause (`loop`).",
        "lease_only": "Something between us and PostgreSQL lends its sessions to transactions, so that "
        "no lock proves a worker alive. Connect directly; see the guide on several workers.",
        "stop_late": "A part of `desk.run()` (`loop`) did not end within the deadline.",
    }
)


def tell(
    count: Count | None,
    name: str,
    level: int = logging.INFO,
    why: object = "",
    *,
    amount: int = 1,
    trace: bool = False,
    **fields: str | int | datetime | None,
) -> None:
    """Write one line, `name key=value …: why`, and count it.

    Args:
        count: Who counts, if anybody does. What it raises is logged, and harms nothing.
        name: One of `NAMES`; also the attribute `event` of the log record.
        level: The level of the line.
        why: The reason, in words.
        amount: How many; at 1 it is not shown.
        trace: Whether to add the traceback of the exception that is being handled.
        fields: What else is known; None is left out, and those of `LABELS` go to the counter.

    Raises:
        KeyError: If the name is not in `NAMES`: it could be explained nowhere.
    """
    if name not in NAMES:
        raise KeyError(name)
    shown = fields if amount == 1 else {"amount": amount, **fields}
    told = "".join(f" {key}={value}" for key, value in shown.items() if value is not None)
    reason = f": {why}" if why else ""
    _log.log(level, "%s%s%s", name, told, reason, exc_info=trace, extra={"event": name})
    if count is None:
        return
    labels = {key: str(value) for key, value in shown.items() if key in LABELS}
    try:
        count(name, amount, labels)
    except Exception:  # noqa: BLE001  # it is a user's, and must not stop the desk
        _log.exception("count failed: %s is counted by %r", name, count)
