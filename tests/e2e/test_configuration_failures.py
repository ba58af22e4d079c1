"""What goes wrong while a machine is configured: after each of it, the next run brings the machine to the same end.

What concerns packages alone (locks, killed dpkg) is in ``test_packages.py``.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import pytest
from tests.support.machines import make_identity, nspawn_yard  # noqa: F401 - a fixture
from tests.support.node import Node

from hybrid_drivers.errors import HostError, HostUnreachable, StepFailed
from hybrid_drivers.hostconfig import hostkeys, primitives, runner
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import StepReport, StepStatus
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, compile_script, render
from hybrid_drivers.sandbox.machines.commands import run
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines
from hybrid_drivers.secret import Secret

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PARAMETERS = {
    "bridged_networking_static_ip": "192.168.77.1",
    "opennebula_repository_enabled": "no",
    "opennebula_ssh_deploy_private_key": "yes",
    "sysctl_settings": "net.ipv4.conf.all.accept_redirects=0",
}
KEY = hostkeys.generate(b"a key that must not get about".ljust(32))
KEY_FILE = "/var/lib/one/.ssh/id_ed25519"
CANARY = KEY.private_openssh.splitlines()[3]  # in the key's private half
# The process that configures, not those it started: the pattern does not match the command that looks for it.
CONFIGURING = "$(pgrep -of 'sh -s [h]ybrid-configure apply')"
DPKG_WORKS = "until pidof -s dpkg >/dev/null; do sleep 0.05; done; sleep 1"


@pytest.fixture(scope="module")
def script() -> Script:
    facts = Facts(oneadmin_keys=(f"{KEY.public} oneadmin@front-end",), oneadmin_private_key=Secret(KEY.private_openssh))
    compiled = compile_script(["default"], PARAMETERS, facts)
    assert CANARY in compiled.text
    return compiled


def new_node(yard: NspawnMachines, folder: Path, name: str, disk_mib: int = 0) -> Node:
    identity = make_identity(folder)
    addresses = yard.prepare(name, name, identity.user_data)
    if disk_mib:
        yard.machine(name).limit_disk(disk_mib)
    yard.power_on(name)
    return Node(yard, name, SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,)))


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread; it has ended without an error when the block is left."""
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(action)
        yield
        doing.result(timeout=60)


def names(steps: tuple[StepReport, ...]) -> list[str]:
    return [step.name for step in steps]


def is_converged(node: Node, script: Script) -> bool:
    return node.runs(script).changed == () and node.says("dpkg --audit") == ""


# --- killed and cut off -----------------------------------------------------------------------------------------------


@dataclass
class Story:
    """What happened to a machine whose first run was killed and whose second was cut off."""

    node: Node
    errors: list[str] = field(default_factory=list)
    bait: str = ""
    seen: frozenset[str] = frozenset()  # ids of processes in whose arguments or environment the canary was seen


LOOK = (
    "until [ -e /run/enough ]; do"
    " grep -alF -f /run/canary /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; sleep 0.02; done"
)
BAIT = 'env CANARY="$(cat /run/canary)" sleep 0.5 & echo $!; wait'  # one process that must be seen


@pytest.fixture(scope="module")
def story(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    tmp_path_factory: pytest.TempPathFactory,
    script: Script,
) -> Iterator[Story]:
    """A new machine; its configuring process is killed while dpkg works, the next run's connection too."""
    told = Story(new_node(nspawn_yard, tmp_path_factory.mktemp("story"), "story"))
    node = told.node
    node.says(f"umask 77; echo '{CANARY}' >/run/canary")

    def look() -> None:
        with node.connect() as session:
            told.seen = frozenset(re.findall(r"/proc/(\d+)/", session.run(LOOK, timeout=120).stdout))

    with meanwhile(look):
        with (
            meanwhile(lambda: node.says(f"{DPKG_WORKS}; kill -9 {CONFIGURING}")),
            pytest.raises(HostUnreachable) as killed,
        ):
            node.runs(script)
        with node.connect() as session:
            ours = session.run("echo $PPID", timeout=10).stdout.strip()
            with (
                meanwhile(lambda: node.says(f'until [ -n "{CONFIGURING}" ]; do :; done; sleep 1; kill -9 {ours}')),
                pytest.raises(HostUnreachable) as cut_off,
            ):
                session.run_script(script, lambda _: None, timeout=300)
        told.errors = [str(killed.value), str(cut_off.value)]
        node.reports["third"] = node.runs(script)
        told.bait = node.says(BAIT).strip()
        node.says("touch /run/enough")
    node.says("rm /run/canary /run/enough")
    yield told
    nspawn_yard.destroy("story")


