"""Many things at once under one virtual clock, in one thread and the same way for the same seed.

A task is a greenlet: it runs until it sleeps or waits for a lock that another one holds. Nothing else lets go of the
processor, so what happens between two sleeps is one instant, and a run is decided by its seed alone.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from types import TracebackType

import greenlet
from tests.support.agent_fakes import VirtualClock

NEVER = float("inf")


class Tasks(VirtualClock):
    """The clock and what runs under it; tasks due at the same instant run in an order drawn from ``chance``."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self._loop = greenlet.getcurrent()
        self._due: list[tuple[float, float, int, greenlet.greenlet]] = []
        self._numbers = itertools.count()
        self._killed: set[greenlet.greenlet] = set()

    def sleep(self, seconds: float) -> None:
        """Let time pass for the task that asks; outside of tasks, for everybody."""
        me = greenlet.getcurrent()
        if me is self._loop:
            self.time += seconds
            return
        self.wake(me, seconds)
        self.suspend()

    def wake(self, task: greenlet.greenlet, seconds: float = 0.0) -> None:
        """Let a task go on after ``seconds``."""
        entry = (self.time + seconds, self.chance.random(), next(self._numbers), task)
        heapq.heappush(self._due, entry)

    def suspend(self) -> None:
        """Let others run until somebody wakes the task that asks."""
        self._loop.switch()

    def start(self, work: Callable[[], object]) -> greenlet.greenlet:
        """Begin a task now."""
        task = greenlet.greenlet(work, parent=self._loop)
        self.wake(task)
        return task

    def kill(self, task: greenlet.greenlet) -> None:
        """End a task where it stands, as ``kill -9`` does: nothing of it runs any more."""
        self._killed.add(task)

    def next(self) -> float:
        """Return when the next task is due."""
        return self._due[0][0] if self._due else NEVER

    def step(self) -> bool:
        """Run one task that is due until it sleeps; tell whether there was one."""
        if not self._due or self._due[0][0] > self.time:
            return False
        task = heapq.heappop(self._due)[3]
        if task not in self._killed and not task.dead:
            task.switch()
        return True


class TaskLock:
    """``threading.Lock`` among tasks."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._holder: greenlet.greenlet | None = None
        self._waiting: deque[greenlet.greenlet] = deque()

    def __enter__(self) -> TaskLock:
        me = greenlet.getcurrent()
        while self._holder is not None and not self._holder.dead:
            self._waiting.append(me)
            self._tasks.suspend()
        self._holder = me
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._holder = None
        if self._waiting:
            self._tasks.wake(self._waiting.popleft())
