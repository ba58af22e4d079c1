"""What may come in, over IPv4 and IPv6; a network change that would cut the host off is refused or taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from tests.e2e.test_network_backends import names, takes_over
from tests.support.machines import nspawn_yard  # noqa: F401 - a fixture
from tests.support.network import WAYS, NetworkNode, machine, network_script

from hybrid_drivers.errors import HybridError, StepFailed
from hybrid_drivers.hostconfig import primitives
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.script import Script, render
from hybrid_drivers.hostconfig.steps import Step
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
RULES_V4 = """# Ansible managed
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT  -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT  -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""


def part(rules: str) -> Script:
    """A part of the firewall as another role gives it."""
    step = primitives.command("other", "let peers in", check="firewall_part_is peers", apply="put_firewall_part peers")
    return render([Step(role=step.role, name=step.name, check=step.check, apply=step.apply, stdin=rules)])


@pytest.fixture(scope="module")
def node(nspawn_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkNode]:  # noqa: F811
    """A machine whose second card has addresses of both families, after a first run with OneProvision's defaults."""
    with machine(nspawn_yard, WAYS["networkd"], tmp_path_factory.mktemp("identity")) as node:
        node.says(
            "printf '[Match]\\nName=eth1\\n\\n[Network]\\nAddress=10.9.1.1/24\\nAddress=fd09:1::1/64\\n'"
            " >/etc/systemd/network/10-eth1.network; networkctl reload; sleep 3"
        )
        node.reports["first"] = node.network()
        yield node


def test_by_default_the_bridge_takes_over_the_second_cards_addresses(node: NetworkNode) -> None:
    shown = node.says("ip -o address show scope global | awk '{ print $2, $4 }'")
    assert "br0 10.9.1.1/24" in shown
    assert "br0 fd09:1::1/64" in shown
    assert "eth1" not in shown
    assert "masquerade" not in node.says("nft list table ip opennebula_hybrid")  # it leads out
    assert names(node) == []


@pytest.mark.parametrize("address", ["10.9.1.1", "fd09:1::1"])
def test_only_ssh_and_ping_come_in(node: NetworkNode, address: str) -> None:
    assert names(node) == []
    assert node.connects(address, 22, namespace="far1")
    assert not node.connects(address, 8080, namespace="far1")
    assert node.reaches(address, namespace="far1")


@pytest.mark.parametrize("address", ["10.9.1.1", "fd09:1::1"])
def test_services_come_in_where_they_are_let_in(node: NetworkNode, address: str) -> None:
    node.network("iptables", given={"iptables_base_rules_services": "tcp/22,tcp/8080"})
    assert node.connects(address, 8080, namespace="far1")
    node.network(
        "iptables", given={"iptables_base_rules_services": "tcp/8080", "iptables_base_rules_interface": "eth0"}
    )
    assert node.connects(address, 8081, namespace="far1")  # only eth0 refuses
    assert names(node, "iptables") == ["set firewall and NAT"]
    assert not node.connects(address, 8080, namespace="far1")


def test_parts_of_other_roles_are_in_force_checked_and_kept(node: NetworkNode) -> None:
    script = part("ip saddr { 10.9.1.2, 10.9.1.3 } tcp dport 179 accept")
    assert len(node.runs(script).changed) == 1
    assert node.runs(script).changed == ()
    assert names(node, check_only=True) == []
    assert node.connects("10.9.1.1", 179, namespace="far1")
    node.says("echo 'tcp dport 1 accept' >/etc/opennebula-hybrid/firewall.d/zz.nft")
    assert names(node, check_only=True) == ["set firewall and NAT"]
    node.says("rm /etc/opennebula-hybrid/firewall.d/zz.nft")
    with pytest.raises(StepFailed, match="syntax error"):
        node.runs(part("tcp dport accept"))
    assert node.runs(script).changed == ()


def test_the_ports_of_ssh_stay_open(node: NetworkNode) -> None:
    node.says("echo 'Port 2222' >/etc/ssh/sshd_config.d/40-port.conf")
    try:
        assert names(node, given={"iptables_base_rules_services": "tcp/443"}) == ["set firewall and NAT"]
        assert "tcp dport { 22, 2222 } accept" in node.says("nft list table inet opennebula_hybrid")
    finally:
        node.says("rm /etc/ssh/sshd_config.d/40-port.conf")
    assert names(node) == ["set firewall and NAT"]


def test_what_nftables_service_flushes_comes_back(node: NetworkNode) -> None:
    node.says("systemctl enable -q --now nftables.service; systemctl reload nftables.service; sleep 0.5")
    assert names(node, check_only=True) == []
    node.says("systemctl restart nftables.service; sleep 0.5")
    assert names(node, check_only=True) == []


def test_rules_that_oneprovision_wrote_are_retired(node: NetworkNode) -> None:
    node.says(f"mkdir -p /etc/iptables; cat >/etc/iptables/rules.v4 <<'EOF'\n{RULES_V4}EOF")
    node.says("iptables-restore </etc/iptables/rules.v4; iptables -I INPUT -s 192.0.2.7 -j DROP")
    given = {"iptables_base_rules_services": "tcp/8080"}
    assert not node.connects("10.9.1.1", 8080, namespace="far1")
    assert names(node, "iptables", given=given) == ["set firewall and NAT", "retire the rules OneProvision wrote"]
    assert node.connects("10.9.1.1", 8080, namespace="far1")
    assert "-s 192.0.2.7/32 -j DROP" in node.says("iptables -S INPUT; [ ! -e /etc/iptables/rules.v4 ]")
    assert names(node, "iptables", given=given) == []
    node.network()


