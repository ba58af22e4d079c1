"""Growing on demand, carried out: a fixed number of oned calls to look at all clusters, then what was decided.

What is remembered is written to the cluster before anything is done (``ELASTIC_STATE``). A host is made in the default
cluster, told what it is (``GROWTH``, ``PROVISION``), and only then put into its cluster: killed in between, it rents
nothing, and the next pass finishes or removes it. From there on it is an ordinary host of the reconciler's.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from hybrid_drivers.agent.growth import leaving, spot, stock
from hybrid_drivers.agent.growth import memory as growth_memory
from hybrid_drivers.agent.growth import policy as growth_policy
from hybrid_drivers.agent.growth.affinity import in_groups
from hybrid_drivers.agent.growth.decide import decide
from hybrid_drivers.agent.growth.guests import looks_at_guests, placed_in
from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.agent.growth.model import Action, Decision, Disable, Enable, Migrate, Order, State
from hybrid_drivers.agent.growth.names import free_names, stem_of
from hybrid_drivers.agent.growth.offers import Range, offers_of
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.returning import returning
from hybrid_drivers.agent.growth.schedule import Moment
from hybrid_drivers.agent.growth.telling import describe, heading, shape, told_events
from hybrid_drivers.agent.growth.unfinished import DEFAULT_CLUSTER, Unfinished
from hybrid_drivers.agent.growth.view import DISABLED, Cloud, view_host, waiting
from hybrid_drivers.agent.growth.wants import any_special
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import ASLEEP, GROWN, IM_MAD
from hybrid_drivers.errors import ConfigError, NoSuchObject, OnedError, OnedUnreachable
from hybrid_drivers.model import Cluster, Host, Template, Value, Vm
from hybrid_drivers.model_shares import VmGroup
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.template import readable
from hybrid_drivers.oned.vms import Vms

VM_MAD: Final = "kvm"  # of hosts where PROVISION or their cluster name none
ERROR, EVENT, NOTE = "ELASTIC_ERROR", "ELASTIC_EVENTS", "ELASTIC_NOTE"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One cluster as a pass sees it, and what was decided for it; ``on``: its policy holds, else nothing is decided."""

    cluster: Cluster
    state: State
    range: Range
    decision: Decision
    on: bool = True