def test_a_killed_run_and_a_lost_connection_name_host_and_step(story: Story) -> None:
    address = re.escape(story.node.target.address)
    where = "in step 'install packages' of role opennebula-node-kvm"
    assert re.match(f"{address}: the configuration was cut off {where}", story.errors[0])
    assert re.match(f"{address}: the SSH connection (broke|is lost)", story.errors[1])


def test_the_next_run_goes_on_from_there(story: Story, script: Script) -> None:
    assert len(story.node.reports["third"].steps) == len(script.steps)
    assert is_converged(story.node, script)
    story.node.says("runuser -u oneadmin -- virsh -c qemu:///system version")


def test_the_secret_was_in_no_process(story: Story) -> None:
    assert story.seen == {story.bait}


def test_the_secret_is_where_it_belongs_and_nowhere_else(story: Story) -> None:
    disk = story.node.machines.machine(story.node.id).root.parent / "upper"
    found = subprocess.run(["grep", "-rlaF", CANARY, str(disk)], capture_output=True, text=True, timeout=60)
    assert found.stdout == f"{disk}{KEY_FILE}\n"
    assert story.node.says(f"stat -c %a:%U:%G {KEY_FILE}") == "600:oneadmin:oneadmin\n"
    inside = story.node.says(f"tail -n +3 {KEY_FILE} | head -n 2 >/run/c; journalctl -o cat | grep -cF -f /run/c; true")
    assert inside == "0\n"
    assert story.node.says("grep -rlaF -f /run/c /run /dev/shm 2>/dev/null; rm /run/c") == "/run/c\n"


def test_what_was_written_is_roots_and_nobody_else_may_write_it(story: Story) -> None:
    mine = "find /etc /usr/lib /usr/local /var/lib /root -xdev ! -type l -name '*opennebula-hybrid*'"
    modes = set(story.node.says(f"{mine} -exec stat -c '%U:%G %a' {{}} +").splitlines())
    assert modes
    assert modes <= {"root:root 644", "root:root 440", "root:root 755", "root:root 700"}
    new = "-newer /etc/machine-id ! -type l ! -path '/var/lib/one/*'"
    for folder in ("/etc", "/root", "/var/lib", "/usr/local"):
        assert story.node.says(f"find {folder} -xdev {new} -perm /o+w") == ""
    story.node.says("visudo -c -q && sshd -t")


def test_no_temporary_file_is_left(story: Story) -> None:
    """A killed run cannot clean up, but the runs after it did not leave anything."""
    assert story.node.says("find /etc /root /var/lib/one /var/lib/opennebula-hybrid -name '*.hybrid-*'") == ""
    left = story.node.says("find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' ! -name '.*-unix'")
    assert set(left.split()) <= {"/var/tmp/one"}


UNDO = (
    "rm -f /etc/sudoers.d/opennebula-hybrid /etc/ssh/sshd_config.d/*hybrid* /etc/sysctl.d/*hybrid*;"
    "rm -rf /var/lib/one/.ssh; nft delete table inet opennebula_hybrid; ip link del tap0;"
    "sed -i '/^user/d; /^group/d; /^dynamic/d' /etc/libvirt/qemu.conf; systemctl restart libvirtd;"
    "echo 1 >/proc/sys/net/ipv4/conf/all/accept_redirects"
)


def killed_after(script: Script, number: int) -> Script:
    """Return the program that is killed between step ``number`` and the next."""
    text, count = re.subn(rf"(?m)^(run_step {number} .*)$", r"\1\nkill -9 $$", script.text)
    assert count == 1
    return replace(script, text=text)


