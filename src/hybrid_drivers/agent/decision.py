"""What may be decided about a host: one step, for the executor to carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from hybrid_drivers.agent.observed import Intent, Phase
from hybrid_drivers.agent.upkeep import CheckDrift, Rerun, UpdatePeers
from hybrid_drivers.model import Machine, Placement


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do for ``seconds``; ``phase`` and ``text`` are shown meanwhile, ``problem`` as PROVISION_ERROR."""

    seconds: float
    phase: Phase
    text: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Ask the provider (an answer not older than ``not_before``)."""

    not_before: float
    phase: Phase


@dataclass(frozen=True, kw_only=True)
class WriteIntent:
    """Write an intent for ``attempt`` in this agent's name; ``take_over`` is another agent's, otherwise kept."""

    attempt: int
    take_over: Intent | None = None


@dataclass(frozen=True, kw_only=True)
class Create:
    """Ask the provider for a machine, once, with the intent's token."""

    intent: Intent
    placement: Placement


@dataclass(frozen=True, kw_only=True)
class Record:
    """Write the machine's id to oned."""

    machine: Machine


@dataclass(frozen=True, kw_only=True)
class GiveUpMachine:
    """This machine failed before it was ready: give it back, then try the next placement."""

    machine: Machine
    reason: str
    sold_out: bool = False  # the plan was sold out after all: no fault of the machine


@dataclass(frozen=True, kw_only=True)
class NextAttempt:
    """The recorded machine vanished before it was ready: clear its id and raise the attempt."""

    reason: str
    sold_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Configure:
    """Connect over SSH and configure."""

    machine: Machine
    address: str


@dataclass(frozen=True, kw_only=True)
class Rename:
    """Rename the host to the address by which oned's drivers reach it."""

    address: str


@dataclass(frozen=True, kw_only=True)
class RecordAddress:
    """Write the new address of a READY host to oned."""

    address: str


@dataclass(frozen=True, kw_only=True)
class MarkReady:
    """Write READY to oned."""

    machine: Machine


@dataclass(frozen=True, kw_only=True)
class SyncMonitoring:
    """Start OpenNebula's probes on the node, or stop them when the host is offline."""

    address: str


@dataclass(frozen=True, kw_only=True)
class Resume:
    """The machine of a READY host runs again: start the probes, then show READY."""

    address: str


@dataclass(frozen=True, kw_only=True)
class NoteMachine:
    """Record what the machine of a READY host is (``fresh``), and in what it differs from what was recorded."""

    machine: Machine
    fresh: bool
    difference: str


@dataclass(frozen=True, kw_only=True)
class PowerOn:
    """Switch the stopped machine of a READY host on; ``number`` of the try within the hour."""

    machine: Machine
    number: int


@dataclass(frozen=True, kw_only=True)
class Replace:
    """Write that the READY host's machine is given up for another one; no machine is touched yet."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class GiveBack:
    """Give the machine back that is to be replaced; the next is rented when it is gone for sure."""

    machine: Machine


@dataclass(frozen=True, kw_only=True)
class Fail:
    """Stop trying until the operator or the cause changes; told as PROVISION_ERROR and host state ERROR.

    ``until_empty``: replace the machine when no virtual machine is on the host any more.
    """

    reason: str
    until_empty: bool = False


@dataclass(frozen=True, kw_only=True)
class TryAgain:
    """Clear the failure in oned: its cause changed, or the operator enabled the host.

    ``replaces``: another machine is rented by policy, and counted as such.
    """

    replaces: bool = False


@dataclass(frozen=True, kw_only=True)
class Rest:
    """All is as it should be (READY), or nothing more is to be done until something changes (ERROR, STOPPED)."""

    phase: Phase
    problem: str = ""


Step = Union[
    Wait,
    Look,
    WriteIntent,
    Create,
    Record,
    GiveUpMachine,
    NextAttempt,
    Configure,
    Rename,
    RecordAddress,
    MarkReady,
    SyncMonitoring,
    Resume,
    NoteMachine,
    PowerOn,
    Replace,
    GiveBack,
    Rerun,
    UpdatePeers,
    CheckDrift,
    Fail,
    TryAgain,
    Rest,
]
