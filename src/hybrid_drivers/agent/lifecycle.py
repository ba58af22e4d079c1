"""The life of a host, decided by one pure function: ``next_step(observed) -> Step``.

    PENDING -> DEPLOYING -> BOOTING -> CONNECTING -> CONFIGURING -> READY
    and from any of them DELETING, or ERROR

Nothing here talks to anybody. The reconciler looks (``Observed``), asks ``next_step``, carries the step out, and
looks again; so it may be killed between any two instructions and the next look decides the same way.

What must hold whatever happens (DESIGN 3):

* no create without an intent in oned that names this agent and has stood for ``claim_delay``; another agent's host is
  taken over only when oned called us for it (oned calls the drivers of its own front-end only);
* no second create before absence has been seen for the provider's settle window, unless the provider itself makes
  repeated creates one.

How a machine is given back is decided in ``leaving``, what a READY host needs besides running in ``upkeep``.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from hybrid_drivers.agent.upkeep import NO_UPKEEP, CheckDrift, Rerun, UpdatePeers, Upkeep, urgent_step
from hybrid_drivers.model import Machine, MachineState, Placement
from hybrid_drivers.providers.base import Limits


class Phase(enum.Enum):
    """PROVISION_STATE, as people see it."""

    PENDING = "PENDING"
    DEPLOYING = "DEPLOYING"
    BOOTING = "BOOTING"
    CONNECTING = "CONNECTING"
    CONFIGURING = "CONFIGURING"
    READY = "READY"
    DELETING = "DELETING"
    ERROR = "ERROR"


# --- what is observed -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Intent:
    """PROVISION_INTENT: written to oned before a machine is asked for. ``since`` is unix seconds."""

    token: str
    attempt: int
    since: float
    spec_hash: str
    agent: str  # who wrote it; only that agent may create
    host_key: str = ""  # public key handed over in user-data, to be required at first contact


@dataclass(frozen=True, kw_only=True)
class Failure:
    """PROVISION_FAILURE: why nothing is tried any more until the cause is gone."""

    reason: str
    spec_hash: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to rent, resolved from host, cluster, provider entry and defaults."""

    provider: str
    spec_hash: str
    placements: tuple[Placement, ...]
    limits: Limits
    idempotent_create: bool


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All that the decision rests on; times are unix seconds, durations seconds."""

    now: float
    agent: str
    claim_delay: float
    called: bool = True  # oned has called this agent for this host: only then may it act on another agent's host
    # the host object
    plan: Plan | None  # None: nothing valid to rent yet, ``problem`` says why
    problem: str = ""
    intent: Intent | None = None
    own_key: bool = True  # this front-end can make the host key of the intent again; another one's it cannot
    deploy_id: str = ""
    failure: Failure | None = None
    enabled_again: bool = False  # the operator enabled the host after the failure
    since: float = 0.0  # when the present attempt began
    configured: bool = False
    ready: bool = False
    renamed: bool = True
    moved: bool = False  # it is READY, and its machine answers at another address than the recorded one
    monitored: bool = True  # what oned wants is true: running where enabled, stopped where offline
    upkeep: Upkeep = NO_UPKEEP  # of a READY host
    # the provider
    machines: Sequence[Machine] = ()  # with our owner tag and this host, or the recorded one; oldest first
    looked_at: float | None = None  # when the answer behind ``machines`` was asked for; None: not yet
    absent_since: float | None = None  # since when the answers have lacked the recorded machine
    uncertain_since: float | None = None  # since when a create call may have been carried out unseen: a lost reply,
    #                                       or an open intent that this process did not write
    running_since: float | None = None  # since when the machine has been seen running


# --- what is decided --------------------------------------------------------------------------------------------


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
class Fail:
    """Stop trying until the operator or the cause changes; told as PROVISION_ERROR and host state ERROR."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class TryAgain:
    """Clear the failure in oned: its cause changed, or the operator enabled the host."""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """All is as it should be (READY), or nothing more is to be done until something changes (ERROR)."""

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
    Rerun,
    UpdatePeers,
    CheckDrift,
    Fail,
    TryAgain,
    Rest,
]


def next_step(o: Observed) -> Step:
    """Decide what to do next for a host that exists in oned."""
    if o.failure is not None:
        if _worth_another_try(o, o.failure):
            return TryAgain()
        return Rest(phase=Phase.ERROR, problem=o.problem or o.failure.reason)  # the correction may be wrong too
    if o.plan is None:
        phase = Phase.READY if o.ready else Phase.PENDING
        return Wait(seconds=15, phase=phase, text="waiting for a valid PROVISION", problem=o.problem)
    if o.intent is not None and o.intent.agent != o.agent:
        if o.called:
            return WriteIntent(attempt=o.intent.attempt, take_over=o.intent)
        return Rest(phase=Phase.READY if o.ready else Phase.PENDING)
    if o.looked_at is None:
        return Look(not_before=o.now, phase=Phase.READY if o.ready else Phase.PENDING)
    recorded = next((m for m in o.machines if m.id == o.deploy_id), None) if o.deploy_id else None
    if recorded is not None and recorded.state is MachineState.GONE:
        return _ended(o, o.plan, f" ({recorded.failure})" if recorded.failure else "", recorded.failure_is_capacity)
    if recorded is not None:
        return _with_machine(o, o.plan, recorded)
    if o.deploy_id:
        return _recorded_but_absent(o, o.plan)
    return _without_machine(o, o.plan)


