"""Doing things later: one timer thread and a few workers, for as many machines as one likes."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from hybrid_drivers.clock import Clock

log = logging.getLogger(__name__)

Task = Callable[[], None]


class Schedule:
    """Runs tasks at their time on one timer thread, and slow ones on the threads of ``workers`` (eight of its own).

    A task of the timer thread must be quick. Without :meth:`start` nothing runs but through :meth:`run_due`, which is
    how tests with a clock of their own drive it.
    """

    def __init__(self, clock: Clock, workers: Executor | None = None) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._pool = workers or ThreadPoolExecutor(8, thread_name_prefix="sandbox-machine")
        self._thread: threading.Thread | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the timer thread."""
        self._thread = threading.Thread(target=self._run, name="sandbox-timer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Drop what is not due yet and wait for the workers."""
        with self._changed:
            self._stopped = True
            self._due.clear()
            self._changed.notify()
        if self._thread:
            self._thread.join()
        self._pool.shutdown()

    def after(self, seconds: float, task: Task) -> None:
        """Run ``task`` on the timer thread ``seconds`` from now."""
        with self._changed:
            if self._stopped:
                return
            entry = (self._clock.monotonic() + seconds, next(self._order), task)
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._changed.notify()

    def hand_over(self, task: Task) -> None:
        """Run ``task``, which may take long, on a worker as soon as one is free."""
        with self._changed:
            if not self._stopped:
                self._pool.submit(_logged, task)

    def run_due(self) -> None:
        """Run every task whose time has come, on the caller's thread."""
        while task := self._next(wait=False):
            _logged(task)

    def _run(self) -> None:
        while task := self._next(wait=True):
            _logged(task)

    def _next(self, *, wait: bool) -> Task | None:
        with self._changed:
            while not self._stopped:
                left = self._due[0][0] - self._clock.monotonic() if self._due else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._due)[2]
                if not wait:
                    return None
                self._changed.wait(left)
        return None


def _logged(task: Task) -> None:
    try:
        task()
    except Exception:  # the thread's boundary: one bad task must not end the laboratory
        log.exception("a sandbox task failed")
