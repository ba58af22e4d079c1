"""A person with an account at the provider, who does things there behind our back."""

from __future__ import annotations

import requests
from tests.support.ec2_account import Account

from hybrid_drivers.model import Host
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.packet_api import PacketSimulator


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
