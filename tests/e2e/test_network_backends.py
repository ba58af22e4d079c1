"""The network roles on real machines, for every way a system keeps its network: twice, changed, drifted, restarted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from tests.support.machines import nspawn_yard  # noqa: F401 - a fixture
from tests.support.network import WAYS, NetworkNode, machine

from hybrid_drivers.errors import StepFailed
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
# A bridge on the second network card, whose guests are hidden behind the first.
GUESTS = {
    "bridged_networking_static_ip": "10.9.1.1",
    "iptables_masquerade_enabled": "yes",
    "iptables_masquerade_interface": "eth0",
}


def names(
    node: NetworkNode, *roles: str, given: Mapping[str, str] | None = None, check_only: bool = False
) -> list[str]:
    """The names of the steps that changed something."""
    return [step.name for step in node.network(*roles, given=given, check_only=check_only).changed]


def guests_reach_the_outside(node: NetworkNode) -> bool:
    """far1 stands for a guest on the bridge; the yard's gateway answers only to the machine's own address."""
    node.says("ip -n far1 route replace default via 10.9.1.1")
    return node.reaches(node.gateway, namespace="far1")


def takes_over(node: NetworkNode) -> dict[str, str]:
    return {
        "bridged_networking_bridge": "br1",
        "bridged_networking_iface": "eth0",
        "bridged_networking_static_ip": node.target.address,
        "bridged_networking_static_gateway": node.gateway,
    }


@pytest.fixture(
    scope="module",
    params=["NetworkManager", *(pytest.param(way, marks=pytest.mark.long) for way in WAYS if way != "NetworkManager")],
)
def node(
    request: pytest.FixtureRequest,
    nspawn_yard: NspawnMachines,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[NetworkNode]:
    """A machine after a check, a first and a second run of the network roles."""
    with machine(nspawn_yard, WAYS[request.param], tmp_path_factory.mktemp("identity")) as node:
        node.reports["check"] = node.network(given=GUESTS, check_only=True)
        node.reports["first"] = node.network(given=GUESTS)
        node.reports["second"] = node.network(given=GUESTS)
        yield node


def test_the_second_run_changes_nothing(node: NetworkNode) -> None:
    assert [s.name for s in node.reports["check"].changed] == [s.name for s in node.reports["first"].changed]
    assert node.reports["second"].changed == ()
    assert {"make tap0", "make bridge br0", "set firewall and NAT"} <= {s.name for s in node.reports["first"].changed}


def test_the_bridge_connects_its_port_and_hides_guests(node: NetworkNode) -> None:
    assert node.reaches("10.9.1.2")
    assert guests_reach_the_outside(node)
    assert node.says("cat /sys/class/net/br0/address") == "02:00:00:00:00:01\n"


def test_drift_is_noticed_and_repaired(node: NetworkNode) -> None:
    node.says("ip address flush dev br0; ip link del tap0")
    assert names(node, check_only=True, given=GUESTS) == ["make tap0", "make bridge br0"]
    assert names(node, given=GUESTS) == ["make tap0", "make bridge br0"]
    assert node.reaches("10.9.1.2")
    for harm in ("ip link del br0", "ip link set eth1 nomaster"):  # which some notice by themselves
        node.says(harm)
        assert names(node, given=GUESTS) in (["make bridge br0"], [])
        assert names(node, given=GUESTS) == []
        assert node.reaches("10.9.1.2")
    assert guests_reach_the_outside(node)


def test_another_address_and_another_port(node: NetworkNode) -> None:
    """A guest's wire stays on the bridge meanwhile."""
    node.says("ip link add guest type veth peer name guest-far; ip link set guest master br0 up")
    other = {"bridged_networking_static_ip": "10.9.2.1", "bridged_networking_iface": "eth2"}
    assert names(node, "bridged-networking", given=other) == ["make bridge br0"]
    assert node.says("ip -4 -o address show dev br0 | awk '{ print $4 }'") == "10.9.2.1/24\n"
    assert sorted(node.says("ls /sys/class/net/br0/brif").split()) == ["eth2", "guest"]
    assert node.reaches("10.9.2.2")
    assert names(node, "bridged-networking", given=other) == []
    assert names(node, "bridged-networking", given=GUESTS) == ["make bridge br0"]
    node.says("ip link del guest")
    assert names(node, "bridged-networking", given=GUESTS) == []
    assert guests_reach_the_outside(node)


def own_network(node: NetworkNode) -> str:
    """All there is, but for the metrics that NetworkManager gives routes as it likes."""
    return node.says(
        "ip -4 -o address show scope global | awk '{ print $2, $4 }' | sort; ip route show default |"
        " awk '{ print $3, $5 }'; ls /sys/class/net"
    )


@pytest.mark.long
def test_a_wrong_gateway_is_taken_back(node: NetworkNode) -> None:
    before = own_network(node)
    wrong = {**takes_over(node), "bridged_networking_static_gateway": node.gateway.rsplit(".", 1)[0] + ".250"}
    with pytest.raises(StepFailed, match=r"the gateway \S+\.250 does not answer on br1.*put back as it was"):
        node.network("bridged-networking", wait=4, given=wrong)
    assert own_network(node) == before
    assert node.says("ls /run/opennebula-hybrid; systemctl list-units --all | grep hybrid-undo || true") == ""
    assert names(node, check_only=True, given=GUESTS) == []


@pytest.mark.long
def test_the_machines_own_card_is_connected(node: NetworkNode) -> None:
    assert names(node, "bridged-networking", given=takes_over(node)) == ["make bridge br1"]
    assert names(node, "bridged-networking", given=takes_over(node)) == []
    assert node.says("ip -4 -o address show dev eth0 scope global") == ""
    assert node.reaches(node.gateway)
    # Now that it is the bridge's, a wrong gateway is taken back too.
    before = own_network(node)
    wrong = {**takes_over(node), "bridged_networking_static_gateway": node.gateway.rsplit(".", 1)[0] + ".250"}
    with pytest.raises(StepFailed, match="does not answer on br1"):
        node.network("bridged-networking", wait=4, given=wrong)
    assert own_network(node) == before


def test_everything_is_there_after_a_restart(node: NetworkNode) -> None:
    taken_over = "br1" in node.says("ls /sys/class/net")
    given = {**GUESTS, "iptables_masquerade_interface": "br1" if taken_over else "eth0"}
    node.network(given=given)
    node.reboot()
    assert names(node, check_only=True, given=given) == []
    if taken_over:
        assert names(node, "bridged-networking", check_only=True, given=takes_over(node)) == []
    assert guests_reach_the_outside(node)
    assert node.says("systemctl --failed --no-legend") == ""
    if "netplan" in node.id:
        # No udev runs in such a machine.
        node.says("printf '#!/bin/sh\\n' >/usr/local/bin/udevadm; chmod 755 /usr/local/bin/udevadm; netplan apply")
        assert names(node, check_only=True, given=given) == []
        assert guests_reach_the_outside(node)
