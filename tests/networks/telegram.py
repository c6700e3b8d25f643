"""Telegram as the tests of every network see it: people write to a bot in private, and are polled."""

from datetime import timedelta

from supportflow.channels.telegram import Telegram
from supportflow.testing.platforms.telegram import TelegramPlatform


class Network:
    """Give what a story needs of a network: a channel, people, and what we posted."""

    def __init__(self, platform):
        self.platform, self.written = platform, {}
        self.channel = Telegram(platform.token, base_url=platform.url, wait=timedelta(0))

    @staticmethod
    def open(clock):
        return TelegramPlatform(clock=clock)

    def begin(self, desk):
        """Be asked for news by this desk from now on."""
        self.desk = desk

    async def news(self):
        """Poll until there is no more; what was committed is confirmed by the poll after it."""
        while (await self.desk.poll()).more:
            pass

    async def writes(self, name, text):
        """Let a customer write to the bot."""
        self.written[name] = self.platform.customer(name).write(text)
        await self.news()

    async def edits(self, name, text):
        """Let a customer change what they wrote last."""
        self.platform.customer(name).edit(self.written[name], text)
        await self.news()

    async def leaves(self, name):
        """Be gone: nobody can answer a person who blocks the bot."""
        self.platform.customer(name).block()

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return str(self.platform.customer(name).id)

    def ours(self):
        """Return what we posted through the channel, in order, without what it adds."""
        return [post.text for post in self.platform.posts]
