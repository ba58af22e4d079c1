"""Playbooks, roles and their parameters: what is accepted, what it becomes, what is refused and how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.playbooks import PLAYBOOKS, plan
from hybrid_drivers.hostconfig.publickey import PublicKey
from hybrid_drivers.hostconfig.script import Script, compile_script
from hybrid_drivers.secret import Secret

BLOB = "A" * 68
KEY = f"ssh-ed25519 {BLOB} oneadmin@front-end"
FACTS = Facts(opennebula_version="7.0.1")
KEYED = replace(FACTS, oneadmin_keys=(KEY,))


def compiled(given: dict[str, str], *playbooks: str) -> Script:
    return compile_script(playbooks or ("default",), given, KEYED)


def names(given: dict[str, str]) -> list[str]:
    return [step.name for step in compiled(given).steps]


def test_default_has_its_roles_in_oneprovisions_order() -> None:
    roles = list(dict.fromkeys(step.role for step in compiled({}).steps))
    assert roles[:4] == ["ddc", "opennebula-repository", "opennebula-node-kvm", "opennebula-ssh"]
    assert roles[4:] == ["tuntap", "bridged-networking", "iptables"]


def test_tuned_is_there_when_asked_for() -> None:
    steps = compiled({"tuned_profile": "virtual-host"}, "default_lxc").steps
    assert [step.name for step in steps if step.role == "tuned"][-1] == "use profile virtual-host"


def test_several_playbooks_run_in_order_and_a_role_once() -> None:
    steps = plan(["dummy", "default", "dummy"], FACTS)
    assert steps[0].role == "dummy"
    assert len(steps) == 1 + len(plan(["default"], FACTS))


@pytest.mark.parametrize(
    ("playbooks", "given", "text"),
    [
        (["defualt"], {}, "no playbook 'defualt'; known are " + ", ".join(PLAYBOOKS)),
        (["/etc/one/site.yml"], {}, "site.yml' is Ansible's"),
        (["site.yaml"], {}, "site.yaml' is Ansible's"),
        (["default"], {"bridged_networking_brige": "br1"}, "did you mean 'bridged_networking_bridge'"),
        (["default"], {"nonsense": "1"}, "no parameter 'nonsense'"),
        (["default"], {"bridged_networking_bridge": "br 1"}, "bridged_networking_bridge is 'br 1', expected the name"),
        (["default"], {"bridged_networking_bridge": "$(reboot)"}, "expected the name of a network interface"),
        (["default"], {"bridged_networking_bridge": "a" * 16}, "expected the name of a network interface"),
        (["default"], {"bridged_networking_static_ip": "10.0.0"}, "expected an IPv4 address"),
        (
            ["default"],
            {"bridged_networking_bridge": ""},
            "bridged_networking_bridge is empty, expected the name of a network",
        ),
        (
            ["default"],
            {"bridged_networking_static_gateway": "198.51.100.1"},
            "bridged_networking_static_gateway is given without bridged_networking_static_ip",
        ),
        (
            ["default"],
            {"bridged_networking_static_ip": "198.51.100.1", "bridged_networking_static_netmask": "255.0.255.0"},
            "bridged_networking_static_netmask is '255.0.255.0', expected a netmask",
        ),
        (["default"], {"opennebula_node_kvm_param_nested": "maybe"}, "expected yes or no"),
        (["default"], {"iptables_base_rules_services": "tcp/0"}, "expected a list like tcp/22"),
        (["default"], {"iptables_base_rules_services": "[{protocol: icmp}]"}, "expected a list like tcp/22"),
        (["default"], {"opennebula_ssh_sshd_permitrootlogin": "maybe"}, "expected one of yes, no"),
        (["default"], {"opennebula_ssh_sshd_permitrootlogin": "no"}, "which would lock us out: we log in as root"),
        (["default"], {"opennebula_ssh_deploy_private_key": "yes"}, "oneadmin has no private key here"),
        (["default"], {"tuntap_mode": "tup"}, "tuntap_mode is 'tup'"),
        (["default"], {"sysctl_settings": "a b"}, "expected key=value"),
        (["default"], {"tuned_profile": "$(id)"}, "expected a profile like virtual-host"),
        (["default"], {"opennebula_node_selinux_booleans": "x"}, "opennebula_node_selinux_booleans is 'x', expected a"),
        (["default"], {"opennebula_node_selinux_booleans": "[{name: a, state: maybe}]"}, "expected a list like [{name"),
        (["default_lxc"], {"opennebula_node_selinux_booleans": "[{name: a b, state: yes}]"}, "expected a list like"),
    ],
)
def test_wrong_input_is_named(playbooks: list[str], given: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_script(playbooks, given, FACTS)
    assert text in str(caught.value)


@pytest.mark.parametrize("key", ["", "junk", "ssh-rsa", f"{KEY}\n{KEY}", "ssh-ed25519 $(id)$(id)$(id)$(id)$(id)$(id)"])
def test_a_public_key_is_one_line(key: str) -> None:
    with pytest.raises(ConfigError, match="is not an SSH public key"):
        compile_script(["default"], {}, replace(FACTS, oneadmin_keys=(key,)))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"ssh-rsa {BLOB}", "rsa"),
        (f"ssh-ed25519 {BLOB} x y", "ed25519"),
        (f"ecdsa-sha2-nistp256 {BLOB}", "ecdsa"),
        (f'from="198.51.100.1",no-pty ssh-rsa {BLOB}== c', "rsa"),
    ],
)
def test_public_keys(line: str, kind: str) -> None:
    assert PublicKey(line).kind == kind
    assert PublicKey(line).blob.split()[1].startswith(BLOB)


def test_the_private_key_goes_to_the_host_only_when_asked_for() -> None:
    secret = Secret("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
    without = compile_script(["default"], {}, replace(KEYED, oneadmin_private_key=secret))
    assert "PRIVATE KEY" not in without.text
    asked = {"opennebula_ssh_deploy_private_key": "yes"}
    with_it = compile_script(["default"], asked, replace(KEYED, oneadmin_private_key=secret))
    assert secret.reveal() in with_it.text
    assert "/var/lib/one/.ssh/id_ed25519" in with_it.text


@pytest.mark.parametrize(
    ("given", "inside"),
    [
        ({}, "bridge_is 'br0' 'eth1' '' '' '' 'eth1' '192.168.150.1/24'"),
        ({"bridged_networking_iface": "tap0"}, "bridge_is 'br0' 'tap0' 'must' "),
        ({"bridged_networking_iface_manage": "no"}, "bridge_is 'br0' '' '' "),
        ({"bridged_networking_bridge": "br7"}, "firewall_is 'yes' 'auto' 'br7' ''"),
        (
            {"bridged_networking_static_ip": "198.51.100.9", "bridged_networking_static_netmask": "255.255.255.128"},
            "'198.51.100.9/25'",
        ),
        ({"iptables_masquerade_enabled": "yes", "iptables_masquerade_interface": "eth0"}, "'yes' 'yes' 'br0' 'eth0'"),
        ({"iptables_masquerade_enabled": "no", "iptables_manage_persistent": "no"}, "firewall_is 'no' 'no' 'br0'"),
        ({"iptables_base_rules_services": "[{protocol: udp, port: 4789}, {port: 80}]"}, "tcp dport 80 accept"),
        (
            {"iptables_base_rules_services": "udp/4789 tcp/80", "iptables_base_rules_interface": "x0"},
            'iifname "x0" udp dport 4789',
        ),
        ({"opennebula_node_kvm_param_nested": "True"}, "options kvm_intel nested=1"),
        ({"opennebula_ssh_sshd_passwordauthentication": "yes"}, "sshd_is yes prohibit-password"),
        ({"sysctl_settings": "vm.swappiness=10"}, "sysctl_is 'vm.swappiness' '10'"),
        ({"opennebula_node_kvm_packages": "a, b"}, "have_packages 'a' 'b'"),
        ({}, "install_packages $(choose 'debian=opennebula-node-kvm sudo'"),
        ({"opennebula_repository_enabled": "no"}, "install_packages $(choose 'debian=qemu-system-x86 qemu-utils "),
        (
            {"opennebula_node_selinux_booleans": "[{name: a, state: on}, {name: b, state: No}]"},
            "setsebool -P 'a=1' 'b=0'",
        ),
        ({"opennebula_node_kvm_use_ev": "yes"}, "qemu_is_named"),
        ({"opennebula_ssh_keys_import_root_keys": "yes"}, "missing_root_keys /var/lib/one/.ssh/authorized_keys"),
    ],
)
def test_parameters_reach_the_script(given: dict[str, str], inside: str) -> None:
    assert inside in compiled(given).text


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"bridged_networking_bridge_manage": "no"}, "make bridge br0"),
        ({"opennebula_ssh_manage_sshd": "no"}, "set how people log in"),
        ({"opennebula_ssh_deploy_local": "no"}, "let a key of the front-end log in as oneadmin"),
        ({"opennebula_node_kvm_manage_kvm": "no"}, "look for KVM"),
        ({"tuntap_name": "null"}, "make tap0"),
    ],
)
def test_parameters_that_leave_steps_out(given: dict[str, str], missing: str) -> None:
    assert missing in names({})
    assert missing not in names(given)


@pytest.mark.parametrize("given", [{"iptables_base_rules_strict": "no"}, {"iptables_base_rules_enabled": "no"}])
def test_nothing_is_rejected_unless_strict(given: dict[str, str]) -> None:
    assert "reject with" in compiled({}).text
    assert "reject with" not in compiled(given).text
