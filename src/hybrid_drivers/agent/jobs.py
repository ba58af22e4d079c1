"""Configuration runs on several hosts that one person waits for: who is next, and what has been told so far."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from hybrid_drivers.agent.wishes import Ended, Wish
from hybrid_drivers.clock import Clock
from hybrid_drivers.hostconfig.report import StepReport, StepStatus

PARALLEL = 32  # hosts of one job at once: others on their way need workers, too
ABANDONED = 60.0  # seconds without a poll after which no further host is begun: nobody waits any more
KEPT = 600.0  # seconds without a poll after which a job is forgotten
GATHER = 0.2  # seconds that a poll with news waits for more of them

Event = Mapping[str, object]
Begin = Callable[[int, Wish], str]  # puts a wish and sees to the host; returns why not, in one sentence


class Job:
    """One call of ``onehybrid configure``."""

    def __init__(self, hosts: Sequence[int], check_only: bool, begin: Begin, clock: Clock) -> None:
        self.id = uuid.uuid4().hex[:16]
        self._check_only, self._begin, self._clock = check_only, begin, clock
        self._waiting = deque(hosts)
        self._left = len(hosts)
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self.polled_at = clock.monotonic()

    def start(self) -> None:
        """Begin with the first hosts."""
        for _ in range(PARALLEL):
            self._next()

    def poll(self, since: int, seconds: float) -> tuple[list[Event], bool]:
        """Return the events from number ``since`` on, after at most ``seconds``, and whether these are the last."""
        self.polled_at = self._clock.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > since or not self._left, seconds)
            if self._left:
                self._changed.wait(GATHER)
            return self._events[since:], not self._left

    def _next(self) -> None:
        """Begin with the next host that takes the wish."""
        while True:
            with self._changed:
                if not self._waiting:
                    return
                host_id = self._waiting.popleft()
            refused = "nobody waited for it any more" if self._abandoned() else ""
            refused = refused or self._begin(host_id, Wish(self._check_only, _Listener(self, host_id)))
            if not refused:
                return
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
        """Take note of a host's end, and begin with another."""
        event: dict[str, object] = {"host": host_id, "event": "end", "outcome": "failed", "message": ended.problem}
        if ended.run is not None and not ended.problem:
            event |= {"outcome": "done", "steps": len(ended.run.steps), "changed": len(ended.run.changed)}
            event |= {"seconds": round(ended.run.seconds, 2)}
        self._end(event)
        self._next()


class _Listener:
    """Hears of one host of a job."""

    def __init__(self, job: Job, host_id: int) -> None:
        self._job, self._host_id = job, host_id

    def step(self, report: StepReport) -> None:
        self._job.step(self._host_id, report)

    def end(self, ended: Ended) -> None:
        self._job.end(self._host_id, ended)


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
