"""Prove that each decision is made on what is there, and recorded once for its key."""

import pytest

from supportflow import InvalidValue, Stale
from supportflow.errors import Conflict, StoreUnavailable
from supportflow.events import Assigned, Classified, HandedOff, Noted, Tagged


def test_a_merged_conversation_is_stale_for_dismissing_only(world):
    """A tag follows the merge; a dismissal wants to have seen the whole."""
    early = world.desk.get(world.open("m3", minutes=3, parent="m2"))
    world.take(world.said("m2", minutes=2, parent="m1"))
    assert "net/m1/ola#0" == world.desk.tag(early, "vip").id
    with pytest.raises(Stale, match="became part of"):
        world.desk.dismiss(early, "spam", confirmed=True)


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("classify", ("question",), Classified),
        ("assign", ("anna",), Assigned),
        ("tag", ("vip",), Tagged),
        ("note", ("Called her.",), Noted),
        ("handoff", ("billing",), HandedOff),
    ],
)
def test_a_repeated_key_changes_nothing(world, name, given, kind):
    """The same command again returns the conversation as it is, even when that has changed."""
    conversation = world.open("m1")
    getattr(world.desk, name)(conversation, *given, key="k1")
    world.desk.tag(conversation, "later")
    found = world.desk.get(conversation)
    assert found == getattr(world.desk, name)(conversation, *given, key="k1")
    assert 1 + (kind is Tagged) == len(world.events(conversation, kind))


def test_a_key_must_be_a_text(world):
    """A key that means nothing is refused rather than taken for none."""
    conversation = world.open("m1")
    for key in ("", " ", 5):
        with pytest.raises(InvalidValue, match="key is"):
            world.desk.tag(conversation, "vip", key=key)


def test_a_conflict_is_decided_anew(shaky):
    """Somebody wrote in between: the decision is made on what is there now."""
    conversation = shaky.open("m1")
    shaky.store.fail("commit", Conflict("busy"))
    assert ("vip",) == shaky.desk.tag(conversation, "vip").tags


def test_a_lost_answer_to_a_commit_decides_nothing_twice(shaky):
    """The commit happened, unknown to us: the same key finds it."""
    conversation = shaky.open("m1")
    shaky.store.fail("commit", StoreUnavailable("the answer is lost"), after=True)
    with pytest.raises(StoreUnavailable):
        shaky.desk.note(conversation, "Called her.", key="k1")
    shaky.desk.note(conversation, "Called her.", key="k1")
    assert 1 == len(shaky.events(conversation, Noted))
