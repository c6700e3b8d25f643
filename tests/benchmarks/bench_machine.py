"""How fast a legal step is, bare and with its event, beside other state machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from automat import TypeMachineBuilder
from harness import Goal, Result, interleave, timed
from transitions import Machine

from supportflow.machine import blank, decide, evolve, step
from supportflow.model import (
    Agent,
    Author,
    Inbound,
    Message,
    PartTold,
    Progress,
    Reading,
    Receipt,
    Reply,
    State,
    Step,
)
from supportflow.playbook import COMPLAINT

AT = datetime(2026, 1, 1, tzinfo=UTC)
NUMBER = 2000


class Floor:
    """A slotted object, a dictionary of edges, and nothing else."""

    __slots__ = ("since", "state", "version")

    def __init__(self, state: str, version: int, since: datetime) -> None:
        self.state, self.version, self.since = state, version, since


EDGES = {("received", "acknowledge"): "acknowledged", ("acknowledged", "apologize"): "apologized"}


def floor_step(core: Floor, taken: str, at: datetime) -> Floor:
    to = EDGES.get((core.state, taken))
    if to is None:
        raise ValueError(taken)
    return Floor(to, core.version + 1, at)


class Ticket:
    """What `transitions` moves; its `reset` puts it back without a transition."""

    state: str


def with_transitions():
    ticket = Ticket()
    Machine(
        ticket,
        states=["received", "acknowledged", "apologized", "resolved"],
        transitions=[
            {"trigger": "acknowledge", "source": "received", "dest": "acknowledged"},
            {"trigger": "apologize", "source": "acknowledged", "dest": "apologized"},
            {"trigger": "settle", "source": "apologized", "dest": "resolved"},
        ],
        initial="received",
        auto_transitions=False,
    )

    def work() -> None:
        ticket.state = "received"
        ticket.acknowledge()

    return work


def with_automat():
    """A machine with one input that goes there and back, so that each call is one step."""

    class Inputs:
        def toggle(self) -> None: ...

    from typing import Protocol

    class Steps(Protocol):
        def toggle(self) -> None: ...

    builder = TypeMachineBuilder(Steps, Inputs)
    received, acknowledged = builder.state("received"), builder.state("acknowledged")
    received.upon(Steps.toggle).to(acknowledged).returns(None)
    acknowledged.upon(Steps.toggle).to(received).returns(None)
    machine = builder.build()(Inputs())
    return machine.toggle


def run() -> list[Result]:
    """Measure the bare step and the whole path."""
    floor, ours = Floor("received", 1, AT), Progress(State.received, 1, AT)
    new = blank("shop", "t", "c", AT)
    message = Message("shop", "m", "1", Author("c"), "I was charged twice", AT)
    for event in decide(new, Inbound(message), AT, Reading("complaint")):
        new = evolve(new, event)
    reply, minute = Reply("r", Agent("ann"), steps=["acknowledge"]), timedelta(minutes=1)
    queued = new
    for event in decide(new, reply, AT + minute):
        queued = evolve(queued, event)
    told = PartTold("r", 0, Receipt("1", AT + 2 * minute))

    def whole() -> None:
        conversation = queued
        for event in decide(queued, told, AT):
            conversation = evolve(conversation, event)

    acknowledge = Step.acknowledge
    candidates = {
        "floor: slotted class and dict": timed(
            lambda: floor_step(floor, "acknowledge", AT), NUMBER
        ),
        "supportflow step": timed(lambda: step(ours, acknowledge, AT, COMPLAINT), NUMBER),
        "supportflow decide, event, evolve": timed(whole, NUMBER),
        "automat step": timed(with_automat(), NUMBER),
        "transitions step": timed(with_transitions(), NUMBER),
    }
    goals = (
        Goal("supportflow step", "transitions step", 1 / 12, "bare step / transitions"),
        Goal("supportflow step", "automat step", 1 / 2, "bare step / automat"),
        Goal(
            "supportflow decide, event, evolve",
            "transitions step",
            1 / 4,
            "decide, event, evolve / transitions",
        ),
    )
    return [interleave("A legal step", candidates, goals, rounds=25)]
