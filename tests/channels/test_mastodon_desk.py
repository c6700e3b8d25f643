"""Mastodon behind a desk: what goes wrong on the way is seen, loses nothing, and doubles nothing."""

import json
from collections.abc import Iterator

import attrs
import pytest

from supportflow.channels.mastodon import Mastodon
from supportflow.desk import Desk
from supportflow.errors import (
    EtiquetteError,
    PayloadError,
    SupportflowError,
    TransportError,
    Unsupported,
)
from supportflow.events import Told
from supportflow.http import MAX_RESPONSE, Webhook
from supportflow.model import ChannelState, Conversation
from supportflow.stores import Changes, ChannelChange, Wanted
from supportflow.stores.memory import MemoryStore
from supportflow.testing import FakeClock
from supportflow.testing.platforms.mastodon import MastodonPlatform
from supportflow.testing.platforms.server import Reply, Request

POST = "POST /api/v1/statuses"


class Platform(MastodonPlatform):
    """Answer reads of news as it is told to."""

    hostile: bytes | None = None

    def handle(self, request: Request) -> Reply:
        """Answer with what was never Mastodon's."""
        if self.hostile is not None and request.path == "/api/v1/notifications":
            return Reply(200, self.hostile, (("Content-Type", "application/json"),))
        return super().handle(request)


@attrs.define
class Stand:
    """A platform, a desk that serves its shop, and their common clock."""

    platform: Platform
    desk: Desk
    store: MemoryStore
    clock: FakeClock
    channels: tuple[Mastodon, ...] = ()
    limit: int = 500

    @property
    def state(self) -> ChannelState:
        """Return what the channel remembers."""
        return self.store.load(Wanted(channels=("mastodon",))).channels["mastodon"]

    @property
    def talk(self) -> Conversation:
        """Return the only conversation."""
        (conversation,) = self.desk.inbox()
        return conversation

    @property
    def posts(self) -> list[str]:
        """Return the words that the shop really posted."""
        return [post.text for post in self.platform.shop.posts]

    @property
    def rows(self) -> list[str]:
        """Return how far each reply came."""
        return [str(row.state) for row in self.desk.outbox()]

    def told(self) -> list[str]:
        """Return what the desk recorded of our answers."""
        events = [recorded.event for recorded in self.desk.history(self.talk)]
        return [event.remote for event in events if isinstance(event, Told)]

    def forget_the_cursor(self) -> None:
        """Lose the place where polling goes on, as with a damaged or younger store."""
        lost = ChannelChange("mastodon", cursor="lost")
        self.store.commit(Changes(self.clock(), channels=(lost,)))


def standing(**options: bool) -> Iterator[Stand]:
    """Yield a desk that serves a shop."""
    clock = FakeClock()
    with Platform(clock=clock, **options) as platform:
        store = MemoryStore(clock)
        channel = Mastodon(platform.url, token=platform.shop.token)
        with Desk(store, [channel], clock=clock) as desk:
            limit = 5000 if options.get("compatible") else 500
            yield Stand(platform, desk, store, clock, (channel,), limit)


@pytest.fixture
def stand() -> Iterator[Stand]:
    """Return a desk that serves a shop on Mastodon."""
    yield from standing()


