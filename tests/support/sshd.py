"""A real sshd on loopback, with its own configuration, for the current user."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hybrid_drivers.hostconfig.runner import SshTarget


@dataclass(frozen=True)
class Sshd:
    """A running sshd: where it listens, the key that opens it, and its configuration folder."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def target(self) -> SshTarget:
        return SshTarget("127.0.0.1", self.port, getpass.getuser(), self.folder / "client_ed25519", (self.key(),))

    def key(self, kind: str = "ed25519") -> str:
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def with_key(self, name: str) -> SshTarget:
        return replace(self.target, private_key=self.folder / name)


def make_key(path: Path, *options: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "", "-f", str(path), *options], check=True)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if server is None:
        pytest.skip("needs sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own, when it runs as root
    folder = tmp_path_factory.mktemp("sshd")
    for kind in ("ed25519", "rsa", "ecdsa"):
        make_key(folder / f"host_{kind}", "-t", kind)
        make_key(folder / f"client_{kind}", "-t", kind)
    make_key(folder / "client_pem", "-t", "rsa", "-m", "PEM")
    make_key(folder / "client_unknown", "-t", "ed25519")
    allowed = [p.read_text() for p in sorted(folder.glob("client_*.pub")) if "unknown" not in p.name]
    (folder / "authorized_keys").write_text("".join(allowed))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [f"ListenAddress 127.0.0.1:{port}", f"PidFile {folder}/pid", "StrictModes no", "UsePAM no"]
    lines += [f"HostKey {folder}/host_{kind}" for kind in ("ed25519", "rsa", "ecdsa")]
    lines += [f"AuthorizedKeysFile {folder}/authorized_keys", "PasswordAuthentication no", "LogLevel VERBOSE"]
    (folder / "config").write_text("\n".join(lines) + "\n")
    command = [server, "-D", "-f", str(folder / "config"), "-E", str(folder / "log")]
    with subprocess.Popen(command) as process:
        _wait_for(port, process)
        yield Sshd(folder, port, process)
        process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            pytest.fail("sshd ended at once")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("sshd does not listen")
