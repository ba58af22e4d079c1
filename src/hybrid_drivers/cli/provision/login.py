"""Logging in to a host with ssh(1): our key, the pinned host key, nothing believed on first sight."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Host
from hybrid_drivers.provision.hostlist import friendly


def log_in(host: Host, command: Sequence[str]) -> int:
    """Run ssh(1) and return its exit code.

    Raises:
        ConfigError: the host is not reachable yet, its host key is not known, or there is no ssh.
    """
    address, keys = host.template.text("PROVISION_ADDRESS"), host.template.text("PROVISION_HOST_KEY")
    if not address or not keys:
        missing = "an address" if not address else "a pinned host key"
        raise ConfigError(f"host {friendly(host)} has no {missing} yet: 'oneprovision host list' shows how far it is")
    connection = host.template.vector("PROVISION_CONNECTION")
    location = Location.from_environment(os.environ)
    key = FrontEndKeys(location.state, Path.home()).private_key(connection)
    port = connection.get("REMOTE_PORT", "22")
    with tempfile.NamedTemporaryFile("w", prefix="onehybrid-known-") as known:
        known.writelines(f"{_pattern(address, port)} {one.strip()}\n" for one in keys.split(",") if one.strip())
        known.flush()
        options = ["-o", f"UserKnownHostsFile={known.name}", "-o", "GlobalKnownHostsFile=/dev/null"]
        options += ["-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-i", str(key), "-p", port]
        # Who may change the template must not give ssh options: one of them (ProxyCommand) runs programs here.
        options += ["-l", connection.get("REMOTE_USER", "root")]
        try:
            return subprocess.call(["ssh", *options, "--", address, *command])
        except FileNotFoundError as exc:
            raise ConfigError("there is no ssh program on this machine: install the SSH client") from exc


def _pattern(address: str, port: str) -> str:
    """Return how known_hosts names a host (sshd(8): brackets with another port than 22)."""
    return address if port == "22" else f"[{address}]:{port}"
