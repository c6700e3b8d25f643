"""The first conversation: what it prints is what the platform shows, and it can fail."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from supportflow import Desk

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "first_conversation.py"


def test_it_runs_from_the_post_to_the_refund(script: Callable[[str], list[str]]) -> None:
    """A public post is acknowledged, apologized for and resolved, as the platform shows it."""
    waits, delivered, *posts, ends = script(SCRIPT.name)
    assert waits.endswith("is received, and waits for an answer")
    assert "sent=3" in delivered
    assert [
        "ola: @shop You charged me twice!",
        "shop: @ola Thank you for telling us. We can see that you were charged twice.",
        "shop: @ola We are sorry for the trouble that this made.",
        "shop: @ola Your 49.90 EUR are on their way back.",
    ] == posts
    assert "resolved" in ends


def test_it_is_short() -> None:
    """A reader takes it in at a glance: 20 to 40 lines."""
    assert 20 <= len(SCRIPT.read_text("utf-8").splitlines()) <= 40


def test_it_fails_if_an_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing is delivered the platform shows nothing, and the exit status says so."""
    monkeypatch.setattr(Desk, "deliver", lambda desk: "nothing")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT))
    assert 1 == ended.value.code
