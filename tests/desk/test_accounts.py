"""Prove that an account is held once, and goes on by itself when its credentials are new."""

import attrs
import pytest

from supportflow import NotFound, Secret
from supportflow.desk import Delivered
from supportflow.model import ChannelState
from supportflow.stores import Changes, ChannelChange, Wanted


def refused(world):
    """Queue a reply, and let the platform refuse the credentials."""
    world.desk.reply(world.open("m1"), "We see it.")
    world.platform.fail(401)
    world.desk.deliver()


def state_of(world):
    return world.store.load(Wanted(channels=("net",))).channels["net"]


def test_a_person_lets_an_account_go_on(world):
    """Held or paused, it goes on at once."""
    refused(world)
    later = ChannelChange("net", paused_until=world.at(50), fault="down", cursor="7")
    world.store.commit(Changes(world.clock(), channels=(later,)))
    world.desk.resume("net")
    state = state_of(world)
    assert ("", None, "", "7") == (state.needs_auth, state.paused_until, state.fault, state.cursor)
    assert Delivered(sent=1) == world.desk.deliver()
    with pytest.raises(NotFound, match="'fax'"):
        world.desk.resume("fax")


def test_the_same_credentials_stay_refused(world):
    """A restart changes nothing by itself."""
    refused(world)
    assert Delivered() == world.again([world.Net()]).deliver()


def test_new_credentials_are_noticed(world):
    """A channel that was made with another token goes on without anybody's help."""
    refused(world)
    again = world.again([world.Net(token=Secret("other"))])
    assert Delivered(sent=1) == again.deliver()
    assert "" == state_of(world).needs_auth


def test_renewed_credentials_are_noticed(world):
    """So does one that renewed its own, which the store remembers."""
    refused(world)
    renewed = ChannelChange("net", credentials={"refresh": Secret("r"), "access": Secret("a")})
    world.store.commit(Changes(world.clock(), channels=(renewed,)))
    assert Delivered(sent=1) == world.desk.deliver()


def test_credentials_within_a_wrapped_channel_are_noticed(world):
    """A channel that wraps another holds the other's secrets."""

    @attrs.frozen
    class Wrapped(world.Net):
        inner: object = None

    refused(world)
    assert Delivered() == world.again([Wrapped()]).deliver()
    inner = Wrapped(inner=world.Net(token=Secret("other")))
    assert Delivered(sent=1) == world.again([inner]).deliver()


def test_an_account_that_was_held_by_hand_waits_for_a_hand(world):
    """Without a word about which credentials were refused, nothing is concluded."""
    world.desk.reply(world.open("m1"), "We see it.")
    world.store.commit(Changes(world.clock(), channels=(ChannelChange("net", needs_auth="stop"),)))
    assert Delivered() == world.again([world.Net(token=Secret("other"))]).deliver()


def test_what_is_remembered_of_credentials_says_nothing_about_them(world):
    """Thirty-two bits, and not the token."""
    refused(world)
    learned = dict(state_of(world).learned)
    assert (1, 8) == (len(learned), len(learned["refused_credentials"]))
    assert "t0ken" not in repr(learned)
    assert ChannelState("net", learned=learned).learned == learned
