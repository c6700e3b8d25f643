"""The base of local platforms of Meta's where people comment: a wall, private threads, and what we posted.

Own faults: `lag`, for a call that comments (reads do not show it for `reads` reads, or for `lasts`),
and `missing_page`, for a read of comments, threads or messages (nothing is there).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from supportflow.testing.platforms.faults import Shape
from supportflow.testing.platforms.messenger_network import Message, Network
from supportflow.testing.platforms.messenger_reads import Reads
from supportflow.testing.platforms.meta_comments import Comment, Post, Wall
from supportflow.testing.platforms.meta_graph import invalid
from supportflow.testing.platforms.meta_platform import MetaPlatform, asked, page_of
from supportflow.testing.platforms.server import Reply, Request, Route


class WallPlatform(MetaPlatform):
    """One page or account with a first post of its own.

    Args:
        title: the name that is shown of it.
        **base: see `MetaPlatform` and `Platform`.
    """

    own_faults: ClassVar[Mapping[str, Shape]] = MappingProxyType(
        {
            "lag": Shape(accepts=True, reads=False),
            "missing_page": Shape(accepts=True, writes=False),
        }
    )
    network_name: ClassVar[str] = "messenger"
    does: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, title: str | None = None, **base: Any) -> None:
        super().__init__(**base)
        self.title = title or self.app.page_name
        self.network = Network(self.account)
        self.wall = Wall(self.account, self.now, long=self.kind == "page")
        self.first = self.wall.post(self.account, "Our new lamps are here.")
        self._posted: list[Comment | Post | Message] = []
        seen_as = attrs.evolve(self.app, page_id=self.account, page_name=self.title)
        self._reads = Reads(self.network, seen_as, self.now, 20)

    @property
    def posts(self) -> tuple[Comment | Post | Message, ...]:
        """Return what calls posted, in public and in private, oldest first."""
        with self.lock:
            return tuple(self._posted)

    def truth(self) -> Mapping[str, object]:
        """Return what calls posted, and every post and comment."""
        with self.lock:
            return {
                "posts": [_plain(each) for each in self._posted],
                "wall": [_plain(each) for each in self.wall.posts.values()],
                "comments": [_plain(each) for each in self.wall.comments.values()],
            }

    def customer(self, name: str) -> Any:
        """Return the person of this name, who is made on first sight."""
        raise NotImplementedError(name)

    def writes(
        self, author: str, name: str, text: str, below: Comment | Post | None = None
    ) -> Comment:
        """Put a comment there, past the API, and tell of it."""
        raise NotImplementedError(author, name, text, below)

    def act(self, command: Mapping[str, object]) -> object:
        """Do what a test asks for from another process.

        `{"customer": "ola", "do": "comment", "text": …}`, and the other names of `does`;
        `{"staff": "reply", "to": comment id, "text": …}`; and what `MetaPlatform.act` does.
        """
        match dict(command):
            case {"customer": str(name), "do": str(verb), "text": str(text)} if verb in self.does:
                return _plain(getattr(self.customer(name), verb)(text))
            case {"staff": "reply", "to": str(name), "text": str(text)}:
                below = self.wall.comments[name]
                return _plain(self.writes(self.account, self.title, text, below))
            case _:
                return super().act(command)

    def routes(self) -> Sequence[Route]:
        """Return what is answered of private threads."""
        return (
            *super().routes(),
            Route("GET", "/{version}/{node}/messages", self._read_messages),
            Route("GET", "/{version}/{node}/conversations", self._read_conversations),
        )

    def _read_messages(self, request: Request) -> Reply:
        field, url = asked("messages", request), self._versioned(request)
        return page_of(request, self._reads.messages(request.params["node"], field, url))

    def _read_conversations(self, request: Request) -> Reply:
        self._expect_page(request)
        if (request.first("platform") or "messenger") != self.network_name:
            raise invalid(f"Param platform must be one of {{{self.network_name}}}")
        field, url = asked("conversations", request), self._versioned(request)
        found = self._reads.conversations(request.first("user_id"), field, url)
        return page_of(request, found)


def _plain(made: Any) -> dict[str, object]:
    """Write what was made as JSON for another process."""
    plain = attrs.asdict(made, filter=attrs.filters.exclude("shown_from"))
    return {**plain, "at": made.at.isoformat()}
