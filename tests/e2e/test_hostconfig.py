"""The default playbook on a real machine: first run, second run, check, drift, reboot, failures, key rotation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.machines import make_identity, nspawn_yard  # noqa: F401 - a fixture
from tests.support.node import Node

from hybrid_drivers.errors import HostKeyMismatch, StepFailed
from hybrid_drivers.hostconfig import hostkeys, primitives
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.publickey import PublicKey
from hybrid_drivers.hostconfig.report import StepReport, StepStatus
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.hostconfig.script import Script, compile_script, render
from hybrid_drivers.hostconfig.steps import Step
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
FROM_DISTRIBUTION = {"opennebula_repository_enabled": "no"}
PARAMETERS = {
    **FROM_DISTRIBUTION,
    "bridged_networking_static_ip": "192.168.77.1",
    "opennebula_node_kvm_param_nested": "yes",
    "sysctl_settings": "net.ipv4.conf.all.accept_redirects=0",
}


@pytest.fixture(scope="module")
def fresh(nspawn_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:  # noqa: F811
    """A machine as it is delivered."""
    identity = make_identity(tmp_path_factory.mktemp("identity"))
    addresses = nspawn_yard.prepare("hostconfig", "edge1", identity.user_data)
    nspawn_yard.power_on("hostconfig")
    target = SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
    yield Node(nspawn_yard, "hostconfig", target)
    nspawn_yard.destroy("hostconfig")


@pytest.fixture(scope="module")
def frontend_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The key pair of the front-end's oneadmin."""
    key = hostkeys.generate(b"front-end's oneadmin, for a test")
    path = tmp_path_factory.mktemp("front-end") / "id_ed25519"
    path.touch(mode=0o600)
    path.write_text(key.private_openssh)
    return path, f"{key.public} oneadmin@front-end"


@pytest.fixture(scope="module")
def script(frontend_key: tuple[Path, str]) -> Script:
    return compile_script(["default"], PARAMETERS, Facts(oneadmin_keys=(frontend_key[1],)))


@pytest.fixture(scope="module")
def node(fresh: Node, script: Script) -> Node:
    """The machine after a check, a first run and a second run of the default playbook."""
    fresh.says("find /etc /var/lib /usr -xdev -type f -newer /proc/1 | sort >/tmp/before")
    fresh.reports["check"] = fresh.runs(script, check_only=True)
    fresh.says("find /etc /var/lib /usr -xdev -type f -newer /proc/1 | sort >/tmp/after")
    assert fresh.says("diff /tmp/before /tmp/after || true") == ""
    fresh.reports["first"] = fresh.runs(script)
    fresh.reports["second"] = fresh.runs(script)
    return fresh


def test_check_changes_nothing_and_foretells_the_first_run(node: Node) -> None:
    foretold = [step.name for step in node.reports["check"].changed]
    assert foretold == [step.name for step in node.reports["first"].changed]
    assert "install packages" in foretold
    assert all(step.status is StepStatus.WOULD_CHANGE for step in node.reports["check"].changed)


def test_the_second_run_changes_nothing(node: Node) -> None:
    assert node.reports["second"].changed == ()
    assert len(node.reports["second"].steps) == len(node.reports["first"].steps)


def test_oneadmin_of_the_front_end_logs_in_and_uses_libvirt(node: Node, frontend_key: tuple[Path, str]) -> None:
    as_oneadmin = replace(node.target, user="oneadmin", private_key=frontend_key[0])
    with connect(as_oneadmin, timeout=10) as session:
        assert session.run("id -u; id -g", timeout=10).stdout == "9869\n9869\n"
        version = session.run("virsh -c qemu:///system version", timeout=30)
        assert "Running hypervisor: QEMU" in version.stdout, version.stderr
        assert session.run("virsh -c qemu:///system list --all", timeout=30).code == 0
        assert session.run("sudo -n ip link show br0 && sudo -n nft list tables", timeout=10).code == 0
        assert session.run("sudo -n id", timeout=10).code != 0
        assert session.run("touch /var/tmp/one/x && rm /var/tmp/one/x", timeout=10).code == 0


def test_qemu_runs_as_oneadmin(node: Node) -> None:
    conf = node.says("grep -E '^(user|group|dynamic_ownership)' /etc/libvirt/qemu.conf")
    assert conf == 'user = "oneadmin"\ngroup = "oneadmin"\ndynamic_ownership = 0\n'


def assert_network(node: Node) -> None:
    assert "inet 192.168.77.1/24" in node.says("ip -4 address show dev br0")
    rules = node.says("nft list table inet opennebula_hybrid; nft list table ip opennebula_hybrid")
    assert 'ip saddr 192.168.77.0/24 oifname != "br0" masquerade' in rules
    assert "tcp dport 22 accept" in rules
    assert node.says("cat /proc/sys/net/ipv4/ip_forward") == "1\n"


