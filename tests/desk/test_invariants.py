"""Name the guarantees of RELIABILITY 1.2 one by one, each with what would break it.

Sending (G5 to G8) is under fire in `tests/crash`; what stores alone must keep is in their contract.
"""

import logging
from itertools import permutations
from threading import Barrier, Thread

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supportflow import Desk, SQLiteStore, Webhook
from supportflow.channels import Delivery, Page, Unreadable
from supportflow.channels.mastodon import Mastodon
from supportflow.channels.messenger import Messenger
from supportflow.errors import StoreUnavailable, TransportError
from supportflow.events import Announced, Opened, Received, Reported, Told
from supportflow.machine import blank, evolve
from supportflow.model import Author, Inbound, Message, StatusReport, Visibility
from supportflow.stores import Wanted
from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.mastodon import MastodonPlatform
from supportflow.testing.platforms.messenger import MessengerPlatform


def hook(world, body=b"{}"):
    return Webhook("POST", body, world.clock())


# -- what comes in


@pytest.mark.parametrize("copies", [1, 2, 11])
def test_g1_a_message_is_recorded_once_however_often_it_comes(build, kept, copies):
    """Polled and told by webhooks, by two desks, in different envelopes: one message, one event,
    and one conversation (RELIABILITY G1).
    """
    world = build(store=kept)
    world.desk.poll()  # the lease on the channel stays with this desk
    other = world.again()
    for copy in range(copies):
        fact = world.said("m1", raw=f'{{"delivery": {copy}}}')
        world.net.deliveries.append(Delivery((fact, fact)))
        other.receive("net", hook(world))
        world.net.pages.append(Page((fact,), str(copy)))
        world.desk.poll()
    (conversation,) = world.desk.inbox()
    assert 1 == len(world.desk.messages(conversation))
    assert 1 == len(world.events(conversation, Received))
    world.store.close()


def test_g1_a_message_is_recorded_once_whoever_takes_it_at_the_same_instant(build, tmp_path):
    """Four workers are given the same page at once: nothing is doubled, nothing is lost, and no
    second conversation is opened (RELIABILITY G1).
    """
    world = build(store=lambda clock: SQLiteStore(tmp_path / "s.db", clock))
    facts = [world.said(f"m{n}", minutes=n, thread="t", by="ola") for n in range(20)]
    start, taken = Barrier(4), []

    def take():
        with beside(world, tmp_path / "s.db") as desk:
            start.wait(20)
            taken.append(desk.intake("net", facts))

    workers = [Thread(target=take) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    (conversation,) = world.desk.inbox()
    assert 20 == len(world.desk.messages(conversation, limit=100))
    assert (20, 60) == (sum(t.recorded for t in taken), sum(t.duplicates for t in taken))
    world.store.close()


def beside(world, path):
    """Return another desk with a connection of its own, as another process has."""
    return Desk(SQLiteStore(path, world.clock), world.channels, **world.options)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["load", "commit"])
def test_g2_nothing_is_acknowledged_that_is_not_committed(build, method, after):
    """A store that fails, or whose answer is lost: the platform is told to come again, the cursor
    stays, and what comes again is recorded once, with what could not be read (RELIABILITY G2).
    """
    world = build.shaking()
    told, polled, bad = world.said("m1"), world.said("m2", minutes=1), Unreadable(b"{", "no")
    world.store.fail(method, StoreUnavailable("gone"), after=after)
    world.net.deliveries.extend([Delivery((told,), (bad,))] * 2)
    assert 503 == world.desk.receive("net", hook(world)).status
    assert 200 == world.desk.receive("net", hook(world)).status
    world.net.pages.extend([Page((polled,), "7")] * 2)
    world.store.fail("commit", StoreUnavailable("gone"), after=after)
    with pytest.raises(StoreUnavailable):
        world.desk.poll("net")
    cursor = world.store.load(Wanted(channels=("net",))).channels.get("net")
    assert after is (cursor is not None and cursor.cursor == "7")
    world.desk.poll("net")
    (conversation, other) = world.desk.inbox()
    assert [1, 1] == [len(world.desk.messages(c)) for c in (conversation, other)]
    assert 1 == len(world.desk.quarantine())


