"""Take facts in: recorded exactly once, whichever way, order and number they arrive in.

One page is one load, pure decisions, one commit. A fact that cannot be decided is
quarantined with its content, and its neighbours go on. It is over 300 lines because each kind
of fact has its rules here about where it belongs, and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs

from supportflow.channels import Unreadable
from supportflow.desk.core import Core, fold, load, commit, retrying, written
from supportflow.errors import Conflict, SupportflowError
from supportflow.events import Event
from supportflow.flow import Program
from supportflow.machine import belongs, blank, decide, merge
from supportflow.model import (
    Agent,
    Author,
    ChannelState,
    Conversation,
    Edit,
    Fact,
    Inbound,
    Message,
    MessageKey,
    Outbound,
    PartTold,
    Reaction,
    Reading,
    Receipt,
    Removal,
    State,
    StatusReport,
    Unread,
    Visibility,
    conversation_id,
    parse_conversation_id,
)
from supportflow.stores import (
    Changes,
    Direction,
    Loaded,
    Quarantined,
    Removed,
    Row,
    RowState,
    Settlement,
    Stored,
    Wanted,
)
from supportflow.text import storable

__all__ = ["Taken", "intake", "quarantined"]


@attrs.frozen
class Taken:
    """Hold what became of a page of facts.

    Args:
        recorded: How many were new.
        duplicates: How many were known already; they changed nothing.
        quarantined: How many could not be read.
        conversations: The ids of the conversations that changed.
        more: Whether the channel has more to fetch at once.
    """

    recorded: int = 0
    duplicates: int = 0
    quarantined: int = 0
    conversations: tuple[str, ...] = ()
    more: bool = False

    def __add__(self, other: Taken) -> Taken:
        return Taken(
            self.recorded + other.recorded,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
            tuple(dict.fromkeys((*self.conversations, *other.conversations))),
            self.more or other.more,
        )


def intake(
    core: Core,
    channel: str,
    facts: Iterable[Fact],
    *,
    unreadable: Iterable[Unreadable] = (),
    state: ChannelState | None = None,
    replayed: tuple[str, ...] = (),
) -> Program[Taken]:
    """Record facts, and everything that follows from them, exactly once.

    Args:
        channel: The name of the channel that they come from.
        facts: The facts, in any order, known ones among them.
        unreadable: Items that the channel could not read; they are quarantined.
        state: The channel's state to commit with the page, its cursor above all.
        replayed: Quarantined items that these facts came from.

    Returns:
        What became of them.

    Raises:
        StoreUnavailable: If nothing could be committed: then nothing was acknowledged.
    """
    page = tuple(facts)
    bad = tuple(quarantined(channel, item.raw, item.why, core.now()) for item in unreadable)
    return (yield from _page(core, channel, page, bad, state, replayed))


def _page(
    core: Core,
    channel: str,
    facts: tuple[Fact, ...],
    bad: tuple[Quarantined, ...],
    state: ChannelState | None,
    replayed: tuple[str, ...],
) -> Program[Taken]:
    """Commit a page; after conflict on conflict halve it, the cursor with the last half."""
    try:
        return (yield from retrying(lambda: _attempt(core, channel, facts, bad, state, replayed)))
    except Conflict:
        if len(facts) < 2:
            raise
    half = len(facts) // 2
    first = yield from _page(core, channel, facts[:half], bad, None, ())
    return first + (yield from _page(core, channel, facts[half:], (), state, replayed))


def _attempt(
    core: Core,
    channel: str,
    facts: tuple[Fact, ...],
    bad: tuple[Quarantined, ...],
    state: ChannelState | None,
    replayed: tuple[str, ...],
) -> Program[Taken]:
    batch = Batch(core, channel, core.now())
    batch.quarantine.update((item.id, item) for item in bad)
    clean = [fact for fact in map(batch.accept, facts) if fact is not None]
    yield from batch.prepare(clean)
    for fact in clean:
        yield from batch.take(fact)
    yield from commit(core, batch.changes(state, replayed))
    return Taken(batch.recorded, batch.duplicates, len(batch.quarantine), tuple(batch.working))


def quarantined(channel: str, raw: bytes, why: str, at: datetime) -> Quarantined:
    """Return an item for quarantine; the same content gives the same id.

    Args:
        channel: The channel's name.
        raw: The item as it came.
        why: What was wrong with it.
        at: When (aware).
    """
    digest = hashlib.blake2b(channel.encode() + b"\0" + raw, digest_size=16).hexdigest()
    return Quarantined(digest, channel, raw, storable(why), at)


def _described(fact: object) -> bytes:
    """Return a fact as JSON for quarantine, the platform's own item where it was kept."""
    message = getattr(fact, "message", None)
    if isinstance(message, Message) and message.raw:
        return message.raw.encode("utf-8", "replace")
    if not attrs.has(type(fact)):
        return repr(fact)[:10_000].encode("utf-8", "replace")
    content = {"fact": type(fact).__name__, **attrs.asdict(fact)}  # type: ignore[arg-type]  # checked by attrs.has
    return json.dumps(content, default=str, sort_keys=True).encode("utf-8", "replace")


