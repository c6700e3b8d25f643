"""An Instagram account on loopback: comments, mentions, direct messages and private replies.

It is reached through its page, as Facebook Login for Business does it. It refuses what the Graph API
refuses, tells what happens by signed webhooks, and alone knows what was really posted (`posts`).
People act through `customer(name)` and `staff`, on the platform's own time::

    with InstagramPlatform(clock=clock) as platform:
        platform.deliver_to(receive)
        platform.customer("ola").comment("You charged me twice!")
        platform.customer("ala").write("Are you open on Sunday?")
        ...  # run the desk against platform.url with platform.token
        platform.deliver()  # our own comments and messages come back too
        assert [post.text for post in platform.posts] == [...]

Nothing deduplicates, except that a comment takes one private reply. Answers are one level deep. Nobody
is told of edited, deleted or hidden comments; a mention is told by its ids alone.

Sources: https://developers.facebook.com/docs/instagram-platform/webhooks/examples/,
/docs/instagram-api/reference/ig-user/mentions, /docs/instagram-api/reference/ig-user/mentioned_comment,
/docs/instagram-platform/private-replies, /docs/messenger-platform/instagram/features/send-message and
/docs/messenger-platform/conversations. (Over 300 lines, because a network is one file.)
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from supportflow.testing.platforms.messenger_events import Stage, echoed
from supportflow.testing.platforms.messenger_network import Message, number
from supportflow.testing.platforms.messenger_people import PageInbox, Person
from supportflow.testing.platforms.messenger_rules import (
    Limits,
    as_object,
    as_text,
    read_send,
    refuse_closed,
)
from supportflow.testing.platforms.meta_comments import Comment, Post, changed, read_private
from supportflow.testing.platforms.meta_fields import Node, NodeType, parse_fields
from supportflow.testing.platforms.meta_graph import GraphError, invalid, parameters, unknown_object
from supportflow.testing.platforms.meta_payloads import written_at
from supportflow.testing.platforms.meta_platform import asked, page_of
from supportflow.testing.platforms.meta_wall import WallPlatform
from supportflow.testing.platforms.server import Reply, Request, Route

__all__ = ["Follower", "InstagramPlatform", "InstagramStaff"]

MAX_COMMENT, MAX_BYTES = 2_200, 1_000
COMMENT = NodeType("IGComment", ("id", "timestamp", "text"))
PAGE = NodeType("Page", ("name", "id"))
LIMITS = Limits()
MENTIONED = re.compile(
    r"mentioned_(comment\.comment_id|media\.media_id)\(([\w-]{1,128})\)\{([a-z,_]{1,200})\}"
)


@attrs.frozen
class Follower(Person):
    """Somebody on Instagram, who writes messages as on Messenger, and comments.

    Args:
        platform: where they act.
    """

    platform: "InstagramPlatform" = attrs.field(repr=False, kw_only=True)

    def comment(self, text: str, below: Comment | Post | None = None) -> Comment:
        """Write beneath a post of the account, or beneath a comment there."""
        return self.platform.writes(self.psid, self.record.name, text, below)

    def delete(self, comment: Comment) -> None:
        """Take one's own comment away; nobody is told."""
        with self.platform.lock:
            comment.removed = True

    def unsend(self, message: Message) -> None:
        """Take one's own message back, which is told."""
        with self.stage.lock:
            content = {"mid": message.mid, "is_deleted": True}
            self._do("messages", {"message": content})
        self.stage.hooks.flush()

    def see(self, message: Message) -> None:
        """Read a message of ours; Instagram names it."""
        with self.stage.lock:
            self._do("messaging_seen", {"read": {"mid": message.mid}})
        self.stage.hooks.flush()

    def mention(self, text: str, *, caption: bool = False) -> Comment | Post:
        """Name the account in a comment beneath a post of one's own, or in the post itself."""
        return self.platform.mentions(self.psid, text, caption=caption)


@attrs.frozen
class InstagramStaff:
    """The people of the account, in Instagram's own app."""

    platform: "InstagramPlatform" = attrs.field(repr=False)

    def reply(self, below: Comment | Post, text: str) -> Comment:
        """Answer a comment as the account."""
        platform = self.platform
        return platform.writes(platform.account, platform.title, text, below)

    def message(self, customer: Follower, text: str) -> Message:
        """Answer a message as the account."""
        return PageInbox(self.platform.stage, None).reply(customer, text)

    def delete(self, comment: Comment) -> None:
        """Take somebody's comment away; nobody is told."""
        with self.platform.lock:
            comment.removed = True


