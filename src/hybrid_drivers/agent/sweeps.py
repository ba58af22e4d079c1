"""The collectors' sweeps, one at a time: every now and then by themselves, and now for ``onehybrid gc``."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field

from hybrid_drivers.agent.address_collector import AddressCollector
from hybrid_drivers.agent.collector import Collector
from hybrid_drivers.agent.leadership import Leadership
from hybrid_drivers.errors import AgentError, HybridError
from hybrid_drivers.oned.process import Answer, Call

ACTION = "gc"  # of the family ``agent``
LIMIT = 60.0  # seconds until people are told what is known by then: the client waits for 85

log = logging.getLogger(__name__)


@dataclass
class _Look:
    """One sweep that was asked for."""

    look_only: bool
    ended: threading.Event = field(default_factory=threading.Event)
    failure: str = ""


class Sweeps:
    """Runs both collectors."""

    def __init__(self, leadership: Leadership, machines: Collector, addresses: AddressCollector) -> None:
        self._leadership, self._machines, self._addresses = leadership, machines, addresses
        self._sweeping = threading.Lock()

    def sweep(self) -> None:
        """Do one sweep. Raises: OnedError."""
        with self._sweeping:
            self._machines.sweep()
            self._addresses.sweep()

    def answer(self, call: Call) -> Answer:
        """Look now (``--dry-run``), or sweep now, and report as JSON.

        ``late``: it was not done within the limit, and goes on; the report is that of the look before.

        Raises:
            AgentError: this front-end does not lead, or oned cannot be asked.
        """
        if not self._leadership.leads():
            raise AgentError("Another front-end of this zone leads: give the command there.")
        look = _Look(look_only="--dry-run" in call.argv)
        threading.Thread(target=self._once, args=(look,), name="gc", daemon=True).start()
        late = not look.ended.wait(LIMIT)
        if look.failure:
            raise AgentError(look.failure)
        machines, addresses = self._machines.report(), self._addresses.report()
        unasked = sorted({*machines["unasked"], *addresses["unasked"]})
        told = {**machines, **addresses, "unasked": unasked, "late": late, "dry_run": look.look_only}
        return Answer(stdout=json.dumps(told).encode())

    def _once(self, look: _Look) -> None:
        if not self._sweeping.acquire(timeout=LIMIT):
            return
        try:
            self._machines.sweep(look_only=look.look_only)
            self._addresses.sweep(now_due=True, look_only=look.look_only)
        except HybridError as exc:
            look.failure = str(exc)
        except Exception as exc:  # the boundary of background work: who asked shall hear of it
            log.exception("the sweep that was asked for failed unexpectedly")
            look.failure = f"internal error ({type(exc).__name__}): see the agent's log"
        finally:
            self._sweeping.release()
        look.ended.set()
