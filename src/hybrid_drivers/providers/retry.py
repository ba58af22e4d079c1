"""Repeating a reading call that failed for a passing reason. Changing calls never come here."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ProviderError, TransientError, WrongState

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how long; seconds. The wait doubles from ``first`` to ``longest``, and is jittered by half."""

    tries: int = 4
    total: float = 60.0
    first: float = 0.5
    longest: float = 10.0


class Retrier:
    """Runs a call under a policy; ``chance`` gives numbers in [0, 1)."""

    def __init__(
        self, clock: Clock, policy: RetryPolicy | None = None, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock, self._policy, self._chance = clock, policy or RetryPolicy(), chance

    def run(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns; the last error is raised when tries or time are used up."""
        deadline = self._clock.monotonic() + self._policy.total
        attempt = 1
        while True:
            try:
                return call()
            except TransientError as exc:
                wait = self._wait(exc, attempt)
                late = self._clock.monotonic() + wait > deadline
                if not is_worth_repeating(exc) or attempt >= self._policy.tries or late:
                    raise
                log.info("try %d failed, next in %.1f s: %s", attempt, wait, exc)
            self._clock.sleep(wait)
            attempt += 1

    def _wait(self, exc: TransientError, attempt: int) -> float:
        step = min(self._policy.longest, self._policy.first * float(2 ** (attempt - 1)))
        return max(exc.retry_after or 0.0, step * (0.5 + self._chance()))


def is_worth_repeating(exc: ProviderError) -> bool:
    """Tell whether the same reading call may succeed in a moment; a machine's wrong state lasts longer than that."""
    return isinstance(exc, TransientError) and not isinstance(exc, WrongState)
