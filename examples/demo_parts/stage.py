"""The stage: two platforms on loopback, a webhook, a desk on an SQLite file, one clock for all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from demo_parts.cast import CAST, Customer
from demo_parts.checks import Posted, Sent, Truth
from demo_parts.reading import KeywordClassifier
from demo_parts.webhook import app, listening
from supportflow import Conversation, Desk, SQLiteStore
from supportflow.channels import Channel, Delivery
from supportflow.channels.mastodon import Mastodon
from supportflow.channels.messenger import Messenger
from supportflow.model import CustomerRef, Message, Visibility
from supportflow.stores import Direction, Row
from supportflow.testing import FakeClock
from supportflow.testing.platforms.mastodon import MastodonPlatform
from supportflow.testing.platforms.messenger import MessengerPlatform
from supportflow.testing.platforms.messenger_events import done
from supportflow.testing.platforms.meta_hooks import over_http

__all__ = ["Stage", "hour", "on_stage"]


def hour(at: datetime) -> str:
    """Return a time as the story writes it.

    Args:
        at: The time.
    """
    return f"{at:%H:%M}"


@attrs.frozen
class NewerMessenger(Messenger):
    """Messenger as a later version might be: it reads voice notes too."""

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined event again, a voice note by its transcript."""
        known = raw.replace(b'"voice_note"', b'"message"').replace(b'"transcript"', b'"text"')
        return super().reread(known)


class Errors(logging.Handler):
    """Keep what the desk logs as an error; alarms are told by the story."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.found.append(record.getMessage())


@attrs.frozen
class Stage:
    """Hold everything that the story happens on, and read it back.

    Args:
        clock: The one clock of platforms, store and desk.
        mastodon: The public network.
        messenger: The private one.
        store: The SQLite file.
        desk: The desk.
        errors: What it logged.
        webhook: The address of the desk's webhook.
    """

    clock: FakeClock
    mastodon: MastodonPlatform
    messenger: MessengerPlatform
    store: Path
    desk: Desk
    errors: Errors
    webhook: str

    # -- what customers do, and others

    def write(self, customer: Customer, text: str, *, answering: str | None = None) -> None:
        """Let a customer write in the network's own app.

        Args:
            customer: Who.
            text: The words; on Mastodon they mention the shop.
            answering: The id of the post that they answer.
        """
        if customer.network == "messenger":
            self.messenger.customer(customer.handle).write(text)
        else:
            person = self.mastodon.customer(customer.handle)
            person.post(f"@shop {text}", in_reply_to=answering, language=customer.language)

    def speak(self, customer: Customer, words: str) -> None:
        """Let a customer of Messenger send a voice note, which no adapter knows yet."""
        person, network = self.messenger.customer(customer.handle), self.messenger.network
        with self.messenger.lock:
            now = self.clock()
            message = network.add(person.psid, now, {"text": words}, outbound=False)
            person.record.wrote_at = now
            note = {"voice_note": {"mid": message.mid, "transcript": words}}
            self.messenger.stage.say(done("messages", network.page_id, person.psid, now, note))

    def forge(self, old: bytes, new: bytes) -> int:
        """Change Messenger's last batch under its signature, and return what its sender is told.

        Args:
            old: What stands in it.
            new: What is to stand there.
        """
        genuine = self.messenger.hooks.deliveries[-1]
        forged = genuine.body.replace(old, new)
        answer = over_http(self.webhook)("POST", genuine.headers, {}, forged)
        return answer if isinstance(answer, int) else answer[0]

    # -- what the desk does

    def deliver(self) -> None:
        """Let the desk send what is due, and Messenger echo what it got."""
        self.desk.deliver()
        self.messenger.deliver()

    # -- what the store says

    def id_of(self, customer: Customer) -> str:
        """Return a customer's id on their network."""
        if customer.network == "messenger":
            return self.messenger.customer(customer.handle).psid
        return self.mastodon.customer(customer.handle).id

    def conversation(self, customer: Customer) -> Conversation:
        """Return a customer's conversation, from the store."""
        (found,) = self.desk.inbox(customer=CustomerRef(customer.network, self.id_of(customer)))
        return found

    def messages(self, customer: Customer) -> list[Message]:
        """Return a customer's own messages, from the store, oldest first."""
        found = self.desk.messages(self.conversation(customer))
        return [each.message for each in found if each.direction is Direction.inbound]

    def rows(self, customer: Customer) -> tuple[Row, ...]:
        """Return the replies to a customer, from the outbox, oldest first."""
        return self.desk.outbox(conversation=self.conversation(customer).id)

    def author(self, customer: Customer, row: Row) -> str:
        """Return who wrote a reply, from the store."""
        found = self.desk.messages(self.conversation(customer))
        return next(each.message.author.id for each in found if each.message.id == row.id)

    # -- what the platforms say

    def written(self, customer: Customer) -> list[str]:
        """Return the ids of a customer's own messages, from the platform, oldest first."""
        if customer.network == "messenger":
            thread = self.messenger.customer(customer.handle).messages
            return [each.mid for each in thread if not each.outbound]
        return [each.id for each in self.mastodon.customer(customer.handle).posts]

    def posted(self, customer: Customer) -> list[Posted]:
        """Return what the platform accepted for a customer, oldest first."""
        name = customer.name
        if customer.network == "messenger":
            psid = self.id_of(customer)
            return [
                Posted("messenger", name, each.mid, each.text, hour(each.at), tag=each.tag)
                for each in self.messenger.posts
                if each.psid == psid
            ]
        return [
            Posted(
                "mastodon",
                name,
                each.id,
                each.text,
                hour(each.at),
                each.in_reply_to,
                each.visibility == "public",
            )
            for each in self.mastodon.shop.posts
            if customer.handle in each.mentions
        ]

    def attempts(self) -> int:
        """Return how often Mastodon was asked to post."""
        return sum(each.method == "POST" for each in self.mastodon.requests)

    def truth(self) -> Truth:
        """Return what the platforms and the store say, as a whole."""
        return Truth(
            posted=tuple(post for each in CAST for post in self.posted(each)),
            sent=tuple(_sent(each, row) for each in CAST for row in self.rows(each)),
            written=tuple((c.network, id) for c in CAST for id in self.written(c)),  # noqa: A001  # its name
            recorded=tuple((c.network, m.id) for c in CAST for m in self.messages(c)),
            languages={each.name: each.language for each in CAST},
            waiting=tuple(each.id for each in self.desk.inbox(unanswered=True)),
            quarantined=len(self.desk.quarantine()),
            errors=tuple(self.errors.found),
        )


