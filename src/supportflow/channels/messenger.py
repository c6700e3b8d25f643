"""Answer the customers of a page on Messenger, in private, within the window that Meta allows.

In: signed webhooks. A message's own id is its identity, so that a batch may come twice, late and
in any order. Echoes of our own replies carry our mark and are their receipts; other echoes are
somebody's answer in the page's inbox, or another app's. Out: one call of the Send API a part.
A reply that may have been lost is proved by its echo, or looked for in the thread, which shows no
mark: then author, recipient, time and words must agree. Every call carries the proof that it is
ours, so that an app can be set to require it, and a token that was stolen is worth nothing:
https://developers.facebook.com/docs/graph-api/guides/secure-requests.

What Messenger reports and holds no words is passed over: reads (they name no message), deliveries
that name none, opt-ins, referrals, account links, and which app has the thread. Anything else that
is not known here goes into quarantine.

Sources: the pages under
https://developers.facebook.com/documentation/business-messaging/messenger-platform/, above all
webhooks, webhooks/webhook-events, send-messages, conversations, error-codes and policy.
(Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import attrs

from supportflow.channels import Found, Reconcile, Traits
from supportflow.channels.arguments import named
from supportflow.channels.meta import Item, field_of
from supportflow.channels.meta_inbox import Event, fits
from supportflow.channels.meta_page import NEEDS, Page
from supportflow.channels.meta_search import searched, see_in_thread
from supportflow.channels.powers import check_powers
from supportflow.channels.setup import Setup
from supportflow.errors import Unsupported
from supportflow.flow import Flow
from supportflow.model import Card, Fact, Outgoing, Receipt, Visibility

__all__ = ["Messenger"]

#: "must be UTF-8 and less than 2000 characters", elsewhere "2,000 characters", of which kind is
#: not said: https://developers.facebook.com/docs/messenger-platform/reference/send-api
_MAX_TEXT = 2000
#: https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/quick-replies
_MAX_REPLIES, _MAX_TITLE = 13, 20
#: https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/template/generic
_MAX_ELEMENT = 80
_MAX_URL = 2048

_WINDOW = timedelta(hours=24)

_POWERS = ("card", "quick_replies")

_TRAITS = Traits(
    "messenger",
    max_text=_MAX_TEXT,
    reconcile=Reconcile.echo,
    settle=timedelta(seconds=60),
    window=_WINDOW,
    human_window=timedelta(days=7),
    visibilities=("private",),
    powers=_POWERS,
    inbound=("webhook",),
    signature="X-Hub-Signature-256",
    rates={"messages": "300 a second", "reads of threads": "2 a second"},
    unsupported={
        "public replies": "a thread is private; comments belong to the page's own channel",
        "deletions": "no webhook tells that a message was unsent; it stays as it was first seen",
        "read receipts": "they name no message; delivery is the last that is known of one",
        "names": "webhooks give the customer's id alone",
        "automatic responses": "the page's own look like a person's: turn them off in its inbox",
        "several pages": "one channel each; what is about another page goes into quarantine",
    },
)

#: What must be subscribed to, and what is missed otherwise.
_NEEDED: Mapping[str, str] = {
    "messages": "nothing that customers write arrives",
    "messaging_postbacks": "buttons that customers tap stay unseen",
    "message_echoes": "answers given in the page's inbox stay unseen, and lost answers unproved",
    "message_edits": "a customer's edits stay unseen",
}
_USEFUL: Mapping[str, str] = {
    "message_reactions": "reactions stay unseen",
    "message_deliveries": "it stays unknown whether a reply was delivered",
}
_SETUP = Setup(
    "Takes what customers write to a page on Messenger, and answers them there.",
    NEEDS,
    (
        "Create an app in Meta's dashboard, add Messenger to it, and connect the shop's page.",
        "Generate a page access token there, and copy the app secret under Settings, Basic.",
        "Invent a verify token, a long word, and enter it with the webhook's address.",
        f"Subscribe the webhook and the page to {', '.join((*_NEEDED, *_USEFUL))}.",
        "Turn off automatic responses in the page's inbox: they look like a person's answers.",
    ),
    {
        "pages_messaging": "to send and to receive",
        "pages_read_engagement": "to look for lost answers",
        "pages_manage_metadata": "to subscribe the page, and to look for lost answers",
    },
    "the address of your web application for this channel, with the verify token",
    "https://developers.facebook.com/documentation/business-messaging/messenger-platform/getting-started/quick-start",
)
#: Changes of the same page that another channel reads, out of the same webhook.
_COMMENTS = frozenset({"feed", "mention"})

# -- out


def _link(url: str, what: str) -> str:
    if not url.startswith(("https://", "http://")) or len(url) > _MAX_URL:
        raise Unsupported(f"{what} is {url!r:.60}; Messenger takes an http or https URL")
    return url


def _element(card: Card, text: str) -> dict[str, Any]:
    """Show a card with the words of its part beneath its title: there is no other place."""
    subtitle = "\n".join(filter(None, (text, card.subtitle)))
    hint = "give the card a short last part of its own, as in [text, 'EUR 49.90']"
    found: dict[str, Any] = {
        "title": fits(card.title, _MAX_ELEMENT, "the card's title", "shorten it"),
        "subtitle": fits(subtitle, _MAX_ELEMENT, "the text with the card's subtitle", hint),
    }
    if card.image:
        found["image_url"] = _link(card.image, "the card's image")
    button = fits(card.button, _MAX_TITLE, "the card's button", "shorten it")
    url = _link(card.url, "the card's url")
    return {**found, "buttons": [{"type": "web_url", "title": button, "url": url}]}


def _content(message: Outgoing) -> dict[str, Any]:
    """Return the `message` of a call; what Messenger cannot express is refused."""
    if message.visibility is not Visibility.private:
        raise Unsupported("Messenger is private; a public answer belongs beneath a comment")
    check_powers(message, _TRAITS)
    content: dict[str, Any] = {"metadata": message.mark}
    if message.card is None:
        hint = "send it as several parts"
        content["text"] = fits(message.text, _MAX_TEXT, "the text", hint)
    else:
        elements = [_element(message.card, message.text)]
        payload = {"template_type": "generic", "elements": elements}
        content["attachment"] = {"type": "template", "payload": payload}
    if len(message.quick_replies) > _MAX_REPLIES:
        given = len(message.quick_replies)
        raise Unsupported(f"{given} quick replies; Messenger shows at most {_MAX_REPLIES}")
    titles = [fits(t, _MAX_TITLE, "a quick reply", "shorten it") for t in message.quick_replies]
    if titles:
        content["quick_replies"] = [
            {"content_type": "text", "title": title, "payload": title} for title in titles
        ]
    return content


@attrs.frozen
class Messenger(Page):
    """Serve one page on Messenger.

    Args:
        page_id: The page's id.
        token: A page access token, with `pages_messaging`, and to look for lost replies
            `pages_read_engagement` and `pages_manage_metadata`.
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
        >>> Messenger("77", token="EAAG", app_secret="5ec", verify_token="a word").page_id
        '77'
    """

    name: str = attrs.field(default="messenger", validator=named, kw_only=True)

    setup: ClassVar[Setup] = _SETUP

    @property
    def traits(self) -> Traits:
        """Return what Messenger can do."""
        return _TRAITS

    def facts(self, item: Item) -> Iterable[Fact]:
        """Return what one event of a batch reports; comments are the page's own channel's.

        Args:
            item: The event.

        Raises:
            PayloadError: If it cannot be read.
        """
        if field_of(item) in _COMMENTS:
            return ()
        return Event.of(self.name, self.page_id, item).facts()

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Send one part of a reply.

        A person's reply that comes after the 24 hours goes out under the tag `HUMAN_AGENT`,
        which Meta allows to persons alone; one that was queued within them and refused
        because they have ended since, a second time with it.

        With a card, the part's text stands beneath the card's title, before its subtitle:
        Messenger has no place for more, and 80 characters for both.

        Args:
            message: What to send.

        Raises:
            Unsupported: If Messenger cannot express it; nothing was asked then.
            SendError: One of its kinds says what became of it.
        """
        return (yield from self._tell(message, _content(message), _WINDOW))

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for a message of ours in its thread; see `meta_search.see_in_thread`.

        Args:
            message: What was perhaps sent.
        """
        page = self.page_id
        look = partial(see_in_thread, self, page=page, us=page, platform="messenger")
        return (yield from searched(message, look))

    def _examine(self, problems: list[str], notes: list[str]) -> Flow[None]:
        yield from self._check_fields(problems, notes, _NEEDED, _USEFUL)
        why = "lost replies cannot be looked for, their echoes alone prove them"
        yield from self._check_read(
            notes, why, f"{self.page_id}/conversations", platform="messenger"
        )
