"""Hosts whose spot machine is taken back, as growing sees them: their VMs need room elsewhere, and people are told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent import spot
from hybrid_drivers.agent.growth.view import Cloud
from hybrid_drivers.agent.record import IM_MAD, read
from hybrid_drivers.model import Host, Vm
from hybrid_drivers.oned.api import Oned

_ON_A_HOST: Final = (3, 8)  # states ACTIVE and POWEROFF (``VirtualMachine.h``)


def displaced(oned: Oned, hosts: Iterable[Host], now: float) -> list[Vm]:
    """Return the VMs on hosts whose machine is taken back: they need room elsewhere, as those that wait.

    One that is on its way to another host has that as its last, and takes its room there. One that did not get away
    until the machine was gone counts on: its disks may be where the scheduler can start it from.
    """
    there: dict[int, int] = {}
    for host in hosts:
        known = spot.interruption_of(read(host)) if host.im_mad == IM_MAD else None
        if known is not None and not spot.is_over(known, now):
            there.update(dict.fromkeys(host.vm_ids, host.id))
    if not there:
        return []
    return [vm for vm in oned.whole_vms() if vm.host_id == there.get(vm.id, -1) and vm.state in _ON_A_HOST]


def of_cluster(cloud: Cloud, cluster_id: int) -> Cloud:
    """Return the cloud without VMs that are to leave hosts of other clusters: oned mostly refuses such a move."""
    here = {one.id for one in cloud.hosts if one.cluster_id == cluster_id}
    return replace(cloud, vms=[one for one in cloud.vms if one.waits or one.host_id in here])


def events(before: str, hosts: Iterable[Host], cluster_id: int) -> list[str]:
    """Return what ELASTIC_EVENTS lacks about machines that are taken back; each is told once, by its id."""
    found = []
    for host in hosts:
        known = spot.interruption_of(read(host)) if host.im_mad == IM_MAD and host.cluster_id == cluster_id else None
        if known is not None and f"machine {known.machine} back" not in before:
            found.append(f"host {host.id}: the provider takes spot machine {known.machine} back, its VMs are to move")
    return found
