"""The process that holds all light machines of a yard; :mod:`.light` starts it and speaks with it.

Each line of its standard input is a JSON object ``{"do": name, ...}``, each is answered by one JSON line on standard
output: ``{"answer": value}`` or ``{"error": sentence}``. It ends with its input, so it never outlives its yard.
"""

from __future__ import annotations

import json
import logging
import selectors
import socket
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hybrid_drivers.errors import HybridError, SandboxError
from hybrid_drivers.sandbox.machines.light_node import LightNode, new_node
from hybrid_drivers.sandbox.machines.light_probes import Probes
from hybrid_drivers.sandbox.machines.light_ssh import serve

if TYPE_CHECKING:
    from paramiko import Transport

log = logging.getLogger(__name__)


@dataclass
class _Slot:
    """A machine and, when it is on, its listening socket and its connections."""

    node: LightNode
    listener: socket.socket | None = None
    connections: list[Transport] = field(default_factory=list)


class Yard:
    """All light machines; one thread accepts for all of them."""

    def __init__(self, port: int, step_delay: float) -> None:
        self._port, self._step_delay = port, step_delay
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._probes = Probes()
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def prepare(self, id: str, hostname: str, address: str, user_data: str) -> None:
        """Make a machine, switched off."""
        with self._lock:
            self._slots[id] = _Slot(new_node(id, hostname, address, user_data))

    def power_on(self, id: str) -> None:
        """Listen."""
        with self._lock:
            slot = self._slot(id)
            if slot.listener:
                return
            slot.listener = socket.create_server((slot.node.address, self._port), backlog=64)
            slot.listener.setblocking(False)
            self._selector.register(slot.listener, selectors.EVENT_READ, slot)

    def power_off(self, id: str) -> None:
        """Stop listening, drop the connections, stop the probes."""
        with self._lock:
            slot = self._slot(id)
            if slot.listener:
                self._selector.unregister(slot.listener)
                slot.listener.close()
                slot.listener = None
            dropped, slot.connections = slot.connections, []
        self._probes.stop(id)
        for connection in dropped:
            connection.close()

    def reboot(self, id: str) -> None:
        """Off and on."""
        self.power_off(id)
        self.power_on(id)

    def destroy(self, id: str) -> None:
        """Off, and forgotten."""
        self.power_off(id)
        with self._lock:
            del self._slots[id]

    def running(self, id: str) -> bool:
        """Tell whether it listens."""
        with self._lock:
            slot = self._slots.get(id)
            return slot is not None and slot.listener is not None

    def fail_step(self, id: str, step: str, stderr: str | None) -> None:
        """Let a configuration step fail from now on, saying ``stderr``; None: no more."""
        with self._lock:
            node = self._slot(id).node
        if stderr is None:
            node.failing.pop(step, None)
        else:
            node.failing[step] = stderr

    def cut_at_step(self, id: str, step: str) -> None:
        """Break the connection at a configuration step, once."""
        with self._lock:
            self._slot(id).node.cut.add(step)

    def undo_step(self, id: str, step: str) -> None:
        """Let a configuration step be to do again, as if somebody had changed its result by hand."""
        with self._lock:
            done = self._slot(id).node.done
        for key in [key for key in done if key[1] == step]:
            del done[key]

    def runs(self, id: str) -> list[tuple[str, int]]:
        """Return each configuration run so far: apply or check, and its number of steps."""
        with self._lock:
            return list(self._slot(id).node.runs)

    def networks(self, id: str) -> list[tuple[str, str]]:
        """Return each network action so far: its program, and the document it was told."""
        with self._lock:
            return list(self._slot(id).node.networks)

    def _slot(self, machine_id: str) -> _Slot:
        if machine_id not in self._slots:
            raise SandboxError(f"there is no machine {machine_id}")
        return self._slots[machine_id]

    def _accept(self) -> None:
        while True:
            for key, _ in self._selector.select():
                slot: _Slot = key.data
                try:
                    sock, _ = key.fileobj.accept()  # type: ignore[union-attr]  # only sockets are registered
                    sock.setblocking(True)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as sshd: else 40 ms an answer
                    connection = serve(slot.node, sock, self._probes, self._step_delay)
                except Exception as exc:  # noqa: BLE001 - one bad connection must not end the others
                    log.info("%s: %s", slot.node.machine_id, exc)
                    continue
                with self._lock:
                    slot.connections = [one for one in slot.connections if one.is_active()]
                    slot.connections.append(connection)


ORDERS = (
    *("prepare", "power_on", "power_off", "reboot", "destroy", "running"),
    *("fail_step", "cut_at_step", "undo_step", "runs", "networks"),
)


def main() -> None:
    """Serve until standard input ends."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs a traceback for every port scan
    settings = json.loads(sys.stdin.readline())
    yard = Yard(settings["port"], settings["step_delay"])
    for line in sys.stdin:
        order = json.loads(line)
        name = order.pop("do")
        try:
            if name not in ORDERS:
                raise SandboxError(f"light machines cannot '{name}'")
            reply: dict[str, object] = {"answer": getattr(yard, name)(**order)}
        except (HybridError, OSError) as exc:
            reply = {"error": str(exc)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
