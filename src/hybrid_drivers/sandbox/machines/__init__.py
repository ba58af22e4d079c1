"""Machines for the sandbox's provider simulators: real ones (systemd-nspawn), light ones (loopback SSH), or none.

A *yard* holds the machines of one simulator. Whoever makes one closes it; what a killed yard left behind is removed
by the next one, or by ``python -m hybrid_drivers.sandbox.machines clean``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybrid_drivers.errors import ConfigError

KINDS = ("nspawn", "light", "none")


@dataclass(frozen=True, kw_only=True)
class MachineAddresses:
    """The addresses of one machine; ``prefix`` is the network's length in bits for both of them."""

    public_v4: str
    private_v4: str
    prefix: int
    gateway: str


class Machines(Protocol):
    """What a provider simulator may do with machines. All methods are thread-safe.

    ``ssh_port`` is the port of every machine's SSH server; ``controller_address`` is the address at which machines
    reach programs on this computer (monitord's port, for one).
    """

    kind: str
    ssh_port: int
    controller_address: str

    def prepare(self, machine_id: str, hostname: str, user_data: str) -> MachineAddresses:
        """Reserve addresses for a new machine, switched off; takes no time. ``user_data`` is a cloud-config document.

        Raises:
            SandboxError: the id is in use, or no address is left.
        """

    def power_on(self, machine_id: str) -> None:
        """Start the machine and return when its process runs: SSH answers a little later. Running already is fine."""

    def power_off(self, machine_id: str) -> None:
        """Stop the machine in good order, by force when that takes too long; its disk stays. Off already is fine."""

    def reboot(self, machine_id: str) -> None:
        """Restart the machine; the call returns before SSH answers again. One that is off is started."""

    def destroy(self, machine_id: str) -> None:
        """Stop the machine, forget its disk and free its addresses. One that is unknown is fine."""

    def running(self, machine_id: str) -> bool:
        """Tell whether the machine is switched on; an unknown one is not."""

    def close(self) -> None:
        """Destroy every machine and put this computer back as it was. Calling it again does nothing."""


def make_machines(
    kind: str,
    work_dir: Path,
    *,
    nat: bool = True,
    extra_packages: Sequence[str] = (),
    suite: str = "bookworm",
    step_delay: float = 0.02,
) -> Machines:
    """Open a yard of machines.

    Args:
        kind: ``nspawn`` (real, needs root), ``light`` (an SSH server a machine, no root) or ``none`` (addresses only).
        work_dir: folder for disks, logs and consoles; made when missing.
        nat: real machines reach the outside through this computer's default route, so that apt works.
        extra_packages: packages whose archives shall lie in real machines' image.
        suite: the system of real machines: ``bookworm``, ``trixie``, ``jammy`` or ``noble``.
        step_delay: seconds a light machine takes for a configuration step.

    Raises:
        ConfigError: no such kind or suite.
        SandboxError: this computer cannot run such machines; the text says what is missing.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    if kind == "nspawn":
        from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

        return NspawnMachines(work_dir, nat=nat, extra_packages=extra_packages, suite=suite)
    if kind == "light":
        from hybrid_drivers.sandbox.machines.light import LightMachines

        return LightMachines(work_dir, step_delay=step_delay)
    if kind == "none":
        from hybrid_drivers.sandbox.machines.none import NoMachines

        return NoMachines()
    raise ConfigError(f"there are no '{kind}' machines: choose one of {', '.join(KINDS)}")