def _clean(message: Message) -> Message:
    """Normalise every text of a message; the common case changes nothing."""
    author = message.author
    texts = (message.text, message.id, author.id, author.name, author.handle, *message.tags)
    perhaps = (message.thread, message.parent, message.raw, message.permalink, message.language)
    if all(text is None or (text.isascii() and "\x00" not in text) for text in texts + perhaps):
        return message
    return attrs.evolve(
        message,
        text=storable(message.text),
        id=storable(message.id),
        author=Author(storable(author.id), storable(author.name), storable(author.handle)),
        thread=message.thread and storable(message.thread),
        parent=message.parent and storable(message.parent),
        raw=message.raw and storable(message.raw),
        permalink=message.permalink and storable(message.permalink),
        language=message.language and storable(message.language),
        tags=tuple(map(storable, message.tags)),
        attachments=tuple(
            attrs.evolve(a, url=storable(a.url), name=storable(a.name)) for a in message.attachments
        ),
    )


class Batch:
    """Gather what one page changes, on top of what the store has."""

    def __init__(self, core: Core, channel: str, now: datetime) -> None:
        self.core, self.channel, self.now = core, channel, now
        self.loaded = Loaded()
        self.working: dict[str, Conversation] = {}
        self.before: dict[str, int] = {}
        self.events: dict[str, list[Event]] = {}
        self.heads: dict[tuple[str, str, str], Conversation | None] = {}
        self.firsts: dict[tuple[str, str], Conversation] = {}
        self.stored: dict[MessageKey, Stored] = {}
        self.revisions: dict[tuple[MessageKey, str], Stored] = {}
        self.orphans: dict[MessageKey, list[Stored]] = {}
        self.removed: dict[MessageKey, Removed] = {}
        self.adopted: dict[MessageKey, str] = {}
        self.merged: dict[str, str] = {}
        self.settlements: dict[str, Settlement] = {}
        self.quarantine: dict[str, Quarantined] = {}
        self.recorded = self.duplicates = 0

    # -- before anything is decided

    def accept(self, fact: object) -> Fact | None:
        """Return a fact in storable form; None if it is in quarantine now."""
        take = _TAKE.get(type(fact))
        try:
            if take is None:
                raise SupportflowError(f"{type(fact).__name__} is not a fact")
            clean = _accepted(fact)
            channel = clean.message.channel if isinstance(clean, _WORDS) else clean.channel
            if channel != self.channel:
                raise SupportflowError(f"it names channel {channel!r}, not {self.channel!r}")
        except (SupportflowError, AttributeError, TypeError, ValueError) as error:
            self.reject(fact, error)
            return None
        return clean

    def reject(self, fact: object, error: Exception) -> None:
        item = quarantined(self.channel, _described(fact), f"{error}"[:500], self.now)
        self.quarantine[item.id] = item

    def prepare(self, facts: Sequence[Fact]) -> Program[None]:
        """Load what facts need: one round trip, a second for answers whose thread the
        platform does not name."""
        words = [fact for fact in facts if isinstance(fact, Inbound | Outbound)]
        messages = [fact.message for fact in words]
        parents = [(m.channel, m.kind, m.parent) for m in messages if m.parent]
        targets = [fact.key for fact in facts if isinstance(fact, Reaction)]
        remotes = [(m.channel, m.id) for m in messages]
        remotes += [(f.channel, f.id) for f in facts if isinstance(f, StatusReport)]
        marks = [f.mark for f in facts if isinstance(f, Outbound | StatusReport) and f.mark]
        clear = [fact for fact in words if fact.message.thread or not fact.message.parent]
        wanted = Wanted(
            heads=self.heads_of(clear),
            threads=self.threads_of(clear),
            messages=tuple(dict.fromkeys([*map(_key, facts), *parents, *targets])),
            orphans=tuple(fact.message.key for fact in words if isinstance(fact, Inbound)),
            marks=tuple(dict.fromkeys(marks)),
            remotes=tuple(dict.fromkeys(remotes)),
        )
        self.loaded = yield from load(self.core, wanted)
        self.know(wanted, self.loaded)
        answers = [fact for fact in words if fact.message.parent and not fact.message.thread]
        if answers:
            early = tuple((m.channel, m.id, m.author.id) for m in (a.message for a in answers))
            heads = dict.fromkeys(self.heads_of(answers) + early)
            more = Wanted(heads=tuple(heads), threads=self.threads_of(answers))
            self.know(more, (yield from load(self.core, more)))

    def know(self, wanted: Wanted, loaded: Loaded) -> None:
        for head in wanted.heads:
            self.heads[head] = loaded.heads.get(head)
        self.firsts.update(loaded.threads)

    def heads_of(self, words: Iterable[Inbound | Outbound]) -> tuple[tuple[str, str, str], ...]:
        heads: dict[tuple[str, str, str], None] = {}
        for fact in words:
            message = fact.message
            customer = message.author.id if isinstance(fact, Inbound) else fact.customer
            if customer:
                heads[message.channel, self.thread_of(message), customer] = None
        return tuple(heads)

    def threads_of(self, words: Iterable[Inbound | Outbound]) -> tuple[tuple[str, str], ...]:
        """Return the threads in which somebody else may have been first: answers in public."""
        found = (
            (fact.message.channel, self.thread_of(fact.message))
            for fact in words
            if isinstance(fact, Inbound)
            and fact.message.parent
            and fact.message.visibility is Visibility.public
        )
        return tuple(dict.fromkeys(found))

    # -- where things belong

    def thread_of(self, message: Message) -> str:
        """Return a message's thread: the platform's, the known parent's, or the parent itself."""
        if message.thread:
            return message.thread
        if message.parent is None:
            return message.id
        parent = self.known((message.channel, message.kind, message.parent))
        if parent is not None and parent.conversation is not None:
            return parse_conversation_id(self.adopted.get(parent.message.key, parent.conversation))[
                1
            ]
        return message.parent

    def known(self, key: MessageKey) -> Stored | None:
        return self.stored.get(key) or self.loaded.messages.get(key)

    def is_duplicate(self, key: MessageKey) -> bool:
        return key in self.stored or key in self.loaded.messages or key in self.loaded.erased

    def conversation(self, id: str) -> Program[Conversation]:  # noqa: A002  # its name
        """Return a conversation as this page has it, following merges."""
        while True:
            found = self.working.get(id)
            if found is None:
                loaded = yield from load(self.core, Wanted(conversations=(id,)))
                found = loaded.conversations[id]
                found = self.working.get(id, found)
            if found.merged_into is None:
                return found
            id = found.merged_into  # noqa: A001  # its name

    def head(self, channel: str, thread: str, customer: str) -> Program[Conversation | None]:
        """Return a customer's newest conversation in a thread, as this page has it."""
        place = (channel, thread, customer)
        if place not in self.heads:
            loaded = yield from load(self.core, Wanted(heads=(place,)))
            self.heads[place] = loaded.heads.get(place)
        found = self.heads[place]
        if found is None:
            return None
        found = self.working.get(found.id, found)
        if found.merged_into is not None:
            return (yield from self.conversation(found.merged_into))
        return found

    def at_time(self, newest: Conversation, at: datetime) -> Program[Conversation]:
        """Return the conversation of a series whose interval covers a time."""
        found = newest
        while at < found.opened_at and found.number > 0:
            earlier = conversation_id(found.channel, found.thread, found.customer, found.number - 1)
            found = yield from self.conversation(earlier)
        return found

    def for_message(self, message: Message, reading: Reading) -> Program[Conversation]:
        """Return the conversation that a customer's message belongs to, perhaps a new one."""
        thread, customer = self.thread_of(message), message.author.id
        head = yield from self.head(message.channel, thread, customer)
        if head is None:
            first = self.firsts.get((message.channel, thread))
            beside = first.id if first is not None and first.customer != customer else None
            return blank(message.channel, thread, customer, message.at, bystander_of=beside)
        if message.at < head.opened_at:
            return (yield from self.at_time(head, message.at))
        if belongs(head, message.at, reading, self.core.rules):
            return head
        return blank(
            head.channel, head.thread, customer, message.at, head.number + 1, previous=head.id
        )

    def apply(self, conversation: Conversation, events: tuple[Event, ...]) -> Conversation:
        """Fold events into a conversation of this page."""
        if not events:
            return conversation
        id = conversation.id  # noqa: A001  # its name
        self.before.setdefault(id, conversation.version)
        self.events.setdefault(id, []).extend(events)
        after = fold(self.core, conversation, events)
        self.working[id] = after
        place = (after.channel, after.thread, after.customer)
        head = self.heads.get(place)
        if head is None or after.number >= head.number:
            self.heads[place] = after
        self.firsts.setdefault((after.channel, after.thread), after)
        return after

    # -- one method a kind of fact

    def take(self, fact: Fact) -> Program[None]:
        """Decide what a fact changes; a duplicate changes nothing."""
        yield from _TAKE[type(fact)](self, fact)

    def read(self, message: Message) -> Reading:
        """Ask an inline classifier; one that fails leaves the message unread."""
        classifier = self.core.classifier
        if classifier is None or not getattr(classifier, "inline", False):
            return Unread
        try:
            reading = classifier.read(message)
        except Exception as error:  # noqa: BLE001  # a user's code must not lose a message
            return Reading(reasons=(f"classifier failed: {type(error).__name__}",))
        return reading if isinstance(reading, Reading) else Unread

    def take_inbound(self, fact: Inbound) -> Program[None]:
        message = fact.message
        if self.is_duplicate(message.key):
            self.duplicates += 1
            return
        reading = self.read(message)
        yield from self.unite(message)
        conversation = yield from self.for_message(message, reading)
        events = decide(conversation, fact, self.now, reading, self.core.rules)
        conversation = self.apply(conversation, events)
        gone = self.removed.get(message.key) or self.loaded.removed.get(message.key)
        self.store(Stored(message, Direction.inbound, conversation.id), gone)
        self.recorded += 1
        yield from self.catch_up(message, conversation, gone)

    def store(self, stored: Stored, gone: Removed | None = None) -> None:
        if gone is not None:
            stored = attrs.evolve(
                stored, removed_at=gone.at, removed_by=gone.by, hidden=gone.hidden
            )
        self.stored[stored.message.key] = stored

    def unite(self, message: Message) -> Program[None]:
        """Merge what was opened under this message's id, now that its thread is known."""
        if message.parent is None or message.thread:
            return
        thread = self.thread_of(message)
        early = yield from self.head(message.channel, message.id, message.author.id)
        if early is None or early.thread == thread:
            return
        target = yield from self.head(message.channel, thread, message.author.id)
        if target is None:
            target = blank(message.channel, thread, message.author.id, early.opened_at)
        ended, carried = merge(early, target, self.now)
        self.apply(early, ended)
        self.merged[early.id] = self.apply(target, carried).id

    def catch_up(
        self, message: Message, conversation: Conversation, gone: Removed | None
    ) -> Program[None]:
        """Apply what was reported of a message before the message itself arrived."""
        early = [s for (key, _), s in self.revisions.items() if key == message.key]
        early += self.loaded.revisions.get(message.key, ())
        for revision in sorted(early, key=lambda s: (s.message.at, s.revision)):
            edit = Edit(*message.key, revision.revision, revision.message.text, revision.message.at)
            conversation = self.decided(conversation, edit, message)
            self.adopted[message.key] = conversation.id
        if gone is not None:
            removal = Removal(*message.key, gone.at, gone.by, gone.hidden)
            conversation = self.decided(conversation, removal, message)
        waiting = [*self.loaded.orphans.get(message.key, ()), *self.orphans.pop(message.key, ())]
        for answer in waiting:
            conversation = yield from self.conversation(conversation.id)
            conversation = self.decided(conversation, Outbound(answer.message), None)
            self.adopted[answer.message.key] = conversation.id

    def decided(
        self, conversation: Conversation, fact: Fact, of: Message | None, reading: Reading = Unread
    ) -> Conversation:
        events = decide(conversation, fact, self.now, reading, self.core.rules, of)
        return self.apply(conversation, events)

    def take_outbound(self, fact: Outbound) -> Program[None]:
        message = fact.message
        row = self.row_of(message.channel, message.id, fact.mark)
        if row is not None:
            yield from self.take_echo(row, message)
            return
        if self.is_duplicate(message.key):
            self.duplicates += 1
            return
        self.recorded += 1
        conversation = yield from self.for_answer(fact)
        if conversation is None:
            self.store(Stored(message, Direction.outbound, None))
            parent = (message.channel, message.kind, message.parent or "")
            self.orphans.setdefault(parent, []).append(self.stored[message.key])
            return
        conversation = self.decided(conversation, fact, None, self.read(message))
        gone = self.loaded.removed.get(message.key)
        self.store(Stored(message, Direction.outbound, conversation.id), gone)

    def for_answer(self, fact: Outbound) -> Program[Conversation | None]:
        """Return the conversation that words of ours answer; None if it is not known yet."""
        message = fact.message
        if fact.customer:
            thread = self.thread_of(message)
            head = yield from self.head(message.channel, thread, fact.customer)
            if head is None:
                return blank(message.channel, thread, fact.customer, message.at)
            return (yield from self.at_time(head, message.at))
        parent = self.known((message.channel, message.kind, message.parent or ""))
        if parent is None or parent.conversation is None:
            return None
        found = yield from self.conversation(parent.conversation)
        head = yield from self.head(found.channel, found.thread, found.customer)
        return (yield from self.at_time(head or found, message.at))

    def row_of(self, channel: str, remote: str, mark: str | None) -> Row | None:
        """Return the outbox row that a platform's id or our own mark belongs to."""
        for row in self.loaded.rows.values():
            posting = row.posting
            if posting.channel == channel and (
                row.remote_id == remote or (mark and posting.outgoing.mark == mark)
            ):
                return row
        return None

    def take_echo(self, row: Row, message: Message) -> Program[None]:
        """Take an echo of our own reply: if it comes before the answer, it is the receipt."""
        if row.state is RowState.sent or row.id in self.settlements:
            self.duplicates += 1
            return
        receipt = Receipt(message.id, message.at, message.permalink)
        self.settlements[row.id] = Settlement(row.id, row.fence, RowState.sent, receipt, how="echo")
        self.recorded += 1
        posting = row.posting
        if posting.conversation is not None:
            conversation = yield from self.conversation(posting.conversation)
            by = Agent("unknown", posting.outgoing.by)
            told = PartTold(posting.reply, posting.part, receipt, by)
            self.apply(conversation, decide(conversation, told, self.now, rules=self.core.rules))

    def take_edit(self, fact: Edit) -> Program[None]:
        known = self.known(fact.key)
        revisions = self.loaded.revisions.get(fact.key, ())
        seen = {s.revision for s in revisions} | {r for k, r in self.revisions if k == fact.key}
        if fact.revision in seen or fact.key in self.loaded.erased:
            self.duplicates += 1
            return
        self.recorded += 1
        conversation = None
        if known is not None and known.conversation is not None:
            conversation = yield from self.conversation(known.conversation)
            reading = self.read(attrs.evolve(known.message, text=fact.text))
            conversation = self.decided(conversation, fact, known.message, reading)
        shell = known.message if known else Message(*fact.key, Author(""), "", fact.at)
        revised = attrs.evolve(shell, text=fact.text, at=fact.at, raw=None)
        self.revisions[fact.key, fact.revision] = Stored(
            revised,
            known.direction if known else Direction.inbound,
            conversation.id if conversation else None,
            fact.revision,
        )

    def take_removal(self, fact: Removal) -> Program[None]:
        known = self.known(fact.key)
        removed = self.removed.get(fact.key) or self.loaded.removed.get(fact.key)
        if removed or (known and known.removed_at) or fact.key in self.loaded.erased:
            self.duplicates += 1
            return
        self.recorded += 1
        self.removed[fact.key] = Removed(fact.key, fact.at, fact.by, fact.hidden)
        if known is not None and known.conversation is not None:
            conversation = yield from self.conversation(known.conversation)
            self.decided(conversation, fact, known.message)

    def take_reaction(self, fact: Reaction) -> Program[None]:
        key = _key(fact)
        if self.is_duplicate(key):
            self.duplicates += 1
            return
        target = self.known(fact.key)
        if target is None or target.conversation is None:
            self.reject(fact, SupportflowError("it reacts to a message that is not known"))
            return
        conversation = yield from self.conversation(target.conversation)
        self.decided(conversation, fact, None)
        message = Message(*key, fact.author, fact.emoji, fact.at, parent=fact.id)
        self.store(Stored(message, Direction.inbound, conversation.id))
        self.recorded += 1

    def take_status(self, fact: StatusReport) -> Program[None]:
        key = _key(fact)
        if self.is_duplicate(key):
            self.duplicates += 1
            return
        row = self.row_of(fact.channel, fact.id, fact.mark)
        if row is None or row.posting.conversation is None:
            self.reject(fact, SupportflowError("it reports on a message that we did not send"))
            return
        conversation = yield from self.conversation(row.posting.conversation)
        self.decided(conversation, fact, None)
        message = Message(*key, Author(""), fact.reason, fact.at, parent=fact.id)
        self.store(Stored(message, Direction.note, conversation.id))
        self.recorded += 1

    # -- afterwards

    def changes(self, state: ChannelState | None, replayed: tuple[str, ...]) -> Changes:
        """Return everything that this page changes, as one transaction."""
        return Changes(
            self.now,
            conversations=tuple(
                written(self.core, self.before[id], self.working[id], tuple(events))
                for id, events in sorted(self.events.items())  # noqa: A001  # its name
            ),
            messages=(*self.stored.values(), *self.revisions.values()),
            removed=tuple(self.removed.values()),
            adopted=tuple(self.adopted.items()),
            merged=tuple(self.merged.items()),
            settlements=tuple(self.settlements.values()),
            quarantine=tuple(self.quarantine.values()),
            replayed=replayed,
            channels=() if state is None else (state,),
        )


