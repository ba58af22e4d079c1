"""What the simulators' tests share: quick knobs, patience with a limit, and a clock that only moves when told."""

from __future__ import annotations

import time
from collections.abc import Callable

from hybrid_drivers.sandbox.knobs import Knobs


def quick(**more: object) -> Knobs:
    """Return knobs of a provider that takes hundredths of a second, with the named ones changed."""
    knobs = Knobs(queued=0.02, provisioning=0.03, booting=0.02, starting=0.02, stopping=0.02, slow_delete=0.02)
    knobs.reinstalling = 0.02
    knobs.change(more)
    return knobs


def wait_for(happened: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Return as soon as ``happened()`` is true; fail after ``seconds``."""
    limit = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.005)


class HandClock:
    """Time that stands still but for :meth:`sleep`."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return the same seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds
