"""The table: which step is legal from which state in which playbook, and nothing else.

Nothing about legality lives anywhere but here; the diagrams in the documentation are
generated from `PLAYBOOKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from supportflow.errors import InvalidValue
from supportflow.model import Intent, Mood, Reading, State, Step
from supportflow.model.values import member

__all__ = [
    "COMPLAINT",
    "PLAYBOOKS",
    "PRAISE",
    "STANDARD",
    "SUGGESTION",
    "Playbook",
    "find_playbook",
    "playbook_for",
]

#: The state that each step leads to by itself; a step up to the current state was taken.
_REACHED = {
    Step.acknowledge: State.acknowledged,
    Step.apologize: State.apologized,
    Step.resolve: State.resolved,
}
_ORDER = {state: place for place, state in enumerate(State)}

Edges = Mapping[State, Mapping[Step, State]]


def _with_repeats(edges: Edges) -> Edges:
    """Add what is true unless told otherwise: repeating a step already taken changes nothing."""
    listed = {
        member(State, state, "a state"): {
            member(Step, step, "a step"): member(State, to, "a state") for step, to in leads.items()
        }
        for state, leads in edges.items()
    }
    full: dict[State, Mapping[Step, State]] = {}
    for state in State:
        taken = {step: state for step, led in _REACHED.items() if _ORDER[led] <= _ORDER[state]}
        full[state] = MappingProxyType(taken | listed.get(state, {}))
    return MappingProxyType(full)


@attrs.frozen(eq=False)
class Playbook:
    """Say which steps are legal from which state, and where each leads.

    Args:
        name: Its name, kept in the log.
        edges: For each state, the steps that lead on from it. Repeating a step already
            taken is legal and stays there, unless it is listed with another state.
        strictness: Where a conversation's messages call for several playbooks, the
            strictest wins; at equal strictness, the later name in the alphabet.
        needs_feedback: True if resolving needs a linked feedback item (mission M13).

    Raises:
        InvalidValue: If some state cannot reach resolved, or a state or step is unknown.

    Example:
        >>> COMPLAINT.legal(State.received)
        (<Step.acknowledge: 'acknowledge'>,)
    """

    name: str
    edges: Edges = attrs.field(converter=_with_repeats, repr=False)
    strictness: int = 10
    needs_feedback: bool = False
    _unlinked: Edges = attrs.field(init=False, repr=False)

    @_unlinked.default
    def _without_resolving(self) -> Edges:
        if not self.needs_feedback:
            return self.edges
        return MappingProxyType(
            {
                state: MappingProxyType(
                    {step: to for step, to in leads.items() if to is not State.resolved}
                )
                if state is not State.resolved
                else leads
                for state, leads in self.edges.items()
            }
        )

    def __attrs_post_init__(self) -> None:
        for state in State:
            if not self._reaches_resolved(state):
                raise InvalidValue(f"playbook {self.name!r}: {state} never reaches resolved")

    def _reaches_resolved(self, start: State) -> bool:
        seen: set[State] = set()
        front = {start}
        while front:
            seen |= front
            front = {to for state in front for to in self.edges[state].values()} - seen
        return State.resolved in seen

    def table(self, feedback: bool) -> Edges:
        """Return the edges that are open.

        Args:
            feedback: Whether a feedback item is linked.
        """
        return self.edges if feedback else self._unlinked

    def legal(self, state: State) -> tuple[Step, ...]:
        """Return the legal steps in their order.

        Args:
            state: The state that the conversation is in.
        """
        return tuple(step for step in Step if step in self.edges[state])


_FREE: Edges = {
    State.received: {
        Step.acknowledge: State.acknowledged,
        Step.apologize: State.apologized,
        Step.resolve: State.resolved,
    },
    State.acknowledged: {Step.apologize: State.apologized, Step.resolve: State.resolved},
    State.apologized: {Step.resolve: State.resolved},
}

#: Acknowledge, apologize, resolve, in this order (mission M6).
COMPLAINT = Playbook(
    "complaint",
    {
        State.received: {Step.acknowledge: State.acknowledged},
        State.acknowledged: {Step.apologize: State.apologized},
        State.apologized: {Step.resolve: State.resolved},
    },
    strictness=30,
)
#: Questions and everything that nobody has read: an apology is legal and not needed.
STANDARD = Playbook("standard", _FREE, strictness=10)
#: A suggestion resolves only once it has become a feedback item (mission M13).
SUGGESTION = Playbook("suggestion", _FREE, strictness=20, needs_feedback=True)
#: Praise is resolved by thanking for it (mission M15).
PRAISE = Playbook(
    "praise",
    {**_FREE, State.received: {**_FREE[State.received], Step.acknowledge: State.resolved}},
    strictness=0,
)

#: The built-in playbooks by name.
PLAYBOOKS: Mapping[str, Playbook] = MappingProxyType(
    {book.name: book for book in (STANDARD, COMPLAINT, SUGGESTION, PRAISE)}
)


def find_playbook(playbooks: Mapping[str, Playbook], name: str) -> Playbook:
    """Return a playbook by name; the standard one where none is decided yet.

    Args:
        playbooks: By name.
        name: A name, or empty.

    Raises:
        InvalidValue: If there is none of that name.
    """
    try:
        return playbooks[name or "standard"]
    except KeyError:
        known = ", ".join(sorted(playbooks))
        raise InvalidValue(
            f"no playbook is called {name!r}; there are {known}. One that a log names must stay"
        ) from None


_ANGRY = frozenset({Mood.angry, Mood.furious})
_BY_INTENT: Mapping[Intent | None, str] = {
    Intent.complaint: COMPLAINT.name,
    Intent.abuse: COMPLAINT.name,
    Intent.suggestion: SUGGESTION.name,
    Intent.praise: PRAISE.name,
}


def playbook_for(reading: Reading) -> str:
    """Return the name of the playbook that a reading calls for.

    A complaint or abuse, or an angry message of any kind, justified or not, calls for the
    three steps (mission M6, M11).

    Args:
        reading: What was understood of a message.

    Example:
        >>> playbook_for(Reading("question", mood="furious"))
        'complaint'
    """
    if reading.mood in _ANGRY:
        return "complaint"
    return _BY_INTENT.get(reading.intent, "standard")
