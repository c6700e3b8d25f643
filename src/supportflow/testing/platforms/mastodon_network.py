"""What exists on a local Mastodon: accounts, posts and notifications, and who may see what.

This is the ground truth. It knows no HTTP; `mastodon.py` shows it to clients. Values and rules stand
together, because a judge should be read in one go.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import Literal, TypeVar

import attrs

from supportflow.testing.platforms.mastodon_text import mentions_in

Visibility = Literal["public", "unlisted", "private", "direct"]
VISIBILITIES: tuple[Visibility, ...] = ("public", "unlisted", "private", "direct")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@attrs.frozen
class Account:
    """A profile, here or on another server.

    Args:
        id: opaque.
        acct: `name` here, `name@domain` elsewhere.
        domain: the server it lives on.
        created_at: when it was made.
    """

    id: str
    acct: str
    domain: str
    created_at: datetime

    @property
    def username(self) -> str:
        """Return the name without the domain."""
        return self.acct.split("@")[0]

    @property
    def url(self) -> str:
        """Return the profile's page."""
        return f"https://{self.domain}/@{self.username}"

    @property
    def uri(self) -> str:
        """Return the profile's federated name."""
        return f"https://{self.domain}/users/{self.username}"


@attrs.frozen
class Post:
    """A status that was accepted; the newest known form of it.

    Args:
        order: 1 for the first accepted, without gaps.
        id: opaque.
        author: the author's `acct`.
        text: as written.
        visibility: who may see it.
        warning: the content warning (`spoiler_text`).
        in_reply_to: the id of the post answered, even if that was deleted later.
        mentions: the `acct` of everybody mentioned and known.
        via: the application, or None for the network's own ("Web").
        key: the Idempotency-Key that it came with.
        language: what the author said it is written in.
        at: when it was accepted.
        edited_at: when it was last changed.
        deleted_at: when it was deleted.
        texts: all texts it had, oldest first.
    """

    order: int
    id: str
    author: str
    text: str
    visibility: Visibility
    at: datetime
    warning: str = ""
    in_reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    via: str | None = None
    key: str | None = None
    language: str | None = None
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    texts: tuple[str, ...] = ()


@attrs.frozen
class Notification:
    """Something that an account is told.

    Args:
        id: opaque.
        kind: `mention`, `update`, `favourite`, `follow` …
        to: the `acct` told.
        by: the `acct` that did it.
        post: the id of the post meant, if one is.
        at: when.
    """

    id: str
    kind: str
    to: str
    by: str
    post: str | None
    at: datetime


@attrs.frozen
class Page:
    """Which items of a list are wanted; ids as the client gave them.

    Args:
        limit: how many at most.
        max_id: only lower ids.
        since_id: only higher ids, the newest first.
        min_id: only higher ids, those that follow it immediately.
    """

    limit: int
    max_id: str | None = None
    since_id: str | None = None
    min_id: str | None = None


Item = TypeVar("Item", Post, Notification)


