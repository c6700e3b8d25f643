"""Serve a first customer from their public post to the refund, against a strict local Mastodon."""

from __future__ import annotations

import sys
from tempfile import TemporaryDirectory

from supportflow import Desk, Refund, SQLiteStore
from supportflow.channels.mastodon import Mastodon
from supportflow.testing.platforms.mastodon import MastodonPlatform

ANSWERS = (
    "Thank you for telling us. We can see that you were charged twice.",
    "We are sorry for the trouble that this made.",
    "Your 49.90 EUR are on their way back.",
)

with TemporaryDirectory() as folder, MastodonPlatform() as platform:
    platform.customer("ola").post("@shop You charged me twice!")

    shop = Mastodon(platform.url, token=platform.shop.token)
    with Desk(SQLiteStore(f"{folder}/support.db"), [shop]) as desk:
        desk.poll()
        for conversation in desk.inbox(unanswered=True):
            print(f"{conversation.id} is {conversation.state}, and waits for an answer")
            talk = desk.acknowledge(conversation, ANSWERS[0])
            talk = desk.apologize(talk, ANSWERS[1])
            desk.resolve(talk, ANSWERS[2], outcome=Refund("49.90", "EUR"))
        print(desk.deliver())
        ends = [(each.state.name, each.outcome) for each in desk.inbox()]

    for post in platform.posts:  # the platform's own truth, not what we believe
        print(f"{post.author}: {post.text}")
    told = [post.text.removeprefix("@ola ") for post in platform.shop.posts]
    print(f"it ends as {ends}")
    sys.exit(0 if (told, ends) == ([*ANSWERS], [("resolved", Refund("49.90", "EUR"))]) else 1)
