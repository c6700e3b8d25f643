"""Prove that listening keeps what others say apart: counted, shown, and never answered."""

from collections import deque
from datetime import date, timedelta

import attrs
import pytest

from supportflow import CustomerRef, InvalidValue, Unsupported
from supportflow.channels import NeedsAuth, Page, RateLimited, Traits, Unreadable
from supportflow.desk import Heard, Search
from supportflow.desk.run import loops
from supportflow.errors import StoreUnavailable
from supportflow.flow import Wait
from supportflow.http import Request
from supportflow.model import Author, Inbound, Message, Secret
from supportflow.stores import MentionCount, Wanted


def listening(build, name="net", **traits):
    """Return a channel that can search; `found` says what comes."""

    @attrs.frozen
    class Listening(build.Net):
        found: deque = attrs.field(factory=deque, eq=False)
        asked: list = attrs.field(factory=list, eq=False)

        def search(self, query, cursor):
            yield Request("GET", "https://net.example/search")
            self.asked.append((query, cursor))
            page = self.found.popleft() if self.found else Page(cursor=cursor)
            if isinstance(page, BaseException):
                raise page
            return page

    given = {"visibilities": ("public", "private"), "inbound": ("poll", "webhook"), **traits}
    return Listening(name, Traits(name, 100, "read", **given), Secret("t0ken"))


@pytest.fixture
def world(build):
    """Return a world that listens for the kettle."""
    return build([listening(build)], searches=["kettle"])


def test_what_people_say_is_kept_counted_and_answered_by_nobody(world):
    """No conversation, no clock, nothing unanswered; a second look finds nothing new."""
    page = Page((world.said("a", "My kettle leaks"), world.said("b", minutes=1)), "c1", more=True)
    world.net.found.extend([page, attrs.evolve(page, more=False)])
    assert Heard(2, more=True) == world.desk.listen()
    assert Heard(2) == world.desk.listen()
    assert [("kettle", None), ("kettle", "c1")] == world.net.asked
    assert ["a", "b"] == [mention.message.id for mention in world.desk.mentions()]
    assert (MentionCount("kettle", "net", date(2026, 3, 2), 2),) == world.desk.mention_counts()
    assert () == tuple(world.desk.inbox())
    world.clock.advance(timedelta(hours=3))
    assert () == tuple(world.desk.announce())


@pytest.mark.parametrize("first", ["mention", "message"])
def test_who_addressed_us_is_answered_and_not_counted(world, first):
    """Whichever of the two ways told of it first."""
    steps = {
        "mention": lambda: (world.net.found.append(Page((world.said("a"),))), world.desk.listen()),
        "message": lambda: world.take(world.said("a")),
    }
    for step in sorted(steps, key=lambda name: name != first):
        steps[step]()
    assert () == tuple(world.desk.mentions())
    assert () == world.desk.mention_counts()
    assert 1 == len(world.desk.inbox(unanswered=True))


def test_mentions_are_found_by_what_where_and_when(build):
    """And page by page, in the order of their time."""
    channels = [listening(build), listening(build, "other")]
    world = build(channels, searches=["kettle", "teapot"])
    for number, channel in enumerate(channels):
        for query in range(2):
            id = f"{number}{query}"
            fact = world.said(id, minutes=60 * 24 * number, channel=channel.name)
            channel.found.append(Page((fact,)))
    assert 4 == world.desk.listen().found
    ids = [[m.message.id for m in world.desk.mentions(**by)] for by in (
        {"query": "kettle"}, {"channel": "other"}, {"since": world.at(60)}, {"until": world.at(60)},
    )]  # fmt: skip
    assert [["00", "10"], ["10", "11"], ["10", "11"], ["00", "01"]] == ids
    first = world.desk.mentions(limit=3)
    assert 1 == len(world.desk.mentions(after=first.after))
    counts = world.desk.mention_counts(since=world.at(60), until=world.at(60 * 25))
    assert [("kettle", "other", 1), ("teapot", "other", 1)] == [
        (c.query, c.channel, c.count) for c in counts
    ]
    for wrong in ({"since": world.at(0).replace(tzinfo=None)}, {"limit": 0}, {"after": "x"}):
        with pytest.raises(InvalidValue):
            world.desk.mentions(**wrong)


def test_our_own_words_and_what_cannot_be_read_are_put_aside(world):
    """Bad items go into quarantine, each alone; our own posts are no mentions."""
    bad = Inbound(Message("elsewhere", "post", "x", Author("ola"), "kettle", world.at(0)))
    page = Page((world.ours("o1"), bad, world.said("a")), None, (Unreadable(b"{", "no JSON"),))
    world.net.found.append(page)
    assert Heard(1, 2) == world.desk.listen()
    whys = [item.why for item in world.desk.quarantine()]
    assert ["it names channel 'elsewhere', not 'net'", "no JSON"] == sorted(whys)