def test_firewalls_of_others_go_out_of_service_once_ours_is_in_force(node: NetworkNode) -> None:
    for name in ("ufw", "firewalld"):
        unit = f"/usr/lib/systemd/system/{name}.service"
        node.says(f"printf '[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n' >{unit}")
        node.says(f"systemctl daemon-reload; systemctl enable -q --now {name}.service")
    assert names(node, "iptables", given={"iptables_base_rules_enabled": "no"}) == ["set firewall and NAT"]
    assert node.says("systemctl is-active ufw firewalld").split() == ["active", "active"]
    gone = ["put ufw out of service", "put firewalld out of service"]
    assert names(node, "iptables") == ["set firewall and NAT", *gone]
    assert node.says("systemctl is-active ufw firewalld; systemctl is-enabled ufw firewalld; true").split() == [
        *("inactive", "inactive", "masked", "masked")
    ]
    assert names(node, "iptables") == []


def test_what_roles_no_longer_wanted_let_in_is_taken_back(node: NetworkNode) -> None:
    """What an operator put into the folder stays."""
    folder = "/etc/opennebula-hybrid/firewall.d"
    node.says(f"echo 'tcp dport 2001 accept' >{folder}/frr.nft; echo 'tcp dport 2002 accept' >{folder}/mine.nft")
    node.network("iptables")
    assert node.connects("10.9.1.1", 2001, namespace="far1")
    script = render(steps_of("iptables", Facts(roles=frozenset({"iptables", "opennebula-p2p-vxlan"}))))
    foretold = [step.name for step in node.runs(script, check_only=True).changed]
    assert foretold == ["take back what roles no longer wanted let in"]
    assert [step.name for step in node.runs(script).changed] == foretold
    assert node.runs(script).changed == ()
    assert not node.connects("10.9.1.1", 2001, namespace="far1")
    assert node.connects("10.9.1.1", 2002, namespace="far1")
    node.says(f"rm {folder}/mine.nft")
    node.network("iptables")


def test_without_a_way_out_guests_cannot_be_hidden_and_the_reason_is_told(node: NetworkNode) -> None:
    default = node.says("ip route show default").strip()
    node.says("ip route del default")
    try:
        with pytest.raises(StepFailed, match="there is no default route to hide guests behind"):
            node.network("iptables", given={"iptables_masquerade_enabled": "yes"})
    finally:
        node.says(f"ip route add {default}")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"bridged_networking_iface": "eth0"}, "where this host is configured"),
        ({"bridged_networking_iface": "eth1"}, "eth1 belongs to br0 already"),
        ({"bridged_networking_iface": "nic9"}, "there is no network interface nic9"),
        ({"bridged_networking_iface": "eth0", "bridged_networking_static_ip": "192.0.2.1"}, "where this host is"),
    ],
)
def test_what_would_cut_the_host_off_is_refused(node: NetworkNode, given: dict[str, str], text: str) -> None:
    with pytest.raises(StepFailed, match=text):
        node.network("bridged-networking", given={"bridged_networking_bridge": "br1", **given})
    assert "br1" not in node.says("ls /sys/class/net /run/opennebula-hybrid")


def test_a_wrong_gateway_is_taken_back_and_the_right_one_kept(node: NetworkNode) -> None:
    """The machine's only way to us: its own card."""
    wrong = {**takes_over(node), "bridged_networking_static_gateway": node.gateway.rsplit(".", 1)[0] + ".250"}
    with pytest.raises(StepFailed, match=r"the gateway \S+\.250 does not answer on br1.*put back as it was"):
        node.network("bridged-networking", wait=3, given=wrong)
    assert f"default via {node.gateway} dev eth0" in node.says("ip route show default")
    assert "br1" not in node.says("ls /sys/class/net /etc/systemd/network; ls /run/opennebula-hybrid")
    assert names(node, "bridged-networking", given=takes_over(node)) == ["make bridge br1"]
    assert names(node, "bridged-networking", given=takes_over(node)) == []
    assert f"default via {node.gateway} dev br1" in node.says("ip route show default")


def test_it_is_all_there_after_a_restart(node: NetworkNode) -> None:
    node.reboot()
    # Duplicates of an IPv6 address are looked for about two seconds long; it is not there before.
    node.says("while ip -6 address show tentative | grep -q inet6; do sleep 0.2; done")
    assert names(node, check_only=True) == []
    assert names(node, "bridged-networking", check_only=True, given=takes_over(node)) == []
    assert node.connects("10.9.1.1", 179, namespace="far1")
    assert not node.connects("fd09:1::1", 8080, namespace="far1")


@pytest.mark.long
def test_a_change_that_was_killed_is_taken_back_by_the_next_run(node: NetworkNode) -> None:
    wrong = {**takes_over(node), "bridged_networking_static_gateway": node.gateway.rsplit(".", 1)[0] + ".250"}
    script = network_script("bridged-networking", given=wrong)

    def run() -> None:
        with pytest.raises(HybridError):
            node.runs(script)

    running = threading.Thread(target=run)
    running.start()
    time.sleep(5)
    node.says("[ -f /run/opennebula-hybrid/undo/undo ]; kill -9 $(pgrep -f '[h]ybrid-configure apply')")
    running.join()
    assert "br1" in node.says("systemctl is-active opennebula-hybrid-undo.timer >/dev/null; ls /sys/class/net")
    names(node, "bridged-networking", given=takes_over(node))
    assert names(node, "bridged-networking", given=takes_over(node)) == []
    assert f"default via {node.gateway} dev br1" in node.says("ip route show default")
    assert node.says("systemctl list-units --all | grep hybrid-undo || true") == ""