class Growing:
    """Looks after all clusters with a policy; ``policies`` is how many there were in the last pass."""

    def __init__(self, parts: Parts, ask: Callable[[int], None]) -> None:
        self._parts, self._ask = parts, ask
        self._objects = Objects(parts.oned)
        self._unfinished = Unfinished(parts, self._objects, ask)
        self._vms = Vms(parts.oned)
        self._refused: dict[int, list[str]] = {}  # cluster -> what oned refused in the last pass
        self.policies = 0
        self.looked = False

    def sweep(self) -> None:
        """Do one pass over all clusters; what oned refuses for one of them stops none of the others.

        Raises:
            OnedError: oned cannot be asked: nothing (more) is done.
        """
        clusters = self._parts.oned.clusters()
        growing = [one for one in clusters if _is_growing(one)]
        self.policies, self.looked = len(growing), True
        if not growing:
            return
        cloud = self._cloud(clusters)
        cloud = replace(cloud, hosts=list(self._unfinished.tidied(cloud, growing)))
        taken: set[int] = set()
        for cluster in growing:
            try:
                taken |= self._look_after(cluster, _without(taken, cloud))
            except OnedUnreachable:
                raise
            except OnedError as exc:
                log.error("cluster %s cannot be looked after: %s", cluster.name, exc)
                self._refused[cluster.id] = [str(exc)]

    def _look_after(self, cluster: Cluster, cloud: Cloud) -> set[int]:
        """Do what is to be done for one cluster; return the VMs that hosts were ordered for."""
        try:
            look = self.look(cluster, cloud)
        except ConfigError as exc:
            self._tell_problem(cluster, str(exc))
            return set()
        if look is None:
            self._let_go(cluster, cloud)
            return set()
        self._carry_out(look, cloud)
        return _ordered_for(look)

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

    def look_at(self, name: str) -> tuple[Look, Cloud]:
        """Decide for the cluster of this name or id, now, without doing anything, as the next pass would.

        Raises:
            ConfigError: there is no such cluster, or its policy is wrong.
        """
        clusters = self._parts.oned.clusters()
        found = [one for one in clusters if name in (one.name, str(one.id))]
        if not found:
            raise ConfigError(f"There is no cluster {name!r}.")
        cluster, cloud = found[0], self._cloud(clusters)
        taken: set[int] = set()
        for other in clusters[: clusters.index(cluster)] if _is_growing(cluster) else ():
            with suppress(ConfigError):
                if _is_growing(other) and (look := self.look(other, _without(taken, cloud))):
                    taken |= _ordered_for(look)
        seen = _without(taken, cloud)
        return self.look(cluster, seen) or self._switched_off(cluster, seen), seen

    def _switched_off(self, cluster: Cluster, cloud: Cloud) -> Look:
        found = Range(offers=(), key="PLAN")
        state = self._state(cluster, replace(cloud, vms=()), Policy(max_hosts=0), found)
        return Look(
            cluster=cluster, state=state, range=found, decision=Decision(actions=(), memory=state.memory), on=False
        )

    # --- looking ---

    def _cloud(self, clusters: Iterable[Cluster]) -> Cloud:
        oned, known = self._parts.oned, {one.id: one for one in clusters}
        vms: list[Vm] = oned.waiting_vms()  # before the hosts: a VM placed in between takes room that is seen
        special = any_special(vms)
        hosts, shares = oned.hosts_and_shares() if special else (oned.hosts(), {})
        groups, problem = self._vm_groups(vms)
        now = self._parts.clock.now()
        taken = {vm_id for host in hosts for vm_id in host.vm_ids}  # in between: their room is taken already
        # After the hosts: a VM whose disks are about to leave one is still on it, or seen on its way.
        placed = self._vms.details() if any(looks_at_guests(one) for one in known.values()) else None
        vms = [*(one for one in vms if one.id not in taken), *leaving.displaced(oned, hosts, now)]
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
            memory=_memory(cluster, cloud),
            hosts=tuple(hosts),
            waiting=waiting(leaving.of_cluster(cloud, cluster.id), cluster, found.offers, _vm_mad(cluster)),
            offers=found.offers,
            returning=returning(self._parts.leaving({one.id for one in cloud.hosts}), cloud.hosts, cluster),
            placed=placed_in(cloud, cluster, policy),
        )

    # --- doing ---

    def _carry_out(self, look: Look, cloud: Cloud) -> None:
        cluster, decision = look.cluster, look.decision
        told = self._remember(look, cloud.hosts)
        for host_id, price in look.range.others.items():
            with suppress(NoSuchObject):
                self._parts.oned.update_host(host_id, Template([("COST_HOUR", f"{price:g}")]))
        self._wake(cluster, cloud.hosts, {one.host_id for one in decision.actions if isinstance(one, Disable)})
        names = free_names(stem_of(cluster, cloud.clusters), cloud.hosts)
        refused = []
        for action in decision.actions:
            log.info("cluster %s: %s", cluster.name, describe(action))
            try:
                self._do(action, look, names)
            except OnedUnreachable:
                raise
            except OnedError as exc:  # often for what changed since it was looked at: the next pass sees it
                refused.append(f"{heading(action)} failed: {exc}")
                log.warning("cluster %s: %s", cluster.name, refused[-1])
        if refused:
            self._tell_refused(look, told, refused)

    def _do(self, action: Action, look: Look, names: Iterator[str]) -> None:
        oned = self._parts.oned
        if isinstance(action, Order):
            self._order(action, look, next(names))
        elif isinstance(action, Disable):
            oned.update_host(action.host_id, Template([(ASLEEP, f"{look.state.now:.0f}")]))
            oned.set_host_status(action.host_id, "disable")
        elif isinstance(action, Enable):
            self._enable(action.host_id)
        elif isinstance(action, Migrate):
            self._vms.migrate(action.vm_id, action.target, live=action.live, enforce=True)
        else:
            oned.delete_host(action.host_id)

    def _enable(self, host_id: int) -> None:
        self._parts.oned.update_host(host_id, Template([(ASLEEP, "")]))
        self._parts.oned.set_host_status(host_id, "enable")

    def _wake(self, cluster: Cluster, hosts: Iterable[Host], disabled: Set[int] = frozenset()) -> None:
        """Take the mark off hosts that people enabled: what they disable later is not ours."""
        for host in hosts:
            marked = host.cluster_id == cluster.id and host.template.text(ASLEEP)
            if marked and host.id not in disabled and host.state not in DISABLED:
                with suppress(NoSuchObject):
                    self._parts.oned.update_host(host.id, Template([(ASLEEP, "")]))

    def _order(self, action: Order, look: Look, name: str) -> None:
        oned, cluster = self._parts.oned, look.cluster
        offer = next(one for one in look.range.offers if one.plan == action.plan)
        host_id = oned.allocate_host(name, IM_MAD, _vm_mad(cluster), DEFAULT_CLUSTER)
        grown = {
            "CLUSTER_ID": str(cluster.id),
            "PLAN": offer.rents,
            "CPU": str(offer.size.cpu),
            "MEMORY": str(offer.size.memory),
            "ORDERED_AT": f"{look.state.now:.0f}",
            "REASON": readable(action.reason),
            **stock.render(offer.stock),
        }
        told: list[tuple[str, Value]] = [
            (GROWN, grown),
            ("PROVISION", {look.range.key: offer.rents, **spot.order(offer)}),
        ]
        told += spot.marks(offer)
        if offer.price is not None:
            told.append(("COST_HOUR", f"{offer.price:g}"))
        oned.update_host(host_id, Template(told))
        self._objects.add_to_cluster(cluster.id, "host", host_id)
        self._ask(host_id)

    def _remember(self, look: Look, hosts: Iterable[Host]) -> Template:
        """Write what is remembered, what is about to be done, and what was declined, when there is anything new.

        Returns what of it was written. What oned refused stays in the note for one more pass: there it is tried again.
        """
        template, decision = look.cluster.template, look.decision
        told: list[tuple[str, Value]] = []
        if growth_memory.is_changed(look.state.memory, decision.memory, decision.actions):
            told.append((growth_memory.NAME, growth_memory.render(decision.memory)))
        happened = leaving.events(template.text(EVENT), hosts, look.cluster.id)
        if decision.actions or happened:
            told.append((EVENT, told_events(template.text(EVENT), decision.actions, look.state.now, happened)))
        note = readable("; ".join((*decision.notes, *self._refused.pop(look.cluster.id, ()))))
        if shape(template.text(NOTE)) != shape(note):
            log.info("cluster %s: %s", look.cluster.name, note or "nothing is declined any more")
            told.append((NOTE, note))
        if template.text(ERROR) != (problem := readable(look.range.problem)):
            told.append((ERROR, problem))
        if told:
            self._parts.oned.update_cluster(look.cluster.id, Template(told))
        return Template(told)

    def _tell_refused(self, look: Look, written: Template, refused: list[str]) -> None:
        """Say which of the things that ELASTIC_EVENTS has by now did not happen, and why."""
        self._refused[look.cluster.id] = refused
        note = readable("; ".join((*look.decision.notes, *refused)))
        told: list[tuple[str, Value]] = [(EVENT, told_events(written.text(EVENT), (), look.state.now, refused))]
        before = written if NOTE in written else look.cluster.template
        if before.text(NOTE) != note:
            told.append((NOTE, note))
        self._parts.oned.update_cluster(look.cluster.id, Template(told))

    def _tell_problem(self, cluster: Cluster, problem: str) -> None:
        """Say what is wrong with a policy, which stops only this one."""
        if cluster.template.text(ERROR) != readable(problem):
            log.warning("cluster %s does not grow: %s", cluster.name, problem)
            self._parts.oned.update_cluster(cluster.id, Template([(ERROR, readable(problem))]))

    def _let_go(self, cluster: Cluster, cloud: Cloud) -> None:
        """Enable what was disabled to be given back, once the policy is switched off, and say nothing against it."""
        self._wake(cluster, cloud.hosts)
        memory = _memory(cluster, cloud)
        hosts = {one.id: one for one in cloud.hosts}
        for host_id in memory.disabled:
            if host_id in hosts and view_host(hosts[host_id], cluster.id, cloud.now).made:
                self._enable(host_id)
        told: list[tuple[str, Value]] = [(name, "") for name in (ERROR, NOTE) if cluster.template.text(name)]
        if memory.disabled:
            told.insert(0, (growth_memory.NAME, growth_memory.render(replace(memory, disabled={}, emptying={}))))
        if told:
            self._parts.oned.update_cluster(cluster.id, Template(told))


