"""Real machines: booted, reached, restarted, and gone without a trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.machines import Identity, make_identity, nspawn_yard, ssh_banner  # noqa: F401 - a fixture

from hybrid_drivers.errors import HostError, HostKeyMismatch, SandboxError
from hybrid_drivers.hostconfig.runner import Session, SshTarget, connect
from hybrid_drivers.sandbox.machines import cgroups, leftovers, make_machines, rootfs
from hybrid_drivers.sandbox.machines.commands import run
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines, why_not
from hybrid_drivers.sandbox.machines.sources import MirrorUnreachable
from hybrid_drivers.sandbox.machines.suites import SUITES

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]
_count = iter(range(1_000_000))


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture
def machine(nspawn_yard: NspawnMachines, identity: Identity) -> Iterator[tuple[str, str]]:  # noqa: F811 - a fixture
    name = f"real{next(_count)}"
    address = nspawn_yard.prepare(name, f"{name}.example.org", identity.user_data).public_v4
    nspawn_yard.power_on(name)
    ssh_banner(address)
    yield name, address
    nspawn_yard.destroy(name)


def login(address: str, identity: Identity) -> Session:
    return connect(SshTarget(address, 22, "root", identity.private_key, (identity.host_key,)), timeout=20)


def said(session: Session, command: str, *, timeout: float = 30) -> str:
    result = session.run(command, timeout=timeout)
    assert result.code == 0, result.stderr
    return result.stdout.strip()


def wait_for(condition: Callable[[], bool], limit: float = 20) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=0.5):
            return True
    except OSError:
        return False


# --- what a machine is ----------------------------------------------------------------------------------------------


def test_it_boots_whole_with_its_name_its_route_and_a_system_to_configure(
    machine: tuple[str, str], identity: Identity
) -> None:
    name, address = machine
    with login(address, identity) as session:
        assert said(session, "systemctl is-system-running --wait || systemctl --failed") == "running"
        assert said(session, "hostname -f") == f"{name}.example.org"
        assert said(session, "ip -4 -o addr show eth0 | wc -l") == "2"
        assert said(session, "ip route show default | wc -l") == "1"
        assert said(session, "sysctl -n -w net.ipv4.ip_forward=1") == "1"
        assert said(session, "ip tuntap add tap0 mode tap && ip link add br7 type bridge && nft list tables") == ""
        assert "root" in said(session, "getent passwd 0")


def test_the_host_key_is_the_one_of_the_user_data_and_no_other(
    machine: tuple[str, str], identity: Identity, tmp_path: Path
) -> None:
    other = make_identity(tmp_path)
    with pytest.raises(HostKeyMismatch):
        connect(SshTarget(machine[1], 22, "root", identity.private_key, (other.host_key,)), timeout=20)
    known = tmp_path / "known_hosts"
    known.write_text(f"{machine[1]} {identity.host_key}\n")
    options = ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"]
    argv = ["ssh", "-F", "none", *options, "-i", str(identity.private_key), f"root@{machine[1]}", "id", "-u"]
    assert subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout == "0\n"


def test_what_the_default_playbook_installs_lies_ready(machine: tuple[str, str], identity: Identity) -> None:
    with login(machine[1], identity) as session:
        install = "DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends --no-download install"
        said(session, f"{install} rsync acl && command -v rsync", timeout=60)
        said(session, "apt-get -qy --no-install-recommends --no-download --simulate install libvirt-daemon-system")


def test_a_system_whose_archive_is_out_of_reach_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    nowhere = replace(SUITES["noble"], name="nowhere", distribution="nobody", mirror="http://127.0.0.1:9/ubuntu")
    with pytest.raises(MirrorUnreachable, match=r"http://127\.0\.0\.1:9/ubuntu/dists/nowhere/InRelease cannot be read"):
        rootfs.ensure_image(nowhere, cache=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


# --- power ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [True, False], ids=["from inside", "from outside"])
def test_a_reboot_keeps_files_and_forgets_bridges(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    machine: tuple[str, str],
    identity: Identity,
    inside: bool,
) -> None:
    name, address = machine
    with login(address, identity) as session:
        said(session, "echo kept >/root/file; touch /run/before; ip link add br7 type bridge")
        if inside:
            session.run("systemd-run --on-active=0.1 systemctl reboot", timeout=10)
        else:
            nspawn_yard.reboot(name)

    def came_back() -> bool:
        try:
            with login(address, identity) as session:
                return session.run("test -e /run/before", timeout=10).code == 1
        except HostError:
            return False

    wait_for(came_back)
    assert nspawn_yard.running(name)
    with login(address, identity) as session:
        assert said(session, "cat /root/file; ls /sys/class/net") == "kept\neth0\nlo"


def test_power_off_from_outside_leaves_nothing_that_answers(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    machine: tuple[str, str],
) -> None:
    name, address = machine
    nspawn_yard.power_off(name)
    nspawn_yard.power_off(name)
    assert not nspawn_yard.running(name)
    assert not answers(address)
    nspawn_yard.power_on(name)
    nspawn_yard.power_on(name)
    ssh_banner(address)


def test_power_off_from_inside_is_seen(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    machine: tuple[str, str],
    identity: Identity,
) -> None:
    name, address = machine
    with login(address, identity) as session:
        session.run("systemd-run --on-active=0.1 systemctl poweroff", timeout=10)
    wait_for(lambda: not nspawn_yard.running(name))
    assert not answers(address)


# --- leaving no trace -----------------------------------------------------------------------------------------------


def test_destroy_leaves_no_process_mount_namespace_or_disk(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    identity: Identity,
) -> None:
    nspawn_yard.prepare("short", "short.example.org", identity.user_data)
    nspawn_yard.power_on("short")
    one = nspawn_yard.machine("short")
    assert cgroups.processes(one.name)
    assert one.root.is_mount()
    nspawn_yard.destroy("short")  # before it has really booted
    nspawn_yard.destroy("short")
    assert not cgroups.processes(one.name)
    assert not cgroups.names(one.name)
    assert not Path(f"/run/netns/{one.name}").exists()
    assert not one.root.parent.exists()
    with pytest.raises(SandboxError, match="there is no machine short"):
        nspawn_yard.power_on("short")


def traces(yard_id: str) -> list[str]:
    """Return all that still carries the yard's id."""
    looked = [
        *run(["ip", "netns", "list"]).splitlines(),
        *run(["ip", "-o", "link"]).splitlines(),
        *run(["nft", "list", "tables"]).splitlines(),
        *Path("/proc/self/mounts").read_text().splitlines(),
        *cgroups.names("onehyb-"),
        *(str(path) for path in leftovers.STATE.iterdir()),
    ]
    return [line for line in looked if yard_id in line]


