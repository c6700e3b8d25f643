"""The command line: `python -m supportflow doctor|channel|new-channel`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from supportflow.desk import AsyncDesk, Desk
from supportflow.desk.health import DeskHealth
from supportflow.errors import InvalidValue, StoreError, SupportflowError

__all__ = ["main"]

_TARGET = """\
what to look at: an SQLite file, a postgresql:// address, or MODULE:NAME, the name of a desk,
of a store, or of a function without arguments that returns one
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit status.

    Args:
        arguments: What was written after the program's name; those of this process by default.

    Returns:
        0 if all is well, 1 if something is wrong, 2 if the command is.
    """
    parser = argparse.ArgumentParser(prog="python -m supportflow", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="say how a desk or a store is, and what to do")
    doctor.add_argument("target", metavar="TARGET", help=_TARGET)
    doctor.add_argument("--offline", action="store_true", help="do not ask the platforms")
    doctor.set_defaults(run=_doctor)
    channel = commands.add_parser(
        "channel", help="say what setting up a channel takes, and check it"
    )
    channel.add_argument("name", metavar="NAME", nargs="?", help="the network; all are listed")
    channel.add_argument("--offline", action="store_true", help="do not ask the platform")
    channel.set_defaults(run=_channel)
    new = commands.add_parser("new-channel", help="write a package for a network of your own")
    new.add_argument("name", metavar="NAME", help="the network, such as teahouse")
    new.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="where; here")
    new.set_defaults(run=_new_channel)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except SupportflowError as error:
        print(f"supportflow: {error}", file=sys.stderr)
        return 1 if isinstance(error, StoreError) else 2


def _doctor(given: argparse.Namespace) -> int:
    found = _health(_target(given.target), check_channels=not given.offline)
    for line in _lines(found):
        print(line)
    return 0 if found.ok else 1


def _channel(given: argparse.Namespace) -> int:
    from supportflow.cli.channel import lines, listed

    told, well = ([*listed()], True)
    if given.name is not None:
        told, well = lines(given.name, offline=given.offline)
    print(*told, sep="\n")
    return 0 if well else 1


def _new_channel(given: argparse.Namespace) -> int:
    from supportflow.cli.new_channel import new_channel

    written = new_channel(given.name, Path(given.folder))
    print(*written, sep="\n")
    print(f"Now read {written[0].parent / 'README.md'}")
    return 0


def _target(name: str) -> Any:
    """Open a store, or fetch what a module calls by that name."""
    if name.startswith(("postgresql://", "postgres://")):
        from supportflow.stores.postgres import PostgresStore

        return PostgresStore(name)
    if Path(name).is_file():
        from supportflow.stores.sqlite import SQLiteStore

        return SQLiteStore(name)
    module, separator, attribute = name.partition(":")
    if not separator:
        raise InvalidValue(f"{name} is no file, no postgresql:// address and no MODULE:NAME")
    sys.path.insert(0, "")  # as `python -m` finds modules: from where it is called
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidValue(f"{name} cannot be imported: {error}") from error
    return found() if callable(found) and not hasattr(found, "close") else found


def _health(target: Any, *, check_channels: bool) -> DeskHealth:
    """Ask a desk, or a desk without channels around a store; it is closed afterwards."""
    if isinstance(target, Desk):
        with target:
            return target.health(check_channels=check_channels)
    if isinstance(target, AsyncDesk):
        return asyncio.run(_asked(target, check_channels))
    if iscoroutinefunction(getattr(target, "find", None)):
        return asyncio.run(_asked(AsyncDesk(target), check_channels))
    if hasattr(target, "find"):
        return _health(Desk(target), check_channels=check_channels)
    raise InvalidValue(f"{type(target).__name__} is neither a desk nor a store")


async def _asked(desk: AsyncDesk, check_channels: bool) -> DeskHealth:
    async with desk:
        return await desk.health(check_channels=check_channels)


def _lines(found: DeskHealth) -> Iterator[str]:
    """Say it line by line; what somebody must do something about begins with `!!`."""
    for problem in found.problems:
        yield f"!!  {problem}"
    store = found.store
    if store is not None:
        took, skew = found.took / timedelta(milliseconds=1), found.skew.total_seconds()
        yield f"ok  store: schema {store.schema}, answers in {took:.0f} ms, clock {skew:+.1f} s"
        counts = ("pending", "unknown", "held", "overdue")
        yield f"    outbox: {', '.join(f'{getattr(store, what)} {what}' for what in counts)}"
        yield f"    quarantine: {store.quarantined}"
        if store.unanswered_since is not None:
            yield f"    waiting longest since {store.unanswered_since:%Y-%m-%d %H:%M:%S} UTC"
    for name, one in sorted(found.channels.items()):
        for problem in one.problems:
            yield f"!!  {name}: {problem}"
        if not one.problems:
            notes = "; ".join(one.checked.notes) if one.checked else "not asked"
            yield f"ok  {name}: {notes or 'works'}"


if __name__ == "__main__":
    sys.exit(main())
