"""Prove that workers who share a store do everything once, and hold back together."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from supportflow import Desk, PostgresStore, Secret, SQLiteStore
from supportflow.channels import Page
from supportflow.desk import Delivered
from supportflow.events import Announced
from supportflow.stores import Results

#: Longer than anything here takes: whoever waits longer waits in vain.
PATIENCE = 20


class Team:
    """Four workers, each with a store of its own on the same file or server."""

    def __init__(self, world: Any, opened: Callable[[Any], Any]) -> None:
        self.world, self.opened = world, opened
        self.desks = [self.hire() for _ in range(4)]

    def hire(self, *channels: Any, **options: Any) -> Desk:
        given = {"clock": self.world.clock, "transport": self.world.platform, **options}
        return Desk(self.opened(self.world.clock), channels or self.world.channels, **given)

    def at_once(self, work: Callable[[Desk], Any]) -> list[Any]:
        """Let all of them do something at the same time; return what each made of it."""
        together = threading.Barrier(len(self.desks))

        def begin(desk: Desk) -> Any:
            together.wait(PATIENCE)
            return work(desk)

        with ThreadPoolExecutor(len(self.desks)) as threads:
            return list(threads.map(begin, self.desks))

    def close(self) -> None:
        for desk in self.desks:
            desk._core.store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Any) -> Callable[[Any], Any]:
    """Return what opens the same store once more, for a clock."""
    if request.param == "sqlite":
        return partial(SQLiteStore, tmp_path / "s.db")
    server = request.getfixturevalue("postgres")
    return lambda clock: PostgresStore(server.dsn, clock, schema=server.name, connections=2)


@pytest.fixture
def team(build: Any, opened: Callable[[Any], Any]) -> Iterator[Team]:
    """Return four workers, and the world that they serve."""
    world = build(store=opened)
    team = Team(world, opened)
    yield team
    team.close()
    world.store.close()


def test_a_channel_is_polled_by_one_at_a_time(team):
    """While one waits for the platform, the others leave the channel to it."""
    read, others = team.world.platform.read, threading.Semaphore(0)

    def slow(request):
        assert all(others.acquire(timeout=PATIENCE) for _ in team.desks[1:])
        return read(request)

    def poll(desk):
        taken = desk.poll("net")
        others.release()
        return taken.recorded

    team.world.platform.read = slow
    team.world.net.pages.append(Page((team.world.said("m1"),), "1"))
    assert [0, 0, 0, 1] == sorted(team.at_once(poll))
    assert 1 == len(team.world.platform.requests)


def test_messages_are_recorded_once_whoever_reads_them(team):
    """Leases end while pages are under way, and pages overlap: each message is there once."""
    read, world = team.world.platform.read, team.world

    def late(request):
        world.clock.advance(seconds=121)
        return read(request)

    def poll(desk):
        found = (desk.poll("net").recorded for _ in range(10_000) if world.net.pages)
        return sum(found)

    world.platform.read = late
    said = [world.said(f"m{number}", by=f"c{number}") for number in range(25)]
    world.net.pages.extend(Page(tuple(said[n : n + 2]), str(n)) for n in range(24))
    assert 25 == sum(team.at_once(poll))
    talks = world.desk.inbox(limit=100)
    assert [1] * 25 == [len(world.desk.messages(talk)) for talk in talks]


def test_an_alarm_is_announced_once_by_all_together(team):
    """All find the same clocks; each alarm is one event, told by the one who recorded it."""
    world = team.world
    talks = [world.open(f"m{number}", by=f"c{number}") for number in range(8)]
    world.clock.advance(minutes=90)
    told = Counter(id for found in team.at_once(lambda desk: desk.announce()) for id, _ in found)
    assert dict.fromkeys(talks, 1) == told
    assert [1] * 8 == [len(world.events(talk, Announced)) for talk in talks]


def test_a_reply_is_sent_once_by_all_together(team):
    """Every reply is one worker's, and none is left."""
    world = team.world
    for number in range(12):
        talk = world.open(f"m{number}", by=f"c{number}")
        world.desk.reply(talk, [f"First to {number}.", f"Second to {number}."])
    done = team.at_once(lambda desk: desk.deliver())
    done += [desk.deliver() for desk in team.desks]  # a second part waits for its first
    assert Delivered(sent=24) == sum(done, Delivered())
    wanted = [f"{part} to {number}." for number in range(12) for part in ("First", "Second")]
    assert Counter(wanted) == Counter(world.platform.texts)
    order = {text: place for place, text in enumerate(world.platform.texts)}
    assert all(order[f"First to {n}."] < order[f"Second to {n}."] for n in range(12))


