"""Growing on demand, carried out: what was decided for each cluster (``looking``), written down, done and told.

What is remembered is written to the cluster before anything is done (``ELASTIC_STATE``). A host is made in the default
cluster, told what it is (``GROWTH``, ``PROVISION``), and only then put into its cluster: killed in between, it rents
nothing, and the next pass finishes or removes it. From there on it is an ordinary host of the reconciler's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import replace

from hybrid_drivers.agent.growth import interrupted, spot_offers, stock
from hybrid_drivers.agent.growth import memory as growth_memory
from hybrid_drivers.agent.growth.looking import Look, Looking, is_growing, memory_of, ordered_for, vm_mad, without
from hybrid_drivers.agent.growth.model import Action, Disable, Enable, Migrate, Order
from hybrid_drivers.agent.growth.names import free_names, stem_of
from hybrid_drivers.agent.growth.telling import ERROR, EVENT, NOTE, describe, heading, shape, told_events
from hybrid_drivers.agent.growth.unfinished import DEFAULT_CLUSTER, Unfinished
from hybrid_drivers.agent.growth.view import DISABLED, Cloud, view_host
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import ASLEEP, GROWN, IM_MAD
from hybrid_drivers.errors import ConfigError, NoSuchObject, OnedError, OnedUnreachable
from hybrid_drivers.model import Cluster, Host, Template, Value
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.template import readable
from hybrid_drivers.oned.vms import Vms

log = logging.getLogger(__name__)


class Growing:
    """Looks after all clusters with a policy; ``policies`` is how many there were in the last pass."""

    def __init__(self, parts: Parts, ask: Callable[[int], None]) -> None:
        self._parts, self._ask = parts, ask
        self._objects = Objects(parts.oned)
        self.looking = Looking(parts, self._objects)
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
        growing = [one for one in clusters if is_growing(one)]
        self.policies, self.looked = len(growing), True
        if not growing:
            return
        cloud = self.looking.cloud(clusters)
        cloud = replace(cloud, hosts=list(self._unfinished.tidied(cloud, growing)))
        taken: set[int] = set()
        for cluster in growing:
            try:
                taken |= self._look_after(cluster, without(taken, cloud))
            except OnedUnreachable:
                raise
            except OnedError as exc:
                log.error("cluster %s cannot be looked after: %s", cluster.name, exc)
                self._refused[cluster.id] = [str(exc)]

    def _look_after(self, cluster: Cluster, cloud: Cloud) -> set[int]:
        """Do what is to be done for one cluster; return the VMs that hosts were ordered for."""
        try:
            look = self.looking.look(cluster, cloud)
        except ConfigError as exc:
            self._tell_problem(cluster, str(exc))
            return set()
        if look is None:
            self._let_go(cluster, cloud)
            return set()
        self._carry_out(look, cloud)
        return ordered_for(look)

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
        host_id = oned.allocate_host(name, IM_MAD, vm_mad(cluster), DEFAULT_CLUSTER)
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
            ("PROVISION", {look.range.key: offer.rents, **spot_offers.order(offer)}),
        ]
        told += spot_offers.marks(offer)
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
        happened = interrupted.events(template.text(EVENT), hosts, look.cluster.id)
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
        memory = memory_of(cluster, cloud)
        hosts = {one.id: one for one in cloud.hosts}
        for host_id in memory.disabled:
            if host_id in hosts and view_host(hosts[host_id], cluster.id, cloud.now).made:
                self._enable(host_id)
        told: list[tuple[str, Value]] = [(name, "") for name in (ERROR, NOTE) if cluster.template.text(name)]
        if memory.disabled:
            told.insert(0, (growth_memory.NAME, growth_memory.render(replace(memory, disabled={}, emptying={}))))
        if told:
            self._parts.oned.update_cluster(cluster.id, Template(told))
