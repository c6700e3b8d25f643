"""Run a desk in a process of its own: it polls, sends and announces until SIGINT or SIGTERM.

    python examples/worker.py            # offline, against a strict local Mastodon; stops itself
    MASTODON_URL=https://example.social MASTODON_TOKEN=… python examples/worker.py --serve

Agents answer elsewhere: in a web process, a bot, a notebook. All they share is the store's file. Told
to stop, the worker ends the piece of work that it is at; whatever happens to it, the next one finds
the rest. The script ends with 1 if something is not as it says.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from tempfile import TemporaryDirectory

from supportflow import Desk, SQLiteStore
from supportflow.channels.mastodon import Mastodon
from supportflow.testing.platforms.mastodon import MastodonPlatform

WORDS = "Your parcel is at the depot. It comes tomorrow."
PATIENCE = 30.0  # seconds until the script gives up


def serve(path: str, shop: Mastodon) -> None:
    """Work until told to stop."""
    with Desk(SQLiteStore(path), [shop]) as desk:
        desk.run(deadline=10)


# -- the script: an agent elsewhere, who answers, sees the answer, and stops the worker


class Agent(threading.Thread):
    """Answer whoever waits, from a desk of its own on the same file."""

    def __init__(self, path: str, shop: Mastodon, platform: MastodonPlatform) -> None:
        super().__init__()
        self.path, self.shop, self.platform = path, shop, platform
        self.gave_up = False

    def run(self) -> None:
        """Answer, wait until the platform shows it, and end this process as an operator would."""
        with Desk(SQLiteStore(self.path), [self.shop]) as desk:
            self.until(lambda: bool(desk.inbox(unanswered=True)))
            for conversation in desk.inbox(unanswered=True):
                print(f"the worker has recorded {conversation.id}; an agent answers")
                desk.reply(conversation, WORDS, agent="anna")
        self.until(lambda: bool(self.platform.shop.posts))
        print("the platform shows the answer; the worker is told to stop")
        os.kill(os.getpid(), signal.SIGTERM)

    def until(self, seen: Callable[[], bool]) -> None:
        """Look again and again, but not for ever."""
        looks, pause = int(PATIENCE / 0.05), threading.Event()
        self.gave_up = self.gave_up or not any(seen() or pause.wait(0.05) for _ in range(looks))


def main() -> int:
    """Serve a real account, or play the script."""
    if "--serve" in sys.argv:
        logging.basicConfig(level=logging.INFO)
        shop = Mastodon(os.environ["MASTODON_URL"], token=os.environ["MASTODON_TOKEN"])
        serve("support.db", shop)
        return 0
    with TemporaryDirectory() as folder, MastodonPlatform() as platform:
        platform.customer("ola").post("@shop Where is my parcel?")
        shop = Mastodon(platform.url, token=platform.shop.token)
        agent = Agent(f"{folder}/support.db", shop, platform)
        agent.start()
        serve(f"{folder}/support.db", shop)
        agent.join()
        posts = [post.text for post in platform.shop.posts]
    print(f"the worker has ended; the shop posted {posts}")
    return 0 if posts == [f"@ola {WORDS}"] and not agent.gave_up else 1


if __name__ == "__main__":
    sys.exit(main())
