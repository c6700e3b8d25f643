"""Look for a message of ours among those that Meta shows, newest first (RELIABILITY 2.5, rule 2)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from supportflow.channels import Found, SendError
from supportflow.channels.meta_account import Account, cursor_of, is_node, nodes_of
from supportflow.errors import PayloadError
from supportflow.flow import Flow
from supportflow.model import Outgoing, Receipt
from supportflow.text.fields import mapping, mappings, perhaps, word
from supportflow.text.moments import from_text

__all__ = ["Search", "Seen", "read_back", "searched", "see_in_thread"]

#: How far Meta's clock may be behind ours.
_SKEW = timedelta(seconds=5)
#: How many messages a page holds, and how many pages a search for ours reads. Ours.
_PAGE, _PAGES = 25, 20
_FIELDS = "id,message,created_time,from,to"


@attrs.frozen
class Seen:
    """Hold what a read shows of one message.

    Args:
        id: Its id.
        at: When it was made.
        text: Its words; empty where the read shows none.
        ours: Whether we wrote it, to whom this message is for; None where the read does not say.
    """

    id: str
    at: datetime
    text: str
    ours: bool | None


def _canonical(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


@attrs.define
class Search:
    """Hold what was found so far.

    Args:
        message: What is looked for.
        since: Whatever is older is not it.
        found: Its receipt.
        hidden: Why something that was seen might be it, and might not.
        back: Whether all was read back to the send.
    """

    message: Outgoing
    since: datetime
    found: Receipt | None = None
    hidden: str = ""
    back: bool = False

    def see(self, several: Iterable[Seen]) -> None:
        """Take note of messages; keep the oldest that fits, the nearest to the send."""
        for each in several:
            # All was read if we came back to before the send, or to the message that it answers.
            answered = self.message.reply_to is not None and self.message.reply_to[1] == each.id
            self.back = self.back or each.at < self.since or answered
            if each.at < self.since or each.id in self.message.known or each.ours is False:
                continue
            if self.message.card is not None:
                # No read shows what a template says.
                if not each.text:
                    self.hidden = "a card shows no words in the thread; its echo decides"
            elif _canonical(each.text) == _canonical(self.message.text):
                if each.ours:
                    self.found = Receipt(each.id, each.at)
                else:
                    self.hidden = "somebody wrote these words, and the read does not say who"

    def result(self) -> Found:
        """Say what all of it proves."""
        if self.found is not None:
            return Found(self.found)
        if not self.back:
            return Found(looked=False, why="the thread could not be read back to the send")
        return Found(looked=not self.hidden, why=self.hidden)


def searched(message: Outgoing, look: Callable[[Search], Flow[None]]) -> Flow[Found]:
    """Return what a look gives; where it fails, what was found is found all the same.

    Args:
        message: What was perhaps sent.
        look: Reads, and shows the search what it reads.
    """
    search = Search(message, (message.first_sent_at or message.queued_at) - _SKEW)
    try:
        yield from look(search)
    except (SendError, PayloadError) as error:
        return Found(search.found, search.found is not None, str(error))
    return search.result()


def read_back(
    account: Account,
    search: Search,
    path: str,
    seen: Callable[[Mapping[str, Any]], Seen],
    asked: Mapping[str, str],
    first: Mapping[str, Any] | None = None,
    *,
    whole: bool = False,
) -> Flow[bool]:
    """Read an edge page by page, as far as is needed and allowed.

    Args:
        account: Whose calls these are.
        search: What is looked for.
        path: The object and its edge.
        seen: Reads a node.
        asked: What is asked of the edge.
        first: The edge's first page, where it was read already.
        whole: Whether it is read to its end whatever is seen: nothing says which come first.

    Returns:
        Whether it was read to its end.
    """
    query = {**asked, "limit": str(_PAGE)}
    edge = (yield from account.get(path, **query)) if first is None else first
    search.see(map(seen, nodes_of(edge)))
    for _ in range(_PAGES - 1):
        after = cursor_of(edge)
        if after is None or (search.back and not whole):
            return after is None
        edge = yield from account.get(path, **query, after=after)
        search.see(map(seen, nodes_of(edge)))
    return False


# -- private threads


def see_in_thread(
    account: Account, search: Search, page: str, us: str, platform: str
) -> Flow[None]:
    """Read our private thread with whom the message is for.

    Reads show no metadata, so that a match needs us as the author, the customer as the
    recipient, a time not before the send, the same words, and an id that no other reply of ours
    has. Absent means something only if the thread was read back to the send: where it ends
    proves nothing, because only its newest messages can be read.

    Args:
        account: Whose calls these are.
        search: What is looked for.
        page: The page whose threads are read.
        us: Our id in them.
        platform: `"messenger"` or `"instagram"`.
    """

    def seen(node: Mapping[str, Any]) -> Seen:
        author = word(mapping(node.get("from"), "from"), "id")
        to = mappings(mapping(node.get("to"), "to"), "data")
        ours = author == us and [word(each, "id") for each in to] == [search.message.to.id]
        at = from_text(node.get("created_time"))
        return Seen(word(node, "id"), at, perhaps(node, "message"), ours)

    threads = yield from account.get(
        f"{page}/conversations",
        platform=platform,
        user_id=search.message.to.id,
        fields=f"id,messages.limit({_PAGE}){{{_FIELDS}}}",
    )
    for thread in nodes_of(threads)[:1]:
        name = word(thread, "id")
        if not is_node(name):
            raise PayloadError(f"the thread's id is {name!r:.60}")
        edge = mapping(thread.get("messages"), "messages")
        asked = {"fields": _FIELDS}
        yield from read_back(account, search, f"{name}/messages", seen, asked, edge)