def _worth_another_try(o: Observed, failure: Failure) -> bool:
    changed = o.plan is not None and o.plan.spec_hash != failure.spec_hash
    return o.enabled_again or (changed and not o.ready)  # what was READY is rented anew only when people say so


def _without_machine(o: Observed, plan: Plan) -> Step:
    alive = [m for m in o.machines if m.state.exists and m.state is not MachineState.DELETING]
    if alive:
        return Record(machine=alive[0])
    intent = o.intent
    if intent is None:
        return WriteIntent(attempt=1)
    repeatable = intent.spec_hash == plan.spec_hash and o.own_key
    if o.uncertain_since is not None and not (plan.idempotent_create and repeatable):
        settled_at = o.uncertain_since + plan.limits.settle
        if (o.looked_at or 0) < settled_at:
            return _look_again(o, plan, settled_at)
    if not repeatable:
        return WriteIntent(attempt=intent.attempt + 1)
    if o.now < intent.since + o.claim_delay:
        left = intent.since + o.claim_delay - o.now
        return Wait(seconds=left, phase=Phase.DEPLOYING, text="intent written")
    placement = plan.placements[(intent.attempt - 1) % len(plan.placements)]
    return Create(intent=intent, placement=placement)


def _look_again(o: Observed, plan: Plan, settled_at: float) -> Step:
    text = "a machine may have been made; looking for it by its tag"
    pause = min(plan.limits.poll, max(settled_at - o.now, 0.0))
    if o.now < settled_at:
        if o.looked_at is not None and o.now - o.looked_at < pause:
            return Wait(seconds=pause - (o.now - o.looked_at), phase=Phase.DEPLOYING, text=text)
        return Look(not_before=o.now, phase=Phase.DEPLOYING)
    return Look(not_before=settled_at, phase=Phase.DEPLOYING)


def _recorded_but_absent(o: Observed, plan: Plan) -> Step:
    phase = Phase.READY if o.ready else Phase.DEPLOYING
    since = o.absent_since if o.absent_since is not None else o.now
    if o.now - since < plan.limits.settle:
        pause = min(plan.limits.poll, plan.limits.settle)
        return Wait(seconds=pause, phase=phase, text=f"machine {o.deploy_id} is not in the provider's lists")
    return _ended(o, plan, "", False)


def _ended(o: Observed, plan: Plan, why: str, sold_out: bool) -> Step:
    reason = f"machine {o.deploy_id} is gone at provider {plan.provider}{why}"
    if o.ready:
        return Fail(reason=f"{reason}, though nobody deleted the host: delete the host, or enable it to rent another")
    return NextAttempt(reason=reason, sold_out=sold_out)


def _with_machine(o: Observed, plan: Plan, machine: Machine) -> Step:
    if machine.state is MachineState.FAILED:
        why = machine.failure or "no reason given"
        if o.ready:
            return Fail(reason=f"machine {machine.id} failed at provider {plan.provider}: {why}")
        return GiveUpMachine(
            machine=machine,
            reason=f"machine {machine.id} failed at {plan.provider}: {why}",
            sold_out=machine.failure_is_capacity,
        )
    if o.ready:
        return _when_ready(o, plan, machine)
    address = machine.address()
    if machine.state is not MachineState.RUNNING or address is None:
        return _deploying(o, plan, machine)
    if not o.configured:
        return Configure(machine=machine, address=address)
    if not o.renamed:
        return Rename(address=address)
    return MarkReady(machine=machine)


def _deploying(o: Observed, plan: Plan, machine: Machine) -> Step:
    since = max(o.since, machine.created or 0.0)  # it may have taken long until there was one to be had
    if since and o.now - since > plan.limits.deploy:
        return Fail(
            reason=f"machine {machine.id} at {plan.provider} is still {machine.state.value} after "
            f"{lasting(plan.limits.deploy)}: "
            "delete the host to give it back, or enable it to wait again"
        )
    told = "" if machine.progress is None else f" {machine.progress:.0f}%"
    text = f"{machine.state.value}{told} at {plan.provider}"
    return Wait(seconds=plan.limits.poll, phase=Phase.DEPLOYING, text=text)


def lasting(seconds: float) -> str:
    """Write a limit for people: ``45 s``, ``60 minutes``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _when_ready(o: Observed, plan: Plan, machine: Machine) -> Step:
    address = machine.address()
    if machine.state is not MachineState.RUNNING or address is None:
        problem = f"machine {machine.id} is {machine.state.value} at {plan.provider}, not running"
        return Rest(phase=Phase.READY, problem=problem)
    if not o.renamed:
        return Rename(address=address)  # it came back with another address
    if o.moved:
        return RecordAddress(address=address)
    if (step := urgent_step(o.upkeep, address)) is not None:
        return step
    if not o.monitored:
        return SyncMonitoring(address=address)
    return CheckDrift(address=address) if o.upkeep.drift_due else Rest(phase=Phase.READY)
