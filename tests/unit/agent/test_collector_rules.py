"""Which machines nobody needs: the rule the collector gives machines back by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hybrid_drivers.agent.collector import Collector, left_alone, stopped, stray
from hybrid_drivers.agent.departures import Departure
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reconciler import Reconciler
from hybrid_drivers.agent.record import read
from hybrid_drivers.model import Host, HostState, Machine, MachineState, MachineTags, Template


def machine(host_id: int = 7, *, id: str = "m1", state: MachineState = MachineState.RUNNING) -> Machine:
    return Machine(id=id, state=state, tags=MachineTags(owner="us", host_id=host_id, token="t"))


def test_a_machine_whose_host_is_gone_is() -> None:
    assert "no host" in stray(machine(), {8: "m2"}, {"m1", "m2"})


def test_the_machine_of_a_host_is_not() -> None:
    assert not stray(machine(), {7: "m1"}, {"m1"})


def test_one_that_is_not_recorded_yet_is_not() -> None:
    assert not stray(machine(), {7: ""}, {"m1"})


def test_the_second_machine_of_a_host_is_while_the_first_exists() -> None:
    assert "m2" in stray(machine(), {7: "m2"}, {"m1", "m2"})


def test_the_only_machine_of_a_host_is_not_even_if_the_host_names_another() -> None:
    """The record may be an old one that was put back; on the machine virtual machines may run."""
    assert not stray(machine(), {7: "m-of-last-year"}, {"m1"})


@pytest.mark.parametrize(
    "other",
    [
        machine(-1),
        machine(state=MachineState.DELETING),
        machine(state=MachineState.GONE),
        Machine(id="m1", state=MachineState.RUNNING),
    ],
    ids=["of a 5.12 tool", "going", "gone", "of somebody else"],
)
def test_what_is_not_ours_or_on_its_way_out_is_not(other: Machine) -> None:
    assert not stray(other, {}, {"m1"})


@pytest.mark.parametrize(
    ("other", "recorded", "why"),
    [
        (machine(-1), {}, "5.12"),
        (machine(), {7: "m-of-last-year"}, "m-of-last-year"),
        (machine(), {7: ""}, ""),
        (machine(state=MachineState.DELETING), {7: "m2"}, ""),
    ],
)
def test_why_a_machine_that_no_host_names_is_left_alone(other: Machine, recorded: dict[int, str], why: str) -> None:
    found = left_alone(other, recorded)
    assert why in found
    assert bool(found) is bool(why)


@pytest.mark.parametrize(
    ("state", "host_state", "told"),
    [
        (MachineState.STOPPED, HostState.MONITORED, True),
        (MachineState.FAILED, HostState.ERROR, True),
        (MachineState.RUNNING, HostState.MONITORED, False),
        (MachineState.STOPPED, HostState.OFFLINE, False),
    ],
)
def test_a_machine_stopped_behind_our_back_is_told(state: MachineState, host_state: HostState, told: bool) -> None:
    ready = Template([("PROVISION", {"DEPLOY_ID": "m1", "HOSTNAME": "edge7"}), ("PROVISION_READY", "1")])
    host = Host(id=7, name="x", state=host_state, im_mad="provision", vm_mad="kvm", cluster_id=0, template=ready)
    account: Any = SimpleNamespace(name="ams")
    found = stopped(read(host), [(account, [machine(state=state)])])
    wanted = {"host": 7, "name": "edge7", "provider": "ams", "machine": "m1", "state": state.value}
    assert found == (wanted if told else None)


def test_hosts_that_oned_has_forgotten_are_called_by_what_their_machines_tags_say() -> None:
    departures = [
        Departure(account=account, host_id=host_id, name=name, machine_id=of, since=90.0)
        for account, host_id, name, of in (
            ("ams", 7, "7", ""), ("ams", 7, "7", "m1"), ("ams", 8, "8", ""), ("ams", 9, "mine", "m9"),
            ("aws", 7, "7", ""),
        )
    ]  # fmt: skip
    tags = MachineTags(owner="us", host_id=7, token="t", name="edge7")
    snapshot = SimpleNamespace(machines=(Machine(id="m1", state=MachineState.RUNNING, tags=tags),))
    account = SimpleNamespace(name="ams", machines=SimpleNamespace(look=lambda _: snapshot))
    parts = SimpleNamespace(
        clock=SimpleNamespace(now=lambda: 100.0, monotonic=lambda: 100.0),
        departures=SimpleNamespace(all=lambda: departures, machine_ids=lambda: {"m1", "m9"}),
        accounts=SimpleNamespace(all=lambda: [account], broken=lambda: ["aws"]),
        oned=SimpleNamespace(hosts=list),
        owner=SimpleNamespace(held=lambda: False),
    )
    collector = Collector(cast(Parts, parts), cast(Reconciler, None))
    collector.sweep(look_only=True)
    told = collector.report()
    assert [one["name"] for one in told["leaving"]] == ["edge7", "edge7", "host 8", "mine", "host 7"]
    assert told["unasked"] == ["aws"]
