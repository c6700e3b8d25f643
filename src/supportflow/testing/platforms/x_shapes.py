"""What the local X looks like from outside: API v2 in either spelling, and webhooks of either kind.

Sources: https://docs.x.com/x-api/activity/event-payloads and
https://docs.x.com/x-api/account-activity/introduction; the spellings are those of versions 2.166 and
2.167 of https://api.x.com/2/openapi.json.
"""

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import attrs

from supportflow.testing.platforms.x_network import LINK, Direct, Post, User, stamp

Spelling = Literal["tweet", "post"]
Hooks = Literal["activity", "account_activity"]


class Shown(Protocol):
    """What must be known of a platform to show what is on it."""

    account: User
    users: dict[str, User]
    spelling: Spelling
    hooks: Hooks

    def now(self) -> datetime:
        """Return the platform's time."""
        ...

    def next_id(self) -> str:
        """Return an id that is greater than all before it."""
        ...


@attrs.frozen
class Shapes:
    """Write what is on a platform as X would.

    Args:
        of: the platform.
    """

    of: Shown = attrs.field(repr=False)

    def told(self, post: Post) -> Mapping[str, Any] | None:
        """Return the event that a post is for the account, if it is one."""
        own, name = post.author == self.of.account, self.of.account.name
        quoted = post.quotes is not None and post.quotes.author == self.of.account
        if not (own or name in post.names() or quoted):
            return None
        if self.of.hooks == "account_activity":
            return self._older("tweet_create_events", self._v1(post))
        kind = "quote" if quoted else "reply" if post.parent else "mention"
        users = [self.user(post.author), self.user(self.of.account)]
        includes = {"users": users, f"{self.of.spelling}s": self.quoted([post])}
        event = "post.create" if own else f"post.{kind}.create"
        return self._newer(event, self.v2(post), includes)

    def gone(self, post: Post) -> Mapping[str, Any]:
        """Return the event of a deletion."""
        if self.of.hooks == "account_activity":
            status = {"id": post.id, "user_id": post.author.id}
            content = {"status": status, "timestamp_ms": self._ms(self.of.now())}
            return self._older("tweet_delete_events", content)
        return self._newer("post.delete", {"id": post.id, "author_id": post.author.id}, {})

    def liked(self, post: Post, user: User) -> Mapping[str, Any] | None:
        """Return the event of a like; the newer webhooks have another, without the post."""
        if self.of.hooks != "account_activity":
            return None
        content = {
            "id": hashlib.sha256(f"{post.id}{user.id}".encode()).hexdigest()[:32],
            "timestamp_ms": int(self._ms(self.of.now())),
            "favorited_status": self._v1(post),
            "user": self._v1_user(user),
        }
        return self._older("favorite_events", content)

    def whispered(self, direct: Direct) -> Mapping[str, Any] | None:
        """Return the event of a direct message, if it is the account's."""
        if self.of.account not in (direct.sender, direct.recipient):
            return None
        data = {
            "text": html.escape(direct.text, quote=False),
            "entities": {"hashtags": [], "symbols": [], "user_mentions": [], "urls": []},
        }
        create = {
            "target": {"recipient_id": direct.recipient.id},
            "sender_id": direct.sender.id,
            "message_data": data,
        }
        event = {
            "type": "message_create",
            "id": direct.id,
            "created_timestamp": self._ms(direct.at),
            "message_create": create,
        }
        ends = (direct.sender, direct.recipient)
        if self.of.hooks == "account_activity":
            users = {each.id: self._v1_user(each) for each in ends}
            return {**self._older("direct_message_events", event), "users": users}
        users = {each.id: {"data": self.user(each)} for each in ends}
        kind = "dm.sent" if direct.sender == self.of.account else "dm.received"
        return self._newer(kind, {"direct_message_events": [event], "users": users}, None)

    def user(self, user: User) -> dict[str, object]:
        """Return an account as version 2 shows it."""
        return {"id": user.id, "name": user.name.title(), "username": user.name}

    def _v1_user(self, user: User) -> dict[str, object]:
        shown = {"name": user.name.title(), "screen_name": user.name}
        return {"id": int(user.id), "id_str": user.id, **shown}

    def links(self, text: str) -> tuple[str, list[dict[str, object]]]:
        """Return a text with links shortened as X does, the rest escaped, and those links."""
        found: list[dict[str, object]] = []

        def shorten(link: re.Match[str]) -> str:
            short = f"https://t.co/{hashlib.sha256(link[0].encode()).hexdigest()[:10]}"
            whole = link[0] if "://" in link[0] else f"http://{link[0]}"
            found.append({"url": short, "expanded_url": whole, "display_url": whole[8:]})
            return short

        return LINK.sub(shorten, html.escape(text, quote=False)), found

    def quoted(self, posts: Sequence[Post]) -> list[dict[str, object]]:
        """Return what posts quote, as it stands beside them."""
        return [{"id": p.quotes.id, "author_id": p.quotes.author.id} for p in posts if p.quotes]

    def v2(self, post: Post) -> dict[str, object]:
        """Return a post as version 2 shows it."""
        text, urls = self.links(post.shown())
        named = [self.of.users[n] for n in post.names() if n in self.of.users]
        mentions = [{"username": u.name, "id": u.id} for u in named]
        referenced = [
            {"type": kind, "id": of.ids[0]}
            for kind, of in (("replied_to", post.parent), ("quoted", post.quotes))
            if of is not None
        ]
        whole: dict[str, object] = {
            "id": post.id,
            "text": text,
            "author_id": post.author.id,
            "created_at": stamp(post.at),
            "lang": "en",
            f"edit_history_{self.of.spelling}_ids": list(post.ids),
            "entities": {"mentions": mentions, "urls": urls},
        }
        if referenced:
            whole[f"referenced_{self.of.spelling}s"] = referenced
        if post.parent:
            whole["in_reply_to_user_id"] = post.parent.author.id
        return whole

    def _v1(self, post: Post) -> dict[str, object]:
        text, urls = self.links(post.shown())
        named = [self.of.users[n] for n in post.names() if n in self.of.users]
        entities = {"user_mentions": [self._v1_user(u) for u in named], "urls": urls}
        long = len(text) > 140
        whole: dict[str, object] = {
            "created_at": post.at.strftime("%a %b %d %H:%M:%S +0000 %Y"),
            "id": int(post.id),
            "id_str": post.id,
            "text": f"{text[:116]}… https://t.co/shortened1" if long else text,
            "truncated": long,
            "user": self._v1_user(post.author),
            "entities": {"user_mentions": [], "urls": []} if long else entities,
            "lang": "en",
            "timestamp_ms": self._ms(post.at),
            "in_reply_to_status_id_str": post.parent and post.parent.ids[0],
            "in_reply_to_user_id_str": post.parent and post.parent.author.id,
            "edit_history": {"initial_tweet_id": post.ids[0], "edit_tweet_ids": list(post.ids)},
        }
        if long:
            whole["extended_tweet"] = {"full_text": text, "entities": entities}
        if post.quotes:
            whole["quoted_status"] = self._v1(post.quotes)
        return whole

    def _older(self, name: str, item: Mapping[str, Any]) -> dict[str, Any]:
        return {"for_user_id": self.of.account.id, name: [item]}

    def _newer(
        self, kind: str, payload: Mapping[str, Any], includes: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        data: dict[str, Any] = {
            "event_uuid": self.of.next_id(),
            "filter": {"user_id": self.of.account.id},
            "event_type": kind,
            "payload": payload,
        }
        return {"data": data if includes is None else {**data, "includes": includes}}

    @staticmethod
    def _ms(at: datetime) -> str:
        return str(int(at.timestamp() * 1000))
