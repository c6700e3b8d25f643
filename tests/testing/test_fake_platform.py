"""Prove that the made-up network can do what its class can, and no more; and that its channels keep the contract."""

import json
import subprocess
import sys
from datetime import timedelta

import attrs
import pytest

from supportflow import Desk, MemoryStore
from supportflow.channels import Found
from supportflow.flow import run
from supportflow.http import Request, Response, Webhook
from supportflow.model import (
    AgentKind,
    Author,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    Visibility,
)
from supportflow.testing import (
    ChannelContract,
    FakeChannel,
    FakeClock,
    FakePlatform,
    PageCase,
    SendCase,
    WebhookCase,
)
from supportflow.testing.platforms.fake import KINDS, SECRET, TOKEN
from supportflow.testing.platforms.meta_payloads import sign
from supportflow.transport import Transport

URL, AT = "https://fake.example", ChannelContract.at
OLA, SHOP = Author("ola", "ola"), Author("shop")
SORRY = Outgoing(
    "row", "mark", "Sorry!", OLA, "t-ola", ("message", "1"), Visibility.public, AgentKind.person, AT
)
WRITTEN = {"id": "1", "thread": "t-ola", "by": "ola", "text": "Lost!", "at": AT.isoformat()}
AGAIN = {**WRITTEN, "id": "2", "text": "Hello?"}
POSTED = {"id": "3", "thread": "t-ola", "text": "Sorry!", "tag": "mark", "at": AT.isoformat()}
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def said(item):
    return Message("fake", "message", item["id"], OLA, item["text"], AT, "t-ola")


def answer(status, **body):
    return Response(status, body=json.dumps(body).encode(), at=AT)


def signed(body):
    return {"X-Hub-Signature-256": sign(SECRET, body)["X-Hub-Signature-256"]}


class Contract(ChannelContract):
    kind = "B"
    named = {}

    @pytest.fixture
    def channel(self):
        return self.made()

    @pytest.fixture
    def inbound_cases(self):
        return self.came()

    @pytest.fixture
    def send_cases(self):
        return self.went()

    def made(self):
        credentials = {"kind": self.kind, "token": TOKEN, "secret": SECRET}
        return FakeChannel.to(URL, credentials)

    def came(self):
        page = answer(200, messages=[WRITTEN, AGAIN], cursor="2", more=False)
        facts = Inbound(said(WRITTEN)), Inbound(said(AGAIN))
        return [PageCase("a page", (page,), facts, items=("messages",))]

    def went(self):
        tag = {"tag": "mark"} if self.kind in "RE" else {}
        body = json.dumps({"thread": "t-ola", "text": "Sorry!", **tag}).encode()
        post = Request("POST", f"{URL}/v1/messages", {**HEADERS, **self.named}, body, posts=True)
        made = answer(201, id="3", at=AT.isoformat())
        return [SendCase("a reply", SORRY, (post,), (made,), Receipt("3", AT), **self.looked())]

    def looked(self):
        return {}


class TestBlind(Contract):
    """The class B keeps the contract."""


class TestKeyed(Contract):
    """The class K keeps the contract, and its key travels with the post."""

    kind = "K"
    named = {"Idempotency-Key": "mark"}


class TestReadable(Contract):
    """The class R keeps the contract, and reads to the thread's end."""

    kind = "R"

    def looked(self):
        other = {**POSTED, "tag": "other"}
        first, last = answer(200, posts=[other], next="3"), answer(200, posts=[other], next=None)
        found = answer(200, posts=[other, POSTED], next=None)
        return {"found": (first, found), "absent": (first, last)}


class TestEchoing(Contract):
    """The class E keeps the contract, and believes signed webhooks alone."""

    kind = "E"

    @pytest.fixture
    def sign(self):
        return signed

    def came(self):
        page = answer(200, messages=[WRITTEN, AGAIN], cursor="2", more=False)
        words = Inbound(said(WRITTEN)), Inbound(said(AGAIN))
        echo = Outbound(Message("fake", "message", "3", SHOP, "Sorry!", AT, "t-ola"), mark="mark")
        events = [{"kind": "written", **WRITTEN}, {"kind": "echo", **POSTED}]
        body = json.dumps({"object": "fake", "entry": [{"messaging": events}]}).encode()
        return [
            PageCase("a page", (page,), words, items=("messages",)),
            WebhookCase("a batch", body, (words[0], echo), items=("entry", 0, "messaging")),
        ]


# --- the platform -------------------------------------------------------------------------


