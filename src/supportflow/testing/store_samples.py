"""Small values for the tests of stores, made without the state machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from supportflow.events import Event, Noted, Opened
from supportflow.model import (
    Agent,
    AgentKind,
    Author,
    Conversation,
    Message,
    Outgoing,
    Progress,
    Receipt,
    State,
    Visibility,
    conversation_id,
    replace,
)
from supportflow.stores import (
    Changes,
    Direction,
    Posting,
    Quarantined,
    RowState,
    Settlement,
    Stored,
    Written,
)

__all__ = [
    "CHANNEL",
    "START",
    "at",
    "batch",
    "continued",
    "opened",
    "posting",
    "quarantined",
    "said",
    "sent",
]

#: The channel on which everything happens unless a test says otherwise.
CHANNEL = "mastodon:shop"
#: When the clock of the tests begins.
START = datetime(2026, 3, 2, 9, tzinfo=UTC)

_AGENT = Agent("mia")


def at(minutes: float) -> datetime:
    """Return the time some minutes after `START`.

    Args:
        minutes: How many.
    """
    return START + timedelta(minutes=minutes)


def opened(
    customer: str = "ola@example.social",
    thread: str = "109",
    *,
    channel: str = CHANNEL,
    number: int = 0,
    minute: float = 0,
    next_due_at: datetime | None = None,
    policy_version: str = "",
    **fields: Any,
) -> Written:
    """Return a new conversation with its first event.

    Args:
        customer: The customer's id.
        thread: The thread.
        channel: The channel's name.
        number: Which conversation of theirs in that thread.
        minute: When it began, in minutes after `START`.
        next_due_at: As in `Written`.
        policy_version: As in `Written`.
        fields: More fields of the snapshot.
    """
    began = at(minute)
    conversation = Conversation(
        id=conversation_id(channel, thread, customer, number),
        channel=channel,
        thread=thread,
        customer=customer,
        number=number,
        opened_at=began,
        progress=Progress(State.received, 1, began),
        playbook="complaint",
    )
    conversation = replace(conversation, **fields)
    event = Opened(began, channel, thread, customer, number)
    return Written(0, conversation, (event,), next_due_at, policy_version)


def continued(
    before: Conversation,
    *events: Event,
    next_due_at: datetime | None = None,
    policy_version: str = "",
    **fields: Any,
) -> Written:
    """Return a later version of a conversation.

    Args:
        before: The conversation as it was read.
        events: What happened; a note by default.
        next_due_at: As in `Written`.
        policy_version: As in `Written`.
        fields: What changes in the snapshot.
    """
    happened = events or (Noted(before.opened_at, f"note-{before.version}", _AGENT),)
    version = before.version + len(happened)
    progress = Progress(fields.pop("state", before.state), version, before.since)
    after = replace(before, progress=progress, **fields)
    return Written(before.version, after, happened, next_due_at, policy_version)


def said(
    name: str,
    conversation: Conversation | None,
    *,
    text: str = "Where is my parcel?",
    minute: float = 0,
    direction: Direction = Direction.inbound,
    revision: str = "",
    skeleton: str | None = None,
    **fields: Any,
) -> Stored:
    """Return a message of a conversation.

    Args:
        name: The platform's id.
        conversation: Whose; None for an answer that nobody's question is known for.
        text: Its words.
        minute: When, in minutes after `START`.
        direction: Which way it went.
        revision: The revision's name.
        skeleton: As in `Stored`.
        fields: More fields of the message.
    """
    author = Author(conversation.customer, "Ola Nordmann", "ola") if conversation else Author("us")
    ours = direction is not Direction.inbound
    message = Message(
        channel=fields.pop("channel", conversation.channel if conversation else CHANNEL),
        kind=fields.pop("kind", "status"),
        id=name,
        author=fields.pop("author", Author("us", "The shop") if ours else author),
        text=text,
        at=at(minute),
        thread=fields.pop("thread", conversation.thread if conversation else None),
        **fields,
    )
    home = conversation.id if conversation else None
    return Stored(message, direction, home, revision, skeleton)


def posting(
    name: str,
    conversation: Conversation | None = None,
    *,
    text: str = "We are looking for it.",
    reply: str = "",
    part: int = 0,
    stream: str = "",
    channel: str = CHANNEL,
    not_before: datetime = START,
    deadline: datetime | None = None,
    hold: str | None = None,
) -> Posting:
    """Return a new outbox row.

    Args:
        name: Its id; the mark and the reply's id are made of it.
        conversation: Whose; by default nobody's.
        text: Its words.
        reply: The command's id.
        part: Which part of the reply.
        stream: What keeps its order; the conversation's id by default.
        channel: Which channel sends it.
        not_before: When it may be sent.
        deadline: As in `Posting`; a day after `START` by default.
        hold: As in `Posting`.
    """
    to = Author(conversation.customer, "Ola Nordmann", "ola") if conversation else Author("someone")
    outgoing = Outgoing(
        id=name,
        mark=f"mark-{name}",
        text=text,
        to=to,
        thread=conversation.thread if conversation else "109",
        reply_to=("status", "1"),
        visibility=Visibility.public,
        by=AgentKind.person,
        queued_at=START,
    )
    return Posting(
        outgoing=outgoing,
        channel=channel,
        stream=stream or (conversation.id if conversation else f"stream-{name}"),
        conversation=conversation.id if conversation else None,
        reply=reply or f"reply-{name}",
        part=part,
        not_before=not_before,
        deadline=deadline or at(24 * 60),
        hold=hold,
    )


def sent(
    row: str, remote: str | None = "901", *, fence: int = 0, how: str = "answer"
) -> Settlement:
    """Return the settlement of a row that the platform took.

    Args:
        row: The row's id.
        remote: The platform's id of it.
        fence: The fence of the claim; knowledge needs none.
        how: How it is known.
    """
    return Settlement(row, fence, RowState.sent, Receipt(remote, START), how)


def quarantined(
    name: str, *, raw: bytes = b"{", channel: str = CHANNEL, minute: float = 0
) -> Quarantined:
    """Return an item that could not be read.

    Args:
        name: Its id.
        raw: The item.
        channel: The channel's name.
        minute: When, in minutes after `START`.
    """
    return Quarantined(name, channel, raw, "it ends in the middle", at(minute))


def batch(*conversations: Written, **changes: Any) -> Changes:
    """Return a commit decided at `START`.

    Args:
        conversations: What to write of conversations.
        changes: Anything else.
    """
    written = (*conversations, *changes.pop("conversations", ()))
    return Changes(changes.pop("at", START), written, **changes)
