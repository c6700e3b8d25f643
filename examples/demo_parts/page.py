"""Where the story is written: aligned, in colour on a terminal that has rich, else plain."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

try:
    from rich.console import Console
    from rich.text import Text
except ImportError:  # it is optional: without it there is no colour
    Console = Text = None  # type: ignore[assignment,misc]  # says that it is not there

__all__ = ["Page", "isolated", "width", "wrapped"]

WIDEST = 100
_MARGIN = 18  # "  09:00  Shirin   "
# Right-to-left text stands between these, so that it reorders nothing around it (UAX 9).
_RLI, _PDI = "\u2067", "\u2069"
_JOINERS = "\u200c\u200d"  # Persian and Hindi need them; other invisible characters stay out

Span = tuple[str, str]


def width(text: str) -> int:
    """Count the columns that a text takes: marks take none, wide scripts two a character.

    Args:
        text: One line.
    """
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.category(c) in ("Mn", "Me", "Cf") for c in text)


def wrapped(text: str, columns: int) -> Iterator[str]:
    """Yield the lines of a text, broken between words.

    Args:
        text: The text.
        columns: How wide a line may be.
    """
    line = ""
    for word in text.split():
        if line and width(line) + 1 + width(word) > columns:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def isolated(text: str) -> str:
    """Return a line that disturbs nothing: no control characters, right-to-left text isolated.

    Args:
        text: Anybody's words.
    """
    plain = "".join(c for c in text if c.isprintable() or c in _JOINERS)
    turned = any(unicodedata.bidirectional(c) in ("R", "AL") for c in plain)
    return f"{_RLI}{plain}{_PDI}" if turned else plain


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


class Page:
    """Write lines to the standard output."""

    def __init__(self) -> None:
        columns = shutil.get_terminal_size((WIDEST, 24)).columns if sys.stdout.isatty() else WIDEST
        self._columns = max(60, min(columns, WIDEST))
        self._console = _console()

    def title(self, text: str) -> None:
        """Write the title.

        Args:
            text: The words.
        """
        self._write([(text, "bold")])

    def heading(self, text: str) -> None:
        """Begin an act.

        Args:
            text: The words.
        """
        self._write([])
        self._write([(text, "bold cyan")])

    def entry(self, at: str, who: str, text: str, style: str = "") -> None:
        """Write what somebody did.

        Args:
            at: When, as `09:07`.
            who: Who.
            text: What.
            style: How rich shows it.
        """
        first, *more = wrapped(text, self._columns - _MARGIN)
        head = f"  {at}  {_padded(who, _MARGIN - 10)} "
        self._write([(head[:9], "dim"), (head[9:], f"bold {style}"), (first, style)])
        self._indented(more, style)

    def quote(self, text: str, means: str = "") -> None:
        """Write somebody's words, and what they mean.

        Args:
            text: The words.
            means: The same in English, if it is not.
        """
        lines = [isolated(line) for line in wrapped(text, self._columns - _MARGIN - 2)]
        lines[0] = f"“{lines[0]}"
        lines[-1] = f"{lines[-1]}”"
        self._indented(lines, "italic")
        if means:
            self.aside(f"({means})")

    def aside(self, text: str, style: str = "dim") -> None:
        """Write a remark.

        Args:
            text: The words.
            style: How rich shows it.
        """
        self._indented(wrapped(text, self._columns - _MARGIN), style)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table.

        Args:
            head: The names of the columns.
            rows: What stands in them.
        """
        body = [tuple(row) for row in rows]
        widths = [max(map(width, column)) for column in zip(head, *body, strict=True)]
        for row, style in [(tuple(head), "bold"), *((row, "") for row in body)]:
            cells = (_padded(cell, wide) for cell, wide in zip(row, widths, strict=True))
            self._write([("  ".join(cells).rstrip(), style)])

    def end(self, text: str, *, well: bool) -> None:
        """Write the last line.

        Args:
            text: The words.
            well: Whether it ended well.
        """
        self._write([])
        self._write([(text, "bold green" if well else "bold red")])

    def _indented(self, lines: Iterable[str], style: str) -> None:
        for line in lines:
            self._write([(" " * _MARGIN, ""), (line, style)])

    def _write(self, spans: Sequence[Span]) -> None:
        if self._console is None:
            print("".join(text for text, _ in spans).rstrip())
        else:
            self._console.print(Text.assemble(*spans), soft_wrap=True)


def _console() -> Any:
    """Return rich's console where there is a terminal that wants colour, or None."""
    if Console is None or "NO_COLOR" in os.environ:
        return None
    console = Console(highlight=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None
