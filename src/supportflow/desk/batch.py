"""Hold what a page of facts needs and what it changes, and know where each message belongs.

It is over 300 lines because finding and changing share one working set.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import datetime

from supportflow.desk.clean import described, plain_reading, quarantined
from supportflow.desk.core import Core, fold, load, written
from supportflow.desk.needs import answers_among, first_needs, later_needs, parent_of
from supportflow.events import Event, Held, Linked
from supportflow.flow import Program
from supportflow.machine import Input, belongs, blank, decide, merge
from supportflow.model import (
    Conversation,
    Fact,
    Message,
    MessageKey,
    Outbound,
    Reading,
    Unread,
    Visibility,
    conversation_id,
)
from supportflow.stores import (
    Changes,
    ChannelChange,
    HoldRows,
    Loaded,
    Quarantined,
    Removed,
    Row,
    Settlement,
    Stored,
    ThreadHead,
    Wanted,
)

__all__ = ["Batch"]


class Batch:
    """Hold what is known, from the store and from a page, and what the page changes."""

    def __init__(self, core: Core, channel: str, now: datetime) -> None:
        self.core, self.channel, self.now = core, channel, now
        self.loaded = Loaded()
        self.conversations: dict[str, Conversation] = {}
        self.newest: dict[ThreadHead, str | None] = {}
        self.firsts: dict[str, str | None] = {}
        self.people: dict[str, dict[str, None]] = {}
        self.by_mark: dict[str, Row] = {}
        self.by_remote: dict[str, Row] = {}

        self.before: dict[str, int] = {}
        self.events: dict[str, list[Event]] = {}
        self.stored: dict[MessageKey, Stored] = {}
        self.revisions: dict[MessageKey, dict[str, Stored]] = {}
        self.orphans: dict[MessageKey, list[Outbound]] = {}
        self.removed: dict[MessageKey, Removed] = {}
        self.adopted: dict[MessageKey, str] = {}
        self.merged: dict[str, str] = {}
        self.settlements: dict[str, Settlement] = {}
        self.holds: list[HoldRows] = []
        self.quarantine: dict[str, Quarantined] = {}
        self.unread: list[tuple[str, Message]] = []
        self.recorded = self.duplicates = 0

    # -- loading

    def prepare(self, facts: Sequence[Fact]) -> Program[None]:
        """Load what facts need in one round trip, or in two where answers name no thread."""
        self.loaded = yield from self.fetch(first_needs(self.channel, facts))
        for row in self.loaded.rows.values():
            self.by_mark[row.posting.outgoing.mark] = row
            if row.remote_id is not None:
                self.by_remote[row.remote_id] = row
        answers = answers_among(facts)
        if answers:
            yield from self.fetch(later_needs(self.channel, answers, self.about))

    def fetch(self, wanted: Wanted) -> Program[Loaded]:
        """Load conversations, and remember which there are not."""
        loaded = yield from load(self.core, wanted)
        for found in loaded.conversations.values():
            self.conversations.setdefault(found.id, found)
        for place in wanted.heads:
            self.newest[place] = self.met(loaded.heads.get(place))
        for channel, thread in wanted.threads:
            self.firsts[thread] = self.met(loaded.threads.get((channel, thread)))
        return loaded

    def met(self, conversation: Conversation | None) -> str | None:
        """Remember a conversation and who speaks in its thread; return its id."""
        if conversation is None:
            return None
        self.conversations.setdefault(conversation.id, conversation)
        self.people.setdefault(conversation.thread, {})[conversation.customer] = None
        return conversation.id

    # -- finding

    def known(self, key: MessageKey) -> Stored | None:
        """Return a message as first seen."""
        return self.stored.get(key) or self.loaded.messages.get(key)

    def is_duplicate(self, key: MessageKey) -> bool:
        """Return whether a message was recorded before, or erased."""
        return key in self.stored or key in self.loaded.messages or key in self.loaded.erased

    def is_foretold(self, key: MessageKey) -> bool:
        """Return whether something was reported of a message before the message itself."""
        loaded = self.loaded
        return (
            key in self.revisions
            or key in self.removed
            or key in self.orphans
            or key in loaded.revisions
            or key in loaded.removed
            or key in loaded.orphans
        )

    def about(self, key: MessageKey) -> str | None:
        """Return the id of the conversation that a message, theirs or ours, was put into."""
        if key in self.adopted:
            return self.adopted[key]
        stored = self.known(key)
        if stored is not None:
            return stored.conversation
        row = self.by_remote.get(key[2])
        return None if row is None else row.posting.conversation

    def thread_of(self, message: Message) -> Program[str]:
        """Return the thread of a message whose platform names none.

        It is the known parent's, or the parent itself; what answers nobody begins its own.
        """
        if not message.parent:
            return message.id
        about = self.about(parent_of(message))
        return message.parent if about is None else (yield from self.conversation(about)).thread

    def exactly(self, id: str) -> Program[Conversation]:  # noqa: A002  # its name
        """Return a conversation as this page has it, though it may be part of another now."""
        if id not in self.conversations:
            yield from self.fetch(Wanted(conversations=(id,)))
        return self.conversations[id]

    def conversation(self, id: str) -> Program[Conversation]:  # noqa: A002  # its name
        """Return a conversation as this page has it, following merges."""
        found = yield from self.exactly(id)
        while found.merged_into is not None:
            found = yield from self.exactly(found.merged_into)
        return found

    def last(self, thread: str, customer: str) -> Program[Conversation | None]:
        """Return a customer's newest conversation in a thread, merged or not."""
        place = (self.channel, thread, customer)
        if place not in self.newest:
            yield from self.fetch(Wanted(heads=(place,)))
        found = self.newest[place]
        return None if found is None else self.conversations[found]

    def head(self, thread: str, customer: str) -> Program[Conversation | None]:
        """Return a customer's newest conversation in a thread, following merges."""
        found = yield from self.last(thread, customer)
        while found is not None and found.merged_into is not None:
            into = yield from self.conversation(found.merged_into)
            found = yield from self.last(into.thread, into.customer)
        return found

    def covering(
        self, newest: Conversation, at: datetime
    ) -> Program[tuple[Conversation, Conversation]]:
        """Return the conversation of a series whose interval covers a time, and the next one.

        Where there is none later, it is the same one twice.
        """
        found = later = newest
        while at < found.opened_at and found.number > 0:
            later = found
            earlier = (found.channel, found.thread, found.customer, found.number - 1)
            found = yield from self.conversation(conversation_id(*earlier))
        return found, later

    def for_message(self, message: Message, thread: str, reading: Reading) -> Program[Conversation]:
        """Return the conversation that a customer's message belongs to, perhaps a new one."""
        customer, at = message.author.id, message.at
        head = yield from self.head(thread, customer)
        if head is None:
            beside = yield from self.beside(message, thread)
            return blank(self.channel, thread, customer, at, bystander_of=beside)
        found, later = head, head
        if at < head.opened_at:
            found, later = yield from self.covering(head, at)
        if belongs(found, at, reading, self.core.rules):
            return found
        if later is not found:  # it came late, and began what we know as the next one
            return later
        return blank(self.channel, head.thread, customer, at, head.number + 1, head.id)

    def beside(self, message: Message, thread: str) -> Program[str | None]:
        """Return whom a third person speaks beside: whoever was first in a public thread.

        If its root came after somebody's answer to it, that answer's is linked instead.
        """
        id = self.firsts.get(thread)  # noqa: A001  # its name
        if id is None or message.visibility is not Visibility.public:
            return None
        first = yield from self.conversation(id)
        if message.parent or message.thread:
            return first.bystander_of or first.id
        root = conversation_id(self.channel, thread, message.author.id)
        self.apply(first, (Linked(self.now, root),))
        return None

    def for_answer(self, fact: Outbound, thread: str) -> Program[Conversation | None]:
        """Return the conversation that words of ours answer; None if it is not known yet."""
        at = fact.message.at
        if not fact.customer:
            about = self.about(parent_of(fact.message))
            return None if about is None else (yield from self.answered(about, at))
        head = yield from self.head(thread, fact.customer)
        if head is None:
            return blank(self.channel, thread, fact.customer, at)
        return (yield from self.covering(head, at))[0]

    def answered(self, about: str, at: datetime) -> Program[Conversation]:
        """Return the conversation that an answer goes into, in the series of what it answers."""
        found = yield from self.conversation(about)
        head = yield from self.head(found.thread, found.customer)
        return (yield from self.covering(head or found, at))[0]

    # -- changing

    def read(self, message: Message) -> Reading:
        """Ask an inline classifier; one that fails leaves the message unread."""
        classifier = self.core.classifier
        if classifier is None or self.core.reader is not None:
            return Unread
        try:
            found = classifier.read(message)
            if inspect.iscoroutine(found):
                found.close()
            return plain_reading(found)
        except Exception as error:  # noqa: BLE001  # a user's code must not lose a message
            return Reading(reasons=(f"classifier failed: {type(error).__name__}",))

    def apply(self, conversation: Conversation, events: tuple[Event, ...]) -> Conversation:
        """Fold events into a conversation of this page."""
        if not events:
            return conversation
        id, thread = conversation.id, conversation.thread  # noqa: A001  # its name
        after = fold(self.core, conversation, events)
        if id in self.events:
            self.events[id] += events
        else:
            self.before[id], self.events[id] = conversation.version, list(events)
        if conversation.version == 0:
            self.newest[self.channel, thread, conversation.customer] = id
            self.firsts[thread] = self.firsts.get(thread) or id
            self.people.setdefault(thread, {})[conversation.customer] = None
        self.conversations[id] = after
        for event in events:
            if event.__class__ is Held:
                self.holds.append(HoldRows(event.reply, event.why))
        return after

    def decided(
        self,
        conversation: Conversation,
        what: Input,
        reading: Reading = Unread,
        of: Message | None = None,
    ) -> Conversation:
        """Decide what a fact means for a conversation, as this page has it, and fold that in."""
        conversation = self.conversations.get(conversation.id, conversation)
        events = decide(conversation, what, self.now, reading, self.core.rules, of)
        return self.apply(conversation, events)

    def unite(self, message: str, thread: str, author: str | None = None) -> Program[None]:
        """Merge what was opened under a message's own id, now that its thread is known.

        A store names the first person of a thread. With the author, and whoever was first in
        the other thread, these are the people looked for; somebody else's talk stays whole,
        under the thread that was known then.
        """
        if message == thread:
            return
        missing = [(self.channel, name) for name in (message, thread) if name not in self.firsts]
        if missing:
            yield from self.fetch(Wanted(threads=tuple(missing)))
        people = dict.fromkeys((*self.people.get(message, ()), *self.people.get(thread, ())))
        for customer in (*people, author) if author else tuple(people):
            newest = yield from self.last(message, customer)
            for number in range(newest.number + 1 if newest else 0):
                place = (self.channel, message, customer, number)
                early = yield from self.exactly(conversation_id(*place))
                if early.merged_into is None:
                    yield from self.absorb(early, thread)

    def absorb(self, early: Conversation, thread: str) -> Program[None]:
        """Merge one conversation into its customer's in another thread."""
        head = yield from self.head(thread, early.customer)
        if head is None:
            target = blank(self.channel, thread, early.customer, early.opened_at)
        else:
            target, _ = yield from self.covering(head, early.opened_at)
        ended, carried = merge(early, target, self.now)
        self.apply(early, ended)
        self.merged[early.id] = self.apply(target, carried).id

    def reject(self, fact: object, why: str) -> None:
        """Put a fact into quarantine."""
        item = quarantined(self.channel, described(fact), why, self.now)
        self.quarantine[item.id] = item

    def changes(self, state: ChannelChange | None, replayed: tuple[str, ...]) -> Changes:
        """Return everything that this page changes, as one transaction."""
        revisions = (stored for some in self.revisions.values() for stored in some.values())
        return Changes(
            self.now,
            conversations=tuple(
                written(self.core, self.before[id], self.conversations[id], tuple(events))
                for id, events in sorted(self.events.items())  # noqa: A001  # its name
            ),
            messages=(*self.stored.values(), *revisions),
            removed=tuple(self.removed.values()),
            adopted=tuple(self.adopted.items()),
            merged=tuple(self.merged.items()),
            settlements=tuple(self.settlements.values()),
            holds=tuple(self.holds),
            quarantine=tuple(self.quarantine.values()),
            replayed=replayed,
            channels=() if state is None else (state,),
        )
