"""Count texts as platforms do, never too few: what passes here is not refused there for length."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from supportflow.errors import InvalidValue
from supportflow.text.x_length import x

__all__ = [
    "MASTODON_URL",
    "bluesky",
    "bytes_utf8",
    "code_points",
    "count",
    "graphemes",
    "mastodon",
    "mentions",
    "utf16",
    "without_domains",
    "x",
]

#: What a URL counts on Mastodon unless the instance says otherwise.
MASTODON_URL = 23

# twitter-text's URL with a scheme, as Mastodon changes it (it is not needed that the top-level
# domain exists): https://github.com/mastodon/mastodon/blob/main/config/initializers/twitter_regex.rb
_INNER, _LAST = r"[^\s<>()?]", r"""[^\s()?!*"'「」<>;:=,.$%\[\]~&|@]"""
_BRACKETS = rf"\({_INNER}++\)"
_URL = re.compile(
    r"(?<![A-Za-z0-9@＠$#＃])https?://(?:[\w-]++\.)+(?:xn--[a-z0-9-]++|[a-z]{2,}+|[^\W\x00-\x7f]{2,}+)(?::\d++)?"
    rf"(?:/(?:(?:{_INNER}|{_BRACKETS})*(?:{_LAST}|{_BRACKETS}|/))?)?"
    r"(?:\?[a-z0-9!?*'();:&=+$/%#\[\]\-_.,~|@^]*[a-z0-9_&=#/-])?",
    re.IGNORECASE,
)
# Account::MENTION_RE: https://github.com/mastodon/mastodon/blob/main/app/models/account.rb
_MENTION = re.compile(
    r"(?<![=/\w])@([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)((?:@\w++(?:[.-]++\w++)*)?)",
    re.IGNORECASE,
)

# With the extra `text`, clusters of UAX #29 count one each, but not its newest rule (GB9c), which
# makes one of क्ष: servers are older than it (https://bugs.ruby-lang.org/issues/19908). Its
# linkers count like any other mark.
_CLUSTER = import_module("regex").compile(r"\X") if find_spec("regex") else None
_LINKERS = dict.fromkeys(
    map(
        ord,
        "\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d\u1039\u17d2\u1a60\u1b44\u1bab\ua9c0\uaaf6"
        "\U00010a3f\U00011133\U000113d0\U0001193e\U00011a47\U00011a99\U00011f42",
    ),
    "\u0301",
)


def code_points(text: str) -> int:
    """Count Unicode code points.

    Args:
        text: Any text.

    Example:
        >>> code_points("Оля 👍")
        5
    """
    return len(text)


def utf16(text: str) -> int:
    """Count UTF-16 code units, as Telegram and JavaScript do.

    Args:
        text: Any text.

    Example:
        >>> utf16("Оля 👍")
        6
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def bytes_utf8(text: str) -> int:
    """Count bytes of UTF-8.

    Args:
        text: Any text.

    Example:
        >>> bytes_utf8("Оля 👍")
        11
    """
    return len(text.encode("utf-8", "surrogatepass"))


def graphemes(text: str) -> int:
    """Count what readers take for one character each; code points without the extra `text`.

    Source: https://www.unicode.org/reports/tr29/ without its rule GB9c. Code points are never
    fewer, so that a text is refused too early rather than too late.

    Args:
        text: Any text.

    Example:
        >>> graphemes("Оля!")
        4
    """
    if _CLUSTER is None or text.isascii():
        return len(text)
    return len(_CLUSTER.findall(text.translate(_LINKERS)))


def mentions(text: str) -> tuple[str, ...]:
    """Return whom a text mentions on Mastodon, without the first `@`, in order.

    Args:
        text: Any text.

    Example:
        >>> mentions("@ola and @ala@social.example, not me@shop.example")
        ('ola', 'ala@social.example')
    """
    return tuple(user + domain for user, domain in _MENTION.findall(text))


def without_domains(text: str) -> str:
    """Return a text as Mastodon shows it: mentions without their domain.

    Args:
        text: Any text.

    Example:
        >>> without_domains("Hi @ala@social.example!")
        'Hi @ala!'
    """
    return _MENTION.sub(r"@\1", text)


def mastodon(text: str, url: int = MASTODON_URL) -> int:
    """Count graphemes, a link as a fixed number, and a mention without its domain.

    Source: https://docs.joinmastodon.org/user/posting/ and
    https://github.com/mastodon/mastodon/blob/main/app/validators/status_length_validator.rb

    Args:
        text: The content warning and the text, joined.
        url: What each http(s) link counts (`characters_reserved_per_url`).

    Example:
        >>> mastodon("@ola@social.example see https://example.com/" + "a" * 99)
        32
    """
    return graphemes(without_domains(_URL.sub("x" * url, text)))


def bluesky(text: str) -> int:
    """Count graphemes, or a tenth of the bytes where that is more: 300 and 3,000 are allowed.

    Source: `maxGraphemes` and `maxLength` of
    https://github.com/bluesky-social/atproto/blob/main/lexicons/app/bsky/feed/post.json

    Args:
        text: Any text.

    Example:
        >>> bluesky("Оля!"), bluesky("👍" * 9)
        (4, 9)
    """
    return max(graphemes(text), -(-bytes_utf8(text) // 10))


_COUNTERS: dict[str, Callable[[str], int]] = {
    "code_points": code_points,
    "utf16": utf16,
    "bytes": bytes_utf8,
    "graphemes": graphemes,
    "mastodon": mastodon,
    "bluesky": bluesky,
    "x": x,
}


def count(text: str, counting: str = "code_points") -> int:
    """Count a text in the way that a name says.

    Args:
        text: Any text.
        counting: `"code_points"`, `"utf16"`, `"bytes"`, `"graphemes"`, `"mastodon"`, `"bluesky"` or
            `"x"`; what a link counts may follow a colon: `"mastodon:25"`.

    Raises:
        InvalidValue: If there is no such way to count.

    Example:
        >>> count("https://example.com", "mastodon:25")
        25
    """
    name, _, url = counting.partition(":")
    if name == "mastodon" and url.isascii() and url.isdigit() and len(url) < 6:
        return mastodon(text, int(url))
    counter = _COUNTERS.get(counting)
    if counter is None:
        known = ", ".join(_COUNTERS)
        raise InvalidValue(f"counting is {counting!r:.60}; it is one of {known}, mastodon:N")
    return counter(text)