def test_a_kill_between_any_two_steps_loses_nothing(story: Story, script: Script) -> None:
    """Each run comes one step further than the one before. What must be restarted is known after the kill too."""
    node = story.node
    node.says(UNDO)
    libvirtd = node.says("systemctl show -p MainPID libvirtd")
    undone = names(node.runs(script, check_only=True).changed)
    assert len(undone) >= 8
    changed: list[str] = []

    def note(step: StepReport) -> None:
        if step.status is StepStatus.CHANGED:
            changed.append(step.name)

    with node.connect() as session:
        for number in range(1, len(script.steps)):
            with pytest.raises(HostUnreachable, match="the configuration was cut off"):
                session.run_script(killed_after(script, number), note, timeout=60)
    node.runs(script, on_step=note)
    assert changed == undone  # each once
    assert node.says("systemctl show -p MainPID libvirtd") != libvirtd
    assert "passwordauthentication no" in node.says("sshd -T")
    assert is_converged(node, script)


# --- several at once, and the cable -----------------------------------------------------------------------------------


def slow_step(mark: str, seconds: float) -> Script:
    return render([primitives.command("r", "take time", check=f"[ -e {mark} ]", apply=f"sleep {seconds}; : >{mark}")])


def test_of_two_runs_one_waits_for_the_other(story: Story) -> None:
    slow = slow_step("/run/waited", 2)
    with ThreadPoolExecutor(2) as pool:
        reports = [one.result() for one in [pool.submit(story.node.runs, slow) for _ in range(2)]]
    assert sorted(len(report.changed) for report in reports) == [0, 1]
    assert all(report.seconds > 2 for report in reports)


def test_it_does_not_wait_for_ever(story: Story) -> None:
    slow = slow_step("/run/waited-again", 3)
    impatient = replace(slow, text=slow.text.replace("${HYBRID_LOCK_WAIT:-300}", "1"))
    with meanwhile(lambda: story.node.runs(slow)):
        story.node.says("until pgrep -f 'sh -s [h]ybrid-configure apply'; do :; done >/dev/null")
        with pytest.raises(HostError, match=r"another configuration run holds .* since more than 1 seconds"):
            story.node.runs(impatient)


class Cable:
    """The machine's wire, pulled for some seconds as soon as a step has begun."""

    def __init__(self, node: Node, seconds: float) -> None:
        self._link = ["ip", "-n", node.machines.network.namespace, "link", "set"]
        self._link.append(f"m{node.machines.machine(node.id).low}")
        self._seconds, self._begun = seconds, Event()
        self.out = False

    def step_begins(self, step: StepReport) -> None:
        self._begun.set()

    def pull(self) -> None:
        assert self._begun.wait(60)
        run([*self._link, "down"])
        self.out = True
        time.sleep(self._seconds)
        self.out = False
        run([*self._link, "up"])


def test_a_cable_pulled_for_a_moment_does_not_end_the_run(story: Story) -> None:
    slow, cable = slow_step("/run/moment", 1), Cable(story.node, 1.5)
    with meanwhile(cable.pull):
        assert len(story.node.runs(slow, on_step=cable.step_begins).changed) == 1


def test_a_cable_pulled_for_long_is_noticed(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as with the real limits, which are a quarter of a minute and a minute."""
    monkeypatch.setattr(runner, "_KEEPALIVE", 1)
    monkeypatch.setattr(runner, "_SILENCE", 1000)
    slow, cable = slow_step("/run/long", 5), Cable(story.node, 4)
    with meanwhile(cable.pull):
        with pytest.raises(HostUnreachable, match="the SSH connection broke"):
            story.node.runs(slow, on_step=cable.step_begins)
        assert cable.out
    assert story.node.runs(slow).steps[0].status in (StepStatus.OK, StepStatus.CHANGED)
    assert story.node.runs(slow).changed == ()


# --- full disk, power failure -----------------------------------------------------------------------------------------


def test_a_full_disk_and_then_a_power_failure(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    tmp_path: Path,
    script: Script,
) -> None:
    node = new_node(nspawn_yard, tmp_path, "small", disk_mib=60)
    machine = nspawn_yard.machine("small")
    with pytest.raises(StepFailed) as full:
        node.runs(script)
    assert full.value.step == "install packages"
    assert re.search(r"No space left on device|enough free space", str(full.value))
    assert re.search(r"disk at /: \d+ MiB free of 60", str(full.value))
    machine.limit_disk(2000)

    def power_failure() -> None:
        node.says(DPKG_WORKS)
        machine.cut_power()

    with meanwhile(power_failure), pytest.raises(HostUnreachable):
        node.runs(script)
    machine.power_on()
    assert len(node.runs(script).steps) == len(script.steps)
    assert is_converged(node, script)
    nspawn_yard.destroy("small")
