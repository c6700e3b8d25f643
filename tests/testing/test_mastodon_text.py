"""How the local Mastodon counts and renders a text."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.testing.platforms.mastodon_text import (
    countable_length,
    graphemes,
    mentions_in,
    to_html,
)

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("plain", 5),
        ("cafe\u0301", 4),
        (FAMILY, 1),
        ("\U0001f44d\U0001f3fd!", 2),
        ("\u2764\ufe0f\u200d\U0001f525", 1),
        ("\U0001f1e7\U0001f1fe\U0001f1ee\U0001f1f3\U0001f1ee", 3),
        ("1\ufe0f\u20e3", 1),
        ("각\u1112\u1161\u11ab", 2),
        ("\r\n\n", 2),
        ("\u0301a", 2),
        ("سلام، پول من", 12),
        ("Добры дзень", 11),
        ("a\u200db", 2),
    ],
)
def test_a_grapheme_is_what_a_reader_takes_for_one_character(text, count):
    """Marks, joined emoji, flags, Hangul and CR LF are one each, as in UAX #29."""
    assert count == graphemes(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("https://example.com/" + "x" * 200, 23),
        ("see http://example.com.", 4 + 23 + 1),
        ("(https://example.com/a_(b))", 1 + 23 + 1),
        ("example.com", 11),
        ("https://localhost/" + "x" * 9, 27),
        ("ftp://example.com/" + "x" * 9, 27),
        ("@ola@social.example hi", 4 + 3),
        ("@ola hi", 4 + 3),
        ("mail ola@social.example", 23),
    ],
)
def test_urls_count_23_and_mentions_their_name(text, count):
    """Only http(s) URLs with a real host are shortened, only mentions lose their domain."""
    assert count == countable_length(text)


def test_the_warning_counts_and_a_server_may_count_urls_otherwise():
    """`spoiler_text` is counted with the text; the 23 is the instance's own number."""
    assert 7 + 25 == countable_length("https://example.com", "warning", url_length=25)


@given(st.text(max_size=80))
def test_no_text_counts_more_than_its_code_points(text):
    """Graphemes only join what code points separate."""
    assert (graphemes(text) == 0) == (text == "")
    assert graphemes(text) <= len(text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_joining_two_texts_loses_at_most_one(first, second):
    """Only the characters at the seam can become one."""
    apart = graphemes(first) + graphemes(second)
    assert graphemes(first + second) in {apart, apart - 1}


@given(st.text("abc 123<>&\"'.,!?", max_size=80))
def test_ascii_counts_as_it_is(text):
    """Nothing is joined where nothing can be."""
    assert len(text) == graphemes(text) == countable_length(text)


def test_mentions_are_found_where_mastodon_finds_them():
    """After a word, a slash or an equals sign it is none; a final dot is no part of a name."""
    text = "@shop. (@Ola_1) ola@x.example /@no =@no @a-b.c@social.example, @, @é"
    assert ("shop", "Ola_1", "a-b.c@social.example") == mentions_in(text)


def test_a_known_mention_is_a_link_and_an_unknown_one_is_text():
    """The link shows the name without its domain, inside an h-card."""
    known = {"ola@social.example": "https://social.example/@ola"}
    assert (
        '<p><span class="h-card" translate="no"><a href="https://social.example/@ola" '
        'class="u-url mention">@<span>ola</span></a></span> and @nobody</p>'
    ) == to_html("@ola@social.example and @nobody", known.get)


def test_a_link_shows_thirty_characters_and_hides_the_rest():
    """The text between the tags is still the whole URL."""
    url = "https://www.example.com/" + "a" * 40
    rendered = to_html(f"see {url}!", lambda name: None)
    assert f"see {url}!" == re.sub("<[^>]+>", "", rendered)
    assert '<span class="ellipsis">example.com/aaaaaaaaaaaaaaaaaa</span>' in rendered


@given(st.text(st.characters(exclude_characters="\r\n@", exclude_categories=["Cs"]), min_size=1))
def test_a_line_can_be_read_back_from_its_html(text):
    """Markup in a customer's words is escaped: taking the tags away gives the words again."""
    rendered = to_html(text, lambda name: None)
    assert text == html.unescape(re.sub("<[^>]+>", "", rendered))


def test_lines_and_paragraphs_are_br_and_p():
    """One line end is a break, more are a new paragraph, whatever the line ends are."""
    assert "<p>a<br />b</p><p>c</p>" == to_html("a\r\nb\n\n\n\nc\n", lambda name: None)
