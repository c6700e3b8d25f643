"""WhatsApp as the tests of every network see it: people write in private, and webhooks tell."""

import asyncio

from supportflow import Webhook
from supportflow.channels.whatsapp import WhatsApp
from supportflow.testing.platforms.whatsapp import WhatsAppPlatform


class Network:
    """Give what a story needs of a network: a channel, people, staff, and what we posted."""

    def __init__(self, platform):
        self.platform, self.written = platform, {}
        self.channel = WhatsApp(**platform.credentials(), base_url=platform.url)

    @staticmethod
    def open(clock):
        return WhatsAppPlatform(clock=clock)

    def begin(self, desk):
        """Take webhooks from now on: each is answered when it is committed."""
        loop = asyncio.get_running_loop()

        def receive(method, headers, query, body):
            hook = Webhook(method, body, self.platform.now(), headers, query)
            taking = asyncio.run_coroutine_threadsafe(desk.receive("whatsapp", hook), loop)
            answer = taking.result(20)
            return answer.status, answer.body

        self.platform.deliver_to(receive)

    async def news(self):
        """Deliver what waits, statuses above all, and everything that came before once more."""
        await asyncio.to_thread(self.platform.deliver)
        await asyncio.to_thread(self.platform.redeliver)

    async def writes(self, name, text):
        """Let a customer write to us."""
        self.written[name] = await asyncio.to_thread(self.platform.customer(name).write, text)

    async def edits(self, name, text):
        """Let a customer change what they wrote last."""
        await asyncio.to_thread(self.platform.customer(name).edit, self.written[name], text)

    async def leaves(self, name):
        """Be gone: nothing arrives at a person who blocks the number."""
        self.platform.customer(name).block()

    async def staff(self, name, text):
        """Let a person of ours answer in the WhatsApp Business app."""
        await asyncio.to_thread(self.platform.staff, self.platform.customer(name), text)

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return self.platform.customer(name).id

    def ours(self):
        """Return what we posted through the channel, in order, without what it adds."""
        return [post.text for post in self.platform.posts]
