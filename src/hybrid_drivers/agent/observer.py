"""Looking at a host from all sides, for ``lifecycle.next_step`` to decide."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hybrid_drivers.agent import record as records
from hybrid_drivers.agent import remedy, spot
from hybrid_drivers.agent import spec as specs
from hybrid_drivers.agent.observed import Observed
from hybrid_drivers.agent.parts import HostMemory, Parts
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.spec import Spec
from hybrid_drivers.agent.upkeep import Upkeep, next_check
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Cluster, Host, HostState, Machine, MachineState
from hybrid_drivers.oned.template import readable

NEW = (HostState.INIT, HostState.MONITORING_INIT)  # a host that was made, or enabled, and not monitored yet
LEFT_ALONE = (HostState.OFFLINE, HostState.DISABLED, HostState.MONITORING_DISABLED)  # somebody works on them
CLUSTER_AGE = 5.0  # seconds a cluster's attributes are used before they are read again

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class View:
    """A host as seen now, and everything the step that follows needs to be carried out."""

    record: HostRecord
    spec: Spec | None
    memory: HostMemory
    observed: Observed


class Observer:
    """Looks at hosts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._clusters: dict[int, tuple[float, Cluster]] = {}

    def reload(self) -> None:
        """Read the clusters again when they are needed next."""
        self._clusters.clear()

    def look(self, host: Host) -> View:
        """Return the view of ``host`` (read decrypted, a moment ago).

        Raises:
            OnedError, ProviderError: something could not be asked.
        """
        parts = self._parts
        record = records.read(host)
        memory = parts.memory(host.id)
        problem = ""
        spec: Spec | None = None
        try:
            spec = specs.resolve(host, self._cluster(host.cluster_id, memory.called_at), parts.settings, parts.accounts)
        except ConfigError as exc:
            problem = str(exc)
        now = parts.clock.now()
        self._remember(record, memory)
        looked_at, machines = self._machines(record, spec, memory, now)
        observed = Observed(
            now=now,
            agent=parts.agent_id,
            claim_delay=parts.settings.agent.claim_delay,
            called=record.intent is None or memory.called_at > record.intent.since,
            plan=spec.plan if spec else None,
            problem=problem,
            intent=record.intent,
            own_key=self._own_key(record),
            deploy_id=record.deploy_id,
            failure=record.failure,
            enabled_again=memory.left_init and (host.state in NEW or memory.enabled),
            since=record.since,
            configured=record.configured,
            ready=record.ready,
            renamed=self._renamed(record, spec, machines),
            moved=_moved(record, machines),
            monitored=memory.monitoring is None,
            upkeep=upkeep_of(parts, record),
            machines=machines,
            looked_at=looked_at,
            absent_since=self._on_the_wall(memory.absent_since),
            uncertain_since=self._on_the_wall(memory.uncertain_since),
            running_since=memory.running_since,
            stopped_since=memory.stopped_since,
            leaving=record.deploy_id in parts.departures.machine_ids(),
            left_alone=host.state in LEFT_ALONE,
            vms=max(host.running_vms, len(host.vm_ids)),
            room=host.total_cpu > 0,
            shown_ready=not record.stopped,
            switched_on=record.switched_on,
            switch_problem=memory.switch_problem,
            replaced=record.replaced,
            replacing=record.replacing,
            noted=record.noted.get("ID") == record.deploy_id,
            difference=difference_of(parts, record, next((m for m in machines if m.id == record.deploy_id), None)),
            shown_difference=record.difference,
        )
        return View(record=record, spec=spec, memory=memory, observed=observed)

    def _on_the_wall(self, since: float | None) -> float | None:
        """Return when that was by the wall clock as it goes now, however it was set meanwhile."""
        clock = self._parts.clock
        return None if since is None else clock.now() - (clock.monotonic() - since)

    def _own_key(self, record: HostRecord) -> bool:
        intent = record.intent
        if intent is None or record.deploy_id:
            return True
        return self._parts.keys.host_key(intent.token).public == intent.host_key

    def _remember(self, record: HostRecord, memory: HostMemory) -> None:
        if record.host.state not in NEW:
            memory.left_init = True
        if record.deploy_id:
            memory.uncertain_since = None
        elif record.intent and record.intent.token not in memory.own_tokens and memory.uncertain_since is None:
            memory.uncertain_since = self._parts.begun  # an earlier run may have asked just before it ended

    def _machines(
        self, record: HostRecord, spec: Spec | None, memory: HostMemory, now: float
    ) -> tuple[float | None, list[Machine]]:
        if spec is None:
            return None, []
        lists = spec.account.machines
        pause = 0.0 if record.ready else now - 0.9 * spec.plan.limits.poll
        snapshot = lists.look(max(memory.looked_from, pause))
        leaving = self._parts.departures.machine_ids()
        machines = [m for m in lists.of_host(record.host.id, record.deploy_id) if m.id not in leaving]
        if record.deploy_id:
            memory.rented = (spec.account.name, record.deploy_id)
            memory.cluster_id, memory.price = record.host.cluster_id, record.price
        recorded = next((m for m in machines if m.id == record.deploy_id), None)
        if record.deploy_id and recorded is None and record.deploy_id not in leaving:
            recorded = lists.confirm(record.deploy_id)
            if recorded is not None:
                machines.append(recorded)
        if recorded is not None or not record.deploy_id:
            memory.absent_since = None
        elif memory.absent_since is None:
            memory.absent_since = self._parts.clock.monotonic()
        running = recorded is not None and recorded.state is MachineState.RUNNING
        memory.running_since = (memory.running_since or now) if running else None
        stopped = recorded is not None and recorded.state is MachineState.STOPPED
        memory.stopped_since = (memory.stopped_since or now) if stopped else None
        return self._on_the_wall(snapshot.steady), machines

    def _renamed(self, record: HostRecord, spec: Spec | None, machines: list[Machine]) -> bool:
        if spec is None or spec.attributes.get("RENAME", "yes").lower() in ("no", "false"):
            return True
        address = next((m.address() for m in machines if m.id == record.deploy_id), None)
        return address is None or address == record.host.name

    def _cluster(self, cluster_id: int, not_before: float) -> Cluster | None:
        if cluster_id < 0:
            return None
        now = self._parts.clock.now()
        known = self._clusters.get(cluster_id)
        if known is None or not 0 <= now - known[0] <= CLUSTER_AGE or known[0] < not_before:
            known = self._clusters[cluster_id] = (now, self._parts.oned.cluster(cluster_id))
        return known[1]


