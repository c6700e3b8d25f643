"""Serve eight customers on two local platforms, and check every word that is said about it.

    python examples/demo.py

A strict local Mastodon and Messenger listen on loopback. The real desk and the real adapters
serve them from an SQLite file; one clock, which the story moves, is everybody's. Each line is
read back from the store or from what the platforms accepted, and compared. It ends with 0, or
with 1 if anything is not as it says.
"""

from __future__ import annotations

import io
import logging
import sys

from demo_parts.acts import ACTS
from demo_parts.checks import Book, Check
from demo_parts.ending import Seen, conclude, look
from demo_parts.page import Page
from demo_parts.stage import on_stage
from demo_parts.telling import Teller

__all__ = ["main", "play"]


def play(page: Page) -> tuple[Book, Seen]:
    """Play the story, and return its checks and what was there at its end.

    Args:
        page: Where it is written.
    """

    def tell(check: Check) -> None:
        page.aside(f"NOT SO: {check}", "bold red")

    book = Book(tell)
    with on_stage() as stage:
        teller = Teller(stage, page, book)
        for act in ACTS:
            act(teller)
        return book, look(stage)


def main() -> int:
    """Play the story, and return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # The story tells of every alarm itself.
    logging.getLogger("supportflow").propagate = False
    page = Page()
    page.title("supportflow: eight customers, two networks, four languages, one desk")
    book, seen = play(page)
    return conclude(page, book, seen)


if __name__ == "__main__":
    sys.exit(main())
