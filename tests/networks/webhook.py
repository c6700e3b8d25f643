"""An app of one's own as the tests of every network see it: people chat, and events tell."""

import asyncio

from supportflow import Webhook
from supportflow.channels.webhook import GenericWebhook
from supportflow.testing.platforms.webhook import WebhookPlatform


class Network:
    """Give what a story needs of a network: a channel, people, staff, and what we posted."""

    def __init__(self, platform):
        self.platform, self.written = platform, {}
        self.channel = GenericWebhook(f"{platform.url}/answers", secret=platform.secret)

    @staticmethod
    def open(clock):
        return WebhookPlatform(clock=clock)

    def begin(self, desk):
        """Take events from now on: each delivery is answered when it is committed."""
        loop = asyncio.get_running_loop()

        def receive(method, headers, query, body):
            hook = Webhook(method, body, self.platform.now(), headers, query)
            taking = asyncio.run_coroutine_threadsafe(desk.receive("webhook", hook), loop)
            return taking.result(20).status

        self.receive = receive
        self.platform.deliver_to(receive)

    async def news(self):
        """Deliver what came before once more, as an app does that lost our answer."""
        for headers, body in tuple(self.platform.delivered)[-1:]:
            await asyncio.to_thread(self.receive, "POST", headers, {}, body)

    async def writes(self, name, text):
        """Let a customer write to us."""
        self.written[name] = await asyncio.to_thread(self.platform.customer(name).write, text)

    async def edits(self, name, text):
        """Let a customer change what they wrote last."""
        await asyncio.to_thread(self.platform.customer(name).edit, self.written[name], text)

    async def leaves(self, name):
        """Be gone: nobody can answer a message that was deleted."""
        await asyncio.to_thread(self.platform.customer(name).delete, self.written[name])

    async def staff(self, name, text):
        """Let a person of ours answer in the app itself."""
        await asyncio.to_thread(self.platform.staff, name, text)

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return self.platform.customer(name).id

    def ours(self):
        """Return what we posted through the channel, in order."""
        return [post.text for post in self.platform.posts if post.author == "desk"]
