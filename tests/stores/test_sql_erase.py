"""Prove by searching its files that an erased customer is nowhere in them."""

import random
import resource
import sqlite3
from contextlib import closing

import pytest

from supportflow.errors import StoreUnavailable
from supportflow.model import Author, CustomerRef, Receipt
from supportflow.stores import Messages, RowState, Settlement
from supportflow.stores.sqlite import SQLiteStore
from supportflow.testing.store_samples import (
    CHANNEL,
    START,
    batch,
    continued,
    opened,
    posting,
    quarantined,
    said,
)

CUSTOMERS = 40


@pytest.fixture
def path(tmp_path):
    """Return where the file is to be."""
    return tmp_path / "support.db"


@pytest.fixture
def store(path):
    """Return a store in which each of 40 customers wrote much, and each row grew and moved."""
    store = SQLiteStore(path)
    store._connection.execute("PRAGMA secure_delete = OFF")  # some systems have it on
    dice = random.Random(20260302)
    conversations = {}
    for turn in range(5):
        for number in dice.sample(range(CUSTOMERS), CUSTOMERS):
            conversations[number] = write(store, number, turn, conversations.get(number), dice)
    yield store
    store.close()


def secrets(number):
    """Return what must be nowhere after the customer is erased."""
    names = ("customer", "Olaug", "handle", "thread", "status", "word", "draft", "remote", "link")
    return [f"{name}-{number:04d}-secret".encode() for name in names]


def write(store, number, turn, before, dice):
    """Write one message of a customer, a reply to it, and what was kept of both."""
    secret = f"-{number:04d}-secret"
    author = Author(f"customer{secret}", f"Olaug{secret}", f"handle{secret}")
    thread = f"thread{secret} of customer{secret}"
    first = opened(author.id, thread) if before is None else None
    home = (before or first.after).id
    marks = tuple(f"breach:{home}:{dice.random()}" for _ in range(dice.randrange(20)))
    written = first or continued(before, announced=marks)
    message = said(
        f"status{secret}-{turn}",
        written.after,
        text=f"word{secret} " * dice.randrange(1, 200),
        author=author,
        permalink=f"https://example.social/link{secret}",
        raw=f'{{"from": "customer{secret}"}}',
    )
    row = posting(
        f"row-{number}-{turn}", written.after, text=f"draft{secret} " * dice.randrange(50)
    )
    store.commit(
        batch(
            written,
            messages=(message,),
            postings=(row,),
            once={f"reply:{written.after.id}:{turn}": written.after.id},
            quarantine=(
                quarantined(f"q-{number}-{turn}", raw=f'{{"a": "customer{secret}"}}'.encode()),
            ),
        )
    )
    receipt = Receipt(f"remote{secret}-{turn}", START, f"https://example.social/link{secret}")
    store.commit(
        batch(
            messages=(said(receipt.id, written.after, text=f"draft{secret}"),),
            settlements=(Settlement(row.outgoing.id, 0, RowState.sent, receipt),),
        )
    )
    return written.after


def found(path, number):
    """Return which secrets of a customer are in the bytes of any file beside the database."""
    content = b"\0".join(file.read_bytes() for file in sorted(path.parent.iterdir()))
    return [secret for secret in secrets(number) if secret in content]


def erase(store, number):
    """Erase a customer."""
    store.erase(CustomerRef(CHANNEL, f"customer-{number:04d}-secret"))


def test_no_byte_of_an_erased_customer_is_left(store, path):
    """Words, names and ids are in no file of the store, nor in its log; others keep theirs."""
    assert all(secrets(number) == found(path, number) for number in range(CUSTOMERS))
    for number in (0, 7, 39):
        erase(store, number)
        assert [] == found(path, number)
    assert all(secrets(number) == found(path, number) for number in (1, 8, 38))
    assert [("ok",)] == store._connection.execute("PRAGMA integrity_check").fetchall()
    assert [] == store._connection.execute("PRAGMA foreign_key_check").fetchall()


def test_who_reads_delays_the_cleaning(store, path):
    """While another process reads old pages the error says to erase again, and that finishes it."""
    store._connection.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM message").fetchall()
        with pytest.raises(
            StoreUnavailable, match=r"is erased.*erase again when this is put right"
        ):
            erase(store, 3)
        other.execute("COMMIT")
    assert "word-0003" not in repr(store.find(Messages(limit=9999)))
    erase(store, 3)
    assert [] == found(path, 3)


def test_a_full_disk_delays_the_cleaning(store, path):
    """Without room to write the file anew the error says so, and erasing again finishes it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    told = []
    try:
        for size in range(0, 40_000_000, 200_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            try:
                erase(store, 3)
                break
            except StoreUnavailable as error:
                told.append(str(error))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert any("Nothing was changed" in text and "is erased" not in text for text in told)
    assert any("erase again" in text for text in told)
    assert [] == found(path, 3)
    assert secrets(4) == found(path, 4)


def test_a_stranger_is_erased_without_trace(store, path):
    """Erasing somebody unknown changes nothing that can be read."""
    before = repr(store.find(Messages(limit=9999)))
    store.erase(CustomerRef(CHANNEL, "nobody"))
    assert before == repr(store.find(Messages(limit=9999)))


def test_a_store_in_memory_erases(path):
    """Without a file there is nothing to clean, and erasing works."""
    with closing(SQLiteStore(":memory:")) as store:
        write(store, 1, 0, None, random.Random(1))
        erase(store, 1)
        assert "secret" not in repr(store.find(Messages()))
