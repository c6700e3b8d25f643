"""Write a package for a channel of one's own, which keeps the contract of channels from the start."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import entry_points
from keyword import iskeyword
from pathlib import Path

from supportflow.errors import InvalidValue

__all__ = ["new_channel"]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 40
#: The words of the example that are its own.
_OWN = re.compile(r"supportflow-teahouse|teahouse\.example|[tT]eahouse")
_IMPORTS = re.compile(r"^from (?!supportflow_teahouse)\S+ import (.*)$", re.MULTILINE)
#: The example is the template: in a wheel it lies beside this file, in a checkout with the others.
_PLACES = (
    Path(__file__).with_name("own_channel"),
    Path(__file__).parents[3] / "examples" / "own_channel",
)
_FILES = (
    "pyproject.toml",
    "README.md",
    "src/supportflow_teahouse/__init__.py",
    "tests/test_teahouse.py",
)


def new_channel(name: str, folder: Path) -> list[Path]:
    """Write a package whose tests pass, for its author to put a service into.

    It is the finished package of the guide's page "Write a channel in an evening", under
    another name; its README says what to change.

    Args:
        name: The network's name as code would spell it, for example `"tea_house"`.
        folder: Where the package's own folder, `supportflow-` and the name, is made.

    Returns:
        What was written.

    Raises:
        InvalidValue: If the name cannot be one, or is taken, or the folder is there already or
            cannot be made. Nothing that was there is changed.
    """
    source = next(place for place in _PLACES if place.is_dir())
    texts = {file: (source / file).read_text("utf-8") for file in _FILES}
    dashed, camel = name.replace("_", "-"), "".join(part.title() for part in name.split("_"))
    _usable(name, camel, texts.values())
    words = {
        "supportflow-teahouse": f"supportflow-{dashed}",
        "teahouse.example": f"{dashed}.example",
        "teahouse": name,
        "Teahouse": camel,
    }
    home = folder / f"supportflow-{dashed}"
    written = []
    try:
        home.mkdir()
        for file, text in texts.items():
            path = home / file.replace("teahouse", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_OWN.sub(lambda found: words[found[0]], text), "utf-8", newline="\n")
            written.append(path)
    except FileExistsError:
        raise InvalidValue(f"{home} is there already; take it away, or choose another") from None
    except OSError as error:
        raise InvalidValue(f"{home} cannot be written: {error.strerror}") from None
    return written


def _usable(name: str, camel: str, texts: Iterable[str]) -> None:
    """Refuse what cannot be a channel's name, or would hide another one in its own module."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or iskeyword(name):
        raise InvalidValue(
            f"{name!r:.60} cannot name a channel: use at most {_LONGEST} lower-case letters, "
            "digits and single underscores, beginning with a letter, as in 'tea_house'"
        )
    imported = {word for text in texts for line in _IMPORTS.findall(text) for word in line.split()}
    if iskeyword(camel) or camel in {word.strip(",") for word in imported}:
        raise InvalidValue(f"{name!r} would name a class {camel}, which means something else")
    taken = {offer.name: offer.value for offer in entry_points(group="supportflow.channels")}
    if name in taken:
        raise InvalidValue(f"there is a channel {name!r} already, {taken[name]}; choose another")