class Shop:
    """A platform, a desk on it, and everybody's clock."""

    def __init__(self, platform, clock, **traits):
        self.platform, self.clock = platform, clock
        self.store = MemoryStore(clock)
        self.channel = FakeChannel.to(platform.url, platform.credentials(), **traits)
        transport = Transport(sleep=lambda seconds: None, clock=clock)
        self.desk = Desk(self.store, [self.channel], transport=transport, clock=clock)

    def asked(self):
        """Let a customer write, and queue an answer."""
        self.platform.write("ola", "My parcel is lost.")
        self.desk.poll()
        (conversation,) = self.desk.inbox()
        self.desk.reply(conversation, "We look for it.")

    def goes_on(self, rounds=12):
        for _ in range(rounds):
            self.clock.advance(seconds=61)
            for _, headers, body in self.platform.act({"do": "hooks"}):
                if self.platform.kind == "E":
                    hook = Webhook("POST", body.encode(), self.clock(), headers)
                    assert 200 == self.desk.receive("fake", hook).status
            self.desk.deliver()

    def state(self):
        (row,) = self.desk.outbox()
        return row.state.value, row.posting.hold is not None, len(self.platform.posts)


@pytest.fixture
def shop():
    opened = []

    def make(kind, **traits):
        clock = FakeClock(AT)
        platform = FakePlatform(kind, clock=clock).start()
        opened.append(Shop(platform, clock, **traits))
        return opened[-1]

    yield make
    for each in opened:
        each.desk.close()
        each.platform.__exit__(None, None, None)


SENT, SHOWN = ("sent", False, 1), ("unknown", True, 1)


@pytest.mark.parametrize(
    ("kind", "fault", "end"),
    [
        ("K", "response_lost", SENT),
        ("R", "response_lost", SENT),
        ("E", "response_lost", SENT),
        ("B", "response_lost", SHOWN),
        ("K", "reset_before", SENT),
        ("R", "reset_before", SENT),
        ("E", "reset_before", ("unknown", True, 0)),
        ("B", "reset_before", ("unknown", True, 0)),
        ("R", "lag", SENT),
        ("E", "echo_early", SENT),
        ("E", "echo_late", SENT),
        ("E", "echo_never", SENT),
        ("E", "echo_twice", SENT),
    ],
)
def test_each_class_clears_up_what_it_can(shop, kind, fault, end):
    """A lost answer is cleared up by key, read or echo, and without one it is shown to a person."""
    world = shop(kind)
    world.asked()
    world.platform.fault_next(fault, match="POST *")
    world.desk.deliver()
    world.goes_on()
    assert end == world.state()


def test_a_lag_hides_a_post_from_reads_for_its_time(shop):
    """What is accepted may be seen later; two reads, apart, are what absence takes."""
    world = shop("R")
    world.asked()
    world.platform.fault_next("lag", match="POST *", lasts=timedelta(seconds=30))
    world.desk.deliver()
    (row,) = world.desk.outbox()
    path, headers = f"{world.platform.url}/v1/threads/t-ola/posts", HEADERS
    transport = world.desk._transport
    assert [] == transport.send(Request("GET", path, headers)).json()["posts"]
    world.clock.advance(seconds=31)
    (post,) = transport.send(Request("GET", path, headers)).json()["posts"]
    assert row.posting.outgoing.mark == post["tag"]


def test_a_missing_page_is_no_absence(shop):
    """A thread that breaks off while it is read proves nothing, however often."""
    world = shop("R")
    world.asked()
    world.platform.fault_next("response_lost", match="POST *")
    world.desk.deliver()
    world.platform.fault_next("missing_page", match="GET */posts", times=3)
    world.goes_on(2)
    assert ("unknown", False, 1) == world.state()
    world.goes_on()
    assert SENT == world.state()


def test_a_key_that_the_platform_forgot_is_what_its_window_is_for(shop):
    """The platform's own doing: whoever trusts a key past its life posts twice."""
    world = shop("K")
    world.asked()
    world.platform.fault_next("key_expired", match="POST *", times=2)
    post = world.channel._post(SORRY)
    statuses = {world.desk._transport.send(post).status for _ in range(2)}
    assert ({201}, 2) == (statuses, len(world.platform.posts))


