"""From oned's VMs that do not wait to what consolidating rests on: which may be moved, how, and to which hosts. Pure.

What oned itself refuses: ``VirtualMachineAPI.cc`` (``migrate``: states, pinned NUMA and FILESYSTEM disks when live,
PCI). A VM of KVM is moved live with its disks, too, where they are the host's own (``vmm_mad/remotes/kvm/migrate``);
LXC's are not moved live. System snapshots may be lost (``LifeCycleStates.cc``, ``delete_snapshots``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent.growth import memory as growth_memory
from hybrid_drivers.agent.growth import policy as growth_policy
from hybrid_drivers.agent.growth.model import Guest, Placed
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.view import KIB, Cloud
from hybrid_drivers.agent.record import GROWN
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Cluster, Host
from hybrid_drivers.model_vms import ACTIVE, POWEROFF, SUSPENDED, UNKNOWN, VmDetail
from hybrid_drivers.oned import requirements

WISH: Final = "CONSOLIDATE"  # of a VM's user: ``no`` or ``cold``
_ON_A_HOST: Final = (ACTIVE, POWEROFF, SUSPENDED)
_MOVES_LIVE: Final = ("kvm", "qemu")
_OUR_NETWORKS: Final = ("hybrid", "alias_sdnat")
_PLACE: Final = ("RENTED_FROM", "METRO", "FACILITY", "SUBNETID")  # what must be the same for public addresses to follow
_OF_THE_HOST: Final = ("", "host-passthrough", "host-model")  # CPU models that are not the same on every host
_OTHERS: Final = "CURRENT_VMS"


def looks_at_guests(cluster: Cluster) -> bool:
    """Tell whether a cluster consolidates, or goes on with what it began before that was switched off."""
    policy = cluster.template.vector(growth_policy.NAME)
    if policy.get("ENABLED", "").lower() not in ("yes", "true"):
        return False
    memory = growth_memory.read(cluster.template.vector(growth_memory.NAME))
    return policy.get("CONSOLIDATE", "no").lower() not in ("no", "false", "") or bool(memory.emptying or memory.sent)


def placed_in(cloud: Cloud, cluster: Cluster, policy: Policy) -> Placed | None:
    """Return the VMs on the hosts of a cluster, and those on their way anywhere; None when nobody wants to know."""
    if cloud.placed is None or not looks_at_guests(cluster):
        return None
    view = _View(cloud, cluster, policy)
    guests = [one for vm in cloud.placed if (one := view.guest(vm)) is not None]
    disks = {one.id: {-1: one.free_disk, **one.datastores_free} for one in view.hosts.values()}
    return Placed(guests=tuple(guests), free_disk=disks)


class _View:
    """One cluster's hosts and VMs."""

    def __init__(self, cloud: Cloud, cluster: Cluster, policy: Policy) -> None:
        self._cloud, self._policy = cloud, policy
        self.hosts = {one.id: one for one in cloud.hosts if one.cluster_id == cluster.id}
        self._emptied = {
            one.id
            for one in self.hosts.values()
            if one.template.vector(GROWN) and len(one.vm_ids) <= policy.max_moves_hour
        }
        self._listed: dict[int, set[int]] = {}
        for host in cloud.hosts:
            for vm_id in host.vm_ids:
                self._listed.setdefault(vm_id, set()).add(host.id)
        self._shared = {one.id: one.template.text("SHARED").upper() == "YES" for one in cloud.datastores}
        self._bound: dict[int, list[VmDetail]] = {}  # host -> those whose requirements name other VMs
        for vm in cloud.placed or ():
            if vm.place is not None and _OTHERS in _text(vm):
                self._bound.setdefault(vm.place.host_id, []).append(vm)

    def guest(self, vm: VmDetail) -> Guest | None:
        """Return what counts of a VM; None when it is on no host of this cluster, nor on its way to any."""
        if vm.state not in _ON_A_HOST or vm.place is None:
            return None
        here, at_rest = vm.place.host_id, vm.runs or vm.state != ACTIVE or vm.failed or vm.lcm_state == UNKNOWN
        settled = at_rest and not vm.failed and self._listed.get(vm.id) == {here}
        if settled and here not in self.hosts:
            return None
        found = Guest(id=vm.id, host=here, size=Size(round(vm.cpu * 100), vm.memory * KIB), settled=settled)
        if vm.failed:
            return replace(found, problem=f"is {vm.word}")
        if not settled or here not in self._emptied:
            return found
        return self._movable(vm, self.hosts[here], found)

    def _movable(self, vm: VmDetail, source: Host, found: Guest) -> Guest:
        live, problem = self._way(vm)
        if problem:
            return replace(found, problem=problem)
        try:
            hosts = frozenset(one.id for one in self.hosts.values() if one is not source and self._may(vm, source, one))
        except ConfigError as exc:
            return replace(found, problem=f"has requirements that cannot be read: {exc}")
        datastore = vm.place.datastore_id if vm.place else -1
        disk = 0 if self._shared.get(datastore) else sum(one.size for one in vm.disks)
        return replace(found, live=live, hosts=hosts, datastore=datastore, disk=disk)

    # --- whether, and how ---

    def _way(self, vm: VmDetail) -> tuple[bool, str]:
        """Say whether a VM is moved live, and why it is not moved at all."""
        if problem := next(_reasons(vm), ""):
            return True, problem
        if vm.state == POWEROFF:
            return False, "" if self._policy.consolidate == "yes" else "is off (CONSOLIDATE=live moves what runs)"
        problem = next(_live_reasons(vm), "")
        if problem and self._policy.consolidate == "yes" and _wish(vm) == "cold":
            return False, ""
        return True, f"cannot be moved while it runs: {problem}" if problem else ""

    # --- where to ---

    def _may(self, vm: VmDetail, source: Host, target: Host) -> bool:
        return _fits_kind(vm, source, target) and self._meets(vm, target) and self._suits_others(vm, source, target)

    def _meets(self, vm: VmDetail, target: Host) -> bool:
        return self._cloud.requirement(_text(vm)).met_by(self._cloud.facts(target))

    def _suits_others(self, vm: VmDetail, source: Host, target: Host) -> bool:
        """Tell whether the VMs whose requirements name others have what they want after the move as before it."""
        return all(
            self._still(one, source, -vm.id) for one in self._bound.get(source.id, ()) if one.id != vm.id
        ) and all(self._still(one, target, vm.id) for one in self._bound.get(target.id, ()) if one.id != vm.id)

    def _still(self, other: VmDetail, host: Host, change: int) -> bool:
        wanted, facts = self._cloud.requirement(_text(other)), self._cloud.facts(host)
        vm_ids = facts.vm_ids | {change} if change > 0 else facts.vm_ids - {-change}
        return wanted.met_by(replace(facts, vm_ids=vm_ids)) or not wanted.met_by(facts)


