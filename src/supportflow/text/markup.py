"""Turn the HTML that platforms send into plain text, in time linear in its length."""

from __future__ import annotations

import re
from html import unescape

__all__ = ["plain"]

# Possessive throughout, so that no input makes a pattern go back; a link holds no other link.
_LINK = re.compile(r"<a\b([^<>]*+)>((?:[^<]++|<(?!/?a\b)[^<>]*+>)*+)</a\b[^<>]*+>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""", re.IGNORECASE)
_LINE = re.compile(r"<(?:br|li)\b[^<>]*+>", re.IGNORECASE)
_BLOCK = re.compile(r"</?(?:p|div|blockquote|pre|ul|ol|h[1-6])\b[^<>]*+>", re.IGNORECASE)
_TAG = re.compile(r"</?(?:[a-z]|!)[^<>]*+>", re.IGNORECASE)
_GAP = re.compile(r"\n{3,}")
# CPython refuses to convert more than 4,300 digits; no character needs more than seven.
_HUGE = re.compile(r"&#(?:[0-9]{8,}+|[xX][0-9a-fA-F]{8,}+);?")


def _link(found: re.Match[str]) -> str:
    """Return a link's words, and where it leads unless they say so."""
    words = _TAG.sub("", found[2]).strip()
    href = _HREF.search(found[1])
    target = (href[1] or href[2] or "") if href else ""
    if not target or words == target or words[:1] in ("@", "#"):
        return words
    bare = target.removeprefix("mailto:").removeprefix("tel:")
    return bare if words.rstrip("….") in bare else f"{words} ({target})"


def plain(html: str) -> str:
    r"""Return the words of HTML: paragraphs and line breaks kept, entities decoded.

    A link keeps its whole address, also where the page would shorten it; a mention or a
    hashtag keeps its words alone. Nothing is fetched, and nothing in it is run.

    Args:
        html: What a platform sent.

    Example:
        >>> plain('<p>Look:<br>1 &lt; 2</p><p><a href="https://example.com/a">here</a></p>')
        'Look:\n1 < 2\n\nhere (https://example.com/a)'
    """
    text = html.replace("\n", " ")
    if "<" in text:
        text = _BLOCK.sub("\n\n", _LINE.sub("\n", _LINK.sub(_link, text)))
        text = _TAG.sub("", text)
    text = unescape(_HUGE.sub("�", text))
    if "\n" in text:
        text = _GAP.sub("\n\n", "\n".join([line.strip() for line in text.split("\n")]))
    return text.strip()
