"""The people, posts and talks of a local Bluesky, and who is told of what.

Who is told follows
https://github.com/bluesky-social/atproto/blob/main/packages/bsky/src/data-plane/server/indexing/plugins/post.ts:
once a person and post, whoever is mentioned first, then whose post is quoted, then whose posts
stand above it, up to five. What is deleted is gone, and so is what was told of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal

import attrs

from supportflow.testing.platforms.bluesky_rules import POST, cid_of, tid_of

HEIGHT = 5
NAMED = re.compile(r"(?<![^\s(])@([A-Za-z0-9.-]*[A-Za-z0-9])")
Reason = Literal["mention", "reply", "quote", "like", "repost", "follow"]


@attrs.define
class Account:
    """Somebody on the network.

    Args:
        did: the id that never changes.
        handle: the name that may.
        name: what is shown.
        takes_messages: whether strangers may write directly.
    """

    did: str
    handle: str
    name: str
    takes_messages: bool = True


@attrs.define(eq=False)
class Post:
    """A record that was accepted.

    Args:
        uri: its address.
        author: the account's DID.
        record: the record as written.
        at: when the network saw it, or what it says itself if that is earlier.
        via: `"app"`, or `"api"` for what the API under test wrote.
    """

    uri: str
    author: str
    record: Mapping[str, Any]
    at: datetime
    via: str
    deleted: bool = False

    @property
    def cid(self) -> str:
        """Return the id of its content."""
        return cid_of(self.record)

    @property
    def rkey(self) -> str:
        """Return the key of its record."""
        return self.uri.rpartition("/")[2]

    @property
    def text(self) -> str:
        """Return its words."""
        return str(self.record["text"])

    @property
    def ref(self) -> dict[str, str]:
        """Return what other records refer to it by."""
        return {"uri": self.uri, "cid": self.cid}


@attrs.frozen
class Notice:
    """What somebody is told: by whom, why, and of which record."""

    to: str
    by: str
    reason: Reason
    uri: str
    at: datetime
    record: Mapping[str, Any] = attrs.field(hash=False)
    subject: str | None = None


@attrs.define(eq=False)
class Said:
    """A direct message."""

    id: str
    talk: str
    sender: str
    text: str
    at: datetime
    reply_to: str | None = None
    via: str = "app"
    deleted: bool = False


@attrs.frozen
class Entry:
    """One entry of the chat's log."""

    rev: str
    kind: str
    said: Said
    reaction: Mapping[str, Any] | None = attrs.field(default=None, hash=False)


