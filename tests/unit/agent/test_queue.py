"""The work queue: one pass of a key at a time, nothing asked for is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from hybrid_drivers.agent.queue import Key, WorkQueue
from hybrid_drivers.clock import SystemClock

LIMIT = 10.0  # seconds; only reached when something is broken


class Recorder:
    """Work that remembers its passes; ``script`` says what the passes of a key do and return, in order."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.passes: list[Key] = []
        self.at_once: dict[Key, int] = {}
        self.most_at_once = 0
        self.script: dict[Key, list[Callable[[], float | None]]] = {}

    def work(self, key: Key) -> float | None:
        with self.changed:
            self.passes.append(key)
            self.at_once[key] = self.at_once.get(key, 0) + 1
            self.most_at_once = max(self.most_at_once, self.at_once[key])
            steps = self.script.get(key, [])
            step = steps.pop(0) if steps else lambda: None
            self.changed.notify_all()
        try:
            return step()
        finally:
            with self.changed:
                self.at_once[key] -= 1
                self.changed.notify_all()

    def count(self, key: Key) -> int:
        return self.passes.count(key)

    def wait(self, predicate: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, LIMIT), f"passes so far: {self.passes[-20:]}"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def queue(recorder: Recorder) -> Iterator[WorkQueue]:
    made = WorkQueue(recorder.work, SystemClock(), workers=8)
    made.start()
    yield made
    made.stop(LIMIT)


EDGE: Key = ("host", "7")


def test_what_is_asked_is_done_once(queue: WorkQueue, recorder: Recorder) -> None:
    queue.ask(EDGE)
    recorder.wait(lambda: recorder.count(EDGE) == 1)
    recorder.wait(lambda: not queue.keys())
    assert recorder.passes == [EDGE]


def test_a_pass_that_names_a_pause_is_repeated(queue: WorkQueue, recorder: Recorder) -> None:
    recorder.script[EDGE] = [lambda: 0.0, lambda: 0.01, lambda: None]
    queue.ask(EDGE)
    recorder.wait(lambda: recorder.count(EDGE) == 3)
    recorder.wait(lambda: not queue.keys())


def test_the_earliest_time_wins(queue: WorkQueue, recorder: Recorder) -> None:
    queue.ask(EDGE, delay=3600)
    queue.ask(EDGE, delay=0)
    recorder.wait(lambda: recorder.count(EDGE) == 1)


def test_a_later_wish_does_not_put_off_an_earlier_one(queue: WorkQueue, recorder: Recorder) -> None:
    queue.ask(EDGE, delay=0.05)
    queue.ask(EDGE, delay=3600)
    recorder.wait(lambda: recorder.count(EDGE) == 1)


def test_asked_while_running_runs_again_and_never_twice_at_once(queue: WorkQueue, recorder: Recorder) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert go_on.wait(LIMIT)

    recorder.script[EDGE] = [slow]
    queue.ask(EDGE)
    assert entered.wait(LIMIT)
    for _ in range(5):
        queue.ask(EDGE)
    queue.ask(("host", "8"))
    recorder.wait(lambda: recorder.count(("host", "8")) == 1)  # others are not held up
    assert recorder.count(EDGE) == 1
    go_on.set()
    recorder.wait(lambda: recorder.count(EDGE) == 2)
    recorder.wait(lambda: not queue.keys())
    assert recorder.count(EDGE) == 2
    assert recorder.most_at_once == 1


def test_a_bug_in_one_pass_stops_nothing(
    queue: WorkQueue, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    def bug() -> float | None:
        raise KeyError("a bug")

    recorder.script[EDGE] = [bug]
    queue.ask(EDGE)
    recorder.wait(lambda: recorder.count(EDGE) == 1)
    queue.ask(EDGE)  # it is put off by itself, and may be asked for sooner
    recorder.wait(lambda: recorder.count(EDGE) == 2)
    assert "failed unexpectedly" in caplog.text


def test_a_thousand_keys_are_all_seen_to(queue: WorkQueue, recorder: Recorder) -> None:
    keys: list[Key] = [("host", str(number)) for number in range(1000)]
    for key in keys:
        recorder.script[key] = [lambda: 0.0]
        queue.ask(key)
    recorder.wait(lambda: len(recorder.passes) == 2000)
    assert {recorder.count(key) for key in keys} == {2}
    assert recorder.most_at_once == 1


def test_stop_waits_for_what_runs_and_takes_nothing_more(recorder: Recorder) -> None:
    queue = WorkQueue(recorder.work, SystemClock(), workers=2)
    queue.start()
    entered, ended = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        ended.wait(0.2)
        ended.set()

    recorder.script[EDGE] = [slow]
    queue.ask(EDGE)
    assert entered.wait(LIMIT)
    queue.stop(LIMIT)
    assert ended.is_set()
    queue.ask(EDGE)
    assert recorder.count(EDGE) == 1


def test_what_has_threads_of_its_own_does_not_wait_behind_others(recorder: Recorder) -> None:
    queue = WorkQueue(recorder.work, SystemClock(), workers=1, apart={"release": 1})
    queue.start()
    go_on = threading.Event()

    def slow() -> None:
        assert go_on.wait(LIMIT)

    recorder.script[EDGE] = [slow]
    queue.ask(EDGE)
    recorder.wait(lambda: recorder.count(EDGE) == 1)
    queue.ask(("host", "8"))
    queue.ask(("release", "m1"))
    recorder.wait(lambda: recorder.count(("release", "m1")) == 1)
    assert recorder.count(("host", "8")) == 0
    go_on.set()
    recorder.wait(lambda: recorder.count(("host", "8")) == 1)
    queue.stop(LIMIT)