def _moved(record: HostRecord, machines: list[Machine]) -> bool:
    if not record.ready:
        return False
    address = next((m.address() for m in machines if m.id == record.deploy_id), None)
    return address is not None and address != record.address


def difference_of(parts: Parts, record: HostRecord, machine: Machine | None) -> str:
    """Return in what the machine of a READY host differs from what was recorded of it, as the host says it."""
    if machine is None or not record.ready:
        return ""
    noted = record.noted if record.noted.get("ID") == machine.id else {}
    return readable(remedy.differences(noted, parts.owner(), record.host.id, machine))


def upkeep_of(parts: Parts, record: HostRecord) -> Upkeep:
    """Return what a READY host needs besides running."""
    if not record.ready:
        return Upkeep()
    memory, wish, now = parts.memory(record.host.id).upkeep, parts.wishes.of(record.host.id), parts.clock.now()
    outdated = record.peers != "" and memory.peers_wanted not in ("", record.peers)
    wait = memory.peers_after - now if outdated and memory.peers_after > now else None
    again = f"; next try in {wait:.0f} s" if wait is not None else ""
    known = f"its configuration failed when it was run again: 'onehybrid configure {record.host.id}' tells why"
    own = memory.problem or known if record.misconfigured else ""
    offline = record.host.state is HostState.OFFLINE  # its machine may be switched off on purpose
    others = memory.peers_problem + again if outdated and memory.peers_problem and not offline else ""
    return Upkeep(
        asked=wish is not None,
        check_only=wish is not None and wish.check_only,
        peers_due=outdated and wait is None,
        drift_due=drift_due(parts, record),
        problem=spot.sentence(record) or own or others,
        wait=wait,
    )


def drift_due(parts: Parts, record: HostRecord) -> bool:
    """Tell whether it is time to look whether a READY host is still as it was configured; not of an OFFLINE one."""
    interval = parts.settings.agent.drift
    if not record.ready or not interval or record.failure is not None or record.host.state is HostState.OFFLINE:
        return False
    last = max(parts.known(record.host.id).upkeep.checked_at, parts.started)
    return next_check(record.host.id, record.ready_at, interval, last) <= parts.clock.now()


def spec_of(view: View) -> Spec:
    """Return the spec of a host that is worked on: such a step comes only with a plan, and a plan with its spec."""
    if view.spec is None:
        raise AssertionError("a step on a machine without a spec")
    return view.spec
