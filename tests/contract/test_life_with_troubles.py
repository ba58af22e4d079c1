"""The life of a host when the provider, the machine or oned misbehaves: one machine in the end, and people know why."""

from __future__ import annotations

import pytest
from tests.support.lab import (
    CREATE,
    DELETE,
    ONE_PROVIDER,
    calls,
    give_back,
    provider_of,
    quick_lab,
    told,
    wait_failed,
    wait_phase,
    wait_told,
)

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.machines.light import LightMachines

both = pytest.mark.parametrize("provider", ONE_PROVIDER)
SOLD_OUT = {"packet": {"c3.small.x86@*": 0}, "ec2": {"c5.metal@*": 0}}
SECOND = {"packet": ("PLAN", "c3.small.x86,m3.small.x86"), "ec2": ("INSTANCETYPE", "c5.metal,m5.metal")}


def _plan(lab: Lab) -> str:
    return str(lab.alive()[0]["plan"])


# --- the provider -----------------------------------------------------------------------------------------------------


@both
def test_a_lost_reply_buys_one_machine(provider: str) -> None:
    with quick_lab(provider, lost_reply=1, list_lag=0.4) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 1


@both
def test_sold_out_takes_the_next_plan(provider: str) -> None:
    name, plans = SECOND[provider]
    with quick_lab(provider, capacity=SOLD_OUT[provider], provision={name: plans}) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        assert _plan(lab) == plans.partition(",")[2]
        give_back(lab, host_id)


@both
def test_all_sold_out_says_so_and_goes_on_when_there_is_capacity(provider: str) -> None:
    with quick_lab(provider, capacity=SOLD_OUT[provider]) as lab:
        host_id = lab.create("edge1")
        lab.wait(lambda: calls(lab, CREATE))
        wait_told(lab, host_id, "PROVISION_ERROR", "next try in")
        assert told(lab, host_id, "PROVISION_STATE") == "DEPLOYING"
        assert lab.host(host_id).state is HostState.MONITORED
        lab.simulator.knobs.capacity = {}
        lab.silence()
        lab.wait_ready(host_id)
        assert told(lab, host_id, "PROVISION_ERROR") == ""
        give_back(lab, host_id)
        assert lab.made() == 1


@both
def test_quota_is_an_error_until_the_host_is_enabled(provider: str) -> None:
    with quick_lab(provider, quota=1) as lab:
        first = lab.create("edge1")
        lab.wait_ready(first)
        second = lab.create("edge2")
        wait_failed(lab, second)
        assert any(
            word in told(lab, second, "PROVISION_ERROR").lower() for word in ("maximum number", "limit", "quota")
        )
        asked = calls(lab, CREATE)
        lab.silence()
        lab.wait(lambda: [run for run in lab.frontend.events if run.host_id == second and run.code])
        assert (calls(lab, CREATE), lab.host(second).state) == (asked, HostState.ERROR)
        lab.simulator.knobs.quota = 0
        lab.oned.set_host_status(second, "enable")
        lab.wait_ready(second)
        assert (told(lab, second, "PROVISION_ERROR"), lab.made()) == ("", 2)
        give_back(lab, first, second)


@both
def test_enabled_right_after_the_failure_counts(provider: str) -> None:
    with quick_lab(provider, quota=1, agent={"sweep": 60, "claim_delay": 0.8}) as lab:
        first, second = lab.create("edge1"), lab.create("edge2")
        lab.wait(lambda: HostState.ERROR in {lab.host(first).state, lab.host(second).state})
        failed = first if lab.host(first).state is HostState.ERROR else second
        lab.simulator.knobs.quota = 0
        lab.oned.set_host_status(failed, "enable")
        lab.silence()
        lab.wait_ready(failed)
        lab.wait_ready(first + second - failed)
        give_back(lab, first, second)
        assert lab.made() == 2


@both
@pytest.mark.parametrize("mode", ["failed", "vanish"])
def test_a_machine_that_fails_is_replaced(provider: str, mode: str) -> None:
    with quick_lab(provider, fail_provisioning=1, fail_mode=mode) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.wait(lambda: len(lab.alive()) == 1)
        give_back(lab, host_id)
        assert lab.made() == 2


def test_machines_that_always_fail_end_in_an_error_and_enabling_begins_anew() -> None:
    with quick_lab(fail_provisioning=2, agent={"tries": 2}) as lab:
        host_id = lab.create("edge1")
        wait_failed(lab, host_id)
        assert "2 machines failed" in told(lab, host_id, "PROVISION_ERROR")
        lab.wait_empty()
        assert lab.made() == 2
        lab.oned.set_host_status(host_id, "enable")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 3


@both
def test_a_delete_that_lies_is_asked_for_again(provider: str) -> None:
    with quick_lab(provider, lying_delete=1) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert calls(lab, DELETE) >= 2