_WORDS = (Inbound, Outbound)


def _key(fact: Fact) -> MessageKey:
    """Return what makes a fact's record unique."""
    if isinstance(fact, Inbound | Outbound):
        return fact.message.key
    if isinstance(fact, Reaction):
        moment = fact.at.isoformat()
        return (fact.channel, "reaction", f"{fact.kind}:{fact.id}:{fact.author.id}:{moment}")
    if isinstance(fact, StatusReport):
        return (fact.channel, "report", f"{fact.id}:{fact.status}")
    return fact.key


def _accepted(fact: Any) -> Fact:
    """Return a fact in storable form."""
    if isinstance(fact, _WORDS):
        clean = _clean(fact.message)
        accepted: Fact = fact if clean is fact.message else attrs.evolve(fact, message=clean)
        return accepted
    texts = {
        field.name: storable(getattr(fact, field.name))
        for field in attrs.fields(type(fact))
        if type(getattr(fact, field.name)) is str
    }
    changed: Fact = attrs.evolve(fact, **texts)
    return changed


_TAKE: dict[type, Callable[[Batch, Any], Program[None]]] = {
    Inbound: Batch.take_inbound,
    Outbound: Batch.take_outbound,
    Edit: Batch.take_edit,
    Removal: Batch.take_removal,
    Reaction: Batch.take_reaction,
    StatusReport: Batch.take_status,
}
