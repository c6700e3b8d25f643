"""Texts are counted as platforms count them, and never too few."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import InvalidValue
from supportflow.text import limits
from supportflow.text.limits import count, graphemes, mastodon, mentions, without_domains

FAMILY = "👩‍👩‍👧"


@pytest.mark.parametrize(
    ("counting", "expected"),
    [("code_points", 9), ("utf16", 12), ("bytes", 28), ("graphemes", 9), ("mastodon", 9)],
)
def test_each_name_counts_in_its_way(monkeypatch, counting, expected):
    """One text, as many lengths as there are ways to count."""
    monkeypatch.setattr(limits, "_CLUSTER", None)
    assert expected == count(f"क्ष {FAMILY}", counting)


@pytest.mark.parametrize("counting", ["", "characters", "mastodon:", "mastodon:x", "mastodon:-1"])
def test_an_unknown_way_to_count_is_refused(counting):
    """A misspelt name is an error and no guess; it says what there is."""
    with pytest.raises(InvalidValue, match="graphemes"):
        count("text", counting)


@pytest.mark.parametrize("counting", ["code_points", "utf16", "bytes", "graphemes", "mastodon"])
def test_half_a_surrogate_pair_is_counted_too(counting):
    """Counting never fails, whatever is counted."""
    assert 0 < count("\ud800", counting)


@pytest.mark.parametrize(
    ("text", "with_extra"),
    [
        ("plain", 5),
        ("cafe\u0301", 4),
        (FAMILY, 1),
        ("🇮🇳🇵🇱", 2),
        ("नमस्ते", 4),  # with GB9c: 3
        ("क्ष", 2),  # with GB9c: 1
        ("\u1112\u1161\u11ab", 1),
    ],
)
def test_clusters_count_one_each_but_conjuncts_as_older_servers_count_them(
    monkeypatch, text, with_extra
):
    """With the extra `text`, clusters count as on a server that does not know GB9c yet; without
    it, code points do. The extra is stood in for, with its answers written down.
    """
    known = {"cafe\u0301": 4, FAMILY: 1, "🇮🇳🇵🇱": 2, "नमस\u0301ते": 4, "क\u0301ष": 2}
    known["\u1112\u1161\u11ab"] = 1

    class Clusters:
        def findall(self, given_text: str) -> list[None]:
            return [None] * known[given_text]

    monkeypatch.setattr(limits, "_CLUSTER", None)
    assert len(text) == graphemes(text)
    monkeypatch.setattr(limits, "_CLUSTER", Clusters())
    assert with_extra == graphemes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.com", 23),
        ("http://a.de", 23),
        ("https://example.com/" + "a" * 400, 23),
        ("https://example.com/a_(b)_c.", 24),
        ("(https://example.com/a)", 25),
        ("https://example.com/a?b=1&c=2#d!", 24),
        ("https://example.com?b", 23),
        ("https://example.com:8080/", 23),
        ("https://xn--bcher-kva.xn--p1ai/", 23),
        ("https://bücher.рф/путь", 23),
        ("жhttp://a.de", 24),
        ("xhttp://a.de", 12),
        ("http://a.deи", 24),
        ("http://localhost/path", 21),
        ("http://127.0.0.1/", 17),
        ("example.com", 11),
        ("https://", 8),
        ("@ola@other.example", 4),
        ("@ola@other.example.", 5),
        ("me@other.example", 16),
        ("https://a.example/@ola@other.example", 23),
        ("ж@ola@other.example", 19),
        ("@@ola", 5),
    ],
)
def test_mastodon_counts_links_and_names_by_its_own_rules(text, expected):
    """https://docs.joinmastodon.org/user/posting/; what is no link counts as it stands."""
    assert expected == mastodon(text)


def test_a_link_counts_what_the_instance_says():
    """`characters_reserved_per_url` differs between servers."""
    assert (25, 26) == (count("https://a.de", "mastodon:25"), mastodon("https://a.de", 26))


@given(st.text(max_size=60))
def test_no_name_has_more_characters_without_its_domain(text):
    """Domains are left out and nothing else is; twice is as good as once."""
    short = without_domains(text)
    assert len(short) <= len(text)
    assert short == without_domains(short)
    assert [name.partition("@")[0] for name in mentions(text)] == [
        name.partition("@")[0] for name in mentions(short)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 9_000,
        "http://a.bc/" + "(a" * 9_000,
        "http://" + "a." * 9_000,
        "http://a.b/" * 2_000,
        "http://a.bc?" + "." * 9_000,
        "http://a.bc/" + "." * 9_000,
        "@" * 9_000,
        "@a." * 9_000,
        "@a-" + "-." * 9_000,
        "@" + "a" * 9_000 + "." * 9_000,
    ],
)
def test_counting_takes_time_in_proportion(text):
    """No text makes the rules go back and forth: twice as long is never a hundred times the work."""
    assert 0 < mastodon(text) <= len(text) + 23 * len(re.findall("http", text))
