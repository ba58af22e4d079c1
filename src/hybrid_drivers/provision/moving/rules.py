"""What keeps a virtual machine from going to a host: its own state, the host's, and what both are made of.

Each rule returns what is in the way and what to do about it, in words that follow the machine's name. oned refuses only
some of it, and when the machine is off already (OpenNebula ``VirtualMachineAPI.cc``, ``migrate``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from hybrid_drivers.model import Host, HostState, OnedObject
from hybrid_drivers.model_vms import (
    ACTIVE,
    DONE,
    HOLD,
    PENDING,
    POWEROFF,
    STOPPED,
    SUSPENDED,
    UNDEPLOYED,
    UNKNOWN,
    VmDetail,
)
from hybrid_drivers.provision.moving.world import World, amount, host_word, needs, room

_TAKES: Final = (HostState.MONITORED, HostState.MONITORING_MONITORED)
_UNREACHABLE: Final = (HostState.ERROR, HostState.MONITORING_ERROR, HostState.OFFLINE)
_HOST_STATES: Final[Mapping[HostState, str]] = {
    HostState.DISABLED: "is disabled: 'onehost enable {id}'",
    HostState.MONITORING_DISABLED: "is disabled: 'onehost enable {id}'",
    HostState.OFFLINE: "is offline: 'onehost enable {id}', for one that is rented 'oneprovision host resume {id}'",
    HostState.ERROR: "is in ERROR: 'onehost show {id}' says why",
    HostState.MONITORING_ERROR: "is in ERROR: 'onehost show {id}' says why",
}
_VM_STATES: Final[Mapping[int, str]] = {
    PENDING: "it waits for a host: 'onevm deploy {id} HOST' starts it on one",
    HOLD: "it is on hold: 'onevm deploy {id} HOST' starts it on a host",
    STOPPED: "it is stopped and on no host: 'onevm deploy {id} HOST' starts it on one",
    UNDEPLOYED: "it is undeployed and on no host: 'onevm deploy {id} HOST' starts it on one",
    SUSPENDED: "it is suspended, with its memory on its host: 'onevm resume {id}' first",
    DONE: "it is done",
}
_FAMILIES: Final = {
    "kvm": "kvm",
    "qemu": "kvm",
    "lxc": "lxc",
    "dummy": "dummy",
}  # drivers that run each other's machines


def state(vm: VmDetail) -> str:
    """Say why a machine cannot be moved in the state it is in; empty when it can."""
    if vm.locked:
        return f"it is locked: 'onevm unlock {vm.id}'"
    if vm.state == POWEROFF or vm.runs:
        return ""
    if vm.state != ACTIVE:
        return _VM_STATES.get(vm.state, "it is {word}: 'onevm show {id}' tells more").format(id=vm.id, word=vm.word)
    if vm.lcm_state == UNKNOWN:
        return "its state is UNKNOWN, so its host does not answer, and its disks are there: see to that host first"
    if vm.failed:
        why = f" ({vm.error})" if vm.error else ""
        return f"its state is {vm.word}{why}: 'onevm recover {vm.id}' with --retry, --success or --failure mends it"
    return f"{vm.word} is going on: run the same command again when that has ended"


def guest(vm: VmDetail, world: World, host: Host) -> Iterator[str]:
    """Yield what of a machine, or of the host it is on, keeps it from going to another host."""
    place = vm.place
    if place is None or place.host_id == host.id:
        return
    if vm.template.vectors("PCI"):
        yield "it uses PCI devices of its host, which go to no other: detach them first"
    source, datastore = world.hosts.get(place.host_id), world.datastores.get(place.datastore_id)
    shared = datastore is not None and datastore.template.text("SHARED") == "YES"
    if (source is None or source.state in _UNREACHABLE) and not shared:
        where = (
            f"{host_word(source)}, which is {source.state.name}" if source else f"host {place.host_id}, which is gone"
        )
        yield f"its disks are on {where}: they cannot be fetched from there"


def takes(vm: VmDetail, world: World, host: Host) -> Iterator[str]:
    """Yield what of a host keeps it from taking a machine, beginning with the host's name."""
    for reason in _host_reasons(vm, world, host):
        yield f"{host_word(host)} {reason}"


def _host_reasons(vm: VmDetail, world: World, host: Host) -> Iterator[str]:
    ours = host.template.text("PROVISION_STATE")
    if host.im_mad == "provision" and ours not in ("", "READY"):
        yield f"is {ours}: it takes machines when it is READY ('oneprovision host list')"
        return
    if host.state not in _TAKES:
        yield _HOST_STATES.get(host.state, "is not monitored yet: wait until 'onehost list' says on").format(id=host.id)
        return
    yield from _kind(vm, world, host)
    if vm.place is not None and vm.place.host_id == host.id:
        return
    (cpu, memory), (free_cpu, free_memory) = needs(vm), room(host)
    if cpu > free_cpu or memory > free_memory:
        free = amount(max(0, free_cpu), max(0, free_memory))
        yield f"has {free} free, and {amount(cpu, memory)} are needed"


def _kind(vm: VmDetail, world: World, host: Host) -> Iterator[str]:
    if vm.place is None:
        return
    here, there = _FAMILIES.get(vm.place.vm_mad), _FAMILIES.get(host.vm_mad)
    if here and there and here != there:
        yield f"runs machines with {host.vm_mad}, this one is made for {vm.place.vm_mad}"
    source = world.hosts.get(vm.place.host_id)
    ours, theirs = host.template.text("ARCH"), source.template.text("ARCH") if source else ""
    if ours and theirs and ours != theirs:
        yield f"is of the architecture {ours}, this one is made for {theirs}"


def live(vm: VmDetail, host: Host, cluster: OnedObject, datastore_id: int) -> Iterator[str]:
    """Yield what keeps a running machine from going to a host without a stop; ``datastore_id`` is where it would go."""
    if vm.place is None:
        return
    without = "without --live it is switched off, moved and started again"
    if vm.place.cluster_id != cluster.id:
        yield f"live moves stay within a cluster: {without}"
    elif vm.place.datastore_id != datastore_id:
        yield f"live moves keep the system datastore: {without}"
    if vm.template.vector("TOPOLOGY").get("PIN_POLICY", "NONE") not in ("", "NONE"):
        yield f"its NUMA topology is pinned: {without}"
    if vm.place.vm_mad != host.vm_mad:
        yield f"{host_word(host)} runs machines with another driver, {host.vm_mad}: {without}"
