"""The work queue: keys with a time, each worked on by one thread at a time, however often it is asked for."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Protocol

from hybrid_drivers.clock import Clock

Key = tuple[str, str]  # what kind of thing, and its name: ("host", "7")
Work = Callable[[Key], "float | None"]  # does one pass, returns seconds until the next, None for not before asked

log = logging.getLogger(__name__)


class Ask(Protocol):
    """Puts a key into the queue, to be seen to after ``delay`` seconds."""

    def __call__(self, key: Key, delay: float = 0.0) -> None:
        """Ask."""


class WorkQueue:
    """Runs ``work(key)`` in threads: never two at once for a key, and once more when it was asked for meanwhile.

    ``apart`` gives kinds of keys threads of their own: what must not wait behind slow others.
    """

    def __init__(
        self, work: Work, clock: Clock, *, workers: int = 128, apart: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._work = work
        self._clock = clock
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="work")
        self._apart = {kind: ThreadPoolExecutor(number, thread_name_prefix=kind) for kind, number in apart.items()}
        self._changed = threading.Condition()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._running: set[Key] = set()
        self._parked: set[Key] = set()  # due while running
        self._stopped = False
        self._thread = threading.Thread(target=self._dispatch, name="queue", daemon=True)

    def start(self) -> None:
        """Begin to hand out work."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Hand out nothing more and wait ``timeout`` seconds at most for what runs."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._running, timeout)
        for pool in (self._pool, *self._apart.values()):
            pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, key: Key, delay: float = 0.0) -> None:
        """See to ``key`` after ``delay`` seconds; an earlier appointment is kept, a later one moved forward."""
        when = self._clock.monotonic() + delay
        with self._changed:
            if self._stopped or self._due.get(key, float("inf")) <= when:
                return
            self._due[key] = when
            heapq.heappush(self._heap, (when, key))
            self._changed.notify_all()

    def keys(self) -> set[Key]:
        """Return every key that waits or runs."""
        with self._changed:
            return set(self._due) | set(self._running)

    def _dispatch(self) -> None:
        with self._changed:
            while not self._stopped:
                key = self._next_ready()
                if key is None:
                    self._changed.wait(self._pause())
                    continue
                self._running.add(key)
                self._apart.get(key[0], self._pool).submit(self._run, key)

    def _next_ready(self) -> Key | None:
        while self._heap and self._heap[0][0] <= self._clock.monotonic():
            when, key = heapq.heappop(self._heap)
            if self._due.get(key) != when:
                continue  # moved forward meanwhile
            if key in self._running:
                self._parked.add(key)  # its thread is still at it; `_run` puts the appointment back
                continue
            del self._due[key]
            return key
        return None

    def _pause(self) -> float | None:
        if not self._heap:
            return None
        return max(0.0, self._heap[0][0] - self._clock.monotonic())

    def _run(self, key: Key) -> None:
        again: float | None = 30.0
        try:
            again = self._work(key)
        except Exception:  # a worker's boundary: one key's failure must not end the others
            log.exception("work on %s %s failed unexpectedly; trying again in 30 s", *key)
        finally:
            with self._changed:
                self._running.discard(key)
                if key in self._parked:
                    self._parked.discard(key)
                    heapq.heappush(self._heap, (self._due[key], key))
                self._changed.notify_all()
        if again is not None:
            self.ask(key, again)