def test_g3_the_log_is_whole_and_folds_to_the_snapshot(build, kept):
    """A conversation that was written, answered, promised, refused, merged and announced: its
    versions count 1, 2, 3, and its events give what is stored (RELIABILITY G3).
    """
    world = build(store=kept)
    early = world.open("m3", minutes=3, parent="m2")
    world.desk.reply(early, ["One.", "Two."], steps=["acknowledge"], promise_by=world.at(500))
    world.platform.fail(None, taken=True)
    world.platform.fail(422)
    world.desk.deliver()
    world.take(world.said("m2", minutes=2, parent="m1"), world.edit("m3", minutes=4))
    world.clock.advance(minutes=600)
    assert world.desk.announce()
    for id in (early, "net/m1/ola#0"):
        stored = world.store.load(Wanted(conversations=(id,))).conversations[id]
        log = world.desk.history(id)
        assert [*range(1, stored.version + 1)] == [recorded.version for recorded in log]
        folded = None
        for event in (recorded.event for recorded in log):
            if isinstance(event, Opened):
                place = (event.channel, event.thread, event.customer, event.at, event.number)
                folded = blank(*place, event.previous, event.bystander_of)
            folded = evolve(folded, event)
        assert stored == folded
    world.store.close()


def test_g4_an_input_is_one_commit(build):
    """State, messages, clocks, outbox, settlements and once-keys go together, with the cursor of
    a page and with the alarm of a refusal: never more than one commit (RELIABILITY G4).
    """
    world = build.shaking()

    def commits(act):
        before = len(world.store.commits)
        act()
        return world.store.commits[before:]

    world.net.pages.append(Page((world.said("m1"), world.said("m2", by="ben")), "7"))
    (page,) = commits(world.desk.poll)
    assert (2, 2, "7") == (len(page.conversations), len(page.messages), page.channels[0].cursor)
    id = "net/m1/ola#0"
    (queued,) = commits(lambda: world.desk.reply(id, ["One.", "Two."], key="k"))
    assert (1, 2, 2, 1) == tuple(
        map(len, (queued.conversations, queued.messages, queued.postings, queued.once))
    )
    world.platform.fail(422)
    (refused,) = commits(world.desk.deliver)
    assert (1, 1, 1, 1) == tuple(
        map(len, (refused.conversations, refused.settlements, refused.holds, refused.once))
    )
    world.clock.advance(minutes=90)
    announced = commits(world.desk.announce)
    assert all(len(changes.conversations) == 1 and changes.once for changes in announced)


# -- clocks


@attrs.frozen
class Look:
    """Somebody looks at the clocks.

    Args:
        minutes: How long after the look before.
        desk: Which desk.
    """

    minutes: int
    desk: int


LOOKS = st.lists(st.builds(Look, st.integers(0, 45), st.integers(0, 2)), max_size=12)
DUE = {"warning:first_response": 30, "breach:first_response": 60}


@given(LOOKS)
@settings(max_examples=50, deadline=None)
def test_g9_an_alarm_is_never_early_never_twice_and_never_forgotten(build, looks):
    """Whoever looks and when: nothing before it is due, everything once, and what nobody saw in
    time at the next look; only a warning of what has happened already is left out
    (RELIABILITY G9).
    """
    world = build()
    conversation = world.open("m1")
    desks, passed, expected = [world.desk, world.again(), world.again()], 0, []
    for look in looks:
        passed += look.minutes
        world.clock.advance(minutes=look.minutes)
        late = {kind for kind, minutes in DUE.items() if minutes <= passed} - set(expected)
        if "breach:first_response" in late | set(expected):
            late.discard("warning:first_response")
        found = desks[look.desk].announce()
        assert sorted(late) == [event.kind for _, event in found]
        expected += sorted(late)
    assert expected == [event.kind for event in world.events(conversation, Announced)]


def test_g9_a_moment_before_is_before(world):
    """At the due instant, and not a microsecond earlier (RELIABILITY G9)."""
    world.open("m1")
    world.clock.advance(minutes=30, seconds=-0.000001)
    assert () == world.desk.announce()
    world.clock.advance(seconds=0.000001)
    assert ["warning:first_response"] == [event.kind for _, event in world.desk.announce()]


# -- secrets and strangers


def on_mastodon(platform):
    channel = Mastodon(platform.url, token=platform.shop.token)
    written = platform.customer("ola").post("@shop Hi")
    author = Author(platform.customer("ola").id, handle="ola")
    message = Message("mastodon", "status", written.id, author, "Hi", platform.now())
    return channel, [platform.shop.token], message


def on_messenger(platform):
    known = platform.credentials()
    names = ("token", "app_secret", "verify_token")
    secrets = {name: known[name] for name in names}
    channel = Messenger(known["page_id"], **secrets, base_url=platform.url)
    written, psid = platform.customer("ola").write("Hi"), platform.customer("ola").psid
    place = {"thread": psid, "visibility": Visibility.private}
    message = Message(
        "messenger", "message", written.mid, Author(psid), "Hi", platform.now(), **place
    )
    return channel, [*secrets.values()], message


