"""LinkedIn as the tests of every network see it: people comment in public, told by webhook and poll."""

import asyncio

from supportflow import Webhook
from supportflow.channels.linkedin import LinkedIn
from supportflow.testing.platforms.linkedin import LinkedInPlatform


class Network:
    """Give what a story needs of a network: a channel, people, staff, and what we posted."""

    def __init__(self, platform):
        self.platform, self.written = platform, {}
        known = dict(platform.credentials())
        urls = {"base_url": platform.url, "login_url": platform.url}
        self.channel = LinkedIn(known.pop("organization"), **known, **urls)

    @staticmethod
    def open(clock):
        return LinkedInPlatform(clock=clock)

    def begin(self, desk):
        """Take webhooks from now on, and be asked for news: the same words come both ways."""
        self.desk, loop = desk, asyncio.get_running_loop()

        def receive(method, headers, query, body):
            hook = Webhook(method, body, self.platform.now(), headers, query)
            taking = asyncio.run_coroutine_threadsafe(desk.receive("linkedin", hook), loop)
            answer = taking.result(20)
            return answer.status, answer.body

        self.platform.deliver_to(receive)

    async def news(self):
        """Deliver what waits, everything that came before once more, and then poll a round."""
        await asyncio.to_thread(self.platform.deliver)
        await asyncio.to_thread(self.platform.redeliver)
        while (await self.desk.poll()).more:
            pass

    async def writes(self, name, text):
        """Let a customer comment, beneath what they wrote before."""
        above = self.written.get(name)
        self.written[name] = self.platform.customer(name).write(text, in_reply_to=above)
        await self.news()

    async def edits(self, name, text):
        """Let a customer change what they wrote last."""
        self.platform.customer(name).edit(self.written[name], text)
        await self.news()

    async def leaves(self, name):
        """Be gone: nobody can answer a comment that was deleted."""
        self.platform.customer(name).delete(self.written[name])

    async def staff(self, name, text):
        """Let a person of ours answer in LinkedIn's own app."""
        self.platform.page.comment(text, in_reply_to=self.written[name])
        await self.news()

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return self.platform.customer(name).urn

    def ours(self):
        """Return what we posted through the channel, in order."""
        return [post.text for post in self.platform.posts]
