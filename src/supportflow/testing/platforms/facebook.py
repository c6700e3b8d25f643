"""A Facebook page on loopback: comments beneath its posts, visitors' posts, mentions, private replies.

It refuses what the Graph API refuses, tells what happens by signed webhooks, and alone knows what was
really posted (`posts`). People act through `customer(name)` and `staff`, on the platform's own time::

    with FacebookPlatform(clock=clock) as platform:
        platform.deliver_to(receive)
        platform.customer("ola").comment("You charged me twice!")
        ...  # run the desk against platform.url with platform.token
        platform.deliver()  # the page's own comments come back too
        assert [post.text for post in platform.posts] == [...]

Nothing deduplicates, except that a comment takes one private reply. An answer to an answer stands
beside it, beneath the comment above both. A private reply is a message on Messenger: who subscribed to
`message_echoes` hears of it there.

Sources: https://developers.facebook.com/docs/graph-api/webhooks/reference/page,
/docs/graph-api/reference/object/comments, /docs/graph-api/reference/comment,
/docs/messenger-platform/discovery/private-replies; payloads as recorded at
https://github.com/restfb/restfb/tree/master/src/test/resources/json/webhooks. The longest comment is
said elsewhere to have 8,000 characters. What the documentation leaves open is a parameter: who is
named where a comment is removed (`names_remover`), and whether mentions name their author.
(Over 300 lines, because a network is one file.)
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from supportflow.testing.platforms.messenger_events import echoed
from supportflow.testing.platforms.messenger_network import Message
from supportflow.testing.platforms.messenger_rules import as_text
from supportflow.testing.platforms.meta_comments import Comment, Post, changed, read_private
from supportflow.testing.platforms.meta_fields import Node, NodeType, parse_fields
from supportflow.testing.platforms.meta_graph import GraphError, invalid, parameters, unknown_object
from supportflow.testing.platforms.meta_payloads import written_at
from supportflow.testing.platforms.meta_platform import asked, page_of
from supportflow.testing.platforms.meta_wall import WallPlatform
from supportflow.testing.platforms.server import Reply, Request, Route

__all__ = ["FacebookPlatform", "Staff", "Visitor"]

MAX_COMMENT, MAX_POST, MAX_MESSAGE = 8_000, 63_206, 2_000
REACTIONS = frozenset({"like", "love", "care", "haha", "wow", "sorry", "anger"})
COMMENT = NodeType("Comment", ("created_time", "from", "message", "id"))
POST = NodeType("Post", ("created_time", "message", "id"))
PAGE = NodeType("Page", ("name", "id"))


@attrs.frozen
class Visitor:
    """Somebody on Facebook.

    Args:
        name: the name shown.
        id: the page-scoped id.
        platform: where they act.
    """

    name: str
    id: str
    platform: "FacebookPlatform" = attrs.field(repr=False)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Return the private thread with the page, oldest first."""
        with self.platform.lock:
            return self.platform.network.thread(self.id)

    def comment(self, text: str, below: Comment | Post | None = None, **more: Any) -> Comment:
        """Write beneath a post or a comment; beneath the page's first post unless said."""
        return self.platform.writes(self.id, self.name, text, below, **more)

    def post(self, text: str) -> Post:
        """Post on the page."""
        with self.platform.lock:
            made = self.platform.wall.post(self.id, text)
            self.platform.tell_post(made, self.name, "add")
        self.platform.hooks.flush()
        return made

    def mention(self, text: str) -> Post:
        """Name the page in a post of one's own."""
        with self.platform.lock:
            made = self.platform.wall.post(self.id, text, owner=self.id)
            about = {"item": "post", "verb": "add", "post_id": made.id, "message": text}
            named = {"sender_id": self.id, "sender_name": self.name}
            who = named if self.platform.names_mentioner else {}
            self.platform.tell("mention", self.id, {**about, **who, "created_time": _s(made)})
        self.platform.hooks.flush()
        return made

    def edit(self, comment: Comment, text: str) -> None:
        """Change one's own comment."""
        self.platform.changes(comment, self.id, self.name, "edited", text)

    def delete(self, comment: Comment) -> None:
        """Take one's own comment away."""
        self.platform.changes(comment, self.id, self.name, "remove")

    def react(self, to: Comment | Post, reaction: str = "like", *, take_back: bool = False) -> None:
        """React to a comment or a post.

        Raises:
            ValueError: for a reaction that does not exist.
        """
        if reaction not in REACTIONS:
            raise ValueError(f"reaction is one of {', '.join(sorted(REACTIONS))}, not {reaction!r}")
        with self.platform.lock:
            comment = isinstance(to, Comment)
            place = {"post_id": to.post if isinstance(to, Comment) else to.id}
            value = {
                **place,
                "comment_id": to.id if comment else None,
                "parent_id": (to.parent or to.post) if isinstance(to, Comment) else to.id,
                "item": "reaction",
                "verb": "remove" if take_back else "add",
                "reaction_type": reaction,
                "created_time": int(self.platform.now().timestamp()),
                "from": {"id": self.id, "name": self.name},
            }
            self.platform.tell("feed", self.id, value)
        self.platform.hooks.flush()