def test_a_key_has_one_message(shop):
    """The same key with the same words gives the same post, with others it is refused."""
    world = shop("K")
    world.asked()
    first, again, other = (
        world.desk._transport.send(world.channel._post(message))
        for message in (SORRY, SORRY, attrs.evolve(SORRY, text="Else"))
    )
    assert first.body == again.body
    assert (409, 1) == (other.status, len(world.platform.posts))
    world.clock.advance(minutes=25 * 60)
    assert 201 == world.desk._transport.send(world.channel._post(SORRY)).status
    assert 2 == len(world.platform.posts)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("B", b'{"thread": "t-ola", "text": "x", "tag": "m"}', 422),
        ("K", b'{"thread": "t-ola", "text": "x", "tag": "m"}', 422),
        ("R", b'{"thread": "t-ola"}', 422),
        ("R", b'{"thread": "t-ola", "text": ""}', 422),
        ("R", b'{"thread": "t-nobody", "text": "x"}', 422),
        ("R", b"[]", 422),
        ("R", b"{", 422),
        ("R", json.dumps({"thread": "t-ola", "text": "x" * 501}).encode(), 422),
    ],
)
def test_it_is_strict(shop, kind, body, status):
    """What a class cannot do is refused, and so is what makes no sense; nothing is posted."""
    world = shop(kind)
    world.platform.write("ola", "My parcel is lost.")
    request = Request("POST", f"{world.platform.url}/v1/messages", HEADERS, body, posts=True)
    assert (status, []) == (world.desk._transport.send(request).status, world.platform.posts)


def test_only_the_class_r_can_be_read(shop):
    """Elsewhere there is no such page, and without the token there is none at all."""
    for kind in KINDS:
        world = shop(kind)
        world.platform.write("ola", "My parcel is lost.")
        url = f"{world.platform.url}/v1/threads/t-ola/posts"
        status = world.desk._transport.send(Request("GET", url, HEADERS)).status
        assert (200 if kind == "R" else 404) == status
        assert 401 == world.desk._transport.send(Request("GET", url)).status


def test_pages_lose_and_repeat_nothing(shop):
    """News and posts come page by page, each once."""
    world = shop("R")
    for number in range(45):
        world.platform.write("ola", f"{number}")
    taken = world.desk.poll()
    while taken.more:
        taken = world.desk.poll()
    assert 45 == len(world.desk.messages(world.desk.inbox()[0].id, limit=100))
    for _ in range(45):
        sent = world.desk._transport.send(world.channel._post(SORRY))
        assert 201 == sent.status
    flow = world.channel.find_sent(attrs.evolve(SORRY, mark="other"))
    asked = []

    def answer(request):
        asked.append(request)
        return world.desk._transport.send(request)

    assert (Found(), 3) == (run(flow, answer), len(asked))


def test_a_webhook_is_handed_out_until_it_is_acknowledged(shop):
    """At least once: who forgets to acknowledge sees it again."""
    world = shop("E")
    world.platform.write("ola", "My parcel is lost.")
    ((number, _, _),) = world.platform.act({"do": "hooks"})
    assert [number] == [each[0] for each in world.platform.act({"do": "hooks"})]
    world.platform.act({"do": "acknowledge", "numbers": [number]})
    assert [] == world.platform.act({"do": "hooks"})
    with pytest.raises(ValueError, match="cannot act"):
        world.platform.act({"do": "dance"})


def test_the_truth_is_what_was_accepted(shop):
    """Every post and every message, with their times, as plain JSON."""
    world = shop("R")
    world.asked()
    world.desk.deliver()
    truth = json.loads(json.dumps(dict(world.platform.truth())))
    assert ["My parcel is lost."] == [each["text"] for each in truth["words"]]
    assert [("We look for it.", None)] == [(each["text"], each["key"]) for each in truth["posts"]]


def test_there_are_four_classes():
    """Another one is a mistake, which says so."""
    with pytest.raises(ValueError, match="no class 'X'; there are K, R, E, B"):
        FakePlatform("X")


def test_it_runs_as_a_process():
    """`python -m` starts it, says where it is and how to get in, and ends with its input."""
    command = [sys.executable, "-m", "supportflow.testing.platforms", "fake", "--class", "K"]
    with subprocess.Popen(
        [*command, "--until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        url, credentials = process.stdout.readline().strip(), process.stdout.readline()
        assert {"kind": "K", "token": TOKEN, "secret": SECRET} == json.loads(credentials)
        transport = Transport()
        news = transport.send(Request("GET", f"{url}/v1/messages", HEADERS))
        assert {"messages": [], "cursor": "0", "more": False} == news.json()
        transport.close()
        process.stdin.close()
    assert 0 == process.returncode
