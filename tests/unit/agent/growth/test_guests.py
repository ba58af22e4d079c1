"""Which VMs may be moved, how, and where to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hybrid_drivers.agent.growth.guests import placed_in
from hybrid_drivers.agent.growth.memory import Memory, render
from hybrid_drivers.agent.growth.model import Guest, Placed
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.view import Cloud
from hybrid_drivers.model import Cluster, Host, HostState, OnedObject, Template, Value
from hybrid_drivers.model_vms import VmDetail, VmDisk, VmPlace

YES = Policy(max_hosts=4, consolidate="yes")
ELASTIC: Value = {"ENABLED": "yes", "MAX_HOSTS": "4", "CONSOLIDATE": "yes"}
CLUSTER = Cluster(id=100, name="edge", host_ids=(), template=Template([("ELASTIC", ELASTIC)]), datastore_ids=(104,))
GROWN: Value = {"CLUSTER_ID": "100", "PLAN": "small"}
PCI: Value = {"SHORT_ADDRESS": "01:00.0"}


def host(number: int, *told: tuple[str, Value], **more: object) -> Host:
    made = Host(
        id=number, name=f"h{number}", state=HostState.MONITORED, im_mad="provision", vm_mad="kvm", cluster_id=100,
        template=Template([("GROWTH", GROWN), *told]), max_cpu=800, max_memory=2**25, free_disk=9000,
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def vm(number: int, at: int, *told: tuple[str, Value], own: dict[str, str] | None = None, **more: object) -> VmDetail:
    mad = str(more.pop("mad", "kvm"))
    place = VmPlace(sequence=0, host_id=at, host_name="h", cluster_id=100, datastore_id=104, tm_mad="local", vm_mad=mad)
    made = VmDetail(
        id=number, name="vm", uid=0, gid=0, uname="", gname="", state=3, lcm_state=3, cpu=1.5, memory=1024,
        disks=(VmDisk(id=0, image_id=1, size=500),), network_ids=(), history=(place,), template=Template(told),
        user_template=Template((own or {}).items()),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def placed(*things: Host | VmDetail, policy: Policy = YES, cluster: Cluster = CLUSTER, shared: str = "NO") -> Placed:
    """Look at these; each VM is listed by the host it is on unless hosts list some already."""
    vms = [one for one in things if isinstance(one, VmDetail)]
    hosts = [one for one in things if isinstance(one, Host)]
    hosts = [
        replace(one, vm_ids=one.vm_ids or tuple(vm.id for vm in vms if vm.place and vm.place.host_id == one.id))
        for one in hosts
    ]
    system = OnedObject(kind="datastore", id=104, name="sys", template=Template([("SHARED", shared)]), type=1)
    cloud = Cloud(now=1.0, hosts=hosts, clusters={100: cluster}, datastores=[system], vms=[], placed=vms)
    found = placed_in(cloud, cluster, policy)
    assert found is not None
    return found


def guest(one: VmDetail, *others: Host | VmDetail, policy: Policy = YES) -> Guest:
    found = placed(host(1), host(2), one, *others, policy=policy).guests
    return next(each for each in found if each.id == one.id)


def test_a_vm_that_runs_goes_live_with_its_disks_to_any_host_of_the_cluster() -> None:
    found = placed(host(1), host(2, datastores_free={104: 70}), host(3, cluster_id=0), vm(7, 1))
    assert found.guests == (
        Guest(id=7, host=1, size=Size(150, 1024 * 1024), hosts=frozenset({2}), datastore=104, disk=500),
    )
    assert found.free_disk == {1: {-1: 9000}, 2: {-1: 9000, 104: 70}}
    assert placed(host(1), host(2), vm(7, 1), shared="YES").guests[0].disk == 0


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (vm(7, 1, own={"CONSOLIDATE": "no"}), 'has CONSOLIDATE="no"'),
        (vm(7, 1, locked=True), "is locked"),
        (vm(7, 1, ("PCI", PCI)), "uses PCI devices"),
        (vm(7, 1, ("VMGROUP", {"ROLE": "web"})), "is in a VM group, whose rules only the scheduler knows"),
        (vm(7, 1, ("SNAPSHOT", {"NAME": "s"})), "has system snapshots, which a move may take away"),
        (vm(7, 1, state=5, lcm_state=0), "is SUSPENDED"),
        (vm(7, 1, lcm_state=16), "is UNKNOWN"),
        (vm(7, 1, ("TOPOLOGY", {"PIN_POLICY": "CORE"})), "cannot be moved while it runs: its NUMA topology is pinned"),
        (vm(7, 1, ("DISK", {"TYPE": "FILESYSTEM"})), "cannot be moved while it runs: it has FILESYSTEM disks"),
        (vm(7, 1, mad="lxc"), "cannot be moved while it runs: driver lxc does not do that"),
        (vm(7, 1, own={"SCHED_REQUIREMENTS": "= x"}), "has requirements that cannot be read"),
    ],
)
def test_what_stays_where_it_is(one: VmDetail, why: str) -> None:
    found = guest(one)
    assert found.problem.startswith(why)
    assert found.hosts == frozenset()


def test_a_running_vm_is_interrupted_only_when_its_user_said_so_and_the_policy_lets_it() -> None:
    pinned = vm(7, 1, ("TOPOLOGY", {"PIN_POLICY": "CORE"}), own={"CONSOLIDATE": "cold"})
    assert (guest(pinned).problem, guest(pinned).live) == ("", False)
    assert "cannot be moved while it runs" in guest(pinned, policy=replace(YES, consolidate="live")).problem
    assert guest(vm(7, 1, own={"CONSOLIDATE": "cold"})).live, "where it can go live, it does"


def test_one_that_is_off_is_moved_as_it_is_but_not_where_only_live_moves_are_wanted() -> None:
    off = vm(7, 1, state=8, lcm_state=0)
    assert (guest(off).problem, guest(off).live, guest(off).hosts) == ("", False, frozenset({2}))
    assert guest(off, policy=replace(YES, consolidate="live")).problem == "is off (CONSOLIDATE=live moves what runs)"


@pytest.mark.parametrize(
    "changes", [{"lcm_state": 4}, {"lcm_state": 18}, {"lcm_state": 43}, {"lcm_state": 44}]
)  # live migration, power off, disks on their way, disks not arrived
def test_what_is_not_at_rest(changes: dict[str, object]) -> None:
    found = guest(replace(vm(7, 1), **changes))  # type: ignore[arg-type]
    assert not found.settled
    assert found.problem == ("is PROLOG_MIGRATE_POWEROFF_FAILURE" if changes["lcm_state"] == 44 else "")


def test_what_two_hosts_list_or_another_than_its_own_is_on_its_way() -> None:
    both = placed(host(1, vm_ids=(7,)), host(2, vm_ids=(7,)), vm(7, 2))
    other = placed(host(1, vm_ids=(7,)), host(2), vm(7, 2, state=8, lcm_state=0))
    assert [one.settled for one in (*both.guests, *other.guests)] == [False, False]


def test_what_is_elsewhere_counts_only_on_its_way() -> None:
    found = placed(host(1), host(3, cluster_id=0), vm(7, 3), vm(8, 3, lcm_state=43), vm(9, 1, state=4, lcm_state=0))
    assert [one.id for one in found.guests] == [8]


@pytest.mark.parametrize(
    ("one", "source", "target"),
    [
        (vm(7, 1), host(1), host(2, vm_mad="lxc")),
        (vm(7, 1), host(1, ("ARCH", "x86_64")), host(2, ("ARCH", "aarch64"))),
        (vm(7, 1), host(1, ("MODELNAME", "EPYC")), host(2, ("MODELNAME", "Xeon"))),
        (vm(7, 1, own={"SCHED_REQUIREMENTS": "ID != 2"}), host(1), host(2)),
        (vm(7, 1, ("AUTOMATIC_REQUIREMENTS", "CURRENT_VMS != 8")), host(1), host(2, vm_ids=(8,))),
        (vm(7, 1, ("NIC", {"VN_MAD": "hybrid"})), host(1), host(2, im_mad="kvm")),
        (
            vm(7, 1, ("NIC_ALIAS", {"VN_MAD": "alias_sdnat"})),
            host(1, ("PROVISION", {"METRO": "am"})),
            host(2, ("PROVISION", {"METRO": "da"})),
        ),
    ],
)
def test_hosts_that_do_not_do(one: VmDetail, source: Host, target: Host) -> None:
    found = placed(source, target, one).guests[0]
    assert (found.problem, found.hosts) == ("", frozenset())


def test_a_named_cpu_model_goes_between_processors() -> None:
    named = vm(7, 1, ("CPU_MODEL", {"MODEL": "EPYC"}))
    found = placed(host(1, ("MODELNAME", "EPYC 7")), host(2, ("MODELNAME", "EPYC 9")), named).guests[0]
    assert found.hosts == {2}


@pytest.mark.parametrize(("at", "text"), [(2, "CURRENT_VMS != 7"), (1, "CURRENT_VMS = 7")])
def test_what_other_vms_want_of_their_company_is_kept(at: int, text: str) -> None:
    other = vm(8, at, own={"SCHED_REQUIREMENTS": text})
    assert guest(vm(7, 1), other).hosts == frozenset()
    assert guest(vm(7, 1), vm(8, at)).hosts == {2}


def test_where_nobody_consolidates_nobody_looks_but_for_what_was_begun() -> None:
    plain = replace(CLUSTER, template=Template([("ELASTIC", {"ENABLED": "yes", "MAX_HOSTS": "4"})]))
    cloud = Cloud(now=1.0, hosts=[host(1)], clusters={100: plain}, datastores=[], vms=[], placed=[])
    assert placed_in(cloud, plain, replace(YES, consolidate="no")) is None
    begun = render(Memory(sent={7: 1}))
    rest = replace(plain, template=Template([*plain.template, ("ELASTIC_STATE", begun)]))
    assert placed_in(cloud, rest, replace(YES, consolidate="no")) is not None
