"""Time as an argument: the real clock, and the type that tests replace."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What production code may know of time."""

    def now(self) -> float:
        """Return the wall clock in unix seconds."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the wall clock in unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``."""
        time.sleep(seconds)
