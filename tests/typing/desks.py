"""What a user may write about desks: checked by mypy and pyright, never run."""

from typing import assert_type

from supportflow import AsyncDesk, Conversation, Desk, MemoryStore, Refund, Taken, threaded


def work() -> None:
    """See that a desk's methods return what the programs return, with their parameters."""
    with Desk(MemoryStore()) as desk:
        assert_type(desk.poll(), Taken)
        for conversation in desk.inbox(unanswered=True):
            assert_type(conversation, Conversation)
            answered = desk.reply(conversation, "We see it.", steps=["acknowledge"])
            assert_type(answered, Conversation)
            desk.resolve(conversation.id, "It is paid back.", outcome=Refund("49.90", "EUR"))


async def work_later() -> None:
    """See that the same names are awaited on the other desk."""
    async with AsyncDesk(threaded(MemoryStore())) as desk:
        assert_type(await desk.poll(), Taken)
        for conversation in await desk.inbox(unanswered=True):
            answered = await desk.reply(conversation, "We see it.", steps=["acknowledge"])
            assert_type(answered, Conversation)


def mistakes(desk: Desk) -> None:
    """See that the checkers refuse what would fail: an unused `ignore` is an error here."""
    desk.reply("id")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # no text
    desk.inbox(unanswerd=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Desk(threaded(MemoryStore()))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncDesk(MemoryStore())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
