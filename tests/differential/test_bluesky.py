"""PyPI's `atproto` reads what the local Bluesky serves, and builds what our channel sends.

Not part of `make test`: `make e2e` installs the library, and runs this.
"""

from contextlib import closing
from datetime import timedelta

import pytest

from supportflow.channels.bluesky import Bluesky
from supportflow.flow import run
from supportflow.model import AgentKind, Author, Outbound, Outgoing, Visibility
from supportflow.testing.platforms.bluesky import BlueskyPlatform
from supportflow.transport import Transport

atproto = pytest.importorskip("atproto", reason="`make e2e` installs atproto, to compare with")
exceptions = pytest.importorskip("atproto.exceptions")
models = atproto.models


@pytest.fixture
def platform():
    """Return a platform; its clock is real, because the library looks when its tokens end."""
    with BlueskyPlatform() as platform:
        yield platform


@pytest.fixture
def client(platform):
    """Return the library's client, logged in as the shop."""
    client = atproto.Client(base_url=f"{platform.url}/xrpc")
    given = platform.credentials()
    client.login(given["identifier"], given["password"])
    with closing(client.request):
        yield client


@pytest.fixture
def do():
    """Return a way to run flows."""
    with closing(Transport()) as transport:
        yield lambda flow: run(flow, transport.send)


@pytest.fixture
def channel(platform, do):
    """Return our channel, with a session of its own."""
    channel = Bluesky(**platform.credentials(), service=platform.url)
    return channel.using(do(channel.renew()))


def outgoing(post, **fields) -> Outgoing:
    """Return an answer to a post."""
    given = {
        "id": "1",
        "mark": "mark",
        "text": "We see it.",
        "to": Author(post.author, "Ola", "ola.social.example"),
        "thread": post.uri,
        "reply_to": ("post", post.uri),
        "visibility": Visibility.public,
        "by": AgentKind.person,
        "queued_at": post.at,
    }
    return Outgoing(**given | fields)


def test_the_library_reads_what_is_served(platform, client):
    """Notifications, posts, records and searches are what its strict models take them for."""
    ola = platform.customer("ola")
    post = ola.post("@shop.social.example You charged me twice!", langs=["en"])
    ola.like(platform.shop.post("We moved."))
    told = client.app.bsky.notification.list_notifications({"limit": 100}).notifications
    assert {"mention", "like"} == {each.reason for each in told}
    (mention,) = (each for each in told if each.reason == "mention")
    assert (post.text, post.uri, post.cid) == (mention.record.text, mention.uri, mention.cid)
    assert platform.shop.id == mention.record.facets[0].features[0].did
    shown = client.get_posts([post.uri]).posts[0]
    assert (ola.id, "Ola") == (shown.author.did, shown.author.display_name)
    found = client.app.bsky.feed.search_posts({"q": "charged"}).posts
    assert [post.uri] == [each.uri for each in found]
    listed = client.com.atproto.repo.list_records(
        {"repo": platform.shop.id, "collection": "app.bsky.feed.post"}
    )
    assert ["We moved."] == [each.value.text for each in listed.records]
    assert ola.id == client.resolve_handle("ola.social.example").did


def test_the_library_reads_talks(platform, client):
    """The chat's log, talks and messages are what its strict models take them for."""
    said = platform.customer("ola").write("Are you there?")
    talks = client.with_bsky_chat_proxy()
    with closing(talks.request):
        chat = talks.chat.bsky.convo
        begins = chat.get_log({}).cursor
        (talk,) = chat.list_convos().convos
        assert (said.talk, 1) == (talk.id, talk.unread_count)
        message = models.ChatBskyConvoDefs.MessageInput(text="Yes")
        sent = chat.send_message({"convo_id": talk.id, "message": message})
        assert ["Yes", "Are you there?"] == [
            each.text for each in chat.get_messages({"convo_id": talk.id}).messages
        ]
        (entry,) = chat.get_log({"cursor": begins}).logs
    assert sent.id == entry.message.id


def test_the_library_takes_what_we_write(platform, client, channel, do):
    """Our post, read by the library, has the same words, marks and parents as its own would."""
    post = platform.customer("ola").post("@shop.social.example Where is my parcel?")
    text = "Ω @ola.social.example see https://example.com/a?b=c and #tea"
    receipt = do(channel.send(outgoing(post, text=text, language="en")))
    found = client.get_posts([receipt.id]).posts[0].record
    built = (
        atproto.client_utils.TextBuilder()
        .text("Ω ")
        .mention("@ola.social.example", post.author)
        .text(" see ")
        .link("https://example.com/a?b=c", "https://example.com/a?b=c")
        .text(" and ")
        .tag("#tea", "tea")
    )
    assert built.build_text() == found.text
    assert [
        (each.index.byte_start, each.index.byte_end, each.features[0])
        for each in built.build_facets()
    ] == [(each.index.byte_start, each.index.byte_end, each.features[0]) for each in found.facets]
    parent = models.create_strong_ref(client.get_posts([post.uri]).posts[0])
    assert models.AppBskyFeedPost.ReplyRef(parent=parent, root=parent) == found.reply
    assert (["en"], "mark") == (found.langs, found["supportflowMark"])
    assert receipt.id == str(atproto.AtUri.from_str(receipt.id))


def test_we_read_what_the_library_writes(platform, client, channel, do):
    """What staff post with another client is a native answer of ours to whom it answers."""
    ola = platform.customer("ola")
    post = ola.post("@shop.social.example Where is my parcel?")
    platform.advance(timedelta(seconds=1))
    parent = models.create_strong_ref(client.get_posts([post.uri]).posts[0])
    reply = models.AppBskyFeedPost.ReplyRef(parent=parent, root=parent)
    made = client.send_post("It is on its way.", reply_to=reply, langs=["en"])
    facts, cursor, more = [], None, True
    while more:
        page = do(channel.poll(cursor))
        facts, cursor, more = [*facts, *page.facts], page.cursor, page.more
    (answer,) = (fact for fact in facts if isinstance(fact, Outbound))
    assert (made.uri, ola.id, None) == (answer.message.id, answer.customer, answer.mark)
    assert ("It is on its way.", "en") == (answer.message.text, answer.message.language)


def test_the_library_agrees_on_what_is_too_long(client, platform, channel, do):
    """What we count as short enough passes its client too, and what is not is refused to both."""
    post = platform.customer("ola").post("@shop.social.example Hello")
    fits, exceeds = "é" * 300, "é" * 301
    assert client.send_post(fits).uri
    assert do(channel.send(outgoing(post, text=fits))).id
    with pytest.raises(exceptions.BadRequestError, match="grapheme too big"):
        client.send_post(exceeds)
    assert channel.traits.count(exceeds) > channel.traits.max_text