def _sent(customer: Customer, row: Row) -> Sent:
    said = row.posting.outgoing
    public = said.visibility is Visibility.public
    return Sent(customer.network, customer.name, said.text, row.state, row.remote_id, public)


def messenger_of(platform: MessengerPlatform, kind: type[Messenger] = Messenger) -> Messenger:
    """Return the channel of a page.

    Args:
        platform: Where the page is.
        kind: The adapter.
    """
    return kind(
        platform.app.page_id,
        token=platform.token,
        app_secret=platform.app.app_secret,
        verify_token=platform.app.verify_token,
        base_url=platform.url,
    )


@contextmanager
def upgraded(stage: Stage) -> Iterator[Desk]:
    """Yield the desk of a process with a newer adapter, on the same store.

    Args:
        stage: The stage.
    """
    store = SQLiteStore(stage.store, clock=stage.clock)
    channels = [messenger_of(stage.messenger, NewerMessenger)]
    with Desk(store, channels, classifier=KeywordClassifier(), clock=stage.clock) as desk:
        yield desk


@contextmanager
def on_stage() -> Iterator[Stage]:
    """Set the stage, and clear it away."""
    clock, errors = FakeClock(), Errors()
    log = logging.getLogger("supportflow")
    log.addHandler(errors)
    try:
        with (
            TemporaryDirectory() as folder,
            MastodonPlatform(clock=clock) as mastodon,
            MessengerPlatform(clock=clock) as messenger,
        ):
            path = Path(folder, "support.db")
            channels: list[Channel] = [
                Mastodon(mastodon.url, token=mastodon.shop.token, since=clock()),
                messenger_of(messenger),
            ]
            with (
                Desk(
                    SQLiteStore(path, clock=clock),
                    channels,
                    classifier=KeywordClassifier(),
                    clock=clock,
                ) as desk,
                listening(app(desk, "messenger", clock)) as address,
            ):
                messenger.deliver_to(address)
                yield Stage(clock, mastodon, messenger, path, desk, errors, address)
    finally:
        log.removeHandler(errors)
