"""What customers and staff do in Mastodon's own app, past the API that is under test."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import attrs

from supportflow.testing.platforms.mastodon_access import State, Tokens
from supportflow.testing.platforms.mastodon_network import VISIBILITIES, Network, Post, Visibility


@attrs.frozen
class Person:
    """Somebody with an account.

    Args:
        acct: `name`, or `name@domain` for somebody of another server.
        network: where the person is met.
        lock: the platform's lock.
    """

    acct: str
    network: Network = attrs.field(repr=False)
    lock: AbstractContextManager[object] = attrs.field(repr=False)

    @property
    def id(self) -> str:
        """Return the account's id."""
        with self.lock:
            return self.network.account(self.acct).id

    @property
    def posts(self) -> tuple[Post, ...]:
        """Return all that this person's account posted, by whatever way, oldest first."""
        with self.lock:
            return tuple(self.network.by_author(self.acct))

    def post(
        self,
        text: str,
        *,
        visibility: Visibility = "public",
        in_reply_to: Post | str | None = None,
        warning: str = "",
        language: str | None = None,
    ) -> Post:
        """Post in the app; the API's limits do not apply (another server may have others).

        Args:
            text: as written; `@shop` mentions the shop.
            visibility: public, unlisted, private or direct.
            in_reply_to: the post answered, or its id.
            warning: the content warning.
            language: what it is said to be written in.

        Raises:
            ValueError: for a visibility that does not exist.
            KeyError: when the post answered does not exist.
        """
        if visibility not in VISIBILITIES:
            raise ValueError(f"visibility is one of {', '.join(VISIBILITIES)}, not {visibility!r}")
        with self.lock:
            parent = None if in_reply_to is None else self._found(in_reply_to).id
            self.network.account(self.acct)
            return self.network.add(
                self.acct,
                text,
                visibility,
                in_reply_to=parent,
                warning=warning,
                language=language,
            )

    def edit(self, post: Post | str, text: str) -> Post:
        """Change one's own post.

        Raises:
            ValueError: when it is somebody else's, or deleted.
            KeyError: when it does not exist.
        """
        with self.lock:
            return self.network.edit(self._own(post), text)

    def delete(self, post: Post | str) -> Post:
        """Delete one's own post.

        Raises:
            ValueError: when it is somebody else's, or deleted.
            KeyError: when it does not exist.
        """
        with self.lock:
            return self.network.delete(self._own(post))

    def favourite(self, post: Post | str) -> None:
        """Mark a post with a star, which tells its author.

        Raises:
            KeyError: when the post does not exist.
        """
        with self.lock:
            found = self._found(post)
            self.network.account(self.acct)
            self.network.tell("favourite", to=found.author, by=self.acct, post=found.id)

    def boost(self, post: Post | str) -> None:
        """Boost a post: its author is told, and this person of later edits.

        Raises:
            KeyError: when the post does not exist.
        """
        with self.lock:
            found = self._found(post)
            self.network.account(self.acct)
            self.network.boosts.add((self.acct, found.id))
            self.network.tell("reblog", to=found.author, by=self.acct, post=found.id)

    def follow(self, acct: str) -> None:
        """Follow an account, which is told of it: a notification without a post."""
        with self.lock:
            self.network.account(self.acct)
            self.network.tell("follow", to=self.network.account(acct).acct, by=self.acct)

    def _found(self, post: Post | str) -> Post:
        return self.network.posts[post if isinstance(post, str) else post.id]

    def _own(self, post: Post | str) -> Post:
        found = self._found(post)
        if found.author != self.acct or found.deleted_at is not None:
            raise ValueError(f"post {found.id} by {found.author} is not {self.acct}'s to change")
        return found


@attrs.frozen
class Staff(Person):
    """The shop's own account: its people in the app, and its tokens.

    Args:
        tokens: the platform's tokens.
        token: the one made for the library: `read` and `write`.
    """

    tokens: Tokens = attrs.field(repr=False)
    token: str = attrs.field(repr=False)

    def post_natively(
        self,
        text: str,
        *,
        visibility: Visibility = "public",
        in_reply_to: Post | str | None = None,
    ) -> Post:
        """Post as one of the staff who uses the network's own app."""
        return self.post(text, visibility=visibility, in_reply_to=in_reply_to)

    def new_token(self, *scopes: str) -> str:
        """Return another token, with these scopes only."""
        with self.lock:
            return self.tokens.issue(self.acct, scopes)

    def mark_token(self, state: State, token: str | None = None) -> None:
        """Make a token (None: the library's) revoked, expired or valid from now on."""
        with self.lock:
            self.tokens.mark(token or self.token, state)


def act(person: Person, command: Mapping[str, Any]) -> object:
    """Do one command of another process: `{"do": "post", "text": …}`.

    Args:
        person: who does it.
        command: `do` and the arguments of the method of that name; posts are named by their ids.

    Returns:
        The post made or changed, as JSON; or None.

    Raises:
        ValueError: for a command that does not exist.
        KeyError: for a post that does not exist.
        TypeError: for arguments that do not fit.
    """
    arguments = {name: value for name, value in command.items() if name not in {"as", "do"}}
    acts: Mapping[str, Callable[..., Post | None]] = MappingProxyType(
        {
            "post": person.post,
            "edit": person.edit,
            "delete": person.delete,
            "favourite": person.favourite,
            "boost": person.boost,
            "follow": person.follow,
        }
    )
    if command.get("do") not in acts:
        raise ValueError(f"no such thing to do: {command.get('do')!r}; known: {', '.join(acts)}")
    post = acts[command["do"]](**arguments)
    return post_as_json(post) if post else None


def post_as_json(post: Post) -> dict[str, object]:
    """Return a post of the ground truth as JSON."""
    times = ("at", "edited_at", "deleted_at")
    return {
        name: value.isoformat() if name in times and value else value
        for name, value in attrs.asdict(post).items()
    }


def posts_as_json(posts: Iterable[Post]) -> list[dict[str, object]]:
    """Return posts of the ground truth as JSON."""
    return [post_as_json(post) for post in posts]
