"""An address of a hybrid network on a real machine: oned, the agent and the drivers on the host together."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from tests.e2e.test_agent_configure import on_host
from tests.support.hybrid_vms import Guests

from hybrid_drivers.model import Template
from hybrid_drivers.sandbox.lab import Lab, LabOptions
from hybrid_drivers.sandbox.machines.nspawn import why_not

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]


@pytest.fixture
def lab() -> Iterator[Lab]:
    agent = {"claim_delay": 0.1, "sweep": 2}
    options = LabOptions(machines="nspawn", provision={"PLAYBOOK": "default"}, agent=agent)
    with Lab(options) as made:
        text = base64.b64encode(b"opennebula_repository_enabled: no\n").decode()
        made.oned.update_cluster(made.cluster_id, Template([("PROVISION_CONFIGURATION_BASE64", text)]))
        yield made


def test_an_address_comes_to_its_machine_and_goes_with_it(lab: Lab) -> None:
    guests = Guests(lab, hosts=1)
    on_host(lab, guests.hosts[0], "ip link add br0 type bridge; ip link set br0 up")
    before = on_host(lab, guests.hosts[0], "ip route; nft list ruleset")
    vm = guests.start(0)
    (address,) = guests.addresses(vm)
    assert f"{address} dev br0" in on_host(lab, guests.hosts[0], "ip route")
    guests.end(vm)
    lab.wait(lambda: guests.word(vm) == "DONE")
    assert on_host(lab, guests.hosts[0], "ip route; nft list ruleset") == before
