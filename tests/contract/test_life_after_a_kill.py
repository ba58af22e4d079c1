"""``kill -9`` of the agent in each state: the next call of oned ends in one READY host and one machine ever made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.lab import CREATE, ONE_PROVIDER, PROVIDERS, calls, give_back, onehybrid, quick_lab, told, wait_phase

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.lab import Lab


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment to kill the agent in: how to make it last, how to see it, how to let time go on."""

    name: str
    come: Callable[[Lab, int], object]
    knobs: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, object] = field(default_factory=dict)
    playbook: str = "dummy"
    go_on: Callable[[Lab], None] = lambda lab: None


def _called(lab: Lab, host_id: int) -> object:
    return lab.host(host_id).state is HostState.MONITORED and not _intent(lab, host_id)


def _intent(lab: Lab, host_id: int) -> object:
    return lab.host(host_id).template.vector("PROVISION_INTENT")


def _asked(lab: Lab, host_id: int) -> object:
    return calls(lab, CREATE) and lab.made()


def _recorded(lab: Lab, host_id: int) -> object:
    return "DEPLOY_ID" in lab.host(host_id).template.vector("PROVISION")


def _in(phase: Phase) -> Callable[[Lab, int], object]:
    return lambda lab, host_id: told(lab, host_id, "PROVISION_STATE") == phase.value


def _switch_on(lab: Lab) -> None:
    lab.simulator.knobs.no_ssh = False
    for machine in lab.alive():
        lab.machines.power_on(str(machine["id"]))


def _quick(lab: Lab) -> None:
    lab.simulator.knobs.change({"provisioning": 0.05, "latency": 0})


MOMENTS = [
    Moment(name="nothing done", come=_called, knobs={"latency": 1.0}, go_on=_quick),
    Moment(name="intent written", come=_intent, agent={"claim_delay": 1.0}),
    Moment(name="create carried out, reply lost", come=_asked, knobs={"lost_reply": 1, "list_lag": 0.5}),
    Moment(name="recorded", come=_recorded, knobs={"provisioning": 1.0}),
    Moment(name="booting", come=_in(Phase.BOOTING), knobs={"no_ssh": True}, go_on=_switch_on),
    Moment(name="configuring", come=_in(Phase.CONFIGURING), playbook="default"),
    Moment(name="ready", come=_in(Phase.READY)),
]


CASES = [
    pytest.param(
        *(provider, moment),
        id=f"{provider}-{moment.name.replace(' ', '_')}",
        # Only what is found again after a lost reply is found in each provider's own way.
        marks=() if provider == PROVIDERS[0] or "reply lost" in moment.name else pytest.mark.long,
    )
    for provider in PROVIDERS
    for moment in MOMENTS
]


@pytest.mark.parametrize(("provider", "moment"), CASES)
def test_killed_and_called_again_ends_ready_with_one_machine(provider: str, moment: Moment) -> None:
    provision = {"PLAYBOOK": moment.playbook}
    with quick_lab(provider, agent=moment.agent, provision=provision, step_delay=0.05, **moment.knobs) as lab:
        host_id = lab.create("edge1")
        lab.wait(lambda: moment.come(lab, host_id))
        lab.kill_agent()
        moment.go_on(lab)
        lab.silence()
        lab.wait_ready(host_id)
        assert len(lab.alive()) == 1
        give_back(lab, host_id)
        assert lab.made() == 1


@pytest.mark.parametrize("provider", ONE_PROVIDER)
def test_killed_during_delete_still_gives_the_machine_back(provider: str) -> None:
    with quick_lab(provider, slow_delete=1.0) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.oned.delete_host(host_id)
        lab.wait(lambda: list((lab.location.state / "departures").glob("*.json")))
        lab.kill_agent()
        onehybrid(lab, "agent", "run")
        lab.wait_empty()
        assert lab.made() == 1


@pytest.mark.parametrize("provider", ONE_PROVIDER)
def test_killed_again_and_again(provider: str) -> None:
    with quick_lab(provider, provision={"PLAYBOOK": "default"}, step_delay=0.05, provisioning=1.0) as lab:
        host_id = lab.create("edge1")
        kills = 0
        for phase in (Phase.DEPLOYING, Phase.CONFIGURING, Phase.READY):
            wait_phase(lab, host_id, phase)
            lab.kill_agent()
            kills += 1
            lab.silence()
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert (lab.made(), kills) == (1, 3)


def test_killed_while_offline_stays_offline_and_comes_back() -> None:
    with quick_lab() as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.oned.set_host_status(host_id, "offline")
        lab.kill_agent()
        onehybrid(lab, "agent", "run")
        assert (lab.host(host_id).state, len(lab.alive())) == (HostState.OFFLINE, 1)
        lab.oned.set_host_status(host_id, "enable")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 1
