"""What follows when a READY host's machine was stopped, failed or vanished behind our back; pure.

WHEN_STOPPED and WHEN_LOST of PROVISION say what is wanted; by default it is only shown. Whoever set the host offline or
disabled it works on it: then nothing is done. All tries are counted in oned, so that no restart forgets them.

A machine is replaced in steps, each written to oned before the next: the host is READY no more and has no capacity
(``Replace``); when no virtual machine is on it, the old machine is given back (``GiveBack``); when that is gone for
sure, the host goes on as one whose machine vanished on the way (``NextAttempt``). Never are there two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_drivers.agent.decision import Fail, GiveBack, PowerOn, Replace, Rest, Step, Wait
from hybrid_drivers.agent.observed import Observed, Phase, Plan, Remedy
from hybrid_drivers.model import Machine, MachineState
from hybrid_drivers.oned.template import readable

HOUR, DAY = 3600.0, 86400.0
SWITCHES = 3  # tries to switch a machine on within an hour
REPLACEMENTS = 3  # machines of a host that are replaced within a day
FIRST_PAUSE = 60.0  # seconds from the first try to switch it on to the second, doubled each time
BROKEN = (MachineState.STOPPED, MachineState.STOPPING, MachineState.FAILED)


def when_stopped(o: Observed, plan: Plan, machine: Machine) -> Step:
    """Decide about a READY host whose machine is stopped.

    It must have been so for the settle window: lists lag, and who switches a host off on purpose may be about to
    take it offline.
    """
    problem = f"machine {machine.id} is stopped at {plan.provider}, not running"
    since = o.stopped_since if o.stopped_since is not None else o.now
    if plan.when_stopped is Remedy.SHOW or o.left_alone:
        return Rest(phase=Phase.STOPPED, problem=problem)
    if o.now - since < plan.limits.settle:
        return Rest(phase=Phase.STOPPED, problem=f"{problem}; watched for a moment, then WHEN_STOPPED holds")
    if plan.when_stopped is Remedy.REPLACE:
        if (hindrance := not_replaced(o)) is not None:
            return Rest(phase=Phase.STOPPED, problem=f"{problem}; {hindrance}")
        return Replace(reason=problem)
    return _power_on(o, plan, machine, problem)


def _power_on(o: Observed, plan: Plan, machine: Machine, problem: str) -> Step:
    if not plan.switches:
        advice = f"provider {plan.provider} cannot switch machines on: start it there, or set WHEN_STOPPED=replace"
        return Rest(phase=Phase.STOPPED, problem=f"{problem}; {advice}")
    tries = recent(o.switched_on, o.now, HOUR)
    failed = f" (the last: {o.switch_problem})" if o.switch_problem else ""
    if tries:
        told = f"{problem}; tries to switch it on within an hour: {len(tries)}{failed}"
        if len(tries) >= SWITCHES:
            return Rest(phase=Phase.STOPPED, problem=f"{told}: start it at the provider, or delete the host")
        due = max(tries) + max(FIRST_PAUSE * 2.0 ** (len(tries) - 1), plan.limits.settle)
        if o.now < due:
            return Rest(phase=Phase.STOPPED, problem=told)
    return PowerOn(machine=machine, number=len(tries) + 1)


def when_lost(o: Observed, plan: Plan, reason: str, advice: str) -> Step:
    """Decide about a READY host whose machine is gone, or has failed, at the provider."""
    if plan.when_lost is not Remedy.REPLACE or o.left_alone:
        return Fail(reason=f"{reason}{advice}")
    if o.vms:
        return Fail(reason=f"{reason}; {not_replaced(o)}", until_empty=True)
    if (hindrance := not_replaced(o)) is not None:
        return Fail(reason=f"{reason}; {hindrance}{advice}")
    return Replace(reason=reason)


def not_replaced(o: Observed) -> str | None:
    """Say what keeps a machine from being replaced, None when nothing does."""
    if o.vms:
        return f"it is replaced when its host has no virtual machine any more ({o.vms} now)"
    if len(recent(o.replaced, o.now, DAY)) >= REPLACEMENTS:
        return f"it was replaced {REPLACEMENTS} times within a day: no more by itself"
    return None


def give_back(o: Observed, plan: Plan, machine: Machine) -> Step:
    """Decide about the machine that is to be replaced and still exists; none is deleted under virtual machines.

    The host has had no capacity since ``Replace``, but that must reach oned (unless messages get lost for ever), and
    what was placed on it just before must show first.
    """
    text = f"another machine follows {machine.id}"
    if o.vms:
        hindrance = f"machine {machine.id} waits: {not_replaced(o)}"
        return Wait(seconds=plan.limits.poll, phase=Phase.DELETING, text=text, problem=hindrance)
    pause = max(plan.limits.settle if o.room else 0.0, plan.limits.poll)
    left = max(o.replaced, default=0.0) + pause - o.now
    if 0 < left <= pause:
        return Wait(seconds=min(left, plan.limits.poll), phase=Phase.DELETING, text=text)
    return GiveBack(machine=machine)


def until_gone(o: Observed, plan: Plan) -> Step:
    """Wait for the machine that is given back; the next one is rented after it."""
    overdue = o.now - max(o.replaced, default=o.now) > plan.limits.delete
    problem = f"machine {o.deploy_id} is not gone at {plan.provider} yet, so none is rented in its place: see there"
    text = f"giving machine {o.deploy_id} back; another follows"
    seconds = plan.limits.poll
    return Wait(seconds=seconds, phase=Phase.DELETING, text=text, problem=problem if overdue else "")


def recent(times: Sequence[float], now: float, within: float) -> tuple[float, ...]:
    """Return the times not older than ``within`` seconds; what lies ahead (the clock was set back) counts."""
    return tuple(time for time in times if now - time < within)


def differences(noted: Mapping[str, str], owner: str, host_id: int, machine: Machine) -> str:
    """Say in what a machine differs from what was recorded of it: plan, place, name, and our tags.

    A machine without our tags is in no list; it is known by its id as long as its host exists.
    """
    found = facts(machine)
    told = [
        f"{key.lower()} is {found[key]}, was {value}" for key, value in noted.items() if found.get(key, value) != value
    ]
    if machine.tags is None or machine.tags.owner != owner:
        told.append("its tags do not say that it is this cloud's")
    elif machine.tags.host_id != host_id:
        told.append(f"its tags name host {machine.tags.host_id}")
    return "; ".join(told)


def facts(machine: Machine) -> dict[str, str]:
    """Return what is recorded of a machine, as far as its provider tells."""
    told = {"PLAN": machine.plan, "PLACE": machine.place, "HOSTNAME": machine.hostname}
    return {"ID": machine.id, **{key: readable(value) for key, value in told.items() if value}}