@both
def test_a_slow_delete_is_waited_for(provider: str) -> None:
    with quick_lab(provider, slow_delete=2.5) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        give_back(lab, host_id)


def test_gone_is_403() -> None:
    with quick_lab(gone_is_403=True) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 1


@both
def test_lists_that_lag_behind(provider: str) -> None:
    with quick_lab(provider, list_lag=1.0, terminated_shown=0) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 1


@both
def test_a_provider_that_refuses_for_a_while(provider: str) -> None:
    with quick_lab(provider, error_rate=1.0, error_status=500) as lab:
        host_id = lab.create("edge1")
        wait_told(lab, host_id, "PROVISION_ERROR", "next try in")
        lab.simulator.knobs.error_rate = 0
        lab.silence()
        lab.wait_ready(host_id)
        assert told(lab, host_id, "PROVISION_ERROR") == ""
        give_back(lab, host_id)
        assert lab.made() == 1


# --- the machine ------------------------------------------------------------------------------------------------------


@both
def test_another_host_key_is_refused_and_nothing_is_sent(provider: str) -> None:
    with quick_lab(provider, bad_host_key=True) as lab:
        host_id = lab.create("edge1")
        wait_failed(lab, host_id)
        assert "host key" in told(lab, host_id, "PROVISION_ERROR")
        machine = str(lab.alive()[0]["id"])
        assert machine not in (lab.folder / "machines/light-machines.log").read_text()  # it logs every command
        give_back(lab, host_id)
        assert lab.made() == 1


def test_no_ssh_has_a_limit_and_enabling_waits_again() -> None:
    with quick_lab(no_ssh=True, limits={"boot": 0.5}) as lab:
        host_id = lab.create("edge1")
        wait_phase(lab, host_id, Phase.BOOTING)
        wait_failed(lab, host_id)
        assert told(lab, host_id, "PROVISION_ERROR").startswith("no SSH on machine")
        assert len(lab.alive()) == 1  # whoever wants to look at it can
        lab.simulator.knobs.no_ssh = False
        lab.machines.power_on(str(lab.alive()[0]["id"]))
        lab.oned.set_host_status(host_id, "enable")
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 1


def test_a_machine_that_never_runs_has_a_limit_and_enabling_waits_again() -> None:
    with quick_lab(provisioning=8, limits={"deploy": 1.6}) as lab:
        host_id = lab.create("edge1")
        wait_failed(lab, host_id)
        assert "is still starting after" in told(lab, host_id, "PROVISION_ERROR")
        since = told(lab, host_id, "PROVISION_SINCE")
        lab.oned.set_host_status(host_id, "enable")
        lab.wait(lambda: told(lab, host_id, "PROVISION_SINCE") != since)
        wait_failed(lab, host_id)
        give_back(lab, host_id)
        assert lab.made() == 1


@both
def test_a_ready_machine_that_vanishes_is_told_and_replaced_when_enabled(provider: str) -> None:
    with quick_lab(provider, terminated_shown=0) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        provider_of(lab).delete(str(lab.alive()[0]["id"]))
        wait_failed(lab, host_id)
        assert "nobody deleted the host" in told(lab, host_id, "PROVISION_ERROR")
        lab.oned.set_host_status(host_id, "enable")
        lab.wait(lambda: lab.made() == 2)
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 2


def test_a_step_that_fails_is_told_and_tried_again() -> None:
    with quick_lab(no_ssh=True, provision={"PLAYBOOK": "default"}) as lab:
        host_id = lab.create("edge1")
        wait_phase(lab, host_id, Phase.BOOTING)
        machine = str(lab.alive()[0]["id"])
        assert isinstance(lab.machines, LightMachines)
        lab.machines.fail_step(machine, "install packages", "E: No space left on device")
        lab.machines.power_on(machine)
        wait_failed(lab, host_id)
        error = told(lab, host_id, "PROVISION_ERROR")
        assert "step 'install packages' of role opennebula-" in error
        assert "No space left on device" in error
        lab.machines.fail_step(machine, "install packages", None)
        lab.silence()
        lab.wait_ready(host_id)
        assert told(lab, host_id, "PROVISION_ERROR") == ""
        give_back(lab, host_id)


# --- oned -------------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("phase", [Phase.DEPLOYING, Phase.CONFIGURING])
def test_oned_goes_down_and_comes_back(provider: str, phase: Phase) -> None:
    playbook = {"PLAYBOOK": "default"}
    with quick_lab(provider, provision=playbook, provisioning=0.4, step_delay=0.02) as lab:
        host_id = lab.create("edge1")
        wait_phase(lab, host_id, phase)
        lab.frontend.kill()
        lab.wait(lambda: "oned gives no answer" in lab.log())
        lab.frontend.start()
        lab.wait_ready(host_id)
        give_back(lab, host_id)
        assert lab.made() == 1
