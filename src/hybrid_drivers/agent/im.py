"""START_MONITOR and STOP_MONITOR: how oned tells us that a host is wanted, offline, or gone."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from hybrid_drivers.agent import record as records
from hybrid_drivers.agent import spec as specs
from hybrid_drivers.agent.monitor_file import MonitorFile
from hybrid_drivers.agent.observer import NEW
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reconciler import Reconciler
from hybrid_drivers.agent.reporter import system_host
from hybrid_drivers.errors import HostError, HybridError, NoSuchObject
from hybrid_drivers.model import Cluster, Host, HostState, Template
from hybrid_drivers.oned.actions import StartMonitor, StopMonitor
from hybrid_drivers.oned.process import Answer, failure
from hybrid_drivers.oned.template import readable
from hybrid_drivers.oned.xml import MonitorConfiguration, start_answer

ANSWER_FIRST = 0.2  # seconds: what the first look finds must reach monitord after our answer, which knows nothing yet

log = logging.getLogger(__name__)


class Monitoring:
    """Answers monitord."""

    def __init__(self, parts: Parts, reconciler: Reconciler, monitor_file: MonitorFile) -> None:
        self._parts = parts
        self._reconciler = reconciler
        self._monitor_file = monitor_file

    def start(self, call: StartMonitor) -> Answer:
        """Answer START_MONITOR.

        A host on its way gets zero capacity at once and is worked on behind; a READY one gets its node's own answer;
        one that was given up gets the reason, which puts it into ERROR.

        Raises:
            OnedError: oned cannot be asked about the host.
        """
        self._learn(call.host_id, call.configuration)
        host = self._parts.oned.host(call.host_id)
        record = records.read(host)
        if record.ready and record.failure is None:
            return self._start_ready(record)
        memory, enabled = self._parts.memory(host.id), host.state in NEW
        memory.enabled = record.failure is not None and enabled and memory.left_init
        self._reconciler.ask(host.id, ANSWER_FIRST)
        if record.failure is not None and not enabled:
            return failure(record.failure.reason)
        return Answer(stdout=start_answer(system_host(self._parts.reporter.last(host.id))))

    def stop(self, call: StopMonitor) -> Answer:
        """Answer STOP_MONITOR: stop the probes of a host that is offline, give back the machine of one that is gone.

        Raises:
            OnedError: oned cannot be asked; the sweep will find out.
        """
        try:
            host = self._parts.oned.host(call.host_id)
        except NoSuchObject:
            log.info("host %s (%s) was deleted: giving its machine back", call.host_id, call.host_name)
            self._reconciler.release.host_is_gone(call.host_id)
            return Answer()
        self._called(call.host_id)
        if host.state is HostState.OFFLINE and records.read(host).ready:
            self._parts.memory(host.id).monitoring = False
        self._reconciler.ask(host.id)
        return Answer()

    def _learn(self, host_id: int, configuration: MonitorConfiguration) -> None:
        self._parts.memory(host_id).configuration = configuration.xml
        self._monitor_file.learn(configuration)
        self._called(host_id)

    def _called(self, host_id: int) -> None:
        self._parts.memory(host_id).called_at = self._parts.clock.now()

    def _start_ready(self, record: records.HostRecord) -> Answer:
        """Start the probes of a working node.

        What its template says of the node is enough: a slip in a provider entry or a provider that does not answer
        must not put a host with virtual machines into ERROR.
        """
        host = record.host
        memory = self._parts.memory(host.id)
        self._reconciler.ask(host.id, ANSWER_FIRST)  # the machine may be gone or stopped
        connection: Mapping[str, str] = host.template.vector("PROVISION_CONNECTION")
        address = record.address
        try:
            if not address:
                connection, address = self._looked_up(record)
            answer = self._reconciler.node.start_probes(record, connection, address)
        except HybridError as exc:
            return self._no_probes(host, exc)
        memory.monitoring, memory.problem = None, ""
        return Answer(stdout=answer)

    def _no_probes(self, host: Host, error: HybridError) -> Answer:
        """Say why in the host, too: oned keeps the reason of a failed START_MONITOR to its log (7.4)."""
        reason = f"monitoring cannot be started: {error}"
        self._parts.memory(host.id).problem = reason  # or the next look would find nothing wrong
        self._parts.oned.update_host(host.id, Template([("PROVISION_ERROR", readable(reason))]))
        return failure(reason)

    def _looked_up(self, record: records.HostRecord) -> tuple[Mapping[str, str], str]:
        """Ask for the way to a node whose PROVISION_ADDRESS somebody removed."""
        host = record.host
        spec = specs.resolve(host, self._cluster(host), self._parts.settings, self._parts.accounts)
        machines = spec.account.machines
        machines.look(self._parts.started)
        found = next((m for m in machines.of_host(host.id, record.deploy_id) if m.id == record.deploy_id), None)
        address = found.address() if found else None
        if address is None:
            raise HostError(f"machine {record.deploy_id} of host {host.name} has no address at {spec.account.name}")
        return spec.connection, address

    def _cluster(self, host: Host) -> Cluster | None:
        return self._parts.oned.cluster(host.cluster_id) if host.cluster_id >= 0 else None