@attrs.frozen
class Staff:
    """The people of the page, in Facebook's own app."""

    platform: "FacebookPlatform" = attrs.field(repr=False)

    def reply(self, below: Comment | Post, text: str) -> Comment:
        """Answer as the page."""
        app = self.platform.app
        return self.platform.writes(app.page_id, app.page_name, text, below)

    def hide(self, comment: Comment, *, show: bool = False) -> None:
        """Hide a comment from all but its author and friends, or show it again."""
        author = self.platform.name_of(comment.author)
        verb = "unhide" if show else "hide"
        self.platform.changes(comment, comment.author, author, verb)

    def delete(self, comment: Comment) -> None:
        """Take somebody's comment away."""
        who = self.platform.app.page_id if self.platform.names_remover else comment.author
        self.platform.changes(comment, who, self.platform.name_of(who), "remove")


class FacebookPlatform(WallPlatform):
    """One page with a first post of its own.

    Args:
        names_remover: whether the page is named where its people remove a comment.
        names_mentioner: whether a mention names its author.
        **base: see `WallPlatform`, `MetaPlatform` and `Platform`.
    """

    does: ClassVar[frozenset[str]] = frozenset({"comment", "post", "mention"})
    fields: ClassVar[frozenset[str]] = frozenset({"feed", "mention", "message_echoes"})
    scopes: ClassVar[tuple[str, ...]] = (
        "pages_manage_engagement",
        "pages_manage_metadata",
        "pages_manage_posts",
        "pages_messaging",
        "pages_read_engagement",
        "pages_read_user_content",
    )

    def __init__(
        self, *, names_remover: bool = True, names_mentioner: bool = False, **base: Any
    ) -> None:
        super().__init__(**base)
        self.names_remover, self.names_mentioner = names_remover, names_mentioner
        self.staff = Staff(self)

    # What tests use.

    def customer(self, name: str) -> Visitor:
        """Return the person of this name, who is made on first sight."""
        with self.lock:
            return Visitor(name, self.network.customer(name).psid, self)

    # What people do.

    def writes(
        self,
        author: str,
        name: str,
        text: str,
        below: Comment | Post | None = None,
        photo: str | None = None,
    ) -> Comment:
        """Put a comment there, past the API, and tell of it."""
        with self.lock:
            made = self.wall.comment(author, text, (below or self.first).id, photo=photo)
            self.tell_comment(made, author, name, "add")
        self.hooks.flush()
        return made

    def changes(
        self, comment: Comment, who: str, name: str, verb: str, text: str | None = None
    ) -> None:
        """Change a comment, and tell of it as the feed does."""
        with self.lock:
            if text is not None:
                comment.text = text
                comment.texts.append(text)
            comment.hidden = comment.hidden if verb not in {"hide", "unhide"} else verb == "hide"
            comment.removed = comment.removed or verb == "remove"
            self.tell_comment(comment, who, name, verb)
        self.hooks.flush()

    def name_of(self, person: str) -> str:
        """Return the name of whoever has an id."""
        known = self.network.customers.get(person)
        return self.app.page_name if known is None else known.name

    def tell(self, field: str, about: str, value: Mapping[str, object]) -> None:
        """Keep what a webhook says, where its field is subscribed to."""
        if field in self.subscribed:
            self.hooks.add(changed(field, about, self.now(), value))

    def tell_comment(self, comment: Comment, who: str, name: str, verb: str) -> None:
        """Tell that something happened to a comment."""
        value: dict[str, object] = {
            "from": {"id": who, "name": name},
            "post": {
                "id": comment.post,
                "permalink_url": f"https://www.example.com/{comment.post}",
            },
            "item": "comment",
            "verb": verb,
            "comment_id": comment.id,
            "post_id": comment.post,
            "parent_id": comment.parent or comment.post,
        }
        if verb != "remove":
            value |= {"message": comment.text or None, "photo": comment.photo}
            value["created_time"] = int(self.now().timestamp())
        self.tell("feed", who, value)

    def tell_post(self, post: Post, name: str, verb: str) -> None:
        """Tell that something was posted on the page."""
        value = {"item": "status", "verb": verb, "post_id": post.id, "message": post.text}
        who = {"id": post.author, "name": name}
        self.tell("feed", post.author, {**value, "from": who, "created_time": _s(post)})

    # Answers.

    def routes(self) -> Sequence[Route]:
        """Return what is answered."""
        return (
            *super().routes(),
            Route("GET", "/{version}/{node}", self._read_node),
            Route("POST", "/{version}/{node}/comments", self._comment),
            Route("GET", "/{version}/{node}/comments", self._read_comments),
            Route("POST", "/{version}/{node}/feed", self._post),
            Route("GET", "/{version}/{node}/feed", self._read_feed),
            Route("POST", "/{version}/{node}/messages", self._message),
        )

    def _comment(self, request: Request) -> Reply:
        given = _call(request, {"message", "attachment_url"})
        name = request.params["node"]
        if self.wall.find(name) is None:
            raise unknown_object(name)
        text = as_text(given.get("message"), "message", MAX_COMMENT)
        photo = given.get("attachment_url")
        if photo is not None and not as_text(photo, "attachment_url", 2048).startswith("https://"):
            raise invalid("Param attachment_url should represent a valid URL")
        page, fault = self.app.page_id, request.fault
        kept = None if photo is None else str(photo)
        made = self.wall.comment(page, text, name, photo=kept, via_api=True, fault=fault)
        self._posted.append(made)
        self.tell_comment(made, page, self.app.page_name, "add")
        return Reply.json({"id": made.id})

    def _post(self, request: Request) -> Reply:
        self._expect_page(request)
        text = as_text(_call(request, {"message", "link"}).get("message"), "message", MAX_POST)
        made = self.wall.post(self.app.page_id, text, via_api=True)
        self._posted.append(made)
        self.tell_post(made, self.app.page_name, "add")
        return Reply.json({"id": made.id})

    def _message(self, request: Request) -> Reply:
        self._expect_page(request)
        name, content = read_private(_call(request, SENDS), MAX_MESSAGE)
        about = self.wall.find(name)
        if about is None:
            raise GraphError(100, "(#100) Invalid comment_id parameter", subcode=2018292)
        self.wall.answer_privately(about)
        visible = {"text": content["text"]}
        made = self.network.add(about.author, self.now(), visible, outbound=True)
        mark = content.get("metadata")
        app, carried = self.app.app_id, None if mark is None else str(mark)
        made = attrs.evolve(made, via_api=True, metadata=carried, app_id=app)
        self.network.messages[made.mid] = made
        self._posted.append(made)
        if "message_echoes" in self.subscribed:
            self.hooks.add(echoed(self.app.page_id, made))
        return Reply.json({"recipient_id": about.author, "message_id": made.mid})

    def _read_node(self, request: Request) -> Reply:
        name, fields = request.params["node"], parse_fields(request.first("fields") or "")
        if name in {"me", self.app.page_id}:
            page = {"id": self.app.page_id, "name": self.app.page_name}
            return Reply.json(PAGE.select(page, fields))
        found = self.wall.find(name)
        if found is None:
            raise unknown_object(name)
        kind = COMMENT if isinstance(found, Comment) else POST
        return Reply.json(kind.select(self._node(found), fields))

    def _read_comments(self, request: Request) -> Reply:
        name = request.params["node"]
        if self.wall.find(name) is None:
            raise unknown_object(name)
        found = [self._node(each) for each in self.wall.beneath(name)]
        order = request.first("order") or "chronological"
        if order not in {"chronological", "reverse_chronological"}:
            raise invalid("Param order must be one of {chronological, reverse_chronological}")
        nodes = found if order == "chronological" else found[::-1]
        url = f"{self._versioned(request)}/{name}/comments"
        return page_of(request, COMMENT.page(nodes, asked("comments", request), url))

    def _read_feed(self, request: Request) -> Reply:
        self._expect_page(request)
        posts = [each for each in self.wall.posts.values() if not each.removed]
        own = [each for each in posts if each.id.startswith(f"{self.app.page_id}_")]
        nodes = [self._node(each) for each in own[::-1]]
        url = f"{self._versioned(request)}/{self.app.page_id}/feed"
        return page_of(request, POST.page(nodes, asked("feed", request), url))

    def _node(self, found: Comment | Post) -> Node:
        """Return what reads show of a comment or a post."""
        shown: dict[str, object] = {
            "id": found.id,
            "message": found.text,
            "created_time": written_at(found.at),
            "from": {"id": found.author, "name": self.name_of(found.author)},
            "can_reply_privately": self.wall.may_answer(found),
        }
        if isinstance(found, Comment):
            parent = found.parent
            above = None if parent is None else self._node(self.wall.comments[parent])
            shown["is_hidden"] = found.hidden
            shown["parent"] = lambda field: above and COMMENT.select(above, field.fields)
        return shown


SENDS = frozenset({"recipient", "message", "messaging_type"})


def _call(request: Request, known: set[str] | frozenset[str]) -> Mapping[str, object]:
    """Return a call's parameters, and refuse those that it does not have."""
    given = parameters(request)
    if strange := sorted(given.keys() - known - {"access_token", "appsecret_proof"}):
        raise invalid(f'Invalid parameter "{", ".join(strange)}"')
    return given


def _s(post: Post) -> int:
    return int(post.at.timestamp())
