"""An address of a hybrid network on a real machine: oned, the agent and the drivers on the host together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.test_agent_configure import on_host
from tests.support.hybrid_vms import Guests
from tests.support.lab import wait_told

from hybrid_drivers.sandbox.lab import Lab, LabOptions
from hybrid_drivers.sandbox.machines.nspawn import why_not

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]


# What the node roles make of a host, as far as the drivers need it: they are tried in test_node_guests.py.
NODE = """useradd -m oneadmin
install -d -m 700 -o oneadmin ~oneadmin/.ssh
install -m 600 -o oneadmin ~/.ssh/authorized_keys ~oneadmin/.ssh/authorized_keys
echo 'oneadmin ALL=(ALL) NOPASSWD: /usr/sbin/ip, /usr/sbin/nft' >/etc/sudoers.d/oneadmin
sysctl -q net.ipv4.ip_forward=1
ip link add br0 type bridge; ip link set br0 up"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    options = LabOptions(machines="nspawn", provision={"PLAYBOOK": "dummy"}, agent={"claim_delay": 0.1, "sweep": 2})
    with Lab(options) as made:
        yield made


def test_an_address_comes_to_its_machine_and_goes_with_it(lab: Lab) -> None:
    host = lab.create("edge0")
    wait_told(lab, host, "PROVISION_STATE", "READY")
    on_host(lab, host, NODE)
    lab.silence()  # its probes run as oneadmin: they are started now
    lab.wait_ready(host)
    guests = Guests(lab, hosts=0)
    guests.hosts.append(host)
    before = on_host(lab, host, "ip route; nft list ruleset")
    vm = guests.start(0)
    (address,) = guests.addresses(vm)
    assert f"{address} dev br0" in on_host(lab, host, "ip route")
    guests.end(vm)
    lab.wait(lambda: guests.word(vm) == "DONE")
    assert on_host(lab, host, "ip route; nft list ruleset") == before
