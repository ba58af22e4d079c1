"""Real machines: Debian or Ubuntu with systemd as PID 1 and a real sshd, in systemd-nspawn on an overlay of one image.

Needs root. A machine starts in about half a second and takes some 11 MiB. ``poweroff`` and ``reboot`` inside work as
on hardware.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines import MachineAddresses, leftovers, rootfs, suites
from hybrid_drivers.sandbox.machines.commands import missing_tools, require
from hybrid_drivers.sandbox.machines.network import FIRST_MACHINE, LAST_MACHINE
from hybrid_drivers.sandbox.machines.real_machine import RealMachine

TOOLS = ("systemd-nspawn", "ip", "nft", "mount", "umount")
# systemd in a machine needs several inotify instances; the kernel's 128 end at about twenty machines
_SETTINGS = {"fs/inotify/max_user_instances": 8192}


def why_not(suite: str = suites.DEFAULT) -> str:
    """Return why this computer cannot run real machines of a suite, or an empty string."""
    if os.geteuid() != 0:
        return "real sandbox machines need root"
    missing = missing_tools([*TOOLS, *(() if rootfs.image_path(suites.suite(suite)).is_dir() else rootfs.BUILD_TOOLS)])
    return f"real sandbox machines need {', '.join(missing)}" if missing else ""


class NspawnMachines:
    """A yard of real machines. Up to 190 a yard; methods may be called from many threads at once."""

    kind = "nspawn"
    ssh_port = 22

    def __init__(
        self, work_dir: Path, *, nat: bool = True, extra_packages: Sequence[str] = (), suite: str = suites.DEFAULT
    ) -> None:
        if os.geteuid() != 0:
            raise SandboxError("real sandbox machines need root: use the light ones, or run as root")
        require(TOOLS)
        leftovers.clean()
        self.suite = suites.suite(suite)
        self.image = rootfs.ensure_image(self.suite, extra_packages=extra_packages)
        settings = {**_SETTINGS, "net/ipv4/ip_forward": 1} if nat else _SETTINGS
        self._record = leftovers.register(work_dir, nat=nat, settings=settings)
        self.network = self._record.network
        self.controller_address = self.network.gateway
        self._folder = Path(self._record.folder)
        self._resolver = rootfs.host_resolver() if nat else ""
        self._machines: dict[str, RealMachine] = {}
        self._given = 0
        self._lock = threading.Lock()
        self._closed = False
        atexit.register(self.close)
        try:
            self._folder.mkdir(parents=True)
            self.network.up()
        except BaseException:
            self.close()
            raise

    def prepare(self, machine_id: str, hostname: str, user_data: str) -> MachineAddresses:
        """Reserve addresses for a new machine (see :class:`Machines`)."""
        with self._lock:
            if self._closed:
                raise SandboxError("the yard of machines is closed")
            if machine_id in self._machines:
                raise SandboxError(f"machine {machine_id} is there already")
            low = self._free_address()
            self._machines[machine_id] = RealMachine(
                self.network,
                low,
                self._folder / str(low),
                suite=self.suite,
                image=self.image,
                hostname=hostname or f"machine-{low}",
                user_data=user_data,
                resolver=self._resolver,
            )
        return self.network.addresses(low)

    def power_on(self, machine_id: str) -> None:
        """Start it (see :class:`Machines`)."""
        self.machine(machine_id).power_on()

    def power_off(self, machine_id: str) -> None:
        """Stop it in good order, by force when that takes too long; its wire is cut, so nothing answers."""
        self.machine(machine_id).power_off()

    def reboot(self, machine_id: str) -> None:
        """Restart it: off, then on."""
        self.machine(machine_id).reboot()

    def destroy(self, machine_id: str) -> None:
        """Stop it by force and remove everything of it."""
        with self._lock:
            machine = self._machines.get(machine_id)
        if machine is None:
            return
        machine.destroy()
        with self._lock:  # only now is the address free again
            self._machines.pop(machine_id, None)

    def running(self, machine_id: str) -> bool:
        """Tell whether it is on; one that powered itself off is not."""
        with self._lock:
            machine = self._machines.get(machine_id)
        return machine is not None and machine.running()

    def machine(self, machine_id: str) -> RealMachine:
        """Return the machine itself, for tests that look at its disk (``root``) or console from outside.

        Raises:
            SandboxError: there is none.
        """
        with self._lock:
            machine = self._machines.get(machine_id)
        if machine is None:
            raise SandboxError(f"there is no machine {machine_id}")
        return machine

    def close(self) -> None:
        """Destroy every machine and undo the network and the kernel settings."""
        if os.getpid() != self._record.pid:
            return  # a forked child ends; the yard is not its own
        with self._lock:
            if self._closed:
                return
            self._closed = True
            machines = list(self._machines.values())
            self._machines.clear()
        atexit.unregister(self.close)
        for machine in machines:
            machine.retire()
        leftovers.undo(self._record)
        for machine in machines:
            machine.reap()

    def _free_address(self) -> int:
        """Return the next last byte; freed ones come again only after all others, as at a provider."""
        used = {machine.low for machine in self._machines.values()}
        size = LAST_MACHINE - FIRST_MACHINE + 1
        for _ in range(size):
            low = FIRST_MACHINE + self._given % size
            self._given += 1
            if low not in used:
                return low
        raise SandboxError(f"no address is left for another machine: a yard holds {size}")
