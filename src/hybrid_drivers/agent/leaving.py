"""How a machine is given back, decided by one pure function: ``release_step(leaving) -> ReleaseStep``.

A machine is forgotten only after it was missing twice in answers asked for after its deletion: providers say yes and
do nothing, lists lag, and what is forgotten goes on costing money.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from hybrid_drivers.agent.decision import Look, Wait
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.model import Machine, MachineState

CONFIRMATIONS = 2  # how many answers must lack a deleted machine


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """A machine, or what may be one, whose host is gone from oned."""

    now: float
    machine: Machine | None  # as the last answer shows it; None: the answer lacks it
    looked_at: float | None  # when that answer was asked for
    since: float  # when it was decided to give it back (unix seconds)
    settle: float
    poll: float
    limit: float  # how long a deletion may take before people are told
    deleted_at: float | None = None  # the last accepted delete call
    missing: int = 0  # answers asked for after ``deleted_at`` that lacked it
    known: bool = True  # False: nobody has seen a machine yet, only an intent


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Call delete."""

    machine: Machine


@dataclass(frozen=True, kw_only=True)
class Forget:
    """Gone for sure: drop the tombstone."""


ReleaseStep = Union[Wait, Look, Delete, Forget]


def release_step(o: Leaving) -> ReleaseStep:
    """Decide what to do next for a machine that is to be given back."""
    text = "giving the machine back"
    if o.looked_at is None or o.looked_at < o.since:
        return Look(not_before=o.since, phase=Phase.DELETING)
    if o.machine is None or o.machine.state is MachineState.GONE:
        if o.deleted_at is not None and o.missing >= CONFIRMATIONS:
            return Forget()
        if o.deleted_at is None and o.now - o.since >= o.settle:
            return Forget()  # never seen within the settle window, or gone before we asked
        return Wait(seconds=o.poll, phase=Phase.DELETING, text=text)
    if o.deleted_at is None:
        return Delete(machine=o.machine)
    if o.machine.state is not MachineState.DELETING and o.now - o.deleted_at >= max(o.settle, o.poll):
        return Delete(machine=o.machine)  # the provider said yes and did nothing
    overdue = o.now - o.since > o.limit
    problem = f"machine {o.machine.id} is still {o.machine.state.value} long after its deletion was asked for"
    return Wait(seconds=o.poll, phase=Phase.DELETING, text=text, problem=problem if overdue else "")
