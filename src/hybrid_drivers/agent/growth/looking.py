"""All clusters, looked at with a fixed number of oned calls, and each as a decision needs it. Nothing is changed."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from hybrid_drivers.agent.growth import interrupted
from hybrid_drivers.agent.growth import memory as growth_memory
from hybrid_drivers.agent.growth import policy as growth_policy
from hybrid_drivers.agent.growth.affinity import in_groups
from hybrid_drivers.agent.growth.decide import decide
from hybrid_drivers.agent.growth.guests import looks_at_guests, placed_in
from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.agent.growth.model import Decision, Order, State
from hybrid_drivers.agent.growth.offers import Range, offers_of
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.returning import returning
from hybrid_drivers.agent.growth.schedule import Moment
from hybrid_drivers.agent.growth.telling import ERROR, NOTE
from hybrid_drivers.agent.growth.view import DISABLED, Cloud, view_host, waiting
from hybrid_drivers.agent.growth.wants import any_special
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import ASLEEP
from hybrid_drivers.errors import ConfigError, OnedError, OnedUnreachable
from hybrid_drivers.model import Cluster, Vm
from hybrid_drivers.model_shares import VmGroup
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms

VM_MAD: Final = "kvm"  # of hosts where PROVISION or their cluster name none

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One cluster as a pass sees it, and what was decided for it; ``on``: its policy holds, else nothing is decided."""

    cluster: Cluster
    state: State
    range: Range
    decision: Decision
    on: bool = True


class Looking:
    """Sees clusters as the next pass would."""

    def __init__(self, parts: Parts, objects: Objects) -> None:
        self._parts, self._objects, self._vms = parts, objects, Vms(parts.oned)

    def look(self, cluster: Cluster, cloud: Cloud) -> Look | None:
        """Decide for one cluster without doing anything; None when its policy is switched off.

        Raises:
            ConfigError: the policy, or what the cluster would rent, is wrong.
        """
        policy = growth_policy.read_policy(cluster.template)
        if policy is None:
            return None
        parts = self._parts
        found = offers_of(cluster, policy, cloud.hosts, parts.settings, parts.accounts, shares=cloud.shares)
        state = self._state(cluster, cloud, policy, found)
        return Look(cluster=cluster, state=state, range=found, decision=decide(state))

    def at(self, name: str) -> tuple[Look, Cloud]:
        """Decide for the cluster of this name or id, now, without doing anything, as the next pass would.

        Raises:
            ConfigError: there is no such cluster, or its policy is wrong.
        """
        clusters = self._parts.oned.clusters()
        found = [one for one in clusters if name in (one.name, str(one.id))]
        if not found:
            raise ConfigError(f"There is no cluster {name!r}.")
        cluster, cloud = found[0], self.cloud(clusters)
        taken: set[int] = set()
        for other in clusters[: clusters.index(cluster)] if is_growing(cluster) else ():
            with suppress(ConfigError):
                if is_growing(other) and (look := self.look(other, without(taken, cloud))):
                    taken |= ordered_for(look)
        seen = without(taken, cloud)
        return self.look(cluster, seen) or self._switched_off(cluster, seen), seen

    def _switched_off(self, cluster: Cluster, cloud: Cloud) -> Look:
        found = Range(offers=(), key="PLAN")
        state = self._state(cluster, replace(cloud, vms=()), Policy(max_hosts=0), found)
        return Look(
            cluster=cluster, state=state, range=found, decision=Decision(actions=(), memory=state.memory), on=False
        )

    def cloud(self, clusters: Iterable[Cluster]) -> Cloud:
        """Ask oned for what it has; how many calls that takes does not depend on how much there is."""
        oned, known = self._parts.oned, {one.id: one for one in clusters}
        vms: list[Vm] = oned.waiting_vms()  # before the hosts: a VM placed in between takes room that is seen
        special = any_special(vms)
        hosts, shares = oned.hosts_and_shares() if special else (oned.hosts(), {})
        groups, problem = self._vm_groups(vms)
        now = self._parts.clock.now()
        taken = {vm_id for host in hosts for vm_id in host.vm_ids}  # in between: their room is taken already
        # After the hosts: a VM whose disks are about to leave one is still on it, or seen on its way.
        placed = self._vms.details() if any(looks_at_guests(one) for one in known.values()) else None
        vms = [*(one for one in vms if one.id not in taken), *interrupted.displaced(oned, hosts, now)]
        return Cloud(
            now=now,
            vms=vms,
            hosts=hosts,
            shares=shares,
            vm_groups=groups,
            groups_problem=problem,
            clusters=known,
            datastores=self._objects.pool("datastore"),
            placed=placed,
        )

    def _vm_groups(self, vms: Iterable[Vm]) -> tuple[Sequence[VmGroup] | None, str]:
        """Return the VM groups when a VM is of one, and why they cannot be read: that is a matter of such VMs only."""
        if not in_groups(vms):
            return None, ""
        try:
            return self._parts.oned.vm_groups(), ""
        except OnedUnreachable:
            raise
        except OnedError as exc:
            log.warning("VMs of VM groups get no new hosts: %s", exc)
            return (), f"its VM group cannot be read: {exc}"

    def _state(self, cluster: Cluster, cloud: Cloud, policy: Policy, found: Range) -> State:
        now = cloud.now
        local = time.localtime(now)
        hosts = [found.seen(view_host(one, cluster.id, now, cloud.shares.get(one.id))) for one in cloud.hosts]
        return State(
            now=now,
            moment=Moment(weekday=local.tm_wday, minute=local.tm_hour * 60 + local.tm_min),
            month=time.strftime("%Y-%m", local),
            month_left=max(0.0, _next_month(local) - now),
            month_began=time.mktime((local.tm_year, local.tm_mon, 1, 0, 0, 0, 0, 0, -1)),
            policy=policy,
            policy_digest=_digest(cluster),
            memory=memory_of(cluster, cloud),
            hosts=tuple(hosts),
            waiting=waiting(interrupted.of_cluster(cloud, cluster.id), cluster, found.offers, vm_mad(cluster)),
            offers=found.offers,
            returning=returning(self._parts.leaving({one.id for one in cloud.hosts}), cloud.hosts, cluster),
            placed=placed_in(cloud, cluster, policy),
        )


