"""Count and render a status's text as Mastodon does, with the standard library alone.

Counting follows `StatusLengthValidator`: graphemes of the warning and the text, an http(s) URL
counted as a fixed number, `@user@domain` counted as `@user`
(https://docs.joinmastodon.org/user/posting/ and, for graphemes,
https://github.com/mastodon/mastodon/blob/main/app/validators/status_length_validator.rb).

The standard library has no grapheme segmentation, so `graphemes` follows the rules of UAX #29
(https://www.unicode.org/reports/tr29/) on general categories: marks, joiners, emoji modifiers and
tags continue a cluster; CR LF, flags, joined emoji and Hangul syllables are one. Left out are
conjuncts of Indic scripts (GB9c) and prepended signs (GB9b), so that at the edge it counts more.

Rendering follows `TextFormatter` and `simple_format`: paragraphs, `<br />`, links, mentions
(https://github.com/mastodon/mastodon/blob/main/app/lib/text_formatter.rb).
"""

import re
import unicodedata
from collections.abc import Callable
from html import escape

# twitter-text's path: a closing bracket belongs to it only with its opening one, a dot never ends it.
# https://github.com/twitter/twitter-text/blob/master/rb/lib/twitter-text/regex.rb
INNER, LAST = r"[\w!*';:=+,.$%\[\]~&|@#?/-]", r"[\w=#/+-]"
BRACKETED = rf"\({INNER}*\)"
URL = re.compile(
    r"(?<![\w@#$])https?://(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?"
    rf"(?:[/?#](?:(?:{INNER}|{BRACKETED})*(?:{LAST}|{BRACKETED}))?)?",
    re.IGNORECASE,
)
# Account::MENTION_RE, https://github.com/mastodon/mastodon/blob/main/app/models/account.rb
MENTION = re.compile(
    r"(?<![=/\w])@([a-z0-9_]+(?:[a-z0-9_.-]+[a-z0-9_]+)?(?:@\w+(?:[.-]+\w+)*)?)",
    re.IGNORECASE,
)
SHOWN_OF_URL = 30
JOINER = "\u200d"


def mentions_in(text: str) -> tuple[str, ...]:
    """Return the names mentioned, without the first `@`, in order.

    Example:
        >>> mentions_in("@shop and @ola@social.example, see https://a.example/@nobody")
        ('shop', 'ola@social.example')
    """
    return tuple(found[1] for found in MENTION.finditer(text))


def countable_length(text: str, warning: str = "", *, url_length: int = 23) -> int:
    """Count a status as the server does.

    Args:
        text: the status's text.
        warning: its content warning (`spoiler_text`).
        url_length: what each URL counts (`characters_reserved_per_url`).

    Example:
        >>> countable_length("@ola@social.example https://example.com/" + "x" * 99)
        28
    """
    counted = URL.sub("x" * url_length, text)
    counted = MENTION.sub(lambda found: "@" + found[1].split("@")[0], counted)
    return graphemes(warning + counted)


def graphemes(text: str) -> int:
    r"""Count what a reader takes for one character each.

    Example:
        >>> graphemes("cafe\u0301"), graphemes("\U0001f469\u200d\U0001f680"), graphemes("\r\n")
        (4, 1, 1)
    """
    if text.isascii():
        return len(text) - text.count("\r\n")
    count, cluster = 0, ""
    for char in text:
        if cluster and _continues(cluster, char):
            cluster += char
        else:
            count, cluster = count + 1, char
    return count


def _continues(cluster: str, char: str) -> bool:
    last = cluster[-1]
    if last in "\r\n" or unicodedata.category(last) == "Cc":
        return last == "\r" and char == "\n"
    if _is_extending(char):
        return True
    if last == JOINER:
        return _is_pictographic(cluster[0]) and _is_pictographic(char)
    if _is_regional(char):
        return len(cluster) == 1 and _is_regional(last)
    return (_hangul(last), _hangul(char)) in HANGUL_JOINED


def _is_extending(char: str) -> bool:
    return (
        unicodedata.category(char) in {"Mn", "Me", "Mc"}
        or char in "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def _is_pictographic(char: str) -> bool:
    return unicodedata.category(char) == "So" or "\U0001f000" <= char <= "\U0001faff"


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _hangul(char: str) -> str:
    if "\uac00" <= char <= "\ud7a3":
        return "LV" if (ord(char) - 0xAC00) % 28 == 0 else "LVT"
    ranges = (
        ("L", "\u1100", "\u115f"),
        ("L", "\ua960", "\ua97c"),
        ("V", "\u1160", "\u11a7"),
        ("V", "\ud7b0", "\ud7c6"),
        ("T", "\u11a8", "\u11ff"),
        ("T", "\ud7cb", "\ud7fb"),
    )
    return next((kind for kind, first, last in ranges if first <= char <= last), "")


HANGUL_JOINED = frozenset(
    {("L", "L"), ("L", "V"), ("L", "LV"), ("L", "LVT")}
    | {(before, after) for before in ("V", "LV") for after in ("V", "T")}
    | {("LVT", "T"), ("T", "T")}
)


def to_html(text: str, address: Callable[[str], str | None]) -> str:
    r"""Render a status's text.

    Args:
        text: the text as written.
        address: the profile's URL of a mentioned name, or None for an unknown one.

    Example:
        >>> to_html("Hi <there>\nyou\n\nbye", lambda name: None)
        '<p>Hi &lt;there&gt;<br />you</p><p>bye</p>'
    """
    linked = _linked(text, address).replace("\r\n", "\n").replace("\r", "\n")
    paragraphs = re.split(r"\n\n+", linked.strip("\n"))
    return "".join(f"<p>{part.replace(chr(10), '<br />')}</p>" for part in paragraphs if part)


def _linked(text: str, address: Callable[[str], str | None]) -> str:
    either = re.compile(f"(?P<url>{URL.pattern})|(?P<mention>{MENTION.pattern})", re.IGNORECASE)
    result, done = "", 0
    for found in either.finditer(text):
        result += escape(text[done : found.start()])
        result += _link(found[0]) if found["url"] else _mention(found[0][1:], address)
        done = found.end()
    return result + escape(text[done:])


def _mention(name: str, address: Callable[[str], str | None]) -> str:
    url = address(name)
    if url is None:
        return escape(f"@{name}")
    user = escape(name.partition("@")[0])
    return (
        f'<span class="h-card" translate="no"><a href="{escape(url)}" class="u-url mention">'
        f"@<span>{user}</span></a></span>"
    )


def _link(url: str) -> str:
    scheme = re.match(r"https?://(?:www\.)?", url, re.IGNORECASE)
    hidden = scheme[0] if scheme else ""
    shown, rest = url[len(hidden) :][:SHOWN_OF_URL], url[len(hidden) :][SHOWN_OF_URL:]
    cut = "ellipsis" if rest else ""
    return (
        f'<a href="{escape(url)}" target="_blank" rel="nofollow noopener" translate="no">'
        f'<span class="invisible">{escape(hidden)}</span><span class="{cut}">{escape(shown)}</span>'
        f'<span class="invisible">{escape(rest)}</span></a>'
    )
