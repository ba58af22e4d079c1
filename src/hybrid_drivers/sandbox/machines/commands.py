"""The one door to the computer's own tools: ``ip``, ``mount``, ``nft``, ``debootstrap``."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_drivers.errors import SandboxError

# tool -> Debian package that brings it
PACKAGES: Mapping[str, str] = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "umount": "mount",
    "chroot": "coreutils",
    "apt-config": "apt",
    "gpg": "gpg",
    "gpgv": "gpgv",
    "dpkg-deb": "dpkg",
}


def missing_tools(tools: Sequence[str]) -> list[str]:
    """Return which of ``tools`` are not on PATH, each as ``tool (Debian package name)``."""
    return [f"{tool} (Debian package {PACKAGES.get(tool, tool)})" for tool in tools if shutil.which(tool) is None]


def require(tools: Sequence[str]) -> None:
    """Make sure that every tool is there.

    Raises:
        SandboxError: names each missing tool and the Debian package to install.
    """
    missing = missing_tools(tools)
    if missing:
        raise SandboxError(f"sandbox machines need {', '.join(missing)}: install it with apt-get")


def run(argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, log: Path | None = None) -> str:
    """Run one command to its end and return its stdout.

    Args:
        argv: the command, no shell.
        stdin: text for its standard input.
        timeout: seconds before it is ended.
        log: file that gets stdout and stderr instead (for long commands); then an empty string is returned.

    Raises:
        SandboxError: the command failed or took too long; the text carries the last lines it wrote.
    """
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    output = log.open("ab") if log else None
    try:
        done = subprocess.run(
            list(argv),
            input=stdin.encode(),
            stdout=output or subprocess.PIPE,
            stderr=output or subprocess.PIPE,
            timeout=timeout,
            env=env,
            check=False,
        )
    except FileNotFoundError as exc:
        raise SandboxError(f"{argv[0]} (Debian package {PACKAGES.get(argv[0], argv[0])}) is not installed") from exc
    except subprocess.TimeoutExpired as exc:
        raise SandboxError(f"'{' '.join(argv[:4])}' did not end within {timeout:.0f} s") from exc
    finally:
        if output:
            output.close()
    if done.returncode:
        said = (log.read_bytes() if log else done.stderr).decode(errors="replace")
        last = " / ".join(said.strip().splitlines()[-3:])[-400:]
        raise SandboxError(f"'{' '.join(argv[:6])}' failed with exit code {done.returncode}: {last or 'no output'}")
    return "" if log else done.stdout.decode(errors="replace")
