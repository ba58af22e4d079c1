"""When READY hosts are looked at for drift, and how the result is told."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hybrid_drivers.agent.upkeep import DRIFT_TEXT, FIRST_CHECK, FIRST_SPREAD, drift_text, next_check
from hybrid_drivers.hostconfig.report import RunReport, StepReport, StepStatus

SIX_HOURS = 21600.0
READY = 1_000_000.0


def times(host_id: int, until: float, interval: float = SIX_HOURS) -> list[float]:
    found, after = [], READY
    while (after := next_check(host_id, READY, interval, after)) <= until:
        found.append(after)
    return found


def test_the_first_look_comes_soon_and_then_one_each_interval() -> None:
    for host_id in range(50):
        first, *later = times(host_id, READY + 10 * SIX_HOURS)
        assert FIRST_CHECK <= first - READY <= FIRST_CHECK + FIRST_SPREAD
        assert 9 <= len(later) <= 10
        assert {round(b - a) for a, b in pairwise(later)} == {SIX_HOURS}


def test_a_restart_changes_nothing() -> None:
    all_of_them = times(3, READY + 5 * SIX_HOURS)
    for started in range(int(READY), int(READY + 4 * SIX_HOURS), 7001):
        expected = next(one for one in all_of_them if one > started)
        assert next_check(3, READY, SIX_HOURS, started) == pytest.approx(expected)


def test_many_hosts_that_became_ready_together_are_looked_at_one_by_one() -> None:
    begin = READY + 5 * SIX_HOURS
    due = [next_check(host_id, READY, SIX_HOURS, begin) for host_id in range(1000)]
    minutes = [int((one - begin) // 600) for one in due]
    assert max(minutes.count(slot) for slot in range(36)) < 2 * 1000 / 36
    assert min(minutes.count(slot) for slot in range(36)) > 0


def test_a_short_interval_holds_from_the_beginning() -> None:
    assert next_check(1, READY, 2.0, READY) == READY + 2


def run(*names: str, of: int = 41) -> RunReport:
    def step(name: str, status: StepStatus) -> StepReport:
        return StepReport(number=1, total=of, role="ddc", name=name, status=status)

    same = tuple(step("x", StepStatus.OK) for _ in range(of - len(names)))
    return RunReport(steps=(*same, *(step(name, StepStatus.WOULD_CHANGE) for name in names)), seconds=0.1)


def test_drift_is_told_shortly() -> None:
    assert drift_text(run()) == ""
    assert drift_text(run("set y")) == "1 of 41 step differs: set y"
    assert drift_text(run("write /etc/x", "set y")) == "2 of 41 steps differ: write /etc/x; set y"
    long = drift_text(run(*(f"write /etc/file{number}" for number in range(40))))
    assert (len(long) <= DRIFT_TEXT, long[-3:]) == (True, "...")