def settings() -> list[str]:
    names = ("fs/inotify/max_user_instances", "net/ipv4/ip_forward")
    return [(Path("/proc/sys") / name).read_text() for name in names]


def test_closing_a_yard_takes_everything_along_and_leaves_the_other_alone(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    machine: tuple[str, str],
    identity: Identity,
    tmp_path: Path,
) -> None:
    before = settings()
    yard = make_machines("nspawn", tmp_path)
    assert isinstance(yard, NspawnMachines)
    address = yard.prepare("one", "one.example.org", identity.user_data).public_v4
    yard.power_on("one")
    ssh_banner(address)
    yard_id = yard.network.yard_id
    assert len(traces(yard_id)) >= 6
    yard.close()
    yard.close()
    assert traces(yard_id) == []
    assert list(tmp_path.iterdir()) == []
    assert settings() == before
    assert answers(machine[1])
    assert traces(nspawn_yard.network.yard_id)


def test_what_a_killed_owner_left_is_cleaned_up_and_only_that(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    machine: tuple[str, str],
    tmp_path: Path,
) -> None:
    program = f"""import os
from pathlib import Path
from hybrid_drivers.sandbox.machines import make_machines
yard = make_machines("nspawn", Path({str(tmp_path)!r}))
yard.prepare("one", "one.example.org", "")
yard.power_on("one")
print(yard.network.yard_id, flush=True)
input()
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True, env=env) as owner:
        assert owner.stdout is not None  # a pipe, as above
        yard_id = owner.stdout.readline().strip()
        with leftovers.cleaning():  # nobody else may clean up first: every new yard does
            owner.kill()
            owner.wait(timeout=20)
            assert len(traces(yard_id)) >= 6
    argv = [sys.executable, "-m", "hybrid_drivers.sandbox.machines", "clean"]
    subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, env=env)
    assert traces(yard_id) == []
    assert answers(machine[1])


# --- several --------------------------------------------------------------------------------------------------------


def test_four_at_once_reach_each_other_and_this_computer(
    nspawn_yard: NspawnMachines,  # noqa: F811 - a fixture
    identity: Identity,
) -> None:
    names = [f"four{number}" for number in range(4)]
    where = {name: nspawn_yard.prepare(name, f"{name}.example.org", identity.user_data) for name in names}

    def start(name: str) -> float:
        nspawn_yard.power_on(name)
        return ssh_banner(where[name].public_v4)

    with ThreadPoolExecutor(4) as pool:
        print("seconds to SSH, four at once:", [round(one, 2) for one in pool.map(start, names)])
    others = " ".join([*(one.private_v4 for one in where.values()), nspawn_yard.controller_address])
    with login(where["four0"].public_v4, identity) as session:
        said(session, f"for one in {others}; do ping -c1 -W3 $one >/dev/null || exit 1; done")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(nspawn_yard.destroy, names))
