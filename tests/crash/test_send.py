"""Senders are killed, cancelled and lied to: every reply is posted at most once, and none is lost.

`sender.py` does the killing, in processes of its own. The judge here asks only two witnesses when
all is over: what the platforms know that they accepted, and what the file says of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import attrs
import pytest

from supportflow.events import Told
from supportflow.stores import Outbox, Row, RowState, Store, Wanted
from supportflow.stores.sqlite import SQLiteStore

#: How long a reply that may be there holds the next one (RELIABILITY G8).
HOLD_FOR = timedelta(minutes=10)

# --- the judge ---------------------------------------------------------------------------


@attrs.frozen
class Post:
    """Hold one post of ours as its platform knows it."""

    mark: str
    id: str
    at: datetime


def posts_in(truth: Iterable[dict[str, Any]]) -> list[Post]:
    """Return what our own application posted, in the platform's order."""
    ours = [post for post in truth if post.get("via") == "client" or post.get("via_api")]
    return [
        Post(
            post.get("key") or post["metadata"],
            post.get("id") or post["mid"],
            datetime.fromisoformat(post["at"]),
        )
        for post in ours
    ]


@attrs.frozen
class Verdict:
    """Say what is wrong; all zero if nothing is.

    Args:
        duplicates: Posts beyond a reply's first.
        strangers: Posts that no reply asked for.
        lost: Replies that are neither sent nor shown as uncertain or waiting for a person.
        unproved: Replies that are called sent and have no receipt for a post of their own.
        unsaid: Replies whose post is known to the file and not to its conversation's log, once.
        disordered: Replies that came before an earlier one that should have held them.
        gaps: Conversations whose log is not whole.
    """

    duplicates: int = 0
    strangers: int = 0
    lost: int = 0
    unproved: int = 0
    unsaid: int = 0
    disordered: int = 0
    gaps: int = 0


def is_shown(row: Row) -> bool:
    """Say whether a person sees that this is not known, or waits for them."""
    return row.state is RowState.unknown or row.posting.hold is not None


def judged(store: Store, posts: list[Post], asked: Iterable[tuple[str, int]]) -> Verdict:
    """Compare what was asked for, what the platforms took, and what the store says."""
    rows = {(r.posting.reply, r.posting.part): r for r in store.find(Outbox(limit=10_000)).rows}
    took = Counter(post.mark for post in posts)
    marks = {row.posting.outgoing.mark for row in rows.values()}
    sent = [row for row in rows.values() if row.state is RowState.sent]
    proofs = {(post.mark, post.id) for post in posts}
    streams = {row.posting.stream for row in rows.values()}
    return Verdict(
        duplicates=sum(count - 1 for count in took.values()),
        strangers=len(took.keys() - marks),
        lost=sum(
            key not in rows or not (rows[key].state is RowState.sent or is_shown(rows[key]))
            for key in asked
        ),
        unproved=sum((r.posting.outgoing.mark, r.remote_id) not in proofs for r in sent),
        unsaid=len(Counter(keys_of(sent)) - told(store, streams)),
        disordered=sum(disorder(posts, rows.values())),
        gaps=sum(not is_whole(store, stream) for stream in streams),
    )


def keys_of(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """Return which parts of which replies these are."""
    return [(row.posting.reply, row.posting.part) for row in rows]


def told(store: Store, streams: Iterable[str]) -> Counter[tuple[str, int]]:
    """Return how often the logs say of each part that it is there."""
    events = [recorded.event for stream in streams for recorded in store.log(0, stream, 10_000)]
    said = Counter((event.reply, event.part) for event in events if isinstance(event, Told))
    return Counter({key: 1 for key, count in said.items() if count == 1})


def disorder(posts: list[Post], rows: Iterable[Row]) -> Iterable[bool]:
    """Say of each two replies of a conversation whether the later one came too early."""
    first = {post.mark: (place, post) for place, post in reversed(list(enumerate(posts)))}
    streams = defaultdict[str, list[Row]](list)
    for row in sorted(rows, key=lambda row: row.seq):
        if row.posting.outgoing.mark in first:
            streams[row.posting.stream].append(row)
    for stream in streams.values():
        for earlier, later in combinations(stream, 2):
            place, _ = first[earlier.posting.outgoing.mark]
            after, post = first[later.posting.outgoing.mark]
            yield after < place and post.at < earlier.first_sent_at + HOLD_FOR


def is_whole(store: Store, conversation: str) -> bool:
    """Say whether a log has every version up to its conversation's, each once."""
    head = store.load(Wanted(conversations=(conversation,))).conversations[conversation]
    versions = [recorded.version for recorded in store.log(0, conversation, 10_000)]
    return versions == list(range(1, head.version + 1))


# --- killed ------------------------------------------------------------------------------


def campaign(path: Path, kills: int, bug: str = "") -> tuple[Verdict, dict[str, Any]]:
    """Let `sender.py` kill workers, and judge what has become of the replies."""
    # What is killed measures no coverage: it would only be slower.
    alone = {name: v for name, v in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("sender.py"), path, str(kills), bug],
        capture_output=True,
        check=False,
        env=alone,
        text=True,
        timeout=300,
    )
    assert ("", 0) == (done.stderr, done.returncode)
    report = json.loads(done.stdout)
    posts = [post for truth in report["truth"].values() for post in posts_in(truth)]
    with closing(SQLiteStore(path)) as store:
        return judged(store, posts, [(reply, part) for reply, part in report["rows"]]), report


@pytest.mark.xdist_group("crash")
def test_no_kill_doubles_or_loses_a_reply(tmp_path: Path) -> None:
    """After 300 kills at every point of sending, on both networks, while a fifth of all requests
    meets a fault, no reply was posted twice, none is lost, and no log has a gap.
    """
    verdict, report = campaign(tmp_path / "support.db", 300)

    assert Verdict() == verdict
    assert report["killed"]
