"""Prove that the drawings in the documentation show the machine's table, all of it and no more."""

import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from supportflow.model import State, Step
from supportflow.playbook import PLAYBOOKS, Playbook

DIAGRAMS = runpy.run_path(str(Path(__file__).resolve().parent.parent / "docs" / "diagrams.py"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("book", PLAYBOOKS.values(), ids=PLAYBOOKS)
def test_drawing_shows_every_edge(book: Playbook) -> None:
    """Each pair of states that a step joins has one arrow, which names the steps."""
    root = ET.fromstring(DIAGRAMS["drawing"](book))
    texts = [str(text.text) for text in root.iter(f"{SVG}text")]
    labels = sorted(text for text in texts if text not in set(State))
    leading = [
        (state, to, step)
        for state in State
        for step in book.legal(state)
        if (to := book.edges[state][step]) != state
    ]
    joined = {
        (state, to): [s for a, b, s in leading if (a, b) == (state, to)] for state, to, _ in leading
    }
    assert set(State) <= set(texts)
    assert sorted(", ".join(sorted(steps)) for steps in joined.values()) == sorted(
        ", ".join(sorted(label.split(", "))) for label in labels
    )


@pytest.mark.parametrize("book", PLAYBOOKS.values(), ids=PLAYBOOKS)
def test_table_says_every_legal_step(book: Playbook) -> None:
    """The table has a row for every state, with the legal steps and where each leads."""
    rows = dict(row.strip("| ").split(" | ", 1) for row in DIAGRAMS["table"](book).splitlines()[2:])
    assert list(State) == list(rows)
    assert {state: {*book.legal(state)} for state in State} == {
        state: {Step(part.split(" → ")[0]) for part in row.split(", ")}
        for state, row in rows.items()
    }
    assert all(
        book.edges[State(state)][Step(part.split(" → ")[0])] == part.split(" → ")[1]
        for state, row in rows.items()
        for part in row.split(", ")
    )


def test_an_arrow_back_is_drawn_too() -> None:
    """A user's own playbook may lead back: its arrow is drawn, and the drawing stays well formed."""
    book = Playbook(
        "own",
        {
            State.received: {Step.resolve: State.resolved},
            State.acknowledged: {Step.resolve: State.resolved},
            State.apologized: {Step.acknowledge: State.received, Step.resolve: State.resolved},
        },
    )
    root = ET.fromstring(DIAGRAMS["drawing"](book))
    assert 4 == len(root.findall(f"{SVG}path"))
