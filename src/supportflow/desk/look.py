"""Look at what is there: inbox, history, outbox, quarantine; and replay what was quarantined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from supportflow.channels import Delivery
from supportflow.desk.arguments import flag_of, id_of, limit_of, listed, perhaps
from supportflow.desk.clean import restored
from supportflow.desk.core import (
    Core,
    Listing,
    erase_customer,
    find,
    get_conversation,
    log,
    whole_log,
)
from supportflow.desk.intake import Taken, intake
from supportflow.errors import InvalidValue, NotFound, SupportflowError, Unsupported
from supportflow.events import Recorded
from supportflow.flow import Program
from supportflow.model import Conversation, CustomerRef, Message, State
from supportflow.model.values import member
from supportflow.stores import (
    Conversations,
    Mention,
    Mentions,
    Messages,
    Outbox,
    Paged,
    Quarantine,
    Quarantined,
    Results,
    Row,
    RowState,
    Stored,
)

__all__ = [
    "Export",
    "erase",
    "export",
    "get",
    "history",
    "inbox",
    "messages",
    "outbox",
    "quarantine",
    "replay",
]


@attrs.frozen
class Export:
    """Hold everything that is stored of one customer.

    Args:
        customer: Who.
        conversations: Their conversations.
        messages: Every message in them, both ways, with notes.
        events: Every event of them.
        mentions: What they wrote of us elsewhere, as far as a search found it.
    """

    customer: CustomerRef
    conversations: tuple[Conversation, ...]
    messages: tuple[Stored, ...]
    events: tuple[Recorded, ...]
    mentions: tuple[Mention, ...] = ()


def inbox(
    core: Core,
    *,
    unanswered: bool | None = None,
    state: str | None = None,
    channel: str | None = None,
    customer: CustomerRef | None = None,
    assigned: str | None = None,
    tag: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> Program[Listing[Conversation]]:
    """Return conversations; those that wait longest come first.

    Args:
        unanswered: True for those whose customer waits and has no answer on its way.
        state: In this state.
        channel: On this channel.
        customer: Of this customer.
        assigned: Of this agent.
        tag: With this label.
        limit: How many at most.
        after: The `after` of the previous page.

    Raises:
        InvalidValue: If the state is unknown, the limit under 1, `after` not of a page, or
            anything else not what it should be.
    """
    query = Conversations(
        unanswered=flag_of(unanswered, "unanswered"),
        state=None if state is None else member(State, state, "state"),
        channel=perhaps(channel, "channel"),
        customer=customer,
        assigned=perhaps(assigned, "assigned"),
        tag=perhaps(tag, "tag"),
        limit=limit_of(limit),
        after=perhaps(after, "after"),
    )
    found = yield from find(core, query)
    return Listing.of(found.conversations, found.after)


def get(core: Core, conversation: str) -> Program[Conversation]:
    """Return a conversation as it is now; a merged one's successor.

    Args:
        conversation: Its id.

    Raises:
        NotFound: If there is none.
    """
    return get_conversation(core, conversation)


def history(
    core: Core, conversation: Conversation | str, *, after: int = 0, limit: int = 1000
) -> Program[tuple[Recorded, ...]]:
    """Return a conversation's log, oldest first.

    Args:
        conversation: The conversation, or its id.
        after: The position after which to go on.
        limit: How many events at most.

    Raises:
        NotFound: If there is no such conversation.
        InvalidValue: If the limit is under 1.
    """
    name = id_of(conversation)
    events = yield from log(core, after, name, limit_of(limit))
    if not events:
        yield from get_conversation(core, name)
    return tuple(events)


def messages(
    core: Core, conversation: Conversation | str, *, limit: int = 100, after: str | None = None
) -> Program[Listing[Stored]]:
    """Return a conversation's messages in the order of their time, notes included.

    Args:
        conversation: The conversation, or its id.
        limit: How many at most.
        after: The `after` of the previous page.
    """
    name, place = id_of(conversation), perhaps(after, "after")
    found = yield from find(core, Messages(name, limit=limit_of(limit), after=place))
    if not found.messages:
        yield from get_conversation(core, name)
    return Listing.of(found.messages, found.after)


def outbox(
    core: Core,
    *,
    states: Iterable[str] = (),
    channel: str | None = None,
    conversation: Conversation | str | None = None,
    held: bool | None = None,
    limit: int = 100,
    after: str | None = None,
) -> Program[Listing[Row]]:
    """Return outbox rows in the order in which they were queued.

    Args:
        states: In these states, for example `["unknown", "failed"]`; all by default.
        channel: On this channel.
        conversation: Of this conversation, or of the one with this id.
        held: True for those that wait for a person.
        limit: How many at most.
        after: The `after` of the previous page.

    Raises:
        InvalidValue: If a state is unknown, the limit under 1, `after` not of a page, or
            anything else not what it should be.
    """
    query = Outbox(
        tuple(member(RowState, each, "an outbox state") for each in listed(states, "states")),
        perhaps(channel, "channel"),
        None if conversation is None else id_of(conversation),
        flag_of(held, "held"),
        limit=limit_of(limit),
        after=perhaps(after, "after"),
    )
    found = yield from find(core, query)
    return Listing.of(found.rows, found.after)


def quarantine(
    core: Core, *, channel: str | None = None, limit: int = 100, after: str | None = None
) -> Program[Listing[Quarantined]]:
    """Return items that could not be read, oldest first.

    Args:
        channel: Of this channel.
        limit: How many at most.
        after: The `after` of the previous page.
    """
    place = perhaps(after, "after")
    query = Quarantine(perhaps(channel, "channel"), limit=limit_of(limit), after=place)
    found = yield from find(core, query)
    return Listing.of(found.quarantined, found.after)


def replay(core: Core, *ids: str) -> Program[Taken]:
    """Read quarantined items again, for example after an upgrade.

    What can be read now is recorded as if it had just arrived; the rest stays. An item that
    was read again already changes nothing.

    Args:
        ids: The items' ids.

    Raises:
        NotFound: If there is no such item, or its channel is not on this desk.
        Unsupported: If an item's channel cannot read single items.
    """
    total = Taken()
    for id in ids:  # noqa: A001  # its name
        found = yield from find(core, Quarantine(ids=(id,), replayed=True, limit=1))
        if not found.quarantined:
            raise NotFound(f"no item {id!r} in quarantine")
        (item,) = found.quarantined
        if item.replayed_at is None:
            total += yield from _replay(core, item)
    return total


def _replay(core: Core, item: Quarantined) -> Program[Taken]:
    fact = restored(item.raw)
    again = _reread(core, item) if fact is None else Delivery((fact,))
    if again is None or again.unreadable:
        return Taken(quarantined=1)
    return (yield from intake(core, item.channel, again.facts, replayed=(item.id,)))


def _reread(core: Core, item: Quarantined) -> Delivery | None:
    reread: Any = getattr(core.channel(item.channel), "reread", None)
    if reread is None:
        raise Unsupported(f"{item.channel} cannot read a single item again; it has no reread()")
    try:
        again: Delivery = reread(item.raw)
    except SupportflowError:
        return None
    return again


def erase(core: Core, customer: CustomerRef) -> Program[None]:
    """Blank every word of a customer and pseudonymise their ids, for ever.

    Args:
        customer: Who.

    Raises:
        InvalidValue: If that is no reference to a customer.
    """
    _check(customer)
    for waiting in [item for item in core.backlog if _wrote(customer, item[1])]:
        core.backlog.remove(waiting)
    yield from erase_customer(core, customer)


def _check(customer: CustomerRef) -> None:
    if not isinstance(customer, CustomerRef):
        raise InvalidValue(f"customer is {customer!r:.100}; pass CustomerRef(channel, id)")


def _wrote(customer: CustomerRef, message: Message) -> bool:
    return (message.channel, message.author.id) == (customer.channel, customer.id)


def export(core: Core, customer: CustomerRef) -> Program[Export]:
    """Return everything that is stored of one customer.

    Args:
        customer: Who.

    Raises:
        InvalidValue: If that is no reference to a customer.
    """
    _check(customer)
    conversations: list[Conversation] = []
    stored: list[Stored] = []
    events: list[Recorded] = []
    for page in (yield from _pages(core, Conversations(customer=customer))):
        conversations += page.conversations
    for page in (yield from _pages(core, Messages(customer=customer))):
        stored += page.messages
    for conversation in conversations:
        events += yield from whole_log(core, conversation.id)
    found = yield from _pages(core, Mentions(customer=customer))
    mentions = tuple(mention for page in found for mention in page.mentions)
    return Export(customer, tuple(conversations), tuple(stored), tuple(events), mentions)


def _pages(core: Core, query: Paged) -> Program[list[Results]]:
    pages = [(yield from find(core, query))]
    while pages[-1].after is not None:
        pages.append((yield from find(core, attrs.evolve(query, after=pages[-1].after))))
    return pages
