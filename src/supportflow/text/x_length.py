"""Weigh a text as X does, and find the links in it that X shortens and charges for.

This is twitter-text 3.1.0 with its configuration 3, in time linear in the text: NFC; code points of
the Latin, Greek, Cyrillic, Arabic, Hebrew, Indic and Georgian scripts weigh 1 and others 2, an emoji
with all its parts 2, and a link 23, with or without `https://`. Sources:
https://docs.x.com/fundamentals/counting-characters,
https://github.com/twitter/twitter-text/blob/master/config/v3.json and, for links,
https://github.com/twitter/twitter-text/tree/master/js/src. Of emoji that are newer than Unicode 11
each part weighs 2, which is never too few; a top-level domain newer than 2020 makes no link.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import attrs

from supportflow.text.x_tables import DOMAINS, FLAGS, MODIFIED, MODIFIED_OR_TEXT, TEXT

__all__ = ["X_URL", "x", "x_urls"]

#: What a link weighs, however long it is.
X_URL = 23
#: The longest text in which links are looked for: no post is longer
#: (https://docs.x.com/changelog, 20 August 2024), and every limit is far below.
_LONGEST = 25_000
#: https://github.com/twitter/twitter-text/blob/master/js/src/extractUrlsWithIndices.js
_MAX_URL, _MAX_SLUG, _MAX_LABEL = 4_096, 40, 63

_HEAVY = re.compile("[^\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")

# Of what a domain may consist: everything but these.
_MARKS = "\u202a-\u202e\u061c\u200e\u200f\u2066-\u2069"
_INVALID = "\ufffe\ufeff\uffff"
_SPACES = "\t-\r \x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NOT = rf"!'#%&()*+,\\\-./:;<=>?@\[\]^_{{|}}~${_SPACES}{_INVALID}{_MARKS}"
_LATIN = (
    "\xc0-\xd6\xd8-\xf6\xf8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f\u0272"
    "\u0289\u028b\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_RUN = re.compile(rf"(?:[^{_NOT}]|[_.-])++")
_LABEL = re.compile(rf"[^{_NOT}]++(?:[_-]++[^{_NOT}]++)*+")
# X reads UTF-16, in which the first half of a character stands before the second.
_BEGIN = re.compile(rf"(?<![A-Za-z0-9@＠$#＃{_INVALID}])[^{_NOT}]|[\U00010000-\U0010ffff]")
_PROTOCOL = re.compile(rf"(?<![A-Za-z0-9@＠$#＃{_INVALID}])https?://\Z", re.IGNORECASE)
_LETTERS, _PUNYCODE = (
    re.compile("[a-z]++", re.IGNORECASE),
    re.compile("xn--[0-9a-z-]++", re.IGNORECASE),
)
_GOES_ON = re.compile("[0-9A-Za-z@+-]")
_ASCII = re.compile(rf"(?:[a-z0-9{_LATIN}-]++\.)++", re.IGNORECASE)
_NOT_ASCII = re.compile(r"[^\x20-\x7e]")
_DOTS = re.compile("[.。．｡]")

# What follows a domain. Round brackets are balanced, at most one pair within another.
_PATH_CHARS = rf"[a-z\u0400-\u04ff0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&{_LATIN}]"
_BALANCED = rf"\((?:{_PATH_CHARS}++(?:\({_PATH_CHARS}++\){_PATH_CHARS}*+)?+|\({_PATH_CHARS}++\){_PATH_CHARS}*+)\)"
_PORT, _PIECE = re.compile(":[0-9]++"), re.compile(f"{_PATH_CHARS}++|{_BALANCED}", re.IGNORECASE)
_PATH_END = re.compile(rf".*[+\-a-z\u0400-\u04ff0-9=_#/{_LATIN}]", re.IGNORECASE)
_QUERY = re.compile(r"\?[a-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]*[a-z0-9\-_&=#/]", re.IGNORECASE)
_SHORTENED = re.compile(rf"https?://t\.co/([a-z0-9]++)(?:{_QUERY.pattern})?", re.IGNORECASE)


@cache
def _emoji() -> re.Pattern[str]:
    """Return what weighs 2 although it has several code points."""
    letter = {chr(ord("A") + n): chr(0x1F1E6 + n) for n in range(26)}
    flags = "|".join(
        f"{letter[word[0]]}[{''.join(letter[each] for each in word[1:])}]" for word in FLAGS.split()
    )
    joined, skin = "\u200d", "[\U0001f3fb-\U0001f3ff]"
    who, heart = f"{joined}[\u2640\u2642]\ufe0f", f"{joined}\u2764\ufe0f{joined}(?:💋{joined})?"
    works = "[⚕⚖✈]\ufe0f|[🌾🍳🎓🎤🎨🏫🏭💻💼🔧🔬🚀🚒\U0001f9b0-\U0001f9b3]"
    kids = f"(?:👦(?:{joined}👦)?|👧(?:{joined}[👦👧])?)"
    does = "🏃🏄🏊👮👱👳👷💁💂💆💇🙅-🙇🙋🙍🙎🚣🚴-🚶🤦🤵🤷-🤹🤽🤾🦸🦹\U0001f9d6-\U0001f9dd"
    ways = (
        f"[👨👩]{skin}?{joined}(?:{works})",
        f"[🏋🏌🕴🕵⛹](?:{skin}|\ufe0f){who}",
        f"[{does}]{skin}?{who}",
        f"👨{heart}👨|👩{heart}[👨👩]",
        f"(?:👨(?:{joined}[👨👩])?|👩(?:{joined}👩)?){joined}{kids}",
        f"🏳\ufe0f{joined}🌈|🏴{joined}☠\ufe0f|👁{joined}🗨|[👯🤼🧞🧟]{who}",
        "[#*0-9]\ufe0f?\u20e3|[©®™♟]\ufe0f",
        f"[{MODIFIED_OR_TEXT}]\ufe0f?{skin}|[{MODIFIED}]{skin}",
        f"[{TEXT}{MODIFIED_OR_TEXT}]\ufe0f",
        *(f"🏴{''.join(chr(0xE0000 + ord(c)) for c in n)}\U000e007f" for n in _NATIONS),
        flags,
    )
    return re.compile("|".join(ways))


_NATIONS = ("gbeng", "gbsct", "gbwls")


@cache
def _domains() -> tuple[frozenset[str], tuple[int, ...]]:
    """Return the top-level domains, and how long those are that are no Latin letters."""
    found = frozenset(DOMAINS.split())
    lengths = {len(each) for each in found if not each.isascii()}
    return found, tuple(sorted(lengths, reverse=True))


def x(text: str) -> int:
    """Weigh a text as X does.

    Mentions that X itself puts in front of a reply weigh nothing; they are not in its text.

    Args:
        text: Any text.

    Example:
        >>> x("Оля 👍 example.com/returns"), x("あ" * 140)
        (30, 280)
    """
    if text.isascii() and "." not in text:
        return len(text)
    text = unicodedata.normalize("NFC", text)
    weight = at = 0
    for start, end in (*x_urls(text), (len(text), len(text))):
        added, at = _weigh(text, at, start)
        weight += added
        if at == start < end:
            weight, at = weight + X_URL, end
    return weight


def _weigh(text: str, at: int, end: int) -> tuple[int, int]:
    """Weigh what has no link in it; an emoji that begins in it is weighed to its end."""
    weight = 0
    for found in _emoji().finditer(text, at):
        if found.start() >= end:
            break
        weight, at = weight + _plain(text[at : found.start()]) + 2, found.end()
    return (weight + _plain(text[at:end]), end) if at < end else (weight, at)


def _plain(text: str) -> int:
    return len(text) + len(_HEAVY.findall(text))


def x_urls(text: str) -> tuple[tuple[int, int], ...]:
    """Return where the links of a text begin and end, with or without `https://`, in order.

    Args:
        text: Any text; of one that is longer than any post, nothing.

    Example:
        >>> x_urls("See example.com/a, or me@example.com")
        ((4, 17),)
    """
    if "." not in text or len(text) > _LONGEST:
        return ()
    return tuple(_links(text))


@attrs.frozen
class _Label:
    """Hold what stands between two dots, and which domains may begin in it."""

    start: int
    end: int
    #: Whether it can be a part of a domain from its beginning on, or from within.
    whole: bool
    tail: bool
    #: Where a top-level domain ends that begins here; 0 if none does.
    tld: int
    #: Where the longest domain ends that begins here and has all of this label; 0 if none does.
    domain: int


def _links(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for run in _RUN.finditer(text):
        if run.end() <= at or "." not in run[0]:
            continue
        labels = _labels(text, run.start(), run.end())
        for label, following in pairwise(labels):
            begin = _begin(text, label, following, at) if label.end > at else None
            if begin is None:
                continue
            start, domain = begin, following.domain or following.tld
            protocol = _PROTOCOL.search(text, max(at - 1, start - 9, 0), start)
            if start == run.start() and protocol and (not at or protocol.start() > at):
                start = protocol.start()
            at, link = _read(text, at, start, begin, domain)
            yield from link


def _labels(text: str, start: int, end: int) -> list[_Label]:
    """Return the labels of a run of characters, the last one first looked at."""
    labels: list[_Label] = []
    while end >= start:
        begin = text.rfind(".", start, end) + 1 or start
        following = labels[-1] if labels else None
        whole = _LABEL.fullmatch(text, begin, end) is not None
        tail = end > begin and text[end - 1] not in "_-"
        domain = 0
        if following and whole:
            underscored = text.find("_", begin, end) >= 0
            domain = following.domain or (0 if underscored else following.tld)
        labels.append(_Label(begin, end, whole, tail, _tld(text, begin), domain))
        end = begin - 1
    return labels[::-1]


def _begin(text: str, label: _Label, following: _Label, at: int) -> int | None:
    """Return where in a label a domain begins that goes on in the next one."""
    if not label.tail or not (following.domain or following.tld):
        return None
    # Nothing stands before a domain but what no other link has; at the very beginning, its first
    # character may.
    first = max(label.start, at + (text[at] < "\U00010000") if at else 0)
    if not following.domain:  # the last label before the top-level domain
        first = max(first, text.rfind("_", label.start, label.end) + 1)
    second = _BEGIN.match(text, 1, label.end) if first == 0 else None
    found = second or _BEGIN.search(text, first, label.end)
    return found.start() if found else None


def _tld(text: str, at: int) -> int:
    """Return where a top-level domain ends that begins here; 0 if none does."""
    first, letters = text[at : at + 1], _LETTERS.match(text, at)
    known, lengths = _domains()
    ends = [letters.end()] if letters else []
    if not first.isascii():
        ends = [at + length for length in lengths if at + length <= len(text)]
    for end in ends:
        if text[at:end].lower() in known and not _GOES_ON.match(text, end):
            return end
    encoded = _PUNYCODE.match(text, at) if first in ("x", "X") else None
    return encoded.end() if encoded else 0


def _read(
    text: str, at: int, start: int, begin: int, end: int
) -> tuple[int, list[tuple[int, int]]]:
    """Return where to go on, and the links that a domain with what follows it makes."""
    domain, after = text[begin:end], end
    port = _PORT.match(text, after)
    after = port.end() if port else after
    path = text.startswith("/", after)
    after = _path_end(text, after + 1) if path else after
    query = _QUERY.match(text, after)
    after = query.end() if query else after
    protocol = max(begin - start, 0) or len("https://")
    if not _is_valid(domain) or protocol + after - start > _MAX_URL:
        return after, []
    if begin > start:
        return after, _with_protocol(text, start, after)
    if begin > at and text[begin - 1] in "-_./":
        return after, []
    links = [(begin + first, begin + last) for first, last in _ascii(domain)]
    if links and path:
        first, last = links[-1]
        links[-1] = first, last + after - end
    return after, links


def _path_end(text: str, at: int) -> int:
    """Return where a path ends: marks at its end do not belong to it."""
    end = at
    while piece := _PIECE.match(text, at):
        if text[at] != "(":
            ending = _PATH_END.match(text, at, piece.end())
            end = ending.end() if ending else end
        elif end == at:
            end = piece.end()
        at = piece.end()
    return end


def _with_protocol(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return a link; X's own short ones end where their slug and query do."""
    short = _SHORTENED.match(text, start, end)
    if short is None:
        return [(start, end)]
    return [(start, short.end())] if len(short[1]) <= _MAX_SLUG else []


def _is_valid(domain: str) -> bool:
    """Say whether every label is one that DNS takes, once it is encoded."""
    if domain.startswith("xn--") and not next(_ascii(domain), None):
        return False
    return all(len(_encoded(label)) <= _MAX_LABEL for label in domain.split("."))


def _encoded(label: str) -> str:
    parts = _DOTS.split(label)
    return ".".join(
        f"xn--{part.encode('punycode').decode()}" if _NOT_ASCII.search(part) else part
        for part in parts
    )


def _ascii(domain: str) -> Iterator[tuple[int, int]]:
    """Yield where those parts of a domain stand that need no `https://` to be links."""
    at = 0
    while labels := _ASCII.search(domain, at):
        at, dot = labels.end(), labels.end() - 1
        while dot > labels.start():
            end = _tld(domain, dot + 1)
            if end:
                yield labels.start(), end
                at = end
                break
            dot = domain.rfind(".", labels.start(), dot)
