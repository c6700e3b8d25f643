"""Prove that polling commits each page with its cursor, and that a sick channel stops no other."""

import attrs
import pytest

from supportflow import NotFound, Taken, Unsupported
from supportflow.channels import Page, RateLimited, Unreadable
from supportflow.errors import FlowError, PayloadError, StoreUnavailable, TransportError
from supportflow.http import Request
from supportflow.stores import Wanted


def state_of(world, name="net"):
    return world.store.load(Wanted(channels=(name,))).channels[name]


def paged(world, *pages):
    world.net.pages.extend(pages)


def test_a_page_is_recorded_with_its_cursor(world):
    """Facts, what could not be read, and where to go on, in one commit; and whether there is
    more.
    """
    page = Page((world.said("m1"),), "7", (Unreadable(b"x", "no"),), more=True)
    paged(world, page, page)
    taken = world.desk.poll()
    assert (1, 1, True) == (taken.recorded, taken.quarantined, taken.more)
    assert ("7", world.clock(), "") == (
        state_of(world).cursor,
        state_of(world).checked_at,
        state_of(world).fault,
    )
    assert (0, 1) == (world.desk.poll("net").recorded, len(world.desk.inbox()))


def test_the_channel_is_given_what_it_must_remember(world):
    """Cursor and state come from the store, not from the channel."""
    paged(world, Page(cursor="7"))
    world.desk.poll()
    world.clock.advance(minutes=3)
    world.again().poll()
    assert ["https://net.example/news?after=", "https://net.example/news?after=7"] == [
        request.url for request in world.platform.requests
    ]


def test_what_the_platform_told_of_its_limits_is_kept(world):
    """It is added to what was learned before, and given to the channel from then on."""
    paged(world, Page(learned={"max": 500}), Page(learned={"url": 23}))
    for _ in range(2):
        world.desk.poll()
    assert {"max": 500, "url": 23} == dict(state_of(world).learned)


def test_channels_are_named(world):
    """One that is not there, or takes only webhooks, is refused by name."""
    with pytest.raises(NotFound, match="'fax'"):
        world.desk.poll("fax")
    desk = world.again([world.Net(), world.Mute()])
    with pytest.raises(Unsupported, match="mute cannot be polled"):
        desk.poll("mute")
    assert Taken() == desk.poll()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (TransportError("timeout"), TransportError),
        (PayloadError("HTML"), PayloadError),
        (KeyError("adapter"), KeyError),
        (5, TypeError),
        (Page(cursor=5), Exception),
    ],
)
def test_a_sick_channel_stops_no_other(world, caplog, fault, kind):
    """Where all are polled it is logged, recorded and named; alone, its error is the caller's."""
    sick = world.Net("ill")
    world.channels = [sick, world.Net()]
    world.desk = world.again()
    sick.pages.extend([fault, fault])
    world.channels[1].pages.append(Page((attrs.evolve(world.said("m1", channel="net")),), "7"))
    taken = world.desk.poll()
    assert (1, ["ill"]) == (taken.recorded, [name for name, _ in taken.faults])
    assert "poll_failed channel=ill" in caplog.text
    with pytest.raises(kind):
        world.desk.poll("ill")


def test_a_fault_is_recorded_until_it_is_over(world):
    """What went wrong the last time is there to be seen, in storable form."""
    paged(world, TransportError("down\x00"), Page(cursor="7"))
    world.desk.poll()
    assert "TransportError: down\ufffd" == state_of(world).fault
    world.desk.poll()
    assert ("", "7") == (state_of(world).fault, state_of(world).cursor)


def test_a_rate_limit_is_kept(world):
    """The account is not asked again before its time."""
    paged(world, RateLimited("slowly", world.at(5)))
    assert 1 == len(world.desk.poll().faults)
    asked = len(world.platform.requests)
    assert (Taken(), asked) == (world.desk.poll(), len(world.platform.requests))
    world.clock.advance(minutes=6)
    world.desk.poll()
    assert asked < len(world.platform.requests)


def test_a_channel_that_another_worker_polls_is_left_to_it(world):
    """Two hosts do not fetch the same page at the same time."""
    world.desk.poll()
    assert Taken() == world.again().poll()
    assert 1 == len(world.platform.requests)
    world.clock.advance(minutes=3)
    world.again().poll()
    assert 2 == len(world.platform.requests)


@pytest.mark.parametrize("flow", [lambda self, cursor: 5, lambda self, cursor: (n for n in [5])])
def test_a_flow_that_is_written_wrongly_is_the_channels_own_fault(world, flow):
    """It does not end the program that polls all the others."""

    @attrs.frozen
    class Odd(world.Net):
        poll = flow

    desk = world.again([Odd()])
    assert "FlowError" in desk.poll().faults[0][1]
    with pytest.raises(FlowError, match=r"net.poll\(\)"):
        desk.poll("net")


def test_a_channel_may_not_lose_its_way_to_poll(world):
    """What cannot be polled once it knows its state is a fault, and named so."""

    @attrs.frozen
    class Changing(world.Net):
        def using(self, state):
            return world.Mute()

    with pytest.raises(Unsupported, match=r"using\(\) changed it"):
        world.again([Changing()]).poll("net")


def test_a_store_that_fails_stops_everything(build):
    """Nothing could be recorded: that is not one channel's matter."""
    world = build.shaking()
    world.net.pages.append(Page((world.said("m1"),), "7"))
    world.store.fail("commit", StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        world.desk.poll()


def test_requests_that_fail_are_the_flows_to_judge(world):
    """A transport error is thrown into the flow, which may go on."""

    @attrs.frozen
    class Patient(world.Net):
        def poll(self, cursor):
            try:
                yield Request("GET", "https://net.example/new")
            except TransportError:
                yield Request("GET", "https://net.example/old")
            return Page(cursor="9")

    world.platform.read_faults.append(TransportError("timeout"))
    world.again([Patient()]).poll("net")
    assert "9" == state_of(world).cursor