@pytest.mark.parametrize(
    ("kind", "account"), [(MastodonPlatform, on_mastodon), (MessengerPlatform, on_messenger)]
)
def test_g10_no_secret_shows_anywhere(tmp_path, caplog, kind, account):
    """While everything goes wrong, and the platform shouts our token back: it is in no
    representation, error, log line, alarm or byte of the file (RELIABILITY G10).
    """
    clock, path = FakeClock(), tmp_path / "s.db"
    shown = []
    with kind(clock=clock) as platform, caplog.at_level(logging.DEBUG):
        channel, secrets, message = account(platform)
        with Desk(SQLiteStore(path, clock), [channel], clock=clock) as desk:
            (id,) = desk.intake(channel.name, [Inbound(message)]).conversations
            for fault in ("error_inside", "unauthorized", "error_after", "rate_limited", "html"):
                for body in (secrets[0], {"message": f"bad {secrets[0]}", "code": 1}):
                    platform.faults.next(fault, match="POST *", body={"error": body})
                desk.reply(id, [f"Hello {fault}.", "And again."])
                desk.deliver()
                desk.deliver()
                desk.resume(channel.name)
                clock.advance(minutes=5)
            for act in (desk.poll, lambda: desk.check(channel.name)):
                platform.faults.next("error_inside", body={"error": secrets[0]})
                try:
                    shown.append(repr(act()))
                except Exception as error:
                    shown.append(f"{error!r} {error}")
            shown += [repr(desk._core), repr(desk.outbox()), repr(desk.history(id))]
            stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    text = "\n".join((*shown, caplog.text))
    assert [] == [secret for secret in secrets if secret in text or secret.encode() in stored]
    assert len(caplog.records) > 10


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256="},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": "sha1=" + "0" * 40},
        {"X-Hub-Signature-256": "sha256=\u0661" + "0" * 63},
        {"X-Hub-Signature-256": ",".join(["sha256=" + "0" * 64] * 10_000)},
    ],
)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 100, b"[" * 100_000, b"x" * 2_000_000])
def test_g11_what_is_not_proved_genuine_changes_nothing(build, headers, body):
    """Forged, hostile and huge: refused with 401 or 413, nothing raised, nothing stored, not even
    in quarantine (RELIABILITY G11).
    """
    shop = Messenger("77", token="t0ken", app_secret="5ecret", verify_token="w0rd")
    world = build.shaking([shop])
    answer = world.desk.receive("messenger", Webhook("POST", body, world.clock(), headers))
    assert (413 if len(body) > 1_048_576 else 401) == answer.status
    assert ([], (), ()) == (world.store.commits, world.desk.inbox(), world.desk.quarantine())


# -- how far a reply came

STATUSES = ("sent", "delivered", "read")


@pytest.mark.parametrize("order", list(permutations(STATUSES)))
@pytest.mark.parametrize("doubt", [False, True])
def test_g12_a_report_never_takes_a_reply_back(build, order, doubt):
    """In every order, each twice, and also where our own answer was lost: each report is recorded
    once with the platform's time, and the reply is sent and stays it (RELIABILITY G12, G6).
    """
    world = build()
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.", steps=["acknowledge"])
    if doubt:
        world.platform.fail(TransportError("lost", sent=True), taken=True)
    world.desk.deliver()
    mark = world.platform.posts[0]["mark"]
    for status in order * 2:
        at = world.at(1 + STATUSES.index(status))
        world.take(StatusReport("net", "r1", status, at, mark=mark))
        assert (["sent"], "r1") == (world.states(), world.desk.outbox()[0].remote_id)
    reports = sorted(world.events(conversation, Reported), key=lambda event: event.at)
    assert list(STATUSES) == [event.status for event in reports]
    assert 1 == len(world.events(conversation, Told))
    assert "acknowledged" == world.desk.get(conversation).state


@pytest.mark.parametrize(
    ("first", "alarms"),
    [("", ["undelivered"]), ("sent", ["undelivered"]), ("delivered", []), ("read", [])],
)
def test_g12_a_failure_is_told_once_and_takes_nothing_back(build, first, alarms):
    """The platform could not bring it to the customer: one alarm, unless it said before that it
    had; and the row keeps its receipt, because it was posted (RELIABILITY G12, G6).
    """
    world = build()
    conversation = world.open("m1")
    world.desk.reply(conversation, "We see it.")
    world.desk.deliver()
    for status in filter(None, (first, "failed", "failed")):
        world.take(StatusReport("net", "r1", status, world.at(1), "blocked"))
    kinds = [event.kind for event in world.events(conversation, Announced)]
    assert (["sent"], alarms) == (world.states(), kinds)
