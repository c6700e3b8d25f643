"""Prove that the history checker can fail: every rule finds the history that breaks it, and no other does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import attrs
import pytest
from history import RULES, History, Op, Post, check, gathered

from supportflow import Desk, MemoryStore
from supportflow.events import Announced, Failed, Told
from supportflow.model import Author, Inbound, Message
from supportflow.stores import RowState
from supportflow.testing import FakeChannel, FakeClock, FakePlatform
from supportflow.transport import Transport


@pytest.fixture(scope="module")
def good() -> History:
    """Return what the witnesses say where all went well: two answers, and an alarm that was due."""
    clock = FakeClock()
    with FakePlatform("R", clock=clock) as platform:
        channel = FakeChannel.to(platform.url, platform.credentials())
        store = MemoryStore(clock)
        transport = Transport(clock=clock)
        desk = Desk(store, [channel], transport=transport, clock=clock, etiquette=())
        platform.write("ola", "My parcel is lost.")
        desk.poll()
        (conversation,) = desk.inbox()
        clock.advance(minutes=90)
        desk.announce()
        for number in range(2):
            desk.reply(conversation.id, f"Answer {number}.", key=f"fake/{number}")
        desk.deliver()
        rows = [row.id for row in desk.outbox()]
        ops = [
            Op(worker, kind, row, 1, state, at)
            for worker, row in enumerate(rows)
            for at, (kind, state) in enumerate(
                [("claimed", "claimed"), ("begun", ""), ("settled", "sent")]
            )
        ]
        queued = ["fake/0", "fake/1"]
        history = gathered(store, "fake", platform.truth(), queued=queued, ops=ops)
        desk.close()
    return history


def row(history: History, **changes: object) -> History:
    """Change the first row."""
    first, *others = history.rows
    return attrs.evolve(history, rows=(attrs.evolve(first, **changes), *others))


def parked(history: History, state: RowState) -> History:
    """Leave the first row to a person."""
    posting = attrs.evolve(history.rows[0].posting, hold="look")
    return row(untold(history), posting=posting, state=state, remote_id=None)


def untold(history: History) -> History:
    """Take out of the log, and of its snapshot, that the first part was told."""
    kept = [e for e in history.log if not (isinstance(e.event, Told) and e.event.reply == "fake/0")]
    log = tuple(attrs.evolve(each, version=n) for n, each in enumerate(kept, 1))
    from supportflow.machine.evolve import replay

    return attrs.evolve(history, log=log, conversations=(replay(log),))


def event(history: History, kind: type, **changes: object) -> History:
    """Change the events of a kind."""
    log = [
        attrs.evolve(e, event=attrs.evolve(e.event, **changes)) if isinstance(e.event, kind) else e
        for e in history.log
    ]
    return attrs.evolve(history, log=tuple(log))


def another(history: History, made: Callable[[History], object]) -> History:
    """Add an event to the log, and let the snapshot follow."""
    from supportflow.machine.evolve import replay

    last = history.log[-1]
    more = attrs.evolve(
        last, position=last.position + 1, version=last.version + 1, event=made(history)
    )
    log = (*history.log, more)
    return attrs.evolve(history, log=log, conversations=(replay(log),))


def post(history: History, place: int, **changes: object) -> History:
    """Change one post."""
    posts = list(history.posts)
    posts[place] = attrs.evolve(posts[place], **changes)
    return attrs.evolve(history, posts=tuple(posts))


def alarm_of(history: History) -> Announced:
    """Return the alarm that was raised."""
    return next(e.event for e in history.log if isinstance(e.event, Announced))


HOUR = timedelta(hours=1)
BROKEN: dict[str, Callable[[History], History]] = {
    "duplicate": lambda h: attrs.evolve(h, posts=(*h.posts, h.posts[0])),
    "stranger": lambda h: attrs.evolve(h, posts=(*h.posts, Post("Hi", "9", h.posts[0].at))),
    "lost": lambda h: attrs.evolve(h, queued=h.queued | {"fake/2"}),
    "wrongly_failed": lambda h: row(untold(h), state=RowState.failed),
    "hidden": lambda h: parked(h, RowState.pending),
    "uncertain": lambda h: parked(h, RowState.unknown),
    "unproved": lambda h: row(h, remote_id="9"),
    "unsaid": untold,
    "disorder": lambda h: attrs.evolve(h, posts=h.posts[::-1]),
    "unrecorded": lambda h: attrs.evolve(h, recorded=h.recorded * 2),
    "gap": lambda h: attrs.evolve(h, log=h.log[:-1]),
    "unlike": lambda h: attrs.evolve(
        h, conversations=(attrs.evolve(h.conversations[0], assigned="mia"),)
    ),
    "alarm": lambda h: another(h, alarm_of),
    "shared": lambda h: attrs.evolve(h, ops=(*h.ops, attrs.evolve(h.ops[0], worker=7))),
    "revived": lambda h: attrs.evolve(h, ops=(*h.ops, attrs.evolve(h.ops[0], fence=2, at=5.0))),
    "unannounced": lambda h: row(h, first_sent_at=None),
}
#: Rules that cannot but see it too.
BESIDE = {"gap": {"unlike", "unsaid"}, "unannounced": {"disorder"}}
MORE: list[tuple[str, Callable[[History], History]]] = [
    ("lost", lambda h: row(untold(h), state=RowState.pending)),
    ("unproved", lambda h: attrs.evolve(h, posts=h.posts[1:])),
    ("unsaid", lambda h: another(h, lambda h: h.log[-1].event)),
    ("unsaid", lambda h: another(h, lambda h: Failed(h.posts[0].at, "fake/0", 0, "no"))),
    ("unrecorded", lambda h: attrs.evolve(h, words=(*h.words, "77"))),
    ("unrecorded", lambda h: attrs.evolve(h, words=())),
    ("gap", lambda h: attrs.evolve(h, log=(*h.log, h.log[-1]))),
    ("gap", lambda h: attrs.evolve(h, conversations=())),
    ("alarm", lambda h: event(h, Announced, due=h.log[-1].recorded_at + HOUR)),
    ("shared", lambda h: attrs.evolve(h, ops=(*h.ops, h.ops[1]))),
    ("unannounced", lambda h: row(h, first_sent_at=h.posts[0].at + HOUR)),
    ("disorder", lambda h: row(attrs.evolve(h, posts=h.posts[::-1]), first_sent_at=None)),
]


def test_a_history_without_fault_breaks_nothing(good: History) -> None:
    """Two answers that came in their order, each once, are as they should be."""
    assert {} == check(good)
    assert (2, 2, 1, 1) == tuple(
        map(len, (good.posts, good.rows, good.recorded, good.conversations))
    )


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_fail(good: History, rule: str) -> None:
    """The history that breaks one rule is found by it, and by no other that has nothing to do with it."""
    found = check(BROKEN[rule](good)).keys()
    assert rule in found
    assert found - {rule} <= BESIDE.get(rule, set())


@pytest.mark.parametrize("number", range(len(MORE)))
def test_every_rule_fails_in_each_of_its_ways(good: History, number: int) -> None:
    """Where a rule has two ways to be broken, it finds both."""
    rule, broken = MORE[number]
    assert rule in check(broken(good))


def test_what_cannot_be_known_may_stay_unknown(good: History) -> None:
    """On a blind platform a post that may be there is well if a person sees it (G5)."""
    shown = parked(good, RowState.unknown)
    assert {} == check(attrs.evolve(shown, blind=True))
    silent = row(shown, posting=attrs.evolve(shown.rows[0].posting, hold=None))
    assert {"hidden", "lost"} == check(attrs.evolve(silent, blind=True)).keys()


def test_an_unknown_reply_may_be_overtaken_in_time(good: History) -> None:
    """What was unknown for longer than it may hold others comes later without breaking the order (G8)."""
    first, second = good.posts
    late = attrs.evolve(good, posts=(attrs.evolve(second, at=second.at + HOUR), first))
    assert {} == check(late)


def test_a_stranger_is_no_message(good: History) -> None:
    """Another channel's rows and messages are not in a channel's history."""
    store = MemoryStore()
    message = Message("other", "message", "1", Author("ola"), "Hi", good.posts[0].at, "t-ola")
    desk = Desk(store, [FakeChannel("http://127.0.0.1:1", "token", name="other")])
    desk.intake("other", [Inbound(message)])
    nothing = gathered(store, "fake", {"posts": [], "words": []}, queued=["other/1"])
    assert History() == nothing
    desk.close()


def test_only_a_blind_network_lets_the_next_reply_pass_at_once(good: History) -> None:
    """A post that a frozen worker made late comes after its successor where nothing is held (G8)."""
    late = attrs.evolve(good, posts=good.posts[::-1])
    assert "disorder" in check(late)
    assert "disorder" not in check(attrs.evolve(late, hold_for=timedelta(0)))
