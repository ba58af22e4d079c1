"""What moves are decided on: hosts, clusters, datastores and networks as they were at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hybrid_drivers.model import Host, OnedObject
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.provision.hostlist import friendly

SYSTEM = 1  # type of datastores that hold the disks of machines (OpenNebula ``Datastore.h``)
_PERCENT, _KIB = 100, 1024  # of a core, of a MiB


@dataclass(frozen=True, kw_only=True)
class World:
    """The objects of oned that matter, by id."""

    hosts: Mapping[int, Host]
    clusters: Mapping[int, OnedObject]
    datastores: Mapping[int, OnedObject]
    networks: Mapping[int, OnedObject]

    @classmethod
    def look(cls, objects: Objects) -> World:
        """Ask oned, in four calls. Raises: OnedError."""
        return cls(
            hosts={one.id: one for one in objects.oned.hosts()},
            clusters=_by_id(objects.pool("cluster")),
            datastores=_by_id(objects.pool("datastore")),
            networks=_by_id(objects.pool("vnet")),
        )

    def hosts_of(self, cluster_id: int) -> list[Host]:
        """Return the hosts of a cluster."""
        return [host for _, host in sorted(self.hosts.items()) if host.cluster_id == cluster_id]

    def system_datastores(self, cluster_id: int) -> list[OnedObject]:
        """Return the system datastores of a cluster."""
        found = [one for _, one in sorted(self.datastores.items()) if one.type == SYSTEM]
        return [one for one in found if cluster_id in one.cluster_ids]

    def with_guest(self, host_id: int, vm: VmDetail) -> World:
        """Return the same with one more machine on a host."""
        host = self.hosts[host_id]
        cpu, memory = needs(vm)
        fuller = replace(host, used_cpu=host.used_cpu + cpu, used_memory=host.used_memory + memory)
        return replace(self, hosts={**self.hosts, host_id: fuller})


def needs(vm: VmDetail) -> tuple[int, int]:
    """Return what a machine takes of a host: percent of a core, KiB."""
    return round(vm.cpu * _PERCENT), vm.memory * _KIB


def room(host: Host) -> tuple[int, int]:
    """Return what is free on a host: percent of a core, KiB."""
    return host.max_cpu - host.used_cpu, host.max_memory - host.used_memory


def amount(cpu: int, memory: int) -> str:
    """Write a capacity for people."""
    return f"{cpu / _PERCENT:g} CPU and {memory // _KIB} MiB of memory"


def host_word(host: Host) -> str:
    """Name a host for people."""
    return f"host {friendly(host)} (id {host.id})"


def word(one: OnedObject) -> str:
    """Name a cluster, datastore or network for people."""
    kind = "network" if one.kind == "vnet" else one.kind
    return f"{kind} {one.name} (id {one.id})"


def vm_word(vm_id: int, name: str) -> str:
    """Name a virtual machine for people."""
    return f"virtual machine {vm_id} '{name}'"


def _by_id(objects: Iterable[OnedObject]) -> dict[int, OnedObject]:
    return {one.id: one for one in objects}
