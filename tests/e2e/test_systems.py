"""The default playbook on each supported system that can be run for real, by ``make long``.

Debian 12 is what ``test_hostconfig.py`` runs on.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from tests.support.machines import make_identity, suite_yard  # noqa: F401 - a fixture
from tests.support.node import Node

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import RunReport
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, compile_script
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PARAMETERS = {
    "bridged_networking_static_ip": "192.168.77.1",
    "opennebula_repository_enabled": "no",
    "sysctl_settings": "net.ipv4.conf.all.accept_redirects=0",
}


@pytest.fixture(scope="module")
def script() -> Script:
    return compile_script(["default"], PARAMETERS, Facts())


@pytest.fixture(scope="module")
def node(
    suite_yard: NspawnMachines,  # noqa: F811 - a fixture
    tmp_path_factory: pytest.TempPathFactory,
    script: Script,
) -> Iterator[Node]:
    """A machine after a check, a first and a second run, a restart and another check."""
    identity = make_identity(tmp_path_factory.mktemp("identity"))
    addresses = suite_yard.prepare("system", "edge1", identity.user_data)
    suite_yard.power_on("system")
    one = Node(
        suite_yard,
        "system",
        SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,)),
    )
    one.reports["check"] = one.runs(script, check_only=True)
    one.reports["first"] = one.runs(script)
    one.reports["second"] = one.runs(script)
    one.reboot()
    one.reports["after the restart"] = one.runs(script, check_only=True)
    yield one
    suite_yard.destroy("system")


def names(report: RunReport) -> list[str]:
    return [step.name for step in report.changed]


def test_it_is_the_system_meant(node: Node) -> None:
    title = node.machines.suite.title  # "Debian 13"
    said = node.says(". /etc/os-release; echo $NAME $VERSION_ID")
    assert said.replace(" GNU/Linux", "").startswith(title)


def test_a_check_foretells_the_first_run_and_the_second_changes_nothing(node: Node) -> None:
    assert names(node.reports["check"]) == names(node.reports["first"])
    assert "install packages" in names(node.reports["first"])
    assert names(node.reports["second"]) == []


def test_nothing_is_lost_over_a_restart(node: Node) -> None:
    assert names(node.reports["after the restart"]) == []
    assert "inet 192.168.77.1/24" in node.says("ip -4 address show dev br0")
    assert node.says("cat /proc/sys/net/ipv4/conf/all/accept_redirects") == "0\n"


def test_the_whole_system_is_well_after_a_restart(node: Node) -> None:
    node.says("systemctl is-system-running --wait || { systemctl --failed; exit 1; }")


def test_oneadmin_uses_libvirt_and_the_commands_it_needs(node: Node) -> None:
    def as_oneadmin(command: str) -> str:
        return node.says(f"runuser -u oneadmin -- sh -c '{command}'")

    assert "Running hypervisor: QEMU" in as_oneadmin("virsh -c qemu:///system version")
    as_oneadmin("virsh -c qemu:///system list --all")
    as_oneadmin("sudo -n ip link show br0 && sudo -n nft list tables && ! sudo -n id 2>/dev/null")
    conf = node.says("grep -E '^(user|group|dynamic_ownership)' /etc/libvirt/qemu.conf")
    assert conf == 'user = "oneadmin"\ngroup = "oneadmin"\ndynamic_ownership = 0\n'


def test_guests_reach_the_outside_through_nat(node: Node) -> None:
    """A namespace on the bridge stands for a guest; the yard's gateway answers only to the machine's own address."""
    gateway = node.target.address.rsplit(".", 1)[0] + ".1"
    node.says(
        "ip netns add guest; ip link add veth-g type veth peer name eth0 netns guest; ip link set veth-g master br0 up;"
        "ip -n guest addr add 192.168.77.2/24 dev eth0; ip -n guest link set eth0 up;"
        "ip -n guest route add default via 192.168.77.1"
    )
    try:
        assert "1 received" in node.says(f"ip netns exec guest ping -c 1 -W 5 {gateway}")
    finally:
        node.says("ip netns del guest")


def test_a_wish_can_be_changed_without_losing_the_connection(node: Node, script: Script) -> None:
    """Other sshd settings and another address of the bridge: both take effect at once; then back again."""
    other = {
        **PARAMETERS,
        "bridged_networking_static_ip": "192.168.78.1",
        "opennebula_ssh_sshd_passwordauthentication": "yes",
    }
    changed = compile_script(["default"], other, Facts())
    assert "set how people log in" in names(node.runs(changed))
    assert "inet 192.168.78.1/24" in node.says("ip -4 address show dev br0")
    assert ways_to_log_in(node) == {"publickey", "password"}
    assert names(node.runs(changed)) == []
    node.runs(script)
    assert ways_to_log_in(node) == {"publickey"}
    assert names(node.runs(script)) == []


def ways_to_log_in(node: Node) -> set[str]:
    """Return what the running sshd offers to somebody without any proof, which it names when it refuses."""
    options = ["-F", "none", "-o", "PreferredAuthentications=none", "-o", "StrictHostKeyChecking=no"]
    argv = ["ssh", *options, "-o", "UserKnownHostsFile=/dev/null", f"root@{node.target.address}", "true"]
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    found = re.search(r"Permission denied \((.*)\)", refused.stderr)
    assert found is not None, refused.stderr
    return set(found[1].split(","))
