"""Publish announcements on a Pinterest board; that is all that its API offers to customer support.

Version 5 of the API has no comments, no messages and no webhooks of them (169 paths, none of them):
nothing can come in, and nobody can be answered. An announcement is a pin: a picture by its https
address, with the text as its description; a card gives it a title and a link. There is no
idempotency key: a pin that may have been lost is looked for on its board.

Sources: https://developers.pinterest.com/docs/api/v5/pins-create and /boards-list_pins,
https://developers.pinterest.com/docs/reference/rate-limits/ and /docs/key-concepts/access-tiers/.
(Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import attrs

from supportflow.channels import (
    Found,
    Health,
    NeedsAuth,
    Reconcile,
    Refused,
    SendError,
    Traits,
)
from supportflow.channels.arguments import named
from supportflow.channels.oauth import address, refreshed
from supportflow.channels.powers import check_powers
from supportflow.channels.rest import ask, items
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError, Unsupported
from supportflow.flow import Flow
from supportflow.http import Request
from supportflow.model import ChannelState, Outgoing, Receipt, Secret
from supportflow.text import storable
from supportflow.text.fields import compact, mapping, perhaps, word
from supportflow.text.moments import from_text

__all__ = ["Pinterest"]

T = TypeVar("T")

#: The most pins that one request gives, and how many requests a search makes.
_PAGE, _LOOKS = 250, 20
_TITLE, _LINK = 100, 2_048
#: How far the platform's clock may be behind ours.
_SKEW = timedelta(seconds=5)
_BOARD = re.compile(r"[0-9]{1,30}")
_NOTHING = "Pinterest's API has no comments and no messages: answer in Pinterest's own app"

_TRIAL = (
    "pins made with trial access are visible to their creator alone; Pinterest does not tell here "
    "which access the app has"
)
_POWERS = ("announcement", "attachments", "card")
_UTC = re.compile(r"[0-9-]{10}T[0-9:.]+")

_TRAITS = Traits(
    "pinterest",
    max_text=800,
    reconcile=Reconcile.read,
    counting="utf16",  # Pinterest does not say what it counts: these are never too few
    settle=timedelta(seconds=120),
    powers=_POWERS,
    inbound=(),
    rates={
        "requests": "1,000 a day and app with trial access; 100 a second and user with standard access"
    },
    unsupported={
        "comments": _NOTHING,
        "replies": _NOTHING,
        "private messages": _NOTHING,
        "mentions": "Pinterest tells of none: put the shop's address where people write to you into "
        "the profile and into pins",
        "videos": "they must be uploaded in several steps: publish them in Pinterest's own app",
    },
)

_SETUP = Setup(
    "Announcements as pins on a board; Pinterest lets nobody read or answer comments.",
    needs=(
        Need("board_id", "the board's number, as GET /v5/boards tells it"),
        Need("token", "an access token with these permissions", secret=True),
        Need("client_id", "the app's id, to renew the token", required=False),
        Need("client_secret", "the app's secret key", secret=True, required=False),
        Need("refresh_token", "the refresh token that came with it", secret=True, required=False),
    ),
    steps=(
        "Make a business account, and an app at https://developers.pinterest.com/apps/.",
        (
            "Ask for standard access: pins made with trial access are visible to their creator alone."
        ),
        (
            "Authorize the app as the shop's account with the scopes; keep the access token (30 days) "
            "and the refresh token (60 days, and new with each renewal)."
        ),
    ),
    scopes={
        "boards:read": "find the board, and look for a pin that may have been lost",
        "boards:write": "put a pin on it",
        "pins:read": "look for a pin that may have been lost",
        "pins:write": "make a pin",
        "user_accounts:read": "check whose token it is",
    },
    guide="https://developers.pinterest.com/docs/getting-started/set-up-app/",
)


def _board(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _BOARD.fullmatch(value):
        raise InvalidValue(f"board_id is {value!r:.60}; give the board's number as text")


def _link(url: str, what: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or len(url) > _LINK:
        raise Unsupported(f"{what} is {url!r:.100}; give an https address of {_LINK} characters")
    return url


def _picture(message: Outgoing) -> str:
    """Return the address of the one picture that a pin is of."""
    images = [each.url for each in message.attachments if each.kind == "image"]
    if message.card is not None and message.card.image:
        images.append(message.card.image)
    if len(images) != 1 or len(message.attachments) > 1:
        raise Unsupported(
            f"a pin is one picture, and {len(images)} were given: attach one, as in "
            'Attachment("image", "https://…")'
        )
    return _link(images[0], "the picture")


def _pin(message: Outgoing, board: str) -> dict[str, Any]:
    """Return the pin that a message makes.

    Source: https://developers.pinterest.com/docs/api/v5/pins-create
    """
    made: dict[str, Any] = {"board_id": board, "description": message.text}
    if message.card is not None:
        if len(message.card.title) > _TITLE:
            raise Unsupported(f"a pin's title has at most {_TITLE} characters")
        made |= {"title": message.card.title, "link": _link(message.card.url, "the card's link")}
    if message.attachments and message.attachments[0].name:
        made["alt_text"] = message.attachments[0].name[:500]
    source = {"source_type": "image_url", "url": _picture(message)}
    return {**made, "media_source": source}


def _receipt(item: Any) -> Receipt:
    pin = mapping(item, "the pin")
    name = word(pin, "id")
    made = perhaps(pin, "created_at")
    at = from_text(f"{made}Z" if _UTC.fullmatch(made) else made)  # without a zone it is UTC
    return Receipt(name, at, f"https://www.pinterest.com/pin/{name}/")


def _canonical(text: str) -> str:
    return " ".join(storable(text).split())


@attrs.frozen
class Pinterest:
    """Publish announcements as pins on one board.

    Everything else is `Unsupported`: the API has no comments and no messages, in either direction.

    Args:
        board_id: The board's number.
        token: An access token.
        client_id: The app's id, to renew the token.
        client_secret: The app's secret key, to renew the token.
        refresh_token: To renew the token.
        name: The channel's name; another board needs another one.
        base_url: The API; another only in tests.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> sorted(Pinterest("549755885175", token="from OAuth").traits.powers)
        ['announcement', 'attachments', 'card']
    """

    setup: ClassVar[Setup] = _SETUP

    board_id: str = attrs.field(validator=_board)
    token: Secret = attrs.field(converter=Secret, kw_only=True)
    client_id: str = attrs.field(default="", kw_only=True)
    client_secret: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(Secret), kw_only=True
    )
    refresh_token: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(Secret), kw_only=True
    )
    name: str = attrs.field(default="pinterest", validator=named, kw_only=True)
    base_url: str = attrs.field(
        default="https://api.pinterest.com", converter=address, kw_only=True
    )

    @property
    def traits(self) -> Traits:
        """Return what Pinterest can do."""
        return _TRAITS

    def using(self, state: ChannelState) -> Self:
        """Return this channel with renewed tokens (`"token"`, `"refresh_token"`)."""
        token = state.credentials.get("token", self.token)
        refresh = state.credentials.get("refresh_token", self.refresh_token)
        return attrs.evolve(self, token=token, refresh_token=refresh)

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Make a pin of an announcement.

        Args:
            message: What to publish: one picture, and at most 800 characters.

        Raises:
            SendError: One of its kinds says what became of it.
            Unsupported: If it is no announcement, or no pin; nothing was asked then.
        """
        if message.reply_to is not None:
            raise Unsupported(_NOTHING)
        check_powers(message, _TRAITS)
        body = compact(_pin(message, self.board_id)).encode("utf-8", "replace")
        return (yield from self._ask(self._request("POST", "pins", body), _receipt))

    def find_sent(self, message: Outgoing) -> Flow[Found]:
        """Look for a pin on the board.

        Args:
            message: What may have been published.
        """
        try:
            return Found((yield from self._look(message)))
        except (SendError, TransportError, PayloadError) as error:
            return Found(looked=False, why=str(error))

    def _look(self, message: Outgoing) -> Flow[Receipt | None]:
        begun = (message.first_sent_at or message.queued_at) - _SKEW
        wanted, bookmark = _canonical(message.text), ""
        for _ in range(_LOOKS):
            query = {"page_size": str(_PAGE), **({"bookmark": bookmark} if bookmark else {})}
            request = self._request("GET", f"boards/{self.board_id}/pins?{urlencode(query)}")
            answer = yield from self._ask(request, lambda found: mapping(found, "the answer"))
            for item in items(answer, "items"):
                pin, receipt = mapping(item, "the pin"), _receipt(item)
                same = _canonical(perhaps(pin, "description")) == wanted
                if same and receipt.at >= begun and receipt.id not in message.known:
                    return receipt
            bookmark = perhaps(answer, "bookmark")
            if not bookmark:
                return None
        raise PayloadError(f"more than {_LOOKS * _PAGE} pins on the board")

    def check(self) -> Flow[Health]:
        """Ask whose the token is, and whether the board is there.

        Raises:
            TransportError: If there is no usable answer.
            RateLimited: If the account must pause.
        """
        hint = f"authorize the app again with the scopes {', '.join(_SETUP.scopes)}"
        try:
            user = yield from self._ask(
                self._request("GET", "user_account"), lambda found: word(found, "username")
            )
            board = yield from self._ask(
                self._request("GET", f"boards/{self.board_id}"),
                lambda found: mapping(found, "the board"),
            )
        except NeedsAuth as error:
            return Health(False, (f"{error}; {hint}",))
        except (Refused, PayloadError) as error:
            return Health(False, (f"the board {self.board_id} cannot be read: {error}",))
        notes = [
            f"pins go to {perhaps(board, 'name')!r} of {user}",
            _TRIAL,
            _NOTHING,
        ]
        if perhaps(board, "privacy") not in ("", "PUBLIC"):
            problem = (
                f"the board is {perhaps(board, 'privacy')}: nobody sees its pins; choose another"
            )
            return Health(False, (problem,), tuple(notes))
        return Health(True, notes=tuple(notes))

    def renew(self) -> Flow[ChannelState]:
        """Return the state with new tokens: Pinterest gives a new refresh token each time.

        Raises:
            NeedsAuth: If there is nothing to renew them with, or it is no longer accepted.
            TransportError: If there is no usable answer.
        """
        if self.refresh_token is None or self.client_secret is None or not self.client_id:
            raise NeedsAuth("give client_id, client_secret and refresh_token, or a new token")
        url = f"{self.base_url}/v5/oauth/token"
        secrets = self.client_secret, self.refresh_token, self.token
        tokens = yield from refreshed(url, self.client_id, *secrets, basic=True)
        kept = {"token": tokens.access, "refresh_token": tokens.refresh or self.refresh_token}
        return ChannelState(self.name, credentials=kept)

    # -- requests

    def _request(self, method: str, path: str, body: bytes = b"") -> Request:
        headers = {"Authorization": f"Bearer {self.token.reveal()}", "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        return Request(method, f"{self.base_url}/v5/{path}", headers, body, posts=bool(body))

    def _ask(self, request: Request, read: Callable[[Any], T]) -> Flow[T]:
        secrets = filter(None, (self.token, self.client_secret, self.refresh_token))
        return (yield from ask(request, read, *secrets))
