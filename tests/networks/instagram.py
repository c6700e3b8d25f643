"""Instagram as the tests of every network see it: people comment in public, and webhooks tell."""

import asyncio

from supportflow import Webhook
from supportflow.channels.instagram import Instagram
from supportflow.testing.platforms.instagram import InstagramPlatform


class Network:
    """Give what a story needs of a network: a channel, people, staff, and what we posted."""

    #: Nobody is told of a comment that was edited.
    tells_edits = False

    def __init__(self, platform):
        self.platform, self.written = platform, {}
        self.channel = Instagram(**platform.credentials(), base_url=platform.url)

    @staticmethod
    def open(clock):
        return InstagramPlatform(clock=clock)

    def begin(self, desk):
        """Take webhooks from now on: each is answered when it is committed."""
        loop, name = asyncio.get_running_loop(), self.channel.name

        def receive(method, headers, query, body):
            hook = Webhook(method, body, self.platform.now(), headers, query)
            taking = asyncio.run_coroutine_threadsafe(desk.receive(name, hook), loop)
            answer = taking.result(20)
            return answer.status, answer.body

        self.platform.deliver_to(receive)

    async def news(self):
        """Deliver what waits, our own comments above all, and what came before once more."""
        await asyncio.to_thread(self.platform.deliver)
        await asyncio.to_thread(self.platform.redeliver, everything=True)

    async def writes(self, name, text):
        """Let a customer write to us, beneath what they wrote before."""
        before, person = self.written.get(name), self.platform.customer(name)
        self.written[name] = await asyncio.to_thread(person.comment, text, before)

    async def leaves(self, name):
        """Be gone: nobody can answer a comment that was taken away."""
        self.platform.customer(name).delete(self.written[name])

    async def staff(self, name, text):
        """Let a person of ours answer in the network's own app."""
        await asyncio.to_thread(self.platform.staff.reply, self.written[name], text)

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return self.platform.customer(name).psid

    def ours(self):
        """Return what we posted through the channel, in order, without what it adds."""
        return [post.text for post in self.platform.posts]
