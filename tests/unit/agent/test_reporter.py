"""What monitord is told: every change once, beacons in between, nothing about READY hosts."""

from __future__ import annotations

from typing import cast

import pytest
from tests.support.agent_fakes import VirtualClock

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.reporter import BEACON_EVERY, Reporter, Shown, system_host
from hybrid_drivers.errors import OnedUnreachable
from hybrid_drivers.oned.monitord import Monitord

DEPLOYING = Shown(phase=Phase.DEPLOYING, step="starting 40%")


class Port:
    """monitord's port, or a closed one."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, str, bool]] = []
        self.closed = False

    def send(self, kind: str, host_id: int, payload: str, *, ok: bool = True) -> None:
        if self.closed:
            raise OnedUnreachable("nobody listens")
        self.sent.append((kind, host_id, payload, ok))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, *_ in self.sent]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
def reporter(clock: VirtualClock, port: Port) -> Reporter:
    made = Reporter(clock)
    made.use(cast(Monitord, port))
    return made


def test_a_change_is_told_once_with_zero_capacity(reporter: Reporter, port: Port) -> None:
    reporter.show(7, DEPLOYING)
    reporter.show(7, DEPLOYING)
    ((kind, host_id, payload, ok),) = port.sent
    assert (kind, host_id, ok) == ("SYSTEM_HOST", 7, True)
    assert payload.splitlines() == [
        'TOTALCPU="0"',
        'TOTALMEMORY="0"',
        'PROVISION_STATE="DEPLOYING"',
        'PROVISION_STEP="starting 40%"',
        'PROVISION_ERROR=""',
    ]
    assert reporter.last(7) == DEPLOYING


def test_beacons_keep_a_host_on_its_way_alive(reporter: Reporter, port: Port, clock: VirtualClock) -> None:
    reporter.show(7, DEPLOYING)
    clock.sleep(BEACON_EVERY - 1)
    reporter.beacon()
    assert port.kinds == ["SYSTEM_HOST"]
    clock.sleep(1)
    reporter.beacon()
    reporter.beacon()
    reporter.show(7, DEPLOYING)
    assert port.kinds == ["SYSTEM_HOST", "BEACON_HOST"]


def test_a_failure_is_told_and_silence_follows(reporter: Reporter, port: Port, clock: VirtualClock) -> None:
    reporter.show(7, DEPLOYING)
    reporter.fail(7, "the quota is used up")
    clock.sleep(10 * BEACON_EVERY)
    reporter.beacon()
    assert port.sent[1:] == [("BEACON_HOST", 7, "the quota is used up", False)]
    assert reporter.last(7) == Shown(phase=Phase.ERROR, problem="the quota is used up")


def test_nothing_is_said_of_a_forgotten_host(reporter: Reporter, port: Port, clock: VirtualClock) -> None:
    reporter.show(7, DEPLOYING)
    reporter.forget(7)
    clock.sleep(10 * BEACON_EVERY)
    reporter.beacon()
    assert (len(port.sent), reporter.last(7)) == (1, None)


def test_what_probes_said_is_forwarded_and_cannot_be_taken_back_by_a_late_message(
    reporter: Reporter, port: Port
) -> None:
    reporter.forward("SYSTEM_HOST", 7, 'TOTALCPU="800"\n')
    reporter.forward("MONITOR_HOST", 7, 'FREECPU="800"')
    assert 'TOTALCPU="800"\nPROVISION_STATE="READY"\n' in port.sent[0][2]
    assert port.sent[1] == ("MONITOR_HOST", 7, 'FREECPU="800"', True)


def test_a_monitord_that_is_away_stops_nobody(reporter: Reporter, port: Port, clock: VirtualClock) -> None:
    port.closed = True
    reporter.show(7, DEPLOYING)
    reporter.fail(8, "reason")
    port.closed = False
    clock.sleep(BEACON_EVERY)
    reporter.beacon()
    assert port.kinds == ["BEACON_HOST"]


def test_before_monitord_is_known_states_are_kept_for_its_first_call(clock: VirtualClock) -> None:
    silent = Reporter(clock)
    silent.show(7, DEPLOYING)
    silent.fail(8, "reason")
    silent.forward("SYSTEM_HOST", 9, "")
    assert silent.last(7) == DEPLOYING


def test_a_host_of_which_nothing_is_known_has_no_capacity() -> None:
    assert dict(system_host(None)) == {"TOTALCPU": "0", "TOTALMEMORY": "0"}
