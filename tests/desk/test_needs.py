"""Prove that a page asks the store for what it needs, once each, and for nothing else."""

import pytest

from supportflow.desk.needs import answers_among, first_needs, key_of, later_needs, parent_of
from supportflow.model import Author, Reaction, StatusReport
from supportflow.stores import Wanted


def test_every_kind_of_fact_has_a_key_of_its_own(world):
    """Words and what changes them share the message's; reports about one have their own."""
    key = ("net", "post", "m1")
    facts = [world.said("m1"), world.ours("m1"), world.edit("m1"), world.removal("m1")]
    assert {key} == {key_of(fact) for fact in facts}
    reaction = Reaction("net", "post", "m1", Author("ola"), "+1", world.at(0))
    assert ("net", "reaction", "post:m1:ola:2026-03-02T09:00:00+00:00") == key_of(reaction)
    assert ("net", "report", "r1:sent") == key_of(StatusReport("net", "r1", "sent", world.at(0)))


def test_a_parent_is_of_the_same_kind(world):
    """Ids in a thread share a name space."""
    assert ("net", "post", "m0") == parent_of(world.message("m1", parent="m0"))
    assert ("net", "post", "") == parent_of(world.message("m1"))


def test_words_with_a_thread_need_one_round_trip(world):
    """Their conversations, the messages themselves, and what waits for them."""
    facts = [world.said("m1", thread="t1"), world.said("m1", thread="t1"), world.edit("m1")]
    assert [] == answers_among(facts)
    assert Wanted(
        heads=(("net", "t1", "ola"),),
        messages=(("net", "post", "m1"),),
        orphans=(("net", "post", "m1"), ("net", "post", "m1")),
        remotes=(("net", "m1"),),
    ) == first_needs("net", facts)


def test_a_public_root_asks_who_was_first(world, private):
    """Somebody may have answered it before it came; in private nobody can."""
    assert (("net", "m1"),) == first_needs("net", [world.said("m1")]).threads
    assert () == first_needs("net", [world.said("m1", **private)]).threads


def test_answers_ask_for_their_parents_and_for_what_they_opened_early(world):
    """The parent as a message and as a reply of ours; then threads under either id."""
    answers = [world.said("m2", parent="m1"), world.ours("o3", parent="m9", mark="k")]
    first = first_needs("net", answers)
    assert ((), ("k",)) == (first.heads, first.marks)
    assert {("net", "post", id) for id in ("m1", "m2", "m9", "o3")} == set(first.messages)
    assert {("net", "m1"), ("net", "o3"), ("net", "m9")} == set(first.remotes)
    known = {("net", "post", "m1"): "net/t0/ola#0"}
    later = later_needs("net", answers, known.get)
    assert ("net/t0/ola#0",) == later.conversations
    assert (("net", "t0", "ola"), ("net", "m2", "ola")) == later.heads
    assert {("net", thread) for thread in ("t0", "m2", "m9", "o3")} == set(later.threads)


@pytest.mark.parametrize("mark", [None, "k"])
def test_reports_ask_by_id_and_by_mark(world, mark):
    """A reaction also needs the message that it is about."""
    report = StatusReport("net", "r1", "sent", world.at(0), mark=mark)
    reaction = Reaction("net", "post", "m1", Author("ola"), "+1", world.at(0))
    wanted = first_needs("net", [report, reaction])
    assert (("net", "r1"), ("net", "m1")) == wanted.remotes
    assert ((mark,) if mark else ()) == wanted.marks
    assert ("net", "post", "m1") in wanted.messages
