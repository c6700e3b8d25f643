"""Prove that the command line says how a desk or a store is, and what is wrong with a command."""

import sys

import pytest

from supportflow import Desk, MemoryStore, SQLiteStore
from supportflow.__main__ import main

APP = """
from supportflow import AsyncDesk, Desk, MemoryStore, threaded
from supportflow.channels.archive import Archive
from supportflow.stores import Changes, ChannelChange
from datetime import datetime, UTC

def desk():
    return Desk(MemoryStore(), [Archive("none.jsonl")])

def later():
    return AsyncDesk(threaded(MemoryStore()), [Archive("none.jsonl")])

def sick():
    store = MemoryStore()
    change = ChannelChange("archive", fault="there is no archive")
    store.commit(Changes(datetime.now(UTC), channels=(change,)))
    return Desk(store, [Archive("none.jsonl")])

store = MemoryStore()
async_store = threaded(MemoryStore())
number = 7
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Write a module beside the caller, as an application has one."""
    (tmp_path / "shop_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("shop_app", None)


def test_an_sqlite_file_is_looked_at(tmp_path, capsys):
    """Schema, time of answer, clock and outbox of a file, which stays as it is."""
    path = tmp_path / "support.db"
    SQLiteStore(path).close()
    assert 0 == main(["doctor", str(path)])
    out = capsys.readouterr().out
    assert "ok  store: schema 2, answers in" in out
    assert "outbox: 0 pending, 0 unknown, 0 held, 0 overdue" in out


@pytest.mark.parametrize("name", ["desk", "later", "store", "async_store"])
def test_what_a_module_offers_is_looked_at(app, capsys, name):
    """Desks and stores of either kind, themselves or made by a function."""
    assert 0 == main(["doctor", f"shop_app:{name}", "--offline"])
    out = capsys.readouterr().out
    assert "ok  store:" in out
    assert ("ok  archive: not asked" in out) == (name in {"desk", "later"})


def test_what_is_wrong_begins_with_marks_and_is_the_status(app, capsys):
    """A script sees the status, a person the lines."""
    assert 1 == main(["doctor", "shop_app:sick", "--offline"])
    assert "!!  archive: there is no archive" in capsys.readouterr().out


def test_who_waits_is_shown(tmp_path, capsys, build_waiting):
    """The customer who has waited longest is worth a line."""
    path = tmp_path / "support.db"
    build_waiting(path)
    assert 1 == main(["doctor", str(path)])
    out = capsys.readouterr().out
    assert "waiting longest since 2026-01-01 09:00:00 UTC" in out
    assert "!!  nobody has looked at a clock" in out


@pytest.fixture
def build_waiting():
    from datetime import UTC, datetime

    from supportflow.model import Author, Inbound, Message

    def build(path):
        message = Message(
            "net", "post", "1", Author("ola"), "Hello?", datetime(2026, 1, 1, 9, tzinfo=UTC)
        )
        with Desk(SQLiteStore(path)) as desk:
            desk.intake("net", [Inbound(message)])

    return build


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("nothing.db", 2, "nothing.db is no file, no postgresql:// address and no MODULE:NAME"),
        ("no_such_module:desk", 2, "no_such_module:desk cannot be imported"),
        ("shop_app:dask", 2, "shop_app:dask cannot be imported"),
        ("shop_app:number", 2, "int is neither a desk nor a store"),
        ("shop_app.py", 1, "shop_app.py is damaged, or no database of ours"),
    ],
)
def test_a_wrong_target_is_named(app, capsys, target, status, said):
    """One line says what was not understood; nothing is made of it."""
    assert status == main(["doctor", target])
    caught = capsys.readouterr()
    assert f"supportflow: {said}" in caught.err
    assert "" == caught.out
    assert not (app / "nothing.db").exists()


def test_the_commands_are_listed(capsys):
    """Without a command it says which there are."""
    with pytest.raises(SystemExit) as ended:
        main([])
    assert 2 == ended.value.code
    assert "COMMAND" in capsys.readouterr().err


def test_a_desk_is_closed_afterwards(app):
    """A look leaves no connection behind."""
    closed = []
    store = MemoryStore()
    store.close = lambda: closed.append(True)
    sys.modules["shop_app"] = type(sys)("shop_app")
    sys.modules["shop_app"].store = store
    main(["doctor", "shop_app:store"])
    assert [True] == closed


def test_a_package_for_a_new_channel_is_written(tmp_path, capsys, monkeypatch):
    """Its files are named; a second time nothing is touched, and the reason is one line."""
    monkeypatch.chdir(tmp_path)
    assert 0 == main(["new-channel", "tea_house"])
    told = capsys.readouterr().out.splitlines()
    assert "Now read supportflow-tea-house/README.md" == told[-1]
    assert (tmp_path / "supportflow-tea-house" / "README.md").is_file()
    assert 2 == main(["new-channel", "tea_house"])
    assert "is there already" in capsys.readouterr().err
