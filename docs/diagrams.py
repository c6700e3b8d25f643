"""Draw the playbooks from the machine's own table, as SVG that needs nothing to be shown."""

from collections.abc import Iterator

from supportflow.model import State
from supportflow.playbook import Playbook

GAP, WIDTH, HEIGHT, MIDDLE = 200.0, 116.0, 34.0, 125.0
PLACE = {state: number for number, state in enumerate(State)}


def edges(playbook: Playbook) -> dict[tuple[State, State], str]:
    """Name the steps on each edge of a playbook, without those that change nothing."""
    found: dict[tuple[State, State], list[str]] = {}
    for state in State:
        for step, to in playbook.edges[state].items():
            if to != state:
                found.setdefault((state, to), []).append(step)
    return {edge: ", ".join(steps) for edge, steps in found.items()}


def _arrow(start: State, end: State, label: str) -> str:
    first, last = PLACE[start], PLACE[end]
    if last == first + 1:
        x, to, lift = first * GAP + WIDTH, last * GAP - 6, 0.0
        path = f"M{x} {MIDDLE}H{to}"
    else:  # over the row from its first and last state, under it from those between
        side = 1 if first in (0, len(PLACE) - 1) else -1
        x, to = first * GAP + WIDTH / 2, last * GAP + WIDTH / 2
        edge = MIDDLE - side * HEIGHT / 2
        bend = edge - side * 38 * abs(last - first)
        path = f"M{x} {edge}C{x} {bend} {to} {bend} {to} {edge - side * 6}"
        lift = edge + (bend - edge) * 0.75 - MIDDLE
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" marker-end="url(#tip)"/>'
        f'<text x="{(x + to) / 2}" y="{MIDDLE + lift - 6}">{label}</text>'
    )


def _parts(playbook: Playbook) -> Iterator[str]:
    yield (
        '<marker id="tip" viewBox="0 0 6 6" refX="0" refY="3" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0L6 3L0 6z" fill="currentColor"/></marker>'
    )
    for state, number in PLACE.items():
        yield (
            f'<rect x="{number * GAP}" y="{MIDDLE - HEIGHT / 2}" width="{WIDTH}" height="{HEIGHT}" '
            'rx="8" fill="none" stroke="currentColor"/>'
            f'<text x="{number * GAP + WIDTH / 2}" y="{MIDDLE + 4}">{state}</text>'
        )
    for (start, end), label in edges(playbook).items():
        yield _arrow(start, end, label)


def drawing(playbook: Playbook) -> str:
    """Draw a playbook: the states in a row, an arrow for each step that leads on."""
    width = GAP * (len(PLACE) - 1) + WIDTH
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 0 {width + 4} {2 * MIDDLE}" '
        f'role="img" aria-label="The {playbook.name} playbook" font-size="12" '
        f'text-anchor="middle" fill="currentColor">{"".join(_parts(playbook))}</svg>'
    )


def table(playbook: Playbook) -> str:
    """Say in words what the drawing shows."""
    rows = [
        f"| {state} | {', '.join(f'{step} → {to}' for step, to in playbook.edges[state].items())} |"
        for state in State
    ]
    return "\n".join(["| From | Legal steps, and where each leads |", "|---|---|", *rows])
