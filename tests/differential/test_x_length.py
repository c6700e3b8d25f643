"""npm's twitter-text 3.1.0 weighs the same texts and finds the same links in them.

It needs node and npm: the package is installed where the tests keep their own files.
"""

import json
import random
import shutil
import subprocess

import pytest

from supportflow.text.x_length import x, x_urls

SCRIPT = """
const text = require('twitter-text');
const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const read = t => [text.parseTweet(t).weightedLength, text.extractUrls(t)];
console.log(JSON.stringify(given.map(read)));
"""
#: What texts are put together from: everything that the rules look at.
PIECES = [
    *("a", "B", "z9", "é", "ж", "あ", "の", "。", "\u0301", "\u200d", "\ufe0f", "\ufe0e", "\u20e3"),
    *("😀", "👨", "👩", "👧", "👦", "❤", "💋", "🏽", "🏳", "🌈", "♀", "☀", "✌", "🇵", "🇱", "🇽"),
    *("example", ".com", ".co.uk", ".みんな", ".рф", ".XN--p1ai", "xn--", ".notatld", "a" * 64),
    *("http://", "https://", "HTTP://", "t.co/", "/", "/path", "?", "q=1&", "(b)", "(", ")"),
    *("&", "-", "_", ".", "..", "@", "$", "#", "＠", " ", "\n", "\xa0", "\u202a", ":80", "!", "'s"),
]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """Return a function that asks twitter-text about texts."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    place = tmp_path_factory.mktemp("twitter-text")
    (place / "ask.js").write_text(SCRIPT)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    made = subprocess.run(
        [*install, "twitter-text@3.1.0"], check=False, cwd=place, capture_output=True, timeout=300
    )
    if made.returncode:
        pytest.skip("npm could not install twitter-text")

    def ask(texts):
        given = json.dumps(texts).encode()
        asked = subprocess.run(
            ["node", "ask.js"], cwd=place, input=given, capture_output=True, timeout=300, check=True
        )
        return json.loads(asked.stdout)

    return ask


@pytest.mark.parametrize("seed", range(3))
def test_both_agree_on_texts_that_nobody_would_write(oracle, seed):
    """20,000 texts of all that the rules look at, put together by chance.

    Left out is one of its own slips: of a domain in several scripts with a path it returns a link
    that does not stand in the text.
    """
    dice = random.Random(seed)
    texts = ["".join(dice.choices(PIECES, k=dice.randint(1, 14))) for _ in range(20_000)]
    wrong = [
        (text, (x(text), ours), (weight, theirs))
        for text, (weight, theirs) in zip(texts, oracle(texts), strict=True)
        for ours in [[text[start:end] for start, end in x_urls(text)]]
        if all(link in text for link in theirs) and (x(text), ours) != (weight, theirs)
    ]
    assert [] == wrong
