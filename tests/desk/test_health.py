"""Prove that a desk says what is wrong, and what to do about it, without raising."""

from datetime import timedelta

import attrs
import pytest

from supportflow.channels import Health
from supportflow.errors import StoreUnavailable, TransportError
from supportflow.stores import Changes, ChannelChange, Results


@attrs.frozen
class Checked:
    """A channel that says how it is."""

    name: str = "net"
    traits: object = None
    answer: object = Health(True, notes=("the token ends in May",))

    def using(self, state):
        return self

    def send(self, message):
        yield

    def check(self):
        yield from ()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def checked(build):
    def world(answer):
        return build([Checked(traits=build.Net().traits, answer=answer)])

    return world


def test_a_desk_that_does_its_work_is_well(world):
    """Nothing late, nothing wrong: the store's figures and each channel's memory are shown."""
    world.desk.reply(world.open(), "We see it.")
    found = world.desk.health()
    assert found.ok
    assert (1, timedelta(0), timedelta(0)) == (found.store.pending, found.skew, found.took)
    assert {"net"} == set(found.channels)
    assert found.channels["net"].checked is None


def test_replies_that_nobody_sends_are_named(world):
    """Two minutes after a reply was due there should have been an attempt."""
    world.desk.reply(world.open(), "We see it.")
    world.clock.advance(minutes=2)
    assert world.desk.health().ok
    world.clock.advance(seconds=1)
    (problem,) = world.desk.health().problems
    assert problem.startswith("1 replies wait to be sent, the first since 2026-03-02 09:00:00")
    assert "is desk.run() running" in problem


def test_doubt_and_deadlines_are_named(world):
    """What may be there and what is over its deadline need a look."""
    world.desk.reply(world.open(), "We see it.")
    world.platform.read_faults.extend([None] + [503] * 99)
    world.platform.fail(TransportError("gone", sent=None))
    world.desk.deliver()
    world.clock.advance(minutes=5)
    (doubt,) = world.desk.health().problems
    assert doubt.startswith("1 replies may or may not be there, the first since 2026-03-02")
    world.clock.advance(minutes=72 * 60)
    problems = world.desk.health().problems
    assert any("over their deadline" in problem for problem in problems)


def test_clocks_that_nobody_looks_at_are_named(world):
    """A warning that was due and not announced says that no worker looks."""
    world.open()
    world.clock.advance(minutes=33)
    (problem,) = world.desk.health().problems
    assert problem.startswith("nobody has looked at a clock that was due at 2026-03-02 09:30:00")
    world.desk.announce()
    assert world.desk.health().ok


@pytest.mark.parametrize(("apart", "said"), [(6, "6 s ahead of"), (-7, "7 s behind")])
def test_clocks_that_disagree_are_named(shaky, apart, said):
    """A store whose clock is another than ours would end leases too early or too late."""
    find = shaky.store.find

    def elsewhere(query):
        vitals = find(query).vitals
        return Results(vitals=attrs.evolve(vitals, now=vitals.now + timedelta(seconds=apart)))

    shaky.store.find = elsewhere
    found = shaky.desk.health()
    assert timedelta(seconds=apart) == found.skew
    assert said in found.problems[0]


def test_a_store_that_is_gone_is_said_and_not_raised(shaky):
    """A monitor wants an answer above all when the database is down."""
    shaky.store.fail("find", StoreUnavailable("the disk is full"))
    found = shaky.desk.health()
    assert not found.ok
    assert ("the store cannot be used: the disk is full",) == found.problems
    assert (None, {}) == (found.store, dict(found.channels))


def test_a_store_without_vitals_is_somebodys_mistake(shaky):
    """A store that answers something else is told which method is wrong."""
    shaky.store.find = lambda query: Results()
    with pytest.raises(TypeError, match=r"Shaky\.find\(Vitals\(\)\) returned no vitals"):
        shaky.desk.health()


def test_what_a_channel_remembers_is_shown(world):
    """A channel that needs credentials, and its last fault, stay visible until put right."""
    change = ChannelChange("net", needs_auth="the token was revoked", fault="NeedsAuth: revoked")
    world.store.commit(Changes(world.clock(), channels=(change,)))
    found = world.desk.health()
    assert not found.ok
    assert (
        "needs new credentials, then desk.resume('net'): the token was revoked",
        "NeedsAuth: revoked",
    ) == found.channels["net"].problems


def test_platforms_are_asked_only_on_request(checked):
    """Asking takes requests; what they say is shown beside what is remembered."""
    world = checked(Health(True, notes=("the token ends in May",)))
    assert world.desk.health().channels["net"].checked is None
    assert world.desk.health(check_channels=True).channels["net"].checked.notes
    assert world.desk.health(check_channels=True).ok


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Health(False, ("a scope is missing: pages_messaging",)), "a scope is missing"),
        (TransportError("refused", sent=False), "TransportError: refused"),
    ],
    ids=["unwell", "unreachable"],
)
def test_what_a_platform_says_is_a_problem_of_its_channel(checked, answer, problem):
    """A sick platform is named; the desk itself is well, and nothing is raised."""
    found = checked(answer).desk.health(check_channels=True)
    assert () == found.problems
    assert problem in found.channels["net"].problems[0]
    assert not found.ok