def test_the_bridge_and_nat_are_there(node: Node) -> None:
    assert_network(node)
    assert node.says("ls /sys/class/net/br0/brif; cat /sys/class/net/tap0/tun_flags") != ""


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


def test_drift_is_reported_and_repaired(node: Node, script: Script) -> None:
    node.says("nft add rule inet opennebula_hybrid input drop; chmod 777 /etc/sudoers.d/opennebula-hybrid")
    node.says("sed -i 's/^dynamic_ownership.*/dynamic_ownership = 1/' /etc/libvirt/qemu.conf; rm /var/lib/one/.ssh/*")
    found = node.runs(script, check_only=True).changed
    drift = [step.name for step in found]
    assert drift == [
        "write /etc/sudoers.d/opennebula-hybrid",
        "set dynamic_ownership in /etc/libvirt/qemu.conf",
        "run libvirtd.service",
        "let a key of the front-end log in as oneadmin",
        "set firewall and NAT",
    ]
    assert found[0].notes == ("/etc/sudoers.d/opennebula-hybrid is 777:root:root, not 440:root:root",)
    assert found[1].notes == ("/etc/libvirt/qemu.conf has: dynamic_ownership = 1",)
    assert [step.name for step in node.runs(script).changed] == drift
    assert node.runs(script).changed == ()
    assert_network(node)


def test_rules_of_others_stay(node: Node) -> None:
    node.says("nft add table inet theirs; nft add chain inet theirs mine; iptables -A FORWARD -s 192.0.2.7 -j DROP")
    changed = compile_script(["default"], {**PARAMETERS, "iptables_base_rules_services": "tcp/22,udp/4789"}, Facts())
    assert [step.name for step in node.runs(changed).changed] == ["set firewall and NAT"]
    assert "udp dport 4789 accept" in node.says("nft list table inet opennebula_hybrid")
    node.says("nft list chain inet theirs mine; iptables -C FORWARD -s 192.0.2.7 -j DROP")


def test_an_interface_whose_file_has_vanished_keeps_its_addresses(node: Node, script: Script) -> None:
    """systemd-networkd forgets it at the next reload, and with it the way in."""
    node.runs(script)
    node.says(
        "mv /etc/systemd/network/10-eth0.network /root/;rm /etc/systemd/network/05-hybrid-tap0.netdev; ip link del tap0"
    )
    with pytest.raises(StepFailed, match=r"10-eth0\.network, which .* is gone: put it back"):
        node.runs(script)
    node.says("mv /root/10-eth0.network /etc/systemd/network/")
    assert [step.name for step in node.runs(script).changed] == ["make tap0"]


def test_everything_is_there_after_a_reboot(node: Node, script: Script) -> None:
    node.runs(script)
    node.reboot()
    assert_network(node)
    assert node.runs(script, check_only=True).changed == ()
    assert "QEMU" in node.says("su - oneadmin -c 'virsh -c qemu:///system version'")


def test_a_failed_step_names_itself_and_the_rest_is_not_run(node: Node) -> None:
    seen: list[StepReport] = []
    steps = [primitives.packages("r", ["no-such-package-here"]), primitives.file("r", "/tmp/not-reached", "x")]
    with pytest.raises(StepFailed) as caught:
        node.runs(render(steps), on_step=seen.append)
    assert str(caught.value).startswith(
        f"{node.target.address}: step 'install packages' of role r failed with exit code 100: "
    )
    assert "Unable to locate package no-such-package-here" in str(caught.value)
    assert [one.status for one in seen] == [StepStatus.START, StepStatus.FAILED]
    node.says("[ ! -e /tmp/not-reached ]")


def test_a_full_disk_is_named(node: Node) -> None:
    node.says("mkdir -p /mnt/full && mount -t tmpfs -o size=4k none /mnt/full && head -c 4096 /dev/zero >/mnt/full/x")
    with pytest.raises(StepFailed, match="No space left on device"):
        node.runs(render([primitives.file("r", "/mnt/full/file", "text" * 500)]))
    assert node.says("ls /mnt/full; umount /mnt/full") == "x\n"


def test_a_held_dpkg_lock_is_waited_for(node: Node) -> None:
    node.says("apt-get -qy remove pciutils >/dev/null")
    with node.connect() as session:
        # As dpkg does: a POSIX lock on the whole file, held for a while by somebody else.
        hold = (
            "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f,fcntl.LOCK_EX); "
            "open('/run/held','w'); time.sleep(4)"
        )
        until_held = "while [ ! -e /run/held ]; do sleep 0.1; done; rm /run/held"
        session.run(f'python3 -c "{hold}" >/dev/null 2>&1 & {until_held}', timeout=30)
        report = session.run_script(render([primitives.packages("r", ["pciutils"])]), lambda _: None, timeout=120)
    assert report.steps[0].status is StepStatus.CHANGED
    assert report.steps[0].seconds > 2