def _reasons(vm: VmDetail) -> Iterator[str]:
    """Yield why a VM stays where it is, whatever is done."""
    if _wish(vm) == "no":
        yield f'has {WISH}="no"'
    if vm.locked:
        yield "is locked"
    if vm.state == SUSPENDED or vm.lcm_state == UNKNOWN:
        yield f"is {vm.word}"
    if vm.template.vectors("PCI"):
        yield "uses PCI devices"
    if vm.template.vector("VMGROUP"):
        yield "is in a VM group, whose rules only the scheduler knows"
    if vm.template.vectors("SNAPSHOT"):
        yield "has system snapshots, which a move may take away"


def _live_reasons(vm: VmDetail) -> Iterator[str]:
    mad = vm.place.vm_mad if vm.place else ""
    if mad not in _MOVES_LIVE:
        yield f"driver {mad} does not do that"
    if vm.template.vector("TOPOLOGY").get("PIN_POLICY", "NONE").upper() not in ("", "NONE"):
        yield "its NUMA topology is pinned"
    if any("FILESYSTEM" in one.values() for one in vm.template.vectors("DISK")):
        yield "it has FILESYSTEM disks"


def _fits_kind(vm: VmDetail, source: Host, target: Host) -> bool:
    """Tell whether a host is of the same kind, and public addresses may follow there."""
    if source.vm_mad != target.vm_mad or _differ("ARCH", source, target):
        return False
    if vm.runs and _differ("MODELNAME", source, target) and _model(vm) in _OF_THE_HOST:
        return False
    cards = (*vm.template.vectors("NIC"), *vm.template.vectors("NIC_ALIAS"))
    if any(one.get("VN_MAD") in _OUR_NETWORKS for one in cards):
        return source.im_mad == target.im_mad and _place_of(source) == _place_of(target)
    return True


def _differ(name: str, source: Host, target: Host) -> bool:
    here, there = source.template.text(name), target.template.text(name)
    return bool(here and there and here != there)


def _model(vm: VmDetail) -> str:
    return vm.template.vector("CPU_MODEL").get("MODEL", "")


def _place_of(host: Host) -> Mapping[str, str]:
    provision = host.template.vector("PROVISION")
    return {key: provision.get(key, "") for key in _PLACE}


def _wish(vm: VmDetail) -> str:
    return vm.user_template.text(WISH).lower()


def _text(vm: VmDetail) -> str:
    return requirements.joined(vm.template.text("AUTOMATIC_REQUIREMENTS"), vm.user_template.text("SCHED_REQUIREMENTS"))