def _ordered_for(look: Look) -> set[int]:
    return {vm for one in look.decision.actions if isinstance(one, Order) for vm in one.vms}


def _without(taken: Set[int], cloud: Cloud) -> Cloud:
    return replace(cloud, vms=[one for one in cloud.vms if one.id not in taken])


def _is_growing(cluster: Cluster) -> bool:
    told = cluster.template
    return growth_policy.NAME in told or bool(told.vector(growth_memory.NAME) or told.text(ERROR) or told.text(NOTE))


def _memory(cluster: Cluster, cloud: Cloud) -> Memory:
    """Return what is remembered; that we disabled a host also stands on it, should ELASTIC_STATE be lost."""
    memory = growth_memory.read(cluster.template.vector(growth_memory.NAME))
    marked = {
        one.id: cloud.now
        for one in cloud.hosts
        if one.state in DISABLED and one.template.text(ASLEEP) and view_host(one, cluster.id, cloud.now).made
    }
    return replace(memory, disabled={**marked, **memory.disabled})


def _vm_mad(cluster: Cluster) -> str:
    return cluster.template.text("VM_MAD") or VM_MAD


def _digest(cluster: Cluster) -> str:
    told = sorted(cluster.template.vector(growth_policy.NAME).items())
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def _next_month(local: time.struct_time) -> float:
    year, month = (local.tm_year + 1, 1) if local.tm_mon == 12 else (local.tm_year, local.tm_mon + 1)
    return time.mktime((year, month, 1, 0, 0, 0, 0, 0, -1))
