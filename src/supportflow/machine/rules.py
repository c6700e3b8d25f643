"""What a user may change about the machine, its bare step, and where messages belong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import attrs

from supportflow.errors import IllegalStep, InvalidValue
from supportflow.model import (
    MAX_MARKS,
    AgentKind,
    Conversation,
    Progress,
    Reading,
    State,
    Step,
    conversation_id,
)
from supportflow.model.conversation import made_of, replace
from supportflow.model.quick import maker
from supportflow.playbook import PLAYBOOKS, STANDARD, Playbook, find_playbook, playbook_for
from supportflow.sla.clock import RESPONDERS

__all__ = ["RULES", "Rules", "belongs", "blank", "step"]


@attrs.frozen
class Rules:
    """Hold what a user may change about the machine.

    Args:
        playbooks: The playbooks by name; `"standard"` must be among them.
        playbook_for: Which of them a reading calls for.
        reopen_within: How long after it was resolved a conversation is reopened by its
            customer's message; later a new one begins. Ours: 7 days.
        responders: Whose words answer a customer and take steps.
        max_marks: How many marks a snapshot keeps before the older half is folded.

    Raises:
        InvalidValue: If there is no standard playbook, or no mark is kept.
    """

    playbooks: Mapping[str, Playbook] = PLAYBOOKS
    playbook_for: Callable[[Reading], str] = playbook_for
    reopen_within: timedelta = timedelta(days=7)
    responders: frozenset[AgentKind] = RESPONDERS
    max_marks: int = MAX_MARKS

    def __attrs_post_init__(self) -> None:
        if STANDARD.name not in self.playbooks:
            raise InvalidValue(f"the playbooks lack {STANDARD.name!r}, which unread messages need")
        if self.max_marks < 1:
            raise InvalidValue(f"max_marks is {self.max_marks}; keep at least one")

    def book(self, name: str) -> Playbook:
        """Return a playbook by name; the standard one where none is decided yet.

        Raises:
            InvalidValue: If there is none of that name.
        """
        return find_playbook(self.playbooks, name)


RULES = Rules()


def step(progress: Progress, taken: Step, at: datetime, playbook: Playbook = STANDARD) -> Progress:
    """Take one step: the bare machine, usable without anything else here.

    Args:
        progress: Where the conversation stands.
        taken: The step.
        at: When (aware).
        playbook: Which steps are legal.

    Raises:
        IllegalStep: If the step is not legal; it names those that are.

    Example:
        >>> from datetime import UTC
        >>> start = Progress(State.received, 1, datetime(2026, 1, 1, tzinfo=UTC))
        >>> step(start, Step.acknowledge, start.since).state
        <State.acknowledged: 'acknowledged'>
    """
    state = progress.state
    to = playbook.edges[state].get(taken)
    if to is None:
        raise IllegalStep(taken, state, playbook.legal(state))
    return _progress(to, progress.version + 1, progress.since if to is state else at)


_progress = maker(Progress)


def blank(
    channel: str,
    thread: str,
    customer: str,
    at: datetime,
    number: int = 0,
    previous: str | None = None,
    bystander_of: str | None = None,
) -> Conversation:
    """Return a conversation in which nothing has happened yet (version 0).

    Args:
        channel: The channel's name.
        thread: The platform's thread.
        customer: The customer's id.
        at: The platform time of what is about to happen (aware).
        number: Which conversation of theirs in that thread.
        previous: The conversation that it continues.
        bystander_of: The conversation of the thread's first customer, for a third person.
    """
    return replace(
        _BLANK,
        id=conversation_id(channel, thread, customer, number),
        channel=channel,
        thread=thread,
        customer=customer,
        number=number,
        opened_at=at,
        progress=_progress(State.received, 0, at),
        previous=previous,
        bystander_of=bystander_of,
    )


_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY = Conversation("", "", "", "", 0, _NEVER, Progress(State.received, 0, _NEVER), "")
#: With its fields in a dict of its own: one that shares its keys with those of other instances,
#: as `__init__` makes it, is read more slowly, and so is every copy of it.
_BLANK = made_of({field.name: getattr(_NOBODY, field.name) for field in attrs.fields(Conversation)})


def belongs(
    conversation: Conversation, at: datetime, reading: Reading, rules: Rules = RULES
) -> bool:
    """Return whether a customer's message goes into this, their newest, conversation.

    It does unless the conversation was resolved longer ago than the reopen window. Mere
    gratitude always does; so does a message from before what is known already, because a
    new conversation only ever begins after the old one.

    Args:
        conversation: The newest conversation of that customer in that thread.
        at: The message's time.
        reading: What was understood of it.
        rules: The rules in force.
    """
    marks = conversation.marks
    return (
        conversation.state is not State.resolved
        or reading.gratitude
        or at - conversation.since <= rules.reopen_within
        or (bool(marks) and at <= marks[-1].at)
    )
