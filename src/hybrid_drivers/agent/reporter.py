"""What oned and people are told about a host while its machine is being made.

Until a host is READY it has no capacity and nobody beacons for it, so the agent does both: every change goes to
monitord as a SYSTEM_HOST message with zero capacity (which also keeps the host ``on`` and the scheduler away), and a
beacon in between. A SYSTEM_HOST message without TOTALCPU would set the capacity to zero as well (OpenNebula
``Host::update_info``), so nothing at all is sent for a host that is READY.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import cast

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.record import state
from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import OnedUnreachable
from hybrid_drivers.model import Template, Value
from hybrid_drivers.oned.monitord import Kind, Monitord

BEACON_EVERY = 45.0  # seconds; monitord asks again after 180 s without one

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was last said of a host."""

    phase: Phase
    step: str = ""
    problem: str = ""


class Reporter:
    """Tells monitord about hosts on their way; thread-safe, never blocks for long, never fails its caller."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._monitord: Monitord | None = None
        self._shown: dict[int, Shown] = {}
        self._sent_at: dict[int, float] = {}

    def use(self, monitord: Monitord) -> None:
        """Send to this monitord from now on (told by every START_MONITOR)."""
        with self._lock:
            self._monitord = monitord

    def show(self, host_id: int, shown: Shown) -> None:
        """Tell monitord what changed; the same again is said only as a beacon when it is time for one."""
        with self._lock:
            if self._shown.get(host_id) == shown and not self._beacon_due(host_id):
                return
            changed = self._shown.get(host_id) != shown
            self._shown[host_id] = shown
            self._sent_at[host_id] = self._clock.monotonic()
            monitord = self._monitord
        if monitord is None:
            return
        try:
            if changed:
                monitord.send("SYSTEM_HOST", host_id, system_host(shown).render())
            else:
                monitord.send("BEACON_HOST", host_id, "")
        except OnedUnreachable as exc:
            log.debug("monitord did not take a message about host %s: %s", host_id, exc)

    def fail(self, host_id: int, reason: str) -> None:
        """Put the host into state ERROR with ``reason`` (a FAILURE beacon does that), and beacon no more."""
        with self._lock:
            self._shown[host_id] = Shown(phase=Phase.ERROR, problem=reason)
            self._sent_at.pop(host_id, None)
            monitord = self._monitord
        if monitord is None:
            return
        try:
            monitord.send("BEACON_HOST", host_id, reason, ok=False)
        except OnedUnreachable as exc:
            log.debug("monitord did not take a message about host %s: %s", host_id, exc)

    def forward(self, kind: str, host_id: int, payload: str) -> None:
        """Hand on what the probes of a READY host said.

        Raises:
            OnedUnreachable: monitord cannot be reached.
        """
        with self._lock:
            monitord = self._monitord
        if kind == "SYSTEM_HOST":  # a late message of ours may have overtaken the write of READY
            payload = payload.rstrip("\n") + "\n" + Template(state(Phase.READY)).render()
        if monitord is not None:
            monitord.send(cast(Kind, kind), host_id, payload)

    def last(self, host_id: int) -> Shown | None:
        """Return what was last said of the host."""
        with self._lock:
            return self._shown.get(host_id)

    def forget(self, host_id: int) -> None:
        """Say nothing more about the host: it is READY, or gone."""
        with self._lock:
            self._shown.pop(host_id, None)
            self._sent_at.pop(host_id, None)

    def beacon(self) -> None:
        """Beacon for every host that is due; called now and then by the agent."""
        with self._lock:
            due = [(host_id, self._shown[host_id]) for host_id in self._sent_at if self._beacon_due(host_id)]
        for host_id, shown in due:
            self.show(host_id, shown)

    def _beacon_due(self, host_id: int) -> bool:
        return self._clock.monotonic() - self._sent_at.get(host_id, float("-inf")) >= BEACON_EVERY


def system_host(shown: Shown | None) -> Template:
    """Return the SYSTEM_HOST attributes of a host that is not READY: no capacity, and what is going on if known."""
    capacity: list[tuple[str, Value]] = [("TOTALCPU", "0"), ("TOTALMEMORY", "0")]
    if shown is None:
        return Template(capacity)
    return Template([*capacity, *state(shown.phase, step=shown.step, problem=shown.problem)])
