"""Messages over monitord's port, and the client on a node that sends them."""

from __future__ import annotations

import ast
import base64
import os
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.standin import ANSWER, events, host, toy

from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.frontend import Frontend
from hybrid_drivers.sandbox.frontend.monitord import BadMessage, Key, read_message


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[Frontend]:
    with Frontend(tmp_path / "one", repository=None) as running:
        yield running


# --- monitord's port ------------------------------------------------------------------------------------------------


def told(frontend: Frontend) -> bytes:
    """Return the configuration that a toy executable has written down, as XML."""
    path = frontend.location / "var/remotes/im/provision.d/monitord-client_control.sh.stdin"
    return base64.b64decode(path.read_bytes())


def wire(kind: str, payload: bytes, status: str = "SUCCESS", host_id: int = 0, stamp: int = 0) -> bytes:
    return b"%s %s %d %d %s" % (
        kind.encode(),
        status.encode(),
        host_id,
        stamp,
        base64.b64encode(zlib.compress(payload)),
    )


def over_udp(port: int, data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", port))


def over_tcp(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sender:
        sender.sendall(data)


@pytest.mark.parametrize("send", [over_udp, over_tcp])
def test_messages_arrive_and_garbage_does_no_harm(frontend: Frontend, send: Callable[[int, bytes], None]) -> None:
    toy(frontend, "true")
    host(frontend)
    for garbage in (b"", b"x", b"SYSTEM_HOST SUCCESS 0 0 !!", b"\xff\xfe", b"NOPE SUCCESS 0 0 eA==", b"\0" * 1000):
        send(frontend.monitord_port, garbage)
    send(frontend.monitord_port, wire("SYSTEM_HOST", b'TOTALCPU="0"\nPROVISION_STEP="kernel 2/9"'))
    frontend.wait_for(lambda: frontend.host(0).template.text("PROVISION_STEP") == "kernel 2/9", 10)


def test_with_a_key_only_encrypted_messages_count(tmp_path: Path) -> None:
    key = Key()
    with pytest.raises(BadMessage, match="not encrypted"):
        read_message(wire("SYSTEM_HOST", b"plain"), key)
    assert key.public_pem.startswith("-----BEGIN RSA PUBLIC KEY-----")
    with Frontend(tmp_path / "one", repository=None, encrypt=True) as frontend:
        toy(frontend, 'cat > "$0.stdin"')
        host(frontend)
        events(frontend, 1)
        assert b"<PUBKEY><![CDATA[-----BEGIN RSA PUBLIC KEY-----\n" in told(frontend)


# --- the client on a node -------------------------------------------------------------------------------------------


@pytest.fixture
def node(frontend: Frontend) -> Iterator[Callable[..., subprocess.CompletedProcess[bytes]]]:
    """Runs the node's programs with the configuration of host 0; what they leave behind is ended."""
    toy(frontend, f'cat > "$0.stdin"; {ANSWER}')
    frontend.set_knobs({"beacon_period": 0.1, "monitor_period": 0.1})
    host(frontend)
    frontend.wait_for(lambda: frontend.host(0).state is HostState.MONITORED, 10)
    configuration = told(frontend)

    def run(program: str, stdin: bytes = configuration, **env: str) -> subprocess.CompletedProcess[bytes]:
        command = [str(frontend.location / "var/remotes/im" / program), "kvm", "0", "edge1"]
        environment = {"PATH": os.environ["PATH"], "SSH_CLIENT": "127.0.0.1 40000 22", **env}
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=20)

    yield run
    run("stop_monitord_client")


def runs(pid: int) -> bool:
    """Tell whether a process is there, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_file(frontend: Frontend) -> Path:
    return Path(f"/tmp/one-monitord-0-{frontend.monitord_port}.pid")


def test_a_node_reports_what_it_has_and_goes_on(
    frontend: Frontend, node: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    done = node("run_monitord_client")
    assert (done.returncode, done.stderr) == (0, b"")
    frontend._running().monitor.answered(0, 0, done.stdout.decode())
    assert frontend.host(0).total_cpu == 100 * (os.cpu_count() or 1)
    assert frontend.host(0).total_memory > 0
    assert {"ARCH", "HOSTNAME", "HYPERVISOR", "KERNEL"} <= {name for name, _ in frontend.host(0).template.template()}
    first = frontend.host(0).monitoring
    frontend.wait_for(lambda: "<FREE_MEMORY>" in frontend.host(0).monitoring != first, 10)
    pid = int(frontend.wait_for(lambda: pid_file(frontend).exists() and pid_file(frontend).read_text(), 10))
    node("run_monitord_client")
    frontend.wait_for(lambda: not runs(pid), 10)  # replaced
    pid = int(frontend.wait_for(lambda: pid_file(frontend).exists() and pid_file(frontend).read_text(), 10))
    assert node("stop_monitord_client").returncode == 0
    assert not runs(pid)
    assert not pid_file(frontend).exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the node's client encrypts with the openssl program")
def test_a_node_encrypts_when_monitord_has_a_key(tmp_path: Path) -> None:
    with Frontend(tmp_path / "one", repository=None, encrypt=True) as frontend:
        toy(frontend, 'cat > "$0.stdin"')
        frontend.set_knobs({"beacon_period": 0.1, "monitor_period": 0.1})
        host(frontend)
        events(frontend, 1)
        line = told(frontend)
        command = [str(frontend.location / "var/remotes/im/run_monitord_client"), "kvm", "0", "edge1"]
        environment = {"PATH": os.environ["PATH"], "SSH_CLIENT": "127.0.0.1 40000 22"}
        subprocess.run(command, input=line, env=environment, capture_output=True, timeout=20, check=True)
        try:
            frontend.wait_for(lambda: "<FREE_MEMORY>" in frontend.host(0).monitoring, 10)
        finally:
            command[0] = command[0].replace("run_", "stop_")
            subprocess.run(command, input=line, env=environment, timeout=20, check=True)


@pytest.mark.parametrize(
    ("stdin", "env", "words"),
    [
        (b"garbage!", {}, b"is not XML"),
        (base64.b64encode(b"<MONITOR_CONFIGURATION/>"), {}, b"is not XML (base64 is for front-end drivers)"),
        (None, {"SSH_CLIENT": ""}, b'NETWORK/MONITOR_ADDRESS is "auto", but SSH_CLIENT unknown'),
    ],
)
def test_a_node_says_why_it_cannot(
    node: Callable[..., subprocess.CompletedProcess[bytes]], stdin: bytes | None, env: dict[str, str], words: bytes
) -> None:
    done = node("run_monitord_client", **({} if stdin is None else {"stdin": stdin}), **env)
    assert (done.returncode, done.stderr) == (255, b"")
    assert words in done.stdout


def test_the_client_is_written_for_python_3_6(frontend: Frontend) -> None:
    source = (frontend.location / "var/remotes/im/run_monitord_client").read_text()
    imported = {name for node in ast.walk(ast.parse(source, feature_version=(3, 6))) for name in _imports(node)}
    assert imported <= set(sys.stdlib_module_names)


def _imports(node: ast.AST) -> list[str]:
    return [alias.name.partition(".")[0] for alias in node.names] if isinstance(node, ast.Import) else []