def test_what_the_platform_told_one_to_wait_holds_all(team):
    """After a 429 the others ask for nothing, until the account's pause is over."""
    world, (first, *others) = team.world, team.desks
    for name in ("m1", "m2"):
        world.desk.reply(world.open(name, by=name), "We see it.")
    world.platform.fail(429)
    assert Delivered(waiting=1) == first.deliver()
    asked = len(world.platform.requests)
    assert [Delivered()] * 3 == [desk.deliver() for desk in others]
    assert [0] * 3 == [desk.poll().recorded for desk in others]
    assert asked == len(world.platform.requests)
    world.clock.advance(minutes=6)
    assert Delivered(sent=2) == others[0].deliver()


def test_refused_credentials_hold_all_until_one_has_others(team):
    """One alarm, no further request; a worker that starts with a new token lets all go on."""
    world, (first, *others) = team.world, team.desks
    talks = [world.open(name, by=name) for name in ("m1", "m2")]
    for talk in talks:
        world.desk.reply(talk, "We see it.")
    world.platform.fail(401)
    first.deliver()
    asked = len(world.platform.requests)
    assert [Delivered()] * 3 == [desk.deliver() for desk in others]
    assert asked == len(world.platform.requests)
    alarms = [event.kind for talk in talks for event in world.events(talk, Announced)]
    assert ["needs_auth"] == alarms
    fresh = team.hire(world.Net(token=Secret("new")))
    assert Delivered(sent=2) == fresh.deliver()
    fresh._core.store.close()
    world.desk.reply(talks[0], "It is on its way.")
    assert Delivered(sent=1) == others[0].deliver()


@pytest.mark.parametrize("minutes", [10, -10])
def test_the_stores_clock_alone_says_what_is_due(build, kept, minutes):
    """A host whose clock is wrong announces nothing early, and nothing late (G9)."""
    world = build(store=kept)
    world.desk.reply(world.open("m1"), "We see it.")
    wrong = world.again(clock=lambda: world.clock() + timedelta(minutes=minutes))
    told = {}
    for minute in (29, 30, 59, 60, 61):
        world.clock.advance(minutes=minute - max(told, default=0))
        told[minute] = [(alarm.kind, alarm.at) for _, alarm in wrong.announce()]
    world.store.close()
    first = "first_response"
    assert ([], [(f"warning:{first}", world.at(30))], []) == (told[29], told[30], told[59])
    assert ([(f"breach:{first}", world.at(60))], [("reply_late", world.at(61))]) == (
        told[60],
        told[61],
    )


def test_a_store_that_tells_no_time_is_refused(shaky):
    """Nothing is announced by a clock that nobody knows; the error names the store."""
    shaky.store.find = lambda query: Results()
    with pytest.raises(TypeError, match=r"Shaky\.find.* returned no now"):
        shaky.desk.announce()


def test_a_desk_is_one_worker_whatever_loops_it_starts_with(build):
    """Polling and sending that begin together ask twice who they are, and agree on one answer."""
    world, together = build(), threading.Barrier(2)
    fresh, claimed = world.store.worker, []

    def worker():
        together.wait(PATIENCE)
        return fresh()

    def claim(work, worker, limit, claim=world.store.claim):
        claimed.append(worker)
        return claim(work, worker, limit)

    world.store.worker, world.store.claim = worker, claim
    loops = [threading.Thread(target=loop) for loop in (world.desk.poll, world.desk.deliver)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(PATIENCE)
    assert 1 == len(set(claimed))
