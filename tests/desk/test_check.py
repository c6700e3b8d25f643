"""Prove that a channel is asked how it is, and that what it found out is remembered."""

from datetime import timedelta

import attrs
import pytest

from supportflow import NotFound, Unsupported
from supportflow.channels import Health, Page, RateLimited
from supportflow.errors import StoreUnavailable, TransportError
from supportflow.http import Request
from supportflow.stores import KEPT, Changes, ChannelChange, Wanted


def state_of(world):
    return world.store.load(Wanted(channels=("net",))).channels["net"]


def checking(build, answer, make=None):
    """Return a world whose channel says how it is, or raises that."""

    @attrs.frozen
    class Checked(build.Net):
        def check(self):
            yield Request("GET", "https://net.example/me")
            if isinstance(answer, Exception):
                raise answer
            return answer

    return (make or build)([Checked()])


def test_what_a_channel_found_out_is_remembered(build):
    """Limits are added to what polling learned, and the channel is well again."""
    health = Health(ok=True, learned={"max": 500})
    world = checking(build, health)
    world.net.pages.append(Page(learned={"url": 23}))
    world.desk.poll()
    fault = ChannelChange("net", fault="down", cursor="7")
    world.store.commit(Changes(world.clock(), channels=(fault,)))
    assert health == world.desk.check("net")
    state = state_of(world)
    assert {"max": 500, "url": 23} == dict(state.learned)
    assert ("", "7", world.clock()) == (state.fault, state.cursor, state.checked_at)


def test_what_is_learned_by_two_at_once_is_kept_of_both(build):
    """Neither a check nor a poll takes back what was learned while it asked."""
    for asks in ("check", "poll"):
        world = checking(build, Health(ok=True, learned={"max": 500}))
        world.net.pages.append(Page(learned={"max": 500}))
        read = world.platform.read

        def meanwhile(request, world=world, read=read):
            other = ChannelChange("net", learned={"refused_credentials": "x"})
            world.store.commit(Changes(world.clock(), channels=(other,)))
            return read(request)

        world.platform.read = meanwhile
        getattr(world.desk, asks)("net")
        assert {"max": 500, "refused_credentials": "x"} == dict(state_of(world).learned)


def test_a_channel_that_is_not_well_says_why(build):
    """Its problems are its fault until it is well; nothing that it knew is lost."""
    world = checking(build, Health(ok=False, problems=("no scope", "no webhook\x00")))
    world.store.commit(Changes(world.clock(), channels=(ChannelChange("net", learned={"max": 1}),)))
    assert not world.desk.check("net").ok
    assert ("no scope; no webhook\ufffd", {"max": 1}) == (
        state_of(world).fault,
        dict(state_of(world).learned),
    )


def test_a_check_that_fails_is_the_channels_fault(build):
    """It is recorded, raised, and pauses the account where the platform asks for it."""
    world = checking(build, TransportError("down"))
    with pytest.raises(TransportError):
        world.desk.check("net")
    assert "TransportError: down" == state_of(world).fault
    limited = checking(build, RateLimited("slowly", world.at(5)))
    with pytest.raises(RateLimited):
        limited.desk.check("net")
    assert timedelta(0) <= state_of(limited).paused_until - world.at(5) < timedelta(seconds=1)


def test_a_store_that_fails_is_no_fault_of_the_channel(build):
    """That is not the platform's doing."""
    world = checking(build, Health(ok=True), build.shaking)
    world.store.fail("load", StoreUnavailable("gone"))
    with pytest.raises(StoreUnavailable):
        world.desk.check("net")
    assert [] == world.store.commits


def test_a_channel_that_found_out_nothing_writes_nothing_about_it(build):
    """What others learn at the same time stays as it is."""
    world = checking(build, Health(ok=True), build.shaking)
    world.desk.check("net")
    world.desk.poll("net")
    learned = [changes.channels[0].learned for changes in world.store.commits]
    assert [KEPT, KEPT] == learned


def test_channels_that_cannot_be_asked_are_refused(build):
    """One that is not there, has no check, answers otherwise, or loses it with its state."""
    with pytest.raises(NotFound, match="'fax'"):
        build().desk.check("fax")
    with pytest.raises(Unsupported, match="net cannot say how it is; it has no check"):
        build().desk.check("net")
    with pytest.raises(TypeError, match=r"net.check\(\) returned str, not a Health"):
        checking(build, "well").desk.check("net")

    @attrs.frozen
    class Changing(build.Net):
        def check(self):
            yield Request("GET", "https://net.example/me")

        def using(self, state):
            return build.Mute(self.name)

    with pytest.raises(Unsupported, match="once it knows its state"):
        build([Changing()]).desk.check("net")
