"""What exists beneath the posts of a local page or account: comments one level deep, and who wrote.

This is the ground truth. It knows no HTTP; `facebook.py` and `instagram.py` show it to apps.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from supportflow.testing.platforms.faults import Fault
from supportflow.testing.platforms.messenger_network import number
from supportflow.testing.platforms.messenger_rules import as_object, as_text
from supportflow.testing.platforms.meta_graph import GraphError, invalid
from supportflow.testing.platforms.meta_payloads import Event

# https://developers.facebook.com/docs/messenger-platform/discovery/private-replies and
# https://developers.facebook.com/docs/messenger-platform/instagram/features/private-replies/
PRIVATE_WITHIN = timedelta(days=7)


@attrs.define
class Post:
    """A post, by the account or by somebody else.

    Args:
        id: its id.
        author: the id of whoever posted it.
        text: its words.
        at: when.
        via_api: whether a call made it.
        answered: whether its author got a private answer to it.
        removed: whether it was taken away.
    """

    id: str
    author: str
    text: str
    at: datetime
    via_api: bool = False
    answered: bool = False
    removed: bool = False


@attrs.define
class Comment:
    """A comment, beneath a post or beneath another comment.

    Args:
        id: its id.
        post: the id of the post.
        parent: the id of the comment above it; None beneath the post itself.
        author: the id of whoever wrote it.
        text: its words now.
        at: when it was written.
        photo: the address of its picture, or None.
        via_api: whether a call made it.
        texts: all texts it had, oldest first.
        hidden: whether the account hid it.
        removed: whether it was taken away.
        answered: whether its author got a private answer to it.
        reads: reads that do not show it yet.
        shown_from: before then no read shows it.
    """

    id: str
    post: str
    parent: str | None
    author: str
    text: str
    at: datetime
    photo: str | None = None
    via_api: bool = False
    texts: list[str] = attrs.field(factory=list)
    hidden: bool = False
    removed: bool = False
    answered: bool = False
    reads: int = 0
    shown_from: datetime | None = None


class Wall:
    """The posts of an account, and all comments beneath them.

    Args:
        account: the account's id.
        now: the platform's clock.
        long: whether ids name what they are part of, as Facebook's do.
    """

    def __init__(self, account: str, now: Callable[[], datetime], *, long: bool) -> None:
        self.account, self._now, self._long = account, now, long
        self.posts: dict[str, Post] = {}
        self.comments: dict[str, Comment] = {}

    def post(self, author: str, text: str, *, owner: str = "", via_api: bool = False) -> Post:
        """Make a post.

        Args:
            author: who posts it.
            text: its words.
            owner: on whose page, if not the account's.
            via_api: whether a call makes it.
        """
        own = number("post", self.account, len(self.posts))
        name = f"{owner or self.account}_{own}" if self._long else own
        made = self.posts[name] = Post(name, author, text, self._now(), via_api)
        return made

    def comment(
        self,
        author: str,
        text: str,
        below: str,
        *,
        photo: str | None = None,
        via_api: bool = False,
        fault: Fault | None = None,
    ) -> Comment:
        """Put a comment beneath a post or a comment; one beneath an answer stands beside that.

        Args:
            author: who writes it.
            text: its words.
            below: the post or comment that it answers.
            photo: the address of a picture.
            via_api: whether a call makes it.
            fault: the platform's own fault `lag`, or None.

        Raises:
            KeyError: when there is no such post or comment.
        """
        above = self.comments.get(below)
        post = self.posts[below if above is None else above.post]
        own = number("comment", self.account, len(self.comments))
        name = f"{post.id.rpartition('_')[2]}_{own}" if self._long else own
        root = None if above is None else above.parent or above.id
        made = Comment(name, post.id, root, author, text, self._now(), photo, via_api, [text])
        if fault is not None and fault.kind == "lag":
            made.reads = 0 if fault.lasts else fault.reads
            made.shown_from = None if fault.lasts is None else made.at + fault.lasts
        self.comments[name] = made
        return made

    def find(self, name: str) -> Comment | Post | None:
        """Return what is there under an id, or None."""
        found = self.comments.get(name) or self.posts.get(name)
        return None if found is None or found.removed else found

    def beneath(self, name: str) -> Sequence[Comment]:
        """Return what reads show beneath a post or a comment, oldest first."""
        found = [
            each
            for each in self.comments.values()
            if not each.removed and name == (each.parent or each.post)
        ]
        shown = [each for each in found if not self._lags(each)]
        for each in found:
            each.reads = max(each.reads - 1, 0)
        return shown

    def _lags(self, comment: Comment) -> bool:
        late = comment.shown_from is not None and self._now() < comment.shown_from
        return late or comment.reads > 0

    def may_answer(self, about: Comment | Post) -> bool:
        """Tell whether the account may write to the author of something privately, because of it."""
        fresh = self._now() - about.at <= PRIVATE_WITHIN
        return fresh and not about.answered and about.author != self.account

    def answer_privately(self, about: Comment | Post) -> None:
        """Use up the one private answer to something.

        Raises:
            GraphError: when it was used, or comes too late.
        """
        if about.answered:
            raise GraphError(10900, "(#10900) Activity already replied to")
        if not self.may_answer(about):
            raise GraphError(10903, "(#10903) This user can't reply to this activity")
        about.answered = True


def read_private(given: Mapping[str, object], most: int) -> tuple[str, dict[str, object]]:
    """Read the call of a private answer to a post or a comment.

    Args:
        given: the parameters.
        most: code points of a text.

    Returns:
        The id of what is answered, and the message.

    Raises:
        GraphError: code 100 for whatever is not taken.
    """
    recipient = as_object(given.get("recipient"), "recipient", {"comment_id", "post_id"})
    if len(recipient) != 1:
        raise invalid("Must have exactly one of comment_id or post_id in param recipient")
    if given.get("messaging_type", "RESPONSE") not in {"RESPONSE", "UPDATE"}:
        raise invalid("Param messaging_type must be one of {RESPONSE, UPDATE}")
    message = as_object(given.get("message"), "message", {"text", "metadata"})
    as_text(message.get("text"), "message[text]", most)
    if "metadata" in message:
        as_text(message["metadata"], "message[metadata]", 1000)
    ((name, value),) = recipient.items()
    return as_text(value, f"recipient[{name}]", 128), message


def changed(field: str, about: str, at: datetime, value: Mapping[str, object]) -> Event:
    """Say that something changed, which is no private message.

    Args:
        field: the subscription that it belongs to.
        about: whose doing it is.
        at: when.
        value: what is said of it.
    """
    content = {"field": field, "value": {k: v for k, v in value.items() if v is not None}}
    return Event(field, about, at, content, place="changes")
