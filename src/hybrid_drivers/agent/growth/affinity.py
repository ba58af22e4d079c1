"""VM groups: which waiting machines must share a host, which must not, and with whose hosts. Pure.

oned keeps none of this in AUTOMATIC_REQUIREMENTS: the scheduler adds it to its own copy of the requirements in every
round (6.10 ``scheduler/src/pool/VMGroupXML.cc``, 7.x the same file of ``schedm_mad/remotes/rank``):

* machines of an ANTI_AFFINED role, and of roles of one ANTI_AFFINED rule, are kept off each other's hosts;
* of machines of an AFFINED role or rule, those that wait go where the others are; when none is anywhere, they are
  scheduled as one with the sum of their needs;
* HOST_AFFINED is ``ID =``, which no new host can meet, HOST_ANTI_AFFINED ``ID !=``.

Where machines are is taken from the hosts' own lists, which also have those that are off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hybrid_drivers.agent.growth.model import Waiting
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.stock import RoleKey, Wants
from hybrid_drivers.model import Host, Vm
from hybrid_drivers.model_shares import VmGroup, VmRole

_APART: Final = "ANTI_AFFINED"
_TOGETHER: Final = "AFFINED"


@dataclass(frozen=True)
class _Placed:
    """A role with its group, and the roles (of the same group) that must not share a host with it."""

    group: VmGroup
    role: VmRole

    @property
    def key(self) -> RoleKey:
        return self.group.id, self.role.name

    @property
    def shuns(self) -> frozenset[RoleKey]:
        names = {one for rule in self.group.anti_affined if self.role.name in rule for one in rule}
        names.discard(self.role.name)
        if self.role.policy == _APART:
            names.add(self.role.name)
        return frozenset((self.group.id, one) for one in names if one in self.group.roles)


def in_groups(vms: Iterable[Vm]) -> bool:
    """Tell whether any machine is of a VM group."""
    return any(one.template.vector("VMGROUP") for one in vms)


def applied(
    waiting: Sequence[Waiting],
    vms: Iterable[Vm],
    groups: Iterable[VmGroup],
    hosts: Sequence[Host],
    *,
    problem: str = "",
) -> tuple[Waiting, ...]:
    """Return what waits with the rules of its VM groups; those that must share a host become one.

    ``problem``: why ``groups`` could not be read; then machines of any are ordered no host.
    """
    known = {group.id: group for group in groups}
    homes = _homes(hosts)
    roles = {
        vm: _Placed(group, role) for group in known.values() for role in group.roles.values() for vm in role.vm_ids
    }
    found = {one.id: one for one in waiting}
    for vm in vms:
        told = vm.template.vector("VMGROUP")
        if not told or vm.id not in found:
            continue
        if vm.id in roles:
            found[vm.id] = _with_role(found[vm.id], roles[vm.id], homes)
        else:
            unknown = f"its VM group {told.get('VMGROUP_ID', '')} or role {told.get('ROLE', '')} is not known"
            found[vm.id] = replace(found[vm.id], plans=frozenset(), problem=problem or unknown)
    for group in known.values():
        for together in _sets(group):
            _join(found, together, group, homes)
    return tuple(found.values())


def _homes(hosts: Iterable[Host]) -> dict[int, set[int]]:
    """Return on which hosts each machine is: one that is being moved is on two."""
    found: dict[int, set[int]] = {}
    for host in hosts:
        for vm in host.vm_ids:
            found.setdefault(vm, set()).add(host.id)
    return found


def _with_role(one: Waiting, placed: _Placed, homes: Mapping[int, set[int]]) -> Waiting:
    role, shuns = placed.role, placed.shuns
    others = {vm for _, name in shuns for vm in placed.group.roles[name].vm_ids} - {one.id}
    taken = {host for vm in others for host in homes.get(vm, ())}
    found = replace(one, hosts=one.hosts - taken - role.not_host_ids)
    if shuns:
        own = Wants(roles=frozenset((placed.key,)), shuns=shuns)
        found = replace(found, wants=one.wants.plus(own) if one.wants else own)
    if role.host_ids:
        problem = f"role {role.name} of its VM group asks for hosts {_listed(role.host_ids)}"
        found = replace(found, hosts=found.hosts & role.host_ids, plans=frozenset(), problem=one.problem or problem)
    return found


def _sets(group: VmGroup) -> Iterator[frozenset[int]]:
    """Yield sets of machines that must be on one host; what overlaps is one set."""
    sets = [role.vm_ids for role in group.roles.values() if role.policy == _TOGETHER]
    for rule in group.affined:
        roles = [group.roles[name] for name in rule if name in group.roles]
        sets.append(frozenset(vm for role in roles for vm in role.vm_ids))
    while sets:
        found, rest = sets[0], sets[1:]
        while touching := [one for one in rest if one & found]:
            found = found.union(*touching)
            rest = [one for one in rest if not one & found]
        sets = rest
        if len(found) > 1:
            yield found


def _join(found: dict[int, Waiting], together: frozenset[int], group: VmGroup, homes: Mapping[int, set[int]]) -> None:
    """Send those of a set that wait to the hosts of the others, or make them one where there are no others."""
    those = [found[vm] for vm in sorted(together) if vm in found]
    there = frozenset(host for vm in together for host in homes.get(vm, ()))
    if there:
        problem = f"VM group {group.name} keeps it on hosts {_listed(there)}, with others of it"
        for one in those:
            hosts = one.hosts & there
            found[one.id] = replace(one, hosts=hosts, plans=frozenset(), problem=one.problem or problem)
    elif len(those) > 1:
        for one in those:
            del found[one.id]
        leader = _as_one(those, group)
        found[leader.id] = leader


def _as_one(those: Sequence[Waiting], group: VmGroup) -> Waiting:
    """Make one of several, the first of which leads."""
    plans = frozenset.intersection(*(one.plans for one in those))
    problem = next((one.problem for one in those if one.problem), "")
    if not plans and not problem:
        problem = f"no plan suits all of VM group {group.name} that must share a host"
    wants = None
    for one in those:
        if one.wants:
            wants = wants.plus(one.wants) if wants else one.wants
    first, *others = those
    return Waiting(
        id=first.id,
        size=Size(sum(one.size.cpu for one in those), sum(one.size.memory for one in those)),
        since=min(one.since for one in those),
        plans=plans,
        hosts=frozenset.intersection(*(one.hosts for one in those)),
        problem=problem,
        refused=any(one.refused for one in those),
        wants=wants,
        mates=tuple(one.id for one in others),
    )


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(ids)))
