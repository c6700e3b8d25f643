"""Prove that credentials are renewed once, committed before they are used, and never in a circle."""

import asyncio
from collections import deque
from datetime import timedelta

import attrs
import pytest

from supportflow import AsyncDesk, MemoryStore, Unsupported, threaded
from supportflow.channels import NeedsAuth, Page, RateLimited
from supportflow.errors import StoreUnavailable
from supportflow.http import Request, Response
from supportflow.model import ChannelState, Secret
from supportflow.stores import Changes, ChannelChange, Wanted


def expiring(build):
    """Return a channel whose first token has ended; `pages` and `renewals` say what comes."""

    @attrs.frozen
    class Expiring(build.Net):
        renewals: deque = attrs.field(factory=deque, eq=False)

        def using(self, state):
            token = state.credentials.get("token", self.token)
            return attrs.evolve(self, token=token, state=state)

        def poll(self, cursor):
            if "old" in self.token.reveal():
                yield Request("GET", "https://net.example/news")
                raise NeedsAuth("the token has ended")
            return (yield from super().poll(cursor))

        def renew(self):
            yield Request("POST", "https://net.example/token")
            answer = self.renewals.popleft() if self.renewals else "new"
            if isinstance(answer, BaseException):
                raise answer
            if not isinstance(answer, str):
                return answer
            return ChannelState(self.name, credentials={"token": Secret(answer)})

    return Expiring(token=Secret("old"))


@pytest.fixture
def world(build):
    """Return a world on a network whose token has ended."""
    return build([expiring(build)])


def state_of(world):
    """Return what the channel remembers."""
    return world.store.load(Wanted(channels=("net",))).channels.get("net")


def test_a_poll_that_is_refused_renews_and_is_made_again(world):
    """The new token is committed first, and no fault stays."""
    world.net.pages.append(Page((world.said("m1"),), "1"))
    assert world.desk.poll().more
    assert ("new", "") == (state_of(world).credentials["token"].reveal(), state_of(world).fault)
    assert 1 == world.desk.poll().recorded


def test_a_send_that_is_refused_renews_and_is_made_again(build):
    """Nobody is alarmed, the attempt does not count, and the message goes out once."""
    world = build([expiring(build)])
    queued(world)
    world.platform.fail(401)
    assert 1 == world.desk.deliver().sent
    (row,) = world.desk.outbox()
    assert (["We see it."], 1, "") == (
        world.platform.texts,
        row.attempt,
        state_of(world).needs_auth,
    )


def queued(world):
    """Queue an answer to a customer."""
    world.take(world.said("m1"))
    (conversation,) = world.desk.inbox()
    world.desk.reply(conversation, "We see it.")


def test_what_another_worker_polls_is_renewed_by_that_one(world):
    """Until then the queue is held, and a person is told; new credentials let it go on."""
    queued(world)
    other = world.again()
    world.desk.poll()  # has the lease from now on, and has renewed
    world.platform.fail(401)
    assert 0 == other.deliver().sent
    assert state_of(world).needs_auth
    change = ChannelChange("net", credentials={"token": Secret("newer")})
    world.store.commit(Changes(world.clock(), channels=(change,)))
    assert 1 == other.deliver().sent


def test_a_send_goes_again_if_somebody_was_faster(world):
    """What was refused is not what is kept by now: nothing is renewed twice."""
    queued(world)
    tokens = len(world.net.renewals)

    def renewed_meanwhile(request):
        change = ChannelChange("net", credentials={"token": Secret("newer")})
        world.store.commit(Changes(world.clock(), channels=(change,)))
        return Response(401, at=world.clock())

    world.platform.fail(renewed_meanwhile)
    assert 1 == world.desk.deliver().sent
    assert tokens == len(world.net.renewals)
    assert "newer" == state_of(world).credentials["token"].reveal()


def test_credentials_that_others_renewed_meanwhile_are_just_used(world, monkeypatch):
    """What was refused is not what is kept by now: nothing is asked for."""
    desk = world.again()
    assert world.desk.poll().more
    monkeypatch.setattr("supportflow.desk.poll._page", refused)
    asked = len(world.platform.requests)
    assert desk.renew("net") is False  # another worker has the lease
    world.store._tables.leases.clear()
    assert world.desk.poll().faults
    assert asked == len(world.platform.requests)


def refused(core, lease):
    """Be refused, whatever the token."""
    raise NeedsAuth("no")
    yield


def test_what_is_refused_right_after_it_was_renewed_is_not_renewed_again(world, monkeypatch):
    """Else a scope that lacks would renew for ever; five minutes later it is tried once more."""
    assert world.desk.poll().more
    monkeypatch.setattr("supportflow.desk.poll._page", refused)
    before = len(world.platform.requests)
    (fault,) = world.desk.poll().faults
    assert ("net", before) == (fault[0], len(world.platform.requests))
    world.clock.advance(timedelta(minutes=6))
    assert world.desk.poll().more


def test_a_renewal_that_fails_is_told_and_leaves_the_fault(world, caplog):
    """Whoever must log in again learns it from the log line and the channel's fault."""
    world.net.renewals.append(NeedsAuth("log in again"))
    (fault,) = world.desk.poll().faults
    assert "the token has ended" in fault[1]
    assert ["renew_failed"] == [r.event for r in caplog.records if r.event.startswith("renew")]
    assert "log in again" in caplog.text
    world.net.renewals.append(RateLimited("slowly", world.clock()))
    with pytest.raises(RateLimited):
        world.desk.renew("net")


def test_one_thread_renews_at_a_time(world):
    """A refresh token that is used twice is often revoked: the second thread lets the first."""
    world.desk._core.renewing["net"] = "somebody"
    assert world.desk.renew("net") is False
    del world.desk._core.renewing["net"]
    assert world.desk.renew("net") is True
    assert {} == world.desk._core.renewing


def test_only_what_can_renew_is_asked(build):
    """Others say what to do instead; what is no state is refused before anything is kept."""
    plain = build()
    with pytest.raises(Unsupported, match="make new ones at the platform"):
        plain.desk.renew("net")
    plain.net.pages.append(NeedsAuth("ended"))
    assert plain.desk.poll().faults
    odd = build([expiring(build)])
    odd.net.renewals.append(("token", "new"))
    with pytest.raises(TypeError, match="returned tuple, not a ChannelState"):
        odd.desk.renew("net")
    strange = expiring(build)
    with pytest.raises(Unsupported, match="using\\(\\) changed it"):
        build([Turning(strange)]).desk.renew("net")


class Turning:
    """Be able to renew until the state is known."""

    def __init__(self, channel):
        self.channel, self.name, self.traits = channel, channel.name, channel.traits

    def using(self, state):
        return object()

    def send(self, message):
        return self.channel.send(message)

    def renew(self):
        return self.channel.renew()


def test_a_store_that_fails_is_no_failed_renewal(build):
    """The desk's own trouble is raised as such."""
    world = build.shaking([expiring(build)])
    world.desk.poll()
    world.store.fail("commit", StoreUnavailable("away"))
    world.clock.advance(timedelta(minutes=6))
    world.net.pages.append(NeedsAuth("ended"))
    with pytest.raises(StoreUnavailable):
        world.desk.poll()


async def renewed(desk):
    async with desk:
        return await desk.renew("net")


def test_the_other_desk_renews_as_well(build):
    """There is one program for both."""
    world = build([expiring(build)])

    class Sending:
        async def send(self, request):
            return world.platform.send(request)

        async def close(self):
            pass

    desk = AsyncDesk(threaded(MemoryStore(world.clock)), world.channels, transport=Sending())
    assert asyncio.run(renewed(desk)) is True
