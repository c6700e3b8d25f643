"""A wall keeps what was written: one level deep, for as long as it is there, shown late on request."""

from datetime import UTC, datetime, timedelta

import pytest

from supportflow.testing.platforms.faults import Fault
from supportflow.testing.platforms.meta_comments import Wall, changed
from supportflow.testing.platforms.meta_graph import GraphError
from supportflow.testing.platforms.meta_payloads import write_body

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("long", [True, False])
def test_ids_name_what_they_are_part_of_where_they_are_long(long):
    """As Facebook's do, and Instagram's do not."""
    wall = Wall("77", lambda: NOON, long=long)
    post = wall.post("77", "Lamps")
    comment = wall.comment("5", "Hi", post.id)
    assert long is post.id.startswith("77_")
    assert long is comment.id.startswith(post.id.removeprefix("77_") + "_")


def test_answers_are_one_level_deep():
    """One beneath an answer stands beside it; what was removed is not shown."""
    wall = Wall("77", lambda: NOON, long=True)
    root = wall.comment("5", "Hi", wall.post("77", "Lamps").id)
    first = wall.comment("77", "Hello", root.id)
    second = wall.comment("5", "Thanks", first.id)
    assert [first, second] == [*wall.beneath(root.id)]
    first.removed = True
    assert [second] == [*wall.beneath(root.id)]
    assert wall.find(first.id) is None


def test_a_late_one_is_shown_later():
    """After some reads, or after some time."""
    now = [NOON]
    wall = Wall("77", lambda: now[0], long=True)
    post = wall.post("77", "Lamps")
    wall.comment("77", "One", post.id, fault=Fault(kind="lag", accept=True, reads=1))
    assert [0, 1] == [len(wall.beneath(post.id)), len(wall.beneath(post.id))]
    lasts = Fault(kind="lag", accept=True, lasts=timedelta(minutes=1))
    wall.comment("77", "Two", post.id, fault=lasts)
    assert 1 == len(wall.beneath(post.id))
    now[0] += timedelta(minutes=1)
    assert 2 == len(wall.beneath(post.id))


def test_one_private_answer():
    """Not to ourselves, not twice, not after seven days."""
    now = [NOON]
    wall = Wall("77", lambda: now[0], long=True)
    post = wall.post("77", "Lamps")
    asked, late = (wall.comment("5", "Hi", post.id) for _ in range(2))
    wall.answer_privately(asked)
    now[0] += timedelta(days=7, seconds=1)
    for about, code in ((asked, 10900), (late, 10903), (post, 10903)):
        with pytest.raises(GraphError) as refused:
            wall.answer_privately(about)
        assert code == refused.value.code


def test_changes_have_entries_of_their_own():
    """In seconds, apart from private messages, whose entries are in milliseconds."""
    event = changed("feed", "5", NOON, {"item": "comment", "photo": None})
    body = write_body("page", "77", [event], NOON)
    entry = f'{{"id":"77","time":{int(NOON.timestamp())},"changes":'
    assert entry.encode() in body
    assert b'[{"field":"feed","value":{"item":"comment"}}]' in body
