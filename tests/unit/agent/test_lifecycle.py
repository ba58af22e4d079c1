"""``next_step`` and ``release_step`` as tables: what is seen, what follows. The rules are those of DESIGN 3."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hybrid_drivers.agent.decision import (
    Configure,
    Create,
    Fail,
    GiveUpMachine,
    Look,
    MarkReady,
    NextAttempt,
    Record,
    RecordAddress,
    Rename,
    Rest,
    Step,
    SyncMonitoring,
    TryAgain,
    Wait,
    WriteIntent,
)
from hybrid_drivers.agent.leaving import Delete, Forget, Leaving, release_step
from hybrid_drivers.agent.lifecycle import next_step
from hybrid_drivers.agent.observed import Failure, Intent, Observed, Phase, Plan
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
        Rest(phase=Phase.READY, problem="machine m1 is stopped at acme, not running"),
    ),
    "nor before it is READY": (
        made(configured=True, upkeep=Upkeep(asked=True, peers_due=True)),
        MarkReady(machine=machine()),
    ),
    "READY and stopped": (
        ready(MachineState.STOPPED),
        Rest(phase=Phase.READY, problem="machine m1 is stopped at acme, not running"),
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
