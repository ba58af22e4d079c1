"""``next_step`` and ``release_step`` as tables: what is seen, what follows. The rules are those of DESIGN 3."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hybrid_drivers.agent.decision import (
    Configure,
    Create,
    Fail,
    GiveBack,
    GiveUpMachine,
    Look,
    MarkReady,
    NextAttempt,
    NoteMachine,
    PowerOn,
    Record,
    RecordAddress,
    Rename,
    Replace,
    Rest,
    Resume,
    Step,
    SyncMonitoring,
    TryAgain,
    Wait,
    WriteIntent,
)
from hybrid_drivers.agent.leaving import Delete, Forget, Leaving, release_step
from hybrid_drivers.agent.lifecycle import next_step
from hybrid_drivers.agent.observed import Failure, Intent, Observed, Phase, Plan, Remedy
from hybrid_drivers.agent.upkeep import CheckDrift, Rerun, UpdatePeers, Upkeep
from hybrid_drivers.model import Address, Machine, MachineState, Placement
from hybrid_drivers.providers.base import Limits

NOW = 1_000_000.0
LIMITS = Limits(settle=60, deploy=3600, boot=600, delete=900, poll=10)
FIRST, SECOND = Placement(plan="small", place="am"), Placement(plan="large", place="am")
PLAN = Plan(provider="acme", spec_hash="spec", placements=(FIRST, SECOND), limits=LIMITS, idempotent_create=False)
REPEATING = replace(PLAN, idempotent_create=True)
INTENT = Intent(token="t1", attempt=1, since=NOW - 5, spec_hash="spec", agent="me")
ADDRESS = (Address(address="192.0.2.7", family=4, public=True),)


def machine(state: MachineState = MachineState.RUNNING, *, id: str = "m1", **more: Any) -> Machine:
    return replace(Machine(id=id, state=state, addresses=ADDRESS), **more)


def seen(**more: Any) -> Observed:
    """Return a host at its very beginning, looked at just now, with ``more``."""
    blank = Observed(now=NOW, agent="me", claim_delay=1.0, plan=PLAN, looked_at=NOW)
    return replace(blank, **more)


def asked(**more: Any) -> Observed:
    """Return a host whose intent stands, but no machine yet."""
    return seen(**{"intent": INTENT, **more})


def made(state: MachineState = MachineState.RUNNING, **more: Any) -> Observed:
    """Return a host with a recorded machine."""
    return seen(**{"intent": INTENT, "deploy_id": "m1", "machines": (machine(state),), **more})


def ready(state: MachineState = MachineState.RUNNING, **more: Any) -> Observed:
    return made(state, **{"configured": True, "ready": True, **more})


STOPPED = "machine m1 is stopped at acme, not running"
GONE = "machine m1 is gone at provider acme, though nobody deleted the host"


def stopped(remedy: Remedy, *, switches: bool = True, **more: Any) -> Observed:
    """Return a READY host whose machine has been stopped for long enough."""
    plan = replace(PLAN, when_stopped=remedy, switches=switches)
    return ready(MachineState.STOPPED, **{"plan": plan, "stopped_since": NOW - 60, **more})


def lost(**more: Any) -> Observed:
    """Return a READY host whose machine is gone, to be replaced."""
    return ready(**{"plan": replace(PLAN, when_lost=Remedy.REPLACE), "machines": (), "absent_since": NOW - 60, **more})


def replacing(**more: Any) -> Observed:
    """Return a host whose stopped machine is to be replaced, as was decided a minute ago."""
    decided = {"configured": True, "replacing": "m1", "replaced": (NOW - 60,), "room": False}
    return made(MachineState.STOPPED, **{**decided, **more})


STEPS: dict[str, tuple[Observed, Step]] = {
    # rule 1: intent, then create, then id
    "nobody has looked yet": (seen(looked_at=None), Look(not_before=NOW, phase=Phase.PENDING)),
    "the beginning": (seen(), WriteIntent(attempt=1)),
    "an intent must stand for a while": (
        asked(intent=replace(INTENT, since=NOW - 0.25)),
        Wait(seconds=0.75, phase=Phase.DEPLOYING, text="intent written"),
    ),
    "then it is acted on": (asked(), Create(intent=INTENT, placement=FIRST)),
    "a machine of the host is recorded, not bought again": (
        asked(machines=(machine(MachineState.STARTING), machine(id="m2"))),
        Record(machine=machine(MachineState.STARTING)),
    ),
    "even before there is an intent": (seen(machines=(machine(),)), Record(machine=machine())),
    "one that is going is no machine": (
        asked(machines=(machine(MachineState.DELETING), machine(MachineState.GONE, id="m2"))),
        Create(intent=INTENT, placement=FIRST),
    ),
    # rule 2: a create that may have been carried out
    "lost reply: look at once": (
        asked(uncertain_since=NOW - 1, looked_at=NOW - 10),
        Look(not_before=NOW, phase=Phase.DEPLOYING),
    ),
    "lost reply: not more often than the account's pace": (
        asked(uncertain_since=NOW - 1, looked_at=NOW - 4),
        Wait(seconds=6.0, phase=Phase.DEPLOYING, text="a machine may have been made; looking for it by its tag"),
    ),
    "lost reply: an answer from before the window's end proves nothing": (
        asked(uncertain_since=NOW - 61, looked_at=NOW - 2),
        Look(not_before=NOW - 1, phase=Phase.DEPLOYING),
    ),
    "lost reply: settled": (asked(uncertain_since=NOW - 61), Create(intent=INTENT, placement=FIRST)),
    "lost reply: found": (asked(uncertain_since=NOW - 1, machines=(machine(),)), Record(machine=machine())),
    "lost reply: a provider that makes repeats one is asked again": (
        asked(uncertain_since=NOW - 1, plan=REPEATING),
        Create(intent=INTENT, placement=FIRST),
    ),
    "lost reply: but not with another request": (
        asked(uncertain_since=NOW - 61, plan=replace(REPEATING, spec_hash="other")),
        WriteIntent(attempt=2),
    ),
    "lost reply: nor before the window's end": (
        asked(uncertain_since=NOW - 10, looked_at=NOW - 10, plan=replace(REPEATING, spec_hash="other")),
        Look(not_before=NOW, phase=Phase.DEPLOYING),
    ),
    "lost reply: nor with another front-end's host key": (
        asked(uncertain_since=NOW - 61, plan=REPEATING, own_key=False),
        WriteIntent(attempt=2),
    ),
    "the request changed before anything was asked for": (
        asked(plan=replace(PLAN, spec_hash="other")),
        WriteIntent(attempt=2),
    ),
    # several agents
    "another agent's host, not called": (
        asked(intent=replace(INTENT, agent="you"), called=False),
        Rest(phase=Phase.PENDING),
    ),
    "another agent's READY host, not called": (
        ready(intent=replace(INTENT, agent="you"), called=False),
        Rest(phase=Phase.READY),
    ),
    "another agent's host, called": (
        asked(intent=replace(INTENT, agent="you")),
        WriteIntent(attempt=1, take_over=replace(INTENT, agent="you")),
    ),
    # the machine comes up
    "starting": (
        made(MachineState.STARTING, machines=(machine(MachineState.STARTING, progress=40.0),)),
        Wait(seconds=10, phase=Phase.DEPLOYING, text="starting 40% at acme"),
    ),
    "running without an address": (
        made(machines=(machine(addresses=()),)),
        Wait(seconds=10, phase=Phase.DEPLOYING, text="running at acme"),
    ),
    "running": (made(), Configure(machine=machine(), address="192.0.2.7")),
    "configured": (made(configured=True, renamed=False), Rename(address="192.0.2.7")),
    "renamed": (made(configured=True), MarkReady(machine=machine())),
    "READY, not monitored": (ready(monitored=False), SyncMonitoring(address="192.0.2.7")),
    "READY": (ready(), Rest(phase=Phase.READY)),
    # upkeep of a READY host
    "it moved": (ready(moved=True, monitored=False), RecordAddress(address="192.0.2.7")),
    "people ask for a run": (
        ready(monitored=False, upkeep=Upkeep(asked=True, peers_due=True)),
        Rerun(address="192.0.2.7", check_only=False),
    ),
    "people ask for a look": (
        ready(upkeep=Upkeep(asked=True, check_only=True)),
        Rerun(address="192.0.2.7", check_only=True),
    ),
    "peers before monitoring": (
        ready(monitored=False, upkeep=Upkeep(peers_due=True, drift_due=True)),
        UpdatePeers(address="192.0.2.7"),
    ),
    "monitoring before drift": (
        ready(monitored=False, upkeep=Upkeep(drift_due=True)),
        SyncMonitoring(address="192.0.2.7"),
    ),
    "drift": (ready(upkeep=Upkeep(drift_due=True)), CheckDrift(address="192.0.2.7")),
    "no upkeep of what does not run": (
        ready(MachineState.STOPPED, upkeep=Upkeep(asked=True, peers_due=True, drift_due=True)),
        Rest(phase=Phase.STOPPED, problem="machine m1 is stopped at acme, not running"),
    ),
    "nor before it is READY": (
        made(configured=True, upkeep=Upkeep(asked=True, peers_due=True)),
        MarkReady(machine=machine()),
    ),
    "READY and stopped": (
        ready(MachineState.STOPPED),
        Rest(phase=Phase.STOPPED, problem="machine m1 is stopped at acme, not running"),
    ),
    # rule 5: failures
    "failed before it was ready": (
        made(MachineState.FAILED, machines=(machine(MachineState.FAILED, failure="no power"),)),
        GiveUpMachine(
            machine=machine(MachineState.FAILED, failure="no power"), reason="machine m1 failed at acme: no power"
        ),
    ),
    "failed when READY": (
        ready(MachineState.FAILED),
        Fail(reason="machine m1 failed at provider acme: no reason given"),
    ),
    "vanished, first seen": (
        made(machines=()),
        Wait(seconds=10, phase=Phase.DEPLOYING, text="machine m1 is not in the provider's lists"),
    ),
    "vanished before it was ready": (
        made(machines=(), absent_since=NOW - 60),
        NextAttempt(reason="machine m1 is gone at provider acme"),
    ),
    "ended by itself, with a reason": (
        made(machines=(machine(MachineState.GONE, failure="spot"),)),
        NextAttempt(reason="machine m1 is gone at provider acme (spot)"),
    ),
    "vanished when READY": (
        ready(machines=(), absent_since=NOW - 60),
        Fail(
            reason="machine m1 is gone at provider acme, though nobody deleted the host: delete the host, or enable it "
            "to rent another"
        ),
    ),
    # behind our back: WHEN_STOPPED, WHEN_LOST
    "stopped, power-on: watched first": (
        stopped(Remedy.POWER_ON, stopped_since=NOW - 59),
        Rest(phase=Phase.STOPPED, problem=f"{STOPPED}; watched for a moment, then WHEN_STOPPED holds"),
    ),
    "stopped, power-on": (stopped(Remedy.POWER_ON), PowerOn(machine=machine(MachineState.STOPPED), number=1)),
    "stopped, power-on: but somebody works on the host": (
        stopped(Remedy.POWER_ON, left_alone=True),
        Rest(phase=Phase.STOPPED, problem=STOPPED),
    ),
    "stopped, power-on: the provider cannot": (
        stopped(Remedy.POWER_ON, switches=False),
        Rest(
            phase=Phase.STOPPED,
            problem=f"{STOPPED}; provider acme cannot switch machines on: start it there, or set WHEN_STOPPED=replace",
        ),
    ),
    "stopped, power-on: not again at once": (
        stopped(Remedy.POWER_ON, switched_on=(NOW - 59,), switch_problem="no room"),
        Rest(phase=Phase.STOPPED, problem=f"{STOPPED}; tries to switch it on within an hour: 1 (the last: no room)"),
    ),
    "stopped, power-on: a second time": (
        stopped(Remedy.POWER_ON, switched_on=(NOW - 61,)),
        PowerOn(machine=machine(MachineState.STOPPED), number=2),
    ),
    "stopped, power-on: the third time later": (
        stopped(Remedy.POWER_ON, switched_on=(NOW - 300, NOW - 119)),
        Rest(phase=Phase.STOPPED, problem=f"{STOPPED}; tries to switch it on within an hour: 2"),
    ),
    "stopped, power-on: no fourth time": (
        stopped(Remedy.POWER_ON, switched_on=(NOW - 3599, NOW - 3000, NOW - 2000)),
        Rest(
            phase=Phase.STOPPED,
            problem=f"{STOPPED}; tries to switch it on within an hour: 3: start it at the provider, or delete the host",
        ),
    ),
    "stopped, power-on: but in the next hour": (
        stopped(Remedy.POWER_ON, switched_on=(NOW - 3601, NOW - 3000, NOW - 2000)),
        PowerOn(machine=machine(MachineState.STOPPED), number=3),
    ),
    "it runs again": (ready(shown_ready=False, monitored=False), Resume(address="192.0.2.7")),
    "it runs again, elsewhere": (ready(shown_ready=False, moved=True), RecordAddress(address="192.0.2.7")),
    "stopped, replace": (stopped(Remedy.REPLACE), Replace(reason=STOPPED)),
    "stopped, replace: not under virtual machines": (
        stopped(Remedy.REPLACE, vms=2),
        Rest(
            phase=Phase.STOPPED,
            problem=f"{STOPPED}; it is replaced when its host has no virtual machine any more (2 now)",
        ),
    ),
    "stopped, replace: not for ever": (
        stopped(Remedy.REPLACE, replaced=(NOW - 86399, NOW - 7000, NOW - 3000)),
        Rest(phase=Phase.STOPPED, problem=f"{STOPPED}; it was replaced 3 times within a day: no more by itself"),
    ),
    "replacing: no capacity, then a last look": (
        replacing(replaced=(NOW - 4,)),
        Wait(seconds=6, phase=Phase.DELETING, text="another machine follows m1"),
    ),
    "replacing: oned has not heard that there is no capacity": (
        replacing(replaced=(NOW - 59,), room=True),
        Wait(seconds=1, phase=Phase.DELETING, text="another machine follows m1"),
    ),
    "replacing: given back": (replacing(), GiveBack(machine=machine(MachineState.STOPPED))),
    "replacing: not under a virtual machine that came last": (
        replacing(vms=1),
        Wait(
            seconds=10,
            phase=Phase.DELETING,
            text="another machine follows m1",
            problem="machine m1 waits: it is replaced when its host has no virtual machine any more (1 now)",
        ),
    ),
    "replacing: on its way back": (
        replacing(machines=(), leaving=True, absent_since=NOW - 600),
        Wait(seconds=10, phase=Phase.DELETING, text="giving machine m1 back; another follows"),
    ),
    "replacing: on its way back for too long": (
        replacing(machines=(), leaving=True, replaced=(NOW - 901,)),
        Wait(
            seconds=10,
            phase=Phase.DELETING,
            text="giving machine m1 back; another follows",
            problem="machine m1 is not gone at acme yet, so none is rented in its place: see there",
        ),
    ),
    "replacing: gone": (
        replacing(machines=(), absent_since=NOW - 60),
        NextAttempt(reason="machine m1 is gone at provider acme"),
    ),
    "replacing: it runs again, and is kept": (replacing(machines=(machine(),)), MarkReady(machine=machine())),
    "lost, replace": (lost(), Replace(reason=GONE)),
    "failed, replace": (
        lost(machines=(machine(MachineState.FAILED),)),
        Replace(reason="machine m1 failed at provider acme: no reason given"),
    ),
    "lost, replace: but somebody works on the host": (
        lost(left_alone=True),
        Fail(reason=f"{GONE}: delete the host, or enable it to rent another"),
    ),
    "lost, replace: not under virtual machines": (
        lost(vms=1),
        Fail(
            reason=f"{GONE}; it is replaced when its host has no virtual machine any more (1 now)",
            until_empty=True,
        ),
    ),
    "lost, replace: they are gone": (
        lost(failure=Failure(reason="lost", spec_hash="spec", until_empty=True)),
        TryAgain(replaces=True),
    ),
    "lost, replace: they are still there": (
        lost(vms=1, failure=Failure(reason="lost", spec_hash="spec", until_empty=True)),
        Rest(phase=Phase.ERROR, problem="lost"),
    ),
    "lost, replace: not wanted any more": (
        lost(plan=PLAN, failure=Failure(reason="lost", spec_hash="spec", until_empty=True)),
        Rest(phase=Phase.ERROR, problem="lost"),
    ),
    "what the machine is gets recorded": (
        ready(noted=False),
        NoteMachine(machine=machine(), fresh=True, difference=""),
    ),
    "it was changed": (
        ready(difference="plan is b, was a"),
        NoteMachine(machine=machine(), fresh=False, difference="plan is b, was a"),
    ),
    "that is shown": (ready(difference="plan is b", shown_difference="plan is b"), Rest(phase=Phase.READY)),
    "second placement": (
        asked(intent=replace(INTENT, attempt=2)),
        Create(intent=replace(INTENT, attempt=2), placement=SECOND),
    ),
    "placements go round": (
        asked(intent=replace(INTENT, attempt=3)),
        Create(intent=replace(INTENT, attempt=3), placement=FIRST),
    ),
    # failures that last
    "given up": (
        seen(failure=Failure(reason="quota", spec_hash="spec")),
        Rest(phase=Phase.ERROR, problem="quota"),
    ),
    "given up, enabled": (seen(failure=Failure(reason="quota", spec_hash="spec"), enabled_again=True), TryAgain()),
    "given up, request changed": (seen(failure=Failure(reason="quota", spec_hash="old")), TryAgain()),
    "given up, request no longer valid": (
        seen(failure=Failure(reason="quota", spec_hash="spec"), plan=None, problem="no PLAN"),
        Rest(phase=Phase.ERROR, problem="no PLAN"),
    ),
    "READY and given up: a changed request rents nothing new": (
        ready(machines=(), failure=Failure(reason="gone", spec_hash="old")),
        Rest(phase=Phase.ERROR, problem="gone"),
    ),
    # nothing valid to rent
    "no PROVISION": (
        seen(plan=None, problem="no PROVISION"),
        Wait(seconds=15, phase=Phase.PENDING, text="waiting for a valid PROVISION", problem="no PROVISION"),
    ),
    "READY without PROVISION": (
        ready(plan=None, problem="no PROVISION"),
        Wait(seconds=15, phase=Phase.READY, text="waiting for a valid PROVISION", problem="no PROVISION"),
    ),
    # rule 6: waits have limits
    "deploying for too long": (
        made(MachineState.STARTING, since=NOW - 3601),
        Fail(
            reason="machine m1 at acme is still starting after 60 minutes: delete the host to give it back, or enable "
            "it to wait again"
        ),
    ),
    "a machine made just now has its own time, however long it took to get one": (
        made(machines=(machine(MachineState.STARTING, created=NOW - 5),), since=NOW - 36000),
        Wait(seconds=10, phase=Phase.DEPLOYING, text="starting at acme"),
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_next_step(case: str) -> None:
    state, step = STEPS[case]
    assert next_step(state) == step


def test_agents_and_owners_are_never_mixed_up_whatever_else_is_seen() -> None:
    other = replace(INTENT, agent="you")
    for state in (seen(), asked(), made(), ready(), made(machines=())):
        step = next_step(replace(state, intent=other, called=False))
        assert isinstance(step, Rest)


# --- giving back ------------------------------------------------------------------------------------------------------


def leaving(**more: Any) -> Leaving:
    blank = Leaving(now=NOW, machine=machine(), looked_at=NOW, since=NOW - 5, settle=60, poll=10, limit=900)
    return replace(blank, **more)


GIVING = Wait(seconds=10, phase=Phase.DELETING, text="giving the machine back")
LATE = "machine m1 is still {} long after its deletion was asked for"
RELEASES = {
    "not looked yet": (leaving(looked_at=None), Look(not_before=NOW - 5, phase=Phase.DELETING)),
    "the answer is older than the wish": (leaving(looked_at=NOW - 6), Look(not_before=NOW - 5, phase=Phase.DELETING)),
    "it is there": (leaving(), Delete(machine=machine())),
    "it failed, and still costs": (
        leaving(machine=machine(MachineState.FAILED)),
        Delete(machine=machine(MachineState.FAILED)),
    ),
    "it goes": (leaving(machine=machine(MachineState.DELETING), deleted_at=NOW - 2), GIVING),
    "asked for, nothing happens yet": (leaving(deleted_at=NOW - 59), GIVING),
    "the provider said yes and did nothing": (leaving(deleted_at=NOW - 60), Delete(machine=machine())),
    "missing once": (leaving(machine=None, deleted_at=NOW - 2, missing=1), GIVING),
    "missing twice": (leaving(machine=None, deleted_at=NOW - 2, missing=2), Forget()),
    "shown as gone, once": (leaving(machine=machine(MachineState.GONE), deleted_at=NOW - 2, missing=1), GIVING),
    "never seen, too early to say": (leaving(machine=None), GIVING),
    "never seen within the window": (leaving(machine=None, since=NOW - 60), Forget()),
    "late": (
        leaving(machine=machine(MachineState.DELETING), since=NOW - 901, deleted_at=NOW - 2),
        replace(GIVING, problem=LATE.format("deleting")),
    ),
}


@pytest.mark.parametrize("case", RELEASES)
def test_release_step(case: str) -> None:
    state, step = RELEASES[case]
    assert release_step(state) == step
