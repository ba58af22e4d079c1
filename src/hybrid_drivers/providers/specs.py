"""What machines of a plan have, as the provider tells it: asked for when one is needed, and kept for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ProviderError
from hybrid_drivers.providers.base import PlanSpecs

AGE: Final = 12 * 3600.0  # seconds that an answer is used: plans do not change their size
RETRY: Final = 300.0  # seconds after which a plan is asked for again that the provider did not tell


class SpecsList:
    """The plans of one account. ``ask`` is called with the name of one; it may tell of others, too."""

    def __init__(self, ask: Callable[[str], Mapping[str, PlanSpecs]], clock: Clock) -> None:
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, PlanSpecs]] = {}  # until when, what
        self._untold: dict[str, tuple[float, ProviderError | None]] = {}

    def of(self, plan: str) -> PlanSpecs | None:
        """Return what a machine of the plan has, None when the provider does not tell.

        Raises:
            ProviderError: it did not answer, now or within the last :data:`RETRY` seconds.
        """
        with self._lock:
            now = self._clock.monotonic()
            if plan in self._known and now < self._known[plan][0]:
                return self._known[plan][1]
            if plan not in self._untold or now >= self._untold[plan][0]:
                self._look(plan, now)
            if plan in self._untold:
                error = self._untold[plan][1]
                if error is not None:
                    raise error
                return None
            return self._known[plan][1]

    def _look(self, plan: str, now: float) -> None:
        error = None
        try:
            told = self._ask(plan)
        except ProviderError as exc:
            told, error = {}, exc
        self._known.update({name: (now + AGE, specs) for name, specs in told.items()})
        self._untold.pop(plan, None)
        if plan not in told:
            self._untold[plan] = (now + RETRY, error)
