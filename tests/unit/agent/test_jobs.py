"""Runs that people wait for: few hosts at once, each ends once, and nobody's wait is served for ever."""

from __future__ import annotations

from tests.support.agent_fakes import VirtualClock

from hybrid_drivers.agent.jobs import ABANDONED, KEPT, PARALLEL, Job, Jobs, Turns
from hybrid_drivers.agent.wishes import Ended, Wish, Wishes
from hybrid_drivers.hostconfig.report import RunReport, StepReport, StepStatus

DONE = Ended(run=RunReport(steps=(), seconds=1.0))


class Hosts:
    """Takes wishes and keeps them open."""

    def __init__(self, *refused: int) -> None:
        self.refused, self.wishes, self.most = refused, dict[int, Wish](), 0

    def begin(self, host_id: int, wish: Wish) -> str:
        if host_id in self.refused:
            return "no"
        self.wishes[host_id] = wish
        self.most = max(self.most, len(self.wishes))
        return ""

    def end(self, host_id: int, ended: Ended = DONE) -> None:
        self.wishes.pop(host_id).listener.end(ended)


def job(
    hosts: Hosts, number: int, clock: VirtualClock | None = None, turns: Turns | None = None, first: int = 0
) -> Job:
    every = range(first, first + number)
    made = Job(every, False, hosts.begin, clock or VirtualClock(), turns or Turns(PARALLEL))
    made.start()
    return made


def test_many_hosts_are_worked_on_a_few_at_a_time_and_refusals_take_no_turn() -> None:
    hosts = Hosts(3, 40, 41)
    running = job(hosts, 100)
    while hosts.wishes:
        hosts.end(next(iter(hosts.wishes)))
    events, done = running.poll(0, 0)
    assert (len(events), done, hosts.most) == (100, True, PARALLEL)
    assert sorted(one["host"] for one in events if one["outcome"] == "refused") == [3, 40, 41]  # type: ignore[type-var]


def test_all_jobs_together_keep_to_one_limit_and_a_small_one_does_not_wait_for_a_large_one() -> None:
    hosts, turns = Hosts(), Turns(4)
    large = job(hosts, 50, turns=turns)
    small = job(hosts, 2, turns=turns, first=100)
    ended = 0
    while hosts.wishes:
        if small.poll(0, 0)[1]:
            break
        hosts.end(next(iter(hosts.wishes)))
        ended += 1
    assert ended < 12
    while hosts.wishes:
        hosts.end(next(iter(hosts.wishes)))
    assert (large.poll(0, 0)[1], hosts.most) == (True, 4)


def test_events_come_in_order_and_only_once() -> None:
    hosts = Hosts()
    running = job(hosts, 1)
    listener = hosts.wishes[0].listener
    for status in (StepStatus.START, StepStatus.CHANGED):
        listener.step(StepReport(number=1, total=2, role="ddc", name="x", status=status))
    events, done = running.poll(0, 0)
    assert ([one["event"] for one in events], done) == (["step"], False)
    hosts.end(0, Ended(problem="it broke"))
    events, done = running.poll(1, 0)
    assert ([(one["event"], one["outcome"], one["message"]) for one in events], done) == (
        [("end", "failed", "it broke")],
        True,
    )


def test_no_host_is_no_wait() -> None:
    assert job(Hosts(), 0).poll(0, 60) == ([], True)


def test_nothing_more_is_begun_when_nobody_waits_any_more() -> None:
    hosts, clock = Hosts(), VirtualClock()
    running = job(hosts, PARALLEL + 5, clock)
    clock.sleep(ABANDONED + 1)
    hosts.end(0)
    assert len(hosts.wishes) == PARALLEL - 1
    events, _ = running.poll(0, 0)
    assert [one["outcome"] for one in events] == ["done"] + 5 * ["refused"]


def test_old_jobs_are_forgotten() -> None:
    clock = VirtualClock()
    jobs, old, new = Jobs(clock), job(Hosts(), 1, clock), job(Hosts(), 1, clock)
    jobs.add(old)
    clock.sleep(KEPT + 1)
    new.polled_at = clock.monotonic()
    jobs.add(new)
    assert (jobs.get(old.id), jobs.get(new.id)) == (None, new)


def test_a_host_has_one_wish_which_ends_once() -> None:
    hosts, wishes = Hosts(), Wishes()
    job(hosts, 2)
    first, second = hosts.wishes[0], hosts.wishes[1]
    assert wishes.put(7, first)
    assert not wishes.put(7, second)
    wishes.end(7, second, DONE)  # of an earlier pass: not the open one
    assert wishes.of(7) is first
    wishes.end(7, first, DONE)
    wishes.end(7, first, DONE)
    assert wishes.of(7) is None
