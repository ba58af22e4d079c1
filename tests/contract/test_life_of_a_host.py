"""The life of a host with the real agent, on a front-end stand-in, against each provider's API: when all goes well.

The agent is a process of its own, started by the real thin client that the stand-in runs as oned's drivers do.
"""

from __future__ import annotations

import pytest
from tests.support import lab as labs
from tests.support.lab import (
    CREATE,
    ONE_PROVIDER,
    PROVIDERS,
    give_back,
    quick_lab,
    told,
    wait_phase,
    wait_told,
)

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.model import HostState

each = pytest.mark.parametrize("provider", PROVIDERS)
once = pytest.mark.parametrize("provider", ONE_PROVIDER)


@each
def test_create_offline_enable_delete(provider: str) -> None:
    with quick_lab(provider) as lab:
        host_id = lab.create("edge1")
        host = lab.wait_ready(host_id)
        machine = lab.alive()[0]
        provision = host.template.vector("PROVISION")
        assert (provision["DEPLOY_ID"], provision["HOSTNAME"]) == (machine["id"], "edge1")
        assert host.name.startswith("127.77.")  # renamed to the address oned's drivers use
        assert host.template.text("PM_MAD") == provider
        assert host.template.text("PROVISION_CONFIGURATION_STATUS") == "configured"
        assert (told(lab, host_id, "PROVISION_ERROR"), host.state) == ("", HostState.MONITORED)

        lab.oned.set_host_status(host_id, "offline")
        lab.wait(lambda: any("stop" in run.argv for run in lab.frontend.events))
        lab.wait(lambda: lab.host(host_id).state is HostState.OFFLINE)
        assert len(lab.alive()) == 1
        lab.oned.set_host_status(host_id, "enable")
        lab.wait_ready(host_id)

        give_back(lab, host_id)
        assert (lab.made(), labs.calls(lab, CREATE)) == (1, 1)


@each
def test_a_cluster_in_parallel(provider: str) -> None:
    with quick_lab(provider) as lab:
        ids = [lab.create(f"edge{number}") for number in range(6)]
        hosts = [lab.wait_ready(host_id) for host_id in ids]
        assert len({host.name for host in hosts}) == 6
        owners = {host.template.vector("PROVISION")["DEPLOY_ID"] for host in hosts}
        assert owners == {machine["id"] for machine in lab.alive()}
        give_back(lab, *ids)
        assert lab.made() == 6


@once
def test_delete_while_deploying(provider: str) -> None:
    with quick_lab(provider, provisioning=60) as lab:
        host_id = lab.create("edge1")
        lab.wait(lambda: "DEPLOY_ID" in lab.host(host_id).template.vector("PROVISION"))
        lab.simulator.knobs.provisioning = 0.1
        give_back(lab, host_id)


@once
def test_delete_before_the_machine_was_asked_for(provider: str) -> None:
    with quick_lab(provider, agent={"claim_delay": 0.8}) as lab:
        host_id = lab.create("edge1")
        lab.wait(lambda: lab.host(host_id).template.vector("PROVISION_INTENT"))
        lab.oned.delete_host(host_id)
        lab.wait_empty()
        assert lab.made() == 0


@each
def test_delete_while_the_create_call_runs(provider: str) -> None:
    with quick_lab(provider) as lab:
        host_id = lab.create("edge1")
        lab.wait(lambda: lab.host(host_id).template.vector("PROVISION_INTENT"))
        lab.simulator.knobs.latency = 0.3
        lab.wait(lambda: labs.calls(lab, CREATE))
        lab.oned.delete_host(host_id)
        lab.simulator.knobs.latency = 0
        lab.wait(lab.made)
        lab.wait_empty()


@once
def test_delete_while_configuring(provider: str) -> None:
    with quick_lab(provider, provision={"PLAYBOOK": "default"}, step_delay=0.2) as lab:
        host_id = lab.create("edge1")
        wait_phase(lab, host_id, Phase.CONFIGURING)
        give_back(lab, host_id)
        assert lab.made() == 1


@once
def test_offline_while_on_the_way_makes_it_ready_but_silent(provider: str) -> None:
    with quick_lab(provider, provisioning=0.5) as lab:
        host_id = lab.create("edge1")
        wait_phase(lab, host_id, Phase.DEPLOYING)
        lab.oned.set_host_status(host_id, "offline")
        wait_told(lab, host_id, "PROVISION_READY", "1")
        assert lab.host(host_id).state is HostState.OFFLINE
        lab.oned.set_host_status(host_id, "enable")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 1


@once
def test_progress_is_told(provider: str) -> None:
    seen: list[str] = []
    with quick_lab(provider, provisioning=2.0, provision={"PLAYBOOK": "default"}, step_delay=0.05) as lab:
        host_id = lab.create("edge1")

        def ready() -> bool:
            phase = told(lab, host_id, "PROVISION_STATE")
            # PENDING goes through monitord and may arrive after the intent, which is written to oned itself.
            if phase and phase != Phase.PENDING.value and seen[-1:] != [phase]:
                seen.append(phase)
            return phase == Phase.READY.value

        lab.wait(ready)
        wanted = [phase.value for phase in Phase]
        assert [wanted.index(phase) for phase in seen] == sorted(wanted.index(phase) for phase in seen), seen
        assert {"DEPLOYING", "CONFIGURING", "READY"} <= set(seen)
        give_back(lab, host_id)
