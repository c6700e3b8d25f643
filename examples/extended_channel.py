"""Extend a built-in channel: sign every answer, keep room for the signature, count what was posted.

    python examples/extended_channel.py      # offline, against a strict local Mastodon

A subclass does it, because a desk sees what a channel can do by the methods that it has: a wrapper
would have to repeat exactly those. Three things belong together:

- `traits.max_text` shrinks by the signature, so that what would not fit is refused before it is queued;
- `send` signs, and is a flow like the one that it extends: `yield from`, nothing else;
- `find_sent` signs too, because it looks for the words that were posted. Without that, a reply whose
  confirmation got lost is not found, and goes out a second time.

The script ends with 1 if something is not as it says.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs

from supportflow import Agent, Conversation, Desk, EtiquetteError, MemoryStore
from supportflow.channels import Found, Traits
from supportflow.channels.mastodon import Mastodon
from supportflow.flow import Flow
from supportflow.model import AgentKind, Outgoing, Receipt
from supportflow.testing import FakeClock
from supportflow.testing.platforms.mastodon import MastodonPlatform


def _nobody(_kind: str) -> None:
    """Count nothing."""


@attrs.frozen
class SignedMastodon(Mastodon):
    """Answer on Mastodon as somebody: a person's words and a bot's end differently.

    Args:
        person: What a person's answers end with.
        bot: What all other answers end with; some laws want that to be said.
        posted: Called with the kind of agent at each receipt, such as a metric's `inc`. What is
            found later has none: who needs every single one counts in the desk's log.
    """

    person: str = attrs.field(default="— the people at Example Shop", kw_only=True)
    bot: str = attrs.field(default="— automatic answer", kw_only=True)
    posted: Callable[[str], object] = attrs.field(default=_nobody, kw_only=True, repr=False)

    @property
    def traits(self) -> Traits:
        """Return what Mastodon can do, with less room for words."""
        traits = super().traits
        longest = max(traits.count(f"\n\n{mark}") for mark in (self.person, self.bot))
        return attrs.evolve(traits, max_text=max(traits.max_text - longest, 1))

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post an answer with its signature, and count it."""
        receipt = yield from super().send(self._signed(message))
        self.posted(message.by.value)
        return receipt

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for an answer as it was posted: with its signature."""
        return super().find_sent(self._signed(message))

    def _signed(self, message: Outgoing) -> Outgoing:
        mark = self.person if message.by is AgentKind.person else self.bot
        return attrs.evolve(message, text=f"{message.text}\n\n{mark}")


# -- the script


def check(what: str, *, holds: bool) -> None:
    """Say something, and end with 1 if it does not hold."""
    print(what)
    if not holds:
        sys.exit(f"that does not hold: {what}")


def main() -> None:
    """Serve one customer with a channel that signs."""
    clock, counts = FakeClock(datetime.now(UTC)), Counter[str]()
    with MastodonPlatform(clock=clock) as platform:
        platform.customer("ola").post("@shop Where is my parcel?")
        token = platform.shop.token
        shop = SignedMastodon(platform.url, token=token, posted=lambda by: counts.update([by]))
        with Desk(MemoryStore(clock), [shop], clock=clock) as desk:
            desk.poll()
            (talk,) = desk.inbox()
            two_voices(platform, desk, talk)
            check(f"counted: {[*counts.items()]}", holds=counts == {"bot": 1, "person": 1})
            lost_and_found(platform, desk, talk.id, clock)
            too_long(desk, talk.id, shop.traits.max_text)


def two_voices(platform: MastodonPlatform, desk: Desk, talk: Conversation) -> None:
    """Answer as a bot, and then as a person."""
    talk = desk.reply(talk, "We are looking for it.", agent=Agent("finder", "bot"))
    desk.reply(talk, "It comes tomorrow.", agent="anna")
    desk.deliver()
    posts = [post.text for post in platform.shop.posts]
    signatures = [text.rpartition("\n\n")[2] for text in posts]
    wanted = ["— automatic answer", "— the people at Example Shop"]
    check(f"the shop posted {posts}", holds=signatures == wanted)


def lost_and_found(
    platform: MastodonPlatform, desk: Desk, conversation: str, clock: FakeClock
) -> None:
    """Lose the platform's confirmation of a post: it is looked for, and not posted again."""
    platform.fault_next("response_lost", match="POST */statuses")
    desk.reply(conversation, "It has arrived.", agent="anna")
    lost = desk.deliver()
    check(f"a confirmation gets lost: {lost}", holds=lost.unknown == 1)
    clock.advance(timedelta(minutes=1))
    found = desk.deliver()
    ours, posts = [row.remote_id for row in desk.outbox()], platform.shop.posts
    right = ours == [post.id for post in posts] and len(posts) == 3
    check(f"it is found by its signed words, and is there once: {found}", holds=right)


def too_long(desk: Desk, conversation: str, limit: int) -> None:
    """Write one character more than there is room for beside the signature."""
    try:
        desk.reply(conversation, "a" * (limit + 1))
    except EtiquetteError as error:
        print(f"refused before it was queued: {error}")
    else:
        sys.exit("that does not hold: a text that does not fit with its signature was queued")


if __name__ == "__main__":
    main()
