"""The stand-in's scheduler: what it places, and what it says of the rest (OpenNebula's own sentences)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_drivers.config import Location
from hybrid_drivers.errors import ActionRefused, AllocateRefused
from hybrid_drivers.model import HostState, Template, Value, Vm
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.frontend import Frontend, Knobs


class Site:
    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.oned = Oned.from_location(Location.from_environment(frontend.environment))
        self.vms = Vms(self.oned)

    def host(self, cpu: int = 400, *, cluster_id: int = 0) -> int:
        made = self.oned.allocate_host(f"h{len(self.oned.hosts())}", "provision", "kvm", cluster_id)
        host = self.frontend.store.hosts[made]
        host.state, host.total_cpu, host.total_memory = HostState.MONITORED, cpu, 4 * 1024 * 1024
        return made

    def vm(self, cpu: str = "2", memory: str = "1024", **more: str) -> int:
        told = [("NAME", "vm"), ("CPU", cpu), ("MEMORY", memory), *more.items()]
        return Objects(self.oned).allocate("vm", Template(told))

    def in_group(self, role: str, **more: str) -> int:
        told: list[tuple[str, Value]] = [("NAME", "vm"), ("CPU", "1"), ("MEMORY", "64")]
        told.append(("VMGROUP", {"ROLE": role, **more}))
        return Objects(self.oned).allocate("vm", Template(told))

    def message(self, vm_id: int) -> str:
        return self.frontend.wait_for(lambda: self.vms.get(vm_id).user_template.text("SCHED_MESSAGE"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Frontend(tmp_path / "one", repository=None, knobs=Knobs(vm_seconds=0, scheduler=0.05)) as frontend:
        yield Site(frontend)


def test_what_fits_runs_and_the_rest_is_told_why(site: Site) -> None:
    host = site.host()
    first, second = site.vm("3"), site.vm("3")
    site.frontend.wait_for(lambda: site.vms.get(first).runs)
    assert f"[HOST] Not enough CPU on hosts: {host}" in site.message(second)
    assert "[HOST] Not enough MEMORY" in site.message(site.vm("0.5", "9000"))
    site.vms.action(first, "terminate-hard")
    site.frontend.wait_for(lambda: site.vms.get(second).runs)
    assert site.vms.get(second).user_template.text("SCHED_MESSAGE") == ""


def test_what_is_said_without_a_host(site: Site) -> None:
    vm = site.vm()
    assert "No hosts enabled to run VMs" in site.message(vm)
    host = site.host()
    site.frontend.wait_for(lambda: site.vms.get(vm).runs)
    site.oned.set_host_status(host, "disable")
    assert "No hosts enabled to run VMs" in site.message(site.vm("1")), "a disabled host takes none"


def test_requirements_are_heeded(site: Site) -> None:
    site.host()
    assert "No host meets SCHED_REQUIREMENTS" in site.message(site.vm(SCHED_REQUIREMENTS="CLUSTER_ID = 7"))
    assert "Error in SCHED_REQUIREMENTS" in site.message(site.vm(SCHED_REQUIREMENTS="CLUSTER_ID ="))
    site.host(cluster_id=site.oned.allocate_cluster("bare"))
    assert "[DS] No datastores matched" in site.message(site.vm(SCHED_REQUIREMENTS="CLUSTER_ID > 99"))


def test_those_that_wait_are_listed_whole(site: Site) -> None:
    waiting = site.vm(SCHED_REQUIREMENTS="CLUSTER_ID = 7")
    site.message(waiting)
    (found,) = site.oned.waiting_vms()
    assert isinstance(found, Vm)
    assert (found.id, found.waits, found.cpu, found.memory) == (waiting, True, 2.0, 1024)
    assert found.template.text("AUTOMATIC_REQUIREMENTS") == "!(PIN_POLICY = PINNED)"
    assert found.user_template.text("SCHED_REQUIREMENTS") == "CLUSTER_ID = 7"
    assert found.started > 1_600_000_000


def test_what_is_flagged_moves_when_there_is_room(site: Site) -> None:
    old = site.host()
    vm = site.vm()
    site.frontend.wait_for(lambda: site.vms.get(vm).runs)
    site.oned.set_host_status(old, "disable")
    site.vms.action(vm, "resched")
    assert "<RESCHED>1</RESCHED>" in site.oned.read("vm.info", "it", vm, False)
    new = site.host()
    site.frontend.wait_for(
        lambda: [(one.host_id, site.vms.get(vm).runs) for one in site.oned.whole_vms()] == [(new, True)]
    )
    assert "<RESCHED>0</RESCHED>" in site.oned.read("vm.info", "it", vm, False)
    assert (site.oned.host(old).vm_ids, site.oned.host(new).vm_ids) == ((), (vm,))


def test_only_what_runs_or_is_off_is_flagged(site: Site) -> None:
    vm = site.vm()
    with pytest.raises(ActionRefused, match="not available for state PENDING"):
        site.vms.action(vm, "resched")
    site.host()
    site.frontend.wait_for(lambda: site.vms.get(vm).runs)
    site.vms.action(vm, "resched")
    site.vms.action(vm, "unresched")
    assert "<RESCHED>0</RESCHED>" in site.oned.read("vm.info", "it", vm, False)


def test_roles_of_vm_groups_keep_machines_apart_or_together(site: Site) -> None:
    far = 'ROLE=[NAME="far"]\nAFFINED="near,far"'
    text = 'NAME="g"\nROLE=[NAME="apart",POLICY="ANTI_AFFINED"]\nROLE=[NAME="near",POLICY="affined"]\n' + far
    group = str(site.oned.write("vmgroup.allocate", "new VM group g", text))
    hosts = [site.host(), site.host()]
    apart = [site.in_group("apart", VMGROUP_ID=group), site.in_group("apart", VMGROUP_NAME="g")]
    near = [site.in_group("near", VMGROUP_ID=group) for _ in range(3)]
    site.frontend.wait_for(lambda: all(site.vms.get(one).runs for one in (*apart, *near)))
    at = {one.id: set(one.vm_ids) for one in site.oned.hosts()}
    assert sorted(len(at[one] & set(apart)) for one in hosts) == [1, 1]
    assert sorted(len(at[one] & set(near)) for one in hosts) == [0, 3]
    (found,) = site.oned.vm_groups()
    assert {name: role.vm_ids for name, role in found.roles.items()} == {
        "apart": set(apart),
        "near": set(near),
        "far": set(),
    }
    assert found.affined == (frozenset(("near", "far")),)
    third = site.in_group("apart", VMGROUP_ID=group)
    assert "No host meets SCHED_REQUIREMENTS" in site.message(third)
    site.vms.action(third, "terminate-hard")
    (found,) = site.oned.vm_groups()
    assert found.roles["apart"].vm_ids == set(apart)
    for told, why in (
        ({"VMGROUP_ID": "99"}, "Cannot find VM Group"),
        ({"VMGROUP_NAME": "h"}, "Cannot find VM Group"),
    ):
        with pytest.raises(AllocateRefused, match=why):
            site.in_group("apart", **told)
    with pytest.raises(AllocateRefused, match="Role does not exist"):
        site.in_group("none", VMGROUP_ID=group)