def test_a_cut_off_installation_is_finished_by_the_next_run(node: Node) -> None:
    """kill -9 of dpkg and apt in the middle: the next run brings dpkg in order and installs."""
    node.says("apt-get -qy remove pciutils >/dev/null; apt-get -qy --download-only install pciutils >/dev/null")
    node.says("dpkg --unpack /var/cache/apt/archives/pciutils_*.deb >/dev/null; dpkg --audit | grep -q pciutils")
    assert len(node.runs(render([primitives.packages("r", ["pciutils"])])).changed) == 1
    assert node.says("dpkg --audit") == ""


def test_a_broken_sshd_setting_is_not_used(node: Node, script: Script) -> None:
    node.says("echo 'NoSuchKeyword yes' >/etc/ssh/sshd_config.d/90-broken.conf; rm -f /etc/ssh/sshd_config.d/00-0-*")
    strict = compile_script(
        ["default"], {**FROM_DISTRIBUTION, "opennebula_ssh_sshd_passwordauthentication": "yes"}, Facts()
    )
    only_sshd = [step for step in strict.steps if step.name == "set how people log in"]
    try:
        with pytest.raises(StepFailed, match=r"sshd refuses the settings: .*NoSuchKeyword"):
            node.runs(render(only_sshd))
        assert node.says("ls /etc/ssh/sshd_config.d | grep -c hybrid || true") == "0\n"
    finally:
        node.says("rm /etc/ssh/sshd_config.d/90-broken.conf")
    node.runs(script)


def test_root_login_is_not_locked_out(node: Node) -> None:
    given = {**FROM_DISTRIBUTION, "opennebula_ssh_sshd_permitrootlogin": "no"}
    locked = compile_script(["default"], given, Facts(login_user="admin"))  # who turns out to be root
    with pytest.raises(StepFailed, match="would lock us out"):
        node.runs(render([step for step in locked.steps if step.name == "set how people log in"]))


BOBS = PublicKey(hostkeys.generate(b"b" * 32).public)
PRIMITIVES: list[tuple[Step, str]] = [
    (primitives.file("r", "/etc/x/y'z", "it's\n", mode="600", name="n"), '[ "$(cat "/etc/x/y\'z")" = "it\'s" ]'),
    (primitives.directory("r", "/srv/x", mode="700"), "[ -d /srv/x ]"),
    (primitives.setting("r", "/etc/x.conf", "a", "b"), "grep -qx 'a = b' /etc/x.conf"),
    (primitives.group("r", "people", 4321), "getent group 4321"),
    (primitives.user("r", "ann", 4321, group="people", home="/srv/x"), "getent passwd 4321"),
    (primitives.member("r", "ann", "disk"), "id -nG ann | grep -qw disk"),
    (
        primitives.sysctl("r", "net.ipv4.conf.all.log_martians", "1"),
        "grep -qx 1 /proc/sys/net/ipv4/conf/all/log_martians",
    ),
    (
        primitives.kernel_module("r", "no_such_module"),
        "[ -e /etc/modules-load.d/opennebula-hybrid-no_such_module.conf ]",
    ),
    (primitives.packages("r", ["bc"]), "command -v bc"),
    (primitives.packages("r", {"redhat": ["none"], "debian": ["dc"]}, name="each its own"), "command -v dc"),
    (
        primitives.checked_file(
            "r", "/etc/sudoers.d/x", "ann ALL=(ALL) NOPASSWD: /bin/true\n", accepted_by="visudo -cf"
        ),
        "[ $(stat -c %a:%U:%G /etc/sudoers.d/x) = 440:root:root ] && su ann -c 'sudo -n true'",
    ),
    (primitives.line("r", "/etc/x.list", "a  'line'", name="add a line"), "grep -qxF \"a  'line'\" /etc/x.list"),
    (primitives.group("r", "bob", 4322), "getent group 4322"),
    (primitives.user("r", "bob", 4322, group="bob", home="/srv/bob"), "getent shadow bob | grep -q '^bob:[*]:'"),
    (primitives.directory("r", "/srv/bob/.ssh", mode="700", owner="bob:bob"), "[ -d /srv/bob/.ssh ]"),
    (
        primitives.authorized_key("r", "bob", "/srv/bob", BOBS),
        "[ $(stat -c %a:%U:%G /srv/bob/.ssh/authorized_keys) = 600:bob:bob ]",
    ),
    (
        primitives.command("r", "a command", check="[ -e /tmp/made ]", apply=": >/tmp/made"),
        "[ -e /tmp/made ]",
    ),
    (primitives.service("r", "cron.service"), "systemctl is-active cron"),
]


