"""Somebody stops, ends or changes the machine of a READY host at the provider, with the provider's own tools."""

from __future__ import annotations

import pytest
from tests.support.lab import ONE_PROVIDER, give_back, onehybrid, quick_lab, told, wait_told
from tests.support.somebody import Somebody, machine_of

# which call switches a machine on, and the number of it after somebody's own
SWITCH = {"packet": ("POST /devices/{id}/actions", 2), "ec2": ("StartInstances", 1)}
both = pytest.mark.parametrize("provider", ONE_PROVIDER)


@both
def test_a_stopped_machine_is_switched_on_and_the_host_is_ready_again(provider: str) -> None:
    with quick_lab(provider, provision={"WHEN_STOPPED": "power-on"}) as lab:
        somebody, host_id = Somebody(lab), lab.create("edge1")
        machine = machine_of(lab.wait_ready(host_id))
        somebody.stop(machine)
        wait_told(lab, host_id, "PROVISION_STATE", "STOPPED")
        lab.wait(lambda: lab.simulator.calls.get(SWITCH[provider][0], 0) == SWITCH[provider][1])
        assert told(lab, host_id, "PROVISION_SWITCHED_ON")  # written before
        lab.kill_agent()
        onehybrid(lab, "agent", "run")
        host = lab.wait_ready(host_id)
        assert (machine_of(host), lab.made(), told(lab, host_id, "PROVISION_ERROR")) == (machine, 1, "")
        assert "its machine runs again" in lab.log()

        somebody.rename(machine, "nobody-told-us")
        wait_told(lab, host_id, "PROVISION_MACHINE_DRIFT", "hostname is nobody-told-us, was edge1")
        give_back(lab, host_id)


@both
def test_machines_that_stopped_or_ended_are_replaced_one_by_one(provider: str) -> None:
    with quick_lab(provider, provision={"WHEN_STOPPED": "replace", "WHEN_LOST": "replace"}) as lab:
        somebody, host_id = Somebody(lab), lab.create("edge1")
        used = [machine_of(lab.wait_ready(host_id))]
        for what in (somebody.stop, somebody.end):
            what(used[-1])
            lab.wait(lambda: machine_of(lab.host(host_id)) not in ("", *used))
            used.append(machine_of(lab.wait_ready(host_id)))
            assert [one["id"] for one in lab.alive()] == used[-1:]
        assert lab.made() == 3
        give_back(lab, host_id)


def test_a_stopped_machine_is_shown_until_somebody_starts_it() -> None:
    with quick_lab() as lab:
        host_id = lab.create("edge1")
        machine = machine_of(lab.wait_ready(host_id))
        Somebody(lab).stop(machine)
        wait_told(lab, host_id, "PROVISION_STATE", "STOPPED")
        assert told(lab, host_id, "PROVISION_ERROR") == f"machine {machine} is stopped at packet-ams, not running"
        assert f"machine {machine} of host {host_id} (edge1) is stopped" in onehybrid(lab, "gc", "--dry-run")
        give_back(lab, host_id)
