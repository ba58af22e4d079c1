"""Light machines, spoken to as the agent speaks to them: real SSH over loopback, real datagrams."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.machines import Identity, light_yard, make_identity  # noqa: F401 - a fixture

from hybrid_drivers.errors import ConfigError, HostKeyMismatch, HostUnreachable, LoginRefused, SandboxError, StepFailed
from hybrid_drivers.hostconfig.hostkeys import activate_new_key, stage_new_key
from hybrid_drivers.hostconfig.report import StepReport, StepStatus
from hybrid_drivers.hostconfig.runner import Session, SshTarget, connect
from hybrid_drivers.hostconfig.script import Script, render
from hybrid_drivers.hostconfig.steps import Step
from hybrid_drivers.oned.monitord import Message, decode_message
from hybrid_drivers.oned.xml import parse_monitor_messages
from hybrid_drivers.sandbox.machines import make_machines
from hybrid_drivers.sandbox.machines.light import LightMachines

REMOTES = "/var/tmp/one"
_count = iter(range(1_000_000))


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return make_identity(tmp_path)


@pytest.fixture
def target(light_yard: LightMachines, identity: Identity) -> Iterator[tuple[str, SshTarget]]:  # noqa: F811 - a fixture
    name = f"m{next(_count)}"
    where = light_yard.prepare(name, f"{name}.example.org", identity.user_data)
    light_yard.power_on(name)
    yield name, ssh_target(light_yard, where.public_v4, identity)
    light_yard.destroy(name)


def ssh_target(yard: LightMachines, address: str, identity: Identity) -> SshTarget:
    return SshTarget(address, yard.ssh_port, "root", identity.private_key, (identity.host_key,))


def script(*names: str, check: str = "false") -> Script:
    return render([Step(role="try", name=name, check=check, apply="true") for name in names])


def statuses(session: Session, program: Script, *, check_only: bool = False) -> list[str]:
    report = session.run_script(program, lambda step: None, check_only=check_only, timeout=10)
    return [step.status.value for step in report.steps]


# --- logging in -----------------------------------------------------------------------------------------------------


def test_login_with_the_key_of_the_user_data_shows_the_host_key_of_the_user_data(
    target: tuple[str, SshTarget], identity: Identity
) -> None:
    with connect(target[1], timeout=5) as session:
        assert session.host_key == identity.host_key


def test_another_login_key_is_refused(target: tuple[str, SshTarget], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_identity(tmp_path / "other")
    good = target[1]
    with pytest.raises(LoginRefused):
        connect(SshTarget(good.address, good.port, "root", other.private_key, good.host_keys), timeout=5)


def test_a_machine_with_another_host_key_is_noticed(target: tuple[str, SshTarget], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_identity(tmp_path / "other")
    good = target[1]
    with pytest.raises(HostKeyMismatch):
        connect(SshTarget(good.address, good.port, "root", good.private_key, (other.host_key,)), timeout=5)


def test_an_unknown_command_ends_with_127_and_nothing_runs_here(target: tuple[str, SshTarget], tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    with connect(target[1], timeout=5) as session:
        result = session.run(f"touch {proof}", timeout=5)
    assert result.code == 127
    assert "touch: not found" in result.stderr
    assert not proof.exists()


# --- power ----------------------------------------------------------------------------------------------------------


def test_power_off_refuses_and_drops_and_power_on_keeps_the_disk(
    light_yard: LightMachines,  # noqa: F811 - a fixture
    target: tuple[str, SshTarget],
) -> None:
    name, where = target
    program = script("one")
    with connect(where, timeout=5) as session:
        assert statuses(session, program) == ["changed"]
        light_yard.power_off(name)
        with pytest.raises(HostUnreachable):
            session.run("true", timeout=5)
    assert not light_yard.running(name)
    with pytest.raises(HostUnreachable):
        connect(where, timeout=5)
    light_yard.power_on(name)
    assert light_yard.running(name)
    with connect(where, timeout=5) as session:
        assert statuses(session, program) == ["ok"]


def test_a_destroyed_machine_is_unknown_and_a_second_destroy_is_fine(light_yard: LightMachines) -> None:  # noqa: F811
    light_yard.prepare("gone", "gone.example.org", "")
    light_yard.destroy("gone")
    light_yard.destroy("gone")
    assert not light_yard.running("gone")
    with pytest.raises(SandboxError, match="there is no machine gone"):
        light_yard.power_on("gone")


def test_an_id_in_use_is_refused(light_yard: LightMachines, target: tuple[str, SshTarget]) -> None:  # noqa: F811
    with pytest.raises(SandboxError, match="is there already"):
        light_yard.prepare(target[0], "twice.example.org", "")


def test_a_closed_yard_ends_its_process_and_says_so(tmp_path: Path) -> None:
    yard = make_machines("light", tmp_path)
    assert isinstance(yard, LightMachines)
    yard.close()
    yard.close()
    assert not Path(f"/proc/{yard.pid}").exists()
    with pytest.raises(SandboxError, match="closed"):
        yard.prepare("a", "a.example.org", "")


def test_yards_are_processes_apart(tmp_path: Path) -> None:
    one, other = LightMachines(tmp_path), LightMachines(tmp_path)
    os.kill(one.pid, signal.SIGKILL)
    with pytest.raises(SandboxError, match="process of the light machines is gone"):
        one.running("1")
    assert not other.running("1")
    for yard in (one, other):
        yard.close()
        assert not Path(f"/proc/{yard.pid}").exists()


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nspawn, light, none"):
        make_machines("kvm", tmp_path)


# --- configuration --------------------------------------------------------------------------------------------------


def test_steps_change_once_and_again_when_their_text_changes(target: tuple[str, SshTarget]) -> None:
    with connect(target[1], timeout=5) as session:
        assert statuses(session, script("one", "two"), check_only=True) == ["would-change"] * 2
        assert statuses(session, script("one", "two")) == ["changed"] * 2
        assert statuses(session, script("one", "two")) == ["ok"] * 2
        assert statuses(session, script("new", "one", "two")) == ["changed", "ok", "ok"]
        assert statuses(session, script("one", check="test -e /other")) == ["changed"]


def test_a_must_step_is_never_a_change(target: tuple[str, SshTarget]) -> None:
    must = Step(role="try", name="a Debian 12", check="true", must=True)
    with connect(target[1], timeout=5) as session:
        assert statuses(session, render([must])) == ["ok"]


def test_a_failing_step_is_told_with_its_last_words(light_yard: LightMachines, target: tuple[str, SshTarget]) -> None:  # noqa: F811
    name, where = target
    light_yard.fail_step(name, "two", "E: no space left\nE: giving up")
    seen: list[StepReport] = []
    with connect(where, timeout=5) as session:
        with pytest.raises(StepFailed, match=r"step 'two' of role try.*no space left / E: giving up"):
            session.run_script(script("one", "two", "three"), seen.append, timeout=10)
        light_yard.fail_step(name, "two", None)
        assert statuses(session, script("one", "two", "three")) == ["ok", "changed", "changed"]
    assert [step.status for step in seen][-1] is StepStatus.FAILED
    assert "three" not in {step.name for step in seen}


def test_the_host_key_is_staged_then_activated(target: tuple[str, SshTarget]) -> None:
    where = target[1]
    with connect(where, timeout=5) as session:
        fresh = stage_new_key(session)
        assert stage_new_key(session) == fresh
    with connect(where, timeout=5) as session:  # the old one still serves
        activate_new_key(session)
        activate_new_key(session)
    with pytest.raises(HostKeyMismatch):
        connect(where, timeout=5)
    with connect(SshTarget(where.address, where.port, "root", where.private_key, (fresh,)), timeout=5) as session:
        assert session.host_key == fresh


# --- probes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def monitord() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


def configuration(port: int, host_id: int, beacon: int = 1) -> bytes:
    return (
        f"<MONITOR_CONFIGURATION><NETWORK><MONITOR_ADDRESS>auto</MONITOR_ADDRESS><PORT>{port}</PORT></NETWORK>"
        f"<PROBES_PERIOD><BEACON_HOST>{beacon}</BEACON_HOST><MONITOR_HOST>1</MONITOR_HOST></PROBES_PERIOD>"
        f"<HOST_ID>{host_id}</HOST_ID></MONITOR_CONFIGURATION>"
    ).encode()


def receive(receiver: socket.socket, wanted: Callable[[Message], bool]) -> Message:
    while True:
        message = decode_message(receiver.recv(65535))
        if wanted(message):
            return message


def test_probes_need_the_remotes(target: tuple[str, SshTarget]) -> None:
    with connect(target[1], timeout=5) as session:
        result = session.run(f"{REMOTES}/im/run_monitord_client 'kvm' 7 'edge'", configuration(9, 7), timeout=5)
    assert result.code == 127


def test_a_tree_is_taken_once(target: tuple[str, SshTarget], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("text")
    with connect(target[1], timeout=5) as session:
        assert session.put_tree(tmp_path / "tree", REMOTES, owner="oneadmin")
        assert not session.put_tree(tmp_path / "tree", REMOTES, owner="oneadmin")
        (tmp_path / "tree/file").write_text("other")
        assert session.put_tree(tmp_path / "tree", REMOTES, owner="oneadmin")


def test_probes_answer_with_capacity_and_send_until_stopped(
    light_yard: LightMachines,  # noqa: F811 - a fixture
    target: tuple[str, SshTarget],
    tmp_path: Path,
    monitord: socket.socket,
) -> None:
    name, where = target
    (tmp_path / "tree").mkdir()
    with connect(where, timeout=5) as session:
        session.put_tree(tmp_path / "tree", REMOTES, owner="oneadmin")
        command = f"{REMOTES}/im/run_monitord_client 'kvm' 7 'edge'"
        result = session.run(command, configuration(monitord.getsockname()[1], 7), timeout=5)
        assert result.code == 0
        told = parse_monitor_messages(result.stdout.encode())
        assert 'TOTALCPU="800"' in told["SYSTEM_HOST"]
        assert f'HOSTNAME="{name}.example.org"' in told["SYSTEM_HOST"]
        assert 'HYPERVISOR="kvm"' in told["SYSTEM_HOST"]
        assert "FREEMEMORY=" in told["MONITOR_HOST"]
        assert receive(monitord, lambda one: one.kind == "BEACON_HOST").host_id == 7
        assert "USEDCPU" in receive(monitord, lambda one: one.kind == "MONITOR_HOST").payload
        assert session.run(f"{REMOTES}/im/stop_monitord_client 'kvm' 7 'edge'", timeout=5).code == 0
    monitord.settimeout(1.3)  # longer than the period
    with pytest.raises(TimeoutError):
        receive(monitord, lambda one: False)


def test_a_broken_configuration_is_refused_in_one_line(target: tuple[str, SshTarget], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with connect(target[1], timeout=5) as session:
        session.put_tree(tmp_path / "tree", REMOTES, owner="oneadmin")
        result = session.run(f"{REMOTES}/im/run_monitord_client 'kvm' 7 'edge'", b"rubbish!", timeout=5)
    assert result.code == 1
    assert result.stderr.count("\n") == 1
    assert "neither XML nor base64" in result.stderr


# --- many -----------------------------------------------------------------------------------------------------------


def test_fifty_machines_at_once(light_yard: LightMachines, identity: Identity) -> None:  # noqa: F811 - a fixture
    names = [f"many{number}" for number in range(50)]
    program = script("one", "two")

    def configure(name: str) -> list[str]:
        where = light_yard.prepare(name, f"{name}.example.org", identity.user_data)
        light_yard.power_on(name)
        with connect(ssh_target(light_yard, where.public_v4, identity), timeout=30) as session:
            return statuses(session, program)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(configure, names)) == [["changed", "changed"]] * 50
    assert all(light_yard.running(name) for name in names)
    for name in names:
        light_yard.destroy(name)
