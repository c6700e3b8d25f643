"""Bluesky as the tests of every network see it: people write in public, and are polled."""

from supportflow.channels.bluesky import Bluesky
from supportflow.testing.platforms.bluesky import BlueskyPlatform


class Network:
    """Give what a story needs of a network: a channel, people, staff, and what we posted."""

    tells_edits = False  # there are none

    def __init__(self, platform):
        self.platform, self.written = platform, {}
        self.channel = Bluesky(**platform.credentials(), service=platform.url)

    @staticmethod
    def open(clock):
        return BlueskyPlatform(clock=clock)

    def begin(self, desk):
        """Be asked for news by this desk from now on."""
        self.desk = desk

    async def news(self):
        """Poll until there is no more; the last ten minutes are read again each time."""
        while (await self.desk.poll()).more:
            pass

    async def writes(self, name, text):
        """Let a customer write to us, beneath what they wrote before."""
        shop = self.platform.shop.account.handle
        post = self.platform.customer(name).post(
            f"@{shop} {text}", in_reply_to=self.written.get(name)
        )
        self.written[name] = post
        await self.news()

    async def leaves(self, name):
        """Be gone: nobody can answer a post that was deleted."""
        self.platform.customer(name).delete(self.written[name])

    async def staff(self, name, text):
        """Let a person of ours answer in the network's own app."""
        self.platform.shop.post(text, in_reply_to=self.written[name])
        await self.news()

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return self.platform.customer(name).id

    def ours(self):
        """Return what we posted through the channel, in order."""
        return [post.text for post in self.platform.posts if post.via == "api"]
