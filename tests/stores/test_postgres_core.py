"""Prove what a store on PostgreSQL does beyond the contract: its clock, its erasure, its words for conflicts."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import attrs
import psycopg
import pytest

from supportflow import PostgresStore
from supportflow.errors import Conflict
from supportflow.model import Author, CustomerRef, Receipt
from supportflow.stores import (
    ChannelChange,
    Quarantine,
    RowState,
    Settlement,
    Wanted,
    Work,
    WorkKind,
)
from supportflow.testing.store_samples import (
    CHANNEL,
    START,
    batch,
    opened,
    posting,
    quarantined,
    said,
)

COLUMNS = (
    "SELECT table_name, column_name, CASE data_type WHEN 'bytea' THEN"
    " format('encode(%%I, ''escape'')', column_name) ELSE format('%%I::text', column_name) END"
    " FROM information_schema.columns WHERE table_schema = %s"
)


@pytest.fixture
def store(postgres):
    """Return a store with the database's own clock."""
    with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as store:
        yield store


def test_the_database_tells_the_time(store):
    """Leases run by the server's own clock, in microseconds."""
    store.commit(batch(postings=(posting("a"),)))
    before = datetime.now(UTC)
    [claimed] = store.claim(Work(WorkKind.send, (CHANNEL,)), store.worker(), 1)
    assert store.begin(claimed)
    row = store.load(Wanted(rows=("a",))).rows["a"]
    after = datetime.now(UTC)
    margin = timedelta(milliseconds=5) if "127.0.0.1" in repr(store) else timedelta(minutes=1)
    assert before - margin <= row.first_sent_at <= after + margin
    assert before - margin <= row.lease_until - timedelta(seconds=120) <= after + margin


def write(store, number):
    """Write all that can be kept of a customer, and return words that lead back to them."""
    secret = f"-{number:04d}-secret"
    author = Author(f"customer{secret}", f"Olaug{secret}", f"handle{secret}")
    first = opened(author.id, f"thread{secret} of customer{secret}")
    home = first.after
    row = posting(f"row-{number}", home, text=f"draft{secret}")
    store.commit(
        batch(
            first,
            messages=(
                said(
                    f"status{secret}",
                    home,
                    text=f"word{secret}",
                    author=author,
                    permalink=f"https://example.social/link{secret}",
                    raw=f'{{"from": "customer{secret}"}}',
                ),
            ),
            postings=(row,),
            once={f"reply:{home.id}": home.id},
            quarantine=(quarantined(f"q{number}", raw=f'"customer{secret}"'.encode()),),
        )
    )
    receipt = Receipt(f"remote-{number}", START, permalink=f"https://example.social/sent{secret}")
    settlement = Settlement(row.outgoing.id, 0, RowState.sent, receipt)
    store.commit(batch(settlements=(settlement,)))
    return secret


def columns_with(postgres, secret):
    """Return the columns of all tables in which a word stands."""
    return {
        f"{table}.{column}"
        for table, column, text in postgres.ask(COLUMNS, postgres.name)
        if postgres.ask(f"SELECT 1 FROM {table} WHERE strpos({text}, %s) > 0", secret)
    }


def test_an_erased_customer_is_in_no_column(store, postgres):
    """Searching every column of every table finds nothing of the customer, and all of the others."""
    secrets = [write(store, number) for number in range(3)]
    before = columns_with(postgres, secrets[1])
    assert {
        "conversation.head",
        "conversation.snapshot",
        "event.body",
        "message.body",
        "message.raw",
        "once.key",
        "outbox.body",
        "quarantine.raw",
        "receipt.permalink",
    } <= before
    store.erase(CustomerRef(CHANNEL, f"customer{secrets[1]}"))
    assert set() == columns_with(postgres, secrets[1])
    assert before == columns_with(postgres, secrets[0]) == columns_with(postgres, secrets[2])


def test_erasing_waits_for_what_is_written(store, postgres):
    """A redelivery that is written at the same moment comes before, or is refused for ever."""
    with postgres.connect() as slow:
        slow.execute(store._core._openings.commit.text)
        quick = store._core._openings.erase.text.replace("10000", "20")
        erase = attrs.evolve(store._core._openings.erase, statements=tuple(quick.split("; ")))
        store._core._openings = attrs.evolve(store._core._openings, erase=erase)
        with pytest.raises(Exception, match="locked for too long"):
            store.erase(CustomerRef(CHANNEL, "ola@example.social"))
        slow.execute("ROLLBACK")
    store.erase(CustomerRef(CHANNEL, "ola@example.social"))


def test_commits_are_on_the_disk(postgres):
    """What was told to be committed survives a power cut, also where the server's default is hasty."""
    dsn = psycopg.conninfo.make_conninfo(
        postgres.dsn,
        options="-c synchronous_commit=off -c default_transaction_isolation=serializable",
    )
    with closing(PostgresStore(dsn, schema=postgres.name)) as store:
        store.worker()
        openings, driver = store._core._openings, store._core.driver
        connection = store._wire.run(driver._connections.lend())
        for opening in (openings.commit, openings.begin, openings.erase):
            connection.execute(opening.text)
            assert [("on",)] == connection.execute("SHOW synchronous_commit").fetchall()
            assert [("read committed",)] == connection.execute(
                "SHOW transaction_isolation"
            ).fetchall()
            connection.execute("ROLLBACK")
        store._wire.run(driver._connections.give_back(connection))
        session = driver._liveness._session
        assert [("on",)] == session.execute("SHOW synchronous_commit").fetchall()


CONFLICTS = {
    "conversation": ({"conversations": (opened(),)}, "the conversation .*#0 is already there"),
    "message": (
        {"messages": (said("1", None),)},
        r"the message \('mastodon:shop', 'status', '1', ''\) is already there",
    ),
    "once-key": ({"once": {"a": "b"}}, "the once-key 'a' is already there"),
    "row": ({"postings": (posting("b"),)}, "the outbox row 'b' is already there"),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict_names_what_was_there(store, name):
    """Whoever reads the log learns which of the many things in a page was written twice."""
    changes, told = CONFLICTS[name]
    store.commit(batch(**changes))
    with pytest.raises(Conflict, match=told):
        store.commit(batch(**changes, quarantine=(quarantined("q"),)))
    assert () == store.find(Quarantine()).quarantined


def test_a_channels_first_words_are_all_kept(store, postgres):
    """Two commits that are the first to say something of a channel lose nothing of each other."""
    with postgres.connect() as slow, slow.transaction():
        slow.execute("INSERT INTO channel (name) VALUES (%s)", (CHANNEL,))
    store.commit(batch(channels=(ChannelChange(CHANNEL, cursor="9"),)))
    store.commit(batch(channels=(ChannelChange(CHANNEL, needs_auth="expired"),)))
    [state] = store.load(Wanted(channels=(CHANNEL,))).channels.values()
    assert ("9", "expired") == (state.cursor, state.needs_auth)
