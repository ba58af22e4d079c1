"""The node's part of a network action: ``remote_post`` and ``remote_clean`` of ``remotes/vnm/hybrid``, run over SSH.

They run as oneadmin, as oned's own drivers do.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from hybrid_drivers.agent.node import CONNECT_LIMIT, ONEADMIN, REMOTE_SCRIPTS, sync_remotes
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.errors import ConfigError, HostError
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.oned.process import plain_line

RUN_LIMIT = 60.0  # seconds for a run on the node
_NOT_FOUND = 127  # the shell's word for a program that is not there

log = logging.getLogger(__name__)


class NodePart(Protocol):
    """Runs the part of a network action that is done on the node."""

    def run(self, record: HostRecord, program: str, document: bytes) -> None:
        """Run ``vnm/hybrid/<program>`` with a virtual machine's document. Raises: HostError."""


class Nodes:
    """Runs it over SSH, with the host key and the login that the host's template has."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(self, record: HostRecord, program: str, document: bytes) -> None:
        """Run ``vnm/hybrid/<program>``, after putting the remotes there when they are missing.

        Raises:
            HostError: the node cannot be reached, or the program failed; the text is its last line.
            ConfigError: PROVISION_CONNECTION cannot be used.
        """
        target = self._target(record)
        if not self._ran(target, program, document):
            sync_remotes(target, self._parts.location.remotes)
            if not self._ran(target, program, document):
                raise HostError(f"{target.address}: {_path(program)} is not there, run 'onehost sync' or install.sh")

    def _ran(self, target: SshTarget, program: str, document: bytes) -> bool:
        """Tell whether the program was there; raise HostError when it failed."""
        stdin = base64.b64encode(document) + b"\n"
        with connect(replace(target, user=ONEADMIN), timeout=CONNECT_LIMIT) as session:
            result = session.run(_path(program), stdin, timeout=RUN_LIMIT)
        if result.code == _NOT_FOUND:
            return False
        if result.code != 0:
            lines = [line for line in result.stderr.splitlines() if line.strip()] or ["it said nothing"]
            raise HostError(f"{target.address}: {program} failed: {plain_line(lines[-1])[:300]}")
        return True

    def _target(self, record: HostRecord) -> SshTarget:
        connection: Mapping[str, str] = record.host.template.vector("PROVISION_CONNECTION")
        port = connection.get("REMOTE_PORT", "22")
        if not port.isdigit():
            raise ConfigError(
                f"REMOTE_PORT {port!r} of PROVISION_CONNECTION of host {record.host.name} is not a number"
            )
        return SshTarget(
            address=record.address,
            port=int(port),
            user=connection.get("REMOTE_USER", "root"),
            private_key=self._parts.keys.private_key(connection),
            host_keys=record.host_keys,
        )


def _path(program: str) -> str:
    return f"{REMOTE_SCRIPTS}/vnm/hybrid/{program}"
