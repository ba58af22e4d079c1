"""Machines that do not exist: a simulator alone, for tests that only look at the provider's API."""

from __future__ import annotations

import threading

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines import MachineAddresses

_MOST = 256 * 254


class NoMachines:
    """Gives out addresses from 198.18.0.0/15 (RFC 2544) and remembers what is switched on; nothing answers there."""

    kind = "none"
    ssh_port = 22
    controller_address = "127.0.0.1"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []
        self._next = 0
        self._on: set[str] = set()

    def prepare(self, machine_id: str, hostname: str, user_data: str) -> MachineAddresses:
        """Reserve addresses; the hostname and user-data go nowhere."""
        with self._lock:
            if machine_id in self._numbers:
                raise SandboxError(f"machine {machine_id} is there already")
            if not self._free and self._next >= _MOST:
                raise SandboxError("no address is left for another machine")
            number = self._free.pop(0) if self._free else self._next
            self._next = max(self._next, number + 1)
            self._numbers[machine_id] = number
        net, low = divmod(number, 253)
        return MachineAddresses(
            public_v4=f"198.18.{net}.{low + 2}",
            private_v4=f"198.19.{net}.{low + 2}",
            prefix=24,
            gateway=f"198.18.{net}.1",
        )

    def power_on(self, machine_id: str) -> None:
        """Remember that it is on."""
        with self._lock:
            if machine_id not in self._numbers:
                raise SandboxError(f"there is no machine {machine_id}")
            self._on.add(machine_id)

    def power_off(self, machine_id: str) -> None:
        """Remember that it is off."""
        with self._lock:
            self._on.discard(machine_id)

    def reboot(self, machine_id: str) -> None:
        """Remember that it is on."""
        self.power_on(machine_id)

    def destroy(self, machine_id: str) -> None:
        """Free its addresses."""
        with self._lock:
            self._on.discard(machine_id)
            number = self._numbers.pop(machine_id, None)
            if number is not None:
                self._free.append(number)

    def running(self, machine_id: str) -> bool:
        """Tell whether it was switched on."""
        with self._lock:
            return machine_id in self._on

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._numbers.clear()
            self._on.clear()
