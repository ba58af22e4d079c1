"""Real guests on a configured machine: a virtual machine under libvirt and QEMU, a container under LXC."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import pytest
from tests.support import guests
from tests.support.machines import make_identity, nspawn_yard  # noqa: F401 - a fixture
from tests.support.node import Node

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, compile_script, render
from hybrid_drivers.hostconfig.steps import Step
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PARAMETERS = {"opennebula_repository_enabled": "no", "bridged_networking_static_ip": "192.168.78.1"}


@pytest.fixture(scope="module")
def script() -> Script:
    """A host for virtual machines and for containers; both node roles fit on one."""
    return compile_script(["default", "default_lxc"], PARAMETERS, Facts())


@pytest.fixture(scope="module")
def node(
    nspawn_yard: NspawnMachines,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
    script: Script,
) -> Iterator[Node]:
    identity = make_identity(tmp_path_factory.mktemp("identity"))
    addresses = nspawn_yard.prepare("guests", "guests", identity.user_data)
    nspawn_yard.power_on("guests")
    node = Node(
        nspawn_yard, "guests", SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
    )
    node.reports["first"] = node.runs(script)
    node.reports["second"] = node.runs(script)
    yield node
    nspawn_yard.destroy("guests")


def as_oneadmin(node: Node, command: str) -> str:
    return node.says(f"su - oneadmin -c '{command}'")


def node_steps() -> Sequence[Step]:
    return steps_of("opennebula-node-qemu", Facts(given=PARAMETERS))


def test_both_node_roles_change_nothing_twice(node: Node) -> None:
    assert {step.role for step in node.reports["first"].changed} >= {"opennebula-node-kvm", "opennebula-node-lxc"}
    assert node.reports["second"].changed == ()


def test_the_role_without_acceleration_is_the_same_node(node: Node) -> None:
    steps = node_steps()
    report = node.runs(render(steps))
    assert report.changed == ()
    assert len(report.steps) == len(steps)


def test_a_virtual_machine_boots_and_reaches_the_host_over_its_bridge(node: Node) -> None:
    node.says(guests.make_kernel_and_initramfs(guest="192.168.78.50/24", host="192.168.78.1"))
    node.says(guests.CONFINE_LIBVIRT)
    described = base64.b64encode(guests.domain("one-1", "br0").encode()).decode()
    as_oneadmin(node, f"echo {described} | base64 -d | virsh -qc qemu:///system create /dev/stdin")
    try:
        console = node.says(
            f"for _ in $(seq 60); do grep -sq 'IS UP' {guests.FOLDER}/console && break; sleep 0.5; done;"
            f"cat {guests.FOLDER}/console"
        )
        assert "GUEST REACHES THE HOST" in console
        assert "-cloud-amd64 IS UP" in console
        assert "one-1" in as_oneadmin(node, "virsh -c qemu:///system list --name")
        assert node.says("ps -o user= -C qemu-kvm-one").split() == ["oneadmin"]
        assert "1 received" in node.says("ping -c 1 -W 5 192.168.78.50")
    finally:
        as_oneadmin(node, "virsh -qc qemu:///system destroy one-1")


def test_a_container_starts_and_is_reached_over_the_bridge(node: Node) -> None:
    node.says(guests.make_container("one-2", address="192.168.78.60/24", bridge="br0"))
    as_oneadmin(node, "sudo -n lxc-start -n one-2 -f /var/lib/lxc-one/one-2/config")
    try:
        as_oneadmin(node, "sudo -n lxc-info -n one-2 --state | grep -q RUNNING")
        assert "1 received" in node.says("ping -c 1 -w 10 192.168.78.60")
        said = node.says("cat /var/lib/lxc-one/one-2/rootfs/tmp/said")
        assert said.split() == ["one-2", "has", "the", "ids", "0", "600100001", "65536"]
    finally:
        as_oneadmin(node, "sudo -n lxc-stop -k -n one-2")


def test_nothing_differs_after_a_reboot(node: Node, script: Script) -> None:
    node.reboot()
    assert node.runs(script, check_only=True).changed == ()
    assert "QEMU" in as_oneadmin(node, "virsh -c qemu:///system version")


@pytest.mark.long
def test_libvirtd_in_one_piece_as_on_red_hat(node: Node) -> None:
    """Debian leaves the sockets to systemd; its libvirtd is the same, so the other way is tried on it last."""
    whole = Step(
        role="r",
        name="run libvirtd in one piece",
        check="libvirtd_is_whole",
        apply="make_libvirtd_whole",
        stdin="[Service]\nEnvironment=LIBVIRTD_ARGS=\n",
        triggers=("libvirtd.service",),
    )
    [service] = [
        step for step in compile_script(["default"], PARAMETERS, Facts()).steps if "libvirtd.service" in step.name
    ]
    steps = render([whole, service])
    assert [step.name for step in node.runs(steps).changed] == [whole.name, service.name]
    assert node.runs(steps).changed == ()
    assert node.says("systemctl is-active libvirtd.service libvirtd.socket virtqemud.socket || true").split() == [
        *("active", "inactive", "inactive")
    ]
    assert "timeout" not in node.says("ps -o args= -C libvirtd")
    assert "QEMU" in as_oneadmin(node, "virsh -c qemu:///system version")
    node.reboot()
    assert node.runs(steps, check_only=True).changed == ()
    assert "QEMU" in as_oneadmin(node, "virsh -c qemu:///system version")
