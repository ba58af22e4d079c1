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

How a machine is given back is decided in ``leaving``, what a READY host needs besides running in ``upkeep``, what
follows when its machine stopped or is lost in ``remedy``.
"""

from __future__ import annotations

from hybrid_drivers.agent import remedy
from hybrid_drivers.agent.decision import (
    Configure,
    Create,
    Fail,
    GiveUpMachine,
    Look,
    MarkReady,
    NextAttempt,
    NoteMachine,
    Record,
    RecordAddress,
    Rename,
    Rest,
    Resume,
    Step,
    SyncMonitoring,
    TryAgain,
    Wait,
    WriteIntent,
)
from hybrid_drivers.agent.observed import Failure, Observed, Phase, Plan, Remedy
from hybrid_drivers.agent.upkeep import CheckDrift, urgent_step
from hybrid_drivers.model import Machine, MachineState


def next_step(o: Observed) -> Step:
    """Decide what to do next for a host that exists in oned."""
    if o.failure is not None:
        if _worth_another_try(o, o.failure):
            return TryAgain()
        if _may_be_replaced_now(o, o.failure):
            return TryAgain(replaces=True)
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


def _may_be_replaced_now(o: Observed, failure: Failure) -> bool:
    """Tell whether only virtual machines, which are gone now, kept a lost machine from being replaced."""
    wanted = o.plan is not None and o.plan.when_lost is Remedy.REPLACE and not o.left_alone
    ours = o.intent is None or o.intent.agent == o.agent
    return failure.until_empty and o.ready and wanted and ours and remedy.not_replaced(o) is None


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
    if o.leaving and o.replacing == o.deploy_id and not o.ready:
        return remedy.until_gone(o, plan)
    phase = Phase.READY if o.ready else Phase.DEPLOYING
    since = o.absent_since if o.absent_since is not None else o.now
    if o.now - since < plan.limits.settle:
        pause = min(plan.limits.poll, plan.limits.settle)
        return Wait(seconds=pause, phase=phase, text=f"machine {o.deploy_id} is not in the provider's lists")
    return _ended(o, plan, "", False)


def _ended(o: Observed, plan: Plan, why: str, sold_out: bool) -> Step:
    reason = f"machine {o.deploy_id} is gone at provider {plan.provider}{why}"
    if o.ready:
        advice = ": delete the host, or enable it to rent another"
        return remedy.when_lost(o, plan, f"{reason}, though nobody deleted the host", advice)
    return NextAttempt(reason=reason, sold_out=sold_out)


def _with_machine(o: Observed, plan: Plan, machine: Machine) -> Step:
    if o.replacing == machine.id and not o.ready and machine.state in remedy.BROKEN:
        return remedy.give_back(o, plan, machine)
    if machine.state is MachineState.FAILED:
        why = machine.failure or "no reason given"
        if o.ready:
            return remedy.when_lost(o, plan, f"machine {machine.id} failed at provider {plan.provider}: {why}", "")
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
    if machine.state is MachineState.STOPPED:
        return remedy.when_stopped(o, plan, machine)
    address = machine.address()
    if machine.state is not MachineState.RUNNING or address is None:
        problem = f"machine {machine.id} is {machine.state.value} at {plan.provider}, not running"
        return Rest(phase=Phase.READY if o.shown_ready else Phase.STOPPED, problem=problem)
    if not o.renamed:
        return Rename(address=address)  # it came back with another address
    if o.moved:
        return RecordAddress(address=address)
    if (step := urgent_step(o.upkeep, address)) is not None:
        return step
    if not o.shown_ready:
        return Resume(address=address)
    if not o.monitored:
        return SyncMonitoring(address=address)
    if not o.noted or o.difference != o.shown_difference:
        return NoteMachine(machine=machine, fresh=not o.noted, difference=o.difference)
    return CheckDrift(address=address) if o.upkeep.drift_due else Rest(phase=Phase.READY)
