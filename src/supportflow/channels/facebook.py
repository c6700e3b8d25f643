"""Answer the comments beneath a Facebook page's posts, visitors' posts and mentions of the page.

In: signed webhooks of the fields `feed` and `mention`. A comment's own id is its identity, so that
a batch may come twice, late and in any order. Our own answers come back too, without a mark: the
desk knows them by their ids, or while it waits for one by its words; any other is somebody's who
answered in Facebook's own app. Out: one comment beneath the comment that began the thread, because
threads are flat there, or once a private message to whoever wrote it. What may have been lost is
looked for among the answers beneath that comment.

Private messages themselves belong to `Messenger`, whose webhooks come to the same address: give
each to both channels. What one of them does not know it leaves to the other.

What holds no words is passed over: reactions to posts (those to comments are read), our own posts,
and that a hidden comment is shown again. Facebook does not say who took a comment away: unless the
page is named, that is unknown, and a person is told.

Sources: https://developers.facebook.com/docs/graph-api/webhooks/reference/page,
/docs/graph-api/reference/object/comments, /docs/graph-api/reference/comment, and
/docs/messenger-platform/discovery/private-replies; the payloads as recorded by others at
https://github.com/restfb/restfb/tree/master/src/test/resources/json/webhooks.
(Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from supportflow.channels import Ambiguous, Found, Reconcile, Refused, Traits
from supportflow.channels.arguments import named
from supportflow.channels.meta import Item, Repeated, bounded, field_of, moment
from supportflow.channels.meta_account import is_node
from supportflow.channels.meta_inbox import fits
from supportflow.channels.meta_page import NEEDS, Page
from supportflow.channels.meta_search import Search, Seen, read_back, searched, see_in_thread
from supportflow.channels.powers import check_powers
from supportflow.channels.setup import Setup
from supportflow.errors import PayloadError, Unsupported
from supportflow.flow import Flow
from supportflow.model import (
    Attachment,
    Author,
    Edit,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Reaction,
    Receipt,
    Removal,
    RemovedBy,
    Visibility,
)
from supportflow.text.fields import mapping, perhaps, word
from supportflow.text.moments import from_text

__all__ = ["FacebookPage"]

#: The longest comment that people may write; the documentation names no limit for it, so that this
#: is what is said of it elsewhere.
_MAX_TEXT = 8_000
#: A private reply is a message like any other on Messenger.
_MAX_PRIVATE = 2_000

#: How many attempts may have been the one that Facebook says was there before.
_ATTEMPTS = 2

_POWERS = ("announcement", "attachments")

_TRAITS = Traits(
    "facebook",
    max_text=_MAX_TEXT,
    max_private=_MAX_PRIVATE,
    reconcile=Reconcile.read,
    settle=timedelta(seconds=60),
    # https://developers.facebook.com/docs/messenger-platform/discovery/private-replies
    window=timedelta(days=7),
    visibilities=("public", "private"),
    powers=_POWERS,
    inbound=("webhook",),
    signature="X-Hub-Signature-256",
    # https://developers.facebook.com/docs/graph-api/overview/rate-limiting and
    # https://developers.facebook.com/docs/messenger-platform/overview/rate-limiting
    rates={
        "calls": "4,800 a day for each person who engaged with the page",
        "private replies": "750 an hour, and one for each comment",
    },
    unsupported={
        "private messages": "they are Messenger's: give the same webhooks to that channel too",
        "second private replies": "Facebook takes one for each comment, within seven days; the "
        "talk goes on in Messenger once the customer answers",
        "long private replies": "2,000 characters; send the rest once the customer answers",
        "who removed a comment": "unless the page is named, a person is asked to look",
        "authors of mentions": "Facebook names them rarely; others are unknown, each of their own",
        "answers to mentions": "they are not told, and a lost one is left to a person to look for",
        "listening": "no public posts can be searched; those that tag the page come as mentions",
        "several pages": "one channel each; what is about another page goes into quarantine",
        "files": "one picture beneath a public answer; put others into the text as links",
    },
)

#: What must be subscribed to, and what is missed otherwise.
_NEEDED: Mapping[str, str] = {"feed": "comments stay unseen"}
_USEFUL: Mapping[str, str] = {"mention": "mentions of the page elsewhere stay unseen"}

_SETUP = Setup(
    "Takes comments beneath a page's posts, visitors' posts and mentions, and answers them.",
    NEEDS,
    (
        "Create an app in Meta's dashboard, add Webhooks to it, and log in for the shop's page.",
        "Generate a page access token, and copy the app secret under Settings, Basic.",
        "Invent a verify token, a long word; enter it with the webhook's address for a Page.",
        "Subscribe the webhook and the page to feed and mention.",
        "Let Meta review the app: until then only comments of people with a role in it arrive.",
    ),
    {
        "pages_manage_engagement": "to answer comments",
        "pages_read_engagement": "to read what the page wrote",
        "pages_read_user_content": "to read what others wrote, and who did",
        "pages_manage_metadata": "to subscribe the page",
        "pages_messaging": "to answer a comment privately",
        "pages_manage_posts": "to announce; leave it out if you do not",
    },
    "the address of your web application for this channel, with the verify token; where Messenger "
    "has the same app, one address that gives each webhook to both channels",
    "https://developers.facebook.com/docs/pages-api/webhooks-for-pages",
)

#: Of which kind words in the feed are, beside comments.
_POSTS = frozenset({"post", "status", "photo", "video", "share", "link", "album"})
_LIKES = frozenset({"reaction", "like"})
#: As the feed names them: "sorry" is the sad face, "anger" the angry one.
_FACES: Mapping[str, str] = MappingProxyType(
    {
        "like": "👍",
        "love": "❤️",
        "care": "🤗",
        "haha": "😆",
        "wow": "😮",
        "sorry": "😢",
        "sad": "😢",
        "anger": "😡",
        "angry": "😡",
    }
)
_PLAIN = frozenset(
    {"item", "verb", "comment_id", "post_id", "parent_id", "from", "created_time", "message"}
)
#: How far the page's own comments and posts are shown.
_FIELDS = "id,message,created_time,from"


# -- in


def _number(value: object) -> str:
    """Return an id that old payloads write as a number; `""` for what is none."""
    return str(value) if type(value) is int else value if isinstance(value, str) else ""


def _when(value: object) -> datetime:
    """Return a time, which the feed writes in seconds, and rarely in words."""
    if isinstance(value, str) and not value.isdigit():
        return from_text(value)
    return moment(value)


def _above(name: str) -> str:
    """Return the first part of an id: that of a page for a post, that of a post for a comment."""
    return name.rpartition("_")[0]


@attrs.define
class _Change:
    """Hold one change of the page's feed, or one mention, and read it as facts."""

    channel: str
    page: str
    item: Item
    value: dict[str, Any]
    kind: str = "comment"

    @property
    def name(self) -> str:
        """Return the id of the comment, or of the post; both are of one name space."""
        return perhaps(self.value, "comment_id") or word(self.value, "post_id")

    @property
    def author(self) -> Author:
        author = mapping(self.value.get("from") or {}, "from")
        name = _number(author.get("id")) or _number(self.value.get("sender_id"))
        shown = perhaps(author, "name") or perhaps(self.value, "sender_name")
        # Whoever is not named is somebody of their own each time.
        return Author(name or f"unknown:{self.name}", shown)

    @property
    def parent(self) -> str:
        """Return the comment that this one answers: one beneath the same post."""
        above, post = perhaps(self.value, "parent_id"), perhaps(self.value, "post_id")
        beneath = above not in ("", post, self.name) and _above(above) == _above(self.name)
        return above if beneath else ""

    @property
    def at(self) -> datetime:
        """Return when it happened; a removal has no time but that of its entry."""
        given = self.value.get("created_time")
        return _when(self.item.time if given is None else given)

    def feed(self) -> Iterable[Fact]:
        what, verb = word(self.value, "item"), word(self.value, "verb")
        if what in _LIKES:
            return self._reaction(verb)
        if what != "comment" and what not in _POSTS:
            raise PayloadError(f"the item {what!r:.60} is not known here")
        if what == "comment":
            word(self.value, "comment_id")
        elif self.author.id == self.page:
            return ()
        read = _VERBS.get(verb)
        if read is None:
            raise PayloadError(f"the verb {verb!r:.60} is not known here")
        return read(self)

    def mention(self) -> Iterable[Fact]:
        """Read a mention; the feed tells of those beneath the page's own posts."""
        if _above(perhaps(self.value, "post_id")) == self.page:
            return ()
        read = _VERBS.get(word(self.value, "verb"))
        if read is None or self.author.id == self.page:
            raise PayloadError("a mention that is not by somebody else, or of an unknown verb")
        return read(self)

    def words(self) -> Iterable[Fact]:
        value, author, name, parent = self.value, self.author, self.name, self.parent
        ours, plain = author.id == self.page, value.keys() <= _PLAIN
        thread: str | None = None if parent else name
        if ours:  # where our own answer stands is only known by what it answers
            thread, parent = None, parent or perhaps(value, "post_id")
        message = Message(
            self.channel,
            self.kind,
            name,
            author,
            perhaps(value, "message"),
            self.at,
            thread,
            parent or None,
            Visibility.public,
            attachments=() if plain else self._attachments(),
            permalink=None if plain else self._permalink(),
            tags=("mention",) if self.kind == "mention" else (),
            raw=None if plain else self.item.alone(),
        )
        return (Outbound(message) if ours else Inbound(message),)

    def _permalink(self) -> str | None:
        post = mapping(self.value.get("post") or {}, "post")
        return perhaps(self.value, "permalink_url") or perhaps(post, "permalink_url") or None

    def _attachments(self) -> tuple[Attachment, ...]:
        kinds = {"photo": "image", "video": "video", "link": "link"}
        found = [(kind, perhaps(self.value, name)) for name, kind in kinds.items()]
        found += [("image", word({"photo": url}, "photo")) for url in bounded(self.value, "photos")]
        return tuple(Attachment(kind, url) for kind, url in found if url)

    def edit(self) -> Iterable[Fact]:
        """Read what a comment says now; an edit has no name of its own."""
        text, given = perhaps(self.value, "message"), self.value.get("edited_time")
        at = self.at if given is None else _when(given)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        revision = f"{int(at.timestamp())}:{digest}"
        return (Edit(self.channel, self.kind, self.name, revision, text, at),)

    def removal(self) -> Iterable[Fact]:
        by = RemovedBy.us if self.author.id == self.page else RemovedBy.unknown
        return (Removal(self.channel, self.kind, self.name, self.at, by),)

    def hiding(self) -> Iterable[Fact]:
        """Read that a comment was hidden: whoever it names, only the page can do that."""
        return (Removal(self.channel, self.kind, self.name, self.at, RemovedBy.us, hidden=True),)

    def _reaction(self, verb: str) -> Iterable[Fact]:
        name, author = perhaps(self.value, "comment_id"), self.author
        if not name or author.id == self.page:
            return ()
        face = perhaps(self.value, "reaction_type") or "like"
        emoji = "" if verb in ("remove", "delete") else _FACES.get(face, face)
        return (Reaction(self.channel, self.kind, name, author, emoji, self.at),)


