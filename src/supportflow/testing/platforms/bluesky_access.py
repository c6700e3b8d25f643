"""Who may ask a local Bluesky what, and how often: passwords, sessions and rate windows.

Sessions are as the real server's: an access token for two hours, a refresh token for ninety days
that is used once (and good for two more hours after that):
https://github.com/bluesky-social/atproto/blob/main/packages/pds/src/account-manager/account-manager.ts.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from secrets import token_bytes, token_hex
from typing import Any

import attrs

ACCESS, REFRESH, GRACE = timedelta(hours=2), timedelta(days=90), timedelta(hours=2)
REFRESHES = "com.atproto.refresh"
WHOLE, LIMITED, PRIVILEGED = (
    f"com.atproto.{name}" for name in ("access", "appPass", "appPassPrivileged")
)


class Refusal(Exception):
    """Refuse a request in the words of XRPC.

    Args:
        error: the name of the error.
        message: the words.
        status: the HTTP status.
    """

    def __init__(self, error: str, message: str = "", status: int = 400) -> None:
        self.error, self.message, self.status = error, message, status
        super().__init__(f"{status} {error}: {message}")


@attrs.frozen
class Grant:
    """What a token allows, and to whom."""

    did: str
    scope: str
    id: str
    until: datetime


class Sessions:
    """The passwords of accounts, and the sessions made with them.

    Args:
        now: the platform's time.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now, self._key = now, token_bytes(32)
        self._passwords: dict[tuple[str, bytes], str] = {}
        self._used: dict[str, datetime] = {}
        self._revoked: set[str] = set()

    def password(self, did: str, scope: str) -> str:
        """Return a new password of an account."""
        letters = base64.b32encode(token_bytes(10)).decode().lower()
        password = "-".join(letters[at : at + 4] for at in range(0, 16, 4))
        self._passwords[did, _digest(password)] = scope
        return password

    def log_in(self, did: str, password: str) -> dict[str, str]:
        """Return the tokens of a new session.

        Raises:
            Refusal: when the password is wrong.
        """
        scope = self._passwords.get((did, _digest(password)))
        if scope is None:
            raise Refusal("AuthenticationRequired", "Invalid identifier or password", 401)
        return self._tokens(did, scope)

    def refresh(self, authorization: str | None) -> tuple[str, dict[str, str]]:
        """Return whose session it is, and its new tokens.

        Raises:
            Refusal: when the token is no good any more.
        """
        grant = self.find(authorization, refreshes=True)
        if self._now() > self._used.setdefault(grant.id, self._now()) + GRACE:
            raise Refusal("ExpiredToken", "Token has been revoked")
        return grant.did, self._tokens(grant.did, grant.scope.partition(" ")[2])

    def find(self, authorization: str | None, *, refreshes: bool = False) -> Grant:
        """Return what a token allows.

        Raises:
            Refusal: when there is none, or it is no good; that is 400, but for a missing one.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal("AuthMissing", "Authentication Required", 401)
        claims = self._claims(token)
        grant = Grant(
            claims["sub"], claims["scope"], claims["jti"], _time(claims["exp"], self._now())
        )
        if grant.until <= self._now():
            raise Refusal("ExpiredToken", "Token has expired")
        if grant.scope.startswith(REFRESHES) is not refreshes:
            raise Refusal("InvalidToken", "Invalid token type")
        if grant.id in self._revoked:
            raise Refusal("ExpiredToken", "Token has been revoked")
        return grant

    def revoke(self, token: str) -> None:
        """End a token at once."""
        self._revoked.add(self._claims(token)["jti"])

    def _tokens(self, did: str, scope: str) -> dict[str, str]:
        return {
            "accessJwt": self._token(did, scope, ACCESS),
            "refreshJwt": self._token(did, f"{REFRESHES} {scope}", REFRESH),
        }

    def _token(self, did: str, scope: str, lasts: timedelta) -> str:
        now = int(self._now().timestamp())
        claims = {"scope": scope, "sub": did, "aud": "did:web:pds.example", "jti": token_hex(8)}
        times = {"iat": now, "exp": now + int(lasts.total_seconds())}
        body = f"{_packed({'typ': 'at+jwt', 'alg': 'HS256'})}.{_packed({**claims, **times})}"
        return f"{body}.{self._signature(body)}"

    def _claims(self, token: str) -> dict[str, Any]:
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode()):
            raise Refusal("InvalidToken", "Token could not be verified")
        part = body.partition(".")[2]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return claims

    def _signature(self, body: str) -> str:
        digest = hmac.new(self._key, body.encode("utf-8", "replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _packed(part: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _time(seconds: int, like: datetime) -> datetime:
    return datetime.fromtimestamp(seconds, like.tzinfo)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).digest()


@attrs.define
class Budget:
    """Points that are there for a window of time, as the real server's limits are.

    Args:
        limit: points in a window.
        period: how long a window is.
        now: the platform's time.
    """

    limit: int
    period: timedelta
    now: Callable[[], datetime]
    used: dict[str, tuple[datetime, int]] = attrs.field(factory=dict, init=False)

    def spend(self, client: str, points: int = 1) -> dict[str, str]:
        """Spend points, and return the headers that say what is left.

        Raises:
            Refusal: when there are none left.
        """
        now = self.now()
        begun, used = self.used.get(client, (now, 0))
        if now >= begun + self.period:
            begun, used = now, 0
        self.used[client] = begun, used + points
        headers = self.headers(begun, max(0, self.limit - used - points))
        if used + points > self.limit:
            raise Limited(headers)
        return headers

    def headers(self, begun: datetime, left: int) -> dict[str, str]:
        """Return the headers of a window; the time in them is a number of seconds since 1970."""
        reset = int((begun + self.period).timestamp())
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(reset),
            "RateLimit-Policy": f"{self.limit};w={int(self.period.total_seconds())}",
        }


class Limited(Refusal):
    """Refuse what is too much; there is no Retry-After.

    Args:
        headers: what says how long to wait.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = dict(headers)
        super().__init__("RateLimitExceeded", "Rate Limit Exceeded", 429)
