"""Google reviews as the tests of every network see them: one review each, changed in place, and polled."""

from supportflow.channels.google_reviews import GoogleReviews
from supportflow.testing.platforms.google_reviews import GoogleReviewsPlatform


class Network:
    """Give what a story needs of a network: a channel, people, staff, and what we posted."""

    #: A customer has one review: who writes again changes it.
    writes_once = True

    def __init__(self, platform):
        self.platform = platform
        urls = {"base_url": platform.url, "login_url": platform.url}
        self.channel = GoogleReviews(**platform.credentials(), **urls)

    @staticmethod
    def open(clock):
        return GoogleReviewsPlatform(clock=clock)

    def begin(self, desk):
        """Be asked for news by this desk from now on."""
        self.desk = desk

    async def news(self):
        """Poll until there is no more; the newest reviews are read again each time."""
        while (await self.desk.poll()).more:
            pass

    async def writes(self, name, text):
        """Let a customer write a review, or change it."""
        self.platform.customer(name).write(text, 1)
        await self.news()

    async def edits(self, name, text):
        """Let a customer change their review."""
        await self.writes(name, text)

    async def leaves(self, name):
        """Be gone: nobody can reply to a review that was deleted."""
        self.platform.customer(name).delete()

    async def staff(self, name, text):
        """Let the owner reply in Google's own app."""
        self.platform.owner.reply(self.platform.reviews[self.id_of(name)], text)
        await self.news()

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return self.platform.id_of(name)

    def ours(self):
        """Return what we posted through the channel, in order, also what was replaced since."""
        return [post.text for post in self.platform.posts]
