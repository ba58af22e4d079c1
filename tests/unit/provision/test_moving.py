"""Moves of virtual machines as decided: where they may go, and every sentence that says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Host, HostState, OnedObject, Template, Value, Vm
from hybrid_drivers.model_vms import VmDetail, VmDisk, VmPlace
from hybrid_drivers.provision.moving import mark, naming
from hybrid_drivers.provision.moving.naming import Target, find_machines, find_target
from hybrid_drivers.provision.moving.plan import CannotMove, Decision, Move, Stay, Wishes, decide
from hybrid_drivers.provision.moving.world import World

HERE, EDGE = 0, 100  # clusters
GIB = 1024 * 1024  # KiB


def host(number: int, name: str, cluster: int, *pairs: tuple[str, Value], **more: Any) -> Host:
    plain: dict[str, Any] = {"state": HostState.MONITORED, "im_mad": "kvm", "vm_mad": "kvm"}
    room = {"max_cpu": 800, "max_memory": 16 * GIB}
    return Host(
        **{"id": number, "name": name, "cluster_id": cluster, "template": Template(pairs), **plain, **room, **more}
    )


def rented(number: int, name: str, **more: Any) -> Host:
    told: list[tuple[str, Value]] = [("PROVISION", {"HOSTNAME": name}), ("PROVISION_STATE", more.pop("ours", "READY"))]
    return host(number, f"198.51.100.{number}", EDGE, *told, im_mad="provision", **more)


def datastore(number: int, name: str, clusters: tuple[int, ...], **more: Any) -> OnedObject:
    pairs: dict[str, Value] = {"DS_MIGRATE": "YES", "SHARED": "NO", **more.pop("pairs", {})}
    made = {"type": 1, "tm_mad": "local", "cluster_ids": clusters, **more}
    return OnedObject(kind="datastore", id=number, name=name, template=Template(pairs.items()), **made)


def cluster(number: int, name: str) -> OnedObject:
    return OnedObject(kind="cluster", id=number, name=name, template=Template())


WORLD = World(
    hosts={
        one.id: one
        for one in (host(0, "local0", HERE), host(1, "local1", HERE), rented(2, "edge-0"), rented(3, "edge-1"))
    },
    clusters={HERE: cluster(HERE, "default"), EDGE: cluster(EDGE, "edge")},
    datastores={
        one.id: one
        for one in (
            datastore(0, "system", (HERE,)),
            datastore(1, "default", (HERE, EDGE), type=0),
            datastore(100, "edge-images", (EDGE,), type=0),
            datastore(101, "edge-system", (EDGE,)),
        )
    },
    networks={
        5: OnedObject(kind="vnet", id=5, name="lan", template=Template(), cluster_ids=(HERE, EDGE)),
        6: OnedObject(kind="vnet", id=6, name="house", template=Template(), cluster_ids=(HERE,)),
    },
)
PLACE = VmPlace(
    sequence=0,
    host_id=0,
    host_name="local0",
    cluster_id=HERE,
    datastore_id=0,
    tm_mad="local",
    vm_mad="kvm",
    arrived=True,
    ran=True,
)
VM = VmDetail(
    id=7,
    name="web",
    uid=0,
    gid=0,
    uname="oneadmin",
    gname="oneadmin",
    state=3,
    lcm_state=3,
    cpu=2.0,
    memory=4096,
    disks=(VmDisk(id=0, image_id=4, image="debian", datastore_id=1), VmDisk(id=1, image_id=None)),
    network_ids=(5,),
    history=(PLACE,),
    template=Template(),
    user_template=Template(),
)
OFF = replace(VM, state=8, lcm_state=0)
TO_EDGE = Target(cluster=WORLD.clusters[EDGE])


def to(number: int, world: World = WORLD) -> Target:
    found = world.hosts[number]
    return Target(cluster=world.clusters[found.cluster_id], host=found)


def at(place: VmPlace, vm: VmDetail = VM) -> VmDetail:
    return replace(vm, history=(*vm.history, place))


def marked(vm: VmDetail, **more: str) -> VmDetail:
    told = {"RECORD": "0", "HOST": "0", "DATASTORE": "0", "TO": "2", "RESUME": "YES", **more}
    return replace(vm, user_template=Template([(mark.ATTRIBUTE, told)]))


def with_host(changed: Host) -> World:
    return replace(WORLD, hosts={**WORLD.hosts, changed.id: changed})


def with_datastores(*changed: OnedObject, without: tuple[int, ...] = ()) -> World:
    kept: Mapping[int, OnedObject] = {key: one for key, one in WORLD.datastores.items() if key not in without}
    return replace(WORLD, datastores={**kept, **{one.id: one for one in changed}})


def moved(vm: VmDetail = VM, world: World = WORLD, target: Target = TO_EDGE, **wishes: Any) -> Move:
    found = decide(vm, world, target, Wishes(**wishes))
    assert isinstance(found, Move)
    return found


def refusal(vm: VmDetail = VM, world: World = WORLD, target: Target = TO_EDGE, **wishes: Any) -> str:
    with pytest.raises(CannotMove) as caught:
        decide(vm, world, target, Wishes(**wishes))
    return str(caught.value)


# --- what is done -----------------------------------------------------------------------------------------------------


def test_a_running_machine_is_switched_off_moved_and_started() -> None:
    found = moved()
    assert (found.host.id, found.datastore_id, found.switch_off, found.start, found.live) == (2, 101, True, True, False)
    assert found.steps == (
        "switch it off",
        "move it to host edge-0 (id 2) in cluster edge (id 100) with system datastore edge-system (id 101)",
        "start it again",
    )
    assert moved(resume=False).start is False


def test_a_machine_that_is_off_stays_off() -> None:
    found = moved(OFF)
    assert (found.switch_off, found.start, len(found.steps)) == (False, False, 1)


def test_in_its_cluster_a_machine_keeps_its_system_datastore() -> None:
    found = moved(target=to(1))
    assert (found.datastore_id, found.datastore) == (-1, "")
    assert moved(target=to(1), live=True).steps == ("move it live to host local1 (id 1) in cluster default (id 0)",)
    assert moved(OFF, target=to(1), live=True).live is False


def test_a_system_datastore_in_both_clusters_is_kept() -> None:
    assert moved(world=with_datastores(datastore(0, "system", (HERE, EDGE)))).datastore_id == -1


def test_a_cluster_gives_the_host_with_the_most_room() -> None:
    fuller = with_host(rented(2, "edge-0", used_cpu=200))
    assert moved(world=fuller).host.id == 3
    assert moved(world=fuller.with_guest(3, VM).with_guest(3, VM)).host.id == 2
    assert moved(world=with_host(rented(2, "edge-0", ours="CONFIGURING"))).host.id == 3


def test_of_several_system_datastores_one_that_fits_is_taken() -> None:
    world = with_datastores(datastore(90, "other", (EDGE,), tm_mad="shared"), datastore(102, "big", (EDGE,), free=9))
    assert moved(world=world).datastore_id == 102
    assert moved(world=world, datastore_id=101).datastore_id == 101


def test_only_the_datastore_may_change() -> None:
    world = with_datastores(datastore(9, "second", (HERE,)))
    for target in (to(0), Target(cluster=WORLD.clusters[HERE])):
        found = moved(world=world, target=target, datastore_id=9)
        assert (found.host.id, found.datastore_id) == (0, 9)


def test_where_it_is_already_nothing_is_done() -> None:
    for target in (to(0), Target(cluster=WORLD.clusters[HERE])):
        found = decide(VM, WORLD, target, Wishes())
        assert isinstance(found, Stay)
        assert (found.host, found.start, found.steps) == (WORLD.hosts[0], False, ())


def test_snapshots_that_may_be_lost_are_told() -> None:
    assert moved().loses == ""
    vm = replace(VM, template=Template([("SNAPSHOT", {"SNAPSHOT_ID": "0"}), ("SNAPSHOT", {"SNAPSHOT_ID": "1"})]))
    assert moved(vm).loses.startswith("its 2 snapshots")


# --- what an earlier run left -----------------------------------------------------------------------------------------

THERE = replace(PLACE, sequence=1, host_id=2, cluster_id=EDGE, datastore_id=101)


@pytest.mark.parametrize(
    ("vm", "again"),
    [
        (marked(OFF), True),
        (marked(at(THERE, OFF)), True),
        (OFF, False),
        (marked(OFF, RESUME="NO"), False),
        (marked(OFF, RECORD="x"), False),
        (marked(at(replace(PLACE, sequence=1), OFF)), False),  # started by hand where it was, and off again
        (marked(at(replace(THERE, sequence=2), at(THERE, OFF))), False),  # the same where it was moved to
    ],
)
def test_a_mark_says_that_a_machine_is_to_run_until_somebody_else_starts_it(vm: VmDetail, again: bool) -> None:
    assert mark.holds(vm) is again
    assert moved(vm, target=to(3)).start is again
    assert moved(vm, target=to(3), resume=False).start is False


def test_a_machine_that_was_moved_is_started() -> None:
    found = decide(marked(at(THERE, OFF)), WORLD, TO_EDGE, Wishes())
    assert isinstance(found, Stay)
    assert (found.start, found.steps) == (True, ("start it again",))
    found = decide(marked(at(THERE)), WORLD, TO_EDGE, Wishes())
    assert isinstance(found, Stay)
    assert found.start is False


def test_disks_that_did_not_arrive_are_brought_once_more_to_the_same_place_only() -> None:
    failed = marked(at(replace(THERE, arrived=False), replace(VM, lcm_state=44)))
    for target in (TO_EDGE, to(2)):
        found = moved(failed, target=target)
        assert (found.again, found.host.id, found.switch_off, found.start) == (True, 2, False, True)
        assert found.steps[0] == "bring its disks once more to host edge-0 (id 2) in cluster edge (id 100)"
    assert "its state is PROLOG_MIGRATE_POWEROFF_FAILURE: 'onevm recover 7'" in refusal(failed, target=to(3))
    unmarked = replace(failed, user_template=Template([("ERROR", "no space")]))
    assert "PROLOG_MIGRATE_POWEROFF_FAILURE (no space): 'onevm recover 7'" in refusal(unmarked)
    assert "host edge-0 (id 2) is disabled" in refusal(failed, with_host(rented(2, "edge-0", state=HostState.DISABLED)))


# --- what is refused --------------------------------------------------------------------------------------------------

STATES = [
    (1, 0, "it waits for a host: 'onevm deploy 7 HOST' starts it on one"),
    (2, 0, "it is on hold: 'onevm deploy 7 HOST'"),
    (4, 0, "it is stopped and on no host"),
    (5, 0, "it is suspended, with its memory on its host: 'onevm resume 7' first"),
    (6, 0, "it is done"),
    (9, 0, "it is undeployed and on no host"),
    (10, 0, "it is CLONING: 'onevm show 7' tells more"),
    (3, 2, "BOOT is going on: run the same command again when that has ended"),
    (3, 18, "SHUTDOWN_POWEROFF is going on"),
    (3, 16, "its state is UNKNOWN, so its host does not answer"),
    (3, 36, "its state is BOOT_FAILURE: 'onevm recover 7'"),
    (77, 0, "it is 77"),
]


@pytest.mark.parametrize(("state", "lcm_state", "words"), STATES)
def test_states_that_cannot_be_moved(state: int, lcm_state: int, words: str) -> None:
    history = VM.history if state in (3, 5) else ()
    told = refusal(replace(VM, state=state, lcm_state=lcm_state, history=history))
    assert told.startswith(f"virtual machine 7 'web' cannot go to cluster edge (id 100): {words}"), told


def machine(**changes: Any) -> Callable[[], str]:
    return lambda: refusal(replace(VM, **changes))


def place(**changes: Any) -> Callable[[], str]:
    return lambda: refusal(replace(VM, history=(replace(PLACE, **changes),)))


def among(world: World, **more: Any) -> Callable[[], str]:
    return lambda: refusal(world=world, **more)


SHARED = {"SHARED": "YES"}
REFUSALS: dict[str, tuple[Callable[[], str], str]] = {
    "locked": (machine(locked=True), "it is locked: 'onevm unlock 7'"),
    "image": (
        among(with_datastores(datastore(1, "default", (HERE,), type=0))),
        "datastore default (id 1), which has the image of its disk 0, is not in cluster edge (id 100): 'onecluster "
        "adddatastore 100 1' adds it, if the hosts there reach it",
    ),
    "kernel": (
        lambda: refusal(
            replace(VM, template=Template([("OS", {"KERNEL_DS_DSID": "2"})])),
            with_datastores(datastore(2, "files", (HERE,), type=2)),
        ),
        "datastore files (id 2), which has its kernel, is not in cluster edge",
    ),
    "network": (
        machine(network_ids=(5, 6, 6)),
        "network house (id 6), which it is in, is not in cluster edge (id 100): 'onecluster addvnet 100 6' adds it",
    ),
    "no system datastore": (
        among(with_datastores(without=(101,))),
        "cluster edge (id 100) has no system datastore: make one with TYPE=SYSTEM_DS and TM_MAD=local in it",
    ),
    "other driver": (
        among(with_datastores(datastore(101, "edge-system", (EDGE,), tm_mad="ssh"))),
        "no system datastore it can move to (datastore edge-system (id 101) has the driver ssh, its own local: disks "
        "move only between equal ones): make one with TYPE=SYSTEM_DS and TM_MAD=local in it",
    ),
    "driver that moves nothing": (
        among(with_datastores(datastore(101, "edge-system", (EDGE,), pairs={"DS_MIGRATE": "NO"}))),
        "the driver of datastore edge-system (id 101), local, moves no disks from one datastore to another",
    ),
    "shared storage": (
        lambda: refusal(
            replace(VM, history=(replace(PLACE, tm_mad="shared"),)),
            with_datastores(
                datastore(0, "system", (HERE,), tm_mad="shared", pairs=SHARED),
                datastore(101, "edge-system", (EDGE,), tm_mad="shared", pairs=SHARED),
            ),
        ),
        "datastore system (id 0) and datastore edge-system (id 101) are shared storage of different clusters",
    ),
    "disk snapshots": (
        lambda: refusal(
            replace(VM, disk_snapshots=True),
            with_datastores(datastore(101, "edge-system", (EDGE,), pairs={"DS_MIGRATE_SNAP": "NO"})),
        ),
        "its disks have snapshots, which the driver of datastore edge-system (id 101) does not move",
    ),
    "compatible": (
        among(with_datastores(datastore(1, "default", (HERE, EDGE), type=0, pairs={"COMPATIBLE_SYS_DS": "0, 55"}))),
        "datastore default (id 1) works with the system datastores 0, 55 only (COMPATIBLE_SYS_DS), "
        "not datastore edge-sys",
    ),
    "named: none": (among(WORLD, datastore_id=55), "there is no datastore 55"),
    "named: images": (among(WORLD, datastore_id=100), "datastore edge-images (id 100) is not a system datastore"),
    "named: elsewhere": (
        among(WORLD, datastore_id=0),
        "datastore system (id 0) is not in cluster edge (id 100): 'onecluster adddatastore 100 0' adds it",
    ),
    "empty cluster": (
        among(replace(WORLD, hosts={0: WORLD.hosts[0]})),
        "there are no hosts in it",
    ),
    "PCI": (machine(template=Template([("PCI", {"VENDOR": "10de"})])), "it uses PCI devices of its host"),
    "PCI network": (
        machine(template=Template([("PCI", {"TYPE": "NIC", "NETWORK_ID": "6"})])),
        "network house (id 6), which it is in, is not in cluster edge",
    ),
    "its host is down": (
        among(with_host(host(0, "local0", HERE, state=HostState.ERROR))),
        "its disks are on host local0 (id 0), which is ERROR: they cannot be fetched from there",
    ),
    "its host is gone": (place(host_id=55), "its disks are on host 55, which is gone"),
    "being made": (
        among(
            with_host(rented(2, "edge-0", ours="CONFIGURING")),
            target=to(2, with_host(rented(2, "edge-0", ours="CONFIGURING"))),
        ),
        "cannot go to host edge-0 (id 2): host edge-0 (id 2) is CONFIGURING: it takes machines when it is READY",
    ),
    "hypervisor": (
        among(
            with_host(host(1, "box", HERE, vm_mad="lxc")), target=to(1, with_host(host(1, "box", HERE, vm_mad="lxc")))
        ),
        "host box (id 1) runs machines with lxc, this one is made for kvm",
    ),
    "architecture": (
        among(
            replace(
                WORLD,
                hosts={0: host(0, "local0", HERE, ("ARCH", "x86_64")), 1: host(1, "arm", HERE, ("ARCH", "aarch64"))},
            ),
            target=Target(cluster=WORLD.clusters[HERE], host=host(1, "arm", HERE, ("ARCH", "aarch64"))),
        ),
        "host arm (id 1) is of the architecture aarch64, this one is made for x86_64",
    ),
    "live: other cluster": (
        among(WORLD, live=True),
        "live moves stay within a cluster: without --live it is switched off, moved and started again",
    ),
    "live: other datastore": (
        among(with_datastores(datastore(9, "second", (HERE,))), target=to(1), live=True, datastore_id=9),
        "live moves keep the system datastore",
    ),
    "live: pinned": (
        lambda: refusal(
            replace(VM, template=Template([("TOPOLOGY", {"PIN_POLICY": "CORE"})])), target=to(1), live=True
        ),
        "its NUMA topology is pinned",
    ),
    "live: driver": (
        lambda: refusal(
            world=with_host(host(1, "local1", HERE, vm_mad="qemu")),
            target=Target(cluster=WORLD.clusters[HERE], host=host(1, "local1", HERE, vm_mad="qemu")),
            live=True,
        ),
        "host local1 (id 1) runs machines with another driver, qemu",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_every_refusal_says_why_and_what_to_do(case: str) -> None:
    told, words = REFUSALS[case][0](), REFUSALS[case][1]
    assert words in told
    assert told.startswith("virtual machine 7 'web' cannot go to ")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (HostState.DISABLED, "is disabled: 'onehost enable 1'"),
        (HostState.OFFLINE, "is offline: 'onehost enable 1', for one that is rented 'oneprovision host resume 1'"),
        (HostState.ERROR, "is in ERROR: 'onehost show 1' says why"),
        (HostState.INIT, "is not monitored yet: wait until 'onehost list' says on"),
    ],
)
def test_hosts_that_take_no_machines(state: HostState, words: str) -> None:
    world = with_host(host(1, "local1", HERE, state=state))
    assert refusal(world=world, target=to(1, world)).endswith(f"host local1 (id 1) {words}")


def test_capacity_is_told_with_numbers() -> None:
    world = with_host(host(1, "local1", HERE, used_cpu=650, used_memory=15 * GIB))
    assert refusal(world=world, target=to(1, world)).endswith(
        "host local1 (id 1) has 1.5 CPU and 1024 MiB of memory free, and 2 CPU and 4096 MiB of memory are needed"
    )
    full = replace(
        WORLD, hosts={**WORLD.hosts, 2: rented(2, "edge-0", used_cpu=700), 3: rented(3, "edge-1", ours="ERROR")}
    )
    told = refusal(world=full)
    assert "no host there takes it: host edge-0 (id 2) has 1 CPU" in told
    assert "; host edge-1 (id 3) is ERROR" in told


def test_all_that_is_in_the_way_is_told_at_once() -> None:
    world = with_datastores(datastore(1, "default", (HERE,), type=0), without=(101,))
    told = refusal(replace(VM, network_ids=(6,)), world)
    for words in ("adddatastore 100 1", "addvnet 100 6", "has no system datastore"):
        assert words in told


def test_of_many_hosts_that_take_nothing_some_are_named() -> None:
    hosts = {number: rented(number, f"edge-{number}", ours="BOOTING") for number in range(10, 30)}
    told = refusal(world=replace(WORLD, hosts={**hosts, 0: WORLD.hosts[0]}))
    assert told.count("BOOTING") == 5
    assert told.endswith("; and 15 more hosts")


def test_shared_storage_that_a_host_reaches_on_both_sides_moves() -> None:
    vm = replace(VM, history=(replace(PLACE, tm_mad="shared"),))
    world = with_datastores(
        datastore(0, "system", (HERE,), tm_mad="shared", pairs=SHARED),
        datastore(101, "edge-system", (HERE, EDGE), tm_mad="shared", pairs=SHARED),
    )
    assert moved(vm, world).datastore_id == 101


def test_kvm_and_qemu_run_each_others_machines() -> None:
    assert moved(world=with_host(rented(2, "edge-0", vm_mad="qemu"))).host.id == 2


# --- words of the command line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("edge", (EDGE, None)),
        ("edge-0", (EDGE, 2)),
        ("198.51.100.2", (EDGE, 2)),
        ("host:3", (EDGE, 3)),
        ("cluster:edge", (EDGE, None)),
        ("cluster:0", (HERE, None)),
        ("100", (EDGE, None)),
        ("2", (EDGE, 2)),
    ],
)
def test_targets_by_id_and_name(told: str, found: tuple[int, int | None]) -> None:
    target = find_target(WORLD, told)
    assert (target.cluster.id, target.host.id if target.host else None) == found


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("0", "'0' may be host local0 (id 0) or cluster default (id 0): say which, as host:0 or cluster:0"),
        ("twin", "may be host twin (id 8) or host twin (id 9): say which, as host:8 or host:9"),
        ("nowhere", "there is no host or cluster 'nowhere': 'onehost list' and 'onecluster list' show them"),
        ("host:edge", "there is no host 'edge'"),
        ("cluster:edge-0", "there is no cluster 'edge-0'"),
    ],
)
def test_targets_that_are_none_or_several(told: str, words: str) -> None:
    twins = {8: rented(8, "twin"), 9: rented(9, "twin")}
    with pytest.raises(ConfigError) as caught:
        find_target(replace(WORLD, hosts={**WORLD.hosts, **twins}), told)
    assert words in str(caught.value)


def test_a_target_that_is_gone_meanwhile_is_told() -> None:
    later = replace(WORLD, hosts={0: WORLD.hosts[0]})
    with pytest.raises(ConfigError, match=r"host edge-0 \(id 2\) is gone"):
        to(2).now(later)
    assert TO_EDGE.now(later) == TO_EDGE
    assert naming.find_target(later, "local0").now(with_host(host(0, "other", HERE))).word == "host other (id 0)"


def listed(number: int, name: str) -> Vm:
    empty = Template()
    return Vm(
        id=number, name=name, state=3, lcm_state=3, cpu=1, memory=1, host_id=0, template=empty, user_template=empty
    )


def test_machines_by_id_and_name() -> None:
    pool = [listed(4, "a"), listed(3, "b"), listed(2, "a"), listed(1, "7")]
    assert find_machines(pool, ["b", "4", "3", "7"]) == [3, 4, 1]
    with pytest.raises(ConfigError, match=r"several virtual machines are called 'a' \(ids 2, 4\)"):
        find_machines(pool, ["a"])
    with pytest.raises(ConfigError, match="there is no virtual machine '9'"):
        find_machines(pool, ["9"])


def test_decisions_name_steps_for_people() -> None:
    found: list[Decision] = [moved(), Stay(vm=VM, host=None, start=False)]
    assert all(isinstance(step, str) for one in found for step in one.steps)
