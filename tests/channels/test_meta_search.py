"""Whatever is shown to a search, it finds ours alone, and takes nothing for its absence."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.channels import Found, Refused
from supportflow.channels.meta_search import Search, Seen, searched
from supportflow.errors import PayloadError
from supportflow.model import AgentKind, Author, Outgoing, Visibility
from supportflow.testing.channel_cases import drive

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OURS = Outgoing(
    "row-1",
    "abcdefghijklmnopqrstuv23",
    "We see it.",
    Author("5"),
    "1",
    ("comment", "1"),
    Visibility.public,
    AgentKind.person,
    NOON,
    known=frozenset({"known"}),
)
SEEN = st.builds(
    Seen,
    st.sampled_from(["1", "2", "3", "known"]),
    st.integers(-9, 9).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    st.sampled_from(["We see it.", " We  see it. ", "No.", ""]),
    st.sampled_from([True, False, None]),
)


@given(st.lists(SEEN), st.booleans())
def test_only_what_agrees_is_found(seen, ended):
    """Ours, our words, not before the send, and no other answer's id; else absent or unknown."""
    search = Search(OURS, NOON)
    search.see(seen)
    search.back = search.back or ended
    result = search.result()
    fits = [each for each in seen if each.at >= NOON and each.id != "known" and "We" in each.text]
    if result.receipt is not None:
        assert (result.receipt.id, True) in [(each.id, each.ours) for each in fits]
    else:
        assert not any(each.ours for each in fits)
        maybe = any(each.ours is None for each in fits)
        assert result.looked is (search.back and not maybe)
        assert result.looked or result.why


@pytest.mark.parametrize("error", [Refused("no"), PayloadError("no")])
def test_a_look_that_breaks_off_takes_nothing_back(error):
    """What was found is found; otherwise nothing is known."""

    def look(search):
        search.see([Seen("2", NOON, "We see it.", ours)])
        raise error
        yield

    ours = True
    assert drive(searched(OURS, look), []).result.receipt.id == "2"
    ours = False
    assert Found(looked=False, why="no") == drive(searched(OURS, look), []).result
