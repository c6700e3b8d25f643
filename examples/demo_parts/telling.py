"""Telling: what happened is read back, checked, and written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from demo_parts.cast import Customer
from demo_parts.checks import Book, Check, Posted
from demo_parts.page import Page
from demo_parts.stage import Stage, hour
from supportflow import Agent
from supportflow.errors import SupportflowError
from supportflow.machine import legal_steps
from supportflow.model import Conversation, Coupon, Outcome, Refund
from supportflow.sla.policy import DEFAULT_POLICY
from supportflow.sla.verdict import Verdict, verdicts

__all__ = ["BOT", "KIM", "Teller", "spoken"]

KIM = Agent("Kim")
BOT = Agent("bot", "bot")


def spoken(outcome: Outcome | None) -> str:
    """Return an outcome in few words.

    Args:
        outcome: How a conversation ended.
    """
    match outcome:
        case None:
            return "-"
        case Refund(amount, currency):
            return f"Refund {amount} {currency}"
        case Coupon(value=value):
            return f"Coupon {value}"
        case _:
            return type(outcome).__name__


@attrs.frozen
class Teller:
    """Play on the stage, check, and write.

    Args:
        stage: Where it happens.
        page: Where it is written.
        book: Where it is checked.
    """

    stage: Stage
    page: Page
    book: Book

    def check(self, claim: str, expected: object, actual: object) -> None:
        """Enter one check.

        Args:
            claim: In words.
            expected: What the story says.
            actual: What was read back.
        """
        self.book.enter(Check(claim, expected, actual))

    def desk_says(self, text: str, style: str = "cyan") -> None:
        """Write what the desk did, now.

        Args:
            text: What.
            style: How it looks.
        """
        self.page.entry(hour(self.stage.clock()), "desk", text, style)

    def heard(self, customer: Customer, text: str, means: str = "") -> Conversation:
        """Tell of a customer's last message as the store has it.

        Args:
            customer: Who.
            text: What they wrote.
            means: The same in English.

        Returns:
            Their conversation.
        """
        message = self.stage.messages(customer)[-1]
        conversation = self.stage.conversation(customer)
        name, reading = customer.name, conversation.reading
        self.check(f"{name}'s words are recorded", text, message.text)
        self.check(
            f"{name}'s message is the platform's", self.stage.written(customer)[-1], message.id
        )
        self.check(f"{name}'s language is known", customer.language, reading.language)
        where = f"writes on {message.channel.title()}, in {message.visibility}:"
        self.page.entry(hour(message.at), name, where, "yellow")
        self.page.quote(message.text, means)
        return conversation

    def read(self, customer: Customer, intent: str, mood: str) -> None:
        """Tell how a customer's words were read, and what follows.

        Args:
            customer: Who.
            intent: What it is.
            mood: How they feel.
        """
        found = self.stage.conversation(customer)
        reading = found.reading
        self.check(f"{customer.name} is understood", (intent, mood), (reading.intent, reading.mood))
        legal = legal_steps(found)
        strict = f"; the only legal step is to {legal[0]}" if legal[1:] == () else ""
        self.page.aside(f"read as {reading.intent}, {reading.mood}{strict}")

    def refused(
        self, who: str, wanted: str, kind: type[SupportflowError], act: Callable[[], object]
    ) -> str:
        """Tell of something that the desk does not let happen.

        Args:
            who: Who tries it.
            wanted: What they want.
            kind: The error that they get.
            act: What they do.

        Returns:
            What the error says.
        """
        before, said = len(self.stage.desk.outbox(limit=1000)), ""
        try:
            act()
        except kind as error:
            said = str(error)
        self.check(f"refused: {wanted}", expected=True, actual=bool(said))
        self.check("nothing was queued", before, len(self.stage.desk.outbox(limit=1000)))
        self.page.entry(hour(self.stage.clock()), who, wanted)
        self.page.aside(f"{kind.__name__}: {said}", "red")
        return said

    def queue(
        self,
        customer: Customer,
        text: str,
        *steps: str,
        outcome: Outcome | None = None,
        promise_by: datetime | None = None,
        agent: Agent = KIM,
    ) -> Conversation:
        """Queue an answer to what was last read of a customer.

        Args:
            customer: Who.
            text: The words.
            steps: The steps that they take.
            outcome: How they end it.
            promise_by: When a promise in them is due.
            agent: Who writes.

        Returns:
            The conversation as it was before.
        """
        before = self.stage.conversation(customer)
        desk = self.stage.desk
        if promise_by is None:
            desk.reply(before, text, steps=steps, outcome=outcome, agent=agent)
        else:
            desk.promise(before, text, by=promise_by, steps=steps, agent=agent)
        return before

    def answer(
        self,
        customer: Customer,
        text: str,
        *steps: str,
        means: str = "",
        outcome: Outcome | None = None,
        promise_by: datetime | None = None,
    ) -> Posted:
        """Answer a customer, deliver, and tell what the platform has.

        Args:
            customer: Who.
            text: The words.
            steps: The steps that they take.
            means: The words in English.
            outcome: How they end it.
            promise_by: When a promise in them is due.

        Returns:
            What the platform has.
        """
        before = self.queue(customer, text, *steps, outcome=outcome, promise_by=promise_by)
        self.stage.deliver()
        return self.told(customer, text, steps, before, means)

    def told(
        self,
        customer: Customer,
        text: str,
        steps: Sequence[str],
        before: Conversation,
        means: str = "",
    ) -> Posted:
        """Tell of the last answer as the platform has it.

        Args:
            customer: Whom it is for.
            text: What was queued.
            steps: The steps that it takes.
            before: The conversation before it was queued.
            means: The words in English.

        Returns:
            What the platform has.
        """
        name, row = customer.name, self.stage.rows(customer)[-1]
        after = self.stage.conversation(customer)
        public = customer.network == "mastodon"
        wanted = f"@{customer.handle} {text}" if public else text
        found = [post for post in self.stage.posted(customer) if post.text == wanted]
        self.check(f"{name} is told once", 1, len(found))
        post = found[0]
        self.check(
            "its receipt is the platform's id", ("sent", post.id), (row.state, row.remote_id)
        )
        parent = before.last_key[1] if public and before.last_key else None
        self.check(f"it answers {name}'s message", (parent, public), (post.parent, post.public))
        taken = f"answers {name} ({', '.join(steps)}):"
        self.page.entry(post.at, self.stage.author(customer, row), taken, "green")
        self.page.quote(post.text, means)
        times = "once" if found == [post] else f"{len(found)} times"
        where = f"there {times}, in {'public' if post.public else 'private'}"
        ended = f": {spoken(after.outcome)}" if after.outcome else ""
        self.page.aside(f"{where}; {name}'s conversation: {before.state} → {after.state}{ended}")
        return post

    def clocks(self, customer: Customer) -> tuple[Verdict, ...]:
        """Return the verdicts on a customer's conversation, as of now."""
        found = self.stage.conversation(customer)
        return verdicts(found, DEFAULT_POLICY, now=self.stage.clock())
