"""A light machine's memory: who may log in, its host key, what was configured. It survives a reboot, as a disk does."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from hybrid_drivers.sandbox.machines import cloudconfig
from hybrid_drivers.sandbox.machines.seed import new_host_key


@dataclass
class LightNode:
    """One light machine; ``lock`` guards what changes, and stands for the lock a configuration run holds.

    Keys are pairs (private OpenSSH text, public line).
    """

    machine_id: str
    hostname: str
    address: str
    authorized: frozenset[str]  # base64 of the keys that may log in
    key: tuple[str, str] = field(repr=False)
    staged: tuple[str, str] | None = field(default=None, repr=False)
    done: dict[tuple[str, str], str] = field(default_factory=dict)  # (role, step) -> digest of what was applied
    trees: dict[str, str] = field(default_factory=dict)  # folder put there -> "digest owner"
    failing: dict[str, str] = field(default_factory=dict)  # step or program name -> what it shall print when it fails
    cut: set[str] = field(default_factory=set)  # step names at which the connection breaks, once
    runs: list[tuple[str, int]] = field(default_factory=list)  # apply or check, and the number of steps, of each run
    networks: list[tuple[str, str]] = field(default_factory=list)  # program and document of each network action
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)


def new_node(machine_id: str, hostname: str, address: str, user_data: str) -> LightNode:
    """Make a machine from its user-data, as a first boot does."""
    config = cloudconfig.parse(user_data)
    given = (config.host_private_key, config.host_public_key)
    return LightNode(
        machine_id=machine_id,
        hostname=hostname,
        address=address,
        authorized=frozenset(word for line in config.authorized_keys for word in line.split() if len(word) > 40),
        key=given if all(given) else new_host_key(),
    )
