"""Who may ask a local Mastodon what, and how often: tokens, scopes and rate windows."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Literal

import attrs

State = Literal["valid", "revoked", "expired"]


@attrs.frozen
class Grant:
    """What a token allows.

    Args:
        name: tells grants apart without telling the token.
        acct: the account that the token acts for.
        scopes: as on https://docs.joinmastodon.org/api/oauth-scopes/.
        state: whether it still does.
    """

    name: str
    acct: str
    scopes: frozenset[str]
    state: State = "valid"

    def allows(self, scope: str) -> bool:
        """Tell whether a scope is granted, by its own name or by its parent's.

        Example:
            >>> Grant("1", "shop", frozenset({"read"})).allows("read:statuses")
            True
        """
        return bool({scope, scope.partition(":")[0]} & self.scopes)


class Tokens:
    """The tokens that were issued; kept as digests, so that nothing can print one."""

    def __init__(self) -> None:
        self._grants: dict[bytes, Grant] = {}

    def issue(self, acct: str, scopes: Iterable[str]) -> str:
        """Return a new token."""
        token = token_urlsafe(32)
        name = str(len(self._grants) + 1)
        self._grants[_digest(token)] = Grant(name, acct, frozenset(scopes))
        return token

    def mark(self, token: str, state: State) -> None:
        """Revoke or expire a token, or make it valid again."""
        self._grants[_digest(token)] = attrs.evolve(self._grants[_digest(token)], state=state)

    def find(self, authorization: str | None) -> Grant | None:
        """Return the grant that an Authorization header names, valid or not."""
        scheme, _, token = (authorization or "").partition(" ")
        return self._grants.get(_digest(token)) if scheme.lower() == "bearer" else None


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


@attrs.frozen
class Standing:
    """How one client stands in the current window.

    Args:
        limit: requests allowed in a window.
        used: requests seen in it, this one included.
        reset: when the next window begins.
    """

    limit: int
    used: int
    reset: datetime

    @property
    def remaining(self) -> int:
        """Return how many requests are left."""
        return max(0, self.limit - self.used)

    @property
    def exceeded(self) -> bool:
        """Tell whether this one was too many."""
        return self.used > self.limit

    def headers(self) -> dict[str, str]:
        """Return the headers; the time is ISO 8601 with microseconds, not a number."""
        reset = self.reset.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": reset,
        }


class Windows:
    """Count by client in fixed windows, as Rack::Attack does.

    Args:
        limit: how many are allowed in a window.
        period: a window's length.
        now: the platform's time.
    """

    def __init__(self, limit: int, period: timedelta, now: Callable[[], datetime]) -> None:
        self.limit = limit
        self.period = period
        self._now = now
        self._used: dict[str, tuple[int, int]] = {}

    def standing(self, client: str, *, more: int = 0) -> Standing:
        """Return how a client stands after using `more` than before."""
        now = self._now()
        seconds = int(self.period.total_seconds())
        window, into = divmod(int(now.timestamp()), seconds)
        then, used = self._used.get(client, (window, 0))
        used = (used if then == window else 0) + more
        self._used[client] = (window, used)
        return Standing(self.limit, used, now.astimezone(UTC) + timedelta(seconds=seconds - into))
