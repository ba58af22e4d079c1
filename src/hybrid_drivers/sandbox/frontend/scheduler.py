"""A small scheduler: places machines that wait where they fit, and says why the others go on waiting; moves those that
are flagged for it (``one.vm.action resched``).

Facts: OpenNebula ``SchedulerManagerDriver.cc`` (hosts in state 2 only; its two sentences), ``SchedulerFailure.cc`` (the
sentences behind ``[HOST]``, one after the other), ``HostXML.cc`` (what fits). Ours: the first host that fits is taken.
"""

from __future__ import annotations

import time
from contextlib import suppress

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import HostState
from hybrid_drivers.oned import requirements
from hybrid_drivers.oned.requirements import HostFacts
from hybrid_drivers.sandbox.frontend import vm_life as life
from hybrid_drivers.sandbox.frontend.calls import Context, Refused
from hybrid_drivers.sandbox.frontend.objects import HostObject
from hybrid_drivers.sandbox.frontend.vm_moves import check_deploy, check_move
from hybrid_drivers.sandbox.frontend.vm_objects import State, VmObject
from hybrid_drivers.sandbox.frontend.vmgroup_objects import roles_of


class Scheduler:
    """Runs a round whenever one is due; the store's lock is held."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last = float("-inf")

    def tick(self, now: float) -> None:
        """Do a round when it is time for one; ``now`` is monotonic."""
        if self._context.knobs.scheduler and now - self._last >= self._context.knobs.scheduler:
            self._last = now
            for vm in sorted(self._context.store.machines.values(), key=lambda one: one.id):
                if vm.state is State.PENDING:
                    self._place(vm)
                elif vm.resched:
                    self._move(vm)

    def _place(self, vm: VmObject) -> None:
        hosts = [one for one in self._context.store.hosts.values() if one.state is HostState.MONITORED]
        if not hosts:
            _say(vm, "Cannot dispatch VM: No hosts enabled to run VMs")
            return
        try:
            hosts = [one for one in hosts if self._meets(vm, one)]
        except ConfigError as exc:
            _say(vm, f"Cannot dispatch VM: Error in SCHED_REQUIREMENTS: {exc}")
            return
        if not hosts:
            _say(vm, "Cannot dispatch VM: No host meets SCHED_REQUIREMENTS")
            return
        lacking: dict[str, list[int]] = {}
        for host in hosts:
            if what := self._lacks(vm, host):
                lacking.setdefault(what, []).append(host.id)
            elif self._start(vm, host):
                return
        _say(vm, "".join(f"[HOST] Not enough {what} on hosts: {_ids(ids)}" for what, ids in lacking.items()))

    def _move(self, vm: VmObject) -> None:
        """Migrate one that is flagged, by its saved state (LIVE_RESCHEDS is 0 by default), to a host that fits."""
        here = vm.history[-1].host_id
        for host in self._context.store.hosts.values():
            if host.state is not HostState.MONITORED or host.id == here or self._lacks(vm, host):
                continue
            with suppress(Refused, ConfigError):
                if self._meets(vm, host):
                    datastore = check_move(self._context, vm, host, None, live=False)
                    life.move(self._context, vm, host, datastore, live=False)
                    return

    def _meets(self, vm: VmObject, host: HostObject) -> bool:
        own = vm.user.text("SCHED_REQUIREMENTS")
        text = requirements.joined(vm.template.text("AUTOMATIC_REQUIREMENTS"), own)
        cluster = self._context.store.clusters[host.cluster_id]
        plain = {"ID": host.id, "NAME": host.name, "CLUSTER_ID": host.cluster_id, "CLUSTER": cluster.name}
        seen = requirements.facts(host.template.template(), cluster.template.template(), **plain)
        met = requirements.parse(text).met_by(HostFacts(values=seen.values, vm_ids=frozenset(host.vms)))
        return met and self._may_join(vm, host)

    def _may_join(self, vm: VmObject, host: HostObject) -> bool:
        """Tell whether its VM group lets it there: a matter of the scheduler's own (``VMGroupXML.cc``)."""
        store = self._context.store
        everywhere = {one for other in store.hosts.values() for one in other.vms}
        return all(role.allows(vm.id, set(host.vms), everywhere) for role in roles_of(store.vm_groups, vm.id))

    def _lacks(self, vm: VmObject, host: HostObject) -> str:
        cpu, memory = self._context.store.used(host)
        if round((cpu + float(vm.template.text("CPU", "0"))) * 100) > host.max_cpu:
            return "CPU"
        return "MEMORY" if (memory + vm.template.number("MEMORY")) * 1024 > host.max_memory else ""

    def _start(self, vm: VmObject, host: HostObject) -> bool:
        try:
            datastore = check_deploy(self._context, vm, host, None)
        except Refused:
            _say(vm, "[DS] No datastores matched the VM requirements")
            return False
        vm.user.remove("SCHED_MESSAGE")
        vm.deploy_id = f"one-{vm.id}"
        life.deploy(self._context, vm, host, datastore)
        return True


def _say(vm: VmObject, why: str) -> None:
    if why:
        vm.user.set("SCHED_MESSAGE", f"{time.strftime('%a %b %e %H:%M:%S %Y')}: {why}")


def _ids(ids: list[int]) -> str:
    return ",".join(str(one) for one in sorted(ids))
