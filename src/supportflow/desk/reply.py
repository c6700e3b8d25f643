"""Answer customers: every reply passes the gate, is legal when queued, and waits in the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from supportflow.desk.arguments import as_agent, key_of, message_of, version_of, words_of
from supportflow.desk.core import Core
from supportflow.desk.drafts import Draft, findings, texts_of
from supportflow.desk.outgoing import queue
from supportflow.errors import InvalidValue
from supportflow.flow import Program
from supportflow.model import (
    Agent,
    Attachment,
    Card,
    Conversation,
    Finding,
    Outcome,
    Template,
    Visibility,
)
from supportflow.model.values import member, steps_of, strings

__all__ = ["acknowledge", "apologize", "draft", "promise", "reply", "resolve"]


def reply(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    steps: Iterable[str] = (),
    outcome: Outcome | None = None,
    promise_by: datetime | None = None,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
    visibility: str | None = None,
    to: tuple[str, str] | None = None,
    language: str | None = None,
    feedback: str | None = None,
    card: Card | None = None,
    quick_replies: Sequence[str] = (),
    attachments: Sequence[Attachment] = (),
    template: Template | None = None,
) -> Program[Conversation]:
    """Queue an answer to a customer, where they wrote and as visibly as they wrote.

    Args:
        conversation: The conversation as you read it: then nobody may have written or
            queued since. Or its id, which opts out of that check.
        text: The words; a list is sent as several messages in order.
        steps: Which of `"acknowledge"`, `"apologize"`, `"resolve"` the words take.
        outcome: How it resolves the conversation; `Answered()` if it does and none is given.
        promise_by: When the promise that the words make is due (aware).
        agent: Who wrote it: an `Agent`, or the id of a person.
        key: Your own id for this command; the same key again changes nothing.
        override: The reason for sending a text that the gate blocks; it is recorded.
        visibility: `"private"` to answer a public message privately; never wider.
        to: The (kind, id) of the message to answer; the customer's last one by default.
        language: The language of the words (BCP 47).
        feedback: The feedback item that a suggestion was turned into.
        card: A product to show, where the network can.
        quick_replies: Answers to offer as buttons, where the network can.
        attachments: Pictures and files at https addresses, where the network fetches them.
        template: What the platform has approved, to be sent in the place of the words, which say
            the same; the only way to write after its window has closed.

    Returns:
        The conversation with the reply on its way.

    Raises:
        InvalidValue: If the text is empty or an argument contradicts another.
        IllegalStep: If a step is not legal now; it names those that are.
        Stale: If somebody wrote or queued since the conversation was read.
        EtiquetteError: If a rule blocks the text.
        WindowClosed: If the platform no longer takes private replies here.
        Unsupported: If the network cannot express it.
        NotFound: If the conversation or its channel is not known.
    """
    draft = Draft(
        texts_of(text),
        key_of(key),
        as_agent(agent),
        steps_of(steps),
        outcome,
        promise_by,
        override=words_of(override, "override"),
        visibility=None if visibility is None else member(Visibility, visibility, "visibility"),
        to=message_of(to, "to"),
        language=language and words_of(language, "language"),
        feedback=feedback and words_of(feedback, "feedback"),
        card=None if card is None else _card(card),
        quick_replies=tuple(words_of(r, "quick_replies") for r in strings(quick_replies)),
        attachments=tuple(map(_file, attachments)),
        template=None if template is None else _template(template),
        seen=version_of(conversation),
    )
    return (yield from queue(core, conversation, draft))


def _card(card: Card) -> Card:
    words = attrs.asdict(card)
    return Card(**{name: words_of(text, f"card.{name}") for name, text in words.items()})


def _file(file: Attachment) -> Attachment:
    if not isinstance(file, Attachment) or not str(file.url).startswith("https://"):
        raise InvalidValue(f"{file!r:.200} cannot be sent; pass an Attachment with an https url")
    words = attrs.asdict(file)
    return Attachment(**{name: words_of(text, f"file.{name}") for name, text in words.items()})


def _template(template: Template) -> Template:
    values = tuple(words_of(each, "template.values") for each in strings(template.values))
    name = words_of(template.name, "template.name")
    return Template(name, words_of(template.language, "template.language"), values)


def acknowledge(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that acknowledge the problem; see `reply`.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.
    """
    return reply(
        core, conversation, text, steps=["acknowledge"], agent=agent, key=key, override=override
    )


def apologize(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that apologize for the trouble; see `reply`.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.
    """
    return reply(
        core, conversation, text, steps=["apologize"], agent=agent, key=key, override=override
    )


def resolve(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    outcome: Outcome | None = None,
    feedback: str | None = None,
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that put the problem right; see `reply`.

    Args:
        conversation: The conversation, or its id.
        text: The words.
        outcome: How it ends; `Answered()` by default.
        feedback: The feedback item that a suggestion was turned into.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.
    """
    return reply(
        core,
        conversation,
        text,
        steps=["resolve"],
        outcome=outcome,
        feedback=feedback,
        agent=agent,
        key=key,
        override=override,
    )


def promise(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    by: datetime,
    steps: Iterable[str] = (),
    agent: str | Agent = "agent",
    key: str | None = None,
    override: str = "",
) -> Program[Conversation]:
    """Queue words that promise to come back, and start the clock for it (mission M9).

    Args:
        conversation: The conversation, or its id.
        text: The words.
        by: When you will have come back (aware, in the future).
        steps: The steps that the words take besides.
        agent: Who wrote it.
        key: Your own id for this command.
        override: The reason for sending a text that the gate blocks.

    Raises:
        InvalidValue: If `by` is naive or not in the future.
    """
    if not isinstance(by, datetime) or by.tzinfo is None or by <= core.now():
        raise InvalidValue(f"by is {by!r}; a promise needs an aware time in the future")
    return reply(
        core,
        conversation,
        text,
        steps=steps,
        promise_by=by,
        agent=agent,
        key=key,
        override=override,
    )


def draft(
    core: Core,
    conversation: Conversation | str,
    text: str | Sequence[str],
    *,
    steps: Iterable[str] = (),
    visibility: str | None = None,
) -> Program[tuple[Finding, ...]]:
    """Return what the gate says of a text, without sending it.

    Args:
        conversation: The conversation, or its id.
        text: The words, or a list of parts.
        steps: The steps that the words take.
        visibility: Who would read it; as the customer's last message by default.

    Raises:
        InvalidValue: If the text is empty, or a step or the visibility unknown.
        NotFound: If the conversation or its channel is not known.
    """
    shown = None if visibility is None else member(Visibility, visibility, "visibility")
    words = Draft(texts_of(text), "", Agent("agent"), steps_of(steps), visibility=shown)
    return findings(core, conversation, words)
