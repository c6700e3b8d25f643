"""The tests must be able to fail: each bug of RELIABILITY 4.6 is planted, and a named check turns red.

A bug is planted by a patch here, never in the sources; the check is one that stands elsewhere and
runs in every `make test`. It is run twice: as things are, and with the bug.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from history import check
from schedules import every
from test_schedules import failing_before_begin, unfenced_memory

from supportflow import MemoryStore, PostgresStore, SQLiteStore, signing
from supportflow.channels import Ambiguous, Found, NotSent, rest
from supportflow.desk import attempt, receive, reconcile, settle
from supportflow.errors import Conflict, StoreError, SupportflowError
from supportflow.stores import RowState, postgres_core, sql_outbox
from supportflow.testing import FakeClock, StoreContract, fake_channel

TESTS = Path(__file__).parent.parent
Patch = pytest.MonkeyPatch


@cache
def module(path: str) -> ModuleType:
    """Return a module of tests."""
    name = f"seeded_{path.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{path}.py")
    made = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


# --- the checks ---------------------------------------------------------------------------


def store_test(name: str, *more: object) -> Callable[[], None]:
    """Return a test of the contract of every store, on SQLite."""

    def run() -> None:
        clock, test = FakeClock(), getattr(StoreContract, name)
        with closing(SQLiteStore(":memory:", clock)) as store:
            given = {"store": store, "clock": clock}
            known = [given[word] for word in inspect.signature(test).parameters if word in given]
            test(StoreContract(), *known, *more)

    return run


def channel_test(kind: str, name: str) -> Callable[[], None]:
    """Return a test of the contract of every channel, on that of the made-up network."""

    def run() -> None:
        fake = module("testing/test_fake_platform")
        kit = getattr(fake, kind)()
        given = {
            "channel": kit.made(),
            "inbound_cases": kit.came(),
            "send_cases": kit.went(),
            "sign": fake.signed,
        }
        test = getattr(kit, name)
        test(**{word: given[word] for word in inspect.signature(test).parameters})

    return run


def desk_test(path: str, name: str, *more: object) -> Callable[[], None]:
    """Return a test of the desk."""

    def run() -> None:
        world = module("desk/conftest").World
        test = getattr(module(path), name)
        given = {"world": world, "build": lambda: world}
        first = next(iter(inspect.signature(test).parameters))
        test(given[first](), *more)

    return run


def order_test() -> None:
    """Run all orders of the steps of a frozen worker, and of the one that takes over."""
    for world, order in every(lambda: failing_before_begin(MemoryStore), 5):
        with closing(world.store):
            assert {} == check(world.finish()), order


def signing_test() -> None:
    """Look for comparisons in the module that proves signatures."""
    module("test_signing").test_compare_digest_is_the_only_comparison()


# --- the bugs -----------------------------------------------------------------------------


def rewritten(patch: Patch, *changes: tuple[str, str]) -> None:
    """Change words in the statements that reach SQLite."""
    answer = SQLiteStore._answer

    def changed(store: SQLiteStore, asked: Any) -> Any:
        for old, new in changes:
            if old in getattr(asked, "sql", ""):
                asked = attrs.evolve(asked, sql=asked.sql.replace(old, new))
        return answer(store, asked)

    patch.setattr(SQLiteStore, "_answer", changed)


def errors_are_not_sent(patch: Patch) -> None:
    """Take a 5xx for proof that nothing was posted."""
    failure = rest._failure

    def hoped(response: Any, request: Any, why: str) -> Exception:
        found = failure(response, request, why)
        return NotSent(why) if isinstance(found, Ambiguous) else found

    patch.setattr(rest, "_failure", hoped)


def claim_without_guard(patch: Patch) -> None:
    """Claim what another has claimed."""
    rewritten(
        patch,
        ("o.state = 'pending'", "o.state IN ('pending', 'claimed')"),
        (" AND state = 'pending'", ""),
    )


def reap_to_pending(patch: Patch) -> None:
    """Send again what a dead worker was sending."""
    rewritten(
        patch,
        ("WHEN 'claimed' THEN 'pending' ELSE 'unknown' END", "WHEN '' THEN '' ELSE 'pending' END"),
    )


def one_read(patch: Patch) -> None:
    """Take a single read without the post for proof."""
    patch.setattr(reconcile, "_READS", 1)


def read_error_is_absent(patch: Patch) -> None:
    """Take a read that failed for one that found nothing."""
    find = fake_channel._Readable.find_sent

    def find_sent(channel: Any, message: Any) -> Any:
        try:
            return (yield from find(channel, message))
        except SupportflowError:
            return Found()

    patch.setattr(fake_channel._Readable, "find_sent", find_sent)


def no_fence(patch: Patch) -> None:
    """Let a stale worker settle what another has claimed."""
    unfenced_memory(patch)
    patch.setattr(settle, "_ours", lambda row, claimed: row.state not in settle.FINAL)


def check_then_insert(patch: Patch) -> None:
    """Trust a look that the message is new, and no constraint."""
    rewritten(patch, ("INSERT INTO message ", "INSERT OR REPLACE INTO message "))


def ack_before_commit(patch: Patch) -> None:
    """Acknowledge a webhook whether it was committed or not."""
    record = receive.record

    def recorded(*arguments: Any) -> Any:
        try:
            yield from record(*arguments)
        except StoreError:
            return

    patch.setattr(receive, "record", recorded)


def except_exception(patch: Patch) -> None:
    """Treat an interruption within a send as if it could not happen."""

    def failed(made: Any, error: BaseException) -> Any:
        if not isinstance(error, Exception):
            raise error
        return (yield from fails(made, error))

    fails = attempt.Attempt.failed
    patch.setattr(attempt.Attempt, "failed", failed)


def sent_default(patch: Patch) -> None:
    """Call a reply sent from the beginning."""
    columns = sql_outbox.outbox_columns

    def sent(*arguments: Any) -> Any:
        made = columns(*arguments)
        place = made.index(RowState.pending)
        return (*made[:place], RowState.sent.value, *made[place + 1 :])

    patch.setattr(sql_outbox, "outbox_columns", sent)


def match_on_text_alone(patch: Patch) -> None:
    """Take the same words for the same reply."""
    send = fake_channel._posts

    def tagless(answer: Any) -> Any:
        posts, following = send(answer)
        return [
            {**post, "tag": "mark"} for post in posts if post.get("text") == "Sorry!"
        ], following

    patch.setattr(fake_channel, "_posts", tagless)


def key_after_window(patch: Patch) -> None:
    """Trust a key that the platform has forgotten."""
    patch.setattr(reconcile, "_KEY_LIFE", 1_000)


def plain_comparison(patch: Patch) -> None:
    """Compare signatures with `==`."""
    source = inspect.getsource(signing)
    changed = source.replace("hmac.compare_digest(", "operator.eq(") + "\nequal = 'a' == 'b'\n"
    get = inspect.getsource
    patch.setattr(inspect, "getsource", lambda of: changed if of is signing else get(of))


def written_anew(patch: Patch) -> None:
    """Verify the JSON as we would write it, and not the bytes that came."""
    verify = fake_channel.verify_meta

    def anew(secret: Any, body: bytes, header: str | None) -> None:
        try:
            body = json.dumps(json.loads(body)).encode()
        finally:
            verify(secret, body, header)

    patch.setattr(fake_channel, "verify_meta", anew)


#: By name: how it is planted, the check that finds it, and where that stands.
BUGS: dict[str, tuple[Callable[[Patch], None], Callable[[], None], str]] = {
    "5xx_as_notsent": (
        errors_are_not_sent,
        channel_test("TestBlind", "test_each_status_means_what_it_means"),
        "ChannelContract.test_each_status_means_what_it_means",
    ),
    "claim_without_guard": (
        claim_without_guard,
        store_test("test_every_row_is_sent_once"),
        "StoreContract.test_every_row_is_sent_once",
    ),
    "reap_to_pending": (
        reap_to_pending,
        store_test("test_what_was_begun_is_unknown"),
        "StoreContract.test_what_was_begun_is_unknown",
    ),
    "one_read_no_settle": (
        one_read,
        desk_test("desk/test_reconcile", "test_absent_twice_means_that_it_goes_again"),
        "tests/desk/test_reconcile.test_absent_twice_means_that_it_goes_again",
    ),
    "read_error_is_absent": (
        read_error_is_absent,
        channel_test("TestReadable", "test_a_failed_look_is_not_absence"),
        "ChannelContract.test_a_failed_look_is_not_absence",
    ),
    "no_fence": (
        no_fence,
        order_test,
        "tests/crash/test_schedules.test_no_order_of_steps_doubles_or_loses_a_reply",
    ),
    "check_then_insert": (
        check_then_insert,
        store_test("test_a_bad_part_applies_nothing", "a known message"),
        "StoreContract.test_a_bad_part_applies_nothing",
    ),
    "ack_before_commit": (
        ack_before_commit,
        desk_test(
            "desk/test_receive",
            "test_what_could_not_be_committed_is_not_acknowledged",
            StoreError("full"),
        ),
        "tests/desk/test_receive.test_what_could_not_be_committed_is_not_acknowledged",
    ),
    "except_exception_around_cancel": (
        except_exception,
        desk_test("desk/test_deliver", "test_tasks_that_are_cancelled_settle_first"),
        "tests/desk/test_deliver.test_tasks_that_are_cancelled_settle_first",
    ),
    "sent_default": (
        sent_default,
        store_test("test_a_new_row_waits"),
        "StoreContract.test_a_new_row_waits",
    ),
    "match_on_text_alone": (
        match_on_text_alone,
        channel_test("TestReadable", "test_what_was_not_sent_is_absent"),
        "ChannelContract.test_what_was_not_sent_is_absent",
    ),
    "key_after_window": (
        key_after_window,
        desk_test("desk/test_reconcile", "test_an_old_key_is_not_used_again"),
        "tests/desk/test_reconcile.test_an_old_key_is_not_used_again",
    ),
    "equal_signs_for_signatures": (
        plain_comparison,
        signing_test,
        "tests/test_signing.test_compare_digest_is_the_only_comparison",
    ),
    "json_written_anew_before_verifying": (
        written_anew,
        channel_test("TestEchoing", "test_what_was_changed_is_refused"),
        "ChannelContract.test_what_was_changed_is_refused",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_turns_its_check_red(bug: str, monkeypatch: Patch) -> None:
    """The check is green as things are, and red with the bug (RELIABILITY 4.6)."""
    plant, check_of, _ = BUGS[bug]
    check_of()
    with monkeypatch.context() as patch:
        plant(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception, Conflict)):
            check_of()


def test_a_planted_cursor_turns_its_check_red(postgres: Any, monkeypatch: Patch) -> None:
    """A follower that reads `id > cursor` without a horizon loses rows, and
    `tests/stores/test_postgres_sql.test_a_position_that_is_still_written_is_waited_for` says so.
    """

    def naive() -> Iterator[Any]:
        return None
        yield

    test = module("stores/test_postgres_sql").test_a_position_that_is_still_written_is_waited_for
    with closing(PostgresStore(postgres.dsn, schema=postgres.name)) as store:
        test(store, postgres)
        postgres.empty()
        monkeypatch.setattr(postgres_core, "horizon", naive)
        with pytest.raises(AssertionError):
            test(store, postgres)