class Network:
    """Everything that was said.

    Args:
        now: the platform's time.
        domain: what every handle ends in.
    """

    def __init__(self, now: Callable[[], datetime], domain: str) -> None:
        self.now, self.domain = now, domain
        self.accounts: dict[str, Account] = {}
        self.posts: dict[str, Post] = {}
        self.notices: list[Notice] = []
        self.talks: dict[frozenset[str], str] = {}
        self.log: list[Entry] = []
        self.gated: set[str] = set()
        self._count = 0

    def account(self, name: str) -> Account:
        """Return somebody by their name in the story; they come into being when first named."""
        did = f"did:plc:{(name.lower() + 24 * 'a')[:24].translate(_PLAIN)}"
        if did not in self.accounts:
            self.accounts[did] = Account(did, f"{name.lower()}.{self.domain}", name.title())
        return self.accounts[did]

    def find(self, actor: str) -> Account | None:
        """Return whose DID or handle this is."""
        named = (each for each in self.accounts.values() if each.handle == actor.lower())
        return self.accounts.get(actor) or next(named, None)

    def key(self) -> str:
        """Return a new record key, as an app makes one."""
        self._count += 1
        return tid_of(self.now(), self._count % 1_024)

    def write(self, author: str, rkey: str, record: Mapping[str, Any], via: str) -> Post:
        """Accept a post, and tell of it; one that stands there already is changed."""
        uri = f"at://{author}/{POST}/{rkey}"
        at = min(self.now(), datetime.fromisoformat(record["createdAt"]))
        post = self.posts[uri] = Post(uri, author, dict(record), at, via)
        self.notices = [each for each in self.notices if each.uri != uri]
        self._tell(post)
        return post

    def delete(self, post: Post) -> None:
        """Delete a post, and what was told of it."""
        post.deleted = True
        self.notices = [each for each in self.notices if post.uri not in (each.uri, each.subject)]

    def shown(self, uri: str) -> Post | None:
        """Return a post that is there."""
        post = self.posts.get(uri)
        return None if post is None or post.deleted else post

    def of(self, did: str) -> list[Post]:
        """Return somebody's posts by their keys, the newest first."""
        mine = (each for each in self.posts.values() if each.author == did and not each.deleted)
        return sorted(mine, key=lambda post: post.rkey, reverse=True)

    def told(self, did: str) -> list[Notice]:
        """Return what somebody is told, the newest first."""
        mine = [each for each in self.notices if each.to == did]
        return sorted(mine, key=lambda notice: notice.at, reverse=True)

    def facets(self, text: str) -> list[dict[str, Any]]:
        """Mark the names in a text, as the app does."""
        facets = []
        for found in NAMED.finditer(text):
            account = self.find(found[1])
            if account is not None:
                begins = len(text[: found.start()].encode())
                index = {"byteStart": begins, "byteEnd": begins + len(found[0].encode())}
                feature = {"$type": "app.bsky.richtext.facet#mention", "did": account.did}
                facets.append({"index": index, "features": [feature]})
        return facets

    def _tell(self, post: Post) -> None:
        told = {post.author}
        for to, reason, subject in self._concerned(post):
            if to not in told:
                told.add(to)
                given = (to, post.author, reason, post.uri, post.at, post.record, subject)
                self.notices.append(Notice(*given))

    def _concerned(self, post: Post) -> Iterable[tuple[str, Reason, str | None]]:
        for facet in post.record.get("facets", ()):
            for feature in facet["features"]:
                if "did" in feature:
                    yield feature["did"], "mention", None
        quoted = post.record.get("embed", {}).get("record", {}).get("uri")
        if quoted in self.posts:
            yield self.posts[quoted].author, "quote", quoted
        above = post.record.get("reply", {}).get("parent", {}).get("uri")
        for _ in range(HEIGHT):
            parent = self.posts.get(above)
            if parent is None:
                return
            yield parent.author, "reply", parent.uri
            above = parent.record.get("reply", {}).get("parent", {}).get("uri")

    # Talks.

    def talk(self, one: str, other: str) -> str:
        """Return the talk of two people, which is always the same."""
        people = frozenset((one, other))
        if people not in self.talks:
            self.talks[people] = f"3k{len(self.talks) + 1:011}"
        return self.talks[people]

    def people(self, talk: str) -> frozenset[str] | None:
        """Return who talks."""
        return next((people for people, name in self.talks.items() if name == talk), None)

    def say(
        self, talk: str, sender: str, text: str, reply_to: str | None, via: str = "app"
    ) -> Said:
        """Accept a direct message."""
        said = Said(self.key(), talk, sender, text, self.now(), reply_to, via)
        self.log.append(Entry(self.key(), "logCreateMessage", said))
        return said

    def said(self, talk: str) -> list[Said]:
        """Return what was said in a talk, the newest first."""
        words = [each.said for each in self.log if each.kind == "logCreateMessage"]
        return [each for each in reversed(words) if each.talk == talk]


_PLAIN = {ord(c): "a" for c in "018. _-9"}


