"""What a desk's operations take and return: checked by mypy and pyright, never run."""

from collections.abc import Awaitable, Callable
from typing import assert_type

from supportflow import (
    AsyncDesk,
    Conversation,
    Desk,
    MemoryStore,
    Reading,
    Taken,
    Webhook,
    threaded,
)
from supportflow.desk import Alarm, Delivered, Export, Listing
from supportflow.events import Recorded
from supportflow.http import Response
from supportflow.model import CustomerRef, Finding, Inbound, Message
from supportflow.stores import Quarantined, Row, Stored
from supportflow.transport import AsyncTransport, Transport


class Classifier:
    """A classifier needs no base class."""

    def read(self, message: Message) -> Reading:
        """Return what was understood."""
        return Reading("question" if message.text.endswith("?") else "other")


class AwaitedClassifier:
    """On an event loop it may be awaited."""

    async def read(self, message: Message) -> Reading:
        """Return what was understood."""
        return Reading("question" if message.text.endswith("?") else "other")


def blocking(desk: Desk, hook: Webhook, fact: Inbound, ola: CustomerRef) -> None:
    """See that every operation of a `Desk` returns what its program returns."""
    conversation = desk.get("net/m1/ola#0")
    assert_type(desk.reply(conversation, "We see it."), Conversation)
    assert_type(desk.promise("id", ["One.", "Two."], by=conversation.opened_at), Conversation)
    assert_type(desk.draft(conversation, "We see it."), tuple[Finding, ...])
    assert_type(desk.dismiss(conversation, "spam"), Conversation)
    assert_type(desk.classify(conversation, "question"), Conversation)
    assert_type(desk.tag(conversation, "vip", "b2b", remove=["new"]), Conversation)
    assert_type(desk.cancel("id", "reply"), Conversation)
    assert_type(desk.resend("reply", why="it is not there"), Conversation)
    assert_type(desk.inbox(unanswered=True), Listing[Conversation])
    assert_type(desk.inbox().after, str | None)
    assert_type(desk.history("id"), tuple[Recorded, ...])
    assert_type(desk.messages("id"), Listing[Stored])
    assert_type(desk.outbox(states=["unknown"]), Listing[Row])
    assert_type(desk.quarantine(), Listing[Quarantined])
    assert_type(desk.replay("id"), Taken)
    assert_type(desk.export(ola), Export)
    assert_type(desk.intake("net", [fact]), Taken)
    assert_type(desk.receive("net", hook), Response)
    assert_type(desk.poll("net"), Taken)
    assert_type(desk.deliver(channel="net"), Delivered)
    assert_type(desk.announce(), tuple[Alarm, ...])
    desk.erase(ola)
    desk.resume("net")
    desk.run(deadline=5)


async def awaited(desk: AsyncDesk, fact: Inbound) -> None:
    """See that the same names are awaitable on an `AsyncDesk`, with the same parameters."""
    assert_type(desk.reply("id", "We see it.", key="k1"), Awaitable[Conversation])
    assert_type(await desk.reply("id", "We see it.", steps=["acknowledge"]), Conversation)
    assert_type(await desk.intake("net", [fact]), Taken)
    assert_type(await desk.deliver(), Delivered)
    assert_type(await desk.outbox(held=True), Listing[Row])
    assert_type(await desk.announce(), tuple[Alarm, ...])
    await desk.run()


def configured() -> None:
    """See that options are known by name and type, on both desks."""
    given: Callable[[], Desk] = lambda: Desk(  # noqa: E731  # never called
        MemoryStore(), classifier=Classifier(), transport=Transport()
    )
    assert_type(given(), Desk)
    AsyncDesk(threaded(MemoryStore()), classifier=AwaitedClassifier(), transport=AsyncTransport())
    AsyncDesk(threaded(MemoryStore()), classifier=Classifier())


def mistakes(desk: Desk, other: AsyncDesk) -> None:
    """See that the checkers refuse what would fail: an unused `ignore` is an error here."""
    desk.reply("id", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    desk.resend()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    desk.promise("id", "Soon.")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    other.deliver(limit="9")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Desk(MemoryStore(), polcy=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Desk(MemoryStore(), transport=AsyncTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
