"""Roles that connect the hosts of a cluster: who is whose neighbour, what is refused, which playbooks have them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import script as script_module
from hybrid_drivers.hostconfig.facts import Facts, Peer
from hybrid_drivers.hostconfig.playbooks import PLAYBOOKS, depend_on_peers
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.script import compile_script, render
from hybrid_drivers.hostconfig.steps import Step

WITHOUT_REPOSITORY = {"opennebula_repository_enabled": "no"}


def facts(own: str, *addresses: str, **given: str) -> Facts:
    """The facts of the host ``own`` in a cluster of hosts 0, 1, 2, ..."""
    peers = tuple(Peer(host_id=number, address=address) for number, address in enumerate(addresses))
    return Facts(address=own, peers=peers, given=given)


def named(role: str, name: str, known: Facts) -> Step:
    return next(step for step in steps_of(role, known) if step.name.startswith(name))


def frr_conf(own: str, *addresses: str, **given: str) -> list[str]:
    return [line.strip() for line in named("frr", "connect", facts(own, *addresses, **given)).stdin.splitlines()]


def connect(known: Facts) -> str:
    return named("opennebula-p2p-vxlan", "connect", known).check


@pytest.mark.parametrize(
    ("own", "peers", "others"),
    [
        ("198.51.100.1", ["198.51.100.1"], ()),
        ("", [], ()),
        ("198.51.100.2", ["198.51.100.1", "198.51.100.2", "198.51.100.3"], ("198.51.100.1", "198.51.100.3")),
        ("198.51.100.9", ["198.51.100.1", "198.51.100.2"], ("198.51.100.1", "198.51.100.2")),  # itself not listed
        ("198.51.100.1", ["198.51.100.1", "198.51.100.2", "198.51.100.2"], ("198.51.100.2",)),  # one address twice
        ("198.51.100.1", ["198.51.100.1", "198.51.100.1", "198.51.100.2"], ("198.51.100.2",)),  # its own twice
        ("198.51.100.1", ["198.51.100.1", "2001:db8::2", "", "198.51.100.4"], ("198.51.100.4",)),
    ],
)
def test_the_other_hosts_of_a_cluster(own: str, peers: list[str], others: tuple[str, ...]) -> None:
    known = facts(own, *peers)
    assert known.others == others
    assert connect(known).partition("vxlan_is ")[2].split()[8:] == [f"'{address}'" for address in others]


def test_hosts_are_ordered_by_their_ids_however_they_are_given() -> None:
    peers = (Peer(host_id=10, address="198.51.100.10"), Peer(host_id=2, address="198.51.100.2"))
    assert Facts(peers=peers).members == ("198.51.100.2", "198.51.100.10")


def test_hosts_without_ipv4_are_left_out_and_named() -> None:
    known = facts("198.51.100.1", "198.51.100.1", "2001:db8::2", "198.51.100.3")
    for role in ("frr", "opennebula-p2p-vxlan"):
        step = named(role, "connect", known)
        assert "info 'not connected, because they have no IPv4 address: 2001:db8::2'" in step.check
        assert "2001:db8::2" not in step.stdin
    with pytest.raises(ConfigError, match="needs IPv4, and this host is known as 2001:db8::2"):
        steps_of("frr", facts("2001:db8::2", "198.51.100.1", "2001:db8::2"))


def test_the_firewall_lets_in_the_other_hosts_only() -> None:
    known = facts("198.51.100.2", "198.51.100.1", "198.51.100.2", "198.51.100.3")
    part = named("opennebula-p2p-vxlan", "let the other hosts in", known)
    assert part.stdin == "ip saddr { 198.51.100.1, 198.51.100.3 } udp dport 4789 accept\n"
    assert named("frr", "let the other hosts in", known).stdin == (
        "ip saddr { 198.51.100.1, 198.51.100.3 } udp dport { 4789, 8472 } accept\n"
        "ip saddr { 198.51.100.1 } tcp dport 179 accept\n"
    )
    assert named("frr", "let the other hosts in", facts("198.51.100.1", "198.51.100.1")).stdin == ""


def test_the_first_host_reflects_and_the_others_are_its_clients() -> None:
    hosts = ("198.51.100.1", "198.51.100.2", "198.51.100.3")
    reflector, client = frr_conf(hosts[0], *hosts), frr_conf(hosts[1], *hosts)
    assert "neighbor clients route-reflector-client" in reflector
    assert "bgp cluster-id 198.51.100.1" in reflector
    assert [line for line in reflector if line.startswith("neighbor 198")] == [
        "neighbor 198.51.100.2 peer-group clients",
        "neighbor 198.51.100.3 peer-group clients",
    ]
    assert [line for line in client if line.startswith("neighbor 198")] == [
        "neighbor 198.51.100.1 peer-group reflectors"
    ]
    assert not any("client" in line or "cluster-id" in line for line in client)
    assert all("advertise-all-vni" in one and "router bgp 65000" in one for one in (reflector, client))


def test_reflectors_are_connected_with_each_other_and_do_not_reflect_each_other() -> None:
    hosts = ("198.51.100.1", "198.51.100.2", "198.51.100.3")
    reflector, client = frr_conf(hosts[1], *hosts, frr_rr_num="2"), frr_conf(hosts[2], *hosts, frr_rr_num="2")
    assert "neighbor 198.51.100.1 peer-group reflectors" in reflector
    assert "neighbor 198.51.100.3 peer-group clients" in reflector
    assert "neighbor reflectors route-reflector-client" not in reflector
    assert [line for line in client if line.startswith("neighbor 198")] == [
        "neighbor 198.51.100.1 peer-group reflectors",
        "neighbor 198.51.100.2 peer-group reflectors",
    ]


def test_a_host_that_is_not_among_its_peers_is_a_client() -> None:
    assert "bgp cluster-id 198.51.100.9" not in frr_conf("198.51.100.9", "198.51.100.1")
    assert "neighbor 198.51.100.1 peer-group reflectors" in frr_conf("198.51.100.9", "198.51.100.1")


def test_parameters_of_frr_reach_its_configuration() -> None:
    hosts = ("198.51.100.1", "198.51.100.2")
    conf = frr_conf(hosts[0], *hosts, frr_as="64512", frr_iface="eth1", frr_prefix_length="25")
    assert "router bgp 64512" in conf
    assert "neighbor clients update-source eth1" in conf
    assert "bgp listen range 198.51.100.0/25 peer-group clients" in conf
    assert not any("listen" in line for line in frr_conf(hosts[0], *hosts))


@pytest.mark.parametrize(
    ("given", "inside"),
    [
        ({}, "vxlan_is 'vxbr100' 'vxlan100' '100' '4789' '' '10.0.0.1' '' '65535' '10.0.0.2'"),
        ({"opennebula_p2p_vxlan_bridge": "b", "opennebula_p2p_vxlan_vxlan_dev": "v"}, "vxlan_is 'b' 'v' '100'"),
        ({"opennebula_p2p_vxlan_vxlan_vni": "7"}, "'vxlan100' '7' '4789'"),
        ({"opennebula_p2p_vxlan_phydev": "bond0:0"}, "'10.0.0.1' 'bond0:0' '65535'"),
        ({"opennebula_p2p_vxlan_vxlan_local_ip": "10.0.0.9"}, "'4789' '10.0.0.9' '10.0.0.1' ''"),
        # Larger frames than the Internet's only where all addresses are private.
        ({"opennebula_p2p_vxlan_remotes": "10.0.0.1, 8.8.8.8, 10.0.0.3"}, "'1500' '8.8.8.8' '10.0.0.3'"),
        ({"opennebula_p2p_vxlan_remotes": "['10.0.0.7', '10.0.0.7']"}, "'65535' '10.0.0.7'"),
    ],
)
def test_parameters_of_the_static_vxlan_reach_the_script(given: dict[str, str], inside: str) -> None:
    assert inside in connect(facts("10.0.0.1", "10.0.0.1", "10.0.0.2", **given))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"opennebula_p2p_vxlan_bridge": "br0"}, "_bridge and bridged_networking_bridge are both 'br0'"),
        ({"opennebula_p2p_vxlan_vxlan_dev": "tap0"}, "_vxlan_dev and tuntap_name are both 'tap0'"),
        (
            {"opennebula_p2p_vxlan_vxlan_dev": "vxbr100"},
            "_bridge and opennebula_p2p_vxlan_vxlan_dev are both 'vxbr100'",
        ),
        ({"bridged_networking_iface": "vxlan100"}, "_vxlan_dev and bridged_networking_iface are both 'vxlan100'"),
        ({"opennebula_p2p_vxlan_bridge": ""}, "need names"),
        ({"opennebula_p2p_vxlan_vxlan_vni": "0"}, "expected 1 to 16777215"),
        ({"opennebula_p2p_vxlan_vxlan_vni": "16777216"}, "expected 1 to 16777215"),
        ({"opennebula_p2p_vxlan_vxlan_vni": "x"}, "opennebula_p2p_vxlan_vxlan_vni is 'x', expected a number"),
        ({"opennebula_p2p_vxlan_phydev": "eth0; reboot"}, "expected the name of a network interface"),
        ({"opennebula_p2p_vxlan_remotes": "10.0.0.2 2001:db8::1"}, "has '2001:db8::1', expected IPv4"),
        ({"frr_rr_num": "0"}, "frr_rr_num is 0, expected 1 to 1000"),
        ({"frr_as": "4294967296"}, "frr_as is 4294967296"),
        ({"frr_prefix_length": "33"}, "frr_prefix_length is 33, expected 0 to 32"),
        ({"frr_frrver": "frr-7"}, "FRR is the distribution's own"),
    ],
)
def test_wrong_input_is_named(given: dict[str, str], text: str) -> None:
    known = facts("10.0.0.1", "10.0.0.1", **given)
    with pytest.raises(ConfigError) as caught:
        render([*steps_of("frr", known), *steps_of("opennebula-p2p-vxlan", known)])
    assert text in str(caught.value)


@pytest.mark.parametrize("playbook", ["static_vxlan", "evpn", "evpn_lxc", "aws", "equinix", "onprem", "packet"])
def test_only_what_depends_on_the_peers_is_run_when_they_change(playbook: str) -> None:
    known = facts("10.0.0.1", "10.0.0.1", "10.0.0.2")
    script = compile_script([playbook], WITHOUT_REPOSITORY, known, peers_only=True)
    assert {step.role for step in script.steps} == {"opennebula-p2p-vxlan" if playbook == "static_vxlan" else "frr"}
    assert "let the other hosts in" in [step.name for step in script.steps]
    assert depend_on_peers([playbook])
    assert not depend_on_peers(["default"])


def test_the_firewall_comes_after_what_it_lets_in_and_onprem_has_none() -> None:
    assert PLAYBOOKS["evpn"].index("frr") < PLAYBOOKS["evpn"].index("iptables")
    assert PLAYBOOKS["static_vxlan"].index("opennebula-p2p-vxlan") < PLAYBOOKS["static_vxlan"].index("iptables")
    assert "iptables" not in PLAYBOOKS["onprem"]


@pytest.mark.parametrize("dialect", ["sh", pytest.param("dash", marks=pytest.mark.long)])
def test_shellcheck_has_nothing_to_say(dialect: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    known = facts("10.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8::1", frr_iface="eth1")
    script = render([*steps_of("frr", known), *steps_of("opennebula-p2p-vxlan", known)])
    options = ["shellcheck", "-s", dialect]
    # 2317, 2329: the steps' functions are called by name; 2016: the program for the host stands in it as a text
    done = subprocess.run(
        [*options, "-e", "SC2317,SC2329,SC2016", "-"], input=script.text, text=True, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    program = Path(script_module.__file__).with_name("opennebula-p2p-vxlan.sh")
    done = subprocess.run([*options, str(program)], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")
