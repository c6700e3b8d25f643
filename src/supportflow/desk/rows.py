"""Find the outbox rows of a reply, and take back those that have not left."""

from __future__ import annotations

from collections.abc import Iterable

from supportflow.desk.core import Core, load
from supportflow.desk.settle import FINAL
from supportflow.errors import Conflict, NotFound
from supportflow.flow import Program
from supportflow.stores import Row, RowState, Settlement, Wanted
from supportflow.text import storable

__all__ = ["check_still", "rows_of", "taken_back"]


def rows_of(core: Core, *replies: str) -> Program[tuple[Row, ...]]:
    """Load every row of some replies, in their order.

    Args:
        core: The desk's core.
        replies: The command ids of replies, or ids of rows of theirs.

    Raises:
        NotFound: If there is none.
    """
    loaded = yield from load(core, Wanted(rows=replies, replies=replies))
    if not loaded.rows:
        raise NotFound(f"no reply and no outbox row is called {', '.join(replies)!r:.200}")
    wanted = tuple({row.posting.reply: None for row in loaded.rows.values()})
    loaded = yield from load(core, Wanted(replies=wanted))
    return tuple(sorted(loaded.rows.values(), key=lambda row: (row.posting.stream, row.seq)))


def check_still(rows: Iterable[Row]) -> None:
    """Refuse to decide about rows that somebody is sending.

    Args:
        rows: Some rows.

    Raises:
        Conflict: If one is leaving.
    """
    for row in rows:
        if row.state in {RowState.claimed, RowState.sending}:
            raise Conflict(
                f"part {row.posting.part + 1} of reply {row.posting.reply!r} is leaving at this "
                "moment; look again in a moment"
            )


def taken_back(rows: Iterable[Row], why: str) -> tuple[Settlement, ...]:
    """Return what cancels the rows that have not left; what was told stays told.

    Args:
        rows: Some rows.
        why: The reason.

    Raises:
        Conflict: If one is leaving.
    """
    open_rows = [row for row in rows if row.state not in FINAL]
    check_still(open_rows)
    return tuple(
        Settlement(row.id, row.fence, RowState.cancelled, error=storable(why), hold="")
        for row in open_rows
    )