_VERBS: Mapping[str, Callable[[_Change], Iterable[Fact]]] = MappingProxyType(
    {
        "add": _Change.words,
        "edit": _Change.edit,
        "edited": _Change.edit,
        "update": _Change.edit,
        "remove": _Change.removal,
        "delete": _Change.removal,
        "hide": _Change.hiding,
        "unhide": lambda _: (),
    }
)


# -- out


def _public(message: Outgoing) -> dict[str, Any]:
    """Return the parameters of a comment or a post."""
    text = fits(message.text, _MAX_TEXT, "the text", "send it as several parts", "Facebook")
    call: dict[str, Any] = {"message": text}
    files = message.attachments
    if files and (len(files) > 1 or files[0].kind != "image" or message.reply_to is None):
        raise Unsupported("Facebook takes one picture beneath an answer; put links into the text")
    if files:
        call["attachment_url"] = files[0].url
    return call


def _private(message: Outgoing, page: str) -> dict[str, Any]:
    """Return the parameters of a private reply; the mark comes back in Messenger's echo."""
    if message.attachments or message.reply_to is None or message.reply_to[0] == "mention":
        raise Unsupported("Facebook takes a private answer in words to a comment on the page alone")
    hint = "send the rest once the customer answers"
    text = fits(message.text, _MAX_PRIVATE, "the private answer", hint, "Messenger")
    name = message.reply_to[1]
    what = "post_id" if _above(name) == page else "comment_id"
    content = {"text": text, "metadata": message.mark}
    return {"recipient": {what: name}, "messaging_type": "RESPONSE", "message": content}


