"""Role frr on real machines: guests of different hosts in a virtual network of OpenNebula's, by BGP EVPN."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.support.cluster import (  # noqa: F401 - cluster_yard is a fixture
    Cluster,
    add_evpn_network,
    add_guest,
    changed,
    cluster_of,
    cluster_yard,
    ping,
    pinging,
    until,
)
from tests.support.node import Node

from hybrid_drivers.errors import StepFailed
from hybrid_drivers.hostconfig.script import render
from hybrid_drivers.hostconfig.steps import Step
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROLES = ("frr", "iptables")
GIVEN = {"opennebula_repository_enabled": "no"}
CONNECT = "connect BGP with the other hosts"
FOLLOWS = ["let the other hosts in", CONNECT]


@pytest.fixture(scope="module")
def cluster(cluster_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:  # noqa: F811
    """Three machines; the first two are hosts of the cluster, each with a guest in one virtual network."""
    with cluster_of(cluster_yard, tmp_path_factory.mktemp("cluster"), 3, "evpn") as made:
        made.members = made.nodes[:2]
        made.reports["first"] = made.run(ROLES)
        made.reports["second"] = made.run(ROLES)
        for number, node in enumerate(made.members, 1):
            add_evpn_network(node)
            add_guest(node, "onebr.50", f"10.9.0.{number}")
        yield made


def sessions(node: Node) -> dict[str, int]:
    """The neighbours with which there is a session, and how many there have been."""
    shown = json.loads(node.says("vtysh -c 'show bgp neighbors json'"))
    return {
        address: one["connectionsEstablished"]
        for address, one in shown.items()
        if isinstance(one, dict) and one.get("bgpState") == "Established"
    }


def test_the_second_run_changes_nothing(cluster: Cluster) -> None:
    assert changed(cluster.reports["second"]) == [[], []]
    assert CONNECT in changed(cluster.reports["first"])[0]


def test_guests_of_two_hosts_reach_each_other(cluster: Cluster) -> None:
    first, second = cluster.members
    assert until(lambda: ping(first, "10.9.0.2"))
    assert ping(second, "10.9.0.1", "-M do -s 1422")
    assert set(sessions(second)) == {first.target.address}
    learned = first.says("bridge fdb show dev eth0.50")
    assert f"00:00:00:00:00:00 dst {second.target.address} self" in learned
    assert f"02:00:00:00:00:02 dst {second.target.address} self extern_learn" in learned


def test_a_host_that_joins_interrupts_nobody(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    before = sessions(first)[second.target.address]
    cluster.members = cluster.nodes[:]
    cluster.run(ROLES, on=[third])
    add_evpn_network(third)
    add_guest(third, "onebr.50", "10.9.0.3")
    with pinging(first, "10.9.0.2"):
        assert changed(cluster.play("evpn", GIVEN, peers_only=True, on=[first, second])) == [FOLLOWS, FOLLOWS[:1]]
    assert until(lambda: ping(second, "10.9.0.3"))  # two clients: by way of the reflector
    assert ping(third, "10.9.0.1")
    assert set(sessions(third)) == {first.target.address}
    assert sessions(first)[second.target.address] == before
    assert changed(cluster.play("evpn", GIVEN, peers_only=True)) == [[], [], []]


def test_everything_is_there_after_a_reboot(cluster: Cluster) -> None:
    """Of the reflector, too; OpenNebula makes the devices again when it starts the guests."""
    first, second, third = cluster.nodes
    for number, node in ((2, second), (1, first)):
        node.reboot()
        assert changed(cluster.run(ROLES, on=[node], check_only=True)) == [[]]
        add_evpn_network(node)
        add_guest(node, "onebr.50", f"10.9.0.{number}")
        assert until(lambda: ping(third, f"10.9.0.{number}")), number  # noqa: B023 - called at once
    assert until(lambda: ping(third, "10.9.0.2"))


def test_drift_is_reported_and_repaired(cluster: Cluster) -> None:
    first, second, _ = cluster.nodes
    at_bgp = "vtysh -c 'configure terminal' -c 'router bgp 65000'"
    for damage, steps in (
        ("sed -i s/bgpd=yes/bgpd=no/ /etc/frr/daemons", ["have FRR start bgpd", "run frr.service"]),
        ("systemctl -q stop frr.service", ["run frr.service", CONNECT]),
        (f"{at_bgp} -c 'no neighbor {second.target.address}'", [CONNECT]),
        (f"{at_bgp} -c 'neighbor 198.51.100.1 peer-group clients'", [CONNECT]),
        (f"{at_bgp} -c 'address-family l2vpn evpn' -c 'no advertise-all-vni'", [CONNECT]),
        ("echo '! more' >>/etc/frr/frr.conf", [CONNECT]),
        (": >/var/lib/opennebula-hybrid/restart/frr.conf", [CONNECT]),  # of a run that was cut off
    ):
        first.says(damage)
        assert changed(cluster.run(ROLES, on=[first], check_only=True)) == [steps], damage
        cluster.run(ROLES, on=[first])
        assert changed(cluster.run(ROLES, on=[first])) == [[]], damage
    assert until(lambda: ping(first, "10.9.0.2"))


def test_what_frr_refuses_is_not_used(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    before = node.says("cat /etc/frr/frr.conf")
    with pytest.raises(StepFailed, match=r"FRR refuses the configuration: .*no such line"):
        node.runs(render([Step(role="frr", name="x", check="frr_is", apply="put_frr", stdin="no such line\n")]))
    assert node.says("cat /etc/frr/frr.conf") == before


def test_a_host_that_leaves_is_forgotten_and_interrupts_nobody(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    before = sessions(first)[second.target.address]
    cluster.members = [first, second]
    with pinging(first, "10.9.0.2"):
        assert changed(cluster.play("evpn", GIVEN, peers_only=True)) == [FOLLOWS, FOLLOWS[:1]]
    assert sessions(first) == {second.target.address: before}
    assert until(lambda: third.target.address not in second.says("bridge fdb show dev eth0.50"))
    assert third.target.address not in first.says("nft list ruleset; cat /etc/frr/frr.conf")


def test_the_next_host_reflects_when_the_first_leaves(cluster: Cluster) -> None:
    _, second, third = cluster.nodes
    cluster.members = [second, third]
    assert changed(cluster.play("evpn", GIVEN, peers_only=True)) == [FOLLOWS, FOLLOWS]
    assert until(lambda: ping(third, "10.9.0.2"))
    assert set(sessions(third)) == {second.target.address}
    assert changed(cluster.run(ROLES)) == [[], []]


def test_frr_is_restarted_where_it_cannot_be_reloaded(cluster: Cluster) -> None:
    node, other = cluster.members
    node.says("chmod a-x /usr/lib/frr/frr-reload.py; echo '! more' >>/etc/frr/frr.conf")
    try:
        (report,) = cluster.run(ROLES, on=[node])
    finally:
        node.says("chmod a+x /usr/lib/frr/frr-reload.py")
    assert [(step.name, step.notes) for step in report.changed] == [
        (CONNECT, ("FRR could not take the changes while running and is restarted",))
    ]
    assert until(lambda: other.target.address in sessions(node))
