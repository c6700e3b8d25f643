"""What every local platform of Meta's Graph API shares: tokens, errors and rates.

Meta documents the codes and bodies of its errors, hardly ever their HTTP status: `STATUSES` is our
reading, and a platform takes other ones. Sources:
https://developers.facebook.com/docs/graph-api/guides/error-handling,
https://developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes and
https://developers.facebook.com/docs/graph-api/overview/rate-limiting.
"""

import hashlib
import hmac
import json
import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from supportflow.testing.platforms.messages import Reply, Request

HOUR = timedelta(hours=1)
STATUSES: Mapping[int, int] = MappingProxyType({1: 500, 2: 503, 190: 401})

RATE_ERRORS: Mapping[int, str] = MappingProxyType(
    {
        4: "(#4) Application request limit reached",
        613: "(#613) Calls to this api have exceeded the rate limit.",
        80006: (
            "(#80006) There have been too many calls to this Messenger account. Wait a bit and try "
            "again. For more info, please refer to "
            "https://developers.facebook.com/docs/graph-api/overview/rate-limiting."
        ),
    }
)


class GraphError(Exception):
    """A refusal, with the code that tells why.

    Args:
        code: Meta's error code.
        message: what a developer may read.
        subcode: Meta's subcode, or None.
        kind: Meta's name for the sort of error.
    """

    def __init__(
        self, code: int, message: str, *, subcode: int | None = None, kind: str = "OAuthException"
    ) -> None:
        super().__init__(message)
        self.code = code
        self.subcode = subcode
        self.kind = kind

    def reply(self, trace: str, statuses: Mapping[int, int]) -> Reply:
        """Word the error as the Graph API does; code 400 where no other status is known.

        Args:
            trace: Meta's name for this call.
            statuses: the HTTP status by error code.
        """
        error: dict[str, object] = {"message": str(self), "type": self.kind, "code": self.code}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.code in {1, 2}:
            error["is_transient"] = True
        status = statuses.get(self.code, STATUSES.get(self.code, 400))
        return Reply.json({"error": {**error, "fbtrace_id": trace}}, status)


def invalid(message: str) -> GraphError:
    """Make the error of a parameter that cannot be accepted (code 100)."""
    return GraphError(100, f"(#100) {message}")


def unknown_object(name: str) -> GraphError:
    """Make the error of an object that is not there, or not for this token."""
    message = (
        f"Unsupported request. Object with ID '{name}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation. Please read the Graph API "
        "documentation at https://developers.facebook.com/docs/graph-api"
    )
    return GraphError(100, message, subcode=33, kind="GraphMethodException")


REFUSALS: Mapping[int, GraphError] = MappingProxyType(
    {
        400: invalid("The request could not be read"),
        401: GraphError(
            190,
            "Error validating access token: The session has been invalidated because the user "
            "changed their password or Facebook has changed the session for security reasons.",
            subcode=460,
        ),
        404: GraphError(2500, "Unknown path components"),
        405: GraphError(100, "Unsupported method", subcode=33, kind="GraphMethodException"),
        411: invalid("The request has no length"),
        413: GraphError(1, "Please reduce the amount of data you're asking for"),
    }
)
SERVER_ERROR = GraphError(2, "An unexpected error has occurred. Please retry your request later.")


def parameters(request: Request) -> dict[str, object]:
    """Return a call's parameters, from the query and a body of JSON or an urlencoded form.

    A value of the form or the query that stands for an object is JSON inside a string.

    Raises:
        GraphError: when the body cannot be read.
    """
    found: dict[str, object] = dict(request.query)
    if not request.body:
        return found
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    try:
        content = request.json() if kind == "application/json" else dict(request.form())
    except ValueError:
        raise invalid("The request body could not be parsed") from None
    if not isinstance(content, dict):
        raise invalid("The request body is no object")
    return {**found, **content}


def check_token(
    request: Request,
    given: Mapping[str, object],
    token: str | None,
    app_secret: str,
    *,
    proof_required: bool = False,
) -> None:
    """Refuse a call without the page's token, or with a proof that is not the token's.

    Args:
        request: the call.
        given: its parameters.
        token: the only valid token; None where it was revoked.
        app_secret: what `appsecret_proof`, where one is sent, is made with, see
            https://developers.facebook.com/docs/graph-api/guides/secure-requests.
        proof_required: whether a call without a proof is refused: the app's setting "Require
            App Secret".

    Raises:
        GraphError: 104 without a token, 190 with a wrong one, 100 with a wrong or missing proof,
            worded as in https://github.com/sns-sdks/python-facebook/issues/101 and
            https://github.com/markbates/goth/issues/96.
    """
    bearer = re.fullmatch(r"(?:Bearer|OAuth) (\S+)", request.header("authorization") or "")
    sent = bearer[1] if bearer else given.get("access_token")
    if not isinstance(sent, str) or not sent:
        raise GraphError(104, "An access token is required to request this resource.")
    if token is None or not hmac.compare_digest(_octets(sent), token.encode()):
        raise GraphError(190, "Invalid OAuth access token - Cannot parse access token")
    if "appsecret_proof" not in given:
        if proof_required:
            text = "API calls from the server require an appsecret_proof argument"
            raise GraphError(100, text, kind="GraphMethodException")
    else:
        proof = hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(_octets(given["appsecret_proof"]), proof.encode()):
            text = "Invalid appsecret_proof provided in the API argument"
            raise GraphError(100, text, kind="GraphMethodException")


def _octets(sent: object) -> bytes:
    """Return whatever was sent as bytes that can be compared."""
    return str(sent).encode(errors="surrogatepass")


def usage_headers(account: str, percent: int, minutes: int) -> dict[str, str]:
    """Return the two headers that tell how much of the limits is used.

    Args:
        account: the id of the page.
        percent: the share of the calls allowed.
        minutes: how long the account stays throttled.
    """
    shares = {"call_count": percent, "total_cputime": 0, "total_time": 0}
    business = {"type": "messenger", **shares, "estimated_time_to_regain_access": minutes}
    return {
        "X-App-Usage": json.dumps(shares),
        "X-Business-Use-Case-Usage": json.dumps({account: [business]}),
    }


class Throttle:
    """Count the calls of the last hour, and say how many of those allowed they are.

    Args:
        calls_an_hour: how many are allowed; None for any number.
        now: the platform's clock.
    """

    def __init__(self, calls_an_hour: int | None, now: Callable[[], datetime]) -> None:
        self.calls_an_hour = calls_an_hour
        self._now = now
        self._calls: deque[datetime] = deque()

    def minutes(self) -> int:
        """Return how long no call is allowed, 0 if one is now."""
        now = self._now()
        while self._calls and self._calls[0] <= now - HOUR:
            self._calls.popleft()
        if self.calls_an_hour is None or len(self._calls) < self.calls_an_hour:
            return 0
        return math.ceil((self._calls[0] + HOUR - now) / timedelta(minutes=1))

    def count(self) -> int:
        """Count a call, and return the share of the calls allowed that is used, in percent."""
        if self.calls_an_hour is None:
            return 0
        self._calls.append(self._now())
        return 100 * len(self._calls) // self.calls_an_hour
