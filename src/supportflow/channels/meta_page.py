"""Be a page on Meta's Graph API, or what is reached through one: its private messages, its health.

The channels of a Facebook Page, of Messenger and of Instagram are such; this is none.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import attrs

from supportflow.channels import Health, NeedsAuth, SendError
from supportflow.channels.meta import OutsideWindow
from supportflow.channels.meta_account import Account, nodes_of, numbered
from supportflow.channels.setup import Need
from supportflow.errors import PayloadError, TransportError
from supportflow.flow import Flow
from supportflow.model import AgentKind, Outgoing, Receipt
from supportflow.text.fields import perhaps, word

__all__ = ["NEEDS", "Page"]

#: What every page is built with.
NEEDS = (
    Need("page_id", "the page's id, at the foot of the page's About"),
    Need("token", "a page access token of your app", secret=True),
    Need("app_secret", "the app's secret, under Settings, Basic", secret=True),
    Need("verify_token", "a long word that you invent for the webhook", secret=True),
    Need("app_id", "the app's id, at the top of its dashboard; for the check", required=False),
)


@attrs.frozen
class Page(Account):
    """Be an account that is a page, or is reached through one.

    Args:
        page_id: The page's id.
    """

    page_id: str = attrs.field(validator=numbered)

    #: What the token must be allowed, for the hint where it is not.
    scopes: ClassVar[str] = "pages_messaging"

    @property
    def account(self) -> str:
        """Return the page's id: what webhooks are about."""
        return self.page_id

    def _tell(
        self, message: Outgoing, content: Mapping[str, Any], window: timedelta
    ) -> Flow[Receipt]:
        """Send a private message; a person's also after the window, with the tag for persons."""
        person, last = message.by is AgentKind.person, message.last_inbound_at
        late = last is not None and message.queued_at - last >= window
        try:
            return (yield from self._attempt(message, content, tagged=person and late))
        except OutsideWindow:
            if late or not person:
                raise
        return (yield from self._attempt(message, content, tagged=True))

    def _attempt(
        self, message: Outgoing, content: Mapping[str, Any], *, tagged: bool
    ) -> Flow[Receipt]:
        kind = {"messaging_type": "RESPONSE"}
        if tagged:
            kind = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
        call = {"recipient": {"id": message.to.id}, **kind, "message": content}
        return (yield from self.posted(message, f"{self.page_id}/messages", call, "message_id"))

    def check(self) -> Flow[Health]:
        """Ask whether the token, the app's secret and the subscriptions are as they must be."""
        problems: list[str] = []
        notes: list[str] = []
        try:
            yield from self._check_page(problems)
            yield from self._examine(problems, notes)
        except NeedsAuth as error:
            hint = f"make a page access token with {self.scopes} and pass it as token"
            if "appsecret_proof" in str(error):
                hint = "app_secret is not that of the token's app: copy it, the current one first"
            problems.append(f"{error}; {hint}")
        except (SendError, PayloadError, TransportError) as error:
            problems.append(f"the Graph API gave no usable answer: {error}")
        return Health(not problems, tuple(problems), tuple(notes))

    @abstractmethod
    def _examine(self, problems: list[str], notes: list[str]) -> Flow[None]:
        """Ask what this channel needs besides its token."""

    def _check_page(self, problems: list[str]) -> Flow[None]:
        """Prove the token to be the page's; the proof in every call is checked before that."""
        me = yield from self.get("me", fields="id,name")
        name = word(me, "id")
        if name != self.page_id:
            problems.append(
                f"the token is that of {perhaps(me, 'name')!r:.60} ({name:.60}), not of page "
                f"{self.page_id}: make a page access token for it"
            )

    def _subscribed(self, problems: list[str], wanted: str) -> Flow[list[str] | None]:
        """Return the fields that the app is subscribed to; none at all is a problem, and None."""
        apps = nodes_of((yield from self.get(f"{self.page_id}/subscribed_apps")))
        ours = [app for app in apps if self.app_id in (None, app.get("id"))]
        if not ours:
            problems.append(
                f"the app {self.app_id or ''} is not subscribed to the page: POST "
                f"/{self.page_id}/subscribed_apps with subscribed_fields={wanted}"
            )
            return None
        lists = [app.get("subscribed_fields") for app in ours]
        return [str(field) for each in lists if isinstance(each, list) for field in each]

    def _check_fields(
        self,
        problems: list[str],
        notes: list[str],
        needed: Mapping[str, str],
        useful: Mapping[str, str],
    ) -> Flow[None]:
        """Say which fields are missing, and what is missed without them."""
        fields = yield from self._subscribed(problems, ",".join(needed))
        for wanted, said in ((needed, problems), (useful, notes)):
            said += [
                f"the app is not subscribed to {name}: {why}"
                for name, why in wanted.items()
                if fields is not None and name not in fields
            ]

    def _check_read(self, notes: list[str], why: str, path: str, **query: str) -> Flow[None]:
        """Try a read that only looking for lost replies needs."""
        try:
            yield from self.get(path, limit="1", fields="id", **query)
        except SendError as error:
            notes.append(f"{why}: {error}")