class InstagramPlatform(WallPlatform):
    """One account with a first post of its own, connected to the page of `app`.

    Args:
        username: the account's name.
        **base: see `WallPlatform`, `MetaPlatform` and `Platform`.
    """

    kind: ClassVar[str] = "instagram"
    network_name: ClassVar[str] = "instagram"
    does: ClassVar[frozenset[str]] = frozenset({"comment", "write", "mention"})
    # Which of these arrive is set in the app; of the page, any field will do.
    fields: ClassVar[frozenset[str]] = frozenset({"feed", "messages", "mention"})
    told: ClassVar[frozenset[str]] = frozenset(
        {
            "comments",
            "mentions",
            "messages",
            "message_edit",
            "message_reactions",
            "messaging_postbacks",
            "messaging_seen",
        }
    )
    scopes: ClassVar[tuple[str, ...]] = (
        "instagram_basic",
        "instagram_manage_comments",
        "instagram_manage_messages",
        "pages_manage_metadata",
        "pages_read_engagement",
        "pages_show_list",
    )

    def __init__(self, *, username: str = "example.shop", **base: Any) -> None:
        super().__init__(username, **base)
        self.topics: set[str] = {*self.told, "message_edits", "message_echoes"}
        self.stage = Stage(self.network, self.hooks, self.topics, self.lock, self.now)
        self.staff = InstagramStaff(self)

    @property
    def account(self) -> str:
        """Return the account's own id."""
        return "1784" + number("instagram", self.app.page_id)[:13]

    # What tests use.

    def customer(self, name: str) -> Follower:
        """Return the person of this name, who is made on first sight."""
        with self.lock:
            return Follower(self.network.customer(name), self.stage, platform=self)

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {**super().credentials(), "account_id": self.account}

    # What people do.

    def writes(
        self, author: str, name: str, text: str, below: Comment | Post | None = None
    ) -> Comment:
        """Put a comment there, past the API, and tell of it."""
        with self.lock:
            made = self.wall.comment(author, text, (below or self.first).id)
            self._tell(made, name)
        self.hooks.flush()
        return made

    def mentions(self, author: str, text: str, *, caption: bool) -> Comment | Post:
        """Put a post there that is not the account's, perhaps with a comment, and name its ids."""
        with self.lock:
            post = self.wall.post(author, text if caption else "A walk.")
            made = post if caption else self.wall.comment(author, text, post.id)
            ids = {"media_id": post.id, "comment_id": None if caption else made.id}
            self.hooks.add(changed("mentions", author, self.now(), ids))
        self.hooks.flush()
        return made

    def _tell(self, comment: Comment, name: str) -> None:
        if self.wall.posts[comment.post].author != self.account:
            return  # only what stands beneath the account's own posts is told
        value = {
            "from": {"id": comment.author, "username": name},
            "id": comment.id,
            "parent_id": comment.parent,
            "text": comment.text,
            "media": {"id": comment.post, "media_product_type": "FEED"},
        }
        self.hooks.add(changed("comments", comment.author, self.now(), value))

    # Answers.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        return (
            *super().routes(),
            Route("GET", "/{version}/{node}", self._read_node),
            Route("POST", "/{version}/{node}/replies", self._reply),
            Route("GET", "/{version}/{node}/replies", self._read_replies),
            Route("POST", "/{version}/{node}/mentions", self._mention),
            Route("POST", "/{version}/{node}/messages", self._message),
        )

    def _reply(self, request: Request) -> Reply:
        found = self.wall.find(request.params["node"])
        ours = isinstance(found, Comment) and self._is_ours(found.post)
        if not isinstance(found, Comment) or not ours:
            raise unknown_object(request.params["node"])
        return self._put(parameters(request), found.id, request)

    def _mention(self, request: Request) -> Reply:
        if request.params["node"] != self.account:
            raise unknown_object(request.params["node"])
        given = parameters(request)
        media = self.wall.find(as_text(given.get("media_id"), "media_id", 128))
        below = media if "comment_id" not in given else self.wall.find(str(given["comment_id"]))
        if not isinstance(media, Post) or below is None or self._is_ours(media.id):
            raise invalid("Invalid parameter: no such mention of this account")
        return self._put(given, below.id, request)

    def _put(self, given: Mapping[str, object], below: str, request: Request) -> Reply:
        text = as_text(given.get("message"), "message", MAX_COMMENT)
        fault = request.fault
        made = self.wall.comment(self.account, text, below, via_api=True, fault=fault)
        self._posted.append(made)
        self._tell(made, self.title)
        return Reply.json({"id": made.id})

    def _message(self, request: Request) -> Reply:
        self._expect_page(request)
        given = parameters(request)
        recipient = as_object(given.get("recipient"), "recipient", {"id", "comment_id"})
        if "comment_id" in recipient:
            return self._message_because(given)
        send = read_send(given, LIMITS)
        customer = self.network.customers.get(send.psid)
        if customer is None or customer.wrote_at is None:
            raise GraphError(100, "(#100) No matching user found", subcode=2534014)
        refuse_closed(send, customer.wrote_at, customer.ad_at, self.now(), LIMITS)
        if send.message is None or "text" not in send.message:
            raise invalid("Only text is taken here")
        _in_bytes(send.message)
        return self._say(send.psid, send.message, send.tag)

    def _message_because(self, given: Mapping[str, object]) -> Reply:
        """Take the private reply to a comment."""
        name, content = read_private(given, MAX_BYTES)
        found = self.wall.find(name)
        if not isinstance(found, Comment) or not self._is_ours(found.post):
            raise GraphError(100, "(#100) Invalid comment_id parameter", subcode=2018292)
        _in_bytes(content)
        self.wall.answer_privately(found)
        return self._say(found.author, content)

    def _say(self, psid: str, content: Mapping[str, object], tag: str | None = None) -> Reply:
        visible = {"text": content["text"]}
        added = self.network.add(psid, self.now(), visible, outbound=True)
        mark = content.get("metadata")
        carried = None if mark is None else str(mark)
        made = attrs.evolve(added, via_api=True, metadata=carried, tag=tag)
        self.network.messages[made.mid] = made
        self._posted.append(made)
        self.stage.say(echoed(self.account, made))
        return Reply.json({"recipient_id": psid, "message_id": made.mid})

    def _is_ours(self, post: str) -> bool:
        return self.wall.posts[post].author == self.account

    def _read_node(self, request: Request) -> Reply:
        name, fields = request.params["node"], request.first("fields") or ""
        if name == self.account:
            return self._read_mention(fields)
        if name in {"me", self.app.page_id}:
            page = {"id": self.app.page_id, "name": self.app.page_name}
            account = {"instagram_business_account": {"id": self.account}}
            return Reply.json(PAGE.select({**page, **account}, parse_fields(fields)))
        found = self.wall.find(name)
        if not isinstance(found, Comment):
            raise unknown_object(name)
        return Reply.json(COMMENT.select(self._node(found), parse_fields(fields)))

    def _read_mention(self, fields: str) -> Reply:
        asks = MENTIONED.fullmatch(fields)
        found = self.wall.find(asks[2]) if asks else None
        if asks is None or found is None or isinstance(found, Comment) != ("comment" in asks[1]):
            raise invalid("Tried accessing nonexisting field or mention")
        name = self.network.customers[found.author].name
        at = written_at(found.at)
        shown = {"text": found.text, "caption": found.text, "timestamp": at, "username": name}
        words = {key: shown[key] for key in asks[3].split(",") if key in shown}
        edge = f"mentioned_{asks[1].partition('.')[0]}"
        return Reply.json({edge: {**words, "id": found.id}, "id": self.account})

    def _read_replies(self, request: Request) -> Reply:
        name = request.params["node"]
        if not isinstance(self.wall.find(name), Comment):
            raise unknown_object(name)
        nodes = [self._node(each) for each in self.wall.beneath(name)]
        url = f"{self._versioned(request)}/{name}/replies"
        return page_of(request, COMMENT.page(nodes, asked("replies", request), url))

    def _node(self, found: Comment) -> Node:
        """Return what reads show: `user` of the account's own comments alone."""
        own = found.author == self.account
        name = self.title if own else self.network.customers[found.author].name
        return {
            "id": found.id,
            "text": found.text,
            "timestamp": written_at(found.at),
            "from": {"id": found.author, "username": name},
            "user": {"id": self.account} if own else None,
            "username": name,
            "parent_id": found.parent,
        }


def _in_bytes(message: Mapping[str, object]) -> None:
    if len(str(message["text"]).encode()) > MAX_BYTES:
        raise invalid(f"Length of param message[text] must be at most {MAX_BYTES} bytes")
