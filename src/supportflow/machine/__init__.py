"""The conversation's state machine: pure, no clock, no store, no network.

`decide` turns a fact or a command into events, or refuses it; `evolve` folds an event into
the snapshot. Legality comes from the playbook's table alone, clocks and states from
`supportflow.sla.clock.fold`. It can be used without a desk.
"""

from supportflow.machine.decide import Input, decide, legal_steps, merge, recheck
from supportflow.machine.evolve import evolve, replay
from supportflow.machine.rules import RULES, Rules, belongs, blank, step
from supportflow.playbook import PLAYBOOKS, Playbook

__all__ = [
    "PLAYBOOKS",
    "RULES",
    "Input",
    "Playbook",
    "Rules",
    "belongs",
    "blank",
    "decide",
    "evolve",
    "legal_steps",
    "merge",
    "recheck",
    "replay",
    "step",
]
