"""What becomes of machines of the stand-in: their history, what they take of a host, and what fails when it is to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_drivers.config import Location
from hybrid_drivers.errors import ActionRefused
from hybrid_drivers.model import Template
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.frontend import Frontend, Knobs


class Cloud:
    """Two hosts of one cluster, and a machine that runs on the first."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.oned = Oned.from_location(Location.from_environment(frontend.environment))
        self.vms = Vms(self.oned)
        for name in ("one", "two"):
            host = frontend.host(self.oned.allocate_host(name, "provision", "kvm", 0))
            host.total_cpu, host.total_memory = 400, 4096 * 1024
        self.template = Template([("NAME", "vm"), ("CPU", "1.5"), ("MEMORY", "1024")])
        self.vm_id = self.oned.write("vm.allocate", "vm", self.template.render(), False)
        self.vms.deploy(self.vm_id, 0)

    def fails(self, *words: str) -> None:
        self.frontend.set_knobs({"vm_fails": " ".join(words)})

    def vm(self) -> VmDetail:
        return self.vms.get(self.vm_id)

    def records(self) -> list[tuple[int, bool, bool]]:
        return [(one.host_id, one.arrived, one.ran) for one in self.vm().history]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with Frontend(tmp_path / "one", repository=None, knobs=Knobs(vm_seconds=0)) as frontend:
        yield Cloud(frontend)


def test_history_tells_when_disks_came_and_when_it_ran(cloud: Cloud) -> None:
    assert cloud.records() == [(0, True, True)]
    cloud.vms.action(cloud.vm_id, "poweroff")
    cloud.frontend.set_knobs({"vm_seconds": 3600})
    cloud.vms.migrate(cloud.vm_id, 1)
    assert (cloud.vm().word, cloud.records()) == ("PROLOG_MIGRATE_POWEROFF", [(0, True, True), (1, False, False)])


def test_starting_again_is_a_record_of_its_own(cloud: Cloud) -> None:
    cloud.vms.action(cloud.vm_id, "poweroff")
    cloud.vms.migrate(cloud.vm_id, 1)
    cloud.vms.action(cloud.vm_id, "resume")
    assert cloud.vm().runs
    assert cloud.records() == [(0, True, True), (1, True, False), (1, False, True)]


def test_a_host_tells_what_its_machines_take_also_while_they_are_off(cloud: Cloud) -> None:
    cloud.vms.action(cloud.vm_id, "poweroff")
    host = cloud.oned.host(0)
    assert (host.max_cpu, host.used_cpu, host.max_memory, host.used_memory) == (400, 150, 4194304, 1048576)
    cloud.vms.migrate(cloud.vm_id, 1)
    assert [(one.id, one.used_cpu) for one in cloud.oned.hosts()] == [(1, 150), (0, 0)]


def test_capacity_is_looked_at_on_request(cloud: Cloud) -> None:
    cloud.frontend.host(1).total_cpu = 100
    with pytest.raises(ActionRefused, match=r"virtual machine \[0\] does not fit in host \[1\]\. Not enough capacity"):
        cloud.vms.migrate(cloud.vm_id, 1, live=True, enforce=True)
    cloud.vms.migrate(cloud.vm_id, 1, live=True)
    assert cloud.records()[-1] == (1, False, True)


def test_a_machine_that_does_not_switch_off_runs_on(cloud: Cloud) -> None:
    cloud.fails("poweroff", "terminate")
    for action in ("poweroff", "terminate-hard"):
        cloud.vms.action(cloud.vm_id, action)
        assert cloud.vm().runs
    assert cloud.vm().error.endswith("Error canceling VM")
    cloud.vms.action(cloud.vm_id, "poweroff-hard")
    assert cloud.vm().powered_off


def test_a_transfer_that_fails_is_tried_again(cloud: Cloud) -> None:
    cloud.vms.action(cloud.vm_id, "poweroff")
    cloud.fails("move")
    cloud.vms.migrate(cloud.vm_id, 1)
    vm = cloud.vm()
    assert (vm.failed, vm.word) == (True, "PROLOG_MIGRATE_POWEROFF_FAILURE")
    assert "transfer script" in vm.error
    with pytest.raises(ActionRefused, match="not available for state PROLOG_MIGRATE_POWEROFF_FAILURE"):
        cloud.vms.action(cloud.vm_id, "resume")
    cloud.fails()
    cloud.vms.retry(cloud.vm_id)
    assert (cloud.vm().powered_off, cloud.records()[-1]) == (True, (1, True, False))
    with pytest.raises(ActionRefused, match="Recover action is not available for state POWEROFF"):
        cloud.vms.retry(cloud.vm_id)


def test_a_live_migration_that_fails_ends_where_it_began(cloud: Cloud) -> None:
    cloud.fails("live")
    cloud.vms.migrate(cloud.vm_id, 1, live=True)
    assert cloud.vm().runs
    assert [one[0] for one in cloud.records()] == [0, 1, 0]
    assert [cloud.oned.host(one).running_vms for one in (0, 1)] == [1, 0]


def test_a_machine_that_does_not_start_is_off_again(cloud: Cloud) -> None:
    cloud.vms.action(cloud.vm_id, "poweroff")
    cloud.fails("boot")
    cloud.vms.action(cloud.vm_id, "resume")
    assert (cloud.vm().powered_off, "Error deploying" in cloud.vm().error) == (True, True)


def test_words_of_the_knob_are_checked(cloud: Cloud) -> None:
    with pytest.raises(ValueError, match="vm_fails takes words of poweroff, move"):
        cloud.fails("everything")


def test_a_machine_that_moves_while_it_runs_is_on_both_hosts_until_it_is_there(cloud: Cloud) -> None:
    def on() -> list[int]:
        return sorted(one.id for one in cloud.oned.hosts() if cloud.vm_id in one.vm_ids)

    for live in (True, False):
        cloud.frontend.set_knobs({"vm_seconds": 3600})
        cloud.vms.migrate(cloud.vm_id, 1, live=live)
        assert on() == [0, 1]
        with pytest.raises(ActionRefused):
            cloud.oned.delete_host(0)
        cloud.vms.delete(cloud.vm_id)
        assert on() == []
        cloud.frontend.set_knobs({"vm_seconds": 0})
        cloud.vm_id = cloud.oned.write("vm.allocate", "vm", cloud.template.render(), False)
        cloud.vms.deploy(cloud.vm_id, 0)
    cloud.vms.migrate(cloud.vm_id, 1)
    assert on() == [1]
    cloud.vms.action(cloud.vm_id, "poweroff")
    cloud.frontend.set_knobs({"vm_seconds": 3600})
    cloud.vms.migrate(cloud.vm_id, 0)
    assert on() == [0], "one that is off is taken from its host before its disks have left it"


def test_the_pool_has_them_whole_with_the_last_record_of_their_history(cloud: Cloud) -> None:
    assert cloud.vms.details() == [cloud.vm()]
    cloud.vms.migrate(cloud.vm_id, 1, live=True)
    (found,) = cloud.vms.details()
    assert (found.history, found.place) == (cloud.vm().history[-1:], cloud.vm().place)
    cloud.vms.action(cloud.vm_id, "terminate-hard")
    assert cloud.vms.details() == []
