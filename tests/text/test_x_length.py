"""Texts weigh what X's own library says, whose published cases decide."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.text.limits import count
from supportflow.text.x_length import x, x_urls

DATA = Path(__file__).resolve().parents[3] / "shared/data"
VALIDATE, EXTRACT = DATA / "twitter_text_validate.yml", DATA / "twitter_text_extract.yml"
FAMILY = "👨‍👩‍👧‍👦"

published = pytest.mark.skipif(
    not (VALIDATE.exists() and EXTRACT.exists()),
    reason=f"X's published cases are not in {DATA}",
)


def cases(path: Path, *kinds: str) -> list[dict]:
    """Return the published cases of some kinds."""
    yaml = pytest.importorskip("yaml", reason="the published cases are YAML: install pyyaml")
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    tests = yaml.load(path.read_text(encoding="utf-8"), fast)["tests"]
    return [case for kind in kinds for case in tests[kind]]


@published
def test_the_published_lengths():
    """Every case of weights, emoji and directional marks, by the configuration that X uses now."""
    kinds = "WeightedTweetsWithDiscountedEmojiCounterTest", "UnicodeDirectionalMarkerCounterTest"
    for case in cases(VALIDATE, *kinds):
        assert case["expected"]["weightedLength"] == x(case["text"]), case["description"]


@published
def test_the_published_links():
    """Every case of links in a text: with and without https, in all scripts, and with parameters."""
    for case in cases(EXTRACT, "urls", "tco_urls_with_params"):
        found = [case["text"][start:end] for start, end in x_urls(case["text"])]
        assert case["expected"] == found, case["description"]
    for case in cases(EXTRACT, "urls_with_indices", "urls_with_directional_markers"):
        places = [tuple(each["indices"]) for each in case["expected"]]
        assert (*places,) == x_urls(case["text"]), case["description"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("plain", 5),
        ("Где посылка?", 12),
        ("cafe\u0301", 4),
        ("あ" * 141, 282),
        ("नमस्ते", 6),
        ("…–”", 4),
        ("\ud800", 2),
        (FAMILY * 3, 6),
        ("👨‍👨‍👧 👩‍❤️‍💋‍👨 👩‍💻 🏳️‍🌈", 11),
        ("👨‍❤️‍👩", 8),
        ("🇵🇱", 2),
        ("🇽🇽", 4),
        ("🏴󠁧󠁢󠁷󠁬󠁳󠁿", 2),
        ("1️⃣ #⃣", 5),
        ("©®", 2),
        ("©️", 2),
        ("☀️ ☀", 5),
        ("☀︎", 4),
        ("✌🏽 ✌️🏽 👍🏿 🕵️‍♀️ 🏃‍♂️", 14),
        ("See example.com/returns, please", 35),
        ("a" * 256 + " https://example.com/" + "b" * 99, 280),
        ("me@example.com", 14),
        ("a.com." + "b" * 64 + ".com", 74),
        ("http://a.de/a..(b)", 28),
        ("x.comaあ.com", 12),
        ("-a.com", 6),
        ("@example.com #example.com $example.com", 38),
        ("example.notatld", 15),
        ("https://example.notatld/with/a/path", 35),
        ("http://1️⃣.example.com", 23),
        ("https://" + "a" * 64 + ".com", 76),
        ("https://xn--はじめよう.com", 26),
        ("https://example.com/" + "a" * 4_090, 4_110),
        ("http://t.co/" + "a" * 41, 53),
        ("http://t.co/abc's", 25),
        ("http://a.de/(b)!", 24),
        ("http://a.de/(b", 25),
        ("http://a.de:80?b=1&", 23),
        ("a_b.com", 7),
        ("a_.com a.b_c.com b_c.a.com", 42),
        ("日本example.com日本", 4 + 23 + 4),
        ("日本.com", 8),
        ("twitter.みんな", 23),
    ],
)
def test_what_a_text_weighs(text, expected):
    """As npm's twitter-text 3.1.0 answers (tests/differential/test_x_length.py asks it)."""
    assert expected == x(text) == count(text, "x")


@given(st.text(max_size=80))
def test_a_text_weighs_at_least_half_and_at_most_two_or_a_link(text):
    """Whatever it is, it can be weighed; links are in order and apart."""
    places = x_urls(text)
    assert all(start < end for start, end in places)
    assert [*places] == sorted(places)
    links = sum(23 for _ in places)
    assert 0 <= x(text) <= 8 * len(text) + links


@given(st.text("ab1.-_@ é", max_size=40), st.integers(0, 25_001))
def test_a_text_beyond_every_limit_is_only_counted(text, more):
    """No post has more than 25,000 characters: links in such a text change nothing."""
    if len(text) + more > 25_000:
        assert () == x_urls(text + "a" * more)


@pytest.mark.parametrize(
    "text",
    [
        "a.b" * 6_000,
        "a_b.com." * 2_500,
        "http://" * 3_000,
        "あ.あ_" * 4_000,
        "http://a.de/" + "(a" * 9_000,
        "http://a.de/" + "." * 9_000,
        "http://a.de?" + "." * 9_000,
        ".com" * 5_000,
        "xn--." * 4_000,
        FAMILY * 2_000,
        "a.com😀" * 2_500,
        "é.みんな/" * 2_500,
    ],
)
def test_weighing_takes_time_in_proportion(text):
    """No text makes the rules go back and forth: twice as long is never a hundred times the work."""
    assert 0 < x(text) <= 2 * len(text) + 23 * (text.count(".") + 1)