@attrs.frozen
class Person:
    """Somebody who uses the network's own app.

    Args:
        account: whose account it is.
        network: where.
        lock: the platform's lock.
        shop: the account that is served by the library.
    """

    account: Account
    network: Network = attrs.field(repr=False)
    lock: AbstractContextManager[object] = attrs.field(repr=False)
    shop: Account = attrs.field(repr=False)

    @property
    def id(self) -> str:
        """Return the account's DID."""
        return self.account.did

    @property
    def posts(self) -> tuple[Post, ...]:
        """Return all that this account posted and did not delete, the oldest first."""
        with self.lock:
            return tuple(sorted(self.network.of(self.id), key=lambda post: post.at))

    def post(
        self,
        text: str,
        *,
        in_reply_to: Post | None = None,
        quote: Post | None = None,
        created_at: datetime | None = None,
        **fields: Any,
    ) -> Post:
        """Post in the app.

        Args:
            text: as written; `@` and a handle mention somebody.
            in_reply_to: the post answered.
            quote: the post quoted.
            created_at: what the person's clock says.
            fields: more of the record, for example `langs` or `embed`.
        """
        with self.lock:
            at = (created_at or self.network.now()).isoformat().replace("+00:00", "Z")
            record: dict[str, Any] = {"$type": POST, "text": text, "createdAt": at, **fields}
            facets = self.network.facets(text)
            if facets:
                record["facets"] = facets
            if in_reply_to is not None:
                root = in_reply_to.record.get("reply", {}).get("root", in_reply_to.ref)
                record["reply"] = {"root": root, "parent": in_reply_to.ref}
            if quote is not None:
                record["embed"] = {"$type": "app.bsky.embed.record", "record": quote.ref}
            return self.network.write(self.id, self.network.key(), record, "app")

    def delete(self, post: Post) -> None:
        """Delete one's own post.

        Raises:
            ValueError: when it is somebody else's.
        """
        if post.author != self.id:
            raise ValueError(f"{post.uri} is not {self.account.handle}'s")
        with self.lock:
            self.network.delete(post)

    def gate(self, post: Post) -> None:
        """Let nobody answer in the thread of one's own post."""
        with self.lock:
            self.network.gated.add(post.uri)

    def like(self, post: Post) -> None:
        """Like a post, which tells its author."""
        self._tell("like", post.author, post.uri, {"subject": post.ref})

    def repost(self, post: Post) -> None:
        """Repost a post, which tells its author."""
        self._tell("repost", post.author, post.uri, {"subject": post.ref})

    def follow(self, did: str) -> None:
        """Follow somebody, who is told."""
        self._tell("follow", did, None, {"subject": did})

    def _tell(self, reason: Reason, to: str, subject: str | None, record: dict[str, Any]) -> None:
        with self.lock:
            now, kind = self.network.now(), f"app.bsky.{'graph' if subject is None else 'feed'}"
            kind = f"{kind}.{reason}"
            record = {"$type": kind, **record, "createdAt": now.isoformat().replace("+00:00", "Z")}
            uri = f"at://{self.id}/{kind}/{self.network.key()}"
            given = (to, self.id, reason, uri, now, record, subject)
            self.network.notices.append(Notice(*given))

    # Direct messages.

    def write(self, text: str, to: Account | None = None, reply_to: Said | None = None) -> Said:
        """Write directly, to the shop unless said otherwise."""
        with self.lock:
            talk = self.network.talk(self.id, (to or self.shop).did)
            return self.network.say(talk, self.id, text, reply_to.id if reply_to else None)

    def react(self, said: Said, emoji: str, *, back: bool = False) -> None:
        """React to a direct message, or take it back."""
        with self.lock:
            at = self.network.now().isoformat().replace("+00:00", "Z")
            reaction = {"value": emoji, "sender": {"did": self.id}, "createdAt": at}
            kind = "logRemoveReaction" if back else "logAddReaction"
            self.network.log.append(Entry(self.network.key(), kind, said, reaction))

    def forget(self, said: Said) -> None:
        """Delete a direct message for oneself; others keep it."""
        with self.lock:
            said.deleted = True
            self.network.log.append(Entry(self.network.key(), "logDeleteMessage", said))
