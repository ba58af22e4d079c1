"""What the answers and messages of monitoring clients do to a host."""

from __future__ import annotations

import re

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


def test_an_answer_brings_capacity_and_attributes(ready: Cloud) -> None:
    host = ready.store.hosts[0]
    assert (host.state, host.total_cpu, host.total_memory) == (HostState.MONITORED, 800, 16777216)
    assert "<TOTAL_CPU>800</TOTAL_CPU><MAX_MEM>16777216</MAX_MEM><MAX_CPU>800</MAX_CPU>" in ready.store.host_xml(host)
    assert host.template.text("HOSTNAME") == "node"


def test_system_host_without_capacity_means_none(ready: Cloud) -> None:
    ready.tell("SYSTEM_HOST", 'PROVISION_STATE="ERROR"')
    host = ready.store.hosts[0]
    assert (host.total_cpu, host.total_memory, host.state) == (0, 0, HostState.MONITORED)
    assert host.template.text("HOSTNAME") == "node"  # merged, not replaced


def test_reserved_capacity_is_taken_off(ready: Cloud) -> None:
    calls.host_update(ready.context, 0, 'RESERVED_CPU="25%"\nRESERVED_MEM="1024"', 1)
    xml = ready.store.host_xml(ready.store.hosts[0])
    assert "<MAX_MEM>16776192</MAX_MEM><MAX_CPU>600</MAX_CPU>" in xml


@pytest.mark.parametrize("output", ["", "  \n"])
def test_an_empty_answer_is_a_success_without_news(cloud: Cloud, output: str) -> None:
    host = cloud.host()
    cloud.answer(0, output)
    assert host.state is HostState.INIT
    assert cloud.after(180) == []


@pytest.mark.parametrize(
    ("code", "output"), [(1, "reason"), (255, "Timeout"), (0, "no XML"), (0, "<MONITOR_MESSAGES>")]
)
def test_a_failed_start_has_its_reason_in_the_log_only(cloud: Cloud, code: int, output: str) -> None:
    host = cloud.host()
    cloud.answer(code, output)
    assert host.state is HostState.ERROR
    assert re.fullmatch(
        r"\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} : Error monitoring Host edge1 \(0\): ", host.template.text("ERROR")
    )
    assert output in cloud.log[-1]
    assert cloud.after(181) == ["START_MONITOR 0"]


def test_a_good_message_clears_the_error(ready: Cloud) -> None:
    host = ready.store.hosts[0]
    ready.tell("MONITOR_HOST", "no disk", ok=False)
    assert host.template.text("ERROR").endswith("Error monitoring Host edge1 (0): no disk")
    ready.tell("BEACON_HOST", "another", ok=False)  # already in ERROR: nothing changes
    assert host.template.text("ERROR").endswith("no disk")
    ready.tell("SYSTEM_HOST", MEASURED)
    assert (host.state, host.template.text("ERROR")) == (HostState.MONITORED, "")


def test_usage_is_stored_and_shown_by_info_only(ready: Cloud) -> None:
    ready.tell("MONITOR_HOST", 'FREECPU="100"\nUSEDMEMORY="5"\nNETRX="7"\nOTHER="x"')
    host = ready.store.hosts[0]
    assert host.monitoring == (
        "<MONITORING><TIMESTAMP>1000000</TIMESTAMP><ID>0</ID><CAPACITY><FREE_CPU><![CDATA[100]]></FREE_CPU>"
        "<USED_MEMORY><![CDATA[5]]></USED_MEMORY></CAPACITY><SYSTEM><NETRX><![CDATA[7]]></NETRX></SYSTEM></MONITORING>"
    )
    assert "<MONITORING/></HOST>" in calls.hostpool_info(ready.context)


def test_messages_that_are_no_template(ready: Cloud) -> None:
    host = ready.store.hosts[0]
    ready.tell("SYSTEM_HOST", "A B")
    assert host.state is HostState.MONITORED  # only logged
    ready.tell("MONITOR_HOST", "A B")
    assert host.template.text("ERROR").endswith("Error parsing monitor information")


def test_older_messages_of_a_kind_are_dropped(ready: Cloud) -> None:
    host = ready.store.hosts[0]
    ready.tell("SYSTEM_HOST", 'STEP="2"', stamp=200)
    ready.tell("SYSTEM_HOST", 'STEP="1"', stamp=199)
    assert host.template.text("STEP") == "2"
    ready.tell("SYSTEM_HOST", 'STEP="3"', stamp=200)
    assert host.template.text("STEP") == "3"
    ready.tell("SYSTEM_HOST", 'STEP="4"', stamp=0)  # time unknown
    assert host.template.text("STEP") == "4"


def test_a_change_of_state_forgets_the_newest_times(ready: Cloud) -> None:
    ready.tell("SYSTEM_HOST", 'STEP="2"', stamp=200)
    calls.host_status(ready.context, 0, 1)
    ready.tell("SYSTEM_HOST", 'STEP="1"', stamp=100)
    assert ready.store.hosts[0].template.text("STEP") == "1"


def test_offline_hosts_hear_nothing(ready: Cloud) -> None:
    calls.host_status(ready.context, 0, 2)
    ready.tell("SYSTEM_HOST", MEASURED)
    ready.tell("BEACON_HOST", "broken", ok=False)
    host = ready.store.hosts[0]
    assert (host.state, host.total_cpu, host.template.text("ERROR")) == (HostState.OFFLINE, 0, "")


def test_renaming_keeps_being_monitored_under_the_new_name(ready: Cloud) -> None:
    calls.host_rename(ready.context, 0, "203.0.113.7")
    assert ready.after(180) == []
    ready.clock.sleep(1)
    ready.monitor.tick()
    assert ready.drivers.orders[0][0].argv == ("provision", "0", "203.0.113.7")