@pytest.fixture(params=[False, True], ids=["mastodon", "compatible"])
def either(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Return one on Mastodon, and one on a server that speaks its API."""
    yield from standing(compatible=request.param)


def test_what_a_poll_learned_is_committed_with_it(either):
    """Account, application and the server's own limits: asked for once, and known ever after."""
    either.desk.poll()
    (channel,) = either.channels
    learned = channel.using(either.state)
    assert either.platform.shop.id == either.state.learned["account"]
    assert either.limit - 32 == learned.traits.max_text
    asked = len(either.platform.requests)
    either.desk.poll()
    again = {line.path for line in either.platform.requests[asked:]}
    assert not [path for path in again if "credentials" in path or "instance" in path]


def test_what_a_check_learned_is_committed_with_it(either):
    """A desk that only answers never polls: its health tells what the server allows."""
    assert either.desk.check("mastodon").ok
    (channel,) = either.channels
    assert either.limit - 32 == channel.using(either.state).traits.max_text
    either.platform.customer("ola").post("@shop Where is my hat?")
    either.desk.poll()
    assert either.limit == either.state.learned["limit"]


def test_what_a_poll_learned_bounds_a_reply(either):
    """Regression: a reply was judged by 500 characters, whatever the server had told of itself."""
    either.platform.customer("ola").post("@shop Where is my hat?")
    either.desk.poll()
    longest = "a" * (either.limit - 32)
    with pytest.raises(EtiquetteError, match="over the channel's limit"):
        either.desk.reply(either.talk, longest + "a")
    either.desk.reply(either.talk, longest)
    assert 1 == either.desk.deliver().sent


def test_our_own_post_is_the_receipt_of_a_lost_answer(either):
    """Regression: nothing marks it, and the customer's name before the words hid it (2.5)."""
    post = either.platform.customer("ola").post("@shop Where is my hat?")
    either.desk.poll()
    either.desk.reply(either.talk, "On its way.")
    either.platform.fault_next("response_lost", match=POST)
    either.desk.deliver()
    assert ["unknown"] == either.rows
    either.forget_the_cursor()
    either.desk.poll()
    (ours,) = either.platform.shop.posts
    assert (["sent"], [ours.id], post.id) == (either.rows, either.told(), ours.in_reply_to)
    either.clock.advance(minutes=5)
    either.desk.deliver()
    assert [ours.id] == either.told()


def test_the_same_words_of_somebody_else_are_no_receipt(either):
    """A second post of the same words is a native answer: one of them alone proves ours."""
    post = either.platform.customer("ola").post("@shop Where is my hat?")
    either.desk.poll()
    either.desk.reply(either.talk, "On its way.")
    either.platform.fault_next("response_lost", match=POST)
    either.desk.deliver()
    either.platform.shop.post_natively("@ola On its way.", in_reply_to=post)
    either.forget_the_cursor()
    either.desk.poll()
    either.clock.advance(minutes=5)
    either.desk.deliver()
    assert (["sent"], 2) == (either.rows, len(set(either.told())))
    assert 2 == len(either.posts)


def test_what_is_told_again_changes_nothing(either):
    """Replayed: ten minutes are read again at every poll, and all of it when a cursor was lost."""
    for words in ("Where is my hat?", "Hello?"):
        either.platform.customer("ola").post(f"@shop {words}")
    assert 2 == either.desk.poll().recorded
    before = either.desk.inbox()
    assert (0, 2) == ((again := either.desk.poll()).recorded, again.duplicates)
    either.forget_the_cursor()
    assert 0 == either.desk.poll().recorded
    assert before == either.desk.inbox()


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html></html>",
        b'[{"id": "1", "type": "ment',
        b'{"error": "something went wrong"}',
        b"[" * 100_000,
        b'[{"id": "\xff"}]',
        "[]".encode("utf-16"),
        b"\xef\xbb\xbf[]",
        b'[{"id": "1", "id": "2"}]',
        b"[NaN]",
        b"[" + b"9" * 5_000 + b"]",
    ],
    ids=["html", "truncated", "error", "deep", "no UTF-8", "UTF-16", "BOM", "twice", "NaN", "digits"],
)  # fmt: skip
def test_a_hostile_answer_loses_nothing(stand, body):
    """The fault is recorded, no cursor moves, and the next poll has everything."""
    stand.desk.poll()
    cursor = stand.state.cursor
    stand.platform.customer("ola").post("@shop Where is my hat?")
    stand.platform.hostile = body
    with pytest.raises(PayloadError):
        stand.desk.poll("mastodon")
    assert (cursor, ()) == (stand.state.cursor, stand.desk.inbox())
    assert stand.state.fault.startswith("PayloadError: ")
    stand.platform.hostile = None
    assert 1 == stand.desk.poll().recorded
    assert "" == stand.state.fault


def test_an_oversized_answer_loses_nothing(stand):
    """It is cut off at eight megabytes, whatever the server says of its length."""
    stand.desk.poll()
    stand.platform.hostile = b'["' + b"x" * MAX_RESPONSE + b'"]'
    with pytest.raises(TransportError, match="more than"):
        stand.desk.poll("mastodon")
    stand.platform.hostile = None
    stand.platform.customer("ola").post("@shop Where is my hat?")
    assert 1 == stand.desk.poll().recorded


def test_one_hostile_item_waits_in_quarantine(stand):
    """Genuine and unreadable is kept, and its neighbours are served."""
    good = stand.platform.customer("ola").post("@shop Where is my hat?")
    assert 1 == stand.desk.poll().recorded
    stand.platform.hostile = json.dumps([{"type": "mention", "id": "9", "status": 7}, 8]).encode()
    assert 2 == stand.desk.poll().quarantined
    assert good.id == stand.talk.last_key[1]


def test_nothing_can_be_forged(stand):
    """It is polled: whoever calls us in its name, signed or not, stale or fresh, is not heard."""
    hook = Webhook("POST", b'{"type": "mention"}', stand.clock())
    with pytest.raises(Unsupported):
        stand.desk.receive("mastodon", hook)
    assert () == stand.desk.quarantine()


@pytest.mark.parametrize("state", ["revoked", "expired"])
def test_a_wrong_token_is_said_and_loses_nothing(stand, state):
    """Polling says what is wrong, sending waits for a person, and both go on afterwards."""
    stand.platform.customer("ola").post("@shop Where is my hat?")
    stand.desk.poll()
    stand.desk.reply(stand.talk, "On its way.")
    stand.platform.shop.mark_token(state)
    stand.desk.deliver()
    with pytest.raises(SupportflowError, match="token"):
        stand.desk.poll("mastodon")
    assert ("NeedsAuth", ["pending"], []) == (
        stand.state.fault.partition(":")[0],
        stand.rows,
        stand.posts,
    )
    assert stand.state.needs_auth
    stand.platform.shop.mark_token("valid")
    stand.desk.resume("mastodon")
    stand.clock.advance(minutes=5)
    assert 1 == stand.desk.deliver().sent


@pytest.mark.parametrize(
    "after", ["99999999999", "-5", "soon", "٣٠", "Fri, 31 Dec 9999 23:59:59 GMT"]
)
def test_a_hostile_header_pauses_for_an_hour_at_most(stand, after):
    """Whatever a rate limit says, the account goes on, and the message goes out once."""
    stand.platform.customer("ola").post("@shop Where is my hat?")
    stand.desk.poll()
    stand.desk.reply(stand.talk, "On its way.")
    headers = {"Retry-After": after.encode().decode("latin-1")}
    stand.platform.fault_next("rate_limited", match=POST, headers=headers)
    assert 1 == stand.desk.deliver().waiting
    stand.clock.advance(minutes=61)
    assert 1 == stand.desk.deliver().sent
    assert 1 == len(stand.posts)
