"""Prove that what is asked often finds its rows by an index, and touches none when there are none."""

import pytest

from supportflow.errors import InvalidValue
from supportflow.model import CustomerRef
from supportflow.stores import Conversations, Messages, Outbox, Quarantine, Work, WorkKind
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import CHANNEL, START, at, batch, opened, posting


@pytest.fixture
def store(clock):
    """Return a fresh store."""
    store = SQLiteStore(":memory:", clock)
    yield store
    store.close()


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return lambda: START


def plan(store, ask):
    """Return how SQLite finds the rows of what is asked, as one text."""
    asked = []
    store._connection.set_trace_callback(asked.append)
    ask()
    store._connection.set_trace_callback(None)
    selects = [sql for sql in asked if sql.startswith("SELECT")]
    return "\n".join(
        row[3] for sql in selects for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}")
    )


QUERIES = {
    "due": (Conversations(due_before=START), "SEARCH c USING INDEX conversation_due"),
    "due, page 2": (
        Conversations(due_before=START, after="1:1"),
        "SEARCH c USING INDEX conversation_due",
    ),
    "unanswered": (Conversations(unanswered=True), "SEARCH c USING INDEX conversation_unanswered"),
    "unanswered, page 2": (
        Conversations(unanswered=True, after="1:1"),
        "SEARCH c USING INDEX conversation_unanswered",
    ),
    "all, page 2": (Conversations(after="1:1"), "SEARCH c USING INDEX conversation_opened"),
    "of a customer": (
        Conversations(customer=CustomerRef(CHANNEL, "c")),
        "SEARCH c USING INDEX conversation_customer",
    ),
    "history": (Messages(conversation="a/b/c#0"), "SEARCH m USING INDEX message_conversation"),
    # of those that are not settled, which are few
    "overdue": (Outbox(overdue=START), "SCAN o USING INDEX outbox_unsettled"),
    "replies": (Outbox(conversation="a/b/c#0"), "SEARCH o USING INDEX outbox_conversation"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_page_is_found_by_its_index(store, name):
    """The query uses the index that was made for it, and never reads a whole table."""
    query, index = QUERIES[name]
    found = plan(store, lambda: store.find(query))
    assert index in found
    assert not {"SCAN c", "SCAN m", "SCAN o"} & {*found.splitlines()}


def test_due_and_unanswered_come_out_sorted(store):
    """The index gives the order: no sorting, however many are due."""
    for query in (Conversations(due_before=START), Conversations(unanswered=True)):
        assert "ORDER BY" not in plan(store, lambda query=query: store.find(query))


@pytest.mark.parametrize("kind", [WorkKind.send, WorkKind.reconcile, WorkKind.reap])
def test_work_is_found_by_its_index(store, kind):
    """Claiming searches the rows that are not settled, and earlier ones of a stream by its place."""
    worker = store.worker()
    found = plan(store, lambda: store.claim(Work(kind, (CHANNEL,)), worker, 10))
    assert "SEARCH o USING INDEX outbox_due (state=" in found
    assert "SCAN o" not in found.splitlines()
    if kind is WorkKind.send:
        assert "SEARCH e USING INDEX outbox_open (stream=? AND seq<?)" in found


def steps(store, ask):
    """Return how many steps of SQLite's machine something takes."""
    count = 0

    def step():
        nonlocal count
        count += 1

    store._connection.set_progress_handler(step, 1)
    ask()
    store._connection.set_progress_handler(None, 0)
    return count


def test_nothing_due_touches_no_row(store):
    """Asking for what is due, overdue or to be sent takes the same steps with 5 rows as with 500."""
    worker = store.worker()
    idle = (
        lambda: store.find(Conversations(due_before=START)),
        lambda: store.claim(Work(WorkKind.send, (CHANNEL,)), worker, 100),
        lambda: store.claim(Work(WorkKind.reap), worker, 100),
    )
    measured = []
    for first, last in ((0, 5), (5, 500)):
        written = [
            opened(f"c{number}", str(number), waiting_since=START, next_due_at=at(60))
            for number in range(first, last)
        ]
        rows = [posting(f"row-{w.after.thread}", w.after, not_before=at(60)) for w in written]
        store.commit(batch(*written, postings=tuple(rows)))
        measured.append([steps(store, ask) for ask in idle])
    assert measured[0] == measured[1]


@pytest.mark.parametrize("query", [Conversations, Messages, Outbox, Quarantine])
@pytest.mark.parametrize("after", ["", "x", "1", "1:2:3", "1:x", '["a"]'])
def test_a_foreign_place_is_refused(store, query, after):
    """What was not `Results.after` is named."""
    with pytest.raises(InvalidValue, match=r"after is .*; pass `Results.after`"):
        store.find(query(after=after))
