"""Say what setting up a channel takes, what of it is there, and whether it works."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import entry_points
from typing import Any

from supportflow.channels import Checks, Health, Traits, load
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, SupportflowError
from supportflow.flow import run
from supportflow.transport import Transport

__all__ = ["lines", "listed", "variable"]

_WIDTH = 100


def variable(network: str, need: Need) -> str:
    """Return the environment variable that is read for one thing that a channel needs.

    Args:
        network: The channel's name in the entry points.
        need: The thing.

    Example:
        >>> variable("google_reviews", Need("client_id", "of the app"))
        'SUPPORTFLOW_GOOGLE_REVIEWS_CLIENT_ID'
    """
    return f"SUPPORTFLOW_{network}_{need.name}".upper().replace("-", "_")


def listed() -> Iterator[str]:
    """Yield a line for every channel that is installed."""
    names = sorted({offer.name for offer in entry_points(group="supportflow.channels")})
    width = max(map(len, names), default=0)
    for name in names:
        setup = getattr(load(name), "setup", None)
        yield f"{name:{width}}  {setup.summary if isinstance(setup, Setup) else '(says nothing)'}"


def lines(
    network: str, environment: Mapping[str, str] = os.environ, *, offline: bool = False
) -> tuple[list[str], bool]:
    """Describe a channel's set-up, and check what is given of it.

    Args:
        network: The channel's name in the entry points.
        environment: Where the credentials are; secrets are read, and never shown.
        offline: True asks the platform nothing.

    Returns:
        The lines, of which those that somebody must do something about begin with `!!`, and
        whether there is none of them.

    Raises:
        NotFound: If no installed package offers the channel.
    """
    kind = load(network)
    setup = getattr(kind, "setup", None)
    if not isinstance(setup, Setup):
        return [f"{network}: its package says nothing of its set-up; read its documentation"], True
    found = [setup.summary, "", *_steps(setup), *_needs(network, setup, environment)]
    missing = [n for n in setup.needs if n.required and not environment.get(variable(network, n))]
    if missing:
        names = ", ".join(variable(network, need) for need in missing)
        return [*found, "", f"!!  not checked: set {names}"], False
    told, well = _checked(kind, network, setup, environment, offline=offline)
    return [*found, "", *told], well


def _steps(setup: Setup) -> Iterator[str]:
    if setup.steps:
        yield "At the platform:"
    for number, step in enumerate(setup.steps, 1):
        yield from _wrapped(f"{number}. ", step)
    if setup.scopes:
        yield from ("", "Permissions to ask for:")
    for scope, why in setup.scopes.items():
        yield from _wrapped("- ", f"{scope}: {why}")
    if setup.webhook:
        yield from ("", "Webhook:")
        yield from _wrapped("  ", setup.webhook)
    if setup.guide:
        yield from ("", f"The platform's own guide: {setup.guide}")


def _needs(network: str, setup: Setup, environment: Mapping[str, str]) -> Iterator[str]:
    if setup.needs:
        yield from ("", "The channel is built with these; set each to have it checked here:")
    for need in setup.needs:
        name = variable(network, need)
        there = "set" if environment.get(name) else "not set" if need.required else "optional"
        yield from _wrapped("  ", f"{name} ({there}): {need.what}")


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * max(len(first), 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _checked(
    kind: type[Any],
    network: str,
    setup: Setup,
    environment: Mapping[str, str],
    *,
    offline: bool,
) -> tuple[list[str], bool]:
    given = {n.name: environment.get(variable(network, n)) for n in setup.needs}
    try:
        channel = kind(**{name: value for name, value in given.items() if value})
    except InvalidValue as error:
        return [f"!!  {error}"], False
    told = list(_traits(channel.traits))
    if offline or not isinstance(channel, Checks):
        return told, True
    with closing(Transport()) as transport:
        try:
            health = run(channel.check(), transport.send)
        except SupportflowError as error:
            return [*told, f"!!  {type(error).__name__}: {error}"], False
    return [*told, *_health(health)], health.ok


def _traits(traits: Traits) -> Iterator[str]:
    yield f"    texts of at most {traits.max_text} ({traits.counting})"
    for what, instead in traits.unsupported.items():
        yield from _wrapped("    ", f"no {what}: {instead}")


def _health(health: Health) -> Iterator[str]:
    yield from (f"!!  {problem}" for problem in health.problems)
    yield from (f"ok  {note}" for note in health.notes)
    if health.expires_at is not None:
        yield f"    the credentials end at {health.expires_at:%Y-%m-%d %H:%M} UTC"
    if health.ok:
        yield "ok  it works"