class Network:
    """Everything that was accepted, in order. Not thread-safe: the platform holds its lock.

    Args:
        domain: the server's own domain.
        now: the platform's time.
        ulids: ids are ULIDs, as on some compatible servers, instead of numbers.
        edits_notify: tell everybody mentioned of an edit. Mastodon tells only who boosted the post
            (https://docs.joinmastodon.org/methods/notifications/#get, `update`).
    """

    def __init__(
        self, domain: str, now: Callable[[], datetime], *, ulids: bool, edits_notify: bool
    ) -> None:
        self.domain = domain
        self.accounts: dict[str, Account] = {}
        self.posts: dict[str, Post] = {}
        self.notifications: dict[str, Notification] = {}
        self.boosts: set[tuple[str, str]] = set()
        self._names: dict[str, Account] = {}
        self._ids: dict[str, Account] = {}
        self._written: dict[str, list[str]] = {}
        self._answers: dict[str, list[str]] = {}
        self._now = now
        self._ulids = ulids
        self._edits_notify = edits_notify
        self._last_number = 0
        self._told = 0

    # Ids.

    def rank(self, given: str) -> tuple[int, str]:
        """Return what orders ids: numbers by value, ULIDs by text; text is the number 0."""
        if self._ulids:
            return 0, given
        return (int(given) if given.isascii() and given.isdigit() else 0), ""

    def _new_id(self, *, serial: int | None = None) -> str:
        """Return a higher id than all before: a snowflake, a small serial number or a ULID."""
        milliseconds = int(self._now().timestamp() * 1000)
        if serial is not None and not self._ulids:
            return str(serial)
        shift = 80 if self._ulids else 16
        self._last_number = max(self._last_number + 1, milliseconds << shift)
        return _ulid(self._last_number) if self._ulids else str(self._last_number)

    # Facts.

    def account(self, acct: str) -> Account:
        """Return the account of this name, made now if it is new."""
        if acct not in self.accounts:
            _, _, domain = acct.partition("@")
            new = self._new_id(serial=101 + len(self.accounts))
            made = Account(new, acct, domain or self.domain, self._now())
            self.accounts[acct] = self._names[acct.lower()] = self._ids[new] = made
        return self.accounts[acct]

    def known(self, name: str) -> Account | None:
        """Return the account that a mention means, whatever its case, if there is one."""
        user, _, domain = name.lower().partition("@")
        return self._names.get(user if domain in {"", self.domain} else f"{user}@{domain}")

    def add(
        self,
        author: str,
        text: str,
        visibility: Visibility,
        *,
        in_reply_to: str | None = None,
        warning: str = "",
        via: str | None = None,
        key: str | None = None,
        language: str | None = None,
    ) -> Post:
        """Accept a post and tell whom it mentions."""
        post = Post(
            order=len(self.posts) + 1,
            id=self._new_id(),
            author=author,
            text=text,
            visibility=visibility,
            at=self._now(),
            warning=warning,
            in_reply_to=in_reply_to,
            mentions=self._mentioned(text),
            via=via,
            key=key,
            language=language,
            texts=(text,),
        )
        self.posts[post.id] = post
        self._written.setdefault(author, []).append(post.id)
        self._answers.setdefault(in_reply_to or "", []).append(post.id)
        for acct in post.mentions:
            self.tell("mention", to=acct, by=author, post=post.id)
        return post

    def edit(self, post: Post, text: str, warning: str | None = None) -> Post:
        """Change a post; a mention that is not new is not told again."""
        changed = attrs.evolve(
            post,
            text=text,
            warning=post.warning if warning is None else warning,
            mentions=self._mentioned(text),
            edited_at=self._now(),
            texts=(*post.texts, text),
        )
        self.posts[post.id] = changed
        for acct in changed.mentions:
            if acct not in post.mentions:
                self.tell("mention", to=acct, by=post.author, post=post.id)
        told = {acct for acct, boosted in self.boosts if boosted == post.id}
        if self._edits_notify:
            told.update(acct for acct in changed.mentions if acct in post.mentions)
        for acct in sorted(told):
            self._withdraw("update", acct, post.id)
            self.tell("update", to=acct, by=post.author, post=post.id)
        return changed

    def delete(self, post: Post) -> Post:
        """Delete a post, and with it what was told of it."""
        gone = attrs.evolve(post, deleted_at=self._now())
        self.posts[post.id] = gone
        for told in tuple(self.notifications.values()):
            if told.post == post.id:
                del self.notifications[told.id]
        return gone

    def tell(self, kind: str, *, to: str, by: str, post: str | None = None) -> None:
        """Add a notification; nobody is told of what they did themselves."""
        if to != by:
            self._told += 1
            new = self._new_id(serial=34_975_000 + self._told)
            self.notifications[new] = Notification(new, kind, to, by, post, self._now())

    def _withdraw(self, kind: str, to: str, post: str) -> None:
        for told in tuple(self.notifications.values()):
            if (told.kind, told.to, told.post) == (kind, to, post):
                del self.notifications[told.id]

    def _mentioned(self, text: str) -> tuple[str, ...]:
        found = (self.known(name) for name in mentions_in(text))
        return tuple(dict.fromkeys(account.acct for account in found if account is not None))

    # Reading.

    def by_id(self, account_id: str) -> Account | None:
        """Return the account of this id."""
        return self._ids.get(account_id)

    def by_author(self, acct: str) -> list[Post]:
        """Return all that an account posted, in order, deleted ones too."""
        return [self.posts[post_id] for post_id in self._written.get(acct, ())]

    def answers(self, post: Post) -> list[Post]:
        """Return the posts that answer this one directly, in order, deleted ones too."""
        return [self.posts[post_id] for post_id in self._answers.get(post.id, ())]

    def may_see(self, reader: str | None, post: Post) -> bool:
        """Tell whether an account (None: anybody) may read a post. Nobody here follows anybody."""
        if post.deleted_at is not None:
            return False
        if post.visibility in {"public", "unlisted"}:
            return True
        return reader is not None and (reader == post.author or reader in post.mentions)

    def parent(self, post: Post) -> Post | None:
        """Return the post answered, unless it is deleted: the network forgets the link then."""
        parent = self.posts.get(post.in_reply_to or "")
        return parent if parent is not None and parent.deleted_at is None else None

    def ancestors(self, post: Post) -> tuple[Post, ...]:
        """Return the posts above, the first of the thread first."""
        above: list[Post] = []
        current = self.parent(post)
        while current is not None:
            above.insert(0, current)
            current = self.parent(current)
        return tuple(above)

    def descendants(self, post: Post) -> tuple[Post, ...]:
        """Return the posts below, each followed by its own answers."""
        below: list[Post] = []
        waiting = self.answers(post)[::-1]
        while waiting:
            current = waiting.pop()
            if current.deleted_at is None:
                below.append(current)
                waiting.extend(self.answers(current)[::-1])
        return tuple(below)

    def page(
        self, items: Sequence[Item], page: Page, wanted: Callable[[Item], bool]
    ) -> tuple[Item, ...]:
        """Return one page, newest first, as Mastodon's `to_a_paginated_by_id` does.

        `since_id` gives the newest of all that are newer; `min_id` gives those that follow next
        (https://docs.joinmastodon.org/api/guidelines/#pagination).

        Args:
            items: all of them, by rising id.
            page: which are asked for.
            wanted: whether an item is one of the list.
        """

        def rank(item: Item) -> tuple[int, str]:
            return self.rank(item.id)

        floor = page.min_id or page.since_id
        first = bisect_right(items, self.rank(floor), key=rank) if floor else 0
        end = bisect_left(items, self.rank(page.max_id), key=rank) if page.max_id else len(items)
        between = items[first:end]
        if page.min_id:
            return tuple(islice(filter(wanted, between), page.limit))[::-1]
        return tuple(islice(filter(wanted, reversed(between)), page.limit))


def _ulid(number: int) -> str:
    """Return 26 characters of Crockford's base 32 (https://github.com/ulid/spec)."""
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
