"""Serve until stopped: what runs beside what, as programs that both shells start."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from supportflow.channels import Polls
from supportflow.desk.announce import announce
from supportflow.desk.core import Core
from supportflow.desk.deliver import send_due
from supportflow.desk.listen import Search, listen, searched
from supportflow.desk.poll import poll
from supportflow.desk.settle import said
from supportflow.desk.telemetry import tell
from supportflow.desk.unread import read_unread
from supportflow.errors import SupportflowError
from supportflow.flow import Program, Wait

__all__ = ["loops"]

#: How often the outbox, what is unread, and the clocks are looked at, in seconds. Ours.
SEND_EVERY, READ_EVERY, ANNOUNCE_EVERY = 1.0, 1.0, 5.0
#: How much is done between two looks at whether to stop.
_AT_ONCE = 100
#: The longest pause after work that failed, in seconds. Ours.
_LONGEST = 60.0


def loops(core: Core) -> dict[str, Callable[[], Program[None]]]:
    """Return everything that serving takes, by name; each runs until a wait says to stop.

    Every channel has its own poller and its own sender, so that a sick or slow one stops
    no other, and a classifier that is not inline has its own as well.

    Args:
        core: The desk's core.
    """
    found: dict[str, Callable[[], Program[None]]] = {}
    for name, channel in core.channels.items():
        if isinstance(channel, Polls):
            pause = channel.traits.poll_every.total_seconds()
            found[f"poll {name}"] = _again(
                core, partial(_poll_on, core, name), pause, f"poll {name}"
            )
        for search in searched(core, name):
            every, title = search.every.total_seconds(), f"listen {name} {search.query}"
            found[title] = _again(core, partial(_listen_on, core, name, search), every, title)
        found[f"send {name}"] = _again(
            core, partial(_send_on, core, name), SEND_EVERY, f"send {name}"
        )
    if core.reader is not None:
        found["read"] = _again(core, partial(_read_on, core), READ_EVERY, "read")
    found["announce"] = _again(core, partial(_announce_on, core), ANNOUNCE_EVERY, "announce")
    return found


def _again(
    core: Core, work: Callable[[], Program[bool]], pause: float, name: str
) -> Callable[[], Program[None]]:
    """Do work over and over: at once while there is more, else after a pause."""

    def loop() -> Program[None]:
        failures = 0
        while True:
            wait = pause
            try:
                wait = 0.0 if (yield from work()) else pause
                failures = 0
            except Exception as error:  # noqa: BLE001  # a channel may be anybody's code
                failures += 1
                ours = isinstance(error, SupportflowError)
                why = said(error) if ours else type(error).__name__
                level = logging.WARNING if ours else logging.ERROR
                tell(core.count, "loop_failed", level, why, trace=not ours, loop=name)
            if failures:
                wait = min(pause * 2 ** min(failures, 10), max(_LONGEST, pause))
            if (yield Wait(wait)):
                return

    return loop


def _poll_on(core: Core, name: str) -> Program[bool]:
    return (yield from poll(core, name)).more


def _listen_on(core: Core, name: str, search: Search) -> Program[bool]:
    return (yield from listen(core, name, search.query)).more


def _send_on(core: Core, name: str) -> Program[bool]:
    return bool((yield from send_due(core, (name,), _AT_ONCE)).sent)


def _read_on(core: Core) -> Program[bool]:
    return bool((yield from read_unread(core, 1)))


def _announce_on(core: Core) -> Program[bool]:
    return bool((yield from announce(core, limit=_AT_ONCE)))
