"""Role opennebula-p2p-vxlan on real machines: guests of different hosts in one network, hosts that come and go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.cluster import (  # noqa: F401 - cluster_yard is a fixture
    Cluster,
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
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.script import render
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROLES = ("opennebula-p2p-vxlan", "iptables")
GIVEN = {"bridged_networking_bridge": "br0", "opennebula_repository_enabled": "no"}
FOLLOWS = ["let the other hosts in", "connect vxbr100 with the other hosts"]
ENTRIES = "bridge fdb show dev vxlan100 | sed -n 's/^00:00:00:00:00:00 dst \\([^ ]*\\) .*/\\1/p' | sort | xargs"


@pytest.fixture(scope="module")
def cluster(cluster_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:  # noqa: F811
    """Three machines; the first two are hosts of the cluster, each with a guest on the bridge."""
    with cluster_of(cluster_yard, tmp_path_factory.mktemp("cluster"), 3, "vxlan") as made:
        made.members = made.nodes[:2]
        made.reports["check"] = made.run(ROLES, check_only=True)
        made.reports["first"] = made.run(ROLES)
        made.reports["second"] = made.run(ROLES)
        for number, node in enumerate(made.members, 1):
            add_guest(node, "vxbr100", f"10.9.0.{number}")
        yield made


def entries(node: Node) -> list[str]:
    """The hosts to which frames for an unknown receiver go."""
    return node.says(ENTRIES).split()


def addresses(nodes: list[Node]) -> list[str]:
    return sorted(node.target.address for node in nodes)


def test_the_second_run_changes_nothing_and_check_foretells_the_first(cluster: Cluster) -> None:
    assert changed(cluster.reports["check"]) == changed(cluster.reports["first"])
    assert changed(cluster.reports["second"]) == [[], []]


def test_guests_of_two_hosts_reach_each_other_with_the_largest_frames(cluster: Cluster) -> None:
    first, second = cluster.members
    assert ping(first, "10.9.0.2")
    assert ping(second, "10.9.0.1", "-M do -s 1422")  # 1450 with the headers of IPv4 and ICMP
    assert entries(first) == [second.target.address]


def test_only_members_are_let_in(cluster: Cluster) -> None:
    """A closed port answers with an ICMP error; VXLAN takes a packet it cannot use without a word."""
    member, stranger = cluster.nodes[1], cluster.nodes[2]
    send = (
        f"import socket; s = socket.socket(2, 2); s.connect(('{cluster.nodes[0].target.address}', 4789)); "
        "s.settimeout(1); s.send(b'x')\ntry: s.recv(1)\nexcept OSError as e: print(type(e).__name__)"
    )
    assert "TimeoutError" in member.says(f'python3 -c "{send}"')
    assert "TimeoutError" not in stranger.says(f'python3 -c "{send}"')


def test_a_host_that_joins_interrupts_nobody(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    before = first.says("cat /sys/class/net/vxlan100/ifindex /sys/class/net/vxbr100/ifindex")
    cluster.members = cluster.nodes[:]
    cluster.run(ROLES, on=[third])
    add_guest(third, "vxbr100", "10.9.0.3")
    with pinging(first, "10.9.0.2"):
        assert changed(cluster.play("static_vxlan", GIVEN, peers_only=True, on=[first, second])) == [FOLLOWS, FOLLOWS]
    assert first.says("cat /sys/class/net/vxlan100/ifindex /sys/class/net/vxbr100/ifindex") == before
    for node in cluster.nodes:
        assert entries(node) == addresses([other for other in cluster.nodes if other is not node])
    assert ping(first, "10.9.0.3")
    assert ping(third, "10.9.0.2")
    assert changed(cluster.play("static_vxlan", GIVEN, peers_only=True)) == [[], [], []]
    assert changed(cluster.run(ROLES, check_only=True)) == [[], [], []]


def test_everything_is_there_after_a_reboot(cluster: Cluster) -> None:
    first, second, _ = cluster.nodes
    second.reboot()
    assert changed(cluster.run(ROLES, on=[second], check_only=True)) == [[]]
    add_guest(second, "vxbr100", "10.9.0.2")
    assert until(lambda: ping(first, "10.9.0.2"))
    assert ping(second, "10.9.0.3")


def test_the_network_manager_leaves_it_alone(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    with pinging(node, "10.9.0.2"):
        node.says("networkctl reload; systemctl restart systemd-networkd.service; sleep 1")
    assert changed(cluster.run(ROLES, on=[node], check_only=True)) == [[]]


def test_drift_is_reported_and_repaired(cluster: Cluster) -> None:
    node, gone = cluster.nodes[0], cluster.nodes[1].target.address
    for damage in (
        f"bridge fdb del 00:00:00:00:00:00 dev vxlan100 dst {gone}",
        "bridge fdb append 00:00:00:00:00:00 dev vxlan100 dst 198.51.100.9",
        "ip link set vxlan100 nomaster",
        "ip link set vxbr100 down",
        "ip link set vxlan100 mtu 1400",
        "ip link del vxlan100",
        "ip link del vxlan100; ip link add vxlan100 master vxbr100 up mtu 1450 type vxlan id 101 dstport 4789",
        "sed -i s/1450/1449/ /etc/default/opennebula-p2p-vxlan",
        "systemctl -q disable opennebula-p2p-vxlan.service",
    ):
        node.says(damage)
        assert changed(cluster.run(ROLES, on=[node], check_only=True)) == [FOLLOWS[1:]], damage
        cluster.run(ROLES, on=[node])
        assert changed(cluster.run(ROLES, on=[node])) == [[]], damage
    assert ping(node, "10.9.0.2")


def test_bash_does_the_same(cluster: Cluster) -> None:
    """It is ``sh`` on Red Hat's systems, dash on Debian's."""
    node, program = cluster.nodes[0], "bash --posix /usr/local/sbin/opennebula-p2p-vxlan"
    text = cluster.script(node, ROLES[:1]).text.encode()
    node.says(f"{program} stop; ! {program} status; {program} start; {program} status; ip link del vxlan100")
    with node.connect() as session:
        for changes in (1, 0):
            done = session.run("bash --posix -s hybrid-configure apply", text, timeout=60)
            assert done.stdout.endswith(f"@end ok {changes}\n"), done.stdout
    assert ping(node, "10.9.0.2")


def test_a_bridge_that_is_no_bridge_is_left_alone(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    node.says("ip link add other type veth peer name rehto")
    with pytest.raises(StepFailed, match="other is there already and is not a bridge"):
        node.runs(cluster.script(node, ROLES[:1], {"opennebula_p2p_vxlan_bridge": "other"}))
    with pytest.raises(StepFailed, match="other is there already and is not a VXLAN device"):
        node.runs(cluster.script(node, ROLES[:1], {"opennebula_p2p_vxlan_vxlan_dev": "other"}))
    node.says("ip link del other")
    cluster.run(ROLES, on=[node])
    assert ping(node, "10.9.0.2")


def test_a_device_bound_to_an_interface(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    bound = cluster.script(node, ROLES[:1], {"opennebula_p2p_vxlan_phydev": "eth0"})
    assert changed([node.runs(bound), node.runs(bound)]) == [FOLLOWS[1:], []]
    assert " dev eth0 " in node.says("ip -d link show vxlan100")
    assert ping(node, "10.9.0.2")
    with pytest.raises(StepFailed, match="there is no network interface eth9"):
        node.runs(cluster.script(node, ROLES[:1], {"opennebula_p2p_vxlan_phydev": "eth9"}))
    with pytest.raises(StepFailed, match=r"198\.51\.100\.1, which is no address of this host"):
        node.runs(cluster.script(node, ROLES[:1], {"opennebula_p2p_vxlan_vxlan_local_ip": "198.51.100.1"}))
    known = cluster.facts(node)
    both = f"{node.target.address}, {cluster.nodes[1].target.address}"
    given = {"opennebula_p2p_vxlan_phydev": "eth0", "opennebula_p2p_vxlan_remotes": both}
    # Behind an address translation, and with a list that names the host itself.
    node.runs(render(steps_of(ROLES[0], replace(known, address="203.0.113.9", given=given))))
    assert entries(node) == [cluster.nodes[1].target.address]
    assert ping(node, "10.9.0.2")
    cluster.run(ROLES, on=[node])


def test_a_host_that_leaves_is_forgotten_and_interrupts_nobody(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    assert ping(first, "10.9.0.3")
    assert third.target.address in first.says("bridge fdb show dev vxlan100 | grep -v ^00:00:00:00:00:00")
    cluster.members = [first, second]
    with pinging(first, "10.9.0.2"):
        assert changed(cluster.play("static_vxlan", GIVEN, peers_only=True)) == [FOLLOWS, FOLLOWS]
    for node in cluster.members:
        assert third.target.address not in node.says("bridge fdb show dev vxlan100; nft list ruleset")
    cluster.members = [first]
    assert changed(cluster.play("static_vxlan", GIVEN, peers_only=True)) == [FOLLOWS]
    assert entries(first) == []
    assert changed(cluster.run(ROLES)) == [[]]
