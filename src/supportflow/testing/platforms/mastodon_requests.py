"""Read the parameters of Mastodon's API as Rails does, and word its refusals."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from supportflow.testing.platforms.faults import Fault
from supportflow.testing.platforms.mastodon_network import Item, Page
from supportflow.testing.platforms.messages import Reply, Request

NOT_HERE = ("media_ids", "media_ids[]", "poll", "scheduled_at", "quoted_status_id")
WORDS: Mapping[int, str] = MappingProxyType(
    {
        400: "Bad Request",
        401: "The access token is invalid",
        403: "This action is outside the authorized scopes",
        404: "Record not found",
        422: "This method requires an authenticated user",
        429: "Too many requests",
        500: "Internal Server Error",
        503: "There was a temporary problem serving your request, please try again",
    }
)


class Refusal(Exception):
    """A request that is refused.

    Args:
        status: the HTTP status.
        error: what the body says; None for Mastodon's usual words.
    """

    def __init__(self, status: int, error: str | None = None) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error


def worded(status: int, error: str | None = None) -> Reply:
    """Refuse in words; None for the usual ones."""
    said = error or WORDS[status]
    challenge = f'Bearer realm="Doorkeeper", error="invalid_token", error_description="{said}"'
    headers = {"WWW-Authenticate": challenge} if status == 401 else {}
    return Reply.json({"error": said}, status, headers)


def html_page(status: int) -> Reply:
    """Return the HTML page that stands in front of the application."""
    body = f"<!DOCTYPE html><html><body><h1>{status}</h1></body></html>".encode()
    return Reply(status, body, (("Content-Type", "text/html; charset=utf-8"),))


def page_of(request: Request, default: int) -> Page:
    """Return the page asked for; the most is twice the default, and text counts 0."""
    given = request.first("limit")
    digits = (given or "").lstrip("+-")
    number = int(digits[:6]) if digits.isascii() and digits.isdigit() else 0
    return Page(
        limit=default if given is None else min(number, 2 * default),
        max_id=request.first("max_id"),
        since_id=request.first("since_id"),
        min_id=request.first("min_id"),
    )


def disturbed(page: Sequence[Item], fault: Fault | None) -> Sequence[Item]:
    """Return a page as the fault on it makes it look."""
    match fault.kind if fault else "":
        case "missing_page":
            return page[(len(page) + 1) // 2 :]
        case "duplicated":
            return [item for item in page for _ in range(2)]
        case "reordered":
            return page[::-1]
        case _:
            return page


def fields_of(request: Request) -> dict[str, str]:
    """Return the scalar parameters, from JSON or a form, as text.

    Raises:
        Refusal: when the body cannot be read, or asks for what is not here.
    """
    content = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    try:
        if content == "application/json":
            body = request.json()
            fields = body if isinstance(body, dict) else {}
        elif content == "application/x-www-form-urlencoded":
            fields = dict(request.form())
        else:
            fields = {}
    except ValueError as error:
        raise Refusal(400) from error
    if any(fields.get(name) for name in NOT_HERE):
        raise Refusal(501, "This local platform has no media, polls, quotes or schedules")
    return {
        name: str(value) for name, value in fields.items() if isinstance(value, (str, int, float))
    }


def prepared(fields: Mapping[str, str]) -> tuple[str, str]:
    """Return text and warning as the server stores them; a lone warning is the text."""
    text, warning = fields.get("status", "").strip(), fields.get("spoiler_text", "").strip()
    return (text, warning) if text else (warning, "")


def is_true(given: str | None) -> bool:
    """Tell whether a parameter says yes, as Rails reads it."""
    return given is not None and given.lower() not in {"", "0", "f", "false", "off"}
