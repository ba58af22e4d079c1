"""Only the leader of an HA front-end acts: a follower's agent waits until oned leads."""

from __future__ import annotations

import logging
import threading

from hybrid_drivers.clock import Clock
from hybrid_drivers.oned.api import Oned

AGE = 5.0  # seconds an answer holds; every write is refused by a server without quorum besides

log = logging.getLogger(__name__)


class Leadership:
    """Asks this front-end's oned whether it leads (or stands alone)."""

    def __init__(self, oned: Oned, clock: Clock) -> None:
        self._oned = oned
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._leads = False

    def leads(self) -> bool:
        """Tell whether this agent may act.

        Raises:
            OnedUnreachable: oned gives no answer.
        """
        with self._lock:
            if self._clock.monotonic() - self._asked > AGE:
                self._leads = self._oned.raft_state().leads
                self._asked = self._clock.monotonic()
            return self._leads
