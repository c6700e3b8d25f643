"""What is on the local X: accounts, posts with their versions, direct messages, and their weight.

Source of the weight: https://docs.x.com/fundamentals/counting-characters; of versions:
https://docs.x.com/x-api/fundamentals/edit-posts.
"""

import re
import unicodedata
from datetime import UTC, datetime

import attrs

from supportflow.testing.platforms.faults import Fault

LINK = re.compile(
    r"https?://[^\s]+|(?<![@\w.])(?:[a-z0-9-]+\.)+(?:com|org|net|co|io|uk|pl)(?:/\S*)?",
    re.IGNORECASE,
)
NAME = re.compile(r"@(\w{1,15})")
LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))


@attrs.frozen
class User:
    """One account.

    Args:
        id: its number.
        name: its handle.
        takes_messages: whether anybody may write to it.
    """

    id: str
    name: str
    takes_messages: bool = True


@attrs.define(eq=False)
class Post:
    """One post, in all its versions.

    Args:
        ids: the ids of its versions, oldest first.
        author: who wrote it.
        texts: the words of each version, as they were typed.
        times: when each was written.
        parent: what it answers.
        quotes: what it quotes.
        via_api: whether the API posted it.
    """

    ids: list[str]
    author: User
    texts: list[str]
    times: list[datetime]
    parent: "Post | None" = None
    quotes: "Post | None" = None
    via_api: bool = False
    deleted: bool = False
    hidden: Fault | None = attrs.field(default=None, repr=False)

    @property
    def id(self) -> str:
        """Return the id of the version that is shown."""
        return self.ids[-1]

    @property
    def text(self) -> str:
        """Return its words as they were typed last."""
        return self.texts[-1]

    @property
    def at(self) -> datetime:
        """Return when the version that is shown was written."""
        return self.times[-1]

    def names(self) -> tuple[str, ...]:
        """Return whose handles it shows: X puts those that it answers in front."""
        above = () if self.parent is None else (self.parent.author.name, *self.parent.names())
        mine = tuple(each.lower() for each in NAME.findall(self.text))
        return tuple(dict.fromkeys(n for n in (*above, *mine) if n != self.author.name))

    def shown(self) -> str:
        """Return the words as reads show them, before links are shortened."""
        typed = [each.lower() for each in NAME.findall(self.text)]
        front = [n for n in self.names() if n not in typed] if self.parent else []
        return " ".join([*(f"@{n}" for n in front), self.text])


@attrs.frozen
class Direct:
    """One direct message."""

    id: str
    sender: User
    recipient: User
    text: str
    at: datetime
    via_api: bool = False


def weight(text: str) -> int:
    """Weigh a text as the documentation says, roughly: links 23, most scripts 1, others 2."""
    rest = LINK.sub("x" * 23, unicodedata.normalize("NFC", text))
    return sum(1 if any(a <= ord(c) <= b for a, b in LIGHT) else 2 for c in rest)


def stamp(at: datetime) -> str:
    """Write a time as version 2 does."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
