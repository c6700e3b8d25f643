"""HTML becomes the words that a reader sees, whatever it is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.text.markup import plain

LINK = '<a href="https://example.com/a?b=1&amp;c=2">{}</a>'


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("", ""),
        ("no markup", "no markup"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<p>one</p>\n<p>two</p>", "one\n\ntwo"),
        ("<p>one<br>two<br/>three<br />four</p>", "one\ntwo\nthree\nfour"),
        ("<P>one<BR>two</P>", "one\ntwo"),
        ("<p>one<br><br><br><br>two</p>", "one\n\ntwo"),
        ("<p>a\nb</p>", "a b"),
        ("<ul><li>one</li><li>two</li></ul>after", "one\ntwo\n\nafter"),
        ("<blockquote><p>said</p></blockquote><p>so</p>", "said\n\nso"),
        ("<b>bold</b> <i>text</i><!doctype x>", "bold text"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &quot;&#39;&#x41;", "1 < 2 && 3 > 2 \"'A"),
        ("&amp;lt;", "&lt;"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a < b", "a < b"),
        ("<", "<"),
        ("<p", "<p"),
        ("  <p> x </p> ", "x"),
    ],
)
def test_paragraphs_breaks_and_entities(html, expected):
    """Structure becomes line breaks; entities are decoded once; what is no tag stays."""
    assert expected == plain(html)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (LINK.format("https://example.com/a?b=1&amp;c=2"), "https://example.com/a?b=1&c=2"),
        (LINK.format("example.com/a…"), "https://example.com/a?b=1&c=2"),
        (LINK.format("<i>example.com</i>/a"), "https://example.com/a?b=1&c=2"),
        (LINK.format("here"), "here (https://example.com/a?b=1&c=2)"),
        (LINK.format(""), "https://example.com/a?b=1&c=2"),
        (LINK.format("@<span>ola</span>"), "@ola"),
        (LINK.format("#<span>refund</span>"), "#refund"),
        ('<a href="mailto:a@example.com">a@example.com</a>', "a@example.com"),
        ('<a href="mailto:a@example.com">write</a>', "write (mailto:a@example.com)"),
        ("<a href='https://example.com'>it</a>", "it (https://example.com)"),
        ("<a name='x'>it</a>", "it"),
        ("<a>it</a>", "it"),
        ("it</a>", "it"),
        ('<a href="https://example.com">never closed', "never closed"),
        ('<a href="x">one<a href="https://example.com">two</a>', "onetwo (https://example.com)"),
    ],
)
def test_links_keep_their_address(html, expected):
    """Nobody has to guess where a link leads; names and tags stay as they are read."""
    assert expected == plain(html)


@pytest.mark.parametrize(
    "html",
    [
        "<" * 200_000,
        "<a" * 100_000,
        "<p>" * 60_000,
        "</a>" * 50_000,
        '<a href="x">' * 20_000,
        "<a href=" * 30_000,
        "<a 'x\"" * 30_000,
        "&" * 200_000,
        "&lt" * 60_000,
        "&#" + "9" * 200_000,
        "&#x" + "f" * 200_000 + ";",
        " " * 200_000,
        "\n" * 200_000,
    ],
)
def test_hostile_markup_costs_little(html):
    """200 kB of anything take well under a second; numbers too long to convert are no error."""
    began = time.perf_counter()
    plain(html)
    assert time.perf_counter() - began < 1


@given(st.text(alphabet="<>a/ bhref=\"'&#;39xp!\n@…", max_size=80))
def test_it_reads_anything(html):
    """Whatever it is given, it returns words without spaces around them."""
    text = plain(html)
    assert text == text.strip()


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_escaped_text_comes_back(words):
    """What was escaped for HTML is read as it was written."""
    escaped = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert words == plain(f"<p>{escaped}</p>")
