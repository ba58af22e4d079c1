"""One real machine as a test of host configuration sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hybrid_drivers.errors import HostUnreachable
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.runner import Session, SshTarget, connect
from hybrid_drivers.hostconfig.script import Script
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines


@dataclass
class Node:
    """A machine and how to reach it; the pinned host key follows a rotation."""

    machines: NspawnMachines
    id: str
    target: SshTarget
    reports: dict[str, RunReport] = field(default_factory=dict)

    def connect(self, *, limit: float = 60.0) -> Session:
        """Log in as soon as the machine answers."""
        end = time.monotonic() + limit
        while True:
            try:
                return connect(self.target, timeout=10)
            except HostUnreachable:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def says(self, command: str) -> str:
        """Run a command that must succeed."""
        with self.connect() as session:
            result = session.run(command, timeout=60)
        assert result.code == 0, f"{command}: {result.stderr}{result.stdout}"
        return result.stdout

    def runs(
        self, script: Script, *, check_only: bool = False, on_step: Callable[[StepReport], None] = lambda _: None
    ) -> RunReport:
        with self.connect() as session:
            return session.run_script(script, on_step, check_only=check_only, timeout=600)

    def reboot(self) -> None:
        before = self.says("cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
        self.machines.reboot(self.id)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if self.says("cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1") != before:
                    self.says("systemctl is-system-running --wait || true")
                    return
            except HostUnreachable:
                pass
            time.sleep(0.2)
        raise AssertionError("the machine did not restart")
