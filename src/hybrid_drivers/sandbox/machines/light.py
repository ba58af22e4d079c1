"""Light machines: an SSH server a machine on loopback, no root, hundreds of them in one process.

They run no commands on this computer; ``light_commands`` tells what they answer. Machine N has the address 127.77.a.b
and all listen on one port, which nobody else had when the yard was opened.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import threading
from pathlib import Path

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines import MachineAddresses, light_nursery

_MOST = 254 * 254
_GATEWAY = "127.0.0.1"


class LightMachines:
    """A yard of light machines; thread-safe. ``pid`` is the process that holds them, to measure it apart."""

    kind = "light"
    controller_address = "127.0.0.1"

    def __init__(self, work_dir: Path, *, step_delay: float = 0.02) -> None:
        self.ssh_port = _free_port()
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._given = 0
        self._closed = False
        self._owner = os.getpid()
        with (work_dir / "light-machines.log").open("ab") as log:
            self._holder = light_nursery.start(log)
        self.pid = self._holder.pid
        self._send({"port": self.ssh_port, "step_delay": step_delay})
        atexit.register(self.close)

    def prepare(self, machine_id: str, hostname: str, user_data: str) -> MachineAddresses:
        """Reserve addresses and apply the user-data (see :class:`Machines`). Nothing listens on the private address."""
        with self._lock:
            if machine_id in self._numbers:
                raise SandboxError(f"machine {machine_id} is there already")
            number = self._free_number()
            a, b = divmod(number, 254)
            here = MachineAddresses(
                public_v4=f"127.77.{a + 1}.{b + 1}", private_v4=f"127.78.{a + 1}.{b + 1}", prefix=8, gateway=_GATEWAY
            )
            self._call("prepare", id=machine_id, hostname=hostname, address=here.public_v4, user_data=user_data)
            self._numbers[machine_id] = number
        return here

    def power_on(self, machine_id: str) -> None:
        """Listen: SSH answers when this returns."""
        with self._lock:
            self._call("power_on", id=machine_id)

    def power_off(self, machine_id: str) -> None:
        """Listen no longer, drop connections, stop probes; what was configured stays."""
        with self._lock:
            self._call("power_off", id=machine_id)

    def reboot(self, machine_id: str) -> None:
        """Off and on."""
        with self._lock:
            self._call("reboot", id=machine_id)

    def destroy(self, machine_id: str) -> None:
        """Forget it."""
        with self._lock:
            if machine_id in self._numbers:
                self._call("destroy", id=machine_id)
                del self._numbers[machine_id]

    def running(self, machine_id: str) -> bool:
        """Tell whether it is on."""
        with self._lock:
            return not self._closed and bool(self._call("running", id=machine_id))

    def fail_step(self, machine_id: str, step: str, stderr: str | None) -> None:
        """Let a configuration step, or a network program, fail with these last words from now on; None: no more."""
        with self._lock:
            self._call("fail_step", id=machine_id, step=step, stderr=stderr)

    def cut_at_step(self, machine_id: str, step: str) -> None:
        """Let the connection break at the configuration step called ``step``, once."""
        with self._lock:
            self._call("cut_at_step", id=machine_id, step=step)

    def undo_step(self, machine_id: str, step: str) -> None:
        """Let the configuration step called ``step`` be to do again, as if somebody had changed its result by hand."""
        with self._lock:
            self._call("undo_step", id=machine_id, step=step)

    def runs(self, machine_id: str) -> list[tuple[str, int]]:
        """Return each configuration run so far: ``apply`` or ``check``, and its number of steps."""
        with self._lock:
            told = self._call("runs", id=machine_id)
        assert isinstance(told, list)  # the server's answer
        return [(str(mode), int(steps)) for mode, steps in told]

    def networks(self, machine_id: str) -> list[tuple[str, str]]:
        """Return each network action so far: ``remote_post`` or ``remote_clean``, and the document it was told."""
        with self._lock:
            told = self._call("networks", id=machine_id)
        assert isinstance(told, list)  # the server's answer
        return [(str(program), str(document)) for program, document in told]

    def close(self) -> None:
        """End the process that holds the machines."""
        if os.getpid() != self._owner:
            return  # a forked child ends; the yard is not its own
        with self._lock:
            if self._closed:
                return
            self._closed = True
            atexit.unregister(self.close)
            self._holder.end()

    def _free_number(self) -> int:
        """Return the next number; freed ones come again only after all others."""
        used = set(self._numbers.values())
        for _ in range(_MOST):
            number, self._given = self._given % _MOST, self._given + 1
            if number not in used:
                return number
        raise SandboxError("no address is left for another light machine")

    def _send(self, message: dict[str, object]) -> None:
        self._holder.orders.write(json.dumps(message) + "\n")
        self._holder.orders.flush()

    def _call(self, name: str, **values: object) -> object:
        """Send one order and wait for its answer; the caller holds the lock."""
        if self._closed:
            raise SandboxError("the yard of light machines is closed")
        try:
            self._send({"do": name, **values})
            line = self._holder.answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SandboxError("the process of the light machines is gone: see light-machines.log in its work folder")
        reply = json.loads(line)
        if "error" in reply:
            raise SandboxError(reply["error"])
        return reply["answer"]


def _free_port() -> int:
    """Return a port that is free on all addresses now; machines bind it on their own ones only."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
