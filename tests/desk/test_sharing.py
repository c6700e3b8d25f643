"""Prove that callers share commits, that each goes on only after its own, and none harms another."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from time import monotonic

import pytest

from supportflow import AsyncDesk, SQLiteStore, Webhook, threaded
from supportflow.channels import Delivery, Unreadable
from supportflow.desk.sharing import MOST, record
from supportflow.errors import Conflict, StoreCorrupt, StoreUnavailable
from supportflow.flow import Wait


class Caller:
    """Somebody with a fact to record, whose program is gone through step by step."""

    def __init__(self, world, *ids):
        self.world, self.ended, self.error = world, False, None
        facts = tuple(world.said(f"m{id}", by=id) for id in ids)
        self.program = record(world.desk._core, "net", facts, ())
        self.go()

    @property
    def asks(self):
        """Return which method is asked for at the moment."""
        return None if self.ended else self.effect.method

    def go(self, answer=None, error=None):
        """Let the program go on to its next effect."""
        try:
            program = self.program
            self.effect = program.throw(error) if error else program.send(answer)
        except StopIteration:
            self.ended = True
        except BaseException as failure:  # tests look at it
            self.ended, self.error = True, failure

    def through(self):
        """Answer everything that is asked, as a desk would, and return this caller."""
        while not self.ended:
            effect, answer, error = self.effect, None, None
            if not isinstance(effect, Wait):
                assert effect.method != "wait" or effect.target.is_set(), "nobody called"
                try:
                    answer = getattr(effect.target, effect.method)(*effect.args)
                except Exception as failure:  # it is thrown in
                    error = failure
            self.go(answer, error)
        return self

    @property
    def called(self):
        """Return whether the wait would be over."""
        return self.asks == "wait" and self.effect.target.is_set()


def recorded(world):
    return sorted(conversation.customer for conversation in world.desk.inbox())


def commits(world):
    return [len(changes.conversations) for changes in world.store.commits]


def test_alone_nobody_is_waited_for(shaky):
    """One caller after another begins at once: with a load, and a commit of its own."""
    for name in ("a", "b"):
        caller = Caller(shaky, name)
        assert "load" == caller.asks
        assert caller.through().error is None
    assert [1, 1] == commits(shaky)


def test_those_who_come_meanwhile_share_the_next_commit(shaky, caplog):
    """Two wait while the first commits, and go in together; each goes on after that (G2)."""
    first = Caller(shaky, "a")
    others = [Caller(shaky, "b"), Caller(shaky, "c")]
    assert ["wait", "wait"] == [other.asks for other in others]
    assert first.through().error is None
    assert [True, False] == [other.called for other in others]
    others[0].go()
    assert ("load", False) == (others[0].asks, others[1].called)
    with caplog.at_level(logging.INFO, "supportflow"):
        others[0].through()
    assert others[1].called
    others[1].through()
    assert [["a", "b", "c"], [1, 2]] == [recorded(shaky), commits(shaky)]
    assert "recorded amount=2 channel=net" in caplog.text
    assert "load" == Caller(shaky, "d").asks


def waiting(world, *names):
    """Return callers of which the first is about to lead all the others."""
    begun = Caller(world, "first")
    callers = [Caller(world, name) for name in names]
    begun.through()
    return callers


def test_a_bad_fact_is_quarantined_and_its_neighbours_go_on(shaky):
    """What cannot be decided stops neither its commit nor its answer."""
    callers = waiting(shaky, "a", "")
    assert [None, None] == [caller.through().error for caller in callers]
    assert [["a", "first"], 1] == [recorded(shaky), len(shaky.desk.quarantine())]


@pytest.mark.parametrize("kind", [StoreCorrupt, RuntimeError])
def test_an_error_reaches_only_whom_it_concerns(shaky, kind):
    """Where a shared commit fails, each goes alone, and the culprit alone is told."""
    callers = waiting(shaky, "a", "b", "c")
    shaky.store.fail("load", kind("together"), None, kind("b"))
    errors = [caller.through().error for caller in callers]
    assert [None, "b", None] == [error and str(error) for error in errors]
    assert ["a", "c", "first"] == recorded(shaky)


def test_a_conflict_that_stays_is_its_owners(shaky):
    """A conversation that others keep changing costs its neighbours nothing but a moment."""

    def busy(changes):
        if any(written.after.customer == "b" for written in changes.conversations):
            raise Conflict("busy")

    callers = waiting(shaky, "a", "b", "c")
    shaky.store.fail("commit", *[busy] * 100)
    errors = [caller.through().error for caller in callers]
    assert [None, "busy", None] == [error and str(error) for error in errors]
    assert ["a", "c", "first"] == recorded(shaky)


def test_a_store_that_is_gone_is_gone_for_all(shaky):
    """It is asked once, and everybody is told, so that the platform tries again."""
    callers = waiting(shaky, "a", "b")
    shaky.store.fail("commit", StoreUnavailable("full"))
    errors = [caller.through().error for caller in callers]
    assert [StoreUnavailable] * 2 == [type(error) for error in errors]
    assert ["first"] == recorded(shaky)


def test_who_gives_up_waiting_holds_nobody_up(shaky):
    """Neither when it has not been called yet, nor when it had been called to lead."""
    for called in (False, True):
        begun = Caller(shaky, f"begun {called}")
        gone, after = Caller(shaky, f"gone {called}"), Caller(shaky, f"after {called}")
        if called:
            begun.through()
        gone.go(error=asyncio.CancelledError())
        assert isinstance(gone.error, asyncio.CancelledError)
        begun.through()
        assert after.called
        after.through()
    assert ["after False", "after True", "begun False", "begun True"] == recorded(shaky)


def test_the_last_one_to_give_up_leaves_an_empty_line(shaky):
    """Whoever comes next begins at once."""
    (gone,) = waiting(shaky, "gone")
    gone.go(error=asyncio.CancelledError())
    assert "load" == Caller(shaky, "a").asks


def test_a_leader_that_is_cancelled_takes_nobody_with_it(shaky):
    """Those who shared its commit wait again, in their order, and the next of them leads."""
    leader, b, gone, d = waiting(shaky, "leader", "b", "gone", "d")
    leader.go()
    assert "load" == leader.asks
    late = Caller(shaky, "late")
    gone.go(error=asyncio.CancelledError())
    leader.go(error=asyncio.CancelledError())
    assert isinstance(leader.error, asyncio.CancelledError)
    assert [True, False, False] == [caller.called for caller in (b, d, late)]
    assert [None] * 3 == [caller.through().error for caller in (b, d, late)]
    assert [["b", "d", "first", "late"], [1, 3]] == [recorded(shaky), commits(shaky)]


def test_a_commit_is_shared_by_so_many_and_no_more(shaky):
    """The rest goes in with the next one."""
    callers = waiting(shaky, *(f"{number:03d}" for number in range(MOST + 1)))
    assert {None} == {caller.through().error for caller in callers}
    assert [1, MOST, 1] == commits(shaky)


def hooks(world, desk, number):
    """Let a number of webhooks lie before a desk, every tenth of them unreadable."""
    ids = count()
    for _ in range(number):
        id = next(ids)
        bad = (Unreadable(b"%d" % id, "no"),) if id % 10 == 0 else ()
        facts = () if bad else (world.said(f"m{id}", by=f"c{id}"),)
        world.net.deliveries.append(Delivery(facts, bad))
    return lambda _: desk.receive("net", Webhook("POST", b"{}", world.clock()))


def test_threads_share(build, tmp_path):
    """What seven threads bring while an eighth commits goes in together; all is recorded once."""
    world = build(store=lambda clock: build.Shaky(SQLiteStore(tmp_path / "a.db", clock)))
    lines, until = world.desk._core.lines, monotonic() + 30

    def slow(_changes):
        while len(lines["net"].waiting) < 7:
            assert monotonic() < until

    world.store.fail("commit", slow)
    with world.desk as desk, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(hooks(world, desk, 200), range(200)))
        assert {200} == {answer.status for answer in answers}
        assert (180, 20) == (len(desk.inbox(limit=1000)), len(desk.quarantine()))
        assert 200 - 6 >= len(world.store.commits)


def test_tasks_share(build, tmp_path):
    """Many tasks of one event loop need few commits, whichever of them are cancelled."""
    world = build(store=lambda clock: build.Shaky(SQLiteStore(tmp_path / "a.db", clock)))

    async def receive():
        async with AsyncDesk(
            threaded(world.store),
            world.channels,
            transport=build.Later(world.platform),
            clock=world.clock,
        ) as desk:
            receiving = hooks(world, desk, 100)
            tasks = [asyncio.ensure_future(receiving(number)) for number in range(100)]
            await asyncio.sleep(0)
            for task in tasks[5::10]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            found = await desk.inbox(limit=1000)
            return answers, {conversation.customer for conversation in found}

    answers, found = asyncio.run(receive())
    told = {f"c{number}" for number, answer in enumerate(answers) if hasattr(answer, "status")}
    assert 90 == len(told)
    assert told - {f"c{number}" for number in range(0, 100, 10)} <= found
    assert 10 >= len(world.store.commits)
