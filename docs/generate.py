"""Write the parts of the documentation that are made from the sources at every build."""

from collections.abc import Iterator
from pathlib import Path

import channels
import diagrams

import supportflow
from supportflow.desk.telemetry import NAMES
from supportflow.playbook import PLAYBOOKS

PACKAGE = Path(supportflow.__file__).parent

# How public things are made: programs, statements, the parts of a contract, local platforms.
INSIDE = (
    "supportflow.desk.",
    "supportflow.stores.",
    "supportflow.testing.platforms",
    "supportflow.testing.store_",
)
OUTSIDE = {
    "supportflow.stores.memory",
    "supportflow.stores.postgres",
    "supportflow.stores.sqlite",
    "supportflow.stores.threaded",
    "supportflow.testing.platforms.faults",
    "supportflow.testing.platforms.mastodon",
    "supportflow.testing.platforms.messages",
    "supportflow.testing.platforms.messenger",
    "supportflow.testing.platforms.server",
    "supportflow.testing.store_contract",
    "supportflow.testing.store_machine",
}

# A desk's operations stand in what both desks inherit.
DESKS = """
.. autoclass:: supportflow.desk.shells.Desk
   :inherited-members:
.. autoclass:: supportflow.desk.shells.AsyncDesk
.. autoclass:: supportflow.desk.shells.Options
"""


def playbooks() -> str:
    """Show every built-in playbook, drawn and as a table."""
    return "\n\n".join(
        f"### {book.name}\n\n{diagrams.drawing(book)}\n\n{diagrams.table(book)}"
        for book in PLAYBOOKS.values()
    )


def modules() -> Iterator[str]:
    """Yield the dotted name of every public module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if (name in OUTSIDE or not name.startswith(INSIDE)) and "._" not in name:
            yield name


def reference() -> str:
    """Ask for the docstrings of every public module, so that none can be forgotten."""
    return "\n\n".join(
        f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n"
        f"{DESKS if name == 'supportflow.desk' else ''}```"
        for name in modules()
    )


def lines() -> str:
    """List every name of a log line and of a counter, with what to do about it."""
    head = "| Name | What it means, and what to do |\n|---|---|\n"
    return head + "\n".join(f"| `{name}` | {meaning} |" for name, meaning in NAMES.items())


def write(folder: Path) -> None:
    """Write the generated parts into a folder that the pages include."""
    folder.mkdir(exist_ok=True)
    (folder / "channels.md").write_text(channels.table(), "utf-8")
    (folder / "playbooks.md").write_text(playbooks(), "utf-8")
    (folder / "reference.md").write_text(reference(), "utf-8")
    (folder / "lines.md").write_text(lines(), "utf-8")
