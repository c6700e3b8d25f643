"""Answer comments, mentions and direct messages of an Instagram account that a page stands for.

In: signed webhooks of the object `instagram`. A comment or message has its own id as its identity,
so that a batch may come twice, late and in any order. Our own come back: messages with our mark,
comments without one, which the desk knows by their ids, or while it waits for one by its words. Out:
an answer beneath the comment that began the thread (Instagram's are one level deep), a comment where
we were mentioned, a direct message, or once a private answer to a comment. What may have been lost
is looked for beneath the comment or in the private thread.

Mentions come as ids alone, without words, author or time of their own; `mentioned` reads what one
says. What holds no words is passed over: opt-ins, referrals, which app has the thread, insights.

Accounts are reached as Facebook Login for Business does it, through their page; tokens of Instagram
Login are for another host and not for this channel.

Sources: https://developers.facebook.com/docs/instagram-platform/webhooks/examples/,
/docs/graph-api/webhooks/reference/instagram, /docs/instagram-platform/private-replies,
/docs/messenger-platform/instagram/features/send-message,
/docs/instagram-api/reference/ig-user/mentions and /docs/messenger-platform/conversations. That
private answers and messages go through the page, `/{page}/messages`, and that `metadata` comes back
in echoes: https://github.com/ChatbotXIO/ChatbotX/pull/1122 and /pull/1018.
(Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from supportflow.channels import Found, Reconcile, Refused, Traits
from supportflow.channels.arguments import named
from supportflow.channels.meta import Item, field_of, moment
from supportflow.channels.meta_account import is_node, numbered
from supportflow.channels.meta_inbox import Event, fits
from supportflow.channels.meta_page import NEEDS, Page
from supportflow.channels.meta_search import Search, Seen, read_back, searched, see_in_thread
from supportflow.channels.powers import check_powers
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, Unsupported
from supportflow.flow import Flow
from supportflow.model import (
    Author,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    Removal,
    StatusReport,
    Visibility,
)
from supportflow.text.fields import mapping, perhaps, word
from supportflow.text.limits import bytes_utf8
from supportflow.text.moments import from_text

__all__ = ["Instagram"]

#: Of a comment, as people may write it; the documentation names no limit for it.
_MAX_TEXT = 2_200
#: "UTF-8 and be a 1000 bytes or less":
#: https://developers.facebook.com/docs/messenger-platform/instagram/features/send-message
_MAX_BYTES = 1_000
_WINDOW = timedelta(hours=24)

_TRAITS = Traits(
    "instagram",
    max_text=_MAX_TEXT,
    max_private=_MAX_BYTES,
    private_counting="bytes",
    reconcile=Reconcile.read,
    settle=timedelta(seconds=60),
    window=_WINDOW,
    human_window=timedelta(days=7),
    visibilities=("public", "private"),
    inbound=("webhook",),
    signature="X-Hub-Signature-256",
    # https://developers.facebook.com/docs/graph-api/overview/rate-limiting and
    # https://developers.facebook.com/docs/messenger-platform/overview/rate-limiting
    rates={
        "calls": "4,800 a day for each impression of the account's content",
        "messages": "300 a second",
        "private replies": "750 an hour, and one for each comment",
        "reads of threads": "2 a second",
    },
    unsupported={
        "edits of comments": "no webhook tells of them; those of direct messages are seen",
        "deletions of comments": "no webhook tells of them or of hiding; an answer is refused then",
        "words of mentions": "webhooks bring ids alone: Instagram.mentioned() reads the words",
        "answers to mentions": "nothing shows them; a lost one is left to a person to look for",
        "private accounts": "what they write elsewhere never arrives, even if it mentions us",
        "second private replies": "Instagram takes one for each comment, within seven days; the "
        "talk goes on once the customer answers",
        "late private replies of a bot": "after 24 hours a person must write, as in messages",
        "long messages": "1,000 bytes of UTF-8 in private; send several",
        "files, cards and quick replies": "put a link into the text",
        "announcements": "a post needs a picture: post it in the app",
        "listening": "no comments can be searched for words; mentions arrive",
        "Instagram Login": "connect the account to a page, and use that page's token",
        "several accounts": "one channel each; what is about another goes into quarantine",
    },
)

#: What the page must be subscribed to; which of Instagram's fields arrive is set in the app alone.
_FIELDS = "comments, live_comments, mentions, messages, message_edit and message_reactions"

_SETUP = Setup(
    "Takes comments, mentions and direct messages of an Instagram account, and answers them.",
    (
        *NEEDS,
        Need("account_id", "the id of the Instagram professional account connected to the page"),
    ),
    (
        "Make the account a professional one, connect it to a page, and allow access to messages.",
        "Create an app in Meta's dashboard with Instagram, logging in with Facebook for the page.",
        "Generate a page access token, and copy the app secret under Settings, Basic.",
        "Invent a verify token, a long word; enter it with the webhook's address for Instagram.",
        f"Subscribe the webhook to {_FIELDS}, and the page to any one of its own fields.",
        "Let Meta review the app for advanced access: without it no comment arrives.",
    ),
    {
        "instagram_basic": "to read the account",
        "instagram_manage_comments": "to read and answer comments and mentions",
        "instagram_manage_messages": "to read and send messages",
        "pages_manage_metadata": "to subscribe the page",
        "pages_read_engagement": "to read through the page",
        "pages_show_list": "to find the page",
    },
    "the address of your web application for this channel, with the verify token",
    "https://developers.facebook.com/docs/instagram-platform/webhooks",
)
_SILENT = frozenset({"story_insights", "messaging_handover", "standby"})
_COMMENTS = frozenset({"comments", "live_comments"})
#: How a comment names the one that it mentions, and the post: both are needed to answer.
_BETWEEN = ":"


# -- in


class _Event(Event):
    """Read what Instagram tells of messages beside what Messenger does."""

    silent: ClassVar[frozenset[str]] = Event.silent - {"read"}

    @classmethod
    def kinds(cls) -> Mapping[str, Callable[[Any, dict[str, Any]], Iterable[Fact]]]:
        return _READ

    def message(self, content: dict[str, Any]) -> Iterable[Fact]:
        if content.get("is_deleted") is True:
            at = moment(self.event.get("timestamp"))
            return (Removal(self.channel, "message", word(content, "mid"), at),)
        return super().message(content)

    def read(self, content: dict[str, Any]) -> Iterable[Fact]:
        """Report a message as read; Instagram names it, as Messenger does not."""
        name = perhaps(content, "mid")
        at = moment(self.event.get("timestamp"))
        return (StatusReport(self.channel, name, "read", at),) if name else ()


_READ: Mapping[str, Callable[[Any, dict[str, Any]], Iterable[Fact]]] = MappingProxyType(
    {**Event.kinds(), "message": _Event.message, "read": _Event.read}
)


def _comment(channel: str, us: str, item: Item, value: dict[str, Any]) -> Iterable[Fact]:
    author = mapping(value.get("from"), "from")
    name = perhaps(value, "comment_id") or word(value, "id")
    handle, parent = perhaps(author, "username"), perhaps(value, "parent_id")
    media = mapping(value.get("media") or {}, "media")
    ours = word(author, "id") == us
    message = Message(
        channel,
        "comment",
        name,
        Author(word(author, "id"), handle, handle),
        perhaps(value, "text"),
        moment(item.time),
        # One level deep: what an answer answers began the thread.
        parent or name,
        parent or None,
        Visibility.public,
        tags=("ad",) if "ad_id" in media else (),
        raw=item.alone(),
    )
    if not ours:
        return (Inbound(message),)
    # Our own first comment beneath a post answers nobody.
    return (Outbound(attrs.evolve(message, thread=None)),) if parent else ()


def _mention(channel: str, item: Item, value: dict[str, Any]) -> Iterable[Fact]:
    media, comment = word(value, "media_id"), perhaps(value, "comment_id")
    name = f"{media}{_BETWEEN}{comment}" if comment else media
    return (
        Inbound(
            Message(
                channel,
                "mention",
                name,
                # Who it was is not told: somebody of their own, for every mention.
                Author(f"unknown:{name}"),
                "",
                moment(item.time),
                name,
                tags=("mention",),
                raw=item.alone(),
            )
        ),
    )


# -- out


def _private(message: Outgoing) -> dict[str, Any]:
    size = bytes_utf8(message.text)
    if not message.text.strip() or size > _MAX_BYTES:
        raise Unsupported(
            f"the text has {size} bytes; Instagram takes 1 to {_MAX_BYTES} in private: "
            "send it as several parts"
        )
    return {"text": message.text, "metadata": message.mark}


def _node(name: str) -> str:
    if not is_node(name):
        raise Refused(f"{name!r:.60} is no id of a comment or a post")
    return name


@attrs.frozen
class Instagram(Page):
    """Serve one Instagram account.

    A public answer stands beneath the comment that began the thread, `Outgoing.thread`; to a
    mention it stands where we were mentioned. A private answer to a comment is the one message
    that Instagram takes for it; the talk goes on when the customer answers.

    Args:
        page_id: The id of the page that the account is connected to.
        account_id: The account's own id.
        token: A page access token, with `instagram_manage_comments` and
            `instagram_manage_messages`.
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
        >>> keys = {"token": "EAAG", "app_secret": "5ec", "verify_token": "a word"}
        >>> Instagram("77", "17841400000000000", **keys).name
        'instagram'
    """

    account_id: str = attrs.field(validator=numbered)
    name: str = attrs.field(default="instagram", validator=named, kw_only=True)

    about: ClassVar[str] = "instagram"
    setup: ClassVar[Setup] = _SETUP
    scopes: ClassVar[str] = "instagram_manage_comments and instagram_manage_messages"

    @property
    def traits(self) -> Traits:
        """Return what Instagram can do."""
        return _TRAITS

    @property
    def account(self) -> str:
        """Return the account's id: what webhooks are about."""
        return self.account_id

    def facts(self, item: Item) -> Iterable[Fact]:
        """Return what one event of a batch reports.

        Args:
            item: The event.

        Raises:
            PayloadError: If it cannot be read.
        """
        field = field_of(item)
        if field in _SILENT:
            return ()
        if item.place != "changes" or field.startswith("messag"):
            return _Event.of(self.name, self.account_id, item).facts()
        value = mapping(mapping(item.value, "the change").get("value"), f"the value of {field:.60}")
        if field in _COMMENTS:
            return _comment(self.name, self.account_id, item, value)
        if field == "mentions":
            return _mention(self.name, item, value)
        raise PayloadError(f"a change of {field!r:.60}, which is not known here")

    def mentioned(self, message: Message) -> Flow[Message]:
        """Read what a mention says, which its webhook does not.

        Source: https://developers.facebook.com/docs/instagram-api/reference/ig-user/mentioned_comment
        and /mentioned_media

        Args:
            message: A message of the kind `"mention"`.

        Returns:
            It with its words, its time, and the name of who wrote it.

        Raises:
            InvalidValue: If it is none.
            SendError: If Instagram refuses it, for example because it was deleted.
            PayloadError: If the answer cannot be read.
        """
        if message.kind != "mention":
            raise InvalidValue(f"{message.key!r} is no mention")
        media, _, comment = message.id.partition(_BETWEEN)
        edge, words = ("mentioned_comment", "text") if comment else ("mentioned_media", "caption")
        about = f"comment_id({_node(comment)})" if comment else f"media_id({_node(media)})"
        asked = f"{edge}.{about}{{{words},timestamp,username}}"
        found = mapping((yield from self.get(self.account_id, fields=asked)).get(edge), edge)
        name, at = word(found, "username"), from_text(found.get("timestamp"))
        author = Author(message.author.id, name, name)
        return attrs.evolve(message, author=author, text=perhaps(found, words), at=at)

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Post one part of an answer.

        A person's direct message that comes after the 24 hours goes out under the tag
        `HUMAN_AGENT`, which Meta allows to persons alone.

        Args:
            message: What to post.

        Raises:
            Unsupported: If Instagram cannot express it; nothing was asked then.
            SendError: One of its kinds says what became of it.
        """
        check_powers(message, _TRAITS)
        kind, name = message.reply_to or ("", "")
        if message.visibility is Visibility.public:
            return (yield from self._answer(message, kind, name))
        content = _private(message)
        if kind == "mention":
            raise Unsupported("Instagram takes no private answer to a mention; answer in public")
        if kind != "comment":
            return (yield from self._tell(message, content, _WINDOW))
        call = {"recipient": {"comment_id": name}, "message": content}
        return (yield from self.posted(message, f"{self.page_id}/messages", call, "message_id"))

    def _answer(self, message: Outgoing, kind: str, name: str) -> Flow[Receipt]:
        hint = "send it as several parts"
        call = {"message": fits(message.text, _MAX_TEXT, "the text", hint, "Instagram")}
        path = f"{_node(message.thread)}/replies" if kind != "mention" else ""
        if kind == "mention":
            media, _, comment = name.partition(_BETWEEN)
            call |= {"media_id": media, "comment_id": comment} if comment else {"media_id": media}
            path = f"{self.account_id}/mentions"
        return (yield from self.posted(message, path, call, unseen=Refused))

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for an answer of ours: beneath the comment, or in the private thread.

        We must be the author, the time not before the send, the words the same, and the id that
        of no other answer of ours.

        Args:
            message: What was perhaps posted.
        """
        look = self._look
        if message.visibility is Visibility.private:
            page, us = self.page_id, self.account_id
            look = partial(see_in_thread, self, page=page, us=us, platform="instagram")
        return (yield from searched(message, look))

    def _look(self, search: Search) -> Flow[None]:
        message = search.message
        if message.reply_to is not None and message.reply_to[0] == "mention":
            raise Refused("Instagram shows no answers to mentions; look there")
        path = f"{_node(message.thread)}/replies"
        # Whether the newest come first is not documented: all are read.
        fields = "id,text,timestamp,from,user,username"
        search.back = yield from read_back(
            self, search, path, self._seen, {"fields": fields}, whole=True
        )

    def _seen(self, node: Mapping[str, Any]) -> Seen:
        """Read a comment: `user` is shown of our own alone, `username` of everybody's."""
        author = mapping(node.get("from") or {}, "from").get("id")
        user = mapping(node.get("user") or {}, "user").get("id")
        known = author or user
        ours = None if known is None else known == self.account_id
        at = from_text(node.get("timestamp"))
        return Seen(word(node, "id"), at, perhaps(node, "text"), ours)

    def _examine(self, problems: list[str], notes: list[str]) -> Flow[None]:
        field = "instagram_business_account"
        found = (yield from self.get(self.page_id, fields=field)).get(field)
        name = found.get("id") if isinstance(found, dict) else None
        if name != self.account_id:
            problems.append(
                f"page {self.page_id} is connected to the account {name!r:.60}, not to "
                f"{self.account_id}: connect it in the page's settings"
            )
        yield from self._subscribed(problems, "feed")
        notes.append(f"which fields arrive is set in the app: subscribe to {_FIELDS}")
        path = f"{self.page_id}/conversations"
        why = "lost messages cannot be looked for, their echoes alone prove them"
        yield from self._check_read(notes, why, path, platform="instagram")
