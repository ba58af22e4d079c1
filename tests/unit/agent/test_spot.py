"""Interruptions: a notice leads to one flush, whatever is killed or refused in between."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_drivers.agent import spot
from hybrid_drivers.agent.interruptions import Interruptions
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import read
from hybrid_drivers.errors import ActionRefused, NoSuchObject, TransientError
from hybrid_drivers.model import Host, HostState, Template, Value

NOW = 1_700_000_000.0


class Killed(Exception):
    """Stands for kill -9 between two calls."""


class Cloud:
    """One oned with one spot host, and one account that takes its machine back when it is told to."""

    def __init__(self) -> None:
        self.template: dict[str, Value] = {
            "PROVISION": {"RENTED_FROM": "acme", "DEPLOY_ID": "m-1"}, "PROVISION_READY": "1", "SPOT": "YES",
        }  # fmt: skip
        self.state, self.vms = HostState.MONITORED, {1, 2}
        self.told: dict[str, float | None] = {}
        self.busy: set[int] = set()  # VMs that cannot be moved now
        self.calls: list[str] = []
        self.dies_before = 99
        self.now, self.questions, self.broken = NOW, 0, False
        self.noted: list[int] = []
        self.others: list[Host] = []  # before the one that all is about
        self.refused: set[int] = set()  # hosts that oned refuses to change

    # oned

    def hosts(self) -> list[Host]:
        template = Template(self.template.items())
        return [
            *self.others,
            Host(
                id=7, name="h7", state=self.state, im_mad="provision", vm_mad="kvm", cluster_id=100,
                template=template, vm_ids=tuple(sorted(self.vms)),
            )
        ]  # fmt: skip

    def host(self, host_id: int) -> Host:
        return next(one for one in self.hosts() if one.id == host_id)

    def _call(self, call: str) -> None:
        if len(self.calls) >= self.dies_before:
            raise Killed(call)
        self.calls.append(call)

    def update_host(self, host_id: int, template: Template) -> None:
        if host_id in self.refused:
            raise ActionRefused(f"host {host_id}: not now")
        self._call("write")
        self.template.update(dict(template))

    def set_host_status(self, _: int, status: str) -> None:
        self._call(status)
        self.state = HostState.DISABLED

    def write(self, method: str, _: str, action: str, vm_id: int) -> int:
        self._call(f"{action} {vm_id}")
        assert method == "vm.action"
        if vm_id not in self.vms:
            raise NoSuchObject("gone")
        if vm_id in self.busy:
            raise ActionRefused("wrong state")
        return vm_id

    # the provider

    def interruptions(self, owner: str) -> Mapping[str, float | None]:
        assert owner == "me"
        self.questions += 1
        if self.broken:
            raise TransientError("no answer")
        return self.told

    def agent(self, patience: float = 5.0) -> Interruptions:
        """A new process: nothing is remembered but what is in oned."""
        account = SimpleNamespace(name="acme", provider=self)
        parts = SimpleNamespace(
            oned=self,
            clock=SimpleNamespace(now=lambda: self.now),
            owner=lambda: "me",
            accounts=SimpleNamespace(
                named=lambda name: account, for_attributes=lambda asked, _: (account, asked["TOKEN"])
            ),
        )
        return Interruptions(cast(Parts, parts), self.noted.append, patience=patience)

    def sweep(self) -> list[str]:
        before = len(self.calls)
        self.agent().sweep()
        return self.calls[before:]

    def record(self) -> spot.Interruption | None:
        return spot.interruption_of(read(self.hosts()[-1]))


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_a_notice_is_written_down_then_the_host_is_flushed_once(cloud: Cloud) -> None:
    assert cloud.sweep() == []
    cloud.told["m-1"] = NOW + 120
    assert cloud.sweep() == ["write", "disable", "resched 1", "resched 2", "write"]
    assert cloud.noted == [7]
    told = spot.sentence(read(cloud.hosts()[0]))
    assert told.startswith("the provider takes spot machine m-1 back at ")
    assert told.endswith("the host was flushed")
    cloud.state = HostState.MONITORED  # a person enables it
    assert cloud.sweep() == []
    assert cloud.questions == 3  # one a look


def test_an_account_that_does_not_answer_keeps_no_other_from_being_asked(cloud: Cloud) -> None:
    answer = threading.Event()

    def interruptions(owner: str) -> Mapping[str, float | None]:
        answer.wait(60)
        return {}

    silent = SimpleNamespace(name="slow", provider=SimpleNamespace(interruptions=interruptions))
    told = SimpleNamespace(name="acme", provider=cloud)
    watching = cloud.agent(patience=0.05)
    first = cloud.hosts()[0]
    slow = Template([("PROVISION", {"RENTED_FROM": "slow", "DEPLOY_ID": "s-1"}), *list(first.template)[1:]])
    parts = watching._parts
    parts.accounts = SimpleNamespace(named={"slow": silent, "acme": told}.get)  # type: ignore[assignment] # a fake
    cloud.others = [replace(first, id=3, template=slow)]
    try:
        watching.sweep()
        cloud.told["m-1"] = NOW + 120
        watching.sweep()  # the first question to the silent one is still on its way
        assert cloud.noted == [7]
    finally:
        answer.set()


def test_a_host_that_oned_refuses_to_change_keeps_no_other_from_being_flushed(cloud: Cloud) -> None:
    first = cloud.hosts()[0]
    cloud.others = [replace(first, id=3)]
    cloud.told["m-1"] = NOW + 120
    cloud.refused.add(3)
    cloud.sweep()
    assert cloud.noted == [7]


def test_the_next_machine_of_the_host_has_a_notice_of_its_own(cloud: Cloud) -> None:
    cloud.told = {"m-1": None, "m-2": None}
    cloud.sweep()
    cloud.template["PROVISION"], cloud.state = {"RENTED_FROM": "acme", "DEPLOY_ID": "m-2"}, HostState.MONITORED
    assert spot.sentence(read(cloud.hosts()[0])) == ""
    assert "disable" in cloud.sweep()


@pytest.mark.parametrize("calls", range(5))
def test_killed_anywhere_it_is_ended_also_when_the_provider_is_silent(cloud: Cloud, calls: int) -> None:
    cloud.told["m-1"] = NOW + 120
    cloud.dies_before = calls
    with pytest.raises(Killed):
        cloud.sweep()
    cloud.dies_before, cloud.broken = 99, calls > 0
    cloud.sweep()
    assert {"disable", "resched 1", "resched 2"} <= {*cloud.calls}
    assert cloud.record() == spot.Interruption(machine="m-1", noticed=NOW, at=NOW + 120, flushed=True)
    assert cloud.sweep() == []


def test_vms_that_cannot_be_moved_now_are_tried_again_until_the_machine_goes(cloud: Cloud) -> None:
    cloud.told["m-1"], cloud.busy = NOW + 120, {2}
    cloud.sweep()
    assert cloud.sweep() == ["resched 2"]
    cloud.now = NOW + 121
    assert cloud.sweep() == []
    cloud.now, cloud.busy = NOW + 60, set()
    assert cloud.sweep() == ["resched 2", "write"]
    assert cloud.sweep() == []


def test_an_end_far_ahead_is_no_notice_yet(cloud: Cloud) -> None:
    cloud.told["m-1"] = NOW + spot.NEAR + 1
    assert cloud.sweep() == []
    cloud.now += 2
    assert "disable" in cloud.sweep()


@pytest.mark.parametrize(
    "change",
    [
        {"SPOT": ""},
        {"PROVISION_READY": ""},
        {"PROVISION_FAILURE": {"REASON": "gone"}},
        {"PROVISION": {"RENTED_FROM": "acme"}},
    ],
)
def test_without_a_ready_spot_host_nobody_is_asked(cloud: Cloud, change: dict[str, Value]) -> None:
    cloud.template.update(change)
    cloud.told["m-1"] = None
    cloud.agent().sweep()
    assert (cloud.calls, cloud.questions) == ([], 0)


def test_a_host_with_credentials_of_its_own_is_read_in_clear(cloud: Cloud) -> None:
    cloud.template["PROVISION"] = {"DRIVER": "acme", "TOKEN": "secret", "DEPLOY_ID": "m-1"}
    cloud.told["m-1"] = None
    assert cloud.sweep()[:2] == ["write", "disable"]


def test_why_a_provider_does_not_tell_is_logged_once(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    agent = cloud.agent()
    for cloud.broken in (True, True, False, True):
        agent.sweep()
    assert [one.getMessage() for one in caplog.records] == [
        "provider acme cannot be asked for interruptions: no answer"
    ] * 2


@pytest.mark.parametrize("state", [HostState.OFFLINE, HostState.DISABLED])
def test_a_host_that_takes_no_vms_stays_as_people_left_it(cloud: Cloud, state: HostState) -> None:
    cloud.state, cloud.told = state, {"m-1": None}
    assert cloud.sweep() == ["write", "resched 1", "resched 2", "write"]
    assert not spot.hooks_are_due(read(replace(cloud.hosts()[0], total_cpu=800)))


def test_hooks_on_a_lost_host_are_due_for_vms_that_stayed_behind(cloud: Cloud) -> None:
    assert not spot.hooks_are_due(read(replace(cloud.hosts()[0], total_cpu=800)))
    cloud.told["m-1"] = None
    cloud.sweep()
    assert spot.hooks_are_due(read(replace(cloud.hosts()[0], total_cpu=800)))
    assert not spot.hooks_are_due(read(cloud.hosts()[0]))  # enabled, it would begin anew
    cloud.vms.clear()
    assert not spot.hooks_are_due(read(replace(cloud.hosts()[0], total_cpu=800)))
    cloud.vms, cloud.state = {1}, HostState.MONITORED
    assert not spot.hooks_are_due(read(replace(cloud.hosts()[0], total_cpu=800)))


def test_a_rented_host_is_marked_as_what_it_is() -> None:
    spotted = Template([("SPOT", "YES")])
    assert spot.marks({"SPOT_INSTANCE": "yes"}, Template()) == [("SPOT", "YES")]
    assert spot.marks({"SPOT_INSTANCE": "YES"}, spotted) == []
    assert spot.marks({}, spotted) == [("SPOT", "")]
    assert spot.marks({}, Template()) == []


@settings(max_examples=60, deadline=None)
@given(
    noticed=st.integers(0, 2**31),
    at=st.none() | st.integers(0, 2**31),
    flushed=st.booleans(),
    left=st.frozensets(st.integers(0, 99), max_size=3),
)
def test_what_is_written_is_read_again(noticed: int, at: int | None, flushed: bool, left: frozenset[int]) -> None:
    told = spot.Interruption(
        machine="m-1", noticed=noticed, at=at, flushed=flushed, left=left if flushed else frozenset()
    )
    (host,) = Cloud().hosts()
    host = replace(host, template=Template([*host.template, *spot.rendered(told)]))
    assert spot.interruption_of(read(host)) == told
