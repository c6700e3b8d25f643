"""Turn the HTML that platforms send into plain text, in time linear in its length."""

from __future__ import annotations

import re
from html import unescape

__all__ = ["plain"]

# Possessive throughout, so that no input makes a pattern go back; a link holds no other link.
_LINK = re.compile(r"<a\b([^<>]*+)>((?:[^<]++|<(?!/?a\b)[^<>]*+>)*+)</a\b[^<>]*+>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""", re.IGNORECASE)
# What nobody sees: styles, scripts, titles and comments; unclosed ones end with the text.
_UNSEEN = re.compile(
    r"<(style|script|title)\b[^<>]*+>(?:[^<]++|<(?!/\1\b))*+(?:</\1\b[^<>]*+>|\Z)"
    r"|<!--(?:[^-]++|-(?!->))*+(?:-->|\Z)",
    re.IGNORECASE,
)
_HIDES = ("<style", "<script", "<title", "<!--")
_TAG = re.compile(r"<(/?)([a-z!]\w*+)[^<>]*+>", re.IGNORECASE)
_BLOCKS = ("p", "div", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6")
#: What a tag leaves behind, by whether it ends something, and its name.
_LEFT = {
    **{("", name): "\n" for name in ("br", "li", "tr")},
    **{("/", name): " " for name in ("td", "th")},
    **{(end, name): "\n\n" for name in _BLOCKS for end in ("", "/")},
}
_GAP = re.compile(r"\n{3,}")
# CPython refuses to convert more than 4,300 digits; no character needs more than seven.
_HUGE = re.compile(r"&#(?:[0-9]{8,}+|[xX][0-9a-fA-F]{8,}+);?")
#: The same for the tags that most posts are made of.
_USUAL = {"<p>": "\n\n", "</p>": "\n\n", "<br>": "\n", "<br />": "\n", "<span>": "", "</span>": ""}


def _left(found: re.Match[str]) -> str:
    usual = _USUAL.get(found[0])
    return _LEFT.get((found[1], found[2].lower()), "") if usual is None else usual


def _link(found: re.Match[str]) -> str:
    """Return a link's words, and where it leads unless they say so."""
    words = _TAG.sub("", found[2]).strip()
    if words[:1] in ("@", "#"):
        return words
    href = _HREF.search(found[1])
    target = (href[1] or href[2] or "") if href else ""
    if not target or words == target:
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
        low = text.lower()
        if any(each in low for each in _HIDES):
            text = _UNSEEN.sub("", text)
        text = _TAG.sub(_left, _LINK.sub(_link, text))
    if "&" in text:
        text = unescape(_HUGE.sub("�", text))
    text = text.strip()
    if "\n" in text:
        text = "\n".join([line.strip() for line in text.split("\n")])
        if "\n\n\n" in text:
            text = _GAP.sub("\n\n", text)
    return text
