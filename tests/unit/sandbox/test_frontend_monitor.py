"""When monitord starts and stops monitoring, on a clock that only a test moves."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from tests.support.standin import MEASURED, Cloud, messages

from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.frontend import host_calls as calls


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def ready(cloud: Cloud) -> Cloud:
    """A cloud with one monitored host."""
    cloud.host()
    cloud.answer(0, messages(SYSTEM_HOST=MEASURED))
    return cloud


def test_a_new_host_is_started_at_once_with_its_configuration(cloud: Cloud) -> None:
    cloud.host("edge1")
    order, _ = cloud.drivers.orders[0]
    assert (order.action, order.argv) == ("START_MONITOR", ("provision", "0", "edge1"))
    assert b"<HOST_ID>0</HOST_ID>" in base64.b64decode(order.stdin)


def test_an_unknown_driver_is_only_logged(cloud: Cloud) -> None:
    assert cloud.host(im_mad="nope").state is HostState.INIT
    assert cloud.drivers.take() == []
    assert cloud.log == ["START_MONITOR: Cannot find driver nope"]


def test_silence_starts_again_after_the_interval(ready: Cloud) -> None:
    assert ready.after(180) == []
    assert ready.after(1) == ["START_MONITOR 0"]


def test_a_start_without_answer_is_repeated_after_its_own_time(ready: Cloud) -> None:
    assert ready.after(181) == ["START_MONITOR 0"]
    assert ready.after(299) == []
    assert ready.after(1) == ["START_MONITOR 0"]


def test_it_asks_until_the_answer_has_come(cloud: Cloud) -> None:
    cloud.host()
    assert cloud.monitor.asking()
    cloud.answer(0, messages(SYSTEM_HOST=MEASURED))
    assert not cloud.monitor.asking()
    cloud.after(181)
    assert cloud.monitor.asking()


@pytest.mark.parametrize(
    "sign",
    [
        lambda cloud: cloud.tell("BEACON_HOST", "1"),
        lambda cloud: cloud.tell("MONITOR_HOST", 'FREECPU="1"'),
        lambda cloud: cloud.tell("SYSTEM_HOST", MEASURED),
        lambda cloud: calls.host_update(cloud.context, 0, "A=1", 1),  # any change of the host counts
    ],
    ids=["beacon", "monitor", "system", "update"],
)
def test_signs_of_life_put_it_off(ready: Cloud, sign: Callable[[Cloud], object]) -> None:
    ready.after(100)
    sign(ready)
    assert ready.after(100) == []
    assert ready.after(81) == ["START_MONITOR 0"]


def test_hosts_in_error_are_tried_again(ready: Cloud) -> None:
    ready.tell("BEACON_HOST", "broken", ok=False)
    assert ready.store.hosts[0].state is HostState.ERROR
    assert ready.after(181) == ["START_MONITOR 0"]


def test_offline_stops_and_enable_starts(ready: Cloud) -> None:
    calls.host_status(ready.context, 0, 2)
    assert ready.drivers.take() == ["STOP_MONITOR 0"]
    host = ready.store.hosts[0]
    assert (host.state, host.total_cpu, host.template.text("TOTALCPU")) == (HostState.OFFLINE, 0, "")
    assert ready.after(1000) == []
    calls.host_status(ready.context, 0, 0)
    assert (ready.drivers.take(), host.state) == (["START_MONITOR 0"], HostState.INIT)


def test_disable_sends_nothing_and_enable_remembers_the_capacity(ready: Cloud) -> None:
    host = ready.store.hosts[0]
    calls.host_status(ready.context, 0, 1)
    assert host.state is HostState.DISABLED
    ready.tell("SYSTEM_HOST", MEASURED)
    ready.tell("BEACON_HOST", "broken", ok=False)
    assert host.state is HostState.DISABLED
    assert "broken" in host.template.text("ERROR")
    calls.host_status(ready.context, 0, 0)
    assert (ready.drivers.take(), host.state) == ([], HostState.MONITORED)


def test_enabling_a_failed_host_starts_over_but_sends_nothing_now(ready: Cloud) -> None:
    ready.tell("BEACON_HOST", "broken", ok=False)
    calls.host_status(ready.context, 0, 0)
    assert (ready.drivers.take(), ready.store.hosts[0].state) == ([], HostState.INIT)
    assert ready.after(181) == ["START_MONITOR 0"]


def test_delete_stops_when_the_host_is_gone(ready: Cloud) -> None:
    calls.host_delete(ready.context, 0)
    assert ready.store.hosts == {}
    order, _ = ready.drivers.orders[0]
    assert order.argv == ("stop", "provision", "0", "edge1")
    ready.drivers.take()
    ready.tell("SYSTEM_HOST", MEASURED)
    assert ready.after(1000) == []


def test_an_answer_after_delete_is_passed_over(cloud: Cloud) -> None:
    cloud.host()
    _, done = cloud.drivers.orders[0]
    calls.host_delete(cloud.context, 0)
    done(1, "failed")
    assert cloud.store.hosts == {}


def test_after_a_restart_everything_counts_as_just_monitored(ready: Cloud) -> None:
    ready.after(170)
    ready.monitor.load_hosts()
    assert ready.after(180) == []
    assert ready.after(1) == ["START_MONITOR 0"]


def test_a_follower_neither_asks_nor_listens(ready: Cloud) -> None:
    ready.knobs.change({"raft": "FOLLOWER"})
    ready.tell("SYSTEM_HOST", 'TOTALCPU="100"')
    assert ready.store.hosts[0].total_cpu == 800
    assert ready.after(1000) == []