def ordered_for(look: Look) -> set[int]:
    """Return the VMs that hosts are ordered for."""
    return {vm for one in look.decision.actions if isinstance(one, Order) for vm in one.vms}


def without(taken: Set[int], cloud: Cloud) -> Cloud:
    """Return the cloud without VMs that another cluster has a host for."""
    return replace(cloud, vms=[one for one in cloud.vms if one.id not in taken])


def is_growing(cluster: Cluster) -> bool:
    """Tell whether a cluster is to be looked after: it has a policy, or what one left there."""
    told = cluster.template
    return growth_policy.NAME in told or bool(told.vector(growth_memory.NAME) or told.text(ERROR) or told.text(NOTE))


def memory_of(cluster: Cluster, cloud: Cloud) -> Memory:
    """Return what is remembered; that we disabled a host also stands on it, should ELASTIC_STATE be lost."""
    memory = growth_memory.read(cluster.template.vector(growth_memory.NAME))
    marked = {
        one.id: cloud.now
        for one in cloud.hosts
        if one.state in DISABLED and one.template.text(ASLEEP) and view_host(one, cluster.id, cloud.now).made
    }
    return replace(memory, disabled={**marked, **memory.disabled})


def vm_mad(cluster: Cluster) -> str:
    """Return the driver of the VMs on hosts made for a cluster."""
    return cluster.template.text("VM_MAD") or VM_MAD


def _digest(cluster: Cluster) -> str:
    told = sorted(cluster.template.vector(growth_policy.NAME).items())
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def _next_month(local: time.struct_time) -> float:
    year, month = (local.tm_year + 1, 1) if local.tm_mon == 12 else (local.tm_year, local.tm_mon + 1)
    return time.mktime((year, month, 1, 0, 0, 0, 0, 0, -1))
