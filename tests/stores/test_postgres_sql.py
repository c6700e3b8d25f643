"""Prove that the log is followed without loss, and that looking for what is due touches nothing else."""

import re
import threading
from contextlib import closing

import pytest

from supportflow import PostgresStore
from supportflow.model import CustomerRef
from supportflow.stores import Conversations
from supportflow.stores.postgres_sql import POSTGRES, copied, translated
from supportflow.stores.sql_find import find
from supportflow.testing.store_samples import START, at, batch, continued, opened


@pytest.fixture
def store(postgres):
    """Return a store."""
    with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as store:
        yield store


def follow(store, after=0):
    """Return the positions of the log after a position."""
    return [recorded.position for recorded in store.log(after)]


def test_a_position_that_is_still_written_is_waited_for(store, postgres):
    """While a commit with an earlier position runs, nothing after it is shown, and nothing is lost."""
    store.commit(batch(opened("first")))
    gate = store._core._openings.commit.text
    with postgres.connect() as slow:
        slow.execute(gate)
        [(held,)] = slow.execute("SELECT nextval('event_position_seq')").fetchall()
        store.commit(batch(opened("second")))
        assert [held - 1] == follow(store)
        assert [held + 1] == [r.position for r in store.log(conversation=opened("second").after.id)]
        slow.execute("ROLLBACK")
    assert [held - 1, held + 1] == follow(store)


def test_others_transactions_hold_nobody(store, postgres):
    """An old transaction that writes no events, of whatever program, does not stop the log."""
    with postgres.connect() as other:
        other.execute("BEGIN; CREATE TABLE elsewhere (a int)")
        store.commit(batch(opened("first")))
        assert 1 == len(follow(store))
        other.execute("ROLLBACK")


def test_a_follower_misses_nothing(store, postgres):
    """Whoever follows by positions while four threads write meets every event, in order."""
    done = threading.Event()

    def write(number):
        for turn in range(25):
            store.commit(batch(opened(f"{number}-{turn}"), opened(f"x{number}-{turn}", "110")))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    seen = []

    def read():
        while True:
            over = done.is_set()
            page = follow(store, seen[-1] if seen else 0)
            seen.extend(page)
            if over and not page:
                return

    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert [(200,)] == postgres.ask("SELECT count(*) FROM event")
    assert sorted(set(seen)) == seen
    assert 200 == len(seen)


def test_the_horizon_survives_a_full_turn_of_its_key(store, postgres):
    """Beyond 2^32 events, whose positions no longer fit a lock's key, the log goes on."""
    postgres.ask("ALTER TABLE event ALTER position RESTART WITH 4294967290")
    for number in range(12):
        store.commit(batch(opened(f"c{number}")))
    assert [*range(4294967290, 4294967302)] == follow(store)
    with postgres.connect() as slow:
        slow.execute(store._core._openings.commit.text)
        [(held,)] = slow.execute("SELECT nextval('event_position_seq')").fetchall()
        store.commit(batch(opened("later")))
        assert held - 1 == follow(store)[-1]
        slow.execute("ROLLBACK")
    postgres.ask("ALTER TABLE event ALTER position RESTART WITH 1")


def test_nothing_due_touches_no_row(store, postgres):
    """Looking for due conversations reads one index, and no row, however many are open."""
    store.commit(batch(*(opened(f"c{n}", next_due_at=at(n)) for n in range(50, 550))))
    postgres.ask("ANALYZE conversation")
    for query, rows in (
        (Conversations(due_before=START), 0),
        (Conversations(due_before=at(52)), 3),
        (Conversations(unanswered=True), 0),
    ):
        asked = next(find(POSTGRES, query))
        [(plan,)] = postgres.ask(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {translated(asked.sql)}", *asked.params
        )
        text = str(plan)
        assert "Seq Scan" not in text
        assert "Index Scan" in text
        assert rows == plan[0]["Plan"]["Actual Rows"]
        assert not re.search(r"'Rows Removed by [^']*': [1-9]", text)


@pytest.mark.parametrize(
    "query",
    [
        Conversations(customer=CustomerRef("mastodon:shop", "c7")),
        Conversations(limit=5, after="0:1"),
        Conversations(due_before=at(9), after="0:1"),
    ],
)
def test_pages_read_an_index(store, postgres, query):
    """A page costs what stands on it, not what is stored."""
    store.commit(batch(*(opened(f"c{n}", minute=n, next_due_at=at(n)) for n in range(500))))
    postgres.ask("ANALYZE conversation")
    asked = next(find(POSTGRES, query))
    [(plan,)] = postgres.ask(f"EXPLAIN (FORMAT JSON) {translated(asked.sql)}", *asked.params)
    assert "Seq Scan" not in str(plan)


def test_only_new_rows_are_copied():
    """COPY does what an INSERT of values does, and nothing else."""
    assert copied("INSERT INTO a (b, c) VALUES (?, ?)") == "COPY a (b, c) FROM STDIN"
    for other in (
        "INSERT INTO a (b) VALUES (?) ON CONFLICT (b) DO NOTHING",
        "INSERT INTO a (b) VALUES (?) RETURNING b",
        "INSERT INTO a (b) SELECT value FROM c",
        "UPDATE a SET b = ? WHERE c = ?",
    ):
        assert copied(other) is None


def test_many_rows_are_copied(store, postgres):
    """Whatever stands in a text, and nothing at all, comes through COPY as through an INSERT."""
    texts = ["tab\t, newline\n, back\\slash, \\N", "", "\r\n", "æ 👩‍👩‍👧"]
    keys = {f"key {text}": text for text in texts}
    one = opened(assigned=None)
    store.commit(batch(one, opened("b", assigned="\\N"), opened("c", assigned=""), once=keys))
    assert sorted(keys.items()) == sorted(postgres.ask("SELECT key, result FROM once"))
    found = postgres.ask("SELECT customer, assigned FROM conversation ORDER BY customer")
    assert [("b", "\\N"), ("c", ""), (one.after.customer, None)] == found
    store.commit(batch(continued(one.after)))
