"""Somebody stops, ends or changes the machine of a READY host at the provider, with the provider's own tools."""

from __future__ import annotations

import pytest
import requests
from tests.support.ec2_account import Account
from tests.support.lab import ONE_PROVIDER, give_back, onehybrid, quick_lab, told, wait_told

from hybrid_drivers.model import Host
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.packet_api import PacketSimulator

# which call switches a machine on, and the number of it after somebody's own
SWITCH = {"packet": ("POST /devices/{id}/actions", 2), "ec2": ("StartInstances", 1)}
both = pytest.mark.parametrize("provider", ONE_PROVIDER)


class Somebody:
    """A person with an account at the provider."""

    def __init__(self, lab: Lab) -> None:
        self._at = lab.simulator

    def stop(self, machine: str) -> None:
        if isinstance(self._at, Ec2Simulator):
            Account(self._at).ec2.stop_instances(InstanceIds=[machine])
        else:
            self._packet("POST", f"/devices/{machine}/actions", type="power_off")

    def end(self, machine: str) -> None:
        if isinstance(self._at, Ec2Simulator):
            Account(self._at).ec2.terminate_instances(InstanceIds=[machine])
        else:
            self._packet("DELETE", f"/devices/{machine}")

    def rename(self, machine: str, name: str) -> None:
        if isinstance(self._at, Ec2Simulator):
            Account(self._at).ec2.create_tags(Resources=[machine], Tags=[{"Key": "Name", "Value": name}])
        else:
            self._packet("PUT", f"/devices/{machine}", hostname=name)

    def _packet(self, method: str, path: str, **body: str) -> None:
        assert isinstance(self._at, PacketSimulator)
        url, headers = self._at.url + path, {"X-Auth-Token": self._at.token}
        requests.request(method, url, json=body, headers=headers, timeout=60).raise_for_status()


def machine_of(host: Host) -> str:
    return host.template.vector("PROVISION").get("DEPLOY_ID", "")


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
