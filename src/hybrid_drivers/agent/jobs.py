"""Configuration runs on several hosts that one person waits for: who is next, and what has been told so far."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from hybrid_drivers.agent.wishes import Ended, Wish
from hybrid_drivers.clock import Clock
from hybrid_drivers.hostconfig.report import StepReport, StepStatus

PARALLEL = 32  # hosts of all jobs at once, at most: others on their way need workers, too
ABANDONED = 60.0  # seconds without a poll after which no further host is begun: nobody waits any more
KEPT = 600.0  # seconds without a poll after which a job is forgotten
GATHER = 0.2  # seconds that a poll with news waits for more of them

Event = Mapping[str, object]
Begin = Callable[[int, Wish], str]  # puts a wish and sees to the host; returns why not, in one sentence


class Job:
    """One call of ``onehybrid configure``."""

    def __init__(self, hosts: Sequence[int], check_only: bool, begin: Begin, clock: Clock, turns: Turns) -> None:
        self.id = uuid.uuid4().hex[:16]
        self._check_only, self._begin, self._clock, self._turns = check_only, begin, clock, turns
        self._waiting = deque(hosts)
        self._left = len(hosts)
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self.polled_at = clock.monotonic()

    def start(self) -> None:
        """Begin with as many hosts as may be worked on."""
        self._turns.join(self)

    def poll(self, since: int, seconds: float) -> tuple[list[Event], bool]:
        """Return the events from number ``since`` on, after at most ``seconds``, and whether these are the last."""
        self.polled_at = self._clock.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > since or not self._left, seconds)
            if self._left:
                self._changed.wait(GATHER)
            return self._events[since:], not self._left

    def begin_next(self) -> bool:
        """Begin with the next host that takes the wish; tell whether there was one."""
        while True:
            with self._changed:
                if not self._waiting:
                    return False
                host_id = self._waiting.popleft()
            refused = "nobody waited for it any more" if self._abandoned() else ""
            refused = refused or self._begin(host_id, Wish(self._check_only, _Listener(self, host_id)))
            if not refused:
                return True
            self._end({"host": host_id, "event": "end", "outcome": "refused", "message": refused})

    def _abandoned(self) -> bool:
        return self._clock.monotonic() - self.polled_at > ABANDONED

    def _tell(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _end(self, event: Event) -> None:
        with self._changed:
            self._left -= 1
            self._events.append(event)
            self._changed.notify_all()

    def step(self, host_id: int, report: StepReport) -> None:
        """Take note of a step that ended."""
        if report.status is StepStatus.START:
            return
        told = {"role": report.role, "name": report.name, "status": report.status.value}
        numbers = {"number": report.number, "total": report.total, "seconds": report.seconds}
        self._tell({"host": host_id, "event": "step", **told, **numbers, "notes": list(report.notes)})

    def end(self, host_id: int, ended: Ended) -> None:
        """Take note of a host's end: it is another one's turn."""
        event: dict[str, object] = {"host": host_id, "event": "end", "outcome": "failed", "message": ended.problem}
        if ended.run is not None and not ended.problem:
            event |= {"outcome": "done", "steps": len(ended.run.steps), "changed": len(ended.run.changed)}
            event |= {"seconds": round(ended.run.seconds, 2)}
        self._end(event)
        self._turns.end()


class _Listener:
    """Hears of one host of a job."""

    def __init__(self, job: Job, host_id: int) -> None:
        self._job, self._host_id = job, host_id

    def step(self, report: StepReport) -> None:
        self._job.step(self._host_id, report)

    def end(self, ended: Ended) -> None:
        self._job.end(self._host_id, ended)


class Turns:
    """Lets the jobs take turns, one host each: together they work on ``limit`` hosts at once at most; thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._running = 0
        self._jobs: deque[Job] = deque()  # those with hosts that wait

    def join(self, job: Job) -> None:
        """Let ``job`` take turns with the others."""
        with self._lock:
            self._jobs.append(job)
        self._go_on()

    def end(self) -> None:
        """Take note that a host's run ended."""
        with self._lock:
            self._running -= 1
        self._go_on()

    def _go_on(self) -> None:
        while True:
            with self._lock:
                if self._running >= self._limit or not self._jobs:
                    return
                job = self._jobs.popleft()
                self._running += 1
            begun = False
            try:
                begun = job.begin_next()  # asks oned: others must not wait for that
            finally:
                with self._lock:
                    if begun:
                        self._jobs.append(job)
                    else:
                        self._running -= 1


class Jobs:
    """The jobs somebody may still ask about; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        """Keep a job; those nobody asked about for long are forgotten."""
        with self._lock:
            now = self._clock.monotonic()
            self._jobs = {key: one for key, one in self._jobs.items() if now - one.polled_at < KEPT}
            self._jobs[job.id] = job

    def get(self, job_id: str) -> Job | None:
        """Return a job."""
        with self._lock:
            return self._jobs.get(job_id)