@pytest.mark.parametrize(("step", "proof"), PRIMITIVES, ids=lambda value: value.name if isinstance(value, Step) else "")
def test_each_primitive_is_absent_then_present_then_unchanged(node: Node, step: Step, proof: str) -> None:
    if step.name == "run cron.service":
        node.says("systemctl disable --now cron")
    alone = render([step])
    assert len(node.runs(alone, check_only=True).changed) == 1
    assert len(node.runs(alone).changed) == 1
    node.says(proof)
    assert node.runs(alone).changed == ()


def test_each_primitive_is_in_the_table() -> None:
    """All but the one that changes nothing."""
    made = {name for name, one in vars(primitives).items() if getattr(one, "__module__", "") == primitives.__name__}
    source = inspect.getsource(inspect.getmodule(test_each_primitive_is_in_the_table) or primitives)
    table = source[source.index("PRIMITIVES: list") : source.index("@pytest.mark.parametrize((")]
    assert {name for name in made if f"primitives.{name}(" not in table} == {"require"}


def test_files_that_are_refused_are_not_put_into_place(node: Node) -> None:
    refused = primitives.checked_file("r", "/etc/sudoers.d/bad", "ann ALL=(\n", accepted_by="visudo -cf")
    with pytest.raises(StepFailed, match="syntax error"):
        node.runs(render([refused]))
    node.says("[ ! -e /etc/sudoers.d/bad ]")


def test_a_key_that_is_commented_out_does_not_count(node: Node) -> None:
    alone = render([primitives.authorized_key("r", "bob", "/srv/bob", BOBS)])
    node.says("mkdir -p /srv/bob/.ssh && sed -i 's/^/# /' /srv/bob/.ssh/authorized_keys")
    assert len(node.runs(alone).changed) == 1
    assert node.runs(alone).changed == ()


def test_another_host_key_is_refused_and_nothing_is_sent(node: Node) -> None:
    cursor = node.says("journalctl -u ssh -n 0 --show-cursor").partition("cursor: ")[2].strip()
    wrong = replace(node.target, host_keys=(hostkeys.generate(b"z" * 32).public,))
    with pytest.raises(HostKeyMismatch):
        connect(wrong, timeout=10)
    log = node.says(f"journalctl -u ssh -o cat --no-pager --after-cursor='{cursor}'")
    assert log.count("Accepted publickey") == 1  # our own, just now


def test_the_host_key_is_replaced_by_the_machines_own(node: Node) -> None:
    """Also when the caller is killed between any two calls: at every moment the host shows one of the pinned keys."""
    first = node.target.host_keys[0]
    with node.connect() as session:
        new = hostkeys.stage_new_key(session)
        assert hostkeys.stage_new_key(session) == new
        assert new != first
    assert node.connect().host_key == first  # staged is not active
    node.target = replace(node.target, host_keys=(first, new))
    with node.connect() as session:
        hostkeys.activate_new_key(session)
        assert session.run("echo alive", timeout=10).stdout == "alive\n"
        hostkeys.activate_new_key(session)  # again is harmless
    with pytest.raises(HostKeyMismatch):
        connect(replace(node.target, host_keys=(first,)), timeout=10)
    node.target = replace(node.target, host_keys=(new,))
    assert node.connect().host_key == new
    assert "hybrid" not in node.says("ls /etc/ssh")
    assert node.says("stat -c %a /etc/ssh/ssh_host_ed25519_key") == "600\n"
    node.reboot()
    assert node.connect().host_key == new


def test_a_damaged_staged_key_is_not_used(node: Node) -> None:
    current = node.target.host_keys[0]
    with node.connect() as session:
        hostkeys.stage_new_key(session)
        session.run("head -c 50 /dev/urandom >/etc/ssh/ssh_host_ed25519_key.hybrid-new", timeout=10)
        with pytest.raises(Exception, match="the staged key is damaged"):
            hostkeys.activate_new_key(session)
        staged = hostkeys.stage_new_key(session)  # made anew
        node.target = replace(node.target, host_keys=(current, staged))
        hostkeys.activate_new_key(session)
    node.target = replace(node.target, host_keys=(staged,))
    assert node.connect().host_key == staged


def test_put_tree_to_a_node(node: Node, tmp_path: Path) -> None:
    (tmp_path / "im").mkdir()
    (tmp_path / "im" / "probe").write_text("#!/bin/sh\n")
    with node.connect() as session:
        assert session.put_tree(tmp_path, "/var/tmp/one", owner="oneadmin") is True
        assert session.put_tree(tmp_path, "/var/tmp/one", owner="oneadmin") is False
    assert node.says("stat -c '%U:%G %a' /var/tmp/one /var/tmp/one/im/probe").split("\n")[0] == "oneadmin:oneadmin 755"
    assert node.says("ls -A /var/tmp | grep one") == "one\n"
