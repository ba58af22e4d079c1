"""A token bucket: how many calls a second an account may make, whatever the number of threads."""

from __future__ import annotations

import threading

from hybrid_drivers.clock import Clock

LONGEST_PAUSE = 60.0  # seconds; a provider that names a longer time is told to the caller instead


class TokenBucket:
    """Lets ``burst`` calls through at once and ``rate`` a second after that. Thread-safe."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._lock = threading.Lock()
        self._level = burst
        self._at = clock.monotonic()
        self._paused_until = self._at

    def take(self) -> None:
        """Take one token, sleeping until there is one; callers are served in the order they came."""
        with self._lock:
            now = self._clock.monotonic()
            self._level = min(self._burst, self._level + (now - self._at) * self._rate) - 1
            self._at = now
            wait = max(-self._level / self._rate, self._paused_until - now)
        if wait > 0:
            self._clock.sleep(wait)

    def pause(self, seconds: float) -> None:
        """Hold everybody for ``seconds`` (60 at most): the provider said so. Afterwards calls go at ``rate``."""
        with self._lock:
            self._level = min(self._level, 0.0)
            until = self._clock.monotonic() + min(seconds, LONGEST_PAUSE)
            self._paused_until = max(self._paused_until, until)
