"""The probes of light machines: what ``run_monitord_client`` answers, and the messages that follow to monitord.

Nothing here comes from this computer's real load: a light machine tells the size it was given.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import itertools
import logging
import threading
import time
from dataclasses import dataclass

from hybrid_drivers.errors import HybridError, SandboxError
from hybrid_drivers.model import Template
from hybrid_drivers.oned.fields import filled, port, whole
from hybrid_drivers.oned.monitord import Kind, Monitord
from hybrid_drivers.oned.xml import MAX_INPUT, parse

log = logging.getLogger(__name__)

CPUS, MEMORY_KIB, CPU_MHZ = 8, 32 * 1024 * 1024, 3000
_LOCAL = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """What a machine's probes need of ``<MONITOR_CONFIGURATION>``; periods are seconds, by message kind."""

    host_id: int
    monitord: Monitord
    periods: dict[Kind, int]


def read_settings(stdin: bytes) -> ProbeSettings:
    """Read what ``run_monitord_client`` gets on standard input: the document, plain or in base64 (both are in use).

    Raises:
        HybridError: it is not such a document; the text says what is wrong.
    """
    text = stdin.strip()
    if not text.startswith(b"<"):
        try:
            text = base64.b64decode(text, validate=True)
        except binascii.Error as exc:
            raise SandboxError("run_monitord_client: standard input is neither XML nor base64") from exc
    node = parse(text, "MONITOR_CONFIGURATION", "run_monitord_client: standard input", SandboxError, MAX_INPUT)
    address = node.need("NETWORK/MONITOR_ADDRESS", filled)
    key = node.get("NETWORK/PUBKEY", str, "")
    return ProbeSettings(
        host_id=node.need("HOST_ID", whole),
        # A real node asked to find out by itself takes the address its SSH client came from: here always loopback.
        monitord=Monitord(_LOCAL if address == "auto" else address, node.need("NETWORK/PORT", port), key),
        periods={
            "BEACON_HOST": node.get("PROBES_PERIOD/BEACON_HOST", whole, 30),
            "MONITOR_HOST": node.get("PROBES_PERIOD/MONITOR_HOST", whole, 120),
            "SYSTEM_HOST": node.get("PROBES_PERIOD/SYSTEM_HOST", whole, 600),
        },
    )


def payload(kind: Kind, hostname: str, vm_mad: str) -> str:
    """Return what a message of this kind says of a machine: ``KEY="value"`` lines, empty for a beacon."""
    if kind == "SYSTEM_HOST":
        return _lines(
            HYPERVISOR=vm_mad,
            ARCH="x86_64",
            MODELNAME="OpenNebula Hybrid light machine",
            CPUSPEED=str(CPU_MHZ),
            TOTALCPU=str(CPUS * 100),
            TOTALMEMORY=str(MEMORY_KIB),
            HOSTNAME=hostname,
        )
    if kind == "MONITOR_HOST":
        used = MEMORY_KIB // 16
        return _lines(
            FREECPU=str(CPUS * 100 - 5),
            USEDCPU="5",
            FREEMEMORY=str(MEMORY_KIB - used),
            USEDMEMORY=str(used),
            NETRX="0",
            NETTX="0",
        )
    return ""


def answer(hostname: str, vm_mad: str) -> bytes:
    """Return the ``<MONITOR_MESSAGES>`` document that ``run_monitord_client`` prints."""
    kinds: tuple[Kind, ...] = ("SYSTEM_HOST", "MONITOR_HOST")
    parts = [
        f"<{kind}>{base64.b64encode(payload(kind, hostname, vm_mad).encode()).decode()}</{kind}>\n" for kind in kinds
    ]
    return f"<MONITOR_MESSAGES>\n{''.join(parts)}</MONITOR_MESSAGES>\n".encode()


def _lines(**values: str) -> str:
    return Template(values.items()).render()


@dataclass(frozen=True)
class _Running:
    settings: ProbeSettings
    hostname: str
    vm_mad: str


class Probes:
    """Sends the messages of all machines of a yard from one thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[str, _Running] = {}
        self._due: list[tuple[float, int, str, Kind, _Running]] = []
        self._tie = itertools.count()
        threading.Thread(target=self._loop, name="probes", daemon=True).start()

    def start(self, machine_id: str, settings: ProbeSettings, hostname: str, vm_mad: str) -> None:
        """Let the machine send from now on, as configured; its former probes stop."""
        running = _Running(settings, hostname, vm_mad)
        with self._changed:
            self._running[machine_id] = running
            for kind, period in settings.periods.items():
                self._push(time.monotonic() + (0 if kind == "BEACON_HOST" else period), machine_id, kind, running)
            self._changed.notify()

    def stop(self, machine_id: str) -> None:
        """Send nothing more of this machine."""
        with self._changed:
            self._running.pop(machine_id, None)

    def _push(self, when: float, machine_id: str, kind: Kind, running: _Running) -> None:
        heapq.heappush(self._due, (when, next(self._tie), machine_id, kind, running))

    def _loop(self) -> None:
        while True:
            machine_id, kind, running = self._next()
            try:
                text = payload(kind, running.hostname, running.vm_mad)
                running.settings.monitord.send(kind, running.settings.host_id, text)
            except HybridError as exc:  # monitord is down: real probes go on sending too
                log.debug("probe of %s: %s", machine_id, exc)

    def _next(self) -> tuple[str, Kind, _Running]:
        """Wait for the next message that is due, of probes that still run, and plan the one after it."""
        with self._changed:
            while True:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                when, _, machine_id, kind, running = heapq.heappop(self._due)
                if self._running.get(machine_id) is running:
                    self._push(when + max(1, running.settings.periods[kind]), machine_id, kind, running)
                    return machine_id, kind, running
