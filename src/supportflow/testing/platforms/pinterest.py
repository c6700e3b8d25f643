"""A strict local Pinterest: one business account's boards, and the pins on them.

It answers and refuses as version 5 of the API does: https://developers.pinterest.com/docs/api/v5/ (pins-create,
boards-list_pins, boards-get, user_account-get, oauth-token), with the limits of its OpenAPI document
(description 800, title 100, alt_text 500, link 2,048 characters). Every other path is 404, comments and
messages above all: the API has none. What a customer does there, nobody can ask for; so there are none here.
"""

import base64
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import attrs

from supportflow.testing.platforms.messages import Reply, Request, Route
from supportflow.testing.platforms.server import Platform

__all__ = ["Pin", "PinterestPlatform"]

LENGTHS = {"title": 100, "description": 800, "alt_text": 500, "link": 2_048}
SCOPES = ("boards:read", "boards:write", "pins:read", "pins:write", "user_accounts:read")


@attrs.frozen
class Pin:
    """One pin.

    Args:
        id: its number.
        board: the number of its board.
        fields: what it was made with.
        at: when.
    """

    id: str
    board: str
    fields: Mapping[str, Any]
    at: datetime


class PinterestPlatform(Platform):
    """A local Pinterest with one account and one board.

    Args:
        scopes: what the access token may do.
        daily_limit: requests a day with trial access; None without limit.
        privacy: the board's.
        clock: aware UTC time; None is the machine's own.
        port: the port to listen on; 0 takes a free one.
        control: answer `/_control/…` too.

    Example:
        >>> with PinterestPlatform() as platform:
        ...     platform.posts
        ()
    """

    def __init__(
        self,
        *,
        scopes: Sequence[str] = SCOPES,
        daily_limit: int | None = None,
        privacy: str = "PUBLIC",
        clock: Callable[[], datetime] | None = None,
        port: int = 0,
        control: bool = False,
    ) -> None:
        super().__init__(clock=clock, port=port, control=control)
        self.scopes, self.daily_limit, self.privacy = (*scopes,), daily_limit, privacy
        self.board_id, self.client_id = "549755885175", "1466"
        self.client_secret, self.token = secrets.token_hex(12), secrets.token_urlsafe(20)
        self.refresh_token = secrets.token_urlsafe(20)
        self.token_ends = self.now() + timedelta(days=30)
        self._pins: list[Pin] = []
        self._used = 0

    @property
    def posts(self) -> tuple[Pin, ...]:
        """Return every pin that was made, in order."""
        with self.lock:
            return (*self._pins,)

    def truth(self) -> Mapping[str, object]:
        """Return every pin."""
        return {"posts": [{"id": pin.id, **pin.fields} for pin in self.posts]}

    def credentials(self) -> Mapping[str, str]:
        """Return what a client needs beside the URL."""
        return {
            "board_id": self.board_id,
            "token": self.token,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }

    def routes(self) -> Sequence[Route]:
        """Return the paths answered, with the scopes that each needs."""
        return (
            Route("POST", "/v5/oauth/token", self._renew),
            Route("GET", "/v5/user_account", self._with(("user_accounts:read",), self._account)),
            Route("GET", "/v5/boards/{id}", self._with(("boards:read",), self._board)),
            Route("GET", "/v5/boards/{id}/pins", self._with(SCOPES[:3:2], self._list)),
            Route("POST", "/v5/pins", self._with(SCOPES[:4], self._create)),
        )

    def refuse(self, status: int, request: Request) -> Reply:
        """Word a refusal as Pinterest does."""
        del request
        words = {401: "Authentication failed.", 404: "Not found", 429: "Rate limit exceeded."}
        code = {401: 2, 404: 4, 429: 8}.get(status, status)
        return Reply.json({"code": code, "message": words.get(status, "Unexpected error")}, status)

    def _with(
        self, scopes: Sequence[str], answer: Callable[[Request], Reply]
    ) -> Callable[[Request], Reply]:
        def allowed(request: Request) -> Reply:
            known = request.header("Authorization") == f"Bearer {self.token}"
            if not known or self.now() >= self.token_ends:
                return self.refuse(401, request)
            self._used += 1
            if self.daily_limit is not None and self._used > self.daily_limit:
                limited = self.refuse(429, request)
                rest = (("X-RateLimit-Reset", "3600"),)
                return attrs.evolve(limited, headers=(*limited.headers, *rest))
            if lacking := [scope for scope in scopes if scope not in self.scopes]:
                said = f"Your application consumer type is not supported: {lacking}"
                return Reply.json({"code": 3, "message": said}, 403)
            return answer(request)

        return allowed

    def _account(self, request: Request) -> Reply:
        del request
        return Reply.json({"account_type": "BUSINESS", "username": "shop", "id": "2783136121146"})

    def _board(self, request: Request) -> Reply:
        if request.params["id"] != self.board_id:
            return Reply.json({"code": 40, "message": "Board not found."}, 404)
        return Reply.json({"id": self.board_id, "name": "News", "privacy": self.privacy})

    def _list(self, request: Request) -> Reply:
        """Return the pins of a board, newest first, page by page."""
        size = int(request.first("page_size") or "25")
        start = int(request.first("bookmark") or "0")
        if not 1 <= size <= 250:
            return _invalid("page_size must be from 1 to 250")
        newest = self._pins[::-1]
        page = [_shown(pin) for pin in newest[start : start + size]]
        further = str(start + size) if newest[start + size :] else None
        return Reply.json({"items": page, "bookmark": further})

    def _create(self, request: Request) -> Reply:
        try:
            fields = json.loads(request.body)
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or request.header("Content-Type") != "application/json":
            return _invalid("The request is no JSON object")
        why = self._wrong(fields)
        if why:
            return _invalid(why)
        number = str(813_744_226_420_795_884 + len(self._pins))
        pin = Pin(number, fields["board_id"], fields, self.now())
        self._pins.append(pin)
        return Reply.json(_shown(pin), 201)

    def _wrong(self, fields: dict[str, Any]) -> str:
        """Return why a pin is not taken."""
        known = {*LENGTHS, "board_id", "board_section_id", "media_source", "dominant_color"}
        if unknown := fields.keys() - known:
            return f"{sorted(unknown)} are not among the defined properties"
        for name, most in LENGTHS.items():
            value = fields.get(name)
            if value is not None and (not isinstance(value, str) or len(value) > most):
                return f"'{name}' is no text of at most {most} characters"
        source = fields.get("media_source")
        if fields.get("board_id") != self.board_id:
            return "Board not found."
        if not isinstance(source, dict) or source.get("source_type") != "image_url":
            return "'media_source' is required, and here an image_url"
        picture = urlsplit(str(source.get("url")))
        if picture.scheme not in ("http", "https") or not picture.hostname:
            return "Sorry we could not fetch the image."
        return ""

    def _renew(self, request: Request) -> Reply:
        proof = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.header("Authorization") != f"Basic {proof}":
            return self.refuse(401, request)
        form = dict(request.form())
        if (form.get("grant_type"), form.get("refresh_token")) != (
            "refresh_token",
            self.refresh_token,
        ):
            return Reply.json({"code": 283, "message": "Your refresh token is invalid."}, 400)
        self.token, self.refresh_token = secrets.token_urlsafe(20), secrets.token_urlsafe(20)
        self.token_ends = self.now() + timedelta(days=30)
        told = {"access_token": self.token, "refresh_token": self.refresh_token}
        lives = {"expires_in": 2_592_000, "refresh_token_expires_in": 5_184_000}
        return Reply.json({**told, **lives, "token_type": "bearer", "scope": ",".join(SCOPES)})


def _shown(pin: Pin) -> dict[str, Any]:
    # Without a zone, as the API's own examples write it.
    made = pin.at.replace(tzinfo=None).isoformat(timespec="seconds")
    said = {name: pin.fields.get(name) for name in LENGTHS}
    return {"id": pin.id, "board_id": pin.board, "created_at": made, **said}


def _invalid(why: str) -> Reply:
    return Reply.json({"code": 1, "message": f"Invalid request: {why}"}, 400)
