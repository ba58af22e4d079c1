"""Deciding what a move of a virtual machine takes: pure, from what is there to steps, or to all that is in the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Host, OnedObject
from hybrid_drivers.model_vms import MOVE_FAILED, VmDetail
from hybrid_drivers.provision.moving import mark, rules, storage
from hybrid_drivers.provision.moving.naming import Target
from hybrid_drivers.provision.moving.world import World, host_word, room, vm_word, word

SHOWN = 5  # hosts named when none of a cluster takes a machine


class CannotMove(ConfigError):
    """A machine cannot go where it is to go; the text says all that is in the way. Nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How machines are to be moved. ``datastore_id``: the system datastore they get there, None: one that fits.

    ``resume``: what ran before runs again after it; ``hard``: switched off without asking the guest.
    """

    live: bool = False
    hard: bool = False
    resume: bool = True
    datastore_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stay:
    """A machine is where it is to go. ``start``: an earlier run switched it off and has not started it again."""

    vm: VmDetail
    host: Host | None
    start: bool

    @property
    def steps(self) -> tuple[str, ...]:
        """Tell people what is done."""
        return ("start it again",) if self.start else ()


@dataclass(frozen=True, kw_only=True)
class Move:
    """What is done to move a machine; ``datastore_id`` is -1 where it keeps its system datastore.

    ``again``: its disks did not arrive there when an earlier run moved it, and are brought once more.
    """

    vm: VmDetail
    host: Host
    cluster: OnedObject
    datastore_id: int = -1
    datastore: str = ""
    live: bool = False
    again: bool = False
    switch_off: bool = False
    start: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """Tell people what is done, in order."""
        where = f"{host_word(self.host)} in {word(self.cluster)}"
        if self.datastore:
            where += f" with system {self.datastore}"
        how = "move it live to" if self.live else "bring its disks once more to" if self.again else "move it to"
        found = ["switch it off"] if self.switch_off else []
        found.append(f"{how} {where}")
        return (*found, "start it again") if self.start else tuple(found)

    @property
    def loses(self) -> str:
        """Say what may be lost, empty when nothing: drivers without KEEP_SNAPSHOTS delete them (``oned.conf``)."""
        count = len(self.vm.template.vectors("SNAPSHOT"))
        return f"its {count} snapshots of the whole machine may be lost in the move" if count else ""


Decision = Union[Move, Stay]


def decide(vm: VmDetail, world: World, target: Target, wishes: Wishes) -> Decision:
    """Return what moving a machine takes.

    Raises:
        CannotMove: it cannot go there as things are.
    """
    place, wanted = vm.place, wishes.datastore_id
    start = wishes.resume and (vm.runs or mark.holds(vm))
    again = vm.failed and vm.lcm_state == MOVE_FAILED and mark.there(vm) and not vm.locked
    if (obstacle := rules.state(vm)) and not again:
        raise _refusal(vm, target, [obstacle])
    if _is_there(vm, target):
        if again:
            return _again(vm, world, target, start=start)
        if place is None or wanted in (None, place.datastore_id):
            here = world.hosts.get(place.host_id) if place else None
            return Stay(vm=vm, host=here, start=start and not vm.runs)
    elif again:
        raise _refusal(vm, target, [obstacle])
    return _moved(vm, world, target, wishes, start=start)


def _moved(vm: VmDetail, world: World, target: Target, wishes: Wishes, *, start: bool) -> Move:
    cluster, place = target.cluster, vm.place
    datastore_id, wrong = storage.choose(vm, world, cluster, wishes.datastore_id)
    reasons = [*storage.missing(vm, world, cluster), *wrong]
    host, refused = _host(vm, world, target)
    reasons += refused
    if host is None:
        raise _refusal(vm, target, reasons)
    reasons += rules.guest(vm, world, host)
    live = wishes.live and vm.runs
    if live and not wrong:
        reasons += rules.live(vm, host, cluster, datastore_id)
    if reasons:
        raise _refusal(vm, target, reasons)
    keeps = place is not None and datastore_id == place.datastore_id
    return Move(
        vm=vm,
        host=host,
        cluster=cluster,
        datastore_id=-1 if keeps else datastore_id,
        datastore="" if keeps else word(world.datastores[datastore_id]),
        live=live,
        switch_off=vm.runs and not live,
        start=start and not live,
    )


def _again(vm: VmDetail, world: World, target: Target, *, start: bool) -> Move:
    host = world.hosts.get(vm.place.host_id) if vm.place else None
    if host is None:
        raise _refusal(vm, target, [f"its state is {vm.word}, and its host is gone"])
    if reasons := list(rules.takes(vm, world, host)):
        raise _refusal(vm, target, reasons)
    return Move(vm=vm, host=host, cluster=world.clusters[host.cluster_id], again=True, start=start)


def _is_there(vm: VmDetail, target: Target) -> bool:
    if vm.place is None:
        return False
    return vm.place.host_id == target.host.id if target.host else vm.place.cluster_id == target.cluster.id


def _host(vm: VmDetail, world: World, target: Target) -> tuple[Host | None, list[str]]:
    """Return the host to go to, and what is in the way there; of a cluster that with the most room left."""
    if target.host is not None:
        return target.host, list(rules.takes(vm, world, target.host))
    if _is_there(vm, target) and vm.place:  # only its datastore changes
        return world.hosts.get(vm.place.host_id), []
    hosts = world.hosts_of(target.cluster.id)
    refused = {host.id: list(rules.takes(vm, world, host)) for host in hosts}
    taking = [host for host in hosts if not refused[host.id]]
    if taking:
        return max(taking, key=lambda host: (_spare(host), -host.id)), []
    shown = [reason for host in hosts[:SHOWN] for reason in refused[host.id]]
    more = f"; and {len(hosts) - SHOWN} more hosts" if len(hosts) > SHOWN else ""
    return None, [f"no host there takes it: {'; '.join(shown)}{more}" if hosts else "there are no hosts in it"]


def _spare(host: Host) -> float:
    """Return the smaller part that is free of a host's processors and its memory."""
    cpu, memory = room(host)
    return min(cpu / max(1, host.max_cpu), memory / max(1, host.max_memory))


def _refusal(vm: VmDetail, target: Target, reasons: Iterable[str]) -> CannotMove:
    return CannotMove(f"{vm_word(vm.id, vm.name)} cannot go to {target.word}: {'; '.join(reasons)}")