def test_an_erased_person_stays_erased(world):
    """Their mentions are gone, and the next search does not bring them back; an export has them."""
    for _ in range(2):
        world.net.found.append(Page((world.said("a"), world.said("b", by="ben"))))
    world.desk.listen()
    ola = CustomerRef("net", "ola")
    assert ["a"] == [m.message.id for m in world.desk.export(ola).mentions]
    world.desk.erase(ola)
    world.desk.listen()
    assert ["b"] == [m.message.id for m in world.desk.mentions()]


def test_where_searching_costs_only_who_is_named_is_searched(build):
    """Nobody pays for what they did not ask for."""
    free, dear = listening(build), listening(build, "dear", cost={"search": "USD 0.005 a post"})
    asked = ["kettle", Search("teapot", ["dear"])]
    world = build([free, dear, build.Mute("dumb")], searches=asked)
    world.desk.listen()
    assert ([("kettle", None)], [("teapot", None)]) == (free.asked, dear.asked)
    assert {"listen net kettle", "listen dear teapot"} == {
        name for name in loops(world.desk._core) if name.startswith("listen")
    }
    world.desk.listen("net", "teapot")
    assert 1 == len(free.asked)
    with pytest.raises(Unsupported, match="cannot search"):
        world.desk.listen("dumb")


def test_a_sick_channel_stops_no_other(build):
    """It is named with its fault; one that another worker has, or that is paused, waits."""
    sick, well = listening(build, "sick"), listening(build, "well")
    world = build([sick, well], searches=["kettle"])
    sick.found.append(NeedsAuth("no search for this token"))
    well.found.append(Page((world.said("a", channel="well"),)))
    heard = world.desk.listen()
    assert (1, ("sick",)) == (heard.found, tuple(name for name, _ in heard.faults))
    assert "no search" in world.store.load(Wanted(channels=("sick",))).channels["sick"].fault
    assert Heard() == world.again().listen()
    sick.found.append(["no page"])
    assert "returned list, not a Page" in world.desk.listen().faults[0][1]


def test_a_paused_account_is_not_searched(build):
    """The pause is the whole account's."""
    world = build([listening(build)], searches=["kettle"])
    world.net.found.append(RateLimited("slowly", world.clock() + timedelta(minutes=5)))
    assert world.desk.listen().faults
    assert Heard() == world.desk.listen()
    assert 1 == len(world.net.asked)


def test_a_store_that_fails_is_raised(build):
    """Nothing was kept, and the search begins again where it was."""
    world = build.shaking([listening(build)], searches=["kettle"])
    world.net.found.append(Page((world.said("a"),), "c1"))
    world.store.fail("commit", StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        world.desk.listen()
    world.desk.listen()
    assert [("kettle", None)] * 2 == world.net.asked


def test_a_channel_that_forgets_how_to_search_is_named(build):
    """What `using` returns must still be able to."""

    class Turning:
        name, traits = "net", Traits("net", 100, "read", inbound=())

        def using(self, state):
            return build.Mute()

        def send(self, message):
            return build.Mute().send(message)

        def search(self, query, cursor):
            yield Request("GET", "https://net.example/search")

    world = build([Turning()], searches=["kettle"])
    assert "using() changed it" in world.desk.listen().faults[0][1]


@pytest.mark.parametrize(
    "wrong",
    [
        ["kettle", "kettle"],
        "kettle",
        [" "],
        [7],
    ],
)
def test_a_search_must_make_sense(build, wrong):
    """One query each, with words."""
    with pytest.raises(InvalidValue):
        build(searches=wrong)


def test_a_search_is_not_made_all_the_time():
    """Nor on the letters of a name."""
    with pytest.raises(InvalidValue, match="once a minute"):
        Search("kettle", every=timedelta(seconds=1))
    with pytest.raises(InvalidValue, match="pass a list"):
        Search("kettle", "net")


def test_a_run_listens(world):
    """Each search has a loop of its own."""
    world.net.found.append(Page((world.said("a"),)))
    flow = loops(world.desk._core)["listen net kettle"]()
    answer = None
    try:
        while True:
            effect = flow.send(answer)
            answer = isinstance(effect, Wait) or world.desk._answer(effect)
    except StopIteration:
        pass
    assert 1 == len(world.desk.mentions())