@attrs.frozen
class FacebookPage(Page):
    """Serve what people write in public to one Facebook page.

    An answer stands beneath the comment that began the thread, `Outgoing.thread`, whichever of its
    comments it answers. What answers nobody is posted by the page.

    Args:
        page_id: The page's id.
        token: A page access token, with `pages_manage_engagement` and `pages_read_user_content`;
            to answer privately also `pages_messaging`.
        app_secret: The app's secret, with which webhooks are signed and every call is proved
            (`appsecret_proof`); several during a rotation, the current one first.
        verify_token: The word that you chose for the handshake; several while it changes.
        app_id: The app's id; only `check` uses it.
        version: The version of the Graph API.
        base_url: Where the Graph API is.
        name: The channel's name.

    Raises:
        InvalidValue: If a secret is missing, or another argument cannot be accepted.

    Example:
        >>> shop = FacebookPage("77", token="EAAG", app_secret="5ec", verify_token="a word")
        >>> shop.name, shop.traits.window
        ('facebook', datetime.timedelta(days=7))
    """

    name: str = attrs.field(default="facebook", validator=named, kw_only=True)

    setup: ClassVar[Setup] = _SETUP
    scopes: ClassVar[str] = "pages_manage_engagement and pages_read_user_content"

    @property
    def traits(self) -> Traits:
        """Return what Facebook can do."""
        return _TRAITS

    def facts(self, item: Item) -> Iterable[Fact]:
        """Return what one event of a batch reports; private messages are Messenger's.

        Args:
            item: The event.

        Raises:
            PayloadError: If it cannot be read.
        """
        field = field_of(item)
        if item.place != "changes" or field.startswith("messag"):
            return ()
        value = mapping(
            mapping(item.value, "the change").get("value"), f"the value of {field!r:.60}"
        )
        if field == "feed":
            return _Change(self.name, self.page_id, item, value).feed()
        if field == "mention":
            return _Change(self.name, self.page_id, item, value, "mention").mention()
        raise PayloadError(f"a change of {field!r:.60}, which is not known here")

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post one part of an answer, or an announcement.

        Args:
            message: What to post.

        Raises:
            Unsupported: If Facebook cannot express it; nothing was asked then.
            SendError: One of its kinds says what became of it.
        """
        check_powers(message, _TRAITS)
        post = self._answer if message.visibility is Visibility.public else self._message
        try:
            return (yield from post(message))
        except Repeated as error:
            # After a second attempt it was looked for, and not found: it is somebody else's.
            if message.first_sent_at is None or message.attempt > _ATTEMPTS:
                raise
            raise Ambiguous(f"an earlier attempt may have posted it: {error}") from None

    def _answer(self, message: Outgoing) -> Flow[Receipt]:
        call = _public(message)
        if message.reply_to is None:
            return (yield from self.posted(message, f"{self.page_id}/feed", call))
        # Where the comment is not there, it was deleted, or is hidden from us.
        return (yield from self.posted(message, _beneath(message), call, unseen=Refused))

    def _message(self, message: Outgoing) -> Flow[Receipt]:
        call = _private(message, self.page_id)
        path = f"{self.page_id}/messages"
        return (yield from self.posted(message, path, call, "message_id"))

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for an answer of ours: beneath the comment, or in the private thread.

        The page must be the author, the time not before the send, the words the same, and the
        id that of no other answer of ours. A private answer that is not in the thread was not
        sent if Facebook still offers to take one.

        Args:
            message: What was perhaps posted.
        """
        look = self._look if message.visibility is Visibility.public else self._look_in_private
        return (yield from searched(message, partial(look)))

    def _look(self, search: Search) -> Flow[None]:
        message, path = search.message, f"{self.page_id}/feed"
        if message.reply_to is not None:
            path = _beneath(message)
            if message.reply_to[0] != "mention" and _above(message.thread) != self.page_id:
                node = yield from self.get(message.thread, fields="id,parent{id}")
                word(node, "id")
                # An answer to an answer may have been put beneath the comment above both.
                above = mapping(node.get("parent") or {"id": message.thread}, "parent")
                path = f"{_node(word(above, 'id'))}/comments"
        query = {"fields": _FIELDS, "order": "reverse_chronological"}
        if message.reply_to is None:
            del query["order"]
        ended = yield from read_back(self, search, path, self._seen, query)
        search.back = search.back or ended
        if message.reply_to is not None and message.reply_to[0] == "mention":
            search.hidden = "an answer to a mention may stand elsewhere in its thread"

    def _seen(self, node: Mapping[str, Any]) -> Seen:
        author = mapping(node.get("from") or {}, "from")
        ours = None if not author else word(author, "id") == self.page_id
        at = from_text(node.get("created_time"))
        return Seen(word(node, "id"), at, perhaps(node, "message"), ours)

    def _look_in_private(self, search: Search) -> Flow[None]:
        page = self.page_id
        yield from see_in_thread(self, search, page=page, us=page, platform="messenger")
        if search.found is None and not search.back and search.message.reply_to is not None:
            path = _node(search.message.reply_to[1])
            node = yield from self.get(path, fields="id,can_reply_privately")
            search.back = node.get("can_reply_privately") is True

    def _examine(self, problems: list[str], notes: list[str]) -> Flow[None]:
        yield from self._check_fields(problems, notes, _NEEDED, _USEFUL)
        why = "lost answers cannot be looked for"
        yield from self._check_read(notes, why, f"{self.page_id}/feed")
        why = "lost private answers cannot be looked for"
        path = f"{self.page_id}/conversations"
        yield from self._check_read(notes, why, path, platform="messenger")


def _node(name: str) -> str:
    if not is_node(name):
        raise Refused(f"{name!r:.60} is no id of a comment or a post")
    return name


def _beneath(message: Outgoing) -> str:
    """Return where answers of a thread stand."""
    return f"{_node(message.thread)}/comments"
